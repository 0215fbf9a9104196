"""Bone health around the operation: referral, time for an anabolic, medicines already taken."""

from __future__ import annotations

from datetime import date, timedelta

from endplate.bone.agents import (
    AGENTS,
    CHECK_READS,
    anabolic_now,
    bisphosphonate_now,
    check_rows,
    checks_of,
    months_from,
    verdict_on,
)
from endplate.bone.attenuation import REGIONS, attenuation_meets, lumbar_attenuation
from endplate.bone.densitometry import (
    SITES_ASK,
    T_SCORES,
    lowest_t_score,
    osteoporosis_by_dxa,
    sites_still_needed,
    usable_sites,
)
from endplate.bone.diagnosis import (
    NEED_READS,
    TREATMENT_READS,
    need_of_care,
    need_of_treatment,
    osteoporosis,
)
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.record import UNKNOWN, Known, Patient, any_of
from endplate.rules import rule

_OPERATION = ("intent.procedure", "intent.date", "intent.elective")


@rule("bone.refer", reads=(*NEED_READS, *_OPERATION))
def refer(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Refer a person whose bone needs treatment, or is low for the age, to a bone specialist.

    Source      patel2024 (bone.review.practice); BHOF 2022 (bone.diagnosis.bhof); in time for an
                anabolic (bone.timing.*)
    Population  adults before spine surgery
    Not for     emergencies, which do not wait
    """
    need = need_of_care(patient, evidence)
    if need is None:
        return None
    intent, elective = patient.intent, patient.has("intent.elective")
    lead = evidence.row("bone.timing.anabolic_before_months")
    by = None
    if intent.day and intent.day >= patient.on and not elective.no:
        by = max(months_from(intent.day, -int(lead.number)), patient.on)
    return Recommendation(
        says=f"{need.says} is treated together with a bone specialist"
        f"{', after an operation that cannot wait' if elective.no else ''}.",
        action="Refer to endocrinology or a bone clinic.",
        who="surgeon",
        by=by,
        category="refer",
        because=tuple(dict.fromkeys((*need.because, *intent.because, *elective.because))),
        assumed=need.assumed,
        missing=("intent.elective",) if intent.day and elective.unknown else (),
        rests_on=(
            evidence.row("bone.review.practice"),
            evidence.row("bone.care.three_steps"),
            lead,
            *need.rests_on,
        ),
        stage=Stage.NOW,
        urgency=Urgency.SOON,
    )


@rule(
    "bone.time_before_surgery",
    reads=(
        *TREATMENT_READS,
        *_OPERATION,
        *CHECK_READS,
        "medicine.bone_anabolic",
        "medicine.romosozumab",
    ),
    headline=5,
)
def time_before_surgery(patient: Patient, evidence: Evidence) -> Recommendation | Finding | None:
    """By when an anabolic would have to be started, and whether the operation should wait.

    Source      Sardar 2022 (two months before, eight after), AOA 2019 (three months, if
                feasible); rows bone.timing.*
    Population  adults with osteoporosis before elective instrumented surgery
    Not for     emergencies, deficits that progress, fractures, infection, tumour
    """
    found = need_of_treatment(patient, evidence)
    intent = patient.intent
    if found is None or intent.is_instrumented.no:
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
    if intent.day is None or intent.day < patient.on:
        why = "there is no date" if intent.day is None else "its date has passed"
        return Finding(
            says=f"The time left to build up bone before the operation is unknown: {why}.",
            status=Status.UNKNOWN,
            because=(*found.because, *intent.because),
            missing=("intent.date", *(("intent.procedure",) if intent.procedure is None else ())),
            rests_on=rows,
            stage=Stage.BEFORE_SURGERY,
        )
    begun = anabolic_now(patient, evidence)
    if begun.yes:
        return _anabolic_under_way(patient, intent.day, begun, evidence)
    verdicts = {verdict_on(patient, evidence, a) for a in _anabolics(evidence)}
    if verdicts <= {"contraindicated", "avoid"}:
        checks = {r.name: r for a in _anabolics(evidence) for r in check_rows(evidence, a)}
        return Finding(
            says="Something speaks against every anabolic: no time is counted for one.",
            status=Status.NOT_APPLICABLE,
            because=found.because,
            rests_on=(*rows, *checks.values()),
            stage=Stage.BEFORE_SURGERY,
        )
    start_by = months_from(intent.day, -int(before.number))
    wait_until = months_from(patient.on, int(delay.number))
    soonest = months_from(patient.on, int(before.number))
    until = months_from(intent.day, int(after.number))
    in_time = soonest <= intent.day
    if in_time:
        start_by = max(start_by, patient.on)  # months differ in length

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


def _anabolics(evidence: Evidence) -> tuple[str, ...]:
    classes = {a: evidence.row(f"bone.agent.{a}").table[0]["class"] for a in AGENTS}
    return tuple(a for a in AGENTS if classes[a] == "anabolic")


def _course(patient: Patient, now: Known, evidence: Evidence) -> tuple[tuple[Fact, ...], bool]:
    """The facts of the course that is under way, and whether it may have begun before them.

    A course that ended not long before the next one began is the same course; of one whose end
    is not on record that cannot be told.
    """
    longest = evidence.row("bone.anabolic.break_days")
    course = [f for f in now.because if f.on is not None]
    if not course:
        return (), False
    earlier = sorted(
        (f for f in patient.ever("medicine.bone_anabolic").because if f.on and f not in course),
        key=lambda f: f.on or date.min,
        reverse=True,
    )
    unclear = False
    for fact in earlier:
        begun = min(f.on for f in course if f.on)
        if fact.until is None or longest.met((begun - fact.until).days):
            course.append(fact)
        elif fact.quality == "doubtful":
            unclear = True
    return tuple(course), unclear


def _anabolic_under_way(patient: Patient, day: date, begun: Known, evidence: Evidence) -> Finding:
    """How long an anabolic that is already taken will have been taken at the operation."""
    before = evidence.row("bone.timing.anabolic_before_months")
    after = evidence.row("bone.timing.anabolic_after_months")
    rows = (before, after, evidence.row("bone.anabolic.break_days"))
    course, unclear = _course(patient, begun, evidence)
    since = min((f.on for f in course if f.on is not None), default=None)
    begun = Known("yes", course or begun.because)
    if since is None or (unclear and months_from(since, int(before.number)) > day):
        noted = f" It is noted since {since}, and before that without its end." if since else ""
        return Finding(
            says=f"An anabolic is being taken; since when is not on record.{noted}",
            status=Status.UNKNOWN,
            because=(*begun.because, *patient.intent.because),
            missing=("medicine.bone_anabolic",),
            rests_on=rows,
            stage=Stage.BEFORE_SURGERY,
        )
    ready = months_from(since, int(before.number))
    long_enough = ready <= day
    until = months_from(day, int(after.number))
    return Finding(
        says=f"An anabolic is being taken since {since}; by {day} that is "
        f"{'at least' if long_enough else 'less than'} {before.number:g} months. It goes on until "
        f"{until} at least.",
        category="under_way" if long_enough else "under_way_too_short",
        parts={"ready_from": str(ready), "treat_until": str(until)},
        because=(*begun.because, *patient.intent.because),
        rests_on=rows,
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.ROUTINE if long_enough else Urgency.SOON,
    )


@rule(
    "bone.existing_bisphosphonate",
    reads=("medicine.bisphosphonate", "medicine.zoledronate", *_OPERATION),
    headline=7,
)
def existing_bisphosphonate(patient: Patient, evidence: Evidence) -> Finding | None:
    """What to make of a bisphosphonate that is, or lately was, taken when a fusion is planned.

    Source      patel2024 and CNS 2021 against AAOS Now 2024 (bone.bisphosphonate.*)
    Population  adults before spinal fusion
    Not for     stopping it automatically: surgeon and endocrinologist decide
    Differs     the sources disagree, and both sides are shown
    """
    if patient.intent.is_instrumented.no:
        return None
    taken = bisphosphonate_now(patient, evidence)
    window = evidence.row("bone.bisphosphonate.window_months")
    day = patient.intent.day
    opens = months_from(day or patient.on, -int(window.number))
    lately = tuple(
        f
        for f in patient.ever("medicine.bisphosphonate").because
        if f.value is True and f.until is not None and opens <= f.until <= patient.on
    )
    if not taken.yes and not lately:
        return None
    says = "A bisphosphonate is being taken"
    if not taken.yes:
        last = max(f.until for f in lately if f.until is not None)
        says = f"A bisphosphonate was taken until {last}, within {window.number:g} months of the "
        says += "operation" if day else "day"
    parts: dict[str, float | str | bool | None] = {}
    if day is not None:
        parts = {
            "window_from": str(months_from(day, -int(window.number))),
            "window_until": str(months_from(day, int(window.number))),
        }
    return Finding(
        says=f"{says}, and the sources disagree on taking it around a fusion; surgeon and "
        "endocrinologist decide together, and nothing is stopped without them.",
        category="decide_together",
        parts=parts,
        because=(*(taken.because if taken.yes else lately), *patient.intent.because),
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
    reads=("medicine.denosumab", "medicine.denosumab_oncology", "medicine.denosumab.last_dose",
           "medicine.bisphosphonate", "medicine.zoledronate", *_OPERATION, *CHECK_READS),
    headline=4,
)  # fmt: skip
def existing_denosumab(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """When the next denosumab dose is due, and the warning that it must not be missed.

    Source      US label; Lyu 2020 on late doses; ECTS on stopping (bone.denosumab.*)
    Population  adults who take denosumab for osteoporosis, or took it
    Not for     denosumab in oncology, whose dose and interval differ
    """
    taken, last = patient.has("medicine.denosumab"), _last_denosumab(patient)
    if not taken.yes and last is None:
        return _denosumab_before(patient, evidence)
    interval = evidence.row("bone.denosumab.interval_months")
    grace = evidence.row("bone.denosumab.grace_weeks")
    checks = check_rows(evidence, "denosumab")
    rows = (evidence.row("bone.agent.denosumab"), interval, grace, *checks)
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
    followed = _followed_by(patient, given, evidence)
    closed = verdict_on(patient, evidence, "denosumab") in ("contraindicated", "avoid")
    says = {
        "late": f"Denosumab was due on {due} and is late: vertebral fractures rebound without it",
        "due": f"Denosumab is due since {due}, and late after {late_from}",
        "on_time": f"The next denosumab dose is due on {due}; it must not be missed",
    }[category]
    says += "; a bisphosphonate was given since, perhaps in its place" if followed.yes else ""
    says += "; something on record speaks against the next dose" if closed else ""
    action = (
        "Ask the bone specialist at once what is given in place of the next dose."
        if closed
        else "Ask whether the bisphosphonate takes its place."
        if followed.yes
        else "Plan the next dose around the operation, and never stop without a follow-on."
        if category == "on_time"
        else "Give denosumab now, or another antiresorptive in its place, after looking for what "
        "speaks against it."
    )
    day = patient.intent.day
    return Recommendation(
        says=f"{says}.",
        action=action,
        who="general practitioner or bone specialist",
        by=due if category == "on_time" else patient.on,
        category=category,
        parts={
            "due": str(due),
            "late_after": str(late_from),
            "due_before_operation": None if day is None else due <= day,
        },
        because=(fact, *taken.because, *followed.because, *patient.intent.because),
        checked=checks_of(patient, checks, evidence),
        rests_on=rows,
        alternatives=("Another antiresorptive six months after the last dose.",),
        stage=Stage.NOW if category != "on_time" else Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON if category != "on_time" else Urgency.ROUTINE,
    )


def _followed_by(patient: Patient, given: date, evidence: Evidence) -> Known:
    """Whether a bisphosphonate is taken, or was begun after a dose of denosumab."""
    since = tuple(
        f
        for f in patient.ever("medicine.bisphosphonate").because
        if f.value is True and f.on is not None and f.on > given
    )
    return Known("yes", since) if since else bisphosphonate_now(patient, evidence)


def _denosumab_before(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """What is asked where denosumab was taken, and is not known to be taken now."""
    before = patient.ever("medicine.denosumab")
    followed = bisphosphonate_now(patient, evidence)
    if not before.yes:
        return None
    last = max((d for f in before.because for d in (f.until, f.on) if d is not None), default=None)
    says = f"Denosumab was taken, last noted on {last}" if last else "Denosumab was taken"
    says += (
        "; a bisphosphonate is being taken, perhaps in its place"
        if followed.yes
        else ", and nothing that followed it is on record: vertebral fractures rebound after it"
    )
    return Recommendation(
        says=f"{says}.",
        action="Ask for the date of the last denosumab dose, and what followed it.",
        who="surgeon or general practitioner",
        category=None,
        status=Status.UNKNOWN,
        because=(*before.because, *followed.because),
        missing=("medicine.denosumab.last_dose",),
        rests_on=(evidence.row("bone.agent.denosumab"),),
        stage=Stage.NOW,
        urgency=Urgency.ROUTINE if followed.yes else Urgency.SOON,
    )


@rule("bone.denosumab_in_oncology", reads=("medicine.denosumab_oncology",))
def denosumab_in_oncology(patient: Patient, evidence: Evidence) -> Finding | None:
    """That denosumab in the dose of oncology is on record, which follows another schedule.

    Source      US label (bone.agent.denosumab is the other dose)
    Population  adults with bone metastases or other indications of that dose
    Not for     its schedule, which the oncologist sets
    """
    known = patient.ever("medicine.denosumab_oncology")
    if not known.yes:
        return None
    return Finding(
        says="Denosumab in the dose of oncology is on record; the six-month schedule of "
        "osteoporosis does not apply to it, and the oncologist decides on it.",
        status=Status.NOT_APPLICABLE,
        because=known.because,
        rests_on=(evidence.row("bone.agent.denosumab"),),
        stage=Stage.NOW,
    )


def _last_denosumab(patient: Patient) -> tuple[date, Fact] | None:
    """The newest day on which a denosumab dose is known to have been given."""
    given = [
        (day, f)
        for f in patient.facts("medicine.denosumab.last_dose")
        if (day := date.fromisoformat(str(f.value))) <= patient.on
    ]
    return max(given, key=lambda pair: pair[0]) if given else None


@rule(
    "bone.follow_on",
    reads=(
        "medicine.bone_anabolic",
        "medicine.romosozumab",
        "medicine.bisphosphonate",
        "medicine.zoledronate",
        "medicine.denosumab",
    ),
)
def follow_on(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """That an antiresorptive follows an anabolic, so that what was built is kept.

    Source      BHOF page, secondary pages (bone.agent.sequential)
    Population  adults on an anabolic bone medicine, or after one
    Not for     choosing the antiresorptive
    """
    taken, ever = anabolic_now(patient, evidence), patient.ever("medicine.bone_anabolic")
    asked = ("medicine.bisphosphonate", "medicine.denosumab")
    after = any_of((bisphosphonate_now(patient, evidence), patient.has("medicine.denosumab")))
    if not ever.yes or (after.yes and not taken.yes):
        return None
    says, category, action = (
        "An anabolic bone medicine is being taken; what it builds is lost without an "
        "antiresorptive afterwards.",
        "plan",
        "Plan the antiresorptive that follows.",
    )
    if not taken.yes:
        says = (
            "An anabolic bone medicine was taken, and no antiresorptive is on record now; what "
            "was built is lost without one."
        )
        category, action = "not_followed", "Ask whether an antiresorptive followed."
    return Recommendation(
        says=says,
        action=action,
        who="bone specialist",
        category=category,
        because=ever.because,
        missing=() if taken.yes else tuple(w for w in asked if patient.has(w).unknown),
        rests_on=(evidence.row("bone.agent.sequential"),),
        stage=Stage.AFTER_SURGERY if taken.yes else Stage.NOW,
        urgency=Urgency.INFORMATION if taken.yes else Urgency.SOON,
    )


@rule(
    "bone.adverse_events_cns",
    reads=(*T_SCORES, *SITES_ASK, *REGIONS, "lab.vitamin_d", "intent.procedure"),
)
def adverse_events_cns(patient: Patient, evidence: Evidence) -> Finding | None:
    """Which of the three predictors of adverse events after instrumentation are there.

    Source      CNS 2021 (bone.diagnosis.cns, bone.vitamin_d.low,
                bone.hounsfield.complication.adverse_event)
    Population  adults undergoing spinal instrumentation
    Not for     operations without implants; this person's probability of a complication
    """
    intent = patient.intent
    if intent.is_instrumented.no:
        return None
    below, poor, low = (
        evidence.row("bone.diagnosis.cns"),
        evidence.row("bone.hounsfield.complication.adverse_event"),
        evidence.row("bone.vitamin_d.low"),
    )
    lowest = lowest_t_score(patient, usable_sites(patient, evidence))
    not_measured = sites_still_needed(patient, evidence)
    by_density = UNKNOWN
    if lowest is not None and (below.met(lowest[1].number) or not not_measured):
        by_density = _yes_or_no(below.met(lowest[1].number), lowest[1])
    scan, level = lumbar_attenuation(patient), patient.latest("lab.vitamin_d")
    answers = {
        f"T-score {below.text}": (by_density, not_measured),
        f"attenuation < {poor.number:g} HU": (
            UNKNOWN if scan is None else attenuation_meets(scan, poor, evidence),
            ("ct.hounsfield.three_location",),
        ),
        f"25-hydroxyvitamin D {low.text}": (
            UNKNOWN if level is None else _yes_or_no(low.met(level.number), level),
            ("lab.vitamin_d",),
        ),
    }
    there = [name for name, (answer, _) in answers.items() if answer.yes]
    missing = tuple(w for answer, asks in answers.values() if answer.unknown for w in asks)
    missing += () if intent.procedure else ("intent.procedure",)
    if there:
        says = f"Predictors of adverse events after instrumentation (CNS 2021): {', '.join(there)}."
    elif missing:
        says = "None of the predictors of adverse events of CNS 2021 is known to be there."
    else:
        says = "None of the three predictors of adverse events of CNS 2021 is there."
    return Finding(
        says=says,
        status=Status.UNKNOWN if missing and not there else Status.ANSWERED,
        category="present" if there else None if missing else "absent",
        parts={name: answer.answer for name, (answer, _) in answers.items()},
        because=(*(f for a, _ in answers.values() if a.yes for f in a.because), *intent.because),
        missing=missing,
        rests_on=(below, poor, low),
        stage=Stage.BEFORE_SURGERY if there else Stage.BACKGROUND,
        urgency=Urgency.ROUTINE if there else Urgency.INFORMATION,
    )


def _yes_or_no(so: bool, fact: Fact) -> Known:
    return Known("yes" if so else "no", (fact,))


@rule("bone.low_bone_mass_care", reads=NEED_READS)
def low_bone_mass_care(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """What is done with osteopenia that no route turns into osteoporosis.

    Source      order put together after WHO and ISCD (bone.t_score.low_bone_mass, bone.tbs.use)
    Population  postmenopausal women, men from 50 years
    Not for     people with osteoporosis by any route, or whom BHOF would treat
    """
    dxa = osteoporosis_by_dxa.one(patient, evidence)
    whole = osteoporosis.one(patient, evidence)
    if dxa.category != "low_bone_mass" or need_of_care(patient, evidence) is not None:
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
