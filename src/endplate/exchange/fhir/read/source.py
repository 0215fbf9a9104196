"""From a file to JSON values with their places: plain, gzip or zstandard, line by line.

Memory stays bounded whatever the file says of itself: a line or document that is longer than
its cap, or a file that expands far beyond what real records do, is refused with its reason.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson
import zstandard

CHUNK = 1 << 20
LONGEST_LINE = 64 << 20  # bytes of one resource; the largest hold a scanned letter
LONGEST_DOCUMENT = 512 << 20  # bytes of one JSON document, unpacked
# Records shrink 10- to 60-fold; beyond this ratio a packed file is built to exhaust memory.
MOST_EXPANSION = 400
_EXPANSION_FROM = 16 << 20  # below this many bytes the ratio says nothing

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_FORMATS = (".ndjson", ".jsonl")
_UNPACKING = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class Unreadable(Exception):
    """A file, or the rest of it, that cannot be read: problem id and a sentence."""

    def __init__(self, problem: str, says: str) -> None:
        super().__init__(says)
        self.problem = problem
        self.says = says


class NotJson(Exception):
    """Text that is no JSON; `line` within the document where it is known."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line


def is_line_format(path: Path) -> bool:
    """Whether the file's name says that each line is a resource of its own."""
    return any(suffix.lower() in _LINE_FORMATS for suffix in path.suffixes)


def chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file, a piece at a time.

    Raises
    ------
    Unreadable
        If the file cannot be opened or unpacked, or expands beyond reason.
    """
    unpacked = 0
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            stream = _unpacking(file, start)
            while piece := stream.read(CHUNK):
                unpacked += len(piece)
                if unpacked > _EXPANSION_FROM and unpacked > MOST_EXPANSION * file.tell():
                    raise Unreadable(
                        "file.expands_without_end",
                        "The file unpacks to more than any record does; the rest of it was not "
                        "read.",
                    )
                yield piece
    except _UNPACKING:
        raise Unreadable(
            "file.not_readable",
            "The file, or the rest of it, cannot be opened or unpacked; it is damaged, cut off, "
            "or may not be read.",
        ) from None


def _unpacking(file: IO[bytes], start: bytes) -> IO[bytes]:
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start == _ZSTD:
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return unpacker.stream_reader(file, read_across_frames=True)
    return file


def document(path: Path) -> bytes:
    """The whole unpacked file; `Unreadable` where it is longer than a document may be."""
    pieces, size = [], 0
    for piece in chunks(path):
        size += len(piece)
        if size > LONGEST_DOCUMENT:
            raise Unreadable(
                "json.too_long",
                f"The file is longer than {LONGEST_DOCUMENT >> 20} MiB as one JSON document and "
                f"was not read.",
            )
        pieces.append(piece)
    return b"".join(pieces)


def lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, numbered from 1; None for one that is longer than its cap."""
    count, pieces, size = 0, [], 0
    for chunk in chunks(path):
        first, *others = chunk.split(b"\n")
        size += len(first)
        if size <= LONGEST_LINE:
            pieces.append(first)
        if not others:
            continue
        *whole, last = others
        for line in (b"".join(pieces) if size <= LONGEST_LINE else None, *whole):
            count += 1
            if line is None or (line and not line.isspace()):
                yield count, line
        pieces, size = [last], len(last)
    if size > LONGEST_LINE:
        yield count + 1, None
    elif pieces and (line := b"".join(pieces)).strip():
        yield count + 1, line


def parsed(text: bytes) -> Any:
    """The JSON value of a text, with or without a byte order mark; `NotJson` where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        line = problem.lineno
    if text.startswith(_UTF8_MARK):
        text = text[len(_UTF8_MARK) :]
    elif text.startswith(_UTF16_MARKS):
        text = text.decode("utf-16", errors="replace").encode()
    else:
        raise NotJson(line)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise NotJson(problem.lineno) from None
