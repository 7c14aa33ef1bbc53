/*
 * pqconn - a connection to PostgreSQL: reading, with time limits.
 *
 * What names the server is libpq's business: a URL or "key=value" text, the PG*
 * variables, service files; passwords come from PGPASSWORD, PGPASSFILE,
 * ~/.pgpass or a service file. The host is checked against allowed_hosts
 * before anything is resolved. Every wait can be cancelled and ends in time.
 * Depends on: libpq (net/pqlib), net/http (its list of hosts).
 * Threads: a connection belongs to one thread at a time.
 */
#ifndef LLMR_NET_PQCONN_H
#define LLMR_NET_PQCONN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

struct pqconn;
struct pqrows;

struct pqconn_opts {
	const char *url;		/* NULL: as libpq finds it */
	bool url_may_hold_password;	/* it did not come from a command line */
	const char *ca_file;		/* PEM, trusted alone, and TLS with the server's name is demanded; NULL:
					   by the URL's sslmode and sslrootcert, as libpq does */
	double connect_timeout;		/* seconds; 0: 10 */
	double timeout;			/* seconds for one statement; 0: 60 */
	const char *const *allowed_hosts;
	size_t n_allowed_hosts;
	const struct log *log;		/* a warning when nothing protects the connection */
	struct cancel *cancel;
};

/*
 * Connect and begin a read-only transaction that sees one state of the data.
 * ERR_USAGE: the URL, or a password in it. ERR_NOPERM: host not allowed,
 * password refused. ERR_NOINPUT: no such database. ERR_UNAVAILABLE: away.
 * ERR_CONFIG: no libpq. ERR_INTR.
 */
struct pqconn *pqconn_open(const struct pqconn_opts *, struct err *e);
void pqconn_free(struct pqconn *);		/* NULL is fine */

/*
 * Run one statement with text parameters (NULL: SQL's NULL). Rows, to be
 * freed (none for a command), or NULL and err as above; ERR_NOINPUT also for a
 * table that is not there, ERR_NOPERM for one that may not be read.
 */
struct pqrows *pqconn_ask(struct pqconn *, const char *sql, const char *const *params, size_t n,
	struct err *e);
void pqrows_free(struct pqrows *);
size_t pqrows_count(const struct pqrows *);
size_t pqrows_columns(const struct pqrows *);
const char *pqrows_name(const struct pqrows *, size_t column);
/* A value's text, borrowed; p == NULL for SQL's NULL. */
struct slice pqrows_get(const struct pqrows *, size_t row, size_t column);

#endif
