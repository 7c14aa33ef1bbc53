/*
 * csv - comma-separated rows of a stream (RFC 4180).
 *
 * Fields may be quoted, quotes inside doubled, newlines inside quotes kept;
 * "\n" and "\r\n" end rows; a byte order mark at the start and empty lines are
 * skipped. A quote inside an unquoted field is itself. Rows may differ in length: the caller compares.
 * Depends on: fmt/stream, base/buf.  Threads: a reader belongs to one thread.
 */
#ifndef LLMR_FMT_CSV_H
#define LLMR_FMT_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "fmt/stream.h"

struct csv;

/* The stream is borrowed. A row longer than max_bytes is ERR_INPUT. */
struct csv *csv_new(struct stream_in *, size_t max_bytes, struct err *e);
/* 1 = a row, borrowed until the next call; 0 = end; -1 = err. line: where the row begins, from 1. */
int csv_next(struct csv *, const struct slice **fields, size_t *n, uint64_t *line, struct err *e);
void csv_free(struct csv *);		/* NULL is fine; does not close the stream */

#endif
