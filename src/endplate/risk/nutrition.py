"""Nutrition: screenings and indices, and when a dietitian is asked."""

from __future__ import annotations

from collections.abc import Iterable

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import (
    AnyFinding,
    Check,
    Finding,
    PartValue,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.record import Known, Patient, any_of
from endplate.risk.body import (
    BODY,
    BODY_MASS_INDEX,
    HEIGHT,
    WEIGHT,
    body_mass_index,
    of_a_child,
)
from endplate.risk.points import (
    Item,
    any_known,
    band,
    by_fact,
    category_of,
    item,
    named,
    points_of,
    rows_of,
    scored,
    worth,
)
from endplate.rules import Rule, rule

ALBUMIN, PREALBUMIN, CRP = "lab.albumin", "lab.prealbumin", "lab.c_reactive_protein"
_LYMPHOCYTES, _CHOLESTEROL = "lab.lymphocytes", "lab.cholesterol"

# -- NRS-2002 -------------------------------------------------------------------------------------

_LOSS, _MONTHS = "nutrition.weight_loss", "nutrition.weight_loss_months"
_INTAKE, _IMPAIRED = "nutrition.food_intake", "nutrition.impaired_general_condition"
_SEVERITY = "nutrition.disease_severity"
_NRS = (_LOSS, _MONTHS, _INTAKE, _IMPAIRED, _SEVERITY)
_SCREEN = "risk.nrs2002"


@rule(
    _SCREEN,
    reads=(*_NRS, *BODY, "person.age"),
    scores="nrs2002",
    needs=(_SEVERITY, "person.age"),  # of loss, intake and mass the worst counts alone
)
def nrs2002(patient: Patient, evidence: Evidence) -> Finding | None:
    """Nutritional Risk Screening 2002: impaired nutrition, severity of disease and age.

    Source      table 1 of a trial (risk.nrs2002.*)
    Population  adults in hospital
    Not for     children
    Differs     a restatement ends the moderate band of intake at 50 %, the table at 60 %; where
                bands overlap, the higher points hold
    """
    if not any_known(patient, _NRS):
        return None
    eaten = patient.latest(_INTAKE)
    parts_of_nutrition = [_loss(patient, evidence), _eaten(eaten, evidence),
                          _mass(patient, evidence)]  # fmt: skip
    least = max(i.least for i in parts_of_nutrition)
    most = max(i.most for i in parts_of_nutrition)
    open_ones = [i for i in parts_of_nutrition if i.most > least]
    nutrition = Item(
        name="nutrition", points=least if least == most else None, least=least, most=most,
        because=tuple(f for i in parts_of_nutrition for f in i.because),
        missing=tuple(what for i in open_ones for what in i.missing),
        rows=tuple(r for i in parts_of_nutrition for r in i.rows),
    )  # fmt: skip
    items = [
        nutrition,
        item(_SCREEN, _SEVERITY, patient, evidence),
        by_fact("age", "person.age", patient.age, rows_of(_SCREEN, "age", evidence)),
    ]
    parts: dict[str, PartValue] = {i.name: i.points for i in parts_of_nutrition}
    limit = evidence.row(f"{_SCREEN}.at_risk")
    ends = {limit.met(sum(i.least for i in items)), limit.met(sum(i.most for i in items))}
    parts["at_risk"] = ends.pop() if len(ends) == 1 else None
    variant = evidence.row(f"{_SCREEN}.variant_intake")
    positions: tuple[Position, ...] = ()
    if eaten is not None and parts["food_intake"] == variant.table[0]["points"]:
        other = variant.met(eaten.number)
        positions = (
            Position(
                holder="a restatement of the table",
                says=f"{variant.says}: this intake is {'moderate there too' if other else 'mild'}",
                rests_on=(variant,),
            ),
        )
        parts["moderate_by_restatement"] = other
    return scored(
        "NRS-2002", _SCREEN, items, evidence, parts=parts, rows=(limit,), positions=positions
    )


def _loss(patient: Patient, evidence: Evidence) -> Item:
    """Weight lost, by how much and within how many months."""
    loss, months = patient.latest(_LOSS), patient.latest(_MONTHS)
    above, severe = (evidence.row(f"{_SCREEN}.loss.{n}") for n in ("above", "severe"))
    by_month = evidence.under(f"{_SCREEN}.loss.months.")
    rows = (above, severe, *by_month)
    if loss is not None and not above.met(loss.number):
        return worth("weight_loss", 0.0, (loss,), rows)
    most = float(severe.table[0]["points"])
    met = [row for row in by_month if months is not None and row.met(months.number)]
    if loss is None or not met:
        # A loss over more months does not say what was lost within three of them.
        missing = (_LOSS,) if loss is None or months is not None else (_MONTHS,)
        because = tuple(f for f in (loss, months) if f is not None)
        return Item(
            name="weight_loss", points=None, least=0.0, most=most, because=because,
            missing=missing, rows=rows,
        )  # fmt: skip
    points = most if severe.met(loss.number) else float(met[0].table[0]["points"])
    because = (loss,) if months is None else (loss, months)
    return worth("weight_loss", points, because, rows)


def _eaten(eaten: Fact | None, evidence: Evidence) -> Item:
    return by_fact("food_intake", _INTAKE, eaten, evidence.under(f"{_SCREEN}.intake."))


def _mass(patient: Patient, evidence: Evidence) -> Item:
    """A low body mass index counts together with an impaired general condition alone."""
    mass, impaired = body_mass_index(patient), patient.has(_IMPAIRED)
    rows = evidence.under(f"{_SCREEN}.mass.")
    by_mass = by_fact("body_mass_index", BODY_MASS_INDEX, mass, rows)
    if impaired.no or by_mass.most == 0:
        because = (*by_mass.because, *impaired.because)
        return worth("body_mass_index", 0.0, because, rows)
    if impaired.yes and mass is not None:
        because = (mass, *impaired.because)
        return worth("body_mass_index", points_of(mass, rows), because, rows)
    missing = (*by_mass.missing, *((_IMPAIRED,) if impaired.unknown else ()))
    return Item(
        name="body_mass_index", points=None, least=0.0, most=by_mass.most,
        because=(*by_mass.because, *impaired.because), missing=missing, rows=rows,
    )  # fmt: skip


# -- MUST -----------------------------------------------------------------------------------------

_MUST = ("must.weight_loss", "must.acutely_ill_without_intake")


@rule("risk.must", reads=(*BODY, *_MUST), scores="must", needs=_MUST)
def must(patient: Patient, evidence: Evidence) -> Finding | None:
    """Malnutrition Universal Screening Tool: body mass index, weight lost, acute illness.

    Source      notes that restate it, its bands not verified (risk.must.*)
    Population  adults
    Not for     children; oedema, which hides lost weight
    """
    if not any_known(patient, _MUST):
        return None
    mass = body_mass_index(patient)
    items = [
        by_fact(
            "body_mass_index", BODY_MASS_INDEX, mass,
            rows_of("risk.must", "body_mass_index", evidence),
        ),
        *(item("risk.must", what, patient, evidence) for what in _MUST),
    ]  # fmt: skip
    return scored("MUST", "risk.must", items, evidence)


# -- indices of blood -----------------------------------------------------------------------------


def _exact(fact: Fact | None) -> Fact | None:
    """A result of which more is known than a bound: a formula needs the number itself."""
    return None if fact is None or "comparator" in fact.details else fact


_IDEAL = "nutrition.ideal_weight"


@rule(
    "risk.gnri",
    reads=(ALBUMIN, WEIGHT, HEIGHT, "person.sex", _IDEAL),
    scores="gnri",
    needs=(ALBUMIN, WEIGHT),
)
def gnri(patient: Patient, evidence: Evidence) -> Finding | None:
    """Geriatric Nutritional Risk Index: albumin, and weight against the ideal weight.

    Source      Bouillanne 2005 (risk.gnri.*, risk.spine_nutrition)
    Population  older people in hospital
    Not for     the acute phase, in which albumin falls by itself; children
    Differs     a copied table prints weight lost in place of the ideal weight
    """
    albumin, weight = _exact(patient.latest(ALBUMIN)), _exact(patient.latest(WEIGHT))
    if patient.latest(ALBUMIN) is None:
        return None
    row = evidence.row
    rows = (row("risk.gnri.per_albumin"), row("risk.gnri.per_ratio"),
            row("risk.gnri.largest_ratio"), row("risk.gnri.ideal"),
            *evidence.under("risk.gnri.total."), row("risk.spine_nutrition"))  # fmt: skip
    ideal, because, missing = _ideal_weight(patient, row("risk.gnri.ideal"))
    wanting = tuple(w for w, f in ((ALBUMIN, albumin), (WEIGHT, weight)) if f is None)
    missing = (*wanting, *missing)
    because = tuple(f for f in (albumin, weight, *because) if f is not None)
    if albumin is None or weight is None or ideal is None:
        return _not_yet("GNRI", missing, because, rows)
    ratio = weight.number / ideal
    capped = min(ratio, row("risk.gnri.largest_ratio").number)
    value = row("risk.gnri.per_albumin").number * albumin.number
    value += row("risk.gnri.per_ratio").number * capped
    found = band("risk.gnri", value, evidence)
    return Finding(
        says=f"GNRI {value:.1f}{f': {found.says}' if found else ''}.",
        value=round(value, 6),
        unit="1",
        category=category_of(found),
        parts={"ideal_weight": round(ideal, 6), "weight_ratio": round(ratio, 6)},
        because=because,
        rests_on=rows,
    )


def _ideal_weight(
    patient: Patient, row: Row
) -> tuple[float | None, tuple[Fact, ...], tuple[str, ...]]:
    """The ideal weight as typed, else by Lorentz; the facts; what is missing."""
    typed = patient.latest(_IDEAL)
    if typed is not None:
        return typed.number, (typed,), ()
    height, sex = _exact(patient.latest(HEIGHT)), patient.sex
    line = next((x for x in row.table if x["sex"] == sex), None)
    told = patient.latest("person.sex")
    because = tuple(f for f in (height, told) if f is not None)
    if height is None or line is None:
        asked = ((HEIGHT, height), ("person.sex", line))
        return None, because, tuple(what for what, known in asked if known is None)
    centimetres = height.number
    ideal = centimetres - line["less"] - (centimetres - line["from"]) / line["divisor"]
    if ideal <= 0:
        return None, because, (_IDEAL,)
    return ideal, because, ()


def _not_yet(
    title: str, missing: tuple[str, ...], because: tuple[Fact, ...], rows: tuple[Row, ...]
) -> Finding:
    return Finding(
        says=f"{title} cannot be given: {named(missing)} not known.",
        status=Status.UNKNOWN, because=because, missing=missing, rests_on=rows,
    )  # fmt: skip


@rule(
    "risk.pni",
    reads=(ALBUMIN, _LYMPHOCYTES),
    scores="pni",
    needs=(ALBUMIN, _LYMPHOCYTES),
)
def pni(patient: Patient, evidence: Evidence) -> Finding | None:
    """Prognostic nutritional index: albumin and lymphocytes.

    Source      table 2 of an article (risk.pni.*, risk.spine_nutrition)
    Population  adults before an operation
    Not for     the acute phase, in which albumin falls by itself; a verdict: limits vary
    """
    albumin, cells = _exact(patient.latest(ALBUMIN)), _exact(patient.latest(_LYMPHOCYTES))
    given = tuple(f for f in (albumin, cells) if f is not None)
    if not given:
        return None
    rows = (*evidence.under("risk.pni."), evidence.row("risk.spine_nutrition"))
    if albumin is None or cells is None:
        missing = (ALBUMIN,) if albumin is None else (_LYMPHOCYTES,)
        return _not_yet("PNI", missing, given, rows)
    value = evidence.row("risk.pni.per_albumin").number * albumin.number
    value += evidence.row("risk.pni.per_lymphocytes").number * cells.number
    return Finding(
        says=f"PNI {value:.1f}. Limits from 40 to 50 are in use, and none is taken here.",
        value=round(value, 6),
        unit="1",
        because=given,
        rests_on=rows,
    )


_CONUT = (ALBUMIN, _LYMPHOCYTES, _CHOLESTEROL)


@rule("risk.conut", reads=_CONUT, scores="conut", needs=_CONUT)
def conut(patient: Patient, evidence: Evidence) -> Finding | None:
    """Controlling nutritional status: albumin, lymphocytes and cholesterol.

    Source      table 2 of two articles (risk.conut.*, risk.spine_nutrition)
    Population  adults in hospital
    Not for     the acute phase; medicines that lower cholesterol
    Differs     one table asks for 1800 lymphocytes where the other asks for 1600
    """
    if not any_known(patient, _CONUT):
        return None
    items = [item("risk.conut", what, patient, evidence) for what in _CONUT]
    other = evidence.row("risk.conut.other_lymphocytes")
    cells, points = patient.latest(_LYMPHOCYTES), items[1].points
    parts: dict[str, PartValue] = {}
    positions: tuple[Position, ...] = ()
    if cells is not None and points is not None:
        elsewhere = points if other.met(cells.number) else max(points, 1.0)
        parts["lymphocytes_points_by_other_table"] = elsewhere
        if elsewhere != points:
            says = f"{other.says}: {elsewhere:g} point for lymphocytes"
            positions = (Position(holder="the other table", says=says, rests_on=(other,)),)
    rows = (evidence.row("risk.spine_nutrition"),)
    return scored(
        "CONUT", "risk.conut", items, evidence, parts=parts, rows=rows, positions=positions
    )


# -- what is done ---------------------------------------------------------------------------------


@rule(
    "risk.nutrition.protein_in_blood",
    reads=(ALBUMIN, PREALBUMIN, CRP, "person.age"),
)
def protein_in_blood(patient: Patient, evidence: Evidence) -> Finding | None:
    """Low albumin or prealbumin before spine surgery goes with more complications.

    Source      CNS 2021 (risk.nutrition.albumin, risk.nutrition.prealbumin,
                risk.nutrition.assess, risk.nutrition.inflammation)
    Population  adults before spine surgery
    Not for     a diagnosis of malnutrition: albumin falls with inflammation
    """
    if of_a_child(patient, evidence):
        return None
    known = {what: patient.latest(what) for what in (ALBUMIN, PREALBUMIN)}
    given = [f for f in known.values() if f is not None]
    if not given:
        return None
    low = _low_protein(patient, evidence)
    crp = patient.latest(CRP)
    rows = tuple(
        evidence.row(f"risk.nutrition.{n}")
        for n in ("albumin", "prealbumin", "assess", "inflammation")
    )
    both_asked = tuple(what for what, f in known.items() if f is None) if not low else ()
    told = " and ".join(
        f"{'albumin' if f.what == ALBUMIN else 'prealbumin'} {f.number:.1f} {f.unit}" for f in given
    )
    beside = f"C-reactive protein {crp.number:.1f} mg/L" if crp else "no C-reactive protein known"
    verdict = "low, more infections and wound trouble are to be expected" if low else "not low"
    return Finding(
        says=f"Blood shows {told} ({beside}): {verdict}.",
        category="low" if low else "not_low",
        because=(*given, *((crp,) if crp else ())),
        missing=(*both_asked, *((CRP,) if low and not crp else ())),
        rests_on=rows,
        stage=Stage.BEFORE_SURGERY if low else Stage.BACKGROUND,
        urgency=Urgency.ROUTINE if low else Urgency.INFORMATION,
    )


def _low_protein(patient: Patient, evidence: Evidence) -> list[Fact]:
    found = []
    for what, name in ((ALBUMIN, "albumin"), (PREALBUMIN, "prealbumin")):
        fact = patient.latest(what)
        if fact is not None and evidence.row(f"risk.nutrition.{name}").met(fact.number):
            found.append(fact)
    return found


# Screenings, each with the categories that call for a dietitian; NRS-2002 says so by itself.
_SCREENINGS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (nrs2002, ()),
    (must, ("high",)),
    (gnri, ("major_risk", "moderate_risk")),
)


