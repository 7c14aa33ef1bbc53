#!/bin/sh
# peers.sh [ROW ...]: the peers and llmr side by side; prints the table of README.md.
# Rows: convert train extract. Needs python3 with venv and pip, jq; real data at LLMR_SHARED.
cd "$(dirname "$0")/../.." || exit 99
venv=build/bench/venv
mkdir -p build/bench
for tool in python3 jq gzip; do
	command -v "$tool" >/dev/null 2>&1 || { echo "bench-peers needs $tool: apt-get install python3-venv jq gzip" >&2; exit 69; }
done
if ! "$venv/bin/python" -c 'import sklearn' 2>/dev/null; then
	python3 -m venv "$venv" && "$venv/bin/pip" install -q scikit-learn || exit 69
fi
exec "$venv/bin/python" tests/bench/peers.py "$@"
