"""DESIGN 2.1 and 2.2: what a mapping policy is worth at an epoch, and what it can be made of."""

from __future__ import annotations

import math
import random
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import advance, lrs, named, reciprocal, sgd, tensor, unchanged
from hypothesis import given
from hypothesis import strategies as st

from thunder_policy import MappingPolicy, Multiply, Schedule, Switch

Make: TypeAlias = Callable[[Any], MappingPolicy[Any]]
BOTH = pytest.mark.parametrize("cls", [Switch, Multiply])
ALL = pytest.mark.parametrize("cls", [Switch, Multiply, Schedule])


class Phase(IntEnum):
    """An integral type of the user's own."""

    FINE_TUNING = 10


def a_mapping(cls: type[MappingPolicy[Any]]) -> Any:
    """Return a mapping that the class takes."""
    return reciprocal if cls is Schedule else {1: 0.5}


def number(value: Any) -> float:
    """Return a value as a float; torch warns where a tensor with a gradient is not detached."""
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


# 2.1 Values


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


@ALL
def test_the_default_lr_init_is_a_thousandth(cls: Make) -> None:
    assert cls(a_mapping(cls)).lr_init == 1e-3  # type: ignore[arg-type]


def test_factors_are_applied_in_the_order_of_their_epochs() -> None:
    factors = {7: 0.7, 2: 0.1, 5: 0.3, 0: 1.1}
    lr = 0.9
    for epoch in (0, 2, 5, 7):
        lr *= factors[epoch]
    assert Multiply(factors, lr_init=0.9).lr_at(7) == [lr]


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


def test_without_lr_init_a_group_starts_from_its_recorded_initial_lr() -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    Switch({}, lr_init=None)(optimizer)
    assert lrs(optimizer) == [0.1, 0.75]


@BOTH
def test_with_an_lr_init_the_start_is_not_what_another_scheduler_left(cls: Any) -> None:
    optimizer = sgd(0.3)
    optimizer.param_groups[0]["initial_lr"] = 0.75
    assert cls({}, lr_init=0.5)(optimizer).get_last_lr() == [0.5]


# lr_at


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({0: 0.5}), [0.5]),
        (Switch([{0: 0.5}, {}], lr_init=0.25), [0.5, 0.25]),
        (Switch({1: 0.5}, lr_init=[0.25, 0.125]), [0.25, 0.125]),
        (Schedule(reciprocal), [1.0]),
        (Schedule(reciprocal, lr_init=[0.5, 0.5]), [1.0, 1.0]),
        (Schedule([reciprocal, np.sin]), [1.0, 0.0]),
    ],
    ids=["one mapping", "mappings", "lr_init", "one callable", "callable and lr_init", "callables"],
)
def test_unbound_it_has_one_value_for_each_group_that_the_arguments_name(
    policy: MappingPolicy[Any], expected: list[float]
) -> None:
    assert policy.lr_at(0) == expected


@ALL
def test_bound_it_has_one_value_for_each_group(cls: Make) -> None:
    policy = cls(a_mapping(cls))  # type: ignore[arg-type]
    assert policy(sgd(0.1, 0.2, 0.3)).lr_at(4) == cls(a_mapping(cls)).lr_at(4) * 3  # type: ignore[arg-type]


@ALL
def test_it_is_pure_and_answers_in_any_order(cls: Make) -> None:
    policy = cls(a_mapping(cls))  # type: ignore[arg-type]
    optimizer = sgd(0.1, 0.2)
    forwards = [policy.lr_at(t) for t in range(5)]
    with unchanged(policy):
        assert [policy.lr_at(t) for t in reversed(range(5))] == forwards[::-1]
    policy(optimizer)
    advance(policy, 3)
    with unchanged(policy, optimizer):
        assert [policy.lr_at(t) for t in (4, 0, 2)] == [forwards[t] * 2 for t in (4, 0, 2)]


@ALL
def test_what_it_returns_is_a_new_list_of_floats(cls: Make) -> None:
    policy = cls(a_mapping(cls))(sgd(0.1, 0.2))  # type: ignore[arg-type]
    first = policy.lr_at(2)
    assert [type(first), *map(type, first)] == [list, float, float]
    expected = list(first)
    first.clear()
    assert policy.lr_at(2) == expected


