#include "registry/tar.h"

#include <stdio.h>
#include <string.h>

/* Offsets and lengths of the header's fields. */
enum { NAME = 0, MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, SUM = 148, TYPE = 156,
	MAGIC = 257, PREFIX = 345 };

static unsigned
checksum(const char *b)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= SUM && i < SUM + 8 ? (unsigned)' ' : (unsigned char)b[i];
	return sum;
}

int
tar_header(const char *name, uint64_t size_bytes, bool executable, char b[TAR_BLOCK], struct err *e)
{
	size_t n = strlen(name), cut = 0;
	char text[24];

	memset(b, 0, TAR_BLOCK);
	if (n > 100) {
		/* The prefix ends at a slash, such that both parts fit. */
		for (size_t i = 1; i < n && i <= 155; i++)
			if (name[i] == '/' && n - i - 1 <= 100 && n - i - 1 > 0) {
				cut = i;
				break;
			}
		if (cut == 0)
			return err_set(e, ERR_INPUT, "the name '%s' is too long for an archive", name);
		memcpy(b + PREFIX, name, cut);
		memcpy(b + NAME, name + cut + 1, n - cut - 1);
	} else
		memcpy(b + NAME, name, n);
	if (size_bytes >> 33 != 0)
		return err_set(e, ERR_INPUT, "%s: larger than the 8 GiB that an archive holds", name);
	memcpy(b + MODE, executable ? "0000755" : "0000644", 7);
	memcpy(b + UID, "0000000", 7);
	memcpy(b + GID, "0000000", 7);
	(void)snprintf(text, sizeof text, "%011llo", (unsigned long long)size_bytes);
	memcpy(b + SIZE, text, 11);
	memcpy(b + MTIME, "00000000000", 11);
	b[TYPE] = '0';
	memcpy(b + MAGIC, "ustar\0" "00", 8);
	(void)snprintf(text, sizeof text, "%06o", checksum(b));
	memcpy(b + SUM, text, 7);
	b[SUM + 7] = ' ';
	return 0;
}

size_t
tar_padding(uint64_t size_bytes)
{
	return (size_t)((TAR_BLOCK - size_bytes % TAR_BLOCK) % TAR_BLOCK);
}

/* Octal digits up to a NUL or blank. */
static bool
octal(const char *p, size_t n, uint64_t *out)
{
	size_t i = 0;

	*out = 0;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		*out = *out << 3 | (uint64_t)(p[i] - '0');
	return i > 0 && (i == n || p[i] == '\0' || p[i] == ' ');
}

int
tar_parse(const char b[TAR_BLOCK], char name[TAR_NAME], uint64_t *size_bytes, struct err *e)
{
	size_t i = 0, prefix, n;
	uint64_t sum;

	while (i < TAR_BLOCK && b[i] == '\0')
		i++;
	if (i == TAR_BLOCK)
		return 0;
	if (!octal(b + SUM, 8, &sum) || sum != checksum(b) || memcmp(b + MAGIC, "ustar", 6) != 0)
		return err_set(e, ERR_INPUT, "not a header of a ustar archive");
	if (b[TYPE] != '0')
		return err_set(e, ERR_INPUT, "the archive holds something that is no regular file");
	if (!octal(b + SIZE, 12, size_bytes) || *size_bytes >> 33 != 0)
		return err_set(e, ERR_INPUT, "the size of a file in the archive is malformed");
	prefix = strnlen(b + PREFIX, 155);
	n = strnlen(b + NAME, 100);
	memcpy(name, b + PREFIX, prefix);
	if (prefix > 0)
		name[prefix++] = '/';
	memcpy(name + prefix, b + NAME, n);
	name[prefix + n] = '\0';
	return 1;
}
