/*
 * s3tool - the S3 client by hand, for tests.
 *
 *   s3tool [OPTION ...] s3://BUCKET/PREFIX COMMAND [ARGUMENT ...]
 *
 * Commands: get KEY, fetch KEY FILE, put KEY FILE, puttext KEY TEXT, head KEY,
 * list [PREFIX], delete KEY, uploads [PREFIX], abort KEY ID, presign METHOD KEY
 * SECONDS, putmany DIR, fetchmany DIR (names of the files from the list),
 * headmany KEY..., credentials. Prints the outcome's name and what there is to
 * know on standard error, data on standard output. Exit: 0, 3 for
 * not-modified, else the error's status.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "fmt/hash.h"
#include "net/awsconf.h"
#include "net/s3.h"

static struct cancel cancel;
static struct {
	const char *range, *if_match, *if_none_match, *sha256, *delimiter, *start_after, *meta;
	bool if_absent, resume;
	unsigned page;
	uint64_t size;
} opt = { .size = UINT64_MAX };

static const char *const names[] = { "ok", "not-modified", "not-found", "precondition", "conflict", "refused",
	"unavailable", "changed", "failed" };

static void
on_signal(int sig)
{
	(void)sig;
	cancel.flag = 1;
}

static const char *
lookup(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static void
say(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "# %s\n", line);
}

static int
finish(enum s3_outcome out, const struct s3_info *info, const struct err *e)
{
	char hex[65] = "-";

	if (info != NULL && info->has_sha256)
		hex_format(info->sha256, 32, hex);
	fprintf(stderr, "outcome %s\n", names[out]);
	if (info != NULL)
		fprintf(stderr, "etag %s\nsize %llu\nsha256 %s\nserver %lld\nuncertain %d\n", info->etag,
			(unsigned long long)info->size_bytes, hex, (long long)info->server_us, info->uncertain);
	if (out == S3_OK)
		return 0;
	if (out == S3_NOT_MODIFIED)
		return 3;
	fprintf(stderr, "error %s\n", e->msg);
	return (int)e->code;
}

static int
print(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)e;
	return fwrite(p, 1, n, stdout) == n ? 0 : -1;
}

static int
entry(void *ctx, const struct s3_entry *en, struct err *e)
{
	(void)ctx;
	(void)e;
	printf("%s%s %llu %s\n", en->is_prefix ? "+" : "", en->key, (unsigned long long)en->size_bytes, en->etag);
	return 0;
}

static int
upload(void *ctx, const struct s3_upload *u, struct err *e)
{
	(void)ctx;
	(void)e;
	printf("%s %s\n", u->key, u->id);
	return 0;
}

static bool
hex_digest(const char *text, uint8_t out[32])
{
	for (size_t i = 0; i < 32; i++) {
		unsigned v;

		if (sscanf(text + 2 * i, "%2x", &v) != 1)
			return false;
		out[i] = (uint8_t)v;
	}
	return true;
}

/* ---- many ---------------------------------------------------------------- */

struct dir {
	const char *path;
	char *name[20000];
	size_t n, failed;
	struct s3 *s;
	int fd[20000];
};

static int
next_put(void *ctx, size_t i, struct s3_put *p, struct err *e)
{
	struct dir *d = ctx;
	char path[4096];
	struct stat st;

	if (i >= d->n)
		return 0;
	snprintf(path, sizeof path, "%s/%s", d->path, d->name[i]);
	if ((p->fd = d->fd[i] = open(path, O_RDONLY)) < 0 || fstat(p->fd, &st) < 0)
		return err_sys(e, ERR_NOINPUT, "%s", path);
	p->key = d->name[i];
	p->size_bytes = (uint64_t)st.st_size;
	p->if_absent = opt.if_absent;
	return 1;
}

static int
done_put(void *ctx, size_t i, enum s3_outcome out, const struct s3_info *info, struct err *e)
{
	struct dir *d = ctx;

	(void)info;
	(void)e;
	close(d->fd[i]);
	return out == S3_OK || (opt.if_absent && out == S3_PRECONDITION) ? 0 : -1;
}

static int
next_fetch(void *ctx, size_t i, struct s3_fetch *f, struct err *e)
{
	struct dir *d = ctx;
	char path[4096];

	if (i >= d->n)
		return 0;
	snprintf(path, sizeof path, "%s/%s", d->path, d->name[i]);
	if ((f->fd = d->fd[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644)) < 0)
		return err_sys(e, ERR_CANTCREAT, "%s", path);
	f->key = d->name[i];
	return 1;
}

static int
done_fetch(void *ctx, size_t i, enum s3_outcome out, const uint8_t sha256[32], const struct s3_info *info,
	struct err *e)
{
	struct dir *d = ctx;

	(void)e;
	close(d->fd[i]);
	if (out == S3_OK && info->has_sha256 && memcmp(info->sha256, sha256, 32) != 0)
		return -1;
	return out == S3_OK ? 0 : -1;
}

static int
next_head(void *ctx, size_t i, const char **key, struct err *e)
{
	struct dir *d = ctx;

	(void)e;
	if (i >= d->n)
		return 0;
	*key = d->name[i];
	return 1;
}

