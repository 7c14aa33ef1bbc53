#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "fmt/hash.h"
#include "fmt/jflat.h"
#include "net/sigv4.h"

#define MAX_HEADERS 16

/* One vector: the request, what surrounds it, and what is expected. */
struct vector {
	struct arena mem;
	const char *name, *method, *url, *time, *token, *payload, *region, *service, *expires;
	const char *canonical, *to_sign, *authorization, *signed_url;
	const char *key_id, *secret;
	bool normalise, twice, omit_token, sign_body;
	struct sigv4_header h[MAX_HEADERS];
	size_t n;
};

static const char *
keep(struct vector *v, struct slice s)
{
	struct err e = ERR_INIT;

	return arena_dup(&v->mem, s.p, s.n, &e);
}

static void
header(struct vector *v, const char *name, const char *value)
{
	cr_assert(v->n < MAX_HEADERS);
	v->h[v->n++] = (struct sigv4_header){ name, value };
}

static char *
shared(const char *rest)
{
	static char path[1024];
	const char *root = getenv("LLMR_SHARED");

	snprintf(path, sizeof path, "%s/fixtures/signing/%s", root == NULL ? "../shared" : root, rest);
	return path;
}

/* Sign v both ways and compare with what is known. */
static void
compare(struct vector *v, bool query)
{
	struct buf canonical = BUF_INIT, text = BUF_INIT, auth = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = (char *)(uintptr_t)keep(v, slice_str(v->url)), *mark = strchr(path, '?');
	struct sigv4 s = { .key_id = v->key_id, .secret = v->secret, .region = v->region,
		.service = v->service, .time = v->time, .method = v->method, .path = path,
		.headers = v->h, .n_headers = v->n, .payload = v->payload, .normalise = v->normalise,
		.encode_twice = v->twice };

	if (mark != NULL) {
		*mark = '\0';
		s.query = mark + 1;
	}
	if (query) {
		const char *want = strstr(v->signed_url, "X-Amz-Signature="), *got;

		cr_assert_eq(sigv4_presign(&s, (unsigned)atoi(v->expires), v->omit_token ? NULL : v->token,
			&auth, &e), 0);
		got = strstr(buf_cstr(&auth), "X-Amz-Signature=");
		cr_expect(strncmp(want, got, 16 + 64) == 0, "%s, query: %s", v->name, got);
	} else {
		cr_assert_eq(sigv4_canonical(&s, &canonical, &e), 0);
		cr_expect_str_eq(buf_cstr(&canonical), v->canonical, "%s", v->name);
		cr_assert_eq(sigv4_string_to_sign(&s, &canonical, &text, &e), 0);
		if (v->to_sign != NULL)
			cr_expect_str_eq(buf_cstr(&text), v->to_sign, "%s", v->name);
		cr_assert_eq(sigv4_authorization(&s, &auth, &e), 0);
		if (v->authorization != NULL)
			cr_expect_str_eq(buf_cstr(&auth), v->authorization, "%s", v->name);
	}
	buf_finish(&canonical);
	buf_finish(&text);
	buf_finish(&auth);
}

/* ---- vectors made with botocore: one JSON file ---- */

struct s3_vectors {
	struct vector v[64];
	size_t n;
	const char *key_id, *secret;
};

static int
s3_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	static const struct { const char *key; size_t at; } fields[] = {
		{ "name", offsetof(struct vector, name) }, { "method", offsetof(struct vector, method) },
		{ "url", offsetof(struct vector, url) }, { "timestamp", offsetof(struct vector, time) },
		{ "session_token", offsetof(struct vector, token) },
		{ "body_sha256", offsetof(struct vector, payload) },
		{ "x-amz-content-sha256", offsetof(struct vector, payload) },
		{ "region", offsetof(struct vector, region) },
		{ "presign_expires", offsetof(struct vector, expires) },
		{ "canonical_request", offsetof(struct vector, canonical) },
		{ "string_to_sign", offsetof(struct vector, to_sign) },
		{ "authorization", offsetof(struct vector, authorization) },
		{ "signed_url", offsetof(struct vector, signed_url) },
	};
	struct s3_vectors *all = ctx;
	unsigned i;
	int used = 0;

	(void)e;
	if (strcmp(name, "access_key") == 0)
		all->key_id = keep(&all->v[0], text);
	if (strcmp(name, "secret_key") == 0)
		all->secret = keep(&all->v[0], text);
	if (sscanf(name, "cases.%u.%n", &i, &used) != 1 || used == 0 || i >= 64 || type == JREAD_NULL)
		return 0;
	if (i >= all->n)
		all->n = i + 1;
	if (strncmp(name + used, "headers_in.", 11) == 0)
		header(&all->v[i], keep(&all->v[i], slice_str(name + used + 11)), keep(&all->v[i], text));
	for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
		if (strcmp(name + used, fields[k].key) == 0)
			*(const char **)(void *)((char *)&all->v[i] + fields[k].at) = keep(&all->v[i], text);
	}
	return 0;
}

