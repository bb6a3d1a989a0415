"""Tensor lrs on a GPU, on fake CUDA tensors: what a step dispatches, and that it never waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from helpers import advance, lrs, overlap, parameter, sgd, tensor, unchanged
from strategies import OnAccelerator, change
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, SequentialLR
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch

Bind = Callable[[Optimizer], LRScheduler]

# What makes a view, or asks a fake tensor something, starts nothing on a GPU.
FREE = {"view", "detach", "prim::device"}
FILLS = ["_foreach_zero_", "_foreach_add_"]


class Ops(TorchDispatchMode):
    """Notes each op that is dispatched, with its tensor arguments."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.names: list[str] = []
        self.tensors: list[list[torch.Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func._schema.name.removeprefix("aten::")
        if name not in FREE:
            leaves = tree_leaves((args, kwargs))
            self.names.append(name)
            self.tensors.append([leaf for leaf in leaves if isinstance(leaf, torch.Tensor)])
        return func(*args, **(kwargs or {}))


@contextmanager
def cuda(*lrs: float, dtype: torch.dtype = torch.float32) -> Iterator[Adam]:
    """Give a capturable Adam whose groups hold fake CUDA lrs; reading one raises."""
    with FakeTensorMode():
        groups = [{"params": [nn.Parameter(torch.zeros(2, device="cuda"))]} for _ in lrs]
        # The constructor compares the lr, which waits for the GPU: put the tensors in afterwards.
        optimizer = Adam(groups, lr=0.1, capturable=True)
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            group["lr"] = torch.full((), lr, dtype=dtype, device="cuda")
        yield optimizer


def ops_of_steps(optimizer: Optimizer, bind: Bind, steps: int = 6) -> list[Ops]:
    """Return what each step dispatches."""
    scheduler = bind(optimizer)
    vars(optimizer)["_opt_called"] = True
    counts = []
    for _ in range(steps):
        with Ops() as ops:
            scheduler.step()
        counts.append(ops)
    return counts


def decay(epoch: int) -> float:
    return 0.1 / (1 + epoch)


class Halving(Policy):
    """A custom policy whose lrs stay tensors."""

    def get_lr(self) -> list[Any]:
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]


class Reciprocal(Policy):
    """A custom policy of numbers, one of its own for each group."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [decay(self.last_epoch + i) for i in range(len(self.base_lrs))]


class Given(Policy):
    """A custom policy that gives what it is told to."""

    def __init__(self, *lrs: object) -> None:
        self.lrs: list[Any] = [*lrs]

    def get_lr(self) -> list[Any]:
        return self.lrs


# What a step dispatches. lr_init is given, as the start of a fake tensor is another; that of a
# tensor on a GPU is a number too.

ByEpoch = dict[str, tuple[Callable[[int], Policy], Callable[[int], list[str]]]]
BY_EPOCH: ByEpoch = {
    "Switch": (lambda n: Switch({3: 0.01}, lr_init=0.1), lambda n: FILLS),
    "Switch, a list": (
        lambda n: Switch([{3: 0.1 / (1 + i)} for i in range(n)], lr_init=None),
        lambda n: FILLS,
    ),
    "Multiply": (
        lambda n: Multiply({3: 0.1}, lr_init=None),
        lambda n: [*["mul"] * n, "_foreach_copy_"],
    ),
    "Multiply, a list": (
        lambda n: Multiply([{3: 1 / (1 + i)} for i in range(n)], lr_init=0.1),
        lambda n: [*["mul"] * n, "_foreach_copy_"],
    ),
}


@pytest.mark.spec("S5", "X4")
@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize(("make", "at_a_change"), BY_EPOCH.values(), ids=BY_EPOCH)
def test_between_milestones_nothing_is_dispatched_and_little_at_one(
    make: Callable[[int], Policy], at_a_change: Callable[[int], list[str]], n: int
) -> None:
    """pytorch#133663: .item() in a step waited for the device; a fake CUDA tensor raises there."""
    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, make(n))
    assert [step.names for step in ops] == [[], [], at_a_change(n), [], [], []]
    assert all(lr.device.type == "cuda" for step in ops for lrs in step.tensors for lr in lrs)


