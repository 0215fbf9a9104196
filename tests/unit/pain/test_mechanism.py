"""Grades and mechanism: unknown answers against every way in which they could turn out."""

from __future__ import annotations

from itertools import product
from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endplate import evidence
from endplate.findings import Status
from endplate.pain.mechanism import (
    NEUPSIG,
    central_sensitisation,
    iasp_nociplastic,
    neupsig,
    pain_mechanism,
)

from patients import facts_from, patient

SHIPPED = evidence.shipped()
P = "pain.nociplastic."
GATE = ("pain.chronic", P + "regional", P + "entirely_nociceptive", P + "entirely_neuropathic")
LISTS = {
    P + "history_of_hypersensitivity": ("history_touch", "history_movement", "history_pressure",
                                        "history_heat_or_cold"),
    P + "comorbidity": ("sound_light_or_odour", "sleep_disturbance", "fatigue",
                        "cognitive_problems"),
    P + "evoked_hypersensitivity": ("static_allodynia", "dynamic_allodynia",
                                    "heat_or_cold_allodynia", "after_sensation"),
}  # fmt: skip
SIGNS = tuple(P + name for names in LISTS.values() for name in names)
# The questions of the mechanism, each list of signs asked as a whole.
ASKED = (*NEUPSIG, *GATE, *LISTS)
# Where the name of an input and the concept that is missing differ.
ASKS = {"pain.chronic": "pain.duration"}

three = st.sampled_from([True, False, None])


def said(rule, answers):
    known = {what: a for what, a in answers.items() if a is not None}
    made = patient()
    for one in facts_from(known):
        made.facts.append(one)
    found = rule(made.known_on(), SHIPPED)
    return found[0] if found else None


def completions(answers):
    """Every set of answers without an unknown one."""
    open_ones = [what for what, a in answers.items() if a is None]
    for way in product((True, False), repeat=len(open_ones)):
        yield answers | dict(zip(open_ones, way, strict=True))


def by_hand(a, b, c, d):
    # The published pseudocode, written out a second time.
    if not (a and b):
        return "unlikely"
    if c and d:
        return "definite"
    return "probable" if c or d else "possible"


@pytest.mark.parametrize("answers", list(product((True, False, None), repeat=4)))
def test_neupsig_equals_every_completion(answers):
    found = said(neupsig, dict(zip(NEUPSIG, answers, strict=True)))
    if all(a is None for a in answers):
        assert found is None
        return
    ways = [by_hand(*way) for way in product(*((True, False) if a is None else (a,)
                                               for a in answers))]  # fmt: skip
    if len(set(ways)) == 1:
        assert (found.category, found.status, found.missing) == (ways[0], Status.ANSWERED, ())
        return
    # What is not known can raise a grade that is reached; "unlikely" is none while it can rise.
    order = ["unlikely", "possible", "probable", "definite"]
    least = min(ways, key=order.index)
    reached = None if least == "unlikely" else least
    assert found.category == reached
    assert found.status is (Status.ANSWERED if reached else Status.UNKNOWN)
    assert set(found.parts["still_possible"].split(" or ")) == set(ways)
    assert found.parts["lowest_possible"] == min(ways, key=order.index)
    assert found.parts["highest_possible"] == max(ways, key=order.index)
    # What is missing is what some completion turns on.
    turning = set()
    for n, answer in enumerate(answers):
        if answer is None:
            for way in product(*((True, False) if a is None else (a,) for a in answers)):
                other = (*way[:n], not way[n], *way[n + 1 :])
                if by_hand(*way) != by_hand(*other):
                    turning.add(NEUPSIG[n])
    assert set(found.missing) == turning


def nociplastic_by_hand(way):
    gate = way[GATE[0]] and way[GATE[1]] and not way[GATE[2]] and not way[GATE[3]]
    lists = [any(way[P + name] for name in names) for names in LISTS.values()]
    if not gate or not lists[2]:
        return "not_met"
    return "probable" if lists[0] and lists[1] else "possible"


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys((*GATE, *SIGNS), three)))
def test_nociplastic_equals_every_completion_of_its_sixteen_items(answers):
    # At most ten unknown ones, so that every completion can be tried.
    open_ones = [what for what, a in answers.items() if a is None]
    answers |= dict.fromkeys(open_ones[10:], False)
    found = said(iasp_nociplastic, answers)
    if found is None:
        assert all(answers[what] is None for what in answers if what != "pain.chronic")
        return
    ways = {nociplastic_by_hand(way) for way in completions(answers)}
    if len(ways) == 1:
        assert found.category == ways.pop() and not found.missing
    else:
        assert found.category == (None if "not_met" in ways else "possible")
        assert set(found.parts["still_possible"].split(" or ")) == ways
        # A list of which nothing is known is asked for as a whole.
        allowed = {ASKS.get(what, what) for what, a in answers.items() if a is None} | set(LISTS)
        assert found.missing and set(found.missing) <= allowed


