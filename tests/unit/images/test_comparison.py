"""Measurement against measurement: verdicts, what must be alike, new deformities."""

from datetime import date

import pytest

from endplate import evidence
from endplate.facts import Fact
from endplate.images.comparison import Studies, compared, deformities, judged, new_deformity
from endplate.posture import Posture
from endplate.record import PatientRecord

ROWS = evidence.shipped()
THEN, NOW = date(2024, 3, 1), date(2025, 3, 1)
HEIGHT, HU = "vertebra.height.anterior", "ct.hounsfield.three_location"
VBQ = "mr.vertebral_bone_quality"
UNIT = {HEIGHT: "mm", HU: "[hnsf'U]", VBQ: "1", "vertebra.wedge": "%", "vertebra.crush": "%"}
CT = {"contrast": "no", "tube_voltage": 120.0, "kernel": "Br40f", "scanner": "A"}
MR = {"contrast": "no", "field_strength": 1.5, "sequence": "T1 TSE", "scanner": "A"}


def fact(what, value, on=NOW, *, error=0.3, level="L1", details=None, **more):
    stated = {} if error is None else {"standard_error": error}
    return Fact(
        what=what, value=value, unit=UNIT.get(what, "mm"), on=on, level=level,
        source=f"CT {on}", **{"method": "m/1", "posture": Posture.SUPINE, **more},
        details={**(details or {}), **stated},
    )  # fmt: skip


def pair(what, before, after, **more):
    (found,) = compared([fact(what, before, THEN, **more)], [fact(what, after, **more)], ROWS)
    return found


# -- verdicts --


@pytest.mark.parametrize(
    "fall, verdict", [(0.83, "within error"), (0.84, "changed"), (-0.83, "within error")]
)
def test_a_change_counts_beyond_196_standard_errors_of_the_difference(fall, verdict):
    # sqrt(0.3² + 0.3²) x 1.96 = 0.832
    found = pair(HEIGHT, 24.0, 24.0 - fall)
    assert found.verdict == verdict
    assert found.standard_error == pytest.approx(0.424, abs=0.001)
    assert found.smallest_detectable == pytest.approx(0.832, abs=0.001)
    assert found.interval == pytest.approx((-fall - 0.832, -fall + 0.832), abs=0.002)


def test_one_line_says_it_all():
    found = pair(HEIGHT, 24.1, 19.8)
    assert found.says == "L1 anterior vertebral body height 24.1 -> 19.8 mm, -4.3 (±0.8): changed"


def test_without_an_error_nothing_has_changed():
    one = compared([fact(HEIGHT, 24, THEN, error=None)], [fact(HEIGHT, 12)], ROWS)[0]
    assert one.verdict == "unknown error" and one.interval is None and one.change == -12
    assert one.smallest_detectable is None and "error" in one.reasons[0]


def test_an_interval_serves_as_an_error():
    given = [fact(HEIGHT, x, on, error=None, interval=(x - 1, x + 1))
             for x, on in ((24, THEN), (22.5, NOW))]  # fmt: skip
    (found,) = compared(given[:1], given[1:], ROWS)
    assert found.standard_error == pytest.approx(2**0.5 / 1.96, abs=0.001)
    assert found.verdict == "changed"


def test_attenuation_within_what_repeated_scans_differ_by_has_not_changed():
    few, more = (pair(HU, 140, 140 - x, error=0.5, details=CT) for x in (16, 17))
    assert few.verdict == "within error" and "16 HU" in few.reasons[0]
    assert more.verdict == "changed" and more.smallest_detectable == 16


def test_masks_that_differ_more_enlarge_the_error_of_shapes_alone():
    def both(what, change, **more):
        return compared([fact(what, 100, THEN, **more)], [fact(what, 100 + change, **more)], ROWS,
                        excess=3.0)[0]  # fmt: skip

    assert both(HEIGHT, 2).verdict == "within error"
    assert both(HEIGHT, 2.6).verdict == "changed" and "3.0 times" in both(HEIGHT, 2.6).doubts[0]
    assert both(HU, 20, details=CT).standard_error == pytest.approx(0.424, abs=0.001)


# -- what must be alike --


