"""Both sides of the limits of sums, and that every sum that items can make has its band."""

from __future__ import annotations

from itertools import product

import pytest

from endplate import evidence, rules, vocabulary
from endplate.risk import comorbidity, frailty
from endplate.risk.frailty import asd_fi
from endplate.risk.metastasis import nesms, sins
from endplate.risk.nutrition import nrs2002
from endplate.risk.points import band, category_of

from patients import facts_from, patient

SHIPPED = evidence.shipped()
BANDS = [r for r in SHIPPED.rows.values() if r.name.startswith("risk.") and ".total." in r.name]
SCORES = sorted({r.name.rpartition(".total.")[0] for r in BANDS})

# The smallest and the largest sum of each score, and the step in which it goes.
SUMS = {
    "risk.sins": (0, 18, 1),
    "risk.tokuhashi_revised": (0, 15, 1),
    "risk.tomita": (2, 10, 1),
    "risk.bauer_modified": (0, 4, 1),
    "risk.tlics": (1, 10, 1),
    "risk.tl_aosis": (0, 13, 1),
    "risk.slic": (0, 10, 1),
    "risk.mjoa": (0, 18, 1),
    "risk.mfi5": (0, 1, 1 / 5),
    "risk.mfi11": (0, 1, 1 / 11),
    "risk.asd_fi": (0, 1, 1 / 40),
    "risk.asd_fi_clinical": (0, 1, 1 / 16),
    "risk.nrs2002": (0, 7, 1),
    "risk.must": (0, 6, 1),
    "risk.gnri": (60, 120, 0.1),
    "risk.conut": (0, 12, 1),
}


def test_every_score_with_bands_is_tried():
    assert sorted(SUMS) == SCORES


@pytest.mark.parametrize("score", SCORES)
def test_every_sum_lies_in_a_band_and_bands_follow_one_another(score):
    least, most, step = SUMS[score]
    order = [r.name for r in BANDS if r.name.startswith(f"{score}.total.")]
    place = -1
    for n in range(round((most - least) / step) + 1):
        found = band(score, least + n * step, SHIPPED)
        assert found is not None
        assert place <= order.index(found.name) <= place + 1
        place = order.index(found.name)
    assert place == len(order) - 1, "a band that no sum reaches"


@pytest.mark.parametrize("row", BANDS, ids=lambda r: r.name)
def test_both_sides_of_a_band(row):
    score = row.name.rpartition(".total.")[0]
    step = 1 if SUMS[score][2] == 1 else 0.001
    inside = {"at_most": (0,), "below": (-step,), "at_least": (0,), "above": (step,)}[row.compare]
    outside = {"at_most": step, "below": 0, "at_least": -step, "above": 0}[row.compare]
    for shift in inside:
        assert band(score, row.number + shift, SHIPPED) is row
    assert band(score, row.number + outside, SHIPPED) is not row


@pytest.mark.parametrize("lesion, says", [("blastic", 0), ("mixed", 1)])
def test_a_surgeon_is_asked_from_seven_points(lesion, says):
    items = {"location": "junctional", "pain": "mechanical", "alignment": "normal",
             "vertebral_body": "none", "posterolateral": "none", "lesion": lesion}  # fmt: skip
    known = patient()
    for name, value in items.items():
        known.having(f"sins.{name}", value)
    found = sins(known.known_on(), SHIPPED)
    assert found[0].value == 6 + says
    assert len(found) == 1 + says


@pytest.mark.parametrize("primary, points", [("prostate", 0.0), ("breast", 1.0)])
def test_a_bauer_score_of_two_and_three(primary, points):
    known = patient().having("tumour.primary", primary).having("tumour.visceral_metastases", False)
    known.having("tumour.skeletal_metastases", "multiple")
    known.having("function.independent_ambulation").having("lab.albumin", 4.0)
    assert nesms.one(known.known_on(), SHIPPED).parts["bauer_points"] == points


@pytest.mark.parametrize("answered, known", [(29, False), (30, True), (31, True)])
def test_so_many_answers_make_an_index(answered, known):
    asked = [str(x["asks"]) for x in SHIPPED.row("risk.asd_fi.items").table]
    plain = [a for a in asked if a.startswith(("asd_fi.", "condition.", "person.on"))]
    dagger = {"condition.anaemia", "condition.kidney_disease", "condition.nervous_system_disorder"}
    given = dict.fromkeys([a for a in plain if a not in dagger][:answered], False)
    found = asd_fi.one(patient_with(given), SHIPPED)
    assert (found.value is not None) == known


