#include "model/mode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jread.h"

#define TAU 0.1			/* LLMRouter's */
#define ROUNDS 100
#define STEPS 50		/* of the search for the most even labels */
#define MIN_SLOPE 1e-3		/* predictions that tell nothing still order the rows */
#define MAX_SLOPE 1e4

static const char *const kind_name[] = { "deterministic", "probabilistic", "transformed" };

/* ---- what is asked for ---- */

void
mode_params_init(struct mode_params *p)
{
	*p = (struct mode_params){ .tau = TAU, .threshold = 0.5, .share = NAN };
}

static int
set_kind(struct mode_params *p, const char *name, const char *value, struct err *e)
{
	for (size_t i = 0; i < sizeof kind_name / sizeof kind_name[0]; i++)
		if (strcmp(value, kind_name[i]) == 0) {
			p->kind = (enum mode_kind)i;
			p->kind_given = true;
			return 0;
		}
	return err_set(e, ERR_USAGE, "%s: '%s' is not deterministic, probabilistic or transformed",
	    name, value);
}

int
mode_params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct mode_params *p = params;
	char *model = strcmp(name, "weak") == 0 ? p->weak : strcmp(name, "strong") == 0 ? p->strong :
	    NULL;

	if (strcmp(name, "router_mode") == 0)
		return set_kind(p, name, value, e);
	if (strcmp(name, "router_tau") == 0)
		return str_double(name, value, 1e-6, 1e6, &p->tau, e);
	if (strcmp(name, "router_threshold") == 0) {
		p->threshold_given = true;
		return str_double(name, value, 0, 1, &p->threshold, e);
	}
	if (strcmp(name, "calibrate") == 0) {
		p->calibrate = strcmp(value, "true") == 0;
		return p->calibrate || strcmp(value, "false") == 0 ? 0 :
		    err_set(e, ERR_USAGE, "calibrate: '%s' is not true or false", value);
	}
	if (strcmp(name, "strong_share") == 0)
		return str_double(name, value, 0, 1, &p->share, e);
	if (model == NULL)
		return 1;
	if (value[0] == '\0' || strlen(value) >= MODE_NAME)
		return err_set(e, ERR_USAGE, "%s: a model's name of at most %d bytes is expected", name,
		    MODE_NAME - 1);
	(void)snprintf(model, MODE_NAME, "%s", value);
	return 0;
}

const char *
mode_kind_name(enum mode_kind kind)
{
	return kind_name[kind];
}

void
mode_name_pair(struct mode_params *p, const char *weak, const char *strong)
{
	if (strlen(weak) >= MODE_NAME || strlen(strong) >= MODE_NAME)
		return;
	(void)snprintf(p->weak, sizeof p->weak, "%s", weak);
	(void)snprintf(p->strong, sizeof p->strong, "%s", strong);
}

bool
mode_asked(const struct mode_params *p)
{
	return p->kind_given || p->threshold_given || !isnan(p->share) || p->weak[0] != '\0' ||
	    p->strong[0] != '\0';
}

void
mode_params_write(const struct mode_params *p, struct jsonw *w)
{
	if (!mode_asked(p))
		return;
	jsonw_kstr(w, "router_mode", kind_name[p->kind]);
	jsonw_kdouble(w, "router_tau", p->tau);
	if (p->threshold_given)
		jsonw_kdouble(w, "router_threshold", p->threshold);
	if (!isnan(p->share))
		jsonw_kdouble(w, "strong_share", p->share);
	if (p->weak[0] != '\0')
		jsonw_kstr(w, "weak", p->weak);
	if (p->strong[0] != '\0')
		jsonw_kstr(w, "strong", p->strong);
}

