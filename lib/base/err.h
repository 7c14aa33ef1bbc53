/*
 * err - one error value, owned by the caller.
 *
 * Filled once at the place that knows the cause, given context on the way up.
 * Codes from ERR_USAGE on are the process exit statuses of sysexits(3); the
 * command line maps them one to one (llmr(1), EXIT STATUS).
 * Depends on: nothing.  Threads: a struct err belongs to one thread at a time.
 */
#ifndef LLMR_BASE_ERR_H
#define LLMR_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err_code {
	ERR_NONE = 0,
	ERR_NO = 1,		/* the answer is no: gate missed, nothing found */
	ERR_USAGE = 64,		/* command line */
	ERR_INPUT = 65,		/* malformed data */
	ERR_NOINPUT = 66,	/* no such file, directory in place of a file, unreadable */
	ERR_UNAVAILABLE = 69,	/* server away after retries */
	ERR_BUG = 70,		/* ours */
	ERR_CANTCREAT = 73,	/* output cannot be created */
	ERR_IO = 74,		/* read, write, full disk */
	ERR_TEMPFAIL = 75,	/* try again later; also out of memory */
	ERR_NOPERM = 77,	/* refused: 401, 403 */
	ERR_CONFIG = 78,	/* settings */
	ERR_INTR = 130		/* SIGINT */
};

struct err {
	enum err_code code;
	int sys;		/* errno at the time, 0 when none */
	char msg[512];		/* one line, lower case, no full stop */
};

#define ERR_INIT { ERR_NONE, 0, "" }

/*
 * Set the error: "fmt" as printf. Control bytes in the outcome are escaped as
 * \xHH, so that hostile input cannot move a terminal's cursor. E may be NULL.
 * Always returns -1, so that raising is one line: return err_set(e, ...).
 */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* As err_set, with ": strerror(errno)" appended and errno kept in sys. */
int err_sys(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Put "context: " before the message. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Out of memory, as an ordinary error (ERR_TEMPFAIL). Returns -1. */
int err_nomem(struct err *e);

/* A broken invariant of ours, never used for input: message and abort(). */
#define BUG(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void err_bug(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
