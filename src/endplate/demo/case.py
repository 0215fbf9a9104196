"""The demonstration case on disk: a person's record, CT, mask and typed facts, all generated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endplate.demo import genotype, radiographs
from endplate.demo.person import BORN, SCANNED, case_toml, record_json
from endplate.demo.phantom import demonstration
from endplate.exchange import nifti
from endplate.exchange.dicom.series import Identity
from endplate.exchange.dicom.write import write_series
from endplate.exchange.files import output_folder
from endplate.images import labels as label_systems
from endplate.images.volume import Mask, Volume


def write_case(folder: Path, seed: int = 0) -> None:
    """Write the demonstration case; the same seed gives the same bytes.

    ``record.json`` (FHIR R4), ``ct/`` (DICOM), ``mask.nii.gz`` (TotalSegmentator's labels), the
    landmarks of two standing radiographs (CSV), ``genotype.vcf`` with a laboratory's call beside it
    (``cyp2d6.tsv``) and ``case.toml``.

    Raises
    ------
    InputProblem
        If the folder cannot be written to.
    """
    phantom = demonstration(seed)
    dated = replace(phantom.image.acquisition, on=SCANNED)
    with output_folder(folder) as draft:
        (draft / "record.json").write_bytes(record_json())
        (draft / "case.toml").write_text(case_toml(), encoding="utf-8")
        (draft / "genotype.vcf").write_bytes(genotype.vcf())
        (draft / "cyp2d6.tsv").write_bytes(genotype.outside_calls())
        for name, content in radiographs.files().items():
            (draft / name).write_bytes(content)
        write_series(
            replace(phantom.image, acquisition=dated),
            draft / "ct",
            seed=f"endplate demonstration {seed}",
            name="Person",
            identity=Identity("DEMONSTRATION", "", f"{BORN:%Y%m%d}", "F"),
            description="SYNTHETIC lumbar spine",
            is_synthetic=True,
        )
        nifti.write(_as_totalsegmentator(phantom.mask), draft / "mask.nii.gz")


def _as_totalsegmentator(mask: Mask) -> Volume:
    """The mask's labels renumbered as TotalSegmentator writes them; what it has not is left out."""
    numbers = {
        name: label for label, name in label_systems.system("totalsegmentator").labels.items()
    }
    renumbered = np.zeros(max(mask.structures) + 1, np.uint8)
    for label, structure in mask.structures.items():
        renumbered[label] = numbers.get(structure, 0)
    return replace(mask.volume, array=renumbered[mask.volume.array])
