"""The pictures of alignment: well-formed, told in words too, and no label upon another."""

from __future__ import annotations

import json
import re
from datetime import date
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import Radiograph
from endplate.cli.main import DONE, main
from endplate.demo import radiographs
from endplate.facts import Fact
from endplate.levels import Level
from endplate.plan.care_plan import findings_of
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.report.alignment import alignment_section, newest, outline, pictures
from endplate.report.drawing import Box, shortened, width, wrapped
from endplate.report.outline import Outline, Pair, coronal, sagittal, sagittal_table
from endplate.report.ring import Part, ring, ring_table
from endplate.report.strip import Band, Row, Target, strip, strip_table
from journeys.test_alignment import written
from unit.alignment import spines

SVG = "{http://www.w3.org/2000/svg}"
SHIPPED = evidence.shipped()
LATERAL, FRONTAL = radiographs.lateral(), radiographs.frontal()
ON = date(2026, 6, 1)


def film(points, view="lateral", **said):
    given = {"name": "film.csv", "posture": Posture.STANDING, "calibrated": True, **said}
    places = {n: (float(x), float(y)) for n, (x, y) in points.items()}
    return Radiograph(view=view, points=places, **given)


def of_levels(points, *letters):
    return {n: p for n, p in points.items() if n[0] in letters or "femoral" in n}


def turned(points, degrees, pivot="L5"):
    """The spine above a level bent forwards as a whole."""
    a = np.radians(-degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    at = points[f"{pivot} superior_endplate.posterior"]
    fixed = ("S1", "L5", "left", "right")
    return {n: p if n.startswith(fixed) else at + turn @ (p - at) for n, p in points.items()}


def curled(points, degrees):
    """Every vertebra bent forwards against the one below: a kyphosis."""
    for level in ("T12", "T10", "T8", "T6", "T4", "T2"):
        above = {v.value for v in Level if v < Level(level)}
        new = turned(points, degrees / 6, level)
        named = (*above, "dens", "ext", "chin", "brow")
        points = {n: new[n] if n.split()[0].startswith(named) and n.split()[0] in (*above, n)
                  else p for n, p in points.items()}  # fmt: skip
    return points


def scoliosis(cobb):
    """The frontal demonstration spine with a curve of another size at the same place."""
    kept = radiographs.COBB
    radiographs.COBB = cobb
    try:
        return radiographs.frontal()
    finally:
        radiographs.COBB = kept


PLAN = Outline(points=turned(LATERAL, -8), role="plan", name="plan 1: L4-L5 cage 12°, fused T10-S1")
TARGET = Outline(points=turned(LATERAL, -5), role="target", name="age-adjusted", tolerance=12)
LEGS = {**LATERAL, "knee": np.array([30.0, -430]), "ankle": np.array([-20.0, -830])}
RNG = np.random.default_rng(4)
ODD = {
    "whole": ([film(LATERAL)], ()),
    "sagittal vertical axis far forwards": ([film(turned(LATERAL, 12))], ()),
    "bent over": ([film(turned(LATERAL, 55), towards="right")], ()),
    "hyperkyphosis": ([film(curled(LATERAL, 70), towards="right")], ()),
    "every second vertebra": (
        [film({n: p for n, p in LATERAL.items() if not re.match(r"[CTL]\d*[02468] ", n)})], (),
    ),
    "lumbar alone": ([film(of_levels(LATERAL, "L", "S"))], ()),
    "uncalibrated": ([film({n: p * 7 for n, p in LATERAL.items()}, calibrated=False)], ()),
    "facing left": ([film({n: p * [-1, 1] for n, p in LATERAL.items()})], ()),
    "squat": ([film({n: p * [1, 0.5] for n, p in LATERAL.items()})], ()),
    "with legs": ([film(LEGS)], ()),
    "plan and target": ([film(LATERAL)], (PLAN, TARGET)),
    "lumbar with a plan of a long name": (
        [film(of_levels(LATERAL, "L", "S"))],
        (Outline(points=of_levels(PLAN.points, "L", "S"), role="plan", name="cage " * 40),),
    ),
    "one endplate": ([film(of_levels(LATERAL, "S"))], ()),
    "frontal": ([film(FRONTAL, "frontal")], ()),
    "scoliosis of 60 degrees": ([film(scoliosis(60), "frontal")], ()),
    "scoliosis of 100 degrees": ([film(scoliosis(100), "frontal")], ()),
    "frontal lumbar": ([film(of_levels(FRONTAL, "L", "S"), "frontal")], ()),
    **{f"random {n}": ([film(spines.one(spines.lateral(RNG)))], ()) for n in range(8)},
    **{f"random frontal {n}": ([film(spines.one(spines.frontal(RNG)), "frontal")], ())
       for n in range(6)},
}  # fmt: skip


def drawn(films, plans=()):
    facts = [f for one in films for f in measure(one, SHIPPED)[0]]
    (svg,) = pictures(films, facts, plans).values()
    return svg


def texts(svg):
    """Each text with a box in which any usual typeface stays: six tenths of its size a letter."""
    root = ElementTree.fromstring(svg)
    found = []
    for one in root.iter(f"{SVG}text"):
        size, x, y = (float(one.get(k)) for k in ("font-size", "x", "y"))
        wide = 0.6 * size * len(one.text)
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[one.get("text-anchor")]
        found.append((one.text, (left, y - 0.75 * size, left + wide, y + 0.2 * size)))
    return found


def collisions(svg):
    return [
        (a, b)
        for (a, p), (b, q) in combinations(texts(svg), 2)
        if p[0] < q[2] and q[0] < p[2] and p[1] < q[3] and q[1] < p[3]
    ]


def beyond(svg):
    _, _, wide, high = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    return [t for t, (x, y, x2, y2) in texts(svg) if x < 0 or y < 0 or x2 > wide or y2 > high]


# -- outlines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_no_label_lies_on_another_or_outside_and_each_level_is_named_once(name):
    films, plans = ODD[name]
    svg = drawn(films, plans)
    assert collisions(svg) == [] and beyond(svg) == []
    levels = {n.split()[0] for n in films[0].points} & {v.value for v in Level}
    named = [t for t, _ in texts(svg) if t in set(Level)]
    assert sorted(named) == sorted(levels)


def test_the_collision_check_can_fail():
    larger = drawn([film(LATERAL)]).replace('font-size="12"', 'font-size="34"')
    assert collisions(larger) and beyond(larger)


@pytest.mark.parametrize("name", ["whole", "plan and target", "frontal", "uncalibrated"])
def test_a_picture_has_a_role_a_title_and_a_sentence(name):
    root = ElementTree.fromstring(drawn(*ODD[name]))
    assert root.get("role") == "img"
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) and root.get("aria-labelledby").split() == ids[:2]
    title, says = root.find(f"{SVG}title").text, root.find(f"{SVG}desc").text
    assert title and "uncalibrated" in says if name == "uncalibrated" else "scale bar" in says


