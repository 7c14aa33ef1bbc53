#!/bin/sh
# Several tasks, each with worked examples of its own before every question: the router reads the question.
. "$(dirname "$0")/lib.sh"

# records FIRST LAST SHOTS: two tasks with SHOTS worked examples before the question and one without;
# in each, what the question is about decides which of three models does well.
records() {
	awk -v a="$1" -v b="$2" -v shots="$3" 'BEGIN {
		split("river lake harbour tide bridge|violin opera chorus drum tempo|planet comet orbit moon eclipse", topic, "|")
		split("the sailor was late because|she put it down since|nobody there could tell whether", tail, "|")
		for (s = 1; s <= shots; s++) {
			before[0] = before[0] "Example " s ": which of these burns? A) stone B) straw C) water D) sand. The answer is B.\\n"
			before[1] = before[1] "Sentence " s ": the cup did not fit in the box as _ was too wide. Fill in: the cup.\\n"
		}
		srand(7)
		for (i = a; i <= b; i++) {
			t = i % 3
			k = int(rand() * 3)
			split(topic[k + 1], word, " ")
			q = before[t] "Question " i ": " word[1 + i % 5] " and " word[1 + int(i / 5) % 5] ", " tail[t + 1] "?"
			for (j = 0; j < 3; j++)
				printf "{\"query\":\"%s\",\"model_name\":\"m%d\",\"performance\":%s,\"cost\":%g,\"task_name\":\"t%d\"}\n",
					q, j, j == k ? "1" : "0", 0.001 * (j + 1), t
		}
	}'
}
records 1 240 25 >train.jsonl
records 241 360 25 >test.jsonl
for kind in knn hybrid; do
	ok "train $kind on three tasks" "$LLMR" train $kind --data train.jsonl --no-runs -q -o $kind.safetensors
	ok "what $kind learned" "$LLMR" inspect --json $kind.safetensors
	match out '"prefixes":2[,}]' "$kind: both beginnings were found"
	ok "eval $kind" "$LLMR" eval --model $kind.safetensors --data test.jsonl --no-runs --json --gate 'gap_closed>=0.9'
	ok "a question of the first task, without its beginning" sh -c \
		"echo 'Question 9: comet and orbit, the sailor was late because?' | $LLMR route --model $kind.safetensors"
	match out '^m2' "$kind: the question alone decides"
done
