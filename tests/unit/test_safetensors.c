#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/safetensors.h"

/* A file from its header text (padded to a multiple of pad) and n bytes of data 0, 1, 2, ... */
static struct tensorfile *
build(const char *header, size_t n_data, struct err *e)
{
	size_t n = strlen(header), pad = (8 - n % 8) % 8;
	uint64_t length = n + pad;
	char *p = mem_aligned(8 + n + pad + n_data, 1, NULL);
	struct tensorfile *f;

	memcpy(p, &length, 8);
	memcpy(p + 8, header, n);
	memset(p + 8 + n, ' ', pad);
	for (size_t i = 0; i < n_data; i++)
		p[8 + n + pad + i] = (char)i;
	if ((f = tensorfile_take(p, 8 + n + pad + n_data, e)) == NULL)
		free(p);
	return f;
}

Test(safetensors, accepts)
{
	static const struct {
		const char *header;
		size_t n_data, n_tensors;
	} cases[] = {
		{ "{}", 0, 0 },
		{ "{\"__metadata__\":{}}", 0, 0 },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24, 1 },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, 1 },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0, 1 },
		{ "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]},"
		  "\"a\":{\"data_offsets\":[0,4],\"dtype\":\"F16\",\"shape\":[1,2]}}", 5, 2 },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, 2 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct tensorfile *f = build(cases[i].header, cases[i].n_data, &e);

		cr_expect(f != NULL, "case %zu: %s", i, e.msg);
		if (f != NULL)
			cr_expect(tensorfile_count(f) == cases[i].n_tensors, "case %zu", i);
		tensorfile_free(f);
	}
}

