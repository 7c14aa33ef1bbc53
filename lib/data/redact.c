#include "data/redact.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum what { EMAIL = 1, CARD = 2, PHONE = 4, KEY = 8 };

struct redact {
	unsigned what;
	regex_t *re;
	size_t n_re, cap_re;
	struct buf a, b;	/* text before and behind one pass */
};

/* A match is [at, at + n) of the text; n 0 none. */
struct span_found { size_t at, n; };

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool
is_local(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("._%+-", c) != NULL);
}

/* Around an @ at i: local part before, host with a dot and letters behind. */
static struct span_found
find_email(const char *p, size_t n, size_t from)
{
	for (const char *at = p + from; (at = memchr(at, '@', (size_t)(p + n - at))) != NULL; at++) {
		size_t i = (size_t)(at - p), a = i, z = i + 1, dot = 0;

		while (a > from && i - a < 64 && is_local(p[a - 1]))
			a--;
		while (z < n && z - i < 254 && (isalnum((unsigned char)p[z]) || p[z] == '-' ||
			(p[z] == '.' && z + 1 < n && isalnum((unsigned char)p[z + 1])))) {
			if (p[z] == '.')
				dot = z;
			z++;
		}
		if (a < i && dot > i + 1 && z - dot > 2 && isalpha((unsigned char)p[dot + 1]))
			return (struct span_found){ a, z - a };
	}
	return (struct span_found){ 0, 0 };
}

