"""What the answers on record say: bands, readings, stated scores, change, and alerts."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from endplate import evidence, rules, vocabulary
from endplate.facts import Fact
from endplate.findings import Recommendation, Stage, Status, Urgency
from endplate.questionnaires.change import Measured, change
from endplate.questionnaires.instrument import instruments, key
from endplate.questionnaires.questions import band
from endplate.record import PatientRecord

from patients import ON, fact

SHIPPED = evidence.shipped()
IDS = list(instruments())
BANDS = [r for r in SHIPPED.rows.values() if ".bands" in r.name and r.name.startswith("questionn")]
CHANGES = [r for r in SHIPPED.rows.values() if r.name.startswith("questionnaires.") and
           ".change." in r.name]  # fmt: skip
EARLIER = ON - timedelta(days=365)


def form(id, text, on=ON, source="form"):
    found = []
    for number, answer in enumerate(text.split(","), 1):
        item = vocabulary.concept(f"questionnaire.{id}.item{number}")
        if answer:
            value = float(answer) if item.kind == "number" else answer == "1"
            found.append(fact(item.id, value, on=on, source=source))
    return found


def asked(id, *facts, on=ON, grounds=SHIPPED):
    rule = next(r for r in rules.find() if r.scores == id)
    return {f.about: f for f in rule(PatientRecord.of(facts).known_on(on), grounds)}


# -- the list and the evidence --------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
def test_an_instrument_says_how_it_is_scored_and_what_may_be_shown(id):
    one = instruments()[id]
    assert one.licence in ("score_only", "text_may_ship") and one.licence_source
    assert f"questionnaires.{id}.scoring" in SHIPPED.rows
    assert set(key(id).readings) == {
        r.name.rpartition(".")[2] for r in SHIPPED.under(f"questionnaires.{id}.missing.")
    }


# Of these the text may ship; everything else is scored by item numbers alone.
TEXT_MAY_SHIP = {"rmdq", "phq9", "phq2", "gad7", "gad2", "peg", "nrs_pain"}


def test_the_licence_state_of_every_instrument():
    assert {i.id for i in instruments().values() if i.licence == "text_may_ship"} == TEXT_MAY_SHIP


@pytest.mark.parametrize("id", IDS)
def test_items_have_no_wording(id):
    title = vocabulary.concept(instruments()[id].items[0]).name.partition(", item")[0]
    for number, item in enumerate(instruments()[id].items, 1):
        assert vocabulary.concept(item).name == f"{title}, item {number}"


@pytest.mark.parametrize("row", BANDS, ids=lambda r: r.name)
def test_every_band_is_met_on_its_side_of_its_limit_and_not_beyond(row):
    scale = row.name.rpartition(".bands")[2].lstrip(".") or "total"
    own = str(row.table[0].get("scale", scale))
    for line, after in zip(row.table, row.table[1:], strict=False):
        if str(line.get("scale", own)) != own:
            continue  # STarT Back's second line is of another scale: its published cases
        kind = "at_most" if "at_most" in line else "below"
        limit, beside = line[kind], 0.01
        scales = {own: limit, "total": limit, "psychosocial": 0.0}
        inside = limit if kind == "at_most" else limit - beside
        outside = limit + beside if kind == "at_most" else limit
        assert band(row, {**scales, own: inside}, scale) == line["name"]
        assert band(row, {**scales, own: outside}, scale) == after["name"]
    assert "at_most" not in row.table[-1] and "below" not in row.table[-1], (
        "the last takes the rest"
    )
    assert band(row, {own: None, "total": None}, scale) is None


@pytest.mark.parametrize("row", CHANGES, ids=lambda r: r.name)
def test_every_size_of_change_and_state_is_tried_on_both_sides(row):
    id = row.name.split(".")[1]
    lower = key(id).better == "lower"
    sign = -1 if lower else 1
    for line in row.table:
        scale = line.get("scale", "total")
        assert scale == "total" or scale in key(id).scale
        before = 40.0
        for over, wanted in ((0.0, True), (-0.001, False)):
            if line["kind"] == "state":
                limit = line.get("at_most", line.get("at_least"))
                after = limit - over if "at_most" in line else limit + over
            elif line["kind"] == "absolute":
                after = before + sign * (line["by"] + over)
            else:
                after = before + sign * before * (line["by"] + over) / 100
            one, other = (Measured(scales={scale: v}, on=None) for v in (before, after))
            found = change(id, "X", one, other, SHIPPED)
            assert found.parts[line["name"]] is wanted, line["name"]


def test_names_of_changes_are_told_apart_and_one_at_most_is_the_default():
    for id in IDS:
        lines = [ln for r in SHIPPED.under(f"questionnaires.{id}.change.") for ln in r.table]
        names = [ln["name"] for ln in lines]
        assert len(names) == len(set(names)), id
        assert sum(bool(ln.get("default")) for ln in lines) <= 1, id


# -- readings of the missing-item rule ------------------------------------------------------------


def test_readings_stand_side_by_side_where_there_are_blanks():
    whole = asked("odi", *form("odi", "2,2,2,2,2,2,2,2,2,2"))[""]
    assert whole.positions == ()
    two = asked("odi", *form("odi", "2,2,2,2,2,2,2,,2,"))[""]
    assert two.status is Status.UNKNOWN and two.value is None
    assert {p.holder: p.says for p in two.positions} == {"nine of ten": "no score", "any": "40"}
    assert [p.holder for p in two.positions if p.default] == ["nine of ten"]


def test_a_clinic_may_choose_the_other_reading(tmp_path):
    name = "questionnaires.odi.missing"
    path = tmp_path / "clinic.toml"
    path.write_text(f'[choice."{name}"]\nuse = "{name}.any"\nreason = "as our registry"\n')
    grounds = evidence.with_clinic_file(SHIPPED, path)
    found = asked("odi", *form("odi", "2,2,2,2,2,2,2,,2,"), grounds=grounds)[""]
    assert found.value == 40 and found.overrides == (f"{name}.any",)


def test_blanks_of_the_roland_morris_are_shown_as_assumed():
    found = asked("rmdq", *form("rmdq", "1,1,0"))[""]
    assert found.value == 2 and len(found.assumed) == len(found.missing) == 21


# -- forms and stated scores ----------------------------------------------------------------------


def test_items_of_two_days_are_never_mixed():
    old = form("odi", "5,5,5,5,5,5,5,5,5,5", EARLIER, "old")
    found = asked("odi", *old, *form("odi", "0,0,0"))[""]
    assert found.value is None and len(found.missing) == 7


def test_items_of_two_forms_of_one_day_are_never_mixed():
    found = asked("peg", *form("peg", "1,1,", source="a"), *form("peg", ",,9", source="b"))[""]
    assert found.value is None


def test_a_stated_score_is_classed_and_items_of_the_day_come_before_it():
    stated = fact("questionnaire.phq9.score", 12.0, on=ON)
    found = asked("phq9", stated)[""]
    assert (found.value, found.category, found.parts["stated"]) == (12, "moderate", True)
    both = asked("phq9", stated, *form("phq9", "0,0,0,0,0,0,0,0,0"))[""]
    assert both.value == 0


def test_the_t_score_of_an_adaptive_test_is_taken_as_it_is():
    id = "promis_physical_function_4a"
    found = asked(id, fact(f"questionnaire.{id}.score", 38.5, on=ON))[""]
    assert (found.value, found.category) == (38.5, "moderate")


@pytest.mark.parametrize("id", ["dn4", "start_back", "lanss", "pain_detect", "ort_oud"])
def test_a_class_without_all_answers_is_one_that_no_blank_can_change(id):
    items = instruments()[id].items
    ends = []
    for at in (0, 1):
        facts = []
        for item in items[:-1]:
            concept = vocabulary.concept(item)
            value = concept.plausible[at] if concept.plausible else bool(at)
            facts.append(fact(item, value, on=ON))
        partly = asked(id, *facts)[""]
        assert partly.value is None and partly.missing == (items[-1],)
        ends.append(partly.category)
    assert None not in ends and ends[0] != ends[1]


def test_a_class_that_a_blank_could_change_is_not_said():
    found = asked("dn4", *form("dn4", "1,1,1,0,0,0,0,0,0,"))[""]
    assert found.category is None and found.parts["interview_class"] == "neuropathic"


# -- change ---------------------------------------------------------------------------------------


def test_change_is_absolute_relative_and_of_state():
    before = form("odi", "3,3,3,3,2,2,2,2,2,2", EARLIER, "then")
    found = asked("odi", *before, *form("odi", "1,1,1,1,1,1,1,1,1,1"))["change"]
    assert (found.value, found.category) == (-28, "improved")
    parts = found.parts
    assert parts["before"] == 48 and parts["after"] == 20
    assert parts["relative_percent"] == pytest.approx(-58.333333)
    assert parts["success_disc_22"] is True and parts["pass_22"] is True
    assert parts["pass_mis_tlif_6_months"] is False
    assert any(p.default for p in found.positions)


def test_a_large_gain_can_leave_somebody_badly_off():
    before = form("odi", "5,5,5,5,5,5,5,5,5,5", EARLIER, "then")
    parts = asked("odi", *before, *form("odi", "3,3,3,3,3,3,3,3,3,3"))["change"].parts
    assert parts["mcid_12.8"] is True and parts["pass_22"] is False


def test_worse_is_said_of_the_same_size_and_a_higher_score_is_better_where_it_is():
    odi = [Measured(scales={"total": v}, on=None) for v in (20.0, 40.0)]
    assert change("odi", "X", *odi, SHIPPED).category == "worse"
    function = [Measured(scales={"total": v}, on=None) for v in (30.0, 36.0)]
    got = change("promis_physical_function_4a", "X", *function, SHIPPED)
    assert got.category == "improved" and got.parts["relative_percent"] == 20


def test_from_zero_there_is_no_percentage():
    one, other = (Measured(scales={"total": v}, on=None) for v in (0.0, 30.0))
    parts = change("odi", "X", one, other, SHIPPED).parts
    assert parts["relative_percent"] is None and parts["success_stenosis_30_percent"] is None


def test_without_an_earlier_score_there_is_no_change():
    assert "change" not in asked("odi", *form("odi", "1,1,1,1,1,1,1,1,1,1"))
    old = form("odi", "5,5", EARLIER, "then")
    assert "change" not in asked("odi", *old, *form("odi", "1,1,1,1,1,1,1,1,1,1"))


def test_scales_without_a_total_change_each():
    before = form("fabq", "0,6,6,6,6,6,6,0,6,6,6,6,0,0,6,0", EARLIER, "then")
    found = asked("fabq", *before, *form("fabq", "0,3,3,3,3,3,3,0,3,3,3,3,0,0,3,0"))["change"]
    assert found.value is None and found.parts["work_absolute"] == -21


# -- the alert ------------------------------------------------------------------------------------


@pytest.mark.parametrize("days, urgency", [(0, Urgency.EMERGENCY), (90, Urgency.EMERGENCY),
                                           (91, Urgency.SOON)])  # fmt: skip
def test_an_alert_of_item_9_says_how_soon(days, urgency):
    found = asked("phq9", *form("phq9", "0,0,0,0,0,0,0,0,2", ON - timedelta(days=days)))["safety"]
    assert isinstance(found, Recommendation)
    assert (found.urgency, found.stage) == (urgency, Stage.RED_FLAGS)


def test_the_newest_answer_to_item_9_counts_also_where_a_later_form_leaves_it_blank():
    old = form("phq9", "0,0,0,0,0,0,0,0,1", ON - timedelta(days=10), "then")
    assert "safety" in asked("phq9", *old, *form("phq9", "0,0,0,0,0,0,0,0,"))
    assert "safety" not in asked("phq9", *old, *form("phq9", "0,0,0,0,0,0,0,0,0"))


def test_nothing_is_said_without_answers():
    assert all(asked(id) == {} for id in IDS)


def test_every_finding_rests_on_rows_and_names_concepts():
    for id in IDS:
        items = instruments()[id].items
        lowest = []
        for item in items:
            concept = vocabulary.concept(item)
            lowest.append(fact(item, concept.plausible[0] if concept.plausible else False, on=ON))
        for facts in (lowest, lowest[:1], lowest[1:]):
            for found in asked(id, *facts).values():
                assert found.rests_on and found.says.endswith(".") and "_" not in found.says
                assert " None" not in found.says and "nan" not in found.says
                assert set(found.missing) <= set(vocabulary.concepts())


def test_a_form_without_a_date_is_scored():
    undated = [Fact(what=f"questionnaire.peg.item{n}", value=3.0, unit="1", source="x")
               for n in (1, 2, 3)]  # fmt: skip
    assert asked("peg", *undated, on=date(2026, 1, 1))[""].value == 3


@pytest.mark.parametrize("value", [2.5, -1.0, 6.0, 1e300])
def test_an_answer_that_the_form_has_not_is_no_answer(value):
    facts = [*form("odi", "1,1,1,1,1,1,1,1,1"), fact("questionnaire.odi.item10", value, on=ON)]
    found = asked("odi", *facts)[""]
    assert found.missing == ("questionnaire.odi.item10",) and found.value == 20


def test_a_scale_that_is_whole_is_not_prorated_for_another_that_is_blank():
    assert asked("zcq", *form("zcq", "3,3,3,3,3,3,3,2,2,2,2,2"))[""].parts["prorated"] is False
    assert asked("zcq", *form("zcq", "3,3,3,3,3,3,,2,2,2,2,2"))[""].parts["prorated"] is True


def test_a_total_of_the_srs_needs_as_many_answers_as_its_domains():
    assert asked("srs22r", *form("srs22r", ",".join("3" * 12)))[""].value == 3
    assert asked("srs22r", *form("srs22r", ",".join("3" * 11)))[""].value is None
