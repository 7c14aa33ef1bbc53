#include "model/svm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/platt.h"
#include "math/rff.h"
#include "model/svmfit.h"
#include "model/target.h"

/* ---- parameters --------------------------------------------------------------- */

static const char *const kernel_names[] = { "rbf", "linear", "poly" };
static const char *const gamma_names[] = { "scale", "auto" };

const char *
svm_kernel_name(enum kernel_type t)
{
	return kernel_names[t];
}

static void
params_init(void *params)
{
	*(struct svm_params *)params = (struct svm_params){ .kernel = KERNEL_RBF,
		.gamma_rule = SVM_GAMMA_SCALE, .epsilon = 0.2, .coef0 = 0, .tol = 1e-3, .alpha = 1,
		.degree = 3, .cache_mb = 300, .exact_rows = 60000, .n_components = 1024,
		.probability = true };
}

static int
set_bool(const char *name, const char *value, bool *out, struct err *e)
{
	if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*out = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*out = false;
	else
		return err_set(e, ERR_USAGE, "%s: '%s' is not true or false", name, value);
	return 0;
}

static int
set_size(const char *name, const char *value, long long lo, long long hi, size_t *out,
	struct err *e)
{
	long long n;

	if (str_int(name, value, lo, hi, &n, e) < 0)
		return -1;
	*out = (size_t)n;
	return 0;
}

static int
set_kernel(struct svm_params *p, const char *value, struct err *e)
{
	for (size_t i = 0; i < 3; i++)
		if (strcmp(value, kernel_names[i]) == 0) {
			p->kernel = (enum kernel_type)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "kernel: '%s' is not rbf, linear or poly", value);
}

static int
set_gamma(struct svm_params *p, const char *value, struct err *e)
{
	for (size_t i = 0; i < 2; i++)
		if (strcmp(value, gamma_names[i]) == 0) {
			p->gamma_rule = (enum svm_gamma)i;
			return 0;
		}
	if (str_double("gamma", value, 1e-6, 1e6, &p->gamma, e) < 0)
		return err_wrap(e, "neither scale nor auto");
	p->gamma_rule = SVM_GAMMA_NUMBER;
	return 0;
}

static int
set_number(struct svm_params *p, const char *name, const char *value, struct err *e)
{
	const struct { const char *name; double lo, hi; double *to; } table[] = {
		{ "C", 1e-6, 1e6, &p->C },
		{ "epsilon", 0, 1, &p->epsilon },
		{ "coef0", -100, 100, &p->coef0 },
		{ "tol", 1e-5, 1, &p->tol },
		{ "alpha", 1e-6, 1e9, &p->alpha },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcmp(name, table[i].name) == 0)
			return str_double(name, value, table[i].lo, table[i].hi, table[i].to, e);
	return 1;
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct svm_params *p = params;

	if (strcmp(name, "kernel") == 0)
		return set_kernel(p, value, e);
	if (strcmp(name, "gamma") == 0)
		return set_gamma(p, value, e);
	if (strcmp(name, "degree") == 0)
		return set_size(name, value, 1, SVM_MAX_DEGREE, &p->degree, e);
	if (strcmp(name, "cache_mb") == 0 || strcmp(name, "cache_size") == 0)
		return set_size(name, value, 16, 1 << 20, &p->cache_mb, e);
	if (strcmp(name, "exact_rows") == 0)
		return set_size(name, value, 0, 1 << 24, &p->exact_rows, e);
	if (strcmp(name, "n_components") == 0)
		return set_size(name, value, 16, 8192, &p->n_components, e);
	if (strcmp(name, "probability") == 0)
		return set_bool(name, value, &p->probability, e);
	return set_number(p, name, value, e);
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct svm_params *p = params;

	jsonw_kstr(w, "kernel", kernel_names[p->kernel]);
	if (p->C > 0)
		jsonw_kdouble(w, "C", p->C);
	if (p->gamma_rule == SVM_GAMMA_NUMBER)
		jsonw_kdouble(w, "gamma", p->gamma);
	else
		jsonw_kstr(w, "gamma", gamma_names[p->gamma_rule]);
	jsonw_kint(w, "degree", (int64_t)p->degree);
	jsonw_kdouble(w, "coef0", p->coef0);
	jsonw_kdouble(w, "epsilon", p->epsilon);
	jsonw_kdouble(w, "tol", p->tol);
	jsonw_kdouble(w, "alpha", p->alpha);
	jsonw_kint(w, "cache_mb", (int64_t)p->cache_mb);
	jsonw_kint(w, "exact_rows", (int64_t)p->exact_rows);
	jsonw_kint(w, "n_components", (int64_t)p->n_components);
	jsonw_kbool(w, "probability", p->probability);
	jsonw_kbool(w, "approximated", p->approximated);
}

