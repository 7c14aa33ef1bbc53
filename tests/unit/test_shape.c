#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/shape.h"

Test(shape, any_bytes_give_unit_vectors)
{
	static const struct slice texts[] = {
		{ "What is 2 + 2?", 14 }, { "def f(x):\n    return x", 22 }, { "\xe4\xb8\xad\xe6\x96\x87", 6 },
		{ "\xff\xfe\x00\x80", 4 }, { "A", 1 }, { " \n\t ", 4 }, { "\0\0\0", 3 },
	};
	enum { COUNT = sizeof texts / sizeof texts[0] };
	struct shape *s = shape_fit(texts, COUNT, 64, NULL, NULL);
	float out[SHAPE_DIM];

	cr_assert(s != NULL);
	for (size_t i = 0; i < COUNT; i++) {
		double squares = 0;

		shape_text(s, texts[i], out);
		for (size_t j = 0; j < SHAPE_DIM; j++)
			squares += (double)out[j] * (double)out[j];
		cr_assert(fabs(squares - 1) < 1e-5, "text %zu: %g", i, squares);
	}
	shape_text(s, SLICE_LIT(""), out);
	for (size_t j = 0; j < SHAPE_DIM; j++)
		cr_assert(out[j] == 0);
	shape_free(s);
}

Test(shape, long_texts_are_read_at_both_ends)
{
	double a[SHAPE_FEATURES], b[SHAPE_FEATURES];
	char text[4096];

	memset(text, 'a', sizeof text);
	shape_features((struct slice){ text, sizeof text }, 100, a);
	memset(text + 100, '5', sizeof text - 200);
	shape_features((struct slice){ text, sizeof text }, 100, b);
	cr_assert(memcmp(a, b, sizeof a) == 0);
	text[sizeof text - 1] = '?';
	shape_features((struct slice){ text, sizeof text }, 100, b);
	cr_assert(memcmp(a, b, sizeof a) != 0);
}
