#!/bin/sh
# the S3 client: each fault that a store, a proxy or a wire can show, and a store that checks signatures
VGW=${LLMR_VERSITYGW:-$(command -v versitygw)}
. "$(dirname "$0")/lib.sh"

S3TOOL=${S3TOOL:-$SRC/build/s3tool}
if [ ! -x "$S3TOOL" ]; then
	skip "s3: no $S3TOOL (make check builds it)"
	exit 0
fi
if ! ${CC:-cc} -O1 -o s3fault "$SRC/tests/integ/s3fault.c" -pthread 2>cc.err; then
	skip "s3: the fault server does not build: $(head -n 1 cc.err)"
	exit 0
fi
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
no_proxy=127.0.0.1,localhost
HOME=$HOME_DIR
AWS_EC2_METADATA_DISABLED=true
export no_proxy HOME AWS_EC2_METADATA_DISABLED
server=
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT

# serve RULE...: a fault server of its own; sets $url
serve() {
	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
	rm -f port log
	./s3fault -l log "$@" >port &
	server=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ -s port ] && break
		sleep 0.02
	done
	url=http://127.0.0.1:$(cat port)
}
# t OPTION... COMMAND...: the tool with quick retries; options up to the first word without a dash
t() { "$S3TOOL" -wait 0.01 -endpoint "$url" "$@"; }
requests() { wc -l <log | tr -d ' '; }
outcome() { sed -n 's/^outcome //p' err; }
# row STATUS OUTCOME MESSAGE NAME ARGS...: exit status, outcome and message of a call
row() {
	row_status=$1 row_outcome=$2 row_text=$3 row_name=$4
	shift 4
	status "$row_status" "$row_name" t "$@"
	equal "$(outcome)" "$row_outcome" "$row_name: outcome"
	match err "$row_text" "$row_name: message"
}
B=s3://bkt/pre

