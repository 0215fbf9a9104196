"""Secondary causes: which tests are called for, which are there, which are still open."""

from __future__ import annotations

from typing import Any

from endplate.bone.diagnosis import NEED_READS, need_of_care
from endplate.bone.nutrients import vitamin_d_category
from endplate.bone.testing import order_dxa
from endplate.evidence import Evidence
from endplate.findings import Check, Recommendation, Stage, Urgency
from endplate.record import Patient
from endplate.rules import rule

_PANEL = (
    "lab.haemoglobin", "lab.calcium", "lab.albumin", "lab.phosphate", "lab.creatinine",
    "lab.egfr", "lab.alkaline_phosphatase", "lab.alanine_aminotransferase", "lab.vitamin_d",
    "lab.parathyroid_hormone", "lab.thyrotropin", "lab.urine_calcium_24h", "lab.testosterone",
    "lab.kappa_lambda_ratio", "lab.transglutaminase_iga", "lab.hba1c",
)  # fmt: skip


@rule(
    "bone.secondary_causes",
    reads=tuple(dict.fromkeys((*_PANEL, "fracture.vertebral", *NEED_READS, *order_dxa.reads))),
    headline=9,
)
def secondary_causes(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """The laboratory work-up for secondary causes, and what of it is still missing.

    Source      SIOT 2017, AACE 2010, NOGG (bone.workup.panel); WHO (bone.workup.anaemia.*)
    Population  adults whose bone needs treatment or is low for the age, or for whom a DXA is
                called for
    Not for     interpreting a result: each laboratory's own range decides
    Differs     patel2024 prints hypothyroidism as a cause; the bone-losing state is too much
                thyroid hormone, so a low TSH is what is looked for
    """
    need = need_of_care(patient, evidence)
    called_for = any(f.category == "order" for f in order_dxa(patient, evidence))
    if need is None and not called_for:
        return None
    panel, hba1c = evidence.row("bone.workup.panel"), evidence.row("bone.workup.hba1c")
    lines = [line for line in (*panel.table, *hba1c.table) if _is_for(patient, evidence, line)]
    there = [f for line in lines if (f := patient.latest(str(line["asks"]))) is not None]
    open_lines = [line for line in lines if patient.latest(str(line["asks"])) is None]
    checks = tuple(
        Check(
            what=str(line["name"]),
            answer="yes" if line not in open_lines else "no",
            says="result on record" if line not in open_lines else "not on record",
            because=tuple(f for f in there if f.what == line["asks"]),
        )
        for line in lines
    )
    names = ", ".join(str(line["name"]) for line in open_lines)
    rows = (
        panel,
        hba1c,
        evidence.row("bone.workup.review"),
        evidence.row("bone.workup.thyroid"),
        evidence.row("bone.workup.light_chains_from_age"),
        evidence.row("bone.workup.found_in"),
        evidence.row("bone.workup.on_suspicion"),
        *evidence.under("bone.workup.anaemia."),
    )
    if not open_lines:
        return Recommendation(
            says="All tests for secondary causes of bone loss are on record.",
            action="Read the results against the laboratory's ranges, and treat what is found.",
            who="general practitioner or endocrinologist",
            category="complete",
            because=tuple(there),
            checked=checks,
            rests_on=rows,
            stage=Stage.NOW,
        )
    return Recommendation(
        says=f"{len(open_lines)} of {len(lines)} tests for secondary causes of bone loss are not "
        f"on record.",
        action=f"Order {names}.",
        who="general practitioner or endocrinologist",
        category="open",
        because=tuple(dict.fromkeys((*there, *(need.because if need else ())))),
        assumed=need.assumed if need else (),
        missing=tuple(str(line["asks"]) for line in open_lines),
        checked=checks,
        rests_on=rows,
        stage=Stage.NOW,
        urgency=Urgency.SOON if need else Urgency.ROUTINE,
    )


def _is_for(patient: Patient, evidence: Evidence, line: Any) -> bool:
    """Whether a test is for this person; where that is unknown it is asked for."""
    if line["for"] == "men":
        return patient.sex != "female"
    if line["for"].startswith("vertebral fracture"):
        limit = evidence.row("bone.workup.light_chains_from_age")
        young = patient.age is not None and not limit.met(patient.age.number)
        possible = _may_be_anaemic(patient, evidence) or not patient.ever("fracture.vertebral").no
        return not young and possible
    if line["for"].startswith("low vitamin D"):
        level = patient.latest("lab.vitamin_d")
        low = level is None or vitamin_d_category(level.number, evidence) == "low"
        return low or _may_be_anaemic(patient, evidence)
    return True


def _may_be_anaemic(patient: Patient, evidence: Evidence) -> bool:
    """Whether the haemoglobin is low for the sex, or nobody knows."""
    haemoglobin = patient.latest("lab.haemoglobin")
    if haemoglobin is None:
        return True
    women, men = (evidence.row(f"bone.workup.anaemia.{who}") for who in ("women", "men"))
    return (women if patient.sex == "female" else men).met(haemoglobin.number)
