"""What grows with the length of a run: the cost of a step, the state, the memory."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import gc
import math
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..state import attributes
from .runs import without_gc


def lines_run(work: Callable[[], object]) -> int:
    """Count the calls and lines of Python that some work takes: a cost that is the same each time.

    Example:
        >>> few, more = (lines_run(lambda: [t for t in range(n)]) for n in (10, 1000))
        >>> more - few > 900
        True
    """
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:  # pragma: no cover  it is not traced
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    with without_gc():  # else callbacks of what it collects are counted, now and then
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)
    return count


def least_seconds(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the least time that each of some works takes, of so many rounds of them all.

    What else the machine does slows all of them alike.

    Example:
        >>> few, more = least_seconds([lambda: sum(range(10)), lambda: sum(range(10_000))], 20)
        >>> more > 10 * few
        True
    """
    least = [math.inf] * len(works)
    with without_gc():
        for _ in range(rounds):
            for i, work in enumerate(works):
                before = time.perf_counter()
                work()
                least[i] = min(least[i], time.perf_counter() - before)
    return least


def bytes_at_once(work: Callable[[], object]) -> int:
    """Return the most memory that some work takes while it runs, of what Python and NumPy take.

    Example:
        >>> bytes_at_once(lambda: sum([0.5] * 10_000)) > 80_000
        True
    """
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        (tracemalloc.reset_peak if tracing else tracemalloc.stop)()


def objects_in(scheduler: object) -> int:
    """Count the objects that a scheduler keeps, and the elements of texts, tensors and arrays.

    Its optimizer is not counted, nor is what can be called: a callback is the caller's own.
    """
    found: dict[int, Any] = {}
    parts: list[Any] = [*attributes(scheduler).values()]
    size = 0
    for part in parts:  # it grows
        is_other = isinstance(part, (Optimizer, ModuleType)) or callable(part)
        if id(part) in found or (is_other and not isinstance(part, LRScheduler)):
            continue
        found[id(part)] = part
        if isinstance(part, Tensor):
            size += part.numel()
        elif isinstance(part, (str, bytes, bytearray)):
            size += len(part)
        else:
            size += getattr(part, "size", 0) if type(part).__module__ == "numpy" else 0
            parts += gc.get_referents(part)
    return size + len(found)


def numbers_in(state: object) -> int:
    """Count what is in a state, the elements of texts and tensors one by one.

    Example:
        >>> numbers_in({"last_epoch": 3, "lrs": [0.1, 0.2], "names": (), "log": "abc"})
        7
    """
    if isinstance(state, (str, bytes)):
        return len(state)
    if isinstance(state, Tensor):
        return state.numel()
    if isinstance(state, dict):
        state = [*state.values()]
    if isinstance(state, Sequence):
        return sum(map(numbers_in, state), start=not state)
    return 1


def keeps(work: Callable[[], object], least: int) -> bool:
    """Tell whether the process has so many more blocks of memory after some work than before."""
    with without_gc():
        # All that the work leaves is of the youngest generation: older garbage does not count.
        gc.collect(0)
        before = sys.getallocatedblocks()
        work()
        gc.collect(0)
        return sys.getallocatedblocks() - before >= least
