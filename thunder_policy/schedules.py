"""Closed-form schedules: small values that map a time to a learning rate, to put into `Schedule`.

Every schedule is a frozen dataclass and a pure function of time, a real number t >= 0: any time, in
any order, without drift. Time is counted in epochs, whole or not, or in whatever `step` is called
after. A schedule with an end holds its last value past it, a periodic one goes on. ``start``,
``peak``, ``end`` and ``value`` are learning rates, ``start`` that of time 0; ``gamma`` is a factor,
and ``epochs`` when ``end`` is reached. The other arguments are in the formula of their class. What
is of the wrong type is a ``TypeError``, a value out of range a ``ValueError``; both name the class,
the argument and the value.

    >>> decay = Cosine(start=0.1, end=0.0, epochs=90)
    >>> decay(0), decay(90), decay(10**9)
    (0.1, 0.0, 0.0)
    >>> run = warmup(0.03, Cosine(0.1, 0.0, epochs=0.97))  # in shares of a run of any length
    >>> run.in_steps(1000)(30), run.in_steps(1000)(1000)
    (0.1, 0.0)

Two times are one where they differ by less than 1e-9 and one part in 10^14 of both: so what is due
at a whole step comes at that step, whatever 0.1 + 0.2 is in binary, also after 10^9 steps.
"""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, SupportsIndex

from .checks import count, non_negative, one_of, real, short

__all__ = [
    "REX", "WSD", "Constant", "Cosine", "CosineRestarts", "Exponential", "Geometric", "InSteps",
    "InverseSqrt", "InverseTime", "Linear", "MultiStep", "OneCycle", "OneMinusPower", "Piecewise",
    "Polynomial", "Power", "Product", "ScheduleFunction", "Step", "Then", "Triangular", "warmup",
]  # fmt: skip

LARGEST = 10**100  # of times and counts; no later time is told from it
SAME = 1e-9  # closer times are one: what is left of one in a `Then` has the rounding of the whole
PART = 1e-14  # and those closer than this part of both: some 50 times the rounding of a float


@dataclass(frozen=True)
class ScheduleFunction(ABC):
    """A learning rate as a function of time, the base class of every schedule here.

    One of your own is a frozen dataclass with the formula in `_at`. A field named like one of the
    schedules below is checked in the same way.

    Example:
        >>> @dataclass(frozen=True)
        ... class HalfLife(ScheduleFunction):
        ...     start: float
        ...     epochs: float
        ...     def _at(self, t: float) -> float:
        ...         return self.start * 0.5 ** (t / self.epochs)
        >>> (0.5 * HalfLife(1.0, epochs=4)).in_steps(10)(40)
        0.25
    """

    # Without it NumPy takes `np.float64(2) * schedule` for itself and makes an object array of it.
    __array_ufunc__: ClassVar[None] = None

    def __post_init__(self) -> None:
        """Check the fields by name, and keep them as plain numbers."""
        for field in fields(self):
            value, what = getattr(self, field.name), f"{type(self).__name__}: {field.name}"
            if field.name in _CHECKS and not (value is None and field.default is None):
                value = _CHECKS[field.name](value, what)
                if isinstance(value, int) and value > LARGEST:
                    raise ValueError(f"{what} must be at most {LARGEST:g}, not {short(value)}")
                object.__setattr__(self, field.name, value)

    def __call__(self, epoch: float | SupportsIndex) -> float:
        """Return the learning rate at a time; inf where growth leaves the range of a float."""
        if type(epoch) is not int or epoch < 0:
            epoch = _time(epoch, f"{type(self).__name__}: the epoch")
        return self._at(epoch if epoch <= LARGEST else LARGEST)

    @abstractmethod
    def _at(self, t: float) -> float:
        """Compute the formula at a time that has been checked, an ``int`` where it is whole."""

    def __mul__(self, other: ScheduleFunction | float) -> Product:
        """Multiply by a number or, at each time, by another schedule."""
        if isinstance(other, ScheduleFunction):
            return Product(self, other)
        number: Any = other
        return Product(self, Constant(other)) if isinstance(number, Real) else NotImplemented

    __rmul__ = __mul__

    def then(self, schedule: ScheduleFunction, *, at: float) -> Then:
        """Go on with another schedule from a time on; it starts at its own time 0.

        In a chain each `at` counts from the beginning of the whole, like SequentialLR's milestones.
        """
        return Then(self, schedule, at)

    def in_steps(self, steps_per_epoch: SupportsIndex) -> ScheduleFunction:
        """Return the same schedule at time step / steps_per_epoch: written in epochs, run in steps.

        So a smooth one moves with every step, and a stepwise one jumps at the first step that is
        not before its time. There is at least 1 step in an epoch.
        """
        k = count(steps_per_epoch, f"{type(self).__name__}: steps_per_epoch")
        if isinstance(self, InSteps):
            return self.schedule.in_steps(self.steps_per_epoch * k)
        return self if k == 1 else InSteps(self, k)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: Callable[[Any], Any]) -> Any:
        from .configs import pydantic_schema

        # One of a class that is known is told from its fields, as every dataclass is.
        return pydantic_schema(cls) if cls is ScheduleFunction else handler(source)