def test_it_describes_the_policy_without_any_outside_change() -> None:
    optimizer = sgd(0.1)
    policy = Multiply({2: 0.5}, lr_init=0.25)(optimizer)
    optimizer.param_groups[0]["lr"] = 99.0
    advance(policy, 2)
    assert policy.lr_at(2) == [0.125]
    assert lrs(optimizer) == [49.5]


@BOTH
def test_bound_without_lr_init_it_starts_where_the_groups_started(cls: Any) -> None:
    policy = cls({1: 0.5}, lr_init=None)(sgd(0.25, 0.75))
    advance(policy, 2)
    assert policy.lr_at(0) == [0.25, 0.75]


@pytest.mark.parametrize("epoch", [np.int64(3), np.uint8(3), Phase(10) - 7], ids=repr)
@ALL
def test_an_epoch_is_any_integral(cls: Make, epoch: int) -> None:
    policy = cls(a_mapping(cls))  # type: ignore[arg-type]
    assert policy.lr_at(epoch) == policy.lr_at(3)


def test_a_schedule_is_called_with_a_plain_int() -> None:
    seen: list[type] = []
    Schedule(lambda t: seen.append(type(t)) or 0.1).lr_at(np.int64(3))  # type: ignore[func-returns-value]
    assert seen == [int]


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


@pytest.mark.parametrize(("epoch", "error", "text"), NOT_EPOCHS, ids=named)
@ALL
def test_an_epoch_is_checked_like_a_key(
    cls: Make, epoch: Any, error: type[Exception], text: str
) -> None:
    policy = cls(a_mapping(cls))  # type: ignore[arg-type]
    optimizer = sgd(0.1)
    policy(optimizer)
    text = f"^{cls.__name__}: the epoch must be .*, not .*{text}"
    with unchanged(policy, optimizer), pytest.raises(error, match=text):
        policy.lr_at(epoch)


@pytest.mark.parametrize(
    ("policy", "epoch", "group"),
    [
        (Switch({5: 0.5}, lr_init=None), 4, 0),
        (Switch({}, lr_init=None), 0, 0),
        (Switch([{0: 0.5}, {5: 0.5}], lr_init=None), 4, 1),
        (Multiply({0: 0.5}, lr_init=None), 0, 0),
        (Multiply({}, lr_init=None), 7, 0),
    ],
    ids=["before the first key", "no keys", "one group's keys", "Multiply", "empty Multiply"],
)
def test_unbound_without_lr_init_it_is_an_error_where_the_value_needs_one(
    policy: MappingPolicy[Any], epoch: int, group: int
) -> None:
    text = (
        f"{type(policy).__name__} at epoch {epoch}, group {group}: with lr_init=None the lr is the "
        "optimizer's: call policy(optimizer) first, or give an lr_init"
    )
    with unchanged(policy), pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        policy.lr_at(epoch)


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


@pytest.mark.parametrize(
    ("policy", "epoch"),
    [
        (Multiply({3: 1e200}, lr_init=1e200), 3),
        (Multiply({1: 1e200, 3: 1e200}, lr_init=1), 9),
        (Multiply({1: 1e200, 3: 1e200, 5: 0}, lr_init=1), 5),
        (Multiply([{}, {3: 1e300}], lr_init=1e300), 3),
    ],
    ids=["at the factor", "after it", "a later zero does not hide it", "one group"],
)
def test_a_product_that_overflows_is_an_error(policy: MappingPolicy[Any], epoch: int) -> None:
    with unchanged(policy), pytest.raises(ValueError, match=r"(?s)Multiply.*epoch 3"):
        policy.lr_at(epoch)


def test_before_the_overflow_there_is_an_answer() -> None:
    assert Multiply({3: 1e200}, lr_init=1e200).lr_at(2) == [1e200]


@ALL
def test_it_is_the_closed_form_that_torch_asks_for(cls: Any) -> None:
    policy = cls(a_mapping(cls))(sgd(0.1, 0.2))
    advance(policy, 2)
    assert policy._get_closed_form_lr() == policy.lr_at(2)


