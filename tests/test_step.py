"""Stepping: it is atomic, writes `group["lr"]` alone, and notices what others do."""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections import UserList
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import (
    POLICIES,
    Halving,
    MakePolicy,
    advance,
    line_of_call,
    lrs,
    named,
    numbers,
    overlap,
    parameter,
    reciprocal,
    sgd,
    tensor,
    tensors_in,
    through_disk,
    unchanged,
)
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer
from versions import NOTES

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch, simulate

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
FORMS: dict[str, Callable[[], Optimizer]] = {
    "floats": lambda: sgd(0.5, 0.25),
    "tensors": lambda: sgd(tensor(0.5), tensor(0.25, torch.float32)),
    "both": lambda: sgd(tensor(0.5), 0.25),
}
EVERY_FORM = pytest.mark.parametrize("optimize", FORMS.values(), ids=FORMS.keys())


class Answers(Policy):
    """A policy that returns at each epoch what a table says, and halves where it says nothing."""

    answers: dict[int, Any]

    def get_lr(self) -> Any:
        answer = self.answers.get(self.last_epoch, [0.5, 0.25])
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


class Asks(Policy):
    """A policy whose lr comes from a function."""

    def __init__(self, function: Callable[[int], float]) -> None:
        self.function = function

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [self.function(self.last_epoch)] * len(self.optimizer.param_groups)


def answering(answer: Any, epoch: int = 2) -> Answers:
    """Make a policy whose `get_lr` returns (or raises, or calls) `answer` at one epoch."""

    # On the class, so that the answer is no part of the policy's own state.
    class Answering(Answers):
        answers: dict[int, Any] = {epoch: answer}  # noqa: RUF012

    return Answering()


# Atomic


def generator() -> Iterator[float]:
    """Yield two lrs."""
    yield from (0.5, 0.25)


BAD_ANSWERS: dict[str, tuple[Any, type[BaseException], str]] = {
    "raises": (OSError("disk"), OSError, "disk"),
    "is interrupted": (KeyboardInterrupt(), KeyboardInterrupt, "^"),
    "stops an iteration": (StopIteration(), StopIteration, "^"),
    "too few": ([0.5], ValueError, r"1 .*2"),
    "too many": ([0.5] * 3, ValueError, r"3 .*2"),
    "none at all": ([], ValueError, r"0 .*2"),
    "nan": ([0.5, math.nan], ValueError, "group 1.*nan"),
    "inf": ([math.inf, 0.5], ValueError, "group 0.*inf"),
    "-inf": ([0.5, -math.inf], ValueError, "group 1.*-inf"),
    "numpy's nan": ([0.5, np.float32("nan")], ValueError, "group 1.*nan"),
    "a tensor nan": ([0.5, tensor(math.nan)], ValueError, "group 1.*nan"),
    "a tensor inf": ([tensor(math.inf), 0.5], ValueError, "group 0.*inf"),
    "too large for a float": ([0.5, 10**400], ValueError, "group 1"),
    "None in it": ([0.5, None], TypeError, "group 1.*None"),
    "a complex number": ([0.5, 1j], TypeError, "group 1.*1j"),
    "a string in it": ([0.5, "0.5"], TypeError, "group 1.*0.5"),
    "a list in it": ([0.5, [0.5]], TypeError, "group 1"),
    "a bool in it": ([1.0, True], TypeError, "group 1.*True"),
    "a complex tensor": ([0.5, torch.tensor(1j)], TypeError, "group 1"),
    "a tensor of two": ([0.5, torch.ones(2)], TypeError, "group 1"),
    "None": (None, TypeError, "None"),
    "one number": (0.5, TypeError, "0.5|float"),
    "a string": ("ab", TypeError, "str|'a'"),
    "a generator": (generator, TypeError, "generator"),
    "a tensor": (torch.tensor([0.5, 0.25]), TypeError, "(?i)tensor"),
    "an array": (np.array([0.5, 0.25]), TypeError, "array"),
    "a set": ({0.5, 0.25}, TypeError, "set"),
    "a dict": ({0: 0.5, 1: 0.25}, TypeError, "dict"),
}


