#include "fmt/rowread.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/safetensors.h"

#define MAX_DIM 65536
#define MAX_PICKLE 4096		/* bytes of a tensor's; torch's are below 300 */
#define MAX_ENTRIES 64

/* A matrix where it lies in the file. */
struct raw {
	const unsigned char *p;
	enum dtype dtype;	/* F16, BF16, F32, F64 */
	uint64_t rows, dim;
};

static uint64_t
le(const unsigned char *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

static float
half(unsigned h)
{
	unsigned exponent = h >> 10 & 31, fraction = h & 1023;
	float v = exponent == 31 ? (fraction == 0 ? INFINITY : NAN) :
	    exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(fraction + 1024), (int)exponent - 25);

	return h >> 15 ? -v : v;
}

static float
element(const struct raw *m, uint64_t i)
{
	uint32_t bits;
	double wide;
	float v;

	switch (m->dtype) {
	case DTYPE_F64:
		memcpy(&wide, m->p + i * 8, 8);
		return (float)wide;
	case DTYPE_F16:
		return half((unsigned)le(m->p + i * 2, 2));
	case DTYPE_BF16:
		bits = (uint32_t)le(m->p + i * 2, 2) << 16;
		break;
	default:
		bits = (uint32_t)le(m->p + i * 4, 4);
		break;
	}
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* Do so many rows lie within n bytes? */
static int
check_shape(const struct raw *m, uint64_t n, struct err *e)
{
	if (m->dim == 0 || m->dim > MAX_DIM)
		return err_set(e, ERR_INPUT, "rows of %llu numbers: 1 to %d are read", (unsigned long long)m->dim, MAX_DIM);
	if (m->rows > n / (m->dim * dtype_size(m->dtype)))
		return err_set(e, ERR_INPUT, "is cut short: %llu rows of %llu do not fit into its %llu bytes of numbers",
		    (unsigned long long)m->rows, (unsigned long long)m->dim, (unsigned long long)n);
	return 0;
}

static int
copy_out(const struct raw *m, struct rowmatrix *out, struct err *e)
{
	uint64_t n = m->rows * m->dim;
	float *v = mem_aligned(n == 0 ? 1 : (size_t)n, sizeof *v, e);

	if (v == NULL)
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		v[i] = element(m, i);
		if (!isfinite(v[i])) {
			free(v);
			return err_set(e, ERR_INPUT, "row %llu has a number that is not finite",
			    (unsigned long long)(i / m->dim));
		}
	}
	*out = (struct rowmatrix){ v, m->rows, (size_t)m->dim };
	return 0;
}

/* ---- a run of bytes that must be so ---- */

struct scan {
	const unsigned char *p, *end;
	bool bad;
};

static bool
take(struct scan *s, const void *bytes, size_t n)
{
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, bytes, n) != 0)
		return false;
	s->p += n;
	return true;
}

static void
need(struct scan *s, const void *bytes, size_t n)
{
	if (!s->bad && !take(s, bytes, n))
		s->bad = true;
}

static unsigned
byte(struct scan *s)
{
	if (s->bad || s->p == s->end) {
		s->bad = true;
		return 0;
	}
	return *s->p++;
}

static uint64_t
number(struct scan *s, unsigned bytes)
{
	uint64_t v;

	if (s->bad || (size_t)(s->end - s->p) < bytes) {
		s->bad = true;
		return 0;
	}
	v = le(s->p, bytes);
	s->p += bytes;
	return v;
}

/* ---- .npy ---- */

static void
blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n'))
		s->p++;
}

static void
sign(struct scan *s, const char *c)
{
	blanks(s);
	need(s, c, 1);
}

/* 'text' */
static struct slice
quoted(struct scan *s)
{
	const unsigned char *from;

	sign(s, "'");
	from = s->p;
	while (!s->bad && s->p < s->end && *s->p != '\'')
		s->p++;
	need(s, "'", 1);
	return s->bad ? SLICE_NONE : (struct slice){ (const char *)from, (size_t)(s->p - 1 - from) };
}

