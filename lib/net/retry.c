#include "net/retry.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct retry_policy
retry_default(void)
{
	return (struct retry_policy){ .tries = 5, .base = 0.5, .cap = 30, .max_wait = 300 };
}

bool
retry_status(long status)
{
	return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
		status == 503 || status == 504;
}

double
retry_delay(const struct retry_policy *p, unsigned n, double retry_after, struct rng *rng)
{
	double wait = p->base;

	if (n >= p->tries || retry_after > p->max_wait)
		return -1;
	for (unsigned i = 1; i < n && wait < p->cap; i++)
		wait *= 2;
	if (wait > p->cap)
		wait = p->cap;
	wait *= 0.5 + 0.5 * rng_double(rng);
	return wait > retry_after ? wait : retry_after;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
static int64_t
days_from_civil(int y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int
month_number(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++) {
		if (strncmp(names + 3 * i, name, 3) == 0)
			return i + 1;
	}
	return 0;
}

bool
retry_http_date(const char *s, int64_t *out)
{
	char mon[4] = "", zone[4] = "";
	int y, d, h, mi, sec, m, end = 0;

	if (sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d %3[A-Z]%n", &d, mon, &y, &h,
		&mi, &sec, zone, &end) == 7) {
		;
	} else if (sscanf(s, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d %3[A-Z]%n", &d, mon, &y,
		&h, &mi, &sec, zone, &end) == 7) {
		y += y < 70 ? 2000 : 1900;
	} else if (sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", mon, &d, &h, &mi,
		&sec, &y, &end) == 6) {
		memcpy(zone, "GMT", 4);
	} else {
		return false;
	}
	m = month_number(mon);
	if (m == 0 || s[end] != '\0' || strcmp(zone, "GMT") != 0 || y < 1970 || d < 1 || d > 31 ||
	    h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60)
		return false;
	*out = ((days_from_civil(y, m, d) * 24 + h) * 60 + mi) * 60 + sec;
	return true;
}

bool
retry_after_parse(const char *value, int64_t now_us, double *seconds)
{
	struct slice v = slice_trim(slice_str(value));
	char text[64];
	long long n;
	int64_t at;

	if (v.n == 0 || v.n >= sizeof text)
		return false;
	memcpy(text, v.p, v.n);
	text[v.n] = '\0';
	if (slice_int(v, &n)) {
		if (n < 0)
			return false;
		*seconds = (double)n;
		return true;
	}
	if (!retry_http_date(text, &at))
		return false;
	*seconds = (double)(at * 1000000 - now_us) / 1e6;
	if (*seconds < 0)
		*seconds = 0;
	return true;
}

int
retry_sleep(double seconds, struct cancel *c, struct err *e)
{
	int64_t until = clock_mono_ns() + (int64_t)(seconds * 1e9), left;

	for (;;) {
		if (cancel_check(c, e) < 0)
			return -1;
		left = until - clock_mono_ns();
		if (left <= 0)
			return 0;
		clock_sleep_ns(left < 100000000 ? left : 100000000);
	}
}
