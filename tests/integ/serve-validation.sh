#!/bin/sh
# serve-validation.sh - the checklist that a deployment of routed models has to pass, each item by its name:
# hot reload under load, fallback from a broken model, the latency budget.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/serve.inc"
routers
stub
cp a.safetensors live.safetensors
{
	echo "model_list:"
	groups ok $MODELS
	cat <<-Y
		router_settings:
		  routing_strategy: llmrouter-knn
		  routing_strategy_args: {model_path: $dir/live.safetensors, hot_reload: true, reload_interval: 300}
		general_settings: {master_key: sk-test}
	Y
} >gw.yaml
start gw.yaml || { cat gw.log; bad "the gateway starts" "$(cat gw.log)"; finish; exit; }
a=$(chosen)
is "$a" "${one##*/}" "the model in service decides as 'llmr route' does"

# ---- Hot Reload Test: replace the model under load; no error, and decisions follow
./tool load "$port" 12 1000 16 sk-test >load.out &
load=$!
wrong=0 slow=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ $((i % 2)) -eq 1 ] && m=b want=${two##*/} || { m=a want=${one##*/}; }
	# Whole by rename, and overwritten in place.
	if [ $((i % 3)) -eq 0 ]; then cat $m.safetensors >live.safetensors; else cp $m.safetensors new && mv new live.safetensors; fi
	[ "$(ask /router/reload -X POST)" = 200 ] || wrong=$((wrong + 1))
	[ "$(chosen)" = "$want" ] || wrong=$((wrong + 1))
	sleep 0.6
done
wait $load
is "$wrong" 0 "Hot Reload Test: after each of 10 reloads by API the new model decides"
is "$(field load.out failed)" 0 "Hot Reload Test: no request failed ($(cat load.out))"
is "$(field load.out closed)" 0 "Hot Reload Test: no connection was closed"
has "$(field load.out models)" "${two##*/}" "Hot Reload Test: clients under load saw the new decisions"
kill -HUP $gateway
sleep 0.5
is "$(chosen)" "${one##*/}" "Hot Reload Test: SIGHUP reloads as well"
cp b.safetensors new && mv new live.safetensors
for i in $(seq 60); do [ "$(chosen)" = "${two##*/}" ] && break; sleep 0.1; done
is "$(chosen)" "${two##*/}" "Hot Reload Test: a file that is replaced is noticed without being told (hot_reload: true)"
sleep 1.1
cp -p a.safetensors new && touch -d 2001-01-01 new && mv new live.safetensors
for i in $(seq 60); do [ "$(chosen)" = "${one##*/}" ] && break; sleep 0.1; done
is "$(chosen)" "${one##*/}" "Hot Reload Test: so is an older one"

# ---- Fallback Test: a broken model is refused, the old one serves on; none at all: static routing, degraded
refused() { # NAME
	s=$(ask /router/reload -X POST --max-time 10)
	is "$s" 422 "Fallback Test: $1 is refused ($(head -c 150 out 2>/dev/null))"
	cp out why
	is "$(chosen)" "${one##*/}" "Fallback Test: and the old model decides on"
}
./tool load "$port" 8 500 8 sk-test >load.out &
load=$!
place() { rm -rf live.safetensors && mv bad live.safetensors; }
head -c 5000 a.safetensors >bad; place; refused "a truncated model"
: >bad; place; refused "an empty model"
{ printf '\200\004\225'; head -c 500 a.safetensors; } >bad; place; refused "a pickle"
has "$(cat why)" "llmr train" "Fallback Test: with the command that trains anew"
{ printf 'PK\003\004'; head -c 500 a.safetensors; } >bad; place; refused "a zip of torch.save"
{ head -c 8 a.safetensors; head -c 300 /dev/urandom; tail -c +309 a.safetensors; } >bad; place; refused "a model with a damaged head"
"$LLMR" -q train svm --data a.jsonl -o bad; place; refused "a model of another kind"
mkdir bad; place; refused "a directory"
mkfifo bad; place; refused "a pipe"
rm -f live.safetensors; refused "a model that is gone"
wait $load
is "$(field load.out failed)" 0 "Fallback Test: no request failed meanwhile ($(cat load.out))"
is "$(field load.out models | grep -c "^${one##*/}:[0-9]*$")" 1 "Fallback Test: and every one was decided by the old model"
stop
is "$code" 0 "the gateway ends well"
head -c 5000 a.safetensors >live.safetensors
if start gw.yaml; then
	good "Fallback Test: with a corrupt model it starts"
	s=$(ask /_health/ready)
	is "$s" 200 "Fallback Test: and is ready"
	has "$(cat out)" '"is_degraded":true' "Fallback Test: degraded"
	is "$(ask /v1/route -d '{"prompt":"x"}')" 200 "Fallback Test: and decides"
	cp a.safetensors live.safetensors
	is "$(ask /router/reload -X POST)" 200 "Fallback Test: until a sound model comes"
	ask /_health/ready >/dev/null
	has "$(cat out)" '"is_degraded":false' "Fallback Test: not degraded any more"
	stop
else
	bad "Fallback Test: with a corrupt model it starts" "$(tail -n 2 gw.log)"
fi

# ---- Latency Budget: inference below 50 ms at P99
p99=$("$LLMR" bench --model a.safetensors --queries a.jsonl --json | sed -n 's/.*"latency_us":{[^}]*"p99":\([0-9.]*\).*/\1/p')
if [ "$(awk -v x="${p99:-1e9}" 'BEGIN { print x < 50000 }')" = 1 ]; then good "Latency Budget: P99 of a decision is $p99 us, at most 50 ms"; else
	bad "Latency Budget" "P99 $p99 us"; fi
cp a.safetensors live.safetensors
if start gw.yaml; then
	./tool load "$port" 3 500 8 sk-test >load.out
	if [ "$(field load.out p99_us)" -lt 50000 ]; then good "Latency Budget: over HTTP too ($(cat load.out))"; else
		bad "Latency Budget: over HTTP" "$(cat load.out)"; fi
	is "$(ask /v1/route -d "{\"prompt\":\"$prompt\"}")" 200 "a decision"
	us=$(sed -n 's/.*"timings_us":{[^}]*"total":\([0-9.]*\).*/\1/p' out)
	[ -n "$us" ] || us=$(sed -n 's/.*"timings_us":{\([^}]*\)}.*/\1/p' out)
	has "x$us" x "and what it took: $us"
	stop
fi
finish
