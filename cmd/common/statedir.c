#include "common/statedir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define CONTAINER "/app/data"

static bool
writable(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && access(dir, W_OK | X_OK) == 0;
}

static bool
make(const char *dir, struct err *e)
{
	if (io_mkdirs(dir, e) < 0)
		return false;
	if (writable(dir))
		return true;
	err_set(e, ERR_CANTCREAT, "%s: no folder that can be written to", dir);
	return false;
}

int
statedir_find(struct ctx *c, struct buf *out)
{
	const char *given = opt_str(c, "state-dir"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct err e = ERR_INIT;

	if (given != NULL) {
		buf_str(out, given);
		if (make(given, &c->err))
			return buf_ok(out, &c->err);
		c->err.code = ERR_CANTCREAT;
		return -1;
	}
	if (writable(CONTAINER)) {
		buf_str(out, CONTAINER);
		return buf_ok(out, &c->err);
	}
	if (xdg != NULL && xdg[0] == '/')
		buf_printf(out, "%s/llmr", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(out, "%s/.local/state/llmr", home);
	if (buf_ok(out, &c->err) < 0)
		return -1;
	if (out->len > 0 && make(buf_cstr(out), &e))
		return 0;
	log_warn(&c->log, "%s%sno state is kept across restarts: set --state-dir", e.msg, e.msg[0] == '\0' ? "" : "; ");
	buf_reset(out);
	return 0;
}
