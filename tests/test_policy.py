"""DESIGN 2.3: binding, what a policy says before it, custom policies, and tensor lrs."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
import torch
from helpers import (
    POLICIES,
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
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Policy,
    Schedule,
    Switch,
    UnboundPolicyError,
    simulate,
)

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
MAPPING_POLICIES = {name: make for name, make in POLICIES.items() if name != "custom"}
EVERY_MAPPING = pytest.mark.parametrize(
    "make", MAPPING_POLICIES.values(), ids=MAPPING_POLICIES.keys()
)


# Binding


@EVERY_POLICY
def test_the_same_object_comes_back(make: MakePolicy) -> None:
    policy = make()
    assert policy(sgd()) is policy
    assert policy.set_optimizer(sgd()) is None  # type: ignore[func-returns-value]


@EVERY_POLICY
def test_a_bound_policy_is_one_of_torch_s_schedulers(make: MakePolicy) -> None:
    assert isinstance(make()(sgd()), LRScheduler)


@EVERY_POLICY
@pytest.mark.parametrize(
    "bind", [Policy.__call__, Policy.set_optimizer], ids=["call", "set_optimizer"]
)
def test_after_binding_the_policy_is_at_0_and_says_so(
    make: MakePolicy, bind: Callable[[Policy, Optimizer], object]
) -> None:
    policy, optimizer = make(), sgd(0.25, 0.75)
    bind(policy, optimizer)
    assert policy.last_epoch == 0
    assert policy.optimizer is optimizer
    assert policy.get_last_lr() == lrs(optimizer)


@EVERY_MAPPING
def test_after_binding_every_group_has_the_value_at_0(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    policy, optimizer = make(), sgd(0.25, 0.75)
    value = policy.lr_at(0)
    policy(optimizer)
    assert lrs(optimizer) == value * 2
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float, float]


@pytest.mark.parametrize(
    ("policy", "lr_init"),
    [
        (Switch({0: 0.9}, lr_init=0.5), [0.5, 0.5]),
        (Multiply({0: 0.5}, lr_init=[0.5, 0.25]), [0.5, 0.25]),
        (Schedule(math.cos), [1e-3, 1e-3]),
        (Switch({0: 0.9}, lr_init=None), [0.1, 0.75]),
        (Multiply({0: 0.5}, lr_init=None), [0.1, 0.75]),
    ],
    ids=["one number", "a list", "the default", "None", "None and a factor at 0"],
)
def test_base_lrs_and_current_lr_init_are_the_resolved_lr_init(
    policy: MappingPolicy[Any], lr_init: list[float]
) -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    policy(optimizer)
    assert policy.base_lrs == lr_init
    assert policy.current_lr_init == lr_init


@EVERY_MAPPING
def test_current_mapping_holds_one_entry_a_group(make: Callable[[], MappingPolicy[Any]]) -> None:
    policy = make()
    mapping = policy.mapping
    policy(sgd(0.1, 0.2, 0.3))
    assert list(policy.current_mapping or ()) == [mapping] * 3


def test_current_mapping_of_a_list_is_the_list() -> None:
    policy = Switch([{0: 0.5}, {1: 0.25}], lr_init=[0.1, 0.2])(sgd(0.1, 0.2))
    assert list(policy.current_mapping or ()) == [{0: 0.5}, {1: 0.25}]
    assert policy.current_lr_init == [0.1, 0.2]


@EVERY_MAPPING
def test_before_binding_there_is_no_current_mapping(make: Callable[[], MappingPolicy[Any]]) -> None:
    policy = make()
    assert policy.current_mapping is None
    assert policy.current_lr_init is None
    assert policy.lr_init == 1e-3


@EVERY_MAPPING
def test_initial_lr_is_the_resolved_lr_init_where_a_group_has_none(
    make: Callable[[], MappingPolicy[Any]],
) -> None:
    optimizer = sgd(0.1, 0.2)
    optimizer.param_groups[1]["initial_lr"] = 0.75
    make()(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1e-3, 0.75]


def test_initial_lr_is_the_group_s_lr_before_binding_for_a_policy_without_lr_init() -> None:
    class Fixed(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [9.0, 9.0]

    optimizer = sgd(0.1, 0.2)
    policy = Fixed()(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    assert policy.base_lrs == [0.1, 0.2]
    assert lrs(optimizer) == [9.0, 9.0]


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
    """A schedule that is sound until it is told not to be."""

    answer: Any = 0.5

    def __call__(self, epoch: int) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


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
            policy(first)
    with unchanged(policy, first, second), pytest.raises(error):
        policy(second)
    assert policy.optimizer is first
    assert policy.last_epoch == 1


def test_a_failed_bind_can_be_tried_again_elsewhere() -> None:
    policy = Switch([{0: 0.5}, {0: 0.25}])
    with pytest.raises(ValueError, match="Got 2 mappings and 1 param groups"):
        policy(sgd(0.1))
    assert policy(two()).get_last_lr() == [0.5, 0.25]


# Binding again


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


@EVERY_MAPPING
def test_binding_again_to_the_same_optimizer_starts_over(make: MakePolicy) -> None:
    optimizer = sgd(0.25, 0.75)
    policy = make()(optimizer)
    at_0 = lrs(optimizer)
    advance(policy, 3)
    assert lrs(optimizer) != at_0
    assert policy(optimizer) is policy
    assert policy.last_epoch == 0
    assert lrs(optimizer) == policy.get_last_lr() == at_0
    advance(policy)
    assert policy.last_epoch == 1


def test_binding_again_without_lr_init_starts_where_the_first_bind_did() -> None:
    optimizer = sgd(0.25)
    policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
    advance(policy, 2)
    policy(optimizer)
    assert lrs(optimizer) == [0.25]
    other = sgd(0.75)
    policy(other)
    assert lrs(other) == policy.base_lrs == [0.75]


@EVERY_POLICY
def test_binding_again_takes_another_number_of_groups(make: MakePolicy) -> None:
    policy = make()(sgd(0.1))
    policy(sgd(0.1, 0.2, 0.3))
    assert len(policy.base_lrs) == len(policy.get_last_lr()) == 3


def test_a_subclass_resets_its_own_state_in_set_optimizer() -> None:
    class Slower(Policy):
        delay: int = 0

        def set_optimizer(self, optimizer: Optimizer) -> None:
            self.delay = 3
            super().set_optimizer(optimizer)

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
    "state_dict": lambda policy: policy.state_dict(),
    "load_state_dict": lambda policy: policy.load_state_dict({"last_epoch": 1, "_last_lr": [0.1]}),
    "optimizer": lambda policy: policy.optimizer,
}


@EVERY_POLICY
@pytest.mark.parametrize("use", NEEDS_AN_OPTIMIZER.values(), ids=NEEDS_AN_OPTIMIZER.keys())
def test_what_needs_an_optimizer_says_so(make: MakePolicy, use: Callable[[Policy], object]) -> None:
    policy = make()
    message = (
        rf"{type(policy).__name__}.* is not bound to an optimizer: call policy\(optimizer\) first"
    )
    with unchanged(policy), pytest.raises(UnboundPolicyError, match=message):
        use(policy)


def test_the_error_is_a_runtime_error_and_an_attribute_error() -> None:
    assert issubclass(UnboundPolicyError, RuntimeError)
    assert issubclass(UnboundPolicyError, AttributeError)


@EVERY_POLICY
def test_an_unbound_policy_can_be_asked_for_its_optimizer(make: MakePolicy) -> None:
    policy = make()
    assert getattr(policy, "optimizer", None) is None
    assert not hasattr(policy, "optimizer")
    assert hasattr(policy(sgd()), "optimizer")


@EVERY_POLICY
def test_an_unknown_attribute_is_an_ordinary_attribute_error(make: MakePolicy) -> None:
    policy = make()
    for _ in range(2):
        with pytest.raises(AttributeError, match="no_such_name") as caught:
            policy.no_such_name  # type: ignore[attr-defined]  # noqa: B018
        assert not isinstance(caught.value, UnboundPolicyError)
        policy(sgd())


@EVERY_POLICY
def test_before_binding_last_epoch_is_minus_one(make: MakePolicy) -> None:
    assert make().last_epoch == -1


@EVERY_POLICY
def test_repr_copy_pickle_and_simulate_work_unbound(make: MakePolicy) -> None:
    policy = make()
    with unchanged(policy):
        for other in (copy.copy(policy), copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
            assert other is not policy
            assert type(other) is type(policy)
            if isinstance(policy, MappingPolicy):
                assert repr(other) == repr(policy)
        assert simulate(policy, 3).shape == (3, 1)


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


@EVERY_POLICY
def test_frameworks_read_no_meaning_into_a_policy(make: MakePolicy) -> None:
    policy = make()
    for thing in (policy, policy(sgd())):
        assert not hasattr(thing, "total_steps")
        assert not hasattr(thing, "milestones")


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


@pytest.mark.parametrize("cls", CUSTOM)
def test_a_custom_policy_saves_and_loads(cls: type[Policy]) -> None:
    policy, fresh = cls()(sgd(0.1)), cls()(sgd(0.1))
    advance(policy, 2)
    fresh.load_state_dict(policy.state_dict())
    assert fresh.last_epoch == 2
    assert fresh.get_last_lr() == policy.get_last_lr()


@pytest.mark.parametrize("cls", CUSTOM)
def test_a_custom_policy_copies_pickles_and_has_a_repr(cls: type[Policy]) -> None:
    policy = cls()
    for other in (
        policy,
        copy.copy(policy),
        copy.deepcopy(policy),
        pickle.loads(pickle.dumps(policy)),
    ):
        assert cls.__name__ in repr(other)
        assert getattr(other, "note", "mine") == "mine"
        assert other(sgd()).get_last_lr() == [0.5]


@pytest.mark.parametrize("cls", [Policy, MappingPolicy])
def test_a_policy_without_get_lr_is_abstract(cls: type[Policy]) -> None:
    class Incomplete(Policy):
        pass

    with pytest.raises(TypeError, match="abstract"):
        cls()
    with pytest.raises(TypeError, match="get_lr"):
        Incomplete()  # type: ignore[abstract]


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


def test_a_mapping_policy_of_the_document_s_making_works() -> None:
    class Factor(MappingPolicy[Any]):
        """The document's own Multiply."""

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            assert self.current_mapping is not None
            return [
                group["lr"] * mapping.get(self.last_epoch, 1)
                for group, mapping in zip(
                    self.optimizer.param_groups, self.current_mapping, strict=True
                )
            ]

    optimizer = sgd(0.1, 0.2)
    policy = Factor({1: 0.5}, lr_init=[1, 2])(optimizer)
    advance(policy, 2)
    assert lrs(optimizer) == [0.5, 1.0]
    assert repr(policy).startswith("Factor(mapping=[{1: 0.5}, {1: 0.5}], lr_init=[1.0, 2.0]")


