#!/bin/sh
# A nightly job: train, judge, sign, publish, promote. It may be stopped anywhere and run again.
#
#   TRACES, LABELS   what to learn from (by default this project's example)
#   REGISTRY         where to publish, such as s3://models/prod or dir:/srv/models
#   SECRET_KEY       key file of this job (llmr keygen), PUBLIC_KEY its public half;
#                    LLMR_PASSWORD or PASSWORD_FILE where it has a password
#   NAME             of the model (router)
#   GATE             what a new router must show on prompts that it has not seen
#   CHANNEL          channel that the gateways follow (stable)
#   WORK             folder to work in (build/ci)
#   LLMR             the binary
#
# Exit status: 0 published, or nothing new; 1 the gate says no, and nothing was
# published; others as llmr(1) says.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
LLMR=${LLMR:-llmr}
TRACES=${TRACES:-$here/../traces.jsonl.zst} LABELS=${LABELS:-$here/../labels.jsonl}
NAME=${NAME:-router} CHANNEL=${CHANNEL:-stable} WORK=${WORK:-build/ci}
GATE=${GATE:-gap_closed>=0.1 && delta_best_single.lo>0}
: "${REGISTRY:?where to publish}" "${SECRET_KEY:?key file to sign with}" "${PUBLIC_KEY:?its public half}"
set -- ${PASSWORD_FILE:+--password-file "$PASSWORD_FILE"}
mkdir -p "$WORK"

# 1. Learn. The same traces give the same bytes, so a second run publishes nothing new.
"$LLMR" convert "$TRACES" --labels "$LABELS" --out-dir "$WORK/data"
"$LLMR" train knn --data "$WORK/data/routing_train.jsonl" -o "$WORK/new.safetensors"

# 2. Judge on prompts that it has not seen. A miss ends the job here, with status 1.
"$LLMR" eval --model "$WORK/new.safetensors" --data "$WORK/data/routing_test.jsonl" --gate "$GATE"

# 3. Keep the file of last time where nothing has changed, so that its time, and with it
#    the version's name, stays.
mkdir -p "$WORK/model"
for f in safetensors yaml; do
	cmp -s "$WORK/new.$f" "$WORK/model/$NAME.$f" || cp "$WORK/new.$f" "$WORK/model/$NAME.$f"
done

# 4. Sign the file itself too, for who gets it by another way, and look that it holds.
"$LLMR" sign -s "$SECRET_KEY" "$@" "$WORK/model/$NAME.safetensors"
"$LLMR" verify -p "$PUBLIC_KEY" "$WORK/model/$NAME.safetensors"

# 5. Publish: contents, manifest, signature, then the pointer of the channel "latest".
"$LLMR" push -q -s "$SECRET_KEY" "$@" "$WORK/model/$NAME.safetensors" "$REGISTRY" --name "$NAME" >"$WORK/pushed"
version=$(sed -n 's/^.*  version //p' "$WORK/pushed")

# 6. Let the gateways have it. 'llmr rollback' takes it back.
"$LLMR" promote -s "$SECRET_KEY" "$@" "$NAME" "$version" --registry "$REGISTRY" --channel "$CHANNEL"
