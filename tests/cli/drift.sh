#!/bin/sh
# drift: new queries against the training set, with and without its texts.
. "$(dirname "$0")/lib.sh"

# records WHICH: programming tasks; of each three the first two (train) or the third (same); or other tasks (other)
records() {
	awk -v which="$1" 'function draw(n) { x = x * 16807 % 2147483647; return x % n + 1 }
	BEGIN {
		x = 4711
		split("sum sort merge count reverse filter", v, " "); split("list table string tree queue matrix graph", t, " ")
		form = "%s in python the %s and then the %s, number %d"
		if (which == "other") {
			split("Reise Blume Wolke Nacht Liebe Musik", v, " "); split("Sommer Winter Regen Sonne Abend Morgen Herbst", t, " ")
			form = "Ein Gedicht von %s: %s trifft %s? (%d)"
		}
		for (i = 1; i <= 450; i++) {
			a = v[draw(6)]; b = t[draw(7)]; c = t[draw(7)]
			if ((i % 3 == 0) == (which == "train")) continue
			for (j = 0; j < 2; j++)
				printf "{\"query\":\"" form "\",\"model_name\":\"m%d\",\"performance\":%d}\n",
					a, b, c, i, j, (i + j) % 2
		}
	}'
}
records train >train.jsonl
records same >same.jsonl
records other >other.jsonl
D="$LLMR drift --model m.safetensors"
ok "train" "$LLMR" train knn --data train.jsonl --hparam n_neighbors=20 -q -o m.safetensors

ok "the training set itself" $D train.jsonl
match out '^300 queries \(300 of them in training' "is known"
ok "more of the same" $D same.jsonl --data train.jsonl
match out '^150 queries \(0 of them in training, 0 without a known term\) against 60 held out' "each query counts once"
absent err 'drift' "without a word"
status 1 "others" $D other.jsonl --data train.jsonl
match err '^llmr: drift: .*(similarity|out of distribution)' "drift is said on standard error"
match out '^out of distribution' "and the table is there"
status 1 "others, without the texts" $D other.jsonl
match err 'without the texts' "with a warning"
status 1 "others as JSON" $D other.jsonl --data train.jsonl --json
match out '^\{"queries":150,"known":0,.*"held_out":true,.*"drift":true\}$' "one object"
sed -n 's/.*"query":"\([^"]*\)".*/\1/p' other.jsonl >other.txt
"$LLMR" drift --model m.safetensors --data train.jsonl --text --json <other.txt >text.out 2>/dev/null
same out text.out "plain lines on standard input tell the same"
ok "thresholds out of reach" $D other.jsonl --data train.jsonl --threshold 100 --max-ood 1
status 1 "no query out of distribution allowed" $D other.jsonl --data train.jsonl --threshold 100 --max-ood 0
for t in 1 2 4; do $D other.jsonl --data train.jsonl --json --threads $t >t$t 2>/dev/null; done
same t1 t2 "two threads tell the same as one"
same t1 t4 "four too"
ok "train with texts" "$LLMR" train knn --data train.jsonl --hparam n_neighbors=20 --store-queries -q -o s.safetensors
"$LLMR" drift -m s.safetensors other.jsonl --json >kept.out 2>/dev/null
same out /dev/null "train is quiet"
same t1 kept.out "kept texts are as good as --data"

status 65 "no queries" $D --text /dev/null
one_line_error "one line"
status 65 "plain lines taken for records" $D other.txt
match err 'line 1: not a JSON object: --text' "and what to do"
echo '{"model_name":"m0"}' >noquery.jsonl
status 65 "a record without a query" $D noquery.jsonl
match err 'noquery.jsonl: line 1: no query' "by file and line"
status 66 "an absent file" $D absent.jsonl
status 64 "no model" "$LLMR" drift same.jsonl
status 64 "a threshold that is none" $D same.jsonl --threshold x
head -n 20 same.jsonl >few.jsonl
$D few.jsonl --data train.jsonl >/dev/null 2>err
match err 'only 10 queries: the figures are rough' "few queries are said to be few"
printf '\377\376 \000 x\n\n日本語\n' | $D --text --threshold 100 --max-ood 1 >out 2>err
equal $? 0 "any bytes are text"
