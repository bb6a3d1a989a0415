"""The first epochs of a schedule, all at once: to the bit what calling it at each of them gives."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import accumulate, count
from typing import Any

import torch
from torch import Tensor

from . import schedules
from .schedules import (
    WSD,
    Clamp,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    Product,
    Step,
    Then,
    Triangular,
)


def tabled(schedule: Callable[[int], Any], n: int) -> Callable[[int], Any]:
    """Return a table of the first n epochs, or the schedule itself where it has none.

    It has none if it, or a part of it, is of another module, or counts more epochs than a float
    has exactly.
    """
    with suppress(Exception):
        return first(schedule, n).tolist().__getitem__
    return schedule


def first(schedule: Any, n: int) -> Tensor:
    """Compute the first n epochs of a schedule, by the formulas of `schedules`.

    Tensors of float64 add, multiply and divide as floats do. Their sine, power and logarithm need
    not be those of `math`, so these are called for each value.

    Raises:
        TypeError: If it has a part that is not of `schedules`, and may have any formula.
        OverflowError: If it counts more epochs than are exact in a float.
    """
    ours = type(schedule).__module__ == schedules.__name__
    t = torch.arange(n, dtype=torch.float64, device="cpu")
    match schedule if ours else None:
        case Constant(value):
            return torch.full_like(t, value)
        case Step(start, size, gamma):
            return _geometric(start, gamma, t // _exact(size))
        case MultiStep(start, milestones, gamma):
            passed = torch.bucketize(t, t.new_tensor(milestones), right=True)
            return _geometric(start, gamma, passed)
        case Exponential(start, gamma, size):
            return _geometric(start, gamma, t / _exact(size))
        case InverseSqrt(start, timescale):
            # A tensor, as torch multiplies a number by the reciprocal.
            scale = t.new_tensor(_exact(timescale))
            return start * _each(math.sqrt, scale / (scale + t))
        case Linear(start, end, epochs):
            return _along(t, [("linear", start, end, epochs)], end)
        case Polynomial(start, end, epochs, power):
            left = (_exact(epochs) - t[:epochs]) / epochs
            half = int((left >= 0.5).sum())
            gone = (0 - t[:half]) / epochs  # not -t, as the whole number -0 has no sign
            log = torch.cat([_each(math.log1p, gone), _each(math.log, left[half:])])
            down = _each(power.__rpow__, left)  # as math.pow, with the power second
            return _held(start * down - end * _each(math.expm1, power * log), end, n)
        case Cosine(start, end, epochs):
            return _along(t, [("cos", start, end, epochs)], end)
        case CosineRestarts(start, end, period, 1):
            return _again(_along(t[:period], [("cos", start, end, period)], end), period, n)
        case CosineRestarts(start, end, period, longer):
            restarts = accumulate(period * longer**i for i in count())
            return _along(t, (("cos", start, end, epoch) for epoch in restarts), end)
        case Piecewise(points):
            at, lrs = (t.new_tensor(column) for column in zip(*points))
            (begin, low), (until, high) = points[0], points[-1]
            inside = t[begin : int(_exact(until))]
            i = torch.bucketize(inside, at, right=True)
            line = _linear(lrs[i - 1], lrs[i], inside - at[i - 1], at[i] - inside)
            return _held(torch.cat([torch.full_like(t[:begin], low), line]), high, n)
        case OneCycle(peak, epochs):
            start = peak / schedule.div_factor
            end = start / schedule.final_div_factor
            up = schedule.pct_start * epochs
            ways = [(start, peak, up), (peak, start, 2 * up), (start, end, epochs)]
            if not schedule.three_phase:
                ways[1:] = [(peak, end, epochs)]
            return _along(t, [(schedule.anneal, a, b, at) for a, b, at in ways], end)
        case Triangular(start, peak, up, down):
            period = up + down
            height = [("linear", start, peak, up), ("linear", peak, start, period)]
            lr = _again(_along(t[:period], height, start), period, n)
            if schedule.mode == "triangular":
                return lr
            if schedule.mode == "triangular2":
                scale = _geometric(1.0, 0.5, t // _exact(period))
            else:
                scale = _geometric(1.0, schedule.gamma, t / _exact(schedule.gamma_epochs))
            return start * (1 - scale) + lr * scale
        case WSD(peak, warmup, stable, decay):
            way_up = "linear", schedule.start, peak, warmup
            way_on = "flat", peak, peak, warmup + stable
            way_down = schedule.anneal, peak, schedule.end, warmup + stable + decay
            return _along(t, [way_up, way_on, way_down], schedule.end)
        case Then(one, other, at):
            return torch.cat([first(one, min(n, at)), first(other, max(0, n - at))])
        case Product(left, right):
            a, b = first(left, n), first(right, n)
            return torch.where((a != 0) & (b != 0), a * b, 0.0)
        case Clamp(inner, low, high):
            lr = first(inner, n)
            lr = lr if low is None else torch.where(lr < low, low, lr)
            return lr if high is None else torch.where(lr < high, lr, high)
        case _:
            raise TypeError


def _each(function: Callable[[float], float], values: Tensor) -> Tensor:
    """Call a function of `math` for each value."""
    return values.to(torch.float64, copy=True).apply_(function)


def _flat(start: float, end: float, since: Tensor, left: Tensor) -> Tensor:
    return torch.full_like(since, start)


# What `schedules` has for floats goes for tensors as well.
_linear: Any = schedules._linear
_sin: Any = partial(_each, math.sin)
_sqrt: Any = partial(_each, math.sqrt)
_SHAPES: dict[str, Any] = {
    "flat": _flat,
    "linear": _linear,
    "cos": partial(schedules._cos, sin=_sin),
    "1-sqrt": partial(schedules._one_minus_sqrt, sqrt=_sqrt),
}


def _along(t: Tensor, ways: Iterable[tuple[str, float, float, float]], end: float) -> Tensor:
    """Go one way after another, and hold the end after the last.

    A way is its shape, the lr that it leaves, the lr that it reaches, and the epoch of that.
    """
    parts: list[Tensor] = []
    gone, since = 0, 0.0
    for shape, start, stop, until in ways:
        part = t[gone : math.ceil(_exact(until))]
        parts.append(_SHAPES[shape](start, stop, part - since, until - part))
        gone, since = gone + len(part), until
        if gone == len(t):
            break
    return _held(torch.cat(parts), end, len(t))


def _held(lrs: Tensor, end: float, n: int) -> Tensor:
    """Go on with the end up to n epochs."""
    return torch.cat([lrs, lrs.new_full((n - len(lrs),), end)])


def _again(lrs: Tensor, period: int, n: int) -> Tensor:
    """Repeat what there is of a period up to n epochs."""
    return lrs.repeat(n // period + 1)[:n]


def _geometric(start: float, gamma: float, exponents: Tensor) -> Tensor:
    """Compute start * gamma^exponent, and its limit where a float overflows."""
    try:
        return start * _each(partial(math.pow, gamma), exponents)
    except OverflowError:
        return _each(lambda n: schedules._geometric(start, gamma, n, 1), exponents)


def _exact(epoch: float) -> float:
    """Return an epoch as a float, or refuse one that need not be exact."""
    if epoch > 2**53:
        raise OverflowError
    return float(epoch)
