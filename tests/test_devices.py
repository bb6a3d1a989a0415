"""Tensor lrs on a GPU, on fake CUDA tensors: what a step dispatches, and that it never waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from helpers import advance, lrs, parameter, sgd, unchanged
from strategies import Far, change
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, SequentialLR
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thunder_policy import Multiply, Policy, Schedule, Switch

Bind = Callable[[Optimizer], LRScheduler]


class Ops(TorchDispatchMode):
    """Notes each op that is dispatched, with its tensor arguments."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.names: list[str] = []
        self.tensors: list[list[torch.Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        leaves = tree_leaves((args, kwargs))
        self.names.append(func._schema.name.removeprefix("aten::"))
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


class Halving(Policy):
    """A custom policy whose lrs stay tensors."""

    def get_lr(self) -> list[Any]:
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]


class Given(Policy):
    """A custom policy that gives what it is told to."""

    def __init__(self, *lrs: object) -> None:
        self.lrs: list[Any] = [*lrs]

    def get_lr(self) -> list[Any]:
        return self.lrs


@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize(
    ("bind", "at_a_change"),
    [
        pytest.param(Switch({3: 0.01}), ["_foreach_zero_", "_foreach_add_"], id="Switch"),
        pytest.param(Multiply({3: 0.1}), ["_foreach_mul_"], id="Multiply"),
        pytest.param(Multiply({3: 0.1}, lr_init=None), ["_foreach_mul_"], id="Multiply from lr"),
    ],
)
def test_between_milestones_nothing_is_dispatched_and_little_at_one(
    bind: Bind, at_a_change: list[str], n: int
) -> None:
    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, bind)
    assert [step.names for step in ops] == [[], [], at_a_change, [], [], []]
    assert all(lr.device.type == "cuda" for step in ops for lrs in step.tensors for lr in lrs)


@pytest.mark.parametrize("n", [1, 20])
@pytest.mark.parametrize("form", [lambda f, n: f, lambda f, n: [f] * n], ids=["one", "list"])
def test_a_schedule_dispatches_two_ops_however_many_groups(form: Any, n: int) -> None:
    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, Schedule(form(lambda epoch: 0.1 / (1 + epoch), n)))
    assert [step.names for step in ops] == [["_foreach_zero_", "_foreach_add_"]] * 6
    assert all(lr.device.type == "cuda" for step in ops for lrs in step.tensors for lr in lrs)


@pytest.mark.parametrize(
    ("bind", "at_a_change"),
    [
        pytest.param(Switch({2: 0.5}), ["_foreach_zero_", "_foreach_add_"], id="Switch"),
        pytest.param(Multiply({2: 0.5}), ["_foreach_mul_"], id="Multiply"),
    ],
)
def test_each_device_and_dtype_costs_its_own_ops(bind: Bind, at_a_change: list[str]) -> None:
    # Where there is one GPU, torch fakes no tensor on a second one, but on another kind of device.
    second = "mtia:0" if torch.cuda.is_available() else "cuda:1"
    devices, dtypes = ("cuda:0", second), (torch.float32, torch.float64)
    kinds = [(device, dtype) for device in devices for dtype in dtypes]
    with cuda(*[0.1] * 12) as optimizer:
        for i, group in enumerate(optimizer.param_groups):
            device, dtype = kinds[i % 4]
            group["lr"] = torch.full((), 0.1, dtype=dtype, device=device)
        ops = ops_of_steps(optimizer, bind, steps=3)
    assert ops[0].names == ops[2].names == []
    assert sorted(ops[1].names) == sorted(at_a_change * 4)
    for name in at_a_change:
        batches = [lrs for op, lrs in zip(ops[1].names, ops[1].tensors, strict=True) if op == name]
        assert [len(lrs) for lrs in batches] == [3] * 4
        found = {(str(lr.device), lr.dtype) for lrs in batches for lr in lrs}
        assert found == {*kinds}


