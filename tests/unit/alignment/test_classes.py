"""What a case table cannot hold of the classes: grades on both sides, contradictions."""

from __future__ import annotations

import pytest

from endplate import evidence, rules
from endplate.alignment.deformity import srs_schwab
from endplate.alignment.lenke import lenke
from endplate.alignment.maturity import is_mature, risser
from endplate.alignment.progression import ais_treatment, sitoula
from endplate.alignment.proportion import gap
from endplate.plan.care_plan import findings_of

from patients import ON, patient

SHIPPED = evidence.shipped()


def growing(**more):
    known = patient().having("imaging.posture", "standing").having("spine.coronal_cobb_angle", 30)
    for what, value in {"age": 13, **more}.items():
        room = "person" if what in ("age", "sex") else "growth"
        known.having(f"{room}.{what}", value)
    return known.known_on()


@pytest.mark.parametrize(
    "grade, mature", [("0", False), ("3", False), ("4", None), ("5", True)]
)  # fmt: skip
def test_which_risser_grades_are_mature(grade, mature):
    assert is_mature(growing(risser=grade), SHIPPED)[0] is mature


@pytest.mark.parametrize(
    "stage, mature", [("1", False), ("6", False), ("7", None), ("8", True)]
)  # fmt: skip
def test_which_sanders_stages_are_mature(stage, mature):
    assert is_mature(growing(sanders=stage), SHIPPED)[0] is mature


def test_grade_and_stage_that_disagree_leave_it_open_and_a_statement_decides():
    assert is_mature(growing(risser="5", sanders="3"), SHIPPED)[0] is None
    stated = growing(risser="5", sanders="3", skeletally_mature=True)
    assert is_mature(stated, SHIPPED)[0] is True


@pytest.mark.parametrize("grade, met", [("2", True), ("3", False)])
def test_the_grade_of_brace_studies(grade, met):
    (found,) = ais_treatment(growing(risser=grade, sex="male"), SHIPPED)
    assert found.parts["brace_study_criteria"] is met


@pytest.mark.parametrize("grade, met", [("3", False), ("4", True), ("5", True)])
def test_the_grade_of_weaning(grade, met):
    known = growing(risser=grade, sex="male", grew_in_6_months=False, skeletally_mature=False)
    assert ais_treatment.one(known, SHIPPED).parts["weaning_criteria"] is met


@pytest.mark.parametrize("age, met", [(10, True), (9, None)])
def test_below_the_age_of_brace_studies_nothing_is_said_of_them(age, met):
    found = ais_treatment.one(growing(age=age, risser="1", sex="male"), SHIPPED)
    assert found.parts.get("brace_study_criteria") is met


@pytest.mark.parametrize("stage, category", [("7", "none"), ("8", "not_in_table")])
def test_the_last_stage_of_the_table(stage, category):
    assert sitoula.one(growing(sanders=stage), SHIPPED).category == category


@pytest.mark.parametrize(
    "facts",
    [
        {"iliac_apophysis_excursion": 50, "iliac_apophysis_fused": True},
        {"iliac_apophysis_excursion": 20, "iliac_apophysis_fused": False, "risser": "4"},
        {"iliac_apophysis_fused": True, "risser": "3"},
    ],
)
def test_an_apophysis_that_contradicts_itself_has_no_grade(facts):
    found = risser.one(growing(**facts), SHIPPED)
    assert found.value is None and found.category is None and found.missing


@pytest.mark.parametrize("age, status", [(9, "not_applicable"), (19, "not_applicable")])
def test_lenke_is_for_adolescents(age, status):
    known = patient().having("imaging.posture", "standing").having("person.age", age)
    for region, angle in (("proximal_thoracic", 0), ("main_thoracic", 50),
                          ("thoracolumbar_lumbar", 0)):  # fmt: skip
        known.having(f"spine.lenke_curve.{region}", angle)
    assert lenke.one(known.known_on(), SHIPPED).status == status


@pytest.mark.parametrize("letter, category", [("a", "5?N"), ("c", "5CN")])
def test_a_lower_type_that_is_not_c_is_a_contradiction(letter, category):
    known = patient().having("imaging.posture", "standing").having("person.age", 14)
    for region, angle in (("proximal_thoracic", 0), ("main_thoracic", 0),
                          ("thoracolumbar_lumbar", 50)):  # fmt: skip
        known.having(f"spine.lenke_curve.{region}", angle)
    known.having("spine.thoracic_kyphosis", 25, level="T5-T12")
    known.having("spine.lenke_lumbar_modifier", letter)
    found = lenke.one(known.known_on(), SHIPPED)
    assert found.category == category
    assert ("spine.lenke_lumbar_modifier" in found.missing) == (letter == "a")


