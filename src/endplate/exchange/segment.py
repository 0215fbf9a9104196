"""Segmenting an image by a program that the user has installed: TotalSegmentator or SPINEPS.

Neither is part of Endplate, and nothing is ever downloaded: a model's weights must lie on this
machine before a run begins, and the run is cut off from the network. It happens in a process and a
folder of its own, so that nothing of it is left when it fails or is stopped.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from endplate.exchange import nifti
from endplate.exchange.masks import read_mask
from endplate.exchange.segmenters import SEGMENTERS, Model, Segmenter, Spineps
from endplate.facts import InputProblem, Problem
from endplate.images.volume import Mask, Volume

# A proxy where nothing listens: what a program wants from the network it does not get.
_NOWHERE = "http://127.0.0.1:9"
_OFFLINE = {
    name: _NOWHERE
    for plain in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
    for name in (plain, plain.upper())
} | {"no_proxy": "", "NO_PROXY": "", "HF_HUB_OFFLINE": "1"}
# No MR signal is this low; an image of unknown kind that is holds Hounsfield units of air.
_AIR = -500
_LOOK_SECONDS = 0.2
_SUFFIX = ".nii.gz"
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Segmented:
    """What a segmenter made of an image.

    Attributes
    ----------
    masks
        With what their labels mean, and with the program, its version and model.
    files
        The same as NIfTI files: what to put behind a file's stem → content.
    problems
        What is doubtful about the masks.
    """

    masks: tuple[Mask, ...]
    files: Mapping[str, bytes]
    problems: tuple[Problem, ...]


# -- before a run -----------------------------------------------------------------------------


def prepared(by: str, task: str | None, image: Volume, *, fast: bool) -> tuple[Segmenter, Model]:
    """The segmenter and the model that a run will use, both known to be here.

    Raises
    ------
    InputProblem
        If there is no such segmenter or task, or the program or its weights are absent.
    """
    segmenter = SEGMENTERS.get(by)
    if segmenter is None:
        raise InputProblem(
            f"Segmenting: {by!r} is not understood. It is one of {', '.join(SEGMENTERS)}. Write "
            f"one of these."
        )
    name = segmenter.package
    if not segmenter.installed:
        raise InputProblem(
            f"{name}: cannot segment. It must be installed beside Endplate; it is not. Install it "
            f"with pip install 'endplate[segment]', or segment elsewhere and give the mask with "
            f"--mask."
        )
    task = task or _usual_task(segmenter, image)
    if task not in segmenter.tasks:
        why = segmenter.refused(task) or "Endplate does not know it"
        raise InputProblem(
            f"{name}: task {task} is not run. It must be one of {', '.join(segmenter.tasks)}; "
            f"of {task}, {why}. Name another with --task."
        )
    if fast and task not in segmenter.fast:
        raise InputProblem(
            f"{name}: task {task} has no fast model. One is there for "
            f"{', '.join(segmenter.fast) or 'none of its tasks'}; --fast was given with {task}. "
            f"Leave --fast out."
        )
    model = segmenter.model(task, fast=fast)
    if model.missing:
        raise InputProblem(
            f"{name}: task {task} cannot be run. The weights of its model must be on this machine, "
            f"for Endplate downloads nothing; {', '.join(model.missing)} is missing. To get them, "
            f"{segmenter.how_to_get(task, fast=fast)}."
        )
    return segmenter, model


def _usual_task(segmenter: Segmenter, image: Volume) -> str:
    """The task for an image of this modality, where the modality alone tells it."""
    modality = image.acquisition.modality
    if not modality and image.array.size and float(image.array.min()) < _AIR:
        modality = "CT"
    fitting = [task for task, kind in segmenter.tasks.items() if kind == modality]
    # SPINEPS has a model for each MR sequence, and a file's name for a sequence tells nothing.
    if fitting and (segmenter.id != Spineps.id or len(fitting) == 1):
        return fitting[0]
    raise InputProblem(
        f"{segmenter.package}: cannot tell which model fits the image. One is for each kind of "
        f"image; the file does not say which this is. Name it with --task, one of "
        f"{', '.join(segmenter.tasks)}."
    )


# -- the run ----------------------------------------------------------------------------------


def segment(image: Volume, by: str, *, task: str | None = None, fast: bool = False) -> Segmented:
    """Segment an image.

    Parameters
    ----------
    by
        ``totalsegmentator`` or ``spineps``.
    task
        What that program calls its model; by default the one for the image's modality.
    fast
        TotalSegmentator's model for voxels of 3 mm.

    Raises
    ------
    InputProblem
        If the program or its weights are absent, or the program fails.
    """
    segmenter, model = prepared(by, task, image, fast=fast)
    with tempfile.TemporaryDirectory(prefix="endplate-segment-") as name:
        folder = Path(name)
        nifti.write(image, folder / "image.nii.gz")
        own = {"TMPDIR": name, **segmenter.environment(folder)}
        environment = {**os.environ, **_OFFLINE, **own}
        _run(segmenter, segmenter.command(model, folder, fast=fast), folder, environment)
        parts = ", ".join(part.name for part in model.parts)
        algorithm = f"{segmenter.package} {segmenter.installed}, {model.task} ({parts})"
        masks, files, problems = [], {}, []
        for ending, (path, system) in _written(segmenter, model, folder).items():
            mask, noted = read_mask(path, system)
            volume = replace(mask.volume, name=f"mask{ending}")
            masks.append(replace(mask, volume=volume, algorithm=algorithm))
            files[ending] = nifti.with_algorithm(path, algorithm)
            # The file that they speak of is gone with its folder.
            problems += [msgspec.structs.replace(p, where=volume.name) for p in noted]
    return Segmented(tuple(masks), files, tuple(problems))


def _run(
    segmenter: Segmenter, command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> None:
    """Run a program to its end; what it prints is shown on a terminal, and kept for its error."""
    log = folder / "printed.txt"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        with log.open("rb") as shown:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
                _show(shown.read())
    finally:
        # Its workers too: a program that was killed leaves them behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise _failed(segmenter, f"it ended with {_ending(process.returncode)}", log)


def _show(printed: bytes) -> None:
    if printed and sys.stderr.isatty():
        sys.stderr.buffer.write(printed)
        sys.stderr.flush()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name + (", which is often too little memory" if name == "SIGKILL" else "")


def _written(segmenter: Segmenter, model: Model, folder: Path) -> Mapping[str, tuple[Path, str]]:
    """The masks of a run that says it went well."""
    log = folder / "printed.txt"
    try:
        found = segmenter.results(model, folder)
    except (OSError, ValueError, IndexError):
        raise _failed(segmenter, "it has written no mask", log) from None
    if not all(path.is_file() for path, _ in found.values()):
        raise _failed(segmenter, "it has written no mask", log)
    return found


def _failed(segmenter: Segmenter, how: str, log: Path) -> InputProblem:
    lines = re.split(r"[\r\n]+", log.read_bytes().decode("utf-8", "replace"))
    said = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in lines]
    last = next((line for line in reversed(said) if line), "")[:_LONGEST_REASON]
    about = f", and its last words were: {last.rstrip('.')}" if last else ""
    return InputProblem(
        f"{segmenter.package}: could not segment the image. It must run to its end; {how}{about}. "
        f"Run it by itself to see all that it says. Nothing was written."
    )


def named(out: Path, files: Mapping[str, Any]) -> dict[str, Any]:
    """The files of a segmentation by name: further masks lie beside the first.

    Raises
    ------
    InputProblem
        If the name is none of a compressed NIfTI file.
    """
    if not out.name.endswith(_SUFFIX):
        raise InputProblem(
            f"{out.name}: cannot be written. A mask is written as compressed NIfTI; this name ends "
            f"otherwise. Let it end with {_SUFFIX}."
        )
    stem = out.name.removesuffix(_SUFFIX)
    return {f"{stem}{ending}{_SUFFIX}": content for ending, content in files.items()}
