/* Any bytes as a credentials file, or as the JSON that hands credentials out. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/awsconf.h"
#include "net/awscred.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const sections[] = { "default", "profile other" };
	static const char *const keys[] = { "aws_access_key_id", "region", NULL };
	struct aws_credentials c;
	struct err e = ERR_INIT;
	char *p = malloc(size + 1);

	if (p == NULL)
		return 0;
	memcpy(p, data, size);
	p[size] = '\0';
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 3; k++) {
			struct slice v = SLICE_NONE;

			if (awsconf_lookup(p, size, sections[i], keys[k], &v) && keys[k] != NULL &&
			    (v.p < p || v.p + v.n > p + size || memchr(v.p, '\n', v.n) != NULL))
				abort();
		}
	}
	if (awscred_parse(p, size, size % 2 == 0, &c, &e) == 0 && (c.key_id[0] == '\0' || c.secret[0] == '\0'))
		abort();
	(void)awscred_url_ok(p);
	free(p);
	return 0;
}