@pytest.mark.spec("S1", "S2", "S3")
@pytest.mark.parametrize(("answer", "error", "text"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
@EVERY_FORM
def test_a_step_that_fails_changes_nothing_and_can_be_called_again(
    answer: Any,
    error: type[BaseException],
    text: str,
    optimize: Callable[[], Optimizer],
) -> None:
    policy, optimizer = answering(answer), optimize()
    advance(policy(optimizer))
    optimizer.step()
    for _ in range(2):
        with unchanged(policy, optimizer), pytest.raises(error, match=f"(?s){text}") as caught:
            policy.step()
        if caught.value is not answer:  # an error of our own
            assert caught.match(r"(?s)Answering.*epoch 2")
    type(policy).answers = {2: [0.125, 0.0625]}
    advance(policy)
    assert policy.last_epoch == 2
    assert lrs(optimizer) == [0.125, 0.0625]


@pytest.mark.spec("S1", "C12")
@pytest.mark.parametrize(
    ("bad", "error"),
    [(math.nan, ValueError), (None, TypeError), (ZeroDivisionError("x"), ZeroDivisionError)],
    ids=["nan", "None", "raises"],
)
@pytest.mark.parametrize("cls", [Schedule, Scale])
@EVERY_FORM
def test_a_schedule_that_fails_once_can_be_stepped_again(
    cls: Any, bad: Any, error: type[Exception], optimize: Callable[[], Optimizer]
) -> None:
    weather: dict[str, Any] = {"value": 0.5}

    def flaky(epoch: int) -> Any:
        if isinstance(weather["value"], BaseException):
            raise weather["value"]
        return weather["value"]

    optimizer = optimize()
    policy = cls([reciprocal, flaky], lr_init=1)(optimizer)
    advance(policy)
    weather["value"] = bad
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(error):
        policy.step()
    weather["value"] = 0.125
    policy.step()
    assert policy.last_epoch == 2
    assert lrs(optimizer) == pytest.approx([1 / 3, 0.125])


@pytest.mark.spec("S1")
def test_an_impure_get_lr_is_not_rolled_back() -> None:
    class Counting(Policy):
        calls: int = 0

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            self.calls += 1
            return [math.nan if self.calls == 2 else 0.5]

    policy = Counting()(sgd())
    policy.optimizer.step()
    with pytest.raises(ValueError, match="nan"):
        policy.step()
    policy.step()
    assert (policy.last_epoch, policy.calls) == (1, 3)


Overflow: TypeAlias = tuple[MakePolicy, torch.dtype | None, str]
OVERFLOWS: dict[str, Overflow] = {
    "Switch in float32": (lambda: Switch([{}, {2: 1e39}], None), torch.float32, r"Switch.*1e\+39"),
    "Switch in float16": (lambda: Switch([{}, {2: 1e5}], None), torch.float16, r"Switch.*100000"),
    "Switch in bfloat16": (lambda: Switch([{}, {2: 1e39}], 1), torch.bfloat16, r"Switch.*1e\+39"),
    "Multiply in float32": (lambda: Multiply([{}, {2: 1e39}], 1), torch.float32, "Multiply.*inf"),
    "Schedule in float32": (
        lambda: Schedule([reciprocal, lambda t: -1e39 if t == 2 else 0.5]),
        torch.float32,
        r"Schedule.*-1e\+39",
    ),
    "custom in float16": (lambda: answering([0.5, 1e5]), torch.float16, "Answering.*100000"),
    "a wider tensor": (lambda: answering([0.5, tensor(1e39)]), torch.float32, r"Answering.*1e\+39"),
    "Multiply on floats": (lambda: Multiply([{}, {2: 1e200}], 1e200), None, "Multiply.*inf"),
    "Scale on floats": (
        lambda: Scale([reciprocal, lambda t: 1e200 if t == 2 else 1], 1e200),
        None,
        "Scale.*inf",
    ),
    "Scale on floats, by one callable": (
        lambda: Scale(lambda t: 1e200 if t == 2 else 1.0, [1, 1e200]),
        None,
        "Scale.*inf",
    ),
}


@pytest.mark.spec("S2", "S3")
@pytest.mark.parametrize(("make", "dtype", "text"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_value_that_is_not_finite_in_the_group_s_dtype_is_an_error_before_any_write(
    make: MakePolicy, dtype: torch.dtype | None, text: str
) -> None:
    optimizer = sgd(0.5, 0.25) if dtype is None else sgd(tensor(0.5, dtype), tensor(0.25, dtype))
    policy = make()(optimizer)
    advance(policy)
    optimizer.step()
    error = pytest.raises(ValueError, match=rf"(?s)(?=.*epoch 2)(?=.*group 1).*{text}")
    with unchanged(policy, optimizer), error:
        policy.step()
    if dtype is None:
        with error:
            policy.lr_at(2)


@pytest.mark.spec("S3")
def test_the_same_value_is_fine_where_the_dtype_holds_it() -> None:
    optimizer = sgd(tensor(0.5), tensor(0.5, torch.float16))
    policy = Switch([{1: 1e39}, {1: 65504}], lr_init=None)(optimizer)
    advance(policy)
    assert lrs(optimizer) == [1e39, 65504]


@pytest.mark.spec("S3", "V5")
def test_an_overflow_that_an_outside_change_causes_is_an_error_too() -> None:
    optimizer = sgd(0.5)
    policy = Multiply({1: 1e10}, lr_init=None)(optimizer)
    optimizer.param_groups[0]["lr"] = 1e300
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=r"(?s)Multiply.*epoch 1"):
        policy.step()


@pytest.mark.spec("S1", "S3")
def test_a_step_that_a_tensor_put_there_cannot_hold_is_taken_again() -> None:
    values = {4: 1e39}
    optimizer = sgd(0.1, 0.1)
    policy = Schedule(lambda epoch: values.get(epoch, 0.5))(optimizer)
    advance(policy, 3)
    optimizer.param_groups[1]["lr"] = torch.tensor(0.25)
    with pytest.raises(ValueError, match=r"Schedule at epoch 4, group 1: .* does not fit"):
        policy.step()
    assert lrs(optimizer) == [0.5, 0.25]
    values.clear()
    advance(policy)
    assert lrs(optimizer) == [0.5, 0.5]


@pytest.mark.spec("B21", "S1", "S10")
@pytest.mark.parametrize("epoch", [None, 7])
def test_a_lr_that_has_come_to_require_grad_is_refused_before_the_step(epoch: int | None) -> None:
    policy = Schedule(lambda epoch: 0.5 / (1 + epoch))(sgd(0.25, tensor(0.5)))
    advance(policy, 2)
    policy.optimizer.param_groups[1]["lr"].requires_grad_()
    policy.optimizer.step()
    text = rf"Schedule at epoch {epoch or 3}, group 1: .* require grad"
    deprecated = pytest.warns(UserWarning, match="epoch parameter") if epoch else nullcontext()
    with unchanged(policy, policy.optimizer), deprecated, pytest.raises(ValueError, match=text):
        policy.step(epoch)


# Somebody else's exception


def failing(failure: BaseException) -> Callable[[int], float]:
    """Make a schedule that raises at epoch 2."""

    def schedule(epoch: int) -> float:
        if epoch == 2:
            raise failure
        return 0.5

    return schedule


Fails: TypeAlias = Callable[[int], float]
FAILING: dict[str, tuple[Callable[[Fails], Policy], str]] = {
    "one for all": (lambda fails: Schedule(fails), "Schedule at epoch 2, all param groups"),
    "the second": (lambda fails: Schedule([reciprocal, fails]), "Schedule at epoch 2, group 1"),
    "the first": (lambda fails: Scale([fails, reciprocal]), "Scale at epoch 2, group 0"),
    "get_lr": (lambda fails: Asks(fails), "Asks at epoch 2"),
}


@pytest.mark.spec("S2")
@pytest.mark.parametrize(("make", "note"), FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("cls", [OSError, ValueError, TypeError, KeyboardInterrupt])
def test_somebody_else_s_exception_is_the_same_object_with_a_note(
    make: Callable[[Fails], Policy], note: str, cls: type[BaseException]
) -> None:
    failure = cls("disk")
    policy = make(failing(failure))(sgd(0.1, 0.2))
    advance(policy)
    policy.optimizer.step()
    with pytest.raises(cls, match=r"^disk") as caught:
        policy.step()
    assert caught.value is failure
    assert failure.args == ("disk",)
    assert failure.__cause__ is None
    assert getattr(failure, "__notes__", []) == [note] * NOTES


@pytest.mark.spec("S2")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_lr_at_notes_where_too(cls: Any) -> None:
    failure = OSError("disk")
    with pytest.raises(OSError, match="disk") as caught:
        cls([reciprocal, failing(failure)], lr_init=1).lr_at(2)
    assert caught.value is failure
    assert getattr(failure, "__notes__", []) == [f"{cls.__name__} at epoch 2, group 1"] * NOTES


@pytest.mark.spec("S2")
def test_the_note_of_a_policy_stands_beside_that_of_the_policy_it_asks() -> None:
    """Though the one at epoch 1 begins as that at epoch 11 does."""

    def fails(epoch: int) -> float:
        if epoch > 10:
            raise OSError("no file")
        return 0.5

    inner = Schedule(fails)
    policy = Schedule(lambda epoch: inner.lr_at(epoch + 10)[0] if epoch else 0.5)(sgd())
    policy.optimizer.step()
    with pytest.raises(OSError, match="no file") as caught:
        policy.step()
    notes = [f"Schedule at epoch {epoch}, all param groups" for epoch in (11, 1)]
    assert getattr(caught.value, "__notes__", []) == notes * NOTES


@pytest.mark.spec("S2")
def test_an_interrupted_callable_is_named() -> None:
    def interrupted(_: int) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        Schedule([lambda _: 0.1, interrupted])(sgd(0.1, 0.1))
    notes = ["Schedule at epoch 0, group 1"] if hasattr(raised.value, "add_note") else []
    assert getattr(raised.value, "__notes__", []) == notes


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("there is no text for this")


class Unnoted(Exception):
    __notes__ = None  # type: ignore[assignment, unused-ignore]

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes here")


class Noted(Exception):
    def __init__(self, notes: object) -> None:
        vars(self)["__notes__"] = notes

    def __str__(self) -> str:
        raise RuntimeError


ODD_ERRORS = [
    ValueError(Unprintable()),
    Unnoted(),
    KeyboardInterrupt(),
    *map(Noted, ([], None, "mine", ("mine",))),
]


@pytest.mark.spec("S1", "S2")
@pytest.mark.parametrize("error", ODD_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("make", [make for make, _ in FAILING.values()], ids=FAILING)
def test_whatever_is_raised_comes_through_and_the_step_can_be_taken_again(
    error: BaseException, make: Callable[[Fails], Policy]
) -> None:
    fails = True

    def lr(epoch: int) -> float:
        if epoch == 3 and fails:
            raise error
        return 0.5 + epoch

    policy = make(lr)(sgd(0.1, 0.1))
    advance(policy, 2)
    policy.optimizer.step()
    for _ in range(2):
        with unchanged(policy, policy.optimizer), pytest.raises(type(error)) as raised:
            policy.step()
        assert raised.value is error
    fails = False
    policy.step()
    assert policy.get_last_lr() == policy.lr_at(3)


@pytest.mark.spec("S1", "S2")
@pytest.mark.parametrize("lr", ["x", None, True, [0.5]])
@EVERY_POLICY
def test_what_somebody_put_there_that_is_no_number_is_an_error_that_says_where(
    make: MakePolicy, lr: Any
) -> None:
    optimizer = sgd()
    policy = make()(optimizer)
    optimizer.step()
    good, optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"], lr
    with unchanged(optimizer), pytest.raises((TypeError, ValueError)) as caught:
        policy.step()
    said = [str(caught.value), *getattr(caught.value, "__notes__", [])]
    where = f"{type(policy).__name__} at epoch 1"
    assert any(text.startswith(where) for text in said) or not NOTES
    assert policy.last_epoch == 0
    optimizer.param_groups[0]["lr"] = good
    policy.step()
    assert policy.last_epoch == 1


@pytest.mark.spec("S1", "S2")
@pytest.mark.parametrize(
    "policy",
    [
        Switch(dict.fromkeys(range(9), 0.5)),
        Multiply(dict.fromkeys(range(9), 0.5), lr_init=0.5),
        Schedule(lambda epoch: 1 / (1 + epoch)),
        Schedule([lambda epoch: 1 / (1 + epoch)] * 2),
        Scale(lambda epoch: 1 / (1 + epoch)),
    ],
    ids=["Switch", "Multiply", "Schedule", "a list", "Scale"],
)
@pytest.mark.parametrize("steps", [0, 3])
def test_a_group_that_has_lost_its_lr_is_an_error_before_any_write(
    policy: Policy, steps: int
) -> None:
    optimizer = sgd(0.1, 0.1)
    advance(policy(optimizer), steps)
    optimizer.step()
    lr = optimizer.param_groups[1].pop("lr")
    text = rf"at epoch {steps + 1}, group 1: the param group has no lr"
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=text) as raised:
        policy.step()
    assert not hasattr(raised.value, "__notes__")  # it says all
    optimizer.param_groups[1]["lr"] = lr
    policy.step()
    assert policy.last_epoch == steps + 1


# What get_lr may return


ANSWERS: dict[str, Any] = {
    "a list": [0.5, 0.25],
    "a tuple": (0.5, 0.25),
    "another sequence": UserList([0.5, 0.25]),
    "ints": [1, 0],
    "fractions": [Fraction(1, 2), Fraction(1, 4)],
    "numpy's numbers": [np.float32(0.5), np.float64(0.25)],
    "0-dim tensors": [torch.tensor(0.5), tensor(0.25)],
    "0-dim arrays": [np.array(0.5), np.array(0.25)],
    "tensors of one element": [torch.tensor([0.5]), torch.tensor([0.25])],
    "arrays of one element": [np.array([0.5]), np.array([[0.25]])],
    "tensors with a gradient": [tensor(0.5).requires_grad_(), 0.25],
    "negative numbers": [-0.5, -0.25],
    "zeros of both signs": [0.0, -0.0],
}


def as_floats(answer: Any) -> list[float]:
    """Return the numbers of an answer."""
    numbers = (lr.detach() if isinstance(lr, torch.Tensor) else np.asarray(lr) for lr in answer)
    return [float(number.item()) for number in numbers]


@pytest.mark.spec("S6", "S7", "B20")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@EVERY_FORM
def test_a_custom_policy_may_return_any_sequence_of_real_numbers(
    answer: Any, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    kinds = [type(group["lr"]) for group in optimizer.param_groups]
    policy = answering(answer)(optimizer)
    advance(policy, 2)
    assert repr(lrs(optimizer)) == repr(as_floats(answer))
    assert [type(group["lr"]) for group in optimizer.param_groups] == kinds
    assert not any(overlap(group["lr"], lr) for group in optimizer.param_groups for lr in answer)


class Swapping(Policy):
    """Returns what the groups hold, live tensors included, the other way round."""

    def __init__(self, form: Callable[[Tensor], Tensor]) -> None:
        self.form = form

    def get_lr(self) -> list[Any]:  # type: ignore[override, unused-ignore]
        held = [group["lr"] for group in self.optimizer.param_groups]
        answer = [self.form(lr) if isinstance(lr, Tensor) else lr for lr in held]
        return answer[::-1] if self.last_epoch else answer


@pytest.mark.spec("S6", "B18")
@pytest.mark.parametrize(
    "form",
    [lambda lr: lr, Tensor.detach, lambda lr: lr.view(1), lambda lr: lr * 1],
    ids=["the lr", "a view", "another shape", "a copy"],
)
@pytest.mark.parametrize(
    "optimize",
    # Nobody reads a parameter, as it may be anywhere.
    [*FORMS.values(), lambda: sgd(*(Parameter(tensor(lr), False) for lr in (0.5, 0.25)))],
    ids=[*FORMS, "parameters"],
)
def test_get_lr_may_return_the_live_lrs_of_other_groups(
    form: Callable[[Tensor], Tensor], optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    live = [group["lr"] for group in optimizer.param_groups]
    policy = Swapping(form)(optimizer)
    for expected in ([0.25, 0.5], [0.5, 0.25]):
        advance(policy)
        assert lrs(optimizer) == expected
    for group, lr in zip(optimizer.param_groups, live, strict=True):
        assert group["lr"] is lr or isinstance(lr, float)


@pytest.mark.spec("S6")
def test_get_lr_is_asked_once_a_step_whatever_it_answers() -> None:
    class Asked(Policy):
        answer: Any = 0.5
        asked = 0

        def get_lr(self) -> list[Any]:
            self.asked += 1
            return [self.answer]

    policy = Asked()(sgd(0.1))
    advance(policy, 2)
    for policy.answer in (0.25, 1, np.float64(2.0), tensor(4.0)):
        before = policy.asked
        assert advance(policy) == [float(policy.answer)]
        assert policy.asked == before + 1


@pytest.mark.spec("S1")
def test_get_lr_sees_the_step_counted_as_in_torch() -> None:
    class Counts(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            counts.append(self._step_count)
            return [0.5]

    counts: list[int] = []
    optimizer = sgd(0.5)
    policy = Counts()(optimizer)
    advance(policy, 2)
    assert counts == [1, 2, 3]


@pytest.mark.spec("S4", "B20")
@pytest.mark.parametrize("form", [float, tensor])
@pytest.mark.parametrize("kind", [float, tensor])
def test_what_get_lr_returned_may_change_afterwards(
    form: Any, kind: Callable[[float], Any]
) -> None:
    answer = [kind(0.25)]
    policy = answering(answer, epoch=1)
    type(policy).answers[0] = [0.5]
    advance(policy(sgd(form(0.5))))
    if isinstance(answer[0], torch.Tensor):
        answer[0].fill_(99)
    answer[0] = 99
    assert lrs(policy.optimizer) == [0.25]
    assert [float(last) for last in policy.get_last_lr()] == [0.25]


# get_lr is pure


@pytest.mark.spec("S6")
@EVERY_POLICY
@EVERY_FORM
def test_get_lr_writes_nothing_and_returns_an_equal_new_list_each_time(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = make()(optimizer)
    for _ in range(5):
        with unchanged(policy, optimizer):
            first, second = policy.get_lr(), policy.get_lr()
            assert type(first) is list
            assert first is not second
            assert numbers(first) == numbers(second)
            for lr in tensors_in(first):
                lr.fill_(99)
            first.clear()
            assert numbers(policy.get_lr()) == numbers(second)
        advance(policy)


@pytest.mark.spec("S6", "V1", "V2", "V3", "V4")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25}, lr_init=1), [0.25]),
        (Multiply({1: 0.25}, lr_init=1), [0.0625]),  # once more: get_last_lr() is for asking
        (Schedule(reciprocal), [0.5]),
        (Scale(reciprocal, lr_init=0.5), [0.25]),
    ],
    ids=named,
)
def test_get_lr_is_the_value_to_be_written(policy: Policy, expected: list[float]) -> None:
    advance(policy(sgd()))
    assert policy.last_epoch == 1
    assert policy.get_lr() == expected


@pytest.mark.spec("S6", "V5")
def test_get_lr_sees_an_outside_change() -> None:
    policy = Multiply({1: 0.5}, lr_init=1)(sgd(0.1))
    advance(policy)
    policy.optimizer.param_groups[0]["lr"] = 8.0
    assert policy.get_lr() == [4.0]


# get_last_lr


@pytest.mark.spec("S4", "B20")
@EVERY_POLICY
@EVERY_FORM
def test_get_last_lr_is_a_copy_of_what_the_groups_hold_when_it_is_asked(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    """pytorch#163103, #163120: it returned the live lr, to be corrupted or to change later."""
    optimizer = optimize()
    policy = make()(optimizer)
    for epoch in range(4):
        for _ in range(2):
            live = [group["lr"] for group in optimizer.param_groups]
            for answer in (policy.get_last_lr(), policy._last_lr):
                assert numbers(answer) == numbers(live)
                assert [*map(type, answer)] == [*map(type, live)]
                assert not any(overlap(lr, other) for lr in live for other in answer)
            # From outside: in place, by another object, and by a late group.
            optimizer.param_groups[0]["lr"] *= 3
            optimizer.param_groups[1]["lr"] = tensor(0.75)
            optimizer.add_param_group({"params": [parameter()], "lr": 0.5 + epoch})
        advance(policy)


@pytest.mark.spec("S4", "B20")
@EVERY_POLICY
@EVERY_FORM
def test_neither_an_assignment_to_last_lr_nor_a_write_into_it_changes_anything(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = make()(optimizer)
    for _ in range(4):
        with unchanged(policy, optimizer):
            policy._last_lr = [99.0, 99.0]
            answer = policy.get_last_lr()
            for lr in tensors_in(answer):
                lr.fill_(99)
            answer.clear()
            policy._last_lr.clear()
        advance(policy)


@pytest.mark.spec("S4", "B7")
@pytest.mark.parametrize("form", [float, tensor])
def test_while_it_is_bound_the_last_lrs_are_those_of_the_groups(form: Any) -> None:
    class Asking(Policy):
        def get_lr(self) -> list[Any]:
            return [lr * 0.5 for lr in self.get_last_lr()]

    optimizer = sgd(form(0.5), form(0.25))
    assert Asking()(optimizer).get_last_lr() == [0.25, 0.125]


# Nothing else is written


@pytest.mark.spec("S8")
@EVERY_POLICY
def test_only_lr_is_written_and_initial_lr_by_a_binding(make: MakePolicy) -> None:
    groups: list[dict[str, Any]] = [
        {"params": [parameter()], "name": "head"},
        {"params": [parameter()], "lr": 0.5},
    ]
    optimizer = Adam(groups, lr=0.1)
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.ones(1)

    def everything_else(*written: str) -> Any:
        kept = [{k: v for k, v in g.items() if k not in written} for g in optimizer.param_groups]
        moments = {id(p): numbers(dict(s)) for p, s in optimizer.state.items()}
        return numbers(kept), moments, optimizer.defaults, [*map(id, optimizer.param_groups)]

    before = everything_else("lr", "initial_lr")
    policy = make()(optimizer)
    assert everything_else("lr", "initial_lr") == before
    optimizer.step()
    before = everything_else("lr")
    for _ in range(4):
        policy.step()
        policy.load_state_dict(policy.state_dict())
    assert everything_else("lr") == before


class Counted(list[Any]):
    """Param groups of which nothing but their number is to be asked."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("the groups are looked at")

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("a group is looked at")


@pytest.mark.spec("S5")
@pytest.mark.parametrize("cls", [Switch, Multiply])
@pytest.mark.parametrize("mapping", [{5: 0.5}, [{5: 0.5}, {}, {6: 0.5}]], ids=["one", "a list"])
def test_where_no_epoch_comes_up_a_step_looks_at_the_number_of_groups_alone(
    cls: Any, mapping: Any
) -> None:
    optimizer = sgd(0.5, tensor(0.25), 0.125)
    policy = cls(mapping, lr_init=None)(optimizer)
    optimizer.step()
    groups = optimizer.param_groups
    optimizer.param_groups = Counted(groups)
    for _ in range(4):
        policy.step()
    with pytest.raises(AssertionError, match="looked at"):
        policy.step()
    optimizer.param_groups = groups
    assert policy.last_epoch == 4
    advance(policy)
    assert lrs(optimizer) == policy.lr_at(5)


@pytest.mark.spec("S5")
@pytest.mark.parametrize("cls", [Switch, Multiply])
@EVERY_FORM
def test_between_two_milestones_nothing_is_written(
    cls: Any, optimize: Callable[[], Optimizer]
) -> None:
    def marks() -> list[Any]:
        held = [group["lr"] for group in optimizer.param_groups]
        return [(id(lr), lr._version if isinstance(lr, torch.Tensor) else None) for lr in held]

    optimizer = optimize()
    policy = cls({3: 0.5}, lr_init=None)(optimizer)
    before = marks()
    advance(policy, 2)
    assert marks() == before
    advance(policy)
    assert marks() != before


@pytest.mark.spec("S8")
@EVERY_POLICY
def test_no_random_numbers_are_used(make: MakePolicy) -> None:
    def states() -> Any:
        state = np.random.get_state(legacy=True)
        return random.getstate(), torch.get_rng_state().tolist(), [str(part) for part in state]

    before = states()
    optimizer = sgd(0.5, tensor(0.5))
    policy = make()(optimizer)
    advance(policy, 4)
    policy.load_state_dict(policy.state_dict())
    assert states() == before


@pytest.mark.spec("V5")
@pytest.mark.parametrize("cls", [Switch, Multiply])
@EVERY_FORM
def test_an_outside_change_is_respected(cls: Any, optimize: Callable[[], Optimizer]) -> None:
    optimizer = optimize()
    policy = cls({3: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(0.75)
        else:
            group["lr"] = 0.75
    advance(policy)
    assert lrs(optimizer) == [0.75, 0.75]
    assert [float(lr) for lr in policy.get_last_lr()] == [0.75, 0.75]
    advance(policy)
    assert lrs(optimizer) == [0.5 if cls is Switch else 0.375] * 2


@pytest.mark.spec("V3", "V4")
@pytest.mark.parametrize("policy", [Schedule(reciprocal), Scale(reciprocal, 1)], ids=named)
def test_schedule_and_scale_overwrite_an_outside_change(policy: Policy) -> None:
    policy(sgd()).optimizer.param_groups[0]["lr"] = 0.75
    advance(policy)
    assert lrs(policy.optimizer) == [0.5]


# Warnings


@pytest.mark.spec("S9")
@EVERY_POLICY
def test_a_correct_loop_warns_of_nothing(make: MakePolicy) -> None:
    """pytorch#44511: the order of calls was right, and the warning came."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy = make()(sgd(0.5, tensor(0.5)))
        advance(policy, 4)
        policy.get_lr()
        policy.get_last_lr()
        policy.load_state_dict(policy.state_dict())
        advance(policy)
    assert caught == []


def steps_before_its_optimizer(policy: Policy) -> None:
    """Step twice before the optimizer does; only the first of them warns."""
    policy.step()
    policy.step()


def steps_with_an_epoch(policy: Policy) -> None:
    """Step to an epoch."""
    policy.optimizer.step()
    policy.step(3)


def steps_with_an_optimizer_that_somebody_patched(policy: Policy) -> None:
    """Step after the optimizer's `step` was replaced."""
    step = policy.optimizer.step
    policy.optimizer.step = lambda: step()  # type: ignore[method-assign, assignment]
    policy.step()


@pytest.mark.spec("S9", "S10")
@EVERY_POLICY
@pytest.mark.parametrize(
    ("use", "text"),
    [
        (steps_before_its_optimizer, r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"),
        (steps_with_an_epoch, "epoch parameter"),
        (steps_with_an_optimizer_that_somebody_patched, "has been overridden"),
    ],
)
def test_torch_s_warnings_are_kept_with_the_caller_s_line(
    make: MakePolicy, use: Callable[[Policy], None], text: str
) -> None:
    policy = make()(sgd())
    with pytest.warns(UserWarning, match=text) as caught:
        use(policy)
    assert [(warning.filename, warning.lineno) for warning in caught] == [
        (__file__, line_of_call(use, "policy.step("))
    ]


@pytest.mark.spec("S9")
def test_a_step_in_the_right_order_leaves_the_warnings_of_others_alone() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("once", stacklevel=1)
            optimizer = sgd(0.1)
            advance(Switch({}, lr_init=None)(optimizer))
    assert len(caught) == 1


@pytest.mark.spec("S10")
def test_the_deprecation_of_an_epoch_is_shown_once_a_place_as_torch_shows_it() -> None:
    policy = Switch({}, lr_init=None)(sgd(0.1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for epoch in (1, 2, 3):
            policy.optimizer.step()
            policy.step(epoch)
    assert [str(warning.message)[:19] for warning in caught] == ["The epoch parameter"]


@pytest.mark.spec("S1", "S9")
@EVERY_POLICY
@pytest.mark.parametrize("epoch", [None, 3], ids=["step()", "step(epoch)"])
def test_a_warning_that_is_an_error_leaves_everything_as_it_was(
    make: MakePolicy, epoch: int | None
) -> None:
    optimizer = sgd()
    policy = make()(optimizer)
    if epoch is not None:
        optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(UserWarning, match="step"):
        policy.step(epoch)
    advance(policy)
    assert policy.last_epoch == 1


# step(epoch)


def step_to(policy: Policy, epoch: Any) -> None:
    """Step to an epoch, past torch's deprecation warning."""
    policy.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        policy.step(epoch)


@pytest.mark.spec("S10")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25, 4: 0.125}, lr_init=1), 0.25),
        (Multiply({1: 0.5, 3: 0.5, 4: 0.5}, lr_init=1), 0.25),
        (Schedule(reciprocal), 0.25),
        (Scale(reciprocal, lr_init=1), 0.25),
    ],
    ids=named,
)
@EVERY_FORM
def test_step_to_an_epoch_takes_the_closed_form_and_overwrites_outside_changes(
    policy: MappingPolicy[Any], expected: float, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy(optimizer)
    for _ in range(2):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * 7
        step_to(policy, 3)
        assert policy.last_epoch == 3
        assert lrs(optimizer) == [expected, expected]
        assert [float(lr) for lr in policy.get_last_lr()] == [expected, expected]
    step_to(policy, 0)
    assert lrs(optimizer) == pytest.approx(policy.lr_at(0))


@pytest.mark.spec("S10", "V22")
def test_step_to_an_epoch_of_a_policy_without_closed_form_asks_get_lr_there() -> None:
    policy = answering([0.125], epoch=3)
    type(policy).answers |= {t: [0.5] for t in (0, 1)}
    policy(sgd())
    step_to(policy, 3)
    assert (policy.last_epoch, lrs(policy.optimizer)) == (3, [0.125])


@pytest.mark.spec("S10")
def test_a_switch_with_a_get_lr_of_its_own_steps_to_an_epoch() -> None:
    class Own(Switch):
        def get_lr(self) -> list[Any]:
            return [1.0 + self.last_epoch]

    policy = Own({3: 0.5}, lr_init=None)(sgd(0.1))
    policy.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        policy.step(7)
    assert policy.last_epoch == 7
    assert policy.get_last_lr() == [8.0]


@pytest.mark.spec("S10", "T1")
@EVERY_POLICY
def test_the_epoch_it_stepped_to_is_a_plain_int_and_one_step_is_counted(make: MakePolicy) -> None:
    policy = make()(sgd())
    step_to(policy, np.int64(3))
    state = through_disk(policy.state_dict())
    assert (state["last_epoch"], state["_step_count"]) == (3, 2)
    advance(policy)
    assert policy.last_epoch == 4


@pytest.mark.spec("S1", "S10")
@pytest.mark.parametrize(
    ("epoch", "error"),
    [(-1, ValueError), (2.5, TypeError), ("3", TypeError), (True, TypeError)],
    ids=repr,
)
@EVERY_POLICY
def test_an_epoch_that_is_none_changes_nothing(
    make: MakePolicy, epoch: Any, error: type[Exception]
) -> None:
    optimizer = sgd()
    policy = make()(optimizer)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with unchanged(policy, optimizer), pytest.raises(error, match="epoch"):
            policy.step(epoch)


# The optimizer changes


@pytest.mark.spec("S11")
@EVERY_POLICY
@EVERY_FORM
def test_the_groups_that_load_state_dict_brings_are_the_ones_that_are_written(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer, twin = optimize(), optimize()
    policy, expected = make()(optimizer), make()(twin)
    for _ in range(5):
        old = [group["lr"] for group in optimizer.param_groups]
        before = numbers(old)
        optimizer.load_state_dict(optimizer.state_dict())
        advance(policy)
        advance(expected)
        assert lrs(optimizer) == lrs(twin)
        assert numbers(old) == before


ASKING: dict[str, Callable[[Callable[[int], float], int], Policy]] = {
    "one callable": lambda f, n: Schedule(f),
    "a list": lambda f, n: Scale([f] * n, lr_init=1),
    "a get_lr": lambda f, n: Asks(f),
}


@pytest.mark.spec("S7", "S11")
@EVERY_FORM
@pytest.mark.parametrize("by_epoch", [False, True], ids=["step()", "step(epoch)"])
@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("make", ASKING.values(), ids=ASKING)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_who_is_asked_for_a_lr_may_take_the_optimizer_back(
    make: Callable[[Any, int], Policy], at: int, by_epoch: bool, optimize: Callable[[], Optimizer]
) -> None:
    """The groups that load_state_dict brings meanwhile are those that are written."""
    optimizer = optimize()
    kept = copy.deepcopy(optimizer.state_dict())

    def taking_back(epoch: int) -> float:
        if epoch == at:
            optimizer.load_state_dict(kept)
        return 1 / (1 + epoch)

    n = len(optimizer.param_groups)
    policy = make(taking_back, n)(optimizer)
    for epoch in range(6):
        if epoch:
            optimizer.step()
            policy.step(*[epoch] * by_epoch)
        expected = pytest.approx([1 / (1 + epoch)] * n, rel=1e-6)
        assert lrs(optimizer) == expected
        assert [float(lr) for lr in policy.get_last_lr()] == expected
        assert policy.last_epoch == epoch


@pytest.mark.spec("S11", "B17")
@pytest.mark.parametrize("make", ASKING.values(), ids=ASKING)
def test_a_wrapper_may_list_the_same_groups_anew_each_time(
    make: Callable[[Any, int], Policy],
) -> None:
    class Listing:
        def __init__(self, optimizer: Optimizer) -> None:
            self.optimizer = optimizer

        @property
        def param_groups(self) -> list[dict[str, Any]]:
            return [*self.optimizer.param_groups]

    optimizer = sgd(0.1, tensor(0.1))
    policy = make(lambda epoch: 1 / (1 + epoch), 2)(optimizer)
    advance(policy)
    policy.optimizer = Listing(optimizer)  # type: ignore[assignment]
    for epoch in range(2, 5):
        optimizer.step()
        policy.step()
        assert lrs(optimizer) == [1 / (1 + epoch)] * 2


@pytest.mark.spec("S11")
@pytest.mark.parametrize("option", [np.arange(3), torch.arange(3)], ids=["array", "tensor"])
def test_a_dict_may_take_the_place_of_another_whatever_it_holds(option: Any) -> None:
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["option"] = option
    policy = Switch({0: 0.1, 3: 0.2})(optimizer)
    advance(policy)
    replaced = {**optimizer.param_groups[0], "option": copy.copy(option)}
    optimizer.param_groups[0] = replaced
    assert advance(policy, 2) == [0.1, 0.2]
    assert optimizer.param_groups[0] is replaced


@pytest.mark.spec("S1", "S3", "S11")
@pytest.mark.parametrize("make", ASKING.values(), ids=ASKING)
def test_so_it_is_where_what_it_brought_cannot_be_written(
    make: Callable[[Any, int], Policy],
) -> None:
    optimizer = sgd(tensor(0.1))
    kept = copy.deepcopy(optimizer.state_dict())
    kept["param_groups"][0]["lr"] = tensor(0.1, torch.float16)
    taken_back = False

    def taking_back(epoch: int) -> float:
        if taken_back:
            optimizer.load_state_dict(kept)
            return 1e6
        return 0.5

    policy = make(taking_back, 1)(optimizer)
    advance(policy, 2)
    optimizer.step()
    taken_back = True
    with pytest.raises(ValueError, match=r"at epoch 3, group 0: the lr 1000000\.0 does not fit"):
        policy.step()
    assert policy.last_epoch == 2
    taken_back = False
    policy.step()
    assert lrs(optimizer) == [0.5]
    assert policy.last_epoch == 3


@pytest.mark.spec("S11", "V5")
def test_what_load_state_dict_brings_is_multiplied() -> None:
    optimizer = sgd(tensor(0.5))
    policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    optimizer.load_state_dict(sgd(tensor(0.75)).state_dict())
    advance(policy)
    assert lrs(optimizer) == [0.375]


@pytest.mark.spec("V10", "V19", "X1")
def test_an_initial_lr_of_another_kind_gives_what_the_binding_wrote() -> None:
    """In float32 a third of it would be another number."""
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["initial_lr"] = tensor(0.1, torch.float32)
    policy = Multiply({0: 0.3}, lr_init=None)(optimizer)
    bound = lrs(optimizer)
    assert policy.get_lr() == policy.lr_at(0) == bound == [0.3 * float(np.float32(0.1))]
    policy._update_lr(0)  # as a SequentialLR begins again
    assert lrs(optimizer) == bound


# Groups come and go


Added: TypeAlias = tuple[Callable[[], MappingPolicy[Any]], list[list[float]]]
ADDED: dict[str, Added] = {
    "Switch": (
        lambda: Switch({3: 0.25}, lr_init=1),
        [[1, 0.7], [1, 0.7], [0.25, 0.25], [0.25, 0.25]],
    ),
    "Multiply": (
        lambda: Multiply({3: 0.5, 4: 0.5}, lr_init=1),
        [[1, 0.7], [1, 0.7], [0.5, 0.35], [0.25, 0.175]],
    ),
    "Schedule": (
        lambda: Schedule(reciprocal),
        [[0.5, 0.7], [1 / 3, 1 / 3], [0.25, 0.25], [0.2, 0.2]],
    ),
    "Scale": (
        lambda: Scale(reciprocal, lr_init=1),
        [[0.5, 0.7], [1 / 3, 0.7 * (1 / 3)], [0.25, 0.175], [0.2, 0.7 * 0.2]],
    ),
}


@pytest.mark.spec("S4", "S12", "S13", "S14", "V11")
@pytest.mark.parametrize(("make", "expected"), ADDED.values(), ids=ADDED.keys())
def test_a_broadcast_policy_takes_a_group_in_that_is_added_later(
    make: Callable[[], MappingPolicy[Any]], expected: list[list[float]]
) -> None:
    """pytorch#20997, #104361, #53712, #79888: an IndexError, or nobody scheduled the group."""
    optimizer = sgd(0.1)
    policy = make()(optimizer)
    advance(policy)
    start = list(policy.base_lrs)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.7})
    assert lrs(optimizer) == policy.get_last_lr() == expected[0]
    for lr in expected[1:]:
        advance(policy)
        assert lrs(optimizer) == policy.get_last_lr() == lr
        assert policy.base_lrs == policy.current_lr_init == [*start, 0.7]
        assert len(policy.current_mapping or ()) == 2
    assert "initial_lr" not in optimizer.param_groups[1]


class TellsWhatItSees(Policy):
    """Notes what get_lr is told of the groups."""

    def get_lr(self) -> list[Any]:
        if self.last_epoch:
            self.seen = self.base_lrs, self.get_last_lr()
        return [0.5] * len(self.optimizer.param_groups)


@pytest.mark.spec("S12", "S13")
def test_base_lrs_cover_a_group_added_later_from_within_its_first_step() -> None:
    optimizer = sgd(0.25)
    policy = TellsWhatItSees()(optimizer)
    advance(policy)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.75})
    advance(policy)
    assert policy.seen == ([0.25, 0.75], [0.5, 0.75])


@pytest.mark.spec("S1", "S12")
@EVERY_POLICY
def test_a_step_that_fails_takes_no_group_in(make: MakePolicy) -> None:
    optimizer = sgd(0.5)
    policy = make()(optimizer)
    optimizer.step()
    optimizer.add_param_group({"params": [parameter()], "lr": torch.tensor(1)})
    starts, before = policy.base_lrs, lrs(optimizer)
    with pytest.raises(ValueError, match="at epoch 1, group 1: the lr"):
        policy.step()
    assert (policy.last_epoch, policy.base_lrs, lrs(optimizer)) == (0, starts, before)
    optimizer.param_groups[1]["lr"] = 0.25
    policy.step()
    assert policy.base_lrs == [*starts, 0.25]


@pytest.mark.spec("B5", "B18", "B20", "S13")
@EVERY_POLICY
def test_a_group_added_later_with_a_tensor_lr_keeps_it(make: MakePolicy) -> None:
    optimizer = sgd(0.5)
    policy = make()(optimizer)
    late = tensor(0.75)
    optimizer.add_param_group({"params": [parameter()], "lr": late})
    advance(policy, 3)
    assert optimizer.param_groups[1]["lr"] is late
    assert repr(policy.base_lrs[1]) == "0.75"
    assert through_disk(policy.state_dict())["last_epoch"] == 3


WITH_LISTS: dict[str, Callable[[], MappingPolicy[Any]]] = {
    "Switch": lambda: Switch([{1: 0.5}, {1: 0.25}], lr_init=None),
    "Multiply": lambda: Multiply([{1: 0.5}, {1: 0.25}], lr_init=None),
    "Schedule": lambda: Schedule([reciprocal, reciprocal]),
    "Scale": lambda: Scale([reciprocal, None]),
    "lr_init": lambda: Multiply({1: 0.5}, lr_init=[0.5, 0.25]),
}
EVERY_LIST = pytest.mark.parametrize("make", WITH_LISTS.values(), ids=WITH_LISTS.keys())


@pytest.mark.spec("S1", "S12", "S15")
@EVERY_LIST
@pytest.mark.parametrize("epoch", [None, 1], ids=["step()", "step(epoch)"])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_with_one_entry_a_group_another_number_of_groups_is_an_error_with_both_counts(
    make: Callable[[], MappingPolicy[Any]], epoch: int | None, n: int
) -> None:
    optimizer = sgd(0.1, 0.2)
    policy = make()(optimizer)
    before = optimizer.param_groups
    other = [*before, {**before[0], "params": [parameter()]}][:n]
    optimizer.param_groups = other
    optimizer.step()
    counts = rf"Got 2 (mappings|lr_init) and {n} param groups"
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=counts):
        policy.step(epoch)
    # It goes on once there are as many again.
    optimizer.param_groups = before
    policy.step(epoch)
    assert lrs(optimizer) == policy.lr_at(1)


