#include "serve/refusals.h"

#include <stdio.h>

#include "base/str.h"

void
refusals_init(struct refusals *r)
{
	pthread_mutex_init(&r->lock, NULL);
	r->n = 0;
}

void
refusals_finish(struct refusals *r)
{
	pthread_mutex_destroy(&r->lock);
}

void
refusals_note(struct refusals *r, int64_t at_us, const char *why)
{
	pthread_mutex_lock(&r->lock);
	r->v[r->n % REFUSALS_KEPT].at_us = at_us;
	(void)snprintf(r->v[r->n % REFUSALS_KEPT].why, sizeof r->v[0].why, "%s", why);
	r->n++;
	pthread_mutex_unlock(&r->lock);
}

void
refusals_write(struct refusals *r, struct jsonw *w)
{
	char when[28];

	jsonw_array(w);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n && i < REFUSALS_KEPT; i++) {
		size_t at = (r->n - 1 - i) % REFUSALS_KEPT;

		str_iso8601(r->v[at].at_us, when);
		jsonw_object(w);
		jsonw_kstr(w, "time", when);
		jsonw_kstr(w, "reason", r->v[at].why);
		jsonw_end_object(w);
	}
	pthread_mutex_unlock(&r->lock);
	jsonw_end_array(w);
}
