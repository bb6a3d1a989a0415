"""States that somebody else made: torch, the older packages, another class, and an enemy."""

from __future__ import annotations

import copy
import json
import math
import tracemalloc
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import (
    Halving,
    Value,
    advance,
    lrs,
    reciprocal,
    sgd,
    tensor,
    through_disk,
    unchanged,
)
from hostile import deep, endless, soon
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

from thunder_policy import MappingPolicy, Multiply, Plateau, Policy, Scale, Schedule, Switch
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


# Of another class


@pytest.mark.spec("T25", "T26", "A2", "P7")
def test_a_state_of_another_class_is_refused_by_name() -> None:
    names = [*OWN]
    for theirs, ours in product(names, names):
        state = OWN[theirs]()(sgd(0.5)).state_dict()
        policy = OWN[ours]()(sgd(0.5))
        advance(policy)
        if theirs == ours or "custom" in theirs:  # a custom policy's has no name
            continue
        message = f"^{type(policy).__name__}: the state .*{theirs}"
        with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=message):
            policy.load_state_dict(through_disk(state))


# Of an enemy, in a file that is read with weights_only=True


def shared(kind: Callable[[list[Any]], Any], depth: int = 40) -> Any:
    """Make what stands for 10**40 numbers: lists that share lists."""
    inside = kind([0.5])
    for _ in range(depth):
        inside = kind([inside] * 10)
    return inside


def shared_dicts(kind: type[dict[Any, Any]]) -> Any:
    inside = kind({0: 0.5})
    for _ in range(40):
        inside = kind(dict.fromkeys(range(10), inside))
    return inside


def containing_itself() -> Any:
    inside: list[Any] = [0.5]
    inside.append(inside)
    return inside


ENEMIES: dict[str, Callable[[], Any]] = {
    "10**30": lambda: 10**30,
    "lists that share lists": lambda: shared(list),
    "tuples that share tuples": lambda: shared(tuple),
    "dicts that share dicts": lambda: shared_dicts(dict),
    "ordered dicts that share them": lambda: shared_dicts(OrderedDict),
    "an ordered dict of tuples": lambda: OrderedDict({0: shared(tuple)}),
    "a list in itself": containing_itself,
    "a dict in itself": lambda: endless(dict),
    "a deep list": deep,
    "a long list": lambda: [0.5] * 10**4,
    "a long text": lambda: "x" * 10**6,
    "a long tensor": lambda: torch.zeros(10**5),
}
# Refused by whatever restores; others ignore them, or take what is no container.
REFUSED = ("base_lrs", "_last_lr", "_group_lrs", "_policy", "option")


class Noted(MappingPolicy[Any]):
    """A custom policy with an attribute that a state may have."""

    note: Any = None

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 for _ in self.base_lrs]


OWN: dict[str, Callable[[], Policy]] = {
    "Switch": lambda: Switch({1: 0.01}, lr_init=0.5),
    "Multiply": lambda: Multiply({1: 0.01}, lr_init=0.5),
    "Schedule": lambda: Schedule(reciprocal),
    "Scale": lambda: Scale(reciprocal),
    "Plateau": lambda: Plateau(Schedule(reciprocal)),
    "custom": Halving,
    "custom of a mapping": lambda: Noted({1: 0.5}, lr_init=None),
}
OVERRIDING: dict[str, Callable[[], Policy]] = {
    "overriding": lambda: Switch({1: 0.01}, lr_init=0.5, on_load="override")
}
KEYS = ("last_epoch", *REFUSED, "_step_count", "_planned", "mapping", "lr_init", "cuts", "note")


@pytest.mark.spec("T10", "T27", "T28")
@pytest.mark.parametrize("enemy", ENEMIES.values(), ids=ENEMIES)
def test_what_an_enemy_writes_is_loaded_or_refused_at_once(enemy: Callable[[], Any]) -> None:
    value = enemy()
    for (name, make), key in product((OWN | OVERRIDING).items(), KEYS):
        policy, twin = (make()(sgd(0.5, 0.25)) for _ in range(2))
        state = policy.state_dict() | {key: value}
        held = {one: id(there) for one, there in vars(policy).items()}
        error: Exception | None = None
        with soon(), limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the plan is another
            try:
                policy.load_state_dict(state)
            except (TypeError, ValueError) as refused:
                error = refused
        if error is not None:
            assert len(str(error)) < 1000
            assert {one: id(there) for one, there in vars(policy).items()} == held
            advance(policy)
            advance(twin)
            assert policy.state_dict() == twin.state_dict()
        else:
            assert key != "last_epoch"
            assert key not in REFUSED or name in OVERRIDING
            with soon(), limited(), suppress(TypeError):  # what contains itself cannot be saved
                policy.state_dict()


@pytest.mark.spec("T28")
def test_no_state_can_change_the_code_of_a_custom_policy() -> None:
    policy = Noted({1: 0.5}, lr_init=None)(sgd(0.5))
    held, state = {*vars(policy)}, policy.state_dict()
    classes = [one for one in Noted.__mro__ if one.__module__.startswith("thunder_policy.")]
    code = {name for one in classes for name in vars(one)} - held
    assert {"get_lr", "optimizer", "_policy"} <= code | held
    for key in code | {"on_load"}:
        with suppress(TypeError, ValueError):  # some are ignored: torch had them
            policy.load_state_dict({**state, key: 1})
        assert {*vars(policy)} == held
        assert policy.on_load == "restore"
    assert policy.state_dict() == state


@contextmanager
def limited() -> Iterator[None]:
    """Check that the block has not taken much more memory than there was before."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
