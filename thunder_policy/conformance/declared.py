"""What a subject declares of itself, which holds while laws are tried on it.

    with assume(optimizer=Adafactor):
        ...

A law makes its optimizers by `sgd` and asks for an option by `option_of`, which look here.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

MakeOptimizer = Callable[[list[dict[str, Any]]], Optimizer]
"""Makes an optimizer of param groups, as the class of one does."""

Metrics = Callable[[int], float] | Sequence[float]
"""The metric of each epoch from 1 on: a function of it, or a sequence."""

_DEFAULTS: dict[str, Any] = {"optimizer": None, "option": "lr", "writes": ()}
# Beside them: what was computed once while they hold.
_now = {**_DEFAULTS, "answers": None}


@contextmanager
def assume(**declared: Any) -> Generator[None, None, None]:
    """Let what is declared hold in the block, and nothing else.

    Args:
        **declared: ``optimizer``, ``option`` and ``writes``, as `Subject` takes them.

    Example:
        >>> with assume(option="weight_decay"):
        ...     assumed("option")
        'weight_decay'
    """
    before = dict(_now)
    _now.update({**_DEFAULTS, **declared, "answers": {}})
    try:
        yield
    finally:
        _now.update(before)


def assumed(name: str) -> Any:
    """Return what is declared now.

    Example:
        >>> assumed("option")
        'lr'
    """
    return _now[name]


def declared_now() -> dict[str, Any]:
    """Return all that is declared now and is no default."""
    return {name: _now[name] for name, value in _DEFAULTS.items() if _now[name] != value}


def told(factory: Callable[[], Any], metrics: Metrics) -> Any:
    """Make what a factory makes, with a ``step()`` that takes the metric of its epoch by itself.

    Example:
        >>> from functools import partial
        >>> from torch.optim import SGD
        >>> from torch.optim.lr_scheduler import ReduceLROnPlateau
        >>> build = told(lambda: partial(ReduceLROnPlateau, patience=0, factor=0.5), [2.0, 2.0])
        >>> scheduler = build(SGD([{"params": []}], lr=0.5))
        >>> scheduler.step(), scheduler.step(), scheduler.get_last_lr()
        (None, None, [0.25])
    """
    made = factory()
    if isinstance(made, LRScheduler):
        return _telling(made, metrics)

    def build(optimizer: Optimizer) -> Any:
        return _telling(made(optimizer), metrics)

    return build


class Told:
    """A scheduler whose ``step()`` takes the metric of its epoch by itself."""

    last_epoch: int
    _metric_of: Callable[[int], float]
    _metric_name: str | None

    def step(self, epoch: int | None = None) -> None:
        """Step to the next epoch, with its metric."""
        of_its_own: Any = super()
        # There is a metric of each epoch from 1 on, also where it is not bound yet.
        metric = self._metric_of(max(self.last_epoch, 0) + 1)
        if self._metric_name is None:
            of_its_own.step(metric)
        else:
            of_its_own.step(**{self._metric_name: metric})


def _telling(scheduler: Any, metrics: Metrics) -> Any:
    kind: Any = type(scheduler)

    def metric_of(epoch: int) -> float:
        return metrics(epoch) if callable(metrics) else metrics[epoch - 1]

    body = {
        "_metric_of": staticmethod(metric_of),
        "_metric_name": _metric_name(kind.step),
        "__module__": kind.__module__,
    }
    scheduler.__class__ = type(kind.__name__, (Told, kind), body)
    return scheduler


def _metric_name(step: Callable[..., Any]) -> str | None:
    """Return by what name a step takes a metric: its first argument, but for an epoch."""
    _, *parameters = inspect.signature(step).parameters.values()
    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    named = (one.name for one in parameters if one.kind not in variadic and one.name != "epoch")
    return next(named, None)
