#include "serve/config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "fmt/hash.h"
#include "fmt/yaml.h"
#include "serve/configkeys.h"

#define MAX_CONFIG ((size_t)16 << 20)
#define ENV_PREFIX "os.environ/"

/* One reading. */
struct reader {
	struct config *c;
	const struct config_source *src;
	const struct yaml_node *env;	/* environment_variables */
	size_t cap_notes, cap_set;
	struct err *e;			/* memory alone; the first error stays */
	bool failed;
};

/* ---- notes and texts ---- */

static const char *
keep(struct reader *r, const char *s)
{
	char *t = arena_dup(&r->c->arena, s, strlen(s), r->e);

	if (t == NULL)
		r->failed = true;
	return t == NULL ? "" : t;
}

static void *
keep_array(struct reader *r, size_t n, size_t size)
{
	size_t bytes;
	void *p = mem_mul(n == 0 ? 1 : n, size, &bytes) ? arena_alloc(&r->c->arena, bytes, r->e) : NULL;

	if (p == NULL)
		r->failed = true;
	else
		memset(p, 0, bytes);
	return p;
}

static void __attribute__((format(printf, 5, 6)))
note(struct reader *r, enum note_level level, size_t line, const char *key, const char *fmt, ...)
{
	struct config *c = r->c;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < c->n_notes; i++) {
		if (level != NOTE_ERROR && strcmp(c->note[i].key, key) == 0 && strcmp(c->note[i].text, text) == 0) {
			c->note[i].times++;
			return;
		}
	}
	if (mem_grow((void **)&c->note, &r->cap_notes, c->n_notes + 1, sizeof *c->note, r->e) < 0) {
		r->failed = true;
		return;
	}
	c->note[c->n_notes++] = (struct note){ level, line, keep(r, key), keep(r, text), 1 };
	c->n_errors += level == NOTE_ERROR;
}

/* A variable's value: the file's own environment_variables first. NULL when it is not set or may not be read. */
static const char *
variable(struct reader *r, const char *name)
{
	const char *own = yaml_text(yaml_get(r->env, name));

	if (own != NULL && strncmp(own, ENV_PREFIX, sizeof ENV_PREFIX - 1) != 0)
		return own;
	if (r->src->env_allow != NULL || r->src->remote) {
		size_t i = 0;

		while (i < r->src->n_env_allow && strcmp(r->src->env_allow[i], name) != 0)
			i++;
		if (i == r->src->n_env_allow)
			return NULL;
	}
	return r->src->env == NULL ? NULL : r->src->env(r->src->ctx, name);
}

/* A scalar's text with os.environ/ replaced; NULL for none. *unset gets the name of a variable that is not set. */
static const char *
expand(struct reader *r, const struct yaml_node *v, const char **unset)
{
	const char *s = yaml_text(v), *value;

	*unset = NULL;
	if (s == NULL || strncmp(s, ENV_PREFIX, sizeof ENV_PREFIX - 1) != 0)
		return s;
	value = variable(r, s + sizeof ENV_PREFIX - 1);
	if (value == NULL || value[0] == '\0')
		*unset = s + sizeof ENV_PREFIX - 1;
	return *unset == NULL ? value : NULL;
}

/* ---- typed members ---- */

enum type { TEXT, NUMBER, COUNT, SIGNED, FLAG, SECONDS, BYTES };
struct member {
	const char *key;
	enum type type;
	size_t offset;
	bool needed;	/* an unset variable in it is an error */
};

static bool
wanted(struct reader *r, const struct yaml_node *v, const char *key, const struct member *m, const char **s)
{
	const char *unset;

	*s = expand(r, v, &unset);
	if (unset != NULL)
		note(r, m->needed ? NOTE_ERROR : NOTE_WARNING, v->line, key, "variable %s is not set", unset);
	else if (*s == NULL && !yaml_is_null(v))
		note(r, NOTE_ERROR, v->line, key, "one value is needed");
	return *s != NULL;
}

