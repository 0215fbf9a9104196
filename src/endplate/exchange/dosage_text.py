"""Doses as people write them: "1-2 tablets every 4-6 hours as needed", "10 mg BID", "1-0-1".

What stands in a range, or is taken as needed, has a highest and a least day, and both are kept;
whatever is taken for granted is said. A text of which any number is left over is not understood,
and gives no dose: it may have been the one that counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from endplate import vocabulary
from endplate.medicines.doses import LOCAL_WORDS

# -- words ------------------------------------------------------------------------------------

_WORDS = {
    "one-half": "0.5", "one half": "0.5", "half a": "0.5", "half": "0.5", "one": "1", "two": "2",
    "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "twelve": "12", "once": "1 times", "twice": "2 times", "thrice": "3 times",
}  # fmt: skip
_WORD = re.compile(rf"\b(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b")
_MASS = {
    "mg": 1.0, "mgs": 1.0, "milligram": 1.0, "milligrams": 1.0, "mcg": 1e-3, "ug": 1e-3,
    "microgram": 1e-3, "micrograms": 1e-3, "g": 1e3, "gm": 1e3, "gram": 1e3, "grams": 1e3,
}  # fmt: skip
_MASS_WORDS = "|".join(sorted(_MASS, key=len, reverse=True))
_PIECE_WORDS = (
    r"tablets?|tabs?|tbl|capsules?|caps?|pills?|patch(?:es)?|plasters?|lozenges?|films?|"
    r"suppositor(?:y|ies)|pieces?|doses?|each|ea"
)
_VOLUME_WORDS = r"ml|millilit(?:er|re)s?"
_HOUR = r"(?:hours?|hrs?|h)"
_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = rf"(?P<low>{_NUMBER})(?:\s*-\s*(?P<high>{_NUMBER}))?"
_AN_HOUR = rf"\s*(?:/|per|an)\s*{_HOUR}\b"

PATCH = re.compile(r"\b(patch(?:es)?|transdermal|plasters?|tts|matrix)\b", re.IGNORECASE)
LONG_ACTING = re.compile(
    r"\b(extended[- ]release|sustained[- ]release|modified[- ]release|prolonged[- ]release|"
    r"controlled[- ]release|long[- ]acting|(?:8|12|24) ?hr|er|xr|sr|la|retard|contin|oxycontin)\b",
    re.IGNORECASE,
)
INJECTED = re.compile(
    r"\b(inject\w*|intraven\w*|i\.?v\.?|intramusc\w*|i\.?m\.?|subcut\w*|s\.?c\.?|infus\w*|"
    r"epidural\w*|intrathecal\w*|ampoules?|parenteral|syringe|pca)\b",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    rf"\b({LOCAL_WORDS}|paste|nose|respiratory|metered dose|dry powder|rectal|intra-?articular)\b",
    re.IGNORECASE,
)
# On the skin, in the eye or in the airways these are not what rules mean by them.
_SYSTEMIC = frozenset({"medicine.glucocorticoid", "medicine.nsaid"})
# A line of a list that says of a medicine that it is not taken.
_NOT_TAKEN = re.compile(
    r"^\W*(?:no|not|stop|past|former|previous|(?:do not|don't|never) (?:take|use)|denies|refuses)\b"
    r"|\b(?:stopped|discontinued|ceased|not tak(?:en|ing)|no longer|on hold|refused|allerg\w+|"
    r"intoleran\w+|formerly|previously)\b",
    re.IGNORECASE,
)


class Amount(NamedTuple):
    """How much, from the least to the most; the unit is mg, ug/h, mL or piece."""

    low: float
    high: float
    unit: str


class Strength(NamedTuple):
    """How many mg (or, of a patch, ug/h) are in one piece or one mL."""

    number: float
    unit: str
    per: str


class Sig(NamedTuple):
    """One instruction: how much, how often in a day, and what was taken for granted."""

    amount: Amount | None = None
    times: tuple[float, float] | None = None
    as_needed: bool = False
    most: Amount | None = None
    strength: Strength | None = None
    assumed: tuple[str, ...] = ()
    unclear: str = ""
    beside: float | None = None  # mg that stand beside several pieces: of each, or of all
    is_total: bool = False  # the amount is that of the whole day


Details = dict[str, float | str]


# -- a text -----------------------------------------------------------------------------------


def plainly(text: str) -> str:
    """A text in small letters, with figures for number words and one kind of dash and unit."""
    said = text.lower().replace("µ", "u").replace("μ", "u").replace("½", " 1/2").replace("×", "x")
    said = re.sub(r"[‐‑–—]", "-", said)
    said = re.sub(r"(?<=[1-9]),(?=\d{3}(?!\d))", "", said)
    said = re.sub(r"(?<=\d),(?=\d{1,2}(?!\d))", ".", said)
    said = _WORD.sub(lambda m: _WORDS[m[0]], said)
    said = re.sub(r"(?<![\d/])(\d+) (?:and )?1/2\b", lambda m: f"{m[1]}.5", said)
    said = re.sub(r"(?<![\d/])1/2\b(?! ?/)", "0.5", said)
    said = re.sub(rf"({_NUMBER})\s*(?:to|or)\s*({_NUMBER})", r"\1-\2", said)
    said = re.sub(rf"({_NUMBER}) \(\1\)", r"\1", said)  # 1 (one) tablet
    said = re.sub(r"\b(every|each) hour\b", r"\1 1 hour", said)
    said = re.sub(rf"(\d)\s*({_MASS_WORDS})\s*-\s*(\d)", r"\1-\3", said)  # 5 mg to 10 mg
    said = re.sub(r"\b([a-z])\.([a-z])\.(?:([a-z])\.)?", r"\1\2\3", said)  # b.i.d.
    return " ".join(said.split())


_NEEDED = re.compile(
    r"\b(?:prn|(?:as|if|when)(?: it is)? (?:needed|required|necessary)|on demand)\b"
)
_NOT_EXCEED = (
    r"(?:max(?:imum)?(?: daily)?(?: dose)?(?: of)?|up to|no more than|not more than|"
    r"(?:do )?not (?:to )?exceed)[ :=]*"
)
_A_DAY = (
    rf"(?:(?:/|per|a|an|in|in a|in any|each|every|within)\s*(?:1\s*)?(?:day|24\s*-?{_HOUR})|daily)"
)
_MOST = re.compile(
    rf"{_NOT_EXCEED}(?P<high>{_NUMBER})\s*(?P<unit>{_MASS_WORDS}|{_PIECE_WORDS})?\s*{_A_DAY}\b"
)
_MOST_DAILY = re.compile(
    rf"\bmax(?:imum)? daily(?: dose)?(?: of)?[ :=]*(?P<high>{_NUMBER})\s*"
    rf"(?P<unit>{_MASS_WORDS}|{_PIECE_WORDS})?\b"
)
# Numbers that do not belong to the dose: how long, how many handed out.
_ASIDE = re.compile(
    r"\b(?:for|x)\s*(?:up to |the next |another )?\d+(?:\s*-\s*\d+)? ?(?:days?|weeks?|wks?|months?)"
    r"|(?:dispense|disp|quantity|qty|#)[ :#]*\d+(?: \w+)?|\b\d+ refills?|refills?[ :]*\d+"
    r"|\bwith \d+ ?(?:oz|ounces?) [a-z ]*"
    r"|^\d+ ?(?:hr|hour)s? (?=[a-z])"
    r"|(?<!every )(?<!each )\b\d+ ?-?(?:hr|hour)s? (?=patch|tablet|capsule|extended|transdermal)"
    r"|\bin \d+(?:\s*-\s*\d+)? (?:equally )?divided doses\b"
)
_TURNS = re.compile(
    r"\b(then|taper\w*|increas\w*|decreas\w*|reduc\w*|titrat\w*|alternat\w*|except|skip|wean\w*|"
    r"followed by|loading|once only|stat|single dose|day \d|week \d)\b"
)
_OTHER_TIMES = re.compile(
    r"\b(was|were|formerly|previous(?:ly)?|instead of|no longer|stopped|discontinued?|ceased|"
    r"not tak(?:en|ing)|(?:do not|don't|never) (?:take|use)(?=$|[.,;]| (?:this|it)\b| \d))\b"
)
_BY_SIZE = re.compile(
    rf"(?:{_MASS_WORDS}|{_VOLUME_WORDS})\s*(?:/|per)\s*"
    r"(?:kgs?|kilos?|kilograms?|lbs?|pounds?|m2|m\^2|m²|sqm|square)(?![a-z])"
)
_SCHEME = re.compile(r"(?<![\d.-])(\d(?:\.\d+)?(?:\s*-\s*\d(?:\.\d+)?){2,3})(?![\d.-])")
_INTERVAL = re.compile(
    rf"(?:\b(?:every|each|q)\s*)({_NUMBER})(?:\s*-\s*({_NUMBER}))?\s*-?"
    rf"({_HOUR}|days?|d|weeks?|wk|minutes?|min)\b"
)
_OTHER_DAY = re.compile(r"\b(?:every other day|every second day|qod|q2d|alternate days)\b")
_TIMES = re.compile(
    rf"\b(?P<to>up to )?(?P<low>{_NUMBER})(?:\s*-\s*(?P<high>{_NUMBER}))?\s*(?:x|times?)\s*"
    rf"(?:/|per|a|each|every|in)?\s*(?P<per>day|daily|d|24 ?h(?:ours)?|week|weekly|wk)\b"
)
_LATIN = re.compile(r"\b(?:(bid|bd)|(tid|tds)|(qid|qds)|(qd|od|qam|qpm|qhs|hs|nightly|nocte))\b")
_PARTS_OF_DAY = re.compile(
    r"\b(?:(mornings?|breakfast|am)|(noon|midday|lunch)|(evenings?|dinner|supper|pm|afternoons?)"
    r"|(bedtime|(?:at|every|each) night))\b"
)
_DAILY = re.compile(r"\b(?:daily|every day|each day|a day|per day)\b|/ ?d(?:ay)?\b")
_ONCE = re.compile(r"\b1 times\b")
_BARE = re.compile(rf"{_RANGE}(?![\d.])")
_THOUSANDS = re.compile(r"[1-9],\d{3}(?!\d)")
_OF_EACH = re.compile(rf"\bof\s+{_NUMBER}\s*(?:{_MASS_WORDS})\b")
_IN_ALL = re.compile(rf"{_RANGE}\s*(?P<unit>{_MASS_WORDS}) (?:in )?total\b")
_WEEKLY = re.compile(r"\b(?:1 times )?(?:weekly|every week|a week|per week|each week|/week)\b")
_MONTHLY = re.compile(r"\b(?:1 times )?(?:monthly|every month|a month|per month)\b")
_DAYS_OF = {"week": 7.0, "month": 30.0}
_LATIN_TIMES = (2.0, 3.0, 4.0, 1.0)

_RATE = re.compile(rf"{_RANGE}\s*(?P<unit>mcg|ug|micrograms?|mg|milligrams?){_AN_HOUR}")
_TIMES_MASS = re.compile(rf"(?P<n>{_NUMBER})\s*x\s*(?P<m>{_NUMBER})\s*(?P<unit>{_MASS_WORDS})\b")
_PIECES_OF = re.compile(
    rf"\b(?P<n>{_NUMBER})\s+(?P<m>{_NUMBER})\s*-?(?P<unit>{_MASS_WORDS})\s*(?:{_PIECE_WORDS})\b"
)
_MASS_PER_ML = re.compile(
    rf"(?P<m>{_NUMBER})\s*(?P<unit>{_MASS_WORDS})\s*(?:/|per)\s*(?P<n>{_NUMBER})?\s*(?:{_VOLUME_WORDS})\b"
)
_MASS_PIECE = re.compile(rf"{_RANGE}\s*-?(?P<unit>{_MASS_WORDS})\s*(?:{_PIECE_WORDS})\b")
_MASS_AMOUNT = re.compile(rf"{_RANGE}\s*(?P<unit>{_MASS_WORDS})\b")
_VOLUME = re.compile(rf"{_RANGE}\s*(?:{_VOLUME_WORDS})\b")
_PIECES = re.compile(rf"{_RANGE}\s*(?:{_PIECE_WORDS})\b")
_A_PIECE = re.compile(rf"\b(?:an?|take|apply)\s+(?:{_PIECE_WORDS})\b")


class _Text:
    """A text of which the parts that were understood are struck out one after the other."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def strike(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.search(self.rest)
        if found:
            self.rest = f"{self.rest[: found.start()]} ~ {self.rest[found.end() :]}"
        return found


