#include <criterion/criterion.h>
#include <string.h>

#include "trace/message.h"

static struct arena arena = ARENA_INIT;

static const char *
text(struct slice s)
{
	return s.p == NULL ? "(none)" : arena_dup(&arena, s.p, s.n, NULL);
}

static const char *
query(const char *json, enum message_pick pick, size_t *others)
{
	struct message_set set = { 0 };
	struct slice q;
	const char *out;
	bool found;

	cr_assert_eq(message_add_json(&set, slice_str(json), &arena, &found, NULL), 0);
	if (!found) {
		message_finish(&set);
		return "(no messages)";
	}
	cr_assert_eq(message_query(&set, pick, &arena, &q, NULL), 0);
	out = text(q);
	if (others != NULL)
		*others = set.other_parts;
	message_finish(&set);
	return out;
}

Test(message, shapes)
{
	static const struct { const char *json, *want; size_t others; } cases[] = {
		{ "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"a\"}]}]", "a", 0 },
		{ "[{\"role\":\"user\",\"parts\":[{\"content\":\"a\",\"type\":\"text\"}]}]", "a", 0 },
		{ "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"a\"},"
		  "{\"type\":\"image_url\",\"image_url\":{}}]}]", "a", 1 },
		{ "[{\"role\":\"user\",\"content\":\"a\"}]", "a", 0 },
		{ "[{\"content\":\"a\",\"role\":\"user\"}]", "a", 0 },
		{ "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]",
		  "a\nb", 0 },
		{ "[{\"role\":\"user\",\"content\":[\"a\",\"b\",\"c\"]}]", "a\nb\nc", 0 },
		{ "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"1\"},"
		  "{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"2\"}]", "2", 0 },
		{ "[{\"role\":\"user\",\"content\":\"1\"},{\"role\":\"tool\",\"content\":\"t\"},"
		  "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"x\":1}]}]", "1", 1 },
		{ "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\":\"m\"}", "a", 0 },
		{ "{\"model\":\"m\",\"input\":\"a\"}", "a", 0 }, { "{\"prompt\":\"a\"}", "a", 0 },
		{ "{\"kwargs\":{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}}", "a", 0 },
		{ "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}]}", "a", 0 },
		{ "{\"role\":\"user\",\"content\":\"a\"}", "a", 0 },
		{ "\"a\"", "(no messages)", 0 }, { "[\"a\",\"b\"]", "(no messages)", 0 },
		{ "{\"text\":\"a\"}", "(no messages)", 0 }, { "{\"prompt\":[\"a\",\"b\"]}", "b", 0 },
		{ "[{\"type\":\"text\",\"content\":\"a\"}]", "a", 0 },
		{ "[{\"role\":\"user\",\"content\":\"\\u4e16\\ud83d\\ude00\"}]", "\xe4\xb8\x96\xf0\x9f\x98\x80", 0 },
		{ "[{\"role\":\"system\",\"content\":\"only\"}]", "(none)", 0 },
		{ "[{\"role\":\"user\",\"content\":\" \"}]", "(none)", 0 },
		{ "[]", "(no messages)", 0 }, { "{}", "(no messages)", 0 }, { "[1,2]", "(no messages)", 0 },
		{ "{\"a\":", "(no messages)", 0 }, { "[{\"role\":\"user\",\"content\":\"a\"}] x", "(no messages)", 0 },
		{ "plain words", "(no messages)", 0 }, { "", "(no messages)", 0 },
		{ "[{\"role\":\"user\",\"content\":null}]", "(no messages)", 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t others = 0;

		cr_expect_str_eq(query(cases[i].json, MESSAGE_LAST_USER, &others), cases[i].want,
			"case %s", cases[i].json);
		cr_expect_eq(others, cases[i].others, "case %s", cases[i].json);
	}
	arena_finish(&arena);
}

Test(message, picks)
{
	static const char turns[] = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"1\"},"
		"{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"2\"}]";
	static const char single[] = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"1\"}]";

	cr_expect_str_eq(query(turns, MESSAGE_FIRST_USER, NULL), "1");
	cr_expect_str_eq(query(turns, MESSAGE_LAST_USER, NULL), "2");
	cr_expect_str_eq(query(turns, MESSAGE_CONVERSATION, NULL), "user: 1\n\nassistant: x\n\nuser: 2");
	cr_expect_str_eq(query(turns, MESSAGE_ALL, NULL), "system: s\n\nuser: 1\n\nassistant: x\n\nuser: 2");
	cr_expect_str_eq(query(single, MESSAGE_CONVERSATION, NULL), "1", "a single message stands bare");
	cr_expect_str_eq(query(single, MESSAGE_ALL, NULL), "system: s\n\nuser: 1");
	arena_finish(&arena);
}

Test(message, numbered_attributes)
{
	static const char *const attrs[][2] = {
		{ "10.message.role", "user" }, { "10.message.content", "last" },
		{ "0.message.content", "sys" }, { "0.message.role", "system" },
		{ "2.message.contents.0.message_content.type", "text" },
		{ "2.message.contents.0.message_content.text", "a" },
		{ "2.message.contents.1.message_content.type", "image" },
		{ "2.message.contents.2.message_content.text", "b" }, { "2.message.role", "user" },
		{ "x.message.role", "user" }, { "3", "" }, { "3.message.tool_calls.0.x", "y" },
	};
	struct message_set set = { 0 };
	struct slice q, s;

	for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
		cr_assert_eq(message_numbered(&set, slice_str(attrs[i][0]), slice_str(attrs[i][1]), &arena, NULL), 0);
	message_numbered_end(&set);
	cr_expect_eq(set.n, 3);
	cr_expect_eq(set.other_parts, 1);
	cr_assert_eq(message_query(&set, MESSAGE_LAST_USER, &arena, &q, NULL), 0);
	cr_expect_str_eq(text(q), "last", "10 comes after 2");
	cr_assert_eq(message_query(&set, MESSAGE_FIRST_USER, &arena, &q, NULL), 0);
	cr_expect_str_eq(text(q), "a\nb");
	cr_assert_eq(message_system(&set, &arena, &s, NULL), 0);
	cr_expect_str_eq(text(s), "sys");
	message_finish(&set);
	arena_finish(&arena);
}

Test(message, any_values_become_plain)
{
	static const struct { const char *any, *want; } cases[] = {
		{ "{\"stringValue\":\"a\\n\"}", "\"a\\n\"" }, { "{\"intValue\":\"5\"}", "\"5\"" },
		{ "{\"arrayValue\":{\"values\":[{\"kvlistValue\":{\"values\":[{\"key\":\"role\",\"value\":"
		  "{\"stringValue\":\"user\"}},{\"key\":\"content\",\"value\":{\"stringValue\":\"a\"}}]}}]}}",
		  "[{\"role\":\"user\",\"content\":\"a\"}]" },
		{ "{\"arrayValue\":{}}", "[]" }, { "{\"arrayValue\":{\"values\":[]}}", "[]" },
		{ "{}", NULL }, { "[]", NULL }, { "{\"arrayValue\":3}", NULL }, { "", NULL },
		{ "{\"arrayValue\":{\"values\":[{]}}", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = BUF_INIT;
		bool ok = message_plain_json(slice_str(cases[i].any), &b);

		cr_expect_eq(ok, cases[i].want != NULL, "case %s", cases[i].any);
		cr_expect_str_eq(buf_cstr(&b), ok ? cases[i].want : "", "case %s", cases[i].any);
		buf_finish(&b);
	}
}
