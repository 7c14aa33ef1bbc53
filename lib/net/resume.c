#include "net/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"

#define FORMAT "llmr-extract-1"
#define DEFAULT_PIECE ((size_t)4 << 20)
#define MAX_LINE ((size_t)1 << 30)

struct resume {
	char *out, *partial, *state;	/* partial and state NULL when written straight through */
	int fd, state_fd;
	struct buf piece;		/* lines not yet in the file */
	struct buf packed;
	struct buf ids;			/* 16 bytes each, since the last journal line */
	size_t n_ids_upto;		/* of them, those of finished windows */
	size_t piece_bytes;
	int64_t interval_ns, last_ns;
	uint64_t offset;		/* bytes in the file */
	uint64_t traces, spans;
	uint64_t journaled;		/* traces that the journal's last line counts */
	int64_t upto_us;
	bool pending;			/* a point that is not in the journal */
};

static void
resume_free(struct resume *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		(void)close(r->fd);
	if (r->state_fd >= 0)
		(void)close(r->state_fd);
	buf_finish(&r->piece);
	buf_finish(&r->packed);
	buf_finish(&r->ids);
	free(r->out);
	free(r->partial);
	free(r->state);
	free(r);
}

static char *
with_suffix(const char *path, const char *suffix, struct err *e)
{
	struct buf b = BUF_INIT;

	buf_str(&b, path);
	buf_str(&b, suffix);
	return buf_take(&b, e);
}

