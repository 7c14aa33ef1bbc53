"""Rows of peers.py for what a router is worth: cross-validated by query on real routing data.

llmr trains on four fifths of the queries by its own commands and predicts the rest; the figures are
worked out here, from the predictions of all folds together, and not by the program that is judged.
Intervals are 95 %, by bootstrap over queries. Data at LLMR_SHARED (llmrouter-dc-train.json,
routerbench-mbpp-train.csv, routellm-gsm8k.csv); a row without its data is skipped.
"""
import json
import os
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDS, DRAWS, SEED = 5, 1000, 3


class Data:
    """Records by query; y, cost [n, m] with NaN for unknown."""

    def __init__(self, llmr, work, source, path):
        self.llmr, self.work = llmr, work
        records = os.path.join(work, source + ".jsonl")
        subprocess.run([llmr, "convert", "--from", source, path, "-q", "-o", records], check=True)
        rows = [json.loads(line) for line in open(records)]
        self.texts = list(dict.fromkeys(r["query"] for r in rows))
        self.models = sorted({r["model_name"] for r in rows})
        number = {q: i for i, q in enumerate(self.texts)}
        column = {m: j for j, m in enumerate(self.models)}
        shape = len(self.texts), len(self.models)
        self.y, self.cost = np.full(shape, np.nan), np.full(shape, np.nan)
        self.lines = [[] for _ in self.texts]
        for r in rows:
            i, j = number[r["query"]], column[r["model_name"]]
            self.y[i, j], self.cost[i, j] = r["performance"], r.get("cost", np.nan)
            self.lines[i].append(json.dumps(r))
        self.fold = np.empty(len(self.texts), int)
        self.fold[np.random.default_rng(SEED).permutation(len(self.texts))] = np.arange(len(self.texts)) % FOLDS

    def predict(self, kind, fold=None, *options):
        """Score and cost that a router trained on the other folds predicts; the best single of those."""
        fold = self.fold if fold is None else fold
        score, cost, single = np.zeros(self.y.shape), np.full(self.y.shape, np.nan), np.zeros(len(fold), int)
        choice = np.zeros(len(fold), int)
        name = os.path.join(self.work, "fold")
        for f in sorted(set(fold)):
            test = np.flatnonzero(fold == f)
            with open(name + ".jsonl", "w") as out:
                for i in np.flatnonzero(fold != f):
                    out.write("\n".join(self.lines[i]) + "\n")
            with open(name + ".q", "w") as out:
                for i in test:
                    out.write(json.dumps({"query": self.texts[i]}) + "\n")
            subprocess.run([self.llmr, "train", kind, "--data", name + ".jsonl", "--no-runs", "-q", "-o",
                            name + ".safetensors", *options], check=True, stderr=subprocess.DEVNULL)
            got = subprocess.run([self.llmr, "route", "--model", name + ".safetensors", "--jsonl", "--json", "--explain"],
                                 stdin=open(name + ".q"), capture_output=True, check=True).stdout.splitlines()
            for i, line in zip(test, got, strict=True):
                r = json.loads(line)
                score[i] = [r["scores"][m] for m in self.models]
                choice[i] = self.models.index(r["model"])
                if "costs" in r:
                    cost[i] = [np.nan if r["costs"].get(m) is None else r["costs"][m] for m in self.models]
            single[test] = np.nanmean(self.y[fold != f], 0).argmax()
        return score, cost, choice, single

    def vote(self, k):
        job = os.path.join(self.work, "vote.json")
        json.dump({"texts": self.texts, "y": self.y.tolist(), "fold": self.fold.tolist(), "k": k}, open(job, "w"))
        out = subprocess.run([sys.executable, os.path.join(HERE, "quality_peer.py"), job], capture_output=True, check=True)
        return np.array(json.loads(out.stdout)["share"])


def gain(x, draws=DRAWS):
    """Mean and its 95 % interval."""
    rng = np.random.default_rng(SEED)
    means = [x[rng.integers(0, len(x), len(x))].mean() for _ in range(draws)]
    return x.mean(), np.percentile(means, 2.5), np.percentile(means, 97.5)


