"""The gates: each says what holds, what does not, and what nobody knows."""

import pytest

from endplate.findings import Status
from endplate.images import gates
from endplate.images.measure import measure
from endplate.record import PatientRecord
from unit.images.spines import EVIDENCE

from patients import ON, fact

THREE = "ct.hounsfield.three_location"


def asked(rule, *facts):
    return rule(PatientRecord.of(facts).known_on(ON), EVIDENCE)


def hounsfield(level="L1", **details):
    return fact(THREE, 120, level=level, details=details)


@pytest.mark.parametrize(
    "rule, detail, value, category",
    [
        (gates.contrast, "contrast", "yes", "contrast"),
        (gates.contrast, "contrast", "no", "no_contrast"),
        (gates.contrast, "contrast", "unknown", None),
        (gates.tube_voltage, "tube_voltage", 120.0, "valid"),
        (gates.tube_voltage, "tube_voltage", 100.0, "other"),
        (gates.tube_voltage, "tube_voltage", "unknown", None),
        (gates.kernel, "kernel", "B40f", "smooth"),
        (gates.kernel, "kernel", "Br38f", "smooth"),
        (gates.kernel, "kernel", "B59s", "smooth"),
        (gates.kernel, "kernel", "B60s", "sharp"),
        (gates.kernel, "kernel", "FC51", "sharp"),
        (gates.kernel, "kernel", "FC08", None),
        (gates.kernel, "kernel", "STANDARD", None),
        (gates.kernel, "kernel", "unknown", None),
        (gates.slice_spacing, "slice_spacing", 5.0, "fine"),
        (gates.slice_spacing, "slice_spacing", 5.1, "wide"),
        (gates.metal, "metal", "none", "none"),
        (gates.metal, "metal", "unknown", None),
    ],
)
def test_a_gate_answers_only_what_is_known(rule, detail, value, category):
    for facts in (
        [hounsfield(**{detail: value})],
        [hounsfield(), hounsfield("L2", **{detail: value})],
    ):
        (finding,) = asked(rule, *facts)
        assert finding.about == "test" and finding.rests_on
        if category is None:
            assert finding.status is Status.UNKNOWN and finding.missing
        else:
            assert finding.status is Status.ANSWERED and finding.category == category


@pytest.mark.parametrize(
    "rule", [gates.contrast, gates.tube_voltage, gates.kernel, gates.slice_spacing, gates.metal]
)
def test_a_typed_attenuation_leaves_the_gate_unknown_and_no_attenuation_leaves_it_silent(rule):
    (finding,) = asked(rule, hounsfield())
    assert finding.status is Status.UNKNOWN
    assert asked(rule) == ()


def test_what_was_typed_of_the_scan_counts_where_the_header_is_silent():
    typed = [fact("imaging.ct.tube_voltage", 120.0), fact("imaging.ct.contrast", False)]
    (told, *_) = gates.told([hounsfield(), *typed])
    assert told.details["tube_voltage"] == 120.0 and told.details["contrast"] == "no"
    (own, *_) = gates.told([hounsfield(tube_voltage=100.0, contrast="unknown"), *typed])
    assert own.details["tube_voltage"] == 100.0 and own.details["contrast"] == "no"


def test_what_was_typed_is_not_given_to_one_of_two_scans():
    typed = fact("imaging.ct.tube_voltage", 120.0)
    scans = [fact("ct.hounsfield.axial", 120.0, level="L1", source=n, method="m") for n in "ab"]
    assert all("tube_voltage" not in f.details for f in gates.told([*scans, typed])[:2])
    of_another = fact("imaging.ct.tube_voltage", 100.0, source="series")
    header = fact("imaging.series", "CT", source="series")
    told = gates.told([scans[0], header, of_another])
    assert "tube_voltage" not in told[0].details


def test_each_image_is_asked_for_itself():
    facts = [
        fact(THREE, 120, level="L1", source="a", details={"contrast": "yes"}),
        fact(THREE, 110, level="L1", source="b", details={"contrast": "no"}),
    ]
    assert {f.about: f.category for f in asked(gates.contrast, *facts)} == {
        "a": "contrast", "b": "no_contrast",
    }  # fmt: skip


