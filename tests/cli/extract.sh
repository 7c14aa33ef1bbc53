#!/bin/sh
# extract against a server that misbehaves on request, and from files
. "$(dirname "$0")/lib.sh"

if ! ${CC:-cc} -O1 -o faultserver "$SRC/tests/integ/faultserver.c" -lz -pthread 2>cc.err; then
	skip "extract: the fault server does not build: $(head -n 1 cc.err)"
	exit 0
fi
no_proxy=127.0.0.1
export no_proxy
unset JAEGER_QUERY_URL OTEL_SERVICE_NAME CURL_CA_BUNDLE
server=
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT

# serve ARGS...: a fault server of its own; sets $url
serve() {
	[ -n "$server" ] && kill "$server" 2>/dev/null
	rm -f port log
	./faultserver -l log "$@" >port &
	server=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
		[ -s port ] && break
		sleep 0.1
	done
	url=http://127.0.0.1:$(cat port)
}
x() { "$LLMR" extract --url "$url" "$@"; }
count() { grep -oh '"traceId":"[0-9a-f]*"' "$@" | sort -u | wc -l | tr -d ' '; }
requests() { wc -l <log | tr -d ' '; }
# whole FILE N NAME: N traces, each on one line with both of its spans
whole() {
	equal "$(count "$1") $(wc -l <"$1" | tr -d ' ') $(grep -o '"spanId"' "$1" | wc -l | tr -d ' ')" \
		"$2 $2 $(($2 * 2))" "$3"
}

# completeness whatever the limit
serve -n 300
for limit in 3 20 299 300 301 1000; do
	ok "limit $limit" x --limit $limit -o out.$limit
	whole out.$limit 300 "limit $limit brings all, once"
done
same out.3 out.1000 "the output does not depend on the limit"
ok "six requests in flight" x --limit 3 --concurrency 6 -o six
same six out.3 "the output does not depend on concurrency"
ok "gzip output" x --limit 50 -o out.gz
gzip -dc out.gz >plain
same plain out.3 "the .gz holds the same"
ok "standard output" x --limit 50
same out out.3 "standard output holds the same"
match log 'service=litellm-gateway&start=[0-9]{16}&end=[0-9]{16}&limit=50&raw=true' "the query has every part"
ok "summary as JSON" x --limit 20 -o sum --json
equal "$(json out traces) $(json out spans) $(json out truncated_windows)" "300 600 0" "its counts"
serve -n 0
ok "nothing found" x -o empty
match err 'no traces of service' "says so"
status 1 "--fail-empty" x --fail-empty -o empty
ok "operation and tags are encoded" x --operation 'a b&c' --tag 'k=v"w' --tag e=1 -o empty
match log 'operation=a%20b%26c.*tags=%7B%22k%22%3A%22v%5C%22w%22%2C%22e%22%3A%221%22%7D' "as JSON of strings"

# many traces in one microsecond
serve -n 60 -m 30
ok "a microsecond with more traces than the limit" x --limit 7 -o burst
whole burst 60 "the limit grows until it is whole"
serve -n 60 -m 30 '* depth 16'
status 75 "the server allows no larger limit" x --limit 7 -o burst
match err 'more than .* traces begin within one microsecond' "the loss is named"
match err 'incomplete' "and ends the run"

# limits that the server refuses
serve -n 100 '* depth 20'
ok "search depth" x --limit 1000 -o depth
whole depth 100 "a refused limit is halved"
serve -n 100 '* depth 0'
status 69 "no limit is accepted" x -o depth
match err 'search depth' "the server's word is passed on"

# faults that pass
for fault in 'status 500' 'status 503' 'retry 1' 'retrydate 1' half cut empty reset badgzip; do
	serve -n 50 "2 $fault"
	ok "$fault once" x --limit 20 -o again.out
	whole again.out 50 "$fault once: nothing is lost"
done
for form in gzip rawgzip text decoy; do
	serve -n 50 "* $form"
	ok "$form answers" x --limit 20 -o form.out
	whole form.out 50 "$form answers are read"
done