@dataclass(frozen=True)
class Product(ScheduleFunction):
    """Two schedules multiplied, as by `*`: lr = left(t) * right(t).

    Source: torch ChainedScheduler, for schedulers that multiply.

    Example:
        >>> [*map(Linear(0.0, 1.0, epochs=2) * Step(0.1, step_size=2, gamma=0.5), range(5))]
        [0.0, 0.05, 0.05, 0.05, 0.025]
    """

    left: ScheduleFunction
    right: ScheduleFunction

    def _at(self, t: float) -> float:
        left, right = self.left._at(t), self.right._at(t)
        # Where one is 0, the other may be inf, which stands for a large number.
        return left * right if left and right else 0.0


@dataclass(frozen=True)
class Then(ScheduleFunction):
    """One schedule after another: lr = first(t) before `at`, second(t - at) from it on.

    Source: torch SequentialLR and optax join_schedules.

    Example:
        >>> [*map(Constant(0.1).then(Linear(0.1, 0.0, epochs=2), at=3), range(6))]
        [0.1, 0.1, 0.1, 0.1, 0.05, 0.0]
    """

    first: ScheduleFunction
    second: ScheduleFunction
    at: float

    def _at(self, t: float) -> float:
        since = _since(t, self.at)
        return self.first._at(t) if since < 0 else self.second._at(since)


@dataclass(frozen=True)
class InSteps(ScheduleFunction):
    """A schedule counted in steps: lr = schedule(t / steps_per_epoch).

    Example:
        >>> [*map(Linear(0.1, 0.0, epochs=1).in_steps(4), range(6))]
        [0.1, 0.07500000000000001, 0.05, 0.025, 0.0, 0.0]
    """

    schedule: ScheduleFunction
    steps_per_epoch: int

    def _at(self, t: float) -> float:
        epoch, rest = divmod(t, self.steps_per_epoch)
        return self.schedule._at(t / self.steps_per_epoch if rest else epoch)


