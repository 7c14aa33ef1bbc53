. "$(dirname "$0")/lib.sh"

ok "help goes to standard output" "$LLMR" --help
match out '^usage: llmr' "help begins with usage"
ok "help of a command" "$LLMR" help train
cp out first
ok "COMMAND --help is the same" "$LLMR" train --help
same first out "help COMMAND and COMMAND --help are the same"
status 64 "no command is a usage error" "$LLMR"
status 64 "an unknown command is a usage error" "$LLMR" trian
match err "did you mean 'train'" "the nearest command is named"
status 64 "an unknown option is a usage error" "$LLMR" train --dta x
match err 'did you mean --data' "the nearest option is named"
one_line_error "one line for an unknown option"
status 64 "options are not abbreviated" "$LLMR" train --dat x knn
status 64 "a flag takes no value" "$LLMR" train --store-queries=1 knn
status 64 "a number out of range" "$LLMR" train --cv 1 knn
match err '1 is outside 2\.\.100' "the limits are named"
status 64 "a choice that is none" "$LLMR" train --objective most knn
status 64 "an option given twice" "$LLMR" train --cv 2 --cv 3 knn
status 64 "too many operands" "$LLMR" train knn svm
status 64 "errors as JSON" "$LLMR" --json train --nope
match err '^\{"error":"unknown option --nope.*"exit_status":64\}$' "the JSON error has its keys"
status 64 "a variable is checked as its option" env LLMR_CV=1 "$LLMR" train knn
match err 'variable LLMR_CV: --cv' "the variable is named"
mkdir -p config/llmr
printf 'cv: 3\ntrain:\n  cv: 1\n' >config/llmr/settings.yaml
status 78 "a bad value in the settings file is a bad configuration" "$LLMR" train knn
match err 'settings.yaml:[0-9]*: --cv: 1 is outside' "the section of a command beats the top"
printf 'cv: 3\nnonsense: 1\n' >config/llmr/settings.yaml
status 78 "an unknown key in the settings file" "$LLMR" train knn
match err 'settings.yaml:2: .nonsense. is neither' "file and line are named"
status 78 "a settings file that is named must be there" "$LLMR" train knn --settings nofile
rm -r config
ok "version" "$LLMR" --version
match out '^llmr [0-9]+\.[0-9]+\.[0-9]+' "version begins with the name"
match out '^blas kernel ' "the kernel asked of OpenBLAS is shown"
ln -s "$LLMR" llmr-train
ok "a link named llmr-train is llmr train" ./llmr-train --help
same first out "the link shows the command's help"
status 74 "a full standard output is an error" sh -c "'$LLMR' help >/dev/full"
"$LLMR" --help >out
for c in $(sed -n 's/^	{ \.name = "\([a-z-]*\)".*/\1/p' "$SRC/cmd/table.c"); do
	match out "^  $c " "the help lists $c"
done
