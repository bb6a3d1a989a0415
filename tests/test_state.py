"""What a policy saves, and what it loads or refuses."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies
import torch
from helpers import (
    CountingSwitch,
    Halving,
    MakePolicy,
    WithAttribute,
    WithMoreSlots,
    WithSlots,
    add_group,
    advance,
    attributes,
    drop_group,
    line_of_call,
    lrs,
    mixed,
    named,
    numbers,
    parameter,
    picture,
    reciprocal,
    run,
    sgd,
    tensor,
    through_disk,
    unchanged,
)
from strategies import resume, save
from torch import Tensor
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, SequentialLR, StepLR

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Policy,
    Scale,
    Schedule,
    Switch,
)


class Noted(MappingPolicy[Any]):
    """A policy of a mapping with an attribute of its own."""

    note: str | None = None

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 for _ in self.base_lrs]


# The first step of each changes the lr.
POLICIES: dict[str, MakePolicy] = {
    "Switch": lambda: Switch({1: 0.01, 3: 0.002}, lr_init=1e-3),
    "Multiply": lambda: Multiply({1: 0.5, 3: 0.1}, lr_init=None),
    "Schedule": lambda: Schedule(reciprocal),
    "Scale": lambda: Scale(reciprocal),
    "custom": Halving,
}
MAPPING_POLICIES: dict[str, Any] = {
    name: make for name, make in POLICIES.items() if name != "custom"
}
EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
BY_EPOCH = pytest.mark.parametrize("cls", [Switch, Multiply])


FORMS: dict[str, Callable[[], Optimizer]] = {
    "floats": lambda: sgd(0.5, 0.25, 0.125),
    "mixed": mixed,
}
BUILTINS = {dict, list, str, int, float, bool, type(None)}


def disturbed(make: MakePolicy, optimizer: Optimizer) -> Policy:
    """Return a policy that took two steps and whose groups somebody changed since."""
    policy = run(make, optimizer, 2)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * 0.5
    return policy


# What state_dict() holds


def kinds(value: Any) -> set[type]:
    """Return the exact types of which a state is made."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    return {type(value)}.union(*map(kinds, inner))


def spoil(value: Any) -> None:
    """Empty every container of a state and fill every tensor."""
    if isinstance(value, Tensor):
        value.fill_(99)
    elif isinstance(value, dict | list):
        for entry in list(value.values()) if isinstance(value, dict) else list(value):
            spoil(entry)
        value.clear()


@EVERY_POLICY
@pytest.mark.spec("T1")
def test_the_state_is_a_snapshot_of_plain_builtins_that_passes_weights_only(
    make: MakePolicy,
) -> None:
    """pytorch#98921, #163105, #94450: a Counter and a function, which torch.load refused."""
    for optimize in FORMS.values():
        policy = disturbed(make, optimize())
        with unchanged(policy, policy.optimizer):
            state = policy.state_dict()
            policy.prepare_state_dict("base_lrs")
            spoil(policy.state_dict())
        assert kinds(state) <= BUILTINS
        assert through_disk(state) == state
        before = copy.deepcopy(state)
        advance(policy, 3)
        assert state == before


@pytest.mark.parametrize(
    "lr",
    [np.float64(0.1), np.float32(0.1), 1, tensor(0.1, torch.float32), torch.full((1,), 0.1)],
    ids=named,
)
@pytest.mark.spec("T2")
def test_an_lr_is_saved_as_the_float_that_it_is(lr: Any) -> None:
    policy = Multiply({3: 0.5}, lr_init=None)(sgd(lr))
    policy.optimizer.param_groups[0]["lr"] = lr
    advance(policy)
    state = policy.state_dict()
    assert kinds(state) <= BUILTINS
    assert state["_last_lr"] == state["base_lrs"] == [float(lr)]


@pytest.mark.parametrize(
    ("make", "own"),
    [
        (
            lambda: Switch({5: 0.5, 0: 1}, lr_init=0.25),
            {"_policy": "Switch", "mapping": [[0, 1.0], [5, 0.5]], "lr_init": 0.25},
        ),
        (
            lambda: Multiply([{5: 0.5, 0: 1}, {}], lr_init=[1, 2]),
            {
                "_policy": "Multiply",
                "mapping": [[[0, 1.0], [5, 0.5]], []],
                "lr_init": [1.0, 2.0],
            },
        ),
        (
            lambda: Multiply({}, lr_init=None),
            {"_policy": "Multiply", "mapping": [], "lr_init": None},
        ),
        (
            lambda: Schedule(reciprocal, lr_init=0.25),
            {"_policy": "Schedule", "lr_init": 0.25, "_planned": [1 / 3, 1 / 3]},
        ),
        (
            lambda: Scale([lambda t: 0.5, reciprocal]),
            {"_policy": "Scale", "lr_init": None, "_planned": [0.25, 0.25 / 3]},
        ),
        (lambda: Noted({3: 0.5, 1: 1}, lr_init=1), {"mapping": [[1, 1.0], [3, 0.5]], "lr_init": 1}),
        (lambda: Noted(abs, lr_init=None), {"lr_init": None}),
        (WithAttribute, {"note": "mine"}),
    ],
    ids=named,
)
@pytest.mark.spec("T4", "T5", "T6", "T7")
def test_a_state_holds_this_and_nothing_else(make: MakePolicy, own: dict[str, Any]) -> None:
    policy = run(make, sgd(0.5, 0.25), 2)
    policy.optimizer.param_groups[1]["lr"] = 0.75
    state = policy.state_dict()
    assert state == {
        "last_epoch": 2,
        "_step_count": 3,
        "base_lrs": policy.base_lrs,
        "_last_lr": [lrs(policy.optimizer)[0], 0.75],
        **own,
    }
    for keys in [*((key,) for key in state), (), ("base_lrs", *own)]:
        left = {key: value for key, value in state.items() if key not in keys}
        assert policy.prepare_state_dict(*keys) == left


@pytest.mark.spec("T4", "O5")
@pytest.mark.parametrize("make", [Switch, Multiply, Noted])
def test_an_option_other_than_lr_is_in_the_state(make: Any) -> None:
    policy = make({3: 0.5}, option="weight_decay")(sgd())
    assert policy.state_dict()["option"] == "weight_decay"
    assert "option" not in make({3: 0.5}, lr_init=None)(sgd()).state_dict()


@pytest.mark.spec("T5")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_no_checkpoint_is_lost_to_a_callable_that_raises(cls: Any) -> None:
    def raising(epoch: int) -> float:
        if epoch in broken:
            raise RuntimeError("no more")
        return 0.5

    broken: set[int] = set()
    policy = cls(raising, lr_init=1)(sgd())
    advance(policy, 2)
    broken.add(2)
    state = policy.state_dict()
    assert "_planned" not in state
    fresh = cls(raising, lr_init=1)(sgd())
    fresh.load_state_dict(through_disk(state))
    assert (fresh.last_epoch, lrs(fresh.optimizer)) == (2, [0.5])
    broken.clear()
    assert policy.state_dict()["_planned"] == [0.5]
    broken.add(2)
    fresh.load_state_dict(through_disk({**state, "_planned": [0.25]}))
    assert fresh.last_epoch == 2


