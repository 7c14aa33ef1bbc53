#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "data/outdir.h"
#include "data/tally.h"

Test(tally, ties_and_coverage)
{
	static const struct { uint64_t q; const char *model; double p; } rows[] = {
		{ 1, "a", 1 }, { 1, "b", 1 },			/* tied */
		{ 2, "a", 0 }, { 2, "b", 1 }, { 2, "c", 0 },	/* not */
		{ 3, "a", 1 }, { 3, "a", 1 },			/* one model only */
		{ 4, "a", 0 }, { 4, "b", 0 }, { 4, "c", 1 },	/* a tie below the best */
		{ 5, "a", NAN }, { 5, "b", 1 },			/* one score only */
		{ 6, "a", 0.5 }, { 6, "b", 0.2 }, { 6, "c", 0.5 },
	};
	struct tally *t = tally_new(NULL);
	struct tally_totals n;
	uint64_t records;
	uint32_t index;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_assert_eq(tally_add(t, rows[i].q, slice_str(rows[i].model), rows[i].p, &index, NULL), 0);
		cr_expect_eq(index, rows[i].q - 1, "in order of first appearance");
		cr_expect_eq(tally_query(t, index), rows[i].q);
	}
	n = tally_totals(t);
	cr_expect_eq(n.records, 15);
	cr_expect_eq(n.queries, 6);
	cr_expect_eq(n.models, 3);
	cr_expect_eq(n.labelled, 14);
	cr_expect_eq(n.comparable, 4);
	cr_expect_eq(n.tied, 2);
	cr_expect(slice_is(tally_model(t, 1, &records), "b"));
	cr_expect_eq(records, 5);
	tally_free(t);
}

Test(tally, many_queries_and_keys)
{
	struct tally *t = tally_new(NULL);
	uint32_t index;

	for (uint64_t round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < 50000; i++) {
			uint64_t key = (i + 1) * 0x9e3779b97f4a7c15u;

			cr_assert_eq(tally_add(t, key, SLICE_LIT("m"), NAN, &index, NULL), 0);
			cr_assert_eq(index, i);
			cr_assert_eq(tally_seen(t, key, NULL), (int)round);
		}
	}
	cr_expect_eq(tally_seen(t, 0, NULL), 0);
	cr_expect_eq(tally_seen(t, 0, NULL), 1);
	cr_expect_eq(tally_totals(t).queries, 50000);
	tally_free(t);
}

Test(outdir, split_is_by_query_and_near_its_share)
{
	size_t test = 0, moved = 0, other_seed = 0;

	for (uint64_t q = 1; q <= 10000; q++) {
		bool here = outdir_is_test(q * 0x9e3779b97f4a7c15u, 0.2, 42);

		test += here;
		/* a larger share only adds */
		moved += here && !outdir_is_test(q * 0x9e3779b97f4a7c15u, 0.3, 42);
		other_seed += here != outdir_is_test(q * 0x9e3779b97f4a7c15u, 0.2, 43);
	}
	cr_expect(test > 1850 && test < 2150, "%zu of 10000", test);
	cr_expect_eq(moved, 0);
	cr_expect_gt(other_seed, 2000);
	cr_expect_not(outdir_is_test(5, 0, 42));
}
