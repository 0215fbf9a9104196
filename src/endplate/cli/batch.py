"""``endplate measure --batch``: many cases on Dask, each on its own, and a table of them all.

What a killed run finished is kept: each case's file appears whole, and only this process writes
(a worker returns what it measured). So nothing can be left half-written, and no worker of a run
that was killed can write into the next one.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endplate import __version__
from endplate.cli.main import DEFECT, print_json
from endplate.cli.measure import Request, measurement_findings, study
from endplate.cli.output import console, envelope, table
from endplate.exchange.case_files import (
    CASES,
    FACTS,
    CaseFile,
    Summary,
    read_case_file,
    write_tables,
)
from endplate.exchange.case_list import ListedCase, file_names, read_case_list
from endplate.exchange.files import output_file, remove_drafts
from endplate.facts import InputProblem, Problem
from endplate.images.measure import EVERYTHING

_PARTS = ("distributed", "cryptography", "locket", "pyarrow")
_FOLDER, _LOCK = "cases", ".lock"
# Memory that a CT of a whole spine at 1 mm may need; no more workers are started than have it.
_MEMORY_PER_WORKER = 3 * 2**30
# Cases that are with the workers, for each of their threads: one to measure, one to go on with.
_AHEAD = 2
_SHOWN_AT_MOST = 20
# Seconds: to reach a scheduler, until a silence is explained, and between two counts of workers,
# which come and go on a cluster.
_CONNECT, _SILENCE, _COUNT_AGAIN = 10.0, 20.0, 5.0
# No fault of the input: another run may end otherwise, so these are tried again.
_NOT_THE_INPUT = frozenset({"case.defect", "case.process_died", "case.no_memory"})


@dataclass(frozen=True, slots=True)
class _Job:
    """A case that is to be measured, where its result goes, and what it is made from."""

    case: ListedCase
    path: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a worker returns: the case's file, and why it failed if it did."""

    version: str
    content: bytes
    why: Problem | None


def batch(
    listed: Path,
    out: Path | None,
    options: dict[str, str | None],
    workers: int | None,
    scheduler: str | None,
    *,
    as_json: bool,
) -> None:
    """Measure the cases of a list that are not measured yet, and write the table of all."""
    if out is None:
        raise InputProblem(
            "--batch: cannot be run. It needs a folder for its results; --out was not given. Give "
            "--out DIR; give the same folder again to go on with a batch that was stopped."
        )
    _optional_parts()
    cases = read_case_list(listed, options)
    files = [out / _FOLDER / name for name in file_names(cases)]
    with _alone_in(out), _stopped_politely(files):
        unfinished = _unfinished(zip(cases, files, strict=True), progress := _Bar(len(cases)))
        with progress:
            first = next(unfinished, None)
            if first is not None:
                with _client(workers, scheduler) as client:
                    _Run(client, progress).all(first, unfinished)
        summary = write_tables(out, files)
    _report(out, summary, progress.kept, as_json=as_json)
    if any(p.problem in _NOT_THE_INPUT for p in summary.failed):
        raise typer.Exit(DEFECT)
    if not summary.measured:
        raise InputProblem(
            f"{listed.name}: none of its {len(files)} cases could be measured. At least one must "
            f"be usable; the first failed so: {summary.failed[0].says} Correct the list or the "
            f"files."
        )


def _optional_parts() -> None:
    absent = []
    for name in _PARTS:
        try:
            import_module(name)
        except ImportError:
            absent.append(name)
    if absent:
        raise InputProblem(
            f"--batch: cannot be run. It needs the optional part endplate[batch]; "
            f"{', '.join(absent)} cannot be imported. Install it: pip install 'endplate[batch]'."
        )


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """The folder with nobody else writing a batch into it; the system frees it if we are killed."""
    import locket

    folder = out / _FOLDER
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locket.lock_file(str(out / _LOCK), timeout=0))
            for place in (out, folder):
                remove_drafts(place)
        except locket.LockError:
            raise InputProblem(
                f"{out.name}: cannot be written to now. One batch at a time can write to a "
                f"folder; another is doing so. Wait for it, or give another folder with --out."
            ) from None
        except OSError as problem:
            why = problem.strerror or type(problem).__name__
            raise InputProblem(
                f"{out.name}: cannot be used for the results. A folder with room and write "
                f"permission is needed; {why}. Choose another folder with --out."
            ) from None
        yield