# Tensor lrs

SWITCH = [{0: 0.5, 2: 0.25}] * 2
TENSOR_POLICIES: dict[str, MakePolicy] = {
    "Switch": lambda: Switch({0: 0.5, 2: 0.25}),
    "Multiply": lambda: Multiply({1: 0.5, 2: 0.25}),
    "Schedule": lambda: Schedule(reciprocal),
    "custom": Halving,
}
EVERY_TENSOR_POLICY = pytest.mark.parametrize(
    "make", TENSOR_POLICIES.values(), ids=TENSOR_POLICIES.keys()
)


@EVERY_TENSOR_POLICY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,)], ids=["0-dim", "shape [1]"])
def test_a_tensor_lr_stays_the_same_object(
    make: MakePolicy, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
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


@EVERY_TENSOR_POLICY
@SHARING
def test_the_first_of_the_groups_that_share_keeps_it_and_each_other_gets_its_own(
    make: MakePolicy, sharing: Callable[[], list[Tensor]]
) -> None:
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


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Switch({1: 0.25}, lr_init=0.5), [0.25, 0.25]),
        (Multiply({1: 0.5}, lr_init=0.5), [0.25, 0.25]),
        (Schedule(reciprocal), [0.5, 0.5]),
        (Halving(), [0.25, 0.25]),
    ],
    ids=named,
)
def test_a_group_added_later_does_not_share_group_0_s_lr_after_the_next_change(
    policy: Policy, expected: list[float]
) -> None:
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


