#!/bin/sh
# tracing.sh - a gateway's spans by way of a real Jaeger: what serve traces, extract and convert read back.
#
# Starts a Jaeger and a gateway of its own, and an upstream that answers every
# call with the same usage. See jaeger.sh for LLMR and LLMR_JAEGER.
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77)
# with a word why.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
passed=0 failed=0
server= gateway= upstream=
for v in $(env | sed -n 's/^\(OTEL_[A-Z_]*\|LLMR_URL\|JAEGER_QUERY_URL\|LITELLM_[A-Z_]*\)=.*/\1/p'); do unset "$v"; done
no_proxy=127.0.0.1
export no_proxy

for tool in curl python3; do
	if ! command -v $tool >/dev/null 2>&1; then
		echo "SKIP: no $tool"
		exit 77
	fi
done
. "$here/jaeger.inc"
have_jaeger

dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-tracing-XXXXXX") || exit 1
cleanup() {
	for p in $gateway $upstream $server; do
		kill "$p" 2>/dev/null
		wait "$p" 2>/dev/null
	done
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
good() { passed=$((passed + 1)); echo "ok - $1"; }
bad() { failed=$((failed + 1)); echo "not ok - $1"; [ $# -gt 1 ] && echo "#   $2"; }
equal() { if [ "$1" = "$2" ]; then good "$3"; else bad "$3" "got '$1', expected '$2'"; fi; }

if ! start_jaeger; then
	echo "FAIL: Jaeger does not start: $(tail -n 1 jaeger.log)"
	exit 1
fi

# The upstream writes its port and the traceparent of each call.
cat >upstream.py <<'P'
import http.server, json
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        open("calls", "a").write(str(self.headers["traceparent"]) + "\n")
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": "four"}}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
open("port", "w").write(str(s.server_port) + "\n")
s.serve_forever()
P
python3 upstream.py 2>/dev/null &
upstream=$!
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s port ] && break; sleep 0.3; done
up=$(cat port)
cat >gw.yaml <<Y
model_list:
  - model_name: group
    litellm_params: {model: openai/m-one, api_key: none, api_base: "http://127.0.0.1:$up/v1",
      input_cost_per_token: 0.001, output_cost_per_token: 0.002}
  - model_name: away
    litellm_params: {model: openai/m-two, api_key: none, api_base: "http://127.0.0.1:9/v1"}
router_settings: {num_retries: 0}
Y
OTEL_EXPORTER_OTLP_ENDPOINT=${otlp%/v1/traces} OTEL_TRACES_EXPORTER=otlp OTEL_SERVICE_NAME=watched \
OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true \
	"$LLMR" serve -c gw.yaml -l unix:gw.sock >serve.log 2>&1 &
gateway=$!
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S gw.sock ] && break; sleep 0.3; done
ask() { curl -s -o answer --unix-socket gw.sock "$@"; }
i=0
while [ $i -lt 20 ]; do
	ask http://gw/v1/chat/completions -d '{"model":"group","messages":[{"role":"user","content":"question number '$i'"}]}'
	i=$((i + 1))
done
ask -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' \
	http://gw/v1/chat/completions -d '{"model":"group","messages":[{"role":"user","content":"within a trace"}]}'
ask http://gw/v1/chat/completions -d '{"model":"away","messages":[{"role":"user","content":"nobody is there"}]}'
ask http://gw/v1/route -d '{"prompt":"a decision alone","model":"group"}'
curl -s --unix-socket gw.sock http://gw/metrics >metrics
kill "$gateway"
wait "$gateway"
equal $? 0 "the gateway ends well, its queue sent"
gateway=
equal "$(grep -c llmr_telemetry_dropped metrics)" 0 "nothing was dropped"
equal "$(grep -c '^00-0af7651916cd43dd8448eb211c80319c-' calls)" 1 "the caller's trace went on to the upstream"

for i in 1 2 3 4 5 6 7 8 9 10; do
	"$LLMR" -q extract --url "$url" --service watched -o traces.jsonl </dev/null 2>err
	[ "$(wc -l <traces.jsonl)" -eq 23 ] && break
	rm -f traces.jsonl
	sleep 0.5
done
equal "$(wc -l <traces.jsonl | tr -d ' ')" 23 "every request is a trace in Jaeger"
"$LLMR" convert --json traces.jsonl >records.jsonl 2>summary
equal $? 0 "convert reads them"
equal "$(wc -l <records.jsonl | tr -d ' ')" 22 "a record for each call"
equal "$(grep -c '"query":"question number [0-9]*","model_name":"m-one".*"cost":0.017.*"status":"ok".*"requested_model":"group","strategy_name":"simple-shuffle".*"propensity":1' records.jsonl)" 20 \
	"with query, model, cost, status and the decision's propensity"
equal "$(grep -c '"query":"nobody is there".*"status":"error"' records.jsonl)" 1 "a failure is one"
equal "$(grep -c '"trace_id":"0af7651916cd43dd8448eb211c80319c"' records.jsonl)" 1 "the caller's trace id is kept"
equal "$(sed -n 's/.*"decisions":\([0-9]*\).*/\1/p' summary)" 23 "a decision for each request"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
