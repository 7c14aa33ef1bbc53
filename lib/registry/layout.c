#include "registry/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "fmt/hash.h"

bool
layout_name_ok(struct slice s)
{
	if (s.n == 0 || s.n >= LAYOUT_NAME || !isalnum((unsigned char)s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && strchr("._-", s.p[i]) == NULL)
			return false;
	return memchr(s.p, '\0', s.n) == NULL;
}

int
layout_check(const char *what, const char *name, enum err_code code, struct err *e)
{
	if (layout_name_ok(slice_str(name)))
		return 0;
	return err_set(e, code, "%s: '%s' is not a name: letters, digits, '.', '_' and '-', at most 64, "
	    "a letter or digit first", what, name == NULL ? "" : name);
}

bool
layout_path_ok(struct slice s)
{
	size_t part = 0;

	if (s.n == 0 || s.n > 512 || utf8_valid(s.p, s.n) != s.n)
		return false;
	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '/') {
			if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || s.p[i] == '\\')
				return false;
			continue;
		}
		if (i == part || (i == part + 1 && s.p[part] == '.') ||
		    (i == part + 2 && s.p[part] == '.' && s.p[part + 1] == '.'))
			return false;
		part = i + 1;
	}
	return true;
}

void
layout_object(const uint8_t sha256[32], char *out)
{
	char hex[65];

	hex_format(sha256, 32, hex);
	(void)snprintf(out, STORE_KEY_MAX, LAYOUT_OBJECTS "%.2s/%s", hex, hex);
}

void
layout_manifest(const char *name, const char *version, char *out)
{
	(void)snprintf(out, STORE_KEY_MAX, "models/%s/versions/%s/manifest.json", name, version);
}

void
layout_minisig(const char *name, const char *version, char *out)
{
	(void)snprintf(out, STORE_KEY_MAX, "models/%s/versions/%s/manifest.json.minisig", name, version);
}

static void
item(const char *name, const char *what, const char *which, char *out)
{
	(void)snprintf(out, STORE_KEY_MAX, "models/%s/%s/%s", name, what, which);
}

void
layout_pointer(const char *name, const char *channel, char *out)
{
	item(name, "channels", channel, out);
}

void
layout_alias(const char *name, const char *alias, char *out)
{
	item(name, "aliases", alias, out);
}

void
layout_lease(const char *name, const char *lock, char *out)
{
	item(name, "locks", lock, out);
}

void
layout_current(const char *name, const char *file, char *out)
{
	item(name, "current", file, out);
}

void
layout_prefix(const char *name, const char *what, char *out)
{
	if (name == NULL)
		(void)snprintf(out, STORE_KEY_MAX, "models/");
	else
		(void)snprintf(out, STORE_KEY_MAX, "models/%s/%s/", name, what);
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
layout_hex(struct slice s, uint8_t out[32])
{
	if (s.n != 64)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int hi = digit(s.p[2 * i]), lo = digit(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* The part of key up to the next slash; false when it is no good name. */
static bool
next_part(const char **key, char *out)
{
	size_t n = strcspn(*key, "/");

	if (!layout_name_ok((struct slice){ *key, n }))
		return false;
	memcpy(out, *key, n);
	out[n] = '\0';
	*key += n;
	return true;
}

bool
layout_parse(const char *key, const char *what, char *name, char *which, const char **rest)
{
	size_t n = strlen(what);

	if (strncmp(key, "models/", 7) != 0)
		return false;
	key += 7;
	if (!next_part(&key, name) || key[0] != '/' || strncmp(key + 1, what, n) != 0 ||
	    key[n + 1] != '/')
		return false;
	key += n + 2;
	if (!next_part(&key, which))
		return false;
	if (rest != NULL)
		*rest = key[0] == '/' ? key + 1 : key;
	return true;
}
