"""Copies and pickles, what keeps what alive, and what a policy looks like and equals."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import re
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from helpers import (
    POLICIES,
    CountingSwitch,
    Halving,
    MakePolicy,
    WithAttribute,
    WithMoreSlots,
    WithSlots,
    a_mapping,
    a_policy,
    add_group,
    advance,
    drop_group,
    lrs,
    mixed,
    named,
    reciprocal,
    run,
    sgd,
    tensor,
    through_disk,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import Optimizer
from torch.optim.lr_scheduler import SequentialLR

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Policy,
    Scale,
    Schedule,
    Switch,
    UnboundPolicyError,
)

Class: TypeAlias = type[MappingPolicy[Any]]
ALL = pytest.mark.parametrize("cls", [Switch, Multiply, Schedule, Scale])
EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
FORMS: dict[str, Callable[[], Optimizer]] = {
    "floats": lambda: sgd(0.5, 0.25, 0.125),
    "mixed": mixed,
}


# Copies


def saved(value: Any) -> bytes:
    """Pickle as torch.save does, which warns of an optimizer that goes along."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is bound, so it is saved with its optimizer")
        return pickle.dumps(value, 2)


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "pickle, protocol 2": lambda value: pickle.loads(saved(value)),
}
LINKED = {name: duplicate for name, duplicate in COPIES.items() if name != "copy"}
EVERY_COPY = pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
EVERY_LINKED = pytest.mark.parametrize("duplicate", LINKED.values(), ids=LINKED.keys())


@EVERY_COPY
@pytest.mark.spec("K1", "B15")
def test_a_copy_of_an_unbound_policy_is_a_plain_value(duplicate: Callable[[Any], Any]) -> None:
    for make in POLICIES.values():
        policy, optimizer = make(), sgd(0.5, 0.25)
        with unchanged(policy):
            other = duplicate(policy)
            assert other is not policy
            assert type(other) is type(policy)
            assert not hasattr(other, "optimizer")
            advance(other(optimizer), 3)
        expected = run(make, sgd(0.5, 0.25), 3)
        assert lrs(optimizer) == lrs(expected.optimizer)


@EVERY_COPY
@pytest.mark.spec("K1", "K2")
def test_a_copy_has_the_policy_s_own_attributes(duplicate: Callable[[Any], Any]) -> None:
    makers: list[Any] = [
        WithAttribute,
        WithSlots,
        WithMoreSlots,
        lambda: CountingSwitch({1: 0.5}, None),
    ]
    for make in makers:
        policy = make()
        policy.left = ["set"]
        names = ("note", "more", "left", "calls")
        own = {name: getattr(policy, name) for name in names if hasattr(policy, name)}
        assert len(own) > 1
        for source in (policy, policy(sgd())):
            other = duplicate(source)
            assert {key: getattr(other, key) for key in own} == own
            assert (other.left is policy.left) is (duplicate is copy.copy)


@EVERY_POLICY
@pytest.mark.spec("K1")
def test_copy_of_a_bound_policy_is_an_unbound_value(make: MakePolicy) -> None:
    for optimize in FORMS.values():
        optimizer = optimize()
        policy = run(make, optimizer, 2)
        with unchanged(policy, optimizer):
            other = copy.copy(policy)
            assert type(other) is type(policy)
            assert other.last_epoch == -1
            assert not hasattr(other, "optimizer")
            assert repr(other) == repr(make())
            if isinstance(other, MappingPolicy):
                assert other == make()
                assert other.current_mapping is None
            with pytest.raises(UnboundPolicyError):
                other.step()
            elsewhere, expected = optimize(), optimize()
            advance(other(elsewhere), 2)
        run(make, expected, 2)
        assert lrs(elsewhere) == lrs(expected)


