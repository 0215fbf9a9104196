"""Facts as resources: results and measurements, conditions, medicines taken, procedures done.

What is known not to be so is written so that no receiver can take it for the opposite: a denied
condition is a refuted Condition, a medicine not taken a MedicationStatement that says so. What
nobody knows is not written here at all; it is an open question of the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from endplate import vocabulary
from endplate.exchange.dosage_text import ingredients_in
from endplate.exchange.fhir import genes
from endplate.exchange.fhir.write.dosage import dosage_elements
from endplate.exchange.fhir.write.elements import (
    METHOD_SYSTEM,
    VALUE_SYSTEM,
    Draft,
    Json,
    body_site,
    coded_word,
    concept_code,
    fact_code,
    name_of,
    nameless,
    notes,
    present,
    quantity,
)
from endplate.facts import Fact
from endplate.posture import Posture
from endplate.vocabulary import FINDING_SYSTEM, LOCAL_SYSTEM, OWN_QUESTIONNAIRES

_HL7 = "http://terminology.hl7.org/CodeSystem"
_OF_THE_PERSON = frozenset({"person.sex", "person.birth_date"})
_GENDERS = frozenset({"female", "male", "other", "unknown"})
_FORMS = {
    "condition.": "Condition",
    "fracture.": "Condition",
    "medicine.": "MedicationStatement",
    "procedure.": "Procedure",
}
_CATEGORIES = {
    "lab.": "laboratory",
    "ct.": "imaging",
    "mr.": "imaging",
    "vertebra.": "imaging",
    "imaging.": "imaging",
    "gene.": "laboratory",
}
_GENE = "gene."
_RESEARCH = "Research: no dose changes by it."
_COPIES = "Copy number is not known: a deletion, a duplication or a hybrid gene would not show."
_COMPARATORS = frozenset({"<", "<=", ">", ">="})
# Details of a measurement that are in the unit of its value.
_SAME_UNIT = frozenset({"mean", "median", "sd", "minimum", "maximum"})
_ITEM = re.compile(r"questionnaire\.\w+\.item\d+")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_measured(fact: Fact) -> bool:
    """Whether the fact is a measurement of ours."""
    return (fact.method or "").startswith("endplate.")


def is_in_patient(fact: Fact) -> bool:
    """Whether the Patient resource itself says it: sex, birth date, and the age that follows."""
    return fact.what in _OF_THE_PERSON or (fact.what == "person.age" and is_measured(fact))


def patient_elements(facts: Iterable[Fact]) -> Json:
    """Sex and birth date as far as they are known; never a name."""
    said = {f.what: str(f.value) for f in facts if f.what in _OF_THE_PERSON}
    sex = said.get("person.sex")
    return present({
        "gender": sex if sex in _GENDERS else None,
        "birthDate": said.get("person.birth_date"),
    })  # fmt: skip


def fact_resource(
    draft: Draft, fact: Fact, interpretation: tuple[Json, ...] = (), *, is_derived: bool = False
) -> Json:
    """Write one fact and return the reference to it.

    Parameters
    ----------
    draft
        The bundle that is being written.
    fact
        What is known.
    interpretation
        What findings make of its value, for an Observation.
    is_derived
        It was computed from other facts, and is computed anew by whoever reads them.
    """
    if is_in_patient(fact):
        return draft.patient
    form = _form(fact)
    if form == "Condition":
        return _condition(draft, fact)
    if form == "MedicationStatement":
        return _medication(draft, fact)
    if form == "Procedure":
        return _procedure(draft, fact)
    return _observation(draft, fact, interpretation, is_derived)


def _form(fact: Fact) -> str:
    """The kind of resource: presence has kinds of its own, all else is an Observation."""
    is_presence = isinstance(fact.value, bool) or fact.what.endswith(".other")
    form = next((f for prefix, f in _FORMS.items() if fact.what.startswith(prefix)), "")
    if is_presence and form:
        return form
    # An Observation cannot say that something has ended, a Condition can.
    return "Condition" if fact.value is True and fact.until is not None else "Observation"


def is_there(fact: Fact, on: date) -> bool:
    """Whether the fact says that something is so, and still is on the day."""
    return fact.value is not False and not (fact.until is not None and fact.until <= on)


# -- forms that were filled in ----------------------------------------------------------------


def filled_forms(facts: Iterable[Fact]) -> dict[Fact, tuple[Fact, ...]]:
    """The answers to a form that belong together, of one day and source, for each of them.

    A doubtful answer needs the words of an Observation, and so do those beside it.
    """
    found: dict[tuple[str, date | None, str], list[Fact]] = {}
    for fact in facts:
        if _ITEM.fullmatch(fact.what):
            form = fact.what.rpartition(".")[0]
            found.setdefault((form, fact.on, fact.source), []).append(fact)
    return {
        fact: tuple(group)
        for group in found.values()
        if len({f.what for f in group}) == len(group) > 1 and not any(f.doubts for f in group)
        for fact in group
    }


def questionnaire_response(draft: Draft, answers: tuple[Fact, ...]) -> Json:
    """The answers to one form as a QuestionnaireResponse, each under its concept's id."""
    form = answers[0].what.rpartition(".")[0].partition(".")[2]
    return draft.add(
        "QuestionnaireResponse",
        questionnaire=f"{OWN_QUESTIONNAIRES}{form}",
        status="completed",
        subject=draft.patient,
        authored=_day(answers[0]),
        item=[{"linkId": f.what, "text": name_of(f.what), "answer": [_answer(f)]} for f in answers],
    )


