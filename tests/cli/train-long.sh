#!/bin/sh
# train: search, predictions left out, weights, interruption, memory, and what bad data get.
. "$(dirname "$0")/lib.sh"
LLMR_NO_RUNS=1
export LLMR_NO_RUNS

# records N: N queries of three kinds; each of three models is good at one of them
records() {
	awk -v n="$1" 'BEGIN {
		split("sum prove integral count|poem rain love verse|compile pointer array loop", kind, "|")
		for (i = 1; i <= n; i++) {
			k = i % 3; split(kind[k + 1], w, " ")
			for (m = 0; m < 3; m++)
				printf "{\"query\":\"%s %s %s item%d\",\"model_name\":\"m%d\",\"performance\":%g,\"cost\":%g,\"task_name\":\"t%d\"}\n",
				    w[i % 4 + 1], w[(i + 1) % 4 + 1], w[int(i / 4) % 4 + 1], i % 17 * 31 + i, m,
				    (m == k ? 1 : (i * 7 + m) % 4 == 0), 0.001 * (m + 1), k
		}
	}'
}
records 240 >r.jsonl
R="$LLMR train --data r.jsonl --hparam dim=16"

ok "search" $R knn --search --grid n_neighbors=15,40 --grid weights=uniform,softmax --cv 3 --json -o s.safetensors --save-oof oof.jsonl
match out '"search":\{"metric":"score","chosen":\{"n_neighbors":"[0-9]+","weights":"[a-z]+"\},"selected_score":' "the chosen one"
match out '"folds_chosen":\[\{[^]]*\},\{[^]]*\},\{[^]]*\}\]' "what each fold chose"
match err 'router, 3-fold, nested' "the nested figure is printed"
equal "$(wc -l <oof.jsonl | tr -d ' ')" 240 "a line a query left out"
match oof.jsonl '^\{"query_id":"[0-9a-f]{16}","fold":[012],"task_name":"t[012]","scores":\{"m0":[-0-9.e]+,"m1":[-0-9.e]+,"m2":[-0-9.e]+\},"truth":\{"m0":[01],"m1":[01],"m2":[01]\},"chosen":"m[012]","best_single":"m[012]","performance":[01]\}$' "its schema"
for t in 1 2 4; do $R knn --search --grid n_neighbors=15,40 --grid weights=uniform,softmax --cv 3 -q --threads $t -o s$t.safetensors 2>/dev/null; done
same s1.safetensors s2.safetensors "search: one thread, two threads"
same s1.safetensors s4.safetensors "search: one thread, four threads"
printf 'kind: mlp\ngrid:\n  hidden_layer_sizes: [[8], [8, 4]]\n  max_iter: [3]\n' >grid.yaml
ok "a grid in a recipe" $R --recipe grid.yaml --cv 2 --json -o g.safetensors
match out '"hidden_layer_sizes":"8,4"' "a list within a list is one value"
status 64 "grid without values" $R knn --grid k -o x.safetensors
status 64 "grid with an unknown name" $R knn --grid nk=1,2 -o x.safetensors
status 64 "grid with a bad value" $R knn --grid k=10,0 -o x.safetensors
status 64 "grid of what becomes of predictions" $R knn --grid router_mode=probabilistic,deterministic -o x.safetensors
match err 'router_mode says what becomes of predictions' "named"
ok "hyperparameters of no member" $R hybrid --hparam members=ridge --hparam mlp.max_iter=2 -o x.safetensors
match err 'hyperparameters of mlp have no effect' "are named"
ok "hyperparameters of a member" $R hybrid --hparam members=ridge,mlp --hparam mlp.max_iter=2 -o x.safetensors
absent err 'have no effect' "are not"
ok "svm of more rows than are solved exactly" $R svm --hparam exact_rows=100 -o x.safetensors
match err 'approximated by 1024 random Fourier features' "said"
ok "kridge of more rows than a system has" $R kridge --hparam max_rows=100 -o x.safetensors
match err 'kridge: 100 of the 240 queries' "said"
status 64 "predictions left out need folds" $R knn --save-oof o -o x.safetensors

