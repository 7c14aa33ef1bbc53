#!/bin/sh
# A sentence encoder carried to a machine without a network: airgap.sh LLMR ENCODER [OUT-DIR]
#
# ENCODER is a folder as Hugging Face has it (make model fetches one) or a file that llmr import bert
# packed. OUT-DIR/stick stands for the stick. Everything behind "on the other side" opens no socket.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: airgap.sh LLMR ENCODER [OUT-DIR]" >&2; exit 64; }
llmr=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
case $2 in /*) encoder=$2 ;; *) encoder=$PWD/$2 ;; esac
mkdir -p "${3:-$here/../build/airgap}"
cd "${3:-$here/../build/airgap}"
rm -rf stick site
mkdir stick site
LLMR_SETTINGS=/dev/null LLMR_NO_RUNS=1
export LLMR_SETTINGS LLMR_NO_RUNS

echo "1. With a network: pack the encoder once, and note what it is."
if [ -d "$encoder" ]; then
	"$llmr" import bert "$encoder" --dtype int8 -o stick/encoder.safetensors
else
	cp "$encoder" stick/encoder.safetensors
fi
cp "$llmr" stick/llmr
(cd stick && sha256sum encoder.safetensors llmr >SHA256SUMS)
cat stick/SHA256SUMS
echo "   Send these lines by another way than the stick, or sign them."

echo "2. On the other side: check, then train on your own traces and route."
cp stick/* site/
cd site
sha256sum -c SHA256SUMS
./llmr convert -q "$here/traces.jsonl.zst" --labels "$here/labels.jsonl" -o records.jsonl
./llmr train knn -q --data records.jsonl --embedder lsa+bert:encoder.safetensors -o router.safetensors
./llmr inspect router.safetensors --embedder bert:encoder.safetensors | grep digest | head -n 1
./llmr route --model router.safetensors --embedder bert:encoder.safetensors "How many eggs are in 7 boxes of 12?"

echo "3. A router takes no other encoder than the one it was trained with."
if ./llmr route --model router.safetensors "How many eggs are in 7 boxes of 12?" 2>refused; then exit 1; fi
cat refused
