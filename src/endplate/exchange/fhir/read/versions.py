"""The same resource met more than once: the newer version counts; a contradiction is doubtful."""

from __future__ import annotations

from datetime import UTC, datetime

from endplate.exchange.fhir.read.elements import Json
from endplate.exchange.intake import Intake
from endplate.facts import Fact

TWICE = "the resource is in the record more than once, with different contents"
_Stamp = tuple[str, str]
_UNSTAMPED: _Stamp = ("", "")


class Versions:
    """Which version of each resource was met, and which facts an older one had left."""

    def __init__(self) -> None:
        self._met: dict[str, _Stamp] = {}
        self._again: dict[str, tuple[Intake, int, bool]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._met

    def is_current(self, key: str, json: Json, intake: Intake) -> bool:
        """Whether a resource is to be read: not if this or a newer version was met before."""
        stamp = _stamp(json)
        before = self._met.get(key)
        if before is None:
            self._met[key] = stamp
            return True
        order = _order(before, stamp)
        if order is None:  # which is newer cannot be told: both are read, and compared at the end
            self._again[key] = (intake, len(intake.facts), False)
            return True
        if order <= 0:
            return False
        self._met[key] = stamp
        self._again[key] = (intake, len(intake.facts), True)
        return True

    def settle(self) -> None:
        """Take back the facts of older versions; mark those that contradict each other."""
        by_intake: dict[int, tuple[Intake, dict[str, tuple[int, bool]]]] = {}
        for key, (intake, start, newer) in self._again.items():
            by_intake.setdefault(id(intake), (intake, {}))[1][key] = (start, newer)
        for intake, again in by_intake.values():
            intake.facts[:] = _settled(intake.facts, again)


def _settled(facts: list[Fact], again: dict[str, tuple[int, bool]]) -> list[Fact]:
    old: dict[str, list[Fact]] = {key: [] for key in again}
    new: dict[str, list[Fact]] = {key: [] for key in again}
    for n, fact in enumerate(facts):
        if fact.source in again:
            (old if n < again[fact.source][0] else new)[fact.source].append(fact)
    drop_old, doubt = set(), set()
    for key, (_, newer) in again.items():
        if set(old[key]) == set(new[key]) or (newer and not _is_another(old[key], new[key])):
            drop_old.add(key)
        else:
            doubt.add(key)
    kept = []
    for n, fact in enumerate(facts):
        if fact.source in drop_old and n < again[fact.source][0]:
            continue
        kept.append(fact.doubted(TWICE) if fact.source in doubt else fact)
    return kept


def _is_another(old: list[Fact], new: list[Fact]) -> bool:
    """Whether the two are so unlike that one id must stand for two different resources."""
    return bool(old and new) and {f.what for f in old}.isdisjoint(f.what for f in new)


def _stamp(json: Json) -> _Stamp:
    meta = json.get("meta")
    if meta.__class__ is not dict:
        return _UNSTAMPED
    updated, version = meta.get("lastUpdated"), meta.get("versionId")
    if updated is None and version is None:
        return _UNSTAMPED
    return (
        updated if updated.__class__ is str else "",
        version if version.__class__ is str else "",
    )


def _order(before: _Stamp, after: _Stamp) -> int | None:
    """1 where `after` is newer, -1 where it is older, 0 where both are the same; else None."""
    if before == after and before != _UNSTAMPED:
        return 0
    days = [_moment(text) for text, _ in (before, after)]
    if days[0] is not None and days[1] is not None and days[0] != days[1]:
        return 1 if days[1] > days[0] else -1
    numbers = [version for _, version in (before, after)]
    if all(n.isdecimal() and len(n) < 20 for n in numbers) and numbers[0] != numbers[1]:
        return 1 if int(numbers[1]) > int(numbers[0]) else -1
    return None


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