@given(
    mapping=st.dictionaries(st.integers(0, 8), st.floats(0, 10), max_size=5),
    lr_init=st.none() | st.floats(0, 10) | st.lists(st.floats(0, 10), min_size=2, max_size=2),
    cls=st.sampled_from([Switch, Multiply]),
)
def test_stepping_and_closed_form_agree_to_the_bit(
    mapping: dict[int, float], lr_init: Any, cls: Any
) -> None:
    optimizer = sgd(0.3, 0.7)
    policy = cls(mapping, lr_init=lr_init)(optimizer)
    for epoch in range(10):
        assert lrs(optimizer) == policy.lr_at(epoch)
        advance(policy)


def test_a_shared_callable_is_called_once_and_a_list_once_a_group() -> None:
    calls: list[tuple[str, int]] = []

    def record(name: str) -> Callable[[int], float]:
        return lambda epoch: calls.append((name, epoch)) or 0.1  # type: ignore[func-returns-value]

    policy = Schedule(record("shared"))(sgd(1, 2, 3))
    advance(policy)
    assert calls == [("shared", 0), ("shared", 1)]
    calls.clear()
    policy = Schedule([record("a"), record("b")])(sgd(1, 2))
    advance(policy)
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


# 2.2 Construction: epoch keys


@pytest.mark.parametrize("key", [10, np.int64(10), np.uint8(10), Phase.FINE_TUNING], ids=repr)
@BOTH
def test_an_epoch_key_is_any_integral_type_and_stored_as_int(cls: Any, key: int) -> None:
    policy = cls({key: 0.5})
    assert policy.mapping == {10: 0.5}
    assert [type(stored) for stored in policy.mapping] == [int]
    assert "{10: 0.5}" in repr(policy)


@pytest.mark.parametrize(("key", "error", "text"), NOT_EPOCHS, ids=named)
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: [{}, m]], ids=["one mapping", "a list"])
@BOTH
def test_another_key_is_an_error_that_names_it(
    cls: Any, key: Any, error: type[Exception], text: str, wrap: Callable[[Any], Any]
) -> None:
    with pytest.raises(error, match=rf"(?s){cls.__name__}.*{text}"):
        cls(wrap({1: 0.5, key: 0.5} if key != 1 else {key: 0.5}))


# 2.2 Construction: lrs and factors

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


@pytest.mark.parametrize("value", REAL, ids=named)
@BOTH
def test_a_value_is_any_real_number_and_stored_as_float(cls: Any, value: Any) -> None:
    policy = cls({0: value})
    assert policy.mapping == {0: number(value)}
    assert type(policy.mapping[0]) is float
    assert eval(repr(policy)).mapping == policy.mapping


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


@BOTH
def test_in_a_list_the_error_names_the_group(cls: Any) -> None:
    with pytest.raises(ValueError, match=r"(?s)(?=.*mapping\[1\])(?=.*epoch 7)(?=.*nan)"):
        cls([{}, {7: math.nan}])


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


# 2.2 Construction: one for all groups, or a sequence


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


@pytest.mark.parametrize("sequence", [list, tuple])
@ALL
def test_a_sequence_is_a_list_or_a_tuple(cls: Any, sequence: Callable[[Any], Any]) -> None:
    mapping = a_mapping(cls)
    policy = cls(sequence([mapping, mapping]), lr_init=sequence([0.5, 0.25]))
    assert list(policy.mapping) == [mapping, mapping]
    assert list(policy.lr_init) == [0.5, 0.25]


NOT_SEQUENCES: list[Any] = [
    "ab",
    "",
    b"ab",
    np.array([0.5, 0.25]),
    np.array([]),
    torch.tensor([0.5, 0.25]),
    {0.5},
    deque([0.5]),
    iter([0.5]),
    range(2),
]


@pytest.mark.parametrize("value", NOT_SEQUENCES, ids=named)
@ALL
def test_nothing_else_is_a_sequence_of_lr_init(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"(?s){cls.__name__}.*lr_init"):
        cls(a_mapping(cls), lr_init=value)


