#!/bin/sh
# registry-s3: what push and pull say to each fault that a store can show, and that what is in use stays
. "$(dirname "$0")/lib.sh"

if ! ${CC:-cc} -O1 -o s3fault "$SRC/tests/integ/s3fault.c" -pthread 2>cc.err; then
	skip "registry-s3: the fault server does not build: $(head -n 1 cc.err)"
	exit 0
fi
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true no_proxy=127.0.0.1
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED no_proxy
cp "$SRC/tests/keys/test.key" "$SRC/tests/keys/test.pub" .
server=
trap 'kill $server 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
# serve RULE...: a fault server of its own, with the memory of its clients
serve() {
	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
	rm -rf port log state cache
	./s3fault -l log "$@" >port &
	server=$!
	for i in $(seq 40); do
		[ -s port ] && break
		sleep 0.02
	done
	AWS_ENDPOINT_URL=http://127.0.0.1:$(cat port)
	export AWS_ENDPOINT_URL
}
model() {
	mkdir -p m
	head -c 3000 /dev/zero | tr '\0' "$1" >m/router.safetensors
	echo "version: $1" >m/router.yaml
	touch -d "2026-01-0$1T00:00:00Z" m/*
}
llmr() { XDG_STATE_HOME=$HOME_DIR/state XDG_CACHE_HOME=$HOME_DIR/cache "$LLMR" "$@" --retries "${RETRIES:-0}" --timeout 500ms; }
push() { llmr push -q -s test.key m s3://bkt/pre --name router; }
pull() { llmr pull -q -p test.pub s3://bkt/pre --name router -o dst; }
requests() { wc -l <log | tr -d ' '; }
# A clean run tells how many requests each takes: the rules below count on from there.
serve
model 1
ok "push" push
first=$(requests)
model 2
ok "push 2" push
second=$(($(requests) - first))
rm -rf state cache
ok "pull" pull
pulled=$(($(requests) - first - second))
equal "$(sed -n 's/^version: //p' dst/current/router.yaml)" 2 "in use"

# pull_row STATUS MESSAGE ACTION [AT [RETRIES]]: a newcomer meets ACTION from his AT-th request on
pull_row() {
	serve "$((first + ${4:-1}))- $3"
	model 1
	push >/dev/null 2>&1
	rm -rf state cache
	before=$(readlink dst/current)
	RETRIES=${5:-0}
	status "$1" "pull: $3${4:+ from request $4}" pull
	RETRIES=0
	match err "$2" "pull: $3: message"
	one_line_error "pull: $3: one line"
	equal "$(readlink dst/current)" "$before" "pull: $3: what is in use stays"
}
last=$((pulled - 1))
pull_row 77 'SignatureDoesNotMatch' 'error 403 SignatureDoesNotMatch'
pull_row 77 'InvalidAccessKeyId' 'error 403 InvalidAccessKeyId'
pull_row 77 'AccessDenied' 'error 403 AccessDenied'
pull_row 77 'XAdminUserNotFound' 'error 404 XAdminUserNotFound'
pull_row 77 '2001' skew
pull_row 77 'ExpiredToken' 'error 400 ExpiredToken'
pull_row 77 'InvalidToken' 'error 400 InvalidToken'
pull_row 66 'NoSuchBucket' 'error 404 NoSuchBucket'
pull_row 66 'router has no (channel|version)' 'error 404 NoSuchKey' 2
pull_row 78 'eu-west-3' 'region eu-west-3'
pull_row 77 'http://127.0.0.1:9/' 'moved http://127.0.0.1:9/x'
pull_row 75 'OperationAborted' 'error 409 OperationAborted'
pull_row 69 'SlowDown' 'error 503 SlowDown'
pull_row 69 'SlowDown' 'slow 0' 1 1
pull_row 69 'InternalError' 'error 500 InternalError'
pull_row 69 '429' 'status 429'
pull_row 69 '502' 'html 502'
pull_row 69 '127.0.0.1' reset
pull_row 69 '127.0.0.1' resethead
pull_row 69 'within|time|bytes' silent
pull_row 69 'within|time|bytes' stall "$last"
pull_row 69 'shorter|closed|outstanding|partial' half "$last"
pull_row 77 'not the bytes expected' flip "$last"
pull_row 77 '.' flip 2
pull_row 77 'not the bytes expected' 'body 12345' "$last"
# What comes behind the end of an answer is none of it.
serve "$((first + last))- longer"
model 1
push >/dev/null 2>&1
rm -rf state cache
ok "pull: more than the length told" pull
same dst/current/router.safetensors m/router.safetensors "what came is whole"
# push_row STATUS MESSAGE RULE-FROM ACTION
push_row() {
	serve "$((first + $3)) $4"
	model 1
	push >/dev/null 2>&1
	model 2
	RETRIES=${5:-0}
	status "$1" "push: $4 at request $3" push
	RETRIES=0
	[ -z "$2" ] || match err "$2" "push: $4: message"
	rm -rf dst2
	status 0 "push: $4 at request $3: again" push
	rm -rf dst2
	ok "push: $4: a reader" llmr pull -q -p test.pub s3://bkt/pre --name router -o dst2
	equal "$(sed -n 's/^version: //p' dst2/current/router.yaml)" 2 "push: $4: gets the new one"
}
at=1
while [ "$at" -le "$second" ]; do
	push_row 69 'InternalError|500' "$at" 'error 500 InternalError'
	at=$((at + 1))
done
# An answer that is lost: asked again, and one's own write is recognised.
push_row 0 '' 3 lost 2
push_row 0 '' $((second - 1)) lost 2
push_row 0 '' "$second" lost 2
push_row 77 'AccessDenied' "$second" 'error 403 AccessDenied'

# nobody there, no such host
kill "$server" && wait "$server" 2>/dev/null
server=
status 69 "connection refused" pull
AWS_ENDPOINT_URL=http://nothing.invalid
status 69 "no such host" pull
match err 'nothing.invalid' "names the host"
