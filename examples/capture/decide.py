"""LiteLLM hook: requests to the alias are routed by sim.policy, and the decision is traced.

The span carries one event, routeiq.router_decision.v1, whose payload is the
contract's JSON; the propensity, where the strategy knows it, stands in
custom_attributes. Loaded by config.yaml as decide.hook.
"""

import datetime
import json
import time
import uuid

from litellm.integrations.custom_logger import CustomLogger
from opentelemetry import trace

import sim

BY_TEXT = {p.text: p for p in sim.prompts()}
EVENT = "routeiq.router_decision.v1"


def payload(span, prompt, strategy, model, prior, propensity, took_ms):
    context = span.get_span_context()
    now = time.time()
    stamp = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    return {
        "contract_version": "v1", "contract_name": EVENT, "event_id": str(uuid.uuid4()),
        "trace_id": format(context.trace_id, "032x"), "span_id": format(context.span_id, "016x"),
        "parent_span_id": None,
        "timestamp_utc": stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "timestamp_unix_ms": int(now * 1000),
        "input": {"requested_model": sim.ALIAS, "query_length": len(prompt.text), "user_id": None,
                  "team_id": None, "api_type": "chat", "request_metadata": {}},
        "strategy_name": strategy, "strategy_version": "1",
        "candidate_deployments": [
            {"model_name": m, "provider": m.split("/")[0], "score": prior.get(m), "available": True}
            for m in sim.NAMES],
        "selected_deployment": model,
        "selection_reason": "exploration" if prior else "priority",
        "timings": {"total_ms": took_ms, "strategy_ms": took_ms, "embedding_ms": None, "candidate_filter_ms": None},
        "outcome": {"status": "success", "error_message": None, "error_type": None, "input_tokens": None,
                    "output_tokens": None, "total_tokens": None, "api_type": None},
        "fallback": {"fallback_triggered": False, "original_model": None, "fallback_reason": None,
                     "fallback_attempt": 0},
        "custom_attributes": {} if propensity is None else {"propensity": propensity},
    }


class Decide(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        if data.get("model") != sim.ALIAS:
            return data
        prompt = BY_TEXT[data["messages"][-1]["content"]]
        parent = getattr(user_api_key_dict, "parent_otel_span", None)
        context = trace.set_span_in_context(parent) if parent is not None else None
        with trace.get_tracer("examples.router").start_as_current_span("llm.routing.decision", context) as span:
            began = time.perf_counter()
            strategy, model, prior, propensity = sim.policy(prompt)
            took_ms = (time.perf_counter() - began) * 1000
            span.set_attributes({
                "router.strategy": strategy, "router.strategy_version": "1", "router.model_selected": model,
                "router.candidates_evaluated": len(sim.NAMES), "router.decision_outcome": "success",
                "router.latency_ms": took_ms,
            })
            record = payload(span, prompt, strategy, model, prior, propensity, took_ms)
            span.add_event(EVENT, {"routeiq.router_decision.payload": json.dumps(record)})
        data["model"] = model
        return data


hook = Decide()
