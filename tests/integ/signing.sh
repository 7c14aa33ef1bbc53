#!/bin/sh
# signing.sh - llmr against stock minisign and OpenSSF's model_signing.
#
#   LLMR           the binary (build/llmr)
#   MODEL_SIGNING  a model_signing command; by default it is installed from PyPI into build/model-signing
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77) with a word why.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
MODEL_SIGNING=${MODEL_SIGNING:-$src/build/model-signing/bin/model_signing}
SHARED=${LLMR_SHARED:-$src/../shared}
passed=0 failed=0
for v in $(env | sed -n 's/^\(LLMR_[A-Z0-9_]*\)=.*/\1/p; s/^\(LLMROUTER_[A-Z0-9_]*\)=.*/\1/p'); do
	[ "$v" = LLMR_SHARED ] || unset "$v"
done
if [ ! -x "$MODEL_SIGNING" ]; then
	mkdir -p "$src/build"
	if ! { python3 -m venv "$src/build/model-signing" &&
		"$src/build/model-signing/bin/pip" install -q model-signing==1.1.1 pyOpenSSL; } >"$src/build/model-signing.log" 2>&1; then
		echo "SKIP: model-signing cannot be installed here (see build/model-signing.log), and MODEL_SIGNING names none"
		exit 77
	fi
fi
command -v minisign >/dev/null 2>&1 || { echo "SKIP: no minisign (Debian: minisign)"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-signing-XXXXXX") || exit 1
trap 'cd /; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
XDG_CONFIG_HOME=$dir/config
export XDG_CONFIG_HOME
# expect STATUS NAME CMD...
expect() {
	want=$1 name=$2
	shift 2
	"$@" >out 2>err </dev/null
	got=$?
	if [ "$got" -eq "$want" ]; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "not ok - $name: exit $got, not $want: $(head -c 300 err)"
	fi
}
mkdir -p m/sub
head -c 300000 /dev/urandom >m/a.bin
: >m/empty
echo text >"m/sub/caf$(printf '\303\251').txt"

expect 0 "keygen p256" "$LLMR" keygen -W --type p256 -p e.pub -s e.key
expect 0 "sign a folder" "$LLMR" sign --format oms -s e.key -x ours.sig m
expect 0 "model_signing takes it" "$MODEL_SIGNING" verify key --signature ours.sig --public_key e.pub m
expect 0 "signature inside the folder" "$LLMR" sign --format oms -s e.key m
expect 0 "model_signing takes that" "$MODEL_SIGNING" verify key --signature m/model.sig --public_key e.pub m
rm m/model.sig
expect 0 "model_signing signs" "$MODEL_SIGNING" sign key --signature theirs.sig --private_key e.key m
expect 0 "llmr takes it" "$LLMR" verify -p e.pub -x theirs.sig m
expect 0 "model_signing signs one file" "$MODEL_SIGNING" sign key --signature file.sig --private_key e.key m/a.bin
expect 0 "llmr takes it" "$LLMR" verify -p e.pub -x file.sig m/a.bin
expect 0 "llmr signs one file" "$LLMR" sign --format oms -s e.key -x ourfile.sig m/a.bin
expect 0 "model_signing takes it" "$MODEL_SIGNING" verify key --signature ourfile.sig --public_key e.pub m/a.bin
echo x >m/extra
expect 1 "model_signing: a file more" "$MODEL_SIGNING" verify key --signature ours.sig --public_key e.pub m
expect 1 "llmr: a file more" "$LLMR" verify -p e.pub -x theirs.sig m

# Keys with a password cost 1 GiB and seconds, as minisign makes them.
echo 'test password 1' >pw
expect 0 "keygen with a password" "$LLMR" keygen --password-file pw -p p.pub -s p.key
minisign -S -s p.key -m m/a.bin -x p.sig <pw >out 2>err || failed=$((failed + 1))
expect 0 "minisign signs by it" "$LLMR" verify -p p.pub -x p.sig m/a.bin
F=$SHARED/fixtures/signing/minisign
if [ -d "$F" ]; then
	expect 0 "a password key of minisign" "$LLMR" sign -s "$F/pw.key" --password-file pw -x q.sig m/a.bin
	expect 0 "minisign takes it" minisign -V -p "$F/pw.pub" -m m/a.bin -x q.sig
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
