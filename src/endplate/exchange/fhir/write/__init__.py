"""Writing FHIR R4 (4.0.1): the record, the findings and the care plan as one Bundle.

A rendering of the findings like any other: it adds nothing, leaves no finding out, and says of
every resource that it is decision support which nobody has confirmed yet. The same input gives
the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import orjson

from endplate import codec
from endplate.exchange.fhir.write import findings as findings_as
from endplate.exchange.fhir.write.elements import (
    SOURCE_SYSTEM,
    USE_SYSTEM,
    Draft,
    Json,
    digest,
    nameless,
    present,
)
from endplate.exchange.fhir.write.facts import (
    fact_resource,
    filled_forms,
    is_measured,
    patient_elements,
    questionnaire_response,
)
from endplate.exchange.fhir.write.plan import care_plan
from endplate.facts import Fact, InputProblem, in_order
from endplate.findings import AnyFinding, Recommendation, Status
from endplate.plan.care_plan import CarePlan
from endplate.record import PatientRecord
from endplate.vocabulary import FINDING_SYSTEM

_HL7 = "http://terminology.hl7.org/CodeSystem"
_TEST_DATA = {"system": f"{_HL7}/v3-ActReason", "code": "HTEST", "display": "test health data"}
Kind = Literal["collection", "transaction"]

_PERSON = re.compile(r"(https?://\S+/)?Patient/[A-Za-z0-9.\-]{1,64}")


def bundle(
    record: PatientRecord,
    findings: Sequence[AnyFinding],
    plan: CarePlan,
    *,
    on: date,
    version: str,
    kind: Kind = "collection",
    subject: str = "",
    synthetic: bool = False,
) -> Json:
    """Everything that is known, found and proposed, as a FHIR R4 Bundle.

    Parameters
    ----------
    record
        The facts. Written are the measurements of ours and the facts that findings rest on.
    findings, plan
        As `plan.care_plan` gives them for this record on this day.
    on
        The day of the plan; the only date that resources of ours carry.
    version
        Of Endplate, for the Device and the Provenance.
    kind
        A document to keep, or a transaction to send to a server.
    subject
        The person on the receiving server, such as ``Patient/123``; then no Patient is written.
    synthetic
        Marks every resource as test data (security label HTEST).

    Raises
    ------
    InputProblem
        If `subject` is no reference to a Patient, or a transaction names none.
    ValueError
        If the plan is of another day, or arranges findings that were not given.
    """
    _accept(findings, plan, on, kind, subject)
    draft = Draft(on, _meta(plan, synthetic))
    draft.device = _device(draft, version, plan)
    draft.patient = _patient(draft, record, subject)
    written = _write_facts(draft, record, findings)

    def references(facts: Iterable[Fact]) -> list[Json]:
        found = {ref["reference"]: ref for ref in (written[fact] for fact in facts)}
        return list(found.values())

    considered = _write_findings(draft, findings, plan, references)
    care_plan(draft, {f.key: f for f in findings}, plan, references, considered)
    _provenance(draft, written, findings, plan)
    return _bundled(draft, kind)


def bundle_bytes(
    record: PatientRecord,
    findings: Sequence[AnyFinding],
    plan: CarePlan,
    *,
    on: date,
    version: str,
    kind: Kind = "collection",
    subject: str = "",
    synthetic: bool = False,
) -> bytes:
    """The same as JSON, with its keys in order; equal input gives equal bytes."""
    made = bundle(
        record, findings, plan, on=on, version=version, kind=kind, subject=subject,
        synthetic=synthetic,
    )  # fmt: skip
    return orjson.dumps(made, option=orjson.OPT_SORT_KEYS)


def _accept(
    findings: Sequence[AnyFinding], plan: CarePlan, on: date, kind: Kind, subject: str
) -> None:
    if plan.on != on:
        raise ValueError("FHIR: the plan holds for another day than the bundle.")
    lost = {key for keys in plan.stages.values() for key in keys} - {f.key for f in findings}
    if lost:
        raise ValueError(f"FHIR: the plan arranges a finding that was not given: {min(lost)}.")
    if kind == "transaction" and not subject:
        raise InputProblem(
            "FHIR transaction: cannot be written. It must name the person on the server, such as "
            "Patient/123; no person was named. Two people of one sex and birth date would "
            "otherwise end in one record: look the person up on the server, and name them."
        )
    if subject and not _PERSON.fullmatch(subject):
        raise InputProblem(
            "FHIR: the person cannot be referred to. A reference to a Patient is needed, such as "
            "Patient/123; the one given has another form. Correct it."
        )


# -- who and what -----------------------------------------------------------------------------


def _meta(plan: CarePlan, synthetic: bool) -> Json:
    use = {"system": USE_SYSTEM, "code": "decision-support", "display": plan.intended_use}
    return present({"tag": [use], "security": [_TEST_DATA] if synthetic else None})


def _device(draft: Draft, version: str, plan: CarePlan) -> Json:
    return draft.add(
        "Device",
        status="active",
        deviceName=[{"name": "Endplate", "type": "user-friendly-name"}],
        type={"text": "Clinical decision support software"},
        version=[{"value": version}],
        note=[{"text": plan.intended_use}],
    )


def _patient(draft: Draft, record: PatientRecord, subject: str) -> Json:
    if subject:
        return {"reference": subject, "type": "Patient"}
    facts = codec.encode(record).decode()
    return draft.add("Patient", told_apart_by=facts, **patient_elements(record.facts))


# -- facts and findings -----------------------------------------------------------------------


def _write_facts(
    draft: Draft, record: PatientRecord, findings: Iterable[AnyFinding]
) -> dict[Fact, Json]:
    """The reference of every fact that is written: measured by us, or the basis of a finding.

    What was assumed is no fact, and what lies after the day was not known on it.
    """
    there = tuple(findings)
    measured = [f for f in record.facts if is_measured(f) and not (f.on and f.on > draft.on)]
    basis = [f for found in there for f in found.because]
    checked = [
        f for r in there if isinstance(r, Recommendation) for c in r.checked for f in c.because
    ]
    facts = in_order(list(dict.fromkeys((*measured, *basis, *checked))))
    means = findings_as.interpretations(there)
    forms = filled_forms(facts)
    known = {(f.what, f.on) for f in record.facts}
    return {
        fact: questionnaire_response(draft, forms[fact])
        if fact in forms
        else fact_resource(
            draft, fact, means.get(fact, ()),
            is_derived=is_measured(fact) and (fact.what, fact.on) not in known,
        )
        for fact in facts
    }  # fmt: skip


def _write_findings(
    draft: Draft,
    findings: Iterable[AnyFinding],
    plan: CarePlan,
    references: findings_as.References,
) -> list[Json]:
    """References to the resources of the findings; recommendations stand in the plan."""
    found: list[Json] = []
    others: list[AnyFinding] = []
    for finding in findings:
        kinds = [write for is_kind, write in _KINDS if is_kind(finding)]
        found += [write(draft, finding, references) for write in kinds]
        if (
            not kinds
            and not findings_as.is_proposal(finding)
            and finding.status is not Status.UNKNOWN
        ):
            others.append(finding)
    summary = " ".join(plan.summary)
    impression = findings_as.clinical_impression(draft, others, summary, references)
    return [*found, impression] if impression else found


_KINDS = (
    (findings_as.is_hazard, findings_as.detected_issue),
    (findings_as.gives_probability, findings_as.risk_assessment),
    (findings_as.is_phenotype, findings_as.phenotype),
    (findings_as.is_gene_advice, findings_as.implication),
    (findings_as.is_score, findings_as.score),
)


# -- where it comes from ----------------------------------------------------------------------


def _provenance(
    draft: Draft, written: Iterable[Fact], findings: Iterable[AnyFinding], plan: CarePlan
) -> None:
    """That this software made all of it, from which sources and by which rules."""
    sources = sorted({nameless(f.source) for f in written if f.source})
    draft.add(
        "Provenance",
        target=draft.references,
        recorded=_midnight(draft.on),
        activity={"coding": [{"system": f"{_HL7}/v3-DataOperation", "code": "CREATE"}]},
        agent=[
            {
                "type": {
                    "coding": [
                        {"system": f"{_HL7}/provenance-participant-type", "code": "assembler"}
                    ]
                },
                "who": draft.device,
            }
        ],
        entity=[
            *(_entity(SOURCE_SYSTEM, source, source) for source in sources),
            *(_entity(FINDING_SYSTEM, f.key, _by_rule(f)) for f in findings),
            *(
                _entity(SOURCE_SYSTEM, o.name, f"Overridden by {plan.clinic or 'the clinic'}: "
                        f"{o.clinic} instead of {o.shipped}. {o.reason}")
                for o in plan.overrides
            ),
        ],
    )  # fmt: skip


def _entity(system: str, value: str, display: str) -> Json:
    what = {"identifier": {"system": system, "value": value}, "display": display}
    return {"role": "source", "what": what}


def _by_rule(finding: AnyFinding) -> str:
    edition = f", edition {finding.edition}" if finding.edition else ""
    overridden = f"; overridden: {', '.join(finding.overrides)}" if finding.overrides else ""
    return f"Rule {finding.rule}{edition}{overridden}"


# -- the bundle -------------------------------------------------------------------------------


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _bundled(draft: Draft, kind: Kind) -> Json:
    entries = [_entry(resource, kind) for resource in draft.resources]
    return {
        "resourceType": "Bundle",
        "id": digest(entries),
        "meta": draft.meta,
        "type": kind,
        "timestamp": _midnight(draft.on),
        "entry": entries,
    }


def _entry(resource: Json, kind: Kind) -> Json:
    entry = {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
    if kind == "transaction":
        # The id follows from the content: sending the same again changes nothing.
        url = f"{resource['resourceType']}/{resource['id']}"
        entry["request"] = {"method": "PUT", "url": url}
    return entry
