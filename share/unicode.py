#!/usr/bin/env python3
"""Write lib/embed/unicode.inc: what BERT's normaliser does to each code point.

Run by hand when the tables have to change; needs the package tokenizers (0.23). The start is Python's
unicodedata; where the package (whose categories are those of Unicode 8, its decompositions and
capitals newer) answers otherwise for a code point, the package is right, and stderr counts it.
"""
import sys
import unicodedata

import tokenizers
from tokenizers import normalizers, pre_tokenizers

DROP, SPACE, CJK, PUNCT, MARK, NONSTARTER = 1, 2, 4, 8, 16, 32
BLOCK = 128


def bert(clean=False, cjk=False, strip=False, lower=False):
    return normalizers.BertNormalizer(clean, cjk, strip, lower).normalize_str


clean, cjk, strip, lower = bert(clean=True), bert(cjk=True), bert(strip=True), bert(lower=True)
nfd = normalizers.NFD().normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
HANGUL = range(0xAC00, 0xAC00 + 11172)
# One mark of each combining class, by class.
ladder = {}
for c in range(0x300, 0x1F000):
    k = unicodedata.combining(chr(c))
    if k and k not in ladder and nfd(chr(c)) == chr(c):
        ladder[k] = chr(c)


def combining(s):
    """Canonical combining class by the package's own reordering; 0 for a starter."""
    if nfd("\u0345" + s) == "\u0345" + s and nfd(s + "\u0334") == s + "\u0334":
        return 0
    for k in sorted(ladder):
        if nfd(ladder[k] + s) != ladder[k] + s:
            return k - 1 if nfd(s + ladder[k]) == s + ladder[k] else k
        if nfd(s + ladder[k]) == s + ladder[k]:
            return k
    return 255


def exact_class(s):
    below = [k for k in ladder if nfd(s + ladder[k]) != s + ladder[k]]      # class of s is greater
    above = [k for k in ladder if nfd(ladder[k] + s) != ladder[k] + s]      # less
    between = [k for k in ladder if k > max(below, default=0) and k < min(above, default=256)]
    return between[0] if between else max(below, default=0) + 1


differ = dict.fromkeys(("drop", "space", "mark", "punctuation", "decomposition", "lower"), 0)
pool, pool_at, records, record_at, blocks, block_at, stage = [], {}, [], {}, [], {}, []


def spell(text):
    """Index into the pool of a length and that many code points."""
    key = tuple(map(ord, text))
    if key not in pool_at:
        pool_at[key] = len(pool)
        pool.append(len(key))
        pool.extend(key)
    return pool_at[key]


def record(c):
    s = chr(c)
    if 0xD800 <= c < 0xE000:
        return (DROP, 0, 0, 0)
    cat = unicodedata.category(s)
    flags, k = 0, 0
    flags |= DROP if clean(s) == "" else SPACE if clean(s) == " " else 0
    flags |= CJK if cjk(s) != s else 0
    flags |= MARK if strip(s) == "" else 0
    pieces = len(split("a" + s + "a"))
    flags |= PUNCT if pieces == 3 else 0
    flat = "" if c in HANGUL else nfd(s)
    if flat == s and combining(s):
        flags |= NONSTARTER
        k = exact_class(s)
    small = lower(s)
    differ["drop"] += (flags & DROP != 0) != (c in (0, 0xFFFD) or (cat in ("Cc", "Cf", "Co", "Cn") and s not in "\t\n\r"))
    differ["space"] += (flags & SPACE != 0) != (s.isspace() and cat != "Cc" or s in "\t\n\r")
    differ["mark"] += (flags & MARK != 0) != (cat == "Mn")
    differ["punctuation"] += (flags & PUNCT != 0) != (cat[0] == "P" or (c < 128 and cat[0] == "S"))
    differ["decomposition"] += c not in HANGUL and flat != unicodedata.normalize("NFD", s)
    differ["lower"] += small != s.lower()
    if len(small) != 1:
        assert s == "\u0130" and small == "i\u0307"     # the one capital with two small letters: in the code
        small = s
    return (flags, k, ord(small) - c, spell(flat) if flat not in ("", s) else 0)


spell("")
for first in range(0, 0x110000, BLOCK):
    ids = []
    for c in range(first, first + BLOCK):
        r = record(c)
        if r not in record_at:
            record_at[r] = len(records)
            records.append(r)
        ids.append(record_at[r])
    key = tuple(ids)
    if key not in block_at:
        block_at[key] = len(blocks)
        blocks.append(key)
    stage.append(block_at[key])
assert len(blocks) < 65536 and len(records) < 65536 and len(pool) < 65536


def array(name, kind, values):
    print(f"static const {kind} {name}[] = {{")
    line = ""
    for v in values:
        if len(line) + len(v) > 116:
            print(line)
            line = ""
        line += v + ","
    print(line + "\n};")


print(f"/* Made by share/unicode.py from tokenizers {tokenizers.__version__} and Unicode {unicodedata.unidata_version}. */")
array("records", "struct record", ["{%d,%d,%d,%d}" % (r[0], r[1], r[3], r[2]) for r in records])
array("pool", "uint32_t", map(str, pool))
array("stage", "uint16_t", map(str, stage))
array("blocks", "uint16_t", (str(i) for b in blocks for i in b))
print("code points where tokenizers and unicodedata", unicodedata.unidata_version, "differ:", differ, file=sys.stderr)
