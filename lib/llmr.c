#include "llmr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/encoder.h"
#include "fmt/hash.h"
#include "model/artifact.h"

struct llmr_router {
	struct router *router;
	char sha256[65];
};

struct llmr_mode {
	struct policy_mode mode;
};

struct llmr_scratch {
	struct router_scratch *s;
	bool *allowed;		/* [m] of the last call */
};

static void
tell(const struct err *from, struct llmr_error *to)
{
	if (to == NULL)
		return;
	to->code = (int)from->code;
	(void)snprintf(to->message, sizeof to->message, "%s", from->msg);
}

struct llmr_embedder {
	struct encoder *encoder;
	char digest[65];
};

struct llmr_router *
llmr_router_open(const char *path, struct llmr_error *err)
{
	return llmr_router_open_with(path, NULL, err);
}

struct llmr_router *
llmr_router_open_with(const char *path, const struct llmr_embedder *m, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct llmr_router *r = mem_calloc(1, sizeof *r, &e);
	uint8_t digest[32];

	if (r == NULL || (r->router = artifact_load_with(path, m == NULL ? NULL : m->encoder, &e)) == NULL) {
		tell(&e, err);
		free(r);
		return NULL;
	}
	tensorfile_digest(r->router->file, digest);
	hex_format(digest, 32, r->sha256);
	return r;
}

struct llmr_embedder *
llmr_embedder_open(const char *spec, const char *dtype, struct llmr_error *err)
{
	struct encoder_options o = ENCODER_OPTIONS_INIT;
	struct err e = ERR_INIT;
	struct llmr_embedder *m = mem_calloc(1, sizeof *m, &e);

	o.read = true;
	if (m == NULL || (dtype != NULL && bert_dtype_parse(dtype, &o.type, &e) < 0) ||
	    (m->encoder = encoder_open(spec, &o, &e)) == NULL) {
		tell(&e, err);
		free(m);
		return NULL;
	}
	hex_format(encoder_bert(m->encoder)->digest, 32, m->digest);
	return m;
}

void
llmr_embedder_free(struct llmr_embedder *m)
{
	if (m == NULL)
		return;
	encoder_free(m->encoder);
	free(m);
}

size_t
llmr_embedder_dim(const struct llmr_embedder *m)
{
	return encoder_dim(m->encoder);
}

const char *
llmr_embedder_digest(const struct llmr_embedder *m)
{
	return m->digest;
}

int
llmr_embed(const struct llmr_embedder *m, const char *text, size_t n, float *out, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct encoder_scratch *s = encoder_scratch_new(m->encoder, &e);
	struct embed_times times;

	if (s == NULL) {
		tell(&e, err);
		return -1;
	}
	encoder_text(m->encoder, (struct slice){ text, n }, s, out, &times);
	encoder_scratch_free(s);
	return 0;
}

int
llmr_embed_batch(const struct llmr_embedder *m, const char *const *text, const size_t *n, size_t count,
	float *out, unsigned threads, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct slice *texts = mem_calloc(count, sizeof *texts, &e);
	struct pool *pool = texts == NULL ? NULL : pool_new(threads == 0 ? pool_cores() : threads, &e);
	int status = -1;

	for (size_t i = 0; pool != NULL && i < count; i++)
		texts[i] = (struct slice){ text[i], n[i] };
	if (pool != NULL)
		status = encoder_batch(m->encoder, texts, count, out, encoder_dim(m->encoder), pool, &e);
	if (status < 0)
		tell(&e, err);
	pool_free(pool);
	free(texts);
	return status;
}

void
llmr_router_free(struct llmr_router *r)
{
	if (r == NULL)
		return;
	router_free(r->router);
	free(r);
}

size_t
llmr_model_count(const struct llmr_router *r)
{
	return r->router->models.len;
}

const char *
llmr_model_name(const struct llmr_router *r, size_t i)
{
	return i < r->router->models.len ? r->router->models.keys[i] : NULL;
}

const char *
llmr_router_sha256(const struct llmr_router *r)
{
	return r->sha256;
}

