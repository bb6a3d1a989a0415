"""Binding, what a policy says before it, custom policies, and tensor lrs."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeAlias

import helpers
import numpy as np
import pytest
import torch
from helpers import (
    AsDocumented,
    Halving,
    MakePolicy,
    Value,
    advance,
    lrs,
    named,
    overlap,
    parameter,
    reciprocal,
    sgd,
    tensor,
    tensors_in,
    unchanged,
)
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Policy,
    Scale,
    Schedule,
    Switch,
    UnboundPolicyError,
    simulate,
)

# Those of a mapping are given an lr_init.
POLICIES: dict[str, MakePolicy] = {
    **helpers.POLICIES,
    "Schedule": lambda: Schedule(reciprocal, lr_init=1e-3),
    "Scale": lambda: Scale(reciprocal, lr_init=1e-3),
}
EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
MAPPING_POLICIES = {name: make for name, make in POLICIES.items() if name != "custom"}
EVERY_MAPPING = pytest.mark.parametrize(
    "make", MAPPING_POLICIES.values(), ids=MAPPING_POLICIES.keys()
)


# Binding


@pytest.mark.spec("B1")
@EVERY_POLICY
def test_a_call_binds_and_returns_the_same_object_and_set_optimizer_returns_none(
    make: MakePolicy,
) -> None:
    called, told, first, second = make(), make(), sgd(0.25, 0.75), sgd(0.25, 0.75)
    assert called(first) is called
    bind: Callable[[Optimizer], object] = told.set_optimizer
    assert bind(second) is None
    assert called.optimizer is first
    assert told.optimizer is second
    assert isinstance(called, LRScheduler)
    assert lrs(first) == lrs(second) == called.get_last_lr() == told.get_last_lr()


@pytest.mark.spec("B1", "B3", "B4", "V19")
@pytest.mark.parametrize("last_epoch", [-1, 0, 1, 2, 6])
@pytest.mark.parametrize(
    "bind", [Policy.__call__, Policy.set_optimizer], ids=["call", "set_optimizer"]
)
@EVERY_POLICY
def test_a_run_is_taken_up_at_any_epoch_without_a_state(
    make: MakePolicy,
    bind: Callable[[Policy, Optimizer, int], object],
    last_epoch: int,
) -> None:
    policy, optimizer, twin = make(), sgd(0.25, 0.75), sgd(0.25, 0.75)
    run = make()(twin)
    advance(run, last_epoch + 1)
    bind(policy, optimizer, last_epoch)
    assert (policy.last_epoch, policy._step_count) == (last_epoch + 1, 1)
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float, float]
    for _ in range(4):
        assert lrs(optimizer) == lrs(twin) == policy.lr_at(policy.last_epoch)
        advance(policy)
        advance(run)


@pytest.mark.spec("B4")
@pytest.mark.parametrize("cls", [Multiply, Scale])
def test_with_lr_init_none_a_run_is_taken_up_from_initial_lr_or_before_the_load(cls: Any) -> None:
    def make() -> MappingPolicy[Any]:
        return cls({2: 0.5} if cls is Multiply else reciprocal, lr_init=None)  # type: ignore[no-any-return]

    first = sgd(0.25, 0.75)
    run = make()(first)
    advance(run, 3)
    after_the_load, before_the_load = sgd(0.1, 0.1), sgd(0.25, 0.75)
    after_the_load.load_state_dict(first.state_dict())
    policies = [make()(after_the_load, last_epoch=2), make()(before_the_load, last_epoch=2)]
    before_the_load.load_state_dict(first.state_dict())
    for policy in policies:
        assert policy.base_lrs == [0.25, 0.75]
        assert policy.get_last_lr() == lrs(first)


@pytest.mark.spec("B2", "B3", "C3")
@pytest.mark.parametrize(
    ("last_epoch", "error"),
    [(-2, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError), (None, TypeError)],
    ids=named,
)
@EVERY_POLICY
def test_a_last_epoch_is_an_integer_of_at_least_minus_one(
    make: MakePolicy, last_epoch: Any, error: type[Exception]
) -> None:
    policy, optimizer = make(), sgd(0.25)
    with unchanged(policy, optimizer), pytest.raises(error, match=f"last_epoch.*{last_epoch}"):
        policy(optimizer, last_epoch)


@pytest.mark.spec("B5", "V10", "V11")
@pytest.mark.parametrize(
    ("policy", "lr_init"),
    [
        (Switch({0: 0.9}, lr_init=0.5), [0.5, 0.5]),
        (Multiply({0: 0.5}, lr_init=[0.5, 0.25]), [0.5, 0.25]),
        (Multiply({0: 0.5}, lr_init=2), [2.0, 2.0]),
        (Schedule(math.cos, lr_init=None), [0.1, 0.75]),
        (Scale(math.cos), [0.1, 0.75]),
        (Switch({0: 0.9}, lr_init=None), [0.1, 0.75]),
        (Multiply({0: 0.5}, lr_init=None), [0.1, 0.75]),
    ],
    ids=["one number", "a list", "an int", "of a Schedule", "of a Scale", "None", "and a factor"],
)
def test_base_lrs_and_current_lr_init_are_the_resolved_lr_init(
    policy: MappingPolicy[Any], lr_init: list[float]
) -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    policy(optimizer)
    assert policy.base_lrs == policy.current_lr_init == lr_init
    assert {*map(type, policy.base_lrs)} == {float}


@pytest.mark.spec("B5")
@EVERY_MAPPING
def test_current_mapping_holds_one_entry_a_group(make: Callable[[], MappingPolicy[Any]]) -> None:
    policy = make()
    mapping = policy.mapping
    assert (policy.current_mapping, policy.current_lr_init) == (None, None)
    policy(sgd(0.1, 0.2, 0.3))
    assert policy.current_mapping == [mapping] * 3
    assert policy.current_lr_init == [1e-3] * 3


@pytest.mark.spec("B5")
def test_current_mapping_of_a_list_is_the_list() -> None:
    policy = Switch([{0: 0.5}, {1: 0.25}], lr_init=[0.1, 0.2])(sgd(0.1, 0.2))
    assert policy.current_mapping == [{0: 0.5}, {1: 0.25}]
    assert policy.current_lr_init == [0.1, 0.2]


@pytest.mark.spec("B5")
def test_a_subclass_may_set_its_current_mapping_as_the_document_does() -> None:
    class Doubled(MappingPolicy[Any]):
        def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
            self.current_mapping = [self.mapping] * 2 * len(optimizer.param_groups)
            self.current_lr_init = [7.0]
            super().set_optimizer(optimizer, last_epoch)

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            assert self.current_mapping is not None
            return [float(len(self.current_mapping))]

    policy = Doubled({0: 0.5}, lr_init=None)(sgd(0.1))
    assert policy.get_last_lr() == [2.0]
    assert policy.current_lr_init == [7.0]
    assert "current_mapping" not in policy.state_dict()


@pytest.mark.spec("B5")
def test_what_needs_an_instance_can_be_asked_of_the_class() -> None:
    assert getattr(Switch, "current_mapping") is None  # noqa: B009  for mypy there is none
    assert {"current_mapping", "get_lr"} <= {name for name, _ in inspect.getmembers(Switch)}


@pytest.mark.spec("B8")
@EVERY_MAPPING
def test_initial_lr_is_the_lr_init_that_was_given_where_a_group_has_none(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    make()(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1e-3, 0.75]


@pytest.mark.spec("B8")
def test_initial_lr_is_the_group_s_lr_before_binding_for_a_policy_without_lr_init() -> None:
    class Fixed(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [9.0, 9.0]

    optimizer = sgd(0.1, 0.2)
    policy = Fixed()(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    assert policy.base_lrs == [0.1, 0.2]
    assert lrs(optimizer) == [9.0, 9.0]


@pytest.mark.spec("B8", "B20")
def test_an_initial_lr_that_nobody_gave_is_a_copy_of_the_tensor() -> None:
    class Half(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [start / 2 for start in self.base_lrs]

    for policy in (Half(), Scale(lambda _: 0.5)):
        optimizer = sgd(tensor(0.5))
        policy(optimizer)
        [group] = optimizer.param_groups
        assert torch.equal(group["initial_lr"], tensor(0.5))
        assert group["initial_lr"].data_ptr() != group["lr"].data_ptr()


@pytest.mark.spec("B20", "V9")
def test_an_initial_lr_is_apart_from_a_lr_that_is_left_alone() -> None:
    lr = tensor(0.5)
    optimizer = sgd(lr, 0.5)
    optimizer.param_groups[0]["initial_lr"] = lr
    Schedule([None, lambda epoch: 0.25])(optimizer)
    lr.fill_(0.75)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5


@pytest.mark.spec("B20", "V10")
def test_an_initial_lr_that_is_the_lr_itself_becomes_a_copy() -> None:
    optimizer = sgd(tensor(0.5), tensor(0.25))
    for group in optimizer.param_groups:
        group["initial_lr"] = optimizer.param_groups[0]["lr"]
    policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
    advance(policy)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [tensor(0.5)] * 2


# A bind that fails


def broken(answer: Any) -> Policy:
    """Make a custom policy that returns `answer`, or raises it."""

    class Broken(Policy):
        def get_lr(self) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

    return Broken()


def narrow(*lrs: float) -> Optimizer:
    """Return an optimizer whose groups hold float32 tensors."""
    return sgd(*(tensor(lr, torch.float32) for lr in lrs))


def in_inference_mode(lr: float) -> Tensor:
    """Return a tensor that may be written in inference mode alone."""
    with torch.inference_mode():
        return tensor(lr)


def two() -> Optimizer:
    """Return an optimizer with two groups."""
    return sgd(0.1, 0.2)


FailingBind: TypeAlias = tuple[MakePolicy, Callable[[], Any], type[BaseException], str]
FAILING_BINDS: dict[str, FailingBind] = {
    "too many mappings": (
        lambda: Switch([{}] * 3),
        two,
        ValueError,
        "Got 3 mappings and 2 param groups",
    ),
    "too few mappings": (
        lambda: Multiply([{}]),
        two,
        ValueError,
        "Got 1 mappings and 2 param groups",
    ),
    "too many callables": (
        lambda: Schedule([math.cos] * 3),
        two,
        ValueError,
        "Got 3 mappings and 2 param groups",
    ),
    "too many lr_init": (
        lambda: Switch({}, lr_init=[0.1] * 3),
        two,
        ValueError,
        "Got 3 lr_init and 2 param groups",
    ),
    "lr_init of a Schedule": (
        lambda: Schedule(math.cos, lr_init=[0.1] * 3),
        two,
        ValueError,
        "Got 3 lr_init and 2 param groups",
    ),
    "None": (lambda: Switch({}), lambda: None, TypeError, "(?s)(?=.*Optimizer).*NoneType"),
    "a class": (lambda: Switch({}), lambda: SGD, TypeError, "Optimizer"),
    "a list of groups": (lambda: Switch({}), lambda: two().param_groups, TypeError, "Optimizer"),
    "a wrapper": (
        lambda: Switch({}),
        lambda: SimpleNamespace(inner=two()),
        TypeError,
        r"call policy\(wrapper\.inner\), the one inside",
    ),
    "a scheduler": (Halving, lambda: StepLR(two(), 1), TypeError, "Optimizer"),
    "a schedule that raises at 0": (
        lambda: Schedule(lambda t: 1 / t),
        two,
        ZeroDivisionError,
        "division",
    ),
    "the second schedule raises at 0": (
        lambda: Schedule([math.cos, lambda t: 1 / t]),
        two,
        ZeroDivisionError,
        "division",
    ),
    "a schedule that is nan at 0": (
        lambda: Schedule([math.cos, lambda t: math.nan]),
        two,
        ValueError,
        "(?s)Schedule.*epoch 0.*group 1.*nan",
    ),
    "a schedule that is None at 0": (
        lambda: Schedule(lambda t: None),  # type: ignore[arg-type, return-value]
        two,
        TypeError,
        "(?s)Schedule.*epoch 0.*group.*None",
    ),
    "a product that overflows at 0": (
        lambda: Multiply([{}, {0: 1e200}], lr_init=1e200),
        two,
        ValueError,
        "(?s)Multiply.*epoch 0.*group 1",
    ),
    "a value that overflows float32": (
        lambda: Switch([{0: 0.5}, {0: 1e39}]),
        lambda: narrow(0.1, 0.2),
        ValueError,
        r"(?s)Switch.*epoch 0.*group 1.*1e\+?39",
    ),
    "an lr_init that overflows float32": (
        lambda: Switch({}, lr_init=[0.5, 1e39]),
        lambda: narrow(0.1, 0.2),
        ValueError,
        r"(?s)Switch.*group 1.*1e\+?39",
    ),
    "a lr that requires grad": (
        lambda: Switch({0: 0.5}),
        lambda: sgd(0.1, tensor(0.2).requires_grad_()),
        ValueError,
        "(?s)Switch.*epoch 0.*group 1",
    ),
    "a lr of inference mode": (
        lambda: Multiply({}, lr_init=0.5),
        lambda: sgd(0.1, in_inference_mode(0.2)),
        ValueError,
        "(?s)Multiply.*epoch 0.*group 1",
    ),
    "a lr of two elements": (
        lambda: Schedule(reciprocal),
        lambda: sgd(0.1, torch.zeros(2)),
        ValueError,
        "(?s)Schedule.*group 1",
    ),
    "a lr of whole numbers": (
        lambda: Scale(reciprocal),
        lambda: sgd(0.1, torch.tensor(1)),
        ValueError,
        "(?s)Scale.*group 1",
    ),
    "get_lr raises": (lambda: broken(OSError("disk")), two, OSError, "disk"),
    "get_lr is interrupted": (lambda: broken(KeyboardInterrupt()), two, KeyboardInterrupt, "^"),
    "get_lr returns too few": (lambda: broken([0.5]), two, ValueError, "(?s)Broken.*1.*2"),
    "get_lr returns too many": (lambda: broken([0.5] * 3), two, ValueError, "(?s)Broken.*3.*2"),
    "get_lr returns nan": (
        lambda: broken([0.5, math.nan]),
        two,
        ValueError,
        "(?s)Broken.*epoch 0.*group 1.*nan",
    ),
    "get_lr returns None": (lambda: broken(None), two, TypeError, "Broken"),
}
FAILS_TO_BIND = pytest.mark.parametrize(
    ("make", "target", "error", "text"), FAILING_BINDS.values(), ids=FAILING_BINDS.keys()
)


@pytest.mark.spec("B2", "B6", "B16", "B21", "B22", "C12")
@FAILS_TO_BIND
def test_a_bind_that_fails_leaves_everything_as_it_was(
    make: MakePolicy, target: Callable[[], Any], error: type[BaseException], text: str
) -> None:
    policy, optimizer = make(), target()
    with unchanged(policy, optimizer), pytest.raises(error, match=text):
        policy(optimizer)
    assert not hasattr(policy, "optimizer")
    assert policy.last_epoch == -1


class Spoiled:
    """A schedule that is sound until it is told not to be, at epoch 0."""

    answer: Any = 0.5

    def __call__(self, epoch: int) -> Any:
        answer = self.answer if epoch == 0 else 0.5
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.spec("B2")
@pytest.mark.parametrize(
    ("policy", "target", "error"),
    [
        (Switch([{0: 0.5}]), two, ValueError),
        (Multiply({}, lr_init=[0.5]), two, ValueError),
        (Switch({0: 1e39}), lambda: narrow(0.5), ValueError),
        (broken([0.5]), two, ValueError),
        (Halving(), lambda: None, TypeError),
        (Schedule(Spoiled()), lambda: math.nan, ValueError),
        (Schedule([Spoiled()]), lambda: None, TypeError),
        (Schedule(Spoiled()), lambda: OSError("disk"), OSError),
        (Schedule(Spoiled()), KeyboardInterrupt, KeyboardInterrupt),
    ],
    ids=[
        "another number of mappings",
        "another number of lr_init",
        "another dtype",
        "another number of groups",
        "no optimizer",
        "a schedule that is nan now",
        "a schedule that is None now",
        "a schedule that raises now",
        "a schedule that is interrupted now",
    ],
)
def test_a_bound_policy_stays_bound_where_another_bind_fails(
    policy: Policy, target: Callable[[], Any], error: type[BaseException]
) -> None:
    policy = copy.deepcopy(policy)  # spoiled below
    first, second = sgd(0.5), target()
    policy(first)
    advance(policy)
    if isinstance(policy, Schedule):
        spoiled = policy.mapping[0] if isinstance(policy.mapping, Sequence) else policy.mapping
        assert isinstance(spoiled, Spoiled)
        spoiled.answer, second = second, sgd(0.25)
        # To the optimizer that it is bound to already, too.
        with unchanged(policy, first), pytest.raises(error):
            policy.set_optimizer(first)
    with unchanged(policy, first, second), pytest.raises(error):
        policy(second)
    assert policy.optimizer is first
    assert policy.last_epoch == 1


@pytest.mark.spec("B2", "B6")
def test_a_failed_bind_can_be_tried_again_elsewhere() -> None:
    policy = Switch([{0: 0.5}, {0: 0.25}])
    with pytest.raises(ValueError, match="Got 2 mappings and 1 param groups"):
        policy(sgd(0.1))
    assert policy(two()).get_last_lr() == [0.5, 0.25]


@pytest.mark.spec("B7")
def test_the_get_lr_of_a_custom_mapping_policy_finds_its_start_in_the_groups() -> None:
    optimizer = sgd(0.1, 0.2)
    policy = AsDocumented({0: 0.5, 2: 0.5}, lr_init=[1, 2])(optimizer)
    seen = [lrs(optimizer)]
    for _ in range(2):
        advance(policy)
        seen.append(lrs(optimizer))
    assert seen == [[0.5, 1.0], [0.5, 1.0], [0.25, 0.5]]
    assert repr(policy).startswith(
        "AsDocumented(mapping=[{0: 0.5, 2: 0.5}, {0: 0.5, 2: 0.5}], lr_init=[1.0, 2.0]"
    )


@pytest.mark.spec("B7")
def test_the_get_lr_of_another_custom_policy_finds_what_the_groups_hold() -> None:
    optimizer = sgd(0.5)
    optimizer.param_groups[0]["initial_lr"] = 0.75  # its start, which no group holds
    assert Halving()(optimizer).get_last_lr() == [0.5]


@pytest.mark.spec("B2", "B7")
@pytest.mark.parametrize("lr", [0.25, tensor(0.25)], ids=["float", "tensor"])
def test_where_it_raises_the_groups_are_put_back(lr: Value) -> None:
    policy, optimizer = AsDocumented({}, lr_init=1), sgd(lr)
    policy.fails = True
    with unchanged(policy, optimizer), pytest.raises(OSError, match="disk"):
        policy(optimizer)
    policy.fails = False
    assert policy(optimizer).get_last_lr() == [1.0]


@pytest.mark.spec("B2", "S1")
def test_a_tensor_of_inference_mode_is_taken_back_too() -> None:
    with torch.inference_mode():
        optimizer = sgd(torch.tensor(0.1))
        policy = AsDocumented({}, lr_init=0.5)
        policy.fails = True
        with pytest.raises(OSError, match="disk"):
            policy(optimizer)
        assert optimizer.param_groups[0]["lr"] == torch.tensor(0.1)


class Forwarding(Optimizer):
    """Wraps another one, and forwards all that is asked and set."""

    def __init__(self, inner: Optimizer) -> None:
        object.__setattr__(self, "inner", inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "inner"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)


@pytest.mark.spec("B2", "S2")
def test_where_binding_fails_what_an_optimizer_wraps_is_as_before() -> None:
    inner = sgd(0.1)
    with unchanged(inner), pytest.raises(ZeroDivisionError):
        Schedule(lambda epoch: 1 / 0)(Forwarding(inner))


@pytest.mark.spec("V2", "S2", "S3")
@pytest.mark.parametrize("cls", [AsDocumented, Multiply])
def test_a_start_that_the_group_cannot_hold_is_named(cls: Any) -> None:
    text = rf"^{cls.__name__} at epoch 0, group 1: the lr 1e\+39 does not fit the group's tensor"
    with pytest.raises(ValueError, match=text):
        cls({}, lr_init=[0.1, 1e39])(sgd(0.1, torch.tensor(0.1)))


@pytest.mark.spec("V1", "V2", "S3")
@pytest.mark.parametrize("policy", [Switch({0: 0.5}, 1e39), Multiply({0: 5e-40}, 1e39)])
def test_one_that_it_cannot_hold_does_not_matter_where_the_lr_at_0_fits(policy: Policy) -> None:
    assert policy(sgd(torch.tensor(0.1))).get_last_lr() == [0.5]


@pytest.mark.spec("S2", "S3")
def test_the_first_group_that_cannot_hold_its_lr_is_named() -> None:
    class Ends(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [math.nan if self.last_epoch else 0.5] * 2

    optimizer = sgd(tensor(0.5), 0.5)
    policy = Ends()(optimizer)
    optimizer.step()
    with pytest.raises(ValueError, match="group 0: the lr must be finite"):
        policy.step()
    with pytest.raises(ValueError, match="group 1: the lr cannot be written"):
        Switch({2: 0.5}, lr_init=0.5)(sgd(0.5, torch.tensor([0.5, 0.25])))


# Binding again


@pytest.mark.spec("B9")
@EVERY_POLICY
def test_binding_again_starts_over_and_leaves_the_first_optimizer_alone(make: MakePolicy) -> None:
    first, second, fresh = sgd(0.25, 0.75), sgd(0.25), sgd(0.25)
    policy = make()(first)
    advance(policy, 2)
    with unchanged(first):
        policy(second)
        advance(policy, 3)
    expected = make()(fresh)
    advance(expected, 3)
    assert policy.last_epoch == 3
    assert lrs(second) == lrs(fresh)
    assert policy.base_lrs == expected.base_lrs


@pytest.mark.spec("B9", "B13")
@EVERY_MAPPING
def test_binding_again_to_the_same_optimizer_starts_over(make: MakePolicy) -> None:
    optimizer = sgd(0.25, 0.75)
    policy = make()(optimizer)
    at_0 = lrs(optimizer)
    advance(policy, 3)
    assert lrs(optimizer) != at_0
    policy.set_optimizer(optimizer)
    assert policy.last_epoch == 0
    assert lrs(optimizer) == policy.get_last_lr() == at_0
    advance(policy)
    assert policy.last_epoch == 1


@pytest.mark.spec("B10")
def test_binding_again_without_lr_init_starts_where_the_first_bind_did() -> None:
    optimizer = sgd(0.25)
    policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
    advance(policy, 2)
    policy.set_optimizer(optimizer)
    assert lrs(optimizer) == [0.25]
    other = sgd(0.75)
    policy(other)
    assert lrs(other) == policy.base_lrs == [0.75]


@pytest.mark.spec("B9")
@EVERY_POLICY
def test_binding_again_takes_another_number_of_groups(make: MakePolicy) -> None:
    policy = make()(sgd(0.1))
    policy(sgd(0.1, 0.2, 0.3))
    assert len(policy.base_lrs) == len(policy.get_last_lr()) == 3


@pytest.mark.spec("B9")
def test_a_subclass_resets_its_own_state_in_set_optimizer() -> None:
    class Slower(Policy):
        delay: int = 0

        def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
            self.delay = 3
            super().set_optimizer(optimizer, last_epoch)

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5 if self.last_epoch < self.delay else 0.25]

    policy = Slower()(sgd())
    policy.delay = 0
    advance(policy)
    assert policy.get_last_lr() == [0.25]
    policy(sgd())
    assert policy.delay == 3
    assert policy.get_last_lr() == [0.5]


# Before binding

NEEDS_AN_OPTIMIZER: dict[str, Callable[[Policy], object]] = {
    "step": lambda policy: policy.step(),
    "step(epoch)": lambda policy: policy.step(3),
    "get_lr": lambda policy: policy.get_lr(),
    "get_last_lr": lambda policy: policy.get_last_lr(),
    "base_lrs": lambda policy: policy.base_lrs,
    "state_dict": lambda policy: policy.state_dict(),
    "load_state_dict": lambda policy: policy.load_state_dict({"last_epoch": 1, "_last_lr": [0.1]}),
    "optimizer": lambda policy: policy.optimizer,
}


@pytest.mark.spec("B14")
@EVERY_POLICY
@pytest.mark.parametrize("use", NEEDS_AN_OPTIMIZER.values(), ids=NEEDS_AN_OPTIMIZER.keys())
def test_what_needs_an_optimizer_says_so(make: MakePolicy, use: Callable[[Policy], object]) -> None:
    policy = make()
    text = "is not bound to an optimizer: call policy(optimizer) first"
    message = f"(?m)^{type(policy).__name__} {re.escape(text)}$"
    assert policy.last_epoch == -1
    with unchanged(policy), pytest.raises(UnboundPolicyError, match=message):
        use(policy)


@pytest.mark.spec("B14")
@pytest.mark.parametrize("make", [Switch, Multiply, Schedule, Scale])
def test_an_unbound_policy_says_so_whatever_torch_asks_of_it(make: Any) -> None:
    policy = make(math.cos if make in (Schedule, Scale) else {})
    with pytest.raises(UnboundPolicyError):
        policy._update_lr(0)
    with pytest.raises(UnboundPolicyError):
        policy._initial_step()


@pytest.mark.spec("B14")
def test_the_error_is_a_runtime_error_and_an_attribute_error() -> None:
    assert issubclass(UnboundPolicyError, RuntimeError)
    assert issubclass(UnboundPolicyError, AttributeError)
    assert getattr(Halving(), "optimizer", None) is None


@pytest.mark.spec("B15", "K1")
@EVERY_POLICY
def test_repr_copy_pickle_and_simulate_work_unbound(make: MakePolicy) -> None:
    policy = make()
    with unchanged(policy):
        for other in (copy.copy(policy), copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
            assert other is not policy
            assert type(other) is type(policy)
            if isinstance(policy, MappingPolicy):
                assert repr(other) == repr(policy)
                assert other.lr_at(2) == policy.lr_at(2)
        assert simulate(policy, 3, lr=0.5).shape == (3, 1)


@pytest.mark.spec("K1")
def test_a_copy_shares_no_policy_that_the_original_holds() -> None:
    class Inside(Policy):
        def __init__(self, policy: Policy) -> None:
            self.policy = policy

        def get_lr(self) -> list[float | Tensor]:
            return [0.5 for _ in self.base_lrs]

    policy = Inside(Switch({0: 0.25})(sgd(0.5)))
    for one in (policy, policy(sgd(0.5))):
        other = copy.copy(one).policy
        assert not hasattr(other, "optimizer")
        assert other == Switch({0: 0.25})


@pytest.mark.spec("B17")
@EVERY_POLICY
def test_bound_the_optimizer_is_a_plain_attribute(make: MakePolicy) -> None:
    class Wrapper:
        """What frameworks put around an optimizer: they then assign it to the scheduler."""

        def __init__(self, optimizer: Optimizer) -> None:
            self.optimizer = optimizer

        def __getattr__(self, name: str) -> Any:
            return getattr(self.optimizer, name)

    optimizer = sgd(0.5)
    policy, twin = make()(optimizer), make()(sgd(0.5))
    assert vars(policy)["optimizer"] is optimizer
    policy.optimizer = Wrapper(optimizer)  # type: ignore[assignment]
    assert isinstance(policy.optimizer, Wrapper)
    advance(policy, 3)
    advance(twin, 3)
    assert lrs(optimizer) == twin.get_last_lr()


@pytest.mark.spec("B17", "K2")
def test_a_policy_whose_optimizer_is_wrapped_by_no_optimizer_is_copied_too() -> None:
    class Wrapper:
        def __init__(self, optimizer: Optimizer) -> None:
            self.wrapped = optimizer

        @property
        def param_groups(self) -> list[dict[str, Any]]:
            return self.wrapped.param_groups

        def step(self) -> None:
            self.wrapped.step()

    policy = Switch({2: 0.5}, lr_init=None)(sgd(0.1))
    advance(policy)
    policy.optimizer = Wrapper(policy.optimizer)  # type: ignore[assignment]
    for other in (copy.deepcopy(policy), policy):
        assert advance(other, 2) == [0.5, 0.5]
    assert policy.last_epoch == 3


# Custom policies


class Plain(Policy):
    """It has `get_lr` alone."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 / (1 + self.last_epoch)] * len(self.optimizer.param_groups)


