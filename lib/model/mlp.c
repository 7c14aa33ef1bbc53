#include "model/mlp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/mat.h"
#include "model/mlptrain.h"

#define MAX_WEIGHT 1e6f

static const char *const activations[] = { "relu", "tanh", "logistic", "identity" };

struct mlp {
	struct mlp_params params;
	struct mlp_shape shape;
	struct target target;		/* of scores */
	size_t d, m;
	bool best;			/* outputs are logits */
	enum dot_kernel kernel;
	float *w;			/* [n_nets x shape.total] as scored */
	float *tensor;			/* the same as saved, when fitted; else NULL */
};

static void
params_init(void *params)
{
	struct mlp_params *p = params;

	*p = (struct mlp_params){ .hidden = { 128, 64 }, .n_hidden = 2, .activation = MLP_RELU,
		.alpha = 1e-4, .rate = 1e-3, .max_iter = 200, .n_iter_no_change = 10, .tol = 1e-4,
		.validation_fraction = 0.1, .early_stopping = true };
}

/* "128,64", "[128, 64]", "(128,)" or "" for none. */
static int
set_hidden(struct mlp_params *p, const char *name, const char *value, struct err *e)
{
	struct slice s = slice_trim(slice_str(value));
	uint32_t n = 0, hidden[MLP_MAX_HIDDEN];

	if (s.n >= 2 && (s.p[0] == '[' || s.p[0] == '('))
		s = slice_trim((struct slice){ s.p + 1, s.n - 2 });
	while (s.n > 0) {
		const char *comma = memchr(s.p, ',', s.n);
		size_t k = comma == NULL ? s.n : (size_t)(comma - s.p);
		long long width;

		if (!slice_int(slice_trim((struct slice){ s.p, k }), &width) || width < 1 ||
		    width > MLP_MAX_WIDTH || n == MLP_MAX_HIDDEN)
			return err_set(e, ERR_USAGE, "%s: '%s' is not a list of at most %d widths "
			    "between 1 and %d, as in 128,64", name, value, MLP_MAX_HIDDEN,
			    MLP_MAX_WIDTH);
		hidden[n++] = (uint32_t)width;
		s = slice_trim(k == s.n ? SLICE_NONE : (struct slice){ s.p + k + 1, s.n - k - 1 });
	}
	memset(p->hidden, 0, sizeof p->hidden);
	memcpy(p->hidden, hidden, n * sizeof *hidden);
	p->n_hidden = n;
	return 0;
}

static int
set_activation(struct mlp_params *p, const char *name, const char *value, struct err *e)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(value, activations[i]) == 0) {
			p->activation = (enum mlp_activation)i;
			return 0;
		}
	if (strcmp(value, "sigmoid") == 0) {
		p->activation = MLP_LOGISTIC;
		return 0;
	}
	return err_set(e, ERR_USAGE, "%s: '%s' is not relu, tanh, logistic or identity", name, value);
}

static int
set_bool(const char *name, const char *value, bool *out, struct err *e)
{
	bool yes = strcmp(value, "true") == 0 || strcmp(value, "True") == 0 || strcmp(value, "1") == 0;

	if (!yes && strcmp(value, "false") != 0 && strcmp(value, "False") != 0 &&
	    strcmp(value, "0") != 0)
		return err_set(e, ERR_USAGE, "%s: '%s' is not true or false", name, value);
	*out = yes;
	return 0;
}

