"""310 people of the UCI vertebral column data: identities, distributions, our rules over all."""

from __future__ import annotations

import numpy as np
import pytest

from endplate import evidence, rules
from endplate.alignment.norms import norms_of
from endplate.exchange.intake import Intake
from endplate.record import PatientRecord
from endplate.vocabulary import concept

from patients import ON, fact, patient

SHIPPED = evidence.shipped()
RULES = {r.id.removeprefix("alignment."): r for r in rules.find()}
INCIDENCE, TILT, LORDOSIS, SLOPE, _, SLIP, CLASS = range(7)


@pytest.fixture(scope="module")
def people(shared_data):
    """Incidence, tilt, lordosis, slope, radius, slip, class (-1 healthy, 0 slip, 1 disc hernia)."""
    file = shared_data / "registry" / "uci_vertebral" / "column_3C.dat"
    if not file.is_file():
        pytest.skip(f"needs {file.name}")
    return np.genfromtxt(file, delimiter=",")


def test_incidence_is_tilt_and_slope_to_rounding(people):
    assert len(people) == 310
    gap = people[:, INCIDENCE] - people[:, TILT] - people[:, SLOPE]
    assert np.abs(gap).max() <= 0.015  # three values, each rounded to 0.01


# Mean, standard deviation, least and largest of all 310, as public descriptions of the data print.
@pytest.mark.parametrize(
    "column, mean, sd, least, largest",
    [
        (INCIDENCE, 60.496653, 17.236520, 26.147921, 129.834041),
        (TILT, 17.542822, 10.008330, -6.554948, 49.431864),
        (LORDOSIS, 51.930930, 18.554064, 14.0, 125.742385),
        (SLOPE, 42.953831, 13.423102, 13.366931, 121.429566),
        (SLIP, 26.296694, 37.559027, -11.058179, 418.543082),
    ],
)
def test_the_distributions_are_those_published(people, column, mean, sd, least, largest):
    values = people[:, column]
    found = (values.mean(), values.std(ddof=1), values.min(), values.max())
    assert found == pytest.approx((mean, sd, least, largest), abs=0.006)


def test_the_classes_are_of_the_published_size(people):
    assert [int((people[:, CLASS] == c).sum()) for c in (-1, 0, 1)] == [100, 150, 60]


def asked(rule, person):
    known = patient().having("imaging.posture", "standing")
    known.having("pelvis.pelvic_incidence", person[INCIDENCE])
    known.having("pelvis.pelvic_tilt", person[TILT]).having("pelvis.sacral_slope", person[SLOPE])
    known.having("segment.listhesis_percent", person[SLIP], level="L5-S1")
    return RULES[rule](known.known_on(), SHIPPED)


def test_nobody_contradicts_the_identity(people):
    found = [f for p in people for f in asked("consistency", p)]
    assert len(found) == 310 and {f.category for f in found} == {"consistent"}


def test_the_types_are_those_of_the_printed_limits(people):
    """Types by arrays, written here anew, against the rules one person at a time."""
    slip, incidence, slope, tilt = (people[:, c] for c in (SLIP, INCIDENCE, SLOPE, TILT))
    bands = np.array(["1", "2", "3"])[(incidence >= 45).astype(int) + (incidence > 60)]
    types = np.where(slip <= 0, None, np.where(slip >= 50, "4|5|6", bands))
    assert [asked("sdsg", p)[0].category for p in people] == list(types)
    edges = np.array([25.0, 50.0, 75.0, 100.0])
    grade = [
        None if s <= 0 else ("I", "II", "III", "IV", "V")[int((s > edges).sum())] for s in slip
    ]
    assert [asked("meyerding", p)[0].category for p in people] == grade
    third = np.where((incidence < 50) & (tilt < 5), "3AP", "3")
    shape = np.where(slope < 35, "1|2", np.where(slope >= 45, "4", third))
    assert [asked("roussouly", p)[0].category for p in people] == list(shape)


def test_of_those_with_a_slip_more_slip_far(people):
    """The data's own diagnosis: high-grade slips are theirs alone."""
    high = people[:, SLIP] >= 50
    assert set(people[high, CLASS]) == {0.0} and high.sum() > 30


def test_a_slip_that_nobody_can_have_is_refused_at_the_door(people):
    intake = Intake(today=ON)
    worst = float(people[:, SLIP].max())
    intake.take(concept("segment.listhesis_percent"), worst, unit="%", source="row")
    assert not intake.facts and intake.understood().problems


def test_healthy_people_lie_within_the_norms_of_incidence(people):
    """Every norm of incidence stands beside; the healthy of this data have that of others."""
    healthy = people[people[:, CLASS] == -1][:, INCIDENCE].mean()
    incidence = fact("pelvis.pelvic_incidence", healthy)
    norms = norms_of(incidence, PatientRecord.of([incidence]).known_on(ON), SHIPPED)
    assert len(norms) == 5
    compilation = next(n for n in norms if n.row.endswith("compilation"))
    assert abs(compilation.z) < 0.1 and compilation.place == "within"
