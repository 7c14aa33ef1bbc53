#!/bin/sh
# extract --from tempo against a scripted server that answers as Grafana Tempo documents
. "$(dirname "$0")/lib.sh"

if ! ${CC:-cc} -O1 -o faultserver "$SRC/tests/integ/faultserver.c" -lz -pthread 2>cc.err; then
	skip "extract-tempo: the fault server does not build: $(head -n 1 cc.err)"
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
		sleep 0.05
	done
	url=http://127.0.0.1:$(cat port)
}
x() { "$LLMR" extract --from tempo --url "$url" "$@"; }
count() { grep -oh '"traceId":"[0-9a-f]*"' "$@" | sort -u | wc -l | tr -d ' '; }
# whole FILE N NAME: N traces, each on one line with both of its spans
whole() {
	equal "$(count "$1") $(wc -l <"$1" | tr -d ' ') $(grep -o '"spanId"' "$1" | wc -l | tr -d ' ')" \
		"$2 $2 $(($2 * 2))" "$3"
}

serve -n 120
for limit in 5 119 120 1000; do
	ok "limit $limit" x --limit $limit -o out.$limit
	whole out.$limit 120 "limit $limit brings all, once"
done
same out.5 out.1000 "the output does not depend on the limit"
ok "five requests in flight" x --limit 5 --concurrency 5 -o five
same five out.5 "the output does not depend on concurrency"
match log 'GET /api/search\?q=%7B%20resource.service.name%20%3D%20%22litellm-gateway%22%20%7D&start=[0-9]{10}&end=[0-9]{10}&limit=5&spss=1 ' \
	"the search is TraceQL with whole seconds"
match log 'GET /api/v2/traces/[0-9a-f]{32} ' "traces by id"
match out.5 '"traceId":"[0-9a-f]{32}","spanId":"[0-9a-f]{16}"' "ids in hex, whatever the server writes"
match out.5 '"kind":3' "kinds as numbers"
ok "convert reads it" "$LLMR" convert out.5 -o records
ok "summary as JSON" x --limit 20 -o sum --json
equal "$(json out traces) $(json out spans) $(json out truncated_windows)" "120 240 0" "its counts"

serve -n 0
status 1 "nothing found" x --fail-empty -o empty
ok "operation, tags and tenant" x --operation 'a "b"' --tag 'k=v\w' --tag e=true --tag 'a key=1' --tenant t1 -o empty
match log 'name%20%3D%20%22a%20%5C%22b%5C%22%22%20%26%26%20.k%20%3D%20%22v%5C%5Cw%22' "are quoted"
match log '%28.e%20%3D%20%22true%22%20%7C%7C%20.e%20%3D%20true%29' "a value that may be a type is asked for both ways"
match log '%28.%22a%20key%22%20%3D%20%221%22' "a key that is no name is quoted"
ok "--query" x --query '{ status = error }' -o empty
match log 'q=%7B%20status%20%3D%20error%20%7D&' "is sent as it is"
status 64 "a tag without a value" x --tag k -o never
status 64 "an operand" x file

serve -n 40 '* old'
ok "a server before version 2 of the API" x -o old
whole old 40 "is asked by version 1"
serve -n 60 -m 30
ok "a second with more traces than the limit" x --limit 7 -o burst
whole burst 60 "the limit grows until it is whole"
serve -n 60 -m 30 '* most 16'
status 75 "the server allows no larger limit" x --limit 7 -o burst
match err 'within one second' "the loss is named"
serve -n 60 '* most 20'
ok "a limit that the server refuses" x --limit 1000 -o depth
whole depth 60 "is halved"
serve -n 20 '* jobs'
status 75 "a search that was not done" x --retries 0 -o jobs
match err '3 of 4 jobs' "says so"
whole jobs 20 "and what came is kept"
serve -n 20 '* part'
status 75 "traces that are PARTIAL" x --retries 0 -o part
match err 'only a part' "are named"
serve -n 5 '3 lost' '4 lost'
status 75 "a trace that is found but not there" x --retries 0 -o lost
match err 'not to be had' "is named"
serve -n 20 '*  everything'
status 69 "a server that ignores start and end" x --limit 10 --start @1000 --end @2000 -o never
for fault in 'status 500' 'retry 1' half cut reset empty; do
	serve -n 20 "1 $fault"
	ok "$fault in a search" x -o again
	whole again 20 "$fault in a search: nothing is lost"
	serve -n 20 "5 $fault"
	[ "$fault" = cut ] || [ "$fault" = empty ] && continue
	ok "$fault in a trace" x -o again
	whole again 20 "$fault in a trace: nothing is lost"
done
serve -n 20 '* html'
status 69 "HTML for an answer" x --retries 0 -o never
match err "base of Tempo's API" "says what to do"
serve -n 20 '* status 401'
status 77 "not authenticated" x -o never
match err 'tenant' "names the tenant too"
nofile 'never*' "nothing left behind"

# cut short in the middle, then gone on with
now=$(date +%s)
serve -n 80 -s $(((now - 7200) * 1000000))
range="--limit 4 --concurrency 1 --start @$((now - 9000)) --end @$now"
# shellcheck disable=SC2086
ok "a whole run" x $range -o want
serve -n 80 -s $(((now - 7200) * 1000000)) '150 status 400'
# shellcheck disable=SC2086
status 64 "a run that is cut short" x $range -o cut
match err 'cut short after [0-9]+ traces' "says so"
# shellcheck disable=SC2086
status 64 "another query does not go on with it" x $range --tag a=b -o cut
# shellcheck disable=SC2086
ok "the same command goes on" x $range -o cut
match err 'going on from .* with [0-9]+ traces' "says from where"
same cut want "the output is what one run gives"
