#include "data/refine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "fmt/jread.h"

struct alias {
	struct slice from, to;
};

struct refine {
	struct refine_opts o;
	struct alias *alias;
	struct redact *redact;
	struct arena arena;
	struct buf scratch;
	struct refine_counts counts;
};

static int
parse_aliases(struct refine *r, struct err *e)
{
	if ((r->alias = mem_calloc(r->o.n_alias, sizeof *r->alias, e)) == NULL)
		return -1;
	for (size_t i = 0; i < r->o.n_alias; i++) {
		const char *s = r->o.alias[i], *eq = strchr(s, '=');

		if (eq == NULL || eq == s || eq[1] == '\0')
			return err_set(e, ERR_USAGE, "--alias %s: A=B expected, both non-empty", s);
		r->alias[i].from = (struct slice){ s, (size_t)(eq - s) };
		r->alias[i].to = slice_str(eq + 1);
	}
	return 0;
}

struct refine *
refine_new(const struct refine_opts *o, struct err *e)
{
	struct refine *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	r->o = *o;
	if (parse_aliases(r, e) < 0 || (o->n_redact > 0 &&
		(r->redact = redact_new(o->redact, o->n_redact, e)) == NULL)) {
		refine_free(r);
		return NULL;
	}
	return r;
}

void
refine_free(struct refine *r)
{
	if (r == NULL)
		return;
	free(r->alias);
	redact_free(r->redact);
	arena_finish(&r->arena);
	buf_finish(&r->scratch);
	free(r);
}

static bool
rename_model(const struct refine *r, struct slice *name)
{
	for (size_t i = 0; i < r->o.n_alias; i++) {
		if (slice_eq(*name, r->alias[i].from)) {
			*name = r->alias[i].to;
			return true;
		}
	}
	return false;
}

static struct slice
model_name(const struct refine *r, struct slice name)
{
	const char *slash;

	if (rename_model(r, &name) || !r->o.strip_provider)
		return name;
	slash = memchr(name.p, '/', name.n);
	if (slash != NULL && slash + 1 < name.p + name.n)
		name = (struct slice){ slash + 1, (size_t)(name.p + name.n - slash - 1) };
	(void)rename_model(r, &name);
	return name;
}

static int
keep(struct refine *r, const void *p, size_t n, struct slice *out, struct err *e)
{
	char *copy = arena_dup(&r->arena, p, n, e);

	if (copy == NULL)
		return -1;
	*out = (struct slice){ copy, n };
	return 0;
}

static int
redact(struct refine *r, struct slice *text, struct err *e)
{
	buf_reset(&r->scratch);
	if (r->redact == NULL || !redact_text(r->redact, *text, &r->scratch, &r->counts.redactions))
		return 0;
	if (buf_ok(&r->scratch, e) < 0)
		return -1;
	return keep(r, r->scratch.p, r->scratch.len, text, e);
}

#define REDACT_DEPTH 48	/* of nested unknown members; what lies deeper is dropped */

/* One JSON value with every string in it redacted. */
static void
redact_value(struct refine *r, struct jread *j, struct arena *a, struct jsonw *w)
{
	struct slice s, key;

	switch (jread_peek(j)) {
	case JREAD_STRING:
		if (!jread_string(j, a, &s))
			return;
		buf_reset(&r->scratch);
		if (redact_text(r->redact, s, &r->scratch, &r->counts.redactions))
			s = (struct slice){ r->scratch.p, r->scratch.len };
		jsonw_string_n(w, s.p, s.n);
		return;
	case JREAD_OBJECT:
	case JREAD_ARRAY:
		if (w->depth >= REDACT_DEPTH) {
			jread_skip(j);
			jsonw_null(w);
		} else if (jread_peek(j) == JREAD_ARRAY) {
			jsonw_array(w);
			if (jread_array(j))
				while (jread_element(j))
					redact_value(r, j, a, w);
			jsonw_end_array(w);
		} else {
			jsonw_object(w);
			if (jread_object(j))
				while (jread_member(j, &key)) {
					jsonw_key_n(w, key.p, key.n);
					redact_value(r, j, a, w);
				}
			jsonw_end_object(w);
		}
		return;
	default:
		if (jread_skip_raw(j, &s))
			jsonw_raw(w, s.p, s.n);
	}
}

