#include "base/log.h"

#include <stddef.h>
#include <stdio.h>

void
log_at(const struct log *l, enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (l == NULL || l->sink == NULL || level > l->level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	l->sink(l->ctx, level, line);
}

void
progress_show(const struct progress *p, const char *what, double done, double total,
	const char *unit)
{
	if (p != NULL && p->show != NULL)
		p->show(p->ctx, what, done, total, unit);
}
