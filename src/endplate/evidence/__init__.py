"""Evidence: the one home of every clinical number, statement and table, with its source.

A `Row` is one number, one statement or one table from one source. Where sources disagree all
rows stay side by side; a `Choice` says which is used by default and why. A clinic can override
choices and rows in a file of its own; whatever rests on an override says so.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from endplate.facts import Bounded, InputProblem

if TYPE_CHECKING:
    from endplate.evidence.model import Model

Compare = Literal["at_most", "below", "at_least", "above"]
Read = Literal["full text", "abstract", "secondary", "code", "not read"]

_SIGN = {"at_most": "≤", "below": "<", "at_least": "≥", "above": ">"}


class Reference(Struct, frozen=True, kw_only=True):
    """One source: what it is, where it is found, and what of it was really read.

    `title` is its title, or what it is in our words where only a part of it was reached.
    """

    key: str
    title: str
    year: int | None = None
    authors: str = ""
    published_in: str = ""
    doi: str = ""
    pmid: str = ""
    url: str = ""
    read: Read = "not read"
    read_at: str = ""
    note: str = ""


class Citation(Struct, frozen=True):
    """A place in a source."""

    key: str
    where: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """One cited number, statement or table.

    Attributes
    ----------
    name
        Dotted id, such as ``bone.t_score.osteoporosis``.
    says
        What the number means, or the statement itself, in our words.
    value, unit, compare, decimals
        The number; how a value is held against it; the decimals to which the value is
        rounded first, where its source or the device prints it rounded.
    table
        The lines of a table, each a mapping of column to cell.
    cites, population, not_for, edition, strength
        Its source and the place there; whom it was derived in; when it must not be used;
        the edition; the grade of the evidence in the source's own words.
    verified, mark
        Whether the number was read in its source, and the note's mark
        (``V``, ``VC``, ``seed``, ``U-H``, ``D``).
    reviewed_by, reviewed_on
        The clinician who reviewed it; empty means not yet.
    overridden
        The clinic's reason, where this row is a clinic's and not ours.
    """

    name: str
    says: str
    cites: tuple[Citation, ...] = ()
    value: float | None = None
    unit: str = ""
    compare: Compare | None = None
    decimals: int | None = None
    table: tuple[Mapping[str, Any], ...] = ()
    population: str = ""
    not_for: str = ""
    edition: str = ""
    strength: str = ""
    verified: bool = False
    mark: str = ""
    reviewed_by: str = ""
    reviewed_on: str = ""
    overridden: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "table", tuple(MappingProxyType(dict(line)) for line in self.table))

    def __hash__(self) -> int:
        return hash(self.name)  # a table cannot be hashed

    @property
    def number(self) -> float:
        """The value; `KeyError` where the row holds a statement or a table."""
        if self.value is None:
            raise KeyError(f"{self.name}: holds no number.")
        return self.value

    @property
    def last_name(self) -> str:
        """The last part of its name, which is the category where the row is a band."""
        return self.name.rpartition(".")[2]

    def met(self, value: float) -> bool:
        """Whether `value` lies on the side of this cut-off that its row describes."""
        number = self.number
        if value.__class__ is Bounded and self.compare is not None:
            return value.compared(self.compare, number)
        if self.decimals is not None:
            value = round(value, self.decimals)
        if self.compare == "at_most":
            return value <= number
        if self.compare == "below":
            return value < number
        if self.compare == "at_least":
            return value >= number
        if self.compare == "above":
            return value > number
        raise KeyError(f"{self.name}: is no cut-off.")

    @property
    def text(self) -> str:
        """The number as it is printed: ``≤ -2.5``, ``20 %``."""
        unit = {"": "", "1": "", "[hnsf'U]": " HU", "a": " years"}.get(self.unit, f" {self.unit}")
        sign = f"{_SIGN[self.compare]} " if self.compare else ""
        return f"{sign}{self.number:g}{unit}"


class Choice(Struct, frozen=True, kw_only=True):
    """Which of several sources is used by default, and why."""

    name: str
    says: str
    use: str
    options: tuple[str, ...]
    reason: str
    overridden: str = ""


class Override(Struct, frozen=True, kw_only=True):
    """One thing that a clinic does otherwise than the shipped evidence."""

    name: str
    shipped: str
    clinic: str
    reason: str


class NotImplementable(Struct, frozen=True, kw_only=True):
    """A published tool that is not built in, with the reason."""

    name: str
    reason: str
    instead: str = ""
    cites: tuple[Citation, ...] = ()


class Evidence(Struct, frozen=True, kw_only=True):
    """All rows, choices and references that a run goes by.

    `models` are a clinic's own, by the rule that applies them; none is shipped.
    """

    rows: Mapping[str, Row]
    choices: Mapping[str, Choice]
    references: Mapping[str, Reference]
    not_implementable: tuple[NotImplementable, ...] = ()
    overrides: tuple[Override, ...] = field(default=())
    clinic: str = ""
    models: Mapping[str, Model] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of that name."""
        try:
            return self.rows[name]
        except KeyError:
            raise KeyError(f"No row {name!r} in the evidence.") from None

    def under(self, prefix: str) -> tuple[Row, ...]:
        """All rows whose names begin with `prefix`, in the order in which they are written."""
        return tuple(row for name, row in self.rows.items() if name.startswith(prefix))

    def choice(self, name: str) -> Choice:
        """The choice of that name."""
        return self.choices[name]

    def chosen(self, name: str) -> Row:
        """The row that a choice between rows points to."""
        choice = self.choices[name]
        row = self.row(choice.use)
        return row_with(row, overridden=choice.overridden) if choice.overridden else row


