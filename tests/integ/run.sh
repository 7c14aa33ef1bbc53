#!/bin/sh
# run.sh: every test against a real server; each prints "N passed, N failed", or exits 77 to skip.
cd "$(dirname "$0")" || exit 99
passed=0 failed=0 skipped=0
for t in ./*.sh; do
	case $t in ./run.sh | ./build-*) continue ;; esac
	echo "# $t"
	out=$(sh "$t" 2>&1)
	code=$?
	echo "$out"
	if [ "$code" -eq 77 ]; then
		skipped=$((skipped + 1))
		continue
	fi
	line=$(echo "$out" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p' | tail -n 1)
	# shellcheck disable=SC2086
	set -- ${line:-0 1}
	passed=$((passed + $1)) failed=$((failed + $2))
	[ "$code" -eq 0 ] || [ "$2" -gt 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