static void
read_member(struct reader *r, const struct yaml_node *v, const char *key, const struct member *m, void *base)
{
	char *at = (char *)base + m->offset;
	struct err e = ERR_INIT;
	long long i = 0;
	double d = 0;
	uint64_t bytes = 0;
	const char *s;
	int b;

	if (!wanted(r, v, key, m, &s))
		return;
	switch (m->type) {
	case TEXT:
		*(const char **)(void *)at = keep(r, s);
		return;
	case FLAG:
		if ((b = yaml_bool(v)) < 0)
			b = strcmp(s, "true") == 0 ? 1 : strcmp(s, "false") == 0 ? 0 : -1;
		if (b < 0)
			(void)err_set(&e, ERR_CONFIG, "'%s' is neither true nor false", s);
		else
			*(bool *)(void *)at = b == 1;
		break;
	case NUMBER:
	case SECONDS:
		if (m->type == SECONDS && str_duration("value", s, &d, NULL) == 0 && strspn(s, "0123456789.") != strlen(s))
			*(double *)(void *)at = d;
		else if (str_double("value", s, 0, 1e15, &d, &e) == 0)
			*(double *)(void *)at = d;
		break;
	case COUNT:
		if (str_int("value", s, 0, 1000000000, &i, &e) == 0)
			*(size_t *)(void *)at = (size_t)i;
		break;
	case SIGNED:
		if (str_int("value", s, 0, 1000000000, &i, &e) == 0)
			*(long *)(void *)at = (long)i;
		break;
	case BYTES:
		if (str_bytes("value", s, &bytes, &e) == 0)
			*(uint64_t *)(void *)at = bytes;
		break;
	}
	if (e.code != ERR_NONE)
		note(r, NOTE_ERROR, v->line, key, "%s", e.msg);
}

/* A key that nothing here reads. */
static void
unused(struct reader *r, size_t line, const char *key)
{
	const char *means = config_key_means(key);

	if (means != NULL)
		note(r, NOTE_UNUSED, line, key, "%s", means);
	else
		note(r, NOTE_UNUSED, line, key, "llmr does not know this key");
}

/* Remember that a key was read, for those who ask where a value comes from. */
static void
remember(struct reader *r, const char *key, const char *path, const struct yaml_node *v, size_t line)
{
	struct config *c = r->c;
	const char *text = yaml_text(v), *unset, *value = expand(r, v, &unset);
	bool by_name = text != NULL && strncmp(text, ENV_PREFIX, sizeof ENV_PREFIX - 1) == 0;

	if (mem_grow((void **)&c->set, &r->cap_set, c->n_set + 1, sizeof *c->set, r->e) < 0) {
		r->failed = true;
		return;
	}
	c->set[c->n_set++] = (struct config_set){ keep(r, path),
		value == NULL ? "" : config_key_is_secret(key) ? "***" : keep(r, value),
		by_name ? keep(r, text + sizeof ENV_PREFIX - 1) : NULL, line };
}

/* Every pair of a mapping by a table; others says what to do with the rest: 1 taken. */
static void
read_map(struct reader *r, const struct yaml_node *map, const char *prefix, const struct member *m, void *base,
	int (*others)(struct reader *, const char *key, const char *path, const struct yaml_node *, void *), void *ctx)
{
	char path[256];

	if (map == NULL || yaml_is_null(map))
		return;
	if (map->type != YAML_MAP) {
		note(r, NOTE_ERROR, map->line, prefix, "a mapping is needed");
		return;
	}
	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->keys[i]->text;
		const struct member *k = m;

		(void)snprintf(path, sizeof path, "%s.%s", prefix, key);
		while (k->key != NULL && strcmp(k->key, key) != 0)
			k++;
		if (k->key != NULL)
			read_member(r, map->items[i], path, k, base);
		else if (others == NULL || others(r, key, path, map->items[i], ctx) == 0) {
			unused(r, map->keys[i]->line, path);
			continue;
		}
		if (k->key != NULL || map->items[i]->type != YAML_MAP)
			remember(r, key, path, map->items[i], map->keys[i]->line);
	}
}

/* A list of texts, or one text. */
static const char **
read_texts(struct reader *r, const struct yaml_node *v, const char *key, size_t *n)
{
	const char **out, *unset;

	*n = v->type == YAML_LIST ? v->n : yaml_text(v) != NULL ? 1 : 0;
	if ((out = keep_array(r, *n, sizeof *out)) == NULL) {
		*n = 0;
		return NULL;
	}
	for (size_t i = 0; i < *n; i++) {
		const char *s = expand(r, v->type == YAML_LIST ? v->items[i] : v, &unset);

		if (s == NULL)
			note(r, NOTE_WARNING, v->line, key, "one text each is needed");
		out[i] = keep(r, s == NULL ? "" : s);
	}
	return out;
}

/* ---- model_list ---- */