@pytest.mark.spec("T5")
def test_no_checkpoint_is_lost_to_a_callable_that_has_come_to_overflow() -> None:
    factor = 1.0
    policy = Scale(lambda epoch: factor)(sgd(1e300))
    factor = 1e300
    state = policy.state_dict()
    assert "_planned" not in state
    policy.load_state_dict(through_disk(state))
    assert lrs(policy.optimizer) == [1e300]


@pytest.mark.parametrize("mapping", [{}, [{}], [{}, {}], [{0: 0.5}], ({}, {1: 0.5})], ids=repr)
@BY_EPOCH
@pytest.mark.spec("T6")
def test_an_empty_mapping_and_a_list_of_empty_ones_load_as_what_they_are(
    cls: Any, mapping: Any
) -> None:
    groups = len(mapping) if isinstance(mapping, list | tuple) else 2
    policy = cls(mapping, lr_init=None)(sgd(*[0.1] * groups))
    fresh = cls(mapping, lr_init=None)(sgd(*[0.1] * groups))
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert repr(fresh) == repr(policy)
    assert fresh.state_dict() == policy.state_dict()


@EVERY_POLICY
@pytest.mark.spec("T3")
def test_the_state_does_not_grow_with_the_groups_but_for_a_few_numbers(make: MakePolicy) -> None:
    number = len("0.12345678901234567, ")
    assert size_of_state(make, 51) - size_of_state(make, 1) <= 50 * 3 * number


@BY_EPOCH
@pytest.mark.spec("T3")
def test_a_long_broadcast_mapping_is_saved_once(cls: Any) -> None:
    mapping = dict.fromkeys(range(1000), 0.5)
    sizes = [size_of_state(lambda: cls(mapping, lr_init=1), groups) for groups in (1, 50)]
    assert sizes[1] < 1.5 * sizes[0]


def size_of_state(make: MakePolicy, groups: int) -> int:
    """Return how long a state is as a text."""
    return len(json.dumps(run(make, sgd(*[0.1] * groups), 1).state_dict()))


# A custom policy's own attributes


@pytest.mark.parametrize("cls", [WithAttribute, WithSlots, WithMoreSlots])
@pytest.mark.spec("T2", "T7")
def test_its_own_attributes_are_saved_and_loaded(cls: Any) -> None:
    for note in ("mine", None, [1, {"a": (2.5, True)}], {3: "three"}, torch.arange(3), b"bytes"):
        policy = cls(note)(sgd())
        state = through_disk(policy.state_dict())
        assert numbers(state["note"]) == numbers(note)
        fresh = cls("other")(sgd())
        fresh.load_state_dict(state)
        assert numbers(fresh.note) == numbers(note)
        assert type(fresh.note) is type(note)


@pytest.mark.spec("T7")
def test_every_slot_that_is_set_is_included() -> None:
    policy = WithMoreSlots("mine", more=3)(sgd())
    state = policy.state_dict()
    assert {"note", "more"} <= state.keys()
    assert "left" not in state
    policy.left = "set"  # type: ignore[attr-defined]
    fresh = WithMoreSlots("other", more=4)(sgd())
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert (fresh.note, fresh.more, fresh.left) == ("mine", 3, "set")  # type: ignore[attr-defined]
    hidden = WithSlots(hidden="secret")(sgd())
    other = WithSlots()(sgd())
    other.load_state_dict(hidden.state_dict())
    assert other.hidden() == "secret"


@pytest.mark.spec("T7")
def test_a_subclass_of_switch_saves_its_own_attributes_too() -> None:
    policy = CountingSwitch({1: 0.5}, None)(sgd())
    policy.calls = 7
    fresh = CountingSwitch({1: 0.5}, None)(sgd())
    fresh.load_state_dict(through_disk(policy.state_dict()))
    assert fresh.calls == 7


@pytest.mark.spec("T1", "T2", "T10")
def test_its_own_attributes_are_a_snapshot_too() -> None:
    note: list[Any] = [[1], tensor(0.5)]
    policy = WithAttribute(note)(sgd())
    state = policy.state_dict()
    before = numbers(state)
    assert isinstance(state["note"][1], Tensor)
    note[0].append(2)
    note[1].fill_(9)
    assert numbers(state) == before
    fresh = WithAttribute()(sgd())
    fresh.load_state_dict(state)
    with unchanged(fresh):
        state["note"][0].append(2)
        state["note"][1].fill_(9)
    assert numbers(fresh.note) == numbers([[1], tensor(0.5)])


@pytest.mark.spec("T7")
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


@pytest.mark.spec("T7")
def test_numpy_scalars_are_saved_as_python_numbers() -> None:
    note = [
        np.float64(0.1),
        np.float32(0.1),
        np.int64(3),
        np.bool_(True),
        (np.int8(1), {np.int64(2): [np.float16(0.5)]}),
    ]
    for cls in (WithAttribute, WithSlots):
        saved = through_disk(cls(note)(sgd()).state_dict())["note"]
        assert saved == [0.1, float(np.float32(0.1)), 3, True, (1, {2: [0.5]})]
        assert kinds(saved) <= BUILTINS | {tuple}
        assert isinstance(note[0], np.float64)


@pytest.mark.spec("T7")
def test_a_mapping_may_stand_beside_a_callable() -> None:
    class Mixed(MappingPolicy[Any]):
        def get_lr(self) -> list[Any]:
            return [0.1, 0.2]

    for mapping in ([{0: 0.5}, math.cos], [math.cos, {0: 0.5}]):
        state = Mixed(mapping, lr_init=1e-3)(sgd(0.1, 0.1)).state_dict()
        assert "mapping" not in state
        assert state["lr_init"] == 1e-3


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
    "an array": np.ones(2),
    "an array of one number": np.array(0.5),
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
    "a policy in a list": [1, Switch({1: 0.5})],
    "a bound policy in a dict": {"a": (Switch({1: 0.5}, lr_init=None)(sgd()),)},
    "a scheduler of torch in a tuple": (StepLR(sgd(), 1),),
}


def refused_by_weights_only(value: object) -> bool:
    """Ask torch itself."""
    try:
        through_disk(value)
    except Exception:
        return True
    return False


@pytest.mark.spec("T9")
def test_the_table_of_values_has_both_kinds() -> None:
    verdicts = {name: refused_by_weights_only(value) for name, value in OTHER_VALUES.items()}
    assert all(verdicts[name] for name in verdicts if "policy" in name or "scheduler" in name)
    assert verdicts["a lambda"]
    assert verdicts["an array"]
    assert not verdicts["a complex number"]
    assert not verdicts["a dtype"]


