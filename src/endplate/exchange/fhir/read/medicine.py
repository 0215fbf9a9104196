"""Medicines: what was ordered, stated, given or handed out, and from when to when.

A medicine counts as taken now only where the record says so: an order that was completed or
stopped has an end even where its date is not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from endplate import vocabulary
from endplate.exchange import dosage_text
from endplate.exchange.fhir.read import dosage as dosages_read
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd, Target, When
from endplate.exchange.fhir.read.history import last_noted
from endplate.exchange.fhir.read.resource import (
    ENTERED_IN_ERROR,
    Left,
    Resource,
    Statuses,
    begins,
    ends,
    judged,
)
from endplate.vocabulary import concept

_ON_HOLD = "on hold: it may not be taken at present"
_UNKNOWN = "its status is given as unknown"
ORDER_STATUSES = Statuses(
    fine=frozenset({"active", "completed", "stopped"}),
    doubtful={"on-hold": _ON_HOLD, "unknown": _UNKNOWN},
    left={
        **ENTERED_IN_ERROR,
        "cancelled": "was withdrawn before anything was given",
        "draft": "is a draft",
    },
)
STATEMENT_STATUSES = Statuses(
    fine=frozenset({"active", "completed", "stopped", "not-taken"}),
    doubtful={"on-hold": _ON_HOLD, "unknown": _UNKNOWN},
    left={**ENTERED_IN_ERROR, "intended": "is intended and was not begun"},
)
ADMINISTRATION_STATUSES = Statuses(
    fine=frozenset({"in-progress", "completed"}),
    doubtful={"stopped": "was broken off while it was given", "unknown": _UNKNOWN},
    left={
        **ENTERED_IN_ERROR,
        "not-done": "was not given on that occasion",
        "on-hold": "was put off",
    },
)
DISPENSE_STATUSES = Statuses(
    fine=frozenset({"completed"}),
    doubtful={"stopped": "was broken off", "on-hold": _ON_HOLD, "unknown": _UNKNOWN},
    left={
        **ENTERED_IN_ERROR,
        "preparation": "was only being prepared",
        "in-progress": "was not handed out yet",
        "cancelled": "was cancelled",
        "declined": "was declined",
    },
)
_NO_ORDER = frozenset({"proposal", "plan", "option"})
_PAST = frozenset({"completed", "stopped"})
_END_UNKNOWN = "it has ended, the record does not say when; the end given is the last day noted"
_NOT_TO_BE_GIVEN = "ordered not to be given"
_NO_LONGER_VALID = "said to be active, but the prescription is no longer valid"
_DAYS_OVER = "said to be active, but the days for which it was ordered are over"
_NAME_IT = "Give the medicine's name or the code of its ingredient, or type it."
_BY_ASSERTION = "dated by the day on which it was stated"
_SUPPLY_ENDS = "the end is that of the supply handed out"

OTHER = Target(concept("medicine.other"))
LAST_DENOSUMAB = Target(concept("medicine.denosumab.last_dose"))
DENOSUMAB, DENOSUMAB_ONCOLOGY = "medicine.denosumab", "medicine.denosumab_oncology"
# The product for bone metastases holds 120 mg in 1.7 mL, the one for osteoporosis 60 mg in 1 mL.
_ONCOLOGY_DOSE = re.compile(r"\b(120 ?mg|1[.,]7 ?ml)\b", re.IGNORECASE)
# Where no dose could be read of one of these, somebody has to know.
_DOSE_MATTERS = frozenset(
    {"medicine.opioid", "medicine.nsaid", "medicine.gabapentinoid", "medicine.paracetamol",
     "medicine.antidepressant"}
)  # fmt: skip


class Course(NamedTuple):
    """From when to when a medicine was taken, with what is doubtful of it."""

    on: date | None
    until: date | None
    doubts: tuple[str, ...]
    taken: bool = True


# -- what the medicine is ---------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _ingredients(spoken: Codeable) -> tuple[Target, ...]:
    """The medicines of the vocabulary in a product, by its codes and by names in its words."""
    coded = (elements.TARGETS[c.system, c.code] for c in spoken.codings)
    found = {t.id: t for t in coded if t is not None and t.id.startswith("medicine.")}
    for text in spoken.texts:
        for name in dosage_text.ingredients_in(elements.clipped(text)):
            found.setdefault(name, Target(concept(name)))
    if DENOSUMAB in found and any(_ONCOLOGY_DOSE.search(text) for text in spoken.texts):
        found.setdefault(DENOSUMAB_ONCOLOGY, Target(concept(DENOSUMAB_ONCOLOGY)))
    if DENOSUMAB_ONCOLOGY in found:
        found.pop(DENOSUMAB, None)
    wider = {parent for name in found for parent in vocabulary.ancestors(name)}
    return tuple(target for name, target in found.items() if name not in wider)


def _product(resource: Resource) -> Codeable:
    """What was ordered or given: the concept, or that of the Medication it refers to."""
    direct = elements.coded_item(resource.json, "medicationCodeableConcept")
    if direct != elements.NOTHING_CODED:
        return direct
    medication, words = resource.referred("medicationReference")
    if medication is not None:
        spoken = elements.coded_item(medication, "code")
        if spoken != elements.NOTHING_CODED:
            return spoken
        parts = [
            elements.coded_item(one, "itemCodeableConcept").words
            for one in elements.items(medication, "ingredient")
        ]
        if any(parts):
            return Codeable((), " / ".join(p for p in parts if p))
    if words:
        return Codeable((), words)
    if elements.reference(resource.json, "medicationReference") is None:
        raise Odd("medication[x]")
    raise Left(
        "fhir.medication_not_found",
        f"{resource.kind}: refers to a Medication that is not in the record; which one is unknown.",
    )


def _take(resource: Resource, course: Course, dosages: list[Json]) -> None:
    """One fact for each medicine in the product."""
    is_now = course.taken and (course.until is None or course.until > resource.reader.today)
    try:
        spoken = _product(resource)
    except Left as left:
        if is_now:
            resource.problem(left.id, left.says, _NAME_IT)
            return
        raise
    if is_now and not spoken.texts and not _ingredients(spoken):
        resource.problem(
            "fhir.medicine_unknown",
            f"{resource.kind}: a medicine is taken of which only a code is given that is not "
            f"known ({spoken.words}); what it is, and its dose, count nowhere.",
            _NAME_IT,
        )
    details: dict[str, float | str] = {"product": spoken.words}
    dosage = dosages[0] if dosages else None
    route = elements.coded_item(dosage, "route").words if dosage else ""
    if dosage and (text := elements.word(dosage, "text")):
        details["dosage"] = elements.clipped(text, 200)
    if route:
        details["route"] = elements.clipped(route, 80)
    where = " ".join((*spoken.texts, route))
    targets = [t for t in _ingredients(spoken) if dosage_text.is_meant(t.id, where)]
    if not targets and course.taken:
        resource.take(
            OTHER, spoken.words, on=course.on, until=course.until, doubts=course.doubts,
            details=details,
        )  # fmt: skip
    if not course.taken:
        details["denied"] = "at_present"  # it does not say that it was never taken
    for target in targets:
        more: dosage_text.Details = {}
        if dosages and course.taken:
            more = _dose(resource, spoken, target, dosages, where, course)
        resource.take(
            target, course.taken, on=course.on, until=course.until, doubts=course.doubts,
            details=details | more,
        )  # fmt: skip
    if resource.kind == "MedicationAdministration" and course.on is not None:
        for target in targets:
            if target.id == DENOSUMAB:
                resource.take(
                    LAST_DENOSUMAB, course.on.isoformat(), on=course.on, doubts=course.doubts
                )


def _dose(
    resource: Resource,
    spoken: Codeable,
    target: Target,
    dosages: list[Json],
    where: str,
    course: Course,
) -> dosage_text.Details:
    """The dose of one medicine of the product; a problem where it still matters and is unclear."""
    given: dict[str, dosage_text.Strength] = {}
    if "medicationReference" in resource.json:
        given = dosages_read.strengths(resource.referred("medicationReference")[0])
    found = dosages_read.read(dosages, spoken.words, target.id, given, where)
    matters = not _DOSE_MATTERS.isdisjoint((target.id, *vocabulary.ancestors(target.id)))
    matters = matters and (course.until is None or course.until > resource.reader.today)
    if found.why and matters and resource.kind != "MedicationAdministration":
        resource.problem(
            "fhir.dosage_not_understood",
            f"{target.concept.name}: no dose was taken from its dosage: {found.why}.",
            "Give dose and frequency as elements of the dosage, or type them.",
        )
    return found.details


# -- from when to when ------------------------------------------------------------------------


def _bounds(dosage: Json | None) -> tuple[When | None, When | None]:
    timing = elements.item(dosage, "timing") if dosage else None
    repeat = elements.item(timing, "repeat") if timing else None
    return elements.period(repeat, "boundsPeriod") if repeat else (None, None)


def _course(
    resource: Resource,
    status: str,
    begun: When | None,
    ended: When | None,
    doubts: tuple[str, ...],
    recorded: str,
) -> Course:
    """The course of a medicine; one that is over has an end, whether it is dated or not."""
    on, dated = begins(begun)
    today = resource.reader.today
    until, closed = ends(ended, today)
    if status in _PAST and (until is None or until > today):
        until, closed = last_noted(resource, on, recorded), (_END_UNKNOWN,)
    return Course(on, until, doubts + dated + closed)


def request(resource: Resource) -> None:
    """The facts of one MedicationRequest."""
    json = resource.json
    doubts = judged(resource, "status", ORDER_STATUSES)
    if elements.code(json, "intent") in _NO_ORDER:
        raise Left("fhir.no_order", "MedicationRequest: is a proposal or plan and no order.")
    dosages = elements.items(json, "dosageInstruction")
    supply = elements.item(json, "dispenseRequest") or {}
    valid_from, valid_to = elements.period(supply, "validityPeriod")
    first, last = _bounds(dosages[0] if dosages else None)
    begun = elements.when(json, "authoredOn") or valid_from or first
    if elements.flag(json, "doNotPerform"):
        on, dated = begins(begun)
        _take(resource, Course(on, None, (*doubts, *dated, _NOT_TO_BE_GIVEN), False), dosages)
        return
    status = elements.code(json, "status")
    # The validity is that of the prescription: an order still active beyond it is still taken.
    if valid_to is not None and last is None and status in _PAST:
        last = valid_to
    elif valid_to is not None and valid_to.last < resource.reader.today:
        doubts = (*doubts, _NO_LONGER_VALID)
    if status not in _PAST and _days_are_over(dosages, begun, resource.reader.today):
        doubts = (*doubts, _DAYS_OVER)
    _take(resource, _course(resource, status, begun, last, doubts, "authoredOn"), dosages)


def _days_are_over(dosages: list[Json], begun: When | None, today: date) -> bool:
    """Whether an order for so many days began longer ago than that."""
    timing = elements.item(dosages[0], "timing") if dosages else None
    repeat = elements.item(timing, "repeat") if timing else None
    bounds = elements.item(repeat, "boundsDuration") if repeat else None
    if bounds is None or begun is None:
        return False
    days = dosages_read.days_of(bounds)
    return days is not None and (today - begun.last).days > days


def statement(resource: Resource) -> None:
    """The facts of one MedicationStatement."""
    json = resource.json
    doubts = judged(resource, "status", STATEMENT_STATUSES)
    dosages = elements.items(json, "dosage")
    begun, ended = elements.period(json, "effectivePeriod")
    begun = begun or elements.when(json, "effectiveDateTime")
    if begun is None and (asserted := elements.when(json, "dateAsserted")):
        begun, doubts = asserted, (*doubts, _BY_ASSERTION)
    status = elements.code(json, "status")
    if status == "not-taken":
        on, dated = begins(begun)
        _take(resource, Course(on, None, doubts + dated, False), dosages)
        return
    _take(resource, _course(resource, status, begun, ended, doubts, "dateAsserted"), dosages)


def administration(resource: Resource) -> None:
    """The facts of one MedicationAdministration: taken on that day."""
    json = resource.json
    doubts = judged(resource, "status", ADMINISTRATION_STATUSES)
    dosage = elements.item(json, "dosage")
    begun, ended = elements.period(json, "effectivePeriod")
    begun = begun or elements.when(json, "effectiveDateTime")
    on, dated = begins(begun)
    until, closed = ends(ended, resource.reader.today)
    if until is None and elements.code(json, "status") != "in-progress":
        until = ends(begun, resource.reader.today)[0] or resource.reader.today
    _take(resource, Course(on, until, doubts + dated + closed), [dosage] if dosage else [])


def dispense(resource: Resource) -> None:
    """The facts of one MedicationDispense: taken for as long as the supply lasts."""
    json = resource.json
    doubts = judged(resource, "status", DISPENSE_STATUSES)
    on, dated = begins(elements.when(json, "whenHandedOver") or elements.when(json, "whenPrepared"))
    supply = elements.item(json, "daysSupply")
    days = elements.number(supply, "value") if supply else None
    until = on or resource.reader.today
    if on is not None and days is not None:
        try:
            until = on + timedelta(days=days)
        except OverflowError:
            raise Odd("daysSupply") from None
    dosages = elements.items(json, "dosageInstruction")
    _take(resource, Course(on, until, (*doubts, *dated, _SUPPLY_ENDS)), dosages)


HANDLERS: dict[str, Callable[[Resource], None]] = {
    "MedicationRequest": request,
    "MedicationStatement": statement,
    "MedicationAdministration": administration,
    "MedicationDispense": dispense,
}