def _answer(fact: Fact) -> Json:
    if isinstance(fact.value, bool):
        return {"valueBoolean": fact.value}
    whole = int(fact.number)
    return {"valueInteger": whole} if whole == fact.number else {"valueDecimal": fact.number}


# -- what there is, and what there is not -----------------------------------------------------


def _words(fact: Fact) -> Json:
    """The code of a presence; what the vocabulary does not know keeps the record's own words."""
    return {"text": fact.value} if isinstance(fact.value, str) else fact_code(fact)


def _remarks(fact: Fact) -> list[Json]:
    denied = "On record as not so." if fact.value is False else ""
    doubts = f"Doubtful: {'; '.join(fact.doubts)}." if fact.doubts else ""
    return notes(denied, doubts, f"Source: {nameless(fact.source)}." if fact.source else "")


def _day(fact: Fact) -> str | None:
    return fact.on.isoformat() if fact.on else None


def _period(fact: Fact) -> Json:
    return present({"start": _day(fact), "end": fact.until.isoformat() if fact.until else None})


def _condition(draft: Draft, fact: Fact) -> Json:
    denied = fact.value is False
    ended = not denied and not is_there(fact, draft.on)
    verification = "refuted" if denied else "unconfirmed" if fact.doubts else ""
    clinical = "" if denied else "inactive" if ended else "active"
    site = body_site(draft, fact)
    return draft.add(
        "Condition",
        clinicalStatus=_status(f"{_HL7}/condition-clinical", clinical),
        verificationStatus=_status(f"{_HL7}/condition-ver-status", verification),
        code=_words(fact),
        bodySite=[site] if site else None,
        subject=draft.patient,
        onsetDateTime=None if denied else _day(fact),
        recordedDate=_day(fact) if denied else None,
        abatementDateTime=fact.until.isoformat() if fact.until and ended else None,
        note=_remarks(fact),
    )


def _status(system: str, code: str) -> Json | None:
    return {"coding": [{"system": system, "code": code}]} if code else None


def _medication(draft: Draft, fact: Fact) -> Json:
    denied = fact.value is False
    status = "not-taken" if denied else "active" if is_there(fact, draft.on) else "completed"
    return draft.add(
        "MedicationStatement",
        status=status,
        medicationCodeableConcept=_product(fact),
        subject=draft.patient,
        effectiveDateTime=_day(fact) if denied else None,
        effectivePeriod=None if denied else _period(fact),
        dosage=None if denied else dosage_elements(fact),
        note=_remarks(fact),
    )


def _product(fact: Fact) -> Json:
    """The ingredient, under the words for the product where these name no other medicine."""
    code = _words(fact)
    product = str(fact.details.get("product", ""))
    return {**code, "text": product} if ingredients_in(product) == (fact.what,) else code


def _procedure(draft: Draft, fact: Fact) -> Json:
    site = body_site(draft, fact)
    return draft.add(
        "Procedure",
        status="not-done" if fact.value is False else "completed",
        code=_words(fact),
        bodySite=[site] if site else None,
        subject=draft.patient,
        performedDateTime=_day(fact),
        note=_remarks(fact),
    )


# -- results ----------------------------------------------------------------------------------


def _observation(
    draft: Draft, fact: Fact, interpretation: tuple[Json, ...], is_derived: bool
) -> Json:
    measured = is_measured(fact)
    usable = not (measured and fact.details.get("usable") == "no")
    return draft.add(
        "Observation",
        # Nobody has confirmed a measurement of ours yet.
        status="preliminary" if measured or fact.doubts else "final",
        category=_category(fact.what),
        code=_code(fact, is_derived),
        subject=draft.patient,
        effectiveDateTime=None if fact.until else _day(fact),
        effectivePeriod=_period(fact) if fact.until else None,
        **(_value(fact) if usable else {}),
        interpretation=list(interpretation) if usable else None,
        note=[
            *_remarks(fact),
            *notes("" if usable else "Not usable for an assessment: its value is a component."),
            *_gene_remarks(fact),
        ],
        bodySite=body_site(draft, fact),
        method=coded_word(METHOD_SYSTEM, fact.method, fact.method) if fact.method else None,
        device=draft.device if measured else None,
        component=[*_components(fact), *([] if usable else [_part("not_usable", _value(fact))])],
    )


