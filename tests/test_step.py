"""DESIGN 2.4: a step is atomic, writes `group["lr"]` alone, and notices what others do."""

from __future__ import annotations

import math
import random
import sys
import warnings
from collections import UserList
from collections.abc import Callable, Iterator
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
    through_disk,
    unchanged,
)
from torch.optim import SGD, Adam, Optimizer

from thunder_policy import MappingPolicy, Multiply, Policy, Schedule, Switch

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
FORMS: dict[str, Callable[[], Optimizer]] = {
    "floats": lambda: sgd(0.5, 0.25),
    "tensors": lambda: sgd(tensor(0.5), tensor(0.25)),
    "float32 tensors": lambda: sgd(tensor(0.5, torch.float32), tensor(0.25, torch.float32)),
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
    "a complex tensor": ([0.5, torch.tensor(1j)], TypeError, "group 1"),
    "a tensor of two": ([0.5, torch.ones(2)], (TypeError, ValueError), "group 1"),  # type: ignore[dict-item]
    "None": (None, TypeError, "None"),
    "one number": (0.5, TypeError, "0.5|float"),
    "a string": ("ab", TypeError, "str|'a'"),
    "a generator": (generator, TypeError, "generator"),
    "a tensor": (torch.tensor([0.5, 0.25]), TypeError, "(?i)tensor"),
    "an array": (np.array([0.5, 0.25]), TypeError, "array"),
    "a set": ({0.5, 0.25}, TypeError, "set"),
    "a dict": ({0: 0.5, 1: 0.25}, TypeError, "dict"),
}


@pytest.mark.parametrize(
    ("answer", "error", "text"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys()
)
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


@pytest.mark.parametrize(
    ("schedule_value", "error"),
    [(math.nan, ValueError), (None, TypeError), (ZeroDivisionError("x"), ZeroDivisionError)],
    ids=["nan", "None", "raises"],
)
@EVERY_FORM
def test_a_schedule_that_fails_once_can_be_stepped_again(
    schedule_value: Any, error: type[Exception], optimize: Callable[[], Optimizer]
) -> None:
    weather = {"value": 0.5}

    def flaky(epoch: int) -> Any:
        if isinstance(weather["value"], BaseException):
            raise weather["value"]
        return weather["value"]

    optimizer = optimize()
    policy = Schedule([reciprocal, flaky])(optimizer)
    advance(policy)
    weather["value"] = schedule_value
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(error):
        policy.step()
    weather["value"] = 0.125
    policy.step()
    assert policy.last_epoch == 2
    assert lrs(optimizer) == pytest.approx([1 / 3, 0.125])


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
    "Switch in float32": (lambda: Switch([{}, {2: 1e39}]), torch.float32, r"Switch.*1e\+39"),
    "Switch in float16": (lambda: Switch([{}, {2: 1e5}]), torch.float16, r"Switch.*100000"),
    "Switch in bfloat16": (lambda: Switch([{}, {2: 1e39}]), torch.bfloat16, r"Switch.*1e\+39"),
    "Schedule in float32": (
        lambda: Schedule([reciprocal, lambda t: -1e39 if t == 2 else 0.5]),
        torch.float32,
        r"Schedule.*-1e\+39",
    ),
    "custom in float16": (lambda: answering([0.5, 1e5]), torch.float16, "Answering.*100000"),
    "a wider tensor": (lambda: answering([0.5, tensor(1e39)]), torch.float32, r"Answering.*1e\+39"),
    "Multiply on floats": (lambda: Multiply([{}, {2: 1e200}], 1e200), None, "Multiply.*inf|1e"),
}


@pytest.mark.parametrize(("make", "dtype", "text"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_value_that_is_not_finite_in_the_group_s_dtype_is_an_error_before_any_write(
    make: MakePolicy, dtype: torch.dtype | None, text: str
) -> None:
    optimizer = sgd(0.5, 0.25) if dtype is None else sgd(tensor(0.5, dtype), tensor(0.25, dtype))
    policy = make()(optimizer)
    advance(policy)
    optimizer.step()
    with (
        unchanged(policy, optimizer),
        pytest.raises(ValueError, match=rf"(?s)(?=.*epoch 2)(?=.*group 1).*{text}"),
    ):
        policy.step()


def test_the_same_value_is_fine_where_the_dtype_holds_it() -> None:
    optimizer = sgd(tensor(0.5), tensor(0.5, torch.float16))
    policy = Switch([{1: 1e39}, {1: 65504}])(optimizer)
    advance(policy)
    assert lrs(optimizer) == [1e39, 65504]


def test_an_overflow_that_an_outside_change_causes_is_an_error_too() -> None:
    optimizer = sgd(0.5)
    policy = Multiply({1: 1e10})(optimizer)
    optimizer.param_groups[0]["lr"] = 1e300
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=r"(?s)Multiply.*epoch 1"):
        policy.step()


# Somebody else's exception


def test_somebody_else_s_exception_comes_through_as_the_same_object() -> None:
    failure = OSError("disk")

    def fails(epoch: int) -> float:
        if epoch == 2:
            raise failure
        return 0.5

    for policy in (Schedule([reciprocal, fails]), Schedule(fails)):
        advance(policy(sgd(0.1, 0.2)[:0] if False else sgd(0.1, 0.2)))
