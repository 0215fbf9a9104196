"""The rules: what the answers on record say, one rule for each instrument of the list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from math import isnan
from typing import Any

from msgspec import Struct

from endplate import vocabulary
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import (
    AnyFinding,
    Finding,
    PartValue,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.questionnaires.instrument import Instrument, Key, Scale, instruments, key
from endplate.record import Patient
from endplate.rules import Question, rule

_NOTES = """{says}

Source      see its rows (questionnaires.{id}.*)
Population  {population}
Not for     {not_for}
"""
_SEX = "person.sex"
# An answer to an item is a number of the form or yes or no.
_ANSWERS: Mapping[bool, float] = {True: 1.0, False: 0.0}


class Filled(Struct, frozen=True, kw_only=True):
    """One form as it was filled in on one day, or only the scores that somebody noted."""

    on: date | None
    items: Mapping[str, Fact]
    stated: Mapping[str, Fact] = {}

    @property
    def because(self) -> tuple[Fact, ...]:
        """The facts that it is made of."""
        return (*self.items.values(), *self.stated.values())


class Scored(Struct, frozen=True, kw_only=True):
    """The scales of one filled-in form, None where too little was answered."""

    form: Filled
    scales: Mapping[str, float | None]
    blanks: tuple[str, ...]
    country: Fact | None = None
    sex: Fact | None = None

    @property
    def total(self) -> float | None:
        """The score itself."""
        return self.scales.get("total")


def _filled(instrument: Instrument, patient: Patient) -> list[Filled]:
    """The forms on record, newest first: items of one day and source belong together."""
    forms: dict[tuple[date, str], dict[str, Fact]] = {}
    for item in instrument.items:
        for fact in patient.facts(item):
            if _is_answer(fact):
                forms.setdefault((fact.on or date.min, fact.source), {}).setdefault(item, fact)
    found = [
        Filled(on=on if on > date.min else None, items=items) for (on, _), items in forms.items()
    ]
    days = {form.on for form in found}
    noted: dict[tuple[date | None, str], dict[str, Fact]] = {}
    for scale, what in instrument.noted.items():
        for fact in patient.facts(what):
            if fact.on not in days:
                noted.setdefault((fact.on, fact.source), {}).setdefault(scale, fact)
    found += [Filled(on=on, items={}, stated=scales) for (on, _), scales in noted.items()]
    return sorted(found, key=_place, reverse=True)


def _is_answer(fact: Fact) -> bool:
    """Whether the form has such an answer; the intake refuses others, and says so."""
    concept, value = vocabulary.concept(fact.what), fact.value
    if concept.plausible is None or concept.step is None:
        return isinstance(value, bool)
    if isinstance(value, bool | str):
        return False
    low, high = concept.plausible
    return low <= value <= high and float((value - low) / concept.step).is_integer()


def _place(form: Filled) -> tuple[date, int, str]:
    source = min((f.source for f in form.because), default="")
    return (form.on or date.min, len(form.items), source)


def _scored(
    instrument: Instrument, form: Filled, patient: Patient, reading: str = ""
) -> Scored:  # fmt: skip
    from endplate.questionnaires.scoring import score  # noqa: PLC0415 - only for who has answers
    from endplate.questionnaires.values import country_of  # noqa: PLC0415

    if form.stated:
        scales: dict[str, float | None] = {"total": None} if instrument.score else {}
        scales |= {scale: fact.number for scale, fact in form.stated.items()}
        return Scored(form=form, scales=scales, blanks=())
    of = key(instrument.id)
    country = patient.latest(f"questionnaire.{instrument.id}.country") if of.values else None
    sex = patient.latest(_SEX) if _by_sex(of) else None
    answers = [_answer(form.items.get(item)) for item in instrument.items]
    found = score(
        instrument.id, answers, country=country_of(instrument.id, str(country.value)) if country
        else "", sex=[str(sex.value)] if sex else None, reading=reading,
    )  # fmt: skip
    return Scored(
        form=form,
        scales={name: _known(float(column[0])) for name, column in found.scales.items()},
        blanks=tuple(i for i in instrument.items if i not in form.items and _counts(i, of)),
        country=country,
        sex=sex,
    )


def _by_sex(of: Key) -> bool:
    return any(scale.points_by_sex for scale in of.scale.values())


def _counts(item: str, of: Key) -> bool:
    """Whether an item counts in any scale; some of a form count in none."""
    number = int(item.rpartition("item")[2])
    return not of.scale or any(number in s.of or not (s.of or s.from_) for s in of.scale.values())


def _answer(fact: Fact | None) -> float:
    if fact is None:
        return float("nan")
    return _ANSWERS[fact.value] if isinstance(fact.value, bool) else float(fact.number)


def _known(value: float) -> float | None:
    return None if isnan(value) else value


# -- what it says ---------------------------------------------------------------------------------


def _about(instrument: Instrument, patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    forms = _filled(instrument, patient)
    if not forms:
        return
    missing_rows = evidence.choices.get(f"questionnaires.{instrument.id}.missing")
    chosen = evidence.chosen(missing_rows.name) if missing_rows else None
    reading = chosen.last_name if chosen else ""
    newest = _scored(instrument, forms[0], patient, reading)
    yield _finding(instrument, newest, patient, evidence, chosen)
    yield from _safety(instrument, forms, patient, evidence)
    for form in forms[1:]:
        if form.on is None or form.on == newest.form.on:
            continue
        earlier = _scored(instrument, form, patient, reading)
        found = _changed(instrument, earlier, newest, evidence)
        if found is not None:
            yield found
            return


def _changed(
    instrument: Instrument, earlier: Scored, newest: Scored, evidence: Evidence
) -> Finding | None:
    from endplate.questionnaires.change import Measured, change  # noqa: PLC0415

    if newest.form.on is None:
        return None
    before, after = (
        Measured(scales=s.scales, on=s.form.on, because=s.form.because) for s in (earlier, newest)
    )
    return change(instrument.id, instrument.title, before, after, evidence)


def _finding(
    instrument: Instrument, scored: Scored, patient: Patient, evidence: Evidence,
    chosen: Row | None,
) -> Finding:  # fmt: skip
    id, of = instrument.id, key(instrument.id)
    bands = evidence.under(f"questionnaires.{id}.bands")
    rows = (*_how_scored(id, evidence), *((chosen,) if chosen else ()), *bands)
    parts, category = _parts(instrument, scored, bands)
    missing = [*scored.blanks]
    if scored.form.stated and category is None:
        missing += [w for scale, w in instrument.noted.items() if scale not in scored.form.stated]
    if of.values and scored.country is None and scored.form.items:
        missing.append(f"questionnaire.{id}.country")
    if _by_sex(of) and scored.form.items and scored.total is None and not _sexed(scored):
        missing.append(_SEX)
    whole = [v for v in scored.scales.values() if v is not None]
    because = (*scored.form.because, *(f for f in (scored.country, scored.sex) if f))
    has_total = "total" in scored.scales
    value = scored.total
    unknown = value is None if has_total else not whole
    assumed = _counted_as_nothing(of, scored) if not unknown else ()
    if category is None and unknown:
        category = _either_way(instrument, scored, bands)
    unit = "%" if has_total and of.scale and of.scale["total"].how == "percent" else "1"
    return Finding(
        says=_says(instrument.title, scored, value, unit, category, unknown=unknown),
        status=Status.UNKNOWN if unknown else Status.ANSWERED,
        value=None if value is None else round(value, 6),
        unit="" if value is None else unit,
        category=category,
        parts=parts,
        because=because,
        missing=tuple(missing),
        assumed=assumed,
        rests_on=rows,
        positions=_readings(instrument, scored, patient, evidence, chosen),
    )


_APART = ("bands", "change", "missing", "safety")


def _how_scored(id: str, evidence: Evidence) -> tuple[Row, ...]:
    """The rows on how an instrument is scored: all but its bands, changes, readings and alerts."""
    start = f"questionnaires.{id}."
    return tuple(
        row for row in evidence.under(start) if not row.name.removeprefix(start).startswith(_APART)
    )


def _sexed(scored: Scored) -> bool:
    return scored.sex is not None and scored.sex.value in ("female", "male")


def _parts(
    instrument: Instrument, scored: Scored, bands: tuple[Row, ...]
) -> tuple[dict[str, PartValue], str | None]:
    """The components, with the class of each that has bands; and the class of the whole."""
    parts: dict[str, PartValue] = {
        name: None if value is None else round(value, 6)
        for name, value in scored.scales.items()
        if name != "total"
    }
    category = None
    for row in bands:
        scale = row.name.rpartition(".bands")[2].lstrip(".")
        found = band(row, scored.scales, scale or "total")
        if scale:
            parts[f"{scale}_class"] = found
        else:
            category = found
    of, form = key(instrument.id), scored.form
    if form.stated:
        parts["stated"] = True
        return parts, category
    count = sum(_counts(item, of) for item in instrument.items)
    answered = count - len(scored.blanks)
    parts["answered"], parts["items"] = answered, count
    parts["prorated"] = any(
        scored.scales[name] is not None and scale.blank == "mean" and _blank_in(scale, scored)
        for name, scale in of.scale.items()
    )
    if of.values:
        levels = [form.items.get(i) for i in instrument.items]
        parts["profile"] = "".join("?" if f is None else f"{f.number:g}" for f in levels)
    return parts, category


def _blank_in(scale: Scale, scored: Scored) -> bool:
    """Whether an item of a scale has no answer."""
    numbers = {int(item.rpartition("item")[2]) for item in scored.blanks}
    return bool(numbers if not (scale.of or scale.from_) else numbers & set(scale.of))


def band(row: Row, scales: Mapping[str, float | None], scale: str = "total") -> str | None:
    """The name of the first line of a table of bands that is met; None without the score.

    A line holds ``at_most`` or ``below`` of its scale; the last holds all that remains.
    """
    for line in row.table:
        of = str(line.get("scale", scale))
        value = scales.get(of)
        if "at_most" not in line and "below" not in line:
            return str(line["name"]) if scales.get(scale) is not None else None
        if value is None:
            return None
        value = round(value, 9)  # scores are sums of decimals
        if value <= line.get("at_most", float("-inf")) or value < line.get("below", float("-inf")):
            return str(line["name"])
    return None


def _either_way(
    instrument: Instrument, scored: Scored, bands: tuple[Row, ...]
) -> str | None:  # fmt: skip
    """The class that a form without all answers has whatever the blanks would be, if there is one.

    Only where every item counts upwards: then the least and the most that it can give decide.
    """
    from endplate.questionnaires.scoring import score  # noqa: PLC0415

    of = key(instrument.id)
    plain = all(s.how == "sum" and not s.reverse for s in of.scale.values())
    whole = [row for row in bands if row.name.endswith(".bands")]
    if not of.scale or not plain or not whole or (_by_sex(of) and not _sexed(scored)):
        return None
    ends = []
    for at in (0, 1):
        answers = []
        for item in instrument.items:
            fact, taken = scored.form.items.get(item), vocabulary.concept(item).plausible or (0, 1)
            answers.append(_answer(fact) if fact else taken[at])
        sex = [str(scored.sex.value)] if scored.sex else None
        scales = score(instrument.id, answers, sex=sex).scales
        ends.append(band(whole[0], {n: _known(float(c[0])) for n, c in scales.items()}))
    return ends[0] if ends[0] == ends[1] else None


def _says(
    name: str, scored: Scored, value: float | None, unit: str, category: str | None,
    *, unknown: bool,
) -> str:  # fmt: skip
    word = category.replace("_", " ") if category else ""
    day = f" on {scored.form.on.isoformat()}" if scored.form.on else ""
    if unknown:
        gaps = len(scored.blanks)
        lacks = f"{gaps} of its items {'has' if gaps == 1 else 'have'} no answer" if gaps else ""
        if not gaps:
            lacks = "what it is valued by is not known"
        if scored.form.stated:
            lacks = "its score was not noted"
        sure = (
            f"; whatever {'it is' if gaps == 1 else 'they are'}, the class is {word}"
            if word
            else ""
        )
        return f"{name}{day}: no score, {lacks}{sure}."
    if value is not None:
        said = f"{value:g}" if unit == "1" else f"{value:.3g} {unit}"
        said = f"{value:.3f}".rstrip("0").rstrip(".") if unit == "1" else said
        told = f"{name}{day}: {said}"
    else:
        known = {n.replace("_", " "): v for n, v in scored.scales.items() if v is not None}
        told = f"{name}{day}: " + ", ".join(f"{n} {v:.3g}" for n, v in known.items())
    blanks = len(scored.blanks)
    gap = f", {blanks} item{'s' if blanks > 1 else ''} without an answer" if blanks else ""
    return f"{told}{', ' + word if word else ''}{gap}."


def _counted_as_nothing(of: Key, scored: Scored) -> tuple[Fact, ...]:
    """The blanks that an instrument's own rule takes for a no."""
    if not any(s.blank == "nothing" for s in of.scale.values()):
        return ()
    return tuple(
        Fact(what=item, value=False, on=scored.form.on, source="blank, counted as no by the form")
        for item in scored.blanks
    )


