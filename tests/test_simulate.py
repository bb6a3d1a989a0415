"""`simulate`: what a policy would do from a fresh start, without an optimizer being touched."""

from __future__ import annotations

import copy
import math
import random
import re
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    POLICIES,
    Halving,
    MakePolicy,
    advance,
    lrs,
    named,
    parameter,
    reciprocal,
    sgd,
    tensor,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st
from schedule_helpers import anything, grows, trajectory
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as torch_schedulers
from versions import said

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Plateau,
    Policy,
    Scale,
    Schedule,
    Switch,
    simulate,
)
from thunder_policy.checks import short
from thunder_policy.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    ScheduleFunction,
)

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())


# What it returns


@pytest.mark.spec("V7", "V18")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Multiply({1: 0.1, 4: 0.3}), [1e-3, 1e-4, 1e-4, 1e-4, 3e-5, 3e-5]),
        (Switch({0: 1e-4, 2: 1e-10}), [1e-4, 1e-4, 1e-10, 1e-10]),
        (Schedule(np.cos), [math.cos(t) for t in range(5)]),
        (Scale(reciprocal), [1e-3, 5e-4, 1e-3 / 3]),
        (Scale(reciprocal, lr_init=0.5), [0.5, 0.25, 0.5 / 3]),
        (Halving(), [1e-3, 5e-4, 2.5e-4]),
    ],
    ids=["Multiply", "Switch", "Schedule", "Scale", "Scale, lr_init", "custom"],
)
def test_row_t_is_the_lrs_at_epoch_t(policy: Policy, expected: list[float]) -> None:
    result = simulate(policy, len(expected), lr=1e-3)
    assert result.dtype is torch.float64
    assert result.shape == (len(expected), 1)
    assert result[:, 0].tolist() == pytest.approx(expected, rel=1e-15)


@pytest.mark.spec("B15")
@EVERY_POLICY
@pytest.mark.parametrize("epochs", [0, 1, 5])
@pytest.mark.parametrize("groups", [1, 3])
def test_the_shape_is_epochs_by_groups(make: MakePolicy, epochs: int, groups: int) -> None:
    result = simulate(make(), epochs, groups, lr=0.5)
    assert result.shape == (epochs, groups)
    assert result.dtype is torch.float64
    assert not result.requires_grad
    assert result.device.type == "cpu"


@pytest.mark.spec("B15", "V8", "V9")
@pytest.mark.parametrize(
    ("policy", "groups"),
    [
        (Switch({}), 1),
        (Switch([{}, {}, {}]), 3),
        (Multiply({}, lr_init=[0.5, 0.25]), 2),
        (Schedule(reciprocal), 1),
        (Schedule([reciprocal, math.cos]), 2),
        (Scale([reciprocal, None, math.cos]), 3),
        (Halving(), 1),
    ],
    ids=["broadcast", "mappings", "lr_init", "callable", "callables", "None", "custom"],
)
def test_unbound_it_has_the_groups_that_the_arguments_name(policy: Policy, groups: int) -> None:
    assert simulate(policy, 3, lr=0.5).shape == (3, groups)
    assert simulate(policy, 3, groups=groups, lr=0.5).shape == (3, groups)


@pytest.mark.spec("V10")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_unbound_without_lr_init_each_group_holds_lr(cls: Any) -> None:
    assert simulate(cls({1: 0.5}, lr_init=None), 1, groups=2, lr=0.25).tolist() == [[0.25, 0.25]]


@pytest.mark.spec("V21")
def test_a_custom_policy_starts_from_lr() -> None:
    assert simulate(Halving(), 3, 2, 8).tolist() == [[8, 8], [4, 4], [2, 2]]


@pytest.mark.spec("V10")
def test_an_lr_init_of_the_policy_s_own_comes_before_lr() -> None:
    assert simulate(Switch({}, lr_init=0.5), 1, lr=0.25).tolist() == [[0.5]]


maps = st.dictionaries(st.integers(0, 8), st.floats(0, 10), max_size=4)


