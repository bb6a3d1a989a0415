"""What counts after load_state_dict: the saved plan or the one of the code, and who is told."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest
import torch
from helpers import AsDocumented, advance, line_of_call, lrs, parameter, sgd, tensor, unchanged
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS, Groups, coarse, groups, resume, save
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
)

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch
from thunder_policy.schedules import Cosine

KINDS: dict[str, Any] = {
    "Switch": Switch,
    "Multiply": Multiply,
    "Schedule": Schedule,
    "Scale": Scale,
}
Numbers: TypeAlias = dict[int, float]
each_order = pytest.mark.parametrize("order", ORDERS, ids="-".join)


@dataclass(frozen=True)
class Curve:
    """A callable of an epoch that can be pickled."""

    numbers: tuple[tuple[int, float], ...]

    def __call__(self, epoch: int) -> float:
        return dict(self.numbers).get(epoch, epoch / 8)


@dataclass(frozen=True)
class Plan:
    """A policy as it is written: numbers by epoch for all groups or one a group, and a lr_init."""

    name: str
    numbers: tuple[Numbers, ...]
    lr_init: float | tuple[float, ...] | None

    def policy(self, **options: Any) -> Any:
        """A fresh policy."""
        forms: list[Any] = [*self.numbers]
        if self.name in ("Schedule", "Scale"):
            forms = [Curve(tuple(numbers.items())) for numbers in self.numbers]
        mapping = forms if len(forms) > 1 else forms[0]
        return KINDS[self.name](mapping, self.lr_init, **options)

    def starts(self, own: Sequence[float]) -> list[float]:
        """What groups start from, where they have lrs of their own."""
        if self.lr_init is None:
            return [*own]
        return [*self.lr_init] if isinstance(self.lr_init, tuple) else [self.lr_init] * len(own)

    def of(self, group: int) -> Numbers:
        """The numbers of a group."""
        return self.numbers[group if len(self.numbers) > 1 else 0]

    def lrs(self, starts: Sequence[float], epoch: int) -> list[float]:
        """The lrs at an epoch, said from the clauses V1 to V4."""
        return [lr_at(self.name, self.of(i), start, epoch) for i, start in enumerate(starts)]


def lr_at(name: str, numbers: Numbers, start: float, epoch: int) -> float:
    if name in ("Schedule", "Scale"):
        value = numbers.get(epoch, epoch / 8)
        return value if name == "Schedule" else start * value
    for milestone in sorted(numbers):
        if milestone <= epoch:
            start = numbers[milestone] if name == "Switch" else start * numbers[milestone]
    return start


def rounded(values: Sequence[float], held: Groups) -> list[float]:
    """What groups hold of values."""
    return [
        value if dtype is None else float(torch.tensor(value, dtype=dtype))
        for value, dtype in zip(values, held.dtypes)
    ]


@st.composite
def plans(draw: st.DrawFn, n: int, names: Sequence[str] = tuple(KINDS)) -> Plan:
    """A plan for n groups."""
    numbers = st.dictionaries(st.integers(0, 8), coarse, max_size=4)
    several = draw(st.booleans()) and n > 1
    return Plan(
        name=draw(st.sampled_from(names)),
        numbers=tuple(
            draw(st.lists(numbers, min_size=n, max_size=n) if several else st.tuples(numbers))
        ),
        lr_init=draw(st.none() | coarse | st.tuples(*[coarse] * n)),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Groups, Plan]:
    """Groups, and a plan for them."""
    held = draw(groups())
    return held, draw(plans(len(held.lrs)))


@st.composite
def two_plans(draw: st.DrawFn) -> tuple[Groups, Plan, Plan]:
    """Groups, the plan of a run, and the one that the code has when that is resumed."""
    held, plan = draw(cases())
    n = len(held.lrs)
    other = draw(plans(n, [plan.name]))
    part = draw(st.sampled_from(["all", "numbers", "lr_init", "none"]))
    if part == "numbers":
        other = replace(other, lr_init=plan.lr_init)
    elif part == "lr_init":
        other = replace(other, numbers=plan.numbers)
    elif part == "none":
        other = plan
    return held, plan, other


def trained(held: Groups, plan: Plan, epochs: int) -> Policy:
    """A run of some epochs."""
    policy: Policy = plan.policy()(held.build())
    advance(policy, epochs)
    return policy


def change(group: dict[str, Any], lr: float) -> None:
    """Change a lr from outside."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


orders = st.sampled_from(ORDERS)
epochs = st.integers(0, 9)