class WithInit(Plain):
    """It has an `__init__` of its own that never calls Policy's."""

    def __init__(self, note: str = "mine") -> None:
        self.note = note


class WithSuper(Plain):
    """Its `__init__` calls Policy's, which takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.note = "mine"


@dataclass
class Data(Plain):
    """A dataclass."""

    note: str = "mine"
    history: list[float] = field(default_factory=list)


@dataclass(eq=False)
class DataByIdentity(Plain):
    """A dataclass that compares by identity."""

    note: str = "mine"


class Slotted(Plain):
    """Its own attributes are slots."""

    __slots__ = ("note",)

    def __init__(self) -> None:
        self.note = "mine"


@dataclass(slots=True)
class SlottedData(Plain):
    """A dataclass with slots."""

    note: str = "mine"


class DocumentStyle(Plain):
    """It defines what the document marks abstract and calls `super()`."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("note")


class ByTuple(Policy):
    """It returns a tuple of whatever kind of number."""

    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        lr = 0.5 / (1 + self.last_epoch)
        return tuple(torch.tensor(lr, dtype=torch.float64) for _ in self.optimizer.param_groups)


CUSTOM: list[type[Policy]] = [
    Plain,
    WithInit,
    WithSuper,
    Data,
    DataByIdentity,
    Slotted,
    SlottedData,
    DocumentStyle,
    ByTuple,
]


