#include "net/pqlib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define FN(f) { "PQ" #f, offsetof(struct pqlib, f) }
static const struct {
	const char *name;
	size_t at;
} fns[] = {
	{ "PQlibVersion", offsetof(struct pqlib, LibVersion) },
	FN(conninfoParse), FN(conndefaults), FN(conninfoFree), FN(freemem), FN(connectStartParams),
	FN(connectPoll), FN(status), FN(socket), FN(errorMessage), FN(connectionNeedsPassword),
	FN(connectionUsedPassword), FN(sslInUse), FN(host), FN(finish), FN(setnonblocking),
	FN(setNoticeProcessor), FN(sendQueryParams), FN(flush), FN(consumeInput), FN(isBusy),
	FN(getResult), FN(resultStatus), FN(resultErrorField), FN(resultErrorMessage), FN(clear),
	FN(ntuples), FN(nfields), FN(fname), FN(getvalue), FN(getlength), FN(getisnull), FN(getCancel),
	FN(cancel), FN(freeCancel),
};

int
pqlib_open(struct pqlib *l, struct err *e)
{
	void *dl = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return err_set(e, ERR_CONFIG, "%s: install libpq (Debian: libpq5)", dlerror());
	for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
		void *sym = dlsym(dl, fns[i].name);

		if (sym == NULL)
			return err_set(e, ERR_CONFIG, "libpq lacks %s: version 12 or later is needed", fns[i].name);
		memcpy((char *)l + fns[i].at, &sym, sizeof sym);
	}
	return 0;
}
