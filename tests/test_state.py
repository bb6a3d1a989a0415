"""DESIGN 2.5: what a policy saves, what it loads, and what becomes of copies."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import warnings
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    POLICIES,
    Halving,
    MakePolicy,
    advance,
    attributes,
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
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from thunder_policy import MappingPolicy, Multiply, Policy, Schedule, Switch, UnboundPolicyError

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
MAPPING_POLICIES = {name: make for name, make in POLICIES.items() if name != "custom"}
FORMS: dict[str, Callable[[], Optimizer]] = {
    "floats": lambda: sgd(0.5, 0.25),
    "tensors": lambda: sgd(tensor(0.5), tensor(0.25)),
    "float32 tensors": lambda: sgd(tensor(0.5, torch.float32), tensor(0.25, torch.float32)),
    "both": lambda: sgd(tensor(0.5), 0.25),
}
EVERY_FORM = pytest.mark.parametrize("optimize", FORMS.values(), ids=FORMS.keys())
TORCH_KEYS = {"last_epoch", "_step_count", "base_lrs", "_last_lr", "_group_lrs"}


def run(make: MakePolicy, optimizer: Optimizer, steps: int) -> Policy:
    """Bind a new policy and take some steps."""
    policy = make()(optimizer)
    advance(policy, steps)
    return policy


class Custom(Halving):
    """A custom policy with an attribute of its own."""

    def __init__(self, note: Any = "mine") -> None:
        self.note = note


class Slotted(Halving):
    """A custom policy whose own attributes are slots."""

    __slots__ = ("__hidden", "left", "note")

    def __init__(self, note: Any = "mine", hidden: Any = 1) -> None:
        self.note = note
        self.__hidden = hidden

    def hidden(self) -> Any:
        """Return the private attribute."""
        return self.__hidden


class SlottedToo(Slotted):
    """It adds one slot, named by a string alone."""

    __slots__ = "more"

    def __init__(self, note: Any = "mine", more: Any = 2) -> None:
        super().__init__(note)
        self.more = more


class Counting(Switch):
    """A Switch with state of its own."""

    def __init__(self, mapping: Any, lr_init: Any = 1e-3) -> None:
        super().__init__(mapping, lr_init)
        self.calls = 0


# What state_dict() holds


@EVERY_POLICY
@EVERY_FORM
def test_the_state_passes_weights_only(make: MakePolicy, optimize: Callable[[], Optimizer]) -> None:
    state = run(make, optimize(), 2).state_dict()
    assert numbers(through_disk(state)) == numbers(state)


def kinds(value: Any) -> set[type]:
    """Return the exact types of which a state is made."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    return {type(value)}.union(*map(kinds, inner))


@EVERY_POLICY
@EVERY_FORM
def test_the_state_is_made_of_plain_builtins_and_tensors_where_lrs_are(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    state = run(make, optimizer, 2).state_dict()
    some = any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups)
    assert kinds(state) <= {dict, list, str, int, float, bool, type(None)} | (
        {Tensor} if some else set()
    )


@pytest.mark.parametrize("cls", [Switch, Multiply])
@pytest.mark.parametrize("lr", [np.float64(0.5), np.float32(0.5), 1], ids=named)
def test_an_lr_of_another_kind_is_saved_as_a_float(cls: Any, lr: Any) -> None:
    optimizer = sgd(lr)
    policy = cls({3: 0.5}, lr_init=None)(optimizer)
    optimizer.param_groups[0]["lr"] = lr
    advance(policy)
    assert kinds(policy.state_dict()) <= {dict, list, str, int, float, bool, type(None)}


@EVERY_POLICY
def test_the_state_holds_what_the_document_says(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5, 0.25), 2)
    policy.optimizer.param_groups[1]["lr"] = 0.75
    state = policy.state_dict()
    assert state.keys() >= TORCH_KEYS
    assert state["last_epoch"] == 2
    assert state["_step_count"] == policy._step_count
    assert state["base_lrs"] == policy.base_lrs
    assert state["_last_lr"] == policy.get_last_lr()
    assert state["_group_lrs"] == lrs(policy.optimizer)
    assert state["_group_lrs"][1] == 0.75 != state["_last_lr"][1]
    assert "optimizer" not in state
    assert "current_mapping" not in state


def test_switch_and_multiply_hold_mapping_and_lr_init() -> None:
    for cls in (Switch, Multiply):
        state = cls({5: 0.5, 0: 1}, lr_init=0.25)(sgd(0.1, 0.2)).state_dict()
        assert state["mapping"] == [[0, 1.0], [5, 0.5]]
        assert state["lr_init"] == 0.25
        state = cls([{5: 0.5, 0: 1}, {}], lr_init=[1, 2])(sgd(0.1, 0.2)).state_dict()
        assert state["mapping"] == [[[0, 1.0], [5, 0.5]], []]
        assert state["lr_init"] == [1.0, 2.0]
        assert cls({}, lr_init=None)(sgd(0.1)).state_dict()["lr_init"] is None


def test_a_schedule_leaves_its_callables_out() -> None:
    for mapping in (math.cos, [lambda t: 0.5, math.cos]):
        state = Schedule(mapping)(sgd(0.1, 0.2)).state_dict()
        assert "mapping" not in state
        assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize("mapping", [{}, [{}], [{}, {}], [{0: 0.5}], ({}, {1: 0.5})], ids=repr)
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_an_empty_mapping_and_a_list_of_empty_ones_load_as_what_they_are(
    cls: Any, mapping: Any
) -> None:
    groups = len(mapping) if isinstance(mapping, list | tuple) else 2
    policy = cls(mapping)(sgd(*[0.1] * groups))
    fresh = cls(mapping)(sgd(*[0.1] * groups))
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert repr(fresh) == repr(policy)
    assert numbers(fresh.state_dict()) == numbers(policy.state_dict())


@EVERY_POLICY
def test_the_state_does_not_grow_with_the_groups_but_for_a_few_numbers(make: MakePolicy) -> None:
    def size(groups: int) -> int:
        return len(json.dumps(run(make, sgd(*[0.1] * groups), 1).state_dict()))

    number = len("0.12345678901234567, ")
    assert size(51) - size(1) <= 50 * 5 * number


def test_a_long_broadcast_mapping_is_saved_once() -> None:
    mapping = dict.fromkeys(range(1000), 0.5)
    sizes = [len(json.dumps(Switch(mapping)(sgd(*[0.1] * n)).state_dict())) for n in (1, 50)]
    assert sizes[1] < 1.5 * sizes[0]


@EVERY_POLICY
@EVERY_FORM
def test_the_state_is_a_snapshot(make: MakePolicy, optimize: Callable[[], Optimizer]) -> None:
    optimizer = optimize()
    policy = run(make, optimizer, 1)
    state = policy.state_dict()
    before = numbers(state)
    advance(policy, 3)
    assert numbers(state) == before
    live = [group["lr"] for group in optimizer.param_groups]
    with unchanged(policy, optimizer):
        for kept in tensors_in(policy.state_dict()):
            assert not any(overlap(kept, lr) for lr in live)
            kept.fill_(99)
        spoil(policy.state_dict())


