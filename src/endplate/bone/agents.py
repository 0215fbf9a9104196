"""Bone medicines before spine surgery: what speaks against each, and which comes first."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date

from endplate import vocabulary
from endplate.bone.densitometry import classified_by_t_score
from endplate.bone.diagnosis import TREATMENT_READS, need_of_treatment
from endplate.bone.nutrients import corrected_calcium
from endplate.evidence import Evidence, Row
from endplate.findings import Check, Finding, Recommendation, Stage, Status, Urgency
from endplate.record import UNKNOWN, Known, Patient
from endplate.rules import rule
from endplate.vocabulary import concept

AGENTS = (
    "teriparatide", "abaloparatide", "romosozumab", "denosumab", "alendronate", "risedronate",
    "zoledronate",
)  # fmt: skip

CHECK_READS = (
    "condition.paget_disease", "condition.skeletal_malignancy", "procedure.skeletal_radiotherapy",
    "condition.malignancy", "condition.hereditary_osteosarcoma_risk", "condition.open_epiphyses",
    "condition.hypercalcaemia", "condition.hyperparathyroidism",
    "condition.unexplained_high_alkaline_phosphatase", "condition.cardiovascular_event",
    "condition.cardiovascular_event_history", "condition.hypocalcaemia", "person.sex",
    "condition.oesophageal_disease", "person.can_sit_upright_30_minutes",
    "lab.creatinine_clearance", "lab.egfr", "person.pregnant", "person.postmenopausal",
    "person.age", "medicine.denosumab", "medicine.parathyroid_hormone_analogue",
    "allergy.other", "condition.osteonecrosis_of_jaw", "condition.atypical_femoral_fracture",
    "lab.calcium", "lab.albumin", "lab.calcium_albumin_corrected",
)  # fmt: skip


def answer_to(
    patient: Patient, row: Row, evidence: Evidence, agent: str = ""
) -> tuple[Known, tuple[str, ...]]:
    """Whether what a check row looks for is there, and the concepts that would answer it.

    What counts only where it is on record is not asked for.
    """
    line = row.table[0]
    asks, how = str(line["asks"]), str(line["how"])
    if how == "allergy":
        return _allergic_to(patient, agent), ()
    if how == "ever":
        return patient.ever(asks), () if line.get("if_on_record") else (asks,)
    if how == "now":
        return patient.has(asks), (asks,)
    if how == "within":
        return patient.within(asks, int(row.number)), (asks,)
    if how in ("low_calcium", "high_calcium"):
        return _calcium(patient, asks, evidence), (asks,)
    if how == "can":  # the row warns of an inability, the fact states the ability
        can = patient.has(asks)
        return Known({"yes": "no", "no": "yes"}.get(can.answer, "unknown"), can.because), (asks,)
    if how == "postmenopausal_women_only":
        return _outside_the_label(patient, evidence)
    if how == "before_the_change":
        return _of_the_young(patient, asks, evidence), (asks,)
    if how == "below":
        fact = patient.latest(asks) or (
            patient.latest(str(line["stand_in"])) if "stand_in" in line else None
        )
        if fact is None:
            return UNKNOWN, (asks,)
        return Known("yes" if row.met(fact.number) else "no", (fact,)), (asks,)
    raise KeyError(f"{row.name}: {how!r} is no known question.")


_OF_CALCIUM = {
    "condition.hypocalcaemia": "bone.hypocalcaemia",
    "condition.hypercalcaemia": "bone.hypercalcaemia",
}


def _calcium(patient: Patient, diagnosis: str, evidence: Evidence) -> Known:
    """Whether calcium is low (or high): by the diagnosis, or by the newest result beside it.

    A total calcium that is low without an albumin to correct it by leaves the answer unknown.
    """
    diagnosed = patient.has(diagnosis)
    if diagnosed.yes:
        return diagnosed
    limit = evidence.row(_OF_CALCIUM[diagnosis])
    total, printed = (patient.latest(w) for w in ("lab.calcium", "lab.calcium_albumin_corrected"))
    if printed is not None and (
        total is None or (printed.on or date.min) >= (total.on or date.min)
    ):
        return Known("yes" if limit.met(printed.number) else "no", (printed,))
    if total is None:
        return diagnosed
    corrected = [f.value for f in corrected_calcium(patient, evidence) if f.value is not None]
    if limit.met(corrected[0] if corrected else total.number):
        return Known("yes" if corrected else "unknown", (total,))
    if not corrected and diagnosis == "condition.hypercalcaemia":
        return diagnosed  # a low albumin can hide it
    return Known("no", (*diagnosed.because, total))


def _allergic_to(patient: Patient, agent: str) -> Known:
    """Whether an allergy to a medicine or its class is on record; silence is no denial."""
    what = f"medicine.{agent}"
    close = {what, *vocabulary.ancestors(what)} - _TOO_WIDE
    found = tuple(
        f
        for f in patient.facts("allergy.other")
        if f.details.get("medicine") in close and (f.until is None or f.until > patient.on)
    )
    return Known("yes", found) if found else UNKNOWN


# An allergy to a medicine of these says nothing of the others in them.
_TOO_WIDE = frozenset({"medicine.bone_active", "medicine.bone_anabolic"})


def _outside_the_label(patient: Patient, evidence: Evidence) -> tuple[Known, tuple[str, ...]]:
    """Whether a person is anyone but a postmenopausal woman."""
    group = classified_by_t_score(patient, evidence)
    if patient.sex is None:
        return UNKNOWN, ("person.sex",)
    if patient.sex == "male" or group.answer == "no":
        return Known("yes", group.because), ()
    return Known("no" if group.answer == "yes" else "unknown", group.because), group.missing


def _of_the_young(patient: Patient, asks: str, evidence: Evidence) -> Known:
    """What is not to be found after the menopause, and in men of 50 and more, and else asked for.

    Men are never pregnant.
    """
    group = classified_by_t_score(patient, evidence)
    if group.answer == "yes" or (patient.sex == "male" and asks == "person.pregnant"):
        return Known("no", group.because)
    return patient.has(asks)


def check_rows(evidence: Evidence, agent: str) -> tuple[Row, ...]:
    """The things to look for before an agent is given."""
    line = evidence.row(f"bone.agent.{agent}").table[0]
    own = evidence.under(f"bone.agent.{line.get('same_checks_as', agent)}.check.")
    slowing = line["class"] != "anabolic" or agent == "romosozumab"  # which does both
    of_class = evidence.under("bone.agent.antiresorptive.check.") if slowing else ()
    return (*own, *of_class, *evidence.under("bone.agent.every.check."))


def checks_of(
    patient: Patient, rows: Iterable[Row], evidence: Evidence, agent: str = ""
) -> tuple[Check, ...]:
    """Each thing looked for, with its answer."""
    found = []
    for row in rows:
        answer, _ = answer_to(patient, row, evidence, agent)
        says = row.says
        if answer.because and answer.because[0].what == row.table[0].get("stand_in"):
            says += " (the eGFR stands in for the creatinine clearance)"
        found.append(
            Check(what=row.name.rsplit(".", 1)[-1], answer=answer.answer, says=says,
                  because=answer.because)
        )  # fmt: skip
    return tuple(found)


def verdict_on(patient: Patient, evidence: Evidence, agent: str) -> str:
    """``contraindicated``, ``avoid``, ``off_label``, ``caution``, ``unknown`` or ``possible``."""
    kinds = {"contraindicated": 0, "avoid": 1}
    worst, unknown = "possible", False
    softer = []
    for row in check_rows(evidence, agent):
        answer, asks = answer_to(patient, row, evidence, agent)
        kind = str(row.table[0]["kind"])
        unknown = unknown or (answer.unknown and bool(asks))
        if answer.yes and kind in kinds:
            worst = min((kind, worst), key=lambda k: kinds.get(k, len(kinds)))
        elif answer.yes:
            softer.append(kind)
    if worst != "possible":
        return worst
    if unknown:
        return "unknown"
    return "off_label" if "off_label" in softer else "caution" if softer else "possible"


_IN_WORDS = {
    "contraindicated": "contraindicated",
    "avoid": "to be avoided",
    "off_label": "possible, off-label",
    "caution": "possible, with caution",
    "unknown": "cannot be judged before the open questions are answered",
    "possible": "nothing on record speaks against it",
}


def _against(patient: Patient, evidence: Evidence, agent: str) -> str:
    """What speaks against an agent or has to be weighed, in brackets; empty if nothing."""
    rows = check_rows(evidence, agent)
    found = [r.says.split(":")[0] for r in rows if answer_to(patient, r, evidence, agent)[0].yes]
    return f" ({'; '.join(found)})" if found else ""


@rule(
    "bone.agent",
    reads=(*CHECK_READS, *TREATMENT_READS, *(f"medicine.{agent}" for agent in AGENTS)),
)
def agent_options(patient: Patient, evidence: Evidence) -> Iterable[Finding]:
    """For each bone medicine, what was looked for and what speaks against it.

    Source      US labels, CNS 2021, patel2024 (bone.agent.*)
    Population  adults with osteoporosis before spine surgery
    Not for     prescribing: labels change, and the current one is read before use
    """
    found = need_of_treatment(patient, evidence)
    if found is None:
        return
    for agent in AGENTS:
        about = evidence.row(f"bone.agent.{agent}")
        extra = evidence.rows.get(f"bone.agent.{agent}.evidence")
        rows = check_rows(evidence, agent)
        answers = [(row, *answer_to(patient, row, evidence, agent)) for row in rows]
        verdict = verdict_on(patient, evidence, agent)
        asked = tuple(w for _, answer, asks in answers if answer.unknown for w in asks)
        taken = patient.has(f"medicine.{agent}")
        says = f"{agent.capitalize()}{', which is being taken' if taken.yes else ''}: "
        says += f"{_IN_WORDS[verdict]}{_against(patient, evidence, agent)}"
        closed = verdict in ("contraindicated", "avoid")
        yield Recommendation(
            about=agent,
            says=says + ".",
            action=f"Discuss {agent} with a bone specialist."
            if not closed or taken.yes
            else f"Do not choose {agent}.",
            who="bone specialist with the surgeon",
            status=Status.UNKNOWN if verdict == "unknown" else Status.ANSWERED,
            category=None if verdict == "unknown" else verdict,
            because=tuple(
                dict.fromkeys(f for a in (*(k for _, k, _ in answers), taken) for f in a.because)
            ),
            assumed=found.assumed,
            missing=asked,
            checked=checks_of(patient, rows, evidence, agent),
            rests_on=(about, *((extra,) if extra else ()), *rows),
            stage=Stage.NOW if closed and taken.yes else Stage.BEFORE_SURGERY,
            urgency=Urgency.SOON if closed and taken.yes else Urgency.ROUTINE,
        )


def months_from(day: date, months: int) -> date:
    """The same day some months later (or earlier), or the month's last day if it is shorter."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def anabolic_now(patient: Patient, evidence: Evidence) -> Known:
    """Whether an anabolic is being taken; a monthly dose counts until the next one is due."""
    return _lasting(patient, "medicine.bone_anabolic", "romosozumab", evidence)