static int
done_head(void *ctx, size_t i, enum s3_outcome out, const struct s3_info *info, struct err *e)
{
	struct dir *d = ctx;

	(void)e;
	printf("%s %s %llu\n", d->name[i], names[out], (unsigned long long)info->size_bytes);
	return out == S3_OK || out == S3_NOT_FOUND ? 0 : -1;
}

static int
collect(void *ctx, const struct s3_entry *en, struct err *e)
{
	struct dir *d = ctx;

	(void)e;
	if (d->n < 20000)
		d->name[d->n++] = strdup(en->key);
	return 0;
}

static int
many(struct s3 *s, char **args, struct err *e)
{
	struct dir *d = calloc(1, sizeof *d);
	enum s3_outcome out = S3_OK;

	d->path = args[1];
	d->s = s;
	if (strcmp(args[0], "putmany") == 0) {
		DIR *dir = opendir(args[1]);
		struct dirent *ent;

		while (dir != NULL && (ent = readdir(dir)) != NULL)
			if (ent->d_name[0] != '.')
				d->name[d->n++] = strdup(ent->d_name);
		if (dir != NULL)
			closedir(dir);
		out = s3_put_many(s, &(struct s3_batch_put){ next_put, done_put, d }, e);
	} else if (strcmp(args[0], "headmany") == 0) {
		for (args++; *args != NULL; args++)
			d->name[d->n++] = strdup(*args);
		out = s3_head_many(s, &(struct s3_batch_head){ next_head, done_head, d }, e);
	} else {
		out = s3_list(s, &(struct s3_list){ .on_entry = collect, .ctx = d }, NULL, e);
		if (out == S3_OK)
			out = s3_fetch_many(s, &(struct s3_batch_fetch){ next_fetch, done_fetch, d }, e);
	}
	for (size_t i = 0; i < d->n; i++)
		free(d->name[i]);
	free(d);
	return finish(out, NULL, e);
}

/* ---- one ---------------------------------------------------------------- */

static int
put(struct s3 *s, char **args, struct err *e)
{
	struct s3_info info = { .has_sha256 = false };
	struct s3_put p = { .key = args[1], .fd = -1, .if_match = opt.if_match, .if_absent = opt.if_absent,
		.resume = opt.resume, .meta = &opt.meta, .n_meta = opt.meta != NULL };
	uint8_t digest[32];
	struct stat st;
	enum s3_outcome out;

	if (strcmp(args[0], "puttext") == 0) {
		p.data = args[2];
		p.n = strlen(args[2]);
	} else {
		if ((p.fd = open(args[2], O_RDONLY)) < 0 || fstat(p.fd, &st) < 0) {
			perror(args[2]);
			return 66;
		}
		p.size_bytes = opt.size != UINT64_MAX ? opt.size : (uint64_t)st.st_size;
	}
	if (opt.sha256 != NULL && hex_digest(opt.sha256, digest))
		p.sha256 = digest;
	out = s3_put(s, &p, &info, e);
	if (p.fd >= 0)
		close(p.fd);
	return finish(out, &info, e);
}

static int
fetch(struct s3 *s, char **args, struct err *e)
{
	struct s3_info info = { .has_sha256 = false };
	struct s3_fetch f = { .key = args[1], .size_bytes = opt.size, .if_match = opt.if_match };
	uint8_t digest[32], got[32];
	struct stat st;
	enum s3_outcome out;

	f.fd = open(args[2], O_RDWR | O_CREAT | (opt.resume ? 0 : O_TRUNC), 0644);
	if (f.fd < 0 || fstat(f.fd, &st) < 0) {
		perror(args[2]);
		return 73;
	}
	f.offset = (uint64_t)st.st_size;
	if (opt.sha256 != NULL && hex_digest(opt.sha256, digest))
		f.sha256 = digest;
	out = s3_fetch(s, &f, got, &info, e);
	close(f.fd);
	return finish(out, &info, e);
}

static int
get(struct s3 *s, char **args, struct err *e)
{
	struct s3_info info = { .has_sha256 = false };
	struct s3_get g = { .key = args[1], .if_match = opt.if_match, .if_none_match = opt.if_none_match,
		.on_body = print, .max_bytes = opt.size == UINT64_MAX ? 0 : opt.size };
	unsigned long long a, n;

	if (opt.range != NULL && sscanf(opt.range, "%llu+%llu", &a, &n) == 2) {
		g.offset = a;
		g.length = n;
	}
	return finish(s3_get(s, &g, &info, e), &info, e);
}

