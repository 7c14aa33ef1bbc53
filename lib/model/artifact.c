#include "model/artifact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/yamlw.h"

/* Ordinary words, so that most embedders know some of them. */
#define PROBE_TEXT "Write a short function that returns the sum of two numbers, " \
	"and explain how it works."

/* ---- writing ---- */

/* Query digests, and texts end to end; what the writer borrows until it is saved. */
struct query_block {
	uint8_t *digest;
	struct buf text;
	uint64_t *offset;
};

static void
query_block_finish(struct query_block *q)
{
	free(q->digest);
	free(q->offset);
	buf_finish(&q->text);
}

static unsigned
hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static int
query_block_make(struct query_block *q, const struct artifact_info *info, struct err *e)
{
	const struct dataset *ds = info->data;

	q->digest = mem_aligned(ds->n, 8, e);
	q->offset = mem_aligned(ds->n + 1, sizeof *q->offset, e);
	if (q->digest == NULL || q->offset == NULL)
		return -1;
	for (size_t i = 0; i < ds->n; i++) {
		for (size_t j = 0; j < 8; j++)
			q->digest[8 * i + j] = (uint8_t)(hex_digit(ds->query_id[i][2 * j]) << 4 |
			    hex_digit(ds->query_id[i][2 * j + 1]));
		if (info->store_queries)
			buf_add(&q->text, ds->query[i].p, ds->query[i].n);
		q->offset[i + 1] = q->text.len;
	}
	return buf_ok(&q->text, e);
}

static int
add_queries(struct tensorfile_writer *w, const struct query_block *q,
	const struct artifact_info *info, struct err *e)
{
	const uint64_t digests[] = { info->data->n, 8 }, offsets[] = { info->data->n + 1 };
	const uint64_t bytes[] = { q->text.len };

	if (tensorfile_writer_add(w, "queries.digest", DTYPE_U8, 2, digests, q->digest, e) < 0)
		return -1;
	if (!info->store_queries)
		return 0;
	if (tensorfile_writer_add(w, "queries.offset", DTYPE_U64, 1, offsets, q->offset, e) < 0)
		return -1;
	return tensorfile_writer_add(w, "queries.text", DTYPE_U8, 1, bytes, q->text.p, e);
}

/* The table that modes are calibrated by; the head; which models have no data. prior [m] is borrowed. */
static int
add_rest(struct tensorfile_writer *w, const struct router *r, const float *prior, struct err *e)
{
	const uint64_t table[] = { r->table.n, r->table.m }, models[] = { r->models.len };

	if (r->table.n > 0 && (tensorfile_writer_add(w, "mode.predicted", DTYPE_F32, 2, table,
	    r->table.predicted, e) < 0 || tensorfile_writer_add(w, "mode.score", DTYPE_F32, 2, table,
	    r->table.score, e) < 0))
		return -1;
	if (r->column != NULL &&
	    tensorfile_writer_add(w, "router.prior", DTYPE_F32, 1, models, prior, e) < 0)
		return -1;
	return r->expect == NULL ? 0 : expect_save(r->expect, w, e);
}

/* quality_score of the models without data, -1 for the others. */
static float *
priors_of(const struct router *r, struct err *e)
{
	float *prior = mem_aligned(r->models.len, sizeof *prior, e);

	for (size_t j = 0; prior != NULL && j < r->models.len; j++)
		prior[j] = r->column != NULL && r->column[j] == MODE_NO_COLUMN ? r->score_mean[j] : -1;
	return prior;
}

static int
add_means(struct tensorfile_writer *w, const struct router *r, struct err *e)
{
	const uint64_t models[] = { r->models.len };

	if (tensorfile_writer_add(w, "router.score_mean", DTYPE_F32, 1, models, r->score_mean, e) < 0)
		return -1;
	if (tensorfile_writer_add(w, "router.cost_mean", DTYPE_F32, 1, models, r->cost_mean, e) < 0)
		return -1;
	if (!router_knows_latency(r))
		return 0;
	return tensorfile_writer_add(w, "router.latency_mean", DTYPE_F32, 1, models, r->latency_mean,
	    e);
}

