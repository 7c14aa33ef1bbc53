#!/bin/sh
# The whole life of a router on one machine: run.sh [LLMR [WORK-DIR]]
#
# Starts on loopback Jaeger, MinIO, PostgreSQL and MLflow, each where it is installed or can be, and
# a stub in place of model providers; then: requests through the gateway -> traces -> extract ->
# convert -> train -> gate -> sign -> push -> pull and hot reload -> canary -> rollback.
# Everything ends with the script.
#   JAEGER   Jaeger's all-in-one (else built from its Go module, a few minutes once)
#   MINIO    MinIO's server (else a folder is the registry)
#   MLFLOW   the mlflow command (else one from build/mlflow; without any, runs stay local)
#   STEP     ask every STEP-th example prompt (1)
#   STOP     a step after which to stop and leave everything up until a key is pressed
# Ports: gateway 4010, Jaeger 16686 and 4318, MinIO 9000 and 9001, MLflow 5050, PostgreSQL 5432; where
# one is taken, the next free one.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
llmr=${1:-$src/build/llmr}
case $llmr in */*) llmr=$(cd "$(dirname "$llmr")" && pwd)/$(basename "$llmr") ;; *) llmr=$(command -v "$llmr") ;; esac
work=${2:-$src/build/stack}
rm -rf "$work"
mkdir -p "$work"
cd "$work"
step=${STEP:-1}
pids= pgdata=
PYTHONDONTWRITEBYTECODE=1 no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost LLMR_SETTINGS=/dev/null
XDG_STATE_HOME=$work/state XDG_CACHE_HOME=$work/cache LITELLM_MASTER_KEY=sk-example
export PYTHONDONTWRITEBYTECODE no_proxy NO_PROXY LLMR_SETTINGS XDG_STATE_HOME XDG_CACHE_HOME LITELLM_MASTER_KEY
end() {
	trap - EXIT
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	for p in $pids; do wait "$p" 2>/dev/null || :; done
	[ -z "$pgdata" ] || rm -rf "$pgdata"
}
trap end EXIT
trap 'exit 130' INT TERM

title() { printf '\n%s\n' "== $1"; }
told() { printf '   %s\n' "$*"; }
# run ARG...: show an llmr command, and run it; the script ends when it fails
run() {
	printf '   $ llmr'
	for a; do case $a in *[!A-Za-z0-9_./=,:@%+-]*) printf " '%s'" "$a" ;; *) printf ' %s' "$a" ;; esac; done
	printf '\n'
	status=0
	"$llmr" "$@" >said 2>&1 || status=$?
	sed 's/^/     /' said
	[ $status -eq 0 ] || fail "llmr $1 ended with status $status"
}
after() {
	[ "${STOP:-}" = "$1" ] || return 0
	told "stopped after '$1'; everything is up. Press Enter to end."
	read -r _
	exit 0
}
fail() { echo "run.sh: $*" >&2; exit 1; }
open_port() { python3 -c 'import socket, sys
s = socket.socket(); s.settimeout(1); sys.exit(0 if s.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0 else 1)' "$1"; }
# port WANTED: it, or the next that is free
port() {
	p=$1
	while open_port "$p"; do p=$((p + 1)); done
	echo "$p"
}
# until_up WHAT URL: wait at most a minute
until_up() {
	n=0
	until curl -fsS -o /dev/null --max-time 5 "$2" 2>/dev/null; do
		n=$((n + 1))
		[ $n -lt 120 ] || fail "$1 did not start, see $work"
		sleep 0.5
	done
}

start_stub() {
	stub=$(port 18200)
	python3 "$here/../capture/stub.py" "$stub" >stub.log 2>&1 &
	pids="$pids $!"
	told "model providers: a stub on port $stub"
}
start_jaeger() {
	jaeger=${JAEGER:-$src/build/jaeger-all-in-one}
	[ -x "$jaeger" ] || sh "$src/tests/integ/build-jaeger.sh" "$jaeger" || { jaeger=; told "Jaeger: not there, and no Go to build it"; return 0; }
	query=$(port 16686) otlp=$(port 4318)
	"$jaeger" --query.http-server.host-port=127.0.0.1:$query --collector.otlp.http.host-port=127.0.0.1:$otlp \
		--query.grpc-server.host-port=127.0.0.1:0 --collector.otlp.grpc.host-port=127.0.0.1:0 \
		--collector.http-server.host-port=127.0.0.1:0 --collector.grpc-server.host-port=127.0.0.1:0 \
		--admin.http.host-port=127.0.0.1:0 >jaeger.log 2>&1 &
	pids="$pids $!"
	until_up Jaeger "http://127.0.0.1:$query/api/services"
	told "Jaeger: http://127.0.0.1:$query, OTLP on port $otlp"
}
start_minio() {
	minio=${MINIO:-$(command -v minio || :)}
	registry=dir:$work/registry
	[ -n "$minio" ] || { told "MinIO: not there; the registry is a folder"; return 0; }
	api=$(port 9000) console=$(port 9001)
	[ "$api" -ne "$console" ] || console=$((console + 1))
	mkdir -p minio/models
	MINIO_ROOT_USER=example MINIO_ROOT_PASSWORD=example-secret "$minio" server --quiet --address "127.0.0.1:$api" \
		--console-address "127.0.0.1:$console" minio >minio.log 2>&1 &
	pids="$pids $!"
	AWS_ENDPOINT_URL=http://127.0.0.1:$api AWS_ACCESS_KEY_ID=example AWS_SECRET_ACCESS_KEY=example-secret AWS_REGION=us-east-1
	export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
	until_up MinIO "$AWS_ENDPOINT_URL/minio/health/live"
	registry=s3://models/prod
	told "MinIO: $AWS_ENDPOINT_URL, console on port $console"
}
start_postgres() {
	store=sqlite:///$work/mlflow.db
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$bin" ] || { told "PostgreSQL: not there; MLflow keeps its runs in sqlite"; return 0; }
	as=
	if [ "$(id -u)" -eq 0 ]; then
		id postgres >/dev/null 2>&1 && command -v setpriv >/dev/null || { told "PostgreSQL: no user to run it as"; return 0; }
		as="setpriv --reuid=postgres --regid=postgres --clear-groups"
	fi
	pgdata=$(mktemp -d /tmp/llmr-stack-pg-XXXXXX)
	pg=$(port 5432)
	[ -z "$as" ] || chown postgres "$pgdata"
	(cd "$pgdata" && $as "$bin/initdb" -D data -U example -A trust >log 2>&1) || { told "PostgreSQL: initdb failed"; return 0; }
	(cd "$pgdata" && exec $as "$bin/postgres" -D data -p "$pg" -h 127.0.0.1 -k "$pgdata" >>log 2>&1) &
	pids="$pids $!"
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		"$bin/pg_isready" -q -h 127.0.0.1 -p "$pg" && break
		sleep 0.5
	done
	"$bin/createdb" -h 127.0.0.1 -p "$pg" -U example mlflow || { told "PostgreSQL: did not start"; return 0; }
	store=postgresql://example@127.0.0.1:$pg/mlflow
	told "PostgreSQL: port $pg"
}
start_mlflow() {
	mlflow=${MLFLOW:-$src/build/mlflow/bin/mlflow}
	[ -x "$mlflow" ] || mlflow=$(command -v mlflow || :)
	[ -n "$mlflow" ] || { told "MLflow: not there (pip install mlflow psycopg2-binary); runs are kept locally"; return 0; }
	"$(dirname "$mlflow")/python" -c 'import psycopg2' 2>/dev/null || store=sqlite:///$work/mlflow.db
	track=$(port 5050)
	"$mlflow" server --host 127.0.0.1 --port "$track" --backend-store-uri "$store" \
		--artifacts-destination "$work/mlartifacts" --workers 1 >mlflow.log 2>&1 &
	pids="$pids $!"
	(until_up MLflow "http://127.0.0.1:$track/health") || { told "MLflow did not start (mlflow.log); runs are kept locally"; return 0; }
	MLFLOW_TRACKING_URI=http://127.0.0.1:$track
	export MLFLOW_TRACKING_URI
	told "MLflow: $MLFLOW_TRACKING_URI (${store%%:*})"
}
write_config() { # STRATEGY: gw.yaml
	mkdir -p models
	{
		echo "model_list:"
		for m in openai/gpt-4o-mini deepseek/deepseek-chat deepinfra/meta-llama/Meta-Llama-3.1-8B-Instruct \
			mistral/codestral-latest mistral/mistral-large-latest; do
			echo "  - {model_name: $m, litellm_params: {model: $m, api_base: \"http://127.0.0.1:$stub/v1\", api_key: k}}"
		done
		echo "general_settings: {master_key: os.environ/LITELLM_MASTER_KEY, models_dir: $work/models}"
		echo "router_settings:"
		echo "  routing_strategy: $1"
		[ "$1" = simple-shuffle ] || cat <<-Y
			  routing_strategy_args:
			    model_path: $work/models/router/current/router.safetensors
			    hot_reload: true
			    reload_interval: 300
			model_switching: {enabled: true}
		Y
	} >gw.new
	mv gw.new gw.yaml
}
start_gateway() {
	write_config simple-shuffle
	gport=$(port 4010)
	gateway=http://127.0.0.1:$gport
	[ -z "$jaeger" ] || { OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$otlp; export OTEL_EXPORTER_OTLP_ENDPOINT; }
	OTEL_TRACES_EXPORTER=otlp OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true \
		"$llmr" serve --config gw.yaml --listen "127.0.0.1:$gport" --state-dir "$work/state/serve" >gateway.log 2>&1 &
	gpid=$!
	pids="$gpid $pids"
	until_up "the gateway" "$gateway/_health/ready"
	told "gateway: $gateway"
}
admin() { curl -sS --max-time 60 -H "Authorization: Bearer $LITELLM_MASTER_KEY" "$@"; }
digest() { admin "$gateway/router/info" | sed -n 's/.*"sha256":"\([0-9a-f]*\)".*/\1/p'; }