def test_metal_near_a_vertebra_and_elsewhere():
    hip = fact("imaging.metal", "left hip", side="left")
    (far,) = asked(gates.metal, hip, hounsfield(metal="none"))
    assert far.category == "elsewhere" and "left hip" in far.says
    (near,) = asked(gates.metal, fact("imaging.metal", "L2", level="L2"),
                    hounsfield("L2", metal="near"))  # fmt: skip
    assert near.category == "near_a_vertebra" and "within 20 mm of L2" in near.says


def test_the_worst_of_the_deformities_decides_and_l5_is_not_graded():
    findings = asked(
        gates.fracture,
        fact("vertebra.wedge", 12, level="L1"), fact("vertebra.biconcavity", 27, level="L1"),
        fact("vertebra.wedge", 5, level="T12"), fact("vertebra.crush", 45, level="L5"),
    )  # fmt: skip
    assert [(f.about, f.category, f.status) for f in findings] == [
        ("T12", "none", Status.ANSWERED), ("L1", "moderate", Status.ANSWERED),
        ("L5", None, Status.NOT_APPLICABLE),
    ]  # fmt: skip
    assert findings[1].parts["kind"] == "biconcave"


def test_a_deformity_whose_error_reaches_another_grade_says_so():
    near = fact("vertebra.wedge", 18, level="L1", interval=(12.0, 24.0))
    (finding,) = asked(gates.fracture, near)
    assert finding.category == "none" and "may be none to mild" in finding.says
    (sure,) = asked(gates.fracture, fact("vertebra.wedge", 10, level="L1", interval=(7.0, 13.0)))
    assert "may be" not in sure.says and sure.parts["at_most"] == "none"


def test_a_vertebra_that_is_cut_or_not_measured_is_said():
    what = "vertebra.cut_by_field_of_view"
    found = asked(
        gates.cut_by_field_of_view,
        fact(what, True, level="T11", details={"part": "body"}),
        fact(what, True, level="L5", details={"part": "arch"}),
        fact(what, False, level="L1"),
    )
    assert {f.about: f.category for f in found} == {"T11": "body", "L5": "arch"}
    (why,) = asked(gates.too_few_voxels, fact(
        "vertebra.not_measured", "its label has only 3 voxels", level="L2",
        details={"what": "the vertebra", "reason": "too_few_voxels"}))  # fmt: skip
    assert why.says == "L2: the vertebra was not measured: its label has only 3 voxels."


def placed(level, **details):
    return fact("vertebra.cut_by_field_of_view", False, level=level, details=details)


def levels_say(**each):
    (finding,) = asked(gates.levels, *(placed(n, **details) for n, details in each.items()))
    return finding


COUNTED = {"level_confirmed": "counted"}


def test_levels_that_nothing_speaks_against_are_plausible_and_still_to_be_confirmed():
    finding = levels_say(L1=COUNTED, L2=COUNTED)
    assert finding.category == "plausible" and "has to confirm" in finding.says
    assert finding.missing == ()
    confirmed = levels_say(L1={"level_confirmed": "yes"})
    assert confirmed.says.endswith("A person has confirmed them.")


def test_levels_whose_names_are_in_doubt_are_named():
    finding = levels_say(L1=COUNTED, L2={"level_confirmed": "no", "level_in_doubt": "yes"})
    assert finding.category == "doubtful" and "in doubt: L2." in finding.says
    assert finding.missing


@pytest.mark.parametrize("details", [{}, {"level_confirmed": "no"}])
def test_a_level_that_is_not_said_to_be_counted_is_not(details):
    finding = levels_say(L1=COUNTED, L2=details)
    assert finding.category == "plausible" and finding.missing
    assert "not counted from sacrum or ribs: L2." in finding.says


def vbq(**details):
    return fact("mr.vertebral_bone_quality", 2.9, level="L1-L4", details=details)