static int
write_probe(const struct router *r, struct jsonw *w, struct err *e)
{
	const struct policy p = POLICY_INIT;
	struct router_scratch *s = router_scratch_new(r, e);
	struct policy_choice c;

	if (s == NULL)
		return -1;
	router_route(r, &p, SLICE_LIT(PROBE_TEXT), s, &c);
	jsonw_object(w);
	jsonw_kstr(w, "text", PROBE_TEXT);
	jsonw_key(w, "scores");
	jsonw_array(w);
	for (size_t j = 0; j < r->models.len; j++)
		jsonw_double(w, round((double)s->score[j] * 1e6) / 1e6);
	jsonw_end_array(w);
	jsonw_kstr(w, "model", r->models.keys[c.model]);
	jsonw_end_object(w);
	router_scratch_free(s);
	return 0;
}

enum { META_FORMAT, META_KIND, META_MODELS, META_EMBEDDER, META_HPARAMS, META_TRAINING, META_PROBE,
	METAS };
static const char *const meta_key[METAS] = { "llmr.format", "llmr.kind", "llmr.models",
	"llmr.embedder", "llmr.hparams", "llmr.training", "llmr.probe" };

static int
make_metadata(const struct router *r, const struct artifact_info *info, struct buf meta[METAS],
	struct err *e)
{
	struct jsonw w;

	buf_str(&meta[META_FORMAT], ARTIFACT_FORMAT);
	buf_str(&meta[META_KIND], r->kind->name);
	jsonw_init(&w, &meta[META_MODELS]);
	jsonw_array(&w);
	for (size_t j = 0; j < r->models.len; j++)
		jsonw_string_n(&w, r->models.keys[j], r->models.key_len[j]);
	jsonw_end_array(&w);
	jsonw_init(&w, &meta[META_EMBEDDER]);
	embed_describe(r->embed, &w);
	buf_str(&meta[META_HPARAMS], info->hparams);
	buf_str(&meta[META_TRAINING], info->training);
	jsonw_init(&w, &meta[META_PROBE]);
	if (write_probe(r, &w, e) < 0)
		return -1;
	for (size_t i = 0; i < METAS; i++)
		if (buf_ok(&meta[i], e) < 0)
			return -1;
	return 0;
}

static int
make_yaml(const struct buf meta[METAS], const char *path, const uint8_t digest[32], struct buf *out,
	struct err *e)
{
	const char *base = strrchr(path, '/');
	char hex[65];

	hex_format(digest, 32, hex);
	buf_str(out, "# What the router artifact of this name holds; written by llmr train.\nfile: ");
	base = base == NULL ? path : base + 1;
	jsonw_quote(out, base, strlen(base));
	buf_printf(out, "\nsha256: \"%s\"\n", hex);
	for (size_t i = 0; i < METAS; i++) {
		struct slice json = { meta[i].p, meta[i].len };

		if (i == META_FORMAT || i == META_KIND) {
			buf_printf(out, "%s: \"%s\"\n", meta_key[i] + 5, buf_cstr(&meta[i]));
			continue;
		}
		if (yamlw_member(out, 0, meta_key[i] + 5, json, e) < 0)
			return -1;
	}
	return buf_ok(out, e);
}

/* NAME.yaml for NAME.safetensors; NULL and err when memory lacks. */
static char *
yaml_path(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	size_t n = strlen(path), suffix = strlen(".safetensors");

	if (n > suffix && strcmp(path + n - suffix, ".safetensors") == 0)
		n -= suffix;
	buf_add(&b, path, n);
	buf_str(&b, ".yaml");
	return buf_take(&b, e);
}