class TestRestore:
    """The saved run goes on."""

    @pytest.mark.spec("T11", "T12", "T17")
    @given(case=cases(), epochs=epochs, order=orders, outside=st.none() | coarse)
    def test_the_same_plan_goes_on_as_the_run_it_resumes_and_is_silent(
        self,
        case: tuple[Groups, Plan],
        epochs: int,
        order: Sequence[str],
        outside: float | None,
    ) -> None:
        held, plan = case
        whole = trained(held, plan, epochs)
        if outside is not None:
            change(whole.optimizer.param_groups[0], outside)
        policy = plan.policy()
        resume(save(whole.optimizer, whole), held.build(), policy, order)
        for _ in range(4):
            assert lrs(policy.optimizer) == lrs(whole.optimizer)
            assert policy.base_lrs == whole.base_lrs
            assert policy.lr_at(policy.last_epoch) == whole.lr_at(whole.last_epoch)
            advance(policy)
            advance(whole)

    @pytest.mark.spec("T12", "T13", "T14", "T15", "T16")
    @given(case=two_plans(), epochs=epochs, order=orders)
    def test_another_plan_is_told_once_and_what_was_saved_counts(
        self, case: tuple[Groups, Plan, Plan], epochs: int, order: Sequence[str]
    ) -> None:
        held, plan, other = case
        whole = trained(held, plan, epochs)
        saved = whole.state_dict()
        # What is written here would start from: initial_lr where the optimizer was loaded before.
        own = rounded(held.lrs, held)
        starts = other.starts(plan.starts(own) if order[0] == "optimizer" else own)
        if plan.name in ("Schedule", "Scale"):
            now = other.lrs(saved["base_lrs"], epochs)
            differs = now != plan.lrs(saved["base_lrs"], epochs)
        else:
            differs = any(plan.of(i) != other.of(i) for i in range(len(held.lrs)))
        depends = [
            plan.name != "Schedule" and not (plan.name == "Switch" and 0 in other.of(i))
            for i in range(len(held.lrs))
        ]
        if None in (plan.lr_init, other.lr_init):
            pairs = zip(depends, starts, saved["base_lrs"], saved["_last_lr"])
            differs |= any(one and start not in (old, lr) for one, start, old, lr in pairs)
        else:
            written = zip(depends, other.starts(own), plan.starts(own))
            differs |= any(one and here != there for one, here, there in written)

        policy = other.policy()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            resume(save(whole.optimizer, whole), held.build(), policy, order)
        assert [warning.category for warning in caught] == [UserWarning] * differs
        assert all('on_load="override"' in str(warning.message) for warning in caught)

        assert policy.base_lrs == whole.base_lrs
        assert lrs(policy.optimizer) == lrs(whole.optimizer)
        for epoch in range(epochs + 1, epochs + 4):
            advance(policy)
            advance(whole)
            if plan.name in ("Switch", "Multiply"):
                assert lrs(policy.optimizer) == lrs(whole.optimizer)
            else:
                values = other.lrs(whole.base_lrs, epoch)
                assert lrs(policy.optimizer) == rounded(values, held)

    @pytest.mark.spec("T17")
    @pytest.mark.parametrize("dtype", [None, torch.float64, torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("name", KINDS)
    @each_order
    def test_lrs_that_a_dtype_rounds_are_no_difference(
        self, dtype: torch.dtype | None, name: str, order: Sequence[str]
    ) -> None:
        def build() -> Optimizer:
            return sgd(*(tensor(lr, dtype) if dtype else lr for lr in (0.1, 0.3)))

        for lr_init in (None, 0.7, (0.1, 0.3)):
            plan = Plan(name, ({1: 0.3, 2: 0.7, 3: 0.1},), lr_init)
            whole = plan.policy()(build())
            for _ in range(4):
                policy = plan.policy()
                resume(save(whole.optimizer, whole), build(), policy, order)
                assert lrs(policy.optimizer) == lrs(whole.optimizer)
                advance(whole)

    @pytest.mark.spec("T17", "V12", "V13")
    @pytest.mark.parametrize(
        ("make", "lr"),
        [
            (lambda: Multiply({0: 0.5, 2: 0.1}), 1e-3),
            (lambda: Switch({2: 0.5}), 1e-3),
            (lambda: Switch({0: 0.5, 2: 0.1}), 0.1),
            (lambda: Schedule(Curve(())), 0.1),
            (lambda: Scale(Curve(())), 0.1),
        ],
        ids=["Multiply", "Switch", "Switch with 0", "Schedule", "Scale"],
    )
    @each_order
    def test_a_lr_init_that_was_not_given_is_no_difference(
        self, make: Callable[[], Policy], lr: float, order: Sequence[str]
    ) -> None:
        whole = make()(sgd(lr, lr))
        for _ in range(4):
            policy = make()
            resume(save(whole.optimizer, whole), sgd(lr, lr), policy, order)
            assert policy.base_lrs == whole.base_lrs
            advance(whole)
            advance(policy)
            assert lrs(policy.optimizer) == lrs(whole.optimizer)


def run(policy: Policy, epochs: int, *held: float) -> dict[str, Any]:
    """The state of a policy after some epochs."""
    running = copy.copy(policy)(sgd(*held))
    advance(running, epochs)
    return running.state_dict()


OTHERS: dict[str, tuple[Policy, Policy, list[str]]] = {
    "mapping of Switch": (
        Switch({3: 0.5}, lr_init=0.1),
        Switch({5: 0.25}, lr_init=0.1),
        ["{3: 0.5}", "{5: 0.25}"],
    ),
    "mapping of Multiply": (
        Multiply([{3: 0.5}, {4: 0.5}], lr_init=0.1),
        Multiply({5: 0.25}, lr_init=0.1),
        ["[{3: 0.5}, {4: 0.5}]", "{5: 0.25}"],
    ),
    "lr_init of Switch": (
        Switch({3: 0.5}, lr_init=0.25),
        Switch({3: 0.5}, lr_init=0.75),
        ["0.25", "0.75"],
    ),
    "mapping and lr_init": (
        Multiply({3: 0.5}, lr_init=0.25),
        Multiply({5: 0.125}, lr_init=[0.75, 0.625]),
        ["{3: 0.5}", "{5: 0.125}", "0.25", "[0.75, 0.625]"],
    ),
    "starts": (Multiply({3: 0.5}, lr_init=0.25), Multiply({3: 0.5}, lr_init=None), ["0.25", "0.1"]),
    "no start": (Multiply({3: 0.5}, lr_init=None), Multiply({3: 0.5}, 0.25), ["0.1", "0.25"]),
    "callable of Schedule": (
        Schedule(Curve(((2, 0.25),))),
        Schedule(Curve(((2, 0.75),))),
        ["epoch 2", "0.25", "0.75"],
    ),
    "callable of Scale": (
        Scale(Curve(((2, 0.25),)), lr_init=0.5),
        Scale(Curve(((2, 0.75),)), lr_init=0.5),
        ["epoch 2", "0.125", "0.375"],
    ),
    "lr_init of Scale": (
        Scale(Curve(()), lr_init=0.25),
        Scale(Curve(()), lr_init=0.75),
        ["0.25", "0.75"],
    ),
}
others = pytest.mark.parametrize(("old", "new", "parts"), OTHERS.values(), ids=OTHERS)


@pytest.mark.spec("T13", "T14", "T15", "T16")
@others
def test_one_warning_names_both_plans_and_override(
    old: Policy, new: Policy, parts: list[str]
) -> None:
    state = run(old, 2, 0.1, 0.1)
    new = copy.copy(new)(sgd(0.1, 0.1))
    with pytest.warns(UserWarning, match="(?i)saved counts") as caught:
        new.load_state_dict(state)
    [warning] = caught
    assert [part for part in parts if part not in str(warning.message)] == []
    assert type(new).__name__ in str(warning.message)
    assert 'on_load="override"' in str(warning.message)
    line = line_of_call(
        test_one_warning_names_both_plans_and_override, "new.load_state_dict(state)"
    )
    assert (warning.filename, warning.lineno) == (__file__, line)


@pytest.mark.spec("T13", "T10")
@others
def test_the_warning_made_an_error_leaves_everything_as_it_was(
    old: Policy, new: Policy, parts: list[str]
) -> None:
    state = run(old, 2, 0.1, 0.1)
    new = copy.copy(new)(sgd(0.1, tensor(0.1)))
    advance(new)
    with unchanged(new, new.optimizer), pytest.raises(UserWarning, match="override"):
        new.load_state_dict(state)


@pytest.mark.spec("T14")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Switch({0: 0.5}, lr_init=0.25), Switch({0: 0.5}, lr_init=0.75)),
        (Switch({0: 0.5}, lr_init=0.25), Switch({0: 0.5}, lr_init=None)),
        (Schedule(Curve(()), lr_init=0.25), Schedule(Curve(()), lr_init=0.75)),
        (Switch([{0: 0.5}, {1: 0.5}], [0.25, 1]), Switch([{0: 0.5}, {1: 0.5}], [0.75, 1])),
        (Multiply({1: 0.5}, lr_init=0.25), Multiply([{1: 0.5}] * 2, lr_init=[0.25] * 2)),
    ],
    ids=["Switch with 0", "None", "Schedule", "of the group with 0", "the same, one a group"],
)
def test_a_lr_init_that_no_value_depends_on_is_no_difference(old: Policy, new: Policy) -> None:
    new(sgd(0.1, 0.1)).load_state_dict(run(old, 2, 0.1, 0.1))


