/*
 * gateway - everything that serves, put together.
 *
 * Requests come in on the HTTP threads; one table says which path is whose.
 * The generation (config, candidates, model) is read through a live pointer;
 * whatever replaces it does so on another thread and waits for the readers.
 * Depends on: the rest of serve.  Threads: as said per function.
 */
#ifndef LLMR_SERVE_GATEWAY_H
#define LLMR_SERVE_GATEWAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "net/httprelay.h"
#include "serve/accesslog.h"
#include "serve/backend.h"
#include "serve/body.h"
#include "serve/decide.h"
#include "serve/diskcheck.h"
#include "serve/generation.h"
#include "serve/httpd.h"
#include "serve/jobs.h"
#include "serve/live.h"
#include "serve/metrics.h"
#include "serve/refusals.h"
#include "serve/telemetry.h"
#include "serve/watch.h"
#include "trust/keyring.h"

struct switching;

struct gateway_opts {
	struct httpd_opts http;		/* handle, done and ctx are the gateway's */
	const char *config_path;
	struct config_source source;	/* how its variables are read */
	struct relay_opts relay;
	const char *embedder;		/* where the encoder lies that artifacts name: "bert:PATH"; NULL: nowhere */
	const char *state_dir;		/* NULL: none can be kept */
	/*
	 * Open the verified file that a version's reference names, where that is
	 * no file beneath models_dir (a registry's, say): a descriptor; -1 and err;
	 * -2: not a reference of its kind. On the thread that holds the lock over
	 * reloads. NULL: none.
	 */
	int (*open_ref)(void *ctx, const char *ref, bool *is_signed, struct err *e);
	void *open_ref_ctx;
	bool no_auth;			/* answer anybody, even beyond loopback */
	bool test;			/* load, verify and stop: a model that cannot be used is a failure */
	const struct keyring *keys;	/* trusted, beside the config's; borrowed. NULL none */
	struct slice hmac;		/* secret of signed manifests; borrowed */
	bool require_signature;		/* whatever the config says */
	uint64_t memory_limit;		/* bytes that the process may use; 0: no limit */
	bool watch_config;		/* load the config anew when its file changes */
	double grace_seconds;		/* how long object and signature may differ before it is an alarm; 0: 60 */
	struct accesslog_opts logs;	/* metrics and log are the gateway's */
	struct telemetry_opts telemetry;	/* counts, refresh, ctx and log are the gateway's */
	struct log log;			/* its level is the least that is told; a config may ask for more */
};

struct gateway {
	struct gateway_opts o;
	struct httpd *http;
	struct live live;		/* struct generation */
	struct backends *backends;
	struct jobs *jobs;
	struct relay *relay;		/* forwards */
	struct metrics *metrics;
	struct watch *watch;		/* of the files; NULL in a test */
	struct accesslog *logs;		/* NULL: neither is kept */
	struct telemetry *telemetry;	/* NULL: nothing is sent */
	bool prompts;			/* one of them wants prompts */
	struct log told;		/* where lines of the log go; o.log passes on to it and to telemetry */
	atomic_int log_level;
	struct refusals refusals;	/* of reloads */
	struct diskcheck disk;		/* of the state directory */
	pthread_mutex_t reloading;	/* one reload at a time; over what replaces the generation, and over switching */
	struct switching *switching;	/* NULL: never was on */
	pthread_key_t worker_key;	/* each HTTP thread's struct gateway_worker */
	atomic_uint workers;
	atomic_bool draining;
	int64_t started_us;
};

/* A server thread's own. */
struct gateway_worker {
	struct gateway *g;
	struct worker choose;
	struct body_scratch scratch;
};

/* Everything but the listening socket. Problems of the config go to the log. */
struct gateway *gateway_new(const struct gateway_opts *, struct err *e);
/* Listen and serve. */
int gateway_start(struct gateway *, struct err *e);
/* Not ready, accept no more, finish what is in flight within so many seconds. The number that were cut. */
size_t gateway_drain(struct gateway *, double seconds);
void gateway_free(struct gateway *);		/* NULL is fine */

/* The calling HTTP thread's own; NULL when memory lacks or there are too many threads. */
struct gateway_worker *gateway_worker(struct gateway *);
/* The generation, held until gateway_leave; one at a time per thread. */
const struct generation *gateway_enter(struct gateway *, const struct gateway_worker *);
void gateway_leave(struct gateway *, const struct gateway_worker *);
/*
 * Load config and model anew and swap them in; the old ones stay when it fails.
 * Not from a thread that is within gateway_enter.
 */
int gateway_reload(struct gateway *, struct err *e);
struct gateway_reload {
	bool config;		/* the config too, else its text stays and the model alone is loaded anew */
	bool may_wait;		/* a signature that does not fit is not refused yet */
	const char *cause;	/* "api", "signal", "watch" ... */
};
/* The same, one at a time. 0; 1 pending (may_wait, and err says for what); -1 refused: logged, counted, remembered. */
int gateway_reload_as(struct gateway *, const struct gateway_reload *, struct err *e);

#endif