struct llmr_scratch *
llmr_scratch_new(const struct llmr_router *r, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct llmr_scratch *s = mem_calloc(1, sizeof *s, &e);

	if (s != NULL) {
		s->s = router_scratch_new(r->router, &e);
		s->allowed = mem_calloc(r->router->models.len, sizeof *s->allowed, &e);
	}
	if (s == NULL || s->s == NULL || s->allowed == NULL) {
		tell(&e, err);
		llmr_scratch_free(s);
		return NULL;
	}
	return s;
}

void
llmr_scratch_free(struct llmr_scratch *s)
{
	if (s == NULL)
		return;
	router_scratch_free(s->s);
	free(s->allowed);
	free(s);
}

static int
set_mode(struct mode_params *p, const char *setting, struct err *e)
{
	const char *eq = strchr(setting, '=');
	char name[32];
	int r;

	if (eq == NULL || (size_t)(eq - setting) >= sizeof name)
		return err_set(e, ERR_USAGE, "'%.80s' is not a setting of a mode", setting);
	memcpy(name, setting, (size_t)(eq - setting));
	name[eq - setting] = '\0';
	r = mode_params_set(p, name, eq + 1, e);
	return r > 0 ? err_set(e, ERR_USAGE, "'%s' is not a setting of a mode", name) : r;
}

struct llmr_mode *
llmr_mode_new(const struct llmr_router *r, const char *const *settings, struct llmr_error *err)
{
	const struct router *x = r->router;
	struct mode_params own, all;
	struct err e = ERR_INIT;
	struct llmr_mode *m = mem_calloc(1, sizeof *m, &e);
	int status = m == NULL ? -1 : 0;

	mode_params_init(&own);
	for (size_t i = 0; status == 0 && settings != NULL && settings[i] != NULL; i++)
		status = set_mode(&own, settings[i], &e);
	all = mode_params_over(&x->mode_params, &own);
	if (status == 0)
		status = mode_resolve(&all, &x->table, &x->models, x->column, x->score_mean, &m->mode, &e);
	if (status == 0)
		return m;
	tell(&e, err);
	free(m);
	return NULL;
}

void
llmr_mode_free(struct llmr_mode *m)
{
	free(m);
}

static struct policy
policy_of(const struct llmr_router *r, const struct llmr_limits *l, struct llmr_scratch *s)
{
	struct policy p = router_policy(r->router);

	if (l == NULL)
		return p;
	p.cost_weight = l->cost_weight;
	p.latency_weight = l->latency_weight;
	p.epsilon = l->explore_epsilon;
	p.temperature = l->explore_temperature;
	p.seed = l->seed;
	if (l->max_cost > 0)
		p.max_cost = l->max_cost;
	if (l->max_latency > 0)
		p.max_latency = l->max_latency;
	if (l->explore_max_cost > 0)
		p.explore_cost = l->explore_max_cost;
	if (l->request_id != NULL)
		p.request = slice_str(l->request_id);
	if (l->mode != NULL)
		p.mode = l->mode->mode;
	for (size_t j = 0; l->allowed != NULL && j < r->router->models.len; j++)
		s->allowed[j] = l->allowed[j] != 0;
	p.allowed = l->allowed != NULL ? s->allowed : NULL;
	return p;
}

int
llmr_route(const struct llmr_router *r, struct llmr_scratch *s, const char *prompt, size_t n,
	const struct llmr_limits *limits, struct llmr_decision *d, struct llmr_error *err)
{
	const struct router_times *t = &s->s->times;
	const struct policy policy = policy_of(r, limits, s);
	struct policy_choice c;
	struct err e = ERR_INIT;

	router_route(r->router, &policy, (struct slice){ prompt, n }, s->s, &c);
	*d = (struct llmr_decision){ llmr_model_name(r, c.model), llmr_model_name(r, c.runner_up),
		c.model, c.runner_up, c.model == POLICY_NONE ? 0 : c.propensity, s->s->score,
		s->s->cost, t->tokenize, t->embed, t->score, t->policy, t->total, s->s->latency,
		c.explored };
	if (c.model != POLICY_NONE)
		return 0;
	err_set(&e, ERR_NO, "no model meets the limits");
	tell(&e, err);
	return -1;
}

const char *
llmr_version(void)
{
	return LLMR_VERSION;
}
