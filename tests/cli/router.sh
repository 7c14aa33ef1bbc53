#!/bin/sh
# train, eval, route, bench and inspect: the whole line, and what bad input gets.
. "$(dirname "$0")/lib.sh"

# records FIRST LAST: queries of three kinds, each answered best by another of three models
records() {
	awk -v a="$1" -v b="$2" 'BEGIN {
		split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
		for (i = a; i <= b; i++) for (j = 0; j < 3; j++)
			printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s,\"cost\":%g,\"task_name\":\"t%d\"}\n",
				k[i % 3 + 1], i, j, i % 3 == j ? "1" : "0.25", 0.001 * (j + 1), i % 3
	}'
}
records 1 90 >train.jsonl
records 91 190 >test.jsonl
T="$LLMR train knn --hparam n_neighbors=20 --hparam dim=16"

# --- the line ---
ok "train" $T --data train.jsonl --cv 3 -o m.safetensors --json
match out '"kind":"knn","queries":90,"models":3,"cells":270' "train --json: counts"
match out '"cv":\{"folds":3,"queries":90,"score":1,' "train --json: cross-validation"
match out '"best_single":\{"model":"m[012]","score":0.5\}' "train --json: best single"
for key in tie_rate seconds peak_rss_bytes random cheapest oracle gap_closed; do
	match out "\"$key\":" "train --json: $key"
done
match err 'training will take at most' "memory is stated"
match m.yaml '^kind: "knn"$' "YAML beside it"
match m.yaml '^  best_single:$|^    best_single:$' "YAML holds the baselines"
nofile '*.tmp* .*tmp*' "no temporary is left"
for t in 1 2 4; do $T --data train.jsonl --cv 3 -q --threads $t -o t$t.safetensors 2>/dev/null; done
same t1.safetensors t2.safetensors "2 threads: the same bytes"
same t1.safetensors t4.safetensors "4 threads: the same bytes"
sort -r train.jsonl >shuffled.jsonl
$T --data shuffled.jsonl --cv 3 -q -o t5.safetensors 2>/dev/null
same t1.safetensors t5.safetensors "order of records: the same bytes"
head -n 100 train.jsonl >a.jsonl
tail -n +101 train.jsonl | gzip >b.jsonl.gz
$T --data b.jsonl.gz --data a.jsonl --cv 3 -q -o t6.safetensors 2>/dev/null
same t1.safetensors t6.safetensors "several files, one gzipped: the same bytes"

ok "eval" "$LLMR" eval --model m.safetensors --data test.jsonl --json
match out '"queries":100,"full_queries":100,"dropped_leaks":0' "eval --json: counts"
match out '"router":\{"score":1,"cost":0.00' "eval --json: router"
match out '"delta_best_single":\{"value":0.[0-9]*,"ci95":\[0.[0-9]*,0.[0-9]*\]\}' "eval --json: interval"
match out '"gap_closed":\{"value":1,"ci95":\[1,1\]\}' "eval --json: gap"
cat train.jsonl test.jsonl >both.jsonl
ok "eval with leaks" "$LLMR" eval --model m.safetensors --data both.jsonl --json
match out '"queries":100,.*"dropped_leaks":90' "leaks are dropped"
match err 'query [0-9a-f]{16} occurs in training' "and named"
status 65 "only leaks" "$LLMR" eval --model m.safetensors --data train.jsonl
head -n 60 test.jsonl >few.jsonl
ok "too few for a comparison" "$LLMR" eval --model m.safetensors --data few.jsonl --json
match out '"router":\{"score":null' "too few: null"
match err 'min-full' "too few: said"
ok "eval for people" "$LLMR" eval --model m.safetensors --data test.jsonl
match out '^best single +0\.[0-9]{4}' "eval: table"

