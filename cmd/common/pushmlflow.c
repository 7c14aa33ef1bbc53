#include "common/pushmlflow.h"
#include "cmd.h"
int pushmlflow_run(struct ctx *c, const char *path, const char *name, const char *alias, const char *url) { (void)path; (void)name; (void)alias; (void)url; return err_set(&c->err, ERR_BUG, "not yet"); }
