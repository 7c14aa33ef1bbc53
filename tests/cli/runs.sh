#!/bin/sh
# runs: what train and eval record, and that recording never gets in their way.
. "$(dirname "$0")/lib.sh"

records() {
	awk -v a="$1" -v b="$2" 'BEGIN {
		split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
		for (i = a; i <= b; i++) for (j = 0; j < 3; j++)
			printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s}\n",
				k[i % 3 + 1], i, j, i % 3 == j ? "1" : "0.25"
	}'
}
records 1 60 >train.jsonl
records 61 120 >test.jsonl
T="$LLMR train knn --hparam n_neighbors=20 --hparam dim=16 --data train.jsonl"
ids() { "$LLMR" runs export "$@" | sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p'; }
count() { "$LLMR" runs export "$@" 2>/dev/null | wc -l | tr -d ' '; }

ok "list without a database" "$LLMR" runs list
match err 'no runs recorded' "and says so"
status 66 "show without a database" "$LLMR" runs show abc
ok "train" $T -o m.safetensors
ok "eval" "$LLMR" eval --model m.safetensors --data test.jsonl --json
cp out eval.json
equal "$(count)" 2 "two rows"
match "$XDG_STATE_HOME/llmr/runs.db" 'SQLite format 3' "the database is where the state lives"
ok "list" "$LLMR" runs list
match out '^[0-9a-f]{16} [0-9-]{10} [0-9:]{8} train +knn +[0-9.]+ +[01]\.[0-9]{4} +[01]\.[0-9]{4}  finished$' "a line a run"
set -- $(ids)
ok "show --json" "$LLMR" runs show --json "$2"
match out '"command":"eval","kind":"knn","status":"finished","error":null' "an evaluation"
match out "\"metrics\":$(sed 's/[][{}.]/\\&/g' eval.json)," "metrics are what eval prints"
match out "\"artifact_digest\":\"$(sha256sum m.safetensors | cut -d' ' -f1)\"" "digest of the artifact"
ok "show by the begin of an id" "$LLMR" runs show "$(echo "$1" | cut -c1-12)"
match out '^  params\.n_neighbors +20$' "hyperparameters by name"
match out '^  params\.train\.seed +42$' "options under the command's name"
match out '^  metrics\.loo\.delta_ci95\.lo ' "intervals by their ends"
ok "compare" "$LLMR" runs compare "$1" "$2"
match out '^\* command +train +eval$' "what differs is marked"
match out '^  status +finished +finished$' "what agrees is not"
ok "compare --json" "$LLMR" runs compare --json "$1" "$2"
match out "^\{\"runs\":\[\"$1\",\"$2\"\],\"values\":\{\"id\":" "as JSON"
status 64 "compare one run" "$LLMR" runs compare "$1"
status 64 "an id that is none" "$LLMR" runs show "x'; DROP TABLE run"
status 66 "an unknown id" "$LLMR" runs show 0000000000000000
status 64 "an unknown verb" "$LLMR" runs drop
ok "export --format csv" "$LLMR" runs export --format csv
equal "$(head -n 1 out | cut -d, -f1-4)" "id,time,seconds,command" "csv: header"
equal "$(awk -F, '{ print NF }' out | sort -u | wc -l | tr -d ' ')" 1 "csv: as many fields in each row"

# what is recorded, what is not
ok "--no-runs" $T --no-runs -o n.safetensors
equal "$(count)" 2 "records nothing"
LLMR_NO_RUNS=1 $T -q -o n.safetensors 2>/dev/null
equal "$(count)" 2 "nor with LLMR_NO_RUNS"
status 64 "a wrong option" $T --hparam nonsense=1 -o n.safetensors
status 66 "an absent file" "$LLMR" train knn --data absent.jsonl -o n.safetensors
equal "$(count)" 2 "is no run"
echo '{"query":"q"}' >bad.jsonl
status 65 "bad data" "$LLMR" train knn --data bad.jsonl -o n.safetensors
ok "export" "$LLMR" runs export --command train
match out '"status":"failed","error":"bad.jsonl' "is a failed one, with its error"
ok "--state-dir" $T --state-dir elsewhere -o n.safetensors
equal "$(count --state-dir elsewhere)" 1 "names another folder"
mkdir -p repo/.git && echo 0123456789abcdef0123456789abcdef01234567 >repo/.git/HEAD
(cd repo && "$LLMR" eval -q --model ../m.safetensors --data ../test.jsonl >/dev/null)
"$LLMR" runs export >out
match out '"git":"0123456789abcdef0123456789abcdef01234567"' "git revision"
same n.safetensors m.safetensors "recording does not show in the artifact"

# a database in the way never fails a training
echo "not a database, and it goes on and on, so that it is long enough to be taken for one of them, is it not" >junk
mkdir -p bad1 bad2 && cp junk bad1/runs.db && mkdir bad2/runs.db
for d in bad1 bad2 junk /dev/null/x; do
	ok "train with state in $d" $T --state-dir "$d" -o n.safetensors
	equal "$(grep -c 'was not recorded' err)" 1 "one warning"
	same n.safetensors m.safetensors "and its artifact"
done
same junk bad1/runs.db "a foreign file is left alone"
if command -v sqlite3 >/dev/null 2>&1; then
	mkdir newer && sqlite3 newer/runs.db 'PRAGMA user_version = 4711'
	status 78 "a newer schema" "$LLMR" runs list --state-dir newer
	match err 'schema version 4711 is newer' "is refused by its number"
	ok "and training goes on" $T --state-dir newer -o n.safetensors
else skip "no sqlite3 to make a newer schema"; fi

# several at once, from nothing
for i in 1 2 3 4 5 6; do $T -q --state-dir many -o p$i.safetensors 2>>errs & done
wait
equal "$(count --state-dir many)" 6 "six trainings at once make six rows"
equal "$(grep -c recorded errs)" 0 "without a warning"
