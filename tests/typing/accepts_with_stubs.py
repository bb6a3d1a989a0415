"""Correct code about which no checker may complain where the stubs are installed; and it runs.

With torch's own types mypy, pyright or ty refuses some of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ChainedScheduler, LambdaLR, SequentialLR, StepLR
from typing_extensions import assert_type

from thunder_policy import MappingPolicy, Policy, Schedule, Switch

model = nn.Linear(2, 1)
optimizer = SGD(model.parameters(), lr=1e-3)

# A partial stub package leaves the rest of torch as it is

assert_type(torch.float32, torch.dtype)
assert_type(torch.zeros(1), Tensor)
assert_type(nn.Parameter(torch.zeros(1)), nn.Parameter)
assert_type(nn.functional.relu(torch.zeros(1)), Tensor)

# What get_lr may return


class Floats(Policy):
    def get_lr(self) -> list[float]:
        return [0.1 for _ in self.optimizer.param_groups]


class FloatsAndTensors(Policy):
    def get_lr(self) -> list[float | Tensor]:
        return [lr * 0.5 for lr in self.base_lrs]


class Tensors(Policy):
    def get_lr(self) -> list[Tensor]:
        return [torch.tensor(0.1) for _ in self.base_lrs]


class ASequence(Policy):
    def get_lr(self) -> Sequence[float]:
        return tuple(0.1 for _ in self.base_lrs)


class ATuple(Policy):
    def get_lr(self) -> tuple[float, ...]:
        return tuple(0.1 for _ in self.base_lrs)


class OfMapping(MappingPolicy[dict[int, float]]):
    def get_lr(self) -> list[float]:
        return [0.1 for _ in self.base_lrs]


class OfSwitch(Switch):
    def get_lr(self) -> list[float]:
        return [float(lr) / 2 for lr in super().get_lr()]


class OfSchedule(Schedule):
    def get_lr(self) -> list[float]:
        return [float(lr) / 2 for lr in super().get_lr()]


class OfStepLR(StepLR):
    def get_lr(self) -> list[float]:
        return [float(lr) / 2 for lr in super().get_lr()]


assert_type(Floats()(optimizer), Floats)
assert_type(Floats()(optimizer).get_lr(), list[float])
assert_type(ASequence()(optimizer).get_lr(), Sequence[float])
for policy in (Floats(), FloatsAndTensors(), Tensors(), ASequence(), ATuple(), OfMapping({0: 1})):
    policy(optimizer).get_last_lr()
assert_type(OfSwitch({0: 1})(optimizer).get_lr(), list[float])
assert_type(OfSchedule(lambda epoch: 0.1)(optimizer).get_lr(), list[float])
OfStepLR(optimizer, 3)

# A list is invariant, and these are correct arguments


def decay(epoch: int) -> float:
    return 0.95**epoch


policies = [Switch({0: 0.1})(optimizer), Switch({0: 0.2})(optimizer)]
milestones = [3]
SequentialLR(optimizer, policies, milestones)
SequentialLR(optimizer, (Floats()(optimizer), Schedule(decay)(optimizer)), (3,))
ChainedScheduler(policies)
assert_type(LambdaLR(optimizer, decay).lr_lambdas, list[Callable[[int], float]])
assert_type(StepLR(optimizer, 3).step_size, int)