@pytest.mark.spec("S7")
@pytest.mark.parametrize("cls", CUSTOM)
def test_a_custom_policy_needs_get_lr_alone(cls: type[Policy]) -> None:
    policy, optimizer = cls(), sgd(0.1, 0.2)
    assert policy.last_epoch == -1
    assert policy(optimizer) is policy
    seen = [lrs(optimizer)]
    for _ in range(3):
        advance(policy)
        assert policy.get_last_lr() == lrs(optimizer)
        seen.append(lrs(optimizer))
    assert seen == [[0.5 / (1 + t)] * 2 for t in range(4)]
    assert policy.base_lrs == [0.1, 0.2]


@pytest.mark.spec("S7", "T7")
@pytest.mark.parametrize("cls", CUSTOM)
def test_a_custom_policy_saves_and_loads(cls: type[Policy]) -> None:
    policy, fresh = cls()(sgd(0.1)), cls()(sgd(0.1))
    advance(policy, 2)
    fresh.load_state_dict(policy.state_dict())
    assert fresh.last_epoch == 2
    assert fresh.get_last_lr() == policy.get_last_lr()


@pytest.mark.spec("K1", "K4")
@pytest.mark.parametrize("cls", CUSTOM)
def test_a_custom_policy_copies_pickles_and_has_a_repr(cls: type[Policy]) -> None:
    policy = cls()
    for other in (
        policy,
        copy.copy(policy),
        copy.deepcopy(policy),
        pickle.loads(pickle.dumps(policy)),
    ):
        assert repr(other).startswith(f"{cls.__name__}(")
        assert " at 0x" not in repr(other)
        assert getattr(other, "note", "mine") == "mine"
        assert other(sgd()).get_last_lr() == [0.5]


