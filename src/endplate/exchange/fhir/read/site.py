"""Where in the body a resource says it is: vertebral level, side, densitometry region.

A wrong level or side can harm: what is not said unambiguously stays unknown, and what is taken
from running text instead of a body site is marked doubtful.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from endplate import levels, vocabulary
from endplate.exchange.fhir.read.elements import Codeable, Target, clipped
from endplate.facts import Side
from endplate.vocabulary import Concept

SNOMED = vocabulary.CODE_SYSTEMS["snomed"]
_SIDES: dict[str, Side] = {"7771000": "left", "24028007": "right"}  # DICOM PS3.16, CID 244

# In running text a "D3" is a vitamin and a "T2" may be a weighting.
_LEVEL = re.compile(
    r"(?<![A-Za-z0-9])(?:Th|[CTLS])\d{1,2}(?:\s*(?:-|–|/|to)\s*(?:Th|[CTLS])?\d{1,2})?"
    r"(?![A-Za-z0-9*])(?!\s*-?\s*(?:weighted|signal|relax|map))"
)
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth",
)  # fmt: skip
_IN_WORDS = re.compile(
    rf"\b({'|'.join(_ORDINALS)})\s+(cervical|thoracic|lumbar|sacral)\s+vertebra", re.IGNORECASE
)
_WORD_OF_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)

# The region of a densitometry result by the words for it; the words of another region that
# looks alike (ultradistal, trochanter) make the text ambiguous.
_REGIONS = {
    "femoral_neck": r"femoral neck|femur neck|neck of (?:the )?femur",
    "total_hip": r"total hip|hip,? total|total (?:proximal )?femur",
    "lumbar_spine": r"lumbar spine|lumbar vertebra\w*|spine,? lumbar|\bL1\s*(?:-|–|to)\s*L?[2-4]\b",
    "distal_radius": (
        r"(?<!ultra)(?<!ultra )(?<!ultra-)distal (?:third (?:of )?(?:the )?)?radius"
        r"|radius,? (?:1/3|33 ?%|one[- ]third|distal third)|(?:1/3|33 ?%|one[- ]third) radius"
    ),
    "": r"ultra[- ]?distal|\bUD\b|trochanter|ward|intertrochanteric|whole body|total body|heel|"
    r"calcane",
}
_REGION_WORDS = {name: re.compile(words, re.IGNORECASE) for name, words in _REGIONS.items()}


class Place(NamedTuple):
    """One place in the body, as far as it is said."""

    level: str | None = None
    side: Side | None = None
    region: str = ""
    text: str = ""


NOWHERE = Place()


@lru_cache(maxsize=4096)
def place(site: Codeable) -> Place:
    """The place that one body site names by its codes, or else by its words."""
    regions, sides = [], []
    for coding in site.codings:
        known = vocabulary.body_sites().get((coding.system, coding.code))
        if known is not None:
            regions.append(known.site)
        if coding.system == SNOMED and coding.code in _SIDES:
            sides.append(_SIDES[coding.code])
    text = site.words
    if not regions:
        regions = [r for t in site.texts for r in (level_in(t) or region_in(t),) if r]
    found = set(regions)
    region = found.pop() if len(found) == 1 else ""
    level = region if region[:1] in "CTLS" and region else None
    side = sides[0] if len(set(sides)) == 1 else _side_in(site.texts) if not sides else None
    return Place(level, side, "" if level else region, text)


def _side_in(texts: tuple[str, ...]) -> Side | None:
    said = {m.lower() for t in texts for m in _WORD_OF_SIDE.findall(t)}
    if len(said) != 1:
        return None
    return "left" if "left" in said else "right"


@lru_cache(maxsize=4096)
def level_in(text: str) -> str:
    """The one level or span that stands in a text; empty where there is none or are several."""
    try:
        return levels.canonical(text)
    except ValueError:
        found = set()
    for written in _LEVEL.findall(clipped(text)):
        try:
            found.add(levels.canonical(written))
        except ValueError:
            continue
    if "disc" not in text.lower() and "disk" not in text.lower():
        for ordinal, region in _IN_WORDS.findall(clipped(text)):
            nth = _ORDINALS.index(ordinal.lower()) + 1
            try:
                found.add(levels.canonical(f"{region[0].upper()}{nth}"))
            except ValueError:
                continue
    return found.pop() if len(found) == 1 else ""


@lru_cache(maxsize=4096)
def region_in(text: str) -> str:
    """The one densitometry region that a text names; empty where none or several are named."""
    found = {name for name, words in _REGION_WORDS.items() if words.search(clipped(text))}
    return found.pop() if len(found) == 1 else ""


# -- densitometry -----------------------------------------------------------------------------

_DENSITOMETRY = ("bone.t_score.", "bone.z_score.", "bone.mineral_density.")
_HIP = frozenset({"femur", "femoral_neck", "total_hip"})
_BY_WORDS = "the site was taken from the words of the code or method"
_UNLIKE = "its code and its body site name different sites"
_UNLIKE_HIP = "its code says hip and its body site femoral neck: taken as femoral neck"


def is_densitometry(concept: Concept) -> bool:
    """Whether the concept is a T-score, Z-score or density, and so needs a site."""
    return concept.id.startswith(_DENSITOMETRY)


def densitometry(target: Target, body: Place, words: tuple[str, ...]) -> Target:
    """The concept of a densitometry result at its site, with what is doubtful of the site.

    Parameters
    ----------
    target
        What the code says, possibly ``….site_unknown``.
    body
        What the body site says.
    words
        Texts of the code and method, asked only where neither says the site.
    """
    family, coded = target.id.rsplit(".", 1)
    doubts = target.doubts
    said = body.region
    if body.level is not None:
        said = _spine_site(body.level)
    elif coded == "site_unknown" and not said:
        said = _region_of(words)
        doubts += (_BY_WORDS,) if said else ()
    if (
        said in ("", coded)
        or (coded in _HIP and said in _HIP and said != "femoral_neck")
        or (coded, said) == ("distal_radius", "forearm")
    ):
        site = coded if coded != "femur" or said != "total_hip" else said
    elif coded in ("site_unknown", "femur") or (coded, said) == ("lumbar_spine", "vertebra"):
        site = said
    elif coded == "total_hip" and said == "femoral_neck":
        site, doubts = said, (*doubts, _UNLIKE_HIP)
    else:
        site, doubts = "site_unknown", (*doubts, _UNLIKE)
    concept = vocabulary.concepts().get(f"{family}.{site}")
    if concept is None:
        concept = vocabulary.concept(f"{family}.site_unknown")
    return Target(concept, target.side, doubts)


def _spine_site(level: str) -> str:
    span = levels.span(level)
    if span.first.region != "L" or span.last.region != "L":
        return "elsewhere"
    return "vertebra" if span.first == span.last else "lumbar_spine"


def _region_of(words: tuple[str, ...]) -> str:
    found = {region_in(text) for text in words} - {""}
    return found.pop() if len(found) == 1 else ""
