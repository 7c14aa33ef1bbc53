#include "serve/httpdlib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define FN(f) { "MHD_" #f, offsetof(struct httpdlib, f) }
static const struct {
	const char *name;
	size_t at;
} fns[] = {
	FN(add_response_header), FN(create_response_from_buffer), FN(create_response_from_callback),
	FN(destroy_response), FN(get_connection_info), FN(get_connection_values_n), FN(lookup_connection_value),
	FN(queue_response), FN(quiesce_daemon), FN(resume_connection), FN(start_daemon), FN(stop_daemon),
	FN(suspend_connection),
};

int
httpdlib_open(struct httpdlib *l, struct err *e)
{
	void *dl = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return err_set(e, ERR_CONFIG, "%s: install libmicrohttpd (Debian: libmicrohttpd12)", dlerror());
	for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
		void *sym = dlsym(dl, fns[i].name);

		if (sym == NULL)
			return err_set(e, ERR_CONFIG, "libmicrohttpd lacks %s: version 0.9.75 or later is needed",
				fns[i].name);
		memcpy((char *)l + fns[i].at, &sym, sizeof sym);
	}
	return 0;
}
