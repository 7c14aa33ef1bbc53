"""What is simulated: which model is good at what, how fast it answers, and who decides.

Everything here is a pure function of the prompts and a seed, so that a second
capture gives the same trace ids, answers and labels. Only the standard library.
"""

import hashlib
import math
import pathlib
import random

SEED = 20251
HERE = pathlib.Path(__file__).resolve().parent
ALIAS = "smart-router"

# Competence (easy, hard) by task, median response time in ms, and the factor of
# answer length. The names are public ones so that the gateway knows their prices;
# the numbers are made up and say nothing about the real models.
MODELS = {
    "openai/gpt-4o-mini": {
        "arithmetic": (0.70, 0.54), "code": (0.68, 0.58), "translation": (0.68, 0.56),
        "extraction": (0.70, 0.58), "rewriting": (0.66, 0.56), "knowledge": (0.66, 0.50),
        "ms": 54, "length": 1.0,
    },
    "deepseek/deepseek-chat": {
        "arithmetic": (0.92, 0.86), "code": (0.64, 0.56), "translation": (0.46, 0.32),
        "extraction": (0.52, 0.42), "rewriting": (0.44, 0.36), "knowledge": (0.62, 0.82),
        "ms": 96, "length": 1.5,
    },
    "deepinfra/meta-llama/Meta-Llama-3.1-8B-Instruct": {
        "arithmetic": (0.56, 0.14), "code": (0.46, 0.18), "translation": (0.58, 0.24),
        "extraction": (0.74, 0.36), "rewriting": (0.84, 0.46), "knowledge": (0.88, 0.26),
        "ms": 18, "length": 0.8,
    },
    "mistral/codestral-latest": {
        "arithmetic": (0.46, 0.34), "code": (0.92, 0.87), "translation": (0.36, 0.24),
        "extraction": (0.88, 0.83), "rewriting": (0.42, 0.36), "knowledge": (0.38, 0.28),
        "ms": 42, "length": 1.1,
    },
    "mistral/mistral-large-latest": {
        "arithmetic": (0.42, 0.30), "code": (0.42, 0.34), "translation": (0.91, 0.85),
        "extraction": (0.46, 0.42), "rewriting": (0.80, 0.87), "knowledge": (0.70, 0.54),
        "ms": 78, "length": 1.2,
    },
}
# Chinese prompts shift the balance a little.
CHINESE = {"deepseek/deepseek-chat": 0.12, "deepinfra/meta-llama/Meta-Llama-3.1-8B-Instruct": -0.15, "mistral/mistral-large-latest": -0.05}
NAMES = sorted(MODELS)


class Prompt:
    def __init__(self, task, number, level, lang, text):
        self.id = "%s-%03d" % (task, number)
        self.task, self.level, self.lang, self.text = task, level, lang, text


def prompts():
    """All prompts, task by task. A file is a list of '== LEVEL LANGUAGE' lines, each followed by its prompt."""
    out = []
    for path in sorted((HERE / "prompts").glob("*.txt")):
        blocks = ("\n" + path.read_text(encoding="utf-8")).split("\n== ")[1:]
        for number, block in enumerate(blocks, 1):
            head, text = block.split("\n", 1)
            level, lang = head.split()
            out.append(Prompt(path.stem, number, level, lang, text.strip("\n")))
    return out


def draw(*key):
    """A generator of its own for each key, independent of the order of calls."""
    text = "\0".join([str(SEED), *map(str, key)])
    return random.Random(hashlib.sha256(text.encode()).digest())


def competence(p, model):
    base = MODELS[model][p.task][p.level == "hard"]
    return base + (CHINESE.get(model, 0.0) if p.lang == "zh" else 0.0)


def performance(p, model):
    """The simulated judge: competence, how hard this prompt is for all, and luck; graded in steps of 0.05."""
    value = competence(p, model) + draw("prompt", p.id).gauss(0, 0.06) + draw("judge", p.id, model).gauss(0, 0.12)
    return round(min(1.0, max(0.0, round(value * 20) / 20)), 2)


def seconds(p, model):
    """Response time of the stub."""
    return MODELS[model]["ms"] / 1000 * math.exp(draw("time", p.id, model).gauss(0, 0.25))


def tokens(p, model):
    """Tokens that the stub reports: by length of the prompt, and an answer typical of the task."""
    wide = sum(ord(c) > 0x2E7F for c in p.text)
    size = 8 + wide + (len(p.text) - wide) // 4
    typical = {"arithmetic": 120, "code": 260, "translation": 60, "extraction": 90, "rewriting": 80, "knowledge": 150}
    scale = (2.0 if p.level == "hard" else 0.6) * MODELS[model]["length"]
    return size, max(4, int(typical[p.task] * scale * math.exp(draw("tokens", p.id, model).gauss(0, 0.2))))


def answer(p, model):
    return "Simulated answer of %s to %s." % (model.rsplit("/", 1)[1], p.id)


def policy(p):
    """The gateway's logging policy for requests to the alias.

    Two strategies in a 70:30 split by prompt. 'explore-softmax' draws from a
    softmax over rough prior scores and knows its propensities;
    'static-priority' always takes the same model and logs none.
    """
    if draw("arm", p.id).random() < 0.3:
        return "static-priority", "openai/gpt-4o-mini", {}, None
    prior = {m: round(sum(MODELS[m][p.task]) / 2 + draw("prior", p.task, m).gauss(0, 0.1), 3) for m in NAMES}
    weight = {m: math.exp(s / 0.25) for m, s in prior.items()}
    total = sum(weight.values())
    model = draw("choice", p.id).choices(NAMES, [weight[m] for m in NAMES])[0]
    return "explore-softmax", model, prior, weight[model] / total


def trace_id(p, model):
    return hashlib.sha256(("%d trace %s %s" % (SEED, p.id, model)).encode()).hexdigest()[:32]


def span_id(p, model):
    return hashlib.sha256(("%d span %s %s" % (SEED, p.id, model)).encode()).hexdigest()[:16]
