#!/bin/sh
# registry: push, pull, promote, roll back, gc, bundles, and everything that must be refused, on a folder
# In memory, where there is such a folder: thousands of syncs need not reach a disk here.
[ -n "${TMPDIR:-}" ] || { [ -d /dev/shm ] && [ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR; }
. "$(dirname "$0")/lib.sh"
XDG_CACHE_HOME=$HOME_DIR/cache
export XDG_CACHE_HOME
for f in test other; do cp "$SRC/tests/keys/$f.key" "$SRC/tests/keys/$f.pub" .; done
R=dir:$HOME_DIR/reg
# model N: another content each time, of another time
model() {
	awk -v s="$1" 'BEGIN { srand(s); for (i = 0; i < 2000; i++) printf "%d\n", rand() * 1e9 }' >router.safetensors
	echo "version: $1" >router.yaml
	touch -d "2026-01-01T00:00:$(printf %02d "$1")Z" router.safetensors router.yaml
}
push() { "$LLMR" push -s test.key router.safetensors "$R" --name router "$@"; }
pull() { "$LLMR" pull -p test.pub "$R" --name router -o dst "$@"; }
is() { equal "$(sed -n 's/^version: //p' dst/current/router.yaml)" "$1" "$2"; }
seq_of() { "$LLMR" show --json -p test.pub --registry "$R" router "$@" | sed -n 's/.*"seq":\([0-9]*\).*/\1/p'; }
P=reg/models/router/channels/latest

model 1
status 66 "pull from nowhere" pull
ok "push" push
match out '^router  version 20260101T000001Z-[0-9a-f]{8}$' "tells the version"
match out '^    model_path: router/current/router.safetensors$' "prints what goes into a configuration"
match out '^#   llmr pull dir:.* --name router --channel latest --watch$' "and what keeps it up to date"
match out 'loads pickles' "and what does not"
v1=$(sed -n 's/^router  version //p' out)
ok "push again" push --json
match out '"changed":false,"objects_sent":0,"objects_there":2,.*"seq":1,' "changes nothing"
ok "pull" pull
is 1 "the model is there"
same dst/current/router.safetensors router.safetensors "byte for byte"
if command -v minisign >/dev/null 2>&1; then
	ok "stock minisign" minisign -V -p test.pub -m dst/current/manifest.json
else skip "no minisign"; fi
ok "pull again" pull --json
match out '"changed":false,"objects_fetched":0' "fetches nothing"
model 2
cp "$P" pointer1
ok "push with a name of its own" push --version v2.0 --meta b=2 --meta a=1
v2=$(sed -n 's/^router  version //p' out)
ok "pull the new one" pull --json
match out "\"version\":\"$v2\",\"before\":\"$v1\",\"changed\":true" "tells what was before"
is 2 "is in use"
equal "$(readlink dst/previous)" "versions/$v1" "the one before is kept"
cp "$P" pointer2

# going back and forth
ok "rollback" "$LLMR" rollback router -s test.key --registry "$R"
ok "pull follows" pull
is 1 "back"
equal "$(seq_of)" 3 "with a higher seq"
ok "promote by alias" "$LLMR" promote router v2.0 -s test.key --registry "$R" -c stable
ok "pull another channel" pull -c stable
is 2 "forth"
ok "pull a version by alias" pull --version v2.0
status 66 "an unknown version" "$LLMR" promote router v3.0 -s test.key --registry "$R"
status 66 "an unknown channel" pull -c nothing
status 64 "a name that is none" pull -c ../latest
status 1 "an alias is never moved" sh -c "echo x >>router.yaml && '$LLMR' push -s test.key router.safetensors $R --name router --version v2.0"
ok "show" "$LLMR" show -p test.pub --registry "$R" router v2.0
match out '^alias +v2.0  \{"a":"1","b":"2"\}$' "with its metadata"
ok "list" "$LLMR" list -p test.pub --registry "$R"
match out "alias	v2.0	[^	]*	2026" "an alias with what it names"
equal "$(cut -f 2 out | sort | uniq -c | awk '{ printf "%s%s ", $1, $2 }')" "1alias 2channel 3version " "what there is"
status 1 "--expect-previous" push --expect-previous none
match err 'stands at version' "tells why"
one_line_error "in one line"

# what must be refused; what is in use stays
pull -q >/dev/null 2>&1
before=$(readlink dst/current)
cp "$P" good
refused() { # STATUS NAME
	status "$1" "$2" pull
	equal "$(readlink dst/current)" "$before" "$2: what is in use stays"
	cp good "$P"
}
cp pointer2 "$P"
refused 77 "an old pointer put back"
match err 'an old pointer was put back' "an old pointer: told"
sed 's/"seq":[0-9]*/"seq":99/' good >"$P"
refused 77 "a pointer whose seq was changed"
cp reg/models/router/channels/stable "$P"
refused 77 "the pointer of another channel"
mkdir -p reg/models/other/channels
cp good reg/models/other/channels/latest
status 77 "the pointer of another model" "$LLMR" pull -p test.pub "$R" -n other
rm -r reg/models/other
: >"$P"
refused 65 "an empty pointer"
sed 's/"key_id":"[^"]*","signature":"[^"]*"/"key_id":"","signature":""/' good >"$P"
refused 77 "a pointer without signature"
mkdir elsewhere
(XDG_STATE_HOME=$HOME_DIR/elsewhere "$LLMR" push -q -s test.key router.safetensors "dir:$HOME_DIR/reg2" --name router >/dev/null)
cp reg2/models/router/channels/latest "$P"
refused 77 "the pointer of another registry"
status 77 "another key" "$LLMR" pull -p other.pub "$R" -n router -o dst
status 77 "no key" "$LLMR" pull "$R" -n router -o dst
status 77 "no key, though unsigned is allowed, under enforcement" env LLMROUTER_ENFORCE_SIGNED_MODELS=true \
	"$LLMR" pull "$R" -n router -o dst --allow-unsigned
status 77 "--min-seq" pull --min-seq 1000
status 77 "--registry-id" pull --registry-id 00000000000000000000000000000000
status 75 "--max-age" sh -c "sleep 1; '$LLMR' pull -p test.pub $R --name router -o dst --max-age 500ms"
ok "--max-age and --offline" pull --max-age 1ms --offline
ok "an expiring pointer" "$LLMR" promote router "$v1" -s test.key --registry "$R" --expires 300ms
sleep 0.4
status 75 "has expired" pull
equal "$(readlink dst/current)" "$before" "what is in use stays"
ok "but offline it will do" pull --offline
ok "promote without an end" "$LLMR" promote router "$v1" -s test.key --registry "$R"
ok "pull" pull
is 1 "in use"
mv reg reg.away
status 66 "with the registry gone" pull
rm -rf dst2
ok "--offline" "$LLMR" pull -q -p test.pub "$R" -n router -o dst2 --offline
same dst2/current/router.yaml dst/current/router.yaml "from the cache"
mv reg.away reg

# damaged contents, manifest, signature
before=$(readlink dst/current)
damage() { # FILE NAME: bits flipped at places all over it; a newcomer must be refused
	cp "$1" kept
	size=$(wc -c <kept) bad=0
	for i in 1 2 3 4 5 6 7 8; do
		cp kept "$1.x" && chmod u+w "$1.x"
		at=$(((size - 1) * i / 8))
		printf "\\$(printf %03o $(($(od -An -tu1 -j "$at" -N 1 kept) ^ (1 << (i % 8)))))" |
			dd of="$1.x" bs=1 seek="$at" conv=notrunc 2>/dev/null
		mv -f "$1.x" "$1"
		if XDG_STATE_HOME=$HOME_DIR/s$i XDG_CACHE_HOME=$HOME_DIR/c$i "$LLMR" pull -q -p test.pub "$R" -n router -o bad \
			>/dev/null 2>&1; then bad=$((bad + 1)); fi
		[ -e bad/current ] && bad=$((bad + 1))
		rm -rf "$HOME_DIR/s$i" "$HOME_DIR/c$i" bad
	done
	cp kept "$1"
	equal "$bad" 0 "$2: flipped bits are refused"
}
damage "reg/models/router/versions/$v1/manifest.json" manifest
sed -n '2,$p' "reg/models/router/versions/$v1/manifest.json.minisig" >sig
damage "$P" pointer
o=$(sha256sum dst/current/router.safetensors | cut -d' ' -f1)
damage "reg/objects/sha256/$(echo "$o" | cut -c1-2)/$o" content

# the cache: shared, checked, bounded
chmod u+w cache/llmr/registry/objects/*/"$o" && echo x >>cache/llmr/registry/objects/"$(echo "$o" | cut -c1-2)/$o"
rm -rf dst
ok "a damaged cache" pull --json
match out '"objects_fetched":1,' "is fetched anew"
cmp -s dst/current/router.safetensors reg/objects/sha256/"$(echo "$o" | cut -c1-2)/$o" && pass "whole" || fail "whole"
ok "--cache-size" pull --cache-size 1
equal "$(find cache/llmr/registry/objects -type f | wc -l)" 0 "the cache is emptied"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	"$LLMR" pull --json -p test.pub "$R" -n router -o many$i >many$i.json 2>many$i.err &
done
wait
equal "$(sed -n 's/.*"objects_fetched":\([0-9]*\),.*/\1/p' many*.json | awk '{ n += $1 } END { print n, NR }')" "2 12" \
	"twelve at once: one download"

# racing writers: one wins
now=$("$LLMR" show --json -p test.pub --registry "$R" router | sed -n 's/^{"name":"router","version":"\([^"]*\)".*/\1/p')
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	mkdir -p race$i && echo "version: $i" >race$i/a
	(XDG_STATE_HOME=$HOME_DIR/race$i/s "$LLMR" push -q -s test.key race$i/a "$R" -n router --expect-previous "$now" \
		>/dev/null 2>race$i/err; echo $? >race$i/status) &
done
wait
equal "$(cat race*/status | sort | uniq -c | awk '{ printf "%s*%s ", $1, $2 }')" "1*0 15*1 " "of sixteen one wins, fifteen exit 1"

# gc
size=$(find reg/objects -type f | wc -l)
ok "gc" "$LLMR" gc "$R" -s test.key
equal "$(find reg/objects -type f | wc -l)" "$size" "takes nothing young"
status 64 "gc with a short grace" "$LLMR" gc "$R" -s test.key --grace 1h
ok "gc --dry-run" "$LLMR" gc "$R" -s test.key --grace 0 --keep 0 --dry-run --json
match out '"dry_run":true,"versions":1[0-9],' "counts"
equal "$(find reg/objects -type f | wc -l)" "$size" "and takes nothing"
ok "gc --force" "$LLMR" gc "$R" -s test.key --grace 0 --keep 0 --force
equal "$("$LLMR" list -p test.pub --registry "$R" | awk -F'\t' '$2 == "version"' | wc -l)" 3 "channels, their previous and aliases stay"
ok "and can be pulled" pull --version v2.0

# bundles
ok "export" "$LLMR" export-bundle router v2.0 --registry "$R" -s test.key -o b1.tar
ok "export again" "$LLMR" export-bundle router v2.0 --registry "$R" -s test.key -o b2.tar
same b1.tar b2.tar "the same bytes"
ok "verify" "$LLMR" import-bundle -p test.pub b1.tar
status 77 "by another key" "$LLMR" import-bundle -p other.pub b1.tar
ok "import" "$LLMR" import-bundle -p test.pub -s other.key b1.tar --registry "dir:$HOME_DIR/far" -c stable --plain
rm -rf dst3
ok "pull there" "$LLMR" pull -p test.pub -p other.pub "dir:$HOME_DIR/far" -n router -c stable -o dst3
equal "$(cat dst3/current/router.yaml)" "version: 2" "what was carried"
same far/models/router/current/router.yaml dst3/current/router.yaml "and a plain copy"
size=$(wc -c <b1.tar) bad=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	at=$(((size - 1024) * i / 13))
	cp b1.tar b3.tar
	printf "\\$(printf %03o $(($(od -An -tu1 -j "$at" -N 1 b1.tar) ^ 1)))" | dd of=b3.tar bs=1 seek="$at" conv=notrunc 2>/dev/null
	"$LLMR" import-bundle -p test.pub b3.tar >/dev/null 2>&1 && bad=$((bad + 1))
done
equal "$bad" 0 "flipped bits in a bundle are refused"
head -c 4000 b1.tar >b3.tar
status 65 "a bundle cut short" "$LLMR" import-bundle -p test.pub b3.tar
mkdir -p enc/1_Pooling && echo '{}' >enc/1_Pooling/config.json && echo words >enc/vocab.txt
ok "export with the program" "$LLMR" export-bundle router v2.0 --registry "$R" -s test.key -p test.pub --with-binary \
	--encoder enc -o b4.tar
ok "unpack" "$LLMR" import-bundle -p test.pub b4.tar --unpack unpacked
same unpacked/bin/llmr "$LLMR" "the program"
same unpacked/encoder/1_Pooling/config.json enc/1_Pooling/config.json "the encoder"
ok "runs" unpacked/bin/llmr --version

# unsigned
status 77 "push without a key" "$LLMR" push router.yaml "dir:$HOME_DIR/open" -n x
nofile 'open/models' "nothing is written"
ok "push --allow-unsigned" "$LLMR" push --allow-unsigned router.yaml "dir:$HOME_DIR/open" -n x
ok "pull --allow-unsigned" "$LLMR" pull --allow-unsigned "dir:$HOME_DIR/open" -n x
status 77 "pull with a key" "$LLMR" pull -p test.pub "dir:$HOME_DIR/open" -n x

# a plain object, and watching
echo 'version: 76' >router.yaml
ok "a plain object" "$LLMR" pull "dir:$HOME_DIR/router.yaml" -o plain.yaml
same plain.yaml router.yaml "is fetched"
status 77 "with a key" "$LLMR" pull -p test.pub "dir:$HOME_DIR/router.yaml" -o plain2.yaml
nofile plain2.yaml "it must be signed"
printf '#!/bin/sh\necho "$LLMR_PULL_PATH $LLMR_PULL_SEQ $* $(cat "$LLMR_PULL_PATH")" >>told\n' >tell
chmod +x tell
"$LLMR" pull -q "dir:$HOME_DIR/router.yaml" -o plain.yaml --watch --interval 50ms -- ./tell 'a  b; c' 2>watch.err &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -s told ] && break; sleep 0.1; done
echo "version: 77" >new && mv new router.yaml
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q 77 told 2>/dev/null && break; sleep 0.1; done
kill "$pid"
wait "$pid"
equal "$?" 130 "--watch ends by a signal"
equal "$(tail -n 1 told)" "plain.yaml 0 a  b; c version: 77" "its command was run, without a shell"
equal "$(wc -l <told | tr -d ' ')" 2 "once for each change"
