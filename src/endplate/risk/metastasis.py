"""Metastases of the spine: whether it is stable, and how long the person is expected to live."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.evidence import Evidence, first_met
from endplate.facts import Fact
from endplate.findings import AnyFinding, Finding, PartValue, Recommendation, Stage, Urgency
from endplate.record import Known, Patient
from endplate.risk.points import (
    Item,
    any_known,
    band,
    by_answer,
    by_fact,
    category_of,
    item,
    rows_of,
    scored,
    worth,
)
from endplate.rules import rule

# -- stability ------------------------------------------------------------------------------------

_BODY, _COLLAPSE, _INVOLVED = "sins.vertebral_body", "sins.collapse", "sins.body_involved"
_SINS = ("sins.location", "sins.pain", "sins.lesion", "sins.alignment", "sins.posterolateral")


@rule(
    "risk.sins",
    reads=(*_SINS, _BODY, _COLLAPSE, _INVOLVED),
    scores="sins",
    needs=_SINS,  # the body is told by a word or by numbers
)
def sins(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Spinal Instability Neoplastic Score: whether a tumour makes the spine unstable.

    Source      Fisher 2010 as restated (risk.sins.*)
    Population  adults with a neoplastic lesion of the spine
    Not for     survival; lesions that are no tumours
    Differs     a collapse of exactly 50 % is left open there and counted as less here; a page
                prints other points for pain
    """
    if not any_known(patient, (*_SINS, _BODY, _COLLAPSE, _INVOLVED)):
        return
    items = [item("risk.sins", what, patient, evidence) for what in _SINS]
    items.append(_vertebral_body(patient, evidence))
    found = scored("SINS", "risk.sins", items, evidence, rows=evidence.under("risk.sins.body."))
    yield found
    consult = evidence.row("risk.sins.consult")
    lowest = sum(i.least for i in items)
    if consult.met(lowest):
        yield Recommendation(
            about="consultation",
            says=f"SINS {'is' if found.value is not None else 'is at least'} {lowest:g}: a surgeon "
            f"is asked from {consult.number:g} on.",
            action="Ask a spine surgeon whether the spine has to be stabilised.",
            who="oncologist or the physician in charge",
            because=found.because,
            rests_on=(consult, evidence.row("risk.sins.accuracy")),
            stage=Stage.NOW,
            urgency=Urgency.SOON,
        )


def _vertebral_body(patient: Patient, evidence: Evidence) -> Item:
    """The item of the body: as told in a word, else by how much is collapsed and involved."""
    rows = rows_of("risk.sins", "vertebral_body", evidence)
    told = patient.latest(_BODY)
    collapse, involved = patient.latest(_COLLAPSE), patient.latest(_INVOLVED)
    if told is not None or collapse is None:
        return by_fact("vertebral_body", _BODY, told, rows)
    points = {str(line["is"]): float(line["points"]) for line in rows[0].table}
    met = first_met(evidence.under("risk.sins.body.collapse_"), collapse.number)
    if met is None and involved is None:
        word = "no_collapse_above_50_involved"
        return Item(
            name="vertebral_body", points=None, least=points["none"], most=points[word],
            because=(collapse,), missing=(_INVOLVED,), rows=rows,
        )  # fmt: skip
    because: tuple[Fact, ...] = (collapse,)
    if met is None and involved is not None:
        because = (collapse, involved)
        above = evidence.row("risk.sins.body.no_collapse_above_50_involved")
        met = above if above.met(involved.number) else None
    return worth("vertebral_body", points[category_of(met) or "none"], because, rows)


# -- survival -------------------------------------------------------------------------------------

_PRIMARY = "tumour.primary"
_SKELETAL = "tumour.skeletal_metastases"
_VISCERAL = "tumour.visceral_metastases"
_TOKUHASHI = (
    "function.karnofsky", "tokuhashi.extraspinal_bone_metastases",
    "tokuhashi.vertebral_metastases", "tokuhashi.major_organ_metastases", _PRIMARY,
    "tokuhashi.palsy",
)  # fmt: skip


@rule("risk.tokuhashi_revised", reads=_TOKUHASHI, scores="tokuhashi_revised", needs=_TOKUHASHI)
def tokuhashi_revised(patient: Patient, evidence: Evidence) -> Finding | None:
    """Revised Tokuhashi score: expected survival with metastases of the spine, 0 to 15 points.

    Source      Tokuhashi 2005 as restated (risk.tokuhashi_revised.*)
    Population  adults with metastases of the spine
    Not for     a decision by itself: treatments of single tumours have changed since
    Differs     a copied table turns the signs of the prognoses round; few points mean a short life
    """
    if not any_known(patient, _TOKUHASHI):
        return None
    score = "risk.tokuhashi_revised"
    items = [item(score, what, patient, evidence) for what in _TOKUHASHI]
    return scored("Revised Tokuhashi score", score, items, evidence)


