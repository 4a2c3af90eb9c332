"""`python -m tests.bench [WORK ...] [--rounds N] [--quick]`; see `--list`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import time
from pathlib import Path

import tests.bench
from tests.bench import report, rounds
from tests.bench.rounds import Result, Work

FRAME = {"cpu", "rounds", "report", "__main__"}


def works(*, quick: bool) -> list[Work]:
    """What every file of this folder measures; `quick` asks for smaller sizes, to see whether it runs at all."""
    found: list[Work] = []
    for entry in pkgutil.iter_modules(tests.bench.__path__):
        if entry.name not in FRAME and not entry.ispkg:
            module = importlib.import_module(f"tests.bench.{entry.name}")
            if hasattr(module, "works"):
                found += module.works(quick=quick)
    return found


def main() -> int:
    """Measure, write the table, say where it lies."""
    parser = argparse.ArgumentParser(prog="make bench", description=tests.bench.__doc__)
    parser.add_argument("names", nargs="*", help="only these works (beginnings of names do); all without any")
    parser.add_argument("--rounds", type=int, help="instead of each work's own number")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--list", action="store_true", help="name the works and end")
    parser.add_argument("--out", type=Path, default=Path(".run/bench"), help="folder of bench.md and bench.json")
    said = parser.parse_args()
    chosen = [
        work
        for work in works(quick=said.quick)
        if not said.names or any(work.name.startswith(name) for name in said.names)
    ]
    if said.list or not chosen:
        print("\n".join(f"{work.name:<24} {work.title}" for work in chosen or works(quick=said.quick)))
        return 0 if chosen else 2
    results: list[Result] = []
    began = time.monotonic()
    for work in chosen:
        print(f"{work.name}: {work.title}", flush=True)
        results.append(rounds.measure(work, rounds=said.rounds, say=lambda line: print(line, flush=True)))
        markdown, raw = report.write(results, said.out)  # after each: a run that is stopped has what it measured
    print(report.as_markdown(results))
    print(f"{time.monotonic() - began:.0f} s. Written: {markdown} and {raw}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
