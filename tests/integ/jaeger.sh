#!/bin/sh
# jaeger.sh - extract against a real Jaeger: everything, exactly once.
#
# Starts a Jaeger of its own on free ports of 127.0.0.1, feeds it by OTLP/HTTP
# with 5,000 made traces and what examples/ holds, and extracts with limits of
# 7, 20 and 1,000, with interruptions and kills in between.
#   LLMR          the binary (build/llmr)
#   LLMR_JAEGER   a jaeger all-in-one binary; built by build-jaeger.sh otherwise
#   TRACES        how many to make (5000)
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77)
# with a word why.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
traces=${TRACES:-5000}
passed=0 failed=0
server=

unset LLMR_JAEGER_USER LLMR_JAEGER_PASSWORD LLMR_JAEGER_TOKEN LLMR_URL JAEGER_QUERY_URL OTEL_SERVICE_NAME
no_proxy=127.0.0.1
export no_proxy

if ! command -v curl >/dev/null 2>&1; then
	echo "SKIP: no curl to feed Jaeger with"
	exit 77
fi
. "$here/jaeger.inc"
have_jaeger

dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-jaeger-XXXXXX") || exit 1
cleanup() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null
		wait "$server" 2>/dev/null
	fi
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1

good() { passed=$((passed + 1)); echo "ok - $1"; }
bad() { failed=$((failed + 1)); echo "not ok - $1"; [ $# -gt 1 ] && echo "#   $2"; }
check() { # NAME CMD...
	what=$1
	shift
	if "$@" >/dev/null 2>&1; then good "$what"; else bad "$what" "$(tail -n 1 err 2>/dev/null)"; fi
}

# feed FILE: each line is one OTLP JSON request
feed() {
	rm -rf parts
	mkdir parts
	split -l 1 -a 5 "$1" parts/p.
	for p in parts/p.*; do
		curl -sf -o /dev/null -H 'Content-Type: application/json' --data-binary @"$p" "$otlp" ||
			return 1
	done
}

# Trace ids with the number of spans of each, sorted.
ids() { grep -oh '"traceId":"[0-9a-fA-F]*"' "$@" | sort | uniq -c; }

if ! start_jaeger; then
	echo "FAIL: Jaeger does not start: $(tail -n 1 jaeger.log)"
	exit 1
fi
t0=$(($(date +%s) - 80000))
awk -v n="$traces" -v seed=1 -v t0=$t0 -v service=made-gateway -f "$here/gentraces.awk" >fed.jsonl
check "Jaeger takes $traces made traces" feed fed.jsonl
ids fed.jsonl >want
x() { "$LLMR" extract --url "$url" --service "$service" "$@" </dev/null 2>err; }
service=made-gateway

for limit in 7 20 1000; do
	check "extract with limit $limit" x --limit $limit -o out.$limit.jsonl
	ids out.$limit.jsonl >got
	check "limit $limit brings every trace once, with all its spans" cmp got want
	[ "$(wc -l <out.$limit.jsonl)" -eq "$traces" ]
	check "limit $limit: one line a trace" [ $? -eq 0 ]
done
check "the output does not depend on the limit" cmp out.7.jsonl out.1000.jsonl
check "extract with 5 requests in flight" x --limit 20 --concurrency 5 -o many.jsonl
check "the output does not depend on concurrency" cmp many.jsonl out.7.jsonl
check "nothing is left behind" sh -c '! ls *.partial *.state'

# stopped SIGNAL OUT ARGS...: run in the background until something is in the
# state file, then send the signal. Sets $status.
stopped() {
	sig=$1 out=$2
	shift 2
	"$LLMR" extract --url "$url" --service "$service" -o "$out" "$@" </dev/null 2>err &
	pid=$!
	waited=0
	while [ $waited -lt 300 ]; do
		waited=$((waited + 1))
		sleep 0.2
		grep -q upto_us "$out.state" 2>/dev/null && break
	done
	kill -"$sig" $pid 2>/dev/null
	wait $pid 2>/dev/null
	status=$?
}

for kind in jsonl jsonl.gz jsonl.zst; do
	case $kind in
	*.gz) unpack='gzip -dc' ;;
	*.zst) unpack='zstd -dc' ;;
	*) unpack='cat' ;;
	esac
	for sig in INT KILL; do
		out=$sig.$kind
		rm -f "$out".*
		# Stopped twice, then to the end.
		stopped $sig "$out" --limit 7 --concurrency 1
		first=$status
		case $sig in INT) want_status=130 ;; *) want_status=137 ;; esac
		check "SIG$sig ends $kind in the middle" [ "$first" -eq $want_status ]
		check "SIG$sig leaves no $kind that looks finished" [ ! -e "$out" ]
		stopped $sig "$out" --limit 7 --concurrency 2
		check "SIG$sig: $kind goes on to the end" x --limit 50 -o "$out"
		check "SIG$sig: it went on, not over" grep -q 'going on from' err
		$unpack "$out" >plain 2>/dev/null
		ids plain >got
		check "SIG$sig: $kind has every trace once" cmp got want
	done
done

service=nobody
check "an unknown service gives nothing and says so" x -o none.jsonl
check "the warning names the service" grep -q "service 'nobody'" err
x --fail-empty -o none.jsonl
check "--fail-empty exits 1" [ $? -eq 1 ]
service=made-gateway
x --tag otel.status_code=ERROR -o tag.jsonl --operation 'step 1'
check "operation and tags are passed on" [ $? -eq 0 ]
check "an operation selects whole traces" x --operation 'step 4' -o op.jsonl
[ "$(wc -l <op.jsonl)" -gt 0 ] && [ "$(grep -c '"name":"step 4"' op.jsonl)" -eq "$(wc -l <op.jsonl)" ]
check "each of them holds the operation" [ $? -eq 0 ]
"$LLMR" extract --url "$url/nowhere" -o html.jsonl </dev/null 2>err
check "a path outside of the API exits 69" [ $? -eq 69 ]
check "and is recognised as HTML" grep -q HTML err

# What the project's own examples hold, as a gateway would have sent it.
for f in "$src"/examples/*.jsonl.zst "$src"/examples/*.jsonl; do
	[ -e "$f" ] || continue
	case $f in
	*.zst) zstd -dc "$f" >example.jsonl 2>/dev/null ;;
	*) cp "$f" example.jsonl ;;
	esac
	grep -q '^{"resourceSpans"' example.jsonl || continue
	file=$(basename "$f")
	service=$(sed -n 's/.*"service.name","value":{"stringValue":"\([^"]*\)".*/\1/p' example.jsonl | head -n 1)
	check "Jaeger takes $file" feed example.jsonl
	check "extract $file" x --start 2020-01-01 --limit 20 -o example.out.jsonl
	ids example.jsonl >want
	ids example.out.jsonl >got
	check "$file comes back whole" cmp got want
	"$LLMR" convert -q example.jsonl 2>err </dev/null | sort >want
	"$LLMR" convert -q example.out.jsonl 2>err </dev/null | sort >got
	check "$file gives the same records after Jaeger as before" cmp got want
	check "and there are some" [ -s got ]
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
