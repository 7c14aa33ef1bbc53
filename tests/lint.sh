#!/bin/sh
# lint.sh [BUILD]: the rules that a compiler does not check. Prints what breaks them and a count.
cd "$(dirname "$0")/.." || exit 99
build=${1:-build} passed=0 failed=0
check() { # NAME OUTPUT: a check passes when its output is empty
	if [ -z "$2" ]; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "not ok - $1"
		echo "$2" | sed 's/^/# /'
	fi
}

# Includes run one way: cmd > serve > registry > net, trust, model > embed > trace, data > math, fmt > base.
layers() {
	grep -n '^#include "' lib/*.[ch] lib/*/*.[ch] cmd/*.[ch] cmd/*/*.[ch] 2>/dev/null | awk -F: '
	BEGIN {
		split("base:0 math:1 fmt:1 data:2 trace:3 embed:4 net:5 trust:5 model:5 registry:6 serve:7 api:8 cmd:9", t, " ")
		for (i in t) { split(t[i], kv, ":"); rank[kv[1]] = kv[2] }
	}
	function layer(path) {
		if (path ~ /^cmd\//) return "cmd"
		if (path ~ /^lib\/[^\/]*$/) return "api"
		sub(/^lib\//, "", path); sub(/\/.*/, "", path); return path
	}
	{
		from = layer($1); inc = $3; gsub(/^#include "|".*/, "", inc)
		if (inc ~ /\//) { to = inc; sub(/\/.*/, "", to) } else to = inc == "llmr.h" ? "api" : from
		if (!(to in rank)) next
		if (rank[to] > rank[from] || (rank[to] == rank[from] && to != from))
			print $1 ":" $2 ": " from " may not include " inc
	}'
}

# Each outside library has one home.
homes() {
	while read -r header home; do
		grep -ln "^#include <$header" lib/*/*.[ch] cmd/*.[ch] cmd/*/*.[ch] 2>/dev/null | grep -v "^$home" |
			sed "s|\$|: $header belongs to $home|"
	done <<-EOF
		curl/ lib/net/http
		libpq-fe.h lib/net/pq
		cJSON lib/fmt/json
		cjson/ lib/fmt/json
		yaml lib/fmt/yaml
		cblas lib/math/mat
		sodium lib/\(fmt/hash\|trust/\)
		openssl/ lib/trust/crypto
		sqlite3 lib/data/
		microhttpd.h lib/serve/httpd
		zlib lib/fmt/stream
		zstd lib/fmt/stream
	EOF
}

# lib/ never prints, exits, or reads arguments and the environment (TMPDIR and the BLAS core excepted).
silent() {
	grep -nE '\b(printf|puts|fputs|exit|_exit|perror|system|popen) *\(' lib/*.c lib/*/*.c |
		grep -vE '(snprintf|vsnprintf|buf_printf|fprintf)' | grep -vE ':\s*(\*|/\*|//)'
	grep -nE 'fprintf *\( *(stdout|stderr)' lib/*.c lib/*/*.c | grep -v 'lib/base/err.c'
}

# A function is at most 100 lines, a file at most 1000, a line at most 110 columns.
shape() {
	awk 'FNR == 1 { start = 0 }
		/^\{/ { start = FNR }
		/^\}/ && start { if (FNR - start > 100) print FILENAME ":" start ": function of " FNR - start " lines"; start = 0 }
		FNR == 1001 { print FILENAME ": more than 1000 lines" }
		{ gsub(/\t/, "    "); if (length($0) > 120) print FILENAME ":" FNR ": line of " length($0) " columns" }' \
		lib/*.[ch] lib/*/*.[ch] cmd/*.[ch] cmd/*/*.[ch] 2>/dev/null
}

# Every external symbol is declared in the header of its own name.
symbols() {
	for o in "$build"/lib/*.o "$build"/lib/*/*.o; do
		[ -e "$o" ] || continue
		src=${o#"$build"/}
		header=${src%.o}.h
		[ -e "${src%.o}.c" ] || continue
		nm -g --defined-only "$o" | awk '{ print $3 }' | while read -r s; do
			case $s in __odr_asan* | __start_* | __stop_* | *.*) continue ;; esac
			grep -qw -- "$s" "$header" 2>/dev/null || echo "${src%.o}.c: $s is not declared in $header"
		done
	done
}

# No merge was left half done.
markers() {
	git grep -nE '^(<<<<<<<|>>>>>>>) ' -- . 2>/dev/null
}

# Headers stand alone.
headers() {
	pq=$(${PKG_CONFIG:-pkg-config} --cflags libpq 2>/dev/null)
	for h in lib/*.h lib/*/*.h; do
		echo "#include \"${h#lib/}\"" | ${CC:-cc} -std=c11 -D_DEFAULT_SOURCE -Ilib $pq -fsyntax-only -x c - 2>&1 | head -n 3
	done
}

check "includes run one way" "$(layers)"
check "each library has one home" "$(homes)"
check "lib/ is silent" "$(silent)"
check "functions, files and lines are short" "$(shape)"
check "symbols are declared in their own header" "$(symbols)"
check "no conflict markers" "$(markers)"
check "headers stand alone" "$(headers)"
for s in tests/*.sh tests/*/*.sh share/*.sh examples/*.sh; do
	[ -e "$s" ] && check "sh -n $s" "$(sh -n "$s" 2>&1)"
done
echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
