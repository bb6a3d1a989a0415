"""What a mapping policy is worth at an epoch, what it can be made of, and how it compares."""

from __future__ import annotations

import copy
import math
import random
import re
from collections import OrderedDict, UserList, deque
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import advance, lrs, named, parameter, reciprocal, sgd, tensor, unchanged
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch

Class: TypeAlias = type[MappingPolicy[Any]]
BOTH = pytest.mark.parametrize("cls", [Switch, Multiply])
CALLED = pytest.mark.parametrize("cls", [Schedule, Scale])
ALL = pytest.mark.parametrize("cls", [Switch, Multiply, Schedule, Scale])


class Phase(IntEnum):
    """An integral type of the user's own."""

    FINE_TUNING = 10


def a_mapping(cls: type[MappingPolicy[Any]]) -> Any:
    """Return a mapping that the class takes."""
    return reciprocal if cls in (Schedule, Scale) else {1: 0.5}


def a_policy(cls: type[MappingPolicy[Any]]) -> MappingPolicy[Any]:
    """Make a policy of the class that starts from a number."""
    return cls(a_mapping(cls), lr_init=0.5)


def number(value: Any) -> float:
    """Return a value as a float; torch warns where a tensor with a gradient is not detached."""
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


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


NOT_EPOCHS: list[tuple[Any, type[Exception], str]] = [
    (True, TypeError, "True"),
    (np.bool_(True), TypeError, "True"),
    (10.0, TypeError, r"10\.0"),
    (np.float64(10), TypeError, r"10\.0"),
    (Fraction(3), TypeError, "3"),
    ("10", TypeError, "'10'"),
    (None, TypeError, "None"),
    ((1,), TypeError, r"\(1,\)"),
    (-1, ValueError, "-1"),
    (np.int64(-5), ValueError, "-5"),
]


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


# Construction: epoch keys


@pytest.mark.spec("C2")
@pytest.mark.parametrize("key", [10, np.int64(10), np.uint8(10), Phase.FINE_TUNING], ids=repr)
@BOTH
def test_an_epoch_key_is_any_integral_type_and_stored_as_int(cls: Any, key: int) -> None:
    policy = cls({key: 0.5})
    assert policy.mapping == {10: 0.5}
    assert [type(stored) for stored in policy.mapping] == [int]
    assert "{10: 0.5}" in repr(policy)


@pytest.mark.spec("C3")
@pytest.mark.parametrize(("key", "error", "text"), NOT_EPOCHS, ids=named)
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: [{}, m]], ids=["one mapping", "a list"])
@BOTH
def test_another_key_is_an_error_that_names_it(
    cls: Any, key: Any, error: type[Exception], text: str, wrap: Callable[[Any], Any]
) -> None:
    with pytest.raises(error, match=rf"(?s){cls.__name__}.*{text}"):
        cls(wrap({1: 0.5, key: 0.5} if key != 1 else {key: 0.5}))


# Construction: lrs and factors

REAL: list[Any] = [
    2,
    0,
    0.5,
    np.float32(0.5),
    np.float16(0.5),
    np.int8(2),
    Fraction(1, 2),
    Phase.FINE_TUNING,
    torch.tensor(0.5),
    torch.tensor(2),
    torch.tensor(0.5, requires_grad=True),
    np.array(0.5),
    np.array(2),
    5e-324,
]


@pytest.mark.spec("C4")
@pytest.mark.parametrize("value", REAL, ids=named)
@BOTH
def test_a_value_is_any_real_number_and_stored_as_float(cls: Any, value: Any) -> None:
    policy = cls({0: value})
    assert policy.mapping == {0: number(value)}
    assert type(policy.mapping[0]) is float


@pytest.mark.spec("C4")
@pytest.mark.parametrize("value", REAL, ids=named)
@ALL
def test_lr_init_is_any_real_number_and_stored_as_float(cls: Any, value: Any) -> None:
    one, several = cls(a_mapping(cls), lr_init=value), cls(a_mapping(cls), lr_init=(1, value))
    assert one.lr_init == number(value)
    assert list(several.lr_init) == [1.0, number(value)]
    assert {type(lr) for lr in (one.lr_init, *several.lr_init)} == {float}


