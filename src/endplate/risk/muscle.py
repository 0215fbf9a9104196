"""Muscle at L3: whether it is little, by limits that each have a definition of their own."""

from __future__ import annotations

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.record import Patient
from endplate.risk.body import (
    BODY,
    HEIGHT,
    age_asked,
    body_mass_index,
    not_for_children,
    of_a_child,
)
from endplate.rules import rule

_INDEX, _AREA, _DENSITY = (
    "muscle.skeletal.index", "muscle.skeletal.area", "muscle.skeletal.density",
)  # fmt: skip
_CANCER = "condition.malignancy"
_LEVEL = "L3"


@rule(
    "risk.sarcopenia",
    reads=(_INDEX, _AREA, _DENSITY, "person.sex", "person.age", _CANCER, *BODY),
    scores="sarcopenia",
    needs=("person.sex",),  # the index may be stated, or follow from area and height
)
def sarcopenia(patient: Patient, evidence: Evidence) -> Finding | None:
    """Skeletal muscle at L3 against published limits of the muscle index.

    Source      Derstine 2018; Martin and Prado not read (risk.sarcopenia.*, risk.adult_from_age)
    Population  adults; each limit in its own: healthy people, people with cancer, obese ones
    Not for     the psoas or paraspinal muscles alone, which have other limits; another level;
                children; sarcopenia as a diagnosis, which asks for strength too
    Differs     every set of limits is shown; Martin's are used with cancer, Derstine's otherwise
    """
    measured = {what: _at_l3(patient, what) for what in (_INDEX, _AREA, _DENSITY)}
    if not any(measured.values()):
        return None
    if of_a_child(patient, evidence):
        return not_for_children("Muscle at L3", patient, evidence)
    index, sex = _index(measured, patient), patient.sex
    mass, cancer = body_mass_index(patient), patient.has(_CANCER)
    told = patient.latest("person.sex")
    because = tuple(
        f for f in (index, measured[_AREA], measured[_DENSITY], told, mass) if f is not None
    )
    chosen = "martin" if cancer.yes else evidence.choice("risk.sarcopenia.limits").use
    limits = _limits(sex, mass, evidence)
    rows = evidence.under("risk.sarcopenia.")
    parts: dict[str, PartValue] = {
        "index": None if index is None else round(index.number, 6),
        **{
            f"low_by_{name}": None if row is None or index is None else row.met(index.number)
            for name, row in limits.items()
        },
        **_of_derstine(measured, sex, evidence),
        "limits_used": chosen,
    }
    limit = limits[chosen]
    if index is None or limit is None:
        missing = _missing(index, measured, sex, chosen, patient)
        return Finding(
            says="Muscle at L3 cannot be held against the limits yet.",
            status=Status.UNKNOWN, parts=parts, because=because, missing=missing, rests_on=rows,
        )  # fmt: skip
    low = limit.met(index.number)
    return Finding(
        says=f"Skeletal muscle index at L3 {index.number:.1f} cm2/m2: {'low' if low else 'not low'}"
        f" by {chosen.capitalize()}'s limit ({limit.text}).",
        value=round(index.number, 6),
        unit="cm2/m2",
        category="low" if low else "not_low",
        parts=parts,
        because=(*because, *cancer.because),
        missing=(*((_CANCER,) if cancer.unknown else ()), *age_asked(patient)),
        rests_on=rows,
        positions=tuple(
            Position(
                holder=name.capitalize(), rests_on=(row,), default=name == chosen,
                says=f"{'low' if row.met(index.number) else 'not low'} ({row.text}; "
                f"{row.population})",
            )
            for name, row in limits.items()
            if row is not None
        ),
    )  # fmt: skip


def _at_l3(patient: Patient, what: str) -> Fact | None:
    """The newest value of L3; one without a level was typed, and the index is that of L3."""
    return next((f for f in patient.facts(what) if f.level in (_LEVEL, None)), None)


def _index(measured: dict[str, Fact | None], patient: Patient) -> Fact | None:
    """The index as measured or stated, else area over height squared."""
    area, height = measured[_AREA], patient.latest(HEIGHT)
    if measured[_INDEX] is not None or area is None or height is None:
        return measured[_INDEX]
    metres = height.number / 100
    return Fact(
        what=_INDEX, value=float(area.number / metres**2), unit="cm2/m2", on=area.on,
        source=area.source, level=area.level, method="endplate.muscle_index/1",
    )  # fmt: skip


def _limits(sex: str | None, mass: Fact | None, evidence: Evidence) -> dict[str, Row | None]:
    """The limit of each source for this person; None where it has none or it is not known."""
    row = evidence.row
    if sex not in ("male", "female"):
        return {"derstine": None, "martin": None, "prado": None}
    martin: Row | None = row("risk.sarcopenia.martin.female")
    if sex == "male":
        martin = None
        if mass is not None:
            heavy = row("risk.sarcopenia.martin.heavy_from").met(mass.number)
            martin = row(f"risk.sarcopenia.martin.male_{'heavy' if heavy else 'lean'}")
    return {
        "derstine": row(f"risk.sarcopenia.derstine.index.{sex}"),
        "martin": martin,
        "prado": row(f"risk.sarcopenia.prado.{sex}"),
    }


def _of_derstine(
    measured: dict[str, Fact | None], sex: str | None, evidence: Evidence
) -> dict[str, PartValue]:
    """Whether attenuation and area are low by Derstine's limits."""
    found: dict[str, PartValue] = {}
    for name, what in (("density", _DENSITY), ("area", _AREA)):
        fact = measured[what]
        found[f"low_{name}"] = None
        if fact is not None and sex in ("male", "female"):
            found[f"low_{name}"] = evidence.row(f"risk.sarcopenia.derstine.{name}.{sex}").met(
                fact.number
            )
    return found


def _missing(
    index: Fact | None,
    measured: dict[str, Fact | None],
    sex: str | None,
    chosen: str,
    patient: Patient,
) -> tuple[str, ...]:
    asked: list[str] = []
    if index is None:
        asked.append(_INDEX if measured[_AREA] is None else HEIGHT)
    if sex not in ("male", "female"):
        asked.append("person.sex")
    if chosen == "martin" and sex != "female" and body_mass_index(patient) is None:
        asked.append("person.body_mass_index")
    return tuple(asked)
