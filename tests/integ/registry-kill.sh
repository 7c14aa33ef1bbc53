#!/bin/sh
# registry-kill.sh - kill push, pull, promote and gc at each system call; see what is left.
#
#   LLMR   the binary (build/llmr)
#   STEP   only every STEP-th system call (1)
# After each kill a reader who knows nothing must get the old or the new version,
# whole; the same command again must end well; and then the reader must get what
# the command was for. Prints "N passed, N failed" (one for each kill); exit 0
# only when nothing failed. Skips (77) where nothing can be traced.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
STEP=${STEP:-1}
passed=0 failed=0
# In memory, where there is such a folder: what is synced a thousand times need not reach a disk here.
[ -n "${TMPDIR:-}" ] || { [ -d /dev/shm ] && [ -w /dev/shm ] && TMPDIR=/dev/shm; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-kill-XXXXXX") || exit 1
trap 'cd /; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
for v in $(env | sed -n 's/^\(LLMR[A-Z]*_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
KILLAT_COUNT=$dir/count
export KILLAT_COUNT

if ! ${CC:-cc} -D_GNU_SOURCE -O1 -o killat "$here/killat.c" 2>cc.err; then
	echo "SKIP: killat does not build: $(head -n 1 cc.err)"
	exit 77
fi
if ! ./killat 0 true; then
	echo "SKIP: no process can be traced here"
	exit 77
fi
cp "$src/tests/keys/test.key" k.key && cp "$src/tests/keys/test.pub" k.pub || exit 1
# llmr COMMAND ...: with the state and cache of this round
llmr() { XDG_STATE_HOME=$dir/state XDG_CACHE_HOME=$dir/cache "$LLMR" "$@"; }
# (the leak sanitizer cannot work while it is traced)
kill_at() { at=$1; shift; ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" XDG_STATE_HOME=$dir/state XDG_CACHE_HOME=$dir/cache ./killat "$at" "$LLMR" "$@"; }
# file N: a model that differs from the others, in two files
file() {
	mkdir -p "m$1"
	awk -v s="$1" 'BEGIN { srand(s); for (i = 0; i < 3000; i++) printf "%d\n", rand() * 1e9 }' >"m$1/router.safetensors"
	echo "version: $1" >"m$1/router.yaml"
	touch -d "2026-01-0$1T00:00:00Z" "m$1/router.safetensors" "m$1/router.yaml"
}
file 1
file 2
file 3
R=dir:$dir/reg
push() { echo push -q -s k.key "m$1" "$R" -n router; }
# what FOLDER: 1, 2, 3 for a whole model, else "?"
what() {
	for i in 1 2 3; do
		if cmp -s "$1/router.safetensors" "m$i/router.safetensors" && cmp -s "$1/router.yaml" "m$i/router.yaml"; then
			echo $i
			return
		fi
	done
	echo '?'
}
# reader: what one gets who comes for the first time
reader() {
	rm -rf fresh
	if XDG_STATE_HOME=$dir/fresh/state XDG_CACHE_HOME=$dir/fresh/cache "$LLMR" pull -q -p k.pub "$R" -n router \
		-o fresh/out >/dev/null 2>fresh.err; then what fresh/out/current; else echo "! $(cat fresh.err)"; fi
}
# survive NAME OLD NEW COMMAND: at each system call, from the state that is in save/
survive() {
	name=$1 old=$2 new=$3
	shift 3
	rm -rf reg state cache out
	cp -a save/. .
	kill_at 0 "$@" >/dev/null 2>err || { echo "not ok - $name: $(cat err)"; failed=$((failed + 1)); return; }
	calls=$(cat count)
	at=1 points=0
	while [ "$at" -le "$calls" ]; do
		rm -rf reg state cache out
		cp -a save/. .
		kill_at "$at" "$@" >/dev/null 2>&1
		first=$(reader)
		bad=
		case $first in "$old" | "$new") ;; *) bad="a reader gets $first" ;; esac
		if [ -e out/current ]; then
			in_use=$(what out/current)
			case $in_use in "$old" | "$new") ;; *) bad="$bad in use is $in_use" ;; esac
		fi
		llmr "$@" >/dev/null 2>err || bad="$bad again: $(cat err)"
		then=$(reader)
		[ "$then" = "$new" ] || bad="$bad afterwards a reader gets $then"
		if [ -e out ]; then [ "$(what out/current)" = "$new" ] || bad="$bad afterwards in use is $(what out/current)"; fi
		if [ -z "$bad" ]; then passed=$((passed + 1)); else
			failed=$((failed + 1))
			echo "not ok - $name killed at $at of $calls: $bad"
		fi
		points=$((points + 1))
		at=$((at + STEP))
	done
	echo "# $name: killed at $points of $calls system calls"
}
save() {
	rm -rf save
	mkdir save
	for d in reg state cache out; do [ -e "$d" ] && cp -a "$d" save/; done
}

rm -rf reg state cache out
llmr $(push 1) >/dev/null || exit 1
save
survive "push" 1 2 $(push 2)
survive "push with a name and a plain copy" 1 2 $(push 2) --version v2 --plain
llmr pull -q -p k.pub "$R" -n router -o out >/dev/null || exit 1
llmr $(push 2) >/dev/null || exit 1
save
survive "pull" 1 2 pull -q -p k.pub "$R" -n router -o out
rm -rf out
llmr $(push 3) >/dev/null
versions() { llmr list -p k.pub --registry "$R" router | awk -F'\t' '$2 == "version" { print $3 }'; }
one=$(versions | head -n 1) two=$(versions | sed -n 2p)
save
survive "promote" 3 1 promote router "$one" --registry "$R" -s k.key -q
survive "rollback" 3 2 rollback router --to "$two" --registry "$R" -s k.key -q
llmr promote router "$one" --registry "$R" -s k.key -q >/dev/null
save
survive "gc" 1 1 gc "$R" -s k.key --grace 0 --force --keep 0 -q
# gc has something to do: version 2 is named by nobody.
left=$(versions | wc -l)
if [ "$left" -eq 2 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok - gc left $left versions"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