@pytest.mark.spec("S2", "S15")
@pytest.mark.skipif(not hasattr(BaseException, "add_note"), reason="Python 3.10 has no notes")
def test_groups_that_cannot_be_taken_in_are_an_error_that_says_when() -> None:
    optimizer = sgd(0.5, 0.5)
    policy = Switch([{0: 0.5}, {0: 0.5}])(optimizer)
    optimizer.step()
    optimizer.add_param_group({"params": [parameter()], "lr": 0.5})
    with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups") as raised:
        policy.step()
    assert getattr(raised.value, "__notes__", None) == ["Switch at epoch 1"]


@pytest.mark.spec("S12", "S16")
@pytest.mark.parametrize("cls", [Switch, Multiply, Scale])
@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_a_broadcast_policy_goes_on_without_a_dropped_group(cls: Any, dropped: int) -> None:
    optimizer = sgd(0.5, 0.25, 0.125)
    mapping = (lambda epoch: 0.5 if epoch > 1 else 0.75) if cls is Scale else {2: 0.5}
    policy = cls(mapping, lr_init=None)(optimizer)
    advance(policy)
    del optimizer.param_groups[dropped]
    left = [lr for i, lr in enumerate([0.5, 0.25, 0.125]) if i != dropped]
    advance(policy)
    changed = [0.5 if cls is Switch else lr / 2 for lr in left]
    assert lrs(optimizer) == policy.get_last_lr() == policy.lr_at(2) == changed
    assert policy.base_lrs == policy.current_lr_init == left