static int
read_param(void *params, const char *name, const char *value, struct err *e)
{
	if (strcmp(name, "approximated") == 0)
		return set_bool(name, value, &((struct svm_params *)params)->approximated, e);
	return params_set(params, name, value, e);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, read_param, e);
}

/* ---- life ---------------------------------------------------------------------- */

size_t
svm_pairs(size_t k)
{
	return k * (k - 1) / 2;
}

int
svm_prepare(struct svm *svm, struct err *e)
{
	float *row;

	svm->k = (struct kernel){ svm->params.kernel, (float)svm->params.gamma,
		(float)svm->params.coef0, (unsigned)svm->params.degree };
	svm->dot = dot_best();
	if (svm->params.approximated)
		return 0;
	svm->half_norm = mem_aligned(svm->n, sizeof *svm->half_norm, e);
	row = mem_calloc(svm->d, sizeof *row, e);
	if (svm->half_norm == NULL || row == NULL) {
		free(row);
		return -1;
	}
	for (size_t i = 0; i < svm->n; i++) {
		for (size_t j = 0; j < svm->d; j++)
			row[j] = dot_from_half(svm->rows[i * svm->d + j]);
		svm->half_norm[i] = kernel_dot(row, row, svm->d) / 2;
	}
	free(row);
	return 0;
}

void
svm_free(struct svm *svm)
{
	if (svm == NULL)
		return;
	for (size_t i = 0; i < sizeof svm->owned / sizeof svm->owned[0]; i++)
		free(svm->owned[i]);
	free(svm->half_norm);
	free(svm);
}

static void *
kind_fit(const void *params, const struct scorer_data *data, struct err *e)
{
	return svmfit_run(params, data, e);
}

static void
kind_free(void *model)
{
	svm_free(model);
}

static uint64_t
kind_memory(const void *params, size_t n, size_t d, size_t m)
{
	return svmfit_memory(params, n, d, m);
}

static const void *
kind_params(const void *model)
{
	return &((const struct svm *)model)->params;
}

/* ---- artifact ------------------------------------------------------------------ */

struct out { struct tensorfile_writer *w; const char *prefix; struct err *e; };

static int
put(const struct out *o, const char *name, enum dtype type, size_t rows, size_t cols,
	const void *data)
{
	const uint64_t shape[] = { rows, cols };
	char full[SCORER_NAME];

	return tensorfile_writer_add(o->w, scorer_tensor(full, o->prefix, name), type,
	    cols == 0 ? 1 : 2, shape, data, o->e);
}

static int
save_classes(const struct svm *s, const struct out *o)
{
	size_t k = s->classes, pairs = svm_pairs(k);

	if (put(o, "svm.classes", DTYPE_U32, k, 0, s->class_model) < 0)
		return -1;
	if (s->n == 0)
		return 0;
	if (put(o, "svm.class_rows", DTYPE_U32, k, 0, s->class_rows) < 0 ||
	    put(o, "svm.coef", DTYPE_F32, k - 1, s->n, s->coef) < 0 ||
	    put(o, "svm.bias", DTYPE_F32, pairs, 0, s->bias) < 0)
		return -1;
	return put(o, "svm.sigmoid", DTYPE_F32, pairs, 2, s->sigmoid);
}