static bool
is_ours(struct slice key)
{
	static const char *const names[] = { "router_mode", "router_tau", "router_threshold", "weak",
		"strong", "strong_share" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (slice_is(key, names[i]))
			return true;
	return false;
}

int
mode_params_read(struct mode_params *p, struct slice json, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct slice key, raw, text;
	struct jread r;
	int status = 0;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (status == 0 && jread_member(&r, &key)) {
			char name[32], value[MODE_NAME];
			bool string = jread_peek(&r) == JREAD_STRING;

			if (!is_ours(key)) {
				jread_skip(&r);
				continue;
			}
			if (!(string ? jread_string(&r, &a, &text) : jread_skip_raw(&r, &raw)))
				break;
			text = string ? text : raw;
			(void)snprintf(name, sizeof name, "%.*s", (int)key.n, key.p);
			(void)snprintf(value, sizeof value, "%.*s",
			    (int)(text.n < MODE_NAME ? text.n : 0), text.p);
			status = mode_params_set(p, name, value, e);
		}
	if (status == 0)
		status = jread_done(&r, e);
	arena_finish(&a);
	if (status == 0)
		return 0;
	if (e != NULL)
		e->code = ERR_INPUT;
	return err_wrap(e, "llmr.hparams");
}

struct mode_params
mode_params_over(const struct mode_params *under, const struct mode_params *over)
{
	struct mode_params p = *under;

	if (over->kind_given) {
		p.kind = over->kind;
		p.kind_given = true;
	}
	if (over->tau != TAU)
		p.tau = over->tau;
	/* Threshold and share decide the same thing: the one asked for later holds. */
	if (over->threshold_given || !isnan(over->share)) {
		p.threshold = over->threshold;
		p.threshold_given = over->threshold_given;
		p.share = over->share;
	}
	if (over->weak[0] != '\0' || over->strong[0] != '\0') {
		memcpy(p.weak, over->weak, sizeof p.weak);
		memcpy(p.strong, over->strong, sizeof p.strong);
	}
	return p;
}

/* ---- fits ---- */

struct fitting {
	const struct mode_params *p;
	const struct mode_table *t;
	size_t weak, strong;		/* columns */
	double *lead, *label;		/* [known] */
	double *all;			/* [t->n] leads of every row, ascending */
	size_t known;
};

static double
lead_at(const struct mode_table *t, size_t i, size_t weak, size_t strong)
{
	return (double)t->predicted[i * t->m + weak] - (double)t->predicted[i * t->m + strong];
}

/* The t at which as many gaps are >= -t as not, nearly. */
static double
even_gap(const double *gap, size_t n)
{
	double most = 0, best = -1, at = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(gap[i]));
	for (size_t k = 0; k < STEPS; k++) {
		double t = (most + 1e-8) * (double)k / (STEPS - 1), yes = 0, even;

		for (size_t i = 0; i < n; i++)
			yes += gap[i] >= -t;
		even = yes / (double)n * (1 - yes / (double)n);
		if (even > best) {
			best = even;
			at = t;
		}
	}
	return at;
}

static void
make_labels(struct fitting *f)
{
	const struct mode_table *t = f->t;
	double relax = 0;

	f->known = 0;
	for (size_t i = 0; i < t->n; i++) {
		float weak = t->score[i * t->m + f->weak], strong = t->score[i * t->m + f->strong];

		if (weak < 0 || strong < 0)
			continue;
		f->lead[f->known] = lead_at(t, i, f->weak, f->strong);
		f->label[f->known++] = (double)weak - (double)strong;
	}
	if (f->p->kind == MODE_TRANSFORMED)
		relax = even_gap(f->label, f->known);
	for (size_t i = 0; i < f->known; i++)
		f->label[i] = f->p->kind == MODE_PROBABILISTIC ? 1 / (1 + exp(-f->label[i] / f->p->tau)) :
		    f->label[i] >= -relax;
}

static double
sigmoid(double z)
{
	return 1 / (1 + exp(-z));
}

/* log(1 + exp(z)) - label z: cross-entropy of a soft label. */
static double
loss(const struct fitting *f, double slope, double offset)
{
	double sum = 1e-6 * slope * slope;

	for (size_t i = 0; i < f->known; i++) {
		double z = slope * f->lead[i] + offset;

		sum += (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z))) - f->label[i] * z;
	}
	return sum;
}

