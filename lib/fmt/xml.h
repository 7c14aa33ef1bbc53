/*
 * xml - pull reader for the small XML that web services answer with.
 *
 * Elements, text, character and the five predefined entity references, CDATA,
 * comments and processing instructions; attributes are checked and skipped,
 * name space prefixes cut off. A DOCTYPE is refused: no entity can be defined,
 * so that nothing expands. Nesting is at most XML_MAX_DEPTH, start and end tags
 * must match. Errors are sticky.
 * Source: Extensible Markup Language (XML) 1.0, fifth edition; UTF-8 only.
 * Depends on: base/buf.  Threads: a reader belongs to one thread.
 */
#ifndef LLMR_FMT_XML_H
#define LLMR_FMT_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define XML_MAX_DEPTH 32

struct xml {
	const char *start, *p, *end;
	struct slice open[XML_MAX_DEPTH];	/* names with prefix, borrowed from the text */
	unsigned depth;
	bool empty_tag;		/* "<a/>": its end comes next */
	bool seen_root;
	const char *why;	/* of the first error, NULL while well */
};

enum xml_event { XML_END_OF_TEXT, XML_START, XML_END, XML_TEXT, XML_ERROR };

void xml_init(struct xml *, const char *p, size_t n);
/*
 * Next event. START and END: *out is the element's local name. TEXT: *out is a
 * raw piece of character data, to be given to xml_decode; white space alone
 * between elements comes too. After XML_ERROR only XML_ERROR.
 */
enum xml_event xml_next(struct xml *, struct slice *out);
/*
 * After START: the decoded text of the element up to its end, which is
 * consumed, replaces what out held. Elements inside are an error.
 */
bool xml_text(struct xml *, struct buf *out);
/* After START: everything up to the element's end is read over. */
bool xml_skip(struct xml *);
/* Append with references decoded; false on an unknown or impossible one. */
bool xml_decode(struct slice raw, struct buf *out);
/* ERR_INPUT "byte N: why". Returns -1. */
int xml_fail(const struct xml *, struct err *e);
/* Append with & < > " ' and control bytes as references. */
void xml_escape(struct buf *out, const char *s);

#endif
