"""The programs that can segment an image where a user has installed them, and their weights.

Only looked at here: what is installed, which models lie on this machine, and how each is run.
`endplate.exchange.segment` runs them.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from endplate.facts import InputProblem


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a segmenter, looked for on this machine.

    Attributes
    ----------
    task
        What the segmenter calls it.
    parts
        The weights that it consists of, by folder.
    missing
        Those of them that are not here.
    """

    task: str
    parts: tuple[Path, ...]
    missing: tuple[str, ...]


class Segmenter(ABC):
    """A program that segments; what differs between programs is in the two kinds below."""

    id: str
    package: str
    module: str
    how_to_get_weights: str
    # task → modality of the images that it is for; and those that have a fast model besides
    tasks: ClassVar[Mapping[str, str]]
    fast: ClassVar[tuple[str, ...]] = ()

    @property
    def installed(self) -> str:
        """Its version; empty if it is not installed."""
        try:
            return version(self.package) if find_spec(self.module) else ""
        except (PackageNotFoundError, ImportError):
            return ""

    @abstractmethod
    def model(self, task: str, *, fast: bool = False) -> Model:
        """The model of a task of its own, with what of it is missing here."""

    def refused(self, task: str) -> str:
        """Why a task of its own that Endplate does not offer is not run; empty if there is none."""
        return ""

    def how_to_get(self, task: str, *, fast: bool = False) -> str:
        """What a user does to have a task's weights on this machine."""
        name = task.replace("total", "total_fast") if fast else task
        return self.how_to_get_weights.format(task=name)

    @abstractmethod
    def command(self, model: Model, folder: Path, *, fast: bool) -> list[str]:
        """The command that segments `image.nii.gz` of a folder."""

    def environment(self, folder: Path) -> Mapping[str, str]:
        """What its process must find in its environment."""
        return {}

    @abstractmethod
    def results(self, model: Model, folder: Path) -> Mapping[str, tuple[Path, str]]:
        """The masks it has written: ending of the file's name → path and label system."""


