#include "model/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static void
escape_n(struct buf *b, const char *s, size_t max)
{
	const char *end = s + strlen(s);
	char text[4];

	for (size_t i = 0; s < end && i < max; i++) {
		uint32_t c = utf8_next(&s, end);

		switch (c) {
		case '&': buf_str(b, "&amp;"); break;
		case '<': buf_str(b, "&lt;"); break;
		case '>': buf_str(b, "&gt;"); break;
		case '"': buf_str(b, "&quot;"); break;
		case '\'': buf_str(b, "&#39;"); break;
		default:
			if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xfffe && c <= 0xffff))
				c = 0xfffd;
			buf_add(b, text, utf8_put(c, text));
		}
	}
}

void
chart_escape(struct buf *b, const char *s)
{
	escape_n(b, s, (size_t)-1);
}

static size_t
characters(const char *s)
{
	const char *end = s + strlen(s);
	size_t n = 0;

	for (; s < end; n++)
		(void)utf8_next(&s, end);
	return n;
}

void
chart_begin(const struct chart *c, const char *title)
{
	buf_printf(c->b, "<svg viewBox=\"0 0 %g %g\" role=\"img\"><title>", c->w, c->h);
	chart_escape(c->b, title);
	buf_str(c->b, "</title>\n");
}

void
chart_end(const struct chart *c)
{
	buf_str(c->b, "</svg>\n");
}

double
chart_x(const struct chart *c, double x)
{
	double part = c->log_x ? log(x / c->x0) / log(c->x1 / c->x0) : (x - c->x0) / (c->x1 - c->x0);

	return c->left + part * (c->w - c->left - c->right);
}

double
chart_y(const struct chart *c, double y)
{
	return c->h - c->bottom - (y - c->y0) / (c->y1 - c->y0) * (c->h - c->top - c->bottom);
}

void
chart_line(const struct chart *c, const char *class, double xa, double ya, double xb, double yb)
{
	buf_printf(c->b, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
	    class, xa, ya, xb, yb);
}

/* Close a mark, with a tip inside when there is one. */
static void
close_mark(const struct chart *c, const char *name, const char *tip)
{
	if (tip == NULL) {
		buf_str(c->b, "/>\n");
		return;
	}
	buf_str(c->b, "><title>");
	chart_escape(c->b, tip);
	buf_printf(c->b, "</title></%s>\n", name);
}

void
chart_dot(const struct chart *c, const char *class, double x, double y, double r, const char *tip)
{
	buf_printf(c->b, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", class, x, y, r);
	close_mark(c, "circle", tip);
}

void
chart_rect(const struct chart *c, const char *class, double x, double y, double w, double h,
	const char *tip)
{
	buf_printf(c->b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
	    class, x, y, w > 0 ? w : 0, h > 0 ? h : 0);
	close_mark(c, "rect", tip);
}

void
chart_text(const struct chart *c, const char *class, const char *anchor, double x, double y,
	const char *text, size_t max)
{
	bool cut = max > 1 && characters(text) > max;

	buf_printf(c->b, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, anchor,
	    x, y);
	if (cut) {
		buf_str(c->b, "<title>");
		chart_escape(c->b, text);
		buf_str(c->b, "</title>");
	}
	escape_n(c->b, text, cut ? max - 1 : (size_t)-1);
	buf_str(c->b, cut ? "\xe2\x80\xa6</text>\n" : "</text>\n");
}

void
chart_reach(double *lo, double *hi, double v)
{
	if (isnan(v))
		return;
	*lo = v < *lo ? v : *lo;
	*hi = v > *hi ? v : *hi;
}

/* 1, 2 or 5 times a power of ten that cuts the range into about five. */
static double
step_of(double range)
{
	double raw = range / 5, ten = pow(10, floor(log10(raw))), part = raw / ten;

	return ten * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void
tick_x(const struct chart *c, double v)
{
	double x = chart_x(c, v);
	char text[32];

	(void)snprintf(text, sizeof text, "%.3g", v);
	chart_line(c, "grid", x, c->top, x, c->h - c->bottom);
	chart_text(c, "tick", "middle", x, c->h - c->bottom + 14, text, 0);
}

static void
ticks_x(const struct chart *c)
{
	double step = step_of(c->x1 - c->x0);
	bool dense = log10(c->x1 / c->x0) < 2;

	if (!c->log_x) {
		for (double k = ceil(c->x0 / step - 1e-9); k * step <= c->x1 + step * 1e-9; k++)
			tick_x(c, fabs(k) < .5 ? 0 : k * step);
		return;
	}
	for (double ten = pow(10, floor(log10(c->x0))); ten <= c->x1; ten *= 10)
		for (int k = 0; k < 3; k++) {
			double v = ten * (k == 0 ? 1 : k == 1 ? 2 : 5);

			if (v >= c->x0 && v <= c->x1 && (k == 0 || dense))
				tick_x(c, v);
		}
}

void
chart_axes(const struct chart *c, const char *x_label, const char *y_label)
{
	double step = step_of(c->y1 - c->y0);
	double bottom = c->h - c->bottom, middle = (c->left + c->w - c->right) / 2;
	char text[32];

	ticks_x(c);
	for (double k = ceil(c->y0 / step - 1e-9); k * step <= c->y1 + step * 1e-9; k++) {
		double y = chart_y(c, k * step);

		(void)snprintf(text, sizeof text, "%.3g", fabs(k) < .5 ? 0 : k * step);
		chart_line(c, "grid", c->left, y, c->w - c->right, y);
		chart_text(c, "tick", "end", c->left - 6, y + 4, text, 0);
	}
	chart_line(c, "axis", c->left, bottom, c->w - c->right, bottom);
	chart_line(c, "axis", c->left, c->top, c->left, bottom);
	chart_text(c, "label", "middle", middle, c->h - 4, x_label, 0);
	chart_text(c, "label", "start", 2, 12, y_label, 0);
}
