#!/usr/bin/env python3
"""Ask every prompt of every model through the gateway: ask.py [URL].

Of each prompt's requests one goes to the alias, where the gateway decides
(sim.policy tells which model that will be); the others name their model. The
trace id comes with the request, in traceparent, so labels can be told before.
"""

import concurrent.futures
import json
import sys
import urllib.request

import sim

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:18400"


def ask(job):
    p, model, routed = job
    body = {"model": sim.ALIAS if routed else model, "messages": [{"role": "user", "content": p.text}],
            "metadata": {"task": p.task}}
    request = urllib.request.Request(URL + "/v1/chat/completions", json.dumps(body).encode(), {
        "Content-Type": "application/json", "Authorization": "Bearer sk-example",
        "User-Agent": "llmr-example",
        "traceparent": "00-%s-%s-01" % (sim.trace_id(p, model), sim.span_id(p, model))})
    with urllib.request.urlopen(request, timeout=120) as r:
        got = json.load(r)["choices"][0]["message"]["content"]
    if got != sim.answer(p, model):
        raise SystemExit("%s: answered by another model: %s" % (p.id, got))


def main():
    jobs = []
    for p in sim.prompts():
        chosen = sim.policy(p)[1]
        jobs += [(p, m, m == chosen) for m in sim.NAMES]
    sim.draw("order").shuffle(jobs)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for n, _ in enumerate(pool.map(ask, jobs), 1):
            if n % 200 == 0 or n == len(jobs):
                print("%d of %d requests" % (n, len(jobs)), file=sys.stderr)


if __name__ == "__main__":
    main()
