"""DESIGN 2.4: a step is atomic, writes `group["lr"]` alone, and notices what others do."""

from __future__ import annotations

import copy
import math
import random
import re
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
from versions import NOTES, said

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


@pytest.mark.parametrize(
    ("schedule_value", "error"),
    [(math.nan, ValueError), (None, TypeError), (ZeroDivisionError("x"), ZeroDivisionError)],
    ids=["nan", "None", "raises"],
)
@EVERY_FORM
def test_a_schedule_that_fails_once_can_be_stepped_again(
    schedule_value: Any, error: type[Exception], optimize: Callable[[], Optimizer]
) -> None:
    weather: dict[str, Any] = {"value": 0.5}

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


def failing(failure: BaseException) -> Callable[[int], float]:
    """Make a schedule that raises at epoch 2."""

    def schedule(epoch: int) -> float:
        if epoch == 2:
            raise failure
        return 0.5

    return schedule


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda failure: Schedule([reciprocal, failing(failure)]), r"Schedule.*epoch 2.*group 1"),
        (lambda failure: Schedule(failing(failure)), r"Schedule.*epoch 2.*group"),
        (lambda failure: answering(failure), r"Answering.*epoch 2"),
    ],
    ids=["one group's schedule", "the schedule of all groups", "get_lr"],
)
@pytest.mark.parametrize("cls", [OSError, ZeroDivisionError, ValueError, TypeError])
def test_somebody_else_s_exception_is_the_same_object_with_a_note(
    make: Callable[[BaseException], Policy], where: str, cls: type[BaseException]
) -> None:
    failure = cls("disk")
    policy = make(failure)(sgd(0.1, 0.2))
    advance(policy)
    policy.optimizer.step()
    with pytest.raises(cls, match=r"^disk") as caught:
        policy.step()
    assert caught.value is failure
    assert failure.args == ("disk",)
    assert failure.__cause__ is None
    notes: list[str] = getattr(failure, "__notes__", [])
    assert len(notes) == NOTES
    assert all(re.search(f"(?s){where}", note) for note in notes)


def test_lr_at_says_where_too() -> None:
    failure = OSError("disk")
    with pytest.raises(OSError, match=said("disk", "Schedule.*epoch 2.*group 1")) as caught:
        Schedule([reciprocal, failing(failure)]).lr_at(2)
    assert caught.value is failure


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
    "tensors with a gradient": [tensor(0.5).requires_grad_(), 0.25],
    "negative numbers": [-0.5, -0.25],
}


def as_floats(answer: Any) -> list[float]:
    """Return the numbers of an answer."""
    return [float(lr.detach() if isinstance(lr, torch.Tensor) else lr) for lr in answer]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@EVERY_FORM
def test_a_custom_policy_may_return_any_sequence_of_real_numbers(
    answer: Any, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    kinds = [type(group["lr"]) for group in optimizer.param_groups]
    policy = answering(answer)(optimizer)
    advance(policy, 2)
    assert lrs(optimizer) == as_floats(answer)
    assert [type(group["lr"]) for group in optimizer.param_groups] == kinds
    assert not any(overlap(group["lr"], lr) for group in optimizer.param_groups for lr in answer)


class Swapping(Policy):
    """A policy that returns the groups' own lrs, live tensors included, the other way round."""

    def get_lr(self) -> list[Any]:  # type: ignore[override, unused-ignore]
        held = [group["lr"] for group in self.optimizer.param_groups]
        return held[::-1] if self.last_epoch else held


@EVERY_FORM
def test_get_lr_may_return_the_live_lrs_of_other_groups(optimize: Callable[[], Optimizer]) -> None:
    optimizer = optimize()
    policy = Swapping()(optimizer)
    for expected in ([0.25, 0.5], [0.5, 0.25]):
        advance(policy)
        assert lrs(optimizer) == expected


@pytest.mark.parametrize("lr", [0.5, tensor(0.5)], ids=["float", "tensor"])
@pytest.mark.parametrize("kind", [float, tensor])
def test_what_get_lr_returned_may_change_afterwards(lr: Any, kind: Callable[[float], Any]) -> None:
    answer = [kind(0.25)]
    policy = answering(answer, epoch=1)
    type(policy).answers[0] = [0.5]
    advance(policy(sgd(lr)))
    if isinstance(answer[0], torch.Tensor):
        answer[0].fill_(99)
    answer[0] = 99
    assert lrs(policy.optimizer) == [0.25]
    assert [float(last) for last in policy.get_last_lr()] == [0.25]


# get_lr is pure


@EVERY_POLICY
@EVERY_FORM
def test_get_lr_writes_nothing_and_answers_the_same_again(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = make()(optimizer)
    for _ in range(5):
        with unchanged(policy, optimizer):
            first, second = policy.get_lr(), policy.get_lr()
            assert numbers(list(first)) == numbers(list(second))
        advance(policy)


@EVERY_POLICY
@EVERY_FORM
def test_get_lr_returns_a_new_list_that_no_one_else_holds(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = make()(optimizer)
    for _ in range(5):
        with unchanged(policy, optimizer):
            answer = policy.get_lr()
            assert type(answer) is list
            assert answer is not policy.get_lr()
            for lr in answer:
                if isinstance(lr, torch.Tensor):
                    lr.fill_(99)
            answer.clear()
        advance(policy)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25}, lr_init=1), [0.25]),
        (Multiply({1: 0.25}, lr_init=1), [0.0625]),  # once more: get_last_lr() is for asking
        (Schedule(reciprocal), [0.5]),
    ],
    ids=named,
)
def test_get_lr_is_the_value_to_be_written(policy: Policy, expected: list[float]) -> None:
    advance(policy(sgd()))
    assert policy.last_epoch == 1
    assert policy.get_lr() == expected


