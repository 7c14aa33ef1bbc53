#include "model/mlptrain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/adam.h"
#include "math/mat.h"

#define BLOCK_ROWS 128		/* two blocks of a default batch of 200 */
#define MAX_BLOCKS 16
#define LAYERS (MLP_MAX_HIDDEN + 2)
#define MAX_WEIGHT 1e6f

/* One block of rows on its way through the net and back. */
struct block {
	float *act[LAYERS];		/* [rows x ld[l]]; column size[l] is 1, for the bias */
	float *delta[LAYERS];		/* [rows x ld[l]] loss by sum */
	float *mask[LAYERS];		/* [rows x ld[l]] dropout: 0 or 1 / (1 - p); NULL without */
	float *grad;			/* [shape->total] */
	double loss, weight;
};

struct train {
	const struct mlp_params *p;
	const struct mlp_shape *s;
	const struct scorer_data *d;
	const struct target *t;
	struct pool *pool;
	uint64_t seed;
	float *w;
	size_t ld[LAYERS];
	double weight_scale;		/* makes the mean weight of a row 1 */
	uint32_t *rows;			/* [n] shuffled: those trained on, then those held out */
	size_t n_train, n_held;
	size_t batch, block_rows, n_blocks;
	struct block *blocks;
	size_t n_buffers;
	struct adam adam;
	float **grads;			/* [n_blocks] */
	/* Of the batch under way: */
	const uint32_t *part_rows;
	size_t part_n, part_block;	/* rows; rows of a block */
	size_t part_parts;
	uint64_t step;
	double *loss, *loss_weight;	/* [held-out blocks] */
};

static struct mat
weights(const struct train *t, float *base, size_t l, size_t rows, size_t cols)
{
	return (struct mat){ base + t->s->offset[l], rows, cols, t->s->stride[l] };
}

/* Rows of the data into act[0]; far rows are fetched by the prefetcher of the CPU. */
static void
gather(const struct train *t, struct block *b, const uint32_t *rows, size_t n)
{
	size_t d = t->d->d;

	for (size_t i = 0; i < n; i++) {
		float *to = b->act[0] + i * t->ld[0];

		memcpy(to, t->d->x + (size_t)rows[i] * d, d * sizeof *to);
		to[d] = 1;
	}
}

static void
drop(const struct train *t, struct block *b, size_t l, size_t n, struct rng *g)
{
	const float keep = (float)(1 / (1 - t->p->dropout));

	for (size_t i = 0; i < n; i++) {
		float *a = b->act[l] + i * t->ld[l], *mask = b->mask[l] + i * t->ld[l];

		for (size_t j = 0; j < t->s->size[l]; j++) {
			mask[j] = rng_double(g) < t->p->dropout ? 0 : keep;
			a[j] *= mask[j];
		}
	}
}

static void
forward(const struct train *t, struct block *b, size_t n, struct rng *g)
{
	const size_t *size = t->s->size;

	for (size_t l = 0; l < t->s->layers; l++) {
		struct mat in = { b->act[l], n, size[l] + 1, t->ld[l] };
		struct mat out = { b->act[l + 1], n, size[l + 1], t->ld[l + 1] };

		mat_mul_nn(1, in, weights(t, t->w, l, size[l] + 1, size[l + 1]), 0, out, NULL);
		if (l + 1 == t->s->layers)
			break;
		for (size_t i = 0; i < n; i++) {
			float *a = b->act[l + 1] + i * t->ld[l + 1];

			mlp_activate(t->p->activation, a, size[l + 1]);
			a[size[l + 1]] = 1;
		}
		if (g != NULL)
			drop(t, b, l + 1, n, g);
	}
}

static double
row_weight(const struct train *t, size_t row)
{
	return t->d->weight == NULL ? 1 : (double)t->d->weight[row] * t->weight_scale;
}

/* Loss and its derivative by the scores y [m] of one row, into delta (may be y itself). */
static double
score_loss(const struct train *t, float *y, const float *want, float w, float *delta)
{
	size_t m = t->d->m;
	double loss = 0;

	if (t->d->best)
		mlp_softmax(y, want, m);
	for (size_t j = 0; j < m; j++) {
		float known = isnan(want[j]) ? 0.0f : w;
		float diff = known > 0 ? y[j] - want[j] : 0;

		if (!t->d->best)
			loss += (double)(diff * diff) / 2;
		else if (known > 0 && want[j] > 0)
			loss -= log(fmax((double)y[j], 1e-12)) * (double)want[j];
		delta[j] = known * diff;
	}
	return loss;
}