def spoil(value: Any) -> None:
    """Empty every container of a state and fill every tensor."""
    if isinstance(value, Tensor):
        value.fill_(99)
    elif isinstance(value, dict | list):
        for entry in list(value.values()) if isinstance(value, dict) else list(value):
            spoil(entry)
        value.clear()


@EVERY_POLICY
def test_saving_changes_nothing(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5, tensor(0.5)), 1)
    with unchanged(policy, policy.optimizer):
        policy.state_dict()
        policy.prepare_state_dict("base_lrs")


# A custom policy's own attributes


@pytest.mark.parametrize("cls", [Custom, Slotted, SlottedToo])
@pytest.mark.parametrize(
    "note",
    ["mine", None, [1, {"a": (2.5, True)}], {3: "three"}, torch.arange(3), b"bytes"],
    ids=named,
)
def test_its_own_attributes_are_saved_and_loaded(cls: Any, note: Any) -> None:
    policy = cls(note)(sgd())
    state = through_disk(policy.state_dict())
    assert numbers(state["note"]) == numbers(note)
    fresh = cls("other")(sgd())
    fresh.load_state_dict(state)
    assert numbers(fresh.note) == numbers(note)
    assert type(fresh.note) is type(note)


def test_every_slot_that_is_set_is_included() -> None:
    policy = SlottedToo("mine", more=3)(sgd())
    state = policy.state_dict()
    assert {"note", "more"} <= state.keys()
    assert "left" not in state
    policy.left = "set"  # type: ignore[attr-defined]
    fresh = SlottedToo("other", more=4)(sgd())
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert (fresh.note, fresh.more, fresh.left) == ("mine", 3, "set")  # type: ignore[attr-defined]
    hidden = Slotted(hidden="secret")(sgd())
    other = Slotted()(sgd())
    other.load_state_dict(hidden.state_dict())
    assert other.hidden() == "secret"


def test_a_subclass_of_switch_saves_its_own_attributes_too() -> None:
    policy = Counting({1: 0.5})(sgd())
    policy.calls = 7
    fresh = Counting({1: 0.5})(sgd())
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert fresh.calls == 7


def test_its_own_attributes_are_a_snapshot_too() -> None:
    note: list[Any] = [[1], tensor(0.5)]
    policy = Custom(note)(sgd())
    state = policy.state_dict()
    before = numbers(state)
    note[0].append(2)
    note[1].fill_(9)
    assert numbers(state) == before


class Noted(MappingPolicy[Any]):
    """A policy of a mapping with an attribute of its own."""

    note: str | None = None

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 for _ in self.base_lrs]


@pytest.mark.parametrize(
    ("make", "own"),
    [
        (lambda: Switch({3: 0.5}), {"mapping", "lr_init"}),
        (lambda: Multiply({3: 0.5}, lr_init=[0.1]), {"mapping", "lr_init"}),
        (lambda: Schedule(reciprocal), set()),
        (lambda: Noted({3: 0.5}), {"mapping", "lr_init", "note"}),
        (Custom, {"note"}),
    ],
    ids=["Switch", "Multiply", "Schedule", "of a mapping", "custom"],
)
def test_prepare_state_dict_is_the_state_without_the_keys(make: MakePolicy, own: set[str]) -> None:
    policy = make()(sgd(0.5))
    if isinstance(policy, Noted):
        policy.note = "mine"
    whole = policy.state_dict()
    assert {*whole} == TORCH_KEYS | own
    for keys in [*((key,) for key in whole), (), ("base_lrs", *own)]:
        left = policy.prepare_state_dict(*keys)
        assert numbers(left) == numbers({k: v for k, v in whole.items() if k not in keys})


def test_a_policy_may_leave_out_what_cannot_be_saved() -> None:
    class Logging(Halving):
        def __init__(self) -> None:
            self.log = print
            self.note = "mine"

        def state_dict(self) -> dict[str, Any]:
            return self.prepare_state_dict("log")

    policy = Logging()(sgd())
    state = through_disk(policy.state_dict())
    assert state["note"] == "mine"
    assert "log" not in state
    fresh = Logging()(sgd())
    fresh.load_state_dict(state)
    assert fresh.log is print


class Opaque:
    """A value of the user's own class."""


OTHER_VALUES: dict[str, Any] = {
    "an int": 2**70,
    "a complex number": 1 + 2j,
    "a set": {1, 2},
    "a frozenset": frozenset([1]),
    "bytes": b"x",
    "a bytearray": bytearray(b"x"),
    "a tuple": (1, (2,)),
    "an OrderedDict": OrderedDict(a=1),
    "a Counter": Counter("aab"),
    "a size": torch.Size([2, 3]),
    "a dtype": torch.float16,
    "a device": torch.device("cpu"),
    "a parameter": torch.nn.Parameter(torch.ones(2)),
    "a tensor in a list": [torch.ones(2)],
    "nan": math.nan,
    "a lambda": lambda: 0,
    "a builtin": print,
    "a class": Opaque,
    "an object": Opaque(),
    "an object in a list": [1, {"a": [Opaque()]}],
    "an object as a key": {Fraction(1, 2): 1},
    "a numpy number": np.float64(0.5),
    "an array": np.ones(2),
    "a numpy number in a dict": {"a": np.int64(1)},
    "a path": Path("x"),
    "a fraction": Fraction(1, 2),
    "a deque": deque([1]),
    "a defaultdict": defaultdict(int),
    "a range": range(3),
    "a slice": slice(3),
    "a generator": (x for x in [1]),
    "a module": math,
    "a random generator": torch.Generator(),
    "Ellipsis": ...,
}


def refused_by_weights_only(value: object) -> bool:
    """Ask torch itself."""
    try:
        through_disk(value)
    except Exception:
        return True
    return False


def test_the_table_of_values_has_both_kinds() -> None:
    verdicts = {name: refused_by_weights_only(value) for name, value in OTHER_VALUES.items()}
    assert verdicts["a lambda"]
    assert verdicts["an array"]
    assert not verdicts["a complex number"]
    assert not verdicts["a dtype"]


@pytest.mark.parametrize("cls", [Custom, Slotted])
@pytest.mark.parametrize("value", OTHER_VALUES.values(), ids=OTHER_VALUES.keys())
def test_a_value_that_weights_only_refuses_is_a_type_error_and_no_other_is(
    cls: Any, value: Any
) -> None:
    policy = cls(value)(sgd())
    if refused_by_weights_only(value):
        with pytest.raises(
            TypeError,
            match=rf"(?s){cls.__name__}\.note is .* leave it out, by "
            r"prepare_state_dict\('note'\) in a state_dict\(\) of your own$",
        ):
            policy.state_dict()
        assert "note" not in policy.prepare_state_dict("note")
    else:
        saved = through_disk(policy.state_dict())["note"]
        assert numbers(saved) == numbers(value) or saved != saved
        assert type(saved) is type(value)


