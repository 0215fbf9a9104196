"""Fixation in poor bone: where the density of an implant level calls for another technique."""

from __future__ import annotations

from endplate.bone.agents import answer_to, checks_of
from endplate.bone.attenuation import (
    REGIONS,
    acquisition_not_known,
    attenuation_at,
    attenuation_meets,
    column_with,
)
from endplate.bone.densitometry import (
    HIP,
    SITE_NAMES,
    SPINE_ASKS,
    T_SCORES,
    lowest_t_score,
    usable_sites,
)
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

    Source      patel2024 (bone.fixation.*); trigger after St Jeor and pooled cut-offs
    Population  adults before instrumented spine surgery
    Not for     choosing between the techniques; computing a gain in pull-out strength
    """
    intent = patient.intent
    if intent.span is None or not intent.is_instrumented.yes:
        return None
    limit = evidence.row("bone.fixation.hounsfield")
    density = evidence.row("bone.t_score.osteoporosis")
    column = column_with(patient, intent.span)
    # Techniques and cut-offs are those of the thoracic and the lumbar spine, and of adults.
    levels: list[Level] = [v for v in column.within(intent.span) if v.region in "TL"]
    adult = evidence.row("bone.t_score.adult_from_age")
    if not levels or (patient.age is not None and not adult.met(patient.age.number)):
        return None
    measured: dict[Level, Fact] = {
        v: f for v in levels if (f := attenuation_at(patient, v)) is not None
    }
    lowest = lowest_t_score(patient, usable_sites(patient, evidence))
    answers_at = {v: attenuation_meets(f, limit, evidence) for v, f in measured.items()}
    low: dict[Level, Fact] = {v: measured[v] for v, answer in answers_at.items() if answer.yes}
    unclear = [measured[v] for v, answer in answers_at.items() if answer.unknown]
    osteoporotic = lowest if lowest is not None and density.met(lowest[1].number) else None
    missing: tuple[str, ...] = tuple(w for w, known in (
        ("ct.hounsfield.three_location", len(measured) == len(levels) and not unclear),
        ("bone.t_score.total_hip", lowest_t_score(patient, HIP) is not None),
    ) if not known)  # fmt: skip
    missing += tuple(dict.fromkeys(w for f in unclear for w in acquisition_not_known(f)))
    options = evidence.row("bone.fixation.options")
    cement = evidence.under("bone.fixation.cement.check.")
    if not low and not osteoporotic:
        if not missing:
            return None
        return Recommendation(
            says="Whether the implant levels call for techniques for poor bone is not known yet.",
            action="Order a DXA of the hip."
            if missing == ("bone.t_score.total_hip",)
            else "Measure the attenuation at the implant levels on a CT without contrast.",
            who="surgeon",
            status=Status.UNKNOWN,
            because=(*measured.values(), *intent.because),
            missing=missing,
            rests_on=(limit, density),
            stage=Stage.DURING_SURGERY,
        )
    answers = [(row, *answer_to(patient, row, evidence)) for row in cement]
    against = [row.says.split(":")[0] for row, answer, _ in answers if answer.yes]
    proposed = [str(line["option"]) for line in options.table if not (line["cement"] and against)]
    because: tuple[Fact, ...] = (*low.values(), *((osteoporotic[1],) if osteoporotic else ()))
    says = f"Poor bone: {_where(low, osteoporotic)}; techniques for poor bone are put forward"
    says += f", cement not ({'; '.join(against)})" if against else ""
    return Recommendation(
        says=f"{says}.",
        action=f"Consider {', '.join(proposed)}; more points of fixation; sparing the endplates.",
        who="surgeon",
        category="consider",
        parts={f"below at {v}": True for v in low},
        because=(*because, *intent.because),
        missing=(*missing, *(w for _, answer, asks in answers if answer.unknown for w in asks)),
        checked=checks_of(patient, cement, evidence),
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


def _where(low: dict[Level, Fact], osteoporotic: tuple[str, Fact] | None) -> str:
    found = []
    if low:
        found.append(", ".join(f"{f.number:.0f} HU at {v}" for v, f in low.items()))
    if osteoporotic is not None:
        found.append(f"T-score {osteoporotic[1].number:.1f} at {SITE_NAMES[osteoporotic[0]]}")
    return "; ".join(found)
