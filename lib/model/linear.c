#include "model/linear.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/target.h"

/* Beyond this a value says no more, and sums of it stay finite. */
#define MAX_VALUE 1e6f

struct linear {
	size_t m, d, layers, widest;
	size_t in[LINEAR_MAX_LAYERS], out[LINEAR_MAX_LAYERS];
	const float *weight[LINEAR_MAX_LAYERS];	/* [out x in] row-major */
	const float *bias[LINEAR_MAX_LAYERS];	/* [out] */
	struct linear_params params;
	float *owned;		/* all of it when imported */
};

static const char *const links[] = { "identity", "logistic", "softmax" };
static const char *const activations[] = { "relu", "tanh", "logistic", "identity" };

static void
params_init(void *params)
{
	*(struct linear_params *)params = (struct linear_params){ LINEAR_IDENTITY, LINEAR_ACT_RELU };
}

static int
set_word(const char *name, const char *value, const char *const *words, size_t n, int *out,
	struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(value, words[i]) == 0) {
			*out = (int)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "%s: '%s' is not one of %s, %s, %s%s%s", name, value, words[0],
	    words[1], words[2], n > 3 ? ", " : "", n > 3 ? words[3] : "");
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct linear_params *p = params;
	int i = 0;

	if (strcmp(name, "link") == 0) {
		if (set_word(name, value, links, 3, &i, e) < 0)
			return -1;
		p->link = (enum linear_link)i;
		return 0;
	}
	if (strcmp(name, "activation") == 0) {
		if (set_word(name, value, activations, 4, &i, e) < 0)
			return -1;
		p->activation = (enum linear_activation)i;
		return 0;
	}
	return 1;
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct linear_params *p = params;

	jsonw_kstr(w, "link", links[p->link]);
	jsonw_kstr(w, "activation", activations[p->activation]);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	(void)params;
	(void)n;
	return 4 * (uint64_t)m * (d + 1);
}

static void *
fit(const void *params, const struct scorer_data *data, struct err *e)
{
	(void)params;
	(void)data;
	err_set(e, ERR_USAGE, "linear is made of your own weights by llmr import; ridge is trained");
	return NULL;
}

static void
free_model(void *model)
{
	struct linear *l = model;

	if (l == NULL)
		return;
	free(l->owned);
	free(l);
}

static const void *
params_of(const void *model)
{
	return &((const struct linear *)model)->params;
}

static const char *
layer_name(char out[SCORER_NAME], const char *prefix, const char *stem, size_t layer,
	const char *what)
{
	(void)snprintf(out, SCORER_NAME, "%s%s.%zu.%s", prefix, stem, layer, what);
	return out;
}

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct linear *l = model;
	char name[SCORER_NAME];

	for (size_t i = 0; i < l->layers; i++) {
		const uint64_t shape[] = { l->out[i], l->in[i] };

		if (tensorfile_writer_add(w, layer_name(name, prefix, "linear", i, "weight"),
		    DTYPE_F32, 2, shape, l->weight[i], e) < 0 ||
		    tensorfile_writer_add(w, layer_name(name, prefix, "linear", i, "bias"),
		    DTYPE_F32, 1, shape, l->bias[i], e) < 0)
			return -1;
	}
	return 0;
}

/* Take the next layer from tensors of those names; bias may be NULL for none. */
static int
add_layer(struct linear *l, const struct tensorfile *f, const char *weight, const char *bias,
	struct err *e)
{
	size_t i = l->layers;
	const uint64_t shape[] = { 0, i == 0 ? l->d : l->out[i - 1] };
	const struct tensor *w = tensorfile_need(f, weight, DTYPE_F32, 2, shape, e), *b = NULL;
	uint64_t out[1];

	if (w == NULL || target_check(w, LINEAR_MAX_WEIGHT, e) < 0)
		return -1;
	if (w->shape[0] == 0 || w->shape[0] > LINEAR_MAX_WIDTH)
		return err_set(e, ERR_INPUT, "tensor '%s': %llu rows, not 1 to %d", weight,
		    (unsigned long long)w->shape[0], LINEAR_MAX_WIDTH);
	out[0] = w->shape[0];
	if (bias != NULL && ((b = tensorfile_need(f, bias, DTYPE_F32, 1, out, e)) == NULL ||
	    target_check(b, LINEAR_MAX_WEIGHT, e) < 0))
		return -1;
	l->in[i] = (size_t)shape[1];
	l->out[i] = (size_t)out[0];
	l->weight[i] = w->data;
	l->bias[i] = b == NULL ? NULL : b->data;
	if (l->out[i] > l->widest)
		l->widest = l->out[i];
	l->layers++;
	return 0;
}

static int
add_layers(struct linear *l, const struct tensorfile *f, const char *prefix, const char *stem,
	struct err *e)
{
	char weight[SCORER_NAME], bias[SCORER_NAME];

	for (size_t i = 0; i <= LINEAR_MAX_LAYERS; i++) {
		layer_name(weight, prefix, stem, i, "weight");
		if (i > 0 && tensorfile_find(f, weight) == NULL)
			return 0;
		if (i == LINEAR_MAX_LAYERS)
			break;
		if (add_layer(l, f, weight, layer_name(bias, prefix, stem, i, "bias"), e) < 0)
			return -1;
	}
	return err_set(e, ERR_INPUT, "more than %d layers", LINEAR_MAX_LAYERS);
}

