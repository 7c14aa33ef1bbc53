#!/usr/bin/env python3
"""Replicate a Jaeger JSON document with new trace ids, as benchmark input.

usage: gen_jaeger.py FIXTURE.json[.gz] BYTES [--max-trace N] [--indent] > OUT

Traces larger than --max-trace (default 100000 bytes) are left out, so that a
few outliers do not decide the figures. The text of each trace is kept as the
server wrote it, but for its trace id.
"""
import argparse
import gzip
import hashlib
import json
import re
import sys


def traces(text):
    """The raw text of each element of "data"."""
    decoder = json.JSONDecoder()
    at = text.index("[", text.index('"data"')) + 1
    while True:
        while text[at] in " \n\r\t,":
            at += 1
        if text[at] == "]":
            return
        value, end = decoder.raw_decode(text, at)
        yield value, text[at:end]
        at = end


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("fixture")
    ap.add_argument("bytes", type=int)
    ap.add_argument("--max-trace", type=int, default=100000)
    ap.add_argument("--indent", action="store_true")
    a = ap.parse_args()
    opener = gzip.open if a.fixture.endswith(".gz") else open
    with opener(a.fixture, "rt", encoding="utf-8") as f:
        text = f.read()
    kept = []
    for value, raw in traces(text):
        if len(raw) > a.max_trace:
            continue
        if a.indent:
            raw = json.dumps(value, indent=2, ensure_ascii=False)
        parts = re.split(re.escape(value["traceID"]).encode(), raw.encode())
        kept.append(parts)
    out = sys.stdout.buffer
    written = out.write(b'{"data":[')
    n = 0
    while written < a.bytes:
        for parts in kept:
            new = hashlib.md5(b"%d" % n).hexdigest().encode()
            written += out.write((b"," if n else b"") + new.join(parts))
            n += 1
            if written >= a.bytes:
                break
    out.write(b'],"total":0,"limit":0,"offset":0,"errors":null}')
    print(n, "traces", file=sys.stderr)


main()