# Nested schedulers


class Nesting(Policy):
    """A policy that holds schedulers."""

    def __init__(self, **held: Any) -> None:
        for name, value in held.items():
            setattr(self, name, value)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 / (1 + self.last_epoch)]


def nested(steps: int = 0) -> tuple[Nesting, LRScheduler, LRScheduler]:
    """Return a policy that holds a bound policy, a torch scheduler and an unbound policy."""
    switch, step_lr = Switch({1: 0.25, 2: 0.125})(sgd(0.75)), StepLR(sgd(0.75), 1)
    for scheduler in (switch, step_lr):
        advance(scheduler, steps)
    outer = Nesting(switch=switch, step_lr=step_lr, recipe=Multiply({1: 0.5}))
    advance(outer(sgd(0.1)), steps)
    return outer, switch, step_lr


def test_a_nested_bound_scheduler_is_saved_by_its_own_state_dict() -> None:
    outer, switch, step_lr = nested(2)
    state = through_disk(outer.state_dict())
    assert numbers(state["switch"]) == numbers(switch.state_dict())
    assert numbers(state["step_lr"]) == numbers(step_lr.state_dict())
    assert "recipe" not in state


def test_a_nested_bound_scheduler_is_loaded_by_its_own_load_state_dict() -> None:
    state = through_disk(nested(2)[0].state_dict())
    outer, switch, step_lr = nested()
    recipe = outer.recipe  # type: ignore[attr-defined]
    outer.load_state_dict(state)
    assert outer.switch is switch  # type: ignore[attr-defined]
    assert outer.step_lr is step_lr  # type: ignore[attr-defined]
    assert outer.recipe is recipe  # type: ignore[attr-defined]
    assert (switch.last_epoch, lrs(switch.optimizer)) == (2, [0.125])
    assert step_lr.last_epoch == 2
    assert (outer.last_epoch, lrs(outer.optimizer)) == (2, [0.5 / 3])


def test_schedulers_in_a_list_are_not_replaced_by_their_states() -> None:
    def holding(steps: int) -> Nesting:
        switch = Switch({1: 0.25, 2: 0.125})(sgd(0.75))
        advance(switch, steps)
        return Nesting(held=[switch, 7])(sgd(0.1))

    policy, fresh = holding(2), holding(0)
    fresh.load_state_dict(through_disk(policy.state_dict()))
    switch, number = fresh.held  # type: ignore[attr-defined]
    assert isinstance(switch, Switch)
    assert (switch.last_epoch, lrs(switch.optimizer), number) == (2, [0.125], 7)


@pytest.mark.parametrize(
    "spoil_state",
    [
        lambda state: state.update(_group_lrs=[math.nan]),
        lambda state: state.update(last_epoch=-1),
        lambda state: state["switch"].update(_group_lrs=[math.nan]),
        lambda state: state["switch"].pop("last_epoch"),
        lambda state: state.update(switch=None),
        lambda state: state.update(switch=[1]),
    ],
    ids=["lrs", "epoch", "nested lrs", "nested epoch", "no nested state", "a list"],
)
def test_a_nested_load_is_all_or_nothing_too(spoil_state: Callable[[Any], object]) -> None:
    state = nested(2)[0].state_dict()
    spoil_state(state)
    outer, switch, step_lr = nested()
    with (
        unchanged(outer, outer.optimizer, switch, switch.optimizer, step_lr, step_lr.optimizer),
        pytest.raises((TypeError, ValueError)),
    ):
        outer.load_state_dict(state)


@pytest.mark.parametrize("bad", ["first", "second"])
def test_where_one_nested_load_fails_the_other_is_taken_back(bad: str) -> None:
    def pair(steps: int) -> Nesting:
        inner = {
            n: Switch({1: 0.25, 2: 0.125})(sgd(0.75, tensor(0.5))) for n in ("first", "second")
        }
        for scheduler in inner.values():
            advance(scheduler, steps)
        return Nesting(**inner)(sgd(0.1))

    state = pair(2).state_dict()
    state[bad]["_group_lrs"] = [0.125, math.nan]
    outer = pair(0)
    first, second = outer.first, outer.second  # type: ignore[attr-defined]
    things = [outer, outer.optimizer, first, first.optimizer, second, second.optimizer]
    with unchanged(*things), pytest.raises(ValueError, match="nan"):
        outer.load_state_dict(state)


# load_state_dict


def disturbed(make: MakePolicy, optimizer: Optimizer) -> Policy:
    """Return a policy that took two steps and whose groups somebody changed since."""
    policy = run(make, optimizer, 2)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * 0.5
    return policy


@EVERY_POLICY
@EVERY_FORM
@pytest.mark.parametrize("disk", [True, False], ids=["from disk", "from memory"])
def test_the_saved_lrs_are_written_into_the_groups(
    make: MakePolicy, optimize: Callable[[], Optimizer], disk: bool
) -> None:
    policy = disturbed(make, optimize())
    state = through_disk(policy.state_dict()) if disk else policy.state_dict()
    optimizer = optimize()
    fresh = make()(optimizer)
    held = [group["lr"] for group in optimizer.param_groups]
    fresh.load_state_dict(state)
    assert lrs(optimizer) == lrs(policy.optimizer)
    for lr, group in zip(held, optimizer.param_groups, strict=True):
        assert type(group["lr"]) is type(lr)
        assert group["lr"] is lr or not isinstance(lr, Tensor)
    assert numbers(fresh.state_dict()) == numbers(policy.state_dict())
    for _ in range(3):
        advance(policy)
        advance(fresh)
        assert lrs(optimizer) == lrs(policy.optimizer)
        assert numbers(fresh.get_last_lr()) == numbers(policy.get_last_lr())


@EVERY_POLICY
@pytest.mark.parametrize(
    ("source", "target"), [("floats", "tensors"), ("tensors", "floats"), ("floats", "both")]
)
def test_a_state_of_floats_loads_where_lrs_are_tensors_and_the_reverse(
    make: MakePolicy, source: str, target: str
) -> None:
    policy, optimizer = disturbed(make, FORMS[source]()), FORMS[target]()
    before = [type(group["lr"]) for group in optimizer.param_groups]
    fresh = make()(optimizer)
    fresh.load_state_dict(through_disk(policy.state_dict()))
    for _ in range(3):
        assert lrs(optimizer) == lrs(policy.optimizer)
        assert [type(group["lr"]) for group in optimizer.param_groups] == before
        advance(policy)
        advance(fresh)