def test_what_a_user_wrote_is_escaped():
    name = '<b>"&'
    svg = sagittal([Outline(points=LATERAL, name=name)], calibrated=True)
    assert name not in svg and f"now: {name}" in [t for t, _ in texts(svg)]


def test_front_and_back_and_the_sides_are_marked():
    assert {"P posterior", "anterior A"} <= {t for t, _ in texts(drawn([film(LATERAL)]))}
    right, left = (
        next(box for t, box in texts(drawn([film(FRONTAL, "frontal")])) if t == word)
        for word in ("R patient's right", "patient's left L")
    )
    assert right[2] < left[0]


def test_the_front_is_to_the_right_whichever_way_the_film_faces():
    there, back = (drawn(*ODD[n]) for n in ("whole", "facing left"))
    assert there == back
    section = section_of([film({n: p * [-1, 1] for n, p in LATERAL.items()})])
    assert "faces the other way" in section.figures[0].how
    assert "faces the other way" not in section_of([film(LATERAL)]).figures[0].how


def test_left_of_the_person_is_right_in_the_picture():
    one_head = {n: p for n, p in FRONTAL.items() if n.startswith(("S1", "left"))}
    root = ElementTree.fromstring(coronal(Outline(points=one_head), (), calibrated=True))
    (head,) = root.iter(f"{SVG}circle")
    sacrum = next(e for e in root.iter(f"{SVG}line") if e.get("stroke-width") == "1")
    assert float(head.get("cx")) > float(sacrum.get("x1"))
    assert "the patient's left to the right" in root.find(f"{SVG}desc").text