static uint64_t
decimal(struct scan *s)
{
	uint64_t v = 0;
	bool any = false;

	blanks(s);
	for (; !s->bad && s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
		any = true;
		if (v > UINT64_MAX / 20)
			s->bad = true;
		v = v * 10 + (uint64_t)(*s->p - '0');
	}
	s->bad |= !any;
	return v;
}

static int
npy_dtype(struct slice name, enum dtype *out, struct err *e)
{
	static const struct { const char *name; enum dtype dtype; } known[] = {
		{ "<f4", DTYPE_F32 }, { "<f8", DTYPE_F64 }, { "<f2", DTYPE_F16 } };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (slice_is(name, known[i].name)) {
			*out = known[i].dtype;
			return 0;
		}
	return err_set(e, ERR_INPUT, "an array of '%.*s': <f4, <f8 or <f2 is read",
	    (int)(name.n < 20 ? name.n : 20), name.p == NULL ? "" : name.p);
}

/* {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } in any order. */
static int
npy_header(struct scan *s, struct raw *m, struct err *e)
{
	struct slice dtype = SLICE_NONE;
	unsigned seen = 0;
	bool by_columns = false;

	sign(s, "{");
	while (!s->bad && (blanks(s), !take(s, "}", 1))) {
		struct slice key = quoted(s);

		sign(s, ":");
		blanks(s);
		if (slice_is(key, "descr")) {
			dtype = quoted(s);
			seen |= 1;
		} else if (slice_is(key, "fortran_order")) {
			by_columns = take(s, "True", 4);
			if (!by_columns)
				need(s, "False", 5);
			seen |= 2;
		} else if (slice_is(key, "shape")) {
			sign(s, "(");
			m->rows = decimal(s);
			sign(s, ",");
			m->dim = decimal(s);
			sign(s, ")");
			seen |= 4;
		} else
			s->bad = true;
		blanks(s);
		if (!s->bad && !take(s, ",", 1)) {
			sign(s, "}");
			break;
		}
	}
	if (s->bad || seen != 7)
		return err_set(e, ERR_INPUT, "the header of this .npy is not that of an array of two dimensions");
	if (by_columns && m->rows > 1 && m->dim > 1)
		return err_set(e, ERR_INPUT, "is stored by columns: save numpy.ascontiguousarray of it");
	return npy_dtype(dtype, &m->dtype, e);
}

static int
read_npy(const unsigned char *p, size_t n, struct raw *m, struct err *e)
{
	struct scan s = { p + 6, p + n, false };
	unsigned major = byte(&s), minor = byte(&s);
	uint64_t size = number(&s, major == 1 ? 2 : 4);

	if (s.bad || major < 1 || major > 3 || minor != 0 || size > (uint64_t)(s.end - s.p))
		return err_set(e, ERR_INPUT, "the header of this .npy is cut short or of a version above 3");
	s.end = s.p + size;
	m->p = s.end;
	if (npy_header(&s, m, e) < 0)
		return -1;
	return check_shape(m, (uint64_t)(p + n - m->p), e);
}

/* ---- the zip of torch.save ---- */

struct entry {
	struct slice name;
	const unsigned char *p;
	uint64_t size;
};

struct zip {
	struct entry entry[MAX_ENTRIES];
	size_t n;
};

