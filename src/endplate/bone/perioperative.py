"""Bone health around the operation: referral, time for an anabolic, medicines already taken."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from endplate.bone.densitometry import osteoporosis_by_dxa
from endplate.bone.diagnosis import osteoporosis
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.record import Patient
from endplate.rules import rule

_OPERATION = ("intent.procedure", "intent.date", "intent.elective")


def months_from(day: date, months: int) -> date:
    """The same day some months later (or earlier), or the month's last day if it is shorter."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


@rule("bone.refer", reads=(*osteoporosis.reads, *_OPERATION))
def refer(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Refer a person with osteoporosis to a bone specialist before instrumented surgery.

    Source      patel2024 (bone.review.practice)
    Population  adults with osteoporosis before spine surgery
    Not for     emergencies, which do not wait
    """
    found = osteoporosis.one(patient, evidence)
    if found.category != "osteoporosis":
        return None
    intent = patient.intent
    lead = evidence.row("bone.timing.anabolic_before_months")
    by = months_from(intent.day, -int(lead.number)) if intent.day else None
    if by is not None and by < patient.on:
        by = patient.on
    return Recommendation(
        says="Osteoporosis before spine surgery is treated together with a bone specialist.",
        action="Refer to endocrinology or a bone clinic.",
        who="surgeon",
        by=by,
        category="refer",
        because=(*found.because, *intent.because),
        assumed=found.assumed,
        rests_on=(evidence.row("bone.review.practice"), lead),
        stage=Stage.NOW,
        urgency=Urgency.SOON,
    )


@rule(
    "bone.time_before_surgery",
    reads=(*osteoporosis.reads, *_OPERATION),
    headline=5,
)
def time_before_surgery(patient: Patient, evidence: Evidence) -> Recommendation | Finding | None:
    """By when an anabolic would have to be started, and whether the operation should wait.

    Source      Sardar 2022 (two months before, eight after), AOA 2019 (three months, if
                feasible); rows bone.timing.*
    Population  adults with osteoporosis before elective instrumented surgery
    Not for     emergencies, deficits that progress, fractures, infection, tumour
    """
    found = osteoporosis.one(patient, evidence)
    intent = patient.intent
    if found.category != "osteoporosis" or intent.is_instrumented.no:
        return None
    before = evidence.row("bone.timing.anabolic_before_months")
    after = evidence.row("bone.timing.anabolic_after_months")
    delay = evidence.row("bone.timing.delay_months")
    rows = (before, after, delay)
    elective = patient.has("intent.elective")
    if elective.no:
        return Finding(
            says="The operation is not elective: it does not wait for bone treatment.",
            status=Status.NOT_APPLICABLE,
            because=elective.because,
            rests_on=rows,
        )
    if intent.day is None:
        return Finding(
            says="The time left to build up bone is unknown without the operation's date.",
            status=Status.UNKNOWN,
            because=found.because,
            missing=("intent.date", *(("intent.procedure",) if intent.procedure is None else ())),
            rests_on=rows,
            stage=Stage.BEFORE_SURGERY,
        )
    start_by = months_from(intent.day, -int(before.number))
    wait_until = months_from(patient.on, int(delay.number))
    soonest = months_from(patient.on, int(before.number))
    until = months_from(intent.day, int(after.number))
    in_time = start_by >= patient.on
    if in_time:
        says = (
            f"For an operation on {intent.day} an anabolic is started by {start_by}, and goes on "
            f"until {until} at least."
        )
        action = "Start the anabolic in time, if the bone specialist agrees."
    else:
        says = (
            f"The operation on {intent.day} leaves less than {before.number:g} months for an "
            f"anabolic; started today, {soonest} would be the earliest day."
        )
        action = f"Consider delaying the elective operation, to {wait_until} if feasible."
    return Recommendation(
        says=says,
        action=action,
        who="surgeon with a bone specialist",
        by=start_by if in_time else patient.on,
        category="in_time" if in_time else "too_late",
        parts={"start_by": str(start_by), "treat_until": str(until), "delay_to": str(wait_until)},
        because=(*found.because, *intent.because, *elective.because),
        assumed=found.assumed,
        missing=("intent.elective",) if elective.unknown else (),
        alternatives=("Operate in time and start treatment around the operation.",),
        would_change=("A deficit that progresses, a fracture, infection or tumour.",),
        rests_on=rows,
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON,
    )


@rule(
    "bone.existing_bisphosphonate",
    reads=("medicine.bisphosphonate", *_OPERATION),
    headline=7,
)
def existing_bisphosphonate(patient: Patient, evidence: Evidence) -> Finding | None:
    """What to make of a bisphosphonate that is already taken when a fusion is planned.

    Source      patel2024 and CNS 2021 against AAOS Now 2024 (bone.bisphosphonate.*)
    Population  adults before spinal fusion
    Not for     stopping it automatically: surgeon and endocrinologist decide
    Differs     the sources disagree, and both sides are shown
    """
    taken = patient.has("medicine.bisphosphonate")
    if not taken.yes or patient.intent.is_instrumented.no:
        return None
    window = evidence.row("bone.bisphosphonate.window_months")
    day = patient.intent.day
    parts: dict[str, float | str | bool | None] = {}
    if day is not None:
        parts = {
            "window_from": str(months_from(day, -int(window.number))),
            "window_until": str(months_from(day, int(window.number))),
        }
    return Finding(
        says="A bisphosphonate is being taken, and the sources disagree on taking it around a "
        "fusion; it is not stopped without surgeon and endocrinologist deciding so.",
        category="decide_together",
        parts=parts,
        because=(*taken.because, *patient.intent.because),
        missing=() if day else ("intent.date",),
        rests_on=(window,),
        positions=(
            Position(
                holder="Patel 2024",
                says=evidence.row("bone.bisphosphonate.review").says,
                rests_on=(evidence.row("bone.bisphosphonate.review"),),
            ),
            Position(
                holder="CNS 2021",
                says=evidence.row("bone.bisphosphonate.cns").says,
                rests_on=(evidence.row("bone.bisphosphonate.cns"),),
            ),
            Position(
                holder="AAOS Now 2024",
                says=evidence.row("bone.bisphosphonate.aaos").says,
                rests_on=(evidence.row("bone.bisphosphonate.aaos"),),
            ),
        ),
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.ROUTINE,
    )


@rule(
    "bone.existing_denosumab",
    reads=("medicine.denosumab", "medicine.denosumab.last_dose", *_OPERATION),
    headline=4,
)
def existing_denosumab(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """When the next denosumab dose is due, and the warning that it must not be missed.

    Source      US label; Lyu 2020 on late doses; ECTS on stopping (bone.denosumab.*)
    Population  adults who take denosumab for osteoporosis
    Not for     denosumab in oncology, whose dose and interval differ
    """
    taken, last = patient.has("medicine.denosumab"), _last_denosumab(patient)
    if not taken.yes and last is None:
        return None
    interval = evidence.row("bone.denosumab.interval_months")
    grace = evidence.row("bone.denosumab.grace_weeks")
    rows = (evidence.row("bone.agent.denosumab"), interval, grace)
    if last is None:
        return Recommendation(
            says="Denosumab is taken, and the date of its last dose is unknown; a missed dose "
            "lets vertebral fractures rebound.",
            action="Ask for the date of the last denosumab dose today.",
            who="surgeon or general practitioner",
            status=Status.UNKNOWN,
            because=taken.because,
            missing=("medicine.denosumab.last_dose",),
            rests_on=rows,
            stage=Stage.NOW,
            urgency=Urgency.SOON,
        )
    given, fact = last
    due = months_from(given, int(interval.number))
    late_from = due + timedelta(weeks=grace.number)
    late = patient.on > late_from
    due_now = not late and patient.on >= due
    category = "late" if late else "due" if due_now else "on_time"
    says = {
        "late": f"Denosumab was due on {due} and is late: vertebral fractures rebound without it.",
        "due": f"Denosumab is due since {due}, and late after {late_from}.",
        "on_time": f"The next denosumab dose is due on {due}; it must not be missed.",
    }[category]
    day = patient.intent.day
    around = day is not None and due <= day <= months_from(due, int(interval.number))
    return Recommendation(
        says=says,
        action="Give denosumab now, or another antiresorptive in its place."
        if category != "on_time"
        else "Plan the next dose around the operation, and never stop without a follow-on.",
        who="general practitioner or bone specialist",
        by=due if category == "on_time" else patient.on,
        category=category,
        parts={"due": str(due), "late_after": str(late_from), "due_before_operation": around},
        because=(fact, *taken.because, *patient.intent.because),
        rests_on=rows,
        alternatives=("Another antiresorptive six months after the last dose.",),
        stage=Stage.NOW if category != "on_time" else Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON if category != "on_time" else Urgency.ROUTINE,
    )


def _last_denosumab(patient: Patient) -> tuple[date, Fact] | None:
    """The newest day on which a denosumab dose is known to have been given."""
    given = [
        (date.fromisoformat(str(f.value)), f) for f in patient.facts("medicine.denosumab.last_dose")
    ]
    return max(given, key=lambda pair: pair[0]) if given else None


@rule("bone.follow_on", reads=("medicine.bone_anabolic", "intent.date"))
def follow_on(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """That an antiresorptive follows an anabolic, so that what was built is kept.

    Source      BHOF page, secondary pages (bone.agent.sequential)
    Population  adults on an anabolic bone medicine
    Not for     choosing the antiresorptive
    """
    taken = patient.has("medicine.bone_anabolic")
    if not taken.yes:
        return None
    return Recommendation(
        says="An anabolic bone medicine is being taken; what it builds is lost without an "
        "antiresorptive afterwards.",
        action="Plan the antiresorptive that follows.",
        who="bone specialist",
        category="plan",
        because=taken.because,
        rests_on=(evidence.row("bone.agent.sequential"),),
        stage=Stage.AFTER_SURGERY,
    )


@rule("bone.low_bone_mass_care", reads=osteoporosis.reads)
def low_bone_mass_care(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """What is done with osteopenia that no route turns into osteoporosis.

    Source      order put together after WHO and ISCD (bone.t_score.low_bone_mass, bone.tbs.use)
    Population  postmenopausal women, men from 50 years
    Not for     people with osteoporosis by any route
    """
    dxa = osteoporosis_by_dxa.one(patient, evidence)
    whole = osteoporosis.one(patient, evidence)
    if dxa.category != "low_bone_mass" or whole.category == "osteoporosis":
        return None
    return Recommendation(
        says="Low bone mass without osteoporosis on what is known.",
        action="Give vitamin D and calcium to target, advise exercise, repeat the DXA within two "
        "years, and add a trabecular bone score and FRAX.",
        who="general practitioner",
        category="observe",
        because=dxa.because,
        assumed=dxa.assumed,
        missing=whole.missing,
        rests_on=(
            evidence.row("bone.t_score.low_bone_mass"),
            evidence.row("bone.tbs.use"),
            evidence.row("bone.dxa.valid_days"),
        ),
        stage=Stage.WITHOUT_SURGERY,
    )