_TOMITA = ("tomita.primary_growth", "tomita.visceral_metastases", _SKELETAL)


@rule("risk.tomita", reads=_TOMITA, scores="tomita", needs=_TOMITA)
def tomita(patient: Patient, evidence: Evidence) -> Finding | None:
    """Tomita's score: the aim of treatment for metastases of the spine, 2 to 10 points.

    Source      Tomita 2001, its points not read in a source (risk.tomita.*)
    Population  adults with metastases of the spine
    Not for     a decision by itself: the points are not verified
    """
    if not any_known(patient, _TOMITA):
        return None
    items = [item("risk.tomita", what, patient, evidence) for what in _TOMITA]
    rows = (evidence.row("risk.tomita.comparison"),)
    return scored("Tomita's score", "risk.tomita", items, evidence, rows=rows)


_BAUER = (_VISCERAL, _PRIMARY, _SKELETAL)


def _bauer_items(patient: Patient, evidence: Evidence) -> list[Item]:
    score = "risk.bauer_modified"
    primary = patient.latest(_PRIMARY)
    return [
        item(score, _VISCERAL, patient, evidence),
        *(
            by_fact(name, _PRIMARY, primary, rows_of(score, name, evidence))
            for name in ("not_lung", "favourable_primary")
        ),
        item(score, _SKELETAL, patient, evidence),
    ]


@rule("risk.bauer_modified", reads=_BAUER, scores="bauer_modified", needs=_BAUER)
def bauer_modified(patient: Patient, evidence: Evidence) -> Finding | None:
    """Modified Bauer score: the aim of treatment for metastases of the spine, 0 to 4 points.

    Source      Leithner 2008 as restated (risk.bauer_modified.*)
    Population  adults with metastases of the spine
    Not for     a decision by itself
    """
    if not any_known(patient, _BAUER):
        return None
    items = _bauer_items(patient, evidence)
    return scored("Modified Bauer score", "risk.bauer_modified", items, evidence)


_WALKS, _ALBUMIN = "function.independent_ambulation", "lab.albumin"
_STATED = "tumour.bauer_modified"
_NESMS = (_WALKS, _ALBUMIN)


@rule("risk.nesms", reads=(*_BAUER, _STATED, *_NESMS), scores="nesms", needs=_NESMS)
def nesms(patient: Patient, evidence: Evidence) -> Finding | None:
    """New England Spinal Metastasis Score: survival for a year, 0 to 3 points.

    Source      components and total as its authors restate them; one point each follows from
                that, the limits are not verified (risk.nesms.*, risk.bauer_modified.*)
    Population  adults with metastases of the spine, operated on or not
    Not for     stability of the spine, which SINS tells
    """
    if not any_known(patient, (*_BAUER, _STATED, _WALKS)):
        return None
    bauer, stated = _bauer_items(patient, evidence), patient.latest(_STATED)
    ends = (sum(i.least for i in bauer), sum(i.most for i in bauer))
    missing = tuple(dict.fromkeys(what for i in bauer for what in i.missing))
    because = tuple(dict.fromkeys(f for i in bauer for f in i.because))
    if missing and stated is not None:  # its own items go before a score that was noted
        ends, missing, because = (stated.number, stated.number), (), (stated,)
    favourable = tuple(evidence.row("risk.nesms.bauer_from").met(end) for end in ends)
    answer = "unknown" if len(set(favourable)) > 1 else "yes" if favourable[0] else "no"
    rows = rows_of("risk.nesms", "bauer", evidence)
    by_bauer = by_answer("bauer", _PRIMARY, Known(answer, because), rows)
    albumin = patient.latest(_ALBUMIN)
    enough = evidence.row("risk.nesms.albumin_from")
    fed = "unknown" if albumin is None else "yes" if enough.met(albumin.number) else "no"
    known = Known(fed, (albumin,) if albumin else ())
    items = [
        Item(
            name="bauer", points=by_bauer.points, least=by_bauer.least, most=by_bauer.most,
            because=because, missing=missing, rows=rows,
        ),
        item("risk.nesms", _WALKS, patient, evidence),
        by_answer("albumin", _ALBUMIN, known, rows_of("risk.nesms", "albumin", evidence)),
    ]  # fmt: skip
    parts: dict[str, PartValue] = {"bauer_modified": None if missing else ends[0]}
    group = None if missing else band("risk.bauer_modified", ends[0], evidence)
    parts["bauer_modified_group"] = category_of(group)
    return scored(
        "NESMS", "risk.nesms", items, evidence, parts=parts,
        rows=(
            enough, evidence.row("risk.nesms.bauer_from"), evidence.row("risk.nesms.mortality"),
            evidence.row("risk.nesms.comparison"),
        ),
    )  # fmt: skip
