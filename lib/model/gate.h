/*
 * gate - "gap_closed >= 0.15 && delta_best_single.lo > 0": a condition on figures.
 *
 *   expr  := and { "||" and }        and := not { "&&" not }
 *   not   := "!" not | "(" expr ")" | operand ( >= <= > < == != ) operand
 *   operand := number | name
 * A name is a key of the JSON object that is judged, dotted into its members;
 * a part that holds other characters than letters, digits, _ - / : and . goes
 * between double quotes. An object stands for its member "value"; lo and hi
 * are the ends of its member "ci95". A comparison with a null is neither true
 * nor false, and a gate is met only when it is true.
 * Depends on: fmt/jread.  Threads: a parsed gate is immutable.
 */
#ifndef LLMR_MODEL_GATE_H
#define LLMR_MODEL_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define GATE_MAX_NODES 256

struct gate;

/* NULL and ERR_USAGE, naming the column, when the text is not such a condition. */
struct gate *gate_parse(const char *text, struct err *e);
void gate_free(struct gate *);		/* NULL is fine */

/*
 * Judge a JSON object. 0 and *met; when it is not, why gets the comparisons
 * that decided so and their values: "gap_closed >= 0.15: 0.0872". -1 and
 * ERR_USAGE for a name that the object does not hold or that is no number.
 */
int gate_check(const struct gate *, const char *json, size_t n, bool *met, struct buf *why,
	struct err *e);

#endif
