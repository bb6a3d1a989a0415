"""Measure what a step costs, beside torch's schedulers: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import report
from .overhead import cases, measure

PICTURE = Path(__file__).parent / "pictures" / "overhead.png"
SECONDS, QUICK_SECONDS = 0.8, 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every case and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a few cases, a moment each")
    add("--readme", action="store_true", help="print the tables of benchmarks/README.md instead")
    add("--json", type=Path, metavar="FILE", help="write every number")
    add(
        "--plot",
        type=Path,
        nargs="?",
        const=PICTURE,
        metavar="FILE.png",
        help="draw cost against number of groups; without a file, pictures/overhead.png",
    )
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)

    todo = list(cases(quick=options.quick))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("measuring", total=len(todo))
        results = []
        for case in todo:
            bar.update(task, description=f"{case.policy}, {case.lr} lr x {case.groups:,}")
            results.append(measure(case, QUICK_SECONDS if options.quick else SECONDS))
            bar.advance(task)

    where = report.environment(shlex.join(["python", "-m", "benchmarks", *given]))
    if options.readme:
        print(report.markdown(results, where))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(report.table(results, where))
    if options.json:
        options.json.write_text(json.dumps(report.to_json(results, where), indent=1))
    if options.plot:
        report.plot(results, where).savefig(options.plot, dpi=80)
    return 0


if __name__ == "__main__":
    sys.exit(main())