@EVERY_POLICY
@EVERY_FORM
def test_load_leaves_its_argument_alone_and_keeps_no_reference_into_it(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    state = disturbed(make, optimize()).state_dict()
    before = copy.deepcopy(state)
    optimizer = optimize()
    fresh = make()(optimizer)
    fresh.load_state_dict(state)
    advance(fresh, 3)
    fresh.load_state_dict(state)
    assert numbers(state) == numbers(before)
    assert list(state) == list(before)
    with unchanged(fresh, optimizer):
        spoil(state)


def test_load_keeps_no_reference_into_a_custom_attribute() -> None:
    state = Custom([[1], tensor(0.5)])(sgd()).state_dict()
    fresh = Custom()(sgd())
    fresh.load_state_dict(state)
    with unchanged(fresh):
        state["note"][0].append(2)
        state["note"][1].fill_(9)
    assert numbers(fresh.note) == numbers([[1], tensor(0.5)])


@EVERY_POLICY
@EVERY_FORM
def test_load_can_be_repeated(make: MakePolicy, optimize: Callable[[], Optimizer]) -> None:
    policy = disturbed(make, optimize())
    state = policy.state_dict()
    optimizer = optimize()
    fresh = make()(optimizer)
    fresh.load_state_dict(state)
    with unchanged(optimizer):
        fresh.load_state_dict(state)
    assert numbers(fresh.state_dict()) == numbers(state)
    advance(fresh, 3)
    fresh.load_state_dict(state)
    assert numbers(fresh.state_dict()) == numbers(state)


ORDERS = {
    "bind, optimizer, policy": ("bind", "optimizer", "policy"),
    "bind, policy, optimizer": ("bind", "policy", "optimizer"),
    "optimizer, bind, policy": ("optimizer", "bind", "policy"),
    "bind, policy": ("bind", "policy"),
    "bind, policy, optimizer, policy": ("bind", "policy", "optimizer", "policy"),
}


@EVERY_POLICY
@EVERY_FORM
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("steps", [0, 2])
def test_every_order_of_resuming_ends_at_the_same_run(
    make: MakePolicy, optimize: Callable[[], Optimizer], order: tuple[str, ...], steps: int
) -> None:
    whole = disturbed(make, optimize())
    advance(whole, steps)
    states = through_disk((whole.optimizer.state_dict(), whole.state_dict()))
    optimizer, policy = optimize(), make()
    actions: dict[str, Callable[[], object]] = {
        "bind": lambda: policy(optimizer),
        "optimizer": lambda: optimizer.load_state_dict(states[0]),
        "policy": lambda: policy.load_state_dict(states[1]),
    }
    for action in order:
        actions[action]()
    for _ in range(4):
        assert lrs(optimizer) == lrs(whole.optimizer)
        assert numbers(policy.get_last_lr()) == numbers(whole.get_last_lr())
        assert policy.last_epoch == whole.last_epoch
        assert numbers(policy.base_lrs) == numbers(whole.base_lrs)
        advance(policy)
        advance(whole)


def add_group(policy: Policy, lr: float) -> None:
    """Add a group to the policy's optimizer."""
    policy.optimizer.add_param_group({"params": [parameter()], "lr": lr})


def drop_group(policy: Policy) -> None:
    """Drop the first group of the policy's optimizer, as DeepSpeed drops an empty one."""
    del policy.optimizer.param_groups[0]


@pytest.mark.parametrize("steps", [0, 1], ids=["saved at once", "saved after a step"])
@EVERY_POLICY
def test_a_run_whose_groups_changed_resumes_too(make: MakePolicy, steps: int) -> None:
    policy = run(make, sgd(0.5, 0.25), 1)
    drop_group(policy)
    add_group(policy, 0.75)
    advance(policy, steps)
    fresh = make()(sgd(*lrs(policy.optimizer)))
    for target in (fresh, policy):
        target.load_state_dict(through_disk(policy.state_dict()))
    for _ in range(3):
        assert lrs(fresh.optimizer) == lrs(policy.optimizer)
        advance(fresh)
        advance(policy)
    assert fresh.base_lrs == policy.base_lrs
    assert fresh.get_last_lr() == policy.get_last_lr()


@EVERY_POLICY
def test_a_state_of_fewer_groups_does_not_fit(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5), 1)
    state = policy.state_dict()
    add_group(policy, 0.75)
    with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=r"1.*2"):
        policy.load_state_dict(state)


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_the_saved_lr_init_is_used(cls: Any) -> None:
    saved = cls({3: 0.5}, lr_init=None)(sgd(0.25))
    policy = cls({3: 0.5}, lr_init=0.75)(sgd(0.125))
    policy.load_state_dict(saved.state_dict())
    assert policy.lr_init is None
    assert policy.lr_at(0) == policy.base_lrs == policy.current_lr_init == [0.25]


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_where_the_state_has_no_lr_init_that_of_the_policy_stays(cls: Any) -> None:
    saved = cls({3: 0.5}, lr_init=0.25)(sgd(0.1))
    policy = cls({3: 0.5}, lr_init=0.75)(sgd(0.1))
    policy.load_state_dict(saved.prepare_state_dict("lr_init"))
    assert policy.lr_init == 0.75
    assert repr(policy) == repr(saved)


def test_a_state_that_only_has_what_is_required_loads() -> None:
    for key in ("_group_lrs", "_last_lr"):
        policy = Switch({3: 0.5})(sgd(0.1))
        policy.load_state_dict({"last_epoch": 2, key: [0.25]})
        assert lrs(policy.optimizer) == policy.get_last_lr() == [0.25]
        advance(policy)
        assert lrs(policy.optimizer) == [0.5]


# What load_state_dict() refuses

