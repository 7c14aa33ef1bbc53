#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "fmt/rowfile.h"
#include "fmt/safetensors.h"

#define DIM 3

static const float rows[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
static const uint8_t key[32] = { 1 }, other[32] = { 2 }, mark[32] = { 9 };

/* Two rows, a break, one row more. */
static void
write_in_two_goes(const char *path)
{
	struct err e = ERR_INIT;
	uint8_t digest[32];
	uint64_t n = 99;
	struct rowfile *r = rowfile_open(path, DIM, key, true, &n, digest, &e);

	cr_assert(r != NULL && n == 0 && digest[0] == 0, "%s", e.msg);
	cr_assert(rowfile_add(r, rows, 2, mark, &e) == 0);
	rowfile_close(r);
	cr_assert(!io_exists(path));
	cr_assert(rowfile_open(path, DIM, other, false, &n, digest, &e) == NULL);
	cr_assert(e.code == ERR_INPUT && strstr(e.msg, "--restart") != NULL, "%s", e.msg);
	r = rowfile_open(path, DIM, key, false, &n, digest, &e);
	cr_assert(r != NULL && n == 2 && digest[0] == 9, "%s", e.msg);
	cr_assert(rowfile_add(r, rows + 2 * DIM, 1, mark, &e) == 0);
	cr_assert(rowfile_commit(r, &e) == 0, "%s", e.msg);
}

Test(rowfile, formats_hold_the_rows_behind_their_headers)
{
	static const char *const names[] = { "m.safetensors", "m.npy", "m.pt" };
	char dir[] = "/tmp/llmr-rowfile-XXXXXX", path[64];

	cr_assert(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < 3; i++) {
		struct buf b = BUF_INIT;

		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		write_in_two_goes(path);
		cr_assert(io_read_file(path, 1 << 20, &b, NULL) == 0);
		cr_assert(memcmp(b.p + 1024, rows, sizeof rows) == 0, "%s", names[i]);
		if (i == 1)
			cr_assert(memcmp(b.p, "\x93NUMPY\x01\0", 8) == 0 && strstr(b.p + 10, "(3, 3)") != NULL);
		if (i == 2)
			cr_assert(memcmp(b.p, "PK\x03\x04", 4) == 0 && memcmp(b.p + b.len - 22, "PK\x05\x06", 4) == 0);
		if (i == 0) {
			struct tensorfile *f = tensorfile_load(path, NULL);
			const uint64_t shape[] = { 3, DIM };

			cr_assert(f != NULL && tensorfile_need(f, "embeddings", DTYPE_F32, 2, shape, NULL) != NULL);
			tensorfile_free(f);
		}
		buf_finish(&b);
		unlink(path);
	}
	cr_assert(rmdir(dir) == 0);
}

Test(rowfile, other_suffixes_are_refused)
{
	struct err e = ERR_INIT;

	cr_expect(rowfile_check("a.csv", &e) < 0 && e.code == ERR_USAGE);
	cr_expect(rowfile_check(".npy", &e) < 0);
	cr_expect(rowfile_check("x.npy", &e) == 0);
}
