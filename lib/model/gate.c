#include "model/gate.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/jread.h"

#define MAX_DEPTH 64
#define MAX_NAME 256

enum kind { AND, OR, NOT, COMPARE };
enum cmp { GE, LE, GT, LT, EQ, NE };
static const char *const cmp_text[] = { ">=", "<=", ">", "<", "==", "!=" };

struct operand {
	const char *name;	/* NULL: a number */
	double number;
	bool null;		/* found, but null */
};

struct node {
	enum kind kind;
	enum cmp cmp;
	size_t a, b;		/* AND, OR, NOT: nodes; COMPARE: operands */
};

struct gate {
	char *text;		/* names point into it, NUL-terminated */
	size_t used;
	struct node node[GATE_MAX_NODES];
	struct operand operand[2 * GATE_MAX_NODES];
	size_t nodes, operands, root;
};

struct parser {
	struct gate *g;
	const char *start, *p;
	struct err *e;
	unsigned depth;
};

#define FAILED ((size_t)-1)

static size_t
fail(struct parser *p, const char *what)
{
	err_set(p->e, ERR_USAGE, "gate: %s at column %zu of '%s'", what,
	    (size_t)(p->p - p->start) + 1, p->start);
	return FAILED;
}

static void
blanks(struct parser *p)
{
	while (isspace((unsigned char)*p->p))
		p->p++;
}

static bool
take(struct parser *p, const char *token)
{
	size_t n = strlen(token);

	blanks(p);
	if (strncmp(p->p, token, n) != 0)
		return false;
	p->p += n;
	return true;
}

static size_t
new_node(struct parser *p, struct node node)
{
	if (p->g->nodes == GATE_MAX_NODES)
		return fail(p, "too long");
	p->g->node[p->g->nodes] = node;
	return p->g->nodes++;
}

static bool
in_name(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("_-/:.", c) != NULL);
}

static size_t
parse_name(struct parser *p)
{
	struct gate *g = p->g;
	char *name = g->text + g->used;
	size_t n = 0;

	while (in_name(*p->p) || *p->p == '"') {
		if (*p->p != '"') {
			name[n++] = *p->p++;
			continue;
		}
		for (p->p++; *p->p != '"'; p->p++) {
			if (*p->p == '\0')
				return fail(p, "a quote is not closed");
			name[n++] = *p->p;
		}
		p->p++;
	}
	if (n >= MAX_NAME)
		return fail(p, "this name is too long");
	name[n] = '\0';
	g->used += n + 1;
	g->operand[g->operands] = (struct operand){ .name = name };
	return g->operands++;
}

static size_t
parse_operand(struct parser *p)
{
	struct gate *g = p->g;
	struct operand *o = &g->operand[g->operands];
	char *end;

	blanks(p);
	if (g->operands == 2 * GATE_MAX_NODES)
		return fail(p, "too long");
	if (isalpha((unsigned char)*p->p) || *p->p == '_' || *p->p == '"')
		return parse_name(p);
	if (!isdigit((unsigned char)*p->p) && (*p->p == '\0' || strchr("+-.", *p->p) == NULL))
		return fail(p, *p->p == '\0' ? "a name or a number is missing" :
		    "a name or a number is expected");
	*o = (struct operand){ .number = strtod(p->p, &end) };
	if (end == p->p || !isfinite(o->number) || in_name(*end))
		return fail(p, "not a number");
	p->p = end;
	return g->operands++;
}

static size_t
parse_compare(struct parser *p)
{
	struct node node = { .kind = COMPARE };

	if ((node.a = parse_operand(p)) == FAILED)
		return FAILED;
	for (node.cmp = GE; node.cmp <= NE; node.cmp++)
		if (take(p, cmp_text[node.cmp]))
			break;
	if (node.cmp > NE)
		return fail(p, "a comparison (>= <= > < == !=) is expected");
	if ((node.b = parse_operand(p)) == FAILED)
		return FAILED;
	return new_node(p, node);
}

static size_t parse_or(struct parser *p);

