#!/bin/sh
# convert on traces as real gateways emit them. Expected numbers were counted in
# the fixtures by an independent script.
. "$(dirname "$0")/lib.sh"
F=$SHARED/fixtures/traces

# no traces needed: a document of our own
cat >own.json <<'END'
{"data":[{"traceID":"0a","spans":[
{"traceID":"0a","spanID":"01","operationName":"chat m","references":[],"startTime":1700000000000000,"duration":1500000,
 "tags":[{"key":"gen_ai.operation.name","type":"string","value":"chat"},
 {"key":"gen_ai.response.model","type":"string","value":"m1"},
 {"key":"gen_ai.prompt.0.role","type":"string","value":"system"},
 {"key":"gen_ai.prompt.0.content","type":"string","value":"be brief"},
 {"key":"gen_ai.prompt.1.role","type":"string","value":"user"},
 {"key":"gen_ai.prompt.1.content","type":"string","value":"mail a@b.org \u00e9"},
 {"key":"user.id","type":"string","value":"ann"},
 {"key":"gen_ai.usage.input_tokens","type":"int64","value":5},
 {"key":"gen_ai.usage.output_tokens","type":"string","value":"7"}],
 "logs":[{"timestamp":1700000000250000,"fields":[{"key":"event","type":"string","value":"First Token Stream Event"}]}],
 "processID":"p1","warnings":null},
{"traceID":"0a","spanID":"02","operationName":"evaluate","references":[{"refType":"CHILD_OF","traceID":"0a","spanID":"01"}],
 "startTime":1700000002000000,"duration":1,"tags":[{"key":"gen_ai.evaluation.score.value","type":"float64","value":0.75},
 {"key":"gen_ai.evaluation.name","type":"string","value":"relevance"}],"logs":[],"processID":"p1","warnings":null}],
"processes":{"p1":{"serviceName":"s","tags":[]}},"warnings":null}],"total":0,"limit":0,"offset":0,"errors":null}
END
ok "own document" "$LLMR" convert own.json
digest=$(printf 'be brief' | sha256sum | cut -c1-16)
id=$(printf 'mail a@b.org \303\251' | sha256sum | cut -c1-16)
printf '{"query":"mail a@b.org \303\251","model_name":"m1","performance":0.75,"query_id":"%s","response_time":1.5,"ttft":0.25,"token_num":12,"input_tokens":5,"output_tokens":7,"metric":"relevance","status":"ok","trace_id":"0000000000000000000000000000000a","span_id":"0000000000000001","timestamp":"2023-11-14T22:13:20.000000Z","user":"ann","system_digest":"%s"}\n' "$id" "$digest" >want
same out want "every field of it"
ok "redaction, users, aliases" "$LLMR" convert own.json --redact email --hash-users --alias m1=mine --prompt all
match out '"query":"system: be brief\\n\\nuser: mail \[EMAIL\] ' "the system's message and the redacted address"
match out '"model_name":"mine"' "alias"
absent out '"user":"ann"' "no user in clear"
ok "summary as JSON goes to stderr beside records" "$LLMR" convert own.json --json
match err '^\{"bytes":[0-9]+,"traces":1,"spans":2,.*"records":1,.*"evaluations":1' "counts"
ok "summary as JSON goes to stdout beside a file" "$LLMR" convert own.json --json -o r.jsonl
match out '"label_coverage":1,' "coverage"
equal "$(cat err)" "" "nothing on stderr"
"$LLMR" convert -q own.json >a
"$LLMR" convert -q <own.json >b
same a b "standard input"
gzip -c own.json | "$LLMR" convert -q - >b
same a b "gzip on standard input"
ok "a file twice is two records" "$LLMR" convert own.json own.json
equal "$(wc -l <out)" 2 "two lines"
ok "unless --dedupe" "$LLMR" convert own.json own.json --dedupe
equal "$(wc -l <out)" 1 "one line"
match err '1 duplicates' "counted"
ok "compressed output" "$LLMR" convert own.json -o r.jsonl.gz
gzip -dc r.jsonl.gz >b
same a b "by its name"

if [ ! -d "$F" ]; then
	skip "no fixtures at $F (set LLMR_SHARED)"
	echo "1..$n"
	exit 0
fi

# FILE RECORDS QUERIES MODELS REJECTED NO_PROMPT SPANS ERRORS
while read -r file records queries models rejected no_prompt spans errors; do
	ok "$file" "$LLMR" convert --json -o r.jsonl "$F/$file"
	equal "$(wc -l <r.jsonl | tr -d ' ')" "$records" "$file: records"
	equal "$(json out records) $(json out queries) $(json out rejected) $(json out no_prompt) $(json out spans) $(json out errors)" \
		"$records $queries $rejected $no_prompt $spans $errors" "$file: summary"
	equal "$(sed 's/.*"models":{\([^}]*\)}.*/\1/' out | tr , '\n' | grep -c :)" "$models" "$file: models"
