#!/bin/sh
# replay.sh BIN_DIR: every fuzz target over its committed corpus.
dir=$(dirname "$0") passed=0 failed=0
for bin in "$1"/replay_fuzz_*; do
	[ -x "$bin" ] || continue
	name=${bin##*/replay_fuzz_}
	if "$bin" "$dir/corpus/$name"/* >/dev/null; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "not ok - fuzz corpus $name"
	fi
done
echo "fuzz corpus: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
