"""Alignment: pictures of marked radiographs, and the part of the report that they stand in.

The pictures are pure functions of landmarks, facts and findings; nothing is measured here. Each has
a table beside it that says the same in words and numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from endplate import vocabulary
from endplate.alignment.aims import Target as Aim
from endplate.alignment.aims import targets_of
from endplate.alignment.geometry import METHOD
from endplate.alignment.landmarks import Radiograph
from endplate.alignment.norms import OF_THE_MEAN, Norm, norms_of
from endplate.evidence import Citation, Evidence
from endplate.evidence import Row as EvidenceRow
from endplate.facts import Fact
from endplate.findings import AnyFinding, Status
from endplate.posture import UPRIGHT, Posture
from endplate.record import Patient
from endplate.report.geometry import Table
from endplate.report.outline import Outline, Pair, coronal, sagittal, sagittal_table
from endplate.report.ring import Part, ring, ring_table
from endplate.report.strip import Band, Row, Target, strip, strip_table

INTENDED_USE = (
    "Alignment: shows a clinician angles and lengths between points that somebody marked, beside "
    "what publications say of them. It does not decide, and it is no cleared medical device."
)
_HOW_TO_PLAN = (
    "No correction is planned here. 'endplate alignment plan FILE --age YEARS --out DIR', with the "
    "lateral radiograph's file of landmarks, draws the smallest sets of actions that bring chosen "
    "targets into range within limits that you set."
)
COBB = "spine.coronal_cobb_angle"
# What stands in the strip, from pelvis to head; of a curve the first span that is known.
MAIN: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    ("pelvis.pelvic_incidence", (None,)),
    ("pelvis.pelvic_tilt", (None,)),
    ("pelvis.sacral_slope", (None,)),
    ("spine.lumbar_lordosis", ("L1-S1",)),
    ("spine.lower_lumbar_lordosis", ("L4-S1",)),
    ("spine.lordosis_distribution_index", ("L1-S1",)),
    ("spine.pelvic_incidence_lumbar_lordosis_mismatch", ("L1-S1",)),
    ("spine.thoracolumbar_kyphosis", ("T10-L2",)),
    ("spine.thoracic_kyphosis", ("T4-T12", "T5-T12", "T2-T12", "T1-T12")),
    ("spine.sagittal_vertical_axis", ("C7-S1",)),
    ("spine.global_tilt", ("C7-S1",)),
    ("spine.t1_pelvic_angle", ("T1",)),
    ("spine.t4_pelvic_angle", ("T4",)),
    ("spine.l1_pelvic_angle", ("L1",)),
    ("spine.t1_slope", ("T1",)),
    ("spine.cervical_lordosis", ("C2-C7",)),
    ("spine.t1_slope_cervical_lordosis_mismatch", ("C2-T1",)),
    ("spine.cervical_sagittal_vertical_axis", ("C2-C7",)),
    ("spine.chin_brow_vertical_angle", (None,)),
    ("lower_limb.knee_flexion_angle", (None,)),
    ("spine.coronal_balance", ("C7-S1",)),
    ("pelvis.pelvic_obliquity", (None,)),
)
_SPANS = {what: spans[0] for what, spans in MAIN}
# The GAP score's parts: its name in the finding, the quantity it is about, how it is called.
_GAP, _INDEX = "alignment.gap", "lordosis_distribution_index"
# Findings whose numbers stand in the table of targets.
_AIMED = ("alignment.ideal_lordosis", "alignment.age_adjusted")
_GAP_PARTS = (
    ("relative_pelvic_version", "pelvis.sacral_slope", "relative pelvic version"),
    ("relative_lumbar_lordosis", "spine.lumbar_lordosis", "relative lumbar lordosis"),
    (_INDEX, "spine.lordosis_distribution_index", "lordosis distribution index"),
    ("relative_spinopelvic_alignment", "spine.global_tilt", "relative spinopelvic alignment"),
    ("age", "person.age", "age"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture of the report: its file name, what it is, how it is read, its table."""

    name: str
    svg: str
    heading: str
    how: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the report says of alignment.

    Attributes
    ----------
    measured
        On which film, in which posture, on which day, sentence by sentence.
    figures
        The pictures with their tables.
    classes
        Finding's key, what it is about, what it says, and its sources; answered ones first.
    norms
        Where each value lies among people without complaints; None where no norm is one of it.
    targets, disagreements
        What each source would aim at, side by side, None where there is none; and how far the
        sources lie apart, sentence by sentence.
    how_to_plan
        How corrections are planned on these radiographs; nothing where they were not given.
    """

    measured: tuple[str, ...]
    figures: tuple[Figure, ...]
    classes: tuple[tuple[str, str, str, str], ...]
    norms: Table | None
    targets: Table | None
    disagreements: tuple[str, ...] = ()
    how_to_plan: str = ""
    intended_use: str = INTENDED_USE


# -- pictures -------------------------------------------------------------------------------------


def pictures(
    films: Sequence[Radiograph], facts: Iterable[Fact] = (), plans: Sequence[Outline] = ()
) -> dict[str, str]:
    """The SVG pictures of the films by file name: ``sagittal.svg``, ``coronal.svg``.

    Parameters
    ----------
    films
        One of each view at most.
    facts
        What was measured on them: the frontal curves are drawn as they stand there.
    plans
        Further outlines for the lateral picture, in the same frame: targets and plans.
    """
    return {figure.name: figure.svg for figure in _outlines(films, tuple(facts), plans)}


def _outlines(
    films: Sequence[Radiograph], facts: Sequence[Fact], plans: Sequence[Outline]
) -> Iterator[Figure]:
    for film in films:
        own = outline(film)
        if film.view == "lateral":
            every = (own, *plans)
            yield Figure(
                name="sagittal.svg",
                svg=sagittal(every, calibrated=film.calibrated),
                heading="From the side",
                how="Endplates as they were marked; the front is to the right. Facing forwards is "
                "positive." + _turned(film, own),
                table=Table(
                    "Inclination of the endplates in degrees",
                    ("Endplate", *(o.name or o.role for o in every)),
                    tuple(sagittal_table(every)),
                ),
            )
        else:
            curves = [f for f in facts if f.what == COBB and f.source == film.name]
            yield Figure(
                name="coronal.svg",
                svg=coronal(own, pairs(curves), calibrated=film.calibrated),
                heading="From the front",
                how="As a radiograph is viewed: the patient's left is to the right. A dashed line "
                "links the two end plates of a curve, on its convex side where that is certain.",
                table=Table(
                    "Frontal curves",
                    ("Curve", "From and to", "Cobb angle", "95 % interval", "Convex", "Apex"),
                    tuple(_curve_line(str(n), f) for n, f in enumerate(curves, 1)),
                ),
            )


def outline(film: Radiograph) -> Outline:
    """A film's landmarks as an outline of what is now."""
    day = str(film.on) if film.on else "no date"
    return Outline(
        points=film.oriented(),
        name=f"{film.name}, {day}, {_in_words(film.posture)}",
        upright=film.posture in UPRIGHT,
    )


