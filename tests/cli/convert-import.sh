#!/bin/sh
# convert --from: known data sets.
. "$(dirname "$0")/lib.sh"
D=$SHARED/data
S=$SHARED/fixtures/traces/seed-script-output

printf 'prompt,a/x,b\nhello,True,False\n"two\nlines",0.5,\n' >set.csv
ok "routellm" "$LLMR" convert --from routellm set.csv --json
equal "$(wc -l <out | tr -d ' ')" 3 "an empty cell is no record"
match out '^\{"query":"two\\nlines","model_name":"a/x","performance":0\.5,"query_id":"[0-9a-f]{16}"\}$' "a quoted newline"
equal "$(json err missing_score)" 1 "the empty cell is counted"
printf '{"query":"q","model_name":"m","performance":0.5,"mine":{"k":[1,2]}}\n' >one.jsonl
ok "llmrouter" "$LLMR" convert --from llmrouter one.jsonl
match out '"mine":\{"k":\[1,2\]\}\}$' "unknown members survive"
ok "its own output again" "$LLMR" convert --from llmrouter - <one.jsonl
"$LLMR" convert -q --from llmrouter one.jsonl | "$LLMR" convert -q --from llmrouter - >again
"$LLMR" convert -q --from llmrouter one.jsonl >out
same out again "a second pass changes nothing"

if [ ! -d "$D" ]; then
	skip "no data at $D (set LLMR_SHARED)"
	echo "1..$n"
	exit 0
fi

# KIND FILE RECORDS QUERIES MODELS LABELLED NO_PROMPT DECISIONS
while read -r kind file records queries models labelled no_prompt decisions; do
	ok "$kind $file" "$LLMR" convert --from "$kind" "$file" --json -o r.jsonl
	equal "$(wc -l <r.jsonl | tr -d ' ') $(json out queries) $(json out labelled) $(json out no_prompt) $(json out decisions)" \
		"$records $queries $labelled $no_prompt $decisions" "$kind: counts"
	equal "$(sed 's/.*"models":{\([^}]*\)}.*/\1/' out | tr , '\n' | grep -c :)" "$models" "$kind: models"
done <<END
dcrouter $D/llmrouter-dc-train.json 50472 5608 9 50472 0 0
routerbench $D/routerbench-mbpp-train.csv 3289 299 11 3289 0 0
routellm $D/routellm-gsm8k.csv 2638 1319 2 2638 0 0
flat $S/synthetic-50.jsonl 50 10 5 50 0 0
flat $S/extract.seed-legacy-names.jsonl 23 23 3 0 0 0
flat $S/extract.routing-decisions.jsonl 0 0 0 0 0 92
llmrouter $S/convert-synthetic/routing_train.jsonl 40 10 5 40 0 0
llmrouter $S/convert-seed-legacy-names/routing_train.jsonl 18 18 3 0 0 0
llmrouter $S/convert-decisions/routing_train.jsonl 0 0 0 0 0 73
END

"$LLMR" convert -q --from routerbench "$D/routerbench-mbpp-train.csv" >out
match out '^\{"query":"Write a function to remove all elements from a given list present in another list\.","model_name":"WizardLM/WizardLM-13B-V1\.2","performance":1,"query_id":"[0-9a-f]{16}","cost":6\.78e-05,"task_name":"mbpp"\}$' "prompt out of its list, cost from its column"
"$LLMR" convert -q --from flat "$S/synthetic-50.jsonl" >out
match out '^\{"query":"What is blockchain technology\?","model_name":"claude-sonnet","performance":0\.781,.*"response_time":2\.805,"token_num":71,"input_tokens":17,"output_tokens":54,"task_name":"production","trace_id":"trace_000000","span_id":"span_000000","timestamp":"2026-11-20T22:35:28\.707706Z"\}$' "flat: microseconds"
"$LLMR" convert -q --from dcrouter "$D/llmrouter-dc-train.json" | LC_ALL=C sort >a
for i in 1 0; do "$LLMR" convert -q --from dcrouter --shard $i/2 "$D/llmrouter-dc-train.json"; done | LC_ALL=C sort >b
same a b "shards by query"
# Redaction reaches every text of a record, and leaves JSON JSON.
printf '%s\n' '{"query":"mail bob@corp.com","model_name":"m","performance":1,"ground_truth":"bob@corp.com","user":"bob@corp.com","error_type":"bob@corp.com","custom":{"a":["bob@corp.com",4111111111111111]}}' >leak.jsonl
ok "redact a record with personal data everywhere" "$LLMR" convert --from llmrouter --redact email,card leak.jsonl -q
absent out 'bob@corp' "no text keeps the address"
match out '"custom":\{"a":\["\[EMAIL\]",4111111111111111\]\}' "unknown members keep their form"
echo "1..$n"
