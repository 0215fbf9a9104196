"""Red flags: what was found, what was denied, what nobody asked."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from endplate import evidence, vocabulary
from endplate.findings import Recommendation, Stage, Status, Urgency
from endplate.pain.red_flags import FLAGS, red_flags

from patients import facts_from, patient

SHIPPED = evidence.shipped()
R = "pain.red_flag."
TARGETS = ("cauda_equina", "aortic_aneurysm", "spinal_infection", "spinal_malignancy",
           "spinal_fracture", "myelopathy", "inflammatory_back_pain")  # fmt: skip
FRACTURE = (R + "prolonged_corticosteroid", R + "severe_trauma", R + "contusion_or_abrasion")
YES_NO = [f for f in FLAGS if f.startswith(R) and vocabulary.concept(f).kind == "yes_no"]


def said(table):
    made = patient()
    made.facts += facts_from(table)
    return {f.about: f for f in red_flags(made.known_on(), SHIPPED)}


def test_every_flag_of_the_evidence_is_read():
    rows = [*SHIPPED.under("pain.red_flags.")]
    asked = {x["asks"] for r in rows for x in r.table if "asks" in x}
    asked |= {x["also"] for r in rows for x in r.table if "also" in x}
    assert asked <= set(FLAGS)


def test_what_nobody_asked_makes_one_finding_and_one_question():
    found = said({})
    assert list(found) == [""]
    assert found[""].missing == (R + "any",) and found[""].status is Status.UNKNOWN


@pytest.mark.parametrize("flag", YES_NO)
def test_any_flag_shows_somewhere_and_a_no_never_alarms(flag):
    yes, no = said({flag: True}), said({flag: False})
    assert any(f.because for f in yes.values())
    assert yes[""].category not in ("not_asked", "none_found")
    assert no[""].category in ("not_asked", "not_all_asked", "none_found")
    assert not any(isinstance(f, Recommendation) for f in no.values())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_stated_or_denied_as_a_whole(target):
    assert isinstance(said({R + target: True})[target], Recommendation)
    denied = said({R + target: False})[target]
    assert denied.category == "none_found" and denied.missing == ()


@pytest.mark.parametrize("target", TARGETS)
def test_every_recommendation_has_stage_pathway_and_reason(target):
    found = said({R + target: True})[target]
    assert found.stage is Stage.RED_FLAGS
    assert found.action and found.because and found.rests_on
    emergency = target in ("cauda_equina", "aortic_aneurysm")
    assert (found.urgency is Urgency.EMERGENCY) == emergency


def test_fractures_are_counted_and_three_make_one_likely():
    for count in range(4):
        for there in combinations(FRACTURE, count):
            table = {what: what in there for what in FRACTURE} | {"person.age": 40}
            found = said(table)["spinal_fracture"]
            assert found.value == count
            assert found.category == ("none_found", "urgent", "urgent", "likely")[count]
            older = said(table | {"person.age": 75})["spinal_fracture"]
            assert older.value == count + 1
            assert older.category == ("older_age_alone", "urgent", "likely", "likely")[count]


@pytest.mark.parametrize("onset, night, stiff", list(product((44, 45, None), (True, False, None),
                                                             (31, 30, None))))  # fmt: skip
def test_inflammatory_back_pain_is_onset_and_one_other(onset, night, stiff):
    given = {R + "age_at_onset": onset, R + "night_or_rest_pain": night,
             R + "morning_stiffness": stiff}  # fmt: skip
    found = said({k: v for k, v in given.items() if v is not None}).get("inflammatory_back_pain")
    if all(v is None for v in given.values()):
        assert found is None
    elif onset == 44 and (night or stiff == 31):
        assert found.category == "refer"
    else:
        assert found.category == ("not_all_asked" if None in given.values() else "none_found")


def test_a_sedimentation_rate_is_shown_and_not_judged():
    found = said({R + "fever": False, "lab.erythrocyte_sedimentation_rate": 90})
    assert found["spinal_infection"].category == "not_all_asked"
    assert "sedimentation rate 90 mm/h" in found["spinal_infection"].says


def test_inflamed_blood_alone_asks_for_a_look_and_no_more():
    found = said({"lab.c_reactive_protein": 11})["spinal_infection"]
    assert found.category == "raised_markers"
    assert found.action == "Look for an infection or an inflammatory disease."
    assert "spinal_infection" not in said({"lab.c_reactive_protein": 10})


def test_a_flag_without_a_word_on_which_is_urgent():
    found = said({R + "any": True})
    assert list(found) == [""]
    assert found[""].category == "urgent" and found[""].urgency is Urgency.SOON


def test_it_says_what_was_found_denied_and_never_asked():
    found = said({R + "bladder_dysfunction": True, R + "bilateral_sciatica": False})
    says = found["cauda_equina"].says
    assert "found new bladder dysfunction" in says
    assert "not there: bilateral sciatica" in says
    assert "nobody asked: new bowel dysfunction" in says