NOT_LRS: list[tuple[Any, type[Exception], str]] = [
    (True, TypeError, "True"),
    (np.bool_(True), TypeError, "True"),
    ("0.1", TypeError, r"'0\.1'"),
    (1j, TypeError, "1j"),
    (np.complex64(1j), TypeError, "1j"),
    ([0.1], TypeError, r"\[0\.1\]"),
    ({}, TypeError, r"\{\}"),
    (math.cos, TypeError, "cos"),
    (torch.tensor(True), TypeError, "True"),
    (torch.tensor(1j), TypeError, "1"),
    (torch.tensor([0.1]), TypeError, r"0\.1"),
    (torch.tensor([0.1, 0.2]), TypeError, r"0\.2"),
    (np.array(True), TypeError, "True"),
    (np.array("0.1"), TypeError, r"0\.1"),
    (np.array([0.1]), TypeError, r"0\.1"),
    (math.nan, ValueError, "nan"),
    (math.inf, ValueError, "inf"),
    (-math.inf, ValueError, "-inf"),
    (-0.1, ValueError, r"-0\.1"),
    (-3, ValueError, "-3"),
    (Fraction(-1, 2), ValueError, r"-1|-0\.5"),
    (np.float32("nan"), ValueError, "nan"),
    (torch.tensor(math.nan), ValueError, "nan"),
    (torch.tensor(-1.5), ValueError, r"-1\.5"),
    (np.array(math.inf), ValueError, "inf"),
    (10**400, ValueError, ""),
    (-(10**400), ValueError, ""),
    (Fraction(10**400, 3), ValueError, ""),
    (10**5000, ValueError, ""),  # too long for int.__repr__, which raises a ValueError of its own
]


@pytest.mark.spec("C5")
@pytest.mark.parametrize(
    ("value", "error", "text"), [*NOT_LRS, (None, TypeError, "None")], ids=named
)
@BOTH
def test_another_value_is_an_error_that_names_epoch_and_value(
    cls: Any, value: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf"(?s){cls.__name__}.*epoch 7") as caught:
        cls({1: 0.5, 7: value})
    assert caught.match(text)


@pytest.mark.spec("C5")
@pytest.mark.parametrize(("value", "error", "text"), NOT_LRS, ids=named)
@pytest.mark.parametrize(
    "wrap", [lambda lr: lr, lambda lr: [0.5, lr]], ids=["one number", "a list"]
)
@ALL
def test_another_lr_init_is_an_error_that_names_the_value(
    cls: Any, value: Any, error: type[Exception], text: str, wrap: Callable[[Any], Any]
) -> None:
    if isinstance(value, list) and wrap(value) is value:
        value = [value]  # one list is a sequence with one number a group, not a number
    with pytest.raises(error, match=rf"(?s){cls.__name__}.*lr_init") as caught:
        cls(a_mapping(cls), lr_init=wrap(value))
    assert caught.match(text)


# Construction: one for all groups, or a sequence


@pytest.mark.spec("C1", "V8")
@pytest.mark.parametrize(
    "given_mapping",
    [OrderedDict({1: 0.5}), MappingProxyType({1: 0.5})],
    ids=["OrderedDict", "MappingProxyType"],
)
@BOTH
def test_a_mapping_is_any_mapping_and_stored_as_dict(
    cls: Any, given_mapping: Mapping[int, float]
) -> None:
    assert type(cls(given_mapping).mapping) is dict
    assert cls(given_mapping).mapping == {1: 0.5}


