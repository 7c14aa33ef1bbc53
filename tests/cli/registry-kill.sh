#!/bin/sh
# registry-kill: a sample of the kills of tests/integ/registry-kill.sh
. "$(dirname "$0")/lib.sh"
STORES=dir STEP=${STEP:-61} LLMR=$LLMR sh "$SRC/tests/integ/registry-kill.sh" >kills 2>&1
code=$?
if [ "$code" -eq 77 ]; then skip "$(tail -n 1 kills)"; else
	equal "$code" 0 "killed at some system calls: $(tail -n 1 kills)"
	[ "$code" -eq 0 ] || sed 's/^/# /' kills
fi
