#!/bin/sh
# build-jaeger.sh OUT - build the real Jaeger all-in-one that the tests talk to.
# Its modules come through the Go module proxy that `go` is configured with.
# Exit 0 with OUT there (at once when it is there already), 77 where Go is
# missing, 1 when the build fails. About 3 CPU minutes and 2 GB the first time.
set -u
version=v1.76.0
out=${1:?usage: build-jaeger.sh OUT}
case $out in /*) ;; *) out=$PWD/$out ;; esac
if [ -x "$out" ]; then
	exit 0
fi
if ! command -v go >/dev/null 2>&1; then
	echo "no Go compiler: install Go 1.24 or later to build Jaeger $version" >&2
	exit 77
fi
mkdir -p "$(dirname "$out")" || exit 1
echo "building Jaeger $version (a few minutes, once)" >&2
# `go install` refuses the module for its replace directive, so it is built in place.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && go mod init llmr-tests && go mod download "github.com/jaegertracing/jaeger@$version") \
	>&2 || exit 1
dir=$(go env GOMODCACHE)/github.com/jaegertracing/jaeger@$version
(cd "$dir" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out.tmp" ./cmd/all-in-one) >&2 ||
	exit 1
mv "$out.tmp" "$out"
