"""How long the updates of a running training take, seen from the outside: what the comparisons count as the speed of training."""

import json
import os
import time
from pathlib import Path


def processor_seconds(pid):
    """User and system time of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def update_seconds(log, process, clock=time.perf_counter):
    """Seconds that the updates of a running training took, epoch by epoch, by the appearance of its log's lines.

    A checkpoint is written before an epoch's first update, so the time runs from the first update's line to the last's, and that
    for n - 1 updates is scaled to n.
    """
    seconds, moments, position, pending = [], [], 0, b""
    while True:
        ended = process.poll() is not None
        now = clock() if not ended else (moments or [0.0])[-1]
        if log.exists():
            with open(log, "rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            *lines, pending = (pending + new).split(b"\n")
            for line in map(json.loads, lines):
                if "eval_loss" not in line:
                    moments.append(now)
                elif len(moments) > 1:
                    seconds.append((moments[-1] - moments[0]) * len(moments) / (len(moments) - 1))
                    moments = []
        if ended:
            return seconds
        time.sleep(0.003)
