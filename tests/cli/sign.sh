#!/bin/sh
# keygen, sign, verify: every form, what is refused, and stock minisign where it is installed.
. "$(dirname "$0")/lib.sh"

ok "keygen" "$LLMR" keygen -W -p a.pub -s a.key
match out '^ed25519 key [0-9A-F]{16}: secret in a.key' "names the key"
equal "$(stat -c %a a.key)" 600 "the secret key is its owner's alone"
cp a.key a.copy
status 73 "a key is never overwritten" "$LLMR" keygen -W -p b.pub -s a.key
one_line_error "one line"
same a.key a.copy "and stays as it was"
nofile b.pub "nothing is half-made"
status 73 "nor a public one" "$LLMR" keygen -W -p a.pub -s b.key
nofile b.key "and no secret is left"
status 64 "the same file twice" "$LLMR" keygen -W -p x -s x
status 64 "no file named" "$LLMR" keygen -W
"$LLMR" keygen -W -q -p b.pub -s b.key
"$LLMR" keygen -W -q -p c.pub -s c.key

# passwords: from everywhere but the command line
echo 'secret words' >pw
echo wrong >wrong
ok "a key with a password" "$LLMR" keygen --kdf-memory 16MiB --password-file pw -p p.pub -s p.key
echo data >f
ok "from a file" "$LLMR" sign -s p.key --password-file pw f
ok "verifies" "$LLMR" verify -p p.pub f
LLMR_PASSWORD='secret words' "$LLMR" sign -s p.key f >out 2>err
equal $? 0 "from the environment"
"$LLMR" sign -s p.key --password-fd 7 f 7<pw >out 2>err
equal $? 0 "from a descriptor"
rm f.minisig
status 77 "a wrong password" "$LLMR" sign -s p.key --password-file wrong f
match err 'p.key: wrong password' "is told"
nofile f.minisig "and nothing signed"
status 64 "an empty password is none" "$LLMR" keygen --password-file /dev/null -p q.pub -s q.key
nofile 'q.*' "and makes no key"
if command -v setsid >/dev/null 2>&1; then
	status 77 "without a terminal" setsid -w "$LLMR" sign -s p.key f
	match err 'no terminal to ask on' "says what to give"
else
	skip "without a terminal"
fi

# an artifact with its sidecar
echo tensors >r.safetensors
echo meta >r.yaml
ok "sign an artifact" "$LLMR" sign -s a.key r.safetensors
match out '^r.yaml.minisig$' "with its sidecar"
match r.safetensors.minisig "^trusted comment: timestamp:[0-9]+	file:r.safetensors	hashed	sha256:$(sha256sum <r.safetensors | cut -c1-64)\$" \
	"the trusted comment holds time, name and digest"
ok "verify it" "$LLMR" verify -p a.pub r.safetensors
match out '^ok +r.safetensors$' "names the file"
match out '^ok +r.yaml$' "and the sidecar"
ok "as JSON" "$LLMR" verify -p a.pub r.safetensors --json
match out '^\{"verified":true,"format":"minisig","keys":\["[0-9A-F]{16}"\],"trusted_comment":"timestamp.*"files":\[\{"path":"r.safetensors","state":"ok"\},\{"path":"r.yaml","state":"ok"\}\]\}$' "one object"
status 1 "another key" "$LLMR" verify -p b.pub r.safetensors
match err 'not trusted' "is not trusted"
status 78 "no key at all" "$LLMR" verify r.safetensors
status 1 "no signature" "$LLMR" verify -p a.pub pw
status 66 "no file" "$LLMR" verify -p a.pub absent
echo more >>r.yaml
status 1 "a changed sidecar" "$LLMR" verify -p a.pub r.safetensors
match out '^changed +r.yaml$' "is named"
ok "left out when asked" "$LLMR" verify -p a.pub --no-sidecar r.safetensors
rm r.yaml.minisig
status 1 "an unsigned sidecar" "$LLMR" verify -p a.pub r.safetensors
match out '^extra +r.yaml$' "is extra"
echo more >>r.safetensors
status 1 "a changed artifact" "$LLMR" verify -p a.pub r.safetensors
SOURCE_DATE_EPOCH=1700000000 "$LLMR" sign -q -s a.key f -x one
SOURCE_DATE_EPOCH=1700000000 "$LLMR" sign -q -s a.key f -x two
same one two "the same signature for the same time"
head -c 100 one >cut
status 65 "a signature cut short" "$LLMR" verify -p a.pub -x cut f

