#!/bin/sh
# serve-faults.sh - what a gateway has to survive: upstreams that fail in each way, a thousand damaged models
# under load, a stop while answers stream, ten thousand idle connections, a full disk.
#   MUTATIONS   how many damaged models (1000)
#   IDLE        how many idle connections (10000)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/serve.inc"
routers
stub
./tool upstream >gone.port &
p=$!
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s gone.port ] && break; sleep 0.1; done
gone=$(cat gone.port)
kill $p
wait $p 2>/dev/null

# ---- upstreams: each with a sound one to fall back on, and each alone
{
	echo "model_list:"
	for m in ok slow cut early reset stall drip html notjson 429 500 once500; do groups $m "openai/$m"; done
	echo "  - {model_name: refuse, litellm_params: {model: openai/refuse, api_base: \"http://127.0.0.1:$gone/v1\", api_key: k}}"
	cat <<-Y
		router_settings:
		  num_retries: 1
		  timeout: 2
		  allowed_fails: 1000
		  fallbacks: [{early: [ok]}, {reset: [ok]}, {stall: [ok]}, {429: [ok]}, {500: [ok]}, {refuse: [ok]}]
		general_settings: {master_key: sk-test}
	Y
} >up.yaml
start up.yaml --max-connections 4096 || { bad "the gateway starts" "$(cat gw.log)"; finish; exit; }
chat() { ask /v1/chat/completions -d "{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]${2:-}}"; }
for m in early reset stall 429 500 refuse; do
	is "$(chat $m)" 200 "an upstream that does '$m': the fallback answers"
	has "$(cat out)" "Hello from ok" "an upstream that does '$m': with its own words"
	is "$(chat $m ',"stream":true')" 200 "an upstream that does '$m', streaming: the fallback answers"
	has "$(cat out)" "[DONE]" "an upstream that does '$m', streaming: whole"
done
is "$(chat once500)" 200 "an upstream that fails every other time: a retry answers"
is "$(chat drip)" 200 "an upstream that drips bytes: its answer, when it is whole within the time"
has "$(cat out)" "Hello from drip" "an upstream that drips bytes: whole"
for m in cut html notjson; do
	s=$(chat $m)
	if [ "$s" -ge 500 ] && grep -q '"error"' out; then good "an upstream that does '$m': an error ($s)"; else
		bad "an upstream that does '$m': an error" "$s $(head -c 200 out)"; fi
done
curl -s -o out --max-time 20 -H "$key" -d '{"model":"cut","stream":true,"messages":[{"role":"user","content":"x"}]}' \
	"http://127.0.0.1:$port/v1/chat/completions"
code=$?
if [ $code -ne 0 ] || grep -q '"error"' out; then good "a stream that the upstream cuts does not look whole (curl: $code)"; else
	bad "a stream that the upstream cuts does not look whole" "curl: $code"; fi
if grep -q 'DONE' out; then bad "and has no [DONE]"; else good "and has no [DONE]"; fi

sed 's/timeout: 2/timeout: 60/' up.yaml >long.yaml
stop
start long.yaml || bad "the gateway starts again" "$(cat gw.log)"
# ---- SIGTERM while answers stream: none is cut, exit status 0
./tool streams "$port" 100 slow sk-test >streams.out &
load=$!
sleep 1
kill -TERM $gateway
wait $load
wait $gateway
code=$?
gateway=
is "$(cat streams.out)" "whole=100 cut=0 refused=0" "SIGTERM under 100 streams: none is cut"
is "$code" 0 "SIGTERM under 100 streams: exit status 0"
start long.yaml --drain-timeout 1 || bad "the gateway starts again" "$(cat gw.log)"
./tool streams "$port" 3 slow sk-test >streams.out &
load=$!
sleep 0.5
kill -TERM $gateway
wait $gateway
code=$?
gateway=
wait $load
is "$code" 75 "streams that last longer than --drain-timeout: exit status 75"
has "$(cat gw.log)" "3 requests were still in flight" "streams that last longer than --drain-timeout: counted"
start long.yaml || bad "the gateway starts again" "$(cat gw.log)"
./tool streams "$port" 3 slow sk-test >streams.out &
load=$!
sleep 0.5
kill -TERM $gateway
sleep 0.2
began=$(date +%s)
kill -TERM $gateway
wait $gateway
is "$?" 75 "a second SIGTERM ends at once"
gateway=
wait $load