@pytest.mark.parametrize("n", [2, 20])
@pytest.mark.parametrize(
    ("make", "at_a_change"),
    [
        pytest.param(
            lambda n: Switch([{2: 0.1 / (1 + i)} for i in range(n)]),
            ["_foreach_zero_", "_foreach_add_"],
            id="Switch",
        ),
        pytest.param(
            lambda n: Multiply([{2: 1 / (1 + i)} for i in range(n)]),
            ["_foreach_mul_"],
            id="Multiply",
        ),
    ],
)
def test_a_value_of_its_own_for_each_group_costs_no_more(
    make: Callable[[int], Bind], at_a_change: list[str], n: int
) -> None:
    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, make(n), steps=3)
    assert [step.names for step in ops] == [[], at_a_change, []]


def test_lrs_of_all_sorts_do_not_meet_in_one_op() -> None:
    with cuda(0.1, 0.1, 0.1, 0.1) as optimizer:
        first, second, third, fourth = optimizer.param_groups
        second["lr"] = 0.1
        third["lr"] = torch.tensor(0.1, device="cpu")  # fake: to read it raises
        ops = ops_of_steps(optimizer, Switch({2: 0.5}), steps=3)
        assert ops[0].names == ops[2].names == []
        assert second["lr"] == 0.5
        for lrs in ops[1].tensors:
            assert len({lr.device for lr in lrs}) == 1
        on_cuda = [lrs for lrs in ops[1].tensors if lrs[0].device.type == "cuda"]
        assert len(on_cuda) == 2
        assert all(lrs[0] is first["lr"] and lrs[1] is fourth["lr"] for lrs in on_cuda)


def test_a_group_that_does_not_change_is_left_alone() -> None:
    with cuda(0.1, 0.2) as optimizer:
        first, second = (group["lr"] for group in optimizer.param_groups)
        (ops,) = ops_of_steps(optimizer, Switch([{1: 0.5}, {}]), steps=1)
        assert ops.names == ["_foreach_zero_", "_foreach_add_"]
        assert all(lrs[0] is first and len(lrs) == 1 for lrs in ops.tensors)
        assert optimizer.param_groups[1]["lr"] is second


def test_a_custom_policy_keeps_its_tensors_on_the_device() -> None:
    with cuda(0.1, 0.2) as optimizer:
        ops = ops_of_steps(optimizer, Halving(), steps=2)
    assert [step.names for step in ops] == [["mul", "mul", "_foreach_copy_"]] * 2


@pytest.mark.parametrize("n", [1, 20])
def test_a_custom_policy_of_numbers_dispatches_two_ops(n: int) -> None:
    class Reciprocal(Policy):
        def get_lr(self) -> list[Any]:
            return [0.1 / (1 + self.last_epoch + i) for i in range(n)]

    with cuda(*[0.1] * n) as optimizer:
        ops = ops_of_steps(optimizer, Reciprocal(), steps=3)
    assert [step.names for step in ops] == [["_foreach_zero_", "_foreach_add_"]] * 3


@pytest.mark.parametrize(
    "policy", [Switch({9: 0.5}), Multiply({9: 0.5})], ids=["Switch", "Multiply"]
)
def test_what_others_write_costs_a_step_nothing(policy: Policy) -> None:
    with cuda(0.1, 0.2) as optimizer:
        policy(optimizer)
        vars(optimizer)["_opt_called"] = True
        policy.step()
        optimizer.param_groups[0]["lr"].mul_(0.5)  # in place, as a warm-up does
        optimizer.param_groups[1]["lr"] = torch.full((), 0.3, device="cuda")
        with Ops() as ops:
            policy.step()
            policy.step()
    assert ops.names == []


