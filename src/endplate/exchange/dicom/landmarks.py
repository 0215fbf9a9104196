"""Landmarks marked in DICOM objects: structured reports and presentation states.

Of a report every image coordinate (SCOORD) counts, of a presentation state every graphic with its
text. Both count columns and rows from the upper left corner of the picture: (0, 0) there, and
(0.5, 0.5) in the middle of its first pixel (PS3.3 C.18.6, C.10.5). What names a mark is a text or
the meaning of a code that stands with it; of several that are landmarks and not the same one, none
is taken.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from endplate import codec
from endplate.alignment.landmarks import ENDS, PLATES, VIEWS, names
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom.files import META_BYTES, Unreadable, header, refuse_deflated
from endplate.exchange.dicom.report_reading import Item, is_cut_off, level_of, side_of
from endplate.exchange.dicom.series import Identity, identity

_REPORT = "1.2.840.10008.5.1.4.1.1.88."
_PRESENTATION = "1.2.840.10008.5.1.4.1.1.11."
_NAMING = (named.TRACKING_IDENTIFIER, named.FINDING, named.COMMENT)
# A text belongs to the graphic that its anchor lies on, within this distance in pixels.
_ON = 1.0
# No document has more items inside one another, and no picture more pixels a side.
_DEEPEST, _LARGEST = 64, 1e6

Place = tuple[float, float]
Kind = Literal["point", "line", "round"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that was marked on an image, and the landmark that it is named as.

    Attributes
    ----------
    name
        A landmark's name; of a line that of the endplate: ``L1 superior_endplate``.
    at
        Column and row of its point, of the middle of what is round, of both ends of a line.
    error
        Standard error of a coordinate in pixels, where the object tells it.
    """

    name: str
    kind: Kind
    at: tuple[Place, ...]
    error: float | None = None


@dataclass(slots=True)
class Marks:
    """What one DICOM object marks.

    Attributes
    ----------
    on
        SOP Instance UID of an image → its marks.
    says
        SOP Instance UID → what the object says of that radiograph, if it is a report of ours.
    left
        Reason → how many marks it made be left aside.
    """

    identity: Identity = field(repr=False)
    on: dict[str, list[Mark]] = field(default_factory=dict)
    says: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def leave(self, why: str) -> None:
        """Count a mark that is left aside."""
        self.left[why] = self.left.get(why, 0) + 1


def read(path: Path) -> Marks:
    """What a structured report or a presentation state marks.

    Raises
    ------
    Unreadable
        If it is neither, or broken.
    """
    file = header(path)
    is_report = file.kind.startswith(_REPORT)
    if not is_report and not file.kind.startswith(_PRESENTATION):
        raise Unreadable(
            "dicom.no_marks", "It is neither a structured report nor a presentation state."
        )
    try:
        with path.open("rb") as opened:
            refuse_deflated(opened.read(META_BYTES))
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings print values
            data = dcmread(path, force=True)
            if is_cut_off(data, path):
                raise Unreadable("dicom.cut_off", "The file is cut off.")
            found = Marks(identity(path))
            (_report if is_report else _presentation)(data, found)
    except Unreadable:
        raise
    except Exception as problem:  # pydicom answers broken bytes with many kinds of exceptions
        raise Unreadable(
            "dicom.unreadable", f"The file is broken ({type(problem).__name__})."
        ) from None
    return found


# -- names ------------------------------------------------------------------------------------


@cache
def _spoken() -> Mapping[str, str]:
    """Every name of a landmark, or of an endplate as a line, by its words without punctuation."""
    points = {name for view in VIEWS for name in names(view)}
    found = {_words(name): name for name in points}
    for name in points:
        stem, _, end = name.partition(".")
        if stem.endswith(PLATES):
            found[_words(stem)] = stem
            found[_words(stem).removesuffix(" endplate")] = stem
            found[f"{_words(stem).removesuffix(' endplate')} {end}"] = name
        elif end == "centre":
            found.setdefault(_words(stem), name)
    return found


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _named(texts: Iterable[str], level: str = "", side: str = "") -> str | None:
    """The one landmark or endplate that some texts name; None where they name none or several.

    A text is looked up as it is, and with the level or side of its finding site before it.
    """
    found = set()
    for text in texts:
        words = _words(text[:200])
        for before in ("", _words(level), _words(side)):
            name = _spoken().get(f"{before} {words}".strip()) if words else None
            if name is not None:
                found.add(name)
    # "left femoral head" beside "femoral head" with the side of its site is one landmark.
    exact = {name for name in found if not any(other.endswith(f" {name}") for other in found)}
    if len(exact) != 1:
        if exact:
            raise _AmbiguousError
        return None
    (name,) = exact
    stated = name.split(" ")[0]
    if level and stated.upper() in _levels() and stated.upper() != level:
        raise _AmbiguousError
    if side and stated in ("left", "right") and stated != side:
        raise _AmbiguousError
    return name


class _AmbiguousError(Exception):
    pass


