#!/usr/bin/env python3
"""Ask through the gateway: ask.py URL KEY each|auto [N]

each: every N-th of the example prompts (1), of every model by its name; the trace id goes along in
traceparent, so that the judge's labels can be told before. auto: the same prompts once, the
router decides; prints how many each model got.
"""

import collections
import concurrent.futures
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "capture"))
import sim  # noqa: E402

URL, KEY, HOW = sys.argv[1:4]
STEP = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def ask(job):
    p, model = job
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + KEY}
    if model is not None:
        headers["traceparent"] = "00-%s-%s-01" % (sim.trace_id(p, model), sim.span_id(p, model))
    body = {"model": model or "auto", "user": p.id, "messages": [{"role": "user", "content": p.text}]}
    request = urllib.request.Request(URL + "/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as r:
        return json.load(r)["model"]


prompts = sim.prompts()[::STEP]
jobs = [(p, m) for p in prompts for m in (sim.NAMES if HOW == "each" else [None])]
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    got = collections.Counter(pool.map(ask, jobs))
print("%d requests answered: %s" % (len(jobs), ", ".join("%s %d" % g for g in got.most_common())))