@pytest.mark.spec("S7")
@pytest.mark.parametrize("cls", [Policy, MappingPolicy])
def test_a_policy_without_get_lr_is_abstract(cls: type[Policy]) -> None:
    class Incomplete(Policy):
        pass

    with pytest.raises(TypeError, match="abstract"):
        cls()
    with pytest.raises(TypeError, match="get_lr"):
        Incomplete()  # type: ignore[abstract]


@pytest.mark.spec("B1", "T7")
def test_code_written_for_the_document_works() -> None:
    class NewPolicy(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [group["lr"] * 0.5 for group in self.optimizer.param_groups]

        def state_dict(self) -> dict[str, Any]:
            return self.prepare_state_dict("scratch")

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.scratch = "loading"
            super().load_state_dict(state_dict)

    optimizer = Adam([parameter()], lr=1.0)
    scheduler = NewPolicy()
    scheduler(optimizer)
    scheduler = scheduler(optimizer)
    assert scheduler.optimizer is optimizer
    scheduler.scratch = "anything"
    assert "scratch" not in scheduler.state_dict()
    scheduler.load_state_dict(scheduler.state_dict())
    assert scheduler.scratch == "loading"


@pytest.mark.spec("V14", "S7")
def test_a_get_lr_that_wraps_ours_is_asked() -> None:
    class Half(Switch):
        @functools.wraps(Switch.get_lr)
        def get_lr(self) -> Any:  # type: ignore[override]
            return [lr / 2 for lr in super().get_lr()]

    optimizer = sgd(1.0)
    policy = Half({0: 0.8, 1: 0.4}, lr_init=None)(optimizer)
    assert [*policy.get_last_lr(), *advance(policy)] == [0.4, 0.2]
    with pytest.warns(UserWarning, match="lr_init was not given"):
        Half({0: 0.8})(sgd(1.0))


@pytest.mark.spec("V14", "V21")
def test_a_get_lr_of_one_instance_is_asked_and_simulated() -> None:
    policy = Switch({0: 0.1}, lr_init=None)
    policy.get_lr = lambda: [0.5]  # type: ignore[method-assign]
    assert simulate(policy, 2, lr=1.0).tolist() == [[0.5], [0.5]]
    assert policy(sgd(0.1)).get_last_lr() == [0.5]


@pytest.mark.spec("K1", "K2")
def test_a_policy_pickles_as_the_manual_says() -> None:
    class Manual(Halving):
        def __getstate__(self) -> dict[str, Any]:
            return self.__dict__.copy()

    assert copy.deepcopy(Manual()).last_epoch == -1
    assert copy.deepcopy(Manual()(sgd(0.1))).last_epoch == 0


@pytest.mark.spec("V21")
def test_a_custom_policy_of_no_groups_has_no_lr_at() -> None:
    class Same(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5 for _ in self.optimizer.param_groups]

    policy = Same()(sgd(0.5))
    policy.optimizer.param_groups.clear()
    with pytest.raises(ValueError, match="empty parameter list"):
        policy.lr_at(2)


@pytest.mark.spec("V20", "V21")
def test_what_a_custom_policy_needs_to_be_asked_is_said() -> None:
    class Half(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [start / 2 for start in self.base_lrs]

    text = (
        r"^Half: the lr depends on where the param groups start: call policy\(optimizer\) first, "
        r"or simulate\(policy, ...\) for made-up groups$"
    )
    with pytest.raises(ValueError, match=text):
        Half().lr_at(0)
    with pytest.raises(TypeError, match=r"^Half: the epoch must be an integer, not 0\.5"):
        Half().lr_at(0.5)  # type: ignore[arg-type]
    text = "^Scale at epoch 3, group 0: the lr depends .* or give lr_init$"
    with pytest.raises(ValueError, match=text):
        Scale(lambda _: 0.5).lr_at(3)


# Tensor lrs

TENSOR_POLICIES: dict[str, MakePolicy] = {
    "Switch": lambda: Switch({0: 0.5, 2: 0.25}),
    "Multiply": lambda: Multiply({1: 0.5, 2: 0.25}, lr_init=1e-3),
    "Schedule": lambda: Schedule(reciprocal),
    "Scale": lambda: Scale(reciprocal),
    "custom": Halving,
}
EVERY_TENSOR_POLICY = pytest.mark.parametrize(
    "make", TENSOR_POLICIES.values(), ids=TENSOR_POLICIES.keys()
)


@pytest.mark.spec("B18")
@EVERY_TENSOR_POLICY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,)], ids=["0-dim", "shape [1]"])
def test_a_tensor_lr_stays_the_same_object(
    make: MakePolicy, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    """pytorch#107076, #120934: a new or a float lr makes torch.compile compile again."""
    held = [torch.full(shape, lr, dtype=dtype) for lr in (0.125, 0.25)]
    optimizer, plain = sgd(*held), sgd(0.125, 0.25)
    policy, twin = make()(optimizer), make()(plain)
    for _ in range(4):
        assert [group["lr"] for group in optimizer.param_groups] == held
        assert all(a is b["lr"] for a, b in zip(held, optimizer.param_groups, strict=True))
        assert [(lr.dtype, lr.shape) for lr in held] == [(dtype, torch.Size(shape))] * 2
        assert lrs(optimizer) == pytest.approx(lrs(plain), rel=0.02)
        assert [float(lr) for lr in policy.get_last_lr()] == lrs(optimizer)
        advance(policy)
        advance(twin)
    policy.load_state_dict(policy.state_dict())
    assert all(a is b["lr"] for a, b in zip(held, optimizer.param_groups, strict=True))


def shared_tensor() -> list[Tensor]:
    """One tensor."""
    return [tensor(0.5)] * 3


def views_of_one_element() -> list[Tensor]:
    """Different views of the same element."""
    buffer = torch.full((4,), 0.5, dtype=torch.float64)
    return [buffer[2], buffer[2:3], buffer.view(2, 2)[1, 0]]


SHARING = pytest.mark.parametrize("sharing", [shared_tensor, views_of_one_element])


@pytest.mark.spec("B19")
@EVERY_TENSOR_POLICY
@SHARING
def test_the_first_of_the_groups_that_share_keeps_it_and_each_other_gets_its_own(
    make: MakePolicy, sharing: Callable[[], list[Tensor]]
) -> None:
    """pytorch#107076, its neighbour: Adam(params, lr=tensor) gives every group that tensor."""
    held = sharing()
    optimizer, plain = sgd(*held), sgd(0.5, 0.5, 0.5)
    policy, twin = make()(optimizer), make()(plain)
    own = [group["lr"] for group in optimizer.param_groups]
    assert own[0] is held[0]
    assert not overlap(own[0], own[1])
    assert not overlap(own[0], own[2])
    assert not overlap(own[1], own[2])
    assert [(lr.dtype, lr.shape) for lr in own] == [(lr.dtype, lr.shape) for lr in held]
    for _ in range(4):
        assert lrs(optimizer) == lrs(plain)
        assert all(a is b["lr"] for a, b in zip(own, optimizer.param_groups, strict=True))
        advance(policy)
        advance(twin)


@pytest.mark.spec("B18", "B19")
@EVERY_TENSOR_POLICY
def test_views_of_different_elements_of_one_buffer_are_left_alone(make: MakePolicy) -> None:
    buffer = torch.full((3,), 0.5, dtype=torch.float64)
    held = [buffer[0], buffer[1:2], buffer[2]]
    optimizer, plain = sgd(*held), sgd(0.5, 0.5, 0.5)
    policy, twin = make()(optimizer), make()(plain)
    advance(policy, 3)
    advance(twin, 3)
    assert all(a is b["lr"] for a, b in zip(held, optimizer.param_groups, strict=True))
    assert buffer.tolist() == lrs(plain)


@pytest.mark.spec("B19")
def test_lrs_that_share_a_number_of_numpy_are_parted() -> None:
    """Tensors made of views of one array begin at other addresses, and share their elements."""
    array = np.array([0.5, 0.5])
    optimizer = sgd(torch.from_numpy(array)[1], torch.from_numpy(array[1:])[0])
    Schedule([lambda epoch: 0.5, lambda epoch: 0.25])(optimizer)
    assert lrs(optimizer) == [0.5, 0.25]


class Sub(torch.Tensor):
    """A tensor that nobody knows how to read."""


@pytest.mark.spec("B19", "B20")
def test_memory_is_shared_with_a_tensor_of_another_class_too() -> None:
    shared = tensor(0.125)
    optimizer = sgd(shared, shared.as_subclass(Sub))
    policy = Schedule([lambda _: 0.5, lambda _: 0.25])(optimizer)
    assert [float(lr) for lr in policy.get_last_lr()] == [0.5, 0.25]
    optimizer = sgd(tensor(0.125).as_subclass(Sub))
    [group] = optimizer.param_groups
    group["initial_lr"] = group["lr"].as_subclass(torch.Tensor)
    Schedule(lambda _: 0.5)(optimizer)
    assert (float(group["lr"]), float(group["initial_lr"])) == (0.5, 0.125)


@pytest.mark.spec("B19", "B21")
@pytest.mark.parametrize("policy", [Switch({0: 0.5, 2: 0.25}), Multiply({2: 0.5}, 0.5)])
def test_tensors_that_are_separated_in_inference_mode_are_written_outside_it(
    policy: Policy,
) -> None:
    shared = tensor(0.1)
    optimizer = sgd(shared, shared)
    with torch.inference_mode():
        policy(optimizer)
    assert advance(policy, 3)[-1] is shared
    assert policy.get_last_lr() == [tensor(0.25)] * 2


@pytest.mark.spec("B19", "S14")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25}, lr_init=0.5), [0.25, 0.25]),
        (Multiply({1: 0.5}, lr_init=0.5), [0.25, 0.25]),
        (Schedule(reciprocal), [0.5, 0.5]),
        (Scale(reciprocal), [0.25, 0.25]),
        (Halving(), [0.25, 0.25]),
    ],
    ids=named,
)
def test_a_group_added_later_does_not_share_group_0_s_lr_after_the_next_change(
    policy: Policy, expected: list[float]
) -> None:
    """pytorch#20997, its neighbour: optimizer.defaults holds the lr tensor of group 0."""
    optimizer = SGD([parameter()], lr=tensor(0.5))  # type: ignore[arg-type, unused-ignore]
    policy(optimizer)
    first = optimizer.param_groups[0]["lr"]
    optimizer.add_param_group({"params": [parameter()]})
    if optimizer.param_groups[1]["lr"] is not first:  # what torch does today
        pytest.fail("torch no longer hands group 0's tensor to a group added later")
    advance(policy)
    assert optimizer.param_groups[0]["lr"] is first
    assert not overlap(first, optimizer.param_groups[1]["lr"])
    assert lrs(optimizer) == expected


