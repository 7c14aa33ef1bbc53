#include "net/awscred.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/jread.h"

#define MAX_ANSWER ((size_t)64 << 10)
#define MAX_WORDS 64
#define PROCESS_SECONDS 60

extern char **environ;		/* handed on to the program, not read */

/* ---- the document ---------------------------------------------------------------- */

static int
copy(char *to, size_t cap, struct slice v, const char *name, struct err *e)
{
	if (v.n >= cap)
		return err_set(e, ERR_CONFIG, "%s is longer than %zu bytes", name, cap - 1);
	for (size_t i = 0; i < v.n; i++) {
		if ((unsigned char)v.p[i] <= 0x20 || (unsigned char)v.p[i] > 0x7e)
			return err_set(e, ERR_CONFIG, "%s holds a blank or control byte", name);
	}
	memcpy(to, v.p, v.n);
	to[v.n] = '\0';
	return 0;
}

static int
take_member(struct jread *r, struct slice key, struct arena *mem, double *version, struct aws_credentials *out,
	struct err *e)
{
	struct slice v = SLICE_NONE;
	char time[64];

	if (slice_is(key, "Version")) {
		(void)jread_double(r, version);
		return 0;
	}
	if (jread_peek(r) != JREAD_STRING) {
		(void)jread_skip(r);
		return 0;
	}
	if (!jread_string(r, mem, &v))
		return 0;
	if (slice_is(key, "AccessKeyId"))
		return copy(out->key_id, sizeof out->key_id, v, "AccessKeyId", e);
	if (slice_is(key, "SecretAccessKey"))
		return copy(out->secret, sizeof out->secret, v, "SecretAccessKey", e);
	if (slice_is(key, "Token") || slice_is(key, "SessionToken"))
		return copy(out->token, sizeof out->token, v, "SessionToken", e);
	if (slice_is(key, "Expiration"))
		return copy(time, sizeof time, v, "Expiration", e) < 0 ? -1 :
			str_time("Expiration", time, 0, &out->expires_us, e) < 0 ?
			(e->code = ERR_CONFIG, -1) : 0;
	if (slice_is(key, "Code") && !slice_is(v, "Success"))
		return err_set(e, ERR_CONFIG, "the answer's code is '%.*s'", v.n > 60 ? 60 : (int)v.n, v.p);
	return 0;
}

int
awscred_parse(const char *p, size_t n, bool process, struct aws_credentials *out, struct err *e)
{
	struct arena mem = ARENA_INIT;
	double version = 0;
	struct slice key;
	struct jread r;
	int ret = -1;

	explicit_bzero(out, sizeof *out);
	jread_init(&r, p, n);
	if (jread_object(&r)) {
		while (jread_member(&r, &key)) {
			if (take_member(&r, key, &mem, &version, out, e) < 0)
				goto out;
		}
	}
	if (jread_done(&r, e) < 0) {
		e->code = ERR_CONFIG;	/* the position is told, the text is not: it may hold a secret */
		goto out;
	}
	if (process && version != 1)
		err_set(e, ERR_CONFIG, "\"Version\": 1 is missing");
	else if (out->key_id[0] == '\0' || out->secret[0] == '\0')
		err_set(e, ERR_CONFIG, "AccessKeyId or SecretAccessKey is missing");
	else
		ret = 0;
out:
	if (ret < 0)
		explicit_bzero(out, sizeof *out);
	arena_finish(&mem);
	return ret;
}

/* ---- a program ---------------------------------------------------------------- */

/* Split in place. */
static int
split_words(char *line, char *words[MAX_WORDS + 1], struct err *e)
{
	char *in = line, *out = line;
	size_t n = 0;

	for (;;) {
		char quote = 0;

		while (*in == ' ' || *in == '\t')
			in++;
		if (*in == '\0')
			break;
		if (n == MAX_WORDS)
			return err_set(e, ERR_CONFIG, "credential_process: more than %d words", MAX_WORDS);
		words[n++] = out;
		for (; *in != '\0' && (quote != 0 || (*in != ' ' && *in != '\t')); in++) {
			if (quote == 0 && (*in == '"' || *in == '\''))
				quote = *in;
			else if (quote != 0 && *in == quote)
				quote = 0;
			else if (*in == '\\' && quote != '\'' && in[1] != '\0')
				*out++ = *++in;
			else
				*out++ = *in;
		}
		if (quote != 0)
			return err_set(e, ERR_CONFIG, "credential_process: a quote is not closed");
		if (*in != '\0')
			in++;
		*out++ = '\0';
	}
	words[n] = NULL;
	return n > 0 ? 0 : err_set(e, ERR_CONFIG, "credential_process is empty");
}

static int
start(char *const words[], pid_t *pid, int *from, struct err *e)
{
	posix_spawn_file_actions_t fa;
	int fd[2], r;

	if (pipe(fd) < 0)
		return err_sys(e, ERR_TEMPFAIL, "pipe");
	(void)fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd[1], F_SETFD, FD_CLOEXEC);
	r = posix_spawn_file_actions_init(&fa);
	if (r == 0) {
		r = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
		if (r == 0)
			r = posix_spawnp(pid, words[0], &fa, NULL, words, environ);
		(void)posix_spawn_file_actions_destroy(&fa);
	}
	(void)close(fd[1]);
	if (r != 0) {
		(void)close(fd[0]);
		errno = r;
		return err_sys(e, ERR_CONFIG, "credential_process %s", words[0]);
	}
	*from = fd[0];
	return 0;
}

