"""Output appears whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from endplate.exchange.files import output_folder, write_files
from endplate.facts import InputProblem


def test_all_files_appear(tmp_path):
    write_files(tmp_path / "out", {"a.json": b"1", "pictures/b.png": b"2"})
    assert (tmp_path / "out" / "a.json").read_bytes() == b"1"
    assert (tmp_path / "out" / "pictures" / "b.png").read_bytes() == b"2"


def test_a_second_time_replaces_and_keeps_what_is_not_ours(tmp_path):
    out = tmp_path / "out"
    write_files(out, {"a.json": b"1"})
    (out / "notes.txt").write_text("mine")
    write_files(out, {"a.json": b"2"})
    assert (out / "a.json").read_bytes() == b"2" and (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("there_before", [False, True])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, there_before):
    out = tmp_path / "out"
    if there_before:
        write_files(out, {"a.json": b"old", "b.json": b"old"})
    real = Path.write_bytes

    def full(self, content):
        if self.name == "b.json":
            real(self, content[:1])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputProblem, match="No space left"):
        write_files(out, {"a.json": b"new", "b.json": b"new"})
    if there_before:
        assert (out / "a.json").read_bytes() == (out / "b.json").read_bytes() == b"old"
    else:
        assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if there_before else [])


@pytest.fixture
def full_disk(monkeypatch):
    """Folders can be made, and no file can be written."""
    monkeypatch.setattr(Path, "write_bytes", _full)


def _full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_empty_folder(tmp_path, full_disk):
    with pytest.raises(InputProblem, match="No space left"):
        write_files(tmp_path / "new" / "newer" / "out", {"a.json": b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_where_even_the_draft_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", _full)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputProblem, match="No space left"):
        write_files(tmp_path / "there" / "new" / "newer" / "out", {"a.json": b"x"})
    assert [p.name for p in tmp_path.rglob("*")] == ["there"], "what was there before stays"


def test_a_full_disk_while_moving_leaves_no_empty_folder(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_files(out, {"a.json": b"old"})
    monkeypatch.setattr("os.replace", _full)
    with pytest.raises(InputProblem, match="No space left"):
        write_files(out, {"pictures/deep/b.png": b"x"})
    assert [p.name for p in out.iterdir()] == ["a.json"]


def test_ctrl_c_leaves_no_empty_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new" / "out"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_else_uses_meanwhile_stays(tmp_path, full_disk):
    with pytest.raises(InputProblem), output_folder(tmp_path / "new" / "out") as draft:
        (tmp_path / "new" / "notes.txt").write_text("mine")
        (draft / "a").write_bytes(b"x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["notes.txt"]


def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "out") as draft:
        (draft / "a").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputProblem, match="out: cannot be written to"):
        write_files(tmp_path / "out", {"a": b""})


def test_a_folder_that_is_there_needs_no_room_beside_it(tmp_path):
    """The folder above one's own may be nobody's to write to: a home, or the root."""
    (tmp_path / "out").mkdir()
    with output_folder(tmp_path / "out") as draft:
        (draft / "a").write_text("x")
        assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]