@pytest.mark.spec("B19", "S11")
@EVERY_TENSOR_POLICY
def test_sharing_that_load_state_dict_brings_ends_at_the_next_change(make: MakePolicy) -> None:
    donor, optimizer, plain = sgd(*shared_tensor()), sgd(0.1, 0.1, 0.1), sgd(0.1, 0.1, 0.1)
    policy, twin = make()(optimizer), make()(plain)
    for scheduler, target in ((policy, optimizer), (twin, plain)):
        advance(scheduler)
        target.load_state_dict(donor.state_dict())
    plain.param_groups[0]["lr"], plain.param_groups[1]["lr"], plain.param_groups[2]["lr"] = [
        0.5
    ] * 3
    first = optimizer.param_groups[0]["lr"]
    assert first is optimizer.param_groups[2]["lr"]
    advance(policy)
    advance(twin)
    assert optimizer.param_groups[0]["lr"] is first
    assert not overlap(first, optimizer.param_groups[1]["lr"])
    assert not overlap(optimizer.param_groups[1]["lr"], optimizer.param_groups[2]["lr"])
    assert lrs(optimizer) == lrs(plain)


@pytest.mark.spec("B19")
@EVERY_TENSOR_POLICY
def test_sharing_that_load_state_dict_brings_ends_at_a_load(make: MakePolicy) -> None:
    optimizer = sgd(tensor(0.1), tensor(0.2))
    policy = make()(optimizer)
    state = policy.state_dict()
    state["_last_lr"] = [0.25, 0.75]
    optimizer.load_state_dict(sgd(*shared_tensor()[:2]).state_dict())
    first = optimizer.param_groups[0]["lr"]
    policy.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] is first
    assert lrs(optimizer) == [0.25, 0.75]


