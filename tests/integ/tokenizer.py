"""Compare llmr's tokenizer with the package tokenizers: ids on real prompts, odd texts and random strings.

tokenizer.py TOKENIZE MODEL_DIR [RANDOM]: exit 1 at the first difference, which is shown.
"""
import csv
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

TOKENIZE, MODEL = sys.argv[1], sys.argv[2]
RANDOM = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
SHARED = os.environ.get("LLMR_SHARED", os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared"))
csv.field_size_limit(1 << 28)

ODD = [
    "", " ", "\n\t\r", "Hello, world!", "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m \u0130stanbul I\u0307zmir \u0131\u015f\u0131k", "[CLS] a [SEP] [MASK][PAD] [UNK]",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694 \uac01\ub098", "def f(x):\n    return x**2 # \u00b2", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea",
    "\ufeffbom", "a\u0000b\ufffdc", "\u202eabc\u202c", "\ue000\uf8ff\U000f0000", "\u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u064e\u0651\u0629", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u1019\u103c\u1014\u103a\u1019\u102c",
    "x" * 100, "x" * 101, "\u00e9" * 100 + " " + "\u00e9" * 101, "e\u0301" * 100, "\u0301\u0300", "\u1e9b\u0323 q\u0307\u0323", "a" + "\u0315\u0300\u05ae\u0062", "$1,234.56 50% a@b.c #x_y ~`^|<>",
    "\u2028\u2029\u0085\u00a0\u3000\u200b", "\U0001d165\U0001d16d\u302e\u302f a\u302f\U0001d165b", "\u1b44\u1baa\ua953\ua9c0 \U000111c0\u0d4d", "\u00df \u1e9e \ufb01 \u2126 \u212b \u212a", "ΑΒΓΣ σς ᾈ ΐ", "\ufa0e\ufa0f\uf900\u2f800",
    "SELECT * FROM t WHERE a='b';--", "for(i=0;i<n;++i){s+=a[i]*b[i];}", "\\frac{a}{b} \u222b\u2080^\u221e e^{-x\u00b2}dx \u2261 \u221a\u03c0/2",
]


def prompts():
    path = os.path.join(SHARED, "data", "llmrouter-dc-train.json")
    if not os.path.exists(path):
        return print("tokenizer: prompts skipped, no data at", SHARED) or []
    out = [r["question"] for r in json.load(open(path))]
    for name, key in (("routerbench-mbpp-train.csv", "prompt"), ("routellm-gsm8k.csv", "prompt")):
        with open(os.path.join(SHARED, "data", name), newline="") as f:
            out += [r[key] for r in csv.DictReader(f)]
    return out


def everything():
    """Each code point once, between letters."""
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["a" + "b".join(points[i:i + 40]) + " " + " ".join(points[i:i + 40]) for i in range(0, len(points), 40)]


def noise(n, seed):
    rng = random.Random(seed)
    marks = [chr(c) for r in ((0x300, 0x370), (0x591, 0x5C8), (0x610, 0x61B), (0x64B, 0x660), (0x93C, 0x94E),
             (0x302A, 0x3030), (0x1D165, 0x1D16E), (0x1B44, 0x1B45), (0xA953, 0xA954)) for c in range(*r)]
    pools = [
        lambda: chr(rng.randrange(32, 127)), lambda: chr(rng.randrange(0, 0x250)), lambda: rng.choice(marks),
        lambda: chr(rng.randrange(0x370, 0x600)), lambda: chr(rng.randrange(0x900, 0x1400)), lambda: " ",
        lambda: chr(rng.randrange(0x2000, 0x3400)), lambda: chr(rng.randrange(0x4E00, 0xA000)),
        lambda: chr(rng.randrange(0xAC00, 0xD7A4)), lambda: chr(rng.randrange(0xE000, 0x110000)),
        lambda: rng.choice("aeinorst"), lambda: rng.choice(("the", "ing", "un", "##", "[SEP]", "\u00c9", "\u0130", "\r\n")),
    ]
    for _ in range(n):
        some = rng.sample(pools, rng.randrange(1, 5))
        yield "".join(rng.choice(some)() for _ in range(rng.randrange(1, 40)))


def ours(model, texts, cut="head", limit=1 << 20, laps=None):
    data = b"".join(struct.pack("<I", len(b)) + b for b in
                    (t if isinstance(t, bytes) else t.encode() for t in texts))
    args = [TOKENIZE, model, cut, str(limit)] + ([str(laps)] if laps else [])
    out = subprocess.run(args, input=data, stdout=subprocess.PIPE, check=True).stdout
    if laps:
        return float(out)
    ids, at = [], 0
    for _ in texts:
        n = struct.unpack_from("<I", out, at)[0]
        ids.append(list(struct.unpack_from(f"<{n}I", out, at + 4)))
        at += 4 + 4 * n
    return ids


def cut(ids, how, limit):
    if len(ids) <= limit or how == "head":
        return ids[:limit]
    head = 0 if how == "tail" else (limit + 1) // 2
    return ids[:head] + ids[len(ids) - (limit - head):]


def compare(what, model, peer, texts, step=20000):
    texts = list(texts)
    for i in range(0, len(texts), step):
        part = texts[i:i + step]
        text = [t.decode("utf-8", "replace") if isinstance(t, bytes) else t for t in part]
        theirs = [e.ids for e in peer.encode_batch(text, add_special_tokens=False)]
        cuts = [("head", 1 << 20)] + ([("head", 254), ("tail", 61), ("middle", 61)] if what != "noise" else [])
        for how, limit in cuts:
            for t, a, b in zip(part, ours(model, part, how, limit), theirs):
                if a != cut(b, how, limit):
                    print(f"{what}: {how} {limit}: differs on {t!r}\n ours   {a[:80]}\n theirs {cut(b, how, limit)[:80]}")
                    sys.exit(1)
    print(f"{what}: {len(texts)} texts equal")


def variant(folder, **change):
    """The model's tokenizer.json with its normaliser changed."""
    t = json.load(open(os.path.join(MODEL, "tokenizer.json")))
    t["normalizer"].update(change)
    os.makedirs(folder)
    json.dump(t, open(os.path.join(folder, "tokenizer.json"), "w"))
    return folder


def main():
    work = tempfile.mkdtemp()
    real = prompts()
    rng = random.Random(1)
    raw = [bytes(rng.randrange(256) for _ in range(rng.randrange(200))) for _ in range(2000)]
    models = {"uncased": MODEL, "cased": variant(work + "/cased", lowercase=False),
              "lower, accents kept": variant(work + "/kept", strip_accents=False)}
    for name, model in models.items():
        peer = tokenizers.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
        peer.no_truncation()
        peer.no_padding()
        peer.encode_special_tokens = True
        print("--", name)
        compare("prompts", model, peer, real)
        compare("odd texts", model, peer, ODD + [" ".join(ODD) * 20])
        compare("code points", model, peer, everything())
        compare("bytes", model, peer, raw)
        compare("noise", model, peer, noise(RANDOM // 3 + 1, name))
    os.makedirs(work + "/vocab")
    shutil.copy(os.path.join(MODEL, "vocab.txt"), work + "/vocab")
    if ours(work + "/vocab", ODD) != ours(MODEL, ODD):
        sys.exit("vocab.txt and tokenizer.json differ")
    if real:
        peer = tokenizers.Tokenizer.from_file(os.path.join(MODEL, "tokenizer.json"))
        peer.enable_truncation(256)
        peer.no_padding()
        start = time.process_time()
        for t in real:
            peer.encode(t)
        theirs = (time.process_time() - start) * 1e6
        mine = ours(MODEL, real, "head", 254, 5)
        print(f"speed: {mine / len(real):.2f} us a prompt, tokenizers {theirs / len(real):.1f}, {theirs / mine:.0f} times")
        for what, text in (("words", "word " * 200000), ("no blanks", "x" * 1000000), ("ideographs", "\u4e2d" * 333333)):
            print(f"1 MB of {what}: {ours(MODEL, [text], 'head', 254, 5):.0f} us")
    shutil.rmtree(work)


main()
