#!/bin/sh
# run.sh [NAME ...]: run the command-line tests, print their TAP and a closing count.
cd "$(dirname "$0")" || exit 99
passed=0 failed=0 skipped=0
[ $# -gt 0 ] || set -- $(ls ./*.sh | grep -v -e '/lib.sh$' -e '/run.sh$' -e '/serve-lib.sh$')
for t in "$@"; do
	t=$(basename "$t" .sh)
	echo "# $t"
	out=$(sh "./$t.sh" 2>&1)
	code=$?
	echo "$out"
	p=$(echo "$out" | grep -c '^ok .*')
	s=$(echo "$out" | grep -c '^ok .*# SKIP$')
	f=$(echo "$out" | grep -c '^not ok ')
	if [ "$code" -ne 0 ] || [ $((p + f)) -eq 0 ]; then
		echo "not ok - $t.sh ended with status $code"
		f=$((f + 1))
	fi
	passed=$((passed + p - s)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "cli: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
