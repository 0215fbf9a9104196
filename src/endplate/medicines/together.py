"""Medicines that are taken together: naloxone, sedation, serotonin, enzymes, doubled classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import (
    AnyFinding,
    Check,
    Finding,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.medicines.doses import facts_of, is_a, list_assumed, taken
from endplate.medicines.opioids import OPIOID, mme
from endplate.medicines.tables import table
from endplate.record import Known, Patient
from endplate.rules import rule
from endplate.vocabulary import concept

_NALOXONE, _BENZODIAZEPINE, _GABAPENTINOID, _SEDATIVE, _SEROTONERGIC, _MONOAMINE = (
    f"medicine.{name}"
    for name in (
        "naloxone", "benzodiazepine", "gabapentinoid", "sedative", "serotonergic",
        "monoamine_oxidase_inhibitor",
    )
)  # fmt: skip
_COMPLETE, _ALCOHOL, _USE, _OVERDOSE = (
    "person.medicine_list_complete", "condition.alcohol_dependence",
    "condition.substance_use_disorder", "condition.opioid_overdose",
)  # fmt: skip

# -- naloxone -------------------------------------------------------------------------------------


@rule(
    "medicines.naloxone",
    reads=(
        OPIOID, _NALOXONE, _BENZODIAZEPINE, _GABAPENTINOID, _USE, _ALCOHOL,
        _OVERDOSE, "condition.sleep_disordered_breathing",
        "condition.opioid_tolerance_lost", "condition.kidney_failure", "condition.liver_failure",
        "condition.lung_disease", "person.age", *mme.reads,
    ),
    headline=41,
)  # fmt: skip
def naloxone(patient: Patient, evidence: Evidence) -> AnyFinding | None:
    """Whether naloxone is offered beside an opioid, by CDC's list; FDA's warning stands apart.

    Source      CDC 2022, FDA 2019: medicines.naloxone.*, medicines.mme.reassess
    Population  persons who take opioids
    Not for     opioids given by staff in hospital
    """
    opioid = patient.has(OPIOID)
    if not opioid.yes:
        return None
    cdc, fda, age = (evidence.row(f"medicines.naloxone.{n}") for n in ("cdc", "fda", "age"))
    by_cdc = [*_checked(patient, cdc), _by_dose(patient, evidence), _by_age(patient, age)]
    by_fda = _checked(patient, fda)
    rows = (cdc, age, evidence.row("medicines.mme.reassess"), fda)
    positions = (
        Position(holder="CDC 2022", says=_told(by_cdc, "offer naloxone"),
                 rests_on=rows[:-1], default=True),
        Position(holder="FDA 2019", says=_told(by_fda, "breathing problems are likelier"),
                 rests_on=(fda,)),
    )  # fmt: skip
    checks = (*by_cdc, *by_fda)
    because = tuple(dict.fromkeys((*opioid.because, *(f for c in checks for f in c.because))))
    asked = tuple(dict.fromkeys(c.says for c in checks if c.answer == "unknown"))
    there = _alone(patient)
    if not there and not patient.has(_NALOXONE).no:
        asked = (*asked, _NALOXONE)
    reasons = [c.what for c in by_cdc if c.answer == "yes"]
    warned = [c.what for c in by_fda if c.answer == "yes"]
    if there:
        return Finding(
            says="Naloxone is at hand beside the opioid.", category="at_hand",
            because=(*there, *because), missing=asked, rests_on=rows, positions=positions,
        )  # fmt: skip
    if not reasons and not warned:
        unknown = any(c.answer == "unknown" for c in checks)
        return Finding(
            says="Whether naloxone is to be offered is open: none of its reasons is on record, "
            "and some are not known."
            if unknown
            else "None of the listed reasons to offer naloxone is there.",
            status=Status.UNKNOWN if unknown else Status.ANSWERED,
            category=None if unknown else "no_reason",
            because=because, missing=asked, rests_on=rows, positions=positions,
        )  # fmt: skip
    if reasons:
        says = f"Naloxone is offered beside the opioid by CDC 2022: {', '.join(reasons)}."
        if warned:
            says += f" FDA 2019 warns besides: {', '.join(warned)}."
    else:
        says = (
            f"CDC 2022 has no reason on record to offer naloxone; FDA 2019 warns that breathing "
            f"problems are likelier with an opioid and {', '.join(warned)}."
        )
    return Recommendation(
        says=says,
        action="Offer naloxone and show how it is used."
        if reasons
        else "Consider naloxone, and watch breathing and alertness.",
        who="prescriber of the opioid",
        category="offer" if reasons else "consider",
        because=because,
        missing=asked,
        rests_on=rows,
        positions=positions,
        checked=checks,
        would_change=("The end of the opioid, or naloxone already at hand.",),
        stage=Stage.NOW,
        urgency=Urgency.SOON if reasons else Urgency.ROUTINE,
    )


def _checked(patient: Patient, row: Row) -> list[Check]:
    found = []
    for line in row.table:
        what = str(line["asks"])
        known = patient.ever(what) if what in (_OVERDOSE, _USE) else patient.has(what)
        if what == _USE:
            # Dependence on alcohol is one of them; who has none of them does not have that one.
            alcohol = patient.ever(_ALCOHOL)
            known = alcohol if alcohol.yes else known
        found.append(Check(what=str(line["name"]), answer=known.answer, says=what,
                           because=known.because))  # fmt: skip
    return found


def _by_dose(patient: Patient, evidence: Evidence) -> Check:
    said = next(iter(mme(patient, evidence)), None)
    category = said.category or said.parts.get("category_either_way") if said else None
    answer = {"from_50": "yes", "below_50": "no"}.get(str(category), "unknown")
    if said is not None and said.status is Status.NOT_APPLICABLE:
        answer = "no"
    missing = said.missing[0] if said and answer == "unknown" and said.missing else OPIOID
    return Check(what="50 or more morphine milligram equivalents", answer=answer, says=missing)


def _by_age(patient: Patient, row: Row) -> Check:
    age = patient.age
    answer = "unknown" if age is None else "yes" if row.met(age.number) else "no"
    return Check(what=f"age {row.number:g} or more", answer=answer, says="person.age",
                 because=(age,) if age else ())  # fmt: skip


def _told(checks: list[Check], what: str) -> str:
    there = [c.what for c in checks if c.answer == "yes"]
    unknown = [c.what for c in checks if c.answer == "unknown"]
    said = f"{what}: {', '.join(there)}" if there else "none of its list is on record"
    return f"{said}; not known: {', '.join(unknown)}." if unknown else f"{said}."


def _alone(patient: Patient) -> tuple[Fact, ...]:
    """Naloxone that is no part of an opioid's tablet."""
    known = patient.has(_NALOXONE)
    mixed = {f.source for f in patient.has(OPIOID).because if f.source != "typed"}
    return tuple(f for f in known.because if f.source not in mixed) if known.yes else ()