def three_groups(*empty: int) -> Optimizer:
    """Make an optimizer some of whose groups have no params."""
    optimizer = sgd(0.5, 0.25, 0.125)
    for i in empty:
        optimizer.param_groups[i]["params"] = []
    return optimizer


@pytest.mark.spec("S16")
@pytest.mark.parametrize("replaced", [False, True], ids=["as DeepSpeed does", "as ZeRO does"])
@pytest.mark.parametrize("empty", [[0], [1], [2], [0, 2]])
def test_where_the_empty_groups_went_the_others_match_by_place(
    empty: list[int], replaced: bool
) -> None:
    """transformers#43692: DeepSpeed drops empty groups after the scheduler is built."""
    optimizer = three_groups(*empty)
    policy = Scale(reciprocal)(optimizer)
    advance(policy)
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
    for group in optimizer.param_groups if replaced else []:
        group["params"] = [parameter()]
    advance(policy)
    left = [lr for i, lr in enumerate([0.5, 0.25, 0.125]) if i not in empty]
    assert policy.base_lrs == left
    assert lrs(optimizer) == [lr * (1 / 3) for lr in left]


@pytest.mark.spec("S16")
def test_where_others_went_starts_follow_the_params() -> None:
    """Two are left, and one was empty: had the empty one gone, it would be by place."""
    optimizer = three_groups()
    empty: dict[str, Any] = {**optimizer.param_groups[0], "params": [], "lr": 0.75}
    optimizer.param_groups.append(empty)
    policy = Scale(reciprocal)(optimizer)
    advance(policy)
    optimizer.param_groups = [optimizer.param_groups[i] for i in (2, 0)]
    advance(policy)
    assert policy.base_lrs == [0.125, 0.5]


