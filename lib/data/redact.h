/*
 * redact - personal data and secrets out of texts.
 *
 *   email	name@host.tld					[EMAIL]
 *   card	13 to 19 digits, blanks and dashes allowed, Luhn sum right	[CARD]
 *   phone	+ and 7 to 15 digits, or 3-3-4 and alike with separators	[PHONE]
 *   key	sk-..., ghp_..., AKIA..., xox?-..., AIza..., JWT, Bearer ..., password=...	[KEY]
 *   regex:ERE	POSIX extended expression, byte-wise		[REDACTED]
 * Applied as key, email, card, phone, regex, whatever the order of the list. Patterns find forms,
 * not meanings: what is left is not proven to be free of personal data.
 * Depends on: base/buf, regex.h.  Threads: one struct redact a thread (regexec keeps state).
 */
#ifndef LLMR_DATA_REDACT_H
#define LLMR_DATA_REDACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct redact;

/*
 * n specs as given to --redact, each a comma-separated list; from "regex:" on a
 * spec is one expression, commas included. NULL and ERR_USAGE when one is wrong.
 */
struct redact *redact_new(const char *const *specs, size_t n, struct err *e);
void redact_free(struct redact *);		/* NULL is fine */
/*
 * Replace in text: appended to out and true when anything was found; else
 * false and out is untouched. *hits grows by the number of replacements.
 */
bool redact_text(struct redact *, struct slice text, struct buf *out, uint64_t *hits);

#endif