# -- sedation -------------------------------------------------------------------------------------


@rule(
    "medicines.opioid_with_sedatives",
    reads=(OPIOID, _BENZODIAZEPINE, _GABAPENTINOID, _SEDATIVE, _COMPLETE),
    headline=42,
)
def opioid_with_sedatives(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """An opioid together with a benzodiazepine, a gabapentinoid or another sedating medicine.

    Source      FDA 2016, FDA 2019, CDC 2022: medicines.with_opioid.*
    Population  persons who take opioids
    Not for     sedation for a procedure
    """
    opioid = patient.has(OPIOID)
    if not opioid.yes:
        return
    for name, what in (
        ("benzodiazepine", _BENZODIAZEPINE), ("gabapentinoid", _GABAPENTINOID),
        ("sedative", _SEDATIVE),
    ):  # fmt: skip
        row = evidence.row(f"medicines.with_opioid.{name}")
        others = [
            one
            for one in taken(patient, what)
            if what != _SEDATIVE or not is_a(one.ingredient, _BENZODIAZEPINE)
        ]
        if not others:
            continue
        names = ", ".join(dict.fromkeys(one.name for one in others))
        yield Recommendation(
            says=f"An opioid and {names} are taken together: {row.says.split(': ', 1)[1]}.",
            action="Ask whether both are needed; if so the lowest doses, and watch breathing.",
            about=name,
            who="prescriber of the opioid",
            category="together",
            because=(*opioid.because, *facts_of(others)),
            assumed=list_assumed(patient),
            rests_on=(row,),
            would_change=("The end of one of them; neither is stopped at once.",),
            stage=Stage.NOW,
            urgency=Urgency.SOON if name == "benzodiazepine" else Urgency.ROUTINE,
        )


# -- serotonin ------------------------------------------------------------------------------------


@rule("medicines.serotonergic", reads=(_SEROTONERGIC, _MONOAMINE, _COMPLETE), headline=43)
def serotonergic(patient: Patient, evidence: Evidence) -> Finding | None:
    """Two or more medicines that act by serotonin.

    Source      labels: medicines.serotonergic.*
    Population  persons who take them together
    Not for     judging a single medicine; low doses against nausea
    """
    there = taken(patient, _SEROTONERGIC)
    ingredients = list(dict.fromkeys(one.ingredient for one in there))
    if len(ingredients) < 2:
        return None
    rows = [evidence.row("medicines.serotonergic.combination")]
    says = f"{', '.join(concept(i).name for i in ingredients)} together: serotonin syndrome"
    blockers = [i for i in ingredients if is_a(i, _MONOAMINE)]
    if "medicine.tramadol" in ingredients:
        rows.append(evidence.row("medicines.serotonergic.tramadol"))
        says += ", and seizures with tramadol"
    if blockers:
        rows.append(evidence.row("medicines.serotonergic.monoamine_oxidase"))
        says += f"; with {concept(blockers[0]).name} it is contraindicated"
    return Finding(
        says=f"{says}.",
        category="with_monoamine_oxidase_inhibitor" if blockers else "combination",
        because=facts_of(there),
        assumed=list_assumed(patient),
        rests_on=tuple(rows),
        stage=Stage.NOW,
        urgency=Urgency.SOON if blockers else Urgency.ROUTINE,
    )


# -- enzymes --------------------------------------------------------------------------------------

_ENZYMES = ("cyp2d6", "cyp3a4", "cyp2c9", "ugt2b7")
_STRENGTHS = ("strong", "moderate", "not graded", "weak")
_SUBSTRATES = tuple(
    f"medicine.{name}"
    for name in (
        "codeine", "tramadol", "oxycodone", "fentanyl", "methadone", "celecoxib", "ibuprofen",
        "flurbiprofen", "lornoxicam", "meloxicam", "piroxicam", "tenoxicam", "morphine",
        "hydromorphone",
    )
)  # fmt: skip


@rule(
    "medicines.interactions",
    reads=(*_SUBSTRATES, *(line["ingredient"] for line in table("inhibitors").rows), _COMPLETE),
    headline=44,
)
def interactions(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Pain medicines whose breakdown another medicine slows or speeds up.

    Source      medicines.interaction.*, and the table of inhibitors with its own sources
    Population  persons who take both
    Not for     weak inhibitors, after which nothing is changed; what is taken once
    """
    for enzyme in _ENZYMES:
        row = evidence.row(f"medicines.interaction.{enzyme}")
        acting = [
            line
            for line in table("inhibitors").rows
            if line["enzyme"].lower() == enzyme and patient.has(line["ingredient"]).yes
        ]
        for line in row.table:
            what = str(line["asks"])
            substrate = patient.has(what)
            for effect in ("inhibitor", "inducer") if substrate.yes and acting else ():
                by = [a for a in acting if a["effect"] == effect and a["ingredient"] != what]
                strongest = min((_STRENGTHS.index(a["strength"]) for a in by), default=None)
                if strongest is None or _STRENGTHS[strongest] == "weak":
                    continue
                yield _interaction(patient, row, what, substrate, by, strongest, enzyme, effect)


def _interaction(
    patient: Patient,
    row: Row,
    what: str,
    substrate: Known,
    by: list[Mapping[str, str]],
    strongest: int,
    enzyme: str,
    effect: str,
) -> Finding:
    strength = _STRENGTHS[strongest]
    names = dict.fromkeys(
        concept(f.what).name for a in by for f in patient.has(a["ingredient"]).because
    )
    name, graded = concept(what).name, "" if strength == "not graded" else f"{strength} "
    does = {
        ("cyp2d6", "inhibitor"): f"{name} is not made active, and its analgesia may be lost",
        ("cyp2d6", "inducer"): f"{name} is made active faster",
        ("ugt2b7", "inhibitor"): f"{name} may be broken down slower; for information, no dose "
        f"follows",
    }.get((enzyme, effect), f"{name} {'rises' if effect == 'inhibitor' else 'falls'}")
    inhibitors = table("inhibitors")
    outdated = inhibitors.outdated(patient.on)
    positions = tuple(
        Position(
            holder=f"{concept(a['ingredient']).name}, by {a['source']}",
            says=f"{a['strength']} {a['effect']} of {a['enzyme']}"
            f"{'' if a['mark'] == 'V' else ' (not read in its source)'}"
            f"{': ' + a['note'] if a['note'] else ''}.",
        )
        for a in by
    )
    because = (*substrate.because, *(f for a in by for f in patient.has(a["ingredient"]).because))
    is_information = enzyme == "ugt2b7"
    return Finding(
        says=f"{', '.join(names)}: {graded}{effect} of {enzyme.upper()}; {does}.",
        about=f"{what} {enzyme.upper()} {effect}",
        category="information" if is_information else f"{strength}_{effect}",
        parts={"enzyme": enzyme.upper(), "effect": effect, "strength": strength, "medicine": what},
        because=tuple(dict.fromkeys(because)),
        assumed=list_assumed(patient),
        rests_on=(row,),
        positions=positions if len(positions) > 1 or by[0]["mark"] != "V" else (),
        limits=(f"The table: {inhibitors.source}.", *((outdated,) if outdated else ())),
        stage=Stage.BACKGROUND if is_information else Stage.NOW,
        urgency=Urgency.INFORMATION if is_information else Urgency.ROUTINE,
    )


# -- twice ----------------------------------------------------------------------------------------

_CLASSES = (
    "medicine.nsaid", "medicine.long_acting_opioid", _BENZODIAZEPINE, _GABAPENTINOID,
    "medicine.selective_serotonin_reuptake_inhibitor",
    "medicine.serotonin_noradrenaline_reuptake_inhibitor", "medicine.tricyclic_antidepressant",
    "medicine.muscle_relaxant", "medicine.z_hypnotic", _MONOAMINE,
)  # fmt: skip


@rule(
    "medicines.duplicates", reads=(*_CLASSES, OPIOID, "medicine.paracetamol", _COMPLETE),
    headline=45,
)  # fmt: skip
def duplicates(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Two medicines of one class, or one ingredient in two products, at the same time.

    Source      a choice of this project: medicines.duplicates.*
    Population  everybody
    Not for     a change from one to the other that is under way
    """
    classes = evidence.row("medicines.duplicates.classes")
    for line in classes.table:
        what = str(line["asks"])
        there = list(taken(patient, what))
        if what == "medicine.long_acting_opioid":
            there = [
                one
                for one in taken(patient, OPIOID)
                if one.form in ("long_acting", "patch") or is_a(one.ingredient, what)
            ]
        names = list(dict.fromkeys(one.name for one in there))
        if len(names) > 1:
            yield Finding(
                says=f"{len(names)} {line['name']} are taken at the same time: {', '.join(names)}.",
                about=what.rpartition(".")[2], category="doubled", because=facts_of(there),
                assumed=list_assumed(patient), rests_on=(classes,), stage=Stage.NOW,
                urgency=Urgency.ROUTINE,
            )  # fmt: skip
    twice = evidence.row("medicines.duplicates.ingredient")
    for line in twice.table:
        what = str(line["asks"])
        there = list(taken(patient, what))
        if len(there) > 1:
            doses = [one.high for one in there]
            known = [d for d in doses if d is not None]
            total = f"; together {sum(known):g} mg a day at the highest" if known == doses else ""
            yield Finding(
                says=f"{concept(what).name} stands in {len(there)} products{total}.",
                about=what.rpartition(".")[2], category="doubled", because=facts_of(there),
                assumed=list_assumed(patient), rests_on=(twice,), stage=Stage.NOW,
                urgency=Urgency.ROUTINE,
            )  # fmt: skip