# ---- idle connections: they give way, decisions and probes go on
n=${IDLE:-10000}
(ulimit -n 20000 2>/dev/null) && {
	ulimit -n 20000
	start long.yaml --max-connections 12000 || bad "the gateway starts" "$(cat gw.log)"
	mkfifo hold
	./tool idle "$port" "$n" <hold >idle.out &
	load=$!
	exec 9>hold
	for i in $(seq 100); do [ -s idle.out ] && break; sleep 0.1; done
	is "$(cat idle.out)" "$n" "$n connections are taken"
	rss=$(awk '/^VmRSS/ { print $2 }' /proc/$gateway/status)
	is "$(ask /v1/route -d '{"prompt":"x","model":"ok"}')" 200 "$n idle connections: a decision ($rss KB resident)"
	is "$(ask /_health/ready --max-time 2)" 200 "$n idle connections: the probe answers within 2 s"
	./tool load "$port" 2 300 4 sk-test >load.out
	is "$(field load.out failed)" 0 "$n idle connections: no request failed ($(cat load.out))"
	stop
	is "$code" 0 "$n idle connections: SIGTERM ends well"
	exec 9>&-
	wait $load
	start long.yaml --max-connections 500 || bad "the gateway starts" "$(cat gw.log)"
	./tool idle "$port" 2000 <hold >idle.out &
	load=$!
	exec 9>hold
	sleep 2
	is "$(ask /_health/live --max-time 2)" 200 "beyond --max-connections: the probe answers within 2 s"
	exec 9>&-
	wait $load
	for i in $(seq 100); do [ "$(ask /v1/route -d '{"prompt":"x","model":"ok"}')" = 200 ] && break; sleep 0.1; done
	is "$(ask /v1/route -d '{"prompt":"x","model":"ok"}')" 200 "beyond --max-connections: it decides again afterwards"
	stop
} || echo "# idle connections: skipped, 20000 open files are not permitted"

# ---- a thousand damaged models dropped in under load
cp a.safetensors live.safetensors
{
	echo "model_list:"
	groups ok $MODELS
	cat <<-Y
		router_settings:
		  routing_strategy: llmrouter-knn
		  routing_strategy_args: {model_path: $dir/live.safetensors, hot_reload: true}
		general_settings: {master_key: sk-test}
	Y
} >model.yaml
start model.yaml || bad "the gateway starts" "$(cat gw.log)"
n=${MUTATIONS:-1000}
./tool load "$port" 900 300 8 sk-test >load.out &
load=$!
seed=1 taken=0 refused=0 other=0
while [ $seed -le "$n" ]; do
	./tool mutate a.safetensors bad $seed
	mv bad live.safetensors
	case $(ask /router/reload -X POST) in
	200) taken=$((taken + 1)) ;;
	422) refused=$((refused + 1)) ;;
	*) other=$((other + 1)) ;;
	esac
	seed=$((seed + 1))
done
kill -0 $gateway 2>/dev/null && good "$n damaged models: it is alive ($refused refused, $taken taken: unsigned, weights alone damaged)" ||
	bad "$n damaged models: it is alive" "$(tail -n 3 gw.log)"
is "$other" 0 "$n damaged models: each is taken or refused"
cp a.safetensors new && mv new live.safetensors
is "$(ask /router/reload -X POST)" 200 "$n damaged models: then a sound one is taken"
is "$(chosen)" "${one##*/}" "$n damaged models: and decides"
kill -INT $load
wait $load
is "$(field load.out failed)" 0 "$n damaged models: no request failed ($(cut -c 1-120 load.out))"
stop
is "$code" 0 "$n damaged models: SIGTERM ends well"
finish
