#!/bin/sh
# serve: what it answers to requests that cannot be trusted, and to too many of them.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/cli/serve-lib.sh"
TOOLS=${TOOLS:-$SRC/build}

cat >gw.yaml <<'Y'
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: none}}
Y
start --header-timeout 1s --body-timeout 1.5s --idle-timeout 2s
"$TOOLS/httpcases" gw.sock table
ask /metrics; match out '^llmr_http_refused_total\{reason="timeout"\} [1-9]' "what took too long is counted"
stop
start --max-connections 100
"$TOOLS/httpcases" gw.sock idle 400
ask /metrics; match out '^llmr_http_refused_total\{reason="evicted"\} [1-9]' "idle connections gave way"
stop
if (ulimit -n 10300) 2>/dev/null; then
	ulimit -n 10300
	start --max-connections 12000
	"$TOOLS/httpcases" gw.sock idle 10000
	stop
	equal "$ended" 0 "it drains with 10,000 idle connections"
else
	skip "10,000 idle connections: no more than $(ulimit -n) files may be open"
fi