MISSING = "a key that is left out"
# For each case: what becomes of which keys of a good state. All are refused by every policy.
BAD_STATES: dict[str, dict[Any, Any]] = {
    "no last_epoch": {"last_epoch": MISSING},
    "a negative last_epoch": {"last_epoch": -1},
    "a bool last_epoch": {"last_epoch": True},
    "a float last_epoch": {"last_epoch": 2.0},
    "a string last_epoch": {"last_epoch": "2"},
    "last_epoch is None": {"last_epoch": None},
    "a list last_epoch": {"last_epoch": [2]},
    "no lrs": {"_group_lrs": MISSING, "_last_lr": MISSING},
    "too few _group_lrs": {"_group_lrs": [0.5]},
    "too many _group_lrs": {"_group_lrs": [0.5] * 3},
    "no _group_lrs in the list": {"_group_lrs": []},
    "too few _last_lr": {"_last_lr": [0.5], "_group_lrs": MISSING},
    "too many _last_lr": {"_last_lr": [0.5] * 3, "_group_lrs": MISSING},
    "_group_lrs is None": {"_group_lrs": None},
    "_group_lrs is a number": {"_group_lrs": 0.5},
    "_group_lrs is a string": {"_group_lrs": "ab"},
    "_group_lrs is a dict": {"_group_lrs": {0: 0.5, 1: 0.5}},
    "nan": {"_group_lrs": [0.5, math.nan]},
    "inf": {"_group_lrs": [math.inf, 0.5]},
    "nan in _last_lr": {"_last_lr": [0.5, math.nan], "_group_lrs": MISSING},
    "a nan tensor": {"_group_lrs": [0.5, tensor(math.nan)]},
    "a string lr": {"_group_lrs": [0.5, "0.5"]},
    "a bool lr": {"_group_lrs": [0.5, True]},
    "lr is None": {"_group_lrs": [0.5, None]},
    "a complex lr": {"_group_lrs": [0.5, 1j]},
    "a list lr": {"_group_lrs": [0.5, [0.5]]},
    "a tensor of two": {"_group_lrs": [0.5, torch.ones(2)]},
    "an lr too large for a float": {"_group_lrs": [0.5, 10**400]},
    "a bad _last_lr beside good _group_lrs": {"_last_lr": ["x", None]},
    "too few base_lrs": {"base_lrs": [0.5]},
    "a nan in base_lrs": {"base_lrs": [0.5, math.nan]},
    "base_lrs is None": {"base_lrs": None},
    "a string in base_lrs": {"base_lrs": [0.5, "x"]},
    "a string _step_count": {"_step_count": "x"},
    "a negative _step_count": {"_step_count": -1},
    "_step_count is None": {"_step_count": None},
    "a float _step_count": {"_step_count": 2.5},
    "a key that names optimizer": {"optimizer": 1},
    "a key that names a method": {"step": 1},
    "a key that names another method": {"get_lr": None},
    "a key that names load_state_dict": {"load_state_dict": 1},
    "a key that names a special method": {"__call__": 1},
    "a key that names the class": {"__class__": 1},
    "a key that names the dict": {"__dict__": {}},
}
# Refused by Switch and Multiply, which read these keys.
BAD_MAPPINGS: dict[str, dict[Any, Any]] = {
    "mapping is a string": {"mapping": "ab"},
    "mapping is None": {"mapping": None},
    "mapping is a number": {"mapping": 3},
    "a pair too short": {"mapping": [[0]]},
    "a pair too long": {"mapping": [[0, 0.5, 0.5]]},
    "a float epoch": {"mapping": [[0.0, 0.5]]},
    "a bool epoch": {"mapping": [[True, 0.5]]},
    "a string epoch": {"mapping": [["0", 0.5]]},
    "a negative epoch": {"mapping": [[-1, 0.5]]},
    "a nan value": {"mapping": [[0, math.nan]]},
    "a negative value": {"mapping": [[0, -0.5]]},
    "a value that is None": {"mapping": [[0, None]]},
    "a bool value": {"mapping": [[0, True]]},
    "mappings for another number of groups": {"mapping": [[[0, 0.5]]] * 3},
    "a nan in a list of mappings": {"mapping": [[[0, 0.5]], [[0, math.nan]]]},
    "a dict with a string": {"mapping": {"0": 0.5}},
    "lr_init is a string": {"lr_init": "x"},
    "lr_init is nan": {"lr_init": math.nan},
    "lr_init is negative": {"lr_init": -0.5},
    "lr_init for another number of groups": {"lr_init": [0.5] * 3},
    "lr_init with None": {"lr_init": [0.5, None]},
    "a bool lr_init": {"lr_init": True},
}


def change(state: dict[str, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """Return a state with some of its entries replaced or left out."""
    return {key: value for key, value in {**state, **changes}.items() if value is not MISSING}


def refuses(make: MakePolicy, optimizer: Optimizer, changes: dict[Any, Any]) -> None:
    """Check that a changed state is refused and changes nothing, then that a good one loads."""
    good = run(make, sgd(0.5, 0.25), 3).state_dict()
    policy, state = run(make, optimizer, 2), change(good, changes)
    with unchanged(policy, optimizer), pytest.raises((TypeError, ValueError)) as caught:
        policy.load_state_dict(state)
    assert caught.match(rf"{type(policy).__name__}|Got 3 (mappings|lr_init) and 2 param groups")
    policy.load_state_dict(good)
    assert policy.last_epoch == 3


@pytest.mark.parametrize("changes", BAD_STATES.values(), ids=BAD_STATES.keys())
@pytest.mark.parametrize("optimize", [FORMS["floats"], FORMS["both"]], ids=["floats", "both"])
@EVERY_POLICY
def test_a_bad_state_is_refused_and_changes_nothing(
    make: MakePolicy, optimize: Callable[[], Optimizer], changes: dict[Any, Any]
) -> None:
    refuses(make, optimize(), changes)


@pytest.mark.parametrize("changes", BAD_MAPPINGS.values(), ids=BAD_MAPPINGS.keys())
@pytest.mark.parametrize("name", ["Switch", "Multiply"])
def test_a_bad_mapping_or_lr_init_is_refused_and_changes_nothing(
    name: str, changes: dict[Any, Any]
) -> None:
    refuses(POLICIES[name], sgd(0.5, tensor(0.25)), changes)


@pytest.mark.parametrize("state", [None, [], [("last_epoch", 1)], 5, "last_epoch", {}], ids=repr)
@EVERY_POLICY
def test_a_state_that_is_none_is_refused_and_changes_nothing(make: MakePolicy, state: Any) -> None:
    good = run(make, sgd(0.5), 3).state_dict()
    policy = run(make, sgd(0.5), 2)
    with unchanged(policy, policy.optimizer), pytest.raises((TypeError, ValueError)):
        policy.load_state_dict(state)
    policy.load_state_dict(good)


@pytest.mark.parametrize(
    ("lr", "dtype"), [(1e39, torch.float32), (1e5, torch.float16), (1e39, torch.bfloat16)], ids=str
)
@EVERY_POLICY
def test_a_saved_lr_that_the_group_s_dtype_cannot_hold_is_refused(
    make: MakePolicy, lr: float, dtype: torch.dtype
) -> None:
    optimizer = sgd(0.5, tensor(0.25, dtype))
    policy = run(make, optimizer, 1)
    state = change(policy.state_dict(), {"_group_lrs": [0.25, lr]})
    with unchanged(policy, optimizer), pytest.raises(ValueError, match="group 1"):
        policy.load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"last_epoch": MISSING}, ValueError, "last_epoch"),
        ({"last_epoch": -1}, ValueError, "last_epoch.*-1"),
        ({"last_epoch": True}, TypeError, "last_epoch.*True"),
        ({"last_epoch": 2.0}, TypeError, r"last_epoch.*2\.0"),
        (
            {"_group_lrs": MISSING, "_last_lr": MISSING},
            ValueError,
            "_last_lr",
        ),
        ({"_group_lrs": [0.5] * 3}, ValueError, "(?s)_group_lrs.*3.*2|Got 3.*2"),
        ({"_group_lrs": [0.5, math.nan]}, ValueError, r"_group_lrs.*(group 1|\[1\]).*nan"),
        ({"_group_lrs": [0.5, "x"]}, TypeError, r"_group_lrs.*(group 1|\[1\]).*'x'"),
        ({"optimizer": 1}, ValueError, "optimizer"),
        ({"step": 1}, ValueError, "step"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@EVERY_POLICY
def test_what_it_refuses_it_names(
    make: MakePolicy, changes: dict[Any, Any], error: type[Exception], text: str
) -> None:
    policy = run(make, sgd(0.5, 0.25), 1)
    with pytest.raises(error, match=text):
        policy.load_state_dict(change(policy.state_dict(), changes))


def test_a_key_that_names_a_property_or_method_of_a_subclass_is_refused() -> None:
    class Described(Custom):
        @property
        def summary(self) -> str:
            return "fixed"

        def describe(self) -> str:
            return "mine"

        @staticmethod
        def tool() -> str:
            return "mine"

        @classmethod
        def build(cls) -> Described:
            return cls()

    policy = Described()(sgd())
    for key in ("summary", "describe", "tool", "build"):
        state = {**policy.state_dict(), "note": "changed", key: 1}
        with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=key):
            policy.load_state_dict(state)