@pytest.mark.parametrize("value", OTHER_VALUES.values(), ids=OTHER_VALUES.keys())
@pytest.mark.spec("T7", "T9")
def test_a_value_that_weights_only_refuses_is_a_type_error_and_no_other_is(value: Any) -> None:
    for cls in (WithAttribute, WithSlots):
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


@pytest.mark.spec("T7", "T9")
def test_what_is_left_out_of_the_state_of_a_subclass_is_not_looked_at() -> None:
    policy = CountingSwitch({0: 0.5})(sgd())
    vars(policy)["note"] = print
    assert "note" not in policy.prepare_state_dict("note")


@pytest.mark.spec("T7", "T28")
def test_a_method_that_an_instance_has_replaced_is_no_state() -> None:
    policy = Halving()(sgd())
    vars(policy)["step"] = lambda: None  # as frameworks wrap it
    assert policy.state_dict().keys() == Halving()(sgd()).state_dict().keys()


# Nested schedulers


class Nesting(Policy):
    """A policy that holds schedulers."""

    def __init__(self, **held: Any) -> None:
        for name, value in held.items():
            setattr(self, name, value)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [0.5 / (1 + self.last_epoch)]


def switch(steps: int) -> Switch:
    """Return a bound policy after some steps."""
    policy = Switch({1: 0.25, 2: 0.125}, lr_init=None)(sgd(0.75))
    advance(policy, steps)
    return policy


def nested(steps: int = 0) -> Any:
    """Return a policy that holds a bound policy, schedulers of torch and an unbound policy."""
    optimizer = sgd(0.75)
    parts: list[LRScheduler] = [StepLR(optimizer, 1, gamma) for gamma in (0.5, 0.25)]
    held: dict[str, LRScheduler] = {
        "step_lr": StepLR(sgd(0.75), 1),
        "inside": Nesting(switch=switch(steps))(sgd(0.1)),
        "sequence": SequentialLR(optimizer, parts, [1]),
    }
    for scheduler in held.values():
        advance(scheduler, steps)
    outer = Nesting(switch=switch(steps), **held, recipe=Multiply({1: 0.5}))
    advance(outer(sgd(0.1)), steps)
    return outer


def everything_in(outer: Any) -> list[Any]:
    """Return each scheduler that is in such a policy, and its optimizer."""
    inside = [outer.switch, outer.step_lr, outer.inside, outer.inside.switch, outer.sequence]
    every = [outer, *inside, *outer.sequence._schedulers]
    return [thing for scheduler in every for thing in (scheduler, scheduler.optimizer)]


@pytest.mark.spec("T8")
def test_a_nested_scheduler_is_saved_and_loaded_by_its_own_methods() -> None:
    whole = nested(2)
    state = through_disk(whole.state_dict())
    for name in ("switch", "step_lr", "inside", "sequence"):
        assert numbers(state[name]) == numbers(getattr(whole, name).state_dict())
    assert "recipe" not in state
    outer = nested()
    held = vars(outer).copy()
    outer.load_state_dict(state)
    for name in ("switch", "step_lr", "inside", "sequence", "recipe"):
        assert getattr(outer, name) is held[name]
    assert outer.step_lr.last_epoch == 2
    for policy in (outer.switch, outer.inside.switch):
        assert (policy.last_epoch, lrs(policy.optimizer)) == (2, [0.125])
    assert (outer.last_epoch, lrs(outer.optimizer)) == (2, [0.5 / 3])


@pytest.mark.spec("T8")
def test_the_state_of_a_scheduler_that_is_not_bound_is_refused() -> None:
    outer = nested()
    state = {**outer.state_dict(), "recipe": {}}
    with unchanged(*everything_in(outer)), pytest.raises(ValueError, match=r"recipe.*bind it"):
        outer.load_state_dict(state)


@pytest.mark.parametrize(
    "spoil_state",
    [
        lambda state: state.update(_last_lr=[math.nan]),
        lambda state: state.update(last_epoch=True),
        lambda state: state["switch"].update(_last_lr=[math.nan]),
        lambda state: state["switch"].pop("last_epoch"),
        lambda state: state.update(switch=None),
        lambda state: state.update(switch=[1]),
    ],
    ids=["lrs", "epoch", "nested lrs", "nested epoch", "no nested state", "a list"],
)
@pytest.mark.spec("T10")
def test_a_nested_load_is_all_or_nothing_too(spoil_state: Callable[[Any], object]) -> None:
    good = nested(2).state_dict()
    for name in ("switch", "step_lr", "inside", "sequence"):  # each order of loading
        state = copy.deepcopy({name: good[name], **good, "switch": good["switch"]})
        spoil_state(state)
        state["switch"] = state.pop("switch", None)  # the last
        outer = nested()
        with unchanged(*everything_in(outer)), pytest.raises((TypeError, ValueError)):
            outer.load_state_dict(state)