def _in_words(posture: Posture | None) -> str:
    if posture in (None, Posture.UNKNOWN):
        return "posture not stated"
    return "lying on the side" if posture is Posture.LATERAL else str(posture)


def _turned(film: Radiograph, own: Outline) -> str:
    """That the picture is the mirror image of the film, where it is."""
    for name, (x, _) in film.points.items():
        if x and (x > 0) != (own.points[name][0] > 0):
            return " On the film the person faces the other way."
    return ""


def pairs(curves: Sequence[Fact]) -> tuple[Pair, ...]:
    """The frontal curves, numbered from the head down, as the picture links them."""
    found = []
    for n, fact in enumerate(curves, 1):
        first, _, last = str(fact.level).partition("-")
        angle = f"{fact.number:.1f}°"
        if fact.interval:
            angle += f" ± {(fact.interval[1] - fact.interval[0]) / 2:.1f}"
        side = f"convex {fact.side}" if fact.side else "side not certain"
        found.append(
            Pair(id=str(n), first=first, last=last, side=fact.side,
                 says=(f"{first} to {last}", angle, side))
        )  # fmt: skip
    return tuple(found)


def _curve_line(number: str, fact: Fact) -> tuple[str, ...]:
    low, high = fact.interval or (None, None)
    return (
        number, str(fact.level), f"{fact.number:.1f}°",
        "" if low is None else f"{low:.1f} to {high:.1f}", fact.side or "not certain",
        str(fact.details.get("apex", "")),
    )  # fmt: skip


