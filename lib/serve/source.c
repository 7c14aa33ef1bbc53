#include "serve/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

#define ARTIFACT "router.safetensors"
#define SUFFIX ".safetensors"
#define SPARE ((uint64_t)8 << 20)	/* scratch of the threads, buffers */

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* The one artifact of a folder. */
static int
in_folder(const char *dir, struct buf *out, struct err *e)
{
	size_t mark = out->len, found = 0;
	struct dirent *d;
	DIR *f;

	buf_printf(out, "%s/%s", dir, ARTIFACT);
	if (io_exists(buf_cstr(out) + mark))
		return buf_ok(out, e);
	if ((f = opendir(dir)) == NULL)
		return err_sys(e, ERR_NOINPUT, "%s", dir);
	while ((d = readdir(f)) != NULL) {
		if (d->d_name[0] == '.' || !ends_with(d->d_name, SUFFIX))
			continue;
		if (found++ == 0) {
			out->len = mark;
			buf_printf(out, "%s/%s", dir, d->d_name);
		}
	}
	(void)closedir(f);
	if (found == 1)
		return buf_ok(out, e);
	return err_set(e, ERR_NOINPUT, "%s: a folder with %s artifact; it should hold one: "
		"'llmr train KIND --data records.jsonl -o %s/%s'", dir, found == 0 ? "no" : "more than one", dir, ARTIFACT);
}

int
source_file(const char *path, struct buf *out, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return err_set(e, ERR_NOINPUT, "%s: there is no such file; an artifact is expected, as "
			"'llmr train KIND --data records.jsonl -o FILE' writes", path);
	if (stat(path, &st) < 0)
		return err_sys(e, ERR_NOINPUT, "%s", path);
	if (S_ISDIR(st.st_mode))
		return in_folder(path, out, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_NOINPUT, "%s: not a regular file", path);
	buf_str(out, path);
	return buf_ok(out, e);
}

static uint64_t
number_in(const char *path)
{
	unsigned long long v = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;	/* "max" */
	(void)fclose(f);
	return v >= (1ULL << 60) ? 0 : v;
}

uint64_t
source_memory_limit(void)
{
	uint64_t v = number_in("/sys/fs/cgroup/memory.max");

	return v != 0 ? v : number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
}

/* Resident bytes of this process. */
static uint64_t
resident(void)
{
	unsigned long long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &rss) != 2)
		rss = 0;
	(void)fclose(f);
	return rss * (uint64_t)sysconf(_SC_PAGESIZE);
}

int
source_fits(const char *path, uint64_t bytes, uint64_t limit, uint64_t active_bytes, struct err *e)
{
	uint64_t have = resident();

	if (limit == 0 || have + bytes + SPARE <= limit)
		return 0;
	return err_set(e, ERR_TEMPFAIL, "%s: %.1f MiB do not fit into memory beside the active model's %.1f MiB: "
		"%.1f MiB are in use and %.1f MiB may be", path, (double)bytes / 1048576, (double)active_bytes / 1048576,
		(double)have / 1048576, (double)limit / 1048576);
}

static struct loaded *
read_and_verify(const char *path, const struct loaded_opts *want, const struct proof_trust *t, struct proof *f,
	struct err *e)
{
	int64_t start = clock_mono_ns();
	struct loaded *l;
	bool is_signed;
	size_t n;
	void *p = loaded_bytes(path, 0, &n, e);

	/* The signature after the bytes: one that came late then fits what was read, or nothing does. */
	if (p == NULL || proof_read(path, f, e) < 0 || proof_check(f, t, path, p, n, &is_signed, e) < 0) {
		free(p);
		return NULL;
	}
	if ((l = loaded_take(p, n, want, path, e)) == NULL)
		return NULL;
	l->is_signed = is_signed;
	l->load_seconds = (double)(clock_mono_ns() - start) / 1e9;
	return l;
}

int
source_load(const struct router_settings *s, const char *embedder, const struct proof_trust *t,
	uint64_t limit, uint64_t active_bytes,
	struct source_model *out, struct err *e)
{
	struct loaded_opts want = { s->kind, embedder };
	struct buf path = BUF_INIT;
	struct stat st;

	*out = (struct source_model){ NULL, { PROOF_NONE, BUF_INIT, BUF_INIT } };
	if (s->model_path == NULL)
		return err_set(e, ERR_CONFIG, "routing_strategy_args.model_path: missing");
	if (source_file(s->model_path, &path, e) == 0 &&
	    (stat(buf_cstr(&path), &st) < 0 ||
	     source_fits(buf_cstr(&path), (uint64_t)st.st_size, limit, active_bytes, e) == 0))
		out->model = read_and_verify(buf_cstr(&path), &want, t, &out->proof, e);
	buf_finish(&path);
	return out->model == NULL ? -1 : 0;
}