class ListConfig(Sequence[Any]):
    """A sequence that is no list, as OmegaConf's."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    def __getitem__(self, i: Any) -> Any:
        return self.entries[i]

    def __len__(self) -> int:
        return len(self.entries)


@pytest.mark.spec("C6", "V8")
@pytest.mark.parametrize("sequence", [list, tuple, deque, UserList, ListConfig])
@ALL
def test_a_sequence_is_any_sequence(cls: Any, sequence: Callable[[Any], Any]) -> None:
    mapping = a_mapping(cls)
    policy = cls(sequence([mapping, mapping]), lr_init=sequence([0.5, 0.25]))
    assert policy.mapping == [mapping, mapping]
    assert policy.lr_init == [0.5, 0.25]
    assert cls(mapping, lr_init=range(1, 3)).lr_init == [1.0, 2.0]
    assert policy.lr_at(2) == policy(sgd(0.5, 0.25)).lr_at(2)


@pytest.mark.spec("C7")
@pytest.mark.parametrize(
    "value",
    [np.array([0.5, 0.25]), np.array([]), np.array([[0.5]]), torch.tensor([0.5, 0.25])],
    ids=named,
)
@ALL
def test_an_array_or_tensor_is_no_sequence_and_the_error_says_tolist(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{cls.__name__}: lr_init .*\.tolist\(\)$"):
        cls(a_mapping(cls), lr_init=value)
    with pytest.raises(TypeError, match=rf"^{cls.__name__}: mapping .*\.tolist\(\)$"):
        cls(value)


NOT_SEQUENCES: list[Any] = [
    "ab",
    "",
    b"ab",
    bytearray(b"ab"),
    {0.5},
    iter([0.5]),
]


@pytest.mark.spec("C6", "V10")
@pytest.mark.parametrize("value", NOT_SEQUENCES, ids=named)
@ALL
def test_nothing_else_is_a_sequence_of_lr_init(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"(?s){cls.__name__}.*lr_init"):
        cls(a_mapping(cls), lr_init=value)


@pytest.mark.spec("V8", "C6")
@pytest.mark.parametrize("value", [*NOT_SEQUENCES, None, 5, 0.5], ids=named)
@ALL
def test_nothing_else_is_a_mapping(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=cls.__name__):
        cls(value)


@pytest.mark.spec("V8")
@pytest.mark.parametrize("entry", ["ab", "", 0.5, 0, [], [{1: 0.5}], {1}], ids=repr)
@ALL
def test_nor_is_it_in_a_list(cls: Any, entry: Any) -> None:
    with pytest.raises(TypeError, match=rf"(?s){cls.__name__}.*mapping\[1\]"):
        cls([a_mapping(cls), entry])


@pytest.mark.spec("C6")
@pytest.mark.parametrize("empty", [[], (), deque()], ids=["list", "tuple", "deque"])
@ALL
def test_a_sequence_is_not_empty(cls: Any, empty: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{cls.__name__}: mapping is an empty"):
        cls(empty)
    with pytest.raises(ValueError, match=rf"^{cls.__name__}: lr_init is an empty"):
        cls(a_mapping(cls), lr_init=empty)


@pytest.mark.spec("C8")
@pytest.mark.parametrize(("mappings", "lr_inits"), [(2, 3), (3, 2), (1, 2), (2, 1)])
@ALL
def test_sequences_of_different_lengths_are_an_error_with_both_counts(
    cls: Any, mappings: int, lr_inits: int
) -> None:
    with pytest.raises(ValueError, match=rf"^Got {mappings} mappings and {lr_inits} lr_init$"):
        cls([a_mapping(cls)] * mappings, lr_init=[0.5] * lr_inits)


@pytest.mark.spec("C9")
@pytest.mark.parametrize(
    "wrap", [lambda m: m, lambda m: [m], lambda m: (m, m)], ids=["one", "list", "tuple"]
)
def test_the_error_names_the_class_to_use_instead(wrap: Callable[[Any], Any]) -> None:
    for called in (Schedule, Scale):
        for mapping in ({1: 0.5}, {}):
            text = rf"^{called.__name__}: mapping.*use Switch or Multiply"
            with pytest.raises(TypeError, match=text):
                called(wrap(mapping))
        with pytest.raises(TypeError, match=rf"^{called.__name__}: mapping.*Switch\("):
            called(wrap(Switch({0: 0.1})))
    for by_epoch in (Switch, Multiply):
        text = rf"^{by_epoch.__name__}: mapping.*use Schedule or Scale"
        with pytest.raises(TypeError, match=text):
            by_epoch(wrap(math.cos))


@pytest.mark.spec("C10")
@pytest.mark.parametrize(
    "construct",
    [
        lambda cls, optimizer: cls(optimizer),
        lambda cls, optimizer: cls(mapping=optimizer),
        lambda cls, optimizer: cls(optimizer, {0: 0.1}),
        lambda cls, optimizer: cls(optimizer=optimizer, mapping={0: 0.1}),
    ],
    ids=["first", "by keyword", "as of torch's", "and a mapping by keyword"],
)
@ALL
def test_an_optimizer_as_the_mapping_is_an_error_that_says_what_to_write(
    cls: Any, construct: Callable[[Any, Any], Any]
) -> None:
    optimizer = sgd(0.1)
    text = rf"{cls.__name__}\({{\.\.\.}}\)\(optimizer\)"
    with unchanged(optimizer), pytest.raises(TypeError, match=text):
        construct(cls, optimizer)


@pytest.mark.spec("C13")
def test_an_error_of_python_s_own_shows_no_private_class() -> None:
    for cls in (Switch, Multiply, Schedule, Scale):
        for arguments in ((), (a_mapping(cls), 1, 2)):
            with pytest.raises(TypeError, match="argument") as caught:
                cls(*arguments)
            assert not re.search(r"\b_[A-Z]", str(caught.value))


# Construction: what a schedule returns


@pytest.mark.spec("C11")
@pytest.mark.parametrize(
    "value",
    [
        *REAL,
        *(-0.5, np.float64(-1), Fraction(-1, 2), torch.tensor(-0.5), np.array(-0.5)),
        torch.tensor([-0.5]),  # of one element, as `torch.where` and friends return it
    ],
    ids=named,
)
def test_a_schedule_returns_any_real_number(value: Any) -> None:
    optimizer = sgd(0.1)
    for policy in (Schedule(lambda epoch: value), Scale(lambda epoch: value, lr_init=1)):
        assert policy.lr_at(3) == [number(value)]
        assert type(policy.lr_at(3)[0]) is float
        policy(optimizer)
        assert optimizer.param_groups[0]["lr"] == number(value)
        assert type(optimizer.param_groups[0]["lr"]) is float


NOT_SCHEDULED: list[tuple[Any, type[Exception]]] = [
    (math.nan, ValueError),
    (math.inf, ValueError),
    (-math.inf, ValueError),
    (np.float32("nan"), ValueError),
    (torch.tensor(math.inf), ValueError),
    (10**400, ValueError),
    (None, TypeError),
    (1j, TypeError),
    ("0.1", TypeError),
    ([0.1], TypeError),
    (torch.tensor(1j), TypeError),
    (torch.tensor([0.1, 0.2]), TypeError),
    (np.array([0.1, 0.2]), TypeError),
]


@pytest.mark.spec("C12")
@pytest.mark.parametrize(("value", "error"), NOT_SCHEDULED, ids=named)
@CALLED
def test_anything_else_is_an_error_that_names_epoch_and_group(
    cls: Any, value: Any, error: type[Exception]
) -> None:
    policy = cls([reciprocal, lambda epoch: 0.1 if epoch < 2 else value], lr_init=1)
    optimizer = sgd(0.1, 0.2)
    text = f"(?s){cls.__name__}.*epoch 2.*group 1"
    assert policy.lr_at(1) == [0.5, 0.1]
    with unchanged(policy), pytest.raises(error, match=text):
        policy.lr_at(2)
    advance(policy(optimizer))
    optimizer.step()
    with (
        unchanged(policy, optimizer),
        pytest.raises(error, match=text),
    ):
        policy.step()


# Construction: validate, copy, never touch an optimizer


@pytest.mark.spec("C1")
@BOTH
def test_changing_the_arguments_afterwards_changes_nothing(cls: Any) -> None:
    lr = torch.tensor(0.5)
    mapping: dict[int, Any] = {1: lr, 2: np.array(0.25)}
    mappings: list[Any] = [mapping, {}]
    lr_inits: list[Any] = [lr, 0.5]
    one, several = cls(mapping, lr_init=lr), cls(mappings, lr_init=lr_inits)
    with unchanged(one, several):
        lr.fill_(9)
        mapping[2][...] = 9
        mapping[7] = 9
        mappings.append({})
        lr_inits[0] = 9
    assert one.lr_at(2) == [0.25 if cls is Switch else 0.0625]


@pytest.mark.spec("C1")
def test_changing_a_list_of_schedules_afterwards_changes_nothing() -> None:
    schedules: list[Callable[[int], float]] = [reciprocal, reciprocal]
    policy = Schedule(schedules)
    schedules[1] = math.cos
    assert policy.lr_at(1) == [0.5, 0.5]


@pytest.mark.spec("C1")
@BOTH
def test_binding_and_stepping_leave_the_arguments_alone(cls: Any) -> None:
    mapping = {2: 0.5, 1: 0.25}
    mappings, lr_inits = [mapping, {}], [0.5, 0.25]
    policy = cls(mappings, lr_init=lr_inits)(sgd(0.1, 0.2))
    advance(policy, 3)
    policy.load_state_dict(policy.state_dict())
    assert mappings == [{2: 0.5, 1: 0.25}, {}]
    assert lr_inits == [0.5, 0.25]


@pytest.mark.spec("S8")
def test_constructing_uses_no_random_numbers() -> None:
    before = random.getstate(), torch.get_rng_state().tolist()
    Switch({0: 0.1}), Multiply({0: 0.1}), Schedule(math.cos)
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


# What a policy looks like


@pytest.mark.spec("K4")
def test_repr_is_the_document_s() -> None:
    assert repr(Switch({0: 0.001})) == "Switch(mapping={0: 0.001}, lr_init=0.001)"
    assert repr(Multiply([{1: 0.1}, {}], 1)) == "Multiply(mapping=[{1: 0.1}, {}], lr_init=1.0)"
    assert repr(Switch({}, lr_init=None)) == "Switch(mapping={}, lr_init=None)"
    assert repr(Schedule(math.cos)) == f"Schedule(mapping={math.cos!r}, lr_init=0.001)"
    assert repr(Scale([abs, None])) == f"Scale(mapping=[{abs!r}, None], lr_init=None)"


@pytest.mark.spec("K4")
def test_repr_has_what_differs_from_a_default() -> None:
    policy = Switch({}, 0.5, option="weight_decay", on_load="override")
    assert set(re.findall(r"(\w+)=", repr(policy))) == {"mapping", "lr_init", "option", "on_load"}
    assert eval(repr(policy)) == policy


@pytest.mark.spec("K4")
def test_repr_has_per_group_lists_once_bound() -> None:
    two = "Switch(mapping=[{0: 0.5}, {0: 0.5}], lr_init=[0.25, 0.25])"
    assert repr(Switch({0: 0.5}, lr_init=0.25)(sgd(0.1, 0.2))) == two
    own = "Switch(mapping=[{}, {}], lr_init=[0.1, 0.2])"
    assert repr(Switch({}, lr_init=None)(sgd(0.1, 0.2))) == own
    called = f"Schedule(mapping=[{math.cos!r}], lr_init=[0.1])"
    assert repr(Schedule(math.cos)(sgd(0.1))) == called


@pytest.mark.spec("K4")
def test_repr_of_a_custom_policy_shows_its_attributes_and_no_address() -> None:
    class Stairs(Falling):
        def __init__(self, height: float) -> None:
            self.height = height
            self.thing = object()

    for policy in (Stairs(0.5), Stairs(0.5)(sgd())):
        assert repr(policy) == "Stairs(height=0.5, thing=<object object>)"


@pytest.mark.spec("K4")
def test_repr_of_a_subclass_has_its_own_name() -> None:
    class Stairs(Switch):
        pass

    assert repr(Stairs({0: 0.5})) == "Stairs(mapping={0: 0.5}, lr_init=0.001)"


maps = st.dictionaries(st.integers(0, 9), st.floats(0, 1e3), max_size=4)


@pytest.mark.spec("K5")
@given(
    cls=st.sampled_from([Switch, Multiply]),
    mapping=maps | st.tuples(maps, maps) | st.lists(maps, min_size=2, max_size=2),
    lr_init=st.floats(0, 1) | st.none() | st.lists(st.floats(0, 1), min_size=2, max_size=2),
    tensors=st.booleans(),
)
def test_eval_of_repr_has_the_same_lr_at_every_epoch(
    cls: Any, mapping: Any, lr_init: Any, tensors: bool
) -> None:
    def values(policy: MappingPolicy[Any]) -> list[Any]:
        if policy.lr_init is None and not hasattr(policy, "optimizer"):
            return [repr(policy)]
        return [policy.lr_at(epoch) for epoch in range(12)]

    policy = cls(mapping, lr_init=lr_init)
    names = {"Switch": Switch, "Multiply": Multiply}
    assert values(eval(repr(policy), names)) == values(policy)
    policy(sgd(*([tensor(0.3), tensor(0.7)] if tensors else [0.3, 0.7])))
    assert values(eval(repr(policy), names)) == values(policy)


class Poly:
    """A callable that compares by value."""

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, epoch: int) -> float:
        return float((1 + epoch) ** -self.power)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and other.power == self.power

    def __hash__(self) -> int:
        return hash(self.power)


class Unsure:
    """A callable that compares as an array does, or raises."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, epoch: int) -> float:
        return 0.5

    def __eq__(self, other: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.spec("K6")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Switch({0: 0.1, 2: 1}), Switch({np.int64(2): 1.0, 0: 0.1})),
        (Switch({1: 0.1}), Switch({1: 0.1}, lr_init=1e-3)),
        (Multiply([{}, {1: 0.5}], [1, 2]), Multiply(({}, {1: 0.5}), (1.0, 2.0))),
        (Schedule(reciprocal), Schedule(reciprocal)),
        (Schedule(Poly(2)), Schedule(Poly(2))),
        (Scale([Poly(2), None]), Scale((Poly(2), None))),
        (Scale(reciprocal), Scale(reciprocal, None)),
        (Switch({}, 1, option="momentum"), Switch({}, 1, option="momentum")),
        (Switch({}, 1, on_load="override"), Switch({}, 1, on_load="override")),
    ],
)
def test_unbound_policies_are_equal_where_what_they_were_given_is(
    first: MappingPolicy[Any], second: MappingPolicy[Any]
) -> None:
    assert first == second
    assert (first != second) is False
    assert hash(first) == hash(second)
    assert copy.copy(first) == first == copy.deepcopy(second)
    assert len({first, second}) == 1


