/* llmr train - learn a router from routing records. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "cmd.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "common/grid.h"
#include "common/load.h"
#include "common/oof.h"
#include "common/recipe.h"
#include "common/interrupted.h"
#include "common/runlog.h"
#include "math/mat.h"
#include "model/artifact.h"
#include "model/crossval.h"
#include "model/fit.h"
#include "model/search.h"
#include "common/trainmode.h"
#include "common/trainnotes.h"

/* Vectors of an encoder that folds share, bytes at most. */
#define ENCODER_MEMORY ((size_t)2 << 30)

#define SEARCH_OUTER 5		/* folds that judge a search when --cv says nothing */

/* What BLAS, the threads' own heaps and large pages that are not full take, measured. */
#define BASE_BYTES ((uint64_t)16 << 20)
#define THREAD_BYTES ((uint64_t)8 << 20)

/* Everything of one run. */
struct training {
	struct fit_params params;
	struct recipe *recipe;		/* --recipe, NULL none */
	struct dataset *data;
	struct pool *pool;
	struct encoder *encoder;	/* of --embedder, NULL none */
	struct router *router;
	struct baseline base;
	struct eval_result loo;
	struct crossval cv;
	size_t folds;			/* 0: no cross-validation */
	struct search_grid grid;	/* what --search tries */
	struct search_result found;
	bool search;
	struct buf search_json;		/* the search for artifact and --json; empty: none */
	struct interrupted resume;
	uint64_t stated_bytes;		/* what training was said to take at most */
	uint8_t digest[32];
	int64_t wall0, cpu0;
};

/* The operand, or the recipe's, or the kind that serves best on most data. */
static const char *
kind_name(const struct ctx *c, const struct recipe *recipe)
{
	if (c->n_args > 0)
		return c->args[0];
	return recipe != NULL && recipe->kind != NULL ? recipe->kind : "hybrid";
}

static int
unknown_kind(struct ctx *c, const char *kind)
{
	struct buf names = BUF_INIT;

	if (recipe_refused(kind, &c->err) < 0)
		return -1;
	for (size_t i = 0; scorer_kinds[i] != NULL; i++)
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", scorer_kinds[i]->name);
	err_set(&c->err, ERR_USAGE, "unknown kind of router '%s': there is %s", kind,
	    buf_cstr(&names));
	buf_finish(&names);
	return -1;
}

static int
read_params(struct ctx *c, const struct recipe *recipe, struct fit_params *p)
{
	const char *wanted = kind_name(c, recipe), *kind = opt_str(c, "embedder");
	const struct scorer_kind *router = scorer_find(wanted, strlen(wanted));

	if (router == NULL)
		return unknown_kind(c, wanted);
	if (kind == NULL)
		kind = strcmp(router->name, "hybrid") == 0 ? "lsa+shape" : "lsa";
	if (embed_check_kind(kind, &c->err) < 0) {
		c->err.code = ERR_USAGE;
		return err_wrap(&c->err, "--embedder");
	}
	fit_params_init(p, router);
	p->cancel = c->cancel;
	p->embed.kind = kind;
	p->best = strcmp(opt_str(c, "objective"), "best") == 0;
	p->seed = p->embed.seed = (uint64_t)opt_int(c, "seed");
	if (recipe_hparams(c, recipe, p) < 0)
		return -1;
	for (size_t i = 0; i < opt_count(c, "hparam"); i++) {
		const char *kv = opt_nth(c, "hparam", i), *eq = strchr(kv, '=');
		char name[64];

		if (eq == NULL || eq == kv || (size_t)(eq - kv) >= sizeof name)
			return err_set(&c->err, ERR_USAGE, "--hparam: '%s' is not KEY=VALUE", kv);
		memcpy(name, kv, (size_t)(eq - kv));
		name[eq - kv] = '\0';
		if (fit_params_set(p, name, eq + 1, &c->err) < 0)
			return err_wrap(&c->err, "--hparam");
	}
	return trainmode_read(c, p);
}

/* Find out before the work whether its fruit can be stored. */
static int
check_output(struct ctx *c, const char *path)
{
	struct io_out probe = { .fd = -1 };
	struct stat out, in;

	if (path == NULL)
		return err_set(&c->err, ERR_USAGE, "no output: give -o FILE.safetensors");
	if (strcmp(path, "-") == 0)
		return err_set(&c->err, ERR_USAGE, "an artifact is a file: give -o FILE.safetensors");
	if (stat(path, &out) == 0) {
		if (S_ISDIR(out.st_mode))
			return err_set(&c->err, ERR_CANTCREAT, "%s: is a directory", path);
		for (size_t i = 0; i < opt_count(c, "data"); i++)
			if (stat(opt_nth(c, "data", i), &in) == 0 && in.st_dev == out.st_dev &&
			    in.st_ino == out.st_ino)
				return err_set(&c->err, ERR_USAGE, "%s: is the data and the output",
				    path);
	}
	if (io_out_open(&probe, path, 0644, &c->err) < 0)
		return -1;
	io_out_abort(&probe);
	return 0;
}

