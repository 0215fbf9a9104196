"""Findings as resources: hazards, probabilities, scores, and what was found besides.

Which kind of resource a finding becomes follows from what it is, not from the rule alone:

* an emergency, or something that speaks against a treatment: DetectedIssue;
* a probability over a stated time: RiskAssessment;
* a score or formula with a number: Observation;
* another answer: one entry of the ClinicalImpression, which also notes what does not apply.

A recommendation is an activity of the CarePlan, and what is unknown a question of it
(`write_plan`). Each finding stands under its key, so that none is lost on the way.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache

from endplate import rules, vocabulary
from endplate.exchange.fhir.write.elements import (
    FINDING_SYSTEM,
    VALUE_SYSTEM,
    Draft,
    Json,
    coded_word,
    name_of,
    nameless,
    notes,
    of_type,
    quantity,
)
from endplate.exchange.fhir.write.facts import is_there
from endplate.facts import Fact
from endplate.findings import AnyFinding, Finding, PartValue, Recommendation, Status, Urgency

# What speaks against a treatment: categories of a recommendation, with the severity that FHIR
# defines by its worst outcome. Where the rule does not say how bad that is, no severity is given.
AGAINST: Mapping[str, str] = {"contraindicated": "high", "avoid": ""}
# Hazards of other rules: rule and category. A late dose lets vertebrae fracture, which lasts.
HAZARDS: Mapping[tuple[str, str], str] = {("bone.existing_denosumab", "late"): "high"}

# Rules that give probabilities: concept of the probability -> part of the finding that holds the
# number ("" is the finding's own value). Without parts, the probabilities are the given facts.
PROBABILITIES: Mapping[str, Mapping[str, str]] = {
    "bone.frax_threshold": {},
    "bone.frax_glucocorticoid": {"bone.frax_major": "major", "bone.frax_hip": "hip"},
    "bone.frax_lumbar_spine": {"bone.frax_major": ""},
}
_IN_ITS_NAME = re.compile(r"(\d+)-year probability of (?:an? )?(.+)")
_CONDITION_ALERT = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "code": "COND",
    "display": "Condition Alert",
}

PRESENCE = ("Condition", "MedicationStatement", "Procedure")

References = Callable[[Iterable[Fact]], list[Json]]
"""Gives the references to the resources that facts were written as."""


# -- what a finding is ------------------------------------------------------------------------


def speaks_against(finding: AnyFinding) -> bool:
    """Whether a recommendation proposes not to do something."""
    return isinstance(finding, Recommendation) and finding.category in AGAINST


def is_proposal(finding: AnyFinding) -> bool:
    """Whether the finding proposes something for this person, decided or not."""
    return isinstance(finding, Recommendation) and finding.status is not Status.NOT_APPLICABLE


def is_hazard(finding: AnyFinding) -> bool:
    """Whether somebody could come to harm if nobody looks at it."""
    return (
        finding.urgency is Urgency.EMERGENCY
        or speaks_against(finding)
        or (finding.rule, finding.category or "") in HAZARDS
    )


def is_answered(finding: AnyFinding) -> bool:
    """Whether the rule could answer."""
    return finding.status is Status.ANSWERED


def gives_probability(finding: AnyFinding) -> bool:
    """Whether the finding states a probability over a time that is known.

    An adjustment by published arithmetic can exceed certainty; that is a result, but no
    probability that FHIR could hold.
    """
    if not is_answered(finding) or finding.rule not in PROBABILITIES:
        return False
    return all(0 <= percent <= 100 for _, percent, _ in probabilities(date.min, finding))


def is_score(finding: AnyFinding) -> bool:
    """Whether the finding is the result of a score or formula, as a number."""
    scored = finding.rule in _scores() and finding.value is not None
    return scored and is_answered(finding) and not gives_probability(finding)


@cache
def _scores() -> Mapping[str, str]:
    """What each rule that is a score or formula says of itself."""
    return {rule.id: rule.summary for rule in rules.find() if rule.scores}


# -- its reasons, in words --------------------------------------------------------------------


def finding_code(finding: AnyFinding) -> Json:
    """The finding's key as a code, and its sentence."""
    return coded_word(FINDING_SYSTEM, finding.key, finding.says)