/* One entry of the directory; where its bytes are the local header says. */
static int
zip_entry(struct scan *s, const unsigned char *p, size_t n, struct entry *out, struct err *e)
{
	const unsigned char *h = s->p;
	uint64_t name, skip, at, size, packed;
	const unsigned char *local;

	if ((size_t)(s->end - h) < 46 || memcmp(h, "PK\1\2", 4) != 0)
		return err_set(e, ERR_INPUT, "this zip's directory is damaged");
	packed = le(h + 20, 4);
	size = le(h + 24, 4);
	name = le(h + 28, 2);
	skip = le(h + 30, 2) + le(h + 32, 2);
	at = le(h + 42, 4);
	if ((uint64_t)(s->end - h) < 46 + name + skip)
		return err_set(e, ERR_INPUT, "this zip's directory is cut short");
	out->name = (struct slice){ (const char *)h + 46, (size_t)name };
	s->p += 46 + name + skip;
	if (le(h + 10, 2) != 0 || (le(h + 8, 2) & 1) != 0 || packed != size)
		return err_set(e, ERR_INPUT, "'%.*s' in this zip is compressed or encrypted; torch.save stores",
		    (int)(name < 40 ? name : 40), out->name.p);
	if (at == UINT32_MAX || size == UINT32_MAX)
		return err_set(e, ERR_INPUT, "a zip above 4 GiB: use .npy or .safetensors");
	if (at > n || n - at < 30 || memcmp(p + at, "PK\3\4", 4) != 0)
		return err_set(e, ERR_INPUT, "this zip's directory points nowhere");
	local = p + at;
	skip = 30 + le(local + 26, 2) + le(local + 28, 2);
	if (n - at < skip || n - at - skip < size)
		return err_set(e, ERR_INPUT, "'%.*s' in this zip is cut short", (int)(name < 40 ? name : 40), out->name.p);
	out->p = local + skip;
	out->size = size;
	return 0;
}

static int
read_zip(const unsigned char *p, size_t n, struct zip *z, struct err *e)
{
	size_t end = n < 22 ? 0 : n - 22, least = end > 65535 ? end - 65535 : 0;
	struct scan s = { p, p + n, false };
	uint64_t count, size, at;

	while (end > least && memcmp(p + end, "PK\5\6", 4) != 0)
		end--;
	if (n < 22 || memcmp(p + end, "PK\5\6", 4) != 0)
		return err_set(e, ERR_INPUT, "this zip has no directory: it is cut short");
	count = le(p + end + 10, 2);
	size = le(p + end + 12, 4);
	at = le(p + end + 16, 4);
	if (at > end || size > end - at)
		return err_set(e, ERR_INPUT, "this zip's directory lies outside of it");
	if (count > MAX_ENTRIES)
		return err_set(e, ERR_INPUT, "%llu files in this zip: one tensor has fewer", (unsigned long long)count);
	s.p = p + at;
	s.end = s.p + size;
	for (z->n = 0; z->n < count; z->n++)
		if (zip_entry(&s, p, n, &z->entry[z->n], e) < 0)
			return -1;
	return 0;
}

/* The file "DIR/name", whatever the folder is called. */
static const struct entry *
zip_find(const struct zip *z, const char *name, size_t n)
{
	for (size_t i = 0; i < z->n; i++) {
		struct slice have = z->entry[i].name;
		const char *slash = have.n == 0 ? NULL : memchr(have.p, '/', have.n);
		size_t dir = slash == NULL ? 0 : (size_t)(slash + 1 - have.p);

		if (slash != NULL && have.n - dir == n && memcmp(slash + 1, name, n) == 0)
			return &z->entry[i];
	}
	return NULL;
}

/* ---- its pickle: each opcode where torch.save puts it ---- */

/* BINPUT and LONG_BINPUT number what was made; nothing refers to it here. */
static void
memo(struct scan *s)
{
	if (take(s, "q", 1))
		(void)byte(s);
	else if (take(s, "r", 1))
		(void)number(s, 4);
}

static void
opcode(struct scan *s, const void *bytes, size_t n)
{
	need(s, bytes, n);
	memo(s);
}
#define OP(s, text) opcode((s), (text), sizeof(text) - 1)

/* BINUNICODE */
static struct slice
pickle_text(struct scan *s)
{
	struct slice v = SLICE_NONE;
	uint64_t n;

	need(s, "X", 1);
	n = number(s, 4);
	if (s->bad || n > (uint64_t)(s->end - s->p)) {
		s->bad = true;
		return v;
	}
	v = (struct slice){ (const char *)s->p, (size_t)n };
	s->p += n;
	memo(s);
	return v;
}

