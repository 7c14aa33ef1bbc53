/*
 * config - the gateway's YAML (LiteLLM's), read into one immutable value.
 *
 * What serve needs is typed here; every key that it does not know, does not
 * use, or cannot use is a note with its line, so that nothing is dropped in
 * silence: `serve` warns, `config check --strict` fails. "os.environ/NAME" in
 * any string is replaced by that variable (environment_variables of the file
 * counts first, as LiteLLM exports it); an unset one is an error in a key that
 * serve needs, makes a deployment unable to forward in its api_key, and is a
 * note elsewhere.
 * Depends on: fmt/yaml, base/mem.  Threads: immutable once read.
 */
#ifndef LLMR_SERVE_CONFIG_H
#define LLMR_SERVE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "serve/strategyname.h"

/* One entry of model_list. Strings are never NULL unless said. */
struct deployment {
	const char *id;			/* model_info.id, else 16 hex digits of SHA-256 over the entry */
	const char *group;		/* model_name: what clients ask for */
	const char *model;		/* litellm_params.model, whole: "openai/gpt-4o" */
	const char *provider;		/* before the first '/', "" when there is none */
	const char *upstream_model;	/* behind it */
	const char *api_base;		/* NULL: cannot be forwarded to */
	const char *api_key;		/* NULL: none */
	const char *unset;		/* variable of its api_key that is not set; NULL: all is well */
	const char *const *headers;	/* extra_headers as "Name: value" */
	size_t n_headers;
	double weight, rpm, tpm;	/* 0: not set; limits of a minute */
	int order;			/* lower ones first; INT32_MAX when not set */
	double input_cost, output_cost;	/* USD per token, NAN unknown */
	double timeout, stream_timeout;	/* seconds, 0: router_settings.timeout */
	size_t context_tokens;		/* max_input_tokens, 0 unknown */
	const char *const *capabilities;
	size_t n_capabilities;
	size_t line;
};

struct fallback {		/* {group: [groups]} */
	const char *group;	/* "*" for default_fallbacks */
	const char *const *to;
	size_t n;
};
struct fallbacks {
	struct fallback *f;
	size_t n;
};

struct router_settings {
	enum strategy strategy;
	const char *strategy_name;	/* as written: "llmrouter-knn" */
	const char *kind;		/* of STRATEGY_ML: "knn" ..., "custom" takes any; else NULL */
	enum strategy fallback_strategy;	/* when no model can decide */
	const char *model_path, *llm_data_path;		/* NULL: none */
	const char *model_s3_bucket, *model_s3_key;
	bool hot_reload;
	double reload_interval;		/* seconds */
	double max_cost, cost_weight, max_latency, latency_weight;	/* of the policy */
	double deadline;		/* seconds a decision may take, 0: none */
	double lowest_latency_buffer, latency_ttl, ttft_percentile;	/* latency-based-routing; percentile < 0: mean */
	size_t latency_samples;
	unsigned num_retries;
	double timeout, stream_timeout, retry_after, cooldown_time;	/* seconds */
	bool cooldowns;
	long allowed_fails;		/* -1: LiteLLM's rules without it */
	bool pre_call_checks;
	struct fallbacks fallbacks, context_fallbacks;
	struct { const char *alias, *group; } *alias;	/* model_group_alias */
	size_t n_aliases;
};

struct general_settings {
	const char *master_key;		/* NULL: none */
	bool metrics_auth;
	bool require_signature;
	const char *public_key;		/* file or text; NULL none */
	const char *models_dir;		/* where versions may be named from; NULL: none */
	const char *alert_webhook;	/* NULL none */
};

struct switching_settings {
	bool enabled, health_checks;
	size_t max_cached_models;
	uint64_t cache_bytes;
	const char *default_strategy;	/* "gradual" */
	double error_rate_warning, latency_p95_ms;
};

enum note_level { NOTE_UNUSED, NOTE_WARNING, NOTE_ERROR };
struct note {
	enum note_level level;
	size_t line;
	const char *key;	/* "litellm_settings.cache" */
	const char *text;	/* "answers are not cached" */
	size_t times;		/* that it holds; the line is the first */
};

/* A key of the file that was read, in its order. */
struct config_set {
	const char *key;	/* "router_settings.timeout" */
	const char *value;	/* its text; "" for lists and mappings, "***" for a secret */
	const char *variable;	/* whose value it is; NULL: the file's own */
	size_t line;
};

struct config {
	const char *name;		/* of the file, for messages */
	struct deployment *deployment;
	size_t n;
	const char **group;		/* distinct, in the order of the list */
	size_t n_groups;
	struct router_settings router;
	struct general_settings general;
	struct switching_settings switching;
	struct config_set *set;
	size_t n_set;
	int log_level;			/* LLMR_LOG or LITELLM_LOG: an enum log_level; -1 neither says */
	struct note *note;
	size_t n_notes, n_errors;
	struct slice text;		/* as it was read */
	uint8_t sha256[32];		/* of the text */
	struct arena arena;		/* owns all of it */
};

struct config_source {
	const char *name;		/* for messages */
	const char *(*env)(void *ctx, const char *name);	/* NULL when unset */
	void *ctx;
	const char *const *env_allow;	/* names that the text may expand; NULL: any (a local file) */
	size_t n_env_allow;
	bool remote;			/* from a store: may not set keys, trust, listening or require_signature */
};

/*
 * Read n bytes of YAML. NULL and ERR_CONFIG when it is no YAML or memory lacks;
 * everything else that is wrong is a note, so that all of it is told at once
 * (n_errors > 0: unfit to serve). Release with config_free.
 */
struct config *config_read(const char *p, size_t n, const struct config_source *, struct err *e);
struct config *config_load(const char *path, const struct config_source *, struct err *e);
void config_free(struct config *);	/* NULL is fine */

/* A setting that the file does not name, with the value that it has then. */
typedef void config_default(void *ctx, const char *key, const char *value);
void config_defaults(const struct config *, config_default *, void *ctx);

/* A group by the name that a client asked for, aliases followed; NULL when there is none. */
const char *config_group(const struct config *, const char *name);
/* Fallback groups of a group, those of "*" after its own; NULL and 0 when none. */
const struct fallback *config_fallback(const struct fallbacks *, const char *group);

#endif