@cache
def _levels() -> frozenset[str]:
    return frozenset(name.split(" ")[0] for name in names("lateral") if name[0].isupper())


_AMBIGUOUS = "several names stand with it, or another level or side than its own"
_ELSEWHERE = "it is bound to the display and not to the image"
_NAMELESS = "nothing that stands with it is the name of a landmark"


def _add(
    found: Marks, images: Sequence[str], texts: Iterable[str], shape: _Shape | str,
    *, level: str = "", side: str = "", error: float | None = None,
) -> None:  # fmt: skip
    """Take in one mark, or say why not."""
    try:
        name = _named(texts, level, side)
    except _AmbiguousError:
        found.leave(_AMBIGUOUS)
        return
    if name is None:
        found.leave(_NAMELESS)
    elif isinstance(shape, str):
        found.leave(shape)
    elif (shape.kind == "line") != name.endswith(PLATES) or (
        shape.kind == "round" and not name.endswith(".centre")
    ):
        found.leave("its shape is not that of its landmark: a point, or a line of two for an "
                    "endplate")  # fmt: skip
    elif not images:
        found.leave("it does not say on which image it lies")
    else:
        for image in images:
            found.on.setdefault(image, []).append(Mark(name, shape.kind, shape.at, error))


# -- shapes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: Kind
    at: tuple[Place, ...]


def _places(data: Any) -> tuple[Place, ...] | None:
    """Pairs of column and row."""
    if data is None or isinstance(data, str | bytes):
        return None
    numbers = [float(n) for n in (data if hasattr(data, "__len__") else [data])]
    if len(numbers) % 2 or not numbers or not all(abs(n) <= _LARGEST for n in numbers):
        return None
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _middle(at: Sequence[Place]) -> Place:
    return math.fsum(x for x, _ in at) / len(at), math.fsum(y for _, y in at) / len(at)


def _shape(kind: str, data: Any) -> _Shape | str:
    """What a graphic is, or why it cannot be a landmark."""
    at = _places(data)
    if at is None:
        return "its coordinates are not pairs of numbers"
    if kind in ("POINT", "MULTIPOINT") and len(at) == 1:
        return _Shape("point", at)
    if kind in ("POLYLINE", "MULTIPOINT", "INTERPOLATED") and len(at) == 2:
        return _Shape("line", at)
    if kind == "CIRCLE" and len(at) == 2:  # its middle, and a point on it
        return _Shape("round", at[:1])
    if kind == "ELLIPSE" and len(at) == 4:  # the ends of both axes
        return _Shape(
            "round", ((math.fsum(x for x, _ in at) / 4, math.fsum(y for _, y in at) / 4),)
        )
    return "it is neither a point, a line of two points, a circle nor an ellipse"


# -- structured reports -----------------------------------------------------------------------


def _report(data: Dataset, found: Marks) -> None:
    _walk(Item.of(data), (), found)
    _settings(data, found)


def _walk(item: Item, above: tuple[Item, ...], found: Marks) -> None:
    if item.kind == "SCOORD":
        _coordinates(item, above, found)
    if len(above) < _DEEPEST:
        for child in item.children:
            _walk(child, (*above, item), found)


def _coordinates(item: Item, above: tuple[Item, ...], found: Marks) -> None:
    """One SCOORD with what names it: it itself, its measurement, and its group."""
    if _is_ours(above):
        return  # the landmarks that one of our measurements rests on stand for themselves
    near = [item, *(one for one in reversed(above) if one.kind == "NUM")]
    groups = [one for one in above if one.name == named.GROUP][-1:]
    texts: list[str] = []
    for one in (*near, *groups):
        if one not in groups:
            texts += [
                one.name.meaning,
                *(method.code.meaning for method in one.under(named.METHOD)),
            ]
        for child in one.children:
            if child.kind == "TEXT" and child.name in _NAMING:
                texts.append(child.text)
            elif child.kind == "CODE" and child.name == named.FINDING:
                texts.append(child.code.meaning)
    sites = [site for one in (*near, *groups) for site in one.under(named.FINDING_SITE)]
    levels = {level for site in sites if (level := level_of(site.code))}
    lateral = [site for one in (*sites, *near, *groups) for site in one.under(named.LATERALITY)]
    sides = {side for one in lateral if (side := side_of(one.code))}
    if len(levels) > 1 or len(sides) > 1:
        found.leave(_AMBIGUOUS)
        return
    errors = [n for one in groups for e in one.under(named.LANDMARK_ERROR) if (n := e.number[0])]
    _add(
        found,
        list(dict.fromkeys(uid for one in item.children for uid in _referenced(one.data))),
        texts,
        _shape(str(item.data.get("GraphicType", "")), item.data.get("GraphicData")),
        level=next(iter(levels), ""), side=next(iter(sides), ""),
        error=errors[0] if errors and errors[0] > 0 else None,
    )  # fmt: skip


