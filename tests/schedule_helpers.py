"""What the tests of schedules share: strategies, an exact oracle, what stepping gives."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
from helpers import Value, lrs, sgd
from hypothesis import strategies as st
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy.schedules import (
    REX,
    WSD,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Geometric,
    InSteps,
    InverseSqrt,
    InverseTime,
    Linear,
    MultiStep,
    OneCycle,
    OneMinusPower,
    Piecewise,
    Polynomial,
    Power,
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
above_0 = st.floats(1e-8, 10)
factors = st.floats(0, 1.5)
powers = st.floats(0.01, 10)
anneals = st.sampled_from(["cos", "linear", "1-sqrt"])
modes = st.sampled_from(["triangular", "triangular2"])

# Times: whole ones of any size, and decimals that have no exact float, as people write them.
counts = st.integers(1, 500) | st.integers(1, 10**12)
epochs = st.integers(0, 2000) | st.integers(0, 10**12)
decimals = st.sampled_from([10, 100, 1000]).flatmap(
    lambda parts: st.integers(1, 300).map(lambda n: n / parts)
)

Schedules = st.SearchStrategy[ScheduleFunction]


def schedules_of(lengths: st.SearchStrategy[Any], moments: st.SearchStrategy[Any]) -> Schedules:
    """Draw a schedule of any class that has no other in it, with such times."""
    some = st.just(0) | lengths
    sides = st.tuples(some, some).filter(any)
    return st.one_of(
        st.builds(Constant, rates),
        st.builds(Step, rates, lengths, factors),
        st.builds(MultiStep, rates, st.lists(moments), factors),
        st.builds(Exponential, rates, factors, lengths),
        st.builds(InverseSqrt, rates, lengths),
        st.builds(InverseTime, rates, lengths),
        st.builds(Power, rates, lengths, powers),
        st.builds(Linear, rates, rates, lengths),
        st.builds(Polynomial, rates, rates, lengths, powers),
        st.builds(OneMinusPower, rates, rates, lengths, powers),
        st.builds(Geometric, above_0, above_0, lengths),
        st.builds(Cosine, rates, rates, lengths),
        st.builds(REX, rates, rates, lengths),
        st.builds(CosineRestarts, rates, rates, lengths, st.integers(1, 5)),
        st.builds(
            CosineRestarts,
            rates,
            rates,
            lengths,
            st.integers(1, 5),
            cycle_decay=st.floats(0, 1),
            cycle_limit=st.none() | st.integers(1, 50),
        ),
        st.builds(Piecewise, st.dictionaries(moments, rates, min_size=1)),
        st.builds(
            OneCycle,
            rates,
            lengths,
            pct_start=st.floats(0, 0.4) | st.just(0.5),
            div_factor=st.floats(0.5, 1e3),
            final_div_factor=st.floats(0.5, 1e5),
            anneal=anneals,
            three_phase=st.booleans(),
        ),
        st.builds(lambda a, b, s, m: Triangular(a, b, *s, mode=m), rates, rates, sides, modes),
        st.builds(
            lambda ab, s, g: Triangular(*ab, *s, mode="exp_range", gamma=g),
            # One that starts above its peak has the digits of 1 - gamma^t, which may be few.
            st.tuples(rates, rates).map(sorted),
            sides,
            st.floats(0, 1),
        ),
        st.builds(WSD, rates, some, some, some, start=rates, end=rates, anneal=anneals),
    )


def composed(part: Schedules, moments: st.SearchStrategy[Any]) -> Schedules:
    """Draw a schedule made of others."""
    return st.one_of(
        st.builds(lambda a, b, at: a.then(b, at=at), part, part, moments),
        st.builds(lambda a, b: a * b, part, part),
        st.builds(lambda a, x: x * a, part, rates),
        st.builds(lambda n, a: warmup(n, a), moments, part),
    )


simple = schedules_of(counts, epochs)
of_epochs = st.recursive(simple, lambda part: composed(part, epochs), max_leaves=4)
of_parts = st.recursive(
    schedules_of(decimals, st.just(0) | decimals),
    lambda part: composed(part, st.just(0) | decimals),
    max_leaves=4,
)
anything = st.recursive(
    simple | schedules_of(decimals, decimals),
    lambda part: (
        composed(part, epochs | decimals)
        | st.builds(lambda a, k: a.in_steps(k), part, st.integers(1, 1000))
    ),
    max_leaves=4,
)


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
mp.dps = 320  # a value of 1e-290 has digits too


def exactly(schedule: ScheduleFunction, t: Any) -> Any:
    """Return the textbook's formula, with 60 digits.

    Times are fractions: 0.1 is a tenth, and not the float next to it.
    """
    times = {f.name: exact(getattr(schedule, f.name)) for f in dataclasses.fields(schedule)}
    match schedule:
        case Constant(value):
            return mp.mpf(value)
        case Step(start, _, gamma):
            return start * power(gamma, t // times["step_size"])
        case MultiStep(start, milestones, gamma):
            return start * power(gamma, sum(exact(epoch) <= t for epoch in milestones))
        case Exponential(start, gamma, _):
            return start * power(gamma, ratio(t, times["step_size"]))
        case InverseSqrt(start, _):
            return start / mp.sqrt(1 + ratio(t, times["timescale"]))
        case InverseTime(start, _):
            return start / (1 + ratio(t, times["timescale"]))
        case Power(peak, _, exponent):
            late = ratio(times["timescale"], t) if t else mp.mpf(1)
            return peak * min(late, mp.mpf(1)) ** exponent
        case Linear(start, end, _):
            return between(start, end, t, times["epochs"])
        case Polynomial(start, end, _, exponent):
            return end + (start - mp.mpf(end)) * (1 - part(t, times["epochs"])) ** exponent
        case OneMinusPower(start, end, _, exponent):
            return end + (start - mp.mpf(end)) * (1 - part(t, times["epochs"]) ** exponent)
        case Geometric(start, end, _):
            return start * (mp.mpf(end) / start) ** part(t, times["epochs"])
        case Cosine(start, end, _):
            return between(start, end, t, times["epochs"], "cos")
        case REX(start, end, _):
            left = 1 - part(t, times["epochs"])
            return end + (start - mp.mpf(end)) * left / (mp.mpf(1) / 2 + left / 2)
        case CosineRestarts(start, end, _, longer):
            n, cycle, top = times["T_0"], 0, mp.mpf(start)
            if longer == 1:
                cycle, t = divmod(t, n)
            while t >= n:
                t, n, cycle = t - n, n * longer, cycle + 1
            if schedule.cycle_limit is not None and cycle >= schedule.cycle_limit:
                return mp.mpf(end)
            return between(top * power(schedule.cycle_decay, cycle), end, t, n, "cos")
        case Piecewise(pairs):
            points = [(exact(epoch), lr) for epoch, lr in pairs]
            after = [i for i, (epoch, _) in enumerate(points) if epoch > t]
            if not after or after[0] == 0:
                return mp.mpf(points[-1 if not after else 0][1])
            (a, x), (b, y) = points[after[0] - 1 : after[0] + 1]
            return between(x, y, t - a, b - a)
        case OneCycle(peak, _):
            n, up = times["epochs"], Fraction(schedule.pct_start) * times["epochs"]
            low = mp.mpf(peak) / schedule.div_factor
            end = low / schedule.final_div_factor
            if t < up:
                return between(low, peak, t, up, schedule.anneal)
            if not schedule.three_phase:
                return between(peak, end, t - up, n - up, schedule.anneal)
            if t < 2 * up:
                return between(peak, low, t - up, up, schedule.anneal)
            return between(low, end, t - 2 * up, n - 2 * up, schedule.anneal)
        case Triangular(start, peak):
            up, down = times["up"], times["down"]
            cycle, since = divmod(t, up + down)
            height = part(since, up) if since < up else part(up + down - since, down)
            if schedule.mode == "triangular2":
                height /= mp.mpf(2) ** cycle
            elif schedule.mode == "exp_range":
                height *= power(schedule.gamma, ratio(t, 1))
            return start + (mp.mpf(peak) - start) * height
        case WSD(peak):
            n, stable = times["warmup"], times["warmup"] + times["stable"]
            if t < n:
                return between(schedule.start, peak, t, n)
            if t < stable:
                return mp.mpf(peak)
            return between(peak, schedule.end, t - stable, times["decay"], schedule.anneal)
        case Then(first, second, _):
            at = times["at"]
            return exactly(first, t) if t < at else exactly(second, t - at)
        case Product(left, right):
            return exactly(left, t) * exactly(right, t)
        case InSteps(inner, k):
            return exactly(inner, Fraction(t) / k)
    raise AssertionError(f"no formula for {schedule}")


def exact(value: Any) -> Any:
    """Return the fraction that a person means by a float, 1/10 by 0.1."""
    return Fraction(repr(value)) if isinstance(value, float) else value


def ratio(t: Any, n: Any) -> Any:
    fraction = Fraction(t) / Fraction(n)
    return mp.mpf(fraction.numerator) / fraction.denominator


def part(t: Any, n: Any) -> Any:
    return min(ratio(t, n), mp.mpf(1)) if n else mp.mpf(1)


def power(base: float, exponent: Any) -> Any:
    return mp.mpf(base) ** exponent if exponent else mp.mpf(1)


def between(start: Any, end: Any, t: Any, n: Any, shape: str = "linear") -> Any:
    p = part(t, n)
    down = {"linear": 1 - p, "cos": (1 + mp.cos(mp.pi * p)) / 2, "1-sqrt": 1 - mp.sqrt(p)}[shape]
    return mp.mpf(end) * (1 - down) + mp.mpf(start) * down