/* Names that take a number: as scikit-learn and as PyTorch trainers call them. */
static const struct { const char *name; size_t offset; double lo, hi; } numbers[] = {
	{ "alpha", offsetof(struct mlp_params, alpha), 0, 1e6 },
	{ "weight_decay", offsetof(struct mlp_params, weight_decay), 0, 1e3 },
	{ "learning_rate_init", offsetof(struct mlp_params, rate), 1e-8, 10 },
	{ "lr", offsetof(struct mlp_params, rate), 1e-8, 10 },
	{ "dropout", offsetof(struct mlp_params, dropout), 0, 0.95 },
	{ "tol", offsetof(struct mlp_params, tol), 0, 1 },
	{ "validation_fraction", offsetof(struct mlp_params, validation_fraction), 0.001, 0.9 },
};
static const struct { const char *name; size_t offset; long long hi; } counts[] = {
	{ "batch_size", offsetof(struct mlp_params, batch_size), 65536 },
	{ "max_iter", offsetof(struct mlp_params, max_iter), 100000 },
	{ "epochs", offsetof(struct mlp_params, max_iter), 100000 },
	{ "n_iter_no_change", offsetof(struct mlp_params, n_iter_no_change), 100000 },
	{ "early_stopping_patience", offsetof(struct mlp_params, n_iter_no_change), 100000 },
	{ "n_nets", offsetof(struct mlp_params, n_nets), MLP_MAX_NETS },
};

static int
set_number(struct mlp_params *p, const char *name, const char *value, struct err *e)
{
	long long v;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (strcmp(name, numbers[i].name) == 0)
			return str_double(name, value, numbers[i].lo, numbers[i].hi,
			    (double *)(void *)((char *)p + numbers[i].offset), e);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		if (strcmp(name, counts[i].name) == 0) {
			if (str_int(name, value, 1, counts[i].hi, &v, e) < 0)
				return -1;
			*(size_t *)(void *)((char *)p + counts[i].offset) = (size_t)v;
			return 0;
		}
	return 1;
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct mlp_params *p = params;

	if (strcmp(name, "hidden_layer_sizes") == 0 || strcmp(name, "hidden_dims") == 0)
		return set_hidden(p, name, value, e);
	if (strcmp(name, "activation") == 0)
		return set_activation(p, name, value, e);
	if (strcmp(name, "early_stopping") == 0)
		return set_bool(name, value, &p->early_stopping, e);
	if (strcmp(name, "solver") == 0 || strcmp(name, "optimizer") == 0)
		return strcmp(value, "adam") == 0 ? 0 :
		    err_set(e, ERR_USAGE, "%s: '%s' is not adam, the only one there is", name, value);
	if (strcmp(name, "batch_size") == 0 && strcmp(value, "auto") == 0) {
		p->batch_size = 0;
		return 0;
	}
	if (strcmp(name, "n_nets") == 0 && strcmp(value, "auto") == 0) {
		p->n_nets = 0;
		return 0;
	}
	/* A number is the rate; a word a schedule, which scikit-learn has for sgd alone. */
	if (strcmp(name, "learning_rate") == 0) {
		if (strcmp(value, "constant") == 0 || strcmp(value, "adaptive") == 0 ||
		    strcmp(value, "invscaling") == 0)
			return 0;
		return str_double(name, value, 1e-8, 10, &p->rate, e);
	}
	if (strcmp(name, "early_stopping_patience") == 0)
		p->early_stopping = true;
	return set_number(p, name, value, e);
}

