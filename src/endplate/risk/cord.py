"""The spinal cord: how severe a myelopathy is, and who walks after an injury."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

from msgspec.structs import replace

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.record import Patient
from endplate.risk.points import (
    Item,
    any_known,
    band,
    by_fact,
    category_of,
    item,
    rows_of,
    scored,
    worth,
)
from endplate.rules import rule
from endplate.vocabulary import concept

# -- myelopathy -----------------------------------------------------------------------------------

_FORM, _EARLIER = "mjoa.form", "mjoa.earlier_score"
_MJOA = ("mjoa.upper_limb_motor", "mjoa.lower_limb_motor", "mjoa.upper_limb_sensory",
         "mjoa.sphincter")  # fmt: skip


@rule("risk.mjoa", reads=(*_MJOA, _FORM, _EARLIER), scores="mjoa", needs=_MJOA)
def mjoa(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Modified Japanese Orthopaedic Association score of 18 points: how severe a myelopathy is.

    With an earlier score: what changed, and how much of what was lacking came back.

    Source      items as a page restates them, bands of Tetreault 2017, important change of
                Tetreault 2015 as restated (risk.mjoa.*)
    Population  adults with degenerative cervical myelopathy
    Not for     the form of 17 points, whose items and limits are others
    """
    if not any_known(patient, _MJOA):
        return
    form = patient.latest(_FORM)
    if form is not None and form.value == "17_points":
        yield Finding(
            says="The items are of the form of 17 points: the bands of the 18 points do not hold "
            "for it.",
            status=Status.NOT_APPLICABLE,
            because=(form,),
            rests_on=(evidence.row("risk.mjoa.form"),),
        )
        return
    items = [item("risk.mjoa", what, patient, evidence) for what in _MJOA]
    rows = (evidence.row("risk.mjoa.form"),)
    upper = items[0]
    told = form is not None or upper.points == upper.rows[0].number  # the other form ends lower
    taken = Fact(what=_FORM, value="18_points", on=patient.on, source="not stated")
    found = scored(
        "mJOA of 18 points:", "risk.mjoa", items, evidence, rows=rows,
        assumed=() if told else (taken,),
    )  # fmt: skip
    yield found
    earlier = patient.latest(_EARLIER)
    if earlier is not None and found.value is not None:
        yield _mjoa_change(earlier, found, found.value, evidence)


def _mjoa_change(earlier: Fact, found: Finding, now: float, evidence: Evidence) -> Finding:
    """What changed since an earlier score; how much is important depends on where it began."""
    before, gained = earlier.number, now - earlier.number
    important, full = (evidence.row(f"risk.mjoa.change.{n}") for n in ("important", "recovery"))
    severity = category_of(band("risk.mjoa", before, evidence))
    by = next((x["points"] for x in important.table if x["before"] == severity), None)
    lacking = full.number - before
    recovery = round(100 * gained / lacking, 6) if lacking else None
    category = None
    if by is not None:
        category = "improved" if gained >= by else "worse" if -gained >= by else None
        category = category or "no_important_change"
    told = f", {recovery:.0f} % of what was lacking" if recovery is not None and gained > 0 else ""
    verdict = f": {category.replace('_', ' ')}" if category else ""
    return Finding(
        says=f"The mJOA went from {before:g} to {now:g}{told}{verdict}.",
        about="change",
        value=gained,
        unit="1",
        category=category,
        parts={
            "before": before,
            "after": now,
            "absolute": gained,
            "relative_percent": round(100 * gained / before, 6) if before else None,
            "recovery_rate_percent": recovery,
            "important_from": by,
        },
        because=(earlier, *found.because),
        rests_on=(important, full, *evidence.under("risk.mjoa.total.")),
    )


# -- walking after an injury ----------------------------------------------------------------------

_AGE, _DAYS, _GRADE = "person.age", "cord_injury.exam_days", "cord_injury.ais_grade"
_L3_MOTOR, _S1_MOTOR = "cord_injury.l3_motor", "cord_injury.s1_motor"
_L3_TOUCH, _S1_TOUCH = "cord_injury.l3_light_touch", "cord_injury.s1_light_touch"
_EXAMINED = (_L3_MOTOR, _S1_MOTOR, _L3_TOUCH, _S1_TOUCH)
_POINTS = "risk.van_middendorp"


def _better_side(patient: Patient, what: str) -> Fact | None:
    """The better side on the newest day; a grade without a side is that of the better one.

    One side alone does not say which is the better.
    """
    every = patient.facts(what)
    newest = [f for f in every if (f.on or date.min) == (every[0].on or date.min)]
    if {f.side for f in newest} in ({"left"}, {"right"}):
        return None
    return max(newest, key=lambda f: f.number, default=None)


