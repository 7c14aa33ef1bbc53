/* interrupted - keep an interrupted training, and go on with it. */
#ifndef LLMR_CMD_INTERRUPTED_H
#define LLMR_CMD_INTERRUPTED_H

#include "cmd.h"
#include "data/dataset.h"
#include "model/checkpoint.h"
#include "model/fit.h"

struct interrupted {
	struct checkpoint *store;
	char *path;
	bool resumed;
};

/*
 * Make the store of a training with these data and hyperparameters, and, with
 * --resume, fill it from the checkpoint: that of --checkpoint, or OUTPUT.checkpoint.
 * search: the grid in words, "" none. mat_open was called. Release with interrupted_close.
 */
int interrupted_open(struct ctx *, const struct dataset *, const struct fit_params *, const char *search,
	size_t folds, const char *output, struct interrupted *);
/*
 * The command ended with status: when it was interrupted write the checkpoint
 * and say so in ctx->err, when it did what it should remove the one that it
 * went on from. Releases it all; a zeroed one is fine.
 */
void interrupted_close(struct ctx *, struct interrupted *, int status);

#endif
