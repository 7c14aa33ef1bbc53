#!/bin/sh
# check.sh: every suite in turn; the last line counts them all together.
cd "$(dirname "$0")/.." || exit 99
make=${MAKE:-make} b=${B:-build} passed=0 failed=0 skipped=0
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
suite() { # NAME PATTERN: run make NAME; PATTERN picks "N passed, N failed" out of its output
	echo "== $1"
	"$make" --no-print-directory B="$b" "$1" >"$log" 2>&1
	code=$?
	if [ "$code" -eq 0 ]; then grep -vE '^(ok |# [a-z-]+$)' "$log" | tail -n 4; else grep -v '^ok ' "$log" | tail -n 60; fi
	line=$(sed -n 's/.*Tested: \([0-9]*\) | Passing: \([0-9]*\) | Failing: \([0-9]*\) | Crashing: \([0-9]*\).*/\2 \3 \4 0/p
		s/^[a-z ]*: \([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*$/\1 \2 0 \4/p' "$log" | tail -n 1)
	# shellcheck disable=SC2086
	set -- "$1" ${line:-0 1 0 0}
	passed=$((passed + $2)) failed=$((failed + $3 + $4)) skipped=$((skipped + ${5:-0}))
	# A suite that ends badly without saying so is a failure too.
	[ "$code" -eq 0 ] || [ $(($3 + $4)) -gt 0 ] || failed=$((failed + 1))
}
suite check-unit
suite check-fuzz
suite check-cli
suite check-docs
suite lint
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
