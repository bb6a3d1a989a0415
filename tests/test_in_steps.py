"""`in_steps`: a policy that is written in epochs and stepped in batches."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from helpers import advance, lrs, reciprocal, sgd
from hypothesis import given
from hypothesis import strategies as st
from schedule_helpers import anything

from thunder_policy import MappingPolicy, Multiply, Scale, Schedule, Switch, simulate
from thunder_policy.schedules import Cosine, ScheduleFunction, warmup

mappings = st.dictionaries(st.integers(0, 40), st.floats(0, 2), max_size=6)
per_group = mappings | st.lists(mappings, min_size=1, max_size=3)
ks = st.integers(1, 20)

pytestmark = pytest.mark.spec("V17")


@given(st.sampled_from([Switch, Multiply]), per_group, ks, st.integers(0, 60))
def test_step_k_t_has_the_lr_of_epoch_t_and_keeps_it_for_the_epoch(
    make: Any, mapping: Any, k: int, epoch: int
) -> None:
    policy = make(mapping, lr_init=0.5)
    in_steps = policy.in_steps(k)
    assert type(in_steps) is make
    for step in (k * epoch, k * epoch + k - 1):
        assert in_steps.lr_at(step) == policy.lr_at(epoch)


@given(per_group, ks)
def test_the_keys_are_multiplied_and_nothing_else_changes(mapping: Any, k: int) -> None:
    def expected(one: dict[int, float]) -> dict[int, float]:
        return {k * epoch: value for epoch, value in sorted(one.items())}

    policy = Multiply(mapping, lr_init=None).in_steps(k)
    several = isinstance(mapping, list)
    assert policy.mapping == ([*map(expected, mapping)] if several else expected(mapping))
    assert policy.lr_init is None


@given(anything, ks)
def test_a_schedule_that_can_be_counted_in_steps_is(schedule: ScheduleFunction, k: int) -> None:
    for cls in (Schedule, Scale):
        assert cls(schedule).in_steps(k).mapping == schedule.in_steps(k)
        several = cls([schedule, None, schedule]).in_steps(k).mapping
        assert several == [schedule.in_steps(k), None, schedule.in_steps(k)]


def test_a_plain_function_is_called_with_the_epoch_of_each_step() -> None:
    seen: list[int] = []

    def by_epoch(epoch: int) -> float:
        seen.append(epoch)
        return [0.3, 0.2, 0.1][epoch]  # a table: it has whole epochs alone

    policy = Schedule(by_epoch).in_steps(2)
    assert simulate(policy, 6)[:, 0].tolist() == [0.3, 0.3, 0.2, 0.2, 0.1, 0.1]
    assert seen == [0, 0, 1, 1, 2, 2]
    assert [*map(type, seen)] == [int] * 6


@given(st.integers(1, 9), ks, st.integers(0, 300))
def test_twice_is_once_by_the_product(j: int, k: int, step: int) -> None:
    policies: list[MappingPolicy[Any]] = [
        Switch({0: 0.3, 4: 0.1}),
        Multiply({4: 0.1}),
        Schedule(reciprocal),
        Scale(reciprocal, lr_init=0.3),
    ]
    for policy in policies:
        twice, once = policy.in_steps(j).in_steps(k), policy.in_steps(j * k)
        assert twice.lr_at(step) == once.lr_at(step)
        assert policy.in_steps(1).lr_at(step) == policy.lr_at(step)


@pytest.mark.parametrize(
    "policy",
    [
        Switch({0: 0.1, 2: 0.01}),
        Multiply({1: 0.5, 3: 0.1}, lr_init=1e-3),
        Schedule(reciprocal),
        Schedule([reciprocal, warmup(2, Cosine(0.1, 0, 3))]),
        Scale([reciprocal, warmup(2, Cosine(0.1, 0, 3))], lr_init=[0.3, 0.7]),
    ],
    ids=["Switch", "Multiply", "Schedule", "Schedules", "Scales"],
)
def test_training_by_batches_has_the_lrs_of_training_by_epochs(policy: MappingPolicy[Any]) -> None:
    steps_per_epoch, epochs = 7, 6
    n = len(policy.lr_at(0))
    by_epoch, by_step = sgd(*[1.0] * n), sgd(*[1.0] * n)
    slow, fast = copy.copy(policy)(by_epoch), policy.in_steps(steps_per_epoch)(by_step)
    for _ in range(epochs):
        assert lrs(by_step) == lrs(by_epoch)
        advance(slow)
        advance(fast, steps_per_epoch)


def test_the_policy_that_is_asked_stays_as_it_is_and_the_answer_is_unbound() -> None:
    optimizer = sgd(0.5)
    policy = Switch({0: 0.1, 2: 0.01})(optimizer)
    advance(policy)
    in_steps = policy.in_steps(10)
    assert in_steps.last_epoch == -1
    assert in_steps.mapping == {0: 0.1, 20: 0.01}
    assert policy.mapping == {0: 0.1, 2: 0.01}
    assert policy.last_epoch == 1
    assert policy.optimizer is optimizer


def test_a_subclass_keeps_its_class_and_its_attributes() -> None:
    class Named(Switch):
        def __init__(self, name: str) -> None:
            super().__init__({0: 0.1, 3: 0.01}, on_load="override")
            self.name = name

    in_steps = Named("warm").in_steps(5)
    assert (type(in_steps), in_steps.name, in_steps.on_load) == (Named, "warm", "override")
    assert in_steps.lr_at(15) == [0.01]


def test_every_mapping_policy_has_it() -> None:
    class Product(MappingPolicy[Any]):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            [group], [mapping] = self.optimizer.param_groups, self.current_mapping or []
            return [group["lr"] * mapping.get(self.last_epoch, 1)]

    by_epoch = Product({1: 0.5, 2: 0.25}, lr_init=1)
    assert simulate(by_epoch, 3)[:, 0].tolist() == [1.0, 0.5, 0.125]
    assert simulate(by_epoch.in_steps(2), 6)[::2, 0].tolist() == [1.0, 0.5, 0.125]


@pytest.mark.spec("V17", "K1")
@pytest.mark.parametrize(
    "policy", [Switch({0: 0.1, 2: 0.01}), Scale(reciprocal, 0.3), Schedule(Cosine(0.1, 0, 9))]
)
def test_it_is_a_value_like_the_others(policy: MappingPolicy[Any]) -> None:
    in_steps = policy.in_steps(3)
    for twin in (copy.deepcopy(in_steps), pickle.loads(pickle.dumps(in_steps))):
        assert simulate(twin, 40).equal(simulate(in_steps, 40))
        assert twin == in_steps


def test_it_resumes() -> None:
    first, second = sgd(0.5), sgd(0.5)
    policy = Schedule(reciprocal).in_steps(4)(first)
    advance(policy, 9)
    resumed = Schedule(reciprocal).in_steps(4)(second)
    resumed.load_state_dict(policy.state_dict())
    assert resumed.get_last_lr() == policy.get_last_lr() == [1 / 3]


@pytest.mark.parametrize("make", [Switch, Multiply])
@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, "at least 1, not 0"),
        (-3, ValueError, "at least 1, not -3"),
        (2.0, TypeError, "an integer, not 2.0"),
        (True, TypeError, "an integer, not True"),
    ],
)
def test_steps_per_epoch_is_a_count(
    make: Any, k: Any, error: type[Exception], message: str
) -> None:
    for policy in (make({0: 0.1}), Scale(reciprocal), Schedule(Cosine(0.1, 0, 9))):
        text = f"^{type(policy).__name__}: steps_per_epoch must be {message}"
        with pytest.raises(error, match=text):
            policy.in_steps(k)


def test_a_count_may_have_any_integral_type() -> None:
    policy = Switch({0: 0.1, 2: 0.01}).in_steps(np.int64(3))
    assert repr(policy) == "Switch(mapping={0: 0.1, 6: 0.01}, lr_init=0.001)"
    assert torch.equal(simulate(policy, 7), simulate(Switch({0: 0.1, 6: 0.01}), 7))
