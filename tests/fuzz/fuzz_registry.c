/* Any bytes as what a registry's store may hold: pointer, alias, lease, bundle index, archive header, manifest. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/hash.h"
#include "registry/alias.h"
#include "registry/bundle.h"
#include "registry/lease.h"
#include "registry/pointer.h"
#include "registry/tar.h"
#include "registry/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read must be good, whatever the bytes: that is what the rest relies on. */
static void
good(const char *name)
{
	if (!layout_name_ok(slice_str(name)))
		abort();
}

static void
pointers(struct slice doc, const struct seal_trust *t)
{
	struct pointer p;
	struct alias a;
	struct lease l;
	struct buf again = BUF_INIT, meta = BUF_INIT;
	struct err e = ERR_INIT;

	if (pointer_parse(doc, t, &p, &e) == 0) {
		good(p.name);
		good(p.channel);
		good(p.version);
		if (p.previous[0] != '\0')
			good(p.previous);
		/* What was read can be written, and read again. */
		if (pointer_format(&p, NULL, &again, &e) < 0 ||
		    pointer_parse((struct slice){ again.p, again.len }, t, &p, &e) < 0)
			abort();
	} else if (e.code != ERR_INPUT && e.code != ERR_NOPERM)
		abort();
	if (alias_parse(doc, t, &a, &meta, NULL) == 0) {
		good(a.name);
		good(a.alias);
		good(a.version);
	}
	lease_parse(doc, &l);
	if (l.owner[0] != '\0')
		good(l.owner);
	buf_finish(&again);
	buf_finish(&meta);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct seal_trust trust = { .allow_unsigned = true };
	const struct slice doc = { (const char *)data, size };
	struct version v = { .n = 0 };
	char block[TAR_BLOCK] = "", name[TAR_NAME];
	char hex[9], version[LAYOUT_NAME];
	uint8_t digest[32];
	uint64_t bytes;

	if (size == 0)
		return 0;
	pointers(doc, &trust);
	(void)bundle_index_check(doc, &trust, NULL);
	memcpy(block, data, size < TAR_BLOCK ? size : TAR_BLOCK);
	if (tar_parse(block, name, &bytes, NULL) > 0 && strlen(name) >= TAR_NAME)
		abort();
	/* A version is named after its manifest's digest. */
	sha256_bytes(data, size, digest);
	hex_format(digest, 4, hex);
	(void)snprintf(version, sizeof version, "20260101T000000Z-%s", hex);
	if (version_read("m", version, doc, SLICE_NONE, NULL, &trust, &v, NULL) == 0)
		for (size_t i = 0; i < v.n; i++)
			if (!layout_path_ok(slice_str(v.files[i].path)))
				abort();
	version_finish(&v);
	return 0;
}
