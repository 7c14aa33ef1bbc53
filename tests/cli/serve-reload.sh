#!/bin/sh
# serve: models that come, go and are not what they seem, while it serves.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/cli/serve-lib.sh"

for i in 0 1 2; do router knn $i m$i.safetensors; done
router ridge 0 ridge.safetensors
mkdir models
cp m0.safetensors models/knn_router.pt
cat >gw.yaml <<'Y'
model_list:
  - {model_name: m0, litellm_params: {model: openai/m0, api_key: none}}
  - {model_name: m1, litellm_params: {model: openai/m1, api_key: none}}
  - {model_name: m2, litellm_params: {model: openai/m2, api_key: none, weight: 1}}
general_settings: {master_key: sk-test}
router_settings:
  routing_strategy: llmrouter-knn
  routing_strategy_args: {model_path: models/knn_router.pt, hot_reload: true, reload_interval: 300}
Y
live=models/knn_router.pt
# serves N NAME: the model of mN decides
serves() { ask /v1/route -d '{"prompt":"a question number 7 of 49"}'; equal "$(json out model)$(json out fallback)" "\"m$1\"null" "$2"; }
ok "an artifact is known by its content, not by its suffix" "$LLMR" serve -t -c gw.yaml
start && pass "it starts" || fail "it starts" "$(cat serve.log)"
serves 0 "the model decides"

# --- watched ---
cp m1.safetensors new && mv new $live
until_asked /router/info "$(sha m1.safetensors)" "renamed over"
serves 1 "and it decides"
cat m2.safetensors >$live
until_asked /router/info "$(sha m2.safetensors)" "written in place"
cp m0.safetensors new && touch -d '2001-01-01' new && mv new $live
until_asked /router/info "$(sha m0.safetensors)" "an older mtime is a change too"
ask /metrics; match out '^llmr_reloads_total\{strategy="llmrouter-knn",result="ok"\} 3$' "three reloads, each once"

# --- refused: by the API, with the reason; the old one serves on ---
# refused NAME ERE
refused() {
	ask /router/reload -X POST -d '{"strategy":"llmrouter-knn"}'
	code 422 "refused: $1"
	match out "\"status\":\"failed\",\"reloaded\":\\[\\].*$2" "and says why: $1"
}
stop
sed 's/hot_reload: true/hot_reload: false/' gw.yaml >gw.new && mv gw.new gw.yaml
start
cp m1.safetensors new && mv new $live
sleep 1.5
serves 0 "hot_reload false: no watch"
ask /router/reload -X POST -d '{"strategy":"llmrouter-knn"}'; code 200 "but the API loads it"
match out '"status":"success","reloaded":\["llmrouter-knn"\],"errors":\[\]' "and says what"
serves 1 "and it decides"
ask /router/reload -X POST; code 200 "no strategy named: all"
ask /router/reload -X POST -d '{"strategy":"llmrouter-svm"}'; code 404 "a strategy that is not in service"
printf '\200\004\225pickle' >$live; refused pickle "Python pickle.*llmr train knn"
printf 'PK\003\004zip' >$live; refused "zip of torch.save" "zip file.*llmr train knn"
cp ridge.safetensors $live; refused "another kind" "kind is ridge, and llmrouter-knn"
head -c 3000 m1.safetensors >$live; refused truncated "$live: "
: >$live; refused empty "$live: "
rm $live; refused "gone" "no such file"
mkfifo $live; refused FIFO "not a regular file"
rm $live; mkdir $live; refused "an empty folder" "should hold one: .*llmr train KIND"
cp m2.safetensors $live/router.safetensors
ask /router/reload -X POST; code 200 "a folder that holds one artifact"
serves 2 "and it decides"
rm -r $live
ask /metrics; match out '^llmr_reloads_total\{strategy="llmrouter-knn",result="rejected"\} 8$' "each refusal is counted"
ask /router/info; match out '"refused_reloads":\[\{"at":"[^"]*","cause":"api","error":"models/knn_router.pt: .*pickle' "and remembered"
cp gw.yaml well.yaml; echo 'router_settings: [' >>gw.yaml; cp m1.safetensors $live
ask /config/reload -X POST; code 422 "a broken config"
ask /router/reload -X POST; code 200 "does not keep the model from being loaded"
serves 1 "and it decides"
cp well.yaml gw.yaml
cp m2.safetensors $live; kill -HUP "$pid"
until_asked /router/info "$(sha m2.safetensors)" "SIGHUP loads anew"
for i in $(seq 300); do	# any byte of the header, and some of the rest
	cp m0.safetensors $live
	printf "\\$(printf %o $((i * 7 % 256)))" | dd of=$live bs=1 seek=$((i < 200 ? i * 11 : i * i)) conv=notrunc 2>/dev/null
	[ $((i % 10)) -eq 0 ] && { ask /router/reload -X POST; case $(cat code) in 200 | 422) ;; *) fail "mutation $i" "$(cat out)" ;; esac; }
