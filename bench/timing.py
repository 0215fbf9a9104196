"""How every benchmark is timed: each call in a fresh process, one warm-up, then five runs.

A fresh process shows the peak memory of that call alone and pays for its own imports before
the clock starts; the clock runs inside the child, around the call.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
SHARED = Path(__file__).parents[2] / "shared" / "data"

_CHILD = """
import json, resource, sys, time
sys.path[:0] = json.loads(sys.argv[1])
module, name = sys.argv[2].split(":")
call = getattr(__import__(module, fromlist=[name]), name)
call()
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"times": times, "peak_mb": peak}))
"""


@dataclass(frozen=True)
class Timed:
    """Seconds (median, least, most) of the counted runs, and the process's peak memory."""

    median: float
    least: float
    most: float
    peak_mb: float


@dataclass(frozen=True)
class Line:
    """One line of the benchmark table: ours, the peer in the same run, and the aim."""

    what: str
    ours: Timed
    peer_name: str = ""
    peer: Timed | None = None
    aim: str = ""
    note: str = ""


def timed(target: str, *, python: str = sys.executable, runs: int = RUNS) -> Timed:
    """Time ``module:function`` (no arguments) in a fresh process, after one warm-up."""
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [python, "-c", _CHILD, json.dumps([root]), target, str(runs)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{target}: the benchmark failed.\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    times = result["times"]
    return Timed(statistics.median(times), min(times), max(times), result["peak_mb"])


def printed(lines: list[Line]) -> str:
    """The lines as a text table with ratios."""
    out = []
    for line in lines:
        out.append(f"{line.what}")
        out.append(_row("  ours", line.ours))
        if line.peer is not None:
            out.append(_row(f"  {line.peer_name}", line.peer))
            out.append(
                f"    ours / peer: time {line.ours.median / line.peer.median:.2f}, "
                f"memory {line.ours.peak_mb / line.peer.peak_mb:.2f}"
            )
        if line.aim:
            out.append(f"    aim: {line.aim}")
        if line.note:
            out.append(f"    note: {line.note}")
    return "\n".join(out)


def _row(name: str, t: Timed) -> str:
    return f"{name:<42} {t.median:8.4f} s  ({t.least:.4f} to {t.most:.4f})  {t.peak_mb:7.0f} MB"
