#!/bin/sh
# switch: versions of a router in a running gateway, over its API and from the command line.
. "$(dirname "$0")/lib.sh"

# records SHIFT: queries of three kinds, each answered best by another of three models
records() {
	awk -v s="$1" 'BEGIN {
		split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
		for (i = 1; i <= 60; i++) for (j = 0; j < 3; j++)
			printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s,\"cost\":%g,\"task_name\":\"t%d\"}\n",
				k[i % 3 + 1], i, j, (i + s) % 3 == j ? "1" : "0.25", 0.001 * (j + 1), i % 3
	}'
}
mkdir models state
for s in 0 1; do
	records $s >t.jsonl
	"$LLMR" train knn --hparam n_neighbors=5 --hparam dim=16 --data t.jsonl -q -o models/r$s.safetensors 2>/dev/null
done
printf 'not a model\n' >models/bad.safetensors
ln -s ../gw.yaml models/out
cat >gw.yaml <<'Y'
model_list:
  - model_name: m0
    litellm_params: {model: openai/m0, api_key: none, api_base: "http://127.0.0.1:9/v1"}
  - model_name: m1
    litellm_params: {model: openai/m1, api_key: none, api_base: "http://127.0.0.1:9/v1"}
  - model_name: m2
    litellm_params: {model: openai/m2, api_key: none, api_base: "http://127.0.0.1:9/v1"}
general_settings: {master_key: sk-test, models_dir: models}
router_settings:
  num_retries: 0
  disable_cooldowns: true
  routing_strategy: llmrouter-knn
  routing_strategy_args: {model_path: models/r0.safetensors}
model_switching: {enabled: false}
Y
unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH LISTEN_FDS LISTEN_PID LLMROUTER_STRATEGY_WEIGHTS
for v in ENABLED MAX_CACHED_MODELS CACHE_SIZE ENABLE_HEALTH_CHECKS ERROR_RATE_WARNING; do unset VLLM_MODEL_SWITCHING_$v; done
pid= ear=
trap 'kill $pid $ear 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
# up [VARIABLE=VALUE...]: start the gateway
up() {
	env "$@" "$LLMR" serve -c gw.yaml -l unix:gw.sock --state-dir state >>serve.log 2>&1 &
	pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		curl -s --unix-socket gw.sock http://gw/_health/live >/dev/null && break
		sleep 0.1
	done
}
# ask PATH [CURL OPTIONS]: body to ./out, status to ./code
ask() {
	path=$1
	shift
	curl -s -o out -w '%{http_code}' --max-time 10 --unix-socket gw.sock -H 'Authorization: Bearer sk-test' "$@" "http://gw$path" >code
}
code() { equal "$(cat code)" "$1" "$2"; }
S="$LLMR switch --url unix:gw.sock"
# share VERSION: requests of 100 users that it decides
for u in 0 1 2 3 4 5 6 7 8 9; do for v in 0 1 2 3 4 5 6 7 8 9; do
	[ "$u$v" = 00 ] || echo next
	printf 'url = "http://gw/v1/route"\nunix-socket = "gw.sock"\nheader = "Authorization: Bearer sk-test"\n'
	printf 'data = "{\\"prompt\\":\\"a poem\\",\\"user\\":\\"u%s%s\\"}"\n' $u $v
done; done >users.curl
share() { curl -s -K users.curl | grep -o '"version":"'"$1"'"' | grep -c .; }

up A=b
ask /router/switch; code 409 "off until enabled"
match out 'VLLM_MODEL_SWITCHING_ENABLED' "and says how"
ask /v1/route -d '{"prompt":"a poem about love"}'; code 200 "decisions as ever"
absent out '"version"' "without a version"
kill "$pid"; wait "$pid"
up VLLM_MODEL_SWITCHING_ENABLED=true

