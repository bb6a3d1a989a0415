"""Closed-form schedules: small values that map an epoch to a learning rate, to put into `Schedule`.

Every schedule is a frozen dataclass and a pure function: any epoch from 0 up, in any order, without
drift. A schedule with an end holds its last value past it, a periodic one goes on. One vocabulary
serves them all: ``start``, ``peak``, ``end`` and ``value`` are learning rates, ``gamma`` is a
factor, and what counts epochs is a whole number. ``epochs`` is the epoch at which ``end`` is
reached. Formulas call the epoch t.

    >>> decay = Cosine(start=0.1, end=0.0, epochs=90)
    >>> decay(0), decay(90), decay(10**9)
    (0.1, 0.0, 0.0)
    >>> per_group = [decay, 0.1 * decay]
    >>> warmup(5, decay).in_steps(steps_per_epoch=100)(250)
    0.05

An argument of the wrong type is a ``TypeError``, a value out of range a ``ValueError``; both name
the class, the argument and the value. An epoch is checked in the same way on each call.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, Literal, TypeVar

from .checks import count, epoch_key, epoch_number, non_negative, real, short

__all__ = [
    "WSD", "Clamp", "Constant", "Cosine", "CosineRestarts", "Exponential", "InverseSqrt", "Linear",
    "MultiStep", "OneCycle", "Piecewise", "Polynomial", "Product", "ScheduleFunction", "Step",
    "Then", "Triangular", "warmup",
]  # fmt: skip

AnySchedule = TypeVar("AnySchedule", bound="ScheduleFunction")


@dataclass(frozen=True)
class ScheduleFunction(ABC):
    """A learning rate as a function of the epoch, the base class of every schedule here.

    One of your own is a frozen dataclass with the formula in `_at`; `_epoch_fields` names the
    fields that count epochs, or hold schedules, for `in_steps`. A field named like one of the
    schedules below is checked in the same way.

    Example:
        >>> @dataclass(frozen=True)
        ... class Sawtooth(ScheduleFunction):
        ...     peak: float
        ...     period: int
        ...     _epoch_fields = ("period",)
        ...
        ...     def _at(self, t: int) -> float:
        ...         return self.peak * (t % self.period) / self.period
        >>> (0.5 * Sawtooth(peak=1.0, period=4))(7)
        0.375
    """

    _epoch_fields: ClassVar[tuple[str, ...]]
    # Without it NumPy takes `np.float64(2) * schedule` for itself and makes an object array of it.
    __array_ufunc__: ClassVar[None] = None

    def __post_init__(self) -> None:
        """Check the fields by name, and keep them as plain numbers."""
        for field in fields(self):
            if check := _CHECKS.get(field.name):
                value = check(getattr(self, field.name), f"{type(self).__name__}: {field.name}")
                object.__setattr__(self, field.name, value)

    def __call__(self, epoch: int) -> float:
        """Return the learning rate at an epoch.

        Args:
            epoch: any integral number from 0 up.

        Returns:
            The learning rate; inf where growth without bound leaves the range of a float.

        Raises:
            TypeError: the epoch is not integral.
            ValueError: the epoch is negative.
        """
        if type(epoch) is not int or epoch < 0:
            epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        return self._at(epoch)

    @abstractmethod
    def _at(self, t: int) -> float:
        """Compute the formula at an epoch that has been checked."""

    def __mul__(self, other: ScheduleFunction | float) -> Product:
        """Multiply by a number or, epoch by epoch, by another schedule."""
        if isinstance(other, ScheduleFunction):
            return Product(self, other)
        number: Any = other
        if not isinstance(number, Real):
            return NotImplemented
        return Product(self, Constant(other))

    __rmul__ = __mul__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: Callable[[Any], Any]) -> Any:
        from .configs import pydantic_schema

        # One of a class that is known is told from its fields, as every dataclass is.
        return pydantic_schema(cls) if cls is ScheduleFunction else handler(source)

    def then(self, schedule: ScheduleFunction, *, at: int) -> Then:
        """Go on with another schedule from an epoch on; it starts at its own epoch 0.

        In a chain each `at` counts from the beginning of the whole, like SequentialLR's milestones.

        Args:
            schedule: what follows.
            at: the first epoch of `schedule`.

        Returns:
            `self(t)` before `at`, `schedule(t - at)` from it on.

        Example:
            >>> [*map(Constant(0.1).then(Linear(0.1, 0.0, epochs=2), at=3), range(6))]
            [0.1, 0.1, 0.1, 0.1, 0.05, 0.0]
        """
        return Then(self, schedule, at)

    def clamp(self, min: float | None = None, max: float | None = None) -> Clamp:
        """Keep the learning rate between two bounds, of which either may be left out.

        Args:
            min: the lowest learning rate.
            max: the highest; growth without bound ends here.

        Returns:
            The bounded schedule.

        Example:
            >>> [*map(Exponential(0.1, gamma=0.5).clamp(min=0.03), range(4))]
            [0.1, 0.05, 0.03, 0.03]
        """
        return Clamp(self, min, max)

    def in_steps(self: AnySchedule, steps_per_epoch: int) -> AnySchedule:
        """Return the same schedule counted in steps: written in epochs, stepped in batches.

        Every count of epochs is multiplied by `steps_per_epoch`. So step `k * steps_per_epoch` has
        the value of epoch k; in between a smooth schedule moves with every step, and a stepwise one
        stays where it is.

        Args:
            steps_per_epoch: how often `step()` is called in an epoch, at least 1.

        Returns:
            A schedule of the same class.

        Example:
            >>> Cosine(0.1, 0.0, epochs=90).in_steps(500)
            Cosine(start=0.1, end=0.0, epochs=45000)
        """
        k = count(steps_per_epoch, f"{type(self).__name__}: steps_per_epoch")
        return replace(self, **{n: _times(k, getattr(self, n)) for n in self._epoch_fields})


@dataclass(frozen=True)
class Constant(ScheduleFunction):
    """The same value at every epoch: lr = value.

    Args:
        value: a learning rate, or a factor for another schedule.

    Example:
        >>> Constant(0.1)(1000)
        0.1
    """

    value: float
    _epoch_fields = ()

    def _at(self, t: int) -> float:
        return self.value


@dataclass(frozen=True)
class Step(ScheduleFunction):
    """Multiply by gamma every `step_size` epochs: lr = start * gamma^floor(t / step_size).

    Source: torch StepLR, which divides by zero for a `step_size` of 0: here that is a ValueError.

    Args:
        start: lr at epoch 0.
        step_size: epochs between two steps.
        gamma: factor of a step.

    Example:
        >>> [*map(Step(0.1, step_size=2, gamma=0.5), range(5))]
        [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    start: float
    step_size: int
    gamma: float = 0.1
    _epoch_fields = ("step_size",)

    def _at(self, t: int) -> float:
        return _geometric(self.start, self.gamma, t // self.step_size, 1)


@dataclass(frozen=True)
class MultiStep(ScheduleFunction):
    """Multiply by gamma at each milestone: lr = start * gamma^(number of milestones <= t).

    A milestone is the first epoch with the new value; one given twice counts twice. Source: torch
    MultiStepLR, which is silent about a milestone that no epoch reaches, 30.5 or -1: here that is
    an error.

    Args:
        start: learning rate before the first milestone.
        milestones: epochs in any order; kept as a sorted tuple.
        gamma: factor at a milestone.

    Example:
        >>> [*map(MultiStep(0.1, milestones=[1, 3], gamma=0.5), range(5))]
        [0.1, 0.05, 0.05, 0.025, 0.025]
    """

    start: float
    milestones: Sequence[int]
    gamma: float = 0.1
    _epoch_fields = ("milestones",)

    def _at(self, t: int) -> float:
        return _geometric(self.start, self.gamma, bisect_right(self.milestones, t), 1)


@dataclass(frozen=True)
class Exponential(ScheduleFunction):
    """Multiply by gamma over every `step_size` epochs: lr = start * gamma^(t / step_size).

    Source: torch ExponentialLR, where `step_size` is 1, and optax exponential_decay. With gamma
    above 1 the value leaves the range of a float in the end and is inf: see `clamp`.

    Args:
        start: lr at epoch 0.
        gamma: factor of `step_size` epochs.
        step_size: epochs in which the learning rate is multiplied by gamma once.

    Example:
        >>> [*map(Exponential(0.1, gamma=0.25, step_size=2), range(4))]
        [0.1, 0.05, 0.025, 0.0125]
    """

    start: float
    gamma: float
    step_size: int = 1
    _epoch_fields = ("step_size",)

    def _at(self, t: int) -> float:
        return _geometric(self.start, self.gamma, t, self.step_size)


@dataclass(frozen=True)
class InverseSqrt(ScheduleFunction):
    """Decay with the square root of time: lr = start * sqrt(timescale / (timescale + t)).

    Source: Vaswani et al., Attention Is All You Need (2017), https://arxiv.org/abs/1706.03762.
    transformers' get_inverse_sqrt_schedule is `warmup(n, InverseSqrt(lr, timescale=n))`.

    Args:
        start: lr at epoch 0.
        timescale: the learning rate has halved after three times as many epochs.

    Example:
        >>> s = InverseSqrt(0.1, timescale=1)
        >>> s(0), s(3)
        (0.1, 0.05)
    """

    start: float
    timescale: int
    _epoch_fields = ("timescale",)

    def _at(self, t: int) -> float:
        return self.start * math.sqrt(self.timescale / (self.timescale + t))


@dataclass(frozen=True)
class Linear(ScheduleFunction):
    """Go from start to end along a line: lr = start + (end - start) * t / epochs.

    Source: torch LinearLR, which with `total_iters=0` never leaves its start: here `epochs` is at
    least 1.

    Args:
        start: lr at epoch 0.
        end: lr at epoch `epochs` and after.
        epochs: how long it takes.

    Example:
        >>> [*map(Linear(0.0, 1.0, epochs=4), range(6))]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    start: float
    end: float
    epochs: int
    _epoch_fields = ("epochs",)

    def _at(self, t: int) -> float:
        return self.end if t >= self.epochs else _linear(self.start, self.end, t, self.epochs - t)


@dataclass(frozen=True)
class Polynomial(ScheduleFunction):
    """Go from start to end as a power: lr = end + (start - end) * (1 - t / epochs)^power.

    Source: torch PolynomialLR, where `end` is 0, and optax polynomial_schedule. torch never leaves
    its start with `power=0` or `total_iters=0`: here both are errors.

    Args:
        start: lr at epoch 0.
        end: lr at epoch `epochs` and after.
        epochs: how long it takes.
        power: 1 is a line; above 1 most of the way is gone early, below 1 late.

    Example:
        >>> [*map(Polynomial(1.0, 0.0, epochs=4, power=2), range(6))]
        [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    start: float
    end: float
    epochs: int
    power: float = 1.0
    _epoch_fields = ("epochs",)

    def _at(self, t: int) -> float:
        if t >= self.epochs:
            return self.end
        left = (self.epochs - t) / self.epochs
        log = math.log(left) if left < 0.5 else math.log1p(-t / self.epochs)
        # expm1 is 1 - left^power with its sign turned, without the loss where that is near 0.
        return self.start * math.pow(left, self.power) - self.end * math.expm1(self.power * log)


@dataclass(frozen=True)
class Cosine(ScheduleFunction):
    """Go from start to end as half a cosine wave.

    lr = end + (start - end) * (1 + cos(pi * t / epochs)) / 2. Source: Loshchilov and Hutter, SGDR
    (2017), https://arxiv.org/abs/1608.03983, and torch CosineAnnealingLR, which past `T_max` climbs
    again: this one stays at `end`, and `CosineRestarts` is the periodic one.

    Args:
        start: lr at epoch 0.
        end: lr at epoch `epochs` and after.
        epochs: how long it takes, torch's `T_max`.

    Example:
        >>> s = Cosine(0.1, 0.0, epochs=90)
        >>> [round(s(t), 6) for t in (0, 30, 60, 90, 120)]
        [0.1, 0.075, 0.025, 0.0, 0.0]
    """

    start: float
    end: float
    epochs: int
    _epoch_fields = ("epochs",)

    def _at(self, t: int) -> float:
        return self.end if t >= self.epochs else _cos(self.start, self.end, t, self.epochs - t)


@dataclass(frozen=True)
class CosineRestarts(ScheduleFunction):
    """Go from start towards end as half a cosine, again and again, each `T_mult` times longer.

    lr = end + (start - end) * (1 + cos(pi * T_cur / T_i)) / 2, where T_cur epochs have gone by
    since the last restart and cycle i is T_i = T_0 * T_mult^i epochs long. Source: Loshchilov and
    Hutter, SGDR (2017), https://arxiv.org/abs/1608.03983, and torch CosineAnnealingWarmRestarts.

    Args:
        start: learning rate at every restart.
        end: where a cycle would arrive; the next one begins at that epoch instead.
        T_0: epochs in the first cycle.
        T_mult: how many times longer each cycle is than the one before.

    Example:
        >>> s = CosineRestarts(0.1, 0.0, T_0=2, T_mult=2)
        >>> [round(s(t), 6) for t in range(7)]
        [0.1, 0.05, 0.1, 0.085355, 0.05, 0.014645, 0.1]
    """

    start: float
    end: float
    T_0: int
    T_mult: int = 1
    _epoch_fields = ("T_0",)

    def _at(self, t: int) -> float:
        length, m = self.T_0, self.T_mult
        if m == 1:
            t %= length
        else:
            # Cycle i begins at T_0 * (m^i - 1) / (m - 1), so the latest is floor(log_m(q)).
            q = 1 + t * (m - 1) // length
            longer = m ** round(math.log(q, m))
            if longer > q:
                longer //= m
            t -= length * (longer - 1) // (m - 1)
            length *= longer
        return _cos(self.start, self.end, t, length - t)


@dataclass(frozen=True, init=False)
class Piecewise(ScheduleFunction):
    """Straight lines between points; the first and the last value hold outside of them.

    lr = x + (y - x) * (t - a) / (b - a) between the neighbours (a, x) and (b, y). Source: optax
    piecewise_interpolate_schedule, with learning rates in place of factors.

    Args:
        points: `{epoch: lr}`, or pairs of them, in any order; kept as a sorted tuple of pairs.

    Example:
        >>> [*map(Piecewise({0: 0.0, 2: 0.5, 6: 0.0}), range(8))]
        [0.0, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0, 0.0]
    """

    points: tuple[tuple[int, float], ...]

    def __init__(self, points: Mapping[int, float] | Iterable[tuple[int, float]]) -> None:
        """Take a mapping or pairs."""
        object.__setattr__(self, "points", points)
        self.__post_init__()

    def _at(self, t: int) -> float:
        i = bisect_right(self.points, (t, math.inf))
        if i == 0:
            return self.points[0][1]
        a, x = self.points[i - 1]
        if i == len(self.points):
            return x
        b, y = self.points[i]
        return _linear(x, y, t - a, b - t)

    def in_steps(self, steps_per_epoch: int) -> Piecewise:
        """Return the same points counted in steps."""
        k = count(steps_per_epoch, "Piecewise: steps_per_epoch")
        return replace(self, points=tuple((k * t, lr) for t, lr in self.points))


@dataclass(frozen=True)
class OneCycle(ScheduleFunction):
    """Go up to the peak in the first part of a run, then far below the start: the 1cycle policy.

    lr goes from peak / div_factor at epoch 0 to peak at pct_start * epochs, and on to
    peak / div_factor / final_div_factor at `epochs`. With three phases it is back at its start at
    2 * pct_start * epochs in between.

    Source: Smith and Topin, Super-Convergence (2018), https://arxiv.org/abs/1708.07120, and torch
    OneCycleLR, which is a step early at the peak and at the end, divides by zero where
    pct_start * total_steps is 1, leaves out the way up where it is less, and fails after the end.

    Args:
        peak: the highest learning rate.
        epochs: length of the cycle.
        pct_start: part of it on the way up, below 1; with three phases at most 0.5.
        div_factor: how many times higher the peak is than the start.
        final_div_factor: how many times higher the start is than the end.
        anneal: shape of a phase, "cos" or "linear".
        three_phase: go back to the start before the end, as in the paper.

    Example:
        >>> s = OneCycle(1.0, epochs=6, pct_start=0.5, div_factor=4, anneal="linear")
        >>> [round(s(t), 4) for t in range(8)]
        [0.25, 0.5, 0.75, 1.0, 0.6667, 0.3333, 0.0, 0.0]
    """

    peak: float
    epochs: int
    _: KW_ONLY
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: Literal["cos", "linear"] = "cos"
    three_phase: bool = False
    _epoch_fields = ("epochs",)

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        _choice(self, "anneal", "cos", "linear")
        _choice(self, "three_phase", False, True)
        if self.pct_start >= 1 or (self.three_phase and self.pct_start > 0.5):
            limit = "at most 0.5 with three phases" if self.three_phase else "below 1"
            raise ValueError(f"OneCycle: pct_start must be {limit}, not {self.pct_start!r}")

    def _at(self, t: int) -> float:
        start = self.peak / self.div_factor
        end = start / self.final_div_factor
        if t >= self.epochs:
            return end
        anneal = _SHAPES[self.anneal]
        up = self.pct_start * self.epochs
        if t < up:
            return anneal(start, self.peak, t, up - t)
        if not self.three_phase:
            return anneal(self.peak, end, t - up, self.epochs - t)
        if t < 2 * up:
            return anneal(self.peak, start, t - up, 2 * up - t)
        return anneal(start, end, t - 2 * up, self.epochs - t)


@dataclass(frozen=True)
class Triangular(ScheduleFunction):
    """Go up and down without end: lr = start + (peak - start) * scale * height.

    The height goes from 0 to 1 in `up` epochs and back in `down`. The scale is 1 for "triangular",
    1 / 2^(cycles done) for "triangular2", gamma^(t / gamma_epochs) for "exp_range". Source: Smith,
    Cyclical Learning Rates (2017), https://arxiv.org/abs/1506.01186, and torch CyclicLR, whose
    place in the cycle comes from a rounded quotient and blurs as the run gets longer.

    Args:
        start: learning rate at the foot of a triangle.
        peak: learning rate at the tip of the first one.
        up: epochs on the way up; 0 begins each cycle at its tip.
        down: epochs on the way down; 0 ends each cycle at its tip.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: factor for "exp_range", at most 1: torch's may grow past the peak without end.
        gamma_epochs: epochs in which "exp_range" multiplies by gamma once, in torch 1.

    Example:
        >>> [*map(Triangular(0.0, 1.0, up=2, down=2, mode="triangular2"), range(9))]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """

    start: float
    peak: float
    up: int
    down: int
    _: KW_ONLY
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0
    gamma_epochs: int = 1
    _epoch_fields = ("up", "down", "gamma_epochs")

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        _choice(self, "mode", "triangular", "triangular2", "exp_range")
        if self.up + self.down == 0:
            raise ValueError("Triangular: up and down must not both be 0: give one of them epochs")
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(f"Triangular: gamma is for 'exp_range', not {self.mode!r}")
        if self.gamma > 1:
            raise ValueError(f"Triangular: gamma must be at most 1, not {self.gamma!r}")

    def _at(self, t: int) -> float:
        cycle, since = divmod(t, self.up + self.down)
        if since < self.up:
            lr = _linear(self.start, self.peak, since, self.up - since)
        else:
            lr = _linear(self.peak, self.start, since - self.up, self.up + self.down - since)
        if self.mode == "triangular":
            return lr
        if self.mode == "triangular2":
            scale = _geometric(1.0, 0.5, cycle, 1)
        else:
            scale = _geometric(1.0, self.gamma, t, self.gamma_epochs)
        return self.start * (1 - scale) + lr * scale


@dataclass(frozen=True)
class WSD(ScheduleFunction):
    """Warm-up, stable, decay: go up to the peak along a line, stay there, go down to the end.

    With p the part of the decay gone by, lr = end + (peak - end) * d, where d is
    (1 + cos(pi * p)) / 2 for "cos", 1 - p for "linear" and 1 - sqrt(p) for "1-sqrt". Source: Hu et
    al., MiniCPM (2024), https://arxiv.org/abs/2404.06395; for "1-sqrt" Hägele et al., Scaling Laws
    and Compute-Optimal Training (2024), https://arxiv.org/abs/2405.18392; transformers'
    get_wsd_schedule.

    Args:
        peak: learning rate of the stable part.
        warmup: epochs of warm-up; 0 begins at the peak.
        stable: epochs at the peak.
        decay: epochs of decay.
        start: lr at epoch 0 of the warm-up.
        end: learning rate after the decay.
        anneal: shape of the decay, "cos", "linear" or "1-sqrt".

    Example:
        >>> [*map(WSD(1.0, warmup=2, stable=3, decay=4, anneal="linear"), range(10))]
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    peak: float
    warmup: int
    stable: int
    decay: int
    _: KW_ONLY
    start: float = 0.0
    end: float = 0.0
    anneal: Literal["cos", "linear", "1-sqrt"] = "cos"
    _epoch_fields = ("warmup", "stable", "decay")

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        _choice(self, "anneal", "cos", "linear", "1-sqrt")

    def _at(self, t: int) -> float:
        if t < self.warmup:
            return _linear(self.start, self.peak, t, self.warmup - t)
        since = t - self.warmup - self.stable
        if since < 0:
            return self.peak
        if since >= self.decay:
            return self.end
        return _SHAPES[self.anneal](self.peak, self.end, since, self.decay - since)


@dataclass(frozen=True)
class Then(ScheduleFunction):
    """One schedule after another, what `ScheduleFunction.then` returns.

    lr = first(t) before `at`, second(t - at) from it on. Source: torch SequentialLR and optax
    join_schedules.

    Args:
        first: schedule of the epochs before `at`.
        second: schedule of the others, which starts at its own epoch 0.
        at: first epoch of `second`.

    Example:
        >>> Then(Constant(0.1), Constant(0.01), at=30)(30)
        0.01
    """

    first: ScheduleFunction
    second: ScheduleFunction
    at: int
    _epoch_fields = ("first", "second", "at")

    def _at(self, t: int) -> float:
        return self.first._at(t) if t < self.at else self.second._at(t - self.at)


@dataclass(frozen=True)
class Product(ScheduleFunction):
    """Two schedules multiplied, what `left * right` returns: lr = left(t) * right(t).

    Source: torch ChainedScheduler, for schedulers that multiply.

    Args:
        left: one schedule.
        right: the other.

    Example:
        >>> [*map(Linear(0.0, 1.0, epochs=2) * Step(0.1, step_size=2, gamma=0.5), range(5))]
        [0.0, 0.05, 0.05, 0.05, 0.025]
    """

    left: ScheduleFunction
    right: ScheduleFunction
    _epoch_fields = ("left", "right")

    def _at(self, t: int) -> float:
        left, right = self.left._at(t), self.right._at(t)
        # Where one is 0, the other may be inf, which stands for a large number.
        return left * right if left and right else 0.0


@dataclass(frozen=True)
class Clamp(ScheduleFunction):
    """A schedule kept between bounds, what `ScheduleFunction.clamp` returns.

    lr = min(max, max(min, schedule(t))), with those of the two bounds that are given.

    Args:
        schedule: what is bounded.
        min: the least lr; None for no such bound.
        max: the largest lr; None for no such bound.

    Example:
        >>> Clamp(Exponential(1e-3, gamma=10), max=0.5)(10**6)
        0.5
    """

    schedule: ScheduleFunction
    min: float | None = None
    max: float | None = None
    _epoch_fields = ("schedule",)

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        if self.min is None and self.max is None:
            raise ValueError("Clamp: min and max are both None: give at least one of them")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"Clamp: min must not be above max: {self.min!r} > {self.max!r}")

    def _at(self, t: int) -> float:
        lr = self.schedule._at(t)
        if self.min is not None and lr < self.min:
            return self.min
        return lr if self.max is None or lr < self.max else self.max


def warmup(epochs: int, schedule: ScheduleFunction, *, start: float = 0.0) -> ScheduleFunction:
    """Put a linear warm-up before a schedule, which then starts at its own epoch 0.

    lr = start + (schedule(0) - start) * t / epochs before `epochs`, then schedule(t - epochs).
    Source: transformers' get_cosine_schedule_with_warmup and its like, optax
    warmup_cosine_decay_schedule. To warm up over the first epochs of a schedule that is not put
    off, multiply: `Linear(0, 1, epochs=5) * schedule`.

    Args:
        epochs: length of the warm-up; after 0 epochs the schedule comes back as it is.
        schedule: what follows; give it the epochs that are left.
        start: lr at epoch 0. With the usual 0 that epoch changes no weight.

    Returns:
        The joined schedule.

    Example:
        >>> s = warmup(2, Cosine(0.1, 0.0, epochs=2))
        >>> [round(s(t), 6) for t in range(5)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    _schedule(schedule, "warmup: schedule")
    if epoch_number(epochs, "warmup: epochs") == 0:
        return schedule
    return Linear(start, schedule(0), epochs).then(schedule, at=epochs)


# The ways from one value to another, `since` epochs after the first and `left` epochs before the
# second. Each is a sum of positive terms with weights that are precise at both ends. The formula of
# the books, 1 + cos(pi * t / epochs), is 0 in floats for the last 3 of 10^9 epochs. Tables give
# tensors, and with them a `sin` and a `sqrt` for these.


def _linear(start: float, end: float, since: float, left: float) -> float:
    epochs = since + left
    return start * (left / epochs) + end * (since / epochs)


def _cos(
    start: float, end: float, since: float, left: float, sin: Callable[[float], float] = math.sin
) -> float:
    quarter, epochs = math.pi / 2, since + left
    down, up = sin(quarter * (left / epochs)), sin(quarter * (since / epochs))
    return start * (down * down) + end * (up * up)


def _one_minus_sqrt(
    start: float, end: float, since: float, left: float, sqrt: Callable[[float], float] = math.sqrt
) -> float:
    epochs = since + left
    root = sqrt(since / epochs)
    return start * (left / epochs / (1 + root)) + end * root


_SHAPES = {"cos": _cos, "linear": _linear, "1-sqrt": _one_minus_sqrt}


def _geometric(start: float, gamma: float, n: float, d: int) -> float:
    """Compute start * gamma^(n / d), and its limit where a float overflows."""
    try:
        return start * math.pow(gamma, n / d)
    except OverflowError:
        return start and start * math.pow(gamma, math.inf)


def _times(k: int, value: Any) -> Any:
    """Count in steps what counts epochs, a number or a schedule, or several of these."""
    if isinstance(value, ScheduleFunction):
        return value.in_steps(k)
    return tuple(_times(k, one) for one in value) if isinstance(value, (list, tuple)) else k * value


# The checks, by the names of the fields. Each takes a value and what it is, for the message, and
# returns it in the form in which it is kept.


def _positive(value: Any, what: str) -> float:
    if (number := real(value, what)) <= 0:
        raise ValueError(f"{what} must be above 0, not {short(value)}")
    return number


def _bound(value: Any, what: str) -> float | None:
    return None if value is None else non_negative(value, what)


def _milestones(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, Iterable):
        raise TypeError(f"{what} must be a list of epochs, not {short(value)}")
    return tuple(sorted(epoch_number(epoch, what) for epoch in value))


def _points(value: Any, what: str) -> tuple[tuple[int, float], ...]:
    try:
        given = [(t, lr) for t, lr in (value.items() if isinstance(value, Mapping) else value)]
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be {{epoch: lr}} or pairs, not {short(value)}") from None
    lrs = {epoch_key(t, what): non_negative(lr, f"{what} at {t}") for t, lr in given}
    if not lrs or len(lrs) < len(given):
        raise ValueError(f"{what} must have one lr an epoch, and not be empty: {short(value)}")
    return tuple(sorted(lrs.items()))


def _schedule(value: Any, what: str) -> ScheduleFunction:
    if not isinstance(value, ScheduleFunction):
        switch = "Constant(a).then(Constant(b), at=epoch) for a Switch"
        hint = f"use Constant for a number, {switch}, a subclass for a formula"
        raise TypeError(f"{what} must be a ScheduleFunction, not {short(value)}: {hint}")
    return value


def _choice(schedule: ScheduleFunction, name: str, *options: object) -> None:
    value, kind = getattr(schedule, name), type(options[0])
    what, known = f"{type(schedule).__name__}: {name}", ", ".join(map(repr, options))
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be one of {known}, not {short(value)}")
    if value not in options:
        raise ValueError(f"{what} must be one of {known}, not {short(value)}")


_CHECKS: dict[str, Callable[[Any, str], object]] = {
    **dict.fromkeys(("start", "peak", "end", "value", "gamma", "pct_start"), non_negative),
    **dict.fromkeys(("power", "div_factor", "final_div_factor"), _positive),
    **dict.fromkeys(("epochs", "step_size", "timescale", "gamma_epochs", "T_0", "T_mult"), count),
    **dict.fromkeys(("at", "warmup", "stable", "decay", "up", "down"), epoch_number),
    **dict.fromkeys(("min", "max"), _bound),
    **dict.fromkeys(("first", "second", "left", "right", "schedule"), _schedule),
    "milestones": _milestones,
    "points": _points,
}