/* The YAML file is opened before the artifact is written, so that a refusal leaves neither. */
static int
save_both(struct tensorfile_writer *w, const struct buf meta[METAS], const char *path,
	uint8_t digest[32], struct err *e)
{
	struct io_out out = { .fd = -1 };
	struct buf text = BUF_INIT;
	char *beside = NULL;
	int r = -1;

	if (strncmp(path, "/dev/", 5) == 0)
		return tensorfile_writer_save(w, path, digest, e);
	beside = yaml_path(path, e);
	if (beside == NULL || io_out_open(&out, beside, 0644, e) < 0)
		goto out;
	if (tensorfile_writer_save(w, path, digest, e) < 0 ||
	    make_yaml(meta, path, digest, &text, e) < 0 ||
	    io_out_write(&out, text.p, text.len, e) < 0)
		goto out;
	r = io_out_commit(&out, e);
out:
	io_out_abort(&out);
	buf_finish(&text);
	free(beside);
	return r;
}

int
artifact_save(const struct router *r, const struct artifact_info *info, const char *path,
	uint8_t digest[32], struct err *e)
{
	struct tensorfile_writer *w = tensorfile_writer_new(e);
	struct query_block q = { NULL, BUF_INIT, NULL };
	struct buf meta[METAS] = { BUF_INIT };
	float *prior = priors_of(r, e);
	int status = -1;

	if (w == NULL || prior == NULL)
		goto out;
	if (make_metadata(r, info, meta, e) < 0 || query_block_make(&q, info, e) < 0)
		goto out;
	for (size_t i = 0; i < METAS; i++)
		if (tensorfile_writer_meta(w, meta_key[i], buf_cstr(&meta[i]), e) < 0)
			goto out;
	if (embed_save(r->embed, w, e) < 0 || r->kind->save(r->scorer, "", w, e) < 0 ||
	    add_means(w, r, e) < 0 || add_rest(w, r, prior, e) < 0 ||
	    add_queries(w, &q, info, e) < 0)
		goto out;
	status = save_both(w, meta, path, digest, e);
out:
	tensorfile_writer_free(w);
	query_block_finish(&q);
	free(prior);
	for (size_t i = 0; i < METAS; i++)
		buf_finish(&meta[i]);
	return status;
}

/* ---- reading ---- */

/* Raw text of a member of a JSON object; SLICE_NONE when there is none. */
static struct slice
member(struct slice json, const char *name)
{
	struct slice key, raw, found = SLICE_NONE;
	struct jread r;

	if (json.p == NULL)
		return SLICE_NONE;
	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (!jread_skip_raw(&r, &raw))
				return SLICE_NONE;
			if (slice_is(key, name))
				found = raw;
		}
	return found;
}

/* Index of the model that a JSON string names, or MAP_NONE. */
static size_t
model_of(const struct map *models, struct slice json)
{
	struct arena a = ARENA_INIT;
	struct slice name;
	struct jread r;
	size_t i = MAP_NONE;

	if (json.p == NULL)
		return MAP_NONE;
	jread_init(&r, json.p, json.n);
	if (jread_peek(&r) == JREAD_STRING && jread_string(&r, &a, &name))
		i = map_find(models, name.p, name.n);
	arena_finish(&a);
	return i;
}

static int
read_models(struct slice json, struct map *models, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct jread r;
	struct slice name;
	bool added;
	int status = -1;

	jread_init(&r, json.p, json.n);
	if (jread_array(&r))
		while (jread_element(&r)) {
			if (!jread_string(&r, &a, &name))
				break;
			if (name.n == 0 || memchr(name.p, '\0', name.n) != NULL ||
			    models->len >= DATASET_MAX_MODELS) {
				err_set(e, ERR_INPUT, "llmr.models: bad name or too many");
				goto out;
			}
			if (map_intern(models, name.p, name.n, &added, e) == MAP_NONE)
				goto out;
			if (!added || (models->len > 1 && strcmp(models->keys[models->len - 2],
			    models->keys[models->len - 1]) >= 0)) {
				err_set(e, ERR_INPUT, "llmr.models: names are not ascending");
				goto out;
			}
		}
	if (jread_done(&r, e) < 0)
		err_wrap(e, "llmr.models");
	else if (models->len == 0)
		err_set(e, ERR_INPUT, "llmr.models: no model");
	else
		status = 0;
out:
	arena_finish(&a);
	return status;
}