@pytest.mark.spec("T15")
@pytest.mark.parametrize(
    ("old", "new"),
    [(0.1, None), (None, 0.1), ([0.1, 0.3], None), (None, (0.1, 0.3)), (None, None)],
    ids=str,
)
def test_where_one_has_no_lr_init_the_starts_are_compared(old: Any, new: Any) -> None:
    held = (0.1, 0.3) if isinstance(old or new, (list, tuple)) else (0.1, 0.1)
    for kind in (Switch, Multiply):
        kind({3: 0.5}, new)(sgd(*held)).load_state_dict(run(kind({3: 0.5}, old), 4, *held))
        policy = kind({3: 0.5}, 0.7 if new else None)(sgd(0.1, 0.7))
        with pytest.warns(UserWarning, match="lr_init"):
            policy.load_state_dict(run(kind({3: 0.5}, old), 1, *held))


@pytest.mark.spec("T12", "T15")
@pytest.mark.parametrize("kind", [Switch, Multiply])
@pytest.mark.parametrize("old", [None, 0.25, [0.25, 0.5]], ids=str)
@pytest.mark.parametrize("new", [None, 0.75, [0.75, 0.625]], ids=str)
def test_what_was_restored_is_saved_as_it_was_and_told_again(kind: Any, old: Any, new: Any) -> None:
    state = run(kind({3: 0.5}, old), 1, 0.1, 0.1)
    for _ in range(3):  # a job that is preempted again and again
        policy = kind({2: 0.5}, new)(sgd(0.1, 0.1))
        with pytest.warns(UserWarning, match="mapping"):
            policy.load_state_dict(state)
        again = policy.state_dict()
        policy = kind({3: 0.5}, new)(sgd(0.1, 0.1))
        if old != new:
            with pytest.warns(UserWarning, match="lr_init"):
                policy.load_state_dict(again)
        assert again == state
        state = again


