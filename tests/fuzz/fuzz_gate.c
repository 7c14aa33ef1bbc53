/* Any text as a gate: a condition that can be judged, or one error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char doc[] = "{\"gap_closed\":{\"value\":0.2,\"ci95\":[0.1,0.3]},\"a\":1,\"b\":null,"
	    "\"per_task\":{\"x y\":{\"score\":0.5}},\"s\":\"text\"}";
	char *text = malloc(size + 1);
	struct err e = ERR_INIT;
	struct gate *g;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	g = gate_parse(text, &e);
	if (g == NULL && e.code != ERR_USAGE)
		abort();
	if (g != NULL) {
		struct buf why = BUF_INIT;
		bool met = false;

		if (gate_check(g, doc, sizeof doc - 1, &met, &why, &e) < 0 && e.code != ERR_USAGE)
			abort();
		buf_finish(&why);
	}
	gate_free(g);
	free(text);
	return 0;
}
