#!/usr/bin/env python3
"""Filter OTLP JSON Lines: keep the LLM span and the decision span of each trace.

Of the LLM span some bulky attributes that tell nothing here are left out:
hidden_params, those of the API key, zero cost adjustments, and empty metadata.
The traces come out in order of time, one to a line.
"""

import json
import sys

KEEP = {"litellm_request", "llm.routing.decision"}
DROP = ("hidden_params", "metadata.user_api_key_", "gen_ai.cost.margin_", "gen_ai.cost.discount_",
        "metadata.used_client_oauth_token")


def wanted(attribute):
    if attribute["key"].startswith("metadata.") and attribute["value"].get("stringValue") in ("", "{}", "[]"):
        return False
    return not attribute["key"].startswith(DROP)


def slim(request):
    """The request with the wanted spans alone, and the time of its first span (None: nothing is left)."""
    first = None
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            scope["spans"] = [s for s in scope["spans"] if s["name"] in KEEP]
            for span in scope["spans"]:
                span["attributes"] = [a for a in span["attributes"] if wanted(a)]
                start = int(span["startTimeUnixNano"])
                first = start if first is None else min(first, start)
        resource["scopeSpans"] = [s for s in resource["scopeSpans"] if s["spans"]]
    request["resourceSpans"] = [r for r in request["resourceSpans"] if r["scopeSpans"]]
    return first, request


lines = [slim(json.loads(line)) for line in sys.stdin]
for _, request in sorted((x for x in lines if x[0] is not None), key=lambda x: x[0]):
    print(json.dumps(request, ensure_ascii=False, separators=(",", ":")))
