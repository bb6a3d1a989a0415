"""The lr of each group at each epoch: what Switch, Multiply, Schedule and Scale say, and lr_at."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from helpers import (
    NOT_EPOCHS,
    Phase,
    a_mapping,
    a_policy,
    advance,
    lrs,
    named,
    parameter,
    reciprocal,
    sgd,
    tensor,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch

Class: TypeAlias = type[MappingPolicy[Any]]
BOTH = pytest.mark.parametrize("cls", [Switch, Multiply])
CALLED = pytest.mark.parametrize("cls", [Schedule, Scale])
ALL = pytest.mark.parametrize("cls", [Switch, Multiply, Schedule, Scale])


# Values


@pytest.mark.spec("V1", "V2", "V3", "V4", "V7")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            Multiply({1: 0.1, 4: 0.3}),
            [1e-3, 1e-4, 1e-4, 1e-4, 3e-5, 3e-5],
            id="document's Multiply",
        ),
        pytest.param(
            Switch({0: 1e-4, 2: 1e-10}), [1e-4, 1e-4, 1e-10, 1e-10], id="document's Switch"
        ),
        pytest.param(Schedule(np.cos), [math.cos(t) for t in range(5)], id="document's Schedule"),
        pytest.param(Scale(reciprocal, lr_init=0.3), [0.3, 0.15, 0.1, 0.075], id="Scale"),
        pytest.param(
            Switch({10: 0.001, 20: 0.001 / 10}),
            [1e-3] * 20 + [1e-4] * 3,
            id="document's first example",
        ),
        pytest.param(Switch({2: 0.5}), [1e-3, 1e-3, 0.5, 0.5], id="Switch without key 0: lr_init"),
        pytest.param(
            Switch({0: 0.25, 1: 0.5}, lr_init=7),
            [0.25, 0.5, 0.5],
            id="Switch with key 0: not lr_init",
        ),
        pytest.param(
            Multiply({0: 0.5, 1: 0.5}, lr_init=1), [0.5, 0.25, 0.25], id="Multiply with key 0"
        ),
        pytest.param(
            Multiply({3: 0.5, 1: 0.25}, lr_init=1), [1, 0.25, 0.25, 0.125], id="keys out of order"
        ),
        pytest.param(Switch({}, lr_init=0.5), [0.5] * 3, id="empty Switch"),
        pytest.param(Multiply({}, lr_init=0.5), [0.5] * 3, id="empty Multiply"),
        pytest.param(Multiply({1: 0, 2: 5}, lr_init=1), [1, 0, 0], id="a factor of zero"),
    ],
)
def test_the_lr_of_an_epoch(policy: MappingPolicy[Any], expected: list[float]) -> None:
    assert [policy.lr_at(t) for t in range(len(expected))] == [
        [pytest.approx(lr)] for lr in expected
    ]


@pytest.mark.spec("V11")
@pytest.mark.parametrize(
    ("cls", "default"), [(Switch, 1e-3), (Multiply, 1e-3), (Schedule, 1e-3), (Scale, None)]
)
def test_the_default_lr_init_is_a_thousandth_but_for_scale(cls: Class, default: Any) -> None:
    assert cls(a_mapping(cls)).lr_init == default


@pytest.mark.spec("V4", "V11")
def test_scale_is_lambda_lr_bound_late_for_late_groups_too() -> None:
    def run(bind: Callable[[SGD], LRScheduler]) -> list[list[float]]:
        optimizer = sgd(0.1, 0.7)
        scheduler = bind(optimizer)
        seen = [lrs(optimizer)]
        for _ in range(5):
            advance(scheduler)
            seen.append(lrs(optimizer))
        return seen

    assert run(Scale(reciprocal)) == run(lambda optimizer: LambdaLR(optimizer, reciprocal))
    optimizer = sgd(0.5)
    policy = Scale(reciprocal)(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.9})
    advance(policy, 2)
    assert lrs(optimizer) == [0.5 / 3, 0.9 * reciprocal(2)]


@pytest.mark.spec("V5")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({3: 0.25}, lr_init=0.5), [0.5, 0.125, 0.125, 0.25]),
        (Multiply({2: 0.5, 3: 0.5}, lr_init=0.5), [0.5, 0.125, 0.0625, 0.03125]),
    ],
    ids=["Switch", "Multiply"],
)
def test_a_change_from_outside_stays_until_the_next_epoch_of_the_mapping(
    policy: MappingPolicy[Any], expected: list[float]
) -> None:
    optimizer = sgd(0.1)
    policy(optimizer)
    seen = lrs(optimizer)
    for epoch in range(1, 4):
        advance(policy)
        if epoch == 1:
            optimizer.param_groups[0]["lr"] = 0.125  # by a warm-up hook
        seen += lrs(optimizer)
    assert seen == expected


@pytest.mark.spec("V6")
def test_factors_are_applied_in_the_order_of_their_epochs() -> None:
    factors = {7: 0.7, 2: 0.1, 5: 0.3, 0: 1.1}
    lr = 0.9
    for epoch in (0, 2, 5, 7):
        lr *= factors[epoch]
    assert Multiply(factors, lr_init=0.9).lr_at(7) == [lr]


@pytest.mark.spec("V10")
@pytest.mark.parametrize(
    ("lr_init", "expected"),
    [(0.5, [0.5, 0.5]), ([0.5, 0.25], [0.5, 0.25]), (None, [0.1, 0.2])],
    ids=["one number", "one a group", "None: the group's own lr"],
)
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_lr_init_is_where_each_group_starts(cls: Any, lr_init: Any, expected: list[float]) -> None:
    optimizer = sgd(0.1, 0.2)
    cls({5: 0.5}, lr_init=lr_init)(optimizer)
    assert lrs(optimizer) == expected


@pytest.mark.spec("V10")
def test_without_lr_init_a_group_starts_from_its_recorded_initial_lr() -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    Switch({}, lr_init=None)(optimizer)
    assert lrs(optimizer) == [0.1, 0.75]


@pytest.mark.spec("V10")
@BOTH
def test_with_an_lr_init_the_start_is_not_what_another_scheduler_left(cls: Any) -> None:
    optimizer = sgd(0.3)
    optimizer.param_groups[0]["initial_lr"] = 0.75
    assert cls({}, lr_init=0.5)(optimizer).get_last_lr() == [0.5]


# lr_at


@pytest.mark.spec("V20")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({0: 0.5}), [0.5]),
        (Switch([{0: 0.5}, {}], lr_init=0.25), [0.5, 0.25]),
        (Switch({1: 0.5}, lr_init=[0.25, 0.125]), [0.25, 0.125]),
        (Schedule(reciprocal), [1.0]),
        (Schedule(reciprocal, lr_init=[0.5, 0.5]), [1.0, 1.0]),
        (Schedule([reciprocal, np.sin]), [1.0, 0.0]),
        (Scale(np.sin, lr_init=[0.5, 0.25]), [0.0, 0.0]),
    ],
    ids=[
        "one mapping",
        "mappings",
        "lr_init",
        "one callable",
        "callable and lr_init",
        "callables",
        "Scale",
    ],
)
def test_unbound_it_has_one_value_for_each_group_that_the_arguments_name(
    policy: MappingPolicy[Any], expected: list[float]
) -> None:
    assert policy.lr_at(0) == expected


@pytest.mark.spec("V18")
@ALL
def test_bound_it_has_one_value_for_each_group(cls: Class) -> None:
    assert a_policy(cls)(sgd(0.1, 0.2, 0.3)).lr_at(4) == a_policy(cls).lr_at(4) * 3


@pytest.mark.spec("V18")
@ALL
def test_it_is_pure_and_answers_in_any_order(cls: Class) -> None:
    policy = a_policy(cls)
    optimizer = sgd(0.1, 0.2)
    forwards = [policy.lr_at(t) for t in range(5)]
    with unchanged(policy):
        assert [policy.lr_at(t) for t in reversed(range(5))] == forwards[::-1]
    policy(optimizer)
    advance(policy, 3)
    with unchanged(policy, optimizer):
        assert [policy.lr_at(t) for t in (4, 0, 2)] == [forwards[t] * 2 for t in (4, 0, 2)]


@pytest.mark.spec("V18")
@ALL
def test_what_it_returns_is_a_new_list_of_floats(cls: Class) -> None:
    policy = a_policy(cls)(sgd(0.1, 0.2))
    first = policy.lr_at(2)
    assert [type(first), *map(type, first)] == [list, float, float]
    expected = list(first)
    first.clear()
    assert policy.lr_at(2) == expected


@pytest.mark.spec("V18", "V5")
def test_it_describes_the_policy_without_any_outside_change() -> None:
    optimizer = sgd(0.1)
    policy = Multiply({2: 0.5}, lr_init=0.25)(optimizer)
    optimizer.param_groups[0]["lr"] = 99.0
    advance(policy, 2)
    assert policy.lr_at(2) == [0.125]
    assert lrs(optimizer) == [49.5]


@pytest.mark.spec("V18")
@BOTH
def test_bound_without_lr_init_it_starts_where_the_groups_started(cls: Any) -> None:
    policy = cls({1: 0.5}, lr_init=None)(sgd(0.25, 0.75))
    advance(policy, 2)
    assert policy.lr_at(0) == [0.25, 0.75]


@pytest.mark.spec("V18")
@pytest.mark.parametrize("epoch", [np.int64(3), np.uint8(3), Phase(10) - 7], ids=repr)
@ALL
def test_an_epoch_is_any_integral(cls: Class, epoch: int) -> None:
    policy = a_policy(cls)
    assert policy.lr_at(epoch) == policy.lr_at(3)


@pytest.mark.spec("V18")
def test_a_callable_is_called_with_a_plain_int() -> None:
    seen: list[type] = []
    Schedule(lambda t: seen.append(type(t)) or 0.1).lr_at(np.int64(3))  # type: ignore[func-returns-value]
    assert seen == [int]


@pytest.mark.spec("V18")
def test_a_far_epoch_costs_no_more_than_a_near_one() -> None:
    assert Multiply({1: 0.5}, lr_init=1).lr_at(10**15) == [0.5]


@pytest.mark.spec("V18", "C3")
@pytest.mark.parametrize(("epoch", "error", "text"), NOT_EPOCHS, ids=named)
@ALL
def test_an_epoch_is_checked_like_a_key(
    cls: Class, epoch: Any, error: type[Exception], text: str
) -> None:
    policy = a_policy(cls)
    optimizer = sgd(0.1)
    policy(optimizer)
    text = f"^{cls.__name__}: the epoch must be .*, not .*{text}"
    with unchanged(policy, optimizer), pytest.raises(error, match=text):
        policy.lr_at(epoch)


@pytest.mark.spec("V20")
@pytest.mark.parametrize(
    ("policy", "epoch", "group"),
    [
        (Switch({5: 0.5}, lr_init=None), 4, 0),
        (Switch({}, lr_init=None), 0, 0),
        (Switch([{0: 0.5}, {5: 0.5}], lr_init=None), 4, 1),
        (Multiply({0: 0.5}, lr_init=None), 0, 0),
        (Multiply({}, lr_init=None), 7, 0),
        (Scale(reciprocal), 0, 0),
        (Scale([None, reciprocal], lr_init=0.5), 3, 0),
        (Schedule([reciprocal, None]), 3, 1),
    ],
    ids=[
        "before the first key",
        "no keys",
        "one group's keys",
        "Multiply",
        "empty Multiply",
        "Scale",
        "a group left alone by Scale",
        "a group left alone by Schedule",
    ],
)
def test_unbound_it_is_an_error_where_the_value_needs_a_start_not_known_yet(
    policy: MappingPolicy[Any], epoch: int, group: int
) -> None:
    text = (
        f"^{type(policy).__name__} at epoch {epoch}, group {group}: .*call policy.optimizer. first"
    )
    with unchanged(policy), pytest.raises(ValueError, match=text):
        policy.lr_at(epoch)


@pytest.mark.spec("V20")
@pytest.mark.parametrize(
    ("policy", "epoch", "expected"),
    [
        (Switch({5: 0.5}, lr_init=None), 5, [0.5]),
        (Switch({5: 0.5}, lr_init=None), 99, [0.5]),
        (Switch([{0: 0.5}, {1: 0.25}], lr_init=None), 1, [0.5, 0.25]),
        (Schedule(reciprocal, lr_init=None), 1, [0.5]),
        (Schedule([reciprocal], lr_init=None), 0, [1.0]),
    ],
    ids=["at the key", "after it", "in every group", "Schedule", "Schedules"],
)
def test_unbound_without_lr_init_it_answers_where_the_value_needs_none(
    policy: MappingPolicy[Any], epoch: int, expected: list[float]
) -> None:
    assert policy.lr_at(epoch) == expected


@pytest.mark.spec("S3")
@pytest.mark.parametrize(
    ("policy", "epoch", "group"),
    [
        (Multiply({3: 1e200}, lr_init=1e200), 3, 0),
        (Multiply({1: 1e200, 3: 1e200}, lr_init=1), 9, 0),
        (Multiply({1: 1e200, 3: 1e200, 5: 0}, lr_init=1), 5, 0),
        (Multiply([{}, {3: 1e300}], lr_init=1e300), 3, 1),
        (Scale([reciprocal, lambda epoch: 10.0**epoch], lr_init=1e300), 30, 1),
    ],
    ids=["at the factor", "after it", "a later zero does not hide it", "one group", "Scale"],
)
def test_a_product_that_overflows_is_an_error(
    policy: MappingPolicy[Any], epoch: int, group: int
) -> None:
    text = f"^{type(policy).__name__} at epoch {epoch}, group {group}: "
    with unchanged(policy), pytest.raises(ValueError, match=text):
        policy.lr_at(epoch)
    assert len(policy.lr_at(2)) == group + 1


@pytest.mark.spec("V22")
@ALL
def test_it_is_the_closed_form_that_torch_asks_for(cls: Any) -> None:
    policy = a_policy(cls)(sgd(0.1, 0.2))
    advance(policy, 2)
    assert policy._get_closed_form_lr() == policy.lr_at(2)


class Told(Multiply):
    """A Multiply with a `get_lr` of its own, and the `lr_at` that goes with it."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return self.lr_at(self.last_epoch)

    def lr_at(self, epoch: Any) -> list[float]:
        return [start / (1 + epoch) for start in self.base_lrs]