Test(sigv4, botocore_signs_s3_the_same)
{
	struct s3_vectors *all = calloc(1, sizeof *all);
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;

	if (io_read_file(shared("sigv4-s3/cases.json"), 1 << 20, &text, &e) < 0)
		cr_skip_test("%s", e.msg);
	cr_assert_eq(jflat_each((struct slice){ text.p, text.len }, s3_leaf, all, &e), 0, "%s", e.msg);
	cr_expect_eq(all->n, 26);
	for (size_t i = 0; i < all->n; i++) {
		struct vector *v = &all->v[i];
		const char *host = strstr(v->url, "://") + 3;

		v->key_id = all->key_id;
		v->secret = all->secret;
		v->service = "s3";
		header(v, "Host", keep(v, (struct slice){ host, strcspn(host, "/") }));
		v->url = host + strcspn(host, "/");
		if (v->expires != NULL) {
			v->payload = "UNSIGNED-PAYLOAD";
			compare(v, true);
			continue;
		}
		header(v, "X-Amz-Date", v->time);
		header(v, "x-amz-content-sha256", v->payload);
		if (v->token != NULL)
			header(v, "X-Amz-Security-Token", v->token);
		compare(v, false);
	}
	for (size_t i = 0; i < all->n; i++)
		arena_finish(&all->v[i].mem);
	buf_finish(&text);
	free(all);
}

/* ---- AWS's own suite: a folder of text files each ---- */

static const char *
read_part(struct vector *v, const char *dir, const char *file)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char rest[512];
	const char *out = NULL;

	snprintf(rest, sizeof rest, "sigv4-aws-suite/%s/%s", dir, file);
	if (io_read_file(shared(rest), 1 << 20, &text, &e) == 0)
		out = keep(v, (struct slice){ text.p, text.len });
	buf_finish(&text);
	return out;
}

static int
context_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct vector *v = ctx;

	(void)type;
	(void)e;
	if (strcmp(name, "credentials.token") == 0)
		v->token = keep(v, text);
	if (strcmp(name, "expiration_in_seconds") == 0)
		v->expires = keep(v, text);
	if (strcmp(name, "normalize") == 0)
		v->normalise = slice_is(text, "true");
	if (strcmp(name, "sign_body") == 0)
		v->sign_body = slice_is(text, "true");
	if (strcmp(name, "omit_session_token") == 0)
		v->omit_token = slice_is(text, "true");
	return 0;
}

/* Request line, headers (folded ones too), body. */
static void
parse_request(struct vector *v, const char *text)
{
	char *p = (char *)(uintptr_t)keep(v, slice_str(text)), *end = strstr(p, " HTTP/1.1");
	const char *body = "";
	uint8_t digest[32];
	char hex[65];

	v->method = p;
	p = strchr(p, ' ');
	*p++ = '\0';
	v->url = p;
	*end = '\0';
	p = end + 10;
	while (*p != '\0' && *p != '\n') {
		char *line = p, *colon = strchr(p, ':');

		/* A header goes on over the lines that begin with a blank. */
		for (p = strchr(p, '\n'); p != NULL && (p[1] == ' ' || p[1] == '\t'); p = strchr(p + 1, '\n'))
			;
		if (p == NULL)
			p = line + strlen(line);
		else
			*p++ = '\0';
		*colon = '\0';
		if (strcasecmp(line, "x-amz-date") != 0)
			header(v, line, colon + 1);
	}
	if (*p == '\n')
		body = p + 1;
	sha256_bytes(body, strlen(body), digest);
	hex_format(digest, 32, hex);
	v->payload = keep(v, slice_str(hex));
}