@pytest.mark.parametrize(
    "change, word",
    [
        ({"contrast": "yes"}, "contrast differs"),
        ({"contrast": "unknown"}, "contrast unknown"),
        ({"tube_voltage": 100.0}, "tube voltage differs: 120, 100"),
        ({"tube_voltage": "unknown"}, "tube voltage unknown"),
        ({"kernel": "Br69f"}, "sharpness differs"),
        ({"kernel": "nobody knows"}, "how sharp"),
        ({"kernel": "unknown"}, "kernel unknown"),
    ],
)
def test_attenuation_needs_scans_alike_and_heights_do_not(change, word):
    for what, comparable in ((HU, False), (HEIGHT, True)):
        one = compared(
            [fact(what, 100, THEN, details=CT)], [fact(what, 40, details=CT | change)], ROWS
        )[0]
        assert (one.verdict == "changed") is comparable
        if not comparable:
            assert one.verdict == "not comparable" and word in one.reasons[0]
            assert one.change == -60 and one.smallest_detectable  # shown all the same


def test_kernels_of_one_kind_are_alike_and_another_scanner_is_said():
    other = CT | {"kernel": "B30f", "scanner": "B"}
    (found,) = compared([fact(HU, 100, THEN, details=CT)], [fact(HU, 40, details=other)], ROWS)
    assert found.verdict == "changed" and any("scanner differs" in d for d in found.doubts)


@pytest.mark.parametrize(
    "change, comparable",
    [({}, True), ({"field_strength": 1.494}, True), ({"field_strength": 3.0}, False),
     ({"sequence": "T1 GRE"}, False), ({"field_strength": "unknown"}, False),
     ({"contrast": "yes"}, False)],
)  # fmt: skip
def test_scores_on_mr_need_one_field_strength_and_sequence(change, comparable):
    (found,) = compared(
        [fact(VBQ, 3.0, THEN, level="L1-L4", details=MR)],
        [fact(VBQ, 5.0, level="L1-L4", details=MR | change)],
        ROWS,
    )
    assert found.verdict == ("changed" if comparable else "not comparable")


def test_a_raw_mr_signal_is_never_compared():
    one = Fact(what="mr.marrow_signal", value=400, unit="1", level="L1", details=MR)
    (found,) = compared([one], [one], ROWS)
    assert found.verdict == "not comparable" and "scale" in found.reasons[0]


def test_what_lies_between_bones_needs_one_posture():
    """Whatever is in no table of ours is taken to depend on the posture."""

    def both(**postures):
        one, other = (
            fact("motion.flexion", x, on, posture=p)
            for x, on, p in zip((1, 9), (THEN, NOW), postures.values(), strict=True)
        )
        return compared(*([Fact(**{**_fields(f), "unit": "deg"})] for f in (one, other)), ROWS)[0]

    assert both(a=Posture.SUPINE, b=Posture.SUPINE).verdict == "changed"
    for one, other in ((Posture.SUPINE, Posture.STANDING), (Posture.UNKNOWN,) * 2, (None, None)):
        found = both(a=one, b=other)
        assert found.verdict == "not comparable" and "posture" in found.reasons[0]


def _fields(fact):
    return {n: getattr(fact, n) for n in fact.__struct_fields__}


def test_another_version_of_the_method_is_not_compared():
    (found,) = compared([fact(HEIGHT, 24, THEN, method="m/2")], [fact(HEIGHT, 12)], ROWS)
    assert found.verdict == "not comparable" and "m/2, m/1" in found.reasons[0]
    both = [fact(HEIGHT, 24, THEN, method=m) for m in ("m/1", "m/2")]
    (found,) = compared(both, [fact(HEIGHT, 12)], ROWS)  # the like one is taken
    assert found.verdict == "changed" and found.method == "m/1"


def test_a_mean_of_other_levels_and_a_crush_against_others_are_not_compared():
    for what, detail in ((HU, "levels"), ("vertebra.crush", "reference")):
        one, other = ({**CT, detail: x} for x in ("L1, L2", "L1, L3"))
        (found,) = compared(
            [fact(what, 9, THEN, details=one)], [fact(what, 40, details=other)], ROWS
        )
        assert found.verdict == "not comparable" and "different" in found.reasons[0]


def test_a_doubt_is_said_and_forbids_nothing():
    doubted = fact(HEIGHT, 24, THEN).doubted("its arch is cut by the field of view")
    (found,) = compared([doubted], [fact(HEIGHT, 20)], ROWS)
    assert found.verdict == "changed"
    assert found.doubts == ("earlier: its arch is cut by the field of view",)


