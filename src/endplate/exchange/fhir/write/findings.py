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
from datetime import date, timedelta
from functools import cache

from endplate import rules, vocabulary
from endplate.exchange.fhir import genes
from endplate.exchange.fhir.write.codes import written_codes
from endplate.exchange.fhir.write.elements import (
    VALUE_SYSTEM,
    Draft,
    Json,
    coded_word,
    concept_code,
    name_of,
    nameless,
    notes,
    of_type,
    quantity,
)
from endplate.exchange.fhir.write.facts import GENETICS, gene_studied, is_there, phenotype_value
from endplate.facts import Fact
from endplate.findings import AnyFinding, Finding, PartValue, Recommendation, Status, Urgency
from endplate.medicines.star_alleles import GENES
from endplate.vocabulary import FINDING_SYSTEM

# What speaks against a treatment: categories of a recommendation, with the severity that FHIR
# defines by its worst outcome. Where the rule does not say how bad that is, no severity is given.
AGAINST: Mapping[str, str] = {"contraindicated": "high", "avoid": ""}
# Hazards of other rules: rule (or the key of one finding) and category, with its severity. A late
# dose lets vertebrae fracture, which lasts; of an opioid with a benzodiazepine people have died,
# and with a blocker of monoamine oxidase a second medicine is contraindicated.
HAZARDS: Mapping[tuple[str, str], str] = {
    ("bone.existing_denosumab", "late"): "high",
    ("medicines.opioid_with_sedatives@benzodiazepine", "together"): "high",
    ("medicines.opioid_with_sedatives", "together"): "",
    ("medicines.serotonergic", "with_monoamine_oxidase_inhibitor"): "high",
    ("medicines.serotonergic", "combination"): "",
    **{
        ("medicines.interactions", f"{strength}_{effect}"): ""
        for strength in ("strong", "moderate", "not graded")
        for effect in ("inhibitor", "inducer")
    },
    ("medicines.duplicates", "doubled"): "",
    ("medicines.renal_dosing", "above"): "",
    ("medicines.carbamazepine_hla", "caution"): "",
    ("pain.red_flags", "urgent"): "",
    ("pain.red_flags", "likely"): "",
    ("pain.red_flags", "raised_markers"): "",
    ("questionnaires.phq9", "ask_again"): "",
    ("recovery.red_flags", "same_day"): "",
}
# Rules whose finding about nothing in particular sums up the others.
_SUMMED_UP = ("pain.red_flags", "recovery.red_flags")
# Advice by genes is a hazard where any guideline, on any reading that is open, asks for less.
GENE_ADVICE = (
    "medicines.opioid_genes", "medicines.nsaid_genes", "medicines.antidepressant_genes",
    "medicines.carbamazepine_hla",
)  # fmt: skip
_GUIDELINES = ("cpic", "dpwg")
LESS = frozenset({
    "avoid", "avoid_or_reduce", "avoid_above_dose", "alternative", "alternative_or_reduce",
    "reduce_or_alternative", "reduce", "lowest_dose",
})  # fmt: skip
_PHENOTYPES = frozenset(f"medicines.{gene.lower()}" for gene in GENES)

# Rules that give probabilities: concept of the probability -> part of the finding that holds the
# number ("" is the finding's own value). Without parts, the probabilities are the given facts.
PROBABILITIES: Mapping[str, Mapping[str, str]] = {
    "bone.frax_threshold": {},
    "bone.frax_glucocorticoid": {"bone.frax_major": "major", "bone.frax_hip": "hip"},
    "bone.frax_lumbar_spine": {"bone.frax_major": ""},
}
# Rules on walking again, with the outcome whose chance they give; their points stand in an
# Observation besides. A chance from a case-control study (RIOSORD) is not one of the person: the
# share of cases was chosen there, so it is a score alone; and a class that a model gives a pain
# today (the mechanism model) is no outcome over a time.
WALKING: Mapping[str, str] = {
    "risk.van_middendorp": "walking one year after the injury of the cord",
    "risk.hicks": "walking, as in people followed for 12 months or more after the injury",
}
_AT_ONE_YEAR = "risk.van_middendorp"
_CHANCE, _SINCE_INJURY = "probability", "cord_injury.exam_days"
_IN_ITS_NAME = re.compile(r"(\d+)-year probability of (?:an? )?(.+)")
# HL7's v3-ActCode for what kind of issue it is.
_ALERTS = {
    "COND": "Condition Alert",
    "DOSEH": "High Dose Alert",
    "DRG": "Drug Interaction Alert",
    "DUPTHPY": "Duplicate Therapy Alert",
    "GEN": "Genetic Alert",
}
_ALERT_OF = {
    "medicines.opioid_with_sedatives": "DRG",
    "medicines.serotonergic": "DRG",
    "medicines.interactions": "DRG",
    "medicines.duplicates": "DUPTHPY",
    **dict.fromkeys(GENE_ADVICE, "GEN"),
}

