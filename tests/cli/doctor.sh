. "$(dirname "$0")/lib.sh"

ok "doctor on a sound machine" "$LLMR" doctor
match out '^ok +cpu ' "the CPU is shown"
match out '^ok +blas .*kernel ' "the BLAS kernel is shown"
match out '^ok +settings +no file' "no settings file"
ok "doctor, the kernel chosen by hand" env OPENBLAS_CORETYPE=Nehalem "$LLMR" doctor
match out '^ok +blas .*Nehalem .by OPENBLAS_CORETYPE' "who chose the kernel is said"
ok "doctor as JSON" "$LLMR" doctor --json
match out '^\[\{"check":"cpu","result":"ok".*\}\]$' "one array of checks"
status 69 "an address where nobody listens fails" "$LLMR" doctor --url http://127.0.0.1:1/
match out '^FAIL +reach ' "the address is the check that failed"
# (valgrind needs the folder itself)
case $LLMR in */valgrind/*) skip "a missing temporary folder, under valgrind"; exit 0 ;; esac
status 73 "a missing temporary folder fails" env TMPDIR=/nonexistent "$LLMR" doctor