def _is_ours(above: Sequence[Item]) -> bool:
    return any(one.name.scheme_designator == named.SCHEME for one in above) or any(
        method.code.scheme_designator == named.SCHEME
        for one in above
        for method in one.under(named.METHOD)
    )


def _referenced(data: Dataset) -> Iterator[str]:
    for one in data.get("ReferencedSOPSequence") or ():
        if uid := str(one.get("ReferencedSOPInstanceUID") or ""):
            yield uid


def _settings(data: Dataset, found: Marks) -> None:
    """What a report of ours says of its radiograph, beside the image in its library."""
    for library in Item.of(data).under(named.IMAGE_LIBRARY):
        for group in library.children:
            for text in group.texts(named.RADIOGRAPH):
                images = {uid for one in group.children for uid in _referenced(one.data)}
                for image in images:
                    found.says[image] = codec.decode(text, dict[str, Any])


# -- presentation states ----------------------------------------------------------------------


def _presentation(data: Dataset, found: Marks) -> None:
    everywhere = [
        uid for series in data.get("ReferencedSeriesSequence") or () for uid in _instances(series)
    ]
    for annotation in data.get("GraphicAnnotationSequence") or ():
        _annotation(annotation, _instances(annotation) or everywhere, found)


def _instances(data: Dataset) -> list[str]:
    return [
        uid
        for one in data.get("ReferencedImageSequence") or ()
        if (uid := str(one.get("ReferencedSOPInstanceUID") or ""))
    ]


def _annotation(annotation: Dataset, images: Sequence[str], found: Marks) -> None:
    """The graphics of one annotation with their texts; a text alone marks its anchor."""
    graphics = list(annotation.get("GraphicObjectSequence") or ())
    texts = list(annotation.get("TextObjectSequence") or ())
    belonging: dict[int, list[str]] = {}
    for text in texts:
        words = str(text.get("UnformattedTextValue") or "")
        owner = _owner(text, texts, graphics)
        if owner is not None:
            belonging.setdefault(owner, []).append(words)
            continue
        anchor = _anchor(text)
        shape = _ELSEWHERE if anchor is None else _Shape("point", (anchor,))
        _add(found, images, [words], shape)
    for n, graphic in enumerate(graphics):
        shape = _shape(str(graphic.get("GraphicType", "")), graphic.get("GraphicData"))
        if not _is_on_the_image(graphic, "GraphicAnnotationUnits"):
            shape = _ELSEWHERE
        tracked = str(graphic.get("TrackingID") or "")
        _add(found, images, [*belonging.get(n, ()), tracked], shape)


def _owner(text: Dataset, texts: Sequence[Dataset], graphics: Sequence[Dataset]) -> int | None:
    """The graphic that a text belongs to: by its group, by its anchor, or the only one there is."""
    group = text.get("GraphicGroupID")
    if group is not None:
        members = [n for n, g in enumerate(graphics) if g.get("GraphicGroupID") == group]
        if len(members) == 1:
            return members[0]
    anchor = _anchor(text)
    if anchor is not None:
        near = [n for n, graphic in enumerate(graphics) if _touches(graphic, anchor)]
        if len(near) == 1:
            return near[0]
        if not near and len(graphics) != 1:
            return None
    return 0 if len(texts) == len(graphics) == 1 else None


def _anchor(text: Dataset) -> Place | None:
    at = _places(text.get("AnchorPoint"))
    is_there = at is not None and _is_on_the_image(text, "AnchorPointAnnotationUnits")
    return at[0] if at is not None and is_there else None


def _touches(graphic: Dataset, anchor: Place) -> bool:
    """Whether an anchor lies on one of the points of a graphic, or on its middle."""
    at = _places(graphic.get("GraphicData")) or ()
    if not at or not _is_on_the_image(graphic, "GraphicAnnotationUnits"):
        return False
    return any(math.dist(anchor, place) <= _ON for place in (*at, _middle(at)))


def _is_on_the_image(data: Dataset, keyword: str) -> bool:
    return str(data.get(keyword) or "PIXEL") == "PIXEL"


def ends(view: str, label: str, at: Sequence[Place], across: tuple[int, float], towards: str) -> (
    dict[str, Place] | None
):  # fmt: skip
    """Both ends of an endplate that was marked as a line, by the side they lie to.

    None where the line runs so steeply that they do not tell it.

    Parameters
    ----------
    across
        The coordinate that runs across the body, and its sign.
    towards
        The side of the picture on which the front, or the patient's left, lies.
    """
    axis, sign = across
    one, other = at
    away = sign * (one[axis] - other[axis]) * (1.0 if towards == "right" else -1.0)
    length = math.dist(one, other)
    if length == 0 or abs(away) < _LEAST * length:
        return None
    first, second = ENDS[view]
    front, back = (one, other) if away > 0 else (other, one)
    return {f"{label}.{first}": front, f"{label}.{second}": back}


# The ends of a line are told apart by its run across the picture if that is at least this part of
# its length: lines steeper than 80 degrees are not, as an endplate can be turned beyond upright.
_LEAST = 0.17
