"""What a group starts from, when a policy asks whether that was meant, and binding at an epoch."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import Halving, advance, line_of_call, lrs, overlap, parameter, sgd, tensor, unchanged
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch

Bind: TypeAlias = Callable[[Policy, Optimizer], object]
BY_CALL_OR_METHOD = pytest.mark.parametrize(
    "bind",
    [
        lambda policy, optimizer: policy(optimizer),
        lambda policy, optimizer: policy.set_optimizer(optimizer),
    ],
    ids=["call", "set_optimizer"],
)


def half(epoch: int) -> float:
    return 0.5**epoch


class Shares(MappingPolicy[dict[int, float]]):
    """A custom MappingPolicy: a share of the start at each epoch."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        mappings, starts = self.current_mapping or [], self.current_lr_init or []
        return [lr * shares.get(self.last_epoch, 1.0) for shares, lr in zip(mappings, starts)]


class OwnSwitch(Switch):
    """A subclass with a get_lr of its own."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [2 * lr for lr in self.base_lrs]


class OwnSchedule(Schedule):
    """A subclass with a get_lr of its own."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [2 * lr for lr in self.base_lrs]


class Named(Switch):
    """A subclass that computes what Switch does."""


class Decay(Policy):
    """A custom policy that needs no more than base_lrs and the epoch."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [lr * 0.5**self.last_epoch for lr in self.base_lrs]


@contextmanager
def warned(*parts: str) -> Iterator[None]:
    """Expect one warning from this file that says all this."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    [warning] = caught
    assert (warning.category, warning.filename) == (UserWarning, __file__)
    assert [part for part in parts if part not in str(warning.message)] == []


# The default of lr_init.


DEPENDENT: dict[str, Callable[[], MappingPolicy[Any]]] = {
    "Switch": lambda: Switch({1: 0.5}),
    "Switch of nothing": lambda: Switch({}),
    "Multiply": lambda: Multiply({1: 0.5}),
    "Multiply with 0": lambda: Multiply({0: 0.5}),
    "a custom one": lambda: Shares({1: 0.5}),
    "a subclass of Switch with 0": lambda: OwnSwitch({0: 0.5}),
    "a subclass of Schedule": lambda: OwnSchedule(half),
}
dependent = pytest.mark.parametrize("make", DEPENDENT.values(), ids=DEPENDENT)


@pytest.mark.spec("V12", "V14")
@dependent
@BY_CALL_OR_METHOD
def test_where_values_depend_on_a_default_that_is_not_the_lr_binding_warns(
    make: Callable[[], MappingPolicy[Any]], bind: Bind
) -> None:
    policy, optimizer = make(), sgd(0.1)
    with warned("0.1", "0.001", "lr_init=None", "lr_init=1e-3"):
        bind(policy, optimizer)
    assert policy.base_lrs == [1e-3]


@pytest.mark.spec("V12")
def test_the_warning_has_the_line_of_the_binding() -> None:
    policy = Switch({1: 0.5})
    with pytest.warns(UserWarning, match="lr_init=None") as caught:
        policy(sgd(0.1))
    [warning] = caught
    function = test_the_warning_has_the_line_of_the_binding
    assert (warning.filename, warning.lineno) == (
        __file__,
        line_of_call(function, "policy(sgd(0.1))"),
    )


@pytest.mark.spec("V12")
def test_of_several_groups_one_warning_names_one_with_another_lr() -> None:
    with warned("0.25"):
        Multiply({1: 0.5})(sgd(1e-3, 0.25, 0.25))