def warmup(epochs: float, schedule: ScheduleFunction, *, start: float = 0.0) -> ScheduleFunction:
    """Put a linear warm-up before a schedule, which then starts at its own time 0.

    lr = start + (schedule(0) - start) * t / epochs before `epochs`, then schedule(t - epochs).
    Source: transformers' get_cosine_schedule_with_warmup and its like, optax
    warmup_cosine_decay_schedule. For a warm-up of another shape, write that:
    `Cosine(0, 0.1, epochs=5).then(schedule, at=5)`. To warm up over the first epochs of a schedule
    that is not put off, multiply: `Linear(0, 1, epochs=5) * schedule`.

    Args:
        epochs: length of the warm-up, which may be 0.
        schedule: what follows; give it the epochs that are left.
        start: lr of the first step, which with 0 changes no weight. To waste none, give it the
            peak / n: `warmup(n - 1, schedule, start=peak / n)` has peak * (t + 1) / n at step t.

    Example:
        >>> s = warmup(2, Cosine(0.1, 0.0, epochs=2))
        >>> [round(s(t), 6) for t in range(5)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    _schedule(schedule, "warmup: schedule")
    start = non_negative(start, "warmup: start")
    if _time(epochs, "warmup: epochs") == 0:
        return schedule
    return Linear(start, schedule(0), epochs).then(schedule, at=epochs)


@dataclass(frozen=True)
class Constant(ScheduleFunction):
    """The same value at every time: lr = value.

    Take it to find out what another schedule is worth, and as a part of others.

    Example:
        >>> Constant(0.1)(1000)
        0.1
    """

    value: float

    def _at(self, t: float) -> float:
        return self.value


@dataclass(frozen=True)
class Step(ScheduleFunction):
    """Multiply by gamma every `step_size` epochs: lr = start * gamma^floor(t / step_size).

    Take it to repeat a recipe of the years before cosines. Source: torch StepLR.

    Example:
        >>> [*map(Step(0.1, step_size=2, gamma=0.5), range(5))]
        [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    start: float
    step_size: float
    gamma: float = 0.1

    def _at(self, t: float) -> float:
        return _geometric(self.start, self.gamma, _cycle(t, self.step_size)[0])


@dataclass(frozen=True)
class MultiStep(ScheduleFunction):
    """Multiply by gamma at each milestone: lr = start * gamma^(number of milestones <= t).

    Take it where you know when the loss no longer falls. Milestones are given in any order, kept as
    a sorted tuple, and count twice if they are given twice. Source: torch MultiStepLR.

    Example:
        >>> [*map(MultiStep(0.1, milestones=[1, 3], gamma=0.5), range(5))]
        [0.1, 0.05, 0.05, 0.025, 0.025]
    """

    start: float
    milestones: Sequence[float]
    gamma: float = 0.1

    def _at(self, t: float) -> float:
        passed = bisect_right(self.milestones, t if type(t) is int else _latest(t))
        return _geometric(self.start, self.gamma, passed)


@dataclass(frozen=True)
class Exponential(ScheduleFunction):
    """Multiply by gamma over every `step_size` epochs: lr = start * gamma^(t / step_size).

    Take it where the length of the run is open and each epoch should count as much less as the one
    before. Source: torch ExponentialLR, where `step_size` is 1, and optax exponential_decay.

    Example:
        >>> [*map(Exponential(0.1, gamma=0.25, step_size=2), range(4))]
        [0.1, 0.05, 0.025, 0.0125]
    """

    start: float
    gamma: float
    step_size: float = 1

    def _at(self, t: float) -> float:
        return _geometric(self.start, self.gamma, t / self.step_size)


@dataclass(frozen=True)
class InverseSqrt(ScheduleFunction):
    """Decay with the square root of time: lr = start * sqrt(timescale / (timescale + t)).

    Take it after a warm-up where the length of the run is open. Source: Vaswani et al., Attention
    Is All You Need (2017), https://arxiv.org/abs/1706.03762. The get_inverse_sqrt_schedule of
    transformers is `warmup(n, InverseSqrt(lr, timescale=n))`; with lr = (d_model * n) ** -0.5 that
    is the paper's, known as Noam.

    Example:
        >>> [*map(InverseSqrt(0.1, timescale=1), (0, 3, 15))]
        [0.1, 0.05, 0.025]
    """

    start: float
    timescale: float

    def _at(self, t: float) -> float:
        return self.start * math.sqrt(self.timescale / (self.timescale + t))


@dataclass(frozen=True)
class InverseTime(ScheduleFunction):
    """Decay with time: lr = start * timescale / (timescale + t).

    It has halved at t = timescale. Take it for plain SGD where theory asks for it: its sum is
    infinite and that of its squares is not. Source: Robbins and Monro (1951), and Keras
    InverseTimeDecay, where `timescale` is decay_steps / decay_rate.

    Example:
        >>> [*map(InverseTime(1.0, timescale=1), range(4))]
        [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    start: float
    timescale: float

    def _at(self, t: float) -> float:
        return self.start * (self.timescale / (self.timescale + t))


@dataclass(frozen=True)
class Power(ScheduleFunction):
    """Stay at the peak until `timescale`, then decay with a power of time.

    lr = peak * min(1, timescale / t)^power. Take it to pretrain where one peak should suit runs and
    batches of any size: the decay goes by tokens, whatever the length of the run. Source: Shen et
    al., Power Scheduler (2024), https://arxiv.org/abs/2408.13359, by which
    lr = min(peak, a * batch * tokens^b): `power` is -b, about 0.51, and `timescale * tokens an
    epoch` is (peak / (a * batch))^(1 / b). The paper warms up before, and cools down at the end.

    Example:
        >>> [*map(Power(1.0, timescale=2, power=1), range(5))]
        [1.0, 1.0, 1.0, 0.6666666666666666, 0.5]
    """

    peak: float
    timescale: float
    power: float = 0.51

    def _at(self, t: float) -> float:
        return self.peak * math.pow(self.timescale / max(t, self.timescale), self.power)


@dataclass(frozen=True)
class _FromTo(ScheduleFunction):
    """What goes from `start` to `end` in some epochs, and stays there, as `_between` says."""

    start: float
    end: float
    epochs: float

    def _at(self, t: float) -> float:
        return _phases(t, self.start, [(self.epochs, self, self.end)])

    @abstractmethod
    def _between(self, start: float, end: float, since: float, left: float) -> float:
        """Compute the formula so long after its start and before its end.

        It is a sum of positive terms with weights that are precise at both ends. That of the books,
        1 + cos(pi * t / epochs), is 0 in floats for the last 3 of 10^9 epochs.
        """


@dataclass(frozen=True)
class Linear(_FromTo):
    """Go from start to end along a line: lr = start + (end - start) * t / epochs.

    Take it to fine-tune, and to train for a length that is known. Source: torch LinearLR.

    Example:
        >>> [*map(Linear(0.0, 1.0, epochs=4), range(6))]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        epochs = since + left
        return start * (left / epochs) + end * (since / epochs)


@dataclass(frozen=True)
class Polynomial(_FromTo):
    """Go from start to end as a power: lr = end + (start - end) * (1 - t / epochs)^power.

    With power 1 it is a line; above 1 most of the way is gone early, below 1 late. Take it with
    power 0.9 for segmentation, with 2 where most of the run should be at low lrs. Source: torch
    PolynomialLR, where `end` is 0, and optax polynomial_schedule.

    Example:
        >>> [*map(Polynomial(1.0, 0.0, epochs=4, power=2), range(6))]
        [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    power: float = 1.0

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        return _power(start, end, since, left, self.power)


@dataclass(frozen=True)
class OneMinusPower(_FromTo):
    """Go from start to end as 1 - p^power: lr = end + (start - end) * (1 - (t / epochs)^power).

    With a low power most of the way is gone early. Take it to cool down at the end of a run at a
    constant lr: power 0.5, the "1-sqrt" of `WSD`, came out best in its source: Hägele et al.,
    Scaling Laws and Compute-Optimal Training (2024), https://arxiv.org/abs/2405.18392.

    Example:
        >>> [round(OneMinusPower(1.0, 0.0, epochs=4)(t), 4) for t in range(6)]
        [1.0, 0.5, 0.2929, 0.134, 0.0, 0.0]
    """

    power: float = 0.5

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        return _power(end, start, left, since, self.power)  # a power, seen from the end


@dataclass(frozen=True)
class Geometric(_FromTo):
    """Go from start to end by the same factor each epoch: lr = start * (end / start)^(t / epochs).

    Neither may be 0. Take it to find a lr by going up through all of them, and as the decay of the
    paper on `WSD`, which is its source beside numpy.geomspace.

    Example:
        >>> [*map(Geometric(1.0, 0.0625, epochs=4), range(6))]
        [1.0, 0.5, 0.25, 0.125, 0.0625, 0.0625]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self.start, "Geometric: start")
        _positive(self.end, "Geometric: end")

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        epochs = since + left
        return math.pow(start, left / epochs) * math.pow(end, since / epochs)


