"""The junction above a fusion: whether it is kyphotic, has failed, and how badly."""

from __future__ import annotations

from collections.abc import Mapping

from endplate.alignment.standing import POSTURE, called, posture_of
from endplate.evidence import Evidence, Row, first_met
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.posture import Posture
from endplate.record import UNKNOWN, Known, Patient, any_of
from endplate.rules import rule
from endplate.vocabulary import concept

_ANGLE = "junction.pja"
_BEFORE = "junction.pja_before"
_ANGLE_1 = "junction.pja_uiv1"
_BEFORE_1 = "junction.pja_uiv1_before"
_DEVIATIONS = "junction.pja_uiv1_deviations"
_BROKE = "junction.rod_fracture_or_reoperation"
_PJK = (_ANGLE, _BEFORE, _ANGLE_1, _BEFORE_1, _DEVIATIONS, _BROKE)
_FRACTURE = "junction.fracture"
_SUBLUXATION = "junction.subluxation"
_INSTRUMENTATION = "junction.instrumentation"
_NEUROLOGY = "junction.neurology"
_REVISION = "junction.revision_needed"
_HOLDERS = {
    "glattes": "Glattes (PJK10)",
    "pjk20": "PJK20",
    "pjk2sd": "PJK2SD",
    "pjk10_10": "PJK10+10 at UIV+1",
    "pjk15": "PJK15",
    "pjk30": "PJK30",
}

# Whether a definition is met, and what would have to be known where that is open.
Answer = tuple[bool | None, tuple[str, ...]]


def _upright(patient: Patient, what: str, at: Fact | None = None) -> Fact | None:
    """The newest standing measurement; angles lying down are not those of the definitions.

    `at`: an angle of the junction that is meant; those of another level are passed over.
    """
    upright = (
        f for f in patient.facts(what)
        if posture_of(patient, f) is Posture.STANDING
        and (at is None or None in (at.level, f.level) or at.level == f.level)
    )  # fmt: skip
    return next(upright, None)


def _change(patient: Patient, what: str, before: str) -> float | None:
    """How much an angle grew from before an operation to after it."""
    angle = _upright(patient, what)
    earlier = _upright(patient, before, angle)
    return None if angle is None or earlier is None else angle.number - earlier.number


@rule("alignment.pjk", reads=(*_PJK, POSTURE), scores="pjk", needs=(_ANGLE, _BEFORE))
def pjk(patient: Patient, evidence: Evidence) -> Finding | None:
    """Proximal junctional kyphosis above a fusion, by every definition in use.

    Source      Glattes's definition as restated twice, five others as listed (alignment.pjk.*,
                alignment.pjk_incidence)
    Population  adults and adolescents after fusion for deformity, standing radiographs
    Not for     supine images; the chance of getting it, for which no formula was found
    Differs     the definitions differ in level, angle and change; the default is a choice
    """
    given = [f for what in _PJK for f in patient.facts(what)]
    if not any(f.what not in (_BEFORE, _BEFORE_1) for f in given):
        return None  # before an operation nobody asks
    answers = {name: _defined(name, patient, evidence) for name in _HOLDERS}
    default = evidence.choice("alignment.pjk_definition").use
    met, missing = answers[default]
    at = {_BEFORE: _upright(patient, _ANGLE), _BEFORE_1: _upright(patient, _ANGLE_1)}
    because = tuple(
        f for what in _PJK
        if (f := _upright(patient, what, at.get(what)) or _plain(patient, what)) is not None
    )  # fmt: skip
    positions = tuple(
        Position(
            holder=_HOLDERS[name],
            says=_said(yes, lacking),
            rests_on=evidence.under(f"alignment.pjk.{name}."),
            default=name == default,
        )
        for name, (yes, lacking) in answers.items()
    )
    parts: dict[str, PartValue] = {
        **{name: yes for name, (yes, _) in answers.items()},
        "change": _change(patient, _ANGLE, _BEFORE),
        "change_uiv1": _change(patient, _ANGLE_1, _BEFORE_1),
    }
    rows = (*evidence.under(f"alignment.pjk.{default}."), evidence.row("alignment.pjk_incidence"))
    if met is None:
        other = " It is defined on standing radiographs." if _refused(patient) else ""
        return Finding(
            says=f"Proximal junctional kyphosis by {_HOLDERS[default]} cannot be told; "
            f"{_not_known(missing)}.{other}",
            status=Status.UNKNOWN,
            parts=parts,
            because=because or tuple(given),
            missing=missing,
            rests_on=rows,
            positions=positions,
        )
    count = sum(yes is not None for yes, _ in answers.values())
    met_by = sum(yes is True for yes, _ in answers.values())
    return Finding(
        says=f"{'Proximal' if met else 'No proximal'} junctional kyphosis by {_HOLDERS[default]}; "
        f"definitions met: {met_by} of the {count} that can be computed.",
        category="pjk" if met else "no_pjk",
        parts=parts,
        because=because,
        rests_on=rows,
        positions=positions,
    )