@pytest.mark.spec("V22", "S10")
def test_a_subclass_with_a_closed_form_of_its_own_is_asked_for_that() -> None:
    policy = Told({}, lr_init=6.0)(sgd(0.1))
    advance(policy, 2)
    assert policy._get_closed_form_lr() == policy.lr_at(2) == [2.0]


class Falling(Policy):
    """A custom policy whose lrs depend on those before."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [group["lr"] / (1 + self.last_epoch) for group in self.optimizer.param_groups]


class FallingFactor(Multiply):
    """A Multiply with a `get_lr` of its own."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [group["lr"] / (1 + self.last_epoch) for group in self.optimizer.param_groups]


@pytest.mark.spec("V21", "V22")
@pytest.mark.parametrize(
    "make", [Falling, lambda: FallingFactor({}, lr_init=None)], ids=["Policy", "Multiply"]
)
def test_lr_at_of_a_custom_policy_steps_a_copy_once_it_is_bound(
    make: Callable[[], Policy],
) -> None:
    policy, optimizer = make(), sgd(6.0, 12.0)
    with unchanged(policy), pytest.raises(ValueError, match=r"call policy\(optimizer\) first"):
        policy.lr_at(2)
    policy(optimizer)
    advance(policy)
    with unchanged(policy, optimizer):
        assert policy.lr_at(2) == [1.0, 2.0]
        assert policy.lr_at(0) == [6.0, 12.0]
    assert not hasattr(policy, "_get_closed_form_lr")