/* Newton with halved steps, as for Platt's sigmoid but with labels between 0 and 1. */
static void
fit_logistic(const struct fitting *f, double *slope, double *offset)
{
	double now, mean = 0;

	for (size_t i = 0; i < f->known; i++)
		mean += f->label[i] / (double)f->known;
	mean = fmin(fmax(mean, 1e-4), 1 - 1e-4);
	*slope = 0;
	*offset = log(mean / (1 - mean));
	now = loss(f, *slope, *offset);
	for (size_t round = 0; round < ROUNDS; round++) {
		double gs = 2e-6 * *slope, go = 0, ss = 2e-6, oo = 1e-9, so = 0, det, step = 1;

		for (size_t i = 0; i < f->known; i++) {
			double p = sigmoid(*slope * f->lead[i] + *offset), d = p * (1 - p);

			gs += (p - f->label[i]) * f->lead[i];
			go += p - f->label[i];
			ss += d * f->lead[i] * f->lead[i];
			oo += d;
			so += d * f->lead[i];
		}
		det = ss * oo - so * so;
		if (fabs(gs) + fabs(go) < 1e-7 || !(det > 0))
			break;
		for (; step > 1e-10; step /= 2) {
			double s = *slope - step * (oo * gs - so * go) / det;
			double o = *offset - step * (ss * go - so * gs) / det, then = loss(f, s, o);

			if (then < now) {
				*slope = s;
				*offset = o;
				now = then;
				break;
			}
		}
		if (step <= 1e-10)
			break;
	}
	*slope = fmin(fmax(*slope, MIN_SLOPE), MAX_SLOPE);
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Mean chance of the strong model over the leads; every step is fixed, so that it is the same everywhere. */
static double
strong_share(const double *lead, size_t n, const struct policy_mode *m)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double p = sigmoid(m->slope * lead[i] + m->offset);

		sum += m->draw ? 1 - p : p < 0.5;
	}
	return n > 0 ? sum / (double)n : 0;
}

/* The offset at which the strong model gets its share of the table's rows. */
static void
offset_for_share(const struct fitting *f, double share, struct policy_mode *out)
{
	size_t n = f->t->n, k = (size_t)(share * (double)n + 0.5);
	double lo = -1e6, hi = 1e6;

	if (share <= 0 || share >= 1) {
		out->offset = share <= 0 ? INFINITY : -INFINITY;
		return;
	}
	if (!out->draw) {
		size_t up = k, down = k;

		/* Between two leads that differ, as near to the share as there is such a place. */
		while (up < n && up > 0 && f->all[up] == f->all[up - 1])
			up++;
		while (down > 0 && down < n && f->all[down] == f->all[down - 1])
			down--;
		k = up - k <= k - down ? up : down;
		out->offset = k == 0 ? INFINITY : k == n ? -INFINITY :
		    -out->slope * (f->all[k - 1] + f->all[k]) / 2;
		return;
	}
	for (size_t round = 0; round < 200; round++) {
		out->offset = (lo + hi) / 2;
		if (strong_share(f->all, n, out) > share)
			lo = out->offset;
		else
			hi = out->offset;
	}
}

/* A pair named and nothing else: the one that is predicted to score higher. */
static bool
just_better(const struct mode_params *p)
{
	return !p->kind_given && !p->threshold_given && isnan(p->share);
}

