"""Broken policies, each beside a near miss that is sound, and the law that tells them apart."""

from __future__ import annotations

import copy
import itertools
import math
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from thunder_policy import Policy
from thunder_policy.conformance import Subject

LR = float | Tensor


@dataclass
class Pair:
    """What must be caught, by which law, with which words, and what must pass."""

    law: str
    says: str
    broken: Callable[[], Any]
    sound: Callable[[], Any]
    groups: int | None = None
    expected: Callable[[int, int], float] | None = None

    def subject(self, factory: Callable[[], Any]) -> Subject:
        return Subject(factory, groups=self.groups, expected=self.expected, epochs=12)


PAIRS: dict[str, Pair] = {}


def pair(
    law: str,
    says: str,
    broken: Callable[[], Any],
    sound: Callable[[], Any],
    groups: int | None = None,
    expected: Callable[[int, int], float] | None = None,
) -> None:
    """Add a pair, under the name of what is broken."""
    name = getattr(broken, "__name__", "")
    if name == "<lambda>":
        name = broken.__code__.co_names[0]
    while name in PAIRS:
        name += "_"
    PAIRS[name] = Pair(law, says, broken, sound, groups, expected)


class Decay(Policy):
    """The sound policy that most of the others vary: 0.9 to the epoch, times the first lr."""

    def factor(self) -> float:
        return 0.9**self.last_epoch

    def get_lr(self) -> Any:
        return [lr * self.factor() for lr in self.base_lrs]


class Chained(Policy):
    """The same from the lr as it stands."""

    def get_lr(self) -> Any:
        return [g["lr"] * (0.9 if self.last_epoch else 1.0) for g in self.optimizer.param_groups]


def base(epoch: int, group: int) -> float:
    """Return what Decay should give."""
    return (group + 1) / 10 * 0.9**epoch


# Unbound


class BornBound(Decay):
    def __init__(self) -> None:
        self.set_optimizer(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))


class BornAtZero(Decay):
    def __init__(self) -> None:
        self.last_epoch = 0


class StepsUnbound(Decay):
    def step(self, epoch: int | None = None) -> None:
        if hasattr(self, "optimizer"):
            super().step(epoch)


class OwnStep(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)


pair("construct", "last_epoch of a new policy: expected -1", BornBound, Decay)
pair("construct", "last_epoch of a new policy: expected -1, saw 0", BornAtZero, Decay)
pair("construct", "step() of a new policy", StepsUnbound, OwnStep)


# Binding


class ReturnsNothing(Decay):
    def __call__(self, optimizer: Optimizer, last_epoch: Any = -1) -> Any:
        self.set_optimizer(optimizer, last_epoch)


class ReturnsACopy(Decay):
    def __call__(self, optimizer: Optimizer, last_epoch: Any = -1) -> Any:
        new = copy.copy(self)
        new.set_optimizer(optimizer, last_epoch)
        return new


class ReturnsItself(Decay):
    def __call__(self, optimizer: Optimizer, last_epoch: Any = -1) -> Any:
        self.set_optimizer(optimizer, last_epoch)
        return self


