"""Schedules: values computed by hand, laws that hold for all of them, arguments, precision."""

from __future__ import annotations

import ast
import copy
import dataclasses
import doctest
import itertools
import math
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from schedule_helpers import (
    above_0,
    anything,
    counts,
    decimals,
    epochs,
    exactly,
    grows,
    near_corners,
    of_epochs,
    of_parts,
    rates,
    simple,
    trajectory,
)

from thunder_policy import schedules
from thunder_policy.conformance import check_schedule
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

# --- Values computed by hand -------------------------------------------------------------------

HALF = 0.5
ROOT = math.sqrt(HALF)
BY_HAND: list[tuple[ScheduleFunction, list[float]]] = [
    (Constant(0.3), [0.3, 0.3, 0.3]),
    (Step(1.0, step_size=3), [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01]),
    (Step(1.0, step_size=1, gamma=2.0), [1.0, 2.0, 4.0, 8.0]),
    (Step(1.0, step_size=2, gamma=0.0), [1.0, 1.0, 0.0, 0.0]),
    (MultiStep(1.0, [2, 4]), [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]),
    (MultiStep(1.0, [4, 2, 2], gamma=0.5), [1.0, 1.0, 0.25, 0.25, 0.125]),
    (MultiStep(1.0, [0], gamma=0.5), [0.5, 0.5]),
    (MultiStep(1.0, []), [1.0, 1.0]),
    (Exponential(1.0, gamma=0.5), [1.0, 0.5, 0.25, 0.125]),
    (Exponential(1.0, gamma=0.0), [1.0, 0.0, 0.0]),
    (Exponential(1.0, gamma=0.5, step_size=2), [1.0, ROOT, 0.5, ROOT / 2, 0.25]),
    (InverseSqrt(1.0, timescale=1), [1.0, ROOT, 1 / math.sqrt(3), 0.5]),
    (InverseSqrt(1.0, timescale=4), [1.0, math.sqrt(4 / 5), math.sqrt(4 / 6)]),
    (InverseTime(1.0, timescale=2), [1.0, 2 / 3, 0.5, 2 / 5, 1 / 3]),
    (Power(0.5, timescale=1, power=1), [0.5, 0.5, 0.25, 0.5 / 3, 0.125]),
    (Power(1.0, timescale=2.5, power=0.5), [1.0, 1.0, 1.0, math.sqrt(5 / 6), math.sqrt(5 / 8)]),
    (Linear(1.0, 0.0, epochs=4), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
    (Linear(1.0, 0.0, epochs=2.5), [1.0, 0.6, 0.2, 0.0]),
    (Linear(0.1, 0.5, epochs=2), [0.1, 0.3, 0.5, 0.5]),
    (Linear(0.1, 0.5, epochs=1), [0.1, 0.5]),
    (Polynomial(1.0, 0.0, epochs=2, power=3), [1.0, 0.125, 0.0, 0.0]),
    (Polynomial(1.0, 0.5, epochs=4, power=2), [1.0, 0.78125, 0.625, 0.53125, 0.5]),
    (Polynomial(0.0, 1.0, epochs=4, power=0.5), [0.0, 1 - math.sqrt(0.75), 1 - ROOT, 0.5, 1.0]),
    (
        OneMinusPower(1.0, 0.2, epochs=4),
        [1.0, 0.6, 1 - 0.8 * ROOT, 0.2 + 0.8 * (1 - 0.75**0.5), 0.2],
    ),
    (OneMinusPower(0.0, 1.0, epochs=4, power=2), [0.0, 1 / 16, 1 / 4, 9 / 16, 1.0, 1.0]),
    (Geometric(4.0, 0.25, epochs=4), [4.0, 2.0, 1.0, 0.5, 0.25, 0.25]),
    (REX(1.0, 0.0, epochs=4), [1.0, 6 / 7, 2 / 3, 2 / 5, 0.0, 0.0]),
    (REX(0.2, 0.5, epochs=2), [0.2, 0.3, 0.5, 0.5]),
    (Cosine(1.0, 0.0, epochs=4), [1.0, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0.0, 0.0, 0.0]),
    (Cosine(0.2, 0.4, epochs=2), [0.2, 0.3, 0.4, 0.4]),
    (CosineRestarts(1.0, 0.0, T_0=2), [1.0, 0.5, 1.0, 0.5, 1.0]),
    (CosineRestarts(1.0, 0.2, T_0=1), [1.0, 1.0]),
    (CosineRestarts(1.0, 0.0, T_0=1, T_mult=3), [1.0, 1.0, 0.75, 0.25, 1.0]),
    (CosineRestarts(1.0, 0.0, T_0=2.5), [1.0, (1 + math.cos(0.4 * math.pi)) / 2]),
    (
        CosineRestarts(1.0, 0.2, T_0=1, T_mult=2, cycle_decay=0.5, cycle_limit=3),
        [
            1.0,
            0.5,
            0.35,
            0.25,
            0.2 + 0.05 * (1 + ROOT) / 2,
            0.225,
            0.2 + 0.05 * (1 - ROOT) / 2,
            0.2,
        ],
    ),
    (Piecewise({2: 1.0, 4: 0.0, 8: 0.4}), [1.0, 1.0, 1.0, 0.5, 0.0, 0.1, 0.2, 0.3, 0.4, 0.4]),
    (Piecewise([(3, 0.5)]), [0.5, 0.5, 0.5, 0.5, 0.5]),
    (
        OneCycle(1.0, epochs=4, pct_start=0.5, div_factor=2, final_div_factor=5, anneal="linear"),
        [0.5, 0.75, 1.0, 0.55, 0.1, 0.1],
    ),
    (
        OneCycle(1.0, epochs=4, pct_start=0.5, div_factor=2, final_div_factor=5),
        [0.5, 0.75, 1.0, 0.55, 0.1, 0.1],
    ),
    (
        OneCycle(
            1.0,
            epochs=6,
            pct_start=1 / 3,
            div_factor=2,
            final_div_factor=5,
            anneal="linear",
            three_phase=True,
        ),
        [0.5, 0.75, 1.0, 0.75, 0.5, 0.3, 0.1, 0.1],
    ),
    (OneCycle(1.0, epochs=2, pct_start=0.0, final_div_factor=1), [1.0, 0.52, 0.04, 0.04]),
    # With three phases the first two, or the last, may be empty.
    (
        OneCycle(
            1.0,
            epochs=4,
            pct_start=0.0,
            div_factor=2,
            final_div_factor=5,
            anneal="linear",
            three_phase=True,
        ),
        [0.5, 0.4, 0.3, 0.2, 0.1, 0.1],
    ),
    (
        OneCycle(
            1.0,
            epochs=4,
            pct_start=0.5,
            div_factor=2,
            final_div_factor=5,
            anneal="linear",
            three_phase=True,
        ),
        [0.5, 0.75, 1.0, 0.75, 0.1, 0.1],
    ),
    (Triangular(0.0, 1.0, up=1, down=3), [0.0, 1.0, 2 / 3, 1 / 3, 0.0, 1.0]),
    (Triangular(0.0, 1.0, up=2, down=0), [0.0, 0.5, 0.0, 0.5]),
    (Triangular(0.0, 1.0, up=0, down=2), [1.0, 0.5, 1.0, 0.5]),
    (Triangular(1.0, 0.0, up=2, down=2), [1.0, 0.5, 0.0, 0.5, 1.0]),
    (Triangular(1.0, 1e-9, up=1, down=1), [1.0, 1e-9, 1.0]),
    (
        Triangular(1.0, 3.0, up=1, down=1, mode="triangular2"),
        [1.0, 3.0, 1.0, 2.0, 1.0, 1.5, 1.0],
    ),
    (
        Triangular(1.0, 3.0, up=1, down=1, mode="exp_range", gamma=0.5),
        [1.0, 2.0, 1.0, 1.25, 1.0],
    ),
    (WSD(1.0, 2, 1, 2), [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]),
    (
        WSD(1.0, 2, 0, 4, start=0.5, end=0.2, anneal="1-sqrt"),
        [0.5, 0.75, 1.0, 0.6, 1 - 0.8 * ROOT, 1 - 0.8 * math.sqrt(0.75), 0.2],
    ),
    (WSD(1.0, 0, 2, 0, end=0.1), [1.0, 1.0, 0.1, 0.1]),
    (Step(1.0, step_size=0.5, gamma=0.5), [1.0, 0.25, 0.0625]),
    (Step(1.0, step_size=1, gamma=0.5).in_steps(2), [1.0, 1.0, 0.5, 0.5, 0.25]),
    (Linear(1.0, 0.0, epochs=2).in_steps(2), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
    (warmup(0.5, Linear(1.0, 0.0, epochs=0.5)).in_steps(4), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]),
    (Constant(1.0).then(Constant(2.0), at=2), [1.0, 1.0, 2.0, 2.0]),
    (Constant(1.0).then(Constant(2.0), at=0), [2.0, 2.0]),
    (
        Constant(1.0).then(Linear(4.0, 0.0, 4), at=1).then(Step(8.0, 1, 0.5), at=3),
        [1.0, 4.0, 3.0, 8.0, 4.0, 2.0],
    ),
    (warmup(2, Constant(1.0)), [0.0, 0.5, 1.0, 1.0]),
    (warmup(2, Linear(1.0, 0.0, 2), start=0.5), [0.5, 0.75, 1.0, 0.5, 0.0]),
    (3 * Linear(1.0, 0.0, 2), [3.0, 1.5, 0.0]),
    (Linear(0, 1, epochs=2) * Exponential(8.0, 0.5), [0.0, 2.0, 2.0, 1.0, 0.5]),
]


# One of each class.
ONES = [*{type(schedule): schedule for schedule, _ in BY_HAND}.values()]


def test_values_are_those_computed_by_hand() -> None:
    for schedule, lrs in BY_HAND:
        expected = pytest.approx(lrs, rel=1e-15, abs=1e-16)
        assert trajectory(schedule, len(lrs)) == expected, schedule


def test_every_class_is_exported_and_computed_by_hand() -> None:
    exported = {getattr(schedules, name) for name in schedules.__all__} - {warmup}
    here = [value for name, value in vars(schedules).items() if name[0] != "_"]
    ours = {one for one in here if isinstance(one, type) and issubclass(one, ScheduleFunction)}
    ours -= {ScheduleFunction}
    assert exported - {ScheduleFunction} == ours
    assert exported - {ScheduleFunction} == {*map(type, ONES)}


def test_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(schedules)
    assert results.attempted > 30
    assert results.failed == 0


def test_only_the_standard_library_and_the_checks_are_imported() -> None:
    tree = ast.parse(Path(schedules.__file__).read_text(encoding="utf-8"))
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert others == {"checks", "configs"}  # the second only where pydantic asks


def test_it_is_said_of_every_shape_when_people_take_it() -> None:
    parts = {ScheduleFunction, InSteps, Then, Product, warmup}
    for shape in {getattr(schedules, name) for name in schedules.__all__} - parts:
        assert "Take it " in (shape.__doc__ or ""), shape


def test_every_class_keeps_the_laws_of_check_schedule() -> None:
    for schedule in ONES:
        assert {result.status for result in check_schedule(schedule, 60)} == {"passed"}, schedule


# --- Laws of every schedule --------------------------------------------------------------------


@given(schedule=anything, at=st.lists(epochs, min_size=1, max_size=20))
def test_a_schedule_is_a_value(schedule: ScheduleFunction, at: list[int]) -> None:
    values = [schedule(t) for t in at]
    twins = [
        eval(repr(schedule), vars(schedules)),
        pickle.loads(pickle.dumps(schedule)),
        copy.copy(schedule),
        copy.deepcopy(schedule),
        dataclasses.replace(schedule),
    ]
    for twin in twins:
        assert twin == schedule
        assert hash(twin) == hash(schedule)
        assert repr(twin) == repr(schedule)
        assert [twin(t) for t in reversed(at)] == values[::-1]  # any order


@given(schedule=anything, epoch=epochs | st.integers(min_value=0) | st.just(10**400))
def test_every_epoch_from_0_up_has_a_learning_rate(schedule: ScheduleFunction, epoch: int) -> None:
    lr = schedule(epoch)
    assert type(lr) is float
    assert lr >= 0
    assert lr < math.inf or grows(schedule)


@given(schedule=anything, k=st.integers(1, 1000), epoch=epochs)
@example(Constant(1.0).then(Linear(0.0, 1.0, 4), at=2**53), 2, 2**53 + 1)  # which no float is
def test_in_steps_has_the_value_of_epoch_t_at_step_k_t(
    schedule: ScheduleFunction, k: int, epoch: int
) -> None:
    assert schedule.in_steps(k)(k * epoch) == schedule(epoch)


@given(schedule=of_epochs | of_parts, k=st.integers(1, 1000), step=st.integers(0, 10**6))
def test_in_steps_is_the_same_schedule_at_step_over_k(
    schedule: ScheduleFunction, k: int, step: int
) -> None:
    in_steps = schedule.in_steps(k)
    assert in_steps(step) == schedule(step / k)
    assert load_repr(in_steps) == in_steps


def load_repr(schedule: ScheduleFunction) -> object:
    return eval(repr(schedule), vars(schedules))


def test_a_schedule_of_ones_own_is_counted_in_steps_with_its_formula_alone() -> None:
    @dataclasses.dataclass(frozen=True)
    class Mean(ScheduleFunction):
        """The mean of several schedules, halved at some epochs."""

        parts: tuple[ScheduleFunction, ...]
        halved: list[float]
        peak: float = 1.0

        def _at(self, t: float) -> float:
            factor = 0.5 ** sum(epoch <= t for epoch in self.halved)
            return factor * sum(part(t) for part in self.parts) / len(self.parts)

    mean = Mean((Constant(0.25), Linear(0.0, 1.0, epochs=4)), [1, 2.5])
    in_steps = mean.in_steps(100)
    assert [in_steps(t) for t in range(600)] == [mean(t / 100) for t in range(600)]
    assert (2 * mean)(3) == 2 * mean(3)
    with pytest.raises(ValueError, match="Mean: peak must be at least 0, not -1"):
        Mean((), [], -1)


@given(schedule=anything, j=st.integers(1, 100), k=st.integers(1, 100))
def test_in_steps_multiplies_counts(schedule: ScheduleFunction, j: int, k: int) -> None:
    assert schedule.in_steps(1) == schedule
    assert schedule.in_steps(j).in_steps(k) == schedule.in_steps(j * k)


def test_in_steps_moves_smooth_schedules_within_an_epoch_and_keeps_stepwise_ones() -> None:
    smooth = Cosine(0.1, 0.0, epochs=90).in_steps(500)
    assert all(a > b for a, b in itertools.pairwise(smooth(t) for t in range(501)))
    stepwise = MultiStep(0.1, [30, 60]).in_steps(500)
    assert [stepwise(t) for t in (0, 14_999, 15_000, 29_999)] == [0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1]


def jumping(part: float, n: int) -> list[ScheduleFunction]:
    """Write schedules with what is due after a part, each part, or n of them."""
    return [
        Step(1.0, part, gamma=1 - 1e-6),
        MultiStep(1.0, [part * n, part], gamma=0.5),
        Triangular(0.0, 1.0, up=0, down=part),
        Triangular(0.0, 1.0, up=part, down=part * n),
        CosineRestarts(1.0, 0.0, T_0=part),
        CosineRestarts(1.0, 0.0, T_0=part, T_mult=3),
        CosineRestarts(1.0, 0.0, T_0=part, cycle_decay=0.5, cycle_limit=n),
        OneCycle(1.0, epochs=part * 2 * n, pct_start=0.5, anneal="1-sqrt"),
        WSD(1.0, warmup=part, stable=part * n, decay=0),
        Linear(0.0, 1.0, epochs=part * n).then(Constant(2.0), at=part * n),
    ]


@given(
    k=st.sampled_from([1, 3, 10, 391, 1000, 10**5]),
    each=st.integers(1, 500),
    n=st.integers(1, 10**7),
    beside=st.sampled_from([-1, 0, 1]),
)
@example(k=10, each=1, n=10**7, beside=0)
@example(k=10, each=3, n=10**7 + 1, beside=0)
@example(k=1000, each=200, n=10**6 + 1, beside=0)
@example(k=10**5, each=1, n=10**7, beside=0)
def test_what_is_due_at_a_whole_step_comes_at_that_step(
    k: int, each: int, n: int, beside: int
) -> None:
    """However a time is written: 0.1, 1 / 3, 0.1 * 3; up to some 10^9 steps."""
    part = each / k
    pairs = [*zip(jumping(part, n), jumping(each, n), strict=True)]
    if n * part < 10**6:  # where a float has the digits for a jump within a part
        cycles = [
            (Constant(2.0).then(CosineRestarts(1.0, 0.0, one), at=one * n)) for one in (part, each)
        ]
        pairs.append((cycles[0], cycles[1]))
    longest = int(math.log(n, 3))
    for due in (n, n + 1, 2 * n, sum(3**i for i in range(longest))):
        step = max(0, due * each + beside)
        for in_epochs, in_whole_steps in pairs:
            expected = pytest.approx(in_whole_steps(step), rel=1e-9, abs=1e-6)
            assert in_epochs.in_steps(k)(step) == expected, in_epochs


@pytest.mark.parametrize("k", [10, 1000])
def test_in_the_sample_of_decimals_no_jump_is_a_step_late(k: int) -> None:
    for tenths in (1, 2, 3):
        part = 0.1 * tenths  # 0.30000000000000004, for one
        for due in range(1, 1000):
            step = due * tenths * k // 10
            for schedule in (Step(1.0, part, 0.99), MultiStep(1.0, [part * due], 0.99)):
                before, now = (schedule.in_steps(k)(t) for t in (step - 1, step))
                assert now < before
        assert Triangular(0.0, 0.1, up=part, down=1).in_steps(k)(tenths * k // 10) == 0.1


@st.composite
def steps_near_corners(draw: st.DrawFn, schedule: ScheduleFunction, k: int) -> int:
    """Draw a step; most often one beside those at which the schedule changes its formula."""
    parts = [Fraction(number) for number in re.findall(r"(?<![\w.])\d+\.?\d*", repr(schedule))]
    several = draw(st.lists(st.sampled_from([*parts, Fraction(0)]), min_size=1, max_size=4))
    return max(0, min(10**6, math.ceil(sum(several) * k)) + draw(st.integers(-2, 2)))


@settings(deadline=None, max_examples=400)
@given(
    data=st.data(),
    schedule=of_parts.filter(lambda schedule: not grows(schedule)),
    k=st.sampled_from([1, 2, 10, 60, 1000]),
)
def test_each_step_has_the_value_of_its_exact_time(
    data: st.DataObject, schedule: ScheduleFunction, k: int
) -> None:
    step = data.draw(steps_near_corners(schedule, k))
    expected = float(exactly(schedule, Fraction(step, k)))
    assert schedule.in_steps(k)(step) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(schedule=anything, time=st.floats(0, 1e6))
def test_any_real_time_has_a_value_and_a_whole_one_that_of_the_epoch(
    schedule: ScheduleFunction, time: float
) -> None:
    assert 0 <= schedule(time) < math.inf or grows(schedule)
    whole = round(time)
    near: list[Any] = [float(whole), whole + 4e-10, np.float64(whole), Fraction(whole)]
    assert {schedule(t) for t in near} == {schedule(whole)}


def test_a_run_is_written_in_shares_of_a_length_that_is_known_later() -> None:
    run = warmup(0.03, Cosine(0.1, 0.0, epochs=0.97))
    for total in (100, 700, 1000, 123_400):
        in_steps = run.in_steps(total)
        n = 3 * total // 100
        whole = warmup(n, Cosine(0.1, 0.0, epochs=total - n))
        for t in (0, 1, n - 1, n, n + 1, total // 2, total - 1, total, total + 1, 10**9):
            assert in_steps(t) == pytest.approx(whole(t), rel=1e-9, abs=1e-17)
        assert (in_steps(n), in_steps(total)) == (0.1, 0.0)


@given(a=anything, b=anything, at=epochs | decimals, epoch=st.integers(0, 10**6))
def test_then_gives_the_second_its_own_epochs(
    a: ScheduleFunction, b: ScheduleFunction, at: float, epoch: int
) -> None:
    expected = a(epoch) if epoch < at else b(epoch - at)
    assert a.then(b, at=at)(epoch) == expected


@given(n=st.integers(1, 500), schedule=simple, start=rates, epoch=epochs)
def test_warmup_is_a_line_to_the_beginning_of_the_schedule(
    n: int, schedule: ScheduleFunction, start: float, epoch: int
) -> None:
    warm = warmup(n, schedule, start=start)
    if epoch >= n:
        assert warm(epoch) == schedule(epoch - n)
    else:
        line = np.interp(epoch, [0, n], [start, schedule(0)])
        assert warm(epoch) == pytest.approx(line, rel=1e-12)
    assert warmup(0, schedule, start=start) is schedule


@given(a=simple, b=simple, x=rates, epoch=epochs)
def test_products_multiply_epoch_by_epoch(
    a: ScheduleFunction, b: ScheduleFunction, x: float, epoch: int
) -> None:
    # inf stands for a large number: nothing of it is nothing.
    assert (a * b)(epoch) == (a(epoch) * b(epoch) if a(epoch) and b(epoch) else 0)
    assert (x * a)(epoch) == (a * x)(epoch) == (x * a(epoch) if x else 0)
    assert x * a == a * x == np.float64(x) * a == Product(a, Constant(x))


def test_a_group_can_have_a_part_of_the_learning_rate() -> None:
    s = Cosine(0.1, 0.0, epochs=10)
    assert [[f(t) for f in [s, 0.1 * s]] for t in (0, 10)] == [[0.1, 0.1 * 0.1], [0.0, 0.0]]


@given(
    start=above_0,
    end=above_0,
    n=st.integers(1, 500),
    power=st.floats(0.01, 10),
    after=st.integers(min_value=0),
)
def test_an_end_is_reached_exactly_and_held(
    start: float, end: float, n: int, power: float, after: int
) -> None:
    for s in (
        *(shape(start, end, n) for shape in (Linear, Cosine, Geometric, REX)),
        *(shape(start, end, n, power) for shape in (Polynomial, OneMinusPower)),
    ):
        assert {*trajectory(dataclasses.replace(s, end=start), n + 2)} == {start}
        assert s(0) == pytest.approx(start, rel=1e-15)
        assert s(n) == s(n + after) == end
        low, high = sorted((start, end))
        within = trajectory(s, n)
        slack = 4 * sys.float_info.epsilon
        assert all(low * (1 - slack) <= lr <= high * (1 + slack) for lr in within)


@given(rates, rates, counts, counts, epochs)
def test_a_periodic_schedule_goes_on(
    start: float, peak: float, up: int, down: int, epoch: int
) -> None:
    triangles, waves = Triangular(start, peak, up, down), CosineRestarts(peak, start, up)
    assert triangles(epoch) == triangles(epoch + 10**9 * (up + down))
    assert waves(epoch) == waves(epoch + 10**9 * up)


def test_growth_without_bound_ends_in_infinity() -> None:
    assert Exponential(1e-7, gamma=1.1)(10**9) == math.inf
    assert Exponential(0.0, gamma=1.1)(10**400) == 0.0
    grown = Exponential(1e-7, gamma=1.1)
    assert (grown * 0.0)(10**9) == Product(Constant(0.0), grown)(10**9) == 0.0
    assert Step(0.1, 1, gamma=0.5)(10**400) == 0.0
    assert Exponential(0.1, gamma=1.0)(10**400) == 0.1
    assert Cosine(1.0, 0.0, epochs=10**100)(10**400) == 0.0
    # The last restart of all may come with the last time.
    longer = math.isqrt(10**101) + 10**36
    assert CosineRestarts(1.0, 0.0, T_0=0.1, T_mult=longer)(10**400) == 1.0


def test_a_schedule_cannot_be_changed() -> None:
    s = Cosine(0.1, 0.0, epochs=90)
    with pytest.raises(dataclasses.FrozenInstanceError):
        s.epochs = 100  # type: ignore[misc]
    points = {0: 0.1, 5: 0.0}
    given_points, milestones = Piecewise(points), [1, 2]
    given_milestones = MultiStep(0.1, milestones)
    points[5], milestones[0] = 1.0, 7
    assert given_points == Piecewise([(5, 0.0), (0, 0.1)])
    pairs: tuple[tuple[float, float], ...] = given_points.points  # for pydantic, by its type
    assert [*pairs] == [(0.0, 0.1), (5.0, 0.0)]
    assert given_milestones.milestones == (1, 2)


def test_schedules_of_different_classes_differ() -> None:
    line: ScheduleFunction = Linear(0.1, 0.0, 5)
    assert line not in (Cosine(0.1, 0.0, 5), Linear(0.1, 0.0, 6))
    assert len({Linear(0.1, 0.0, 5), Linear(0.1, 0, 5), Cosine(0.1, 0, 5)}) == 2


# --- Arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.float32(0.5), Fraction(1, 2), torch.tensor(0.5)], ids=repr)
def test_any_real_number_is_kept_as_a_float(number: Any) -> None:
    s = Linear(number, 0, np.int64(5))
    assert repr(s) == "Linear(start=0.5, end=0.0, epochs=5)"
    assert [type(field) for field in dataclasses.astuple(s)] == [float, float, int]
    assert Constant(torch.tensor(1)) == Constant(np.array(1.0)) == Constant(1)  # type: ignore[arg-type]


untyped: Any = schedules  # wrong on purpose
ONE: Any = Constant(1.0)
NO_NUMBERS = ("90", True, None, 90j, torch.tensor([3.0]))
# What is done, and all that is said of it; before "..." only its beginning.
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    *(
        (
            lambda n=n: untyped.Cosine(0.1, 0.0, n),
            TypeError,
            "Cosine: epochs must be one real number, not ...",
        )
        for n in NO_NUMBERS
    ),
    (lambda: untyped.Cosine(0.1, 0.0, 0), ValueError, "Cosine: epochs must be above 0, not 0"),
    (
        lambda: untyped.Cosine(0.1, 0, 1e-10),
        ValueError,
        "Cosine: epochs must be above 1e-09, not 1e-10: closer times are one",
    ),
    (
        lambda: untyped.Cosine(0.1, 0, math.inf),
        ValueError,
        "Cosine: epochs must be finite, not inf",
    ),
    (
        lambda: untyped.Step(0.1, 1e-9),
        ValueError,
        "Step: step_size must be above 1e-09, not 1e-09: closer times are one",
    ),
    (
        lambda: untyped.Cosine(0.1, 0, 10**400),
        ValueError,
        "Cosine: epochs must fit a float, not 1000...",
    ),
    (
        lambda: untyped.Cosine("0.1", 0.0, 9),
        TypeError,
        "Cosine: start must be one real number, not '0.1'...",
    ),
    (
        lambda: untyped.Cosine(True, 0.0, 9),
        TypeError,
        "Cosine: start must be one real number, not True (bool)",
    ),
    (
        lambda: untyped.Cosine(1j, 0.0, 9),
        TypeError,
        "Cosine: start must be one real number, not 1j (complex)",
    ),
    (
        lambda: untyped.Cosine(torch.ones(1), 0.0, 9),
        TypeError,
        "Cosine: start must be one real number, not tensor([1.]) (a tensor)",
    ),
    (
        lambda: untyped.Cosine(torch.tensor(True), 0, 9),
        TypeError,
        "Cosine: start must be one real number, not tensor(True) (a tensor)",
    ),
    (
        lambda: untyped.Cosine(0.1, math.nan, 9),
        ValueError,
        "Cosine: end must be finite, not nan",
    ),
    (
        lambda: untyped.Cosine(0.1, math.inf, 9),
        ValueError,
        "Cosine: end must be finite, not inf",
    ),
    (
        lambda: untyped.Cosine(0.1, -1e-9, 9),
        ValueError,
        "Cosine: end must be at least 0, not -1e-09",
    ),
    (
        lambda: untyped.Cosine(10**400, 0.0, 9),
        ValueError,
        "Cosine: start must fit a float, not 1000...",
    ),
    (
        lambda: untyped.Constant(None),
        TypeError,
        "Constant: value must be one real number, not None (NoneType)",
    ),
    (lambda: untyped.Linear(0.1, 0.0, -1), ValueError, "Linear: epochs must be above 0, not -1"),
    (lambda: untyped.Step(0.1, 0), ValueError, "Step: step_size must be above 0, not 0"),
    (
        lambda: untyped.Step(0.1, 1, -0.1),
        ValueError,
        "Step: gamma must be at least 0, not -0.1",
    ),
    (
        lambda: untyped.MultiStep(0.1, 30),
        TypeError,
        "MultiStep: milestones must be a list of epochs, not 30...",
    ),
    (
        lambda: untyped.MultiStep(0.1, {30: 0.1}),
        TypeError,
        "MultiStep: milestones must be a list of epochs, not {30: 0.1}: "
        "Multiply is the policy with a factor for each",
    ),
    (
        lambda: untyped.MultiStep(0.1, [None]),
        TypeError,
        "MultiStep: milestones must be one real number, not None (NoneType)",
    ),
    (
        lambda: untyped.MultiStep(0.1, [-1]),
        ValueError,
        "MultiStep: milestones must be at least 0, not -1",
    ),
    (
        lambda: untyped.MultiStep(0.1, "12"),
        TypeError,
        "MultiStep: milestones must be one real number, not '1'...",
    ),
    (
        lambda: untyped.Exponential(0.1, 0.9, 0),
        ValueError,
        "Exponential: step_size must be above 0, not 0",
    ),
    (
        lambda: untyped.InverseSqrt(0.1, 0),
        ValueError,
        "InverseSqrt: timescale must be above 0, not 0",
    ),
    (
        lambda: untyped.Polynomial(0.1, 0, 9, 0),
        ValueError,
        "Polynomial: power must be above 0, not 0",
    ),
    (
        lambda: untyped.Polynomial(0.1, 0, 9, "2"),
        TypeError,
        "Polynomial: power must be one real number, not '2'...",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 0),
        ValueError,
        "CosineRestarts: T_0 must be above 0, not 0",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 5, 0),
        ValueError,
        "CosineRestarts: T_mult must be at least 1, not 0",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 5, 1.5),
        TypeError,
        "CosineRestarts: T_mult must be an integer, not 1.5 (float)",
    ),
    (
        lambda: untyped.Piecewise({}),
        ValueError,
        "Piecewise: points must have one lr an epoch, and not be empty: {}",
    ),
    (
        lambda: untyped.Piecewise([(1, 0.1), (1, 0.2)]),
        ValueError,
        "Piecewise: points must have one lr an epoch, and not be empty: [(1, 0.1), (1, 0.2)]",
    ),
    (
        lambda: untyped.Piecewise({"1": 0.1}),
        TypeError,
        "Piecewise: points must be one real number, not '1'...",
    ),
    (
        lambda: untyped.Piecewise({-1: 0.1}),
        ValueError,
        "Piecewise: points must be at least 0, not -1",
    ),
    (
        lambda: untyped.Piecewise({3: math.nan}),
        ValueError,
        "Piecewise: points at 3 must be finite, not nan",
    ),
    (
        lambda: untyped.Piecewise([0.1, 0.2]),
        TypeError,
        "Piecewise: points must be {epoch: lr} or pairs, not [0.1, 0.2]",
    ),
    (
        lambda: untyped.Piecewise([(1, 2, 3)]),
        TypeError,
        "Piecewise: points must be {epoch: lr} or pairs, not [(1, 2, 3)]",
    ),
    (
        lambda: untyped.Piecewise(0.1),
        TypeError,
        "Piecewise: points must be {epoch: lr} or pairs, not 0.1",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, pct_start=1),
        ValueError,
        "OneCycle: pct_start must be below 1, not 1.0",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, pct_start=-0.1),
        ValueError,
        "OneCycle: pct_start must be at least 0, not -0.1",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, pct_start=0.6, three_phase=True),
        ValueError,
        "OneCycle: pct_start must be at most 0.5 with three phases, not 0.6",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, div_factor=0),
        ValueError,
        "OneCycle: div_factor must be above 0, not 0",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, anneal="cosine"),
        ValueError,
        "OneCycle: anneal must be 'cos' or 'linear' or '1-sqrt', not 'cosine'",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, three_phase="no"),
        TypeError,
        "OneCycle: three_phase must be True or False, not 'no'",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, three_phase=1.0),
        TypeError,
        "OneCycle: three_phase must be True or False, not 1.0",
    ),
    (
        lambda: untyped.OneCycle(0.1, 9, anneal=3),
        ValueError,
        "OneCycle: anneal must be 'cos' or 'linear' or '1-sqrt', not 3",
    ),
    (
        lambda: untyped.Triangular(0.1, 1, 0, 0),
        ValueError,
        "Triangular: up and down must not both be 0: give one of them epochs",
    ),
    (
        lambda: untyped.Triangular(0.1, 1, -1, 2),
        ValueError,
        "Triangular: up must be at least 0, not -1",
    ),
    (
        lambda: untyped.Triangular(0.1, 1, 2, 2, mode="saw"),
        ValueError,
        "Triangular: mode must be 'triangular' or 'triangular2' or 'exp_range', not 'saw'",
    ),
    (
        lambda: untyped.Triangular(0.1, 1, 2, 2, gamma=0.9),
        ValueError,
        "Triangular: gamma is for 'exp_range', not 'triangular'",
    ),
    (
        lambda: untyped.Triangular(0.1, 1, 2, 2, mode="exp_range", gamma=1.1),
        ValueError,
        "Triangular: gamma must be at most 1, not 1.1",
    ),
    (lambda: untyped.WSD(0.1, 1, 2, -3), ValueError, "WSD: decay must be at least 0, not -3"),
    (
        lambda: untyped.WSD(0.1, 1, 2, 3, anneal="sqrt"),
        ValueError,
        "WSD: anneal must be 'cos' or 'linear' or '1-sqrt', not 'sqrt'",
    ),
    (
        lambda: ONE.then(0.1, at=3),
        TypeError,
        "Then: second must be a ScheduleFunction, not 0.1: use Constant...",
    ),
    (
        lambda: ONE.then(math.cos, at=3),
        TypeError,
        "Then: second must be a ScheduleFunction, not <built-in function cos>: "
        "use Constant for a number, Constant(a).then(Constant(b), at=epoch) for a Switch, "
        "a subclass for a formula",
    ),
    (lambda: ONE.then(ONE, at=-3), ValueError, "Then: at must be at least 0, not -3"),
    (
        lambda: untyped.Product(ONE, 2.0),
        TypeError,
        "Product: right must be a ScheduleFunction, not 2.0...",
    ),
    (lambda: ONE * True, TypeError, "Constant: value must be one real number, not True (bool)"),
    (lambda: ONE * -1, ValueError, "Constant: value must be at least 0, not -1"),
    (
        lambda: untyped.warmup(5, 0.1),
        TypeError,
        "warmup: schedule must be a ScheduleFunction, not 0.1...",
    ),
    (lambda: untyped.warmup(-5, ONE), ValueError, "warmup: epochs must be at least 0, not -5"),
    (lambda: warmup(5, ONE, start=-1), ValueError, "warmup: start must be at least 0, not -1"),
    (
        lambda: untyped.warmup("3", ONE),
        TypeError,
        "warmup: epochs must be one real number, not '3'...",
    ),
    (
        lambda: untyped.Geometric(0.1, 0, 9),
        ValueError,
        "Geometric: end must be above 0, not 0.0",
    ),
    (
        lambda: untyped.Geometric(0, 0.1, 9),
        ValueError,
        "Geometric: start must be above 0, not 0.0",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 5, cycle_limit=0),
        ValueError,
        "CosineRestarts: cycle_limit must be at least 1, not 0",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 5, cycle_limit=1.5),
        TypeError,
        "CosineRestarts: cycle_limit must be an integer, not 1.5 (float)",
    ),
    (
        lambda: untyped.CosineRestarts(0.1, 0, 5, cycle_decay=-1),
        ValueError,
        "CosineRestarts: cycle_decay must be at least 0, not -1",
    ),
    # Two numbers of which one was an int made a bare OverflowError.
    (
        lambda: untyped.CosineRestarts(1, 0, T_0=0.5, T_mult=10**400),
        ValueError,
        "CosineRestarts: T_mult must be at most 1e+100, not 1000...",
    ),
    (
        lambda: untyped.Triangular(0, 1, 10**308, 10**308),
        ValueError,
        "Triangular: up must be at most 1e+100, not 1000...",
    ),
    (
        lambda: ONE.in_steps(10**60).in_steps(10**60),
        ValueError,
        "InSteps: steps_per_epoch must be at most 1e+100, not 1000...",
    ),
    (
        lambda: untyped.InSteps(ONE, 0),
        ValueError,
        "InSteps: steps_per_epoch must be at least 1, not 0",
    ),
    (
        lambda: ONE.in_steps(2).in_steps(0.5),
        TypeError,
        "InSteps: steps_per_epoch must be an integer, not 0.5 (float)",
    ),
    (lambda: ONE.in_steps(0), ValueError, "Constant: steps_per_epoch must be at least 1, not 0"),
    (
        lambda: ONE.in_steps(1.5),
        TypeError,
        "Constant: steps_per_epoch must be an integer, not 1.5 (float)",
    ),
    (
        lambda: untyped.Piecewise({0: 1}).in_steps(0),
        ValueError,
        "Piecewise: steps_per_epoch must be at least 1, not 0",
    ),
    (lambda: ONE(-1), ValueError, "Constant: the epoch must be at least 0, not -1"),
    (lambda: ONE(-0.5), ValueError, "Constant: the epoch must be at least 0, not -0.5"),
    (lambda: ONE("1"), TypeError, "Constant: the epoch must be one real number, not '1'..."),
    (lambda: ONE(True), TypeError, "Constant: the epoch must be one real number, not True (bool)"),
    (lambda: ONE(math.nan), ValueError, "Constant: the epoch must be finite, not nan"),
]