# a folder
mkdir -p m/sub
echo a >m/a.bin
echo b >"m/sub/caf$(printf '\303\251').bin"
ok "sign a folder" "$LLMR" sign -s a.key --description 'of today' m
ok "verify it" "$LLMR" verify -p a.pub m
match m/manifest.json '"path": "sub/caf\\u00e9.bin"' "the list is ASCII"
ok "one file of it" "$LLMR" verify -p a.pub m/a.bin
ok "one below" "$LLMR" verify -p a.pub --manifest m/manifest.json "m/sub/caf$(printf '\303\251').bin"
cp m/a.bin copy.bin
status 1 "a file elsewhere is not vouched for" "$LLMR" verify -p a.pub --manifest m/manifest.json copy.bin
match err 'does not list' "nor matched by its name"
echo x >m/new
status 1 "an extra file" "$LLMR" verify -p a.pub m
match out '^extra +new$' "is named"
ok "allowed when asked" "$LLMR" verify -p a.pub --allow-extra m
rm m/new
mv m/a.bin kept
status 1 "a missing file" "$LLMR" verify -p a.pub m
match out '^missing +a.bin$' "is named"
ln -s ../kept m/a.bin
status 1 "a link in its place" "$LLMR" verify -p a.pub --allow-extra m
status 65 "links are not signed" "$LLMR" sign -s a.key m
rm m/a.bin && cp kept m/a.bin
sed 's/of today/of Today/' m/manifest.json >changed
cp m/manifest.json good
cp changed m/manifest.json
status 1 "a changed list" "$LLMR" verify -p a.pub m
grep -v '"signature' good | sed 's/"artifacts"/"signature_type": "none", "artifacts"/; s/  \],/  ],/' >m/manifest.json
status 1 "a list that calls itself unsigned" "$LLMR" verify -p a.pub m
match err 'an Ed25519 signature is required' "is refused"
cp good m/manifest.json
cp m/manifest.json.minisig other.sig
echo z >z && "$LLMR" sign -q -s a.key z && cp z.minisig m/manifest.json.minisig
status 1 "a wrong signature beside the list" "$LLMR" verify -p a.pub m
cp other.sig m/manifest.json.minisig

# by a secret, and what the gateway's variables say
printf 'hush' >secret
cp -r m h && rm h/manifest.json*
ok "sign by HMAC" "$LLMR" sign --hmac --hmac-secret-file secret h
LLMROUTER_MODEL_HMAC_SECRET=hush "$LLMR" verify h >out 2>err
equal $? 0 "verify by the gateway's variable"
LLMROUTER_MODEL_HMAC_SECRET=hush "$LLMR" verify -p a.pub h >out 2>err
equal $? 1 "an HMAC is refused where a public key is configured"
LLMROUTER_MODEL_HMAC_SECRET=other "$LLMR" verify h >out 2>err
equal $? 1 "another secret"
LLMROUTER_MODEL_PUBLIC_KEY_PATH=a.pub "$LLMR" verify m >out 2>err
equal $? 0 "the key's path by variable"
LLMROUTER_MODEL_PUBLIC_KEY_B64=$(sed -n 2p a.pub) "$LLMR" verify m >out 2>err
equal $? 0 "the key itself by variable"
LLMROUTER_MODEL_PUBLIC_KEY_B64=$(sed -n 2p a.pub) "$LLMR" verify -p b.pub m >out 2>err
equal $? 1 "the command line beats the variable"
LLMROUTER_MODEL_MANIFEST_PATH=m/manifest.json "$LLMR" verify -p a.pub m/a.bin >out 2>err
equal $? 0 "the manifest by variable"