@lru_cache(maxsize=8192)
def read_sig(text: str) -> Sig:
    """What an instruction in words says; with `unclear`, and no amount, where it is not clear."""
    said = plainly(text)
    if _TURNS.search(said):
        return Sig(unclear="it changes over time, or says so")
    if _OTHER_TIMES.search(said):
        return Sig(unclear="it speaks of another time, or of not taking it")
    if _BY_SIZE.search(said):
        return Sig(unclear="it is by body weight or surface")
    there = _Text(_ASIDE.sub(" ~ ", said))
    most = _most(there)
    parts = re.split(r"\s*(?:;|\+|,? \band\b|,? \bplus\b|, )\s*", there.rest)
    several = [p for p in parts if _amounts_in(p)]
    if len(several) > 1 and len(several) == len([p for p in parts if _times(_Text(p))[0]]):
        found = _added([_one(_Text(p), None) for p in several])._replace(most=most)
    else:
        found = _one(there, most)
    if _THOUSANDS.search(text):
        found = found._replace(assumed=(*found.assumed, "the comma parts thousands"))
    return found


def _amounts_in(text: str) -> bool:
    return bool(_MASS_AMOUNT.search(text) or _PIECES.search(text) or _VOLUME.search(text))


def _added(sigs: list[Sig]) -> Sig:
    """Amounts that are taken at different times of one day, as one sum a day."""
    first = sigs[0]
    if any(s.unclear or s.amount is None or s.times is None for s in sigs):
        return Sig(unclear=next((s.unclear for s in sigs if s.unclear), "a part has no dose"))
    amounts = [(s.amount, s.times) for s in sigs if s.amount and s.times]
    if len({a.unit for a, _ in amounts}) > 1:
        return Sig(unclear="its parts have different units")
    low = sum(s.amount.low * s.times[0] for s in sigs if s.amount and s.times and not s.as_needed)
    high = sum(a.high * t[1] for a, t in amounts)
    return Sig(
        amount=Amount(low, high, amounts[0][0].unit), times=(1.0, 1.0),
        as_needed=all(s.as_needed for s in sigs), strength=first.strength,
        assumed=("the amounts of one day are added up",), is_total=True,
    )  # fmt: skip


