/* The embedder of any artifact loads or gives one error; what loads embeds finite numbers. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "embed/embed.h"
#include "fmt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
use(const struct embedder *m)
{
	static const char text[] = "Sort a list: x += 1; \xe4\xbd\xa0\xe5\xa5\xbd \xff sort";
	struct embed_scratch *s = embed_scratch_new(m, NULL);
	float *x = malloc(embed_dim(m) * sizeof(*x));

	if (s != NULL && x != NULL) {
		embed_text(m, (struct slice){ text, sizeof(text) - 1 }, s, x);
		embed_text(m, (struct slice){ text, 5 }, s, x);
		for (size_t i = 0; i < embed_dim(m); i++) {
			if (!isfinite(x[i]))
				abort();
		}
	}
	free(x);
	embed_scratch_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tensorfile *f;
	struct embedder *m;
	void *p;

	if (posix_memalign(&p, 64, n == 0 ? 1 : n) != 0)
		return 0;
	if (n > 0)
		memcpy(p, data, n);
	if ((f = tensorfile_take(p, n, NULL)) == NULL) {
		free(p);
		return 0;
	}
	m = embed_load(f, tensorfile_meta(f, "llmr.embedder"), NULL, NULL);
	if (m != NULL)
		use(m);
	embed_free(m);
	tensorfile_free(f);
	return 0;
}