/* The two folders without context: only their canonical requests belong to their requests. */
static void
suite_case(const char *dir)
{
	struct vector *v = calloc(1, sizeof *v);
	const char *context = read_part(v, dir, "context.json"), *signature;
	struct err e = ERR_INIT;

	v->name = dir;
	v->key_id = "AKIDEXAMPLE";
	v->secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
	v->region = "us-east-1";
	v->service = "service";
	v->time = context == NULL ? "20210511T154045Z" : "20150830T123600Z";
	v->twice = context == NULL;
	if (context != NULL)
		cr_assert_eq(jflat_each(slice_str(context), context_leaf, v, &e), 0, "%s", e.msg);
	parse_request(v, read_part(v, dir, "request.txt"));
	if (context != NULL) {
		v->signed_url = read_part(v, dir, "query-signed-request.txt");
		compare(v, true);
	}
	header(v, "X-Amz-Date", v->time);
	if (v->sign_body)
		header(v, "x-amz-content-sha256", v->payload);
	if (v->token != NULL && !v->omit_token)
		header(v, "X-Amz-Security-Token", v->token);
	v->canonical = read_part(v, dir, "header-canonical-request.txt");
	if (context != NULL) {
		v->to_sign = read_part(v, dir, "header-string-to-sign.txt");
		signature = strstr(read_part(v, dir, "header-signed-request.txt"), "AWS4-HMAC");
		v->authorization = keep(v, (struct slice){ signature, strcspn(signature, "\n") });
	}
	compare(v, false);
	arena_finish(&v->mem);
	free(v);
}

Test(sigv4, the_suite_of_aws_signs_the_same)
{
	DIR *d = opendir(shared("sigv4-aws-suite"));
	struct dirent *ent;
	unsigned n = 0;

	if (d == NULL)
		cr_skip_test("no vectors at %s", shared("sigv4-aws-suite"));
	while ((ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.' || strcmp(ent->d_name, "LICENSE") == 0)
			continue;
		suite_case(ent->d_name);
		n++;
	}
	closedir(d);
	cr_expect_eq(n, 40);
}

/* ---- without fixtures ---- */

Test(sigv4, a_request_of_our_own)
{
	/* The expected signature was worked out step by step with Python's hmac module. */
	static const struct sigv4_header h[] = {
		{ "X-Amz-Date", "20260101T000000Z" }, { "host", "store.test:9000" },
		{ "X-Amz-Content-Sha256", SIGV4_EMPTY }, { "X-Amz-Meta-B", "  two   words " },
	};
	struct sigv4 s = { .key_id = "someone", .secret = "secret of someone", .region = "here",
		.service = "s3", .time = "20260101T000000Z", .method = "GET", .path = "/b/a%20b/../c//d+",
		.query = "uploads&prefix=x%2fy&a=2&a=10", .headers = h, .n_headers = 4, .payload = SIGV4_EMPTY };
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	cr_assert_eq(sigv4_canonical(&s, &b, &e), 0);
	cr_expect_str_eq(buf_cstr(&b), "GET\n/b/a%20b/../c//d%2B\na=10&a=2&prefix=x%2Fy&uploads=\n"
		"host:store.test:9000\nx-amz-content-sha256:" SIGV4_EMPTY "\nx-amz-date:20260101T000000Z\n"
		"x-amz-meta-b:two words\n\nhost;x-amz-content-sha256;x-amz-date;x-amz-meta-b\n" SIGV4_EMPTY);
	buf_reset(&b);
	cr_assert_eq(sigv4_authorization(&s, &b, &e), 0);
	cr_expect_str_eq(buf_cstr(&b), "AWS4-HMAC-SHA256 Credential=someone/20260101/here/s3/aws4_request, "
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-b, Signature="
		"c9208f32ece475e8e52d2e37fd83bcf159e699f3f34ac6cf8e366c988c6394fc");
	buf_finish(&b);
}

Test(sigv4, a_secret_longer_than_a_block_is_hashed)
{
	char secret[200];
	struct buf text = BUF_INIT;
	struct sigv4 s = { .key_id = "k", .secret = secret, .region = "r", .service = "s3", .time = "20260101T000000Z" };
	char out[SIGV4_HEX];

	memset(secret, 'x', sizeof secret - 1);
	secret[sizeof secret - 1] = '\0';
	buf_str(&text, "text");
	sigv4_signature(&s, &text, out);
	cr_expect_str_eq(out, "c53469f80d202d3a18508703e3a716b2455b5468b0d666ec16114560e2b750c6");
	buf_finish(&text);
}

Test(sigv4, paths_are_encoded_once_and_times_are_utc)
{
	struct buf b = BUF_INIT;
	char t[SIGV4_TIME];

	sigv4_encode(&b, "a b/\xc3\xa9+~%", 9, true);
	cr_expect_str_eq(buf_cstr(&b), "a%20b/%C3%A9%2B~%25");
	buf_reset(&b);
	sigv4_encode(&b, "a/b", 3, false);
	cr_expect_str_eq(buf_cstr(&b), "a%2Fb");
	buf_finish(&b);
	sigv4_time(1767225599999999, t);
	cr_expect_str_eq(t, "20251231T235959Z");
}
