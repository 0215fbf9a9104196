"""Writing output so that it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from endplate.facts import InputProblem


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder to write into, whose files move into `folder` only if all went well.

    The files are written near their place first and then renamed, so that a full disk, a
    crash or Ctrl-C leaves no half-written file and no empty folder; files that were there
    before stay until they are replaced.

    Raises
    ------
    InputProblem
        If `folder` cannot be made or written to, or the disk is full.
    """
    parent = folder.absolute().parent
    made = [p for p in (parent, *parent.parents) if not p.exists()]
    draft: Path | None = None
    try:
        draft = _draft(folder, parent)
        yield draft
        _move(draft, folder, made)
    except OSError as problem:
        _remove(draft, made)
        raise _cannot_write(folder, problem) from None
    except BaseException:
        _remove(draft, made)
        raise
    _remove(draft, [])


def _draft(folder: Path, parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError
    if folder.exists() and not os.access(folder, os.W_OK):
        raise PermissionError
    # Inside a folder that is there: the one above it may belong to somebody else.
    return Path(tempfile.mkdtemp(prefix=".endplate-", dir=folder if folder.exists() else parent))


def _remove(draft: Path | None, made: list[Path]) -> None:
    """Remove the draft and those folders that this run made, innermost first, if they are empty."""
    if draft is not None:
        shutil.rmtree(draft, ignore_errors=True)
    for path in made:
        with suppress(OSError):
            path.rmdir()


def _move(draft: Path, folder: Path, made: list[Path]) -> None:
    """Move the files into their place; folders that are made for them are added to `made`."""
    draft.chmod(0o777 & ~_umask())  # mkdtemp makes it private, an output folder is not
    if not folder.exists():
        draft.rename(folder)
        return
    for path in sorted(draft.rglob("*")):
        target = folder / path.relative_to(draft)
        if not path.is_dir():
            os.replace(path, target)
        elif not target.is_dir():
            target.mkdir()
            made.insert(0, target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write several files into a folder, all or none."""
    with output_folder(folder) as draft:
        for name, content in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


_DRAFT = ".part"


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """A draft beside `path`, which becomes the file only if all went well.

    For many files one after another, and for a file that is too large to be held in memory. One
    process at a time may write to a folder so; what a killed one left is removed by
    `remove_drafts`.

    Raises
    ------
    InputProblem
        If it cannot be written, or the disk is full.
    """
    draft = path.with_name(f".{path.name}{_DRAFT}")
    try:
        yield draft
        os.replace(draft, path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise _cannot_write(path.parent, problem) from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove_drafts(folder: Path) -> None:
    """Remove what a process that was killed left half-written in `folder`."""
    for draft in folder.glob(f".*{_DRAFT}"):
        draft.unlink()


def _cannot_write(folder: Path, problem: OSError) -> InputProblem:
    why = problem.strerror or type(problem).__name__
    return InputProblem(
        f"{folder.name}: cannot be written to. A folder with room and write permission is "
        f"needed; {why}. Choose another folder with --out, or free some space. Nothing was left "
        f"half-written."
    )
