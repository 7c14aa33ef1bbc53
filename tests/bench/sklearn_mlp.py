"""The peer: scikit-learn's MLPRegressor and MLPClassifier, hidden layers 128,64, one epoch on random rows.

usage: sklearn_mlp.py [ROWS [EPOCHS]]   -> one JSON object
CPU seconds of one epoch (the difference between EPOCHS+1 epochs and one) on one thread, and
microseconds of CPU of one query, single precision. Rows have 384 dimensions, 9 outputs.
"""
import json
import os
import sys
import time
import warnings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

warnings.filterwarnings("ignore")
rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
rng = np.random.default_rng(1)
x = rng.standard_normal((rows, 384), dtype=np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
score = rng.random((rows, 9), dtype=np.float32)


def seconds(kind, y, n):
    net = kind(hidden_layer_sizes=(128, 64), batch_size=200, alpha=1e-4, max_iter=n, n_iter_no_change=1000)
    c, w = time.process_time(), time.perf_counter()
    net.fit(x, y)
    return net, time.process_time() - c, time.perf_counter() - w


out = {"rows": rows}
for name, kind, y in (("regressor", MLPRegressor, score), ("classifier", MLPClassifier, score.argmax(1))):
    _, c1, w1 = seconds(kind, y, 1)
    net, c2, w2 = seconds(kind, y, 1 + epochs)
    predict = net.predict if name == "regressor" else net.predict_proba
    c = time.process_time()
    for i in range(500):
        predict(x[i:i + 1])
    out[name] = {
        "epoch_cpu_s": round((c2 - c1) / epochs, 3),
        "epoch_wall_s": round((w2 - w1) / epochs, 3),
        "query_us": round((time.process_time() - c) / 500 * 1e6, 1),
    }
print(json.dumps(out))
