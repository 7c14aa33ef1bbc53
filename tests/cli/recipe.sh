#!/bin/sh
# train --recipe: the words of several programs, what is ignored, and what is refused.
. "$(dirname "$0")/lib.sh"

awk 'BEGIN {
	split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
	for (i = 1; i <= 90; i++) for (j = 0; j < 3; j++)
		printf "{\"query\":\"%s number %d\",\"model_name\":\"m%d\",\"performance\":%s}\n",
			k[i % 3 + 1], i, j, i % 3 == j ? "1" : "0.25"
}' >train.jsonl

cat >knn.yaml <<'E'
data_path:
  routing_data_train: train.jsonl
  llm_data: absent.json
hparam:
  k: 20
  distance_metric: cosine
  weighted: true
  n_jobs: -1
  random_state: 7
model_path:
  ini_model_path: ''
  save_model_path: out.pkl
E
ok "a recipe alone" "$LLMR" train --recipe knn.yaml --no-runs --json
match out '"kind":"knn"' "its kind is told from its keys"
match out '"seed":7' "random_state is the seed"
match err 'out\.pkl is written as out\.safetensors' "a pickle becomes safetensors, and it is said"
match err 'knn\.yaml:3: data_path\.llm_data is ignored' "what is ignored is named with its line"
ok "the same by options" "$LLMR" train knn --data train.jsonl --hparam n_neighbors=20 \
	--hparam weights=distance --hparam metric=cosine --seed 7 -o same.safetensors --no-runs -q
same out.safetensors same.safetensors "recipe and options: the same bytes"
ok "options count more" "$LLMR" train --recipe knn.yaml --hparam k=30 --seed 42 -o more.safetensors \
	--no-runs -q
ok "the same by options" "$LLMR" train knn --data train.jsonl --hparam n_neighbors=30 \
	--hparam weights=distance -o more2.safetensors --no-runs -q
same more.safetensors more2.safetensors "options beside a recipe: the same bytes"

# refused REGEX NAME: the recipe of standard input is refused with status 78
refused() {
	cat >bad.yaml
	status 78 "$2" "$LLMR" train --recipe bad.yaml --data train.jsonl -o bad.safetensors --no-runs
	match err "$1" "$2: message"
	nofile 'bad.safetensors*' "$2: nothing is written"
}
printf 'hparam:\n  n_neighbours: 5\n' | refused 'unknown kind|bad.yaml:2: hparam.n_neighbours: unknown key: did you mean' "a misspelt key"
printf 'hparam:\n  k: 5\n  n_neighbors: 7\n' |
	refused 'bad.yaml:3: hparam.n_neighbors: .7. contradicts hparam.k on line 2' "two keys that contradict"
printf 'hparam:\n  k: many\n' | refused 'bad.yaml:2: hparam.k: ' "a bad value"
printf 'hparam:\n  k: 5\n  p: 1\n' | refused 'bad.yaml:3: hparam.p: .1. has no counterpart' "a value without counterpart"
printf 'hparam:\n  k: 5\n  hidden_dims: [4]\n' | refused 'bad.yaml:3: hparam.hidden_dims: knn has no such' "a key of another kind"
printf 'router: bert\nhparam:\n  k: 5\n' | refused 'not trained here: a fine-tuned transformer' "a router that is not trained here"
printf 'hparam:\n  k: 5\n  k: 6\n' | refused 'bad.yaml:3' "a key twice"
printf 'hparam: [1, 2]\n' | refused 'bad.yaml:1' "a section that is a list"
printf -- '- a\n' | refused 'a recipe is a map' "no map at all"
printf 'hparam: {k: {a: {b: {c: {d: 1}}}}}\n' | refused 'bad.yaml:1' "nested too deeply"
status 66 "no such recipe" "$LLMR" train --recipe absent.yaml --data train.jsonl -o bad.safetensors
status 64 "a kind that is not trained here" "$LLMR" train causallm --data train.jsonl -o bad.safetensors
match err 'causallm' "it is named"

# A router between a small and a large model: its words are taken, and mean something.
cat >pair.yaml <<'E'
router_mode: "probabilistic"
router_tau: 0.1
router_threshold: 0.5
hparam:
  hidden_layer_sizes: [128, 64]
model_path:
  save_model_path: chosen.pkl
E
{ echo 'router_name: hybrid_llm'; cat pair.yaml; } >hybrid.yaml
ok "hybrid_llm" "$LLMR" train --recipe hybrid.yaml --data train.jsonl --hparam members=ridge --no-runs --json
match out '"kind":"hybrid"' "hybrid_llm is a hybrid"
absent err 'router_(mode|tau|threshold) is ignored' "nothing of the choice is ignored"
match err 'probabilistic: drawn by a softmax' "without a pair it draws from all"
ok "hybrid_llm, a pair" "$LLMR" train --recipe hybrid.yaml --data train.jsonl --hparam members=ridge --no-runs \
	--weak m0 --strong m2 -o two.safetensors
match err "probabilistic: 'm2' is expected to get [0-9.]+ % of the calls, 'm0' the others" "and a pair is one"
match two.yaml '^  router_mode: "probabilistic"$' "the mode is stored"
match two.yaml '^  router_tau: 0.1$' "and tau"
cp pair.yaml chosen.yaml
status 64 "a recipe is not overwritten" "$LLMR" train --recipe chosen.yaml --data train.jsonl --no-runs
match err 'chosen.yaml: is the recipe' "a recipe is not overwritten: message"
same pair.yaml chosen.yaml "a recipe is not overwritten: it is whole"
ok "mlp takes the same words" "$LLMR" train mlp --recipe pair.yaml --data train.jsonl --no-runs -o mlp.safetensors \
	--weak m0 --strong m2
sed 's/probabilistic/sometimes/' pair.yaml | refused 'router_mode: .sometimes. is not' "a mode that there is not"

if [ ! -d "$SHARED/fixtures/recipes" ]; then skip "recipes as users have them"; exit; fi
for f in "$SHARED"/fixtures/recipes/*.yaml; do
	name=$(basename "$f" .yaml)
	ok "$name runs" "$LLMR" train --recipe "$f" --data train.jsonl -o user.safetensors --no-runs
done