def _code(fact: Fact, is_derived: bool) -> Json:
    code = concept_code(fact.what) if isinstance(fact.value, bool) else fact_code(fact)
    # A standard code asks for an answer of its own list, and one of a finding reads as a yes.
    if fact.what.startswith(_GENE) and not isinstance(fact.value, bool):
        name = genes.METABOLISM if fact.what.endswith(".phenotype") else genes.GENOTYPE
        if not fact.what.endswith(".activity_score"):
            code["coding"].insert(0, genes.coding("code", name))
    if is_derived:
        code["coding"].append({"system": FINDING_SYSTEM, "code": f"{fact.what}#derived"})
    return code


def _category(what: str) -> list[Json] | None:
    for prefix, category in _CATEGORIES.items():
        if what.startswith(prefix):
            usual = {"coding": [{"system": f"{_HL7}/observation-category", "code": category}]}
            return [usual, GENETICS] if prefix == _GENE else [usual]
    return None


GENETICS = {"coding": [genes.coding("code", genes.GENETICS)]}


def gene_studied(symbol: str) -> Json:
    """The component that names the gene, as Genomics Reporting has it."""
    gene = genes.coding("gene", symbol)
    return {
        "code": {"coding": [genes.coding("code", genes.GENE_STUDIED)]},
        "valueCodeableConcept": present({"coding": [gene] if gene else [], "text": symbol}),
    }


def _gene_remarks(fact: Fact) -> list[Json]:
    if not fact.what.startswith(_GENE):
        return []
    copies = _COPIES if fact.details.get("copy_number") == "unknown" else ""
    return notes(copies, _RESEARCH if genes.is_research(fact.what) else "")


def phenotype_value(phenotype: str) -> Json:
    """A phenotype in our own word, and in that of LOINC's list where it has the same."""
    value = coded_word(VALUE_SYSTEM, phenotype)
    if code := genes.coding("phenotype", phenotype):
        value["coding"].insert(0, code)
    return {"valueCodeableConcept": value}


def _gene_value(fact: Fact) -> Json:
    if fact.what.endswith(".phenotype"):
        return phenotype_value(str(fact.value))
    return {"valueCodeableConcept": {"text": genes.named(fact.what, str(fact.value))}}


def _value(fact: Fact) -> Json:
    """The value[x] of a fact, by what the value is and what its concept asks for."""
    value = fact.value
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int | float):
        sign = str(fact.details.get("comparator", ""))
        return {"valueQuantity": quantity(value, fact.unit, sign if sign in _COMPARATORS else "")}
    known = vocabulary.concepts().get(fact.what)
    kind = known.kind if known else "text"
    if fact.what.startswith(_GENE):
        return _gene_value(fact)
    if kind == "category":
        return {"valueCodeableConcept": coded_word(VALUE_SYSTEM, value)}
    if kind == "date" and _ISO_DATE.fullmatch(value):
        return {"valueDateTime": value}
    return {"valueString": value}


def _components(fact: Fact) -> list[Json]:
    """The error, the posture, and the further numbers and words of a measurement."""
    is_gene = fact.what.startswith(_GENE)
    parts = [gene_studied(genes.symbol_of(fact.what))] if is_gene else []
    if fact.interval is not None:
        low, high = (quantity(bound, fact.unit) for bound in fact.interval)
        parts.append(_part("interval_95", {"valueRange": {"low": low, "high": high}}))
    if fact.posture not in (None, Posture.UNKNOWN):
        parts.append(_part("posture", {"valueString": str(fact.posture)}))
    if is_measured(fact) or is_gene:
        parts += [
            _part(name, _detail(fact, name, v)) for name, v in fact.details.items() if v != ""
        ]
    return parts


def _part(name: str, value: Mapping[str, Any]) -> Json:
    """One component under a code that is no concept, so that nobody reads it as a result."""
    return {"code": coded_word(LOCAL_SYSTEM, f"detail.{name}", name.replace("_", " ")), **value}


def _detail(fact: Fact, name: str, value: float | str) -> Json:
    if isinstance(value, str):
        return {"valueString": value}
    unit = fact.unit if name in _SAME_UNIT else _imaging_unit(name)
    return {"valueQuantity": quantity(value, unit)}


def _imaging_unit(name: str) -> str:
    """The unit of a detail that is itself a concept of imaging, such as the tube voltage."""
    there = vocabulary.concepts()
    found = (there.get(f"imaging{kind}.{name}") for kind in ("", ".ct", ".mr"))
    return next((concept.unit for concept in found if concept), "")