def _weighted(what: str, patient: Patient, evidence: Evidence) -> Item:
    """A grade of the better side times its weight."""
    name = what.rpartition(".")[2]
    row = evidence.row(f"{_POINTS}.weight.{name}")
    fact = _better_side(patient, what)
    most = row.number * _best_grade(what)
    if fact is None:
        return Item(name=name, points=None, least=0.0, most=most, missing=(what,), rows=(row,))
    points = row.number * fact.number
    return worth(name, points, (fact,), (row,))


def _best_grade(what: str) -> float:
    plausible = concept(what).plausible
    return plausible[1] if plausible else 0.0


def _age(patient: Patient, evidence: Evidence) -> Item:
    return by_fact("age", _AGE, patient.age, rows_of(_POINTS, "age", evidence))


def _chance(score: float, equation: str, evidence: Evidence) -> float:
    intercept = evidence.row(f"{equation}.intercept").number
    slope = evidence.row(f"{equation}.slope").number
    return 1 / (1 + math.exp(intercept - slope * score))


def _too_late(name: str, days: Fact | None, row: Row) -> Finding | None:
    if days is None or row.met(days.number):
        return None
    return Finding(
        says=f"{name} does not hold: it is for an examination within {row.number:g} days of the "
        f"injury.",
        status=Status.NOT_APPLICABLE,
        because=(days,),
        rests_on=(row,),
    )


@rule(
    "risk.van_middendorp",
    reads=(_AGE, *_EXAMINED, _DAYS),
    scores="van_middendorp",
    needs=(_AGE, *_EXAMINED),
)
def van_middendorp(patient: Patient, evidence: Evidence) -> Finding | None:
    """Van Middendorp's rule: the chance to walk a year after a traumatic injury of the cord.

    Source      van Middendorp 2011 as restated (risk.van_middendorp.*)
    Population  adults with a traumatic injury of the cord, examined within 15 days
    Not for     injuries that are not traumatic; a later examination; telling a person that there
                is no hope: it speaks of groups
    """
    if not any_known(patient, _EXAMINED):
        return None
    days, limit = patient.latest(_DAYS), evidence.row(f"{_POINTS}.days")
    refused = _too_late("Van Middendorp's rule", days, limit)
    if refused is not None:
        return refused
    items = [
        _age(patient, evidence),
        *(_weighted(what, patient, evidence) for what in _EXAMINED),
    ]
    return _walking("Van Middendorp's rule:", _POINTS, items, days, (limit,), evidence)


def _walking(
    title: str,
    equation: str,
    items: list[Item],
    days: Fact | None,
    rows: tuple[Row, ...],
    evidence: Evidence,
    parts: dict[str, PartValue] | None = None,
    positions: tuple[Position, ...] = (),
    limits: tuple[str, ...] = (),
) -> Finding:
    """A sum of points and the chance to walk that an equation gives for it."""
    known = not any(i.missing for i in items)
    chances = [
        _chance(end, equation, evidence)
        for end in (sum(i.least for i in items), sum(i.most for i in items))
    ]
    there: dict[str, PartValue] = {"probability": round(chances[0], 6) if known else None}
    if not known:
        there |= {"lowest_probability": round(chances[0], 6)}
        there |= {"highest_probability": round(chances[1], 6)}
    found = scored(
        title, equation, items, evidence, parts={**there, **(parts or {})}, positions=positions,
        rows=(*rows, evidence.row(f"{equation}.intercept"), evidence.row(f"{equation}.slope")),
        also_missing=() if days else (_DAYS,), limits=limits,
    )  # fmt: skip
    if not known:
        return found
    says = f"{found.says.removesuffix('.')} points: {100 * chances[0]:.1f} % walk."
    return replace(found, says=says, because=(*found.because, *((days,) if days else ())))


