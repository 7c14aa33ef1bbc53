#!/bin/sh
# config check and show; what the gateway's YAML says, and what it leaves open.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/cli/serve-lib.sh"

cat >gw.yaml <<'Y'
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: sk-very-secret, aws_region_name: x}}
  - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/B_KEY, aws_region_name: y}}
general_settings: {master_key: os.environ/A_KEY}
router_settings: {timeout: 12, surprise: 1}
Y
A_KEY=sk-also-secret
export A_KEY
ok "what is unused is no failure" "$LLMR" config check gw.yaml
match out '^gw.yaml:2: unused: model_list.litellm_params.aws_region_name: Bedrock is not spoken; .* \(and in 1 more places\)$' "it is named once"
match out '^gw.yaml:5: unused: router_settings.surprise: llmr does not know this key$' "with line and key"
match out "^gw.yaml:3: warning: model_list.litellm_params.api_key: variable B_KEY is not set: nothing can be forwarded to 'b'$" "as is a variable that is not set"
status 78 "--strict makes it one" "$LLMR" config check --strict gw.yaml
LITELLM_CONFIG_PATH=gw.yaml; export LITELLM_CONFIG_PATH
ok "the file is looked up as by serve" "$LLMR" config check
ok "JSON" "$LLMR" config check --json
match out '^\{"file":"gw.yaml","line":5,"level":"unused","key":"router_settings.surprise",' "one object a line"
unset LITELLM_CONFIG_PATH
status 64 "or there is none" "$LLMR" config check
ok "show" "$LLMR" config show --show-origin gw.yaml
match out '^router_settings.timeout = 12	\(gw.yaml:5\)$' "a value of the file"
match out '^general_settings.master_key = \*\*\*	\(gw.yaml:4, variable A_KEY\)$' "one of a variable"
match out '^router_settings.cooldown_time = 5	\(default\)$' "a default"
absent out 'secret' "no secret is shown"
status 64 "neither check nor show" "$LLMR" config look gw.yaml
printf 'model_list: [\n' >bad.yaml
status 78 "no YAML" "$LLMR" config check bad.yaml
match err 'bad.yaml:[0-9]+' "with the line"
status 66 "no file" "$LLMR" config check none.yaml

# The page lists the keys that are in the program's table.
sh "$SRC/tests/keytable.sh" >keys
sed -n '/^\.\\" keys begin/,/^\.\\" keys end/p' "$SRC/man/src/serve.mdoc" | sed '1d;$d' >listed
same keys listed "llmr-serve(1) lists every key that is known and unused"

sed -i '/general_settings/d' gw.yaml
LITELLM_MASTER_KEY=sk-test; export LITELLM_MASTER_KEY
start
curl -s -o out -w '%{http_code}' --unix-socket gw.sock http://gw/v1/models >code; code 401 "LITELLM_MASTER_KEY counts where the file names no key"
ask /v1/models; code 200 "and opens"
stop
unset LITELLM_MASTER_KEY
CONFIG_HOT_RELOAD=true; export CONFIG_HOT_RELOAD
echo 'general_settings: {master_key: sk-test}' >>gw.yaml
start
sed 's/model_name: a/model_name: anew/' gw.yaml >gw.new && mv gw.new gw.yaml
until_asked /v1/models '"id":"anew"' "CONFIG_HOT_RELOAD watches the config"
stop
