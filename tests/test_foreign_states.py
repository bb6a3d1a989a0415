"""States that somebody else made: torch, the older packages, another class, and an enemy."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Value, advance, lrs, sgd, tensor, through_disk
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    StepLR,
)

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch
from thunder_policy.schedules import Cosine

LENGTH = 12
# Every order that binds before it loads the policy, and the one that never loads the optimizer.
ORDERS = [
    ("bind", "policy"),
    ("bind", "optimizer", "policy"),
    ("bind", "policy", "optimizer"),
    ("optimizer", "bind", "policy"),
]


def resumed(policy: Policy, optimizer: Optimizer, states: dict[str, Any], order: Any) -> None:
    """Bind a policy and load the states, in some order."""
    parts: dict[str, Any] = {"policy": policy, "optimizer": optimizer}
    for what in order:
        if what == "bind":
            policy(optimizer)
        else:
            parts[what].load_state_dict(states[what])


# Of torch

Make = Callable[[Optimizer], LRScheduler]
Pair = tuple[Make, Callable[[Sequence[float]], list[Policy]]]
gammas = st.floats(0.5, 1.25)
milestones = st.sets(st.integers(1, LENGTH), max_size=4)
PAIRS: dict[str, st.SearchStrategy[Pair]] = {
    "StepLR": st.builds(
        lambda size, gamma: (
            lambda optimizer: StepLR(optimizer, size, gamma),
            lambda starts: by_factor(range(size, LENGTH + 1, size), gamma, starts),
        ),
        st.integers(1, LENGTH),
        gammas,
    ),
    "MultiStepLR": st.builds(
        lambda epochs, gamma: (
            lambda optimizer: MultiStepLR(optimizer, [*epochs], gamma),
            lambda starts: by_factor(epochs, gamma, starts),
        ),
        milestones,
        gammas,
    ),
    "ExponentialLR": st.builds(
        lambda gamma: (
            lambda optimizer: ExponentialLR(optimizer, gamma),
            lambda starts: by_factor(range(1, LENGTH + 1), gamma, starts),
        ),
        gammas,
    ),
    "LambdaLR": st.builds(
        lambda gamma: (
            lambda optimizer: LambdaLR(optimizer, lambda epoch: gamma / (1 + epoch)),
            lambda starts: by_callable(lambda start, epoch: start * gamma / (1 + epoch), starts),
        ),
        gammas,
    ),
    "CosineAnnealingLR": st.builds(
        lambda epochs: (
            lambda optimizer: CosineAnnealingLR(optimizer, epochs),
            lambda starts: [
                Scale(Cosine(1.0, 0.0, epochs=epochs)),
                Schedule([Cosine(start, 0.0, epochs=epochs) for start in starts]),
            ],
        ),
        st.integers(LENGTH, 2 * LENGTH),
    ),
}


def by_factor(epochs: Any, factor: float, starts: Sequence[float]) -> list[Policy]:
    mapping = dict.fromkeys(epochs, factor)
    return [Multiply(mapping, lr_init=lr_init) for lr_init in (None, starts)]


def by_callable(value: Callable[[float, int], float], starts: Sequence[float]) -> list[Policy]:
    each = [lambda epoch, start=start: value(start, epoch) for start in starts]
    return [Scale(lambda epoch: value(1.0, epoch)), Schedule(each)]


@pytest.mark.spec("T11", "T13", "T25", "T28")
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@given(data=st.data())
def test_a_run_of_torch_s_scheduler_goes_on_with_a_policy(
    pair: st.SearchStrategy[Pair], data: st.DataObject
) -> None:
    make, policies = data.draw(pair)
    starts = data.draw(st.lists(st.floats(0.1, 1), min_size=1, max_size=3))
    held = [*map(tensor, starts)] if data.draw(st.booleans()) else starts
    theirs = make(sgd(*copy.deepcopy(held)))
    advance(theirs, data.draw(st.integers(0, LENGTH)))
    states = {"policy": theirs.state_dict(), "optimizer": theirs.optimizer.state_dict()}
    states = copy.deepcopy(states)
    order = data.draw(st.sampled_from(ORDERS))
    ours = data.draw(st.sampled_from([0, 1]).map(lambda i: policies(starts)[i]))
    resumed(ours, sgd(*held), states, order)
    while ours.last_epoch < LENGTH:
        assert lrs(ours.optimizer) == pytest.approx(lrs(theirs.optimizer), rel=1e-12, abs=1e-12)
        assert ours.base_lrs == pytest.approx(starts)
        assert ours.last_epoch == theirs.last_epoch
        advance(ours)
        advance(theirs)


# Of the original package, and of 0.1.0

DATA = Path(__file__).parent / "data"
RECORDED = [
    case | {"of": name}
    for name in ("the_original", "0_1_0")
    for case in json.loads((DATA / f"states_of_{name}.json").read_text("utf-8"))["cases"]
]
NAMES = {"Switch": Switch, "Multiply": Multiply, "Schedule": Schedule}
HELD: dict[str, Callable[[], list[Value]]] = {
    "floats": lambda: [0.5, 0.25],
    "a tensor": lambda: [0.5, tensor(0.25)],
    "tensors": lambda: [tensor(0.5), tensor(0.25)],
}


@pytest.mark.spec("T11", "T12", "T29", "T30")
@pytest.mark.parametrize(
    "case", RECORDED, ids=lambda case: f"{case['of']}, {case['policy']}, {case['held']}"
)
def test_a_run_that_an_older_package_saved_goes_on(case: Any) -> None:
    for order, (saved, text) in product(ORDERS, case["states"].items()):
        state = through_disk(eval(text, {"tensor": torch.tensor, "torch": torch}))
        optimizer = sgd(*HELD[case["held"]]())
        older = optimizer.state_dict()
        for group, recorded in zip(older["param_groups"], state["groups"], strict=True):
            group.update(recorded)
        policy = eval(case["policy"], {**NAMES, "cos": math.cos, "exp": math.exp})
        resumed(policy, optimizer, {**state, "optimizer": older}, order)
        for epoch, expected in enumerate(case["lrs"][int(saved) :], int(saved)):
            assert (policy.last_epoch, lrs(optimizer)) == (epoch, expected)
            advance(policy)