@pytest.mark.spec("X4")
@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: Schedule(decay),
        lambda n: Schedule([decay] * n),
        lambda n: Scale(decay, lr_init=0.1),
        lambda n: Scale([decay] * n, lr_init=[0.1 * (1 + i) for i in range(n)]),
        lambda n: Reciprocal(),
    ],
    ids=["Schedule", "Schedule, a list", "Scale", "Scale, a list", "custom"],
)
def test_numbers_are_written_by_two_ops_however_many_groups(
    make: Callable[[int], Policy], n: int
) -> None:
    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, make(n))
    assert [step.names for step in ops] == [FILLS] * 6
    assert all(lr.device.type == "cuda" for step in ops for lrs in step.tensors for lr in lrs)


@pytest.mark.spec("X4")
def test_a_custom_policy_keeps_its_tensors_on_the_device() -> None:
    with cuda(0.1, 0.2) as optimizer:
        ops = ops_of_steps(optimizer, Halving(), steps=2)
    assert [step.names for step in ops] == [["mul", "mul", "_foreach_copy_"]] * 2


@pytest.mark.spec("X4")
@pytest.mark.parametrize(
    ("policy", "at_a_change"),
    [
        pytest.param(Switch({2: 0.5}, lr_init=None), FILLS, id="Switch"),
        pytest.param(Multiply({2: 0.5}, lr_init=None), ["_foreach_copy_"], id="Multiply"),
        pytest.param(Scale(lambda epoch: 0.5, lr_init=1), FILLS, id="Scale"),
    ],
)
def test_each_device_and_dtype_costs_its_own_ops(policy: Policy, at_a_change: list[str]) -> None:
    # Where there is one GPU, torch fakes no tensor on a second one, but on another kind of device.
    second = "mtia:0" if torch.cuda.is_available() else "cuda:1"
    devices, dtypes = ("cuda:0", second), (torch.float32, torch.float64)
    kinds = [(device, dtype) for device in devices for dtype in dtypes]
    with cuda(*[0.1] * 12) as optimizer:
        for i, group in enumerate(optimizer.param_groups):
            device, dtype = kinds[i % 4]
            group["lr"] = torch.full((), 0.1, dtype=dtype, device=device)
        ops = ops_of_steps(optimizer, policy, steps=2)[1]
    assert sorted(name for name in ops.names if name != "mul") == sorted(at_a_change * 4)
    for name in at_a_change:
        batches = [lrs for op, lrs in zip(ops.names, ops.tensors, strict=True) if op == name]
        found = [{(str(lr.device), lr.dtype) for lr in lrs} for lrs in batches]
        assert sorted(map(str, found)) == sorted(str({kind}) for kind in kinds)


@pytest.mark.spec("B18", "X4")
def test_lrs_of_all_sorts_do_not_meet_in_one_op() -> None:
    with cuda(0.1, 0.1, 0.1, 0.1) as optimizer:
        first, second, third, fourth = optimizer.param_groups
        second["lr"] = 0.1
        third["lr"] = torch.tensor(0.1, device="cpu")  # fake: to read it raises
        ops = ops_of_steps(optimizer, Switch({2: 0.5}, lr_init=None), steps=3)
        assert ops[0].names == ops[2].names == []
        assert second["lr"] == 0.5
        for lrs in ops[1].tensors:
            assert len({lr.device for lr in lrs}) == 1
        on_cuda = [lrs for lrs in ops[1].tensors if lrs[0].device.type == "cuda"]
        assert len(on_cuda) == 2
        assert all(lrs[0] is first["lr"] and lrs[1] is fourth["lr"] for lrs in on_cuda)


@pytest.mark.spec("V9")
@pytest.mark.parametrize("cls", [Schedule, Scale])
def test_a_group_that_has_no_callable_is_left_alone(cls: Any) -> None:
    with cuda(0.1, 0.2) as optimizer:
        first, second = (group["lr"] for group in optimizer.param_groups)
        (ops,) = ops_of_steps(optimizer, cls([decay, None], lr_init=0.1), steps=1)
        written = [lrs for name, lrs in zip(ops.names, ops.tensors, strict=True) if name in FILLS]
        assert len(written) == 2
        assert all(lrs[0] is first and len(lrs) == 1 for lrs in written)
        assert not any(lr is second for lrs in written for lr in lrs)
        assert optimizer.param_groups[1]["lr"] is second


