"""Reports, questionnaires, imaging and implants: what other resources hold besides results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from endplate import vocabulary
from endplate.exchange.fhir.forms import Form
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd, Target
from endplate.exchange.fhir.read.history import last_noted, said_to_be
from endplate.exchange.fhir.read.observation import NO_DATE, effective
from endplate.exchange.fhir.read.resource import (
    ENTERED_IN_ERROR,
    Left,
    Resource,
    Statuses,
    begins,
    ends,
    judged,
)
from endplate.exchange.fhir.read.site import NOWHERE
from endplate.exchange.fhir.read.value import Refused, value_of
from endplate.vocabulary import LOCAL_SYSTEM, OWN_QUESTIONNAIRES, concept

REPORT_STATUSES = Statuses(
    fine=frozenset({"final", "amended", "corrected", "appended"}),
    doubtful={
        "registered": "a report that is only registered",
        "partial": "a report that is not complete",
        "preliminary": "a preliminary report",
        "unknown": "its status is given as unknown",
    },
    left={**ENTERED_IN_ERROR, "cancelled": "was cancelled"},
)
ANSWER_STATUSES = Statuses(
    fine=frozenset({"completed", "amended"}),
    doubtful={
        "in-progress": "a questionnaire that was not finished",
        "stopped": "a questionnaire that was broken off",
    },
    left=ENTERED_IN_ERROR,
)
IMAGING_STATUSES = Statuses(
    fine=frozenset({"available"}),
    doubtful={"unknown": "its status is given as unknown"},
    left={**ENTERED_IN_ERROR, "registered": "has no images yet", "cancelled": "was cancelled"},
)
USE_STATUSES = Statuses(
    fine=frozenset({"active", "completed", "stopped"}),
    doubtful={"on-hold": "on hold"},
    left={**ENTERED_IN_ERROR, "intended": "is intended and was not begun"},
)
DEVICE_STATUSES = Statuses(
    fine=frozenset({"active", ""}),
    doubtful={"inactive": "given as no longer in use", "unknown": "its status is unknown"},
    left=ENTERED_IN_ERROR,
)

CONCLUSION = Target(concept("report.conclusion"))
RESPONSE = Target(concept("questionnaire.response"))
SERIES = Target(concept("imaging.series"))
OTHER_DEVICE = Target(concept("device.other"))
_MOST_ANSWERS = 500
_LONGEST_ANSWER = 200
_DICOM_UID = "urn:oid:"
_END_UNKNOWN = "it is no longer in use, the record does not say since when"


# -- reports ----------------------------------------------------------------------------------


def report(resource: Resource) -> None:
    """The conclusion of one DiagnosticReport, and the results that stand inside it."""
    json = resource.json
    doubts = judged(resource, "status", REPORT_STATUSES)
    for one in elements.items(json, "result"):
        pointing = elements.reference({"result": one}, "result")
        if pointing is None:
            continue
        inside = resource.found(pointing) if pointing.text.startswith("#") else None
        if inside is not None:
            resource.reader.read_inside(inside, resource)
        else:
            resource.reader.expect(pointing)
    if elements.items(json, "presentedForm"):
        resource.leave("fhir.attachment", "DiagnosticReport: an attached document is not read.")
    text = elements.word(json, "conclusion")
    coded = "; ".join(c.words for c in elements.coded_items(json, "conclusionCode"))
    if not text and not coded:
        return
    on, dated = effective(resource)
    details: dict[str, float | str] = {"report": elements.coded_item(json, "code").words}
    if coded and text:
        details["conclusion_codes"] = elements.clipped(coded)
    resource.take(
        CONCLUSION, elements.clipped(text or coded, 4 * elements.LONGEST_TEXT), on=on,
        doubts=doubts + dated, details={k: v for k, v in details.items() if v},
    )  # fmt: skip


# -- questionnaires ---------------------------------------------------------------------------


def response(resource: Resource) -> None:
    """One fact with all answers of a QuestionnaireResponse, and a fact for each known question."""
    json = resource.json
    doubts = judged(resource, "status", ANSWER_STATUSES)
    on, dated = begins(elements.when(json, "authored"))
    doubts += dated if on else (NO_DATE,)
    asked = _questions(resource)
    answers: dict[str, float | str] = {}
    form = resource.reader.forms.get(elements.word(json, "questionnaire").partition("|")[0])
    for question, given in _answered(json):
        name = elements.word(question, "linkId")
        for one in given:
            said = _short(one)
            if said is not None and len(answers) < _MOST_ANSWERS:
                answers[name] = f"{answers[name]}; {said}" if name in answers else said
        linked = form.concept(name) if form else None
        coded, wording = asked.get(name, (elements.NOTHING_CODED, ""))
        target = Target(concept(linked)) if linked else _question(question, coded)
        if target is not None and len(given) == 1:
            wording = elements.word(question, "text") or wording
            answer = _numbered(given[0], target, form)
            _answer(resource, answer, target, on, doubts, wording if _is_item(target) else "")
    if elements.word(json, "questionnaire").startswith(OWN_QUESTIONNAIRES):
        return  # each of its answers is a fact already
    resource.take(
        RESPONSE, elements.clipped(elements.word(json, "questionnaire"), 200) or "questionnaire",
        on=on, doubts=doubts, details=answers,
    )  # fmt: skip


def _answered(holder: Json) -> Iterator[tuple[Json, list[Json]]]:
    """Every item that has answers, with them; items stand in items and in answers."""
    waiting = [holder]
    while waiting:
        one = waiting.pop()
        for child in elements.items(one, "item"):
            given = elements.items(child, "answer")
            if given:
                yield child, given
            waiting += [child, *given]


def _short(answer: Json) -> float | str | None:
    kinds = [name for name in answer if name[:5] == "value"]
    if len(kinds) != 1:
        return None
    kind = kinds[0]
    if kind in ("valueDecimal", "valueInteger"):
        return elements.number(answer, kind)
    if kind == "valueQuantity":
        there = elements.item(answer, kind) or {}
        value = elements.number(there, "value")
        unit = elements.word(there, "code") or elements.word(there, "unit")
        return None if value is None else f"{value:g} {unit}".strip()
    if kind == "valueCoding":
        spoken = elements.coded_item(answer, kind)
        return elements.clipped(spoken.words, _LONGEST_ANSWER) or None
    if kind == "valueBoolean":
        said = elements.flag(answer, kind)
        return None if said is None else str(said).lower()
    if kind in ("valueAttachment", "valueReference"):
        return None
    return elements.clipped(elements.word(answer, kind), _LONGEST_ANSWER) or None


def _questions(resource: Resource) -> dict[str, tuple[Codeable, str]]:
    """Code and wording of each question by linkId, where the Questionnaire is in the record."""
    text = elements.word(resource.json, "questionnaire").partition("|")[0]
    form = resource.found(elements.parted(text)) if text else None
    found: dict[str, tuple[Codeable, str]] = {}
    waiting = [form] if form is not None else []
    while waiting:
        for child in elements.items(waiting.pop(), "item"):
            codings = {"coding": elements.items(child, "code")}
            found[elements.word(child, "linkId")] = (
                elements.codeable(codings, "code"), elements.word(child, "text"),
            )  # fmt: skip
            waiting.append(child)
    return found


def _question(question: Json, coded: Codeable) -> Target | None:
    """The concept that a question asks for: by its codes, its linkId or its definition."""
    name = elements.word(question, "linkId").lstrip("/")
    base, _, fragment = elements.word(question, "definition").rpartition("#")
    codings = (
        *coded.codings,
        *(
            elements.Coding(system, one, "")
            for system, one in (
                (LOCAL_SYSTEM, name),
                (vocabulary.CODE_SYSTEMS["loinc"], name),
                (base, fragment),
            )
            if one
        ),
    )
    return elements.target(codings)


def _is_item(target: Target) -> bool:
    """Whether it is an item of an instrument, of which Endplate has no wording of its own."""
    return target.id.startswith("questionnaire.") and ".item" in target.id


def _numbered(answer: Json, target: Target, form: Form | None) -> Json:
    """The answer to an item of an instrument by its number, where it has or is given one.

    A coded answer carries its number as FHIR's ordinal value, or the clinic's map gives it.
    """
    asked = target.concept
    if not _is_item(target):
        return answer
    number = elements.number(answer, "valueInteger")
    if number is None:
        number = elements.number(answer, "valueDecimal")
    coding = elements.item(answer, "valueCoding")
    if coding is not None:
        number = _ordinal(coding)
        if form is not None:
            code, system = elements.word(coding, "code"), elements.word(coding, "system")
            number = form.answers.get(f"{system}|{code}", form.answers.get(code, number))
    if number is None:
        return answer
    if asked.kind == "yes_no":
        return {"valueBoolean": number == 1} if number in (0, 1) else answer
    return {"valueDecimal": number}


def _ordinal(coding: Json) -> float | None:
    for extension in elements.items(coding, "extension"):
        if elements.word(extension, "url").endswith("ordinalValue"):
            return elements.number(extension, "valueDecimal")
    return None


def _answer(
    resource: Resource, answer: Json, target: Target, on: Any, doubts: tuple[str, ...],
    wording: str = "",
) -> None:  # fmt: skip
    try:
        found = value_of(answer, target.concept)
    except Refused as refused:
        resource.problem(refused.id, f"{target.concept.name}: {refused.says}")
        return
    except Left as left:
        resource.leave(left.id, left.says)
        return
    if found is not None:
        resource.take(
            target, found.value, unit=found.unit, on=on, doubts=doubts + found.doubts,
            details={**(found.details or {}), **_question_in_words(wording)},
        )  # fmt: skip


def _question_in_words(wording: str) -> dict[str, float | str]:
    """The wording that the clinic's own form has for an item, for whoever reads the plan."""
    return {"question": elements.clipped(wording, _LONGEST_ANSWER)} if wording else {}


