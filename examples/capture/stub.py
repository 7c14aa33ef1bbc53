#!/usr/bin/env python3
"""An OpenAI-compatible upstream that only pretends: stub.py [PORT].

It knows the prompts of this directory by their text and answers with a fixed
sentence, after the response time and with the token counts that sim.py draws.
"""

import http.server
import json
import sys
import time

import sim

BY_TEXT = {p.text: p for p in sim.prompts()}
BY_NAME = {m.split("/", 1)[1]: m for m in sim.NAMES}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "stub", ""

    def log_message(self, *args):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        model = BY_NAME.get(body.get("model", ""))
        content = body.get("messages", [{}])[-1].get("content", "")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        prompt = BY_TEXT.get(content)
        if model is None or prompt is None:
            return self.reply(404, {"error": {"message": "unknown model or prompt", "type": "not_found"}})
        time.sleep(sim.seconds(prompt, model))
        n_in, n_out = sim.tokens(prompt, model)
        self.reply(200, {
            "id": "chatcmpl-" + sim.span_id(prompt, model), "object": "chat.completion",
            "created": int(time.time()), "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": sim.answer(prompt, model)}}],
            "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out},
        })


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 18200
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