def test_get_lr_sees_an_outside_change() -> None:
    policy = Multiply({1: 0.5}, lr_init=1)(sgd(0.1))
    advance(policy)
    policy.optimizer.param_groups[0]["lr"] = 8.0
    assert policy.get_lr() == [4.0]


# get_last_lr


@EVERY_POLICY
@EVERY_FORM
def test_get_last_lr_is_what_the_last_step_left(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = make()(optimizer)
    for _ in range(4):
        left = lrs(optimizer)
        assert [float(lr) for lr in policy.get_last_lr()] == left
        kinds = [type(group["lr"]) for group in optimizer.param_groups]
        assert [type(lr) for lr in policy.get_last_lr()] == kinds
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].mul_(3)
            else:
                group["lr"] *= 3
        assert [float(lr) for lr in policy.get_last_lr()] == left
        advance(policy)


@EVERY_POLICY
def test_get_last_lr_never_aliases_a_live_lr(make: MakePolicy) -> None:
    optimizer = sgd(tensor(0.5), tensor(0.25))
    policy = make()(optimizer)
    for _ in range(4):
        live = [group["lr"] for group in optimizer.param_groups]
        answer = policy.get_last_lr()
        assert not any(overlap(lr, other) for lr in live for other in answer)
        before = lrs(optimizer)
        for lr in answer:
            assert isinstance(lr, torch.Tensor)
            lr.fill_(99)
        assert lrs(optimizer) == before
        advance(policy)


# Nothing else is written


@EVERY_POLICY
def test_only_lr_is_written(make: MakePolicy) -> None:
    groups: list[dict[str, Any]] = [
        {"params": [parameter()], "name": "head"},
        {"params": [parameter()], "lr": 0.5},
    ]
    optimizer = Adam(groups, lr=0.1)
    policy = make()(optimizer)
    for param in (group["params"][0] for group in optimizer.param_groups):
        param.grad = torch.ones(1)
    optimizer.step()

    def everything_else() -> Any:
        kept = [{k: v for k, v in g.items() if k != "lr"} for g in optimizer.param_groups]
        moments = {id(p): numbers(dict(s)) for p, s in optimizer.state.items()}
        return numbers(kept), moments, optimizer.defaults, sorted(vars(optimizer))

    before = everything_else()
    dicts = [id(group) for group in optimizer.param_groups]
    for _ in range(4):
        policy.step()
        policy.load_state_dict(policy.state_dict())
    assert everything_else() == before
    assert [id(group) for group in optimizer.param_groups] == dicts


@pytest.mark.parametrize("cls", [Switch, Multiply])
@EVERY_FORM
def test_between_two_milestones_nothing_is_written(
    cls: Any, optimize: Callable[[], Optimizer]
) -> None:
    def marks() -> list[Any]:
        held = [group["lr"] for group in optimizer.param_groups]
        return [(id(lr), lr._version if isinstance(lr, torch.Tensor) else None) for lr in held]

    optimizer = optimize()
    policy = cls({3: 0.5})(optimizer)
    before = marks()
    advance(policy, 2)
    assert marks() == before
    advance(policy)
    assert marks() != before


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


