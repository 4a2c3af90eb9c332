"""The table: Markdown for people, JSON for whoever compares two runs."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import cpu
from tests.bench.rounds import Result, Target, shown


def write(results: Sequence[Result], folder: Path) -> tuple[Path, Path]:
    """Write bench.md and bench.json; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, raw = folder / "bench.md", folder / "bench.json"
    markdown.write_text(as_markdown(results))
    raw.write_text(json.dumps(as_json(results), indent=1) + "\n")
    return markdown, raw


def machine() -> dict[str, Any]:
    """What was measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "cpu_figures": cpu.how(),
    }


def as_markdown(results: Sequence[Result]) -> str:
    """The whole report."""
    on = machine()
    lines = [
        "# Measured",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {on['cpus']} CPUs ({on['model']}), {on['memory_gib']} GiB,",
        f"Linux {on['kernel']}, Python {on['python']}. CPU figures: {on['cpu_figures']}.",
        "Medians over the rounds, (least to most). Written by `make bench`; trust ratios more than absolute figures.",
        "",
    ]
    for result in results:
        lines += [f"## {result.work.title}", ""]
        lines += [f"{note}  " for note in result.work.notes]
        lines += ["", *_table(result), ""]
        lines += [_target(result, target) for target in result.work.targets]
        lines += [f"- failed: {failure}" for failure in result.failures]
        lines.append("")
    return "\n".join(lines)


def _table(result: Result) -> list[str]:
    figures: list[str] = []
    for done in result.rounds:
        for of_one in done.values():
            figures += [name for name in of_one if name not in figures]
    ours = result.work.contenders[0].name
    lines = [f"| {len(result.rounds)} rounds | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for contender in result.work.contenders:
        cells = []
        for figure in figures:
            values = result.values(contender.name, figure)
            median = result.median(contender.name, figure)
            if median is None:
                cells.append("-")
                continue
            cell = (
                f"{shown(median)} ({shown(min(values))} to {shown(max(values))})" if len(values) > 1 else shown(median)
            )
            ratio = result.ratio(contender.name, ours, figure) if contender.name != ours else None
            cells.append(f"{cell}, {shown(ratio)} x ours" if ratio is not None else cell)
        lines.append(f"| {contender.name} | " + " | ".join(cells) + " |")
    return lines


def _target(result: Result, target: Target) -> str:
    value, reached = result.reached(target)
    said = target.says or f"{target.figure} {_bounds(target)}"
    verdict = {True: "reached", False: "**not reached**", None: "not measured"}[reached]
    return f"- {said}: {verdict}" + (f" ({shown(value)})" if value is not None else "")


def _bounds(target: Target) -> str:
    bound = f"at most {target.at_most}" if target.at_most is not None else f"at least {target.at_least}"
    return f"{bound} x {target.against}" if target.against else bound


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Every figure of every round."""
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(),
        "machine": machine(),
        "works": [
            {
                "name": result.work.name,
                "title": result.work.title,
                "rounds": result.rounds,
                "failures": result.failures,
                "medians": {
                    contender.name: {
                        figure: result.median(contender.name, figure)
                        for done in result.rounds
                        for figure in done.get(contender.name, {})
                    }
                    for contender in result.work.contenders
                },
                "targets": [
                    {"says": target.says or target.figure, "value": value, "reached": reached}
                    for target in result.work.targets
                    for value, reached in [result.reached(target)]
                ],
            }
            for result in results
        ],
    }
