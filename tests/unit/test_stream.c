#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "fmt/stream.h"

/* Everything that a stream gives, read `step` bytes at a time. 0 / -1. */
static int
drain(struct stream_in *in, size_t step, struct buf *out, struct err *e)
{
	char *p = malloc(step);
	size_t got;
	int r;

	while ((r = stream_in_read(in, p, step, &got, e)) == 0 && got > 0)
		buf_add(out, p, got);
	free(p);
	return r;
}

static int
drain_memory(const struct buf *b, size_t n, struct buf *out, struct err *e)
{
	struct stream_in *in = stream_in_memory(b->p, n, e);
	int r;

	cr_assert_not_null(in, "%s", e->msg);
	buf_reset(out);
	r = drain(in, 1000, out, e);
	stream_in_close(in);
	return r;
}

static void
make_text(struct buf *b, size_t lines, uint64_t seed)
{
	struct rng r;

	rng_seed(&r, seed);
	for (size_t i = 0; i < lines; i++)
		buf_printf(b, "line %zu of some text %llx\n", i, (unsigned long long)rng_u64(&r));
}

static void
write_file(const char *path, const struct buf *text, bool flush)
{
	struct err e = ERR_INIT;
	struct stream_out *out = stream_out_open(path, &e);

	cr_assert_not_null(out, "%s", e.msg);
	for (size_t i = 0; i < text->len; i += 7777) {
		size_t n = text->len - i < 7777 ? text->len - i : 7777;

		cr_assert_eq(stream_out_write(out, text->p + i, n, &e), 0, "%s", e.msg);
		if (flush)
			cr_assert_eq(stream_out_flush(out, &e), 0, "%s", e.msg);
	}
	cr_assert_eq(stream_out_commit(out, &e), 0, "%s", e.msg);
}

static char *
fresh_dir(void)
{
	static char path[] = "/tmp/llmr-stream-XXXXXX";

	cr_assert_not_null(mkdtemp(path));
	return path;
}

static void
remove_dir(const char *dir)
{
	static const char *const names[] = { "t", "t.gz", "t.zst" };
	char path[256];

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	cr_expect_eq(rmdir(dir), 0, "nothing else is left behind");
}

