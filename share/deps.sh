#!/bin/sh
# deps.sh build|check: install what building (and testing) needs; quiet when all is there.
what=${1:-build}
build="gcc libc6-dev pkg-config libcurl4-openssl-dev libpq-dev libyaml-dev libopenblas-dev libsodium-dev libsqlite3-dev libmicrohttpd-dev libssl-dev libzstd-dev zlib1g-dev"
check="libcriterion-dev mandoc zstd curl"
packages=$build
[ "$what" = check ] && packages="$build $check"

missing=
have() { command -v "$1" >/dev/null 2>&1; }
need() { # PACKAGE TEST...: the package is missing unless the test succeeds
	p=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $p"
}
pc() { have pkg-config && pkg-config --exists "$1"; }
need gcc have "${CC:-cc}"
need libc6-dev test -e /usr/include/stdio.h
need pkg-config have pkg-config
need libcurl4-openssl-dev pc libcurl
need libpq-dev pc libpq
need libyaml-dev pc yaml-0.1
need libopenblas-dev pc openblas
need libsodium-dev pc libsodium
need libsqlite3-dev pc sqlite3
need libmicrohttpd-dev pc libmicrohttpd
need libssl-dev pc libcrypto
need libzstd-dev pc libzstd
need zlib1g-dev pc zlib
if [ "$what" = check ]; then
	need libcriterion-dev pc criterion
	need mandoc have mandoc
	need zstd have zstd
	need curl have curl
fi
[ -z "$missing" ] && exit 0

if ! have apt-get; then
	echo "llmr needs these, under the names that Debian gives them:" >&2
	echo "  $packages" >&2
	echo "missing here:$missing" >&2
	echo "install them with your system's package manager, then run make again" >&2
	exit 69
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! have sudo; then
		echo "missing packages:$missing" >&2
		echo "run as root: apt-get install -y --no-install-recommends$missing" >&2
		exit 77
	fi
	sudo=sudo
fi
echo "installing:$missing"
# The lists may be absent or old: refresh them when the first try finds no candidate.
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	$sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing
} || {
	echo "apt-get could not install:$missing" >&2
	exit 69
}
