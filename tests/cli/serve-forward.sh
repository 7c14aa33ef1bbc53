#!/bin/sh
# serve: forwarding to upstreams that refuse, stall, cut, drip and answer with errors.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/cli/serve-lib.sh"
TOOLS=${TOOLS:-$SRC/build}

"$TOOLS/upstream" up.log >up.port &
up=$!
trap '[ -n "$pid" ] && kill $pid 2>/dev/null; kill $up 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
while [ ! -s up.port ]; do sleep 0.02; done
U="http://127.0.0.1:$(cat up.port)/v1"
# deployment GROUP MODEL [MORE]
deployment() { echo "  - {model_name: $1, litellm_params: {model: openai/$2, api_key: sk-$1, api_base: \"$U\"${3:+, $3}}}"; }
{
	echo 'model_list:'
	for m in ok long html garbage context stall cut drip late status-500 status-400 retry-1 fail-2-one; do deployment $m $m; done
	deployment mixed status-500 'order: 1'; deployment mixed ok 'order: 2'
	deployment coded status-503; deployment coded ok
	deployment cutstream cut
	deployment quick stall 'timeout: 0.3'
	deployment quickstream stall 'stream_timeout: 0.3'
	deployment small context
	deployment limited ok 'rpm: 2'
	echo "  - {model_name: tiny, litellm_params: {model: openai/ok, api_key: k, api_base: \"$U\"}, model_info: {max_input_tokens: 5}}"
	echo '  - {model_name: closed, litellm_params: {model: openai/x, api_key: k, api_base: "http://127.0.0.1:9/v1"}}'
	echo '  - {model_name: nobase, litellm_params: {model: bedrock/x}}'
	cat <<-Y
	general_settings: {master_key: sk-test}
	router_settings:
	  num_retries: 2
	  timeout: 5
	  cooldown_time: 1
	  enable_pre_call_checks: true
	  model_group_alias: {gpt: ok}
	  fallbacks: [{closed: [html, ok]}, {status-500: [ok]}]
	  context_window_fallbacks: [{small: [ok]}]
	Y
} >gw.yaml
start || { fail "it starts" "$(cat serve.log)"; exit 1; }
pass "it starts"
# chat MODEL [MORE JSON]: body to out, header to head
chat() { ask /v1/chat/completions -D head -d "{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"a question that is longer than five tokens\"}]${2:+,$2}}"; }
calls() { grep -c "^$1 " up.log; }
header() { match head "^$1: $2" "$3"; }

chat ok; code 200 "an answer"
match out 'hello from ok' "is the upstream's"
header x-llmr-model ok "with the group"; header x-litellm-model-group ok "in LiteLLM's terms too"
header x-litellm-attempted-retries 0 "without a retry"
match up.log '^ok Bearer sk-ok$' "the deployment's key is sent, not the client's"
chat gpt; match out 'hello from ok' "an alias"
chat ok '"stream":true'; code 200 "a stream"
equal "$(grep -c '^data: ' out)" 7 "whole"
header Content-Type 'text/event-stream' "as events"
chat ok '"api_base":"http://evil"'; code 400 "no address from a request"
chat mixed; code 200 "another deployment of a group answers for one that failed"
header x-litellm-attempted-retries 1 "after one retry"
chat closed; code 200 "a fallback group, by way of one that answers HTML"
header x-litellm-attempted-fallbacks 2 "two hops"
chat status-500; code 200 "a fallback for errors"
chat small; code 200 "a fallback for a context that is too small"
header x-litellm-attempted-fallbacks 1 "one hop"
chat status-400; code 400 "what the client did wrong is passed on"
equal "$(calls status-400)" 1 "and not tried again"
# These wait between their attempts: all at once. later MODEL [MORE JSON], then the files of took MODEL
later() {
	curl -s -o "out.$1" -D "head.$1" -w '%{http_code}' --max-time 20 --unix-socket gw.sock -H "$key" \
		-d "{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]${2:+,$2}}" http://gw/v1/chat/completions >"code.$1" &
	clients="$clients $!"
}
took() { cp "code.$1" code; cp "out.$1" out; cp "head.$1" head; }
clients=
for m in html garbage cut quick drip fail-2-one retry-1; do later $m; done
later quickstream '"stream":true'
later cutstream '"stream":true'
wait $clients
took fail-2-one; code 200 "two failures, then an answer"
header x-litellm-attempted-retries 2 "told as retries"
took html; code 502 "an error page is an error"; match out '"error":\{"message"' "and becomes OpenAI's"
took garbage; code 502 "half a JSON text is an error"
took cut; code 502 "a cut answer is an error, after retries"
took quick; code 504 "a stalled upstream times out"
took quickstream; code 504 "before its stream begins too"
took drip; code 200 "a dripping answer arrives"
took retry-1; code 429 "429 is passed on after retries"
header Retry-After 1 "with Retry-After"
took cutstream; equal "$(grep -c DONE out)" 0 "a stream that was cut does not end as if it were whole"
chat nobase; code 503 "no address, no forwarding" ; match out 'give api_base' "and says what is missing"
chat tiny; match out 'context window' "a prompt that is too long is not sent"

# --- a client that hangs up ---
curl -s -N --max-time 0.4 --unix-socket gw.sock -H "$key" -d '{"model":"long","stream":true,"messages":[{"role":"user","content":"x"}]}' http://gw/v1/chat/completions >/dev/null
for i in $(seq 40); do grep -q '^gone long' up.log && break; sleep 0.05; done
match up.log '^gone long' "a client that hangs up cancels the upstream"

# --- drain under load ---
clients=
for i in $(seq 20); do
	curl -s -N --max-time 10 --unix-socket gw.sock -H "$key" -d '{"model":"long","stream":true,"messages":[{"role":"user","content":"x"}]}' http://gw/v1/chat/completions >stream.$i &
	clients="$clients $!"
done
for i in $(seq 100); do [ "$(calls long)" -ge 21 ] && break; sleep 0.05; done
kill "$pid"
sleep 0.2
curl -s --max-time 2 --unix-socket gw.sock http://gw/_health/ready >/dev/null 2>&1 && fail "no more connections while it drains" || pass "no more connections while it drains"
wait "$pid"
equal $? 0 "it ends well"
pid=
# shellcheck disable=SC2086
wait $clients
equal "$(grep -l 'DONE' stream.* | wc -l)" 20 "none of 20 streams was cut"