/* Outputs of n rows to losses, and to delta of the last layer. */
static void
outputs(const struct train *t, struct block *b, const uint32_t *rows, size_t n)
{
	size_t top = t->s->layers, m = t->d->m;

	b->loss = b->weight = 0;
	for (size_t i = 0; i < n; i++) {
		float *y = b->act[top] + i * t->ld[top], *delta = b->delta[top] + i * t->ld[top];
		double w = row_weight(t, rows[i]);

		b->loss += w * score_loss(t, y, t->d->score + rows[i] * m, (float)w, delta);
		b->weight += w;
	}
}

#define LANES AFFINE_PAD

/* The usual case by itself: whole runs of LANES, padding too, become vector instructions. */
static void
derive_relu(const struct train *t, struct block *b, size_t l, size_t n)
{
	for (size_t k = 0; k < n * t->ld[l]; k += LANES) {
		float *restrict delta = b->delta[l] + k;
		const float *restrict a = b->act[l] + k;

		for (size_t j = 0; j < LANES; j++) {
			float x = delta[j];

			delta[j] = a[j] > 0 ? x : 0;
		}
	}
}

/* delta *= derivative of the activation, told from its outcome a. */
static void
derive(const struct train *t, struct block *b, size_t l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float *delta = b->delta[l] + i * t->ld[l];
		const float *act = b->act[l] + i * t->ld[l];
		const float *mask = b->mask[l] == NULL ? NULL : b->mask[l] + i * t->ld[l];

		for (size_t j = 0; j < t->s->size[l]; j++) {
			float a = act[j], x = delta[j];

			if (mask != NULL) {
				a = mask[j] > 0 ? a / mask[j] : 0;
				x *= mask[j];
			}
			switch (t->p->activation) {
			case MLP_RELU:
				x = a > 0 ? x : 0;
				break;
			case MLP_TANH:
				x *= 1 - a * a;
				break;
			case MLP_LOGISTIC:
				x *= a * (1 - a);
				break;
			case MLP_IDENTITY:
				break;
			}
			delta[j] = x;
		}
	}
}

static void
backward(const struct train *t, struct block *b, size_t n)
{
	const size_t *size = t->s->size;

	for (size_t l = t->s->layers; l-- > 0;) {
		struct mat in = { b->act[l], n, size[l] + 1, t->ld[l] };
		struct mat out = { b->delta[l + 1], n, size[l + 1], t->ld[l + 1] };
		struct mat back = { b->delta[l], n, size[l], t->ld[l] };

		mat_mul_tn(1, in, out, 0, weights(t, b->grad, l, size[l] + 1, size[l + 1]));
		if (l == 0)
			break;
		mat_mul_nt(1, out, weights(t, t->w, l, size[l], size[l + 1]), 0, back, NULL);
		if (t->p->activation == MLP_RELU && b->mask[l] == NULL)
			derive_relu(t, b, l, n);
		else
			derive(t, b, l, n);
	}
}

static void
train_block(void *arg, size_t part, unsigned worker)
{
	const struct train *t = arg;
	struct block *b = &t->blocks[part];
	const uint32_t *rows = t->part_rows + part * t->part_block;
	size_t n = t->part_n - part * t->part_block;
	struct rng g;

	(void)worker;
	if (n > t->part_block)
		n = t->part_block;
	if (t->p->dropout > 0)
		g = rng_split(t->seed + 1, t->step * MAX_BLOCKS + part);
	gather(t, b, rows, n);
	forward(t, b, n, t->p->dropout > 0 ? &g : NULL);
	outputs(t, b, rows, n);
	backward(t, b, n);
}

static void
update_part(void *arg, size_t part, unsigned worker)
{
	const struct train *t = arg;
	size_t parts = pool_threads(t->pool), total = t->s->total / AFFINE_PAD;
	float batch = (float)t->part_n;

	(void)worker;
	adam_apply(&t->adam, t->w, t->grads, t->part_parts, 1 / batch,
	    (float)t->p->alpha / batch + (float)t->p->weight_decay,
	    total * part / parts * AFFINE_PAD, total * (part + 1) / parts * AFFINE_PAD);
}

