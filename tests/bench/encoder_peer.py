"""The sentence encoder beside onnxruntime and sentence-transformers, in turn, on the same prompts.

bench_encoder(row) is called by peers.py; run alone it prints its own table. LLMR_PY_ORT and
LLMR_PY_TORCH name interpreters that have onnxruntime (with onnx, for quantising) and
sentence-transformers (with onnx, for exporting). Times are thread CPU, medians and P99 over all
calls: on a machine shared with others wall time tells about them.
"""
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("B", os.path.join(ROOT, "build"))
SHARED = os.environ.get("LLMR_SHARED", os.path.join(ROOT, "..", "shared"))
WORK = os.path.join(BUILD, "bench", "encoder")
MODEL = os.environ.get("LLMR_MODEL", os.path.join(BUILD, "model"))
LENGTHS = (12, 40, 128, 256)
DTYPES = ("fp32", "bf16", "int8")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
BARS = {"fp32": (0.65, 0.8, 0.9, 0.9), "bf16": (1, 1, 1, 1), "int8": (0.6, 0.65, 0.65, 0.7)}
FIDELITY = {"fp32": 0.99999, "bf16": 0.9999, "int8": 0.995}


def pack(texts):
    return b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)


# ---- what the peers' processes do: one JSON request a line, one answer a line ----

def serve_torch():
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(1)
    m = SentenceTransformer(MODEL, device="cpu")
    tok = m.tokenizer
    for line in sys.stdin:
        r = json.loads(line)
        if r["do"] == "export":
            class Hidden(torch.nn.Module):
                def __init__(self, inner):
                    super().__init__()
                    self.inner = inner

                def forward(self, ids, mask, types):
                    return self.inner(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
            from transformers import BertModel
            inner = BertModel.from_pretrained(MODEL, attn_implementation="eager").eval()
            ids = torch.randint(0, 1000, (1, 16))
            names = ["input_ids", "attention_mask", "token_type_ids"]
            torch.onnx.export(Hidden(inner), (ids, torch.ones_like(ids), torch.zeros_like(ids)), r["path"],
                              input_names=names, output_names=["hidden"], opset_version=14, dynamo=False,
                              dynamic_axes={k: {0: "b", 1: "s"} for k in names + ["hidden"]})
            answer = "done"
        elif r["do"] == "cut":      # texts of exactly so many tokens
            answer = []
            for t in r["texts"]:
                e = tok.backend_tokenizer.encode(t, add_special_tokens=False)
                if len(e.offsets) >= r["n"] - 2:
                    t = t[:e.offsets[r["n"] - 3][1]]
                    if len(tok(t)["input_ids"]) == r["n"]:
                        answer.append(t)
                if len(answer) == 64:
                    break
        elif r["do"] == "vectors":
            answer = m.encode(r["texts"], batch_size=8).tolist()
        else:
            answer = timed(lambda t: m.encode(t), r["texts"])
        print("@" + json.dumps(answer), flush=True)


def serve_ort():
    import numpy as np
    import onnxruntime as ort
    import tokenizers
    tok = tokenizers.Tokenizer.from_file(os.path.join(MODEL, "tokenizer.json"))
    tok.no_padding()
    tok.enable_truncation(256)
    sessions = {}

    def encode(name, text):
        ids = np.array([tok.encode(text).ids], np.int64)
        h = sessions[name].run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids),
                                      "token_type_ids": np.zeros_like(ids)})[0][0].mean(0)
        return h / np.linalg.norm(h)

    for line in sys.stdin:
        r = json.loads(line)
        if r["do"] == "quantise":
            from onnxruntime.quantization import quantize_dynamic
            quantize_dynamic(r["path"], r["to"])
            answer = "done"
        elif r["do"] == "open":
            o = ort.SessionOptions()
            o.intra_op_num_threads = 1
            sessions[r["name"]] = ort.InferenceSession(r["path"], o, providers=["CPUExecutionProvider"])
            answer = "done"
        elif r["do"] == "vectors":
            answer = [encode(r["name"], t).tolist() for t in r["texts"]]
        else:
            answer = timed(lambda t: encode(r["name"], t), r["texts"])
        print("@" + json.dumps(answer), flush=True)


def timed(f, texts):
    out = []
    for t in texts[:4]:
        f(t)
    for t in texts:
        wall, cpu = time.perf_counter(), time.thread_time()
        f(t)
        out.append(((time.perf_counter() - wall) * 1e6, (time.thread_time() - cpu) * 1e6))
    return out


# ---- the bench ----

