#!/bin/sh
# serve: what can be seen of it: logs, metrics, the page, readiness, and what doctor says of its config.
. "$(dirname "$0")/lib.sh"

umask 077
cat >gw.yaml <<'Y'
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_key: sk-upstream-secret, api_base: "http://127.0.0.1:9/v1"}
  - model_name: large
    litellm_params: {model: openai/large, api_key: none, api_base: "http://127.0.0.1:9/v1"}
general_settings: {master_key: sk-test-0123456789}
router_settings: {num_retries: 0}
Y
unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH LISTEN_FDS LISTEN_PID LITELLM_LOG LLMR_LOG
for v in $(env | sed -n 's/^\(OTEL_[A-Z_]*\)=.*/\1/p'); do unset "$v"; done
key='Authorization: Bearer sk-test-0123456789'
pid=
trap '[ -n "$pid" ] && kill $pid 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
# start OPTIONS: a server on gw.sock
start() {
	rm -f gw.sock
	"$LLMR" serve -c gw.yaml -l unix:gw.sock "$@" >serve.log 2>&1 &
	pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10; do [ -S gw.sock ] && break; sleep 0.1; done
}
stop() {
	kill "$pid"
	wait "$pid"
	pid=
}
ask() { # PATH [CURL OPTIONS]: body to ./out, status to ./code
	path=$1
	shift
	curl -s -o out -w '%{http_code}' --max-time 10 --unix-socket gw.sock "$@" "http://gw$path" >code
}
code() { equal "$(cat code)" "$1" "$2"; }
# until PATTERN FILE: wait up to 5 s for a line
until_line() {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
		grep -q "$1" "$2" 2>/dev/null && return
		sleep 0.2
	done
}

# telemetry is refused in one line where it cannot work
status 78 "gRPC's port is refused" env OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 \
	"$LLMR" serve -t -c gw.yaml
match err 'OTEL_EXPORTER_OTLP_ENDPOINT: port 4317 takes gRPC.*4318' "with the port to take"
equal "$(wc -l <err | tr -d ' ')" 1 "in one line"
ok "an endpoint that nothing uses is let be" env OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 "$LLMR" serve -t -c gw.yaml
status 78 "an exporter that is not offered" env OTEL_METRICS_EXPORTER=prometheus "$LLMR" serve -t -c gw.yaml
status 73 "a log that cannot be opened" "$LLMR" serve -c gw.yaml -l unix:no.sock --access-log /nonexistent/log

# logs
start --access-log access.log --decision-log decision.log
ask /v1/route -H "$key" -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' -d '{"prompt":"a private matter","model":"small"}'
ask /v1/chat/completions -H "$key" -d '{"model":"large","messages":[{"role":"user","content":"a private matter"}]}'
ask /v1/models -H 'Authorization: Bearer sk-guessed'; code 401 "a wrong key"
kill -HUP "$pid"
until_line v1/models access.log
until_line '"large"' decision.log
equal "$(wc -l <access.log | tr -d ' ')" 3 "a line for each answer"
equal "$(wc -l <decision.log | tr -d ' ')" 2 "a line for each decision"
match access.log '^\{"time":"[0-9T:.-]*Z","peer":"unix","method":"GET","path":"/v1/models","status":401,"bytes":[0-9]*,"duration_us":[0-9]*\}$' "what was answered"
match decision.log '"trace_id":"0af7651916cd43dd8448eb211c80319c","path":"/v1/route","requested_model":"small","status":200,"model":"small"' "what was decided"
match decision.log '"status":502,"error":"connect","model":"large"' "and what failed"
equal "$(grep -c 'private\|sk-' access.log decision.log serve.log | sed 's/.*://' | sort -u)" 0 "no prompt and no key in any log"
mv access.log access.1
kill -HUP "$pid"
for i in 1 2 3 4 5 6 7 8 9 10; do [ -f access.log ] && break; sleep 0.1; done
ask /_health/live
until_line health access.log
equal "$(wc -l <access.log | tr -d ' ')" 1 "a log that was renamed is opened anew on SIGHUP"
ask /metrics
match out '^llmr_log_lines_total\{result="written"\} [1-9]' "lines are counted"

# metrics
match out '^llmr_reloads_total\{strategy="simple-shuffle",result="ok"\} 2$' "reloads are counted"
match out '^process_resident_memory_bytes [0-9]' "the process's own figures"
if command -v promtool >/dev/null 2>&1; then
	cp out metrics
	ok "promtool has no complaint" sh -c 'promtool check metrics <metrics'
else
	skip "promtool is not here"
fi
ask /metrics -H 'Accept: application/openmetrics-text;version=1.0.0'
equal "$(tail -n 1 out)" '# EOF' "OpenMetrics ends with its mark"
match out '^# UNIT llmr_http_request_duration_seconds seconds$' "and says units"

# the page and its figures
curl -s -D head -o out --unix-socket gw.sock http://gw/ui
match head '^HTTP/1.1 200' "the page needs no key: it holds nothing"
match head "^Content-Security-Policy: default-src 'none'; script-src 'sha256-[A-Za-z0-9+/]{43}='; style-src 'sha256-[A-Za-z0-9+/]{43}='; connect-src 'self'" "and lets nothing else in"
equal "$(grep -c 'https\{0,1\}://\|@import\|<link rel="stylesheet"\|<script src' out)" 1 "no address in it but the name of SVG"
if command -v openssl >/dev/null 2>&1; then
	hash=$({ echo; awk '/<\/script>/{exit} f{print} /<script>/{f=1}' out; } | openssl dgst -sha256 -binary | openssl base64)
	match head "script-src 'sha256-$(printf '%s' "$hash" | sed 's/[+]/\\+/g')'" "the script's digest is the one that is named"
