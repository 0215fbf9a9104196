"""Every published target of alignment for one person, side by side, with how far off they stand.

No target is averaged with another, and none is hidden as it is not the default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from endplate.alignment.proportion import lordosis_distribution
from endplate.alignment.standing import (
    LOWER_LORDOSIS,
    LUMBAR_LORDOSIS,
    MISMATCH,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    SACRAL_SLOPE,
    Standing,
    of_a_minor,
    standing,
)
from endplate.alignment.targets import (
    HOLDERS,
    aged,
    beyond_hasegawa,
    class_of,
    expected_lordosis,
    lee_class,
    rows_of,
)
from endplate.evidence import Citation, Evidence, Row
from endplate.facts import Fact
from endplate.record import Patient
from endplate.vocabulary import concept

VERTICAL_AXIS = "spine.sagittal_vertical_axis"
_INDEX = "spine.lordosis_distribution_index"
_TILT = "spine.global_tilt"
_L1, _T4 = "spine.l1_pelvic_angle", "spine.t4_pelvic_angle"
_NECK_AXIS = "spine.cervical_sagittal_vertical_axis"
_NECK = "spine.t1_slope_cervical_lordosis_mismatch"
_ASKED = (
    PELVIC_INCIDENCE, LUMBAR_LORDOSIS, LOWER_LORDOSIS, MISMATCH, PELVIC_TILT, SACRAL_SLOPE, _TILT,
    _L1, _T4, VERTICAL_AXIS, _NECK_AXIS, _NECK,
)  # fmt: skip
# Which choice marks the default of a parameter of several holders.
_CHOICES = {
    LUMBAR_LORDOSIS: "alignment.ideal_lordosis",
    MISMATCH: "alignment.target.mismatch",
    PELVIC_TILT: "alignment.target.pelvic_tilt",
    VERTICAL_AXIS: "alignment.target.sagittal_vertical_axis",
}


class Target(Struct, frozen=True, kw_only=True):
    """What one source would have a parameter be in this person.

    Attributes
    ----------
    what, unit, source, holder, population
        The parameter; the source's short name (an option of the choice) and what it is called;
        in whom it was found.
    value, low, high
        The target itself where it is one number, and the range that counts as reached.
    below
        Whether the upper end is itself too much ("below 20").
    now, off, reached
        The measured value, by how much it lies beyond the target or its range (positive: above),
        and whether it lies in the range; None where something is not known, or no range is printed.
    note
        Why there is no number, or what to know of it.
    """

    what: str
    unit: str
    source: str
    holder: str
    population: str
    cites: tuple[Citation, ...]
    rows: tuple[str, ...]
    verified: bool
    default: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    below: bool = False
    now: float | None = None
    off: float | None = None
    reached: bool | None = None
    note: str = ""


def targets_of(patient: Patient, evidence: Evidence) -> tuple[Target, ...]:
    """Every target for a person of this incidence and age, in the order of the parameters.

    None for somebody who is known to be no adult, whom none of the sources is about.
    """
    if of_a_minor("A target of alignment", patient, evidence) is not None:
        return ()
    measured = standing(patient, _ASKED)
    making = _Making(patient.age, _now(measured, evidence), evidence)
    return tuple(
        target
        for part in (
            making.lordosis, making.mismatch, making.lower_lordosis, making.pelvis,
            making.hip_axis, making.vertical_axis, making.neck,
        )
        for target in part()
    )  # fmt: skip


def _now(measured: Standing, evidence: Evidence) -> dict[str, float]:
    """The measured values, with those that follow from them."""
    found = {what: fact.number for what, fact in measured.used.items()}
    if measured.has(PELVIC_INCIDENCE, LUMBAR_LORDOSIS):
        found[MISMATCH] = found[PELVIC_INCIDENCE] - found[LUMBAR_LORDOSIS]
    index = lordosis_distribution(measured, evidence)
    return found if index is None else {**found, _INDEX: index}


_NO_AGE = "the age is not known"


class _Making:
    """The targets of one person; each method gives those of one group of parameters."""

    def __init__(self, age: Fact | None, now: Mapping[str, float], evidence: Evidence) -> None:
        self.age, self.now, self.evidence = age, now, evidence
        self.incidence = now.get(PELVIC_INCIDENCE)

    def row(self, name: str) -> Row:
        return self.evidence.row(f"alignment.{name}")

    def under(self, name: str) -> tuple[Row, ...]:
        return self.evidence.under(f"alignment.{name}")

    def target(
        self,
        what: str,
        source: str,
        holder: str,
        rows: tuple[Row, ...],
        *,
        value: float | None = None,
        low: float | None = None,
        high: float | None = None,
        below: bool = False,
        note: str = "",
    ) -> Target:
        """A target with what was measured held against it."""
        now = self.now.get(what)
        first = value if low is None and high is None else low
        last = value if low is None and high is None else high
        off = reached = None
        if now is not None and (first is not None or last is not None):
            under = first is not None and now < first
            over = last is not None and (now >= last if below else now > last)
            nearest = first if under else last if over else now
            off = 0.0 if nearest is None else round(now - nearest, 6)
            reached = None if low is None and high is None else not (under or over)
        choice = _CHOICES.get(what)
        return Target(
            what=what,
            unit=concept(what).unit,
            source=source,
            holder=holder,
            population="; ".join(dict.fromkeys(r.population for r in rows if r.population)),
            cites=tuple(dict.fromkeys(c for r in rows for c in r.cites)),
            rows=tuple(r.name for r in rows),
            verified=all(r.verified for r in rows),
            default=choice is not None and self.evidence.choice(choice).use == source,
            value=_rounded(value),
            low=_rounded(low),
            high=_rounded(high),
            below=below,
            now=_rounded(now),
            off=off,
            reached=reached,
            note=note,
        )

    def lordosis(self) -> Iterator[Target]:
        """The lordosis L1-S1 by every formula."""
        if self.incidence is None:
            return
        what, incidence = LUMBAR_LORDOSIS, self.incidence
        within = self.row("ideal_lordosis.schwab").number
        for name, value in expected_lordosis(incidence, self.age, self.evidence).items():
            rows = rows_of(name, self.evidence)
            if name == "schwab":
                yield self.target(
                    what, name, HOLDERS[name], rows, value=value,
                    low=incidence - within, high=incidence + within,
                )  # fmt: skip
            elif name == "gap":
                yield self.of_gap(what, "relative_lumbar_lordosis")
            else:
                yield self.target(
                    what, name, HOLDERS[name], rows, value=value, note=self.noted(name, value)
                )
        l1 = self.l1_target(incidence)
        yield self.target(
            what, "t4_l1_hip_axis", "Hills 2024, with L1 on the axis",
            self.under("t4_l1_hip_axis.lordosis."),
            value=self.row("t4_l1_hip_axis.lordosis.per_incidence").number * incidence
            + self.row("t4_l1_hip_axis.lordosis.per_l1").number * l1
            + self.row("t4_l1_hip_axis.lordosis.offset").number,
        )  # fmt: skip
        value = None if self.age is None else incidence - aged("mismatch", self.age, self.evidence)
        yield self.by_age(what, "mismatch", value)

    def noted(self, name: str, value: float | None) -> str:
        if value is None:
            return _NO_AGE if name == "hasegawa" else "no class printed for this incidence"
        if name == "hasegawa" and beyond_hasegawa(self.age, self.evidence):
            (ages,) = self.row("ideal_lordosis.hasegawa.ages").table
            return f"carried beyond {ages['from']} to {ages['to']} years"
        return ""

    def by_age(self, what: str, which: str, value: float | None) -> Target:
        """A target of Lafage 2016."""
        rows = (self.row("age_adjusted.from_age"), *self.under(f"age_adjusted.{which}."))
        note = _NO_AGE if value is None else ""
        return self.target(
            what, "age_adjusted", "Lafage 2016, by age", rows, value=value, note=note
        )

    def mismatch(self) -> Iterator[Target]:
        """Incidence less lordosis."""
        limit = self.row("srs_schwab.pi_ll.moderate")
        yield self.target(
            MISMATCH, "srs_schwab", "SRS-Schwab", (limit,), high=limit.number, below=True
        )
        value = None if self.age is None else aged("mismatch", self.age, self.evidence)
        yield self.by_age(MISMATCH, "mismatch", value)
        if self.incidence is not None:
            slope, offset = rows = self.under("target.hyun_mismatch.")
            value = slope.number * self.incidence + offset.number
            yield self.target(MISMATCH, "hyun", HOLDERS["hyun"], rows, value=value)

    def lower_lordosis(self) -> Iterator[Target]:
        """The lordosis L4-S1, and its part in the whole."""
        if self.incidence is not None:
            line = lee_class(self.incidence, self.evidence)
            value = None if line is None else self.incidence + line["lower_less_incidence"]
            yield self.target(
                LOWER_LORDOSIS, "lee", HOLDERS["lee"], rows_of("lee", self.evidence), value=value,
                note=self.noted("lee", value),
            )  # fmt: skip
            slope, offset = rows = self.under("ideal_lordosis.lower_hyun.")
            yield self.target(
                LOWER_LORDOSIS, "hyun", HOLDERS["hyun"], rows,
                value=slope.number * self.incidence + offset.number, note="a weak line",
            )  # fmt: skip
        name = "gap.lordosis_distribution_index"
        low, high = self.row(f"{name}.moderate_hypolordotic"), self.row(f"{name}.hyperlordotic")
        yield self.target(
            _INDEX, "gap", "Yilgor 2017, for the GAP score only", (low, high),
            low=low.number, high=high.number,
        )  # fmt: skip

    def pelvis(self) -> Iterator[Target]:
        """Tilt, slope and global tilt."""
        limit = self.row("srs_schwab.pt.moderate")
        yield self.target(
            PELVIC_TILT, "srs_schwab", "SRS-Schwab", (limit,), high=limit.number, below=True
        )
        value = None if self.age is None else aged("pelvic_tilt", self.age, self.evidence)
        yield self.by_age(PELVIC_TILT, "pelvic_tilt", value)
        if self.incidence is not None:
            yield self.target(
                PELVIC_TILT, "incidence_classes", HOLDERS["incidence_classes"],
                rows_of("incidence_classes", self.evidence),
                value=float(class_of(self.incidence, self.evidence)["pelvic_tilt"]),
            )  # fmt: skip
        yield self.after_osteotomy(PELVIC_TILT, "pt")
        if self.incidence is not None:
            yield self.of_gap(SACRAL_SLOPE, "relative_pelvic_version")
            yield self.of_gap(_TILT, "relative_spinopelvic_alignment")

    def after_osteotomy(self, what: str, which: str) -> Target:
        row = self.row(f"target.three_column.{which}")
        return self.target(
            what, "three_column", "after a three-column osteotomy", (row,), high=row.number,
            below=True,
        )  # fmt: skip

    def of_gap(self, what: str, component: str) -> Target:
        """The ideal of a GAP component, with the range that has no point."""
        ends = {
            "relative_lumbar_lordosis": ("moderate_hypolordosis", "hyperlordosis"),
            "relative_pelvic_version": ("moderate_retroversion", "anteversion"),
            "relative_spinopelvic_alignment": ("negative", "moderate_positive"),
        }
        rows = self.under(f"gap.ideal.{component}.")
        slope, offset = rows
        low, high = (self.row(f"gap.{component}.{end}") for end in ends[component])
        ideal = slope.number * (self.incidence or 0) + offset.number
        return self.target(
            what, "gap", HOLDERS["gap"], (*rows, low, high), value=ideal,
            low=ideal + low.number, high=ideal + high.number,
        )  # fmt: skip

    def l1_target(self, incidence: float) -> float:
        slope, offset = self.row("t4_l1_hip_axis.l1.slope"), self.row("t4_l1_hip_axis.l1.offset")
        return slope.number * incidence + offset.number

    def hip_axis(self) -> Iterator[Target]:
        """L1 and T4 over the hips."""
        if self.incidence is not None:
            yield self.target(
                _L1, "t4_l1_hip_axis", "Hills 2024", self.under("t4_l1_hip_axis.l1."),
                value=self.l1_target(self.incidence),
            )  # fmt: skip
        row, l1 = self.row("t4_l1_hip_axis.aligned"), self.now.get(_L1)
        if l1 is not None:
            yield self.target(
                _T4, "t4_l1_hip_axis", "Hills 2024, T4 in line with L1", (row,), value=l1,
                low=l1 - row.number, high=l1 + row.number,
            )  # fmt: skip

    def vertical_axis(self) -> Iterator[Target]:
        """C7 before S1."""
        limit = self.row("srs_schwab.sva.moderate")
        yield self.target(
            VERTICAL_AXIS, "srs_schwab", "SRS-Schwab", (limit,), high=limit.number, below=True
        )
        yield self.after_osteotomy(VERTICAL_AXIS, "sva")
        yield self.target(
            VERTICAL_AXIS, "age_adjusted", "Lafage 2016, by age",
            (self.row("age_adjusted.not_built_in"),), note="not used: the formula was not read",
        )  # fmt: skip

    def neck(self) -> Iterator[Target]:
        """C2 before C7, and the neck for its T1 slope."""
        axis, mismatch = self.row("ames.csva.moderate"), self.row("ames.ts_cl.moderate")
        yield self.target(
            _NECK_AXIS, "ames", "Ames modifier 0", (axis,), high=axis.number, below=True
        )
        yield self.target(_NECK, "ames", "Ames modifier 0", (mismatch,), high=mismatch.number)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