@pytest.mark.parametrize(
    "policy", [Switch({9: 0.5}), Multiply({9: 0.5})], ids=["Switch", "Multiply"]
)
def test_groups_that_were_added_or_replaced_are_taken_in_without_a_wait(policy: Policy) -> None:
    with cuda(0.1, 0.2) as optimizer:
        policy(optimizer)
        vars(optimizer)["_opt_called"] = True
        optimizer.add_param_group(
            {
                "params": [nn.Parameter(torch.zeros(2, device="cuda"))],
                "lr": torch.full((), 0.3, device="cuda"),
            }
        )
        policy.step()
        # As optimizer.load_state_dict does, which cannot copy fake tensors.
        optimizer.param_groups = [
            {**group, "lr": group["lr"].clone()} for group in optimizer.param_groups
        ]
        policy.step()
        with Ops() as ops:
            policy.step()
            policy.step()
        assert ops.names == []
        assert len(policy.get_last_lr()) == 3


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    "policy",
    [Switch({9: 0.5}), Multiply({9: 0.5}), Schedule(lambda epoch: 0.5), Given(0.5, 0.5)],
    ids=["Switch", "Multiply", "Schedule", "custom"],
)
def test_a_replaced_group_is_noticed_without_a_comparison_of_lrs(policy: Policy, size: int) -> None:
    with cuda(0.1, 0.2) as optimizer:
        for group in optimizer.param_groups:
            group["params"] = [nn.Parameter(torch.zeros(size, device="cuda"))]
        policy(optimizer)
        vars(optimizer)["_opt_called"] = True
        for _ in range(3):
            policy.step()
        optimizer.param_groups = [
            {**group, "lr": group["lr"].clone()} for group in optimizer.param_groups
        ]
        held = [group["lr"] for group in optimizer.param_groups]
        with Ops() as ops:
            policy.step()
        assert [*{*ops.names} - {"_foreach_zero_", "_foreach_add_"}] == []
        assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, held, strict=True))


def far(*lrs: float) -> Optimizer:
    """Give an optimizer whose lrs are steered as those on a GPU are, and can be read by a test."""
    optimizer = sgd(*lrs)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"]).as_subclass(Far)
    return optimizer


def after_zero(lr: Any, epoch: int) -> Any:
    return lr if epoch else 0.5


