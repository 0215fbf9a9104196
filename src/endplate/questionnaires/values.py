"""EQ-5D: the value of a profile by the value set of a country.

A set is a start, a weight for each level of each dimension, and, in some countries, terms for
profiles as a whole; "one and the sum of the weights" is wrong for a quarter of the sets. The
values of all profiles of a country are made once, and every row looks up its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from endplate.facts import InputProblem
from endplate.questionnaires.instrument import key, value_sets

Numbers = NDArray[np.float64]
DIMENSIONS = ("mo", "sc", "ua", "pd", "ad")
_LEVELS = "12345"
_DECIMALS = 3  # as the sets are published and compared


def country_of(id: str, name: str) -> str:
    """The name of a country's set under which it is kept."""
    known = value_sets(id)
    asked = name.strip().lower().replace(" ", "_").replace("-", "_")
    asked = key(id).also_called.get(asked, asked)
    if asked not in known:
        raise InputProblem(
            f"{id}: cannot be valued. The country of the value set is needed; there is none of the "
            f"name given. Give one of {', '.join(known)}."
        )
    return asked


def values_of(id: str, above: Numbers, whole: NDArray[np.bool_], country: str) -> Numbers:
    """The value of each profile.

    Parameters
    ----------
    id
        ``eq5d5l`` or ``eq5d3l``.
    above
        Levels of the five dimensions, less one, one column for each profile.
    whole
        Which profiles have all five answers; the others have no value.
    country
        Whose set; without one nothing has a value.
    """
    if not country:
        return np.full(above.shape[1], np.nan)
    table = _table(id, country_of(id, country))
    base = round(len(table) ** (1 / len(DIMENSIONS)))
    places = base ** np.arange(len(DIMENSIONS))[::-1]
    found = table[(places @ above).astype(np.intp)]
    return np.where(whole, found, np.nan)


@cache
def _table(id: str, country: str) -> Numbers:
    """The values of all profiles of a set, 11111 first, 11112 next."""
    terms = value_sets(id)[country]
    levels = max(int(t[-1]) for t in terms if t in {f"mo{n}" for n in _LEVELS})
    profiles = np.indices((levels,) * len(DIMENSIONS)).reshape(len(DIMENSIONS), -1) + 1
    value = np.full(profiles.shape[1], terms["start"])
    whole = _of_the_whole(profiles, levels)
    for term, weight in terms.items():
        if term in whole:
            value += weight * whole[term]
        elif term != "start":
            value += weight * _of_dimensions(profiles, term)
    for profile, stated in key(id).instead.get(country, {}).items():
        value[_place(profile, levels)] = stated
    rounded: Numbers = np.round(value, _DECIMALS)
    return rounded


def _place(profile: str, levels: int) -> int:
    place = 0
    for level in profile:
        place = place * levels + int(level) - 1
    return place


def _of_dimensions(profiles: NDArray[np.int64], term: str) -> Numbers:
    """How often a term of single dimensions applies.

    ``mo3`` (mobility at level 3), ``mo45`` (at 4 or 5), ``mo3sc3`` (both), ``mo_x_ad`` (the
    product of how far both lie above level 1).
    """
    if "_x_" in term:
        one, other = (profiles[DIMENSIONS.index(d)] - 1 for d in term.split("_x_"))
        product: Numbers = (one * other).astype(np.float64)
        return product
    applies = np.ones(profiles.shape[1], dtype=bool)
    name, rest = term[:2], term[2:]
    while name:
        digits = rest[: len(rest) - len(rest.lstrip(_LEVELS))]
        applies &= np.isin(profiles[DIMENSIONS.index(name)], [int(d) for d in digits])
        rest = rest[len(digits) :]
        name, rest = rest[:2], rest[2:]
    return applies.astype(np.float64)


def _of_the_whole(profiles: NDArray[np.int64], levels: int) -> Mapping[str, Numbers]:
    """The terms for a profile as a whole, by the names that they have in the files."""
    worst = profiles.max(axis=0)
    above_1 = (profiles > 1).sum(axis=0)
    twos, last = (profiles == 2).sum(axis=0), (profiles == levels).sum(axis=0)
    # Of three levels the third is the last; in the five-level form 4 and 5 go together.
    severe = (profiles >= levels - 1).sum(axis=0)
    found = {
        "any_above_1": above_1 > 0,
        "any_3": last > 0,
        "any_4_or_5": severe > 0,
        "any_5": last > 0,
        "further_4_or_5_squared": np.maximum(severe - 1, 0) ** 2,
        "further_above_1": np.maximum(above_1 - 1, 0),
        "further_2": np.maximum(twos - 1, 0),
        "further_2_squared": np.maximum(twos - 1, 0) ** 2,
        "further_3": np.maximum(last - 1, 0),
        "further_3_squared": np.maximum(last - 1, 0) ** 2,
        "worst_is_2": worst == 2,
        "some_3_none_2": (last > 0) & (twos == 0),
        "some_2_some_3": (last > 0) & (twos > 0),
        "count_2_if_any_3": np.where(last > 0, twos, 0),
        "count_2_squared": twos**2,
        "count_3_squared": last**2,
        "none_at_1": above_1 == len(DIMENSIONS),
    }
    return {name: values.astype(np.float64) for name, values in found.items()}
