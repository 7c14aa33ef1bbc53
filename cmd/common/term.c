#include "common/term.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "fmt/jsonw.h"

/* One terminal a process: the bar's state and the lock that keeps lines whole. */
static struct {
	pthread_mutex_t lock;
	bool bar_shown, color, json_log;
	int64_t last_ns, start_ns;
	double last_done;
	char what[64];
} term = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
clear_bar(void)
{
	if (!term.bar_shown)
		return;
	(void)fputs("\r\033[K", stderr);
	term.bar_shown = false;
}

void
term_clear_progress(void)
{
	pthread_mutex_lock(&term.lock);
	clear_bar();
	pthread_mutex_unlock(&term.lock);
}

/* Text from data may hold escape sequences: show control bytes, keep UTF-8. */
static void
put_visible(const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			(void)fprintf(stderr, "\\x%02x", c);
		else
			(void)fputc(c, stderr);
	}
}

void
term_line(const char *fmt, ...)
{
	char line[4096];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&term.lock);
	clear_bar();
	put_visible(line);
	(void)fputc('\n', stderr);
	pthread_mutex_unlock(&term.lock);
}

static void
log_json(enum log_level level, const char *line)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "level", names[level]);
	jsonw_kstr(&w, "msg", line);
	jsonw_end_object(&w);
	term_line("%s", buf_cstr(&b));
	buf_finish(&b);
}

static void
sink(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	if (term.json_log) {
		log_json(level, line);
		return;
	}
	if (level != LOG_WARN) {
		term_line("llmr: %s", line);
		return;
	}
	if (!term.color) {
		term_line("llmr: warning: %s", line);
		return;
	}
	pthread_mutex_lock(&term.lock);
	clear_bar();
	(void)fputs("llmr: \033[33mwarning:\033[0m ", stderr);
	put_visible(line);
	(void)fputc('\n', stderr);
	pthread_mutex_unlock(&term.lock);
}

/* 12345678 as "12.3M". */
static void
human(double v, char out[16])
{
	static const char units[] = " kMGT";
	int u = 0;

	while (v >= 10000 && u < 4) {
		v /= 1000;
		u++;
	}
	if (u == 0)
		(void)snprintf(out, 16, "%.0f", v);
	else
		(void)snprintf(out, 16, "%.1f%c", v, units[u]);
}

#define BAR_WIDTH 24

static void
draw_bar(const char *what, double done, double total, const char *unit, double rate)
{
	char n[16], of[16], per[16];

	human(done, n);
	human(total, of);
	human(rate, per);
	(void)fprintf(stderr, "\r\033[K%s ", what);
	if (total > 0) {
		int full = (int)(BAR_WIDTH * (done < total ? done / total : 1));

		(void)fputc('[', stderr);
		for (int i = 0; i < BAR_WIDTH; i++)
			(void)fputc(i < full ? '#' : '.', stderr);
		(void)fprintf(stderr, "] %s/%s %s", n, of, unit);
	} else
		(void)fprintf(stderr, "%s %s", n, unit);
	(void)fprintf(stderr, "  %s %s/s", per, unit);
	(void)fflush(stderr);
	term.bar_shown = true;
}

static void
show_progress(void *ctx, const char *what, double done, double total, const char *unit)
{
	int64_t now = clock_mono_ns();

	(void)ctx;
	pthread_mutex_lock(&term.lock);
	if (strncmp(term.what, what, sizeof term.what - 1) != 0) {
		(void)snprintf(term.what, sizeof term.what, "%s", what);
		term.start_ns = now;
		term.last_ns = 0;
		term.last_done = done;
	}
	/* At most 10 times a second. */
	if (now - term.last_ns >= 100000000) {
		double seconds = (double)(now - term.start_ns) / 1e9;

		term.last_ns = now;
		draw_bar(what, done, total, unit,
			seconds > 0 ? (done - term.last_done) / seconds : 0);
	}
	pthread_mutex_unlock(&term.lock);
}

static bool
wanted(const char *when, int fd)
{
	if (strcmp(when, "always") == 0)
		return true;
	if (strcmp(when, "never") == 0)
		return false;
	return isatty(fd) == 1;
}

static bool
color_wanted(const char *when, int fd)
{
	const char *no = getenv("NO_COLOR"), *t = getenv("TERM");

	if (strcmp(when, "auto") == 0 &&
	    ((no != NULL && no[0] != '\0') || (t != NULL && strcmp(t, "dumb") == 0)))
		return false;
	return wanted(when, fd);
}

/* -q and -v count first, then --log. */
static enum log_level
level_wanted(const struct ctx *c, const char *log)
{
	size_t verbose = opt_count(c, "verbose");

	if (c->quiet)
		return LOG_ERROR;
	if (verbose > 0)
		return verbose > 1 ? LOG_DEBUG : LOG_INFO;
	return strcmp(log, "error") == 0 ? LOG_ERROR : strcmp(log, "info") == 0 ? LOG_INFO :
		strcmp(log, "debug") == 0 ? LOG_DEBUG : LOG_WARN;
}

void
term_setup(struct ctx *c)
{

	c->json = opt_flag(c, "json");
	c->quiet = opt_flag(c, "quiet");
	c->threads = opt_str(c, "threads") != NULL ? (unsigned)opt_int(c, "threads") : pool_cores();
	term.color = color_wanted(opt_str(c, "color"), STDERR_FILENO);
	term.json_log = strcmp(opt_str(c, "log"), "json") == 0;
	c->color = color_wanted(opt_str(c, "color"), STDOUT_FILENO);
	c->log = (struct log){ .sink = sink, .level = level_wanted(c, opt_str(c, "log")) };
	if (!c->quiet && wanted(opt_str(c, "progress"), STDERR_FILENO))
		c->progress.show = show_progress;
}

void
out_write(const void *p, size_t n)
{
	(void)fwrite(p, 1, n, stdout);
}

void
out_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stdout, fmt, ap);
	va_end(ap);
}

void
say(const struct ctx *c, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	if (c->quiet)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	term_line("%s", line);
}