def _one(text: _Text, most: Amount | None) -> Sig:
    """One amount with one frequency."""
    needed = text.strike(_NEEDED) is not None
    scheme = text.strike(_SCHEME)
    if scheme:
        return _by_scheme(scheme[1], text, needed, most)
    found = _amount(text)
    times, more = _times(text)
    again = _times(_Text(_DAILY.sub(" ", text.rest)))[0] if times else None
    if again is not None and again != times:
        return Sig(as_needed=needed, unclear="it says two frequencies")
    text.strike(_ONCE)
    found = _bare(found, text)
    if re.search(r"\d", text.rest):
        return Sig(as_needed=needed, unclear="a number in it was not understood")
    return found._replace(times=times, as_needed=needed, most=most, assumed=(*found.assumed, *more))


def _bare(found: Sig, text: _Text) -> Sig:
    """A lone number left over, as in "5 mg tablet, 1 every 6 hours", stands for pieces."""
    if found.amount is not None and _ONE_PIECE not in found.assumed:
        return found
    if len(_BARE.findall(text.rest)) != 1 or not (number := text.strike(_BARE)):
        return found
    return found._replace(
        amount=Amount(*_both(number), "piece"), assumed=("the number stands for pieces",)
    )


def _most(text: _Text) -> Amount | None:
    found = text.strike(_MOST_DAILY) or text.strike(_MOST)
    if not found:
        return None
    number, unit = float(found["high"]), found["unit"] or "piece"
    if unit in _MASS:
        return Amount(number * _MASS[unit], number * _MASS[unit], "mg")
    return Amount(number, number, "piece")