@pytest.mark.spec("V12")
@dependent
@pytest.mark.parametrize(
    "dtype", [None, torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_the_default_is_silent_where_the_lr_is_1e_3_in_its_dtype(
    make: Callable[[], MappingPolicy[Any]], dtype: torch.dtype | None
) -> None:
    lr = tensor(1e-3, dtype) if dtype else 1e-3
    policy = make()(sgd(lr, 1e-3))
    assert policy.base_lrs == [1e-3, 1e-3]


@pytest.mark.spec("V12")
def test_the_default_is_silent_where_the_initial_lr_is_1e_3() -> None:
    optimizer = sgd(0.25, 0.5)
    optimizer.param_groups[0]["initial_lr"] = 1e-3
    optimizer.param_groups[1]["initial_lr"] = tensor(1e-3, torch.float32)
    Multiply({1: 0.5})(optimizer)
    assert lrs(optimizer) == [1e-3, 1e-3]


@pytest.mark.spec("V12")
def test_the_default_device_does_not_matter() -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = sgd(torch.tensor(1e-3, device="cpu"))
        Multiply({1: 0.5})(optimizer)
        assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(1e-3)


@pytest.mark.spec("V12")
@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1.001e-3, None), (1.001e-3, torch.float32), (1.02e-3, torch.bfloat16)],
    ids=["float", "float32", "bfloat16"],
)
def test_what_the_dtype_tells_from_1e_3_is_another_lr(
    value: float, dtype: torch.dtype | None
) -> None:
    lr = tensor(value, dtype) if dtype else value
    with warned(str(float(lr))):
        Multiply({1: 0.5})(sgd(lr))


@pytest.mark.spec("V12")
@dependent
def test_a_warning_made_an_error_leaves_optimizer_and_policy_as_they_were(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    policy, optimizer = make(), sgd(0.1, tensor(0.25))
    with unchanged(policy, optimizer), pytest.raises(UserWarning, match="lr_init was not given"):
        policy(optimizer)


@pytest.mark.spec("V12", "V15")
@pytest.mark.parametrize(
    ("lr_init", "start"), [(1e-3, 1e-3), (0.2, 0.2), ([0.2], 0.2), (None, 0.1)], ids=str
)
def test_what_was_given_is_not_warned_of(lr_init: Any, start: float) -> None:
    for policy in (Switch({1: 0.5}, lr_init), Multiply({1: 0.5}, lr_init=lr_init)):
        assert policy(sgd(0.1)).base_lrs == [start]


@pytest.mark.spec("V13")
@pytest.mark.parametrize(
    "make",
    [lambda: Schedule(half), lambda: Switch({0: 0.5, 2: 0.25}), lambda: Named({0: 0.5})],
    ids=["Schedule", "Switch with 0", "a subclass of Switch with 0"],
)
@BY_CALL_OR_METHOD
def test_where_no_value_depends_on_the_default_groups_start_from_their_own_lr(
    make: Callable[[], Policy], bind: Bind
) -> None:
    optimizer = sgd(0.25, tensor(0.125))
    optimizer.param_groups[0]["initial_lr"] = 0.75
    policy = make()
    bind(policy, optimizer)
    assert policy.base_lrs == [0.25, 0.125]


@pytest.mark.spec("V13", "V12")
def test_each_group_is_asked_by_its_own_mapping() -> None:
    mappings = [{0: 0.5}, {1: 0.5}]
    policy = Switch(mappings)(sgd(0.25, 1e-3))
    assert policy.base_lrs == [0.25, 1e-3]
    with warned("0.25"):
        policy = Switch(mappings)(sgd(1e-3, 0.25))
    assert policy.base_lrs == [1e-3, 1e-3]


@pytest.mark.spec("V12", "V13")
def test_what_counts_are_the_values_from_the_epoch_bound_at_on() -> None:
    policy = Switch({3: 0.5})(sgd(0.25), last_epoch=2)
    assert policy.base_lrs == [0.25]
    with warned("0.25"):
        Switch({3: 0.5})(sgd(0.25), last_epoch=1)
    with warned("0.25"):
        Multiply({3: 0.5})(sgd(0.25), last_epoch=7)


@pytest.mark.spec("V15")
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))]
    + [lambda policy: policy.in_steps(2), lambda policy: copy.copy(policy(sgd(1e-3)))],
    ids=["copy", "deepcopy", "pickle", "in_steps", "copy of a bound one"],
)
def test_copy_pickle_and_in_steps_keep_not_given(again: Callable[[Any], Policy]) -> None:
    with warned("0.1"):
        again(Switch({1: 0.5}))(sgd(0.1))
    assert again(Switch({0: 0.5}))(sgd(0.1)).base_lrs == [0.1]


