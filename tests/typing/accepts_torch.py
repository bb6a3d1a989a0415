"""Correct code for torch.optim.lr_scheduler, about which no checker may complain; and it runs."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, lr_scheduler, swa_utils
from torch.optim.lr_scheduler import (
    EPOCH_DEPRECATION_WARNING,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    _LRScheduler,  # pyright: ignore[reportPrivateUsage]
)
from typing_extensions import assert_type, override

warnings.simplefilter("ignore")


class Floats(LRScheduler):
    def get_lr(self) -> list[float]:
        return [0.1 for _ in self.optimizer.param_groups]


class Mixed(LRScheduler):
    @override
    def get_lr(self) -> list[float | Tensor]:
        return [g["lr"] * 0.5 for g in self.optimizer.param_groups]


class Seq(LRScheduler):
    def get_lr(self) -> Sequence[float]:
        return tuple(0.1 for _ in self.base_lrs)


class Tensors(LRScheduler):
    def get_lr(self) -> list[Tensor]:
        return [torch.tensor(0.1) for _ in self.base_lrs]


class Old(_LRScheduler):
    def __init__(self, optimizer: Optimizer, warmup: int, last_epoch: int = -1) -> None:
        self.warmup = warmup
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if not self._get_lr_called_within_step:
            warnings.warn("use get_last_lr()", stacklevel=2)
        return [float(lr) * min(1.0, (self.last_epoch + 1) / self.warmup) for lr in self.base_lrs]


class WarmStep(StepLR):
    def get_lr(self) -> list[float]:
        return [float(lr) for lr in super().get_lr()]

    def _get_closed_form_lr(self) -> list[float]:
        return [float(b) * self.gamma**self.last_epoch for b in self.base_lrs]


class WarmCosine(CosineAnnealingLR):
    def get_lr(self) -> list[float | Tensor]:
        return [lr * 0.5 for lr in super().get_lr()]

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self._last_lr = [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "extra": 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)


class OneCycleFloats(OneCycleLR):
    def get_lr(self) -> list[float]:
        return [float(x) for x in super().get_lr()]


class Swa(swa_utils.SWALR):
    pass


model = nn.Linear(2, 1)


def optimizer() -> SGD:
    return SGD(model.parameters(), lr=0.1, momentum=0.9)


def two() -> SGD:
    groups: list[dict[str, Any]] = [{"params": [model.weight]}, {"params": [model.bias]}]
    return SGD(groups, lr=0.1, momentum=0.9)


def decay(epoch: int) -> float:
    return 0.95**epoch


def step_down(epoch: int) -> int:
    return 1 if epoch < 3 else 0


class Factor:
    def __call__(self, epoch: int) -> float:
        return 0.5

    def method(self, epoch: int) -> float:
        return 0.5


def power(base: float, epoch: int) -> float:
    return float(base**epoch)


# every constructor, by position, by keyword and with its defaults
for scheduler in (
    Floats(optimizer()),
    Mixed(optimizer()),
    Seq(optimizer(), -1),
    Tensors(optimizer(), last_epoch=-1),
    Old(optimizer(), 5),
    WarmStep(optimizer(), 3),
    WarmCosine(optimizer(), 10),
    OneCycleFloats(optimizer(), 0.1, 20),
    LambdaLR(optimizer(), lambda epoch: 0.95**epoch),
    LambdaLR(optimizer(), decay),
    LambdaLR(optimizer(), lr_lambda=step_down, last_epoch=-1),
    LambdaLR(optimizer(), Factor()),
    LambdaLR(optimizer(), Factor().method),
    LambdaLR(optimizer(), partial(power, 0.9)),
    LambdaLR(optimizer(), math.cos),
    LambdaLR(optimizer(), np.cos),
    LambdaLR(two(), [lambda epoch: 0.5, lambda epoch: epoch // 30]),
    LambdaLR(two(), [decay, step_down]),
    LambdaLR(two(), (decay, Factor())),
    MultiplicativeLR(optimizer(), lambda epoch: 0.95),
    MultiplicativeLR(two(), [decay, decay], -1),
    MultiplicativeLR(two(), lr_lambda=(decay, decay), last_epoch=-1),
    StepLR(optimizer(), 30),
    StepLR(optimizer(), 30, 0.1, -1),
    StepLR(optimizer(), step_size=30, gamma=0.1, last_epoch=-1),
    MultiStepLR(optimizer(), [30, 80]),
    MultiStepLR(optimizer(), (30, 80), 0.1, -1),
    MultiStepLR(optimizer(), range(3), gamma=1),
    MultiStepLR(optimizer(), milestones={30, 80}, gamma=0.1, last_epoch=-1),
    ConstantLR(optimizer()),
    ConstantLR(optimizer(), 0.5, 4, -1),
    ConstantLR(optimizer(), factor=1, total_iters=4, last_epoch=-1),
    LinearLR(optimizer()),
    LinearLR(optimizer(), 0.5, 1.0, 4, -1),
    LinearLR(optimizer(), start_factor=0.5, end_factor=1.0, total_iters=4, last_epoch=-1),
    ExponentialLR(optimizer(), 0.9),
    ExponentialLR(optimizer(), gamma=0.9, last_epoch=-1),
    PolynomialLR(optimizer()),
    PolynomialLR(optimizer(), 4, 2.0, -1),
    PolynomialLR(optimizer(), total_iters=4, power=2, last_epoch=-1),
    CosineAnnealingLR(optimizer(), 10),
    CosineAnnealingLR(optimizer(), T_max=10, eta_min=0, last_epoch=-1),
    CosineAnnealingWarmRestarts(optimizer(), 10),
    CosineAnnealingWarmRestarts(optimizer(), T_0=10, T_mult=2, eta_min=1e-5, last_epoch=-1),
    CyclicLR(optimizer(), 0.01, 0.1),
    CyclicLR(optimizer(), base_lr=[0.01], max_lr=(0.1,), step_size_up=5, step_size_down=7),
    CyclicLR(optimizer(), 0.01, 0.1, mode="exp_range", gamma=0.9, cycle_momentum=False),
    CyclicLR(optimizer(), 0.01, 0.1, scale_fn=lambda x: 0.5**x, scale_mode="iterations"),
    CyclicLR(two(), 0.01, 0.1, base_momentum=[0.8, 0.7], max_momentum=0.9, last_epoch=-1),
    CyclicLR(optimizer(), torch.tensor(0.01), torch.tensor(0.1)),
    OneCycleLR(optimizer(), 0.1, 100),
    OneCycleLR(optimizer(), max_lr=0.1, epochs=10, steps_per_epoch=10),
    OneCycleLR(two(), [0.1, 0.2], total_steps=10, anneal_strategy="linear", three_phase=True),
    OneCycleLR(two(), (0.1, 0.2), 10, base_momentum=[0.8, 0.8], max_momentum=0.9),
    OneCycleLR(
        optimizer(),
        max_lr=0.1,
        total_steps=10,
        pct_start=0.2,
        cycle_momentum=False,
        div_factor=10,
        final_div_factor=1e3,
        last_epoch=-1,
    ),
):
    scheduler.step()
    scheduler.step(None)
    assert_type(scheduler.get_last_lr(), list[float | Tensor])
    assert_type(scheduler.base_lrs, list[float | Tensor])
    assert_type(scheduler.last_epoch, int)
    assert_type(scheduler.optimizer, Optimizer)

# lists are invariant: a variable of a narrower list is still a correct argument
ints = [step_down, step_down]
assert_type(LambdaLR(two(), ints).lr_lambdas, list[Callable[[int], float]])
minimum = [0]
ReduceLROnPlateau(optimizer(), min_lr=minimum)
opt = optimizer()
steps = [StepLR(opt, 3), StepLR(opt, 5)]
milestones = [4]
SequentialLR(opt, steps, milestones)
SequentialLR(opt, schedulers=[ConstantLR(opt), Floats(opt)], milestones=[4], last_epoch=-1)
SequentialLR(opt, (ConstantLR(opt), Floats(opt)), (4,)).step()
SequentialLR(opt, steps, milestones).recursive_undo()
ChainedScheduler(steps)
ChainedScheduler(schedulers=[ConstantLR(opt), Floats(opt)], optimizer=opt).step()
ChainedScheduler([ConstantLR(opt), SequentialLR(opt, steps, [4])], opt).state_dict()

plateau = ReduceLROnPlateau(opt, "max", 0.5, 3, 1e-3, "abs", 2, [0.0], 1e-9)
ReduceLROnPlateau(opt)
ReduceLROnPlateau(opt, mode="min", factor=0.1, patience=2, threshold=1, threshold_mode="rel")
ReduceLROnPlateau(opt, cooldown=1, min_lr=0, eps=0).step(metrics=0.5)
plateau.step(1.0)
plateau.step(torch.tensor(0.5))
plateau.step(np.float32(0.5), epoch=3)
plateau.step(1, None)
assert_type(plateau.best, float)
assert_type(plateau.in_cooldown, bool)
assert_type(plateau.min_lrs, list[float])
assert_type(plateau.num_bad_epochs, int)

assert_type(StepLR(opt, 3).state_dict(), dict[str, Any])
assert_type(StepLR(opt, 3).gamma, float)
assert_type(StepLR(opt, 3).step_size, int)
assert_type(MultiStepLR(opt, [1]).milestones, Counter[int])
assert_type(CosineAnnealingLR(opt, 3).T_max, int)
assert_type(CosineAnnealingLR(opt, 3).eta_min, float)
restarts = CosineAnnealingWarmRestarts(opt, 3)
restarts.step(0.5)
assert_type(restarts.T_cur, float)
cyclic = CyclicLR(opt, 0.01, 0.1)
assert_type(cyclic.scale_fn(1.0), float)
assert_type(cyclic.max_lrs, list[float | Tensor])
assert_type(OneCycleLR(opt, 0.1, 10).total_steps, int)
assert_type(EPOCH_DEPRECATION_WARNING, str)
swa_utils.SWALR(opt, 0.05).step()
Swa(opt, 0.05, 5, "linear").get_last_lr()


def train(scheduler: LRScheduler) -> float | Tensor:
    scheduler.step()
    return scheduler.get_last_lr()[0]


def build(make: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
    return make(optimizer())


train(Floats(opt))
build(Floats)
build(LinearLR)
build(lambda o: lr_scheduler.StepLR(o, 3))
build(partial(torch.optim.lr_scheduler.StepLR, step_size=3))
wrapped: dict[str, LRScheduler | ReduceLROnPlateau] = {"a": StepLR(opt, 1), "b": plateau}
adam = Adam(model.parameters(), lr=torch.tensor(1e-3))
LambdaLR(adam, decay).optimizer.zero_grad()
assert_type(adam.param_groups, list[dict[str, Any]])
assert_type(torch.zeros(1), Tensor)
