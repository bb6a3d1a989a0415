"""Tensor lrs on a real GPU: a step never waits, and a captured `optimizer.step` sees each new lr.

What a step dispatches is counted without a GPU, in test_devices.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from helpers import through_disk
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch

pytestmark = [
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="these tests need a CUDA device, and torch finds none"
    ),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature"),
]

DEVICE = "cuda"
EPOCHS = 12
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "Adam": partial(Adam, capturable=True),
    "AdamW, fused": partial(AdamW, capturable=True, fused=True),
}


def decay(epoch: int) -> float:
    return 0.1 / (1 + epoch)


class Halving(Policy):
    """A custom policy whose lrs never leave the device."""

    def get_lr(self) -> list[float | Tensor]:
        return [group["lr"] * 0.5 if self.last_epoch else group["lr"] for group in self._groups()]

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups


class Reciprocal(Policy):
    """A custom policy that gives plain numbers."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [decay(self.last_epoch) for _ in self.optimizer.param_groups]


# A maker for n groups that hold 0.1, and the lr of group i at each epoch.
Make = Callable[[int], Policy]
Expected = Callable[[int, int], float]
POLICIES: dict[str, tuple[Make, Expected]] = {
    "Switch": (lambda n: Switch({0: 0.1, 3: 0.02, 8: 0.5}), lambda t, i: switched(t)),
    "Switch, a list": (
        lambda n: Switch([{3: 0.1 / (1 + i)} for i in range(n)], lr_init=0.1),
        lambda t, i: 0.1 if t < 3 else 0.1 / (1 + i),
    ),
    "Multiply": (
        lambda n: Multiply({3: 0.5, 8: 0.1}, lr_init=0.1),
        lambda t, i: 0.1 * (0.5 if t >= 3 else 1) * (0.1 if t >= 8 else 1),
    ),
    "Multiply, from lr": (
        lambda n: Multiply({3: 0.5}, lr_init=None),
        lambda t, i: 0.1 * (0.5 if t >= 3 else 1),
    ),
    "Schedule, one": (lambda n: Schedule(decay), lambda t, i: decay(t)),
    "Schedule, a list": (lambda n: Schedule([decay] * n), lambda t, i: decay(t)),
    "Scale": (lambda n: Scale(decay), lambda t, i: 0.1 * decay(t)),
    "Scale, a list": (
        lambda n: Scale([decay if i else None for i in range(n)], lr_init=0.5),
        lambda t, i: 0.5 * decay(t) if i else 0.1,
    ),
    "custom, of tensors": (lambda n: Halving(), lambda t, i: 0.1 * 0.5**t),
    "custom, of numbers": (lambda n: Reciprocal(), lambda t, i: decay(t)),
}
every_policy = pytest.mark.parametrize(("make", "expected"), POLICIES.values(), ids=POLICIES)
every_optimizer = pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)


def switched(epoch: int) -> float:
    return 0.1 if epoch < 3 else 0.02 if epoch < 8 else 0.5


def make_optimizer(n: int, build: Callable[..., Optimizer] = OPTIMIZERS["Adam"]) -> Optimizer:
    """Make an optimizer of n groups, each with a tensor lr of 0.1 and a gradient."""
    params = [nn.Parameter(torch.ones(5, device=DEVICE)) for _ in range(n)]
    for i, param in enumerate(params):
        param.grad = torch.linspace(0.1, 1 + i, 5, device=DEVICE)
    optimizer = build([{"params": [param]} for param in params], lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.1, device=DEVICE)
    return optimizer


def lrs(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where the host waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.spec("X4")
def test_a_wait_would_be_noticed() -> None:
    lr = torch.tensor(0.1, device=DEVICE)
    with no_waiting(), pytest.raises(RuntimeError, match="synchroniz"):
        lr.item()


@pytest.mark.spec("B5", "B18", "X4")
@pytest.mark.parametrize("n", [1, 3, 20])
@every_policy
def test_a_step_never_waits_for_the_gpu(make: Make, expected: Expected, n: int) -> None:
    optimizer = make_optimizer(n)
    policy = make(n)(optimizer)
    held = [group["lr"] for group in optimizer.param_groups]
    for epoch in range(1, EPOCHS):
        optimizer.step()
        with no_waiting():
            policy.step()
        assert lrs(optimizer) == pytest.approx([expected(epoch, i) for i in range(n)])
        assert [float(lr) for lr in policy.get_last_lr()] == lrs(optimizer)
    assert {*map(type, policy.base_lrs)} == {float}
    assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, held, strict=True))