done
ask /v1/route -d '{"prompt":"x"}'; code 200 "it serves after 30 mutations"

# --- none usable at the start ---
stop; equal "$ended" 0 "it ends well"
cp m1.safetensors $live; start; stop
printf 'garbage' >$live
status 65 "serve -t fails on it" "$LLMR" serve -t -c gw.yaml
start && pass "but a start does not" || fail "but a start does not" "$(cat serve.log)"
serves 1 "the last known good one decides"
ask /_health/ready; code 200 "ready"
match out '"status":"degraded".*"is_degraded":true.*"model":\{"status":"last_known_good"' "and degraded, it says"
ask /metrics; match out '^llmr_degraded 1$' "as metrics do"
cp m2.safetensors $live; ask /router/reload -X POST; code 200 "a good one"
ask /_health/ready; match out '"status":"ready"' "mends it"
stop
printf 'garbage' >$live
rm -rf "$XDG_STATE_HOME"
start
ask /v1/route -d '{"prompt":"x"}'
match out '"strategy":"weighted-round-robin","fallback":"no_model"' "without one, weighted round robin decides"
ask /_health/ready; match out '"status":"missing","reason":"no model: ' "and readiness says why"
stop

# --- limits ---
cp m0.safetensors $live
start --memory-limit 8MiB
match serve.log 'MiB do not fit into memory beside the active model.s 0.0 MiB' "a model that does not fit is refused with both sizes"
stop
sed 's/hot_reload: false/deadline: 0.000000001/' well.yaml >gw.yaml
start
ask /v1/route -d '{"prompt":"x"}'
match out '"fallback":"deadline"' "a decision that comes too late falls back"
ask /metrics; match out '^llmr_routing_fallbacks_total\{reason="deadline"\} 1$' "and is counted"
stop

# --- signatures ---
"$LLMR" keygen -W -p a.pub -s a.key >/dev/null 2>&1
"$LLMR" keygen -W -p b.pub -s b.key >/dev/null 2>&1
cat well.yaml >gw.yaml
sed -i 's/hot_reload: false/hot_reload: true/; s/sk-test/sk-test, require_signature: true, public_key: .\/a.pub/' gw.yaml
status 77 "not signed" "$LLMR" serve -t -c gw.yaml
match err 'neither models/knn_router.pt.minisig nor manifest.json' "and what is missing is named"
"$LLMR" sign -s b.key $live >/dev/null 2>&1
status 77 "signed by somebody else" "$LLMR" serve -t -c gw.yaml
match err 'is not trusted' "and said so"
rm -f $live.minisig
"$LLMR" sign -s a.key $live >/dev/null 2>&1
ok "signed by a key that is trusted" "$LLMR" serve -t -c gw.yaml
start --signature-grace 2s
ask /router/info; match out '"signed":true' "it serves, and says that it is signed"
cp m1.safetensors next; cp next $live
sleep 1.6; serves 0 "a new model without its signature waits"
match serve.log 'pending: ' "and is pending"
absent serve.log 'serve on' "which is no alarm yet"
"$LLMR" sign -s a.key -x sig.minisig $live >/dev/null 2>&1
mv sig.minisig $live.minisig
until_asked /router/info "$(sha m1.safetensors)" "with its signature it serves"
cp m2.safetensors $live
until_asked /metrics 'llmr_reloads_total\{strategy="llmrouter-knn",result="rejected"\} 1' "after the grace it is an alarm"
serves 1 "and the old one serves on"
stop
rm $live.minisig; cp m1.safetensors $live
rm -rf "$XDG_STATE_HOME"
"$LLMR" sign -s a.key --format manifest models >sign.out 2>&1
start
ask /router/info; match out '"signed":true' "a signed manifest counts too"
stop
printf garbage >$live
start
ask /router/info; match out '"signed":true.*"degraded":"the last known good model serves' "what was kept is verified again"
stop
printf '\001' | dd of="$(ls "$XDG_STATE_HOME"/llmr/last-good/*.safetensors)" bs=1 seek=4000 conv=notrunc 2>/dev/null
start
ask /router/info; match out '"model":null,"degraded":"no model' "and refused when it was changed"
stop
