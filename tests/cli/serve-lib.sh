# serve-lib.sh - for the tests of serve, after lib.sh: start one on a socket, ask it, train small routers.
unset LITELLM_MASTER_KEY LITELLM_CONFIG_PATH LISTEN_FDS LISTEN_PID $(env | sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p')
pid=
trap '[ -n "$pid" ] && kill $pid 2>/dev/null; cd /; rm -rf "$HOME_DIR"' EXIT
key='Authorization: Bearer sk-test'

# start [OPTIONS]: serve gw.yaml on gw.sock, log to serve.log; false when it ended
start() {
	rm -f gw.sock
	"$LLMR" serve -c gw.yaml -l unix:gw.sock "$@" >serve.log 2>&1 &
	pid=$!
	until [ -S gw.sock ]; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.05
	done
}
# stop: end it; its exit status is in $ended
stop() {
	kill "$pid"
	wait "$pid"
	ended=$?
	pid=
}
# ask PATH [CURL OPTIONS]: body to ./out, status to ./code
ask() {
	path=$1
	shift
	curl -s -o out -w '%{http_code}' --max-time 20 --unix-socket gw.sock -H "$key" "$@" "http://gw$path" >code
}
# code STATUS NAME
code() { equal "$(cat code)" "$1" "$2"; }
# until_asked PATH ERE NAME: within 10 s the answer matches
until_asked() {
	for i in $(seq 100); do
		ask "$1"
		grep -Eq -- "$2" out && break
		sleep 0.1
	done
	match out "$2" "$3"
}
# records BEST: queries that model mBEST answers best
records() {
	awk -v best="$1" 'BEGIN { for (i = 0; i < 40; i++) for (j = 0; j < 3; j++)
		printf "{\"query\":\"a question number %d of %d\",\"model_name\":\"m%d\",\"performance\":%s,\"task_name\":\"t\"}\n",
			i, i * i, j, j == best ? "1" : "0.25" }'
}
# router KIND BEST FILE: train one that answers mBEST
router() {
	records "$2" >records.jsonl
	"$LLMR" train "$1" --data records.jsonl --no-runs -q -o "$3" >train.out 2>&1 || cat train.out
}
sha() { sha256sum "$1" | cut -d' ' -f1; }