# Keys that nobody knows


@EVERY_POLICY
def test_retired_torch_keys_are_ignored(make: MakePolicy) -> None:
    retired = {"verbose": True, "_get_lr_called_within_step": True, "_is_initial": True}
    policy = run(make, sgd(0.5), 2)
    fresh, plain = make()(sgd(0.5)), make()(sgd(0.5))
    fresh.load_state_dict({**policy.state_dict(), **retired})
    plain.load_state_dict(policy.state_dict())
    assert vars(fresh).keys() == vars(plain).keys()
    # An older torch has none.
    assert getattr(fresh, "_is_initial", None) is getattr(plain, "_is_initial", None)
    assert fresh.state_dict().keys() == policy.state_dict().keys()


def test_unknown_keys_are_restored_on_a_custom_policy() -> None:
    policy = Halving()(sgd(0.5))
    policy.load_state_dict({**policy.state_dict(), "note": [1, 2]})
    assert policy.note == [1, 2]  # type: ignore[attr-defined]
    assert policy.state_dict()["note"] == [1, 2]


@pytest.mark.parametrize("make", MAPPING_POLICIES.values(), ids=MAPPING_POLICIES.keys())
def test_unknown_keys_are_ignored_on_switch_multiply_and_schedule(make: MakePolicy) -> None:
    policy = make()(sgd(0.5))
    before, state = attributes(policy).keys(), policy.state_dict()
    policy.load_state_dict({**state, "note": [1, 2], "a key": 3})
    assert attributes(policy).keys() == before
    assert policy.state_dict() == state


# A saved mapping that differs


def loads_another_mapping(policy: Policy, state: dict[str, Any]) -> None:
    """Load a state whose mapping is another one."""
    policy.load_state_dict(state)


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_where_the_saved_mapping_differs_it_is_used_with_a_warning(cls: Any) -> None:
    saved = cls({1: 0.5, 3: 0.25}, lr_init=1)(sgd(0.1))
    advance(saved, 2)
    policy = cls({1: 0.125}, lr_init=0.75)(sgd(0.1))
    with pytest.warns(UserWarning, match=rf"(?s){cls.__name__}.*leave.*mapping.*out") as caught:
        loads_another_mapping(policy, saved.state_dict())
    line = line_of_call(loads_another_mapping, "policy.load_state_dict(")
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
    assert policy.mapping == saved.mapping
    assert repr(policy) == repr(saved)
    for _ in range(3):
        assert policy.get_last_lr() == saved.get_last_lr()
        assert policy.lr_at(5) == saved.lr_at(5)
        advance(policy)
        advance(saved)


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_leaving_mapping_out_of_the_dict_keeps_the_new_one(cls: Any) -> None:
    saved = cls({1: 0.5}, lr_init=1)(sgd(0.1))
    advance(saved, 2)
    for state in (saved.prepare_state_dict("mapping"), saved.state_dict()):
        state.pop("mapping", None)
        policy = cls({1: 0.5, 3: 0.25}, lr_init=1)(sgd(0.1))
        policy.load_state_dict(state)
        assert policy.mapping == {1: 0.5, 3: 0.25}
        advance(policy)
        assert policy.get_last_lr() == cls({1: 0.5, 3: 0.25}, lr_init=1).lr_at(3)


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_the_same_mapping_in_another_order_or_type_is_no_difference(cls: Any) -> None:
    saved = cls({3: 1, 1: 0.5})(sgd(0.1))
    cls({1: np.float64(0.5), np.int64(3): 1.0})(sgd(0.1)).load_state_dict(saved.state_dict())
    saved = cls([{3: 1}, {}])(sgd(0.1, 0.2))
    policy = cls(({3: 1}, {}))(sgd(0.1, 0.2))
    policy.load_state_dict(saved.state_dict())
    assert policy.lr_at(3) == saved.lr_at(3)


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_where_the_warning_is_an_error_the_load_happened_wholly_or_not_at_all(cls: Any) -> None:
    saved = cls({1: 0.5})(sgd(0.1))
    advance(saved, 2)
    policy = cls({1: 0.25})(sgd(0.1))
    with unchanged(policy, policy.optimizer), pytest.raises(UserWarning, match="mapping"):
        policy.load_state_dict(saved.state_dict())


def test_a_schedule_loads_what_another_schedule_saved_and_goes_on_with_its_own() -> None:
    saved = run(lambda: Schedule(math.cos), sgd(0.5), 2)
    policy = Schedule(reciprocal)(sgd(0.5))
    policy.load_state_dict(saved.state_dict())
    assert lrs(policy.optimizer) == [math.cos(2)]
    advance(policy)
    assert lrs(policy.optimizer) == [0.25]


# Checkpoints of the original package


def original(mapping: Any, lr_init: Any, lr: list[float], epoch: int) -> dict[str, Any]:
    """Return the state as the original package saved it: the whole `__dict__` but the optimizer."""
    return {
        "current_mapping": mapping if isinstance(mapping, list) else [dict(mapping) for _ in lr],
        "mapping": mapping,
        "current_lr_init": lr_init if isinstance(lr_init, list) else [lr_init for _ in lr],
        "lr_init": lr_init,
        "base_lrs": lr_init if isinstance(lr_init, list) else [lr_init for _ in lr],
        "last_epoch": epoch,
        "_step_count": epoch + 1,
        "_is_initial": False,
        "_get_lr_called_within_step": False,
        "_last_lr": lr,
    }


