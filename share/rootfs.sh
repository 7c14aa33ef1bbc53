#!/bin/sh
# rootfs.sh LLMR DIR: a root folder that holds llmr and what it needs to run, and nothing else
# (no shell, no package manager): the image of the Containerfile.
#
# A static binary is not to be had: libraries are opened when they are needed, which a static libc
# cannot do, and GnuTLS, which the HTTP server's library needs, has parts without a static form.
# What is opened while running comes too:
#   libmicrohttpd serve
#   libcurl       forwarding, S3, MLflow, Jaeger, OTLP
#   libcrypto     certificates of signed models
#   libopenblas   training, and large routers (LLMR_ROOTFS_BLAS=no leaves it out: serving does without)
set -eu
llmr=${1:?usage: rootfs.sh LLMR DIR}
root=${2:?usage: rootfs.sh LLMR DIR}
libdir=$(dirname "$(ldd "$llmr" | awk '/libc\.so\.6/ { print $3 }')")

mkdir -p "$root/bin" "$root/etc/ssl/certs" "$root/app/config" "$root/app/data" "$root/app/models" "$root/tmp" "$root/proc" "$root/dev" "$root/sys"
chmod 1777 "$root/tmp" "$root/proc" "$root/dev" "$root/sys"
chmod 777 "$root/app/data" "$root/app/models"
install -m 755 "$llmr" "$root/bin/llmr"

take() { # FILE: copy it, under the same path, and what it is linked to
	ldd "$1" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r f; do
		[ -e "$root$f" ] && continue
		mkdir -p "$root$(dirname "$f")"
		cp -L "$f" "$root$f"
	done
}
# opened NAME: a library that is opened by this name while running
opened() {
	f=$libdir/$1
	[ -e "$f" ] || { echo "rootfs.sh: $f is missing" >&2; exit 66; }
	mkdir -p "$root$libdir"
	cp -L "$f" "$root$f"
	take "$f"
}
take "$llmr"
opened libmicrohttpd.so.12
opened libcurl.so.4
opened libcrypto.so.3
[ "${LLMR_ROOTFS_BLAS:-yes}" = no ] || opened libopenblas.so.0
for f in /etc/ssl/certs/ca-certificates.crt; do
	if [ -e "$f" ]; then cp -L "$f" "$root$f"; else echo "rootfs.sh: no $f: mount one, or use --ca-file" >&2; fi
done
printf 'root:x:0:0:root:/:/none\nllmr:x:1000:1000:llmr:/app/data:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\nllmr:x:1000:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
