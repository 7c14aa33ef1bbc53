. "$(dirname "$0")/lib.sh"

# The example traces are what examples/README.md says, and the demo runs on them.
traces=$SRC/examples/traces.jsonl.zst
labels=$SRC/examples/labels.jsonl

for f in "$SRC"/examples/* "$SRC"/examples/capture/*; do
	[ -f "$f" ] || continue
	[ "$(wc -c <"$f")" -le 900000 ] || fail "$f is above 900 KB"
done
ok "every line of the traces is read" "$LLMR" convert "$traces" --labels "$labels" --max-bad 0 -o records.jsonl
ok "the summary as JSON" "$LLMR" --json convert "$traces" --labels "$labels" -o records.jsonl
equal "$(wc -l <records.jsonl | tr -d ' ')" 1800 "a record for each call"
# values KEY: the distinct values of a string member of the records
values() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' records.jsonl | sort -u; }
equal "$(values query_id | wc -l | tr -d ' ')" 360 "360 distinct queries"
equal "$(values trace_id | wc -l | tr -d ' ')" 1800 "a trace for each call"
equal "$(values task_name | tr '\n' ' ')" "arithmetic code extraction knowledge rewriting translation " "six tasks"
equal "$(values model_name | wc -l | tr -d ' ')" 5 "five models"
absent records.jsonl '"model_name":"smart-router"' "the alias is never a label"
equal "$(grep -c '"performance":[01]' records.jsonl)" 1800 "every answer is labelled"
equal "$(grep -Ec '"cost":[0-9.]*[1-9]' records.jsonl)" 1800 "every answer has a cost"
equal "$(grep -c '"strategy_name":' records.jsonl)" 360 "decisions are joined to their calls"
equal "$(grep -c '"propensity":0\.' records.jsonl)" 237 "propensities of the exploring strategy"
ok "the cells are full" sh -c "sed -n 's/.*\"model_name\":\"\([^\"]*\)\".*\"query_id\":\"\([^\"]*\)\".*/\2 \1/p' records.jsonl |
	sort -u | wc -l | grep -qx ' *1800'"

ok "the demo" sh "$SRC/examples/demo.sh" "$LLMR" demo
cp out demo.txt
for row in router 'best single' random cheapest oracle; do
	match demo.txt "^  $row +[0-9]\.[0-9]{4} " "the table has a row for $row"
done
match demo.txt 'closes ([3-9][0-9]|100) % of the gap' "the router closes 30 % of the gap or more"
# The closing table says what eval said.
for row in router 'best single' random cheapest oracle; do
	said=$(sed -n "s/^    $row  *\([01]\.[0-9]*\) .*/\1/p" demo.txt | tail -n 1)
	shown=$(sed -n "s/^  $row  *\([01]\.[0-9]*\) .*/\1/p" demo.txt | tail -n 1)
	equal "$shown" "$said" "the table's score of $row is that of eval"
done
match demo.txt 'A decision takes [0-9.]+ ms \(P50\), [0-9.]+ ms \(P99\)' "latency is shown"
match demo.txt 'Written: .*router.safetensors' "the file is named"
ok "the router that it wrote works" "$LLMR" route --model demo/router.safetensors "How many eggs are in 7 boxes of 12?"
cp demo/router.safetensors first.safetensors
ok "the demo can run again" sh "$SRC/examples/demo.sh" "$LLMR" demo
same first.safetensors demo/router.safetensors "and gives the same router"
