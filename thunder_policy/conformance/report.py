"""What a check says: one result a law, an error that names every broken one, and reports."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

import torch

from .. import __version__
from .catalogue import LAW_SETS, WEIGHTS, Weight, entry_of, section_of
from .runs import Broken

Status = Literal["passed", "failed", "skipped", "xfailed", "xpassed"]


@dataclass(frozen=True)
class Result:
    """What came of one law.

    Attributes:
        law: The name of the law.
        status: ``passed``, ``failed``, ``skipped`` (it says nothing about this subject),
            ``xfailed`` (broken, as expected) or ``xpassed`` (it was expected to be broken).
        reason: Why, in one line: what was expected and seen, or why it was skipped.
        error: For a law that was broken, the `Broken`, with what was expected, what was seen, the
            epoch and the group.
        reproduction: For a law that was broken, a program of a few lines that shows it.
        inherited: Whether it is torch's base class that breaks it.

    Example:
        >>> Result("resume", "failed", "the lr at epoch 3: expected 0.1, saw 0.2").bad()
        True
    """

    law: str
    status: Status
    reason: str = ""
    error: Broken | None = None
    reproduction: str | None = None
    inherited: bool = False

    @property
    def weight(self) -> Weight:
        """How much it matters that the law is broken."""
        return entry_of(self.law).weight

    def bad(self, strict: bool = True) -> bool:
        """Tell whether it counts as a failure.

        That is a broken law or, if ``strict``, one that was expected to be broken and holds.
        """
        return self.status == "failed" or (strict and self.status == "xpassed")


class ConformanceError(AssertionError):
    """A subject breaks laws.

    Attributes:
        subject: Its name.
        results: The results of all laws.
    """

    def __init__(self, subject: str, results: Sequence[Result], strict: bool = True) -> None:
        self.subject: str = subject
        self.results: list[Result] = [*results]
        self.strict: bool = strict
        bad = [result for result in in_order(results) if result.bad(strict)]
        lines = [f"  {result.law}: {said_of(result)}" for result in bad]
        laws = "1 law" if len(bad) == 1 else f"{len(bad)} laws"
        lines = [f"{subject} breaks {laws} of {len(results)}: {verdict(results)}", *lines]
        super().__init__("\n".join([*lines, *programs(bad)]))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.subject, self.results, self.strict)


def in_order(results: Sequence[Result]) -> list[Result]:
    """Sort results: what is broken first, of one's own before what is inherited, by weight.

    Example:
        >>> found = [Result("step", "passed"), Result("pickle", "failed", inherited=True)]
        >>> found += [Result("bind_type", "failed"), Result("resume", "failed")]
        >>> [result.law for result in in_order(found)]
        ['resume', 'bind_type', 'pickle', 'step']
    """
    statuses: tuple[Status, ...] = ("failed", "xpassed", "xfailed", "skipped", "passed")
    weights = [*WEIGHTS]

    def key(result: Result) -> tuple[bool, int, int]:
        rank = statuses.index(result.status)
        # Who was told that a law is broken looks for what is new.
        behind = not result.bad() or result.inherited
        return behind, rank, weights.index(result.weight) if result.error or result.bad() else 0

    return sorted(results, key=key)


def programs(results: Sequence[Result]) -> list[str]:
    """Return the program that shows each broken law, under what it shows and how to mend it."""
    return [
        f"\n# {result.law}: {result.reason}\n# See {section_of(result.law)}\n"
        f"{result.reproduction.rstrip()}"
        for result in in_order(results)
        if result.reproduction
    ]


def counted(results: Sequence[Result]) -> str:
    """Count the results by status, in words.

    Example:
        >>> counted([Result("step", "passed"), Result("values", "skipped")])
        '1 passed, 1 skipped'
    """
    counts = Counter(result.status for result in results)
    order: tuple[Status, ...] = ("passed", "failed", "skipped", "xfailed", "xpassed")
    return ", ".join(f"{counts[status]} {status}" for status in order if counts[status])


def verdict(results: Sequence[Result]) -> str:
    """Say in a few words what comes of it.

    Example:
        >>> verdict([Result("step", "passed"), Result("pickle", "failed", inherited=True)])
        '1 kept, 1 inherited from torch, 0 of its own'
    """
    kept = sum(result.status in ("passed", "xpassed") for result in results)
    broken = [result for result in results if result.status in ("failed", "xfailed")]
    inherited = sum(result.inherited for result in broken)
    return f"{kept} kept, {inherited} inherited from torch, {len(broken) - inherited} of its own"


def environment(laws: str | None = None) -> dict[str, str]:
    """Return what a report is of: the versions of the suite, of its laws, of torch and Python.

    Example:
        >>> [*environment()]
        ['suite', 'laws', 'torch', 'python']
    """
    return {
        "suite": __version__,
        "laws": laws or LAW_SETS[-1],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def table(results: Sequence[Result]) -> str:
    """Lay the results out as text, a line a law, what is broken first.

    Example:
        >>> print(table([Result("step", "passed"), Result("values", "skipped", "no oracle")]))
        values  skipped  no oracle
        step    passed
        <BLANKLINE>
        1 passed, 1 skipped
        1 kept, 0 inherited from torch, 0 of its own
    """
    law = max((len(result.law) for result in results), default=0)
    status = max((len(result.status) for result in results), default=0)
    lines = [
        f"{result.law:{law}}  {result.status:{status}}  {said_of(result)}".rstrip()
        for result in in_order(results)
    ]
    return "\n".join([*lines, "", counted(results), verdict(results)])


def to_json(reports: Mapping[str, Sequence[Result]], laws: str | None = None) -> str:
    """Write the results of each subject as JSON, below the versions of what they are of."""
    subjects = [
        {
            "subject": subject,
            "verdict": verdict(results),
            "counts": Counter(result.status for result in results),
            "results": [_row(result) for result in results],
        }
        for subject, results in reports.items()
    ]
    return json.dumps({**environment(laws), "subjects": subjects}, indent=2)


def to_markdown(reports: Mapping[str, Sequence[Result]], laws: str | None = None) -> str:
    r"""Write the results of each subject as Markdown, with a table of what is not kept.

    Example:
        >>> reports = {"Mine": [Result("step", "passed"), Result("pickle", "failed", "a | b")]}
        >>> print(to_markdown(reports, "2026.11").partition("\n\n")[2])
        ## Mine
        <BLANKLINE>
        1 kept, 0 inherited from torch, 1 of its own
        <BLANKLINE>
        | law | status | weight | reason |
        | --- | --- | --- | --- |
        | `pickle` | failed | hurts a run | a \| b |
        <BLANKLINE>
    """
    versions = environment(laws)
    lines = [
        f"thunder_policy {versions['suite']}, laws {versions['laws']}, torch {versions['torch']}, "
        f"Python {versions['python']}",
        "",
    ]
    for subject, results in reports.items():
        lines += [f"## {subject}", "", verdict(results), ""]
        left = [result for result in in_order(results) if result.status != "passed"]
        if left:
            lines += ["| law | status | weight | reason |", "| --- | --- | --- | --- |"]
        for result in left:
            status = f"{result.status}, inherited" if result.inherited else result.status
            reason = _one_line(result.reason).replace("|", "\\|")
            weight = "" if result.status == "skipped" else result.weight
            lines.append(f"| `{result.law}` | {status} | {weight} | {reason} |")
        lines.append("")
    return "\n".join(lines)


def to_junit(reports: Mapping[str, Sequence[Result]], laws: str | None = None) -> str:
    """Write the results as JUnit XML: a suite a subject, a case a law."""
    root = ElementTree.Element("testsuites", name="thunder-policy check")
    for subject, results in reports.items():
        counts = Counter(result.status for result in results)
        left = str(counts["skipped"] + counts["xfailed"])
        failures = str(sum(result.bad() for result in results))
        numbers = {"tests": str(len(results)), "failures": failures, "skipped": left}
        suite = ElementTree.SubElement(root, "testsuite", {"name": subject, **numbers})
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in environment(laws).items():
            ElementTree.SubElement(properties, "property", name=name, value=value)
        for result in results:
            case = ElementTree.SubElement(suite, "testcase", classname=subject, name=result.law)
            if result.bad():
                failure = ElementTree.SubElement(case, "failure", message=said_of(result))
                failure.text = _without_controls(result.reproduction or "")
            elif result.status != "passed":
                ElementTree.SubElement(case, "skipped", message=said_of(result))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _row(result: Result) -> dict[str, Any]:
    return {
        "law": result.law,
        "status": result.status,
        "weight": result.weight,
        "inherited": result.inherited,
        "reason": result.reason,
        "section": section_of(result.law),
        "reproduction": result.reproduction,
    }


def said_of(result: Result) -> str:
    """Return the reason in one line, after what it is worth where a law is broken."""
    reason = _without_controls(_one_line(result.reason))
    if result.status != "failed":
        return reason
    of = "inherited from torch" if result.inherited else result.weight
    return f"[{of}] {reason}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _without_controls(text: str) -> str:
    """Leave out what no XML may hold, whatever somebody's error says."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")