@pytest.mark.spec("V15")
def test_what_was_written_out_counts_as_given() -> None:
    for given_, written in [(Switch({1: 0.5}), "Switch"), (Multiply({1: 0.5}), "Multiply")]:
        policy = eval(repr(given_))(sgd(0.1))
        assert type(policy).__name__ == written
        assert policy.base_lrs == [1e-3]
    assert eval(repr(Switch({0: 0.5})))(sgd(0.1)).base_lrs == [1e-3]


# lr_init.


@pytest.mark.spec("V10", "B5")
@pytest.mark.parametrize(
    ("lr_init", "starts"),
    [
        (0.5, [0.5, 0.5]),
        (0, [0.0, 0.0]),
        (Fraction(1, 4), [0.25, 0.25]),
        (np.float32(0.1), [float(np.float32(0.1))] * 2),
        (np.array(0.5), [0.5, 0.5]),
        ([0.5, 1], [0.5, 1.0]),
        ((0.5, tensor(0.25)), [0.5, 0.25]),
        (None, [0.75, 0.25]),
    ],
    ids=str,
)
@pytest.mark.parametrize("held", [float, tensor], ids=["floats", "tensors"])
def test_groups_start_from_what_lr_init_says(
    lr_init: Any, starts: list[float], held: Callable[[float], Any]
) -> None:
    optimizer = sgd(held(0.5), held(0.25))
    optimizer.param_groups[0]["initial_lr"] = held(0.75)
    policy = Multiply({1: 0.5}, lr_init)
    assert (policy.current_mapping, policy.current_lr_init) == (None, None)
    policy(optimizer)
    assert policy.base_lrs == starts == policy.current_lr_init == lrs(optimizer)
    assert {*map(type, policy.base_lrs)} == {float}
    assert policy.current_mapping == [{1: 0.5}, {1: 0.5}]


@pytest.mark.spec("V11")
def test_lr_init_is_1e_3_by_default_and_none_for_scale() -> None:
    assert [Switch({}).lr_init, Multiply({}).lr_init, Schedule(half).lr_init] == [1e-3] * 3
    assert Shares({}).lr_init == 1e-3
    assert Scale(half).lr_init is None


@pytest.mark.spec("V10")
def test_an_initial_lr_of_any_shape_is_multiplied() -> None:
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["initial_lr"] = torch.tensor([0.5], dtype=torch.float64)
    assert Multiply({0: 0.5}, lr_init=None)(optimizer).get_last_lr() == [0.25]


@pytest.mark.spec("V10", "S2")
def test_an_initial_lr_that_is_not_finite_is_refused() -> None:
    optimizer = sgd(tensor(0.5), tensor(0.5))
    optimizer.param_groups[1]["initial_lr"] = math.nan
    with (
        unchanged(optimizer),
        pytest.raises(ValueError, match=r"^Multiply, group 1: the lr must be finite, not nan$"),
    ):
        Multiply({0: 0.5}, lr_init=None)(optimizer)


@pytest.mark.spec("V11", "V4")
@pytest.mark.parametrize("several", [False, True], ids=["one callable", "one a group"])
def test_scale_is_lambda_lr_bound_late(several: bool) -> None:
    theirs, ours = sgd(0.1, 0.7), sgd(0.1, 0.7)
    functions: Any = [half, math.cos] if several else half
    scheduler, policy = LambdaLR(theirs, functions), Scale(functions)(ours)
    for _ in range(6):
        assert lrs(ours) == lrs(theirs)
        assert policy.base_lrs == scheduler.base_lrs
        advance(scheduler)
        advance(policy)


@pytest.mark.spec("V11")
def test_scale_takes_late_groups_in_with_the_lr_that_they_have() -> None:
    optimizer = sgd(0.5)
    policy = Scale(half)(optimizer)
    advance(policy)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.25})
    advance(policy)
    assert lrs(optimizer) == [0.5 * 0.25, 0.25 * 0.25]
    assert policy.base_lrs == [0.5, 0.25]


# initial_lr.


