#!/bin/sh
# registry-kill.sh - kill push, pull, promote and gc at each system call; see what is left.
#
#   LLMR   the binary (build/llmr)
#   STEP   only every STEP-th system call (1; for the buckets 9)
#   STORES what to kill against (dir versitygw minio, what of it is here); the
#          servers' commands in VERSITYGW and MINIO, else in PATH
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
STORES=${STORES:-dir versitygw minio}
passed=0 failed=0
# In memory, where there is such a folder: what is synced a thousand times need not reach a disk here.
# The servers need more of a file system than that one has.
given=${TMPDIR:-}
[ -n "${TMPDIR:-}" ] || { [ -d /dev/shm ] && [ -w /dev/shm ] && TMPDIR=/dev/shm; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-kill-XXXXXX") || exit 1
server= data=
trap 'cd /; [ -z "$server" ] || kill "$server"; rm -rf "$dir" ${data:+"$data"}' EXIT
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
# The registry's bytes, as the store keeps them: $reg.
clear_all() { rm -rf "$reg" state cache out; }
restore() {
	clear_all
	for d in state cache out; do [ ! -e "save/$d" ] || cp -a "save/$d" .; done
	[ ! -e save/reg ] || cp -a save/reg "$reg"
}
# survive NAME OLD NEW COMMAND: at each system call, from the state that is in save/
survive() {
	name=$1 old=$2 new=$3
	shift 3
	restore
	kill_at 0 "$@" >/dev/null 2>err || { echo "not ok - $store: $name: $(cat err)"; failed=$((failed + 1)); return; }
	calls=$(cat count)
	at=1 points=0 step=${STEP:-$every}
	while [ "$at" -le "$calls" ]; do
		restore
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
			echo "not ok - $store: $name killed at $at of $calls: $bad"
		fi
		points=$((points + 1))
		at=$((at + step))
	done
	echo "# $store: $name: killed at $points of $calls system calls"
}
save() {
	rm -rf save
	mkdir save
	for d in state cache out; do [ ! -e "$d" ] || cp -a "$d" save/; done
	[ ! -e "$reg" ] || cp -a "$reg" save/reg
}

versions() { llmr list -p k.pub --registry "$R" router | awk -F'\t' '$2 == "version" { print $3 }'; }
all_of_it() {
	clear_all
	llmr $(push 1) >/dev/null 2>err || { echo "not ok - $store: $(cat err)"; failed=$((failed + 1)); return; }
	save
	survive "push" 1 2 $(push 2)
	survive "push with a name and a plain copy" 1 2 $(push 2) --version v2 --plain
	llmr pull -q -p k.pub "$R" -n router -o out >/dev/null 2>err || { echo "not ok - $store: $(cat err)"; failed=$((failed + 1)); return; }
	llmr $(push 2) >/dev/null 2>err || { echo "not ok - $store: $(cat err)"; failed=$((failed + 1)); return; }
	save
	survive "pull" 1 2 pull -q -p k.pub "$R" -n router -o out
	rm -rf out
	llmr $(push 3) >/dev/null 2>&1
	one=$(versions | head -n 1) two=$(versions | sed -n 2p)
	save
	survive "promote" 3 1 promote router "$one" --registry "$R" -s k.key -q
	survive "rollback" 3 2 rollback router --to "$two" --registry "$R" -s k.key -q
	llmr promote router "$one" --registry "$R" -s k.key -q >/dev/null
	save
	survive "gc" 1 1 gc "$R" -s k.key --grace 0 --force --keep 0 -q
	# gc has something to do: version 2 is named by nobody.
	left=$(versions | wc -l)
	if [ "$left" -eq 2 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok - $store: gc left $left versions"; fi
}

find_command() { # NAME VALUE
	[ -n "$2" ] && { echo "$2"; return; }
	command -v "$1" || for d in "${GOPATH:-/nonexistent}/bin" "${HOME:-/nonexistent}/go/bin"; do
		[ -x "$d/$1" ] && { echo "$d/$1"; return; }
	done
}
# start NAME COMMAND: a server with an empty bucket in $data
start() {
	for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
	AWS_ACCESS_KEY_ID=llmrtest AWS_SECRET_ACCESS_KEY=llmrtestsecret AWS_REGION=us-east-1 no_proxy=127.0.0.1
	AWS_EC2_METADATA_DISABLED=true
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])') || return 1
	AWS_ENDPOINT_URL=http://127.0.0.1:$port
	export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_EC2_METADATA_DISABLED AWS_ENDPOINT_URL no_proxy
	data=$(mktemp -d "${given:-/tmp}/llmr-kill-XXXXXX") || return 1
	mkdir "$data/d" && mkdir "$data/d/bkt" || return 1
	if [ "$1" = minio ]; then
		MINIO_ROOT_USER=llmrtest MINIO_ROOT_PASSWORD=llmrtestsecret MINIO_SITE_REGION=us-east-1 MINIO_UPDATE=off \
			MINIO_BROWSER=off "$2" server --quiet --address "127.0.0.1:$port" "$data/d" >server.log 2>&1 &
	else
		ROOT_ACCESS_KEY=llmrtest ROOT_SECRET_KEY=llmrtestsecret "$2" --port "127.0.0.1:$port" --quiet posix "$data/d" \
			>server.log 2>&1 &
	fi
	server=$!
	for i in $(seq 100); do
		llmr list --allow-unsigned --registry s3://bkt/p --retries 0 >/dev/null 2>&1 && return 0
		sleep 0.2
	done
	return 1
}
stop() {
	kill "$server"
	wait "$server" 2>/dev/null
	rm -rf "$data"
	server= data=
}

for store in $STORES; do
	case $store in
	dir)
		R=dir:$dir/reg reg=$dir/reg every=1
		all_of_it
		;;
	versitygw | minio)
		if [ "$store" = minio ]; then command=$(find_command minio "${MINIO:-}"); else
			command=$(find_command versitygw "${VERSITYGW:-}"); fi
		[ -n "$command" ] || { echo "# no $store"; continue; }
		start "$store" "$command" || { echo "not ok - $store does not start"; failed=$((failed + 1)); stop; continue; }
		R=s3://bkt/p reg=$data/d/bkt/p every=9
		all_of_it
		stop
		;;
	*) echo "not ok - there is no store $store"; failed=$((failed + 1)) ;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