@pytest.mark.spec("B20")
@EVERY_TENSOR_POLICY
def test_nothing_recorded_or_returned_overlaps_a_live_lr(make: MakePolicy) -> None:
    """pytorch#126854, #162359: an lr filled in place changed base_lrs, or initial_lr."""
    optimizer = sgd(tensor(0.5), tensor(0.25))
    policy = make()(optimizer)
    for _ in range(3):
        live = [group["lr"] for group in optimizer.param_groups]
        recorded: list[Any] = [
            [group["initial_lr"] for group in optimizer.param_groups],
            policy.base_lrs,
            policy.get_last_lr(),
            policy.get_lr(),
            policy.state_dict(),
            getattr(policy, "current_lr_init", None),
            {key: value for key, value in vars(policy).items() if key != "optimizer"},
        ]
        found = tensors_in(recorded)
        assert not any(overlap(lr, other) for lr in live for other in found)
        advance(policy)


@pytest.mark.spec("B20", "B10")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_without_lr_init_nothing_recorded_overlaps_a_live_lr(cls: Any) -> None:
    optimizer = sgd(tensor(0.5), tensor(0.25))
    policy = cls({1: 0.125}, lr_init=None)(optimizer)
    advance(policy, 2)
    assert [float(lr) for lr in policy.base_lrs] == [0.5, 0.25]
    assert [float(lr) for lr in policy.current_lr_init] == [0.5, 0.25]
    assert [float(group["initial_lr"]) for group in optimizer.param_groups] == [0.5, 0.25]
    policy.set_optimizer(optimizer)
    assert lrs(optimizer) == [0.5, 0.25]


