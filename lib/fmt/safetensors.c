#include "fmt/safetensors.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used in place");

#define LENGTH_BYTES 8		/* the header's length, before it */
#define ALIGN 64
#define HUGE_PAGE ((size_t)2 << 20)
#define FILLER "_pad."		/* the format knows no gaps: alignment is made by tensors of zeros */
#define METADATA "__metadata__"

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[DTYPE_U8] = { "U8", 1 }, [DTYPE_I8] = { "I8", 1 }, [DTYPE_U16] = { "U16", 2 },
	[DTYPE_I16] = { "I16", 2 }, [DTYPE_F16] = { "F16", 2 }, [DTYPE_BF16] = { "BF16", 2 },
	[DTYPE_U32] = { "U32", 4 }, [DTYPE_I32] = { "I32", 4 }, [DTYPE_F32] = { "F32", 4 },
	[DTYPE_U64] = { "U64", 8 }, [DTYPE_I64] = { "I64", 8 }, [DTYPE_F64] = { "F64", 8 },
	[DTYPE_BOOL] = { "BOOL", 1 },
};
#define N_DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

struct meta {
	struct slice key, value;
};

struct tensorfile {
	char *raw;
	size_t n;
	bool mapped;			/* raw by mmap */
	struct tensor *tensors;		/* sorted by name, fillers left out */
	size_t n_tensors, cap_tensors;
	struct meta *metas;		/* sorted by key */
	size_t n_metas, cap_metas;
	struct arena arena;
};

size_t
dtype_size(enum dtype d)
{
	return dtypes[d].size;
}

const char *
dtype_name(enum dtype d)
{
	return dtypes[d].name;
}

static bool
dtype_parse(struct slice s, enum dtype *out)
{
	for (size_t i = 0; i < N_DTYPES; i++) {
		if (slice_is(s, dtypes[i].name)) {
			*out = (enum dtype)i;
			return true;
		}
	}
	return false;
}

