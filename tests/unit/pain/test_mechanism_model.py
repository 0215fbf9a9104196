"""A clinic's model of the mechanism: what it says with all, some and too few criteria known."""

from __future__ import annotations

from datetime import date
from itertools import product
from math import exp

import pytest

from endplate import evidence
from endplate.evidence.model import (
    Calibration,
    Data,
    Estimate,
    Model,
    Predictor,
    Validation,
)
from endplate.facts import InputProblem
from endplate.findings import Stage, Status
from endplate.pain.mechanism_model import mechanism_model
from endplate.plan.care_plan import findings_of
from endplate.registry.model_file import text_of

from patients import ON, fact, patient

NAMES = ("localised", "dermatomal", "widespread", "constant", "allodynia")
# Made numbers, of no people: one criterion for each class, and two that lean.
WEIGHTS = {
    "localised": (-1.0, 2.0, -1.0), "dermatomal": (-1.0, -1.0, 2.0),
    "widespread": (2.0, -1.0, -1.0), "constant": (0.3, -0.3, 0.0), "allodynia": (0.2, -0.2, 0.0),
}  # fmt: skip
CLASSES = ("central", "nociceptive", "peripheral")
FIGURE = Estimate(value=0.9, low=0.85, high=0.93)


def made(names=NAMES):
    return Model(
        title="made", version="3", trained_on=date(2026, 5, 1), made_with="by hand",
        outcome="group", classes=CLASSES, intercepts=(0.0, 0.1, 0.0), penalty=1.0,
        temperature=1.0, penalties_tried=(1.0,),
        data=Data(
            describes="nobody", file="-", sha256="-", rows=300, blanks=0,
            classes=dict.fromkeys(CLASSES, 100),
        ),
        validation=Validation(
            how="made", rows=300, filled=0, accuracy=FIGURE, auc=FIGURE, brier=FIGURE,
            auc_by_class=dict.fromkeys(CLASSES, 0.9),
            calibration=dict.fromkeys(CLASSES, Calibration(intercept=0.0, slope=1.0)),
            confusion=((90, 5, 5),) * 3, majority=0.33, brier_of_shares=0.67,
        ),
        predictor=tuple(
            Predictor(
                concept=f"pain.criterion.{n}", column=n, mean=0.5, scale=0.5, fill=0.0,
                coefficients=WEIGHTS[n],
            )
            for n in names
        ),
    )  # fmt: skip


@pytest.fixture
def grounds(tmp_path):
    return supplied(tmp_path, text_of(made()))


def supplied(folder, text, more=""):
    (folder / "mechanism.toml").write_text(text, encoding="utf-8")
    clinic = folder / "clinic.toml"
    clinic.write_text(
        'clinic = "Pain clinic"\n[model]\n"pain.mechanism_model" = '
        '{ file = "mechanism.toml", reason = "our own people" ' + more + "}\n",
        encoding="utf-8",
    )
    return evidence.with_clinic_file(evidence.shipped(), clinic)


def person(**criteria):
    known = patient()
    for name, value in criteria.items():
        known.having(f"pain.criterion.{name}", value)
    return known


def by_hand(answers):
    """The probabilities, written out for one person."""
    sums = [0.0, 0.1, 0.0]
    for name, is_so in answers.items():
        for k in range(3):
            sums[k] += (1.0 if is_so else -1.0) * WEIGHTS[name][k]
    raised = [exp(s) for s in sums]
    return [r / sum(raised) for r in raised]


WHOLE = dict(zip(NAMES, (True, False, False, False, True), strict=True))


@pytest.mark.parametrize("answers", list(product((True, False), repeat=5)))
def test_all_known_gives_the_probabilities_of_the_file(grounds, answers):
    answers = dict(zip(NAMES, answers, strict=True))
    found = mechanism_model.one(person(**answers).known_on(), grounds)
    expected = by_hand(answers)
    assert found.status is Status.ANSWERED and not found.missing
    assert [found.parts[c] for c in CLASSES] == pytest.approx(expected, abs=5e-5)
    assert found.category == CLASSES[expected.index(max(expected))]
    assert found.value == pytest.approx(max(expected), abs=5e-5) and found.unit == "1"


def test_it_says_what_it_is_and_how_well_it_does(grounds):
    found = mechanism_model.one(person(**WHOLE).known_on(), grounds)
    assert found.says.startswith("Research, not for diagnosis")
    assert "0.90 (0.85 to 0.93)" in found.says and "300 people" in found.says
    assert any("diagnosis" in limit for limit in found.limits)
    assert found.parts["model_accuracy"] == 0.9 and found.parts["model_version"] == "3"
    assert found.parts["model_calibration_slope_central"] == 1.0
    assert not found.verified and found.overrides == ("pain.mechanism_model",)
    assert found.stage is Stage.BACKGROUND and len(found.because) == 5


