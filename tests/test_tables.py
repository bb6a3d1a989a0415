"""Tables of schedules, which `simulate` reads: the same to the bit, the same errors, and fast."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from schedule_helpers import anything, trajectory
from test_schedules import BY_HAND

from thunder_policy import Scale, Schedule, simulate
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
    ScheduleFunction,
    Step,
    Triangular,
    warmup,
)
from thunder_policy.tables import first, tabled


def bits(values: list[float]) -> list[str]:
    """Return what differs where two floats do, 0.0 and -0.0 too."""
    return [value.hex() for value in values]


@dataclass(frozen=True)
class Sawtooth(ScheduleFunction):
    """A schedule that the package does not know."""

    peak: float
    period: int
    _epoch_fields = ("period",)

    def _at(self, t: int) -> float:
        return self.peak * (t % self.period) / self.period


# The same values


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in BY_HAND], ids=lambda x: str(x))
def test_every_class_has_a_table_of_what_calling_gives(schedule: ScheduleFunction) -> None:
    table = tabled(schedule, 60)
    assert table is not schedule
    assert bits([*map(table, range(60))]) == bits(trajectory(schedule, 60))


@given(schedule=anything, n=st.integers(0, 1200))
def test_a_table_of_any_composition_has_the_bits_of_calling(
    schedule: ScheduleFunction, n: int
) -> None:
    table = first(schedule, n)
    assert table.dtype is torch.float64
    assert bits(table.tolist()) == bits(trajectory(schedule, n))


@pytest.mark.spec("V4", "V18", "V19")
@given(schedule=anything, start=st.floats(0, 10), n=st.integers(1, 60))
def test_scale_multiplies_its_start_by_a_table(
    schedule: ScheduleFunction, start: float, n: int
) -> None:
    policy = Scale([schedule, None], lr_init=start)
    lrs = simulate(policy, n, lr=0.25)
    assert bits(lrs[:, 0].tolist()) == bits([start * factor for factor in trajectory(schedule, n)])
    assert lrs[:, 1].tolist() == [0.25] * n


LONG = 30_000
LONG_ONES: list[ScheduleFunction] = [
    Step(0.1, 7, 0.999),
    MultiStep(0.1, range(0, LONG, 11), 0.999),
    Exponential(0.1, 0.9997, step_size=3),
    Exponential(0.1, 1.1).clamp(max=1e3),
    Exponential(0.1, 1.1) * Linear(1.0, 0.0, 20_000),
    InverseSqrt(0.1, 77),
    Linear(0.1, 0.7, 29_000),
    Polynomial(0.1, 0.7, 29_000, power=0.3),
    Polynomial(-0.0, 0.0, 4, power=2),
    Cosine(0.1, 0.7, 29_000),
    CosineRestarts(0.1, 0.7, 311),
    CosineRestarts(0.1, 0.7, 3, T_mult=2),
    Piecewise({5 * t: abs(math.sin(t)) for t in range(1, LONG // 6)}),
    OneCycle(0.1, 29_000, pct_start=0.123, three_phase=True),
    Triangular(0.1, 0.7, 13, 29, mode="triangular2"),
    Triangular(0.1, 0.7, 13, 29, mode="exp_range", gamma=0.999, gamma_epochs=7),
    WSD(0.1, 1000, 2000, 26_000, end=0.01, anneal="1-sqrt"),
]


@pytest.mark.parametrize("schedule", LONG_ONES, ids=lambda schedule: str(schedule)[:40])
def test_so_has_a_long_table(schedule: ScheduleFunction) -> None:
    assert bits(first(schedule, LONG).tolist()) == bits(trajectory(schedule, LONG))


HUGE = 2**53
FAR: list[ScheduleFunction] = [
    Step(0.1, HUGE + 1),
    MultiStep(0.1, [10**400]),
    Exponential(0.1, 0.5, HUGE + 1),
    InverseSqrt(0.1, HUGE + 1),
    Linear(0.1, 0.7, HUGE + 1),
    Polynomial(0.1, 0.7, HUGE + 1, 3.3),
    Cosine(0.1, 0.7, 10**400),
    CosineRestarts(0.1, 0.7, HUGE + 1, 2),
    Piecewise({3: 0.1, HUGE + 1: 0.7}),
    OneCycle(0.1, HUGE + 5, pct_start=0.0),
    Triangular(0.1, 0.7, HUGE + 1, 0, mode="triangular2"),
    Triangular(0.1, 0.7, 2, 2, mode="exp_range", gamma=0.5, gamma_epochs=HUGE + 1),
    WSD(0.1, 2, 2, HUGE + 1),
    Constant(0.1).then(Constant(0.2), at=10**400),
]


@pytest.mark.parametrize("schedule", FAR, ids=lambda schedule: str(schedule)[:40])
def test_more_epochs_than_a_float_can_count_change_nothing(schedule: ScheduleFunction) -> None:
    assert simulate(Schedule(schedule), 9)[:, 0].tolist() == trajectory(schedule, 9)


def test_to_the_largest_count_that_is_exact_there_is_a_table() -> None:
    assert first(Linear(0.1, 0.7, HUGE), 9).tolist() == trajectory(Linear(0.1, 0.7, HUGE), 9)
    for far in (Linear(0.1, 0.7, HUGE + 1), 0.5 * Cosine(0.1, 0.7, HUGE + 1)):
        assert tabled(far, 9) is far


def test_the_default_device_of_torch_makes_no_difference() -> None:
    for schedule, _ in BY_HAND:
        with torch.device("meta"):
            table = first(schedule, 20)
        assert table.tolist() == trajectory(schedule, 20)


# What has no table


class Halved(Cosine):
    """A subclass with another formula."""

    def _at(self, t: int) -> float:
        return super()._at(t) / 2


class Counted(Cosine):
    """A subclass that is called in another way."""

    def __call__(self, epoch: Any) -> float:
        return float(epoch)


@pytest.mark.parametrize(
    "schedule",
    [
        Halved(0.1, 0.0, 9),
        Counted(0.1, 0.0, 9),
        Sawtooth(0.1, 4),
        2 * Sawtooth(0.1, 4),
        warmup(3, Halved(0.1, 0.0, 9)).clamp(max=0.09),
        math.cos,
        lambda epoch: epoch,
    ],
    ids=lambda schedule: getattr(schedule, "__name__", str(schedule)),
)
def test_what_may_have_any_formula_is_called(schedule: Callable[[int], float]) -> None:
    assert tabled(schedule, 12) is schedule
    assert simulate(Schedule(schedule), 12)[:, 0].tolist() == [schedule(t) for t in range(12)]


def test_a_table_of_any_formula_is_refused() -> None:
    for schedule in (Sawtooth(0.1, 4), Halved(0.1, 0.0, 9)):
        with pytest.raises(TypeError):
            first(schedule, 12)


def test_a_table_beside_them_leaves_the_order_of_calls_as_it_is() -> None:
    calls: list[tuple[str, int]] = []

    def a(epoch: int) -> float:
        calls.append(("a", epoch))
        return 0.5

    def b(epoch: int) -> float:
        calls.append(("b", epoch))
        return 0.25

    lrs = simulate(Schedule([a, Linear(1.0, 0.0, 2), b]), 3)
    assert lrs.tolist() == [[0.5, 1.0, 0.25], [0.5, 0.5, 0.25], [0.5, 0.0, 0.25]]
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


# The same errors


@pytest.mark.spec("S2", "S3")
@pytest.mark.parametrize("cls", [Schedule, Scale])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: s * Linear(1, 2, 9)], ids=["", "product"])
def test_a_value_that_is_not_finite_is_named_as_it_is_by_lr_at(
    wrap: Any, cls: type[Schedule | Scale]
) -> None:
    policy = cls([Constant(0.1), wrap(Exponential(1.0, gamma=2.0))], lr_init=1.0)
    text = rf"^{cls.__name__} at epoch 102[34], group 1.*finite"
    with pytest.raises(ValueError, match=text) as simulated:
        simulate(policy, 2000)
    epoch = int(str(simulated.value).split("epoch ")[1].split(",")[0])
    policy.lr_at(epoch - 1)
    with pytest.raises(ValueError, match="finite") as called:
        policy.lr_at(epoch)
    assert str(simulated.value) == str(called.value)


def test_a_part_that_raises_says_at_which_epoch() -> None:
    failure = OSError("disk")

    @dataclass(frozen=True)
    class Fails(ScheduleFunction):
        _epoch_fields = ()

        def _at(self, t: int) -> float:
            if t == 3:
                raise failure
            return 0.5

    with pytest.raises(OSError, match="disk") as caught:
        simulate(Schedule([Constant(0.1), Fails() * Cosine(0.1, 0.0, 9)]), 5)
    assert caught.value is failure
    if sys.version_info >= (3, 11):
        assert "epoch 3, group 1" in caught.value.__notes__[0]


def test_a_chain_of_any_length_that_can_be_called_can_be_simulated() -> None:
    chain: ScheduleFunction = Constant(0.0)
    for at in range(1, 300):
        chain = chain.then(Clamp(Constant(at / 300), max=0.5), at=at)
    assert simulate(Schedule(chain), 310)[:, 0].tolist() == trajectory(chain, 310)
