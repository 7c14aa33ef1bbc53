# bash completion for llmr; made by `make docs'
_llmr_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_llmr_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); }
_llmr_dirs() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); }
_llmr() {
	local cur prev cmd='' i
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD-1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		extract|convert|embed|train|eval|route|bench|import|inspect|drift|keygen|sign|verify|runs|push|pull|list|show|promote|rollback|gc|export-bundle|import-bundle|serve|config|switch|doctor|help|version) cmd=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $cmd:$prev in
	extract:-*)
		case $prev in
		--from) _llmr_words "jaeger tempo postgres s3 file"; return ;;
		--url) COMPREPLY=(); return ;;
		--service|-S) COMPREPLY=(); return ;;
		--operation) COMPREPLY=(); return ;;
		--tag) COMPREPLY=(); return ;;
		--query) COMPREPLY=(); return ;;
		--tenant) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--since) COMPREPLY=(); return ;;
		--start) COMPREPLY=(); return ;;
		--end) COMPREPLY=(); return ;;
		--limit) COMPREPLY=(); return ;;
		--concurrency) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		--auth-file) _llmr_files; return ;;
		--token-file) _llmr_files; return ;;
		--output|-o) _llmr_files; return ;;
		--state) _llmr_files; return ;;
		--max-trace-bytes) COMPREPLY=(); return ;;
		esac ;;
	convert:-*)
		case $prev in
		--from) _llmr_words "auto jaeger otlp protobuf dcrouter routerbench routellm llmrouter flat"; return ;;
		--output|-o) _llmr_files; return ;;
		--out-dir) _llmr_dirs; return ;;
		--test-split) COMPREPLY=(); return ;;
		--seed) COMPREPLY=(); return ;;
		--prompt) _llmr_words "last-user first-user conversation all"; return ;;
		--labels) _llmr_files; return ;;
		--score) COMPREPLY=(); return ;;
		--map) _llmr_files; return ;;
		--alias) COMPREPLY=(); return ;;
		--redact) COMPREPLY=(); return ;;
		--shard) COMPREPLY=(); return ;;
		--join-window) COMPREPLY=(); return ;;
		--max-bad) COMPREPLY=(); return ;;
		--max-trace-bytes) COMPREPLY=(); return ;;
		esac ;;
	embed:-*)
		case $prev in
		--embedder) COMPREPLY=(); return ;;
		--dtype) _llmr_words "fp32 bf16 int8"; return ;;
		--truncate) _llmr_words "head tail middle"; return ;;
		--cache) _llmr_files; return ;;
		--output|-o) _llmr_files; return ;;
		esac ;;
	train:-*)
		case $prev in
		--data) _llmr_files; return ;;
		--from) _llmr_words "records dcrouter routerbench routellm llmrouter flat"; return ;;
		--embedder) COMPREPLY=(); return ;;
		--dtype) _llmr_words "fp32 bf16 int8"; return ;;
		--truncate) _llmr_words "head tail middle"; return ;;
		--recipe) _llmr_files; return ;;
		--hparam) COMPREPLY=(); return ;;
		--objective) _llmr_words "score best"; return ;;
		--weak) COMPREPLY=(); return ;;
		--strong) COMPREPLY=(); return ;;
		--strong-share) COMPREPLY=(); return ;;
		--candidates) _llmr_files; return ;;
		--cv) COMPREPLY=(); return ;;
		--grid) COMPREPLY=(); return ;;
		--save-oof) _llmr_files; return ;;
		--sample-weights) _llmr_words "record uniform task"; return ;;
		--checkpoint) _llmr_files; return ;;
		--seed) COMPREPLY=(); return ;;
		--output|-o) _llmr_files; return ;;
		esac ;;
	eval:-*)
		case $prev in
		--model|-m) _llmr_files; return ;;
		--embedder) COMPREPLY=(); return ;;
		--data) _llmr_files; return ;;
		--from) _llmr_words "records dcrouter routerbench routellm llmrouter flat"; return ;;
		--min-full) COMPREPLY=(); return ;;
		--bootstrap) COMPREPLY=(); return ;;
		--seed) COMPREPLY=(); return ;;
		--max-cost) COMPREPLY=(); return ;;
		--cost-weight) COMPREPLY=(); return ;;
		--max-latency) COMPREPLY=(); return ;;
		--latency-weight) COMPREPLY=(); return ;;
		--candidates) _llmr_files; return ;;
		--require) COMPREPLY=(); return ;;
		--explore-epsilon) COMPREPLY=(); return ;;
		--explore-temperature) COMPREPLY=(); return ;;
		--explore-max-cost) COMPREPLY=(); return ;;
		--router-mode) _llmr_words "deterministic probabilistic transformed"; return ;;
		--router-tau) COMPREPLY=(); return ;;
		--router-threshold) COMPREPLY=(); return ;;
		--strong-share) COMPREPLY=(); return ;;
		--weak) COMPREPLY=(); return ;;
		--strong) COMPREPLY=(); return ;;
		--against) _llmr_files; return ;;
		--report) _llmr_files; return ;;
		--min-ess) COMPREPLY=(); return ;;
		--gate) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--manifest) _llmr_files; return ;;
		--root) _llmr_dirs; return ;;
		esac ;;
	route:-*)
		case $prev in
		--model|-m) _llmr_files; return ;;
		--embedder) COMPREPLY=(); return ;;
		--data) _llmr_files; return ;;
		--max-cost) COMPREPLY=(); return ;;
		--cost-weight) COMPREPLY=(); return ;;
		--max-latency) COMPREPLY=(); return ;;
		--latency-weight) COMPREPLY=(); return ;;
		--candidates) _llmr_files; return ;;
		--require) COMPREPLY=(); return ;;
		--explore-epsilon) COMPREPLY=(); return ;;
		--explore-temperature) COMPREPLY=(); return ;;
		--explore-max-cost) COMPREPLY=(); return ;;
		--router-mode) _llmr_words "deterministic probabilistic transformed"; return ;;
		--router-tau) COMPREPLY=(); return ;;
		--router-threshold) COMPREPLY=(); return ;;
		--strong-share) COMPREPLY=(); return ;;
		--weak) COMPREPLY=(); return ;;
		--strong) COMPREPLY=(); return ;;
		--request-id) COMPREPLY=(); return ;;
		--seed) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--manifest) _llmr_files; return ;;
		--root) _llmr_dirs; return ;;
		esac ;;
	bench:-*)
		case $prev in
		--model|-m) _llmr_files; return ;;
		--embedder) COMPREPLY=(); return ;;
		--queries) _llmr_files; return ;;
		--rate) COMPREPLY=(); return ;;
		--duration) COMPREPLY=(); return ;;
		--requests|-n) COMPREPLY=(); return ;;
		--warmup) COMPREPLY=(); return ;;
		--max-cost) COMPREPLY=(); return ;;
		--cost-weight) COMPREPLY=(); return ;;
		--max-latency) COMPREPLY=(); return ;;
		--latency-weight) COMPREPLY=(); return ;;
		--candidates) _llmr_files; return ;;
		--require) COMPREPLY=(); return ;;
		--explore-epsilon) COMPREPLY=(); return ;;
		--explore-temperature) COMPREPLY=(); return ;;
		--explore-max-cost) COMPREPLY=(); return ;;
		--router-mode) _llmr_words "deterministic probabilistic transformed"; return ;;
		--router-tau) COMPREPLY=(); return ;;
		--router-threshold) COMPREPLY=(); return ;;
		--strong-share) COMPREPLY=(); return ;;
		--weak) COMPREPLY=(); return ;;
		--strong) COMPREPLY=(); return ;;
		--seed) COMPREPLY=(); return ;;
		--budget-p99) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--manifest) _llmr_files; return ;;
		--root) _llmr_dirs; return ;;
		esac ;;
	import:-*)
		case $prev in
		--models) COMPREPLY=(); return ;;
		--embedder) COMPREPLY=(); return ;;
		--dtype) _llmr_words "fp32 bf16 int8"; return ;;
		--embedder-from) _llmr_files; return ;;
		--dim) COMPREPLY=(); return ;;
		--link) _llmr_words "identity logistic softmax"; return ;;
		--activation) _llmr_words "relu tanh logistic identity"; return ;;
		--candidates) _llmr_files; return ;;
		--seed) COMPREPLY=(); return ;;
		--output|-o) _llmr_files; return ;;
		esac ;;
	inspect:-*)
		case $prev in
		--embedder) COMPREPLY=(); return ;;
		esac ;;
	drift:-*)
		case $prev in
		--model|-m) _llmr_files; return ;;
		--embedder) COMPREPLY=(); return ;;
		--data) _llmr_files; return ;;
		--from) _llmr_words "records dcrouter routerbench routellm llmrouter flat"; return ;;
		--threshold) COMPREPLY=(); return ;;
		--max-ood) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--manifest) _llmr_files; return ;;
		--root) _llmr_dirs; return ;;
		esac ;;
	keygen:-*)
		case $prev in
		--public-key|-p) _llmr_files; return ;;
		--secret-key|-s) _llmr_files; return ;;
		--type) _llmr_words "ed25519 p256"; return ;;
		--kdf-memory) COMPREPLY=(); return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		esac ;;
	sign:-*)
		case $prev in
		--secret-key|-s) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--format) _llmr_words "auto minisig manifest oms"; return ;;
		--trusted-comment|-t) COMPREPLY=(); return ;;
		--comment|-c) COMPREPLY=(); return ;;
		--description) COMPREPLY=(); return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		esac ;;
	verify:-*)
		case $prev in
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--signature|-x) _llmr_files; return ;;
		--manifest) _llmr_files; return ;;
		--root) _llmr_dirs; return ;;
		--format) _llmr_words "auto minisig manifest oms"; return ;;
		--require) COMPREPLY=(); return ;;
		esac ;;
	runs:-*)
		case $prev in
		--limit) COMPREPLY=(); return ;;
		--kind) COMPREPLY=(); return ;;
		--command) _llmr_words "train eval"; return ;;
		--format) _llmr_words "jsonl csv"; return ;;
		esac ;;
	push:-*)
		case $prev in
		--name|-n) COMPREPLY=(); return ;;
		--version) COMPREPLY=(); return ;;
		--meta) COMPREPLY=(); return ;;
		--channel|-c) COMPREPLY=(); return ;;
		--expires) COMPREPLY=(); return ;;
		--expect-previous) COMPREPLY=(); return ;;
		--mlflow) COMPREPLY=(); return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	pull:-*)
		case $prev in
		--name|-n) COMPREPLY=(); return ;;
		--channel|-c) COMPREPLY=(); return ;;
		--version) COMPREPLY=(); return ;;
		--output|-o) _llmr_files; return ;;
		--interval) COMPREPLY=(); return ;;
		--min-seq) COMPREPLY=(); return ;;
		--max-age) COMPREPLY=(); return ;;
		--cache-dir) _llmr_dirs; return ;;
		--cache-size) COMPREPLY=(); return ;;
		--mlflow) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	list:-*)
		case $prev in
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	show:-*)
		case $prev in
		--channel|-c) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	promote:-*)
		case $prev in
		--channel|-c) COMPREPLY=(); return ;;
		--expires) COMPREPLY=(); return ;;
		--expect-previous) COMPREPLY=(); return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	rollback:-*)
		case $prev in
		--to) COMPREPLY=(); return ;;
		--channel|-c) COMPREPLY=(); return ;;
		--expires) COMPREPLY=(); return ;;
		--expect-previous) COMPREPLY=(); return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	gc:-*)
		case $prev in
		--grace) COMPREPLY=(); return ;;
		--keep) COMPREPLY=(); return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	export-bundle:-*)
		case $prev in
		--output|-o) _llmr_files; return ;;
		--channel|-c) COMPREPLY=(); return ;;
		--encoder) _llmr_dirs; return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	import-bundle:-*)
		case $prev in
		--channel|-c) COMPREPLY=(); return ;;
		--expires) COMPREPLY=(); return ;;
		--unpack) _llmr_dirs; return ;;
		--secret-key|-s) _llmr_files; return ;;
		--password-file) _llmr_files; return ;;
		--password-fd) COMPREPLY=(); return ;;
		--registry) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		--registry-id) COMPREPLY=(); return ;;
		--endpoint-url) COMPREPLY=(); return ;;
		--region) COMPREPLY=(); return ;;
		--profile) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--connect-timeout) COMPREPLY=(); return ;;
		--retries) COMPREPLY=(); return ;;
		esac ;;
	serve:-*)
		case $prev in
		--config|-c) _llmr_files; return ;;
		--listen|-l) COMPREPLY=(); return ;;
		--embedder) COMPREPLY=(); return ;;
		--tls-cert) _llmr_files; return ;;
		--tls-key) _llmr_files; return ;;
		--max-body) COMPREPLY=(); return ;;
		--max-connections) COMPREPLY=(); return ;;
		--access-log) COMPREPLY=(); return ;;
		--decision-log) COMPREPLY=(); return ;;
		--drain-timeout) COMPREPLY=(); return ;;
		--header-timeout) COMPREPLY=(); return ;;
		--body-timeout) COMPREPLY=(); return ;;
		--idle-timeout) COMPREPLY=(); return ;;
		--memory-limit) COMPREPLY=(); return ;;
		--signature-grace) COMPREPLY=(); return ;;
		--public-key|-p) _llmr_files; return ;;
		--public-key-b64) COMPREPLY=(); return ;;
		--trusted-dir) _llmr_dirs; return ;;
		--revoked) _llmr_files; return ;;
		--hmac-secret-file) _llmr_files; return ;;
		esac ;;
	config:-*)
		case $prev in
		--config|-c) _llmr_files; return ;;
		esac ;;
	switch:-*)
		case $prev in
		--url) COMPREPLY=(); return ;;
		--name) COMPREPLY=(); return ;;
		--strategy) _llmr_words "immediate gradual canary ab_test shadow"; return ;;
		--set) COMPREPLY=(); return ;;
		--timeout) COMPREPLY=(); return ;;
		--reason) COMPREPLY=(); return ;;
		--metadata) COMPREPLY=(); return ;;
		esac ;;
	doctor:-*)
		case $prev in
		--config|-c) _llmr_files; return ;;
		--url) COMPREPLY=(); return ;;
		esac ;;
	esac
	case $prev in
		--color) _llmr_words "auto always never"; return ;;
		--progress) _llmr_words "auto always never"; return ;;
		--log) _llmr_words "text json error warning info debug"; return ;;
		--threads) COMPREPLY=(); return ;;
		--ca-file) _llmr_files; return ;;
		--allowed-hosts) COMPREPLY=(); return ;;
		--settings) _llmr_files; return ;;
		--state-dir) _llmr_dirs; return ;;
	esac
	case $cmd in
	'') _llmr_words "extract convert embed train eval route bench import inspect drift keygen sign verify runs push pull list show promote rollback gc export-bundle import-bundle serve config switch doctor help version --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir" ;;
	extract)
		if [[ $cur == -* ]]; then _llmr_words " --from --url --service --operation --tag --query --tenant --endpoint-url --region --profile --since --start --end --limit --concurrency --timeout --connect-timeout --retries --auth-file --token-file --output --state --restart --max-trace-bytes --fail-empty --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	convert)
		if [[ $cur == -* ]]; then _llmr_words " --from --output --out-dir --test-split --seed --prompt --labels --score --map --alias --strip-provider --redact --hash-users --dedupe --shard --keep-zero-cost --join-window --max-bad --max-trace-bytes --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	embed)
		if [[ $cur == -* ]]; then _llmr_words " --embedder --dtype --truncate --text --cache --restart --output --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	train)
		if [[ $cur == -* ]]; then _llmr_words " --data --from --embedder --dtype --truncate --recipe --hparam --objective --weak --strong --strong-share --candidates --cv --search --grid --save-oof --sample-weights --checkpoint --resume --seed --no-runs --store-queries --output --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "hybrid knn svm mlp mf ridge kridge trees"; fi ;;
	eval)
		if [[ $cur == -* ]]; then _llmr_words " --model --embedder --data --from --min-full --bootstrap --seed --max-cost --cost-weight --max-latency --latency-weight --candidates --require --explore-epsilon --explore-temperature --explore-max-cost --router-mode --router-tau --router-threshold --strong-share --weak --strong --against --report --off-policy --min-ess --gate --allow-leaks --no-runs --require-signature --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --signature --manifest --root --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	route)
		if [[ $cur == -* ]]; then _llmr_words " --model --embedder --jsonl --explain --data --max-cost --cost-weight --max-latency --latency-weight --candidates --require --explore-epsilon --explore-temperature --explore-max-cost --router-mode --router-tau --router-threshold --strong-share --weak --strong --request-id --seed --require-signature --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --signature --manifest --root --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	bench)
		if [[ $cur == -* ]]; then _llmr_words " --model --embedder --queries --rate --duration --requests --warmup --cold --max-cost --cost-weight --max-latency --latency-weight --candidates --require --explore-epsilon --explore-temperature --explore-max-cost --router-mode --router-tau --router-threshold --strong-share --weak --strong --seed --budget-p99 --require-signature --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --signature --manifest --root --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	import)
		if [[ $cur == -* ]]; then _llmr_words " --models --embedder --dtype --embedder-from --dim --link --activation --candidates --seed --output --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "linear mlp bert"; fi ;;
	inspect)
		if [[ $cur == -* ]]; then _llmr_words " --embedder --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	drift)
		if [[ $cur == -* ]]; then _llmr_words " --model --embedder --text --data --from --threshold --max-ood --require-signature --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --signature --manifest --root --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	keygen)
		if [[ $cur == -* ]]; then _llmr_words " --public-key --secret-key --no-password --type --kdf-memory --password-file --password-fd --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	sign)
		if [[ $cur == -* ]]; then _llmr_words " --secret-key --signature --format --trusted-comment --comment --description --no-sidecar --add --rotate --hmac --hmac-secret-file --password-file --password-fd --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	verify)
		if [[ $cur == -* ]]; then _llmr_words " --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --signature --manifest --root --format --require --prehashed --no-sidecar --allow-extra --add-key --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	runs)
		if [[ $cur == -* ]]; then _llmr_words " --limit --kind --command --format --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "list show compare export"; fi ;;
	push)
		if [[ $cur == -* ]]; then _llmr_words " --name --version --meta --channel --expires --plain --expect-previous --lease --mlflow --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	pull)
		if [[ $cur == -* ]]; then _llmr_words " --name --channel --version --output --watch --interval --offline --min-seq --max-age --lease --cache-dir --cache-size --mlflow --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	list)
		if [[ $cur == -* ]]; then _llmr_words " --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	show)
		if [[ $cur == -* ]]; then _llmr_words " --channel --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	promote)
		if [[ $cur == -* ]]; then _llmr_words " --channel --expires --plain --expect-previous --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	rollback)
		if [[ $cur == -* ]]; then _llmr_words " --to --channel --expires --plain --expect-previous --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	gc)
		if [[ $cur == -* ]]; then _llmr_words " --grace --keep --dry-run --force --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	export-bundle)
		if [[ $cur == -* ]]; then _llmr_words " --output --channel --with-binary --encoder --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	import-bundle)
		if [[ $cur == -* ]]; then _llmr_words " --channel --expires --plain --unpack --secret-key --password-file --password-fd --no-cas --registry --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --allow-unsigned --require-signature --registry-id --endpoint-url --region --profile --timeout --connect-timeout --retries --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_files; fi ;;
	serve)
		if [[ $cur == -* ]]; then _llmr_words " --config --listen --test --embedder --no-auth --tls-cert --tls-key --max-body --max-connections --access-log --decision-log --log-prompts --drain-timeout --header-timeout --body-timeout --idle-timeout --memory-limit --signature-grace --require-signature --public-key --public-key-b64 --trusted-dir --revoked --hmac-secret-file --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	config)
		if [[ $cur == -* ]]; then _llmr_words " --config --strict --show-origin --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "check show"; fi ;;
	switch)
		if [[ $cur == -* ]]; then _llmr_words " --url --name --strategy --set --wait --timeout --reason --metadata --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "start status list wait abort rollback register versions stats"; fi ;;
	doctor)
		if [[ $cur == -* ]]; then _llmr_words " --config --url --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	help)
		if [[ $cur == -* ]]; then _llmr_words " --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words "extract convert embed train eval route bench import inspect drift keygen sign verify runs push pull list show promote rollback gc export-bundle import-bundle serve config switch doctor help version"; fi ;;
	version)
		if [[ $cur == -* ]]; then _llmr_words " --help --version --quiet --verbose --json --color --progress --log --threads --ca-file --ca-only --allowed-hosts --settings --state-dir"
		else _llmr_words ""; fi ;;
	esac
}
complete -F _llmr llmr