PRESENCE = ("Condition", "MedicationStatement", "Procedure")
RESULTS = ("Observation", "QuestionnaireResponse")

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
        or _hazard(finding) is not None
        or asks_for_less(finding)
    )


def _hazard(finding: AnyFinding) -> str | None:
    """The severity of a hazard that a rule knows; None where it is none of these."""
    category = finding.category or ""
    is_sum = finding.rule in _SUMMED_UP and not finding.about
    if is_sum or finding.status is not Status.ANSWERED:
        return None
    by_rule = HAZARDS.get((finding.rule, category))
    return HAZARDS.get((finding.key, category), by_rule)


def asks_for_less(finding: AnyFinding) -> bool:
    """Whether a guideline asks, by the genes, for less of a medicine or for another one."""
    if finding.rule not in GENE_ADVICE:
        return False
    said = (str(finding.parts.get(name) or "") for name in _GUIDELINES)
    return any(not LESS.isdisjoint(actions.split(" or ")) for actions in said)


def is_phenotype(finding: AnyFinding) -> bool:
    """Whether the finding says how an enzyme works, by its gene."""
    return finding.rule in _PHENOTYPES and is_answered(finding) and finding.category is not None


def is_gene_advice(finding: AnyFinding) -> bool:
    """Whether the finding says what genes mean for one medicine."""
    return finding.rule in GENE_ADVICE and is_answered(finding)


def is_answered(finding: AnyFinding) -> bool:
    """Whether the rule could answer."""
    return finding.status is Status.ANSWERED


def gives_probability(finding: AnyFinding) -> bool:
    """Whether the finding states a probability over a time that is known.

    An adjustment by published arithmetic can exceed certainty; that is a result, but no
    probability that FHIR could hold.
    """
    if not is_answered(finding):
        return False
    if finding.rule in WALKING:
        return finding.parts.get(_CHANCE) is not None
    if finding.rule not in PROBABILITIES:
        return False
    return all(0 <= percent <= 100 for _, percent, _ in probabilities(date.min, finding))


def is_score(finding: AnyFinding) -> bool:
    """Whether the finding is the result of a score or formula, as a number."""
    scored = finding.rule in _scores() and finding.value is not None
    if finding.rule in _PHENOTYPES:
        return False
    is_other = finding.rule in WALKING or not gives_probability(finding)
    return scored and is_answered(finding) and is_other


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
        ("Each source holds", [f"{p.holder}: {p.says}" for p in finding.positions]),
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
    if alert := _alert(finding):
        system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
        code["coding"].append({"system": system, "code": alert, "display": _ALERTS[alert]})
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


def _alert(finding: AnyFinding) -> str:
    if finding.rule == "medicines.renal_dosing" and finding.category == "above":
        return "DOSEH"
    return _ALERT_OF.get(finding.rule) or ("COND" if speaks_against(finding) else "")


def _against(finding: AnyFinding) -> tuple[Fact, ...]:
    """The facts that make it a hazard: of what was looked for, only what was found."""
    if isinstance(finding, Recommendation) and speaks_against(finding) and finding.checked:
        return tuple(f for check in finding.checked if check.answer == "yes" for f in check.because)
    return tuple(f for f in finding.because if f.value is not False)


def _severity(finding: AnyFinding) -> str:
    if finding.urgency is Urgency.EMERGENCY:
        return "high"
    category = finding.category or ""
    return _hazard(finding) or AGAINST.get(category, "")


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
        prediction=_walks(finding)
        if finding.rule in WALKING
        else [_prediction(*p, finding.says) for p in probabilities(draft.on, finding)],
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
    return {
        "outcome": {"text": match[2]},
        "probabilityDecimal": probability,
        "whenPeriod": _years_from(start, int(match[1])),
        "rationale": says,
    }


