#include "net/s3multi.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/hash.h"
#include "fmt/xml.h"
#include "net/s3list.h"
#include "net/s3put.h"

#define PARALLEL_PARTS 4u
#define MAX_PARTS 9000u
#define MIB ((uint64_t)1 << 20)
#define MAX_ROUNDS 3

struct part {
	uint64_t offset, size;
	bool there, stored;		/* there: the store names it; stored: and it is ours */
	uint64_t there_size;
	bool has_sha256;
	uint8_t there_sha256[32], sha256[32];
	char etag[S3_ETAG];
};

/* One upload with its parts. */
struct multi {
	struct s3 *s;
	const struct s3_put *p;
	char *id;
	struct part *part;
	size_t n;
	pthread_mutex_t lock;
	size_t next;			/* part to be taken up */
	uint64_t done_bytes;
	enum s3_outcome outcome;	/* first that failed */
	struct err err;
};

uint64_t
s3multi_part_bytes(uint64_t size, uint64_t least)
{
	uint64_t n = size / MAX_PARTS + 1;

	if (n < least)
		return least;
	return (n + MIB - 1) / MIB * MIB;
}

/* ---- which upload ---------------------------------------------------------------- */

struct search {
	const char *key;
	char *id;
	int64_t begun_us;
};

static int
newest(void *ctx, const struct s3_upload *u, struct err *e)
{
	struct search *f = ctx;
	char *id;

	if (strcmp(u->key, f->key) != 0 || (f->id != NULL && u->begun_us <= f->begun_us))
		return 0;
	if ((id = mem_strdup(u->id, e)) == NULL)
		return -1;
	free(f->id);
	f->id = id;
	f->begun_us = u->begun_us;
	return 0;
}

static int
note_part(void *ctx, const struct s3_part *sp, struct err *e)
{
	struct multi *m = ctx;
	struct part *part;

	(void)e;
	if (sp->number > m->n)
		return 0;
	part = &m->part[sp->number - 1];
	part->there = true;
	part->there_size = sp->size_bytes;
	part->has_sha256 = sp->has_sha256;
	memcpy(part->there_sha256, sp->sha256, 32);
	memcpy(part->etag, sp->etag, sizeof part->etag);
	return 0;
}

/* An upload of this key that was left open, with its parts; m->id stays NULL when there is none. */
static enum s3_outcome
find_upload(struct multi *m, struct err *e)
{
	struct search f = { .key = m->p->key };
	enum s3_outcome out = s3_list_uploads(m->s, m->p->key, newest, &f, NULL, e);

	if (out == S3_OK && f.id != NULL)
		out = s3list_parts(m->s, m->p->key, f.id, note_part, m, e);
	/* Gone meanwhile, or a store that does not list: begin anew. */
	if (out != S3_OK) {
		free(f.id);
		for (size_t i = 0; i < m->n; i++)
			m->part[i].there = false;
		return e->code == ERR_INTR || out == S3_REFUSED || out == S3_UNAVAILABLE ? out : S3_OK;
	}
	m->id = f.id;
	return S3_OK;
}

/* Text of the element name below the root. False when the answer is not <root> or has none. */
static bool
element(const struct buf *text, const char *root, const char *name, struct buf *out)
{
	struct slice s;
	struct xml x;
	enum xml_event ev;

	xml_init(&x, buf_cstr(text), text->len);
	if (xml_next(&x, &s) != XML_START || !slice_is(s, root))
		return false;
	while ((ev = xml_next(&x, &s)) == XML_TEXT || ev == XML_START) {
		if (ev == XML_TEXT)
			continue;
		if (slice_is(s, name))
			return xml_text(&x, out);
		if (!xml_skip(&x))
			return false;
	}
	return false;
}

static enum s3_outcome
begin_upload(struct multi *m, const char *hex, struct err *e)
{
	struct s3req rq = { .method = "POST", .key = m->p->key, .query = "uploads=", .body = "" };
	struct buf text = BUF_INIT, id = BUF_INIT, names = BUF_INIT;
	enum s3_outcome out = S3_FAILED;
	struct s3ans ans;

	s3req_header(&rq, "x-amz-checksum-algorithm", "SHA256");
	s3put_describe(&rq, m->p, hex, &names);
	if (buf_ok(&names, e) == 0)
		out = s3req_buf(m->s, &rq, &text, &ans, e);
	if (out == S3_OK && (!element(&text, "InitiateMultipartUploadResult", "UploadId", &id) || id.len == 0)) {
		out = S3_FAILED;
		err_set(e, ERR_INPUT, "%s/%s: the server begins an upload but names no id", m->s->name, m->p->key);
	}
	if (out == S3_OK && (m->id = buf_take(&id, e)) == NULL)
		out = S3_FAILED;
	buf_finish(&text);
	buf_finish(&id);
	buf_finish(&names);
	return out;
}

