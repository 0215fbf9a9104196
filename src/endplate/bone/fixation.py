"""Fixation in poor bone: where the density of an implant level calls for another technique."""

from __future__ import annotations

from endplate.bone.agents import answer_to, checks_of
from endplate.bone.attenuation import REGIONS, attenuation_at, attenuation_is_comparable
from endplate.bone.densitometry import SPINE_ASKS, T_SCORES, lowest_t_score, usable_sites
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Recommendation, Stage, Status, Urgency
from endplate.levels import Level
from endplate.record import Patient
from endplate.rules import rule

_CEMENT_ASKS = (
    "condition.spine_infection", "condition.bone_cement_allergy", "condition.coagulopathy",
)  # fmt: skip


@rule(
    "bone.fixation_in_poor_bone",
    reads=(*REGIONS, *T_SCORES, "intent.procedure", "intent.levels", *_CEMENT_ASKS, *SPINE_ASKS),
    headline=10,
)
def fixation_in_poor_bone(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Techniques for poor bone, where an implant level is below 110 HU or the T-score is -2.5.

    Source      patel2024 (bone.fixation.options); trigger after St Jeor and pooled cut-offs
    Population  adults before instrumented spine surgery
    Not for     choosing between the techniques; computing a gain in pull-out strength
    """
    intent = patient.intent
    if intent.span is None or not intent.is_instrumented.yes:
        return None
    limit = evidence.row("bone.fixation.hounsfield")
    density = evidence.row("bone.t_score.osteoporosis")
    levels: list[Level] = [v for v in patient.column.within(intent.span) if v != Level.S1]
    measured: dict[Level, Fact] = {
        v: f for v in levels if (f := attenuation_at(patient, v)) is not None
    }
    lowest = lowest_t_score(patient, usable_sites(patient, evidence))
    low: dict[Level, Fact] = {
        v: f
        for v, f in measured.items()
        if limit.met(f.number) and attenuation_is_comparable(f, evidence) != "no"
    }
    osteoporotic = lowest is not None and density.met(lowest[1].number)
    missing = tuple(w for w, known in (
        ("ct.hounsfield.three_location", len(measured) == len(levels)),
        ("bone.t_score.total_hip", lowest is not None),
    ) if not known)  # fmt: skip
    options = evidence.row("bone.fixation.options")
    cement = evidence.under("bone.fixation.cement.check.")
    if not low and not osteoporotic:
        if not missing:
            return None
        return Recommendation(
            says="Whether the implant levels call for techniques for poor bone is not known yet.",
            action="Measure the attenuation at the implant levels.",
            who="surgeon",
            status=Status.UNKNOWN,
            because=(*measured.values(), *intent.because),
            missing=missing,
            rests_on=(limit, density),
            stage=Stage.DURING_SURGERY,
        )
    answers = [answer_to(patient, row) for row in cement]
    no_cement = any(answer.yes for answer, _ in answers)
    proposed = [str(line["option"]) for line in options.table if not (line["cement"] and no_cement)]
    because: tuple[Fact, ...] = (*low.values(), *((lowest[1],) if lowest and osteoporotic else ()))
    return Recommendation(
        says=f"Poor bone at {_where(low, osteoporotic)}: techniques for poor bone are put forward.",
        action=f"Consider {', '.join(proposed)}; more points of fixation; sparing the endplates.",
        who="surgeon",
        category="consider",
        parts={f"below at {v}": True for v in low},
        because=(*because, *intent.because),
        missing=(*missing, *(w for answer, asks in answers if answer.unknown for w in asks)),
        checked=checks_of(patient, cement),
        alternatives=tuple(str(line["option"]) for line in options.table),
        rests_on=(
            limit,
            density,
            options,
            evidence.row("bone.fixation.further_options"),
            evidence.row("bone.fixation.cement_amount"),
            evidence.row("bone.fixation.cement.breach"),
            *cement,
        ),
        stage=Stage.DURING_SURGERY,
        urgency=Urgency.ROUTINE,
    )


def _where(low: dict[Level, Fact], osteoporotic: bool) -> str:
    levels = ", ".join(low)
    if levels and osteoporotic:
        return f"{levels}, and an osteoporotic T-score"
    return levels or "an osteoporotic T-score"
