/* hosts - --allowed-hosts as the list that net/http takes. */
#ifndef LLMR_CMD_HOSTS_H
#define LLMR_CMD_HOSTS_H

#include "base/buf.h"
#include "cmd.h"

struct hosts {
	struct buf text;
	const char **name;	/* [n], NULL when the option is not given: any host */
	size_t n;
};

/* Split the option; release with hosts_finish, on failure too. ERR_USAGE when it names none. */
int hosts_read(struct ctx *, struct hosts *);
void hosts_finish(struct hosts *);

#endif