class Holding(Policy):
    """Holds schedulers, one of them with schedulers in it, and one that is not bound."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        parts: list[LRScheduler] = [Switch({0: 0.1})(optimizer), Multiply({1: 0.5})(optimizer)]
        self.sequence = SequentialLR(optimizer, parts, [3])
        self.last = Switch({0: 0.3})(optimizer)
        self.unbound = Switch({})
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        return [0.4]


@pytest.mark.spec("T10")
@pytest.mark.parametrize("last", [{"last_epoch": "no"}, {}, 1, None])
def test_a_load_that_fails_late_takes_back_all_of_them(last: object) -> None:
    optimizer = sgd(1e-3)
    policy = Holding()(optimizer)
    early = policy.state_dict()
    for _ in range(5):
        advance(policy.sequence)
        advance(policy)
    optimizer.param_groups[0]["lr"] = 0.7
    early["last"] = last
    with (
        unchanged(policy, policy.last, *policy.sequence._schedulers, optimizer),
        pytest.raises((TypeError, ValueError), match="Switch"),
    ):
        policy.load_state_dict(early)
    assert [inner.last_epoch for inner in policy.sequence._schedulers] == [2, 2]
    assert policy.sequence.last_epoch == 5


@pytest.mark.spec("T8")
def test_what_was_unbound_when_saved_stays_as_it_is() -> None:
    policy = Holding()(sgd(1e-3))
    state = policy.state_dict()
    assert state.keys() >= {"sequence", "last"}
    assert "unbound" not in state
    fresh = Holding()(sgd(1e-3))
    unbound = fresh.unbound
    fresh.load_state_dict(state)
    assert fresh.unbound is unbound


@pytest.mark.spec("T8")
def test_what_was_bound_when_saved_has_to_be_bound() -> None:
    state = Holding()(sgd(1e-3)).state_dict()
    fresh = Holding()(sgd(1e-3))
    fresh.last = Switch({0: 0.3})
    with pytest.raises(ValueError, match=r"Holding: 'last' .* not bound: bind it first"):
        fresh.load_state_dict(state)


@pytest.mark.spec("K2", "T8")
def test_deepcopy_of_a_nested_scheduler_stays_nested() -> None:
    outer = nested(1)
    with unchanged(*everything_in(outer)):
        other = copy.deepcopy(outer)
        advance(other.switch)
    assert lrs(outer.switch.optimizer) == [0.25]
    assert lrs(other.switch.optimizer) == [0.125]


@pytest.mark.spec("T10")
def test_a_slot_that_was_loaded_is_put_back_where_a_nested_load_fails() -> None:
    policy: Any = WithSlots("mine")(sgd())
    policy.left = switch(0)
    state = {**policy.state_dict(), "note": "theirs", "left": {}}
    with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match="no last_epoch"):
        policy.load_state_dict({key: state[key] for key in sorted(state, key="left".__eq__)})


@pytest.mark.spec("T8", "T10")
def test_policies_that_hold_each_other_in_lists_are_loaded() -> None:
    one, two = Halving()(sgd()), Halving()(sgd())
    vars(one)["others"], vars(two)["others"] = [one, two], [two, one]
    one.load_state_dict({"last_epoch": 3, "_last_lr": [0.25]})
    assert (lrs(one.optimizer), lrs(two.optimizer)) == ([0.25], [0.1])


# load_state_dict


@EVERY_POLICY
@pytest.mark.spec("T2", "T11", "T12", "T16", "B18")
def test_the_saved_lrs_are_written_into_the_groups(make: MakePolicy) -> None:
    """pytorch#29697: the scheduler's state alone went on from a wrong lr."""
    for source, target in product(FORMS.values(), FORMS.values()):
        policy, optimizer = disturbed(make, source()), target()
        fresh = make()(optimizer)
        held = [group["lr"] for group in optimizer.param_groups]
        fresh.load_state_dict(through_disk(policy.state_dict()))
        for epoch in range(2, 6):
            # A group that holds float32 rounds what another holds as a float.
            exact = source is target or (epoch == 2 and target is not mixed)
            assert lrs(optimizer) == (
                lrs(policy.optimizer) if exact else pytest.approx(lrs(policy.optimizer), rel=1e-6)
            )
            assert fresh.last_epoch == policy.last_epoch == epoch
            assert fresh.base_lrs == policy.base_lrs
            for lr, group in zip(held, optimizer.param_groups, strict=True):
                assert type(group["lr"]) is type(lr)
                assert group["lr"] is lr or not isinstance(lr, Tensor)
            advance(policy)
            advance(fresh)


@EVERY_POLICY
@pytest.mark.spec("T10")
def test_load_leaves_its_argument_alone_keeps_nothing_of_it_and_can_be_repeated(
    make: MakePolicy,
) -> None:
    """pytorch#32756: load_state_dict popped keys out of the caller's dict."""
    for optimize in FORMS.values():
        state = disturbed(make, optimize()).state_dict()
        before = copy.deepcopy(state)
        fresh = make()(optimize())
        fresh.load_state_dict(state)
        with unchanged(fresh.optimizer):
            fresh.load_state_dict(state)
        assert fresh.state_dict() == state
        advance(fresh, 3)
        fresh.load_state_dict(state)
        assert fresh.state_dict() == state == before
        assert list(state) == list(before)
        with unchanged(fresh, fresh.optimizer):
            spoil(state)


ORDERS = [*strategies.ORDERS, ("bind", "policy", "optimizer", "policy")]
EVERY_ORDER = pytest.mark.parametrize("order", ORDERS, ids=", ".join)


@EVERY_POLICY
@EVERY_ORDER
@pytest.mark.spec("T11", "T17")
def test_every_order_of_resuming_ends_at_the_same_run(
    make: MakePolicy, order: tuple[str, ...]
) -> None:
    """pytorch#119168, #65342: a scheduler built after optimizer.load_state_dict reset its lr."""
    for optimize, steps in product(FORMS.values(), (0, 2)):
        whole = disturbed(make, optimize())
        advance(whole, steps)
        optimizer, policy = optimize(), make()
        resume(save(whole.optimizer, whole), optimizer, policy, order)
        for _ in range(4):
            assert lrs(optimizer) == lrs(whole.optimizer)
            assert policy.last_epoch == whole.last_epoch
            assert policy.base_lrs == whole.base_lrs
            advance(policy)
            advance(whole)


@EVERY_ORDER
@pytest.mark.spec("T11", "T15")
def test_a_checkpoint_without_initial_lr_is_enough(order: tuple[str, ...]) -> None:
    """pytorch#140900: Distributed Checkpoint drops `initial_lr` from the param groups."""
    fresh, optimizer = Multiply({2: 0.5, 4: 0.5}, lr_init=None), sgd(0.75)
    policy = run(lambda: copy.copy(fresh), sgd(0.75), 3)
    del policy.optimizer.param_groups[0]["initial_lr"]
    resume(save(policy.optimizer, policy), optimizer, fresh, order)
    advance(fresh, 3)
    assert lrs(optimizer) == [0.75 * 0.5 * 0.5]
    assert fresh.base_lrs == fresh.lr_at(0) == [0.75]


def through_distributed_checkpoint(policy: Policy, fresh: Policy, folder: Path) -> None:
    """Save the state of one, and load it into another, in whose state the values are put."""
    state = fresh.state_dict()
    with pytest.warns(UserWarning, match="single process"):
        dcp_save({"policy": policy.state_dict()}, checkpoint_id=folder)
    with pytest.warns(UserWarning, match="single process"):
        dcp_load({"policy": state}, checkpoint_id=folder)
    fresh.load_state_dict(state)


@EVERY_POLICY
@pytest.mark.spec("T6")
def test_distributed_checkpoint_round_trip(make: MakePolicy, tmp_path: Path) -> None:
    """pytorch#140900, its neighbour: DCP makes keys strings and refuses what a fresh one lacks."""
    policy, fresh = run(make, sgd(tensor(1.0)), 3), run(make, sgd(tensor(1.0)), 0)
    through_distributed_checkpoint(policy, fresh, tmp_path)
    assert fresh.get_last_lr() == policy.get_last_lr()
    assert fresh.last_epoch == 3


@pytest.mark.spec("T6", "T13")
def test_distributed_checkpoint_into_a_policy_with_another_mapping(tmp_path: Path) -> None:
    """pytorch#140900, its neighbour: a mapping as a dict would mix the keys of both."""
    policy = run(lambda: Multiply({2: 0.5, 4: 0.5}, lr_init=1), sgd(), 3)
    fresh = Multiply({3: 0.25, 5: 0.25}, lr_init=1)(sgd())
    with pytest.warns(UserWarning, match="mapping"):
        through_distributed_checkpoint(policy, fresh, tmp_path)
    assert fresh.mapping == {2: 0.5, 4: 0.5}


