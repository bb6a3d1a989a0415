"""The command ``check``: a target by name, a table or JSON, and an exit code."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from ..checks import short
from ..messages import cut, said
from ..targets import TargetError, load_target
from .checks import check_policy
from .kit import sgd
from .report import programs, table, to_json
from .subject import Copies, Subject, check_fresh, needs_optimizer

GOOD, BROKEN, BAD_TARGET = 0, 1, 2
MAX_MESSAGE = 500


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
    found = load_target(target)
    oracle = None if expected is None else load_target(expected)
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
