#!/bin/sh
# keytable.sh: the list of unused keys in man/src/serve.mdoc, from lib/serve/configkeys.c.
cd "$(dirname "$0")/.." || exit 99
awk '/^#define / { name = $2; sub(/^#define [A-Z]+ /, ""); gsub(/^"|"$/, ""); value[name] = $0 }
	/^\t\{ "/ { split($0, q, "\""); key = q[2]; means = q[4]
		if (means == "") { m = $0; sub(/^[^,]*, /, "", m); sub(/ .*/, "", m); means = value[m] }
		printf ".It Ql %s\n%s.\n", key, means }' lib/serve/configkeys.c
