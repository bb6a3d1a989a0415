"""Schedules against those of torch, transformers, optax, timm and papers; torch's surprises."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import mul
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from helpers import sgd
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_helpers import stepped, trajectory
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import SWALR
from versions import SECOND_OF_A_SEQUENCE, SEQUENCE_IS_CLEAN

from thunder_policy.schedules import (
    REX,
    WSD,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Geometric,
    InverseSqrt,
    InverseTime,
    Linear,
    MultiStep,
    OneCycle,
    OneMinusPower,
    Piecewise,
    Polynomial,
    Power,
    ScheduleFunction,
    Step,
    Triangular,
    warmup,
)

REFERENCE = json.loads(
    (Path(__file__).parent / "data" / "reference.json").read_text(encoding="utf-8")
)

Scheduler = Callable[[Optimizer], lr_scheduler.LRScheduler]


@dataclass
class Pair:
    """A torch scheduler, and the counterpart for an optimizer with that lr."""

    make: Scheduler
    schedule: Callable[[float], ScheduleFunction]
    last: int = 10**9
    """The last epoch at which the two mean the same."""
    factors: Sequence[Pair] = ()
    """Of a chain its parts, each of which multiplies what the others say."""

    def largest(self, lr: float, epochs: int) -> float:
        """The largest term that is rounded while the counterpart is stepped."""
        if not self.factors:
            return max(trajectory(self.schedule(lr), epochs))
        return lr * math.prod(factor.largest(1.0, epochs) for factor in self.factors)


anneals = st.sampled_from(["cos", "linear"])
counts = st.integers(1, 200)
fractions = st.floats(0.001, 1)
gammas = st.floats(0, 1.05)
etas = st.just(0.0) | st.floats(1e-8, 1)


def step_lr(size: int, gamma: float) -> Pair:
    return Pair(lambda o: lr_scheduler.StepLR(o, size, gamma), lambda lr: Step(lr, size, gamma))


def multi_step_lr(milestones: list[int], gamma: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.MultiStepLR(o, milestones, gamma),
        lambda lr: MultiStep(lr, milestones, gamma),
    )


def constant_lr(factor: float, total: int) -> Pair:
    return Pair(
        lambda o: lr_scheduler.ConstantLR(o, factor, total),
        lambda lr: Constant(lr * factor).then(Constant(lr), at=total),
    )


def linear_lr(start: float, end: float, total: int) -> Pair:
    return Pair(
        lambda o: lr_scheduler.LinearLR(o, start, end, total),
        lambda lr: Linear(lr * start, lr * end, total),
    )


def exponential_lr(gamma: float) -> Pair:
    return Pair(lambda o: lr_scheduler.ExponentialLR(o, gamma), lambda lr: Exponential(lr, gamma))


def polynomial_lr(total: int, power: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.PolynomialLR(o, total, power),
        lambda lr: Polynomial(lr, 0.0, total, power),
    )


def cosine_annealing_lr(T_max: int, eta_min: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max, eta_min),
        lambda lr: Cosine(lr, eta_min, T_max),
        last=T_max,
    )


def warm_restarts(T_0: int, T_mult: int, eta_min: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0, T_mult, eta_min),
        lambda lr: CosineRestarts(lr, eta_min, T_0, T_mult),
    )


def lambda_lr(factor: ScheduleFunction) -> Pair:
    return Pair(lambda o: lr_scheduler.LambdaLR(o, factor), lambda lr: lr * factor)


def multiplicative_lr(milestones: list[int], gamma: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: gamma if t in milestones else 1.0),
        lambda lr: MultiStep(lr, milestones, gamma),
    )


def constant_multiplicative_lr(gamma: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: gamma),
        lambda lr: Exponential(lr, gamma),
    )


def one_cycle_lr(
    max_lr: float, total: int, part: float, div: float, final: float, anneal: Any, three: bool
) -> Pair:
    # `part` of the way from the first sound pct_start, where torch's peak is past epoch 0, up to 1,
    # where it never comes down (with three phases: never starts on the third).
    top = (1 + 1 / total) / 2 if three else 1.0
    pct = 1 / total + part * (top - 1 / total)
    return Pair(
        lambda o: lr_scheduler.OneCycleLR(
            o,
            max_lr,
            total_steps=total,
            pct_start=pct,
            anneal_strategy=anneal,
            cycle_momentum=False,
            div_factor=div,
            final_div_factor=final,
            three_phase=three,
        ),
        lambda _: OneCycle(
            max_lr,
            epochs=total - 1,
            pct_start=(pct * total - 1) / (total - 1),
            div_factor=div,
            final_div_factor=final,
            anneal=anneal,
            three_phase=three,
        ),
        last=total - 1,
    )


def cyclic_lr(base: float, top: float, up: int, down: int, mode: Any, gamma: float) -> Pair:
    return Pair(
        lambda o: lr_scheduler.CyclicLR(
            o, base, top, up, down, mode=mode, gamma=gamma, cycle_momentum=False
        ),
        lambda _: Triangular(
            base, top, up, down, mode=mode, gamma=gamma if mode == "exp_range" else 1.0
        ),
    )


def swa_lr(swa: float, epochs: int, anneal: Any) -> Pair:
    shape = Cosine if anneal == "cos" else Linear
    return Pair(
        lambda o: SWALR(o, swa, epochs, anneal),
        lambda lr: shape(lr, swa, epochs) if epochs else Constant(swa),
    )


def sequential_lr(pairs: list[Pair], lengths: list[int]) -> Pair:
    milestones = [sum(lengths[: i + 1]) for i in range(len(pairs) - 1)]

    def schedule(lr: float) -> ScheduleFunction:
        first, *rest = (pair.schedule(lr) for pair in pairs)
        for following, at in zip(rest, milestones, strict=True):
            first = first.then(following, at=at)
        return first

    def make(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        if not SEQUENCE_IS_CLEAN:
            for group in optimizer.param_groups:
                group["lr"] = float(group["lr"])
        parts = [pair.make(optimizer) for pair in pairs]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones)

    return Pair(
        make,
        schedule,
        last=milestones[-1] + pairs[-1].last,
    )


def chained_scheduler(pairs: list[Pair]) -> Pair:
    return Pair(
        lambda o: lr_scheduler.ChainedScheduler([pair.make(o) for pair in pairs], optimizer=o),
        lambda lr: lr * reduce(mul, (pair.schedule(1.0) for pair in pairs)),
        last=min(pair.last for pair in pairs),
        factors=pairs,
    )


on_their_own = st.one_of(
    st.builds(step_lr, counts, gammas),
    st.builds(multi_step_lr, st.lists(st.integers(0, 300), max_size=5), gammas),
    st.builds(constant_lr, fractions, counts),
    st.builds(linear_lr, fractions, etas, counts),
    st.builds(exponential_lr, gammas),
    st.builds(polynomial_lr, counts, st.floats(0.1, 5)),
)
# A part that adds something, like CosineAnnealingLR with an eta_min, is no factor.
chainable = st.one_of(
    on_their_own,
    st.builds(constant_multiplicative_lr, gammas),
    st.builds(cosine_annealing_lr, counts, st.just(0.0)),
)
lambdas = st.builds(lambda_lr, st.builds(InverseSqrt, fractions, counts))
restarts = st.builds(warm_restarts, counts, st.integers(1, 4), etas)
cycles = st.builds(
    cyclic_lr,
    etas,
    etas,
    counts,
    st.integers(0, 200),
    st.sampled_from(["triangular", "triangular2", "exp_range"]),
    st.floats(0, 1),
)
# SWALR, OneCycleLR and MultiplicativeLR are not themselves in a sequence: see the surprises below.
in_sequence = st.one_of(
    on_their_own, lambdas, restarts, st.builds(cosine_annealing_lr, st.integers(100, 300), etas)
)
# CyclicLR writes the lr that those built after it start from.
last_in_sequence = in_sequence | cycles

PAIRS: dict[str, st.SearchStrategy[Pair]] = {
    "LambdaLR": lambdas,
    "MultiplicativeLR": st.builds(constant_multiplicative_lr, gammas)
    | st.builds(multiplicative_lr, st.lists(st.integers(1, 300), unique=True), gammas),
    "StepLR": st.builds(step_lr, counts, gammas),
    "MultiStepLR": st.builds(multi_step_lr, st.lists(st.integers(0, 300)), gammas),
    "ConstantLR": st.builds(constant_lr, fractions, counts),
    "LinearLR": st.builds(linear_lr, fractions, st.just(0.0) | fractions, counts),
    "ExponentialLR": st.builds(exponential_lr, gammas),
    "PolynomialLR": st.builds(polynomial_lr, counts, st.floats(0.1, 5)),
    "CosineAnnealingLR": st.builds(cosine_annealing_lr, counts, etas),
    "CosineAnnealingWarmRestarts": st.builds(warm_restarts, counts, st.integers(1, 5), etas),
    "OneCycleLR": st.builds(
        one_cycle_lr,
        etas,
        st.integers(2, 300),
        st.floats(0.001, 0.999),
        st.floats(1, 100),
        st.floats(1, 1e5),
        anneals,
        st.booleans(),
    ),
    "CyclicLR": cycles,
    "SWALR": st.builds(swa_lr, etas, st.integers(0, 200), anneals),
    "SequentialLR": st.integers(2, 4).flatmap(
        lambda n: st.builds(
            lambda pairs, last, lengths: sequential_lr([*pairs, last], lengths),
            st.lists(in_sequence, min_size=n - 1, max_size=n - 1),
            last_in_sequence,
            st.lists(st.integers(1, 100), min_size=n - 1, max_size=n - 1),
        )
    ),
    "ChainedScheduler": st.builds(chained_scheduler, st.lists(chainable, min_size=1, max_size=3)),
}


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=50, deadline=None)
@given(
    data=st.data(),
    lr=st.floats(2**-10, 1, width=32),
    dtype=st.sampled_from([None, torch.float64, torch.float32]),
)
def test_the_counterpart_has_the_lrs_of_torch(
    name: str, data: st.DataObject, lr: float, dtype: torch.dtype | None
) -> None:
    pair = data.draw(PAIRS[name])
    epochs = min(100 if dtype is torch.float32 else 250, pair.last + 1)
    theirs = stepped(pair.make, torch.tensor(lr, dtype=dtype) if dtype else lr, epochs)
    schedule = pair.schedule(lr)
    ours = trajectory(schedule, epochs)
    # Where the lr is 0 or close to it, torch's differences leave the rounding of the larger terms;
    # in a chain the other parts multiply it: one that grows makes much of it.
    limits = torch.finfo(dtype or torch.float64)
    rounding = 4 * limits.eps * epochs
    noise = max(rounding * max(*theirs, pair.largest(lr, epochs)), limits.tiny)
    rel = max(1e-9, rounding)
    for t, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our == pytest.approx(their, rel=rel, abs=noise), (t, schedule)


LONG = 6_000
LONG_PAIRS = [
    step_lr(300, 0.9),
    multi_step_lr([1, 2000, 2000, 5500], 0.3),
    constant_lr(0.3, 5000),
    linear_lr(0.01, 0.3, 5500),
    exponential_lr(0.9995),
    polynomial_lr(LONG, 0.9),
    cosine_annealing_lr(LONG, 1e-4),
    warm_restarts(70, 3, 1e-4),
    lambda_lr(Cosine(1.0, 0.0, LONG)),
    constant_multiplicative_lr(0.9995),
    one_cycle_lr(0.3, LONG, 0.3, 25.0, 1e4, "cos", False),
    cyclic_lr(0.01, 0.3, 50, 70, "exp_range", 0.9999),
    swa_lr(0.05, LONG, "cos"),
    sequential_lr([linear_lr(0.01, 1.0, 500), cosine_annealing_lr(5500, 1e-4)], [500]),
    chained_scheduler([linear_lr(0.01, 1.0, 500), exponential_lr(0.9995)]),
]


@pytest.mark.parametrize("pair", LONG_PAIRS, ids=lambda pair: str(pair.schedule(0.1))[:50])
def test_a_long_run_agrees_too(pair: Pair) -> None:
    theirs = stepped(pair.make, 0.1, LONG)
    schedule = pair.schedule(0.1)
    assert trajectory(schedule, LONG) == pytest.approx(theirs, rel=1e-9, abs=0)


# --- Where torch is wrong or surprising --------------------------------------------------------


def test_torch_drifts_and_the_closed_form_does_not() -> None:
    gamma, epochs = 0.999, 11_507
    exact = mpmath.mp.clone()
    exact.dps = 40
    true = exact.mpf(0.1) * exact.mpf(gamma) ** epochs
    theirs = stepped(exponential_lr(gamma).make, 0.1, epochs + 1)[epochs]
    assert abs(theirs - true) > 5e-15 * true
    assert abs(Exponential(0.1, gamma)(epochs) - true) < 5e-16 * true


def test_torch_cosine_climbs_again_past_T_max_and_ours_holds_its_end() -> None:
    theirs = stepped(lambda o: lr_scheduler.CosineAnnealingLR(o, 5), 0.1, 11)
    assert theirs[5] == 0
    assert theirs[10] == pytest.approx(0.1)
    assert [Cosine(0.1, 0.0, 5)(t) for t in (5, 10)] == [0.0, 0.0]


def test_torch_never_leaves_its_start_with_no_iterations_where_we_ask_for_one() -> None:
    assert stepped(lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, 0), 1.0, 3) == [0.5] * 3
    assert stepped(lambda o: lr_scheduler.ConstantLR(o, 0.5, 0), 1.0, 3) == [0.5] * 3
    assert stepped(lambda o: lr_scheduler.PolynomialLR(o, 0), 1.0, 3) == [1.0] * 3
    for schedule in (Linear, Polynomial, Cosine):
        with pytest.raises(ValueError, match="epochs must be above 0, not 0"):
            schedule(0.5, 1.0, 0)
    assert Constant(0.5).then(Constant(1.0), at=0)(0) == 1.0
    assert warmup(0, Constant(1.0))(0) == 1.0


def test_torch_never_comes_down_with_power_0_where_we_ask_for_a_positive_one() -> None:
    assert stepped(lambda o: lr_scheduler.PolynomialLR(o, 2, 0.0), 1.0, 5) == [1.0] * 5
    with pytest.raises(ValueError, match="power must be above 0"):
        Polynomial(1.0, 0.0, 2, 0.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.StepLR(o, 0),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 0),
        lambda o: lr_scheduler.ConstantLR(o, 0.0, 2),
        lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 0, 2, cycle_momentum=False),
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, 10, pct_start=0.1, cycle_momentum=False),
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, 10, pct_start=1.0, cycle_momentum=False),
    ],
    ids=["StepLR", "CosineAnnealingLR", "ConstantLR", "CyclicLR", "OneCycleLR", "OneCycleLR end"],
)
def test_torch_divides_by_zero(make: Scheduler) -> None:
    with pytest.raises(ZeroDivisionError):
        stepped(make, 0.1, 12)


def test_where_torch_divides_by_zero_there_is_a_value_or_a_clear_error() -> None:
    for schedule in (lambda: Step(0.1, 0), lambda: Cosine(0.1, 0.0, 0)):
        with pytest.raises(ValueError, match="must be above 0, not 0"):
            schedule()
    assert Constant(0.0).then(Constant(0.1), at=2)(2) == 0.1
    assert [Triangular(0.1, 1.0, 0, 2)(t) for t in range(3)] == pytest.approx([1.0, 0.55, 1.0])
    assert OneCycle(1.0, 10, pct_start=0.1)(1) == 1.0


def test_torch_does_not_notice_a_milestone_that_is_no_epoch() -> None:
    milestones: Any = [1.5, -1]
    assert stepped(lambda o: lr_scheduler.MultiStepLR(o, milestones), 1.0, 4) == [1.0] * 4
    assert trajectory(MultiStep(1.0, [1.5]), 4) == [1.0, 1.0, 0.1, 0.1]
    with pytest.raises(ValueError, match="milestones must be at least 0, not -1"):
        MultiStep(1.0, [-1])


def test_the_two_forms_of_torch_disagree_about_a_negative_milestone() -> None:
    scheduler = lr_scheduler.MultiStepLR(sgd(1.0), [-1])
    assert scheduler.get_last_lr() == [1.0]
    assert scheduler._get_closed_form_lr() == [0.1]


def test_torch_takes_a_restart_for_an_end_when_it_jumps_there() -> None:
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(sgd(1.0), 1, 3)
    restart = 1 + 3 + 9 + 27 + 81  # log(243, 3) is 4.999999999999999
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler.step(restart)
    assert scheduler.get_last_lr() == [0.0]
    theirs = stepped(warm_restarts(1, 3, 0.0).make, 1.0, restart + 1)
    assert theirs[restart] == CosineRestarts(1.0, 0.0, 1, 3)(restart) == 1.0


def one_cycle(total: int, pct: float, anneal: Any = "linear", three: bool = False) -> Scheduler:
    return lambda o: lr_scheduler.OneCycleLR(
        o,
        1.0,
        total,
        pct_start=pct,
        anneal_strategy=anneal,
        cycle_momentum=False,
        three_phase=three,
    )


def test_torch_one_cycle_is_a_step_early() -> None:
    theirs = stepped(one_cycle(10, 0.3), 0.1, 10)
    assert max(theirs) == theirs[2] == 1.0
    assert min(theirs) == theirs[9] == pytest.approx(1 / 25 / 1e4)
    ours = OneCycle(1.0, epochs=10, pct_start=0.3, anneal="linear")
    assert ours(3) == 1.0
    assert ours(10) == ours(10**9) == 1 / 25 / 1e4
    shifted = OneCycle(1.0, epochs=9, pct_start=2 / 9, anneal="linear")
    assert [shifted(t) for t in range(10)] == pytest.approx(theirs, rel=1e-9)


def test_torch_one_cycle_leaves_out_the_way_up_when_it_is_shorter_than_a_step() -> None:
    assert stepped(one_cycle(3, 0.3), 0.1, 1)[0] > 0.9  # its start is 1 / 25
    assert OneCycle(1.0, epochs=3, pct_start=0.3)(0) == 1 / 25


def test_torch_one_cycle_with_three_phases_never_ends_when_two_fill_it() -> None:
    assert stepped(one_cycle(10, 0.6, three=True), 0.1, 10)[-1] > 1 / 25
    with pytest.raises(ValueError, match=r"pct_start must be at most 0\.5 with three phases"):
        OneCycle(1.0, 10, pct_start=0.6, three_phase=True)


def test_torch_one_cycle_goes_below_its_end_and_then_fails() -> None:
    optimizer = sgd(0.1)
    scheduler = one_cycle(10, 0.3)(optimizer)
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    assert scheduler.get_last_lr()[0] < 0
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        scheduler.step()
    assert OneCycle(1.0, 10)(11) == 1 / 25 / 1e4


def test_torch_cyclic_blurs_in_a_long_run_and_ours_does_not() -> None:
    t = 7 * 10**9 + 1
    exact = Fraction(t % 7, 3)
    optimizer = sgd(0.1)
    scheduler = cyclic_lr(0.0, 1.0, 3, 4, "triangular", 1.0).make(optimizer)
    scheduler.last_epoch = t - 1
    optimizer.step()
    scheduler.step()
    assert abs(float(scheduler.get_last_lr()[0]) - exact) > 1e-9
    assert Triangular(0.0, 1.0, 3, 4)(t) == float(exact)


def test_torch_cyclic_grows_past_its_peak_with_gamma_above_1() -> None:
    assert max(stepped(cyclic_lr(0.1, 1.0, 2, 2, "exp_range", 1.0).make, 0.1, 40)) == 1.0
    grown = lambda o: lr_scheduler.CyclicLR(  # noqa: E731
        o, 0.1, 1.0, 2, 2, mode="exp_range", gamma=1.1, cycle_momentum=False
    )
    assert max(stepped(grown, 0.1, 40)) > 30
    with pytest.raises(ValueError, match=r"gamma must be at most 1, not 1\.1"):
        Triangular(0.1, 1.0, 2, 2, mode="exp_range", gamma=1.1)


def test_torch_multiplicative_goes_on_from_its_predecessor_in_a_sequence() -> None:
    pairs = [constant_lr(0.5, 100), constant_multiplicative_lr(0.1)]
    theirs = stepped(sequential_lr(pairs, [2]).make, 1.0, 4)
    assert theirs == pytest.approx(SECOND_OF_A_SEQUENCE["MultiplicativeLR"])
    joined = Constant(0.5).then(Exponential(1.0, 0.1), at=2)
    assert trajectory(joined, 4) == pytest.approx([0.5, 0.5, 1.0, 0.1])


def test_torch_swa_starts_from_the_lr_that_it_finds_and_not_at_its_milestone() -> None:
    theirs = stepped(sequential_lr([step_lr(1, 0.5), swa_lr(0.0, 2, "linear")], [2]).make, 1.0, 5)
    assert theirs == pytest.approx(SECOND_OF_A_SEQUENCE["SWALR"])
    joined = Step(1.0, 1, 0.5).then(Linear(1.0, 0.0, 2), at=2)
    assert trajectory(joined, 5) == [1.0, 0.5, 1.0, 0.5, 0.0]


def test_torch_one_cycle_in_a_sequence_moves_the_lr_that_the_others_start_from() -> None:
    pairs = [exponential_lr(0.5), one_cycle_lr(1.0, 10, 0.3, 25.0, 1e4, "cos", False)]
    assert stepped(sequential_lr(pairs, [2]).make, 0.1, 2) == [0.04, 0.02]
    joined = Exponential(0.1, 0.5).then(OneCycle(1.0, 9), at=2)
    assert trajectory(joined, 3) == [0.1, 0.05, 0.04]


def test_torch_linear_can_end_below_zero_and_ours_ends_at_zero() -> None:
    assert stepped(linear_lr(0.3, 0.0, 3).make, 0.1, 4)[3] < 0
    assert Linear(0.03, 0.0, 3)(3) == 0


def test_a_schedule_serves_torch_lambda_lr_whose_state_is_the_dict_of_its_function() -> None:
    def make() -> lr_scheduler.LambdaLR:
        return lr_scheduler.LambdaLR(sgd(0.1), Cosine(1.0, 0.0, 10))

    scheduler, resumed = make(), make()
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.lr_lambdas == [Cosine(1.0, 0.0, 10)]


# --- Formulas of those that no library here has -------------------------------------------------

times = st.integers(0, 10**5)


@given(d_model=st.sampled_from([64, 512, 1024]), n=st.integers(1, 10_000), t=times)
def test_noam_is_a_warmup_and_an_inverse_square_root(d_model: int, n: int, t: int) -> None:
    peak = (d_model * n) ** -0.5
    noam = warmup(n, InverseSqrt(peak, timescale=n))
    paper = d_model**-0.5 * min(t**-0.5, t * n**-1.5) if t else 0.0
    assert noam(t) == pytest.approx(paper, rel=1e-9)


@given(lr=st.floats(1e-4, 1), rate=st.floats(0.01, 10), steps=counts, t=times)
def test_inverse_time_is_that_of_keras(lr: float, rate: float, steps: int, t: int) -> None:
    keras = lr / (1 + rate * t / steps)
    assert InverseTime(lr, timescale=steps / rate)(t) == pytest.approx(keras, rel=1e-9)


@given(batch=st.sampled_from([64, 128, 512]), length=st.sampled_from([2048, 4096]), t=times)
def test_power_is_that_of_its_paper(batch: int, length: int, t: int) -> None:
    a, b, peak = 4.0, -0.51, 0.02  # as in the paper, which counts the batch in sequences
    tokens = batch * length
    ours = Power(peak, timescale=(peak / (a * batch)) ** (1 / b) / tokens, power=-b)
    paper = min(peak, batch * a * (t * tokens) ** b) if t else peak
    assert ours(t) == pytest.approx(paper, rel=1e-9)


@given(lr=st.floats(1e-4, 1), n=counts, t=times)
def test_rex_is_that_of_its_paper(lr: float, n: int, t: int) -> None:
    left = 1 - min(t / n, 1)
    paper = lr * left / (1 / 2 + left / 2)
    assert REX(lr, 0.0, n)(t) == pytest.approx(paper, rel=1e-9, abs=1e-16)


@given(start=st.floats(1e-6, 10), end=st.floats(1e-6, 10), n=counts)
def test_geometric_is_that_of_numpy(start: float, end: float, n: int) -> None:
    ours = trajectory(Geometric(start, end, n), n + 1)
    assert ours == pytest.approx(np.geomspace(start, end, n + 1).tolist(), rel=1e-9)


@given(peak=etas, end=etas, n=st.integers(0, 50), stable=st.integers(0, 50), decay=counts)
@pytest.mark.parametrize(
    ("anneal", "shape"), [("linear", Linear), ("cos", Cosine), ("1-sqrt", OneMinusPower)]
)
def test_the_parts_of_wsd_are_schedules_of_their_own(
    anneal: Any, shape: Any, peak: float, end: float, n: int, stable: int, decay: int
) -> None:
    parts = warmup(n, Constant(peak)).then(shape(peak, end, decay), at=n + stable)
    whole = WSD(peak, n, stable, decay, end=end, anneal=anneal)
    length = n + stable + decay + 2
    assert trajectory(parts, length) == trajectory(whole, length)


def test_a_first_step_need_not_be_wasted_at_0() -> None:
    n, peak = 5, 0.1
    lrs = trajectory(warmup(n - 1, Constant(peak), start=peak / n), 7)
    assert lrs == pytest.approx([peak * min(t + 1, n) / n for t in range(7)], rel=1e-9)


# --- Recorded trajectories of transformers, optax and timm --------------------------------------


def from_transformers(name: str, n: int, total: int, kwargs: dict[str, Any]) -> ScheduleFunction:
    lr, rest = 0.1, total - n
    if name == "cosine_with_restarts":
        cycles = CosineRestarts(lr, 0.0, rest // kwargs["num_cycles"])
        return warmup(n, cycles.then(Constant(0.0), at=rest))
    if name == "warmup_stable_decay":
        decay = kwargs["num_decay_steps"]
        low = lr * kwargs.get("min_lr_ratio", 0.0)
        shape = {"cosine": "cos"}.get(kwargs.get("decay_type", "cosine"), kwargs.get("decay_type"))
        return WSD(lr, n, rest - decay, decay, start=low, end=low, anneal=shape)  # type: ignore[arg-type]
    after: dict[str, Callable[[], ScheduleFunction]] = {
        "constant": lambda: Constant(lr),
        "constant_with_warmup": lambda: Constant(lr),
        "linear": lambda: Linear(lr, 0.0, rest),
        "cosine": lambda: Cosine(lr, 0.0, rest),
        "cosine_with_min_lr": lambda: Cosine(lr, kwargs["min_lr"], rest),
        "polynomial": lambda: Polynomial(lr, kwargs["lr_end"], rest, kwargs["power"]),
        "inverse_sqrt": lambda: InverseSqrt(lr, kwargs.get("timescale", n or 10_000)),
    }
    return warmup(n, after[name]())


def knots(init: float, boundaries: dict[str, float]) -> list[tuple[int, float]]:
    points = [(0, init)]
    for boundary, scale in boundaries.items():
        points.append((int(boundary), points[-1][1] * scale))
    return points


def cosine_knots(points: list[tuple[int, float]]) -> ScheduleFunction:
    schedule: ScheduleFunction = Constant(points[0][1])
    for (a, x), (b, y) in pairwise(points):
        schedule = schedule.then(Cosine(x, y, b - a), at=a)
    return schedule


def from_optax(name: str, a: dict[str, Any]) -> ScheduleFunction:
    if name == "linear_schedule":
        begin = a.get("transition_begin", 0)
        line = Linear(a["init_value"], a["end_value"], a["transition_steps"])
        return Constant(a["init_value"]).then(line, at=begin)
    if name == "polynomial_schedule":
        return Polynomial(a["init_value"], a["end_value"], a["transition_steps"], a["power"])
    if name == "exponential_decay":
        every, rate = a["transition_steps"], a["decay_rate"]
        if a.get("staircase"):
            return Step(a["init_value"], every, rate)
        return Exponential(a["init_value"], rate, every)
    if name == "cosine_decay_schedule":
        return Cosine(a["init_value"], a["init_value"] * a.get("alpha", 0.0), a["decay_steps"])
    if name == "warmup_cosine_decay_schedule":
        n = a["warmup_steps"]
        decay = Cosine(a["peak_value"], a.get("end_value", 0.0), a["decay_steps"] - n)
        return warmup(n, decay, start=a["init_value"])
    if name == "piecewise_interpolate_schedule":
        points = knots(a["init_value"], a["boundaries_and_scales"])
        return Piecewise(points) if a["interpolate_type"] == "linear" else cosine_knots(points)
    if name == "cosine_onecycle_schedule":
        return OneCycle(a["peak_value"], a["transition_steps"])
    if name == "linear_onecycle_schedule":
        assert a["pct_final"] == 2 * 0.3  # ours takes as long down as up
        return OneCycle(a["peak_value"], a["transition_steps"], anneal="linear", three_phase=True)
    assert name == "join_schedules"
    warm = Linear(0.0, 0.1, 10)
    return warm.then(Constant(0.1), at=10).then(Exponential(0.1, 0.9), at=25)


def from_timm(a: dict[str, Any]) -> ScheduleFunction:
    restarts = CosineRestarts(
        0.1,
        a.get("lr_min", 0.0),
        a["t_initial"],
        a.get("cycle_mul", 1),
        cycle_decay=a.get("cycle_decay", 1.0),
        cycle_limit=a.get("cycle_limit", 1),
    )
    return warmup(a.get("warmup_t", 0), restarts, start=a.get("warmup_lr_init", 0.0))


def recorded(case: dict[str, Any]) -> tuple[ScheduleFunction, int]:
    """Return the counterpart and the last epoch at which the two mean the same."""
    arguments = dict(case["arguments"])
    if case["name"] == "CosineLRScheduler":
        return from_timm(arguments), len(case["lrs"]) - 1
    if "num_training_steps" not in arguments:
        return from_optax(case["name"], arguments), len(case["lrs"]) - 1
    n, total = arguments.pop("num_warmup_steps"), arguments.pop("num_training_steps")
    climbs = case["name"] in ("cosine", "cosine_with_min_lr")
    return from_transformers(case["name"], n, total, arguments), total if climbs else 47


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda c: f"{c['name']} {c['arguments']}")
def test_the_counterpart_has_the_recorded_lrs(case: dict[str, Any]) -> None:
    schedule, last = recorded(case)
    ours = [schedule(t) for t in range(last + 1)]
    assert ours == pytest.approx(case["lrs"][: last + 1], rel=1e-9, abs=1e-17)


def test_transformers_cosine_climbs_again_past_the_end_and_ours_holds() -> None:
    case = next(c for c in REFERENCE["cases"] if c["name"] == "cosine")
    assert case["lrs"][47] > case["lrs"][40] == 0
    assert recorded(case)[0](47) == 0


def test_every_name_that_is_promised_is_recorded() -> None:
    names = {case["name"] for case in REFERENCE["cases"]}
    assert names >= {
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant_with_warmup",
        "inverse_sqrt",
        "warmup_stable_decay",
        "linear_schedule",
        "cosine_decay_schedule",
        "warmup_cosine_decay_schedule",
        "piecewise_interpolate_schedule",
        "join_schedules",
        "CosineLRScheduler",
    }
    assert math.isfinite(sum(lr for case in REFERENCE["cases"] for lr in case["lrs"]))
