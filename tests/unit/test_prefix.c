#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "embed/prefix.h"

enum { PER_TASK = 40, LINES = 60 };

/* Two tasks with long beginnings of their own, the second of which goes on in half of its texts; and loose texts. */
static void
make_texts(struct buf text[3 * PER_TASK], struct slice out[3 * PER_TASK])
{
	for (size_t i = 0; i < 3 * PER_TASK; i++) {
		size_t task = i / PER_TASK;

		text[i] = (struct buf)BUF_INIT;
		for (size_t l = 0; task < 2 && l < LINES; l++)
			buf_printf(&text[i], "task %zu, worked example %zu\n", task, l);
		for (size_t l = 0; task == 1 && i % 2 == 0 && l < LINES; l++)
			buf_printf(&text[i], "and further example %zu\n", l);
		buf_printf(&text[i], "Question: what is %zu?", 17 * i);
		out[i] = (struct slice){ text[i].p, text[i].len };
	}
}

Test(prefix, leaves_out_what_is_shared)
{
	struct buf text[3 * PER_TASK];
	struct slice texts[3 * PER_TASK], reversed[3 * PER_TASK];
	struct prefix *p, *q;

	make_texts(text, texts);
	for (size_t i = 0; i < 3 * PER_TASK; i++)
		reversed[i] = texts[3 * PER_TASK - 1 - i];
	cr_assert(prefix_learn(texts, 3 * PER_TASK, &p, NULL) == 0 && p != NULL);
	cr_assert(prefix_learn(reversed, 3 * PER_TASK, &q, NULL) == 0 && q != NULL);
	cr_assert(prefix_count(p) == 3, "%zu beginnings", prefix_count(p));
	for (size_t i = 0; i < 3 * PER_TASK; i++) {
		struct slice left = prefix_strip(p, texts[i]);

		cr_assert(slice_starts(left, "Question: what"), "text %zu: '%.*s'", i, 40, left.p);
		cr_assert(prefix_strip(q, texts[i]).n == left.n);
	}
	/* The beginning alone is left as it is; one byte different is not the beginning. */
	texts[0].n -= prefix_strip(p, texts[0]).n;
	cr_assert(prefix_strip(p, texts[0]).n == texts[0].n);
	text[1].p[3] = 'x';
	cr_assert(prefix_strip(p, texts[1]).n == texts[1].n);
	for (size_t i = 0; i < 3 * PER_TASK; i++)
		buf_finish(&text[i]);
	prefix_free(p);
	prefix_free(q);
}

Test(prefix, nothing_shared)
{
	static const struct slice texts[] = { { "one", 3 }, { "two", 3 }, { "", 0 } };
	struct prefix *p;

	cr_assert(prefix_learn(texts, 3, &p, NULL) == 0 && p == NULL);
	cr_assert(prefix_learn(texts, 0, &p, NULL) == 0 && p == NULL);
}
