#!/bin/sh
# Capture the example traces again: run.sh LLMR OUT-DIR
#
# Needs on PATH, or named by a variable: python3, zstd, LITELLM (the proxy's
# command, from  pip install 'litellm[proxy]' opentelemetry-sdk
# opentelemetry-exporter-otlp) and JAEGER (Jaeger's all-in-one, version 1).
set -eu
[ $# -eq 2 ] || { echo "usage: run.sh LLMR OUT-DIR" >&2; exit 64; }
llmr=$(command -v "$1")
case $llmr in /*) ;; *) llmr=$PWD/$llmr ;; esac
mkdir -p "$2"
out=$(cd "$2" && pwd)
work=$(mktemp -d)
pids=
stop() {
	for p in $pids; do kill "$p" 2>/dev/null || :; done
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM
cd "$(dirname "$0")"
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE

# wait_for URL: until something answers there
wait_for() {
	n=0
	until python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null; do
		n=$((n + 1))
		[ $n -lt 120 ] || { echo "run.sh: no answer from $1" >&2; exit 69; }
		sleep 1
	done
}

"${JAEGER:-jaeger-all-in-one}" \
	--query.http-server.host-port=127.0.0.1:18686 --query.grpc-server.host-port=127.0.0.1:18685 \
	--collector.otlp.http.host-port=127.0.0.1:18318 --collector.otlp.grpc.host-port=127.0.0.1:18317 \
	--collector.http-server.host-port=127.0.0.1:18268 --collector.grpc-server.host-port=127.0.0.1:18250 \
	--admin.http.host-port=127.0.0.1:18269 >"$work/jaeger.log" 2>&1 &
pids="$pids $!"
python3 stub.py 18200 &
pids="$pids $!"
wait_for http://127.0.0.1:18686/api/services
OTEL_EXPORTER=otlp_http OTEL_ENDPOINT=http://127.0.0.1:18318/v1/traces OTEL_SERVICE_NAME=litellm-gateway \
	OTEL_BSP_MAX_QUEUE_SIZE=65536 LITELLM_LOCAL_MODEL_COST_MAP=True \
	"${LITELLM:-litellm}" --config config.yaml --host 127.0.0.1 --port 18400 >"$work/litellm.log" 2>&1 &
pids="$pids $!"
wait_for http://127.0.0.1:18400/health/liveliness

python3 ask.py http://127.0.0.1:18400
sleep 10	# the gateway exports in batches, the last one within five seconds
"$llmr" extract --from jaeger --url http://127.0.0.1:18686 --service litellm-gateway --since 1h -o "$work/raw.jsonl"
python3 keep.py <"$work/raw.jsonl" | zstd -19 -q -f -o "$out/traces.jsonl.zst"
python3 judge.py >"$out/labels.jsonl"
ls -l "$out"
