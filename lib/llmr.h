/*
 * llmr.h - the public interface of libllmr: load a router, ask it.
 *
 *	struct llmr_error err;
 *	struct llmr_router *r = llmr_router_open("router.safetensors", &err);
 *	struct llmr_scratch *s = llmr_scratch_new(r, &err);
 *	struct llmr_decision d;
 *
 *	if (llmr_route(r, s, prompt, strlen(prompt), NULL, &d, &err) == 0)
 *		puts(d.model);
 *	llmr_scratch_free(s);
 *	llmr_router_free(r);
 *
 * Threads: a router is immutable; any number of threads may route with it at
 * once, each with a scratch of its own. llmr_route allocates nothing, opens
 * nothing and takes no lock. Nothing here prints or ends the process.
 * Strings are UTF-8; pointers that are handed out live as long as the router,
 * except where said otherwise. Additions only within one soname.
 */
#ifndef LLMR_H
#define LLMR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LLMR_API __attribute__((visibility("default")))
#else
#define LLMR_API
#endif

#define LLMR_API_VERSION 1

struct llmr_router;
struct llmr_scratch;
struct llmr_mode;

/* What went wrong. Codes are those of sysexits(3): 65 bad artifact, 66 no such file, 75 out of memory. */
struct llmr_error {
	int code;
	char message[512];	/* one line */
};

/* Limits of a choice; a zeroed value (or NULL in its place) means none. */
struct llmr_limits {
	double cost_weight;		/* score given up for one US dollar, >= 0 */
	double max_cost;		/* expected USD of a call; 0 = no limit */
	const unsigned char *allowed;	/* [llmr_model_count] nonzero = may be chosen; NULL = all */
	double latency_weight;		/* score given up for one second, >= 0 */
	double max_latency;		/* expected seconds of a call; 0 = no limit */
	/* Exploration, so that the log can be learned from: */
	double explore_epsilon;		/* chance of a uniform draw, 0..1 */
	double explore_temperature;	/* draw by a softmax of the scores over it; 0 = the best */
	double explore_max_cost;	/* expected USD of a model that is explored; 0 = no limit */
	unsigned long long seed;	/* of draws, with request_id and prompt */
	const char *request_id;		/* NULL = none */
	const struct llmr_mode *mode;	/* NULL = as the router was trained */
};

struct llmr_decision {
	const char *model;		/* the choice */
	const char *runner_up;		/* NULL when no other model may be chosen */
	size_t model_index, runner_up_index;	/* into llmr_model_name; (size_t)-1 none */
	double propensity;		/* probability that this model was chosen, 0..1 */
	const float *scores;		/* [llmr_model_count] predicted, 0..1; in the scratch */
	const float *costs;		/* [llmr_model_count] expected USD, NaN unknown; in the scratch */
	double tokenize_us, embed_us, score_us, policy_us, total_us;
	const float *latencies;		/* [llmr_model_count] expected seconds, NaN unknown; in the scratch */
	int explored;			/* it was drawn and is not the best */
};

/*
 * Load an artifact and check it whole, its probe text included. NULL on
 * failure, with err (may be NULL) filled. Any bytes either load or fail.
 */
LLMR_API struct llmr_router *llmr_router_open(const char *path, struct llmr_error *err);

/*
 * A sentence encoder: text to vector. spec is "bert:PATH", PATH a folder as
 * Hugging Face has it (config.json, tokenizer.json or vocab.txt,
 * model.safetensors) or a file that llmr import bert packed; dtype "fp32",
 * "bf16" or "int8" for a folder (NULL: bf16), ignored for a file, which has its
 * own. A file is read into memory and its digest checked. NULL on failure.
 * Immutable: any number of threads may use one. An artifact that names an
 * encoder by digest is opened with llmr_router_open_with, which borrows it:
 * free the router first.
 */
struct llmr_embedder;
LLMR_API struct llmr_embedder *llmr_embedder_open(const char *spec, const char *dtype,
	struct llmr_error *err);
LLMR_API void llmr_embedder_free(struct llmr_embedder *);	/* NULL is fine */
LLMR_API size_t llmr_embedder_dim(const struct llmr_embedder *);
/* SHA-256 of what it is made of, 64 hex digits: equal for equal vectors. */
LLMR_API const char *llmr_embedder_digest(const struct llmr_embedder *);
/*
 * The vector of a text of n bytes (any bytes), of unit length, to out
 * [llmr_embedder_dim]. Allocates working memory; 0, or -1 and code 75.
 */
LLMR_API int llmr_embed(const struct llmr_embedder *, const char *text, size_t n, float *out,
	struct llmr_error *err);
/*
 * Vectors of count texts, text[i] of n[i] bytes, to out [count x dim] row by
 * row, by so many threads (0: the cores granted). The same bytes as one by one,
 * and much faster.
 */
LLMR_API int llmr_embed_batch(const struct llmr_embedder *, const char *const *text, const size_t *n,
	size_t count, float *out, unsigned threads, struct llmr_error *err);
/* As llmr_router_open, for an artifact that needs this encoder (NULL: none). */
LLMR_API struct llmr_router *llmr_router_open_with(const char *path, const struct llmr_embedder *,
	struct llmr_error *err);
LLMR_API void llmr_router_free(struct llmr_router *);		/* NULL is fine */

/* The models that it chooses from, in ascending order of name; NULL when i is too large. */
LLMR_API size_t llmr_model_count(const struct llmr_router *);
LLMR_API const char *llmr_model_name(const struct llmr_router *, size_t i);
/* SHA-256 of the artifact, 64 hex digits. */
LLMR_API const char *llmr_router_sha256(const struct llmr_router *);

/*
 * How predictions become a choice, where it is not what the router was trained
 * to: settings are "NAME=VALUE", ending with NULL, of router_mode, router_tau,
 * router_threshold, weak, strong and strong_share, as in llmr-train(1). NULL on
 * failure: code 64. Immutable; for this router alone, which must outlive it.
 */
LLMR_API struct llmr_mode *llmr_mode_new(const struct llmr_router *, const char *const *settings,
	struct llmr_error *err);
LLMR_API void llmr_mode_free(struct llmr_mode *);		/* NULL is fine */

/* Working memory of one thread for one router. */
LLMR_API struct llmr_scratch *llmr_scratch_new(const struct llmr_router *, struct llmr_error *err);
LLMR_API void llmr_scratch_free(struct llmr_scratch *);		/* NULL is fine */

/*
 * Decide for a prompt of n bytes (any bytes). limits, err may be NULL. 0, or -1
 * when no model meets the limits (code 1). Scores and costs in the decision
 * are valid until the scratch is used again or freed.
 */
LLMR_API int llmr_route(const struct llmr_router *, struct llmr_scratch *, const char *prompt,
	size_t n, const struct llmr_limits *limits, struct llmr_decision *, struct llmr_error *err);

/* Version of the library, such as "0.1.0". */
LLMR_API const char *llmr_version(void);

#ifdef __cplusplus
}
#endif

#endif
