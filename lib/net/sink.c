#define _GNU_SOURCE	/* sync_file_range */
#include "net/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/hash.h"

#define PIECE ((size_t)128 << 10)
#define PIECES (SINK_MEMORY / PIECE)
#define THREAD_ABOVE ((uint64_t)2 << 20)
#define WRITE_BACK ((uint64_t)32 << 20)

struct sink {
	int fd;
	bool digest, failed;
	uint64_t before;		/* bytes that were in the file, not digested yet */
	uint64_t at;			/* where the current piece begins in the file */
	size_t used;			/* of the current piece */
	struct sha256 hash;
	int read_errno;			/* of what was there before; EIO also for an early end */
	/* Pieces go round: filled by the caller, digested by the thread. */
	uint8_t *ring;			/* [PIECES][cap], or one piece without a thread */
	size_t cap;			/* of a piece */
	size_t n_piece[PIECES];
	bool threaded;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t filled, taken;		/* pieces, ever; under the lock */
	bool over, sleeping;		/* under the lock */
};

/* Begin to write the file out while more comes; only an advice. */
static void
start_write_back(int fd, uint64_t from, uint64_t n)
{
#ifdef SYNC_FILE_RANGE_WRITE
	(void)sync_file_range(fd, (off64_t)from, (off64_t)n, SYNC_FILE_RANGE_WRITE);
#else
	(void)fd;
	(void)from;
	(void)n;
#endif
}

/* Digest of what the file held before; piece is scratch. */
static void
digest_before(struct sink *s, uint8_t *piece)
{
	for (uint64_t at = 0; at < s->before;) {
		size_t n = s->before - at < s->cap ? (size_t)(s->before - at) : s->cap;
		ssize_t got = pread(s->fd, piece, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			s->read_errno = got < 0 ? errno : EIO;
			return;
		}
		sha256_add(&s->hash, piece, (size_t)got);
		at += (uint64_t)got;
	}
}

static void *
digest_thread(void *arg)
{
	struct sink *s = arg;
	uint64_t taken = 0, written = s->before, started = s->before;

	for (;;) {
		uint64_t filled;

		pthread_mutex_lock(&s->lock);
		s->taken = taken;
		pthread_cond_signal(&s->changed);
		s->sleeping = true;
		while (s->filled == taken && !s->over)
			pthread_cond_wait(&s->changed, &s->lock);
		s->sleeping = false;
		filled = s->filled;
		pthread_mutex_unlock(&s->lock);
		if (filled == taken)
			return NULL;
		if (s->digest)
			sha256_add(&s->hash, s->ring + taken % PIECES * s->cap, s->n_piece[taken % PIECES]);
		written += s->n_piece[taken % PIECES];
		taken++;
		if (written - started >= WRITE_BACK) {
			start_write_back(s->fd, started, written - started);
			started = written;
		}
	}
}

struct sink *
sink_open(int fd, uint64_t offset, uint64_t expect_bytes, bool digest, struct err *e)
{
	struct sink *s = mem_calloc(1, sizeof *s, e);
	bool large = expect_bytes > offset && expect_bytes - offset >= THREAD_ABOVE;

	if (s == NULL)
		return NULL;
	s->cap = expect_bytes > 0 && expect_bytes < PIECE ? (size_t)expect_bytes : PIECE;
	s->fd = fd;
	s->digest = digest;
	s->before = s->at = offset;
	if ((s->ring = mem_calloc(large ? PIECES : 1, s->cap, e)) == NULL) {
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	sha256_init(&s->hash);
	if (digest)
		digest_before(s, s->ring);
	if (large)
		s->threaded = pthread_create(&s->thread, NULL, digest_thread, s) == 0;
	return s;
}

static int
write_piece(struct sink *s, const uint8_t *p, struct err *e)
{
	size_t done = 0;

	while (done < s->used) {
		ssize_t k = pwrite(s->fd, p + done, s->used - done, (off_t)(s->at + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			s->failed = true;
			return err_sys(e, ERR_IO, "cannot be written");
		}
		done += (size_t)k;
	}
	return 0;
}

static uint8_t *
current(struct sink *s)
{
	return s->ring + (s->threaded ? s->filled % PIECES * s->cap : 0);
}

/* The current piece is full, or the last: to the file and to the digest. */
static int
pass_on(struct sink *s, struct err *e)
{
	uint8_t *p = current(s);

	if (write_piece(s, p, e) < 0)
		return -1;
	s->at += s->used;
	if (!s->threaded) {
		if (s->digest)
			sha256_add(&s->hash, p, s->used);
		s->used = 0;
		return 0;
	}
	s->n_piece[s->filled % PIECES] = s->used;
	s->used = 0;
	pthread_mutex_lock(&s->lock);
	s->filled++;
	if (s->sleeping)
		pthread_cond_signal(&s->changed);
	while (s->filled - s->taken == PIECES)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int
sink_add(struct sink *s, const void *p, size_t n, struct err *e)
{
	const uint8_t *from = p;

	if (s->failed)
		return err_set(e, ERR_IO, "cannot be written");
	while (n > 0) {
		size_t k = s->cap - s->used < n ? s->cap - s->used : n;

		memcpy(current(s) + s->used, from, k);
		s->used += k;
		from += k;
		n -= k;
		if (s->used == s->cap && pass_on(s, e) < 0)
			return -1;
	}
	return 0;
}

int
sink_close(struct sink *s, uint8_t out[32], struct err *e)
{
	int r = 0;

	if (s == NULL)
		return 0;
	if (s->failed)
		r = err_set(e, ERR_IO, "cannot be written");
	else if (s->used > 0)
		r = pass_on(s, e);
	if (s->threaded) {
		pthread_mutex_lock(&s->lock);
		s->over = true;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->lock);
		(void)pthread_join(s->thread, NULL);
	}
	if (r == 0 && s->read_errno != 0) {
		errno = s->read_errno;
		r = err_sys(e, ERR_IO, "cannot be read back");
	}
	if (r == 0 && s->digest && out != NULL)
		sha256_final(&s->hash, out);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->ring);
	free(s);
	return r;
}