#define AT(t, f) offsetof(struct t, f)
static const struct member param_members[] = {
	{ "model", TEXT, AT(deployment, model), true },
	{ "api_base", TEXT, AT(deployment, api_base), false },
	{ "base_url", TEXT, AT(deployment, api_base), false },
	{ "weight", NUMBER, AT(deployment, weight), false },
	{ "rpm", NUMBER, AT(deployment, rpm), false },
	{ "tpm", NUMBER, AT(deployment, tpm), false },
	{ "timeout", SECONDS, AT(deployment, timeout), false },
	{ "stream_timeout", SECONDS, AT(deployment, stream_timeout), false },
	{ "input_cost_per_token", NUMBER, AT(deployment, input_cost), false },
	{ "output_cost_per_token", NUMBER, AT(deployment, output_cost), false },
	{ NULL, TEXT, 0, false }
};
static const struct member info_members[] = {
	{ "id", TEXT, AT(deployment, id), false },
	{ "input_cost_per_token", NUMBER, AT(deployment, input_cost), false },
	{ "output_cost_per_token", NUMBER, AT(deployment, output_cost), false },
	{ "max_input_tokens", COUNT, AT(deployment, context_tokens), false },
	{ "context_window", COUNT, AT(deployment, context_tokens), false },
	{ "tpm", NUMBER, AT(deployment, tpm), false },
	{ "rpm", NUMBER, AT(deployment, rpm), false },
	{ NULL, TEXT, 0, false }
};
static const struct member entry_members[] = {
	{ "model_name", TEXT, AT(deployment, group), true },
	{ "tpm", NUMBER, AT(deployment, tpm), false },
	{ "rpm", NUMBER, AT(deployment, rpm), false },
	{ NULL, TEXT, 0, false }
};

static void
read_headers(struct reader *r, const struct yaml_node *v, const char *path, struct deployment *d)
{
	const char **out, *unset;

	if (v->type != YAML_MAP || (out = keep_array(r, v->n, sizeof *out)) == NULL) {
		note(r, NOTE_ERROR, v->line, path, "a mapping of names to values is needed");
		return;
	}
	for (size_t i = 0; i < v->n; i++) {
		const char *s = expand(r, v->items[i], &unset);
		char line[1024];

		if (s == NULL || strpbrk(s, "\r\n") != NULL || strpbrk(v->keys[i]->text, ":\r\n ") != NULL) {
			note(r, NOTE_ERROR, v->items[i]->line, path, "'%s' is no header that can be sent", v->keys[i]->text);
			continue;
		}
		(void)snprintf(line, sizeof line, "%s: %s", v->keys[i]->text, s);
		out[d->n_headers++] = keep(r, line);
	}
	d->headers = out;
}

static int
param_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	struct deployment *d = ctx;
	const char *s, *unset;
	long long i;

	if (strcmp(key, "api_key") == 0) {
		s = expand(r, v, &unset);
		d->api_key = s == NULL ? NULL : keep(r, s);
		d->unset = unset == NULL ? NULL : keep(r, unset);
		if (unset != NULL)
			note(r, NOTE_WARNING, v->line, path, "variable %s is not set: nothing can be forwarded to '%s'",
				unset, d->group == NULL ? "" : d->group);
		return 1;
	}
	if (strcmp(key, "extra_headers") == 0) {
		read_headers(r, v, path, d);
		return 1;
	}
	if (strcmp(key, "order") == 0 && (s = expand(r, v, &unset)) != NULL) {
		if (slice_int(slice_str(s), &i) && i > INT32_MIN && i < INT32_MAX)
			d->order = (int)i;
		else
			note(r, NOTE_ERROR, v->line, path, "'%s' is not a whole number", s);
		return 1;
	}
	return 0;
}

static int
info_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	struct deployment *d = ctx;

	if (strcmp(key, "capabilities") != 0)
		return 0;
	d->capabilities = read_texts(r, v, path, &d->n_capabilities);
	return 1;
}

static int
entry_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	struct deployment *d = ctx;

	if (strcmp(key, "litellm_params") == 0) {
		read_map(r, v, path, param_members, d, param_others, d);
		return 1;
	}
	if (strcmp(key, "model_info") == 0) {
		read_map(r, v, path, info_members, d, info_others, d);
		return 1;
	}
	return 0;
}

/* What follows from the rest of an entry. */
static void
finish_deployment(struct reader *r, struct deployment *d)
{
	uint8_t digest[32];
	const char *slash;
	char id[17], text[600];

	if (d->group == NULL || d->group[0] == '\0')
		note(r, NOTE_ERROR, d->line, "model_list.model_name", "missing");
	if (d->model == NULL || d->model[0] == '\0')
		note(r, NOTE_ERROR, d->line, "model_list.litellm_params.model", "missing");
	d->group = d->group == NULL ? "" : d->group;
	d->model = d->model == NULL ? "" : d->model;
	slash = strchr(d->model, '/');
	d->provider = "";
	d->upstream_model = d->model;
	if (slash != NULL && slash != d->model) {
		char *p = arena_dup(&r->c->arena, d->model, (size_t)(slash - d->model), r->e);

		d->provider = p == NULL ? "" : p;
		d->upstream_model = slash + 1;
	}
	if (d->api_base == NULL)
		d->api_base = config_provider_base(d->provider);
	if (d->id == NULL) {
		(void)snprintf(text, sizeof text, "%s\n%s\n%s\n%zu", d->group, d->model,
			d->api_base == NULL ? "" : d->api_base, (size_t)(d - r->c->deployment));
		sha256_bytes(text, strlen(text), digest);
		hex_format(digest, 8, id);
		d->id = keep(r, id);
	}
}

