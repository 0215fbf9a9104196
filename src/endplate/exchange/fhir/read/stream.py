"""The stream of resources: from files and bundles to the reader of each kind, one at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import Struct

from endplate.exchange.fhir.forms import Forms
from endplate.exchange.fhir.read import elements, source
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd, Reference
from endplate.exchange.fhir.read.history import allergy, condition, family, procedure
from endplate.exchange.fhir.read.medicine import HANDLERS as MEDICINES
from endplate.exchange.fhir.read.observation import is_unmapped, observation
from endplate.exchange.fhir.read.people import People
from endplate.exchange.fhir.read.person import patient
from endplate.exchange.fhir.read.report import HANDLERS as REPORTS
from endplate.exchange.fhir.read.resource import Later, Left, Person, Resource
from endplate.exchange.fhir.read.versions import Versions
from endplate.exchange.intake import Intake, Understood
from endplate.facts import Problem

HANDLERS: Mapping[str, Callable[[Resource], None]] = {
    "Patient": patient,
    "Observation": observation,
    "Condition": condition,
    "Procedure": procedure,
    "AllergyIntolerance": allergy,
    "FamilyMemberHistory": family,
    **MEDICINES,
    **REPORTS,
}

# Kinds that are not facts of their own, and why each is left aside.
NOT_FACTS: Mapping[str, str] = {
    "Medication": "is read where an order or statement refers to it",
    "Questionnaire": "is read where a response refers to it",
    "Encounter": "visits hold nothing that a rule asks for",
    "CarePlan": "a plan is no finding about the person",
    "Goal": "a goal is no finding about the person",
    "ServiceRequest": "an order for something is no finding about the person",
    "Claim": "billing is not read",
    "ExplanationOfBenefit": "billing is not read",
    "Coverage": "insurance is not read",
    "Practitioner": "is about somebody else",
    "PractitionerRole": "is about somebody else",
    "RelatedPerson": "is about somebody else",
    "Organization": "is about no person",
    "Location": "is about no person",
    "OperationOutcome": "is a message of the server that gave the record",
    "DocumentReference": "attached documents are not read",
    "Binary": "attached documents are not read",
    "Composition": "its sections refer to resources that are read on their own",
    "Immunization": "no rule asks about immunisations",
}
_NOT_READ = "this kind of resource is not read"
_REFERABLE = frozenset({"Patient", "Medication", "Device", "Questionnaire"})
# Kinds that others refer to come first, so that little has to wait.
_FIRST = ("patient", "medication.", "device.", "questionnaire.")
_KIND = re.compile(r"^[A-Z][A-Za-z]{1,60}$")
_LONGEST_NAME = 300  # a longer id or address is damage, and is not kept in any table
_MOST_LINES = 1000  # lines of the report with a place of their own; further ones share one
_MOST_KINDS = 5000  # codes and kinds left aside with a line of their own
_DEEPEST = 20  # bundles within bundles
_LOOKED_AT = 1000  # lines without any FHIR after which a file is given up as something else
FURTHER = "further places"
_OLDER = "this or a newer version of the resource was read already"


class Count(Struct, kw_only=True):
    """How many resources of one kind were met, and what came of them."""

    resources: int = 0
    facts: int = 0
    problems: int = 0


class Stream:
    """What has been met so far: people, resources that others refer to, versions, counts.

    Parameters
    ----------
    today
        Facts dated later are refused.
    each
        Whether every person has an intake of their own.
    forms
        Which linkIds of a clinic's forms are which items.
    """

    def __init__(self, today: date, *, each: bool, forms: Forms | None = None) -> None:
        self.today = today
        self.forms = forms or {}
        self.last_pass = False
        self.common = Intake(today)
        self.people = People(self.common, today, each=each)
        self.counts: dict[str, dict[str, Count]] = {}
        self._counting: dict[str, Count] = {}
        self._referable: dict[str, Json] = {}
        self._urls: set[str] = set()
        self._versions = Versions()
        self._later: list[tuple[Resource, Count]] = []
        self._expected: dict[Reference, int] = {}
        self._unmapped: dict[tuple[str, str, str], list[Any]] = {}  # [count, words] by code
        self._kinds: dict[str, int] = {}
        self._next_pages: dict[str, str] = {}
        self._pages: set[str] = set()

    def understood(self, intake: Intake) -> Understood:
        """What an intake took in, with one line for each place."""
        whole = intake.understood()
        return Understood(
            facts=whole.facts, problems=_one_line_each(whole.problems), ignored=whole.ignored
        )

    # -- files ----------------------------------------------------------------------------

    def read(self, paths: Iterable[Path]) -> None:
        """Read the files, those first to which others refer, then whatever had to wait."""
        there = sorted(paths, key=lambda p: (not p.name.lower().startswith(_FIRST), str(p)))
        names = Counter(p.name for p in there)
        for path in there:
            label = path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}"
            self._counting = self.counts.setdefault(label, {})
            try:
                if source.is_line_format(path):
                    self._lines(path, label)
                else:
                    self._document(path, label)
            except source.Unreadable as problem:
                self.common.problem(problem.problem, problem.says, label)
            if not self._counting:
                del self.counts[label]
        self._finish()

    def _document(self, path: Path, label: str) -> None:
        text = source.document(path)
        try:
            value = source.parsed(text)
        except source.NotJson as problem:
            if _first_line_is_fhir(text):
                self._lines(path, label)
            else:
                self._invalid(f"{label}:{problem.line}" if problem.line else label)
            return
        self._whole(value, label)

    def _whole(self, value: Any, label: str) -> None:
        """One JSON document: a resource, a list of resources, or no FHIR."""
        if value.__class__ is list and any(_is_fhir(one) for one in value):
            for n, one in enumerate(value):
                self._one(one, f"{label}[{n}]")
        elif _is_fhir(value):
            self._one(value, label)
        else:
            self.common.ignore("fhir.not_fhir", "JSON without FHIR resources; not read.", label)

    def _lines(self, path: Path, label: str) -> None:
        strange: list[str] = []  # lines without a resource before the first one that holds one
        is_fhir = False
        for number, line in source.lines(path):
            where = f"{label}:{number}"
            if line is None:
                self._too_long(where)
                continue
            try:
                value = source.parsed(line)
            except source.NotJson:
                if number == 1 and self._as_document(path, label):
                    return
                self._invalid(where)
                continue
            if is_fhir or _is_fhir(value):
                is_fhir = True
                self._one(value, where)
            else:
                strange.append(where)
                if len(strange) > _LOOKED_AT:
                    break
        if is_fhir:
            for where in strange:
                self._no_resource(where)
        elif strange:
            self._whole(None, label)

    def _as_document(self, path: Path, label: str) -> bool:
        """Read a file of lines as one document, where that is what it really is."""
        try:
            value = source.parsed(source.document(path))
        except (source.NotJson, source.Unreadable):
            return False
        self._whole(value, label)
        return True

    def _one(self, value: Any, where: str) -> None:
        kind = value.get("resourceType") if value.__class__ is dict else None
        if kind == "Observation":  # most of any record
            self._resource(value, kind, where, "")
            return
        kind = _kind(value)
        if kind == "Bundle":
            self._bundle(value, where, 0)
        elif kind:
            self._register(value, kind, "")
            self._resource(value, kind, where, "")
        else:
            self._no_resource(where)

    # -- bundles --------------------------------------------------------------------------

    def _bundle(self, bundle: Json, where: str, depth: int) -> None:
        """Every resource of a bundle, after all of them can be referred to."""
        count = self._count("Bundle")
        count.resources += 1
        try:
            kind = elements.code(bundle, "type")
            self._note_pages(bundle, where)
            entries = bundle.get("entry")
            entries = [entries] if entries.__class__ is dict else entries or []
            if entries.__class__ is not list or depth > _DEEPEST:
                raise Odd("entry")
        except Odd as odd:
            count.problems += 1
            self._unusable("Bundle", odd, where)
            return
        there = list(self._entries(entries, where, is_history=kind == "history"))
        for _, kind, json, url in there:
            self._register(json, kind, url)
        for place, kind, json, url in there:
            if kind == "Bundle":
                self._bundle(json, place, depth + 1)
            else:
                self._resource(json, kind, place, url)

    def _entries(
        self, entries: list[Any], where: str, *, is_history: bool
    ) -> Iterator[tuple[str, str, Json, str]]:
        """The resources of a bundle with place, kind and fullUrl; of a history the newest."""
        met: set[str] = set()
        for n, entry in enumerate(entries):
            place = f"{where} Bundle.entry[{n}]"
            if entry.__class__ is not dict:
                self._no_resource(place)
                continue
            json: Any = entry.get("resource")
            if is_history and (key := _key_in_history(entry)):
                if key in met:
                    self.common.ignore("fhir.older_version", f"{_OLDER}.")
                    continue
                met.add(key)
            if json is None and "resource" not in entry:
                self.common.ignore(
                    "fhir.entry_without_resource",
                    "Bundle: an entry without a resource (deleted, or an answer of a server).",
                )
            elif not (kind := _kind(json)):
                self._no_resource(place)
            else:
                yield place, kind, json, _name(entry.get("fullUrl"))

    def _note_pages(self, bundle: Json, where: str) -> None:
        for link in elements.items(bundle, "link"):
            url, relation = elements.word(link, "url"), elements.word(link, "relation")
            if relation == "next" and url:
                self._next_pages[url] = where
            elif relation == "self":
                self._pages.add(url)

    # -- one resource ---------------------------------------------------------------------

    def _register(self, json: Json, kind: str, url: str) -> None:
        """Remember a resource that others may refer to, by each name that it goes by."""
        if kind == "Patient" or url:
            self.people.register(json, kind, url)
        if url:
            self._urls.add(url)
        if kind in _REFERABLE and kind != "Patient":
            id = _name(json.get("id"))
            for name in (f"{kind}/{id}" if id else "", url, _name(json.get("url"))):
                if name:
                    self._referable[name] = json

    def _resource(self, json: Json, kind: str, where: str, url: str) -> None:
        count = self._count(kind)
        count.resources += 1
        id = json.get("id")
        key = f"{kind}/{id}" if id.__class__ is str and 0 < len(id) < _LONGEST_NAME else ""
        is_fact = kind in HANDLERS
        try:
            person = self._person(json, kind, where, url)
        except (Left, Odd) as problem:
            if not is_fact:
                self._not_a_fact(kind)
            elif isinstance(problem, Left):
                self.common.ignore(problem.id, problem.says)
            else:
                count.problems += 1
                self._unusable(kind, problem, where)
            return
        if not is_fact:
            self._not_a_fact(kind)
        elif kind == "Observation" and is_unmapped(json):
            try:
                self.count_unmapped(kind, json["code"])
            except Odd as odd:
                count.problems += 1
                self._unusable(kind, odd, where)
        elif person is None:
            count.problems += 1
            self._problem("fhir.no_subject", f"{kind}: does not say whom it is about.", where)
        elif key and not self._versions.is_current(key, json, person.intake):
            self.common.ignore("fhir.older_version", f"{_OLDER}.")
        else:
            self._take(Resource(json, kind, key or where, where, person, self), count)

    def _person(self, json: Json, kind: str, where: str, url: str) -> Person | None:
        if kind == "Patient":
            return self.people.patient(json, where, url)
        person = self.people.subject(json)
        if person is None and kind == "Device":
            raise Left("fhir.device_of_nobody", "Device: is not said to be a person's; not used.")
        if person is None and not self.people.each:
            return self.people.nobody
        return person

    def _take(self, resource: Resource, count: Count) -> None:
        """Let the reader of its kind make facts of a resource: all of them or none."""
        intake, kind = resource.person.intake, resource.kind
        facts, problems = len(intake.facts), intake.problem_lines
        if problems >= _MOST_LINES or intake.ignored_lines >= _MOST_LINES:
            resource.where = FURTHER
        try:
            if resource.json.get("modifierExtension"):
                raise Odd("modifierExtension")
            HANDLERS[kind](resource)
        except Later:
            self._later.append((resource, count))
        except Left as left:
            resource.leave(left.id, left.says)
        except Odd as odd:
            del intake.facts[facts:]
            resource.problem(*_not_usable(kind, odd))
        except Exception:  # a fault of ours in one resource must not cost the whole record
            del intake.facts[facts:]
            resource.problem(
                "fhir.defect",
                f"{kind}: could not be read, through a fault of Endplate; it was not used.",
                "Report the fault, with a copy of the resource without personal data.",
            )
        count.facts += len(intake.facts) - facts
        count.problems += intake.problem_lines > problems

    # -- what resources ask for -----------------------------------------------------------

    def referred(self, reference: Reference) -> Json | None:
        """The resource that a reference points to, if it has been met."""
        found = self._referable.get(reference.text)
        return found if found is not None else self._referable.get(reference.key)

    def read_inside(self, json: Json, parent: Resource) -> None:
        """Read a resource that stands inside another one, as the same person's."""
        kind = _kind(json)
        if kind not in HANDLERS or kind == "Patient":
            return
        inside = Resource(
            json,
            kind,
            f"{parent.source}#{_name(json.get('id'))}",
            parent.where,
            parent.person,
            self,
        )
        inside.parent = parent
        self._take(inside, self._count(kind))

    def expect(self, reference: Reference) -> None:
        """Note that a resource is referred to and should be in the record."""
        if len(self._expected) < _MOST_KINDS * 20:
            self._expected[reference] = self._expected.get(reference, 0) + 1

    def count_unmapped(self, kind: str, code: Any) -> None:
        """Count the code of a resource that is not in the vocabulary, under its first coding."""
        try:
            first = code["coding"][0]
            self._unmapped[kind, first["system"], first["code"]][0] += 1
        except (KeyError, TypeError, IndexError):
            self._count_new_code(kind, elements.codeable(code, "code"))

    def _count_new_code(self, kind: str, code: Codeable) -> None:
        # A text without a code may be anything that somebody typed, so it is not repeated.
        first = next((c for c in code.codings if c.code), elements.Coding("", "", ""))
        key = (kind, first.system, first.code)
        said = "results that have a text and no code"
        if first.code:
            shown = elements.clipped(first.display, 200) or "a code"
            said = f"{shown} ({first.system} {first.code})"
        if key not in self._unmapped and len(self._unmapped) >= _MOST_KINDS:
            key, said = (kind, "", "further"), "further codes"
        self._unmapped.setdefault(key, [0, said])[0] += 1

    # -- what is noted --------------------------------------------------------------------

    def _count(self, kind: str) -> Count:
        found = self._counting.get(kind)
        if found is None:
            found = self._counting[kind] = Count()
        return found

    def _not_a_fact(self, kind: str) -> None:
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            kind = "Other kinds"
        self._kinds[kind] = self._kinds.get(kind, 0) + 1

    def _place(self, intake: Intake, where: str) -> str:
        if intake.problem_lines < _MOST_LINES and intake.ignored_lines < _MOST_LINES:
            return where
        return FURTHER

    def _problem(self, id: str, says: str, where: str, *try_: str) -> None:
        self.common.problem(id, says, self._place(self.common, where), try_)

    def _invalid(self, where: str) -> None:
        self._problem("json.invalid", "Is not valid JSON and was not read.", where)

    def _too_long(self, where: str) -> None:
        most = source.LONGEST_LINE >> 20
        self._problem("json.line_too_long", f"Is longer than {most} MiB; not read.", where)

    def _no_resource(self, where: str) -> None:
        self._problem("fhir.no_resource_type", "Is not a FHIR resource; not read.", where)

    def _unusable(self, kind: str, odd: Odd, where: str) -> None:
        self._problem(*_not_usable(kind, odd)[:2], where)

    # -- the end --------------------------------------------------------------------------

    def _finish(self) -> None:
        self.last_pass = True
        for resource, count in self._later:
            self._take(resource, count)
        self._versions.settle()
        for (kind, _, _), (times, said) in self._unmapped.items():
            self.common.ignore(
                "fhir.code_not_used", f"{said}: is not in the vocabulary.", kind, times
            )
        for kind, times in self._kinds.items():
            says = NOT_FACTS.get(kind, _NOT_READ)
            self.common.ignore("fhir.kind_not_used", f"{kind}: {says}.", "", times)
        missing = sum(
            times
            for reference, times in self._expected.items()
            if reference.key not in self._versions and reference.text not in self._urls
        )
        if missing:
            self.common.ignore(
                "fhir.result_not_there",
                "DiagnosticReport: names results that are not in the record.",
                "",
                missing,
            )
        for url, where in self._next_pages.items():
            if url not in self._pages:
                self.common.problem(
                    "fhir.page_missing",
                    "The search result goes on on a further page that is not in the record.",
                    where,
                    ("Export all pages, or use a bulk export.",),
                )