@dataclass(frozen=True)
class Cosine(_FromTo):
    """Go from start to end as half a cosine wave.

    lr = end + (start - end) * (1 + cos(pi * t / epochs)) / 2. Take it to train once for a length
    that is known. Source: Loshchilov and Hutter, SGDR (2017), https://arxiv.org/abs/1608.03983, and
    torch CosineAnnealingLR.

    Example:
        >>> [round(Cosine(0.1, 0.0, epochs=90)(t), 6) for t in (0, 30, 60, 90, 120)]
        [0.1, 0.075, 0.025, 0.0, 0.0]
    """

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        quarter, epochs = math.pi / 2, since + left
        down, up = math.sin(quarter * (left / epochs)), math.sin(quarter * (since / epochs))
        return start * (down * down) + end * (up * up)


@dataclass(frozen=True)
class REX(_FromTo):
    """Go from start to end, slowly first: lr = end + (start - end) * (1 - p) / (1 - p / 2).

    p is t / epochs. Take it where the run is short for its task: it is above the line all the way.
    Source: Chen, Wolfe and Kyrillidis, REX (2021), https://arxiv.org/abs/2107.04197.

    Example:
        >>> [round(REX(1.0, 0.0, epochs=4)(t), 4) for t in range(6)]
        [1.0, 0.8571, 0.6667, 0.4, 0.0, 0.0]
    """

    def _between(self, start: float, end: float, since: float, left: float) -> float:
        return _LINE._between(start, end, since / 2, left)


