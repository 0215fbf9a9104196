"""The geometry tables: newest values, posture in words, nothing where nothing was measured."""

from __future__ import annotations

from datetime import date

from endplate.posture import Posture
from endplate.report.geometry import geometry_tables

from patients import patient


def test_no_geometry_no_table():
    assert geometry_tables(patient().woman(60).known_on()) == ()


def test_the_newest_value_stands_with_its_interval_and_its_posture():
    known = (
        patient()
        .having("pelvis.pelvic_incidence", 50, on=date(2024, 1, 1), posture=Posture.STANDING)
        .having("pelvis.pelvic_incidence", 52, interval=(51.0, 53.0), posture=Posture.SUPINE)
        .known_on()
    )
    (table,) = geometry_tables(known)
    assert table.lines == (("pelvic incidence", "", "52.0° ± 1.0", ""),)
    assert "supine" in table.caption and "only pelvic incidence" in table.caption


def test_a_standing_curve_has_its_side_and_no_warning():
    known = patient().having(
        "spine.coronal_cobb_angle", 31, level="T11-L4", side="left", posture=Posture.STANDING
    )
    (table,) = geometry_tables(known.known_on())
    assert table.lines[0][1:3] == ("T11-L4, convex left", "31.0°")
    assert table.caption.endswith("measured standing")


def test_segments_and_vertebrae_by_level_with_gaps_shown():
    known = (
        patient()
        .having("disc.height.anterior", 9, level="L4-L5")
        .having("disc.height.posterior", 6, level="L4-L5", doubts=("thick slices",),
                quality="doubtful")
        .having("foramen.height", 15, level="L4-L5", side="left")
        .having("disc.angle", 4, level="L3-L4")
        .having("vertebra.width", 44, level="L4")
    )  # fmt: skip
    segments, bodies = geometry_tables(known.known_on())
    assert [line[0] for line in segments.lines] == ["L3-L4", "L4-L5"]
    last = segments.lines[1]
    assert last[1] == "9.0 / – / 6.0" and last[-2] == "15.0 / –" and last[-1] == "thick slices"
    assert bodies.lines[0][:2] == ("L4", "44.0 / –")