@pytest.mark.spec("B20", "V10")
def test_a_recorded_initial_lr_is_copied_into_the_live_tensor() -> None:
    recorded, live = tensor(0.75), tensor(0.5)
    optimizer = sgd(live)
    optimizer.param_groups[0]["initial_lr"] = recorded
    policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
    advance(policy, 2)
    assert optimizer.param_groups[0]["lr"] is live
    assert float(live) == 0.375
    assert float(recorded) == 0.75


@pytest.mark.spec("B18")
@pytest.mark.parametrize("lr", [0.5, tensor(0.5)], ids=["float", "tensor"])
def test_a_float_lr_stays_a_float_whatever_get_lr_returns(lr: Value) -> None:
    optimizer = sgd(0.1, lr)
    policy = broken([tensor(0.25), tensor(0.25)])(optimizer)
    advance(policy)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert type(optimizer.param_groups[1]["lr"]) is type(lr)
    assert lrs(optimizer) == [0.25, 0.25]


@pytest.mark.spec("B18")
def test_a_lr_that_is_computed_from_a_parameter_brings_no_graph() -> None:
    weight = nn.Parameter(tensor(2.0))

    class Learned(Policy):
        def get_lr(self) -> list[Any]:
            return [weight * 0.25]

    lr = nn.Parameter(tensor(0.1), requires_grad=False)
    Learned()(sgd(lr))
    assert float(lr) == 0.5
    assert not lr.requires_grad
    assert lr.grad_fn is None


