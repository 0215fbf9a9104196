"""Questionnaires as screens: what an answered form says, and whether that is unfavourable.

Which bands of which form are unfavourable stands once, in the evidence; the rooms that screen with
forms add only which of them they look at, and where a milder band counts for them as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from endplate import rules
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import AnyFinding
from endplate.questionnaires.instrument import instruments
from endplate.record import Patient

BANDS, DAYS = "questionnaires.screening.unfavourable", "questionnaires.screening.days"


class Answered(Struct, frozen=True, kw_only=True):
    """A form, or a scale of it, that was answered: its score and band, None where they are open.

    `unfavourable` is None where the band is open, or the form is no screen.
    """

    form: str
    name: str
    score: float | None
    band: str | None
    finding: AnyFinding
    unfavourable: bool | None = None

    @property
    def says(self) -> str:
        """Name, score and band, as they stand in a sentence."""
        number = "" if self.score is None else f" {self.score:g}"
        word = self.band.replace("_", " ") if self.band else "no class"
        return f"{self.name}{number} ({word})"


def answers_to(*forms: str) -> tuple[str, ...]:
    """The concepts by which forms are answered: their scores first, then their items."""
    found = [instruments()[form] for form in forms]
    scores = [what for i in found for what in i.noted.values()]
    return (*scores, *(item for i in found for item in i.items))


def form_name(form: str, part: str = "") -> str:
    """What a form is called, or the scale of it whose band is `part`."""
    title = instruments()[form].title
    return f"{title}, {part.removesuffix('_class').replace('_', ' ')}" if part else title


def answered(
    form: str, patient: Patient, evidence: Evidence, part: str = "", also: Iterable[str] = ()
) -> Answered | None:
    """What a form says, or the scale whose band is `part`; None where it was not answered.

    `also` are bands that count as unfavourable beside those of the evidence.
    """
    found = next(iter(rules.named(f"questionnaires.{form}")(patient, evidence)), None)
    if found is None:
        return None
    score = found.parts.get(part.removesuffix("_class")) if part else found.value
    band = found.parts.get(part) if part else found.category
    bands = next(
        (line["is"] for line in evidence.row(BANDS).table
         if line["form"] == form and line.get("part", "") == part),
        None,
    )  # fmt: skip
    return Answered(
        form=form,
        name=form_name(form, part),
        score=None if score is None else float(score),
        band=None if band is None else str(band),
        finding=found,
        unfavourable=None if band is None or bands is None else band in (*bands, *also),
    )


def screened(line: Mapping[str, Any], patient: Patient, evidence: Evidence) -> Answered | None:
    """What the form of a line of evidence says; None where not answered, or too long ago."""
    found = answered(
        str(line["form"]), patient, evidence, str(line.get("part", "")), line.get("also", ())
    )
    if found is None or not _still_counts(found.finding.because, patient, evidence):
        return None
    return found


def _still_counts(facts: Iterable[Fact], patient: Patient, evidence: Evidence) -> bool:
    days = [(patient.on - f.on).days for f in facts if f.on is not None]
    return not days or evidence.row(DAYS).met(min(days))
