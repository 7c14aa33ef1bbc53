/* Any bytes give one matrix of finite numbers or one error. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/rowread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	struct rowmatrix m;
	void *p;

	/* Exactly n bytes, so that a read beyond them shows. */
	if (posix_memalign(&p, 64, n == 0 ? 1 : n) != 0)
		return 0;
	if (n > 0)
		memcpy(p, data, n);
	if (rowread_bytes(p, n, &m, &e) == 0) {
		if (m.dim == 0 || m.rows > n)
			abort();
		for (uint64_t i = 0; i < m.rows * m.dim; i++)
			if (!isfinite(m.v[i]))
				abort();
	} else if (m.v != NULL || e.code == ERR_NONE)
		abort();
	free(m.v);
	free(p);
	return 0;
}