# -- imaging ----------------------------------------------------------------------------------


def imaging(resource: Resource) -> None:
    """One fact for each series of an ImagingStudy."""
    json = resource.json
    doubts = judged(resource, "status", IMAGING_STATUSES)
    begun = elements.when(json, "started")
    study: dict[str, float | str] = {}
    for identifier in elements.identifiers(json):
        value = identifier.partition("|")[2]
        if value.startswith(_DICOM_UID):
            study["study_uid"] = elements.clipped(value.removeprefix(_DICOM_UID), 80)
    words = elements.word(json, "description")
    for one in elements.items(json, "series") or [{}]:
        modality = elements.code(one, "modality") or _modalities(json)
        body = elements.coded_item(one, "bodySite").words
        said = elements.word(one, "description") or words
        details = {**study, "modality": modality.upper()}
        if uid := elements.word(one, "uid"):
            details["series_uid"] = elements.clipped(uid, 80)
        if count := elements.number(one, "numberOfInstances"):
            details["instances"] = count
        on, dated = begins(elements.when(one, "started") or begun)
        value = ", ".join(p for p in (modality.upper(), body, said) if p)
        resource.take(
            SERIES, elements.clipped(value or "series", 200), on=on, doubts=doubts + dated,
            details={k: v for k, v in details.items() if v},
        )  # fmt: skip


