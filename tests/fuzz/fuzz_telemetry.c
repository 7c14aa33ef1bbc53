/* Any bytes as a traceparent, as a prompt and a request's id, and as resource attributes: what is sent stays JSON. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"
#include "serve/accesslog.h"
#include "serve/otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_json(const struct buf *b)
{
	struct jread r;

	jread_init(&r, b->p, b->len);
	(void)jread_peek(&r);
	if (!jread_skip(&r) || jread_done(&r, NULL) < 0)
		abort();
}

static void
check_header(const char *p)
{
	struct tracectx t, again;
	char out[TRACECTX_HEADER];

	if (!tracectx_parse(p, &t))
		return;
	tracectx_header(&t, out);
	if (!tracectx_parse(out, &again) || t.trace_hi != again.trace_hi || t.trace_lo != again.trace_lo ||
	    t.parent != again.parent || t.sampled != again.sampled)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct deployment d = { .id = "d", .group = "g", .model = "openai/m", .provider = "openai", .upstream_model = "m",
		.input_cost = NAN, .output_cost = NAN };
	struct decision decision = { .deployment = &d, .strategy = "simple-shuffle", .propensity = 1,
		.label = POLICY_NONE, .runner_up = POLICY_NONE };
	struct event v = { .path = "/v1/chat/completions", .d = &decision, .status = 200, .forwarded = true,
		.upstream_seconds = NAN, .ttft_seconds = NAN };
	struct buf list = BUF_INIT, out = BUF_INIT;
	char *p = malloc(size + 1);

	if (p == NULL)
		return 0;
	memcpy(p, data, size);
	p[size] = '\0';
	check_header(p);
	v.request_id = v.group = v.user = p;
	v.prompt = (struct slice){ p, size };
	(void)tracectx_parse(p, &v.trace);
	otlp_spans(&v, 7, true, &list);
	otlp_request(OTLP_TRACES, p, p, buf_cstr(&list), list.len, &out);
	must_be_json(&out);
	buf_reset(&out);
	accesslog_write(&v, true, &out);
	if (memchr(out.p, '\n', out.len) != NULL)
		abort();
	must_be_json(&out);
	buf_reset(&out);
	otlp_decision_log(&v, true, &out);
	must_be_json(&out);
	buf_finish(&list);
	buf_finish(&out);
	free(p);
	return 0;
}
