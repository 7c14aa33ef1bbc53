#!/bin/sh
# knn.sh [build | graph ROWS easy|hard THREADS [NAME=VALUE ...]]: nearest neighbours of faiss, scikit-learn and
# llmr side by side; with `graph', the index for large training sets alone. LLMR_VENV as in peers.sh.
cd "$(dirname "$0")/../.." || exit 99
venv=${LLMR_VENV:-build/bench/venv}
mkdir -p build/bench
make -s build/libllmr.a || exit 70
if ! "$venv/bin/python" -c 'import faiss, sklearn' 2>/dev/null; then
	case $venv in
	*build/bench/venv) ;;
	*) echo "knn.sh: $venv has no faiss-cpu and scikit-learn" >&2; exit 69 ;;
	esac
	{ [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } &&
		"$venv/bin/pip" install -q scikit-learn faiss-cpu || exit 69
fi
${CC:-cc} -std=c11 -O2 -D_POSIX_C_SOURCE=200809L -Ilib -o build/bench/knnbench tests/bench/knnbench.c \
	build/libllmr.a -lyaml -lsodium -lz -lzstd -lm -ldl -pthread || exit 70
[ "$1" = build ] && exit 0
exec "$venv/bin/python" tests/bench/knn_peer.py "$@"
