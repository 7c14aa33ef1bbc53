#include "common/moved.h"

#include <string.h>

#include "common/reg.h"

static void
print_result(struct ctx *c, const struct publish *p)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!c->json) {
		out_printf("%s, channel %s: %s %s, seq %llu%s%s\n", p->pointer.name, p->pointer.channel,
		    p->changed ? "now" : "stays at", p->pointer.version, (unsigned long long)p->pointer.seq,
		    p->pointer.previous[0] != '\0' ? ", before " : "", p->pointer.previous);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "name", p->pointer.name);
	jsonw_kbool(&w, "changed", p->changed);
	reg_pointer_json(&w, &p->pointer);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

int
moved_run(struct ctx *c, const char *name, const char *version, moved_fn *move)
{
	struct publish p = { .channel = reg_channel(c), .expect_previous = opt_str(c, "expect-previous"),
		.expires_us = reg_expires(c), .plain = opt_flag(c, "plain"), .progress = &c->progress };
	struct reg g;
	int r = -1;

	if (reg_name(c, name) == NULL || p.channel == NULL)
		return -1;
	if (p.expect_previous != NULL && strcmp(p.expect_previous, "none") == 0)
		p.expect_previous = "";
	if (reg_open(c, NULL, REG_SIGN, &g) == 0 && (r = move(&g.r, name, version, &p, &c->err)) == 0)
		print_result(c, &p);
	reg_close(&g);
	return r;
}
