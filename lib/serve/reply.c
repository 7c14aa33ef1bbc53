#include "serve/reply.h"

#include <stdio.h>
#include <string.h>

#include "fmt/jsonw.h"

void
reply_json(struct exchange *x, unsigned status, struct buf *b)
{
	if (b->failed)
		exchange_reply(x, 500, NULL, NULL, 0);
	else
		exchange_reply(x, status, "application/json", b->p, b->len);
	buf_finish(b);
}

void
reply_text(struct exchange *x, unsigned status, const char *text)
{
	exchange_reply(x, status, "text/plain; charset=utf-8", text, strlen(text));
}

static const char *
type_of(unsigned status)
{
	switch (status) {
	case 401:
	case 403:
		return "auth_error";
	case 408:
	case 504:
		return "timeout_error";
	case 429:
		return "throttling_error";
	default:
		return status < 500 ? "invalid_request_error" : status == 503 ? "service_unavailable_error"
			: "internal_server_error";
	}
}

void
reply_error(struct exchange *x, unsigned status, const char *type, const char *param, const char *message)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char code[16];

	(void)snprintf(code, sizeof code, "%u", status);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key(&w, "error");
	jsonw_object(&w);
	jsonw_kstr(&w, "message", message);
	jsonw_kstr(&w, "type", type == NULL ? type_of(status) : type);
	jsonw_kstr(&w, "param", param);
	jsonw_kstr(&w, "code", code);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	reply_json(x, status, &b);
}

unsigned
reply_status(const struct err *e)
{
	switch (e->code) {
	case ERR_INPUT:
	case ERR_USAGE:
		return 400;
	case ERR_NOINPUT:
		return 404;
	case ERR_NOPERM:
		return 403;
	case ERR_NO:
	case ERR_TEMPFAIL:
	case ERR_UNAVAILABLE:
		return 503;
	default:
		return 500;
	}
}
