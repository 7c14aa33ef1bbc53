#include "trace/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "trace/join.h"

/* An attribute whose key began with a prefix of the map. */
struct numbered {
	unsigned key;
	struct slice rest;
	const struct attr *attr;
};

/* What one span says, by index of the map's keys. */
struct view {
	const struct attr **at;		/* [n_keys] */
	uint64_t *event_ns;		/* [n_keys] time of the event an attribute or name came from */
	unsigned *touched;		/* [n_keys] indexes set, to clear them again */
	size_t n_touched;
	struct numbered *numbered;
	size_t n_numbered, numbered_cap;
	const struct span *span;
};

struct records {
	struct records_opts o;
	struct refine *refine;
	struct view view;
	struct message_set messages;
	struct arena arena;
	struct buf scratch;
	unsigned gateway_key, group_key;
	/* items of the trace or batch at hand */
	struct join_item *calls, *others;
	struct record *records, *decisions;	/* beside calls and others */
	size_t n_calls, calls_cap, n_others, others_cap, records_cap, decisions_cap;
	int *to;
	size_t to_cap;
	uint64_t n[RECORDS_N];
};

static const char *const names[RECORDS_N] = {
	"traces", "spans", "records", "rejected", "no_prompt", "no_model", "other_operation",
	"repeated", "other_shard", "decisions", "decisions_joined", "bad_decisions", "evaluations",
	"alias_only", "errors", "zero_cost", "other_parts",
};

const char *
records_count_name(enum records_count c)
{
	return names[c];
}

const uint64_t *
records_counts(const struct records *r)
{
	return r->n;
}

const struct refine_counts *
records_refine_counts(const struct records *r)
{
	return refine_counts(r->refine);
}

uint64_t
records_shard_of(struct slice id, uint64_t n)
{
	return n > 1 ? map_hash(id.p != NULL ? id.p : "", id.n, 0x7368617264u) % n : 0;
}

struct records *
records_new(const struct records_opts *o, struct err *e)
{
	struct records *r = mem_calloc(1, sizeof *r, e);
	size_t n = attrmap_n_keys(o->map);

	if (r == NULL)
		return NULL;
	r->o = *o;
	r->gateway_key = attrmap_key(o->map, SLICE_LIT("litellm.call_id"));
	r->group_key = attrmap_key(o->map, SLICE_LIT("litellm.model_group"));
	r->view.at = mem_calloc(n, sizeof *r->view.at, e);
	r->view.event_ns = mem_calloc(n, sizeof *r->view.event_ns, e);
	r->view.touched = mem_calloc(n, sizeof *r->view.touched, e);
	if (r->view.at == NULL || r->view.event_ns == NULL || r->view.touched == NULL ||
	    (r->refine = refine_new(&o->refine, e)) == NULL) {
		records_free(r);
		return NULL;
	}
	return r;
}

void
records_free(struct records *r)
{
	if (r == NULL)
		return;
	refine_free(r->refine);
	free((void *)r->view.at);
	free(r->view.event_ns);
	free(r->view.touched);
	free(r->view.numbered);
	free(r->calls);
	free(r->others);
	free(r->records);
	free(r->decisions);
	free(r->to);
	message_finish(&r->messages);
	arena_finish(&r->arena);
	buf_finish(&r->scratch);
	free(r);
}

/* --- the view --- */

static void
set(struct view *v, unsigned key, const struct attr *a, uint64_t event_ns)
{
	if (v->at[key] == NULL && v->event_ns[key] == 0) {
		v->touched[v->n_touched++] = key;
	} else if (event_ns == 0 || v->event_ns[key] == 0 || event_ns >= v->event_ns[key]) {
		return;		/* the span's own comes first, then the earliest event's */
	}
	v->at[key] = a;
	v->event_ns[key] = event_ns;
}