@EVERY_POLICY
@EVERY_LINKED
@pytest.mark.spec("K2")
def test_a_copied_pair_comes_back_linked_and_never_touches_the_original(
    make: MakePolicy, duplicate: Callable[[Any], Any]
) -> None:
    for optimize, steps, at in product(FORMS.values(), (0, 2), (0, 1)):
        optimizer = optimize()
        policy = run(make, optimizer, steps)
        twin = run(make, optimize(), steps)
        weights = [group["params"][0].detach().clone() for group in optimizer.param_groups]
        with unchanged(policy, optimizer):
            pair = duplicate((optimizer, policy) if at else (policy, optimizer))
            other, other_optimizer = pair[at], pair[1 - at]
            assert other.optimizer is other_optimizer
            assert other is not policy
            assert other.state_dict() == policy.state_dict()
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
@pytest.mark.spec("K2", "B9")
def test_a_bound_policy_copied_alone_brings_its_optimizer(make: MakePolicy) -> None:
    for duplicate in LINKED.values():
        policy = run(make, mixed(), 1)
        with unchanged(policy, policy.optimizer):
            other = duplicate(policy)
            assert other.optimizer is not policy.optimizer
            assert lrs(other.optimizer) == lrs(policy.optimizer)
            again = copy.deepcopy(pickle.loads(pickle.dumps(copy.deepcopy(other))))
            for one in (other, again):
                advance(one, 1)
                assert one.last_epoch == 2
        elsewhere = sgd(0.5)
        with unchanged(again.optimizer):
            advance(again(elsewhere), 2)
        assert lrs(elsewhere) == lrs(run(make, sgd(0.5), 2).optimizer)


def order_warnings(policy: Policy, *, optimizer_first: bool) -> list[str]:
    """Return what a step warns of, each cut to its first words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if optimizer_first:
            policy.optimizer.step()
        policy.step()
    return [str(warning.message)[:60] for warning in caught]


@EVERY_POLICY
@pytest.mark.spec("K2", "S9")
def test_a_copy_warns_of_the_order_just_where_the_original_would(make: MakePolicy) -> None:
    """pytorch#44511: a copied optimizer is not wrapped, and has forgotten its steps."""
    some = (True, False)
    for duplicate, before, after in product(LINKED.values(), some, some):
        policy = make()(sgd(0.5))
        if before:
            policy.optimizer.step()
        other = duplicate(policy)
        with unchanged(policy, policy.optimizer):
            found = order_warnings(other, optimizer_first=after)
        assert found == order_warnings(policy, optimizer_first=after)
        assert bool(found) is not (before or after)


@EVERY_LINKED
@pytest.mark.spec("K2", "S16")
def test_a_copied_pair_notices_groups_added_and_dropped(duplicate: Callable[[Any], Any]) -> None:
    policy = run(lambda: Multiply({3: 0.5}, lr_init=None), sgd(0.5, 0.25), 1)
    other = duplicate(policy)
    drop_group(other)
    advance(other, 2)
    assert lrs(other.optimizer) == [0.125]
    assert other.base_lrs == [0.25]
    add_group(other, 0.75)
    other.state_dict()
    assert other.base_lrs == [0.25, 0.75]
    assert policy.base_lrs == [0.5, 0.25]


# No reference cycle


@contextmanager
def without_gc() -> Iterator[None]:
    """Switch the cycle collector off, so that only reference counts free anything."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def used(make: MakePolicy) -> Policy:
    """Return a policy that has been through everything."""
    policy = run(make, mixed(), 3)
    policy.get_lr()
    policy.load_state_dict(through_disk(policy.state_dict()))
    policy.set_optimizer(mixed())
    advance(policy, 2)
    policy.lr_at(9)
    repr(policy)
    return policy


LIVES: dict[str, Callable[[MakePolicy], Policy]] = {
    "just bound": lambda make: make()(mixed()),
    "used": used,
    "deepcopied": lambda make: copy.deepcopy(used(make)),
    "pickled": lambda make: pickle.loads(pickle.dumps(used(make))),
}


@EVERY_POLICY
@pytest.mark.parametrize("live", LIVES.values(), ids=LIVES.keys())
@pytest.mark.spec("K3")
def test_dropping_the_last_names_frees_policy_and_optimizer(make: MakePolicy, live: Any) -> None:
    """pytorch#25605, #85410: cycles kept the optimizer, and the GPU memory of it."""
    live(make)  # whatever torch sets up once and for all
    with without_gc():
        policy = live(make)
        optimizer = policy.optimizer
        param = optimizer.param_groups[0]["params"][0]
        ends = [weakref.ref(policy), weakref.ref(optimizer), weakref.ref(param)]
        del policy
        assert ends[0]() is None
        del optimizer, param
        assert ends[1]() is None
        assert ends[2]() is None