@pytest.mark.spec("S12")
@EVERY_POLICY
def test_as_many_groups_as_before_are_the_same_by_place(make: MakePolicy) -> None:
    optimizer = sgd(0.5, 0.25)
    policy = make()(optimizer)
    advance(policy)
    del optimizer.param_groups[0]
    optimizer.add_param_group({"params": [parameter()], "lr": 0.75})
    starts = [*policy.base_lrs]
    advance(policy, 3)
    assert policy.base_lrs == starts


@pytest.mark.spec("S12")
def test_groups_without_params_are_known_by_their_place() -> None:
    optimizer = sgd(0.3)
    for lr in (0.1, 0.2):
        optimizer.add_param_group({"params": [], "lr": lr})
    policy = Multiply({9: 0.5}, lr_init=None)(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    advance(policy)
    assert policy.base_lrs == [0.3, 0.1, 0.2]


@pytest.mark.spec("S13")
def test_a_group_without_params_that_comes_later_is_a_new_one() -> None:
    optimizer = sgd(0.1)
    optimizer.add_param_group({"params": [], "lr": 0.2})
    policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    optimizer.add_param_group({"params": [], "lr": 0.7})
    advance(policy)
    assert policy.base_lrs == [0.1, 0.2, 0.7]


@pytest.mark.spec("S13", "S17")
@pytest.mark.parametrize("make", [lambda: Switch({}, None), lambda: Scale(reciprocal), Halving])
def test_where_there_are_more_groups_known_params_keep_their_start_whatever_their_place(
    make: MakePolicy,
) -> None:
    optimizer = sgd(0.5, 0.25)
    policy = make()(optimizer)
    starts = policy.base_lrs
    advance(policy)
    optimizer.step()
    late = [{"params": [parameter()], "lr": lr} for lr in (0.75, 0.875)]
    first, second = optimizer.param_groups
    optimizer.param_groups = [late[0], second, late[1], first]
    policy.step()
    assert policy.base_lrs == [0.75, starts[1], 0.875, starts[0]]


@pytest.mark.spec("S11", "S16")
def test_starts_follow_the_params_through_load_state_dict() -> None:
    optimizer = sgd(0.5, 0.25)
    policy = Scale(reciprocal)(optimizer)
    advance(policy)
    optimizer.load_state_dict(optimizer.state_dict())
    del optimizer.param_groups[0]
    advance(policy)
    assert policy.base_lrs == [0.25]
    assert lrs(optimizer) == [0.25 * (1 / 3)]


@pytest.mark.spec("S12", "S13", "S16")
def test_a_custom_policy_goes_on_with_more_or_fewer_groups() -> None:
    optimizer = sgd(0.5, 0.25)
    policy = Halving()(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 1.0})
    advance(policy)
    assert lrs(optimizer) == policy.get_last_lr() == [0.25, 0.125, 0.5]
    assert policy.base_lrs == [0.5, 0.25, 1.0]
    del optimizer.param_groups[0]
    advance(policy)
    assert lrs(optimizer) == policy.get_last_lr() == [0.0625, 0.25]
    assert policy.base_lrs == [0.25, 1.0]