/* All that the program says, within its time. */
static int
collect(int fd, const char *name, struct cancel *cancel, struct buf *out, struct err *e)
{
	int64_t until = clock_mono_ns() + (int64_t)PROCESS_SECONDS * 1000000000;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (cancel_check(cancel, e) < 0)
			return -1;
		if (clock_mono_ns() > until)
			return err_set(e, ERR_UNAVAILABLE, "credential_process %s: no end after %d s", name,
				PROCESS_SECONDS);
		if (poll(&p, 1, 100) <= 0)
			continue;
		if (out->len > MAX_ANSWER)
			return err_set(e, ERR_CONFIG, "credential_process %s: it says too much", name);
		if (!buf_reserve(out, 4096))
			return err_nomem(e);
		got = read(fd, out->p + out->len, 4096);
		if (got < 0 && errno != EINTR)
			return err_sys(e, ERR_IO, "credential_process %s", name);
		if (got == 0)
			return 0;
		if (got > 0)
			out->len += (size_t)got;
	}
}

int
awscred_process(const char *command, struct cancel *cancel, struct aws_credentials *out, struct err *e)
{
	char *line = mem_strdup(command, e), *words[MAX_WORDS + 1];
	struct buf text = BUF_INIT;
	int from = -1, status = 0, r = -1;
	pid_t pid = 0;

	if (line == NULL || split_words(line, words, e) < 0 || start(words, &pid, &from, e) < 0)
		goto out;
	r = collect(from, words[0], cancel, &text, e);
	(void)close(from);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = err_set(e, ERR_NOPERM, "credential_process %s: it failed with status %d", words[0],
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	if (r == 0 && (r = awscred_parse(buf_cstr(&text), text.len, true, out, e)) < 0)
		err_wrap(e, "credential_process %s", words[0]);
out:
	if (text.p != NULL)
		explicit_bzero(text.p, text.len);
	buf_finish(&text);
	free(line);
	return r;
}

/* ---- a container, an instance --------------------------------------------------------- */

bool
awscred_url_ok(const char *url)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23",
		"[fd00:ec2::23]" };
	const char *host;
	size_t n;

	if (strncasecmp(url, "https://", 8) == 0)
		return true;
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	host = url + 7;
	n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		if (strlen(hosts[i]) == n && strncasecmp(host, hosts[i], n) == 0)
			return host[n] == '\0' || strchr(":/?#", host[n]) != NULL;
	}
	return false;
}

static int
to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	buf_add(ctx, p, n);
	return buf_ok(ctx, e);
}

/* The text of a 200; anything else is an error. */
static int
ask(struct http *h, const char *method, const char *url, const char *header, struct buf *out, struct err *e)
{
	struct http_request rq = { .method = method, .url = url, .headers = &header, .n_headers = header != NULL,
		.max_bytes = MAX_ANSWER, .on_body = to_buf, .ctx = out, .verbatim = true };
	struct http_response rs;

	buf_reset(out);
	if (strcmp(method, "PUT") == 0)
		rq.body = "";
	if (http_do(h, &rq, &rs, e) < 0)
		return -1;
	if (rs.status != 200)
		return err_set(e, rs.status == 401 || rs.status == 403 ? ERR_NOPERM : ERR_UNAVAILABLE,
			"%.*s answers %ld", (int)strcspn(url, "?"), url, rs.status);
	return 0;
}

static void
discard(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->len);
	buf_finish(b);
}

int
awscred_container(struct http *h, const char *url, const char *token, struct aws_credentials *out, struct err *e)
{
	struct buf text = BUF_INIT, header = BUF_INIT;
	int r = -1;

	if (token != NULL)
		buf_printf(&header, "Authorization: %s", token);
	if (token != NULL && strpbrk(token, "\r\n") != NULL)
		err_set(e, ERR_CONFIG, "the container's authorization token holds a line end");
	else if (buf_ok(&header, e) == 0 &&
	         ask(h, "GET", url, token == NULL ? NULL : buf_cstr(&header), &text, e) == 0)
		r = awscred_parse(buf_cstr(&text), text.len, false, out, e);
	if (r < 0)
		err_wrap(e, "the container's credentials");
	discard(&text);
	discard(&header);
	return r;
}

int
awscred_instance(struct http *h, const char *base, struct aws_credentials *out, struct err *e)
{
	struct buf text = BUF_INIT, header = BUF_INIT, url = BUF_INIT;
	int r = -1;

	buf_printf(&url, "%s/latest/api/token", base);
	if (buf_ok(&url, e) < 0)
		goto out;
	if (ask(h, "PUT", buf_cstr(&url), "x-aws-ec2-metadata-token-ttl-seconds: 21600", &text, e) < 0) {
		if (e->code == ERR_UNAVAILABLE)
			e->code = ERR_NOINPUT;
		goto out;
	}
	buf_printf(&header, "x-aws-ec2-metadata-token: %.*s", (int)strcspn(buf_cstr(&text), "\r\n"), buf_cstr(&text));
	buf_reset(&url);
	buf_printf(&url, "%s/latest/meta-data/iam/security-credentials/", base);
	if (buf_ok(&header, e) < 0 || ask(h, "GET", buf_cstr(&url), buf_cstr(&header), &text, e) < 0)
		goto out;
	buf_printf(&url, "%.*s", (int)strcspn(buf_cstr(&text), "\r\n"), buf_cstr(&text));
	if (buf_ok(&url, e) == 0 && ask(h, "GET", buf_cstr(&url), buf_cstr(&header), &text, e) == 0)
		r = awscred_parse(buf_cstr(&text), text.len, false, out, e);
out:
	if (r < 0)
		err_wrap(e, "the instance's credentials");
	discard(&text);
	discard(&header);
	buf_finish(&url);
	return r;
}