# faults that stay
refused() { # STATUS RULE ERE NAME
	serve -n 50 "* $2"
	status "$1" "$4" x --retries 1 --timeout 1s -o never
	match err "$3" "$4: the word"
	one_line_error "$4: one line"
	nofile 'never*' "$4: nothing left behind"
}
refused 69 html 'answered HTML: is --url the base' 'HTML for an answer'
refused 69 notjson 'not JSON' 'text for an answer'
refused 77 'status 401' 'answered 401.*--auth-file' 'not authenticated'
refused 77 'status 403' 'answered 403' 'forbidden'
refused 69 'status 404' '404.*base path' 'no such path'
refused 64 'status 400' '400|refuses the query: no such luck' 'bad request'
refused 69 'status 500' 'gave up after 2 tries.*no such luck' 'server error'
refused 69 half 'gave up after 2 tries' 'half a body'
refused 69 cut 'malformed document' 'half a body of unknown length'
refused 69 stall '[Tt]imed out|too slow' 'a stalled answer'
refused 69 silent '[Tt]imed out|too slow' 'no answer'
refused 69 'retry 4000' 'asks to wait 4000 s' 'a very long Retry-After'
serve -n 50 '* everything'
status 69 "a server that ignores start and end" x --limit 10 --start @1000 --end @2000 -o never
match err 'honour start and end' "is found out"
kill "$server"; wait "$server" 2>/dev/null
status 69 "nobody listens" x --retries 0 -o never
match err '[Cc]onnect' "nobody listens: the word"
nofile 'never*' "nobody listens: nothing left behind"

# answers that are not whole
serve -n 20 '* partial'
status 75 "errors beside the data" x -o partial
match err 'shard 3 is away' "are reported"
whole partial 20 "and the data is kept"
serve -n 20 '1-2 partial'
ok "errors beside the data that pass" x -o partial
whole partial 20 "are asked for again"
serve -n 20 '* bad'
status 65 "a malformed trace" x -o bad.out
match err 'left out' "is counted and named"
whole bad.out 20 "and the others are kept"
serve -n 20 '* big 3'
status 65 "a trace above --max-trace-bytes" x --max-trace-bytes 1MiB -o big.out
match err 'max-trace-bytes' "is named with what to do"
whole big.out 20 "the others are kept"
ok "the same under the limit" x -o big.out

# credentials
basic=$(printf 'ann:pa:ss' | base64)
serve -n 5 "* auth Basic $basic"
printf 'ann:pa:ss\n' >auth
ok "--auth-file" x --auth-file auth -o a.out
LLMR_JAEGER_USER=ann LLMR_JAEGER_PASSWORD=pa:ss
export LLMR_JAEGER_USER LLMR_JAEGER_PASSWORD
ok "user and password from the environment" x -o a.out
unset LLMR_JAEGER_USER LLMR_JAEGER_PASSWORD
status 77 "without them" x -o never
serve -n 5 "* auth Bearer t0ken"
echo t0ken >token
ok "--token-file" x --token-file token -o a.out
LLMR_JAEGER_TOKEN=t0ken
export LLMR_JAEGER_TOKEN
ok "token from the environment" x -o a.out
serve -n 5 '1 redirect http://localhost:1/elsewhere'
status 77 "a redirect to another host" x -o never
match err 'credentials are not sent' "gets no credentials"
unset LLMR_JAEGER_TOKEN
serve -n 5 '1 redirect /there/api/traces?service=s&limit=1000'
ok "a redirect on the same host is followed" x -o redirected
equal "$(count redirected)" 5 "to its answer"
serve -n 5 '* redirect /loop'
status 69 "a loop of redirects" x -o never
serve -n 5 '1 redirect file:///etc/passwd'
status 64 "a redirect to a file" x -o never
absent err root: "is not followed"
status 64 "a password in the URL" "$LLMR" extract --url http://ann:secret@127.0.0.1:1 -o never
absent err secret "is not repeated"
status 64 "another protocol" "$LLMR" extract --url ftp://127.0.0.1/ -o never
status 77 "a host that is not allowed" x --allowed-hosts jaeger.example,10.0.0.1 -o never
ok "a host that is" x --allowed-hosts jaeger.example,127.0.0.1 -o a.out
status 64 "--tag without a value" x --tag novalue -o never
status 64 "an empty range" x --start 2026-01-02 --end 2026-01-01 -o never
nofile 'never*' "none of them leaves a file"