static int
fit_pair(struct fitting *f, struct policy_mode *out, struct err *e)
{
	const struct mode_params *p = f->p;
	double odds;

	out->slope = 1;
	if (just_better(p))
		return 0;
	make_labels(f);
	/* A share needs no truth: the order of the predictions is enough. */
	if (f->known < MODE_FEWEST && (isnan(p->share) || p->kind == MODE_PROBABILISTIC))
		return err_set(e, ERR_USAGE, "%zu training queries have the scores of both '%s' and '%s': "
		    "fewer than %zu tell no probability (a share of strong calls can be asked for)",
		    f->known, p->weak, p->strong, MODE_FEWEST);
	if (f->known >= MODE_FEWEST)
		fit_logistic(f, &out->slope, &out->offset);
	if (!isnan(p->share)) {
		offset_for_share(f, p->share, out);
		return 0;
	}
	odds = p->threshold / (1 - p->threshold);
	out->offset = p->threshold <= 0 ? INFINITY : p->threshold >= 1 ? -INFINITY :
	    out->offset - log(odds);
	return 0;
}

/* Cross-entropy of a softmax of the predictions over a temperature against that of the truth over tau. */
static double
softmax_loss(const struct mode_table *t, double tau, double temperature, size_t *rows)
{
	double sum = 0;

	*rows = 0;
	for (size_t i = 0; i < t->n; i++) {
		const float *p = t->predicted + i * t->m, *s = t->score + i * t->m;
		double zp = 0, zs = 0, top = -INFINITY, best = -INFINITY, dot = 0;
		size_t known = 0;

		for (size_t j = 0; j < t->m; j++)
			if (s[j] >= 0) {
				top = fmax(top, (double)p[j]);
				best = fmax(best, (double)s[j]);
				known++;
			}
		if (known < 2)
			continue;
		for (size_t j = 0; j < t->m; j++)
			if (s[j] >= 0) {
				double label = exp(((double)s[j] - best) / tau);

				zp += exp(((double)p[j] - top) / temperature);
				zs += label;
				dot += label * ((double)p[j] - top) / temperature;
			}
		sum += log(zp) - dot / zs;
		++*rows;
	}
	return sum;
}

/* Golden section over the logarithm: the loss has one minimum in 1 / temperature. */
static int
fit_temperature(const struct mode_params *p, const struct mode_table *t, double *out, struct err *e)
{
	const double golden = 0.6180339887498949;
	double lo = log(1e-3), hi = log(10), a = hi - golden * (hi - lo), b = lo + golden * (hi - lo);
	double fa, fb;
	size_t rows;

	fa = softmax_loss(t, p->tau, exp(a), &rows);
	fb = softmax_loss(t, p->tau, exp(b), &rows);
	if (rows < MODE_FEWEST)
		return err_set(e, ERR_USAGE, "%zu training queries have the scores of two models or more: "
		    "fewer than %zu tell no probability", rows, MODE_FEWEST);
	for (size_t round = 0; round < 40; round++)
		if (fa < fb) {
			hi = b;
			b = a;
			fb = fa;
			a = hi - golden * (hi - lo);
			fa = softmax_loss(t, p->tau, exp(a), &rows);
		} else {
			lo = a;
			a = b;
			fa = fb;
			b = lo + golden * (hi - lo);
			fb = softmax_loss(t, p->tau, exp(b), &rows);
		}
	*out = exp((lo + hi) / 2);
	return 0;
}

/* ---- from names to a mode ---- */

static int
find_model(const struct map *models, const char *what, const char *name, size_t *out, struct err *e)
{
	*out = map_find(models, name, strlen(name));
	if (*out != MAP_NONE)
		return 0;
	return err_set(e, ERR_USAGE, "%s: '%s' is not one of the models", what, name);
}

/* *pair false: none is named, and there are more than two models. */
static int
find_pair(const struct mode_params *p, const struct map *models, const float *mean,
	struct policy_mode *out, struct err *e)
{
	bool weak = p->weak[0] != '\0', strong = p->strong[0] != '\0';

	out->pair = weak || strong || models->len == 2;
	if (!out->pair)
		return 0;
	if (weak != strong && models->len != 2)
		return err_set(e, ERR_USAGE, "a weak and a strong model go together: name both of %zu "
		    "models", models->len);
	out->strong = models->len == 2 && mean[1] > mean[0];
	out->weak = !out->strong;
	if (weak && find_model(models, "weak", p->weak, &out->weak, e) < 0)
		return -1;
	if (strong && find_model(models, "strong", p->strong, &out->strong, e) < 0)
		return -1;
	if (weak && !strong)
		out->strong = !out->weak;
	if (strong && !weak)
		out->weak = !out->strong;
	if (out->weak == out->strong)
		return err_set(e, ERR_USAGE, "weak and strong are the same model");
	return 0;
}

