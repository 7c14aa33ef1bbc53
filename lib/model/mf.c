#include "model/mf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/adam.h"
#include "math/affine.h"
#include "math/mat.h"
#include "model/target.h"

#define MAX_WEIGHT 1e6f
#define PARTS 4			/* of the rows, each left out of a training whose margins on it calibrate */
#define LEAST_SLOPE 1e-3	/* keeps the order where the probe shows no gain */

struct mf {
	struct mf_params params;
	struct target target;		/* of scores */
	size_t d, m;
	size_t stride;			/* m padded */
	enum dot_kernel kernel;
	float *w;			/* [(d + 1) x stride], the bias last, as scored */
	float *tensor;			/* weight [m x d] and bias [m] as saved; NULL when loaded */
};

static void
params_init(void *params)
{
	*(struct mf_params *)params = (struct mf_params){ .latent_dim = 128, .rate = 1e-3,
		.epochs = 5, .batch_size = 32 };
}

static int
set_count(const char *name, const char *value, long long hi, size_t *out, struct err *e)
{
	long long v;

	if (str_int(name, value, 1, hi, &v, e) < 0)
		return -1;
	*out = (size_t)v;
	return 0;
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct mf_params *p = params;

	if (strcmp(name, "latent_dim") == 0 || strcmp(name, "n_factors") == 0)
		return set_count(name, value, MF_MAX_LATENT, &p->latent_dim, e);
	if (strcmp(name, "epochs") == 0 || strcmp(name, "max_iter") == 0)
		return set_count(name, value, 100000, &p->epochs, e);
	if (strcmp(name, "batch_size") == 0)
		return set_count(name, value, 65536, &p->batch_size, e);
	if (strcmp(name, "lr") == 0 || strcmp(name, "learning_rate") == 0)
		return str_double(name, value, 1e-8, 10, &p->rate, e);
	if (strcmp(name, "noise_alpha") == 0)
		return str_double(name, value, 0, 100, &p->noise_alpha, e);
	if (strcmp(name, "regularization") == 0 || strcmp(name, "weight_decay") == 0)
		return str_double(name, value, 0, 1e3, &p->regularization, e);
	return 1;
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct mf_params *p = params;

	jsonw_kint(w, "latent_dim", (int64_t)p->latent_dim);
	jsonw_kdouble(w, "lr", p->rate);
	jsonw_kint(w, "epochs", (int64_t)p->epochs);
	jsonw_kdouble(w, "noise_alpha", p->noise_alpha);
	jsonw_kdouble(w, "regularization", p->regularization);
	jsonw_kint(w, "batch_size", (int64_t)p->batch_size);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

/* Everything that is learned, in one block, so that one optimiser serves. */
struct block {
	float *x;			/* [total] */
	float *p;			/* [d x k] the projection, transposed */
	float *v;			/* [m x k] */
	float *b;			/* [m] */
};

struct train {
	const struct mf_params *params;
	const struct scorer_data *d;
	const struct target *t;
	size_t k, ldx;			/* latent dimensions; floats from one batch row to the next */
	size_t total, matrices;		/* floats of a block; of its regularised part, padded */
	float *memory;			/* holds what follows */
	struct block w, grad;
	struct adam adam;
	uint32_t *rows;			/* [n] */
	float *x, *h, *dh;		/* [batch x ldx], [batch x k] */
	float *s, *g;			/* [batch x m] margins; derivative of the loss by them */
	double weight_scale;
	struct rng rng;
};

static float *
carve(float **from, size_t n)
{
	float *p = *from;

	*from += AFFINE_STRIDE(n);
	return p;
}

static void
layout(const struct train *t, float *from, struct block *b)
{
	size_t d = t->d->d, m = t->d->m;

	b->x = from;
	b->p = carve(&from, d * t->k);
	b->v = carve(&from, m * t->k);
	b->b = carve(&from, m);
}

static size_t
batch_of(const struct mf_params *p, size_t n)
{
	return p->batch_size < n ? p->batch_size : n;
}

static int
setup(struct train *t, struct err *e)
{
	size_t d = t->d->d, m = t->d->m, n = batch_of(t->params, t->d->n), work, all;
	float *at;

	t->k = t->params->latent_dim;
	t->ldx = AFFINE_STRIDE(d);
	t->matrices = AFFINE_STRIDE(d * t->k) + AFFINE_STRIDE(m * t->k);
	t->total = t->matrices + AFFINE_STRIDE(m);
	work = AFFINE_STRIDE(n * t->ldx) + 2 * AFFINE_STRIDE(n * t->k) + 2 * AFFINE_STRIDE(n * m);
	if (!mem_mul(2, t->total, &all))
		return err_nomem(e);
	t->memory = mem_aligned(all + work, sizeof *t->memory, e);
	t->rows = mem_calloc(t->d->n, sizeof *t->rows, e);
	if (t->memory == NULL || t->rows == NULL)
		return -1;
	at = t->memory;
	layout(t, carve(&at, t->total), &t->w);
	layout(t, carve(&at, t->total), &t->grad);
	t->x = carve(&at, n * t->ldx);
	t->h = carve(&at, n * t->k);
	t->dh = carve(&at, n * t->k);
	t->s = carve(&at, n * m);
	t->g = carve(&at, n * m);
	return adam_init(&t->adam, t->total, t->params->rate, e);
}

static void
release(struct train *t)
{
	free(t->memory);
	free(t->rows);
	adam_finish(&t->adam);
}

static void
gather(struct train *t, const uint32_t *rows, size_t n)
{
	size_t d = t->d->d;

	for (size_t i = 0; i < n; i++) {
		float *x = t->x + i * t->ldx;

		memcpy(x, t->d->x + (size_t)rows[i] * d, d * sizeof *x);
		for (size_t j = 0; j < d && t->params->noise_alpha > 0; j++)
			x[j] += (float)(t->params->noise_alpha * rng_normal(&t->rng));
	}
}

/* Derivative of the pairwise loss of one query by its margins: only true differences count. */
static void
pairs(const float *score, const float *s, size_t m, float w, float *g)
{
	memset(g, 0, m * sizeof *g);
	for (size_t i = 0; i < m; i++)
		for (size_t j = i + 1; j < m; j++) {
			float diff = score[i] - score[j], slope;

			if (isnan(diff) || diff == 0)
				continue;
			slope = w / (1 + expf(diff > 0 ? s[i] - s[j] : s[j] - s[i]));
			g[i] += diff > 0 ? -slope : slope;
			g[j] += diff > 0 ? slope : -slope;
		}
}

/* One batch: margins, their derivatives, gradient, update. */
static void
step(struct train *t, const uint32_t *rows, size_t n)
{
	size_t d = t->d->d, m = t->d->m, k = t->k;
	struct mat x = { t->x, n, d, t->ldx }, h = { t->h, n, k, k }, dh = { t->dh, n, k, k };
	struct mat p = { t->w.p, d, k, k }, v = { t->w.v, m, k, k };
	struct mat s = { t->s, n, m, m }, g = { t->g, n, m, m };
	float decay = (float)t->params->regularization;

	gather(t, rows, n);
	mat_mul_nn(1, x, p, 0, h, NULL);
	mat_mul_nt(1, h, v, 0, s, NULL);
	memset(t->grad.b, 0, m * sizeof *t->grad.b);
	for (size_t i = 0; i < n; i++) {
		float w = t->d->weight == NULL ? 1 :
		    (float)((double)t->d->weight[rows[i]] * t->weight_scale);

		for (size_t j = 0; j < m; j++)
			t->s[i * m + j] += t->w.b[j];
		pairs(t->d->score + rows[i] * m, t->s + i * m, m, w, t->g + i * m);
		for (size_t j = 0; j < m; j++)
			t->grad.b[j] += t->g[i * m + j];
	}
	mat_mul_nn(1, g, v, 0, dh, NULL);
	mat_mul_tn(1, x, dh, 0, (struct mat){ t->grad.p, d, k, k });
	mat_mul_tn(1, g, h, 0, (struct mat){ t->grad.v, m, k, k });
	adam_next(&t->adam);
	adam_apply(&t->adam, t->w.x, &t->grad.x, 1, 1 / (float)n, decay, 0, t->matrices);
	adam_apply(&t->adam, t->w.x, &t->grad.x, 1, 1 / (float)n, 0, t->matrices, t->total);
}

static void
initialise(struct train *t)
{
	double bound = sqrt(6.0 / (double)(t->d->d + t->k));

	memset(t->w.x, 0, t->total * sizeof(float));
	memset(t->grad.x, 0, t->total * sizeof(float));
	for (size_t i = 0; i < t->d->d * t->k; i++)
		t->w.p[i] = (float)(bound * (2 * rng_double(&t->rng) - 1));
	bound = sqrt(3.0 / (double)t->k);
	for (size_t i = 0; i < t->d->m * t->k; i++)
		t->w.v[i] = (float)(bound * (2 * rng_double(&t->rng) - 1));
	/* Biases start where a model that knew only the means would have them. */
	for (size_t j = 0; j < t->d->m; j++)
		t->w.b[j] = 2 * t->t->score_mean[j] - 1;
	memset(t->adam.m, 0, t->total * sizeof *t->adam.m);
	memset(t->adam.v, 0, t->total * sizeof *t->adam.v);
	t->adam.t = 0;
}

/* Where a training stands between two epochs, beside weights, moments and the order of the rows. */
struct stand { struct rng rng; uint64_t epoch, adam; };

#define PIECES 5
static void
pieces(struct train *t, struct stand *s, struct checkpoint_part out[PIECES])
{
	size_t bytes = t->total * sizeof(float);

	out[0] = (struct checkpoint_part){ s, sizeof *s };
	out[1] = (struct checkpoint_part){ t->w.x, bytes };
	out[2] = (struct checkpoint_part){ t->adam.m, bytes };
	out[3] = (struct checkpoint_part){ t->adam.v, bytes };
	out[4] = (struct checkpoint_part){ t->rows, t->d->n * sizeof *t->rows };
}

/* Go on after the last epoch that a checkpoint holds. The order of the rows is checked: it is an index. */
static int
restore(struct train *t, const struct checkpoint_at *at, struct stand *s, struct err *e)
{
	struct checkpoint_part part[PIECES];

	pieces(t, s, part);
	if (!checkpoint_get(at, part, PIECES))
		return 0;
	t->rng = s->rng;
	t->adam.t = s->adam;
	for (size_t i = 0; i < t->d->n; i++)
		if (t->rows[i] >= t->d->n)
			return err_set(e, ERR_INPUT, "checkpoint: %s: row %lu of %zu", at->path,
			    (unsigned long)t->rows[i], t->d->n);
	return 0;
}

static int
keep(struct train *t, const struct checkpoint_at *at, struct stand *s, struct err *e)
{
	struct checkpoint_part part[PIECES];

	s->rng = t->rng;
	s->adam = t->adam.t;
	pieces(t, s, part);
	return checkpoint_put(at, part, PIECES, e);
}

/* Train from scratch on the first n of rows; pass is the name of this in a checkpoint. */
static int
train(struct train *t, size_t n, unsigned pass, struct err *e)
{
	const struct checkpoint_at at = checkpoint_below(t->d->keep, "mf.%u", pass);
	size_t batch = batch_of(t->params, n);
	struct stand s = { .epoch = 0 };

	initialise(t);
	if (restore(t, &at, &s, e) < 0)
		return -1;
	while (s.epoch < t->params->epochs) {
		for (size_t i = n; i > 1; i--) {
			size_t j = rng_below(&t->rng, i);
			uint32_t row = t->rows[i - 1];

			t->rows[i - 1] = t->rows[j];
			t->rows[j] = row;
		}
		for (size_t from = 0; from < n; from += batch) {
			if (cancel_check(t->d->cancel, e) < 0)
				return -1;
			step(t, t->rows + from, n - from < batch ? n - from : batch);
		}
		s.epoch++;
		if (keep(t, &at, &s, e) < 0)
			return -1;
	}
	return 0;
}

/* V P and b into w [(d + 1) x stride], each output less the mean over the models seen. */
static void
collapse(const struct train *t, const struct mf *mf)
{
	size_t d = t->d->d, m = t->d->m, seen = 0;
	struct mat p = { t->w.p, d, t->k, t->k }, v = { t->w.v, m, t->k, t->k };

	mat_mul_nt(1, p, v, 0, (struct mat){ mf->w, d, m, mf->stride }, NULL);
	memcpy(mf->w + d * mf->stride, t->w.b, m * sizeof *mf->w);
	for (size_t j = 0; j < m; j++)
		seen += t->t->seen[j];
	for (size_t i = 0; i <= d; i++) {
		float *row = mf->w + i * mf->stride, mean = 0;

		for (size_t j = 0; j < m; j++)
			mean += t->t->seen[j] ? row[j] : 0;
		for (size_t j = 0; j < m; j++)
			row[j] = t->t->seen[j] ? row[j] - mean / (float)seen : 0;
	}
}

/* Of a model's known cells: margins x and scores y, both less their mean over the known cells of the row. */
struct sums { double n, x, y, xx, xy; };

static void
add_row(const struct train *t, size_t row, float *margin, struct sums *s)
{
	const float *score = t->d->score + row * t->d->m;
	double w = t->d->weight == NULL ? 1 : (double)t->d->weight[row], x = 0, y = 0, known = 0;

	for (size_t j = 0; j < t->d->m; j++)
		if (!isnan(score[j])) {
			x += (double)margin[j];
			y += (double)score[j];
			known++;
		}
	for (size_t j = 0; j < t->d->m; j++) {
		double dx = (double)margin[j] - x / known, dy = (double)score[j] - y / known;

		if (isnan(score[j]))
			continue;
		s[j].n += w;
		s[j].x += w * dx;
		s[j].y += w * dy;
		s[j].xx += w * dx * dx;
		s[j].xy += w * dx * dy;
	}
}

/*
 * Least squares of scores by margins on the rows left out, within models: how
 * good each is in the mean is known better than a margin tells.
 */
static double
slope_of(const struct sums *s, size_t m)
{
	double var = 0, both = 0, slope = 1;

	for (size_t j = 0; j < m; j++)
		if (s[j].n > 0) {
			var += s[j].xx - s[j].x * s[j].x / s[j].n;
			both += s[j].xy - s[j].x * s[j].y / s[j].n;
		}
	if (var > 1e-12)
		slope = both / var;
	return slope > LEAST_SLOPE ? slope : LEAST_SLOPE;
}

/* Margins to scores, with which each model has its mean score over the rows trained on. */
static void
finish(const struct train *t, const struct mf *mf, double slope, struct sums *s, float *y)
{
	size_t d = mf->d, m = mf->m;

	for (size_t i = 0; i < t->d->n; i++) {
		double w = t->d->weight == NULL ? 1 : (double)t->d->weight[i];

		affine_apply(mf->kernel, mf->w, d, mf->stride, t->d->x + i * d, y);
		for (size_t j = 0; j < m; j++)
			if (!isnan(t->d->score[i * m + j])) {
				s[j].y += w * ((double)t->d->score[i * m + j] - slope * (double)y[j]);
				s[j].n += w;
			}
	}
	for (size_t i = 0; i <= d; i++) {
		float *row = mf->w + i * mf->stride;

		for (size_t j = 0; j < m; j++) {
			row[j] = (float)((double)row[j] * slope + (i == d && s[j].n > 0 ? s[j].y / s[j].n : 0));
			if (i == d && !t->t->seen[j])
				row[j] = t->t->score_mean[j];
		}
	}
}

/* The rows in an order of their own. */
static void
shuffle(struct train *t, uint32_t *order)
{
	double sum = 0;

	t->rng = rng_split(t->d->seed, 0);
	for (size_t i = 0; i < t->d->n; i++) {
		size_t j = rng_below(&t->rng, i + 1);

		order[i] = order[j];
		order[j] = (uint32_t)i;
		sum += t->d->weight == NULL ? 1 : (double)t->d->weight[i];
	}
	t->weight_scale = (double)t->d->n / sum;
}

/* Train on all rows but those of a part, which come to lie behind the others; how many there are. */
static int
train_without(struct train *t, const struct mf *mf, const uint32_t *order, unsigned part, size_t *left,
	struct err *e)
{
	size_t n = t->d->n, from = n * part / PARTS, to = part < PARTS ? n * (part + 1) / PARTS : n;

	*left = to - from;
	memcpy(t->rows, order, from * sizeof *order);
	memcpy(t->rows + from, order + to, (n - to) * sizeof *order);
	memcpy(t->rows + n - *left, order + from, *left * sizeof *order);
	if (train(t, n - *left, part, e) < 0)
		return -1;
	collapse(t, mf);
	return 0;
}

/* Without each part in turn, for the slope, then on all rows. Fewer rows than parts tell no slope. */
static int
train_all(struct train *t, const struct mf *mf, struct err *e)
{
	size_t n = t->d->n, left;
	uint32_t *order = mem_calloc(n, sizeof *order, e);
	struct sums *slope = mem_calloc(mf->m, sizeof *slope, e), *level = mem_calloc(mf->m, sizeof *level, e);
	float *y = mem_aligned(mf->stride, sizeof *y, e);
	int r = -1;

	if (order == NULL || slope == NULL || level == NULL || y == NULL)
		goto out;
	shuffle(t, order);
	for (unsigned part = 0; part < PARTS && n >= PARTS; part++) {
		if (train_without(t, mf, order, part, &left, e) < 0)
			goto out;
		for (size_t i = n - left; i < n; i++) {
			affine_apply(mf->kernel, mf->w, mf->d, mf->stride, t->d->x + t->rows[i] * mf->d, y);
			add_row(t, t->rows[i], y, slope);
		}
	}
	if (train_without(t, mf, order, PARTS, &left, e) < 0)
		goto out;
	finish(t, mf, slope_of(slope, mf->m), level, y);
	r = 0;
	for (size_t i = 0; i < (mf->d + 1) * mf->stride && r == 0; i++)
		if (!(fabsf(mf->w[i]) <= MAX_WEIGHT))
			r = err_set(e, ERR_INPUT, "training diverged: lower lr (%g)",
			    mf->params.rate);
out:
	free(order);
	free(slope);
	free(level);
	free(y);
	return r;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	const struct mf_params *p = params;
	uint64_t k = p->latent_dim, batch = batch_of(p, n);

	return 16 * (d * k + m * k + m + 64) + 8 * (d + 1) * (m + AFFINE_PAD) +
	    4 * (batch * (d + 2 * k + 2 * m + AFFINE_PAD) + 2 * n) + 2 * m * sizeof(struct sums);
}

static void
mf_free(void *model)
{
	struct mf *mf = model;

	if (mf == NULL)
		return;
	target_finish(&mf->target);
	free(mf->w);
	free(mf->tensor);
	free(mf);
}

static const void *
params_of(const void *model)
{
	return &((const struct mf *)model)->params;
}

static int
shape_of(struct mf *mf, struct err *e)
{
	mf->stride = AFFINE_STRIDE(mf->m);
	mf->kernel = dot_best();
	mf->w = mem_aligned((mf->d + 1) * mf->stride, sizeof *mf->w, e);
	return mf->w == NULL ? -1 : 0;
}

static int
make_tensor(struct mf *mf, struct err *e)
{
	float *to = mf->tensor = mem_aligned((mf->d + 1) * mf->m, sizeof *to, e);

	if (to == NULL)
		return -1;
	for (size_t j = 0; j < mf->m; j++)
		for (size_t i = 0; i < mf->d; i++)
			*to++ = mf->w[i * mf->stride + j];
	memcpy(to, mf->w + mf->d * mf->stride, mf->m * sizeof *to);
	return 0;
}

static void *
fit(const void *params, const struct scorer_data *d, struct err *e)
{
	struct mf *mf = mem_calloc(1, sizeof *mf, e);
	struct scorer_data scores = *d;
	struct train t = { .params = params, .d = &scores };
	bool done = false;

	if (mf == NULL)
		return NULL;
	scores.cost = NULL;
	mf->params = *t.params;
	mf->d = d->d;
	mf->m = d->m;
	t.t = &mf->target;
	if (d->n == 0 || d->n > UINT32_MAX)
		err_set(e, ERR_INPUT, "%zu rows: matrix factorisation learns from 1 to %lu", d->n,
		    (unsigned long)UINT32_MAX);
	else
		done = mat_open(e) == 0 && target_init(&mf->target, &scores, e) == 0 &&
		    shape_of(mf, e) == 0 && setup(&t, e) == 0 && train_all(&t, mf, e) == 0 &&
		    make_tensor(mf, e) == 0;
	release(&t);
	if (done)
		return mf;
	mf_free(mf);
	return NULL;
}

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct mf *mf = model;
	const uint64_t shape[] = { mf->m, mf->d };
	char name[TARGET_NAME];

	if (mf->tensor == NULL)
		return err_set(e, ERR_BUG, "a loaded matrix factorisation cannot be saved");
	if (target_save(&mf->target, prefix, "mf", w, e) < 0)
		return -1;
	if (tensorfile_writer_add(w, target_name(name, prefix, "mf", ".weight"), DTYPE_F32, 2, shape,
	    mf->tensor, e) < 0)
		return -1;
	return tensorfile_writer_add(w, target_name(name, prefix, "mf", ".bias"), DTYPE_F32, 1, shape,
	    mf->tensor + mf->m * mf->d, e);
}