static void
add_group(struct reader *r, const char *group)
{
	for (size_t i = 0; i < r->c->n_groups; i++) {
		if (strcmp(r->c->group[i], group) == 0)
			return;
	}
	r->c->group[r->c->n_groups++] = group;
}

static void
read_models(struct reader *r, const struct yaml_node *list)
{
	struct config *c = r->c;

	if (list == NULL || yaml_is_null(list) || list->type != YAML_LIST || list->n == 0) {
		note(r, NOTE_ERROR, list == NULL ? 1 : list->line, "model_list", "a list of deployments is needed");
		return;
	}
	c->deployment = keep_array(r, list->n, sizeof *c->deployment);
	c->group = keep_array(r, list->n, sizeof *c->group);
	if (c->deployment == NULL || c->group == NULL)
		return;
	for (size_t i = 0; i < list->n; i++) {
		struct deployment *d = &c->deployment[c->n++];

		d->line = list->items[i]->line;
		d->order = INT32_MAX;
		d->input_cost = d->output_cost = NAN;
		read_map(r, list->items[i], "model_list", entry_members, d, entry_others, d);
		finish_deployment(r, d);
		add_group(r, d->group);
	}
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(c->deployment[i].id, c->deployment[k].id) == 0)
				note(r, NOTE_ERROR, c->deployment[i].line, "model_list.model_info.id",
					"'%s' is the id of two deployments", c->deployment[i].id);
		}
	}
}

/* ---- router_settings ---- */

static const struct member args_members[] = {
	{ "model_path", TEXT, AT(router_settings, model_path), true },
	{ "llm_data_path", TEXT, AT(router_settings, llm_data_path), true },
	{ "model_s3_bucket", TEXT, AT(router_settings, model_s3_bucket), true },
	{ "model_s3_key", TEXT, AT(router_settings, model_s3_key), true },
	{ "hot_reload", FLAG, AT(router_settings, hot_reload), false },
	{ "reload_interval", SECONDS, AT(router_settings, reload_interval), false },
	{ "max_cost", NUMBER, AT(router_settings, max_cost), false },
	{ "cost_weight", NUMBER, AT(router_settings, cost_weight), false },
	{ "max_latency", SECONDS, AT(router_settings, max_latency), false },
	{ "latency_weight", NUMBER, AT(router_settings, latency_weight), false },
	{ "deadline", SECONDS, AT(router_settings, deadline), false },
	{ "ttl", SECONDS, AT(router_settings, latency_ttl), false },
	{ "lowest_latency_buffer", NUMBER, AT(router_settings, lowest_latency_buffer), false },
	{ "max_latency_list_size", COUNT, AT(router_settings, latency_samples), false },
	{ "ttft_percentile", NUMBER, AT(router_settings, ttft_percentile), false },
	{ NULL, TEXT, 0, false }
};
static const struct member router_members[] = {
	{ "timeout", SECONDS, AT(router_settings, timeout), false },
	{ "stream_timeout", SECONDS, AT(router_settings, stream_timeout), false },
	{ "retry_after", SECONDS, AT(router_settings, retry_after), false },
	{ "cooldown_time", SECONDS, AT(router_settings, cooldown_time), false },
	{ "allowed_fails", SIGNED, AT(router_settings, allowed_fails), false },
	{ "enable_pre_call_checks", FLAG, AT(router_settings, pre_call_checks), false },
	{ NULL, TEXT, 0, false }
};

static void
read_strategy(struct reader *r, const struct yaml_node *v, const char *path)
{
	struct router_settings *s = &r->c->router;
	const char *unset, *text = expand(r, v, &unset);

	if (text == NULL) {
		note(r, NOTE_ERROR, v->line, path, "the name of a strategy is needed");
		return;
	}
	s->strategy_name = keep(r, text);
	if ((s->kind = strategy_ml_kind(text)) != NULL)
		s->strategy = STRATEGY_ML;
	else if (!strategy_parse(text, &s->strategy))
		note(r, NOTE_ERROR, v->line, path, "'%s' is not a strategy of llmr: simple-shuffle, least-busy, "
			"latency-based-routing, cost-based-routing, usage-based-routing-v2, weighted-round-robin, "
			"llmrouter-knn|svm|mlp|mf|hybrid|ridge|kridge|trees|custom", text);
}