def basis(finding: AnyFinding) -> str:
    """What a finding rests on: facts, assumptions, gaps, sources, strength, limits, in words."""
    lines = [
        ("Because of", [fact_in_words(f) for f in finding.because]),
        ("Assumed, as nobody gave it", [fact_in_words(f) for f in finding.assumed]),
        ("Not known", [name_of(what) for what in finding.missing]),
        ("Sources disagree", [f"{p.holder}: {p.says}" for p in finding.positions]),
        ("Source", [f"{c.key} ({c.where})" if c.where else c.key for c in finding.cites]),
        ("Edition", [finding.edition] if finding.edition else []),
        ("Strength", [finding.strength] if finding.strength else []),
        ("Caution", [] if finding.verified else ["a number in it was not read in its source"]),
        ("The clinic's own", list(finding.overrides)),
        ("Limits", list(finding.limits)),
    ]
    if isinstance(finding, Recommendation):
        checked = [f"{c.what.replace('_', ' ')}: {c.answer}" for c in finding.checked]
        lines += [
            ("Looked for", checked),
            ("Instead", list(finding.alternatives)),
            ("Would change it", list(finding.would_change)),
        ]
    return " ".join(f"{name}: {'; '.join(said).rstrip('.')}." for name, said in lines if said)


def fact_in_words(fact: Fact) -> str:
    """A fact as a person would note it: name, place, value, day, source."""
    place = " ".join(w for w in (fact.level, fact.side) if w)
    unit = {"": "", "1": "", "[hnsf'U]": " HU"}.get(fact.unit, f" {fact.unit}")
    sign = fact.details.get("comparator", "")
    value = {True: "yes", False: "no"}[fact.value] if isinstance(fact.value, bool) else fact.value
    shown = f"{sign}{value:g}{unit}" if isinstance(value, int | float) else str(value)
    where = ", ".join(w for w in (str(fact.on or ""), nameless(fact.source)) if w)
    name = f"{name_of(fact.what)} {place}".strip()
    return f"{name} {shown} ({where})" if where else f"{name} {shown}"


# -- interpretations --------------------------------------------------------------------------


def interpretations(findings: Iterable[AnyFinding]) -> dict[Fact, tuple[Json, ...]]:
    """What findings make of the value of one fact: those whose number is that fact's."""
    found: dict[Fact, tuple[Json, ...]] = {}
    for finding in findings:
        if not is_answered(finding) or finding.value is None or not finding.category:
            continue
        for fact in finding.because:
            if fact.value == finding.value and fact.unit == finding.unit:
                found[fact] = (*found.get(fact, ()), finding_code(finding))
                break
    return found


# -- hazards ----------------------------------------------------------------------------------


