"""Posture: how the person was held when a measurement was taken."""

from __future__ import annotations

from enum import StrEnum


class Posture(StrEnum):
    """The posture of a measurement; alignment of one posture never meets another's targets."""

    STANDING = "standing"
    SITTING = "sitting"
    SUPINE = "supine"
    PRONE = "prone"
    LATERAL = "lateral"
    UNKNOWN = "unknown"


# In these there is a plumb line.
UPRIGHT = (Posture.STANDING, Posture.SITTING)

# The last letter(s) of DICOM Patient Position (0018,5100), PS3.3 section C.7.3.1.1.2.
_BY_DICOM_SUFFIX = {
    "S": Posture.SUPINE,
    "P": Posture.PRONE,
    "DR": Posture.LATERAL,
    "DL": Posture.LATERAL,
}


def from_patient_position(patient_position: str | None) -> Posture:
    """The posture that a DICOM Patient Position such as ``HFS`` or ``FFDL`` states."""
    code = (patient_position or "").strip().upper()
    if code[:2] not in ("HF", "FF", "LF", "RF", "AF", "PF"):
        return Posture.UNKNOWN
    return _BY_DICOM_SUFFIX.get(code[2:], Posture.UNKNOWN)
