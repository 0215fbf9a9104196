"""A segment that lies in a vertebra is not that vertebra, in DICOM and in 3D Slicer's files."""

import nrrd
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from endplate.exchange.dicom.segment_codes import coded
from endplate.exchange.dicom.series import find_series
from endplate.exchange.dicom.write import write_segmentation, write_series
from endplate.exchange.masks import read_mask
from endplate.images.volume import Mask
from label_maps import ct_of, spine

GROWN = Code("123037004", "SCT", "Anatomical Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
OBJECT = Code("260787004", "SCT", "Physical object")
VERTEBRA = Code("51282000", "SCT", "Vertebra")
BONE = Code("272673000", "SCT", "Bone")
MASS = Code("4147007", "SCT", "Mass")
PIN = Code("77444004", "SCT", "Bone pin")
L3 = Code("36470004", "SCT", "L3 vertebra")
L4 = Code("11994002", "SCT", "L4 vertebra")
CANAL = Code("61853006", "SCT", "Vertebral canal")
FEMUR = Code("71341001", "SCT", "Femur")


@pytest.mark.parametrize(
    "categories, types, regions, structure, instead",
    [
        ([GROWN], [VERTEBRA], [L3], "L3", ""),
        ([GROWN], [BONE], [L3], "L3", ""),
        ([TISSUE], [BONE], [L3], "L3", ""),
        ([GROWN], [L3], [], "L3", ""),
        ([], [], [L3], "L3", ""),
        ([GROWN], [CANAL], [L3], "spinal_canal", ""),
        ([TISSUE], [TISSUE], [L3], None, ""),  # says nothing: the label may
        ([ALTERED], [MASS], [L3], None, "Mass in L3"),
        ([Code("M-01000", "SRT", "")], [MASS], [L3], None, "Mass in L3"),
        ([OBJECT], [PIN], [L3], None, "Bone pin in L3"),
        ([ALTERED], [VERTEBRA], [L3], None, "Vertebra in L3"),
        ([GROWN], [Code("89340005", "SCT", "Lamina")], [L3], None, "Lamina in L3"),
        ([Code("1", "99OWN", "own")], [MASS], [L3], None, "Mass in L3"),
        ([ALTERED], [MASS], [], None, ""),
        ([GROWN], [BONE], [FEMUR], None, ""),  # of which side?
    ],
)
def test_a_region_names_only_what_is_nothing_else(categories, types, regions, structure, instead):
    found = coded(categories, types, regions)
    assert (found.structure, found.instead) == (structure, instead)


def test_a_label_that_only_says_where_names_nothing_either():
    assert coded([ALTERED], [MASS], [], label="L3").instead == "Mass in L3"
    assert coded([GROWN], [VERTEBRA], [], label="L3").instead == ""


def item(code):
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator = code.value, code.scheme_designator
    made.CodeMeaning = code.meaning
    return made


def test_a_tumour_in_a_vertebra_is_told_and_no_vertebra_in_dicom(tmp_path):
    image = ct_of(spine([1, 2, 3], whole=True))
    mask = Mask(spine([1, 2, 3], whole=True), {1: "L5", 2: "L4", 3: "L3"}, "whole", "test")
    write_series(image, tmp_path / "ct", seed="x")
    (series,) = find_series(tmp_path / "ct").series
    path = write_segmentation(mask, series, tmp_path / "seg.dcm", seed="x")
    data = dcmread(path)
    tumour = data.SegmentSequence[2]
    tumour.SegmentedPropertyCategoryCodeSequence = [item(ALTERED)]
    tumour.SegmentedPropertyTypeCodeSequence = [item(MASS)]
    tumour.AnatomicRegionSequence = [item(L3)]
    for label in ("L3", "tumour"):
        tumour.SegmentLabel = label
        data.save_as(path)
        found, problems = read_mask(path)
        assert dict(found.structures) == {1: "L5", 2: "L4"}
        assert [p.problem for p in problems] == ["mask.not_the_structure"]
        assert "Mass in L3" in problems[0].says


def entry(category, type_, region):
    terms = "~".join(f"{c.scheme_designator}^{c.value}^{c.meaning}" for c in (category, type_))
    where = f"SCT^{region.value}^{region.meaning}" if region else "^^"
    lists = "Segmentation category and type", "Anatomic codes - DICOM master list"
    return f"Status:done|TerminologyEntry:{lists[0]}~{terms}~^^~{lists[1]}~{where}~^^|"


@pytest.mark.parametrize("name", ["L3", "Segment_3"])
def test_a_tumour_in_a_vertebra_is_told_and_no_vertebra_in_slicers_file(tmp_path, name):
    volume = spine([1, 2, 3], whole=True)
    path = tmp_path / "m.seg.nrrd"
    header = {
        "space": "left-posterior-superior",
        "space directions": volume.affine[:3, :3].T,
        "space origin": volume.affine[:3, 3],
    }
    tags = ("", entry(GROWN, VERTEBRA, L4), entry(ALTERED, MASS, L3))
    for n, (known, tag) in enumerate(zip(("L5", "Segment_2", name), tags, strict=True)):
        header |= {f"Segment{n}_Name": known, f"Segment{n}_LabelValue": str(n + 1)}
        header[f"Segment{n}_Tags"] = tag
    nrrd.write(str(path), volume.array, header)
    found, problems = read_mask(path)
    assert dict(found.structures) == {1: "L5", 2: "L4"}
    assert [p.problem for p in problems] == ["mask.not_the_structure"]
    assert "Mass in L3" in problems[0].says
