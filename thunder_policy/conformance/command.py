"""The command ``check``: targets by name, a report of each, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from ..checks import cut, short
from ..messages import said
from ..policy import Policy
from ..targets import TargetError, load_module, load_target
from .catalogue import INHERITED_FROM_TORCH
from .report import Result, environment, programs, table, to_json, to_junit, to_markdown
from .subject import Copies, Subject, check_fresh
from .suite import check_excuses, check_policy

GOOD, BROKEN, BAD_TARGET = 0, 1, 2
MAX_MESSAGE = 500
INHERITED = "INHERITED_FROM_TORCH"

Excuses = list[tuple[str, Mapping[str, str]]]
"""Patterns of targets, and the laws that these break, with reasons."""


def check_command(
    targets: Sequence[str],
    *,
    expected: str | None = None,
    optimizer: str | None = None,
    expected_failures: str | None = None,
    laws: str | None = None,
    junit: str | None = None,
    form: str | None = None,
    **declared: Any,
) -> int:
    """Check policies that are named on the command line, and print the report.

    A scheduler of torch may be named too: its class, a ``functools.partial`` of it, or a function
    that makes one of an optimizer.

    Args:
        targets: Each ``module:name`` or ``path/to/file.py:name`` of a class, a factory or a policy;
            or ``module:*``, each scheduler that the module or package defines; or a ``Subject``.
        expected: The oracle, named in the same way.
        optimizer: What makes the optimizer, named in the same way.
        expected_failures: A file of them, or ``INHERITED_FROM_TORCH``.
        laws: The set of laws.
        junit: A file for a report as JUnit XML.
        form: ``"json"`` or ``"markdown"`` to print that, and no table.
        **declared: ``groups`` and ``epochs``, as `Subject` takes them, where they are given.

    Returns:
        0 if no law is broken and of each target at least one is kept, 1 if one is broken, 2 if a
        target cannot be checked, or the file of expected failures is wrong.
    """
    try:
        excuses = read_expected(expected_failures)
        if expected is not None:
            declared["expected"] = load_target(expected)
        if optimizer is not None:
            declared["optimizer"] = load_target(optimizer)
    except (Exception, SystemExit) as error:
        # Somebody else's code runs here, and can raise anything.
        return _complain(" ".join(targets), error)
    code, names = GOOD, list[str]()
    for target in targets:
        try:
            names.extend(names_of(target))
        except TargetError as error:  # noqa: PERF203  one bad target leaves the others
            code = _complain(target, error)
    for pattern, _ in excuses:
        if code == GOOD and not any(fnmatch(name, pattern) for name in names):
            code = _complain(f"{expected_failures}", TargetError(f"there is no target {pattern}"))
    reports: dict[str, Sequence[Result]] = {}
    for name in names:
        try:
            subject = subject_of(name, declared)
            results = check_policy(
                subject, on_fail="collect", expected_failures=expected_of(name, excuses), laws=laws
            )
        except (Exception, SystemExit) as error:
            code = _complain(name, error)
            continue
        reports[name] = results
        good = not any(result.bad() for result in results)
        kept = any(result.status == "passed" for result in results)
        code = max(code, GOOD if good and kept else BROKEN)
    if junit is not None:
        Path(junit).write_text(to_junit(reports, laws), encoding="utf-8")
    if form is not None:
        print((to_json if form == "json" else to_markdown)(reports, laws))
    elif reports:
        _print(reports, laws)
    return code


def _print(reports: Mapping[str, Sequence[Result]], laws: str | None) -> None:
    versions = environment(laws)
    print(
        f"thunder_policy {versions['suite']}, laws {versions['laws']}, torch {versions['torch']}, "
        f"Python {versions['python']}"
    )
    for name, results in reports.items():
        print(f"\n{name}\n\n{table(results)}")
        for program in programs(results):
            print(program)


def _complain(target: str, error: BaseException) -> int:
    text = str(error) if isinstance(error, TargetError) else said(error)
    print(cut(" ".join(f"check {target}: {text}".split()), MAX_MESSAGE), file=sys.stderr)
    return BAD_TARGET


def read_expected(given: str | None) -> Excuses:
    """Read expected failures: a target, a law and a reason a line, or a comment after ``#``.

    The target may have ``*`` in it, and be one of several lines; ``INHERITED_FROM_TORCH`` stands
    for the laws that it has, and needs no reason.
    """
    if given is None:
        return []
    if given == INHERITED:
        return [("*", INHERITED_FROM_TORCH)]
    found: Excuses = []
    for i, line in enumerate(Path(given).read_text(encoding="utf-8").splitlines(), 1):
        words = line.strip().split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 2 and words[1] == INHERITED:
            found.append((words[0], INHERITED_FROM_TORCH))
            continue
        if len(words) < 3:
            raise TargetError(f"{given}, line {i}: write a target, a law and the reason")
        excuse = {words[1]: words[2]}
        try:
            check_excuses(excuse)
        except ValueError as error:
            raise TargetError(f"{given}, line {i}: {error}") from error
        found.append((words[0], excuse))
    return found


def expected_of(name: str, excuses: Excuses) -> dict[str, str]:
    """Return what a target is expected to break."""
    return {
        law: reason
        for pattern, reasons in excuses
        if fnmatch(name, pattern)
        for law, reason in reasons.items()
    }


def names_of(target: str) -> Iterator[str]:
    """Yield the targets that ``module:*`` stands for, or the one that is given."""
    place, colon, name = target.rpartition(":")
    if name != "*" or not colon or not place:
        yield target
        return
    module = load_module(place)
    places = {place: module}
    if hasattr(module, "__path__"):
        for one in walk_packages(module.__path__, f"{place}."):
            if not one.name.endswith("__main__"):
                places[one.name] = load_module(one.name)
    found = [
        f"{where}:{name}"
        for where, module in places.items()
        for name, value in vars(module).items()
        if not name.startswith("_") and _is_of(value, module)
    ]
    if not found:
        raise TargetError("it defines no scheduler and no Subject")
    yield from found


def _is_of(value: object, module: ModuleType) -> bool:
    """Tell whether something is a subject, a policy, or a scheduler's class of this module."""
    if isinstance(value, type):
        return issubclass(value, LRScheduler) and value.__module__ == module.__name__
    return isinstance(value, (Subject, Policy))


def subject_of(name: str, declared: Mapping[str, Any]) -> Subject:
    """Build the subject, and one policy of it, so that what is wrong is said in one line."""
    found = load_target(name)
    if isinstance(found, Subject):
        return found
    if isinstance(found, LRScheduler):
        if hasattr(found, "optimizer"):
            raise TargetError("it is bound to an optimizer: give one that is not, or a factory")
        found = Copies(found)
    elif isinstance(found, type) and not issubclass(found, LRScheduler):
        raise TargetError(f"it is the class {found.__name__}, which is no scheduler")
    elif not callable(found):
        raise TargetError(f"it is {short(found)}: give a policy, its class or a factory")
    try:
        subject = Subject(found, **declared)
        check_fresh(subject.make)
    except (Exception, SystemExit) as error:
        raise TargetError(f"it cannot be made: {said(error)}") from error
    return subject
