#include "serve/configkeys.h"

#include <string.h>

#define BEDROCK "Bedrock is not spoken; give an api_base that speaks OpenAI's API"

const struct config_key config_keys[] = {
	{ "general_settings.alerting", "alerts go to the log and to alert_webhook alone" },
	{ "general_settings.alerting_threshold", "alerts go to the log and to alert_webhook alone" },
	{ "general_settings.allow_requests_on_db_unavailable", "no database is used" },
	{ "general_settings.background_health_checks", "deployments are judged by their answers" },
	{ "general_settings.database_connection_pool_limit", "no database is used" },
	{ "general_settings.database_url", "no database is used" },
	{ "general_settings.enable_telemetry", "nothing is sent to anybody but OTEL_EXPORTER_OTLP_ENDPOINT" },
	{ "general_settings.health_check_interval", "deployments are judged by their answers" },
	{ "general_settings.proxy_batch_write_at", "no database is used" },
	{ "general_settings.store_model_in_db", "models come from model_list alone" },
	{ "general_settings.ui_access_mode", "the page at /ui asks for the master key" },
	{ "guardrails", "answers and prompts are not filtered" },
	{ "litellm_settings.cache", "answers are not cached" },
	{ "litellm_settings.cache_params", "answers are not cached" },
	{ "litellm_settings.callbacks", "spans go to OTEL_EXPORTER_OTLP_ENDPOINT alone" },
	{ "litellm_settings.drop_params", "parameters are passed on as they came" },
	{ "litellm_settings.failure_callback", "spans go to OTEL_EXPORTER_OTLP_ENDPOINT alone" },
	{ "litellm_settings.json_logs", "logs are JSON with --log json" },
	{ "litellm_settings.max_budget", "budgets are not kept" },
	{ "litellm_settings.budget_duration", "budgets are not kept" },
	{ "litellm_settings.modify_params", "parameters are passed on as they came" },
	{ "litellm_settings.set_verbose", "LITELLM_LOG=DEBUG makes the log verbose" },
	{ "litellm_settings.success_callback", "spans go to OTEL_EXPORTER_OTLP_ENDPOINT alone" },
	{ "litellm_settings.telemetry", "nothing is sent to anybody but OTEL_EXPORTER_OTLP_ENDPOINT" },
	{ "a2a_agents", "agents are not served" },
	{ "agent_list", "agents are not served" },
	{ "mcp_servers", "MCP servers are not reached" },
	{ "mcp_tools", "MCP servers are not reached" },
	{ "skills", "skills are passed on to the model's own API, not kept here" },
	{ "vector_store_registry", "vector stores are not searched" },
	{ "router_settings.cache_responses", "answers are not cached" },
	{ "router_settings.caching_groups", "answers are not cached" },
	{ "router_settings.client_ttl", "connections are kept by the transfer library" },
	{ "router_settings.debug_level", "LITELLM_LOG=DEBUG makes the log verbose" },
	{ "router_settings.redis_host", "state is kept in this process" },
	{ "router_settings.redis_password", "state is kept in this process" },
	{ "router_settings.redis_port", "state is kept in this process" },
	{ "router_settings.redis_url", "state is kept in this process" },
	{ "router_settings.set_verbose", "LITELLM_LOG=DEBUG makes the log verbose" },
	{ "model_list.litellm_params.aws_access_key_id", BEDROCK },
	{ "model_list.litellm_params.aws_region_name", BEDROCK },
	{ "model_list.litellm_params.aws_secret_access_key", BEDROCK },
	{ "model_list.litellm_params.api_version", "Azure's API is not spoken; give an api_base that speaks OpenAI's API" },
	{ "model_list.litellm_params.drop_params", "parameters are passed on as they came" },
	{ "model_list.litellm_params.mock_response", "answers are not made up" },
	{ "model_list.model_info.base_model", "costs come from input_cost_per_token and output_cost_per_token" },
	{ "model_list.model_info.description", "for people" },
	{ "model_list.model_info.mode", "chat is served, nothing else" },
	{ NULL, NULL }
};

const char *
config_key_means(const char *path)
{
	for (const struct config_key *k = config_keys; k->path != NULL; k++) {
		size_t n = strlen(k->path);

		if (strncmp(path, k->path, n) == 0 && (path[n] == '\0' || path[n] == '.'))
			return k->means;
	}
	return NULL;
}

bool
config_key_is_secret(const char *key)
{
	static const char *const secret[] = { "key", "password", "secret", "token", "headers", "webhook" };

	for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
		if (strstr(key, secret[i]) != NULL)
			return strcmp(key, "public_key") != 0 && strcmp(key, "model_s3_key") != 0;
	}
	return false;
}

const char *
config_provider_base(const char *provider)
{
	if (strcmp(provider, "openai") == 0)
		return "https://api.openai.com/v1";
	if (strcmp(provider, "anthropic") == 0)
		return "https://api.anthropic.com/v1";
	return NULL;
}