# Alerts go to another gateway, which counts what it is asked.
sed 's/, models_dir: models//; /routing_strategy/d' gw.yaml >ear.yaml
"$LLMR" serve -c ear.yaml -l 127.0.0.1:0 >ear.log 2>&1 &
ear=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q 'port' ear.log 2>/dev/null && break; sleep 0.1; done
port=$(sed -n 's/.*listening on port //p' ear.log)
sed "s|models_dir: models|models_dir: models, alert_webhook: \"http://127.0.0.1:$port/v1/feedback\"|" gw.yaml >gw.new && mv gw.new gw.yaml
ask /config/reload -X POST; code 200 "reload with a webhook"

# --- versions ---
status 77 "the command needs the key" $S versions
one_line_error "and says so"
LITELLM_MASTER_KEY=sk-test
export LITELLM_MASTER_KEY
ok "register" $S register v2 r1.safetensors --metadata '{"performance":"improved"}'
match out '^model_id	llmrouter-knn$' "the answer has the model's id"
ask /router/versions -d '{"name":"llmrouter-knn","version":"v2","ref":"r1.safetensors"}'; code 201 "the same bytes once more are well"
ask /router/versions -d '{"version":"v2","ref":"r0.safetensors"}'; code 409 "other bytes are not"
ask /router/versions -d '{"version":"v3","ref":"bad.safetensors"}'; code 422 "what is no model is refused"
ask /router/versions -d '{"version":"v3","ref":"out"}'; code 403 "nothing through a link that leads out"
ask /router/versions -d '{"version":"v3","ref":"../gw.yaml"}'; code 403 "nor by dots"
ask /router/versions -d '{"version":"../v3","ref":"r1.safetensors"}'; code 400 "a name is a name"
ask /router/versions -d '{"version":"v3","ref":"r1.safetensors","name":"m1"}'; code 409 "no router by the name of a model"
ask /router/versions -d '{"version":"v3","ref":"gone"}'; code 404 "no such file"
ok "a second router" $S register w1 r1.safetensors --name support
ok "list them" $S versions --json
match out '"version":"v2".*"performance":"improved".*"name":"support","version":"w1"' "both, with metadata"
equal "$(find state/versions -name '*.safetensors' -perm 600 | wc -l | tr -d ' ')" 2 "private files"

# --- immediate, rollback ---
ask /v1/route -d '{"prompt":"a poem about love and rain number 7"}'
before=$(json out model)
match out '"version":"configured"' "the configured version decides"
ok "immediate" $S start v2 --strategy immediate --wait
match out '^status	done$' "is over at once"
ask /v1/route -d '{"prompt":"a poem about love and rain number 7"}'
match out '"version":"v2"' "the new version decides"
if [ "$(json out model)" = "$before" ]; then fail "decisions change"; else pass "decisions change"; fi
status 1 "it is in service already" $S start v2 --strategy immediate
equal "$(ls -a state/versions | grep -c '^.configured$')" 1 "the configured model waits in a file"
ask /router/info; match out '"sha256":"'"$(sha256sum <models/r1.safetensors | cut -d ' ' -f 1)" "the model in service is told"
status 66 "no such version" $S start v9
status 64 "bad parameters" $S start configured --strategy canary --set steps=3
cp gw.yaml kept.yaml
sed '/model_name: m[01]/,+1d; s/model_name: m2/model_name: x/; s/openai.m2/openai\/x/' kept.yaml >gw.yaml
ask /config/reload -X POST; code 422 "a config whose models no version knows is refused"
ask /v1/route -d '{"prompt":"a poem"}'; match out '"version":"v2"' "the old one serves on"
cp kept.yaml gw.yaml
ask /config/reload -X POST; code 200 "reload keeps what is switched"
ask /v1/route -d '{"prompt":"a poem"}'; match out '"version":"v2"' "in service"
ask /router/rollback -d '{"reason":"second thoughts"}'; code 200 "rollback"
ask /v1/route -d '{"prompt":"a poem"}'; match out '"version":"configured"' "the old one is back"
ask /v1/route -d '{"prompt":"a poem","model":"support"}'; code 404 "a router without a version in service is none"
ok "the second router" $S start w1 --name support --strategy immediate
ask /v1/route -d '{"prompt":"a poem","model":"support"}'; match out '"router":"support","version":"w1"' "by its name"

