/* llmr rollback - point a channel back at the version before. */
#include "cmd.h"
#include "common/moved.h"
#include "common/reg.h"

int
cmd_rollback(struct ctx *c)
{
	const char *to = opt_str(c, "to");

	if (to != NULL && layout_check("--to", to, ERR_USAGE, &c->err) < 0)
		return -1;
	return moved_run(c, c->args[0], to, publish_rollback);
}