def _plain(patient: Patient, what: str) -> Fact | None:
    """A fact that is no angle, so that it has no posture."""
    return patient.latest(what) if what in (_BROKE, _DEVIATIONS) else None


def _refused(patient: Patient) -> bool:
    """Whether an angle is known, and in another posture or in one that nobody stated."""
    angles = (_ANGLE, _BEFORE, _ANGLE_1, _BEFORE_1)
    return any(patient.facts(what) and not _upright(patient, what) for what in angles)


def _said(met: bool | None, missing: tuple[str, ...]) -> str:
    if met is None:
        return f"not computable; {_not_known(missing)}"
    return "met" if met else "not met"


def _not_known(missing: tuple[str, ...]) -> str:
    return f"not known: {'; '.join(map(called, missing))}"


def _defined(name: str, patient: Patient, evidence: Evidence) -> Answer:
    """Whether one definition is met."""
    rows = {r.last_name: r for r in evidence.under(f"alignment.pjk.{name}.")}
    if "deviations" in rows:
        away = patient.latest(_DEVIATIONS)
        return (rows["deviations"].met(away.number), ()) if away else (None, (_DEVIATIONS,))
    at_first = name in ("pjk10_10", "pjk15")
    what, before = (_ANGLE_1, _BEFORE_1) if at_first else (_ANGLE, _BEFORE)
    angle = _upright(patient, what)
    reached = rows["angle"].met(angle.number) if angle else None
    if "change" in rows:
        return _with_change(reached, angle, what, before, rows["change"], patient)
    if name == "pjk30":
        return _or_broken(reached, patient)
    return reached, () if angle else (what,)


def _with_change(
    reached: bool | None, angle: Fact | None, what: str, before: str, row: Row, patient: Patient
) -> Answer:
    """An angle and a change: an angle that is too small decides alone."""
    if reached is False:
        return False, ()
    earlier = _upright(patient, before, angle)
    missing = tuple(w for w, f in ((what, angle), (before, earlier)) if f is None)
    if angle is None or earlier is None:
        return None, missing
    return row.met(angle.number - earlier.number), ()


def _or_broken(reached: bool | None, patient: Patient) -> Answer:
    broke = patient.has(_BROKE)
    if reached or broke.yes:
        return True, ()
    missing = (*((_ANGLE,) if reached is None else ()), *((_BROKE,) if broke.unknown else ()))
    return (None, missing) if missing else (False, ())


def _is(patient: Patient, what: str, among: tuple[str, ...]) -> Known:
    """Whether an item has one of these values."""
    fact = patient.latest(what)
    if fact is None:
        return UNKNOWN
    return Known("yes" if fact.value in among else "no", (fact,))


_SIGNS = {
    _FRACTURE: "a fracture at UIV or UIV+1",
    _SUBLUXATION: "subluxation",
    _INSTRUMENTATION: "failure of fixation",
    _NEUROLOGY: "a neurological deficit",
    _REVISION: "need of revision",
}


@rule(
    "alignment.pjf",
    reads=(*_PJK, *_SIGNS, POSTURE),
    scores="pjf",
    needs=(_ANGLE, _BEFORE),
)
def pjf(patient: Patient, evidence: Evidence) -> Finding | None:
    """Proximal junctional failure: junctional kyphosis with what makes it a failure.

    Source      definition as restated (alignment.pjf.definition), kyphosis by alignment.pjk.*
    Population  after fusion for deformity
    Not for     the severity, which the Hart-ISSG scale tells; the chance of failing
    """
    if not any(patient.facts(what) for what in (*_PJK, *_SIGNS)):
        return None
    signs = {
        _FRACTURE: _is(patient, _FRACTURE, concept(_FRACTURE).choices[1:]),
        _SUBLUXATION: patient.has(_SUBLUXATION),
        _INSTRUMENTATION: _is(patient, _INSTRUMENTATION, ("partial_loss", "complete_loss")),
        _NEUROLOGY: _is(patient, _NEUROLOGY, concept(_NEUROLOGY).choices[1:]),
        _REVISION: patient.has(_REVISION),
    }
    definition = evidence.row("alignment.pjf.definition")
    default = evidence.choice("alignment.pjk_definition").use
    kyphotic, lacking = _defined(default, patient, evidence)
    rows = (definition, *evidence.under(f"alignment.pjk.{default}."))
    failed = any_of(signs.values())
    because = tuple(dict.fromkeys(f for sign in signs.values() for f in sign.because))
    parts: dict[str, PartValue] = {
        "pjk": kyphotic,
        **{
            what.rpartition(".")[2]: None if sign.unknown else sign.yes
            for what, sign in signs.items()
        },
    }
    if kyphotic is False or failed.no:
        why = "no kyphosis there by the definition used" if kyphotic is False else "no such sign"
        return Finding(
            says=f"No proximal junctional failure: {why}.",
            category="no_pjf", parts=parts, because=because, rests_on=rows,
        )  # fmt: skip
    if kyphotic and failed.yes:
        named = ", ".join(_SIGNS[w] for w, sign in signs.items() if sign.yes)
        return Finding(
            says=f"Proximal junctional failure: kyphosis with {named}.",
            category="pjf", parts=parts, because=because, rests_on=rows,
        )  # fmt: skip
    open_signs = () if failed.yes else tuple(w for w, sign in signs.items() if sign.unknown)
    missing = (*lacking, *open_signs)
    return Finding(
        says=f"Proximal junctional failure cannot be told; {_not_known(missing)}.",
        status=Status.UNKNOWN,
        parts=parts,
        because=because,
        missing=missing,
        rests_on=rows,
    )