ORIGINALS: dict[str, tuple[Any, Any, Any, list[float]]] = {
    "Switch": (Switch, {1: 0.5, 4: 0.25}, 1e-3, [0.5, 0.5]),
    "Switch, key 0 and an int lr": (Switch, {0: 0.5, 2: 1}, 1, [1, 1]),
    "Multiply": (Multiply, {1: 0.5, 4: 0.5}, 0.5, [0.25, 0.25]),
    "Multiply, lists": (Multiply, [{1: 0.5}, {4: 0.5}], [0.5, 1], [0.25, 1]),
    "Switch, an empty mapping": (Switch, {}, 0.5, [0.5, 0.5]),
    "Switch, a list of empty ones": (Switch, [{}, {4: 0.125}], 0.5, [0.5, 0.5]),
}


@pytest.mark.parametrize(
    ("cls", "mapping", "lr_init", "lr"), ORIGINALS.values(), ids=ORIGINALS.keys()
)
@EVERY_FORM
@pytest.mark.parametrize("disk", [True, False], ids=["from disk", "from memory"])
def test_a_checkpoint_of_the_original_package_loads(
    cls: Any,
    mapping: Any,
    lr_init: Any,
    lr: list[float],
    optimize: Callable[[], Optimizer],
    disk: bool,
) -> None:
    state = original(mapping, lr_init, lr, epoch=3)
    state = through_disk(state) if disk else state
    before = copy.deepcopy(state)
    optimizer = optimize()
    policy, whole = cls(mapping, lr_init=lr_init)(optimizer), cls(mapping, lr_init=lr_init)
    policy.load_state_dict(state)
    assert state == before
    for epoch in range(3, 6):
        assert policy.last_epoch == epoch
        assert lrs(optimizer) == whole(sgd(0.1, 0.2)).lr_at(epoch)
        advance(policy)
    assert policy.state_dict()["mapping"] == whole(sgd(0.1, 0.2)).state_dict()["mapping"]


def test_a_checkpoint_of_the_original_package_has_its_mapping_used_too() -> None:
    policy = Switch({1: 0.75}, lr_init=0.5)(sgd(0.1, 0.2))
    with pytest.warns(UserWarning, match="mapping"):
        policy.load_state_dict(original({1: 0.5, 4: 0.25}, 1e-3, [0.5, 0.5], epoch=3))
    assert policy.mapping == {1: 0.5, 4: 0.25}
    assert policy.lr_at(0) == [1e-3, 1e-3]


def test_a_schedule_s_checkpoint_of_the_original_package_loads() -> None:
    state = original({}, 1e-3, [0.25, 0.25], epoch=3)
    del state["mapping"], state["current_mapping"]
    policy = Schedule(reciprocal)(sgd(0.1, 0.2))
    policy.load_state_dict(through_disk(state))
    assert (policy.last_epoch, lrs(policy.optimizer)) == (3, [0.25, 0.25])
    advance(policy)
    assert lrs(policy.optimizer) == [0.2, 0.2]


@pytest.mark.parametrize("text", ["mapping", "current_mapping"])
def test_an_original_checkpoint_with_a_bad_dict_is_refused(text: str) -> None:
    policy = run(POLICIES["Switch"], sgd(0.1, 0.2), 1)
    state = original({1: 0.01, 3: 0.002}, 1e-3, [0.01, 0.01], epoch=3)
    state["mapping"] = {1: 0.5, 3: math.nan}
    with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=r"mapping.*epoch 3"):
        policy.load_state_dict(state)


# Copies

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "pickle, protocol 2": lambda value: pickle.loads(pickle.dumps(value, 2)),
}
LINKED = {name: duplicate for name, duplicate in COPIES.items() if name != "copy"}
EVERY_LINKED = pytest.mark.parametrize("duplicate", LINKED.values(), ids=LINKED.keys())


@EVERY_POLICY
@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_a_copy_of_an_unbound_policy_is_a_plain_value(
    make: MakePolicy, duplicate: Callable[[Any], Any]
) -> None:
    policy, optimizer = make(), sgd(0.5, 0.25)
    with unchanged(policy):
        other = duplicate(policy)
        assert other is not policy
        assert type(other) is type(policy)
        assert not hasattr(other, "optimizer")
        advance(other(optimizer), 3)
    expected = run(make, sgd(0.5, 0.25), 3)
    assert lrs(optimizer) == lrs(expected.optimizer)


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("make", [Custom, Slotted, SlottedToo, lambda: Counting({1: 0.5})])
def test_a_copy_has_the_policy_s_own_attributes(
    make: Callable[[], Any], duplicate: Callable[[Any], Any]
) -> None:
    policy = make()
    policy.left = ["set"]
    own = {k: v for k, v in attributes(policy).items() if k in ("note", "more", "left", "calls")}
    assert own
    for source in (policy, policy(sgd())):
        other = duplicate(source)
        assert {key: getattr(other, key) for key in own} == own
        assert (other.left is policy.left) is (duplicate is copy.copy)


@EVERY_POLICY
@EVERY_FORM
def test_copy_of_a_bound_policy_is_an_unbound_value(
    make: MakePolicy, optimize: Callable[[], Optimizer]
) -> None:
    optimizer = optimize()
    policy = run(make, optimizer, 2)
    with unchanged(policy, optimizer):
        other = copy.copy(policy)
        assert type(other) is type(policy)
        assert other.last_epoch == -1
        assert not hasattr(other, "optimizer")
        if isinstance(policy, MappingPolicy):
            assert isinstance(other, MappingPolicy)
            assert repr(other) == repr(make())
            assert other.current_mapping is None
        with pytest.raises(UnboundPolicyError):
            other.step()
        elsewhere, expected = optimize(), optimize()
        advance(other(elsewhere), 2)
    run(make, expected, 2)
    assert lrs(elsewhere) == lrs(expected)


def test_copy_after_loading_has_the_mapping_that_was_loaded() -> None:
    policy = Switch({1: 0.5})(sgd(0.1))
    with pytest.warns(UserWarning, match="mapping"):
        policy.load_state_dict(Switch({1: 0.25}, lr_init=1)(sgd(0.1)).state_dict())
    assert repr(copy.copy(policy)) == "Switch(mapping={1: 0.25}, lr_init=1.0)"


@EVERY_POLICY
@EVERY_FORM
@EVERY_LINKED
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("first", ["optimizer", "policy"])
def test_a_copied_pair_comes_back_linked_and_never_touches_the_original(
    make: MakePolicy,
    optimize: Callable[[], Optimizer],
    duplicate: Callable[[Any], Any],
    steps: int,
    first: str,
) -> None:
    optimizer = optimize()
    policy = run(make, optimizer, steps)
    twin = run(make, optimize(), steps)
    weights = [group["params"][0].detach().clone() for group in optimizer.param_groups]
    with unchanged(policy, optimizer):
        if first == "optimizer":
            other_optimizer, other = duplicate((optimizer, policy))
        else:
            other, other_optimizer = duplicate((policy, optimizer))
        assert other.optimizer is other_optimizer
        assert other is not policy
        assert numbers(other.state_dict()) == numbers(policy.state_dict())
        for group in other_optimizer.param_groups:
            group["params"][0].grad = torch.ones(1)
        advance(other, 3)
    now = [group["params"][0] for group in optimizer.param_groups]
    assert all(torch.equal(before, after) for before, after in zip(weights, now, strict=True))
    advance(twin, 3)
    assert lrs(other_optimizer) == lrs(twin.optimizer)
    advance(policy, 3)
    assert lrs(optimizer) == lrs(twin.optimizer)