def mechanism_by_hand(way, tissue):
    graded = by_hand(*(way[what] for what in NEUPSIG))
    gate = way[GATE[0]] and way[GATE[1]] and not way[GATE[2]] and not way[GATE[3]]
    lists = list(LISTS)
    nociplastic = gate and way[lists[2]]
    applies = [graded != "unlikely", bool(nociplastic), tissue]
    if sum(applies) > 1:
        return "mixed"
    return ["neuropathic", "nociplastic", "nociceptive"][applies.index(True)] if any(
        applies) else "nociceptive"  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(ASKED, three)), st.sampled_from([True, None]))
def test_mechanism_and_what_decides_most_equal_every_completion(answers, tissue):
    found = said(pain_mechanism, answers | {"pain.nociceptive.contribution": tissue})
    if found is None:
        assert tissue is None
        assert all(answers[what] is None for what in ASKED if what != "pain.chronic")
        return
    ways = [(way, mechanism_by_hand(way, bool(tissue))) for way in completions(answers)]
    left = {mechanism for _, mechanism in ways}
    if len(left) == 1:
        assert found.category == left.pop() and found.status is Status.ANSWERED
        return
    assert found.category == "undetermined" and found.status is Status.UNKNOWN
    assert set(found.parts["still_possible"].split(" or ")) == left

    def bits(some):
        counts = [some.count(m) / len(some) for m in set(some)]
        return -sum(p * log2(p) for p in counts)

    before = bits([m for _, m in ways])
    closed = {}
    for what, answer in answers.items():
        if answer is None:
            halves = ([m for way, m in ways if way[what] is a] for a in (True, False))
            closed[ASKS.get(what, what)] = 1 - sum(bits(half) for half in halves) / 2 / before
    assert closed[found.parts["decides_most"]] == pytest.approx(max(closed.values()))
    share = found.parts["deciding"].partition(" %)")[0].rpartition("(")[2]
    assert float(share) == pytest.approx(100 * max(closed.values()), abs=0.5 + 1e-6)
    decisive = {what for what, c in closed.items() if c > 1e-9}
    assert decisive <= set(found.missing)


@pytest.mark.parametrize("answers", list(product((True, False, None), repeat=3)))
def test_central_sensitisation_equals_every_completion(answers):
    out, diffuse, flagged = answers
    known = {
        "pain.sensitisation.disproportionate": out,
        "pain.sensitisation.diffuse_distribution": diffuse,
        "questionnaire.csi.score": None if flagged is None else 40 if flagged else 39,
    }
    found = said(central_sensitisation, known)
    if out is None and diffuse is None:
        assert found is None, "the inventory alone says nothing"
        return
    ways = {
        "central" if a and (b or c) else "not_central"
        for a, b, c in product(*((True, False) if x is None else (x,) for x in answers))
    }
    assert found.category == (ways.pop() if len(ways) == 1 else None)


def test_neuropathic_pain_says_that_tissue_damage_would_make_it_mixed():
    answers = dict(zip(NEUPSIG, (True,) * 4, strict=True)) | {"pain.chronic": False}
    found = said(pain_mechanism, answers)
    assert found.category == "neuropathic"
    assert "pain.nociceptive.contribution" in found.missing
    denied = said(pain_mechanism, answers | {"pain.nociceptive.contribution": False})
    assert "pain.nociceptive.contribution" not in denied.missing


def test_screening_supports_and_never_decides():
    answers = dict(zip(NEUPSIG, (False, None, None, None), strict=True)) | {"pain.chronic": False}
    plain = said(pain_mechanism, answers)
    screened = said(pain_mechanism, answers | {"questionnaire.dn4.score": 9,
                                               "questionnaire.lanss.score": 3,
                                               "questionnaire.pain_detect.score": 15})  # fmt: skip
    assert plain.category == screened.category == "nociceptive"
    assert "DN4 9 (supports only)" in screened.parts["for_neuropathic"]
    assert "LANSS 3" in screened.parts["against_neuropathic"]
    assert "painDETECT" not in str(screened.parts), "an unclear score speaks for nothing"


def test_it_is_never_a_diagnosis():
    found = said(pain_mechanism, dict(zip(NEUPSIG, (True,) * 4, strict=True)))
    assert any("never a diagnosis" in limit for limit in found.limits)


@pytest.mark.parametrize(
    "more, words",
    [
        ({P + "entirely_nociceptive": True, P + "entirely_neuropathic": True}, "both"),
        ({NEUPSIG[0]: False, P + "entirely_neuropathic": True}, "graded unlikely"),
        ({P + "entirely_nociceptive": True}, "graded definite"),
    ],
)
def test_contradictions_are_named(more, words):
    found = said(pain_mechanism, dict(zip(NEUPSIG, (True,) * 4, strict=True)) | more)
    assert words in found.parts["contradiction"]
