"""Every cut-off of the rooms is exercised on both sides, and every rule has an outside case."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from endplate import evidence, rules

from published.cases import tables

SHIPPED = evidence.shipped()
ROOMS = ("alignment.", "bone.", "pain.", "recovery.", "risk.")
CUT_OFFS = [r.name for r in SHIPPED.rows.values() if r.compare and r.name.startswith(ROOMS)]
NAMED = {b["row"] for t in tables() for b in t.boundaries}

# Cut-offs that no single fact can be held against in a case table, each with the reason and the
# place where both its sides are tried instead.
ELSEWHERE = {
    **{
        f"alignment.gap.total.{name}_disproportioned": "a sum: tests/unit/alignment/test_scores.py"
        for name in ("moderately", "severely")
    },
    **{
        f"alignment.{name}": "a grade or stage is a word: tests/unit/alignment/test_classes.py"
        for name in (
            "maturity.risser_immature",
            "maturity.risser_mature",
            "maturity.sanders_immature",
            "maturity.sanders_mature",
            "brace_study.risser",
            "brace_weaning.risser",
            "sitoula.stages",
        )
    },
    "alignment.brace_study.from_age": "the age of the rule: tests/unit/alignment/test_classes.py",
    **{
        f"alignment.plan.full_balance.tilt_{name}": "of landmarks: "
        "tests/unit/alignment/test_plan_actions.py"
        for name in ("from", "above")
    },
    "alignment.least_measured_slip": "no finding below: tests/unit/alignment/test_scores.py",
    **{
        name: "of a sum: tests/unit/risk/test_bands.py"
        for name in CUT_OFFS
        if name.startswith("risk.") and ".total." in name
    },
    **{
        f"risk.{name}": "of a sum or a count: tests/unit/risk/test_bands.py"
        for name in (
            "asd_fi.least_answered",
            "nesms.bauer_from",
            "nrs2002.at_risk",
            "sins.consult",
        )
    },
    "bone.dxa.vertebra_difference": "a difference of two facts: tests/unit/bone/test_both_sides.py",
    "bone.dxa.vertebrae_needed": "a count of facts: tests/unit/bone/test_both_sides.py",
    "bone.ost.women": "a score made of two facts: tests/unit/bone/test_both_sides.py",
    "bone.ost.men": "a score made of two facts: tests/unit/bone/test_both_sides.py",
    "bone.fracture_index.act_without_density": "a sum: tests/unit/bone/test_both_sides.py",
    "bone.fracture_index.act_with_density": "a sum: tests/unit/bone/test_both_sides.py",
    "bone.tbs.original.degraded": "only by a clinic's choice: tests/unit/bone/test_both_sides.py",
    "bone.tbs.original.normal": "only by a clinic's choice: tests/unit/bone/test_both_sides.py",
    "bone.tbs.review.degraded": "shown as a position: tests/unit/bone/test_both_sides.py",
    **{
        f"bone.vbq.published.{name}": "shown as a position: tests/unit/bone/test_both_sides.py"
        for name in ("for_osteoporosis", "for_low_density", "for_screening", "lowest_in_literature")
    },
    "bone.vitamin_d.target_to.review": "by a clinic's choice: tests/unit/bone/test_both_sides.py",
    "bone.vitamin_d.target_from.review": "by a clinic's choice: tests/unit/bone/test_both_sides.py",
    "pain.red_flag.fracture_likely": "a count of flags: tests/unit/pain/test_red_flags.py",
    "bone.anabolic.break_days": "between two facts: tests/unit/bone/test_both_sides.py",
    "pain.mechanism_model.most_missing": "by a model: tests/unit/pain/test_mechanism_model.py",
}


@pytest.mark.parametrize("name", CUT_OFFS)
def test_a_cut_off_is_tried_on_both_sides(name):
    assert name in NAMED or name in ELSEWHERE


def test_nothing_is_excused_that_has_a_boundary_or_is_no_cut_off():
    assert [n for n in ELSEWHERE if n in NAMED or n not in CUT_OFFS] == []


def test_a_boundary_names_a_cut_off_of_the_evidence():
    assert sorted(n for n in NAMED if not SHIPPED.rows[n].compare) == []


@pytest.mark.parametrize(
    "step, row", [(b["step"], b["row"]) for t in tables() for b in t.boundaries]
)
def test_a_step_is_one_of_the_digits_that_are_compared(step, row):
    # A smaller step would be rounded away; ages and counts have no rounding of their own.
    decimals = SHIPPED.rows[row].decimals
    assert decimals is None or round(step * 10**decimals, 6) >= 1


NO_CASE = tomllib.loads(
    (files("endplate.evidence") / "no_published_case.toml").read_text(encoding="utf-8")
)["no_published_case"]


@pytest.mark.parametrize("rule", [pytest.param(r, id=r.id) for r in rules.find()])
def test_a_rule_has_a_case_that_is_not_invented(rule):
    kinds = {case["kind"] for t in tables() if t.rule == rule.id for case in t.cases}
    assert (kinds - {"invented"}) or rule.id in NO_CASE, "only invented cases, or none"


def test_the_list_of_rules_without_a_case_is_current_and_says_why():
    known = {r.id for r in rules.find()}
    with_case = {t.rule for t in tables() if {c["kind"] for c in t.cases} - {"invented"}}
    for id, line in NO_CASE.items():
        assert id in known and id not in with_case
        assert line["reason"].strip() and line["looked_in"].strip()


CASES = [pytest.param(case, id=f"{t.rule}: {case['title']}") for t in tables() for case in t.cases]


@pytest.mark.parametrize("case", CASES)
def test_a_case_says_where_it_comes_from(case):
    assert case["kind"] in ("quoted", "derived", "independent", "invented")
    cites = case["cites"] if isinstance(case["cites"], list) else [case["cites"]]
    assert set(cites) <= set(SHIPPED.references)
    assert case["where"]
    assert case["kind"] not in ("derived", "independent") or case["how"], "by hand: say how"


def test_no_two_cases_of_a_rule_have_one_title():
    titles = [(t.rule, c["title"]) for t in tables() for c in t.cases]
    assert len(titles) == len(set(titles))
