"""What a case table cannot hold: sums on both sides, and the command's assumption of standing."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from endplate import evidence
from endplate.alignment.proportion import gap
from endplate.alignment.slip import meyerding
from endplate.cli.main import main

from patients import patient

SHIPPED = evidence.shipped()


def standing():
    return patient().having("imaging.posture", "standing")


# At an incidence of 100° the ideal slope is 68°, lordosis 91° and global tilt 33°.
@pytest.mark.parametrize(
    "slope, lordosis, tilt, points, category",
    [
        (60, 91, 33, 2, "proportioned"),
        (50, 91, 33, 3, "moderately_disproportioned"),
        (50, 60, 33, 6, "moderately_disproportioned"),
        (50, 60, 44, 7, "severely_disproportioned"),
    ],
)
def test_the_total_of_gap(slope, lordosis, tilt, points, category):
    known = standing().having("person.age", 40).having("pelvis.pelvic_incidence", 100)
    known.having("pelvis.sacral_slope", slope).having("spine.lumbar_lordosis", lordosis)
    known.having("spine.lower_lumbar_lordosis", 0.6 * lordosis).having("spine.global_tilt", tilt)
    found = gap.one(known.known_on(), SHIPPED)
    assert (found.value, found.category) == (points, category)


@pytest.mark.parametrize("tenths", range(300, 901, 7))
def test_a_cut_off_holds_at_any_incidence_in_spite_of_binary_fractions(tenths):
    """Ideal slope less 7 is still aligned, and a thousandth less is not, in decimal arithmetic."""
    ideal = Decimal("0.59") * tenths / 10 + 9
    for below, wanted in ((7, "aligned"), (Decimal("7.001"), "moderate_retroversion")):
        known = standing().having("pelvis.pelvic_incidence", tenths / 10)
        known.having("pelvis.sacral_slope", float(ideal - below))
        found = gap.one(known.known_on(), SHIPPED)
        assert found.parts["relative_pelvic_version_class"] == wanted


GAP = ["score", "gap", "--json", "pelvic_incidence=50.4", "sacral_slope=35", "lumbar_lordosis=46.3",
       "lower_lumbar_lordosis=18.3", "global_tilt=14.8", "age=58"]  # fmt: skip


def said(capsys, *more):
    assert main([*GAP, *more]) == 0
    return json.loads(capsys.readouterr().out)["findings"][0]


def test_typed_angles_are_assumed_standing_in_plain_sight(capsys):
    first = said(capsys)
    assert first["value"] == 2
    assert [f["value"] for f in first["assumed"]] == ["standing"]


def test_a_typed_posture_is_not_overruled(capsys):
    assert said(capsys, "posture=standing")["assumed"] == []
    for posture in ("supine", "unknown"):
        first = said(capsys, f"posture={posture}")
        assert first["value"] is None and "spine.global_tilt" in first["missing"]


def test_a_lumbar_modifier_is_typed_as_it_is_printed(capsys):
    curve = "spine.lenke_curve"
    line = ["score", "lenke", "--json", f"{curve}.proximal_thoracic=0", f"{curve}.main_thoracic=55",
            f"{curve}.thoracolumbar_lumbar=0", "lenke_lumbar_modifier=B",
            "thoracic_kyphosis@T5-T12=30"]  # fmt: skip
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["category"] == "1BN"


@pytest.mark.parametrize(
    "slip, interval, grades",
    [
        (4.9, (3.9, 5.9), []),
        (5.0, (4.0, 6.0), ["I"]),
        (12.0, (-1.0, 25.0), []),
        (2.0, None, ["I"]),  # as a clinician states it
    ],
)
def test_a_small_measured_slip_is_no_spondylolisthesis(slip, interval, grades):
    known = standing().having("segment.listhesis_percent", slip, level="L4-L5", interval=interval)
    assert [f.category for f in meyerding(known.known_on(), SHIPPED)] == grades


def scored(capsys, *line):
    """The first finding of ``endplate score``."""
    assert main(["score", *line, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["findings"][0]


@pytest.mark.parametrize(
    "line",
    [
        ("gap", "PI=50.4", "SS=35", "LL=46.3", "L4-S1_lordosis=18.3", "GT=14.8", "age=58"),
        ("GAP", "pi=50.4", "ss=35", "ll=46.3", "lower_ll=18.3", "gt=14.8", "age=58"),
    ],
)
def test_the_names_that_the_field_uses_are_understood(capsys, line):
    assert scored(capsys, *line)["value"] == 2


def test_ids_are_understood_however_they_are_cased_and_joined(capsys):
    typed = ("PI-LL=20", "SVA=95", "PT=30")
    assert scored(capsys, "SRS-Schwab", *typed)["category"] == "PI-LL +, SVA +, PT +"


@pytest.mark.parametrize(
    "typed, near", [("pjk_glattes", "pjk"), ("gap_score", "gap"), ("ames_cervical", "ames")]
)
def test_a_longer_id_gets_the_score_that_it_holds(capsys, typed, near):
    assert main(["score", typed]) == 2
    assert f"Nearest: {near}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line, missing",
    [
        (("gap", "age=58"), "pelvis.pelvic_incidence"),
        (("sdsg", "pelvic_incidence=50"), "segment.listhesis_percent"),
        (("sitoula", "coronal_cobb_angle=20"), "growth.sanders"),
    ],
)
def test_what_was_given_is_not_said_to_be_missing(capsys, line, missing):
    first = scored(capsys, *line)
    assert first["value"] is None and missing in first["missing"]
    assert not any(what.endswith(line[1].split("=")[0]) for what in first["missing"])
    assert "nothing" not in first["says"]


@pytest.mark.parametrize("score", ["lenke", "compensation_signs"])
def test_a_kyphosis_of_no_stated_span_is_assumed_in_plain_sight(capsys, score):
    line = {
        "lenke": ["PT_Cobb=0", "MT_Cobb=55", "TL/L_Cobb=0", "lumbar_modifier=a", "age=14"],
        "compensation_signs": ["pelvic_tilt=12"],
    }[score]
    first = scored(capsys, score, *line, "thoracic_kyphosis=9.9")
    assert first["category"] == {"lenke": "1A-", "compensation_signs": "hypokyphosis"}[score]
    assert [f["level"] for f in first["assumed"] if f["what"] == "spine.thoracic_kyphosis"] == [
        "T5-T12"
    ]
    other = scored(capsys, score, *line, "thoracic_kyphosis@T4-T12=9.9")
    assert "spine.thoracic_kyphosis" in other["missing"]


@pytest.mark.parametrize(
    "line, says",
    [
        (("meyerding", "listhesis_percent=25.3"), "Slip of 25.3 %: Meyerding grade II."),
        (("meyerding", "listhesis_percent=25"), "Slip of 25 %: Meyerding grade I."),
        (("sdsg", "listhesis_percent=49.7", "pelvic_incidence=50"), "slip of 49.7 % at L5-S1, low"),
        (("ldi", "lumbar_lordosis=50", "lower_lumbar_lordosis=24.9"), "index 49.8 %: moderate"),
        (("ais_treatment", "coronal_cobb_angle=24.8", "risser=1", "age=12"), "Curve of 24.8°: obs"),
        (("ais_treatment", "coronal_cobb_angle=9.7", "risser=1", "age=12"), "9.7° is no scoliosis"),
        (("t4_l1_hip_axis", "PI=50", "L1PA=4", "T4PA=8.04"), "L1PA 4.04°, mismatched"),
        (("t4_l1_hip_axis", "PI=50", "L1PA=4", "T4PA=0"), "L1PA -4.0°, aligned; L1PA 4.0° is at"),
    ],
)
def test_no_number_is_printed_on_the_other_side_of_its_cut_off(capsys, line, says):
    assert says in scored(capsys, *line)["says"]


def test_what_is_known_of_maturity_is_not_asked_for_again(capsys):
    first = scored(capsys, "ais_treatment", "coronal_cobb_angle=42", "risser=4", "age=15")
    assert first["missing"] == ["growth.sanders", "growth.skeletally_mature"]


def test_a_sign_of_failure_is_named_as_one(capsys):
    line = ("pjf", "pja=15", "pja_before=0", "instrumentation=complete_loss")
    assert scored(capsys, *line)["says"].endswith("kyphosis with failure of fixation.")
