/* Any bytes are text; every length cap gives terms within bounds, and a text equals itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "embed/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct terms a, b;
	char *text;
	size_t max;

	if (n == 0 || (text = malloc(n)) == NULL)
		return 0;
	memcpy(text, data, n);
	max = 16 + (size_t)data[0];
	if (terms_init(&a, max, NULL) == 0 && terms_init(&b, max, NULL) == 0) {
		terms_of(&a, (struct slice){ text, n });
		terms_of(&b, (struct slice){ text, n / 2 });
		terms_of(&b, (struct slice){ text, n });
		if (a.n_words > 2 * max || a.n_chars > 3 * max || a.n_words != b.n_words ||
			a.n_chars != b.n_chars ||
			memcmp(a.words, b.words, a.n_words * sizeof(*a.words)) != 0 ||
			memcmp(a.chars, b.chars, a.n_chars * sizeof(*a.chars)) != 0)
			abort();
	}
	terms_finish(&a);
	terms_finish(&b);
	free(text);
	return 0;
}