# -- severity -------------------------------------------------------------------------------------

_PAIN = "junction.pain"
_CHANGE = "junction.kyphosis_change"
_LIGAMENTS = "junction.ligament_failure"
_REGION = "junction.uiv_region"
_WORDS = {
    "neurology": _NEUROLOGY,
    "instrumentation": _INSTRUMENTATION,
    "fracture": _FRACTURE,
    "uiv_region": _REGION,
}
_HART = (_NEUROLOGY, _PAIN, _INSTRUMENTATION, _CHANGE, _LIGAMENTS, _FRACTURE, _REGION)


@rule(
    "alignment.hart_issg",
    reads=_HART,
    scores="hart_issg",
    needs=tuple(w for w in _HART if w not in (_CHANGE, _LIGAMENTS)),  # either may decide alone
)
def hart_issg(patient: Patient, evidence: Evidence) -> Finding | None:
    """Hart-ISSG severity of a proximal junctional kyphosis, 0 to 15 points.

    Source      a reprint of the scale's table (alignment.hart_issg.*, alignment.hart_issg_revision)
    Population  proximal junctional kyphosis after fusion
    Not for     deciding on revision: the sum for that was not read
    """
    facts = {what: patient.latest(what) for what in _HART}
    because = tuple(f for f in facts.values() if f is not None)
    if not because:
        return None
    points: dict[str, float | None] = {
        item: _points_of_word(item, facts[what], evidence) for item, what in _WORDS.items()
    }
    points["pain"] = _points_of_number("pain", facts[_PAIN], evidence)
    points["kyphosis"], lacking = _kyphosis(facts[_CHANGE], patient, evidence)
    missing = tuple(
        w for w in _HART
        if w in lacking or (facts[w] is None and w not in (_CHANGE, _LIGAMENTS))
    )  # fmt: skip
    parts: dict[str, PartValue] = {f"{item}_points": value for item, value in points.items()}
    sum_known = sum(value for value in points.values() if value is not None)
    parts["points_known"] = sum_known
    rows = evidence.under("alignment.hart_issg.")
    if missing:
        return Finding(
            says=f"The Hart-ISSG score cannot be given; {_not_known(missing)}. What is known "
            f"makes {sum_known:g} of {_most(evidence):g} points.",
            status=Status.UNKNOWN,
            parts=parts,
            because=because,
            missing=missing,
            rests_on=rows,
        )
    return Finding(
        says=f"Hart-ISSG severity {sum_known:g} of {_most(evidence):g} points. No sum is used as a "
        f"limit: the one that is passed on was not read in a source.",
        value=float(sum_known),
        unit="1",
        parts=parts,
        because=because,
        rests_on=rows,
    )


def _points_of_word(item: str, fact: Fact | None, evidence: Evidence) -> float | None:
    if fact is None:
        return None
    lines = evidence.row(f"alignment.hart_issg.{item}").table
    return next(float(line["points"]) for line in lines if line["is"] == fact.value)


def _points_of_number(item: str, fact: Fact | None, evidence: Evidence) -> float | None:
    if fact is None:
        return None
    met = first_met(evidence.under(f"alignment.hart_issg.{item}."), fact.number)
    return float(met.table[0]["points"]) if met else 0.0


def _kyphosis(
    change: Fact | None, patient: Patient, evidence: Evidence
) -> tuple[float | None, tuple[str, ...]]:
    """The points of change and ligaments, whichever are more; failed ligaments decide alone."""
    most = evidence.row("alignment.hart_issg.ligaments").number
    failed = patient.has(_LIGAMENTS)
    by_change = _points_of_number("kyphosis", change, evidence)
    if failed.yes or by_change == most:
        return most, ()
    if by_change is None or failed.unknown:
        lacking = ((_CHANGE, by_change is None), (_LIGAMENTS, failed.unknown))
        return None, tuple(what for what, is_lacking in lacking if is_lacking)
    return by_change, ()


def _most(evidence: Evidence) -> float:
    """The largest sum that the table allows."""
    items: Mapping[str, tuple[Row, ...]] = {
        **{item: (evidence.row(f"alignment.hart_issg.{item}"),) for item in _WORDS},
        "pain": evidence.under("alignment.hart_issg.pain."),
        "kyphosis": evidence.under("alignment.hart_issg.kyphosis."),
    }
    return sum(
        max(float(line["points"]) for row in rows for line in row.table) for rows in items.values()
    )