@pytest.mark.parametrize(
    ("make", "lr"),
    [
        pytest.param(lambda: Schedule(lambda epoch: 0.5), 0.5, id="Schedule"),
        pytest.param(lambda: Schedule([lambda epoch: 0.5] * 2), 0.5, id="a list"),
        pytest.param(lambda: Given(0.25, 0.5), 0.25, id="numbers"),
        pytest.param(
            lambda: Given(*torch.tensor([0.25, 0.5]).as_subclass(Far)), 0.25, id="tensors"
        ),
    ],
)
@pytest.mark.parametrize("kind", [Far, torch.Tensor])
def test_a_lr_that_has_come_to_require_grad_is_refused_with_nothing_written(
    make: Callable[[], Policy], lr: float, kind: type[torch.Tensor]
) -> None:
    optimizer = sgd(0.1, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"]).as_subclass(kind)
    policy = make()(optimizer)
    advance(policy, 3)
    first, second = (group["lr"] for group in optimizer.param_groups)
    assert [float(first), float(second)] == [lr, 0.5]
    second.requires_grad_()
    optimizer.step()
    at_four = f"{type(policy).__name__} at epoch 4, group 1: the lr cannot be written: "
    # Without gradients torch itself would write.
    for mode in (torch.enable_grad(), torch.no_grad()):
        refused = pytest.raises(ValueError, match=at_four + ".*requires grad")
        with mode, unchanged(policy, optimizer), refused:
            policy.step()
    second.requires_grad_(False)
    advance(policy)
    assert policy.last_epoch == 4


@pytest.mark.parametrize(
    ("make", "where"),
    [
        pytest.param(lambda lrs: Given(*lrs), "Given at epoch 3, all param groups", id="custom"),
        pytest.param(
            lambda lrs: Schedule([partial(after_zero, lr) for lr in lrs]),
            "Schedule at epoch 3, all param groups",
            id="Schedule",
        ),
    ],
)
def test_an_interrupted_look_at_an_answer_leaves_all_as_it_was(
    make: Callable[[list[torch.Tensor]], Policy], where: str
) -> None:
    class Stop(BaseException):
        pass

    class Slow(Far):
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

    optimizer = far(0.1, 0.1)
    policy = make([torch.tensor(0.5).as_subclass(Slow) for _ in range(2)])(optimizer)
    advance(policy, 2)
    Slow.stop = True
    with unchanged(policy, optimizer), pytest.raises(Stop) as caught:
        policy.step()
    assert getattr(caught.value, "__notes__", [where]) == [where]
    Slow.stop = False
    advance(policy)
    assert lrs(optimizer) == [0.5, 0.5]


def test_one_groups_lr_can_be_the_answer_for_another_whatever_they_hold() -> None:
    optimizer = far(0.25, 0.5)
    for lr in (0.125, torch.tensor(1.0, dtype=torch.float64).as_subclass(Far)):
        optimizer.add_param_group({"params": [parameter()], "lr": lr})
    held = [group["lr"] for group in optimizer.param_groups]
    policy = Given(*[2.0] * 4)(optimizer)
    for group, value in zip(optimizer.param_groups, (0.25, 0.5, 0.125, 1.0), strict=True):
        change(group, value)
    policy.lrs = [held[3], held[0], 4.0, held[1]]
    advance(policy)
    assert lrs(optimizer) == [1.0, 0.25, 4.0, 0.5]


@pytest.mark.parametrize("kind", [Far, torch.Tensor])
def test_a_group_that_was_replaced_by_its_copy_is_written_where_it_is(
    kind: type[torch.Tensor],
) -> None:
    optimizer = sgd(0.1, 0.1)
    policy = Switch([{4: 0.5}, {4: 0.25}])(optimizer)
    advance(policy, 2)
    shared = torch.tensor(0.3).as_subclass(kind)
    for group in optimizer.param_groups:
        group["lr"] = shared
    advance(policy)
    optimizer.param_groups = [{**group} for group in optimizer.param_groups]
    advance(policy)
    assert lrs(optimizer) == [0.5, 0.25]
    assert [float(lr) for lr in policy.get_last_lr()] == [0.5, 0.25]


class AtBase(Policy):
    """A custom policy that goes by the records of the groups."""

    def get_lr(self) -> list[Any]:
        return [lr * 1.0 for lr in self.base_lrs]


@pytest.mark.parametrize("kind", [Far, torch.Tensor])
@pytest.mark.parametrize(
    ("policy", "lr"),
    [
        pytest.param(Switch({0: 0.5}), 0.25, id="Switch"),
        pytest.param(Multiply({0: 0.5}, lr_init=1.0), 0.25, id="Multiply"),
        pytest.param(Schedule(lambda epoch: 0.5), 0.5, id="Schedule"),
        pytest.param(AtBase(), 0.25, id="custom"),
    ],
)
def test_a_group_that_comes_or_goes_is_seen_by_the_next_step(
    policy: Policy, lr: float, kind: type[torch.Tensor]
) -> None:
    optimizer = sgd(0.5, 0.5)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.5).as_subclass(kind)
    advance(policy(optimizer), 3)
    added = torch.tensor(0.25).as_subclass(kind)
    optimizer.add_param_group({"params": [parameter()], "lr": added})
    advance(policy)
    assert [float(last) for last in policy.get_last_lr()] == lrs(optimizer) == [0.5, 0.5, lr]
    assert optimizer.param_groups[2]["lr"] is added
    advance(policy)
    del optimizer.param_groups[0]
    advance(policy)
    assert [float(last) for last in policy.get_last_lr()] == lrs(optimizer) == [0.5, lr]


@pytest.mark.parametrize("kind", [Far, torch.Tensor])
@pytest.mark.parametrize(
    "policy",
    [Switch({9: 0.5}), Multiply({9: 0.5}), Schedule(lambda epoch: 0.5), Given(0.5)],
    ids=["Switch", "Multiply", "Schedule", "custom"],
)
def test_the_first_step_warns_of_the_order_as_torch_does(
    policy: Policy, kind: type[torch.Tensor]
) -> None:
    optimizer = sgd(torch.tensor(0.1).as_subclass(kind))
    policy(optimizer)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        policy.step()


@pytest.mark.parametrize("kind", [Far, torch.Tensor])
def test_a_list_of_schedules_refuses_a_group_that_came(kind: type[torch.Tensor]) -> None:
    optimizer = sgd(0.1, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.1).as_subclass(kind)
    policy = Schedule([lambda epoch: 0.5 / (1 + epoch)] * 2)(optimizer)
    advance(policy, 3)
    optimizer.add_param_group({"params": [parameter()], "lr": torch.tensor(0.25).as_subclass(kind)})
    optimizer.step()
    counts = "Got 2 mappings and 3 param groups"
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=counts):
        policy.step()


