#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct slice
slice_str(const char *s)
{
	return s == NULL ? SLICE_NONE : (struct slice){ s, strlen(s) };
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
slice_is(struct slice a, const char *s)
{
	return a.p != NULL && slice_eq(a, slice_str(s));
}

bool
slice_starts(struct slice a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice
slice_trim(struct slice a)
{
	while (a.n > 0 && is_space(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n > 0 && is_space(a.p[a.n - 1]))
		a.n--;
	return a;
}

bool
slice_int(struct slice s, long long *out)
{
	char text[32], *end;

	if (s.n == 0 || s.n >= sizeof text || is_space(s.p[0]) || s.p[0] == '+')
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (strlen(text) != s.n)
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end == text + s.n;
}

/* The characters of a decimal number; refuses strtod's "nan", "inf" and hexadecimal. */
static bool
decimal_only(const char *s)
{
	return s[strspn(s, "+-0123456789.eE")] == '\0';
}

bool
slice_double(struct slice s, double *out)
{
	char text[64], *end;

	if (s.n == 0 || s.n >= sizeof text || is_space(s.p[0]))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (strlen(text) != s.n || !decimal_only(text))
		return false;
	*out = strtod(text, &end);
	return end == text + s.n && isfinite(*out);
}

int
str_int(const char *what, const char *s, long long lo, long long hi, long long *out, struct err *e)
{
	long long v;

	if (!slice_int(slice_str(s), &v))
		return err_set(e, ERR_USAGE, "%s: '%s' is not a whole number", what, s);
	if (v < lo || v > hi)
		return err_set(e, ERR_USAGE, "%s: %lld is outside %lld..%lld", what, v, lo, hi);
	*out = v;
	return 0;
}

int
str_double(const char *what, const char *s, double lo, double hi, double *out, struct err *e)
{
	double v;

	if (!slice_double(slice_str(s), &v))
		return err_set(e, ERR_USAGE, "%s: '%s' is not a number", what, s);
	if (v < lo || v > hi)
		return err_set(e, ERR_USAGE, "%s: %g is outside %g..%g", what, v, lo, hi);
	*out = v;
	return 0;
}

/* Split "12.5unit" into number and unit; false when there is no number. */
static bool
number_and_unit(const char *s, double *v, const char **unit)
{
	size_t n = strspn(s, "0123456789.");

	*unit = s + n;
	return slice_double((struct slice){ s, n }, v);
}

struct unit { const char *name; double factor; };

static bool
find_unit(const struct unit *units, const char *name, double *factor)
{
	for (; units->name != NULL; units++) {
		if (strcmp(units->name, name) == 0) {
			*factor = units->factor;
			return true;
		}
	}
	return false;
}

int
str_duration(const char *what, const char *s, double *seconds, struct err *e)
{
	static const struct unit units[] = {
		{ "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 }, { "m", 60 },
		{ "min", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 604800 }, { NULL, 0 }
	};
	const char *unit;
	double v, f;

	if (!number_and_unit(s, &v, &unit) || !find_unit(units, unit, &f))
		return err_set(e, ERR_USAGE, "%s: '%s' is not a duration such as 200ms, 90s, 24h or 7d",
			what, s);
	*seconds = v * f;
	return 0;
}

int
str_bytes(const char *what, const char *s, uint64_t *bytes, struct err *e)
{
	static const struct unit units[] = {
		{ "", 1 }, { "B", 1 }, { "K", 0x1p10 }, { "KiB", 0x1p10 }, { "M", 0x1p20 },
		{ "MiB", 0x1p20 }, { "G", 0x1p30 }, { "GiB", 0x1p30 }, { "T", 0x1p40 },
		{ "TiB", 0x1p40 }, { "kB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { NULL, 0 }
	};
	const char *unit;
	double v, f;

	if (!number_and_unit(s, &v, &unit) || !find_unit(units, unit, &f) || v * f >= 0x1p63)
		return err_set(e, ERR_USAGE, "%s: '%s' is not a size such as 4096, 64KiB or 2GB", what, s);
	*bytes = (uint64_t)(v * f);
	return 0;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil). */
static int64_t
days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (int64_t)(153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool
digits(const char **p, unsigned n, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (unsigned)(**p - '0');
	}
	return true;
}

static bool
literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool
parse_date(const char **p, int64_t *days)
{
	static const unsigned month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned y, m, d;

	if (!digits(p, 4, &y) || !literal(p, '-') || !digits(p, 2, &m) || !literal(p, '-') ||
	    !digits(p, 2, &d))
		return false;
	if (m < 1 || m > 12 || d < 1 || d > month_days[m - 1])
		return false;
	*days = days_from_civil(y, m, d);
	return true;
}

/* "HH:MM[:SS[.frac]]" to microseconds of the day. */
static bool
parse_clock(const char **p, int64_t *us)
{
	unsigned h, m, s = 0;
	int64_t scale = 100000;

	if (!digits(p, 2, &h) || !literal(p, ':') || !digits(p, 2, &m))
		return false;
	if (literal(p, ':') && !digits(p, 2, &s))
		return false;
	if (h > 23 || m > 59 || s > 60)
		return false;
	*us = ((int64_t)h * 3600 + m * 60 + s) * 1000000;
	if (literal(p, '.')) {
		if (!isdigit((unsigned char)**p))
			return false;
		for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
			*us += (**p - '0') * scale;
	}
	return true;
}

/* "Z", "+HH:MM", "-HHMM" or nothing (UTC) to seconds east. */
static bool
parse_zone(const char **p, int *east)
{
	unsigned h, m;
	int sign;

	*east = 0;
	if (**p == '\0' || literal(p, 'Z') || literal(p, 'z'))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!literal(p, '+') && !literal(p, '-'))
		return false;
	if (!digits(p, 2, &h))
		return false;
	(void)literal(p, ':');
	if (!digits(p, 2, &m) || h > 14 || m > 59)
		return false;
	*east = sign * (int)(h * 3600 + m * 60);
	return true;
}

int
str_time(const char *what, const char *s, int64_t now_us, int64_t *us, struct err *e)
{
	const char *p = s;
	int64_t days, clock = 0;
	double unix_s;
	int east;

	if (strcmp(s, "now") == 0) {
		*us = now_us;
		return 0;
	}
	if (s[0] == '@' && slice_double(slice_str(s + 1), &unix_s) && fabs(unix_s) < 9e12) {
		*us = (int64_t)(unix_s * 1e6);
		return 0;
	}
	if (!parse_date(&p, &days))
		goto bad;
	if (*p == 'T' || *p == 't' || *p == ' ') {
		p++;
		if (!parse_clock(&p, &clock))
			goto bad;
	}
	if (!parse_zone(&p, &east) || *p != '\0')
		goto bad;
	*us = days * 86400000000 + clock - (int64_t)east * 1000000;
	return 0;
bad:
	return err_set(e, ERR_USAGE,
		"%s: '%s' is not a time such as 2026-11-20T10:00:00Z, 2026-11-20 or @1795000000", what, s);
}

void
str_iso8601(int64_t us, char out[28])
{
	int64_t s = us / 1000000, frac = us % 1000000;
	time_t t;
	struct tm tm;

	if (frac < 0) {
		frac += 1000000;
		s--;
	}
	t = (time_t)s;
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099)
		(void)snprintf(out, 28, "0000-00-00T00:00:00.000000Z");
	else
		(void)snprintf(out, 28, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
			(unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
			(unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
			(unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u,
			(unsigned)frac % 1000000u);
}

#define DISTANCE_MAX 40

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

size_t
str_distance(const char *a, const char *b)
{
	size_t row[3][DISTANCE_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > DISTANCE_MAX || nb > DISTANCE_MAX)
		return DISTANCE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *cur = row[i % 3], *prev = row[(i + 2) % 3], *old = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    old[j - 2] + 1 < cur[j])
				cur[j] = old[j - 2] + 1;
		}
	}
	return row[na % 3][nb];
}

/* Length of the valid sequence at p, 0 when it is bad. Table 3-7 of the Unicode Standard. */
static size_t
sequence(const unsigned char *p, size_t n)
{
	unsigned c = p[0];
	unsigned lo = 0x80, hi = 0xbf;
	size_t len;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t
utf8_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0;

	while (i < n) {
		uint64_t w;
		size_t len;

		if (n - i >= 8) {
			memcpy(&w, p + i, 8);
			if ((w & 0x8080808080808080u) == 0) {
				i += 8;
				continue;
			}
		}
		len = sequence(p + i, n - i);
		if (len == 0)
			return i;
		i += len;
	}
	return n;
}

uint32_t
utf8_next(const char **s, const char *end)
{
	const unsigned char *p = (const unsigned char *)*s;
	size_t len = sequence(p, (size_t)(end - *s));
	uint32_t cp;

	if (len == 0) {
		(*s)++;
		return 0xfffd;
	}
	*s += len;
	if (len == 1)
		return p[0];
	cp = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		cp = cp << 6 | (p[i] & 0x3fu);
	return cp;
}

size_t
utf8_put(uint32_t cp, char out[4])
{
	if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		cp = 0xfffd;
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}