@dataclass(frozen=True, init=False)
class Piecewise(ScheduleFunction):
    """Straight lines between points; the first and the last value hold outside of them.

    lr = x + (y - x) * (t - a) / (b - a) between neighbours (a, x) and (b, y), of which `points` are
    pairs, or a mapping `{epoch: lr}`; they are kept as a sorted tuple of pairs. Take it for any
    other shape. Source: optax piecewise_interpolate_schedule, with lrs in place of factors.

    Example:
        >>> [*map(Piecewise({0: 0.0, 2: 0.5, 6: 0.0}), range(8))]
        [0.0, 0.25, 0.5, 0.375, 0.25, 0.125, 0.0, 0.0]
    """

    points: tuple[tuple[float, float], ...]

    def __init__(
        self,
        points: Mapping[int, float] | Mapping[float, float] | Iterable[tuple[float, float]],
    ) -> None:
        """Take a mapping or pairs; what reads and writes fields by their types finds pairs."""
        object.__setattr__(self, "points", points)
        self.__post_init__()

    def _at(self, t: float) -> float:
        i = bisect_right(self.points, (t, math.inf))
        (a, x), (b, y) = self.points[max(i - 1, 0)], self.points[min(i, len(self.points) - 1)]
        return _LINE._between(x, y, t - a, b - t) if x != y else x


