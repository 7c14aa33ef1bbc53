/*
 * pqlib - libpq, found by name at run time.
 *
 * Opened by dlopen, as libcurl is, so that a command which needs no database
 * pays nothing for it.
 * Depends on: libpq >= 12 at run time, base.  Threads: pqlib_open is safe.
 */
#ifndef LLMR_NET_PQLIB_H
#define LLMR_NET_PQLIB_H

#include <libpq-fe.h>

#include "base/err.h"

struct pqlib {
	__typeof__(PQlibVersion) *LibVersion;
	__typeof__(PQconninfoParse) *conninfoParse;
	__typeof__(PQconndefaults) *conndefaults;
	__typeof__(PQconninfoFree) *conninfoFree;
	__typeof__(PQfreemem) *freemem;
	__typeof__(PQconnectStartParams) *connectStartParams;
	__typeof__(PQconnectPoll) *connectPoll;
	__typeof__(PQstatus) *status;
	__typeof__(PQsocket) *socket;
	__typeof__(PQerrorMessage) *errorMessage;
	__typeof__(PQconnectionNeedsPassword) *connectionNeedsPassword;
	__typeof__(PQconnectionUsedPassword) *connectionUsedPassword;
	__typeof__(PQsslInUse) *sslInUse;
	__typeof__(PQhost) *host;
	__typeof__(PQfinish) *finish;
	__typeof__(PQsetnonblocking) *setnonblocking;
	__typeof__(PQsetNoticeProcessor) *setNoticeProcessor;
	__typeof__(PQsendQueryParams) *sendQueryParams;
	__typeof__(PQflush) *flush;
	__typeof__(PQconsumeInput) *consumeInput;
	__typeof__(PQisBusy) *isBusy;
	__typeof__(PQgetResult) *getResult;
	__typeof__(PQresultStatus) *resultStatus;
	__typeof__(PQresultErrorField) *resultErrorField;
	__typeof__(PQresultErrorMessage) *resultErrorMessage;
	__typeof__(PQclear) *clear;
	__typeof__(PQntuples) *ntuples;
	__typeof__(PQnfields) *nfields;
	__typeof__(PQfname) *fname;
	__typeof__(PQgetvalue) *getvalue;
	__typeof__(PQgetlength) *getlength;
	__typeof__(PQgetisnull) *getisnull;
	__typeof__(PQgetCancel) *getCancel;
	__typeof__(PQcancel) *cancel;
	__typeof__(PQfreeCancel) *freeCancel;
};

/* Load it (it stays loaded). ERR_CONFIG when it is missing or too old. */
int pqlib_open(struct pqlib *, struct err *e);

#endif
