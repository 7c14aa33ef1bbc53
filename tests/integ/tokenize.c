/*
 * tokenize DIR CUT MAX [LAPS] - token ids of texts, for comparison with another tokenizer.
 *
 * stdin: for each text its length (4 bytes, little-endian) and bytes; stdout: for
 * each the number of ids and the ids (4 bytes each). With LAPS nothing is written
 * but the microseconds of one pass, the fastest of that many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "embed/wordfile.h"

static uint32_t
length_at(const struct buf *in, size_t at)
{
	uint32_t n;

	memcpy(&n, in->p + at, sizeof n);
	return n;
}

static double
lap(const struct wordpiece *w, const struct buf *in, enum wordpiece_cut cut, uint32_t *ids, size_t max)
{
	int64_t start = clock_mono_ns();

	for (size_t at = 0; at + 4 <= in->len; at += 4 + length_at(in, at))
		(void)wordpiece_encode(w, (struct slice){ in->p + at + 4, length_at(in, at) }, cut, ids, max);
	return (double)(clock_mono_ns() - start) / 1000;
}

int
main(int argc, char **argv)
{
	struct buf in = BUF_INIT;
	struct err e = ERR_INIT;
	struct wordpiece *w;
	size_t max = argc > 3 ? (size_t)atoll(argv[3]) : 0;
	int laps = argc > 4 ? atoi(argv[4]) : 0;
	uint32_t *ids = malloc((max + 1) * sizeof *ids);
	enum wordpiece_cut cut;
	double best = 0;

	if (argc < 4 || ids == NULL)
		return 64;
	cut = strcmp(argv[2], "tail") == 0 ? WORDPIECE_TAIL :
	    strcmp(argv[2], "middle") == 0 ? WORDPIECE_MIDDLE : WORDPIECE_HEAD;
	w = wordfile_read(argv[1], &e);
	if (w == NULL || io_read_file("-", (size_t)1 << 32, &in, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return e.code;
	}
	for (int i = 0; i < laps; i++) {
		double us = lap(w, &in, cut, ids, max);

		best = i == 0 || us < best ? us : best;
	}
	if (laps > 0)
		printf("%.3f\n", best);
	for (size_t at = 0; laps == 0 && at + 4 <= in.len; at += 4 + length_at(&in, at)) {
		struct slice text = { in.p + at + 4, length_at(&in, at) };
		uint32_t n = (uint32_t)wordpiece_encode(w, text, cut, ids, max);

		fwrite(&n, sizeof n, 1, stdout);
		fwrite(ids, sizeof *ids, n, stdout);
	}
	wordpiece_free(w);
	buf_finish(&in);
	free(ids);
	return 0;
}