# -- the section ----------------------------------------------------------------------------------


def alignment_section(
    patient: Patient,
    findings: Sequence[AnyFinding],
    evidence: Evidence,
    films: Sequence[Radiograph] = (),
) -> Section | None:
    """What the report says of alignment; None where nobody was measured upright."""
    films = newest(films)
    facts = [f for what, spans in MAIN if (f := _upright(patient, what, spans)) is not None]
    if not facts and not films:
        return None
    of_rule = {f.rule: f for f in findings}
    aims = targets_of(patient, evidence)
    norms = [(f, norms_beside(f, patient, evidence)) for f in facts]
    rows = [row(f, of_it, aims) for f, of_it in norms]
    figures = list(_outlines(films, patient.facts(COBB), ()))
    if rows:
        figures.append(strip_figure(rows))
    if (gap := _ring_figure(of_rule.get(_GAP), evidence)) is not None:
        figures.append(gap)
    return Section(
        measured=tuple(_measured(films, facts)),
        figures=tuple(figures),
        classes=tuple(_classes(findings)),
        norms=_norm_table(norms),
        targets=_target_table(aims),
        disagreements=tuple(_disagreements(aims)),
        how_to_plan=_HOW_TO_PLAN if any(f.view == "lateral" for f in films) else "",
    )


def newest(films: Iterable[Radiograph]) -> tuple[Radiograph, ...]:
    """Of each view the newest film, those of upright people before all others."""
    found: dict[str, Radiograph] = {}
    ordered = sorted(films, key=lambda f: (f.posture in UPRIGHT, f.on or date.min), reverse=True)
    for film in ordered:
        found.setdefault(film.view, film)
    return tuple(found[view] for view in ("lateral", "frontal") if view in found)


def _upright(patient: Patient, what: str, spans: Sequence[str | None]) -> Fact | None:
    """The newest measurement of an upright person; an incidence holds from every posture."""
    known = [
        f for f in patient.facts(what)
        if f.posture in UPRIGHT or (what == "pelvis.pelvic_incidence" and f.method == METHOD)
    ]  # fmt: skip
    return next((f for span in spans for f in known if span is None or f.level in (span, None)),
                None)  # fmt: skip


def _measured(films: Sequence[Radiograph], facts: Sequence[Fact]) -> Iterator[str]:
    for film in films:
        scale = "calibrated" if film.calibrated else "uncalibrated: angles alone"
        day = str(film.on) if film.on else "on a day that is not known"
        yield (
            f"{film.view.capitalize()} radiograph {film.name}, {day}: "
            f"{_in_words(film.posture)}, {len(film.points)} landmarks, {scale}."
        )
    of_films = {film.name for film in films}
    others = sorted({f.source for f in facts} - of_films)
    if others:
        yield f"Also from {', '.join(others)}."


# -- strip ----------------------------------------------------------------------------------------


def row(fact: Fact, norms: Sequence[Norm], aims: Sequence[Aim]) -> Row:
    """The row of one measurement, with what it is held against."""
    # What a publication would have standing people aim at is held against nobody who sits.
    targets = [a for a in aims if a.what == fact.what and fact.posture is Posture.STANDING]
    return replace(
        blank(fact.what, fact.level),
        value=fact.number,
        interval=fact.interval,
        bands=tuple(_band(norm) for norm in norms),
        targets=tuple(_target(aim) for aim in targets),
        doubt="; ".join(fact.doubts),
        posture=f"{_in_words(fact.posture)}, {fact.on or 'no date'}, {fact.source}",
    )


