#include "net/spendlogs.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define TABLE "LiteLLM_SpendLogs"
#define FETCH_BYTES ((size_t)4 << 20)	/* of one fetch, aimed at */
#define FIRST_FETCH 64

#define MICROS(column) "round(extract(epoch from \"" column "\") * 1000000)::bigint"
#define ERROR_MEMBER(name) "metadata::jsonb #>> '{error_information," name "}'"

/* Columns asked for, and what in the table each needs. */
enum column {
	C_ID, C_START, C_END, C_FIRST, C_MS, C_TYPE, C_MODEL, C_PROVIDER, C_GROUP, C_SPEND, C_IN, C_OUT,
	C_TOTAL, C_STATUS, C_META_STATUS, C_ERROR, C_CODE, C_MESSAGE, C_CACHED, C_TAGS, C_SESSION, C_USER,
	C_PROMPT, C_REQUEST, C_ANSWER, N_COLUMNS
};
static const struct {
	const char *needs, *sql;
} columns[N_COLUMNS] = {
	[C_ID] = { "request_id", "request_id::text" },
	[C_START] = { "startTime", MICROS("startTime") },
	[C_END] = { "endTime", MICROS("endTime") },
	[C_FIRST] = { "completionStartTime", MICROS("completionStartTime") },
	[C_MS] = { "request_duration_ms", "request_duration_ms::bigint" },
	[C_TYPE] = { "call_type", "call_type::text" },
	[C_MODEL] = { "model", "model::text" },
	[C_PROVIDER] = { "custom_llm_provider", "custom_llm_provider::text" },
	[C_GROUP] = { "model_group", "model_group::text" },
	[C_SPEND] = { "spend", "spend::float8" },
	[C_IN] = { "prompt_tokens", "prompt_tokens::bigint" },
	[C_OUT] = { "completion_tokens", "completion_tokens::bigint" },
	[C_TOTAL] = { "total_tokens", "total_tokens::bigint" },
	[C_STATUS] = { "status", "status::text" },
	[C_META_STATUS] = { "metadata", "metadata::jsonb ->> 'status'" },
	[C_ERROR] = { "metadata", ERROR_MEMBER("error_class") },
	[C_CODE] = { "metadata", ERROR_MEMBER("error_code") },
	[C_MESSAGE] = { "metadata", ERROR_MEMBER("error_message") },
	[C_CACHED] = { "cache_hit", "lower(cache_hit::text)" },
	[C_TAGS] = { "request_tags", "request_tags::text" },
	[C_SESSION] = { "session_id", "session_id::text" },
	[C_USER] = { "end_user", "end_user::text" },
	[C_PROMPT] = { "messages", "messages::text" },
	[C_REQUEST] = { "proxy_server_request", "proxy_server_request::text" },
	[C_ANSWER] = { "response", "response::text" },
};

struct spendlogs {
	struct spendlogs_opts o;
	struct pqconn *pg;
	struct buf table, list;		/* quoted name, select list */
	struct spendlogs_stats st;
	struct rng rng;
	char *last_id;			/* of the row delivered last, NULL none */
	int64_t last_us;
	size_t fetch;
};

/* --- the statement's text --- */

static void
quote_name(struct buf *b, const char *name)
{
	buf_byte(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_byte(b, '"');
		buf_byte(b, *name);
	}
	buf_byte(b, '"');
}

static bool
has_column(const struct pqrows *r, const char *name)
{
	for (size_t i = 0; i < pqrows_columns(r); i++) {
		if (strcmp(pqrows_name(r, i), name) == 0)
			return true;
	}
	return false;
}

static struct pqrows *
ask(struct spendlogs *s, const char *sql, const char *const *params, size_t n, struct err *e)
{
	s->st.statements++;
	return pqconn_ask(s->pg, sql, params, n, e);
}

/* Which columns this version of the table has. */
static int
look(struct spendlogs *s, struct err *e)
{
	struct buf sql = BUF_INIT;
	struct pqrows *r = NULL;
	int out = -1;

	buf_printf(&sql, "SELECT * FROM %s LIMIT 0", buf_cstr(&s->table));
	if (buf_ok(&sql, e) == 0)
		r = ask(s, sql.p, NULL, 0, e);
	buf_finish(&sql);
	if (r == NULL)
		return -1;
	buf_reset(&s->list);
	for (int i = 0; i < N_COLUMNS; i++)
		buf_printf(&s->list, "%s%s", i > 0 ? ", " : "",
			has_column(r, columns[i].needs) ? columns[i].sql : "NULL");
	if (!has_column(r, "request_id") || !has_column(r, "startTime"))
		err_set(e, ERR_INPUT, "table %s has no request_id or no startTime: is it LiteLLM's?",
			buf_cstr(&s->table));
	else
		out = buf_ok(&s->list, e);
	pqrows_free(r);
	return out;
}

/* --- connecting --- */

