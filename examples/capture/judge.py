#!/usr/bin/env python3
"""Write the simulated judge's labels to stdout: one JSON object per request."""

import json

import sim

for p in sim.prompts():
    for m in sim.NAMES:
        print(json.dumps({"trace_id": sim.trace_id(p, m), "model_name": m, "task_name": p.task,
                          "performance": sim.performance(p, m)}, separators=(",", ":")))
