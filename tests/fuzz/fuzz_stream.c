/* Any bytes, compressed or not, read to an end or one error, whole and by lines. */
#include <stdint.h>
#include <stdlib.h>

#include "fmt/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MOST ((size_t)8 << 20)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	struct stream_in *in = stream_in_memory(data, n, &e);
	struct stream_lines *lines;
	static char block[5000];
	const char *line;
	uint64_t number, last = 0;
	size_t got = 1, total = 0;

	if (in == NULL)
		return 0;
	while (got > 0 && total < MOST && stream_in_read(in, block, sizeof block, &got, &e) == 0)
		total += got;
	stream_in_close(in);
	if ((in = stream_in_memory(data, n, &e)) == NULL)
		return 0;
	lines = stream_lines_new(in, 1000, &e);
	while (lines != NULL && last < 100000 &&
	    stream_lines_next(lines, &line, &got, &number, &e) == 1) {
		volatile char sum = 0;

		if (number != ++last || got > 1000)
			abort();
		for (size_t i = 0; i < got; i++)
			sum = (char)(sum + line[i]);
	}
	stream_lines_free(lines);
	stream_in_close(in);
	return 0;
}