def test_the_offset_printed_is_the_fact():
    fact = next(f for f in measure(film(LATERAL), SHIPPED)[0]
                if f.what == "spine.sagittal_vertical_axis")  # fmt: skip
    assert f"SVA now +{fact.number:.0f} mm" in [t for t, _ in texts(drawn([film(LATERAL)]))]


def test_without_a_scale_no_length_is_printed():
    said = [t for t, _ in texts(drawn(*ODD["uncalibrated"]))]
    assert "not to scale: uncalibrated" in said and not any(" mm" in t for t in said)


def test_nobody_who_lies_has_a_plumb_line():
    lying = drawn([film(LATERAL, posture=Posture.SUPINE)])
    assert "SVA" not in lying and "plumb" not in lying
    assert "plumb" in drawn([film(LATERAL, calibrated=False)])


def test_line_style_tells_now_target_and_plan_apart_without_colour():
    styles = {}
    for role in ("current", "target", "plan"):
        root = ElementTree.fromstring(
            sagittal([Outline(points=of_levels(LATERAL, "L", "S"), role=role)], calibrated=True)
        )
        sample = root.find(f"{SVG}line")
        hollow = any(c.get("fill") == "#ffffff" and float(c.get("r")) < 4
                     for c in root.iter(f"{SVG}circle"))  # fmt: skip
        styles[role] = sample.get("stroke-dasharray"), hollow
    assert len({dash for dash, _ in styles.values()}) == 3
    assert [hollow for _, hollow in styles.values()] == [False, False, True]


def test_a_tolerance_is_shaded_as_wide_as_it_is():
    svg = sagittal([Outline(points=LATERAL, role="target", tolerance=10)], calibrated=True)
    wide = max(float(w) for w in re.findall(r'<polyline[^>]*stroke-width="([\d.]+)"', svg))
    bar = ElementTree.fromstring(svg)
    ends = next(e for e in bar.iter(f"{SVG}line") if e.get("stroke") == "#1a1a1a")
    length = float(ends.get("x2")) - float(ends.get("x1"))
    mm = next(float(t.split()[0]) for t, _ in texts(svg) if t.endswith(" mm") and "SVA" not in t)
    assert wide == pytest.approx(20 * length / mm, abs=0.3)


def test_a_text_has_contrast_on_white():
    for name in ("plan and target", "frontal"):
        fills = {
            e.get("fill") for e in ElementTree.fromstring(drawn(*ODD[name])).iter(f"{SVG}text")
        }
        assert fills <= {"#1a1a1a", "#595959", "#0072B2"}


def test_the_table_of_endplates_holds_the_slope_of_the_sacrum():
    facts = {f.what: f.number for f in measure(film(LATERAL), SHIPPED)[0]}
    lines = dict(sagittal_table([outline(film(LATERAL))]))
    assert lines["S1 superior"] == f"{facts['pelvis.sacral_slope']:.1f}"
    assert lines["T1 superior"] == f"{facts['spine.t1_slope']:.1f}"
    both = sagittal_table([outline(film(of_levels(LATERAL, "L"))), TARGET])
    assert {n: a for n, a, _ in both}["T4 superior"] == ""


def test_each_curve_is_linked_and_named():
    facts = measure(film(scoliosis(60), "frontal"), SHIPPED)[0]
    curves = [f for f in facts if f.what == "spine.coronal_cobb_angle"]
    said = [t for t, _ in texts(drawn([film(scoliosis(60), "frontal")]))]
    assert len(curves) > 1
    for n, fact in enumerate(curves, 1):
        assert f"curve {n}" in said and " to ".join(fact.level.split("-")) in said
        assert any(t.startswith(f"{fact.number:.1f}° ±") for t in said)
    dashed = [e for e in ElementTree.fromstring(drawn([film(scoliosis(60), "frontal")])).iter()
              if e.get("stroke-dasharray") == "4 3"]  # fmt: skip
    assert len(dashed) == 3 * len(curves)


def test_a_pair_whose_plates_are_not_marked_is_left_out():
    pair = Pair(id="1", first="T1", last="T5", says=("T1 to T5",))
    svg = coronal(Outline(points=of_levels(FRONTAL, "L", "S")), (pair,), calibrated=True)
    assert "4 3" not in svg


# -- strip -----------------------------------------------------------------------------------------

