"""Conditions, procedures, allergies and the family: what a person has, had, or must not be given.

A condition that has ended must not count as present, even where the record does not say when
it ended. What the vocabulary does not know is kept with its own words.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from endplate import vocabulary
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd, Target, When
from endplate.exchange.fhir.read.resource import (
    ENTERED_IN_ERROR,
    Left,
    Resource,
    Statuses,
    begins,
    ends,
    judged,
    latest_day,
)
from endplate.exchange.fhir.read.site import NOWHERE, SNOMED, Place, level_in
from endplate.vocabulary import concept

_DOUBTED = {
    "unconfirmed": "not confirmed",
    "provisional": "a provisional diagnosis",
    "differential": "one of several possible diagnoses",
    "presumed": "presumed, not confirmed",
}
CONDITION_VERIFICATION = Statuses(
    fine=frozenset({"confirmed", ""}),
    doubtful=_DOUBTED,
    left={**ENTERED_IN_ERROR, "refuted": "was ruled out"},
)
PROCEDURE_STATUSES = Statuses(
    fine=frozenset({"completed"}),
    doubtful={
        "in-progress": "under way when it was recorded",
        "stopped": "was begun and broken off",
        "unknown": "its status is given as unknown",
    },
    left={
        **ENTERED_IN_ERROR,
        # "Not done" is said of one occasion; it does not say that it was never done.
        "not-done": "was not done on that occasion",
        "preparation": "was only being prepared",
        "on-hold": "was put off",
    },
)
FAMILY_STATUSES = Statuses(
    fine=frozenset({"completed", "partial"}),
    doubtful={},
    left={**ENTERED_IN_ERROR, "health-unknown": "says that the relative's health is not known"},
)

_ENDED = frozenset({"inactive", "remission", "resolved"})
_PRESENT = frozenset({"active", "recurrence", "relapse"})
_NO_CLINICAL_STATUS = "the record does not say whether it is still there"
_STRANGE_CLINICAL_STATUS = "its clinical status is not one that FHIR knows"
_END_UNKNOWN = "it has ended, the record does not say when; the end given is the last day noted"
_ACTIVE_AND_ENDED = "said to be active and to have ended"
_BY_RECORD = "dated by the day on which it was recorded"
_BY_AGE = "dated by the age at that time"
_LEVEL_FROM_TEXT = "the level was taken from the words for it"

# "Nothing known" as a diagnosis or allergy: SNOMED in FHIR R4's own value sets and in the IPS.
_NOTHING_KNOWN = frozenset({"160245001", "716186003"})
_NOTHING_SAID = ("no known", "no current problem", "none known", "nkda", "nka")

# What a condition may be by its name: of the red flags, those that no other illness gives.
_CONDITIONS = (
    "condition.", "fracture.",
    *(f"pain.red_flag.{name}" for name in (
        "cauda_equina", "bladder_dysfunction", "bowel_dysfunction", "saddle_sensory_change",
        "bilateral_sciatica", "spinal_infection", "myelopathy", "known_aortic_aneurysm",
    )),
)  # fmt: skip
OTHER_CONDITION = Target(concept("condition.other"))
OTHER_PROCEDURE = Target(concept("procedure.other"))
OTHER_ALLERGY = Target(concept("allergy.other"))
PARENT_HIP = Target(concept("person.parent_hip_fracture"))
MOTHER_HIP = Target(concept("person.mother_hip_fracture_after_50"))


# -- conditions -------------------------------------------------------------------------------


def condition(resource: Resource) -> None:
    """The facts of one Condition: true from its onset until its end."""
    json = resource.json
    doubts = judged(resource, "verificationStatus", CONDITION_VERIFICATION)
    spoken = elements.coded_item(json, "code")
    _refuse_nothing(resource, spoken, "Condition")
    target = said_to_be(spoken, _CONDITIONS)
    on, dated, details = _onset(resource)
    status = elements.code(json, "clinicalStatus")
    lasts = target is not None and _lasts(target)
    until, ended = (None, ()) if lasts else _end(resource, status, on)
    if status and status not in _PRESENT:
        details["clinical_status"] = elements.clipped(status, 40)
    if elements.code(json, "verificationStatus") in _DOUBTED:
        details["certainty"] = "possible"  # considered, and not confirmed: neither yes nor no
    _present(
        resource, target or OTHER_CONDITION, spoken, on, until, doubts + dated + ended, details
    )


def said_to_be(spoken: Codeable, prefixes: tuple[str, ...]) -> Target | None:
    """What a condition, procedure or implant is in the vocabulary: by its codes, or its name."""
    found = elements.target(spoken.codings) or elements.named(spoken, prefixes, trust_codes=False)
    # A code of a measurement is no condition, whatever it stands for elsewhere.
    return found if found is not None and found.concept.kind in ("yes_no", "text") else None


def _refuse_nothing(resource: Resource, spoken: Codeable, kind: str) -> None:
    if spoken == elements.NOTHING_CODED:
        raise Odd("code")
    said = (t.lower() for t in spoken.texts)
    if any(c.system == SNOMED and c.code in _NOTHING_KNOWN for c in spoken.codings) or any(
        t.startswith(_NOTHING_SAID) for t in said
    ):
        raise Left(
            "fhir.nothing_known",
            f"{kind}: says that nothing is known; what is unknown is not taken as absent.",
        )


def _lasts(target: Target) -> bool:
    """Whether it stays true whatever the status says: an operation done, a history of an event."""
    return target.id.startswith("procedure.") or target.id.endswith("_history")


def _present(
    resource: Resource,
    target: Target,
    spoken: Codeable,
    on: date | None,
    until: date | None,
    doubts: tuple[str, ...],
    details: dict[str, float | str],
) -> None:
    """One fact for each body site that has a level, or else one."""
    if target.concept.kind == "text":
        details |= _codes(spoken)
    sites = resource.places() or (NOWHERE,)
    levelled = [site for site in sites if site.level]
    for site in levelled or sites[:1]:
        level, more = site.level, tuple[str, ...]()
        if level is None and (level := _level_of(spoken.texts)):
            more = (_LEVEL_FROM_TEXT,)
        if site.text and not site.level:
            details["site"] = site.text
        for one in _sited(target, site):
            value = spoken.words if one.concept.kind == "text" else True
            resource.take(
                one, value, on=on, until=until, level=level or None, side=site.side,
                doubts=doubts + more, details=details,
            )  # fmt: skip


def _codes(spoken: Codeable) -> dict[str, str]:
    first = next((c for c in spoken.codings if c.code), None)
    return {"code": f"{first.system} {first.code}".strip()} if first else {}


def _level_of(texts: tuple[str, ...]) -> str:
    found = {level_in(text) for text in texts} - {""}
    return found.pop() if len(found) == 1 else ""


_OSTEOPOROTIC = "condition.osteoporotic_fracture"
_FRACTURES = {
    "femoral_neck": "fracture.hip",
    "total_hip": "fracture.hip",
    "distal_radius": "fracture.distal_forearm",
    "lumbar_spine": "fracture.vertebral",
}


def _sited(target: Target, site: Place) -> tuple[Target, ...]:
    """A fracture whose code names no site, at the site that the body site names."""
    name = "fracture.vertebral" if site.level else _FRACTURES.get(site.region, "")
    if not name or target.id not in ("fracture.any", "fracture.low_trauma", _OSTEOPOROTIC):
        return (target,)
    sited = vocabulary.concept(name if target.id == "fracture.any" else f"{name}.low_trauma")
    found = Target(sited, target.side, target.doubts)
    return (target, found) if target.id == _OSTEOPOROTIC else (found,)


def _onset(
    resource: Resource,
) -> tuple[date | None, tuple[str, ...], dict[str, float | str]]:
    """The day it began, what is doubtful of it, and the words for it."""
    json = resource.json
    found = elements.when(json, "onsetDateTime") or elements.period(json, "onsetPeriod")[0]
    details: dict[str, float | str] = {}
    if found is not None:
        details |= latest_day(found)
        return (*begins(found), details)
    on = _by_age(resource, "onset")
    if on is not None:
        return on, (_BY_AGE,), details
    text = elements.word(json, "onsetString")
    if text:
        details["onset"] = elements.clipped(text, 80)
    recorded = elements.when(json, "recordedDate")
    on, doubts = begins(recorded)
    return on, (*doubts, _BY_RECORD) if on else (), details | latest_day(recorded)


def _by_age(resource: Resource, name: str) -> date | None:
    """The day on which the person reached the age in ``<name>Age`` or ``<name>Range``."""
    json = resource.json
    age = elements.item(json, f"{name}Age")
    if age is None:
        bounds = elements.item(json, f"{name}Range")
        age = (elements.item(bounds, "low") or elements.item(bounds, "high")) if bounds else None
    years = _years(age) if age else None
    if years is None:
        return None
    if resource.person.born is None:
        resource.wait()
        return None
    born = resource.person.born
    try:
        return born.replace(year=born.year + int(years), day=min(born.day, 28))
    except ValueError:
        raise Odd(f"{name}Age") from None


_YEARS = frozenset({"a", "y", "yr", "year", "years"})


def _years(age: Json) -> float | None:
    """An age in years; None where it is in another unit or none is given."""
    value = elements.number(age, "value")
    unit = (elements.word(age, "code") or elements.word(age, "unit")).lower()
    return value if unit in _YEARS else None


def _end(resource: Resource, status: str, on: date | None) -> tuple[date | None, tuple[str, ...]]:
    """The day it ended, None where it is there still, and what is doubtful of that."""
    json, today = resource.json, resource.reader.today
    start, end = elements.period(json, "abatementPeriod")
    until, doubts = ends(elements.when(json, "abatementDateTime") or end or start, today)
    if until is None and (aged := _by_age(resource, "abatement")):
        until, doubts = aged, (_BY_AGE,)
    if until is not None and (status not in _ENDED or until <= today):
        return until, (*doubts, _ACTIVE_AND_ENDED) if _contradicts(status, until, today) else doubts
    said = elements.word(json, "abatementString") or elements.flag(json, "abatementBoolean")
    if status in _ENDED or said:
        return last_noted(resource, on, "recordedDate"), (_END_UNKNOWN,)
    if status in _PRESENT:
        return None, ()
    return None, (_STRANGE_CLINICAL_STATUS if status else _NO_CLINICAL_STATUS,)


def _contradicts(status: str, until: date, today: date) -> bool:
    return status in _PRESENT and until <= today


def last_noted(resource: Resource, on: date | None, recorded: str) -> date:
    """The last day on which something that has ended was noted in the record.

    The end is not known; this day is the least that is certain, and it is in the past, so what
    has ended never counts as present.
    """
    today = resource.reader.today
    noted = elements.when(resource.json, recorded)
    changed = elements.item(resource.json, "meta")
    days = [on, noted.first if noted else None]
    known = [day for day in days if day is not None and day <= today]
    if known:
        return max(known)
    found: When | None = elements.when(changed, "lastUpdated") if changed else None
    return min(found.first, today) if found else today


# -- procedures -------------------------------------------------------------------------------


def procedure(resource: Resource) -> None:
    """The fact of one Procedure: true from the day on which it was done."""
    json = resource.json
    doubts = judged(resource, "status", PROCEDURE_STATUSES)
    spoken = elements.coded_item(json, "code")
    if spoken == elements.NOTHING_CODED:
        raise Odd("code")
    target = said_to_be(spoken, ("procedure.",))
    on, dated = begins(
        elements.when(json, "performedDateTime")
        or next((w for w in elements.period(json, "performedPeriod") if w), None)
    )
    details: dict[str, float | str] = {}
    if on is None and (aged := _by_age(resource, "performed")):
        on, dated = aged, (_BY_AGE,)
    if on is None and (text := elements.word(json, "performedString")):
        details["performed"] = elements.clipped(text, 80)
    _present(resource, target or OTHER_PROCEDURE, spoken, on, None, doubts + dated, details)


# -- allergies --------------------------------------------------------------------------------


def allergy(resource: Resource) -> None:
    """The fact of one AllergyIntolerance, with the medicine and its class where it is one."""
    json = resource.json
    doubts = judged(resource, "verificationStatus", CONDITION_VERIFICATION)
    spoken = elements.coded_item(json, "code")
    if spoken == elements.NOTHING_CODED:
        spoken = next(
            (s for r in elements.items(json, "reaction") if (s := _substance(r)).words),
            elements.NOTHING_CODED,
        )
    _refuse_nothing(resource, spoken, "AllergyIntolerance")
    on, dated = begins(elements.when(json, "onsetDateTime") or elements.when(json, "recordedDate"))
    status = elements.code(json, "clinicalStatus")
    until = last_noted(resource, on, "recordedDate") if status in _ENDED else None
    doubts += dated + ((_END_UNKNOWN,) if until else ())
    details: dict[str, float | str] = dict(_codes(spoken))
    if criticality := elements.word(json, "criticality"):
        details["criticality"] = elements.clipped(criticality, 40)
    medicine = medicine_in(spoken)
    if medicine is not None:
        details["medicine"] = medicine
        details["medicine_class"] = ", ".join(vocabulary.ancestors(medicine))
    target = elements.target(spoken.codings)
    if target is not None and target.id.startswith("condition."):
        resource.take(target, True, on=on, until=until, doubts=doubts)
    resource.take(
        OTHER_ALLERGY, spoken.words, on=on, until=until, doubts=doubts,
        details={k: v for k, v in details.items() if v},
    )  # fmt: skip


def _substance(reaction: Json) -> Codeable:
    return elements.coded_item(reaction, "substance")


@lru_cache(maxsize=4096)
def medicine_in(spoken: Codeable) -> str | None:
    """The medicine that a concept is, by its codes or else by a name in its words."""
    target = elements.target(spoken.codings)
    if target is not None:
        return target.id if target.id.startswith("medicine.") else None
    for text in spoken.texts:
        found = vocabulary.named_in(elements.clipped(text), "medicine.")
        if found is not None:
            return found
    return None


# -- family -----------------------------------------------------------------------------------

# HL7 v3 RoleCode (parents by birth, and where that is not said) and the SNOMED relationships.
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_MOTHERS = frozenset({(_ROLE, "MTH"), (_ROLE, "NMTH"), (SNOMED, "65656005"), (SNOMED, "72705000")})
_FATHERS = frozenset({(_ROLE, "FTH"), (_ROLE, "NFTH"), (SNOMED, "9947008"), (SNOMED, "66839005")})
_PARENTS = frozenset({(_ROLE, "PRN"), (_ROLE, "NPRN")})
_FIFTY = 50  # the age that the concept's own name states


def family(resource: Resource) -> None:
    """A hip fracture of a parent, from one FamilyMemberHistory."""
    json = resource.json
    doubts = judged(resource, "status", FAMILY_STATUSES)
    is_mother, is_parent = _relation(elements.coded_item(json, "relationship"))
    if not is_parent:
        raise Left(
            "fhir.relative_not_used", "FamilyMemberHistory: only parents are asked about so far."
        )
    on, dated = begins(elements.when(json, "date"))
    taken = False
    for one in elements.items(json, "condition"):
        target = said_to_be(elements.coded_item(one, "code"), ("fracture.",))
        if target is None or "fracture.hip" not in (target.id, *vocabulary.ancestors(target.id)):
            continue
        age = elements.item(one, "onsetAge")
        low = elements.item(elements.item(one, "onsetRange") or {}, "low")
        years = _years(age or low or {})
        more = doubts + dated + target.doubts
        if is_mother and years is not None and years > _FIFTY:
            resource.take(MOTHER_HIP, True, on=on, doubts=more)
        else:
            resource.take(PARENT_HIP, True, on=on, doubts=more)
        taken = True
    if not taken:
        raise Left(
            "fhir.family_condition_not_used",
            "FamilyMemberHistory: only a parent's hip fracture is asked about so far.",
        )


def _relation(spoken: Codeable) -> tuple[bool, bool]:
    """Whether the relative is the mother, and whether it is a parent by birth."""
    codes = {(c.system, c.code) for c in spoken.codings}
    said = {t.lower() for t in spoken.texts} if not codes else set()
    is_mother = bool(codes & _MOTHERS) or said == {"mother"}
    is_father = bool(codes & _FATHERS) or said == {"father"}
    return is_mother and not is_father, is_mother or is_father or bool(codes & _PARENTS)
