"""Rows of peers.py for the kinds: fits and queries of llmr (kindbench) and its peer on the same rows.

Each fit is a process of its own, the two sides in turn; the figures are the least of the runs (other
work on the machine only adds), CPU seconds on one thread. What each side fitted is put into the
objective both claim to minimise, worked out here in double precision; a faster fit that is a worse
one counts as missed.
"""
import json
import os
import subprocess
import sys

import numpy as np

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.environ.get("KINDBENCH", os.path.join(ROOT, "build", "kindbench"))
D, M = 384, 9
LONG = os.environ.get("BENCH_LONG") == "1"


def clusters(n, seed=7):
    """Nine noisy classes of about the same size in 60 clusters; rows of unit length."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(60, D))
    cluster = rng.integers(0, 60, n)
    x = (centre[cluster] + 1.5 * rng.normal(size=(n, D))).astype("f4")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = (np.arange(60) % M)[cluster]
    noisy = rng.random(n) < 0.4
    y[noisy] = rng.integers(0, M, int(noisy.sum()))
    return x, np.eye(M, dtype="f4")[y]


def scores(n, seed=1):
    """Scores that bend with x, with noise; rows of unit length."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D), dtype="f4")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    w = np.random.default_rng(0).standard_normal((D, M), dtype="f4") * 2
    y = 1 / (1 + np.exp(-(x @ w) - 0.5 * rng.standard_normal((n, M), dtype="f4")))
    return x, y.astype("f4")


def tensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    size = int.from_bytes(raw[:8], "little")
    kinds = {"F32": "<f4", "F16": "<f2", "U32": "<u4"}
    out = {}
    for name, t in json.loads(raw[8:8 + size]).items():
        if t.get("dtype") in kinds:
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + size + a:8 + size + b], kinds[t["dtype"]]).reshape(t["shape"])
    return out


class Duel:
    """One data set; fits of both sides on it."""

    def __init__(self, work, name, x, y):
        self.x, self.y = x, y
        self.base = os.path.join(work, name)
        x.tofile(self.base + ".x")
        y.tofile(self.base + ".y")
        self.shape = [str(len(x)), str(x.shape[1]), str(y.shape[1])]
        self.best = {}

    def close(self):
        for end in (".x", ".y", ".npz", ".out"):
            if os.path.exists(self.base + end):
                os.unlink(self.base + end)

    def run(self, side, args, threads=1):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
        r = subprocess.run(args, env=env, capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"{' '.join(args)}: exit {r.returncode}\n{r.stderr[-2000:]}")
        got = json.loads(r.stdout)
        old = self.best.get(side)
        if old:
            got = {k: min(v, old[k]) if k in ("cpu_s", "wall_s", "query_p50_us") and v else v for k, v in got.items()}
        self.best[side] = got

    def ours(self, kind, objective="score", threads=1, side="llmr", **params):
        self.run(side, [BENCH, kind, self.base + ".x", self.base + ".y", *self.shape, objective, str(threads),
                        self.base + ".out", *(f"{k.rstrip('_')}={v}" for k, v in params.items())], threads)
        return tensors(self.base + ".out")

    def theirs(self, kind, threads=1, side="peer", python=sys.executable, **params):
        self.run(side, [python, os.path.join(HERE, "kinds_peer.py"), kind, self.base + ".x", self.base + ".y",
                        *self.shape, self.base + ".npz", *(f"{k.rstrip('_')}={v}" for k, v in params.items())], threads)
        return dict(np.load(self.base + ".npz"))

    def cpu(self, side):
        return self.best[side]["cpu_s"]


def both(a, b):
    """CPU (wall on 1 thread, wall on 2)."""
    return f"{a['cpu_s']:.2f} s ({a['wall_s']:.2f}; {b['wall_s']:.2f})"


def verdict(row, what, duel, bar, theirs, ours, name="scikit-learn", word="objective"):
    """One row: times, and that ours is not the worse fit (lower is better)."""
    a, b = duel.best, duel.cpu("peer") / duel.cpu("llmr")
    row(what, name, both(a["peer"], a["peer2"]), both(a["llmr"], a["llmr2"]), f"{b:.1f}×", f"≥ {bar}×", b >= bar)
    fine = ours <= theirs + 1e-4 * abs(theirs)
    row(f"same, {word}", name, f"{theirs:.6g}", f"{ours:.6g}", "", "no worse", fine)


def query_row(row, what, theirs, ours, bar):
    a, b = theirs["query_p50_us"], ours["query_p50_us"]
    row(f"query, {what}, P50 µs", "scikit-learn" if what != "ridge" else "numpy", f"{a:.1f}", f"{b:.2f}",
        f"{a / b:.0f}×", f"≤ {bar}", b <= bar)


