#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fmt/xml.h"
#include "net/awsconf.h"
#include "net/awscred.h"
#include "net/s3.h"
#include "net/s3err.h"
#include "net/s3head.h"
#include "net/s3list.h"
#include "net/s3multi.h"

static const char *const variables[] = { "AWS_ACCESS_KEY_ID", "key", "AWS_SECRET_ACCESS_KEY", "secret", NULL };

static const char *
lookup(void *ctx, const char *name)
{
	(void)ctx;
	for (size_t i = 0; variables[i] != NULL; i += 2) {
		if (strcmp(variables[i], name) == 0)
			return variables[i + 1];
	}
	return NULL;
}

/* ---- xml ---------------------------------------------------------------- */

Test(xml, what_is_not_xml_is_refused)
{
	static const struct { const char *text; bool well; } cases[] = {
		{ "<a/>", true }, { " <?x y?><!-- c --> <a b='1' c=\"2\"><n:b>t</n:b></a> <!-- d -->", true },
		{ "<a><![CDATA[<]]></a>", true }, { "<a>&lt;&#65;&#x41;</a>", true }, { "\xef\xbb\xbf<a/>", true },
		{ "", false }, { "text", false }, { "<a>", false }, { "<a></b>", false }, { "</a>", false },
		{ "<a/><b/>", false }, { "<a/>text", false }, { "<!DOCTYPE a><a/>", false }, { "<a b></a>", false },
		{ "<a b=c/>", false }, { "<a", false }, { "<>", false }, { "<a><!-- </a>", false },
		{ "<a b='<'/>", false }, { "<a>text", false }, { "<?x", false }, { "<a></a", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct slice s;
		struct xml x;
		enum xml_event ev;

		xml_init(&x, cases[i].text, strlen(cases[i].text));
		while ((ev = xml_next(&x, &s)) != XML_END_OF_TEXT && ev != XML_ERROR)
			;
		cr_expect_eq(ev == XML_END_OF_TEXT, cases[i].well, "case '%s'", cases[i].text);
	}
}

Test(xml, references_are_decoded_or_refused)
{
	static const struct { const char *raw, *text; } cases[] = {
		{ "a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'" }, { "&#233;&#x1F600;", "\xc3\xa9\xf0\x9f\x98\x80" },
		{ "&nbsp;", NULL }, { "&#0;", NULL }, { "&#xd800;", NULL }, { "&#x110000;", NULL }, { "&", NULL },
		{ "&;", NULL }, { "&#;", NULL }, { "&#x;", NULL }, { "&#99999999999;", NULL }, { "&#12a;", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = BUF_INIT;
		bool ok = xml_decode(slice_str(cases[i].raw), &b);

		cr_expect_eq(ok, cases[i].text != NULL, "case '%s'", cases[i].raw);
		if (ok)
			cr_expect_str_eq(buf_cstr(&b), cases[i].text, "case '%s'", cases[i].raw);
		buf_finish(&b);
	}
}

Test(xml, depth_is_limited)
{
	struct buf b = BUF_INIT;
	struct slice s;
	struct xml x;
	enum xml_event ev;

	for (int i = 0; i < XML_MAX_DEPTH + 1; i++)
		buf_str(&b, "<a>");
	xml_init(&x, b.p, b.len);
	while ((ev = xml_next(&x, &s)) == XML_START)
		;
	cr_expect_eq(ev, XML_ERROR);
	cr_expect_str_eq(x.why, "nested too deep");
	buf_finish(&b);
}

/* ---- headers ---------------------------------------------------------------- */

static struct s3head
head(const char *line)
{
	struct s3head h = { .total = UINT64_MAX };

	s3head_line(&h, line, strlen(line));
	return h;
}

Test(s3head, only_what_is_well_formed_counts)
{
	cr_expect_str_eq(head("ETag: \"a-2\"").etag, "\"a-2\"");
	cr_expect_str_eq(head("etag: W/\"a\"").etag, "");
	cr_expect_str_eq(head("etag: a").etag, "");
	cr_expect_eq(head("Date: Sun, 06 Nov 1994 08:49:37 GMT").date_s, 784111777);
	cr_expect_eq(head("Date: yesterday").date_s, 0);
	cr_expect(head("Content-Range: bytes 0-9/10").has_range);
	cr_expect_eq(head("Content-Range: bytes 5-9/*").total, UINT64_MAX);
	cr_expect_not(head("Content-Range: bytes 9-5/10").has_range);
	cr_expect_not(head("Content-Range: bytes 0-10/10").has_range);
	cr_expect_not(head("Content-Range: bytes 0-9/99999999999999999999").has_range);
	cr_expect_not(head("Content-Range: bytes */10").has_range);
	cr_expect_not(head("Content-Length: 10x").has_length);
	cr_expect_not(head("Content-Length:").has_length);
	cr_expect_eq(head("content-length: 18446744073709551609").length, 18446744073709551609u);
	cr_expect_not(head("x-amz-checksum-sha256: 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-6").has_checksum);
	cr_expect(head("x-amz-checksum-sha256: 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").has_checksum);
}

Test(s3head, base64_there_and_back)
{
	uint8_t in[32], out[32];
	char text[S3HEAD_BASE64];

	for (unsigned i = 0; i < 32; i++)
		in[i] = (uint8_t)(i * 37 + 200);
	s3head_encode(in, text);
	cr_expect(s3head_decode(text, strlen(text), out));
	cr_expect_arr_eq(in, out, 32);
	text[42] = 'B';	/* bits behind the end that must be zero */
	cr_expect_not(s3head_decode(text, strlen(text), out));
	text[42] = '*';
	cr_expect_not(s3head_decode(text, strlen(text), out));
}

/* ---- lists ---------------------------------------------------------------- */

static int
take_key(void *ctx, const struct s3_entry *en, struct err *e)
{
	(void)e;
	buf_printf(ctx, "[%s]", en->key);
	return 0;
}

Test(s3list, keys_are_relative_and_decoded_only_where_the_store_says_so)
{
	static const struct { const char *text, *keys; } cases[] = {
		{ "<ListBucketResult><Contents><Key>p/a%20b+c</Key></Contents></ListBucketResult>", "[a%20b+c]" },
		{ "<ListBucketResult><Contents><Key>p/a%20b+c%2B</Key></Contents><EncodingType>url</EncodingType>"
			"</ListBucketResult>", "[a b c+]" },
		{ "<ListBucketResult><Contents><Key>q/a</Key></Contents></ListBucketResult>", NULL },
		{ "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p/%0</Key></Contents>"
			"</ListBucketResult>", NULL },
		{ "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p/%00</Key></Contents>"
			"</ListBucketResult>", NULL },
		{ "<ListBucketResult><Contents><Key>p/a</Key><Size>-1</Size></Contents></ListBucketResult>", NULL },
		{ "<ListAllMyBucketsResult/>", NULL }, { "<html></html>", NULL }, { "", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf keys = BUF_INIT;
		struct s3list_page g = { .prefix = "p/", .on_entry = take_key, .ctx = &keys, .next = BUF_INIT,
			.next_id = BUF_INIT };
		struct err e = ERR_INIT;
		int r = s3list_parse(&g, cases[i].text, strlen(cases[i].text), &e);

		cr_expect_eq(r == 0, cases[i].keys != NULL, "case %zu: %s", i, e.msg);
		if (r == 0)
			cr_expect_str_eq(buf_cstr(&keys), cases[i].keys, "case %zu", i);
		else
			cr_expect_eq(e.code, ERR_INPUT, "case %zu", i);
		buf_finish(&keys);
		buf_finish(&g.next);
		buf_finish(&g.next_id);
	}
}

/* ---- parts, addresses, credentials ------------------------------------------------------- */

Test(s3, parts_are_whole_mebibytes_and_at_most_9000)
{
	const uint64_t least = S3_PART_MIN, mib = 1 << 20;

	cr_expect_eq(s3multi_part_bytes(1, least), least);
	cr_expect_eq(s3multi_part_bytes(9000 * least - 1, least), least);
	for (uint64_t size = mib; size < (uint64_t)5 << 40; size = size * 3 + 1) {
		uint64_t part = s3multi_part_bytes(size, least);

		cr_expect((size + part - 1) / part <= 9000);
		cr_expect_eq(part % mib, 0);
	}
}

static void
opens(const char *url, const char *endpoint, enum s3_style style, const char *want)
{
	struct awsconf_opts co = { .lookup = lookup, .endpoint = endpoint, .region = "eu-west-1" };
	struct s3_opts so = { .style = style };
	struct err e = ERR_INIT;
	struct awsconf *c = awsconf_open(&co, &e);
	struct s3 *s = s3_open(url, &so, c, &e);
	char *signed_url = s == NULL ? NULL : s3_presign(s, "GET", "k", 60, &e);

	if (want == NULL)
		cr_expect_null(s, "'%s'", url);
	else
		cr_expect(signed_url != NULL && strncmp(signed_url, want, strlen(want)) == 0, "'%s': %s, %s", url,
			signed_url == NULL ? "-" : signed_url, e.msg);
	free(signed_url);
	s3_free(s);
	awsconf_free(c);
}

Test(s3, a_bucket_is_in_the_path_or_in_front_of_the_host)
{
	opens("s3://bkt/p", NULL, S3_STYLE_AUTO, "https://bkt.s3.eu-west-1.amazonaws.com/p/k?");
	opens("s3://b.k.t/p/", NULL, S3_STYLE_AUTO, "https://s3.eu-west-1.amazonaws.com/b.k.t/p/k?");
	opens("s3://bkt", "http://host:9000/", S3_STYLE_AUTO, "http://host:9000/bkt/k?");
	opens("s3://bkt", "http://host:9000", S3_STYLE_VIRTUAL, "http://bkt.host:9000/k?");
	opens("s3://bkt", "https://host:443/base", S3_STYLE_AUTO, "https://host/base/bkt/k?");
	opens("s3://bkt", "https://storage.googleapis.com", S3_STYLE_AUTO, "https://bkt.storage.googleapis.com/k?");
	opens("s3://bkt/a b", "http://h", S3_STYLE_PATH, "http://h/bkt/a%20b/k?");
	opens("s3://", "http://h", S3_STYLE_AUTO, NULL);
	opens("s3://b?/x", "http://h", S3_STYLE_AUTO, NULL);
	opens("http://h/b", "http://h", S3_STYLE_AUTO, NULL);
	opens("s3://bkt", "ftp://h", S3_STYLE_AUTO, NULL);
	opens("s3://bkt", "http://h/?x", S3_STYLE_AUTO, NULL);
	opens("s3://bkt", "http://user:pw@h", S3_STYLE_AUTO, NULL);
}

Test(awsconf, a_file_is_read_as_aws_reads_it)
{
	static const char text[] = "[default]\nregion = a\n# [other]\n[ profile\tother ]\r\nregion=b # c\r\n"
		"s3 =\n  region = nested\nempty =\nhash = a#b\n[default]\nregion = last\n";
	static const struct { const char *section, *key, *value; } cases[] = {
		{ "default", "region", "last" }, { "profile other", "region", "b" }, { "profile other", "empty", "" },
		{ "profile other", "hash", "a#b" }, { "other", "region", NULL }, { "default", "hash", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct slice v;
		bool found = awsconf_lookup(text, sizeof text - 1, cases[i].section, cases[i].key, &v);

		cr_expect_eq(found, cases[i].value != NULL, "case %zu", i);
		if (found)
			cr_expect(slice_is(v, cases[i].value), "case %zu: %.*s", i, (int)v.n, v.p);
	}
}

Test(awscred, only_a_whole_document_gives_credentials)
{
	static const struct { const char *text; bool process, ok; } cases[] = {
		{ "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}", true, true },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"2026-01-01T00:00:00Z\"}",
			false, true },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}", true, false },
		{ "{\"Version\":2,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}", true, false },
		{ "{\"AccessKeyId\":\"a\"}", false, false }, { "{\"AccessKeyId\":\"a\\n\",\"SecretAccessKey\":\"s\"}", false, false },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}", false, false },
		{ "{\"Code\":\"Failed\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}", false, false },
		{ "{", false, false }, { "", false, false }, { "[]", false, false }, { "null", false, false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct aws_credentials c;
		struct err e = ERR_INIT;

		cr_expect_eq(awscred_parse(cases[i].text, strlen(cases[i].text), cases[i].process, &c, &e) == 0, cases[i].ok,
			"case %zu: %s", i, e.msg);
	}
}

Test(awscred, credentials_come_by_tls_or_from_this_machine)
{
	static const struct { const char *url; bool ok; } cases[] = {
		{ "https://any.test/x", true }, { "http://127.0.0.1:80/x", true }, { "http://localhost", true },
		{ "http://169.254.170.2/v2", true }, { "http://[::1]:8/x", true }, { "http://[fd00:ec2::23]/x", true },
		{ "http://10.0.0.1/x", false }, { "http://localhost.evil.test/", false }, { "http://127.0.0.1.x/", false },
		{ "ftp://localhost", false }, { "", false }, { "http://", false }, { "http://localhost@evil/", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(awscred_url_ok(cases[i].url), cases[i].ok, "case '%s'", cases[i].url);
}
