"""Sound subjects that the suite once took for broken: one of each kind."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from broken import Decay
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy import Multiply, Plateau, Scale, Schedule, Switch, bound
from thunder_policy.conformance import Subject


class WantsPositive(Decay):
    """Refuses a lr that is not above 0, by comparing, on a GPU too."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        for group in getattr(optimizer, "param_groups", ()):
            if group["lr"] <= 0:
                raise ValueError(f"the lr must be above 0, not {group['lr']}")
        super().set_optimizer(optimizer, last_epoch)


class OwnStarts(LRScheduler):
    """A scheduler in torch's style that notes its starts itself, and writes no initial_lr."""

    def __init__(self, optimizer: Optimizer, gamma: float = 0.9) -> None:
        self.optimizer, self.gamma, self.last_epoch = optimizer, gamma, 0
        self.starts = [float(group["lr"]) for group in optimizer.param_groups]

    def get_lr(self) -> list[Any]:
        return [lr * self.gamma**self.last_epoch for lr in self.starts]

    def get_last_lr(self) -> list[Any]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch += 1
        try:
            late = self.optimizer.param_groups[len(self.starts) :]
            self.starts += [float(group["lr"]) for group in late]
            self.write(self.get_lr())
        except BaseException:
            self.last_epoch -= 1
            raise

    def write(self, lrs: list[Any]) -> None:
        groups = self.optimizer.param_groups
        if len(lrs) != len(groups):
            raise ValueError(f"{len(lrs)} lrs for {len(groups)} groups")
        for group, lr in zip(groups, lrs):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "starts": [*self.starts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        epoch, starts = int(state_dict["last_epoch"]), [*state_dict["starts"]]
        self.last_epoch, self.starts = epoch, starts
        self.write(self.get_lr())


class OwnParts(OwnStarts):
    """Asks a part of itself for its lrs, by a method that has the name of a policy's."""

    def lr_at(self, part: str) -> float:
        return {"gamma": self.gamma}[part]


class NotYet(Decay):
    """Has no best metric yet, nor a table of them."""

    def __init__(self) -> None:
        self.best = math.nan
        self.bests = [math.nan, {"of": math.nan}]
        self.table = torch.tensor([math.nan, 1.0])


class NotYetInNumPy(Decay):
    def __init__(self) -> None:
        self.best = np.float64("nan")


class CallsBack(Decay):
    """Tells somebody each lr that it sets."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self.call = call

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.call(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("call")


class Log:
    """Is called back by a method of its own."""

    def __init__(self, lines: list[object]) -> None:
        self.lines = lines

    def __call__(self, epoch: object) -> None:
        self.lines.append(epoch)


class ToDenormals(Decay):
    """Comes to lrs that float32 has few digits for, and then none."""

    def factor(self) -> float:
        return 1e-3**self.last_epoch


class SlowToMake(Decay):
    def __init__(self) -> None:
        time.sleep(0.01)


class RefusesLate(Decay):
    """Is for the groups of its binding, whatever their number, and says so."""

    def get_lr(self) -> list[Any]:
        if len(self.optimizer.param_groups) != len(self.base_lrs) or self.grew():
            raise ValueError("param groups must not be added to an optimizer that is in use")
        return [*super().get_lr()]

    def grew(self) -> bool:
        return getattr(self, "n", len(self.base_lrs)) != len(self.base_lrs)

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        n = getattr(self, "n", None)
        self.n = len(getattr(optimizer, "param_groups", ()))
        try:
            super().set_optimizer(optimizer, last_epoch)
        except BaseException:
            self.n = self.n if n is None else n
            raise


class Refused(Exception):
    """An error of one's own, of none of Python's kinds."""


class RefusesInItsOwnWords(Decay):
    """Refuses late groups, and a lr of 0."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not all(group["lr"] for group in getattr(optimizer, "param_groups", ())):
            raise Refused("a lr of 0")
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            raise Refused("no groups can be added")
        super().step(epoch)


lines: list[object] = []
made: list[object] = []


def counted() -> Decay:
    """Make a policy, and note that in a list of one's own."""
    made.append(1)
    return Decay()


def halved(epoch: int) -> float:
    """Return a factor, or a lr."""
    return math.pow(0.5, epoch)


ONCE_FAILED: dict[str, Subject | Callable[[], Any]] = {
    "refuses a lr of 0": WantsPositive,
    "no initial_lr": lambda: partial(OwnStarts, gamma=0.8),
    "lr_at of a part": lambda: OwnParts,
    "nan in attributes": NotYet,
    "nan of NumPy": NotYetInNumPy,
    "a callback that writes": lambda: CallsBack(lines.append),
    "a callback of a class": lambda: CallsBack(Log(lines)),
    "a factory that counts": counted,
    "down to denormals": ToDenormals,
    "multiplied to denormals": lambda: Multiply(dict.fromkeys(range(1, 20), 1e-20)),
    "refuses late groups": RefusesLate,
    "refuses in its own words": RefusesInItsOwnWords,
    "slow to make": SlowToMake,
    "a group that is left alone": lambda: Scale([None, halved], option="weight_decay"),
    "groups by name": lambda: Switch.by_name({"head": {0: 0.5, 3: 0.1}, "body": {2: 0.1}}),
    "starts that are overridden by those of the groups": lambda: Multiply(
        {2: 0.5}, lr_init=None, on_load="override"
    ),
    "a policy that is told metrics, and cuts at each": Subject(
        lambda: Plateau(Scale(halved), patience=0), metrics=lambda epoch: epoch / epoch
    ),
    "a policy that is bound where it is made": partial(bound.Switch, mapping={0: 0.5, 3: 0.1}),
    "a name that is left alone": lambda: Schedule.by_name({"head": halved, "body": None}),
}

EXCUSED: dict[str, dict[str, str]] = {
    name: {"order_warning": "it leaves the order of calls to whoever calls"}
    for name in ("no initial_lr", "lr_at of a part")
}
"""What a scheduler in torch's style need not do to be an example of what is sound in it."""