static int
check_data(struct ctx *c, const struct training *t)
{
	const struct dataset *ds = t->data;

	if (ds->m < 2)
		return err_set(&c->err, ERR_INPUT, "only one model ('%s') in the data: "
		    "there is nothing to choose", ds->models.keys[0]);
	if (t->base.full > 0 && t->base.equal_rate == 1)
		log_warn(&c->log, "all models score the same on every query: nothing can be learned");
	if (t->base.full == 0)
		log_warn(&c->log, "no query was answered by every model: "
		    "the router cannot be compared with baselines");
	if (trainnotes(c, &t->params, t->search ? &t->grid : NULL, ds) < 0)
		return -1;
	return trainmode_check(c, &t->params, ds);
}

/* Everything at the peak of the process: what it holds by now, and the most that is to come. */
static uint64_t
memory_needed(const struct ctx *c, const struct training *t)
{
	const struct search_plan plan = { &t->params, &t->grid, NULL };
	uint64_t n = t->data->n, m = t->data->m;
	uint64_t fit = t->search ? search_memory(&plan, t->data) : fit_memory(&t->params, t->data);

	/* A fold's copy of the matrices, and the predictions of all. */
	if (t->folds > 0)
		fit += n * (12 * m + 64) + n * (8 * m + 64);
	return mem_peak_rss() + fit + BASE_BYTES + c->threads * THREAD_BYTES;
}

/* The figure that counts comes from folds that are searched anew; the router from a search on all data. */
static int
judge_and_choose(struct ctx *c, struct training *t)
{
	struct fit_params params = t->params;
	const struct search_plan search = { &params, &t->grid, &c->progress };
	struct search_nested nested = { &search, t->pool };
	const struct crossval_plan plan = { .params = &t->params, .folds = t->folds,
		.progress = &c->progress, .log = &c->log, .choose = t->search ? search_choose : NULL,
		.ctx = &nested, .choices = t->search ? t->grid.candidates : 1 };

	if (t->folds > 0 && crossval_run(&plan, t->data, t->pool, &t->cv, &c->err) < 0)
		return -1;
	if (!t->search)
		return 0;
	params.keep = checkpoint_below(&t->params.keep, "search");
	if (search_run(&search, t->data, t->pool, &t->found, &c->err) < 0 ||
	    search_apply(&t->grid, t->found.winner, &t->params, &c->err) < 0)
		return -1;
	grid_json(&t->grid, &t->found, &t->cv, &t->search_json);
	return buf_ok(&t->search_json, &c->err);
}

/* The grid in words, for the checkpoint. */
static char *
grid_name(struct ctx *c, const struct training *t)
{
	struct buf b = BUF_INIT;

	for (size_t a = 0; a < t->grid.n; a++) {
		buf_printf(&b, "%s%s=", a > 0 ? " " : "", t->grid.axis[a].name);
		for (size_t i = 0; i < t->grid.axis[a].n; i++)
			buf_printf(&b, "%s%s", i > 0 ? "|" : "", t->grid.axis[a].value[i]);
	}
	(void)buf_cstr(&b);
	return buf_take(&b, &c->err);
}

static int
begin(struct ctx *c, struct training *t, const char *output)
{
	char *grid;
	int r;
	bool blas = strstr(t->params.embed.kind, "lsa") != NULL || t->params.kind->uses_blas || t->search ||
	    expect_wanted(t->data);

	if (blas && mat_open(&c->err) < 0)
		return -1;
	if ((grid = grid_name(c, t)) == NULL)
		return -1;
	r = interrupted_open(c, t->data, &t->params, grid, t->folds, output, &t->resume);
	free(grid);
	if (r < 0)
		return -1;
	t->params.keep.store = t->resume.store;
	t->stated_bytes = memory_needed(c, t);
	say(c, "%zu queries, %zu models, %llu scores; training will take at most %.0f MB",
	    t->data->n, t->data->m, (unsigned long long)t->data->cells, (double)t->stated_bytes / 1e6);
	t->pool = pool_new(c->threads, &c->err);
	if (t->pool == NULL)
		return -1;
	return blas ? mat_warm(t->pool, &c->err) : 0;
}

static int
learn(struct ctx *c, struct training *t, const char *output)
{
	struct fit_params params;

	if (begin(c, t, output) < 0 || judge_and_choose(c, t) < 0)
		return -1;
	params = t->params;
	params.keep = checkpoint_below(&t->params.keep, "all");
	t->router = fit_router(&params, t->data, t->pool, &c->err);
	if (t->router == NULL || cancel_check(c->cancel, &c->err) < 0)
		return -1;
	if (fit_loo(t->router, t->data, t->params.seed, t->pool, &t->loo, &c->err) < 0)
		return -1;
	return trainmode_widen(c, t->router);
}