static int
slice_cmp(struct slice a, struct slice b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int
cmp_name(const void *a, const void *b)
{
	return slice_cmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int
cmp_key(const void *a, const void *b)
{
	return slice_cmp(((const struct meta *)a)->key, ((const struct meta *)b)->key);
}

/* By place; empty tensors before the one that begins where they lie. */
static int
cmp_place(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;
	const char *p = x->data, *q = y->data;

	if (p != q)
		return p < q ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Decoded key of an object; a NUL inside would hide its tail from C strings. */
static int
take_key(struct tensorfile *f, struct slice raw, struct slice *out, struct err *e)
{
	if (!jread_unescape(raw, &f->arena, out))
		return err_nomem(e);
	if (out->p == NULL)
		*out = SLICE_LIT("");
	if (memchr(out->p, 0, out->n) != NULL)
		return err_set(e, ERR_INPUT, "header: a key holds a NUL");
	return 0;
}

static int
read_metadata(struct tensorfile *f, struct jread *r, struct err *e)
{
	struct slice raw, key, value;

	if (!jread_object(r))
		return jread_fail(r, e);
	while (jread_member(r, &raw)) {
		if (take_key(f, raw, &key, e) < 0)
			return -1;
		if (!jread_string(r, &f->arena, &value))
			return err_set(e, ERR_INPUT, "header: metadata \"%.*s\" is not a string",
				(int)(key.n < 80 ? key.n : 80), key.p);
		if (value.p == NULL)
			value = SLICE_LIT("");
		if (mem_grow((void **)&f->metas, &f->cap_metas, f->n_metas + 1,
			sizeof(*f->metas), e) < 0)
			return -1;
		f->metas[f->n_metas++] = (struct meta){ key, value };
	}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

/* The next array element as a whole number below 2^48; false when it is none. */
static bool
read_count(struct jread *r, uint64_t *out)
{
	struct slice text;
	long long v;

	if (!jread_number(r, &text) || !slice_int(text, &v) || v < 0 || v >= 1LL << 48)
		return false;
	*out = (uint64_t)v;
	return true;
}

static bool
read_shape(struct jread *r, struct tensor *t)
{
	if (!jread_array(r))
		return false;
	while (jread_element(r)) {
		if (t->n_dims == TENSOR_MAX_DIMS || !read_count(r, &t->shape[t->n_dims]))
			return false;
		t->n_dims++;
	}
	return jread_well(r);
}

static bool
read_offsets(struct jread *r, uint64_t at[2])
{
	size_t n = 0;

	if (!jread_array(r))
		return false;
	while (jread_element(r)) {
		if (n == 2 || !read_count(r, &at[n]))
			return false;
		n++;
	}
	return jread_well(r) && n == 2;
}

/* Elements and bytes of a shape; false on overflow. */
static bool
size_of(struct tensor *t)
{
	size_t n = 1, bytes;

	for (unsigned i = 0; i < t->n_dims; i++) {
		if (t->shape[i] > SIZE_MAX || !mem_mul(n, (size_t)t->shape[i], &n))
			return false;
	}
	if (!mem_mul(n, dtypes[t->dtype].size, &bytes))
		return false;
	t->elements = n;
	t->bytes = bytes;
	return true;
}

#define NAME(t) (int)((t)->name.n < 120 ? (t)->name.n : 120), (t)->name.p

/* What a tensor says of itself, against its place in the data of n bytes. */
static int
check_tensor(struct tensor *t, const char *data, size_t n, const uint64_t at[2], struct err *e)
{
	if (!size_of(t))
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": shape is too large", NAME(t));
	if (at[0] > at[1] || at[1] > n)
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": offsets lie outside the data",
			NAME(t));
	if (at[1] - at[0] != t->bytes)
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": offsets do not fit the shape",
			NAME(t));
	t->data = data + at[0];
	if ((uintptr_t)t->data % dtypes[t->dtype].size != 0)
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": is not aligned to its type",
			NAME(t));
	return 0;
}

static int
read_tensor(struct tensorfile *f, struct jread *r, struct slice name, const char *data,
	size_t n, struct err *e)
{
	enum { SEEN_DTYPE = 1, SEEN_SHAPE = 2, SEEN_OFFSETS = 4 };
	struct tensor t = { .name = name };
	uint64_t at[2] = { 0, 0 };
	struct slice key, text;
	unsigned seen = 0, bit;
	bool ok;

	if (!jread_object(r))
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": is not an object", NAME(&t));
	while (jread_member(r, &key)) {
		if (slice_is(key, "dtype")) {
			bit = SEEN_DTYPE;
			ok = jread_string(r, &f->arena, &text) && dtype_parse(text, &t.dtype);
		} else if (slice_is(key, "shape")) {
			bit = SEEN_SHAPE;
			ok = (seen & SEEN_SHAPE) == 0 && read_shape(r, &t);
		} else if (slice_is(key, "data_offsets")) {
			bit = SEEN_OFFSETS;
			ok = read_offsets(r, at);
		} else {
			return err_set(e, ERR_INPUT, "tensor \"%.*s\": unknown key \"%.*s\"",
				NAME(&t), (int)(key.n < 40 ? key.n : 40), key.p);
		}
		if (!jread_well(r))
			return jread_fail(r, e);
		if (!ok || (seen & bit) != 0)
			return err_set(e, ERR_INPUT, "tensor \"%.*s\": bad or repeated \"%.*s\"",
				NAME(&t), (int)key.n, key.p);
		seen |= bit;
	}
	if (!jread_well(r))
		return jread_fail(r, e);
	if (seen != (SEEN_DTYPE | SEEN_SHAPE | SEEN_OFFSETS))
		return err_set(e, ERR_INPUT, "tensor \"%.*s\": needs dtype, shape and data_offsets",
			NAME(&t));
	if (check_tensor(&t, data, n, at, e) < 0 ||
		mem_grow((void **)&f->tensors, &f->cap_tensors, f->n_tensors + 1,
			sizeof(*f->tensors), e) < 0)
		return -1;
	f->tensors[f->n_tensors++] = t;
	return 0;
}