class TotalSegmentator(Segmenter):
    """TotalSegmentator 2.18 or newer (Apache-2.0; some of its tasks need a licence)."""

    id = "totalsegmentator"
    package = "TotalSegmentator"
    module = "totalsegmentator"
    how_to_get_weights = "fetch them once with 'totalseg_download_weights -t {task}'"
    fast = ("total", "total_mr")
    tasks: ClassVar = {
        "total": "CT", "vertebrae_pp": "CT", "vertebrae_body": "CT",
        "vertebrae_mr": "MR", "total_mr": "MR",
    }  # fmt: skip

    def model(self, task: str, *, fast: bool = False) -> Model:
        """By the program's own table of tasks and their weights."""
        try:
            tables = importlib.import_module("totalsegmentator.map_tasks_config")
            settings = tables.TASK_CONFIGS[task]
            modes = settings.get("sub_modes", {})
            numbers = (modes["fast" if fast else "default"] if modes else settings)["task_id"]
            rows = [
                tables.TASK_ID_WEIGHTS_CONFIGS[n]
                for n in (numbers if isinstance(numbers, list) else [numbers])
            ]
            names = [str(Path(r.get("rel_path") or "") / r["foldername"]) for r in rows]
        except (ImportError, AttributeError, KeyError, TypeError):
            raise InputProblem(
                f"TotalSegmentator: task {task} cannot be run. Version 2.18 or newer is needed; "
                f"{self.installed or 'another one'} is installed, which does not tell what weights "
                f"the task needs. Update it with pip install -U 'endplate[segment]'."
            ) from None
        parts = tuple(_totalsegmentator_weights() / name for name in names)
        return Model(task, parts, tuple(p.name for p in parts if not _has(p, "checkpoint*.pth")))

    def refused(self, task: str) -> str:
        """By the program's own list of tasks whose weights are not free to use."""
        with suppress(ImportError, AttributeError):
            if importlib.import_module("totalsegmentator.registry").requires_license(task):
                return "its weights need a licence of their owner and are free for research alone"
        return ""

    def command(self, model: Model, folder: Path, *, fast: bool) -> list[str]:
        """One file with all labels; it takes a GPU where there is one."""
        return [
            sys.executable, "-m", "totalsegmentator.bin.TotalSegmentator",
            "-i", str(folder / "image.nii.gz"), "-o", str(folder / "mask.nii.gz"),
            "--ml", "--task", model.task, *(["--fast"] if fast else []),
        ]  # fmt: skip

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Settings of its own, in which its reporting of every run to its authors is off."""
        home = folder / "home"
        home.mkdir()
        settings = {
            "totalseg_id": "", "send_usage_stats": False, "prediction_counter": 0,
            "statistics_disclaimer_shown": True,
        }  # fmt: skip
        (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        weights = _totalsegmentator_weights().absolute()
        return {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights)}

    def results(self, model: Model, folder: Path) -> Mapping[str, tuple[Path, str]]:
        """One mask."""
        system = self.id if model.task == "total" else f"{self.id}_{model.task}"
        system = system.replace("_total_mr", "_mr")
        return {"": (folder / "mask.nii.gz", system)}


def _totalsegmentator_weights() -> Path:
    """The folder where TotalSegmentator keeps its weights, by its own rules."""
    if given := os.environ.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(given)
    home = os.environ.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator"
    return Path(home) / "nnunet" / "results"


class Spineps(Segmenter):
    """SPINEPS 2.1 or newer (Apache-2.0): vertebrae by level, and their parts."""

    id = "spineps"
    package = "spineps"
    module = "spineps"
    how_to_get_weights = (
        "unpack them from the program's releases, or let the program itself fetch them once: "
        "'spineps sample' with this model"
    )
    tasks: ClassVar = {"ct": "CT", "t2w": "MR", "t1w": "MR", "vibe": "MR"}
    # The folders of the three models of a task, as the program's own download names them, each
    # with a version behind (SPINEPS 2.1.3, spineps/utils/auto_download.py).
    _models: ClassVar = {
        "ct": ("CT_semantic", "CT_instance", "CT_labeling"),
        "t2w": ("T2w_semantic", "instance_sagittal", "T2w_labeling"),
        "t1w": ("T1w_semantic", "instance_sagittal", "T2w_labeling"),
        "vibe": ("Vibe_semantic", "instance_sagittal", "T2w_labeling"),
    }

    def model(self, task: str, *, fast: bool = False) -> Model:
        """The newest of each of the three models that a task needs."""
        found = {name: _newest(_spineps_weights(), name) for name in self._models[task]}
        missing = tuple(name for name, folder in found.items() if folder is None)
        return Model(task, tuple(folder for folder in found.values() if folder), missing)

    def command(self, model: Model, folder: Path, *, fast: bool) -> list[str]:
        """Models are given by their folders, so that none is looked for elsewhere."""
        # The program tells an image's kind by the end of its file's name.
        kind = {"t2w": "T2w", "t1w": "T1w"}.get(model.task, model.task)
        image = folder / f"sub-image_{kind}.nii.gz"
        (folder / "image.nii.gz").rename(image)
        models = [str(part.absolute()) for part in model.parts]
        return [sys.executable, "-c", _RUN_SPINEPS, str(image), *models]

    def results(self, model: Model, folder: Path) -> Mapping[str, tuple[Path, str]]:
        """The vertebrae, and in a second file their parts."""
        paths = json.loads((folder / "written.json").read_text(encoding="utf-8"))
        return {"": (Path(paths[0]), "verse"), ".parts": (Path(paths[1]), "spineps")}


# Cropping to the spine needs a further model, which the program would download.
_RUN_SPINEPS = """
import json, sys
from pathlib import Path
import torch
from TPTBox import BIDS_FILE
from spineps import segment_image
from spineps.get_models import get_actual_model
image = Path(sys.argv[1])
cpu = not torch.cuda.is_available()
semantic, instance, labeling = (get_actual_model(m, use_cpu=cpu).load() for m in sys.argv[2:])
paths, code = segment_image(
    img_ref=BIDS_FILE(str(image), dataset=str(image.parent)),
    model_semantic=semantic, model_instance=instance, model_labeling=labeling,
    auto_crop_to_spine=False,
)
if code.name != "OK":
    sys.exit(f"SPINEPS ended with {code.name}.")
written = [str(paths[name]) for name in ("out_vert", "out_spine")]
image.with_name("written.json").write_text(json.dumps(written))
"""


def _spineps_weights() -> Path:
    """The folder where SPINEPS keeps its models, by its own rules."""
    if given := os.environ.get("SPINEPS_SEGMENTOR_MODELS"):
        return Path(given)
    found = find_spec("spineps")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0] if places else "") / "models"


def _newest(folder: Path, name: str) -> Path | None:
    """The model of a name with the highest version."""
    there = [
        (tuple(map(int, re.findall(r"\d+", path.name.removeprefix(name)))), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if re.fullmatch(re.escape(name) + r"(_v[\d.]+)?", path.name)
        and _has(path, "inference_config.json")
    ]
    return max(there)[1] if there else None


def _has(folder: Path, pattern: str) -> bool:
    return next(folder.rglob(pattern), None) is not None


SEGMENTERS: Mapping[str, Segmenter] = {s.id: s for s in (TotalSegmentator(), Spineps())}


def state(segmenter: Segmenter) -> str:
    """Which models are here, in a few words; for a segmenter that is installed."""
    try:
        ready = [task for task in segmenter.tasks if not segmenter.model(task).missing]
        ready += [
            f"{t} --fast" for t in segmenter.fast if not segmenter.model(t, fast=True).missing
        ]
    except InputProblem:
        return "too old: pip install -U 'endplate[segment]'"
    if ready:
        return f"ok; weights are here for {', '.join(ready)}"
    return f"no weights; {segmenter.how_to_get(next(iter(segmenter.tasks)))}"
