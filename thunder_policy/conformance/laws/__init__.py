"""The laws, each one small function, and the decorator that registers them."""

# pyright: reportUnknownVariableType=false

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import gcd
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., None])
Case = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Law:
    """A sentence that holds of every sound policy, and the function that tries to break it.

    Attributes:
        name: Its name, which does not change.
        sentence: What it states.
        trap: What it guards against: an issue of torch, where there is one.
        function: Raises `Broken` where the law is broken. The names of its arguments say what it
            is tried with: ``make``, ``held`` (the lrs of the groups), ``epochs``, ``at`` (some
            epochs), ``exact``, ``expected``, and those of ``choices``.
        late: Whether it needs a policy that is bound after it was made.
        root: Whether nothing else can be said of a policy that breaks it.
        widest: Whether it is tried with the most param groups alone, as it takes long.
        choices: More arguments, with the values that each may take.

    Example:
        >>> LAWS["quiet"].sentence
        'A correct loop, saving and loading are without warnings; a binding may warn of lrs.'
    """

    name: str
    sentence: str
    trap: str
    function: Callable[..., None]
    late: bool = False
    root: bool = False
    widest: bool = False
    choices: dict[str, Sequence[Any]] = field(default_factory=dict)

    def cases(
        self, given: Case, layouts: Sequence[list[float]], epochs: int, *, each: bool = False
    ) -> Iterator[Case]:
        """Yield the arguments to try, small ones first.

        With the most groups the law is tried at some epochs, and with all its choices; with fewer
        half way alone, and with the first of them, unless ``each`` is wanted there too.
        """
        # A scheduler that goes round is not where it began both there and at the end.
        half = next(at for at in range((epochs + 1) // 2, epochs + 1) if gcd(at, epochs) == 1)
        some = sorted({0, (epochs + 1) // 2, half, epochs, *([min(1, epochs)] if each else [])})
        names = inspect.signature(self.function).parameters
        for held in layouts[-1:] if self.widest or "held" not in names else layouts:
            values: dict[str, Sequence[Any]] = {
                "held": [held],
                "at": some,
                "epochs": [epochs],
                **{name: [value] for name, value in given.items()},
                **self.choices,
            }
            if held is not layouts[-1] and not each:
                values["at"] = [half]
                values |= {name: choices[:1] for name, choices in self.choices.items()}
            for combination in product(*(values[name] for name in names)):
                yield dict(zip(names, combination))


LAWS: dict[str, Law] = {}
"""The laws on policies and schedulers, by name."""


def law(
    trap: str,
    *,
    late: bool = False,
    root: bool = False,
    widest: bool = False,
    **choices: Sequence[Any],
) -> Callable[[Function], Function]:
    """Register a function as the law of its name; its docstring is the sentence."""

    def register(function: Function) -> Function:
        sentence = inspect.cleandoc(function.__doc__ or "")
        LAWS[function.__name__] = Law(
            function.__name__, sentence, trap, function, late, root, widest, choices
        )
        return function

    return register


# The order is that of the report. By name, so that a freezer sees what is imported.
# isort: off
from . import binding as binding  # noqa: E402
from . import stepping as stepping  # noqa: E402
from . import state as state  # noqa: E402
from . import tensors as tensors  # noqa: E402
from . import copies as copies  # noqa: E402
from . import other_schedulers as other_schedulers  # noqa: E402
from . import surroundings as surroundings  # noqa: E402
