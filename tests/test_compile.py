"""A compiled `optimizer.step` is compiled once: no policy makes torch trace it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import RecompileError
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch

pytestmark = pytest.mark.filterwarnings(  # of torch's own, while the backends are imported
    "ignore:`torch.jit.*` is deprecated:DeprecationWarning"
)

STEPS = 100
Bind = Callable[[Optimizer], LRScheduler]


def decay(epoch: int) -> float:
    return 0.1 / (1 + epoch)


class Shrinking(Policy):
    """A custom policy; where the lrs are tensors, so are its own."""

    def get_lr(self) -> list[float | Tensor]:
        return [group["lr"] * 0.98 for group in self.optimizer.param_groups]


class Replacing(LRScheduler):
    """What must not be done: it puts a float where the tensor was."""

    def step(self, epoch: int | None = None) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = 0.5 * float(group["lr"])


POLICIES: dict[str, Callable[[], Bind]] = {
    "Switch": lambda: Switch({epoch: decay(epoch) for epoch in range(STEPS + 2)}),
    "Multiply": lambda: Multiply(dict.fromkeys(range(STEPS + 2), 0.98), lr_init=0.1),
    "Schedule, one": lambda: Schedule(decay),
    "Schedule, list": lambda: Schedule([decay, lambda epoch: 2 * decay(epoch)]),
    "Scale": lambda: Scale(decay),
    "custom": lambda: Shrinking(),
}
BACKENDS = [
    "aot_eager",
    pytest.param(
        "inductor",
        marks=pytest.mark.skipif(
            shutil.which("c++") is None and shutil.which("g++") is None,
            reason="inductor on a CPU needs a C++ compiler",
        ),
    ),
]


def make_optimizer(cls: type[Optimizer]) -> Optimizer:
    """Make an optimizer of two groups, each with a tensor lr and a gradient."""
    params = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    for param in params:
        param.grad = torch.full_like(param, 0.5)
    groups = [{"params": [param], "lr": torch.tensor(0.1)} for param in params]
    return cls(groups)  # type: ignore[call-arg]


@pytest.fixture
def compiled(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[], object]], Any]]:
    """Give a compiler whose output raises where it is compiled a second time."""
    torch._dynamo.reset()
    yield lambda step: torch.compile(step, backend=request.param)
    torch._dynamo.reset()


def train(optimizer: Optimizer, bind: Bind, compiled: Callable[..., Any]) -> list[list[float]]:
    """Step both; return the lrs of each step."""
    scheduler = bind(optimizer)
    step = compiled(lambda: optimizer.step())
    step()
    scheduler.step()
    lrs = []
    with torch._dynamo.config.patch(error_on_recompile=True):  # type: ignore[attr-defined, unused-ignore]
        for _ in range(STEPS):
            step()
            lrs.append([float(group["lr"]) for group in optimizer.param_groups])
            scheduler.step()
    return lrs


@pytest.mark.spec("B18")
@pytest.mark.parametrize("compiled", BACKENDS, indirect=True)
@pytest.mark.parametrize("cls", [SGD, Adam])
@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_a_compiled_step_is_not_recompiled_over_a_hundred_lrs(
    make: Callable[[], Bind], cls: type[Optimizer], compiled: Callable[..., Any]
) -> None:
    optimizer, eager = make_optimizer(cls), make_optimizer(cls)
    lrs = train(optimizer, make(), compiled)
    assert len({*map(tuple, lrs)}) == STEPS
    # It is not enough to compile once: the lrs have to arrive. Compiled float32 rounds differently.
    assert train(eager, make(), lambda step: step) == lrs
    for group, other in zip(optimizer.param_groups, eager.param_groups, strict=True):
        torch.testing.assert_close(group["params"], other["params"], rtol=1e-4, atol=1e-4)


@pytest.mark.spec("B18")
@pytest.mark.parametrize("compiled", BACKENDS, indirect=True)
@pytest.mark.parametrize("cls", [SGD, Adam])
def test_a_scheduler_that_replaces_the_tensor_is_caught(
    cls: type[Optimizer], compiled: Callable[..., Any]
) -> None:
    with pytest.raises(RecompileError, match="lr"):
        train(make_optimizer(cls), Replacing, compiled)