@EVERY_POLICY
@pytest.mark.parametrize("join", ["sequence", "chain"])
@pytest.mark.spec("T11", "T17", "T23", "X1")
def test_a_run_of_several_schedulers_resumes_silently(make: MakePolicy, join: str) -> None:
    def started(steps: int) -> Any:
        optimizer = sgd(0.5, 0.25)
        parts: list[Any] = [make()(optimizer), StepLR(optimizer, 2, 0.5)]
        if join == "sequence":
            parts.insert(1, make()(optimizer))
        scheduler = (
            SequentialLR(optimizer, parts, [2, 5])
            if join == "sequence"
            else ChainedScheduler(parts)
        )
        advance(scheduler, steps)
        return scheduler

    for steps in (1, 3, 6):
        whole, fresh = started(steps), started(0)
        for one, other in ((fresh, whole), (fresh.optimizer, whole.optimizer)):
            one.load_state_dict(copy.deepcopy(other.state_dict()))
        for _ in range(6):
            assert lrs(fresh.optimizer) == lrs(whole.optimizer)
            advance(whole)
            advance(fresh)


@EVERY_POLICY
@pytest.mark.spec("T23")
def test_a_policy_that_has_not_begun_is_saved_and_loaded_as_it_is(make: MakePolicy) -> None:
    for epoch in (-1, -2):
        policy = make()(sgd(0.5, 0.25))
        policy.last_epoch = epoch
        state = through_disk(policy.state_dict())
        assert state["last_epoch"] == epoch
        fresh = make()(sgd(0.5, 0.25))
        fresh.optimizer.param_groups[1]["lr"] = 0.75
        with unchanged(fresh.optimizer):
            fresh.load_state_dict({**state, "_last_lr": [0.125, 0.125]})
        assert fresh.last_epoch == epoch
    advance(fresh, 2)
    if isinstance(fresh, MappingPolicy):  # another goes by what the groups hold
        assert lrs(fresh.optimizer) == make()(sgd(0.5, 0.25)).get_last_lr()


@EVERY_POLICY
@pytest.mark.spec("T11", "T15", "T24")
def test_a_run_whose_groups_changed_resumes_too(make: MakePolicy) -> None:
    def dropped(policy: Policy) -> None:
        drop_group(policy)
        add_group(policy, 0.75)
        add_group(policy, 0.625)

    for change, steps in product(
        (drop_group, lambda policy: add_group(policy, 0.75), dropped), (0, 1)
    ):
        policy = run(make, sgd(0.5, 0.25), 1)
        change(policy)
        advance(policy, steps)
        fresh = make()(sgd(*lrs(policy.optimizer)))
        for target in (fresh, policy):
            target.load_state_dict(through_disk(policy.state_dict()))
        for _ in range(3):
            assert lrs(fresh.optimizer) == lrs(policy.optimizer)
            advance(fresh)
            advance(policy)
        assert fresh.base_lrs == policy.base_lrs


@EVERY_POLICY
@pytest.mark.spec("T24", "S13")
def test_saving_and_loading_take_late_groups_in_first(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5), 1)
    add_group(policy, 0.75)
    state = policy.state_dict()
    assert state["_last_lr"][1] == state["base_lrs"][1] == policy.base_lrs[1] == 0.75
    fresh = make()(sgd(0.5))
    add_group(fresh, 0.75)
    fresh.load_state_dict(through_disk(state))
    assert fresh.state_dict() == state
    assert lrs(fresh.optimizer) == lrs(policy.optimizer)
    assert "initial_lr" not in fresh.optimizer.param_groups[1]


@pytest.mark.spec("S15", "T24", "K4")
def test_with_one_mapping_a_group_neither_save_nor_load_takes_another_in() -> None:
    optimizer = sgd(1.0, 1.0)
    policy = Switch([{0: 0.1}, {0: 0.2, 6: 0.3}])(optimizer)
    state = policy.state_dict()
    optimizer.add_param_group({"params": [parameter()], "lr": 0.5})
    for call in (policy.state_dict, lambda: policy.load_state_dict(state)):
        with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups"):
            call()
    assert repr(policy).startswith("Switch(mapping=[{0: 0.1}, {0: 0.2, 6: 0.3}]")


@EVERY_POLICY
@pytest.mark.spec("T10", "T27")
def test_a_state_of_fewer_groups_does_not_fit(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5), 1)
    state = policy.state_dict()
    add_group(policy, 0.75)
    before = picture(policy), picture(policy.optimizer)
    with pytest.raises(ValueError, match="got 1 lrs and 2 param groups"):
        policy.load_state_dict(state)
    assert (picture(policy), picture(policy.optimizer)) == before


@BY_EPOCH
@pytest.mark.spec("T12", "T13", "T15")
def test_the_saved_lr_init_is_used(cls: Any) -> None:
    saved = cls({3: 0.5}, lr_init=None)(sgd(0.25))
    policy = cls({3: 0.5}, lr_init=0.75)(sgd(0.125))
    with pytest.warns(UserWarning, match=r"lr_init was .*0\.25.* and is .*0\.75"):
        policy.load_state_dict(saved.state_dict())
    assert policy.lr_init is None
    assert policy.lr_at(0) == policy.base_lrs == policy.current_lr_init == [0.25]
    assert policy.state_dict() == saved.state_dict()


@BY_EPOCH
@pytest.mark.spec("T12", "T15")
def test_where_the_state_has_no_lr_init_its_starts_count(cls: Any) -> None:
    saved = cls({3: 0.5}, lr_init=0.25)(sgd(0.1))
    policy = cls({3: 0.5}, lr_init=0.75)(sgd(0.1))
    with pytest.warns(UserWarning, match=r"lr_init was .*0\.25.* and is .*0\.75"):
        policy.load_state_dict(saved.prepare_state_dict("lr_init"))
    assert policy.lr_at(0) == policy.base_lrs == [0.25]
    assert repr(policy) == repr(saved)


@EVERY_POLICY
@pytest.mark.spec("T25", "T27")
def test_a_state_that_only_has_what_is_required_loads(make: MakePolicy) -> None:
    policy, whole = make()(sgd(0.5)), run(make, sgd(0.5), 2)
    policy.load_state_dict({"last_epoch": 2, "_last_lr": [0.25]})
    for group in whole.optimizer.param_groups:
        group["lr"] = 0.25
    assert policy.state_dict() == whole.state_dict()
    for _ in range(2):
        advance(policy)
        advance(whole)
        assert lrs(policy.optimizer) == lrs(whole.optimizer)


@pytest.mark.spec("T25", "T27")
def test_an_epoch_of_64_bits_and_an_lr_of_any_shape_are_loaded() -> None:
    """A scheduler of torch saves the tensor that a group holds."""
    policy = Halving()(sgd(tensor(0.5)))
    policy.load_state_dict({"last_epoch": 2**64 - 1, "_last_lr": [torch.tensor([0.25])]})
    assert (policy.last_epoch, lrs(policy.optimizer)) == (2**64 - 1, [0.25])


# What load_state_dict() refuses

