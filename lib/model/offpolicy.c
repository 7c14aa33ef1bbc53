#include "model/offpolicy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/record.h"
#include "fmt/hash.h"
#include "fmt/stream.h"

/* Room for one call more in each column. */
static int
grow(struct offpolicy_log *l, struct err *e)
{
	void *p[6] = { l->query, l->id, l->model, l->score, l->propensity, l->cost };
	const size_t size[6] = { sizeof *l->query, sizeof *l->id, sizeof *l->model,
		sizeof *l->score, sizeof *l->propensity, sizeof *l->cost };
	int r = 0;

	for (size_t k = 0; k < 6; k++)
		if (mem_grow(&p[k], &l->cap[k], l->n + 1, size[k], e) < 0)
			r = -1;
	l->query = p[0];
	l->id = p[1];
	l->model = p[2];
	l->score = p[3];
	l->propensity = p[4];
	l->cost = p[5];
	return r;
}

static int
check_call(const struct record *rec, struct err *e)
{
	if (slice_trim(rec->query).n == 0)
		return err_set(e, ERR_INPUT, "record has no \"query\"");
	if (rec->model_name.n == 0 || memchr(rec->model_name.p, '\0', rec->model_name.n) != NULL)
		return err_set(e, ERR_INPUT, "record has no usable \"model_name\"");
	if (isnan(rec->propensity))
		return err_set(e, ERR_INPUT, "record has no \"propensity\": without the probability "
		    "of each choice nothing can be said about other choices");
	if (!(rec->propensity > 0))
		return err_set(e, ERR_INPUT, "propensity 0: what happened was not impossible");
	return 0;
}

static int
add_call(struct offpolicy_log *l, const struct record *rec, struct err *e)
{
	bool added;
	char id[17];
	char *text;

	if (isnan(rec->performance)) {
		l->null_records++;
		return 0;
	}
	if (check_call(rec, e) < 0 || grow(l, e) < 0)
		return -1;
	record_query_id(rec->query, id);
	l->id[l->n] = map_intern(&l->ids, id, 16, &added, e);
	l->model[l->n] = map_intern(&l->models, rec->model_name.p, rec->model_name.n, NULL, e);
	text = arena_dup(&l->arena, rec->query.p, rec->query.n, e);
	if (l->id[l->n] == MAP_NONE || l->model[l->n] == MAP_NONE || text == NULL)
		return -1;
	if (l->models.len > DATASET_MAX_MODELS)
		return err_set(e, ERR_INPUT, "more than %d models", DATASET_MAX_MODELS);
	l->query[l->n] = (struct slice){ text, rec->query.n };
	l->score[l->n] = rec->performance;
	l->propensity[l->n] = rec->propensity;
	l->cost[l->n++] = rec->cost_usd >= 0 ? rec->cost_usd : NAN;
	return 0;
}

static int
read_lines(struct offpolicy_log *l, struct stream_lines *lines, struct cancel *cancel,
	struct err *e)
{
	struct arena arena = ARENA_INIT;
	struct record rec;
	const char *line;
	uint64_t number = 0;
	size_t n;
	int r;

	while ((r = stream_lines_next(lines, &line, &n, &number, e)) > 0) {
		if (slice_trim((struct slice){ line, n }).n == 0)
			continue;
		arena_reset(&arena);
		record_init(&rec);
		if (record_parse(line, n, &arena, &rec, e) < 0 || add_call(l, &rec, e) < 0) {
			err_wrap(e, "line %llu", (unsigned long long)number);
			r = -1;
			break;
		}
		if (number % 1024 == 0 && cancel_check(cancel, e) < 0) {
			r = -1;
			break;
		}
	}
	arena_finish(&arena);
	return r;
}

static int
read_file(struct offpolicy_log *l, const char *path, struct cancel *cancel, struct err *e)
{
	struct stream_in *in = stream_in_open(path, e);
	struct stream_lines *lines;
	int r = -1;

	if (in == NULL)
		return -1;
	lines = stream_lines_new(in, DATASET_MAX_LINE, e);
	if (lines != NULL && (r = read_lines(l, lines, cancel, e)) < 0)
		err_wrap(e, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
	stream_lines_free(lines);
	stream_in_close(in);
	return r;
}

static void
make_digest(struct offpolicy_log *l)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, "llmr-offpolicy-1", 16);
	for (size_t i = 0; i < l->n; i++) {
		const char *model = l->models.keys[l->model[i]];
		char numbers[80];
		int n = snprintf(numbers, sizeof numbers, "%.17g %.17g %.17g", l->score[i],
		    l->propensity[i], l->cost[i]);

		sha256_add(&h, l->ids.keys[l->id[i]], 16);
		sha256_add(&h, model, strlen(model) + 1);
		sha256_add(&h, numbers, (size_t)n + 1);
	}
	sha256_final(&h, l->digest);
}

