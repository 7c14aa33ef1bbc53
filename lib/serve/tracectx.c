#include "serve/tracectx.h"

#include <string.h>

/* Lower-case hex alone, as the recommendation demands. */
static bool
hex64(const char *p, unsigned digits, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < digits; i++) {
		int v = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : p[i] >= 'a' && p[i] <= 'f' ? p[i] - 'a' + 10 : -1;

		if (v < 0)
			return false;
		*out = *out << 4 | (uint64_t)v;
	}
	return true;
}

static void
put_hex(uint64_t v, unsigned digits, char *out)
{
	for (unsigned i = digits; i-- > 0; v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
	out[digits] = '\0';
}

bool
tracectx_parse(const char *h, struct tracectx *t)
{
	uint64_t version, flags;

	*t = (struct tracectx){ 0 };
	if (h == NULL || strnlen(h, TRACECTX_HEADER - 1) < TRACECTX_HEADER - 1)
		return false;
	if (!hex64(h, 2, &version) || h[2] != '-' || !hex64(h + 3, 16, &t->trace_hi) ||
	    !hex64(h + 19, 16, &t->trace_lo) || h[35] != '-' || !hex64(h + 36, 16, &t->parent) || h[52] != '-' ||
	    !hex64(h + 53, 2, &flags) || version == 0xff || (version == 0 && h[55] != '\0') ||
	    (h[55] != '\0' && h[55] != '-') || (t->trace_hi | t->trace_lo) == 0 || t->parent == 0) {
		*t = (struct tracectx){ 0 };
		return false;
	}
	t->sampled = (flags & 1) != 0;
	return true;
}

void
tracectx_header(const struct tracectx *t, char out[TRACECTX_HEADER])
{
	memcpy(out, "00-", 3);
	put_hex(t->trace_hi, 16, out + 3);
	put_hex(t->trace_lo, 16, out + 19);
	out[35] = '-';
	put_hex(t->span != 0 ? t->span : t->parent, 16, out + 36);
	memcpy(out + 52, t->sampled ? "-01" : "-00", 4);
}

void
tracectx_trace_hex(const struct tracectx *t, char out[33])
{
	put_hex(t->trace_hi, 16, out);
	put_hex(t->trace_lo, 16, out + 16);
}

void
tracectx_span_hex(uint64_t span, char out[17])
{
	put_hex(span, 16, out);
}
