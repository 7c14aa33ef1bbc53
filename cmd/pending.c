#include "cmd.h"
#define PENDING(n) __attribute__((weak)) int cmd_##n(struct ctx *c) { return err_set(&c->err, ERR_BUG, "not built"); }
PENDING(bench)
PENDING(convert)
PENDING(doctor)
PENDING(eval)
PENDING(extract)
PENDING(inspect)
PENDING(route)
PENDING(train)
PENDING(version)
