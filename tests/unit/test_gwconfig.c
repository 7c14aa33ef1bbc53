#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "serve/chat.h"
#include "serve/config.h"
#include "serve/usage.h"

static const char *
env(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "KEY") == 0 ? "sk-secret" : NULL;
}

static struct config *
read_text(const char *text, bool remote)
{
	struct config_source src = { .name = "c.yaml", .env = env, .remote = remote };
	struct err e = ERR_INIT;
	struct config *c = config_read(text, strlen(text), &src, &e);

	cr_assert_not_null(c, "%s", e.msg);
	return c;
}

static const struct note *
note_of(const struct config *c, const char *key)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		if (strcmp(c->note[i].key, key) == 0)
			return &c->note[i];
	}
	return NULL;
}

static const char list[] =
	"model_list:\n"
	"  - model_name: big\n"
	"    litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, weight: 2, rpm: 10}\n"
	"    model_info: {id: one, max_input_tokens: 8000, capabilities: [vision]}\n"
	"  - model_name: big\n"
	"    litellm_params: {model: anthropic/claude, api_key: os.environ/MISSING}\n"
	"  - model_name: other\n"
	"    litellm_params: {model: bedrock/x, aws_region_name: eu, order: 2, extra_headers: {X-A: b}}\n";

Test(gwconfig, deployments_groups_and_variables)
{
	struct config *c = read_text(list, false);
	const struct deployment *d = c->deployment;

	cr_expect_eq(c->n_errors, 0);
	cr_assert_eq(c->n, 3);
	cr_expect_eq(c->n_groups, 2);
	cr_expect_str_eq(d[0].id, "one");
	cr_expect_str_eq(d[0].api_key, "sk-secret");
	cr_expect_str_eq(d[0].api_base, "https://api.openai.com/v1");
	cr_expect_str_eq(d[0].upstream_model, "gpt-4o");
	cr_expect_float_eq(d[0].weight, 2, 0);
	cr_expect_eq(d[0].context_tokens, 8000);
	cr_expect_str_eq(d[0].capabilities[0], "vision");
	cr_expect_null(d[1].api_key);
	cr_expect_str_eq(d[1].unset, "MISSING", "the deployment stays, but cannot be forwarded to");
	cr_expect_null(d[2].api_base, "a provider that is not known needs api_base");
	cr_expect_eq(d[2].order, 2);
	cr_expect_str_eq(d[2].headers[0], "X-A: b");
	cr_expect_eq(strlen(d[2].id), 16);
	cr_assert_not_null(note_of(c, "model_list.litellm_params.aws_region_name"));
	cr_expect_eq(note_of(c, "model_list.litellm_params.aws_region_name")->line, 8);
	config_free(c);
}

Test(gwconfig, what_is_unused_is_named_and_what_is_needed_is_missed)
{
	char text[2000];
	struct config *c;

	(void)snprintf(text, sizeof text, "%s%s", list,
		"litellm_settings: {cache: true, num_retries: 7}\n"
		"general_settings: {master_key: os.environ/NONE}\n"
		"router_settings:\n  routing_strategy: clever\n  surprise: 1\n  num_retries: 4\n"
		"  fallbacks: [{big: [other]}]\n  default_fallbacks: [other]\n  model_group_alias: {gpt: big}\n"
		"mcp_servers: {a: 1}\n");
	c = read_text(text, false);
	cr_expect_eq(c->n_errors, 2);
	cr_expect_eq(note_of(c, "general_settings.master_key")->level, NOTE_ERROR);
	cr_expect_eq(note_of(c, "router_settings.routing_strategy")->level, NOTE_ERROR);
	cr_expect_eq(note_of(c, "router_settings.surprise")->level, NOTE_UNUSED);
	cr_expect_str_eq(note_of(c, "litellm_settings.cache")->text, "answers are not cached");
	cr_expect_not_null(note_of(c, "mcp_servers"));
	cr_expect_eq(c->router.num_retries, 4, "router_settings counts before litellm_settings");
	cr_expect_str_eq(config_group(c, "gpt"), "big");
	cr_expect_null(config_group(c, "nope"));
	cr_expect_str_eq(config_fallback(&c->router.fallbacks, "big")->to[0], "other");
	cr_expect_str_eq(config_fallback(&c->router.fallbacks, "x")->group, "*");
	config_free(c);
}

Test(gwconfig, a_remote_config_decides_no_trust_and_reads_no_variable)
{
	char text[2000];
	struct config *c;

	(void)snprintf(text, sizeof text, "%s%s", list,
		"general_settings: {master_key: mine, require_signature: false, metrics_auth: true}\n");
	c = read_text(text, true);
	cr_expect_null(c->general.master_key);
	cr_expect(c->general.metrics_auth);
	cr_expect_null(c->deployment[0].api_key, "KEY is not on the list of variables that it may name");
	cr_expect_not_null(note_of(c, "general_settings.master_key"));
	config_free(c);
}

Test(gwconfig, forwarded_bodies_name_the_model_and_lose_our_keys)
{
	const struct { const char *in, *out; } cases[] = {
		{ "{\"model\":\"big\",\"messages\":[1]}", "{\"model\":\"m\",\"messages\":[1]}" },
		{ "{ \"max_cost\" : 1, \"messages\" : [ {\"a\": \"\\u00e9\"} ] , \"model\" : \"big\" , \"x\":1.50 }",
		  "{\"messages\":[ {\"a\": \"\\u00e9\"} ],\"model\":\"m\",\"x\":1.50}" },
		{ "{\"messages\":[]}", "{\"messages\":[],\"model\":\"m\"}" },
		{ "{\"capabilities\":[\"a\"]}", "{\"model\":\"m\"}" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf b = BUF_INIT;

		cr_assert(chat_rewrite(cases[i].in, strlen(cases[i].in), "m", &b));
		cr_expect_str_eq(buf_cstr(&b), cases[i].out);
		buf_finish(&b);
	}
}

Test(gwconfig, usage_is_found_however_a_stream_is_cut)
{
	static const char text[] = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n: comment\n"
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5,\"total_tokens\":17}}\n\n"
		"data: [DONE]\n\n";

	for (size_t step = 1; step < sizeof text; step += 7) {
		struct usage u;

		usage_init(&u, true);
		for (size_t i = 0; i < sizeof text - 1; i += step)
			usage_feed(&u, text + i, sizeof text - 1 - i < step ? sizeof text - 1 - i : step);
		cr_expect_float_eq(u.prompt_tokens, 12, 0);
		cr_expect_float_eq(u.completion_tokens, 5, 0);
		cr_expect_float_eq(u.total_tokens, 17, 0);
		cr_expect_eq(u.events, 3);
		cr_expect(u.done);
		usage_finish(&u);
	}
}