def _readings(
    instrument: Instrument, scored: Scored, patient: Patient, evidence: Evidence,
    chosen: Row | None,
) -> tuple[Position, ...]:  # fmt: skip
    """Where sources disagree on blanks and there are some: the score by each of them."""
    if chosen is None or not scored.blanks or scored.form.stated:
        return ()
    found = []
    for reading in key(instrument.id).readings:
        row = evidence.row(f"questionnaires.{instrument.id}.missing.{reading}")
        total = _scored(instrument, scored.form, patient, reading).total
        said = "no score" if total is None else f"{total:.3g}"
        found.append(
            Position(
                holder=reading.replace("_", " "),
                says=said,
                rests_on=(row,),
                default=row.name == chosen.name,
            )
        )
    return tuple(found)


# -- an answer that somebody has to act on --------------------------------------------------------


def _safety(
    instrument: Instrument, forms: list[Filled], patient: Patient, evidence: Evidence
) -> Iterator[AnyFinding]:
    """The alert of an item that asks about harming oneself, by its newest answer.

    A newest form that leaves it blank has not said no.
    """
    number = key(instrument.id).safety_item
    if number is None:
        return
    item = instrument.items[number - 1]
    answers = [form.items[item] for form in forms if item in form.items]
    limit = evidence.row(f"questionnaires.{instrument.id}.safety")
    if forms[0].items and item not in forms[0].items:
        yield Finding(
            says=f"Item {number} of the {instrument.title}, which asks about self-harm, was left "
            "blank, which does not mean no: ask it.",
            about="safety_blank",
            status=Status.UNKNOWN,
            because=forms[0].because,
            missing=(item,),
            rests_on=(limit,),
            stage=Stage.RED_FLAGS,
            urgency=Urgency.SOON,
        )
    if not answers or not limit.met(answers[0].number):
        return
    recent = evidence.row(f"questionnaires.{instrument.id}.safety_days")
    fact = answers[0]
    days = (patient.on - fact.on).days if fact.on else 0
    now = recent.met(days)
    when = "" if fact.on is None else f" on {fact.on.isoformat()}"
    yield Recommendation(
        says=f"Item {number} of the {instrument.title}, which asks about self-harm, was "
        f"answered above 0{when}.",
        about="safety",
        action="Talk with the person today: ask about thoughts of suicide, plans and means, and "
        "follow the clinic's pathway for it."
        if now
        else "Ask again about thoughts of suicide: the last answer is old.",
        who="the clinician who sees the answer",
        category="act_today" if now else "ask_again",
        because=(fact,),
        rests_on=(limit, recent),
        stage=Stage.RED_FLAGS,
        urgency=Urgency.EMERGENCY if now else Urgency.SOON,
    )


# -- one rule for each ----------------------------------------------------------------------------


def _register(instrument: Instrument) -> None:
    def question(patient: Patient, evidence: Evidence) -> Any:
        return tuple(_about(instrument, patient, evidence))

    question.__doc__ = _NOTES.format(
        says=instrument.says, id=instrument.id, population=instrument.population,
        not_for=instrument.not_for,
    )  # fmt: skip
    items = instrument.items
    also = [n for n in (f"questionnaire.{instrument.id}.country",) if n in vocabulary.concepts()]
    also += [_SEX] if instrument.id == "ort" else []
    stated = instrument.noted.values()
    asked: Question = question
    rule(
        f"questionnaires.{instrument.id}",
        reads=(*items, *also, *stated),
        scores=instrument.id,
        needs=(*items, *also) if instrument.needs == "all" else (),
    )(asked)


for _one in instruments().values():
    _register(_one)