@pytest.mark.parametrize("value", [*NOT_SEQUENCES, None, 5, 0.5], ids=named)
@ALL
def test_nothing_else_is_a_mapping(cls: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=cls.__name__):
        cls(value)


@pytest.mark.parametrize("entry", ["ab", 0.5, None, [], [{1: 0.5}], {1}], ids=repr)
@ALL
def test_nor_is_it_in_a_list(cls: Any, entry: Any) -> None:
    with pytest.raises(TypeError, match=rf"(?s){cls.__name__}.*mapping\[1\]"):
        cls([a_mapping(cls), entry])


@pytest.mark.parametrize("empty", [[], ()], ids=["list", "tuple"])
@ALL
def test_a_sequence_is_not_empty(cls: Any, empty: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"(?i)(mapping|callable|schedule).*empty|empty.*(mapping|callable|schedule)",
    ):
        cls(empty)
    with pytest.raises(ValueError, match=r"(?i)lr_init.*empty|empty.*lr_init"):
        cls(a_mapping(cls), lr_init=empty)


@pytest.mark.parametrize(("mappings", "lr_inits"), [(3, 2), (1, 2), (2, 1)])
@ALL
def test_sequences_of_different_lengths_are_an_error_with_both_counts(
    cls: Any, mappings: int, lr_inits: int
) -> None:
    with pytest.raises(ValueError, match=rf"{mappings} mapping.*{lr_inits} lr_init"):
        cls([a_mapping(cls)] * mappings, lr_init=[0.5] * lr_inits)


@pytest.mark.parametrize(
    "wrap", [lambda m: m, lambda m: [m], lambda m: (m, m)], ids=["one", "list", "tuple"]
)
def test_the_error_names_the_class_to_use_instead(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"(?s)Schedule.*(Switch|Multiply)"):
        Schedule(wrap({1: 0.5}))
    with pytest.raises(TypeError, match=r"not the scheduler Switch\(.*: bind that by itself$"):
        Schedule(Switch({0: 0.1}))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"(?s)Switch.*Schedule"):
        Switch(wrap(math.cos))
    with pytest.raises(TypeError, match=r"(?s)Multiply.*Schedule"):
        Multiply(wrap(math.cos))


# 2.2 Construction: what a schedule returns


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
    policy = Schedule(lambda epoch: value)
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
    (torch.tensor([0.1, 0.2]), (TypeError, ValueError)),  # type: ignore[list-item]
    (np.array([0.1, 0.2]), (TypeError, ValueError)),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("value", "error"), NOT_SCHEDULED, ids=named)
def test_anything_else_is_an_error_that_names_epoch_and_group(
    value: Any, error: type[Exception]
) -> None:
    policy = Schedule([reciprocal, lambda epoch: 0.1 if epoch < 2 else value])
    optimizer = sgd(0.1, 0.2)
    assert policy.lr_at(1) == [0.5, 0.1]
    with unchanged(policy), pytest.raises(error, match=r"(?s)Schedule.*epoch 2.*group 1"):
        policy.lr_at(2)
    advance(policy(optimizer))
    optimizer.step()
    with (
        unchanged(policy, optimizer),
        pytest.raises(error, match=r"(?s)Schedule.*epoch 2.*group 1"),
    ):
        policy.step()


# 2.2 Construction: validate, copy, never touch an optimizer


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
    assert one.lr_at(2) != [9]


def test_changing_a_list_of_schedules_afterwards_changes_nothing() -> None:
    schedules: list[Callable[[int], float]] = [reciprocal, reciprocal]
    policy = Schedule(schedules)
    schedules[1] = math.cos
    assert policy.lr_at(1) == [0.5, 0.5]


@BOTH
def test_binding_and_stepping_leave_the_arguments_alone(cls: Any) -> None:
    mapping = {2: 0.5, 1: 0.25}
    mappings, lr_inits = [mapping, {}], [0.5, 0.25]
    policy = cls(mappings, lr_init=lr_inits)(sgd(0.1, 0.2))
    advance(policy, 3)
    policy.load_state_dict(policy.state_dict())
    assert mappings == [{2: 0.5, 1: 0.25}, {}]
    assert lr_inits == [0.5, 0.25]


