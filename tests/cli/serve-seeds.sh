#!/bin/sh
# serve: each YAML file of the fixtures, each YAML block and curl line of the documents that users were given.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/cli/serve-lib.sh"
[ -d "$SHARED/seeds" ] || { skip "the documents are not here"; exit 0; }
LITELLM_MASTER_KEY=sk-master-key OPENAI_API_KEY=x ANTHROPIC_API_KEY=x DATABASE_URL=x REDIS_HOST=x REDIS_PORT=6379
AZURE_API_KEY=x AZURE_API_BASE=http://127.0.0.1:9 CONFIG_HOT_RELOAD=false
export LITELLM_MASTER_KEY OPENAI_API_KEY ANTHROPIC_API_KEY DATABASE_URL REDIS_HOST REDIS_PORT AZURE_API_KEY AZURE_API_BASE
key="Authorization: Bearer $LITELLM_MASTER_KEY"

for f in "$SHARED"/fixtures/config/*.yaml; do
	ok "fixture $(basename "$f") is well" "$LLMR" config check "$f"
	cp "$f" gw.yaml
	own=$(sed -n 's/^ *master_key: *"*\([A-Za-z0-9_.-]*\)"* *$/\1/p' gw.yaml)
	key="Authorization: Bearer ${own:-$LITELLM_MASTER_KEY}"
	if start; then
		ask /v1/models; code 200 "$(basename "$f") serves"
		ask /v1/route -d '{"prompt":"hello"}'; code 200 "$(basename "$f") decides"
		stop
	else
		fail "$(basename "$f") serves" "$(tail -n 3 serve.log)"
	fi
done
key="Authorization: Bearer $LITELLM_MASTER_KEY"
for f in "$SHARED"/fixtures/config/llm_candidates.json; do
	printf 'model_list:\n  - {model_name: nova-pro, litellm_params: {model: bedrock/nova, api_key: k}}\nrouter_settings: {routing_strategy: cost-based-routing, routing_strategy_args: {llm_data_path: %s}}\n' "$f" >gw.yaml
	start || fail "candidates" "$(cat serve.log)"
	ask /v1/route -d '{"prompt":"x","capabilities":["video"]}'; code 200 "candidates tell capabilities"
	ask /v1/route -d '{"prompt":"x","capabilities":["flying"]}'; code 503 "and lack of them"
	stop
done

# Blocks of the documents: block.NAME.N.yaml
for f in "$SHARED"/seeds/*.md; do
	awk -v name="$(basename "$f" .md)" '/^ *```yaml/ { n++; on = 1; next } /^ *```/ { on = 0 }
		on { print > ("block." name "." n ".yaml") }' "$f"
done
for f in block.*.yaml; do
	if grep -Eq '^(model_list|router_settings|general_settings|litellm_settings|model_switching):' "$f"; then
		cp "$f" gw.yaml
		grep -q '^model_list:' gw.yaml || printf 'model_list:\n  - {model_name: gpt-4, litellm_params: {model: openai/gpt-4}}\n' >>gw.yaml
		grep -q 'routing_strategy: llmrouter' gw.yaml && ! grep -q model_path gw.yaml && continue
		ok "$f is well" "$LLMR" config check gw.yaml
		start && pass "$f serves" || fail "$f serves" "$(tail -n 3 serve.log)"
		[ -n "$pid" ] && stop
	fi
done

# curl lines, as they stand: what is sent to port 4000 comes to ours
router knn 0 knn_router.pt
sed "s|/app/models/|$PWD/|" "$(grep -l 'model_path: /app/models' block.hot-reloading.*.yaml | head -n 1)" >gw.yaml
printf 'model_list:\n' >>gw.yaml
for i in 0 1 2; do echo "  - {model_name: m$i, litellm_params: {model: openai/m$i, api_key: k}}" >>gw.yaml; done
"$LLMR" serve -c gw.yaml -l 127.0.0.1:0 >serve.log 2>&1 &
pid=$!
for i in $(seq 100); do grep -q 'listening on port' serve.log && break; sleep 0.05; done
port=$(sed -n 's/^listening on port //p' serve.log)
printf 'connect-to = "localhost:4000:127.0.0.1:%s"\nsilent\nshow-error\nfail\n' "$port" >.curlrc
for f in "$SHARED"/seeds/hot-reloading.md "$SHARED"/seeds/configuration.md; do
	awk '/^ *curl / { on = 1 } on { sub(/^ +/, ""); print; if (!/\\$/) { on = 0; print "" } }
		match($0, /`curl [^`]*`/) { print substr($0, RSTART + 1, RLENGTH - 2); print "" }' "$f" |
	awk -v RS= -v name="$(basename "$f" .md)" '{ print > ("curl." name "." NR ".sh") }'
done
for f in curl.*.sh; do
	HOME=$PWD timeout 20 sh "./$f" >out 2>err </dev/null && pass "$f: $(head -n 1 "$f" | cut -c 1-60)" ||
		fail "$f" "$(cat "$f")" "$(head -c 300 err)"
	grep -Eq '/reload' "$f" && match out '"status":"success"' "$f reloads"
	grep -Eq 'metrics' "$f" && match out llmrouter "$f prints something"
done
stop