int
offpolicy_read(const char *const *paths, size_t n_paths, struct cancel *cancel,
	struct offpolicy_log *l, struct err *e)
{
	for (size_t i = 0; i < n_paths; i++)
		if (read_file(l, paths[i], cancel, e) < 0)
			return -1;
	if (l->n == 0)
		return err_set(e, ERR_INPUT, l->null_records > 0 ?
		    "none of the %llu records has a performance" : "no records (%llu)",
		    (unsigned long long)l->null_records);
	make_digest(l);
	return 0;
}

void
offpolicy_log_finish(struct offpolicy_log *l)
{
	free(l->query);
	free(l->id);
	free(l->model);
	free(l->score);
	free(l->propensity);
	free(l->cost);
	map_finish(&l->ids);
	map_finish(&l->models);
	arena_finish(&l->arena);
	*l = (struct offpolicy_log){ 0 };
}

void
offpolicy_keep(struct offpolicy_log *l, const size_t *renumber)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (renumber[l->id[i]] == OFFPOLICY_NONE)
			continue;
		l->query[kept] = l->query[i];
		l->id[kept] = renumber[l->id[i]];
		l->model[kept] = l->model[i];
		l->score[kept] = l->score[i];
		l->propensity[kept] = l->propensity[i];
		l->cost[kept++] = l->cost[i];
	}
	l->n = kept;
}

enum { LOGGED, IPS, SNIPS, DR, DELTA, COST, LOGGED_COST, N_STATS };

static double
weight(const struct offpolicy_input *x, size_t i)
{
	return x->called[i] == x->choice[i] ? 1 / x->propensity[i] : 0;
}

static void
estimate(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	const struct offpolicy_input *x = arg;
	double n = 0, sum_w = 0, score = 0, weighted = 0, direct = 0, cost = 0, logged_cost = 0;

	(void)worker;
	for (size_t i = 0; i < x->n; i++) {
		double c = count[x->id[i]], w = c * weight(x, i);
		double q = (double)x->predicted[i * x->m + x->choice[i]];

		if (!(c > 0))
			continue;
		n += c;
		sum_w += w;
		score += c * x->score[i];
		weighted += w * x->score[i];
		/* Where w > 0 the model called is the one chosen. */
		direct += c * q + w * (x->score[i] - q);
		cost += w > 0 ? w * x->cost[i] : 0;
		logged_cost += c * x->cost[i];
	}
	out[LOGGED] = score / n;
	out[IPS] = weighted / n;
	out[SNIPS] = sum_w > 0 ? weighted / sum_w : NAN;
	out[DR] = direct / n;
	out[DELTA] = out[DR] - out[LOGGED];
	out[COST] = sum_w > 0 ? cost / sum_w : NAN;
	out[LOGGED_COST] = logged_cost / n;
}

static void
weigh(const struct offpolicy_input *x, struct offpolicy *out)
{
	double sum = 0, squares = 0, n = (double)x->n;

	*out = (struct offpolicy){ 0 };
	for (size_t i = 0; i < x->n; i++) {
		double w = weight(x, i);

		out->matched += w > 0;
		sum += w;
		squares += w * w;
		out->max_weight = w > out->max_weight ? w : out->max_weight;
	}
	out->ess = squares > 0 ? sum * sum / squares : 0;
	out->mean_weight = sum / n;
	out->weight_error = n > 1 ? sqrt(fmax(squares / n - out->mean_weight * out->mean_weight, 0) /
	    (n - 1)) : NAN;
}

int
offpolicy_run(const struct offpolicy_input *x, struct pool *pool, struct offpolicy *out,
	struct err *e)
{
	struct offpolicy_input copy = *x;
	struct bootstrap_ci ci[N_STATS];
	double p[N_STATS];

	weigh(x, out);
	if (!(out->ess >= x->min_ess))
		return err_set(e, ERR_INPUT, "%zu of %zu logged calls agree with the router, worth "
		    "%.1f calls (largest weight %.3g): fewer than %g (--min-ess) tell nothing",
		    out->matched, x->n, out->ess, out->max_weight, x->min_ess);
	if (bootstrap_stats(estimate, &copy, x->n_ids, N_STATS, x->draws, x->seed, pool, ci, p, e) < 0)
		return -1;
	out->logged = ci[LOGGED];
	out->ips = ci[IPS];
	out->snips = ci[SNIPS];
	out->dr = ci[DR];
	out->delta = ci[DELTA];
	out->p = p[DELTA];
	out->cost = ci[COST];
	out->logged_cost = ci[LOGGED_COST];
	return 0;
}
