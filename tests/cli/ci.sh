#!/bin/sh
# the pipeline of examples/ci, on the example traces
. "$(dirname "$0")/lib.sh"
XDG_CACHE_HOME=$HOME_DIR/cache
export XDG_CACHE_HOME
cp "$SRC/tests/keys/"* .
REGISTRY=dir:$HOME_DIR/reg SECRET_KEY=test.key PUBLIC_KEY=test.pub WORK=work
LLMR_NO_RUNS=1
export REGISTRY SECRET_KEY PUBLIC_KEY WORK LLMR LLMR_NO_RUNS
pipeline="sh $SRC/examples/ci/pipeline.sh"
pull() { "$LLMR" pull -q -p test.pub "$REGISTRY" -n router -c stable -o dst "$@"; }
ok "the pipeline" $pipeline
ok "its router can be pulled" pull
same dst/current/router.safetensors work/model/router.safetensors "is the one that was trained"
ok "and routes" "$LLMR" route --model dst/current/router.safetensors -p test.pub --require-signature "How many eggs are in 7 boxes of 12?"
now=$(readlink dst/current)
ok "again" $pipeline
match out 'stays at' "publishes nothing new"
GATE='gap_closed>=2'
export GATE
rm -rf reg
status 1 "a gate that it misses" $pipeline
nofile 'reg/models' "nothing is published"
unset GATE
status 1 "a key that is not trusted" env PUBLIC_KEY=other.pub $pipeline
nofile 'reg/models' "nothing is published then either"
[ -n "$now" ] && pass "a version is in use" || fail "a version is in use"
