"""A hundred samples: from the packed VCF to six genes' diplotypes and what rules say of them.

cyvcf2 only reads the same lines into arrays: what is left when nothing is called. It is in an
environment of its own (.venv-bench, see requirements/bench.txt) and needs the shared data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from bench.timing import SHARED, Line, timed

HERE = "bench.genotypes"
FILE = SHARED / "pgx" / "pharmcat" / "testvcf" / "100samples.vcf.bgz"
PEER = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"


def called() -> int:
    """Every sample's facts, read and called anew."""
    from endplate.exchange import genotype
    from endplate.exchange.intake import Intake
    from endplate.medicines import star_alleles

    star_alleles.called.cache_clear()
    files = genotype.read_files([FILE])
    count = 0
    for sample in files.samples:
        intake = Intake()
        genotype.take(files, sample, intake)
        count += len(intake.facts)
    return count


def ruled() -> int:
    """The same, with all rules of medicines and genes asked of each sample."""
    from endplate.cli.genotype import people
    from endplate.evidence import shipped
    from endplate.medicines import star_alleles

    star_alleles.called.cache_clear()
    found = people([FILE], None, None, "all", date(2026, 11, 21), shipped())
    return sum(len(person.findings) for person in found)


def peer_read() -> int:
    from cyvcf2 import VCF

    return sum(record.genotype.array().size for record in VCF(str(FILE)))


def lines() -> Iterator[Line]:
    if not FILE.exists():
        return
    peer = timed(f"{HERE}:peer_read", python=str(PEER)) if PEER.exists() else None
    yield Line(
        "diplotypes of six genes in 100 samples, reading included", timed(f"{HERE}:called"),
        "cyvcf2, reading alone", peer, count=100, things="samples",
        note="caches emptied before each run",
    )  # fmt: skip
    yield Line(
        "the same, with all rules of medicines and genes asked", timed(f"{HERE}:ruled"),
        aim="at most 0.5 s", count=100, things="samples",
    )  # fmt: skip
