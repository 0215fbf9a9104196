"""How every benchmark is timed: each call in a fresh process, one warm-up, then five runs.

A fresh process shows the peak memory of that call alone and pays for its own imports before
the clock starts; the clock runs inside the child, around the call. Where the start of a program
is itself what is measured, the clock runs around the whole process.
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

# Runs a command several times; a small process of its own, because on Linux the peak memory of
# a child begins with that of its parent.
_COMMAND = """
import json, os, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
times, peaks = [], []
for _ in range(runs + 1):
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=nowhere)
    _, status, used = os.wait4(child, 0)
    times.append(time.perf_counter() - start)
    peaks.append(used.ru_maxrss / 1024)
    assert status == 0, status
print(json.dumps({"times": times[1:], "peak_mb": max(peaks)}))
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
    """One line of the benchmark table: ours, the peer in the same run, and the aim.

    With `count` and `things`, the table also says how many of them were done in a second.
    """

    what: str
    ours: Timed
    peer_name: str = ""
    peer: Timed | None = None
    aim: str = ""
    note: str = ""
    count: int = 0
    things: str = ""


def timed(target: str, *, python: str = sys.executable, runs: int = RUNS) -> Timed:
    """Time ``module:function`` (no arguments) in a fresh process, after one warm-up."""
    root = str(Path(__file__).parents[1])
    return reported(_run([python, "-c", _CHILD, json.dumps([root]), target, str(runs)]), target)


def started(command: list[str], *, runs: int = RUNS) -> Timed:
    """Time a command from its start to its end, as a person waits for it, after one warm-up."""
    done = _run([sys.executable, "-S", "-c", _COMMAND, str(runs), *command])
    return reported(done, " ".join(command))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def reported(done: subprocess.CompletedProcess[str], name: str) -> Timed:
    """What a program said that times itself: its last line is JSON of `times` and `peak_mb`."""
    if done.returncode:
        raise RuntimeError(f"{name}: the benchmark failed.\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    times = result["times"]
    return Timed(statistics.median(times), min(times), max(times), result["peak_mb"])


def printed(lines: list[Line]) -> str:
    """The lines as a text table with ratios."""
    out = []
    for line in lines:
        out.append(f"{line.what}")
        out.append(_row("  ours", line.ours, line))
        if line.peer is not None:
            out.append(_row(f"  {line.peer_name}", line.peer, line))
            out.append(
                f"    ours / peer: time {line.ours.median / line.peer.median:.3g}, "
                f"memory {line.ours.peak_mb / line.peer.peak_mb:.2f}"
            )
        if line.aim:
            out.append(f"    aim: {line.aim}")
        if line.note:
            out.append(f"    note: {line.note}")
    return "\n".join(out)


def _row(name: str, t: Timed, line: Line) -> str:
    rate = f"  {line.count / t.median:,.0f} {line.things}/s" if line.count else ""
    spread = f"({t.least:.4f} to {t.most:.4f})"
    return f"{name:<42} {t.median:8.4f} s  {spread}  {t.peak_mb:7.0f} MB{rate}"