@pytest.mark.spec("V12", "V15", "T12")
def test_a_saved_lr_init_that_counts_is_given_and_one_that_is_the_default_is_not() -> None:
    state = {"last_epoch": 0, "_last_lr": [0.5], "mapping": [[1, 0.25]]}
    given, default, unsaid = (Switch({1: 0.25})(sgd(1e-3)) for _ in range(3))
    default.load_state_dict({**state, "lr_init": 1e-3})
    unsaid.load_state_dict(state)
    assert unsaid.state_dict()["_step_count"] == 1
    with pytest.warns(UserWarning, match="lr_init was"):
        given.load_state_dict({**state, "lr_init": 0.5})
    given, default, unsaid = (
        pickle.loads(pickle.dumps(copy.copy(one))) for one in (given, default, unsaid)
    )
    assert given(sgd(0.1)).base_lrs == [0.5]
    for one in (default, unsaid):
        with pytest.warns(UserWarning, match="lr_init was not given"):
            one(sgd(0.1))


@pytest.mark.spec("T7", "T12", "T13")
def test_a_mapping_is_loaded_into_a_policy_with_its_own_get_lr() -> None:
    optimizer = sgd(1.0)
    policy = AsDocumented({1: 0.5}, lr_init=1.0)(optimizer)
    advance(policy)
    fresh_optimizer = sgd(1.0)
    fresh = AsDocumented({2: 0.1}, lr_init=1.0)(fresh_optimizer)
    with pytest.warns(UserWarning, match=r"mapping was {1: 0.5} and is {2: 0.1}"):
        fresh.load_state_dict(policy.state_dict())
    assert fresh.mapping == {1: 0.5}
    assert advance(fresh) == [0.5]


@pytest.mark.spec("T16")
@pytest.mark.parametrize("kind", [Schedule, Scale])
def test_a_callable_that_differs_later_or_by_rounding_is_no_difference(kind: Any) -> None:
    for dtype, off in [(None, 8e-16), (torch.float32, 5e-8), (torch.bfloat16, 3e-3)]:
        state = kind(Curve(((0, 0.75),)))(sgd(tensor(0.5, dtype) if dtype else 0.5)).state_dict()
        other = Curve(((0, 0.75 * (1 + off)), (1, 9.0)))
        kind(other)(sgd(tensor(0.5, dtype) if dtype else 0.5)).load_state_dict(state)


@pytest.mark.spec("T16")
@pytest.mark.parametrize("kind", [Schedule, Scale])
@pytest.mark.parametrize(
    ("dtype", "off"),
    [(None, 1e-15), (torch.float64, 1e-15), (torch.float32, 1e-7), (torch.bfloat16, 5e-3)],
    ids=str,
)
def test_a_value_that_differs_beyond_rounding_is_told(
    kind: Any, dtype: torch.dtype | None, off: float
) -> None:
    def bound(value: float) -> Any:
        return kind(Curve(((0, value),)))(sgd(tensor(0.5, dtype) if dtype else 0.5))

    state = bound(0.75).state_dict()
    with pytest.warns(UserWarning, match="epoch 0"):
        bound(0.75 + 0.75 * off).load_state_dict(state)


@pytest.mark.spec("T15", "T17", "T24")
@pytest.mark.parametrize("lr_init", [None, 0.5], ids=["own start", "given start"])
@pytest.mark.parametrize("name", KINDS)
@each_order
def test_late_groups_are_no_difference_in_any_order(
    lr_init: float | None, name: str, order: Sequence[str]
) -> None:
    plan = Plan(name, ({0: 0.5, 2: 0.25, 4: 0.5},), lr_init)
    for late, epochs in [(0, 0), (0, 3), (1, 1), (1, 2), (1, 3), (2, 3)]:
        whole = plan.policy()(sgd(0.75))
        advance(whole, late)
        whole.optimizer.add_param_group({"params": [parameter()], "lr": 0.375})
        advance(whole, epochs - late)
        policy = plan.policy()
        resume(save(whole.optimizer, whole), sgd(0.75, 0.375), policy, order)
        for _ in range(3):
            assert lrs(policy.optimizer) == lrs(whole.optimizer)
            assert policy.base_lrs == whole.base_lrs
            advance(policy)
            advance(whole)