@pytest.mark.spec("S5", "S11", "X4")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_what_others_write_or_replace_costs_a_step_nothing(cls: Any) -> None:
    with cuda(0.1, 0.2) as optimizer:
        policy = cls({9: 0.5}, lr_init=None)(optimizer)
        vars(optimizer)["_opt_called"] = True
        policy.step()
        optimizer.param_groups[0]["lr"].mul_(0.5)  # in place, as a warm-up does
        optimizer.param_groups[1]["lr"] = torch.full((), 0.3, device="cuda")
        with Ops() as ops:
            policy.step()
        # As optimizer.load_state_dict does, which cannot copy fake tensors.
        optimizer.param_groups = [
            {**group, "lr": group["lr"].clone()} for group in optimizer.param_groups
        ]
        with ops:
            policy.step()
    assert ops.names == []


@pytest.mark.spec("B18", "S11", "X4")
@pytest.mark.parametrize(
    "policy", [Schedule(decay), Scale(decay, lr_init=1), Given(0.5, 0.5)], ids=type
)
def test_groups_that_were_replaced_are_written_at_no_more_cost(policy: Policy) -> None:
    with cuda(0.1, 0.2) as optimizer:
        ops_of_steps(optimizer, policy, steps=3)
        optimizer.param_groups = [
            {**group, "lr": group["lr"].clone()} for group in optimizer.param_groups
        ]
        held = [group["lr"] for group in optimizer.param_groups]
        with Ops() as ops:
            policy.step()
        assert ops.names == FILLS
        assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, held, strict=True))


@pytest.mark.spec("S4", "S13", "S14", "X4")
@pytest.mark.parametrize("cls", [Switch, Multiply])
def test_a_group_that_was_added_is_taken_in_once(cls: Any) -> None:
    with cuda(0.1, 0.2) as optimizer:
        policy = cls({9: 0.5}, lr_init=None)(optimizer)
        vars(optimizer)["_opt_called"] = True
        param = nn.Parameter(torch.zeros(2, device="cuda"))
        late = torch.full((), 0.3, device="cuda")
        optimizer.add_param_group({"params": [param], "lr": late})
        policy.step()
        with Ops() as ops:
            policy.step()
            policy.step()
        assert ops.names == []
        assert len(policy.get_last_lr()) == len(policy.base_lrs) == 3
        assert optimizer.param_groups[2]["lr"] is late


@pytest.mark.spec("X1", "X4", "B22")
@pytest.mark.parametrize("lr_init", [0.1, None])
def test_a_policy_comes_in_from_sequential_lr_without_a_wait(lr_init: float | None) -> None:
    with cuda(0.1, 0.2) as optimizer:
        first, then = Switch({1: 0.5}, lr_init), Multiply({0: 0.5, 1: 0.1}, lr_init)

        def bind(optimizer: Optimizer) -> LRScheduler:
            return SequentialLR(optimizer, [first(optimizer), then(optimizer)], [2])

        with pytest.MonkeyPatch.context() as patch:
            # Its constructor reads the lrs, like torch's schedulers when they write.
            patch.setattr(torch.optim.lr_scheduler, "_to_scalar", lambda lr: 0.1, raising=False)
            ops = ops_of_steps(optimizer, bind, steps=4)
    assert all("_local_scalar_dense" not in step.names for step in ops)


@pytest.mark.spec("X4")
@pytest.mark.parametrize(
    "bind",
    [
        pytest.param(lambda opt: MultiStepLR(opt, [100]), id="MultiStepLR"),
        pytest.param(lambda opt: LambdaLR(opt, lambda epoch: 0.5), id="LambdaLR"),
    ],
)
def test_torch_launches_a_kernel_a_group_and_copies_every_lr(bind: Bind) -> None:
    """So what is counted here can be more than it is of a policy."""
    counts = []
    for n in (1, 20):
        with cuda(*[0.1] * n) as optimizer, pytest.MonkeyPatch.context() as patch:
            # LambdaLR's binding reads the lrs; here it is the step that counts.
            patch.setattr(torch.optim.lr_scheduler, "_to_scalar", lambda lr: 0.1, raising=False)
            ops = ops_of_steps(optimizer, bind, steps=1)
        counts.append(len(ops[0].names))
    assert counts[1] - counts[0] >= 19