/* Unknown members of a record are raw JSON: their strings are redacted, their form is kept. */
static int
redact_members(struct refine *r, struct slice *members, struct err *e)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct jsonw w;
	struct jread j;
	int status = 0;

	if (r->redact == NULL || members->n == 0)
		return 0;
	buf_byte(&in, '{');
	buf_add(&in, members->p, members->n);
	buf_byte(&in, '}');
	jsonw_init(&w, &out);
	jread_init(&j, buf_cstr(&in), in.len);
	redact_value(r, &j, &a, &w);
	if (buf_ok(&in, e) < 0 || buf_ok(&out, e) < 0 || jread_done(&j, e) < 0)
		status = -1;
	else
		status = keep(r, out.p + 1, out.len - 2, members, e);
	buf_finish(&in);
	buf_finish(&out);
	arena_finish(&a);
	return status;
}

static int
hash_user(struct refine *r, struct slice *user, struct err *e)
{
	struct sha256 h;
	uint8_t d[32];
	char hex[17];

	if (!r->o.hash_users || user->n == 0)
		return 0;
	sha256_init(&h);
	if (r->o.user_salt != NULL)
		sha256_add(&h, r->o.user_salt, strlen(r->o.user_salt));
	sha256_add(&h, user->p, user->n);
	sha256_final(&h, d);
	hex_format(d, 8, hex);
	return keep(r, hex, 16, user, e);
}

void
refine_score(struct refine *r, struct record *rec, uint64_t query_hash)
{
	struct label label;

	if (rec->performance < 0 || rec->performance > 1) {
		r->counts.bad_labels++;
		rec->performance = NAN;
	}
	if (r->o.labels != NULL && labels_find(r->o.labels, rec, query_hash, &label)) {
		if (label.task_name.p != NULL)
			rec->task_name = label.task_name;
		if (label.metric.p != NULL)
			rec->metric = label.metric;
		if (isnan(rec->performance) && !isnan(label.performance)) {
			rec->performance = label.performance;
			r->counts.labels_in_file++;
			return;
		}
	}
	if (!isnan(rec->performance)) {
		r->counts.labels_in_data++;
		return;
	}
	for (size_t i = 0; i < r->o.n_rules && isnan(rec->performance); i++)
		rec->performance = score_apply(&r->o.rules[i], rec);
	if (isnan(rec->performance))
		r->counts.unscored++;
	else
		r->counts.scored++;
}

int
refine_record(struct refine *r, struct record *rec, uint64_t *query_hash, struct err *e)
{
	uint8_t bytes[8];
	char id[17];

	rec->model_name = model_name(r, rec->model_name);
	if (redact(r, &rec->query, e) < 0 || redact(r, &rec->response, e) < 0 ||
	    redact(r, &rec->ground_truth, e) < 0 || redact(r, &rec->error_type, e) < 0 ||
	    redact_members(r, &rec->extra, e) < 0 || hash_user(r, &rec->user, e) < 0 ||
	    (!r->o.hash_users && redact(r, &rec->user, e) < 0))
		return -1;
	*query_hash = record_query_hash(rec->query);
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(*query_hash >> (56 - 8 * i));
	hex_format(bytes, 8, id);
	if (keep(r, id, 16, &rec->query_id, e) < 0)
		return -1;
	refine_score(r, rec, *query_hash);
	return 0;
}

void
refine_reset(struct refine *r)
{
	arena_reset(&r->arena);
}

const struct refine_counts *
refine_counts(const struct refine *r)
{
	return &r->counts;
}

void
refine_counts_add(struct refine_counts *a, const struct refine_counts *b)
{
	a->redactions += b->redactions;
	a->labels_in_data += b->labels_in_data;
	a->labels_in_file += b->labels_in_file;
	a->scored += b->scored;
	a->unscored += b->unscored;
	a->bad_labels += b->bad_labels;
}
