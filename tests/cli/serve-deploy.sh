#!/bin/sh
# serve as a service: where state goes, sockets handed over, TLS, a second signal.
. "$(dirname "$0")/lib.sh"

unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH LISTEN_FDS LISTEN_PID NOTIFY_SOCKET
cat >gw.yaml <<'Y'
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_key: none, api_base: "http://127.0.0.1:9/v1"}
Y
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
# up FILE: wait until FILE (a socket, or a log that says so) is there
up() {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		if [ -S "$1" ] || grep -q 'listening on' "$1" 2>/dev/null; then return 0; fi
		sleep 0.1
	done
	return 1
}
port() { sed -n 's/.*listening on port \([0-9]*\).*/\1/p' "$1"; }

# ---- where state goes
if [ -w /app/data ]; then
	skip "XDG_STATE_HOME, where /app/data cannot be written to"
else
	ok "state goes to XDG_STATE_HOME" "$LLMR" serve -t -c gw.yaml
	if [ -d state/llmr ]; then pass "and its folder is made"; else fail "and its folder is made" "$(ls -la)"; fi
	ok "no HOME, no XDG_STATE_HOME: it serves" env -u HOME -u XDG_STATE_HOME "$LLMR" serve -t -c gw.yaml
	match err 'no state is kept across restarts: set --state-dir' "and says that nothing is kept"
fi
ok "--state-dir" "$LLMR" serve -t -c gw.yaml --state-dir deep/er
if [ -d deep/er ]; then pass "is made"; else fail "is made"; fi
: >file
status 73 "a --state-dir that is a file" "$LLMR" serve -t -c gw.yaml --state-dir file
match err 'file' "is named"

# A read-only root, uid 1000, no HOME, as in share/kubernetes: only /app/data and /tmp may be written to.
mkdir -p box/config box/data box/run && cp gw.yaml box/config/config.yaml && chmod 777 box/data box/run
if [ -L /lib ] && bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
	--unshare-user --uid 1000 --gid 1000 --proc /proc --dev /dev /usr/bin/true 2>/dev/null; then
	sandbox() {
		bwrap --unshare-user --uid 1000 --gid 1000 --unshare-pid --die-with-parent --clearenv \
			--ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin \
			--ro-bind /etc /etc --proc /proc --dev /dev --ro-bind "$LLMR" /llmr --ro-bind box/config /app/config \
			--bind box/data /app/data --bind box/run /tmp --remount-ro / "$@"
	}
	ok "a read-only root, uid 1000, no HOME" sandbox /llmr serve -t
	absent err 'state is kept' "state goes to /app/data"
	status 73 "elsewhere nothing can be written" sandbox /llmr serve -t --state-dir /elsewhere
	match err 'Read-only file system' "and it says why"
	sandbox /llmr serve -l unix:/tmp/gw.sock >box.log 2>&1 &
	pid=$!
	if up box/run/gw.sock; then pass "it starts there"; else fail "it starts there" "$(cat box.log)"; fi
	equal "$(curl -s --max-time 10 --unix-socket box/run/gw.sock -d '{"prompt":"x"}' http://gw/v1/route |
		grep -c '"model":"small"')" 1 "and decides"
	kill $pid
	wait $pid
	pid=
	equal "$(cd box && find . -type f | sort | tr '\n' ' ')" "./config/config.yaml " "nothing was written but state"
	# A disk that is full at the start: 64 KiB do not hold the state of switching.
	{ cat gw.yaml; echo 'model_switching: {enabled: true}'; } >box/config/config.yaml
	if bwrap --help 2>&1 | grep -q -- --size; then
		rm -f box/run/gw.sock
		sandbox --size 65536 --tmpfs /app/data /llmr serve -l unix:/tmp/gw.sock >box.log 2>&1 &
		pid=$!
		up box/run/gw.sock
		equal "$(curl -s --max-time 10 --unix-socket box/run/gw.sock -d '{"prompt":"x"}' http://gw/v1/route |
			grep -c '"model":"small"')" 1 "a full disk at the start: it decides"
		match box.log 'model switching is off.*(full|space)' "and says what it does without"
		kill $pid
		wait $pid
		pid=
	else
		skip "a full disk at the start (bwrap without --size)"
	fi
else
	skip "a read-only root, uid 1000, no HOME (no bwrap, or not permitted)"
fi

# ---- sockets that a service manager hands over
if command -v systemd-socket-activate >/dev/null 2>&1; then
	systemd-socket-activate -l "$PWD/act.sock" "$LLMR" serve -c gw.yaml >act.log 2>&1 &
	pid=$!
	up act.sock
	equal "$(curl -s --max-time 10 --unix-socket act.sock http://gw/_health/live)" \
		'{"status":"alive","service":"llmr"}' "a socket of LISTEN_FDS"
	match act.log 'listening on the socket of LISTEN_FDS' "and it says so"
	kill $pid
	wait $pid
	pid=
else
	skip "a socket of LISTEN_FDS (no systemd-socket-activate)"
fi

# ---- TLS
if command -v openssl >/dev/null 2>&1; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout tls.key -out tls.crt 2>/dev/null
	status 78 "a certificate needs its key" "$LLMR" serve -c gw.yaml -l 127.0.0.1:0 --tls-cert tls.crt
	status 78 "a key needs its certificate" "$LLMR" serve -c gw.yaml -l 127.0.0.1:0 --tls-key tls.key
	status 78 "a key that is none" "$LLMR" serve -c gw.yaml -l 127.0.0.1:0 --tls-cert tls.crt --tls-key gw.yaml
	"$LLMR" serve -c gw.yaml -l 127.0.0.1:0 --tls-cert tls.crt --tls-key tls.key >tls.log 2>&1 &
	pid=$!
	up tls.log
	url=https://localhost:$(port tls.log)
	ok "HTTPS" curl -s --max-time 10 --noproxy '*' --cacert tls.crt -d '{"prompt":"x"}' "$url/v1/route"
	match out '"model":"small"' "decides"
	status 60 "a certificate that the client does not trust" curl -s --max-time 10 --noproxy '*' "$url/_health/live"
	ok "no TLS below 1.2: TLS 1.2" curl -s --max-time 10 --noproxy '*' --cacert tls.crt --tls-max 1.2 "$url/_health/live"
	status 35 "no TLS below 1.2: TLS 1.1" curl -s --max-time 10 --noproxy '*' --cacert tls.crt --tlsv1.0 --tls-max 1.1 \
		--ciphers DEFAULT@SECLEVEL=0 "$url/_health/live"
	kill $pid
	wait $pid
	equal $? 0 "and ends well"
	pid=
else
	skip "TLS (no openssl to make a certificate)"
fi