class StartsAtOne(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        optimizer.step()
        self.step()


class Notes(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.groups = len(optimizer.param_groups)


class TakesAnything(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if hasattr(optimizer, "param_groups"):
            super().set_optimizer(optimizer, last_epoch)


class OddError(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise KeyError("param_groups")
        super().set_optimizer(optimizer, last_epoch)


class PythonsError(Decay):
    """Leaves it to Python to find that something is no optimizer."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.groups = len(optimizer.param_groups)
        super().set_optimizer(optimizer, last_epoch)


class WritesFirst(Policy):
    """Per-group lrs that are written before they are counted."""

    lrs = (0.5, 0.25)

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if isinstance(optimizer, Optimizer):
            for group, lr in zip(optimizer.param_groups, self.lrs):
                group["lr"] = lr
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.lrs]


class PerGroup(Policy):
    lrs = (0.5, 0.25)

    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.lrs]


class WritesBeforeGetLR(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if isinstance(optimizer, Optimizer):
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * 1.0 + 0.0
                group["warm"] = True
        super().set_optimizer(optimizer, last_epoch)


class ReadsBeforeGetLR(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if isinstance(optimizer, Optimizer):
            self.options = sorted(optimizer.defaults)
        super().set_optimizer(optimizer, last_epoch)


class LetsGo(Decay):
    """Lets its optimizer go before it knows the new one is any good."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.last_epoch = -1
        super().set_optimizer(optimizer, last_epoch)


class KeepsCount(Decay):
    """Counts its steps, and goes on counting in the next run."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, epoch: int | None = None) -> None:
        self.count += 1
        super().step(epoch)

    def factor(self) -> float:
        return 0.9**self.count


class Counts(KeepsCount):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.count = 0
        super().set_optimizer(optimizer, last_epoch)


class WritesOld(Decay):
    """Writes the lrs into every optimizer it ever had."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.all.append(optimizer)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * 0.5 if optimizer is not self.optimizer else group["lr"]

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("all")


class KeepsOld(WritesOld):
    """Only keeps them alive."""

    def step(self, epoch: int | None = None) -> None:
        Policy.step(self, epoch)


class Replaces(KeepsOld):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.all = self.all[-1:]


pair("bound", "policy(optimizer) is policy", ReturnsACopy, ReturnsItself)
pair("bound", "expected an LRScheduler, saw NoneType", ReturnsNothing, ReturnsItself)
pair("bound", "last_epoch after binding: expected 0, saw 1", StartsAtOne, Notes)
pair("bind_type", "binding to None: expected a TypeError, saw no error", TakesAnything, Notes)
pair("bind_type", "expected a TypeError, saw KeyError", OddError, PythonsError)
pair("bind_atomic", "the lrs after a binding that failed", WritesFirst, PerGroup, groups=2)
pair("bind_atomic", "after a binding that failed", WritesBeforeGetLR, ReadsBeforeGetLR)
pair("bind_atomic", "after a binding that failed, last_epoch", LetsGo, Decay)
pair("rebind", "the lrs after rebinding", KeepsCount, Counts)
pair("rebind", "the optimizer left behind", WritesOld, Replaces)
pair("rebind_frees", "the old optimizer: expected freed", KeepsOld, Replaces)


# What get_lr returns


class OneForAll(Decay):
    def get_lr(self) -> Any:
        return [super().get_lr()[0]]


class OneAGroup(Decay):
    def get_lr(self) -> Any:
        lrs = super().get_lr()
        return [lrs[i] for i in range(len(self.base_lrs))]


class Generates(Decay):
    def get_lr(self) -> Any:
        return (lr * self.factor() for lr in self.base_lrs)


class Tuples(Decay):
    def get_lr(self) -> Any:
        return tuple(super().get_lr())


class Stacks(Decay):
    def get_lr(self) -> Any:
        return torch.tensor([float(lr) for lr in super().get_lr()])


class EndsInNan(Decay):
    def factor(self) -> float:
        return math.nan if self.last_epoch > 9 else 0.9**self.last_epoch


class EndsInZero(Decay):
    def factor(self) -> float:
        return 0.0 if self.last_epoch > 9 else 0.9**self.last_epoch


class Grows(Decay):
    def factor(self) -> float:
        return 1.5**self.last_epoch


class Infinite(Decay):
    def factor(self) -> float:
        return math.inf if self.last_epoch == 5 else 1.0


class RunsOut(Decay):
    def factor(self) -> float:
        return [0.9**t for t in range(10)][self.last_epoch]


class Clamps(Decay):
    def factor(self) -> float:
        return [0.9**t for t in range(10)][min(self.last_epoch, 9)]


class OwnLoop(Decay):
    """Writes the lrs itself, and drops those that zip does not pair."""

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr()):
            group["lr"] = lr


pair("runs", "got 1 lrs from get_lr() and 2 param groups", OneForAll, OneAGroup)
pair("runs", "IndexError", RunsOut, Clamps)
pair("runs", "binding to 1 param group: expected no error, or that groups=", Generates, Tuples)
pair("lr_per_group", "generator", Generates, Tuples)
pair("lr_per_group", "Tensor", Stacks, Tuples)
pair("lr_per_group", "must be finite, not nan", EndsInNan, EndsInZero)
pair("lr_per_group", "must be finite, not inf", Infinite, Grows)
pair("lr_per_group", "IndexError", RunsOut, Clamps)


# Steps


class Doubles(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch == 4:
            super().step(epoch)


class StandsStill(Decay):
    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 5:
            super().step(epoch)


class Says(Decay):
    """Says what get_lr gives for the next epoch."""

    def get_last_lr(self) -> list[LR]:
        return [lr * 0.9 for lr in super().get_last_lr()]


class SaysSo(Decay):
    def get_last_lr(self) -> list[LR]:
        return list(super().get_last_lr())


class SaysBase(Decay):
    def get_last_lr(self) -> list[LR]:
        return [*self.base_lrs]


class HandsOut(Decay):
    """Hands out the live tensors."""

    def get_last_lr(self) -> list[LR]:
        super().get_last_lr()
        return [group["lr"] for group in self.optimizer.param_groups]


class OneList(Decay):
    """Hands out one list, and fills it anew at each step."""

    def __init__(self) -> None:
        self.last: list[LR] = []

    def get_last_lr(self) -> list[LR]:
        self.last[:] = super().get_last_lr()
        return self.last


class CountsCalls(Decay):
    def __init__(self) -> None:
        self.calls = 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.calls = -1
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        self.calls += 1
        return [lr * 0.9**self.calls for lr in self.base_lrs]


class Memo(Decay):
    """Keeps what it worked out for an epoch; that is no change."""

    def __init__(self) -> None:
        self.memo: dict[str, float] = {}

    def get_lr(self) -> Any:
        self.memo = {"epoch": float(self.last_epoch), "factor": self.factor()}
        return super().get_lr()


class WritesInGetLR(Chained):
    def get_lr(self) -> Any:
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * (0.9 if self.last_epoch else 1.0)
        return [group["lr"] for group in self.optimizer.param_groups]


class FillsInGetLR(Chained):
    def get_lr(self) -> Any:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor) and self.last_epoch:
                group["lr"].mul_(0.9)
            elif self.last_epoch:
                return super().get_lr()
        return [group["lr"] for group in self.optimizer.param_groups]


class Alternates(Decay):
    def __init__(self) -> None:
        self.seen = 0

    def get_lr(self) -> Any:
        self.seen = 1 - self.seen
        return [lr * (1 + self.seen * 1e-3) for lr in super().get_lr()]


class OwnStepAtomic(Decay):
    def step(self, epoch: int | None = None) -> None:
        self.optimizer  # noqa: B018
        super().step(epoch)


class CountsTwice(Decay):
    """Goes on by one before it has new lrs."""

    def step(self, epoch: int | None = None) -> None:
        self.optimizer  # noqa: B018
        self.last_epoch += 1
        lrs = self.get_lr()
        self.last_epoch -= 1
        if len(lrs) != len(self.optimizer.param_groups):
            self.last_epoch += 1
            raise ValueError("wrong count")
        super().step(epoch)


pair("step", "last_epoch after a step: expected 4, saw 5", Doubles, OwnStep)
pair("step", "last_epoch after a step: expected 6, saw 5", StandsStill, OwnStep)
pair("last_lr", "get_last_lr(): expected 0.1, saw 0.09", Says, SaysSo)
pair("last_lr", "get_last_lr()", SaysBase, SaysSo)
pair("last_lr_history", "what get_last_lr() returned, in the end", HandsOut, SaysSo)
pair("last_lr_history", "what get_last_lr() returned, in the end", OneList, SaysSo)
pair("pure", "get_lr(), the second time", CountsCalls, Memo)
pair("pure", "get_lr(), the second time", WritesInGetLR, Chained)
pair("pure", "get_lr()", FillsInGetLR, Chained)
pair("pure", "get_lr(), the second time", Alternates, Memo)
pair("step_atomic", "last_epoch: expected 0, saw 1", OwnLoop, OwnStepAtomic)
pair("step_atomic", "last_epoch: expected 0, saw 1", CountsTwice, OwnStepAtomic)


# What else is written


class Momentum(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            group["momentum"] = 0.9


class Marks(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        for group in optimizer.param_groups:
            group["max_lr"] = 1.0


class Shrinks(Decay):
    """Decays the weights as well."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        with torch.no_grad():
            for group in self.optimizer.param_groups:
                for param in group["params"]:
                    param.mul_(0.999).sub_(1e-3)


class Resets(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.optimizer.state.clear()


class ReadsMomentum(Decay):
    def factor(self) -> float:
        group = self.optimizer.param_groups[0]
        return 0.9**self.last_epoch * (1.0 if group["momentum"] >= 0 else 0.5)


class DecayOfWeights(Decay):
    """Is about another option than lr."""

    def __init__(self) -> None:
        super().__init__(option="weight_decay")


class WritesBoth(DecayOfWeights):
    """Keeps the product of lr and weight decay."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] /= 0.9


class NotesStart(DecayOfWeights):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["weight_decay"])


class LateWeights(DecayOfWeights):
    def lr_at(self, epoch: Any) -> list[float]:
        return [lr * 0.9 ** (epoch + 1) for lr in self.base_lrs]


class Jitters(Decay):
    def factor(self) -> float:
        return 0.9**self.last_epoch * (1 + 1e-3 * random.random())


class Seeds(Decay):
    """Reseeds the global generator, so that its own lrs are the same each time."""

    def factor(self) -> float:
        torch.manual_seed(self.last_epoch)
        return 0.9**self.last_epoch * (1 + 1e-3 * float(torch.rand(())))


class OwnGenerator(Decay):
    def factor(self) -> float:
        return 0.9**self.last_epoch * (1 + 1e-3 * random.Random(self.last_epoch).random())


class Ages(Decay):
    """Each one is a little different from those before it."""

    born: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self) -> None:
        self.age = next(self.born)

    def factor(self) -> float:
        return 0.9**self.last_epoch / (1 + self.age)


class Named(Decay):
    born: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self) -> None:
        self.name = f"decay {next(self.born)}"


class Pops(Policy):
    """Takes the milestones that it was given, one by one, off the caller's own list."""

    def __init__(self, milestones: list[int]) -> None:
        self.milestones = milestones

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        while self.milestones and self.milestones[0] <= self.last_epoch:
            self.milestones.pop(0)

    def get_lr(self) -> Any:
        hit = self.last_epoch in self.milestones
        return [g["lr"] * (0.5 if hit else 1.0) for g in self.optimizer.param_groups]


class Sorts(Policy):
    def __init__(self, milestones: list[int]) -> None:
        milestones.sort()
        self.milestones = milestones

    def get_lr(self) -> Any:
        past = sum(milestone <= self.last_epoch for milestone in self.milestones)
        return [lr * 0.5**past for lr in self.base_lrs]


class Sorted(Sorts):
    def __init__(self, milestones: list[int]) -> None:
        self.milestones = sorted(milestones)


class SharedClock(Decay):
    """Keeps its epoch on the class."""

    clock: ClassVar[dict[str, int]] = {"t": 0}

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.clock["t"] = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.clock["t"] += 1
        super().step(epoch)

    def factor(self) -> float:
        return 0.9 ** self.clock["t"]


class OwnClock(SharedClock):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.clock = {"t": 0}  # type: ignore[misc]
        Policy.set_optimizer(self, optimizer, last_epoch)


class SharedDefault(Decay):
    def __init__(self, steps: list[int] = [0]) -> None:  # noqa: B006
        self.steps = steps

    def step(self, epoch: int | None = None) -> None:
        self.steps[0] += 1
        super().step(epoch)

    def factor(self) -> float:
        return float(0.9 ** self.steps[0])

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.steps[0] = 0
        super().set_optimizer(optimizer, last_epoch)


class OwnDefault(SharedDefault):
    def __init__(self) -> None:
        super().__init__([0])


class First(Decay):
    """Sets all groups by the first."""

    def get_lr(self) -> Any:
        return [super().get_lr()[0]] * len(self.base_lrs)


class Swaps(Decay):
    def get_lr(self) -> Any:
        return [*super().get_lr()][::-1]


class Mean(Decay):
    def get_lr(self) -> Any:
        lrs = super().get_lr()
        return [(lr + sum(lrs) / len(lrs)) / 2 for lr in lrs]


class Layers(Decay):
    """Layer by layer: the lr depends on the number of groups and on the position."""

    def get_lr(self) -> Any:
        lrs = super().get_lr()
        return [lr * 0.8 ** (len(lrs) - 1 - i) for i, lr in enumerate(lrs)]


class Warns(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        warnings.warn("a lr was changed", stacklevel=2)


class WarnsLate(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch > 1000:
            warnings.warn("a long run", stacklevel=2)


class Hushes(Decay):
    """Steps without torch's warning on the order of calls."""

    def step(self, epoch: int | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().step(epoch)


class Filters(Decay):
    def step(self, epoch: int | None = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            super().step(epoch)


class LateForm(Decay):
    def lr_at(self, epoch: Any) -> list[float]:
        return [float(lr) * 0.9 ** (epoch + 1) for lr in self.base_lrs]


class Form(Decay):
    def lr_at(self, epoch: Any) -> list[float]:
        return [float(lr) * 0.9**epoch for lr in self.base_lrs]


class UnsavedForm(Decay):
    """Has a closed form from the starts of this run, also where another one was loaded."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.starts = [*self.base_lrs]

    def lr_at(self, epoch: Any) -> list[float]:
        return [lr * 0.9**epoch for lr in self.starts]

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("starts")


class SavedForm(UnsavedForm):
    def state_dict(self) -> dict[str, Any]:
        return Policy.state_dict(self)


class PresentForm(Decay):
    """Ignores the epoch, past where it is constant."""

    def lr_at(self, epoch: Any) -> list[float]:
        return [float(lr) for lr in self.get_last_lr()]


class OldForm(Decay):
    def _get_closed_form_lr(self) -> list[float]:
        return [float(lr) * 0.9 ** max(self.last_epoch - 1, 0) for lr in self.base_lrs]


class NewForm(Decay):
    def _get_closed_form_lr(self) -> list[float]:
        return [float(lr) * 0.9**self.last_epoch for lr in self.base_lrs]


class OneLate(Decay):
    def factor(self) -> float:
        return 0.9 ** max(self.last_epoch - 1, 0)


class OneEarly(Decay):
    def factor(self) -> float:
        return 0.9 ** (self.last_epoch + 1)


pair("only_lr", "after a step, group 0, lr: expected 0.1", WritesBoth, DecayOfWeights)
pair("only_lr", "after binding, group 0, initial_lr: expected nothing", NotesStart, DecayOfWeights)
pair(
    "closed_form", "lr_at(0), asked at epoch 0: expected 0.1, saw 0.09", LateWeights, DecayOfWeights
)
pair("only_lr", "momentum: expected 0.25, saw 0.9", Momentum, ReadsMomentum)
pair("only_lr", "max_lr", Marks, Notes)
pair("only_lr", "params", Shrinks, OwnStep)
pair("only_lr", "the optimizer's state", Resets, OwnStep)
pair("rng", "the global generator of", Jitters, OwnGenerator)
pair("rng", "the global generator of torch: expected left where it was", Seeds, OwnGenerator)
pair("deterministic", "the lrs of a later run", Ages, Named)
pair("deterministic", "the lrs of a later run", Jitters, OwnGenerator)
milestones = [8, 4]
pair("keeps_arguments", "the arguments, after a run", lambda: Pops(milestones), Decay)
pair("keeps_arguments", "milestones", lambda: Sorts(milestones), lambda: Sorted(milestones))
pair("independent", "the lrs of a policy after another one was used", SharedClock, OwnClock)
pair("independent", "the lrs of a policy after another one was used", SharedDefault, OwnDefault)
pair("group_alone", "the lrs where that of group 0 is 0.5", First, Layers)
pair("group_alone", "the lrs where that of group", Swaps, Layers)
pair("group_alone", "the lrs where that of group", Mean, Layers)
pair("quiet", "expected no warning, saw UserWarning: a lr was changed", Warns, WarnsLate)
pair("order_warning", "a step before optimizer.step(): expected torch's", Hushes, Filters)
pair("closed_form", "lr_at(0), asked at epoch 0: expected 0.1, saw 0.09", LateForm, Form)
pair("closed_form", "lr_at(1), asked at epoch 0: expected 0.09", PresentForm, Form)
pair("closed_form", "lr_at(0), loaded at epoch 0: expected 0.1, saw 0.7", UnsavedForm, SavedForm)
pair("closed_form", "_get_closed_form_lr()", OldForm, NewForm)
pair("values", "the lr: expected 0.09", OneLate, Decay, expected=base)
pair("values", "the lr: expected 0.1, saw 0.09", OneEarly, Decay, expected=base)
pair("values", "the lr: expected 0.1, saw 0.2", Swaps, Decay, groups=2, expected=base)


# Checkpoints


class ForgetsCount(Counts):
    """Leaves its counter out of the state."""

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("count")


class Hidden(Decay):
    """Keeps its counter where no state looks for it."""

    def __init__(self) -> None:
        self.steps = threading.local()
        self.steps.n = 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.steps.n = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.steps.n += 1
        super().step(epoch)

    def factor(self) -> float:
        return float(0.9**self.steps.n)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("steps")


class ForgetsHistory(Policy):
    """The mean of the last lr and of a target, with a history that no state has."""

    def __init__(self) -> None:
        self.before: list[float] = []

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.before = []
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.before = [*self.before, float(self.last_epoch)][-50:]
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr / (1 + sum(self.before)) for lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("before")


class History(ForgetsHistory):
    def state_dict(self) -> dict[str, Any]:
        return Policy.state_dict(self)


class ForgetsBase(Decay):
    """Goes on with the lrs of the fresh optimizer."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        mine = [*self.base_lrs]
        super().load_state_dict(state_dict)
        self.base_lrs = mine


class ForgetsEpoch(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "last_epoch": 0})


class LoadsLate(Decay):
    """One epoch ahead after each load."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.last_epoch += 1


class Loads(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(dict(state_dict))


class FromGroups(Chained):
    """Leaves the lrs to the optimizer's state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        super().load_state_dict(state_dict)
        for group, lr in zip(self.optimizer.param_groups, lrs):
            group["lr"] = lr


class SavesItself(Decay):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "factor_now": Ratio(self.factor())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "factor_now"})


@dataclass
class Ratio:
    value: float


class SavesNumber(SavesItself):
    def state_dict(self) -> dict[str, Any]:
        return {**Policy.state_dict(self), "factor_now": self.factor()}


class SavesTuple(Decay):
    """Has an attribute that no safe load reads."""

    def __init__(self) -> None:
        self.ratio = Ratio(0.9)


class SavesTensor(Decay):
    def __init__(self) -> None:
        self.ratio = torch.tensor(0.9)


class LiveState(History):
    """Gives out its own list."""

    def step(self, epoch: int | None = None) -> None:
        self.before.append(float(self.last_epoch))
        del self.before[:-50]
        Policy.step(self, epoch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "before": self.before}


class CopiedState(LiveState):
    def state_dict(self) -> dict[str, Any]:
        return Policy.state_dict(self)


class PopsState(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state_dict.pop("_step_count", None)
        super().load_state_dict(state_dict)


class KeepsState(History):
    """Takes the list out of the state that it loads."""

    def step(self, epoch: int | None = None) -> None:
        self.before.append(float(self.last_epoch))
        del self.before[:-50]
        Policy.step(self, epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.before = state_dict["before"]


class CopiesState(KeepsState):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        Policy.load_state_dict(self, state_dict)
        self.before = [*state_dict["before"]]


class Accumulates(Counts):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        count = self.count
        super().load_state_dict(state_dict)
        self.count += count


class Restores(Counts):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.count = int(state_dict["count"])


class Swallows(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(state_dict, dict) and "last_epoch" in state_dict:
            super().load_state_dict(state_dict)


class HalfLoads(Decay):
    """Writes what it finds, and then looks at the rest."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, state_dict["_last_lr"]):
            group["lr"] = lr
        super().load_state_dict(state_dict)


pair("resume", "the lr of a run resumed at epoch 1", ForgetsCount, Counts)
pair("resume", "the lr of a run resumed at epoch", Hidden, Counts)
pair("resume", "the lr of a run resumed at epoch", ForgetsHistory, History)
pair("resume", "the lr of a run resumed at epoch 0", ForgetsBase, Loads)
pair("resume", "after loading, last_epoch: expected 1, saw 0, at epoch 1", ForgetsEpoch, Loads)
pair("resume", "after loading, last_epoch: expected 0, saw 1", LoadsLate, Loads)
pair("resume_alone", "without the optimizer's state: expected 0.1, saw 0.7", FromGroups, Chained)
pair("resume_any_order", "a run loaded in the order", ForgetsBase, Loads)
pair("state_weights_only", "the state with weights_only=True", SavesItself, SavesNumber)
pair("state_weights_only", "TypeError: SavesTuple.ratio is", SavesTuple, SavesTensor)
pair("state_snapshot", "a state, after the next step", LiveState, CopiedState)
pair("load_argument", "the state that was loaded", PopsState, Loads)
pair("load_argument", "the state that was loaded, after a step", KeepsState, CopiesState)
pair("load_repeatable", "the lr of a run taken back", Accumulates, Restores)
pair("load_rejects", "loading garbage (None): expected an error, saw no error", Swallows, Loads)
pair("load_rejects", "after loading garbage (no last_epoch)", HalfLoads, Loads)


# Tensors


class ReplacesTensor(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].clone()


class Floats(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        for group in optimizer.param_groups:
            group["lr"] = float(group["lr"])


class Rounds(Decay):
    """Answers in tensors where the groups hold some."""

    dtype = torch.float16

    def get_lr(self) -> Any:
        pairs = zip(self.optimizer.param_groups, super().get_lr())
        return [
            torch.tensor(lr, dtype=self.dtype) if isinstance(group["lr"], Tensor) else lr
            for group, lr in pairs
        ]


class Widens(Rounds):
    dtype = torch.float64


class LiveBase(Decay):
    """Records the live tensors as base_lrs."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]


class OwnBase(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.base_lrs = [copy.deepcopy(group["lr"]) for group in optimizer.param_groups]


class LiveInitial(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]


class SetsInitial(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        for group, lr in zip(optimizer.param_groups, self.base_lrs):
            group["initial_lr"] = copy.deepcopy(lr)


class Flattens(Decay):
    """Takes only lrs of no dimension."""

    def get_lr(self) -> Any:
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        if any(isinstance(lr, Tensor) and lr.ndim for lr in lrs):
            raise TypeError("a lr must have no dimension")
        return super().get_lr()


class FromLive(Decay):
    """Makes each lr of the one before it, on the device that holds that."""

    def get_lr(self) -> Any:
        factor = 0.9 if self.last_epoch else 1.0
        return [self.made_of(group["lr"] * factor) for group in self.optimizer.param_groups]

    def made_of(self, lr: Any) -> Any:
        return lr


class Reads(FromLive):
    """Waits for the GPU."""

    def made_of(self, lr: Any) -> Any:
        return float(lr)


class Compares(FromLive):
    """Waits for the GPU where it compares."""

    def made_of(self, lr: Any) -> Any:
        return lr if lr > 0.01 else lr * 1.0


class Items(FromLive):
    def made_of(self, lr: Any) -> Any:
        return lr.item() if isinstance(lr, Tensor) else lr


class Fetches(FromLive):
    def made_of(self, lr: Any) -> Any:
        return lr.cpu() if isinstance(lr, Tensor) else lr


class Floors(FromLive):
    """Compares on the device."""

    def made_of(self, lr: Any) -> Any:
        return lr.clamp(min=0.01) if isinstance(lr, Tensor) else max(lr, 0.01)


class ReadsAtBinding(Decay):
    """Reads on the host what its binding has read there."""

    def get_lr(self) -> Any:
        return [float(lr) * self.factor() for lr in self.base_lrs]


class Replays(FromLive):
    """Goes through all epochs so far at each step."""

    def made_of(self, lr: Any) -> Any:
        for _ in range(self.last_epoch):
            lr = lr * 1.0
        return lr


class Powers(FromLive):
    """Has a second phase with more to do."""

    def made_of(self, lr: Any) -> Any:
        return lr * 0.5 * 2.0 if self.last_epoch > 4 else lr


pair("tensor_identity", "expected the tensor that it held", ReplacesTensor, Decay)
pair("tensor_identity", "saw 0.1", Floats, Decay)
pair("tensor_trace", "the lr as a tensor of torch.float64", Rounds, Widens)
pair("tensor_storage", "base_lrs: expected memory of its own", LiveBase, OwnBase)
pair("tensor_storage", "initial_lr: expected memory of its own", LiveInitial, SetsInitial)
pair("tensor_storage", "get_last_lr(): expected memory of its own", HandsOut, SaysSo)
pair("tensor_shape", "a lr must have no dimension", Flattens, Decay)
pair("gpu_sync", "no wait for the device", Reads, ReadsAtBinding)
pair("gpu_sync", "_local_scalar_dense", Compares, Floors)
pair("gpu_sync", "_local_scalar_dense", Items, Floors)
pair("gpu_sync", "_to_copy", Fetches, Floors)
pair("gpu_launches", "kernels a step: expected no growth", Replays, Powers)


# Copies


class Locked(Decay):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("lock")


class LockedOnce(Decay):
    lock = threading.Lock()


class OwnLambda(Decay):
    def __init__(self) -> None:
        self.rule: Callable[[int], float] = lambda t: 0.9**t

    def factor(self) -> float:
        return self.rule(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("rule")


class GivenLambda(Decay):
    def __init__(self, rule: Callable[[int], float]) -> None:
        self.rule = rule

    def factor(self) -> float:
        return self.rule(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("rule")


class CopyIsSelf(Decay):
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class CopyForgets(Counts):
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = type(self)()
        memo[id(self)] = new
        if hasattr(self, "optimizer"):
            new(copy.deepcopy(self.optimizer, memo))
        return new


class PickleForgets(Counts):
    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.count = 0


class PickleKeeps(Counts):
    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.count = int(self.count)


class Cycle(Decay):
    def __init__(self) -> None:
        self.rule = self.factor

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("rule")


class CycleAtBinding(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        vars(optimizer)["policy"] = self


class Registry(Decay):
    """Keeps every policy alive."""

    all: ClassVar[list[Any]] = []

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.all.append(self)


pair("deepcopy", "copy.deepcopy of a new policy", Locked, LockedOnce)
pair("deepcopy", "the copy is the policy itself", CopyIsSelf, Decay)
pair("deepcopy", "the lrs of a copy made at epoch", CopyForgets, Counts)
pair("pickle", "pickling a new policy: expected no error", Locked, LockedOnce)
pair("pickle", "OwnLambda", OwnLambda, lambda: GivenLambda(lambda t: 0.9**t))
pair("pickle", "the lrs of a policy pickled at epoch", PickleForgets, PickleKeeps)
pair("no_cycle", "the policy, when its last name is gone", Cycle, OwnStep)
pair("no_cycle", "saw kept alive by a reference cycle", CycleAtBinding, Notes)
pair("no_cycle", "saw kept alive by something outside", Registry, Notes)


# With other schedulers


class StartsNowhere(Decay):
    """Has nothing to do at the start: binding has done it."""

    def _initial_step(self) -> None:
        pass


class StartsAgain(Decay):
    def _initial_step(self) -> None:
        super()._initial_step()


class Alone(Decay):
    """Refuses an optimizer that another scheduler has seen."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if any("initial_lr" in group for group in getattr(optimizer, "param_groups", [])):
            raise ValueError("the optimizer has a scheduler")
        super().set_optimizer(optimizer, last_epoch)


class FixedCount(Decay):
    """Remembers how many groups there were."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.n = len(optimizer.param_groups)
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [lr * self.factor() for lr in self.base_lrs[: self.n]]


class LooksUp(Decay):
    """Has a list of what each group starts from, made when it was bound."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if isinstance(optimizer, Optimizer):
            self.starts = [copy.deepcopy(group["lr"]) for group in optimizer.param_groups]
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [self.starts[i] * self.factor() for i in range(len(self.optimizer.param_groups))]


class Splits(Decay):
    """Shares one budget between the groups: each has less where there are more."""

    def get_lr(self) -> Any:
        return [lr / len(self.base_lrs) for lr in super().get_lr()]


class StartsAnew(Decay):
    """Starts again where a group has come."""

    def step(self, epoch: int | None = None) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        super().step(epoch)


pair("sequential", "the lr inside SequentialLR", StartsNowhere, StartsAgain)
pair("sequential", "the optimizer has a scheduler", Alone, Decay)
pair("chained", "the optimizer has a scheduler", Alone, Decay)
pair("late_group", "got 1 lrs from get_lr() and 2 param groups", FixedCount, Decay)
pair("late_group", "IndexError", LooksUp, Decay)
pair("late_group", "the lr of an older group", StartsAnew, Splits)


# What only some of them do


class SlotString(Decay):
    """Counts in get_lr, in a slot whose name is written as one string."""

    __slots__ = "count"

    def __init__(self) -> None:
        self.count = 0

    def get_lr(self) -> Any:
        self.count += 1
        return super().get_lr()


class SlotStringOfGamma(Decay):
    __slots__ = "gamma"

    def __init__(self) -> None:
        self.gamma = 0.9

    def factor(self) -> float:
        return self.gamma**self.last_epoch


class StepsOddly(Decay):
    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 0:
            raise ValueError("bind first")
        super().step(epoch)


class WritesInfinity(Decay):
    """Writes behind the back of what checks."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch == 5:
            self.optimizer.param_groups[-1]["lr"] = math.inf


class InfinityForNew(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.n = len(optimizer.param_groups)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups[self.n :]:
            group["lr"] = math.inf


class ScalarForm(Decay):
    def lr_at(self, epoch: Any) -> Any:
        return 0.1 * 0.9**epoch


class LocksLate(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.lock = threading.Lock()

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("lock")


pair("pure", "after get_lr(), count: expected", SlotString, SlotStringOfGamma)
pair("construct", "saw ValueError('bind first')", StepsOddly, OwnStep)
pair("lr_per_group", "the lr: expected a finite number, saw inf", WritesInfinity, OwnStep)
pair("late_group", "the lr after a group was added: expected a number", InfinityForNew, Notes)
pair("closed_form", "expected a list with one lr a group, saw 0.1", ScalarForm, Form)
pair("deepcopy", "copy.deepcopy of one in use", LocksLate, LockedOnce)
pair("pickle", "pickling one in use", LocksLate, LockedOnce)


# What is easily forgotten


class OneAnswer(Decay):
    """Saves making a list."""

    def __init__(self) -> None:
        self.answer: list[LR] = []

    def get_lr(self) -> Any:
        self.answer[:] = super().get_lr()
        return self.answer


class OwnAnswer(OneAnswer):
    def get_lr(self) -> Any:
        return [*super().get_lr()]


class CyclesBetas(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (0.85, 0.999)


class ReadsBetas(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.betas = [list(g["betas"]) for g in self.optimizer.param_groups if "betas" in g]


class ClearsGradients(Decay):
    """Is called once an epoch, when it is a good time to."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.optimizer.zero_grad()


class Freezes(Decay):
    """Trains the first groups no longer when their lr is small."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch >= 5:
            for param in self.optimizer.param_groups[0]["params"]:
                param.requires_grad_(False)


class KeepsDefaults(Decay):
    """Lets groups that are added later begin where the others are."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.optimizer.defaults["lr"] = self.optimizer.param_groups[0]["lr"]


class ReplacesGroups(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.optimizer.param_groups[:] = [dict(group) for group in self.optimizer.param_groups]


class MoreThreads(Decay):
    def __init__(self) -> None:
        torch.set_num_threads(torch.get_num_threads() + 1)


class MovesInitial(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr()):
            group["initial_lr"] = lr


class HidesWarnings(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")


class SetsDtype(Decay):
    def __init__(self) -> None:
        torch.set_default_dtype(torch.float64)
        self.table = torch.ones(3)


class GivesDtype(Decay):
    def __init__(self) -> None:
        self.table = torch.ones(3, dtype=torch.float64)


class ClassCache(Decay):
    """Works each epoch out once, for all policies there are."""

    known: ClassVar[dict[int, list[LR]]] = {}

    def get_lr(self) -> Any:
        return [*self.known.setdefault(self.last_epoch, super().get_lr())][: len(self.base_lrs)]


class FactorCache(Decay):
    known: ClassVar[dict[int, float]] = {}

    def factor(self) -> float:
        return self.known.setdefault(self.last_epoch, super().factor())


_starts: dict[int, LR] = {}


def _start(i: int, lr: LR) -> LR:
    return _starts.setdefault(i, lr)


class GlobalStarts(Decay):
    """Keeps in a global what each group starts from."""

    def get_lr(self) -> Any:
        return [_start(i, lr) * self.factor() for i, lr in enumerate(self.base_lrs)]


class SetsWhenAsked(Decay):
    """Sees to it that the groups hold what it says."""

    def get_last_lr(self) -> list[LR]:
        if isinstance(self.optimizer.param_groups[0]["lr"], float):
            for group, lr in zip(self.optimizer.param_groups, self.get_lr()):
                group["lr"] = lr
        return super().get_last_lr()


class SaysWhatItWrote(Decay):
    """Keeps what it wrote last, as the schedulers of torch do."""

    def __init__(self) -> None:
        self.wrote: list[float] = []

    def get_lr(self) -> Any:
        self.wrote = super().get_lr()
        return [*self.wrote]

    def get_last_lr(self) -> list[LR]:
        return [*self.wrote]


class LoadsTensors(Decay):
    """Hands the lrs of the state to the groups."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr()):
            group["lr"] = lr


class LoadsCountFirst(Counts):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(state_dict, dict):
            self.count = state_dict.get("count", 0)
        super().load_state_dict(state_dict)


class AddsUp(Decay):
    """Counts the epochs of all the runs that went into it."""

    def __init__(self) -> None:
        self.total = 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.total = 0

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.total += 1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        total = self.total
        super().load_state_dict(state_dict)
        self.total += total


class Totals(AddsUp):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.total = state_dict["total"]


class WarnsOnLoading(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        warnings.warn("load the optimizer's state too", stacklevel=2)


class Prints(Decay):
    """Notes the lr as text, which waits for the GPU."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.note = f"epoch {self.last_epoch}: {self.optimizer.param_groups[0]['lr']}"


class PrintsEpoch(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.note = f"epoch {self.last_epoch}"


class BindsOnce(Decay):
    """Has nothing to do where it has that optimizer."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if getattr(self, "optimizer", None) is not optimizer:
            super().set_optimizer(optimizer, last_epoch)


class CopiesItsKind(Decay):
    """Makes a new one of its arguments."""

    def __reduce__(self) -> Any:
        return type(self), ()


class LeavesLater(Decay):
    """Sets the groups that it knows, and leaves the others as they are."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.n = len(optimizer.param_groups)

    def get_lr(self) -> Any:
        later = [group["lr"] for group in self.optimizer.param_groups]
        n = getattr(self, "n", len(later))
        return [*super().get_lr()[:n], *later[n:]]


class SavesNumpy(Decay):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "factor": np.float64(0.9)}


pair("pure", "what get_lr() returned, in the end: expected 0.1", OneAnswer, OwnAnswer)
pair("only_lr", "after a step, group 0, betas", CyclesBetas, ReadsBetas)
pair("only_lr", "after a step, group 0, gradients", ClearsGradients, OwnStep)
pair("only_lr", "group 0, requires_grad: expected [True], saw [False]", Freezes, OwnStep)
pair("only_lr", "the optimizer's defaults", KeepsDefaults, OwnStep)
pair("only_lr", "initial_lr after a step", MovesInitial, SetsInitial)
pair("only_lr", "the param group after a step: expected the same dict", ReplacesGroups, OwnStep)
pair("settings", "the number of threads", MoreThreads, Decay)
pair("settings", "the warnings filters, after a run: expected as they were", HidesWarnings, Filters)
pair("settings", "the default dtype: expected torch.float32", SetsDtype, GivesDtype)
pair("independent", "the lrs of a policy bound while another is in use", ClassCache, FactorCache)
pair("independent", "the lrs of a policy bound while another", GlobalStarts, FactorCache)
pair("last_lr", "a lr that somebody set, after get_last_lr()", SetsWhenAsked, SaysSo)
pair("last_lr", "get_last_lr(), after somebody set the lr", SaysWhatItWrote, SaysSo)
pair("tensor_resume", "the lr in the group, after loading", LoadsTensors, Loads)
pair("load_rejects", "after loading garbage (no last_epoch), count", LoadsCountFirst, Restores)
pair("load_repeatable", "a policy that has loaded it, total: expected 0, saw 1", AddsUp, Totals)
pair("quiet", "saving and loading: expected no warning", WarnsOnLoading, Loads)
pair("gpu_sync", "it is read, by __format__", Prints, PrintsEpoch)
pair("rebind", "last_epoch after binding to the same optimizer again", BindsOnce, ReturnsItself)
pair("deepcopy", "the policy has: expected its copied optimizer", CopiesItsKind, PickleKeeps)
pair("pickle", "the policy has: expected its copied optimizer", CopiesItsKind, PickleKeeps)
pair("late_group", "the lr of a group added at epoch", LeavesLater, Decay)
pair("state_weights_only", "refuses numpy", SavesNumpy, SavesNumber)


# What was found in review, once each.


class SeedsTheSame(Decay):
    """Draws nothing after it, so that the generator is where another 0 would have put it."""

    def factor(self) -> float:
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        return 0.9**self.last_epoch


class SeedsOnLoading(Loads):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        random.seed(1)


class GoesWhereItIsAsked(Form):
    def lr_at(self, epoch: Any) -> list[float]:
        self.last_epoch = epoch
        return super().lr_at(epoch)


class KeepsParams(WritesOld):
    """Only keeps the params alive, and no optimizer."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        Policy.set_optimizer(self, optimizer, last_epoch)
        self.all.extend(group["params"] for group in optimizer.param_groups)

    def step(self, epoch: int | None = None) -> None:
        Policy.step(self, epoch)


class LoadsMomentum(Loads):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.optimizer.param_groups:
            group["momentum"] = 0.9


pair("rng", "the global generator of random: expected left where it was", SeedsTheSame, Decay)
pair("rng", "the global generator of random: expected left where it was", SeedsOnLoading, Loads)
pair("closed_form", "the lr of a run that was asked", GoesWhereItIsAsked, Form)
pair("rebind_frees", "a param of the old optimizer: expected freed", KeepsParams, Replaces)
pair("only_lr", "after saving and loading, group 0, momentum", LoadsMomentum, Loads)
