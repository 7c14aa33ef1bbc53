# lib.sh - what every command-line test sources. Plain sh, TAP on standard output.
#
# A test is  tests/cli/NAME.sh; it begins with  . "$(dirname "$0")/lib.sh"  and
# runs in a fresh folder of its own, removed at the end.
#   $LLMR    the binary        $SHARED  real data and fixtures (may be absent)
#   $SRC     the project's root
set -u
LC_ALL=C
export LC_ALL
SRC=$(cd "$(dirname "$0")/../.." && pwd)
LLMR=${LLMR:-$SRC/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
SHARED=${LLMR_SHARED:-$SRC/../shared}
SHARED=$(cd "$SHARED" 2>/dev/null && pwd || echo /nonexistent)
HOME_DIR=$(mktemp -d "${TMPDIR:-/tmp}/llmr-test-XXXXXX") || exit 99
trap 'cd /; rm -rf "$HOME_DIR"' EXIT
trap 'exit 130' INT TERM
cd "$HOME_DIR" || exit 99
# No settings or variables of the person who runs the tests may show.
unset $(env | sed -n 's/^\(LLMR_[A-Z0-9_]*\)=.*/\1/p; s/^\(MLFLOW_[A-Z0-9_]*\)=.*/\1/p; s/^\(LLMROUTER_[A-Z0-9_]*\)=.*/\1/p' | grep -v '^LLMR_SHARED$') XDG_STATE_HOME 2>/dev/null
XDG_CONFIG_HOME=$HOME_DIR/config
XDG_STATE_HOME=$HOME_DIR/state
export XDG_CONFIG_HOME XDG_STATE_HOME
n=0

pass() { n=$((n + 1)); echo "ok $n - $1"; }
fail() { n=$((n + 1)); echo "not ok $n - $1"; shift; for l in "$@"; do echo "# $l"; done; }
# skip REASON: one test that could not run here
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP"; }
# ok NAME CMD...: exit 0 is expected; output goes to ./out and ./err
ok() { status 0 "$@"; }
# status N NAME CMD...: exit status N is expected; output goes to ./out and ./err
status() {
	want=$1 name=$2
	shift 2
	"$@" >out 2>err </dev/null
	got=$?
	if [ "$got" -eq "$want" ]; then pass "$name"; else
		fail "$name" "exit $got, expected $want: $*" "$(head -c 600 err)"
	fi
}
# match FILE ERE NAME: some line matches
match() {
	if grep -Eq -- "$2" "$1"; then pass "$3"; else
		fail "$3" "no line of $1 matches $2" "$(head -c 400 "$1")"
	fi
}
# absent FILE ERE NAME: no line matches
absent() {
	if grep -Eq -- "$2" "$1"; then fail "$3" "a line of $1 matches $2" "$(grep -E -- "$2" "$1" | head -c 400)"; else
		pass "$3"
	fi
}
# same FILE1 FILE2 NAME: the same bytes
same() {
	if cmp -s "$1" "$2"; then pass "$3"; else fail "$3" "$(cmp "$1" "$2" 2>&1)"; fi
}
# equal GOT WANT NAME: the same text
equal() {
	if [ "$1" = "$2" ]; then pass "$3"; else fail "$3" "got '$1', expected '$2'"; fi
}
# nofile PATTERN NAME: no file of that pattern (a half-written output) is left
nofile() {
	for f in $1; do
		if [ -e "$f" ]; then fail "$2" "left behind: $f"; return; fi
	done
	pass "$2"
}
# one error line and nothing else on standard error of the last command
one_line_error() {
	if [ "$(wc -l <err)" -eq 1 ] && grep -q '^llmr: ' err; then pass "$1"; else
		fail "$1" "standard error is not one 'llmr: ...' line" "$(head -c 400 err)"
	fi
}
# json FILE KEY: the value of the first "KEY": in a one-line JSON object (numbers, strings without escapes)
json() {
	sed -n 's/.*"'"$2"'":\("[^"]*"\|[^,}]*\).*/\1/p' "$1" | head -n 1
}
