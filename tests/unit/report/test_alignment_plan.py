"""Plans for a reader: pictures whose shading is the target, and a page that says what JSON says."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment import actions, plan_search, planning
from endplate.alignment.geometry import lean, measure
from endplate.alignment.model import Spine
from endplate.report import alignment_plan
from endplate.report.alignment_plan import Made, files
from unit.alignment import spines
from unit.alignment.test_plan import LIMITS, PSO, case, flat
from unit.alignment.test_plan_actions import film
from unit.report.test_alignment import LATERAL, SVG, beyond, collisions, of_levels, texts, turned

SHIPPED = evidence.shipped()


def made(for_case, *lists, searched=""):
    """Given lists of actions as plans on a case, with all that a page tells."""
    plans = [
        planning.plan(f"plan {n}", [actions.read(t) for t in texts_], for_case)
        for n, texts_ in enumerate(lists, 1)
    ]
    return told(for_case, plans, searched)


def told(for_case, plans, searched="", problems=()):
    films = {spine.film.view: spine.film for spine in for_case.spines}
    facts = [f for one in films.values() for f in measure(one, SHIPPED)[0]]
    person = planning.patient(facts, for_case.age, for_case.on)
    return Made(
        plans=plans, case=for_case, films=films, facts=facts, problems=problems,
        findings=planning.described(person, SHIPPED), searched=searched,
    )  # fmt: skip


def of(points, **said):
    return Spine.of(film({n: tuple(map(float, p)) for n, p in points.items()}, **said))


def frontal(seed=3):
    points = spines.one(spines.frontal(np.random.default_rng(seed)))
    return Spine.of(replace(film(points, view="frontal"), name="front.json"))


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.words, self.skipped, self.tags = [], 0, []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.skipped += tag in ("style", "svg")

    def handle_endtag(self, tag):
        self.skipped -= tag in ("style", "svg")

    def handle_data(self, text):
        if not self.skipped:
            self.words.append(text)


def page(of_it):
    parsed = _Text()
    parsed.feed(files(of_it)["alignment-plan.html"].decode())
    return re.sub(r"\s+", " ", " ".join(parsed.words)), parsed.tags


SEVERE = turned(LATERAL, 16)
ODD = {
    "severe": lambda: made(case(of(SEVERE), age=66.0), [PSO], [PSO, "cage L4-L5 lordosis=18"]),
    "facing left": lambda: made(
        case(of({n: p * [-1, 1] for n, p in SEVERE.items()}, towards="left")), [PSO]
    ),
    "lumbar alone": lambda: made(
        case(of(of_levels(LATERAL, "L", "S")), "LL=55..60"), ["cage L4-L5 lordosis=20"]
    ),
    "uncalibrated": lambda: made(
        case(of({n: p * 6 for n, p in SEVERE.items()}, calibrated=False)), [PSO]
    ),
    "pelvis follows": lambda: made(case(flat(5), how="pt=12"), [PSO, "fuse T10-S1"]),
    "no action": lambda: made(case(flat(2)), []),
    "with a frontal film": lambda: made(
        case(flat(4), frontal=frontal()), ["cage L4-L5 lordosis=20 height=10 coronal=6"], [PSO]
    ),
    "reciprocal": lambda: made(case(flat(7), thorax="reciprocal"), [PSO, "fuse T10-S1"]),
    "four plans": lambda: made(
        case(flat(8), age=50.0), *[[PSO.replace("25", n)] for n in ("20", "22", "24", "26")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_every_picture_is_well_formed_and_no_label_lies_on_another(name):
    of_it = ODD[name]()
    drawn = {n: c.decode() for n, c in files(of_it).items() if n.endswith(".svg")}
    views = len(of_it.films)
    assert len(drawn) == len(of_it.plans) * (views + 1)
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img" and collisions(svg) == [] and beyond(svg) == []
    page_ids = re.findall(r' id="([^"]+)"', files(of_it)["alignment-plan.html"].decode())
    assert len(page_ids) == len(set(page_ids))


@pytest.mark.parametrize("name", ODD)
def test_the_page_stands_alone_and_says_what_is_done_and_reached(name):
    of_it = ODD[name]()
    text, tags = page(of_it)
    assert not [a for t, a in tags if t in ("link", "script", "img", "iframe")]
    assert "optimal" not in text.lower() and "no cleared medical device" in text
    for plan in of_it.plans:
        for action in plan.actions:
            said, numbers = alignment_plan.in_words(action, SHIPPED)
            assert said in text and numbers in text and action.level in said
        missed = sum(not r.reached for r in plan.residuals)
        verdict = f"{missed} of {len(plan.residuals)} targets out of range" if missed else "✓ Every"
        assert verdict in text
        assert all(note.says.partition(". ")[0] in text for note in plan.warnings)
        assert all(a.says in text for a in plan.osteotomies)
        assert plan.compensation.says in text


def test_an_actions_words_hold_its_numbers():
    (plan,) = made(
        case(flat(4), frontal=frontal()),
        ["cage L4-L5 lordosis=20 height=10 approach=lateral coronal=6", "fuse T10-S1"],
    ).plans
    cage, fusion = (alignment_plan.in_words(a, SHIPPED) for a in plan.actions)
    assert cage[0] == "Cage at L4-L5" and fusion == ("Fusion of T10-S1", "")
    for words in ("20° of lordosis", "10 mm", "left side by 6°", "lateral approach", "posterior"):
        assert words in cage[1]
    by = plan.actions[0].correction
    assert f"lordosis there {by:+.1f}°".replace("-", "−") in cage[1]


def numbers(cell):
    return [float(n.replace("−", "-")) for n in re.findall(r"[−+]?\d+\.\d+", cell)]


def test_the_tables_hold_current_and_planned_values_and_the_change():
    of_it = ODD["severe"]()
    facts = {(f.what, f.level): f.number for f in of_it.facts}
    then = {(f.what, f.level): f.number for f in of_it.plans[1].predicted}
    lines = {
        line[0]: line for line in alignment_plan.parameter_table(of_it.plans, of_it.facts).lines
    }
    for name, key in (
        ("Lumbar lordosis L1-S1", ("spine.lumbar_lordosis", "L1-S1")),
        ("Sagittal vertical axis C7-S1", ("spine.sagittal_vertical_axis", "C7-S1")),
    ):
        assert numbers(lines[name][1])[0] == pytest.approx(facts[key], abs=0.051)
        assert numbers(lines[name][3]) == pytest.approx(
            [then[key], then[key] - facts[key]], abs=0.051
        )
    assert lines["Pelvic incidence"][3].endswith("(same)")
    for n, line in enumerate(alignment_plan.residual_table(of_it.plans, of_it.case.targets).lines):
        for plan, cell in zip(of_it.plans, line[3:], strict=True):
            residual = plan.residuals[n]
            assert numbers(cell)[0] == pytest.approx(residual.planned, abs=0.051)
            assert ("✓ in range" in cell) == residual.reached
            if not residual.reached:
                assert ("▲" in cell) == (residual.off > 0) and ("▼" in cell) == (residual.off < 0)
                assert numbers(cell)[1] == pytest.approx(abs(residual.off), abs=0.051)


def test_a_note_of_all_plans_stands_once_and_that_of_one_is_named():
    of_it = ODD["four plans"]()
    notes = alignment_plan.warnings(of_it.plans)
    assert [w for w, about, _ in notes if about == "model"] == ["every plan"]
    over = [says for _, about, says in notes if about == "overcorrection"]
    assert len(over) <= 1 or len({s.partition(". ")[2] for s in over}) == len(over)
    (single,) = [w for w, about, _ in alignment_plan.warnings(of_it.plans[:1]) if about == "model"]
    assert single == "plan 1"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["current", "pt=10"])
def test_l1_and_t4_lie_in_their_wedges_just_when_the_targets_are_reached(seed, how):
    """The shading is made of places, the residual of angles: they must agree."""
    for_case = case(flat(seed), how=how)
    seen = set()
    for angle in (2, 10, 18, 26, 34):
        (plan,) = made(for_case, [f"osteotomy L3-L4 grade=2 angle={angle}"]).plans
        then = alignment_plan._planned(plan, for_case.lateral.film)
        wedges = list(alignment_plan._wedges(for_case.targets, then))
        assert [w.name for w in wedges] == ["L1 wanted", "T4 wanted"]
        for wedge, residual in zip(wedges, plan.residuals, strict=True):
            at = float(lean(wedge.apex, wedge.held))
            assert (wedge.first <= at <= wedge.last) == residual.reached
            assert wedge.last - wedge.first == pytest.approx(residual.high - residual.low)
            away = float(np.linalg.norm(wedge.held - wedge.apex))
            assert wedge.near < away < wedge.far
            seen.add(residual.reached)
    assert seen == {True, False}


def test_only_a_target_that_is_a_place_is_shaded():
    for names, shaded in (
        (("t4_l1_hip_axis",), 2), (("PT=5..20", "LL=50..60"), 0),
        (("l1_pelvic_angle=2..9",), 1), (("l1_pelvic_angle=..9",), 0),
    ):  # fmt: skip
        svg = files(made(case(flat(1), *names), [PSO]))["plan-1.svg"].decode()
        polygons = len(list(ElementTree.fromstring(svg).iter(f"{SVG}polygon")))
        assert polygons == 2 * shaded  # each stands in the legend as well
        assert sum("wanted here" in t for t, _ in texts(svg)) == shaded


def test_the_planned_spine_is_drawn_where_the_plan_says_in_the_frame_of_the_film():
    right, left = (files(ODD[name]())["plan-1.svg"].decode() for name in ("severe", "facing left"))
    assert re.sub(r"<desc.*?</desc>", "", right) == re.sub(r"<desc.*?</desc>", "", left)
    (plan, _) = ODD["severe"]().plans
    offset = next(f.number for f in plan.predicted if f.what == "spine.sagittal_vertical_axis")
    said = [t for t, _ in texts(right)]
    assert f"SVA plan {offset:+.0f} mm".replace("-", "−") in said


def test_the_strip_shows_now_planned_and_the_range_that_is_aimed_at():
    of_it = ODD["severe"]()
    svg = files(of_it)["plan-1.parameters.svg"].decode()
    said = [t for t, _ in texts(svg)]
    first = of_it.plans[0].residuals[0]
    assert f"target {first.low:.1f}° to {first.high:.1f}°" in said
    assert f"◆ plan {first.planned:.1f}°" in said and f"● {first.current:.1f}°" in " ".join(said)
    assert "T4 pelvic angle less" in " ".join(said)
    assert "pelvic incidence" not in said  # nothing changes it, and nobody aims at it


def test_what_no_plan_reaches_is_said_at_the_top():
    for_case = case(flat(1), "LL=100..101")
    limits = replace(LIMITS, grade=0)
    plans, problems = plan_search.plans(for_case, limits)
    text, _ = page(told(for_case, plans, "Searched.", problems))
    assert text.index(problems[0].says[:40]) < text.index(
        "Plans 1 to" if len(plans) > 1 else "Plan 1"
    )
    assert "closest within the limits" in text and "set by the user" in text
