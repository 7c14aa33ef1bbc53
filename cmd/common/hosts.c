#include "common/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int
hosts_read(struct ctx *c, struct hosts *h)
{
	const char *list = opt_str(c, "allowed-hosts");
	size_t cap = 0;

	*h = (struct hosts){ .text = BUF_INIT };
	if (list == NULL)
		return 0;
	buf_str(&h->text, list);
	if (buf_ok(&h->text, &c->err) < 0)
		return -1;
	for (char *p = h->text.p, *end; *p != '\0'; p = end) {
		void *v = h->name;

		p += strspn(p, ", \t");
		end = p + strcspn(p, ", \t");
		if (end == p)
			break;
		if (*end != '\0')
			*end++ = '\0';
		if (mem_grow(&v, &cap, h->n + 1, sizeof *h->name, &c->err) < 0)
			return -1;
		h->name = v;
		h->name[h->n++] = p;
	}
	if (h->n == 0)
		return err_set(&c->err, ERR_USAGE, "--allowed-hosts: the list is empty");
	return 0;
}

void
hosts_finish(struct hosts *h)
{
	buf_finish(&h->text);
	free(h->name);
	*h = (struct hosts){ .text = BUF_INIT };
}