def blank(what: str, level: str | None) -> Row:
    """The row of a quantity before anything is known of it: its name, how numbers are printed."""
    concept = vocabulary.concept(what)
    unit = {"deg": "°", "1": ""}.get(concept.unit, concept.unit)
    return Row(name=_named(concept.name, level), unit=unit, decimals=concept.decimals)


def _named(name: str, level: str | None) -> str:
    """A concept's name without its explanation, with the level where that does not say it."""
    short = name.split(" (", maxsplit=1)[0].split(",", maxsplit=1)[0]
    return short if level is None or level in short else f"{short} {level}"


# -- norms and targets ----------------------------------------------------------------------------


def norms_beside(fact: Fact, patient: Patient, evidence: Evidence) -> tuple[Norm, ...]:
    """What a measurement is held against, people of the person's own age first.

    An interval of a mean says how well that is known, and not where people lie: it is no reference.
    """
    found = [
        norm for norm in norms_of(fact, patient, evidence)
        if norm.band != OF_THE_MEAN and (norm.low is not None or norm.sd is not None)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda norm: bool(norm.unlike)))


def _band(norm: Norm) -> Band:
    """A norm's limits; of one without, its mean with one standard deviation to both sides."""
    source = f"{norm.population}; {_keys(norm.cites)}"
    if norm.low is not None and norm.high is not None:
        return Band(low=norm.low, high=norm.high, name=norm.band, source=source)
    mean, sd = norm.mean or 0.0, norm.sd or 0.0
    return Band(low=mean - sd, high=mean + sd, name="mean ± SD", source=source)


def _norm_table(norms: Sequence[tuple[Fact, Sequence[Norm]]]) -> Table | None:
    lines = [
        (
            one.name, one.text(fact.number), one.judged(fact.number, _band(norm)),
            "" if norm.mean is None or norm.sd is None
            else f"{one.text(norm.mean)} ± {one.text(norm.sd)}",
            f"{norm.population}{'; not of this age: ' if norm.unlike else ''}{norm.unlike}",
            _read(norm.cites, verified=norm.verified),
        )
        for fact, of_it in norms
        for one in (blank(fact.what, fact.level),)
        for norm in of_it
    ]  # fmt: skip
    if not lines:
        return None
    headings = ("Parameter", "Now", "Beside them", "Mean ± SD", "Found in", "Source")
    return Table("Beside what was measured in others", headings, tuple(lines))


def _target(aim: Aim) -> Target:
    return Target(
        name=aim.holder, value=aim.value, low=aim.low, high=aim.high, below=aim.below,
        default=aim.default,
    )  # fmt: skip


def _target_table(aims: Sequence[Aim]) -> Table | None:
    """Every target beside what is now, with its source; None for whom none can be held against."""
    if all(aim.now is None for aim in aims):
        return None
    headings = ("Parameter", "Now", "Target", "Off by", "By", "Found in", "Source")
    lines = tuple(_target_line(aim) for aim in aims)
    return Table("What each source would aim at", headings, lines)


def _target_line(aim: Aim) -> tuple[str, ...]:
    one = blank(aim.what, _SPANS[aim.what])
    off = "" if aim.off is None else "in range" if aim.reached else f"{_signed(one, aim.off)}"
    return (
        one.name, "not known" if aim.now is None else one.text(aim.now),
        "; ".join(p for p in (one.wanted(_target(aim)), aim.note) if p), off,
        f"{aim.holder}{' (default)' if aim.default else ''}", aim.population,
        _read(aim.cites, verified=aim.verified),
    )  # fmt: skip


def _signed(one: Row, off: float) -> str:
    return f"+{one.text(off)}" if off > 0 else one.text(off)