static int
load_all(struct mf *mf, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const struct tensor *weight, *bias;
	uint64_t shape[2];
	char name[TARGET_NAME];

	if (mf->d == 0 || mf->m == 0)
		return err_set(e, ERR_INPUT, "%zu models, %zu dimensions", mf->m, mf->d);
	if (target_load(&mf->target, f, prefix, "mf", mf->m, e) < 0)
		return -1;
	mf->target.costs = false;
	shape[0] = mf->m;
	shape[1] = mf->d;
	weight = tensorfile_need(f, target_name(name, prefix, "mf", ".weight"), DTYPE_F32, 2, shape, e);
	if (weight == NULL || target_check(weight, MAX_WEIGHT, e) < 0)
		return -1;
	bias = tensorfile_need(f, target_name(name, prefix, "mf", ".bias"), DTYPE_F32, 1, shape, e);
	if (bias == NULL || target_check(bias, MAX_WEIGHT, e) < 0 || shape_of(mf, e) < 0)
		return -1;
	for (size_t j = 0; j < mf->m; j++)
		for (size_t i = 0; i < mf->d; i++)
			mf->w[i * mf->stride + j] = ((const float *)weight->data)[j * mf->d + i];
	memcpy(mf->w + mf->d * mf->stride, bias->data, mf->m * sizeof *mf->w);
	return 0;
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct mf *mf = mem_calloc(1, sizeof *mf, e);

	if (mf == NULL)
		return NULL;
	params_init(&mf->params);
	mf->m = m;
	mf->d = d;
	if (params_read(&mf->params, hparams, e) < 0 || load_all(mf, f, prefix, e) < 0) {
		mf_free(mf);
		return NULL;
	}
	return mf;
}

struct scratch {
	float *y;			/* [stride] */
};

static void
scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	if (s == NULL)
		return;
	free(s->y);
	free(s);
}

static void *
scratch_new(const void *model, struct err *e)
{
	const struct mf *mf = model;
	struct scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->y = mem_aligned(mf->stride, sizeof *s->y, e);
	if (s->y == NULL) {
		scratch_free(s);
		return NULL;
	}
	return s;
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct mf *mf = model;
	struct scratch *s = scratch;

	(void)skip;
	if (target_zero(q, mf->d))
		target_means(&mf->target, out, cost);
	else {
		affine_apply(mf->kernel, mf->w, mf->d, mf->stride, q, s->y);
		target_predict(&mf->target, s->y, out, cost);
	}
}

const struct scorer_kind mf_kind = {
	.name = "mf",
	.hparams = "latent_dim, lr, epochs, noise_alpha, regularization, batch_size",
	.params_bytes = sizeof(struct mf_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = mf_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.score = score,
	.uses_blas = true,
};
_Static_assert(sizeof(struct mf_params) <= SCORER_MAX_PARAMS, "params fit the table");
