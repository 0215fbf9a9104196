"""The care plan: what is proposed, stage by stage, and what would have to be known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from endplate import vocabulary
from endplate.exchange.fhir.write.codes import order_codes
from endplate.exchange.fhir.write.elements import (
    STAGE_EXTENSION,
    Draft,
    Json,
    concept_code,
    name_of,
    notes,
    of_type,
    present,
)
from endplate.exchange.fhir.write.facts import is_there
from endplate.exchange.fhir.write.findings import (
    PRESENCE,
    RESULTS,
    References,
    basis,
    finding_code,
    is_proposal,
    speaks_against,
)
from endplate.findings import AnyFinding, Recommendation, Status
from endplate.plan.care_plan import CarePlan, OpenQuestion
from endplate.vocabulary import FINDING_SYSTEM

_DENSITOMETRY = ("bone.t_score.", "bone.z_score.", "bone.mineral_density.")
_DXA, _ORDER_DXA = "procedure.dxa", "bone.order_dxa"


def care_plan(
    draft: Draft,
    findings: Mapping[str, AnyFinding],
    plan: CarePlan,
    references: References,
    considered: Iterable[Json],
) -> Json:
    """The plan as a proposal: recommendations in the order of its stages, then open questions.

    Parameters
    ----------
    findings
        By key.
    considered
        References to the findings' own resources.
    """
    recommended = [
        (stage, found)
        for stage, keys in plan.stages.items()
        for found in (findings[key] for key in keys)
        if isinstance(found, Recommendation) and is_proposal(found)
    ]
    facts = list(dict.fromkeys(fact for f in findings.values() for fact in f.because))
    addressed = of_type(references(f for f in facts if is_there(f, draft.on)), "Condition")
    others = of_type(references(facts), *RESULTS, *PRESENCE)
    orders = _orders(draft, plan.open_questions, findings)
    return draft.add(
        "CarePlan",
        status="draft",
        intent="proposal",
        title="Proposed care plan",
        description=" ".join(plan.summary),
        subject=draft.patient,
        created=draft.on.isoformat(),
        author=draft.device,
        addresses=addressed,
        supportingInfo=[*considered, *(ref for ref in others if ref not in addressed)],
        activity=[
            *(_activity(stage, found, references) for stage, found in recommended),
            *({"reference": order} for order in orders),
            *(_question(q, findings) for q in plan.open_questions if not _test(q, findings)),
        ],
        note=notes(
            plan.intended_use,
            *(f"{o.name}: {plan.clinic or 'the clinic'} uses {o.clinic} instead of {o.shipped}; "
              f"{o.reason}" for o in plan.overrides),
            *(f"{found.key}: {basis(found)}" for _, found in recommended),
        ),
    )  # fmt: skip


# -- what is proposed -------------------------------------------------------------------------


def _activity(stage: str, found: Recommendation, references: References) -> Json:
    """One recommendation. A thing not to do is named, not worded as a second negation."""
    against = speaks_against(found)
    product = f"medicine.{found.about}"
    is_medicine = product in vocabulary.concepts()
    because = references(f for f in found.because if f.value is not False)
    detail = present({
        "kind": "MedicationRequest" if is_medicine else None,
        "code": {"coding": [{"system": FINDING_SYSTEM, "code": found.key}]},
        "reasonCode": [{"text": found.says}],
        "reasonReference": of_type(because, "Condition", "Observation"),
        "status": "not-started",
        "statusReason": _undecided(found),
        "doNotPerform": True if against else None,
        "scheduledPeriod": {"end": found.by.isoformat()} if found.by else None,
        "performer": [{"display": found.who}] if found.who else None,
        "productCodeableConcept": _medicine(product) if is_medicine else None,
        "description": found.says if against else found.action,
    })  # fmt: skip
    return {"extension": [{"url": STAGE_EXTENSION, "valueCode": stage}], "detail": detail}


def _medicine(what: str) -> Json:
    return concept_code(what, order_codes(what))


def _undecided(found: Recommendation) -> Json | None:
    if found.status is not Status.UNKNOWN:
        return None
    return {"text": f"Not decided: not known are {', '.join(map(name_of, found.missing))}."}


# -- what is not known ------------------------------------------------------------------------


def _test(question: OpenQuestion, findings: Mapping[str, AnyFinding]) -> str:
    """The test that would answer a question, if it is one that can be ordered.

    A laboratory value by itself; a densitometry result by a DXA where the rule on ordering one
    calls for it, as many are unknown although there is a recent DXA.
    """
    if question.asks.startswith("lab."):
        return question.asks
    order = findings.get(_ORDER_DXA)
    called_for = order is not None and order.category == "order"
    return _DXA if called_for and question.asks.startswith(_DENSITOMETRY) else ""


def _orders(
    draft: Draft, questions: Iterable[OpenQuestion], findings: Mapping[str, AnyFinding]
) -> list[Json]:
    """A proposed test for each laboratory value, and one DXA for all of its sites."""
    by_test: dict[str, list[OpenQuestion]] = {}
    for question in questions:
        if test := _test(question, findings):
            by_test.setdefault(test, []).append(question)
    return [
        draft.add(
            "ServiceRequest",
            status="draft",
            intent="proposal",
            code=concept_code(test, order_codes(test)),
            subject=draft.patient,
            authoredOn=draft.on.isoformat(),
            requester=draft.device,
            reasonCode=_reasons(asked, findings),
            note=notes(*(_what_hangs_on(q) for q in asked)),
        )
        for test, asked in by_test.items()
    ]


def _question(question: OpenQuestion, findings: Mapping[str, AnyFinding]) -> Json:
    return {
        "detail": {
            "kind": "Task",
            "code": {**concept_code(question.asks), "text": f"Find out: {question.name}"},
            "reasonCode": _reasons([question], findings),
            "status": "not-started",
            "description": _what_hangs_on(question),
        }
    }


def _what_hangs_on(question: OpenQuestion) -> str:
    return (
        f"Not known: {question.name}. Findings that cannot be answered without it: "
        f"{len(question.blocks)}; that could change with it: {len(question.could_turn)}."
    )


def _reasons(questions: Iterable[OpenQuestion], findings: Mapping[str, AnyFinding]) -> list[Json]:
    keys = dict.fromkeys(key for q in questions for key in (*q.blocks, *q.could_turn))
    return [finding_code(findings[key]) for key in keys if key in findings]
