#!/bin/sh
# extract --from s3 against versitygw, where it is: LLMR_VERSITYGW or PATH
VGW=${LLMR_VERSITYGW:-$(command -v versitygw)}
. "$(dirname "$0")/lib.sh"
S3TOOL=${S3TOOL:-$SRC/build/s3tool}
if [ -z "$VGW" ] || [ ! -x "$S3TOOL" ]; then
	skip "extract-s3: no versitygw (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0) or no $S3TOOL"
	exit 0
fi
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
no_proxy=127.0.0.1,localhost
HOME=$HOME_DIR
AWS_EC2_METADATA_DISABLED=true
export no_proxy HOME AWS_EC2_METADATA_DISABLED
server=
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
. "$SRC/tests/integ/s3-cases.inc"
. "$SRC/tests/integ/s3logs-cases.inc"
if start_versitygw http; then
	vroot=$PWD/vroot
	s3logs_cases
else
	fail "versitygw starts" "$(tail -n 3 vgw.log)"
fi
