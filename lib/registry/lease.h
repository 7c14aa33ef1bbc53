/*
 * lease - a lock in the store that ends by itself.
 *
 * models/NAME/locks/LOCK holds owner, end and fence; taken when absent or
 * ended by the store's clock, by a conditional write, so that one of many wins.
 * fence grows with each owner: a pointer written under an older lease is
 * refused. It saves work, and is not needed for safety: pointers change by
 * compare-and-swap anyway. Given back by writing an ended lease, never by
 * deleting it (some stores do not look at a condition on DELETE, and the fence
 * would begin anew).
 * Depends on: registry/store.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_LEASE_H
#define LLMR_REGISTRY_LEASE_H

#include "registry/layout.h"

struct lease {
	char key[STORE_KEY_MAX];
	char owner[LAYOUT_NAME];
	uint64_t fence;
	int64_t ttl_us, expires_us;	/* by the store's clock */
	int64_t renewed_ns;		/* monotonic, of this host */
	char etag[STORE_ETAG];
	bool held;
};

/*
 * Take the one with that key (layout_lease) for ttl_us. ERR_TEMPFAIL naming the owner and the end when somebody
 * else holds it. owner: a name of this process, unlike any other.
 */
int lease_take(struct store *, const char *key, const char *owner, int64_t ttl_us, struct lease *out,
	struct err *e);
/* Prolong it when a third of its time is over; call often. ERR_TEMPFAIL when it was lost. */
int lease_keep(struct store *, struct lease *, struct err *e);
/* Give it back; nothing when it is not held. Failure leaves it to end by itself. */
void lease_release(struct store *, struct lease *);

/* Any bytes as a lease: owner "" and expires 0 when they are none. For the fuzzer. */
void lease_parse(struct slice doc, struct lease *out);

#endif
