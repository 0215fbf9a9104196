"""Measurement reports (DICOM TID 1500) as facts: our own, and what is understood of others'.

A measurement is understood where its name, or its method, is one of the vocabulary. What is not
becomes one line for each document and reason. A report of our own comes back as it was written.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from endplate import codec, levels, vocabulary
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom.acquisition import iso_day
from endplate.exchange.dicom.files import Unreadable, header
from endplate.exchange.dicom.series import Identity, identity, person
from endplate.exchange.intake import Intake, Understood
from endplate.facts import Side
from endplate.levels import Column, Span
from endplate.posture import Posture
from endplate.vocabulary import Concept

# The coding schemes of DICOM that the vocabulary holds codes of.
_SYSTEMS = {"LN": "loinc", "SCT": "snomed"}
# Names that a line about what was left aside lists at most.
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Report:
    """One document: whose it is, and what was understood of it."""

    source: str
    identity: Identity = field(repr=False)
    understood: Understood


def read_report(path: Path, today: date | None = None) -> Report:
    """What one structured report says.

    Parameters
    ----------
    today
        Facts dated after this day are refused; None accepts every date.

    Raises
    ------
    Unreadable
        If the file is broken.
    """
    try:
        head = header(path)
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings print values
            intake = Intake(today)
            source = f"SOPInstanceUID {head.text('SOPInstanceUID') or 'unknown'}"
            data = dcmread(path)
            if is_cut_off(data, path):
                raise Unreadable("dicom.report_unreadable", "The structured report is cut off.")
            _Reading(data, source, intake).all()
            whose = identity(path)
            if intake.facts:
                person(whose, source, intake)
    except Unreadable:
        raise
    except Exception as problem:  # pydicom answers broken bytes with many kinds of exceptions
        raise Unreadable(
            "dicom.report_unreadable",
            f"The structured report is broken ({type(problem).__name__}).",
        ) from None
    return Report(source, whose, intake.understood())


_UNDEFINED = 0xFFFFFFFF
_END_OF_SEQUENCE = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


def is_cut_off(data: Dataset, path: Path) -> bool:
    """Whether the file ends before its last element does, of which pydicom says nothing."""
    elements = [data.get_item(tag) for tag in data.keys()]  # noqa: SIM118 - items would be decoded
    raw = [e for e in elements if isinstance(e, RawDataElement)]
    if any(e.value is not None and len(e.value) < e.length != _UNDEFINED for e in raw):
        return True
    last = elements[-1]
    if isinstance(last, RawDataElement) or last is None or not last.is_undefined_length:
        return False
    return not path.read_bytes().endswith(_END_OF_SEQUENCE)


# -- content items -----------------------------------------------------------------------------


_NOTHING = Code("", "", "")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One content item with what stands under it."""

    name: Code
    data: Dataset
    children: tuple[Item, ...]

    @classmethod
    def of(cls, data: Dataset) -> Item:
        """The tree of content items under one of them."""
        under = tuple(cls.of(one) for one in data.get("ContentSequence") or ())
        return cls(_coded(data, "ConceptNameCodeSequence"), data, under)

    @property
    def kind(self) -> str:
        """The value type, such as ``NUM``."""
        return str(self.data.get("ValueType", ""))

    @property
    def code(self) -> Code:
        """The value of a coded item."""
        return _coded(self.data, "ConceptCodeSequence")

    @property
    def text(self) -> str:
        """The value of an item of text; empty where it has none."""
        return str(self.data.get("TextValue") or "")

    @property
    def number(self) -> tuple[float | None, Code]:
        """A number, as exactly as the document holds it, and its unit."""
        for one in self.data.get("MeasuredValueSequence") or ():
            exact = one.get("FloatingPointValue")
            number = one.get("NumericValue") if exact is None else exact
            if isinstance(number, int | float | Decimal):
                return float(number), _coded(one, "MeasurementUnitsCodeSequence")
        return None, _NOTHING

    def under(self, *names: Code) -> list[Item]:
        """The items below that bear one of these names."""
        return [one for one in self.children if one.name in names]

    def texts(self, name: Code) -> list[str]:
        """The texts below that bear a name."""
        return [one.text for one in self.under(name)]