static int
svm_save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct svm *s = model;
	const struct out o = { w, prefix, e };

	if (put(&o, "svm.mean", DTYPE_F32, s->m, 0, s->mean) < 0 ||
	    put(&o, "svm.cost_mean", DTYPE_F32, s->m, 0, s->cost_mean) < 0)
		return -1;
	if (s->omega != NULL && (put(&o, "svm.omega", DTYPE_F32, s->n, s->d, s->omega) < 0 ||
	    put(&o, "svm.phase", DTYPE_F32, s->n, 0, s->phase) < 0))
		return -1;
	if (!s->params.approximated && s->n > 0 &&
	    put(&o, "svm.rows", DTYPE_F16, s->n, s->d, s->rows) < 0)
		return -1;
	if (s->classes > 0)
		return save_classes(s, &o);
	if (s->n > 0 && put(&o, "svm.coef", DTYPE_F32, s->m, s->n, s->coef) < 0)
		return -1;
	return put(&o, "svm.bias", DTYPE_F32, s->m, 0, s->bias);
}

struct in { const struct tensorfile *f; const char *prefix; struct err *e; };

static const struct tensor *
find(const struct in *in, const char *name)
{
	char full[SCORER_NAME];

	return tensorfile_find(in->f, scorer_tensor(full, in->prefix, name));
}

/* A tensor of exactly that shape (0: any); NULL and err. */
static const struct tensor *
need(const struct in *in, const char *name, enum dtype type, size_t rows, size_t cols)
{
	const uint64_t shape[] = { rows, cols };
	char full[SCORER_NAME];

	return tensorfile_need(in->f, scorer_tensor(full, in->prefix, name), type, cols == 0 ? 1 : 2,
	    shape, in->e);
}

/* The same for floats that must lie within lo..hi. */
static const float *
need_floats(const struct in *in, const char *name, size_t rows, size_t cols, float lo, float hi)
{
	const struct tensor *t = need(in, name, DTYPE_F32, rows, cols);
	const float *x;

	if (t == NULL)
		return NULL;
	x = t->data;
	for (size_t i = 0; i < t->elements; i++)
		if (!(x[i] >= lo && x[i] <= hi)) {
			err_set(in->e, ERR_INPUT, "tensor '%s%s': element %zu is %g, outside %g..%g",
			    in->prefix, name, i, (double)x[i], (double)lo, (double)hi);
			return NULL;
		}
	return x;
}

#define LIMIT 1e9f

static int
load_rows(struct svm *s, const struct in *in)
{
	const struct tensor *t = find(in, "svm.rows");

	if (t == NULL)
		return 0;	/* every model is a constant */
	if ((t = need(in, "svm.rows", DTYPE_F16, 0, s->d)) == NULL)
		return -1;
	if (t->shape[0] == 0 || t->shape[0] > UINT32_MAX)
		return err_set(in->e, ERR_INPUT, "tensor '%ssvm.rows' has %llu rows", in->prefix,
		    (unsigned long long)t->shape[0]);
	s->n = (size_t)t->shape[0];
	s->rows = t->data;
	for (size_t i = 0; i < t->elements; i++)
		if ((s->rows[i] & 0x7fff) > 0x4000)	/* unit vectors: no element is beyond 2 */
			return err_set(in->e, ERR_INPUT, "tensor '%ssvm.rows': element %zu is %g, "
			    "outside -2..2", in->prefix, i, (double)dot_from_half(s->rows[i]));
	return 0;
}

static int
load_features(struct svm *s, const struct in *in)
{
	const struct tensor *t;

	s->n = s->d;
	if (s->params.kernel == KERNEL_LINEAR)
		return 0;
	if (s->params.kernel != KERNEL_RBF)
		return err_set(in->e, ERR_INPUT, "llmr.hparams: only rbf and linear are approximated");
	if ((t = need(in, "svm.omega", DTYPE_F32, 0, s->d)) == NULL)
		return -1;
	if (t->shape[0] == 0 || t->shape[0] > 8192)
		return err_set(in->e, ERR_INPUT, "tensor '%ssvm.omega' has %llu rows", in->prefix,
		    (unsigned long long)t->shape[0]);
	s->n = (size_t)t->shape[0];
	if ((s->omega = need_floats(in, "svm.omega", s->n, s->d, -1e5f, 1e5f)) == NULL ||
	    (s->phase = need_floats(in, "svm.phase", s->n, 0, -10, 10)) == NULL)
		return -1;
	return 0;
}

