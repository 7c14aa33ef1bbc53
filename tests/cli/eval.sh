#!/bin/sh
# eval: the figures of routing research, a second router beside the first, the gate.
. "$(dirname "$0")/lib.sh"

# records FIRST LAST: queries of three kinds, each answered best by another of three models
records() {
	awk -v a="$1" -v b="$2" -v m="${3:-3}" 'BEGIN {
		split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
		for (i = a; i <= b; i++) for (j = 0; j < m; j++)
			printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s,\"cost\":%g,\"task_name\":\"t%d\"}\n",
				k[i % 3 + 1], i, j, i % 3 == j ? "1" : "0.25", 0.001 * (j + 1), i % 3
	}'
}
records 1 90 >train.jsonl
records 91 190 >test.jsonl
T="$LLMR train knn --hparam n_neighbors=20 --hparam dim=16 -q"
$T --data train.jsonl -o m.safetensors 2>/dev/null
E="$LLMR eval -m m.safetensors --data test.jsonl"

# --- figures ---
ok "eval --json" $E --json
for key in '"regret":{"value":0,"ci95":\[0,0\]}' '"oracle_agreement":{"value":1,' \
	'"perf_gain":{"value":1\.0' '"ece":{"value":0\.' '"aiq":{"value":0\.' '"single_models":{"value":0\.' \
	'"cost_at_95":{"target":' '"cost_at_best":{"target":' '"pair":null,"apgr":null,"cpt50":null,"cpt80":null' \
	'"per_model":{"m0":{"score":0\.[0-9]*,"cost":0.001[0-9]*,"chosen":33}' \
	'"per_task":{"t0":{"queries":33,"router":{"score":1,"cost":0.00'; do
	if grep -q -- "$key" out; then pass "eval --json: $key"; else
		fail "eval --json: $key" "$(head -c 800 out)"; fi
done
equal "$(grep -o willingness_to_pay out | wc -l)" 61 "61 points of the frontier"
mv out first
for t in 1 2 4; do $E --json --threads $t >"t$t" 2>/dev/null; done
same t1 t2 "2 threads: the same bytes"
same t1 t4 "4 threads: the same bytes"
ok "eval for people" $E
match out '^AIQ +0\.[0-9]{4} \[' "eval: AIQ"
match out '^t2 +33 ' "eval: a line for each task"
match out '^m1 +0\.[0-9]{4} ' "eval: a line for each model"
sed 's/,"cost":[0-9.]*//; s/,"task_name":"[^"]*"//' test.jsonl >bare.jsonl
ok "no costs, no tasks" "$LLMR" eval -m m.safetensors --data bare.jsonl --json
match out '"cost_save":null.*"aiq":null,"cost_at_95":null,"cost_at_best":null,"frontier":\[\],.*"per_task":\{\}' "no costs, no tasks: null"
head -n 60 test.jsonl >few.jsonl
ok "too few" "$LLMR" eval -m m.safetensors --data few.jsonl --json
match out '"regret":null,.*"ece":null,"calibration":\[\],"aiq":null,.*"per_model":\{\},"per_task":\{\}' "too few: null"

# --- a pair ---
ok "pair by name" $E --weak m0 --strong m1 --json
match out '"pair":\{"weak":\{"model":"m0",.*"strong":\{"model":"m1"' "pair by name: told"
match out '"pair":.*"apgr":(null|\{"value")' "pair by name: APGR"
records 1 90 2 >train2.jsonl
records 91 190 2 >test2.jsonl
$T --data train2.jsonl -o two.safetensors 2>/dev/null
ok "two models are a pair" "$LLMR" eval -m two.safetensors --data test2.jsonl --json
match out '"pair":\{"weak"' "two models are a pair: told"
status 64 "half a pair" $E --weak m0
match err 'go together' "half a pair: said"
status 64 "unknown weak model" $E --weak nobody --strong m1
match err "'nobody' is not a model of the router" "unknown weak model: named"
status 64 "a pair of one" $E --weak m1 --strong m1

