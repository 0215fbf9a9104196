"""Red flags: what must not be missed before anybody asks which mechanism a pain has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import AnyFinding, Finding, Recommendation, Stage, Status, Urgency
from endplate.record import UNKNOWN, Known, Patient, any_of
from endplate.rules import rule
from endplate.vocabulary import concept

ANY = "pain.red_flag.any"
_MARKERS = ("lab.c_reactive_protein", "pain.red_flag.raised_sedimentation_rate")
_RATE = "lab.erythrocyte_sedimentation_rate"
# Of what something must be on record before a plan asks for red flags: pain, or a form on it.
BEGINS = (
    "pain.",
    *(f"questionnaire.{form}." for form in (
        "start_back", "ompsq10", "pcs", "tsk17", "fabq", "pseq", "csi", "dn4", "pain_detect",
        "lanss", "s_lanss",
    )),
)  # fmt: skip
# What is not said while an emergency stands open; the mechanism itself says that it is held back.
_HELD_BACK = frozenset({
    "pain.neupsig", "pain.iasp_nociplastic", "pain.peripheral_sensitisation",
    "pain.central_sensitisation", "pain.context", "pain.mechanism_model",
})  # fmt: skip


class Flag(Struct, frozen=True, kw_only=True):
    """One flag of a target: what is known of it.

    Attributes
    ----------
    called
        Its name where it is not there or nobody asked.
    weak
        It counts only beside others.
    on_record
        It stands in every record, so that knowing it does not show that anybody asked.
    outdated
        When it was last there, if that is too long ago to count.
    rows
        The cut-off it was held against.
    """

    what: str
    known: Known
    called: str
    weak: bool = False
    on_record: bool = False
    outdated: Fact | None = None
    rows: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """What a clinician calls it; with its number, where it is one."""
        named = concept(self.what)
        numbers = [f for f in self.known.because if f.what == self.what and named.kind == "number"]
        if not numbers:
            return concept(self.known.because[0].what).name if self._by_another else self.called
        unit = "" if named.unit == "1" else {"a": " years"}.get(named.unit, f" {named.unit}")
        return f"{named.name.partition(',')[0]} {numbers[0].number:g}{unit}"

    @property
    def _by_another(self) -> bool:
        """Whether a second concept says it, such as a medicine on record."""
        because = self.known.because
        return self.known.yes and bool(because) and because[0].what.startswith("medicine.")


class Asked(Struct, frozen=True, kw_only=True):
    """What is known of one target: found, denied, and what nobody asked."""

    flags: tuple[Flag, ...]
    stated: Known
    markers: Known = UNKNOWN

    @property
    def found(self) -> tuple[Flag, ...]:
        """The flags that are there."""
        return tuple(f for f in self.flags if f.known.yes)

    @property
    def unasked(self) -> tuple[Flag, ...]:
        """The flags of which nothing is known."""
        return tuple(f for f in self.flags if f.known.unknown)

    @property
    def begun(self) -> bool:
        """Whether anybody asked for it, or something of it is there."""
        asked = any(not f.known.unknown and not f.on_record for f in self.flags)
        return asked or bool(self.found) or self.stated.yes or any(f.outdated for f in self.flags)

    def has(self, end: str) -> bool:
        """Whether the flag whose id ends so is there."""
        return any(f.what.endswith(end) for f in self.found)


class Verdict(Struct, frozen=True):
    """What follows: a word, how soon, and the row of its pathway."""

    category: str
    urgency: Urgency
    pathway: str


_Judge = Callable[[Asked, Evidence], Verdict | None]


def _any_flag(urgency: Urgency, pathway: str) -> _Judge:
    """Any one flag is enough."""
    word = "emergency" if urgency is Urgency.EMERGENCY else "urgent"

    def judge(asked: Asked, evidence: Evidence) -> Verdict | None:
        there = asked.found or asked.stated.yes
        return Verdict(word, urgency, pathway) if there else None

    return judge


def _infection(asked: Asked, evidence: Evidence) -> Verdict | None:
    strong = asked.stated.yes or any(not f.weak for f in asked.found)
    there = strong or bool(asked.found)
    if asked.markers.yes:
        path = "spinal_infection" if there else "raised_markers"
        return Verdict("urgent" if there else "raised_markers", Urgency.SOON, path)
    if strong:
        path = "markers_not_raised" if asked.markers.no else "measure_markers"
        return Verdict("urgent", Urgency.SOON, path)
    if there and asked.markers.unknown:
        return Verdict("measure_markers", Urgency.ROUTINE, "measure_markers")
    return None


def _fracture(asked: Asked, evidence: Evidence) -> Verdict | None:
    if evidence.row("pain.red_flag.fracture_likely").met(len(asked.found)):
        return Verdict("likely", Urgency.SOON, "spinal_fracture")
    if asked.stated.yes or any(not f.weak for f in asked.found):
        return Verdict("urgent", Urgency.SOON, "spinal_fracture")
    if asked.found:
        return Verdict("older_age_alone", Urgency.ROUTINE, "older_age_alone")
    return None


def _aneurysm(asked: Asked, evidence: Evidence) -> Verdict | None:
    if any(not f.weak for f in asked.found) or (asked.stated.yes and not asked.found):
        return Verdict("emergency", Urgency.EMERGENCY, "aortic_aneurysm")
    return Verdict("urgent", Urgency.SOON, "known_aneurysm") if asked.found else None


def _inflammatory(asked: Asked, evidence: Evidence) -> Verdict | None:
    beside = asked.has("night_or_rest_pain") or asked.has("morning_stiffness")
    if asked.stated.yes or (asked.has("age_at_onset") and beside):
        return Verdict("refer", Urgency.ROUTINE, "inflammatory_back_pain")
    return None


# The targets in the order in which they are shown: what each is called, and how it is judged.
_TARGETS: Mapping[str, tuple[str, _Judge]] = {
    "cauda_equina": ("cauda equina syndrome", _any_flag(Urgency.EMERGENCY, "cauda_equina")),
    "aortic_aneurysm": ("abdominal aortic aneurysm", _aneurysm),
    "spinal_infection": ("spinal infection", _infection),
    "spinal_malignancy": (
        "spinal malignancy", _any_flag(Urgency.SOON, "spinal_malignancy"),
    ),
    "spinal_fracture": ("spinal fracture", _fracture),
    "myelopathy": ("myelopathy", _any_flag(Urgency.SOON, "myelopathy")),
    "inflammatory_back_pain": ("inflammatory back pain", _inflammatory),
}  # fmt: skip
_OTHER_ROWS = {
    "spinal_infection": ("pain.red_flags.raised_markers", "pain.red_flag.c_reactive_protein"),
    "spinal_malignancy": ("pain.red_flags.malignancy_after_test",),
    "spinal_fracture": ("pain.red_flag.fracture_likely", "pain.red_flags.fracture_after_test"),
}
_WHO = "the clinician who sees the person"
# A word for a flag that was there too long ago to count.
_AGAIN = "ask_again"

FLAGS = (
    *(f"pain.red_flag.{name}" for name in (
        "bladder_dysfunction", "bowel_dysfunction", "sexual_dysfunction", "saddle_sensory_change",
        "bilateral_sciatica", "bilateral_motor_loss", "progressive_motor_loss",
        "post_void_residual", "pulsatile_abdominal_mass", "sudden_pain_with_collapse",
        "known_aortic_aneurysm", "fever", "intravenous_drug_use", "immunosuppression",
        "recent_bacteraemia", "recent_spinal_procedure", "night_or_rest_pain",
    )),
    *_MARKERS, _RATE, "condition.malignancy", "person.age",
    *(f"pain.red_flag.{name}" for name in (
        "prolonged_corticosteroid", "severe_trauma", "contusion_or_abrasion", "hand_clumsiness",
        "gait_disturbance", "upper_motor_neuron_signs", "age_at_onset", "morning_stiffness",
    )),
    "medicine.glucocorticoid", *(f"pain.red_flag.{name}" for name in _TARGETS), ANY,
)  # fmt: skip


def _known(line: Mapping[str, Any], wide: Known, patient: Patient, evidence: Evidence) -> Flag:
    """What is known of one flag; a no to the wider question answers it too."""
    what = str(line["asks"])
    rows: tuple[Row, ...] = ()
    if "cut" in line:
        row = evidence.row(str(line["cut"]))
        rows = (row,)
        fact = patient.age if what == "person.age" else patient.latest(what)
        known = UNKNOWN if fact is None else _held(row, fact)
    else:
        known = patient.ever(what) if line.get("ever") else patient.has(what)
    if "also" in line and not known.yes:
        other = patient.has(str(line["also"]))
        known = other if other.yes else known
    old = patient.outdated(what) if known.unknown else None
    if known.unknown and wide.no:
        known = wide
    return Flag(
        what=what,
        known=known,
        called=str(line.get("called", concept(what).name)),
        weak=bool(line.get("weak")),
        on_record=bool(line.get("on_record")),
        outdated=old if old is not None and known.unknown and _was_there(old, rows) else None,
        rows=rows,
    )


def _held(row: Row, fact: Fact) -> Known:
    return Known("yes" if row.met(fact.number) else "no", (fact,))


def _was_there(fact: Fact, rows: tuple[Row, ...]) -> bool:
    return rows[0].met(fact.number) if rows else fact.value is True


def _asked(target: str, patient: Patient, evidence: Evidence) -> Asked:
    stated = patient.has(f"pain.red_flag.{target}")
    flags = tuple(
        _known(line, stated, patient, evidence)
        for line in evidence.row(f"pain.red_flags.{target}").table
    )
    if stated.yes and any(f.known.yes for f in flags):
        stated = UNKNOWN  # a flag below it says it
    markers = UNKNOWN
    if target == "spinal_infection":
        table = evidence.row("pain.red_flags.raised_markers").table
        markers = any_of(_known(line, UNKNOWN, patient, evidence).known for line in table)
    return Asked(flags=flags, stated=stated, markers=markers)


@rule("pain.red_flags", reads=FLAGS, scores="red_flags", headline=0, begins=BEGINS)
def red_flags(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Red flags of spinal pain: what was found, denied, never asked, and what follows.

    Source      pathways and reviews (pain.red_flags.*, pain.red_flag.*, pain.pathway.*); most
                were not read and wait for a clinician
    Population  back, neck or leg pain that may come from the spine
    Not for     ruling anything out: most flags inform little, and their absence less
    Differs     a residual of the bladder counts above or from 200 mL
    """
    asked = {name: _asked(name, patient, evidence) for name in _TARGETS}
    told = {name: _target(name, a, patient, evidence) for name, a in asked.items() if _tells(a)}
    yield _summary(asked, told, patient, evidence)
    yield from told.values()