# --- a canary that goes on after SIGKILL, and goes back by itself ---
ok "canary" $S start v2 --strategy canary --set initial_percentage=30 --set min_samples=20
id=$(cat out)
equal "$(share v2)" 26 "so many of 100 users have the new one"
equal "$(share v2)" 26 "and the same ones again"
status 1 "one switch of a router at a time" $S start v2
match err 'still running' "and says so"
for i in 1 2 3; do
	ask /v1/route -d '{"prompt":"a poem","user":"u'$i'","request_id":"r'$i'"}'
	ask /v1/feedback -d '{"request_id":"r'$i'","success":true,"latency_ms":20,"score":0.9}'; code 202 "feedback $i"
done
ask /v1/feedback -d '{"request_id":"unknown","success":true}'; code 404 "of a request that is not known"
ask /v1/feedback -d '{"success":true}'; code 400 "of none"
ok "stop it hard" sh -c "sleep 2.5; kill -9 $pid"
wait "$pid" 2>/dev/null
up VLLM_MODEL_SWITCHING_ENABLED=true
ok "the switch is there again" $S status "$id"
match out '^status	running$' "and runs"
match out '^traffic_percentage	30$' "with its share"
equal "$(share v2)" 26 "of the same users"
ask /v1/route -d '{"prompt":"a poem","model":"support"}'; match out '"version":"w1"' "what was in service is"
for u in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29; do
	ask /v1/chat/completions -d '{"model":"auto","user":"u'$u'","messages":[{"role":"user","content":"a poem"}]}'
done
code 502 "an upstream that is away"
status 1 "wait: it went back" $S wait "$id" --timeout 20s
match out '^status	rolled_back$' "by its error rate"
match err 'error rate' "which is told"
match serve.log 'rolled_back: error rate' "an alert in the log"
for i in 1 2 3 4 5 6 7 8 9 10; do
	curl -s "http://127.0.0.1:$port/metrics" >ear.metrics
	grep -q 'path="/v1/feedback"' ear.metrics && break
	sleep 0.2
done
match ear.metrics '^llmr_requests_total\{path="/v1/feedback",code="401"\} [1-9]' "and at the webhook"
equal "$(share v2)" 0 "nobody has it now"
ask /metrics
match out '^llmr_switches_total\{strategy="canary",result="rolled_back"\} 1$' "metrics tell"
match out '^llmr_switch_traffic_ratio\{router="llmrouter-knn",arm="configured"\} 1$' "and the share"
match out '^llmr_switch_errors_total\{router="llmrouter-knn",arm="v2"\} [1-9]' "and the errors"

