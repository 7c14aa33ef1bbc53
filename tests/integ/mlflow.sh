#!/bin/sh
# mlflow.sh - train and eval against a real MLflow tracking server.
#
#   LLMR    the binary (build/llmr)
#   MLFLOW  an mlflow command; by default one is installed from PyPI into
#           build/mlflow, which takes a minute
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77)
# with a word why.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
MLFLOW=${MLFLOW:-$src/build/mlflow/bin/mlflow}
passed=0 failed=0
server=
for v in $(env | sed -n 's/^\(MLFLOW_[A-Z0-9_]*\)=.*/\1/p; s/^\(LLMR_[A-Z0-9_]*\)=.*/\1/p'); do
	[ "$v" = LLMR_SHARED ] || unset "$v"
done
no_proxy=127.0.0.1
export no_proxy

if ! command -v curl >/dev/null 2>&1 || ! command -v python3 >/dev/null 2>&1; then
	echo "SKIP: no curl and python3"
	exit 77
fi
if [ ! -x "$MLFLOW" ]; then
	mkdir -p "$src/build"
	if ! { python3 -m venv "$src/build/mlflow" && "$src/build/mlflow/bin/pip" install -q mlflow; } >"$src/build/mlflow.log" 2>&1; then
		echo "SKIP: mlflow cannot be installed here (see build/mlflow.log), and MLFLOW names none"
		exit 77
	fi
	MLFLOW=$src/build/mlflow/bin/mlflow
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-mlflow-XXXXXX") || exit 1
stop_server() {
	[ -n "$server" ] || return 0
	kill -s TERM -- "-$server" 2>/dev/null
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -s 0 -- "-$server" 2>/dev/null || break
		sleep 1
	done
	kill -s KILL -- "-$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}
cleanup() {
	stop_server
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
XDG_STATE_HOME=$dir/state
export XDG_STATE_HOME

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "not ok - $1"; [ $# -lt 2 ] || echo "$2" | sed 's/^/# /'; }
check() { # NAME CMD...
	name=$1
	shift
	if "$@" >out 2>err; then pass; else fail "$name" "$(cat err)"; fi
}
equal() { if [ "$1" = "$2" ]; then pass; else fail "$3" "got '$1', expected '$2'"; fi; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# A session of its own: the server starts workers that must go with it.
python3 -c 'import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])' "$MLFLOW" server --host 127.0.0.1 \
	--port "$port" --workers 1 --backend-store-uri "sqlite:///$dir/mlflow.db" >server.log 2>&1 &
server=$!
for _ in $(seq 120); do
	curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
	kill -0 "$server" 2>/dev/null || { echo "FAIL: mlflow server ended"; tail -n 5 server.log; exit 1; }
	sleep 1
done
api=http://127.0.0.1:$port/api/2.0/mlflow
MLFLOW_TRACKING_URI=http://127.0.0.1:$port
export MLFLOW_TRACKING_URI

# run ID EXPRESSION: of the run as the server has it; p, m and t map names to params, metrics and tags
run() {
	curl -s "$api/runs/get?run_id=$1" | python3 -c '
import json, sys
r = json.load(sys.stdin)["run"]
i, d = r["info"], r["data"]
p, m, t = ({x["key"]: x["value"] for x in d.get(k, [])} for k in ("params", "metrics", "tags"))
print(eval(sys.argv[1]))' "$2"
}
last() { "$LLMR" runs export --limit 1 | sed -n 's/.*"mlflow_run":"\([0-9a-f]*\)".*/\1/p'; }
records() {
	awk -v a="$1" -v b="$2" 'BEGIN {
		split("sum the list in python code|a poem about love and rain|a proof of the matrix integral", k, "|")
		for (i = a; i <= b; i++) for (j = 0; j < 3; j++)
			printf "{\"query\":\"%s number %d\",\"model_name\":\"org/m:%d\",\"performance\":%s}\n",
				k[i % 3 + 1], i, j, i % 3 == j ? "1" : "0.25"
	}'
}
records 1 60 >train.jsonl
records 61 120 >test.jsonl

check "train" "$LLMR" train knn --hparam n_neighbors=20 --hparam dim=16 --data train.jsonl --cv 3 -o m.safetensors
equal "$(grep -c 'not logged' err)" 0 "without a warning"
id=$(last)
equal "$(run "$id" 'i["status"]')" FINISHED "a finished run"
equal "$(run "$id" 'i["run_name"]')" "train knn" "its name"
equal "$(run "$id" 'p["n_neighbors"], p["train.seed"]')" "('20', '42')" "hyperparameters and options"
equal "$(run "$id" 'm["cv.score"] > m["cv.best_single"], m["queries"]')" "(True, 60.0)" "metrics"
equal "$(run "$id" 't["llmr.artifact_digest"]')" "$(sha256sum m.safetensors | cut -d' ' -f1)" "digest of the artifact"
equal "$(run "$id" 't["mlflow.source.name"]')" llmr "source"
check "eval" "$LLMR" eval --model m.safetensors --data test.jsonl --json
id=$(last)
equal "$(run "$id" 'm["gap_closed.value"], m["gap_closed.lo"] <= m["gap_closed.hi"]')" "(1.0, True)" "an evaluation's metrics"
equal "$(run "$id" 'm["chosen.org_m_1"]')" 20.0 "names that the server would refuse"
echo '{"query":"q"}' >bad.jsonl
"$LLMR" train knn --data bad.jsonl -o x.safetensors >/dev/null 2>&1
equal "$?" 65 "a training that fails"
equal "$(run "$(last)" 'i["status"]')" FAILED "is a failed run"

MLFLOW_EXPERIMENT_NAME='another one/ä'
export MLFLOW_EXPERIMENT_NAME
check "an experiment by name" "$LLMR" eval --model m.safetensors --data test.jsonl
experiment=$(run "$(last)" 'i["experiment_id"]')
curl -s "$api/experiments/get?experiment_id=$experiment" >out
equal "$(grep -c 'another one' out)" 1 "was made"
check "and again" "$LLMR" eval --model m.safetensors --data test.jsonl
equal "$(run "$(last)" 'i["experiment_id"]')" "$experiment" "is the same"
unset MLFLOW_EXPERIMENT_NAME

MLFLOW_RUN_ID=$(curl -s -X POST "$api/runs/create" -H 'Content-Type: application/json' \
	-d "{\"experiment_id\":\"$experiment\",\"run_name\":\"mine\",\"start_time\":1}" |
	sed -n 's/.*"run_id": "\([0-9a-f]*\)".*/\1/p' | head -n 1)
export MLFLOW_RUN_ID
check "join a run: train" "$LLMR" train knn --hparam n_neighbors=20 --hparam dim=16 --data train.jsonl -o m.safetensors
equal "$(grep -c 'not logged' err)" 0 "without a warning"
check "join a run: eval" "$LLMR" eval --model m.safetensors --data test.jsonl
equal "$(grep -c 'not logged' err)" 0 "without a warning"
equal "$(run "$MLFLOW_RUN_ID" 'i["status"], i["run_name"]')" "('RUNNING', 'mine')" "it goes on running"
equal "$(run "$MLFLOW_RUN_ID" 'p["train.seed"], p["eval.bootstrap"], m["router.score"]')" "('42', '2000', 1.0)" "and holds both"
MLFLOW_RUN_ID=ffffffffffffffffffffffffffffffff
check "a run that is not there" "$LLMR" eval --model m.safetensors --data test.jsonl
equal "$(grep -c 'not logged' err)" 1 "is one warning"
unset MLFLOW_RUN_ID

# The model registry: a version under an alias, signed, and back.
cp "$src/tests/keys/"* .
XDG_CACHE_HOME=$dir/cache
export XDG_CACHE_HOME
status() { # STATUS NAME CMD...
	want=$1 name=$2
	shift 2
	"$@" >out 2>err
	equal "$?" "$want" "$name: $(cat err)"
}
mkdir -p model/deep
cp m.safetensors model/router.safetensors
head -c 3000000 /dev/urandom >model/deep/weights
push() { "$LLMR" push -s test.key model --name my-router --mlflow "$MLFLOW_TRACKING_URI" "$@"; }
check "push" push --channel champion
check "push again" push --channel champion
curl -s "$api/registered-models/alias?name=my-router&alias=champion" >out
equal "$(python3 -c 'import json; v = json.load(open("out"))["model_version"]; print(v["version"], v["status"])')" "2 READY" "two versions"
check "pull" "$LLMR" pull -p test.pub mlflow:my-router@champion -o dst
check "what was pushed" cmp dst/current/deep/weights model/deep/weights
check "pull again" "$LLMR" pull -p test.pub mlflow:my-router@champion -o dst
equal "$(grep -c 'in use already' out)" 1 "is in use already"
status 77 "pull with another key" "$LLMR" pull -p other.pub mlflow:my-router@champion -o dst2
status 66 "an alias that is not there" "$LLMR" pull -p test.pub mlflow:my-router@nobody -o dst2
status 77 "push without a key" "$LLMR" push model --name my-router --mlflow "$MLFLOW_TRACKING_URI"
# Somebody with the right to write there changes a file.
damaged=$(find "$dir" -path '*artifacts*' -name weights ! -path "$dir/dst*" ! -path "$dir/model/*" | sort)
for f in $damaged; do printf X | dd of="$f" bs=1 seek=1000000 conv=notrunc 2>/dev/null; done
rm -rf cache dst2
status 77 "a file that was changed" "$LLMR" pull -p test.pub mlflow:my-router@champion -o dst2
equal "$(ls -d dst2/current 2>/dev/null)" "" "is not used"

stop_server
check "train with the server gone" "$LLMR" train knn --hparam n_neighbors=20 --hparam dim=16 --data train.jsonl -o n.safetensors
equal "$(grep -c 'not logged' err)" 1 "is one warning"
check "and the artifact is there" cmp m.safetensors n.safetensors

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