@pytest.mark.spec("V19")
@given(
    cls=st.sampled_from([Switch, Multiply]),
    mapping=maps | st.lists(maps, min_size=3, max_size=3),
    lr_init=st.none() | st.floats(0, 10) | st.lists(st.floats(0, 10), min_size=3, max_size=3),
    lr=st.floats(0, 10),
    bound=st.booleans(),
)
def test_it_is_what_stepping_gives_to_the_bit(
    cls: Any, mapping: Any, lr_init: Any, lr: float, bound: bool
) -> None:
    optimizer = sgd(lr, lr, lr)
    policy = cls(mapping, lr_init=lr_init)
    before = simulate(policy, 10, groups=3, lr=lr)
    policy(optimizer)
    seen = []
    for _ in range(10):
        seen.append(lrs(optimizer))
        advance(policy)
    assert (simulate(policy, 10) if bound else before).tolist() == seen


@pytest.mark.spec("V18")
@EVERY_POLICY
def test_a_shorter_run_is_the_beginning_of_a_longer_one(make: MakePolicy) -> None:
    assert torch.equal(simulate(make(), 3, 2, 0.5), simulate(make(), 7, 2, 0.5)[:3])


# Bound


@pytest.mark.spec("V5", "V18", "V21")
@EVERY_POLICY
def test_bound_it_has_the_groups_and_base_lrs_from_a_fresh_start(make: MakePolicy) -> None:
    optimizer = sgd(0.5, 0.25)
    policy = make()(optimizer)
    seen = []
    for _ in range(4):
        seen.append(lrs(optimizer))
        advance(policy)
    if not isinstance(policy, MappingPolicy):
        policy = make()(sgd(0.5, 0.25))
        advance(policy, 2)
    policy.optimizer.param_groups[0]["lr"] = 99.0
    assert simulate(policy, 4).tolist() == seen


