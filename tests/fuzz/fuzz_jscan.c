/* Every form of the scanner gives the same bits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fmt/jscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum jscan_level levels[] = { JSCAN_SSE2, JSCAN_AVX2, JSCAN_AVX512 };
	static char text[JSCAN_BATCH * JSCAN_BLOCK + JSCAN_AHEAD];
	struct jscan_marks marks = { 0 };
	size_t blocks = n / JSCAN_BLOCK + 1;

	if (jscan_utf8((const char *)data, n) != utf8_valid((const char *)data, n))
		abort();
	if (blocks > JSCAN_BATCH)
		return 0;
	memset(text, ' ', sizeof text);
	if (n > 0)
		memcpy(text, data, n);
	jscan_mark(&marks, 'g', "gen_ai.", 7);
	jscan_mark(&marks, 'l', "llm\"", 4);
	for (size_t l = 0; l < 3; l++) {
		static struct jscan_found a, b, c;
		struct jscan_state s = { 0 }, t = { 0 }, u = { 0 };

		if (!jscan_can(levels[l]))
			continue;
		jscan_run(JSCAN_PORTABLE, text, blocks, NULL, true, &s, &a);
		jscan_run(levels[l], text, blocks, NULL, true, &t, &b);
		if (a.n != b.n || memcmp(a.place, b.place, a.n * sizeof a.place[0]) != 0 ||
		    a.low != b.low || a.high != b.high || memcmp(&s, &t, sizeof s) != 0)
			abort();
		for (size_t i = 0; i < blocks; i++)
			if ((a.low >> i & 1) != 0 &&
			    (a.control[i] != b.control[i] || a.newline[i] != b.newline[i]))
				abort();
		/* With marks there are only more places, quotes and backslashes. */
		jscan_run(levels[l], text, blocks, &marks, true, &u, &c);
		for (size_t i = 0, k = 0; i < c.n; i++)
			if (k < a.n && a.place[k] == c.place[i])
				k++;
			else if (text[c.place[i]] != '"' && text[c.place[i]] != '\\')
				abort();
	}
	return 0;
}