BAND = Band(low=10, high=22, name="norm", source="somebody2020")
ROWS = [
    Row(name="pelvic tilt", value=31.2, interval=(27.6, 34.8), bands=(BAND,), plan=20.0,
        targets=(Target(value=24.3, name="age-adjusted"),)),
    Row(name="a parameter with a name that is longer than its column", unit="mm", decimals=0,
        value=152, interval=(148, 156), bands=(BAND, BAND), doubt="one head"),
    Row(name="lumbar lordosis", value=-12.04, targets=(Target(value=42, name="a"),
                                                       Target(value=60, name="b"))),
    Row(name="planned alone", plan=3.0),
    Row(name="tiny", value=0.0001, interval=(0.0001, 0.0001)),
]  # fmt: skip


def test_the_strip_is_a_picture_without_collisions():
    svg = strip(ROWS)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and collisions(svg) == [] and beyond(svg) == []
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) and set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


@pytest.mark.parametrize(
    ("value", "says"),
    [(9.99, "▼ below"), (10, "within"), (22, "within"), (22.01, "▲ above")],
)
def test_outside_its_band_a_value_has_a_sign_and_a_word(value, says):
    row = Row(name="x", value=value, bands=(BAND,))
    assert any(t.startswith(f"{says} 10.0° to 22.0°") for t, _ in texts(strip([row])))
    assert strip_table([row])[0][4].startswith(says)


def test_the_numbers_of_strip_and_table_are_those_of_the_row():
    said = [t for t, _ in texts(strip(ROWS))]
    assert "● 31.2° (27.6° to 34.8°)" in said and "◆ plan 20.0°" in said and "target 24.3°" in said
    assert "● 152 mm (148 mm to 156 mm) ? doubtful" in said
    assert "● −12.0°" in said and "2 targets, 42.0° to 60.0°" in said
    name, now, interval, plan, bands, aims, _ = strip_table(ROWS)[0]
    assert (name, now, interval, plan) == ("pelvic tilt", "31.2°", "27.6° to 34.8°", "20.0°")
    assert "somebody2020" in bands and aims == "24.3° (age-adjusted)"
    assert strip_table(ROWS)[3][1] == "not known"


def test_a_mark_stands_on_its_axis_where_its_number_is():
    root = ElementTree.fromstring(strip([Row(name="x", value=20.0, plan=40.0)]))
    disc = list(root.iter(f"{SVG}circle"))[-1]
    ticks = {t: (b[0] + b[2]) / 2 for t, b in texts(strip([Row(name="x", value=20.0, plan=40.0)]))
             if re.fullmatch(r"−?\d+", t)}  # fmt: skip
    assert float(disc.get("cx")) == pytest.approx(ticks["20"], abs=0.2)


# -- ring ------------------------------------------------------------------------------------------

PARTS = [
    Part(name="relative pelvic version", says="−11.7°: moderate retroversion", points=2, most=3),
    Part(name="relative lumbar lordosis", says="−26.2°: severe hypolordosis", points=3, most=3),
    Part(name="lordosis distribution index", says="not known", points=None, most=3),
    Part(name="relative spinopelvic alignment", says="+2.2°: moderate positive", points=0, most=3),
    Part(name="age", says="68 years", points=1, most=1),
]


def test_as_many_cells_are_filled_as_there_are_points():
    svg = ring(PARTS, "–", "not computable")
    assert svg.count('fill="#D55E00"') == 6 and svg.count('fill="url(#gap-unknown)"') == 3
    assert svg.count("<path") == sum(p.most for p in PARTS)
    assert collisions(svg) == [] and beyond(svg) == []
    said = [t for t, _ in texts(svg)]
    assert "2 of 3 points" in said and "1 of 1 point" in said and "not computable" in said
    assert ring_table(PARTS)[2] == ("lordosis distribution index", "not known", "not computable")


# -- labels ----------------------------------------------------------------------------------------


def test_a_line_cuts_a_box_or_passes_it():
    box = Box(0, 0, 10, 10)
    assert box.is_cut_by(((-5, 5), (15, 5))) and box.is_cut_by(((5, -5), (5, 15)))
    assert box.is_cut_by(((2, 2), (3, 3))) and box.is_cut_by(((-1, 1), (1, -1)))
    assert not box.is_cut_by(((-5, 11), (15, 11))) and not box.is_cut_by(((-5, 2), (-1, 2)))
    assert not box.is_cut_by(((-4, 1), (1, -4)))