static int
read_training(struct router *r, struct slice json, struct err *e)
{
	struct slice base = member(json, "baselines"), seed = member(json, "seed");
	struct jread check;
	long long n;

	jread_init(&check, json.p, json.n);
	jread_skip(&check);
	if (jread_done(&check, e) < 0)
		return err_wrap(e, "llmr.training");
	r->best_single = model_of(&r->models, member(member(base, "best_single"), "model"));
	if (r->best_single == MAP_NONE)
		return err_set(e, ERR_INPUT, "llmr.training: best_single is not one of the models");
	r->cheapest = model_of(&r->models, member(base, "cheapest_model"));
	if (slice_int(seed, &n) && n >= 0)
		r->seed = (uint64_t)n;
	return 0;
}

static int
read_texts(struct router *r, const struct tensorfile *f, struct err *e)
{
	const uint64_t offsets[] = { r->n_queries + 1 }, any[] = { 0 };
	const struct tensor *text, *offset;

	if (tensorfile_find(f, "queries.text") == NULL)
		return 0;
	text = tensorfile_need(f, "queries.text", DTYPE_U8, 1, any, e);
	offset = text == NULL ? NULL :
	    tensorfile_need(f, "queries.offset", DTYPE_U64, 1, offsets, e);
	if (offset == NULL)
		return -1;
	r->text = text->data;
	r->text_offset = offset->data;
	for (size_t i = 0; i < r->n_queries; i++)
		if (r->text_offset[i] > r->text_offset[i + 1])
			return err_set(e, ERR_INPUT, "tensor 'queries.offset' descends at %zu", i);
	if (r->text_offset[0] != 0 || r->text_offset[r->n_queries] != text->bytes)
		return err_set(e, ERR_INPUT, "tensor 'queries.offset' does not cover the texts");
	return 0;
}

static int
read_queries(struct router *r, const struct tensorfile *f, struct err *e)
{
	const uint64_t digests[] = { router_knn(r) == NULL ? 0 : router_knn(r)->n, 8 };
	const struct tensor *t = tensorfile_need(f, "queries.digest", DTYPE_U8, 2, digests, e);

	if (t == NULL)
		return -1;
	r->n_queries = (size_t)t->shape[0];
	r->query_digest = t->data;
	for (size_t i = 1; i < r->n_queries; i++)
		if (memcmp(r->query_digest + 8 * (i - 1), r->query_digest + 8 * i, 8) >= 0)
			return err_set(e, ERR_INPUT, "tensor 'queries.digest' is not ascending "
			    "at row %zu", i);
	return read_texts(r, f, e);
}

/* A copy of a tensor [m] of values in 0..hi, or -1 where gaps are allowed. */
static float *
read_mean(const struct tensorfile *f, const char *name, size_t m, float hi, bool gaps,
	struct err *e)
{
	const uint64_t shape[] = { m };
	const struct tensor *t = tensorfile_need(f, name, DTYPE_F32, 1, shape, e);
	float *mean = t == NULL ? NULL : mem_aligned(m, sizeof *mean, e);

	if (mean == NULL)
		return NULL;
	memcpy(mean, t->data, m * sizeof *mean);
	for (size_t j = 0; j < m; j++)
		if (!(mean[j] >= 0 && mean[j] <= hi) && !(gaps && mean[j] == -1)) {
			err_set(e, ERR_INPUT, "tensor '%s': element %zu is %g", name, j,
			    (double)mean[j]);
			free(mean);
			return NULL;
		}
	return mean;
}

static double
probe_tolerance(const struct router *r)
{
	return embed_varies(r->embed) ? ARTIFACT_PROBE_TOLERANCE_ROUGH : ARTIFACT_PROBE_TOLERANCE;
}

/* Compare a JSON array of the probe's scores with what the router says now. */
static int
compare_probe(const struct router *r, struct slice scores, const struct router_scratch *s,
	double *gap, struct err *e)
{
	struct jread j;
	size_t n = 0;
	double want, first = -1, second = -1;

	jread_init(&j, scores.p, scores.n);
	if (jread_array(&j))
		while (jread_element(&j) && jread_double(&j, &want)) {
			if (n >= r->models.len ||
			    !(fabs(want - (double)s->score[n]) <= probe_tolerance(r)))
				return err_set(e, ERR_INPUT, "llmr.probe: score %zu comes out "
				    "different: the file is damaged or of another version", n);
			if (want > first) {
				second = first;
				first = want;
			} else if (want > second)
				second = want;
			n++;
		}
	if (jread_done(&j, e) < 0)
		return err_wrap(e, "llmr.probe");
	if (n != r->models.len)
		return err_set(e, ERR_INPUT, "llmr.probe: %zu scores for %zu models", n, r->models.len);
	*gap = first - second;
	return 0;
}