# Lrs without data


@contextmanager
def meta(*lrs: float, dtype: torch.dtype = torch.float32) -> Iterator[Optimizer]:
    """Give an optimizer whose lrs are on the device meta."""
    optimizer = sgd(*lrs)
    for group in optimizer.param_groups:
        group["lr"] = torch.empty((), dtype=dtype, device="meta")
    yield optimizer


WITHOUT_DATA = pytest.mark.parametrize("without_data", [cuda, meta])
EVERY = pytest.mark.parametrize(
    "make",
    [
        lambda: Switch({2: 0.5}, lr_init=None),
        lambda: Multiply({0: 0.5, 2: 0.5}, lr_init=None),
        lambda: Schedule(decay),
        lambda: Scale(decay),
        lambda: Halving(),
    ],
    ids=["Switch", "Multiply", "Schedule", "Scale", "custom"],
)


@pytest.mark.spec("B4", "B18", "B20", "B22", "S4")
@WITHOUT_DATA
@EVERY
def test_a_lr_without_data_is_never_read_and_its_start_is_a_copy(
    make: Callable[[], Policy], without_data: Any
) -> None:
    with without_data(0.1, 0.2, dtype=torch.float64) as optimizer:
        before = [group["lr"] for group in optimizer.param_groups]
        policy = make()
        ops_of_steps(optimizer, policy, steps=4)
        for i, (group, lr) in enumerate(zip(optimizer.param_groups, before, strict=True)):
            assert group["lr"] is lr
            copies: list[Any] = [policy.base_lrs[i], policy.get_last_lr()[i], group["initial_lr"]]
            for copy in copies:
                assert (type(copy), copy.dtype, copy.device) == (type(lr), lr.dtype, lr.device)
                assert copy.untyped_storage()._cdata != lr.untyped_storage()._cdata
        if isinstance(policy, MappingPolicy):  # another steps a copy, in numbers
            policy.set_optimizer(optimizer, last_epoch=4)
            assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, before, strict=True))


@pytest.mark.spec("V12", "B22")
@WITHOUT_DATA
def test_of_a_lr_without_data_nothing_tells_that_it_is_another_than_the_default(
    without_data: Any,
) -> None:
    with without_data(0.1) as optimizer:
        assert Multiply({1: 0.5})(optimizer).base_lrs == [1e-3]  # no warning


@pytest.mark.spec("B19", "B22")
@WITHOUT_DATA
@EVERY
def test_groups_that_share_a_lr_are_told_apart_without_reading_it(
    make: Callable[[], Policy], without_data: Any
) -> None:
    with without_data(0.1, 0.2) as optimizer:
        first, second = optimizer.param_groups
        for when in ("at binding", "at the next change"):
            second["lr"] = lr = first["lr"]
            if when == "at binding":
                policy = make()(optimizer)
                vars(optimizer)["_opt_called"] = True
            else:
                policy.step()
                policy.step()
            assert first["lr"] is lr
            assert second["lr"] is not lr
            assert second["lr"].untyped_storage()._cdata != lr.untyped_storage()._cdata


# Lrs that are steered as those on a GPU are, and can be read by a test


def of(kind: type[torch.Tensor], *lrs: float) -> Optimizer:
    """Give an optimizer whose lrs are of a kind of tensor."""
    optimizer = sgd(*lrs)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"]).as_subclass(kind)
    return optimizer


EVERY_KIND = pytest.mark.parametrize("kind", [OnAccelerator, torch.Tensor])


