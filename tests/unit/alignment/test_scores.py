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