static int
load_classes(struct svm *s, const struct in *in)
{
	const struct tensor *t = need(in, "svm.classes", DTYPE_U32, 0, 0);
	uint64_t rows = 0;
	size_t k;

	if (t == NULL)
		return -1;
	k = (size_t)t->shape[0];
	s->class_model = t->data;
	if (k == 0 || k > s->m || (k > 1) != (s->n > 0))
		return err_set(in->e, ERR_INPUT, "tensor '%ssvm.classes': %zu classes of %zu models, %zu rows",
		    in->prefix, k, s->m, s->n);
	for (size_t i = 0; i < k; i++)
		if (s->class_model[i] >= s->m || (i > 0 && s->class_model[i] <= s->class_model[i - 1]))
			return err_set(in->e, ERR_INPUT, "tensor '%ssvm.classes': element %zu is %u",
			    in->prefix, i, s->class_model[i]);
	s->classes = k;
	if (k == 1)
		return 0;
	if ((t = need(in, "svm.class_rows", DTYPE_U32, k, 0)) == NULL)
		return -1;
	s->class_rows = t->data;
	for (size_t i = 0; i < k; i++)
		rows += s->class_rows[i];
	if (rows != s->n)
		return err_set(in->e, ERR_INPUT, "tensor '%ssvm.class_rows': %llu rows of %zu", in->prefix,
		    (unsigned long long)rows, s->n);
	if ((s->coef = need_floats(in, "svm.coef", k - 1, s->n, -LIMIT, LIMIT)) == NULL ||
	    (s->bias = need_floats(in, "svm.bias", svm_pairs(k), 0, -LIMIT, LIMIT)) == NULL ||
	    (s->sigmoid = need_floats(in, "svm.sigmoid", svm_pairs(k), 2, -LIMIT, LIMIT)) == NULL)
		return -1;
	return 0;
}

static int
load_tensors(struct svm *s, const struct in *in)
{
	if ((s->mean = need_floats(in, "svm.mean", s->m, 0, 0, 1)) == NULL ||
	    (s->cost_mean = need_floats(in, "svm.cost_mean", s->m, 0, -1, 1e6f)) == NULL)
		return -1;
	if ((s->params.approximated ? load_features(s, in) : load_rows(s, in)) < 0)
		return -1;
	if (!s->params.approximated && find(in, "svm.classes") != NULL)
		return load_classes(s, in);
	if (s->n > 0 && (s->coef = need_floats(in, "svm.coef", s->m, s->n, -LIMIT, LIMIT)) == NULL)
		return -1;
	return (s->bias = need_floats(in, "svm.bias", s->m, 0, -LIMIT, LIMIT)) == NULL ? -1 : 0;
}

static void *
svm_load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct svm *s = mem_calloc(1, sizeof *s, e);
	const struct in in = { f, prefix, e };

	if (s == NULL)
		return NULL;
	params_init(&s->params);
	s->m = m;
	s->d = d;
	if (m == 0 || d == 0 || d > SVM_MAX_DIM) {
		err_set(e, ERR_INPUT, "%zu models, %zu dimensions", m, d);
		goto fail;
	}
	if (params_read(&s->params, hparams, e) < 0)
		goto fail;
	if (s->params.gamma_rule != SVM_GAMMA_NUMBER) {
		err_set(e, ERR_INPUT, "llmr.hparams: gamma is not a number");
		goto fail;
	}
	if (load_tensors(s, &in) < 0 || svm_prepare(s, e) < 0)
		goto fail;
	return s;
fail:
	svm_free(s);
	return NULL;
}

/* ---- scoring ------------------------------------------------------------------- */

struct scratch {
	float *k;		/* [n] kernel values or features */
	double *sum;		/* [classes x classes] decision parts, then probabilities of pairs */
	double *work, *p;	/* [classes x classes + classes], [classes] */
};

static void
svm_scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	if (s == NULL)
		return;
	free(s->k);
	free(s->sum);
	free(s->work);
	free(s->p);
	free(s);
}

static void *
svm_scratch_new(const void *model, struct err *e)
{
	const struct svm *svm = model;
	struct scratch *s = mem_calloc(1, sizeof *s, e);
	size_t k = svm->classes;

	if (s == NULL)
		return NULL;
	s->k = mem_aligned(svm->n, sizeof *s->k, e);
	s->sum = mem_calloc(k * k, sizeof *s->sum, e);
	s->work = mem_calloc(k * k + k, sizeof *s->work, e);
	s->p = mem_calloc(k, sizeof *s->p, e);
	if (s->k == NULL || s->sum == NULL || s->work == NULL || s->p == NULL) {
		svm_scratch_free(s);
		return NULL;
	}
	return s;
}