def _by_scheme(scheme: str, text: _Text, needed: bool, most: Amount | None) -> Sig:
    """Pieces in the morning, at noon, in the evening and at night: 1-0-1."""
    taken = [float(n) for n in re.split(r"\s*-\s*", scheme)]
    strength = _strength_in(text)
    if re.search(r"\d", text.rest):
        return Sig(as_needed=needed, unclear="a number in it was not understood")
    total = sum(taken)
    return Sig(
        Amount(total, total, "piece"), (1.0, 1.0), needed, most, strength,
        ("the figures are pieces in the morning, at noon, in the evening (and at night)",),
        is_total=True,
    )  # fmt: skip


def _strength_in(text: _Text) -> Strength | None:
    found = text.strike(_MASS_PIECE) or text.strike(_MASS_AMOUNT)
    return Strength(float(found["low"]) * _MASS[found["unit"]], "mg", "piece") if found else None


_ONE_PIECE = "one piece at a time"


def _amount(text: _Text) -> Sig:
    """How much is taken, and how much is in a piece or a mL where the text says that as well."""
    if rate := text.strike(_RATE):
        patches = text.strike(_PIECES)
        factor = 1.0 if rate["unit"].startswith(("mc", "ug", "mic")) else 1e3
        number = float(patches["low"]) if patches else 1.0
        return Sig(Amount(*_both(rate, factor * number), "ug/h"))
    if found := text.strike(_TIMES_MASS) or text.strike(_PIECES_OF):
        number = float(found["n"]) * float(found["m"]) * _MASS[found["unit"]]
        return Sig(Amount(number, number, "mg"))
    if found := text.strike(_IN_ALL):
        text.strike(_PIECES)
        return Sig(Amount(*_both(found, _MASS[found["unit"]]), "mg"))
    strength = None
    if found := text.strike(_MASS_PER_ML):
        per = float(found["n"] or 1)
        strength = Strength(float(found["m"]) * _MASS[found["unit"]] / per, "mg", "mL")
    if volume := text.strike(_VOLUME):
        if mass := text.strike(_MASS_AMOUNT):
            return Sig(Amount(*_both(mass, _MASS[mass["unit"]]), "mg"), strength=strength)
        return Sig(Amount(*_both(volume), "mL"), strength=strength)
    of_each = _OF_EACH.search(text.rest)
    one_piece = text.strike(_MASS_PIECE)
    pieces = text.strike(_PIECES)
    if one_piece:
        return _of_strength(one_piece, pieces, text)
    mass = text.strike(_MASS_AMOUNT)
    if mass and pieces:
        return _mass_and_pieces(mass, pieces, is_each=of_each is not None)
    if mass:
        return Sig(Amount(*_both(mass, _MASS[mass["unit"]]), "mg"), strength=strength)
    if pieces:
        return Sig(Amount(*_both(pieces), "piece"))
    return Sig(Amount(1.0, 1.0, "piece") if text.strike(_A_PIECE) else None, strength=strength)