static size_t
parse_not(struct parser *p)
{
	struct node node = { .kind = NOT };
	size_t inner;

	if (p->depth == MAX_DEPTH)
		return fail(p, "nested too deeply");
	p->depth++;
	if (take(p, "!")) {
		if ((node.a = parse_not(p)) == FAILED)
			return FAILED;
		inner = new_node(p, node);
	} else if (take(p, "(")) {
		inner = parse_or(p);
		if (inner != FAILED && !take(p, ")"))
			return fail(p, "')' is expected");
	} else
		inner = parse_compare(p);
	p->depth--;
	return inner;
}

static size_t
parse_and(struct parser *p)
{
	struct node node = { .kind = AND };
	size_t left = parse_not(p);

	while (left != FAILED && take(p, "&&")) {
		node.a = left;
		if ((node.b = parse_not(p)) == FAILED)
			return FAILED;
		left = new_node(p, node);
	}
	return left;
}

static size_t
parse_or(struct parser *p)
{
	struct node node = { .kind = OR };
	size_t left = parse_and(p);

	while (left != FAILED && take(p, "||")) {
		node.a = left;
		if ((node.b = parse_and(p)) == FAILED)
			return FAILED;
		left = new_node(p, node);
	}
	return left;
}

struct gate *
gate_parse(const char *text, struct err *e)
{
	struct gate *g = mem_calloc(1, sizeof *g, e);
	struct parser p = { g, text, text, e, 0 };

	if (g == NULL)
		return NULL;
	/* Each name needs its NUL, and at least one other character stands between two names. */
	g->text = mem_calloc(strlen(text) + 2, 2, e);
	if (g->text == NULL)
		goto fail;
	g->root = parse_or(&p);
	if (g->root == FAILED)
		goto fail;
	blanks(&p);
	if (*p.p != '\0') {
		fail(&p, "'&&', '||' or the end is expected");
		goto fail;
	}
	return g;
fail:
	gate_free(g);
	return NULL;
}

void
gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	free(g->text);
	free(g);
}

enum found { ABSENT, NO_NUMBER, IS_NULL, IS_NUMBER };

/* An end of "ci95":[lo,hi]. */
static enum found
interval_end(struct slice json, bool hi, double *out)
{
	struct jread r;
	double lo;

	jread_init(&r, json.p, json.n);
	if (jread_peek(&r) == JREAD_NULL)
		return IS_NULL;
	if (!jread_array(&r) || !jread_element(&r) || !jread_double(&r, &lo) ||
	    !jread_element(&r) || !jread_double(&r, out))
		return NO_NUMBER;
	if (!hi)
		*out = lo;
	return IS_NUMBER;
}

static enum found look(struct slice json, const char *name, unsigned depth, double *out);

/* The member that NAME begins with; keys may hold dots themselves. */
static enum found
look_member(struct jread *r, const char *name, unsigned depth, double *out)
{
	bool lo = strcmp(name, "lo") == 0, hi = strcmp(name, "hi") == 0;
	enum found best = ABSENT, f;
	struct slice key, raw;

	if (!jread_object(r))
		return ABSENT;
	while (jread_member(r, &key)) {
		if (!jread_skip_raw(r, &raw))
			break;
		f = ABSENT;
		if ((lo || hi) && slice_is(key, "ci95"))
			f = interval_end(raw, hi, out);
		else if (*name == '\0' && slice_is(key, "value"))
			f = look(raw, "", depth + 1, out);
		else if (*name != '\0' && strncmp(name, key.p, key.n) == 0) {
			if (name[key.n] == '\0')
				f = look(raw, "", depth + 1, out);
			else if (name[key.n] == '.')
				f = look(raw, name + key.n + 1, depth + 1, out);
		}
		if (f >= IS_NULL)
			return f;
		best = f > best ? f : best;
	}
	return *name == '\0' ? NO_NUMBER : best;
}

static enum found
look(struct slice json, const char *name, unsigned depth, double *out)
{
	struct jread r;

	jread_init(&r, json.p, json.n);
	switch (jread_peek(&r)) {
	case JREAD_NULL:
		return IS_NULL;
	case JREAD_OBJECT:
		return depth < MAX_DEPTH ? look_member(&r, name, depth, out) : ABSENT;
	case JREAD_NUMBER:
		return *name != '\0' ? ABSENT : jread_double(&r, out) ? IS_NUMBER : NO_NUMBER;
	default:
		return *name != '\0' ? ABSENT : NO_NUMBER;
	}
}