/* Wait before try number n + 1; -1 when there is none, err as it is. */
static int
wait_more(struct spendlogs *s, unsigned *n, struct err *e)
{
	double wait;
	struct err none = ERR_INIT;

	/* Time cures no certificate. */
	if (e->code != ERR_UNAVAILABLE || strstr(e->msg, "certificate") != NULL)
		return -1;
	if ((wait = retry_delay(&s->o.retry, ++*n, -1, &s->rng)) < 0)
		return *n > 1 ? err_wrap(e, "gave up after %u tries", *n) : -1;
	log_info(s->o.server.log, "%s; trying again in %.1f s", e->msg, wait);
	if (retry_sleep(wait, s->o.server.cancel, &none) < 0) {
		*e = none;
		return -1;
	}
	s->st.retries++;
	return 0;
}

static int
reconnect(struct spendlogs *s, unsigned *tries, struct err *e)
{
	for (;;) {
		pqconn_free(s->pg);
		if ((s->pg = pqconn_open(&s->o.server, e)) != NULL && look(s, e) == 0)
			return 0;
		if (wait_more(s, tries, e) < 0)
			return -1;
	}
}

struct spendlogs *
spendlogs_open(const struct spendlogs_opts *o, struct err *e)
{
	struct spendlogs *s = mem_calloc(1, sizeof *s, e);
	unsigned tries = 0;

	if (s == NULL)
		return NULL;
	s->o = *o;
	s->rng = rng_split(o->seed, 0);
	s->fetch = FIRST_FETCH;
	quote_name(&s->table, o->table != NULL ? o->table : TABLE);
	if (buf_ok(&s->table, e) < 0 || reconnect(s, &tries, e) < 0) {
		spendlogs_free(s);
		return NULL;
	}
	return s;
}

void
spendlogs_free(struct spendlogs *s)
{
	if (s == NULL)
		return;
	pqconn_free(s->pg);
	buf_finish(&s->table);
	buf_finish(&s->list);
	free(s->last_id);
	free(s);
}

const struct spendlogs_stats *
spendlogs_stats(const struct spendlogs *s)
{
	return &s->st;
}

/* --- a row --- */

static int64_t
integer(struct slice s)
{
	long long v;

	return s.n > 0 && slice_int(s, &v) ? v : CALLSPAN_NO_INT;
}

static void
read_row(struct spendlogs *s, const struct pqrows *r, size_t row, struct callspan *c)
{
	struct slice v[N_COLUMNS];
	int64_t ms;

	callspan_init(c);
	for (size_t i = 0; i < N_COLUMNS; i++) {
		v[i] = pqrows_get(r, row, i);
		s->st.bytes += v[i].n;
	}
	c->id = v[C_ID];
	c->call_type = v[C_TYPE];
	c->model = v[C_MODEL];
	c->provider = v[C_PROVIDER];
	c->group = v[C_GROUP];
	c->messages = v[C_PROMPT];
	c->request = v[C_REQUEST];
	c->response = v[C_ANSWER];
	c->error_type = v[C_ERROR];
	c->error_code = v[C_CODE];
	c->error_message = v[C_MESSAGE];
	c->user = v[C_USER];
	c->session = v[C_SESSION];
	if (callspan_holds_text(v[C_TAGS]))
		c->tags = v[C_TAGS];
	if (v[C_SPEND].n == 0 || !slice_double(v[C_SPEND], &c->cost_usd))
		c->cost_usd = NAN;
	c->input_tokens = integer(v[C_IN]);
	c->output_tokens = integer(v[C_OUT]);
	c->total_tokens = integer(v[C_TOTAL]);
	c->start_us = integer(v[C_START]);
	c->end_us = integer(v[C_END]);
	c->first_us = integer(v[C_FIRST]);
	ms = integer(v[C_MS]);
	if (c->end_us == CALLSPAN_NO_INT && c->start_us != CALLSPAN_NO_INT && ms >= 0 && ms < 86400000)
		c->end_us = c->start_us + ms * 1000;
	c->failed = slice_is(v[C_STATUS], "failure") || slice_is(v[C_META_STATUS], "failure");
	c->cached = slice_is(v[C_CACHED], "true");
	s->st.rows++;
}

/* --- a range --- */

static void
timestamp(int64_t us, char out[28])
{
	str_iso8601(us, out);
	out[10] = ' ';
	out[26] = '\0';		/* without the Z: the column has no zone */
}

static int
declare(struct spendlogs *s, const struct spendlogs_read *o, struct err *e)
{
	char from[28], to[28];
	const char *params[] = { from, to, s->last_id };
	struct buf sql = BUF_INIT;
	struct pqrows *r = NULL;

	timestamp(s->last_id != NULL ? s->last_us : o->start_us, from);
	timestamp(o->end_us, to);
	buf_printf(&sql, "DECLARE llmr NO SCROLL CURSOR WITHOUT HOLD FOR SELECT %s FROM %s "
		"WHERE \"startTime\" >= $1::timestamp AND \"startTime\" < $2::timestamp AND "
		"($3::text IS NULL OR (\"startTime\", request_id) > ($1::timestamp, $3::text)) "
		"ORDER BY \"startTime\", request_id", buf_cstr(&s->list), buf_cstr(&s->table));
	if (buf_ok(&sql, e) == 0)
		r = ask(s, sql.p, params, 3, e);
	buf_finish(&sql);
	if (r == NULL)
		return -1;
	pqrows_free(r);
	return 0;
}