# TLS: a page of HTML behind it tells that the handshake went well
if command -v openssl >/dev/null 2>&1 &&
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
		-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null; then
	tls=$((20000 + $$ % 20000))
	openssl s_server -accept 127.0.0.1:$tls -cert cert.pem -key key.pem -www -quiet >/dev/null 2>&1 &
	tls_server=$!
	for i in 1 2 3 4 5 6 7 8 9 10; do
		"$LLMR" extract --url https://127.0.0.1:$tls --retries 0 --ca-file cert.pem -o never 2>err </dev/null
		grep -q HTML err && break
		sleep 0.2
	done
	match err 'answered HTML' "--ca-file makes a private authority trusted"
	status 69 "--ca-only" "$LLMR" extract --url https://127.0.0.1:$tls --ca-only --ca-file cert.pem -o never
	match err 'answered HTML' "trusts it too"
	status 69 "an unknown authority" "$LLMR" extract --url https://127.0.0.1:$tls -o never
	match err 'certificate.*--ca-file' "is refused with what to do"
	status 69 "a name that the certificate lacks" "$LLMR" extract --url https://localhost:$tls \
		--ca-file cert.pem -o never
	absent err HTML "is refused"
	status 78 "--ca-only alone" "$LLMR" extract --url https://127.0.0.1:$tls --ca-only -o never
	status 78 "a missing --ca-file" "$LLMR" extract --url https://127.0.0.1:$tls --ca-file none.pem -o never
	kill $tls_server
else
	skip "TLS: no openssl to make a certificate with"
fi

# going on after an interruption
serve -n 400 '12 stall'
"$LLMR" extract --url "$url" --limit 20 --concurrency 1 -o long >out 2>err &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
	[ "$(requests)" -ge 12 ] && break
	sleep 0.1
done
kill -INT $pid
wait $pid
equal $? 130 "SIGINT"
match err 'run the same command again' "says how to go on"
if [ -e long ]; then fail "no finished file yet"; else pass "no finished file yet"; fi
status 64 "another query does not go on" x --service other -o long
match err '--restart' "and is told what to do"
ok "going on" x --limit 20 -o long
match err 'going on from' "from where it stood"
whole long 400 "brings the rest, once"
nofile 'long.*' "state and partial file are gone"
serve -n 400 '20- status 500'
status 75 "a server that goes away in the middle" x --limit 20 --retries 0 --concurrency 1 -o away
match err 'cut short after' "is told"
serve -n 400 '20- status 500'
status 75 "the same on standard output" x --limit 20 --retries 0 --concurrency 1
match err 'cut short after [0-9]+ traces: ' "is told too"
cp away.state torn; printf '{"upto_us":99' >>away.state
serve -n 400
url_before=$(sed -n 's/.*\(http:[^\\]*\)\\".*/\1/p' torn | head -n 1)
sed "s|$url_before|$url|" away.state >away.new && mv away.new away.state
ok "a torn line of the state is cut off" x --limit 20 -o away
whole away 400 "nothing is lost by it"
echo '{"format":"x"}' >odd.state
status 65 "a state file of something else" x -o odd
match odd.state format "is left alone"
ok "--restart begins anew" x --restart -o odd
whole odd 400 "and is whole"
ok "a device as output" x -o /dev/null
status 73 "a folder as output" x -o .
status 73 "no such folder" x -o none/such
status 64 "--state with standard output" x --state s

# a reader that goes away
{ x --limit 20 -q 2>err; echo $? >code; } | head -n 1 >out
equal "$(cat code)" 141 "a closed pipe ends it as the signal would"
if [ -s err ]; then fail "silently" "$(cat err)"; else pass "silently"; fi

# the limits of the machine
if [ -w /dev/full ]; then
	status 74 "a full disk" x -o /dev/full
fi

# from files
kill "$server" 2>/dev/null
server=
status 64 "files need --from file" "$LLMR" extract a.out
ok "--from file of our own output" "$LLMR" extract --from file out.3 -o copy
same copy out.3 "is the same again"
ok "packed, on standard input" sh -c "gzip -c out.3 | '$LLMR' extract --from file -o copy"
same copy out.3 "is the same again from standard input"
{ head -n 2 out.3; echo '{"resourceSpans":[{'; tail -n +3 out.3; } >broken
status 65 "a bad line" "$LLMR" extract --from file broken -o copy
match err 'broken: line 3' "is named"
same copy out.3 "and the rest written"
status 66 "a missing file" "$LLMR" extract --from file nowhere -o copy2
nofile 'copy2*' "leaves no output"
fixtures=$SHARED/fixtures/traces
if [ -d "$fixtures" ]; then
	for f in litellm-semconv.jaeger.json:48:485 litellm-default.jaeger.json.gz:220:2490 \
		litellm-semconv.otlp-v3.json:48:485 otlp-file-exporter.jsonl.gz:320:2590; do
		file=${f%%:*} rest=${f#*:}
		ok "--from file $file" "$LLMR" extract --from file "$fixtures/$file" -o copy
		equal "$(count copy):$(grep -o '"spanId"' copy | wc -l | tr -d ' ')" "$rest" "$file: traces and spans"
	done
else
	skip "fixtures are not here"
fi
