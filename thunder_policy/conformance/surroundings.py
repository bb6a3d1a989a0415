"""Other surroundings for a run: without gradients, in a thread, as one of many, days later."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import datetime
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from .isolation import OTHERS
from .settings import process, put_back

Result = TypeVar("Result")

SURROUNDINGS = ("no_grad", "inference_mode", "a default dtype of float64", "another thread")


def elsewhere(where: str, work: Callable[[], Result]) -> Result:
    """Do some work in other surroundings, one of `SURROUNDINGS`.

    Example:
        >>> elsewhere("no_grad", torch.is_grad_enabled)
        False
    """
    if where == "another thread":
        return _in_a_thread(work)
    before = process()
    try:
        if where == "a default dtype of float64":
            torch.set_default_dtype(torch.float64)
        with torch.inference_mode(where == "inference_mode"):
            torch.set_grad_enabled(where == "a default dtype of float64")
            return work()
    finally:
        put_back(before)


def _in_a_thread(work: Callable[[], Result]) -> Result:
    done, failed = list[Result](), list[BaseException]()

    def do() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    for error in failed:
        raise error
    return done[0]


@contextmanager
def one_of_many(processes: int) -> Generator[None, None, None]:
    """Let it seem, in the block, as if this process were the first of so many that train together.

    Example:
        >>> with one_of_many(4):
        ...     os.environ["WORLD_SIZE"]
        '4'
    """
    before = process()
    ours = dist.is_available() and not dist.is_initialized()
    os.environ |= {"WORLD_SIZE": str(processes), "RANK": "0", "LOCAL_RANK": "0"}
    try:
        if ours:
            from torch.testing._internal.distributed.fake_pg import FakeStore

            dist.init_process_group("fake", rank=0, world_size=processes, store=FakeStore())
        yield
    finally:
        if ours:
            dist.destroy_process_group()
        put_back(before)


_STRIDE = 100_003.0
"""Seconds that go by each time that a clock is read: a day and some hours."""


@contextmanager
def racing_clock() -> Generator[None, None, None]:
    """Let the clocks of Python go on by more than a day each time that one of them is read.

    That is, as modules see them that are neither Python's own nor torch's.

    Example:
        >>> with racing_clock():
        ...     time.time() - time.time() < -86_400
        True
    """
    clocks = _racing_clocks()
    own = [
        vars(module)
        for name, module in [*sys.modules.items()]
        if name in ("time", "datetime") or name.partition(".")[0] not in OTHERS
    ]
    found = [
        (scope, name, value, clocks[id(value)])
        for scope in own
        for name, value in scope.items()
        if id(value) in clocks
    ]
    try:
        for scope, name, _, racing in found:
            scope[name] = racing
        yield
    finally:
        for scope, name, value, _ in found:
            scope[name] = value


def _racing_clocks() -> dict[int, Any]:
    """Return the clocks that race, by the id of what they stand for."""
    reads = count(1)

    def ahead() -> float:
        return next(reads) * _STRIDE

    def seconds(clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() + ahead()

    def nanoseconds(clock: Callable[[], int]) -> Callable[[], int]:
        return lambda: clock() + int(ahead() * 1e9)

    def parts(convert: Callable[..., Any]) -> Callable[..., Any]:
        return lambda at=None: convert(now() + ahead() if at is None else at)

    now, day, moment = time.time, datetime.date, datetime.datetime

    class Date(day):  # type: ignore[misc, valid-type]
        @classmethod
        def today(cls) -> Any:
            return day.fromtimestamp(now() + ahead())

    class DateTime(moment):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moment.fromtimestamp(now() + ahead(), tz)

        today = now

        @classmethod
        def utcnow(cls) -> Any:
            return moment.fromtimestamp(now() + ahead(), datetime.timezone.utc).replace(tzinfo=None)

    clocks: dict[Any, Any] = {day: Date, moment: DateTime}
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        clocks[getattr(time, name)] = seconds(getattr(time, name))
        clocks[getattr(time, f"{name}_ns")] = nanoseconds(getattr(time, f"{name}_ns"))
    for name in ("localtime", "gmtime", "ctime"):
        clocks[getattr(time, name)] = parts(getattr(time, name))
    return {id(clock): racing for clock, racing in clocks.items()}
