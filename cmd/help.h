/* help - text for people from the command table. */
#ifndef LLMR_CMD_HELP_H
#define LLMR_CMD_HELP_H

#include <stdio.h>

#include "table.h"

void help_overview(FILE *);
void help_command(const struct command *);	/* to stdout */

#endif