static bool
luhn(const char *p, size_t n)
{
	unsigned sum = 0, odd = 0;

	for (size_t i = n; i-- > 0;) {
		unsigned d;

		if (!isdigit((unsigned char)p[i]))
			continue;
		d = (unsigned)(p[i] - '0');
		if (odd++ & 1)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

/* A run of digits with single separators between them, begun at i: its length and digits. */
static size_t
digit_run(const char *p, size_t n, size_t i, const char *separators, size_t *digits, size_t *breaks)
{
	size_t z = i, end = i;

	*digits = *breaks = 0;
	while (z < n && end - i < 40) {
		if (isdigit((unsigned char)p[z])) {
			++*digits;
			end = ++z;
			continue;
		}
		if (strchr(separators, p[z]) == NULL || p[z] == '\0')
			break;
		++*breaks;
		/* ") " and ") -" stand between groups of telephone numbers */
		z++;
		if (z < n && p[z - 1] == ')' && p[z] != '\0' && strchr(" -.", p[z]) != NULL)
			z++;
		if (z >= n || (!isdigit((unsigned char)p[z]) && p[z] != '('))
			break;
	}
	return end - i;
}

static struct span_found
find_card(const char *p, size_t n, size_t from)
{
	size_t digits, breaks, len;

	for (size_t i = from; i < n; i++) {
		if (!isdigit((unsigned char)p[i]) || (i > 0 && (is_word(p[i - 1]) || p[i - 1] == '.')))
			continue;
		len = digit_run(p, n, i, " -", &digits, &breaks);
		if (digits >= 13 && digits <= 19 && luhn(p + i, len) &&
		    (i + len == n || !is_word(p[i + len])))
			return (struct span_found){ i, len };
		while (i + 1 < n && isdigit((unsigned char)p[i + 1]))
			i++;
	}
	return (struct span_found){ 0, 0 };
}

/* Four numbers with dots between them. */
static bool
is_address(const char *p, size_t n)
{
	size_t dots = 0, others = 0;

	for (size_t i = 0; i < n; i++) {
		dots += p[i] == '.';
		others += p[i] != '.' && !isdigit((unsigned char)p[i]);
	}
	return dots == 3 && others == 0;
}

/* International with its +, or ten or eleven digits grouped by two separators or more. */
static struct span_found
find_phone(const char *p, size_t n, size_t from)
{
	size_t digits, breaks, len;

	for (size_t i = from; i < n; i++) {
		bool plus = p[i] == '+', paren = p[i] == '(';

		if (!plus && !paren && !isdigit((unsigned char)p[i]))
			continue;
		if (i > 0 && (is_word(p[i - 1]) || strchr(".+*/=^-", p[i - 1]) != NULL))
			continue;
		len = digit_run(p, n, i + (plus || paren), " -.()", &digits, &breaks) +
			(plus || paren);
		if ((plus ? digits >= 7 && digits <= 15 :
			    digits >= 10 && digits <= 11 && breaks >= 2 && breaks <= 5 && !is_address(p + i, len)) &&
		    (i + len == n || !is_word(p[i + len])))
			return (struct span_found){ i, len };
		while (i + 1 < n && isdigit((unsigned char)p[i + 1]))
			i++;
	}
	return (struct span_found){ 0, 0 };
}

static bool
is_token(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("_-./+=~", c) != NULL);
}

static size_t
token_run(const char *p, size_t n, size_t i)
{
	size_t z = i;

	while (z < n && is_token(p[z]))
		z++;
	while (z > i && (p[z - 1] == '.' || p[z - 1] == '/'))
		z--;
	return z - i;
}

static bool
starts(const char *p, size_t n, const char *with)
{
	size_t k = strlen(with);

	if (k > n)
		return false;
	for (size_t i = 0; i < k; i++) {
		if (tolower((unsigned char)p[i]) != tolower((unsigned char)with[i]))
			return false;
	}
	return true;
}

/* Prefixes that vendors give their keys, with the least length of the whole. */
static const struct { const char *prefix; size_t least; } vendors[] = {
	{ "sk-", 20 }, { "pk-", 20 }, { "sk_live_", 20 }, { "sk_test_", 20 }, { "rk_live_", 20 },
	{ "ghp_", 30 }, { "gho_", 30 }, { "ghs_", 30 }, { "github_pat_", 30 }, { "glpat-", 20 },
	{ "AKIA", 20 }, { "ASIA", 20 }, { "AIza", 35 }, { "xoxb-", 20 }, { "xoxp-", 20 },
	{ "xoxa-", 20 }, { "hf_", 20 }, { "eyJ", 40 }, { "npm_", 30 },
};

/* Words before a secret: "Bearer X", "password=X", "api_key: X". */
static const char *const names[] = {
	"bearer", "password", "passwd", "pwd", "secret", "api_key", "apikey", "api-key", "token",
	"access_key", "secret_key", "client_secret", "private_key",
};

static struct span_found
named_secret(const char *p, size_t n, size_t i)
{
	for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
		size_t z = i + strlen(names[k]), len;
		bool mark = false;

		if (!starts(p + i, n - i, names[k]) || z >= n || is_word(p[z]))
			continue;
		while (z < n && (p[z] == '"' || p[z] == '\'' || p[z] == ' ' || p[z] == ':' ||
			p[z] == '=')) {
			mark = mark || p[z] == ':' || p[z] == '=' || k == 0;
			z++;
		}
		len = token_run(p, n, z);
		if (mark && len >= (k == 0 ? 16 : 6))
			return (struct span_found){ z, len };
	}
	return (struct span_found){ 0, 0 };
}

static struct span_found
find_key(const char *p, size_t n, size_t from)
{
	for (size_t i = from; i < n; i++) {
		struct span_found f;

		if (!isalpha((unsigned char)p[i]) || (i > 0 && is_word(p[i - 1])))
			continue;
		for (size_t k = 0; k < sizeof vendors / sizeof vendors[0]; k++) {
			size_t len;

			if (strncmp(p + i, vendors[k].prefix,
				    n - i < strlen(vendors[k].prefix) ? n - i + 1 :
				    strlen(vendors[k].prefix)) != 0)
				continue;
			len = token_run(p, n, i);
			if (len >= vendors[k].least)
				return (struct span_found){ i, len };
		}
		f = named_secret(p, n, i);
		if (f.n > 0 && f.at >= from)
			return f;
		while (i + 1 < n && is_word(p[i + 1]))
			i++;
	}
	return (struct span_found){ 0, 0 };
}

/* regexec stops at a NUL: the texts between NULs are searched one by one. */
static struct span_found
find_regex(const regex_t *re, const char *p, size_t n, size_t from)
{
	regmatch_t m;

	for (size_t i = from; i < n; i += strlen(p + i) + 1) {
		if (regexec(re, p + i, 1, &m, i > 0 && p[i - 1] != '\0' ? REG_NOTBOL : 0) == 0 &&
		    m.rm_eo > m.rm_so)
			return (struct span_found){ i + (size_t)m.rm_so,
				(size_t)(m.rm_eo - m.rm_so) };
	}
	return (struct span_found){ 0, 0 };
}