/* One pass over the rows trained on; the mean loss. */
static int
epoch(struct train *t, struct rng *g, double *loss, struct err *e)
{
	double weight = 0;

	*loss = 0;
	for (size_t i = t->n_train; i > 1; i--) {
		size_t j = rng_below(g, i);
		uint32_t row = t->rows[i - 1];

		t->rows[i - 1] = t->rows[j];
		t->rows[j] = row;
	}
	for (size_t from = 0; from < t->n_train; from += t->batch, t->step++) {
		if (cancel_check(t->d->cancel, e) < 0)
			return -1;
		t->part_rows = t->rows + from;
		t->part_n = t->n_train - from < t->batch ? t->n_train - from : t->batch;
		t->part_block = t->block_rows;
		t->part_parts = (t->part_n + t->block_rows - 1) / t->block_rows;
		pool_run(t->pool, t->part_parts, train_block, t);
		for (size_t k = 0; k < t->part_parts; k++) {
			*loss += t->blocks[k].loss;
			weight += t->blocks[k].weight;
		}
		adam_next(&t->adam);
		pool_run(t->pool, pool_threads(t->pool), update_part, t);
	}
	*loss /= weight;
	return 0;
}

static void
held_block(void *arg, size_t part, unsigned worker)
{
	struct train *t = arg;
	struct block *b = &t->blocks[worker];
	const uint32_t *rows = t->rows + t->n_train + part * t->block_rows;
	size_t n = t->n_held - part * t->block_rows;

	if (n > t->block_rows)
		n = t->block_rows;
	gather(t, b, rows, n);
	forward(t, b, n, NULL);
	outputs(t, b, rows, n);
	t->loss[part] = b->loss;
	t->loss_weight[part] = b->weight;
}

static double
held_out_loss(struct train *t)
{
	size_t parts = (t->n_held + t->block_rows - 1) / t->block_rows;
	double loss = 0, weight = 0;

	pool_run(t->pool, parts, held_block, t);
	for (size_t k = 0; k < parts; k++) {
		loss += t->loss[k];
		weight += t->loss_weight[k];
	}
	return loss / weight;
}

/* After Glorot & Bengio; the output starts at the means. */
static void
initialise(struct train *t, struct rng *g)
{
	const struct mlp_shape *s = t->s;
	double gain = t->p->activation == MLP_LOGISTIC ? 2 : 6;
	float *bias = t->w + s->offset[s->layers - 1] + s->size[s->layers - 1] * s->stride[s->layers - 1];

	for (size_t l = 0; l < s->layers; l++) {
		double bound = sqrt(gain / (double)(s->size[l] + s->size[l + 1]));

		for (size_t i = 0; i < s->size[l]; i++)
			for (size_t j = 0; j < s->size[l + 1]; j++)
				t->w[s->offset[l] + i * s->stride[l] + j] =
				    (float)(bound * (2 * rng_double(g) - 1));
	}
	for (size_t j = 0; j < t->d->m; j++)
		bias[j] = t->d->best ? logf(fmaxf(t->t->score_mean[j], 1e-3f)) : t->t->score_mean[j];
}

/* Models that nothing was learned about keep their mean. */
static void
finish(struct train *t)
{
	const struct mlp_shape *s = t->s;
	size_t last = s->layers - 1;

	for (size_t i = 0; i <= s->size[last]; i++) {
		float *row = t->w + s->offset[last] + i * s->stride[last];
		bool bias = i == s->size[last];

		for (size_t j = 0; j < t->d->m; j++)
			if (!t->t->seen[j])
				row[j] = !bias ? 0 : t->d->best ? -100 : t->t->score_mean[j];
	}
}

static int
diverged(const struct train *t, struct err *e)
{
	return err_set(e, ERR_INPUT, "training diverged: lower learning_rate_init (%g)", t->p->rate);
}

static int
check_weights(const struct train *t, struct err *e)
{
	for (size_t i = 0; i < t->s->total; i++)
		if (!(fabsf(t->w[i]) <= MAX_WEIGHT))
			return diverged(t, e);
	return 0;
}

/* Where a run stands between two epochs, beside weights, moments and the order of the rows. */
struct stand {
	struct rng g;
	double least, mark, loss;
	uint64_t stale, epochs, step, adam;
};