@dataclass(frozen=True)
class OneCycle(ScheduleFunction):
    """Go up to the peak in the first part of a run, then far below the start: the 1cycle policy.

    lr goes from peak / div_factor at epoch 0 to peak at pct_start * epochs, and on to
    peak / div_factor / final_div_factor at `epochs`. With three phases it is back at its start at
    2 * pct_start * epochs in between. `pct_start` is below 1, with three phases at most 0.5, and
    `anneal` the shape of each phase, as in `WSD`. Take it for a short run at a high peak. Source:
    Smith and Topin, Super-Convergence (2018), https://arxiv.org/abs/1708.07120, torch OneCycleLR.

    Example:
        >>> s = OneCycle(1.0, epochs=6, pct_start=0.5, div_factor=4, anneal="linear")
        >>> [round(s(t), 4) for t in range(8)]
        [0.25, 0.5, 0.75, 1.0, 0.6667, 0.3333, 0.0, 0.0]
    """

    peak: float
    epochs: float
    _: KW_ONLY
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: Literal["cos", "linear", "1-sqrt"] = "cos"
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pct_start >= 1 or (self.three_phase and self.pct_start > 0.5):
            limit = "at most 0.5 with three phases" if self.three_phase else "below 1"
            raise ValueError(f"OneCycle: pct_start must be {limit}, not {self.pct_start!r}")

    def _at(self, t: float) -> float:
        start, shape = self.peak / self.div_factor, _SHAPES[self.anneal]
        up, end = self.pct_start * self.epochs, start / self.final_div_factor
        back = [(2 * up, shape, start)] if self.three_phase else []
        return _phases(t, start, [(up, shape, self.peak), *back, (self.epochs, shape, end)])