@pytest.mark.spec("V21", "S16")
def test_what_is_stepped_beside_a_policy_has_the_groups_that_are_left() -> None:
    policy = Halving()(sgd(0.25, 0.5))
    del policy.optimizer.param_groups[0]
    assert simulate(policy, 2).tolist() == [[0.5], [0.25]]
    assert policy.lr_at(1) == [0.25]


@pytest.mark.spec("S16")
@pytest.mark.parametrize("make", [Schedule, Scale])
def test_no_group_may_be_left(make: Any) -> None:
    optimizer = sgd(0.5)
    policy = make(lambda epoch: 0.25)(optimizer)
    optimizer.param_groups.clear()
    advance(policy)
    assert (policy.last_epoch, policy.lr_at(3)) == (1, [])


@pytest.mark.spec("V16", "S14")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_a_callable_is_called_once_for_all_groups_however_many_there_are(cls: Any) -> None:
    calls: list[int] = []

    def schedule(epoch: int) -> float:
        calls.append(epoch)
        return 0.5

    optimizer = SGD([{"params": [parameter()]} for _ in range(4)], lr=0.1)
    policy = cls(schedule)(optimizer)
    advance(policy, 2)
    optimizer.add_param_group({"params": [parameter()]})
    advance(policy)
    assert calls == [0, 1, 2, 3]