@pytest.mark.spec("V10", "S8")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_bound_without_lr_init_it_starts_from_the_base_lrs(cls: Any) -> None:
    optimizer = sgd(0.5, 0.25)
    policy = cls({2: 0.5}, lr_init=None)(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 99.0
    assert simulate(policy, 2).tolist() == [[0.5, 0.25]] * 2


@pytest.mark.spec("V18")
@EVERY_POLICY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_bound_to_tensor_lrs_it_is_float64_all_the_same(
    make: MakePolicy, dtype: torch.dtype
) -> None:
    optimizer, plain = sgd(tensor(0.5, dtype), tensor(0.25, dtype)), sgd(0.5, 0.25)
    result = simulate(make()(optimizer), 4)
    assert result.dtype is torch.float64
    torch.testing.assert_close(result, simulate(make()(plain), 4), rtol=2e-3, atol=0)


@pytest.mark.spec("V21")
def test_a_custom_policy_sees_its_groups_as_they_are() -> None:
    class Scaled(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            groups = self.optimizer.param_groups
            return [float(lr) * g["scale"] for lr, g in zip(self.base_lrs, groups, strict=True)]

    groups = [{"params": [parameter()], "scale": scale} for scale in (1, 2)]
    policy = Scaled()(SGD(groups, lr=0.5))
    with unchanged(policy, policy.optimizer):
        assert simulate(policy, 2).tolist() == [[0.5, 1.0], [0.5, 1.0]]


# What it takes


@pytest.mark.spec("V4", "V18", "V19")
@given(schedule=anything.filter(lambda schedule: not grows(schedule)), n=st.integers(1, 40))
def test_a_schedule_is_simulated_as_it_is_called(schedule: ScheduleFunction, n: int) -> None:
    called = trajectory(schedule, n)
    assert simulate(schedule, n)[:, 0].tolist() == called
    assert simulate(Schedule(schedule), n)[:, 0].tolist() == called
    several = simulate([schedule, None, 2 * schedule], n, lr=0.25)
    assert several.tolist() == [[lr, 0.25, lr * 2] for lr in called]
    scaled = simulate(Scale([schedule, None], lr_init=0.3), n, lr=0.25)
    assert scaled.tolist() == [[0.3 * factor, 0.25] for factor in called]


def test_several_come_back_as_they_were_given() -> None:
    cosine, switch = Cosine(0.1, 0.0, 4), Switch({0: 0.5, 2: 0.25})
    by_name = simulate({"cosine": cosine, "two": [cosine, Constant(1.0)], "switch": switch}, 3)
    assert [*by_name] == ["cosine", "two", "switch"]
    assert [lrs.shape for lrs in by_name.values()] == [(3, 1), (3, 2), (3, 1)]
    assert by_name["switch"][:, 0].tolist() == [0.5, 0.5, 0.25]
    twice = simulate([switch, switch, [cosine]], 3)  # type: ignore[list-item]
    assert [lrs[:, 0].tolist() for lrs in twice] == [
        [0.5, 0.5, 0.25],
        [0.5, 0.5, 0.25],
        trajectory(cosine, 3),
    ]


def nested(optimizer: Optimizer) -> torch_schedulers.LRScheduler:
    parts: list[torch_schedulers.LRScheduler] = [
        torch_schedulers.LinearLR(optimizer, 0.1, 1.0, 3),
        torch_schedulers.CosineAnnealingLR(optimizer, 9),
    ]
    return torch_schedulers.SequentialLR(optimizer, parts, [3])


def chained(optimizer: Optimizer) -> torch_schedulers.LRScheduler:
    parts: list[torch_schedulers.LRScheduler] = [
        torch_schedulers.LinearLR(optimizer, 0.1, 1.0, 3),
        torch_schedulers.ExponentialLR(optimizer, 0.9),
    ]
    return torch_schedulers.ChainedScheduler(parts, optimizer)


TORCH: dict[str, Callable[[Optimizer], torch_schedulers.LRScheduler]] = {
    "StepLR": lambda o: torch_schedulers.StepLR(o, 3),
    "LambdaLR": lambda o: torch_schedulers.LambdaLR(o, lambda t: 0.9**t),
    "OneCycleLR": lambda o: torch_schedulers.OneCycleLR(o, 1.0, 20),
    "CyclicLR": lambda o: torch_schedulers.CyclicLR(o, 0.1, 1.0, 3, cycle_momentum=False),
    "SequentialLR": nested,
    "ChainedScheduler": chained,
}


@pytest.mark.parametrize("make", TORCH.values(), ids=TORCH.keys())
@pytest.mark.parametrize(
    "lr", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["float", "tensor"]
)
def test_a_scheduler_of_torch_is_stepped_on_a_copy(
    make: Callable[[Optimizer], torch_schedulers.LRScheduler], lr: Any
) -> None:
    fresh = copy.deepcopy(lr)
    optimizer = SGD([{"params": [parameter()], "lr": lr, "momentum": 0.9}])
    scheduler = make(optimizer)
    groups = [{**group, "lr": float(group["lr"])} for group in optimizer.param_groups]
    state = copy.deepcopy(scheduler.state_dict())
    rows = simulate(scheduler, 12)
    assert [{**group, "lr": float(group["lr"])} for group in optimizer.param_groups] == groups
    assert str(scheduler.state_dict()) == str(state)
    assert rows.dtype is torch.float64
    seen = []
    trained = SGD([{"params": [parameter()], "lr": fresh, "momentum": 0.9}])
    scheduler = make(trained)
    trained.step()
    for _ in range(12):
        seen += [float(lr) for lr in lrs(trained)]
        scheduler.step()
    assert rows[:, 0].tolist() == seen
    assert simulate({"torch": make(SGD([parameter()], lr=0.1))}, 0)["torch"].shape == (0, 1)


def test_each_group_of_a_scheduler_of_torch_has_a_column() -> None:
    groups = [{"params": [parameter()], "lr": lr} for lr in (0.1, 0.2)]
    scheduler = torch_schedulers.StepLR(Adam(groups), 1, 0.5)
    assert simulate(scheduler, 2).tolist() == [[0.1, 0.2], [0.05, 0.1]]
    text = "simulate: StepLR has the groups of its optimizer, not 3"
    with pytest.raises(ValueError, match=f"^{text}$"):
        simulate(scheduler, 2, groups=3)


@pytest.mark.parametrize("make", TORCH.values(), ids=TORCH.keys())
def test_a_scheduler_of_torch_that_was_stepped_is_refused(
    make: Callable[[Optimizer], torch_schedulers.LRScheduler],
) -> None:
    optimizer = SGD([parameter()], lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()
    text = f"simulate: {type(scheduler).__name__} is at epoch 1: give it one that is at 0"
    with pytest.raises(ValueError, match=f"^{text}$"):
        simulate(scheduler, 2)


@pytest.mark.spec("P10")
def test_torch_reduce_lr_on_plateau_is_given_the_metrics_that_a_plateau_is_given() -> None:
    optimizer = SGD([parameter()], lr=0.1)
    arguments: dict[str, Any] = {"factor": 0.5, "patience": 1}
    both: dict[str, torch_schedulers.LRScheduler] = {
        "ours": Plateau(Constant(0.1), **arguments),
        "torch": torch_schedulers.ReduceLROnPlateau(optimizer, **arguments),
    }
    several: list[Any] = [[1.0, None, 1.0, 1.0], torch.tensor([2.0, 1.0, 1.0, 1.0])]
    for metrics in several:
        seen = simulate(both, 6, metrics=metrics)
        assert seen["ours"].equal(seen["torch"])
        assert seen["ours"][:, 0].tolist() == [0.1] * 4 + [0.05] * 2
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert simulate(both["torch"], 3)[:, 0].tolist() == [0.1] * 3


# A start that nobody knows


RELATIVE: dict[str, tuple[MakePolicy, list[float]]] = {
    "Scale": (lambda: Scale(reciprocal), [1.0, 0.5]),
    "Switch": (lambda: Switch({1: 0.1}, lr_init=None), [1.0, 0.1]),
    "Multiply": (lambda: Multiply({1: 0.1}, lr_init=None), [1.0, 0.1]),
    "Schedule": (lambda: Schedule([None, reciprocal]), [1.0, 1.0]),
    "Halving": (Halving, [1.0, 0.5]),
}


@pytest.mark.spec("V20")
@pytest.mark.parametrize(("name", "case"), RELATIVE.items(), ids=RELATIVE.keys())
def test_a_policy_whose_start_nobody_knows_is_relative_to_1_and_that_is_said(
    name: str, case: tuple[MakePolicy, list[float]]
) -> None:
    make, expected = case
    text = f"simulate: {name}: relative to a start of 1, as none is known; give it lr=, or bind"
    for policy, groups in ((make(), None), (make()(sgd(0.5, 0.5)), 2)):
        with pytest.warns(UserWarning, match=f"^{text}") as caught:
            assert simulate(policy, 2, groups)[:, 0].tolist() == expected
        assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="optimizer"):
        make().lr_at(0)
    both = simulate(make(), 2, lr=0.5), simulate(make()(sgd(0.5, 0.5)), 2)
    assert [lrs[0, 0].item() for lrs in both] == [0.5, 0.5]


@pytest.mark.spec("V20")
@pytest.mark.parametrize(
    "policy",
    [
        Switch({0: 0.1}, lr_init=None),
        Switch({1: 0.1}, lr_init=0.2),
        Multiply({1: 0.1}),
        Schedule(reciprocal, lr_init=None),
        Scale(reciprocal, lr_init=0.1),
    ],
    ids=repr,
)
def test_nothing_is_said_where_the_start_is_known_or_does_not_count(
    policy: MappingPolicy[Any],
) -> None:
    assert simulate(policy, 2)[:, 0].tolist() == [policy.lr_at(t)[0] for t in range(2)]


def test_of_several_those_are_named_that_are_relative() -> None:
    with pytest.warns(
        UserWarning, match="^simulate: a, c: relative to a start of 1, as none is kn"
    ):
        simulate({"a": Scale(reciprocal), "b": Switch({0: 0.1}), "c": Halving()}, 2)


# Without touching anything


@pytest.mark.spec("V18", "B15")
@EVERY_POLICY
@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
def test_policy_and_optimizer_stay_as_they_are(make: MakePolicy, bound: bool) -> None:
    optimizer, policy = sgd(0.5, tensor(0.25)), make()
    twin = make()(sgd(0.5, tensor(0.25)))
    if bound:
        advance(policy(optimizer), 2)
        advance(twin, 2)
    with unchanged(policy, optimizer):
        simulate(policy, 6, lr=0.5)
        simulate(policy, 2, lr=0.5)
    if not bound:
        policy(optimizer)
    advance(policy, 2)
    advance(twin, 2)
    assert lrs(optimizer) == lrs(twin.optimizer)


@pytest.mark.spec("S9", "V18")
@EVERY_POLICY
def test_before_the_first_step_it_leaves_no_trace_either(make: MakePolicy) -> None:
    optimizer = sgd(0.5)
    policy = make()(optimizer)
    simulate(policy, 3)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        policy.step()


@pytest.mark.spec("V18")
@EVERY_POLICY
def test_the_optimizer_is_not_copied(make: MakePolicy) -> None:
    class Huge(SGD):
        """An optimizer that is too large to copy."""

        def __deepcopy__(self, memo: object) -> Huge:
            raise MemoryError

        def __copy__(self) -> Huge:
            raise MemoryError

        def __reduce_ex__(self, protocol: object) -> str:
            raise MemoryError

    class Uncopied(torch.nn.Parameter):
        """A parameter that is too large to copy."""

        def __deepcopy__(self, memo: object) -> Uncopied:
            raise MemoryError

    optimizer = Huge([Uncopied(torch.zeros(1))], lr=0.5)
    with pytest.raises(MemoryError):
        copy.deepcopy(optimizer)
    for scheduler in (torch_schedulers.StepLR(optimizer, 2), make()(optimizer)):
        assert simulate(scheduler, 3).shape == (3, 1)


@pytest.mark.spec("V21")
def test_the_optimizers_of_nested_schedulers_are_not_copied_either() -> None:
    class Huge(SGD):
        """An optimizer that is too large to copy."""

        def __deepcopy__(self, memo: object) -> Huge:
            raise MemoryError

    class Nesting(Policy):
        """A policy that halves what the optimizers of other schedulers hold."""

        def __init__(self, *inner: Policy) -> None:
            self.inner = inner

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            held = [one.optimizer.param_groups[0]["lr"] for one in self.inner]
            assert len({*held}) == 1
            return [held[0] / 2]

    optimizers = [Huge([parameter()], lr=0.5) for _ in range(3)]
    inner = [Switch({}, lr_init=None)(optimizer) for optimizer in optimizers[:2]]
    for policy in (Nesting(*inner), Nesting(*inner)(optimizers[2])):
        with unchanged(policy, *inner, *optimizers):
            assert simulate(policy, 3, lr=0.5).tolist() == [[0.25], [0.125], [0.0625]]


@pytest.mark.spec("V21", "T7")
def test_a_policy_that_holds_what_cannot_be_copied_is_simulated_too() -> None:
    class Locking(Halving):
        """A policy that holds a lock, as anything with a logger does."""

        def __init__(self) -> None:
            self.lock = threading.Lock()

        def state_dict(self) -> dict[str, Any]:
            return self.prepare_state_dict("lock")

    for policy in (Locking(), Locking()(sgd(1e-3))):
        with unchanged(policy):
            assert simulate(policy, 2, lr=1e-3).tolist() == [[1e-3], [5e-4]]


@pytest.mark.spec("S8")
@EVERY_POLICY
def test_no_random_numbers_are_used(make: MakePolicy) -> None:
    def states() -> Any:
        state = np.random.get_state(legacy=True)
        return random.getstate(), torch.get_rng_state().tolist(), [str(part) for part in state]

    before = states()
    simulate(make(), 5, 2, 0.5)
    simulate(make()(sgd(0.5)), 5)
    assert states() == before


class Remembering(Policy):
    """An impure policy: it writes down what it did, in an attribute and in a list."""

    def __init__(self) -> None:
        self.calls = 0
        self.history: list[int] = []

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        self.calls += 1
        self.history.append(self.last_epoch)
        return [1 / self.calls for _ in self.optimizer.param_groups]


class SlottedMemory(Remembering):
    """The same with a slot."""

    __slots__ = ("slot",)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        self.slot = self.last_epoch
        return super().get_lr()


@pytest.mark.spec("V21")
@pytest.mark.parametrize("cls", [Remembering, SlottedMemory])
def test_an_impure_policy_writes_into_a_copy(cls: type[Remembering]) -> None:
    policy = cls()
    with unchanged(policy):
        assert simulate(policy, 3, lr=0.5).tolist() == [[1], [1 / 2], [1 / 3]]
        assert policy.history == []
    policy(sgd())
    with unchanged(policy):
        simulate(policy, 3)


@pytest.mark.spec("V21")
def test_a_policy_that_starts_over_in_set_optimizer_does_so_here() -> None:
    class Resetting(Remembering):
        def set_optimizer(self, optimizer: torch.optim.Optimizer, last_epoch: int = -1) -> None:
            self.calls = 0
            super().set_optimizer(optimizer, last_epoch)

    policy = Resetting()(sgd())
    advance(policy, 4)
    assert simulate(policy, 3).tolist() == [[1], [1 / 2], [1 / 3]]
    assert policy.calls == 5


@pytest.mark.spec("V16")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_a_callable_is_called_once_an_epoch(cls: type[Schedule | Scale]) -> None:
    calls: list[int] = []

    def schedule(epoch: int) -> float:
        calls.append(epoch)
        return 0.5

    simulate(cls(schedule), 4, groups=3, lr=0.5)
    assert calls == [0, 1, 2, 3]


# What it refuses


@pytest.mark.spec("B6")
@pytest.mark.parametrize(
    ("policy", "groups", "text"),
    [
        (Switch([{}, {}]), 3, "Got 2 mappings and 3 param groups"),
        (Multiply({}, lr_init=[0.5, 0.25]), 1, "Got 2 lr_init and 1 param groups"),
        (Schedule([math.cos] * 2), 3, "Got 2 mappings and 3 param groups"),
        (Scale([math.cos] * 2), 3, "Got 2 mappings and 3 param groups"),
    ],
    ids=["mappings", "lr_init", "callables", "relative"],
)
def test_another_number_of_groups_than_the_policy_names_is_an_error(
    policy: Policy, groups: int, text: str
) -> None:
    with unchanged(policy), pytest.raises(ValueError, match=text):
        simulate(policy, 3, groups=groups)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 0, not -1"),
        ({"epochs": 2.5}, TypeError, "epochs must be an integer, not 2.5 (float)"),
        ({"epochs": "x"}, TypeError, "epochs must be an integer, not 'x' (str)"),
        ({"epochs": True}, TypeError, "epochs must be an integer, not True (bool)"),
        ({"epochs": 2**63}, ValueError, "epochs must fit a tensor, not 9223372036854775808"),
        ({"epochs": 3, "groups": 0}, ValueError, "groups must be at least 1, not 0"),
        ({"epochs": 3, "groups": -1}, ValueError, "groups must be at least 1, not -1"),
        ({"epochs": 3, "groups": 2.0}, TypeError, "groups must be an integer, not 2.0 (float)"),
        (
            {"epochs": 3, "groups": 2**63},
            ValueError,
            "groups must fit a tensor, not 9223372036854775808",
        ),
        ({"epochs": 3, "lr": math.nan}, ValueError, "lr must be finite, not nan"),
        ({"epochs": 3, "lr": -1}, ValueError, "lr must be at least 0, not -1"),
        ({"epochs": 3, "lr": "x"}, TypeError, "lr must be one real number, not 'x' (str)"),
        *(
            (
                {"epochs": 3, "metrics": metrics},
                TypeError,
                f"metrics must be a list, one an epoch, not {metrics!r}",
            )
            for metrics in (5, None, "abc", {1: 0.5}, np.array(0.5))
        ),
    ],
    ids=named,
)
def test_bad_arguments_are_errors_that_name_them(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=f"^simulate: {re.escape(text)}$"):
        simulate(Halving(), **arguments)