ok "route" "$LLMR" route --model m.safetensors "sum of a python list"
equal "$(cat out)" m0 "route: the model"
printf 'a poem on rain\nsum of a list in code\n\nproof of a matrix\n' >lines
"$LLMR" route --model m.safetensors <lines >out 2>err
equal "$(tr '\n' ' ' <out)" "m1 m0 $(sed -n 3p out) m2 " "route: a line for each line"
ok "route --json" "$LLMR" route --model m.safetensors --json "sum of a python list"
match out '"model":"m0","scores":\{"m0":[0-9.]*,"m1":[0-9.]*,"m2":[0-9.]*\},"runner_up":"m[12]","propensity":1,"timings_us":\{' "route --json: keys"
printf '{"query":"a poem"}\n{"other":1}\n[\n' | "$LLMR" route --model m.safetensors --jsonl >out 2>err
equal $? 65 "bad lines: status 65"
equal "$(wc -l <out | tr -d ' ')" 3 "bad lines: output keeps step"
match err 'line 2: no "query"' "bad lines: named"
ok "route --explain" "$LLMR" route --model m.safetensors --explain --data train.jsonl "a poem on rain"
match out '^  \* [0-9.]* +\$[0-9.]* +m1' "explain: scores and costs"
match out '[0-9a-f]{16}  a poem about love and rain number' "explain: texts of neighbours by --data"
ok "store queries" $T --data train.jsonl --store-queries -o s.safetensors
match err 'text of the 90 queries is kept' "stored queries are announced"
ok "explain from stored queries" "$LLMR" route --model s.safetensors --explain --json "a poem on rain"
match out '"neighbors":\[\{"query_id":"[0-9a-f]{16}","similarity":[0-9.]*,"query":"a poem' "explain --json"
if grep -q 'love and rain' m.safetensors; then fail "texts are not in the artifact unless asked for"
else pass "texts are not in the artifact unless asked for"; fi
ok "route --max-cost" "$LLMR" route --model m.safetensors --max-cost 0.0015 "a proof of the matrix"
equal "$(cat out)" m0 "a dear model is left out"
status 1 "no model is cheap enough" "$LLMR" route --model m.safetensors --max-cost 0.0001 "a proof"
ok "route --cost-weight" "$LLMR" route --model m.safetensors --cost-weight 100000 "a proof of the matrix"
equal "$(cat out)" m0 "a heavy cost weight takes the cheapest"

ok "bench" "$LLMR" bench --model m.safetensors --queries lines --requests 500 --json
match out '"requests":500,"failed":0,"latency_us":\{"p50":[0-9.]*,"p90":[0-9.]*,"p99":[0-9.]*,"p999":[0-9.]*,"max":[0-9.]*\},"stages_us":\{"tokenize"' "bench --json: keys"
match out '"model_sha256":"[0-9a-f]{64}"' "bench --json: digest"
ok "bench, open loop" "$LLMR" bench --model m.safetensors --queries test.jsonl --rate 2000 --requests 200 --warmup 10
match out '^200 requests, 0 failed, 1 thread, open loop' "bench: table"
match out "^bench's own cost" "bench: its own cost"
ok "bench, threads and time" "$LLMR" bench --model m.safetensors --queries test.jsonl --duration 50ms --threads 2 --json
match out '"threads":2' "bench: threads"
status 1 "bench: budget missed" "$LLMR" bench --model m.safetensors --queries lines --budget-p99 0.000001ms
ok "bench: budget kept" "$LLMR" bench --model m.safetensors --queries lines --budget-p99 100s

ok "inspect" "$LLMR" inspect m.safetensors
match out '^kind: knn$' "inspect: kind"
match out '^  knn.rows +F16 +\[90 x 16\]' "inspect: tensors"
ok "inspect --json" "$LLMR" inspect m.safetensors --json
match out '"models":\["m0","m1","m2"\]' "inspect --json: models"
equal "$(json out sha256)" "\"$(sha256sum m.safetensors | cut -d' ' -f1)\"" "inspect: digest"

# --- partial feedback: one model's outcome for each query ---
awk 'NR % 3 == int(NR / 3) % 3' train.jsonl >partial.jsonl
ok "partial feedback" $T --data partial.jsonl -o p.safetensors --json
match out '"full_queries":0,.*"random":null' "partial: baselines are null"
match err 'no query was answered by every model' "partial: said"
ok "partial: routes" "$LLMR" route --model p.safetensors "a poem about love"

