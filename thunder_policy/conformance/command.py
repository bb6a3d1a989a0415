"""The command ``check``: a target by name, a table or JSON, and an exit code."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from ..checks import short
from ..messages import cut, said
from .checks import check_policy
from .report import programs, table, to_json
from .runs import sgd
from .subject import Copies, Subject, check_fresh, needs_optimizer

GOOD, BROKEN, BAD_TARGET = 0, 1, 2
MAX_MESSAGE = 500


class TargetError(Exception):
    """What a target names is not there, or cannot be checked."""


def check_command(target: str, groups: int | None, expected: str | None, as_json: bool) -> int:
    """Check a policy that is named on the command line, and print the report.

    A scheduler of torch may be named too: its class, or a ``functools.partial`` of it.

    Args:
        target: ``module:name`` or ``path/to/file.py:name`` of a class, a factory or a policy.
        groups: How many param groups it is for, if it is for an exact number.
        expected: The oracle, named in the same way.
        as_json: Whether to print JSON, and no table.

    Returns:
        0 if no law is broken and at least one passed, 1 if one is broken, 2 for a bad target.
    """
    try:
        subject = _subject(target, groups, expected)
    except (Exception, SystemExit) as error:
        # Somebody else's code runs here, and can raise anything.
        text = str(error) if isinstance(error, TargetError) else said(error)
        print(cut(" ".join(f"check {target}: {text}".split()), MAX_MESSAGE), file=sys.stderr)
        return BAD_TARGET
    results = check_policy(subject, on_fail="collect")
    print(to_json(target, results) if as_json else table(results))
    if not as_json:
        for program in programs(results):
            print(program)
    good = not any(result.bad() for result in results)
    return GOOD if good and any(result.status == "passed" for result in results) else BROKEN


def _subject(target: str, groups: int | None, expected: str | None) -> Subject:
    """Build the subject, and one policy of it, so that what is wrong is said in one line."""
    found = _load(target)
    oracle = None if expected is None else _load(expected)
    factory: Any
    if isinstance(found, LRScheduler):
        if hasattr(found, "optimizer"):
            raise TargetError("it is bound to an optimizer: give one that is not, or a factory")
        factory = Copies(found)
    elif needs_optimizer(found):
        # A reproduction can write it down; a lambda here it could not.
        factory = partial(partial, found)
    elif isinstance(found, type) and not issubclass(found, LRScheduler):
        raise TargetError(f"it is the class {found.__name__}, which is no scheduler")
    elif callable(found):
        factory = found
    else:
        raise TargetError(f"it is {short(found)}: give a policy, its class or a factory")
    try:
        subject = Subject(factory, groups, oracle)
        check_fresh(subject.make)
        made = subject.make()
        if needs_optimizer(found):
            made(sgd(subject.layouts()[0]))
    except (Exception, SystemExit) as error:
        raise TargetError(f"it cannot be made: {said(error)}") from error
    return subject


def _load(target: str) -> Any:
    """Import what a target names.

    Raises:
        TargetError: If it is not written as ``module:name``, or there is nothing of that name.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise TargetError("write it as module:name or path/to/file.py:name")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as with python -m, for a factory that imports, too
    try:
        value: Any = (
            _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import {place}: {said(error)}") from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise TargetError(f"there is no {name} in {place}")
        value = getattr(value, part)
    return value


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    loader = SourceFileLoader(path.stem, str(path))
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    # Pickle finds the classes of a module by its name here.
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module