def _of_strength(one_piece: re.Match[str], pieces: re.Match[str] | None, text: _Text) -> Sig:
    """ "5 mg tablet", with or without how many of them."""
    low, high = _both(one_piece, _MASS[one_piece["unit"]])
    if one_piece["high"]:
        if pieces:
            return Sig(unclear="the strength of a piece is a range")
        return Sig(Amount(low, high, "mg"))
    strength = Strength(high, "mg", "piece")
    if pieces:
        return Sig(Amount(*_both(pieces), "piece"), strength=strength)
    text.strike(_A_PIECE)
    return Sig(Amount(high, high, "mg"), strength=strength, assumed=(_ONE_PIECE,))


def _mass_and_pieces(mass: re.Match[str], pieces: re.Match[str], *, is_each: bool) -> Sig:
    """ "1 tablet (10 mg)": with more than one piece it may be the mass of each or of all."""
    low, high = _both(pieces)
    total = _both(mass, _MASS[mass["unit"]])
    in_brackets = pieces.string[: pieces.start()].rstrip().endswith("(")
    if in_brackets or (low == high == 1.0 and not is_each):
        return Sig(Amount(*total, "mg"))
    bracketed = mass.string[: mass.start()].rstrip().endswith("(")
    is_each = is_each or (mass.start() < pieces.start() and not bracketed)
    if is_each and not mass["high"]:
        return Sig(Amount(low, high, "piece"), strength=Strength(total[1], "mg", "piece"))
    return Sig(Amount(low, high, "piece"), beside=total[1])


def _both(found: re.Match[str], factor: float = 1.0) -> tuple[float, float]:
    low = float(found["low"])
    high = float(found["high"] or low)
    return min(low, high) * factor, max(low, high) * factor


