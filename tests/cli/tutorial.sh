. "$(dirname "$0")/lib.sh"

# Every command of llmr-tutorial(7) runs, in the order of the page.
mkdir bin
ln -s "$LLMR" bin/llmr
ln -s "$SRC/examples" examples
PATH=$PWD/bin:$PATH
# commands: those of the page behind '$ ', continuation lines joined, mdoc's escapes undone
commands() {
	awk '/^\$ / { on = 1; sub(/^\$ /, "") } on { line = line $0; if (sub(/\\e$/, "", line)) next
		print line; line = ""; on = 0 }' "$SRC/man/llmr-tutorial.7" |
		sed -e 's/\\-/-/g' -e "s/\\\\(aq/'/g" -e 's/\\(ga/`/g' -e 's/\\e/\\/g'
}
commands >commands
[ "$(wc -l <commands)" -ge 15 ] && pass "the page has commands" || fail "the page has commands" "$(cat commands)"
i=0
while read -r line; do
	i=$((i + 1))
	ok "command $i: $(printf "%s\n" "$line" | sed "s/[^a-z ].*//")" sh -c "$line"
done <commands
match commands '^llmr bench ' "the last commands were reached"
ok "its closing example warns" "$LLMR" train knn --data scored.jsonl -o again.safetensors
match err 'does not beat' "and says that the router does not help"