def at(y, choice):
    return y[np.arange(len(y)), choice]


def open_data(llmr, work, shared, source, name):
    path = os.path.join(shared, "data", name)
    if not os.path.exists(path):
        return print(f"{name}: skipped, not at", shared)
    return Data(llmr, work, source, path)


# ---- LLMRouter's data ----

def dc(row, work, llmr, shared):
    data = open_data(llmr, work, shared, "dcrouter", "llmrouter-dc-train.json")
    if data is None:
        return
    vote = at(data.y, data.vote(5).argmax(1)).mean()
    for kind, bar in (("hybrid", 0.655), ("knn", 0.650), ("svm", 0.645), ("mlp", 0.635), ("mf", None)):
        _, _, choice, single = data.predict(kind)
        mine, alone = at(data.y, choice), at(data.y, single)
        mean, lo, hi = gain(mine - alone)
        closed = mean / (np.nanmax(data.y, 1).mean() - alone.mean())
        bar = bar or alone.mean() - 0.003
        fine = mine.mean() >= bar and (kind != "hybrid" or lo >= 0.025)
        row(f"routed score, {kind}, 5-fold (best single {alone.mean():.4f})", "scikit-learn, KNN vote k=5", f"{vote:.4f}",
            f"{mine.mean():.4f}, gain {mean:+.4f} [{lo:+.4f}, {hi:+.4f}]", f"{closed:.1%} of the gap",
            f"≥ {bar:.4f}" + (", gain's lower end ≥ 0.025" if kind == "hybrid" else ""), fine)