class Stairs(Switch):
    """Another class."""


DIFFERENT: list[Any] = [
    Switch({1: 0.1}),
    Switch({1: 0.2}),
    Switch({2: 0.1}),
    Switch([{1: 0.1}]),
    Switch({1: 0.1}, lr_init=None),
    Switch({1: 0.1}, lr_init=0.5),
    Switch({1: 0.1}, lr_init=[0.5]),
    Switch({1: 0.1}, lr_init=0.5, option="momentum"),
    Switch({1: 0.1}, lr_init=0.5, on_load="override"),
    Stairs({1: 0.1}),
    Multiply({1: 0.1}),
    Schedule(reciprocal),
    Schedule(lambda epoch: 1 / (1 + epoch)),
    Scale(reciprocal),
    Schedule(Poly(2)),
    Schedule(Poly(3)),
    Schedule([Poly(2), None]),
    {1: 0.1},
    None,
]


@pytest.mark.spec("K6")
def test_policies_are_different_where_anything_differs() -> None:
    for i, first in enumerate(DIFFERENT):
        assert [first == second for second in DIFFERENT] == [i == j for j in range(len(DIFFERENT))]


@pytest.mark.spec("K6")
@pytest.mark.parametrize(
    "answer", [np.array([True, True]), OSError("disk"), False, NotImplemented, 0], ids=named
)
def test_a_callable_is_equal_by_identity_or_by_a_true_answer_alone(answer: Any) -> None:
    one, other = Unsure(answer), Unsure(answer)
    assert Schedule(one) == Schedule(one)
    assert Schedule([one]) == Schedule([one])
    assert Schedule(one) != Schedule(other)
    assert Schedule([one]) != Schedule([other])


