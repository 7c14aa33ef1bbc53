#!/bin/sh
# import: a router of one's own weights, and what bad weights get.
. "$(dirname "$0")/lib.sh"

# zeros N: N float32 that are zero
zeros() { head -c $((4 * $1)) /dev/zero; }
# tensors HEADER: a safetensors file of that header and the bytes of standard input
tensors() {
	set -- "$1$(printf '%*s' $(((8 - ${#1} % 8) % 8)) '')"
	printf "\\$(printf %03o $((${#1} % 256)))\\$(printf %03o $((${#1} / 256)))\0\0\0\0\0\0%s" "$1"
	cat
}
quarters='\000\000\200\076\000\000\100\077'		# 0.25 and 0.75
two='{"bias":{"dtype":"F32","shape":[2],"data_offsets":[64,72]},"weight":{"dtype":"F32","shape":[2,8],"data_offsets":[0,64]}}'
{ zeros 16; printf "$quarters"; } | tensors "$two" >w.safetensors
I="$LLMR import linear w.safetensors --dim 8"

ok "linear" $I --models small,large -o own.safetensors
ok "route" "$LLMR" route --model own.safetensors --json "any prompt"
match out '"model":"large"' "the outputs' order is that of --models"
match out '"scores":\{"large":0\.75,"small":0\.25\}' "outputs are the scores"
ok "the other order" $I --models large,small -o other.safetensors
ok "route" "$LLMR" route --model other.safetensors "any prompt"
equal "$(cat out)" small "the names follow"
ok "softmax" $I --models a,b --link softmax -o soft.safetensors
ok "route" "$LLMR" route --model soft.safetensors --json "any prompt"
match out '"a":0\.377541,"b":0\.622459' "link"
ok "inspect" "$LLMR" inspect own.safetensors --json
match out '"kind":"linear"' "inspect: kind"
$I --models small,large -o again.safetensors 2>/dev/null
same own.safetensors again.safetensors "the same bytes again"

net='{"layers.0.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"layers.0.weight":{"dtype":"F32","shape":[3,8],"data_offsets":[12,108]},"layers.1.bias":{"dtype":"F32","shape":[2],"data_offsets":[108,116]},"layers.1.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[116,140]}}'
# hidden units of bias 0.25, 0.75, 0; the first output adds the first two, the second is 0.75
{ printf "$quarters"; zeros 1; zeros 24; printf '\0\0\0\0\000\000\100\077'
	printf '\000\000\200\077\000\000\200\077\0\0\0\0'; zeros 3; } | tensors "$net" >net.safetensors
ok "mlp" "$LLMR" import mlp net.safetensors --dim 8 --models a,b -o net-own.safetensors
ok "route" "$LLMR" route --model net-own.safetensors --json "any prompt"
match out '"scores":\{"a":1,"b":0\.75\}' "two layers"

cat >c.json <<'E'
{"a": {"provider": "p", "quality_score": 0.2}, "b": {"provider": "p", "quality_score": 0.9}}
E
equals='{"weight":{"dtype":"F32","shape":[2,8],"data_offsets":[0,64]}}'
zeros 16 | tensors "$equals" >equal.safetensors
ok "no bias" "$LLMR" import linear equal.safetensors --dim 8 --models a,b --candidates c.json -o prior.safetensors
ok "route" "$LLMR" route --model prior.safetensors "any prompt"
equal "$(cat out)" b "quality_score decides between equal scores"

# refused STATUS REGEX NAME ARG...
refused() {
	want=$1 message=$2 what=$3
	shift 3
	status "$want" "$what" "$LLMR" import "$@" -o no.safetensors
	match err "$message" "$what: message"
	nofile 'no.*' "$what: nothing is written"
}
refused 65 "tensor .weight." "other dimensions" linear w.safetensors --dim 16 --models a,b
refused 65 "2 outputs for 3 models" "too few outputs" linear w.safetensors --dim 8 --models a,b,c
refused 64 "stands twice" "a name twice" linear w.safetensors --dim 8 --models a,a
refused 64 "empty name" "an empty name" linear w.safetensors --dim 8 --models a,
refused 64 "no models" "no names" linear w.safetensors --dim 8
refused 64 "cannot be imported" "another kind" svm w.safetensors --models a,b
refused 65 "layers.0.weight" "no layers" mlp w.safetensors --dim 8 --models a,b
refused 66 "absent" "no such file" linear absent.safetensors --models a,b
{ zeros 15; printf '\000\000\300\177'; printf "$quarters"; } | tensors "$two" >nan.safetensors
refused 65 "tensor .weight." "a number that is none" linear nan.safetensors --dim 8 --models a,b
{ zeros 15; printf '\000\000\200\177'; printf "$quarters"; } | tensors "$two" >inf.safetensors
refused 65 "tensor .weight." "an infinite number" linear inf.safetensors --dim 8 --models a,b

awk 'BEGIN { for (i = 0; i < 40; i++) for (j = 0; j < 2; j++)
	printf "{\"query\":\"word%d and number %d\",\"model_name\":\"m%d\",\"performance\":%d}\n", i % 4, i, j, i % 2 == j }' >train.jsonl
"$LLMR" train knn --data train.jsonl --hparam dim=8 -o from.safetensors --no-runs -q 2>/dev/null
ok "the embedder of an artifact" "$LLMR" import linear w.safetensors --embedder-from from.safetensors --models small,large -o lsa.safetensors
ok "route" "$LLMR" route --model lsa.safetensors "word1 and number"
equal "$(cat out)" large "with that embedder"
