"""What can be changed before an operation: blood count, sugar, smoking."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.evidence import Evidence, Row, first_met
from endplate.facts import Fact
from endplate.findings import (
    AnyFinding,
    Finding,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.record import Patient
from endplate.risk.body import age_asked, not_for_children, of_a_child
from endplate.rules import rule

# -- anaemia --------------------------------------------------------------------------------------

_HAEMOGLOBIN = "lab.haemoglobin"
_PREGNANT, _POSTMENOPAUSAL = "person.pregnant", "person.postmenopausal"


@rule(
    "risk.anaemia",
    reads=(_HAEMOGLOBIN, "person.sex", "person.age", _PREGNANT, _POSTMENOPAUSAL),
    scores="anaemia",
    needs=(_HAEMOGLOBIN,),
)
def anaemia(patient: Patient, evidence: Evidence) -> AnyFinding | None:
    """Anaemia by the limits of the World Health Organization, and what it calls for.

    Source      limits not read in a source (risk.anaemia.*, risk.adult_from_age)
    Population  adults
    Not for     children; people who live high above the sea; the cause
    """
    found = patient.latest(_HAEMOGLOBIN)
    if found is None:
        return None
    if of_a_child(patient, evidence):
        return not_for_children("Anaemia", patient, evidence)
    limits, because, missing = _limits(patient, evidence)
    every = (*evidence.under("risk.anaemia."), evidence.row("risk.adult_from_age"))
    met = {row.met(found.number) for row in limits}
    told = f"Haemoglobin {found.number:.1f} g/dL"
    if len(met) > 1:
        named = {"person.sex": "the sex", _PREGNANT: "whether she is pregnant"}
        asked = " and ".join(named[what] for what in missing)
        return Finding(
            says=f"{told}: whether it is anaemia depends on {asked}.",
            status=Status.UNKNOWN, because=(found, *because), missing=missing, rests_on=every,
        )  # fmt: skip
    if not met.pop():
        return Finding(
            says=f"{told}: no anaemia.", value=round(found.number, 6), unit="g/dL", category="none",
            because=(found, *because), missing=age_asked(patient), rests_on=every,
        )  # fmt: skip
    severe = evidence.row("risk.anaemia.severe").met(found.number)
    return Recommendation(
        says=f"{told}: {'severe ' if severe else ''}anaemia.",
        action="Look for the cause of the anaemia, and treat it before an elective operation.",
        who="surgeon or general practitioner",
        value=round(found.number, 6),
        unit="g/dL",
        category="severe" if severe else "anaemia",
        because=(found, *because),
        missing=age_asked(patient),
        rests_on=every,
        would_change=("A newer haemoglobin.",),
        stage=Stage.NOW if severe else Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON if severe else Urgency.ROUTINE,
    )


def _limits(
    patient: Patient, evidence: Evidence
) -> tuple[list[Row], tuple[Fact, ...], tuple[str, ...]]:
    """The limits that may be this person's; the facts that say so; what would decide."""
    men, women, pregnant = (
        evidence.row(f"risk.anaemia.{n}") for n in ("male", "female", "pregnant")
    )
    told = patient.latest("person.sex")
    because = (told,) if told else ()
    if patient.sex == "male":
        return [men], because, ()
    carries = patient.has(_PREGNANT)
    age, late = patient.age, patient.has(_POSTMENOPAUSAL)
    beyond = evidence.row("risk.anaemia.not_pregnant_from_age")
    past = late.yes or (age is not None and beyond.met(age.number))
    if carries.yes:
        return [pregnant], (*because, *carries.because), ()
    of_women = [women] if carries.no or past else [women, pregnant]
    because = (*because, *carries.because, *late.because, *((age,) if past and age else ()))
    asked = (_PREGNANT,) if len(of_women) > 1 else ()
    if patient.sex == "female":
        return of_women, because, asked
    return [men, *of_women], because, ("person.sex", *asked)


# -- sugar ----------------------------------------------------------------------------------------

_HBA1C, _GLUCOSE = "lab.hba1c", "lab.glucose"
_OPERATION = ("intent.date", "intent.elective")