def _tells(asked: Asked) -> bool:
    """Whether a target has something to say for itself; what nobody asked is told once."""
    return asked.begun or asked.markers.yes


def _target(name: str, asked: Asked, patient: Patient, evidence: Evidence) -> AnyFinding:
    title, judge = _TARGETS[name]
    verdict = judge(asked, evidence)
    again = [f for f in asked.flags if f.outdated]
    if verdict is None and again:
        verdict = Verdict(_AGAIN, Urgency.SOON, "")
    missing = _missing(asked) if verdict is None or verdict.urgency is not Urgency.EMERGENCY else ()
    of_flags = [r for f in asked.flags for r in f.rows]
    others = [evidence.row(n) for n in _OTHER_ROWS.get(name, ())]
    rows = tuple(dict.fromkeys((evidence.row(f"pain.red_flags.{name}"), *of_flags, *others)))
    facts = [f for flag in asked.flags for f in (*flag.known.because, flag.outdated) if f]
    rate = patient.latest(_RATE) if name == "spinal_infection" else None
    facts += [*asked.stated.because, *asked.markers.because, *((rate,) if rate else ())]
    count = float(len(asked.found)) if name == "spinal_fracture" else None
    fields: dict[str, Any] = {
        "says": _says(title, asked, again, rate),
        "about": name,
        "value": count,
        "unit": "1" if count is not None else "",
        "because": tuple(dict.fromkeys(facts)),
        "missing": missing,
        "stage": Stage.RED_FLAGS,
    }
    if verdict is None:
        return Finding(
            **fields, rests_on=rows, category="not_all_asked" if missing else "none_found",
            status=Status.UNKNOWN if missing else Status.ANSWERED,
        )  # fmt: skip
    if verdict.pathway:
        way = evidence.row(f"pain.pathway.{verdict.pathway}")
        action, rows = way.says, (*rows, way)
    else:
        action = f"Ask again for: {', '.join(f.name for f in again)}."
    return Recommendation(
        **fields, action=action, who=_WHO, category=verdict.category, urgency=verdict.urgency,
        rests_on=rows,
    )  # fmt: skip


