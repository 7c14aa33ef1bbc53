"""Run the peers and llmr in turn on the same input and print one Markdown table.

CPU seconds are user + system of the whole process (wait4), medians of RUNS runs taken in turn, so
that a machine that drifts slows both. The last column is the bar that llmr sets itself, and whether
this run met it. BENCH_ROWS=svm,mlp or operands select rows; BENCH_LONG=1 adds those that take many
minutes; BENCH_RUNS (3) and BENCH_MB (500, the size of the convert input) set the effort.
Each side chooses its own BLAS kernel: OPENBLAS_CORETYPE is taken out of the environment.
"""
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

import encoder_peer
import kinds
import quality
import s3_peer
import sign_peer

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LLMR = os.environ.get("LLMR", os.path.join(ROOT, "build", "llmr"))
SHARED = os.environ.get("LLMR_SHARED", os.path.join(ROOT, "..", "shared"))
WORK = os.path.join(ROOT, "build", "bench")
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
MB = int(os.environ.get("BENCH_MB", "500"))
HERE = os.path.dirname(os.path.abspath(__file__))
table = []


def run(args, stdout=subprocess.DEVNULL, ok=(0,)):
    """CPU seconds, wall seconds, peak resident MB of one command."""
    t = time.monotonic()
    p = subprocess.Popen(args, stdout=stdout, stderr=subprocess.DEVNULL)
    _, status, u = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode not in ok:
        sys.exit(f"exit {p.returncode}: {' '.join(map(str, args))}")
    return u.ru_utime + u.ru_stime, time.monotonic() - t, u.ru_maxrss / 1024


def in_turn(commands, runs=RUNS):
    """Medians of several commands, run A B C A B C."""
    laps = {name: [] for name in commands}
    for _ in range(runs):
        for name, args in commands.items():
            laps[name].append(run(args))
    return {n: tuple(statistics.median(x[i] for x in l) for i in range(3)) for n, l in laps.items()}


def row(what, peer, theirs, ours, ratio, bar, met=None):
    """met: whether the bar was reached; None where that is not one number."""
    table.append((what, peer, theirs, ours, ratio, bar if met is None else f"{bar}: {'met' if met else 'MISSED'}"))
    print("|", " | ".join(table[-1]), "|", flush=True)


def bench_convert():
    src = os.path.join(SHARED, "fixtures", "traces", "litellm-default.jaeger.json.gz")
    if not os.path.exists(src):
        return print("convert: skipped, no fixtures at", SHARED)
    big = os.path.join(WORK, f"jaeger-{MB}.json")
    if not os.path.exists(big):
        with open(big + ".tmp", "wb") as f:
            subprocess.run([sys.executable, os.path.join(HERE, "gen_jaeger.py"), src, str(MB * 1000000)], stdout=f, check=True)
        os.rename(big + ".tmp", big)
    size = os.path.getsize(big) / 1e6
    out = os.path.join(WORK, "out.jsonl")
    jq = ('.data[]|.traceID as $t|.spans[]|select(any(.tags[];.key=="gen_ai.operation.name"))|'
          '(.tags|map({(.key):.value})|add) as $a|{trace_id:$t,span_id:.spanID,model:$a["litellm.provider.model"],'
          'prompt:$a["gen_ai.input.messages"],input:$a["gen_ai.usage.input_tokens"],'
          'output:$a["gen_ai.usage.output_tokens"],cost:$a["gen_ai.cost.total_cost"],start:.startTime,duration:.duration}')
    r = in_turn({
        "llmr": [LLMR, "convert", "--threads", "1", "-q", big, "-o", out],
        "llmr2": [LLMR, "convert", "--threads", "2", "-q", big, "-o", out],
    })
    py = run([sys.executable, os.path.join(HERE, "convert_peer.py"), big, out + ".py"])
    jqr = run(["jq", "-c", jq, big])
    mine = size / r["llmr"][0]
    for name, x, bar in (("Python json", py, "≥ 25×"), ("jq", jqr, "≥ 15×")):
        row(f"convert {size:.0f} MB Jaeger JSON, MB per CPU s", name, f"{size / x[0]:.0f} ({x[2]:.0f} MB resident)",
            f"{mine:.0f} ({r['llmr'][2]:.0f} MB resident)", f"{mine * x[0] / size:.0f}×", bar)
    row("convert, wall, 2 threads against 1", "llmr", f"{r['llmr'][1]:.2f} s", f"{r['llmr2'][1]:.2f} s",
        f"{r['llmr'][1] / r['llmr2'][1]:.2f}×", "≥ 1.7×")


