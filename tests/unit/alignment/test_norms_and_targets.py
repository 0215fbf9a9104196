"""Norms never mix levels or postures; targets stand side by side with how far off each is."""

from __future__ import annotations

import pytest

from endplate import evidence
from endplate.alignment.aims import targets_of
from endplate.alignment.norms import norms_of
from endplate.evidence import with_clinic_file

from patients import fact, patient

SHIPPED = evidence.shipped()


def beside(what, value, posture="standing", who=None, **more):
    known = (who or patient()).having(what, value, posture=posture, **more)
    return norms_of(known.facts[-1], known.known_on(), SHIPPED)


@pytest.mark.parametrize(
    "level, count", [("T2-T12", 1), ("T4-T12", 0), ("T5-T12", 0), (None, 0)]
)  # fmt: skip
def test_a_kyphosis_meets_norms_of_its_own_span_alone(level, count):
    assert len(beside("spine.thoracic_kyphosis", 50, level=level)) == count


@pytest.mark.parametrize(
    "level, posture, populations",
    [("L1-S1", "standing", 2), ("T12-S1", "standing", 1), ("T12-S1", "supine", 1),
     ("L1-S1", "supine", 0), ("L1-S1", "unknown", 0), (None, "standing", 0)],
)  # fmt: skip
def test_a_lordosis_meets_norms_of_its_own_span_and_posture_alone(level, posture, populations):
    found = beside("spine.lumbar_lordosis", 45, posture, level=level)
    assert len(found) == populations


def test_standing_and_lying_japanese_lordosis_are_two_norms():
    (standing,) = beside("spine.lumbar_lordosis", 49.8, level="T12-S1")
    (lying,) = beside("spine.lumbar_lordosis", 49.8, "supine", level="T12-S1")
    assert standing.z == 0 and lying.z == pytest.approx((49.8 - 36.8) / 13.2, abs=1e-6)


def test_an_incidence_meets_every_population_in_every_posture():
    for posture in ("standing", "supine", "unknown"):
        assert len(beside("pelvis.pelvic_incidence", 50, posture)) == 5


@pytest.mark.parametrize("sex, count", [("female", 4), ("male", 4), ("other", 5)])
def test_the_norms_of_the_other_sex_are_left_out(sex, count):
    who = patient().having("person.sex", sex)
    found = beside("pelvis.pelvic_incidence", 50, who=who)
    assert len(found) == count


def test_a_place_is_a_score_only_where_a_deviation_was_printed():
    compilation, brazil = beside("pelvis.pelvic_tilt", 25)
    assert compilation.z == pytest.approx(2.0) and compilation.place == "within"
    assert brazil.z is None and brazil.place is None and brazil.mean == 12.4


def test_another_age_than_that_of_the_population_is_said():
    young, = (n for n in beside("spine.t1_pelvic_angle", 20, who=patient().woman(67))
              if n.row.endswith("young"))  # fmt: skip
    assert young.unlike == "67 years, and they were 20 to 40" and young.z is None
    of_age, = (n for n in beside("spine.t1_pelvic_angle", 20, who=patient().woman(40))
               if n.row.endswith("young"))  # fmt: skip
    assert of_age.unlike == ""


@pytest.mark.parametrize("value, place", [(-7.0, "within"), (-7.1, "below"), (-3.5, "above")])
def test_the_ends_of_a_band_lie_in_it(value, place):
    (band,) = [
        n for n in beside("spine.t1_spinopelvic_inclination", value, level="T1")
        if n.band == "80 % band"
    ]  # fmt: skip
    assert band.place == place and not band.verified


def test_a_value_that_is_not_usable_has_no_place():
    unusable = fact("pelvis.pelvic_tilt", 12, posture="standing", details={"usable": "no"})
    assert norms_of(unusable, patient().known_on(), SHIPPED) == ()


# -- targets --------------------------------------------------------------------------------------


def of(known, evidence=SHIPPED):
    return {
        (t.what.rpartition(".")[2], t.source): t for t in targets_of(known.known_on(), evidence)
    }


