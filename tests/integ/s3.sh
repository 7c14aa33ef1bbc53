#!/bin/sh
# s3.sh - the S3 client against real stores: MinIO and versitygw, each in the clear and over TLS with a
# private authority; each refuses what the other lets through.
#
#   S3TOOL           the client by hand (build/s3tool)
#   LLMR_MINIO       a minio binary, else one in PATH
#   LLMR_VERSITYGW   a versitygw binary, else one in PATH
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77) with a word why.
set -u
VGW=${LLMR_VERSITYGW:-$(command -v versitygw)}
MINIO=${LLMR_MINIO:-$(command -v minio)}
. "$(dirname "$0")/../cli/lib.sh"
S3TOOL=${S3TOOL:-$SRC/build/s3tool}
if [ -z "$VGW$MINIO" ] || [ ! -x "$S3TOOL" ]; then
	echo "SKIP: neither minio nor versitygw in PATH, LLMR_MINIO or LLMR_VERSITYGW (Go 1.24 or later builds them:"
	echo "  go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
	echo "  go install github.com/versity/versitygw/cmd/versitygw@v1.8.0), or no $S3TOOL"
	exit 77
fi
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
no_proxy=127.0.0.1,localhost
HOME=$HOME_DIR
export no_proxy HOME
server= n=0
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
. "$SRC/tests/integ/s3-cases.inc"

passed=0 failed=0
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "not ok - $1"; shift; for l in "$@"; do echo "# $l"; done; }
for scheme in http https; do
	if [ -n "$VGW" ]; then
		if start_versitygw $scheme; then s3_cases; else fail "versitygw starts ($scheme)" "$(tail -n 3 vgw.log)"; fi
	else
		echo "# versitygw is absent: not tested"
	fi
	if [ -n "$MINIO" ]; then
		if start_minio $scheme; then s3_cases; else fail "MinIO starts ($scheme)" "$(tail -n 3 minio.log)"; fi
	else
		echo "# MinIO is absent: not tested"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