def _disagreements(aims: Sequence[Aim]) -> Iterator[str]:
    """How far the values lie apart that different sources would have a parameter be."""
    for what in dict.fromkeys(aim.what for aim in aims if aim.now is not None):
        values = [aim.value for aim in aims if aim.what == what and aim.value is not None]
        if len(set(values)) > 1:
            one = blank(what, _SPANS[what])
            low, high = one.text(min(values)), one.text(max(values))
            yield f"{one.name}: {len(values)} sources disagree, from {low} to {high}."


def _keys(cites: Iterable[Citation]) -> str:
    return ", ".join(dict.fromkeys(c.key for c in cites))


def _read(cites: Iterable[Citation], *, verified: bool) -> str:
    return f"{_keys(cites)}; {'read in the source' if verified else 'not all numbers verified'}"


def _sources(rows: Iterable[EvidenceRow]) -> str:
    return _keys(c for row in rows for c in row.cites)


def strip_figure(rows: Sequence[Row], name: str = "parameters.svg", key: str = "strip") -> Figure:
    """The parameter strip with its table."""
    return Figure(
        name=name,
        svg=strip(rows, key=key),
        heading="Parameters",
        how="Each parameter on its own axis. References and targets are those of different "
        "publications and do not agree; none of them is this person's own.",
        table=Table(
            "Alignment parameters",
            ("Parameter", "Now", "95 % interval", "Plan", "Reference range", "Targets",
             "Measured"),
            tuple(strip_table(rows)),
        ),
    )  # fmt: skip


# -- classes --------------------------------------------------------------------------------------


def _classes(findings: Sequence[AnyFinding]) -> Iterator[tuple[str, str, str, str]]:
    """Each finding of alignment, those that answer first; targets stand in their own table."""
    known = [f for f in findings if f.rule.startswith("alignment.") and f.rule not in _AIMED]
    for finding in sorted(known, key=lambda f: f.status is not Status.ANSWERED):
        name = finding.key.removeprefix("alignment.").replace("_", " ").replace("@", ", ")
        verified = "" if finding.verified else "; not all numbers verified"
        yield finding.key, name, finding.says, f"{_sources(finding.rests_on)}{verified}"


def _ring_figure(finding: AnyFinding | None, evidence: Evidence) -> Figure | None:
    if finding is None or all(finding.parts.get(p) is None for p, *_ in _GAP_PARTS[:-1]):
        return None
    parts = tuple(_gap_part(finding, part, name, evidence) for part, _, name in _GAP_PARTS)
    known = finding.value is not None
    total = f"{finding.value:g}" if known else "–"
    of = sum(p.most for p in parts)
    category = f"of {of}: {str(finding.category).replace('_', ' ')}" if known else "not computable"
    return Figure(
        name="gap.svg",
        svg=ring(parts, total, category),
        heading="Proportion (GAP)",
        how="Filled cells are points; more points are farther from what the pelvis asks for. It "
        "describes a shape, and other cohorts did not confirm that it predicts complications.",
        table=Table("The parts of the GAP score", ("Part", "What it is", "Points"),
                    tuple(ring_table(parts))),
    )  # fmt: skip


def _gap_part(finding: AnyFinding, part: str, name: str, evidence: Evidence) -> Part:
    rows = evidence.under(f"alignment.gap.{part}.")
    most = max(int(row.table[0]["points"]) for row in rows)
    points = finding.parts.get(f"{part}_points")
    if not isinstance(points, int | float):
        return Part(name=name, says="not known", points=None, most=most)
    category = str(finding.parts.get(f"{part}_class")).replace("_", " ")
    deviation = finding.parts.get(part)
    age = next((f for f in finding.because if f.what == "person.age"), None)
    if part == "age" and age is not None:
        says = f"{age.number:.0f} years"
    elif isinstance(deviation, int | float):
        unit = " %" if part == _INDEX else "°"
        sign = "+" if unit == "°" else ""
        says = f"{deviation:{sign}.1f}{unit}: {category}".replace("-", "−")
    else:
        says = category
    return Part(name=name, says=says, points=int(points), most=most)
