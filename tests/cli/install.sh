. "$(dirname "$0")/lib.sh"

MAKE=${MAKE:-make}
stage=$PWD/stage
(cd "$SRC" && "$MAKE" --no-print-directory install DESTDIR="$stage" PREFIX=/usr) >install.log 2>&1
equal $? 0 "make install into a staging folder"
for f in bin/llmr lib/libllmr.a lib/libllmr.so lib/pkgconfig/llmr.pc include/llmr.h share/man/man1/llmr.1 \
	share/man/man1/llmr-train.1 share/man/man5/llmr-artifact.5 share/man/man7/llmr-tutorial.7 \
	share/bash-completion/completions/llmr share/zsh/site-functions/_llmr share/fish/vendor_completions.d/llmr.fish \
	share/llmr/attributes.yaml lib/systemd/system/llmr.socket share/llmr/kubernetes/deployment.yaml; do
	if [ -e "stage/usr/$f" ]; then pass "installed $f"; else fail "installed $f" "$(tail -n 3 install.log)"; fi
done
match stage/usr/lib/systemd/system/llmr.service '^ExecStart=/usr/bin/llmr serve ' "the unit names the installed binary"
ok "the installed binary runs" stage/usr/bin/llmr --version

# A gateway's view: the public header and library alone.
cat >gateway.c <<'C'
#include <llmr.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	struct llmr_error err;
	struct llmr_router *r = llmr_router_open(argv[1], &err);
	struct llmr_scratch *s;
	struct llmr_decision d;

	if (argc < 3 || r == NULL) {
		fprintf(stderr, "%s\n", r == NULL ? err.message : "two arguments");
		return 1;
	}
	s = llmr_scratch_new(r, &err);
	if (s == NULL || llmr_route(r, s, argv[2], strlen(argv[2]), NULL, &d, &err) != 0)
		return 1;
	puts(d.model);
	llmr_scratch_free(s);
	llmr_router_free(r);
	return 0;
}
C
"$LLMR" convert "$SRC/examples/traces.jsonl.zst" --labels "$SRC/examples/labels.jsonl" -q -o records.jsonl
"$LLMR" train knn --data records.jsonl -q -o router.safetensors
flags=$(PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_PATH=$stage/usr/lib/pkgconfig pkg-config --cflags --libs llmr)
# shellcheck disable=SC2086
ok "a program builds against the library" ${CC:-cc} -o gateway gateway.c -I"$stage/usr/include" -L"$stage/usr/lib" $flags
# A library under the address sanitizer wants its runtime before all others.
runtime=$(ldd "$stage/usr/lib/libllmr.so" 2>/dev/null | awk '/libasan/ { print $3 }')
prompt="Write a Python function that reverses a string"
ok "and routes" env ${runtime:+LD_PRELOAD="$runtime"} LD_LIBRARY_PATH="$stage/usr/lib" ./gateway router.safetensors "$prompt"
cp out got
ok "the command routes" "$LLMR" route --model router.safetensors "$prompt"
same got out "library and command choose the same model"
status 1 "the library says why it cannot load" env ${runtime:+LD_PRELOAD="$runtime"} LD_LIBRARY_PATH="$stage/usr/lib" ./gateway gateway.c x
match err 'gateway.c' "naming the file"
symbols=$(nm -D --defined-only "$stage/usr/lib/libllmr.so" 2>/dev/null | awk '{ print $3 }' | grep -v '^llmr_')
equal "$symbols" "" "only public symbols are exported"
(cd "$SRC" && "$MAKE" --no-print-directory uninstall DESTDIR="$stage" PREFIX=/usr) >>install.log 2>&1
equal "$(find stage -type f | wc -l)" 0 "uninstall takes everything back"