def _coded(item: Dataset, keyword: str) -> Code:
    """The code under an element; empty where there is none."""
    for one in item.get(keyword) or ():
        value = one.get("CodeValue") or one.get("LongCodeValue") or one.get("URNCodeValue") or ""
        meaning = str(one.get("CodeMeaning", ""))
        return Code(str(value), str(one.get("CodingSchemeDesignator", "")), meaning)
    return _NOTHING


# -- a document --------------------------------------------------------------------------------


class _Reading:
    """One document on its way to facts."""

    def __init__(self, data: Dataset, source: str, intake: Intake) -> None:
        self.root = Item.of(data)
        self.source = source
        self.intake = intake
        self.on = _day(self.root)
        self._left: dict[str, dict[str, int]] = {}

    def all(self) -> None:
        """Everything in the document; what is left aside is noted at the end."""
        measurements = self.root.under(named.MEASUREMENTS)
        for container in measurements:
            for item in container.children:
                if item.name == named.GROUP:
                    self._group(item)
                else:
                    self._leave("it stands in no measurement group", item)
        if not measurements:
            title = self.root.name.meaning or "without a title"
            self.intake.ignore(
                "dicom.report_without_measurements",
                f"The structured report ({title}) is no measurement report and was left aside.",
                self.source,
            )
        for why, names in self._left.items():
            count = sum(names.values())
            listed = ", ".join(list(names)[:_MOST_NAMED])
            more = ", ..." if len(names) > _MOST_NAMED else ""
            self.intake.ignore(
                "dicom.report_not_understood",
                f"{count} {'entry' if count == 1 else 'entries'} of the measurement report "
                f"left aside, because {why}: {listed}{more}.",
                self.source,
            )

    def _leave(self, why: str, item: Item) -> None:
        names = self._left.setdefault(why, {})
        name = item.name
        word = name.meaning or name.value or "without a name"
        names[word] = names.get(word, 0) + 1

    def _group(self, group: Item) -> None:
        for item in group.children:
            is_said = (
                item.kind in ("CODE", "TEXT")
                and item.data.get("RelationshipType") == "CONTAINS"
                and item.name not in (named.FINDING, named.FINDING_CATEGORY)
            )
            is_number = item.kind == "NUM" and item.name != named.LANDMARK_ERROR
            if is_said or is_number:
                self._entry(item, group)

    def _entry(self, item: Item, group: Item) -> None:
        """One measurement or evaluation as a fact."""
        concept, is_own = _concept(item)
        is_number = item.kind == "NUM"
        if concept is None or is_number != (concept.kind == "number"):
            self._leave("Endplate has no concept for it", item)
            return
        number, unit = item.number
        value = number if is_number else _word(item)
        if value is None:
            self._leave("it holds no value", item)
            return
        if unit.value and unit.scheme_designator != "UCUM":
            self._leave("its unit is not in UCUM", item)
            return
        place = _place(item, group)
        if place is None:
            self._leave("its sites are no one level or side", item)
            return
        besides = _besides(item) if is_own else {}
        algorithm = _algorithm(item) or _algorithm(group)
        self.intake.take(
            concept,
            value,
            source=self.source,
            unit=unit.value,
            on=self.on,
            level=place[0],
            side=place[1],
            method=algorithm,
            # What share of cases another's uncertainty covers, 95 % or less, is not known.
            interval=_interval(item, number) if is_own and number is not None else None,
            **besides,
        )


def _day(root: Item) -> date | None:
    """The day of the images, or else that of the study."""
    libraries = root.under(named.IMAGE_LIBRARY)
    groups = [one for library in libraries for one in (library, *library.children)]
    entries = [one for group in groups for one in (group, *group.children)]
    for name in (named.ACQUISITION_DATE, named.STUDY_DATE):
        found = [item for entry in entries for item in entry.under(name)]
        days = {iso_day(str(item.data.get("Date", ""))) for item in found}
        if len(days) == 1:
            return days.pop()
    return iso_day(str(root.data.get("StudyDate", "")))