def test_a_bad_argument_is_named() -> None:
    for call, error, message in BAD:
        with pytest.raises(error) as caught:
            call()
        start = message.removesuffix("...")
        assert str(caught.value)[: len(start) if start < message else None] == start
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
        ONE * "2"


def test_a_time_may_have_any_real_type_and_is_kept_as_an_int_where_it_is_whole() -> None:
    times: list[Any] = [1, 1.0, np.int64(1), np.float32(1), Fraction(1), torch.tensor(1)]
    for time in times:
        assert Linear(1.0, 0.0, 4)(time) == 0.75
        assert repr(Linear(1.0, 0.0, 4 * time)) == "Linear(start=1.0, end=0.0, epochs=4)"
    assert Linear(1.0, 0.0, 0.5).epochs == 0.5
    assert MultiStep(1.0, [0.1 * 3 * 10, 2.5]).milestones == (2.5, 3)


def test_the_base_class_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ScheduleFunction()  # type: ignore[abstract]


# --- Precision ---------------------------------------------------------------------------------

LONG = 10**9


@settings(deadline=None, max_examples=300)
@given(data=st.data(), schedule=of_epochs.filter(lambda schedule: not grows(schedule)))
def test_every_epoch_has_full_precision(data: st.DataObject, schedule: ScheduleFunction) -> None:
    t = data.draw(near_corners(schedule))
    exact = float(exactly(schedule, t))
    # A power multiplies the rounding of its exponent, here by at most 700.
    assert schedule(t) == pytest.approx(exact, rel=1e-12, abs=1e-290)


