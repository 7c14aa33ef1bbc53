/* Any bytes as a request's body: read, then rewritten for the upstream, which must read the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fmt/jread.h"
#include "serve/body.h"
#include "serve/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
rewrite(const char *p, size_t n, const struct body *b)
{
	struct body_scratch s = { 0 };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	struct body again;

	if (!chat_rewrite(p, n, "upstream", &out))
		abort();
	if (body_read(out.p, out.len, true, &s, &again, &e) < 0)
		abort();
	if (!slice_is(again.model, "upstream") || !slice_eq(again.prompt, b->prompt) || again.stream != b->stream ||
	    again.n_require > b->n_require)
		abort();
	buf_finish(&out);
	body_scratch_finish(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct body_scratch s = { 0 };

	for (int chat = 0; chat < 2; chat++) {
		struct err e = ERR_INIT;
		struct body b;

		if (body_read((const char *)data, size, chat == 1, &s, &b, &e) < 0) {
			if (e.code == ERR_NONE || e.msg[0] == '\0')
				abort();
			continue;
		}
		if (!(body_tokens(&b) >= 0) || b.n_require > BODY_MAX_REQUIRE)
			abort();
		if (chat == 1)
			rewrite((const char *)data, size, &b);
	}
	body_scratch_finish(&s);
	return 0;
}
