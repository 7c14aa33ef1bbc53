/*
 * chart - the few drawing marks that a report needs, as inline SVG text.
 *
 * Colours and type come from the page's style sheet by class, so that dark
 * mode and print need no second drawing. Text is escaped.
 * Depends on: base/buf, base/str.  Threads: one thread at a time.
 */
#ifndef LLMR_MODEL_CHART_H
#define LLMR_MODEL_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A plot of w x h user units with margins; x and y of the data within. */
struct chart {
	struct buf *b;
	double w, h, left, right, top, bottom;
	double x0, x1, y0, y1;		/* ranges of the data */
	bool log_x;			/* x0 > 0 */
};

/* Text for HTML and SVG: markup escaped, control bytes and invalid UTF-8 become U+FFFD. */
void chart_escape(struct buf *, const char *s);
/* <svg> with a title for those who cannot see it; then axes with ticks and labels. */
void chart_begin(const struct chart *, const char *title);
void chart_axes(const struct chart *, const char *x_label, const char *y_label);
void chart_end(const struct chart *);
/* Data to user units. */
double chart_x(const struct chart *, double x);
double chart_y(const struct chart *, double y);
/* Marks in user units; class is ours, text and tip are escaped (tip may be NULL). */
void chart_line(const struct chart *, const char *class, double xa, double ya, double xb,
	double yb);
void chart_dot(const struct chart *, const char *class, double x, double y, double r,
	const char *tip);
void chart_rect(const struct chart *, const char *class, double x, double y, double w, double h,
	const char *tip);
/* anchor: start, middle or end. max: characters kept, 0 all; what is cut goes into a tip. */
void chart_text(const struct chart *, const char *class, const char *anchor, double x, double y,
	const char *text, size_t max);
/* Extend an open range so that it holds v. */
void chart_reach(double *lo, double *hi, double v);

#endif