def first_met(rows: Iterable[Row], value: float) -> Row | None:
    """The first of the rows that a value meets: bands are written in the order of trying."""
    return next((row for row in rows if row.met(value)), None)


def row_with(row: Row, **changes: Any) -> Row:
    """A copy of a row with some fields changed."""
    return Row(**{**{name: getattr(row, name) for name in row.__struct_fields__}, **changes})


@cache
def shipped() -> Evidence:
    """The evidence that comes with Endplate."""
    rows: dict[str, Row] = {}
    choices: dict[str, Choice] = {}
    references: dict[str, Reference] = {}
    cannot: list[NotImplementable] = []
    for path in sorted(files(__package__).iterdir(), key=lambda p: p.name):
        if not path.name.endswith(".toml"):
            continue
        for kind, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            for name, cells in table.items():
                if kind == "row":
                    _add(rows, name, _row(name, cells), path.name)
                elif kind == "choice":
                    cells["options"] = tuple(cells["options"])
                    _add(choices, name, Choice(name=name, **cells), path.name)
                elif kind == "reference":
                    _add(references, name, Reference(key=name, **cells), path.name)
                elif kind == "not_implementable":
                    cells["cites"] = _citations(cells)
                    cells.pop("where", None)
                    cannot.append(NotImplementable(name=name, **cells))
    return Evidence(
        rows=MappingProxyType(rows),
        choices=MappingProxyType(choices),
        references=MappingProxyType(references),
        not_implementable=tuple(cannot),
    )


def _add(into: dict[str, Any], name: str, thing: Any, file: str) -> None:
    if name in into:
        raise KeyError(f"{file}: {name!r} is there twice.")
    into[name] = thing


def _citations(cells: dict[str, Any]) -> tuple[Citation, ...]:
    keys, where = cells.get("cites", []), cells.get("where", "")
    keys = [keys] if isinstance(keys, str) else keys
    places = [where] * len(keys) if isinstance(where, str) else where
    return tuple(Citation(k, w) for k, w in zip(keys, places, strict=True))


def _row(name: str, cells: dict[str, Any]) -> Row:
    cells = {**cells, "cites": _citations(cells), "table": tuple(cells.get("table", ()))}
    cells.pop("where", None)
    if cells.get("value") is not None:
        cells["value"] = float(cells["value"])
    return Row(name=name, **cells)