static struct fit_record
record_of(const struct ctx *c, const struct training *t)
{
	return (struct fit_record){ .data = t->data, .baseline = &t->base,
		.cv = t->folds > 0 ? &t->cv.result : NULL, .loo = &t->loo, .folds = t->folds,
		.unlearned = t->cv.unlearned, .seed = t->params.seed, .router = t->router,
		.weights = t->data->weight != NULL ? opt_str(c, "sample-weights") : "uniform",
		.search = t->search_json.len > 0 ? t->search_json.p : NULL };
}

static int
store(struct ctx *c, struct training *t, const char *path)
{
	const struct fit_record record = record_of(c, t);
	struct buf hparams = BUF_INIT, training = BUF_INIT;
	struct artifact_info info = { t->data, opt_flag(c, "store-queries"), NULL, NULL };
	struct jsonw w;
	int r = -1;

	jsonw_init(&w, &hparams);
	jsonw_object(&w);
	fit_params_write(&t->params, t->router, &w);
	jsonw_end_object(&w);
	jsonw_init(&w, &training);
	jsonw_object(&w);
	fit_record_write(&record, &w);
	jsonw_end_object(&w);
	if (buf_ok(&hparams, &c->err) < 0 || buf_ok(&training, &c->err) < 0 ||
	    cancel_check(c->cancel, &c->err) < 0)
		goto out;
	info.hparams = buf_cstr(&hparams);
	info.training = buf_cstr(&training);
	if (info.store_queries)
		say(c, "the text of the %zu queries is kept in the artifact (--store-queries)",
		    t->data->n);
	r = artifact_save(t->router, &info, path, t->digest, &c->err);
	runlog_note(c, &(struct runlog_note){ .params = info.hparams, .metrics = info.training,
		.data = t->data->digest, .artifact = path, .digest = r == 0 ? t->digest : NULL });
out:
	buf_finish(&hparams);
	buf_finish(&training);
	return r;
}

static void
say_estimate(const struct ctx *c, const char *what, const struct eval_result *r)
{
	if (!r->compared)
		return;
	say(c, "%-26s %.4f  best single %.4f  difference %+.4f [%+.4f, %+.4f]", what, r->router,
	    r->best, r->delta.value, r->delta.lo, r->delta.hi);
	if (!isnan(r->gap.value))
		say(c, "%-26s %.1f %% of the way from best single to oracle", "", 100 * r->gap.value);
}

static void
report_index(const struct ctx *c, const struct knn *knn)
{
	if (knn == NULL || knn->graph.n == 0 || knn->recall.sample == 0)
		return;
	say(c, "%-26s finds %.1f %% of the 10 nearest prompts, %.1f %% of the %zu nearest "
	    "(ef_search %zu)", "index", 100 * knn->recall.at_10, 100 * knn->recall.at_k,
	    knn->params.n_neighbors, knn->params.ef_search);
	if (knn->recall.at_10 < knn->params.recall)
		log_warn(&c->log, "the index does not reach recall %g: raise M, ef_construction or "
		    "ef_search, or take index=exact", knn->params.recall);
}

static void
report_people(const struct ctx *c, const struct training *t, const char *path)
{
	const struct baseline *b = &t->base;
	const struct eval_result *judge = t->folds > 0 ? &t->cv.result : &t->loo;
	char name[64];

	say(c, "%-26s %.4f  (%s)", "best single", b->best_score, t->data->models.keys[b->best]);
	if (b->cheapest != BASELINE_NONE)
		say(c, "%-26s %.4f  (%s)", "cheapest", b->cheapest_score,
		    t->data->models.keys[b->cheapest]);
	if (b->full > 0) {
		say(c, "%-26s %.4f", "random", b->random);
		say(c, "%-26s %.4f", "oracle", b->oracle);
		say(c, "%-26s %.1f %% of %zu queries share their best score between models",
		    "ties", 100 * b->tie_rate, b->full);
	}
	if (t->search)
		grid_say(c, &t->grid, &t->found);
	report_index(c, router_knn(t->router));
	(void)snprintf(name, sizeof name, "router, leave-one-out");
	say_estimate(c, name, &t->loo);
	(void)snprintf(name, sizeof name, t->search ? "router, %zu-fold, nested" : "router, %zu-fold",
	    t->folds);
	if (t->folds > 0)
		say_estimate(c, name, &t->cv.result);
	if (judge->compared && !(judge->delta.value > 0))
		log_warn(&c->log, "the router does not beat always calling '%s'",
		    t->data->models.keys[b->best]);
	else if (judge->compared && !(judge->delta.lo > 0))
		log_warn(&c->log, "the router's lead over the best single model is within noise");
	trainmode_say(c, t->router);
	say(c, "wrote %s in %.1f s, %.0f MB at the peak", path,
	    (double)(clock_mono_ns() - t->wall0) / 1e9, (double)mem_peak_rss() / 1e6);
}