MISSING = "a key that is left out"
# For each case: what becomes of which keys of a good state. All are refused by every policy.
BAD_STATES: dict[str, dict[Any, Any]] = {
    "no last_epoch": {"last_epoch": MISSING},
    "a bool last_epoch": {"last_epoch": True},
    "a float last_epoch": {"last_epoch": 2.0},
    "a string last_epoch": {"last_epoch": "2"},
    "last_epoch is None": {"last_epoch": None},
    "a list last_epoch": {"last_epoch": [2]},
    "no lrs": {"_last_lr": MISSING},
    "no _last_lr beside _group_lrs": {"_last_lr": MISSING, "_group_lrs": [0.5] * 3},
    "too few _last_lr": {"_last_lr": [0.5]},
    "too many _last_lr": {"_last_lr": [0.5] * 4},
    "no _last_lr in the list": {"_last_lr": []},
    "_last_lr is None": {"_last_lr": None},
    "_last_lr is a number": {"_last_lr": 0.5},
    "_last_lr is a string": {"_last_lr": "abc"},
    "_last_lr is a dict": {"_last_lr": {0: 0.5, 1: 0.5, 2: 0.5}},
    "nan": {"_last_lr": [0.5, math.nan, 0.5]},
    "inf": {"_last_lr": [math.inf, 0.5, 0.5]},
    "a nan tensor": {"_last_lr": [0.5, tensor(math.nan), 0.5]},
    "a string lr": {"_last_lr": [0.5, "0.5", 0.5]},
    "a bool lr": {"_last_lr": [0.5, True, 0.5]},
    "lr is None": {"_last_lr": [0.5, None, 0.5]},
    "a complex lr": {"_last_lr": [0.5, 1j, 0.5]},
    "a list lr": {"_last_lr": [0.5, [0.5], 0.5]},
    "a tensor of two": {"_last_lr": [0.5, torch.ones(2), 0.5]},
    "an lr too large for a float": {"_last_lr": [0.5, 10**400, 0.5]},
    "an lr too large for the group's dtype": {"_last_lr": [0.5, 0.5, 1e39]},
    "a bad _last_lr beside good _group_lrs": {"_last_lr": ["x"] * 3, "_group_lrs": [0.5] * 3},
    "nan in _group_lrs": {"_group_lrs": [0.5, math.nan, 0.5]},
    "too few _group_lrs": {"_group_lrs": [0.5]},
    "too few base_lrs": {"base_lrs": [0.5]},
    "a nan in base_lrs": {"base_lrs": [0.5, math.nan, 0.5]},
    "base_lrs is None": {"base_lrs": None},
    "a string in base_lrs": {"base_lrs": [0.5, "x", 0.5]},
    "a string _step_count": {"_step_count": "x"},
    "a negative _step_count": {"_step_count": -1},
    "_step_count is None": {"_step_count": None},
    "another option": {"option": "weight_decay"},
    "an option that is no string": {"option": 1},
    "a policy of no name": {"_policy": 1},
    "a policy of another name": {"_policy": "StepLR"},
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
    "mappings for another number of groups": {"mapping": [[[0, 0.5]]] * 4},
    "a nan in a list of mappings": {"mapping": [[[0, 0.5]], [], [[0, math.nan]]]},
    "a dict with a string": {"mapping": {"0": 0.5}},
    "lr_init is a string": {"lr_init": "x"},
    "lr_init is nan": {"lr_init": math.nan},
    "lr_init is negative": {"lr_init": -0.5},
    "lr_init for another number of groups": {"lr_init": [0.5] * 4},
    "lr_init with None": {"lr_init": [0.5, None, 0.5]},
    "a bool lr_init": {"lr_init": True},
}


def change(state: dict[str, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """Return a state with some of its entries replaced or left out."""
    return {key: value for key, value in {**state, **changes}.items() if value is not MISSING}


def refuses(make: MakePolicy, changes: dict[Any, Any]) -> None:
    """Check that a changed state is refused and changes nothing, then that a good one loads."""
    good = run(make, mixed(), 3).state_dict()
    policy, state = run(make, mixed(), 2), change(good, changes)
    with (
        unchanged(policy, policy.optimizer),
        pytest.raises((TypeError, ValueError)) as caught,
    ):
        policy.load_state_dict(state)
    assert caught.match(rf"{type(policy).__name__}|Got 4 (mappings|lr_init) and 3 param groups")
    policy.load_state_dict(good)
    assert policy.state_dict() == good


@pytest.mark.parametrize("changes", BAD_STATES.values(), ids=BAD_STATES.keys())
@pytest.mark.spec("T10", "T25", "T26", "T27", "T28")
def test_a_bad_state_is_refused_and_changes_nothing(changes: dict[Any, Any]) -> None:
    for make in POLICIES.values():
        refuses(make, changes)


@pytest.mark.parametrize("changes", BAD_MAPPINGS.values(), ids=BAD_MAPPINGS.keys())
@pytest.mark.spec("T10", "T12")
def test_a_bad_mapping_or_lr_init_is_refused_and_changes_nothing(changes: dict[Any, Any]) -> None:
    for name in ("Switch", "Multiply"):
        refuses(POLICIES[name], changes)


@EVERY_POLICY
@pytest.mark.spec("T10", "T27")
def test_what_is_no_state_is_refused_and_changes_nothing(make: MakePolicy) -> None:
    policy = run(make, sgd(0.5), 2)
    states: list[Any] = [None, [], [("last_epoch", 1)], 5, "last_epoch", {}]
    for state in states:
        with unchanged(policy, policy.optimizer), pytest.raises((TypeError, ValueError)):
            policy.load_state_dict(state)


@pytest.mark.parametrize(
    ("lr", "dtype"), [(1e39, torch.float32), (1e5, torch.float16), (1e39, torch.bfloat16)], ids=str
)
@pytest.mark.spec("T10", "T27")
def test_a_saved_lr_that_the_group_s_dtype_cannot_hold_is_refused(
    lr: float, dtype: torch.dtype
) -> None:
    for make in POLICIES.values():
        optimizer = sgd(0.5, tensor(0.25, dtype))
        policy = run(make, optimizer, 1)
        state = change(policy.state_dict(), {"_last_lr": [0.25, lr]})
        with unchanged(policy, optimizer), pytest.raises(ValueError, match="group 1"):
            policy.load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"last_epoch": MISSING}, ValueError, "last_epoch"),
        ({"last_epoch": True}, TypeError, "last_epoch.*True"),
        ({"last_epoch": 2.0}, TypeError, r"last_epoch.*2\.0"),
        ({"_last_lr": MISSING}, ValueError, "_last_lr"),
        ({"_last_lr": [0.5] * 3}, ValueError, "_last_lr.*3.*2"),
        ({"_last_lr": [0.5, math.nan]}, ValueError, r"_last_lr.*group 1.*nan"),
        ({"_last_lr": [0.5, "x"]}, TypeError, r"_last_lr.*group 1.*'x'"),
        ({"_policy": "StepLR"}, ValueError, "StepLR"),
        ({"option": "momentum"}, ValueError, "momentum.*lr"),
        ({"optimizer": 1}, ValueError, "optimizer"),
        ({"step": 1}, ValueError, "step"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@pytest.mark.spec("T25", "T27", "T28")
def test_what_it_refuses_it_names(
    changes: dict[Any, Any], error: type[Exception], text: str
) -> None:
    for make in POLICIES.values():
        policy = run(make, sgd(0.5, 0.25), 1)
        with pytest.raises(error, match=f"^{type(policy).__name__}.*{text}"):
            policy.load_state_dict(change(policy.state_dict(), changes))


@pytest.mark.spec("T28")
def test_a_key_that_names_a_property_or_method_of_a_subclass_is_refused() -> None:
    class Described(WithAttribute):
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

        first = itemgetter(0)

    policy = Described()(sgd())
    for key in ("summary", "describe", "tool", "build", "first", "__deepcopy__", "lr_at"):
        state = {**policy.state_dict(), "note": "changed", key: 1}
        with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=key):
            policy.load_state_dict(state)