do_requests() { python3 "$here/ask.py" "$gateway" "$LITELLM_MASTER_KEY" each "$step" | sed 's/^/   /'; }
do_extract() {
	# By trace id alone: the spans name a model as its provider does.
	python3 "$here/../capture/judge.py" | sed 's/"model_name":"[^"]*",//' >labels.jsonl
	if [ -n "$jaeger" ]; then
		sleep 8		# spans leave in batches
		"$llmr" extract --url "http://127.0.0.1:$query" --service litellm-gateway --since 1h -o traces.jsonl.zst 2>said || :
		sed 's/^/     /' said
		[ "$(zstd -dcq traces.jsonl.zst 2>/dev/null | wc -l)" -gt 100 ] && return 0
	fi
	told "no traces of this gateway came: the captured ones of examples/ stand in"
	run extract --from file "$src/examples/traces.jsonl.zst" -o traces.jsonl.zst --restart
	cp "$src/examples/labels.jsonl" labels.jsonl
}
do_train() { # FOLDER KIND
	run train "$2" --data data/routing_train.jsonl -o "$1/router.safetensors"
}
do_gate() { # FOLDER
	run eval --model "$1/router.safetensors" --data data/routing_test.jsonl --min-full 15 --gate 'gap_closed>=0.15 && delta_best_single.lo>0'
}
do_push() { # FOLDER VERSION
	run push -s ci.key -p ci.pub "$1/router.safetensors" "$registry" --name router --version "$2"
}
do_pull() { run pull -p ci.pub "$registry" --name router -o models/router; }
now_serving() { told "in service: $(digest | cut -c 1-16)..., $(admin "$gateway/_health/ready")"; }

