"""CPU seconds that do not depend on the machine: a claim of seconds is held at one pace."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import process_time
from typing import Any

# What `_work` takes on the machine that the README speaks of, with Python 3.11.
USUAL = 0.018


def _work() -> list[float]:
    """Call what a newcomer would write, 100,000 times."""

    def cosine(t: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * t / 100_000))

    return [cosine(t) for t in range(100_000)]


def seconds(function: Callable[[], Any], times: int = 5) -> float:
    """Return the CPU seconds that a call takes where this Python and machine have the usual pace.

    The least of some calls, each with the work of known length measured beside it: a slow machine,
    an old Python and what runs beside it slow both.
    """
    taken, usual = zip(*((_once(function), _once(_work)) for _ in range(times)))
    least: float = min(taken) / min(usual)
    return least * USUAL


def _once(function: Callable[[], Any]) -> float:
    begin = process_time()
    function()
    return process_time() - begin