@contextmanager
def _stopped_politely(files: Sequence[Path]) -> Iterator[None]:
    """On Ctrl-C, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        finished = sum(1 for path in files if path.exists())
        print(
            f"{finished} of {len(files)} cases are finished and kept. Run the same command again "
            f"to go on.",
            file=sys.stderr,
        )
        raise


class _Bar:
    """The progress bar, on a terminal alone, and the count of what was finished before."""

    def __init__(self, cases: int) -> None:
        self.kept = 0
        self._failed = 0
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._progress.add_task("Measuring", total=cases, failed="")

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def keep(self, *, is_failed: bool) -> None:
        """A case that an earlier run finished."""
        self.kept += 1
        self.step(is_failed=is_failed)

    def step(self, *, is_failed: bool) -> None:
        """A case more."""
        self._failed += is_failed
        failed = f"{self._failed} failed" if self._failed else ""
        self._progress.update(self._task, advance=1, failed=failed)


# -- what is to be done ----------------------------------------------------------------------------


def _unfinished(cases: Iterator[tuple[ListedCase, Path]], bar: _Bar) -> Iterator[_Job]:
    """The cases without a result that was made from what is there now; read as they are needed."""
    for case, path in cases:
        fingerprint = case.fingerprint(__version__)
        found = read_case_file(path)
        if found is not None and _is_finished(found, case.case, fingerprint):
            bar.keep(is_failed=found.status == "failed")
            continue
        job = _Job(case, path, fingerprint)
        missing = case.missing()
        if missing:
            bar.step(is_failed=True)
            says = (
                f"The {missing} cannot be read. A file or folder is needed; there is none where "
                f"the list says. Correct the list, or put it there."
            )
            _write(path, _failed(job, Problem(problem="case.no_file", says=says)))
        else:
            yield job


def _is_finished(found: CaseFile, case: str, fingerprint: str) -> bool:
    is_current = found.case == case and found.fingerprint == fingerprint
    return is_current and not (found.why and found.why.problem in _NOT_THE_INPUT)


def _write(path: Path, content: bytes) -> None:
    with output_file(path) as draft:
        draft.write_bytes(content)


def _failed(job: _Job, why: Problem, seconds: float = 0.0, more: Sequence[Problem] = ()) -> bytes:
    return envelope(
        problems=[why, *more], case=job.case.case, status="failed", fingerprint=job.fingerprint,
        seconds=seconds,
    )  # fmt: skip


# -- on a worker -----------------------------------------------------------------------------------


def measured_case(job: _Job) -> _Outcome | None:
    """Measure one case; whatever goes wrong with it is an answer. None: its files are not here.

    No exception leaves it: Dask would log it with the case's paths.
    """
    case = job.case
    if case.missing():
        return None
    started = time.perf_counter()
    more: Sequence[Problem] = ()
    try:
        request = Request(
            image=case.image, masks=case.masks, labels=case.labels, posture=case.posture,
            modality=case.modality, levels=case.levels, quantities=EVERYTHING - {"pictures"},
        )  # fmt: skip
        one = study(request)
        found, problems = one.found, one.problems
        findings = measurement_findings(found)
        if found.facts:
            content = envelope(
                facts=found.facts, findings=findings, problems=problems, case=case.case,
                status="done", fingerprint=job.fingerprint, seconds=_since(started),
            )  # fmt: skip
            return _Outcome(__version__, content, None)
        first = " ".join(p.says for p in problems[:1])
        says = f"Nothing could be measured. {first or 'The mask holds no vertebra to measure.'}"
        why, more = Problem(problem="case.nothing_measured", says=says), problems
    except InputProblem as problem:
        why = Problem(problem="case.unusable", says=str(problem))
    except MemoryError:
        says = "There was not enough memory. Give --workers a smaller number and run it again."
        why = Problem(problem="case.no_memory", says=says)
    except Exception as problem:
        says = (
            f"Could not be measured because of a defect of Endplate ({type(problem).__name__}). "
            f"Run 'endplate measure' on this case alone with ENDPLATE_TRACE=1 set, and report what "
            f"it prints."
        )
        why = Problem(problem="case.defect", says=says)
    return _Outcome(__version__, _failed(job, why, _since(started), more), why)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


# -- on Dask ---------------------------------------------------------------------------------------


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A connection to the scheduler that is given, or to processes of our own on this machine."""
    from distributed import Client

    with ExitStack() as stack:
        logging.disable()  # Dask tells of every process that ends; what matters, the cases say
        stack.callback(logging.disable, logging.NOTSET)
        try:
            reached = scheduler or stack.enter_context(_own_cluster(workers))
            client = stack.enter_context(Client(reached, timeout=_CONNECT))
        except (OSError, ValueError, RuntimeError, MemoryError) as problem:
            if scheduler is None:
                thing, needed = "Workers", "Room for them on this machine"
                got, check = type(problem).__name__, "it"
            else:
                thing, needed = f"--scheduler {scheduler}", "A Dask scheduler that answers"
                got, check = _why_unreached(problem, scheduler), "the address, such as tcp://HOST:8786"
            raise InputProblem(
                f"{thing}: cannot be used. {needed} is needed; {got}. Check {check}, and run the "
                f"same command again: finished cases are kept."
            ) from None
        try:
            yield client
        except (CancelledError, OSError):  # our own files are written with InputProblems
            raise InputProblem(
                "The Dask scheduler: was lost. It must answer until the batch is done; it has "
                "stopped. Start it again and run the same command: finished cases are kept."
            ) from None