@pytest.mark.spec("C11")
@pytest.mark.parametrize(
    "answer", [np.float64(0.5), np.array([0.5]), torch.tensor([0.5]), Fraction(1, 2), 1, -1]
)
def test_a_schedule_s_number_of_another_kind_becomes_a_float(answer: Any) -> None:
    policy = Schedule(lambda epoch: answer)(sgd())
    advance(policy, 3)
    assert repr(policy.optimizer.param_groups[0]["lr"]) == repr(
        answer / 1 if isinstance(answer, int) else 0.5
    )


@pytest.mark.spec("C12", "S2")
@pytest.mark.parametrize(("bad", "error"), [("x", TypeError), (math.inf, ValueError)])
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_what_a_schedule_cannot_mean_is_named(cls: Any, bad: Any, error: type[Exception]) -> None:
    def schedule(epoch: int) -> Any:
        return bad if epoch == 3 else 0.5

    policies: Sequence[tuple[Policy, str]] = [
        (cls(schedule)(sgd()), "all param groups"),
        (cls([reciprocal, schedule])(sgd(0.1, 0.2)), "group 1"),
    ]
    for policy, which in policies:
        advance(policy, 2)
        policy.optimizer.step()
        said = rf"^{cls.__name__} at epoch 3, {which}: the lr must be .*{bad}"
        with unchanged(policy, policy.optimizer), pytest.raises(error, match=said):
            policy.step()


