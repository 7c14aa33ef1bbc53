/* Any bytes as a body of switching, its parameters, its remembered counters: read, or one error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/switchapi.h"
#include "serve/switchstats.h"
#include "serve/versions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parameters that are taken must be sane, and come back the same from their own text. */
static void
parameters(struct slice json)
{
	static const struct rollout_defaults d = { true, 0.05, 5 };

	for (int k = 0; k <= ROLLOUT_SHADOW; k++) {
		struct err e = ERR_INIT;
		struct buf text = BUF_INIT;
		struct rollout a, b;
		struct jsonw w;

		if (rollout_read(&a, (enum rollout_kind)k, &d, json, &e) < 0) {
			if (e.code != ERR_USAGE)
				abort();
			continue;
		}
		if (a.n_stages == 0 || a.n_stages > ROLLOUT_STAGES)
			abort();
		for (size_t i = 0; i < a.n_stages; i++)
			if (!(a.percent[i] >= 0 && a.percent[i] <= 100) || (i > 0 && a.percent[i] <= a.percent[i - 1]))
				abort();
		jsonw_init(&w, &text);
		rollout_write(&w, &a);
		if (rollout_read(&b, (enum rollout_kind)k, &d, slice_str(buf_cstr(&text)), &e) < 0 || a.n_stages != b.n_stages)
			abort();
		buf_finish(&text);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct arena arena = ARENA_INIT;
	struct switchapi_body body;
	struct err e = ERR_INIT;
	struct arm_stats *a = arm_stats_new("r", "v", &e);
	char *copy = malloc(size + 1);

	if (a == NULL || copy == NULL)
		abort();
	if (switchapi_read(text, &arena, &body, &e) == 0) {
		parameters(slice_str(body.config));
		(void)versions_is_name(slice_str(body.version));
	} else if (e.code != ERR_USAGE)
		abort();
	parameters(text);
	memcpy(copy, data, size);
	copy[size] = '\0';
	(void)switchstats_load(copy, a, NULL);
	(void)hist_quantile(&a->stage.latency, 0.95);
	free(copy);
	arm_stats_free(a);
	arena_finish(&arena);
	return 0;
}