static int
check_probe(const struct router *r, struct slice json, struct err *e)
{
	const struct policy p = POLICY_INIT;
	struct slice text_json = member(json, "text"), scores = member(json, "scores"), text;
	struct arena a = ARENA_INIT;
	struct router_scratch *s = NULL;
	struct policy_choice c;
	struct jread j;
	double gap = 0;
	int status = -1;

	if (text_json.p != NULL)
		jread_init(&j, text_json.p, text_json.n);
	if (text_json.p == NULL || scores.p == NULL || !jread_string(&j, &a, &text)) {
		err_set(e, ERR_INPUT, "llmr.probe: no text or scores");
		goto out;
	}
	if ((s = router_scratch_new(r, e)) == NULL)
		goto out;
	router_route(r, &p, text, s, &c);
	if (compare_probe(r, scores, s, &gap, e) < 0)
		goto out;
	if (gap > 2 * probe_tolerance(r) &&
	    c.model != model_of(&r->models, member(json, "model"))) {
		err_set(e, ERR_INPUT, "llmr.probe: another model is chosen than when it was written");
		goto out;
	}
	status = 0;
out:
	router_scratch_free(s);
	arena_finish(&a);
	return status;
}

/* The value of a metadata key that must be there. */
static int
need_meta(const struct tensorfile *f, size_t i, struct slice *out, struct err *e)
{
	*out = tensorfile_meta(f, meta_key[i]);
	if (out->p == NULL)
		return err_set(e, ERR_INPUT, "no \"%s\" in its metadata: not a router artifact",
		    meta_key[i]);
	return 0;
}

/* Which of the models the scorer knows; all where there is no "router.prior". */
static int
read_columns(struct router *r, const struct tensorfile *f, struct err *e)
{
	float *prior;

	r->scored = r->models.len;
	if (tensorfile_find(f, "router.prior") == NULL)
		return 0;
	prior = read_mean(f, "router.prior", r->models.len, 1, true, e);
	r->column = prior == NULL ? NULL : mem_calloc(r->models.len, sizeof *r->column, e);
	if (r->column == NULL) {
		free(prior);
		return -1;
	}
	r->scored = 0;
	for (size_t j = 0; j < r->models.len; j++)
		r->column[j] = prior[j] >= 0 ? MODE_NO_COLUMN : r->scored++;
	free(prior);
	return r->scored > 0 ? 0 : err_set(e, ERR_INPUT, "tensor 'router.prior': no model has data");
}

static int
read_table(struct router *r, const struct tensorfile *f, struct err *e)
{
	const uint64_t any[] = { 0, r->scored };
	uint64_t shape[2] = { 0, r->scored };
	const struct tensor *p, *s;

	if (tensorfile_find(f, "mode.predicted") == NULL)
		return 0;
	if ((p = tensorfile_need(f, "mode.predicted", DTYPE_F32, 2, any, e)) == NULL)
		return -1;
	shape[0] = p->shape[0];
	if (shape[0] == 0 || (s = tensorfile_need(f, "mode.score", DTYPE_F32, 2, shape, e)) == NULL)
		return shape[0] == 0 ? err_set(e, ERR_INPUT, "tensor 'mode.predicted' is empty") : -1;
	r->table = (struct mode_table){ (size_t)p->shape[0], r->scored, p->data, s->data };
	for (size_t i = 0; i < r->table.n * r->scored; i++)
		if (!(fabsf(r->table.predicted[i]) <= 1e6f) || !(r->table.score[i] <= 1 &&
		    (r->table.score[i] >= 0 || r->table.score[i] == -1)))
			return err_set(e, ERR_INPUT, "tensor 'mode.%s': element %zu is out of range",
			    fabsf(r->table.predicted[i]) <= 1e6f ? "score" : "predicted", i);
	return 0;
}

