#!/bin/sh
# s3logs.sh - extract --from s3 against MinIO and versitygw, in the clear and over TLS with a private authority.
#
#   S3TOOL, LLMR_MINIO, LLMR_VERSITYGW   as in s3.sh
# Prints "N passed, N failed"; exit 0 only when nothing failed. Skips (exit 77) with a word why.
set -u
VGW=${LLMR_VERSITYGW:-$(command -v versitygw)}
MINIO=${LLMR_MINIO:-$(command -v minio)}
. "$(dirname "$0")/../cli/lib.sh"
S3TOOL=${S3TOOL:-$SRC/build/s3tool}
if [ -z "$VGW$MINIO" ] || [ ! -x "$S3TOOL" ]; then
	echo "SKIP: neither minio nor versitygw (see s3.sh), or no $S3TOOL"
	exit 77
fi
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
no_proxy=127.0.0.1,localhost
HOME=$HOME_DIR
AWS_EC2_METADATA_DISABLED=true
export no_proxy HOME AWS_EC2_METADATA_DISABLED
server= n=0
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
. "$SRC/tests/integ/s3-cases.inc"
. "$SRC/tests/integ/s3logs-cases.inc"

passed=0 failed=0
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "not ok - $1"; shift; for l in "$@"; do echo "# $l"; done; }
for scheme in http https; do
	if [ -n "$VGW" ]; then
		if start_versitygw $scheme; then s3logs_cases; else fail "versitygw starts ($scheme)" "$(tail -n 3 vgw.log)"; fi
	fi
	if [ -n "$MINIO" ]; then
		if start_minio $scheme; then s3logs_cases; else fail "MinIO starts ($scheme)" "$(tail -n 3 minio.log)"; fi
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
