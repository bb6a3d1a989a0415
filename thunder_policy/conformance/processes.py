"""Other processes: a copy of this one, the files and texts that it writes, one of many."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import io
import os
import pickle
import random
import select
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from tempfile import TemporaryFile
from typing import Any, TypeVar

import torch.distributed as dist

from .process_settings import process, put_back
from .runs import NotApplicable

Result = TypeVar("Result")

NO_ANSWER = "a copy of this process gives no answer"


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
