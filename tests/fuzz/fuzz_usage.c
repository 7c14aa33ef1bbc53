/* Any bytes as a stream of events: cut anywhere, the tokens come out the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "serve/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usage whole, cut, json;

	usage_init(&whole, true);
	usage_init(&cut, true);
	usage_init(&json, false);
	usage_feed(&whole, (const char *)data, size);
	for (size_t i = 0, step = 1; i < size; i += step, step = step % 7 + 1)
		usage_feed(&cut, (const char *)data + i, size - i < step ? size - i : step);
	usage_read(&json, (const char *)data, size);
	if (whole.prompt_tokens != cut.prompt_tokens || whole.completion_tokens != cut.completion_tokens ||
	    whole.total_tokens != cut.total_tokens || whole.events != cut.events || whole.done != cut.done)
		abort();
	usage_finish(&whole);
	usage_finish(&cut);
	usage_finish(&json);
	return 0;
}