def _why_unreached(problem: BaseException, address: str) -> str:
    """Why a scheduler's address gave no connection."""
    from distributed.comm import get_address_host_port

    if isinstance(problem, ValueError):
        return "this is no address of one"
    if isinstance(problem, MemoryError):  # the first bytes are taken for the length of an answer
        return "what answers there is none"
    try:  # Dask tries again and again, and not always tells why: one try of our own is plain
        with socket.create_connection(get_address_host_port(address), timeout=_CONNECT):
            pass
    except socket.gaierror:
        return "no machine of that name is known"
    except ConnectionRefusedError:
        return "nothing listens there (connection refused)"
    except OSError:
        return f"nothing answered within {_CONNECT:g} s"
    if "Timed out" in str(problem) or isinstance(problem, TimeoutError):
        return f"nothing answered within {_CONNECT:g} s"
    return f"the connection failed ({type(problem).__name__})"


@contextmanager
def _own_cluster(workers: int | None) -> Iterator[Any]:
    """Processes of our own, one case each at a time, that end with this one."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    most = max(1, min(CPU_COUNT, MEMORY_LIMIT // _MEMORY_PER_WORKER))
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_OWN_CLUSTER))
        with _deaf_to_interrupts():
            cluster = LocalCluster(
                n_workers=workers or most,
                threads_per_worker=1,
                host="127.0.0.1",
                security=True,  # another user of this machine could have code run otherwise
                silence_logs=logging.CRITICAL,
                scheduler_kwargs={
                    "dashboard": False,
                    "dashboard_address": "127.0.0.1:0",
                    "allowed_failures": 0,  # see _Run: a case is tried again alone
                },
            )
        yield stack.enter_context(cluster)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """The threads and processes that are started here, and theirs, do not hear Ctrl-C.

    A terminal sends it to all processes at once; the workers are ended by this one.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # where it is started first, signals are heard again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_OWN_CLUSTER = {
    # Nothing answers to HTTP: nobody is to look in.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Nobody looks at where the time goes, which costs some.
    "distributed.worker.profile.enabled": False,
    # A case that waits on disk or in a pause helps nobody, and leaves voxels there: it goes on, or
    # too much memory ends it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}