static void
write_count(struct jsonw *w, const char *name, size_t n)
{
	if (n == 0)
		jsonw_kstr(w, name, "auto");
	else
		jsonw_kint(w, name, (int64_t)n);
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct mlp_params *p = params;

	jsonw_key(w, "hidden_layer_sizes");
	jsonw_array(w);
	for (size_t i = 0; i < p->n_hidden; i++)
		jsonw_uint(w, p->hidden[i]);
	jsonw_end_array(w);
	jsonw_kstr(w, "activation", activations[p->activation]);
	jsonw_kdouble(w, "alpha", p->alpha);
	jsonw_kdouble(w, "weight_decay", p->weight_decay);
	jsonw_kdouble(w, "learning_rate_init", p->rate);
	jsonw_kdouble(w, "dropout", p->dropout);
	write_count(w, "batch_size", p->batch_size);
	jsonw_kint(w, "max_iter", (int64_t)p->max_iter);
	jsonw_kbool(w, "early_stopping", p->early_stopping);
	jsonw_kdouble(w, "validation_fraction", p->validation_fraction);
	jsonw_kint(w, "n_iter_no_change", (int64_t)p->n_iter_no_change);
	jsonw_kdouble(w, "tol", p->tol);
	write_count(w, "n_nets", p->n_nets);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

bool
mlp_shape_init(struct mlp_shape *s, const struct mlp_params *p, size_t inputs, size_t outputs)
{
	size_t cells;

	*s = (struct mlp_shape){ .layers = p->n_hidden + 1 };
	s->size[0] = inputs;
	for (size_t l = 0; l < p->n_hidden; l++)
		s->size[l + 1] = p->hidden[l];
	s->size[s->layers] = outputs;
	for (size_t l = 0; l < s->layers; l++) {
		s->stride[l] = AFFINE_STRIDE(s->size[l + 1]);
		s->offset[l] = s->total;
		if (!mem_mul(s->size[l] + 1, s->stride[l], &cells) ||
		    cells > SIZE_MAX / 64 - s->total)
			return false;
		s->total += cells;
	}
	return true;
}

#define LANES 16

/* Whole runs of LANES become vector instructions; a branch per element would be mispredicted. */
static void
relu(float *x, size_t n)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (size_t l = 0; l < LANES; l++)
			x[i + l] = x[i + l] > 0 ? x[i + l] : 0;
	for (; i < n; i++)
		x[i] = x[i] > 0 ? x[i] : 0;
}

void
mlp_activate(enum mlp_activation kind, float *x, size_t n)
{
	switch (kind) {
	case MLP_RELU:
		relu(x, n);
		break;
	case MLP_TANH:
		for (size_t i = 0; i < n; i++)
			x[i] = tanhf(x[i]);
		break;
	case MLP_LOGISTIC:
		for (size_t i = 0; i < n; i++)
			x[i] = 1 / (1 + expf(-x[i]));
		break;
	case MLP_IDENTITY:
		break;
	}
}

void
mlp_softmax(float *y, const float *known, size_t m)
{
	float top = -INFINITY, sum = 0;

	for (size_t j = 0; j < m; j++)
		if ((known == NULL || !isnan(known[j])) && y[j] > top)
			top = y[j];
	for (size_t j = 0; j < m; j++) {
		y[j] = known == NULL || !isnan(known[j]) ? expf(y[j] - top) : 0;
		sum += y[j];
	}
	for (size_t j = 0; j < m; j++)
		y[j] = sum > 0 ? y[j] / sum : 0;
}

static size_t
nets_for(const struct mlp_params *p, size_t n)
{
	if (p->n_nets != 0)
		return p->n_nets;
	return n < MLP_FEW_ROWS ? MLP_FEW_NETS : 1;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	const struct mlp_params *p = params;
	struct mlp_shape s;

	if (!mlp_shape_init(&s, p, d, m))
		return UINT64_MAX;
	/* Each net on a thread of its own, and the weights twice. */
	return nets_for(p, n) * (mlptrain_memory(p, &s, n) + 8 * s.total);
}

static void
mlp_free(void *model)
{
	struct mlp *mlp = model;

	if (mlp == NULL)
		return;
	target_finish(&mlp->target);
	free(mlp->w);
	free(mlp->tensor);
	free(mlp);
}

static const void *
params_of(const void *model)
{
	return &((const struct mlp *)model)->params;
}

struct nets {
	const struct mlp *mlp;
	const struct scorer_data *d;
	struct err *e;			/* [n_nets] */
	int *r;				/* [n_nets] */
};

static int
one_net(const struct mlp *mlp, const struct scorer_data *d, size_t k, struct pool *pool,
	struct err *e)
{
	const struct checkpoint_at keep = checkpoint_below(d->keep, "mlp.%zu", k);
	struct scorer_data own = *d;
	struct rng g = rng_split(d->seed, k);

