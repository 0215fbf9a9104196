"""Whether a folder holds one person's data: who the record says it is, and who the images say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import combinations, product

from endplate.exchange.dicom.report_reading import Report
from endplate.exchange.dicom.series import Identity, Series
from endplate.exchange.fhir.read import FhirReading
from endplate.exchange.intake import Intake
from endplate.facts import InputProblem

# Letters whose accent is a part of them, and umlauts as they are spelt where there are none.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe"})
_SPELT_OUT = _PLAIN | str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_NOBODY = frozenset({"anonymous", "anonymised", "anonymized", "anonym", "anon", "deidentified"})


def one_person(reading: FhirReading, series: Sequence[Series | Report], intake: Intake) -> None:
    """End the run where records or images are of two persons.

    Raises
    ------
    InputProblem
        If identifiers, birth dates, sexes or names cannot be those of one person.
    """
    _one_record(reading)
    for first, second in combinations(series, 2):
        if why := first.identity.contradicts(second.identity):
            raise two_persons(f"images or reports with different {' and '.join(why)}")
    _record_and_images(reading, series)
    _one_name(reading, series, intake)


def _one_record(reading: FhirReading) -> None:
    people = reading.identities
    for one, other in combinations(people, 2):
        linked = other.subject in one.same_as or one.subject in other.same_as
        shared = set(one.identifiers) & set(other.identifiers)
        if one.subject != other.subject and not linked and not shared:
            count = len({p.subject for p in people})
            raise two_persons(f"{'two' if count == 2 else count} patients in the health record")
        if _differ(one.birth_date, other.birth_date) or _differ(one.sex, other.sex):
            raise two_persons("two different birth dates or sexes in the health record")
    known = {p.subject for p in people} | {s for p in people for s in p.same_as}
    others = [s for s in reading.subjects if s not in known]
    if (known and others) or len(others) > 1:
        raise two_persons("resources of the health record that are about different patients")


def _record_and_images(reading: FhirReading, series: Sequence[Series | Report]) -> None:
    for person, one_series in product(reading.identities, series):
        born, there = _digits(person.birth_date), one_series.identity.birth_date
        of_record = Identity(
            birth_date="" if there.startswith(born) else born,
            sex={"female": "F", "male": "M", "other": "O"}.get(person.sex or "", ""),
        )
        if why := of_record.contradicts(one_series.identity):
            raise two_persons(f"a record and images with different {' and '.join(why)}")


def _digits(birth_date: str | None) -> str:
    return (birth_date or "").replace("-", "")


def _one_name(reading: FhirReading, series: Sequence[Series | Report], intake: Intake) -> None:
    """Compare names, where a record and images do not contradict each other otherwise.

    Names without any word in common end the run, unless the birth dates agree: people change
    their names, but not all of it at once.
    """
    people = reading.identities
    of_record = _words(*(name for p in people for name in p.names))
    ids = [p.subject for p in people] + [i.partition("|")[2] for p in people for i in p.identifiers]
    for one in series:
        # Family, given and middle name of each script; prefix and suffix are no names.
        scripts = ("^".join(script.split("^")[:3]) for script in one.identity.name.split("="))
        named = _words(*scripts) - _words(one.identity.patient_id, *ids)  # a pseudonym is no name
        if not _nothing_in_common(named, of_record):
            continue
        born = one.identity.birth_date
        if not any(
            born and p.birth_date and born.startswith(_digits(p.birth_date)) for p in people
        ):
            raise two_persons(
                "a record and images with different names, and no birth date in both to compare"
            )
        intake.problem(
            "case.names_differ",
            "The images and the record agree in the birth date and have no word of the name in "
            "common; both were used.",
            one.source,
            ("Check that they are of the same person.",),
        )


def same_person(earlier: Identity, later: Identity) -> bool:
    """End the run where two studies cannot be one person's.

    Returns
    -------
    bool
        Whether their names, too, have a word in common or cannot be compared; people change
        their names, but the birth date or the identifier has then to agree.

    Raises
    ------
    InputProblem
        If identifiers, birth dates, sexes or names are those of two persons.
    """
    why = earlier.contradicts(later)
    both = [
        _words(*("^".join(script.split("^")[:3]) for script in one.name.split("=")))
        - _words(one.patient_id)
        for one in (earlier, later)
    ]
    named_alike = not _nothing_in_common(*both)
    agree = any(
        one and one == other
        for one, other in (
            (earlier.birth_date, later.birth_date),
            (earlier.patient_id, later.patient_id),
        )
    )
    if not named_alike and not agree:
        why = (*why, "name")
    if why:
        raise InputProblem(
            f"Studies: cannot be compared. Both must be of one person; their headers have "
            f"different {' and '.join(why)}. Check whose images these are. Nothing was written."
        )
    return named_alike


def _words(*texts: str) -> set[str]:
    """The words of names without case, accents and punctuation; umlauts also as ae, oe, ue."""
    found: set[str] = set()
    for text in texts:
        whole = unicodedata.normalize("NFC", text).casefold().replace("'", "").replace("\u2019", "")
        for letters in (_PLAIN, _SPELT_OUT):
            parts = unicodedata.normalize("NFKD", whole.translate(letters))
            plain = "".join(c for c in parts if not unicodedata.combining(c))
            found.update(re.findall(r"[^\W_]+", plain))
    return {word for word in found if len(word) > 1 or not word.isascii()} - _NOBODY


def _nothing_in_common(one: set[str], other: set[str]) -> bool:
    """Whether two names are different; those in different scripts cannot be compared."""
    latin = [{word for word in words if word.isascii()} for words in (one, other)]
    foreign = [one - latin[0], other - latin[1]]
    comparable = [both for both in (latin, foreign) if all(both)]
    return bool(comparable) and not any(set.intersection(*both) for both in comparable)


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two texts contradict each other; a birth year does not contradict its dates."""
    return (
        bool(one and other)
        and not (one or "").startswith(other or "")
        and not (other or "").startswith(one or "")
    )


def two_persons(what: str) -> InputProblem:
    """What the user is told where there is more than one person."""
    return InputProblem(
        f"Case: holds the data of more than one person. One person's data is needed; there are "
        f"{what}. Take out what does not belong, and check every file; an export of many persons "
        f"is read with endplate read --population. Nothing was written."
    )