@pytest.mark.spec("S5", "S13", "V5", "X4")
def test_nor_for_a_lr_that_others_have_set_and_once_for_a_group_that_was_added() -> None:
    optimizer = make_optimizer(2)
    policy = Multiply({5: 0.5}, lr_init=0.1)(optimizer)
    extra = nn.Parameter(torch.ones(5, device=DEVICE))
    optimizer.add_param_group({"params": [extra], "lr": torch.tensor(0.4, device=DEVICE)})
    first, second, third = optimizer.param_groups
    late = third["lr"]
    for epoch in range(6):
        first["lr"].mul_(0.5)
        second["lr"] = torch.full((), 0.2, device=DEVICE)
        optimizer.step()
        if epoch == 0:
            policy.step()  # reads the lr of the new group, as a binding does
            continue
        with no_waiting():
            policy.step()
    assert third["lr"] is late
    assert policy.base_lrs == pytest.approx([0.1, 0.1, 0.4])
    assert lrs(optimizer) == pytest.approx([0.1 * 0.5**7, 0.2, 0.2])


@pytest.mark.spec("T2", "T11", "X4")
@every_policy
def test_nor_after_a_resume(make: Make, expected: Expected) -> None:
    optimizer = make_optimizer(3)
    policy = make(3)(optimizer)
    for _ in range(4):
        optimizer.step()
        policy.step()
    saved, saved_policy = through_disk((optimizer.state_dict(), policy.state_dict()))

    resumed = make_optimizer(3)
    again = make(3)(resumed)
    resumed.load_state_dict(saved)
    again.load_state_dict(saved_policy)
    assert lrs(resumed) == lrs(optimizer)
    for _ in range(5):
        for one, other in ((optimizer, policy), (resumed, again)):
            one.step()
            with no_waiting():
                other.step()
    assert lrs(resumed) == lrs(optimizer) == pytest.approx([expected(9, i) for i in range(3)])
    for group, twin in zip(optimizer.param_groups, resumed.param_groups, strict=True):
        assert group["lr"].device == twin["lr"].device


@pytest.mark.spec("S11", "X4")
@every_policy
def test_nor_where_the_groups_were_replaced_and_the_wait_would_be_caught(
    make: Make, expected: Expected
) -> None:
    """A comparison of two param groups compares their lrs; an error in it could go unseen."""
    optimizer = make_optimizer(3)
    policy = make(3)(optimizer)
    for _ in range(3):
        optimizer.step()
        policy.step()
    optimizer.load_state_dict(optimizer.state_dict())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        policy.step()
        torch.cuda.set_sync_debug_mode("default")
    assert [str(one.message) for one in seen if "called a synchronizing" in str(one.message)] == []
    assert lrs(optimizer) == pytest.approx([expected(4, i) for i in range(3)])


@pytest.mark.spec("B18")
@every_optimizer
@every_policy
def test_a_captured_optimizer_step_sees_each_new_lr(
    make: Make, expected: Expected, build: Callable[..., Optimizer]
) -> None:
    captured, eager = make_optimizer(3, build), make_optimizer(3, build)
    policy = make(3)(captured)
    graph = torch.cuda.CUDAGraph()

    # As torch asks for: some steps on another stream first, then the capture, which runs nothing.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            captured.step()
    torch.cuda.current_stream().wait_stream(stream)
    for _ in range(3):
        eager.step()
    with torch.cuda.graph(graph):
        captured.step()

    for epoch in range(EPOCHS):
        graph.replay()
        with no_waiting():
            policy.step()
        for i, group in enumerate(eager.param_groups):
            group["lr"].fill_(expected(epoch, i))
        eager.step()
        for group, twin in zip(captured.param_groups, eager.param_groups, strict=True):
            torch.testing.assert_close(group["params"], twin["params"])
    assert lrs(captured) == pytest.approx([expected(EPOCHS, i) for i in range(3)])


@pytest.mark.spec("V2", "V4", "V11")
@pytest.mark.parametrize(
    "bind",
    [
        pytest.param(lambda opt: MultiStepLR(opt, [2]), id="MultiStepLR"),
        pytest.param(lambda opt: LambdaLR(opt, decay), id="LambdaLR"),
    ],
)
def test_ours_and_torchs_agree_on_the_device(bind: Callable[[Optimizer], Any]) -> None:
    ours, torchs = make_optimizer(2), make_optimizer(2)
    scheduler = bind(torchs)
    if isinstance(scheduler, MultiStepLR):
        policy: Policy = Multiply({2: 0.1}, lr_init=None)(ours)
    else:
        policy = Scale(decay)(ours)
    for _ in range(5):
        for optimizer, one in ((ours, policy), (torchs, scheduler)):
            optimizer.step()
            one.step()
        assert lrs(ours) == pytest.approx(lrs(torchs), rel=1e-6)