@dataclass(frozen=True)
class WSD(ScheduleFunction):
    """Warm-up, stable, decay: go up to the peak along a line, stay there, go down to the end.

    With p the part of the decay gone by, lr = end + (peak - end) * d, where d is
    (1 + cos(pi * p)) / 2 for "cos", 1 - p for "linear" and 1 - sqrt(p) for "1-sqrt". A part of 0
    epochs is left out. The end is reached at epoch `warmup + stable + decay`, and held. So a run of
    exactly that many epochs, numbered from 0, does not train at it: its last epoch is still above.

    Take it to pretrain for a length that is open, and to branch the decays off one run. For another
    decay, or a stable part that is not constant, write the parts with `warmup` and `then`. Source:
    Hu et al., MiniCPM (2024), https://arxiv.org/abs/2404.06395, that of `OneMinusPower` for
    "1-sqrt", and transformers' get_wsd_schedule.

    Example:
        >>> [*map(WSD(1.0, warmup=2, stable=3, decay=4, anneal="linear"), range(10))]
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    peak: float
    warmup: float
    stable: float
    decay: float
    _: KW_ONLY
    start: float = 0.0
    end: float = 0.0
    anneal: Literal["cos", "linear", "1-sqrt"] = "cos"

    def _at(self, t: float) -> float:
        stable = self.warmup + self.stable
        decay = stable + self.decay, _SHAPES[self.anneal], self.end
        to_peak = (self.warmup, _LINE, self.peak), (stable, _LINE, self.peak)
        return _phases(t, self.start, [*to_peak, decay])


@dataclass(frozen=True)
class CosineRestarts(ScheduleFunction):
    """Go from start towards end as half a cosine, again and again, each `T_mult` times longer.

    lr = end + (start * cycle_decay^i - end) * (1 + cos(pi * T_cur / T_i)) / 2, where T_cur epochs
    have gone by since the last restart and cycle i, from 0, is T_i = T_0 * T_mult^i epochs long.
    After `cycle_limit` cycles, if there is a limit, it stays at the end. Take it to have a good
    model at the end of each cycle, for an ensemble of them or for a run that may be cut short.
    Source: that of `Cosine`, torch CosineAnnealingWarmRestarts, and for decay and limit timm
    CosineLRScheduler.

    Example:
        >>> s = CosineRestarts(1.0, 0.0, T_0=2, T_mult=2, cycle_decay=0.5, cycle_limit=2)
        >>> [round(s(t), 4) for t in range(8)]
        [1.0, 0.5, 0.5, 0.4268, 0.25, 0.0732, 0.0, 0.0]
    """

    start: float
    end: float
    T_0: float
    T_mult: int = 1
    _: KW_ONLY
    cycle_decay: float = 1.0
    cycle_limit: int | None = None

    def _at(self, t: float) -> float:
        cycle, since, length = _cycle(t, self.T_0, self.T_mult)
        if self.cycle_limit is not None and cycle >= self.cycle_limit:
            return self.end
        top = _geometric(self.start, self.cycle_decay, cycle)
        return _WAVE._between(top, self.end, since, length - since)


@dataclass(frozen=True)
class Triangular(ScheduleFunction):
    """Go up and down without end: lr = start + (peak - start) * scale * height.

    The height goes from 0 to 1 in `up` epochs and back in `down`, of which one may be 0. The scale
    is 1 for "triangular", 1 / 2^(cycles done) for "triangular2" and gamma^t for "exp_range", where
    gamma is at most 1: torch's may grow past the peak without end. Take it to search a range of lrs
    while training. Source: torch CyclicLR, and Smith, Cyclical Learning Rates (2017),
    https://arxiv.org/abs/1506.01186.

    Example:
        >>> [*map(Triangular(0.0, 1.0, up=2, down=2, mode="triangular2"), range(9))]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """

    start: float
    peak: float
    up: float
    down: float
    _: KW_ONLY
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.up + self.down == 0:
            raise ValueError("Triangular: up and down must not both be 0: give one of them epochs")
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(f"Triangular: gamma is for 'exp_range', not {self.mode!r}")
        if self.gamma > 1:
            raise ValueError(f"Triangular: gamma must be at most 1, not {self.gamma!r}")

    def _at(self, t: float) -> float:
        cycle, since, length = _cycle(t, self.up + self.down)
        # gamma is 1 in the other modes.
        scale = math.pow(0.5, cycle) if self.mode == "triangular2" else math.pow(self.gamma, t)
        tip = _LINE._between(self.start, self.peak, scale, 1 - scale)
        if (left := _since(self.up, since)) > 0:
            return _LINE._between(self.start, tip, since, left)
        return _LINE._between(tip, self.start, -left, length - since)


def _since(t: float, at: float) -> float:
    """Return the time from one moment to another: 0 where they are one but for rounding."""
    since = t - at
    if type(since) is int:
        return since
    slack = SAME + PART * (t + at)
    return 0 if -slack < since < slack else since


def _latest(t: float) -> float:
    """Return the latest time that is one with a time."""
    return t + SAME + 2 * PART * t


def _cycle(t: float, length: float, factor: int = 1) -> tuple[int, float, float]:
    """Return how many cycles are over, the time since the last, and how long the next one is."""
    latest = t if type(t) is type(length) is int else _latest(t)
    if factor == 1:
        cycle = int(latest // length)
        begin = cycle * length
    else:
        begins = _restarts(length, factor)
        cycle = bisect_right(begins, latest) - 1
        begin, length = begins[cycle], begins[cycle + 1] - begins[cycle]
    since = _since(t, begin)
    return cycle, since if since > 0 else 0, length


@lru_cache
def _restarts(length: float, factor: int) -> list[float]:
    """Return when cycles begin of which the first has a length and each is longer by a factor."""
    begins: list[float] = [0]
    while begins[-1] < 2 * LARGEST:
        begins.append(begins[-1] * factor + length)
    return begins


def _phases(t: float, lr: float, phases: Iterable[tuple[float, _FromTo, float]]) -> float:
    """Go through phases, of which each has its end, its way there, and the lr where it arrives."""
    begin: float = 0
    for end, shape, to in phases:
        if (left := _since(end, t)) > 0:
            return shape._between(lr, to, _since(t, begin), left) if lr != to else to
        begin, lr = end, to
    return lr


def _power(start: float, end: float, since: float, left: float, power: float) -> float:
    """Go as (1 - p)^power, where p is the part that has gone by."""
    if not left:
        return end
    rest, gone = left / (since + left), since / (since + left)
    log = math.log(rest) if rest < 0.5 else math.log1p(-gone)
    # expm1 is 1 - rest^power with its sign turned, without the loss where that is near 0.
    return start * math.pow(rest, power) - end * math.expm1(power * log)


def _geometric(start: float, gamma: float, n: float) -> float:
    """Compute start * gamma^n, and its limit where a float overflows."""
    try:
        return start * math.pow(gamma, n)
    except OverflowError:
        return start and start * math.pow(gamma, math.inf)


# The checks, by the names of the fields. Each takes a value and what it is, for the message, and
# returns it in the form in which it is kept. A field that is None by default may be that.


def _time(value: Any, what: str) -> float:
    number = non_negative(value, what)
    t = int(value) if isinstance(value, Integral) else number
    return t if _since(t, round(t)) else round(t)


def _positive(value: Any, what: str) -> float:
    if (number := real(value, what)) <= 0:
        raise ValueError(f"{what} must be above 0, not {short(value)}")
    return number


def _length(value: Any, what: str) -> float:
    if _positive(value, what) <= SAME:
        raise ValueError(f"{what} must be above {SAME:g}, not {short(value)}: closer times are one")
    return _time(value, what)


def _milestones(value: Any, what: str) -> tuple[float, ...]:
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        cure = "Multiply is the policy with a factor for each"
        raise TypeError(f"{what} must be a list of epochs, not {short(value)}: {cure}")
    return tuple(sorted(_time(epoch, what) for epoch in value))


def _points(value: Any, what: str) -> tuple[tuple[float, float], ...]:
    try:
        given = [(t, lr) for t, lr in (value.items() if isinstance(value, Mapping) else value)]
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be {{epoch: lr}} or pairs, not {short(value)}") from None
    lrs = {_time(t, what): non_negative(lr, f"{what} at {t}") for t, lr in given}
    if not lrs or len(lrs) < len(given):
        raise ValueError(f"{what} must have one lr an epoch, and not be empty: {short(value)}")
    return tuple(sorted(lrs.items()))


def _schedule(value: Any, what: str) -> ScheduleFunction:
    if not isinstance(value, ScheduleFunction):
        switch = "Constant(a).then(Constant(b), at=epoch) for a Switch"
        hint = f"use Constant for a number, {switch}, a subclass for a formula"
        raise TypeError(f"{what} must be a ScheduleFunction, not {short(value)}: {hint}")
    return value


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, not {short(value)}")
    return value


_CHECKS: dict[str, Callable[[Any, str], object]] = {
    **dict.fromkeys(("start", "peak", "end", "value", "gamma"), non_negative),
    **dict.fromkeys(("pct_start", "cycle_decay"), non_negative),
    **dict.fromkeys(("power", "div_factor", "final_div_factor"), _positive),
    **dict.fromkeys(("epochs", "step_size", "timescale", "T_0"), _length),
    **dict.fromkeys(("T_mult", "cycle_limit", "steps_per_epoch"), count),
    **dict.fromkeys(("at", "warmup", "stable", "decay", "up", "down"), _time),
    **dict.fromkeys(("first", "second", "left", "right", "schedule"), _schedule),
    "anneal": lambda value, what: one_of(value, (*_SHAPES,), what),
    "mode": lambda value, what: one_of(value, ("triangular", "triangular2", "exp_range"), what),
    "three_phase": _flag,
    "milestones": _milestones,
    "points": _points,
}

_LINE, _WAVE = Linear(0, 1, epochs=1), Cosine(0, 1, epochs=1)
_SHAPES: dict[str, _FromTo] = {"cos": _WAVE, "linear": _LINE, "1-sqrt": OneMinusPower(0, 1, 1)}

# Nothing needs the marker any more, and typing.get_type_hints of Python 3.10 stumbles over it.
for _cls in (CosineRestarts, OneCycle, Triangular, WSD):
    del _cls.__annotations__["_"]
