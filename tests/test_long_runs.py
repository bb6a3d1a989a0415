"""Very many steps and very large epochs: no drift, no growth, no count that is off by one."""

from __future__ import annotations

import gc
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from helpers import POLICIES, MakePolicy, advance, lrs, reciprocal, sgd, tensor, through_disk
from hypothesis import settings
from schedule_helpers import exactly

from benchmarks.load import LOADS, measured
from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch
from thunder_policy.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    Piecewise,
    Polynomial,
    ScheduleFunction,
    Step,
    Triangular,
)

NIGHTLY = settings.get_current_profile_name() == "nightly"
STEPS = 10**7 if NIGHTLY else 10**6
STRETCHES = 10
MILESTONES = 1000


class InverseRoot(Policy):
    """A custom policy whose lrs have a closed form."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [inverse_root(float(lr), self.last_epoch) for lr in self.base_lrs]


def inverse_root(lr: float, epoch: int) -> float:
    return lr / math.sqrt(1 + epoch)


def factor(i: int) -> float:
    """Return factors that go up and down and up again, none of them exact."""
    return (1.1, 0.7, 1.3, 1 / 1.1, 1 / 0.7, 1 / 1.3)[i % 6]


def product(lr: float, count: int) -> float:
    """Multiply by the first factors, one after the other."""
    for i in range(1, count + 1):
        lr *= factor(i)
    return lr


Run: TypeAlias = tuple[Policy, Callable[[int], float]]
# For each policy and a number of steps: the policy, and its lrs by a reckoning of its own.
RUNS: dict[str, Callable[[int], Run]] = {
    "Switch": lambda every: (
        Switch({i * every: 1 / i for i in range(1, MILESTONES)}, lr_init=0.5),
        lambda t: 1 / min(t // every, MILESTONES - 1) if t >= every else 0.5,
    ),
    "Switch, one a group": lambda every: (
        Switch([{i * every: 1 / i for i in range(1, MILESTONES)}], lr_init=[0.5]),
        lambda t: 1 / min(t // every, MILESTONES - 1) if t >= every else 0.5,
    ),
    "Multiply": lambda every: (
        Multiply({i * every: factor(i) for i in range(1, MILESTONES)}, lr_init=0.5),
        lambda t: product(0.5, min(t // every, MILESTONES - 1)),
    ),
    "Schedule": lambda every: (Schedule(reciprocal), reciprocal),
    "Scale": lambda every: (Scale(reciprocal), lambda t: 0.5 * reciprocal(t)),
    "Schedule, Exponential": lambda every: (
        Schedule(Exponential(0.5, gamma=0.1, step_size=every)),
        Exponential(0.5, gamma=0.1, step_size=every),
    ),
    "custom": lambda every: (InverseRoot(), lambda t: inverse_root(0.5, t)),
}


@pytest.fixture(autouse=True)
def _only_what_is_new() -> Iterator[None]:
    """Let the collector look at what is new, and not at all modules each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def resident() -> int:
    """Return how many pages the process has in memory, where the system tells."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) if statm.exists() else 0


def size() -> tuple[int, int]:
    """Return how much memory is in use: blocks of Python's, and pages."""
    gc.collect()
    return sys.getallocatedblocks(), resident()