def test_a_parameter_can_be_a_lr_and_a_shared_one_too() -> None:
    lr = nn.Parameter(torch.tensor(0.5), requires_grad=False)
    optimizer = sgd(0.1, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = lr
    policy = Given(0.25, 0.5)(optimizer)
    advance(policy, 3)
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


@pytest.mark.parametrize("steps", [0, 2], ids=["long way", "short cut"])
def test_an_answer_that_no_op_can_copy_leaves_all_as_it_was(steps: int) -> None:
    class Strange(torch.Tensor):
        """Neither of the two classes knows the other: torch refuses to copy."""

    optimizer = far(0.1, 0.1)
    policy = Given(0.5, 0.5)(optimizer)
    advance(policy, steps)
    policy.lrs = [torch.tensor(0.25).as_subclass(Strange) for _ in range(2)]
    optimizer.step()
    with unchanged(policy, optimizer), pytest.raises(TypeError, match="Multiple dispatch failed"):
        policy.step()
    policy.lrs = [0.25, 0.25]
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.25]


@pytest.mark.parametrize(
    "bind",
    [
        pytest.param(lambda opt: MultiStepLR(opt, [100]), id="MultiStepLR"),
        pytest.param(lambda opt: LambdaLR(opt, lambda epoch: 0.5), id="LambdaLR"),
    ],
)
def test_torch_launches_a_kernel_a_group_and_copies_every_lr(bind: Bind) -> None:
    counts = []
    for n in (1, 20):
        with cuda(*[0.1] * n) as optimizer, pytest.MonkeyPatch.context() as patch:
            # LambdaLR's binding reads the lrs; here it is the step that counts.
            patch.setattr(torch.optim.lr_scheduler, "_to_scalar", lambda lr: 0.1, raising=False)
            ops = ops_of_steps(optimizer, bind, steps=1)
        counts.append(len(ops[0].names))
    assert counts[1] - counts[0] >= 19


def test_a_policy_comes_in_from_sequential_lr_without_a_wait() -> None:
    with cuda(0.1, 0.2) as optimizer:
        first, then = Switch({1: 0.5}, lr_init=None), Multiply({0: 0.5, 1: 0.1}, lr_init=None)

        def bind(optimizer: Optimizer) -> LRScheduler:
            return SequentialLR(optimizer, [first(optimizer), then(optimizer)], [2])

        with pytest.MonkeyPatch.context() as patch:
            # Its constructor reads the lrs, like torch's schedulers when they write.
            patch.setattr(torch.optim.lr_scheduler, "_to_scalar", lambda lr: 0.1, raising=False)
            ops = ops_of_steps(optimizer, bind, steps=4)
    assert all("_local_scalar_dense" not in step.names for step in ops)


def test_tensor_lrs_keep_identity_dtype_and_device() -> None:
    with cuda(0.1, 0.2, dtype=torch.float64) as optimizer:
        before = [group["lr"] for group in optimizer.param_groups]
        ops_of_steps(optimizer, Multiply({1: 0.5, 2: 0.5}))
        after = [group["lr"] for group in optimizer.param_groups]
        assert all(new is old for new, old in zip(after, before, strict=True))
        assert {(lr.dtype, lr.device.type) for lr in after} == {(torch.float64, "cuda")}


def test_groups_that_share_a_lr_are_told_apart_without_reading_it() -> None:
    with cuda(0.1, 0.2) as optimizer:
        first, second = optimizer.param_groups
        second["lr"] = first["lr"]
        lr = first["lr"]
        Switch({})(optimizer)
        assert first["lr"] is lr
        assert second["lr"] is not lr


def test_get_last_lr_shares_nothing_with_a_lr_on_a_device() -> None:
    with cuda(0.1) as optimizer:
        for policy in (Switch({1: 0.5}), Multiply({1: 0.5}), Schedule(lambda epoch: 0.5)):
            policy(optimizer)
            (last,) = policy.get_last_lr()
            live = optimizer.param_groups[0]["lr"]
            assert isinstance(last, torch.Tensor)
            assert last is not live
            assert last.untyped_storage()._cdata != live.untyped_storage()._cdata
