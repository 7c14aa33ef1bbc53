/*
 * yamlw - a JSON value as block-style YAML 1.2, for people to read.
 *
 * Strings stay in their JSON quotes (every JSON string is a YAML double-quoted
 * scalar); objects and lists become indented lines; lists of numbers stay on
 * one line.
 * Depends on: fmt/jread, base/buf.  Threads: pure.
 */
#ifndef LLMR_FMT_YAMLW_H
#define LLMR_FMT_YAMLW_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Append "key: value" lines, indented by that many blanks. json is one JSON text. ERR_INPUT when it is not. */
int yamlw_member(struct buf *, unsigned indent, const char *key, struct slice json, struct err *e);

#endif