@pytest.mark.spec("B21", "S1", "S2")
@pytest.mark.parametrize(
    ("make", "lr"),
    [
        pytest.param(lambda: Schedule(lambda epoch: 0.5), 0.5, id="Schedule"),
        pytest.param(lambda: Scale([lambda epoch: 0.5] * 2, lr_init=1), 0.5, id="Scale"),
        pytest.param(lambda: Given(0.25, 0.5), 0.25, id="numbers"),
        pytest.param(
            lambda: Given(*torch.tensor([0.25, 0.5]).as_subclass(OnAccelerator)), 0.25, id="tensors"
        ),
    ],
)
@EVERY_KIND
def test_a_lr_that_has_come_to_require_grad_is_refused_with_nothing_written(
    make: Callable[[], Policy], lr: float, kind: type[torch.Tensor]
) -> None:
    optimizer = of(kind, 0.1, 0.1)
    policy = make()(optimizer)
    advance(policy, 3)
    first, second = (group["lr"] for group in optimizer.param_groups)
    assert [float(first), float(second)] == [lr, 0.5]
    second.requires_grad_()
    optimizer.step()
    at_four = f"{type(policy).__name__} at epoch 4, group 1: the lr cannot be written: "
    # Without gradients torch itself would write.
    before = vars(policy).copy()
    for mode in (torch.enable_grad(), torch.no_grad()):
        refused = pytest.raises(ValueError, match=at_four + ".*require")
        with mode, unchanged(optimizer), refused:
            policy.step()
        assert vars(policy) == before
    second.requires_grad_(False)
    advance(policy)
    assert policy.last_epoch == 4


def in_inference_mode() -> torch.Tensor:
    with torch.inference_mode():
        return torch.tensor(0.1)


REFUSED: dict[str, Callable[[], torch.Tensor]] = {
    "requires grad": lambda: torch.tensor(0.1, requires_grad=True),
    "of inference mode": in_inference_mode,
    "two elements": lambda: torch.tensor([0.1, 0.2]),
    "no element": lambda: torch.ones(0),
    "an int": lambda: torch.tensor(1),
    "a bool": lambda: torch.tensor(True),
    "complex": lambda: torch.tensor(0.1j),
    "two elements, meta": lambda: torch.ones(2, device="meta"),
    "an int, meta": lambda: torch.tensor(1, device="meta"),
}


@pytest.mark.spec("B2", "B21", "B22")
@pytest.mark.parametrize("lr", REFUSED.values(), ids=REFUSED)
@EVERY_KIND
@EVERY
def test_a_lr_that_cannot_be_written_is_refused_by_the_binding_before_any_write(
    make: Callable[[], Policy], lr: Callable[[], torch.Tensor], kind: type[torch.Tensor]
) -> None:
    optimizer, policy = of(kind, 0.5, 0.5), make()
    optimizer.param_groups[1]["lr"] = lr().as_subclass(kind)
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=type(policy).__name__):
        policy(optimizer)


@pytest.mark.spec("B21")
@EVERY
def test_a_lr_of_inference_mode_is_written_in_there(make: Callable[[], Policy]) -> None:
    optimizer = sgd(0.1)
    with torch.inference_mode():
        lr = torch.tensor(0.5)
        optimizer.param_groups[0]["lr"] = lr
        policy = make()(optimizer)
        vars(optimizer)["_opt_called"] = True
        policy.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert float(lr) == float(policy.get_last_lr()[0])


@pytest.mark.spec("S3", "X4")
def test_a_value_that_is_not_finite_is_refused_on_the_host_and_not_read_elsewhere() -> None:
    optimizer = of(OnAccelerator, 0.1, 0.1)
    policy = Given(0.5, 0.5)(optimizer)
    nan = torch.tensor(math.nan)
    policy.lrs = [0.25, nan]
    optimizer.step()
    refused = pytest.raises(ValueError, match="Given at epoch 1, group 1: the lr must be finite")
    with unchanged(policy, optimizer), refused:
        policy.step()
    policy.lrs = [0.25, nan.as_subclass(OnAccelerator)]
    policy.step()
    assert str(lrs(optimizer)) == "[0.25, nan]"


@pytest.mark.spec("X4")
def test_a_number_beside_a_tensor_is_not_compared_with_it() -> None:
    with cuda(0.1, 0.2) as optimizer:
        optimizer.param_groups[0]["lr"] = 0.1
        value = torch.full((), 0.5, device="cuda")
        for ops in ops_of_steps(optimizer, Given(0.5, value), steps=2):
            assert ops.names == ["_foreach_copy_"]
        assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.spec("S1", "S2")