static void
report_json(const struct ctx *c, const struct training *t, const char *path)
{
	const struct fit_record record = record_of(c, t);
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];

	hex_format(t->digest, 32, hex);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "kind", t->params.kind->name);
	fit_record_write(&record, &w);
	jsonw_kdouble(&w, "seconds", round((double)(clock_mono_ns() - t->wall0) / 1e6) / 1e3);
	jsonw_kdouble(&w, "cpu_seconds", round((double)(clock_cpu_ns() - t->cpu0) / 1e6) / 1e3);
	jsonw_kint(&w, "stated_bytes", (int64_t)t->stated_bytes);
	jsonw_kint(&w, "peak_rss_bytes", (int64_t)mem_peak_rss());
	jsonw_kstr(&w, "output", path);
	jsonw_kstr(&w, "sha256", hex);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(b.p, b.len);
	buf_finish(&b);
}

/* What --cv, --search and --save-oof ask for together. */
static int
read_plan(struct ctx *c, struct training *t)
{
	t->folds = opt_given(c, "cv") ? (size_t)opt_int(c, "cv") : 0;
	if (grid_open(c, &t->params, &t->grid, &t->search) < 0)
		return -1;
	if (t->search && t->folds == 0)
		t->folds = SEARCH_OUTER;
	if (opt_str(c, "save-oof") != NULL && t->folds == 0)
		return err_set(&c->err, ERR_USAGE, "--save-oof needs --cv: without folds no query is left out");
	return 0;
}

static int
read_data(struct ctx *c, struct training *t)
{
	static const char *const names[] = { [DATASET_WEIGHTS_RECORD] = "record",
		[DATASET_WEIGHTS_UNIFORM] = "uniform", [DATASET_WEIGHTS_TASK] = "task" };
	const char *how = opt_str(c, "sample-weights");
	int mode = DATASET_WEIGHTS_RECORD;

	t->data = load_data(c, opt_str(c, "from"));
	if (t->data == NULL)
		return -1;
	for (int i = 0; i < 3; i++)
		if (strcmp(names[i], how) == 0)
			mode = i;
	if (mode == DATASET_WEIGHTS_TASK && t->data->tasks.len < 2)
		log_warn(&c->log, "--sample-weights task: all queries are of one task, so they count the same");
	if (dataset_weigh(t->data, (enum dataset_weights)mode, &c->err) < 0)
		return -1;
	baseline_compute(t->data->score, t->data->cost, t->data->n, t->data->m, &t->base);
	return check_data(c, t);
}

static int
train(struct ctx *c, struct training *t)
{
	const char *path, *oof = opt_str(c, "save-oof");

	if (recipe_open(c, &t->recipe) < 0 || read_params(c, t->recipe, &t->params) < 0)
		return -1;
	path = opt_str(c, "output");
	if (check_output(c, path) < 0 || recipe_spared(c, path) < 0 || read_plan(c, t) < 0)
		return -1;
	if (load_encoder(c, t->params.embed.kind, opt_str(c, "dtype"), opt_str(c, "truncate"), &t->encoder) < 0 ||
	    (t->encoder != NULL && encoder_remember(t->encoder, ENCODER_MEMORY, &c->err) < 0))
		return -1;
	t->params.embed.encoder = t->encoder;
	runlog_begin(c, "train", t->params.kind->name);
	if (read_data(c, t) < 0 || learn(c, t, path) < 0)
		return -1;
	if (oof != NULL && oof_save(c, t->data, &t->cv, oof) < 0)
		return -1;
	if (store(c, t, path) < 0)
		return -1;
	report_people(c, t, path);
	if (c->json)
		report_json(c, t, path);
	return 0;
}

int
cmd_train(struct ctx *c)
{
	struct training t = { .wall0 = clock_mono_ns(), .cpu0 = clock_cpu_ns() };
	int r = train(c, &t);

	if (r < 0 && c->err.code == ERR_TEMPFAIL && t.stated_bytes > 0)
		err_wrap(&c->err, "training takes up to %.0f MB", (double)t.stated_bytes / 1e6);
	interrupted_close(c, &t.resume, r);
	pool_free(t.pool);
	router_free(t.router);
	encoder_free(t.encoder);
	crossval_finish(&t.cv);
	search_finish(&t.found);
	search_grid_finish(&t.grid);
	buf_finish(&t.search_json);
	dataset_free(t.data);
	recipe_free(t.recipe);
	return r;
}
