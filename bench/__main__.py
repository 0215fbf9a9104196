"""Run all benchmarks, or those named: ``python -m bench [measure_ct fhir_observations ...]``.

Each module in this folder that has a function `lines` is a benchmark. Figures differ from
machine to machine; the ratios are what is compared.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from bench.timing import printed


def main(names: list[str]) -> None:
    here = [m.name for m in pkgutil.iter_modules(["bench"]) if not m.name.startswith("__")]
    for name in names or here:
        module = importlib.import_module(f"bench.{name}")
        if hasattr(module, "lines"):
            print(f"== {name}", flush=True)
            print(printed(list(module.lines())), flush=True)


main(sys.argv[1:])