@pytest.mark.spec("B8")
@pytest.mark.parametrize(
    ("make", "initial_lrs"),
    [
        (lambda: Multiply({0: 0.5}, lr_init=0.125), [0.125, 0.125, 0.75]),
        (lambda: Multiply({0: 0.5}, lr_init=[0.125, 0.5, 1.0]), [0.125, 0.5, 0.75]),
        (lambda: Multiply({0: 0.5}, lr_init=None), [0.5, 0.25, 0.75]),
        (lambda: Switch({0: 0.0625}), [0.5, 0.25, 0.75]),
        (lambda: Schedule(half), [0.5, 0.25, 0.75]),
        (lambda: Schedule(half, lr_init=0.125), [0.125, 0.125, 0.75]),
        (lambda: Scale(half), [0.5, 0.25, 0.75]),
        (Halving, [0.5, 0.25, 0.75]),
    ],
    ids=["number", "list", "None", "Switch, not given", "Schedule, not given", "Schedule"]
    + ["Scale", "custom"],
)
@pytest.mark.parametrize("held", [float, tensor], ids=["floats", "tensors"])
@pytest.mark.parametrize("last_epoch", [-1, 2])
def test_a_group_without_initial_lr_gets_what_was_given_or_what_it_had(
    make: Callable[[], Policy],
    initial_lrs: list[float],
    held: Callable[[float], Any],
    last_epoch: int,
) -> None:
    optimizer = sgd(held(0.5), held(0.25), held(1.0))
    optimizer.param_groups[2]["initial_lr"] = held(0.75)
    make()(optimizer, last_epoch)
    assert [float(group["initial_lr"]) for group in optimizer.param_groups] == initial_lrs
    for group in optimizer.param_groups:
        assert not overlap(group["initial_lr"], group["lr"])


@pytest.mark.spec("B8", "V12")
def test_the_default_that_nobody_wrote_is_no_initial_lr() -> None:
    optimizer = sgd(0.25)
    with warned("0.25"):
        Multiply({1: 0.5})(optimizer)
    assert lrs(optimizer) == [1e-3]
    assert optimizer.param_groups[0]["initial_lr"] == 0.25


# Binding at an epoch.


def factors(mapping: dict[int, float], start: float, epoch: int) -> float:
    for milestone in sorted(mapping):
        if milestone <= epoch:
            start *= mapping[milestone]
    return start


def last(mapping: dict[int, float], start: float, epoch: int) -> float:
    reached = [milestone for milestone in mapping if milestone <= epoch]
    return mapping[max(reached)] if reached else start


# For each kind its class, what makes its mapping of numbers, and the lr from a start at an epoch.
KINDS: dict[str, tuple[Any, Callable[[dict[int, float]], Any], Callable[..., float]]] = {
    "Switch": (Switch, dict, last),
    "Multiply": (Multiply, dict, factors),
    "Schedule": (Schedule, lambda m: lambda t: m.get(t, t / 8), lambda m, s, t: m.get(t, t / 8)),
    "Scale": (Scale, lambda m: lambda t: m.get(t, t / 8), lambda m, s, t: s * m.get(t, t / 8)),
}
numbers = st.floats(0, 2)
mappings = st.dictionaries(st.integers(0, 8), numbers, max_size=4)


@pytest.mark.spec("B3", "B4", "B5", "V19")
@given(
    kind=st.sampled_from(sorted(KINDS)),
    groups=st.lists(st.tuples(mappings, numbers, numbers), min_size=1, max_size=3),
    broadcast=st.booleans(),
    given_starts=st.booleans(),
    epoch=st.integers(0, 10),
)
def test_a_policy_bound_at_an_epoch_is_where_stepping_would_have_taken_it(
    kind: str,
    groups: list[tuple[dict[int, float], float, float]],
    broadcast: bool,
    given_starts: bool,
    epoch: int,
) -> None:
    make, form, lr_at = KINDS[kind]
    rules = [groups[0][0] if broadcast else mapping for mapping, _, _ in groups]
    own, other = [lr for _, lr, _ in groups], [start for _, _, start in groups]
    starts = other if given_starts else own
    optimizer = sgd(*own)
    policy = make(
        form(rules[0]) if broadcast else [form(rule) for rule in rules],
        other if given_starts else None,
    )
    assert policy(optimizer, last_epoch=epoch - 1) is policy
    assert policy._step_count == 1
    assert policy.base_lrs == starts
    for t in range(epoch, epoch + 4):
        assert policy.last_epoch == t
        values = [lr_at(rule, start, t) for rule, start in zip(rules, starts)]
        assert lrs(optimizer) == values == policy.get_last_lr() == policy.lr_at(t)
        advance(policy)


