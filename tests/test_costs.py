"""What must not grow: a step with the mapping, a state with the groups, a load with the epoch.

Times are compared with each other, measured in turn, and the best of a few tries counts: noise can
spoil a try, but not make a slow thing fast.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch
from helpers import POLICIES, MakePolicy, advance, lrs, sgd, tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.benchmark import Timer

import thunder_policy
from benchmarks.overhead import in_turns
from thunder_policy import Multiply, Policy, Switch, simulate

MILLION = 1_000_000
FAR = 10**9
KINDS = {"float": lambda n: sgd(*[0.1] * n), "tensor": lambda n: sgd(*map(tensor, [0.1] * n))}

kinds = pytest.mark.parametrize("kind", KINDS)
every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)


def best(ratio: Callable[[], float], enough: float, tries: int = 8) -> float:
    """Return the least of some ratios, or the first that is low enough."""
    least = float("inf")
    for _ in range(tries):
        least = min(least, ratio())
        if least <= enough:
            break
    return least


@pytest.fixture(scope="module")
def long_mapping() -> dict[int, float]:
    """Return a mapping of a million epochs, no two values the same object."""
    return {FAR + i: 0.1 + i * 1e-9 for i in range(MILLION)}


# A mapping of 1,000,000 epochs


@pytest.mark.spec("S5")
@kinds
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_a_mapping_of_a_million_epochs_costs_a_step_what_one_of_two_does(
    cls: type[Switch | Multiply], kind: str, long_mapping: dict[int, float]
) -> None:
    mappings = long_mapping, {0: 0.1, FAR: 0.2}
    policies = [cls(mapping, lr_init=0.1)(KINDS[kind](1)) for mapping in mappings]
    for policy in policies:
        advance(policy, 3)
    timers = [Timer("step()", globals={"step": policy.step}) for policy in policies]

    def ratio() -> float:
        long, short = in_turns(timers, seconds=0.1)
        return float(long.median / short.median)

    assert best(ratio, enough=1.2) <= 1.2


@pytest.mark.spec("V8", "C1")
@kinds
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_a_thousand_groups_share_one_copy_of_it(
    cls: type[Switch | Multiply], kind: str, long_mapping: dict[int, float]
) -> None:
    optimizer = KINDS[kind](1000)
    tracemalloc.start()
    try:
        one_copy = {**long_mapping}
        size, _ = tracemalloc.get_traced_memory()
        del one_copy
        policy = cls(long_mapping, lr_init=0.1)
        tracemalloc.reset_peak()
        policy(optimizer)
        advance(policy, 2)
        _, peak = tracemalloc.get_traced_memory()  # with the copy that the policy holds
    finally:
        tracemalloc.stop()
    assert size > 2**25
    assert peak < 1.5 * size


# 1,000 groups


@pytest.mark.spec("T3")
@kinds
@pytest.mark.parametrize("steps", [0, 4])
@every_policy
def test_the_state_at_a_thousand_groups_is_small(make: MakePolicy, steps: int, kind: str) -> None:
    policy = make()(KINDS[kind](1000))
    advance(policy, steps)
    state = policy.state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    assert len(pickle.dumps(state)) < 100 * 1024
    assert len(file.getvalue()) < 100 * 1024


# Epoch 1,000,000,000


def calls(function: Callable[[], object]) -> int:
    """Count the calls, of Python and of C, that a function makes."""
    seen: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        function()
    finally:
        sys.setprofile(before)
    return sum(event in ("call", "c_call") for event in seen)


def loading(make: MakePolicy, kind: str, epoch: int) -> tuple[Policy, Callable[[], None]]:
    """Return a policy with the call that loads a state of some epoch into it."""
    policy = make()(KINDS[kind](10))
    advance(policy, 5)
    state = {**policy.state_dict(), "last_epoch": epoch, "_step_count": epoch + 1}
    state.pop("_planned", None)  # of another epoch
    return policy, lambda: policy.load_state_dict(state)


@pytest.mark.spec("T12", "T16")
@kinds
@every_policy
def test_loading_at_a_billion_makes_as_many_calls_as_at_ten(make: MakePolicy, kind: str) -> None:
    (_, near), (policy, far) = (loading(make, kind, epoch) for epoch in (10, FAR))
    near(), far()  # whatever is done once is done
    assert calls(far) == calls(near) > 10
    assert policy.last_epoch == FAR
    before = lrs(policy.optimizer)
    advance(policy)
    assert policy.last_epoch == FAR + 1
    if isinstance(policy, Switch | Multiply):
        assert lrs(policy.optimizer) == before


@pytest.mark.spec("T12", "T16")
@every_policy
def test_loading_at_a_billion_takes_as_long_as_at_ten(make: MakePolicy) -> None:
    loads = [loading(make, "float", epoch)[1] for epoch in (FAR, 10)]
    timers = [Timer("load()", globals={"load": load}) for load in loads]

    def ratio() -> float:
        far, near = in_turns(timers, seconds=0.1)
        return float(far.median / near.median)

    assert best(ratio, enough=1.5) < 2


# A step at which no epoch comes up


@kinds
@pytest.mark.spec("S5")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_a_step_between_two_epochs_makes_as_many_calls_at_a_thousand_groups(
    cls: type[Switch | Multiply], kind: str
) -> None:
    def calls_of_step(n: int, mapping: Any) -> int:
        policy = cls(mapping, lr_init=0.1)(KINDS[kind](n))
        advance(policy, 2)
        return calls(policy.step)

    few = calls_of_step(1, {9: 0.5})
    assert calls_of_step(1000, {9: 0.5}) == few
    assert calls_of_step(1000, [{9: 0.5}] * 1000) == few


@pytest.mark.spec("S5", "S13")
@pytest.mark.parametrize("name", ["Switch", "Multiply"])
def test_a_group_that_comes_later_does_not_make_such_steps_long(name: str) -> None:
    optimizer = sgd(0.1, 0.1)
    policy = POLICIES[name]()(optimizer)
    advance(policy, 6)
    before = calls(policy.step)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(3))], "lr": 0.5})
    advance(policy, 2)
    assert calls(policy.step) == before


# Simulation


def seconds(function: Callable[[], Any]) -> float:
    """Time one call."""
    start = perf_counter()
    function()
    return perf_counter() - start


@pytest.mark.spec("V18")
def test_simulating_a_million_epochs_beats_stepping_torch_by_far() -> None:
    def stepped(steps: int) -> None:
        optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler = MultiStepLR(optimizer, [1000, 500_000])
        optimizer.step()
        for _ in range(steps):
            scheduler.step()

    policy = Switch({0: 0.1, 1000: 0.01, 500_000: 0.001})

    def ratio() -> float:
        return seconds(lambda: simulate(policy, MILLION)) / (seconds(lambda: stepped(50_000)) * 20)

    assert best(ratio, enough=1 / 20) <= 1 / 20
    assert simulate(policy, MILLION)[[0, 999, 1000, 499_999, 500_000, MILLION - 1], 0].tolist() == [
        0.1, 0.1, 0.01, 0.01, 0.001, 0.001
    ]  # fmt: skip


# Import

IMPORT = """
import sys
from time import process_time  # what other processes take does not count
sys.pycache_prefix, sys.dont_write_bytecode = sys.argv[1], False  # installed packages are compiled
marks = [process_time()]
import torch
marks.append(process_time())
import thunder_policy
marks.append(process_time())
torch, ours = marks[1] - marks[0], marks[2] - marks[1]
print(ours / torch)
"""


def test_the_import_adds_little_to_that_of_torch(tmp_path: Path) -> None:
    def once() -> float:
        command = [sys.executable, "-c", IMPORT, str(tmp_path)]
        root = Path(thunder_policy.__file__).parents[1]
        return float(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)

    once()  # compiles
    # Less than 30 ms where torch takes 1.8 s, as on the machine of the README.
    assert best(once, enough=1 / 60) < 1 / 60
