"""A thousand invented people with twenty Observations each, for bench/bone_rules.py.

About half of the numbers lie on a cut-off or a tenth beside it, and every kind of result is
missing in some people, too old in others, and there twice in a few.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from endplate.vocabulary import LOCAL_SYSTEM

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
PEOPLE = 1000
OBSERVATIONS = 20
TODAY = date(2026, 11, 20)

Json = dict[str, Any]

T_SCORE_CODES = (
    (LOINC, "38264-8"),
    (LOINC, "80946-7"),
    (LOINC, "80945-9"),
    (LOINC, "38267-1"),
    (LOCAL_SYSTEM, "bone.t_score.femoral_neck"),
    (LOCAL_SYSTEM, "bone.t_score.distal_radius"),
)
# System, code, unit, decimals, lowest and highest value, values on both sides of each cut-off,
# the chance that it is there, the most days that it is old.
MEASURED = (
    (LOINC, "62292-8", "ng/mL", 1, 5, 140, (19.9, 20, 29.9, 30, 50, 50.1, 100, 100.1), 0.8, 500),
    (LOINC, "90265-0", "%", 1, 1, 40, (8.3, 8.4, 19.9, 20), 0.8, 900),
    (LOINC, "90266-8", "%", 1, 0, 10, (2.9, 3), 0.7, 900),
    (LOCAL_SYSTEM, "bone.trabecular_bone_score", "1", 3, 1, 1.5, (1.23, 1.231, 1.309, 1.31),
     0.7, 900),
    (LOINC, "29463-7", "kg", 1, 45, 110, (60, 65, 70, 75), 0.8, 450),
)  # fmt: skip
SAID = (
    ("bone.frax_with_bmd", 0.5, 0.5),
    ("person.postmenopausal", 0.7, 0.7),
    ("fracture.low_trauma", 0.3, 0.4),
    ("condition.osteoporosis", 0.2, 0.4),
)
OTHERS = (
    ("718-7", "g/dL", 9, 17),
    ("2345-7", "mg/dL", 65, 180),
    ("2160-0", "mg/dL", 0.5, 2),
    ("8867-4", "/min", 50, 100),
    ("8480-6", "mm[Hg]", 100, 170),
)


def write(path: Path) -> None:
    """Write the people, one Bundle a line; the same on every machine."""
    rng = random.Random(0)
    text = "".join(json.dumps(bundle(f"person-{n}", rng)) + "\n" for n in range(PEOPLE))
    path.write_text(text, encoding="utf-8")


def bundle(person: str, rng: random.Random) -> Json:
    """One person with all Observations."""
    results = list(_results(rng))
    while len(results) < OBSERVATIONS:
        code, unit, low, high = rng.choice(OTHERS)
        results.append((LOINC, code, round(rng.uniform(low, high), 1), unit, rng.randrange(900)))
    results = results[:OBSERVATIONS]
    rng.shuffle(results)
    resources = [_patient(person, rng)]
    resources += [_observation(f"{person}-{n}", person, *r) for n, r in enumerate(results)]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in resources],
    }


def _patient(person: str, rng: random.Random) -> Json:
    made = {"resourceType": "Patient", "id": person}
    sex = rng.choice(["female"] * 6 + ["male"] * 3 + ["unknown", ""])
    if sex:
        made["gender"] = sex
    if rng.random() < 0.95:
        years = rng.choice([rng.randrange(12, 95), 18, 49, 50, 64, 65])
        birthday = date(TODAY.year - years, TODAY.month, TODAY.day)  # is today, was, or will be
        made["birthDate"] = (birthday + timedelta(days=rng.choice([0, -1, 1, -100]))).isoformat()
    return made


def _results(rng: random.Random) -> Iterator[tuple[str, str, float | bool, str, int]]:
    """System, code, value, unit (empty for yes or no) and age in days of what rules ask for."""
    scans = [rng.choice([rng.randrange(900), 730, 731]) for _ in range(2)]
    for system, code in T_SCORE_CODES:
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            near = rng.choice([-2.6, -2.5, -2.4, -1.1, -1.0, -0.9])
            value = rng.choice([near, round(rng.uniform(-4, 2), 1)])
            yield system, code, value, "1", rng.choice(scans)
    for system, code, unit, decimals, low, high, near, chance, oldest in MEASURED:
        days = rng.sample(range(oldest), 2)  # the newest of one day would be a matter of chance
        for day in days[: rng.choice([1, 1, 2]) if rng.random() < chance else 0]:
            value = rng.choice([rng.choice(near), round(rng.uniform(low, high), decimals)])
            yield system, code, value, unit, day
    for code, chance, yes in SAID:
        if rng.random() < chance:
            yield LOCAL_SYSTEM, code, rng.random() < yes, "", rng.randrange(900)


def _observation(
    id: str, person: str, system: str, code: str, value: float | bool, unit: str, days: int
) -> Json:
    on = TODAY - timedelta(days=days)
    made: Json = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{person}"},
        "effectiveDateTime": f"{on}T09:30:00Z",
    }
    if unit:
        made["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    else:
        made["valueBoolean"] = value
    return made