def bisphosphonate_now(patient: Patient, evidence: Evidence) -> Known:
    """Whether a bisphosphonate is being taken; a yearly infusion counts until the next is due."""
    return _lasting(patient, "medicine.bisphosphonate", "zoledronate", evidence)


def _lasting(patient: Patient, what: str, by_dose: str, evidence: Evidence) -> Known:
    taken = patient.has(what)
    interval = int(evidence.row(f"bone.{by_dose}.interval_months").number)
    if taken.yes:
        return taken
    lasting = tuple(
        f
        for f in patient.ever(f"medicine.{by_dose}").because
        if f.value is True and f.until is not None and months_from(f.until, interval) >= patient.on
    )
    return Known("yes", lasting) if lasting else taken


def _kidneys(patient: Patient, evidence: Evidence) -> bool:
    """Whether the creatinine clearance rules bisphosphonates out in the order of agents."""
    row = evidence.row("bone.agent.alendronate.check.creatinine_clearance")
    return answer_to(patient, row, evidence)[0].yes


@rule(
    "bone.first_choice_agent",
    reads=(*CHECK_READS, *TREATMENT_READS, "intent.procedure", "medicine.bone_active",
           "medicine.bone_anabolic", "medicine.romosozumab"),
    headline=6,
)  # fmt: skip
def first_choice_agent(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Which bone medicine comes first before instrumented surgery, as a proposal to discuss.

    Source      order put together from CNS 2021 and patel2024 (bone.agent.first_choice)
    Population  adults with osteoporosis before instrumented spine surgery
    Not for     deciding: a bone specialist does, with the current labels
    """
    found = need_of_treatment(patient, evidence)
    if found is None or patient.intent.is_instrumented.no:
        return None
    if anabolic_now(patient, evidence).yes:
        return None  # it has been chosen; what speaks against it is said of the agent
    order = evidence.row("bone.agent.first_choice")
    verdicts = {a: verdict_on(patient, evidence, a) for a in AGENTS}
    open_to = [a for a in AGENTS if verdicts[a] not in ("contraindicated", "avoid")]
    if _kidneys(patient, evidence):  # whatever the label of a single one allows
        open_to = [a for a in open_to if a != "risedronate"]
    if not open_to:
        return Recommendation(
            says="Something speaks against each of the bone medicines listed.",
            action="Refer to a bone specialist for the choice of treatment.",
            who="surgeon",
            category="none",
            because=found.because,
            assumed=found.assumed,
            alternatives=tuple(
                f"{a}: {_IN_WORDS[verdicts[a]]}{_against(patient, evidence, a)}" for a in AGENTS
            ),
            rests_on=(order,),
            stage=Stage.BEFORE_SURGERY,
            urgency=Urgency.SOON,
        )
    first = open_to[0]
    rows = check_rows(evidence, first)
    unknown = tuple(
        w
        for row in rows
        for a, asks in (answer_to(patient, row, evidence, first),)
        if a.unknown
        for w in asks
    )
    undecided = verdicts[first] == "unknown"
    says = f"First to discuss: {first}{_against(patient, evidence, first)}"
    if undecided:
        many = len(unknown) != 1
        says += f", once {len(unknown)} open question{'s' if many else ''} about it "
        says += "are answered" if many else "is answered"
    elif verdicts[first] != "possible":
        says += f", {_IN_WORDS[verdicts[first]]}"
    taken = patient.has("medicine.bone_active")
    if taken.yes:
        names = ", ".join(dict.fromkeys(concept(f.what).name for f in taken.because))
        says += f"; {names} is being taken, and a change is the bone specialist's decision"
    return Recommendation(
        says=says + ".",
        action=f"Discuss {first} with a bone specialist before the operation.",
        who="surgeon with a bone specialist",
        status=Status.UNKNOWN if undecided else Status.ANSWERED,
        category=None if undecided else first,
        because=(*found.because, *patient.intent.because, *taken.because),
        assumed=found.assumed,
        missing=unknown,
        checked=checks_of(patient, rows, evidence, first),
        alternatives=tuple(f"{a}: {_IN_WORDS[verdicts[a]]}" for a in open_to[1:]),
        rests_on=(
            order,
            evidence.row(f"bone.agent.{first}"),
            evidence.row("bone.agent.sequential"),
        ),
        would_change=("A contraindication that is not on record.", "The specialist's judgement."),
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON,
    )