ok "weights: uniform" $R ridge --sample-weights uniform -q -o u.safetensors
sed 's/}$/,"weight":2}/' r.jsonl >w2.jsonl
ok "weights: all 2" "$LLMR" train ridge --data w2.jsonl --hparam dim=16 -q -o w.safetensors
sed '/"t0"/s/}$/,"weight":50}/' r.jsonl >w50.jsonl
"$LLMR" train ridge --data w50.jsonl --hparam dim=16 --cv 3 -q --save-oof heavy.jsonl -o w.safetensors
"$LLMR" train ridge --data w50.jsonl --sample-weights uniform --hparam dim=16 --cv 3 -q --save-oof even.jsonl -o w.safetensors
if cmp -s heavy.jsonl even.jsonl; then fail "weights count"; else pass "weights count"; fi
for w in 0 -1 1e300; do
	sed "5s/}\$/,\"weight\":$w}/" r.jsonl >bad.jsonl
	status 65 "weight $w" "$LLMR" train ridge --data bad.jsonl -o x.safetensors
	match err 'bad.jsonl: line 5: key "weight": .* is outside' "named"
done
ok "balanced tasks" $R knn --sample-weights task --json -o w.safetensors
match out '"sample_weights":"task"' "and recorded"

# interrupted COMMAND...: SIGINT at several moments, each time to the end with --resume
interrupted() {
	what=$1; shift
	"$@" -q -o whole.safetensors 2>/dev/null
	kept=0
	for d in 0.05 0.15 0.3 0.6; do
		rm -f part.safetensors*
		"$@" -q -o part.safetensors 2>err &
		p=$!
		sleep $d
		kill -INT $p 2>/dev/null
		wait $p
		[ $? -eq 130 ] || continue
		[ -e part.safetensors ] && fail "$what: nothing half-written"
		[ -e part.safetensors.checkpoint ] || continue
		kept=$((kept + 1))
		match err '^llmr: interrupted: [0-9]+ finished pieces are kept in part.safetensors.checkpoint; the same command with --resume' "$what: says how to go on"
		cp part.safetensors.checkpoint old.checkpoint
		ok "$what: goes on" "$@" -q --resume --threads 1 -o part.safetensors
		same whole.safetensors part.safetensors "$what: the same bytes"
		[ -e part.safetensors.checkpoint ] && fail "$what: the checkpoint is removed"
	done
	[ $kept -gt 0 ] || skip "$what: was not to be interrupted between two pieces"
}
records 1500 >long.jsonl
M="--data long.jsonl --hparam dim=16 --hparam max_iter=400 --hparam n_iter_no_change=400 --hparam n_nets=1"
trap '' INT	# the shell goes on; children get the default back from llmr
interrupted mlp "$LLMR" train mlp $M
if [ -e old.checkpoint ]; then
	status 65 "a checkpoint of other data" "$LLMR" train mlp --data r.jsonl --checkpoint old.checkpoint --resume -o x.safetensors
	match err 'old.checkpoint: a checkpoint of another training: data differs' "named"
	status 65 "of other hyperparameters" "$LLMR" train mlp $M --hparam alpha=1 --checkpoint old.checkpoint --resume -o x.safetensors
	match err 'hyperparameters differs' "named"
	status 65 "of another seed" "$LLMR" train mlp $M --seed 1 --checkpoint old.checkpoint --resume -o x.safetensors
	match err 'seed differs' "named"
fi
interrupted hybrid "$LLMR" train hybrid --data long.jsonl --hparam dim=16
interrupted search "$LLMR" train ridge --data long.jsonl --hparam dim=16 --search --cv 3
status 66 "no checkpoint" $R knn --resume -o x.safetensors
status 65 "not a checkpoint" $R knn --resume --checkpoint s.safetensors -o x.safetensors
status 65 "no safetensors" $R knn --resume --checkpoint r.jsonl -o x.safetensors

