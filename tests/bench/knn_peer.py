"""Nearest neighbours of faiss, scikit-learn and llmr in turn, one thread each, on the same rows.

The rows are clustered unit vectors, rounded to binary16 so that all three compare the very same
numbers. llmr is build/bench/knnbench (tests/bench/knnbench.c), asked lap by lap over a pipe.
"""
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
WORK = os.path.join(ROOT, "build", "bench")
DIM, K, QUERIES, LAPS = 384, 200, 400, 7


def make(n, path, kind="easy", seed=1):
    """n + QUERIES rows on disk: 32 latent dimensions and noise, or (hard) 30 rows or so per cluster."""
    if all(os.path.exists(path + s) for s in (".x", ".q")):
        return
    g = np.random.default_rng(seed)
    basis = g.standard_normal((32, DIM)).astype(np.float32)
    centres = g.standard_normal((max(n // 10, 1), DIM)).astype(np.float32) if kind == "hard" else None
    for suffix, rows in ((".q", QUERIES), (".x", n)):
        with open(path + suffix + ".tmp", "wb") as f:
            for at in range(0, rows, 50000):
                c = min(50000, rows - at)
                if kind == "hard":
                    x = centres[g.integers(0, len(centres), c)] + g.standard_normal((c, DIM), np.float32)
                else:
                    x = g.standard_normal((c, 32), np.float32) @ basis + g.standard_normal((c, DIM), np.float32)
                x /= np.linalg.norm(x, axis=1, keepdims=True)
                x.astype(np.float16).astype(np.float32).tofile(f)
        os.rename(path + suffix + ".tmp", path + suffix)


def load(path, mapped=False):
    if mapped:
        return np.memmap(path, dtype=np.float32, mode="r").reshape(-1, DIM)
    return np.fromfile(path, dtype=np.float32).reshape(-1, DIM)


class Bench:
    """A running knnbench."""

    def __init__(self, path, n, threads=1, hparams=()):
        args = [os.path.join(WORK, "knnbench"), path + ".x", str(n), str(DIM), path + ".q", str(QUERIES), str(threads)]
        self.p = subprocess.Popen(args + list(hparams), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.fit = json.loads(self.p.stdout.readline())

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def neighbours(self):
        out = os.path.join(WORK, "knn.out")
        self.ask("dump " + out)
        return np.fromfile(out, dtype=np.uint32).reshape(QUERIES, -1)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def lap(search, queries):
    us = []
    for i in range(len(queries)):
        t = time.perf_counter_ns()
        search(queries[i:i + 1])
        us.append((time.perf_counter_ns() - t) / 1e3)
    us.sort()
    return us[len(us) // 2]


def recall(found, x, q, k):
    """Of the k nearest of those found, the share at least as near as the k-th nearest of all (equal ones count)."""
    best = np.empty((len(q), 0), np.float32)
    for a in range(0, len(x), 65536):
        best = np.concatenate([best, q @ x[a:a + 65536].T], axis=1)
        best = -np.partition(-best, k - 1, axis=1)[:, :k] if best.shape[1] > k else best
    kth = best.min(axis=1)
    hits = sum(np.count_nonzero(np.sort(x[np.sort(found[i])] @ q[i])[::-1][:k] >= kth[i] - 1e-6) for i in range(len(q)))
    return hits / len(q) / k


def exact(n, laps=LAPS):
    """P50 in µs of each, medians of interleaved laps, and the share of llmr's neighbours that are faiss's."""
    import faiss
    from sklearn.neighbors import NearestNeighbors
    faiss.omp_set_num_threads(1)
    path = os.path.join(WORK, f"knn-{n}")
    make(n, path)
    x, q = load(path + ".x"), load(path + ".q")
    flat = faiss.IndexFlatIP(DIM)
    flat.add(x)
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="cosine").fit(x)
    b = Bench(path, n, hparams=[f"n_neighbors={K}", "index=exact"])
    times = {"faiss": [], "sklearn": [], "llmr": [], "scan": []}
    for _ in range(laps):
        times["faiss"].append(lap(lambda v: flat.search(v, K), q))
        times["llmr"].append(b.ask("lap")["p50_us"])
        times["scan"].append(b.ask("scan")["p50_us"])
        times["sklearn"].append(lap(brute.kneighbors, q[:50]))
    same = recall(b.neighbours(), x, q, K)
    b.close()
    return {k: statistics.median(v) for k, v in times.items()} | {"same": same}


def graph(n, kind="easy", threads=2, hparams=(), laps=3):
    """The graph index on n rows: its build, its P50, its recall against every row compared by numpy."""
    path = os.path.join(WORK, f"knn-{kind}-{n}")
    make(n, path, kind)
    x, q = load(path + ".x", True), load(path + ".q")
    b = Bench(path, n, threads, [f"n_neighbors={K}", "index=hnsw", *hparams])
    out = b.fit | {"p50_us": statistics.median(b.ask("lap")["p50_us"] for _ in range(laps))}
    found = b.neighbours()
    out |= b.ask("save " + os.path.join(WORK, "knn.safetensors"))
    out["p50_loaded_us"] = statistics.median(b.ask("lap")["p50_us"] for _ in range(laps))
    b.close()
    return out | {"numpy_recall_at_10": recall(found, x, q, 10), "numpy_recall_at_k": recall(found, x, q, K)}


def bench_knn(row):
    """Rows of the table of peers.py: row(what, peer, theirs, ours, ratio, bar, met). BENCH_LONG=1 adds a million rows."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if subprocess.run(["sh", os.path.join(HERE, "knn.sh"), "build"], env=dict(os.environ, LLMR_VENV=sys.prefix)).returncode:
        return print("knn: skipped, no faiss or no compiler")
    for n, bar in ((5000, 0.4), (50000, 0.2)):
        r = exact(n)
        what = f"KNN query, {n} × {DIM}, k = {K}, P50 µs"
        ratio, scan = r["llmr"] / r["faiss"], r["scan"] / r["faiss"]
        row(what, "faiss Flat", f"{r['faiss']:.0f}", f"{r['llmr']:.0f}, {100 * r['same']:.2f} % the same neighbours",
            f"{ratio:.2f}×", f"≤ {bar}×", ratio <= bar and r["same"] > 0.9999)
        row(what, "scikit-learn brute", f"{r['sklearn']:.0f}", f"{r['llmr']:.0f}", f"{r['llmr'] / r['sklearn']:.3f}×", "")
        row(what + ", without 8-bit codes", "faiss Flat", f"{r['faiss']:.0f}", f"{r['scan']:.0f}", f"{scan:.2f}×", "≤ 0.9×", scan <= 0.9)
    if os.environ.get("BENCH_LONG"):
        r = graph(1000000)
        what = f"KNN index, 1000000 × {DIM}, k = {K}"
        row(what + ", P50 µs", "–", "–", f"{r['p50_us']:.0f}, recall@10 {r['numpy_recall_at_10']:.4f}, recall@{K} {r['numpy_recall_at_k']:.4f}",
            "", "≤ 500 at recall@10 ≥ 0.99", r["p50_us"] <= 500 and r["numpy_recall_at_10"] >= 0.99)
        row(what + ", build, CPU s", "–", "–", f"{r['cpu_s']:.0f}", "", "≤ 300", r["cpu_s"] <= 300)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "graph":
        print(json.dumps(graph(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:])))
    else:
        bench_knn(lambda *cells: print("|", " | ".join(cells), "|", flush=True))
