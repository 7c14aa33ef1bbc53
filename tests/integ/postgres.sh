#!/bin/sh
# postgres.sh - extract --from postgres against a real PostgreSQL: rows, joins, TLS, refusals.
#
# Makes a cluster of its own in a temporary folder, on a free port of
# 127.0.0.1, with a private authority's certificate, and the table as LiteLLM's
# schema has it. As root it runs the server as user "postgres" or "nobody".
#   LLMR      the binary (build/llmr)
#   PGBIN     folder of initdb and postgres; else the newest below /usr/lib/postgresql, else PATH
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
unset DATABASE_URL LLMR_URL LLMR_CA_FILE JAEGER_QUERY_URL PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGSSLMODE PGSSLROOTCERT \
	OTEL_SERVICE_NAME

if [ -z "${PGBIN:-}" ]; then
	for d in /usr/lib/postgresql/*/bin; do [ -x "$d/initdb" ] && PGBIN=$d; done
	[ -z "${PGBIN:-}" ] && command -v initdb >/dev/null 2>&1 && PGBIN=$(dirname "$(command -v initdb)")
fi
if [ -z "${PGBIN:-}" ] || ! command -v psql >/dev/null 2>&1; then
	echo "SKIP: no PostgreSQL server (Debian: apt-get install postgresql)"
	exit 77
fi
if ! command -v openssl >/dev/null 2>&1; then
	echo "SKIP: no openssl to make certificates"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-pg-XXXXXX") || exit 1
HOME=$dir
export HOME
run_as=
if [ "$(id -u)" -eq 0 ]; then
	for u in postgres nobody; do id "$u" >/dev/null 2>&1 && { owner=$u; break; }; done
	chmod 711 "$dir"
	mkdir "$dir/cluster" && chown "$owner" "$dir/cluster"
	run_as="setpriv --reuid=$owner --regid=$(id -g "$owner") --clear-groups env HOME=$dir/cluster"
else
	mkdir "$dir/cluster"
fi
server=
cleanup() {
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null
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
equal() { # GOT WANT NAME
	if [ "$1" = "$2" ]; then good "$3"; else bad "$3" "got '$1', not '$2'; $(tail -n 1 err 2>/dev/null)"; fi
}
status() { # STATUS NAME ARGS...: llmr extract's exit status
	want=$1 what=$2
	shift 2
	"$LLMR" extract --from postgres "$@" </dev/null >out 2>err
	equal $? "$want" "$what"
}
said() { # ERE NAME
	if grep -Eq "$1" err; then good "$2"; else bad "$2" "$(tail -n 1 err)"; fi
}

# A private authority and a server's certificate for localhost.
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=private-ca >ssl.log 2>&1
openssl req -newkey rsa:2048 -nodes -keyout cluster/server.key -out server.csr -subj /CN=localhost >>ssl.log 2>&1
printf 'subjectAltName=DNS:localhost\n' >san
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cluster/server.crt \
	>>ssl.log 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other-ca >>ssl.log 2>&1
echo admin-password >cluster/pw
chmod 600 cluster/server.key
[ -n "$run_as" ] && chown "$owner" cluster/server.key cluster/server.crt cluster/pw

# shellcheck disable=SC2086
if ! $run_as "$PGBIN/initdb" -D "$dir/cluster/data" -U admin --auth=scram-sha-256 --pwfile="$dir/cluster/pw" \
	-E UTF8 --no-sync >initdb.log 2>&1; then
	echo "FAIL: initdb: $(tail -n 1 initdb.log)"
	exit 1
fi
started=
for try in 1 2 3 4 5; do
	port=$((20000 + ($$ * 11 + try * 137) % 20000))
	# shellcheck disable=SC2086
	$run_as "$PGBIN/postgres" -D "$dir/cluster/data" -p $port -h localhost -k "$dir/cluster" -c fsync=off -c ssl=on \
		-c ssl_cert_file="$dir/cluster/server.crt" -c ssl_key_file="$dir/cluster/server.key" >pg.log 2>&1 &
	server=$!
	waited=0
	while [ $waited -lt 100 ] && kill -0 $server 2>/dev/null; do
		waited=$((waited + 1))
		if PGPASSWORD=admin-password psql -qAt -h localhost -p $port -U admin -d postgres -c 'SELECT 1' >/dev/null 2>&1; then
			started=yes
			break 2
		fi
		sleep 0.1
	done
	kill $server 2>/dev/null
	server=
done
if [ -z "$started" ]; then
	echo "FAIL: PostgreSQL does not start: $(tail -n 1 pg.log)"
	exit 1
fi
sql() { PGPASSWORD=admin-password psql -qAt -v ON_ERROR_STOP=1 -h localhost -p $port -U admin -d "${db:-litellm}" "$@"; }
db=postgres sql -c 'CREATE DATABASE litellm' -c "CREATE ROLE reader LOGIN PASSWORD 'pa:ss w@rd'" \
	-c "CREATE ROLE nobody_here LOGIN PASSWORD 'x'"

# The table as LiteLLM's schema makes it (Prisma's types), and a row of every kind.
sql <<-'EOS' >sql.log 2>&1 || { echo "FAIL: $(tail -n 1 sql.log)"; exit 1; }
	CREATE TABLE "LiteLLM_SpendLogs" (
		request_id text NOT NULL PRIMARY KEY, call_type text NOT NULL, api_key text NOT NULL DEFAULT '',
		spend double precision NOT NULL DEFAULT 0.0, total_tokens integer NOT NULL DEFAULT 0,
		prompt_tokens integer NOT NULL DEFAULT 0, completion_tokens integer NOT NULL DEFAULT 0,
		"startTime" timestamp(3) NOT NULL, "endTime" timestamp(3) NOT NULL, request_duration_ms integer,
		"completionStartTime" timestamp(3), model text NOT NULL DEFAULT '', model_id text DEFAULT '',
		model_group text DEFAULT '', custom_llm_provider text DEFAULT '', api_base text DEFAULT '',
		"user" text DEFAULT '', metadata jsonb DEFAULT '{}', cache_hit text DEFAULT '', cache_key text DEFAULT '',
		request_tags jsonb DEFAULT '[]', team_id text, organization_id text, end_user text, requester_ip_address text,
		messages jsonb DEFAULT '{}', response jsonb DEFAULT '{}', session_id text, status text,
		mcp_namespaced_tool_name text, agent_id text, proxy_server_request jsonb DEFAULT '{}');
	CREATE INDEX ON "LiteLLM_SpendLogs" ("startTime", request_id);
	GRANT SELECT ON "LiteLLM_SpendLogs" TO reader;
	INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, total_tokens, prompt_tokens, completion_tokens,
		"startTime", "endTime", "completionStartTime", model, model_group, custom_llm_provider, metadata, cache_hit,
		messages, session_id, end_user, status, proxy_server_request) VALUES
	('chatcmpl-1', 'acompletion', 0.00125, 30, 20, 10, '2026-03-01 10:00:00.100', '2026-03-01 10:00:02.350',
		'2026-03-01 10:00:00.600', 'gpt-4o', 'smart-router', 'openai', '{"status":"success"}', 'False',
		'[{"role":"system","content":"Be brief."},{"role":"user","content":"Was ist \"ß\"? \u00fcber \ud83d\ude00"}]',
		's-1', 'ann', 'success', '{}'),
	('chatcmpl-2', 'acompletion', 0.002, 7, 4, 3, '2026-03-01 10:00:01', '2026-03-01 10:00:02', NULL,
		'anthropic/claude-3', 'claude', 'anthropic', '{}', 'None', '{}', 's-2', '', 'success',
		'{"model":"claude","messages":[{"role":"user","content":"from the request"}],"stream":true}'),
	('chatcmpl-3', 'acompletion', 0.001, 9, 4, 5, '2026-03-01 10:00:02', '2026-03-01 10:00:03', NULL,
		'gpt-4o-mini', 'mini', 'openai', '{}', 'False', '{}', NULL, NULL, NULL, '{}'),
	('8e57d261-89f2-41de-b7f3-4766f4acf071', 'acompletion', 0, 0, 0, 0, '2026-03-01 10:00:03', '2026-03-01 10:00:03.5',
		NULL, 'gpt-4o', 'smart-router', 'openai',
		'{"status":"failure","error_information":{"error_class":"RateLimitError","error_code":"429","error_message":"slow down"}}',
		'False', '[{"role":"user","content":"one too many"}]', NULL, NULL, 'failure', '{}'),
	('emb-1', 'aembedding', 0.0001, 5, 5, 0, '2026-03-01 10:00:04', '2026-03-01 10:00:05', NULL,
		'text-embedding-3-small', 'emb', 'openai', NULL, 'False', '["a text"]', NULL, NULL, 'success', NULL),
	('chatcmpl-1_cache_hit1772359205.5', 'acompletion', 0, 30, 20, 10, '2026-03-01 10:00:05', '2026-03-01 10:00:05.01',
		NULL, 'gpt-4o', 'smart-router', 'openai', '{}', 'True', '[{"role":"user","content":"cached"}]', NULL, NULL,
		'success', '{}'),
	('redacted', 'acompletion', 0.5, 3, 1, 2, '2026-03-01 10:00:06', '2026-03-01 10:00:07', NULL, 'gpt-4o', 'r',
		'openai', '{}', 'False', '[{"role":"user","content":"redacted-by-litellm"}]', NULL, NULL, 'success', '{}'),
	('q"uo\te,d', 'acompletion', 0.25, 3, 1, 2, '2026-03-01 10:00:07', '2026-03-01 10:00:08', NULL, 'm', 'g', '',
		'{}', 'False', '"a bare prompt"', NULL, NULL, 'success', '{}'),
	('late', 'acompletion', 1, 3, 1, 2, '2026-03-02 00:00:00', '2026-03-02 00:00:01', NULL, 'm', 'g', 'p', '{}',
		'False', '[{"role":"user","content":"on the edge"}]', NULL, NULL, 'success', '{}');
EOS

url=postgresql://reader@localhost:$port/litellm
PGPASSWORD='pa:ss w@rd'
export PGPASSWORD
day='--start 2026-03-01 --end 2026-03-02'
# shellcheck disable=SC2086
x() { "$LLMR" extract --from postgres --url "$url" $day "$@" </dev/null 2>err; }
check "extract a day" x -o rows.jsonl
equal "$(wc -l <rows.jsonl | tr -d ' ')" 8 "one line a row, the end of the range left out"
check "convert reads it" "$LLMR" convert rows.jsonl -o records.jsonl
# field QUERY-PART KEY: a member of the record whose line holds the text
field() { grep -F "$1" records.jsonl | head -n 1 | grep -oE "\"$2\":(\"([^\"\\\\]|\\\\.)*\"|[^,}]*)" | head -n 1 | cut -d: -f2-; }
equal "$(wc -l <records.jsonl | tr -d ' ')" 5 "calls with a prompt, none of embeddings or of redacted text"
equal "$(field 'Was ist' query)" '"Was ist \"ß\"? über 😀"' "the query is the last user message, in UTF-8"
equal "$(field 'Was ist' model_name)" '"openai/gpt-4o"' "the model that answered, with its provider"
equal "$(field 'Was ist' requested_model)" '"smart-router"' "and the alias asked for"
equal "$(field 'Was ist' response_time)" 2.25 "response time in seconds"
equal "$(field 'Was ist' ttft)" 0.5 "time to the first piece"
equal "$(field 'Was ist' cost)" 0.00125 "cost is the row's spend"
equal "$(field 'Was ist' input_tokens)/$(field 'Was ist' output_tokens)/$(field 'Was ist' token_num)" 20/10/30 "tokens"
equal "$(field 'Was ist' user)" '"ann"' "the end user"
equal "$(field 'Was ist' timestamp)" '"2026-03-01T10:00:00.100000Z"' "the time is UTC"
equal "$(field 'from the request' model_name)" '"anthropic/claude-3"' "the prompt out of proxy_server_request; no second provider"
equal "$(field 'one too many' status)/$(field 'one too many' error_type)/$(field 'one too many' status_code)" \
	'"error"/"RateLimitError"/429' "a failure with its class and code"
equal "$(field 'a bare prompt' cost)" 0.25 "a prompt that is text"
grep -q '"litellm.cache_hit","value":{"boolValue":true}' rows.jsonl
check "what a cache answered says so" [ $? -eq 0 ]
check "the same bytes again" x -o again.jsonl
check "are the same" cmp rows.jsonl again.jsonl
check "two rows a fetch" x --limit 2 -o small.jsonl
check "give the same" cmp rows.jsonl small.jsonl

# joined to traces by request id: LiteLLM's own spans of those calls
span() { # TRACE SPAN NAME EXTRA-ATTRIBUTES START-NS
	printf '{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":{},"spans":[{"traceId":"%s","spanId":"%s","name":"%s","kind":3,"startTimeUnixNano":"%s","endTimeUnixNano":"%s","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"acompletion"}}%s],"status":{}}]}]}]}\n' \
		"$1" "$2" "$3" "$5" "$(($5 + 1000000000))" "$4"
}
s() { printf ',{"key":"%s","value":{"stringValue":"%s"}}' "$1" "$2"; }
prompt=$(s gen_ai.input.messages '[{\"role\":\"user\",\"content\":\"P\"}]')
t=1772359200000000000 # 2026-03-01 10:00:00
{
	span 0000000000000000000000000000000a 000000000000000a litellm_request "$prompt$(s gen_ai.response.id chatcmpl-3)$(s litellm.call_id c3)$(s gen_ai.request.model mini)" $((t + 2000000000))
	span 0000000000000000000000000000000b 000000000000000b litellm_request "$prompt$(s litellm.call_id 8e57d261-89f2-41de-b7f3-4766f4acf071)$(s gen_ai.request.model gpt-4o)" $((t + 3000000000))
	span 0000000000000000000000000000000c 000000000000000c 'chat smart' "$(s gen_ai.response.id chatcmpl-1)$(s litellm.call_id c1)" "$t"
	span 0000000000000000000000000000000d 000000000000000d litellm_request "$prompt$(s gen_ai.response.id chatcmpl-1)$(s litellm.provider.model openai/gpt-4o)" $((t + 7200000000000))
	span 0000000000000000000000000000000e 000000000000000e litellm_request "$prompt$(s gen_ai.response.id nowhere)$(s litellm.provider.model openai/gpt-4o)" "$t"
	span 0000000000000000000000000000000f 000000000000000f litellm_request "$prompt$(s gen_ai.response.id 'q\"uo\\te,d')$(s litellm.provider.model x/y)" $((t + 7000000000))
} >traces.jsonl
check "join a file of traces" x traces.jsonl -o joined.jsonl --json
equal "$(cat out 2>/dev/null; "$LLMR" extract --from postgres --url "$url" traces.jsonl -o joined.jsonl --json 2>err)" \
	'{"lines":6,"spans":6,"calls":6,"joined":4,"other_time":1,"bad":0}' "its counts: four rows, one of another time"
check "convert reads the joined traces" "$LLMR" convert joined.jsonl -o records.jsonl
rec() { grep "\"trace_id\":\"0*$1\"" records.jsonl >one; grep -oE "\"$2\":(\"([^\"\\\\]|\\\\.)*\"|[^,}]*)" one | head -n 1 | cut -d: -f2-; }
equal "$(rec a cost)/$(rec a model_name)/$(rec a token_num)" '0.001/"openai/gpt-4o-mini"/9' "cost, model and tokens reach the record"
equal "$(rec b status)/$(rec b error_type)" '"error"/"RateLimitError"' "so does the status, by LiteLLM's call id"
equal "$(rec c query)" '"Was ist \"ß\"? über 😀"' "a span without prompt gets the row's"
equal "$(rec d cost)" "" "a span two hours later does not get the cost of the cached call"
equal "$(rec e cost)" "" "nor one whose id has no row"
equal "$(rec f cost)" 0.25 "an id with quotes and backslashes is found"
check "join standard input" sh -c "'$LLMR' extract --from postgres --url '$url' - <traces.jsonl >joined2.jsonl 2>err"
check "gives the same" cmp joined.jsonl joined2.jsonl

# many rows: order, resuming, memory
sql -c "INSERT INTO \"LiteLLM_SpendLogs\" (request_id, call_type, spend, \"startTime\", \"endTime\", model, messages)
	SELECT 'r' || i, 'acompletion', 0.001, timestamp '2026-04-01' + (i / 7) * interval '10 ms',
	timestamp '2026-04-01' + (i / 7) * interval '10 ms' + interval '1 s', 'm' || i % 3,
	jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'query ' || i || repeat(' x', 700)))
	FROM generate_series(1, 30000) i"
day='--start 2026-04-01 --end 2026-04-02'
check "30,000 rows" x -o many.jsonl
equal "$(grep -o '"traceId":"[0-9a-f]*"' many.jsonl | sort -u | wc -l | tr -d ' ')" 30000 "each once"
"$LLMR" extract --from postgres --url "$url" --start 2026-04-01 --end 2026-04-02 -o kill.jsonl </dev/null >out 2>err &
pid=$!
waited=0
while [ $waited -lt 200 ]; do
	waited=$((waited + 1))
	grep -q upto_us kill.jsonl.state 2>/dev/null && break
	sleep 0.01
done
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
check "a killed run left its state" test -s kill.jsonl.state
check "go on after a kill" x -o kill.jsonl
check "the output is what one run gives" cmp kill.jsonl many.jsonl
check "nothing is left behind" sh -c '! ls ./*.partial ./*.state'
if [ -r /proc/self/status ]; then
	peak=$(sh -c "ulimit -v 400000; '$LLMR' extract --from postgres --url '$url' $day -o /dev/null 2>err && echo fits")
	equal "$peak" fits "50 MB of rows pass through a process that may have 400 MB of addresses"
fi
check "an end of the connection" sh -c "( sleep 0.2; PGPASSWORD=admin-password psql -qAt -h localhost -p $port -U admin -d litellm \
	-c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'\" >/dev/null ) &
	'$LLMR' extract --from postgres --url '$url' $day --limit 20 -o cut.jsonl 2>err; r=\$?; wait; exit \$r"
check "is gone over, nothing lost or twice" cmp cut.jsonl many.jsonl

# TLS and refusals
url=postgresql://reader@localhost:$port/litellm
day='--start 2026-03-01 --end 2026-03-02'
check "TLS by a private authority" x --ca-file ca.pem -o tls.jsonl
check "gives the same" cmp tls.jsonl rows.jsonl
equal "$(sql -c "SELECT count(*) FROM pg_stat_ssl WHERE ssl" | head -n 1)" 1 "the test's own connection uses TLS (the server offers it)"
# shellcheck disable=SC2086
status 69 "another authority" --url "$url" $day --ca-file other.pem -o never --retries 0
said 'certificate verify failed' "says so"
# shellcheck disable=SC2086
status 69 "a name that the certificate lacks" --url "postgresql://reader@127.0.0.1:$port/litellm" $day --ca-file ca.pem -o never --retries 0
# shellcheck disable=SC2086
status 64 "a password in the URL" --url "postgresql://reader:secret@localhost:$port/litellm" $day -o never
said 'PGPASSWORD' "says where it belongs"
if grep -q secret err; then bad "and does not repeat it"; else good "and does not repeat it"; fi
status 64 "no such URL" --url 'postgresql://[' -o never
PGPASSWORD=wrong
status 77 "a wrong password" --url "$url" -o never --retries 0
unset PGPASSWORD
status 77 "no password" --url "$url" -o never --retries 0
said 'wants a password' "says so"
printf 'localhost:%s:litellm:reader:pa\\:ss w@rd\n' "$port" >pgpass
chmod 600 pgpass
PGPASSFILE=$dir/pgpass
export PGPASSFILE
check "PGPASSFILE" x -o passfile.jsonl
unset PGPASSFILE
DATABASE_URL="postgresql://reader:pa%3Ass%20w%40rd@localhost:$port/litellm"
export DATABASE_URL
# shellcheck disable=SC2086
status 0 "DATABASE_URL, as the gateway has it, with its password" $day -o env.jsonl
check "gives the same" cmp env.jsonl rows.jsonl
unset DATABASE_URL
PGPASSWORD='pa:ss w@rd' PGHOST=localhost PGPORT=$port PGUSER=reader PGDATABASE=litellm
export PGPASSWORD PGHOST PGPORT PGUSER PGDATABASE
# shellcheck disable=SC2086
status 0 "libpq's own variables" $day -o env2.jsonl
status 77 "a host that is not allowed" --allowed-hosts db.example -o never
said 'localhost' "is named"
# shellcheck disable=SC2086
status 0 "one that is" --allowed-hosts localhost $day -o allowed.jsonl
unset PGHOST PGPORT PGUSER PGDATABASE
status 66 "no such database" --url "postgresql://reader@localhost:$port/nothing" -o never --retries 0
status 66 "no such table" --url "postgresql://reader@localhost:$port/postgres" -o never --retries 0
said 'LiteLLM_SpendLogs' "is named"
PGPASSWORD=x
status 77 "a table that may not be read" --url "postgresql://nobody_here@localhost:$port/litellm" -o never --retries 0
PGPASSWORD='pa:ss w@rd'
status 69 "nobody listens" --url "postgresql://reader@localhost:1/litellm" -o never --retries 0
check "a refused run leaves nothing" sh -c '! ls never*'
# shellcheck disable=SC2086
status 1 "--fail-empty" --url "$url" --start 2020-01-01 --end 2020-01-02 --fail-empty -o empty

# an older table, without the newer columns
sql -c 'ALTER TABLE "LiteLLM_SpendLogs" DROP COLUMN status, DROP COLUMN session_id, DROP COLUMN proxy_server_request,
	DROP COLUMN request_duration_ms, DROP COLUMN model_group, DROP COLUMN custom_llm_provider'
day='--start 2026-03-01 --end 2026-03-02'
check "a table of an older version" x -o old.jsonl
"$LLMR" convert old.jsonl -o records.jsonl 2>err
equal "$(field 'one too many' status)" '"error"' "its failures are told by the metadata"
sql -c 'DROP TABLE "LiteLLM_SpendLogs"' -c 'CREATE VIEW "LiteLLM_SpendLogs" AS SELECT 1 AS request_id'
sql -c 'GRANT SELECT ON "LiteLLM_SpendLogs" TO reader'
status 65 "a table that is not LiteLLM's" --url "$url" -o never --retries 0
said 'is it LiteLLM' "says so"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
