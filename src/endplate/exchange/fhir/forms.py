"""A clinic's map of its own forms: which linkId of a Questionnaire is which item of an instrument.

``questionnaires.toml`` in a case folder has one table for each form::

    [[form]]
    questionnaire = "https://clinic.example/Questionnaire/back-1"
    instrument = "odi"
    items = { "q1" = 1, "q2" = 2 }
    answers = { "LA6568-5" = 0, "LA6569-3" = 1 }

`answers` gives the number of a coded answer (a code, or ``system|code``) where the answer does not
carry it itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert

from endplate import vocabulary
from endplate.facts import InputProblem

FORMS_FILE = "questionnaires.toml"


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One form of a clinic."""

    questionnaire: str
    instrument: str
    items: dict[str, int]
    answers: dict[str, float] = {}

    def concept(self, link: str) -> str | None:
        """The concept that a linkId asks for, if any."""
        number = self.items.get(link)
        return None if number is None else f"questionnaire.{self.instrument}.item{number}"


Forms = Mapping[str, Form]


def read_forms(path: Path) -> Forms:
    """The forms of a map file by the address of their Questionnaire.

    Raises
    ------
    InputProblem
        If the file is no such map, or names an instrument or an item that there is not: answers
        that went to a wrong item would be scored without anybody seeing it.
    """
    try:
        data: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        forms = convert(data.get("form", []), list[Form])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as problem:
        raise InputProblem(
            f"{path.name}: cannot be read as a map of forms. It has [[form]] tables with "
            f"questionnaire, instrument and items; {problem}. Correct that line."
        ) from None
    found: dict[str, Form] = {}
    for form in forms:
        _check(form, path, found)
        found[form.questionnaire] = form
    return found


def _check(form: Form, path: Path, known: Forms) -> None:
    wrong = ""
    concepts = vocabulary.concepts()
    if f"questionnaire.{form.instrument}.item1" not in concepts:
        wrong = f"{form.instrument!r} is no instrument"
    elif form.questionnaire in known:
        wrong = f"{form.questionnaire} is there twice"
    elif len(set(form.items.values())) < len(form.items):
        wrong = f"two linkIds of {form.instrument} stand for one item"
    else:
        lacking = [link for link in form.items if form.concept(link) not in concepts]
        wrong = f"{form.instrument} has no item {form.items[lacking[0]]}" if lacking else ""
    if wrong:
        raise InputProblem(
            f"{path.name}: cannot be used as a map of forms. Each linkId stands for one item of an "
            f"instrument; {wrong}. See 'endplate score --list' and 'endplate score ID --inputs'."
        )
