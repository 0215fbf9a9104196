"""Treatments by kind and mechanism of pain: what each guideline holds, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Stage, Status
from endplate.pain.mechanism import (
    CHRONIC,
    CHRONIC_LOW_BACK,
    DURATION,
    is_chronic,
    pain_mechanism,
)
from endplate.pain.red_flags import emergency, held_back
from endplate.record import Patient
from endplate.rules import rule

_PRESENTATION = "pain.presentation"
_NAMED = "pain.mechanism_named"
_HOLDERS: Mapping[str, str] = {
    "acp2017": "ACP 2017", "nice_ng59": "NICE NG59", "who2023": "WHO 2023",
    "nice_cg173": "NICE CG173", "general": "as generally held",
}  # fmt: skip
_FAVOURS = frozenset({"for", "second_line", "consider", "last"})
_TITLES: Mapping[str, str] = {
    "low_back_pain_acute": "low back pain that is not chronic",
    "low_back_pain_chronic": "chronic low back pain",
    "sciatica_acute": "sciatica that is not chronic",
    "sciatica_chronic": "chronic sciatica",
    "neuropathic": "neuropathic pain in general",
    "nociplastic": "nociplastic pain",
}


@rule(
    "pain.treatments",
    reads=tuple(dict.fromkeys((_PRESENTATION, _NAMED, DURATION, CHRONIC, *pain_mechanism.reads))),
    scores="pain_treatments",
    needs=(_PRESENTATION,),
    begins=("pain.",),
)
def treatments(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """What guidelines hold of treatments for this kind of pain and mechanism, side by side.

    Source      ACP 2017, NICE NG59 and CG173, WHO 2023 (pain.treatment.*); ACP and WHO not read
    Population  adults with low back pain, sciatica, neuropathic or nociplastic pain
    Not for     choosing a medicine; children; pain with an open red flag
    Differs     duloxetine, tramadol and other opioids in chronic low back pain: never ranked
    """
    first = emergency(patient, evidence)
    if first is not None:
        yield held_back("Treatments", first, (evidence.row("pain.treatment.never_ranked"),))
        return
    kind = patient.latest(_PRESENTATION)
    noted = patient.has(CHRONIC_LOW_BACK)
    word = str(kind.value) if kind else "low_back_pain" if noted.yes else ""
    chronic = is_chronic(patient, evidence)
    mechanism = next(iter(pain_mechanism(patient, evidence)), None)
    facts = (*((kind,) if kind else noted.because), *chronic.because)
    if word in ("low_back_pain", "sciatica"):
        ways = {"yes": ("chronic",), "no": ("acute",), "unknown": ("acute", "chronic")}
        for lasting in ways[chronic.answer]:
            missing = (DURATION,) if chronic.unknown else ()
            yield from _side_by_side(
                f"{word}_{lasting}", tuple(dict.fromkeys(facts)), missing, evidence
            )
    named = patient.latest(_NAMED)  # a clinician's word, where the criteria give none or another
    for name in ("neuropathic", "nociplastic"):
        by_word = named is not None and named.value in (name, "mixed")
        graded = mechanism.parts.get(name) if mechanism else None
        if graded in (None, "unlikely", "not_met") and not by_word:
            continue
        if name == "neuropathic" and word == "sciatica":
            continue  # what holds for neuropathic pain in general does not hold for sciatica
        missing = (_PRESENTATION,) if name == "neuropathic" and kind is None else ()
        because = (
            *((named,) if named is not None and by_word else ()),
            *(mechanism.because if mechanism else ()),
        )
        yield from _side_by_side(name, because, missing, evidence)


def _side_by_side(
    about: str, because: tuple[Fact, ...], missing: tuple[str, ...], evidence: Evidence
) -> Iterator[Finding]:
    """All positions on one kind of pain; then each treatment on which they disagree."""
    rows = evidence.under(f"pain.treatment.{about}.")
    by_treatment: dict[str, dict[Row, str]] = {}
    for row in rows:
        for line in row.table:
            by_treatment.setdefault(str(line["treatment"]), {})[row] = str(line["position"])
    apart = [name for name, held in by_treatment.items() if _disagree(held)]
    parts: dict[str, PartValue] = {
        name: "guidelines disagree" if name in apart else " / ".join(
            dict.fromkeys(word.replace("_", " ") for word in held.values())
        )
        for name, held in by_treatment.items()
    }  # fmt: skip
    conflict = f" Guidelines disagree on {', '.join(apart)}." if apart else ""
    title, ranked = _TITLES[about], evidence.row("pain.treatment.never_ranked")
    open_one = " if it is" if missing else ""
    yield Finding(
        says=f"Treatments for {title}{open_one}: {_listed(parts)}.{conflict}",
        about=about, category="guidelines_disagree" if apart else "guidelines_agree", parts=parts,
        because=because, missing=missing, rests_on=(ranked,),
        positions=tuple(Position(holder=_holder(r), says=r.says, rests_on=(r,)) for r in rows),
        limits=tuple(f"Not for: {r.not_for}" for r in rows if r.not_for) or (
            "A list of positions, not a choice among them.",),
        stage=Stage.WITHOUT_SURGERY,
    )  # fmt: skip
    for name in apart:
        held = by_treatment[name]
        told = "; ".join(f"{_holder(r)}: {w.replace('_', ' ')}" for r, w in held.items())
        yield Finding(
            says=f"Guidelines disagree on {name} for {title}{open_one}: {told}.",
            about=f"{about}.{name.replace(' ', '_')}", category="guidelines_disagree",
            because=because, missing=missing, rests_on=(ranked,), status=Status.ANSWERED,
            positions=tuple(
                Position(holder=_holder(r), says=w.replace("_", " "), rests_on=(r,))
                for r, w in held.items()
            ),
            stage=Stage.WITHOUT_SURGERY,
        )  # fmt: skip


def _holder(row: Row) -> str:
    return _HOLDERS[row.last_name]


def _disagree(held: Mapping[Row, str]) -> bool:
    return "against" in held.values() and any(word in _FAVOURS for word in held.values())


def _listed(parts: Mapping[str, PartValue]) -> str:
    """For and against, in words; what is disputed and not judged is told apart."""
    spoken: dict[str, list[str]] = {}
    for name, word in parts.items():
        way = "against" if word == "against" else "not judged" if word == "not judged" else "for"
        if word != "guidelines disagree":
            spoken.setdefault(way, []).append(name if way != "for" or word == "for"
                                              else f"{name} ({word})")  # fmt: skip
    return "; ".join(f"{way}: {', '.join(names)}" for way, names in spoken.items())