static int
run(struct s3 *s, char **args, struct err *e)
{
	struct s3_info info = { .has_sha256 = false };
	const char *c = args[0];

	if (strcmp(c, "get") == 0)
		return get(s, args, e);
	if (strcmp(c, "fetch") == 0)
		return fetch(s, args, e);
	if (strncmp(c, "put", 3) == 0 && strcmp(c, "putmany") != 0)
		return put(s, args, e);
	if (strcmp(c, "head") == 0)
		return finish(s3_head(s, args[1], &info, e), &info, e);
	if (strcmp(c, "delete") == 0)
		return finish(s3_delete(s, args[1], opt.if_match, e), NULL, e);
	if (strcmp(c, "list") == 0)
		return finish(s3_list(s, &(struct s3_list){ .prefix = args[1], .delimiter = opt.delimiter,
			.start_after = opt.start_after, .on_entry = entry, .page = opt.page }, &info, e), &info, e);
	if (strcmp(c, "uploads") == 0)
		return finish(s3_list_uploads(s, args[1], upload, NULL, &info, e), &info, e);
	if (strcmp(c, "abort") == 0)
		return finish(s3_abort_upload(s, args[1], args[2], e), NULL, e);
	if (strcmp(c, "presign") == 0) {
		char *url = s3_presign(s, args[1], args[2], (unsigned)atoi(args[3]), e);

		if (url != NULL)
			puts(url);
		free(url);
		return url != NULL ? 0 : finish(S3_FAILED, NULL, e);
	}
	if (strstr(c, "many") != NULL)
		return many(s, args, e);
	return 64;
}

static int
credentials(struct awsconf *conf, struct err *e)
{
	struct aws_credentials c;

	if (awsconf_get(conf, false, &c, e) < 0)
		return finish(S3_REFUSED, NULL, e);
	printf("%s %s %s %lld\n%s %s\n", c.key_id, c.secret, c.token, (long long)c.expires_us, awsconf_region(conf),
		awsconf_endpoint(conf) == NULL ? "-" : awsconf_endpoint(conf));
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct log log = { say, NULL, LOG_DEBUG };
	struct s3_opts o = { .http = { .cancel = &cancel }, .retry = retry_default() };
	struct awsconf_opts co = { .lookup = lookup, .cancel = &cancel };
	struct err e = ERR_INIT;
	struct awsconf *conf;
	const char *allowed = NULL;
	struct s3 *s;
	int i = 1, r;

	signal(SIGINT, on_signal);
	signal(SIGPIPE, SIG_IGN);
	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *k = argv[i] + 1, *v = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(k, "v") == 0) { o.log = &log; continue; }
		if (strcmp(k, "absent") == 0) { opt.if_absent = true; continue; }
		if (strcmp(k, "resume") == 0) { opt.resume = true; continue; }
		if (strcmp(k, "ca-only") == 0) { o.http.ca_only = true; continue; }
		if (strcmp(k, "anonymous") == 0) { co.anonymous = true; continue; }
		if (strcmp(k, "virtual") == 0) { o.style = S3_STYLE_VIRTUAL; continue; }
		i++;
		if (strcmp(k, "endpoint") == 0) co.endpoint = v;
		else if (strcmp(k, "region") == 0) co.region = v;
		else if (strcmp(k, "profile") == 0) co.profile = v;
		else if (strcmp(k, "ca") == 0) o.http.ca_file = v;
		else if (strcmp(k, "proxy") == 0) o.http.proxy = v;
		else if (strcmp(k, "allowed") == 0) {
			allowed = v;
			o.http.allowed_hosts = &allowed;
			o.http.n_allowed_hosts = 1;
		} else if (strcmp(k, "stall") == 0) o.http.stall_timeout = atof(v);
		else if (strcmp(k, "tries") == 0) o.retry.tries = (unsigned)atoi(v);
		else if (strcmp(k, "wait") == 0) o.retry.base = o.retry.cap = atof(v);
		else if (strcmp(k, "parallel") == 0) o.parallel = (unsigned)atoi(v);
		else if (strcmp(k, "above") == 0) (void)str_bytes("above", v, &o.multipart_above, &e);
		else if (strcmp(k, "part") == 0) (void)str_bytes("part", v, &o.part_bytes, &e);
		else if (strcmp(k, "range") == 0) opt.range = v;
		else if (strcmp(k, "match") == 0) opt.if_match = v;
		else if (strcmp(k, "none-match") == 0) opt.if_none_match = v;
		else if (strcmp(k, "sha256") == 0) opt.sha256 = v;
		else if (strcmp(k, "size") == 0) opt.size = strtoull(v, NULL, 10);
		else if (strcmp(k, "delimiter") == 0) opt.delimiter = v;
		else if (strcmp(k, "after") == 0) opt.start_after = v;
		else if (strcmp(k, "page") == 0) opt.page = (unsigned)atoi(v);
		else if (strcmp(k, "meta") == 0) opt.meta = v;
		else return 64;
	}
	if (argc - i < 2)
		return 64;
	if ((conf = awsconf_open(&co, &e)) == NULL)
		return finish(S3_FAILED, NULL, &e);
	if (strcmp(argv[i + 1], "credentials") == 0) {
		r = credentials(conf, &e);
	} else if ((s = s3_open(argv[i], &o, conf, &e)) == NULL) {
		r = finish(S3_FAILED, NULL, &e);
	} else {
		r = run(s, argv + i + 1, &e);
		s3_free(s);
	}
	awsconf_free(conf);
	return r;
}