static int
read_header(struct tensorfile *f, const char *text, size_t n, const char *data, size_t n_data,
	struct err *e)
{
	struct slice raw, name;
	struct jread r;
	bool meta = false;

	jread_init(&r, text, n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "header is not a JSON object");
	while (jread_member(&r, &raw)) {
		if (take_key(f, raw, &name, e) < 0)
			return -1;
		if (!slice_is(name, METADATA)) {
			if (read_tensor(f, &r, name, data, n_data, e) < 0)
				return -1;
			continue;
		}
		if (meta)
			return err_set(e, ERR_INPUT, "header: repeated \"" METADATA "\"");
		meta = true;
		if (read_metadata(f, &r, e) < 0)
			return -1;
	}
	return jread_done(&r, e);
}

/* Every byte of the data belongs to one tensor. */
static int
check_places(struct tensorfile *f, const char *data, size_t n, struct err *e)
{
	const char *end = data;

	if (f->n_tensors > 1)
		qsort(f->tensors, f->n_tensors, sizeof(*f->tensors), cmp_place);
	for (size_t i = 0; i < f->n_tensors; i++) {
		const struct tensor *t = &f->tensors[i];

		if ((const char *)t->data != end)
			return err_set(e, ERR_INPUT, "tensor \"%.*s\": %s the tensor before it",
				NAME(t), (const char *)t->data < end ? "overlaps" :
				"leaves a gap behind");
		end += t->bytes;
	}
	if (end != data + n)
		return err_set(e, ERR_INPUT, "%zu bytes behind the last tensor",
			(size_t)(data + n - end));
	return 0;
}

/* Fillers are zeros for alignment and nothing else; they are dropped from the list. */
static int
drop_fillers(struct tensorfile *f, struct err *e)
{
	static const char zeros[ALIGN];
	size_t kept = 0;

	for (size_t i = 0; i < f->n_tensors; i++) {
		const struct tensor *t = &f->tensors[i];

		if (!slice_starts(t->name, FILLER)) {
			f->tensors[kept++] = *t;
			continue;
		}
		if (t->bytes >= ALIGN || memcmp(t->data, zeros, (size_t)t->bytes) != 0)
			return err_set(e, ERR_INPUT, "tensor \"%.*s\": is no filler of zeros",
				NAME(t));
	}
	f->n_tensors = kept;
	return 0;
}

static int
check_names(struct tensorfile *f, struct err *e)
{
	if (f->n_tensors > 1)
		qsort(f->tensors, f->n_tensors, sizeof(*f->tensors), cmp_name);
	if (f->n_metas > 1)
		qsort(f->metas, f->n_metas, sizeof(*f->metas), cmp_key);
	for (size_t i = 1; i < f->n_tensors; i++) {
		if (cmp_name(&f->tensors[i - 1], &f->tensors[i]) == 0)
			return err_set(e, ERR_INPUT, "tensor \"%.*s\": occurs twice",
				NAME(&f->tensors[i]));
	}
	for (size_t i = 1; i < f->n_metas; i++) {
		if (cmp_key(&f->metas[i - 1], &f->metas[i]) == 0)
			return err_set(e, ERR_INPUT, "header: metadata \"%.80s\" occurs twice",
				f->metas[i].key.p);
	}
	return 0;
}

