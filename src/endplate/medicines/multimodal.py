"""Analgesia from several sides around an operation: options, each with what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.evidence import Evidence, Row
from endplate.findings import AnyFinding, Check, Recommendation, Stage, Urgency
from endplate.medicines.doses import is_a
from endplate.medicines.kidney import MEASURED, creatinine_clearance, kidney
from endplate.medicines.opioids import OPIOID
from endplate.record import Known, Patient, any_of
from endplate.rules import rule

_ELEMENTS = (
    "paracetamol", "nsaid", "gabapentinoid", "ketamine_or_lidocaine", "local_anaesthetic",
    "discharge_opioid",
)  # fmt: skip
# It speaks against an anti-inflammatory medicine however long ago it was.
_HEART = "condition.cardiovascular_event_history"
_AGAINST = {
    "paracetamol": ("allergy.paracetamol", "condition.liver_failure"),
    "nsaid": ("allergy.nsaid", "condition.peptic_ulcer", _HEART),
    "gabapentinoid": (OPIOID, "condition.lung_disease"),
    "local_anaesthetic": ("allergy.local_anaesthetic",),
}
_STAGES = {"discharge_opioid": Stage.AFTER_SURGERY, "local_anaesthetic": Stage.DURING_SURGERY}
_OTHER_ALLERGY = "allergy.other"
_NAMES = {
    "allergy.paracetamol": "hypersensitivity to paracetamol",
    "allergy.nsaid": "hypersensitivity to an anti-inflammatory medicine",
    "allergy.local_anaesthetic": "hypersensitivity to a local anaesthetic",
    "condition.liver_failure": "liver failure",
    "condition.peptic_ulcer": "peptic ulcer",
    "condition.lung_disease": "lung disease",
    _HEART: "an earlier myocardial infarction or stroke",
    OPIOID: "an opioid",
}
# Which medicines' allergies on record speak against an element.
_ALLERGENS = {
    "allergy.paracetamol": ("medicine.paracetamol",),
    "allergy.nsaid": ("medicine.nsaid", "medicine.acetylsalicylic_acid"),
    "allergy.local_anaesthetic": ("medicine.lidocaine",),
}


@rule(
    "medicines.multimodal_analgesia",
    reads=(
        "intent.procedure", _OTHER_ALLERGY, MEASURED, *creatinine_clearance.reads,
        *dict.fromkeys(what for checks in _AGAINST.values() for what in checks),
    ),
    headline=47,
)  # fmt: skip
def multimodal_analgesia(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Elements of analgesia around a spine operation as options, with what speaks against each.

    Source      reviews of enhanced recovery in spine surgery: medicines.multimodal.*
    Population  adults before spine surgery
    Not for     children; doses of a single person, which the anaesthetist sets
    """
    if patient.intent.procedure in (None, "none"):
        return
    shared = tuple(
        evidence.row(f"medicines.multimodal.{name}") for name in ("bundle", "evidence", "society")
    )
    for name in _ELEMENTS:
        row = evidence.row(f"medicines.multimodal.element.{name}")
        checked = tuple(_checks(name, patient, evidence))
        against = [c.what for c in checked if c.answer == "yes"]
        missing = tuple(dict.fromkeys(c.says for c in checked if c.answer == "unknown"))
        told = f"{row.says[0].upper()}{row.says[1:]}"
        on_record = f"; against it: {', '.join(against)}" if against else ""
        open_ = "; not everything that could speak against it is known" if missing else ""
        yield Recommendation(
            says=f"Option around the operation: {told}{on_record}{open_}.",
            action=f"Leave it out, or weigh it: {', '.join(against)}."
            if against
            else "Consider it with the anaesthetist.",
            about=name,
            who="anaesthetist and surgeon",
            category="against" if against else "open" if missing else "option",
            because=tuple(dict.fromkeys(f for c in checked for f in c.because)),
            missing=missing,
            rests_on=(row, *shared, *_also(name, evidence)),
            checked=checked,
            would_change=tuple(f"{c.what[0].upper()}{c.what[1:]}." for c in checked),
            stage=_STAGES.get(name, Stage.BEFORE_SURGERY),
            urgency=Urgency.ROUTINE,
        )


def _also(name: str, evidence: Evidence) -> tuple[Row, ...]:
    if name == "nsaid":
        heart = evidence.row("medicines.multimodal.nsaid_and_heart")
        return (evidence.row("medicines.renal.avoid_below.nsaid"), heart)
    if name == "gabapentinoid":
        return (evidence.row("medicines.multimodal.elderly"),)
    return ()


def _checks(name: str, patient: Patient, evidence: Evidence) -> Iterator[Check]:
    for what in _AGAINST.get(name, ()):
        known = patient.ever(what) if what == _HEART else patient.has(what)
        if what in _ALLERGENS:
            known = any_of((known, _allergy(patient, what)))
            known = patient.has(what) if known.unknown else known
        yield Check(what=_NAMES[what], answer=known.answer, says=what, because=known.because)
    if name == "nsaid":
        row = evidence.row("medicines.renal.avoid_below.nsaid")
        function = kidney(patient, evidence)
        met = None if function.clearance is None else row.met(function.clearance)
        yield Check(
            what=f"creatinine clearance below {row.number:g} mL/min",
            answer="unknown" if met is None else "yes" if met else "no",
            says=function.missing[0] if function.missing else MEASURED, because=function.because,
        )  # fmt: skip
    if name == "gabapentinoid":
        row, age = evidence.row("medicines.multimodal.elderly"), patient.age
        yield Check(
            what=f"age {row.number:g} or more",
            answer="unknown" if age is None else "yes" if row.met(age.number) else "no",
            says="person.age", because=(age,) if age else (),
        )  # fmt: skip


def _allergy(patient: Patient, what: str) -> Known:
    """An allergy on record to one of the medicines that the question is about."""
    found = tuple(
        f
        for f in patient.facts(_OTHER_ALLERGY)
        if "medicine" in f.details
        and any(is_a(str(f.details["medicine"]), m) for m in _ALLERGENS[what])
        and (f.until is None or f.until > patient.on)
    )
    return Known("yes", found) if found else Known("unknown")