@pytest.mark.parametrize("cls", [Switch, Multiply])
@EVERY_FORM
def test_an_outside_change_is_respected(cls: Any, optimize: Callable[[], Optimizer]) -> None:
    optimizer = optimize()
    policy = cls({3: 0.5})(optimizer)
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


def test_a_schedule_overwrites_an_outside_change() -> None:
    policy = Schedule(reciprocal)(sgd())
    policy.optimizer.param_groups[0]["lr"] = 0.75
    advance(policy)
    assert lrs(policy.optimizer) == [0.5]


# Warnings


@EVERY_POLICY
def test_a_correct_loop_warns_of_nothing(make: MakePolicy) -> None:
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


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25, 4: 0.125}, lr_init=1), 0.25),
        (Multiply({1: 0.5, 3: 0.5, 4: 0.5}, lr_init=1), 0.25),
        (Schedule(reciprocal), 0.25),
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


def test_step_to_an_epoch_of_a_policy_without_closed_form_asks_get_lr_there() -> None:
    policy = answering([0.125], epoch=3)
    type(policy).answers |= {t: [0.5] for t in (0, 1)}
    policy(sgd())
    step_to(policy, 3)
    assert (policy.last_epoch, lrs(policy.optimizer)) == (3, [0.125])


@EVERY_POLICY
def test_the_epoch_it_stepped_to_is_a_plain_int(make: MakePolicy) -> None:
    policy = make()(sgd())
    step_to(policy, np.int64(3))
    assert through_disk(policy.state_dict())["last_epoch"] == 3
    advance(policy)
    assert policy.last_epoch == 4


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


class Asks(Policy):
    """A policy whose lr comes from a function."""

    def __init__(self, function: Callable[[int], float]) -> None:
        self.function = function

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [self.function(self.last_epoch)] * len(self.optimizer.param_groups)


ASKING: dict[str, Callable[[Callable[[int], float], int], Policy]] = {
    "one callable": lambda f, n: Schedule(f),
    "a list": lambda f, n: Schedule([f] * n),
    "a get_lr": lambda f, n: Asks(f),
}


@EVERY_FORM
@pytest.mark.parametrize("by_epoch", [False, True], ids=["step()", "step(epoch)"])
@pytest.mark.parametrize("at", range(5))
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


@pytest.mark.parametrize("make", ASKING.values(), ids=ASKING)
def test_an_optimizer_that_is_lost_is_an_error_before_the_epoch_goes_on(
    make: Callable[[Any, int], Policy],
) -> None:
    policy = make(lambda epoch: 0.5, 1)(sgd())
    advance(policy, 2)
    optimizer, policy.optimizer = policy.optimizer, None  # type: ignore[assignment]
    with pytest.raises(AttributeError, match="param_groups"):
        policy.step()
    policy.optimizer = optimizer
    assert policy.last_epoch == 2
    assert policy._step_count == 3


def test_what_load_state_dict_brings_is_multiplied() -> None:
    optimizer = sgd(tensor(0.5))
    policy = Multiply({2: 0.5})(optimizer)
    advance(policy)
    optimizer.load_state_dict(sgd(tensor(0.75)).state_dict())
    advance(policy)
    assert lrs(optimizer) == [0.375]


def test_an_initial_lr_of_another_kind_gives_what_the_binding_wrote() -> None:
    """In float32 a third of it would be another number."""
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["initial_lr"] = tensor(0.1, torch.float32)
    policy = Multiply({0: 0.3}, lr_init=None)(optimizer)
    bound = lrs(optimizer)
    assert policy.get_lr() == policy.lr_at(0) == bound == [0.3 * float(np.float32(0.1))]
    policy._update_lr(0)  # as a SequentialLR begins again
    assert lrs(optimizer) == bound


Added: TypeAlias = tuple[MakePolicy, list[list[float]]]
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
}


@pytest.mark.parametrize(("make", "expected"), ADDED.values(), ids=ADDED.keys())
def test_a_broadcast_policy_takes_a_group_in_that_is_added_later(
    make: Callable[[], MappingPolicy[Any]], expected: list[list[float]]
) -> None:
    optimizer = sgd(0.1)
    policy = make()(optimizer)
    advance(policy)
    start = list(policy.base_lrs)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.7})
    assert lrs(optimizer) == expected[0]
    assert len(policy.get_last_lr()) == 1
    for lr in expected[1:]:
        advance(policy)
        assert lrs(optimizer) == lr
        assert policy.get_last_lr() == lr
        assert policy.base_lrs == policy.current_lr_init == [*start, 0.7]
        assert len(policy.current_mapping or ()) == 2
    assert "initial_lr" not in optimizer.param_groups[1]


