"""s3cut.py S3TOOL URL CA: begin an upload in parts and kill it (SIGKILL) when a part is in."""
import os
import signal
import subprocess
import sys
import time

tool, url, ca = sys.argv[1:4]
base = [tool, "-endpoint", url] + (["-ca", ca, "-ca-only"] if ca else [])
for attempt in range(20):
    p = subprocess.Popen(base + ["-v", "-parallel", "1", "-above", "1000000", "-part", "5242880", "-resume", "s3://bkt/pre",
                                 "put", "cut", "parts"], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        # The line is written when the first part is stored: the second is on its way.
        if "partNumber=1" in line:
            os.kill(p.pid, signal.SIGKILL)
            break
    p.wait()
    if p.returncode == -signal.SIGKILL:
        sys.exit(0)
    subprocess.run(base + ["s3://bkt/pre", "delete", "cut"], stderr=subprocess.DEVNULL)
    time.sleep(0.05)
sys.exit("the upload was over before it could be killed")
