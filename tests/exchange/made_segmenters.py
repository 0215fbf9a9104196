"""Stand-ins for TotalSegmentator and SPINEPS: packages of the same interface, made by a test.

They have the modules, tables, options and outputs that Endplate meets in TotalSegmentator 2.18.0
and SPINEPS 2.1.3. What they segment is whatever is brighter than a threshold. The variable
STAND_IN makes them fail: ``fails``, ``killed``, ``writes nothing``, ``writes nonsense``, ``hangs``.
"""

from __future__ import annotations

from pathlib import Path

_SEGMENT = """
import json, os, signal, sys, time
import nibabel
import numpy as np

def run(image, label, out):
    told = {k: os.environ.get(k) for k in ("https_proxy", "HTTP_PROXY", "TOTALSEG_HOME_DIR")}
    told["TMPDIR"] = os.environ["TMPDIR"]
    if os.environ.get("STAND_IN_TELLS"):
        home = told["TOTALSEG_HOME_DIR"]
        told["config"] = json.load(open(home + "/config.json")) if home else None
        told["arguments"] = sys.argv[1:]
        told["pid"] = os.getpid()
        part = os.environ["STAND_IN_TELLS"] + ".part"
        json.dump(told, open(part, "w"))
        os.rename(part, os.environ["STAND_IN_TELLS"])
    print("Predicting:  50%", flush=True)
    print("on standard error", file=sys.stderr, flush=True)
    how = os.environ.get("STAND_IN", "")
    if how == "fails":
        open(out, "wb").write(b"half")
        raise RuntimeError("not enough of something")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(600)
    if how == "writes nonsense":
        open(out, "wb").write(b"no NIfTI")
    if how:
        return
    loaded = nibabel.load(image)
    mask = np.where(loaded.get_fdata() > 70, label, 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mask, loaded.affine), out)
"""

TOTALSEGMENTATOR = {
    "totalsegmentator/__init__.py": "",
    "totalsegmentator/map_tasks_config.py": """
TASK_CONFIGS = {
    "total": {"sub_modes": {
        "fast": {"task_id": 297}, "default": {"task_id": [291, 292]},
    }},
    "total_mr": {"sub_modes": {"fast": {"task_id": 852}, "default": {"task_id": [850]}}},
    "vertebrae_body": {"task_id": 305}, "vertebrae_pp": {"task_id": 803},
    "vertebrae_mr": {"task_id": 756},
}
TASK_ID_WEIGHTS_CONFIGS = {
    n: {"foldername": f"Dataset{n}_made"} for n in (291, 292, 297, 305, 756, 803, 850, 852)
}
""",
    "totalsegmentator/registry.py": """
def requires_license(task):
    return task in ("tissue_types", "face")
""",
    "totalsegmentator/made.py": _SEGMENT,
    "totalsegmentator/bin/__init__.py": "",
    "totalsegmentator/bin/TotalSegmentator.py": """
import argparse
from totalsegmentator.made import run
parser = argparse.ArgumentParser()
parser.add_argument("-i", dest="input")
parser.add_argument("-o", dest="output")
parser.add_argument("-ml", "--ml", action="store_true")
parser.add_argument("-ta", "--task", default="total")
parser.add_argument("-f", "--fast", action="store_true")
given = parser.parse_args()
assert given.ml
run(given.input, {"vertebrae_mr": 4}.get(given.task, 29), given.output)
""",
    "TotalSegmentator-2.18.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: TotalSegmentator\n"
    "Version: 2.18.0\n",
}

SPINEPS = {
    "torch.py": "class cuda:\n    is_available = staticmethod(lambda: False)\n",
    "TPTBox.py": """
class BIDS_FILE:
    def __init__(self, file, dataset, verbose=True):
        self.file, self.dataset = file, dataset
""",
    "spineps/__init__.py": """
from enum import Enum, auto
from pathlib import Path
import os
from spineps.made import run
class ErrCode(Enum):
    OK = auto()
    EMPTY = auto()
def segment_image(img_ref, model_semantic, model_instance, model_labeling=None,
                  derivative_name="derivatives_seg", auto_crop_to_spine="auto"):
    assert auto_crop_to_spine is False
    folder = Path(img_ref.dataset) / derivative_name
    folder.mkdir()
    paths = {"out_vert": folder / "vert.nii.gz", "out_spine": folder / "spine.nii.gz"}
    run(img_ref.file, 22, str(paths["out_vert"]))
    run(img_ref.file, 49, str(paths["out_spine"]))
    return paths, ErrCode.EMPTY if os.environ.get("STAND_IN") == "is empty" else ErrCode.OK
""",
    "spineps/get_models.py": """
from pathlib import Path
class Model:
    def __init__(self, folder, use_cpu):
        assert (Path(folder) / "inference_config.json").is_file() and use_cpu
    def load(self):
        return self
def get_actual_model(in_config, use_cpu=False, **kwargs):
    return Model(in_config, use_cpu)
""",
    "spineps/made.py": _SEGMENT,
    "spineps-2.1.3.dist-info/METADATA": "Metadata-Version: 2.1\nName: spineps\nVersion: 2.1.3\n",
}


def lay(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def lay_weights(folder: Path, *datasets: str) -> None:
    """Folders of weights as a trained nnU-Net leaves them, without the weights."""
    for name in datasets:
        fold = folder / name / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_0"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").write_bytes(b"")


def lay_models(folder: Path, *names: str) -> None:
    """Folders of models of SPINEPS."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "inference_config.json").write_text("{}")