class TellsWhatItSees(Policy):
    """Notes what get_lr is told of the groups."""

    def get_lr(self) -> list[Any]:
        if self.last_epoch:
            self.seen = self.base_lrs, self.get_last_lr()
        return [0.5] * len(self.optimizer.param_groups)


def test_base_lrs_and_last_lrs_cover_a_group_added_later_from_within_its_first_step() -> None:
    optimizer = sgd(0.25)
    policy = TellsWhatItSees()(optimizer)
    advance(policy)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.75})
    assert policy.get_last_lr() == [0.5]
    advance(policy)
    assert policy.seen == ([0.25, 0.75], [0.5, 0.75])


@EVERY_POLICY
def test_a_group_added_later_with_a_tensor_lr_keeps_it(make: MakePolicy) -> None:
    optimizer = sgd(0.5)
    policy = make()(optimizer)
    late = tensor(0.75)
    optimizer.add_param_group({"params": [parameter()], "lr": late})
    advance(policy, 3)
    assert optimizer.param_groups[1]["lr"] is late
    assert float(policy.base_lrs[1]) == 0.75
    assert not overlap(policy.base_lrs[1], late)
    assert through_disk(policy.state_dict())["last_epoch"] == 3


WITH_LISTS: dict[str, Callable[[], MappingPolicy[Any]]] = {
    "Switch": lambda: Switch([{1: 0.5}, {1: 0.25}]),
    "Multiply": lambda: Multiply([{1: 0.5}, {1: 0.25}]),
    "Schedule": lambda: Schedule([reciprocal, reciprocal]),
    "lr_init": lambda: Multiply({1: 0.5}, lr_init=[0.5, 0.25]),
}
EVERY_LIST = pytest.mark.parametrize("make", WITH_LISTS.values(), ids=WITH_LISTS.keys())


@EVERY_LIST
@pytest.mark.parametrize("epoch", [None, 1], ids=["step()", "step(epoch)"])
def test_with_per_group_lists_a_group_added_later_is_an_error_with_both_counts(
    make: Callable[[], MappingPolicy[Any]], epoch: int | None
) -> None:
    optimizer = sgd(0.1, 0.2)
    policy = make()(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.7})
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            unchanged(policy, optimizer),
            pytest.raises(ValueError, match=r"Got 2 (mappings|lr_init) and 3 param groups"),
        ):
            policy.step(epoch)