static int
parse(struct tensorfile *f, struct err *e)
{
	const char *text = f->raw + LENGTH_BYTES, *data;
	uint64_t header;
	size_t n_data;

	if (f->n < LENGTH_BYTES + 2)
		return err_set(e, ERR_INPUT, "too short to be a safetensors file: %zu bytes", f->n);
	memcpy(&header, f->raw, sizeof(header));
	if (header > TENSORFILE_MAX_HEADER)
		return err_set(e, ERR_INPUT, "not a safetensors file, or its header is above %u bytes",
			TENSORFILE_MAX_HEADER);
	if (header > f->n - LENGTH_BYTES)
		return err_set(e, ERR_INPUT, "header length %llu is beyond the end of the file",
			(unsigned long long)header);
	data = text + header;
	n_data = f->n - LENGTH_BYTES - (size_t)header;
	if (read_header(f, text, (size_t)header, data, n_data, e) < 0 ||
		check_places(f, data, n_data, e) < 0 || drop_fillers(f, e) < 0)
		return -1;
	return check_names(f, e);
}

struct tensorfile *
tensorfile_take(void *p, size_t n, struct err *e)
{
	struct tensorfile *f = mem_calloc(1, sizeof(*f), e);

	if (f == NULL)
		return NULL;
	f->raw = p;
	f->n = n;
	if (parse(f, e) < 0) {
		f->raw = NULL;		/* stays the caller's */
		tensorfile_free(f);
		return NULL;
	}
	return f;
}

void
tensorfile_free(struct tensorfile *f)
{
	if (f == NULL)
		return;
	if (f->mapped)
		(void)munmap(f->raw, f->n);
	else
		free(f->raw);
	free(f->tensors);
	free(f->metas);
	arena_finish(&f->arena);
	free(f);
}

/*
 * Memory for a file. Large ones ask for huge pages: a router's tables are read
 * at random, and page faults alone would cost more than reading the file.
 */
