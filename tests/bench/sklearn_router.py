"""The peer: scikit-learn's TF-IDF + truncated SVD, then the same nearest-neighbour rule in numpy.

usage: sklearn_router.py dcrouter.json   -> one JSON object
Counts CPU seconds of one fit on all rows, the 5-fold routed score (embedder refitted in each
fold), and the time of one whole decision.
"""
import json
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import Normalizer

rows = json.load(open(sys.argv[1]))
texts = [r["question"] for r in rows]
models = sorted({m for r in rows for m in r["scores"]})
Y = np.array([[r["scores"].get(m, np.nan) for m in models] for r in rows])


def lsa():
    return make_pipeline(
        FeatureUnion([
            ("word", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)),
            ("char", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)),
        ]),
        TruncatedSVD(256, random_state=0),
        Normalizer(copy=False),
    )


def scores(train, y, q, k=200, temperature=0.2):
    s = train @ q
    top = np.argpartition(-s, min(k, len(s) - 1))[:k]
    w = np.exp((s[top] - s[top].max()) / temperature)
    return w @ y[top] / w.sum()


c = time.process_time()
pipe = lsa()
E = pipe.fit_transform(texts)
fit_cpu = time.process_time() - c

order = np.random.default_rng(0).permutation(len(texts))
routed, single = [], []
for fold in range(5):
    test = order[fold::5]
    train = np.setdiff1d(order, test)
    p = lsa()
    A = p.fit_transform([texts[i] for i in train])
    B = p.transform([texts[i] for i in test])
    best = Y[train].mean(0).argmax()
    for b, i in zip(B, test):
        routed.append(Y[i, scores(A, Y[train], b).argmax()])
        single.append(Y[i, best])

laps = []
for i in range(400):
    t = time.perf_counter()
    scores(E, Y, pipe.transform([texts[(i * 13) % len(texts)]])[0]).argmax()
    laps.append((time.perf_counter() - t) * 1e6)
laps.sort()
print(json.dumps({
    "fit_cpu_s": round(fit_cpu, 2), "cv_score": round(float(np.mean(routed)), 4),
    "best_single": round(float(np.mean(single)), 4),
    "decision_us": {"p50": round(laps[200], 1), "p99": round(laps[395], 1)},
}))
