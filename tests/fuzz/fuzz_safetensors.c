/* Any bytes load or give one error; what loads may be read whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	volatile uint8_t sum = 0;
	struct err e = ERR_INIT;
	struct slice key, value;
	struct tensorfile *f;
	void *p;

	/* Exactly n bytes, so that a read beyond them shows. */
	if (posix_memalign(&p, 64, n == 0 ? 1 : n) != 0)
		return 0;
	if (n > 0)
		memcpy(p, data, n);
	if ((f = tensorfile_take(p, n, &e)) == NULL) {
		free(p);
		return 0;
	}
	for (size_t i = 0; i < tensorfile_count(f); i++) {
		const struct tensor *t = tensorfile_at(f, i);
		const uint8_t *q = t->data;

		for (uint64_t k = 0; k < t->bytes; k++)
			sum = (uint8_t)(sum + q[k]);
		if (tensorfile_find(f, t->name.p) != t)
			abort();
	}
	for (size_t i = 0; i < tensorfile_meta_count(f); i++) {
		tensorfile_meta_at(f, i, &key, &value);
		sum = (uint8_t)(sum + key.n + value.n);
	}
	tensorfile_free(f);
	return 0;
}
