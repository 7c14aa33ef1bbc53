#include "serve/live.h"

#include "base/clock.h"

void *
live_enter(struct live *l, unsigned i)
{
	void *p = atomic_load_explicit(&l->value, memory_order_acquire), *again;

	/* Announced, then looked at once more: whoever replaced it in between may not have seen us. */
	for (;;) {
		atomic_store(&l->reader[i].held, p);
		if ((again = atomic_load(&l->value)) == p)
			return p;
		p = again;
	}
}

void
live_leave(struct live *l, unsigned i)
{
	atomic_store_explicit(&l->reader[i].held, NULL, memory_order_release);
}

void *
live_replace(struct live *l, void *value)
{
	void *old = atomic_exchange(&l->value, value);

	for (unsigned i = 0; i < LIVE_READERS && old != NULL; i++) {
		while (atomic_load(&l->reader[i].held) == old)
			clock_sleep_ns(50000);
	}
	return old;
}