class Peer:
    def __init__(self, python, what):
        self.p = subprocess.Popen([python, os.path.abspath(__file__), what], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __call__(self, **request):
        self.p.stdin.write(json.dumps(request) + "\n")
        self.p.stdin.flush()
        for line in self.p.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise RuntimeError("a peer ended")


def ours(dtype, prompts, laps):
    out = subprocess.run([os.path.join(BUILD, "embedbench"), os.path.join(WORK, f"{dtype}.safetensors"), dtype, prompts,
                          str(laps)], stdout=subprocess.PIPE, check=True, text=True).stdout
    return [tuple(map(float, l.split())) for l in out.splitlines()] if laps != "batch" else float(out)


def p(values, q):
    v = sorted(x[1] for x in values)
    return v[min(len(v) - 1, int(len(v) * q))] / 1e3


def cosines(a, b):
    out = []
    for x, y in zip(a, b):
        dot = sum(i * j for i, j in zip(x, y))
        out.append(dot / (sum(i * i for i in x) * sum(j * j for j in y)) ** 0.5)
    return min(out), statistics.mean(out)


def fidelity(torch, texts, row):
    ref = torch(do="vectors", texts=texts)
    src = os.path.join(WORK, "texts.jsonl")
    with open(src, "w") as f:
        f.writelines(json.dumps({"query": t}) + "\n" for t in texts)
    for d in DTYPES:
        out = os.path.join(WORK, "v.npy")
        subprocess.run([os.environ.get("LLMR", os.path.join(BUILD, "llmr")), "embed", "-q", "--restart", "--embedder",
                        f"bert:{WORK}/{d}.safetensors", src, "-o", out], check=True)
        raw = open(out, "rb").read()[1024:]
        dim = len(ref[0])
        v = [struct.unpack_from(f"<{dim}f", raw, 4 * dim * i) for i in range(len(ref))]
        least, mean = cosines(ref, v)
        row(f"encoder {d}: cosine to sentence-transformers, {len(texts)} prompts", "sentence-transformers", "1",
            f"min {least:.7f}", f"mean {mean:.7f}", f"min ≥ {FIDELITY[d]}")


def limits(row):
    f32, bf16, i8, b4, b16, b64 = map(float, subprocess.run([os.path.join(BUILD, "embedbench"), "peak"], check=True,
                                                        stdout=subprocess.PIPE, text=True).stdout.split())
    row("one core: multiply-add fp32 / bf16 / int8, GFLOP/s; reading 4 / 16 / 64 MiB, GB/s", "", "",
        f"{f32:.0f} / {bf16:.0f} / {i8:.0f}; {b4:.0f} / {b16:.0f} / {b64:.0f}", "", "")
    return {"fp32": f32, "bf16": bf16, "int8": i8, "attention": f32}, b16


def bench_encoder(row):
    data = os.path.join(SHARED, "data", "llmrouter-dc-train.json")
    if not os.path.exists(os.path.join(MODEL, "model.safetensors")):
        return print("encoder: skipped, no model at", MODEL, "(make model)")
    if not os.path.exists(data):
        return print("encoder: skipped, no data at", SHARED)
    os.makedirs(WORK, exist_ok=True)
    texts = [r["question"] for r in json.load(open(data))]
    try:
        torch = Peer(os.environ.get("LLMR_PY_TORCH", sys.executable), "torch")
        ort = Peer(os.environ.get("LLMR_PY_ORT", sys.executable), "ort")
        onnx = os.path.join(WORK, "model.onnx")
        if not os.path.exists(onnx + ".int8"):
            torch(do="export", path=onnx)
            ort(do="quantise", path=onnx, to=onnx + ".int8")
        ort(do="open", name="fp32", path=onnx)
        ort(do="open", name="int8", path=onnx + ".int8")
    except RuntimeError:
        return print("encoder: skipped, no onnxruntime or sentence-transformers (LLMR_PY_ORT, LLMR_PY_TORCH)")
    for d in DTYPES:
        subprocess.run([os.environ.get("LLMR", os.path.join(BUILD, "llmr")), "import", "-q", "bert", MODEL, "--dtype", d,
                        "-o", f"{WORK}/{d}.safetensors"], check=True)
    peak, read = limits(row)
    for i, n in enumerate(LENGTHS):
        some = torch(do="cut", n=n, texts=texts)
        path = os.path.join(WORK, f"{n}.bin")
        open(path, "wb").write(pack(some))
        laps = {k: [] for k in DTYPES + ("ort fp32", "ort int8", "torch")}
        for k in range(ROUNDS):
            for d in DTYPES:
                laps[d] += ours(d, path, 1)
                if d != "bf16":
                    laps["ort " + d] += ort(do="time", name=d, texts=some)
            if k == 0:
                laps["torch"] += torch(do="time", texts=some)
        for d in DTYPES:
            peer = "ort fp32" if d == "fp32" else "ort int8"
            ratio = p(laps[d], .5) / p(laps[peer], .5)
            linear, attention = 21.23e6 * n, 9216.0 * n * n
            limit = (linear / peak[d] + attention / peak["attention"]) / 1e6
            row(f"encoder {d}, {n} tokens: CPU ms P50 / P99; distance to the limit of {limit:.2f} ms", peer,
                f"{p(laps[peer], .5):.2f} / {p(laps[peer], .99):.2f}", f"{p(laps[d], .5):.2f} / {p(laps[d], .99):.2f}; "
                f"{100 * limit / p(laps[d], .5):.0f} %", f"{ratio:.2f}×", f"≤ {BARS[d][i]}×")
        row(f"encoder, {n} tokens: CPU ms P50", "sentence-transformers", f"{p(laps['torch'], .5):.2f}", "", "", "")
    rng = random.Random(7)
    some = rng.sample(texts, 500)
    fidelity(torch, some, row)
    path = os.path.join(WORK, "batch.bin")
    open(path, "wb").write(pack(some))
    peer = []
    mine = {"bf16": [], "int8": []}
    for _ in range(3):
        peer.append(len(some) / sum(x[1] for x in ort(do="time", name="int8", texts=some)) * 1e6)
        for d in mine:
            mine[d].append(ours(d, path, "batch"))
    for d, bar in (("int8", "≥ 1.5×"), ("bf16", "≥ 1.0×")):
        a, b = statistics.median(mine[d]), statistics.median(peer)
        row(f"encoder {d}, 500 real prompts, texts a CPU second", "ort int8", f"{b:.0f}", f"{a:.0f}", f"{a / b:.2f}×", bar)


def alone():
    print("| what | peer | theirs | llmr | ratio | bar |\n| --- | --- | --- | --- | --- | --- |")
    bench_encoder(lambda *cells: print("|", " | ".join(cells), "|", flush=True))


if __name__ == "__main__":
    {"torch": serve_torch, "ort": serve_ort}.get(sys.argv[1] if len(sys.argv) > 1 else "", alone)()
