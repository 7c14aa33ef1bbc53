#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

bool
mem_mul(size_t a, size_t b, size_t *out)
{
	if (b != 0 && a > SIZE_MAX / b) {
		*out = 0;
		return false;
	}
	*out = a * b;
	return true;
}

void *
mem_calloc(size_t n, size_t size, struct err *e)
{
	void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

	if (p == NULL)
		err_nomem(e);
	return p;
}

void *
mem_realloc(void *p, size_t n, size_t size, struct err *e)
{
	size_t bytes;
	void *q;

	if (!mem_mul(n, size, &bytes)) {
		err_nomem(e);
		return NULL;
	}
	q = realloc(p, bytes == 0 ? 1 : bytes);
	if (q == NULL)
		err_nomem(e);
	return q;
}

/* Large blocks begin on a huge page: a table that is read at random costs a third less with cold caches. */
#define HUGE_PAGE ((size_t)2 * 1024 * 1024)
#define HUGE_FROM ((size_t)1024 * 1024)

void *
mem_aligned(size_t n, size_t size, struct err *e)
{
	size_t bytes, align = 64;
	void *p;

	if (!mem_mul(n, size, &bytes) || bytes > SIZE_MAX - 64) {
		err_nomem(e);
		return NULL;
	}
	if (bytes >= HUGE_FROM && bytes <= SIZE_MAX - HUGE_PAGE)
		align = HUGE_PAGE;
	bytes = (bytes + align - 1) & ~(align - 1);
	p = aligned_alloc(align, bytes == 0 ? align : bytes);
	if (p == NULL) {
		err_nomem(e);
		return NULL;
	}
#ifdef MADV_HUGEPAGE
	if (align == HUGE_PAGE)		/* a wish: where it is refused nothing is lost */
		(void)madvise(p, bytes, MADV_HUGEPAGE);
#endif
	memset(p, 0, bytes == 0 ? align : bytes);
	return p;
}

char *
mem_dup(const void *p, size_t n, struct err *e)
{
	char *q = mem_realloc(NULL, n + 1, 1, e);

	if (q == NULL)
		return NULL;
	if (n > 0)
		memcpy(q, p, n);
	q[n] = '\0';
	return q;
}

char *
mem_strdup(const char *s, struct err *e)
{
	return mem_dup(s, strlen(s), e);
}

int
mem_grow(void **p, size_t *cap, size_t need, size_t size, struct err *e)
{
	size_t n = *cap < 8 ? 8 : *cap;
	void *q;

	if (need <= *cap)
		return 0;
	while (n < need) {
		if (n > SIZE_MAX / 2)
			return err_nomem(e);
		n *= 2;
	}
	q = mem_realloc(*p, n, size, e);
	if (q == NULL)
		return -1;
	*p = q;
	*cap = n;
	return 0;
}

/* getrusage's peak starts at that of the process that started this one; Linux tells this one's own. */
size_t
mem_peak_rss(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	struct rusage u;
	char line[128];
	unsigned long long kib = 0;

	while (f != NULL && kib == 0 && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoull(line + 6, NULL, 10);
	if (f != NULL)
		(void)fclose(f);
	if (kib == 0 && getrusage(RUSAGE_SELF, &u) == 0)
		kib = (unsigned long long)u.ru_maxrss;
	return (size_t)kib * 1024;
}

struct arena_block {
	struct arena_block *next;
	size_t cap, used;
	_Alignas(16) unsigned char data[];
};

#define ARENA_MIN_BLOCK ((size_t)16 * 1024)

void *
arena_alloc(struct arena *a, size_t size, struct err *e)
{
	struct arena_block *b = a->head;
	size_t cap;
	void *p;

	if (size > SIZE_MAX / 4) {
		err_nomem(e);
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	if (b == NULL || b->cap - b->used < size) {
		cap = b == NULL ? ARENA_MIN_BLOCK : b->cap * 2;
		while (cap < size)
			cap *= 2;
		b = malloc(sizeof *b + cap);
		if (b == NULL) {
			err_nomem(e);
			return NULL;
		}
		b->cap = cap;
		b->used = 0;
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += size;
	a->used_bytes += size;
	return p;
}

char *
arena_dup(struct arena *a, const void *p, size_t n, struct err *e)
{
	char *q = arena_alloc(a, n + 1, e);

	if (q == NULL)
		return NULL;
	if (n > 0)
		memcpy(q, p, n);
	q[n] = '\0';
	return q;
}

void
arena_reset(struct arena *a)
{
	struct arena_block *b, *next;

	a->used_bytes = 0;
	if (a->head == NULL)
		return;
	for (b = a->head->next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	a->head->next = NULL;
	a->head->used = 0;
}

void
arena_finish(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	a->head = NULL;
	a->used_bytes = 0;
}
