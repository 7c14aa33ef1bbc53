/*
 * attrmap - which attribute holds what: chains of keys, from YAML.
 *
 * The built-in map is share/attributes.yaml, compiled into the program; its
 * head explains the form. A user's map of the same form comes before it, chain
 * by chain. Every distinct key has a small index, so that a span's attributes
 * are looked up once each (attrmap_key) and chains are walked by index.
 * Depends on: fmt/yaml, trace/decode.  Threads: an opened map is immutable.
 */
#ifndef LLMR_TRACE_ATTRMAP_H
#define LLMR_TRACE_ATTRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "trace/decode.h"

enum attr_field {
	AF_OPERATION, AF_SPAN_KIND, AF_PROMPT, AF_PROMPT_MIME, AF_SYSTEM, AF_MODEL, AF_REQUESTED,
	AF_PROVIDER, AF_INPUT_TOKENS, AF_OUTPUT_TOKENS, AF_TOTAL_TOKENS, AF_COST, AF_TTFT,
	AF_ERROR, AF_ERROR_TYPE, AF_STATUS_CODE, AF_PERFORMANCE, AF_METRIC, AF_TASK,
	AF_GROUND_TRUTH, AF_USER, AF_DECISION, AF_DECISION_OUTCOME, AF_PROPENSITY,
	AF_ROUTER_SCORE, AF_COUNT
};

enum attr_form { FORM_TEXT, FORM_MESSAGES, FORM_JSON, FORM_NUMBERED, FORM_EVENT };

struct attr_entry {
	uint16_t key;		/* index of the key; FORM_NUMBERED: of the prefix, FORM_EVENT: of the event name */
	uint8_t form;		/* enum attr_form */
	bool alias;
	int16_t unless;		/* index of a key, -1 none */
	const char *member;	/* NULL none */
	double scale;		/* 1 unless said */
};

struct attr_chain {
	const struct attr_entry *v;
	size_t n;
};

#define ATTRMAP_MAX_KEYS 1024
#define ATTRMAP_NO_KEY 0xffffu

struct attrmap;

/* Built-in map, preceded by the file at path when that is not NULL. NULL and err (ERR_CONFIG naming file and line). */
struct attrmap *attrmap_open(const char *path, struct err *e);
void attrmap_free(struct attrmap *);				/* NULL is fine */

size_t attrmap_n_keys(const struct attrmap *);
/* Text of key i; a prefix keeps its '*'. */
const char *attrmap_key_name(const struct attrmap *, size_t i);
/* Index of an exact key, ATTRMAP_NO_KEY when no chain has it. */
unsigned attrmap_key(const struct attrmap *, struct slice key);
/* Index of the first prefix that key begins with (*rest: what follows), or ATTRMAP_NO_KEY. */
unsigned attrmap_prefix(const struct attrmap *, struct slice key, struct slice *rest);
/* Index of an event name, or ATTRMAP_NO_KEY. */
unsigned attrmap_event(const struct attrmap *, struct slice name);
struct attr_chain attrmap_chain(const struct attrmap *, enum attr_field);
const char *attrmap_field_name(enum attr_field);

bool attrmap_skips(const struct attrmap *, struct slice span_name);
bool attrmap_is_chat(const struct attrmap *, struct slice operation);
bool attrmap_is_llm_kind(const struct attrmap *, struct slice kind);
/* Is this error the gateway's own? Compared after the last dot. code < 0: unknown. */
bool attrmap_is_rejected(const struct attrmap *, struct slice error_type, int64_t code);
bool attrmap_is_decision(const struct attrmap *, struct slice event_name);

/* What the decoder shall deliver for this map; borrowed from it. */
const struct span_want *attrmap_want(const struct attrmap *);

#endif