# ---- support vector machines ----

def pair_objective(x, gamma, rows, beta):
    """1/2 b'Kb - sum |b| of one pair of classes, b = y alpha."""
    v = x[rows].astype("f8")
    half = (v * v).sum(1) / 2
    total = -np.abs(beta).sum()
    for at in range(0, len(rows), 2000):
        k = np.exp(2 * gamma * np.minimum(v[at:at + 2000] @ v.T - half[at:at + 2000, None] - half, 0))
        total += 0.5 * beta[at:at + 2000] @ (k @ beta)
    return total


def dual(x, gamma, rows, counts, coef):
    """Sum over the pairs; coef [M - 1, rows], rows sorted by class."""
    start = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    total = 0.0
    for a in range(M):
        for b in range(a + 1, M):
            ra, rb = slice(start[a], start[a + 1]), slice(start[b], start[b + 1])
            beta = np.concatenate([coef[b - 1, ra], coef[a, rb]]).astype("f8")
            used = beta != 0
            total += pair_objective(x, gamma, np.concatenate([rows[ra], rows[rb]])[used], beta[used])
    return total


def row_numbers(x, kept):
    """Training rows of the stored ones: equal bytes once rounded to half precision."""
    where = {h.tobytes(): i for i, h in enumerate(x.astype("f2"))}
    return np.array([where[r.tobytes()] for r in kept])


def svm(row, work, runs):
    for n, bar in ((5000, 10), (20000, 12), (50000, None)) if LONG else ((5000, 10),):
        duel = Duel(work, "svm", *clusters(n))
        few = runs if n == 5000 else 1
        for _ in range(few):
            if bar:
                p = duel.theirs("svm")
            duel.ours("svm", "best", C=1, side="prob")
            duel.ours("svm", "best", 2, side="llmr2", C=1, probability="false")
            t = duel.ours("svm", "best", C=1, probability="false")
        a = duel.best
        a["peer2"] = a.get("peer")
        if bar:
            gamma = float(p["gamma"])
            verdict(row, f"SVC rbf, {n} rows, CPU s (wall; 2 threads)", duel, bar,
                    dual(duel.x, gamma, p["rows"], p["counts"], p["coef"]),
                    dual(duel.x, gamma, row_numbers(duel.x, t["svm.rows"]), t["svm.class_rows"], t["svm.coef"]),
                    word="dual objective")
        else:
            row(f"SVC rbf, {n} rows, CPU s (wall; 2 threads)", "scikit-learn", "not practical", both(a["llmr"], a["llmr2"]),
                "", "≤ 20 s", duel.cpu("llmr") <= 20)
        more = duel.cpu("prob") / duel.cpu("llmr")
        row("same, with probability", "llmr without", f"{duel.cpu('llmr'):.2f} s", f"{duel.cpu('prob'):.2f} s",
            f"{more:.2f}", "< 1.5", more < 1.5)
        held = a["llmr"]["peak_mib"] - n * (D + M) * 4 / 2**20
        if n == 20000:
            row("same, memory beside the data, MiB", "stated", f"{a['llmr']['stated_mib']:.0f}", f"{held:.0f}", "",
                "rows of the kernel ≤ 300", a["llmr"]["params"]["cache_mb"] <= 300 and held <= a["llmr"]["stated_mib"])
        if n == 5000:
            query_row(row, f"SVM ({len(t['svm.rows'])} support vectors)", a["peer"], a["llmr"], 100)
        duel.close()


# ---- the others ----

def mlp(row, work, runs):
    n, few, many = 200000, 1, 3
    duel = Duel(work, "mlp", *scores(n))
    for _ in range(max(1, runs - 1)):
        for threads, end in ((1, ""), (2, "2")):
            for epochs in (few, many):
                p = duel.theirs("mlp", threads, f"peer{end}-{epochs}", max_iter=epochs)
                t = duel.ours("mlp", threads=threads, side=f"llmr{end}-{epochs}", max_iter=epochs, early_stopping="false")
    for side in ("peer", "llmr", "peer2", "llmr2"):
        a, b = duel.best[f"{side}-{few}"], duel.best[f"{side}-{many}"]
        duel.best[side] = dict(b, **{k: (b[k] - a[k]) / (many - few) for k in ("cpu_s", "wall_s")})

    def squares(weights):
        """Mean squared error of a net after three epochs on rows that neither side saw."""
        x, y = scores(20000, seed=2)
        h = x.astype("f8")
        for i, (w, b) in enumerate(weights):
            h = h @ w + b
            h = np.maximum(h, 0) if i + 1 < len(weights) else h
        return float(((h - y) ** 2).mean())

    verdict(row, f"MLP 128,64, one epoch of {n} rows, CPU s (wall; 2 threads)", duel, 1.5,
            squares([(p[f"w{i}"], p[f"b{i}"]) for i in range(3)]),
            squares([(t[f"mlp.0.{i}.weight"].T, t[f"mlp.0.{i}.bias"]) for i in range(3)]), word="held-out squared error")
    query_row(row, "MLP", duel.best["peer"], duel.best["llmr"], 10)
    duel.close()