@EVERY_POLICY
@EVERY_LINKED
def test_a_bound_policy_copied_alone_brings_its_optimizer(
    make: MakePolicy, duplicate: Callable[[Any], Any]
) -> None:
    optimizer = sgd(0.5, tensor(0.25))
    policy = run(make, optimizer, 1)
    with unchanged(policy, optimizer):
        other = duplicate(policy)
        assert other.optimizer is not optimizer
        assert lrs(other.optimizer) == lrs(optimizer)
        advance(other, 3)
        other(sgd(0.5))


def order_warnings(policy: Policy, *, optimizer_first: bool) -> list[str]:
    """Return what a step warns of, each cut to its first words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if optimizer_first:
            policy.optimizer.step()
        policy.step()
    return [str(warning.message)[:60] for warning in caught]


@EVERY_POLICY
@EVERY_LINKED
@pytest.mark.parametrize("before", [True, False], ids=["stepped", "not stepped"])
@pytest.mark.parametrize("after", [True, False], ids=["steps", "does not step"])
def test_a_copy_warns_of_the_order_just_where_the_original_would(
    make: MakePolicy, duplicate: Callable[[Any], Any], before: bool, after: bool
) -> None:
    policy = make()(sgd(0.5))
    if before:
        policy.optimizer.step()
    other = duplicate(policy)
    with unchanged(policy, policy.optimizer):
        found = order_warnings(other, optimizer_first=after)
    assert found == order_warnings(policy, optimizer_first=after)
    assert bool(found) is not (before or after)


@EVERY_POLICY
def test_a_copied_pair_can_be_copied_again_and_bound_elsewhere(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5, 0.25), 1)
    other = copy.deepcopy(pickle.loads(pickle.dumps(copy.deepcopy(policy))))
    advance(other, 1)
    assert other.last_epoch == 2
    elsewhere = sgd(0.5)
    with unchanged(other.optimizer):
        advance(other(elsewhere), 2)
    assert lrs(elsewhere) == lrs(run(make, sgd(0.5), 2).optimizer)


@EVERY_LINKED
def test_a_copied_pair_notices_groups_added_and_dropped(duplicate: Callable[[Any], Any]) -> None:
    policy = run(lambda: Multiply({3: 0.5}, lr_init=None), sgd(0.5, 0.25), 1)
    other = duplicate(policy)
    del other.optimizer.param_groups[0]
    advance(other, 2)
    assert lrs(other.optimizer) == [0.125]
    assert other.base_lrs == [0.25]


def test_deepcopy_of_a_nested_scheduler_stays_nested() -> None:
    outer, switch, _ = nested(1)
    with unchanged(outer, switch, switch.optimizer):
        other = copy.deepcopy(outer)
        advance(other.switch)  # type: ignore[attr-defined]
    assert lrs(switch.optimizer) == [0.25]
    assert lrs(other.switch.optimizer) == [0.125]  # type: ignore[attr-defined]


# No reference cycle


@contextmanager
def without_gc() -> Iterator[None]:
    """Switch the cycle collector off, so that only reference counts free anything."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def used(make: MakePolicy, optimize: Callable[[], Optimizer]) -> Policy:
    """Return a policy that has been through everything."""
    policy = run(make, optimize(), 3)
    policy.get_lr()
    policy.load_state_dict(through_disk(policy.state_dict()))
    policy.set_optimizer(optimize())
    advance(policy, 2)
    if isinstance(policy, MappingPolicy):
        policy.lr_at(9)
    repr(policy)
    return policy


LIVES: dict[str, Callable[[MakePolicy, Callable[[], Optimizer]], Policy]] = {
    "just bound": lambda make, optimize: make()(optimize()),
    "used": used,
    "deepcopied": lambda make, optimize: copy.deepcopy(used(make, optimize)),
    "pickled": lambda make, optimize: pickle.loads(pickle.dumps(used(make, optimize))),
}


@EVERY_POLICY
@pytest.mark.parametrize("optimize", [FORMS["floats"], FORMS["tensors"]], ids=["floats", "tensors"])
@pytest.mark.parametrize("live", LIVES.values(), ids=LIVES.keys())
def test_dropping_the_last_names_frees_policy_and_optimizer(
    make: MakePolicy, optimize: Callable[[], Optimizer], live: Any
) -> None:
    live(make, optimize)  # whatever torch sets up once and for all
    with without_gc():
        policy = live(make, optimize)
        optimizer = policy.optimizer
        param = optimizer.param_groups[0]["params"][0]
        ends = [weakref.ref(policy), weakref.ref(optimizer), weakref.ref(param)]
        del policy
        assert ends[0]() is None
        del optimizer, param
        assert ends[1]() is None
        assert ends[2]() is None


@EVERY_POLICY
def test_the_policy_keeps_its_optimizer_and_no_other(make: MakePolicy) -> None:
    with without_gc():
        policy, first = make(), sgd(0.5)
        policy(first)
        end = weakref.ref(first)
        del first
        assert end() is not None
        policy(sgd(0.5))
        assert end() is None


@EVERY_POLICY
def test_a_failed_step_leaves_no_cycle_behind(make: MakePolicy) -> None:
    with without_gc():
        policy = make()(sgd(0.5))
        end = weakref.ref(policy)
        with suppress(ValueError):
            policy.load_state_dict({"last_epoch": -1})
        with suppress(TypeError):
            policy(None)  # type: ignore[arg-type]
        del policy
        assert end() is None


def test_a_load_leaves_a_mapping_alone_of_which_the_state_says_nothing() -> None:
    policy = Switch({1: 0.5})(sgd())
    policy.mapping = {1: 0.25}
    state = policy.state_dict()
    del state["mapping"]
    policy.load_state_dict(state)
    assert policy.mapping == {1: 0.25}


def test_a_load_names_the_group_that_has_no_lr() -> None:
    policy = Switch({1: 0.5})(sgd(0.1, 0.2))
    state = policy.state_dict()
    del policy.optimizer.param_groups[1]["lr"]
    with pytest.raises(ValueError, match=r"^Switch, group 1: the param group has no lr$"):
        policy.load_state_dict(state)


def test_a_policy_that_is_verbose_itself_keeps_that() -> None:
    class Verbose(Halving):
        def __init__(self) -> None:
            self.verbose = True

    policy = Verbose()(sgd())
    policy.load_state_dict({**policy.state_dict(), "verbose": False})
    assert policy.verbose is False