# Composites of torch.


def checkpoint(scheduler: LRScheduler) -> bytes:
    """A checkpoint file of a scheduler and its optimizer."""
    file = io.BytesIO()
    states = {"optimizer": scheduler.optimizer.state_dict(), "policy": scheduler.state_dict()}
    torch.save(states, file)
    return file.getvalue()


Build: TypeAlias = Callable[[Optimizer], Any]


def load(saved: bytes, optimizer: Optimizer, build: Build, order: Sequence[str]) -> Any:
    """Load a checkpoint into a fresh scheduler, in the given order."""
    states = torch.load(io.BytesIO(saved), weights_only=True)
    scheduler: Any = None
    for what in order:
        if what == "bind":
            scheduler = build(optimizer)
        else:
            (optimizer if what == "optimizer" else scheduler).load_state_dict(states[what])
    return scheduler


def in_sequence(first: Policy, second: Policy) -> Build:
    return lambda optimizer: SequentialLR(
        optimizer, [first(optimizer), second(optimizer)], milestones=[3]
    )


def chained(first: Policy, second: Policy) -> Build:
    return lambda optimizer: ChainedScheduler([first(optimizer), second(optimizer)], optimizer)


def nested(first: Policy, second: Policy) -> Build:
    return lambda optimizer: SequentialLR(
        optimizer,
        [in_sequence(first, second)(optimizer), ExponentialLR(optimizer, 0.5)],
        milestones=[5],
    )


@pytest.mark.spec("T17", "T11", "T12", "X1")
@pytest.mark.parametrize("composite", [in_sequence, chained], ids=["SequentialLR", "Chained"])
@pytest.mark.parametrize("lr_init", [None, 0.5], ids=["own start", "given start"])
@pytest.mark.parametrize("name", KINDS)
@each_order
def test_inside_a_composite_a_plan_that_does_not_differ_is_silent(
    composite: Callable[..., Build], lr_init: float | None, name: str, order: Sequence[str]
) -> None:
    numbers: Numbers = {0: 0.5, 1: 0.25, 4: 0.5}

    def build(optimizer: Optimizer) -> Any:
        plan = Plan(name, (numbers,), lr_init)
        return composite(plan.policy(), Plan("Multiply", (numbers,), lr_init).policy())(optimizer)

    for epochs in range(7):
        whole = build(sgd(0.75, 0.375))
        advance(whole, epochs)
        resumed = load(checkpoint(whole), sgd(0.75, 0.375), build, order)
        for _ in range(4):
            assert lrs(resumed.optimizer) == lrs(whole.optimizer)
            advance(whole)
            advance(resumed)


@pytest.mark.spec("T17", "T23", "X1")
@pytest.mark.parametrize("order", ORDERS[:2], ids="-".join)
@pytest.mark.parametrize("name", KINDS)
def test_inside_nested_composites_with_torchs_own_it_is_silent_too(
    order: Sequence[str], name: str
) -> None:
    def build(optimizer: Optimizer) -> Any:
        plan = Plan(name, ({0: 0.5, 1: 0.25},), None)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of")  # torch's, of any that is nested
            return nested(plan.policy(), plan.policy())(optimizer)

    for epochs in range(8):
        whole = build(sgd(0.75, 0.375))
        advance(whole, epochs)
        resumed = load(checkpoint(whole), sgd(0.75, 0.375), build, order)
        for _ in range(4):
            assert lrs(resumed.optimizer) == lrs(whole.optimizer)
            advance(whole)
            advance(resumed)


@pytest.mark.spec("T13", "T17")
@pytest.mark.parametrize("composite", [in_sequence, chained], ids=["SequentialLR", "Chained"])
def test_inside_a_composite_another_plan_is_told(composite: Callable[..., Build]) -> None:
    old = composite(Multiply({1: 0.5}, 0.5), Multiply({1: 0.5}, 0.5))(sgd(0.5))
    advance(old, 2)
    new = composite(Multiply({2: 0.5}, 0.5), Multiply({1: 0.5}, 0.5))(sgd(0.5))
    with pytest.warns(UserWarning, match="mapping") as caught:
        new.load_state_dict(old.state_dict())
    assert len(caught) == 1


# Groups that are left alone.