def detected_issue(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """A hazard. What is proposed against it is no mitigation yet: nobody has done it."""
    proposed = f"Proposed: {finding.action}" if isinstance(finding, Recommendation) else ""
    because = references(_against(finding))
    taken = of_type(because, "MedicationStatement")
    evidence = [ref for ref in because if ref not in taken]
    code = finding_code(finding)
    if speaks_against(finding):
        code["coding"].append(_CONDITION_ALERT)
    return draft.add(
        "DetectedIssue",
        status="preliminary",
        code=code,
        severity=_severity(finding),
        patient=draft.patient,
        identifiedDateTime=draft.on.isoformat(),
        author=draft.device,
        implicated=taken,
        evidence=[{"detail": evidence}] if evidence else None,
        detail=" ".join(w for w in (finding.says, proposed, basis(finding)) if w),
    )


def _against(finding: AnyFinding) -> tuple[Fact, ...]:
    """The facts that make it a hazard: of what was looked for, only what was found."""
    if isinstance(finding, Recommendation) and speaks_against(finding):
        return tuple(f for check in finding.checked if check.answer == "yes" for f in check.because)
    return tuple(f for f in finding.because if f.value is not False)


def _severity(finding: AnyFinding) -> str:
    if finding.urgency is Urgency.EMERGENCY:
        return "high"
    category = finding.category or ""
    return HAZARDS.get((finding.rule, category)) or AGAINST.get(category, "")


# -- probabilities ----------------------------------------------------------------------------


def risk_assessment(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """Probabilities in percent, each with its outcome and the time over which it holds."""
    return draft.add(
        "RiskAssessment",
        status="preliminary",
        method=finding_code(finding),
        subject=draft.patient,
        occurrenceDateTime=draft.on.isoformat(),
        performer=draft.device,
        basis=references(finding.because),
        prediction=[_prediction(*p, finding.says) for p in probabilities(draft.on, finding)],
        note=notes(basis(finding)),
    )


def probabilities(on: date, finding: AnyFinding) -> list[tuple[str, float, date]]:
    """Concept, probability in percent and first day of each probability that a finding states."""
    parts = PROBABILITIES[finding.rule]
    if not parts:
        named = (f for f in finding.because if _IN_ITS_NAME.search(name_of(f.what)))
        given = [f for f in named if "comparator" not in f.details]  # a bound is no probability
        return [(f.what, f.number, f.on or on) for f in given]
    stated = {what: finding.parts.get(part) if part else finding.value
              for what, part in parts.items()}  # fmt: skip
    return [(what, float(p), on) for what, p in stated.items() if p is not None]


def _prediction(what: str, probability: float, start: date, says: str) -> Json:
    match = _IN_ITS_NAME.search(vocabulary.concept(what).name)
    if match is None:
        raise ValueError(f"{what}: its name does not say over which time the probability holds.")
    year = start.year + int(match[1])
    end = start.replace(year=year, day=min(start.day, monthrange(year, start.month)[1]))
    return {
        "outcome": {"text": match[2]},
        "probabilityDecimal": probability,
        "whenPeriod": {"start": start.isoformat(), "end": end.isoformat()},
        "rationale": says,
    }


# -- scores -----------------------------------------------------------------------------------


def score(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """A score or formula as an Observation that says what it was derived from."""
    parts = [
        {"code": coded_word(FINDING_SYSTEM, f"{finding.rule}#{name}", name.replace("_", " ")),
         **_part_value(value)}
        for name, value in finding.parts.items()
        if value not in (None, "")
    ]  # fmt: skip
    category = [coded_word(VALUE_SYSTEM, finding.category)] if finding.category else []
    return draft.add(
        "Observation",
        status="preliminary",
        code=coded_word(FINDING_SYSTEM, finding.key, _scores()[finding.rule]),
        subject=draft.patient,
        effectiveDateTime=draft.on.isoformat(),
        valueQuantity=quantity(finding.value or 0.0, finding.unit),
        interpretation=category,
        note=notes(finding.says, basis(finding)),
        device=draft.device,
        derivedFrom=of_type(references(finding.because), "Observation"),
        component=parts,
    )


def _part_value(value: PartValue) -> Json:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, int | float):
        return {"valueQuantity": quantity(value, "")}
    return {"valueString": str(value)}


# -- everything else that was found -----------------------------------------------------------


def clinical_impression(
    draft: Draft, findings: Iterable[AnyFinding], summary: str, references: References
) -> Json | None:
    """One impression with all further answers, and a note of what does not apply."""
    there = tuple(findings)
    answered = [f for f in there if is_answered(f)]
    not_applicable = [f for f in there if f.status is Status.NOT_APPLICABLE]
    if not there:
        return None
    facts = list(dict.fromkeys(fact for f in there for fact in f.because))
    now = of_type(references(f for f in facts if is_there(f, draft.on)), "Condition")
    every = references(facts)
    results = of_type(every, "Observation")
    code = {"text": "Facts that the findings rest on"}
    return draft.add(
        "ClinicalImpression",
        status="in-progress",
        description="Findings of decision support, not confirmed by a clinician.",
        subject=draft.patient,
        effectiveDateTime=draft.on.isoformat(),
        date=draft.on.isoformat(),
        problem=now,
        investigation=[{"code": code, "item": results}] if results else None,
        summary=summary,
        finding=[_found(f) for f in answered],
        supportingInfo=[r for r in of_type(every, *PRESENCE) if r not in now],
        note=notes(*(f"Does not apply ({f.key}): {f.says}" for f in not_applicable)),
    )


def _found(finding: Finding) -> Json:
    reasons = basis(finding)
    return {"itemCodeableConcept": finding_code(finding), **({"basis": reasons} if reasons else {})}