# --- against another router ---
sed 's/"performance":1/"performance":0.2/; s/m0"/mX"/; s/m2"/m0"/; s/mX"/m2"/' train.jsonl >odd.jsonl
$T --data odd.jsonl -o odd.safetensors 2>/dev/null
ok "against" $E --against odd.safetensors --json
match out '"against":\{"model":"odd.safetensors","queries":100,.*"delta":\{"value":0\.[0-9]*,"ci95":\[0\.[0-9]*,0\.[0-9]*\]\},"p":0\.00' "against: better"
match out '"losses":0,' "against: never worse"
ok "against itself" $E --against m.safetensors --json
match out '"delta":\{"value":0,"ci95":\[0,0\]\},"p":1,.*"wins":0,"losses":0,"ties":100,"sign_p":1' "against itself: no difference"
status 66 "against nothing" $E --against nothere.safetensors
$T --data test.jsonl -o leak.safetensors 2>/dev/null
status 65 "what the other was trained on is dropped too" $E --against leak.safetensors

# --- the gate ---
ok "gate met" $E --gate 'gap_closed>=0.15 && delta_best_single.lo>0'
status 1 "gate missed" $E --gate 'gap_closed>=0.15 && ece < 0.0001' --json
match err 'gate missed: ece < 0.0001: 0\.' "gate missed: the comparison and its value"
absent err 'gap_closed' "gate missed: what held is not blamed"
same out first "gate missed: the figures are printed"
ok "gate: a task, another router" $E --against odd.safetensors --gate 'per_task.t1.router.score == 1 && against.p < 0.05'
status 64 "gate: unknown name" $E --gate 'gap_close >= 0.15' --json
match err "gate: 'gap_close' is not a key" "gate: unknown name is named"
equal "$(wc -c <out)" 0 "gate: unknown name: no output"
status 64 "gate: not an expression" "$LLMR" eval -m nothere --data test.jsonl --gate 'aiq >'
match err 'gate: a name or a number is missing at column 6' "gate: not an expression: where"
status 1 "gate: null is not met" "$LLMR" eval -m m.safetensors --data bare.jsonl --gate 'aiq > 0'
match err 'gate missed: aiq > 0: null' "gate: null is said"

# --- the page ---
ok "report" $E --report r.html --against odd.safetensors --json
match r.html '^</html>$' "report: whole"
absent r.html '<script|src=|href=|@import|url\(' "report: needs nothing but itself"
for part in 'Score and cost' 'Score by task' 'Are its predictions true' 'What it chose' 'Time of a decision' \
	'Against another router'; do match r.html "$part" "report: $part"; done
if python3 -c '' 2>/dev/null; then
	if python3 - r.html 2>err <<'PY'
import re, sys, xml.etree.ElementTree as tree
page = open(sys.argv[1], encoding="utf-8").read()
for svg in re.findall(r"<svg.*?</svg>", page, re.S):
    for e in tree.fromstring(svg).iter():
        for k, v in e.attrib.items():
            assert "nan" not in v and "inf" not in v, (k, v)
PY
	then pass "report: figures are well-formed"; else fail "report: figures are well-formed" "$(tail -n 1 err)"; fi
else
	skip "report: figures are well-formed: no python3"
fi
echo old >r.html
status 1 "report: with a missed gate" $E --report r.html --gate 'ece < 0'
match r.html 'Gate missed:.*ece &lt; 0' "report: says that the gate was missed"
ok "report: too few" "$LLMR" eval -m m.safetensors --data few.jsonl --report few.html
match few.html 'nothing could be compared' "report: too few: said"
status 64 "report: unknown name in the gate" $E --report none.html --gate 'nothing < 0'
status 73 "report: no such folder" $E --report no/r.html
status 64 "report: not to standard output" $E --report -
status 64 "report: not with --off-policy" $E --report r2.html --off-policy
nofile 'none.html r2.html .*tmp* *.tmp*' "report: nothing half-written"

