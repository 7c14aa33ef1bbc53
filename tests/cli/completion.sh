. "$(dirname "$0")/lib.sh"

command -v bash >/dev/null 2>&1 || { skip "bash completion: no bash here"; exit 0; }
# words WORD...: what bash offers for that command line, the cursor on its last word
words() {
	bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _llmr; echo "${COMPREPLY[*]}"' \
		bash "$SRC/completions/llmr.bash" "$@" 2>/dev/null
}
equal "$(words llmr tr)" "train" "a command is completed"
equal "$(words llmr train kn)" "knn" "an operand is completed"
equal "$(words llmr train --object)" "--objective" "an option is completed"
equal "$(words llmr train --objective '')" "score best" "the choices of an option"
equal "$(words llmr --color a)" "auto always" "a global option's choices"
equal "$(words llmr train --cv '')" "" "nothing is offered for a number"
: >here.jsonl
mkdir folder
equal "$(words llmr convert h)" "here.jsonl" "files are offered for operands"
equal "$(words llmr convert --out-dir '')" "folder" "folders only for a folder"
equal "$(words llmr help ev)" "eval" "help is completed with commands"
