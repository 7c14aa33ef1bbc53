#!/bin/sh
# The same bytes from 1, 2 and 4 threads: artifact, cross-validation and evaluation, every kind.
. "$(dirname "$0")/lib.sh"

# three NAME KIND TRAIN-OPTION...: train and evaluate on 1, 2 and 4 threads
three() {
	name=$1 kind=$2
	shift 2
	for t in 1 2 4; do
		if ! "$LLMR" train "$kind" "$@" --threads $t --no-runs -q --json -o "$t.safetensors" >"$t.json" 2>err; then
			fail "$name: train $kind on $t threads" "$(head -c 400 err)"
			return
		fi
		sed 's/"\(seconds\|cpu_seconds\|peak_rss_bytes\|stated_bytes\|output\)":[^,}]*//g' "$t.json" >"$t.told"
	done
	same 1.safetensors 2.safetensors "$name: $kind, 2 threads, the artifact"
	same 1.safetensors 4.safetensors "$name: $kind, 4 threads, the artifact"
	same 1.told 2.told "$name: $kind, 2 threads, what train tells"
	same 1.told 4.told "$name: $kind, 4 threads, what train tells"
}

KINDS="knn svm mlp mf ridge kridge trees hybrid"
ok "the examples as records" "$LLMR" convert "$SRC/examples/traces.jsonl.zst" --labels "$SRC/examples/labels.jsonl" \
	-q -o examples.jsonl
for kind in $KINDS; do
	case $kind in knn) cv="--cv 2" ;; *) cv="" ;; esac
	three examples $kind --data examples.jsonl $cv
done
for kind in svm mlp; do three "examples, objective best" $kind --data examples.jsonl --objective best; done

BENCH=$SHARED/data/routerbench-mbpp-train.csv
if [ -f "$BENCH" ]; then
	for kind in svm mlp kridge hybrid; do three RouterBench $kind --from routerbench --data "$BENCH"; done
else
	skip "RouterBench on several threads"
fi
