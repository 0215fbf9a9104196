"""Results of which only a bound is known, diagnoses not confirmed, dates without their day."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate import evidence, rules
from endplate.facts import Bounded
from endplate.findings import Status

from patients import patient

SHIPPED = evidence.shipped()
RULES = {r.id: r for r in rules.find()}


def bounded(what, value, sign, **more):
    """A person with one result that is reported as beyond a value."""
    known = patient().woman(70).having("condition.osteoporosis")
    known.having("condition.hypocalcaemia", False)
    return known.having(what, value, details={"comparator": sign}, quality="doubtful",
                        doubts=("reported as a bound",), **more).known_on()  # fmt: skip


def said(rule, known, about=""):
    return next(f for f in RULES[rule](known, SHIPPED) if f.about == about)


@given(
    st.sampled_from(("<", "<=", ">", ">=")),
    st.sampled_from(("below", "at_most", "above", "at_least")),
    st.sampled_from((19.0, 20.0, 21.0)),
)
def test_a_bound_compares_as_a_number_just_beyond_it(sign, compare, cut):
    value = 20.0
    beyond = {"<": value - 1e-9, ">": value + 1e-9}.get(sign, value)
    wanted = {"below": beyond < cut, "at_most": beyond <= cut,
              "above": beyond > cut, "at_least": beyond >= cut}[compare]  # fmt: skip
    assert Bounded(value, sign).compared(compare, cut) is wanted


def test_below_a_cut_off_is_below_it_and_prints_so():
    found = said("bone.vitamin_d", bounded("lab.vitamin_d", 20, "<"))
    assert found.category == "low" and "<20.0 ng/mL" in found.says


@pytest.mark.parametrize(
    "sign, value, category",
    [("<", 35, "contraindicated"), ("<", 36, None), (">", 60, "possible"), (">", 20, None)],
)
def test_a_bound_decides_only_where_everything_beyond_it_agrees(sign, value, category):
    found = said("bone.agent", bounded("lab.egfr", value, sign), "zoledronate")
    assert found.category == category
    assert (found.status is Status.UNKNOWN) == (category is None)
    if category is None:
        assert "lab.egfr" in found.missing and "known only as" in found.says


def test_a_probability_below_its_threshold_reaches_none():
    known = patient().woman(70)
    for what, value in (("bone.frax_major", 20), ("bone.frax_hip", 3)):
        known.having(what, value, details={"comparator": "<"}, quality="doubtful", doubts=("b",))
    assert said("bone.frax_threshold", known.known_on()).category == "below"


def test_a_diagnosis_that_was_only_considered_is_neither_yes_nor_no():
    known = patient().woman(70).having(
        "condition.osteoporosis", details={"certainty": "possible"}, quality="doubtful",
        doubts=("one of several possible diagnoses",),
    ).known_on()  # fmt: skip
    assert known.ever("condition.osteoporosis").unknown
    assert known.has("condition.osteoporosis").unknown
    assert known.within("condition.osteoporosis", 365).unknown
    assert said("bone.osteoporosis", known).status is Status.UNKNOWN


def test_an_express_no_stays_no_beside_a_possibility():
    known = patient().having("condition.osteoporosis", False).having(
        "condition.osteoporosis", details={"certainty": "possible"}, quality="doubtful",
        doubts=("provisional",),
    ).known_on()  # fmt: skip
    assert known.has("condition.osteoporosis").no


@pytest.mark.parametrize(
    "latest, answer", [("2025-12-31", "unknown"), ("2025-05-31", "no"), ("2025-06-01", "unknown")]
)
def test_a_date_that_may_lie_within_the_time_asked_for(latest, answer):
    known = patient().having(
        "condition.stroke", on=date(2025, 1, 1), details={"on_latest": latest},
        quality="doubtful", doubts=("only the year is known",),
    ).known_on()  # fmt: skip
    assert known.within("condition.stroke", 365).answer == answer


def test_not_taken_at_present_is_not_never():
    known = patient().having(
        "medicine.denosumab", False, details={"denied": "at_present"}
    ).known_on()  # fmt: skip
    assert known.has("medicine.denosumab").no
    assert known.ever("medicine.denosumab").unknown


@pytest.mark.parametrize(
    "medicine, against",
    [
        ("medicine.alendronate", {"alendronate"}),
        ("medicine.bisphosphonate", {"alendronate", "risedronate", "zoledronate"}),
        ("medicine.denosumab", {"denosumab"}),
        ("medicine.raloxifene", set()),
    ],
)
def test_an_allergy_speaks_against_the_medicine_or_its_class(medicine, against):
    known = patient().woman(70).having("condition.osteoporosis")
    known.having("allergy.other", "as it is called", details={"medicine": medicine})
    found = RULES["bone.agent"](known.known_on(), SHIPPED)
    assert {f.about for f in found if f.category == "contraindicated"} == against


def test_the_lumbar_spine_that_is_to_be_analysed_anew_rules_nothing_out():
    known = patient().woman(70).with_dxa(
        lumbar_spine=-0.4, total_hip=-0.5, femoral_neck=-0.9, distal_radius=-0.5
    )  # fmt: skip
    assert said("bone.diagnosis.nbha", known.known_on()).parts["T-score ≤ -2.5"] == "no"
    known.having("bone.vertebra_excluded", "L1-L2")
    found = said("bone.osteoporosis_by_dxa", known.known_on())
    assert "bone.t_score.lumbar_spine" in found.missing and "analysed anew" in found.says
    assert said("bone.diagnosis.nbha", known.known_on()).parts["T-score ≤ -2.5"] == "unknown"


def test_a_monthly_dose_counts_until_the_next_is_due():
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-S1", date(2026, 12, 1)).having("intent.elective")
    for day in (date(2026, 4, 20), date(2026, 5, 20)):
        known.having("medicine.romosozumab", on=day, until=day)
    found = said("bone.time_before_surgery", known.known_on())
    assert found.category == "under_way" and "since 2026-04-20" in found.says
    assert said("bone.follow_on", known.known_on()).category == "plan"


def test_a_course_whose_earlier_end_is_unknown_leaves_its_length_open():
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-S1", date(2026, 7, 1)).having("intent.elective")
    known.having("medicine.teriparatide", on=date(2025, 6, 1), until=date(2025, 6, 1),
                 quality="doubtful", doubts=("the end given is the last day noted",))  # fmt: skip
    known.having("medicine.teriparatide", on=date(2026, 5, 20))
    assert said("bone.time_before_surgery", known.known_on()).status is Status.UNKNOWN


# -- what is taken already, and what it closes ------------------------------------------------


def test_denosumab_is_not_given_against_what_speaks_against_it():
    known = patient().woman(70).having("medicine.denosumab").having("condition.hypocalcaemia")
    known.having("medicine.denosumab.last_dose", "2025-06-01")
    found = said("bone.existing_denosumab", known.known_on())
    assert found.category == "late" and "speaks against the next dose" in found.says
    assert "Give denosumab" not in found.action


@pytest.mark.parametrize(
    "medicine, on, until",
    [
        ("medicine.zoledronate", date(2025, 12, 10), date(2025, 12, 10)),
        ("medicine.alendronate", date(2025, 12, 1), None),
        ("medicine.alendronate", date(2025, 12, 1), date(2026, 3, 1)),
    ],
)
def test_a_bisphosphonate_after_the_last_dose_is_a_follow_on(medicine, on, until):
    known = patient().woman(70).having("medicine.denosumab.last_dose", "2025-06-01")
    known.having(medicine, on=on, until=until)
    found = said("bone.existing_denosumab", known.known_on())
    assert "a bisphosphonate was given since" in found.says
    assert "takes its place" in found.action


@pytest.mark.parametrize("months_ago, shown", [(2, True), (11, True), (14, False)])
def test_a_yearly_infusion_is_an_existing_bisphosphonate(months_ago, shown):
    year, month = divmod(2026 * 12 + 5 - months_ago, 12)
    day = date(year, month + 1, 1)
    known = patient().woman(70).wanting("fusion", "L4-S1", date(2026, 12, 1))
    known.having("medicine.zoledronate", on=day, until=day)
    found = RULES["bone.existing_bisphosphonate"](known.known_on(), SHIPPED)
    assert bool(found) is shown


NORMAL = {"total_hip": -0.3, "femoral_neck": -0.5, "lumbar_spine": 0.2, "distal_radius": 0.0}


def test_attenuation_against_a_normal_dxa_starts_no_treatment():
    known = patient().woman(70).with_dxa(**NORMAL).with_attenuation(L1=105)
    known.having("fracture.low_trauma", False)
    known.wanting("fusion", "L4-S1", date(2026, 12, 1)).having("intent.elective")
    found = said("bone.osteoporosis", known.known_on())
    assert found.category == "osteoporosis" and "the DXA is normal" in found.says
    for rule in ("bone.time_before_surgery", "bone.first_choice_agent", "bone.agent"):
        assert RULES[rule](known.known_on(), SHIPPED) == ()
    known.having("fracture.vertebral.low_trauma")  # BHOF would treat it, whatever the density
    assert said("bone.time_before_surgery", known.known_on()).category == "in_time"


def test_a_fracture_that_bhof_would_treat_gets_agents_and_their_timing():
    known = patient().woman(70).with_dxa(**NORMAL).having("fracture.vertebral.low_trauma")
    known.wanting("fusion", "L4-S1", date(2026, 12, 1)).having("intent.elective")
    assert said("bone.time_before_surgery", known.known_on()).category == "in_time"
    assert RULES["bone.agent"](known.known_on(), SHIPPED)


@pytest.mark.parametrize("procedure", ["vertebral_augmentation", "disc_replacement"])
def test_cement_and_a_disc_are_no_screws(procedure):
    known = patient().woman(70).with_dxa(total_hip=-2.8).wanting(procedure, "L1")
    known.having("intent.date", "2026-12-01").having("medicine.alendronate")
    for rule in ("bone.time_before_surgery", "bone.fixation_in_poor_bone",
                 "bone.adverse_events_cns", "bone.existing_bisphosphonate"):  # fmt: skip
        assert RULES[rule](known.known_on(), SHIPPED) == (), rule


def test_cut_offs_of_the_lumbar_spine_are_not_held_against_the_neck_or_a_child():
    neck = patient().woman(70).wanting("fusion", "C5-C6").with_attenuation(C4=100, C5=105)
    child = patient().man(12).wanting("fusion", "L4-L5").with_attenuation(L1=90, L4=90)
    for known in (neck, child):
        for rule in ("bone.hounsfield_at_implants", "bone.fixation_in_poor_bone"):
            assert RULES[rule](known.known_on(), SHIPPED) == ()
    found = RULES["bone.order_dxa"](child.known_on(), SHIPPED)
    assert not any("attenuation" in f.says for f in found)


def test_a_texture_outside_its_range_makes_no_diagnosis():
    known = patient().woman(70).with_dxa(**{**NORMAL, "total_hip": -1.5})
    known.having("bone.trabecular_bone_score", 1.15)
    assert said("bone.osteoporosis", known.known_on()).category == "osteoporosis"
    known.having("person.body_mass_index", 44)
    assert said("bone.osteoporosis", known.known_on()).category != "osteoporosis"


def test_normal_density_everywhere_is_not_open_for_a_texture_nobody_needs():
    known = patient().woman(70).with_dxa(**NORMAL).with_attenuation(L1=180)
    for what in ("fracture.low_trauma", "fracture.any"):
        known.having(what, False)
    known.having("bone.frax_major", 6).having("bone.frax_hip", 0.8)
    found = said("bone.osteoporosis", known.known_on())
    assert found.category == "not_shown" and found.missing == ()


def test_an_old_no_to_the_menopause_is_asked_again():
    known = patient().woman(60).with_dxa(total_hip=-3.2)
    known.having("person.postmenopausal", False, on=date(2008, 1, 1))
    found = said("bone.osteoporosis_by_dxa", known.known_on())
    assert found.status is Status.UNKNOWN and "person.postmenopausal" in found.missing


def test_a_spine_that_lies_below_the_hip_does_not_agree_with_it():
    known = patient().woman(70).with_dxa(lumbar_spine=-3.5, total_hip=-0.5)
    assert "3.0 below" in said("bone.spine_hip_discordance", known.known_on()).says


def test_a_clearance_just_below_its_limit_is_below_it():
    known = patient().woman(70).having("condition.osteoporosis")
    known.having("lab.creatinine_clearance", 34.6)
    assert said("bone.agent", known.known_on(), "zoledronate").category == "contraindicated"
    found = said("bone.first_choice_agent", known.wanting("fusion", "L4-S1").known_on())
    assert not any(a.startswith("risedronate") for a in found.alternatives)


def test_what_is_measured_once_is_said_though_the_uppermost_level_is_not_measured():
    known = patient().woman(70).wanting("deformity_correction", "T10-L5")
    known.with_attenuation(L1=80, L1_L4=82)
    found = RULES["bone.hounsfield_at_implants"](known.known_on(), SHIPPED)
    assert any("82 HU at L1-L4 meets" in f.says for f in found)
    known.with_attenuation(T10=170)
    found = RULES["bone.hounsfield_at_implants"](known.known_on(), SHIPPED)
    assert [f.about for f in found if "82 HU at L1-L4 meets" in f.says] == ["T10"]
