/*
 * decodebench - the trace decoder alone.
 *
 *   decodebench FILE...              every span, as OTLP JSON Lines on stdout
 *   decodebench -w [-t N] FILE...    only LLM spans and keys, counted; CPU and wall MB/s on stderr
 *
 * Build: cc -O2 -D_GNU_SOURCE -Ilib -pthread -o build/decodebench tests/bench/decodebench.c \
 *	build/libllmr.a -lyaml -lsodium -lzstd -lz -lm -ldl
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/attrmap.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

static uint64_t wanted[256], attrs[256], seen[256];

static int
dump(void *ctx, const struct span_batch *b, struct err *e)
{
	struct buf out = BUF_INIT;

	(void)ctx;
	if (otlpwrite_line(b->spans, b->n, &out, e) < 0)
		return -1;
	(void)fwrite(buf_cstr(&out), 1, out.len, stdout);
	buf_finish(&out);
	return 0;
}

static int
count(void *ctx, unsigned worker, const struct span_batch *b, struct buf *out, struct err *e)
{
	(void)ctx;
	(void)out;
	(void)e;
	seen[worker] += b->seen;
	for (size_t i = 0; i < b->n; i++) {
		wanted[worker]++;
		attrs[worker] += b->spans[i].attrs.n;
	}
	return 0;
}

static int
output(void *ctx, struct buf *out, struct err *e)
{
	(void)ctx;
	(void)out;
	(void)e;
	return 0;
}

static int
bad(void *ctx, const struct err *what, struct err *e)
{
	(void)ctx;
	(void)e;
	(void)fprintf(stderr, "bad: %s\n", what->msg);
	return 0;
}

static int
one(const char *path, const struct decode_opts *o, struct err *e)
{
	struct stream_in *in = stream_in_open(path, e);
	struct decode_stats st;
	int64_t cpu = clock_cpu_ns(), wall = clock_mono_ns();
	int r;

	if (in == NULL)
		return -1;
	r = decode_stream(in, o, &st, e);
	stream_in_close(in);
	cpu = clock_cpu_ns() - cpu;
	wall = clock_mono_ns() - wall;
	(void)fprintf(stderr, "%s: %s, %llu bytes, %llu pieces, %llu spans, %llu bad; %.0f MB/s cpu, "
		"%.0f MB/s wall, %zu KiB peak\n", path, trace_format_name(st.format),
		(unsigned long long)st.bytes, (unsigned long long)st.pieces,
		(unsigned long long)st.spans, (unsigned long long)st.bad,
		(double)st.bytes * 1e3 / (double)cpu, (double)st.bytes * 1e3 / (double)wall,
		mem_peak_rss() / 1024);
	return r;
}

int
main(int argc, char **argv)
{
	struct attrmap *map = NULL;
	struct decode_opts o = { .on_batch = dump, .on_bad = bad };
	struct err e = ERR_INIT;
	int i = 1, status = 0;
	uint64_t w = 0, a = 0, s = 0;

	if (i < argc && strcmp(argv[i], "-w") == 0) {
		if ((map = attrmap_open(NULL, &e)) == NULL)
			return 1;
		o = (struct decode_opts){ .want = attrmap_want(map), .on_work = count, .on_output = output,
			.on_bad = bad };
		i++;
	}
	if (i + 1 < argc && strcmp(argv[i], "-t") == 0) {
		o.threads = (unsigned)atoi(argv[i + 1]);
		i += 2;
	}
	for (; i < argc; i++)
		if (one(argv[i], &o, &e) < 0) {
			(void)fprintf(stderr, "%s: %s\n", argv[i], e.msg);
			status = 1;
		}
	for (int k = 0; k < 256; k++) {
		w += wanted[k];
		a += attrs[k];
		s += seen[k];
	}
	if (o.want != NULL)
		(void)fprintf(stderr, "%llu wanted of %llu spans, %llu attributes\n",
			(unsigned long long)w, (unsigned long long)s, (unsigned long long)a);
	attrmap_free(map);
	return status;
}