def _modalities(json: Json) -> str:
    return "/".join(
        c.code for m in elements.coded_items(json, "modality") for c in m.codings[:1] if c.code
    )


# -- implants ---------------------------------------------------------------------------------


def device_use(resource: Resource) -> None:
    """The fact of one DeviceUseStatement: an implant or aid in use from a day on."""
    json = resource.json
    doubts = judged(resource, "status", USE_STATUSES)
    found, words = resource.referred("device")
    spoken = _device(found) if found is not None else Codeable((), words)
    if not spoken.words:
        raise Odd("device")
    start, end = elements.period(json, "timingPeriod")
    on, dated = begins(start or elements.when(json, "timingDateTime"))
    today = resource.reader.today
    until, closed = ends(end, today)
    is_over = elements.code(json, "status") in ("completed", "stopped")
    if is_over and (until is None or until > today):
        until, closed = last_noted(resource, on, "recordedOn"), (_END_UNKNOWN,)
    site = next(iter(resource.places()), NOWHERE)
    target = said_to_be(spoken, ("procedure.",)) or OTHER_DEVICE
    resource.take(
        target, spoken.words if target.concept.kind == "text" else True, on=on, until=until,
        level=site.level, side=site.side, doubts=doubts + dated + closed,
        details={"site": site.text} if site.text and not site.level else None,
    )  # fmt: skip


def device(resource: Resource) -> None:
    """The fact of one Device that is said to be the person's own."""
    if elements.reference(resource.json, "patient") is None:
        raise Left("fhir.device_of_nobody", "Device: is not said to be a person's; not used.")
    doubts = judged(resource, "status", DEVICE_STATUSES)
    spoken = _device(resource.json)
    if not spoken.words:
        raise Odd("type")
    target = said_to_be(spoken, ("procedure.",)) or OTHER_DEVICE
    resource.take(target, spoken.words if target.concept.kind == "text" else True, doubts=doubts)


def _device(json: Json) -> Codeable:
    spoken = elements.coded_item(json, "type")
    if spoken.words:
        return spoken
    names = [elements.word(one, "name") for one in elements.items(json, "deviceName")]
    names += [elements.word(json, "modelNumber")]
    return Codeable((), next((n for n in names if n), ""))


HANDLERS: dict[str, Callable[[Resource], None]] = {
    "DiagnosticReport": report,
    "QuestionnaireResponse": response,
    "ImagingStudy": imaging,
    "DeviceUseStatement": device_use,
    "Device": device,
}