def with_clinic_file(evidence: Evidence, path: Path) -> Evidence:
    """The evidence with a clinic's own choices and rows put in their places.

    Parameters
    ----------
    evidence
        What the file overrides, usually `shipped()`.
    path
        A TOML file with `clinic`, `[choice]` (name = {use, reason}), `[row]`
        (name = {value, reason, cites, where}) and `[model]` (rule = {file, reason}; the file is
        looked for beside this one). Each override needs a reason.

    Raises
    ------
    InputProblem
        If the file cannot be read, names something that does not exist, or gives a value that
        cannot be used. A clinic that overrides something must not be left to believe that it
        holds.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputProblem(
            f"{path.name}: cannot be read as the clinic's evidence file. It must be TOML; "
            f"{problem}. See docs/how-to/override-the-evidence.md for an example."
        ) from None
    _only(data, ("clinic", "choice", "row", "model"), "The file", path)
    rows, choices, models = dict(evidence.rows), dict(evidence.choices), dict(evidence.models)
    overrides: list[Override] = []
    for name, cells in _tables(data, "choice", path):
        known = _known(name, choices, path)
        _only(cells, ("use", "reason"), name, path)
        if cells.get("use") not in known.options:
            raise _wrong(path, name, f"'use' must be one of {', '.join(known.options)}")
        reason = _reason(cells, name, path)
        choices[name] = Choice(
            name=name,
            says=known.says,
            use=cells["use"],
            options=known.options,
            reason=known.reason,
            overridden=reason,
        )
        overrides.append(Override(name=name, shipped=known.use, clinic=cells["use"], reason=reason))
    for name, cells in _tables(data, "row", path):
        old = _known(name, rows, path)
        _only(cells, ("value", "reason", "cites", "where", "edition"), name, path)
        reason = _reason(cells, name, path)
        if old.value is None:
            raise _wrong(
                path, name, "it holds no number, and only a number can be put in its place"
            )
        rows[name] = row_with(
            old,
            value=_number(cells.get("value"), name, path),
            cites=_cited(cells, name, path) or (Citation("clinic", path.name),),
            edition=str(cells.get("edition", data.get("clinic", "clinic"))),
            verified=False,
            mark="clinic",
            overridden=reason,
        )
        overrides.append(
            Override(name=name, shipped=old.text, clinic=rows[name].text, reason=reason)
        )
    for name, cells in _tables(data, "model", path):
        old = _known(name, _places_of_models(evidence), path)
        _only(cells, ("file", "reason"), name, path)
        reason = _reason(cells, name, path)
        models[name] = model = _model(cells.get("file"), old, path)
        says = f"the clinic's model: {model.title}, version {model.version}"
        rows[name] = row_with(
            old, says=says, cites=(Citation("clinic", str(cells["file"])),),
            edition=f"{model.version} of {model.trained_on}", verified=False, mark="clinic",
            overridden=reason,
        )  # fmt: skip
        overrides.append(Override(name=name, shipped="no model", clinic=says, reason=reason))
    return Evidence(
        rows=MappingProxyType(rows),
        choices=MappingProxyType(choices),
        models=MappingProxyType(models),
        references=evidence.references,
        not_implementable=evidence.not_implementable,
        overrides=(*evidence.overrides, *overrides),
        clinic=str(data.get("clinic", "")),
    )


def _places_of_models(evidence: Evidence) -> dict[str, Row]:
    """The rows under which a clinic may supply a model; each says what such a model may read."""
    return {r.name: r for r in evidence.rows.values() if r.table and "model_reads" in r.table[0]}


def _model(file: Any, place: Row, path: Path) -> Model:
    """The model in a file beside the clinic's own, which reads what its rule can ask for."""
    from endplate import vocabulary  # noqa: PLC0415 - it stands on this module
    from endplate.evidence.model import model_from  # noqa: PLC0415 - few have one

    if not isinstance(file, str) or not file:
        raise _wrong(path, place.name, "'file' names the model's file")
    try:
        text = (path.parent / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise _wrong(path, place.name, f"{file!r} cannot be read beside it") from None
    model, begins = model_from(text, file), str(place.table[0]["model_reads"])
    known = vocabulary.concepts()
    other = [c for c in model.concepts if c not in known or not c.startswith(begins)]
    if other:
        raise _wrong(path, place.name, f"its model may read {begins}* alone, and reads {other[0]}")
    return model


def _tables(data: dict[str, Any], kind: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The overrides of one kind, each a table under its name."""
    named = data.get(kind, {})
    if not isinstance(named, dict):
        raise _wrong(path, kind, f"[{kind}] must be a table of names, each with its own cells")
    for name, cells in named.items():
        if not isinstance(cells, dict):
            raise _wrong(path, name, 'it must be a table such as { ..., reason = "..." }')
        yield name, cells


def _only(cells: Mapping[str, Any], known: Sequence[str], name: str, path: Path) -> None:
    """Refuse a key that would be passed over, such as a mistyped one."""
    from difflib import get_close_matches  # noqa: PLC0415 - only needed to answer an error

    for key in cells:
        if key not in known:
            near = get_close_matches(key, known, n=1) or known
            raise InputProblem(
                f"{path.name}: cannot be used as the clinic's evidence file. {name} takes "
                f"{', '.join(known)}; {key!r} is none of them. Write {' or '.join(near)}. Nothing "
                f"was changed."
            )


def _number(value: Any, name: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(path, name, "a row needs a finite number as 'value'")
    return float(value)


def _cited(cells: dict[str, Any], name: str, path: Path) -> tuple[Citation, ...]:
    keys, places = cells.get("cites", []), cells.get("where", "")
    texts = [*(keys if isinstance(keys, list) else [keys])]
    texts += places if isinstance(places, list) else [places]
    pairs = not isinstance(places, list) or (isinstance(keys, list) and len(keys) == len(places))
    if not pairs or not all(isinstance(text, str) for text in texts):
        raise _wrong(path, name, "'cites' and 'where' are texts, or two lists that go in pairs")
    return _citations(cells)


def _known(name: str, there: Mapping[str, Any], path: Path) -> Any:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed to answer an error

    if name in there:
        return there[name]
    near = get_close_matches(name, there, n=3)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise _wrong(path, name, f"there is no such name{hint}")


def _reason(cells: dict[str, Any], name: str, path: Path) -> str:
    reason = str(cells.get("reason", "")).strip()
    if not reason:
        raise _wrong(path, name, "an override needs a 'reason'")
    return reason


def _wrong(path: Path, name: str, what: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot override {name!r}: {what}. Known names are listed by "
        f"'endplate rules'; nothing was changed. Correct the line and try again."
    )