# -- one entry ---------------------------------------------------------------------------------


def _concept(item: Item) -> tuple[Concept | None, bool]:
    """What an entry is about, and whether it is coded as ours are."""
    methods = [one.code for one in item.under(named.METHOD)]
    for code in (*methods, item.name):
        if code.scheme_designator == named.SCHEME:
            return vocabulary.concepts().get(named.meant(code.value)), True
    name = item.name
    system = _SYSTEMS.get(name.scheme_designator)
    known = system and vocabulary.coded(vocabulary.CODE_SYSTEMS[system], name.value)
    return (vocabulary.concepts().get(known.concept) if known else None), False


def _word(item: Item) -> str | bool | None:
    """What an evaluation says: yes or no, a category, or a text."""
    if item.kind == "TEXT":
        return item.text or None
    code = item.code
    for is_so, word in named.YES_NO.items():
        if code == word:
            return is_so
    if code.scheme_designator == named.SCHEME:
        return named.meant(code.value).rpartition(":")[2] or None
    return None


def _place(item: Item, group: Item) -> tuple[str | None, Side | None] | None:
    """Level and side of an entry, its own before its group's; None where they are ambiguous."""
    about = item if item.under(named.FINDING_SITE) else group
    sites = about.under(named.FINDING_SITE)
    sides = [one.code for holder in (*sites, about, item) for one in holder.under(named.LATERALITY)]
    lateral = {side for code in sides if (side := side_of(code))}
    found = {level for site in sites if (level := level_of(site.code))}
    spans = about.texts(named.SPAN)
    try:
        level = levels.canonical(spans[0]) if spans else _span(found)
    except ValueError:
        return None
    if len(lateral) > 1:
        return None
    return level, next(iter(lateral), None)


def side_of(code: Code) -> Side | None:
    """The side that a code is, if it is one."""
    for side, known in named.SIDES.items():
        if code == known:
            return side
    return None


@lru_cache(maxsize=1024)
def level_of(code: Code) -> str | None:
    """The level that a finding site is, if it is one."""
    if code.scheme_designator == named.SCHEME:
        return code.value.removeprefix(named.LEVEL)
    for one in vocabulary.body_sites().values():
        is_level = one.site[:1] in "CTLS" and one.system == "snomed"
        if is_level and code == Code(one.code, "SCT", one.display):
            return one.site
    return None


def _span(found: set[str]) -> str | None:
    """One level from the levels of several sites, which must follow each other.

    Raises
    ------
    ValueError
        If they do not.
    """
    if len(found) < 2:
        return next(iter(found), None)
    vertebrae = sorted(levels.level(one) for one in found)
    run = Span(vertebrae[0], vertebrae[-1])
    if list(Column.of(vertebrae).within(run)) != vertebrae:
        raise ValueError("The sites do not follow each other.")
    return str(run)


def _algorithm(item: Item) -> str | None:
    name, version = item.texts(named.ALGORITHM_NAME), item.texts(named.ALGORITHM_VERSION)
    if not name:
        return None
    return name[0] if version in ([], [named.NO_VERSION]) else f"{name[0]}/{version[0]}"


def _interval(item: Item, value: float) -> tuple[float, float] | None:
    """The interval that upper and lower uncertainty stand for, exact to the last written digit."""
    ends = []
    for name, sign in ((named.LOWER, -1), (named.UPPER, 1)):
        apart = [number for one in item.under(name) if (number := one.number[0]) is not None]
        if not apart:
            return None
        ends.append(float(Decimal(repr(value)) + sign * Decimal(repr(apart[0]))))
    return ends[0], ends[1]


def _besides(item: Item) -> dict[str, Any]:
    """What an entry of our own has besides its value: posture, doubts and details."""
    postures = [p for p in item.texts(named.POSTURE) if p in set(Posture)]
    written = item.texts(named.DETAILS)
    return {
        "posture": Posture(postures[0]) if postures else None,
        "doubts": tuple(item.texts(named.DOUBT)),
        "details": codec.decode(written[0], dict[str, float | str]) if written else None,
    }