def _kind(value: Any) -> str:
    """The resource type of a JSON value; empty where it is no resource."""
    kind = value.get("resourceType") if value.__class__ is dict else None
    if kind.__class__ is not str:
        return ""
    return str(kind) if kind in HANDLERS or _KIND.match(kind) else ""


def _is_fhir(value: Any) -> bool:
    return bool(_kind(value))


def _name(value: Any) -> str:
    """An id or address, empty where there is none that can be one."""
    return str(value) if value.__class__ is str and len(value) < _LONGEST_NAME else ""


def _first_line_is_fhir(text: bytes) -> bool:
    first, _, rest = text.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    try:
        return bool(rest) and _is_fhir(source.parsed(first))
    except source.NotJson:
        return False


def _key_in_history(entry: Json) -> str:
    """Type and id of the resource whose version a history entry holds, or that it deletes."""
    json: Any = entry.get("resource")
    if _kind(json) and _name(json.get("id")):
        return f"{_kind(json)}/{json['id']}"
    for name in ("request", "response"):
        there = entry.get(name)
        if there.__class__ is dict:
            key = elements.parted(_name(there.get("url")) or _name(there.get("location"))).key
            if key:
                return key
    return elements.parted(_name(entry.get("fullUrl"))).key


def _not_usable(kind: str, odd: Odd) -> tuple[str, str, str]:
    if str(odd) == "modifierExtension":
        says = f"{kind}: holds an extension that may turn its meaning round; it was not used."
    else:
        says = f"{kind}.{odd}: cannot be used as it is; the resource was not used."
    return "fhir.element_not_usable", says, "Correct the resource at the source."


def _one_line_each(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The problems with all those of one place in one line."""
    by_place: dict[str, list[Problem]] = {}
    for n, one in enumerate(problems):
        has_place = one.where and one.where != FURTHER
        by_place.setdefault(one.where if has_place else f"\0{n}", []).append(one)
    return tuple(
        there[0]
        if len(there) == 1
        else Problem(
            problem=there[0].problem,
            says=" ".join(one.says for one in there),
            where=there[0].where,
            try_=tuple(dict.fromkeys(t for one in there for t in one.try_)),
        )
        for there in by_place.values()
    )