def bench_train():
    data = os.path.join(SHARED, "data", "llmrouter-dc-train.json")
    if not os.path.exists(data):
        return print("train: skipped, no data at", SHARED)
    art = os.path.join(WORK, "dc.safetensors")
    args = [LLMR, "train", "knn", "--from", "dcrouter", "--data", data, "-o", art]
    r = in_turn({"llmr": args + ["-q"]})["llmr"]
    peer = json.loads(subprocess.check_output([sys.executable, os.path.join(HERE, "sklearn_router.py"), data]))
    cv = json.loads(subprocess.check_output(args + ["--cv", "5", "--json"], stderr=subprocess.DEVNULL))
    row("train lsa + knn, 5,608 prompts, CPU s", "scikit-learn, LSA alone", f"{peer['fit_cpu_s']}",
        f"{r[0]:.2f}, all of it", f"{peer['fit_cpu_s'] / r[0]:.1f}×", "≤ 4 s")
    row("routed score, 5-fold CV", "scikit-learn, same KNN", f"{peer['cv_score']:.4f}",
        f"{cv['cv']['score']:.4f}", f"best single {peer['best_single']:.4f}", "≥ 0.650")
    row("artifact, MB", "–", "–", f"{os.path.getsize(art) / 1048576:.1f}", "", "≤ 32")
    queries = os.path.join(WORK, "dc.jsonl")
    run([LLMR, "convert", "--from", "dcrouter", data, "-o", queries, "-q"])
    b = {}
    for name, extra in (("warm", []), ("cold", ["--cold"])):
        b[name] = json.loads(subprocess.check_output(
            [LLMR, "bench", "--model", art, "--queries", queries, "--threads", "1", "-n", "5608", "--json"] + extra,
            stderr=subprocess.DEVNULL))["latency_us"]
    row("whole decision, P50 / P99 µs", "scikit-learn", f"{peer['decision_us']['p50']:.0f} / {peer['decision_us']['p99']:.0f}",
        f"{b['warm']['p50']:.0f} / {b['warm']['p99']:.0f}", f"{peer['decision_us']['p50'] / b['warm']['p50']:.0f}×", "P99 ≤ 300")
    row("same, cold caches", "–", "–", f"{b['cold']['p50']:.0f} / {b['cold']['p99']:.0f}", "", "P99 ≤ 500")


def cpu_of(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def start_jaeger(binary, port):
    none = ["query.grpc-server", "collector.otlp.grpc", "collector.grpc-server", "collector.http-server", "admin.http"]
    flags = [f"--{n}.host-port=127.0.0.1:0" for n in none]
    p = subprocess.Popen([binary, "--log-level=error", f"--query.http-server.host-port=127.0.0.1:{port}",
                          f"--collector.otlp.http.host-port=127.0.0.1:{port + 1}"] + flags,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, SPAN_STORAGE_TYPE="memory"))
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/services").read()
            return p
        except OSError:
            time.sleep(0.1)
    sys.exit("Jaeger does not start")


def bench_extract():
    binary = os.environ.get("LLMR_JAEGER", os.path.join(ROOT, "build", "jaeger-all-in-one"))
    integ = os.path.join(ROOT, "tests", "integ")
    if subprocess.run(["sh", os.path.join(integ, "build-jaeger.sh"), binary]).returncode:
        return print("extract: skipped, no Jaeger")
    port = 20000 + os.getpid() % 20000
    jaeger = start_jaeger(binary, port)
    try:
        made = subprocess.run(["awk", "-v", "n=20000", "-v", "seed=1", "-v", f"t0={int(time.time()) - 80000}",
                               "-f", os.path.join(integ, "gentraces.awk")], stdout=subprocess.PIPE, check=True).stdout
        for line in made.splitlines():
            q = urllib.request.Request(f"http://127.0.0.1:{port + 1}/v1/traces", line, {"Content-Type": "application/json"})
            urllib.request.urlopen(q).read()
        out = os.path.join(WORK, "extract.jsonl")
        mine, theirs = [], []
        for _ in range(RUNS):
            before = cpu_of(jaeger.pid)
            mine.append(run([LLMR, "extract", "--url", f"http://127.0.0.1:{port}", "-q", "-o", out])[0])
            theirs.append(cpu_of(jaeger.pid) - before)
        count = sum(1 for _ in open(out, "rb"))
        a, b = statistics.median(mine), statistics.median(theirs)
        row(f"extract {count} traces, CPU s", "Jaeger itself", f"{b:.2f}", f"{a:.2f}", f"{b / a:.1f}×", "≥ 3×")
    finally:
        jaeger.kill()


def bench_knn():
    """The neighbours' own program and faiss are fetched only for this row."""
    if subprocess.run(["sh", os.path.join(HERE, "knn.sh"), "build"]).returncode:
        return print("knn: skipped, no faiss")
    import knn_peer

    knn_peer.bench_knn(row)


def main():
    print("| work | peer | peer's figure | llmr | ratio | bar |\n| --- | --- | --- | --- | --- | --- |")
    os.environ.pop("OPENBLAS_CORETYPE", None)
    rows = {"convert": bench_convert, "train": bench_train, "extract": bench_extract, "knn": bench_knn,
            "s3": lambda: s3_peer.bench_s3(row), "sign": lambda: sign_peer.bench_sign(row),
            "encoder": lambda: encoder_peer.bench_encoder(row)}
    for name, bench in kinds.ROWS.items():
        rows[name] = lambda bench=bench: bench(row, WORK, RUNS)
    for name, bench in quality.ROWS.items():
        rows[name] = lambda bench=bench: bench(row, WORK, LLMR, SHARED)
    for name in sys.argv[1:] or [n for n in os.environ.get("BENCH_ROWS", "").split(",") if n] or rows:
        if name not in rows:
            sys.exit(f"no row '{name}'; there are: {' '.join(rows)}")
        rows[name]()


main()