static int
resolve_pair(struct fitting *f, const struct map *models, const size_t *column,
	struct policy_mode *out, struct err *e)
{
	struct mode_params named = *f->p;
	int r = -1;

	f->weak = column == NULL ? out->weak : column[out->weak];
	f->strong = column == NULL ? out->strong : column[out->strong];
	if (f->weak == MODE_NO_COLUMN || f->strong == MODE_NO_COLUMN)
		return err_set(e, ERR_USAGE, "'%s' has no score in the training data: it can be no half "
		    "of a pair", models->keys[f->weak == MODE_NO_COLUMN ? out->weak : out->strong]);
	mode_name_pair(&named, models->keys[out->weak], models->keys[out->strong]);
	f->p = &named;
	f->lead = mem_calloc(f->t->n, 3 * sizeof *f->lead, e);
	if (f->lead == NULL)
		return -1;
	f->label = f->lead + f->t->n;
	f->all = f->label + f->t->n;
	for (size_t i = 0; i < f->t->n; i++)
		f->all[i] = lead_at(f->t, i, f->weak, f->strong);
	qsort(f->all, f->t->n, sizeof *f->all, ascending);
	r = fit_pair(f, out, e);
	free(f->lead);
	return r;
}

/* The pair, if any, and whether it draws; what needs a pair has one. */
static int
start(const struct mode_params *p, const struct map *models, const float *mean,
	struct policy_mode *out, struct err *e)
{
	*out = (struct policy_mode){ 0 };
	if (!mode_asked(p))
		return 0;
	if (p->threshold_given && !isnan(p->share))
		return err_set(e, ERR_USAGE, "router_threshold and strong_share decide the same: give one");
	if (find_pair(p, models, mean, out, e) < 0)
		return -1;
	out->draw = p->kind == MODE_PROBABILISTIC;
	if (!out->pair && (!isnan(p->share) || p->kind == MODE_TRANSFORMED || p->threshold != 0.5))
		return err_set(e, ERR_USAGE, "%s is between two models: name a weak and a strong one of %zu",
		    !isnan(p->share) ? "strong_share" : p->kind == MODE_TRANSFORMED ?
		    "router_mode=transformed" : "router_threshold", models->len);
	return 0;
}

int
mode_check(const struct mode_params *p, const struct map *models, struct err *e)
{
	const float mean[2] = { 0, 1 };
	struct policy_mode m;

	return start(p, models, mean, &m, e);
}

int
mode_resolve(const struct mode_params *p, const struct mode_table *t, const struct map *models,
	const size_t *column, const float *mean, struct policy_mode *out, struct err *e)
{
	struct fitting f = { .p = p, .t = t };

	if (start(p, models, mean, out, e) < 0)
		return -1;
	if (!out->pair && !out->draw)
		return 0;
	if ((t == NULL || t->n == 0) && !(out->pair && just_better(p)))
		return err_set(e, ERR_USAGE, "the router holds no table to calibrate by: train it with "
		    "--hparam calibrate=true");
	if (out->pair)
		return resolve_pair(&f, models, column, out, e);
	return fit_temperature(p, t, &out->temperature, e);
}

double
mode_share(const struct policy_mode *m, const struct mode_table *t, const size_t *column)
{
	size_t weak = column == NULL ? m->weak : column[m->weak];
	size_t strong = column == NULL ? m->strong : column[m->strong];
	double sum = 0;

	for (size_t i = 0; i < t->n; i++) {
		double lead = lead_at(t, i, weak, strong);

		sum += strong_share(&lead, 1, m);
	}
	return t->n > 0 ? sum / (double)t->n : NAN;
}