@given(schedule=simple, epoch=st.sampled_from([LONG, 10**12]))
def test_growth_without_bound_has_it_too(schedule: ScheduleFunction, epoch: int) -> None:
    exact = float(exactly(schedule, epoch))
    assert schedule(epoch) == pytest.approx(exact, rel=1e-12, abs=1e-290)


def test_a_power_is_precise_next_to_both_of_its_ends() -> None:
    assert Polynomial(0.0, 1.0, LONG, power=2)(1) == pytest.approx(2e-9 - 1e-18, rel=1e-14, abs=0)
    exact = -math.expm1(0.01 * math.log(1 / LONG))
    assert Polynomial(0.0, 1.0, LONG, power=0.01)(LONG - 1) == pytest.approx(exact, rel=1e-14)


def test_whole_times_are_told_apart_however_late_they_are() -> None:
    # A time that is whole but for its rounding is whole, and that is above 1e-9 here.
    assert Constant(1.0).then(Constant(2.0), at=0.1 * 3 * 10**8).in_steps(10)(3 * 10**8) == 2.0
    for halved in (MultiStep(1.0, [10**15], 0.5), Step(1.0, 10**15, 0.5)):
        assert [halved(10**15 - 1), halved(10**15)] == [1.0, 0.5]
    peak = 3 * (10**17 + 1) + 1
    triangle = Triangular(0.0, 1.0, up=1, down=2)
    assert [triangle(peak + t) for t in (-1, 0, 1, 2)] == [0.0, 1.0, 0.5, 0.0]
    assert OneCycle(1.0, 2 * peak, pct_start=0.5, three_phase=True)(peak) == 1.0


