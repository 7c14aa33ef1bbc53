. "$(dirname "$0")/lib.sh"

# A tiny packed encoder (16 dimensions, 8 tokens) stands in for a real one.
cp "$SRC/tests/fuzz/corpus/bert/bf16" e.safetensors
cp "$SRC/tests/fuzz/corpus/bert/int8" i.safetensors
printf '%s\n' 'a b' 'un able' '' 'a b' >texts
printf '%s\n' '{"query": "a b"}' '{"query": "un able", "id": 7}' '{"query": ""}' '{"query": "a b"}' >queries.jsonl
for s in safetensors npy pt; do
	ok "embed into .$s" "$LLMR" embed --embedder bert:e.safetensors queries.jsonl -o v.$s
	match err "wrote v.$s: 4 rows of 16" "says what it wrote"
	equal "$(head -c 1280 v.$s | wc -c)" 1280 "header and rows are there (.$s)"
	nofile v.$s.part "nothing is left half-done (.$s)"
done
rows() { tail -c +1025 "$1" | head -c 256; }
rows v.npy >a && rows v.pt >b && rows v.safetensors >c
same a b "the formats hold the same rows"
same a c "all three of them"
ok "plain lines" "$LLMR" embed --text --embedder bert:e.safetensors texts -o t.npy
same t.npy v.npy "plain lines and JSON lines give the same"
head -c 64 a >first && tail -c 64 a >last
same first last "a text that comes again has the same vector"
ok "as JSON" "$LLMR" embed --json --embedder bert:i.safetensors --text texts -o w.npy
match out '"rows":4' "how many rows"
match out '"dtype":"int8"' "and of which type"
ok "hash needs no files" "$LLMR" embed --embedder hash queries.jsonl -o h.npy

ok "the cache is filled" "$LLMR" embed --cache c.db --embedder bert:e.safetensors queries.jsonl -o c1.npy
match err '0 of 4 rows' "nothing was in it"
ok "and used" "$LLMR" embed --cache c.db --embedder bert:e.safetensors queries.jsonl -o c2.npy
match err '4 of 4 rows' "for all rows"
same c1.npy v.npy "filling it changes no vector"
same c2.npy v.npy "nor does using it"
ok "another encoder has rows of its own" "$LLMR" embed --cache c.db --embedder bert:i.safetensors queries.jsonl -o c3.npy
match err '0 of 4 rows' "under its digest"
status 65 "a cache that is none" "$LLMR" embed --cache v.npy --embedder bert:e.safetensors queries.jsonl -o c4.npy

# An interrupted run goes on, on the same input alone.
printf '%s\n' '{"query": "a"}' '{"query": 1}' >bad.jsonl
status 65 "a line without a query" "$LLMR" embed --embedder bert:e.safetensors bad.jsonl -o x.npy
match err 'bad.jsonl: line 2' "is named"
nofile x.npy "and nothing is written"
status 65 "a part begun by another encoder" "$LLMR" embed --embedder bert:i.safetensors bad.jsonl -o x.npy
match err 'restart' "says what to do"
ok "beginning anew" "$LLMR" embed --restart --embedder bert:i.safetensors queries.jsonl -o x.npy
status 64 "no embedder" "$LLMR" embed queries.jsonl -o x.npy
status 64 "an unknown suffix" "$LLMR" embed --embedder bert:e.safetensors queries.jsonl -o x.csv
status 66 "no such encoder" "$LLMR" embed --embedder bert:none queries.jsonl -o x.npy
status 65 "not an encoder" "$LLMR" embed --embedder bert:v.safetensors queries.jsonl -o x.npy
match err 'llmr import bert' "says how to make one"

# A router names its encoder and takes no other.
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	w=$([ $((i % 2)) = 0 ] && echo a || echo un)
	echo "{\"query\": \"$w $i able\", \"model_name\": \"m1\", \"performance\": $((i % 2))}"
	echo "{\"query\": \"$w $i able\", \"model_name\": \"m2\", \"performance\": $((1 - i % 2))}"
done >data.jsonl
ok "train on a join" "$LLMR" train knn --data data.jsonl --embedder hash+bert:e.safetensors --hparam k=5 -o r.safetensors
ok "route with its encoder" "$LLMR" route -m r.safetensors --embedder bert:e.safetensors 'a able'
cp out choice
printf 'route:\n  embedder: bert:e.safetensors\n' >settings.yaml
ok "the settings may say where it lies" "$LLMR" route --settings settings.yaml -m r.safetensors 'a able'
same out choice "and the choice is the same"
ok "eval and inspect too" "$LLMR" inspect r.safetensors --embedder bert:e.safetensors
match out 'digest' "inspect shows the digest"
status 65 "without the encoder" "$LLMR" route -m r.safetensors 'a able'
match err 'embedder bert:PATH' "says what is missing"
status 65 "with another encoder" "$LLMR" route -m r.safetensors --embedder bert:i.safetensors 'a able'
match err "dtype 'bf16'" "says how they differ"
cat >gw.yaml <<'Y'
model_list:
  - {model_name: m1, litellm_params: {model: openai/m1, api_key: none, api_base: "http://127.0.0.1:9/v1"}}
  - {model_name: m2, litellm_params: {model: openai/m2, api_key: none, api_base: "http://127.0.0.1:9/v1"}}
general_settings: {master_key: sk-test}
router_settings: {routing_strategy: llmrouter-knn, routing_strategy_args: {model_path: r.safetensors}}
Y
ok "a gateway takes it with its encoder" "$LLMR" serve -t -c gw.yaml --embedder bert:e.safetensors
status 65 "not without" "$LLMR" serve -t -c gw.yaml
match err 'embedder bert:PATH' "and says what is missing"
status 65 "nor with another" "$LLMR" serve -t -c gw.yaml --embedder bert:i.safetensors
match err "dtype 'bf16'" "and says how they differ"
status 66 "nor with none" "$LLMR" serve -t -c gw.yaml --embedder bert:absent.safetensors
status 64 "import bert without output" "$LLMR" import bert .
status 66 "import bert of a folder without a model" "$LLMR" import bert . -o z.safetensors
match err 'config.json' "names the file"

model=${LLMR_MODEL:-$SRC/build/model}
if [ -f "$model/model.safetensors" ]; then
	ok "import a real encoder" "$LLMR" import bert "$model" --dtype int8 -o real.safetensors
	ok "embed with it" "$LLMR" embed --text --embedder bert:real.safetensors texts -o real.npy
	ok "and from its folder" "$LLMR" embed --text --dtype int8 --embedder bert:"$model" texts -o folder.npy
	same real.npy folder.npy "packed or not, the vectors are the same"
else
	skip "a real encoder: none at $model (make model)"
fi
ok "the walkthrough of an air-gapped machine" sh "$SRC/examples/airgap.sh" "$LLMR" i.safetensors airgap
match out 'encoder.safetensors: OK' "checks what the stick brings"
match out 'the embedder needs its encoder' "and shows what is refused"