/* [{group: [groups]}], as LiteLLM writes it; or {group: [groups]}. */
static void
read_fallbacks(struct reader *r, const struct yaml_node *v, const char *path, struct fallbacks *out)
{
	size_t n = v->type == YAML_MAP ? v->n : 0, old = out->n;
	struct fallback *f;

	for (size_t i = 0; v->type == YAML_LIST && i < v->n; i++)
		n += v->items[i]->type == YAML_MAP ? v->items[i]->n : 0;
	if ((f = keep_array(r, old + n, sizeof *f)) == NULL)
		return;
	if (old > 0)
		memcpy(f, out->f, old * sizeof *f);
	for (size_t i = 0; i < (v->type == YAML_LIST ? v->n : 1); i++) {
		const struct yaml_node *map = v->type == YAML_LIST ? v->items[i] : v;

		if (map->type != YAML_MAP) {
			note(r, NOTE_ERROR, map->line, path, "a list of {group: [groups]} is needed");
			continue;
		}
		for (size_t k = 0; k < map->n; k++) {
			struct fallback *one = &f[out->n++];

			one->group = keep(r, map->keys[k]->text);
			one->to = read_texts(r, map->items[k], path, &one->n);
		}
	}
	out->f = f;
}

static void
read_default_fallbacks(struct reader *r, const struct yaml_node *v, const char *path)
{
	struct fallbacks *out = &r->c->router.fallbacks;
	struct fallback *f = keep_array(r, out->n + 1, sizeof *f);

	if (f == NULL)
		return;
	if (out->n > 0)
		memcpy(f, out->f, out->n * sizeof *f);
	f[out->n].group = "*";
	f[out->n].to = read_texts(r, v, path, &f[out->n].n);
	out->f = f;
	out->n++;
}

static void
read_aliases(struct reader *r, const struct yaml_node *v, const char *path)
{
	struct router_settings *s = &r->c->router;
	const char *unset;

	if (v->type != YAML_MAP || (s->alias = keep_array(r, v->n, sizeof *s->alias)) == NULL) {
		note(r, NOTE_ERROR, v->line, path, "a mapping of aliases to groups is needed");
		return;
	}
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_node *to = v->items[i];
		const char *group = expand(r, to->type == YAML_MAP ? yaml_get(to, "model") : to, &unset);

		if (group == NULL) {
			note(r, NOTE_ERROR, to->line, path, "'%s' names no group", v->keys[i]->text);
			continue;
		}
		s->alias[s->n_aliases].alias = keep(r, v->keys[i]->text);
		s->alias[s->n_aliases++].group = keep(r, group);
	}
}

static int
router_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	struct router_settings *s = ctx;
	const char *unset, *text;
	size_t n = 0;

	if (strcmp(key, "routing_strategy") == 0)
		read_strategy(r, v, path);
	else if (strcmp(key, "routing_strategy_args") == 0)
		read_map(r, v, path, args_members, s, NULL, NULL);
	else if (strcmp(key, "fallbacks") == 0)
		read_fallbacks(r, v, path, &s->fallbacks);
	else if (strcmp(key, "context_window_fallbacks") == 0)
		read_fallbacks(r, v, path, &s->context_fallbacks);
	else if (strcmp(key, "default_fallbacks") == 0)
		read_default_fallbacks(r, v, path);
	else if (strcmp(key, "model_group_alias") == 0)
		read_aliases(r, v, path);
	else if (strcmp(key, "num_retries") == 0) {
		read_member(r, v, path, &(struct member){ key, COUNT, 0, false }, &n);
		s->num_retries = n > 100 ? 100 : (unsigned)n;
	} else if (strcmp(key, "disable_cooldowns") == 0)
		s->cooldowns = yaml_bool(v) != 1;
	else if (strcmp(key, "fallback_strategy") == 0) {
		text = expand(r, v, &unset);
		if (text == NULL || !strategy_parse(text, &s->fallback_strategy))
			note(r, NOTE_ERROR, v->line, path, "a strategy that needs no model is needed");
	} else
		return 0;
	return 1;
}

/* ---- the other sections ---- */

