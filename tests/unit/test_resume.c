#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "net/resume.h"

static char dir[64];

static void
enter(void)
{
	(void)snprintf(dir, sizeof dir, "/tmp/llmr-resume-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void
leave(void)
{
	(void)unlink("o");
	(void)unlink("o.partial");
	(void)unlink("o.state");
	cr_expect_eq(chdir("/"), 0);
	(void)rmdir(dir);
}

TestSuite(resume, .init = enter, .fini = leave);

static struct resume_opts
opts(void)
{
	/* Every point is journaled at once. */
	return (struct resume_opts){ .out = "o", .query = "{\"q\":\"\\u00e9\"}", .start_us = 100,
		.end_us = 900, .piece_bytes = 1, .seconds = 1e-9 };
}

static void
add(struct resume *r, uint8_t n)
{
	uint8_t id[16] = { n };
	char line[16];
	struct err e = ERR_INIT;

	(void)snprintf(line, sizeof line, "line %u\n", n);
	cr_assert_eq(resume_add(r, id, 2, line, strlen(line), &e), 0, "%s", e.msg);
}

static void
expect_file(const char *path, const char *text)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	cr_assert_eq(io_read_file(path, 1 << 20, &b, &e), 0, "%s", e.msg);
	cr_expect_str_eq(buf_cstr(&b), text);
	buf_finish(&b);
}

/* Two points, then a half-written third, and no more: the file holds line 4, the journal does not. */
static void
begin_run(void)
{
	struct resume_opts o = opts();
	struct idset seen = IDSET_INIT;
	struct resume_point at;
	struct err e = ERR_INIT;
	struct resume *r = resume_open(&o, &seen, &at, &e);

	cr_assert_not_null(r, "%s", e.msg);
	cr_expect_not(at.resumed);
	add(r, 1);
	cr_assert_eq(resume_upto(r, 200, &e), 0);
	add(r, 2);
	add(r, 3);
	cr_assert_eq(resume_upto(r, 300, &e), 0);
	add(r, 4);
}

/* A process that begins a run and dies. */
static void
run_and_crash(void)
{
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0) {
		begin_run();
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(resume, goes_on_from_the_last_point_after_a_crash)
{
	struct resume_opts o = opts();
	struct idset seen = IDSET_INIT;
	struct resume_point at;
	struct err e = ERR_INIT;
	struct resume *r;
	uint8_t id[16] = { 3 };
	FILE *f;

	run_and_crash();
	cr_expect_not(io_exists("o"));
	cr_assert_not_null(f = fopen("o.state", "a"));
	(void)fputs("{\"upto_us\":400,\"off", f);	/* torn */
	(void)fclose(f);
	o.start_us = 5000;	/* a later run asks for a later range: the first one's holds */
	o.end_us = 6000;
	r = resume_open(&o, &seen, &at, &e);
	cr_assert_not_null(r, "%s", e.msg);
	cr_expect(at.resumed && at.start_us == 100 && at.end_us == 900 && at.upto_us == 300);
	cr_expect(at.traces == 3 && at.spans == 6);
	cr_expect(idset_has(&seen, id));
	id[0] = 4;
	cr_expect_not(idset_has(&seen, id), "what no point covers comes again");
	add(r, 4);
	cr_assert_eq(resume_upto(r, 900, &e), 0);
	cr_assert_eq(resume_commit(r, &e), 0, "%s", e.msg);
	expect_file("o", "line 1\nline 2\nline 3\nline 4\n");
	cr_expect_not(io_exists("o.partial"));
	cr_expect_not(io_exists("o.state"));
	idset_finish(&seen);
}

Test(resume, refuses_what_does_not_fit)
{
	struct resume_opts o = opts();
	struct idset seen = IDSET_INIT;
	struct resume_point at;
	struct err e = ERR_INIT;

	run_and_crash();
	o.query = "another";
	cr_expect_null(resume_open(&o, &seen, &at, &e));
	cr_expect_eq(e.code, ERR_USAGE, "%s", e.msg);
	o = opts();
	cr_assert_eq(truncate("o.partial", 3), 0);
	cr_expect_null(resume_open(&o, &seen, &at, &e));
	cr_expect_eq(e.code, ERR_INPUT, "%s", e.msg);
	o.restart = true;
	{
		struct resume *r = resume_open(&o, &seen, &at, &e);

		cr_assert_not_null(r, "%s", e.msg);
		cr_expect_not(at.resumed);
		cr_assert_eq(resume_commit(r, &e), 0);
	}
	expect_file("o", "");
	idset_finish(&seen);
}

Test(resume, damaged_journals_are_refused)
{
	static const char head[] = "{\"format\":\"llmr-extract-1\",\"query\":\"q\",\"start_us\":1,\"end_us\":9}\n";
	static const char *const tails[] = {
		"x\n", "{\"upto_us\":\"5\"}\n", "{\"upto_us\":0}\n", "{\"offset\":-1}\n",
		"{\"ids\":\"abc\"}\n", "{\"ids\":\"zz345678901234567890123456789012\"}\n", "[]\n", "\n",
		"{\"upto_us\":5} {}\n", "{\"upto_us\":99999999999999999999}\n",
	};

	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		struct resume_opts o = opts();
		struct idset seen = IDSET_INIT;
		struct resume_point at;
		struct err e = ERR_INIT;
		struct buf b = BUF_INIT;

		o.query = "q";
		buf_str(&b, head);
		buf_str(&b, tails[i]);
		cr_assert_eq(io_write_file("o.state", b.p, b.len, 0600, &e), 0);
		cr_expect_null(resume_open(&o, &seen, &at, &e), "case '%s'", tails[i]);
		cr_expect_eq(e.code, ERR_INPUT, "case '%s': %s", tails[i], e.msg);
		buf_finish(&b);
		idset_finish(&seen);
	}
}

Test(resume, nothing_done_leaves_nothing)
{
	struct resume_opts o = opts();
	struct idset seen = IDSET_INIT;
	struct resume_point at;
	struct err e = ERR_INIT;
	struct resume *r = resume_open(&o, &seen, &at, &e);
	uint64_t kept = 9;

	cr_assert_not_null(r, "%s", e.msg);
	cr_expect_eq(resume_keep(r, &kept, &e), 0);
	cr_expect_eq(kept, 0);
	cr_expect_not(io_exists("o.partial"));
	cr_expect_not(io_exists("o.state"));
	idset_finish(&seen);
}
