"""The demonstration case on disk: a person's record, CT, mask and typed facts, all generated."""

from __future__ import annotations

from pathlib import Path

from endplate.demo.person import case_toml, record_json
from endplate.demo.phantom import demonstration
from endplate.exchange.dicom.write import write_series
from endplate.exchange.files import output_folder
from endplate.exchange.nifti import write_nifti


def write_case(folder: Path, seed: int = 0) -> None:
    """Write the demonstration case; the same seed gives the same bytes.

    ``record.json`` (FHIR R4), ``ct/`` (DICOM), ``mask.nii.gz`` (TotalSegmentator's labels) and
    ``case.toml``.

    Raises
    ------
    InputProblem
        If the folder cannot be written to.
    """
    phantom = demonstration(seed)
    with output_folder(folder) as draft:
        (draft / "record.json").write_bytes(record_json())
        (draft / "case.toml").write_text(case_toml(), encoding="utf-8")
        write_series(phantom.image, draft / "ct")
        write_nifti(phantom.mask.volume, draft / "mask.nii.gz")
