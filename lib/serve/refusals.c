#include "serve/refusals.h"

#include <stdio.h>

#include "base/clock.h"
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
refusals_add(struct refusals *r, const char *cause, const char *why)
{
	struct refusal *v;

	pthread_mutex_lock(&r->lock);
	v = &r->v[r->n++ % REFUSALS_KEPT];
	v->at_us = clock_wall_us();
	(void)snprintf(v->cause, sizeof v->cause, "%s", cause);
	(void)snprintf(v->why, sizeof v->why, "%s", why);
	pthread_mutex_unlock(&r->lock);
}

void
refusals_write(struct refusals *r, struct jsonw *w)
{
	char at[28];

	jsonw_array(w);
	pthread_mutex_lock(&r->lock);
	for (uint64_t i = 0; i < r->n && i < REFUSALS_KEPT; i++) {
		const struct refusal *v = &r->v[(r->n - 1 - i) % REFUSALS_KEPT];

		str_iso8601(v->at_us, at);
		jsonw_object(w);
		jsonw_kstr(w, "at", at);
		jsonw_kstr(w, "cause", v->cause);
		jsonw_kstr(w, "error", v->why);
		jsonw_end_object(w);
	}
	pthread_mutex_unlock(&r->lock);
	jsonw_end_array(w);
}