def test_only_what_both_have_at_one_place_is_compared():
    before = [fact(HEIGHT, 24, THEN), fact(HEIGHT, 25, THEN, level="L2")]
    after = [fact(HEIGHT, 20), fact(HEIGHT, 25, level="L3")]
    assert [c.level for c in compared(before, after, ROWS)] == ["L1"]


def test_a_least_change_rules_whatever_the_error():
    studies = Studies(THEN, NOW, "a", "b")
    for change, verdict in ((1.0, "within error"), (1.01, "changed")):
        one = judged(
            "vertebra.surface_change.body", change, 0.1, studies, ROWS, level="L1", least=1
        )
        assert one.verdict == verdict and one.reasons == ()


# -- new deformities --


def body(on, *, heights=(25, 24, 25), wedge=2.0, level="L1", error=0.3):
    names = ("anterior", "middle", "posterior")
    facts = [
        fact(f"vertebra.height.{n}", h, on, level=level, error=error)
        for n, h in zip(names, heights, strict=True)
    ]
    return [*facts, fact("vertebra.wedge", wedge, on, level=level, error=error and 1.5)]


@pytest.mark.parametrize(
    "before, after, category",
    [
        ((2.0, 25), (26.0, 19), "new"),
        ((22.0, 20), (31.0, 17), "progressed"),
        ((22.0, 20), (23.0, 18), "progressed"),  # lower without another grade
        ((2.0, 25), (14.0, 23), "height_loss"),
        ((19.0, 21), (21.0, 20.8), "within_error"),
        ((22.0, 20), (22.5, 20), "none"),  # as deformed as before
        ((26.0, 19), (2.0, 25), "none"),  # nothing heals up to its height
    ],
)
def test_what_became_of_a_vertebra(before, after, category):
    studies = [
        body(on, heights=(h, 24, 25), wedge=w) for on, (w, h) in ((THEN, before), (NOW, after))
    ]
    (found,) = deformities(*studies, ROWS)
    assert found.category == category
    assert ("radiologist" in found.says) is (category in ("new", "progressed", "height_loss"))


def test_many_heights_at_once_need_more_than_one_alone():
    """Of 18 heights, one fell by 1.75 standard errors: alone that would count, so it does not."""

    def spine(on, fall):
        return [f for n in range(1, 6) for f in body(on, level=f"L{n}",
                heights=(25 - (fall if n == 2 else 0), 24, 25))]  # fmt: skip

    for fall, category in ((1.75 * 0.424, "none"), (3.1 * 0.424, "height_loss")):
        found = {f.about: f for f in deformities(spine(THEN, 0), spine(NOW, fall), ROWS)}
        assert found["L2"].category == category and found["L3"].category == "none"
    (alone,) = deformities(
        [f for f in spine(THEN, 0) if f.level == "L2" and f.what == HEIGHT],
        [f for f in spine(NOW, 1.75 * 0.424) if f.level == "L2" and f.what == HEIGHT],
        ROWS,
    )
    assert alone.category == "height_loss"


def test_without_errors_it_is_unknown_and_never_none():
    (found,) = deformities(
        body(THEN, error=None), body(NOW, heights=(12, 24, 25), error=None), ROWS
    )
    assert found.status == "unknown" and "unknown" in found.says and found.missing


def test_l5_is_not_graded_and_its_heights_are_compared():
    studies = [body(on, heights=(h, 24, 25), wedge=w, level="L5")
               for on, h, w in ((THEN, 25, 2), (NOW, 19, 30))]  # fmt: skip
    (found,) = deformities(*studies, ROWS)
    assert found.category == "height_loss" and found.parts["grade_now"] is None


def test_the_rule_takes_the_newest_study_and_the_one_before():
    oldest = body(date(2020, 1, 1), heights=(19, 24, 25), wedge=24)
    record = PatientRecord.of([*oldest, *body(THEN), *body(NOW, heights=(19, 24, 25), wedge=24)])
    (found,) = new_deformity(record.known_on(NOW), ROWS)
    assert found.rule == "measurement.new_deformity" and found.category == "new"
    assert {f.on for f in found.because} == {THEN, NOW} and found.cites
    assert new_deformity(PatientRecord.of(body(NOW)).known_on(NOW), ROWS) == ()
    undated = [Fact(**{**_fields(f), "on": None}) for f in body(NOW)]
    assert new_deformity(PatientRecord.of([*undated, *body(NOW)]).known_on(NOW), ROWS) == ()