static const struct member general_members[] = {
	{ "master_key", TEXT, AT(general_settings, master_key), true },
	{ "metrics_auth", FLAG, AT(general_settings, metrics_auth), false },
	{ "require_signature", FLAG, AT(general_settings, require_signature), true },
	{ "public_key", TEXT, AT(general_settings, public_key), true },
	{ "models_dir", TEXT, AT(general_settings, models_dir), false },
	{ "alert_webhook", TEXT, AT(general_settings, alert_webhook), false },
	{ NULL, TEXT, 0, false }
};
static const struct member litellm_members[] = {
	{ "request_timeout", SECONDS, AT(router_settings, timeout), false },
	{ NULL, TEXT, 0, false }
};
static const struct member switching_members[] = {
	{ "enabled", FLAG, AT(switching_settings, enabled), false },
	{ "enable_health_checks", FLAG, AT(switching_settings, health_checks), false },
	{ "max_cached_models", COUNT, AT(switching_settings, max_cached_models), false },
	{ "default_switch_strategy", TEXT, AT(switching_settings, default_strategy), false },
	{ NULL, TEXT, 0, false }
};

static int
litellm_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	return strcmp(key, "num_retries") == 0 || strcmp(key, "fallbacks") == 0 ||
		strcmp(key, "context_window_fallbacks") == 0 || strcmp(key, "default_fallbacks") == 0
		? router_others(r, key, path, v, ctx) : 0;
}

static int
switching_others(struct reader *r, const char *key, const char *path, const struct yaml_node *v, void *ctx)
{
	static const struct member thresholds[] = {
		{ "error_rate", NUMBER, AT(switching_settings, error_rate_warning), false },
		{ "latency_p95", NUMBER, AT(switching_settings, latency_p95_ms), false },
		{ NULL, TEXT, 0, false }
	};
	struct switching_settings *s = ctx;
	size_t mib = 0;

	if (strcmp(key, "alert_thresholds") == 0) {
		read_map(r, v, path, thresholds, s, NULL, NULL);
		return 1;
	}
	if (strcmp(key, "cache_size") == 0) {
		read_member(r, v, path, &(struct member){ key, COUNT, 0, false }, &mib);
		s->cache_bytes = (uint64_t)mib << 20;
		return 1;
	}
	return 0;
}

/* VLLM_MODEL_SWITCHING_* come before the section. */
static void
switching_variables(struct reader *r)
{
	static const struct { const char *name; enum type type; size_t offset; } vars[] = {
		{ "ENABLED", FLAG, AT(switching_settings, enabled) },
		{ "ENABLE_HEALTH_CHECKS", FLAG, AT(switching_settings, health_checks) },
		{ "MAX_CACHED_MODELS", COUNT, AT(switching_settings, max_cached_models) },
		{ "CACHE_SIZE", COUNT, AT(switching_settings, cache_bytes) },
		{ "ERROR_RATE_WARNING", NUMBER, AT(switching_settings, error_rate_warning) },
	};
	struct switching_settings *s = &r->c->switching;
	char name[64];

	for (size_t i = 0; r->src->env != NULL && i < sizeof vars / sizeof vars[0]; i++) {
		struct err e = ERR_INIT;
		const char *v;
		char *at = (char *)s + vars[i].offset;
		long long n = 0;
		bool yes;

		(void)snprintf(name, sizeof name, "VLLM_MODEL_SWITCHING_%s", vars[i].name);
		if ((v = r->src->env(r->src->ctx, name)) == NULL || v[0] == '\0')
			continue;
		yes = strcmp(v, "true") == 0 || strcmp(v, "True") == 0 || strcmp(v, "1") == 0;
		if (vars[i].type == FLAG && !yes && strcmp(v, "false") != 0 && strcmp(v, "False") != 0 && strcmp(v, "0") != 0)
			(void)err_set(&e, ERR_CONFIG, "'%s' is neither true nor false", v);
		else if (vars[i].type == FLAG)
			*(bool *)(void *)at = yes;
		else if (vars[i].type == NUMBER)
			(void)str_double("value", v, 0, 1, (double *)(void *)at, &e);
		else if (str_int("value", v, 0, 100000000, &n, &e) == 0 && strcmp(vars[i].name, "CACHE_SIZE") == 0)
			s->cache_bytes = (uint64_t)n << 20;
		else if (e.code == ERR_NONE)
			s->max_cached_models = (size_t)n;
		if (e.code != ERR_NONE)
			note(r, NOTE_ERROR, 0, name, "%s", e.msg);
	}
}

static void
check_switching(struct reader *r, const struct yaml_node *root)
{
	static const char *const kinds[] = { "immediate", "gradual", "canary", "ab_test", "ab_testing" };
	const struct switching_settings *s = &r->c->switching;
	size_t i = 0;

	while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i], s->default_strategy) != 0)
		i++;
	if (i == sizeof kinds / sizeof kinds[0])
		note(r, NOTE_ERROR, root->line, "model_switching.default_switch_strategy",
			"'%s' is none of immediate, gradual, canary, ab_test", s->default_strategy);
	if (s->error_rate_warning > 1)
		note(r, NOTE_ERROR, root->line, "model_switching.alert_thresholds.error_rate", "0 to 1 is needed");
}

