/* Any tokenizer.json, vocab.txt or configuration loads or gives one error; what loads tokenizes, whatever the cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "embed/bertconf.h"
#include "embed/wordfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAX 37

static void
use(struct wordpiece *w, struct slice text)
{
	uint32_t ids[MAX];

	if (w == NULL)
		return;
	for (enum wordpiece_cut cut = WORDPIECE_HEAD; cut <= WORDPIECE_MIDDLE; cut++) {
		size_t count = wordpiece_encode(w, text, cut, ids, MAX);

		if (count > MAX)
			abort();
		for (size_t i = 0; i < count; i++)
			if (ids[i] >= wordpiece_size(w))
				abort();
	}
	wordpiece_free(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = { (const char *)data, n }, rest;
	const char *cut = n == 0 ? NULL : memchr(data, '\f', n);
	struct bertconf conf;

	/* A form feed parts a vocabulary from its configuration. */
	rest = cut == NULL ? SLICE_NONE : (struct slice){ cut + 1, n - (size_t)(cut + 1 - all.p) };
	use(wordfile_json(all, NULL), all);
	use(wordfile_vocab(cut == NULL ? all : (struct slice){ all.p, (size_t)(cut - all.p) }, rest, NULL), all);
	(void)bertconf_parse(all, &conf, NULL);
	(void)bertconf_check(all, rest, &conf, NULL);
	return 0;
}
