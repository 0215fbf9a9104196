"""Whom each resource is about: subjects by reference, and what identifies them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Json, Odd, Reference
from endplate.exchange.fhir.read.person import Identity, identity
from endplate.exchange.fhir.read.resource import Left, Person
from endplate.exchange.intake import Intake

_CONDITIONAL = "Patient?identifier="
_NOT_A_PERSON = "is about something else than a person, or about somebody else"


class People:
    """The persons that were met, with their intake: one for all, or one for each.

    Parameters
    ----------
    common
        Takes in what is not about one person, and everything where `each` is false.
    each
        Whether every person has an intake of their own.
    """

    def __init__(self, common: Intake, today: date, *, each: bool) -> None:
        self.common = common
        self.today = today
        self.each = each
        self.persons: dict[str, Person] = {}
        self.identities: dict[Identity, None] = {}
        self._by_text: dict[str, tuple[Person, str]] = {}
        self._keys: dict[str, str] = {}  # by fullUrl, and by system|value
        self._kinds: dict[str, str] = {}  # of other resources than a Patient, by fullUrl

    def register(self, json: Json, kind: str, url: str) -> None:
        """Remember under which names a Patient, or what a subject could be, is referred to."""
        if kind != "Patient":
            if url:
                self._kinds[url] = kind
            return
        key = patient_key(json, url)
        if not key:
            return
        if url:
            self._keys[url] = key
        try:
            for identifier in elements.identifiers(json):
                self._keys.setdefault(identifier, key)
        except Odd:
            pass  # said where the Patient itself is read

    def patient(self, json: Json, where: str, url: str) -> Person:
        """The person that a Patient resource is; what identifies them is kept."""
        person = self._met(patient_key(json, url) or where)
        person.resources += 1
        try:
            self.identities[identity(json, person.key, where)] = None
        except Odd as odd:
            person.intake.problem(
                "fhir.identity_not_usable",
                f"Patient.{odd}: cannot be used as it is; whether other files are of the same "
                f"person cannot be checked by it.",
                where,
            )
        return person

    def subject(self, json: Json) -> Person | None:
        """The person whom a resource is about; None where it names nobody.

        Raises
        ------
        Left
            If it is about a group, a device, a relative.
        Odd
            If the reference cannot be understood.
        """
        name = "subject" if json.get("subject") else "patient"
        try:
            person, base = self._by_text[json[name]["reference"]]
        except (KeyError, TypeError):
            found = self._looked_up(json, name)
            if found is None:
                return None
            person, base = found
        person.resources += 1
        person.bases[base] = person.bases.get(base, 0) + 1
        return person

    @property
    def nobody(self) -> Person:
        """Whose a resource is that names nobody, in a record of one person."""
        person = self._met("")
        person.resources += 1
        return person

    def subjects(self) -> Mapping[str, int]:
        """How many resources name each subject; one id on two servers counts as two subjects."""
        found: dict[str, int] = {}
        for person in self.persons.values():
            if not person.key:
                continue  # resources that name nobody
            bases = {base: count for base, count in person.bases.items() if base}
            if len(bases) < 2:
                found[person.key] = person.resources
            else:
                found |= {f"{base}/Patient/{person.key}": n for base, n in bases.items()}
        return found

    # -- looking up -----------------------------------------------------------------------

    def _met(self, key: str) -> Person:
        person = self.persons.get(key)
        if person is None:
            intake = Intake(self.today) if self.each else self.common
            person = self.persons[key] = Person(key, intake)
        return person

    def _looked_up(self, json: Json, name: str) -> tuple[Person, str] | None:
        pointing = elements.reference(json, name)
        if pointing is None:
            return self._identified(json, name)
        if pointing.text.startswith("#"):
            return self._contained(json, pointing)
        found = self._met(self._key(pointing, name)), pointing.base
        self._by_text[pointing.text] = found
        return found

    def _key(self, pointing: Reference, name: str) -> str:
        text = pointing.text
        known = self._keys.get(text)
        if known is not None:
            return known
        if pointing.id:
            if pointing.type != "Patient":
                raise Left("fhir.not_the_person", f"{pointing.type}: {_NOT_A_PERSON}; not used.")
            return pointing.id
        if text.startswith("urn:"):
            if text in self._kinds:
                raise Left("fhir.not_the_person", f"{self._kinds[text]}: {_NOT_A_PERSON}.")
            return text.rpartition(":")[2]
        if text.startswith(_CONDITIONAL):
            identifier = text.removeprefix(_CONDITIONAL)
            return self._keys.get(identifier, identifier)
        raise Odd(name)

    def _identified(self, json: Json, name: str) -> tuple[Person, str] | None:
        """The person of a reference that holds an identifier in place of an address."""
        there = elements.item(json, name)
        if there is None:
            return None
        for one in elements.identifiers(there):
            return self._met(self._keys.get(one, one)), ""
        return None

    def _contained(self, json: Json, pointing: Reference) -> tuple[Person, str]:
        """The person of a Patient that stands inside the resource itself."""
        for one in elements.items(json, "contained"):
            if elements.word(one, "id") != pointing.text[1:]:
                continue
            if one.get("resourceType") != "Patient":
                break
            there = sorted(elements.identifiers(one))
            known = next((self._keys[i] for i in there if i in self._keys), "")
            found = identity(one, known or next(iter(there), pointing.text), "contained")
            self.identities[found] = None
            return self._met(found.subject), ""
        raise Odd("subject")


def patient_key(json: Json, url: str) -> str:
    """The id of a Patient, or else the end of the address under which a bundle gives it."""
    id = json.get("id")
    if id.__class__ is str and id:
        return str(id)
    pointing = elements.parted(url)
    return pointing.id or url.rpartition(":")[2]
