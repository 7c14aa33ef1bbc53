#include "common/track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/jflat.h"
#include "common/hosts.h"

/* A training has waited long enough for its own work; the server gets a few seconds. */
#define CONNECT_SECONDS 3
#define REQUEST_SECONDS 10
static const struct retry_policy patience = { .tries = 2, .base = 0.3, .cap = 1, .max_wait = 3 };

/* What is sent, gathered from the run's JSON; texts live in the arena. */
struct facts {
	struct mlflow_text *params, *tags;
	struct mlflow_number *metrics;
	size_t n_params, n_tags, n_metrics, cap_params, cap_tags, cap_metrics;
	struct arena arena;
};

static const char *
variable(const char *name)
{
	const char *v = getenv(name);

	return v == NULL || v[0] == '\0' ? NULL : v;
}

static int
add_text(struct facts *f, struct mlflow_text **list, size_t *n, size_t *cap, const char *key,
	struct slice value, struct err *e)
{
	void *p = *list;
	struct mlflow_text t;

	t.key = arena_dup(&f->arena, key, strlen(key), e);
	t.value = arena_dup(&f->arena, value.n > 0 ? value.p : "", value.n, e);
	if (t.key == NULL || t.value == NULL || mem_grow(&p, cap, *n + 1, sizeof t, e) < 0)
		return -1;
	*list = p;
	(*list)[(*n)++] = t;
	return 0;
}

static int
param_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct facts *f = ctx;

	if (type == JREAD_NULL)
		return 0;
	return add_text(f, &f->params, &f->n_params, &f->cap_params, name, text, e);
}

static int
tag(struct facts *f, const char *key, const char *value, struct err *e)
{
	if (value == NULL)
		return 0;
	return add_text(f, &f->tags, &f->n_tags, &f->cap_tags, key, slice_str(value), e);
}

/* Numbers are metrics; what the figures are called after ("best_single.model") goes to the tags. */
static int
metric_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct facts *f = ctx;
	struct mlflow_number m = { 0 };
	void *p = f->metrics;

	if (type == JREAD_STRING)
		return add_text(f, &f->tags, &f->n_tags, &f->cap_tags, name, text, e);
	if (type != JREAD_NUMBER || !slice_double(text, &m.value))
		return 0;
	m.key = arena_dup(&f->arena, name, strlen(name), e);
	if (m.key == NULL || mem_grow(&p, &f->cap_metrics, f->n_metrics + 1, sizeof m, e) < 0)
		return -1;
	f->metrics = p;
	f->metrics[f->n_metrics++] = m;
	return 0;
}

static int
gather(struct facts *f, const struct rundb_run *run, bool joined, struct err *e)
{
	const struct { const char *key, *value; } tags[] = { { "llmr.run_id", run->id },
		{ "llmr.command", run->command }, { "llmr.kind", run->kind },
		{ "llmr.error", run->error }, { "llmr.data_digest", run->data_digest },
		{ "llmr.artifact", run->artifact }, { "llmr.artifact_digest", run->artifact_digest },
		{ "llmr.host", run->host }, { "llmr.version", run->version },
		{ "mlflow.source.git.commit", joined ? NULL : run->git } };
	char seconds[40];

	if (run->params != NULL && jflat_each(slice_str(run->params), param_leaf, f, e) < 0)
		return -1;
	if (run->metrics != NULL && jflat_each(slice_str(run->metrics), metric_leaf, f, e) < 0)
		return -1;
	(void)snprintf(seconds, sizeof seconds, "%.6f", run->seconds);
	if (metric_leaf(f, "seconds", JREAD_NUMBER, slice_str(seconds), e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
		if (tag(f, tags[i].key, tags[i].value, e) < 0)
			return -1;
	return 0;
}

static const char *
user_name(void)
{
	const char *name = variable("LOGNAME");

	return name != NULL ? name : variable("USER") != NULL ? variable("USER") : "unknown";
}

static int
log_run(struct ctx *c, const struct rundb_run *run, struct mlflow_server *s,
	char mlflow_run[MLFLOW_ID])
{
	struct facts f = { .arena = ARENA_INIT };
	struct mlflow_run m = { .user = user_name(), .start_ms = run->time_us / 1000,
		.end_ms = (run->time_us + (int64_t)(run->seconds * 1e6)) / 1000,
		.status = strcmp(run->status, "finished") == 0 ? "FINISHED" : "FAILED" };
	char name[128], id[MLFLOW_ID] = "";
	int r = -1;

	(void)snprintf(name, sizeof name, "%s%s%s", run->command, run->kind != NULL ? " " : "",
	    run->kind != NULL ? run->kind : "");
	m.name = name;
	if (gather(&f, run, s->run_id != NULL, &c->err) == 0) {
		m.params = f.params;
		m.n_params = f.n_params;
		m.tags = f.tags;
		m.n_tags = f.n_tags;
		m.metrics = f.metrics;
		m.n_metrics = f.n_metrics;
		r = mlflow_log(s, &m, id, &c->err);
	}
	if (r == 0) {
		memcpy(mlflow_run, id, sizeof id);
		log_info(&c->log, "logged to %s as run %s", s->url, id);
	}
	free(f.params);
	free(f.tags);
	free(f.metrics);
	arena_finish(&f.arena);
	return r;
}

int
track_run(struct ctx *c, const struct rundb_run *run, char mlflow_run[MLFLOW_ID])
{
	const char *url = variable("MLFLOW_TRACKING_URI");
	const char *experiment = variable("MLFLOW_EXPERIMENT_NAME");
	struct mlflow_server s = { .url = url, .experiment = experiment != NULL ? experiment : "llmr",
		.experiment_id = experiment != NULL ? NULL : variable("MLFLOW_EXPERIMENT_ID"),
		.run_id = variable("MLFLOW_RUN_ID"), .retry = patience, .cancel = c->cancel };
	struct http_opts o = { .ca_file = opt_str(c, "ca-file"), .ca_only = opt_flag(c, "ca-only"),
		.user = variable("MLFLOW_TRACKING_USERNAME"),
		.password = variable("MLFLOW_TRACKING_PASSWORD"),
		.bearer = variable("MLFLOW_TRACKING_TOKEN"), .connect_timeout = CONNECT_SECONDS,
		.stall_timeout = REQUEST_SECONDS, .total_timeout = REQUEST_SECONDS, .cancel = c->cancel };
	struct hosts hosts;
	int r = -1;

	mlflow_run[0] = '\0';
	if (url == NULL)
		return 0;
	if (o.ca_file == NULL)
		o.ca_file = variable("MLFLOW_TRACKING_SERVER_CERT_PATH");
	/* As MLflow's own client: user and password before a token. */
	if (o.user != NULL && o.password != NULL)
		o.bearer = NULL;
	else
		o.user = o.password = NULL;
	if (hosts_read(c, &hosts) == 0 &&
	    http_check_url(url, hosts.name, hosts.n, &c->err) == 0) {
		o.allowed_hosts = hosts.name;
		o.n_allowed_hosts = hosts.n;
		s.http = http_new(&o, &c->err);
		if (s.http != NULL && (r = log_run(c, run, &s, mlflow_run)) < 0 &&
		    strstr(c->err.msg, url) == NULL)
			err_wrap(&c->err, "%s", url);
		http_free(s.http);
	}
	hosts_finish(&hosts);
	return r;
}