@pytest.mark.spec("V9", "T12", "T18")
@pytest.mark.parametrize("kind", [Schedule, Scale])
@pytest.mark.parametrize("on_load", ["restore", "override"])
def test_a_group_without_a_callable_is_not_written_by_a_load(kind: Any, on_load: str) -> None:
    curve = Curve(((2, 0.25),))
    state = run(kind([curve, curve]), 2, 0.5, 0.5)
    policy = kind([curve, None], on_load=on_load)(sgd(0.5, 0.625))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if on_load == "restore" else "error")
        policy.load_state_dict(state)
    assert lrs(policy.optimizer)[1] == policy.base_lrs[1] == policy.lr_at(2)[1] == 0.625
    advance(policy)
    assert lrs(policy.optimizer)[1] == policy.base_lrs[1] == policy.lr_at(3)[1] == 0.625


@pytest.mark.spec("V9", "T20")
@pytest.mark.parametrize("kind", [Schedule, Scale])
@pytest.mark.parametrize("first", ["optimizer", "policy"])
def test_overriding_a_group_without_a_callable_is_where_the_loaded_optimizer_has_it(
    kind: Any, first: str
) -> None:
    curve = Curve(((2, 0.25),))
    state = run(kind([curve, curve]), 2, 0.5, 0.5)
    policy = kind([curve, None], on_load="override")(sgd(0.5, 0.625))
    loads = [
        lambda: policy.load_state_dict(state),
        lambda: policy.optimizer.load_state_dict(sgd(0.5, 0.75).state_dict()),
    ]
    for load in loads if first == "policy" else reversed(loads):
        load()
    advance(policy)
    assert lrs(policy.optimizer) == policy.lr_at(3)
    assert lrs(policy.optimizer)[1] == 0.75


# Override.


class Falling(MappingPolicy[Numbers]):
    """A custom policy without a closed form: factors on what the groups hold."""

    seen = 0

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        held = [float(group["lr"]) for group in self.optimizer.param_groups]
        pairs = zip(self.current_mapping or [], held)
        return [lr * numbers.get(self.last_epoch, 1.0) for numbers, lr in pairs]


