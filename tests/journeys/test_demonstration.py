"""The demonstration, from folder to report, held against what is known to be true of it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest
from jsonschema import Draft202012Validator

from endplate import codec
from endplate.cli.main import main
from endplate.demo.genotype import DIPLOTYPES
from endplate.demo.phantom import demonstration as demonstration_phantom
from endplate.facts import Fact
from endplate.findings import Finding, Recommendation
from endplate.plan.care_plan import CarePlan


@pytest.fixture(scope="module")
def plan(demonstration) -> dict:
    return json.loads((demonstration / "plan" / "plan.json").read_text())


@pytest.fixture(scope="module")
def report(demonstration) -> str:
    return (demonstration / "plan" / "report.html").read_text()


def finding(plan, rule):
    return next(f for f in plan["findings"] if f["rule"] == rule)


def test_what_was_measured_is_what_was_built(plan):
    truth = demonstration_phantom().truth.vertebrae
    measured = {f["level"]: f for f in plan["facts"] if f["what"] == "ct.hounsfield.three_location"}
    for level, vertebra in truth.items():
        fact = measured[level]
        assert fact["on"] == "2026-05-18"
        low, high = fact["interval"]
        one_error = (high - low) / 3.92
        assert abs(fact["value"] - vertebra.hounsfield) <= max(2.0, 2 * one_error), level
    grades = {f["level"]: f["value"] for f in plan["facts"] if f["what"] == "vertebra.genant_grade"}
    assert {v: g for v, g in grades.items() if g != "none"} == {"T12": "mild"}


def test_her_genes_are_called_as_they_were_made(plan):
    said = {f["what"]: f["value"] for f in plan["facts"] if f["what"].endswith(".diplotype")}
    assert {name.split(".")[1].upper(): value for name, value in said.items()} == {
        gene: "/".join(pair) for gene, pair in DIPLOTYPES.items()
    }
    slow = finding(plan, "medicines.cyp2c9")
    assert (slow["value"], slow["category"]) == (1.0, "intermediate_metaboliser")
    tramadol = finding(plan, "medicines.opioid_genes")
    assert {p["holder"] for p in tramadol["positions"]} == {"CPIC", "DPWG"}
    assert tramadol["parts"]["cyp2d6_copy_number"] == "known"


def test_her_medicines_are_weighed(plan):
    equivalents = finding(plan, "medicines.mme")
    assert (equivalents["value"], equivalents["parts"]["least"]) == (80.0, 0.0)
    assert finding(plan, "medicines.naloxone")["category"] == "offer"
    together = finding(plan, "medicines.serotonergic")["says"]
    assert "tramadol" in together and "duloxetine" in together
    # (140 - 68) x 57.5 kg x 0.85 / (72 x 104 umol/L in mg/dL)
    clearance = finding(plan, "medicines.creatinine_clearance")["value"]
    assert clearance == pytest.approx(72 * 57.5 * 0.85 / (72 * 104 / 88.42), rel=0.001)


def test_her_pain_and_her_answers_are_told(plan):
    assert finding(plan, "pain.neupsig")["category"] == "probable"
    assert finding(plan, "pain.mechanism")["category"] == "mixed"
    odi = {f["about"]: f for f in plan["findings"] if f["rule"] == "questionnaires.odi"}
    assert odi[""]["value"] == pytest.approx(100 * 25 / 45)
    assert odi["change"]["category"] == "worse"
    assert finding(plan, "questionnaires.dn4")["value"] == 5
    assert finding(plan, "questionnaires.start_back")["category"] == "medium"


def test_the_report_shows_red_flags_first_and_each_room(report):
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", report)
    assert headings[:3] == ["In one minute", "Red flags", "Bone ladder"]
    for heading in ("Pain", "Medicines and genes", "Questionnaires", "Scores of risk"):
        assert headings.count(heading) == 1
    assert "1-2 capsules every 6 hours as needed" in report
    assert "0 mg to 400 mg" in report


def test_no_room_takes_the_whole_summary(plan):
    summary = plan["plan"]["summary"]
    rooms = {f["says"]: f["rule"].split(".")[0] for f in plan["findings"]}
    assert {rooms[sentence] for sentence in summary} == {"pain", "bone", "medicines"}


def test_the_plan_says_what_the_case_was_made_to_show(plan):
    assert finding(plan, "bone.osteoporosis_by_dxa")["category"] == "low_bone_mass"
    verdict = finding(plan, "bone.osteoporosis")
    assert verdict["category"] == "osteoporosis"
    assert verdict["parts"]["attenuation below 110 HU"] == "yes"
    assert finding(plan, "bone.spine_hip_discordance")["category"] == "discordant"
    assert finding(plan, "bone.frax_glucocorticoid")["parts"]["reaches_threshold"] is True
    assert finding(plan, "bone.vitamin_d")["category"] == "low"
    romosozumab = next(f for f in plan["findings"] if f["about"] == "romosozumab")
    assert romosozumab["category"] == "contraindicated"
    assert finding(plan, "bone.existing_bisphosphonate")["positions"]
    assert finding(plan, "bone.time_before_surgery")["by"] == "2026-06-17"


def test_the_json_follows_the_schemas(plan):
    for fact in plan["facts"]:
        Draft202012Validator(codec.schema(Fact)).validate(fact)
    kinds = {"finding": Finding, "recommendation": Recommendation}
    validators = {k: Draft202012Validator(codec.schema(t)) for k, t in kinds.items()}
    for one in plan["findings"]:
        validators[one["kind"]].validate(one)
    Draft202012Validator(codec.schema(CarePlan)).validate(plan["plan"])
    assert set(plan) == {"endplate", "facts", "findings", "problems", "plan"}


def test_the_same_case_gives_the_same_bytes(demonstration, tmp_path):
    arguments = ["plan", str(demonstration / "case"), "--out", str(tmp_path / "again")]
    assert main([*arguments, "--on", "2026-06-01"]) == 0
    for name in ("plan.json", "fhir.json", "report.html", "pictures/sagittal.png"):
        first = (demonstration / "plan" / name).read_bytes()
        assert first == (tmp_path / "again" / name).read_bytes(), name


def test_everything_is_labelled_synthetic(demonstration, report):
    assert "SYNTHETIC" in report
    case = demonstration / "case"
    assert "SYNTHETIC" in (case / "case.toml").read_text()
    assert "SYNTHETIC" in (case / "record.json").read_text()
    assert b"SYNTHETIC" in next((case / "ct").iterdir()).read_bytes()
    assert "HTEST" in (demonstration / "plan" / "fhir.json").read_text()


class Page(HTMLParser):
    """Collects what an accessibility check and a reader without network need."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.images: list[dict] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tables = self.captions = 0
        self.language = ""

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.language = self.language or (given.get("lang", "") if tag == "html" else "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(given)
        self.addresses += [v for k, v in given.items() if k in ("src", "href") and v]
        self.ids += [given["id"]] if "id" in given else []
        self.tables += tag == "table"
        self.captions += tag == "caption"


def test_the_report_is_self_contained_and_accessible(report):
    page = Page()
    page.feed(report)
    assert [a for a in page.addresses if not a.startswith(("#", "data:"))] == []
    assert "@import" not in report and "url(http" not in report and "<script" not in report
    assert page.language == "en"
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    steps = [b - a for a, b in zip(page.headings, page.headings[1:], strict=False)]
    assert max(steps) <= 1, "no heading level is left out"
    assert page.images and all(i.get("alt") for i in page.images)
    assert page.tables == page.captions
    assert len(page.ids) == len(set(page.ids)), "ids are unique"
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert "<svg" in report and 'role="img"' in report and "<desc" in report


def test_every_finding_stands_in_the_report_with_its_reasons(report, plan):
    from html import unescape

    text = unescape(report)
    for one in plan["findings"]:
        assert one["says"] in text, one["rule"]
        assert f'id="{one["rule"]}' in text
        for citation in one["cites"]:
            assert citation["key"] in text
    for question in plan["plan"]["open_questions"]:
        assert question["name"] in text


def test_the_record_itself_is_not_in_what_is_logged(demonstration, tmp_path, capsys):
    arguments = ["plan", str(demonstration / "case"), "--out", str(tmp_path / "again")]
    assert main([*arguments, "--on", "2026-06-01"]) == 0
    said = capsys.readouterr()
    for private in ("1958-03-14", "19580314", "DEMONSTRATION"):
        assert private not in said.err + said.out


def test_the_clinics_own_evidence_shows_wherever_it_was_used(demonstration, tmp_path, capsys):
    clinic = tmp_path / "clinic.toml"
    clinic.write_text(
        'clinic = "Example Clinic"\n[choice]\n"bone.dxa_sites" = '
        '{ use = "hip_and_radius", reason = "Our reading of the review." }\n'
        '[row]\n"bone.fixation.hounsfield" = { value = 80, reason = "Our own series." }\n'
    )
    arguments = ["plan", str(demonstration / "case"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--on", "2026-06-01", "--evidence", str(clinic)]) == 0
    assert "own evidence was used" in capsys.readouterr().out
    out = tmp_path / "out"
    found = json.loads((out / "plan.json").read_text())
    assert {o["name"] for o in found["plan"]["overrides"]} == {
        "bone.dxa_sites", "bone.fixation.hounsfield",
    }  # fmt: skip
    report = (out / "report.html").read_text()
    assert "Example Clinic" in report and "Our own series." in report
    assert "Example Clinic" in (out / "fhir.json").read_text()


@pytest.mark.peer
def test_the_report_as_pdf(small_case, tmp_path):
    pytest.importorskip("weasyprint", reason="needs the Pango library", exc_type=OSError)
    shutil.rmtree(small_case / "ct")
    (small_case / "mask.nii.gz").unlink()
    out = tmp_path / "plan"
    assert main(["plan", str(small_case), "--out", str(out), "--on", "2026-06-01", "--pdf"]) == 0
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_pdf_that_cannot_be_made_leaves_nothing(small_case, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    out = tmp_path / "plan"
    assert main(["plan", str(small_case), "--out", str(out), "--pdf"]) == 2
    assert "endplate[pdf]" in capsys.readouterr().err
    assert not out.exists()
