#!/bin/sh
# docs.sh GEN DIR PAGES: man pages and completions are what the table says, and are well formed.
cd "$(dirname "$0")/.." || exit 99
gen=$1 dir=$2 pages=$3 passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "not ok - $1"; }
have() { command -v "$1" >/dev/null 2>&1; }
rm -rf "$dir"
mkdir -p "$dir/man" "$dir/completions"
for c in $pages; do
	n=llmr-$c
	[ "$c" = llmr ] && n=llmr
	"$gen" man "$c" <"man/src/$c.mdoc" >"$dir/man/$n.1"
	if cmp -s "$dir/man/$n.1" "man/$n.1"; then pass; else fail "man/$n.1 differs from the table: run 'make docs'"; fi
done
"$gen" bash >"$dir/completions/llmr.bash"
"$gen" zsh >"$dir/completions/_llmr"
"$gen" fish >"$dir/completions/llmr.fish"
for f in llmr.bash _llmr llmr.fish; do
	if cmp -s "$dir/completions/$f" "completions/$f"; then pass; else fail "completions/$f differs from the table: run 'make docs'"; fi
done
if have mandoc; then
	for f in man/*.[1-8]; do
		lint=$(mandoc -T lint -W warning "$f" 2>&1)
		if [ -z "$lint" ]; then pass; else fail "mandoc: $lint"; fi
	done
else skipped=$((skipped + 1)); fi
if bash -n completions/llmr.bash; then pass; else fail "bash -n"; fi
if have zsh; then if zsh -n completions/_llmr; then pass; else fail "zsh -n"; fi; else skipped=$((skipped + 1)); fi
if have fish; then if fish -n completions/llmr.fish; then pass; else fail "fish -n"; fi; else skipped=$((skipped + 1)); fi
if have shellcheck; then
	if shellcheck -s bash -e SC2207 completions/llmr.bash; then pass; else fail "shellcheck"; fi
else skipped=$((skipped + 1)); fi
echo "docs: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
