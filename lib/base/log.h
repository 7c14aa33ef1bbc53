/*
 * log - messages for people, through a sink that the caller supplies.
 *
 * Nothing in lib/ prints: it calls the sink of the context it was given. A
 * NULL log or sink discards.
 * Depends on: nothing.  Threads: the sink must be thread-safe.
 */
#ifndef LLMR_BASE_LOG_H
#define LLMR_BASE_LOG_H

#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
	void (*sink)(void *ctx, enum log_level, const char *line);
	void *ctx;
	enum log_level level;	/* lines above it are dropped before formatting */
};

/* One line without a newline; control bytes are the sink's to escape. */
void log_at(const struct log *, enum log_level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define log_warn(l, ...) log_at((l), LOG_WARN, __VA_ARGS__)
#define log_info(l, ...) log_at((l), LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_at((l), LOG_DEBUG, __VA_ARGS__)

/*
 * progress - counts shown as a bar by the caller's sink, at most 10 a second.
 * total is 0 when unknown.
 */
struct progress {
	void (*show)(void *ctx, const char *what, double done, double total, const char *unit);
	void *ctx;
};
void progress_show(const struct progress *, const char *what, double done, double total,
	const char *unit);

#endif
