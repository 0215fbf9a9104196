"""What a person takes at present: each medicine with the highest and the least dose of a day.

The numbers stand in the details of the facts. One order that stands in several papers (an order,
what was handed out, a list at admission) counts once; different products of one ingredient add up.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from endplate import vocabulary
from endplate.facts import Fact
from endplate.record import Patient
from endplate.vocabulary import concept

# Forms and routes that stay where they are put: on the skin, in the eye, the ear or the airways.
# Those who ask add the words that are local for their medicines alone.
LOCAL_WORDS = (
    r"topical|cutaneous|cream|gel|ointment|lotion|shampoo|foam|ophthalmic|eye|otic|ear|nasal|"
    r"vaginal|inhal\w*"
)
LIST_COMPLETE = "person.medicine_list_complete"


class Taken(Struct, frozen=True, kw_only=True):
    """One product that is taken, with its dose in a day.

    Attributes
    ----------
    ingredient
        Its concept.
    facts
        The papers that say so.
    high, least, unit
        Highest and least dose in a day, in mg or (of a patch) ug/h; None where it is not known.
    form
        ``patch``, ``injection``, ``long_acting``, or empty.
    assumed
        What was taken for granted.
    """

    ingredient: str
    facts: tuple[Fact, ...]
    high: float | None = None
    least: float | None = None
    unit: str = ""
    form: str = ""
    as_needed: bool = False
    assumed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a clinician calls it."""
        return concept(self.ingredient).name

    @property
    def is_product(self) -> bool:
        """Whether it is a product on a list, and not only an answer that such a one is taken."""
        return any("product" in fact.details for fact in self.facts)

    @property
    def text(self) -> str:
        """Name and dose of a day, as they are printed."""
        if self.high is None:
            return f"{self.name}, dose unknown"
        unit = "µg/h as a patch" if self.unit == "ug/h" else f"{self.unit} a day"
        least = f"{self.least:g} to " if self.least != self.high else ""
        needed = " as needed" if self.as_needed else ""
        return f"{self.name} {least}{self.high:g} {unit}{needed}"


def taken(patient: Patient, what: str) -> tuple[Taken, ...]:
    """The products of an ingredient or class that are taken on the day."""
    known = patient.has(what)
    return tuple(_once([_one(f) for f in known.because])) if known.yes else ()


def _one(fact: Fact) -> Taken:
    details = fact.details
    said = str(details.get("dose_assumed", ""))
    high = details.get("daily_dose")
    least = details.get("daily_dose_least", high)
    return Taken(
        ingredient=fact.what,
        facts=(fact,),
        high=None if high is None else float(high),
        least=None if least is None else float(least),
        unit=str(details.get("daily_dose_unit", "")),
        form=str(details.get("dose_form", "")),
        as_needed=details.get("as_needed") == "yes",
        assumed=tuple(said.split("; ")) if said else (),
    )


def _product(one: Taken) -> str:
    return str(one.facts[0].details.get("product", "")).casefold()


def _once(found: Iterable[Taken]) -> list[Taken]:
    """The same order only once; a paper without a dose joins one of the same product with it."""
    kept: list[Taken] = []
    for one in sorted(found, key=lambda t: t.high is None):
        at = next((n for n, other in enumerate(kept) if _is_same(one, other)), None)
        if at is None:
            kept.append(one)
            continue
        other = kept[at]
        said = (*other.assumed, "papers on the same product and dose are one order")
        kept[at] = Taken(
            ingredient=other.ingredient, facts=(*other.facts, *one.facts), high=other.high,
            least=other.least, unit=other.unit, form=other.form, as_needed=other.as_needed,
            assumed=tuple(dict.fromkeys(said)),
        )  # fmt: skip
    return kept


def _is_same(one: Taken, other: Taken) -> bool:
    if one.ingredient != other.ingredient or _product(one) != _product(other):
        return False
    return one.high is None or (one.high, one.unit) == (other.high, other.unit)


def is_a(ingredient: str, what: str) -> bool:
    """Whether an ingredient is that one, or belongs to that class."""
    return what == ingredient or what in vocabulary.ancestors(ingredient)


def list_assumed(patient: Patient) -> tuple[Fact, ...]:
    """That the list of medicines is complete, where nobody said so."""
    if patient.latest(LIST_COMPLETE) is not None:
        return ()
    return (Fact(what=LIST_COMPLETE, value=True, on=patient.on, source="assumed"),)


def facts_of(every: Iterable[Taken]) -> tuple[Fact, ...]:
    """All papers, each once."""
    return tuple(dict.fromkeys(f for one in every for f in one.facts))