@pytest.mark.spec("V6", "V19")
@given(
    mapping=st.dictionaries(st.integers(0, 8), st.floats(0, 10), max_size=5),
    lr_init=st.none() | st.floats(0, 10) | st.lists(st.floats(0, 10), min_size=2, max_size=2),
    cls=st.sampled_from([Switch, Multiply, Schedule, Scale]),
)
def test_stepping_and_closed_form_agree_to_the_bit(
    mapping: dict[int, float], lr_init: Any, cls: Any
) -> None:
    optimizer = sgd(0.3, 0.7)
    called = cls in (Schedule, Scale)
    policy = cls((lambda t: mapping.get(t, 0.1 * t)) if called else mapping, lr_init=lr_init)
    policy(optimizer)
    for epoch in range(10):
        assert lrs(optimizer) == policy.lr_at(epoch)
        advance(policy)


@pytest.mark.spec("V16")
@CALLED
def test_a_shared_callable_is_called_once_a_step_and_a_list_once_a_group(cls: Class) -> None:
    calls: list[tuple[str, int]] = []

    def record(name: str) -> Callable[[int], float]:
        return lambda epoch: calls.append((name, epoch)) or 0.1  # type: ignore[func-returns-value]

    advance(cls(record("shared"))(sgd(1, 2, 3)))
    assert calls == [("shared", 0), ("shared", 1)]
    calls.clear()
    advance(cls([record("a"), record("b")])(sgd(1, 2)))
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


