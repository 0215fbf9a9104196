"""Bone rules per second: five of them beside the same five in CQL.

The five: WHO category, vitamin D, FRAX threshold, USPSTF 2018, trabecular bone score. Both
sides start from the same file (one Bundle of a Patient and 20 Observations a line), parse it and
end with five answers for each of 1,000 people; these must be equal, or the benchmark fails. The
peer, cql-execution with cql-exec-fhir, runs them twice: with one retrieve for each code, as CQL
is written, and with a single retrieve, which suits its engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import npm
from bench.bone_patients import PEOPLE, TODAY, write
from bench.timing import Line, Timed, reported, timed

HERE = "bench.bone_rules"
FOLDER = Path(tempfile.gettempdir()) / "endplate-bench-bone-rules"
PATIENTS = FOLDER / "patients.ndjson"
OURS, THEIRS = FOLDER / "ours.json", FOLDER / "theirs.json"
FIVE = (
    "bone.osteoporosis_by_dxa",
    "bone.vitamin_d",
    "bone.frax_threshold",
    "bone.testing.uspstf_2018",
    "bone.trabecular_bone_score",
)
Answers = dict[str, list[str | None]]


# -- ours ---------------------------------------------------------------------------------------


def ours() -> Answers:
    """Five answers for each person, from the file."""
    from endplate import evidence, rules
    from endplate.exchange.fhir.read import read_population
    from endplate.findings import Status
    from endplate.record import PatientRecord

    shipped, by_id = evidence.shipped(), {rule.id: rule for rule in rules.find()}
    asked = [by_id[name] for name in FIVE]
    found = {}
    for key, understood in read_population([PATIENTS], TODAY).items():
        patient = PatientRecord.of(understood.facts).known_on(TODAY)
        said = [rule.one(patient, shipped) for rule in asked]
        found[key] = [f.category if f.status is Status.ANSWERED else str(f.status) for f in said]
    return found


def make() -> None:
    """Write the people and our answers."""
    FOLDER.mkdir(exist_ok=True)
    write(PATIENTS)
    OURS.write_text(json.dumps(ours()))


# -- the peer -----------------------------------------------------------------------------------


def _parameters() -> dict[str, str | float]:
    """The numbers that the CQL is given: from the evidence and the vocabulary, as ours are."""
    from datetime import timedelta

    from endplate import evidence
    from endplate.vocabulary import concept

    shipped = evidence.shipped()
    scheme = shipped.choice("bone.trabecular_bone_score_scheme").use
    numbers = {
        "Adult from": "bone.t_score.adult_from_age",
        "Men from": "bone.t_score.men_from_age",
        "Postmenopausal from": "bone.postmenopausal_assumed_from_age",
        "Osteoporosis at most": "bone.t_score.osteoporosis",
        "Low bone mass below": "bone.t_score.low_bone_mass",
        "Vitamin D low below": "bone.vitamin_d.low",
        "Vitamin D target from": "bone.vitamin_d.target_from.bhof",
        "Vitamin D target to": shipped.choice("bone.vitamin_d_target").use,
        "Vitamin D high above": "bone.vitamin_d.high",
        "FRAX major from": "bone.frax.major_threshold",
        "FRAX hip from": "bone.frax.hip_threshold",
        "FRAX without density from": "bone.screening.frax_without_bmd",
        "Degraded at most": f"bone.tbs.{scheme}.degraded",
        "Normal texture from": f"bone.tbs.{scheme}.normal",
        "Women screened from": "bone.test.uspstf.women_from_age",
        "OST divisor": "bone.ost.divisor",
        "OST of women below": "bone.ost.women",
    }
    ages = {
        "Densitometry counts since": "bone.t_score.total_hip",
        "FRAX counts since": "bone.frax_major",
        "Texture counts since": "bone.trabecular_bone_score",
        "Vitamin D counts since": "lab.vitamin_d",
        "Weight counts since": "person.weight",
        "Menopause denied since": "person.postmenopausal",
    }
    days = {name: concept(what).max_age_days or 0 for name, what in ages.items()}
    return {
        "Today": TODAY.isoformat(),
        **{name: (TODAY - timedelta(days=old)).isoformat() for name, old in days.items()},
        **{name: shipped.row(row).number for name, row in numbers.items()},
    }


def _peer(record: str, runs: int) -> Timed:
    """Time the CQL over one way to say the record, and hold its answers against ours."""
    question: dict[str, Any] = {
        "cql": ["declarations.cql", record, "rules.cql"],
        "patients": str(PATIENTS),
        "parameters": _parameters(),
        "rules": FIVE,
        "runs": runs,
    }
    asked = FOLDER / "question.json"
    asked.write_text(json.dumps(question))
    took = reported(npm.run("run.mjs", str(asked), str(THEIRS)), f"CQL, {record}")
    _compare()
    return took


def _compare() -> None:
    mine, theirs = (json.loads(file.read_text()) for file in (OURS, THEIRS))
    if len(mine) != PEOPLE or mine.keys() != theirs.keys():
        raise AssertionError(f"{len(mine)} and {len(theirs)} people were answered for")
    differ = [
        f"{person}, {rule}: {a} here, {b} in CQL"
        for person in mine
        for rule, a, b in zip(FIVE, mine[person], theirs[person], strict=True)
        if a != b
    ]
    if differ:
        raise AssertionError(f"{len(differ)} answers differ from the CQL; {differ[0]}")


def _seen() -> str:
    """How many different answers the people have, so that equal ones say something."""
    answers = json.loads(OURS.read_text()).values()
    counts = [len(set(column)) for column in zip(*answers, strict=True)]
    return f"equal answers for all {PEOPLE}; kinds of answer by rule: {counts}"


def lines() -> Iterator[Line]:
    # in a process of its own: a child's peak memory begins with that of its parent
    subprocess.run([sys.executable, "-c", f"import {HERE} as b; b.make()"], check=True)
    mine, why = timed(f"{HERE}:ours"), npm.absent()
    what = "five bone rules over 1,000 people with 20 Observations each, from the file"
    if why:
        yield Line(what, mine, note=f"no peer: {why}", count=PEOPLE, things="people")
    else:
        yield Line(
            what, mine, "cql-execution, a retrieve for each code", _peer("record_by_code.cql", 1),
            aim="at least 50 times the people per second", note=_seen(),
            count=PEOPLE, things="people",
        )  # fmt: skip
        yield Line(
            "the same, against CQL that is written for its engine", mine,
            "cql-execution, one retrieve", _peer("record_at_once.cql", 3),
            note=_seen(), count=PEOPLE, things="people",
        )  # fmt: skip
