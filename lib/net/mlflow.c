#include "net/mlflow.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "net/mlflowapi.h"

#define MAX_KEY 250
/* Of one log-batch request, by the API's documentation. */
#define BATCH_METRICS 1000
#define BATCH_PARAMS 100
#define BATCH_TAGS 100

static int
get_experiment(struct mlflowapi_call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "experiments/get-by-name";
	char stage[32];

	mlflowapi_begin(c, "experiments/get-by-name?experiment_name=", NULL);
	mlflowapi_escape(&c->url, c->s->experiment);
	c->status = 0;
	if (mlflowapi_expect(c, what, NULL, true, e) < 0)
		return -1;
	mlflowapi_find((struct slice){ buf_cstr(&c->answer), c->answer.len }, "experiment.lifecycle_stage", stage,
	    sizeof stage);
	if (strcmp(stage, "deleted") == 0)
		return err_set(e, ERR_INPUT, "experiment '%s' was deleted on the server: restore it or "
		    "name another", c->s->experiment);
	return mlflowapi_take_id(c, what, "experiment.experiment_id", id, e);
}

static int
find_experiment(struct mlflowapi_call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "experiments/create";
	struct jsonw w;

	if (c->s->experiment_id != NULL) {
		(void)strncpy(id, c->s->experiment_id, MLFLOW_ID - 1);
		id[MLFLOW_ID - 1] = '\0';
		return 0;
	}
	if (get_experiment(c, id, e) == 0)
		return 0;
	if (c->status != 404)
		return -1;
	mlflowapi_begin(c, what, &w);
	jsonw_kstr(&w, "name", c->s->experiment);
	if (mlflowapi_expect(c, what, &w, true, e) == 0)
		return mlflowapi_take_id(c, what, "experiment_id", id, e);
	/* Somebody else was quicker. */
	return c->status == 400 || c->status == 409 ? get_experiment(c, id, e) : -1;
}

static void
put_key(struct jsonw *w, const char *key)
{
	char clean[MAX_KEY + 1];
	size_t n = 0;

	for (; key[n] != '\0' && n < MAX_KEY; n++)
		clean[n] = isalnum((unsigned char)key[n]) || strchr("_-. ", key[n]) != NULL ? key[n] : '_';
	clean[n] = '\0';
	if (clean[0] == '.')
		clean[0] = '_';
	jsonw_kstr(w, "key", clean);
}

static void
put_texts(struct jsonw *w, const char *what, const struct mlflow_text *t, size_t n)
{
	jsonw_key(w, what);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(t[i].value);

		if (len > MLFLOW_VALUE) {
			for (len = MLFLOW_VALUE; len > 0 && (t[i].value[len] & 0xc0) == 0x80;)
				len--;
		}
		jsonw_object(w);
		put_key(w, t[i].key);
		jsonw_kstr_n(w, "value", t[i].value, len);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_metrics(struct jsonw *w, const struct mlflow_number *m, size_t n, int64_t when_ms)
{
	jsonw_key(w, "metrics");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		put_key(w, m[i].key);
		if (isfinite(m[i].value))
			jsonw_kdouble(w, "value", m[i].value);
		else
			jsonw_kstr(w, "value", isnan(m[i].value) ? "NaN" : m[i].value > 0 ? "Infinity" :
			    "-Infinity");
		jsonw_kint(w, "timestamp", when_ms);
		jsonw_kint(w, "step", 0);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static int
create_run(struct mlflowapi_call *c, const struct mlflow_run *run, char id[MLFLOW_ID], struct err *e)
{
	const struct mlflow_text tags[] = { { "mlflow.user", run->user },
		{ "mlflow.source.name", "llmr" }, { "mlflow.source.type", "LOCAL" },
		{ "mlflow.runName", run->name } };
	static const char what[] = "runs/create";
	char experiment[MLFLOW_ID];
	struct jsonw w;

	if (find_experiment(c, experiment, e) < 0)
		return -1;
	mlflowapi_begin(c, what, &w);
	jsonw_kstr(&w, "experiment_id", experiment);
	jsonw_kstr(&w, "user_id", run->user);
	jsonw_kstr(&w, "run_name", run->name);
	jsonw_kint(&w, "start_time", run->start_ms);
	put_texts(&w, "tags", tags, sizeof tags / sizeof tags[0]);
	/* Not sent twice: a lost answer would leave a run behind that nobody ends. */
	if (mlflowapi_expect(c, what, &w, false, e) < 0)
		return -1;
	return mlflowapi_take_id(c, what, "run.info.run_id", id, e);
}

static int
join_run(struct mlflowapi_call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "runs/get";

	mlflowapi_begin(c, "runs/get?run_id=", NULL);
	mlflowapi_escape(&c->url, c->s->run_id);
	if (mlflowapi_expect(c, what, NULL, true, e) < 0)
		return err_wrap(e, "run '%s'", c->s->run_id);
	return mlflowapi_take_id(c, what, "run.info.run_id", id, e);
}

static size_t
slice_of(size_t n, size_t most, size_t batch, size_t *from)
{
	*from = batch * most < n ? batch * most : n;
	return n - *from < most ? n - *from : most;
}

static int
log_batches(struct mlflowapi_call *c, const struct mlflow_run *run, const char *id, struct err *e)
{
	static const char what[] = "runs/log-batch";

	for (size_t i = 0;; i++) {
		size_t p, t, m;
		size_t np = slice_of(run->n_params, BATCH_PARAMS, i, &p);
		size_t nt = slice_of(run->n_tags, BATCH_TAGS, i, &t);
		/* All together at most 1000. */
		size_t nm = slice_of(run->n_metrics, BATCH_METRICS - BATCH_PARAMS - BATCH_TAGS, i, &m);
		struct jsonw w;

		if (np + nt + nm == 0)
			return 0;
		mlflowapi_begin(c, what, &w);
		jsonw_kstr(&w, "run_id", id);
		put_texts(&w, "params", run->params + p, np);
		put_texts(&w, "tags", run->tags + t, nt);
		put_metrics(&w, run->metrics + m, nm, run->end_ms);
		if (mlflowapi_expect(c, what, &w, true, e) < 0)
			return -1;
	}
}

static int
end_run(struct mlflowapi_call *c, const struct mlflow_run *run, const char *id, struct err *e)
{
	static const char what[] = "runs/update";
	struct jsonw w;

	mlflowapi_begin(c, what, &w);
	jsonw_kstr(&w, "run_id", id);
	jsonw_kstr(&w, "status", run->status);
	jsonw_kint(&w, "end_time", run->end_ms);
	return mlflowapi_expect(c, what, &w, true, e);
}

int
mlflow_log(const struct mlflow_server *s, const struct mlflow_run *run, char id[MLFLOW_ID],
	struct err *e)
{
	struct mlflowapi_call c = { .s = s };
	struct err second = ERR_INIT;
	int r;

	r = s->run_id != NULL ? join_run(&c, id, e) : create_run(&c, run, id, e);
	if (r == 0) {
		r = log_batches(&c, run, id, e);
		if (s->run_id == NULL && end_run(&c, run, id, r == 0 ? e : &second) < 0)
			r = -1;
	}
	mlflowapi_finish(&c);
	return r;
}