_ADVANCED_KIDNEY_DISEASE = (
    "condition.chronic_kidney_disease_4",
    "condition.chronic_kidney_disease_5",
)


@rule(
    "risk.nutrition.consult",
    reads=(
        *_NRS, *_MUST, *BODY, ALBUMIN, PREALBUMIN, CRP, "person.age", "person.sex", _IDEAL,
        *_ADVANCED_KIDNEY_DISEASE,
    ),
)  # fmt: skip
def consult(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Ask a dietitian where a screening, the blood or the body mass index says so.

    Source      the screenings' own bands, CNS 2021 (risk.nutrition.consult,
                risk.nutrition.albumin, risk.nutrition.prealbumin, risk.nutrition.inflammation,
                risk.nutrition.protein, risk.bmi.band.underweight)
    Population  adults before spine surgery
    Not for     a protein target in advanced kidney disease, which a physician sets
    """
    if of_a_child(patient, evidence):
        return None
    reasons: list[str] = []
    because: list[Fact] = []
    rows: list[Row] = []
    for screening, at_risk in _SCREENINGS:
        for found in screening(patient, evidence):
            if found.parts.get("at_risk") or _certain_category(found) in at_risk:
                reasons.append(found.says.removesuffix("."))
                because += found.because
                rows += found.rests_on
    low = _low_protein(patient, evidence)
    for fact in low:
        name = "albumin" if fact.what == ALBUMIN else "prealbumin"
        row = evidence.row(f"risk.nutrition.{name}")
        reasons.append(f"{name} {fact.number:.1f} {fact.unit} ({row.text})")
        because.append(fact)
        rows.append(row)
    crp = patient.latest(CRP)
    if low:
        told = f"C-reactive protein {crp.number:.1f} mg/L" if crp else "no C-reactive protein known"
        reasons[-1] += f" beside {told}"
        because += [crp] if crp else []
        rows.append(evidence.row("risk.nutrition.inflammation"))
    mass = body_mass_index(patient)
    thin = evidence.row("risk.bmi.band.underweight")
    if mass is not None and thin.met(mass.number):
        reasons.append(f"body mass index {mass.number:.1f} ({thin.text})")
        because.append(mass)
        rows.append(thin)
    if not reasons:
        return None
    own = (evidence.row("risk.nutrition.consult"), evidence.row("risk.nutrition.protein"))
    kidney = any_of(patient.has(what) for what in _ADVANCED_KIDNEY_DISEASE)
    weight = patient.latest(WEIGHT)
    return Recommendation(
        says=f"Nutrition is to be looked after: {'; '.join(reasons)}.",
        action="Ask a dietitian for an assessment and a plan before the operation. "
        + _protein_target(own[1], kidney, weight),
        who="surgeon or general practitioner",
        because=_once((*because, *kidney.because, *((weight,) if weight else ()))),
        missing=(CRP,) if low and crp is None else (),
        checked=(
            Check(
                what=_ADVANCED_KIDNEY_DISEASE[0],
                answer=kidney.answer,
                because=kidney.because,
                says="advanced kidney disease, in which a physician sets the protein",
            ),
        ),
        rests_on=(*own, *rows),
        would_change=("A newer screening, or albumin once inflammation is over.",),
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.ROUTINE,
    )


def _protein_target(row: Row, kidney: Known, weight: Fact | None) -> str:
    """The target that is named for protein, in grams a day where the weight is known."""
    if kidney.yes:
        return "With advanced kidney disease a physician sets how much protein."
    said = f"A target that is named: {row.says}"
    if weight is not None:
        ends = [float(row.table[0][end]) * weight.number for end in ("from", "to")]
        said += f", {ends[0]:.0f} to {ends[1]:.0f} g a day at the weight on record"
    return f"{said}."


def _certain_category(found: AnyFinding) -> str | None:
    """The category, also where it holds whatever is still missing."""
    either_way = found.parts.get("category_either_way")
    return found.category or (str(either_way) if either_way else None)


def _once(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(dict.fromkeys(facts))