else
	skip "openssl is not here"
fi
ask /router/stats; code 401 "the figures need the key"
ask /router/stats -H "$key"; code 200 "and come with it"
match out '"decisions":\[.*\{"strategy":"simple-shuffle","model":"small","outcome":"ok","count":1\}' "traffic per model"
match out '"request_seconds":\{"count":2,' "and the histogram"
printf 'model_list: 7\n' >bad.yaml
cp gw.yaml good.yaml
cp bad.yaml gw.yaml
ask /config/reload -X POST -H "$key"; code 422 "a bad config"
match out 'model_list: a list of deployments is needed' "is refused with its first problem"
ask /router/info -H "$key"
match out '"refused_reloads":\[\{"at":"[^"]*","cause":"api","error":"gw.yaml: 1 problem' "and remembered"

# levels change by reload
equal "$(grep -c reloaded serve.log)" 0 "by default little is said"
{ cat good.yaml; echo 'environment_variables: {LITELLM_LOG: INFO}'; } >gw.yaml
kill -HUP "$pid"
until_line reloaded serve.log
equal "$(grep -c reloaded serve.log)" 1 "LITELLM_LOG in the config counts from its reload on"
stop

# prompts only when asked for
cp good.yaml gw.yaml
start --decision-log prompts.log --log-prompts --max-connections 4
ask /v1/route -H "$key" -d '{"prompt":"a private matter"}'
ask /v1/chat/completions -H "$key" -d '{"model":"large","messages":[{"role":"user","content":"another matter"}]}'

# readiness, with every connection taken by bodies that do not come
ask /_health/ready
match out '"checks":\{"config":\{"status":"healthy"\},"model":\{"status":"not_needed"\},"store":\{"status":"not_needed"\},"disk":\{"status":"[a-z_]*"\},"drain_status":\{"status":"accepting"' "every check has its word"
for i in 1 2 3 4 5 6; do
	{ sleep 4; } | curl -s -o /dev/null --max-time 5 --unix-socket gw.sock -H "$key" -H 'Transfer-Encoding: chunked' -T - -X POST http://gw/v1/route 2>/dev/null &
	held="${held:-} $!"
done
sleep 0.5
curl -s -o out -w '%{http_code}' --max-time 2 --unix-socket gw.sock http://gw/_health/ready >code
code 200 "a probe is answered within 2 s at the limit of connections"
# shellcheck disable=SC2086
kill $held 2>/dev/null
# shellcheck disable=SC2086
wait $held 2>/dev/null
stop
match prompts.log '"prompt":"a private matter"' "a prompt of a decision"
match prompts.log '"prompt":"another matter"' "and of a forwarded request"

# a model: what lies far from its training is counted
awk 'BEGIN { for (i = 0; i < 60; i++) for (m = 0; m < 2; m++)
	printf "{\"query\":\"sort list %d of numbers in %s order\",\"model_name\":\"%s\",\"performance\":%d}\n",
		i % 7, i % 2 ? "rising" : "falling", m ? "small" : "large", (i + m) % 2 }' >records.jsonl
"$LLMR" -q train knn --data records.jsonl -o knn.safetensors >/dev/null 2>&1
sed 's/router_settings:.*/router_settings: {routing_strategy: llmrouter-knn, routing_strategy_args: {model_path: knn.safetensors}}/' good.yaml >gw.yaml
start --decision-log far.log
for i in 1 2 3 4 5 6 7 8 9 10; do	# the bound is found in the background
	ask /v1/route -H "$key" -d '{"prompt":"zebra"}'
	ask /metrics
	grep -q '^llmr_routing_out_of' out && break
	sleep 0.2
done
cp out far.metrics
ask /v1/route -H "$key" -d '{"prompt":"sort list 3 of numbers in rising order"}'
stop
match far.metrics '^llmr_routing_out_of_distribution_total\{strategy="llmrouter-knn"\} 1$' "a prompt far from all training is counted"
match far.log '"out_of_distribution":true' "and logged"
equal "$(tail -n 1 far.log | grep -c '"label":"[a-z]*".*"model_sha256"')" 1 "the model decided"
equal "$(tail -n 1 far.log | grep -c out_of_distribution)" 0 "one that was trained on is not"
cp good.yaml gw.yaml

# doctor
ok "doctor on a config" "$LLMR" doctor -c gw.yaml
match out '^ok +config +gw.yaml: 2 deployments in 2 groups, simple-shuffle' "what is in it"
match out '^ok +keys ' "a key"
chmod 644 gw.yaml
ok "a file of keys that others may read" "$LLMR" doctor -c gw.yaml
match out '^warn +mode +gw.yaml: it holds keys' "is warned of"
chmod 666 gw.yaml
status 77 "one that anybody may write fails" "$LLMR" doctor -c gw.yaml
status 78 "and so does a bad one" "$LLMR" doctor -c bad.yaml
match out '^FAIL +config +bad.yaml:1: model_list' "with its line"
sed 's/router_settings:.*/router_settings: {routing_strategy: llmrouter-knn, routing_strategy_args: {model_path: none.pt}}/' good.yaml >ml.yaml
status 66 "a model that is not there fails" "$LLMR" doctor -c ml.yaml
match out '^FAIL +model ' "as the model"