@EVERY_POLICY
@pytest.mark.spec("K3", "B12")
def test_the_policy_keeps_its_optimizer_and_no_other(make: MakePolicy) -> None:
    with without_gc():
        policy, first = make(), sgd(0.5)
        policy(first)
        end = weakref.ref(first)
        del first
        assert end() is not None
        policy(sgd(0.5))
        assert end() is None


@pytest.mark.spec("K3")
def test_dropping_a_composite_frees_what_is_in_it() -> None:
    """pytorch#126131: a leak seen with SequentialLR and ChainedScheduler."""
    with without_gc():
        optimizer = sgd()
        parts = [make({1: 0.5}, lr_init=None)(optimizer) for make in (Switch, Multiply)]
        sequence = SequentialLR(optimizer, list(parts), milestones=[2])
        advance(sequence, 4)
        ends: list[weakref.ref[object]] = [weakref.ref(one) for one in (optimizer, *parts)]
        del sequence, parts, optimizer
        assert [end() for end in ends] == [None, None, None]


@EVERY_POLICY
@pytest.mark.spec("K3")
def test_a_failed_load_or_binding_leaves_no_cycle_behind(make: MakePolicy) -> None:
    with without_gc():
        policy = make()(sgd(0.5))
        end = weakref.ref(policy)
        with suppress(ValueError):
            policy.load_state_dict({"last_epoch": 1})
        with suppress(TypeError):
            policy(None)  # type: ignore[arg-type]
        del policy
        assert end() is None


# What a policy looks like


@pytest.mark.spec("K4")
def test_repr_is_the_document_s() -> None:
    assert repr(Switch({0: 0.001})) == "Switch(mapping={0: 0.001}, lr_init=0.001)"
    assert repr(Multiply([{1: 0.1}, {}], 1)) == "Multiply(mapping=[{1: 0.1}, {}], lr_init=1.0)"
    assert repr(Switch({}, lr_init=None)) == "Switch(mapping={}, lr_init=None)"
    assert repr(Schedule(math.cos)) == f"Schedule(mapping={math.cos!r}, lr_init=0.001)"
    assert repr(Scale([abs, None])) == f"Scale(mapping=[{abs!r}, None], lr_init=None)"


@pytest.mark.spec("K4")
def test_repr_has_what_differs_from_a_default() -> None:
    policy = Switch({}, 0.5, option="weight_decay", on_load="override")
    assert set(re.findall(r"(\w+)=", repr(policy))) == {"mapping", "lr_init", "option", "on_load"}
    assert eval(repr(policy)) == policy
    bound = policy(sgd())
    assert repr(bound) == repr(Switch([{}], [0.5], option="weight_decay", on_load="override"))


@pytest.mark.spec("K4")
def test_repr_has_per_group_lists_once_bound() -> None:
    two = "Switch(mapping=[{0: 0.5}, {0: 0.5}], lr_init=[0.25, 0.25])"
    assert repr(Switch({0: 0.5}, lr_init=0.25)(sgd(0.1, 0.2))) == two
    own = "Switch(mapping=[{}, {}], lr_init=[0.1, 0.2])"
    assert repr(Switch({}, lr_init=None)(sgd(0.1, 0.2))) == own
    called = f"Schedule(mapping=[{math.cos!r}], lr_init=[0.1])"
    assert repr(Schedule(math.cos)(sgd(0.1))) == called


@pytest.mark.spec("K4")
def test_repr_of_a_custom_policy_shows_its_attributes_and_no_address() -> None:
    class Stairs(Halving):
        def __init__(self, height: float) -> None:
            self.height = height
            self.thing = object()

    for policy in (Stairs(0.5), Stairs(0.5)(sgd())):
        assert repr(policy) == "Stairs(height=0.5, thing=<object object>)"


@pytest.mark.spec("K4")
def test_repr_of_a_subclass_has_its_own_name() -> None:
    class Stairs(Switch):
        pass

    assert repr(Stairs({0: 0.5})) == "Stairs(mapping={0: 0.5}, lr_init=0.001)"


maps = st.dictionaries(st.integers(0, 9), st.floats(0, 1e3), max_size=4)


@pytest.mark.spec("K5")
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
        if policy.lr_init is None and not hasattr(policy, "optimizer"):
            return [repr(policy)]
        return [policy.lr_at(epoch) for epoch in range(12)]

    policy = cls(mapping, lr_init=lr_init)
    names = {"Switch": Switch, "Multiply": Multiply}
    assert values(eval(repr(policy), names)) == values(policy)
    policy(sgd(*([tensor(0.3), tensor(0.7)] if tensors else [0.3, 0.7])))
    assert values(eval(repr(policy), names)) == values(policy)


