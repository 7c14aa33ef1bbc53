"""The S3 client beside curl with a precomputed hash, against the same MinIO and versitygw.

Wall seconds, since the bar is one of wall time; each pair runs in turn and the minimum of RUNS counts, with
CPU seconds (user + system) and peak memory of the client. A pull is followed by `sync -f`. Needs build/s3tool, curl,
and minio or versitygw (LLMR_MINIO, LLMR_VERSITYGW or PATH). BENCH_S3_MB sets the size of the large object (1024).
"""
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TOOL = os.environ.get("S3TOOL", os.path.join(ROOT, "build", "s3tool"))
MB = int(os.environ.get("BENCH_S3_MB", "1024"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
KEY, SECRET = "llmrtest", "llmrtestsecret"
SMALL, SMALL_BYTES = 1000, 65536


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(kind, binary, work):
    p = port()
    env = dict(os.environ, MINIO_ROOT_USER=KEY, MINIO_ROOT_PASSWORD=SECRET, MINIO_SITE_REGION="us-east-1", MINIO_UPDATE="off",
               MINIO_BROWSER="off", ROOT_ACCESS_KEY=KEY, ROOT_SECRET_KEY=SECRET)
    data = os.path.join(work, kind)
    os.makedirs(os.path.join(data, "bkt"))
    if kind == "MinIO":
        args = [binary, "server", "--quiet", "--address", f"127.0.0.1:{p}", data]
    else:
        args = [binary, "--port", f"127.0.0.1:{p}", "--quiet", "posix", data]
    server = subprocess.Popen(args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{p}"
    for _ in range(300):
        try:
            urllib.request.urlopen(url + ("/minio/health/ready" if kind == "MinIO" else "/"), timeout=2)
            break
        except urllib.error.HTTPError as e:
            if kind != "MinIO" or e.code < 500:
                break
        except OSError:
            pass
        time.sleep(0.1)
    return server, url


def timed(args, then=None):
    env = dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, no_proxy="127.0.0.1")
    t = time.monotonic()
    p = subprocess.Popen(args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = p.stderr.read()
    _, status, u = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0:
        raise SystemExit(f"exit {p.returncode}: {' '.join(args[:6])}: {err.decode()[-300:]}")
    if then:
        subprocess.run(["sync", "-f", then], check=True)
    return time.monotonic() - t, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024


def pair(ours, theirs, before=None):
    laps = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        for name, f in (("theirs", theirs), ("ours", ours)):
            if before:
                before()
            subprocess.run(["sync"], check=True)
            laps[name].append(f())
    return {n: tuple(min(x[i] for x in v) for i in range(2)) + (max(x[2] for x in v),) for n, v in laps.items()}


def sha(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while b := f.read(1 << 20):
            h.update(b)
    return h.hexdigest()


def curl_config(path, url, files, upload, work):
    with open(path, "w") as f:
        for i, (name, digest) in enumerate(files):
            if i:
                f.write("next\n")
            f.write(f'silent\nfail\nuser = "{KEY}:{SECRET}"\naws-sigv4 = "aws:amz:us-east-1:s3"\nurl = "{url}/bkt/small/{name}"\n')
            if upload:
                f.write(f'upload-file = "{work}/small/{name}"\nheader = "x-amz-content-sha256: {digest}"\noutput = "/dev/null"\n')
            else:
                f.write(f'header = "x-amz-content-sha256: {hashlib.sha256(b"").hexdigest()}"\noutput = "{work}/back/{name}"\n')


def one_store(row, kind, url, work, big, digest, files):
    tool = [TOOL, "-endpoint", url, "s3://bkt"]
    sign = ["curl", "-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{KEY}:{SECRET}"]
    empty = hashlib.sha256(b"").hexdigest()
    got = os.path.join(work, "got")
    back = os.path.join(work, "back")

    def clean():
        if os.path.exists(got):
            os.unlink(got)
        shutil.rmtree(back, ignore_errors=True)
        os.makedirs(back)

    def say(what, r, bar):
        fmt = lambda x: f"{x[0]:.2f} s ({x[1]:.2f} s CPU, {x[2]:.0f} MiB)"
        row(f"{what}, {kind}", "curl, hash precomputed", fmt(r["theirs"]), fmt(r["ours"]),
            f"{r['ours'][0] / r['theirs'][0]:.2f}×", bar)

    say(f"S3 push of {MB} MiB, hash pass included",
        pair(lambda: timed(tool + ["put", "big", big]),
             lambda: timed(sign + ["-T", big, "-H", f"x-amz-content-sha256: {digest}", "-o", "/dev/null", f"{url}/bkt/big"])),
        "≤ 1.25×")
    say(f"S3 pull of {MB} MiB, verified, then sync -f",
        pair(lambda: timed(tool[:1] + ["-sha256", digest] + tool[1:] + ["fetch", "big", got], work),
             lambda: timed(sign + ["-H", f"x-amz-content-sha256: {empty}", "-o", got, f"{url}/bkt/big"], work), clean),
        "≤ 1.15×")
    up, down = os.path.join(work, "up.conf"), os.path.join(work, "down.conf")
    curl_config(up, url, files, True, work)
    curl_config(down, url, files, False, work)
    many = tool[:-1] + ["s3://bkt/small"]
    say(f"S3 push of {SMALL} × 64 KiB", pair(lambda: timed(many + ["putmany", os.path.join(work, "small")]),
                                             lambda: timed(["curl", "-Z", "--parallel-max", "16", "-K", up])), "≤ 1.15×")
    say(f"S3 pull of {SMALL} × 64 KiB", pair(lambda: timed(many + ["fetchmany", back]),
                                             lambda: timed(["curl", "-Z", "--parallel-max", "16", "-K", down]), clean), "≤ 1.15×")


def bench_s3(row):
    stores = [(k, os.environ.get(v) or shutil.which(b)) for k, v, b in
              (("MinIO", "LLMR_MINIO", "minio"), ("versitygw", "LLMR_VERSITYGW", "versitygw"))]
    stores = [(k, b) for k, b in stores if b]
    if not stores or not os.path.exists(TOOL):
        return print("S3: skipped, no minio or versitygw, or no", TOOL)
    work = tempfile.mkdtemp(prefix="llmr-s3-", dir=os.environ.get("TMPDIR"))
    try:
        big = os.path.join(work, "big.bin")
        with open(big, "wb") as f:
            for _ in range(MB):
                f.write(os.urandom(1 << 20))
        os.makedirs(os.path.join(work, "small"))
        files = []
        for i in range(SMALL):
            data = os.urandom(SMALL_BYTES)
            with open(os.path.join(work, "small", f"f{i:04d}"), "wb") as f:
                f.write(data)
            files.append((f"f{i:04d}", hashlib.sha256(data).hexdigest()))
        digest = sha(big)
        for kind, binary in stores:
            server, url = start(kind, binary, work)
            try:
                one_store(row, kind, url, work, big, digest, files)
            finally:
                server.terminate()
                server.wait()
                shutil.rmtree(os.path.join(work, kind), ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    bench_s3(lambda *r: print("|", " | ".join(r), "|", flush=True))