/* BININT1, BININT2, BININT, LONG1 of up to eight bytes; not below zero. */
static uint64_t
pickle_int(struct scan *s)
{
	unsigned op = byte(s), n = op == 'K' ? 1 : op == 'M' ? 2 : op == 'J' ? 4 : 0;
	uint64_t v;

	if (op == 0x8a)
		n = byte(s);
	if (n == 0 || n > 8)
		s->bad = true;
	v = number(s, s->bad ? 0 : n);
	if ((op == 'J' || op == 0x8a) && n > 0 && n <= 8 && (v >> (n * 8 - 1) & 1) != 0)
		s->bad = true;
	return v;
}

static enum dtype
pickle_storage(struct scan *s)
{
	static const struct { const char *text; enum dtype dtype; } known[] = {
		{ "ctorch\nFloatStorage\n", DTYPE_F32 }, { "ctorch\nDoubleStorage\n", DTYPE_F64 },
		{ "ctorch\nHalfStorage\n", DTYPE_F16 }, { "ctorch\nBFloat16Storage\n", DTYPE_BF16 } };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (take(s, known[i].text, strlen(known[i].text))) {
			memo(s);
			return known[i].dtype;
		}
	s->bad = true;
	return DTYPE_F32;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, OrderedDict()) */
static int
read_pickle(const struct entry *pkl, struct raw *m, struct slice *key, uint64_t *offset, uint64_t *count,
	struct err *e)
{
	struct scan s = { pkl->p, pkl->p + pkl->size, pkl->size > MAX_PICKLE };
	uint64_t across, down;

	OP(&s, "\x80\x02");
	OP(&s, "ctorch._utils\n_rebuild_tensor_v2\n");
	need(&s, "((", 2);
	if (!slice_is(pickle_text(&s), "storage"))
		s.bad = true;
	m->dtype = pickle_storage(&s);
	*key = pickle_text(&s);
	(void)pickle_text(&s);		/* the device it was on */
	*count = pickle_int(&s);
	OP(&s, "t");
	need(&s, "Q", 1);
	*offset = pickle_int(&s);
	m->rows = pickle_int(&s);
	m->dim = pickle_int(&s);
	OP(&s, "\x86");
	down = pickle_int(&s);
	across = pickle_int(&s);
	OP(&s, "\x86");
	if (!take(&s, "\x88", 1))
		need(&s, "\x89", 1);
	OP(&s, "ccollections\nOrderedDict\n");
	need(&s, ")", 1);
	OP(&s, "R");
	OP(&s, "t");
	OP(&s, "R");
	need(&s, ".", 1);
	if (s.bad || s.p != s.end)
		return err_set(e, ERR_INPUT, "data.pkl is more than one float tensor of two dimensions, and llmr runs no "
		    "pickle: in Python, torch.save(torch.stack([...]).float(), PATH)");
	if ((m->rows > 1 && down != m->dim) || (m->dim > 1 && across != 1))
		return err_set(e, ERR_INPUT, "the tensor is not contiguous: save tensor.contiguous()");
	return 0;
}

