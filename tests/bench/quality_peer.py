"""The peers' usual recipe: the best model as a label, k nearest neighbours vote.

usage: quality_peer.py FOLDS.json   {"texts", "y" (rows of scores), "fold", "k"} -> {"share"}
Text to vector by TF-IDF and truncated SVD, fitted anew in each fold. share[i][j] is the part of the
k neighbours of query i whose label is model j; label = the first of the best models.
"""
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import Normalizer

job = json.load(open(sys.argv[1]))
texts, y, fold = job["texts"], np.array(job["y"]), np.array(job["fold"])
share = np.zeros(y.shape)
for f in sorted(set(fold)):
    train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
    pipe = make_pipeline(
        FeatureUnion([
            ("word", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)),
            ("char", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)),
        ]),
        TruncatedSVD(min(256, len(train) - 1), random_state=0), Normalizer(copy=False))
    knn = KNeighborsClassifier(job["k"], metric="cosine", algorithm="brute")
    # The first of the best in the order of the file; of a weak and a strong model, the strong one.
    label = y[train].argmax(1) if y.shape[1] > 2 else (y[train, 1] >= y[train, 0]).astype(int)
    knn.fit(pipe.fit_transform([texts[i] for i in train]), label)
    share[np.ix_(test, knn.classes_)] = knn.predict_proba(pipe.transform([texts[i] for i in test]))
print(json.dumps({"share": share.tolist()}))