class TestOverride:
    """What is written here counts, from the saved epoch on."""

    @pytest.mark.spec("T18", "T20", "T21", "T11")
    @given(held=groups(), data=st.data(), epochs=epochs, order=orders)
    def test_what_is_in_use_is_what_the_code_says_at_the_epoch(
        self, held: Groups, data: st.DataObject, epochs: int, order: Sequence[str]
    ) -> None:
        n = len(held.lrs)
        plan, code = data.draw(plans(n)), data.draw(plans(n))
        whole = trained(held, plan, epochs)
        states = torch.load(io.BytesIO(save(whole.optimizer, whole)), weights_only=True)
        own = rounded(held.lrs, held)
        found = plan.starts(own) if order[0] == "optimizer" else own
        if code.lr_init is None:
            saved = zip(found, states["policy"]["base_lrs"], states["policy"]["_last_lr"])
            found = [base if start == lr else start for start, base, lr in saved]
        starts = code.starts(found)

        optimizer, policy = held.build(), code.policy(on_load="override")
        for what in order:
            if what == "bind":
                policy(optimizer)
            elif what == "optimizer":
                optimizer.load_state_dict(states["optimizer"])
            else:
                policy.load_state_dict(states["policy"])
                assert lrs(optimizer) == rounded(code.lrs(starts, epochs), held)
                assert policy.lr_at(epochs) == code.lrs(starts, epochs)
                assert (policy.base_lrs, policy.last_epoch) == (starts, epochs)
        advance(policy)
        assert lrs(optimizer) == rounded(code.lrs(starts, epochs + 1), held)
        for epoch in range(epochs + 2, epochs + 5):
            advance(policy)
            if held.form == "float":
                assert lrs(optimizer) == code.lrs(starts, epoch)
            else:
                assert lrs(optimizer) == pytest.approx(code.lrs(starts, epoch), rel=0.05, abs=1e-3)

    @pytest.mark.spec("T18", "T20")
    @pytest.mark.parametrize("kind", [Multiply, Falling])
    def test_the_next_step_writes_over_a_change_and_those_after_it_respect_one(
        self, kind: Any
    ) -> None:
        def bound(mapping: Numbers, **options: Any) -> Any:
            return kind(mapping, 0.5, **options)(sgd(0.1))

        old = bound({1: 0.25})
        advance(old, 3)
        policy = bound({2: 0.5, 4: 0.5, 6: 0.5}, on_load="override")
        policy.load_state_dict(old.state_dict())
        assert lrs(policy.optimizer) == [0.25] == policy.lr_at(3)
        for expected in (0.125, 7.0, 3.5):
            policy.optimizer.param_groups[0]["lr"] = 7.0
            advance(policy)
            assert lrs(policy.optimizer) == [expected]

    @pytest.mark.spec("T20", "S10")
    def test_a_step_to_an_epoch_is_the_next_step_too(self) -> None:
        policy = Multiply({2: 0.5}, 0.5, on_load="override")(sgd(0.1))
        policy.load_state_dict({"last_epoch": 3})
        policy.optimizer.step()
        with pytest.warns(UserWarning, match="epoch"):
            policy.step(5)
        policy.optimizer.param_groups[0]["lr"] = 7.0
        advance(policy)
        assert lrs(policy.optimizer) == [7.0]

    @pytest.mark.spec("T18")
    def test_of_a_custom_policy_attributes_are_not_taken_either(self) -> None:
        old = Falling({1: 0.5}, 0.5)(sgd(0.1))
        old.seen = 3
        advance(old, 2)
        policy = Falling({1: 0.25}, 0.5, on_load="override")(sgd(0.1))
        policy.seen = 1
        policy.load_state_dict(old.state_dict())
        assert (policy.seen, policy.mapping, policy.last_epoch) == (1, {1: 0.25}, 2)
        assert lrs(policy.optimizer) == [0.125]

    @pytest.mark.spec("T18")
    @pytest.mark.parametrize("kind", [Switch, Multiply, Schedule, Scale, Falling])
    def test_it_is_given_by_keyword_and_is_one_of_two_words(self, kind: Any) -> None:
        mapping: Any = Curve(()) if kind in (Schedule, Scale) else {}
        assert kind(mapping).on_load == "restore"
        with pytest.raises(TypeError, match="positional"):
            kind(mapping, None, "override")
        for word in ("overwrite", None, True):
            with pytest.raises(ValueError, match=r"restore.*override"):
                kind(mapping, on_load=word)

    @pytest.mark.spec("T18", "K1", "V17")
    def test_copies_and_in_steps_override_too(self) -> None:
        policy = Multiply({2: 0.5}, 0.5, on_load="override")
        for one, epoch in [(copy.copy(policy), 2), (copy.copy(policy(sgd(0.1))), 2)] + [
            (pickle.loads(pickle.dumps(policy)), 2),
            (policy.in_steps(3), 6),
        ]:
            one(sgd(0.1)).load_state_dict({"last_epoch": epoch})
            assert lrs(one.optimizer) == [0.25]

    @pytest.mark.spec("T20", "K2")
    def test_a_copy_made_after_the_load_takes_the_closed_form_at_its_next_step(self) -> None:
        policy = Multiply({2: 0.5}, 0.5, on_load="override")(sgd(0.1))
        policy.load_state_dict({"last_epoch": 3})
        for one in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
            one.optimizer.param_groups[0]["lr"] = 7.0
            advance(one)
            assert lrs(one.optimizer) == [0.25]

    @pytest.mark.spec("T19")
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (lambda: Schedule(Cosine(0.5, 0.0, epochs=90)), Schedule(Cosine(0.5, 0.0, epochs=120))),
            (lambda: Multiply({30: 0.1, 60: 0.1}, 0.5), Multiply({40: 0.1, 80: 0.1}, 0.5)),
            (lambda: Scale(Cosine(1.0, 0.0, epochs=90), 0.5), Scale(Cosine(1.0, 0.0, 90), 0.25)),
        ],
        ids=["120 epochs for 90", "other milestones", "a lower lr"],
    )
    @each_order
    def test_changes_in_the_middle_of_a_run_need_this_one_word(
        self, old: Callable[[], Policy], new: MappingPolicy[Any], order: Sequence[str]
    ) -> None:
        whole = old()(sgd(0.5))
        advance(whole, 50)
        policy = copy.copy(new)
        policy.on_load = "override"
        resume(save(whole.optimizer, whole), sgd(0.5), policy, order)
        assert policy.last_epoch == 50
        for epoch in range(51, 54):
            advance(policy)
            assert lrs(policy.optimizer) == pytest.approx(new.lr_at(epoch), rel=1e-12)

    @pytest.mark.spec("T19")
    def test_another_number_of_processes_is_a_last_epoch_scaled_in_the_state(self) -> None:
        by_epoch = Switch({0: 0.5, 2: 0.25, 3: 0.125})
        old = by_epoch.in_steps(8)(sgd(0.5))
        advance(old, 20)
        state = old.state_dict()
        state["last_epoch"] //= 2  # two processes for one: half as many steps an epoch
        policy = Switch({0: 0.5, 2: 0.25, 3: 0.125}, on_load="override").in_steps(4)(sgd(0.5))
        policy.load_state_dict(state)
        seen: list[float] = []
        for _ in range(3):
            seen += lrs(policy.optimizer)
            advance(policy)
        assert seen == [0.25, 0.25, 0.125]

    @pytest.mark.spec("T21")
    @pytest.mark.parametrize(
        "state",
        [
            {"last_epoch": 4},
            {"last_epoch": 4, "base_lrs": [1.0], "_last_lr": [2.0], "_step_count": "many"},
            {"last_epoch": 4, "mapping": "none", "lr_init": -1, "_planned": None, "base_lrs": 3},
            {"last_epoch": 4, "_policy": "Schedule", "step": 3, "optimizer": 1},
            run(Switch({1: 0.5}, 0.1), 4, 0.1),
            run(Scale(Curve(())), 4, 0.1, 0.2, 0.3),
            MultiStepLR(sgd(0.1), [2]).state_dict() | {"last_epoch": 4},
        ],
        ids=["the epoch alone", "another count", "nonsense", "what is no attribute", "Switch"]
        + ["Scale of three groups", "MultiStepLR"],
    )
    def test_only_last_epoch_has_to_be_in_the_state(self, state: dict[str, Any]) -> None:
        for lr_init in (0.5, None):
            policy = Multiply({2: 0.5, 7: 0.5}, lr_init, on_load="override")(sgd(0.5, 0.5))
            policy.load_state_dict(state)
            assert lrs(policy.optimizer) == [0.25, 0.25]
            assert policy.last_epoch == 4
            policy.step()  # silent, though nothing was trained since: as in torch
            assert policy.state_dict()["_step_count"] == 6

    @pytest.mark.spec("T21", "T10")
    @pytest.mark.parametrize(
        ("state", "error", "match"),
        [
            ({}, ValueError, "last_epoch"),
            ({"last_epoch": True}, TypeError, "last_epoch"),
            ({"last_epoch": 4.0}, TypeError, "last_epoch"),
            ({"last_epoch": 4, "option": "weight_decay"}, ValueError, "option"),
            ([4], TypeError, "dict"),
        ],
        ids=["no epoch", "bool", "float", "another option", "no dict"],
    )
    def test_the_epoch_and_the_option_are_checked(
        self, state: Any, error: type[Exception], match: str
    ) -> None:
        policy = Multiply({2: 0.5}, 0.5, on_load="override")(sgd(0.5, tensor(0.5)))
        advance(policy)
        with unchanged(policy, policy.optimizer), pytest.raises(error, match=match):
            policy.load_state_dict(state)

    @pytest.mark.spec("T10", "T18")
    def test_a_callable_that_raises_at_the_epoch_leaves_everything_as_it_was(self) -> None:
        def until_1(epoch: int) -> float:
            return [0.5, 0.25][epoch]

        policy = Schedule(until_1, on_load="override")(sgd(0.5, tensor(0.5)))
        with unchanged(policy, policy.optimizer), pytest.raises(IndexError):
            policy.load_state_dict({"last_epoch": 4})
        advance(policy)
        assert lrs(policy.optimizer) == [0.25, 0.25]

    @pytest.mark.spec("T21")
    @pytest.mark.parametrize("name", ["Switch", "Multiply", "Scale"])
    @each_order
    def test_a_late_group_gets_its_saved_start_where_the_optimizer_was_loaded_first(
        self, name: str, order: Sequence[str]
    ) -> None:
        whole = Plan(name, ({2: 0.25},), None).policy()(sgd(0.75))
        whole.optimizer.add_param_group({"params": [parameter()], "lr": 0.375})
        advance(whole, 3)
        code = Plan(name, ({3: 0.5},), None)
        policy = code.policy(on_load="override")
        resume(save(whole.optimizer, whole), sgd(0.75, 0.375), policy, order)
        assert policy.base_lrs == [0.75, 0.375]
        for epoch in (4, 5):
            advance(policy)
            assert lrs(policy.optimizer) == code.lrs([0.75, 0.375], epoch)

    @pytest.mark.spec("T18", "T23")
    def test_a_policy_that_has_not_begun_writes_nothing(self) -> None:
        policy = Multiply({0: 0.5}, 0.5, on_load="override")(sgd(0.75))
        change(policy.optimizer.param_groups[0], 7.0)
        policy.load_state_dict({"last_epoch": -1})
        assert (policy.last_epoch, lrs(policy.optimizer)) == (-1, [7.0])
        assert policy.state_dict()["_step_count"] == 1
        advance(policy)
        assert (policy.last_epoch, lrs(policy.optimizer)) == (0, [0.25])

    @pytest.mark.spec("T22")
    @each_order
    def test_in_a_sequential_lr_the_running_policy_and_those_after_it_are_overridden(
        self, order: Sequence[str]
    ) -> None:
        def old(optimizer: Optimizer) -> Any:
            return in_sequence(Multiply({1: 0.5}, 0.5), Multiply({1: 0.5}, 0.25))(optimizer)

        for epochs in range(6):
            whole = old(sgd(0.5))
            advance(whole, epochs)
            first, second = Multiply({1: 0.5}, 0.5), Multiply({2: 0.25}, 0.75, on_load="override")
            if epochs < 3:
                first = Multiply({1: 0.125}, 1.0, on_load="override")
            new = load(checkpoint(whole), sgd(0.5), in_sequence(first, second), order)
            for epoch in range(epochs, epochs + 5):
                if epoch > epochs or order[-1] != "optimizer":
                    running = first.lr_at(epoch) if epoch < 3 else second.lr_at(epoch - 3)
                    assert lrs(new.optimizer) == running
                advance(new)