@pytest.mark.spec("B3", "B4")
@pytest.mark.parametrize(
    "make",
    [Decay, Halving, lambda: Shares({3: 0.125}, lr_init=None)],
    ids=["by its epoch", "from what groups hold", "MappingPolicy"],
)
@pytest.mark.parametrize("epoch", range(5))
def test_a_custom_policy_bound_at_an_epoch_has_the_value_there(
    make: Callable[[], Policy], epoch: int
) -> None:
    stepped, optimizer = make()(sgd(0.5, 0.25)), sgd(0.5, 0.25)
    advance(stepped, epoch)
    policy = make()(optimizer, last_epoch=epoch - 1)
    assert (policy.last_epoch, policy._step_count) == (epoch, 1)
    assert lrs(optimizer) == lrs(stepped.optimizer) == policy.lr_at(epoch)
    advance(stepped)
    advance(policy)
    assert lrs(optimizer) == lrs(stepped.optimizer)


@pytest.mark.spec("B1", "B3", "B4")
def test_set_optimizer_takes_the_epoch_too_and_returns_none() -> None:
    policy: Policy = Scale(half)
    optimizer = sgd(0.5)
    result: object = policy.set_optimizer(optimizer, last_epoch=1)  # type: ignore[func-returns-value]
    assert result is None
    assert (policy.last_epoch, lrs(optimizer)) == (2, [0.125])


@pytest.mark.spec("B4")
@pytest.mark.parametrize("order", ["bind first", "optimizer first"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Multiply({2: 0.5, 5: 0.1}, lr_init=None),
        lambda: Switch({2: 0.5, 5: 0.1}, lr_init=None),
        lambda: Schedule(half),
        lambda: Scale(half),
    ],
    ids=["Multiply", "Switch", "Schedule", "Scale"],
)
def test_a_run_is_taken_up_at_an_epoch_without_a_state_of_the_policy(
    make: Callable[[], Policy], order: str
) -> None:
    whole = make()(sgd(0.7, 0.3))
    advance(whole, 4)
    saved = copy.deepcopy(whole.optimizer.state_dict())
    optimizer, policy = sgd(0.7, 0.3), make()
    if order == "bind first":
        policy(optimizer, last_epoch=3)
        optimizer.load_state_dict(saved)
    else:
        optimizer.load_state_dict(saved)
        policy(optimizer, last_epoch=3)
    for _ in range(4):
        assert lrs(optimizer) == lrs(whole.optimizer)
        assert policy.last_epoch == whole.last_epoch
        advance(policy)
        advance(whole)


def trained(lr: float) -> Adam:
    """Return an optimizer that was stepped, and has no ``initial_lr``: checkpoints may drop it."""
    optimizer = Adam([parameter()], lr=lr)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    optimizer.step()
    return optimizer


@pytest.mark.spec("B23")
@pytest.mark.parametrize("make", [lambda: Multiply({2: 0.5}, None), lambda: Scale(half)])
def test_a_start_that_may_have_been_scheduled_is_told(make: Callable[[], Policy]) -> None:
    with warned("group 0", "epoch 3", "0.25", "initial_lr", "give lr_init", "bind before"):
        make()(trained(0.25), last_epoch=2)
    recorded = trained(0.25)
    recorded.param_groups[0]["initial_lr"] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()(trained(0.25))  # a run goes on with a schedule that begins
        make()(sgd(0.25), last_epoch=2)  # whose state is loaded later
        make()(recorded, last_epoch=2)
        Multiply({2: 0.5}, 0.5)(trained(0.25), last_epoch=2)
        Switch({3: 0.5}, None)(trained(0.25), last_epoch=2)
        Scale(half, option="weight_decay")(trained(0.25), last_epoch=2)


@pytest.mark.spec("B2", "B3")
@pytest.mark.parametrize(
    ("last_epoch", "error"),
    [(-2, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError)],
)
def test_what_is_no_epoch_to_bind_at_changes_nothing(last_epoch: Any, error: type) -> None:
    policy, optimizer = Scale(half)(sgd(0.5)), sgd(0.25)
    with unchanged(policy, optimizer, policy.optimizer), pytest.raises(error):
        policy(optimizer, last_epoch=last_epoch)


