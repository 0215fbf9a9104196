"""When an image measurement counts: what was known of the scan, the level and the vertebra.

Each gate is a rule over measured facts: it says what holds, what does not and what nobody knows.
Nothing here looks at voxels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from endplate.evidence import Evidence, Row
from endplate.facts import Fact, Value, replaced
from endplate.findings import Finding, Stage, Status, Urgency
from endplate.levels import Column, Level, Span, is_vertebra
from endplate.record import Patient
from endplate.rules import rule

ATTENUATION = (
    "ct.hounsfield.three_location",
    "ct.hounsfield.axial",
    "ct.hounsfield.trabecular_volume",
    "ct.hounsfield.totalsegmentator_mean",
    "ct.hounsfield.totalsegmentator_median",
)
DEFORMITIES = {
    "vertebra.wedge": "wedge",
    "vertebra.biconcavity": "biconcave",
    "vertebra.crush": "crush",
}
GRADES = ("severe", "moderate", "mild")
# Genant's grades were made for these vertebrae; L5 is wedged the other way in health, so neither
# is it graded nor is another measured against it.
GRADED = Span(Level.T4, Level.L4)


def at_edges(heights: Mapping[str, float], evidence: Evidence) -> tuple[float, float]:
    """The anterior and posterior heights at the edges of a body, by which Genant grades.

    Parameters
    ----------
    heights
        ``anterior`` and ``posterior`` at their positions, in any unit.
    """
    front, back = heights["anterior"], heights["posterior"]
    (over_front, over_back) = _beyond(evidence)
    return front + (front - back) * over_front, back + (back - front) * over_back


def edge_errors(errors: Mapping[str, float], evidence: Evidence) -> tuple[float, float]:
    """Standard errors of `at_edges`, from those at the two positions."""
    front, back = errors["anterior"], errors["posterior"]
    (over_front, over_back) = _beyond(evidence)
    return (
        math.hypot((1 + over_front) * front, over_front * back),
        math.hypot((1 + over_back) * back, over_back * front),
    )


def _beyond(evidence: Evidence) -> tuple[float, float]:
    """How far the edges lie beyond the two positions, in parts of the way between these."""
    front, back = (
        evidence.row(f"measurement.height.{n}_position").number for n in ("anterior", "posterior")
    )
    return front / (back - front), (1 - back) / (back - front)


def crush_references(
    level: Level, undeformed: Iterable[Level], column: Column, evidence: Evidence
) -> list[Level]:
    """The vertebrae that a crush of `level` is measured against; none where too few are sound."""
    sound = sorted({v for v in undeformed if v in GRADED and v != level})
    if len(sound) < evidence.row("measurement.genant.least_undeformed").number:
        return []
    order = {v: n for n, v in enumerate(column.levels)}
    farthest = evidence.row("measurement.genant.crush_within_levels").number
    above = [v for v in sound if v < level and order[level] - order[v] <= farthest][-1:]
    below = [v for v in sound if v > level and order[v] - order[level] <= farthest][:1]
    return above + below


def genant_grade(loss: float, evidence: Evidence) -> tuple[str, Row]:
    """The Genant grade of a loss of height in percent, and the row that decides it.

    Parameters
    ----------
    loss
        The largest of the anterior, middle and posterior losses.
    """
    for name in GRADES:
        row = evidence.row(f"measurement.genant.{name}")
        if row.met(loss):
            return name, row
    return "none", evidence.row("measurement.genant.mild")


def kernel_kind(kernel: str, evidence: Evidence) -> str:
    """``smooth``, ``sharp`` or ``unknown``: what a reconstruction kernel's name tells."""
    for line in evidence.row("measurement.kernel").table:
        match = re.match(str(line["pattern"]), kernel.strip())
        if match:
            return "sharp" if float(match[1]) >= float(line["sharp_from"]) else "smooth"
    return "unknown"


def _scans(patient: Patient, concepts: Iterable[str]) -> Iterator[tuple[str, list[Fact]]]:
    """The facts of these concepts, one image after the other."""
    by_source: dict[str, list[Fact]] = {}
    for what in concepts:
        for fact in patient.facts(what):
            by_source.setdefault(fact.source, []).append(fact)
    yield from sorted(by_source.items())


def _known(facts: list[Fact], detail: str) -> float | str | None:
    """A detail that the facts of one image share; None where none of them knows it."""
    for fact in facts:
        value = fact.details.get(detail)
        if value is not None and value != "unknown":
            return value
    return None