	own.keep = &keep;
	return mlptrain_net(&mlp->params, &mlp->shape, &own, &mlp->target, rng_u64(&g), pool,
	    mlp->w + k * mlp->shape.total, NULL, e);
}

static void
net_part(void *arg, size_t part, unsigned worker)
{
	struct nets *n = arg;

	(void)worker;
	n->r[part] = one_net(n->mlp, n->d, part, NULL, &n->e[part]);
}

/* One net spreads its batches over the threads; several have a thread each. */
static int
train_nets(struct mlp *mlp, const struct scorer_data *d, struct err *e)
{
	size_t n = mlp->params.n_nets;
	struct nets nets = { mlp, d, NULL, NULL };
	int r = -1;

	if (n == 1)
		return one_net(mlp, d, 0, d->pool, e);
	nets.e = mem_calloc(n, sizeof *nets.e, e);
	nets.r = mem_calloc(n, sizeof *nets.r, e);
	if (nets.e == NULL || nets.r == NULL)
		goto out;
	pool_run(d->pool, n, net_part, &nets);
	r = 0;
	for (size_t k = 0; k < n && r == 0; k++)
		if ((r = nets.r[k]) < 0 && e != NULL)
			*e = nets.e[k];
out:
	free(nets.e);
	free(nets.r);
	return r;
}

/* Floats of one net in the artifact: without padding. */
static size_t
saved_size(const struct mlp_shape *s)
{
	size_t n = 0;

	for (size_t l = 0; l < s->layers; l++)
		n += (s->size[l] + 1) * s->size[l + 1];
	return n;
}

/* Weight [out x in] and bias [out] of each layer, one behind the other. */
static int
make_tensors(struct mlp *mlp, struct err *e)
{
	const struct mlp_shape *s = &mlp->shape;
	float *to;

	to = mlp->tensor = mem_aligned(saved_size(s), mlp->params.n_nets * sizeof *to, e);
	if (to == NULL)
		return -1;
	for (size_t k = 0; k < mlp->params.n_nets; k++)
		for (size_t l = 0; l < s->layers; l++) {
			const float *w = mlp->w + k * s->total + s->offset[l];

			for (size_t j = 0; j < s->size[l + 1]; j++)
				for (size_t i = 0; i < s->size[l]; i++)
					*to++ = w[i * s->stride[l] + j];
			memcpy(to, w + s->size[l] * s->stride[l], s->size[l + 1] * sizeof *to);
			to += s->size[l + 1];
		}
	return 0;
}

static int
shape_of(struct mlp *mlp, struct err *e)
{
	if (!mlp_shape_init(&mlp->shape, &mlp->params, mlp->d, mlp->m))
		return err_nomem(e);
	mlp->kernel = dot_best();
	mlp->w = mem_aligned(mlp->shape.total, mlp->params.n_nets * sizeof *mlp->w, e);
	return mlp->w == NULL ? -1 : 0;
}

static void *
fit(const void *params, const struct scorer_data *d, struct err *e)
{
	struct mlp *mlp = mem_calloc(1, sizeof *mlp, e);
	struct scorer_data scores = *d;

	if (mlp == NULL)
		return NULL;
	scores.cost = NULL;
	mlp->params = *(const struct mlp_params *)params;
	mlp->params.n_nets = nets_for(&mlp->params, d->n);
	mlp->d = d->d;
	mlp->m = d->m;
	mlp->best = d->best;
	if (mat_open(e) < 0 || target_init(&mlp->target, &scores, e) < 0 ||
	    shape_of(mlp, e) < 0 || train_nets(mlp, &scores, e) < 0 || make_tensors(mlp, e) < 0) {
		mlp_free(mlp);
		return NULL;
	}
	return mlp;
}