static int
check_outputs(const struct linear *l, struct err *e)
{
	if (l->out[l->layers - 1] == l->m)
		return 0;
	return err_set(e, ERR_INPUT, "the last layer has %zu outputs for %zu models",
	    l->out[l->layers - 1], l->m);
}

static struct linear *
blank(size_t m, size_t d, struct err *e)
{
	struct linear *l = mem_calloc(1, sizeof *l, e);

	if (l == NULL)
		return NULL;
	l->m = m;
	l->d = l->widest = d;
	params_init(&l->params);
	return l;
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct linear *l = blank(m, d, e);

	if (l == NULL)
		return NULL;
	if (params_read(&l->params, hparams, e) < 0 || add_layers(l, f, prefix, "linear", e) < 0 ||
	    check_outputs(l, e) < 0) {
		free_model(l);
		return NULL;
	}
	return l;
}

/* Copy what is borrowed, the last layer's rows in the order of row [m]. */
static int
own(struct linear *l, const size_t *row, struct err *e)
{
	size_t total = 0, last = l->layers - 1;
	float *to;

	for (size_t i = 0; i < l->layers; i++)
		total += l->out[i] * (l->in[i] + 1);
	to = l->owned = mem_aligned(total, sizeof *to, e);
	if (to == NULL)
		return -1;
	for (size_t i = 0; i < l->layers; i++) {
		float *weight = to, *bias = to + l->out[i] * l->in[i];

		for (size_t j = 0; j < l->out[i]; j++) {
			size_t from = i == last ? row[j] : j;

			memcpy(weight + j * l->in[i], l->weight[i] + from * l->in[i],
			    l->in[i] * sizeof *weight);
			bias[j] = l->bias[i] == NULL ? 0 : l->bias[i][from];
		}
		l->weight[i] = weight;
		l->bias[i] = bias;
		to = bias + l->out[i];
	}
	return 0;
}

void *
linear_import(const struct tensorfile *f, bool layers, const size_t *row, size_t m, size_t d,
	const struct linear_params *params, struct err *e)
{
	struct linear *l = blank(m, d, e);
	int r;

	if (l == NULL)
		return NULL;
	l->params = *params;
	if (layers)
		r = add_layers(l, f, "", "layers", e);
	else
		r = add_layer(l, f, "weight", tensorfile_find(f, "bias") != NULL ? "bias" : NULL, e);
	if (r < 0 || check_outputs(l, e) < 0 || own(l, row, e) < 0) {
		free_model(l);
		return NULL;
	}
	return l;
}

struct scratch {
	float *a, *b;		/* [widest] */
};

static void
scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	if (s == NULL)
		return;
	free(s->a);
	free(s->b);
	free(s);
}

static void *
scratch_new(const void *model, struct err *e)
{
	const struct linear *l = model;
	struct scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->a = mem_aligned(l->widest, sizeof *s->a, e);
	s->b = mem_aligned(l->widest, sizeof *s->b, e);
	if (s->a == NULL || s->b == NULL) {
		scratch_free(s);
		return NULL;
	}
	return s;
}

/* Four sums side by side, so that they need not wait for one another. */
static float
dot(const float *w, const float *x, size_t n)
{
	float s[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			s[k] += w[i + k] * x[i + k];
	for (; i < n; i++)
		s[0] += w[i] * x[i];
	return s[0] + s[1] + (s[2] + s[3]);
}

static float
logistic(float x)
{
	return 1 / (1 + expf(-x));
}

static float
activate(enum linear_activation how, float x)
{
	switch (how) {
	case LINEAR_ACT_RELU:
		return x > 0 ? x : 0;
	case LINEAR_ACT_TANH:
		return tanhf(x);
	case LINEAR_ACT_LOGISTIC:
		return logistic(x);
	case LINEAR_ACT_IDENTITY:
		break;
	}
	return x;
}

static float
held(float x)
{
	if (isnan(x))
		return 0;
	return x > MAX_VALUE ? MAX_VALUE : x < -MAX_VALUE ? -MAX_VALUE : x;
}

static void
apply_link(enum linear_link link, float *y, size_t m)
{
	float top = y[0], sum = 0;

	if (link == LINEAR_LOGISTIC)
		for (size_t j = 0; j < m; j++)
			y[j] = logistic(y[j]);
	if (link != LINEAR_SOFTMAX)
		return;
	for (size_t j = 1; j < m; j++)
		top = y[j] > top ? y[j] : top;
	for (size_t j = 0; j < m; j++)
		sum += y[j] = expf(y[j] - top);
	for (size_t j = 0; j < m; j++)
		y[j] /= sum;
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct linear *l = model;
	struct scratch *s = scratch;
	const float *x = q;
	float *y = s->a, *next = s->b;

	(void)skip;
	for (size_t i = 0; i < l->layers; i++) {
		float *swap = y;
		bool last = i + 1 == l->layers;

		for (size_t j = 0; j < l->out[i]; j++) {
			float v = held(dot(l->weight[i] + j * l->in[i], x, l->in[i]) + l->bias[i][j]);

			y[j] = last ? v : activate(l->params.activation, v);
		}
		x = y;
		y = next;
		next = swap;
	}
	memcpy(out, x, l->m * sizeof *out);
	apply_link(l->params.link, out, l->m);
	for (size_t j = 0; j < l->m; j++)
		cost[j] = NAN;
}

const struct scorer_kind linear_kind = {
	.name = "linear",
	.hparams = "link, activation",
	.params_bytes = sizeof(struct linear_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = free_model,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.score = score,
};
