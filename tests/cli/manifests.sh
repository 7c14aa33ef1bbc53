#!/bin/sh
# What share/ holds for whoever deploys: units, manifests, image. Each checked by its own tool where that is there.
. "$(dirname "$0")/lib.sh"
unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH OPENAI_API_KEY LISTEN_FDS LISTEN_PID

# ---- systemd
if command -v systemd-analyze >/dev/null 2>&1; then
	mkdir unit
	sed "s|@bindir@/llmr|$LLMR|" "$SRC/share/llmr.service" >unit/llmr.service
	cp "$SRC/share/llmr.socket" unit/
	ok "systemd-analyze verify" systemd-analyze verify --man=no unit/llmr.service unit/llmr.socket
	absent err '.' "without a warning"
	if systemd-analyze --help | grep -q -- --threshold; then
		ok "systemd-analyze security: exposure of at most 2.0" \
			systemd-analyze security --no-pager --offline=true --threshold=20 unit/llmr.service
	else
		skip "systemd-analyze security (too old)"
	fi
else
	skip "systemd units (no systemd-analyze)"
fi

# ---- Kubernetes
K=$SRC/share/kubernetes
validate=${KUBERNETES_VALIDATE:-kubernetes-validate}
if command -v "$validate" >/dev/null 2>&1; then
	ok "manifests fit the schemas of Kubernetes" "$validate" --strict "$K"/*.yaml
	sed 's/readinessProbe/readynessProbe/' "$K/deployment.yaml" >wrong.yaml
	status 1 "which a misspelt key does not" "$validate" --strict wrong.yaml
else
	skip "manifests against the schemas (no kubernetes-validate: pip install kubernetes-validate)"
fi
# Every command line in a manifest is one that llmr takes: its command and options exist.
for f in "$K"/*.yaml; do
	{ sed -n '/args: \[/,/\]$/p' "$f" | tr '\n' ' '; echo; } | sed 's/args: \[/\n/g' | sed -n 's/\].*//; s/"\[^"\]*"/X/g; /^[a-z]/p' |
		while read -r line; do
			cmd=${line%%,*}
			"$LLMR" help "$cmd" >help.txt 2>&1 || echo "$(basename "$f"): no command $cmd"
			echo "$line" | tr ',' '\n' | sed -n 's/^ *\(--[a-z-]*\) *$/\1/p' | while read -r o; do
				grep -q -- "$o\b" help.txt || echo "$(basename "$f"): llmr $cmd has no $o"
			done
		done
done >unknown.txt
equal "$(cat unknown.txt)" "" "command lines in manifests have commands and options that exist"
for w in _health/live _health/ready 'readOnlyRootFilesystem: true' 'runAsUser: 1000' 'memory: 512Mi, cpu: 500m' \
	'memory: 2Gi, cpu: 2000m' 'initialDelaySeconds: 30' 'initialDelaySeconds: 10' 'periodSeconds: 5'; do
	for f in deployment deployment-sidecar; do match "$K/$f.yaml" "$w" "$f: $w"; done
done
# The configuration in the ConfigMap is one that serves.
awk '/^  config.yaml: \|/ { on = 1; next } /^  [a-z]/ { on = 0 } on { sub(/^    /, ""); print }' "$K/config.yaml" >config.yaml
ok "the ConfigMap's configuration" env LITELLM_MASTER_KEY=sk-test OPENAI_API_KEY=k "$LLMR" serve -t -c config.yaml
absent err 'not used|problem' "without a complaint"

# ---- the image's root: llmr in it alone, read-only, as user 1000
if sh "$SRC/share/rootfs.sh" "$LLMR" root >rootfs.log 2>&1 && [ ! -e root/bin/sh ]; then
	pass "a root folder without a shell"
else
	fail "a root folder without a shell" "$(cat rootfs.log)"
fi
inside() { bwrap --ro-bind root / --unshare-user --uid 1000 --gid 1000 --proc /proc --dev /dev --clearenv "$@"; }
if inside /bin/llmr --version >/dev/null 2>&1; then
	cp config.yaml root/app/config/config.yaml
	ok "takes its configuration there" inside --setenv LITELLM_MASTER_KEY sk-test --tmpfs /app/data /bin/llmr serve -t
	mkdir run
	inside --setenv LITELLM_MASTER_KEY sk-test --tmpfs /app/data --bind "$PWD/run" /tmp --die-with-parent \
		/bin/llmr serve -l unix:/tmp/gw.sock >serve.log 2>&1 &
	pid=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -S run/gw.sock ] && break; sleep 0.1; done
	equal "$(curl -s --max-time 10 --unix-socket run/gw.sock http://gw/_health/live)" \
		'{"status":"alive","service":"llmr"}' "serves there"
	kill $pid
	wait $pid 2>/dev/null
	# Training opens openblas, verifying opens libcrypto, extract opens libcurl.
	cp "$SRC/examples/traces.jsonl.zst" "$SRC/examples/labels.jsonl" root/app/models/
	mkdir work
	ok "converts there" inside --bind "$PWD/work" /tmp /bin/llmr -q convert /app/models/traces.jsonl.zst \
		--labels /app/models/labels.jsonl -o /tmp/records.jsonl
	ok "trains there" inside --bind "$PWD/work" /tmp /bin/llmr train knn --no-runs --data /tmp/records.jsonl -o /tmp/r.safetensors
	status 69 "reaches for a server there" inside /bin/llmr extract --url http://127.0.0.1:9 --retries 0 -o -
	match err 'connect' "with libcurl at hand"
else
	skip "llmr within the image's root (no bwrap, or not permitted)"
fi
