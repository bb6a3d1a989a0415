"""Clocks that race: what reads the time of day, or how long it took, is days later each time."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from types import FunctionType
from typing import Any

from .isolation import OTHERS

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
    clocks, seen = _racing_clocks(), set[int]()
    found = [
        place
        for name, module in [*sys.modules.items()]
        if name in _HAVE_CLOCKS or name.partition(".")[0] not in OTHERS
        for place in _places(module, name, clocks, seen)
    ]
    try:
        for put, _, racing in found:
            put(racing)
        yield
    finally:
        for put, value, _ in found:
            put(value)


_HAVE_CLOCKS = ("time", "datetime", "numpy")


def _places(
    owner: Any, module: str, clocks: Mapping[int, Any], seen: set[int]
) -> Iterator[tuple[Callable[[Any], object], object, object]]:
    """Yield where a module holds a clock, or its classes, functions, objects and containers.

    That is: what puts something there, what is there, and what is to be there instead.
    """
    for put, value in _held_by(owner):
        racing = _raced(value, clocks)
        if racing is not value:
            is_method = isinstance(owner, type) and isinstance(racing, FunctionType)
            yield put, value, staticmethod(racing) if is_method else racing
        elif id(value) not in seen and module not in _HAVE_CLOCKS:
            # Of its class, as what is loaded late would be loaded where it is asked itself.
            named = value if isinstance(value, (type, FunctionType)) else type(value)
            holds = isinstance(value, (dict, list)) and not isinstance(owner, (dict, list))
            if named.__module__ == module or holds:
                seen.add(id(value))
                yield from _places(value, module, clocks, seen)


def _held_by(owner: Any) -> Iterator[tuple[Callable[[Any], object], Any]]:
    """Yield what a module, class, function, object or container holds, and what puts it there."""
    if isinstance(owner, FunctionType):
        yield partial(setattr, owner, "__defaults__"), owner.__defaults__
        yield partial(setattr, owner, "__kwdefaults__"), owner.__kwdefaults__
        for cell in owner.__closure__ or ():
            with suppress(ValueError):  # it has nothing yet
                yield partial(setattr, cell, "cell_contents"), cell.cell_contents
    # Not by methods of a class of its own, which may load what is asked for.
    elif isinstance(owner, dict):
        for key, value in [*dict.items(owner)]:
            yield partial(dict.__setitem__, owner, key), value
    elif isinstance(owner, list):
        for i, value in [*enumerate(list.__iter__(owner))]:
            yield partial(list.__setitem__, owner, i), value
    else:
        for name, value in [*getattr(owner, "__dict__", {}).items()]:
            yield partial(setattr, owner, name), value


def _raced(value: Any, clocks: Mapping[int, Any]) -> Any:
    """Return what is to stand in the place of a clock, or of a method or partial of one."""
    if isinstance(value, (staticmethod, classmethod, partial)):
        inner = value.func if isinstance(value, partial) else value.__func__
        if id(inner) not in clocks:
            return value
        racing = clocks[id(inner)]
        if isinstance(value, partial):
            return partial(racing, *value.args, **value.keywords)
        return staticmethod(racing)
    if isinstance(value, tuple) and any(id(one) in clocks for one in value):
        return tuple(clocks.get(id(one), one) for one in value)
    return clocks.get(id(value), value)


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

    def of_one(read: Any, scale: int) -> Callable[[int], Any]:
        return lambda clock: read(clock) + int(ahead()) * scale

    now, day, moment = time.time, datetime.date, datetime.datetime

    class Named(type):
        """What has the name of another class for a while: an object of that one is one of it."""

        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, cls.__base__ or object)

    class Date(day, metaclass=Named):  # type: ignore[misc, valid-type]
        @classmethod
        def today(cls) -> Any:
            return day.fromtimestamp(now() + ahead())

    class DateTime(moment, metaclass=Named):  # type: ignore[misc, valid-type]
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
    for name, scale in {"clock_gettime": 1, "clock_gettime_ns": 10**9}.items():
        read = getattr(time, name, None)  # not on Windows
        clocks[read] = of_one(read, scale)
    strftime, localtime = time.strftime, time.localtime
    clocks[strftime] = lambda form, at=None: strftime(form, at or localtime(now() + ahead()))
    if numpy := sys.modules.get("numpy"):
        day64 = numpy.datetime64

        class DateTime64(day64, metaclass=Named):  # type: ignore[misc, valid-type]
            def __new__(cls, value: Any = "NaT", unit: str | None = None) -> Any:
                if value in ("now", "today"):
                    unit = unit or ("s" if value == "now" else "D")
                    return day64(int(now() + ahead()), "s").astype(f"datetime64[{unit}]")
                return day64(value) if unit is None else day64(value, unit)

        clocks[day64] = DateTime64
    return {id(clock): racing for clock, racing in clocks.items()}
