"""Which mechanism a pain has: grades of neuropathic and nociplastic pain, and their order.

Every answer is yes, no or unknown. A grade is given where every way in which the unknown ones
could turn out gives it; else the grades that are still possible, and what would decide most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from math import log2

from msgspec import Struct

from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.pain.context import INVENTORY, SCREENING
from endplate.pain.red_flags import ANY, FLAGS, emergency, held_back
from endplate.questionnaires.screening import answered, answers_to
from endplate.record import UNKNOWN, Known, Patient, any_of
from endplate.rules import rule
from endplate.vocabulary import concept

RESEARCH = (
    "For research and to support a decision, never a diagnosis: the consensus on phenotypes of low "
    "back pain calls itself not ready for clinical use."
)
Answers = tuple[bool | None, ...]
Grade = Callable[..., str]

# -- what is asked --------------------------------------------------------------------------------


class Criterion(Struct, frozen=True, kw_only=True):
    """One criterion: its place in the parts, whether it is met, what to ask where that is open.

    `firmer_with` is what would firm it up although it is known, such as a form's blank items.
    """

    part: str
    name: str
    met: Known
    asks: tuple[str, ...]
    firmer_with: tuple[str, ...] = ()

    @property
    def answer(self) -> bool | None:
        """Met, not met, or None where it is not known."""
        return None if self.met.unknown else self.met.yes


def _last(what: str) -> str:
    return what.rpartition(".")[2]


def _direct(what: str, patient: Patient) -> Criterion:
    return Criterion(part=_last(what), name=concept(what).name, met=patient.has(what), asks=(what,))


def _denied(what: str, name: str, patient: Patient) -> Criterion:
    """A criterion that is met where its question is answered with no."""
    known = patient.has(what)
    turned = {"yes": "no", "no": "yes", "unknown": "unknown"}[known.answer]
    met = Known(turned, known.because)
    return Criterion(part=f"not_{_last(what)}", name=name, met=met, asks=(what,))


def _one_of(what: str, below: Iterable[str], patient: Patient) -> Criterion:
    """A criterion that any of several signs meets, or that was answered as a whole."""
    known, single = patient.has(what), {w: patient.has(w) for w in below}
    asks: tuple[str, ...] = (what,)
    if known.unknown:
        known = any_of(single.values())
    if known.unknown and any(k.no for k in single.values()):
        asks = tuple(w for w, k in single.items() if k.unknown)
    return Criterion(part=_last(what), name=concept(what).name, met=known, asks=asks)


# -- every way in which the unknown answers could turn out ----------------------------------------


@cache  # bounded: each answer is one of three
def possible(answers: Answers, grade: Grade) -> Mapping[str, int]:
    """Each grade that the unknown answers still allow, and in how many ways."""
    ways = product(*((True, False) if a is None else (a,) for a in answers))
    return Counter(grade(*way) for way in ways)


@cache  # bounded: each answer is one of three
def open_ones(answers: Answers, grade: Grade) -> tuple[int, ...]:
    """The unknown answers that could change the grade."""
    if len(possible(answers, grade)) == 1:
        return ()
    found = []
    for n, answer in enumerate(answers):
        if answer is None:
            rest = (*answers[:n], *answers[n + 1 :])
            ways = product(*((True, False) if a is None else (a,) for a in rest))
            if any(grade(*w[:n], True, *w[n:]) != grade(*w[:n], False, *w[n:]) for w in ways):
                found.append(n)
    return tuple(found)


def _with(answers: Answers, place: int, answer: bool) -> Answers:
    return (*answers[:place], answer, *answers[place + 1 :])


def _uncertainty(ways: Mapping[str, float]) -> float:
    """Bits of what is open, each way as likely as the other."""
    total = sum(ways.values())
    return -sum(n / total * log2(n / total) for n in ways.values() if n)


# -- neuropathic pain -----------------------------------------------------------------------------

NEUPSIG = tuple(
    f"pain.neuropathic.{name}"
    for name in (
        "history_of_relevant_lesion", "plausible_distribution", "sensory_signs",
        "confirmatory_test",
    )
)  # fmt: skip
NEUPSIG_GRADES = ("unlikely", "possible", "probable", "definite")


def neupsig_grade(history: bool, distribution: bool, signs: bool, test: bool) -> str:
    """The grade of neuropathic pain; a test without signs makes it probable too."""
    if not (history and distribution):
        return "unlikely"
    if signs and test:
        return "definite"
    return "probable" if signs or test else "possible"


def _neupsig_criteria(patient: Patient) -> tuple[Criterion, ...]:
    return tuple(_direct(what, patient) for what in NEUPSIG)


@rule("pain.neupsig", reads=NEUPSIG, scores="neupsig", needs=NEUPSIG[:2])
def neupsig(patient: Patient, evidence: Evidence) -> Finding | None:
    """Grade of neuropathic pain by the Neuropathic Pain Special Interest Group.

    Source      Finnerup 2016 (pain.neupsig.*)
    Population  pain that may be neuropathic
    Not for     cause: definite means probable with a confirmatory test
    """
    criteria = _neupsig_criteria(patient)
    return _graded(
        "Neuropathic pain", criteria, neupsig_grade, NEUPSIG_GRADES, "pain.neupsig.", evidence
    )


def _reached(left: Sequence[str], order: Sequence[str]) -> str | None:
    """The grade that is certain, whatever else may come; a lowest one that can still rise is none.

    A grade tells how sure one can be: what is not known can only raise one that is reached.
    """
    return left[0] if len(left) == 1 or left[0] != order[0] else None


def _graded(
    title: str, criteria: Sequence[Criterion], grade: Grade, order: Sequence[str], rows: str,
    evidence: Evidence, also: tuple[str, ...] = (),
) -> Finding | None:  # fmt: skip
    """The grade that the answers reach, and those still possible; None where nothing is known."""
    if all(c.met.unknown for c in criteria):
        return None
    answers = tuple(c.answer for c in criteria)
    left = [g for g in order if g in possible(answers, grade)]
    open_criteria = [criteria[n] for n in open_ones(answers, grade)]
    because = tuple(dict.fromkeys(f for c in criteria for f in c.met.because))
    words = [g.replace("_", " ") for g in left]
    asked = ", ".join(c.name for c in open_criteria)
    reached = _reached(left, order)
    if len(left) == 1:
        says = f"{title}: {words[0]}."
    elif reached:
        says = f"{title}: {words[0]} on what is known; could be {words[-1]}: not known: {asked}."
    else:
        says = f"{title}: {' or '.join(words)}; not known: {asked}."
    parts: dict[str, PartValue] = {c.part: c.met.answer for c in criteria}
    if len(left) > 1:
        parts |= {"still_possible": " or ".join(left), "lowest_possible": left[0],
                  "highest_possible": left[-1]}  # fmt: skip
    return Finding(
        says=says,
        status=Status.ANSWERED if reached else Status.UNKNOWN,
        category=reached,
        parts=parts,
        because=because,
        missing=tuple(dict.fromkeys(w for c in open_criteria for w in c.asks)),
        rests_on=(*evidence.under(rows), *(evidence.row(name) for name in also)),
    )


# -- nociplastic pain -----------------------------------------------------------------------------

_P = "pain.nociplastic."
_HISTORY = tuple(_P + n for n in ("history_touch", "history_movement", "history_pressure",
                                  "history_heat_or_cold"))  # fmt: skip
_COMORBIDITY = tuple(_P + n for n in ("sound_light_or_odour", "sleep_disturbance", "fatigue",
                                      "cognitive_problems"))  # fmt: skip
_EVOKED = tuple(_P + n for n in ("static_allodynia", "dynamic_allodynia", "heat_or_cold_allodynia",
                                 "after_sensation"))  # fmt: skip
DURATION, CHRONIC = "pain.duration", "pain.chronic"
# Diagnoses in a record that say that a pain is chronic.
CHRONIC_LOW_BACK, _CHRONIC_NECK = "pain.chronic_low_back", "pain.chronic_neck"
_REGIONAL = _P + "regional"
_ALL_NOCICEPTIVE, _ALL_NEUROPATHIC = _P + "entirely_nociceptive", _P + "entirely_neuropathic"
_GATE = (_REGIONAL, _ALL_NOCICEPTIVE, _ALL_NEUROPATHIC)
NOCIPLASTIC = (
    DURATION, CHRONIC, *_GATE,
    _P + "history_of_hypersensitivity", *_HISTORY, _P + "comorbidity", *_COMORBIDITY,
    _P + "evoked_hypersensitivity", *_EVOKED, CHRONIC_LOW_BACK, _CHRONIC_NECK,
)  # fmt: skip
NOCIPLASTIC_GRADES = ("not_met", "possible", "probable")


def nociplastic_grade(
    chronic: bool, regional: bool, beyond_nociceptive: bool, beyond_neuropathic: bool,
    history: bool, comorbidity: bool, evoked: bool,
) -> str:  # fmt: skip
    """The grade of nociplastic pain by its seven criteria."""
    gate = chronic and regional and beyond_nociceptive and beyond_neuropathic
    if not (gate and evoked):
        return "not_met"
    return "probable" if history and comorbidity else "possible"


def is_chronic(patient: Patient, evidence: Evidence) -> Known:
    """Whether the pain has lasted longer than three months, by its duration or as answered."""
    lasted = patient.latest(DURATION)
    if lasted is None:
        said = patient.has(CHRONIC)
        noted = any_of(patient.has(what) for what in (CHRONIC_LOW_BACK, _CHRONIC_NECK))
        return noted if said.unknown and noted.yes else said
    return Known("yes" if evidence.row("pain.chronic").met(lasted.number) else "no", (lasted,))


def _nociplastic_criteria(patient: Patient, evidence: Evidence) -> tuple[Criterion, ...]:
    return (
        Criterion(
            part="chronic",
            name=concept(CHRONIC).name,
            met=is_chronic(patient, evidence),
            asks=(DURATION,),
        ),
        _direct(_REGIONAL, patient),
        _denied(_ALL_NOCICEPTIVE, "pain that nociceptive pain does not explain entirely", patient),
        _denied(_ALL_NEUROPATHIC, "pain that neuropathic pain does not explain entirely", patient),
        _one_of(_P + "history_of_hypersensitivity", _HISTORY, patient),
        _one_of(_P + "comorbidity", _COMORBIDITY, patient),
        _one_of(_P + "evoked_hypersensitivity", _EVOKED, patient),
    )


@rule(
    "pain.iasp_nociplastic",
    reads=NOCIPLASTIC,
    scores="iasp_nociplastic",
    needs=_GATE,
)
def iasp_nociplastic(patient: Patient, evidence: Evidence) -> Finding | None:
    """Grade of nociplastic pain by the criteria of the IASP; there is no definite.

    Source      Kosek 2021, criteria 1 and 4 as restated by Nijs 2021 (pain.nociplastic.*,
                pain.chronic)
    Population  musculoskeletal pain
    Not for     central sensitisation, which is no synonym; children
    Differs     more than three months, or at least three, by the page
    """
    criteria = _nociplastic_criteria(patient, evidence)
    if all(c.met.unknown for c in criteria[1:]):  # a duration alone is no question of mechanism
        return None
    return _graded(
        "Nociplastic pain", criteria, nociplastic_grade, NOCIPLASTIC_GRADES, "pain.nociplastic.",
        evidence, ("pain.chronic",),
    )  # fmt: skip


# -- sensitisation --------------------------------------------------------------------------------

_S = "pain.sensitisation."
_PERIPHERAL = tuple(_S + n for n in ("hyperalgesia_at_site", "heat_more_than_cold",
                                     "inflammatory_signs"))  # fmt: skip
_CENTRAL = (
    *(_S + n for n in ("spread_beyond_site", "temporal_summation",
                       "reduced_conditioned_modulation")),
    _P + "dynamic_allodynia",
)  # fmt: skip
_DISPROPORTIONATE, _DIFFUSE = _S + "disproportionate", _S + "diffuse_distribution"


class Signs(Struct, frozen=True):
    """Signs of a sensitisation: there, not there, not asked."""

    there: tuple[str, ...]
    absent: tuple[str, ...]
    unasked: tuple[str, ...]
    because: tuple[Fact, ...]

    @property
    def answer(self) -> str:
        """Yes if one is there; no only if none is."""
        return "yes" if self.there else "unknown" if self.unasked else "no"

    @property
    def says(self) -> str:
        """The three in words."""
        told = (("there", self.there), ("not there", self.absent), ("not asked", self.unasked))
        return "; ".join(f"{w}: {', '.join(concept(x).name for x in n)}" for w, n in told if n)


def _signs(row: str, patient: Patient, evidence: Evidence) -> Signs:
    asked = [(str(x["asks"]), patient.has(str(x["asks"]))) for x in evidence.row(row).table]
    by = {a: tuple(w for w, k in asked if k.answer == a) for a in ("yes", "no", "unknown")}
    because = tuple(f for _, known in asked for f in known.because)
    return Signs(by["yes"], by["no"], by["unknown"], because)


@rule("pain.peripheral_sensitisation", reads=_PERIPHERAL, scores="peripheral_sensitisation")
def peripheral_sensitisation(patient: Patient, evidence: Evidence) -> Finding | None:
    """Signs of peripheral sensitisation, counted.

    Source      not held against a source (pain.sensitisation.peripheral)
    Population  musculoskeletal pain
    Not for     a mechanism by itself
    """
    signs = _signs("pain.sensitisation.peripheral", patient, evidence)
    if not signs.because:
        return None
    answer = signs.answer
    return Finding(
        says=f"Signs of peripheral sensitisation: {signs.says}.",
        status=Status.UNKNOWN if answer == "unknown" else Status.ANSWERED,
        value=float(len(signs.there)) if not signs.unasked else None,
        unit="" if signs.unasked else "1",
        category=None if answer == "unknown" else {"yes": "signs", "no": "no_signs"}[answer],
        because=signs.because,
        missing=signs.unasked,
        rests_on=(evidence.row("pain.sensitisation.peripheral"),),
    )


def central_order(disproportionate: bool, diffuse: bool, flagged: bool) -> str:
    """The steps for central sensitisation."""
    return "central" if disproportionate and (diffuse or flagged) else "not_central"


@rule(
    "pain.central_sensitisation",
    reads=(_DISPROPORTIONATE, _DIFFUSE, *answers_to(INVENTORY), *_CENTRAL),
    scores="central_sensitisation",
    needs=(_DISPROPORTIONATE,),
)
def central_sensitisation(patient: Patient, evidence: Evidence) -> Finding | None:
    """Central sensitisation by the steps of Nijs 2014, with its signs beside.

    Source      Nijs 2014, steps not read; inventory from 40 on (pain.sensitisation.order,
                pain.sensitisation.inventory, pain.sensitisation.central)
    Population  chronic pain that is not neuropathic
    Not for     a diagnosis; the inventory alone, which goes with distress
    Differs     another study's cut-off of the inventory is about 30
    """
    criteria = (
        _direct(_DISPROPORTIONATE, patient), _direct(_DIFFUSE, patient),
        _inventory(patient, evidence),
    )  # fmt: skip
    signs = _signs("pain.sensitisation.central", patient, evidence)
    known = [c for c in criteria[:2] if not c.met.unknown]
    if not known and not signs.because:
        return None  # the inventory alone says nothing of sensitisation
    answers = tuple(c.answer for c in criteria)
    left = tuple(possible(answers, central_order))
    one = len(left) == 1
    word = {"central": "central", "not_central": "not central"}
    open_criteria = [criteria[n] for n in open_ones(answers, central_order)]
    asked = ", ".join(c.name for c in open_criteria)
    found = word[left[0]] if one else f"open; not known: {asked}"
    return Finding(
        says=f"Sensitisation by the steps of 2014: {found}. Signs: {signs.says}.",
        status=Status.ANSWERED if one else Status.UNKNOWN,
        category=left[0] if one else None,
        parts={**{c.part: c.met.answer for c in criteria}, "signs": signs.answer},
        because=tuple(dict.fromkeys((*(f for c in criteria for f in c.met.because),
                                     *signs.because))),
        missing=tuple(dict.fromkeys((*(w for c in open_criteria for w in c.asks),
                                     *(w for c in criteria for w in c.firmer_with)))),
        rests_on=tuple(evidence.row(f"pain.sensitisation.{n}")
                       for n in ("order", "inventory", "inventory_groningen", "central")),
        limits=("Not for pain that may be neuropathic, which is excluded first.",),
    )  # fmt: skip


def _inventory(patient: Patient, evidence: Evidence) -> Criterion:
    row = evidence.row("pain.sensitisation.inventory")
    found = answered(INVENTORY, patient, evidence)
    asks = (f"questionnaire.{INVENTORY}.score",)
    name = f"Central Sensitization Inventory {row.text}"
    if found is None or found.score is None:
        return Criterion(part="inventory_flagged", name=name, met=UNKNOWN, asks=asks)
    met = Known("yes" if row.met(found.score) else "no", found.finding.because)
    return Criterion(
        part="inventory_flagged", name=name, met=met, asks=asks,
        firmer_with=found.finding.missing,
    )  # fmt: skip


# -- the mechanism --------------------------------------------------------------------------------

CONTRIBUTION = "pain.nociceptive.contribution"


def mechanism_of(neuropathic: str, nociplastic: str, tissue: bool) -> str:
    """The mechanism by both grades, and whether tissue damage is known to explain a part."""
    applies = [
        name
        for name, there in (
            ("neuropathic", neuropathic != NEUPSIG_GRADES[0]),
            ("nociplastic", nociplastic != NOCIPLASTIC_GRADES[0]),
            ("nociceptive", tissue),
        )
        if there
    ]
    return "mixed" if len(applies) > 1 else applies[0] if applies else "nociceptive"


class Weighed(Struct, frozen=True):
    """What every completion gives: mechanisms and how often; which answers decide most."""

    mechanisms: tuple[str, ...]
    deciding: tuple[tuple[int, float], ...]


@cache  # bounded: each answer is one of three
def weighed(neuro: Answers, noci: Answers, tissue: bool) -> Weighed:
    """Every completion of the missing answers, counted.

    The two grades share no answer, so that their ways are counted apart and multiplied. Answers
    are ranked by the share of what is open about the mechanism that they close on average; then,
    and where the mechanism is clear, by that about mechanism and grades.
    """
    by_mechanism, by_grades = _counted(neuro, noci, tissue)
    before = _uncertainty(by_mechanism), _uncertainty(by_grades)
    ranked = []
    for n in range(len(neuro) + len(noci)):
        at = n - len(neuro)
        if (neuro[n] if at < 0 else noci[at]) is not None:
            continue
        after = [0.0, 0.0]
        for answer in (True, False):
            ways = _counted(
                _with(neuro, n, answer) if at < 0 else neuro,
                noci if at < 0 else _with(noci, at, answer), tissue,
            )  # fmt: skip
            after = [a + _uncertainty(w) / 2 for a, w in zip(after, ways, strict=True)]
        closed = [(b - a) / b if b else 0.0 for a, b in zip(after, before, strict=True)]
        if closed[1] > 0:
            ranked.append((round(closed[0], 9), round(closed[1], 9), -n))
    ranked.sort(reverse=True)
    first = 0 if before[0] else 1
    return Weighed(tuple(by_mechanism), tuple((-r[2], r[first]) for r in ranked))


def _counted(
    neuro: Answers, noci: Answers, tissue: bool
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    mechanisms: Counter[str] = Counter()
    grades: Counter[str] = Counter()
    for a, m in possible(neuro, neupsig_grade).items():
        for b, n in possible(noci, nociplastic_grade).items():
            mechanism = mechanism_of(a, b, tissue)
            mechanisms[mechanism] += m * n
            grades[f"{mechanism} {a} {b}"] += m * n
    return mechanisms, grades


_MECHANISMS = ("nociceptive", "neuropathic", "nociplastic", "mixed")
_OWN = (*NEUPSIG, *NOCIPLASTIC, CONTRIBUTION)


@rule(
    "pain.mechanism",
    reads=tuple(dict.fromkeys((
        *_OWN, _DISPROPORTIONATE, _DIFFUSE, *_PERIPHERAL, *_CENTRAL, *FLAGS,
        *answers_to(INVENTORY, *SCREENING),
    ))),
    scores="pain_mechanism",
    needs=(*NEUPSIG[:2], *_GATE, _P + "evoked_hypersensitivity"),
    begins=("pain.",),
)  # fmt: skip
def pain_mechanism(patient: Patient, evidence: Evidence) -> Finding | None:
    """The mechanism that the evidence speaks for, its grade, and what would decide most.

    Source      Nijs 2015, BACPAP 2024, NeuPSIG and IASP grades (pain.order, pain.order.*,
                pain.neupsig.*, pain.nociplastic.*)
    Population  low back pain; other spinal pain by the same criteria
    Not for     a diagnosis: for research and to support a decision
    """
    first = emergency(patient, evidence)
    rows = (*evidence.under("pain.order"), *evidence.under("pain.neupsig."),
            *evidence.under("pain.nociplastic."), evidence.row("pain.chronic"))  # fmt: skip
    if first is not None:
        return held_back("Mechanism of the pain", first, rows)
    neuro, noci = _neupsig_criteria(patient), _nociplastic_criteria(patient, evidence)
    tissue = patient.has(CONTRIBUTION)
    if tissue.unknown and all(c.met.unknown for c in (*neuro, *noci[1:])):
        return None
    criteria = (*neuro, *noci)
    answers = tuple(c.answer for c in neuro), tuple(c.answer for c in noci)
    found = weighed(*answers, tissue.yes)
    grades = _grades_left(*answers)
    deciding = [(criteria[n], share) for n, share in found.deciding]
    one = len(found.mechanisms) == 1
    category = found.mechanisms[0] if one else "undetermined"
    turns = one and tissue.unknown and category in ("neuropathic", "nociplastic")
    missing = [w for c, _ in deciding for w in c.asks] + ([CONTRIBUTION] if turns else [])
    if patient.has(ANY).unknown:
        missing.append(ANY)
    evidence_parts, beside = _for_and_against(neuro, noci, tissue, patient, evidence)
    because = (*(f for c in criteria for f in c.met.because), *tissue.because, *beside)
    parts: dict[str, PartValue] = {
        **grades,
        **({} if one else {"still_possible": " or ".join(
            m for m in _MECHANISMS if m in found.mechanisms)}),
        **({"decides_most": deciding[0][0].asks[0],
            "deciding": ", ".join(f"{c.name} ({100 * share:.0f} %)" for c, share in deciding)}
           if deciding else {}),
        **evidence_parts,
    }  # fmt: skip
    conflict = _conflict(grades, noci)
    if conflict:
        parts["contradiction"] = conflict
    return Finding(
        says=_told(category, parts, deciding, conflict),
        status=Status.ANSWERED if one else Status.UNKNOWN,
        category=category,
        parts=parts,
        because=tuple(dict.fromkeys(because)),
        missing=tuple(dict.fromkeys(missing)),
        rests_on=rows,
        limits=(RESEARCH, "Not for pain with an open emergency flag."),
    )


def _grades_left(neuro: Answers, noci: Answers) -> dict[str, PartValue]:
    """Each grade that is reached, and those still possible."""
    found: dict[str, PartValue] = {}
    for name, answers, grade, order in (
        ("neuropathic", neuro, neupsig_grade, NEUPSIG_GRADES),
        ("nociplastic", noci, nociplastic_grade, NOCIPLASTIC_GRADES),
    ):
        left = [g for g in order if g in possible(answers, grade)]
        found[name] = _reached(left, order)
        if len(left) > 1:
            found[f"{name}_still_possible"] = " or ".join(left)
    return found


def _for_and_against(
    neuro: Sequence[Criterion], noci: Sequence[Criterion], tissue: Known, patient: Patient,
    evidence: Evidence,
) -> tuple[dict[str, PartValue], tuple[Fact, ...]]:  # fmt: skip
    """What speaks for and against each mechanism, in words, and the facts beside the criteria."""
    lines: dict[str, list[str]] = {}
    for mechanism, criteria in (("neuropathic", neuro), ("nociplastic", noci)):
        lines[f"for_{mechanism}"] = [c.name for c in criteria if c.met.yes]
        lines[f"against_{mechanism}"] = [f"no {c.name}" for c in criteria if c.met.no]
    beside: list[Fact] = []
    for form in SCREENING:
        score = answered(form, patient, evidence)
        if score is not None and score.score is not None and score.band:
            against = score.band in ("not_neuropathic", "unlikely")
            way = "against" if against else "for"
            if score.band != "unclear":
                lines[f"{way}_neuropathic"].append(f"{score.name} {score.score:g} (supports only)")
            beside += score.finding.because
    lines["for_nociceptive"] = [concept(CONTRIBUTION).name] if tissue.yes else []
    parts: dict[str, PartValue] = {k: "; ".join(v) for k, v in lines.items() if v}
    for kind in ("peripheral", "central"):
        signs = _signs(f"pain.sensitisation.{kind}", patient, evidence)
        parts[f"{kind}_sensitisation_signs"] = signs.answer
        beside += signs.because
    central = central_sensitisation(patient, evidence)
    if central and central[0].category:
        parts["central_sensitisation"] = central[0].category
        beside += central[0].because
    return parts, tuple(beside)


def _conflict(grades: Mapping[str, PartValue], noci: Sequence[Criterion]) -> str:
    """Answers that contradict each other, in words; empty where none do."""
    whole = {"nociceptive": noci[2].met.no, "neuropathic": noci[3].met.no}
    graded = grades["neuropathic"]
    if all(whole.values()):
        return "both nociceptive and neuropathic pain are said to explain it entirely"
    if whole["neuropathic"] and graded == NEUPSIG_GRADES[0]:
        return "neuropathic pain is said to explain it entirely, and is graded unlikely"
    if whole["nociceptive"] and graded not in (None, NEUPSIG_GRADES[0]):
        return f"nociceptive pain is said to explain it entirely; neuropathic is graded {graded}"
    return ""


def _told(
    category: str, parts: Mapping[str, PartValue], deciding: list[tuple[Criterion, float]],
    conflict: str,
) -> str:  # fmt: skip
    graded = [
        f"{name} pain "
        f"{str(parts.get(f'{name}_still_possible', parts[name])).replace('_', ' ')}"
        for name in ("neuropathic", "nociplastic")
    ]  # fmt: skip
    between = f" ({parts['still_possible']})" if "still_possible" in parts else ""
    told = f"Mechanism: {category}{between}; {', '.join(graded)}."
    if deciding:
        first, share = deciding[0]
        told += f" Most would be decided by: {first.name} ({100 * share:.0f} % of what is open)."
    return told + (f" Contradiction: {conflict}." if conflict else "")
