/* Any packed encoder loads or gives one error; what loads takes any text, and never leaves its memory. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "embed/bertrun.h"
#include "fmt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
use(const struct bert *b)
{
	static const char text[] = "a bc, d.\xc3\xa9 \xe4\xb8\xad \xff e a a a a a a a a a a a a a a a a a a a a a a a a";
	struct bertrun *s = bertrun_new(b, 0, NULL);
	float *x = malloc(b->conf.hidden * sizeof *x);
	struct embed_times times;

	if (s != NULL && x != NULL)
		bertrun_text(b, SLICE_LIT(text), WORDPIECE_HEAD, s, x, &times);
	bertrun_free(s);
	free(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tensorfile *f;
	struct bert *b;
	void *p;

	if (posix_memalign(&p, 64, n == 0 ? 1 : n) != 0)
		return 0;
	if (n > 0)
		memcpy(p, data, n);
	if ((f = tensorfile_take(p, n, NULL)) == NULL) {
		free(p);
		return 0;
	}
	if ((b = bert_take(f, NULL)) == NULL) {
		tensorfile_free(f);
		return 0;
	}
	use(b);
	bert_free(b);
	return 0;
}