def _times(text: _Text) -> tuple[tuple[float, float] | None, list[str]]:
    """How often a day, from the least to the most."""
    if found := text.strike(_INTERVAL):
        each, longest = float(found[1]), float(found[2] or found[1])
        unit = found[3]
        day = 24.0 if unit.startswith("h") else 1440.0 if unit.startswith("m") else 1.0
        if unit.startswith("w"):
            day = 1 / 7
        if not each or not longest:
            return None, []
        return (day / max(each, longest), day / min(each, longest)), []
    if text.strike(_OTHER_DAY):
        return (0.5, 0.5), []
    if found := text.strike(_TIMES):
        per = 7.0 if found["per"].startswith("w") else 1.0
        low, high = float(found["low"]), float(found["high"] or found["low"])
        said = ["no fewest times are given"] if found["to"] else []
        return (0.0 if found["to"] else min(low, high) / per, max(low, high) / per), said
    if found := text.strike(_LATIN):
        times = next(n for n, group in zip(_LATIN_TIMES, found.groups(), strict=True) if group)
        return (times, times), []
    for pattern, name in ((_WEEKLY, "week"), (_MONTHLY, "month")):
        if text.strike(pattern):
            return (1 / _DAYS_OF[name], 1 / _DAYS_OF[name]), []
    parts = {m.lastindex for m in _PARTS_OF_DAY.finditer(text.rest)}
    if parts:
        text.rest = _PARTS_OF_DAY.sub(" ~ ", text.rest)
        return (float(len(parts)), float(len(parts))), []
    if text.strike(_DAILY):
        return (1.0, 1.0), []
    return None, []


# -- a product --------------------------------------------------------------------------------

_BETWEEN = re.compile(r"\s*[/+,;]\s*|\s+and\s+")
# A stroke parts two medicines where a word follows; in "10 mg/5 mL" it does not.
_BETWEEN_STRENGTHS = re.compile(r"\s+/\s+|/(?=[^\W\d_]{5})|\s*[+;]\s*|,\s+|\s+and\s+|\s+with\s+")
_SIDE_BY_SIDE = re.compile(
    rf"(?<![\d.])({_NUMBER})\s*(?:mg)?\s*[-/]\s*({_NUMBER})\s*(?:mg\b|$|[\s,;])", re.IGNORECASE
)


@lru_cache(maxsize=8192)
def ingredients_in(text: str) -> tuple[str, ...]:
    """The medicines of the vocabulary that a product's words name, in their order."""
    found: dict[str, None] = {}
    for part in _BETWEEN.split(text):
        name = vocabulary.named_in(part, "medicine.")
        names = [name]
        if name is None and "-" in part:  # hydrocodone-acetaminophen
            pieces = re.split(r"(?<=[^\W\d])-(?=[^\W\d])", part)
            names = [vocabulary.named_in(piece, "medicine.") for piece in pieces]
        found |= dict.fromkeys(n for n in names if n is not None)
    return tuple(found)


@lru_cache(maxsize=8192)
def strength_of(product: str, ingredient: str) -> Strength | None:
    """How much of one ingredient is in a piece or a mL of a product, by its words."""
    named = ingredients_in(product)
    aligned = _SIDE_BY_SIDE.search(product)
    beside = product[: aligned.start()] + product[aligned.end() :] if aligned else product
    if aligned and len(named) == 2 and not re.search(r"\d\s*mg\b", beside.lower()):
        if ingredient in named:
            return Strength(float(aligned[1 + named.index(ingredient)]), "mg", "piece")
        return None
    for part in _BETWEEN_STRENGTHS.split(product):
        if ingredient in ingredients_in(part) or len(named) == 1:
            found = _strength(plainly(part), is_patch=bool(PATCH.search(product)))
            if found:
                return found
    return None


def strengths_in(product: str) -> tuple[Strength | None, ...]:
    """The strengths of the ingredients of a product that has several; else none."""
    named = ingredients_in(product)
    return tuple(strength_of(product, name) for name in named) if len(named) > 1 else ()


def _strength(part: str, *, is_patch: bool) -> Strength | None:
    if rate := _RATE.search(part):
        factor = 1.0 if rate["unit"].startswith(("mc", "ug", "mic")) else 1e3
        return Strength(round(float(rate["low"]) * factor, 6), "ug/h", "piece")
    if liquid := _MASS_PER_ML.search(part):
        per = float(liquid["n"] or 1)
        return Strength(float(liquid["m"]) * _MASS[liquid["unit"]] / per, "mg", "mL")
    solid = [m for m in _MASS_AMOUNT.finditer(part) if not m["high"]]
    if len(solid) != 1:
        return None
    number, unit = float(solid[0]["low"]), solid[0]["unit"]
    if is_patch and _MASS[unit] < 1:
        return Strength(number, "ug/h", "piece")  # patches are named by their rate
    return None if is_patch else Strength(number * _MASS[unit], "mg", "piece")