# What is said before training starts holds.
for k in knn svm mlp mf ridge kridge trees hybrid "knn --cv 3" "ridge --search --cv 3" "svm --objective best"; do
	$R $k --json -q -o x.safetensors >out 2>err
	s=$(sed 's/.*"stated_bytes":\([0-9]*\).*/\1/' out) p=$(sed 's/.*"peak_rss_bytes":\([0-9]*\).*/\1/' out)
	if [ "${p:-1}" -le "${s:-0}" ]; then pass "$k: memory as stated"; else fail "$k: memory as stated" "$p > $s"; fi
done
for v in 60000 150000 250000; do
	(ulimit -v $v && exec $R kridge -q -o oom.safetensors) >out 2>err
	r=$?
	if [ $r -eq 75 ] || [ $r -eq 0 ]; then pass "little memory ($v): 75 or it fits"; else fail "little memory ($v)" "exit $r" "$(head -c 300 err)"; fi
done

# Bad data.
head -n 3 r.jsonl >one.jsonl
ok "one query" "$LLMR" train knn --data one.jsonl --embedder hash -o x.safetensors
status 65 "one query and folds" "$LLMR" train knn --data one.jsonl --embedder hash --cv 2 -o x.safetensors
grep '"m0"' r.jsonl >m0.jsonl
status 65 "one model" "$LLMR" train hybrid --data m0.jsonl -o x.safetensors
match err "only one model \('m0'\)" "named"
sed 's/"performance":[0-9.]*/"performance":1/; s/"cost":[0-9.]*/"cost":0.5/' r.jsonl >const.jsonl
for k in knn svm mlp mf ridge kridge trees hybrid; do
	ok "constant columns: $k" "$LLMR" train $k --data const.jsonl --hparam dim=16 -o x.safetensors
	match err 'nothing can be learned' "constant columns: $k: said"
done
sed 's/"performance":1,/"performance":0,/' r.jsonl | cat r.jsonl - >dup.jsonl
ok "conflicting scores" "$LLMR" train knn --data dup.jsonl --embedder hash -o x.safetensors
match err 'averaged; in [1-9][0-9]* cases they differ' "counted"
for v in 1.5 -0.1; do
	sed "5s/\"performance\":[0-9.]*/\"performance\":$v/" r.jsonl >score.jsonl
	status 65 "a score of $v" "$LLMR" train knn --data score.jsonl --embedder hash -o score.safetensors
	match err "score.jsonl: line 5: key \"performance\": $v is outside 0..1" "a score of $v: named"
	nofile 'score.safetensors*' "a score of $v: nothing is written"
done
sed '5s/"cost":[0-9.]*/"cost":-1/' r.jsonl >cost.jsonl
ok "a negative cost" "$LLMR" train knn --data cost.jsonl --embedder hash -o x.safetensors
match err '1 records have a cost that is negative' "said"
sed '5s/"cost":[0-9.]*/"cost":1e999/' r.jsonl >cost.jsonl
status 65 "an infinite cost" "$LLMR" train knn --data cost.jsonl --embedder hash -o x.safetensors
match err 'cost.jsonl: line 5' "named"
sed 's/"cost":[0-9.]*,//' r.jsonl >free.jsonl
ok "no costs" "$LLMR" train hybrid --data free.jsonl --hparam dim=16 -q -o x.safetensors
awk 'BEGIN { for (i = 0; i < 6; i++) for (m = 0; m < 2; m++)
	printf "{\"query\":\"%c%c%c %s\",\"model_name\":\"m%d\",\"performance\":%d}\n", 97 + i, 97 + i, 97 + i, i < 2 ? "same word" : "", m, (i + m) % 2 }' >tiny.jsonl
ok "a fold from which nothing can be learned" "$LLMR" train knn --data tiny.jsonl --cv 6 --hparam dim=8 -o x.safetensors
