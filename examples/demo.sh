#!/bin/sh
# The main job on the example traces: demo.sh [LLMR [OUT-DIR]]
#
# Each command is shown before it runs. What they write goes to OUT-DIR, by
# default build/demo of this project.
set -eu
LC_ALL=C
export LC_ALL
from=$PWD
here=$(cd "$(dirname "$0")" && pwd)
llmr=${1:-$here/../build/llmr}
out=${2:-$here/../build/demo}
case $llmr in */*) ;; *) llmr=$(command -v "$llmr") ;; esac
[ -x "$llmr" ] || { echo "demo.sh: no llmr at $llmr (run 'make' first)" >&2; exit 66; }
llmr=$(cd "$(dirname "$llmr")" && pwd)/$(basename "$llmr")
mkdir -p "$out"
cd "$out"
out=$PWD
rm -rf traces.jsonl.zst traces.jsonl.zst.state data router.safetensors router.yaml ./*.out
# The settings of the person who runs it should not change what is shown, nor their records grow.
LLMR_SETTINGS=/dev/null LLMR_NO_RUNS=1
export LLMR_SETTINGS LLMR_NO_RUNS

bold="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# shown NAME ARG...: print 'llmr ARG...' and run it; standard output also goes to NAME.out
shown() {
	name=$1
	shift
	printf '  $ llmr'
	for a; do case $a in *[!A-Za-z0-9_./=,:@%+-]*) printf ' "%s"' "$a" ;; *) printf ' %s' "$a" ;; esac; done
	printf '\n'
	status=0
	"$llmr" "$@" >"$name.out" 2>"$name.err" || status=$?
	sed 's/^/    /' "$name.err" "$name.out"
	rm -f "$name.err"
	[ $status -eq 0 ] || { echo "demo.sh: llmr $1 ended with status $status" >&2; exit $status; }
}
# quiet NAME ARG...: run, with the output in NAME.out alone
quiet() {
	name=$1
	shift
	"$llmr" -q "$@" >"$name.out"
}
# near PATH: the path as seen from where the demo was started
near() { case $1 in "$from"/*) printf '%s' "${1#"$from"/}" ;; *) printf '%s' "$1" ;; esac; }
# number NAME OBJECT KEY: a number of NAME.out, e.g. number eval router score
# (the first object of that name: later ones belong to single tasks)
number() { first "$1" "$2" "$3" | sed -n 's/^\([-0-9.e+]*\).*/\1/p'; }
text() { first "$1" "$2" "$3" | sed -n 's/^"\([^"]*\)".*/\1/p'; }
first() {
	awk -v object="\"$2\":{" -v key="\"$3\":" '{
		i = index($0, object); if (i == 0) exit
		s = substr($0, i + length(object)); s = substr(s, 1, index(s, "}"))
		i = index(s, key); if (i > 0) print substr(s, i + length(key)) }' "$1.out"
}

title "1. Traces of a gateway: 360 prompts, each answered by five models (simulated answers)"
shown extract extract --from file "$here/traces.jsonl.zst" -o traces.jsonl.zst
title "2. Traces and quality labels to routing records; a fifth of the prompts is held out"
shown convert convert traces.jsonl.zst --labels "$here/labels.jsonl" --out-dir data
title "3. Learn which model is good at which prompt"
shown train train knn --data data/routing_train.jsonl --cv 5 -o router.safetensors
title "4. Measure it on prompts that it has not seen"
shown eval eval --model router.safetensors --data data/routing_test.jsonl
quiet eval-json eval --model router.safetensors --data data/routing_test.jsonl --json
title "5. Route a prompt, and see why"
shown route route --model router.safetensors --explain --data data/routing_train.jsonl \
	"Write a Python function that parses a date such as 3 May 2024"
title "6. How long a decision takes"
shown bench bench --model router.safetensors --queries data/routing_test.jsonl
quiet bench-json bench --model router.safetensors --queries data/routing_test.jsonl --json

title "Result on $(sed -n 's/^{"queries":\([0-9]*\).*/\1/p' eval-json.out) held-out prompts"
row() {	# NAME KEY NOTE
	awk -v name="$1" -v score="$(number eval-json "$2" score)" -v cost="$(number eval-json "$2" cost)" -v note="$3" 'BEGIN {
		money = cost == "" ? "-" : sprintf("%.3f", cost * 1000)
		printf "  %-12s %7.4f %18s  %s\n", name, score, money, note }'
}
printf '  %-12s %7s %18s\n' '' quality 'USD/1000 prompts'
row router router "router.safetensors"
row "best single" best_single "always $(text eval-json best_single model)"
row random random "a model at random"
row cheapest cheapest "always $(text eval-json cheapest model)"
row oracle oracle "the best answer to each prompt, known afterwards"
awk -v gap="$(number eval-json gap_closed value)" -v p50="$(number bench-json latency_us p50)" \
	-v p99="$(number bench-json latency_us p99)" -v size="$(wc -c <router.safetensors)" -v file="$(near "$out/router.safetensors")" 'BEGIN {
	printf "\n  The router closes %.0f %% of the gap between the best single model and the oracle.\n", 100 * gap
	printf "  A decision takes %.3f ms (P50), %.3f ms (P99).\n", p50 / 1000, p99 / 1000
	printf "  Written: %s (%.1f MB)\n", file, size / 1e6 }'

title "Next"
cat <<END
  $(near "$llmr") route --model $(near "$out/router.safetensors") "Your own prompt"
  $(near "$llmr") inspect $(near "$out/router.safetensors")
  $(near "$llmr") extract --url http://YOUR-JAEGER:16686 --since 7d -o mine.jsonl.zst
END