# several keys, the trust folder, rotation, revocation
ok "a second signature" "$LLMR" sign -s b.key --add m
status 1 "two of two with one known" "$LLMR" verify -p a.pub -p c.pub --require 2 m
ok "two of three" "$LLMR" verify -p a.pub -p b.pub -p c.pub --require 2 m
equal "$(grep -c '^signed by' out)" 2 "both are named"
"$LLMR" sign -q -s a.key f && "$LLMR" sign -q -s b.key --add f
ok "two of a file" "$LLMR" verify -p a.pub -p b.pub --require 2 f
status 1 "three are too many" "$LLMR" verify -p a.pub -p b.pub -p c.pub --require 3 f
mkdir -p config/llmr/trusted && cp a.pub config/llmr/trusted/
ok "the trust folder" "$LLMR" verify f
ok "hand trust on" "$LLMR" sign -s a.key --rotate c.pub
ok "take it" "$LLMR" verify --add-key c.pub
"$LLMR" sign -q -s c.key f -x f.c
ok "the new key counts" "$LLMR" verify -x f.c f
"$LLMR" sign -q -s a.key b.pub
status 1 "a plain signature hands nothing on" "$LLMR" verify --add-key b.pub
match err 'not to hand trust on' "and is told apart"
"$LLMR" sign -q -s b.key --rotate b.pub
status 1 "nor does a key that is not trusted" "$LLMR" verify --add-key b.pub
id=$(sed -n 's/.*key //p' a.pub | head -n 1)
echo "$id stolen in May" >config/llmr/trusted/revoked
status 1 "a revoked key" "$LLMR" verify f
match err 'revoked' "is told"
ok "the new one stays" "$LLMR" verify -x f.c f
status 1 "revoked beats named" "$LLMR" verify -p a.pub --revoked config/llmr/trusted/revoked f
rm -r config

# models that must be signed
awk 'BEGIN { for (i = 0; i < 120; i++) for (j = 0; j < 2; j++)
	printf "{\"query\":\"%s the %s number %d\",\"model_name\":\"m%d\",\"performance\":%d}\n", i % 2 ? "sum" : "sing", i % 3 ? "list" : "song", i, j, (i + j) % 2 }' >train.jsonl
"$LLMR" train knn --data train.jsonl --hparam n_neighbors=20 -q --no-runs -o model.safetensors
for what in "route hello" "eval --data train.jsonl --allow-leaks --no-runs" "bench --queries train.jsonl -n 10"; do
	set -- $what
	c=$1
	shift
	rm -f model.*minisig
	status 77 "$c refuses an unsigned model" "$LLMR" $c -m model.safetensors --require-signature -p a.pub "$@"
	one_line_error "in one line"
	"$LLMR" sign -q -s a.key model.safetensors
	ok "$c takes a signed one" "$LLMR" $c -m model.safetensors --require-signature -p a.pub "$@"
	status 77 "$c refuses another key" "$LLMR" $c -m model.safetensors --require-signature -p b.pub "$@"
done
LLMROUTER_ENFORCE_SIGNED_MODELS=true LLMROUTER_MODEL_PUBLIC_KEY_PATH=a.pub "$LLMR" route -m model.safetensors hello >out 2>err
equal $? 0 "by the gateway's variables"
LLMROUTER_ENFORCE_SIGNED_MODELS=true "$LLMR" route -m model.safetensors hello >out 2>err
equal $? 77 "without a key nothing is trusted"
cp model.safetensors train.safetensors
status 77 "eval refuses an unsigned --against" "$LLMR" eval -m model.safetensors --against train.safetensors --data train.jsonl --allow-leaks --no-runs --require-signature -p a.pub
rm model.*minisig
mkdir models && mv model.* models/ && "$LLMR" sign -q -s a.key models
ok "listed in a manifest" "$LLMR" route -m models/model.safetensors --require-signature -p a.pub hello
printf x | dd of=models/model.safetensors bs=1 seek=5000 conv=notrunc 2>/dev/null
status 77 "and changed since" "$LLMR" route -m models/model.safetensors --require-signature -p a.pub hello
match err 'refused: .*changed since' "is told"
ok "unsigned without the rule" "$LLMR" inspect train.safetensors

