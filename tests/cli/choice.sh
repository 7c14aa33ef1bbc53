#!/bin/sh
# How predictions become a choice: modes, pairs, shares, exploration, limits, models without data.
. "$(dirname "$0")/lib.sh"
LLMR_NO_RUNS=1
export LLMR_NO_RUNS

# records FIRST LAST MODELS: a prompt of many words is hard; the weak model fails on most of those
records() {
	awk -v a="$1" -v b="$2" -v m="$3" 'BEGIN {
		split("sum list python code poem love rain proof matrix integral sort tree graph", w, " ")
		for (i = a; i <= b; i++) {
			hard = (i * 7919) % 100; n = 3 + int(hard / 8); q = hard > 50 ? "prove rigorously" : "tell briefly"
			for (k = 0; k < n; k++) q = q " " w[1 + (i * 31 + k * k * 17) % 13]
			for (j = 0; j < m; j++) {
				s = j == 1 ? ((i * 104729) % 100 < 95) : j == 0 ? (hard < 50 || (i * 1299709) % 100 < 20) : 0.5
				printf "{\"query\":\"%s case %d\",\"model_name\":\"m%d\",\"performance\":%g,\"cost\":%g,\"response_time\":%g}\n",
					q, i, j, s, (j + 1) * 1e-6 * length(q), (j + 1) * 0.1 * n
			}
		}
	}'
}
records 1 400 2 >train.jsonl
records 401 700 2 >test.jsonl
records 1 150 3 >three.jsonl
T="$LLMR train knn --hparam dim=32"

# --- two models: a table is made, and any share may be asked for ---
ok "train, two models" $T --data train.jsonl -o m.safetensors
match err '5 more fits without a part of the queries calibrate the choice' "calibration is announced"
$T --data train.jsonl -q --threads 4 -o m4.safetensors 2>/dev/null
same m.safetensors m4.safetensors "4 threads: the same bytes"
"$LLMR" inspect m.safetensors >out
match out 'mode\.predicted +F32 +\[400 x 2\]' "the table is in the artifact"
match out 'expect\.terms +F32 +\[4 x 8\]' "the head is in the artifact"
E="$LLMR eval --model m.safetensors --data test.jsonl --json"
# share WANT: the achieved share of strong calls is within 8 points (standard error at most 2.9)
share() {
	got=$(sed 's/.*"strong_share":\([0-9.e-]*\)},"pair".*/\1/' out)
	if awk "BEGIN { d = $got - $1; exit !(d * d <= 0.0064) }"; then pass "strong share $1: $got"
	else fail "strong share $1: $got" "$(head -c 300 err)"; fi
}
for s in 0 0.2 0.5 1; do
	ok "eval --strong-share $s" $E --strong-share $s
	share $s
	match out '"mode":\{"router_mode":"deterministic","weak":"m0","strong":"m1",' "eval --json: mode"
done
ok "eval, drawn with a share" $E --router-mode probabilistic --strong-share 0.3
share 0.3
ok "eval gate on the share" $E --strong-share 0.3 --gate 'mode.strong_share<=0.45'
status 1 "eval gate on the share, missed" $E --strong-share 0.9 --gate 'mode.strong_share<=0.45'
ok "eval without a mode" $E
match out '"mode":null' "no mode: null"
ok "eval for people" "$LLMR" eval --model m.safetensors --data test.jsonl --strong-share 0.5
match out '^m1 +[0-9.]+ % of calls \(50\.[0-9] % expected\), else m0: deterministic' "eval: share"

