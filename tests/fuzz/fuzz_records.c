/* What people and gateways write: messages, records, data sets, labels' rows, texts to redact. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "data/candidates.h"
#include "data/importers.h"
#include "data/record.h"
#include "data/redact.h"
#include "fmt/yaml.h"
#include "trace/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
on_record(void *ctx, struct record *r, struct err *e)
{
	struct buf *b = ctx;
	struct arena a = ARENA_INIT;
	struct record back;
	char id[17];

	buf_reset(b);
	record_format(r, b);
	/* what was written reads back */
	if (buf_ok(b, NULL) == 0 && r->model_name.n > 0 && record_parse(b->p, b->len, &a, &back, e) < 0)
		abort();
	record_query_id(r->query, id);
	arena_finish(&a);
	return 0;
}

static int
on_bad(void *ctx, const struct err *what, struct err *e)
{
	(void)ctx;
	(void)what;
	(void)e;
	return 0;
}

static void
messages(struct slice s, struct arena *a)
{
	struct message_set set = { 0 };
	struct buf plain = BUF_INIT;
	struct slice q;
	bool found;

	(void)message_add_json(&set, s, a, &found, NULL);
	for (int pick = MESSAGE_LAST_USER; pick <= MESSAGE_ALL; pick++)
		(void)message_query(&set, (enum message_pick)pick, a, &q, NULL);
	(void)message_system(&set, a, &q, NULL);
	message_finish(&set);
	if (message_plain_json(s, &plain)) {
		(void)message_add_json(&set, (struct slice){ plain.p, plain.len }, a, &found, NULL);
		message_finish(&set);
	}
	buf_finish(&plain);
}

static void
redaction(struct slice s)
{
	static const char *const specs[] = { "email,phone,card,key", "regex:[a-z]+@|x*" };
	struct redact *r = redact_new(specs, 2, NULL);
	struct buf out = BUF_INIT;
	uint64_t hits = 0;

	(void)redact_text(r, s, &out, &hits);
	buf_finish(&out);
	redact_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = { (const char *)data, size };
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;
	struct import_opts o = { .on_record = on_record, .on_bad = on_bad, .ctx = &b };

	for (int kind = IMPORT_DCROUTER; kind <= IMPORT_FLAT; kind++) {
		struct stream_in *in = stream_in_memory(data, size, NULL);

		if (in != NULL)
			(void)importers_read((enum import_kind)kind, in, "fuzz", &o, NULL, NULL);
		stream_in_close(in);
	}
	messages(s, &a);
	redaction(s);
	candidates_free(candidates_parse(s.p != NULL ? s.p : "", s.n, "fuzz", NULL));
	yaml_free(yaml_parse(s.p, s.n, "fuzz", NULL));
	arena_finish(&a);
	buf_finish(&b);
	return 0;
}