def test_a_text_is_wrapped_and_shortened_to_its_room():
    assert wrapped("one two three", 10, width("one two", 10)) == ["one two", "three"]
    short = shortened("a" * 50, 10, 100)
    assert width(short, 10) <= 100 and "…" in short and shortened("ab", 10, 100) == "ab"


# -- section ---------------------------------------------------------------------------------------


def section_of(films, *, born="1958-03-14", more=()):
    facts = [f for one in films for f in measure(one, SHIPPED)[0]]
    facts += [Fact(what="person.birth_date", value=born), *more]
    record = PatientRecord.of(facts)
    findings = findings_of(record, ON, SHIPPED)
    return alignment_section(record.known_on(ON), findings, SHIPPED, films)


STANDING = [film(LATERAL, name="side.csv"), film(FRONTAL, "frontal", name="front.csv")]


def figure(section, name):
    return next(f for f in section.figures if f.name == name)


def test_the_section_has_every_picture_each_with_its_table():
    section = section_of(STANDING)
    names = ["sagittal.svg", "coronal.svg", "parameters.svg", "gap.svg"]
    assert [f.name for f in section.figures] == names
    for one in section.figures:
        assert one.table.lines and all(len(r) == len(one.table.headings) for r in one.table.lines)
    assert "standing" in section.measured[0] and "medical device" in section.intended_use


def test_the_strips_table_holds_the_facts():
    facts = {(f.what, f.level): f for one in STANDING for f in measure(one, SHIPPED)[0]}
    lines = {line[0]: line for line in figure(section_of(STANDING), "parameters.svg").table.lines}
    for what, level, name in (
        ("pelvis.pelvic_tilt", None, "pelvic tilt"),
        ("spine.lumbar_lordosis", "L1-S1", "lumbar lordosis L1-S1"),
        ("spine.global_tilt", "C7-S1", "global tilt C7-S1"),
    ):
        assert lines[name][1] == f"{facts[what, level].number:.1f}°"
        assert "standing" in lines[name][-1]


def test_the_ring_has_the_points_of_the_finding():
    section = section_of(STANDING)
    score = next(c for c in section.classes if c[0] == "alignment.gap")
    points = [int(line[2].split()[0]) for line in figure(section, "gap.svg").table.lines]
    assert f"GAP score {sum(points)}:" in score[2]


def test_a_score_that_cannot_be_computed_is_hatched():
    flat = {n: p for n, p in LATERAL.items() if not n.startswith("L4")}
    table = figure(section_of([film(flat)]), "gap.svg").table
    assert {n: p for n, _, p in table.lines}["lordosis distribution index"] == "not computable"


def test_targets_stand_side_by_side_with_their_sources_and_say_where_they_disagree():
    section = section_of(STANDING)
    lordosis = [line for line in section.targets.lines if line[0].startswith("lumbar lordosis")]
    assert len(lordosis) > 4 and len({line[1] for line in lordosis}) == 1
    marks = {line[6].partition("; ")[2] for line in lordosis}
    assert marks == {"read in the source", "not all numbers verified"}
    assert sum("(default)" in line[4] for line in lordosis) == 1
    assert any("no class printed" in line[2] for line in lordosis)
    assert any(s.startswith("lumbar lordosis L1-S1: ") for s in section.disagreements)


def test_a_single_value_is_a_line_a_range_is_shaded_and_one_end_may_be_open():
    def of(*targets):
        root = ElementTree.fromstring(strip([Row(name="x", value=30.0, targets=targets)]))
        shaded = [e for e in root.iter(f"{SVG}rect") if e.get("fill") == "#0072B2"]
        lines = [e for e in root.iter(f"{SVG}line") if e.get("stroke") == "#0072B2"]
        edges = [
            e.get("d").count("V") for e in root.iter(f"{SVG}path") if e.get("stroke-dasharray")
        ]
        return len(shaded) // 2, len(lines) // 2, edges[1:]  # each stands in the legend as well

    assert of(Target(name="a", value=20)) == (0, 1, [])
    assert of(Target(name="a", low=10, high=20)) == (1, 0, [2])
    assert of(Target(name="a", high=20, below=True)) == (1, 0, [1])
    assert of(Target(name="a", value=15, low=10, high=20)) == (1, 1, [2])
    row = Row(name="x", value=30.0, targets=(
        Target(name="a", high=20, below=True, default=True), Target(name="b", value=24.0),
    ))  # fmt: skip
    said = [t for t, _ in texts(strip([row]))]
    assert "target below 20.0°, default" in said and "2 targets, 20.0° to 24.0°" in said
    assert strip_table([row])[0][5] == "below 20.0° (a, default); 24.0° (b)"