typedef struct span_found finder(const char *p, size_t n, size_t from);

/* One pass over r->a into r->b, then they change places. */
static void
pass(struct redact *r, finder *find, const regex_t *re, const char *mark, uint64_t *hits)
{
	const char *p = r->a.p;
	size_t n = r->a.len, from = 0;
	struct span_found f;
	struct buf t;
	bool any = false;

	buf_reset(&r->b);
	while (from < n && (f = find != NULL ? find(p, n, from) : find_regex(re, p, n, from)).n > 0) {
		buf_add(&r->b, p + from, f.at - from);
		buf_str(&r->b, mark);
		from = f.at + f.n;
		++*hits;
		any = true;
	}
	if (!any)
		return;
	buf_add(&r->b, p + from, n - from);
	t = r->a;
	r->a = r->b;
	r->b = t;
}

bool
redact_text(struct redact *r, struct slice text, struct buf *out, uint64_t *hits)
{
	uint64_t before = *hits;

	if (text.n == 0)
		return false;
	buf_reset(&r->a);
	buf_add(&r->a, text.p, text.n);
	if (r->what & KEY)
		pass(r, find_key, NULL, "[KEY]", hits);
	if (r->what & EMAIL)
		pass(r, find_email, NULL, "[EMAIL]", hits);
	if (r->what & CARD)
		pass(r, find_card, NULL, "[CARD]", hits);
	if (r->what & PHONE)
		pass(r, find_phone, NULL, "[PHONE]", hits);
	for (size_t i = 0; i < r->n_re; i++)
		pass(r, NULL, &r->re[i], "[REDACTED]", hits);
	if (*hits == before)
		return false;
	buf_add(out, r->a.p, r->a.len);
	out->failed = out->failed || r->a.failed || r->b.failed;
	return true;
}

static int
add_regex(struct redact *r, const char *text, struct err *e)
{
	char why[128];
	int c;

	if (*text == '\0')
		return err_set(e, ERR_USAGE, "--redact regex: an expression is missing");
	if (mem_grow((void **)&r->re, &r->cap_re, r->n_re + 1, sizeof *r->re, e) < 0)
		return -1;
	if ((c = regcomp(&r->re[r->n_re], text, REG_EXTENDED)) != 0) {
		(void)regerror(c, &r->re[r->n_re], why, sizeof why);
		return err_set(e, ERR_USAGE, "--redact regex:%s: %s", text, why);
	}
	r->n_re++;
	return 0;
}

static int
add_spec(struct redact *r, const char *spec, struct err *e)
{
	static const struct { const char *name; enum what what; } kinds[] = {
		{ "email", EMAIL }, { "card", CARD }, { "phone", PHONE }, { "key", KEY },
	};

	while (*spec != '\0') {
		size_t n = strcspn(spec, ","), k;

		if (strncmp(spec, "regex:", 6) == 0)
			return add_regex(r, spec + 6, e);
		for (k = 0; k < 4; k++) {
			if (strlen(kinds[k].name) == n && memcmp(spec, kinds[k].name, n) == 0)
				break;
		}
		if (k == 4)
			return err_set(e, ERR_USAGE, "--redact: \"%.*s\" is none of email, phone, "
				"card, key, regex:ERE", (int)n, spec);
		r->what |= (unsigned)kinds[k].what;
		spec += n + (spec[n] == ',');
	}
	return 0;
}

struct redact *
redact_new(const char *const *specs, size_t n, struct err *e)
{
	struct redact *r = mem_calloc(1, sizeof *r, e);

	for (size_t i = 0; r != NULL && i < n; i++) {
		if (add_spec(r, specs[i], e) < 0) {
			redact_free(r);
			return NULL;
		}
	}
	return r;
}

void
redact_free(struct redact *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_re; i++)
		regfree(&r->re[i]);
	free(r->re);
	buf_finish(&r->a);
	buf_finish(&r->b);
	free(r);
}
