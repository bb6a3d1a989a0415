"""thunder_policy.bound: the optimizer first, and for the rest the plain classes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from helpers import advance, lrs, sgd, through_disk
from hypothesis import given
from hypothesis import strategies as st
from strategies import Case, cases, exact_groups

import thunder_policy
from thunder_policy import MappingPolicy, Schedule, Switch, UnboundPolicyError, bound, simulate
from thunder_policy.conformance import Subject, check_policy
from thunder_policy.schedules import Constant, Cosine

NAMES = bound.__all__


def half(epoch: int) -> float:
    return 0.5**epoch


MAPPINGS: dict[str, Any] = {
    "Switch": {0: 0.4, 2: 0.2, 5: 0.1},
    "Multiply": {1: 0.5, 3: 0.5},
    "Schedule": half,
    "Scale": half,
}
EVERY = pytest.mark.parametrize("name", NAMES)


def make(name: str, optimizer: Any, **options: Any) -> Any:
    return getattr(bound, name)(optimizer, MAPPINGS[name], **options)


def plain(name: str, **options: Any) -> MappingPolicy[Any]:
    policy: MappingPolicy[Any] = getattr(thunder_policy, name)(MAPPINGS[name], **options)
    return policy


@pytest.mark.spec("A1")
@given(case=cases(held=exact_groups), last_epoch=st.integers(-1, 12))
def test_it_is_the_plain_one_bound(case: Case, last_epoch: int) -> None:
    optimizers = [case.groups.build() for _ in range(2)]
    option = {"option": case.groups.option}
    cls: Any = getattr(thunder_policy, case.name)
    expected = cls(case.mapping, case.lr_init.given, **option)(optimizers[0], last_epoch)
    scheduler = getattr(bound, case.name)(
        optimizers[1], case.mapping, case.lr_init.given, last_epoch=last_epoch, **option
    )
    for _ in range(3):
        assert lrs(optimizers[1], case.groups.option) == lrs(optimizers[0], case.groups.option)
        assert scheduler.state_dict() == expected.state_dict()
        advance(expected)
        advance(scheduler)


@pytest.mark.spec("A1")
@EVERY
def test_the_arguments_are_those_of_the_plain_class_with_the_optimizer_first(name: str) -> None:
    parameters = inspect.signature(getattr(bound, name)).parameters
    there = inspect.signature(getattr(thunder_policy, name)).parameters
    assert [*parameters] == ["optimizer", "mapping", "lr_init", "last_epoch", "option", "on_load"]
    assert {key: parameters[key] for key in there} == dict(there)
    assert parameters["last_epoch"].default == -1
    assert parameters["last_epoch"].kind is inspect.Parameter.KEYWORD_ONLY
    given = {
        "mapping": MAPPINGS[name],
        "lr_init": 0.25,
        "option": "momentum",
        "on_load": "override",
    }
    scheduler = getattr(bound, name)(sgd(), **given, last_epoch=2)
    assert ({key: getattr(scheduler, key) for key in given}, scheduler.last_epoch) == (given, 3)


@pytest.mark.spec("A1", "V12")
def test_a_default_warns_as_that_of_the_plain_class_does() -> None:
    with pytest.warns(UserWarning, match="give lr_init=None"):
        make("Multiply", sgd(0.1))


@pytest.mark.spec("A1", "B2", "B6")
def test_what_fails_leaves_the_optimizer_as_it_was() -> None:
    optimizer = sgd(0.1)
    cases: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: bound.Switch(optimizer, [{0: 0.5}, {0: 0.6}]), ValueError),
        (lambda: bound.Switch(optimizer, {0: -1}), ValueError),
        (lambda: bound.Switch({0: 0.5}, optimizer), TypeError),  # type: ignore[arg-type]
    ]
    for wrong, error in cases:
        with pytest.raises(error, match=r"Got 2 mappings|at least 0|takes the optimizer first"):
            wrong()
        assert lrs(optimizer) == [0.1]
        assert "initial_lr" not in optimizer.param_groups[0]


@pytest.mark.spec("A2", "T25")
@EVERY
@pytest.mark.parametrize("order", [("bound", "plain"), ("plain", "bound")], ids="to ".join)
def test_states_go_both_ways(name: str, order: Sequence[str]) -> None:
    makers: dict[str, Callable[[Any], Any]] = {
        "bound": lambda optimizer: make(name, optimizer, lr_init=0.8),
        "plain": lambda optimizer: plain(name, lr_init=0.8)(optimizer),
    }
    first, second = (makers[which](sgd(0.8)) for which in order)
    advance(first, 2)
    assert isinstance(first, getattr(thunder_policy, name))
    state = through_disk(first.state_dict())
    assert state["_policy"] == name
    second.load_state_dict(state)
    for _ in range(4):
        assert second.state_dict() == first.state_dict()
        advance(first)
        advance(second)


@pytest.mark.spec("A3", "V15")
@EVERY
@pytest.mark.parametrize("options", [{}, {"lr_init": 0.001, "on_load": "override"}], ids=str)
def test_a_copy_is_the_plain_one_unbound(name: str, options: dict[str, Any]) -> None:
    scheduler, expected = make(name, sgd(0.001), **options), plain(name, **options)
    advance(scheduler, 3)
    for policy, same in (
        (copy.copy(scheduler), expected),
        (pickle.loads(pickle.dumps(copy.copy(scheduler))), expected),
        (scheduler.in_steps(4), expected.in_steps(4)),
    ):
        assert type(policy) is getattr(thunder_policy, name)
        assert policy == same
        with pytest.raises(UnboundPolicyError):
            policy.step()
        assert policy(sgd(0.001)) is policy  # the default of lr_init is still one
    assert repr(scheduler) == repr(expected(sgd(0.001)))
    assert torch.equal(simulate(scheduler, 6), simulate(expected, 6, lr=0.001))


@pytest.mark.spec("A2", "K2")
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deep", "pickle"]
)
@EVERY
def test_a_deep_copy_goes_on_beside_its_optimizer(
    name: str, copied: Callable[[Any], tuple[Any, Any]]
) -> None:
    optimizer = sgd(0.001)
    scheduler = make(name, optimizer)
    advance(scheduler, 2)
    other, twin = copied((optimizer, scheduler))
    assert type(twin) is type(scheduler)
    assert twin.optimizer is other
    before = lrs(optimizer)
    advance(twin, 2)
    assert lrs(optimizer) == before
    advance(scheduler, 2)
    assert lrs(other) == lrs(optimizer)


@pytest.mark.spec("A3")
def test_a_subclass_of_somebody_is_copied_as_one() -> None:
    class Floored(bound.Schedule):
        def get_lr(self) -> list[Any]:
            return [max(float(lr), 0.3) for lr in super().get_lr()]

    scheduler = Floored(sgd(0.001), half, lr_init=None)
    assert type(copy.copy(scheduler)) is Floored
    assert [scheduler.lr_at(epoch) for epoch in range(3)] == [[1.0], [0.5], [0.3]]


@pytest.mark.spec("A1")
def test_it_works_in_the_place_of_a_scheduler_of_torch() -> None:
    optimizer = sgd(0.1)
    parts: list[Any] = [
        bound.Switch(optimizer, {0: 0.4, 1: 0.2}),
        bound.Schedule(optimizer, Cosine(1, 0, 4)),
    ]
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])
    seen = []
    for _ in range(4):
        seen += lrs(optimizer)
        optimizer.step()
        scheduler.step()
    assert seen == [0.4, 0.2, Cosine(1, 0, 4)(0), Cosine(1, 0, 4)(1)]


@pytest.mark.slow
@pytest.mark.spec("A1", "A2", "A3")
@EVERY
def test_the_conformance_suite_passes(name: str) -> None:
    check_policy(Subject(lambda: partial(getattr(bound, name), mapping=MAPPINGS[name]), epochs=6))


@pytest.mark.spec("A3", "K6")
def test_a_bound_one_equals_itself_alone_and_its_copies_each_other() -> None:
    scheduler = bound.Schedule(sgd(0.001), Constant(0.1))
    assert scheduler == scheduler
    assert scheduler != copy.copy(scheduler)
    assert copy.copy(scheduler) == Schedule(Constant(0.1))
    assert bound.Switch(sgd(0.001), {0: 0.1}) != Switch({0: 0.1})