# --- trained to a mode: stored, used by route, changed by options ---
ok "train to a share" $T --data train.jsonl --strong-share 0.25 -o s.safetensors
match err "deterministic: 'm1' is expected to get 25\.[0-9] % of the calls, 'm0' the others" "train says what to expect"
match s.yaml 'strong_share: 0.25' "the share is a hyperparameter"
"$LLMR" route --model s.safetensors --jsonl <test.jsonl >out 2>err
strong=$(awk 'NR % 2 && /m1/ { n++ } END { print n / 300 }' out)
if awk "BEGIN { d = $strong - 0.25; exit !(d * d <= 0.0064) }"; then pass "route keeps the share: $strong"
else fail "route's share is $strong"; fi
ok "threshold 1 over a share" "$LLMR" route --model s.safetensors --router-threshold 1 "tell briefly sum list"
equal "$(cat out)" m1 "weak never serves with certainty"
ok "threshold 0" "$LLMR" route --model s.safetensors --router-threshold 0 "prove rigorously matrix integral"
equal "$(cat out)" m0 "weak always serves"
ok "train, probabilistic" $T --data train.jsonl --hparam router_mode=probabilistic --hparam router_tau=0.2 -o p.safetensors
P="$LLMR route --model p.safetensors --json"
ok "drawn" $P --request-id a "tell briefly sum list python"
json out propensity >first
$P --request-id a "tell briefly sum list python" >out
json out propensity >second
same first second "a draw is a function of the request"
awk 'BEGIN { for (i = 0; i < 600; i++) printf "{\"query\":\"prove rigorously sum list\",\"request_id\":\"r%d\"}\n", i }' >many.jsonl
$P --jsonl <many.jsonl >out 2>err
# Each model's propensity is one figure, both add up to 1, and frequencies agree with them.
if awk '{ match($0, /"model":"m[01]"/); m = substr($0, RSTART + 10, 1); match($0, /"propensity":[0-9.e-]*/);
	v = substr($0, RSTART + 13, RLENGTH - 13); if ((m in p) && p[m] != v) exit 1; p[m] = v; n[m]++ }
	END { if (p[0] == "" || p[1] == "") exit 1; d = p[0] + p[1] - 1; e = n[0] / NR - p[0]
	exit !(d * d < 1e-20 && e * e < 0.0064) }' out; then pass "propensities are the frequencies"
else fail "propensities are the frequencies" "$(head -n 2 out)"; fi
ok "deterministic in its place" $P --router-mode deterministic "tell briefly sum list python"
match out '"propensity":1,' "nothing is random"

# --- more than two models ---
ok "three models" $T --data three.jsonl -o t.safetensors
absent err 'more fits' "no calibration unless it is asked for"
status 64 "a share without a table" "$LLMR" route --model t.safetensors --weak m0 --strong m1 --strong-share 0.5 x
match err 'calibrate=true' "a share without a table: what to do"
ok "the better of two" "$LLMR" route --model t.safetensors --weak m0 --strong m2 --json "tell briefly sum"
match out '"model":"m[02]".*"runner_up":"m[02]"' "the better of two"
ok "calibrate" $T --data three.jsonl --hparam calibrate=true -o c.safetensors
ok "a share of a pair" "$LLMR" route --model c.safetensors --weak m0 --strong m1 --strong-share 1 x
equal "$(cat out)" m1 "all calls to the strong model"
status 64 "half a pair" "$LLMR" route --model c.safetensors --weak m0 x
status 64 "a share without a pair" "$LLMR" route --model c.safetensors --strong-share 0.5 x
status 64 "an unknown model" "$LLMR" route --model c.safetensors --weak m0 --strong m9 x
status 64 "train: an unknown model" $T --data three.jsonl --weak m0 --strong m9 -o x.safetensors
status 64 "train: half a pair" $T --data three.jsonl --weak m0 -o x.safetensors
status 64 "train: a share without a pair" $T --data three.jsonl --strong-share 0.5 -o x.safetensors
status 64 "train: a bad mode" $T --data three.jsonl --hparam router_mode=random -o x.safetensors
nofile 'x.*' "nothing is written"
ok "train: drawn from all" $T --data three.jsonl --hparam router_mode=probabilistic -o a.safetensors
match err 'drawn by a softmax of the scores over 0\.' "train: the temperature"
status 64 "share and cost weight" "$LLMR" route --model m.safetensors --strong-share 0.5 --cost-weight 3 x
status 64 "mode and temperature" "$LLMR" route --model p.safetensors --explore-temperature 1 x
status 64 "share and threshold" "$LLMR" route --model m.safetensors --strong-share 0.5 --router-threshold 0.5 x