def test_the_report_says_of_targets_what_the_command_says(tmp_path, capfd):
    path = written(tmp_path / "side.json", "lateral", LATERAL, posture="standing",
                   pixel_spacing=1, magnification=1)  # fmt: skip
    told = ["alignment", "targets", path, "--age", "68", "--on", str(ON)]
    assert main([*told, "--json"]) == DONE
    aims = json.loads(capfd.readouterr().out)["targets"]
    lines = section_of([film(LATERAL, name="side.json")]).targets.lines
    assert len(lines) == len(aims) > 20
    for line, aim in zip(lines, aims, strict=True):
        assert line[4] == aim["holder"] + (" (default)" if aim["default"] else "")
        assert line[5] == aim["population"] and aim["note"] in line[2]
        assert ("not all" in line[6]) == (not aim["verified"])
        assert (line[3] == "in range") == (aim["reached"] is True)
        numbers = [aim[k] for k in ("value", "low", "high") if aim[k] is not None]
        assert [float(n.replace("−", "-")) for n in re.findall(r"[−\d.]+(?=[° ])", line[2])][
            : len(numbers)
        ] == pytest.approx(numbers, abs=0.051)


def test_norms_come_first_and_neither_they_nor_targets_are_held_against_who_sits():
    standing = section_of([film(turned(LATERAL, 16))])
    row = {line[0]: line for line in figure(standing, "parameters.svg").table.lines}
    assert row["sacral slope"][4].startswith("▼ below 33.0° to 49.0° (mean ± SD; ")
    assert row["sagittal vertical axis C7-S1"][4].startswith("▲ above")
    said = [t for t, _ in texts(figure(standing, "parameters.svg").svg)]
    assert said[said.index("▼ below 33.0° to 49.0°") + 1] == "(mean ± SD)"
    known = [line for line in standing.norms.lines if line[0] == "pelvic incidence"]
    assert len(known) > 1 and all(line[4] and "read in the source" in line[5] for line in known)
    sitting = section_of([film(LATERAL, posture=Posture.SITTING)])
    assert sitting.targets is None
    for line in figure(sitting, "parameters.svg").table.lines:
        assert line[5] == "" and "sitting" in line[-1]
        assert line[4] == "" or line[0] == "pelvic incidence"  # it holds in every posture


def test_an_interval_of_a_mean_is_no_reference():
    means = {r.population for r in SHIPPED.under("alignment.norm.") if "mean_low" in r.table[0]}
    shown = {line[4] for line in section_of(STANDING).norms.lines}
    assert means and not means & shown


def test_the_report_says_how_to_plan_where_there_is_a_lateral_film():
    assert "endplate alignment plan" in section_of(STANDING).how_to_plan
    assert section_of(STANDING[1:]).how_to_plan == ""


def test_who_lies_has_pictures_and_no_parameters_against_the_plumb_line():
    section = section_of([film(LATERAL, posture=Posture.SUPINE)])
    names = [
        line[0] for f in section.figures if f.name == "parameters.svg" for line in f.table.lines
    ]
    assert names == ["pelvic incidence"] and section.targets is None


def test_nothing_marked_and_nothing_upright_is_no_section():
    supine = Fact(what="spine.lumbar_lordosis", value=40.0, unit="deg", level="L1-S1",
                  posture=Posture.SUPINE)  # fmt: skip
    assert section_of([], more=[supine]) is None


def test_of_each_view_the_newest_upright_film_is_drawn():
    old, new, lying = (
        film(LATERAL, name=n, on=on, posture=p)
        for n, on, p in (
            ("old", date(2020, 1, 1), Posture.STANDING),
            ("new", date(2024, 1, 1), Posture.STANDING),
            ("lying", date(2025, 1, 1), Posture.SUPINE),
        )
    )
    assert [f.name for f in newest([old, lying, new])] == ["new"]