def test_what_no_memory_can_hold_is_for_torch_to_refuse() -> None:
    with pytest.raises(RuntimeError, match="Storage size"):
        simulate(Switch({}), sys.maxsize)


NONE: Any = [
    SGD,
    None,
    {0: 0.5},
    {0: Switch({})},
    {},
    [],
    [None],
    [math.cos],
    [[Switch({})]],
    Switch,
    math.cos,
]


@pytest.mark.parametrize("thing", NONE, ids=str)
def test_what_is_no_policy_is_a_type_error(thing: Any) -> None:
    text = (
        "simulate takes a policy, a schedule, a scheduler of torch, or a list or mapping of these, "
        f"not {short(thing)}: use Schedule for functions"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        simulate(thing, 3)


@pytest.mark.spec("S2", "S3")
@pytest.mark.parametrize(
    "bind", [lambda policy: policy, lambda policy: policy(sgd(0.5))], ids=["unbound", "bound"]
)
def test_a_policy_that_fails_at_an_epoch_fails_here_and_stays_as_it_is(
    bind: Callable[[Policy], Policy],
) -> None:
    failure = OSError("disk")

    def fails(epoch: int) -> float:
        if epoch == 2:
            raise failure
        return 0.5

    policy = bind(Schedule(fails))
    noted = said("disk", "Schedule.*epoch 2")
    with unchanged(policy), pytest.raises(OSError, match=noted) as caught:
        simulate(policy, 5)
    assert caught.value is failure
    assert simulate(policy, 2).tolist() == [[0.5], [0.5]]
    overflow = bind(Multiply({0: 1, 2: 1e200}, lr_init=1e200))
    with unchanged(overflow), pytest.raises(ValueError, match=r"(?s)Multiply.*epoch 2"):
        simulate(overflow, 5)


@pytest.mark.spec("C2")
def test_integral_epochs_and_groups_are_enough() -> None:
    assert simulate(Switch({}), np.int64(3), np.int64(2)).shape == (3, 2)


@pytest.mark.spec("V18")
def test_the_default_dtype_of_torch_makes_no_difference() -> None:
    torch.set_default_dtype(torch.float16)
    try:
        assert simulate(Switch({0: 0.1}), 1).tolist() == [[0.1]]
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.spec("V18")
def test_the_default_device_of_torch_makes_no_difference() -> None:
    policies: list[torch_schedulers.LRScheduler] = [
        Switch({1: 0.5}),
        Multiply([{1: 0.5}, {}]),
        Schedule(lambda epoch: 0.5),
        Halving(),
        torch_schedulers.StepLR(sgd(0.5), 2),
    ]
    right = [simulate(policy, 3, lr=0.5).tolist() for policy in policies]
    for device in ("meta", "cuda"):  # of which there may be none
        with torch.device(device):
            assert [simulate(policy, 3, lr=0.5).tolist() for policy in policies] == right


class WithAnother(Policy):
    """A policy that steps another scheduler, which it holds, and gives its lrs halved."""

    def __init__(self, inner: Policy, **more: Any) -> None:
        self.inner = inner
        for name, value in more.items():
            setattr(self, name, value)

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        inner = self.inner
        if self.last_epoch:
            assert inner.optimizer is self.optimizer
        inner.last_epoch = self.last_epoch - 1
        inner._update_lr()
        return [float(lr) / 2 for lr in inner.get_last_lr()]


@pytest.mark.spec("V21")
@pytest.mark.parametrize("with_groups", [False, True])
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_scheduler_in_a_policy_goes_with_the_copy(
    with_groups: bool, bound: bool, groups: int
) -> None:
    optimizer = sgd(*[0.5] * groups)
    inner = Multiply({1: 0.5, 2: 0.5}, lr_init=None)(optimizer)
    more = {"groups": optimizer.param_groups} if with_groups else {}
    policy = WithAnother(inner, **more)
    if bound:
        policy(optimizer)
    with unchanged(optimizer):
        before = inner.last_epoch, inner.get_last_lr()
        rows = simulate(policy, 3, None if bound else groups, lr=0.5)
        assert (inner.last_epoch, inner.get_last_lr()) == before
    assert rows.tolist() == [[lr] * groups for lr in (0.25, 0.0625, 0.015625)]
    assert policy.inner is inner


class HalvingBase(Policy):
    def get_lr(self) -> list[float | torch.Tensor]:
        return [lr * 0.5**self.last_epoch for lr in self.base_lrs]


@pytest.mark.spec("V21", "S13")
def test_a_bound_policy_starts_from_its_base_lrs_and_not_from_an_older_initial_lr() -> None:
    optimizer = sgd(0.5)
    policy = HalvingBase()(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 4.0, "initial_lr": 8.0})
    advance(policy)
    assert simulate(policy, 2).tolist() == [[0.5, 4.0], [0.25, 2.0]]


