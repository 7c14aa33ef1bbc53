/* llmr promote - point a channel at a version. */
#include <string.h>

#include "cmd.h"
#include "common/moved.h"
#include "common/reg.h"

int
cmd_promote(struct ctx *c)
{
	if (layout_check("version", c->args[1], ERR_USAGE, &c->err) < 0)
		return -1;
	return moved_run(c, c->args[0], c->args[1], publish_promote);
}