# --- bad input ---
grep '"m0"' train.jsonl >one.jsonl
status 65 "one model" $T --data one.jsonl -o x.safetensors
one_line_error "one model: one line"
sed 's/"performance":[0-9.]*/"performance":0.5/' train.jsonl >equal.jsonl
ok "all scores equal" $T --data equal.jsonl -o e.safetensors
match err 'all models score the same' "all scores equal: said"
ok "few queries, no n_neighbors given" "$LLMR" train knn --hparam dim=16 --data train.jsonl -o k.safetensors
match err 'n_neighbors 15: the fewest that serve' "few queries: fewer neighbours, said"
ok "fewer queries than neighbours" "$LLMR" train knn --hparam dim=16 --hparam k=200 --data train.jsonl -o k.safetensors
match err 'n_neighbors 200 lowered to the 90 queries' "fewer queries than neighbours: said"
ok "few neighbours" $T --hparam k=5 --data train.jsonl -o k.safetensors
match err 'fewer than 15 neighbours' "few neighbours: warned"
sed '5s/"performance":[0-9.]*/"performance":NaN/' train.jsonl >nan.jsonl
status 65 "NaN" $T --data nan.jsonl -o x.safetensors
match err 'nan.jsonl: line 5' "NaN: file and line"
sed '5s/"performance":[0-9.]*/"performance":7/' train.jsonl >seven.jsonl
status 65 "score above 1" $T --data seven.jsonl -o x.safetensors
sed 's/"performance":[0-9.]*/"performance":null/' train.jsonl >null.jsonl
status 65 "no scores at all" $T --data null.jsonl -o x.safetensors
match err '270 records has a performance' "no scores at all: said"
: >empty
status 65 "empty file" $T --data empty -o x.safetensors
status 66 "missing file" $T --data nothere -o x.safetensors
status 66 "directory" $T --data . -o x.safetensors
status 64 "no data" $T -o x.safetensors
status 64 "no output" $T --data train.jsonl
status 64 "unknown kind" "$LLMR" train svn --data train.jsonl -o x.safetensors
status 64 "unknown hyperparameter" $T --hparam n_neighbours=5 --data train.jsonl -o x.safetensors
match err "did you mean 'n_neighbors'" "unknown hyperparameter: suggestion"
status 64 "bad hyperparameter" $T --hparam k=0 --data train.jsonl -o x.safetensors
status 64 "hyperparameter without value" $T --hparam k --data train.jsonl -o x.safetensors
status 64 "unknown embedder" $T --embedder elmo --data train.jsonl -o x.safetensors
status 65 "more folds than queries" $T --data train.jsonl --cv 91 -o x.safetensors
status 73 "no such folder" $T --data train.jsonl -o no/x.safetensors
mkdir folder
status 73 "a folder as output" $T --data train.jsonl -o folder
cp train.jsonl same.jsonl
status 64 "output over the data" $T --data same.jsonl -o same.jsonl
same train.jsonl same.jsonl "the data is untouched"
nofile 'x.*' "no refused run left a file"
[ -w /dev/full ] && status 74 "full disk" $T --data train.jsonl -o /dev/full

status 66 "missing model" "$LLMR" route --model nothere hi
status 64 "no model" "$LLMR" route hi
status 65 "not an artifact" "$LLMR" route --model train.jsonl hi
size=$(wc -c <m.safetensors)
for part in 1 2 3 5 9; do
	head -c $((size * part / 10)) m.safetensors >cut.safetensors
	status 65 "artifact cut to $part tenths" "$LLMR" inspect cut.safetensors
done
one_line_error "cut: one line"
sed 's/"llmr.kind":"knn"/"llmr.kind":"svm"/' m.safetensors >kind.safetensors
status 65 "another kind" "$LLMR" eval --model kind.safetensors --data test.jsonl
sed 's/n_neighbors\\":20/n_neighbors\\":19/' m.safetensors >probe.safetensors
status 65 "the probe notices a changed parameter" "$LLMR" route --model probe.safetensors hi
status 65 "no prompts" "$LLMR" bench --model m.safetensors --queries empty
sed 's/"m\([012]\)"/"other\1"/' test.jsonl >other.jsonl
status 65 "no model in common" "$LLMR" eval --model m.safetensors --data other.jsonl

# --- a filter ends when its reader does ---
equal "$(yes hello | timeout 20 "$LLMR" route --model m.safetensors 2>&1 | head -n 1 | wc -l)" 1 "route ends with its reader"
yes hello | (timeout 20 "$LLMR" route --model m.safetensors >/dev/full 2>err; echo $? >code)
equal "$(cat code)" 74 "route ends on a full disk"
echo '[{"question":"x"}]' >array.json
status 65 "bench takes lines, not an array" "$LLMR" bench --model m.safetensors --queries array.json

# --- real data ---
D=$SHARED/data/llmrouter-dc-train.json
if [ -r "$D" ]; then
	ok "real data" "$LLMR" train knn --from dcrouter --data "$D" --cv 5 -o real.safetensors --json
	cv_score() { sed 's/.*"cv":{[^}]*"score":\([0-9.]*\).*/\1/' out; }
	first=$(cv_score)
	# One set of folds is worth +- 0.003: two are averaged, so that the test tells the router, not luck.
	ok "real data, other folds" "$LLMR" train knn --from dcrouter --data "$D" --cv 5 --seed 1 -o again.safetensors --json
	score=$(awk "BEGIN { print ($first + $(cv_score)) / 2 }")
	if awk "BEGIN { exit !($score >= 0.650) }"; then pass "cross-validated score $score >= 0.650"
	else fail "cross-validated score $score < 0.650"; fi
	if [ "$(wc -c <real.safetensors)" -le 33554432 ]; then pass "artifact within 32 MB"
	else fail "artifact above 32 MB"; fi
else
	skip "real data: no $D"
fi