Test(safetensors, refuses)
{
	static const struct {
		const char *header;
		size_t n_data;
		const char *says;
	} cases[] = {
		{ "  ", 0, "JSON" },
		{ "[]", 0, "not a JSON object" },
		{ "{} x", 0, "byte" },
		{ "{\"a\":1}", 0, "not an object" },
		{ "{}", 3, "behind the last tensor" },
		{ "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"dtype\"" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "\"shape\"" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "\"shape\"" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
		  "\"shape\"" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "fit" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "outside" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "outside" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4,
		  "data_offsets" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[281474976710000,281474976710000],"
		  "\"data_offsets\":[0,4]}}", 4, "too large" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs" },
		{ "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
		  4, "repeated" },
		{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"x\":1,\"data_offsets\":[0,4]}}", 4,
		  "unknown key" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "overlaps" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5, "gap" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
		  "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}", 4, "twice" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
		  "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6, "aligned" },
		{ "{\"_pad.0\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "filler" },
		{ "{\"__metadata__\":{\"a\":1}}", 0, "not a string" },
		{ "{\"__metadata__\":[]}", 0, "byte" },
		{ "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "twice" },
		{ "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "repeated" },
		{ "{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "NUL" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = ERR_INIT;
		struct tensorfile *f = build(cases[i].header, cases[i].n_data, &e);

		cr_expect(f == NULL, "case %zu loads", i);
		cr_expect(e.code == ERR_INPUT, "case %zu", i);
		cr_expect(strstr(e.msg, cases[i].says) != NULL, "case %zu: %s", i, e.msg);
		tensorfile_free(f);
	}
}

Test(safetensors, header_length)
{
	static const uint64_t lengths[] = { 0, 3, 9, 1u << 20, UINT64_MAX, UINT64_MAX - 7 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct err e = ERR_INIT;
		char *p = mem_aligned(16, 1, NULL);

		memcpy(p, &lengths[i], 8);
		memcpy(p + 8, "{}      ", 8);
		cr_expect(tensorfile_take(p, 16, &e) == NULL, "length %llu",
			(unsigned long long)lengths[i]);
		cr_expect(e.code == ERR_INPUT);
		free(p);
	}
}

/* A folder of its own; each test is a process of its own. */
static void
own_folder(void)
{
	char path[] = "/tmp/llmr-unit-XXXXXX";

	cr_assert(mkdtemp(path) != NULL);
	cr_assert(chdir(path) == 0);
}

static void
leave_folder(void)
{
	char path[256];

	cr_assert(getcwd(path, sizeof(path)) != NULL && chdir("/") == 0 && rmdir(path) == 0);
}

static const float values[] = { 1, 2, 3, 4, 5, 6 };
static const uint8_t bytes[] = { 7, 8, 9 };

static int
save(const char *path, bool reversed, uint8_t digest[32], struct err *e)
{
	const uint64_t two_three[] = { 2, 3 }, three[] = { 3 };
	struct tensorfile_writer *w = tensorfile_writer_new(e);
	int r = -1;

	if (w == NULL)
		return -1;
	for (int i = 0; i < 2; i++) {
		if ((i == 0) != reversed)
			r = tensorfile_writer_add(w, "x.values", DTYPE_F32, 2, two_three, values, e);
		else
			r = tensorfile_writer_add(w, "x.bytes", DTYPE_U8, 1, three, bytes, e);
		cr_assert(r == 0);
	}
	cr_assert(tensorfile_writer_meta(w, reversed ? "k" : "quote \" me", reversed ? "v\n" :
		"\xe4\xb8\xad", e) == 0);
	cr_assert(tensorfile_writer_meta(w, reversed ? "quote \" me" : "k", reversed ?
		"\xe4\xb8\xad" : "v\n", e) == 0);
	cr_assert(tensorfile_writer_meta(w, "k", "again", e) < 0);
	cr_assert(tensorfile_writer_add(w, "x.bytes", DTYPE_U8, 1, three, bytes, e) < 0);
	r = tensorfile_writer_save(w, path, digest, e);
	tensorfile_writer_free(w);
	return r;
}

Test(safetensors, round_trip)
{
	const uint64_t want[] = { 0, 3 }, wrong[] = { 2, 4 };
	uint8_t a[32], b[32], c[32];
	struct err e = ERR_INIT;
	const struct tensor *t;
	struct tensorfile *f;

	own_folder();
	cr_assert(save("a.safetensors", false, a, &e) == 0, "%s", e.msg);
	cr_assert(save("b.safetensors", true, b, &e) == 0, "%s", e.msg);
	cr_expect(memcmp(a, b, 32) == 0, "bytes depend on the order of calls");
	f = tensorfile_load("a.safetensors", &e);
	cr_assert(f != NULL, "%s", e.msg);
	tensorfile_digest(f, c);
	cr_expect(memcmp(a, c, 32) == 0);
	cr_expect(tensorfile_count(f) == 2, "fillers are listed");
	cr_expect(slice_is(tensorfile_at(f, 0)->name, "x.bytes"));
	cr_expect(slice_is(tensorfile_meta(f, "quote \" me"), "\xe4\xb8\xad"));
	cr_expect(slice_is(tensorfile_meta(f, "k"), "v\n"));
	cr_expect(tensorfile_meta(f, "absent").p == NULL);
	t = tensorfile_need(f, "x.values", DTYPE_F32, 2, want, &e);
	cr_assert(t != NULL, "%s", e.msg);
	cr_expect(memcmp(t->data, values, sizeof(values)) == 0);
	cr_expect((uintptr_t)t->data % 64 == 0);
	cr_expect(tensorfile_need(f, "x.values", DTYPE_F32, 2, wrong, &e) == NULL);
	cr_expect(strstr(e.msg, "[2, 3]") != NULL && strstr(e.msg, "[2, 4]") != NULL, "%s", e.msg);
	cr_expect(tensorfile_need(f, "x.value", DTYPE_F32, 2, want, &e) == NULL);
	cr_expect(tensorfile_find(f, "x.values") == t);
	tensorfile_free(f);
	unlink("a.safetensors");
	unlink("b.safetensors");
	leave_folder();
}

/* Every truncation and every flipped byte either loads or gives one error. */
Test(safetensors, damage)
{
	struct err e = ERR_INIT;
	uint8_t digest[32];
	char raw[1024];
	size_t n;
	FILE *in;

	own_folder();
	cr_assert(save("d.safetensors", false, digest, &e) == 0, "%s", e.msg);
	in = fopen("d.safetensors", "rb");
	cr_assert(in != NULL);
	n = fread(raw, 1, sizeof(raw), in);
	fclose(in);
	unlink("d.safetensors");
	leave_folder();
	cr_assert(n > 64 && n < sizeof(raw));
	for (size_t i = 0; i < 2 * n; i++) {
		size_t len = i < n ? i : n;
		char *p = mem_aligned(len, 1, NULL);
		struct tensorfile *f;

		memcpy(p, raw, len);
		if (i >= n)
			p[i - n] = (char)(p[i - n] ^ 0x41);
		f = tensorfile_take(p, len, &e);
		if (i < n)
			cr_expect(f == NULL, "cut to %zu bytes loads", len);
		if (f == NULL)
			free(p);
		tensorfile_free(f);
	}
}

Test(safetensors, files)
{
	struct err e = ERR_INIT;

	cr_expect(tensorfile_load("/nonexistent/x", &e) == NULL);
	cr_expect(e.code == ERR_NOINPUT);
	e = (struct err)ERR_INIT;
	cr_expect(tensorfile_load("/", &e) == NULL);
	cr_expect(e.code == ERR_NOINPUT);
	cr_expect(tensorfile_load("/dev/null", &e) == NULL);
	cr_expect(e.code == ERR_INPUT);
}
