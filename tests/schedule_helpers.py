"""What the tests of schedules share: strategies, an exact oracle, what stepping gives."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]
from helpers import Value, lrs, sgd
from hypothesis import strategies as st
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy.schedules import (
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
    ScheduleFunction,
    Step,
    Then,
    Triangular,
    warmup,
)


def trajectory(schedule: ScheduleFunction, epochs: int) -> list[float]:
    """Return the first values of a schedule."""
    return [schedule(t) for t in range(epochs)]


def stepped(make: Callable[[Optimizer], LRScheduler], lr: Value, epochs: int) -> list[float]:
    """Step a real optimizer and its scheduler, and look at the group."""
    optimizer = sgd(lr)
    scheduler = make(optimizer)
    optimizer.step()  # once is enough for torch's check of the order
    seen = []
    for _ in range(epochs):
        seen += lrs(optimizer)
        scheduler.step()
    return seen


# --- Strategies --------------------------------------------------------------------------------

rates = st.just(0.0) | st.floats(1e-8, 10)
factors = st.floats(0, 1.5)
counts = st.integers(1, 500) | st.integers(1, 10**12)
some = st.just(0) | counts
"""A number of epochs that may be none."""
epochs = st.integers(0, 2000) | st.integers(0, 10**12)
anneals = st.sampled_from(["cos", "linear"])


def triangulars() -> st.SearchStrategy[ScheduleFunction]:
    sides = st.tuples(some, some).filter(any)
    modes = st.sampled_from(["triangular", "triangular2"])
    plain = st.builds(lambda a, b, s, m: Triangular(a, b, *s, mode=m), rates, rates, sides, modes)
    exp_range = st.builds(
        lambda ab, s, g, n: Triangular(*ab, *s, mode="exp_range", gamma=g, gamma_epochs=n),
        # One that starts above its peak has the digits of 1 - gamma^t, which may be few.
        st.tuples(rates, rates).map(sorted),
        sides,
        st.floats(0, 1),
        counts,
    )
    return plain | exp_range


simple: st.SearchStrategy[ScheduleFunction] = st.one_of(
    st.builds(Constant, rates),
    st.builds(Step, rates, counts, factors),
    st.builds(MultiStep, rates, st.lists(epochs), factors),
    st.builds(Exponential, rates, factors, counts),
    st.builds(InverseSqrt, rates, counts),
    st.builds(Linear, rates, rates, counts),
    st.builds(Polynomial, rates, rates, counts, st.floats(0.01, 10)),
    st.builds(Cosine, rates, rates, counts),
    st.builds(CosineRestarts, rates, rates, counts, st.integers(1, 5)),
    st.builds(Piecewise, st.dictionaries(epochs, rates, min_size=1)),
    st.builds(
        OneCycle,
        rates,
        counts,
        pct_start=st.floats(0, 0.4) | st.just(0.5),
        div_factor=st.floats(0.5, 1e3),
        final_div_factor=st.floats(0.5, 1e5),
        anneal=anneals,
        three_phase=st.booleans(),
    ),
    triangulars(),
    st.builds(
        WSD,
        rates,
        some,
        some,
        some,
        start=rates,
        end=rates,
        anneal=st.sampled_from(["cos", "linear", "1-sqrt"]),
    ),
)


def composed(part: st.SearchStrategy[ScheduleFunction]) -> st.SearchStrategy[ScheduleFunction]:
    clamps = st.tuples(rates, rates).map(sorted)
    return st.one_of(
        st.builds(lambda a, b, at: a.then(b, at=at), part, part, epochs),
        st.builds(lambda a, b: a * b, part, part),
        st.builds(lambda a, x: x * a, part, rates),
        st.builds(lambda a, bounds: a.clamp(*bounds), part, clamps),
        st.builds(lambda n, a: warmup(n, a), some, part),
    )


anything = st.recursive(simple, composed, max_leaves=4)


def grows(schedule: ScheduleFunction) -> bool:
    """Say whether a schedule may leave the range of a float."""
    return any(float(gamma) > 1 for gamma in re.findall(r"gamma=([^,)]+)", repr(schedule)))


@st.composite
def near_corners(draw: st.DrawFn, schedule: ScheduleFunction) -> int:
    """Draw an epoch; most often one beside those at which the schedule changes its formula."""
    if draw(st.integers(0, 3)) == 0:
        return draw(epochs)
    corners = [0, *whole_numbers(dataclasses.astuple(schedule))]
    several = draw(st.lists(st.sampled_from(corners), min_size=1, max_size=3))
    return max(0, sum(several) + draw(st.integers(-3, 3)))


def whole_numbers(value: Any) -> list[int]:
    if isinstance(value, tuple):
        return [number for one in value for number in whole_numbers(one)]
    return [value] if type(value) is int else []


# --- An oracle ---------------------------------------------------------------------------------

mp = mpmath.mp.clone()
mp.dps = 60


def exactly(schedule: ScheduleFunction, t: int) -> Any:
    """Return the textbook's formula, with 60 digits."""
    match schedule:
        case Constant(value):
            return mp.mpf(value)
        case Step(start, size, gamma):
            return start * power(gamma, t // size)
        case MultiStep(start, milestones, gamma):
            return start * power(gamma, sum(epoch <= t for epoch in milestones))
        case Exponential(start, gamma, size):
            return start * power(gamma, mp.mpf(t) / size)
        case InverseSqrt(start, timescale):
            return start * mp.sqrt(mp.mpf(timescale) / (timescale + t))
        case Linear(start, end, n):
            return between(start, end, t, n)
        case Polynomial(start, end, n, exponent):
            return end + (start - mp.mpf(end)) * (1 - part(t, n)) ** exponent
        case Cosine(start, end, n):
            return between(start, end, t, n, "cos")
        case CosineRestarts(start, end, n, longer):
            if longer == 1:
                t %= n
            while t >= n:
                t -= n
                n *= longer
            return between(start, end, t, n, "cos")
        case Piecewise(points):
            after = [i for i, (epoch, _) in enumerate(points) if epoch > t]
            if not after or after[0] == 0:
                return mp.mpf(points[-1 if not after else 0][1])
            (a, x), (b, y) = points[after[0] - 1 : after[0] + 1]
            return between(x, y, t - a, b - a)
        case OneCycle(peak, n):
            up = mp.mpf(schedule.pct_start) * n
            low = mp.mpf(peak) / schedule.div_factor
            end = low / schedule.final_div_factor
            if t < up:
                return between(low, peak, t, up, schedule.anneal)
            if not schedule.three_phase:
                return between(peak, end, t - up, n - up, schedule.anneal)
            if t < 2 * up:
                return between(peak, low, t - up, up, schedule.anneal)
            return between(low, end, t - 2 * up, n - 2 * up, schedule.anneal)
        case Triangular(start, peak, up, down):
            cycle, since = divmod(t, up + down)
            height = part(since, up) if since < up else part(up + down - since, down)
            if schedule.mode == "triangular2":
                height /= mp.mpf(2) ** cycle
            elif schedule.mode == "exp_range":
                height *= power(schedule.gamma, mp.mpf(t) / schedule.gamma_epochs)
            return start + (mp.mpf(peak) - start) * height
        case WSD(peak, n, stable, decay):
            if t < n:
                return between(schedule.start, peak, t, n)
            if t < n + stable:
                return mp.mpf(peak)
            return between(peak, schedule.end, t - n - stable, decay, schedule.anneal)
        case Then(first, second, at):
            return exactly(first, t) if t < at else exactly(second, t - at)
        case Product(left, right):
            return exactly(left, t) * exactly(right, t)
        case Clamp(inner, low, high):
            lr = exactly(inner, t)
            lr = lr if low is None else max(lr, mp.mpf(low))
            return lr if high is None else min(lr, mp.mpf(high))
    raise AssertionError(f"no formula for {schedule}")


def part(t: Any, n: Any) -> Any:
    return min(mp.mpf(t) / n, mp.mpf(1)) if n else mp.mpf(1)


def power(base: float, exponent: Any) -> Any:
    return mp.mpf(base) ** exponent if exponent else mp.mpf(1)


def between(start: Any, end: Any, t: Any, n: Any, shape: str = "linear") -> Any:
    p = part(t, n)
    down = {"linear": 1 - p, "cos": (1 + mp.cos(mp.pi * p)) / 2, "1-sqrt": 1 - mp.sqrt(p)}[shape]
    return end + (mp.mpf(start) - end) * down