@pytest.mark.spec("B21")
def test_in_inference_mode_a_lr_of_that_mode_is_written_in_place() -> None:
    with torch.inference_mode():
        lr = tensor(0.25)
        optimizer = sgd(lr)
        Switch({0: 0.5})(optimizer)
    assert optimizer.param_groups[0]["lr"] is lr
    assert float(lr) == 0.5


@pytest.mark.spec("B22")
@pytest.mark.parametrize("make", [lambda: Schedule(reciprocal), lambda: Switch({0: 0.5})])
def test_a_lr_without_data_is_never_read_and_its_start_is_a_copy_of_it(make: MakePolicy) -> None:
    lr = torch.tensor(0.5, device="meta")
    policy = make()(sgd(lr))
    start: Any = policy.base_lrs[0]
    assert isinstance(start, Tensor)
    assert start is not lr
    assert (start.device, start.dtype, start.shape) == (lr.device, lr.dtype, lr.shape)
    assert policy.optimizer.param_groups[0]["lr"] is lr


@pytest.mark.spec("B20", "B22", "V9")
def test_a_start_without_data_is_apart_from_the_initial_lr_that_is_written() -> None:
    optimizer = sgd(0.5, torch.tensor(0.5, device="meta"))
    policy = Scale([lambda _: 0.5, None], lr_init=0.25)(optimizer)
    assert optimizer.param_groups[1]["initial_lr"] is not policy.base_lrs[1]
