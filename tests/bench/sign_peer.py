"""Rows of the table for sign and verify: 1 GiB against openssl dgst and minisign, and a small artifact."""
import os
import shutil
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
LLMR = os.environ.get("LLMR", os.path.join(ROOT, "build", "llmr"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))


def cost(args):
    """CPU seconds, wall seconds and peak MiB of one command."""
    t = time.monotonic()
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, u = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f"exit {p.returncode}: {' '.join(args)}")
    return u.ru_utime + u.ru_stime, time.monotonic() - t, u.ru_maxrss / 1024


def in_turn(commands, runs):
    laps = {n: [] for n in commands}
    for _ in range(runs):
        for n, a in commands.items():
            laps[n].append(cost(a))
    return {n: tuple(statistics.median(x[i] for x in v) for i in range(3)) for n, v in laps.items()}


def bench_sign(row):
    if not shutil.which("minisign") or not shutil.which("openssl"):
        return print("sign: skipped, no minisign or openssl")
    work = os.path.join(ROOT, "build", "bench", "sign")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "m"))
    os.chdir(work)
    with open("m/big", "wb") as f:
        for _ in range(1024):
            f.write(os.urandom(1 << 20))
    with open("small", "wb") as f:
        f.write(os.urandom(2 << 20))
    subprocess.check_call([LLMR, "keygen", "-W", "-q", "-p", "k.pub", "-s", "k.key"])
    subprocess.check_call([LLMR, "sign", "-q", "-s", "k.key", "small"])
    r = in_turn({
        "openssl": ["openssl", "dgst", "-sha256", "m/big"],
        "manifest": [LLMR, "sign", "-q", "-s", "k.key", "m"],
        "verify manifest": [LLMR, "verify", "-q", "-p", "k.pub", "m"],
        "minisign -S": ["minisign", "-S", "-s", "k.key", "-m", "m/big", "-x", "their.sig"],
        "sign": [LLMR, "sign", "-q", "-s", "k.key", "-x", "our.sig", "m/big"],
        "minisign -V": ["minisign", "-V", "-q", "-p", "k.pub", "-m", "m/big", "-x", "their.sig"],
        "verify": [LLMR, "verify", "-q", "-p", "k.pub", "-x", "our.sig", "m/big"],
    }, RUNS)
    for what, peer, most in (("manifest", "openssl", 0.95), ("verify manifest", "openssl", 0.95),
                             ("sign", "minisign -S", 1.1), ("verify", "minisign -V", 1.1)):
        q = r[what][0] / r[peer][0]
        row(f"{what} 1 GiB, CPU s", peer, f"{r[peer][0]:.2f}", f"{r[what][0]:.2f}",
            f"{q:.2f}×", f"≤ {most}×", q <= most)
    small = in_turn({"llmr": [LLMR, "verify", "-q", "-p", "k.pub", "small"],
                     "minisign": ["minisign", "-V", "-q", "-p", "k.pub", "-m", "small"]}, 21)
    ms = small["llmr"][1] * 1000
    row("verify 2 MB, start to done, ms", "minisign", f"{small['minisign'][1] * 1000:.1f}", f"{ms:.1f}", "", "≤ 5 ms",
        ms <= 5)
    os.chdir(ROOT)
    shutil.rmtree(work)