title "1. What is there"
start_stub
start_jaeger
start_minio
start_postgres
start_mlflow
start_gateway
after start
title "2. Requests: each prompt to each model, through the gateway"
do_requests
after requests
title "3. Traces to routing records"
do_extract
run convert traces.jsonl.zst --labels labels.jsonl --out-dir data
after convert
title "4. Train, and a gate on prompts that the router has not seen"
mkdir -p v1 v2
do_train v1 knn
do_gate v1
after gate
title "5. Sign and publish"
run keygen -W -p ci.pub -s ci.key
run sign -s ci.key v1/router.safetensors
do_push v1 v1
after push
title "6. Bring it to the gateway, and reload"
do_pull
write_config llmrouter-knn
admin -X POST "$gateway/config/reload" | sed 's/^/   /'
echo
now_serving
[ "$(digest)" = "$(sha256sum v1/router.safetensors | cut -d ' ' -f 1)" ] || fail "the router is not in service"
python3 "$here/ask.py" "$gateway" "$LITELLM_MASTER_KEY" auto "$step" | sed 's/^/   /'
after reload
title "7. A second version, by hot reload: the gateway notices the file"
run train knn --hparam k=15 --data data/routing_train.jsonl -o v2/router.safetensors
do_gate v2
run sign -s ci.key v2/router.safetensors
do_push v2 v2
first=$(digest)
do_pull
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(digest)" = "$first" ] || break
	sleep 0.5
done
if [ "$(digest)" = "$first" ]; then
	told "not noticed within 10 s: asked to reload"
	admin -X POST "$gateway/router/reload" | sed 's/^/   /'
	echo
fi
now_serving
[ "$(digest)" != "$first" ] || fail "the second version is not in service"
after hot-reload
title "8. Canary: a fifth of the users get a third version"
if "$llmr" switch --help >/dev/null 2>&1; then
	run train knn --hparam k=31 --data data/routing_train.jsonl -o models/v3.safetensors
	run sign -s ci.key models/v3.safetensors
	run switch register v3 v3.safetensors --url "$gateway"
	run switch start v3 --url "$gateway" --strategy canary --set initial_percentage=20 --set evaluation_period_minutes=1
	python3 "$here/ask.py" "$gateway" "$LITELLM_MASTER_KEY" auto "$step" | sed 's/^/   /'
	run switch status --url "$gateway"
	after canary
	title "9. Rollback"
	run switch rollback --url "$gateway"
	run switch status --url "$gateway"
else
	told "this llmr has no 'switch'"
fi
title "10. The registry too goes back"
run rollback router --registry "$registry" -s ci.key -p ci.pub
do_pull
admin -X POST "$gateway/router/reload" | sed 's/^/   /'
echo
now_serving
[ "$(digest)" = "$first" ] || fail "the first version is not back in service"
kill "$gpid"
wait "$gpid" || fail "the gateway ended with status $?"
told "the gateway drained and ended well; logs and files are in $work"
