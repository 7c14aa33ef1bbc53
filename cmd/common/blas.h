/*
 * blas - which kernel of OpenBLAS a command gets, and who chose it.
 */
#ifndef LLMR_CMD_BLAS_H
#define LLMR_CMD_BLAS_H

#include <stddef.h>

/*
 * "SkylakeX (suits this CPU)", or who else chose it. Looks at the environment and loads nothing;
 * call it before mat_open, which may set the variable.
 */
void blas_choice(char *out, size_t cap);

#endif
