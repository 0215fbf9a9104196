"""Lists of cases: what is read, what is refused in one message, and which results still hold."""

from __future__ import annotations

import os

import pytest

from endplate.exchange.case_list import file_names, read_case_list
from endplate.facts import InputProblem

HEAD = "case,image,mask\n"


def listed(tmp_path, text, defaults=None, name="list.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_case_list(path, defaults or {})


def test_paths_are_relative_to_the_list_and_masks_may_be_several(tmp_path):
    (one,) = listed(tmp_path, HEAD + "a,ct/1.nii,m/1.nii; m/2.nii\n")
    assert one.image == tmp_path / "ct/1.nii"
    assert one.masks == (tmp_path / "m/1.nii", tmp_path / "m/2.nii")
    assert (one.labels, one.posture, one.modality, one.levels) == ("auto", None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "case\timage\tmask\tposture\na\ti\tm;n\tsupine\nb\tj\to\t\n",
        'Case;Image;Mask;Posture\na;i;"m;n";supine\nb;j;o;\n',
        'case,image,mask,posture,,\n\na,i,m;n,supine,,\n,,,,,\n"b",j,o\n',
    ],
    ids=["tab", "semicolon", "a spreadsheet's empty cells"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_ways_to_write_a_list(tmp_path, text, encoding):
    a, b = listed(tmp_path, text, {"posture": "prone"}, encoding=encoding)
    assert (a.case, a.image.name, [m.name for m in a.masks], a.posture) == (
        "a", "i", ["m", "n"], "supine",
    )  # fmt: skip
    assert (b.case, b.posture) == ("b", "prone"), "what a line leaves empty is the command's"


REFUSED = {
    "": ("must name the columns case, image, mask",),
    HEAD: ("a line for each case", "none"),
    "case,image\na,b\n": ("none named mask",),
    "case,image,mask,posure\na,b,c,supine\n": ("'posure'", "Nearest: posture"),
    "case,image,masks\na,b,c\n": ("'masks'", "Nearest: mask"),
    "case,image,mask,image\na,b,c,d\n": ("image twice",),
    "case,,image,mask\na,,b,c\n": ("a column ''",),
    HEAD + "DOE,ct.nii,a.nii,b.nii\n": ("line 2", "3 cells at most", "4"),
    HEAD + "DOE,,a.nii\n": ("line 2", "a cell for image"),
    HEAD + "DOE,ct.nii,;\n": ("line 2", "a cell for mask"),
    HEAD + ",ct.nii,DOE.nii\n": ("line 2", "a cell for case"),
    HEAD + "DOE,a,b\nx,a,b\nDOE,c,d\n": ("line 4", "that of line 2"),
    HEAD + 'DOE,"a"b,c\n': ("line 2", "quotation marks"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused_is_named_without_a_cell(tmp_path, text):
    with pytest.raises(InputProblem) as problem:
        listed(tmp_path, text)
    for part in ("list.csv", *REFUSED[text]):
        assert part in str(problem.value)
    assert "DOE" not in str(problem.value), "a cell may tell who a person is"


def test_a_list_that_cannot_be_read(tmp_path):
    with pytest.raises(InputProblem, match="No such file"):
        read_case_list(tmp_path / "none.csv", {})
    with pytest.raises(InputProblem, match="UTF-8"):
        listed(tmp_path, HEAD + "Müller,a,b\n", encoding="latin-1")


def test_a_map_of_labels_lies_beside_the_list_or_where_the_command_is_run(tmp_path, monkeypatch):
    text = "case,image,mask,labels\na,i,m,mine.toml\nb,i,m,\n"
    monkeypatch.chdir("/")
    a, b = listed(tmp_path, text, {"labels": "own.toml"})
    assert a.labels == str(tmp_path / "mine.toml") and b.labels == "/own.toml"


ODD = ["a/b", "a\\b", "../x", ".", "..", "", " ", "a b", "ü", "u\u0308", "con", "NUL.x", "x" * 300,
       "-rf", ".hidden", "a\0b", "A", "a", "Straße", "STRASSE", "p.1", "p_1-x", "~", "a_b",
       "\ud800"]  # fmt: skip


def test_any_case_id_has_a_safe_file_name_of_its_own(tmp_path):
    text = HEAD + "".join(f"{n},i,m\n" for n in range(len(ODD)))
    import dataclasses

    cases = [
        dataclasses.replace(case, case=odd)
        for case, odd in zip(listed(tmp_path, text), ODD, strict=True)
    ]
    names = file_names(cases)
    assert len({n.casefold() for n in names}) == len(ODD), "also where A and a are one file"
    for odd, name in zip(ODD, names, strict=True):
        (tmp_path / name).write_text(odd.encode("utf-8", "replace").decode())
        assert name.endswith(".json") and name.isascii() and not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>| \0')
        assert len(name) < 150
    assert {o: n for o, n in zip(ODD, names, strict=True) if n == f"{o}.json"}.keys() == {
        "p.1", "p_1-x", "a_b",
    }  # fmt: skip


def prints(tmp_path, text, version="1"):
    return [case.fingerprint(version) for case in listed(tmp_path, text)]


def test_a_fingerprint_changes_with_what_a_result_is_made_from(tmp_path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.dcm").write_bytes(b"1")
    for name in ("m.nii", "map.toml"):
        (tmp_path / name).write_bytes(b"1")
    head = "case,image,mask,labels,levels,posture,modality\n"
    line = "a,ct,m.nii,map.toml,L1,supine,CT\n"
    (first,) = prints(tmp_path, head + line)
    assert prints(tmp_path, head + line) == [first]
    assert prints(tmp_path, head + line.replace("a,", "another,", 1)) == [first]
    for before, after in (("L1", "L2"), ("supine", "prone"), ("CT", "MR"), ("map.toml", "auto")):
        assert prints(tmp_path, head + line.replace(before, after)) != [first]
    assert prints(tmp_path, head + line, version="2") != [first]
    seen = {first}
    for file in ("ct/1.dcm", "m.nii", "map.toml"):
        os.utime(tmp_path / file, ns=(1, 1))
        seen |= {*prints(tmp_path, head + line)}
        (tmp_path / file).write_bytes(b"22")
        os.utime(tmp_path / file, ns=(1, 1))
        seen |= {*prints(tmp_path, head + line)}
    (tmp_path / "ct" / "2.dcm").write_bytes(b"1")
    seen |= {*prints(tmp_path, head + line)}
    (tmp_path / "m.nii").unlink()
    seen |= {*prints(tmp_path, head + line)}
    assert len(seen) == 9
    assert [c.missing() for c in listed(tmp_path, head + line)] == ["mask"]


def test_a_folder_that_is_moved_with_its_list_stays_the_same(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "i").write_bytes(b"1")
        os.utime(tmp_path / place / "i", ns=(1, 1))
    text = HEAD + "a,i,m\n"
    assert prints(tmp_path / "here", text) == prints(tmp_path / "there", text)
