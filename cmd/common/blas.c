#include "common/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "math/mat.h"

void
blas_choice(char *out, size_t cap)
{
	const char *set = getenv("OPENBLAS_CORETYPE"), *suits = mat_choice();

	if (set != NULL && set[0] == '\0')
		(void)snprintf(out, cap, "left to OpenBLAS (OPENBLAS_CORETYPE is empty)");
	else if (set != NULL && suits != NULL && strcasecmp(set, suits) != 0)
		(void)snprintf(out, cap, "%.40s (by OPENBLAS_CORETYPE; %s would suit this CPU)", set, suits);
	else if (set != NULL)
		(void)snprintf(out, cap, "%.40s (by OPENBLAS_CORETYPE)", set);
	else if (suits != NULL)
		(void)snprintf(out, cap, "%s (suits this CPU)", suits);
	else
		(void)snprintf(out, cap, "left to OpenBLAS");
}