class Poly:
    """A callable that compares by value."""

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, epoch: int) -> float:
        return float((1 + epoch) ** -self.power)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and other.power == self.power

    def __hash__(self) -> int:
        return hash(self.power)


class Unsure:
    """A callable that compares as an array does, or raises."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, epoch: int) -> float:
        return 0.5

    def __eq__(self, other: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.spec("K6")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Switch({0: 0.1, 2: 1}), Switch({np.int64(2): 1.0, 0: 0.1})),
        (Switch({1: 0.1}), Switch({1: 0.1}, lr_init=1e-3)),
        (Multiply([{}, {1: 0.5}], [1, 2]), Multiply(({}, {1: 0.5}), (1.0, 2.0))),
        (Schedule(reciprocal), Schedule(reciprocal)),
        (Schedule(Poly(2)), Schedule(Poly(2))),
        (Scale([Poly(2), None]), Scale((Poly(2), None))),
        (Scale(reciprocal), Scale(reciprocal, None)),
        (Switch({}, 1, option="momentum"), Switch({}, 1, option="momentum")),
        (Switch({}, 1, on_load="override"), Switch({}, 1, on_load="override")),
    ],
)
def test_unbound_policies_are_equal_where_what_they_were_given_is(
    first: MappingPolicy[Any], second: MappingPolicy[Any]
) -> None:
    assert first == second
    assert (first != second) is False
    assert hash(first) == hash(second)
    assert copy.copy(first) == first == copy.deepcopy(second)
    assert len({first, second}) == 1


class Stairs(Switch):
    """Another class."""


DIFFERENT: list[Any] = [
    Switch({1: 0.1}),
    Switch({1: 0.2}),
    Switch({2: 0.1}),
    Switch([{1: 0.1}]),
    Switch({1: 0.1}, lr_init=None),
    Switch({1: 0.1}, lr_init=0.5),
    Switch({1: 0.1}, lr_init=[0.5]),
    Switch({1: 0.1}, lr_init=0.5, option="momentum"),
    Switch({1: 0.1}, lr_init=0.5, on_load="override"),
    Stairs({1: 0.1}),
    Multiply({1: 0.1}),
    Schedule(reciprocal),
    Schedule(lambda epoch: 1 / (1 + epoch)),
    Scale(reciprocal),
    Schedule(Poly(2)),
    Schedule(Poly(3)),
    Schedule([Poly(2), None]),
    {1: 0.1},
    None,
]


@pytest.mark.spec("K6")
def test_policies_are_different_where_anything_differs() -> None:
    for i, first in enumerate(DIFFERENT):
        assert [first == second for second in DIFFERENT] == [i == j for j in range(len(DIFFERENT))]


@pytest.mark.spec("K6")
@pytest.mark.parametrize(
    "answer", [np.array([True, True]), OSError("disk"), False, NotImplemented, 0], ids=named
)
def test_a_callable_is_equal_by_identity_or_by_a_true_answer_alone(answer: Any) -> None:
    one, other = Unsure(answer), Unsure(answer)
    assert Schedule(one) == Schedule(one)
    assert Schedule([one]) == Schedule([one])
    assert Schedule(one) != Schedule(other)
    assert Schedule([one]) != Schedule([other])


@pytest.mark.spec("K7")
@ALL
def test_a_bound_policy_equals_itself_alone_and_the_hash_stays(cls: Class) -> None:
    bound, unbound = a_policy(cls)(sgd(0.1)), a_policy(cls)
    assert bound == bound
    assert bound != unbound
    assert unbound != bound
    assert bound != a_policy(cls)(sgd(0.1))
    assert bound != a_policy(cls)(bound.optimizer)
    unbound, bound = (cls([a_mapping(cls)], [0.5]) for _ in range(2))
    assert unbound != bound(sgd(0.1))
    assert bound != unbound
    assert hash(bound) == hash(unbound) == hash(cls)


@pytest.mark.spec("K7")
def test_the_hash_never_raises() -> None:
    assert hash(Schedule(Unsure(True))) == hash(Schedule([Unsure(True)])) == hash(Schedule)