@pytest.mark.parametrize("severity, at_risk", [("mild", False), ("moderate", True)])
def test_nrs_2002_is_at_risk_from_three_on(severity, at_risk):
    found = nrs2002.one(
        patient_with(
            {"nutrition.weight_loss": 0, "nutrition.impaired_general_condition": False,
             "nutrition.disease_severity": severity, "person.age": 70,
             "nutrition.food_intake": {"value": 100, "on": patient().known_on().on}}
        ),
        SHIPPED,
    )  # fmt: skip
    assert found.parts["at_risk"] == at_risk
    assert (found.category != "low") == at_risk


def patient_with(table):
    known = patient()
    known.facts = facts_from(table)
    return known.known_on()


@pytest.mark.parametrize(
    "narrow, wide",
    [
        ("condition.copd", "condition.copd_or_pneumonia"),
        ("condition.stroke", "condition.stroke_or_tia"),
        ("condition.myocardial_infarction", "condition.myocardial_infarction_history"),
        ("condition.diabetes_with_end_organ_damage", "condition.diabetes"),
    ],
)
def test_a_narrower_illness_answers_the_wider_item(narrow, wide):
    assert patient_with({narrow: True}).ever(wide).yes
    assert patient_with({wide: False}).ever(narrow).no
    assert patient_with({wide: True}).ever(narrow).unknown


# -- that code and data name the same -------------------------------------------------------------


@pytest.mark.parametrize(
    "row, asked",
    [
        ("risk.mfi5.items", frailty._MFI5),
        ("risk.mfi11.items", frailty._MFI11),
        ("risk.asd_fi.items", (*frailty._OWN, *frailty._ILLNESSES, "person.body_mass_index")),
        ("risk.asd_fi_clinical.items", (*frailty._CLINICAL, "person.body_mass_index")),
        ("risk.charlson.items", (*comorbidity._ALONE, *comorbidity._PAIRS)),
    ],
)
def test_a_list_of_illnesses_is_what_its_rule_reads(row, asked):
    lines = SHIPPED.row(row).table
    named = [str(x[column]) for x in lines for column in ("asks", "worse") if column in x]
    assert sorted(named) == sorted(asked)


WORDS = [
    pytest.param(rule, what, id=f"{rule.id} {what}")
    for rule in rules.find()
    if rule.id.startswith("risk.")
    for what in rule.reads
    if vocabulary.concept(what).kind == "category"
    and f"{rule.id}.points.{what.rpartition('.')[2]}" in SHIPPED.rows
]


@pytest.mark.parametrize("rule, what", WORDS)
def test_every_word_of_an_item_has_points(rule, what):
    row = SHIPPED.row(f"{rule.id}.points.{what.rpartition('.')[2]}")
    words = []
    for line in row.table:
        words += line["is"] if isinstance(line["is"], list) else [line["is"]]
    assert sorted(words) == sorted(vocabulary.concept(what).choices)


TRAUMA = {
    "risk.tlics": ("morphology", "posterior_ligamentous_complex", "neurology"),
    "risk.tl_aosis": ("morphology", "neurology", "modifier"),
}


@pytest.mark.parametrize("score", TRAUMA)
def test_a_sum_of_trauma_is_the_sum_of_its_words_and_what_is_left_out_bounds_it(score):
    names = TRAUMA[score]
    rule = next(r for r in rules.find() if r.id == score)
    prefix = score.removeprefix("risk.")
    tables = [
        [(w, x["points"]) for x in SHIPPED.row(f"{score}.points.{n}").table
         for w in (x["is"] if isinstance(x["is"], list) else [x["is"]])]
        for n in names
    ]  # fmt: skip
    for chosen in product(*tables):
        given = {f"{prefix}.{n}": w for n, (w, _) in zip(names, chosen, strict=True)}
        found = rule.one(patient_with(given), SHIPPED)
        assert found.value == sum(p for _, p in chosen)
        assert found.category == category_of(band(score, found.value, SHIPPED))
        rest = rule.one(patient_with(dict(list(given.items())[1:])), SHIPPED)
        assert rest.value is None
        assert rest.parts["lowest_possible"] <= found.value <= rest.parts["highest_possible"]
