"""Observations: laboratory results, vital signs, densitometry, answers such as smoking.

Most results in a record are of codes that no rule asks for; those are only counted.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from math import isfinite

from endplate.exchange.fhir import genes
from endplate.exchange.fhir.read import elements, genomics
from endplate.exchange.fhir.read.elements import TARGETS, Codeable, Json, Odd, Target, When
from endplate.exchange.fhir.read.resource import (
    ENTERED_IN_ERROR,
    Left,
    Resource,
    Statuses,
    judged,
)
from endplate.exchange.fhir.read.site import NOWHERE, Place, densitometry, is_densitometry, place
from endplate.exchange.fhir.read.value import Found, Refused, is_plain_unit, value_of
from endplate.posture import Posture
from endplate.vocabulary import FINDING_SYSTEM, concept
from endplate.vocabulary import LOCAL_SYSTEM as OURS

STATUSES = Statuses(
    fine=frozenset({"final", "amended", "corrected"}),
    doubtful={
        "preliminary": "a preliminary result",
        "registered": "a result that is only registered",
        "unknown": "its status is given as unknown",
    },
    left={**ENTERED_IN_ERROR, "cancelled": "was cancelled"},
)
# The elements of a usual result: what they say is read in `_taken_as_usual`, or by nobody.
_USUAL = frozenset({
    "resourceType", "id", "meta", "status", "category", "code", "subject", "encounter",
    "effectiveDateTime", "issued", "valueQuantity",
})  # fmt: skip
MEASURED = ("person.", "lab.", "bone.", "imaging.", "ct.", "mr.", "vertebra.", "gene.")
_OTHER_MATERIAL = re.compile(
    r"urin|csf|spinal fluid|liquor|stool|faec|fec|saliva|synovial|sweat|aspirat", re.IGNORECASE
)
NO_DATE = "has no date"
_BY_ISSUE = "dated by the day on which it was issued"
_OF_REPORT = "dated by the report that holds it"
_GENETIC = genes.shared_codes()
_MANUFACTURER = Target(concept("bone.dxa_manufacturer"))
_SCANNERS = {"hologic": "hologic", "lunar": "ge_lunar", "norland": "norland"}


def observation(resource: Resource) -> None:
    """The facts of one Observation and of its components."""
    if _taken_as_usual(resource):
        return
    json = resource.json
    if _is_own_finding(json):
        raise Left("fhir.own_finding", "Observation: a finding of Endplate; made anew from facts.")
    target = coded(json)
    parts = json.get("component")
    is_genetic = genomics.concerns(json, target)
    if target is None and not parts and not is_genetic:
        resource.reader.count_unmapped("Observation", json.get("code"))
        return
    doubts = judged(resource, "status", STATUSES)
    if "focus" in json:
        _refuse_another(resource)
    on, dated = effective(resource)
    doubts += dated
    if is_genetic:
        genomics.genetic(resource, target, on, doubts)
        return
    is_panel = bool(parts or json.get("hasMember"))
    if target is not None:
        _part(resource, json, "", target, on, doubts, is_panel=is_panel)
    known = target is not None
    for n, part in enumerate(elements.items(json, "component") if parts else ()):
        known |= _part(resource, part, f"component[{n}].", None, on, doubts)
    if not known:
        resource.reader.count_unmapped("Observation", json.get("code"))


def _is_own_finding(json: Json) -> bool:
    try:
        return any(one.get("system") == FINDING_SYSTEM for one in json["code"]["coding"])
    except (KeyError, TypeError, AttributeError):
        return False  # damage, which is met below


def _taken_as_usual(resource: Resource) -> bool:
    """Take a finished result of one code, one number and one day, as nine in ten are.

    It takes what the patient path below would take, sooner; False, and nothing taken, where
    there is anything else to be looked at.
    """
    json = resource.json
    if not json.keys() <= _USUAL:
        return False
    try:
        (one,) = json["code"]["coding"]
        target = TARGETS[one["system"], one["code"]]
        there = elements.days(json["effectiveDateTime"][:10])
        quantity = json["valueQuantity"]
        value, unit = quantity["value"], quantity["code"]
        usual = (
            json["status"] in STATUSES.fine
            and target is not None
            and target.concept.kind == "number"
            and there is not None
            and not there.doubts
            and json["effectiveDateTime"][10:11] in ("", "T")
            and (value.__class__ is float or value.__class__ is int)
            and isfinite(value)
            and unit == quantity["unit"]
            and is_plain_unit(unit)
            and "comparator" not in quantity
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    if not usual or target is None or there is None or target.id.endswith(".site_unknown"):
        return False
    resource.take(target, value, unit=unit, on=there.first)
    return True


def _refuse_another(resource: Resource) -> None:
    """Leave a result aside that is about somebody or something else than its subject."""
    for one in elements.items(resource.json, "focus"):
        pointing = elements.reference({"focus": one}, "focus")
        if pointing is None or pointing.key != f"Patient/{resource.person.key}":
            raise Left(
                "fhir.about_another",
                "Observation: is about somebody or something else than its subject; not used.",
            )


def _part(
    resource: Resource,
    holder: Json,
    name: str,
    target: Target | None,
    on: date | None,
    doubts: tuple[str, ...],
    *,
    is_panel: bool = False,
) -> bool:
    """The result itself or one component; what is wrong with one does not cost the others.

    False where its code is not in the vocabulary.
    """
    try:
        target = target or coded(holder)
        if target is None:
            return False
        _result(resource, holder, target, on, doubts, is_panel)
    except Odd as odd:
        resource.problem(
            "fhir.element_not_usable",
            f"Observation.{name}{odd}: cannot be used as it is; the result was not used.",
        )
    except Left as left:
        resource.leave(left.id, left.says)
    return True


def is_unmapped(json: Json) -> bool:
    """Whether an Observation is plainly of a code that no rule asks for; most of a record is."""
    try:
        (one,) = json["code"]["coding"]
        system, code, parts = one["system"], one["code"], json.get("component")
        return (
            TARGETS[system, code] is None
            and system in elements.STANDARD
            and code.__class__ is str
            and (system, code) not in _GENETIC
            and (not parts or all(map(is_unmapped, parts)))
        )
    except (KeyError, TypeError, ValueError):
        return False


def coded(holder: Json) -> Target | None:
    """What the code of an Observation or component stands for in the vocabulary, if anything."""
    value = holder.get("code")
    try:
        (one,) = value["coding"]  # type: ignore[index]
        hit = TARGETS[one["system"], one["code"]]
        if hit is not None or one["system"] in elements.STANDARD:
            return hit
    except (KeyError, TypeError, ValueError):
        pass  # not the usual shape: read with more patience below
    spoken = elements.codeable(value, "code")
    if spoken == elements.NOTHING_CODED:
        raise Odd("code")
    return elements.target(spoken.codings) or _by_name(holder, spoken)


def _by_name(holder: Json, spoken: Codeable) -> Target | None:
    """What a result of a local code is by its name, unless it was measured in another material."""
    specimen = holder.get("specimen")
    words = specimen.get("display") if specimen.__class__ is dict else specimen
    if words and _OTHER_MATERIAL.search(str(words)):
        return None
    return elements.named(spoken, MEASURED, trust_codes=True)


def _result(
    resource: Resource,
    holder: Json,
    target: Target,
    on: date | None,
    doubts: tuple[str, ...],
    is_panel: bool,
) -> None:
    """One coded value as a fact, or the reason why it is none."""
    asked = target.concept
    try:
        found = value_of(holder, asked)
    except Refused as refused:
        resource.problem(refused.id, f"{asked.name}: {refused.says}")
        return
    if found is None:
        _without_value(resource, holder, target, is_panel)
        return
    json = resource.json
    body = _body(json)
    if is_densitometry(asked):
        target = _at_site(json, holder, target, body)
        if "device" in json:
            _scanner(resource, on, doubts)
    interval, posture = _error_and_posture(holder) if "component" in holder else (None, None)
    resource.take(
        target, found.value, unit=found.unit, on=on, level=body.level, side=body.side,
        doubts=doubts + found.doubts, details=_details(json, holder, found, body),
        interval=interval, posture=posture,
    )  # fmt: skip


def _without_value(resource: Resource, holder: Json, target: Target, is_panel: bool) -> None:
    name = target.concept.name
    if holder.get("dataAbsentReason"):
        resource.leave("fhir.result_absent", f"{name}: the record says that there is no result.")
    elif is_panel:
        resource.leave("fhir.panel", f"{name}: a panel without a value; its parts are read.")
    else:
        resource.problem("fhir.no_value", f"{name}: has no value.")


# -- date -------------------------------------------------------------------------------------


def effective(resource: Resource) -> tuple[date | None, tuple[str, ...]]:
    """The day of the result, and what is doubtful of it."""
    json = resource.json
    found = elements.when(json, "effectiveDateTime")
    if found is None and "effectivePeriod" in json:
        found = next((w for w in elements.period(json, "effectivePeriod") if w), None)
    if found is None:
        found = elements.when(json, "effectiveInstant") or _timing(json)
    if found is not None:
        return found.first, found.doubts
    found = elements.when(json, "issued")
    if found is not None:
        return found.first, (*found.doubts, _BY_ISSUE)
    if resource.parent is not None:
        on, doubts = effective(resource.parent)
        if on is not None:
            return on, (*doubts, _OF_REPORT)
    return None, (NO_DATE,)


def _timing(json: Json) -> When | None:
    there = elements.item(json, "effectiveTiming")
    if there is None:
        return None
    events = there.get("event")
    if events.__class__ is list and events:
        return elements.when({"event": events[0]}, "event")
    repeat = elements.item(there, "repeat")
    return elements.period(repeat, "boundsPeriod")[0] if repeat else None


# -- site and further details -----------------------------------------------------------------


def _body(json: Json) -> Place:
    return place(elements.coded_item(json, "bodySite")) if "bodySite" in json else NOWHERE


def _at_site(json: Json, holder: Json, target: Target, body: Place) -> Target:
    if body is NOWHERE and not target.id.endswith("site_unknown"):
        return target  # the code alone says the site
    method = elements.coded_item(json, "method")
    words = (*elements.coded_item(holder, "code").texts, *method.texts)
    return densitometry(target, body, words)


def _details(json: Json, holder: Json, found: Found, body: Place) -> dict[str, float | str] | None:
    if not (found.details or body.text or "interpretation" in holder or "method" in json):
        return None
    details = dict(found.details or {})
    for name, there in (("interpretation", holder), ("method", json)):
        if name in there:
            said = elements.coded_items(there, name)
            if said:
                details[name] = "; ".join(_short(one) for one in said)
    if body.text and body.level is None:
        details["site"] = body.text
    return details


def _error_and_posture(json: Json) -> tuple[tuple[float, float] | None, Posture | None]:
    """The components in which an Observation of ours carries the error and the posture."""
    interval = posture = None
    for part in elements.items(json, "component"):
        with suppress(Odd):  # the value stands without them
            said = {c.code for c in elements.coded_item(part, "code").codings if c.system == OURS}
            if "detail.interval_95" in said:
                interval = _bounds(elements.item(part, "valueRange") or {})
            elif "detail.posture" in said:
                word = elements.word(part, "valueString")
                posture = Posture(word) if word in set(Posture) else None
    return interval, posture


def _bounds(given: Json) -> tuple[float, float] | None:
    low, high = (
        elements.number(elements.item(given, end) or {}, "value") for end in ("low", "high")
    )
    return None if low is None or high is None else (low, high)


def _short(spoken: Codeable) -> str:
    return (spoken.codings[0].code if spoken.codings else "") or spoken.words


def _scanner(resource: Resource, on: date | None, doubts: tuple[str, ...]) -> None:
    """The manufacturer of the DXA scanner, where the device of a result names it."""
    there = resource.json.get("device")
    pointing = elements.reference(resource.json, "device")
    words = elements.word(there, "display") if there.__class__ is dict else ""
    device = resource.found(pointing) if pointing else None
    if device is not None:
        words += " " + elements.word(device, "manufacturer")
    makers = {name for word, name in _SCANNERS.items() if word in words.lower()}
    if len(makers) == 1:
        resource.take(_MANUFACTURER, makers.pop(), on=on, doubts=doubts)
