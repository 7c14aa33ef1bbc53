#include "fmt/yamlw.h"

#include <string.h>

#include "fmt/jread.h"

static void value(struct buf *, struct jread *, unsigned indent);

/* A key needs no quotes when it is a plain word that YAML cannot take for something else. */
static bool
plain(struct slice key)
{
	if (key.n == 0 || !((key.p[0] | 32) >= 'a' && (key.p[0] | 32) <= 'z'))
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-",
		    key.p[i]) == NULL || key.p[i] == '\0')
			return false;
	return !slice_is(key, "null") && !slice_is(key, "true") && !slice_is(key, "false") &&
	    !slice_is(key, "yes") && !slice_is(key, "no") && !slice_is(key, "on") &&
	    !slice_is(key, "off") && !slice_is(key, "y") && !slice_is(key, "n");
}

static void
put_key(struct buf *b, unsigned indent, struct slice key)
{
	buf_printf(b, "%*s", (int)indent, "");
	if (!plain(key))
		buf_byte(b, '"');
	buf_add(b, key.p, key.n);
	buf_str(b, plain(key) ? ":" : "\":");
}

static void
object(struct buf *b, struct jread *r, unsigned indent)
{
	struct slice key;
	bool any = false;

	if (jread_object(r))
		while (jread_member(r, &key)) {
			if (!any)
				buf_byte(b, '\n');
			any = true;
			put_key(b, indent, key);
			value(b, r, indent);
		}
	if (!any)
		buf_str(b, " {}\n");
}

/* Numbers and the like side by side, anything longer one to a line. */
static void
array(struct buf *b, struct jread *r, unsigned indent)
{
	struct slice raw;
	bool any = false, flow = true;

	if (jread_array(r))
		while (jread_element(r)) {
			enum jread_type t = jread_peek(r);

			if (!any)
				flow = t == JREAD_NUMBER || t == JREAD_NULL;
			if (!jread_skip_raw(r, &raw))
				break;
			if (flow)
				buf_str(b, any ? ", " : " [");
			else
				buf_printf(b, "%s%*s- ", any ? "" : "\n", (int)indent, "");
			buf_add(b, raw.p, raw.n);	/* nested values stay JSON, which is YAML */
			if (!flow)
				buf_byte(b, '\n');
			any = true;
		}
	if (!any)
		buf_str(b, " []\n");
	else if (flow)
		buf_str(b, "]\n");
}

static void
value(struct buf *b, struct jread *r, unsigned indent)
{
	struct slice raw;

	switch (jread_peek(r)) {
	case JREAD_OBJECT:
		object(b, r, indent + 2);
		break;
	case JREAD_ARRAY:
		array(b, r, indent + 2);
		break;
	default:
		if (!jread_skip_raw(r, &raw))
			break;
		buf_byte(b, ' ');
		buf_add(b, raw.p, raw.n);
		buf_byte(b, '\n');
	}
}

int
yamlw_member(struct buf *b, unsigned indent, const char *key, struct slice json, struct err *e)
{
	struct jread r;

	jread_init(&r, json.p, json.n);
	put_key(b, indent, slice_str(key));
	value(b, &r, indent);
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "%s", key);
	return buf_ok(b, e);
}