def is_meant(ingredient: str, words: str) -> bool:
    """Whether a product is what rules mean by an ingredient; a gel is no tablet."""
    is_by_any_route = _SYSTEMIC.isdisjoint((ingredient, *vocabulary.ancestors(ingredient)))
    return is_by_any_route or not _LOCAL.search(words)


def is_not_taken(line: str) -> bool:
    """Whether a line of a list says that the medicine in it is not taken."""
    return _NOT_TAKEN.search(line) is not None


def form_of(words: str) -> str:
    """``patch``, ``injection`` or ``long_acting``, where the words say so; else empty."""
    if PATCH.search(words):
        return "patch"
    if INJECTED.search(words):
        return "injection"
    return "long_acting" if LONG_ACTING.search(words) else ""


# -- a day ------------------------------------------------------------------------------------


class Day(NamedTuple):
    """What one instruction comes to: a dose, how often, and the highest and least of a day."""

    dose: float
    unit: str
    times: tuple[float, float]
    high: float
    least: float
    as_needed: bool
    assumed: tuple[str, ...]
    is_total: bool = False


_COUNTS = frozenset({0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0})  # pieces that are taken at a time


def day_of(
    sig: Sig,
    strength: Strength | None,
    *,
    is_patch: bool,
    of_product: Sequence[Strength | None] = (),
) -> Day | str:
    """The day that an instruction makes, or why none can be given.

    Parameters
    ----------
    strength
        That of the ingredient whose day is asked for.
    of_product
        The strengths of all ingredients of the product, where it has several.
    """
    if sig.unclear:
        return sig.unclear
    if sig.amount is None:
        return "it does not say how much"
    if of_product:
        sig = _in_pieces(sig, of_product)
        if sig.unclear:
            return sig.unclear
    if sig.beside is not None and not _fits(sig, strength):
        return "the mass beside the pieces may be that of one or of all"
    strength = sig.strength or strength
    assumed = list(sig.assumed)
    amount = _massed(sig.amount, strength)
    if isinstance(amount, str):
        return amount
    if amount.unit == "mg" and is_patch:
        if amount.high >= 1:
            return "a patch needs its rate in ug/h"
        amount = Amount(amount.low * 1e3, amount.high * 1e3, "ug/h")
        assumed.append("the amount of a patch is its rate in ug/h")
    if amount.unit == "ug/h":
        if not is_patch:
            assumed.append("a rate in ug/h is that of a patch")
        assumed.append("worn all day; not divided by the days of wear")
        least = 0.0 if sig.as_needed else amount.low
        times = sig.times or (0.0, 0.0)
        return Day(amount.high, "ug/h", times, amount.high, least, sig.as_needed, tuple(assumed))
    if sig.times is None:
        if sig.most is None:
            return "it does not say how often"
        most = _massed(sig.most, strength)
        if isinstance(most, str):
            return most
        assumed.append("how often is not said; the most in a day is")
        return Day(amount.high, "mg", (0.0, 0.0), most.high, 0.0, sig.as_needed, tuple(assumed))
    low, high = sig.times
    if high < 1:
        assumed.append("counted on a day on which it is taken")
        low, high = 1.0, 1.0
    total, least = amount.high * high, amount.low * low
    if sig.most is not None:
        most = _massed(sig.most, strength)
        if isinstance(most, str):
            return most
        if most.high < total:
            total = most.high
            assumed.append("no more than the most that is allowed in a day")
    if sig.as_needed:
        assumed.append("as needed: the highest day counts, the least is none")
        least = 0.0
    elif least < total and (low != high or amount.low != amount.high):
        assumed.append("of a range the highest counts")
    return Day(
        amount.high, "mg", sig.times, total, min(least, total), sig.as_needed, tuple(assumed),
        sig.is_total,
    )  # fmt: skip