/* The pieces of the state in a checkpoint: what keep and restore copy. */
#define PIECES 6
static void
pieces(struct train *t, struct stand *s, float *best, struct checkpoint_part out[PIECES])
{
	size_t bytes = t->s->total * sizeof *t->w;

	out[0] = (struct checkpoint_part){ s, sizeof *s };
	out[1] = (struct checkpoint_part){ t->w, bytes };
	out[2] = (struct checkpoint_part){ t->adam.m, bytes };
	out[3] = (struct checkpoint_part){ t->adam.v, bytes };
	out[4] = (struct checkpoint_part){ best, best != NULL ? bytes : 0 };
	out[5] = (struct checkpoint_part){ t->rows, t->d->n * sizeof *t->rows };
}

static int
keep(struct train *t, struct stand *s, float *best, struct err *e)
{
	struct checkpoint_part part[PIECES];

	s->step = t->step;
	s->adam = t->adam.t;
	pieces(t, s, best, part);
	return checkpoint_put(t->d->keep, part, PIECES, e);
}

/* Go on where an interrupted run stood. The order of the rows is checked: it is an index. */
static int
restore(struct train *t, struct stand *s, float *best, struct err *e)
{
	struct checkpoint_part part[PIECES];

	pieces(t, s, best, part);
	if (!checkpoint_get(t->d->keep, part, PIECES))
		return 0;
	t->step = s->step;
	t->adam.t = s->adam;
	for (size_t i = 0; i < t->d->n; i++)
		if (t->rows[i] >= t->d->n)
			return err_set(e, ERR_INPUT, "checkpoint: %s: row %lu of %zu", t->d->keep->path,
			    (unsigned long)t->rows[i], t->d->n);
	return 0;
}

/* Epochs until the loss stops falling; the best weights seen are kept when rows are held out. */
static int
run(struct train *t, size_t *epochs, struct err *e)
{
	struct stand s = { .g = rng_split(t->seed, 1), .least = INFINITY, .mark = INFINITY };
	float *best = t->n_held > 0 ? mem_aligned(t->s->total, sizeof *best, e) : NULL;
	int r = -1;

	if (t->n_held > 0 && best == NULL)
		return -1;
	if (restore(t, &s, best, e) < 0)
		goto out;
	while (s.epochs < t->p->max_iter && s.stale < t->p->n_iter_no_change) {
		if (epoch(t, &s.g, &s.loss, e) < 0)
			goto out;
		s.epochs++;
		if (t->n_held > 0)
			s.loss = held_out_loss(t);
		if (!isfinite(s.loss))
			break;
		s.stale = s.loss < s.mark * (1 - t->p->tol) ? 0 : s.stale + 1;
		s.mark = s.stale == 0 ? s.loss : s.mark;
		if (s.loss < s.least && best != NULL)
			memcpy(best, t->w, t->s->total * sizeof *best);
		s.least = s.loss < s.least ? s.loss : s.least;
		if (keep(t, &s, best, e) < 0)
			goto out;
	}
	if (best != NULL && isfinite(s.least))
		memcpy(t->w, best, t->s->total * sizeof *best);
	r = isfinite(s.loss) || (best != NULL && isfinite(s.least)) ? check_weights(t, e) :
	    diverged(t, e);
	if (epochs != NULL)
		*epochs = s.epochs;
out:
	free(best);
	return r;
}

static int
block_init(const struct train *t, struct block *b, bool grad, struct err *e)
{
	for (size_t l = 0; l <= t->s->layers; l++) {
		b->act[l] = mem_aligned(t->block_rows * t->ld[l], sizeof *b->act[l], e);
		b->delta[l] = mem_aligned(l > 0 ? t->block_rows * t->ld[l] : 0,
		    sizeof *b->delta[l], e);
		if (b->act[l] == NULL || b->delta[l] == NULL)
			return -1;
		if (t->p->dropout > 0 && l > 0 && l < t->s->layers &&
		    (b->mask[l] = mem_aligned(t->block_rows * t->ld[l], sizeof *b->mask[l], e)) == NULL)
			return -1;
	}
	if (grad && (b->grad = mem_aligned(t->s->total, sizeof *b->grad, e)) == NULL)
		return -1;
	return 0;
}

/* Sizes of batch and blocks, by the hyperparameters and the rows alone. */
static void
plan(struct train *t)
{
	t->batch = t->p->batch_size != 0 ? t->p->batch_size : 200;
	if (t->batch > t->n_train)
		t->batch = t->n_train;
	t->n_blocks = (t->batch + BLOCK_ROWS - 1) / BLOCK_ROWS;
	if (t->n_blocks > MAX_BLOCKS)
		t->n_blocks = MAX_BLOCKS;
	t->block_rows = (t->batch + t->n_blocks - 1) / t->n_blocks;
}