def regions(texts, k=8):
    """Groups of like texts, for leaving one out: these data name no tasks."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    x = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), TruncatedSVD(50, random_state=0),
                      Normalizer(copy=False)).fit_transform(texts)
    return KMeans(k, n_init=4, random_state=0).fit_predict(x)


def tasks(row, work, llmr, shared):
    data = open_data(llmr, work, shared, "dcrouter", "llmrouter-dc-train.json")
    if data is None:
        return
    region = regions(data.texts)
    _, _, choice, single = data.predict("hybrid", region)
    diff, worst = at(data.y, choice) - at(data.y, single), []
    for r in sorted(set(region)):
        mean, lo, hi = gain(diff[region == r])
        worst.append((hi, f"{mean:+.3f} [{lo:+.3f}, {hi:+.3f}]"))
    mean, lo, hi = gain(diff)
    row("hybrid, one of 8 regions left out, gain over best single", "always best single", "0", f"{mean:+.4f} [{lo:+.4f}, {hi:+.4f}]",
        "; ".join(w for _, w in worst), "no region below by more than the noise", min(worst)[0] >= 0)


# ---- cost and quality ----

PRICES = np.concatenate([[0], np.logspace(-4, 5, 120), [np.inf]])


def frontier(y, cost, score, guess):
    """Choices at each price; their true scores and costs [n, prices]."""
    picks = [(guess if w == 0 else -score if np.isinf(w) else guess - w * score).argmin(1) for w in PRICES]
    return np.stack([at(y, p) for p in picks], 1), np.stack([at(cost, p) for p in picks], 1)


def hull_area(x, y, lo, hi):
    """RouterBench's AIQ: mean height of the non-decreasing upper hull of the points and of nothing at
    no cost, between lo and hi."""
    points, hull, best = sorted({(0.0, 0.0), *zip(x, y)}, key=lambda p: (p[0], -p[1])), [], -1.0
    for p in points:
        if p[1] <= best:
            continue
        best = p[1]
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (p[0] - hull[-2][0]) <= (p[1] - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append(p)
    grid = np.linspace(lo, hi, 2001)
    return float(np.interp(grid, [p[0] for p in hull], [p[1] for p in hull]).mean())


def routerbench(row, work, llmr, shared):
    data = open_data(llmr, work, shared, "routerbench", "routerbench-mbpp-train.csv")
    if data is None:
        return
    rng, n = np.random.default_rng(SEED), len(data.y)
    draws = [np.arange(n)] + [rng.integers(0, n, n) for _ in range(300)]
    for kind in ("hybrid", "knn"):
        score, guess, _, _ = data.predict(kind)
        true, paid = frontier(data.y, data.cost, score, guess)
        mine, alone = [], []
        for d in draws:
            sy, sc = data.y[d].mean(0), data.cost[d].mean(0)
            mine.append(hull_area(paid[d].mean(0), true[d].mean(0), sc.min(), sc.max()))
            alone.append(hull_area(sc, sy, sc.min(), sc.max()))
        diff = np.array(mine) - np.array(alone)
        lo, hi = np.percentile(diff[1:], [2.5, 97.5])
        row(f"AIQ, RouterBench mbpp ({n} rows), {kind}, 5-fold", "single models' hull", f"{alone[0]:.4f}",
            f"{mine[0]:.4f}, difference [{lo:+.4f}, {hi:+.4f}]", "",
            *(("≥ hull − 0.010", diff[0] >= -0.010) if kind == "hybrid" else ("",)))
        strong = data.y.mean(0).argmax()
        want, dear = 0.95 * data.y[:, strong].mean(), data.cost[:, strong].mean()
        enough = [c for c, s in zip(paid.mean(0), true.mean(0)) if s >= want]
        row("same, cost at 95 % of the strongest's score, $ a query", data.models[strong], f"{dear:.5f}",
            f"{min(enough):.5f}" if enough else "never", f"{min(enough) / dear:.0%}" if enough else "", "")


# ---- weak and strong ----

def apgr(lead, weak, strong):
    """RouteLLM: mean recovered gap over ten equal steps of the share of strong calls; CPT(50 %)."""
    cut = np.quantile(lead, np.linspace(0, 1, 11))[::-1]
    share, pgr = [], []
    for k, t in enumerate(cut):
        yes = lead > t if k == 0 else lead >= t
        share.append(yes.mean())
        pgr.append((np.where(yes, strong, weak).mean() - weak.mean()) / (strong.mean() - weak.mean()))
    area = sum((share[i + 1] - share[i]) * (pgr[i + 1] + pgr[i]) / 2 for i in range(10))
    i = next(i for i, p in enumerate(pgr) if p >= 0.5)
    cpt = share[i - 1] + (share[i] - share[i - 1]) * (0.5 - pgr[i - 1]) / (pgr[i] - pgr[i - 1]) if i else share[0]
    return area, cpt


def routellm(row, work, llmr, shared):
    data = open_data(llmr, work, shared, "routellm", "routellm-gsm8k.csv")
    if data is None:
        return
    weak, strong = np.argsort(data.y.mean(0))
    if strong == 0:	# the vote breaks ties to the second
        data.models.reverse()
        data.y, data.cost, (weak, strong) = data.y[:, ::-1].copy(), data.cost[:, ::-1].copy(), (0, 1)
    y = data.y
    theirs, cpt = apgr(data.vote(15)[:, strong], y[:, weak], y[:, strong])
    for kind in ("hybrid", "ridge", "knn"):
        judged = kind == "hybrid"	# the default carries the bar, the others inform
        score, _, _, _ = data.predict(kind)
        lead = score[:, strong] - score[:, weak]
        mine, at50 = apgr(lead, y[:, weak], y[:, strong])
        rng, n = np.random.default_rng(SEED), len(y)
        draws = [apgr(lead[d], y[d, weak], y[d, strong])[0] for d in (rng.integers(0, n, n) for _ in range(300))]
        lo, hi = np.percentile(draws, [2.5, 97.5])
        row(f"APGR, RouteLLM gsm8k, {kind}, 5-fold", "scikit-learn, KNN vote k=15", f"{theirs:.3f}",
            f"{mine:.3f} [{lo:.3f}, {hi:.3f}]", "", *(("≥ 0.61", mine >= 0.61) if judged else ("",)))
        row("same, CPT(50 %)", "scikit-learn, KNN vote k=15", f"{cpt:.1%}", f"{at50:.1%}", "",
            *(("≤ 38 %", at50 <= 0.38) if judged else ("",)))


ROWS = {"dc": dc, "tasks": tasks, "routerbench": routerbench, "routellm": routellm}
