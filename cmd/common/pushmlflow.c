#include "common/pushmlflow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "cmd.h"
#include "common/mlserver.h"
#include "common/reg.h"
#include "fmt/hash.h"
#include "net/mlflowreg.h"
#include "registry/version.h"

#define FOLDER "model"

/* The run that the files belong to. */
static int
log_run(struct ctx *c, const struct mlflow_server *s, const struct version *v, char run[MLFLOW_ID])
{
	char hex[65];
	const struct mlflow_text tags[] = { { "llmr.name", v->name }, { "llmr.version", v->version },
		{ "llmr.manifest_sha256", hex } };
	const char *user = getenv("USER");
	int64_t now = clock_wall_us() / 1000;
	const struct mlflow_run m = { .name = v->version, .user = user != NULL ? user : "unknown",
		.start_ms = now, .end_ms = now, .status = "FINISHED", .tags = tags, .n_tags = 3 };

	hex_format(v->digest, 32, hex);
	return mlflow_log(s, &m, run, &c->err);
}

static int
put_document(struct ctx *c, const struct mlflow_server *s, const char *root, const char *name,
	const struct buf *b)
{
	char path[128];

	if (b->len == 0)
		return 0;
	(void)snprintf(path, sizeof path, FOLDER "/%s", name);
	return mlflowreg_put(s, root, path, b->p, b->len, -1, 0, &c->err);
}

static int
put_files(struct ctx *c, const struct mlflow_server *s, const char *root, const struct version *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct buf path = BUF_INIT;
		int fd, r;

		buf_printf(&path, FOLDER "/%s", v->files[i].path);
		if (buf_ok(&path, &c->err) < 0 || (fd = io_open_read(v->files[i].local, &c->err)) < 0) {
			buf_finish(&path);
			return -1;
		}
		r = mlflowreg_put(s, root, path.p, NULL, 0, fd, v->files[i].size_bytes, &c->err);
		(void)close(fd);
		buf_finish(&path);
		if (r < 0)
			return -1;
	}
	return 0;
}

/* The version is registered last: until then nothing names what was sent. */
static int
send_all(struct ctx *c, const struct mlflow_server *s, const struct version *v, const char *alias)
{
	char run[MLFLOW_ID], root[MLFLOWREG_URI], number[MLFLOW_ID];

	if (log_run(c, s, v, run) < 0 || mlflowreg_run_root(s, run, root, &c->err) < 0 ||
	    put_files(c, s, root, v) < 0 ||
	    put_document(c, s, root, "manifest.json.minisig", &v->minisig) < 0 ||
	    put_document(c, s, root, "manifest.json", &v->manifest) < 0 ||
	    mlflowreg_register(s, v->name, run, FOLDER, number, &c->err) < 0 ||
	    mlflowreg_set_alias(s, v->name, alias, number, &c->err) < 0)
		return -1;
	if (!c->json)
		out_printf("%s  version %s\nmlflow %s: version %s, alias %s, run %s\n", v->name, v->version, s->url,
		    number, alias, run);
	else
		out_printf("{\"mlflow\":\"%s\",\"name\":\"%s\",\"version\":\"%s\",\"mlflow_version\":\"%s\","
		    "\"alias\":\"%s\",\"run_id\":\"%s\"}\n", s->url, v->name, v->version, number, alias, run);
	return 0;
}

int
pushmlflow_run(struct ctx *c, const char *path, const char *name, const char *alias, const char *url)
{
	struct version v = { .n = 0 };
	struct mlserver m = { .s = { .url = url } };
	struct reg g = { .hosts = { .n = 0 } };
	int r = -1;

	if (reg_keys(c, REG_SIGN, &g) < 0)
		goto out;
	if (g.secret == NULL && !g.r.allow_unsigned) {
		err_set(&c->err, ERR_NOPERM, "nothing unsigned is written: give --secret-key, or --allow-unsigned");
		goto out;
	}
	if (mlserver_open(c, url, &m) == 0 &&
	    version_build(name, path, 0, g.secret, c->cancel, &v, &c->err) == 0)
		r = send_all(c, &m.s, &v, alias);
out:
	version_finish(&v);
	mlserver_close(&m);
	reg_close(&g);
	return r;
}
