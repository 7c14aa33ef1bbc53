#include "net/pqconn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http.h"
#include "net/pqlib.h"

#define NAP_MS 100

struct pqconn {
	struct pqlib lib;
	struct pqconn_opts o;
	PGconn *pg;
	bool up;		/* the server let us in */
};

struct pqrows {
	const struct pqconn *c;
	PGresult *res;
};

/* libpq's own words on one line. */
static void
words(const char *msg, char out[360])
{
	size_t n = 0;

	for (const char *p = msg; *p != '\0' && n < 350; p++) {
		if (*p != '\n' && *p != '\r' && *p != '\t')
			out[n++] = *p;
		else if (p[1] != '\0' && n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

/* --- whom to connect to --- */

static const char *
option(const PQconninfoOption *o, const char *key)
{
	for (; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, key) == 0)
			return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
	}
	return NULL;
}

static int
check_host(const struct pqconn_opts *o, const char *p, size_t n, struct err *e)
{
	char url[300];
	bool v6 = memchr(p, ':', n) != NULL;

	if (n == 0 || *p == '/' || *p == '@')
		return 0;	/* a socket in the file system */
	if (n > 255)
		return err_set(e, ERR_USAGE, "--url: the name of the host is too long");
	(void)snprintf(url, sizeof url, v6 ? "http://[%.*s]/" : "http://%.*s/", (int)n, p);
	return http_check_url(url, o->allowed_hosts, o->n_allowed_hosts, e);
}

static int
check_hosts(const struct pqconn_opts *o, const char *list, struct err *e)
{
	while (list != NULL && *list != '\0') {
		size_t n = strcspn(list, ",");

		if (check_host(o, list, n, e) < 0)
			return -1;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int
check_options(const struct pqconn_opts *o, const PQconninfoOption *given, const PQconninfoOption *dflt,
	struct err *e)
{
	const char *host = option(given, "host"), *addr = option(given, "hostaddr");

	if (option(given, "password") != NULL && !o->url_may_hold_password)
		return err_set(e, ERR_USAGE, "--url: a password on a command line is seen by everybody on the "
			"machine: leave it out, and give it by PGPASSWORD, PGPASSFILE or ~/.pgpass");
	if (o->allowed_hosts == NULL)
		return 0;
	if (host == NULL && addr == NULL && option(given, "service") != NULL)
		return err_set(e, ERR_NOPERM, "--allowed-hosts: name the host in --url, not by a service");
	if (host == NULL)
		host = option(dflt, "host");
	if (addr == NULL)
		addr = option(dflt, "hostaddr");
	return check_hosts(o, host, e) < 0 ? -1 : check_hosts(o, addr, e);
}

static int
check(struct pqconn *c, struct err *e)
{
	PQconninfoOption *given = NULL, *dflt;
	char *why = NULL, said[360];
	int r = -1;

	if (c->o.url != NULL && (given = c->lib.conninfoParse(c->o.url, &why)) == NULL) {
		/* libpq quotes what it was given, which may hold a password. */
		words(why != NULL ? why : "out of memory", said);
		r = c->o.url_may_hold_password ?
			err_set(e, ERR_USAGE, "the URL of the database (DATABASE_URL) is not one that libpq takes") :
			err_set(e, ERR_USAGE, "--url: %s", said);
		if (why != NULL)
			c->lib.freemem(why);
		return r;
	}
	dflt = c->lib.conndefaults();
	r = check_options(&c->o, given, dflt, e);
	c->lib.conninfoFree(given);
	c->lib.conninfoFree(dflt);
	return r;
}

/* --- waiting --- */

/* Wait for the socket; 1 ready, 0 not yet, -1 cancelled or too late. */
static int
wait_for(struct pqconn *c, short events, int64_t deadline_ns, const char *what, struct err *e)
{
	struct pollfd fd = { .fd = c->lib.socket(c->pg), .events = events };
	int r;

	if (cancel_check(c->o.cancel, e) < 0)
		return -1;
	if (clock_mono_ns() > deadline_ns)
		return err_set(e, ERR_UNAVAILABLE, "PostgreSQL: %s timed out", what);
	if (fd.fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "PostgreSQL: the connection is gone");
	r = poll(&fd, 1, NAP_MS);
	if (r < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "poll");
	return r > 0;
}

static int64_t
deadline(double seconds)
{
	return clock_mono_ns() + (int64_t)(seconds * 1e9);
}

/* --- connecting --- */

static int
refuse(const struct pqconn *c, struct err *e)
{
	char said[360];

	words(c->lib.errorMessage(c->pg), said);
	if (c->up)
		return err_set(e, ERR_UNAVAILABLE, "PostgreSQL: %s", said);
	if (c->lib.connectionNeedsPassword(c->pg))
		return err_set(e, ERR_NOPERM, "PostgreSQL wants a password (PGPASSWORD, PGPASSFILE): %s", said);
	if (strstr(said, "database") != NULL && strstr(said, "does not exist") != NULL)
		return err_set(e, ERR_NOINPUT, "PostgreSQL: %s", said);
	if (c->lib.connectionUsedPassword(c->pg) || strstr(said, "authentication failed") != NULL ||
	    strstr(said, "pg_hba.conf") != NULL)
		return err_set(e, ERR_NOPERM, "PostgreSQL: %s", said);
	return err_set(e, ERR_UNAVAILABLE, "PostgreSQL: %s", said);
}

static int
finish_connecting(struct pqconn *c, struct err *e)
{
	int64_t until = deadline(c->o.connect_timeout > 0 ? c->o.connect_timeout : 10);
	PostgresPollingStatusType s = PGRES_POLLING_WRITING;
	int r;

	while (c->lib.status(c->pg) != CONNECTION_BAD) {
		r = wait_for(c, s == PGRES_POLLING_READING ? POLLIN : POLLOUT, until, "connecting", e);
		if (r < 0)
			return -1;
		if (r == 0)
			continue;
		s = c->lib.connectPoll(c->pg);
		if (s == PGRES_POLLING_OK)
			return 0;
		if (s == PGRES_POLLING_FAILED)
			break;
	}
	return refuse(c, e);
}

static void
ignore_notice(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
}

static void
warn_when_bare(const struct pqconn *c)
{
	const char *h = c->lib.host(c->pg);

	if (c->lib.sslInUse(c->pg) || h == NULL || h[0] == '/' || h[0] == '\0' || h[0] == '@' ||
	    strcmp(h, "localhost") == 0 || strncmp(h, "127.", 4) == 0 || strcmp(h, "::1") == 0)
		return;
	log_warn(c->o.log, "the connection to PostgreSQL at %s is not encrypted: give --ca-file, or "
		"sslmode=verify-full and sslrootcert in --url", h);
}

static int
begin(struct pqconn *c, struct err *e)
{
	char ms[32];
	const char *const params[] = { ms };
	struct pqrows *r;

	(void)snprintf(ms, sizeof ms, "%.0f", c->o.timeout * 1e3);
	r = pqconn_ask(c, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", NULL, 0, e);
	if (r == NULL)
		return -1;
	pqrows_free(r);
	/* For this transaction alone: a pooler in front may hand the connection on. */
	r = pqconn_ask(c, "SELECT set_config('TimeZone', 'UTC', true), "
		"set_config('extra_float_digits', '1', true), set_config('statement_timeout', $1, true)",
		params, 1, e);
	if (r == NULL)
		return -1;
	pqrows_free(r);
	return 0;
}

static int
connect_to(struct pqconn *c, struct err *e)
{
	const char *keys[] = { "dbname", "fallback_application_name", "client_encoding", "sslmode",
		"sslrootcert", NULL };
	const char *values[] = { c->o.url != NULL ? c->o.url : "", "llmr", "UTF8", "verify-full",
		c->o.ca_file, NULL };

	if (c->o.ca_file == NULL)
		keys[3] = NULL;
	c->pg = c->lib.connectStartParams(keys, values, 1);
	if (c->pg == NULL)
		return err_nomem(e);
	(void)c->lib.setNoticeProcessor(c->pg, ignore_notice, NULL);
	if (finish_connecting(c, e) < 0)
		return -1;
	c->up = true;
	if (c->lib.setnonblocking(c->pg, 1) != 0)
		return refuse(c, e);
	warn_when_bare(c);
	return begin(c, e);
}

struct pqconn *
pqconn_open(const struct pqconn_opts *o, struct err *e)
{
	struct pqconn *c = mem_calloc(1, sizeof *c, e);

	if (c == NULL)
		return NULL;
	c->o = *o;
	if (!(c->o.timeout > 0))
		c->o.timeout = 60;
	if (pqlib_open(&c->lib, e) < 0 || check(c, e) < 0 || connect_to(c, e) < 0) {
		pqconn_free(c);
		return NULL;
	}
	return c;
}

void
pqconn_free(struct pqconn *c)
{
	if (c == NULL)
		return;
	if (c->pg != NULL)
		c->lib.finish(c->pg);
	free(c);
}

/* --- asking --- */

/* Tell the server to stop: it would work on for nobody. */
static void
stop_server(struct pqconn *c)
{
	char why[256];
	PGcancel *k = c->lib.getCancel(c->pg);

	if (k == NULL)
		return;
	(void)c->lib.cancel(k, why, sizeof why);
	c->lib.freeCancel(k);
}

static int
judge(const struct pqconn *c, const PGresult *res, struct err *e)
{
	const char *state = c->lib.resultErrorField(res, PG_DIAG_SQLSTATE);
	char said[360];
	enum err_code code = ERR_UNAVAILABLE;

	words(c->lib.resultErrorMessage(res), said);
	if (state == NULL)
		state = "";
	if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)
		code = ERR_NOINPUT;
	else if (strcmp(state, "42501") == 0 || strncmp(state, "28", 2) == 0)
		code = ERR_NOPERM;
	else if (strncmp(state, "42", 2) == 0 || strncmp(state, "22", 2) == 0)
		code = ERR_INPUT;
	return err_set(e, code, "PostgreSQL: %s%s%s", state, state[0] != '\0' ? ": " : "", said);
}

static int
send_all(struct pqconn *c, int64_t until, struct err *e)
{
	int left, r;

	while ((left = c->lib.flush(c->pg)) > 0) {
		if ((r = wait_for(c, POLLIN | POLLOUT, until, "a statement", e)) < 0)
			return -1;
		if (r > 0 && !c->lib.consumeInput(c->pg))
			return refuse(c, e);
	}
	return left < 0 ? refuse(c, e) : 0;
}

/* The last of the statement's results (there is one). */
static PGresult *
receive(struct pqconn *c, int64_t until, struct err *e)
{
	PGresult *last = NULL, *res;
	int r;

	for (;;) {
		while (c->lib.isBusy(c->pg)) {
			if ((r = wait_for(c, POLLIN, until, "a statement", e)) < 0)
				goto fail;
			if (r > 0 && !c->lib.consumeInput(c->pg)) {
				refuse(c, e);
				goto fail;
			}
		}
		if ((res = c->lib.getResult(c->pg)) == NULL)
			break;
		if (last != NULL)
			c->lib.clear(last);
		last = res;
	}
	if (last == NULL)
		refuse(c, e);
	return last;
fail:
	if (last != NULL)
		c->lib.clear(last);
	stop_server(c);
	return NULL;
}

struct pqrows *
pqconn_ask(struct pqconn *c, const char *sql, const char *const *params, size_t n, struct err *e)
{
	/* The server's own limit comes first; this is for a server that is gone. */
	int64_t until = deadline(c->o.timeout + 5);
	struct pqrows *r;
	ExecStatusType status;

	if (!c->lib.sendQueryParams(c->pg, sql, (int)n, NULL, params, NULL, NULL, 0)) {
		refuse(c, e);
		return NULL;
	}
	if (send_all(c, until, e) < 0 || (r = mem_calloc(1, sizeof *r, e)) == NULL)
		return NULL;
	r->c = c;
	if ((r->res = receive(c, until, e)) == NULL) {
		free(r);
		return NULL;
	}
	status = c->lib.resultStatus(r->res);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return r;
	judge(c, r->res, e);
	pqrows_free(r);
	return NULL;
}

void
pqrows_free(struct pqrows *r)
{
	if (r == NULL)
		return;
	r->c->lib.clear(r->res);
	free(r);
}

size_t
pqrows_count(const struct pqrows *r)
{
	int n = r->c->lib.ntuples(r->res);

	return n > 0 ? (size_t)n : 0;
}

size_t
pqrows_columns(const struct pqrows *r)
{
	int n = r->c->lib.nfields(r->res);

	return n > 0 ? (size_t)n : 0;
}

const char *
pqrows_name(const struct pqrows *r, size_t column)
{
	return r->c->lib.fname(r->res, (int)column);
}

struct slice
pqrows_get(const struct pqrows *r, size_t row, size_t column)
{
	int i = (int)row, k = (int)column;

	if (r->c->lib.getisnull(r->res, i, k))
		return SLICE_NONE;
	return (struct slice){ r->c->lib.getvalue(r->res, i, k), (size_t)r->c->lib.getlength(r->res, i, k) };
}
