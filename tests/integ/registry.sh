#!/bin/sh
# registry.sh - the registry commands against real S3 servers: versitygw and MinIO.
#
#   LLMR       the binary (build/llmr)
#   VERSITYGW, MINIO   commands; else those in PATH, $GOPATH/bin or ~/go/bin. How to get them:
#     go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
#     go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c   (Go 1.24)
# Prints "N passed, N failed"; skips (77) when neither is there. Over TLS with a private CA where openssl is.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
passed=0 failed=0 tried=0
find_command() { # NAME VALUE
	[ -n "$2" ] && { echo "$2"; return; }
	command -v "$1" || for d in "${GOPATH:-/nonexistent}/bin" "${HOME:-/nonexistent}/go/bin"; do
		[ -x "$d/$1" ] && { echo "$d/$1"; return; }
	done
}
VERSITYGW=$(find_command versitygw "${VERSITYGW:-}") MINIO=$(find_command minio "${MINIO:-}")
if [ -z "$VERSITYGW$MINIO" ] || ! command -v curl >/dev/null || ! command -v openssl >/dev/null; then
	echo "SKIP: needs curl, openssl, and versitygw or minio (see the begin of this file)"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-s3-XXXXXX") || exit 1
server=
cleanup() {
	[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
for v in $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p; s/^\(LLMR[A-Z]*_[A-Z0-9_]*\)=.*/\1/p'); do unset "$v"; done
AWS_ACCESS_KEY_ID=llmrtest AWS_SECRET_ACCESS_KEY=llmrtestsecret AWS_REGION=us-east-1 no_proxy=127.0.0.1
AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION no_proxy AWS_EC2_METADATA_DISABLED
cp "$src/tests/keys/"* .

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "not ok - $where: $1"; [ $# -lt 2 ] || echo "$2" | sed 's/^/# /'; }
ok() { status 0 "$@"; }
status() { # STATUS NAME CMD...
	want=$1 name=$2
	shift 2
	"$@" >out 2>err
	got=$?
	if [ "$got" -eq "$want" ]; then pass; else fail "$name" "status $got: $(head -c 600 err)"; fi
}
equal() { if [ "$1" = "$2" ]; then pass; else fail "$3" "got '$1', expected '$2'"; fi; }
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

mkdir -p certs
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 \
	-keyout certs/private.key -out certs/public.crt 2>/dev/null

start() { # NAME: the server in a new folder; sets $url
	rm -rf data ver state cache dst
	mkdir -p data ver
	p=$(port)
	url=https://127.0.0.1:$p
	if [ "$1" = versitygw ]; then
		ROOT_ACCESS_KEY=llmrtest ROOT_SECRET_KEY=llmrtestsecret "$VERSITYGW" --port "127.0.0.1:$p" --quiet \
			--cert "$dir/certs/public.crt" --key "$dir/certs/private.key" posix --versioning-dir "$dir/ver" "$dir/data" \
			>server.log 2>&1 &
	else
		MINIO_ROOT_USER=llmrtest MINIO_ROOT_PASSWORD=llmrtestsecret MINIO_SITE_REGION=us-east-1 MINIO_UPDATE=off \
			MINIO_BROWSER=off "$MINIO" server --quiet --certs-dir "$dir/certs" --address "127.0.0.1:$p" "$dir/data" \
			>server.log 2>&1 &
	fi
	server=$!
	i=0
	until curl -fsk --cacert certs/public.crt --aws-sigv4 aws:amz:us-east-1:s3 --user llmrtest:llmrtestsecret \
		-H 'x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' -X PUT \
		"$url/bucket" >/dev/null 2>&1; do
		i=$((i + 1))
		[ "$i" -lt 100 ] || { fail "does not start" "$(tail -n 3 server.log)"; return 1; }
		sleep 0.2
	done
	AWS_ENDPOINT_URL=$url
	export AWS_ENDPOINT_URL
}
stop() {
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}
R=s3://bucket/a/prefix
llmr() { XDG_STATE_HOME=${S:-$dir/state} XDG_CACHE_HOME=$dir/cache "$LLMR" "$@" --ca-file certs/public.crt --ca-only; }
push() { llmr push -s test.key m "$R" -n router "$@"; }
pull() { llmr pull -p test.pub "$R" -n router -o dst "$@"; }
model() {
	mkdir -p m/deep
	echo "version: $1" >m/router.yaml
	head -c 400000 /dev/urandom >m/deep/weights
}

rounds() {
	model 1
	status 69 "no trust in the server's certificate" env XDG_STATE_HOME="$dir/state" "$LLMR" push -s test.key m "$R" -n router --retries 0
	ok "push" push --version v1
	ok "pull" pull
	cmp -s m/deep/weights dst/current/deep/weights && pass || fail "what was pushed"
	equal "$(cd dst/current && "$LLMR" verify -p "$dir/test.pub" manifest.json >/dev/null 2>&1; echo $?)" 0 "our own verify"
	if command -v minisign >/dev/null; then
		ok "stock minisign" minisign -V -p test.pub -m dst/current/manifest.json
	fi
	model 2
	ok "push 2" push
	cp m/router.yaml two.yaml
	# The objects are there: HEAD for each, and four requests.
	echo "description: changed name" >m/another && cp m/another m/router2.yaml && rm m/another
	ok "push 3" push
	rm m/router2.yaml
	touch -d '2026-01-01T00:00:00Z' m/router.yaml m/deep/weights
	ok "a version whose objects are there" push -v -v
	equal "$(grep -c ': HEAD ' err) $(grep -cE ': (GET|PUT) ' err)" "2 4" "two HEADs and four requests"
	ok "pull 2" pull
	equal "$(cat dst/current/router.yaml)" "version: 2" "in use"
	ok "pull with nothing new" pull -v -v
	equal "$(grep -cE ': (GET|PUT|HEAD) ' err)" 1 "one request"
	ok "promote" llmr promote router v1 -s test.key --registry "$R" -c stable
	ok "pull stable" pull -c stable
	equal "$(cat dst/current/router.yaml)" "version: 1" "the older one"
	ok "rollback" llmr rollback router -s test.key --registry "$R"
	ok "list" llmr list -p test.pub --registry "$R"
	status 1 "--expect-previous" push --expect-previous none
	status 77 "another key" llmr pull -p other.pub "$R" -n router -o dst2
	status 66 "no such bucket" llmr pull -p test.pub s3://nothing/here -n router -o dst2
	status 77 "a wrong secret" env AWS_SECRET_ACCESS_KEY=wrong XDG_STATE_HOME="$dir/state" "$LLMR" pull -p test.pub "$R" \
		-n router -o dst2 --ca-file certs/public.crt
	ok "gc" llmr gc "$R" -s test.key --grace 0 --keep 0 --force
	ok "pull after gc" pull -c stable
	ok "bundle" llmr export-bundle router v1 --registry "$R" -s test.key -o b.tar
	rm -rf "$dir/far"
	ok "import into a folder" llmr import-bundle -s test.key b.tar --registry "dir:$dir/far" -c stable
	ok "and back" llmr import-bundle -s test.key b.tar --registry s3://bucket/back -c stable
	ok "pull what went round" llmr pull -p test.pub s3://bucket/back -n router -c stable -o dst3
	cmp -s dst3/current/deep/weights dst/current/deep/weights && pass || fail "what went round"
	# Sixteen who saw the same: one wins.
	now=$(llmr show --json -p test.pub --registry "$R" router | sed -n 's/^{"name":"router","version":"\([^"]*\)".*/\1/p')
	rm -f status.*
	pids=
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		mkdir -p "race$i" && echo "$i" >"race$i/a"
		(S=$dir/race$i.state llmr push -q -s test.key "race$i" "$R" -n router --expect-previous "$now" >/dev/null 2>"err.$i"
			echo $? >"status.$i") &
		pids="$pids $!"
	done
	# shellcheck disable=SC2086
	wait $pids
	equal "$(cat status.* | sort | uniq -c | awk '{ printf "%s*%s ", $1, $2 }')" "1*0 15*1 " "sixteen writers"
	# One download by many.
	rm -rf cache
	pids=
	for i in $(seq 50); do
		(llmr pull --json -p test.pub "$R" -n router -c stable -o "many/$i" >"many.$i" 2>/dev/null) &
		pids="$pids $!"
	done
	# shellcheck disable=SC2086
	wait $pids
	equal "$(sed -n 's/.*"objects_fetched":\([0-9]*\),.*/\1/p' many.* | awk '{ n += $1 } END { print n, NR }')" "2 50" "fifty pullers"
	rm -rf many many.* race* err.* status.*
	stop
	status 69 "the server is gone" llmr pull -p test.pub "$R" -n router -o dst --retries 1
	rm -rf dst4
	ok "--offline" llmr pull -p test.pub "$R" -n router -c stable -o dst4 --offline
	cmp -s dst3/current/deep/weights dst4/current/deep/weights && pass || fail "from the cache"
	rm -rf dst dst2 dst3 dst4 m
}
for s in versitygw minio; do
	where=$s
	[ "$s" = versitygw ] && [ -z "$VERSITYGW" ] && { echo "# no versitygw"; continue; }
	[ "$s" = minio ] && [ -z "$MINIO" ] && { echo "# no minio"; continue; }
	tried=$((tried + 1))
	start "$s" && rounds
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$tried" -gt 0 ]