# --- cost and response time ---
ok "costs and latencies" "$LLMR" route --model m.safetensors --json "tell briefly sum list"
match out '"costs":\{"m0":[0-9.e-]+,"m1":[0-9.e-]+\},"latencies":\{"m0":[0-9.]+,"m1":[0-9.]+\}' "route --json shows both"
cheap=$(sed 's/.*"costs":{"m0":\([0-9.e-]*\).*/\1/' out)
"$LLMR" route --model m.safetensors --json "prove rigorously $(yes 'sum list python poem' | head -n 8 | tr '\n' ' ')" >out
dear=$(sed 's/.*"costs":{"m0":\([0-9.e-]*\).*/\1/' out)
if awk "BEGIN { exit !($dear > 2 * $cheap) }"; then pass "a long prompt costs more: $dear, $cheap"
else fail "a long prompt costs $dear, a short one $cheap"; fi
ok "explain" "$LLMR" route --model m.safetensors --explain "tell briefly sum list"
match out '^  \* [0-9.]+ +\$[0-9.]+ +[0-9.]+ s  m[01]$' "explain shows both"
for k in svm mlp mf ridge kridge trees hybrid; do
	ok "$k" "$LLMR" train $k --data three.jsonl --hparam dim=16 --embedder lsa -q -o k.safetensors
	ok "$k routes" "$LLMR" route --model k.safetensors --json "tell briefly sum list python"
	match out '"costs":\{"m0":[0-9.e-]+,"m1":[0-9.e-]+,"m2":[0-9.e-]+\},"latencies":\{"m0":[0-9.]+,' "$k: cost and response time"
done

# --- limits and exploration, in eval and bench too ---
ok "eval --max-cost" $E --max-cost 0.0001
match err 'queries are left out: no model meets the limits' "eval: queries without a choice are said"
ok "eval --max-latency" $E --max-latency 500ms
ok "eval --explore-epsilon" $E --explore-epsilon 1
half=$(sed 's/.*"chosen":{"m0":\([0-9]*\),.*/\1/' out)
if [ "$half" -gt 120 ] && [ "$half" -lt 180 ]; then pass "eval explores: $half of 300"; else fail "eval explores: $half of 300"; fi
echo '{"m1": {"capabilities": ["tools"]}, "m0": {}}' >cand.json
ok "eval --require" $E --candidates cand.json --require tools
match out '"chosen":\{"m0":0,"m1":300\}' "eval: only those that can"
status 65 "eval: nobody can" $E --candidates cand.json --require audio
ok "bench with limits" "$LLMR" bench --model m.safetensors --queries test.jsonl -n 50 --max-latency 10s --strong-share 0.3 --json
match out '"failed":0' "bench: none failed"
ok "bench, nothing meets the limit" "$LLMR" bench --model m.safetensors --queries test.jsonl -n 50 --max-latency 1us --json
match out '"failed":50' "bench: each without a choice failed"
awk 'NR % 2 { sub(/}$/, ",\"propensity\":0.5}"); print }' test.jsonl >logged.jsonl
status 64 "off-policy takes no chance" "$LLMR" eval --model p.safetensors --data logged.jsonl --off-policy
ok "off-policy, without" "$LLMR" eval --model p.safetensors --data logged.jsonl --off-policy --router-mode deterministic --min-ess 1

# --- models without data ---
cat >cand.json <<'J'
{"m0": {"quality_score": 0.1}, "good": {"quality_score": 0.99}, "none": {}, "a": {"quality_score": 0.3}}
J
ok "train --candidates" $T --data train.jsonl --candidates cand.json -o w.safetensors
match err "'good' has no data: its quality_score 0.99 stands for it" "the prior is said"
match err "'none' is left out: it has neither data nor a quality_score" "who has neither is named"
match w.yaml '^  - "good"$' "it is one of the models"
ok "route with a prior" "$LLMR" route --model w.safetensors --json "prove rigorously sum"
match out '"scores":\{"a":0\.3,"good":0\.99,"m0":0\.[0-9]*,"m1":0\.[0-9]*\}' "its score is its quality_score"
match out '"costs":\{"a":null,"good":null,"m0":[0-9.e-]+' "its cost is not known"
match out '"model":"(good|m1)"' "it takes part"
ok "route among those with data" "$LLMR" route --model w.safetensors --weak m0 --strong m1 --strong-share 1 x
equal "$(cat out)" m1 "the pair is where it was"
status 64 "no pair without data" "$LLMR" route --model w.safetensors --weak m0 --strong good --strong-share 1 x
match err "'good' has no score in the training data" "no pair without data: message"
ok "eval with a prior" "$LLMR" eval --model w.safetensors --data test.jsonl --json
match err '2 models of the router without a score in the data, not chosen: a, good' "eval: not chosen"