@rule(
    "risk.hicks",
    reads=(_AGE, *_EXAMINED, _DAYS, _GRADE),
    scores="hicks",
    needs=(_AGE, _L3_MOTOR, _S1_TOUCH),
)
def hicks(patient: Patient, evidence: Evidence) -> Finding | None:
    """Hicks' short rule, by light touch at S1: the chance to walk after an injury of the cord.

    Source      Hicks 2017 by the registry's own summary (risk.hicks.*, risk.van_middendorp.*)
    Population  the Canadian registry, traumatic injuries followed for 12 months or more
    Not for     AIS B and C, in which it predicts poorly; injuries that are not traumatic
    Differs     a page reads light touch at L3 instead, and counts an examination within 15 days
                where the registry says 24 hours; both chances are shown
    """
    if not any_known(patient, _EXAMINED):
        return None
    row = evidence.row
    days, window = patient.latest(_DAYS), row("risk.hicks.window.algorithms")
    refused = _too_late("Hicks' rule", days, row(f"{_POINTS}.days"))
    if refused is not None:
        return refused
    age, motor = _age(patient, evidence), _weighted(_L3_MOTOR, patient, evidence)
    touch = {what: _weighted(what, patient, evidence) for what in (_S1_TOUCH, _L3_TOUCH)}
    full = [age, motor, _weighted(_S1_MOTOR, patient, evidence), touch[_L3_TOUCH], touch[_S1_TOUCH]]
    other = _chance_of([age, motor, touch[_L3_TOUCH]], "risk.hicks.short", evidence)
    own = _chance_of([age, motor, touch[_S1_TOUCH]], "risk.hicks.short", evidence)
    full_known = not any(i.missing for i in full)
    parts: dict[str, PartValue] = {
        "probability_by_l3_light_touch": other,
        "full_score": sum(i.least for i in full) if full_known else None,
        "full_probability": _chance_of(full, "risk.hicks.full", evidence),
    }
    grade = patient.latest(_GRADE)
    poor = grade is not None and grade.value in ("b", "c")
    return _walking(
        "Hicks' short rule:", "risk.hicks.short", [age, motor, touch[_S1_TOUCH]], days,
        (*evidence.under("risk.hicks.window."), row("risk.hicks.full.intercept"),
         row("risk.hicks.full.slope"), row(f"{_POINTS}.days")),
        evidence, parts=parts,
        positions=(
            _touch_position("the registry's summary", own, "s1", evidence, default=True),
            _touch_position("medicalalgorithms.com", other, "l3", evidence, default=False),
            Position(holder="the registry's summary", says=row("risk.hicks.window.registry").says,
                     rests_on=(row("risk.hicks.window.registry"),)),
            Position(holder="medicalalgorithms.com", says=window.says, rests_on=(window,),
                     default=True),
        ),
        limits=("AIS B and C: it predicts poorly there, and this person has that grade.",)
        if poor else (),
    )  # fmt: skip


def _chance_of(items: list[Item], equation: str, evidence: Evidence) -> float | None:
    if any(i.missing for i in items):
        return None
    return round(_chance(sum(i.least for i in items), equation, evidence), 6)


def _touch_position(
    holder: str, chance: float | None, at: str, evidence: Evidence, *, default: bool
) -> Position:
    row = evidence.row(f"risk.hicks.touch.{at}")
    told = row.says if chance is None else f"{100 * chance:.1f} %: {row.says}"
    return Position(holder=holder, says=told, rests_on=(row,), default=default)


_HEELS = ("cord_injury.s1_pinprick_left", "cord_injury.s1_pinprick_right")


@rule("risk.s1_pinprick", reads=(*_HEELS, _DAYS), scores="s1_pinprick")
def s1_pinprick(patient: Patient, evidence: Evidence) -> Finding | None:
    """Pinprick at the heels (S1): good, fair or poor prognosis of walking.

    Source      an abstract of 2023 (risk.s1_pinprick.*)
    Population  adults with a traumatic injury of the cord, examined within 31 days
    Not for     a probability: it gives an order alone; a later examination
    """
    heels = {what: patient.latest(what) for what in _HEELS}
    known = [f for f in heels.values() if f is not None]
    if not known:
        return None
    days, limit = patient.latest(_DAYS), evidence.row("risk.s1_pinprick.days")
    refused = _too_late("The pinprick rule", days, limit)
    if refused is not None:
        return refused
    possible = _prognoses(known, len(heels) - len(known), evidence)
    missing = tuple(what for what, f in heels.items() if f is None)
    no_days = () if days else (_DAYS,)
    rows = evidence.under("risk.s1_pinprick.")
    because = (*known, *((days,) if days else ()))
    if len(possible) > 1:
        return Finding(
            says=f"Pinprick at one heel alone: {' or '.join(possible)} prognosis of walking.",
            status=Status.UNKNOWN,
            parts={"possible": "|".join(possible)},
            because=because,
            missing=(*missing, *no_days),
            rests_on=rows,
        )
    return Finding(
        says=f"Pinprick at the heels: {possible[0]} prognosis of walking.",
        category=possible[0],
        because=because,
        missing=(*missing, *no_days),
        rests_on=rows,
    )


def _prognoses(known: list[Fact], unknown: int, evidence: Evidence) -> list[str]:
    """Every prognosis that is possible, best first."""
    normal, some = evidence.row("risk.s1_pinprick.normal"), evidence.row("risk.s1_pinprick.any")
    found = []
    if all(normal.met(f.number) for f in known):
        found.append("good")
    if any(some.met(f.number) for f in known):
        if unknown or "good" not in found:
            found.append("fair")
    elif unknown:
        found += ["fair", "poor"]
    else:
        found.append("poor")
    return found
