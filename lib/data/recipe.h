/*
 * recipe - a training recipe in YAML, in the words of several programs, as hyperparameters and options.
 *
 * What each key means is data: share/recipe-aliases.yaml, built in. A recipe is
 * a map of sections (data_path, model_path, hparam, ...; under grid, lists of
 * values of hyperparameters to search); an unknown key, a
 * value that has no counterpart, and two keys that contradict each other are
 * errors (ERR_CONFIG, "FILE:LINE: KEY: ..."); what makes no difference is a note.
 * Depends on: fmt/yaml, base.  Threads: a finished recipe is immutable.
 */
#ifndef LLMR_DATA_RECIPE_H
#define LLMR_DATA_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

struct recipe_item {
	const char *key;	/* as written: "hparam.k" */
	size_t line;
	bool option;		/* name is an option of train, else a hyperparameter */
	const char *name, *value;	/* a list is joined by commas */
};

struct recipe_note {
	const char *key, *why;
	size_t line;
};

struct recipe {
	const char *kind;	/* of router; NULL when neither said nor to be told from the keys */
	struct recipe_item *items;
	size_t n, cap;
	struct recipe_note *notes;	/* keys that make no difference */
	size_t n_notes, cap_notes;
	struct arena arena;
};

/*
 * Read a recipe (at most 16 MiB). kind: what the command line says, NULL when
 * it says nothing. NULL and err: ERR_NOINPUT, ERR_CONFIG.
 */
struct recipe *recipe_load(const char *path, const char *kind, struct err *e);
struct recipe *recipe_parse(const char *p, size_t n, const char *name, const char *kind,
	struct err *e);
void recipe_free(struct recipe *);	/* NULL is fine */

/*
 * Is this the name of a router of another program that cannot be trained here?
 * 0 no; -1 and ERR_USAGE that says what it is.
 */
int recipe_refused(const char *kind, struct err *e);

#endif