@pytest.mark.spec("V9")
@pytest.mark.parametrize("lr", [0.25, tensor(0.25)], ids=["float", "tensor"])
@pytest.mark.parametrize("lr_init", [0.5, [0.5, 0.75], None])
@CALLED
def test_a_group_whose_callable_is_none_is_never_written(cls: Any, lr: Any, lr_init: Any) -> None:
    def make(on_load: str = "restore") -> tuple[SGD, MappingPolicy[Any]]:
        optimizer = sgd(0.5, copy.copy(lr))
        optimizer.param_groups[1]["initial_lr"] = 0.875
        return optimizer, cls([reciprocal, None], lr_init=lr_init, on_load=on_load)(optimizer)

    optimizer, policy = make()
    group = optimizer.param_groups[1]
    assert (group["lr"], group["initial_lr"]) == (0.25, 0.875)
    assert policy.base_lrs[1] == 0.25
    state = policy.state_dict()
    group["lr"] = 0.125  # by hand
    advance(policy, 2)
    assert (group["lr"], policy.lr_at(7)[1]) == (0.125, 0.25)
    policy.load_state_dict(state)
    assert (group["lr"], policy.lr_at(7)[1]) == (0.125, 0.125)
    other, overriding = make("override")
    overriding.load_state_dict(policy.state_dict())
    advance(overriding)
    assert float(other.param_groups[1]["lr"]) == overriding.lr_at(7)[1] == 0.25