def _unknown(says: str, source: str, facts: list[Fact], missing: str, *rows: Row) -> Finding:
    return Finding(
        says=says,
        about=source,
        status=Status.UNKNOWN,
        because=tuple(facts[:1]),
        missing=(missing,),
        rests_on=rows,
        stage=Stage.BACKGROUND,
    )


def told(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts, with tube voltage and contrast that somebody typed put beside the attenuation.

    An image file may not say how it was taken, and a typed attenuation never does. What was
    typed counts where the record holds the attenuation of one CT only, and never against what
    an image's own header says.
    """
    given = tuple(facts)
    headers = {f.source for f in given if f.what == "imaging.series"}
    typed: dict[str, Value] = {}
    for name in ("tube_voltage", "contrast"):
        what = f"imaging.ct.{name}"
        found = [f for f in given if f.what == what and f.source not in headers]
        if len(found) == 1:
            value = found[0].value
            typed[name] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    scans = {f.source if f.method else "" for f in given if f.what in ATTENUATION}
    if not typed or len(scans) != 1:
        return given
    return tuple(_told(f, typed) if f.what in ATTENUATION else f for f in given)


def _told(fact: Fact, typed: Mapping[str, Value]) -> Fact:
    unsaid = {k: v for k, v in typed.items() if fact.details.get(k, "unknown") == "unknown"}
    return replaced(fact, details={**fact.details, **unsaid}) if unsaid else fact


@rule("measurement.contrast", reads=ATTENUATION)
def contrast(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Contrast in the veins raises a vertebra's attenuation, so it has to be known.

    Source      bone.hounsfield.contrast.venous_rise, bone.hounsfield.contrast.phases
    Population  adults with CT before and after contrast
    Not for     correcting a single person's attenuation
    """
    rows = [evidence.row(f"bone.hounsfield.contrast.{n}") for n in ("venous_rise", "phases")]
    for source, facts in _scans(patient, ATTENUATION):
        given = _known(facts, "contrast")
        if given not in ("yes", "no"):
            yield _unknown(
                "Whether contrast was given for this CT is unknown; contrast raises attenuation.",
                source, facts, "imaging.ct.contrast", *rows,
            )  # fmt: skip
            continue
        yield Finding(
            says="Contrast was given for this CT: attenuation reads higher than without it."
            if given == "yes"
            else "No contrast was given for this CT.",
            about=source,
            category="contrast" if given == "yes" else "no_contrast",
            because=tuple(facts),
            rests_on=tuple(rows),
            urgency=Urgency.ROUTINE if given == "yes" else Urgency.INFORMATION,
        )


@rule("measurement.tube_voltage", reads=ATTENUATION)
def tube_voltage(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Published attenuation cut-offs hold at one tube voltage only.

    Source      bone.hounsfield.tube_voltage.valid
    Population  adults with CT
    Not for     converting one voltage's attenuation into another's
    """
    valid = evidence.row("bone.hounsfield.tube_voltage.valid")
    for source, facts in _scans(patient, ATTENUATION):
        voltage = _known(facts, "tube_voltage")
        if not isinstance(voltage, float | int):
            yield _unknown(
                f"The tube voltage of this CT is unknown; cut-offs hold at {valid.text}.",
                source, facts, "imaging.ct.tube_voltage", valid,
            )  # fmt: skip
            continue
        same = voltage == valid.number
        says = f"This CT was taken at {voltage:g} kV"
        says += "." if same else f"; cut-offs for attenuation hold at {valid.text} only."
        yield Finding(
            says=says,
            about=source,
            value=float(voltage),
            unit="kV",
            category="valid" if same else "other",
            because=tuple(facts),
            rests_on=(valid,),
            urgency=Urgency.INFORMATION if same else Urgency.ROUTINE,
        )


@rule("measurement.kernel", reads=ATTENUATION)
def kernel(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """A sharp reconstruction kernel raises noise and edges and changes attenuation.

    Source      measurement.kernel
    Population  CT of the makers whose kernels are listed
    Not for     kernels that are not listed: they are unknown, not smooth
    """
    row = evidence.row("measurement.kernel")
    for source, facts in _scans(patient, ATTENUATION):
        name = _known(facts, "kernel")
        kind = kernel_kind(str(name), evidence) if name is not None else "unknown"
        if kind == "unknown":
            what = "is not one that is known to be smooth or sharp" if name else "is unknown"
            yield _unknown(
                f"The reconstruction kernel of this CT {what}.",
                source, facts, "imaging.ct.kernel", row,
            )  # fmt: skip
            continue
        says = f"The reconstruction kernel {name} is {kind}"
        says += "." if kind == "smooth" else ": attenuation measured with it is doubtful."
        yield Finding(
            says=says,
            about=source,
            category=kind,
            because=tuple(facts),
            rests_on=(row,),
            urgency=Urgency.INFORMATION if kind == "smooth" else Urgency.ROUTINE,
        )


@rule("measurement.slice_spacing", reads=ATTENUATION)
def slice_spacing(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Slices far apart blur endplates and bone together.

    Source      measurement.slice_spacing
    Population  CT and MR of the spine
    Not for     slice thickness, which a header may give larger or smaller than the spacing
    """
    row = evidence.row("measurement.slice_spacing")
    for source, facts in _scans(patient, ATTENUATION):
        spacing = _known(facts, "slice_spacing")
        if not isinstance(spacing, float | int):
            yield _unknown(
                "The distance between this image's slices is unknown.",
                source, facts, "imaging.slice_spacing", row,
            )  # fmt: skip
            continue
        wide = row.met(float(spacing))
        says = f"The slices of this image are {spacing:.3g} mm apart"
        says += "; attenuation near the endplates and heights are doubtful." if wide else "."
        yield Finding(
            says=says,
            about=source,
            value=float(spacing),
            unit="mm",
            category="wide" if wide else "fine",
            because=tuple(facts),
            rests_on=(row,),
            urgency=Urgency.ROUTINE if wide else Urgency.INFORMATION,
        )


@rule("measurement.metal", reads=("imaging.metal", *ATTENUATION))
def metal(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Metal in the image, where it is, and which vertebrae are too near to it.

    Source      measurement.metal.threshold, measurement.metal.distance
    Population  CT of the spine
    Not for     telling an implant from other metal, or judging artefacts farther off
    """
    rows = tuple(evidence.row(f"measurement.metal.{n}") for n in ("threshold", "distance"))
    places: dict[str, list[Fact]] = {}
    for fact in patient.facts("imaging.metal"):
        places.setdefault(fact.source, []).append(fact)
    for source, facts in _scans(patient, ATTENUATION):
        found = places.get(source, [])
        near = sorted({f.level for f in facts if f.details.get("metal") == "near" and f.level})
        if not found and not any(f.details.get("metal") == "none" for f in facts):
            yield _unknown(
                "Whether there is metal in this image is unknown.",
                source, facts, "imaging.metal", *rows,
            )  # fmt: skip
            continue
        where = ", ".join(str(f.value) for f in found)
        says = f"Metal was found in this image: {where}" if found else "No metal was found"
        if found:
            said = f"; within {rows[1].number:g} mm of {', '.join(near)}, whose attenuation is "
            says += said + "not used" if near else "; no measured vertebra is near it"
        yield Finding(
            says=says + ".",
            about=source,
            category="near_a_vertebra" if near else "elsewhere" if found else "none",
            because=(*found, *(f for f in facts if f.level in near)),
            rests_on=rows,
            urgency=Urgency.ROUTINE if found else Urgency.INFORMATION,
        )


def _newest(patient: Patient, level: str | None) -> list[Fact]:
    """The losses of height of a vertebra, those of the newest image first."""
    found = [f for what in DEFORMITIES for f in patient.facts(what) if f.level == level]
    return sorted(found, key=lambda f: f.on or date.min, reverse=True)


@rule("measurement.fracture", reads=tuple(DEFORMITIES))
def fracture(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """How deformed each vertebra is by Genant's grades of the loss of height.

    Source      measurement.genant.mild, measurement.genant.moderate, measurement.genant.severe,
                measurement.genant.no_lower_limit
    Population  T4-L4 on lateral views of postmenopausal women; applied here to CT
    Not for     telling a fracture from a variant or another disease: that needs eyes
    Differs     one source prints grade 1 without a lower limit; reference heights differ, too
    """
    worst: dict[str, Fact] = {}
    known: dict[str, set[str]] = {}
    newest = {
        level: found[0].source
        for level in {f.level for what in DEFORMITIES for f in patient.facts(what)}
        if (found := _newest(patient, level))
    }
    for what in DEFORMITIES:
        for fact in patient.facts(what):
            if not is_vertebra(fact.level) or fact.source != newest[fact.level]:
                continue
            known.setdefault(fact.level, set()).add(what)
            if fact.level not in worst or worst[fact.level].number < fact.number:
                worst[fact.level] = fact
    for level, fact in sorted(worst.items(), key=lambda item: Level(item[0])):
        if level not in GRADED:
            yield Finding(
                says=f"{level}: its deformity is not graded; Genant's grades are for {GRADED}.",
                about=level,
                status=Status.NOT_APPLICABLE,
                because=(fact,),
                rests_on=(evidence.row("measurement.genant.mild"),),
            )
            continue
        grade, row = genant_grade(fact.number, evidence)
        says = f"{level}: no deformity (greatest loss of height {fact.number:.0f} %)"
        if grade != "none":
            kind = DEFORMITIES[fact.what]
            says = f"{level}: {grade} {kind} deformity, loss of height {fact.number:.0f} %"
            says += "; whether it is a fracture needs a radiologist's eye"
        reach = [genant_grade(end, evidence)[0] for end in fact.interval or ()]
        if len(set(reach)) > 1:
            says += f"; within its error it may be {' to '.join(reach)}"
        says += "".join(f"; doubtful, as {d}" for d in fact.doubts)
        yield Finding(
            says=says + ".",
            about=level,
            value=round(fact.number, 1),
            unit="%",
            category=grade,
            parts={
                "kind": None if grade == "none" else DEFORMITIES[fact.what],
                "at_least": reach[0] if reach else None,
                "at_most": reach[-1] if reach else None,
            },
            because=(fact,),
            missing=tuple(what for what in DEFORMITIES if what not in known[level]),
            rests_on=(row, evidence.row("measurement.genant.no_lower_limit")),
            stage=Stage.NOW if grade != "none" else Stage.BACKGROUND,
            urgency=Urgency.ROUTINE if grade != "none" else Urgency.INFORMATION,
        )


@rule("measurement.cut_by_field_of_view", reads=("vertebra.cut_by_field_of_view",))
def cut_by_field_of_view(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """A vertebra that the field of view cuts is not measured, but for an endplate that is whole.

    Source      measurement.least_voxels (the same limit on what is labelled at all)
    Population  any image of the spine
    Not for     vertebrae outside the image, of which nothing is known
    """
    seen: dict[str, list[Fact]] = {}
    for fact in patient.facts("vertebra.cut_by_field_of_view"):
        seen.setdefault(fact.level or "", []).append(fact)
    for level, facts in seen.items():
        cut = [f for f in facts if f.value is True]
        if not cut:
            continue
        body = [f for f in cut if f.details.get("part") != "arch"]
        says = f"{level}: the field of view cuts its arch; its body was measured."
        if body and len(body) == len(facts):
            shown = next((s for f in body if (s := f.details.get("measured"))), None)
            measured = f"only its {shown} was measured" if shown else "it was not measured"
            says = f"{level}: the field of view cuts its body; {measured}."
        elif body:
            says = f"{level}: the field of view of an image cuts its body; another shows it."
        yield Finding(
            says=says,
            about=level,
            category="body" if body else "arch",
            because=tuple(cut),
            rests_on=(evidence.row("measurement.least_voxels"),),
            urgency=Urgency.ROUTINE if len(body) == len(facts) else Urgency.INFORMATION,
        )


@rule("measurement.too_few_voxels", reads=("vertebra.not_measured",))
def too_few_voxels(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """A vertebra that was not measured, or of which a region held too little, and why.

    Source      measurement.least_voxels, measurement.hounsfield.least_voxels
    Population  any image of the spine
    Not for     vertebrae that have no label
    """
    rows = (
        evidence.row("measurement.least_voxels"),
        evidence.row("measurement.hounsfield.least_voxels"),
    )
    # Several scans may each have failed at the same thing.
    failed: dict[str, list[Fact]] = {}
    for fact in patient.facts("vertebra.not_measured"):
        failed.setdefault(f"{fact.level}: {fact.details.get('what', 'it')}", []).append(fact)
    for what, facts in failed.items():
        reasons = dict.fromkeys(str(f.value) for f in facts)
        yield Finding(
            says=f"{what} was not measured: {'; '.join(reasons)}.",
            about=what,
            category=str(facts[0].details.get("reason", "other")),
            because=tuple(facts),
            rests_on=rows,
            urgency=Urgency.ROUTINE,
        )


@rule("measurement.levels", reads=("vertebra.cut_by_field_of_view",))
def levels(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Whether the labels follow each other as vertebrae do; every level is still to be confirmed.

    Source      measurement.level_gap, measurement.level_crowding, measurement.mask.fills_the_gap,
                measurement.mask.on_the_sacrum, measurement.mask.rib_shift
    Population  labelled images of the spine
    Not for     proof of a level: without the sacrum or the ribs in view a count cannot be checked
    """
    names = ("level_gap", "level_crowding", "mask.fills_the_gap", "mask.on_the_sacrum",
             "mask.rib_shift")  # fmt: skip
    for source, facts in _scans(patient, ("vertebra.cut_by_field_of_view",)):
        placed = sorted(
            (f for f in facts if is_vertebra(f.level)), key=lambda f: Level(str(f.level))
        )
        if not placed:
            continue
        # Why a name is in doubt the look at the mask has told, as a problem and beside each number.
        doubted = [str(f.level) for f in placed if f.details.get("level_in_doubt") == "yes"]
        how = {str(f.level): f.details.get("level_confirmed", "no") for f in placed}
        uncounted = [level for level, known in how.items() if known == "no"]
        run = f"{placed[0].level} to {placed[-1].level}" if len(placed) > 1 else placed[0].level
        order = f"in doubt: {', '.join(doubted)}" if doubted else "nothing speaks against them"
        yield Finding(
            says=f"Levels as labelled ({run}): {order}. {_to_confirm(how, uncounted)}",
            about=source,
            category="doubtful" if doubted else "plausible",
            because=tuple(placed),
            missing=("imaging.series",) if uncounted else (),
            rests_on=tuple(evidence.row(f"measurement.{n}") for n in names),
            stage=Stage.NOW if doubted else Stage.BACKGROUND,
            urgency=Urgency.SOON if doubted else Urgency.INFORMATION,
        )


def _to_confirm(how: Mapping[str, Value], uncounted: list[str]) -> str:
    """Whose levels a person has confirmed, and how to confirm the others."""
    if set(how.values()) == {"yes"}:
        return "A person has confirmed them."
    if not uncounted:
        return "A person has to confirm them before anything is planned."
    return (
        f"Not confirmed, and not counted from sacrum or ribs: {', '.join(uncounted)}. A person has "
        f"to confirm them before anything is planned: --confirm-levels, or levels_confirmed = true "
        f"in case.toml."
    )


@rule("measurement.vbq_acquisition", reads=("mr.vertebral_bone_quality",))
def vbq_acquisition(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Whether an MR was taken so that its vertebral bone quality score has norms.

    Source      measurement.vbq.repetition_time_from, measurement.vbq.repetition_time_to,
                measurement.vbq.echo_time_from, measurement.vbq.echo_time_to
    Population  107 adults of 20-69 years with T1 lumbar MR without contrast
    Not for     comparing field strengths
    """
    names = ("repetition_time", "echo_time")
    limits = {
        n: tuple(evidence.row(f"measurement.vbq.{n}_{end}") for end in ("from", "to"))
        for n in names
    }
    rows = tuple(row for pair in limits.values() for row in pair)
    for source, facts in _scans(patient, ("mr.vertebral_bone_quality",)):
        times = {n: _known(facts, n) for n in names}
        missing = [f"imaging.mr.{n}" for n, t in times.items() if not isinstance(t, float | int)]
        outside = [
            f"{n.replace('_', ' ')} {t:g} ms"
            for n, t in times.items()
            if isinstance(t, float | int) and not all(row.met(float(t)) for row in limits[n])
        ]
        contrast = _known(facts, "contrast")
        missing += [] if contrast in ("yes", "no") else ["imaging.mr.contrast"]
        outside += ["contrast was given"] if contrast == "yes" else []
        if missing and not outside:
            yield Finding(
                says="Whether this MR was taken as the score's norms ask for is unknown.",
                about=source, status=Status.UNKNOWN, because=tuple(facts),
                missing=tuple(missing), rests_on=rows,
            )  # fmt: skip
            continue
        says = "This MR was taken as the vertebral bone quality score's norms ask for."
        if outside:
            says = (
                f"The vertebral bone quality score has no norms for this MR: {', '.join(outside)}."
            )
        yield Finding(
            says=says,
            about=source,
            category="outside" if outside else "within",
            because=tuple(facts),
            missing=tuple(missing),
            rests_on=rows,
            urgency=Urgency.ROUTINE if outside else Urgency.INFORMATION,
        )