# --- logged calls of one model a query ---
# called FIRST LAST SEED: one of three models, m2 twice as often as the others
called() {
	records "$1" "$2" | awk -v seed="$3" 'BEGIN { srand(seed) }
		NR % 3 == 1 { u = rand(); take = u < 0.25 ? 0 : u < 0.5 ? 1 : 2 }
		(NR - 1) % 3 == take { sub(/}$/, take == 2 ? ",\"propensity\":0.5}" : ",\"propensity\":0.25}"); print }'
}
called 91 690 7 >log.jsonl
ok "off-policy" "$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --json
match out '"queries":600,"records":600,"dropped_leaks":0,"models":3,"off_policy":\{"matched":[12][0-9]*,"ess":1[0-9.]*,"mean_weight":[01]\.' "off-policy: counts"
match out '"snips":\{"value":1,"ci95":\[1,1\]\}' "off-policy: the router is always right"
match out '"dr":\{"value":(0\.9|1)' "off-policy: doubly robust"
mv out op1
"$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --json --threads 4 >op4 2>/dev/null
same op1 op4 "off-policy: 4 threads: the same bytes"
ok "off-policy for people" "$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --gate 'off_policy.dr.lo > off_policy.logged.hi'
match out '^router, doubly robust +0\.9|^router, doubly robust +1' "off-policy for people: doubly robust"
status 1 "off-policy: gate" "$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --gate 'off_policy.ess > 1000'
status 65 "off-policy: no propensities" "$LLMR" eval -m m.safetensors --data test.jsonl --off-policy
match err 'test.jsonl: line 1: record has no "propensity"' "off-policy: no propensities: file and line"
one_line_error "off-policy: no propensities: one line"
head -n 40 log.jsonl >short.jsonl
status 65 "off-policy: too few agree" "$LLMR" eval -m m.safetensors --data short.jsonl --off-policy
match err 'fewer than 30 \(--min-ess\)' "off-policy: too few agree: said"
sed 's/"propensity":[0-9.]*/"propensity":0/' short.jsonl >zero.jsonl
status 65 "off-policy: propensity 0" "$LLMR" eval -m m.safetensors --data zero.jsonl --off-policy
sed 's/"propensity":[0-9.]*/"propensity":0.9/' log.jsonl >wrong.jsonl
ok "off-policy: wrong propensities" "$LLMR" eval -m m.safetensors --data wrong.jsonl --off-policy
match err 'mean weight is 0\.[0-9]* where 1 is expected' "off-policy: wrong propensities: noticed"
called 1 90 8 >leaks.jsonl
status 65 "off-policy: only leaks" "$LLMR" eval -m m.safetensors --data leaks.jsonl --off-policy
status 64 "off-policy: not with --against" "$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --against m.safetensors
status 64 "off-policy: records only" "$LLMR" eval -m m.safetensors --data log.jsonl --off-policy --from flat

# --- real data: figures that an independent computation gave ---
real() { # NAME FORMAT FILE
	"$LLMR" convert --from "$2" "$SHARED/data/$3" --out-dir "$1" --test-split 0.4 -q 2>/dev/null
	"$LLMR" train knn --data "$1/routing_train.jsonl" -o "$1.safetensors" -q 2>/dev/null
	ok "eval on $1" "$LLMR" eval -m "$1.safetensors" --data "$1/routing_test.jsonl" --json
}
figure() { # KEY VALUE TOLERANCE
	got=$(sed -n 's/.*"'"$1"'":{"value":\(-*[0-9.e-]*\),.*/\1/p' out)
	if awk "BEGIN { d = ${got:-9} - $2; exit !(d < $3 && d > -($3)) }"; then pass "$1 $got"
	else fail "$1 $got, expected $2"; fi
}
if [ -r "$SHARED/data/routerbench-mbpp-train.csv" ]; then
	real mbpp routerbench routerbench-mbpp-train.csv
	figure regret 0.21774 0.02
	figure ece 0.15664 0.03
	figure cost_save 0.39653 0.1
	figure aiq 0.61035 0.02
	figure single_models 0.632694 0.000001
	real gsm8k routellm routellm-gsm8k.csv
	figure apgr 0.62038 0.02
	figure cpt50 0.36648 0.03
	figure cpt80 0.58868 0.03
else
	skip "real data: no $SHARED/data"
fi
