"""The peers of the kinds: one fit of scikit-learn, scipy or torch in a process of its own.

usage: kinds_peer.py svm|mlp|mf|ridge|kridge X Y N D M OUT.npz [NAME=VALUE ...]

X [N x D] and Y [N x M] are raw floats, as kindbench reads them. Prints one JSON object: CPU and wall
seconds of the fit, the median microseconds of one query, the BLAS kernel; what was fitted goes to
OUT.npz, for the caller to judge. Threads by OMP_NUM_THREADS and OPENBLAS_NUM_THREADS.
"""
import json
import os
import statistics
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")


class Lap:
    def __enter__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall


def query_us(predict, x, n=500):
    laps = []
    for i in range(n):
        q = x[i * 7919 % len(x)][None]
        t = time.perf_counter()
        predict(q)
        laps.append((time.perf_counter() - t) * 1e6)
    return statistics.median(laps)


def svm(x, y, p):
    from sklearn.svm import SVC

    label = y.argmax(1)
    with Lap() as lap:
        m = SVC(C=1, gamma="scale", cache_size=300, probability=p.get("probability") == "1").fit(x, label)
    return lap, m.predict, {"rows": m.support_, "counts": m.n_support_, "coef": m.dual_coef_, "gamma": m._gamma}


def mlp(x, y, p):
    from sklearn.neural_network import MLPRegressor

    m = MLPRegressor(hidden_layer_sizes=(128, 64), batch_size=200, alpha=1e-4, max_iter=int(p["max_iter"]),
                     n_iter_no_change=1000, random_state=1)
    with Lap() as lap:
        m.fit(x, y)
    out = {}
    for i, (w, b) in enumerate(zip(m.coefs_, m.intercepts_)):
        out[f"w{i}"], out[f"b{i}"] = w, b
    return lap, m.predict, out


def ridge(x, y, p):
    from sklearn.linear_model import Ridge

    with Lap() as lap:
        m = Ridge(alpha=1, solver="cholesky").fit(x, y)
    w, b = m.coef_.T.copy(), m.intercept_
    return lap, lambda q: q @ w + b, {"w": w, "b": b}


def kridge(x, y, p):
    """scipy's Cholesky, in double precision as numpy users have it."""
    from scipy.linalg import cho_factor, cho_solve

    with Lap() as lap:
        v = x.astype("f8")
        half = (v * v).sum(1) / 2
        k = np.exp(2 * float(p["gamma"]) * np.minimum(v @ v.T - half[:, None] - half, 0))
        k[np.diag_indices(len(k))] += float(p["lambda"])
        a = cho_solve(cho_factor(k, lower=True, overwrite_a=True), y - y.mean(0))
    return lap, None, {"a": a.T}


def mf(x, y, p):
    """The bilinear form of RouteLLM and LLMRouter (model embeddings of unit length, a learned weight of
    each dimension), in minibatches of 256 pairs with Adam: as fast as torch is on a CPU."""
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(1)
    n, d, m, k = len(x), x.shape[1], y.shape[1], int(p["latent_dim"])
    win = np.repeat(y.argmax(1), m)
    lose = np.tile(np.arange(m), n)
    keep = win != lose
    q = torch.from_numpy(np.repeat(np.arange(n), m)[keep])
    win, lose = torch.from_numpy(win[keep]), torch.from_numpy(lose[keep])
    text, proj = torch.from_numpy(x), torch.nn.Linear(d, k, bias=False)
    model, weigh = torch.nn.Embedding(m, k), torch.nn.Linear(k, 1, bias=False)
    opt = torch.optim.Adam([*proj.parameters(), *model.parameters(), *weigh.parameters()], lr=1e-3)
    unit = torch.nn.functional.normalize
    with Lap() as lap:
        for _ in range(int(p["epochs"])):
            order = torch.randperm(len(q))
            for at in range(0, len(q), 256):
                i = order[at:at + 256]
                diff = weigh(proj(text[q[i]]) * (unit(model(win[i])) - unit(model(lose[i]))))
                loss = torch.nn.functional.softplus(-diff).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
    w = ((unit(model.weight) * weigh.weight) @ proj.weight).detach().numpy().T.copy()
    return lap, lambda z: z @ w, {"w": w, "b": np.zeros(m), "pairs": len(q)}


def blas_core():
    import ctypes

    for line in open("/proc/self/maps"):
        path = line.split()[-1]
        if "openblas" in path:
            lib = ctypes.CDLL(path)
            for name in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename"):
                if hasattr(lib, name):
                    getattr(lib, name).restype = ctypes.c_char_p
                    return getattr(lib, name)().decode()
    return "unknown"


def main():
    kind, fx, fy, n, d, m, out = sys.argv[1:8]
    x = np.fromfile(fx, "f4").reshape(int(n), int(d))
    y = np.fromfile(fy, "f4").reshape(int(n), int(m))
    lap, predict, fitted = globals()[kind](x, y, dict(a.split("=") for a in sys.argv[8:]))
    us = query_us(predict, x) if predict else None
    np.savez(out, **fitted)
    print(json.dumps({"cpu_s": lap.cpu, "wall_s": lap.wall, "query_p50_us": us, "blas": blas_core()}))


main()
