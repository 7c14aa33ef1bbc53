#!/bin/sh
# convert: bad input, bad usage, and what is left behind.
. "$(dirname "$0")/lib.sh"

line='{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000a","spanId":"0000000000000001","name":"n","startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.response.model","value":{"stringValue":"m"}},{"key":"gen_ai.prompt","value":{"stringValue":"q"}}]}]}]}]}'
printf '%s\n{"resourceSpans": oops\n%s\n' "$line" "$line" >some.jsonl
status 65 "one bad line" "$LLMR" convert some.jsonl -o r.jsonl
match err 'some\.jsonl.*2' "file and line are named"
equal "$(wc -l <r.jsonl | tr -d ' ')" 2 "the rest is written"
ok "--max-bad covers it" "$LLMR" convert --max-bad 1 some.jsonl -o r.jsonl
status 65 "but not with 0" "$LLMR" convert --max-bad 0 some.jsonl -o r.jsonl

good='{"data":[{"traceID":"0a","spans":[{"traceID":"0a","spanID":"01","operationName":"n","references":[],"startTime":1,"duration":1,"tags":[{"key":"gen_ai.response.model","type":"string","value":"m"},{"key":"gen_ai.prompt","type":"string","value":"q"}],"logs":[],"processID":"p1"}],"processes":{"p1":{"serviceName":"s","tags":[]}}}'
printf '%s]}' "$good" >good.json
ok "a whole document" "$LLMR" convert good.json
equal "$(wc -l <out | tr -d ' ')" 1 "one record"
rm -f r.jsonl
for cut in "$good" "$good]" "$good]}}" "$good,{\"traceID\":"; do
	printf '%s' "$cut" >cut.json
	status 65 "malformed document" "$LLMR" convert cut.json
	equal "$(cat out)" "" "nothing on standard output"
	status 65 "malformed document, with a file" "$LLMR" convert cut.json -o r.jsonl
	nofile 'r.jsonl*' "no file"
	status 65 "malformed document, with a folder" "$LLMR" convert cut.json --out-dir d
	nofile 'd/*' "an empty folder"
done
for text in '' 'hello' '<html></html>' '{"foo":1}' 'prompt,a'; do
	printf '%s' "$text" >odd
	"$LLMR" convert odd >out 2>err
	case $? in 65) pass "not a trace: '$text'" ;; *) fail "not a trace: '$text'" "$(cat err)" ;; esac
done
status 66 "missing file" "$LLMR" convert nowhere.json
one_line_error "one line says so"
status 66 "a folder" "$LLMR" convert .
status 66 "missing labels" "$LLMR" convert --labels nowhere good.json
echo '{"trace_id":"a","performance":3}' >labels
status 65 "bad labels" "$LLMR" convert --labels labels good.json
match err 'labels:1: performance' "file and line"
status 73 "output that cannot be made" "$LLMR" convert good.json -o no/such/folder/r.jsonl
if [ -w /dev/full ]; then
	"$LLMR" convert good.json >/dev/full 2>err
	equal $? 74 "full disk"
else
	skip "no /dev/full"
fi
printf 'fields: {prompt: [a, {key: b, as: maybe}]}\n' >map.yaml
status 78 "bad map" "$LLMR" convert --map map.yaml good.json
match err 'map\.yaml:1: "as" is one of' "file and line"
printf 'fields:\n  prompts: [a]\n' >map.yaml
status 78 "unknown field of a map" "$LLMR" convert --map map.yaml good.json
printf 'fields:\n  model: [my.model]\nchat_operations: [ask]\n' >map.yaml
sed 's/gen_ai.response.model/my.model/' good.json >mine.json
ok "a map" "$LLMR" convert --map map.yaml mine.json
match out '"model_name":"m"' "its keys come first"
for bad in '--score speed' '--redact mail' '--redact regex:(' '--alias x' '--shard 3/3' '--shard 1' '--shard -1/2' \
	'--test-split 0.5' '--out-dir d -o f' '--join-window 0' '--max-bad -1' '--prompt none' '--from nothing'; do
	# shellcheck disable=SC2086 # options and values are words here
	status 64 "usage: $bad" "$LLMR" convert good.json $bad
done

# a FIFO and a closed pipe
mkfifo pipe
cat good.json >pipe &
ok "a FIFO" "$LLMR" convert pipe
equal "$(wc -l <out | tr -d ' ')" 1 "read whole"
i=0
while [ $i -lt 500 ]; do echo "$line"; i=$((i + 1)); done >long.jsonl
cat long.jsonl long.jsonl long.jsonl long.jsonl >longer.jsonl
{ "$LLMR" convert -q longer.jsonl; echo $? >code; } | head -n 1 >/dev/null
case $(cat code) in 0 | 141 | 74) pass "a closed pipe ends quietly" ;; *) fail "a closed pipe ends quietly" "$(cat code)" ;; esac
echo "1..$n"