@pytest.mark.parametrize(
    "details, category",
    [
        ({"repetition_time": 400.0, "echo_time": 8.0, "contrast": "no"}, "within"),
        ({"repetition_time": 850.0, "echo_time": 20.0, "contrast": "no"}, "within"),
        ({"repetition_time": 399.0, "echo_time": 10.0, "contrast": "no"}, "outside"),
        ({"repetition_time": 851.0, "echo_time": 10.0, "contrast": "no"}, "outside"),
        ({"repetition_time": 600.0, "echo_time": 7.9, "contrast": "no"}, "outside"),
        ({"repetition_time": 600.0, "echo_time": 20.1, "contrast": "no"}, "outside"),
        ({"repetition_time": 600.0, "echo_time": 10.0, "contrast": "yes"}, "outside"),
        ({"repetition_time": 2500.0}, "outside"),
        ({"repetition_time": 600.0, "echo_time": 10.0}, None),
        ({}, None),
    ],
)
def test_the_acquisition_of_a_bone_quality_score(details, category):
    (finding,) = asked(gates.vbq_acquisition, vbq(**details))
    assert finding.category == category
    if category is None:
        assert finding.status is Status.UNKNOWN and finding.missing


def test_the_gates_answer_for_a_real_measurement():
    from endplate.demo.phantom import Scan, Spine, phantom

    made = phantom(Spine(first="L2"), Scan(spacing=(2, 2, 2)))
    facts = measure(made.image, made.mask, quantities={"heights", "attenuation", "metal"}).facts
    patient = PatientRecord.of(facts).known_on(ON)
    found = {
        f.rule: f
        for rule in (gates.contrast, gates.tube_voltage, gates.kernel, gates.slice_spacing,
                     gates.metal, gates.levels)
        for f in rule(patient, EVIDENCE)
    }  # fmt: skip
    assert found["measurement.contrast"].category == "no_contrast"
    assert found["measurement.tube_voltage"].category == "valid"
    assert found["measurement.kernel"].status is Status.UNKNOWN  # a phantom has no known kernel
    assert found["measurement.metal"].category == "none"
    assert found["measurement.levels"].category == "plausible"
    for finding in found.values():
        assert finding.rests_on and finding.limits


def test_what_is_doubtful_of_a_deformity_stands_in_its_sentence():
    (found,) = asked(
        gates.fracture,
        fact("vertebra.wedge", 30.0, level="L1", quality="doubtful", doubts=("its label is cut",)),
    )
    assert "doubtful, as its label is cut" in found.says


def test_the_newest_image_decides_on_a_deformity():
    old = fact("vertebra.wedge", 30.0, level="L1", on=ON.replace(year=2015), source="old")
    new = fact("vertebra.wedge", 3.0, level="L1", on=ON.replace(year=2024), source="new")
    (found,) = asked(gates.fracture, old, new)
    assert found.category == "none"


def test_two_scans_that_fail_at_the_same_vertebra_are_one_finding():
    details = {"what": "the vertebra", "reason": "too_few_voxels"}
    facts = [
        fact("vertebra.not_measured", why, level="L2", source=source, details=details)
        for source, why in (("first", "it has no body"), ("second", "its label is too small"))
    ]
    (found,) = asked(gates.too_few_voxels, *facts)
    assert "L2: the vertebra was not measured: " in found.says
    assert "it has no body" in found.says and "its label is too small" in found.says
    assert len(found.because) == 2


def test_a_vertebra_cut_in_two_scans_is_one_finding_and_shown_whole_in_one_is_said():
    def cut(value, source, part="body"):
        return fact("vertebra.cut_by_field_of_view", value, level="T12", source=source,
                    details={"part": part})  # fmt: skip

    (both,) = asked(gates.cut_by_field_of_view, cut(True, "first"), cut(True, "second"))
    assert both.says.endswith("it was not measured.") and len(both.because) == 2
    (one,) = asked(gates.cut_by_field_of_view, cut(True, "first"), cut(False, "second"))
    assert one.says.endswith("another shows it.")
    (arch,) = asked(gates.cut_by_field_of_view, cut(True, "first", "arch"))
    assert arch.category == "arch"
