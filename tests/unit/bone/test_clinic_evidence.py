"""What a clinic puts in the place of the shipped evidence changes findings, and shows in them."""

from __future__ import annotations

import pytest

from endplate import evidence
from endplate.bone.attenuation import hounsfield
from endplate.bone.densitometry import osteoporosis_by_dxa
from endplate.bone.diagnosis import osteoporosis
from endplate.bone.nutrients import vitamin_d
from endplate.bone.perioperative import existing_denosumab, time_before_surgery
from endplate.bone.testing import order_dxa
from endplate.findings import Status

from patients import patient

SHIPPED = evidence.shipped()
SCANNED = {"tube_voltage": 120.0, "contrast": "no"}


def _man():
    return patient().man(70)


def test_the_spine_is_left_out_by_choice_and_the_finding_shows_it(clinic):
    theirs = clinic(
        '[choice."bone.dxa_sites"]\nuse = "hip_and_radius"\nreason = "our spines are degenerated"'
    )
    known = _man().with_dxa(lumbar_spine=-2.8, total_hip=-1.5, femoral_neck=-1.4).known_on()
    ours, other = (osteoporosis_by_dxa.one(known, e) for e in (SHIPPED, theirs))
    assert (ours.category, ours.value) == ("osteoporosis", -2.8)
    assert (other.category, other.value) == ("low_bone_mass", -1.5)
    assert [(p.holder, p.default) for p in ours.positions] == [
        ("ISCD", True),
        ("Patel 2024", False),
    ]
    assert [(p.holder, p.default) for p in other.positions] == [
        ("ISCD", False),
        ("Patel 2024", True),
    ]
    assert "bone.t_score.distal_radius" in other.missing


def test_a_spine_alone_is_no_answer_where_it_does_not_count(clinic):
    theirs = clinic('[choice."bone.dxa_sites"]\nuse = "hip_and_radius"\nreason = "as above"')
    known = _man().with_dxa(lumbar_spine=-2.8).known_on()
    found = osteoporosis_by_dxa.one(known, theirs)
    assert found.status is Status.UNKNOWN
    assert "does not count here" in found.says


def test_a_cut_off_of_the_clinic_moves_the_band_and_is_named(clinic):
    theirs = clinic('[row."bone.hounsfield.very_likely"]\nvalue = 95\nreason = "our scanner"')
    known = patient().woman(70).having("ct.hounsfield.axial", 97, level="L1", details=SCANNED)
    ours, other = (hounsfield.one(known.known_on(), e) for e in (SHIPPED, theirs))
    assert (ours.category, ours.overrides) == ("very_likely", ())
    assert other.category == "likely"
    lower = patient().woman(70).having("ct.hounsfield.axial", 94, level="L1", details=SCANNED)
    found = hounsfield.one(lower.known_on(), theirs)
    assert found.category == "very_likely"
    assert found.overrides == ("bone.hounsfield.very_likely",)
    assert found.verified is False
    assert {c.key for c in found.cites} >= {"clinic"}


def test_a_route_to_the_diagnosis_follows_the_clinics_cut_off(clinic):
    theirs = clinic('[row."bone.diagnosis.hounsfield"]\nvalue = 100\nreason = "stricter"')
    known = patient().woman(70).having("ct.hounsfield.axial", 105, level="L1", details=SCANNED)
    ours, other = (osteoporosis.one(known.known_on(), e) for e in (SHIPPED, theirs))
    assert ours.parts["attenuation below 110 HU"] == "yes"
    assert other.parts["attenuation below 100 HU"] == "no"
    assert other.overrides == ("bone.diagnosis.hounsfield",)


@pytest.mark.parametrize("months, category", [(2, "in_time"), (3, "too_late")])
def test_the_clinics_lead_time_decides_what_is_in_time(clinic, months, category):
    theirs = clinic(
        f'[row."bone.timing.anabolic_before_months"]\nvalue = {months}\nreason = "our pathway"'
    )
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-L5").having("intent.date", "2026-08-01")
    found = time_before_surgery.one(known.known_on(), theirs)
    assert found.category == category
    assert "bone.timing.anabolic_before_months" in found.overrides


def test_the_clinics_grace_decides_when_denosumab_is_late(clinic):
    theirs = clinic('[row."bone.denosumab.grace_weeks"]\nvalue = 1\nreason = "Korean cohort"')
    known = patient().having("medicine.denosumab.last_dose", "2025-11-10").known_on()
    assert existing_denosumab.one(known, SHIPPED).category == "due"
    assert existing_denosumab.one(known, theirs).category == "late"


def test_a_choice_of_the_clinic_is_named_in_the_finding(clinic):
    theirs = clinic(
        '[choice."bone.vitamin_d_target"]\nuse = "bone.vitamin_d.target_to.review"\nreason = "ours"'
    )
    found = vitamin_d.one(patient().having("lab.vitamin_d", 55).known_on(), theirs)
    assert found.category == "on_target"
    assert found.overrides == ("bone.vitamin_d.target_to.review",)


def test_a_clinic_that_follows_one_guideline_orders_by_it_alone(clinic):
    theirs = clinic('[choice."bone.testing_guideline"]\nuse = "USPSTF 2025"\nreason = "our payer"')
    man, woman = _man().known_on(), patient().woman(70).known_on()
    (ours,) = order_dxa(man, SHIPPED)
    assert "ISCD 2023 and JBJS Reviews 2023" in ours.says
    held = {p.holder: (p.says, p.default) for p in ours.positions}
    assert len(held) == 5
    assert "insufficient" in held["USPSTF 2025"][0]
    assert not any(default for _, default in held.values())
    assert order_dxa(man, theirs) == ()
    (other,) = order_dxa(woman, theirs)
    assert "called for by USPSTF 2025." in other.says
    assert [p.holder for p in other.positions if p.default] == ["USPSTF 2025"]