@pytest.mark.spec("B2", "B4")
@pytest.mark.parametrize("held", [float, tensor], ids=["float", "tensor"])
def test_a_schedule_that_raises_at_the_epoch_changes_nothing(held: Callable[[float], Any]) -> None:
    def until_5(epoch: int) -> float:
        return [0.5, 0.4, 0.3, 0.2, 0.1][epoch]

    policy, optimizer = Schedule(until_5), sgd(held(0.25))
    with unchanged(policy, optimizer), pytest.raises(IndexError):
        policy(optimizer, last_epoch=4)
    assert lrs(policy(optimizer, last_epoch=3).optimizer) == [0.1]


# Binding again.


@pytest.mark.spec("B10")
@pytest.mark.parametrize("option", ["lr", "weight_decay"])
@pytest.mark.parametrize("kind", ["Multiply", "Scale", "custom"])
@pytest.mark.parametrize("recorded", ["as it was", "changed", "gone"])
def test_bound_again_groups_start_from_the_starts_that_they_had(
    option: str, kind: str, recorded: str
) -> None:
    groups = [{"params": [parameter()], option: value} for value in (0.5, 0.25)]
    optimizer = SGD(groups, lr=0.1)
    policies: dict[str, Policy] = {
        "Multiply": Multiply({1: 0.5}, lr_init=None, option=option),
        "Scale": Scale(half, option=option),
        "custom": Decay(option=option),
    }
    policy = policies[kind](optimizer)
    advance(policy, 2)
    optimizer.param_groups[0][option] = 7.0
    for group in optimizer.param_groups:
        if recorded == "changed":
            group["initial_lr"] = 3.0
        elif recorded == "gone":
            group.pop("initial_lr", None)
    optimizer.add_param_group({"params": [parameter()], option: 0.125})
    policy.set_optimizer(optimizer)
    assert policy.base_lrs == [0.5, 0.25, 0.125]
    assert [group[option] for group in optimizer.param_groups] == [0.5, 0.25, 0.125]
    assert (policy.last_epoch, policy._step_count) == (0, 1)


@pytest.mark.spec("B10", "V10")
def test_on_another_optimizer_they_start_from_its_own() -> None:
    policy = Multiply({1: 0.5}, lr_init=None)(sgd(0.5))
    advance(policy, 2)
    assert policy(sgd(0.125, 0.75)).base_lrs == [0.125, 0.75]


AGAIN: dict[str, Callable[[], Policy]] = {
    "Switch": lambda: Switch({1: 0.5}, lr_init=None),
    "Multiply": lambda: Multiply({1: 0.5}, lr_init=None),
    "Schedule": lambda: Schedule(half),
    "Scale": lambda: Scale(half),
    "custom": Decay,
}
each_kind = pytest.mark.parametrize("make", AGAIN.values(), ids=AGAIN)


@pytest.mark.spec("B11")
@each_kind
@pytest.mark.parametrize("last_epoch", [-1, 0, 1])
def test_a_call_that_takes_the_policy_back_on_its_optimizer_warns(
    make: Callable[[], Policy], last_epoch: int
) -> None:
    policy = make()(sgd(0.5))
    advance(policy, 3)
    with warned("set_optimizer", "3", str(last_epoch + 1)):
        policy(policy.optimizer, last_epoch)
    assert policy.last_epoch == last_epoch + 1


@pytest.mark.spec("B11")
def test_such_a_warning_made_an_error_leaves_everything_as_it_was() -> None:
    policy = Scale(half)(sgd(0.5, tensor(0.25)))
    advance(policy, 2)
    with unchanged(policy, policy.optimizer), pytest.raises(UserWarning, match="set_optimizer"):
        policy(policy.optimizer)


@pytest.mark.spec("B11", "B13")
@each_kind
def test_a_call_that_takes_it_nowhere_or_on_is_silent(make: Callable[[], Policy]) -> None:
    policy = make()(sgd(0.5))
    policy(policy.optimizer)
    advance(policy, 3)
    policy(policy.optimizer, last_epoch=2)
    policy(policy.optimizer, last_epoch=7)
    policy.set_optimizer(policy.optimizer)
    assert policy.last_epoch == 0


# Two optimizers.


