#!/bin/sh
# svm.sh [ROWS ...]: support vector machines of scikit-learn and llmr side by side (default 5000 20000).
# Needs python3 with venv and pip. 50000 is llmr alone.
cd "$(dirname "$0")/../.." || exit 99
venv=build/bench/venv
mkdir -p build/bench
make -s build/libllmr.a || exit 70
if ! "$venv/bin/python" -c 'import sklearn' 2>/dev/null; then
	python3 -m venv "$venv" && "$venv/bin/pip" install -q scikit-learn || exit 69
fi
${CC:-cc} -std=c11 -O2 -D_POSIX_C_SOURCE=200809L -Ilib -o build/bench/svmbench tests/bench/svmbench.c \
	build/libllmr.a -lyaml -lsodium -lz -lzstd -lm -ldl -pthread || exit 70
exec "$venv/bin/python" tests/bench/sklearn_svm.py build/bench/svmbench "$@"