/* What a config from a store may not decide. */
static void
forbid_remote(struct reader *r, const struct yaml_node *root)
{
	static const char *const keys[] = {
		"master_key", "require_signature", "public_key", "models_dir", "alert_webhook"
	};
	const struct yaml_node *g = yaml_get(root, "general_settings");
	char path[64];

	for (size_t i = 0; r->src->remote && i < sizeof keys / sizeof keys[0]; i++) {
		const struct yaml_node *v = yaml_get(g, keys[i]);

		(void)snprintf(path, sizeof path, "general_settings.%s", keys[i]);
		if (v != NULL && !yaml_is_null(v))
			note(r, NOTE_WARNING, v->line, path, "not taken from a remote config: the local one decides");
	}
	if (r->src->remote)
		r->c->general = (struct general_settings){ .metrics_auth = r->c->general.metrics_auth };
}

/* Where the file names no key, the variable that LiteLLM's users set does. */
static void
default_key(struct reader *r)
{
	struct general_settings *g = &r->c->general;
	const char *s = NULL;

	if (g->master_key == NULL && r->src->env != NULL)
		s = r->src->env(r->src->ctx, "LITELLM_MASTER_KEY");
	if (s != NULL && s[0] != '\0')
		g->master_key = keep(r, s);
}

static void
set_defaults(struct config *c)
{
	c->router = (struct router_settings){
		.strategy = STRATEGY_SHUFFLE, .strategy_name = "simple-shuffle",
		.fallback_strategy = STRATEGY_WEIGHTED, .reload_interval = 300, .max_cost = INFINITY,
		.max_latency = INFINITY, .latency_ttl = 3600, .ttft_percentile = -1, .latency_samples = 10,
		.num_retries = 2, .timeout = 600, .cooldown_time = 5, .cooldowns = true, .allowed_fails = -1,
	};
	c->switching = (struct switching_settings){
		.health_checks = true, .max_cached_models = 5, .cache_bytes = (uint64_t)1024 << 20,
		.default_strategy = "gradual", .error_rate_warning = 0.05, .latency_p95_ms = 5000,
	};
}

/* References that go nowhere. */
static void
check_references(struct reader *r)
{
	const struct router_settings *s = &r->c->router;
	const struct fallbacks *all[] = { &s->fallbacks, &s->context_fallbacks };

	for (size_t a = 0; a < 2; a++) {
		for (size_t i = 0; i < all[a]->n; i++) {
			for (size_t k = 0; k < all[a]->f[i].n; k++) {
				if (config_group(r->c, all[a]->f[i].to[k]) == NULL)
					note(r, NOTE_WARNING, 0, "router_settings.fallbacks", "'%s' is no group of model_list",
						all[a]->f[i].to[k]);
			}
		}
	}
	for (size_t i = 0; i < s->n_aliases; i++) {
		if (config_group(r->c, s->alias[i].group) == NULL)
			note(r, NOTE_WARNING, 0, "router_settings.model_group_alias", "'%s' is no group of model_list",
				s->alias[i].group);
	}
	if (s->strategy == STRATEGY_ML && s->model_path == NULL && s->model_s3_key == NULL)
		note(r, NOTE_ERROR, 0, "router_settings.routing_strategy_args.model_path",
			"%s needs an artifact", s->strategy_name);
}

/* As LiteLLM names levels, and as we do. */
static int
level_named(const char *s)
{
	static const struct { const char *name; enum log_level level; } known[] = {
		{ "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warning", LOG_WARN }, { "warn", LOG_WARN },
		{ "error", LOG_ERROR }, { "critical", LOG_ERROR }
	};

	for (size_t i = 0; s != NULL && i < sizeof known / sizeof known[0]; i++) {
		if (strcasecmp(s, known[i].name) == 0)
			return (int)known[i].level;
	}
	return -1;
}

static void
read_root(struct reader *r, const struct yaml_node *root)
{
	struct config *c = r->c;

	if (root->type != YAML_MAP) {
		note(r, NOTE_ERROR, 1, "model_list", "a mapping with model_list is needed");
		return;
	}
	r->env = yaml_get(root, "environment_variables");
	if ((c->log_level = level_named(variable(r, "LLMR_LOG"))) < 0)
		c->log_level = level_named(variable(r, "LITELLM_LOG"));
	for (size_t i = 0; i < root->n; i++) {
		const char *key = root->keys[i]->text;
		const struct yaml_node *v = root->items[i];

		if (strcmp(key, "general_settings") == 0)
			read_map(r, v, key, general_members, &c->general, NULL, NULL);
		else if (strcmp(key, "litellm_settings") == 0)
			read_map(r, v, key, litellm_members, &c->router, litellm_others, &c->router);
		else if (strcmp(key, "model_switching") == 0)
			read_map(r, v, key, switching_members, &c->switching, switching_others, &c->switching);
		else if (strcmp(key, "model_list") != 0 && strcmp(key, "router_settings") != 0 &&
		    strcmp(key, "environment_variables") != 0)
			unused(r, root->keys[i]->line, key);
	}
	/* router_settings after litellm_settings: the more particular section counts. */
	read_map(r, yaml_get(root, "router_settings"), "router_settings", router_members, &c->router, router_others,
		&c->router);
	read_models(r, yaml_get(root, "model_list"));
	switching_variables(r);
	check_switching(r, root);
	forbid_remote(r, root);
	default_key(r);
	if (c->deployment != NULL)
		check_references(r);
}