@pytest.mark.spec("B12")
@each_kind
def test_of_two_optimizers_trained_side_by_side_the_one_left_is_told_at_the_next_step(
    make: Callable[[], Policy],
) -> None:
    generator, discriminator, policy = sgd(0.5), sgd(0.5), make()
    policy(generator)
    policy(discriminator)
    generator.step()
    discriminator.step()
    with warned("copy.copy(policy)"):
        policy.step()
    assert policy.last_epoch == 1
    generator.step()
    discriminator.step()
    policy.step()


@pytest.mark.spec("B12")
def test_the_warning_about_two_optimizers_has_the_line_of_the_step() -> None:
    generator, discriminator, policy = sgd(0.5), sgd(0.5), Scale(half)
    policy(generator)
    policy(discriminator)
    generator.step()
    discriminator.step()
    with pytest.warns(UserWarning, match="copy") as caught:
        policy.step()
    line = line_of_call(
        test_the_warning_about_two_optimizers_has_the_line_of_the_step, "policy.step()"
    )
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]


@pytest.mark.spec("B12", "S1")
def test_that_warning_made_an_error_leaves_the_step_to_be_taken_again() -> None:
    generator, discriminator, policy = sgd(0.5), sgd(0.5), Scale(half)
    policy(generator)
    policy(discriminator)
    generator.step()
    discriminator.step()
    with pytest.raises(UserWarning, match="copy"):
        policy.step()
    assert (policy.last_epoch, policy._step_count) == (0, 1)
    assert lrs(discriminator) == [0.5]


@pytest.mark.spec("B12")
def test_a_copy_for_the_second_of_two_optimizers_is_silent_and_schedules_both() -> None:
    generator, discriminator, policy = sgd(0.5), sgd(0.25), Scale(half)
    both = [policy(generator), copy.copy(policy)(discriminator)]
    for _ in range(2):
        generator.step()
        discriminator.step()
        for one in both:
            one.step()
    assert (lrs(generator), lrs(discriminator)) == ([0.125], [0.0625])


@pytest.mark.spec("B12")
def test_an_optimizer_that_shares_a_parameter_or_was_stepped_before_is_not_remembered() -> None:
    shared = parameter()
    first, second = SGD([shared, parameter()], lr=0.5), SGD([parameter(), shared], lr=0.5)
    used, other = sgd(0.5), sgd(0.5)
    for left, taken, stepped in [(first, second, False), (used, other, True)]:
        policy = Scale(half)(left)
        if stepped:
            left.step()
        policy(taken)
        left.step()
        taken.step()
        policy.step()
        assert lrs(taken) == [0.25]


@pytest.mark.spec("B12")
def test_an_optimizer_that_a_policy_was_stepped_on_is_not_remembered() -> None:
    first, second = sgd(0.5), sgd(0.5)
    policy = Scale(half)(first)
    with pytest.warns(UserWarning, match="before"):  # torch's, of the order
        policy.step()
    policy(second)
    first.step()
    advance(policy)
    assert (lrs(first), lrs(second)) == ([0.25], [0.25])


@pytest.mark.spec("B12")
def test_the_optimizer_left_is_not_kept_alive() -> None:
    policy, left = Scale(half), sgd(0.5)
    policy(left)
    policy(sgd(0.5))
    gone = weakref.ref(left)
    left.step()
    del left
    assert gone() is None
    advance(policy)


@pytest.mark.spec("B12")
def test_a_policy_is_picklable_while_it_remembers_one() -> None:
    left, taken = sgd(0.5), sgd(0.5)
    policy = Scale(half)(left)(taken)
    again = pickle.loads(pickle.dumps(policy))
    left.step()
    advance(again)
    assert lrs(again.optimizer) == [0.25]


