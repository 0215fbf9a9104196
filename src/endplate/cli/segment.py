"""``endplate segment``: a mask by a program that the user has installed."""

from __future__ import annotations

from pathlib import Path

from endplate.cli.main import print_json
from endplate.cli.measure import known, read_image
from endplate.cli.output import console, problems_table, table
from endplate.exchange import segment as segmenting
from endplate.exchange.files import output_folder


def segment(
    image: Path,
    program: str,
    out: Path,
    task: str | None,
    modality: str | None,
    *,
    fast: bool,
    as_json: bool,
) -> None:
    """Segment, write the mask, and say what it holds."""
    known(modality, {"CT", "MR"}, "--modality")
    segmenting.named(out, {})
    volume, problems = read_image(image, modality)
    with output_folder(out.parent) as draft:  # first: an hour later it is too late to fail
        made = segmenting.segment(volume, program, task=task, fast=fast)
        files = segmenting.named(out, made.files)
        for name, content in files.items():
            (draft / name).write_bytes(content)
    problems += made.problems
    rows = [
        (str(out.with_name(name)), mask.system, ", ".join(dict.fromkeys(mask.structures.values())))
        for name, mask in zip(files, made.masks, strict=True)
    ]
    algorithm = made.masks[0].algorithm
    if as_json:
        masks = [
            {"file": file, "system": mask.system, "algorithm": algorithm,
             "structures": {str(n): s for n, s in mask.structures.items()}}
            for (file, _, _), mask in zip(rows, made.masks, strict=True)
        ]  # fmt: skip
        print_json(problems=problems, masks=masks)
        return
    text = console()
    text.print(table(algorithm, ("file", "label system", "what it holds"), rows))
    if problems:
        text.print(problems_table("Problems", problems))