/* Paths that cannot be renamed into place: standard output, pipes, devices. */
static int
open_straight(struct resume *r, bool *straight, struct err *e)
{
	struct stat st;

	*straight = true;
	if (strcmp(r->out, "-") == 0) {
		r->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return r->fd < 0 ? err_sys(e, ERR_CANTCREAT, "standard output") : 0;
	}
	if (stat(r->out, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(e, ERR_CANTCREAT, "cannot create %s: is a directory", r->out);
	if (stat(r->out, &st) == 0 && !S_ISREG(st.st_mode)) {
		r->fd = open(r->out, O_WRONLY | O_CLOEXEC);
		return r->fd < 0 ? err_sys(e, ERR_CANTCREAT, "%s", r->out) : 0;
	}
	*straight = false;
	return 0;
}

/* Open read-write, created when missing, locked against a second process. */
static int
open_locked(const char *path, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(e, ERR_CANTCREAT, "cannot create %s", path);
	if (fcntl(fd, F_SETLK, &lock) != 0) {
		if (errno == EACCES || errno == EAGAIN)
			err_set(e, ERR_TEMPFAIL, "%s: another llmr works on it", path);
		else
			err_sys(e, ERR_IO, "%s: lock", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* What the journal says. */
struct journal {
	bool any, done;
	struct slice query;		/* in the arena of the reader */
	int64_t start_us, end_us, upto_us;
	uint64_t offset, traces, spans;
	size_t good_bytes;		/* up to the end of the last whole line */
};

static bool
add_ids(struct slice hex, struct idset *seen, struct err *e)
{
	uint8_t id[16];

	if (hex.n % 32 != 0)
		return false;
	for (size_t i = 0; i < hex.n; i += 32) {
		if (!idset_parse((struct slice){ hex.p + i, 32 }, id) || idset_add(seen, id, NULL, e) < 0)
			return false;
	}
	return true;
}

static bool
read_int(struct jread *j, int64_t *out)
{
	struct slice text;
	long long v;

	if (!jread_number(j, &text) || !slice_int(text, &v))
		return false;
	*out = v;
	return true;
}

static bool
read_count(struct jread *j, uint64_t *out)
{
	int64_t v;

	if (!read_int(j, &v) || v < 0)
		return false;
	*out = (uint64_t)v;
	return true;
}

/* One line; false when it is not one of ours. The first line must name format and query. */
static bool
read_line(struct slice line, struct arena *mem, struct journal *g, struct idset *seen)
{
	struct slice key, format = SLICE_NONE, ids = SLICE_NONE;
	struct journal n = *g;
	bool ok = true;
	struct jread j;

	jread_init(&j, line.p, line.n);
	if (!jread_object(&j))
		return false;
	while (ok && jread_member(&j, &key)) {
		if (slice_is(key, "format"))
			ok = jread_string(&j, mem, &format);
		else if (slice_is(key, "query"))
			ok = jread_string(&j, mem, &n.query);
		else if (slice_is(key, "start_us"))
			ok = read_int(&j, &n.start_us);
		else if (slice_is(key, "end_us"))
			ok = read_int(&j, &n.end_us);
		else if (slice_is(key, "upto_us"))
			ok = read_int(&j, &n.upto_us);
		else if (slice_is(key, "offset"))
			ok = read_count(&j, &n.offset);
		else if (slice_is(key, "traces"))
			ok = read_count(&j, &n.traces);
		else if (slice_is(key, "spans"))
			ok = read_count(&j, &n.spans);
		else if (slice_is(key, "done"))
			ok = jread_bool(&j, &n.done);
		else if (slice_is(key, "ids"))
			ok = jread_string(&j, mem, &ids);
		else
			ok = jread_skip(&j);
	}
	if (!ok || jread_done(&j, NULL) < 0)
		return false;
	if (!g->any) {
		if (!slice_is(format, FORMAT) || n.query.p == NULL || n.start_us >= n.end_us)
			return false;
		n.upto_us = n.start_us;
		n.query.p = arena_dup(mem, n.query.p, n.query.n, NULL);
		if (n.query.p == NULL)
			return false;
	}
	if (n.upto_us < g->upto_us || n.offset < g->offset || !add_ids(ids, seen, NULL))
		return false;
	n.any = true;
	*g = n;
	return true;
}

/* Read the journal up to its last whole line; what stands behind is a torn write. */
static int
read_journal(struct resume *r, struct arena *mem, struct journal *g, struct idset *seen,
	struct err *e)
{
	struct buf text = BUF_INIT;
	size_t at = 0;
	int out = -1;

	if (io_read_file(r->state, MAX_LINE, &text, e) < 0)
		goto out;
	while (at < text.len) {
		const char *nl = memchr(text.p + at, '\n', text.len - at);
		size_t n;

		if (nl == NULL)
			break;
		n = (size_t)(nl - text.p) - at;
		if (!read_line((struct slice){ text.p + at, n }, mem, g, seen)) {
			err_set(e, ERR_INPUT,
				"%s: byte %zu: not a state file of llmr extract: remove it to start over",
				r->state, at);
			goto out;
		}
		at += n + 1;
	}
	g->good_bytes = at;
	out = 0;
out:
	buf_finish(&text);
	return out;
}

static int
append_journal(struct resume *r, const struct buf *line, struct err *e)
{
	if (buf_ok(line, e) < 0)
		return -1;
	if (io_write_full(r->state_fd, line->p, line->len, e) < 0)
		return err_wrap(e, "%s", r->state);
	if (fsync(r->state_fd) != 0)
		return err_sys(e, ERR_IO, "%s: fsync", r->state);
	return 0;
}

static int
start_fresh(struct resume *r, const struct resume_opts *o, struct err *e)
{
	struct buf line = BUF_INIT;
	struct jsonw w;
	int out;

	if (ftruncate(r->fd, 0) != 0 || ftruncate(r->state_fd, 0) != 0 ||
	    lseek(r->fd, 0, SEEK_SET) < 0 || lseek(r->state_fd, 0, SEEK_SET) < 0)
		return err_sys(e, ERR_IO, "%s", r->partial);
	jsonw_init(&w, &line);
	jsonw_object(&w);
	jsonw_kstr(&w, "format", FORMAT);
	jsonw_kstr(&w, "query", o->query);
	jsonw_kint(&w, "start_us", o->start_us);
	jsonw_kint(&w, "end_us", o->end_us);
	jsonw_end_object(&w);
	buf_byte(&line, '\n');
	out = append_journal(r, &line, e);
	buf_finish(&line);
	return out;
}

/* Cut both files back to the last point and stand at their ends. */
static int
go_on(struct resume *r, const struct journal *g, struct err *e)
{
	struct stat st;

	if (fstat(r->fd, &st) != 0)
		return err_sys(e, ERR_IO, "%s", r->partial);
	if ((uint64_t)st.st_size < g->offset)
		return err_set(e, ERR_INPUT,
			"%s is shorter than %s says: use --restart to start over", r->partial, r->state);
	if (ftruncate(r->fd, (off_t)g->offset) != 0 ||
	    ftruncate(r->state_fd, (off_t)g->good_bytes) != 0 ||
	    lseek(r->fd, (off_t)g->offset, SEEK_SET) < 0 ||
	    lseek(r->state_fd, (off_t)g->good_bytes, SEEK_SET) < 0)
		return err_sys(e, ERR_IO, "%s", r->partial);
	r->offset = g->offset;
	r->traces = r->journaled = g->traces;
	r->spans = g->spans;
	r->upto_us = g->upto_us;
	return 0;
}

/* Begin or go on with the two files. */
static int
open_files(struct resume *r, const struct resume_opts *o, struct idset *seen,
	struct resume_point *at, struct err *e)
{
	struct journal g = { .any = false, .upto_us = INT64_MIN };
	struct arena mem = ARENA_INIT;
	bool had_partial = io_exists(r->partial);
	int out = -1;

	/* The state first: the lock on it keeps a second process away from both. */
	if ((r->state_fd = open_locked(r->state, e)) < 0)
		goto out;
	if (!o->restart && read_journal(r, &mem, &g, seen, e) < 0)
		goto out;
	if (g.any && !slice_is(g.query, o->query)) {
		err_set(e, ERR_USAGE,
			"%s belongs to an extraction with other options: repeat those, or use --restart to start over",
			r->state);
		goto out;
	}
	r->fd = open(r->partial, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (r->fd < 0) {
		err_sys(e, ERR_CANTCREAT, "cannot create %s", r->partial);
		goto out;
	}
	/* Killed between taking the final name and removing the state: that run was complete. */
	if (!g.any || (g.done && !had_partial)) {
		idset_finish(seen);
		out = start_fresh(r, o, e);
		goto out;
	}
	at->resumed = true;
	at->start_us = g.start_us;
	at->end_us = g.end_us;
	at->upto_us = g.upto_us;
	at->traces = g.traces;
	at->spans = g.spans;
	out = go_on(r, &g, e);
out:
	arena_finish(&mem);
	return out;
}

/* A fresh run that failed to open leaves nothing behind. */
static void
drop_empty(struct resume *r)
{
	struct stat st;

	if (r->fd >= 0 && fstat(r->fd, &st) == 0 && st.st_size == 0)
		(void)unlink(r->partial);
	if (r->state_fd >= 0 && fstat(r->state_fd, &st) == 0 && st.st_size == 0)
		(void)unlink(r->state);
}

struct resume *
resume_open(const struct resume_opts *o, struct idset *seen, struct resume_point *at, struct err *e)
{
	struct resume *r = mem_calloc(1, sizeof *r, e);
	bool straight;

	*at = (struct resume_point){ .start_us = o->start_us, .end_us = o->end_us,
		.upto_us = o->start_us };
	if (r == NULL)
		return NULL;
	r->fd = r->state_fd = -1;
	r->piece_bytes = o->piece_bytes == 0 ? DEFAULT_PIECE : o->piece_bytes;
	r->interval_ns = (int64_t)((o->seconds > 0 ? o->seconds : 1) * 1e9);
	r->last_ns = clock_mono_ns();
	if ((r->out = mem_strdup(o->out, e)) == NULL || open_straight(r, &straight, e) < 0)
		goto fail;
	if (straight) {
		if (o->state == NULL)
			return r;
		err_set(e, ERR_USAGE, "--state needs an output file (-o FILE) that can be gone on with");
		goto fail;
	}
	r->partial = with_suffix(r->out, ".partial", e);
	r->state = o->state != NULL ? mem_strdup(o->state, e) : with_suffix(r->out, ".state", e);
	if (r->partial != NULL && r->state != NULL && open_files(r, o, seen, at, e) == 0)
		return r;
	drop_empty(r);
fail:
	resume_free(r);
	return NULL;
}

/* Move the collected lines into the file as one piece. */
static int
write_piece(struct resume *r, struct err *e)
{
	buf_reset(&r->packed);
	if (buf_ok(&r->piece, e) < 0 ||
	    stream_pack(r->out, r->piece.p, r->piece.len, &r->packed, e) < 0)
		return -1;
	if (io_write_full(r->fd, r->packed.p, r->packed.len, e) < 0)
		return err_wrap(e, "%s", r->partial != NULL ? r->partial :
			strcmp(r->out, "-") == 0 ? "standard output" : r->out);
	r->offset += r->packed.len;
	buf_reset(&r->piece);
	return 0;
}

int
resume_add(struct resume *r, const uint8_t id[16], uint64_t spans, const void *line, size_t n,
	struct err *e)
{
	buf_add(&r->piece, line, n);
	if (r->state != NULL)
		buf_add(&r->ids, id, 16);
	r->traces++;
	r->spans += spans;
	if (buf_ok(&r->piece, e) < 0 || buf_ok(&r->ids, e) < 0)
		return -1;
	return r->piece.len >= r->piece_bytes ? write_piece(r, e) : 0;
}

/* Journal the point that is reached. All of the lines so far belong before it. */
static int
checkpoint(struct resume *r, struct err *e)
{
	struct buf line = BUF_INIT;
	char hex[33];
	int out = -1;

	if (write_piece(r, e) < 0)
		return -1;
	r->last_ns = clock_mono_ns();
	if (r->state == NULL)
		return 0;
	if (fsync(r->fd) != 0)
		return err_sys(e, ERR_IO, "%s: fsync", r->partial);
	buf_printf(&line, "{\"upto_us\":%" PRId64 ",\"offset\":%" PRIu64 ",\"traces\":%" PRIu64
		",\"spans\":%" PRIu64 ",\"ids\":\"", r->upto_us, r->offset, r->traces, r->spans);
	for (size_t i = 0; i < r->ids.len; i += 16) {
		hex_format((const uint8_t *)r->ids.p + i, 16, hex);
		buf_add(&line, hex, 32);
	}
	buf_str(&line, "\"}\n");
	if (append_journal(r, &line, e) == 0) {
		buf_reset(&r->ids);
		r->journaled = r->traces;
		r->pending = false;
		out = 0;
	}
	buf_finish(&line);
	return out;
}

int
resume_upto(struct resume *r, int64_t upto_us, struct err *e)
{
	r->upto_us = upto_us;
	r->n_ids_upto = r->ids.len;
	r->pending = true;
	if (r->piece.len >= r->piece_bytes / 2 || clock_mono_ns() - r->last_ns >= r->interval_ns)
		return checkpoint(r, e);
	return 0;
}

static int
take_name(struct resume *r, struct err *e)
{
	static const char done[] = "{\"done\":true}\n";
	const struct buf line = { .p = (char *)(uintptr_t)done, .len = sizeof done - 1 };

	if (append_journal(r, &line, e) < 0)
		return -1;
	if (rename(r->partial, r->out) != 0)
		return err_sys(e, ERR_CANTCREAT, "cannot create %s", r->out);
	if (unlink(r->state) != 0)
		return err_sys(e, ERR_IO, "%s: remove", r->state);
	return 0;
}

int
resume_commit(struct resume *r, struct err *e)
{
	int out = checkpoint(r, e);

	if (out == 0 && r->state != NULL)
		out = take_name(r, e);
	resume_free(r);
	return out;
}

int
resume_keep(struct resume *r, uint64_t *kept, struct err *e)
{
	bool mid_window = r->ids.len > r->n_ids_upto;
	int out = 0;

	/* Lines of a window that is not whole would come again: they are not journaled. */
	if (r->state == NULL)
		out = write_piece(r, e);
	else if (r->pending && !mid_window)
		out = checkpoint(r, e);
	*kept = r->journaled;
	if (r->state != NULL && r->journaled == 0) {
		(void)unlink(r->partial);
		(void)unlink(r->state);
	}
	resume_free(r);
	return out;
}
