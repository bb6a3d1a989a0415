"""What a policy can be made of, and what is refused when it is written down."""

from __future__ import annotations

import math
import random
import re
from array import array
from collections import OrderedDict, UserList, deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import (
    NOT_EPOCHS,
    Phase,
    a_mapping,
    advance,
    named,
    number,
    reciprocal,
    sgd,
    tensor,
    unchanged,
)

from thunder_policy import MappingPolicy, Multiply, Scale, Schedule, Switch

Class: TypeAlias = type[MappingPolicy[Any]]
BOTH = pytest.mark.parametrize("cls", [Switch, Multiply])
CALLED = pytest.mark.parametrize("cls", [Schedule, Scale])
ALL = pytest.mark.parametrize("cls", [Switch, Multiply, Schedule, Scale])


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


@pytest.mark.spec("C4", "C5")
def test_odd_numbers_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="must fit a float, not Decimal"):
        Switch({0: Decimal("sNaN")})
    with pytest.raises(ValueError, match="<int that cannot be printed> must be finite"):
        Switch({10**5000: np.float32("nan")})


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
    for numbers in (range(1, 3), array("d", [1, 2])):
        assert cls(mapping, lr_init=numbers).lr_init == [1.0, 2.0]
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
def test_what_cannot_be_printed_is_refused_all_the_same() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("there is no text for this")

    with pytest.raises(TypeError, match=r"Switch: mapping must be .* not <Unprintable that cannot"):
        Switch(Unprintable())  # type: ignore[arg-type, unused-ignore]


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


@pytest.mark.spec("V3", "C11")
@pytest.mark.parametrize("form", [float, tensor])
def test_zeros_keep_their_signs(form: Any) -> None:
    optimizer = sgd(form(0.1), form(0.1))
    policy = Schedule([lambda epoch: 0.0, lambda epoch: -0.0])(optimizer)
    advance(policy, 2)
    signs = [math.copysign(1, group["lr"]) for group in optimizer.param_groups]
    assert signs == [1, -1]


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
