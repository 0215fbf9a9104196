"""JSON in and out for every value of ours, and the JSON schema of each.

One pair of functions, so that what was written can always be read back to the same value:
dates are ISO, levels are their written form, mappings keep their order, and a number that is
not finite cannot be written.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from endplate.facts import InputProblem

T = TypeVar("T")


def _plain(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__}: has no JSON form.")


_encoder = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")


def encode(value: Any, *, indent: int | None = None) -> bytes:
    """JSON of a value of ours; equal values give equal bytes."""
    raw = _encoder.encode(value)
    return msgspec.json.format(raw, indent=indent) if indent is not None else raw


def decode(text: bytes | str, kind: type[T]) -> T:
    """The value of type `kind` that JSON `text` holds.

    Raises
    ------
    InputProblem
        If the text is no JSON, or is no valid value of that type.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, ValueError) as problem:
        raise InputProblem(
            f"{kind.__name__}: cannot be read from this JSON. It must follow the schema in "
            f"docs/reference/schema; {problem}. Check the file against the schema."
        ) from None


def plain(value: Any) -> Any:
    """A value of ours as dicts, lists and plain scalars."""
    return msgspec.json.decode(_encoder.encode(value))


def schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a type of ours."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(kind),
    }