def _in_pieces(sig: Sig, strengths: Sequence[Strength | None]) -> Sig:
    """An amount in mg of a product with several ingredients in pieces: its number tells of which.

    It stays unclear where the number may be that of either, or is that of none.
    """
    assumed = list(sig.assumed)
    most = sig.most if sig.most is None or sig.most.unit != "mg" else None
    if most is not sig.most:
        assumed.append("the most in a day is in mg of one of several ingredients: not applied")
    amount = sig.amount
    if amount is not None and amount.unit == "mg" and sig.strength is None:
        solid = {
            s.number for s in strengths if s and s.number and (s.unit, s.per) == ("mg", "piece")
        }
        fitting = [
            Amount(amount.low / of, amount.high / of, "piece")
            for of in solid
            if {amount.low / of, amount.high / of} <= _COUNTS
        ]
        if len(fitting) != 1:
            return Sig(unclear="its mg may be those of any of its ingredients")
        amount = fitting[0]
        assumed.append("its mg are those of the ingredient whose strength they fit")
    return sig._replace(amount=amount, most=most, assumed=tuple(assumed))


def _fits(sig: Sig, strength: Strength | None) -> bool:
    """Whether the product's strength tells what the mass beside several pieces is."""
    if strength is None or strength.per != "piece" or sig.amount is None or sig.beside is None:
        return False
    return sig.beside in (strength.number, round(strength.number * sig.amount.high, 6))


def _massed(amount: Amount, strength: Strength | None) -> Amount | str:
    """An amount in mg or ug/h, by the strength where it is in pieces or mL."""
    if amount.unit in ("mg", "ug/h"):
        return amount
    if strength is None or strength.per != amount.unit:
        return f"the strength of a {amount.unit} is not known"
    return Amount(amount.low * strength.number, amount.high * strength.number, strength.unit)


def whole(days: list[Day], *, in_turn: bool) -> Day | str:
    """Several instructions together: added up, or one after the other."""
    if len(days) == 1:
        return days[0]
    if len({d.unit for d in days}) > 1:
        return "its instructions have different units"
    assumed = [a for d in days for a in d.assumed]
    if in_turn:
        assumed.append("of instructions that follow each other the highest day counts")
        high, least = max(d.high for d in days), min(d.least for d in days)
    else:
        assumed.append("several instructions at the same time are added up")
        high, least = sum(d.high for d in days), sum(d.least for d in days)
    return Day(
        max(d.dose for d in days), days[0].unit, (0.0, 0.0), high, least,
        all(d.as_needed for d in days), tuple(dict.fromkeys(assumed)), True,
    )  # fmt: skip


def details_of(day: Day) -> Details:
    """A day's dose as the details of a fact."""
    found: Details = {"daily_dose": _tidy(day.high), "daily_dose_unit": day.unit}
    if not day.is_total:
        found |= {"dose": _tidy(day.dose), "dose_unit": day.unit}
        if day.times[1]:
            found["times_per_day"] = _tidy(day.times[1])
    if day.least != day.high:
        found["daily_dose_least"] = _tidy(day.least)
    if day.as_needed:
        found["as_needed"] = "yes"
    if day.assumed:
        found["dose_assumed"] = "; ".join(dict.fromkeys(day.assumed))
    return found


def _tidy(number: float) -> float:
    return round(number, 6)


def typed_details(ingredient: str, dosage: str, product: str = "") -> tuple[Details, str]:
    """The details of a medicine whose dosage a person typed, and why there is no dose, if so."""
    details: Details = {"dosage": dosage}
    if product:
        details["product"] = product
    if form := form_of(f"{product} {dosage}"):
        details["dose_form"] = form
    told = product or (dosage if form == "patch" else "")
    strength = strength_of(told, ingredient) if told else None
    day = day_of(
        read_sig(dosage), strength, is_patch=form == "patch", of_product=strengths_in(told)
    )
    if isinstance(day, str):
        return details | {"dose_not_understood": day}, day
    return details | details_of(day), ""


def typed_line(line: str) -> tuple[tuple[str, Details, str], ...]:
    """The medicines of a typed line: ingredient, details, and why there is no dose, if so."""
    named = ingredients_in(line)
    if not named:
        return ()
    product, sig = ("", line) if len(named) == 1 else _parted(line, len(named))
    return tuple((name, *typed_details(name, sig, product)) for name in named)


def _parted(line: str, ingredients: int) -> tuple[str, str]:
    """The product of several ingredients, and how it is taken."""
    strengths = list(_MASS_AMOUNT.finditer(line.lower()))
    aligned = _SIDE_BY_SIDE.search(line)
    end = aligned.end() if aligned else 0
    if not aligned and len(strengths) >= ingredients:
        end = strengths[ingredients - 1].end()
    return (line[:end].strip(), line[end:].strip(" ,;")) if end else (line, line)
