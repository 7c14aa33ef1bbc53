#!/bin/sh
# convert: a trace whose spans come in several pieces, and in any order.
. "$(dirname "$0")/lib.sh"

# piece TRACE SPAN PARENT ATTRIBUTES EVENTS: one line of OTLP
piece() {
	printf '{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"%s","spanId":"%s","parentSpanId":"%s","name":"n","kind":1,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001000000000","attributes":[%s],"events":[%s],"status":{}}]}]}]}\n' "$1" "$2" "$3" "$4" "$5"
}
attr() { printf '{"key":"%s","value":{"stringValue":"%s"}}' "$1" "$2"; }
call() { # TRACE SPAN PARENT MODEL QUERY
	piece "$1" "$2" "$3" "$(attr gen_ai.operation.name chat),$(attr gen_ai.response.model "$4"),$(attr gen_ai.prompt "$5")" ""
}
decision() { # TRACE SPAN MODEL STRATEGY PAYLOAD-STATUS TAG-STATUS
	piece "$1" "$2" "" "$(attr router.decision_outcome "$6")" '{"name":"routeiq.router_decision.v1","timeUnixNano":"1700000000000000000","attributes":[{"key":"routeiq.router_decision.payload","value":{"stringValue":"{\"strategy_name\":\"'"$4"'\",\"strategy_version\":\"1.0\",\"selected_deployment\":\"'"$3"'\",\"candidate_deployments\":[{\"model_name\":\"a\",\"score\":1},{\"model_name\":\"b\"}],\"input\":{\"requested_model\":\"auto\",\"user_id\":null},\"outcome\":{\"status\":\"'"$5"'\"},\"propensity\":0.25}"}}]}'
}
T1=0000000000000000000000000000000a
T2=0000000000000000000000000000000b
T3=0000000000000000000000000000000c

{ call $T1 0000000000000001 0000000000000002 a one
  decision $T2 0000000000000002 b knn success fallback
  decision $T1 0000000000000002 a mlp success success
  call $T2 0000000000000001 0000000000000002 b two
  decision $T3 0000000000000009 a svm success success; } >pieces.jsonl
ok "pieces in any order" "$LLMR" convert --json pieces.jsonl
equal "$(wc -l <out | tr -d ' ')" 2 "two calls"
match out '^\{"query":"one","model_name":"a".*"requested_model":"auto","strategy_name":"mlp","strategy_version":"1\.0","candidates":\["a","b"\],"outcome_status":"success","propensity":0\.25\}$' "its own decision"
match out '"query":"two".*"strategy_name":"knn".*"outcome_status":"fallback"' "outcome from the span's tag, not the payload"
equal "$(json err decisions) $(json err decisions_joined) $(json err decisions_without_record)" "3 2 1" "decisions counted"
sort out >a
sed -n '1!G;h;$p' pieces.jsonl >reversed.jsonl
"$LLMR" convert -q reversed.jsonl | sort >b
same a b "the same records from reversed lines"
head -n 2 pieces.jsonl >p1.jsonl
tail -n +3 pieces.jsonl >p2.jsonl
"$LLMR" convert -q p1.jsonl p2.jsonl | sort >b
same a b "and from two files"

# the window: with one open trace the decision of the first comes too late
ok "too small a window" "$LLMR" convert --json --join-window 1 pieces.jsonl
equal "$(json err decisions_joined)" 0 "nothing is joined"
equal "$(wc -l <out | tr -d ' ')" 2 "no call is lost"

# a retry in one trace: the decision goes to the model that it chose
{ call $T1 0000000000000001 0000000000000007 b one
  call $T1 0000000000000003 0000000000000007 a one
  decision $T1 0000000000000008 a mf success success; } >retry.jsonl
ok "two calls, one decision" "$LLMR" convert retry.jsonl
equal "$(grep -c strategy_name out)" 1 "one call has it"
match out '"model_name":"a".*"strategy_name":"mf"' "the chosen model's"

# a payload that is no JSON
decision $T1 0000000000000002 a knn success success | sed 's/{\\"strategy/nonsense{\\"strategy/' >bad.jsonl
call $T1 0000000000000001 0000000000000002 a one >>bad.jsonl
ok "a bad payload" "$LLMR" convert --json bad.jsonl
equal "$(json err bad_decisions) $(wc -l <out | tr -d ' ')" "1 1" "is counted, the call stays"

# thousands of open traces spill to TMPDIR and come out in order
i=0
while [ $i -lt 300 ]; do
	i=$((i + 1))
	call "$(printf '%032x' $i)" 0000000000000001 "" m "$(printf 'q%d %1000s' $i x)"
done >many.jsonl
cat many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl \
	many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl >big.jsonl
mkdir tmp
ok "spilling" env TMPDIR="$PWD/tmp" "$LLMR" convert -q big.jsonl
equal "$(wc -l <out | tr -d ' ')" 5400 "all come out"
equal "$(sed 's/.*"query":"q\([0-9]*\) .*/\1/' out | uniq | head -n 300 | tr '\n' ' ')" "$(seq 1 300 | tr '\n' ' ')" "in the order of their traces"
nofile 'tmp/*' "nothing stays in TMPDIR"
echo "1..$n"
