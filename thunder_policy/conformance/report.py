"""What a check says: one result a law, an error that names every broken one, and a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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

    Example:
        >>> Result("resume", "failed", "the lr at epoch 3: expected 0.1, saw 0.2").bad()
        True
    """

    law: str
    status: Status
    reason: str = ""
    error: Broken | None = None
    reproduction: str | None = None

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
        bad = [result for result in results if result.bad(strict)]
        lines = [f"  {result.law}: {result.reason}" for result in bad]
        laws = "1 law" if len(bad) == 1 else f"{len(bad)} laws"
        lines = [f"{subject} breaks {laws} of {len(results)}", *lines]
        super().__init__("\n".join([*lines, *programs(bad)]))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.subject, self.results, self.strict)


def programs(results: Sequence[Result]) -> list[str]:
    """Return the program that shows each broken law, under what it shows."""
    return [
        f"\n# {result.law}: {result.reason}\n{result.reproduction.rstrip()}"
        for result in results
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


def table(results: Sequence[Result]) -> str:
    """Lay the results out as text, a line a law.

    Example:
        >>> print(table([Result("step", "passed"), Result("values", "skipped", "no oracle")]))
        step    passed
        values  skipped  no oracle
        <BLANKLINE>
        1 passed, 1 skipped
    """
    law = max((len(result.law) for result in results), default=0)
    status = max((len(result.status) for result in results), default=0)
    lines = [
        f"{result.law:{law}}  {result.status:{status}}  {_one_line(result.reason)}".rstrip()
        for result in results
    ]
    return "\n".join([*lines, "", counted(results)])


def to_json(subject: str, results: Sequence[Result]) -> str:
    """Write the results as JSON: ``subject``, ``counts`` and ``results``."""
    rows = [
        {
            "law": result.law,
            "status": result.status,
            "reason": result.reason,
            "reproduction": result.reproduction,
        }
        for result in results
    ]
    counts = Counter(result.status for result in results)
    return json.dumps({"subject": subject, "counts": counts, "results": rows}, indent=2)


def _one_line(text: str) -> str:
    return " ".join(text.split())