def test_constructing_uses_no_random_numbers() -> None:
    before = random.getstate(), torch.get_rng_state().tolist()
    Switch({0: 0.1}), Multiply({0: 0.1}), Schedule(math.cos)
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


# 2.3 What a policy looks like


def test_repr_is_the_document_s() -> None:
    assert repr(Switch({0: 0.001})) == "Switch(mapping={0: 0.001}, lr_init=0.001)"
    assert repr(Multiply([{1: 0.1}, {}], 1)) == "Multiply(mapping=[{1: 0.1}, {}], lr_init=1.0)"
    assert repr(Switch({}, lr_init=None)) == "Switch(mapping={}, lr_init=None)"
    assert repr(Schedule(math.cos)) == f"Schedule(mapping={math.cos!r}, lr_init=0.001)"


def test_repr_has_per_group_lists_once_bound() -> None:
    two = sgd(0.1, 0.2)
    assert (
        repr(Switch({0: 0.5})(two))
        == "Switch(mapping=[{0: 0.5}, {0: 0.5}], lr_init=[0.001, 0.001])"
    )
    assert (
        repr(Switch({}, lr_init=None)(sgd(0.1, 0.2)))
        == "Switch(mapping=[{}, {}], lr_init=[0.1, 0.2])"
    )
    assert (
        repr(Schedule(math.cos)(sgd(0.1))) == f"Schedule(mapping=[{math.cos!r}], lr_init=[0.001])"
    )


def test_repr_of_a_subclass_has_its_own_name() -> None:
    class Stairs(Switch):
        pass

    assert repr(Stairs({0: 0.5})) == "Stairs(mapping={0: 0.5}, lr_init=0.001)"


maps = st.dictionaries(st.integers(0, 9), st.floats(0, 1e3), max_size=4)


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
        if lr_init is None and not hasattr(policy, "optimizer") and policy.lr_init is None:
            return [repr(policy)]
        return [policy.lr_at(epoch) for epoch in range(12)]

    policy = cls(mapping, lr_init=lr_init)
    names = {"Switch": Switch, "Multiply": Multiply}
    assert values(eval(repr(policy), names)) == values(policy)
    policy(sgd(*([tensor(0.3), tensor(0.7)] if tensors else [0.3, 0.7])))
    assert [eval(repr(policy), names).lr_at(t) for t in range(12)] == [
        policy.lr_at(t) for t in range(12)
    ]


@ALL
def test_policies_compare_and_hash_by_identity(cls: Make) -> None:
    first, second = cls(a_mapping(cls)), cls(a_mapping(cls))  # type: ignore[arg-type]
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2
    before = hash(first)
    assert hash(first(sgd(0.1))) == before


@ALL
def test_mapping_is_positional_and_lr_init_may_be(cls: Any) -> None:
    assert repr(cls(a_mapping(cls), 0.5)) == repr(cls(mapping=a_mapping(cls), lr_init=0.5))


def test_what_is_neither_mapping_nor_callable_is_named_with_its_place_and_type() -> None:
    class Any_(MappingPolicy[Any]):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return []

    with pytest.raises(
        TypeError,
        match=r"^Any_: mapping\[1\] must be a mapping .*, a callable, .*not 5 \(int\)$",
    ):
        Any_([{}, 5])
    with pytest.raises(ValueError, match=r"^Any_: mapping\[1\]: the value at epoch 3 must be"):
        Any_([{}, {3: -1}])


@pytest.mark.parametrize("cls", [Switch, Multiply])
@pytest.mark.parametrize(
    ("given", "end"),
    [
        (7, "not 7 (int)"),
        ([{}, None], "not None (NoneType)"),
        (math.cos, f"not {math.cos} (builtin_function_or_method): use Schedule for a callable"),
    ],
    ids=["a number", "one of a list", "a callable"],
)
def test_what_is_no_mapping_is_refused_and_told_where_to_go(cls: Any, given: Any, end: str) -> None:
    at = "[1]" if isinstance(given, list) else ""
    text = (
        f"{cls.__name__}: mapping{at} must be a mapping from epoch to number, or a list or tuple "
        f"with one a param group, {end}"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        cls(given)
