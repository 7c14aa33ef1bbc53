#include "common/state.h"

#include <stdlib.h>
#include <unistd.h>

#define CONTAINER_STATE "/app/data"

bool
state_folder(struct ctx *c, struct buf *out)
{
	const char *dir = opt_str(c, "state-dir"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (dir != NULL)
		buf_str(out, dir);
	else if (access(CONTAINER_STATE, W_OK) == 0)
		buf_str(out, CONTAINER_STATE);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(out, "%s/llmr", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(out, "%s/.local/state/llmr", home);
	else
		return false;
	return !out->failed;
}
