#include "data/gitrev.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"

#define MAX_SMALL ((size_t)64 << 10)
#define MAX_PACKED ((size_t)64 << 20)
#define MAX_LINKS 5		/* a symbolic reference that names another */

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A regular file's text, white space at both ends off. */
static bool
read_text(const char *folder, const char *name, size_t max, struct buf *text, struct slice *out)
{
	struct buf path = BUF_INIT;
	struct stat st;
	bool ok;

	buf_reset(text);
	buf_printf(&path, "%s/%s", folder, name);
	ok = !path.failed && stat(buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode) &&
	    io_read_file(buf_cstr(&path), max, text, NULL) == 0;
	buf_finish(&path);
	if (ok)
		*out = slice_trim((struct slice){ buf_cstr(text), text->len });
	return ok;
}

static bool
take_digest(struct slice s, char out[65])
{
	if (s.n != 40 && s.n != 64)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isxdigit((unsigned char)s.p[i]))
			return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* folder/name, or name alone when it is absolute, with links resolved. */
static char *
resolve(const char *folder, struct slice name)
{
	struct buf path = BUF_INIT;
	char *real;

	if (name.n == 0 || memchr(name.p, '\0', name.n) != NULL)
		return NULL;
	if (name.p[0] != '/')
		buf_printf(&path, "%s/", folder);
	buf_add(&path, name.p, name.n);
	real = path.failed ? NULL : realpath(buf_cstr(&path), NULL);
	buf_finish(&path);
	return real;
}

/* The repository's folder for a work tree's root; NULL when this is none. */
static char *
git_folder(const char *root, struct buf *text)
{
	struct slice s;
	char *real = resolve(root, SLICE_LIT(".git"));

	if (real == NULL || is_dir(real))
		return real;
	free(real);
	if (!read_text(root, ".git", MAX_SMALL, text, &s) || !slice_starts(s, "gitdir:"))
		return NULL;
	return resolve(root, slice_trim((struct slice){ s.p + 7, s.n - 7 }));
}

static char *
find_git(const char *folder, struct buf *text)
{
	char *at = realpath(folder, NULL), *git = NULL, *slash;

	while (at != NULL && (git = git_folder(at, text)) == NULL) {
		slash = strrchr(at, '/');
		if (slash == NULL || at[1] == '\0')
			break;
		slash[slash == at] = '\0';
	}
	free(at);
	return git;
}

/* "DIGEST NAME" lines; comments and peeled tags begin with # and ^. */
static bool
find_packed(const char *common, const char *ref, struct buf *text, char out[65])
{
	struct slice all;
	const char *p, *end;

	if (!read_text(common, "packed-refs", MAX_PACKED, text, &all))
		return false;
	for (p = all.p, end = all.p + all.n; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct slice line = { p, (size_t)((nl == NULL ? end : nl) - p) };
		const char *blank = memchr(line.p, ' ', line.n);

		p += line.n + 1;
		if (blank == NULL)
			continue;
		if (slice_is((struct slice){ blank + 1, (size_t)(line.p + line.n - blank) - 1 }, ref))
			return take_digest((struct slice){ line.p, (size_t)(blank - line.p) }, out);
	}
	return false;
}

static bool
follow(const char *git, const char *common, struct buf *text, char out[65])
{
	char ref[PATH_MAX] = "HEAD";
	struct slice s;

	for (int i = 0; i < MAX_LINKS; i++) {
		if (!read_text(git, ref, MAX_SMALL, text, &s) &&
		    !read_text(common, ref, MAX_SMALL, text, &s))
			return find_packed(common, ref, text, out);
		if (!slice_starts(s, "ref:"))
			return take_digest(s, out);
		s = slice_trim((struct slice){ s.p + 4, s.n - 4 });
		if (s.n == 0 || s.n >= sizeof ref || memchr(s.p, '\0', s.n) != NULL)
			return false;
		memcpy(ref, s.p, s.n);
		ref[s.n] = '\0';
		if (strncmp(ref, "refs/", 5) != 0 || strstr(ref, "..") != NULL)
			return false;
	}
	return false;
}

bool
gitrev_read(const char *folder, char out[65])
{
	struct buf text = BUF_INIT;
	char *git = find_git(folder, &text), *common = NULL;
	struct slice s;
	bool ok = false;

	out[0] = '\0';
	if (git == NULL)
		goto out;
	if (read_text(git, "commondir", MAX_SMALL, &text, &s))
		common = resolve(git, s);
	ok = follow(git, common == NULL ? git : common, &text, out);
out:
	free(git);
	free(common);
	buf_finish(&text);
	return ok;
}