def test_an_interrupted_look_at_an_answer_leaves_all_as_it_was() -> None:
    class Stop(BaseException):
        pass

    class Slow(OnAccelerator):
        stop = False

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> object:
            if cls.stop and func is torch.Tensor.numel:
                raise Stop
            answer: object = super().__torch_function__(  # type: ignore[no-untyped-call, unused-ignore]
                func, types, args, kwargs
            )
            return answer

    optimizer = of(OnAccelerator, 0.1, 0.1)
    policy = Given(*(torch.tensor(0.5).as_subclass(Slow) for _ in range(2)))(optimizer)
    advance(policy, 2)
    Slow.stop = True
    with unchanged(policy, optimizer), pytest.raises(Stop) as caught:
        policy.step()
    assert getattr(caught.value, "__notes__", ["Given at epoch 3"]) == ["Given at epoch 3"]
    Slow.stop = False
    advance(policy)
    assert lrs(optimizer) == [0.5, 0.5]


@pytest.mark.spec("S6", "B18")
def test_one_groups_lr_can_be_the_answer_for_another_whatever_they_hold() -> None:
    optimizer = of(OnAccelerator, 0.25, 0.5)
    for lr in (0.125, torch.tensor(1.0, dtype=torch.float64).as_subclass(OnAccelerator)):
        optimizer.add_param_group({"params": [parameter()], "lr": lr})
    held = [group["lr"] for group in optimizer.param_groups]
    policy = Given(*[2.0] * 4)(optimizer)
    for group, value in zip(optimizer.param_groups, (0.25, 0.5, 0.125, 1.0), strict=True):
        change(group, value)
    policy.lrs = [held[3], held[0], 4.0, held[1]]
    advance(policy)
    assert lrs(optimizer) == [1.0, 0.25, 4.0, 0.5]


@pytest.mark.spec("S6", "X4")
@pytest.mark.parametrize("view", [Tensor.detach, lambda lr: lr.view(())])
def test_views_of_live_lrs_are_read_before_any_is_written(view: Any) -> None:
    optimizer = sgd(*(tensor(lr).as_subclass(OnAccelerator) for lr in (0.5, 0.25)))
    policy = Given(0.5, 0.25)(optimizer)
    policy.lrs = [view(group["lr"]) for group in reversed(optimizer.param_groups)]
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.5]


@pytest.mark.spec("S1", "S6")
def test_a_tensor_of_another_class_fills_a_lr_of_any_shape_on_the_host() -> None:
    optimizer = sgd(0.5, tensor(0.5).reshape(1))
    policy = Given(0.25, tensor(0.125).as_subclass(OnAccelerator))(optimizer)
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.125]


@pytest.mark.spec("B19", "S11")
@EVERY_KIND
def test_new_sharing_in_groups_that_were_replaced_ends_at_the_next_change(
    kind: type[torch.Tensor],
) -> None:
    optimizer = sgd(0.1, 0.1)
    policy = Switch([{4: 0.5}, {4: 0.25}], lr_init=None)(optimizer)
    advance(policy, 2)
    shared = torch.tensor(0.3).as_subclass(kind)
    for group in optimizer.param_groups:
        group["lr"] = shared
    advance(policy)
    optimizer.param_groups = [{**group} for group in optimizer.param_groups]
    advance(policy)
    assert optimizer.param_groups[0]["lr"] is shared
    assert lrs(optimizer) == [0.5, 0.25]
    assert [float(lr) for lr in policy.get_last_lr()] == [0.5, 0.25]