/* Decision value of each pair a < b, positive for a, then r of platt_couple. */
static void
pairs(const struct svm *svm, struct scratch *s)
{
	size_t k = svm->classes, from = 0, pair = 0;

	for (size_t a = 0; a < k; a++) {
		size_t n = svm->class_rows[a];

		for (size_t b = 0; b < k; b++)
			if (b != a)
				s->sum[a * k + b] = (double)kernel_dot(svm->coef +
				    (b < a ? b : b - 1) * svm->n + from, s->k + from, n);
		from += n;
	}
	for (size_t a = 0; a < k; a++)
		for (size_t b = a + 1; b < k; b++, pair++) {
			double v = s->sum[a * k + b] + s->sum[b * k + a] + (double)svm->bias[pair];
			struct platt sigmoid = { (double)svm->sigmoid[2 * pair],
				(double)svm->sigmoid[2 * pair + 1] };
			double p = svm->params.probability ? platt_probability(sigmoid, v) :
			    v > 0 ? 1 : v < 0 ? 0 : 0.5;

			if (svm->params.probability)
				p = fmin(fmax(p, 1e-7), 1 - 1e-7);
			s->sum[a * k + b] = p;
			s->sum[b * k + a] = 1 - p;
		}
}

static void
score_classes(const struct svm *svm, struct scratch *s, float *score)
{
	size_t k = svm->classes;

	for (size_t j = 0; j < svm->m; j++)
		score[j] = 0;
	if (k == 1) {
		score[svm->class_model[0]] = 1;
		return;
	}
	pairs(svm, s);
	if (svm->params.probability)
		platt_couple(s->sum, k, s->work, s->p);
	for (size_t a = 0; a < k; a++) {
		if (!svm->params.probability) {
			s->p[a] = 0;
			for (size_t b = 0; b < k; b++)
				s->p[a] += b == a ? 0 : s->sum[a * k + b];
			s->p[a] /= (double)svm_pairs(k);
		}
		score[svm->class_model[a]] = (float)s->p[a];
	}
}

static void
kernel_values(const struct svm *svm, const float *q, struct scratch *s)
{
	float own = kernel_dot(q, q, svm->d) / 2;

	if (svm->params.approximated) {
		if (svm->omega != NULL)
			rff_one(svm->omega, svm->phase, svm->d, svm->n, q, s->k);
		else
			memcpy(s->k, q, svm->n * sizeof *q);
		return;
	}
	dot_half(svm->dot, svm->rows, svm->n, svm->d, q, s->k);
	kernel_map(&svm->k, s->k, svm->n, svm->half_norm, own);
}

static void
svm_score(const void *model, const float *q, size_t skip, void *scratch, float *score, float *cost)
{
	const struct svm *svm = model;
	struct scratch *s = scratch;
	bool zero = true;

	(void)skip;
	for (size_t j = 0; j < svm->m; j++)
		cost[j] = svm->cost_mean[j] >= 0 ? svm->cost_mean[j] : NAN;
	for (size_t j = 0; j < svm->d && zero; j++)
		zero = q[j] == 0;
	if (!zero)
		kernel_values(svm, q, s);
	if (!zero && svm->classes > 0)
		score_classes(svm, s, score);
	for (size_t j = 0; j < svm->m; j++) {
		if (!zero && svm->classes == 0)
			score[j] = svm->bias[j] + (svm->n == 0 ? 0 :
			    kernel_dot(svm->coef + j * svm->n, s->k, svm->n));
		if (zero || !isfinite(score[j]))
			score[j] = svm->mean[j];
	}
}

const struct scorer_kind svm_kind = {
	.name = "svm",
	.hparams = "kernel, C, gamma, degree, coef0, epsilon, tol, probability, cache_mb, exact_rows, "
	    "n_components, alpha",
	.params_bytes = sizeof(struct svm_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = kind_memory,
	.fit = kind_fit,
	.free = kind_free,
	.params = kind_params,
	.save = svm_save,
	.load = svm_load,
	.scratch_new = svm_scratch_new,
	.scratch_free = svm_scratch_free,
	.score = svm_score,
	.can_skip = false,
	.uses_blas = true,
};