# OpenSSF model signatures
if "$LLMR" keygen -W -q --type p256 -p ec.pub -s ec.key 2>err; then
	cp -r m o && rm o/manifest.json*
	ok "sign a bundle" "$LLMR" sign --format oms -s ec.key o
	ok "verify it" "$LLMR" verify -p ec.pub o
	ok "and as JSON" "$LLMR" verify -p ec.pub o --json
	match out '"format":"oms"' "names the form"
	"$LLMR" keygen -q --type p256 --password-file pw -p ep.pub -s ep.key
	ok "with a password" "$LLMR" sign --format oms --password-file pw -s ep.key o
	status 77 "with a wrong one" "$LLMR" sign --format oms --password-file wrong -s ep.key o
	status 1 "by another key" "$LLMR" verify -p ec.pub o
	ok "by its own" "$LLMR" verify -p ep.pub o
	echo x >>o/a.bin
	status 1 "a changed file" "$LLMR" verify -p ep.pub o
	match out '^changed +a.bin$' "is named"
	F=$SHARED/fixtures/signing/oms
	if [ -d "$F" ]; then
		ok "a bundle of model_signing" "$LLMR" verify -p "$F/ec256.pub.pem" -x "$F/model.ec256.sig" "$F/model"
		ok "on P-384" "$LLMR" verify -p "$F/ec384.pub.pem" -x "$F/model.ec384.sig" "$F/model"
		for x in tampered_payload:1 tampered_signature:1 tampered_type:65 no_signatures:1 hint_of_other_key:1 truncated:65; do
			status "${x#*:}" "${x%:*}" "$LLMR" verify -p "$F/ec256.pub.pem" --format oms -x "$F/${x%:*}.sig" "$F/model"
		done
		status 1 "the hint of the other key does not make it its" "$LLMR" verify -p "$F/other.pub.pem" -x "$F/hint_of_other_key.sig" "$F/model"
		for x in bitflip:changed missing:missing extra:extra; do
			status 1 "model_${x%:*}" "$LLMR" verify -p "$F/ec256.pub.pem" -x "$F/model.ec256.sig" "$F/model_${x%:*}"
			match out "^${x#*:} " "says ${x#*:}"
		done
	else
		skip "bundles of model_signing"
	fi
else
	skip "OpenSSF model signatures"
fi

# stock minisign, both ways
if command -v minisign >/dev/null 2>&1; then
	"$LLMR" sign -q -s a.key f
	ok "minisign takes ours" minisign -V -q -p a.pub -m f
	minisign -G -W -p st.pub -s st.key >/dev/null 2>&1
	minisign -S -s st.key -m f -x f.st -t 'their words' >/dev/null 2>&1
	ok "we take minisign's" "$LLMR" verify -p st.pub -x f.st f
	match out 'their words' "with its comment"
	minisign -S -l -s st.key -m f -x f.old >/dev/null 2>&1
	ok "in the legacy form too" "$LLMR" verify -p st.pub -x f.old f
	status 1 "unless it is refused" "$LLMR" verify -H -p st.pub -x f.old f
	ok "sign by minisign's key" "$LLMR" sign -s st.key f
	ok "which minisign takes" minisign -V -q -p st.pub -m f
	minisign -S -s a.key -m f -x f.a >/dev/null 2>&1
	ok "minisign signs by our key" "$LLMR" verify -p a.pub -x f.a f
	echo 'secret words' | minisign -S -s p.key -m f -x f.p >/dev/null 2>&1
	ok "and by one with a password" "$LLMR" verify -p p.pub -x f.p f
else
	skip "stock minisign"
fi

# neither opens a socket
if command -v strace >/dev/null 2>&1 && strace -f -e trace=network -o /dev/null true 2>/dev/null; then
	ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # the leak sanitizer cannot work while it is traced
	export ASAN_OPTIONS
	strace -f -e trace=network -o net "$LLMR" sign -q -s a.key m && strace -f -A -e trace=network -o net "$LLMR" verify -q -p a.pub m
	equal "$?" 0 "sign and verify under strace"
	absent net '^[0-9]+ +(socket|socketpair|connect)' "open no socket"
else
	skip "no socket: strace cannot run here"
fi
