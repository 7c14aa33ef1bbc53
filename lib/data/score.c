#include "data/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool takes_value, is_time;
} signals[] = {
	[SCORE_SUCCESS] = { "success", false, false },
	[SCORE_LATENCY] = { "latency", true, true },
	[SCORE_TTFT] = { "ttft", true, true },
	[SCORE_COST] = { "cost", true, false },
	[SCORE_TOKENS] = { "tokens", true, false },
};
#define N_SIGNALS (sizeof signals / sizeof signals[0])

/* text is one term, trimmed and NUL-terminated; it is cut up. */
static int
parse_term(const char *rule, char *text, struct score_rule *r, struct err *e)
{
	char *star = strchr(text, '*'), *name = star != NULL ? star + 1 : text, *colon;
	double weight = 1, half = 0;
	size_t s;

	if (r->n == SCORE_MAX_TERMS)
		return err_set(e, ERR_USAGE, "--score %s: more than %d terms", rule,
			SCORE_MAX_TERMS);
	if (star != NULL) {
		*star = '\0';
		if (str_double("--score: weight", text, 1e-9, 1e9, &weight, e) < 0)
			goto usage;
	}
	if ((colon = strchr(name, ':')) != NULL)
		*colon++ = '\0';
	for (s = 0; s < N_SIGNALS && strcmp(name, signals[s].name) != 0; s++)
		;
	if (s == N_SIGNALS)
		return err_set(e, ERR_USAGE, "--score %s: unknown signal \"%s\" (success, "
			"latency:T, ttft:T, cost:USD, tokens:N)", rule, name);
	if (signals[s].takes_value != (colon != NULL))
		return err_set(e, ERR_USAGE, "--score %s: %s %s", rule, name,
			colon != NULL ? "takes no value" : "needs a value, for example latency:2s");
	if (colon != NULL && (signals[s].is_time ? str_duration("--score", colon, &half, e) :
		    str_double("--score", colon, 1e-12, 1e12, &half, e)) < 0)
		goto usage;
	if (colon != NULL && !(half > 0))
		return err_set(e, ERR_USAGE, "--score %s: %s must be above 0", rule, name);
	r->term[r->n].signal = (enum score_signal)s;
	r->term[r->n].weight = weight;
	r->term[r->n++].half = half;
	return 0;
usage:
	if (e != NULL)
		e->code = ERR_USAGE;
	return -1;
}

int
score_parse(const char *text, struct score_rule *r, struct err *e)
{
	char copy[256], *p = copy, *plus;
	double sum = 0;

	*r = (struct score_rule){ .n = 0 };
	if (strlen(text) >= sizeof copy)
		return err_set(e, ERR_USAGE, "--score: longer than %zu bytes", sizeof copy - 1);
	/* blanks carry no meaning */
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (text[i] != ' ')
			*p++ = text[i];
	}
	*p = '\0';
	for (p = copy; p != NULL; p = plus) {
		if ((plus = strchr(p, '+')) != NULL)
			*plus++ = '\0';
		if (parse_term(text, p, r, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < r->n; i++)
		sum += r->term[i].weight;
	for (size_t i = 0; i < r->n; i++)
		r->term[i].weight /= sum;
	return 0;
}

static double
signal_value(enum score_signal s, const struct record *r)
{
	switch (s) {
	case SCORE_SUCCESS:
		return 0;
	case SCORE_LATENCY:
		return r->response_time_s;
	case SCORE_TTFT:
		return r->ttft_s;
	case SCORE_COST:
		return r->cost_usd;
	case SCORE_TOKENS:
		return r->output_tokens == RECORD_NO_INT ? NAN : (double)r->output_tokens;
	}
	return NAN;
}

double
score_apply(const struct score_rule *rule, const struct record *r)
{
	bool failed = slice_is(r->status, "error");
	double sum = 0;

	if (r->status.n == 0)
		failed = r->error_type.n > 0;
	for (size_t i = 0; i < rule->n; i++) {
		double half = rule->term[i].half, v = signal_value(rule->term[i].signal, r);

		if (failed)
			continue;
		if (rule->term[i].signal == SCORE_SUCCESS)
			v = 1;
		else if (!(v >= 0))
			return NAN;
		else
			v = half / (half + v);
		sum += rule->term[i].weight * v;
	}
	return sum < 0 ? 0 : sum > 1 ? 1 : sum;
}