done <<END
litellm-default.jaeger.json.gz 212 210 6 2 2 2490 8
litellm-default.otlp-v3.json.gz 212 210 6 2 2 2490 8
litellm-semconv.jaeger.json 41 39 6 2 2 485 5
litellm-semconv.otlp-v3.json 41 39 6 2 2 485 5
litellm-v2.jaeger.json 0 0 0 1 42 313 0
litellm-v2.otlp-v3.json 0 0 0 1 42 313 0
litellm-v2-content.jaeger.json 32 30 6 1 2 251 5
litellm-v2-content.otlp-v3.json 32 30 6 1 2 251 5
openinference-litellm.jaeger.json 10 10 2 0 0 10 1
openinference-litellm.otlp-v3.json 10 10 2 0 0 10 1
openinference-openai.jaeger.json 10 10 3 0 0 10 1
openinference-openai.otlp-v3.json 10 10 3 0 0 10 1
openllmetry-openai.jaeger.json 10 10 3 0 0 10 1
openllmetry-openai.otlp-v3.json 10 10 3 0 0 10 1
seed-legacy-names.jaeger.json 23 23 3 0 1 24 0
seed-legacy-names.otlp-v3.json 23 23 3 0 1 24 0
routeiq-router-decision.jaeger.json 0 0 0 0 20 100 0
otlp-file-exporter.jsonl.gz 212 210 6 2 22 2590 8
otlp-http-request.routeiq.pb 0 0 0 0 20 100 0
END

# the same records whatever the format, order and clock resolution apart
plain() { sed 's/"\(response_time\|ttft\|timestamp\)":[^,]*,//g' "$1" | LC_ALL=C sort; }
for pair in litellm-default.jaeger.json.gz:litellm-default.otlp-v3.json.gz \
	litellm-default.jaeger.json.gz:otlp-file-exporter.jsonl.gz \
	litellm-v2-content.jaeger.json:litellm-v2-content.otlp-v3.json \
	openinference-openai.jaeger.json:openinference-openai.otlp-v3.json; do
	"$LLMR" convert -q "$F/${pair%%:*}" -o a.jsonl 2>/dev/null
	"$LLMR" convert -q "$F/${pair##*:}" -o b.jsonl 2>/dev/null
	plain a.jsonl >a
	plain b.jsonl >b
	same a b "$pair: the same records"
done

"$LLMR" convert -q "$F/litellm-default.jaeger.json.gz" -o d.jsonl 2>/dev/null
match d.jsonl '"query":"FAIL500 please 0: Write a function to remove multiple spaces in a string by using regex\.","model_name":"openai/gpt-4o","performance":null,"query_id":"[0-9a-f]{16}","response_time":0\.661228,"status":"error","status_code":500,"error_type":"InternalServerError","trace_id":"dd8cd43a0dd70df4246d132823cb8fb0","span_id":"4a6f3c2c6a6b72f2"' "a failed call keeps its code and type"
match d.jsonl '"model_name":"openai/llama-3.1-8b-instruct".*"response_time":10\.086907,.*"status_code":408,"error_type":"Timeout"' "a time-out"
match d.jsonl '"model_name":"anthropic/claude-3-5-sonnet-20241022".*"requested_model":"claude-sonnet"' "the model that answered, not the alias"
absent d.jsonl '"model_name":"(claude-sonnet|smart-router|no-such-model)"' "no alias as a label"
absent d.jsonl '"query":"(wrong key|unknown model)"' "refused requests give no record"
absent d.jsonl '"model_name":"openai/text-embedding' "no embeddings"
ok "semconv costs" "$LLMR" convert -q "$F/litellm-semconv.jaeger.json"
match out '"query":"the anode of a dry cell is made up of","model_name":"openai/gpt-4o-mini".*"response_time":0\.669282,"token_num":25,"input_tokens":17,"output_tokens":8,"cost":7\.349999999999999e-06' "tokens and cost"
ok "v2" "$LLMR" convert -q "$F/litellm-v2-content.jaeger.json"
match out '"query":"FAILTIMEOUT now","model_name":"openai/llama-3.1-8b-instruct".*"status":"error","status_code":408,"error_type":"Timeout".*"requested_model":"llama-3.1-8b"' "v2: code from its own attribute, label without the alias"
ok "traces without prompts" "$LLMR" convert "$F/litellm-v2.jaeger.json"
match err 'content capture' "a hint how to keep prompts"
ok "decisions without calls" "$LLMR" convert "$F/routeiq-router-decision.jaeger.json" --json
equal "$(json err decisions) $(json err decisions_without_record)" "100 100" "counted"

