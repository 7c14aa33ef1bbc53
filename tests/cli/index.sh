#!/bin/sh
# The graph index of knn: trained, stored, shown and routed by.
. "$(dirname "$0")/lib.sh"

awk 'BEGIN {
	split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
	for (i = 1; i <= 240; i++) for (j = 0; j < 3; j++)
		printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s}\n", k[i % 3 + 1], i, j,
			i % 3 == j ? "1" : "0.25"
}' >train.jsonl
sed "s/ number / of /" train.jsonl >test.jsonl
T="$LLMR train knn --data train.jsonl --hparam n_neighbors=15 --hparam dim=16"

ok "by a graph" $T --hparam index=hnsw --hparam M=8 -o m.safetensors --json
match out '"index":\{"kind":"hnsw","k":15,"ef_search":[0-9]+,"sample":24,"recall_at_10":(1|0\.9[0-9]*),"recall_at_k":' \
	"train --json: recall"
match err 'index +finds [0-9.]+ % of the 10 nearest prompts' "recall for people"
for t in 1 2 4; do $T --hparam index=hnsw --hparam M=8 -q --threads $t -o t$t.safetensors 2>/dev/null; done
same t1.safetensors t2.safetensors "2 threads: the same bytes"
same t1.safetensors t4.safetensors "4 threads: the same bytes"
same t1.safetensors m.safetensors "again: the same bytes"
ok "inspect" "$LLMR" inspect m.safetensors
match out 'knn.links +U32 +\[240 x 16\]' "inspect: the links"
match out 'recall_at_10: ' "inspect: recall"
ok "inspect --json" "$LLMR" inspect m.safetensors --json
match out '"index":"hnsw","M":8,"ef_construction":80,"ef_search":[0-9]+,"recall":0.99' "inspect: hyperparameters"
ok "route" "$LLMR" route --model m.safetensors "a poem about love and rain number 500"
match out 'm1' "the same model as by comparing all"
ok "eval" "$LLMR" eval --model m.safetensors --data test.jsonl --json
match out '"gap_closed":\{"value":1,' "eval by the graph"

ok "few prompts are compared" $T -o e.safetensors --json
match out '"index":null' "no index"
ok "a member of a hybrid" "$LLMR" train hybrid --data train.jsonl --hparam dim=16 --hparam members=knn,ridge \
	--hparam knn.index=hnsw -o h.safetensors --json
match out '"index":\{"kind":"hnsw"' "and its recall"
ok "route by it" "$LLMR" route --model h.safetensors "a proof of the matrix integral number 3"
match out 'm2' "the right model"

status 64 "no such index" $T --hparam index=ivf -o x.safetensors
match err "index: 'ivf' is not auto, exact or hnsw" "says which there are"
status 64 "too few links" $T --hparam index=hnsw --hparam M=2 -o x.safetensors
nofile x.safetensors "and writes nothing"