@pytest.mark.parametrize("gaps", [("allodynia",), ("constant", "allodynia"), NAMES[2:], NAMES[:3]])
def test_what_is_unknown_is_tried_both_ways_and_never_no(grounds, gaps):
    known = {n: v for n, v in WHOLE.items() if n not in gaps}
    found = mechanism_model.one(person(**known).known_on(), grounds)
    tried = [
        by_hand(known | dict(zip(gaps, more, strict=True)))
        for more in product((True, False), repeat=len(gaps))
    ]
    for k, name in enumerate(CLASSES):
        assert found.parts[name] is None
        assert found.parts[f"{name}_least"] == pytest.approx(min(t[k] for t in tried), abs=5e-5)
        assert found.parts[f"{name}_most"] == pytest.approx(max(t[k] for t in tried), abs=5e-5)
    leading = {t.index(max(t)) for t in tried}
    assert found.category == (CLASSES[leading.pop()] if len(leading) == 1 else None)
    assert (found.status is Status.UNKNOWN) == (found.category is None)
    assert found.value is None
    assert set(found.missing) == {f"pain.criterion.{n}" for n in gaps}


def test_the_likeliest_is_open_where_an_unknown_decides_it(grounds):
    known = {n: v for n, v in WHOLE.items() if n != "localised"}
    known |= {"widespread": True, "constant": True}
    found = mechanism_model.one(person(**known).known_on(), grounds)
    assert found.category == "central"  # 2.5 against 1.6 at least
    known = {n: v for n, v in WHOLE.items() if n not in ("localised", "dermatomal")}
    found = mechanism_model.one(person(**known).known_on(), grounds)
    assert found.category is None and "even the likeliest is open" in found.says


@pytest.mark.parametrize("unknown, answers", [(3, True), (4, False)])
def test_with_more_than_three_unknown_there_is_no_answer(grounds, unknown, answers):
    assert evidence.shipped().row("pain.mechanism_model.most_missing").number == 3
    known = dict(list(WHOLE.items())[: 5 - unknown])
    found = mechanism_model.one(person(**known).known_on(), grounds)
    assert ("central_least" in found.parts) is answers
    assert len(found.missing) == unknown
    if not answers:
        assert found.status is Status.UNKNOWN and "4 of its 5" in found.says


def test_an_old_examination_does_not_count(grounds):
    known = person(**{n: v for n, v in WHOLE.items() if n != "constant"})
    known.facts.append(fact("pain.criterion.constant", False, on=date(2025, 6, 1)))
    assert mechanism_model.one(known.known_on(), grounds).missing == ("pain.criterion.constant",)


def test_without_a_model_or_without_criteria_there_is_no_answer(grounds):
    without = mechanism_model.one(person(**WHOLE).known_on(), evidence.shipped())
    assert without.status is Status.NOT_APPLICABLE and without.category is None
    assert not [p for p in without.parts if p in CLASSES]
    assert mechanism_model(patient().woman(60).known_on(), grounds) == ()


def test_it_stands_in_the_plan_and_shows_as_the_clinics_own(grounds):
    found = findings_of(person(**WHOLE).record, ON, grounds)
    (only,) = [f for f in found if f.rule == "pain.mechanism_model"]
    assert only.category == "nociceptive"
    assert grounds.overrides[0].shipped == "no model"


def test_an_emergency_comes_first(grounds):
    known = person(**WHOLE).having("pain.red_flag.saddle_sensory_change")
    found = mechanism_model.one(known.known_on(), grounds)
    assert found.status is Status.NOT_APPLICABLE and found.stage is Stage.RED_FLAGS
    assert found.category is None and found.parts["held_back_by"] == "cauda_equina"
    plan = findings_of(known.record, ON, grounds)
    assert not [f for f in plan if f.rule == "pain.mechanism_model"]


def test_a_clinic_file_that_names_no_usable_model_is_refused(tmp_path):
    text = text_of(made())
    with pytest.raises(InputProblem, match="cannot be used as a model"):
        supplied(tmp_path, "title = 3")
    with pytest.raises(InputProblem, match="'version'"):
        supplied(tmp_path, text, ", version = 3")
    for other in ("person.smoker", "pain.criterion.localized", "Q8"):
        with pytest.raises(InputProblem, match=r"may read pain\.criterion\.\* alone") as problem:
            supplied(tmp_path, text.replace("pain.criterion.localised", other))
        assert other in str(problem.value)
    (tmp_path / "mechanism.toml").unlink()
    with pytest.raises(InputProblem, match="cannot be read beside it"):
        evidence.with_clinic_file(evidence.shipped(), tmp_path / "clinic.toml")
    (tmp_path / "clinic.toml").write_text(
        '[model]\n"pain.mechanism" = { file = "m.toml", reason = "x" }', encoding="utf-8"
    )
    with pytest.raises(InputProblem, match=r"nearest: pain\.mechanism_model"):
        evidence.with_clinic_file(evidence.shipped(), tmp_path / "clinic.toml")