@EVERY_TENSOR_POLICY
def test_sharing_that_load_state_dict_brings_ends_at_the_next_change(make: MakePolicy) -> None:
    donor, optimizer, plain = sgd(*shared_tensor()), sgd(0.1, 0.1, 0.1), sgd(0.5, 0.5, 0.5)
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


@EVERY_TENSOR_POLICY
def test_sharing_that_load_state_dict_brings_ends_at_a_load(make: MakePolicy) -> None:
    optimizer = sgd(tensor(0.1), tensor(0.2))
    policy = make()(optimizer)
    state = policy.state_dict()
    state["_group_lrs"] = [0.25, 0.75]
    optimizer.load_state_dict(sgd(*shared_tensor()[:2]).state_dict())
    first = optimizer.param_groups[0]["lr"]
    policy.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] is first
    assert lrs(optimizer) == [0.25, 0.75]


@EVERY_TENSOR_POLICY
def test_nothing_recorded_or_returned_overlaps_a_live_lr(make: MakePolicy) -> None:
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


@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_without_lr_init_nothing_recorded_overlaps_a_live_lr(cls: Any) -> None:
    optimizer = sgd(tensor(0.5), tensor(0.25))
    policy = cls({1: 0.125}, lr_init=None)(optimizer)
    advance(policy, 2)
    assert [float(lr) for lr in policy.base_lrs] == [0.5, 0.25]
    assert [float(lr) for lr in policy.current_lr_init] == [0.5, 0.25]
    assert [float(group["initial_lr"]) for group in optimizer.param_groups] == [0.5, 0.25]
    policy(optimizer)
    assert lrs(optimizer) == [0.5, 0.25]


def test_a_recorded_initial_lr_is_copied_into_the_live_tensor() -> None:
    recorded, live = tensor(0.75), tensor(0.5)
    optimizer = sgd(live)
    optimizer.param_groups[0]["initial_lr"] = recorded
    policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
    advance(policy, 2)
    assert optimizer.param_groups[0]["lr"] is live
    assert float(live) == 0.375
    assert float(recorded) == 0.75


@pytest.mark.parametrize("lr", [0.5, tensor(0.5)], ids=["float", "tensor"])
def test_a_float_lr_stays_a_float_whatever_get_lr_returns(lr: Value) -> None:
    optimizer = sgd(0.1, lr)
    policy = broken([tensor(0.25), tensor(0.25)])(optimizer)
    advance(policy)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert type(optimizer.param_groups[1]["lr"]) is type(lr)
    assert lrs(optimizer) == [0.25, 0.25]