class TestBoundMoreThanOnceOnPurpose:
    """B13: who binds a policy more than once, and means it."""

    pytestmark = pytest.mark.spec("B13", "B9")

    @staticmethod
    def fit(policy: Policy, optimizer: Optimizer, epochs: int = 3) -> list[float]:
        policy(optimizer)
        rows = lrs(optimizer)
        for _ in range(epochs):
            advance(policy)
            rows += lrs(optimizer)
        return rows

    @each_kind
    def test_folds_and_fits_with_optimizers_of_their_own(self, make: Callable[[], Policy]) -> None:
        policy, kept = make(), [sgd(0.5) for _ in range(3)]
        runs = [self.fit(policy, optimizer) for optimizer in kept]
        assert runs[0] == runs[1] == runs[2]
        assert [lrs(optimizer) for optimizer in kept] == [[run[-1]] for run in runs]

    def test_trials_that_end_before_their_first_step(self) -> None:
        policy, kept = Scale(half), [sgd(0.5) for _ in range(3)]
        for optimizer in kept:
            policy(optimizer)
        assert self.fit(policy, sgd(0.5)) == [0.5, 0.25, 0.125, 0.0625]

    def test_a_smaller_batch_size_tried(self) -> None:
        policy, weights = Scale(half), [parameter()]
        kept = []
        for _ in range(3):  # out of memory in the first batch, before or after its step
            kept.append(SGD(weights, lr=0.5))
            policy(kept[-1])
            if len(kept) == 2:
                kept[-1].step()
        assert self.fit(policy, SGD(weights, lr=0.5)) == [0.5, 0.25, 0.125, 0.0625]

    def test_a_lr_finder_on_the_optimizer_itself(self) -> None:
        optimizer = Adam([parameter()], lr=0.5)
        policy = Scale(half)(optimizer)
        before = copy.deepcopy(optimizer.state_dict())
        finder = ExponentialLR(optimizer, 2.0)
        advance(finder, 4)
        optimizer.load_state_dict(before)
        advance(policy)
        assert lrs(optimizer) == [0.25]

    def test_a_lr_finder_on_a_copy(self) -> None:
        optimizer = sgd(0.5)
        policy = Scale(half)(optimizer)
        advance(ExponentialLR(copy.deepcopy(optimizer), 2.0), 4)
        advance(policy)
        assert lrs(optimizer) == [0.25]

    def test_a_lr_finder_that_binds_the_policy_to_a_copy_first(self) -> None:
        policy, optimizer = Scale(half), sgd(0.5)
        self.fit(policy, copy.deepcopy(optimizer))
        assert self.fit(policy, optimizer) == [0.5, 0.25, 0.125, 0.0625]

    def test_set_optimizer_among_optimizers_trained_side_by_side(self) -> None:
        first, second, policy = sgd(0.5), sgd(0.5), Scale(half)
        policy.set_optimizer(first)
        policy.set_optimizer(second)
        first.step()
        advance(policy)
        policy.set_optimizer(second)
        assert lrs(second) == [0.5]


# What is no optimizer.


class Wrapper:
    """As LARC and schedule-free wrappers are: an optimizer inside, and its attributes outside."""

    def __init__(self, optim: Optimizer) -> None:
        self.optim = optim

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optim"], name)


@pytest.mark.spec("B16", "B2")
@pytest.mark.parametrize(
    "thing",
    [None, 0.1, "sgd", torch.nn.Linear(1, 1), [parameter()], {"lr": 0.1}, SGD],
    ids=lambda thing: type(thing).__name__,
)
@BY_CALL_OR_METHOD
def test_what_is_no_optimizer_is_a_type_error(thing: Any, bind: Bind) -> None:
    for policy in (Scale(half), Scale(half)(sgd(0.5))):
        with unchanged(policy), pytest.raises(TypeError, match=r"torch\.optim\.Optimizer"):
            bind(policy, thing)


@pytest.mark.spec("B16")
@BY_CALL_OR_METHOD
def test_of_a_wrapper_the_error_says_to_bind_the_one_inside(bind: Bind) -> None:
    wrapper, policy = Wrapper(sgd(0.5)), Scale(half)
    with unchanged(policy, wrapper.optim), pytest.raises(TypeError, match=r"\.optim\b.* inside"):
        bind(policy, wrapper)  # type: ignore[arg-type]
    assert lrs(policy(wrapper.optim).optimizer) == [0.5]


@pytest.mark.spec("B16", "B17")
def test_a_wrapper_that_is_an_optimizer_is_bound() -> None:
    class Subclass(SGD):
        pass

    optimizer = Subclass([parameter()], lr=0.5)
    policy = Scale(half)(optimizer)
    advance(policy)
    assert lrs(optimizer) == [0.25]
