/* llmr import-bundle - verify a bundle, and put its version into a registry. */
#include <string.h>

#include "cmd.h"
#include "common/reg.h"
#include "registry/bundle.h"

static int
into_registry(struct ctx *c, struct reg *g, struct bundle *b)
{
	const struct publish_source s = bundle_source(b);
	struct publish p = { .channel = opt_given(c, "channel") ? reg_channel(c) : NULL,
		.expires_us = reg_expires(c), .plain = opt_flag(c, "plain"), .progress = &c->progress };

	if (opt_given(c, "channel") && p.channel == NULL)
		return -1;
	if (publish_from(&g->r, bundle_version(b), &s, &p, &c->err) < 0)
		return -1;
	if (p.channel != NULL)
		say(c, "channel %s: seq %llu", p.channel, (unsigned long long)p.pointer.seq);
	return 0;
}

int
cmd_import_bundle(struct ctx *c)
{
	const char *unpack = opt_str(c, "unpack"), *url = opt_str(c, "registry");
	struct reg g = { .hosts = { .n = 0 } };
	struct bundle *b = NULL;
	int r = -1;

	if (url != NULL ? reg_open(c, url, REG_WRITE, &g) < 0 : reg_keys(c, REG_WRITE, &g) < 0)
		goto out;
	if ((b = bundle_open(c->args[0], &g.r.trust, c->cancel, &c->err)) == NULL)
		goto out;
	r = url != NULL ? into_registry(c, &g, b) : 0;
	if (r == 0 && unpack != NULL)
		r = bundle_unpack(b, unpack, &c->err);
	if (r == 0)
		out_printf("%s  version %s  %s\n", bundle_version(b)->name, bundle_version(b)->version,
		    url != NULL ? "imported" : "verified");
out:
	bundle_free(b);
	reg_close(&g);
	return r;
}
