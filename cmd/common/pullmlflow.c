#include "common/pullmlflow.h"
#include "cmd.h"
int pullmlflow_run(struct ctx *c, const char *what) { (void)what; return err_set(&c->err, ERR_BUG, "not yet"); }