enum s3_outcome
s3multi_abort(struct s3 *s, const char *key, const char *id, bool ignore_cancel, struct err *e)
{
	struct buf query = BUF_INIT;
	struct s3req rq = { .method = "DELETE", .key = key, .ignore_cancel = ignore_cancel,
		.tries = ignore_cancel ? 1 : 0 };
	enum s3_outcome out = S3_FAILED;
	struct s3ans ans;

	buf_str(&query, "uploadId=");
	sigv4_encode(&query, id, strlen(id), false);
	rq.query = buf_cstr(&query);
	if (buf_ok(&query, e) == 0)
		out = s3req_do(s, &rq, &ans, e);
	buf_finish(&query);
	return out == S3_NOT_FOUND ? S3_OK : out;
}

/* ---- parts ---------------------------------------------------------------- */

static enum s3_outcome
send_part(struct multi *m, size_t i, struct err *e)
{
	struct part *part = &m->part[i];
	struct s3put_range range = { .fd = m->p->fd, .offset = m->p->offset + part->offset };
	char hex[SIGV4_HEX], base64[S3HEAD_BASE64];
	struct s3req rq = { .method = "PUT", .key = m->p->key, .payload = hex, .read = s3put_read,
		.n_body = part->size, .ctx = &range, .expect_bytes = part->size };
	struct buf query = BUF_INIT;
	enum s3_outcome out = S3_FAILED;
	struct s3ans ans;

	if (s3put_hash_range(range.fd, range.offset, part->size, part->sha256, e) < 0)
		return e->code == ERR_INPUT ? S3_CHANGED : S3_FAILED;
	if (part->there && part->there_size == part->size && part->has_sha256 && part->etag[0] != '\0' &&
	    memcmp(part->there_sha256, part->sha256, 32) == 0)
		return S3_OK;
	hex_format(part->sha256, 32, hex);
	s3head_encode(part->sha256, base64);
	s3req_header(&rq, "x-amz-checksum-sha256", base64);
	buf_printf(&query, "partNumber=%zu&uploadId=", i + 1);
	sigv4_encode(&query, m->id, strlen(m->id), false);
	rq.query = buf_cstr(&query);
	if (buf_ok(&query, e) == 0)
		out = s3req_do(m->s, &rq, &ans, e);
	buf_finish(&query);
	if (out == S3_OK && ans.head.etag[0] == '\0') {
		err_set(e, ERR_INPUT, "%s/%s: the server stores a part but names no ETag", m->s->name, m->p->key);
		return S3_FAILED;
	}
	if (out == S3_OK)
		memcpy(part->etag, ans.head.etag, sizeof part->etag);
	return out == S3_FAILED && range.changed ? S3_CHANGED : out;
}

static void *
part_worker(void *arg)
{
	struct multi *m = arg;

	for (;;) {
		struct err e = ERR_INIT;
		enum s3_outcome out;
		size_t i;

		pthread_mutex_lock(&m->lock);
		i = m->outcome == S3_OK ? m->next++ : m->n;
		pthread_mutex_unlock(&m->lock);
		if (i >= m->n)
			return NULL;
		out = send_part(m, i, &e);
		pthread_mutex_lock(&m->lock);
		if (out == S3_OK) {
			m->done_bytes += m->part[i].size;
			if (m->p->on_bytes != NULL)
				m->p->on_bytes(m->p->ctx, m->done_bytes);
		} else if (m->outcome == S3_OK) {
			m->outcome = out;
			m->err = e;
		}
		pthread_mutex_unlock(&m->lock);
	}
}

static enum s3_outcome
send_parts(struct multi *m, struct err *e)
{
	pthread_t thread[S3_PARALLEL];
	unsigned want = m->s->o.parallel == 0 ? PARALLEL_PARTS : m->s->o.parallel, n = 0;

	if (want > S3_PARALLEL)
		want = S3_PARALLEL;
	m->next = 0;
	m->done_bytes = 0;
	m->outcome = S3_OK;
	while (n + 1 < want && n + 1 < m->n && pthread_create(&thread[n], NULL, part_worker, m) == 0)
		n++;
	(void)part_worker(m);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
	if (m->outcome != S3_OK)
		*e = m->err;
	return m->outcome;
}

/* ---- the end ---------------------------------------------------------------- */

static void
part_list(const struct multi *m, struct buf *out)
{
	char base64[S3HEAD_BASE64];

	buf_str(out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < m->n; i++) {
		s3head_encode(m->part[i].sha256, base64);
		buf_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		xml_escape(out, m->part[i].etag);
		buf_printf(out, "</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", base64);
	}
	buf_str(out, "</CompleteMultipartUpload>");
}

/* A 200 may carry an <Error>: the store began to answer before it was done. */
static enum s3_outcome
judge_complete(struct multi *m, const struct buf *text, struct s3ans *ans, struct err *e)
{
	char what[400];
	struct s3err_context c = { what, m->s->region, m->s->origin, NULL, clock_wall_us() };
	struct buf etag = BUF_INIT;
	enum s3_outcome out = S3_OK;

	s3req_what(m->s, "complete", m->p->key, what, sizeof what);
	s3err_parse(buf_cstr(text), text->len, &ans->error);
	if (ans->error.is_error) {
		ans->transient = s3err_transient(200, &ans->error);
		out = s3err_outcome(ans->status, &ans->error, &ans->head, &c, e);
		if (ans->transient)
			ans->lost = true;
	} else if (!element(text, "CompleteMultipartUploadResult", "ETag", &etag)) {
		ans->transient = ans->lost = true;
		err_set(e, ERR_UNAVAILABLE, "%s: the answer is cut off or not S3's", what);
		out = S3_UNAVAILABLE;
	} else if (etag.len < sizeof ans->head.etag) {
		memcpy(ans->head.etag, buf_cstr(&etag), etag.len + 1);
	}
	buf_finish(&etag);
	return out;
}

