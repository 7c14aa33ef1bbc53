#include "common/gatewaycheck.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "data/candidates.h"
#include "serve/config.h"
#include "serve/loaded.h"

#define EARLIEST_US ((int64_t)1735689600 * 1000000)	/* 2025-01-01: before it no release of llmr was made */
#define SHORT_KEY 16

struct checks {
	check_sink sink;
	void *ctx;
};

static void tell(struct checks *, const char *what, enum check_result, enum err_code, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void
tell(struct checks *k, const char *what, enum check_result r, enum err_code code, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	k->sink(k->ctx, what, r, code, text);
}

static const char *
variable(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* Nobody else may write it; a file that holds keys nobody else may read. */
static void
check_mode(struct checks *k, const char *path, bool secret)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;		/* told where it is read */
	if ((st.st_mode & S_IWOTH) != 0)
		tell(k, "mode", CHECK_FAIL, ERR_NOPERM, "%s: anybody may write it: chmod o-w", path);
	else if (secret && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		tell(k, "mode", CHECK_WARN, ERR_NONE, "%s: it holds keys and others may read it: chmod 600, or "
			"os.environ/NAME for the keys", path);
	else
		tell(k, "mode", CHECK_OK, ERR_NONE, "%s: %03o", path, (unsigned)st.st_mode & 0777);
}

static void
check_clock(struct checks *k, const char *path)
{
	int64_t now = clock_wall_us();
	struct stat st;

	if (now < EARLIEST_US)
		tell(k, "clock", CHECK_FAIL, ERR_TEMPFAIL, "the clock is before 2025: signatures, TLS and S3 will fail");
	else if (stat(path, &st) == 0 && (int64_t)st.st_mtime * 1000000 > now + 60000000)
		tell(k, "clock", CHECK_WARN, ERR_NONE, "%s was changed in the future: is the clock slow?", path);
	else
		tell(k, "clock", CHECK_OK, ERR_NONE, "not before anything that is known");
}

/* Every problem and every key that is not used. */
static void
check_notes(struct checks *k, const struct config *c)
{
	static const enum check_result as[] = { [NOTE_UNUSED] = CHECK_OK, [NOTE_WARNING] = CHECK_WARN,
		[NOTE_ERROR] = CHECK_FAIL };
	size_t unused = 0;

	for (size_t i = 0; i < c->n_notes; i++) {
		const struct note *n = &c->note[i];

		unused += n->level == NOTE_UNUSED;
		if (n->level != NOTE_UNUSED)
			tell(k, "config", as[n->level], n->level == NOTE_ERROR ? ERR_CONFIG : ERR_NONE, "%s:%zu: %s: %s", c->name,
				n->line, n->key, n->text);
	}
	if (c->n_errors == 0)
		tell(k, "config", CHECK_OK, ERR_NONE, "%s: %zu deployment%s in %zu group%s, %s; %zu key%s not used", c->name,
			c->n, c->n == 1 ? "" : "s", c->n_groups, c->n_groups == 1 ? "" : "s", c->router.strategy_name, unused,
			unused == 1 ? "" : "s");
}

/* Is a key written in the text itself? */
static bool
holds_keys(const struct config *c, const char *path)
{
	const char *master = c->general.master_key;
	char line[4096];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
		found = master != NULL && strlen(master) > 3 && strstr(line, master) != NULL;
		for (size_t i = 0; i < c->n && !found; i++)
			found = c->deployment[i].api_key != NULL && strlen(c->deployment[i].api_key) > 8 &&
				strstr(line, c->deployment[i].api_key) != NULL;
	}
	if (f != NULL)
		(void)fclose(f);
	return found;
}

static void
check_keys(struct checks *k, const struct config *c)
{
	const char *master = c->general.master_key;
	size_t unset = 0, nowhere = 0;

	if (master == NULL)
		tell(k, "keys", CHECK_WARN, ERR_NONE, "no master key: nobody may administer, and only this machine may ask");
	else if (strlen(master) < SHORT_KEY)
		tell(k, "keys", CHECK_WARN, ERR_NONE, "the master key is short: give it %d characters or more", SHORT_KEY);
	else
		tell(k, "keys", CHECK_OK, ERR_NONE, "a master key is set");
	for (size_t i = 0; i < c->n; i++) {
		unset += c->deployment[i].unset != NULL;	/* named among the notes */
		nowhere += c->deployment[i].api_base == NULL;
	}
	if (unset + nowhere > 0)
		tell(k, "upstreams", CHECK_WARN, ERR_NONE, "%zu of %zu deployments cannot be forwarded to (no key: %zu, "
			"no api_base: %zu)", unset > nowhere ? unset : nowhere, c->n, unset, nowhere);
	else
		tell(k, "upstreams", CHECK_OK, ERR_NONE, "%zu deployments with address and key", c->n);
}

static void
check_model(struct checks *k, const struct config *c)
{
	const struct router_settings *s = &c->router;
	struct err e = ERR_INIT;
	struct loaded *l;

	if (s->strategy != STRATEGY_ML) {
		tell(k, "model", CHECK_OK, ERR_NONE, "%s needs none", s->strategy_name);
		return;
	}
	if (s->model_path == NULL || strncmp(s->model_path, "s3://", 5) == 0) {
		tell(k, "store", CHECK_WARN, ERR_NONE, "the model is in a store, which was not asked");
		return;
	}
	if ((l = loaded_read(s->model_path, &(struct loaded_opts){ s->kind, NULL }, 0, &e)) == NULL) {
		tell(k, "model", CHECK_FAIL, e.code, "%s", e.msg);
		return;
	}
	tell(k, "model", CHECK_OK, ERR_NONE, "%s: %s, %zu models, SHA-256 %.16s...", s->model_path,
		l->router->kind->name, l->router->models.len, l->sha256);
	loaded_unref(l);
	check_mode(k, s->model_path, false);
}

static void
check_candidates(struct checks *k, const struct config *c)
{
	struct err e = ERR_INIT;
	struct candidates *list;

	if (c->router.llm_data_path == NULL)
		return;
	if ((list = candidates_load(c->router.llm_data_path, &e)) == NULL)
		tell(k, "candidates", CHECK_FAIL, e.code, "%s", e.msg);
	else
		tell(k, "candidates", CHECK_OK, ERR_NONE, "%s", c->router.llm_data_path);
	candidates_free(list);
}

void
gatewaycheck(const char *path, check_sink sink, void *ctx)
{
	const struct config_source src = { .name = path, .env = variable };
	struct checks k = { sink, ctx };
	struct err e = ERR_INIT;
	struct config *c = config_load(path, &src, &e);

	check_clock(&k, path);
	if (c == NULL) {
		tell(&k, "config", CHECK_FAIL, e.code, "%s", e.msg);
		return;
	}
	check_notes(&k, c);
	check_mode(&k, path, holds_keys(c, path));
	check_keys(&k, c);
	check_model(&k, c);
	check_candidates(&k, c);
	config_free(c);
}