@pytest.mark.parametrize(
    "apex, region",
    [("T3", "proximal_thoracic"), ("T5", "proximal_thoracic"), ("T6", "main_thoracic"),
     ("T11", "main_thoracic"), ("T12", "thoracolumbar_lumbar"), ("L4", "thoracolumbar_lumbar"),
     ("T2", None), ("L5", None)],
)  # fmt: skip
def test_a_measured_curve_has_the_region_of_its_apex(apex, region):
    known = patient().having("imaging.posture", "standing").having("person.age", 14)
    known.having("spine.coronal_cobb_angle", 50, level="T4-L4", details={"apex": apex})
    found = lenke.question(known.known_on(), SHIPPED)
    if region is None:
        assert found is None
    else:
        assert f"spine.lenke_curve.{region}" not in found.missing and len(found.missing) == 2


def test_a_measured_curve_of_an_adult_asks_for_no_lenke_type():
    known = patient().having("imaging.posture", "standing").having("person.age", 60)
    known.having("spine.coronal_cobb_angle", 50, level="T4-L4", details={"apex": "L1"})
    assert lenke(known.known_on(), SHIPPED) == ()


def lying(**more):
    known = patient().having("imaging.posture", "supine").having("person.age", 60)
    for what, value in {"pelvis.pelvic_incidence": 50, "pelvis.pelvic_tilt": 12,
                        "pelvis.sacral_slope": 38, "spine.lumbar_lordosis": 45,
                        "spine.lower_lumbar_lordosis": 30, "spine.l1_pelvic_angle": 4,
                        "spine.coronal_cobb_angle": 12}.items():  # fmt: skip
        known.having(what, value)
    return known.record


def test_a_plan_tells_once_that_nobody_stood():
    found = findings_of(lying(), ON, SHIPPED)
    saying = [
        f for f in found if "standing radiographs" in f.says and f.rule != "alignment.age_adjusted"
    ]
    assert [f.rule for f in saying] == ["alignment.not_standing"]
    (one,) = saying
    for name in ("GAP score", "SRS-Schwab", "Roussouly's type", "lordosis distribution index",
                 "T4-L1-hip axis", "signs of compensation"):  # fmt: skip
        assert name in one.says
    assert set(one.missing) >= {"spine.global_tilt", "pelvis.pelvic_tilt"}


def test_each_score_by_itself_still_says_why():
    known = lying().known_on(ON)
    for rule in (gap, srs_schwab):
        assert "measured supine" in rule.one(known, SHIPPED).says


def test_one_refusal_alone_stays_as_it_is():
    known = patient().having("imaging.posture", "supine")
    known.having("spine.sagittal_vertical_axis", 30)
    found = findings_of(known.record, ON, SHIPPED)
    assert [f.rule for f in found if f.rule.startswith("alignment.")] == ["alignment.srs_schwab"]


@pytest.mark.parametrize("rule", [r for r in rules.find() if r.id == "alignment.srs_schwab"])
def test_the_coronal_types(rule):
    for thoracic, lumbar, kind in ((31, 30, "T"), (30, 31, "L"), (31, 31, "D"), (30, 30, "N")):
        known = patient().having("imaging.posture", "standing")
        known.having("spine.cobb_angle.thoracic", thoracic)
        known.having("spine.cobb_angle.thoracolumbar_lumbar", lumbar)
        assert rule.one(known.known_on(), SHIPPED).parts["coronal_type"] == kind


@pytest.mark.parametrize(
    "among, angle, apex, kind",
    [
        ("C7-S1", 17, "L2", "N"),
        ("T2-L5", 31, "L2", "L"),
        ("T2-S1", 31, "T8", "T"),
        ("T3-S1", 17, "L2", None),
        ("T2-L4", 17, "L2", None),
        (None, 17, "L2", None),
    ],
)
def test_a_region_without_a_curve_on_a_film_of_the_whole_spine(among, angle, apex, kind):
    details = {"largest": "yes", "apex": apex} | ({"among": among} if among else {})
    known = patient().having("imaging.posture", "standing")
    known.having("spine.coronal_cobb_angle", angle, level="T12-L4", details=details)
    known.having("pelvis.pelvic_tilt", 12)
    found = srs_schwab.one(known.known_on(), SHIPPED)
    assert found.parts["coronal_type"] == kind
