"""Writing output so that it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from endplate.facts import InputProblem


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder to write into, whose files move into `folder` only if all went well.

    The files are written beside their place first and then renamed, so that a full disk, a
    crash or Ctrl-C leaves no half-written file; files that were there before stay until they
    are replaced.

    Raises
    ------
    InputProblem
        If `folder` cannot be made or written to, or the disk is full.
    """
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError
        if folder.exists() and not os.access(folder, os.W_OK):
            raise PermissionError
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
    except OSError as problem:
        raise _cannot_write(folder, problem) from None
    try:
        yield draft
        _move(draft, folder)
    except OSError as problem:
        raise _cannot_write(folder, problem) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move(draft: Path, folder: Path) -> None:
    draft.chmod(0o777 & ~_umask())  # mkdtemp makes it private, an output folder is not
    if not folder.exists():
        draft.rename(folder)
        return
    for path in sorted(draft.rglob("*")):
        target = folder / path.relative_to(draft)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)


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


def _cannot_write(folder: Path, problem: OSError) -> InputProblem:
    why = problem.strerror or type(problem).__name__
    return InputProblem(
        f"{folder.name}: cannot be written to. A folder with room and write permission is "
        f"needed; {why}. Choose another folder with --out, or free some space. Nothing was left "
        f"half-written."
    )