struct config *
config_read(const char *p, size_t n, const struct config_source *src, struct err *e)
{
	struct config *c = mem_calloc(1, sizeof *c, e);
	struct reader r = { .c = c, .src = src, .e = e };
	struct yaml *y;

	if (c == NULL || (y = yaml_parse(p, n, src->name, e)) == NULL) {
		config_free(c);
		return NULL;
	}
	set_defaults(c);
	c->name = keep(&r, src->name);
	c->text = (struct slice){ arena_dup(&c->arena, p, n, e), n };
	r.failed = c->text.p == NULL;
	sha256_bytes(p, n, c->sha256);
	read_root(&r, yaml_root(y));
	yaml_free(y);
	if (r.failed) {
		config_free(c);
		return NULL;
	}
	return c;
}

struct config *
config_load(const char *path, const struct config_source *src, struct err *e)
{
	struct buf b = BUF_INIT;
	struct config *c = NULL;

	if (io_read_file(path, MAX_CONFIG, &b, e) == 0)
		c = config_read(b.p == NULL ? "" : b.p, b.len, src, e);
	buf_finish(&b);
	return c;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	free(c->note);
	free(c->set);
	arena_finish(&c->arena);
	free(c);
}

static void
each_default(const struct config *c, const char *prefix, const struct member *m, const void *base, config_default *fn,
	void *ctx)
{
	for (; m->key != NULL; m++) {
		const char *at = (const char *)base + m->offset, *text = NULL;
		char key[128], value[64];
		size_t i = 0;

		(void)snprintf(key, sizeof key, "%s.%s", prefix, m->key);
		while (i < c->n_set && strcmp(c->set[i].key, key) != 0)
			i++;
		if (i < c->n_set)
			continue;
		switch (m->type) {
		case TEXT:
			text = *(const char *const *)(const void *)at;
			break;
		case FLAG:
			text = *(const bool *)(const void *)at ? "true" : "false";
			break;
		case COUNT:
			(void)snprintf(value, sizeof value, "%zu", *(const size_t *)(const void *)at);
			text = value;
			break;
		case SIGNED:
			(void)snprintf(value, sizeof value, "%ld", *(const long *)(const void *)at);
			text = value;
			break;
		case NUMBER:
		case SECONDS:
			(void)snprintf(value, sizeof value, "%g", *(const double *)(const void *)at);
			text = value;
			break;
		case BYTES:
			(void)snprintf(value, sizeof value, "%llu", (unsigned long long)*(const uint64_t *)(const void *)at);
			text = value;
			break;
		}
		fn(ctx, key, text == NULL ? "" : config_key_is_secret(m->key) ? "***" : text);
	}
}

void
config_defaults(const struct config *c, config_default *fn, void *ctx)
{
	each_default(c, "router_settings", router_members, &c->router, fn, ctx);
	each_default(c, "router_settings.routing_strategy_args", args_members, &c->router, fn, ctx);
	each_default(c, "general_settings", general_members, &c->general, fn, ctx);
	each_default(c, "model_switching", switching_members, &c->switching, fn, ctx);
}

const char *
config_group(const struct config *c, const char *name)
{
	for (size_t hop = 0; hop < 2; hop++) {
		for (size_t i = 0; i < c->n_groups; i++) {
			if (strcmp(c->group[i], name) == 0)
				return c->group[i];
		}
		for (size_t i = 0; hop == 0 && i < c->router.n_aliases; i++) {
			if (strcmp(c->router.alias[i].alias, name) == 0)
				name = c->router.alias[i].group;
		}
	}
	return NULL;
}

const struct fallback *
config_fallback(const struct fallbacks *f, const char *group)
{
	for (int any = 0; any < 2; any++) {
		for (size_t i = 0; i < f->n; i++) {
			if (strcmp(f->f[i].group, any ? "*" : group) == 0)
				return &f->f[i];
		}
	}
	return NULL;
}
