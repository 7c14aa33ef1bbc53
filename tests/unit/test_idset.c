#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/idset.h"
#include "base/spool.h"

Test(idset, holds_each_id_once)
{
	struct idset s = IDSET_INIT;
	struct err e = ERR_INIT;
	uint8_t id[16] = { 0 };
	bool added;

	cr_expect_not(idset_has(&s, id));
	cr_expect_eq(idset_add(&s, id, &added, &e), 0);
	cr_expect(added, "the all-zero id is an id");
	cr_expect_eq(idset_add(&s, id, &added, &e), 0);
	cr_expect_not(added);
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = 1; i <= 20000; i++) {
			memcpy(id + 12, &i, 4);
			cr_assert_eq(idset_add(&s, id, &added, &e), 0);
			cr_assert_eq(added, round == 0, "id %u", i);
		}
	}
	cr_expect_eq(s.len, 20001);
	memset(id, 0xff, 16);
	cr_expect_not(idset_has(&s, id));
	idset_finish(&s);
	idset_finish(&s);
	cr_expect_not(idset_has(&s, id));
}

Test(idset, parses_hex_of_any_length_to_32)
{
	static const struct { const char *s; bool ok; uint8_t last, first; } cases[] = {
		{ "1", true, 1, 0 }, { "aB", true, 0xab, 0 }, { "abc", true, 0xbc, 0 },
		{ "ff000000000000000000000000000001", true, 1, 0xff },
		{ "0ff000000000000000000000000000001", false, 0, 0 }, { "", false, 0, 0 },
		{ "xyz", false, 0, 0 }, { "12 ", false, 0, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t id[16];
		bool ok = idset_parse(slice_str(cases[i].s), id);

		cr_expect_eq(ok, cases[i].ok, "case '%s'", cases[i].s);
		if (ok)
			cr_expect(id[15] == cases[i].last && id[0] == cases[i].first, "case '%s'", cases[i].s);
	}
}

Test(spool, reads_back_from_memory_and_file)
{
	static const size_t limits[] = { 1, 1000, 1 << 20 };

	for (size_t k = 0; k < 3; k++) {
		struct spool s = SPOOL_INIT;
		struct err e = ERR_INIT;
		char part[64], got[64];

		s.max_memory = limits[k];
		for (unsigned round = 0; round < 2; round++) {
			for (unsigned i = 0; i < 500; i++) {
				memset(part, (int)('a' + i % 26), sizeof part);
				cr_assert_eq(spool_write(&s, part, sizeof part, &e), 0, "%s", e.msg);
			}
			cr_expect_eq(s.len, 500 * sizeof part);
			for (unsigned i = 0; i < 500; i++) {
				memset(part, (int)('a' + i % 26), sizeof part);
				cr_assert_eq(spool_read(&s, i * sizeof part, got, sizeof got, &e), 0);
				cr_assert_arr_eq(got, part, sizeof part, "limit %zu, part %u", limits[k], i);
			}
			cr_expect_eq(spool_read(&s, 32, got, sizeof got, &e), 0);
			cr_expect(got[31] == 'a' && got[32] == 'b', "a read over a seam");
			spool_reset(&s);
			cr_expect_eq(s.len, 0);
		}
		spool_finish(&s);
	}
}