static enum s3_outcome
complete(struct multi *m, struct s3ans *ans, struct err *e)
{
	struct buf body = BUF_INIT, query = BUF_INIT, text = BUF_INIT;
	char hex[SIGV4_HEX];
	uint8_t digest[32];
	struct s3req rq = { .method = "POST", .key = m->p->key, .payload = hex };
	enum s3_outcome out = S3_FAILED;
	bool lost = false;

	part_list(m, &body);
	buf_str(&query, "uploadId=");
	sigv4_encode(&query, m->id, strlen(m->id), false);
	if (buf_ok(&body, e) < 0 || buf_ok(&query, e) < 0)
		goto out;
	sha256_bytes(body.p, body.len, digest);
	hex_format(digest, 32, hex);
	rq.body = body.p;
	rq.n_body = body.len;
	rq.query = buf_cstr(&query);
	s3req_header(&rq, "content-type", "application/xml");
	s3put_conditions(&rq, m->p);
	for (unsigned n = 1;; n++) {
		out = s3req_buf(m->s, &rq, &text, ans, e);
		if (out != S3_OK)
			break;
		out = judge_complete(m, &text, ans, e);
		lost = lost || ans->lost;
		if (out == S3_OK || s3req_wait(m->s, 0, n, ans, e) < 0)
			break;
	}
	ans->lost = ans->lost || lost;
out:
	buf_finish(&body);
	buf_finish(&query);
	buf_finish(&text);
	return out;
}

/* Is the object there with our bytes? After an answer that was lost, or another's upload of the same. */
static bool
stored_already(struct multi *m, const uint8_t sha256[32], struct s3_info *info)
{
	struct err ignored = ERR_INIT;

	return s3_head(m->s, m->p->key, info, &ignored) == S3_OK && info->has_sha256 &&
		info->size_bytes == m->p->size_bytes && memcmp(info->sha256, sha256, 32) == 0;
}

static int
plan(struct multi *m, struct err *e)
{
	uint64_t size = m->p->size_bytes, part = s3multi_part_bytes(size, m->s->o.part_bytes);

	m->n = (size_t)((size + part - 1) / part);
	if ((m->part = mem_calloc(m->n, sizeof *m->part, e)) == NULL)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		m->part[i].offset = i * part;
		m->part[i].size = size - i * part < part ? size - i * part : part;
	}
	return 0;
}

static enum s3_outcome
one_round(struct multi *m, const char *hex, bool look, struct s3ans *ans, struct err *e)
{
	enum s3_outcome out = S3_OK;

	if (look)
		out = find_upload(m, e);
	if (out == S3_OK && m->id == NULL)
		out = begin_upload(m, hex, e);
	if (out == S3_OK)
		out = send_parts(m, e);
	if (out == S3_OK)
		out = complete(m, ans, e);
	return out;
}

static void
forget(struct multi *m)
{
	free(m->id);
	m->id = NULL;
	for (size_t i = 0; i < m->n; i++)
		m->part[i].there = false;
}

enum s3_outcome
s3multi_put(struct s3 *s, const struct s3_put *p, const uint8_t sha256[32], struct s3_info *info, struct err *e)
{
	struct multi m = { .s = s, .p = p, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct err ignored = ERR_INIT;
	struct s3_info own, *to = info == NULL ? &own : info;
	enum s3_outcome out = S3_FAILED;
	char hex[SIGV4_HEX];
	struct s3ans ans = { .lost = false };

	hex_format(sha256, 32, hex);
	if (plan(&m, e) < 0)
		return S3_FAILED;
	for (unsigned round = 0; round < MAX_ROUNDS; round++) {
		out = one_round(&m, hex, p->resume && round == 0, &ans, e);
		/* The upload vanished: completed by a try whose answer was lost, or by another, or aborted. */
		if (out != S3_NOT_FOUND || strcmp(ans.error.code, "NoSuchBucket") == 0)
			break;
		if (stored_already(&m, sha256, to)) {
			to->uncertain = true;
			out = S3_OK;
			goto out;
		}
		if (m.id == NULL)
			break;
		forget(&m);
	}
	if (out == S3_OK) {
		s3req_info(&ans, to);
		to->size_bytes = p->size_bytes;
		to->has_sha256 = true;
		memcpy(to->sha256, sha256, 32);
	} else {
		s3req_info(&ans, to);
		if (m.id != NULL && (!p->resume || e->code == ERR_INTR || out == S3_PRECONDITION || out == S3_CHANGED))
			(void)s3multi_abort(s, p->key, m.id, true, &ignored);
	}
out:
	forget(&m);
	free(m.part);
	pthread_mutex_destroy(&m.lock);
	return out;
}