def standing(incidence=50, age=60, **more):
    known = patient().having("imaging.posture", "standing")
    known.having("pelvis.pelvic_incidence", incidence)
    if age is not None:
        known.having("person.age", age)
    for what, value in more.items():
        room = "pelvis" if what in ("pelvic_tilt", "sacral_slope") else "spine"
        known.having(f"{room}.{what}", value)
    return known


def test_every_source_of_the_sheet_worked_example_at_an_incidence_of_50():
    found = of(standing(lumbar_lordosis=40))
    lordosis = {source: t.value for (what, source), t in found.items() if what == "lumbar_lordosis"}
    assert lordosis == {
        "schwab": 50.0, "le_huec": 54.6, "hyun": 58.61, "gap": 60.0, "hasegawa": 49.1,
        "incidence_classes": 59.0, "lee": 55.0, "t4_l1_hip_axis": 61.2, "age_adjusted": 44.5,
    }  # fmt: skip
    schwab = found["lumbar_lordosis", "schwab"]
    assert (schwab.low, schwab.high, schwab.off, schwab.reached) == (41.0, 59.0, -1.0, False)
    assert found["lumbar_lordosis", "age_adjusted"].off == -4.5
    assert schwab.default and sum(t.default for t in found.values() if t.now == 40.0) == 1


@pytest.mark.parametrize("lordosis, reached", [(40.1, True), (40.0, False), (39.9, False)])
def test_a_limit_that_is_itself_too_much_is_not_reached(lordosis, reached):
    mismatch = of(standing(lumbar_lordosis=lordosis))[
        "pelvic_incidence_lumbar_lordosis_mismatch", "srs_schwab"
    ]
    assert mismatch.reached is reached and mismatch.below


@pytest.mark.parametrize("incidence, value", [(30, 40), (35, 45), (37, None), (40, 45), (52, None),
                                              (60, 60), (61, None), (29, None)])  # fmt: skip
def test_between_the_korean_classes_there_is_no_target(incidence, value):
    lee = of(standing(incidence))["lumbar_lordosis", "lee"]
    assert lee.value == value and bool(lee.note) == (value is None)


def test_without_an_age_the_targets_of_age_say_so():
    found = of(standing(age=None, pelvic_tilt=25))
    by_age = found["pelvic_tilt", "age_adjusted"]
    assert by_age.value is None and by_age.note == "the age is not known"
    assert found["pelvic_tilt", "srs_schwab"].off == 5.0


def test_a_formula_beyond_its_ages_says_so():
    assert "20 to 69" in of(standing(age=75))["lumbar_lordosis", "hasegawa"].note
    assert not of(standing(age=69))["lumbar_lordosis", "hasegawa"].note


def test_the_axis_by_age_is_named_and_not_used():
    axis = of(standing(sagittal_vertical_axis=60))["sagittal_vertical_axis", "age_adjusted"]
    assert axis.value is None and axis.off is None and "not used" in axis.note


def test_supine_values_are_not_held_against_targets():
    known = patient().having("imaging.posture", "supine").having("person.age", 60)
    known.having("pelvis.pelvic_incidence", 50).having("pelvis.pelvic_tilt", 30)
    found = of(known)
    assert found["pelvic_tilt", "srs_schwab"].now is None
    assert found["lumbar_lordosis", "le_huec"].value == 54.6


def test_a_child_has_none():
    assert targets_of(standing(age=15).known_on(), SHIPPED) == ()


def test_a_clinic_chooses_another_default(tmp_path):
    file = tmp_path / "clinic.toml"
    file.write_text(
        '[choice]\n"alignment.target.pelvic_tilt" = { use = "age_adjusted", reason = "ours" }\n'
    )
    found = of(standing(pelvic_tilt=25), with_clinic_file(SHIPPED, file))
    assert found["pelvic_tilt", "age_adjusted"].default
    assert not found["pelvic_tilt", "srs_schwab"].default


def test_the_weak_line_of_the_lower_lordosis_is_told_as_one():
    target = of(standing(50))["lower_lumbar_lordosis", "hyun"]
    assert (target.value, target.note, target.reached) == (39.88, "a weak line", None)