@pytest.mark.spec("V2", "B18")
@pytest.mark.parametrize("given", [{"lr_init": 0.5}, {"lr_init": None}, {}], ids=str)
def test_the_default_device_of_torch_makes_no_difference(given: dict[str, Any]) -> None:
    def run() -> list[float]:
        policy = Multiply({0: 0.5, 1: 0.5}, **given)(optimizer)
        advance(policy, 2)
        return lrs(optimizer)

    optimizer = sgd(tensor(0.001, torch.float32))
    right = run()
    with torch.device("meta"):
        assert run() == right


@pytest.mark.spec("V9", "S8")
@pytest.mark.parametrize("cls", [Schedule, Scale])
@EVERY_FORM
def test_a_list_of_none_alone_writes_nothing(cls: Any, optimize: Callable[[], Optimizer]) -> None:
    optimizer = optimize()
    held = [group["lr"] for group in optimizer.param_groups]
    policy = cls([None, None])(optimizer)
    advance(policy, 2)
    policy.load_state_dict(through_disk(policy.state_dict()))
    assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, held, strict=True))
    assert lrs(optimizer) == policy.base_lrs == policy.lr_at(2) == [0.5, 0.25]


@pytest.mark.spec("V9", "S1")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_a_group_that_is_left_alone_may_hold_anything(cls: type[Schedule]) -> None:
    optimizer = sgd(0.5, 0.25)
    policy = cls([lambda epoch: 1 / (1 + epoch), None])(optimizer)
    for odd in (math.nan, 7, torch.tensor(0.25, requires_grad=True)):
        optimizer.param_groups[1]["lr"] = odd
        advance(policy)
        assert optimizer.param_groups[1]["lr"] is odd
    assert policy.base_lrs[1] == 0.25