class _Run:
    """The cases on their way through the workers.

    Where a process dies, Dask blames every case that it held, and one of them may have killed it.
    These are tried again after the others, one at a time with nothing beside it: who dies alone
    has died of itself.
    """

    def __init__(self, client: Any, bar: _Bar) -> None:
        self._client = client
        self._bar = bar
        self._running: dict[Any, _Job] = {}
        self._suspects: list[_Job] = []
        self._threads, self._counted = 1, -math.inf
        self._has_explained = False

    def all(self, first: _Job, rest: Iterator[_Job]) -> None:
        """Measure all; each result is written as it comes."""
        waiting = chain([first], rest)
        while True:
            self._submit(islice(waiting, max(0, self._wanted() - len(self._running))))
            if not self._running:
                break
            for job, outcome in self._finished():
                if outcome is None:
                    self._suspects.append(job)
                else:
                    self._take(job, outcome)
        for job in self._suspects:
            self._submit([job])
            for _, outcome in self._finished():
                self._take(job, outcome or _died(job))

    def _submit(self, jobs: Iterator[_Job] | Sequence[_Job]) -> None:
        for job in jobs:
            self._running[self._client.submit(measured_case, job, pure=False)] = job

    def _wanted(self) -> int:
        """How many cases should be with the workers; of these there may be more at any time."""
        if time.monotonic() - self._counted > _COUNT_AGAIN:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._counted = time.monotonic()
        return _AHEAD * self._threads

    def _finished(self) -> list[tuple[_Job, _Outcome | None]]:
        """The next cases that came back, at least one; without an outcome where a process died."""
        from distributed.scheduler import KilledWorker

        found: list[tuple[_Job, _Outcome | None]] = []
        for future in self._returned():
            job = self._running.pop(future)
            problem = future.exception()
            if problem is None:
                found.append((job, self._checked(future.result())))
            elif isinstance(problem, KilledWorker):
                found.append((job, None))
            elif isinstance(problem, ImportError):
                raise self._unfit("one of them cannot import it")
            else:  # of Dask itself: measured_case lets none out
                raise problem
        return found

    def _returned(self) -> set[Any]:
        """The futures that are done, at least one."""
        from distributed import wait

        while True:
            with suppress(TimeoutError):
                return set(wait(list(self._running), _SILENCE, "FIRST_COMPLETED").done)
            if not self._has_explained and not self._client.nthreads():
                print("The scheduler has no workers; waiting for some.", file=sys.stderr)
                self._has_explained = True

    def _checked(self, outcome: _Outcome | None) -> _Outcome:
        if outcome is None:
            got = "one of them finds no file where this machine finds it"
        elif outcome.version != __version__:
            got = f"one of them has {outcome.version}"
        else:
            return outcome
        raise self._unfit(got)

    def _unfit(self, got: str) -> InputProblem:
        return InputProblem(
            f"--scheduler: its workers cannot be used. Each needs Endplate {__version__} and the "
            f"cases' files under the same paths as here; {got}. Correct it and run the same "
            f"command again: finished cases are kept."
        )

    def _take(self, job: _Job, outcome: _Outcome) -> None:
        _write(job.path, outcome.content)
        self._bar.step(is_failed=outcome.why is not None)


def _died(job: _Job) -> _Outcome:
    says = (
        "The process that measured it was killed, by the system or for lack of memory, also when "
        "nothing else was measured beside it. Give --workers a smaller number and run it again."
    )
    why = Problem(problem="case.process_died", says=says)
    return _Outcome(__version__, _failed(job, why), why)


# -- what is said at the end -----------------------------------------------------------------------


def _report(out: Path, found: Summary, kept: int, *, as_json: bool) -> None:
    """Print how many were measured, and name each that failed."""
    written = [str(out / FACTS), str(out / CASES)]
    failed = len(found.failed)
    if as_json:
        counts = {"measured": found.measured, "failed": failed, "finished_before": kept}
        print_json(problems=found.failed, cases=counts, files=written)
        return
    text = console()
    if failed:
        rows = [(p.where, p.says) for p in found.failed[:_SHOWN_AT_MOST]]
        text.print(table(f"Failed: {failed}", ("case", "why"), rows))
    if failed > _SHOWN_AT_MOST:
        print(f"... and {failed - _SHOWN_AT_MOST} more: see {CASES}.")
    before = f"; {kept} were finished before" if kept else ""
    print(f"{found.measured} cases measured, {failed} failed{before}. {found.facts} facts.")
    print(*written, sep="\n")
