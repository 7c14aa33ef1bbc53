#!/bin/sh
# page.sh - the page at /ui in a real Chromium: it runs under its policy and shows what the gateway says.
#
# Leaves pictures (desktop and phone width) in $PICTURES when that is set, for
# eyes to judge. Prints "N passed, N failed"; exit 0 only when nothing failed.
# Skips (exit 77) with a word why.
set -u
LC_ALL=C.UTF-8
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
LLMR=${LLMR:-$src/build/llmr}
case $LLMR in /*) ;; *) LLMR=$PWD/$LLMR ;; esac
passed=0 failed=0
gateway=
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || browser=
if [ -z "$browser" ] || ! command -v curl >/dev/null 2>&1; then
	echo "SKIP: no Chromium or no curl"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/llmr-page-XXXXXX") || exit 1
cleanup() {
	[ -n "$gateway" ] && kill "$gateway" 2>/dev/null && wait "$gateway" 2>/dev/null
	cd / && rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
good() { passed=$((passed + 1)); echo "ok - $1"; }
bad() { failed=$((failed + 1)); echo "not ok - $1"; }
has() { if grep -q -- "$1" "$3"; then good "$2"; else bad "$2"; fi; }
hasnt() { if grep -q -- "$1" "$3"; then bad "$2"; else good "$2"; fi; }

cat >gw.yaml <<'Y'
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_key: none, api_base: "http://127.0.0.1:9/v1"}
  - model_name: "<img src=x onerror=alert(1)>"
    litellm_params: {model: openai/large, api_key: none, api_base: "http://127.0.0.1:9/v1"}
Y
# start OPTIONS: sets $url
start() {
	"$LLMR" serve -c gw.yaml -l 127.0.0.1:0 "$@" >serve.log 2>&1 &
	gateway=$!
	for i in 1 2 3 4 5 6 7 8 9 10; do grep -q port serve.log && break; sleep 0.2; done
	url=http://127.0.0.1:$(sed -n 's/.*port \([0-9]*\).*/\1/p' serve.log)
}
stop() {
	kill "$gateway"
	wait "$gateway" 2>/dev/null
	gateway=
}
see() {
	"$browser" --headless=new --no-sandbox --disable-gpu --user-data-dir="$dir/profile" --enable-logging=stderr \
		--virtual-time-budget=3000 "$@" 2>console
}
unset LITELLM_MASTER_KEY

start --no-auth
i=0
while [ $i -lt 30 ]; do
	curl -s -o /dev/null "$url/v1/route" -d '{"prompt":"a","model":"small"}'
	i=$((i + 1))
done
curl -s -o /dev/null "$url/v1/route" -d '{"prompt":"a","model":"<img src=x onerror=alert(1)>"}'
see --dump-dom "$url/ui" >dom
has '<span id="state" role="status" class="good">✓ ready' "the page says that the gateway is ready" dom
has '<span class="name">small</span><span class="num">30 ' "traffic per model" dom
has '<svg viewBox=' "a histogram" dom
has '&lt;img src=x onerror=alert(1)&gt;' "what a config says is shown as text" dom
hasnt '<img' "and never read as HTML" dom
hasnt 'Refused to\|Uncaught\|Content Security Policy' "nothing is refused by the policy, no script fails" console
if [ -n "${PICTURES:-}" ]; then
	mkdir -p "$PICTURES"
	see --window-size=1280,1100 --screenshot="$PICTURES/desktop.png" "$url/ui"
	see --window-size=500,1900 --screenshot="$PICTURES/narrow.png" "$url/ui"
	see --window-size=1280,1100 --force-dark-mode --blink-settings=preferredColorScheme=0 \
		--screenshot="$PICTURES/dark.png" "$url/ui"
fi
stop

echo 'general_settings: {master_key: sk-test}' >>gw.yaml
start
see --dump-dom "$url/ui" >dom
has '<form id="login" class="card">' "with a master key the page asks for it" dom
hasnt '"name">small' "and shows nothing" dom
stop
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