static void
held_out(struct train *t, struct rng *g)
{
	size_t n = t->d->n, held = (size_t)(t->p->validation_fraction * (double)n);

	for (size_t i = 0; i < n; i++) {
		size_t j = rng_below(g, i + 1);

		t->rows[i] = t->rows[j];
		t->rows[j] = (uint32_t)i;
	}
	t->n_held = t->p->early_stopping && held > 0 && held < n ? held : 0;
	t->n_train = n - t->n_held;
}

static int
setup(struct train *t, struct err *e)
{
	size_t parts;

	for (size_t l = 0; l <= t->s->layers; l++)
		t->ld[l] = AFFINE_STRIDE(t->s->size[l] + 1);
	t->n_buffers = t->n_blocks > pool_threads(t->pool) ? t->n_blocks : pool_threads(t->pool);
	parts = t->n_held / t->block_rows + 1;
	t->blocks = mem_calloc(t->n_buffers, sizeof *t->blocks, e);
	t->grads = mem_calloc(t->n_blocks, sizeof *t->grads, e);
	t->loss = mem_calloc(parts, sizeof *t->loss, e);
	t->loss_weight = mem_calloc(parts, sizeof *t->loss_weight, e);
	if (t->blocks == NULL || t->grads == NULL || t->loss == NULL || t->loss_weight == NULL)
		return -1;
	for (size_t k = 0; k < t->n_buffers; k++)
		if (block_init(t, &t->blocks[k], k < t->n_blocks, e) < 0)
			return -1;
	for (size_t k = 0; k < t->n_blocks; k++)
		t->grads[k] = t->blocks[k].grad;
	return adam_init(&t->adam, t->s->total, t->p->rate, e);
}

static void
release(struct train *t)
{
	for (size_t k = 0; t->blocks != NULL && k < t->n_buffers; k++) {
		for (size_t l = 0; l < LAYERS; l++) {
			free(t->blocks[k].act[l]);
			free(t->blocks[k].delta[l]);
			free(t->blocks[k].mask[l]);
		}
		free(t->blocks[k].grad);
	}
	free(t->blocks);
	free(t->grads);
	free(t->loss);
	free(t->loss_weight);
	free(t->rows);
	adam_finish(&t->adam);
}

int
mlptrain_net(const struct mlp_params *p, const struct mlp_shape *s, const struct scorer_data *d,
	const struct target *target, uint64_t seed, struct pool *pool, float *w, size_t *epochs,
	struct err *e)
{
	struct train t = { .p = p, .s = s, .d = d, .t = target, .pool = pool, .seed = seed, .w = w };
	struct rng g = rng_split(seed, 0);
	double sum = 0;
	int r = -1;

	if (d->n == 0 || d->n > UINT32_MAX)
		return err_set(e, ERR_INPUT, "%zu rows: a perceptron learns from 1 to %lu", d->n,
		    (unsigned long)UINT32_MAX);
	t.rows = mem_calloc(d->n, sizeof *t.rows, e);
	if (t.rows == NULL)
		return -1;
	held_out(&t, &g);
	for (size_t i = 0; d->weight != NULL && i < d->n; i++)
		sum += (double)d->weight[i];
	t.weight_scale = sum > 0 ? (double)d->n / sum : 1;
	plan(&t);
	if (setup(&t, e) < 0)
		goto out;
	initialise(&t, &g);
	if (run(&t, epochs, e) < 0)
		goto out;
	finish(&t);
	r = check_weights(&t, e);
out:
	release(&t);
	return r;
}

uint64_t
mlptrain_memory(const struct mlp_params *p, const struct mlp_shape *s, size_t n)
{
	uint64_t width = 0, batch = p->batch_size != 0 ? p->batch_size : 200, blocks;

	batch = batch < n ? batch : n;
	blocks = (batch + BLOCK_ROWS - 1) / BLOCK_ROWS;
	blocks = blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS;
	for (size_t l = 0; l <= s->layers; l++)
		width += AFFINE_STRIDE(s->size[l] + 1);
	return (uint64_t)n * 4 + (blocks + 3) * s->total * 4 +
	    (batch + BLOCK_ROWS) * width * (p->dropout > 0 ? 12 : 8);
}
