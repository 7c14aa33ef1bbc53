/* doctor - does this machine have what llmr leans on? Looks, changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/io.h"
#include "cmd.h"
#include "fmt/jsonw.h"
#include "math/mat.h"
#include "net/http.h"
#include "opt.h"
#include "common/blas.h"
#include "common/gatewaycheck.h"
#include "common/settings.h"

enum verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	struct ctx *c;
	struct buf json;
	struct jsonw w;
	enum verdict worst;
	enum err_code code;	/* of the first failure */
};

static void
result(struct doctor *d, const char *what, enum verdict v, const char *detail)
{
	static const char *const names[] = { "ok", "warn", "FAIL" };

	if (v > d->worst)
		d->worst = v;
	if (!d->c->json) {
		out_printf("%-5s %-10s %s\n", names[v], what, detail);
		return;
	}
	jsonw_object(&d->w);
	jsonw_kstr(&d->w, "check", what);
	jsonw_kstr(&d->w, "result", v == DOCTOR_OK ? "ok" : v == DOCTOR_WARN ? "warn" : "fail");
	jsonw_kstr(&d->w, "detail", detail);
	jsonw_end_object(&d->w);
}

static void
failed(struct doctor *d, const char *what, enum verdict v, const struct err *e)
{
	if (v == DOCTOR_FAIL && d->code == ERR_NONE)
		d->code = e->code;
	result(d, what, v, e->msg);
}

static void
check_cpu(struct doctor *d)
{
	char features[256], text[300];

	cpu_features(features, sizeof features);
	(void)snprintf(text, sizeof text, "%u cores granted; %s", pool_cores(), features);
	result(d, "cpu", DOCTOR_OK, text);
}

static void
check_blas(struct doctor *d)
{
	struct err e = ERR_INIT;
	char text[400], choice[128];

	blas_choice(choice, sizeof choice);
	if (mat_open(&e) < 0) {
		failed(d, "blas", DOCTOR_WARN, &e);
		return;
	}
	(void)snprintf(text, sizeof text, "%s, kernel %s; asked for: %s", mat_version(), mat_core(),
		choice);
	result(d, "blas", DOCTOR_OK, text);
}

static void
check_network(struct doctor *d)
{
	const struct http_opts opts = {
		.ca_file = opt_str(d->c, "ca-file"), .ca_only = opt_flag(d->c, "ca-only"),
		.connect_timeout = 5, .stall_timeout = 5, .total_timeout = 10, .cancel = d->c->cancel
	};
	struct err e = ERR_INIT;
	struct http *h = http_new(&opts, &e);

	if (h == NULL) {
		failed(d, "libcurl", opt_count(d->c, "url") > 0 ? DOCTOR_FAIL : DOCTOR_WARN, &e);
		return;
	}
	result(d, "libcurl", DOCTOR_OK, http_version(h));
	for (size_t i = 0; i < opt_count(d->c, "url"); i++) {
		const struct http_request q = { .url = opt_nth(d->c, "url", i) };
		struct http_response r;
		char text[256];

		e = (struct err)ERR_INIT;
		if (http_do(h, &q, &r, &e) < 0) {
			failed(d, "reach", DOCTOR_FAIL, &e);
			continue;
		}
		(void)snprintf(text, sizeof text, "%.160s answers with status %ld", q.url, r.status);
		result(d, "reach", r.status < 500 ? DOCTOR_OK : DOCTOR_WARN, text);
	}
	http_free(h);
}

static void
check_settings(struct doctor *d)
{
	struct settings *s = NULL;
	struct err e = ERR_INIT;

	/* A bad file was refused before this command began: here it is whole or absent. */
	if (settings_open(opt_lookup(d->c->opts, "settings"), "doctor", &s, &e) < 0)
		failed(d, "settings", DOCTOR_FAIL, &e);
	else
		result(d, "settings", DOCTOR_OK, s == NULL ? "no file, defaults" : settings_path(s));
	settings_free(s);
}

static void
check_tmpdir(struct doctor *d)
{
	const char *dir = getenv("TMPDIR");
	struct err e = ERR_INIT;
	int fd = io_tmpfile(&e);

	if (fd < 0) {
		failed(d, "tmpdir", DOCTOR_FAIL, &e);
		return;
	}
	(void)close(fd);
	result(d, "tmpdir", DOCTOR_OK, dir != NULL && dir[0] != '\0' ? dir : "/tmp");
}

static void
gateway_result(void *ctx, const char *what, enum check_result r, enum err_code code, const char *detail)
{
	static const enum verdict as[] = { [CHECK_OK] = DOCTOR_OK, [CHECK_WARN] = DOCTOR_WARN, [CHECK_FAIL] = DOCTOR_FAIL };
	struct doctor *d = ctx;

	if (r == CHECK_FAIL && d->code == ERR_NONE)
		d->code = code;
	result(d, what, as[r], detail);
}

/* Certificates that every connection would trust. */
static void
check_ca(struct doctor *d)
{
	const char *path = opt_str(d->c, "ca-file");
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	if (path == NULL)
		return;
	if (io_read_file(path, (size_t)16 << 20, &b, &e) < 0)
		failed(d, "ca", DOCTOR_FAIL, &e);
	else if (strstr(buf_cstr(&b), "-----BEGIN CERTIFICATE-----") == NULL) {
		(void)err_set(&e, ERR_CONFIG, "%s: no certificate in PEM", path);
		failed(d, "ca", DOCTOR_FAIL, &e);
	} else
		result(d, "ca", DOCTOR_OK, path);
	buf_finish(&b);
}

int
cmd_doctor(struct ctx *c)
{
	struct doctor d = { .c = c, .json = BUF_INIT };

	jsonw_init(&d.w, &d.json);
	jsonw_array(&d.w);
	check_cpu(&d);
	check_blas(&d);
	check_settings(&d);
	check_tmpdir(&d);
	check_ca(&d);
	if (opt_str(c, "config") != NULL)
		gatewaycheck(opt_str(c, "config"), gateway_result, &d);
	check_network(&d);
	jsonw_end_array(&d.w);
	if (c->json) {
		buf_byte(&d.json, '\n');
		out_write(d.json.p, d.json.len);
	}
	buf_finish(&d.json);
	if (d.worst == DOCTOR_FAIL)
		return err_set(&c->err, d.code, "a check failed");
	return 0;
}