@EVERY_LIST
def test_with_per_group_lists_a_dropped_group_is_the_same_error(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    optimizer = sgd(0.1, 0.2)
    policy = make()(optimizer)
    del optimizer.param_groups[0]
    optimizer.step()
    with (
        unchanged(policy, optimizer),
        pytest.raises(ValueError, match=r"Got 2 (mappings|lr_init) and 1 param groups"),
    ):
        policy.step()


@EVERY_LIST
def test_with_per_group_lists_it_goes_on_once_the_group_is_gone_again(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    optimizer = sgd(0.1, 0.2)
    policy = make()(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.7})
    optimizer.step()
    with pytest.raises(ValueError, match="3 param groups"):
        policy.step()
    del optimizer.param_groups[2]
    policy.step()
    assert lrs(optimizer) == policy.lr_at(1)


@pytest.mark.parametrize("cls", [Switch, Multiply])
@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_a_broadcast_policy_goes_on_without_a_dropped_group(cls: Any, dropped: int) -> None:
    optimizer = sgd(0.5, 0.25, 0.125)
    policy = cls({2: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    del optimizer.param_groups[dropped]
    left = [lr for i, lr in enumerate([0.5, 0.25, 0.125]) if i != dropped]
    advance(policy)
    changed = [0.5 if cls is Switch else lr / 2 for lr in left]
    assert lrs(optimizer) == policy.get_last_lr() == changed
    assert policy.base_lrs == policy.current_lr_init == left
    assert policy.lr_at(1) == left


def test_records_follow_the_params_where_one_group_goes_and_another_comes() -> None:
    optimizer = sgd(0.5, 0.25)
    policy = Multiply({3: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    del optimizer.param_groups[0]
    optimizer.add_param_group({"params": [parameter()], "lr": 0.75})
    optimizer.param_groups[0]["lr"] = 0.2
    advance(policy, 2)
    assert lrs(optimizer) == [0.1, 0.375]
    assert policy.base_lrs == policy.current_lr_init == [0.25, 0.75]


def test_records_follow_the_params_through_load_state_dict() -> None:
    optimizer = sgd(0.5, 0.25)
    policy = Switch({3: 0.5}, lr_init=None)(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    del optimizer.param_groups[0]
    advance(policy)
    assert policy.base_lrs == [0.25]


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


def test_a_schedule_is_called_once_for_all_groups_however_many_there_are() -> None:
    calls: list[int] = []

    def schedule(epoch: int) -> float:
        calls.append(epoch)
        return 0.5

    optimizer = SGD([{"params": [parameter()]} for _ in range(4)], lr=0.1)
    policy = Schedule(schedule)(optimizer)
    advance(policy, 2)
    optimizer.add_param_group({"params": [parameter()]})
    advance(policy)
    assert calls == [0, 1, 2, 3]


# The short cut. That a step takes it can be told by the time alone, so here the long way is barred.


class ByBase(Policy):
    def get_lr(self) -> list[float | torch.Tensor]:
        return [lr * reciprocal(self.last_epoch) for lr in self.base_lrs]


SHORT: dict[str, tuple[MakePolicy, Callable[[], Optimizer]]] = {
    "Switch": (lambda: Switch({1: 0.5, 4: 0.25}), lambda: sgd(0.1, 0.1, 0.1)),
    "Switch, a list": (lambda: Switch([{1: 0.5}, {}, {4: 0.1}]), lambda: sgd(0.1, 0.2, 0.3)),
    "Switch, tensors": (
        lambda: Switch({1: 0.5, 4: 0.1}),
        lambda: sgd(*map(tensor, (0.1, 0.2, 0.3))),
    ),
    "Multiply": (
        lambda: Multiply({1: 0.5, 4: 0.5}, lr_init=None),
        lambda: sgd(0.1, 0.2, 0.3),
    ),
    "Multiply, tensors": (
        lambda: Multiply([{1: 0.5, 4: 0.5}, {4: 0.1}, {}], lr_init=None),
        lambda: sgd(*map(tensor, (0.1, 0.2, 0.3))),
    ),
    "Schedule": (lambda: Schedule(reciprocal), lambda: sgd(0.1, 0.1, 0.1)),
    "Schedule, tensors": (lambda: Schedule(reciprocal), lambda: sgd(*map(tensor, (0.1, 0.2)))),
    "Schedule, a list": (
        lambda: Schedule([reciprocal, math.exp, lambda epoch: 0.5]),
        lambda: sgd(0.1, 0.2, 0.3),
    ),
    "Schedule, a list, tensors": (
        lambda: Schedule([reciprocal, lambda epoch: 0.5 + epoch, lambda epoch: 0.5]),
        lambda: sgd(*map(tensor, (0.1, 0.2, 0.3))),
    ),
    "custom": (Halving, lambda: sgd(0.1, 0.2, 0.3)),
    "custom, tensors": (Halving, lambda: sgd(*map(tensor, (0.1, 0.2, 0.3)))),
    "custom, tensors of its own": (ByBase, lambda: sgd(*map(tensor, (0.1, 0.2, 0.3)))),
}


@pytest.mark.parametrize(("make", "optimize"), SHORT.values(), ids=SHORT.keys())
def test_a_step_in_a_plain_run_takes_the_short_cut(
    make: MakePolicy, optimize: Callable[[], Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, long = make()(optimize()), make()(optimize())
    expected = []
    for _ in range(6):
        advance(long)
        expected.append((lrs(long.optimizer), long.get_last_lr()))
        long._lr_groups.alike = None
    advance(policy)
    monkeypatch.setattr(Policy, "_step_long", None)
    for epoch in range(1, 6):
        advance(policy)
        assert (lrs(policy.optimizer), policy.get_last_lr()) == expected[epoch]
    assert (policy.last_epoch, policy._step_count) == (6, 7)


def test_groups_that_cannot_be_compared_are_looked_at_before_get_lr_is_asked() -> None:
    class ByBase(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            seen.append([*self.base_lrs])
            return [0.5 for _ in self.base_lrs]

    seen: list[list[Any]] = []
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": lr} for lr in (0.1, 0.2)]
    policy = ByBase()(SGD(groups, lr=1.0))
    advance(policy, 3)
    policy.optimizer.param_groups.reverse()
    advance(policy)
    assert seen[-2:] == [[0.1, 0.2], [0.2, 0.1]]


@pytest.mark.parametrize(
    ("make", "note"),
    {
        "one": (lambda fails: Schedule(fails), "Schedule at epoch 3, all param groups"),
        "a list of one": (lambda fails: Schedule([fails]), "Schedule at epoch 3, all param groups"),
        "the second": (lambda fails: Schedule([reciprocal, fails]), "Schedule at epoch 3, group 1"),
        "the first": (lambda fails: Schedule([fails, reciprocal]), "Schedule at epoch 3, group 0"),
    }.values(),
)
def test_the_note_says_which_callable_it_was(make: Any, note: str) -> None:
    def fails(epoch: int) -> float:
        if epoch == 3:
            raise OSError("no file")
        return 0.5

    policy = make(fails)
    policy(sgd(*[0.1] * (2 if isinstance(policy.mapping, list) and len(policy.mapping) > 1 else 1)))
    advance(policy, 2)
    with pytest.raises(OSError, match="no file") as caught:
        policy.step()
    assert getattr(caught.value, "__notes__", []) == [note] * NOTES


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_note_on_a_get_lr_says_when(epoch: int) -> None:
    class Fails(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            if self.last_epoch == epoch:
                raise OSError("no file")
            return [0.5]

    policy = Fails()(sgd())
    advance(policy, epoch - 1)
    policy.optimizer.step()
    with pytest.raises(OSError, match="no file") as caught:
        policy.step()
    note = f"Fails at epoch {epoch}, all param groups"
    assert getattr(caught.value, "__notes__", []) == [note] * NOTES


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


@pytest.mark.parametrize("answer", [np.float64(0.5), np.array([0.5]), torch.tensor([0.5]), 1])
def test_a_schedule_s_number_of_another_kind_becomes_a_float(answer: Any) -> None:
    policy = Schedule(lambda epoch: answer)(sgd())
    advance(policy, 3)
    assert type(policy.optimizer.param_groups[0]["lr"]) is float
    assert policy.get_last_lr() == [answer if answer == 1 else 0.5]


def test_what_a_schedule_cannot_mean_is_named_in_the_short_cut_too() -> None:
    policy = Schedule(lambda epoch: "x" if epoch == 3 else 0.5)(sgd())  # type: ignore[arg-type, return-value]
    advance(policy, 2)
    with pytest.raises(TypeError, match=r"^Schedule at epoch 3, all param groups: the lr must be"):
        policy.step()


def test_a_number_that_somebody_put_there_is_named_where_it_cannot_be_multiplied() -> None:
    policy = Multiply({2: 0.5})(sgd())
    advance(policy)
    policy.optimizer.step()
    policy.optimizer.param_groups[0]["lr"] = "x"
    with pytest.raises(TypeError, match=r"^Multiply at epoch 2, group 0: the lr must be one real"):
        policy.step()


@pytest.mark.parametrize("lr_init", [0.5, None])
def test_the_default_device_of_torch_makes_no_difference(lr_init: float | None) -> None:
    def run() -> list[float]:
        policy = Multiply({0: 0.5, 1: 0.5}, lr_init=lr_init)(optimizer)
        advance(policy, 2)
        return lrs(optimizer)

    optimizer = sgd(tensor(0.5, torch.float32))
    right = run()
    with torch.device("meta"):
        assert run() == right


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_get_lr_at_0_is_a_tensor_where_the_group_s_lr_is_one(cls: Any) -> None:
    optimizer = sgd(tensor(0.5, torch.float32))
    (lr,) = cls({1: 0.5}, lr_init=0.1)(optimizer).get_lr()
    assert isinstance(lr, torch.Tensor)
    assert lr.dtype == torch.float32


def test_after_a_milestone_equal_lrs_are_one_object_which_the_next_steps_see_soonest() -> None:
    optimizer = sgd(0.5, 0.5, 0.5)
    policy = Multiply([{2: 0.3, 4: 0.5, 6: 0.0}, {2: 0.3, 4: 0.3, 6: 0.0}, {2: 0.3}], None)
    advance(policy(optimizer), 2)
    assert lrs(optimizer) == [0.15] * 3
    assert len({id(group["lr"]) for group in optimizer.param_groups}) == 1
    advance(policy, 2)
    assert lrs(optimizer) == policy.get_last_lr() == [0.075, 0.045, 0.15]
    advance(policy, 4)
    assert lrs(optimizer) == policy.get_last_lr() == [0.0, 0.0, 0.15]