static int
resolve(struct operand *o, struct slice json, struct err *e)
{
	if (o->name == NULL)
		return 0;
	switch (look(json, o->name, 0, &o->number)) {
	case ABSENT:
		return err_set(e, ERR_USAGE, "gate: '%s' is not a key of the result "
		    "(--json shows them)", o->name);
	case NO_NUMBER:
		return err_set(e, ERR_USAGE, "gate: '%s' is not a number", o->name);
	case IS_NULL:
		o->null = true;
		return 0;
	case IS_NUMBER:
		return 0;
	}
	return 0;
}

enum truth { FALSE, UNKNOWN, TRUE };

static enum truth
compare(const struct operand *a, enum cmp cmp, const struct operand *b)
{
	bool yes = false;

	if (a->null || b->null)
		return UNKNOWN;
	switch (cmp) {
	case GE: yes = a->number >= b->number; break;
	case LE: yes = a->number <= b->number; break;
	case GT: yes = a->number > b->number; break;
	case LT: yes = a->number < b->number; break;
	case EQ: yes = !(a->number < b->number) && !(a->number > b->number); break;
	case NE: yes = a->number < b->number || a->number > b->number; break;
	}
	return yes ? TRUE : FALSE;
}

/* Children come before their parents, so one pass in order settles every node. */
static void
evaluate(const struct gate *g, const struct operand *o, enum truth *t)
{
	for (size_t i = 0; i < g->nodes; i++) {
		const struct node *n = &g->node[i];

		switch (n->kind) {
		case AND: t[i] = t[n->a] < t[n->b] ? t[n->a] : t[n->b]; break;
		case OR: t[i] = t[n->a] > t[n->b] ? t[n->a] : t[n->b]; break;
		case NOT: t[i] = TRUE - t[n->a]; break;
		case COMPARE: t[i] = compare(&o[n->a], n->cmp, &o[n->b]); break;
		}
	}
}

static void
put_operand(struct buf *b, const struct operand *o)
{
	if (o->name != NULL)
		buf_str(b, o->name);
	else
		buf_printf(b, "%g", o->number);
}

static void
put_value(struct buf *b, const struct operand *o, bool *first)
{
	if (o->name == NULL)
		return;
	buf_str(b, *first ? ": " : " and ");
	if (o->null)
		buf_str(b, "null");
	else
		buf_printf(b, "%.6g", o->number);
	*first = false;
}

/* Name the comparisons that keep node i from being WANT. */
static void
explain(const struct gate *g, const struct operand *o, const enum truth *t, size_t i,
	enum truth want, struct buf *why)
{
	const struct node *n = &g->node[i];
	bool first = true;

	if (t[i] == want)
		return;
	if (n->kind == NOT)
		explain(g, o, t, n->a, TRUE - want, why);
	else if (n->kind != COMPARE) {
		explain(g, o, t, n->a, want, why);
		explain(g, o, t, n->b, want, why);
	} else {
		if (why->len > 0)
			buf_str(why, "; ");
		if (want == FALSE)
			buf_str(why, "not ");
		put_operand(why, &o[n->a]);
		buf_printf(why, " %s ", cmp_text[n->cmp]);
		put_operand(why, &o[n->b]);
		put_value(why, &o[n->a], &first);
		put_value(why, &o[n->b], &first);
	}
}

int
gate_check(const struct gate *g, const char *json, size_t n, bool *met, struct buf *why,
	struct err *e)
{
	struct operand *o = mem_calloc(g->operands, sizeof *o, e);
	enum truth t[GATE_MAX_NODES];
	int r = -1;

	*met = false;
	if (o == NULL)
		return -1;
	memcpy(o, g->operand, g->operands * sizeof *o);
	for (size_t i = 0; i < g->operands; i++)
		if (resolve(&o[i], (struct slice){ json, n }, e) < 0)
			goto out;
	evaluate(g, o, t);
	*met = t[g->root] == TRUE;
	explain(g, o, t, g->root, TRUE, why);
	r = buf_ok(why, e);
out:
	free(o);
	return r;
}