Test(stream, what_is_written_is_read_back_and_the_same_twice)
{
	static const char *const names[] = { "t", "t.gz", "t.zst" };
	struct buf text = BUF_INIT, got = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
	struct err e = ERR_INIT;
	const char *dir = fresh_dir();

	make_text(&text, 30000, 1);
	for (size_t i = 0; i < 3; i++) {
		char path[256];
		struct stream_in *in;

		(void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		write_file(path, &text, false);
		in = stream_in_open(path, &e);
		cr_assert_not_null(in, "%s", e.msg);
		buf_reset(&got);
		cr_assert_eq(drain(in, 65536, &got, &e), 0, "%s: %s", names[i], e.msg);
		cr_expect_eq(stream_in_consumed(in), stream_in_size(in), "%s is read to its end", names[i]);
		stream_in_close(in);
		cr_assert_eq(got.len, text.len, "%s", names[i]);
		cr_assert_eq(memcmp(got.p, text.p, text.len), 0, "%s", names[i]);
		buf_reset(&first);
		buf_reset(&second);
		cr_assert_eq(io_read_file(path, 1 << 24, &first, &e), 0);
		write_file(path, &text, false);
		cr_assert_eq(io_read_file(path, 1 << 24, &second, &e), 0);
		cr_expect_eq(first.len, second.len, "%s", names[i]);
		cr_expect_eq(memcmp(first.p, second.p, first.len), 0, "%s is deterministic", names[i]);
		if (i > 0)
			cr_expect_lt(first.len, text.len, "%s is compressed", names[i]);
		write_file(path, &text, true);
	}
	remove_dir(dir);
	buf_finish(&text);
	buf_finish(&got);
	buf_finish(&first);
	buf_finish(&second);
}

/* Bytes of a compressed file. */
static void
packed(const char *dir, const char *name, const struct buf *text, struct buf *out)
{
	struct err e = ERR_INIT;
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	write_file(path, text, false);
	buf_reset(out);
	cr_assert_eq(io_read_file(path, 1 << 24, out, &e), 0, "%s", e.msg);
}

Test(stream, members_follow_each_other_and_damage_is_told)
{
	static const char *const names[] = { "t.gz", "t.zst" };
	struct buf text = BUF_INIT, one = BUF_INIT, two = BUF_INIT, got = BUF_INIT;
	const char *dir = fresh_dir();

	make_text(&text, 3000, 2);
	for (size_t i = 0; i < 2; i++) {
		struct err e = ERR_INIT;

		packed(dir, names[i], &text, &one);
		buf_reset(&two);
		buf_add(&two, one.p, one.len);
		buf_add(&two, one.p, one.len);
		cr_expect_eq(drain_memory(&two, two.len, &got, &e), 0, "%s: %s", names[i], e.msg);
		cr_expect_eq(got.len, 2 * text.len, "%s: both members", names[i]);
		for (size_t cut = 1; cut < one.len; cut += one.len / 37 + 1) {
			e.code = ERR_NONE;
			if (one.len - cut < 4)
				continue;	/* too little to be told from plain text */
			cr_expect_eq(drain_memory(&one, one.len - cut, &got, &e), -1, "%s cut by %zu", names[i],
				cut);
			cr_expect_eq(e.code, ERR_INPUT, "%s", names[i]);
			cr_expect(strstr(e.msg, "byte") != NULL, "%s", e.msg);
		}
		buf_add(&two, "garbage", 7);
		cr_expect_eq(drain_memory(&two, two.len, &got, &e), -1, "%s: garbage behind", names[i]);
		one.p[one.len / 2] ^= 0x10;
		cr_expect_eq(drain_memory(&one, one.len, &got, &e), -1, "%s: a flipped bit", names[i]);
	}
	/* gzip allows zeros for padding behind it. */
	packed(dir, "t.gz", &text, &one);
	buf_add(&one, "\0\0\0\0", 4);
	cr_expect_eq(drain_memory(&one, one.len, &got, NULL), 0);
	cr_expect_eq(got.len, text.len);
	remove_dir(dir);
	buf_finish(&text);
	buf_finish(&one);
	buf_finish(&two);
	buf_finish(&got);
}

Test(stream, plain_bytes_pass_whatever_they_are)
{
	static const char *const cases[] = { "", "a", "\x1f", "ab\nc", "\x28\xb5" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf in = BUF_INIT, out = BUF_INIT;
		struct err e = ERR_INIT;

		buf_str(&in, cases[i]);
		cr_expect_eq(drain_memory(&in, in.len, &out, &e), 0, "case %zu: %s", i, e.msg);
		cr_expect_eq(out.len, strlen(cases[i]), "case %zu", i);
		buf_finish(&in);
		buf_finish(&out);
	}
}

Test(stream, lines_end_in_newlines_or_with_the_text)
{
	static const struct { const char *text; const char *joined; } cases[] = {
		{ "", "" }, { "a", "1a|" }, { "a\n", "1a|" }, { "a\r\nb", "1a|2b|" }, { "\n\n", "1|2|" },
		{ "a\n\nb\n", "1a|2|3b|" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		struct stream_in *in = stream_in_memory(cases[i].text, strlen(cases[i].text), &e);
		struct stream_lines *l = stream_lines_new(in, 100, &e);
		struct buf got = BUF_INIT;
		const char *line;
		uint64_t number;
		size_t n;

		while (stream_lines_next(l, &line, &n, &number, &e) == 1)
			buf_printf(&got, "%d%.*s|", (int)number, (int)n, line);
		cr_expect_str_eq(buf_cstr(&got), cases[i].joined, "case %zu", i);
		stream_lines_free(l);
		stream_in_close(in);
		buf_finish(&got);
	}
}

Test(stream, a_line_may_be_long_but_not_too_long)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct stream_in *in;
	struct stream_lines *l;
	const char *line;
	uint64_t number;
	size_t n;

	for (size_t i = 0; i < 300000; i++)
		buf_byte(&text, 'x');
	buf_str(&text, "\nshort\n");
	in = stream_in_memory(text.p, text.len, &e);
	l = stream_lines_new(in, 300000, &e);
	cr_expect_eq(stream_lines_next(l, &line, &n, &number, &e), 1);
	cr_expect_eq(n, 300000);
	cr_expect_eq(stream_lines_next(l, &line, &n, &number, &e), 1);
	cr_expect_eq(n, 5);
	cr_expect_eq(stream_lines_next(l, &line, &n, &number, &e), 0);
	stream_lines_free(l);
	stream_in_close(in);
	in = stream_in_memory(text.p, text.len, &e);
	l = stream_lines_new(in, 299999, &e);
	cr_expect_eq(stream_lines_next(l, &line, &n, &number, &e), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	stream_lines_free(l);
	stream_in_close(in);
	buf_finish(&text);
}

Test(stream, what_cannot_be_opened_is_told)
{
	struct err e = ERR_INIT;

	cr_expect_null(stream_in_open("/no/such/file", &e));
	cr_expect_eq(e.code, ERR_NOINPUT);
	cr_expect_null(stream_in_open("/", &e));
	cr_expect_eq(e.code, ERR_NOINPUT);
	cr_expect_null(stream_out_open("/no/such/folder/file.gz", &e));
	cr_expect_eq(e.code, ERR_CANTCREAT);
}
