"""How a series was taken, from its headers. What a header does not say stays unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, TypeVar

from endplate.exchange.dicom.frames import Frame
from endplate.facts import Problem
from endplate.images.volume import Acquisition
from endplate.posture import from_patient_position

T = TypeVar("T")

# A virtual monoenergetic image ("Mono+ 70 keV", "MonoE", Image Type MONOENERGETIC or VMI).
_MONOENERGETIC = re.compile(
    r"(?<![a-z])(?:mono[\s_-]*(?:e(?![a-z])|energ|chromatic|plus|\+|\d)|vmi(?![a-z]))"
    r"|\d\s*kev(?![a-z])",
    re.IGNORECASE,
)
# Words by which a header says that no contrast was given, and those that may stand beside them;
# anything else names an agent.
_DENIALS = frozenset(
    {"none", "no", "n", "nil", "non", "not", "without", "w/o", "wo", "unenhanced", "native",
     "nativ", "noncontrast", "ohne", "sans"}
)  # fmt: skip
_BESIDE = frozenset(
    {"contrast", "agent", "agents", "media", "medium", "material", "dye", "iv", "i.v",
     "intravenous", "given", "administered", "used", "injected", "injection", "applied", "bolus",
     "enhanced", "scan", "study", "ct", "km", "kontrast", "kontrastmittel", "was", "is"}
)  # fmt: skip
_SAYS_NOTHING = frozenset(
    {"", "na", "unknown", "unk", "notapplicable", "notavailable", "notspecified", "unspecified",
     "notknown", "undefined", "null"}
)  # fmt: skip
_INTRAVENOUS = re.compile(r"\biv\b|i\.v\.|intraven|vein|venous|inject", re.IGNORECASE)
_OTHER_ROUTE = re.compile(r"oral|rectal|mouth|\bpo\b|intrathec|intra-?artic", re.IGNORECASE)
_HINT = re.compile(
    r"contrast|\bc\+|\+c\b|\bkm\b|\bce\b|post.?gd|\bgd\b|gadol|venous|arterial|portal|enhanced",
    re.IGNORECASE,
)
_LOCALIZER = re.compile(r"locali[sz]er|scout|survey|topogram|3.?plane", re.IGNORECASE)
# Magnetic Field Strength is in tesla; some old scanners wrote gauss. Between the two ranges a
# number could be gauss or millitesla, and the field is unknown.
_MOST_TESLA = 15.0
_LEAST_GAUSS = 5000.0


def acquisition(frames: Sequence[Frame], source: str) -> tuple[Acquisition, list[Problem]]:
    """How the planes of one volume were taken, and what of it is doubtful.

    A value that differs between the planes of one volume is unknown, and a problem says so.
    """
    problems: list[Problem] = []
    first = frames[0]

    def alike(keyword: str, read: Callable[[Frame], T | None]) -> T | None:
        values = {repr(frame.value(keyword)) for frame in frames}
        if len(values) > 1 and len({repr(read(frame)) for frame in frames}) > 1:
            problems.append(
                Problem(
                    problem="dicom.mixed_acquisition",
                    says=f"{keyword} differs between slices; it is taken as unknown.",
                    where=source,
                )
            )
            return None
        return read(first)

    modality = first.text("Modality")
    computed = modality == "CT" and _is_monoenergetic(frames, source, problems)
    position = alike("PatientPosition", lambda f: f.text("PatientPosition").upper() or None)
    result = Acquisition(
        modality=modality,
        source=source,
        on=_day(first),
        posture=from_patient_position(position),
        patient_position=position,
        scanner=_scanner(first),
        tube_voltage=None if computed else alike("KVP", lambda f: _positive(f, "KVP")),
        kernel=alike("ConvolutionKernel", lambda f: " ".join(f.words("ConvolutionKernel")) or None),
        contrast=_contrast_of_all(frames),
        field_strength=_field_strength(first, source, problems),
        repetition_time=alike("RepetitionTime", lambda f: _positive(f, "RepetitionTime")),
        echo_time=alike("EchoTime", lambda f: _positive(f, "EchoTime")),
        sequence=_sequence(first) if modality == "MR" else None,
        slice_thickness=alike("SliceThickness", lambda f: _positive(f, "SliceThickness")),
    )
    description = first.text("SeriesDescription")
    if result.contrast is None and _HINT.search(description):
        problems.append(
            Problem(
                problem="dicom.contrast_perhaps",
                says="The description hints at a contrast agent, but the header does not say "
                "whether one was given; contrast is taken as unknown.",
                where=source,
                try_=("State in case.toml whether contrast was given.",),
            )
        )
    if _LOCALIZER.search(description):
        problems.append(
            Problem(
                problem="dicom.localizer_perhaps",
                says="The description calls this series a localizer; it is no basis for measuring.",
                where=source,
            )
        )
    return result, problems


def _is_monoenergetic(frames: Sequence[Frame], source: str, problems: list[Problem]) -> bool:
    """Whether a CT was computed for one photon energy; its tube voltage then says nothing."""
    keywords = ("ImageType", "SeriesDescription", "ProtocolName")
    texts = {frame.text(keyword) for frame in frames for keyword in keywords}
    found = any(_MONOENERGETIC.search(text) for text in texts)
    if found:
        says = (
            "It is a virtual monoenergetic image: its attenuation is that of one photon energy, "
            "whatever the tube voltage in its header, which is taken as unknown."
        )
        problems.append(
            Problem(
                problem="dicom.virtual_monoenergetic",
                says=says,
                where=source,
                try_=("Measure a series of this scan that was not computed for one energy.",),
            )
        )
    return found


def _positive(frame: Frame, keyword: str) -> float | None:
    number = frame.number(keyword)
    return number if number is not None and number > 0 else None


def _day(frame: Frame) -> date | None:
    for keyword in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate"):
        day = iso_day(frame.text(keyword))
        if day is not None:
            return day
    return None


def iso_day(text: str) -> date | None:
    """The day of a DICOM date, date-time or old-style date with points; None if it is none."""
    digits = text.replace(".", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _scanner(frame: Frame) -> str | None:
    maker, model = frame.text("Manufacturer"), frame.text("ManufacturerModelName")
    return " ".join(part for part in (maker, model) if part) or None


def _contrast_of_all(frames: Sequence[Frame]) -> bool | None:
    """Yes if it was given for one plane; no only if every plane says no."""
    first = frames[0]
    keywords = ("ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusVolume")
    differ = {tuple(repr(f.value(k)) for k in keywords): f for f in frames}
    answers = {contrast(frame) for frame in (first, *differ.values())}
    return True if True in answers else None if None in answers else False


def contrast(frame: Frame) -> bool | None:
    """Whether intravenous contrast was given for this plane; None where the header is silent.

    An absent element says nothing: it is unknown, and not "no contrast".
    """
    told = frame.text("ContrastBolusAgentAdministered").upper()
    if told in ("YES", "NO"):
        return told == "YES"
    agent = frame.text("ContrastBolusAgent")
    named = _names_agent(agent)
    sequence: Any = frame.value("ContrastBolusAgentSequence")
    given = bool(sequence)
    for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
        given = given or (frame.number(keyword) or 0) > 0
    if named is False and not given:
        return False
    given = given or bool(named)
    if not given:
        return None
    route = frame.text("ContrastBolusRoute")
    if _OTHER_ROUTE.search(route) and not _INTRAVENOUS.search(route):
        return None  # swallowed or injected elsewhere: of the veins it says nothing
    return True


def _names_agent(text: str) -> bool | None:
    """Whether a text names an agent; False where it says that there was none.

    None where it says neither: it is empty, or denies one thing and names another.
    """
    if text in ("-", "0"):
        return False
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    if plain in _SAYS_NOTHING:
        return None
    words = {word.strip("./") for word in re.findall(r"[a-z0-9./]+", text.lower())} - {""}
    denied = words & _DENIALS
    if denied and words <= _DENIALS | _BESIDE:
        return False
    return None if denied - {"non", "n"} else True  # "non-ionic" denies nothing


def _field_strength(frame: Frame, source: str, problems: list[Problem]) -> float | None:
    value = _positive(frame, "MagneticFieldStrength")
    if value is None or value <= _MOST_TESLA:
        return value
    if value >= _LEAST_GAUSS:
        return value / 10000
    problems.append(
        Problem(
            problem="dicom.field_strength_unit",
            says="The magnetic field strength is in no recognisable unit; it is taken as unknown.",
            where=source,
        )
    )
    return None


def _sequence(frame: Frame) -> str | None:
    """Scanning sequence, variant, name and protocol in one line."""
    kind = "/".join((*frame.words("ScanningSequence"), *frame.words("SequenceVariant")))
    name = frame.text("SequenceName") or frame.text("PulseSequenceName")
    return " ".join(part for part in (kind, name, frame.text("ProtocolName")) if part) or None
