"""Correct code for thunder.policy, about which no checker may complain; thunder is not here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Dict, List, Union  # noqa: UP035

import numpy as np
import torch
from thunder.policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, SequentialLR
from typing_extensions import assert_type

optimizer = SGD([torch.zeros(1)], lr=1e-3)


def f(epoch: int) -> float:
    return 0.1


def whole(epoch: int) -> int:
    return 1


def scalar(epoch: int) -> np.float64:
    value: np.float64 = np.float64(0.1)
    return value


def tensor(epoch: int) -> Tensor:
    return torch.zeros(())


class Decay:
    def __call__(self, epoch: int) -> float:
        return 0.1

    def method(self, epoch: int) -> float:
        return 0.1


ints: dict[int, int] = {0: 1}
mapping: Mapping[int, float] = {0: 1e-3}
Switch({0: 1e-3, 30: 1e-4})
Switch({10: 0.001, 20: 0.001 / 10}, 1e-2)
Switch(mapping, lr_init=1)
Switch(ints, lr_init=None)
Switch([{0: 1.0}, ints], lr_init=[1e-3, 1])
Switch(({0: 1.0}, {0: 1}), lr_init=(1e-3, 1e-4))
Switch({0: Fraction(1, 2), 1: np.float32(0.5), 2: torch.tensor(0.1)})
Multiply({1: 0.1, 4: 0.3})
Multiply([{1: 0.1}], lr_init=1e-3)
Schedule(lambda epoch: 0.95**epoch)
Schedule(f)
Schedule(Decay())
Schedule(Decay().method)
Schedule(partial(pow, 0.5))
Schedule(math.cos)
Schedule(np.cos)
Schedule(whole)
Schedule(scalar)
Schedule(tensor)
Schedule([f, whole, Decay(), math.cos, lambda epoch: 0.1], lr_init=[1.0] * 5)
Schedule((f, f), None)
fs = [whole, whole]
Schedule(fs)
Schedule([f, None])
Schedule(f, option="weight_decay", on_load="override")
Scale(f)
Scale([f, None, Decay()], lr_init=[0.1, 1, 2], option="momentum")
Switch(ints, option="weight_decay")
Multiply(ints, on_load="restore")

assert_type(Switch({0: 1e-3})(optimizer), Switch)
policy = Multiply({1: 0.1})
scheduler = policy(optimizer)
assert_type(scheduler, Multiply)
assert_type(Scale(f)(optimizer, last_epoch=3), Scale)
assert_type(Scale(f).option, str)
assert_type(Scale(f).lr_init, float | list[float] | None)
policy.set_optimizer(optimizer)
assert_type(scheduler.optimizer, Optimizer)
assert_type(scheduler.get_last_lr(), list[float | Tensor])
assert_type(scheduler.base_lrs, list[float | Tensor])
assert_type(scheduler.current_lr_init, list[float])
assert_type(scheduler.current_mapping, list[dict[int, float]])
assert_type(scheduler.prepare_state_dict("mapping"), dict[str, Any])
assert_type(scheduler.state_dict(), dict[str, Any])
scheduler.load_state_dict(scheduler.state_dict())
scheduler.step()


class Doc(MappingPolicy):
    mapping: Union[List[Dict[int, float]], Dict[int, float]]  # noqa: UP006,UP007

    def get_lr(self) -> List[float]:  # noqa: UP006
        return [
            group["lr"] * mapping.get(self.last_epoch, 1)
            for group, mapping in zip(self.optimizer.param_groups, self.current_mapping)
        ]

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:  # noqa: UP006
        super().load_state_dict(state_dict)


class Floats(Policy):
    def get_lr(self) -> list[float]:
        return [0.1 for _ in self.optimizer.param_groups]


class Mixed(Policy):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr

    def get_lr(self) -> list[float | Tensor]:
        return [self.lr for _ in self.optimizer.param_groups]


class Seq(Policy):
    def get_lr(self) -> Sequence[float]:
        return (0.1,)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("a")


class Decays(Policy):
    def __init__(self) -> None:
        super().__init__(option="weight_decay")

    def set_optimizer(self, optimizer: Optimizer) -> None:
        super().set_optimizer(optimizer)

    def get_lr(self) -> list[float]:
        return [0.1]


class Half(Switch):
    def get_lr(self) -> list[float]:
        return [lr / 2 for lr in super().get_lr()]


assert_type(Half({0: 1.0})(optimizer), Half)
assert_type(Floats()(optimizer), Floats)
Doc({0: 1.0})
Mixed(0.1)
Seq()


def train(scheduler: LRScheduler) -> None:
    scheduler.step()


def build(make: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
    return make(optimizer)


train(scheduler)
build(Switch({0: 1e-3}))
SequentialLR(optimizer, [Switch({0: 1.0})(optimizer), Floats()(optimizer)], [3])
ChainedScheduler([Switch({0: 1.0})(optimizer), Floats()(optimizer)])