@pytest.mark.spec("B5", "B18", "S12", "S13", "S14", "S16")
@EVERY_KIND
@pytest.mark.parametrize(
    ("policy", "late"),
    [
        pytest.param(Switch({0: 0.5}), [0.25] * 3, id="Switch"),
        pytest.param(Multiply({0: 0.5, 5: 0.5}, lr_init=1.0), [0.25, 0.125, 0.125], id="Multiply"),
        pytest.param(Schedule(lambda epoch: 0.5), [0.5] * 3, id="Schedule"),
        pytest.param(Scale(lambda epoch: 0.5, lr_init=1.0), [0.125] * 3, id="Scale"),
        pytest.param(Halving(), [0.125, 0.0625, 0.03125], id="custom"),
    ],
)
def test_a_group_that_comes_or_goes_is_seen_by_the_next_step(
    policy: Policy, late: list[float], kind: type[torch.Tensor]
) -> None:
    optimizer = of(kind, 0.5, 0.5)
    advance(policy(optimizer), 3)
    added = torch.tensor(0.25).as_subclass(kind)
    optimizer.add_param_group({"params": [parameter()], "lr": added})
    for n, lr in zip((3, 3, 2), late, strict=True):
        del optimizer.param_groups[: 3 - n]
        advance(policy)
        assert [float(last) for last in policy.get_last_lr()] == lrs(optimizer)
        assert len(lrs(optimizer)) == n
        assert lrs(optimizer)[-1] == lr
        assert optimizer.param_groups[-1]["lr"] is added
        assert repr(policy.base_lrs[-1]) == "0.25"


@pytest.mark.spec("S9", "X4")
@EVERY_KIND
@EVERY
def test_the_first_step_warns_of_the_order_as_torch_does(
    make: Callable[[], Policy], kind: type[torch.Tensor]
) -> None:
    policy = make()(of(kind, 0.1))
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        policy.step()


@pytest.mark.spec("S15")
@EVERY_KIND
def test_a_list_of_schedules_refuses_a_group_that_came(kind: type[torch.Tensor]) -> None:
    optimizer = of(kind, 0.1, 0.1)
    policy = Schedule([decay] * 2)(optimizer)
    advance(policy, 3)
    optimizer.add_param_group({"params": [parameter()], "lr": torch.tensor(0.25).as_subclass(kind)})
    optimizer.step()
    counts = "Got 2 mappings and 3 param groups"
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=counts):
        policy.step()


@pytest.mark.spec("B18", "B19", "S1")
def test_a_parameter_can_be_a_lr_and_a_shared_one_too() -> None:
    lr = nn.Parameter(torch.tensor(0.5), requires_grad=False)
    optimizer = sgd(0.1, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = lr
    policy = Given(0.25, 0.5)(optimizer)
    advance(policy, 3)
    assert optimizer.param_groups[0]["lr"] is lr
    policy.lrs = [lr, torch.tensor(math.nan)]
    optimizer.step()
    at_four = r"Given at epoch 4, group 1: the lr must be finite"
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=at_four):
        policy.step()
    answer = torch.tensor([0.75])
    policy.lrs = [answer, answer]
    advance(policy)
    answer.fill_(9.0)
    assert [float(last) for last in policy.get_last_lr()] == lrs(optimizer) == [0.75, 0.75]


@pytest.mark.spec("S1")
def test_an_answer_that_no_op_can_copy_leaves_all_as_it_was() -> None:
    class Strange(torch.Tensor):
        """Neither of the two classes knows the other: torch refuses to copy."""

    optimizer = of(OnAccelerator, 0.1, 0.1)
    policy = Given(0.5, 0.5)(optimizer)
    policy.lrs = [torch.tensor(0.25).as_subclass(Strange) for _ in range(2)]
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(TypeError, match="Multiple dispatch failed"):
        policy.step()
    policy.lrs = [0.25, 0.25]
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.25]


@pytest.mark.spec("B18")
@EVERY
def test_tensor_lrs_keep_identity_dtype_and_device(make: Callable[[], Policy]) -> None:
    for kind, dtype in ((OnAccelerator, torch.float64), (torch.Tensor, torch.bfloat16)):
        optimizer = of(kind, 0.5, 0.25)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"].to(dtype).as_subclass(kind)
        before = [group["lr"] for group in optimizer.param_groups]
        policy = make()(optimizer)
        advance(policy, 3)
        after = [group["lr"] for group in optimizer.param_groups]
        assert all(new is old for new, old in zip(after, before, strict=True))
        assert {(type(lr), lr.dtype) for lr in after} == {(kind, dtype)}
        assert not any(overlap(lr, last) for lr in after for last in policy.get_last_lr())
