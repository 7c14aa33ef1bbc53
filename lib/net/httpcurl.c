#include "net/httpcurl.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define FN(f) { "curl_" #f, offsetof(struct httpcurl, f) }
static const struct {
	const char *name;
	size_t at;
} fns[] = {
	FN(global_init), FN(version_info), FN(easy_init), FN(easy_reset), FN(easy_setopt), FN(easy_getinfo),
	FN(easy_strerror), FN(easy_pause), FN(easy_cleanup), FN(multi_init), FN(multi_setopt),
	FN(multi_add_handle), FN(multi_remove_handle), FN(multi_perform), FN(multi_poll), FN(multi_wakeup),
	FN(multi_info_read), FN(multi_strerror), FN(multi_cleanup), FN(slist_append), FN(slist_free_all),
};

int
httpcurl_open(struct httpcurl *c, struct err *e)
{
	void *dl = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return err_set(e, ERR_CONFIG, "%s: install libcurl (Debian: libcurl4)", dlerror());
	for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
		void *sym = dlsym(dl, fns[i].name);

		if (sym == NULL)
			return err_set(e, ERR_CONFIG, "libcurl lacks %s: version 7.68 or later is needed", fns[i].name);
		memcpy((char *)c + fns[i].at, &sym, sizeof sym);
	}
	if (c->global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(e, ERR_CONFIG, "libcurl cannot be initialised");
	return 0;
}