/* What stands beside the scorer; older files have none of it. */
static int
read_rest(struct router *r, const struct tensorfile *f, struct slice hparams, struct err *e)
{
	mode_params_init(&r->mode_params);
	if (mode_params_read(&r->mode_params, hparams, e) < 0 || read_table(r, f, e) < 0 ||
	    expect_load(f, r->scored, r->d, &r->expect, e) < 0)
		return -1;
	if (mode_resolve(&r->mode_params, &r->table, &r->models, r->column, r->score_mean, &r->mode,
	    e) == 0)
		return 0;
	if (e != NULL)
		e->code = ERR_INPUT;
	return err_wrap(e, "llmr.hparams");
}

static int
load_parts(struct router *r, const struct tensorfile *f, struct encoder *encoder, struct err *e)
{
	struct slice meta[METAS];

	for (size_t i = 0; i < METAS; i++)
		if (need_meta(f, i, &meta[i], e) < 0)
			return -1;
	if (!slice_is(meta[META_FORMAT], ARTIFACT_FORMAT))
		return err_set(e, ERR_INPUT, "artifact format '%.*s': this llmr reads %s",
		    (int)(meta[META_FORMAT].n < 16 ? meta[META_FORMAT].n : 16),
		    meta[META_FORMAT].p, ARTIFACT_FORMAT);
	r->kind = scorer_find(meta[META_KIND].p, meta[META_KIND].n);
	if (r->kind == NULL)
		return err_set(e, ERR_INPUT, "router kind '%.*s' is not one that this llmr knows",
		    (int)(meta[META_KIND].n < 32 ? meta[META_KIND].n : 32), meta[META_KIND].p);
	if (read_models(meta[META_MODELS], &r->models, e) < 0 || read_columns(r, f, e) < 0)
		return -1;
	r->embed = embed_load(f, meta[META_EMBEDDER], encoder, e);
	if (r->embed == NULL)
		return -1;
	r->d = embed_dim(r->embed);
	r->scorer = r->kind->load(f, "", r->scored, r->d, meta[META_HPARAMS], e);
	if (r->scorer == NULL || (r->score_mean = read_mean(f, "router.score_mean", r->models.len, 1,
	    false, e)) == NULL || (r->cost_mean = read_mean(f, "router.cost_mean", r->models.len,
	    1e6f, true, e)) == NULL)
		return -1;
	if (tensorfile_find(f, "router.latency_mean") != NULL && (r->latency_mean = read_mean(f,
	    "router.latency_mean", r->models.len, 1e6f, true, e)) == NULL)
		return -1;
	if (read_rest(r, f, meta[META_HPARAMS], e) < 0 ||
	    read_training(r, meta[META_TRAINING], e) < 0 || read_queries(r, f, e) < 0)
		return -1;
	return check_probe(r, meta[META_PROBE], e);
}

bool
artifact_names_encoder(const struct tensorfile *f)
{
	struct slice description;

	return need_meta(f, META_EMBEDDER, &description, NULL) == 0 && embed_names_encoder(description);
}

struct router *
artifact_take_with(struct tensorfile *f, struct encoder *encoder, struct err *e)
{
	struct router *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	if (load_parts(r, f, encoder, e) < 0) {
		router_free(r);
		return NULL;
	}
	r->file = f;
	return r;
}

struct router *
artifact_take(struct tensorfile *f, struct err *e)
{
	return artifact_take_with(f, NULL, e);
}

struct router *
artifact_load(const char *path, struct err *e)
{
	return artifact_load_with(path, NULL, e);
}

struct router *
artifact_load_with(const char *path, struct encoder *encoder, struct err *e)
{
	struct tensorfile *f = tensorfile_load(path, e);
	struct router *r;

	if (f == NULL)
		return NULL;
	r = artifact_take_with(f, encoder, e);
	if (r == NULL) {
		err_wrap(e, "%s", path);
		tensorfile_free(f);
	}
	return r;
}