/* "mlp.NET.LAYER.weight" */
static const char *
layer_name(char out[TARGET_NAME], const char *prefix, size_t net, size_t layer, const char *what)
{
	(void)snprintf(out, TARGET_NAME, "%smlp.%zu.%zu.%s", prefix, net, layer, what);
	return out;
}

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct mlp *mlp = model;
	const struct mlp_shape *s = &mlp->shape;
	const float *from = mlp->tensor;
	static const uint8_t best = 1;
	const uint64_t one[] = { 1 };
	char name[TARGET_NAME];

	if (from == NULL)
		return err_set(e, ERR_BUG, "a loaded perceptron cannot be saved");
	if (target_save(&mlp->target, prefix, "mlp", w, e) < 0)
		return -1;
	if (mlp->best && tensorfile_writer_add(w, target_name(name, prefix, "mlp", ".softmax"),
	    DTYPE_U8, 1, one, &best, e) < 0)
		return -1;
	for (size_t k = 0; k < mlp->params.n_nets; k++)
		for (size_t l = 0; l < s->layers; l++) {
			const uint64_t shape[] = { s->size[l + 1], s->size[l] };

			if (tensorfile_writer_add(w, layer_name(name, prefix, k, l, "weight"),
			    DTYPE_F32, 2, shape, from, e) < 0)
				return -1;
			from += s->size[l] * s->size[l + 1];
			if (tensorfile_writer_add(w, layer_name(name, prefix, k, l, "bias"),
			    DTYPE_F32, 1, shape, from, e) < 0)
				return -1;
			from += s->size[l + 1];
		}
	return 0;
}

static int
load_layer(struct mlp *mlp, const struct tensorfile *f, const char *prefix, size_t net, size_t l,
	struct err *e)
{
	const struct mlp_shape *s = &mlp->shape;
	const uint64_t shape[] = { s->size[l + 1], s->size[l] };
	const struct tensor *weight, *bias;
	float *w = mlp->w + net * s->total + s->offset[l];
	char name[TARGET_NAME];

	weight = tensorfile_need(f, layer_name(name, prefix, net, l, "weight"), DTYPE_F32, 2, shape, e);
	if (weight == NULL || target_check(weight, MAX_WEIGHT, e) < 0)
		return -1;
	bias = tensorfile_need(f, layer_name(name, prefix, net, l, "bias"), DTYPE_F32, 1, shape, e);
	if (bias == NULL || target_check(bias, MAX_WEIGHT, e) < 0)
		return -1;
	for (size_t j = 0; j < s->size[l + 1]; j++)
		for (size_t i = 0; i < s->size[l]; i++)
			w[i * s->stride[l] + j] = ((const float *)weight->data)[j * s->size[l] + i];
	memcpy(w + s->size[l] * s->stride[l], bias->data, s->size[l + 1] * sizeof *w);
	return 0;
}

/* Room for the weights is made only once the file is known to hold as many. */
static int
check_size(struct mlp *mlp, const struct tensorfile *f, struct err *e)
{
	struct mlp_shape s;

	if (mlp->d == 0 || mlp->m == 0)
		return err_set(e, ERR_INPUT, "%zu models, %zu dimensions", mlp->m, mlp->d);
	if (mlp->params.n_nets == 0)
		mlp->params.n_nets = 1;
	if (!mlp_shape_init(&s, &mlp->params, mlp->d, mlp->m) ||
	    saved_size(&s) > tensorfile_bytes(f) / sizeof(float) / mlp->params.n_nets)
		return err_set(e, ERR_INPUT, "the layers of llmr.hparams need more weights than "
		    "the file has");
	return 0;
}