static int
remember(struct spendlogs *s, const struct callspan *c, struct err *e)
{
	char *id = mem_dup(c->id.p != NULL ? c->id.p : "", c->id.n, e);

	if (id == NULL)
		return -1;
	free(s->last_id);
	s->last_id = id;
	s->last_us = c->start_us;
	return 0;
}

/* As many rows next time as fill a fetch. */
static void
adapt(struct spendlogs *s, const struct spendlogs_read *o, uint64_t bytes, size_t rows)
{
	size_t fit = FETCH_BYTES / (size_t)(bytes / rows + 1);

	s->fetch = fit < 2 * s->fetch ? fit : 2 * s->fetch;
	if (s->fetch > o->rows)
		s->fetch = o->rows;
	if (s->fetch < 1)
		s->fetch = 1;
}

/* One fetch: its number of rows, or -1; *mine when the failure is a callback's. */
static ptrdiff_t
fetch(struct spendlogs *s, const struct spendlogs_read *o, bool *mine, struct err *e)
{
	char sql[64];
	struct pqrows *r;
	struct callspan c;
	uint64_t before = s->st.bytes;
	size_t n;
	int bad = 0;

	(void)snprintf(sql, sizeof sql, "FETCH FORWARD %zu FROM llmr", s->fetch);
	if ((r = ask(s, sql, NULL, 0, e)) == NULL)
		return -1;
	n = pqrows_count(r);
	for (size_t i = 0; i < n && bad == 0; i++) {
		read_row(s, r, i, &c);
		bad = o->on_call(o->ctx, &c, e);
		if (bad == 0 && i + 1 == n)
			bad = remember(s, &c, e);
	}
	pqrows_free(r);
	if (bad == 0 && n > 0 && o->on_upto != NULL)
		bad = o->on_upto(o->ctx, s->last_us, e);
	if (n > 0)
		adapt(s, o, s->st.bytes - before, n);
	*mine = bad != 0;
	return bad != 0 ? -1 : (ptrdiff_t)n;
}

int
spendlogs_read(struct spendlogs *s, const struct spendlogs_read *o, struct err *e)
{
	unsigned tries = 0;
	bool declared = false, mine = false;
	ptrdiff_t n;

	free(s->last_id);
	s->last_id = NULL;
	for (;;) {
		if (!declared && declare(s, o, e) == 0)
			declared = true;
		n = declared ? fetch(s, o, &mine, e) : -1;
		if (n == 0)
			break;
		if (n > 0) {
			tries = 0;
			continue;
		}
		if (mine || wait_more(s, &tries, e) < 0 || reconnect(s, &tries, e) < 0)
			return -1;
		declared = false;
	}
	return o->on_upto != NULL ? o->on_upto(o->ctx, o->end_us, e) : 0;
}

/* --- by id --- */

/* {"a","b"}: an array as PostgreSQL reads it. */
static void
array(struct buf *b, const struct slice *ids, size_t n)
{
	buf_byte(b, '{');
	for (size_t i = 0; i < n; i++) {
		buf_str(b, i > 0 ? ",\"" : "\"");
		for (size_t k = 0; k < ids[i].n; k++) {
			if (ids[i].p[k] == '\0')
				break;
			if (ids[i].p[k] == '"' || ids[i].p[k] == '\\')
				buf_byte(b, '\\');
			buf_byte(b, ids[i].p[k]);
		}
		buf_byte(b, '"');
	}
	buf_byte(b, '}');
}

static struct pqrows *
find(struct spendlogs *s, const char *sql, const char *list, struct err *e)
{
	const char *params[] = { list };
	struct pqrows *r;
	unsigned tries = 0;

	while ((r = ask(s, sql, params, 1, e)) == NULL) {
		if (wait_more(s, &tries, e) < 0 || reconnect(s, &tries, e) < 0)
			return NULL;
	}
	return r;
}

int
spendlogs_find(struct spendlogs *s, const struct slice *ids, size_t n,
	int (*on_call)(void *ctx, const struct callspan *, struct err *e), void *ctx, struct err *e)
{
	struct buf sql = BUF_INIT, list = BUF_INIT;
	struct pqrows *r = NULL;
	struct callspan c;
	int out = -1;

	array(&list, ids, n);
	buf_printf(&sql, "SELECT %s FROM %s WHERE request_id = ANY($1::text[])", buf_cstr(&s->list),
		buf_cstr(&s->table));
	if (buf_ok(&list, e) < 0 || buf_ok(&sql, e) < 0 || (r = find(s, sql.p, list.p, e)) == NULL)
		goto out;
	out = 0;
	for (size_t i = 0; i < pqrows_count(r) && out == 0; i++) {
		read_row(s, r, i, &c);
		out = on_call(ctx, &c, e);
	}
out:
	pqrows_free(r);
	buf_finish(&sql);
	buf_finish(&list);
	return out;
}