static int
see(struct records *r, const struct attr *a, uint64_t event_ns, struct err *e)
{
	struct view *v = &r->view;
	unsigned key = attrmap_key(r->o.map, a->key);
	struct slice rest;

	if (key != ATTRMAP_NO_KEY) {
		set(v, key, a, event_ns);
		return 0;
	}
	if ((key = attrmap_prefix(r->o.map, a->key, &rest)) == ATTRMAP_NO_KEY)
		return 0;
	if (mem_grow((void **)&v->numbered, &v->numbered_cap, v->n_numbered + 1,
		    sizeof *v->numbered, e) < 0)
		return -1;
	v->numbered[v->n_numbered++] = (struct numbered){ key, rest, a };
	return 0;
}

static int
look(struct records *r, const struct span *s, struct err *e)
{
	struct view *v = &r->view;

	while (v->n_touched > 0) {
		unsigned key = v->touched[--v->n_touched];

		v->at[key] = NULL;
		v->event_ns[key] = 0;
	}
	v->n_numbered = 0;
	v->span = s;
	for (size_t i = 0; i < s->attrs.n; i++) {
		if (see(r, &s->attrs.v[i], 0, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_events; i++) {
		const struct span_event *ev = &s->events[i];
		uint64_t when = ev->time_ns > 0 ? ev->time_ns : 1;
		unsigned key = attrmap_event(r->o.map, ev->name);

		if (key != ATTRMAP_NO_KEY)
			set(v, key, NULL, when);
		for (size_t k = 0; k < ev->attrs.n; k++) {
			if (see(r, &ev->attrs.v[k], when, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* --- values --- */

static bool
member_of(struct slice json, const char *name, struct slice *out)
{
	struct slice key;
	struct jread j;

	*out = SLICE_NONE;
	jread_init(&j, json.p, json.n);
	if (!jread_object(&j))
		return false;
	while (jread_member(&j, &key)) {
		bool wanted = slice_is(key, name);
		bool string = jread_peek(&j) == JREAD_STRING, escaped;

		if (!wanted ? !jread_skip(&j) : string ? !jread_string_raw(&j, out, &escaped) :
			    !jread_skip_raw(&j, out))
			return false;
	}
	return jread_well(&j) && out->p != NULL;
}

static bool
as_text(const struct attr *a, const struct attr_entry *en, struct slice *out)
{
	if (a == NULL || (a->type != ATTR_STRING && a->type != ATTR_JSON))
		return false;
	if (en->member != NULL)
		return member_of(a->text, en->member, out) && out->n > 0;
	*out = a->text;
	return a->type == ATTR_STRING && a->text.n > 0;
}

static bool
as_number(const struct attr *a, const struct attr_entry *en, double *out)
{
	struct slice t;

	if (a == NULL)
		return false;
	if (en->member == NULL && (a->type == ATTR_INT || a->type == ATTR_BOOL))
		*out = (double)a->i;
	else if (en->member == NULL && a->type == ATTR_DOUBLE)
		*out = a->d;
	else if (!as_text(a, en, &t) || !slice_double(slice_trim(t), out))
		return false;
	*out *= en->scale;
	return isfinite(*out);
}

static bool
applies(const struct records *r, const struct attr_entry *en)
{
	return en->unless < 0 || r->view.at[en->unless] == NULL;
}

/* First entry of the chain that gives text. */
static const struct attr_entry *
text_of(const struct records *r, enum attr_field f, struct slice *out)
{
	struct attr_chain c = attrmap_chain(r->o.map, f);

	for (size_t i = 0; i < c.n; i++) {
		if (applies(r, &c.v[i]) && as_text(r->view.at[c.v[i].key], &c.v[i], out))
			return &c.v[i];
	}
	*out = SLICE_NONE;
	return NULL;
}

static double
number_of(const struct records *r, enum attr_field f)
{
	struct attr_chain c = attrmap_chain(r->o.map, f);
	double v;

	for (size_t i = 0; i < c.n; i++) {
		const struct attr_entry *en = &c.v[i];
		uint64_t when = r->view.event_ns[en->key];

		if (!applies(r, en))
			continue;
		if (en->form == FORM_EVENT) {
			if (when > r->view.span->start_ns)
				return (double)(when - r->view.span->start_ns) / 1e9;
		} else if (as_number(r->view.at[en->key], en, &v)) {
			return v;
		}
	}
	return NAN;
}

static int64_t
count_of(const struct records *r, enum attr_field f)
{
	double v = number_of(r, f);

	return v >= 0 && v < 9e15 ? (int64_t)v : RECORD_NO_INT;
}

static bool
has_any(const struct records *r, enum attr_field f, bool alias_too)
{
	struct attr_chain c = attrmap_chain(r->o.map, f);

	for (size_t i = 0; i < c.n; i++) {
		if (c.v[i].form == FORM_NUMBERED) {
			for (size_t k = 0; k < r->view.n_numbered; k++) {
				if (r->view.numbered[k].key == c.v[i].key)
					return true;
			}
		} else if (r->view.at[c.v[i].key] != NULL && (alias_too || !c.v[i].alias)) {
			return true;
		}
	}
	return false;
}

/* --- what kind of span --- */

enum verdict { A_CALL, NO_CALL, OTHER_OPERATION };

static enum verdict
judge(const struct records *r)
{
	struct slice s;

	if (text_of(r, AF_OPERATION, &s) != NULL)
		return attrmap_is_chat(r->o.map, s) ? A_CALL : OTHER_OPERATION;
	if (text_of(r, AF_SPAN_KIND, &s) != NULL)
		return attrmap_is_llm_kind(r->o.map, s) ? A_CALL : OTHER_OPERATION;
	if (has_any(r, AF_PROMPT, true) || has_any(r, AF_MODEL, false))
		return A_CALL;
	return NO_CALL;
}

static bool
failed(const struct records *r)
{
	const struct span *s = r->view.span;
	struct attr_chain c = attrmap_chain(r->o.map, AF_ERROR);
	struct slice type;

	if (s->status == SPAN_ERROR)
		return true;
	for (size_t i = 0; i < c.n; i++) {
		const struct attr *a = r->view.at[c.v[i].key];

		if (a != NULL && (a->type == ATTR_BOOL ? a->i != 0 :
			    a->type == ATTR_STRING && a->text.n == 4 &&
			    strncasecmp(a->text.p, "true", 4) == 0))
			return true;
	}
	return s->status == SPAN_UNSET && text_of(r, AF_ERROR_TYPE, &type) != NULL;
}

/* --- the query --- */

/* The text that an attribute holds, AnyValue turned to plain JSON. */
static int
prompt_text(struct records *r, const struct attr *a, struct slice *out, struct err *e)
{
	*out = SLICE_NONE;
	if (a == NULL)
		return 0;
	if (a->type == ATTR_STRING)
		*out = a->text;
	if (a->type != ATTR_JSON)
		return 0;
	buf_reset(&r->scratch);
	if (!message_plain_json(a->text, &r->scratch))
		return 0;
	if (buf_ok(&r->scratch, e) < 0 ||
	    (out->p = arena_dup(&r->arena, r->scratch.p, r->scratch.len, e)) == NULL)
		return -1;
	out->n = r->scratch.len;
	return 0;
}

static bool
contains(struct slice s, const char *what)
{
	size_t k = strlen(what);

	for (size_t i = 0; i + k <= s.n; i++) {
		if (strncasecmp(s.p + i, what, k) == 0)
			return true;
	}
	return false;
}

/* Messages of one entry of the prompt chain into r->messages. */
static int
gather(struct records *r, const struct attr_entry *en, struct err *e)
{
	struct slice text, mime;
	bool found = false;

	message_reset(&r->messages);
	if (en->form == FORM_NUMBERED) {
		for (size_t i = 0; i < r->view.n_numbered; i++) {
			const struct numbered *n = &r->view.numbered[i];

			if (n->key == en->key && n->attr->type == ATTR_STRING &&
			    message_numbered(&r->messages, n->rest, n->attr->text, &r->arena, e) < 0)
				return -1;
		}
		message_numbered_end(&r->messages);
		return 0;
	}
	if (prompt_text(r, r->view.at[en->key], &text, e) < 0)
		return -1;
	if (text.n == 0)
		return 0;
	if (en->form == FORM_JSON && text_of(r, AF_PROMPT_MIME, &mime) != NULL &&
	    !contains(mime, "json"))
		return message_add(&r->messages, SLICE_NONE, text, e);
	if (en->form != FORM_TEXT && message_add_json(&r->messages, text, &r->arena, &found, e) < 0)
		return -1;
	return found ? 0 : message_add(&r->messages, SLICE_NONE, text, e);
}

static int
system_digest(struct records *r, struct slice *out, struct err *e)
{
	struct attr_chain c = attrmap_chain(r->o.map, AF_SYSTEM);
	struct slice text;
	uint8_t d[32];
	char hex[17];

	if (message_system(&r->messages, &r->arena, &text, e) < 0)
		return -1;
	for (size_t i = 0; text.n == 0 && i < c.n; i++) {
		if (gather(r, &c.v[i], e) < 0 || message_query(&r->messages,
			    MESSAGE_CONVERSATION, &r->arena, &text, e) < 0)
			return -1;
	}
	if (text.n == 0)
		return 0;
	sha256_bytes(text.p, text.n, d);
	hex_format(d, 8, hex);
	*out = (struct slice){ arena_dup(&r->arena, hex, 16, e), 16 };
	return out->p != NULL ? 0 : -1;
}

static int
find_query(struct records *r, struct record *rec, struct err *e)
{
	struct attr_chain c = attrmap_chain(r->o.map, AF_PROMPT);

	for (size_t i = 0; i < c.n && rec->query.n == 0; i++) {
		if (c.v[i].form != FORM_NUMBERED && r->view.at[c.v[i].key] == NULL)
			continue;
		if (gather(r, &c.v[i], e) < 0 ||
		    message_query(&r->messages, r->o.pick, &r->arena, &rec->query, e) < 0)
			return -1;
	}
	if (rec->query.n == 0)
		return 0;
	r->n[RECORDS_OTHER_PARTS] += r->messages.other_parts;
	return system_digest(r, &rec->system_digest, e);
}

/* --- the record --- */

static int64_t
or_sum(int64_t total, int64_t a, int64_t b)
{
	return total != RECORD_NO_INT ? total :
		a != RECORD_NO_INT && b != RECORD_NO_INT ? a + b : RECORD_NO_INT;
}

static int64_t
unless_zero(int64_t v)
{
	return v == 0 ? RECORD_NO_INT : v;
}

static void
fill_usage(struct records *r, struct record *rec, bool error)
{
	rec->input_tokens = count_of(r, AF_INPUT_TOKENS);
	rec->output_tokens = count_of(r, AF_OUTPUT_TOKENS);
	rec->token_num = or_sum(count_of(r, AF_TOTAL_TOKENS), rec->input_tokens,
		rec->output_tokens);
	rec->cost_usd = number_of(r, AF_COST);
	if (!(rec->cost_usd >= 0))
		rec->cost_usd = NAN;
	if (error) {
		/* some sources write zeros where nothing is known */
		rec->input_tokens = unless_zero(rec->input_tokens);
		rec->output_tokens = unless_zero(rec->output_tokens);
		rec->token_num = unless_zero(rec->token_num);
		if (!(rec->cost_usd > 0))
			rec->cost_usd = NAN;
	} else {
		/* what gateways write for a model whose price they do not know */
		r->n[RECORDS_ZERO_COST] += rec->cost_usd == 0;
		if (rec->cost_usd == 0 && !r->o.keep_zero_cost)
			rec->cost_usd = NAN;
	}
}

/* The model's label; true when it may be only what the gateway calls a group of models. */
static bool
fill_model(struct records *r, struct record *rec)
{
	const struct attr_entry *en = text_of(r, AF_MODEL, &rec->model_name);
	const struct attr *group;

	(void)text_of(r, AF_REQUESTED, &rec->requested_model);
	if (en == NULL || !en->alias || r->gateway_key == ATTRMAP_NO_KEY ||
	    r->view.at[r->gateway_key] == NULL)
		return false;
	group = r->group_key == ATTRMAP_NO_KEY ? NULL : r->view.at[r->group_key];
	return group == NULL || slice_eq(group->text, rec->model_name);
}

static void
fill_rest(struct records *r, struct record *rec, bool error)
{
	const struct span *s = r->view.span;

	rec->status = error ? SLICE_LIT("error") : SLICE_LIT("ok");
	rec->status_code = count_of(r, AF_STATUS_CODE);
	if (error)
		(void)text_of(r, AF_ERROR_TYPE, &rec->error_type);
	/* Whole microseconds, as Jaeger keeps: the same call gives the same record from either. */
	if (s->end_ns >= s->start_ns && s->end_ns > 0)
		rec->response_time_s = (double)((s->end_ns - s->start_ns) / 1000) / 1e6;
	rec->ttft_s = number_of(r, AF_TTFT);
	if (!(rec->ttft_s >= 0))
		rec->ttft_s = NAN;
	if (s->start_ns > 0)
		rec->timestamp_us = (int64_t)(s->start_ns / 1000);
	rec->trace_id = s->trace_id;
	rec->span_id = s->span_id;
	rec->performance = number_of(r, AF_PERFORMANCE);
	(void)text_of(r, AF_METRIC, &rec->metric);
	(void)text_of(r, AF_TASK, &rec->task_name);
	(void)text_of(r, AF_GROUND_TRUTH, &rec->ground_truth);
	(void)text_of(r, AF_USER, &rec->user);
}

/* Ids are hexadecimal digits; anything else still gives some number. */
static uint64_t
hex_number(struct slice s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned c = (unsigned char)s.p[i];

		v = v << 4 | ((c & 15) + (c >> 6) * 9);
	}
	return v;
}

static void
set_place(struct join_item *it, const struct span *s)
{
	struct slice t = s->trace_id, low = t, high = SLICE_NONE;

	if (t.n > 16) {
		low = (struct slice){ t.p + t.n - 16, 16 };
		high = (struct slice){ t.p, t.n - 16 };
	}
	it->trace[0] = hex_number(high);
	it->trace[1] = hex_number(low);
	it->span = hex_number(s->span_id);
	it->parent = hex_number(s->parent_id);
	it->start_ns = s->start_ns;
}

/* Room for one more call or other item, with its record. */
static struct record *
more(struct join_item **items, struct record **recs, size_t n, size_t *cap, size_t *recs_cap,
	struct err *e)
{
	if (mem_grow((void **)items, cap, n + 1, sizeof **items, e) < 0 ||
	    mem_grow((void **)recs, recs_cap, n + 1, sizeof **recs, e) < 0)
		return NULL;
	memset(&(*items)[n], 0, sizeof **items);
	record_init(&(*recs)[n]);
	return &(*recs)[n];
}

static int
take_call(struct records *r, const struct span *s, struct err *e)
{
	struct record *rec = more(&r->calls, &r->records, r->n_calls, &r->calls_cap,
		&r->records_cap, e);
	bool error = failed(r), alias;
	struct slice type;

	if (rec == NULL)
		return -1;
	(void)text_of(r, AF_ERROR_TYPE, &type);
	if (error && attrmap_is_rejected(r->o.map, type, count_of(r, AF_STATUS_CODE))) {
		r->n[RECORDS_REJECTED]++;
		return 0;
	}
	alias = fill_model(r, rec);
	if (find_query(r, rec, e) < 0)
		return -1;
	if (rec->query.n == 0 || rec->model_name.n == 0) {
		r->n[rec->query.n == 0 ? RECORDS_NO_PROMPT : RECORDS_NO_MODEL]++;
		return 0;
	}
	fill_usage(r, rec, error);
	fill_rest(r, rec, error);
	r->n[RECORDS_ALIAS_ONLY] += alias;
	r->n[RECORDS_ERRORS] += error;
	r->calls[r->n_calls].kind = JOIN_CALL;
	set_place(&r->calls[r->n_calls++], s);
	return 0;
}

static int
take_evaluation(struct records *r, const struct span *s, struct err *e)
{
	double v = number_of(r, AF_PERFORMANCE);
	struct join_item *it;

	if (isnan(v))
		return 0;
	if (more(&r->others, &r->decisions, r->n_others, &r->others_cap, &r->decisions_cap,
		    e) == NULL)
		return -1;
	it = &r->others[r->n_others++];
	it->kind = JOIN_EVAL;
	set_place(it, s);
	it->performance = v;
	(void)text_of(r, AF_METRIC, &it->model);
	r->n[RECORDS_EVALUATIONS]++;
	return 0;
}

/* --- decisions --- */

static bool
string_or_skip(struct jread *j, struct arena *a, struct slice *out)
{
	return jread_peek(j) == JREAD_STRING ? jread_string(j, a, out) : jread_skip(j);
}

/* [{"model_name": ...}, ...] to ["...", ...] in out. */
static bool
candidate_names(struct jread *j, struct arena *a, struct buf *out)
{
	struct slice key, name;

	if (jread_peek(j) != JREAD_ARRAY)
		return jread_skip(j);
	if (!jread_array(j))
		return false;
	buf_byte(out, '[');
	while (jread_element(j)) {
		name = SLICE_NONE;
		if (jread_peek(j) == JREAD_OBJECT) {
			if (!jread_object(j))
				return false;
			while (jread_member(j, &key)) {
				if (slice_is(key, "model_name") ? !string_or_skip(j, a, &name) :
					    !jread_skip(j))
					return false;
			}
		} else if (!string_or_skip(j, a, &name)) {
			return false;
		}
		if (name.p == NULL)
			continue;
		if (out->len > 1)
			buf_byte(out, ',');
		jsonw_quote(out, name.p, name.n);
	}
	buf_byte(out, ']');
	return jread_well(j);
}

/* {"status": X} or {"requested_model": X, "user_id": Y} */
static bool
inner_strings(struct jread *j, struct arena *a, const char *k1, struct slice *v1, const char *k2,
	struct slice *v2)
{
	struct slice key;

	if (jread_peek(j) != JREAD_OBJECT)
		return jread_skip(j);
	if (!jread_object(j))
		return false;
	while (jread_member(j, &key)) {
		struct slice *to = slice_is(key, k1) ? v1 : k2 != NULL && slice_is(key, k2) ? v2 :
			NULL;

		if (to != NULL ? !string_or_skip(j, a, to) : !jread_skip(j))
			return false;
	}
	return jread_well(j);
}

/* {"propensity": X}: the contract's own place for what it has no member for. */
static bool
custom_attributes(struct jread *j, double *propensity)
{
	struct slice key;

	if (jread_peek(j) != JREAD_OBJECT)
		return jread_skip(j);
	if (!jread_object(j))
		return false;
	while (jread_member(j, &key)) {
		bool wanted = slice_is(key, "propensity") && jread_peek(j) == JREAD_NUMBER;

		if (wanted ? !jread_double(j, propensity) : !jread_skip(j))
			return false;
	}
	return jread_well(j);
}

static bool
read_payload(struct records *r, struct slice json, struct record *d)
{
	struct arena *a = &r->arena;
	struct slice key;
	struct jread j;
	bool ok = true;

	buf_reset(&r->scratch);
	jread_init(&j, json.p, json.n);
	if (jread_peek(&j) != JREAD_OBJECT || !jread_object(&j))
		return false;
	while (ok && jread_member(&j, &key)) {
		if (slice_is(key, "strategy_name"))
			ok = string_or_skip(&j, a, &d->strategy_name);
		else if (slice_is(key, "strategy_version"))
			ok = string_or_skip(&j, a, &d->strategy_version);
		else if (slice_is(key, "selected_deployment"))
			ok = string_or_skip(&j, a, &d->model_name);
		else if (slice_is(key, "candidate_deployments"))
			ok = candidate_names(&j, a, &r->scratch);
		else if (slice_is(key, "outcome"))
			ok = inner_strings(&j, a, "status", &d->outcome_status, NULL, NULL);
		else if (slice_is(key, "input"))
			ok = inner_strings(&j, a, "requested_model", &d->requested_model,
				"user_id", &d->user);
		else if (slice_is(key, "propensity") && jread_peek(&j) == JREAD_NUMBER)
			ok = jread_double(&j, &d->propensity);
		else if (slice_is(key, "custom_attributes"))
			ok = custom_attributes(&j, &d->propensity);
		else
			ok = jread_skip(&j);
	}
	return ok && jread_done(&j, NULL) == 0;
}

static bool
is_payload_key(const struct records *r, struct slice key)
{
	struct attr_chain c = attrmap_chain(r->o.map, AF_DECISION);
	unsigned k = attrmap_key(r->o.map, key);

	for (size_t i = 0; i < c.n; i++) {
		if (c.v[i].key == k)
			return true;
	}
	return false;
}

static int
take_decision(struct records *r, const struct span *s, const struct attr *payload, struct err *e)
{
	struct record *d;
	struct join_item *it;
	struct slice outcome;
	double p;

	d = more(&r->others, &r->decisions, r->n_others, &r->others_cap, &r->decisions_cap, e);
	if (d == NULL)
		return -1;
	if (payload->type != ATTR_STRING || !read_payload(r, payload->text, d)) {
		r->n[RECORDS_BAD_DECISIONS]++;
		return 0;
	}
	if (r->scratch.len > 0) {
		d->candidates.p = arena_dup(&r->arena, r->scratch.p, r->scratch.len, e);
		d->candidates.n = r->scratch.len;
		if (d->candidates.p == NULL)
			return -1;
	}
	/* the payload is written before the outcome is known, the span's tag after */
	if (text_of(r, AF_DECISION_OUTCOME, &outcome) != NULL)
		d->outcome_status = outcome;
	if (isnan(d->propensity))
		d->propensity = number_of(r, AF_PROPENSITY);
	p = d->propensity;
	if (!(p >= 0 && p <= 1))
		d->propensity = NAN;
	it = &r->others[r->n_others++];
	it->kind = JOIN_DECISION;
	it->model = d->model_name;
	it->performance = NAN;
	set_place(it, s);
	r->n[RECORDS_DECISIONS]++;
	return 0;
}

static int
take_decisions(struct records *r, const struct span *s, struct err *e)
{
	for (size_t i = 0; i < s->n_events; i++) {
		const struct span_event *ev = &s->events[i];

		if (!attrmap_is_decision(r->o.map, ev->name))
			continue;
		for (size_t k = 0; k < ev->attrs.n; k++) {
			if (is_payload_key(r, ev->attrs.v[k].key) &&
			    take_decision(r, s, &ev->attrs.v[k], e) < 0)
				return -1;
		}
	}
	return 0;
}

/* --- one span, one batch --- */

static int
take_span(struct records *r, const struct span *s, struct err *e)
{
	struct slice type;

	if (r->o.shards > 1 && records_shard_of(s->trace_id, r->o.shards) != r->o.shard) {
		r->n[RECORDS_OTHER_SHARD]++;
		return 0;
	}
	if (attrmap_skips(r->o.map, s->name)) {
		r->n[RECORDS_REPEATED]++;
		return 0;
	}
	if (look(r, s, e) < 0 || take_decisions(r, s, e) < 0)
		return -1;
	switch (judge(r)) {
	case A_CALL:
		return take_call(r, s, e);
	case OTHER_OPERATION:
		r->n[RECORDS_OTHER_OPERATION]++;
		return take_evaluation(r, s, e);
	case NO_CALL:
		break;
	}
	(void)text_of(r, AF_ERROR_TYPE, &type);
	if (has_any(r, AF_MODEL, true) && failed(r) &&
	    attrmap_is_rejected(r->o.map, type, count_of(r, AF_STATUS_CODE)))
		r->n[RECORDS_REJECTED]++;
	return take_evaluation(r, s, e);
}

/* Decisions and evaluations of a whole trace to their calls. */
static int
join_here(struct records *r, struct err *e)
{
	if (r->n_others == 0)
		return 0;
	if (mem_grow((void **)&r->to, &r->to_cap, r->n_others, sizeof *r->to, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n_calls; i++)
		r->calls[i].model = r->records[i].model_name;
	join_match(r->calls, r->n_calls, r->others, r->n_others, r->to);
	for (size_t i = 0; i < r->n_others; i++) {
		struct record *rec;

		if (r->to[i] < 0)
			continue;
		rec = &r->records[r->to[i]];
		if (r->others[i].kind == JOIN_DECISION) {
			join_apply(rec, &r->decisions[i]);
			r->n[RECORDS_DECISIONS_JOINED]++;
		} else if (isnan(rec->performance)) {
			rec->performance = r->others[i].performance;
			if (rec->metric.n == 0)
				rec->metric = r->others[i].model;
		}
	}
	return 0;
}

/* Line into scratch and item into out. */
static void
put(struct records *r, struct join_item *it, const struct record *rec, struct buf *out)
{
	buf_reset(&r->scratch);
	if (it->kind != JOIN_EVAL)
		record_format(rec, &r->scratch);
	it->line = (struct slice){ r->scratch.p, r->scratch.len };
	out->failed = out->failed || r->scratch.failed;
	join_put(out, it);
}

static int
put_all(struct records *r, bool whole, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < r->n_calls; i++) {
		struct join_item *it = &r->calls[i];

		if (refine_record(r->refine, &r->records[i], &it->query, e) < 0)
			return -1;
		it->kind = whole ? JOIN_DONE : JOIN_CALL;
		it->model = r->records[i].model_name;
		it->performance = r->records[i].performance;
		put(r, it, &r->records[i], out);
		r->n[RECORDS_MADE]++;
	}
	for (size_t i = 0; !whole && i < r->n_others; i++) {
		if (r->decisions[i].model_name.n == 0)
			r->decisions[i].model_name = SLICE_LIT("?");
		put(r, &r->others[i], &r->decisions[i], out);
	}
	return buf_ok(out, e);
}

int
records_batch(struct records *r, const struct span_batch *b, struct buf *out, struct err *e)
{
	r->n_calls = r->n_others = 0;
	r->n[RECORDS_SPANS] += b->seen;
	r->n[RECORDS_TRACES] += b->traces_seen;
	if (b->n == 0)
		return 0;
	arena_reset(&r->arena);
	refine_reset(r->refine);
	for (size_t i = 0; i < b->n; i++) {
		if (take_span(r, &b->spans[i], e) < 0)
			return -1;
	}
	if (b->trace_whole && join_here(r, e) < 0)
		return -1;
	return put_all(r, b->trace_whole, out, e);
}