# --- the schemas say what is printed ---
if python3 -c 'import jsonschema, yaml' 2>/dev/null; then
	schema() {
		name=$1
		shift
		"$@" >doc 2>/dev/null
		if python3 -W ignore - "$SRC/share/$name.schema.json" doc 2>err <<'PY'
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
# Nothing may be printed that the schema does not describe.
def close(s):
    if isinstance(s, dict):
        if "properties" in s and "additionalProperties" not in s and "dim" not in s["properties"]:
            s["additionalProperties"] = False
        for v in list(s.values()):
            close(v)
    elif isinstance(s, list):
        for v in s:
            close(v)
close(schema)
jsonschema.validate(yaml.safe_load(open(sys.argv[2])), schema)
PY
		then pass "schema of $name"; else fail "schema of $name" "$(tail -n 3 err)"; fi
	}
	schema train $T --data train.jsonl --cv 3 -o v.safetensors --json
	schema train $T --data partial.jsonl -o v.safetensors --json
	schema artifact cat m.yaml
	schema artifact cat p.yaml
	schema eval "$LLMR" eval --model m.safetensors --data test.jsonl --json
	schema eval "$LLMR" eval --model m.safetensors --data few.jsonl --json
	schema eval "$LLMR" eval --model m.safetensors --data test.jsonl --against p.safetensors --weak m0 --strong m1 --json
	awk 'NR % 3 == 1 { sub(/}$/, ",\"propensity\":0.33}"); print }' test.jsonl >logged.jsonl
	schema eval-offpolicy "$LLMR" eval --model m.safetensors --data logged.jsonl --off-policy --min-ess 1 --json
	schema route "$LLMR" route --model m.safetensors --json hi
	schema route "$LLMR" route --model s.safetensors --json --explain "a poem"
	echo '{"x":1}' >bad.jsonl
	schema route sh -c '"$1" route --model m.safetensors --json --jsonl <bad.jsonl' - "$LLMR"
	schema bench "$LLMR" bench --model m.safetensors --queries lines --json
	schema inspect "$LLMR" inspect s.safetensors --json
else
	skip "schemas: no python3 with jsonschema and yaml"
fi

# --- exploration ---
R="$LLMR route --model m.safetensors --json"
ok "explore: the same request twice" $R --explore-epsilon 1 --request-id a "sum the list"
match out '"propensity":0\.333333333333' "explore: a third each"
match out '"explored":(true|false)' "explore: said"
json out model >first
$R --explore-epsilon 1 --request-id a "sum the list" 2>/dev/null >out
json out model >second
same first second "explore: a function of the request"
awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"query\":\"sum the list\",\"request_id\":\"r%d\"}\n", i }' >many.jsonl
$R --explore-epsilon 0.5 --jsonl - <many.jsonl >out 2>/dev/null
equal "$(sed 's/.*"propensity":\([0-9.]*\).*/\1/' out | cut -c1-6 | sort -u | tr '\n' ' ')" "0.1666 0.6666 " \
	"explore: propensities"
few=$(grep -c '"propensity":0.166' out)
if [ "$few" -gt 60 ] && [ "$few" -lt 140 ]; then pass "explore: a third of 300 requests"; else fail "explore: $few of 300"; fi
ok "no exploration by default" $R "sum the list"
match out '"propensity":1,' "no exploration: propensity 1"
absent out 'explored' "no exploration: no key"

# --- latency and candidates ---
status 65 "max-latency without response times" $R --max-latency 1s "sum the list"
match err 'held no response times' "max-latency: message"
sed 's/"model_name":"m\([012]\)",/&"response_time":\1.5,/' train.jsonl >timed.jsonl
$T --data timed.jsonl -q -o timed.safetensors 2>/dev/null
R="$LLMR route --model timed.safetensors"
ok "route" $R "a proof of the matrix integral number 5"
equal "$(cat out)" m2 "no limit: the best"
ok "max-latency" $R --max-latency 600ms "a proof of the matrix integral number 5"
equal "$(cat out)" m0 "max-latency: the only one fast enough"
ok "latency-weight" $R --latency-weight 100 "a proof of the matrix integral number 5"
equal "$(cat out)" m0 "latency-weight: the fastest"
status 1 "nothing is fast enough" $R --max-latency 1ms "a poem"
match err 'no model meets the limits' "nothing is fast enough: message"
cat >cand.json <<'E'
{"m0": {"capabilities": ["tools"]}, "m1": {"capabilities": ["tools", "vision"], "quality_score": 0.9},
 "m9": {"capabilities": ["vision"]}}
E
ok "candidates" $R --candidates cand.json --require vision,tools "a proof of the matrix integral number 5"
equal "$(cat out)" m1 "require: the only one that can"
match err "'m9' is left out" "a model that the router never saw is named"
status 1 "nobody can" $R --candidates cand.json --require audio "a poem"
status 64 "require without candidates" $R --require vision "a poem"
