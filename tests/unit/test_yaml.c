#include <criterion/criterion.h>
#include <string.h>

#include "fmt/yaml.h"

static struct yaml *
parse(const char *s, struct err *e)
{
	return yaml_parse(s, strlen(s), "t.yaml", e);
}

Test(yaml, tree_with_lines)
{
	struct err e = ERR_INIT;
	struct yaml *y = parse("a: 1\nb:\n  - x\n  - {c: 'yes', d: yes}\ne: &k [1, 2]\nf: *k\ng: ~\n", &e);
	const struct yaml_node *r, *b;

	cr_assert_not_null(y, "%s", e.msg);
	r = yaml_root(y);
	cr_expect_eq(r->type, YAML_MAP);
	cr_expect_eq(r->n, 5);
	cr_expect_str_eq(yaml_text(yaml_get(r, "a")), "1");
	b = yaml_get(r, "b");
	cr_assert(b->type == YAML_LIST && b->n == 2);
	cr_expect_eq(b->items[1]->line, 4);
	cr_expect_eq(yaml_bool(yaml_get(b->items[1], "c")), -1, "quoted text is no boolean");
	cr_expect_eq(yaml_bool(yaml_get(b->items[1], "d")), 1);
	cr_expect_eq(yaml_get(r, "e"), yaml_get(r, "f"), "an alias is the node itself");
	cr_expect(yaml_is_null(yaml_get(r, "g")));
	cr_expect_null(yaml_get(r, "nothing"));
	yaml_free(y);
}

Test(yaml, empty_document_is_null)
{
	struct err e = ERR_INIT;
	struct yaml *y = parse("# only a remark\n", &e);

	cr_assert_not_null(y);
	cr_expect(yaml_is_null(yaml_root(y)));
	yaml_free(y);
}

Test(yaml, bad_documents_name_the_line)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "a: 1\na: 2\n", "t.yaml:2: key \"a\" stands twice (first in line 1)" },
		{ "a: [1\n", "t.yaml:" }, { "a: *b\n", "t.yaml:1: alias" },
		{ "a: 1\n---\nb: 2\n", "t.yaml:2: a second document" },
		{ "a: &x [*x]\n", "alias" }, { "[a]: 1\n", "key must be plain" },
		{ "\xff\xfe\n", "t.yaml:" }, { "a: \"\\q\"\n", "t.yaml:1" }, { "\tx: 1", "t.yaml:1" },
	};
	char deep[200] = "";

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		struct yaml *y = parse(cases[i].text, &e);

		cr_expect_null(y, "case %zu", i);
		cr_expect_eq(e.code, ERR_CONFIG, "case %zu", i);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "case %zu: %s", i, e.msg);
		yaml_free(y);
	}
	memset(deep, '[', YAML_MAX_DEPTH + 1);
	memset(deep + YAML_MAX_DEPTH + 1, ']', YAML_MAX_DEPTH + 1);
	cr_expect_null(parse(deep, NULL));
}