@EVERY_POLICY
@pytest.mark.spec("S2", "T10")
def test_a_load_names_the_group_that_has_no_lr(make: MakePolicy) -> None:
    policy = make()(sgd(0.1, 0.2))
    state = policy.state_dict()
    del policy.optimizer.param_groups[1]["lr"]
    name = type(policy).__name__
    with pytest.raises(ValueError, match=f"^{name}.* group 1: the param group has no lr"):
        policy.load_state_dict(state)


# Whose state it is


@pytest.mark.parametrize("make", MAPPING_POLICIES.values(), ids=MAPPING_POLICIES.keys())
@pytest.mark.spec("T25", "T26")
def test_the_state_of_another_of_the_package_is_refused(make: MakePolicy) -> None:
    own = make()(sgd(0.5))
    name = type(own).__name__
    assert own.state_dict()["_policy"] == name
    for other in POLICIES.values():
        policy = run(other, sgd(0.5), 1)
        if type(policy) is type(own):
            continue
        with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=name):
            policy.load_state_dict(own.state_dict())


@pytest.mark.spec("T25", "T26")
def test_a_subclass_goes_by_the_name_of_the_package_s_own() -> None:
    saved = Switch({3: 0.5}, lr_init=None)(sgd(0.5))
    fresh = CountingSwitch({3: 0.5}, None)(sgd(0.5))
    assert fresh.state_dict()["_policy"] == "Switch"
    advance(saved)
    fresh.load_state_dict(through_disk(saved.state_dict()))
    assert fresh.last_epoch == 1
    with pytest.raises(ValueError, match="Switch"):
        Noted({3: 0.5}, lr_init=None)(sgd(0.5)).load_state_dict(saved.state_dict())


@EVERY_POLICY
@pytest.mark.spec("T25", "T28")
def test_the_state_of_a_scheduler_of_torch_is_accepted(make: MakePolicy) -> None:
    step_lr = StepLR(sgd(0.5), 1, gamma=0.5)
    advance(step_lr, 2)
    policy = make()(sgd(0.5))
    if isinstance(policy, Switch):
        policy = Switch({3: 0.25}, lr_init=0.5)(sgd(0.5))
    policy.load_state_dict(through_disk(step_lr.state_dict()))
    assert (policy.last_epoch, policy.base_lrs, lrs(policy.optimizer)) == (2, [0.5], [0.125])
    assert hasattr(policy, "gamma") is isinstance(policy, Halving)


# Keys that nobody knows


@EVERY_POLICY
@pytest.mark.spec("T28")
def test_retired_torch_keys_are_ignored(make: MakePolicy) -> None:
    retired = {"verbose": True, "_get_lr_called_within_step": True, "_is_initial": True}
    policy = run(make, sgd(0.5), 2)
    fresh, plain = make()(sgd(0.5)), make()(sgd(0.5))
    fresh.load_state_dict({**policy.state_dict(), **retired})
    plain.load_state_dict(policy.state_dict())
    assert vars(fresh).keys() == vars(plain).keys()
    # An older torch has none.
    assert getattr(fresh, "_is_initial", None) is getattr(plain, "_is_initial", None)
    assert fresh.state_dict() == policy.state_dict()


@pytest.mark.spec("T28")
def test_a_policy_that_is_verbose_itself_keeps_that() -> None:
    class Verbose(Halving):
        def __init__(self) -> None:
            self.verbose = True

    policy = Verbose()(sgd())
    policy.load_state_dict({**policy.state_dict(), "verbose": False})
    assert policy.verbose is False


@pytest.mark.parametrize(
    "make",
    [
        Halving,
        WithSlots,
        lambda: CountingSwitch({1: 0.5}, None),
        lambda: Noted({1: 0.5}, lr_init=None),
    ],
    ids=["custom", "slotted", "a subclass", "of a mapping"],
)
@pytest.mark.spec("T28")
def test_unknown_keys_are_restored_on_a_custom_policy_and_on_a_subclass(make: Any) -> None:
    policy = make()(sgd(0.5))
    policy.load_state_dict({**policy.state_dict(), "left": [1, 2]})
    assert policy.left == policy.state_dict()["left"] == [1, 2]


@pytest.mark.parametrize("make", MAPPING_POLICIES.values(), ids=MAPPING_POLICIES.keys())
@pytest.mark.spec("T28")
def test_unknown_keys_are_ignored_on_the_package_s_own(make: MakePolicy) -> None:
    policy = make()(sgd(0.5))
    before, state = attributes(policy).keys(), policy.state_dict()
    unknown: dict[Any, Any] = {"note": [1, 2], "a key": 3, 3: 4, "a generator": (x for x in [1])}
    policy.load_state_dict({**state, **unknown})
    assert attributes(policy).keys() == before
    assert policy.state_dict() == state


# A saved mapping that differs


def loads_another_mapping(policy: Policy, state: dict[str, Any]) -> None:
    """Load a state whose mapping is another one."""
    policy.load_state_dict(state)


@BY_EPOCH
@pytest.mark.spec("T12", "T13", "T14")
def test_where_the_saved_mapping_differs_it_is_used_with_a_warning(cls: Any) -> None:
    saved = cls({1: 0.5, 3: 0.25}, lr_init=1)(sgd(0.1))
    advance(saved, 2)
    policy = cls({1: 0.125}, lr_init=0.75)(sgd(0.1))
    text = (
        rf"^{cls.__name__}: .*mapping was {{1: 0\.5, 3: 0\.25}} and is {{1: 0\.125}}; "
        r"lr_init was .*1\.0.* and is .*0\.75.* saved counts.* on_load=\"override\""
    )
    with pytest.warns(UserWarning, match=text) as caught:
        loads_another_mapping(policy, saved.state_dict())
    line = line_of_call(loads_another_mapping, "policy.load_state_dict(")
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
    assert policy.mapping == saved.mapping
    assert repr(policy) == repr(saved)
    assert repr(copy.copy(policy)) == repr(copy.copy(saved))
    for _ in range(3):
        assert policy.get_last_lr() == saved.get_last_lr()
        assert policy.lr_at(5) == saved.lr_at(5)
        advance(policy)
        advance(saved)