static int
read_pt(const unsigned char *p, size_t n, struct raw *m, struct err *e)
{
	const struct entry *pkl, *data, *order;
	uint64_t offset, count, size;
	struct slice key;
	struct zip z;
	char name[64];

	if (read_zip(p, n, &z, e) < 0)
		return -1;
	if ((pkl = zip_find(&z, "data.pkl", strlen("data.pkl"))) == NULL)
		return err_set(e, ERR_INPUT, "no data.pkl in this zip: torch.save did not make it");
	order = zip_find(&z, "byteorder", strlen("byteorder"));
	if (order != NULL && (order->size != 6 || memcmp(order->p, "little", 6) != 0))
		return err_set(e, ERR_INPUT, "its numbers are not little-endian");
	if (read_pickle(pkl, m, &key, &offset, &count, e) < 0)
		return -1;
	if (key.n == 0 || key.n > sizeof name - 6)
		return err_set(e, ERR_INPUT, "data.pkl names a storage of %zu letters", key.n);
	memcpy(name, "data/", 5);
	memcpy(name + 5, key.p, key.n);
	if ((data = zip_find(&z, name, 5 + key.n)) == NULL)
		return err_set(e, ERR_INPUT, "no data/%.*s in this zip", (int)key.n, key.p);
	size = dtype_size(m->dtype);
	if (count > data->size / size || offset > count)
		return err_set(e, ERR_INPUT, "data/%.*s has %llu bytes where data.pkl says %llu numbers", (int)key.n, key.p,
		    (unsigned long long)data->size, (unsigned long long)count);
	m->p = data->p + offset * size;
	return check_shape(m, (count - offset) * size, e);
}

/* ---- safetensors ---- */

static bool
is_matrix(const struct tensor *t)
{
	return t->n_dims == 2 &&
	    (t->dtype == DTYPE_F32 || t->dtype == DTYPE_F64 || t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16);
}

static int
read_tensors(const struct tensorfile *f, struct rowmatrix *out, struct err *e)
{
	const struct tensor *t = tensorfile_find(f, "embeddings");
	size_t matrices = 0;
	struct raw m;

	for (size_t i = 0; t == NULL && i < tensorfile_count(f); i++)
		matrices += is_matrix(tensorfile_at(f, i));
	for (size_t i = 0; t == NULL && matrices == 1 && i < tensorfile_count(f); i++)
		t = is_matrix(tensorfile_at(f, i)) ? tensorfile_at(f, i) : NULL;
	if (t == NULL || !is_matrix(t))
		return err_set(e, ERR_INPUT, "no tensor 'embeddings' of floats in two dimensions, nor one alone of that "
		    "shape");
	m = (struct raw){ t->data, t->dtype, t->shape[0], t->shape[1] };
	return check_shape(&m, t->bytes, e) < 0 ? -1 : copy_out(&m, out, e);
}

static int
read_safetensors(const void *p, size_t n, struct rowmatrix *out, struct err *e)
{
	void *own = mem_aligned(n == 0 ? 1 : n, 1, e);
	struct tensorfile *f;
	int r;

	if (own == NULL)
		return -1;
	memcpy(own, p, n);
	if ((f = tensorfile_take(own, n, e)) == NULL) {
		free(own);
		return -1;
	}
	r = read_tensors(f, out, e);
	tensorfile_free(f);
	return r;
}

int
rowread_bytes(const void *p, size_t n, struct rowmatrix *out, struct err *e)
{
	struct raw m;
	int r;

	*out = (struct rowmatrix){ NULL, 0, 0 };
	if (n >= 4 && memcmp(p, "PK\3\4", 4) == 0)
		r = read_pt(p, n, &m, e);
	else if (n >= 6 && memcmp(p, "\x93NUMPY", 6) == 0)
		r = read_npy(p, n, &m, e);
	else if (n >= 2 && memcmp(p, "\x80\x02", 2) == 0)
		return err_set(e, ERR_INPUT, "a bare pickle, which llmr never runs: save a tensor with torch.save, or .npy");
	else
		return read_safetensors(p, n, out, e);
	return r < 0 ? -1 : copy_out(&m, out, e);
}

int
rowread_file(const char *path, struct rowmatrix *out, struct err *e)
{
	size_t n;
	void *p;
	int r;

	*out = (struct rowmatrix){ NULL, 0, 0 };
	if ((p = tensorfile_read(path, &n, e)) == NULL)
		return -1;
	if ((r = rowread_bytes(p, n, out, e)) < 0)
		err_wrap(e, "%s", path);
	free(p);
	return r;
}
