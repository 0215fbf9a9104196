"""The bone ladder's data: every measure of bone on record beside its source's cut-offs."""

from __future__ import annotations

from endplate import levels
from endplate.bone.attenuation import L1_TO_L4, REGIONS
from endplate.bone.densitometry import ISCD_SITES
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.record import Patient
from endplate.report.charts import Panel, Point, Zone

_SITE_NAMES = {
    "femoral_neck": "femoral neck",
    "total_hip": "total hip",
    "femur": "femur, region not stated",
    "lumbar_spine": "lumbar spine",
    "distal_radius": "distal radius",
    "site_unknown": "site not stated",
}


def bone_panels(patient: Patient, evidence: Evidence) -> tuple[Panel, ...]:
    """The panels of the bone ladder that have something to show."""
    panels = (
        _t_scores(patient, evidence),
        _attenuation(patient, evidence),
        _trabecular_bone_score(patient, evidence),
        _bone_quality(patient, evidence),
        *_frax(patient, evidence),
    )
    return tuple(p for p in panels if p.points)


def _source(*rows: Row) -> str:
    return "; ".join(f"{r.text} {', '.join(c.key for c in r.cites)}" for r in rows)


def _point(name: str, fact: Fact, decimals: int) -> Point:
    low, high = fact.interval or (None, None)
    text = f"{fact.number:.{decimals}f}"
    if low is not None and high is not None:
        text += f" ({low:.{decimals}f} to {high:.{decimals}f})"
    return Point(name, float(fact.number), text, low, high, doubt="; ".join(fact.doubts))


def _t_scores(patient: Patient, evidence: Evidence) -> Panel:
    osteoporosis = evidence.row("bone.t_score.osteoporosis")
    low_mass = evidence.row("bone.t_score.low_bone_mass")
    points = []
    for site in (*ISCD_SITES, "site_unknown"):
        newest: dict[str | None, Fact] = {}
        for fact in patient.facts(f"bone.t_score.{site}"):
            if fact.on == newest.setdefault(fact.side, fact).on:  # two hips may have no sides
                name = _SITE_NAMES[site] + (f", {fact.side}" if fact.side else "")
                points.append(_point(name, fact, 1))
    return Panel(
        title="DXA T-score",
        unit="",
        axis=(-5, 3),
        ticks=(-4, -2.5, -1, 0, 2),
        zones=(
            Zone("osteoporosis", None, osteoporosis.number, _source(osteoporosis)),
            Zone(
                "low bone mass",
                osteoporosis.number,
                low_mass.number,
                _source(low_mass),
                poor=False,
                low_in=False,
                high_in=False,
            ),
        ),
        points=tuple(points),
        note="WHO categories; postmenopausal women, men from 50",
    )


def _attenuation(patient: Patient, evidence: Evidence) -> Panel:
    likely, low = (
        evidence.row("bone.hounsfield.likely"),
        evidence.row("bone.hounsfield.low_density"),
    )
    unlikely = evidence.row("bone.hounsfield.unlikely")
    for method in REGIONS:
        facts = patient.facts(method)
        if facts:
            break
    newest = {f.level: f for f in reversed(facts)}
    ordered = sorted(newest.values(), key=lambda f: (f.level == L1_TO_L4, levels.order(f.level)))
    points = [_point("mean L1-L4" if f.level == L1_TO_L4 else str(f.level), f, 0) for f in ordered]
    return Panel(
        title="CT attenuation",
        unit="HU",
        axis=(0, 300),
        ticks=(50, 110, 160, 200, 250),
        zones=(
            Zone("likely osteoporosis", None, likely.number, _source(likely), high_in=False),
            Zone(
                "low or uncertain",
                likely.number,
                unlikely.number,
                _source(low, unlikely),
                poor=False,
            ),
        ),
        points=tuple(points),
        note="cut-offs from 73 to 202 HU are published",
    )


def _trabecular_bone_score(patient: Patient, evidence: Evidence) -> Panel:
    scheme = evidence.choice("bone.trabecular_bone_score_scheme").use
    degraded = evidence.row(f"bone.tbs.{scheme}.degraded")
    normal = evidence.row(f"bone.tbs.{scheme}.normal")
    score = patient.latest("bone.trabecular_bone_score")
    return Panel(
        title="Trabecular bone score",
        unit="",
        axis=(1.0, 1.6),
        ticks=(1.0, 1.2, 1.4, 1.6),
        zones=(
            Zone("degraded", None, degraded.number, _source(degraded)),
            Zone(
                "partially degraded",
                degraded.number,
                normal.number,
                _source(normal),
                poor=False,
                low_in=False,
                high_in=False,
            ),
        ),
        points=(_point("L1-L4", score, 3),) if score else (),
    )


def _bone_quality(patient: Patient, evidence: Evidence) -> Panel:
    possible = evidence.row("bone.vbq.possible")
    uncertain = evidence.row("bone.vbq.indeterminate")
    score = patient.latest("mr.vertebral_bone_quality")
    return Panel(
        title="MR vertebral bone quality",
        unit="",
        axis=(1.0, 5.0),
        ticks=(1, 2, 2.8, 4, 5),
        zones=(
            Zone("possible osteoporosis", possible.number, None, _source(possible)),
            Zone(
                "uncertain",
                uncertain.number,
                possible.number,
                _source(uncertain),
                poor=False,
                high_in=False,
            ),
        ),
        points=(_point("L1-L4", score, 2),) if score else (),
        poorer_is_higher=True,
        note="higher is poorer; differs between field strengths",
    )


def _frax(patient: Patient, evidence: Evidence) -> tuple[Panel, ...]:
    """One panel per outcome, as each has a threshold of its own."""
    scales = {"major": (50, (0, 10, 20, 30, 40, 50)), "hip": (10, (0, 3, 6, 10))}
    panels = []
    for outcome, (highest, ticks) in scales.items():
        fact = patient.latest(f"bone.frax_{outcome}")
        row = evidence.row(f"bone.frax.{outcome}_threshold")
        panels.append(
            Panel(
                title=f"FRAX, {outcome} fracture in 10 years",
                unit="%",
                axis=(0, highest),
                ticks=ticks,
                zones=(Zone("treatment considered", row.number, None, _source(row)),),
                points=(_point("as given", fact, 1),) if fact else (),
                poorer_is_higher=True,
                note="higher is poorer; US threshold",
            )
        )
    return tuple(panels)