@pytest.mark.spec("V8", "V21")
def test_a_mapping_policy_of_one_s_own_has_as_many_groups_as_its_lists() -> None:
    class Share(MappingPolicy[Any]):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [mapping[0] for mapping in self.current_mapping or []]

    assert simulate(Share([{0: 0.5}, {0: 0.25}, {0: 1.0}]), 1).tolist() == [[0.5, 0.25, 1.0]]
    assert simulate(Share({0: 0.5}), 1).tolist() == [[0.5]]


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or what it raises and notes."""
    try:
        return call()
    except (OSError, TypeError, ValueError) as error:
        return type(error), error.args, getattr(error, "__notes__", [])


@pytest.mark.spec("C11", "C12", "S2")
@pytest.mark.parametrize("cls", [Schedule, Scale])
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "given_back",
    [
        *(-0.5, 2, Fraction(1, 4), np.float32(0.5), torch.tensor([[0.5]], dtype=torch.float16)),
        *(None, True, "0.5", 1j, [0.5], torch.ones(2), math.nan, -math.inf, np.float32("nan")),
        *(10**400, OSError("disk")),
    ],
    ids=named,
)
def test_what_a_callable_gives_back_is_taken_or_refused_as_by_lr_at(
    cls: Any, n: int, given_back: Any
) -> None:
    def schedule(epoch: int) -> Any:
        if epoch == 1 and isinstance(given_back, OSError):
            raise type(given_back)(*given_back.args)
        return given_back if epoch == 1 else 0.5

    policy = cls([reciprocal, schedule] if n == 2 else schedule, lr_init=0.25)
    seen = outcome(lambda: simulate(policy, 3)[1].tolist())
    assert seen == outcome(lambda: policy.lr_at(1))


@pytest.mark.spec("S2", "S3")
@pytest.mark.parametrize("cls", [Schedule, Scale])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: s * Linear(1, 2, 9)], ids=["", "product"])
def test_a_value_that_is_not_finite_is_named_as_it_is_by_lr_at(
    wrap: Any, cls: type[Schedule | Scale]
) -> None:
    policy = cls([Constant(0.1), wrap(Exponential(1.0, gamma=2.0))], lr_init=1.0)
    text = rf"^{cls.__name__} at epoch 102[34], group 1.*finite"
    with pytest.raises(ValueError, match=text) as simulated:
        simulate(policy, 2000)
    epoch = int(str(simulated.value).split("epoch ")[1].split(",")[0])
    policy.lr_at(epoch - 1)
    with pytest.raises(ValueError, match="finite") as called:
        policy.lr_at(epoch)
    assert str(simulated.value) == str(called.value)


def test_the_functions_of_a_list_are_called_in_the_order_of_stepping() -> None:
    calls: list[tuple[str, int]] = []

    def a(epoch: int) -> float:
        calls.append(("a", epoch))
        return 0.5

    def b(epoch: int) -> float:
        calls.append(("b", epoch))
        return 0.25

    lrs = simulate(Schedule([a, Linear(1.0, 0.0, 2), b]), 3)
    assert lrs.tolist() == [[0.5, 1.0, 0.25], [0.5, 0.5, 0.25], [0.5, 0.0, 0.25]]
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


# Another option


class HalvingAny(Policy):
    """Halves what the groups hold of its option."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        scale = 0.5 if self.last_epoch else 1.0
        return [group[self.option] * scale for group in self.optimizer.param_groups]


@pytest.mark.spec("O1", "O2", "O5")
@pytest.mark.parametrize(
    "make",
    [
        lambda: Switch({1: 0.01}, option="weight_decay"),
        lambda: Multiply({1: 0.5}, option="weight_decay"),
        lambda: Schedule(reciprocal, option="weight_decay"),
        lambda: Scale([reciprocal, None], option="weight_decay"),
        lambda: HalvingAny(option="weight_decay"),
    ],
    ids=["Switch", "Multiply", "Schedule", "Scale", "custom"],
)
def test_another_option_is_simulated_as_it_is_stepped(make: MakePolicy) -> None:
    groups = [{"params": [parameter()], "weight_decay": value} for value in (0.5, 0.25)]
    optimizer = SGD(groups, lr=0.1)
    policy = make()(optimizer)
    with unchanged(policy, optimizer):
        rows = simulate(policy, 4).tolist()
    for row in rows:
        assert [group["weight_decay"] for group in optimizer.param_groups] == row
        advance(policy)
    assert lrs(optimizer) == [0.1, 0.1]
    unbound = simulate(make(), 4, groups=2, lr=0.5)
    assert unbound[:, 0].tolist() == [row[0] for row in rows]
