"""Subject: what is checked, and the conditions under which it is."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any, Protocol

from hypothesis.strategies import SearchStrategy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..checks import count, short
from ..mapping import MappingPolicy
from ..policy import Policy
from .declared import MakeOptimizer, Metrics, assume, told
from .runs import Make, skip

Oracle = Callable[[int, int], float]
"""Epoch and group to lr."""


class Build(Protocol):
    """A function that makes a scheduler of an optimizer; a policy, which can do so too, is none."""

    __code__: CodeType

    def __call__(self, optimizer: Optimizer, /) -> LRScheduler:
        """Make it."""
        ...


Factory = Callable[[], Any] | Build | type[LRScheduler] | partial[LRScheduler] | SearchStrategy[Any]
"""Makes a new policy each time that it is called, or a scheduler of an optimizer; or a strategy."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A policy to be checked, and what has to be known of it.

    The param groups that it is bound to hold the lrs 0.1, 0.2, 0.3 and so on: an oracle may build
    on that. Of a policy with another ``option`` they hold these numbers there, and all that is said
    of lrs is said of them.

    Args:
        factory: Makes a new policy each time that it is called. Or what makes a scheduler of an
            optimizer: a function, a class, ``partial(StepLR, step_size=3)``. Or a Hypothesis
            strategy of policies: each that is drawn is copied by ``copy.deepcopy`` where a new one
            is wanted.
        groups: How many param groups the policy is for, if it is for an exact number; else it is
            tried with one, two and three.
        expected: The lr of an epoch and group, by your own reckoning, for the law ``values``.
        epochs: How many steps a run takes; what has an end takes no more than to there.
        optimizer: What makes the optimizer of a list of param groups, if SGD does not serve:
            ``Adafactor``, ``partial(SGD, momentum=0.9)``.
        metrics: What ``step`` is told, if it is told a metric, as its first argument but for an
            epoch: one number for each step of a run, or a function of the epoch that it goes to.
        option: The key of the param groups that is scheduled, if that is another than the lr. A
            policy with an ``option`` need not say it.
        writes: The keys of the param groups that are written besides, such as ``"momentum"``; that
            stands for ``"betas"`` too.
        negative: Whether lrs may be below 0.
        late_groups: Whether groups that are added later are taken in; else they are refused.

    Raises:
        TypeError: If the factory is a policy itself, cannot be called, or wants arguments.
        ValueError: If a number is less than 1, or there are fewer metrics than steps.

    Example:
        >>> from thunder_policy import Switch
        >>> Subject(lambda: Switch({0: 0.5, 3: 0.1}), groups=2).layouts()
        [[0.1, 0.2]]
    """

    factory: Factory
    groups: int | None = None
    expected: Oracle | None = None
    epochs: int = 20
    optimizer: MakeOptimizer | None = None
    metrics: Metrics | None = None
    option: str = "lr"
    writes: Sequence[str] = ()
    negative: bool = False
    late_groups: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.factory, LRScheduler):
            raise TypeError(
                f"Subject takes a factory, not the policy {short(self.factory)}: "
                "give lambda: ..., which makes a new one each time"
            )
        if not isinstance(self.factory, SearchStrategy) and not callable(self.factory):
            raise TypeError(f"Subject takes a factory or a strategy, not {short(self.factory)}")
        if self.expected is not None and not callable(self.expected):
            raise TypeError(f"Subject: expected must be a function, not {short(self.expected)}")
        if self.optimizer is not None and not callable(self.optimizer):
            raise TypeError(
                f"Subject: optimizer must make one of param groups, not {short(self.optimizer)}"
            )
        # As int, which a reproduction can write down: NumPy has its own.
        if self.groups is not None:
            self._set("groups", count(self.groups, "Subject: groups"))
        self._set("epochs", count(self.epochs, "Subject: epochs"))
        self._set("writes", (self.writes,) if isinstance(self.writes, str) else (*self.writes,))
        factory: Any = self.factory
        if takes_optimizer(factory):
            # A reproduction can write it down; a lambda here it could not.
            factory = partial(partial, factory)
        if self.metrics is not None:
            if not callable(self.metrics) and len(self.metrics) < self.epochs:
                raise ValueError(
                    f"Subject: got {len(self.metrics)} metrics for {self.epochs} steps: "
                    f"give one a step, or epochs={len(self.metrics)}"
                )
            # What a strategy draws comes here once more.
            if not isinstance(factory, SearchStrategy):
                factory = partial(told, factory, self.metrics)
        self._set("factory", factory)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def assumed(self) -> AbstractContextManager[None]:
        """Return the context in which laws are tried on it."""
        return assume(optimizer=self.optimizer, option=self.option, writes=self.writes)

    def make(self) -> Any:
        """Make a new policy.

        Raises:
            TypeError: If the factory makes something that cannot be bound.
        """
        if isinstance(self.factory, SearchStrategy):
            raise TypeError("a strategy makes no policy by itself: draw one")
        make: Any = self.factory
        made = make()
        if not callable(made):
            raise TypeError(
                f"the factory of a Subject must make a policy, or what makes a scheduler of an "
                f"optimizer, not {short(made)} ({type(made).__name__})"
            )
        return made

    def exact(self) -> int | None:
        """Return for how many param groups the policy is, if it is for an exact number."""
        if self.groups is None and isinstance(policy := self.make(), MappingPolicy):
            for given in (getattr(policy, "mapping", None), getattr(policy, "lr_init", None)):
                if isinstance(given, list):
                    return len(given)
        return self.groups

    def layouts(self) -> list[list[float]]:
        """Return the lrs of the param groups to bind to, one list for each number of groups."""
        return layouts_of(self.exact())


def layouts_of(exact: int | None) -> list[list[float]]:
    """Return the lrs of the param groups to bind to, where a policy may be for an exact number."""
    return [[(i + 1) / 10 for i in range(n)] for n in ((1, 2, 3) if exact is None else (exact,))]


class Copies:
    """Makes new policies of one that is given or was drawn; ``written`` is the call it came of."""

    def __init__(self, drawn: Any, written: str = "") -> None:
        self.drawn: Any = drawn
        self.written: str = written

    def __call__(self) -> Any:
        """Copy it."""
        try:
            return copy.deepcopy(self.drawn)
        except Exception as error:
            skip(f"it cannot be copied ({error!r}): give a factory")


def takes_optimizer(factory: Any) -> bool:
    """Tell whether a factory is what makes a scheduler of an optimizer: it wants one argument.

    Raises:
        TypeError: If it wants more.
    """
    if isinstance(factory, SearchStrategy):
        return False
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # what is written in C may have none
        return False
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    wanted = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in variadic
    ]
    kind = factory.func if isinstance(factory, partial) else factory
    # Of policies those that are bound where they are made take their optimizer.
    of_policy = isinstance(kind, type) and issubclass(kind, Policy) and wanted != ["optimizer"]
    if len(wanted) > 1 or (wanted and of_policy):
        wanted = wanted if of_policy else wanted[1:]
        name = getattr(kind, "__name__", type(kind).__name__)
        raise TypeError(
            f"{name} wants {', '.join(wanted)}: give {'lambda: ' if of_policy else 'partial('}"
            f"{name}{'(' if of_policy else ', '}{', '.join(f'{one}=...' for one in wanted)})"
        )
    return bool(wanted)


def as_subject(given: Subject | Factory) -> Subject:
    """Return a subject, from one or from a factory alone."""
    return given if isinstance(given, Subject) else Subject(given)


def check_fresh(make: Make) -> Any:
    """Check that a factory makes a new policy each time, and return one.

    Raises:
        TypeError: If it gives one policy twice.
    """
    if (made := make()) is make() and isinstance(made, LRScheduler):
        raise TypeError(
            f"the factory of a Subject must make a new policy each time: it gave {short(made)} "
            "twice; give lambda: ... that builds one"
        )
    return made
