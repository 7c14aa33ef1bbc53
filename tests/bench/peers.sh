#!/bin/sh
# peers.sh [ROW ...]: the peers and llmr side by side; prints the table of README.md.
# Rows: convert train extract knn s3 sign svm mlp mf ridge kridge dc routerbench routellm tasks; BENCH_ROWS=svm,mlp
# selects them too, BENCH_LONG=1 adds long ones. Real data at LLMR_SHARED. LLMR_VENV names a Python
# environment with scikit-learn; without it one is made under build/bench with pip.
cd "$(dirname "$0")/../.." || exit 99
venv=${LLMR_VENV:-build/bench/venv}
mkdir -p build/bench
for tool in python3 jq gzip; do
	command -v "$tool" >/dev/null 2>&1 || { echo "bench-peers needs $tool: apt-get install python3-venv jq gzip" >&2; exit 69; }
done
if ! "$venv/bin/python" -c 'import sklearn, scipy' 2>/dev/null; then
	[ -z "${LLMR_VENV:-}" ] || { echo "bench-peers: $LLMR_VENV has no scikit-learn" >&2; exit 69; }
	python3 -m venv "$venv" && "$venv/bin/pip" install -q scikit-learn || exit 69
fi
VENV=$venv
export VENV
exec "$venv/bin/python" tests/bench/peers.py "$@"