@BY_EPOCH
@pytest.mark.spec("T12", "T14")
def test_leaving_mapping_out_of_the_dict_keeps_the_new_one(cls: Any) -> None:
    saved = cls({1: 0.5}, lr_init=1)(sgd(0.1))
    advance(saved, 2)
    policy = cls({1: 0.5, 3: 0.25}, lr_init=1)(sgd(0.1))
    policy.load_state_dict(saved.prepare_state_dict("mapping"))
    assert policy.mapping == {1: 0.5, 3: 0.25}
    advance(policy)
    assert policy.get_last_lr() == cls({1: 0.5, 3: 0.25}, lr_init=1).lr_at(3)


@BY_EPOCH
@pytest.mark.spec("T14", "T17")
def test_the_same_mapping_in_another_order_or_type_is_no_difference(cls: Any) -> None:
    saved = cls({3: 1, 1: 0.5}, lr_init=None)(sgd(0.1))
    policy = cls({1: np.float64(0.5), np.int64(3): 1.0}, lr_init=None)(sgd(0.1))
    policy.load_state_dict(saved.state_dict())
    saved = cls([{3: 1}, {}], lr_init=None)(sgd(0.1, 0.2))
    policy = cls(({3: 1}, {}), lr_init=None)(sgd(0.1, 0.2))
    policy.load_state_dict(saved.state_dict())
    assert policy.lr_at(3) == saved.lr_at(3)
    saved = cls({3: 1}, lr_init=0.5)(sgd(0.1, 0.2))
    policy = cls([{3: 1}, {3: 1}], lr_init=[0.5, 0.5])(sgd(0.1, 0.2))
    policy.load_state_dict(saved.state_dict())
    assert policy.lr_at(3) == saved.lr_at(3)


@BY_EPOCH
@pytest.mark.spec("T10", "T13")
def test_where_the_warning_is_an_error_nothing_was_loaded(cls: Any) -> None:
    saved = cls({1: 0.5}, lr_init=1)(sgd(0.1))
    advance(saved, 2)
    policy = cls({1: 0.25}, lr_init=1)(sgd(0.1))
    with unchanged(policy, policy.optimizer), pytest.raises(UserWarning, match="mapping"):
        policy.load_state_dict(saved.state_dict())


@pytest.mark.spec("T12", "T13", "T16")
def test_a_schedule_loads_what_another_schedule_saved_and_goes_on_with_its_own() -> None:
    saved = run(lambda: Schedule(math.cos), sgd(0.5), 2)
    policy = Schedule(reciprocal)(sgd(0.5))
    with pytest.warns(UserWarning, match=r"(?s)^Schedule: .*epoch 2.*from the next step on"):
        policy.load_state_dict(saved.state_dict())
    assert lrs(policy.optimizer) == [math.cos(2)]
    advance(policy)
    assert lrs(policy.optimizer) == [0.25]


# Checkpoints of the original package, and of 0.1.0


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
@pytest.mark.spec("T25", "T29")
def test_a_checkpoint_of_the_original_package_loads(
    cls: Any, mapping: Any, lr_init: Any, lr: list[float]
) -> None:
    for read in (through_disk, copy.copy):
        state = read(original(mapping, lr_init, lr, epoch=3))
        before = copy.deepcopy(state)
        optimizer = sgd(0.5, tensor(0.25))
        policy, whole = cls(mapping, lr_init=lr_init)(optimizer), cls(mapping, lr_init=lr_init)
        policy.load_state_dict(state)
        assert state == before
        for epoch in range(3, 6):
            assert policy.last_epoch == epoch
            assert lrs(optimizer) == whole(sgd(0.1, 0.2)).lr_at(epoch)
            advance(policy)
        assert policy.state_dict()["mapping"] == whole(sgd(0.1, 0.2)).state_dict()["mapping"]


@pytest.mark.spec("T12", "T13", "T29")
def test_a_checkpoint_of_the_original_package_has_its_mapping_used_too() -> None:
    policy = Switch({1: 0.75}, lr_init=0.5)(sgd(0.1, 0.2))
    with pytest.warns(UserWarning, match="mapping"):
        policy.load_state_dict(original({1: 0.5, 4: 0.25}, 1e-3, [0.5, 0.5], epoch=3))
    assert policy.mapping == {1: 0.5, 4: 0.25}
    assert policy.lr_at(0) == [1e-3, 1e-3]


@pytest.mark.spec("T29")
def test_a_schedule_s_checkpoint_of_the_original_package_loads() -> None:
    state = original({}, 1e-3, [0.25, 0.25], epoch=3)
    del state["mapping"], state["current_mapping"]
    policy = Schedule(reciprocal)(sgd(0.1, 0.2))
    policy.load_state_dict(through_disk(state))
    assert (policy.last_epoch, lrs(policy.optimizer)) == (3, [0.25, 0.25])
    advance(policy)
    assert lrs(policy.optimizer) == [0.2, 0.2]


@pytest.mark.spec("T10", "T29")
def test_an_original_checkpoint_with_a_bad_dict_is_refused() -> None:
    policy = run(POLICIES["Switch"], sgd(0.1, 0.2), 1)
    state = original({1: 0.01, 3: 0.002}, 1e-3, [0.01, 0.01], epoch=3)
    state["mapping"] = {1: 0.5, 3: math.nan}
    with unchanged(policy, policy.optimizer), pytest.raises(ValueError, match=r"mapping.*epoch 3"):
        policy.load_state_dict(state)


@EVERY_POLICY
@pytest.mark.spec("T30")
def test_a_checkpoint_of_0_1_0_loads_with_what_its_groups_held(make: MakePolicy) -> None:
    for optimize in FORMS.values():
        policy = disturbed(make, optimize())
        now = policy.state_dict()
        assert "_group_lrs" not in now
        held, wrote = now["_last_lr"], [lr * 2 for lr in now["_last_lr"]]
        old = {key: value for key, value in now.items() if key not in ("_policy", "_planned")}
        if make is POLICIES["Schedule"] or make is POLICIES["Scale"]:
            del old["lr_init"]
        for kind in (
            list,
            lambda lrs: [*map(tensor, lrs)],
            lambda lrs: torch.tensor(lrs, dtype=torch.float64),
        ):
            base_lrs = kind(old["base_lrs"])
            state = {**old, "_last_lr": kind(wrote), "_group_lrs": kind(held), "base_lrs": base_lrs}
            fresh = make()(optimize())
            fresh.load_state_dict(through_disk(state))
            assert fresh.state_dict() == now
            assert lrs(fresh.optimizer) == lrs(policy.optimizer)
