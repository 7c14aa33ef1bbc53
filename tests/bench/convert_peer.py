#!/usr/bin/env python3
"""Jaeger JSON to one JSON line per LLM span with Python's json, as convert's peer.

usage: convert_peer.py TRACES.json [RECORDS.jsonl]     (else stdout; figures on stderr)

Loads the document whole and takes about the ten fields that a routing record
needs. CPU time is what the process used, reading and start-up included.
"""
import json
import resource
import sys
import time


def last_user(text):
    try:
        messages = json.loads(text)
    except ValueError:
        return text
    for m in reversed(messages if isinstance(messages, list) else []):
        if not isinstance(m, dict) or m.get("role") != "user":
            continue
        content = m.get("content") or m.get("parts") or ""
        if isinstance(content, str):
            return content
        return "".join(p.get("content") or p.get("text") or "" for p in content
                       if isinstance(p, dict))
    return None


def record(span):
    tags = {t["key"]: t["value"] for t in span["tags"]}
    prompt = tags.get("gen_ai.input.messages")
    if prompt is None or "gen_ai.operation.name" not in tags:
        return None
    return {
        "query": last_user(prompt),
        "model_name": tags.get("litellm.provider.model") or tags.get("gen_ai.request.model"),
        "response_time": span["duration"] / 1e6,
        "input_tokens": tags.get("gen_ai.usage.input_tokens"),
        "output_tokens": tags.get("gen_ai.usage.output_tokens"),
        "token_num": tags.get("gen_ai.usage.total_tokens"),
        "cost": tags.get("gen_ai.cost.total_cost"),
        "status": "error" if tags.get("error") else "ok",
        "error_type": tags.get("error.type"),
        "trace_id": span["traceID"],
        "span_id": span["spanID"],
        "timestamp": span["startTime"],
    }


def main():
    start = time.monotonic()
    n = 0
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    size = len(data)
    doc = json.loads(data)
    del data
    out = open(sys.argv[2], "w", encoding="utf-8") if len(sys.argv) > 2 else sys.stdout
    for trace in doc["data"]:
        for span in trace["spans"]:
            r = record(span)
            if r is not None:
                n += 1
                out.write(json.dumps(r, ensure_ascii=False) + "\n")
    out.flush()
    u = resource.getrusage(resource.RUSAGE_SELF)
    cpu = u.ru_utime + u.ru_stime
    print("%d records, %.1f MB/s cpu, %.1f MB/s wall, %d MiB peak" %
          (n, size / 1e6 / cpu, size / 1e6 / (time.monotonic() - start), u.ru_maxrss // 1024),
          file=sys.stderr)


main()
