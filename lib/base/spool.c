#include "base/spool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define DEFAULT_MEMORY ((size_t)4 << 20)

/* Move what is in memory behind what is in the file. */
static int
spill(struct spool *s, struct err *e)
{
	if (s->fd < 0 && (s->fd = io_tmpfile(e)) < 0)
		return -1;
	if (io_write_full(s->fd, s->mem.p, s->mem.len, e) < 0)
		return err_wrap(e, "temporary file in TMPDIR");
	buf_reset(&s->mem);
	return 0;
}

int
spool_write(struct spool *s, const void *p, size_t n, struct err *e)
{
	buf_add(&s->mem, p, n);
	if (buf_ok(&s->mem, e) < 0)
		return -1;
	s->len += n;
	if (s->mem.len > (s->max_memory == 0 ? DEFAULT_MEMORY : s->max_memory))
		return spill(s, e);
	return 0;
}

int
spool_read(struct spool *s, uint64_t at, void *p, size_t n, struct err *e)
{
	uint64_t in_file = s->len - s->mem.len;
	char *to = p;

	while (n > 0 && at < in_file) {
		ssize_t k = pread(s->fd, to, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_sys(e, ERR_IO, "temporary file in TMPDIR: read");
		if ((uint64_t)k > in_file - at)
			k = (ssize_t)(in_file - at);
		to += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	if (n > 0)
		memcpy(to, s->mem.p + (at - in_file), n);
	return 0;
}

int
spool_rewind(struct spool *s, struct err *e)
{
	if (s->fd < 0)
		return 0;
	if (s->mem.len > 0 && spill(s, e) < 0)
		return -1;
	if (lseek(s->fd, 0, SEEK_SET) < 0)
		return err_sys(e, ERR_IO, "temporary file in TMPDIR: seek");
	return 0;
}

void
spool_reset(struct spool *s)
{
	/* The file goes away too: the next contents may be small again. */
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	buf_reset(&s->mem);
	s->len = 0;
}

void
spool_finish(struct spool *s)
{
	spool_reset(s);
	buf_finish(&s->mem);
}