def _missing(asked: Asked) -> tuple[str, ...]:
    found = [f.what for f in asked.unasked]
    if asked.markers.unknown and any(f.what.endswith(".fever") for f in asked.flags):
        found += [] if not asked.found else _MARKERS
    return tuple(dict.fromkeys(found))


def _says(title: str, asked: Asked, again: list[Flag], rate: Fact | None) -> str:
    found = [f.name for f in asked.found] + (["signs of it"] if asked.stated.yes else [])
    found += ["raised markers of inflammation"] if asked.markers.yes else []
    denied = [f.called for f in asked.flags if f.known.no]
    told = [f"found {', '.join(found)}"] if found else []
    if again:
        told.append(f"too long ago to count: {', '.join(f.called for f in again)}")
    told += [f"not there: {', '.join(denied)}"] if denied else []
    open_ones = [f.called for f in asked.unasked]
    told += [f"nobody asked: {', '.join(open_ones)}"] if open_ones else []
    if rate is not None:
        told.append(
            f"sedimentation rate {rate.number:g} mm/h, to be judged by the laboratory's limit"
        )
    return f"Red flags of {title}: {'; '.join(told)}."


def _summary(
    asked: Mapping[str, Asked], told: Mapping[str, AnyFinding], patient: Patient, evidence: Evidence
) -> Finding:
    by = {
        word: [n for n, f in told.items() if f.urgency is urgency and f.category != "none_found"]
        for word, urgency in (("emergency", Urgency.EMERGENCY), ("urgent", Urgency.SOON),
                              ("routine", Urgency.ROUTINE))
    }  # fmt: skip
    unasked = [n for n in asked if n not in told]
    stated = patient.has(ANY)
    missing = [w for f in told.values() for w in f.missing] + ([ANY] if unasked else [])
    category = next((word for word, names in by.items() if names), None)
    if category is None and stated.yes:
        category = "urgent"  # a flag is there, and nobody says which
    status = Status.ANSWERED if category or not missing else Status.UNKNOWN
    nothing = "not_asked" if not told else "not_all_asked" if missing else "none_found"
    parts = {n: told[n].category if n in told else "not_asked" for n in asked}
    said = [f"{_names(names)} ({word})" for word, names in by.items() if names]
    none = "none found in what was asked" if missing else "none found"
    says = "; ".join(said) if said else none if told else "nobody asked for any"
    if stated.yes and not said:
        says = "one is on record without a word on which"
    denied = [n for n, f in told.items() if f.category == "none_found"]
    says += f". Asked and not there: {_names(denied)}" if denied else ""
    part = [n for n, f in told.items() if f.category == "not_all_asked"]
    says += f". Asked in part: {_names(part)}" if part else ""
    says += f". Nobody asked for: {_names(unasked)}" if unasked and told else ""
    return Finding(
        says=f"Red flags: {says}.",
        category=category or nothing,
        status=status,
        parts=parts,
        because=tuple(dict.fromkeys((*stated.because, *(x for f in told.values()
                                                        for x in f.because)))),
        missing=tuple(dict.fromkeys(missing)),
        rests_on=(evidence.row("pain.red_flags.first"),),
        stage=Stage.RED_FLAGS,
        urgency=Urgency.SOON if stated.yes and not said else Urgency.INFORMATION,
    )  # fmt: skip


def _names(names: list[str]) -> str:
    return ", ".join(_TARGETS[n][0] for n in names)


def emergency(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """The emergency that comes before any question of mechanism, if a flag of one is there."""
    for finding in red_flags(patient, evidence):
        if isinstance(finding, Recommendation) and finding.urgency is Urgency.EMERGENCY:
            return finding
    return None


def first_things_first(found: tuple[AnyFinding, ...]) -> tuple[AnyFinding, ...]:
    """The findings of a plan without those on mechanisms, while an emergency stands open."""
    open_one = any(f.rule == red_flags.id and f.urgency is Urgency.EMERGENCY for f in found)
    return tuple(f for f in found if f.rule not in _HELD_BACK) if open_one else found


def held_back(what: str, by: Recommendation, rows: tuple[Row, ...]) -> Finding:
    """What is said instead of an answer while an emergency stands open."""
    title = _TARGETS[by.about][0]
    return Finding(
        says=f"{what}: held back, as there are signs of {title}, an emergency. {by.action}",
        status=Status.NOT_APPLICABLE,
        parts={"held_back_by": by.about, "pathway": by.action},
        because=by.because,
        rests_on=(*by.rests_on, *rows),
        stage=Stage.RED_FLAGS,
    )