def _years_from(start: date, years: int) -> Json:
    year = start.year + years
    end = start.replace(year=year, day=min(start.day, monthrange(year, start.month)[1]))
    return {"start": start.isoformat(), "end": end.isoformat()}


def _walks(finding: AnyFinding) -> list[Json]:
    """The chance to walk, with the year after the injury where a rule states it and it is known."""
    found: Json = {
        "outcome": {"text": WALKING[finding.rule]},
        "probabilityDecimal": round(100 * float(finding.parts[_CHANCE] or 0.0), 4),
        "rationale": finding.says,
    }
    since = next((f for f in finding.because if f.what == _SINCE_INJURY and f.on), None)
    if finding.rule == _AT_ONE_YEAR and since is not None and since.on is not None:
        found["whenPeriod"] = _years_from(since.on - timedelta(days=round(since.number)), 1)
    return [found]


# -- genes ------------------------------------------------------------------------------------


def phenotype(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """How an enzyme works by its gene, with the activity score as a component."""
    gene = finding.rule.rpartition(".")[2].upper()
    code = finding_code(finding)
    code["coding"].insert(0, genes.coding("code", genes.METABOLISM))
    return _genetic(
        draft,
        finding,
        references,
        code,
        [gene_studied(gene)],
        phenotype_value(finding.category or ""),
    )


def implication(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """What genes mean for one medicine, with the medicine as a component."""
    code = finding_code(finding)
    code["coding"].insert(0, genes.coding("code", genes.IMPLICATION))
    what = f"medicine.{finding.about}"
    medicine = {
        "code": {"coding": [genes.coding("code", genes.MEDICATION)]},
        "valueCodeableConcept": concept_code(what, written_codes(what)),
    }
    return _genetic(draft, finding, references, code, [medicine], {})


def _genetic(
    draft: Draft,
    finding: AnyFinding,
    references: References,
    code: Json,
    parts: list[Json],
    value: Json,
) -> Json:
    laboratory = "http://terminology.hl7.org/CodeSystem/observation-category"
    return draft.add(
        "Observation",
        status="preliminary",
        category=[{"coding": [{"system": laboratory, "code": "laboratory"}]}, GENETICS],
        code=code,
        subject=draft.patient,
        effectiveDateTime=draft.on.isoformat(),
        **value,
        interpretation=[coded_word(VALUE_SYSTEM, finding.category)]
        if finding.category and not value
        else None,
        note=notes(finding.says, basis(finding)),
        device=draft.device,
        derivedFrom=of_type(references(finding.because), *RESULTS),
        component=[*parts, *_components(finding)],
    )


# -- scores -----------------------------------------------------------------------------------


def score(draft: Draft, finding: AnyFinding, references: References) -> Json:
    """A score or formula as an Observation that says what it was derived from."""
    code = coded_word(FINDING_SYSTEM, finding.key, _scores()[finding.rule])
    code["coding"] = [*_total_codes(finding), *code["coding"]]
    category = [coded_word(VALUE_SYSTEM, finding.category)] if finding.category else []
    return draft.add(
        "Observation",
        status="preliminary",
        code=code,
        subject=draft.patient,
        effectiveDateTime=draft.on.isoformat(),
        valueQuantity=quantity(finding.value or 0.0, finding.unit),
        interpretation=category,
        note=notes(finding.says, basis(finding)),
        device=draft.device,
        derivedFrom=of_type(references(finding.because), *RESULTS),
        component=_components(finding),
    )


def _total_codes(finding: AnyFinding) -> list[Json]:
    """LOINC's code of a questionnaire's total, where it is verified."""
    name = finding.rule.removeprefix("questionnaires.")
    codes = vocabulary.codes_of(f"questionnaire.{name}.score") if not finding.about else ()
    return [
        {"system": vocabulary.CODE_SYSTEMS[c.system], "code": c.code, "display": c.display}
        for c in codes
    ]


def _components(finding: AnyFinding) -> list[Json]:
    return [
        {"code": coded_word(FINDING_SYSTEM, f"{finding.rule}#{name}", name.replace("_", " ")),
         **_part_value(value)}
        for name, value in finding.parts.items()
        if value not in (None, "")
    ]  # fmt: skip


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
    results = of_type(every, *RESULTS)
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
