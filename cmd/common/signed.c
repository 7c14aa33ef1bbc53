#include "common/signed.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"

const char *const signed_git_paths[4] = { ".git", ".gitattributes", ".github", ".gitignore" };

char *
signed_sidecar(const char *path, struct err *e)
{
	static const char end[] = ".safetensors";
	size_t n = strlen(path), m = sizeof end - 1;
	struct buf b = BUF_INIT;

	if (n <= m || strcmp(path + n - m, end) != 0)
		return NULL;
	buf_add(&b, path, n - m);
	buf_str(&b, ".yaml");
	if (buf_ok(&b, e) < 0 || !io_exists(b.p)) {
		buf_finish(&b);
		return NULL;
	}
	return buf_take(&b, e);
}

bool
signed_skip(const void *ctx, const char *path)
{
	size_t n = strlen(path), m = sizeof SIGNED_MANIFEST - 1;

	(void)ctx;
	if (strcmp(path, SIGNED_MANIFEST) == 0 || strcmp(path, SIGNED_BUNDLE) == 0)
		return true;
	return strncmp(path, SIGNED_MANIFEST ".", m + 1) == 0 && strchr(path, '/') == NULL && n >= m + 8 &&
		strcmp(path + n - 8, ".minisig") == 0;
}

bool
signed_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
