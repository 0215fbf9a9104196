"""Yellow flags: what questionnaires on record say of distress, fear and expectation."""

from __future__ import annotations

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.pain.red_flags import BEGINS
from endplate.questionnaires.screening import BANDS, DAYS, answers_to, form_name, screened
from endplate.record import Patient
from endplate.rules import rule

FORMS = ("start_back", "ompsq10", "pcs", "tsk17", "fabq", "pseq", "phq9", "gad7")


@rule("pain.yellow_flags", reads=answers_to(*FORMS), scores="yellow_flags", begins=BEGINS)
def yellow_flags(patient: Patient, evidence: Evidence) -> Finding | None:
    """Yellow flags: the unfavourable bands of the psychosocial questionnaires on record.

    Source      the questionnaires' own bands (questionnaires.*); which of them is a flag is a
                choice (pain.yellow_flags, questionnaires.screening.*)
    Population  adults with spinal pain
    Not for     a diagnosis of anxiety or depression; questionnaires that were not filled in
    """
    row = evidence.row("pain.yellow_flags")
    told: list[str] = []
    parts: dict[str, PartValue] = {}
    because: list[Fact] = []
    missing: list[str] = []
    rows: list[Row] = [row, evidence.row(BANDS), evidence.row(DAYS)]
    absent: list[str] = []
    without: list[str] = []
    for line in row.table:
        form, part = str(line["form"]), str(line.get("part", ""))
        found = screened(line, patient, evidence)
        name = f"{form}_{part.removesuffix('_class')}" if part else form
        if found is None:
            absent.append(form_name(form, part))
            missing.append(answers_to(form)[0])
            continue
        because += found.finding.because
        rows += [r for r in found.finding.rests_on if ".bands" in r.name]
        parts[name] = found.band
        if found.band is None:
            without.append(found.name)
            missing += found.finding.missing
        elif found.unfavourable:
            told.append(f"{found.name} {found.band.replace('_', ' ')}")
    if not because:
        return None
    parts |= {"flags": len(told), "not_on_record": ", ".join(absent) or None}
    open_ones = f" Answered in part, and open: {', '.join(without)}." if without else ""
    open_ones += f" Not on record: {', '.join(absent)}." if absent else ""
    unknown = not told and any(parts[n] is None for n in parts if n != "not_on_record")
    return Finding(
        says=f"Yellow flags: {', '.join(told) or 'none in what was answered'}.{open_ones}",
        status=Status.UNKNOWN if unknown else Status.ANSWERED,
        value=None if unknown else float(len(told)),
        unit="" if unknown else "1",
        category="present" if told else None if unknown else "none_found",
        parts=parts,
        because=tuple(dict.fromkeys(because)),
        missing=tuple(dict.fromkeys(missing)),
        rests_on=tuple(dict.fromkeys(rows)),
    )