@rule("risk.hba1c", reads=(_HBA1C, *_OPERATION), scores="hba1c", needs=(_HBA1C,))
def hba1c(patient: Patient, evidence: Evidence) -> AnyFinding | None:
    """Haemoglobin A1c before an operation: what it warns of, and when to wait.

    Source      CNS 2021 (above 7.5 %), 12,026 lumbar fusions (from 8.0 %): risk.hba1c.*,
                risk.infection.va
    Population  adults before spine surgery
    Not for     emergencies, which do not wait; the diagnosis of diabetes
    Differs     published limits lie from 6.9 to 8.0 %; each is shown
    """
    found = patient.latest(_HBA1C)
    if found is None:
        return None
    warn, delay = evidence.row("risk.hba1c.warn"), evidence.row("risk.hba1c.delay")
    action, veterans = evidence.row("risk.hba1c.action"), evidence.row("risk.infection.va")
    told = f"Haemoglobin A1c {found.number:.1f} %"
    positions = _other_limits(evidence)
    rows = (warn, delay, action, veterans)
    if not warn.met(found.number):
        return Finding(
            says=f"{told}: not above {warn.number:g} %.",
            value=round(found.number, 6), unit="%", category="not_raised", because=(found,),
            rests_on=rows, positions=positions,
        )  # fmt: skip
    elective = patient.has("intent.elective")
    wait = delay.met(found.number) and not elective.no
    return Recommendation(
        says=f"{told}: more infections and reoperations are to be expected above "
        f"{warn.number:g} %.",
        action=(
            "Consider putting an elective operation off until sugar is better controlled."
            if wait
            else "Improve the control of sugar around the operation."
        ),
        who="surgeon with whoever treats the diabetes",
        value=round(found.number, 6),
        unit="%",
        category="delay" if wait else "warn",
        because=(found, *elective.because),
        missing=("intent.elective",) if wait and elective.unknown else (),
        rests_on=rows,
        positions=positions,
        would_change=("A newer haemoglobin A1c.",),
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON if wait else Urgency.ROUTINE,
    )


def _other_limits(evidence: Evidence) -> tuple[Position, ...]:
    named = {"mssic": "the registry of Michigan", "infection": "92 people with diabetes"}
    rows = {name: evidence.row(f"risk.hba1c.{name}") for name in named}
    return tuple(
        Position(holder=named[name], says=row.says, rests_on=(row,)) for name, row in rows.items()
    )


@rule("risk.glucose", reads=(_GLUCOSE, "intent.date"))
def glucose(patient: Patient, evidence: Evidence) -> Finding | None:
    """Glucose on the day of the operation.

    Source      12,026 lumbar fusions (risk.glucose.*)
    Population  adults with a lumbar fusion
    Not for     another day than that of the operation; the diagnosis of diabetes
    """
    day = patient.intent.day
    of_the_day = [f for f in patient.facts(_GLUCOSE) if day is not None and f.on == day]
    if not of_the_day:
        return None
    highest = max(of_the_day, key=lambda f: f.number)
    warn, note = evidence.row("risk.glucose.warn"), evidence.row("risk.glucose.note")
    met = first_met((warn, note), highest.number)
    category = {warn.name: "warn", note.name: "note"}[met.name] if met else "not_raised"
    told = f"Glucose {highest.number:.0f} mg/dL on the day of the operation"
    return Finding(
        says=f"{told}: {f'{met.text} went with more trouble' if met else 'not raised'}.",
        value=round(highest.number, 6),
        unit="mg/dL",
        category=category,
        because=(highest,),
        rests_on=(warn, note),
        stage=Stage.DURING_SURGERY,
        urgency=Urgency.SOON if category == "warn" else Urgency.ROUTINE,
    )


# -- smoking --------------------------------------------------------------------------------------


@rule("risk.smoking", reads=("person.smoker",), scores="smoking", needs=("person.smoker",))
def smoking(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """A current smoker is advised to stop before spine surgery.

    Source      CNS 2021 (risk.smoking.*)
    Population  adults before spine surgery
    Not for     withholding an urgent operation
    Differs     that stopping lowers reoperations is not sufficiently shown
    """
    smokes = patient.has("person.smoker")
    if smokes.unknown:
        return
    rows = evidence.under("risk.smoking.")
    if smokes.no:
        yield Finding(
            says="No current smoker.", category="no", because=smokes.because, rests_on=rows
        )
        return
    yield Recommendation(
        says="A current smoker: smoking goes with more reoperations; that stopping before the "
        "operation lowers this is not sufficiently shown.",
        action="Advise to stop smoking, and offer help with it.",
        who="surgeon or general practitioner",
        category="yes",
        because=smokes.because,
        rests_on=rows,
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.ROUTINE,
    )