# threads, shards and provider prefix
"$LLMR" convert -q --threads 1 "$F/litellm-default.jaeger.json.gz" >a 2>/dev/null
"$LLMR" convert -q --threads 3 "$F/litellm-default.jaeger.json.gz" >b 2>/dev/null
same a b "the same bytes from 1 and 3 threads"
for i in 2 0 1; do
	"$LLMR" convert -q --shard $i/3 "$F/litellm-default.jaeger.json.gz" 2>/dev/null
done | LC_ALL=C sort >b
LC_ALL=C sort a >c
same b c "shards in any order give the same set"
"$LLMR" convert -q --strip-provider "$F/litellm-default.jaeger.json.gz" >b 2>/dev/null
absent b '"model_name":"[^"]*/' "--strip-provider"

# labels by trace, by query and model; rules; all in 0..1
sed -n '1s/.*"trace_id":"\([0-9a-f]*\)".*/{"trace_id":"\1","performance":0}/p' a >labels.jsonl
sed -n '5s/.*"query_id":"\([0-9a-f]*\)".*/{"query_id":"\1","performance":0.5}/p' a >>labels.jsonl
echo '{"trace_id":"ffff","performance":1}' >>labels.jsonl
ok "labels" "$LLMR" convert --json --labels labels.jsonl "$F/litellm-default.jaeger.json.gz" -o l.jsonl
match err '1 of 3 labels met no record' "what met nothing is said"
equal "$(sed -n 1p l.jsonl | grep -c '"performance":0,')$(sed -n 5p l.jsonl | grep -c '"performance":0.5,')" 11 "by trace and by query"
ok "rules" "$LLMR" convert --json --score '0.5*success+0.5*latency:2s' "$F/litellm-default.jaeger.json.gz" -o l.jsonl
equal "$(json out label_coverage)" 1 "every call has a score"
equal "$(grep -c '"performance":0,' l.jsonl)" 8 "failed calls score 0"
ok "a rule without its signal" "$LLMR" convert --json --score ttft:1s "$F/litellm-default.jaeger.json.gz" -o l.jsonl
equal "$(json out labelled)" 8 "scores only the failed calls"

# --out-dir
ok "out-dir" "$LLMR" convert "$F/litellm-default.jaeger.json.gz" --out-dir set --json --score success
equal "$(cat set/routing_train.jsonl set/routing_test.jsonl | wc -l | tr -d ' ')" 212 "train and test hold all"
ids() { sed 's/.*"query_id":"\([0-9a-f]*\)".*/\1/' "$1" | LC_ALL=C sort -u; }
ids set/routing_train.jsonl >a
ids set/routing_test.jsonl >b
equal "$(LC_ALL=C comm -12 a b | wc -l | tr -d ' ')" 0 "no query on both sides"
equal "$(cat set/*.jsonl | sed 's/.*"embedding_id":\([0-9]*\).*/\1/' | sort -n | uniq | sed -n '1p;$p' | tr '\n' ' ')" "0 209 " "queries are numbered"
match set/conversion_metadata.json '"total_records":212,.*"unique_queries":210,.*"unique_models":6,' "metadata"
match set/llm_data.json '"openai/gpt-4o":\{"name":"openai/gpt-4o","provider":"openai"\}' "models"
"$LLMR" convert -q "$F/litellm-semconv.jaeger.json" "$F/litellm-default.jaeger.json.gz" --out-dir set2 --score success 2>/dev/null
ids set2/routing_test.jsonl >c
equal "$(LC_ALL=C comm -23 b c | wc -l | tr -d ' ')" 0 "a query keeps its side when data is added"
# A cost of 0 is what gateways write for models whose price they do not know.
if [ -d "$SHARED/fixtures/traces" ]; then
	T=$SHARED/fixtures/traces/litellm-semconv.jaeger.json
	ok "a cost of 0 is unknown" "$LLMR" convert "$T"
	equal "$(grep -c '"cost":0,' out)" 0 "no record costs 0"
	match err '13 calls cost 0 .*taken as unknown' "and that is said"
	ok "unless it is to be believed" "$LLMR" convert --keep-zero-cost "$T"
	equal "$(grep -c '"cost":0,' out)" 13 "then it stays"
fi
echo "1..$n"
