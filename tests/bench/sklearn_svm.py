"""Support vector machines side by side: scikit-learn and svmbench on the same rows.

usage: sklearn_svm.py SVMBENCH [ROWS ...]   (default 5000 20000; scikit-learn is left out above 20000)

Nine noisy classes of about the same size in 60 clusters, 384 dimensions, rbf, C = 1, gamma = scale. For each size: CPU
seconds of the fit, the dual objective (lower is better) summed over the 36 pairs, worked out here
in double precision from each side's own coefficients.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
D, K, SEED = 384, 9, 7


def make(n, rng):
    centre = rng.normal(size=(60, D))
    owner = np.arange(60) % K
    cluster = rng.integers(0, 60, n)
    x = (centre[cluster] + 1.5 * rng.normal(size=(n, D))).astype("f4")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = owner[cluster]
    noisy = rng.random(n) < 0.4
    y[noisy] = rng.integers(0, K, int(noisy.sum()))
    return x, y


def tensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    size = int.from_bytes(raw[:8], "little")
    kinds = {"F32": "<f4", "F16": "<f2", "U32": "<u4"}
    out = {}
    for name, t in json.loads(raw[8 : 8 + size]).items():
        if t.get("dtype") in kinds:
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + size + a : 8 + size + b], kinds[t["dtype"]]).reshape(t["shape"])
    return out


def objective(x, gamma, rows, beta):
    """1/2 b'Kb - sum |b| of one pair, b = y alpha."""
    v = x[rows].astype("f8")
    half = (v * v).sum(1) / 2
    total = -np.abs(beta).sum()
    for at in range(0, len(rows), 2000):
        k = np.exp(2 * gamma * np.minimum(v[at : at + 2000] @ v.T - half[at : at + 2000, None] - half, 0))
        total += 0.5 * beta[at : at + 2000] @ (k @ beta)
    return total


def total_objective(x, gamma, rows, counts, coef):
    """coef [K - 1, rows], rows sorted by class."""
    start = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    total = 0.0
    for a in range(K):
        for b in range(a + 1, K):
            ra, rb = slice(start[a], start[a + 1]), slice(start[b], start[b + 1])
            beta = np.concatenate([coef[b - 1, ra], coef[a, rb]]).astype("f8")
            here = np.concatenate([rows[ra], rows[rb]])
            used = beta != 0
            total += objective(x, gamma, here[used], beta[used])
    return total


def ours(bench, x, y, folder, threads, **params):
    n = len(x)
    one = np.zeros((n, K), "f4")
    one[np.arange(n), y] = 1
    x.tofile(f"{folder}/x")
    one.tofile(f"{folder}/y")
    args = [bench, f"{folder}/x", f"{folder}/y", str(n), str(D), str(K), "best", str(threads), f"{folder}/out"]
    r = subprocess.run(args + [f"{k}={v}" for k, v in params.items()], capture_output=True, text=True, check=True)
    return json.loads(r.stdout), tensors(f"{folder}/out")


def row_numbers(x, t):
    """Training rows of the stored ones: equal bytes once rounded to half precision."""
    where = {h.tobytes(): i for i, h in enumerate(x.astype("f2"))}
    return np.array([where[r.tobytes()] for r in t["svm.rows"]])


def peer(x, y):
    from sklearn.svm import SVC

    before = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.time()
    m = SVC(C=1, gamma="scale", cache_size=300).fit(x, y)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return m, cpu, time.time() - wall


def main():
    bench = sys.argv[1]
    print("| rows | scikit-learn CPU s | llmr CPU s (1, 2 threads; wall) | with probability | times faster "
          "| objective scikit-learn | objective llmr | MiB peak |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for n in [int(a) for a in sys.argv[2:]] or [5000, 20000]:
        x, y = make(n, np.random.default_rng(SEED))
        with tempfile.TemporaryDirectory() as folder:
            one, t = ours(bench, x, y, folder, 1, C=1, probability="false")
            two, _ = ours(bench, x, y, folder, 2, C=1, probability="false")
            prob, _ = ours(bench, x, y, folder, 1, C=1)
        cells = [str(n), "-", f"{one['cpu_s']:.2f}, {two['cpu_s']:.2f} ({one['wall_s']:.2f}, {two['wall_s']:.2f})",
                 f"{prob['cpu_s']:.2f} ({prob['cpu_s'] / one['cpu_s']:.2f}x)", "-", "-", "-", f"{one['peak_mib']:.0f}"]
        if n <= 20000:
            m, cpu, wall = peer(x, y)
            gamma = m._gamma
            cells[1] = f"{cpu:.2f} ({wall:.2f})"
            cells[4] = f"{cpu / one['cpu_s']:.1f}"
            cells[5] = f"{total_objective(x, gamma, m.support_, m.n_support_, m.dual_coef_):.4f}"
            cells[6] = f"{total_objective(x, gamma, row_numbers(x, t), t['svm.class_rows'], t['svm.coef']):.4f}"
        print("| " + " | ".join(cells) + " |", flush=True)


main()
