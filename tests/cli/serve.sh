#!/bin/sh
# serve: decisions over HTTP, probes, keys, reload, and how it ends.
. "$(dirname "$0")/lib.sh"

cat >gw.yaml <<'Y'
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_key: none, api_base: "http://127.0.0.1:9/v1"}
  - model_name: large
    litellm_params: {model: openai/large, api_key: none, api_base: "http://127.0.0.1:9/v1"}
general_settings: {master_key: sk-test}
router_settings: {num_retries: 0, model_group_alias: {gpt: large}}
Y
unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH LISTEN_FDS LISTEN_PID
status 64 "a config is needed" "$LLMR" serve
ok "serve -t checks and stops" "$LLMR" serve -t -c gw.yaml
sed 's/sk-test/os.environ\/NOT_SET/' gw.yaml >bad.yaml
status 78 "a key that is not set is fatal" "$LLMR" serve -t -c bad.yaml
match err 'bad.yaml:6: general_settings.master_key: variable NOT_SET is not set' "and named with its line"
sed 's/{master_key: sk-test}/{}/' gw.yaml >open.yaml
status 78 "beyond this machine a key is needed" "$LLMR" serve -c open.yaml -l 0.0.0.0:0

"$LLMR" serve -c gw.yaml -l unix:gw.sock >serve.log 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S gw.sock ] && break; sleep 0.1; done
# ask PATH [CURL OPTIONS]: body to ./out, status to ./code
ask() {
	path=$1
	shift
	curl -s -o out -w '%{http_code}' --max-time 10 --unix-socket gw.sock "$@" "http://gw$path" >code
}
key='Authorization: Bearer sk-test'
# code STATUS NAME
code() { equal "$(cat code)" "$1" "$2"; }

ask /_health/live; code 200 "alive without a key"
ask /_health/ready; code 200 "ready without a key"
match out '"status":"ready"' "and says so"
ask /v1/models; code 401 "no key, no list"
ask /v1/models -H 'Authorization: Bearer wrong'; code 401 "a wrong key, no list"
ask /v1/models -H "$key"; code 200 "the list with the key"
match out '"id":"small".*"id":"large".*"id":"gpt"' "groups and aliases"
ask /v1/route -H "$key" -d '{"prompt":"hello","model":"gpt"}'; code 200 "a decision"
equal "$(json out model)" '"large"' "within the group that was asked for"
ask /v1/route -H "$key" -d '{"prompt":"hello","model":"nope"}'; code 404 "no such model"
ask /v1/route -H "$key" -d '{"prompt":'; code 400 "broken JSON"
match out '"param":"request_body"' "and says where"
ask /v1/route -H "$key" -d '{"messages":[{"role":"user","content":"x"}],"api_base":"http://evil"}'; code 400 "no outbound address in a request"
ask /v1/route -H "$key" -X GET; code 405 "another method"
ask /nowhere -H "$key"; code 404 "no such path"
ask /v1/chat/completions -H "$key" -d '{"model":"small","messages":[{"role":"user","content":"x"}]}'; code 502 "an upstream that is not there"
match out '"message":"small: ' "names the group"
ask /metrics; code 200 "metrics are open"
match out '^llmr_routing_decisions_total\{strategy="simple-shuffle",model="large",outcome="ok"\} 1$' "and count"
match out '^llmrouter_routing_decisions_total' "under the old name too"

sed 's/model_name: small/model_name: tiny/' gw.yaml >gw.new && mv gw.new gw.yaml
ask /config/reload -X POST; code 401 "reload needs the key"
ask /config/reload -X POST -H "$key"; code 200 "reload with it"
ask /v1/models -H "$key"; match out '"id":"tiny"' "the new config serves"
printf 'model_list: 7\n' >gw.yaml
ask /config/reload -X POST -H "$key"; code 422 "a bad config is refused"
ask /v1/models -H "$key"; match out '"id":"tiny"' "and the old one serves on"
kill "$pid"
wait "$pid"
equal $? 0 "SIGTERM drains and ends well"
nofile gw.sock "the socket is removed"
