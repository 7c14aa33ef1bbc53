#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "fmt/rowfile.h"
#include "fmt/rowread.h"

#define DIM 3

static const float rows[] = { 1, 2, 3, -4, 5.5F, 6 };
static const uint8_t key[32] = { 1 };

static void
write_rows(const char *path, const float *v)
{
	uint8_t digest[32];
	uint64_t n;
	struct rowfile *r = rowfile_open(path, DIM, key, true, &n, digest, NULL);

	cr_assert(r != NULL && rowfile_add(r, v, 2, digest, NULL) == 0 && rowfile_commit(r, NULL) == 0);
}

/* The bytes, at a boundary that readers may count on. */
static size_t
slurp(const char *path, unsigned char **out)
{
	struct buf b = BUF_INIT;
	size_t n;

	cr_assert(io_read_file(path, 1 << 20, &b, NULL) == 0);
	cr_assert(posix_memalign((void **)out, 64, b.len) == 0);
	memcpy(*out, b.p, n = b.len);
	buf_finish(&b);
	return n;
}

Test(rowread, what_rowfile_writes_reads_back_and_cut_short_it_does_not)
{
	static const char *const names[] = { "m.safetensors", "m.npy", "m.pt" };
	char dir[] = "/tmp/llmr-rowread-XXXXXX", path[64];

	cr_assert(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < 3; i++) {
		struct err e = ERR_INIT;
		struct rowmatrix m;
		unsigned char *p;
		size_t n;

		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		write_rows(path, rows);
		cr_assert(rowread_file(path, &m, &e) == 0, "%s: %s", names[i], e.msg);
		cr_assert(m.rows == 2 && m.dim == DIM && memcmp(m.v, rows, sizeof rows) == 0, "%s", names[i]);
		free(m.v);
		n = slurp(path, &p);
		for (size_t cut = 0; cut < n; cut++)
			cr_assert(rowread_bytes(p, cut, &m, &e) < 0 && m.v == NULL, "%s at %zu", names[i], cut);
		free(p);
		unlink(path);
	}
	cr_assert(rmdir(dir) == 0);
}

Test(rowread, a_pickle_that_is_more_than_a_tensor_is_refused)
{
	char path[] = "/tmp/llmr-rowread-XXXXXX.pt";
	struct err e = ERR_INIT;
	struct rowmatrix m;
	unsigned char *p, *at;
	size_t n;
	int fd = mkstemps(path, 3);

	cr_assert(fd >= 0);
	close(fd);
	write_rows(path, rows);
	n = slurp(path, &p);
	unlink(path);
	for (at = p; memcmp(at, "ctorch._utils\n_rebuild_tensor_v2", 32) != 0; at++)
		cr_assert(at + 32 < p + n);
	memcpy(at, "cposix_______\nsystem____________", 32);
	cr_assert(rowread_bytes(p, n, &m, &e) < 0 && e.code == ERR_INPUT);
	cr_expect(strstr(e.msg, "runs no pickle") != NULL, "%s", e.msg);
	cr_expect(rowread_bytes("\x80\x02.", 3, &m, &e) < 0);
	cr_expect(strstr(e.msg, "bare pickle") != NULL, "%s", e.msg);
	free(p);
}

/* A header of NumPy's with any text, and numbers behind it. */
static int
npy(const char *text, const void *data, size_t bytes, struct rowmatrix *m, struct err *e)
{
	_Alignas(64) unsigned char p[256] = "\x93NUMPY\x01\x00";
	size_t n = strlen(text);

	p[8] = (unsigned char)n;
	memcpy(p + 10, text, n);
	if (bytes > 0)
		memcpy(p + 10 + n, data, bytes);
	return rowread_bytes(p, 10 + n + bytes, m, e);
}

Test(rowread, arrays_of_numpy)
{
	const double wide[] = { 1, -2.5 }, bad[] = { 1, 0.0 / 0.0 };
	const uint16_t halves[] = { 0x3c00, 0xc100 };		/* 1, -2.5 */
	struct err e = ERR_INIT;
	struct rowmatrix m;

	cr_assert(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }  \n", wide, 16, &m, &e) == 0, "%s", e.msg);
	cr_expect(m.dim == 2 && m.v[1] == -2.5F);
	free(m.v);
	cr_assert(npy("{'shape':(1,2),'descr':'<f2','fortran_order':True}", halves, 4, &m, &e) == 0, "%s", e.msg);
	cr_expect(m.v[0] == 1 && m.v[1] == -2.5F);
	free(m.v);
	cr_expect(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", bad, 16, &m, &e) < 0);
	cr_expect(strstr(e.msg, "row 0") != NULL, "%s", e.msg);
	cr_expect(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }", wide, 16, &m, &e) < 0);
	cr_expect(strstr(e.msg, "'|O'") != NULL, "%s", e.msg);
	cr_expect(npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }", wide, 16, &m, &e) < 0);
	cr_expect(strstr(e.msg, "by columns") != NULL, "%s", e.msg);
	cr_expect(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", wide, 16, &m, &e) < 0);
	cr_expect(strstr(e.msg, "cut short") != NULL, "%s", e.msg);
	cr_expect(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", wide, 16, &m, &e) < 0);
	cr_expect(npy("{'descr': '<f8', 'shape': (99999999999999999999, 2), }", wide, 16, &m, &e) < 0);
}