# --- A/B, shadow, abort ---
ok "ab_test" $S start v2 --strategy ab_test --set traffic_percentage=50 --set test_duration_hours=0.0002 --wait --json
match out '"strategy_type":"ab_test".*"report":\{"old":"configured","new":"v2".*"difference"' "ends with a report"
ask /router/switch; match out '"active_version":"configured"' "and the old arm"
ok "shadow" $S start v2 --strategy shadow
id=$(cat out)
equal "$(share v2)" 0 "a shadow decides nothing"
ok "its figures" $S status --json
match out '"shadow_version":"v2".*"shadowed":100,"agreement":\{"value":[01]' "scores every request"
status 64 "an id is an id" $S abort '../x'
ok "abort" $S abort "$id" --reason enough
match out '^reason	enough$' "with its reason"
status 1 "not twice" $S abort "$id"
status 1 "wait: it was aborted" $S wait "$id"
ok "list" $S list
match out "^$id	aborted	llmrouter-knn	configured	v2	shadow" "the history"
ok "stats" $S stats --json
match out '"switches":\{"total":[1-9]' "counts them"
ask /router/switch/nope; code 404 "no such switch"
if python3 -c 'import jsonschema' 2>/dev/null; then
	for doc in switch:status switch:stats "switch:status $id" versions:versions; do
		if $S ${doc#*:} --json >doc && python3 -c 'import json, sys, jsonschema
jsonschema.validate(json.load(open("doc")), json.load(open(sys.argv[1])))' "$SRC/share/${doc%%:*}.schema.json" 2>err
		then pass "schema of ${doc#*:}"; else fail "schema of ${doc#*:}" "$(tail -n 3 err)"; fi
	done
else
	skip "schemas: no python3 with jsonschema"
fi
kill "$pid"; wait "$pid"
equal $? 0 "ends well"

# --- files of versions that are not in service go, the least recently used first ---
files() { ls state/versions | tr '\n' ' '; }
up VLLM_MODEL_SWITCHING_ENABLED=true VLLM_MODEL_SWITCHING_MAX_CACHED_MODELS=3
for v in a b c; do ask /router/versions -d '{"version":"'$v'","ref":"r1.safetensors"}'; done
equal "$(files)" "llmrouter-knn@b.safetensors llmrouter-knn@c.safetensors support@w1.safetensors " "what serves stays, what is old goes"
ok "a version without its file" $S start a --strategy immediate
equal "$(files)" "llmrouter-knn@a.safetensors llmrouter-knn@c.safetensors support@w1.safetensors " "is fetched again"
cp models/r0.safetensors models/r1.safetensors
status 65 "but not when it is another by now" $S start b --strategy immediate
match err 'is not what was registered' "and says so"
ask /v1/route -d '{"prompt":"a poem"}'; match out '"version":"a"' "what serves, serves on"
printf 'x' >>state/versions/llmrouter-knn@c.safetensors
status 65 "a private file that was spoiled is never served" $S start c --strategy immediate
kill "$pid"; wait "$pid"

# --- what was in service and cannot be any more ---
rm -f state/versions/* state/versions/.configured
up VLLM_MODEL_SWITCHING_ENABLED=true
ask /v1/route -d '{"prompt":"a poem"}'; match out '"version":"configured"' "gives way to the configured one"
match serve.log 'llmrouter-knn a: failed' "with an alert"
kill "$pid"; wait "$pid"
records 1 >t.jsonl
"$LLMR" train knn --hparam n_neighbors=5 --hparam dim=16 --data t.jsonl -q -o models/r1.safetensors 2>/dev/null

# --- standing weights; what cannot be ---
up VLLM_MODEL_SWITCHING_ENABLED=true 'LLMROUTER_STRATEGY_WEIGHTS={"llmrouter-knn": 30, "v2": 50, "simple-shuffle": 20}'
a=$(share llmrouter-knn) b=$(share v2) c=$(share simple-shuffle)
equal $((a + b + c)) 100 "standing weights divide everything"
if [ "$a" -gt 18 ] && [ "$b" -gt 38 ] && [ "$c" -gt 8 ]; then pass "as they say"; else fail "as they say" "$a $b $c"; fi
ask /router/switch -d '{"target_version":"v2"}'; code 409 "no switch beside them"
kill "$pid"; wait "$pid"; pid=
status 78 "weights that are none" env 'LLMROUTER_STRATEGY_WEIGHTS={"v2": 0}' "$LLMR" serve -t -c gw.yaml --state-dir state
status 78 "weights of nobody" env 'LLMROUTER_STRATEGY_WEIGHTS={"v7": 1}' "$LLMR" serve -t -c gw.yaml --state-dir state
status 78 "a variable that is neither true nor false" env VLLM_MODEL_SWITCHING_ENABLED=yes "$LLMR" serve -t -c gw.yaml
status 69 "no server" $S status
absent serve.log 'sk-test' "the key is not in the log"