# ---- credentials: nothing goes out without them
serve
row 77 refused 'no credentials for S3' "no credentials" $B get k
equal "$(requests)" 0 "no request without credentials"
printf '[default]\naws_access_key_id = FILEKEY\naws_secret_access_key = FILESECRET # not part of it\n[other]\naws_access_key_id=OTHER\naws_secret_access_key=SECRET\naws_session_token=TOKEN\n' >cred
printf '[default]\nregion = eu-west-1\ns3 =\n  region = nested\n[profile other]\nendpoint_url = http://files.test\n[profile proc]\ncredential_process = "%s/give" "a b"\n[profile sso]\nsso_session = x\n' "$HOME_DIR" >conf
printf '#!/bin/sh\n[ "$1" = "a b" ] && echo %s\n' "'{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"PS\",\"SessionToken\":\"PT\",\"Expiration\":\"2040-01-01T00:00:00Z\"}'" >give
chmod +x give
AWS_SHARED_CREDENTIALS_FILE=$HOME_DIR/cred AWS_CONFIG_FILE=$HOME_DIR/conf
export AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE
c() { "$S3TOOL" "$@" s3://bkt credentials; }
ok "credentials file" c
equal "$(cat out)" "FILEKEY FILESECRET  0
eu-west-1 -" "keys, and region of the config file"
ok "another profile" env AWS_PROFILE=other "$S3TOOL" s3://bkt credentials
equal "$(cat out)" "OTHER SECRET TOKEN 0
us-east-1 http://files.test" "its token and endpoint"
ok "credential_process" c -profile proc
match out '^PROC PS PT 2208988800000000$' "is run without a shell"
status 78 "a profile that nobody wrote" c -profile nobody
match err "profile 'nobody' is neither in .*cred nor in .*conf" "names the files"
status 78 "SSO" c -profile sso
match err 'export-credentials' "says how"
ok "variables beat the files" env AWS_ACCESS_KEY_ID=E AWS_SECRET_ACCESS_KEY=S AWS_REGION=r1 AWS_ENDPOINT_URL=http://a AWS_ENDPOINT_URL_S3=http://b "$S3TOOL" s3://bkt credentials
equal "$(cat out)" "E S  0
r1 http://b" "keys, region, endpoint"
status 78 "half of a pair" env AWS_ACCESS_KEY_ID=E "$S3TOOL" s3://bkt credentials
serve '1 body {"AccessKeyId":"CK","SecretAccessKey":"CS","Token":"CT","Expiration":"2040-01-01T00:00:00Z"}'
ok "container" env AWS_SHARED_CREDENTIALS_FILE=none AWS_CONFIG_FILE=none AWS_CONTAINER_CREDENTIALS_FULL_URI=$url/c AWS_CONTAINER_AUTHORIZATION_TOKEN=tok "$S3TOOL" s3://bkt credentials
match out '^CK CS CT 22' "its keys"
match log '^1 GET /c auth' "its token went along"
status 78 "a container elsewhere without TLS" env AWS_SHARED_CREDENTIALS_FILE=none AWS_CONFIG_FILE=none AWS_CONTAINER_CREDENTIALS_FULL_URI=http://10.1.1.1/c "$S3TOOL" s3://bkt credentials
serve '1 body imds-token' '2 body role1' '3 body {"Code":"Success","AccessKeyId":"IK","SecretAccessKey":"IS","Token":"IT","Expiration":"2040-01-01T00:00:00Z"}'
ok "instance" env AWS_SHARED_CREDENTIALS_FILE=none AWS_CONFIG_FILE=none AWS_EC2_METADATA_DISABLED=false AWS_EC2_METADATA_SERVICE_ENDPOINT=$url "$S3TOOL" s3://bkt credentials
match out '^IK IS IT' "its keys"
match log '^3 GET /latest/meta-data/iam/security-credentials/role1' "of its role"
unset AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE
AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY

# ---- what works
serve
ok "put" t $B puttext k hello
etag=$(sed -n 's/^etag //p' err)
ok "get" t $B get k
equal "$(cat out)" hello "its bytes"
row 0 ok . "range" -range 1+3 $B get k
equal "$(cat out)" ell "the range"
row 3 not-modified . "not modified" -none-match "$etag" $B get k
row 1 precondition PreconditionFailed "exists already" -absent $B puttext k other
row 1 precondition PreconditionFailed "stale ETag" -match '"v99"' $B puttext k other
row 0 ok . "fresh ETag" -match "$etag" $B puttext k other
row 66 not-found NoSuchKey "absent" $B get nothing
row 66 not-found 'no such object' "absent, by HEAD" $B head nothing
ok "an empty object" t $B puttext empty ''
ok "empty get" t $B get empty
equal "$(wc -c <out | tr -d ' ')" 0 "nothing"
row 65 changed InvalidRange "a range behind the end" -range 100+3 $B get k
row 65 changed 'larger than 3 bytes' "a limit" -size 3 $B get k
for i in 1 2 3 4 5 6 7; do t $B puttext "list/$i" x 2>/dev/null; done
ok "list in pages" t -page 2 $B list list/
equal "$(cut -d' ' -f1 out | tr '\n' ' ')" "list/1 list/2 list/3 list/4 list/5 list/6 list/7 " "all keys once"
equal "$(grep -c 'list-type=2' log)" 4 "in four pages"
ok "head many" t $B headmany list/1 list/nothing
equal "$(sort out | tr '\n' ' ')" "list/1 ok 1 list/nothing not-found 0 " "told apart"
ok "delete" t $B delete list/1
ok "delete again" t $B delete list/1
match log '^1 PUT /bkt/pre/k auth range=- ' "signed"

# ---- refused
serve '* error 403 SignatureDoesNotMatch'
row 77 refused '403 SignatureDoesNotMatch: as the test wants & says' "wrong secret" $B get k
equal "$(requests)" 1 "not tried again"
serve '* error 403 InvalidAccessKeyId'
row 77 refused InvalidAccessKeyId "unknown key" $B puttext k v
serve '* error 404 XAdminUserNotFound'
row 77 refused XAdminUserNotFound "unknown key, as versitygw says it" $B get k
serve '* error 403 AccessDenied'
row 77 refused AccessDenied "access denied" $B get k
row 77 refused AccessDenied "access denied, by HEAD" $B head k
serve '* error 400 ExpiredToken'
row 77 refused ExpiredToken "expired token" $B get k
serve '* skew'
row 77 refused "clock is [0-9]+ h [0-9]+ min ahead of the server's \(2001-09-09T01:46:40Z there\)" "clock skew" $B get k
serve '* error 400 AuthorizationHeaderMalformed <Region>eu-west-3</Region>'
row 78 refused "region is 'eu-west-3', not 'us-east-1'" "wrong region" $B get k
serve '* region eu-north-1'
row 78 refused "region is 'eu-north-1'" "wrong region by redirect" $B get k
row 78 refused "region is 'eu-north-1'" "wrong region by redirect, HEAD" $B head k
serve '* error 404 NoSuchBucket'
row 66 not-found NoSuchBucket "no such bucket" $B list
serve
other=$url other_server=$server server=
mv log other.log 2>/dev/null
serve "* moved $other/elsewhere"
status 77 "redirect to another host" env AWS_SESSION_TOKEN=SESSION "$S3TOOL" -endpoint "$url" $B get k
match err "redirects to $other/elsewhere: not followed" "shows where"
match log ' auth token ' "the token went to the store that was named"
equal "$(wc -c <other.log | tr -d ' ')" 0 "nothing went to the other"
kill "$other_server"
serve
row 77 failed 'not one of the allowed hosts' "a host that is not allowed" -allowed store.test $B get k
equal "$(requests)" 0 "nothing was sent"
status 64 "a URL that is none" t s3:/x get k
status 78 "an endpoint that is none" "$S3TOOL" -endpoint ftp://x $B get k

# ---- later
serve '1-2 slow 0' '3 status 500' '4 html 502'
ok "SlowDown, 500, 502 and then well" t $B puttext k v
equal "$(requests)" 5 "five tries"
serve '* error 503 SlowDown'
row 69 unavailable 'after 5 tries: .*SlowDown' "slow for ever" $B get k
equal "$(requests)" 5 "the tries are counted"
serve '* slow 4000'
row 69 unavailable SlowDown "Retry-After of an hour" $B get k
equal "$(requests)" 1 "is not waited for"
serve '1 error 429 TooManyRequests'
ok "429 once" t $B puttext k v
serve '1-2 error 409 ConditionalRequestConflict'
ok "409 of a race is tried again" t -absent $B puttext k v
serve '* error 409 OperationAborted'
row 75 conflict OperationAborted "409 for ever" $B puttext k v
serve '* error 411 MissingContentLength'
row 65 failed MissingContentLength "411" $B puttext k v
serve '* html 403'
row 77 refused 'web page, not S3' "a proxy's page" $B get k
serve '* html 200'
row 65 failed "not S3's list" "a proxy's page in place of a list" $B list
serve '* body <ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'
row 65 failed 'does not say where' "a list without an end" $B list
serve '* body <ListBucketResult><Contents><Key>elsewhere/k</Key></Contents></ListBucketResult>'
row 65 failed 'outside of' "a key that was not asked for" $B list
url=http://127.0.0.1:1
row 69 unavailable 'after 5 tries' "connection refused" $B get k
url=http://nothing.invalid
row 69 unavailable 'resolve' "no such host" -tries 1 $B get k

# ---- the wire
head -c 300000 /dev/urandom >file
sum=$(sha256sum file | cut -d' ' -f1)
f() { t -sha256 "$sum" "$@" $B fetch k got; }
for fault in half reset resethead; do
	serve "2 $fault"
	t $B put k file 2>/dev/null
	ok "$fault in a download is resumed" f
	same got file "$fault: the bytes"
done
match log 'GET /bkt/pre/k auth range=- ' "from the beginning when nothing came"
serve '2 half' '3 half'
t $B put k file 2>/dev/null
ok "twice" f
match log 'range=bytes=150000- if-match="v1"' "with Range and If-Match"
match log 'range=bytes=225000- if-match="v1"' "and further on"
serve '2 half' '3 error 412 PreconditionFailed'
t $B put k file 2>/dev/null
row 65 changed 'changed while it was read' "another object halfway" -sha256 "$sum" $B fetch k got
serve '2 longer'
t $B put k file 2>/dev/null
ok "a body longer than it said" f
same got file "the surplus is left out"
serve '2 flip'
t $B put k file 2>/dev/null
row 65 changed 'not the bytes expected' "one bit flipped" -sha256 "$sum" $B fetch k got
serve '2 stall'
t $B put k file 2>/dev/null
ok "a stall" f -stall 0.3
same got file "is resumed"
serve '2 noetag' '2 half'
t $B put k file 2>/dev/null
ok "an answer without ETag" f
serve
t $B put k file 2>/dev/null
head -c 100000 file >got
ok "going on after a crash" f -resume
same got file "the rest is fetched"
match log 'range=bytes=100000-' "only the rest"
cp file got
ok "all is there already" f -resume -size 300000
match log 'HEAD /bkt/pre/k' "asked by HEAD alone"
row 65 changed '300000 bytes, 7 are expected' "another length" -size 7 $B fetch k got
for fault in reset resethead lost; do
	serve "1 $fault"
	ok "$fault in an upload" t $B put k file
	match err '^uncertain 1' "$fault: says that it may have worked before"
	ok "$fault: get" t $B get k
	same out file "$fault: the bytes are there"
done
serve '1 lost'
row 1 precondition PreconditionFailed "an answer lost, then 412" -absent $B puttext k v
match err '^uncertain 1' "may be our own"
serve '* error 400 XAmzContentSHA256Mismatch'
row 65 changed SHA256Mismatch "another digest than the bytes have" -sha256 "$(printf '%064d' 0)" $B put k file
row 65 changed 'became shorter' "a file that shrank" -size 400000 $B put k file

# ---- uploads in parts
m() { t -above 50000 -part 100000 -parallel 3 "$@" $B put big file; }
serve
ok "upload in parts" m
equal "$(grep -c 'partNumber' log)" 3 "three parts"
ok "get it" t $B get big
same out file "the parts in order"
serve '3 reset' '4 slow 0'
ok "faults in parts" m
ok "get it" t $B get big
same out file "whole all the same"
serve '5 okerror InternalError'
ok "200 with an error in it" m
equal "$(grep -c 'POST.*uploadId' log)" 2 "completed twice"
serve '5- okerror AccessDenied'
status 77 "200 with AccessDenied" m
match log 'DELETE /bkt/pre/big.uploadId=u1' "the upload is thrown away"
serve '5 half'
ok "an answer cut off" m
serve '5 lost'
ok "the answer to complete is lost" m
match err '^uncertain 1' "found to be there"
match log '^7 HEAD /bkt/pre/big' "by asking for its digest"
serve '3- error 403 AccessDenied'
status 77 "a part is refused" m
match log 'DELETE /bkt/pre/big.uploadId' "aborted"
serve '3- error 403 AccessDenied'
status 77 "a part is refused, with resume" m -resume
absent log DELETE "left open"
serve '3-4 silent'
"$S3TOOL" -endpoint "$url" -above 50000 -part 100000 $B put big file >/dev/null 2>err &
tool=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(grep -c partNumber log)" -gt 0 ] && break
	sleep 0.05
done
kill -INT $tool
wait $tool
equal "$?" 130 "interrupted: 130"
match log 'DELETE /bkt/pre/big.uploadId=u1' "the open upload is aborted"

# ---- presigned
serve
t $B puttext 'a b' there 2>/dev/null
ok "presign" t $B presign GET 'a b' 60
match out "^$url/bkt/pre/a%20b\?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F[0-9]{8}%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=[0-9TZ]+&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=[0-9a-f]{64}$" "its URL"
status 64 "too long" t $B presign GET k 700000

# ---- a proxy
serve
ok "by a proxy" env no_proxy= "$S3TOOL" -proxy "$url" -endpoint http://store.invalid $B puttext k v
match log 'PUT http://store.invalid/bkt/pre/k auth' "asks the proxy"

# ---- a store that checks signatures
if [ -z "$VGW" ]; then
	skip "versitygw is not in PATH and LLMR_VERSITYGW names none: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	exit 0
fi
. "$SRC/tests/integ/s3-cases.inc"
start_versitygw http
s3_cases
exit 0