@pytest.mark.spec("K7")
@ALL
def test_a_bound_policy_equals_itself_alone_and_the_hash_stays(cls: Class) -> None:
    bound, unbound = a_policy(cls)(sgd(0.1)), a_policy(cls)
    assert bound == bound
    assert bound != unbound
    assert unbound != bound
    assert bound != a_policy(cls)(sgd(0.1))
    assert bound != a_policy(cls)(bound.optimizer)
    unbound, bound = (cls([a_mapping(cls)], [0.5]) for _ in range(2))
    assert unbound != bound(sgd(0.1))
    assert hash(bound) == hash(unbound) == hash(cls)


@pytest.mark.spec("K7")
def test_the_hash_never_raises() -> None:
    assert hash(Schedule(Unsure(True))) == hash(Schedule([Unsure(True)])) == hash(Schedule)


@pytest.mark.spec("V8")
@ALL
def test_mapping_is_positional_and_lr_init_may_be(cls: Any) -> None:
    assert repr(cls(a_mapping(cls), 0.5)) == repr(cls(mapping=a_mapping(cls), lr_init=0.5))


@pytest.mark.spec("V8")
def test_a_custom_mapping_policy_takes_mappings_and_callables_checked_alike() -> None:
    class Custom(MappingPolicy[Any]):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return []

    assert Custom([{np.int64(2): 1, 0: 0.5}, abs]).mapping == [{0: 0.5, 2: 1.0}, abs]
