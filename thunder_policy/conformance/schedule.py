"""check_schedule: the laws on a callable that goes into Schedule."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from typing import Any, Literal

from ..checks import count, real, short
from ..messages import said
from .isolation import isolated
from .report import ConformanceError, Result
from .reproduce import reproduction, source_of
from .runs import Broken, expect, no_warnings, plain, rng_states, same_rng

Function = Callable[[int], Any]


def number(schedule: Function, epoch: int) -> float:
    """Return the number that a schedule gives for an epoch."""
    return real(schedule(epoch), "the lr", any_shape=True)


def real_lr(schedule: Function, epochs: int) -> None:
    """It returns one finite real number for each epoch."""
    for epoch in range(epochs):
        try:
            lr = schedule(epoch)
        except Exception as error:
            raise Broken("the schedule", "a number", said(error), epoch) from error
        try:
            real(lr, "the lr", any_shape=True)
        except (TypeError, ValueError) as error:
            raise Broken("the schedule", "one finite real number", short(lr), epoch) from error


def same_twice(schedule: Function, epochs: int) -> None:
    """It answers the same when it is asked again."""
    for epoch in range(epochs):
        first = number(schedule, epoch)
        expect(number(schedule, epoch), first, "the lr, asked again", epoch)


def any_order(schedule: Function, epochs: int) -> None:
    """It answers the same in any order: a run that is resumed begins in the middle."""
    forward = [number(schedule, epoch) for epoch in range(epochs)]
    order = [*range(epochs)]
    random.Random(0).shuffle(order)
    for epoch in [*reversed(range(epochs)), *order]:
        expect(number(schedule, epoch), forward[epoch], "the lr, asked in another order", epoch)


def own_value(schedule: Function, epochs: int) -> None:
    """What it returned does not change later."""
    answers = [schedule(epoch) for epoch in range(epochs)]
    before = [plain(answer) for answer in answers]
    for epoch in range(epochs):
        schedule(epoch)
    # A tensor that is filled again and again has the last lr at every epoch.
    again = [number(schedule, epoch) for epoch in range(epochs)]
    expect([plain(answer) for answer in answers], before, "what was returned before")
    now = [real(answer, "the lr", any_shape=True) for answer in answers]
    expect(now, again, "what was returned before")


def no_rng(schedule: Function, epochs: int) -> None:
    """It uses no global generator of random numbers."""
    before = rng_states()
    for epoch in range(epochs):
        schedule(epoch)
        same_rng(before, epoch)


def no_warning(schedule: Function, epochs: int) -> None:
    """It gives no warning."""
    with no_warnings("calling the schedule"):
        for epoch in range(epochs):
            schedule(epoch)


SCHEDULE_LAWS: dict[str, Callable[[Function, int], None]] = {
    law.__name__: law for law in (real_lr, same_twice, any_order, own_value, no_rng, no_warning)
}
"""The laws on schedules, by name."""


def check_schedule(
    schedule: Function, epochs: int = 1000, *, on_fail: Literal["raise", "collect"] = "raise"
) -> list[Result]:
    """Try the laws on a callable from epoch to lr, for `Schedule`.

    Args:
        schedule: It is called with each epoch.
        epochs: How many.
        on_fail: ``"raise"`` an error that names every broken law, or ``"collect"`` the results.

    Returns:
        One result a law.

    Raises:
        ConformanceError: If a law is broken.
        TypeError: If it cannot be called, or ``epochs`` is no integer.
        ValueError: If ``epochs`` is less than 1.

    Example:
        >>> [result.status for result in check_schedule(lambda epoch: 0.1 / (1 + epoch))]
        ['passed', 'passed', 'passed', 'passed', 'passed', 'passed']
    """
    if on_fail not in ("raise", "collect"):
        raise ValueError(f"on_fail must be 'raise' or 'collect', not {on_fail!r}")
    if not callable(schedule):
        raise TypeError(f"check_schedule takes a callable, not {short(schedule)}")
    epochs = count(epochs, "check_schedule: epochs")
    results: list[Result] = []
    for name, law in SCHEDULE_LAWS.items():
        if results and results[0].status == "failed":
            results.append(Result(name, "skipped", "nothing can be said before real_lr holds"))
            continue
        try:
            with isolated(schedule):
                _run(law, schedule, epochs)
        except Broken as error:
            case = {"schedule": schedule, "epochs": (error.epoch or 0) + 1}
            if error.epoch is None or name == "any_order":
                case["epochs"] = epochs
            error.reproduction = reproduction(inspect.getdoc(law) or "", law, case)
            results.append(Result(name, "failed", error.reason, error, error.reproduction))
        else:
            results.append(Result(name, "passed"))
    if on_fail == "raise" and any(result.bad() for result in results):
        raise ConformanceError(source_of(schedule) or short(schedule), results)
    return results


def _run(law: Callable[[Function, int], None], schedule: Function, epochs: int) -> None:
    """Run a law once; an error that it did not foresee is a broken law too."""
    try:
        law(schedule, epochs)
    except Broken:
        raise
    except Exception as unforeseen:
        raise Broken(f"law {law.__name__}", "no error", said(unforeseen)) from unforeseen
