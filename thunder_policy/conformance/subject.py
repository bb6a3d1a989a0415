"""Subject: what is checked, and the conditions under which it is."""

# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis.strategies import SearchStrategy
from torch.optim.lr_scheduler import LRScheduler

from ..checks import count, short
from ..mapping import MappingPolicy
from ..policy import Policy
from .runs import Make, skip

Oracle = Callable[[int, int], float]
"""Epoch and group to lr."""

Factory = Callable[[], Any] | SearchStrategy[Any]
"""Makes a new policy each time that it is called; or a Hypothesis strategy of policies."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A policy to be checked.

    The param groups that it is bound to hold the lrs 0.1, 0.2, 0.3 and so on: an oracle may build
    on that. Of a policy with another ``option`` they hold these numbers there, and all that is said
    of lrs is said of them. A scheduler of torch is given as what makes one of an optimizer:
    ``Subject(lambda: partial(StepLR, step_size=3))``.

    Args:
        factory: Makes a new policy each time that it is called. Or a Hypothesis strategy of
            policies: each that is drawn is copied by ``copy.deepcopy`` where a new one is wanted.
        groups: How many param groups the policy is for, if it is for an exact number; else it is
            tried with one, two and three.
        expected: The lr of an epoch and group, by your own reckoning, for the law ``values``.
        epochs: How many steps a run takes.
        negative: Whether lrs may be below 0.

    Raises:
        TypeError: If the factory is a policy itself, or cannot be called.
        ValueError: If a number is less than 1.

    Example:
        >>> from thunder_policy import Switch
        >>> Subject(lambda: Switch({0: 0.5, 3: 0.1}), groups=2).layouts()
        [[0.1, 0.2]]
    """

    factory: Factory
    groups: int | None = None
    expected: Oracle | None = None
    epochs: int = 20
    negative: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.factory, LRScheduler):
            raise TypeError(
                f"Subject takes a factory, not the policy {short(self.factory)}: "
                "give lambda: ..., which makes a new one each time"
            )
        if needs_optimizer(self.factory):
            raise TypeError(
                f"Subject takes a factory, and {short(self.factory)} wants an optimizer: "
                "give lambda: ..., which gives it to the suite"
            )
        if not isinstance(self.factory, SearchStrategy) and not callable(self.factory):
            raise TypeError(f"Subject takes a factory or a strategy, not {short(self.factory)}")
        if self.expected is not None and not callable(self.expected):
            raise TypeError(f"Subject: expected must be a function, not {short(self.expected)}")
        # As int, which a reproduction can write down: NumPy has its own.
        if self.groups is not None:
            object.__setattr__(self, "groups", count(self.groups, "Subject: groups"))
        object.__setattr__(self, "epochs", count(self.epochs, "Subject: epochs"))

    def make(self) -> Any:
        """Make a new policy.

        Raises:
            TypeError: If the factory makes something that cannot be bound.
        """
        if isinstance(self.factory, SearchStrategy):
            raise TypeError("a strategy makes no policy by itself: draw one")
        made = self.factory()
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
        exact = self.exact()
        return [
            [(i + 1) / 10 for i in range(n)] for n in ((1, 2, 3) if exact is None else (exact,))
        ]


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


def needs_optimizer(found: object) -> bool:
    """Tell whether something is a class of torch's schedulers, or a partial of one.

    Such a one wants its optimizer at once.
    """
    kind = found.func if isinstance(found, partial) else found
    return isinstance(kind, type) and issubclass(kind, LRScheduler) and not issubclass(kind, Policy)


def as_subject(given: Subject | Factory) -> Subject:
    """Return a subject, from one or from a factory alone."""
    return given if isinstance(given, Subject) else Subject(given)


def check_fresh(make: Make) -> None:
    """Check that a factory makes a new policy each time.

    Raises:
        TypeError: If it gives one policy twice.
    """
    if (made := make()) is make() and isinstance(made, LRScheduler):
        raise TypeError(
            f"the factory of a Subject must make a new policy each time: it gave {short(made)} "
            "twice; give lambda: ... that builds one"
        )
