"""The report: one self-contained HTML page that renders the findings and adds nothing to them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from endplate import __version__, vocabulary
from endplate.evidence import Citation, Evidence, Row
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding, Stage
from endplate.plan.care_plan import CarePlan
from endplate.record import PatientRecord
from endplate.report.alignment import Section
from endplate.report.bone import bone_panels
from endplate.report.charts import ladder, ladder_table
from endplate.report.geometry import geometry_tables
from endplate.report.rooms import rooms
from endplate.report.values import fact_value
from endplate.rules import rows_of

STAGES = {
    Stage.RED_FLAGS: "Red flags",
    Stage.NOW: "Now",
    Stage.BEFORE_SURGERY: "Before surgery",
    Stage.DURING_SURGERY: "During surgery",
    Stage.AFTER_SURGERY: "After surgery",
    Stage.WITHOUT_SURGERY: "With or without surgery",
    Stage.BACKGROUND: "Background: scores and guidelines side by side",
}

# What a mark in the evidence means, in words a reader understands.
MARKS = {
    "V": "read in the source",
    "VC": "read in public code, not in the paper",
    "seed": "read in the review named",
    "U-H": "not yet verified in the source",
    "D": "derived by arithmetic from numbers read",
    "choice": "a choice of this project",
    "clinic": "the clinic's own",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for the report: PNG or SVG bytes, what it shows, and its text alternative."""

    name: str
    content: bytes
    caption: str
    alt: str

    @property
    def data_address(self) -> str:
        """The picture as a data: address, so that the page needs no other file."""
        kind = "svg+xml" if self.content.lstrip().startswith(b"<") else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True, slots=True)
class ReportInput:
    """All that a report renders."""

    record: PatientRecord
    findings: tuple[AnyFinding, ...]
    plan: CarePlan
    evidence: Evidence
    problems: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()
    pictures: tuple[Picture, ...] = ()
    alignment: Section | None = None
    title: str = "Care plan"
    synthetic: bool = False


def html(report: ReportInput, *, unfolded: bool = False) -> str:
    """The page as text.

    Parameters
    ----------
    report
        What is rendered.
    unfolded
        Whether the reasons stand open, as on paper.
    """
    patient = report.record.known_on(report.plan.on)
    panels = bone_panels(patient, report.evidence)
    by_key = {f.key: f for f in report.findings}
    stages = [
        (stage.value, title, [by_key[k] for k in report.plan.stages[stage.value]])
        for stage, title in STAGES.items()
    ]
    return template("report.html.j2").render(
        report=report,
        version=__version__,
        patient=patient,
        banner=_banner(report),
        stages=[one for one in stages if one[-1]],
        chart=Markup(ladder(panels)) if panels else "",  # our own SVG, its texts escaped there
        chart_table=ladder_table(panels),
        drawn={f.name: Markup(f.svg) for f in report.alignment.figures} if report.alignment else {},
        geometry=geometry_tables(patient),
        rooms=rooms(patient, report.findings),
        sources=_sources(report),
        unfolded=unfolded,
    )


def pdf(report: ReportInput) -> bytes:
    """The page as PDF.

    Raises
    ------
    InputProblem
        If the optional part for PDF is not installed, or its system library is missing.
    """
    try:
        from weasyprint import HTML  # noqa: PLC0415 - an optional part
    except (ImportError, OSError) as problem:
        raise InputProblem(
            f"PDF: cannot be written. It needs the optional part endplate[pdf] and the Pango "
            f"library; {type(problem).__name__}. Install both, or print the HTML page from a "
            f"browser."
        ) from None
    return bytes(HTML(string=html(report, unfolded=True)).write_pdf())


@cache
def template(name: str) -> Any:
    """A template of this package, with what ours need to print facts and evidence."""
    environment = Environment(
        loader=PackageLoader("endplate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fact_name": fact_name,
        "fact_value": fact_value,
        "concept_name": concept_name,
        "rows_of": rows_of,
        "mark": lambda row: MARKS.get(row.mark, row.mark or "no mark"),
        "places": _places,
        "is_day": re.compile(r"\d{4}-\d\d-\d\d").fullmatch,
    }
    return environment.get_template(name)


def concept_name(what: str) -> str:
    """What a clinician calls a concept; its id where the vocabulary has no name."""
    known = vocabulary.concepts().get(what)
    return known.name if known else what


def fact_name(fact: Fact) -> str:
    """A fact's concept with its level and side, and the wording that a clinic's form has for it."""
    place = " ".join(p for p in (fact.level, fact.side) if p)
    name = f"{concept_name(fact.what)}, {place}" if place else concept_name(fact.what)
    return f"{name}: {fact.details['question']}" if "question" in fact.details else name


def _places(row: Row) -> str:
    """A row's sources with the places in them."""
    return "; ".join(_place(c) for c in row.cites)


def _place(citation: Citation) -> str:
    return f"{citation.key} ({citation.where})" if citation.where else citation.key


def _banner(report: ReportInput) -> Mapping[str, str]:
    """Age, sex and the intended operation: what a reader checks before reading on."""
    patient = report.record.known_on(report.plan.on)
    intent = patient.intent
    operation = [
        (intent.procedure or "").replace("_", " "),
        str(intent.span or ""),
        f"on {intent.day}" if intent.day else "",
    ]
    return {
        "Age": f"{patient.age.number:.0f} years" if patient.age else "unknown",
        "Sex": patient.sex or "unknown",
        "Intended operation": " ".join(p for p in operation if p) or "none given",
        "Plan for": str(report.plan.on),
    }


def _sources(report: ReportInput) -> list[tuple[str, Any]]:
    """Every reference that a finding of this report rests on."""
    keys = {c.key for f in report.findings for row in rows_of(f) for c in row.cites}
    known = report.evidence.references
    return [(key, known.get(key)) for key in sorted(keys)]