static void *
file_memory(size_t n, struct err *e)
{
#ifdef MADV_HUGEPAGE
	size_t bytes = (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	void *p;

	if (n >= 2 * HUGE_PAGE) {
		if (posix_memalign(&p, HUGE_PAGE, bytes) != 0) {
			err_nomem(e);
			return NULL;
		}
		(void)madvise(p, bytes, MADV_HUGEPAGE);
		return p;
	}
#endif
	return mem_aligned(n, 1, e);
}

/* Bytes of a stream whose size is not known beforehand, at an aligned place. */
static void *
read_stream(const char *path, size_t *n, struct err *e)
{
	struct buf b = BUF_INIT;
	void *p = NULL;

	if (io_read_file(path, TENSORFILE_MAX_BYTES, &b, e) == 0 &&
		(p = file_memory(b.len, e)) != NULL && b.len > 0)
		memcpy(p, b.p, b.len);
	*n = b.len;
	buf_finish(&b);
	return p;
}

static void *
read_regular(int fd, uint64_t size, size_t *n, struct err *e)
{
	char *p, more;
	size_t got = 0, beyond = 0;

	if (size > TENSORFILE_MAX_BYTES) {
		err_set(e, ERR_INPUT, "larger than %llu bytes",
			(unsigned long long)TENSORFILE_MAX_BYTES);
		return NULL;
	}
	*n = (size_t)size;
	if ((p = file_memory(*n, e)) == NULL)
		return NULL;
	if (io_read_full(fd, p, *n, &got, e) < 0 || io_read_full(fd, &more, 1, &beyond, e) < 0)
		goto fail;
	if (got != *n || beyond != 0) {
		err_set(e, ERR_INPUT, "changed while it was read");
		goto fail;
	}
	return p;
fail:
	free(p);
	return NULL;
}

void *
tensorfile_read(const char *path, size_t *n, struct err *e)
{
	struct stat st;
	void *p = NULL;
	int fd;

	*n = 0;
	if (strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
		return read_stream(path, n, e);
	if ((fd = io_open_read(path, e)) < 0)
		return NULL;
	if (fstat(fd, &st) != 0)
		err_sys(e, ERR_IO, "%s", path);
	else if ((p = read_regular(fd, (uint64_t)st.st_size, n, e)) == NULL)
		err_wrap(e, "%s", path);
	close(fd);
	return p;
}

struct tensorfile *
tensorfile_load(const char *path, struct err *e)
{
	struct tensorfile *f;
	size_t n;
	void *p = tensorfile_read(path, &n, e);

	if (p == NULL)
		return NULL;
	if ((f = tensorfile_take(p, n, e)) == NULL) {
		err_wrap(e, "%s", path);
		free(p);
	}
	return f;
}

struct tensorfile *
tensorfile_map(const char *path, struct err *e)
{
	struct tensorfile *f = NULL;
	struct stat st;
	void *p;
	int fd = io_open_read(path, e);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
		(uint64_t)st.st_size > TENSORFILE_MAX_BYTES) {
		close(fd);
		err_set(e, ERR_INPUT, "%s: not a regular file of a usable size", path);
		return NULL;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		err_sys(e, ERR_IO, "%s: cannot map", path);
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	if ((f = tensorfile_take(p, (size_t)st.st_size, e)) == NULL) {
		err_wrap(e, "%s", path);
		(void)munmap(p, (size_t)st.st_size);
		return NULL;
	}
	f->mapped = true;
	return f;
}

size_t
tensorfile_count(const struct tensorfile *f)
{
	return f->n_tensors;
}

const struct tensor *
tensorfile_at(const struct tensorfile *f, size_t i)
{
	return &f->tensors[i];
}

const struct tensor *
tensorfile_find(const struct tensorfile *f, const char *name)
{
	const struct tensor key = { .name = slice_str(name) };

	if (f->n_tensors == 0)
		return NULL;
	return bsearch(&key, f->tensors, f->n_tensors, sizeof(*f->tensors), cmp_name);
}

/* "F32 [9, 256]", any = a dimension of 0 stands for any size. */
static void
put_shape(struct buf *b, enum dtype d, unsigned n_dims, const uint64_t *shape, bool any)
{
	buf_printf(b, "%s [", dtypes[d].name);
	for (unsigned i = 0; i < n_dims; i++) {
		if (any && shape[i] == 0)
			buf_printf(b, "%sany", i > 0 ? ", " : "");
		else
			buf_printf(b, "%s%llu", i > 0 ? ", " : "", (unsigned long long)shape[i]);
	}
	buf_str(b, "]");
}

const struct tensor *
tensorfile_need(const struct tensorfile *f, const char *name, enum dtype dtype,
	unsigned n_dims, const uint64_t *shape, struct err *e)
{
	const struct tensor *t = tensorfile_find(f, name);
	struct buf is = BUF_INIT, want = BUF_INIT;
	bool same;

	if (t == NULL) {
		err_set(e, ERR_INPUT, "tensor \"%s\" is missing", name);
		return NULL;
	}
	same = t->dtype == dtype && t->n_dims == n_dims;
	for (unsigned i = 0; same && i < n_dims; i++)
		same = shape[i] == 0 || shape[i] == t->shape[i];
	if (same)
		return t;
	put_shape(&is, t->dtype, t->n_dims, t->shape, false);
	put_shape(&want, dtype, n_dims, shape, true);
	err_set(e, ERR_INPUT, "tensor \"%s\" is %s where %s is expected", name, buf_cstr(&is),
		buf_cstr(&want));
	buf_finish(&is);
	buf_finish(&want);
	return NULL;
}

struct slice
tensorfile_meta(const struct tensorfile *f, const char *key)
{
	const struct meta want = { .key = slice_str(key) };
	const struct meta *m = NULL;

	if (f->n_metas > 0)
		m = bsearch(&want, f->metas, f->n_metas, sizeof(*f->metas), cmp_key);
	return m == NULL ? SLICE_NONE : m->value;
}

size_t
tensorfile_meta_count(const struct tensorfile *f)
{
	return f->n_metas;
}

void
tensorfile_meta_at(const struct tensorfile *f, size_t i, struct slice *key, struct slice *value)
{
	*key = f->metas[i].key;
	*value = f->metas[i].value;
}

void
tensorfile_digest(const struct tensorfile *f, uint8_t out[32])
{
	sha256_bytes(f->raw, f->n, out);
}

uint64_t
tensorfile_bytes(const struct tensorfile *f)
{
	return f->n;
}

const void *
tensorfile_data(const struct tensorfile *f)
{
	return f->raw;
}

/* ---- writer ---- */

struct tensorfile_writer {
	struct tensor *tensors;		/* names owned, data borrowed */
	size_t n_tensors, cap_tensors;
	struct meta *metas;		/* owned */
	size_t n_metas, cap_metas;
	struct arena arena;
};

struct tensorfile_writer *
tensorfile_writer_new(struct err *e)
{
	return mem_calloc(1, sizeof(struct tensorfile_writer), e);
}

void
tensorfile_writer_free(struct tensorfile_writer *w)
{
	if (w == NULL)
		return;
	free(w->tensors);
	free(w->metas);
	arena_finish(&w->arena);
	free(w);
}

static int
keep(struct tensorfile_writer *w, const char *s, struct slice *out, struct err *e)
{
	size_t n = strlen(s);

	if ((out->p = arena_dup(&w->arena, s, n, e)) == NULL)
		return -1;
	out->n = n;
	return 0;
}

int
tensorfile_writer_meta(struct tensorfile_writer *w, const char *key, const char *value,
	struct err *e)
{
	struct meta m;

	for (size_t i = 0; i < w->n_metas; i++) {
		if (slice_is(w->metas[i].key, key))
			return err_set(e, ERR_BUG, "metadata \"%s\" is given twice", key);
	}
	if (keep(w, key, &m.key, e) < 0 || keep(w, value, &m.value, e) < 0 ||
		mem_grow((void **)&w->metas, &w->cap_metas, w->n_metas + 1, sizeof(m), e) < 0)
		return -1;
	w->metas[w->n_metas++] = m;
	return 0;
}

int
tensorfile_writer_add(struct tensorfile_writer *w, const char *name, enum dtype dtype,
	unsigned n_dims, const uint64_t *shape, const void *data, struct err *e)
{
	struct tensor t = { .dtype = dtype, .n_dims = n_dims, .data = data };

	if (n_dims > TENSOR_MAX_DIMS)
		return err_set(e, ERR_BUG, "tensor \"%s\": more than %d dimensions", name,
			TENSOR_MAX_DIMS);
	for (size_t i = 0; i < w->n_tensors; i++) {
		if (slice_is(w->tensors[i].name, name))
			return err_set(e, ERR_BUG, "tensor \"%s\" is given twice", name);
	}
	for (unsigned i = 0; i < n_dims; i++)
		t.shape[i] = shape[i];
	if (!size_of(&t))
		return err_set(e, ERR_BUG, "tensor \"%s\": shape is too large", name);
	if (keep(w, name, &t.name, e) < 0 ||
		mem_grow((void **)&w->tensors, &w->cap_tensors, w->n_tensors + 1, sizeof(t), e) < 0)
		return -1;
	w->tensors[w->n_tensors++] = t;
	return 0;
}

/* Zeros needed behind a tensor that ends at this offset, unless it is the last. */
static size_t
filler_bytes(uint64_t end, bool last)
{
	return last ? 0 : (size_t)((ALIGN - end % ALIGN) % ALIGN);
}

static void
put_entry(struct jsonw *j, struct slice name, enum dtype dtype, unsigned n_dims,
	const uint64_t *shape, uint64_t from, uint64_t to)
{
	jsonw_key_n(j, name.p, name.n);
	jsonw_object(j);
	jsonw_kstr(j, "dtype", dtypes[dtype].name);
	jsonw_key(j, "shape");
	jsonw_array(j);
	for (unsigned i = 0; i < n_dims; i++)
		jsonw_uint(j, shape[i]);
	jsonw_end_array(j);
	jsonw_key(j, "data_offsets");
	jsonw_array(j);
	jsonw_uint(j, from);
	jsonw_uint(j, to);
	jsonw_end_array(j);
	jsonw_end_object(j);
}

static void
put_tensors(const struct tensorfile_writer *w, struct jsonw *j)
{
	uint64_t at = 0, fill;
	char name[32];

	for (size_t i = 0; i < w->n_tensors; i++) {
		const struct tensor *t = &w->tensors[i];

		put_entry(j, t->name, t->dtype, t->n_dims, t->shape, at, at + t->bytes);
		at += t->bytes;
		if ((fill = filler_bytes(at, i + 1 == w->n_tensors)) == 0)
			continue;
		snprintf(name, sizeof(name), FILLER "%zu", i);
		put_entry(j, slice_str(name), DTYPE_U8, 1, &fill, at, at + fill);
		at += fill;
	}
}

/* Length and JSON, padded so that the tensors begin at a multiple of ALIGN. */
static int
make_header(struct tensorfile_writer *w, struct buf *b, struct err *e)
{
	struct jsonw j;
	uint64_t length;

	if (w->n_tensors > 1)
		qsort(w->tensors, w->n_tensors, sizeof(*w->tensors), cmp_name);
	if (w->n_metas > 1)
		qsort(w->metas, w->n_metas, sizeof(*w->metas), cmp_key);
	buf_le64(b, 0);
	jsonw_init(&j, b);
	jsonw_object(&j);
	if (w->n_metas > 0) {
		jsonw_key(&j, METADATA);
		jsonw_object(&j);
		for (size_t i = 0; i < w->n_metas; i++) {
			jsonw_key_n(&j, w->metas[i].key.p, w->metas[i].key.n);
			jsonw_string_n(&j, w->metas[i].value.p, w->metas[i].value.n);
		}
		jsonw_end_object(&j);
	}
	put_tensors(w, &j);
	jsonw_end_object(&j);
	while (buf_ok(b, NULL) == 0 && b->len % ALIGN != 0)
		buf_byte(b, ' ');
	if (buf_ok(b, e) < 0)
		return -1;
	length = b->len - LENGTH_BYTES;
	if (length > TENSORFILE_MAX_HEADER)
		return err_set(e, ERR_INPUT, "header would be above %u bytes", TENSORFILE_MAX_HEADER);
	memcpy(b->p, &length, sizeof(length));
	return 0;
}

static int
put(struct io_out *out, struct sha256 *h, const void *p, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	sha256_add(h, p, n);
	return io_out_write(out, p, n, e);
}

int
tensorfile_writer_save(struct tensorfile_writer *w, const char *path, uint8_t digest[32],
	struct err *e)
{
	static const char zeros[ALIGN];
	struct io_out out = { .fd = -1, .slot = -1 };
	struct buf b = BUF_INIT;
	struct sha256 h;
	uint8_t sum[32];
	uint64_t at = 0;
	int r = -1;

	if (make_header(w, &b, e) < 0 || io_out_open(&out, path, 0644, e) < 0)
		goto out;
	sha256_init(&h);
	if (put(&out, &h, b.p, b.len, e) < 0)
		goto out;
	for (size_t i = 0; i < w->n_tensors; i++) {
		const struct tensor *t = &w->tensors[i];
		size_t fill = filler_bytes(at + t->bytes, i + 1 == w->n_tensors);

		if (put(&out, &h, t->data, (size_t)t->bytes, e) < 0 ||
			put(&out, &h, zeros, fill, e) < 0)
			goto out;
		at += t->bytes + fill;
	}
	if (io_out_commit(&out, e) < 0)
		goto out;
	sha256_final(&h, sum);
	if (digest != NULL)
		memcpy(digest, sum, sizeof(sum));
	r = 0;
out:
	if (r < 0)
		io_out_abort(&out);
	buf_finish(&b);
	return r;
}
