"""Other surroundings for a run: without gradients, in a thread, as one of many, days later."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import datetime
import io
import os
import pickle
import random
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from itertools import count
from tempfile import TemporaryFile
from types import FunctionType
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from .isolation import OTHERS
from .runs import NotApplicable
from .settings import process, put_back

Result = TypeVar("Result")

NO_ANSWER = "a copy of this process gives no answer"
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


def in_a_process(work: Callable[[], Result], seconds: float = 60.0) -> Result:
    """Do some work in a copy of this process: nothing of it is left here but what it returns.

    Where the system has no such copies it is done here. One that does not answer in time is ended:
    it may wait for a thread, of which a copy of a process has none.

    Example:
        >>> kept = []
        >>> in_a_process(lambda: len([kept.append(1), kept.append(2)]))
        2
    """
    if sys.platform != "linux":
        return work()
    read, write = os.pipe()
    drawn = random.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12, of threads
        child = os.fork()
    if not child:  # pragma: no cover  it is another process
        random.setstate(drawn)  # Python seeds it anew there
        with suppress(BaseException), open(write, "wb") as pipe:
            pipe.write(_packed(work))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        if not select.select([pipe], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
        sent = pipe.read() or pickle.dumps((None, NotApplicable(NO_ANSWER)))
    os.waitpid(child, 0)
    sent_back: tuple[Result, BaseException | None] = pickle.loads(sent)
    if sent_back[1] is not None:
        raise sent_back[1]
    return sent_back[0]


def files_written() -> list[str]:
    """Return a list that has, from now on, the files that this process opens to write into.

    It is for a copy of this process, as it cannot be taken back: elsewhere it stays empty.
    """
    files = list[str]()

    def note(event: str, given: tuple[Any, ...]) -> None:  # pragma: no cover  in another process
        writes = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event == "sqlite3.connect") and isinstance(given[0], (str, bytes)):
            files.append(os.path.abspath(os.fsdecode(given[0])))

    if sys.platform == "linux":  # pragma: no cover  it is another process
        sys.addaudithook(note)
    return files


@contextmanager
def set_aside(files: Iterable[str]) -> Generator[None, None, None]:
    """Let there be no such files in the block.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile() as file, set_aside([file.name]):
        ...     os.path.exists(file.name)
        False
    """
    aside = {file: f"{file}.aside" for file in files if os.path.isfile(file)}
    for file, other in aside.items():
        os.rename(file, other)
    try:
        yield
    finally:
        for file, other in aside.items():
            os.replace(other, file)


def _packed(work: Callable[[], object]) -> bytes:
    """Return what some work returned or raised, pickled."""
    done: tuple[object, BaseException | None]
    try:
        done = work(), None
    except BaseException as error:
        done = None, error
    try:
        return pickle.dumps(done)
    except Exception as error:
        reason = f"what it saves cannot be sent to another process ({error!r})"
        return pickle.dumps((None, NotApplicable(reason)))


@contextmanager
def printed() -> Generator[list[str], None, None]:
    r"""Collect what is printed in the block: by Python, by C, or by a process that is started.

    Returns:
        A list, which has it once the block has ended.

    Example:
        >>> with printed() as lines:
        ...     print("here")
        ...     _ = os.system("echo there")
        >>> lines
        ['here\n', 'there\n']
    """
    lines, text, kept = list[str](), io.StringIO(), dict[int, int]()
    with TemporaryFile() as file:
        _flush()
        for descriptor in (1, 2):
            with suppress(OSError):  # a daemon may have closed it
                kept[descriptor] = os.dup(descriptor)
                os.dup2(file.fileno(), descriptor)
        try:
            with redirect_stdout(text), redirect_stderr(text):
                yield lines
        finally:
            _flush()
            for descriptor, before in kept.items():
                os.dup2(before, descriptor)
                os.close(before)
        file.seek(0)
        lines += [text.getvalue(), file.read().decode(errors="replace")]


def _flush() -> None:
    # Where there is no console, there are no streams.
    for stream in filter(None, (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        stream.flush()


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
    many = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS"), str(processes))
    os.environ |= {**many, "RANK": "0", "LOCAL_RANK": "0"}
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
