"""What a programme after an operation is made of, and the way back to work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from endplate.evidence import Evidence, Row
from endplate.findings import (
    AnyFinding,
    Finding,
    PartValue,
    Recommendation,
    Stage,
    Urgency,
)
from endplate.questionnaires.screening import Answered, answers_to, screened
from endplate.record import Patient
from endplate.recovery.screening import facts_of, is_planned, rows_of, screening_rows
from endplate.rules import rule

_SURGEON = "Earlier or later where the operating surgeon says so."


@rule(
    "recovery.programme",
    reads=("intent.procedure", "recovery.wants_tele_rehabilitation"),
)
def programme(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Walking at once, a structured programme later, training after disc surgery.

    Source      the review's reference 111, a part of a paper, usual advice not read
                (recovery.walking, recovery.structured_start, recovery.neuromuscular_training,
                recovery.tele_rehabilitation)
    Population  adults after spine surgery
    Not for     an operation with restrictions of its own, which the surgeon sets
    """
    if not is_planned(patient):
        return
    yield _part(
        "walking", "Help the person to walk on the day of the operation or the day after.",
        "ward and physiotherapist", patient, evidence,
    )  # fmt: skip
    weeks = _range(evidence.row("recovery.structured_start").table[0])
    yield _part(
        "structured_start",
        f"Book a structured programme to begin {weeks} weeks after the operation.",
        "surgeon with physiotherapist", patient, evidence,
    )  # fmt: skip
    if patient.intent.procedure == "discectomy":
        yield _part(
            "neuromuscular_training", "Make neuromuscular training for the person a part of the "
            "programme.", "physiotherapist", patient, evidence,
        )  # fmt: skip
    wants = patient.has("recovery.wants_tele_rehabilitation")
    if wants.yes:
        yield _part(
            "tele_rehabilitation", "Offer the programme at a distance, as the person wants it.",
            "physiotherapist", patient, evidence, wants.because,
        )  # fmt: skip


def _part(
    name: str, action: str, who: str, patient: Patient, evidence: Evidence,
    because: tuple[Any, ...] = (),
) -> Recommendation:  # fmt: skip
    row = evidence.row(f"recovery.{name}")
    return Recommendation(
        says=f"{row.says[0].upper()}{row.says[1:]}.",
        about=name,
        action=action,
        who=who,
        category=name,
        because=(*patient.intent.because, *because),
        rests_on=(row,),
        would_change=(_SURGEON,),
        stage=Stage.AFTER_SURGERY,
        urgency=Urgency.ROUTINE,
    )


def _range(line: Mapping[str, Any]) -> str:
    return f"{line['from']} to {line['to']}"


# -- return to work -------------------------------------------------------------------------------

_DEMAND = "recovery.work_demand"
# The row that speaks of each procedure; of others nothing was found.
_ROWS = {
    "discectomy": "discectomy", "decompression": "decompression", "fusion": "fusion",
    "interbody_fusion": "fusion",
}  # fmt: skip


@rule(
    "recovery.return_to_work",
    reads=(*answers_to("ompsq10", "fabq"), "intent.procedure", _DEMAND),
)
def return_to_work(patient: Patient, evidence: Evidence) -> AnyFinding | None:
    """When people usually return to work after the operation, and whether delay is to be expected.

    Source      usual advice, not read in a source (recovery.work.*); the forms' own bands
                (questionnaires.fabq.work_after_radiculopathy beside them)
    Population  adults who work, after lumbar surgery
    Not for     a certificate of fitness; operations of several levels or for deformity
    """
    procedure = patient.intent.procedure
    demand = patient.latest(_DEMAND)
    if procedure not in _ROWS or (demand is not None and demand.value == "not_working"):
        return None
    row, delay = (evidence.row(f"recovery.work.{n}") for n in (_ROWS[procedure], "delay"))
    lines = [
        line for line in row.table
        if demand is None or line.get("demand", demand.value) == demand.value
    ]  # fmt: skip
    risks, lacking, is_open = _risks(delay, patient, evidence)
    likely = True if risks else None if is_open else False
    one = lines[0] if len(lines) == 1 else None
    parts: dict[str, PartValue] = {
        "from": None if one is None else float(one["from"]),
        "to": None if one is None else float(one["to"]),
        "unit": str(lines[0]["unit"]),
        "delay_expected": likely,
    }
    told = " or ".join(
        f"{_range(line)} {line['unit']}"
        + (f" for {line['demand']} work" if "demand" in line else "")
        for line in lines
    )
    why = f" Delay is to be expected: {'; '.join(s.says for s in risks)}." if risks else ""
    also = evidence.row("questionnaires.fabq.work_after_radiculopathy")
    fields: dict[str, Any] = {
        "says": f"Return to work after this operation is usually at {told}; the numbers were not "
        f"read in a source.{why}",
        "category": "delay_expected" if likely else None if likely is None else "as_usual",
        "parts": parts,
        "because": (
            *patient.intent.because, *((demand,) if demand else ()),
            *facts_of(risks),
        ),
        "missing": (*((_DEMAND,) if demand is None else ()), *lacking),
        "rests_on": (row, delay, also, *screening_rows(evidence), *rows_of(risks)),
        "stage": Stage.AFTER_SURGERY,
    }  # fmt: skip
    if not risks:
        return Finding(**fields)
    return Recommendation(
        **fields,
        action="Plan the return before the operation: ask occupational health, and agree with the "
        "person and the employer on steps.",
        who="surgeon with occupational health",
        would_change=("A newer answer to the same form.",),
        urgency=Urgency.ROUTINE,
    )


def _risks(
    delay: Row, patient: Patient, evidence: Evidence
) -> tuple[list[Answered], tuple[str, ...], bool]:
    """The forms that say that delay is to be expected, what lacks, and if a form is undecided."""
    found = [(line, screened(line, patient, evidence)) for line in delay.table]
    yes = [s for _, s in found if s is not None and s.unfavourable]
    lacking: list[str] = []
    for line, one in found:
        lacking += [str(line["asks"])] if one is None else one.finding.missing
    is_open = any(s is None or s.band is None for _, s in found)
    return yes, tuple(dict.fromkeys(lacking)), is_open
