"""Which laws the schedulers of torch and of other packages keep: ``python -m benchmarks.laws``.

It needs the extra ``wild``, and writes the table of ``benchmarks/README.md``. Each verdict in it
was confirmed, in a process of its own, by a program that uses torch and that package alone: see
``benchmarks/confirm.py``. Names of packages as arguments check these, and print their rows.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

from thunder_policy.conformance import LAW_SETS, LAWS, Result, Subject, check_policy
from thunder_policy.conformance.catalogue import laws_of
from thunder_policy.conformance.report import in_order

from .wild import CASES, EPOCHS, METRICS, Case

PAGE = Path(__file__).parent / "README.md"
TITLE = "## Which laws the schedulers of torch and of other packages keep\n"
LAW_SET = LAW_SETS[-1]
# Of torch's interface, which an adapter only stands in for.
OF_THE_INTERFACE = ("order_warning", "bind_type", "sequential", "chained", "load_rejects")

NOTE = """\
By `python -m benchmarks.laws`, with the extra `wild`: {packages}; the {count} laws of {laws}.
A scheduler with an interface of its own is tried inside an adapter (`benchmarks/adapters.py`),
without the laws on that interface ({interface}). Each verdict was confirmed by a program
that uses torch and that package alone (`benchmarks/confirm.py`); {left}."""
READ = """\
What torch's base class breaks is counted, and not named; what a law is about, and how to mend
what breaks it, says [its page](../thunder_policy/conformance/README.md). Bold is what hurts a
run."""
CAUSES = """\
The same few causes stand behind what is inherited. `state_dict` and `load_state_dict` share their
lists with the live scheduler, and load whatever they are given. The lr itself is in the optimizer's
state alone. A step counts the epoch before it has the lr. A copy warns at its first step that
`optimizer.step` was replaced. Of torch's own, a `CyclicLR` begins at the optimizer's lr, not at its
`base_lr`, where another scheduler was made before it (`chained`)."""
HEAD = "| scheduler | kept | inherited | breaks of its own |\n| --- | ---: | ---: | --- |\n"


def subject_of(case: Case) -> Subject:
    """Return the subject that a case is."""
    return Subject(
        case.build(),
        epochs=EPOCHS,
        metrics=METRICS if case.metrics else None,
        optimizer=None if case.optimizer is None else case.make_optimizer(),
        writes=case.writes,
    )


def results_of(case: Case) -> list[Result]:
    """Return the results of the laws that can be tried on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_policy(subject_of(case), on_fail="collect", laws=LAW_SET)
    return [one for one in results if not case.adapted or one.law not in OF_THE_INTERFACE]


def confirmed(results: Mapping[Case, Sequence[Result]]) -> set[tuple[str, str, str]]:
    """Return the verdicts, by package, scheduler and law, that a program without us shows too."""
    found = set()
    for package in {case.package: None for case in results}:
        broken = [
            f"{case.name} {result.law}"
            for case, of_one in results.items()
            for result in of_one
            if case.package == package and result.status == "failed"
        ]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.confirm", package],
            input="\n".join(broken),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        for line in done.stdout.splitlines():
            name, law = line.split()
            found.add((package, name, law))
    return found


def row(case: Case, results: Sequence[Result], shown: set[tuple[str, str, str]]) -> str:
    """Write the results of one scheduler as a row of the table."""
    kept = sum(result.status == "passed" for result in results)
    broken = [
        result
        for result in in_order(results)
        if result.status == "failed" and (case.package, case.name, result.law) in shown
    ]
    own = [result for result in broken if not result.inherited]
    names = ", ".join(f"**{r.law}**" if r.weight == "hurts a run" else r.law for r in own)
    package = case.package.replace("_", "-")
    return f"| {package}: {case.name} | {kept} | {len(broken) - len(own)} | {names} |"


def table(results: Mapping[Case, Sequence[Result]]) -> Iterator[str]:
    """Yield the text below the title."""
    shown = confirmed(results)
    broken = {
        (case.package, case.name, result.law): result
        for case, of_one in results.items()
        for result in of_one
        if result.status == "failed"
    }
    left = [verdict for verdict in broken if verdict not in shown]
    for verdict in left:
        print("not confirmed:", *verdict, broken[verdict].reason, file=sys.stderr)
    packages = {case.package: version(case.package) for case in results}
    note = NOTE.format(
        packages=", ".join(f"{name.replace('_', '-')} {of}" for name, of in packages.items()),
        count=len(laws_of(LAW_SET, LAWS)),
        laws=LAW_SET,
        interface=", ".join(f"`{law}`" for law in OF_THE_INTERFACE),
        left=f"{len(left)} of {len(broken)} were not, and are left out" if left else "all were",
    )
    yield "\n" + "\n\n".join(
        fill(text, 120, break_on_hyphens=False) for text in (note, READ, CAUSES)
    )
    yield "\n\n" + HEAD
    for case, of_one in results.items():
        yield row(case, of_one, shown) + "\n"


def main() -> None:
    """Check, confirm, and write the table."""
    packages = sys.argv[1:]
    results = {}
    for case in CASES:
        if not packages or case.package in packages:
            print(case.package, case.name, file=sys.stderr)
            results[case] = results_of(case)
    text = "".join(table(results))
    if packages:
        print(text)
    else:
        before = PAGE.read_text(encoding="utf-8").partition(TITLE)[0]
        PAGE.write_text(before + TITLE + text, encoding="utf-8")


if __name__ == "__main__":
    main()