def check_no_growth(sizes: list[tuple[int, int]]) -> None:
    """Check that what is in use after some time is in use ever after."""
    blocks, pages = zip(*sizes[len(sizes) // 4 :], strict=True)
    assert max(blocks) - min(blocks) < 200
    assert pages[-1] - pages[0] < 256  # one MiB


@pytest.mark.spec("V1", "V2", "V3", "V4", "V6", "V18", "V19")
@pytest.mark.slow
@pytest.mark.parametrize("held", ["a float", "a tensor"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_a_long_run_neither_drifts_nor_grows_nor_miscounts(
    run: Callable[[int], Run], held: str
) -> None:
    # Torch takes up to twenty times as long to write a tensor.
    steps = STEPS if held == "a float" else STEPS // 20
    lr = 0.5 if held == "a float" else tensor(0.5)
    optimizer = sgd(lr)
    policy, closed = run(steps // MILESTONES)
    policy(optimizer)
    optimizer.step()
    sizes = []
    for stretch in range(STRETCHES):
        for _ in range(steps // STRETCHES):
            policy.step()
        end = (stretch + 1) * (steps // STRETCHES)
        counts = policy.last_epoch, policy._step_count
        assert (counts, {*map(type, counts)}) == ((end, end + 1), {int})
        assert lrs(optimizer) == [closed(end)]
        assert [*map(float, policy.get_last_lr())] == [closed(end)]
        if isinstance(policy, MappingPolicy):
            assert policy.lr_at(end) == [closed(end)]
        sizes.append(size())
    check_no_growth(sizes)
    if held == "a tensor":
        assert optimizer.param_groups[0]["lr"] is lr


@pytest.mark.spec("K3", "B9")
@pytest.mark.parametrize("held", ["floats", "tensors"])
@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
def test_saving_loading_and_binding_again_grow_nothing(make: MakePolicy, held: str) -> None:
    optimizer = sgd(0.5, 0.25) if held == "floats" else sgd(tensor(0.5), tensor(0.25))
    policy = make()
    advance(policy(optimizer))  # once: what torch notes of an optimizer's steps grows for long
    sizes = []
    for _ in range(STRETCHES):
        for _ in range(100):
            policy.set_optimizer(optimizer)
            policy.step()
            policy.load_state_dict(policy.state_dict())
            policy.step()
            policy.get_last_lr()
        sizes.append(size())
    check_no_growth(sizes)


PAGE = (Path(__file__).parents[1] / "benchmarks" / "README.md").read_text(encoding="utf-8")


@pytest.mark.spec("V6", "V19", "T10")
@pytest.mark.parametrize("name", LOADS)
def test_a_share_of_each_load_drifts_and_grows_as_little_as_the_page_says(name: str) -> None:
    n, load = LOADS[name]
    _, grown, drift = measured(load, n // 100)
    assert drift == 0
    assert grown < 2**21
    assert re.search(rf"^\| {n:,} {re.escape(name)} \| .* \| none \|$", PAGE, re.MULTILINE)


# Epochs that a C int, a C long or a float cannot count

LARGE = {"2^31": 2**31, "2^53": 2**53, "2^63": 2**63}
every_large = pytest.mark.parametrize("large", LARGE.values(), ids=LARGE.keys())


def at(policy: Policy, epoch: int) -> Policy:
    """Take a bound policy to an epoch, through a state."""
    state = {**policy.state_dict(), "last_epoch": epoch, "_step_count": epoch + 1}
    state.pop("_planned", None)  # of another epoch
    policy.load_state_dict(through_disk(state))
    return policy


@pytest.mark.spec("V1", "V2", "C2")
@every_large
@pytest.mark.parametrize("held", ["a float", "a tensor"])
def test_switch_and_multiply_keep_each_of_such_epochs_apart(large: int, held: str) -> None:
    keys = range(large - 2, large + 3)
    switch = Switch({epoch: 1 / i for i, epoch in enumerate(keys, 2)}, lr_init=1)
    for policy, expected in (
        (switch, [1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        (Multiply(dict.fromkeys(keys, 0.5), lr_init=1), [2.0**-i for i in range(1, 5)]),
    ):
        assert [policy.lr_at(epoch)[0] for epoch in keys][:4] == expected
        at(policy(sgd(1.0 if held == "a float" else tensor(1.0))), large - 3)
        for epoch, lr in zip(keys, expected, strict=False):
            advance(policy)
            assert (policy.last_epoch, lrs(policy.optimizer)) == (epoch, [lr])
        advance(policy, 3)
        assert policy.last_epoch == large + 4


@pytest.mark.spec("T1", "T27")
@every_large
@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
def test_such_counts_are_stepped_saved_and_loaded_exactly(make: MakePolicy, large: int) -> None:
    policy = at(make()(sgd(0.5)), large - 2)
    for epoch in range(large - 2, large + 3):
        state = through_disk(policy.state_dict())
        assert (state["last_epoch"], state["_step_count"]) == (epoch, epoch + 1)
        assert {type(state["last_epoch"]), type(policy.last_epoch)} == {int}
        fresh = make()(sgd(0.5))
        fresh.load_state_dict(state)
        advance(fresh)
        advance(policy)
        assert (fresh.last_epoch, lrs(fresh.optimizer)) == (epoch + 1, lrs(policy.optimizer))
        assert repr(fresh.state_dict()) == repr(policy.state_dict())


@pytest.mark.spec("V3", "V16")
@every_large
def test_a_schedule_is_called_with_each_of_such_epochs_itself(large: int) -> None:
    seen: list[int] = []

    def schedule(epoch: int) -> float:
        seen.append(epoch)
        return 0.5

    policy = at(Schedule(schedule)(sgd(0.5)), large - 2)
    seen.clear()
    advance(policy, 4)
    assert seen == [*range(large - 1, large + 3)]
    assert {*map(type, seen)} == {int}


@pytest.mark.spec("V3", "V18")
@every_large
@pytest.mark.parametrize(
    "make",
    [
        lambda n: Step(1.0, step_size=n + 1, gamma=0.5),
        lambda n: MultiStep(1.0, milestones=[n - 1, n + 1], gamma=0.5),
        lambda n: Piecewise({n - 1: 1.0, n: 0.5, n + 1: 0.25}),
        lambda n: Constant(1.0).then(Linear(1.0, 0.0, epochs=4), at=n - 1),
        lambda n: Triangular(0.0, 1.0, up=n, down=2),
        lambda n: CosineRestarts(1.0, 0.0, T_0=n + 1),
        lambda n: CosineRestarts(1.0, 0.0, T_0=n // 3, T_mult=2),
        lambda n: Cosine(1.0, 0.0, epochs=n + 1),
        lambda n: Linear(0.0, 1.0, epochs=2 * n),
        lambda n: Polynomial(1.0, 0.0, epochs=2 * n, power=2.0),
        lambda n: Exponential(1.0, gamma=0.5, step_size=n),
        lambda n: InverseSqrt(1.0, timescale=n),
    ],
    ids=["Step", "MultiStep", "Piecewise", "Then", "Triangular", "CosineRestarts", "growing ones"]
    + ["Cosine", "Linear", "Polynomial", "Exponential", "InverseSqrt"],
)
def test_the_schedules_are_right_at_such_epochs(
    make: Callable[[int], ScheduleFunction], large: int
) -> None:
    schedule = make(large)
    policy = at(Schedule(schedule)(sgd(0.5)), large - 3)
    for epoch in range(large - 2, large + 3):
        advance(policy)
        assert lrs(policy.optimizer) == [schedule(epoch)] == policy.lr_at(epoch)
        assert schedule(epoch) == pytest.approx(
            float(exactly(schedule, epoch)), rel=1e-9, abs=1e-15
        )