def ridge(row, work, runs):
    n = 200000
    duel = Duel(work, "ridge", *scores(n))
    for _ in range(runs):
        for threads, end in ((1, ""), (2, "2")):
            p = duel.theirs("ridge", threads, "peer" + end)
            t = duel.ours("ridge", threads=threads, side="llmr" + end, lambda_=1)

    def penalised(w, b):
        total = float((w.astype("f8") ** 2).sum())
        for at in range(0, n, 20000):
            total += float(((duel.x[at:at + 20000].astype("f8") @ w + b - duel.y[at:at + 20000]) ** 2).sum())
        return total

    w = t["ridge.weight"].astype("f8")
    verdict(row, f"ridge, {n} rows × {M}, CPU s (wall; 2 threads)", duel, 1.5, penalised(p["w"].astype("f8"), p["b"]),
            penalised(w[:, :D].T, w[:, D]))
    a = duel.best["llmr"]
    row("same, memory beside the data, MiB", "stated", f"{a['stated_mib']:.0f}",
        f"{a['peak_mib'] - n * (D + M) * 4 / 2**20:.0f}", "", "blocks only", a["stated_mib"] < 64)
    query_row(row, "ridge", duel.best["peer"], a, 1)
    duel.close()


def kridge(row, work, runs):
    n, gamma, lam = 5608, 2.0, 3.0
    duel = Duel(work, "kridge", *scores(n))
    for _ in range(runs):
        for threads, end in ((1, ""), (2, "2")):
            p = duel.theirs("kridge", threads, "peer" + end, gamma=gamma, lambda_=lam)
            t = duel.ours("kridge", threads=threads, side="llmr" + end, gamma=gamma, lambda_=lam)
    v = duel.x.astype("f8")
    half = (v * v).sum(1) / 2
    k = np.exp(2 * gamma * np.minimum(v @ v.T - half[:, None] - half, 0))
    y = (duel.y - duel.y.mean(0)).astype("f8")

    def objective(a):
        fit = k @ a.T.astype("f8")
        return float(((fit - y) ** 2).sum() + lam * (a.T * fit).sum())

    verdict(row, f"kernel ridge, {n} rows, CPU s (wall; 2 threads)", duel, 2, objective(p["a"]),
            objective(t["kridge.coef"]), name="scipy")
    duel.close()


def mf(row, work, runs):
    n = 5608
    x, y = scores(n + 2000)
    one = np.eye(M, dtype="f4")[y.argmax(1)]
    duel = Duel(work, "mf", x[:n], one[:n])
    torch = os.environ.get("LLMR_TORCH", sys.executable)
    has = subprocess.run([torch, "-c", "import torch"], capture_output=True).returncode == 0
    params = {"latent_dim": 128, "epochs": 5}
    for _ in range(runs):
        if has:
            p = duel.theirs("mf", python=torch, **params)
        t = duel.ours("mf", threads=2, side="llmr2", **params)
        t = duel.ours("mf", **params)
    cpu = duel.cpu("llmr")

    def routed(w, b):
        """Mean score of the model chosen on rows that neither side saw."""
        return float(y[n:][np.arange(2000), (x[n:] @ w + b).argmax(1)].mean())

    ours = routed(t["mf.weight"].T, t["mf.bias"])
    peer = f"{duel.cpu('peer'):.2f} s" if has else "skipped: no torch (LLMR_TORCH names a python that has it)"
    pairs = int(p["pairs"]) if has else n * (M - 1)
    row(f"MF, 5 epochs, {pairs} pairs, CPU s", "torch, minibatches", peer,
        both(duel.best["llmr"], duel.best["llmr2"]), f"{duel.cpu('peer') / cpu:.1f}×" if has else "", "< 0.5 s", cpu < 0.5)
    if has:
        theirs = routed(p["w"], p["b"])
        row("same, routed score, held out", "torch, minibatches", f"{theirs:.4f}", f"{ours:.4f}", "", "no worse",
            ours >= theirs)
    duel.close()


ROWS = {"svm": svm, "mlp": mlp, "mf": mf, "ridge": ridge, "kridge": kridge}