static int
load_all(struct mlp *mlp, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const uint64_t one[] = { 1 };
	const struct tensor *flag;
	char name[TARGET_NAME];

	if (target_load(&mlp->target, f, prefix, "mlp", mlp->m, e) < 0 ||
	    check_size(mlp, f, e) < 0 || shape_of(mlp, e) < 0)
		return -1;
	mlp->target.costs = false;
	if (tensorfile_find(f, target_name(name, prefix, "mlp", ".softmax")) != NULL) {
		flag = tensorfile_need(f, name, DTYPE_U8, 1, one, e);
		if (flag == NULL)
			return -1;
		mlp->best = *(const uint8_t *)flag->data != 0;
	}
	for (size_t k = 0; k < mlp->params.n_nets; k++)
		for (size_t l = 0; l < mlp->shape.layers; l++)
			if (load_layer(mlp, f, prefix, k, l, e) < 0)
				return -1;
	return 0;
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct mlp *mlp = mem_calloc(1, sizeof *mlp, e);

	if (mlp == NULL)
		return NULL;
	params_init(&mlp->params);
	mlp->m = m;
	mlp->d = d;
	if (params_read(&mlp->params, hparams, e) < 0 || load_all(mlp, f, prefix, e) < 0) {
		mlp_free(mlp);
		return NULL;
	}
	return mlp;
}

struct scratch {
	float *a, *b;			/* [widest layer] */
	float *sum;			/* [m] over the nets */
};

static void
scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	if (s == NULL)
		return;
	free(s->a);
	free(s->b);
	free(s->sum);
	free(s);
}

static void *
scratch_new(const void *model, struct err *e)
{
	const struct mlp *mlp = model;
	struct scratch *s = mem_calloc(1, sizeof *s, e);
	size_t width = 0;

	if (s == NULL)
		return NULL;
	for (size_t l = 0; l < mlp->shape.layers; l++)
		width = mlp->shape.stride[l] > width ? mlp->shape.stride[l] : width;
	s->a = mem_aligned(width, sizeof *s->a, e);
	s->b = mem_aligned(width, sizeof *s->b, e);
	s->sum = mem_aligned(mlp->m, sizeof *s->sum, e);
	if (s->a == NULL || s->b == NULL || s->sum == NULL) {
		scratch_free(s);
		return NULL;
	}
	return s;
}

/* Outputs of one net, in one of the scratch buffers. */
static float *
run_net(const struct mlp *mlp, const float *w, const float *q, struct scratch *s)
{
	const struct mlp_shape *shape = &mlp->shape;
	const float *x = q;
	float *y = s->a;

	for (size_t l = 0; l < shape->layers; l++) {
		y = x == s->a ? s->b : s->a;
		affine_apply(mlp->kernel, w + shape->offset[l], shape->size[l], shape->stride[l], x, y);
		if (l + 1 < shape->layers)
			mlp_activate(mlp->params.activation, y, shape->size[l + 1]);
		x = y;
	}
	return y;
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct mlp *mlp = model;
	struct scratch *s = scratch;
	float share = 1 / (float)mlp->params.n_nets;

	(void)skip;
	if (target_zero(q, mlp->d)) {
		target_means(&mlp->target, out, cost);
		return;
	}
	memset(s->sum, 0, mlp->m * sizeof *s->sum);
	for (size_t k = 0; k < mlp->params.n_nets; k++) {
		float *y = run_net(mlp, mlp->w + k * mlp->shape.total, q, s);

		if (mlp->best)
			mlp_softmax(y, NULL, mlp->m);
		for (size_t j = 0; j < mlp->m; j++)
			s->sum[j] += share * y[j];
	}
	target_predict(&mlp->target, s->sum, out, cost);
}

const struct scorer_kind mlp_kind = {
	.name = "mlp",
	.hparams = "hidden_layer_sizes, activation, alpha, learning_rate_init, batch_size, max_iter, "
	    "early_stopping, validation_fraction, n_iter_no_change, tol, weight_decay, dropout, n_nets",
	.params_bytes = sizeof(struct mlp_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = mlp_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.score = score,
	.uses_blas = true,
};
_Static_assert(sizeof(struct mlp_params) <= SCORER_MAX_PARAMS, "params fit the table");
