/* llmr extract - traces out of Jaeger, Tempo, gateway logs or files, as OTLP JSON Lines. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "common/fromjaeger.h"
#include "common/frompostgres.h"
#include "common/froms3.h"
#include "fmt/stream.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

/* --from file: one pass over the inputs. */
struct copying {
	struct ctx *c;
	const char *path;
	struct stream_out *out;
	struct buf line;
	uint64_t lines, spans, bad;
};

static int
copy_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct copying *k = ctx;

	if (b->n == 0)
		return 0;
	buf_reset(&k->line);
	if (otlpwrite_line(b->spans, b->n, &k->line, e) < 0)
		return -1;
	k->lines++;
	k->spans += b->n;
	return stream_out_write(k->out, k->line.p, k->line.len, e);
}

static int
count_bad(void *ctx, const struct err *what, struct err *e)
{
	struct copying *k = ctx;

	(void)e;
	k->bad++;
	log_warn(&k->c->log, "%s: %s", k->path, what->msg);
	return 0;
}

static int
copy_file(struct copying *k, const char *path)
{
	struct ctx *c = k->c;
	struct decode_opts o = { .on_batch = copy_batch, .on_bad = count_bad, .ctx = k,
		.cancel = c->cancel, .max_piece_bytes = (size_t)opt_bytes(c, "max-trace-bytes") };
	struct stream_in *in = stream_in_open(path, &c->err);
	int r;

	if (in == NULL)
		return -1;
	k->path = strcmp(path, "-") == 0 ? "standard input" : path;
	r = decode_stream(in, &o, NULL, &c->err);
	stream_in_close(in);
	return r < 0 ? err_wrap(&c->err, "%s", k->path) : 0;
}

static int
extract_files(struct ctx *c)
{
	struct copying k = { .c = c };
	int r = 0;

	if ((k.out = stream_out_open(opt_str(c, "output"), &c->err)) == NULL)
		return -1;
	if (c->n_args == 0)
		r = copy_file(&k, "-");
	for (size_t i = 0; i < c->n_args && r == 0; i++)
		r = copy_file(&k, c->args[i]);
	buf_finish(&k.line);
	if (r < 0) {
		stream_out_abort(k.out);
		return -1;
	}
	if (stream_out_commit(k.out, &c->err) < 0)
		return -1;
	if (c->json && strcmp(opt_str(c, "output"), "-") != 0)
		out_printf("{\"lines\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n", k.lines,
			k.spans, k.bad);
	else
		say(c, "%" PRIu64 " lines, %" PRIu64 " spans, %" PRIu64 " bad pieces", k.lines, k.spans,
			k.bad);
	if (k.bad > 0)
		return err_set(&c->err, ERR_INPUT, "%" PRIu64 " pieces could not be read", k.bad);
	if (k.spans > 0)
		return 0;
	if (opt_flag(c, "fail-empty"))
		return err_set(&c->err, ERR_NO, "no spans in the input");
	log_warn(&c->log, "no spans in the input");
	return 0;
}

int
cmd_extract(struct ctx *c)
{
	const char *from = opt_str(c, "from");

	if (strcmp(from, "file") == 0)
		return extract_files(c);
	if (strcmp(from, "postgres") == 0)
		return frompostgres_run(c);
	if (strcmp(from, "s3") == 0)
		return froms3_run(c);
	return fromjaeger_run(c, strcmp(from, "tempo") == 0);
}
