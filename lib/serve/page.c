#include "serve/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "serve/reply.h"

#define MAX_BOUNDS 24

/* share/ui.html, line by line: one long literal is more than C11 promises to take. */
static const char *const lines[] = {
#include "ui.inc"
	NULL
};

/* ---- the shell ---- */

/* The digest of what stands between two tags of the page, in base64 as a policy names it. */
static bool
source_hash(const char *page, const char *open, const char *close, char out[45])
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *from = strstr(page, open), *to = from == NULL ? NULL : strstr(from, close);
	uint8_t d[33] = { 0 };	/* a zero byte more: 33 is a multiple of 3 */

	if (to == NULL)
		return false;
	from += strlen(open);
	sha256_bytes(from, (size_t)(to - from), d);
	for (int i = 0; i < 11; i++) {
		uint32_t v = (uint32_t)d[3 * i] << 16 | (uint32_t)d[3 * i + 1] << 8 | d[3 * i + 2];

		for (int k = 0; k < 4; k++)
			out[4 * i + k] = digit[v >> (18 - 6 * k) & 63];
	}
	out[43] = '=';
	out[44] = '\0';
	return true;
}

void
page_get(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	char script[45], style[45], policy[400];
	struct buf b = BUF_INIT;

	(void)g;
	(void)k;
	for (const char *const *l = lines; *l != NULL; l++)
		buf_str(&b, *l);
	if (b.failed || !source_hash(b.p, "<script>", "</script>", script) ||
	    !source_hash(b.p, "<style>", "</style>", style)) {
		buf_finish(&b);
		reply_error(x, 503, NULL, NULL, "out of memory");
		return;
	}
	(void)snprintf(policy, sizeof policy, "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; "
		"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		script, style);
	exchange_set(x, "Content-Security-Policy", policy);
	exchange_set(x, "X-Content-Type-Options", "nosniff");
	exchange_set(x, "X-Frame-Options", "DENY");
	exchange_set(x, "Referrer-Policy", "no-referrer");
	exchange_set(x, "Cache-Control", "no-cache");
	exchange_reply(x, 200, "text/html; charset=utf-8", b.p, b.len);
	buf_finish(&b);
}

/* ---- the figures ---- */

/* Gathered over the series of the paths that decide. */
struct gathered {
	struct jsonw *w;
	double bound[MAX_BOUNDS];
	uint64_t bucket[MAX_BOUNDS + 1], count;
	size_t n;
	double sum, failed;
};

static bool
decides(const char *path)
{
	return strcmp(path, "/v1/route") == 0 || strstr(path, "/chat/completions") != NULL;
}

static void
gather_histogram(struct gathered *h, const struct metric_sample *s)
{
	uint64_t below = 0;

	h->n = s->n_bounds < MAX_BOUNDS ? s->n_bounds : MAX_BOUNDS;
	for (size_t i = 0; i < h->n; i++) {
		h->bound[i] = s->bound[i];
		h->bucket[i] += s->bucket[i];
		below += s->bucket[i];
	}
	h->bucket[h->n] += s->count - below;
	h->count += s->count;
	h->sum += s->value;
}

/* Decisions are written as they come by; the rest is gathered. */
static void
gather(void *ctx, const struct metric_sample *s)
{
	struct gathered *h = ctx;

	if (s->metric == M_REQUEST_SECONDS && decides(s->label[0]))
		gather_histogram(h, s);
	if (s->metric == M_REQUESTS && decides(s->label[0]) && s->label[1][0] == '5')
		h->failed += s->value;
	if (s->metric != M_DECISIONS)
		return;
	jsonw_object(h->w);
	jsonw_kstr(h->w, "strategy", s->label[0]);
	jsonw_kstr(h->w, "model", s->label[1]);
	jsonw_kstr(h->w, "outcome", s->label[2]);
	jsonw_kdouble(h->w, "count", s->value);
	jsonw_end_object(h->w);
}

/* Interpolated within its bucket; the last bound when it lies beyond. NaN when nothing was counted. */
static double
quantile(const struct gathered *h, double q)
{
	double rank = q * (double)h->count, seen = 0;

	if (h->count == 0)
		return NAN;
	for (size_t i = 0; i < h->n; i++) {
		double here = (double)h->bucket[i], low = i == 0 ? 0 : h->bound[i - 1];

		if (here > 0 && seen + here >= rank)
			return low + (h->bound[i] - low) * (rank - seen) / here;
		seen += here;
	}
	return h->n == 0 ? NAN : h->bound[h->n - 1];
}

static void
write_histogram(struct jsonw *w, const struct gathered *h)
{
	jsonw_key(w, "request_seconds");
	jsonw_object(w);
	jsonw_kint(w, "count", (int64_t)h->count);
	jsonw_kdouble(w, "sum", h->sum);
	jsonw_kdouble(w, "p50", quantile(h, 0.5));
	jsonw_kdouble(w, "p95", quantile(h, 0.95));
	jsonw_kdouble(w, "p99", quantile(h, 0.99));
	jsonw_key(w, "bounds");
	jsonw_array(w);
	for (size_t i = 0; i < h->n; i++)
		jsonw_double(w, h->bound[i]);
	jsonw_end_array(w);
	jsonw_key(w, "counts");
	jsonw_array(w);
	for (size_t i = 0; h->n > 0 && i <= h->n; i++)
		jsonw_int(w, (int64_t)h->bucket[i]);
	jsonw_end_array(w);
	jsonw_end_object(w);
}

static void
write_deployments(struct jsonw *w, const struct generation *n)
{
	int64_t now = clock_mono_ns();

	jsonw_key(w, "deployments");
	jsonw_array(w);
	for (size_t i = 0; i < n->config->n; i++) {
		const struct deployment *d = n->all[i].d;
		const struct backend *b = n->all[i].b;

		jsonw_object(w);
		jsonw_kstr(w, "id", d->id);
		jsonw_kstr(w, "group", d->group);
		jsonw_kstr(w, "model", d->model);
		jsonw_kint(w, "in_flight", (int64_t)atomic_load(&b->in_flight));
		jsonw_kint(w, "successes", (int64_t)atomic_load(&b->successes));
		jsonw_kint(w, "failures", (int64_t)atomic_load(&b->failures));
		jsonw_kint(w, "cooldowns", (int64_t)atomic_load(&b->cooldowns));
		jsonw_kbool(w, "in_service", backend_in_service(b, now));
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

void
page_stats(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const struct generation *n = gateway_enter(g, k);
	struct buf b = BUF_INIT;
	struct jsonw w;
	struct gathered h = { .w = &w };

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kdouble(&w, "uptime_seconds", (double)(clock_wall_us() - g->started_us) / 1e6);
	jsonw_kint(&w, "in_flight", (int64_t)httpd_in_flight(g->http) - 1);	/* without this one */
	jsonw_key(&w, "decisions");
	jsonw_array(&w);
	metrics_each(g->metrics, gather, &h);
	jsonw_end_array(&w);
	jsonw_kdouble(&w, "failed", h.failed);
	write_histogram(&w, &h);
	write_deployments(&w, n);
	jsonw_end_object(&w);
	gateway_leave(g, k);
	reply_json(x, 200, &b);
}