def test_the_formula_of_the_books_has_no_digit_left_where_ours_is_precise() -> None:
    assert [1 + math.cos(math.pi * t / LONG) for t in range(LONG - 3, LONG)] == [0.0, 0.0, 0.0]
    assert Cosine(1.0, 0.0, LONG)(LONG - 1) == pytest.approx((math.pi / LONG / 2) ** 2, rel=1e-15)


@given(T_0=st.integers(1, 10**6), T_mult=st.integers(2, 10), cycle=st.integers(0, 60))
def test_a_restart_comes_on_its_epoch_and_not_one_before(T_0: int, T_mult: int, cycle: int) -> None:
    s = CosineRestarts(1.0, 0.0, T_0, T_mult)
    begins = sum(T_0 * T_mult**i for i in range(cycle))
    length = T_0 * T_mult**cycle
    assert s(begins) == 1.0
    assert s(begins + length) == 1.0
    last = math.sin(math.pi / 2 / length) ** 2
    assert s(begins + length - 1) == pytest.approx(last, rel=1e-12, abs=0)


@pytest.mark.slow
def test_a_million_epochs_are_simulated_in_less_than_two_seconds() -> None:
    slow = [
        *ONES,
        OneCycle(1.0, 10**6),
        Polynomial(1.0, 0.1, 10**6, power=2.5),
        OneMinusPower(1.0, 0.1, 10**6),
        WSD(1.0, 10, 10, 10**6, anneal="1-sqrt"),
        warmup(0.03, Cosine(1.0, 0.0, 0.97)).in_steps(10**6),
        CosineRestarts(1.0, 0.0, 0.3, 2),
        Triangular(0.0, 1.0, 0.3, 0.4),
    ]
    script = f"""
import torch
from pace import seconds
from thunder_policy import Schedule, simulate
from thunder_policy.schedules import *
torch.set_num_threads(1)  # the time that others wait is process time, too
for schedule in {slow}:
    run = lambda: 100 * seconds(lambda: simulate(Schedule(schedule), 10_000), times=1)
    assert any(run() < 2 for _ in range(9)), schedule  # again, where others take the caches
"""
    # In a process of its own, which no coverage slows down.
    folders = [Path(schedules.__file__).parents[1], Path(__file__).parent]
    path = os.pathsep.join(map(str, folders))
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": path}
    )


@given(
    parts=st.lists(st.sampled_from([0, 1e-8, 0.1, 0.25, 1, 3.3, 89.5]), min_size=2, max_size=2),
    t=st.one_of(st.integers(0, 10**20), st.floats(0, 1e20)),
)
@example(parts=[0.25, 3.3], t=16802977.15)
@example(parts=[0.1, 0], t=10**10)
@example(parts=[89.5, 1e-8], t=10**18)
def test_far_from_0_a_cycle_stays_between_its_ends(parts: list[float], t: float) -> None:
    assume(sum(parts))
    least, most = 0.001 * (1 - 1e-12), 0.1 * (1 + 1e-12)  # but for rounding
    assert least <= Triangular(0.001, 0.1, *parts)(t) <= most
    assert least <= CosineRestarts(0.1, 0.001, T_0=sum(parts))(t) <= most
