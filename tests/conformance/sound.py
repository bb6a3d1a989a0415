"""Sound policies of every kind that a suite could take for a broken one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch
from thunder_policy.conformance import Subject


class Counter(Policy):
    """Has internal counters, which a binding sets back."""

    def __init__(self, every: int = 3) -> None:
        self.every = every
        self.steps = self.drops = 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.steps = self.drops = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.steps += 1
        if self.steps % self.every == 0:
            self.drops += 1
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr * 0.5**self.drops for lr in self.base_lrs]


class CounterAfter(Counter):
    """Counts after the step: its lrs are one epoch later."""

    def step(self, epoch: int | None = None) -> None:
        Policy.step(self, epoch)
        self.steps += 1
        self.drops = self.steps // self.every


class Table(Policy):
    """Keeps a tensor in its state."""

    def __init__(self, n: int = 50) -> None:
        self.table = torch.linspace(1.0, 0.1, n, dtype=torch.float64)

    def get_lr(self) -> Any:
        return [lr * float(self.table[self.last_epoch]) for lr in self.base_lrs]


class Average(Policy):
    """Keeps a running average as a tensor that changes with each step."""

    def __init__(self) -> None:
        self.average = torch.zeros((), dtype=torch.float64)

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.average = torch.zeros((), dtype=torch.float64)
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.average = 0.9 * self.average + 0.1 * self.last_epoch
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr / (1 + float(self.average)) for lr in self.base_lrs]


class Warmup(Policy):
    """A warm-up around another policy, by its closed form."""

    def __init__(self, after: MappingPolicy[Any], epochs: int = 5) -> None:
        self.after, self.epochs = after, epochs

    def get_lr(self) -> Any:
        scale = min(1.0, (self.last_epoch + 1) / self.epochs)
        return [self.after.lr_at(self.last_epoch)[0] * scale for _ in self.base_lrs]


class BoundWarmup(Policy):
    """A warm-up around another policy that is bound and stepped with it."""

    def __init__(self, after: Policy, epochs: int = 5) -> None:
        self.after, self.epochs = after, epochs

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.after.set_optimizer(optimizer, last_epoch)
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.after.step(epoch)
        super().step(epoch)

    def get_lr(self) -> Any:
        scale = min(1.0, (self.last_epoch + 1) / self.epochs)
        return [lr * scale for lr in self.after.get_last_lr()]


class Parts(Policy):
    """Keeps a list of policies that are configuration."""

    def __init__(self, *parts: MappingPolicy[Any]) -> None:
        self.parts = [*parts]

    def get_lr(self) -> Any:
        lr = sum(part.lr_at(self.last_epoch)[0] for part in self.parts)
        return [lr] * len(self.base_lrs)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("parts")


class FromLast(Policy):
    """Each lr depends on the one before it."""

    def get_lr(self) -> Any:
        if self.last_epoch == 0:
            return [group["lr"] for group in self.optimizer.param_groups]
        return [0.9 * group["lr"] + 0.001 for group in self.optimizer.param_groups]


class FromOwnLast(Policy):
    """Keeps the scale that it came to."""

    def __init__(self) -> None:
        self.scale = 1.0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.scale = 1.0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.scale = 0.9 * self.scale + 0.01

    def get_lr(self) -> Any:
        return [lr * self.scale for lr in self.base_lrs]


class ListOnly(Policy):
    """Has one lr a group, given as a list, and refuses another number of groups."""

    def __init__(self, lrs: list[float]) -> None:
        self.lrs = lrs

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if isinstance(optimizer, Optimizer) and len(optimizer.param_groups) != len(self.lrs):
            raise ValueError(f"{len(self.lrs)} lrs and {len(optimizer.param_groups)} groups")
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [lr / (1 + self.last_epoch) for lr in self.lrs]


class Slots(Policy):
    __slots__ = ("count", "gamma")

    def __init__(self, gamma: float = 0.9) -> None:
        self.gamma, self.count = gamma, 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.count = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.count += 1
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr * self.gamma**self.count for lr in self.base_lrs]


@dataclass
class Data(Policy):
    """A mutable dataclass: compared by value, without a hash."""

    gamma: float = 0.9
    milestones: list[int] = field(default_factory=lambda: [2, 5])

    def get_lr(self) -> Any:
        past = sum(milestone <= self.last_epoch for milestone in self.milestones)
        return [lr * self.gamma**past for lr in self.base_lrs]


@dataclass
class CountingData(Policy):
    every: int = 4
    count: int = field(default=0, init=False)

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.count = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.count += 1
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr * 0.5 ** (self.count // self.every) for lr in self.base_lrs]


class LayerWise(Policy):
    """Depends on the number of groups, and on where a group stands."""

    def get_lr(self) -> Any:
        n = len(self.base_lrs)
        return [
            lr * 0.8 ** (n - 1 - i) / (1 + self.last_epoch) for i, lr in enumerate(self.base_lrs)
        ]


class LayerWiseOfTop(Policy):
    """Derives all from the lr of the last group."""

    def get_lr(self) -> Any:
        n, top = len(self.base_lrs), self.base_lrs[-1]
        return [top * 0.8 ** (n - 1 - i) / (1 + self.last_epoch) for i in range(n)]


class Budget(Policy):
    """Depends on the number of groups alone."""

    def get_lr(self) -> Any:
        return [lr / len(self.base_lrs) / (1 + self.last_epoch) for lr in self.base_lrs]


class Outside(Policy):
    """Goes on from a lr that somebody has changed from outside."""

    def get_lr(self) -> Any:
        drop = self.last_epoch > 0 and self.last_epoch % 4 == 0
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        return [lr * 0.5 for lr in lrs] if drop else lrs


class WeightDecay(Policy):
    """Reads another option of its group."""

    def get_lr(self) -> Any:
        pairs = zip(self.optimizer.param_groups, self.base_lrs)
        return [lr * 0.9**self.last_epoch / (1 + g["weight_decay"]) for g, lr in pairs]


class OwnState(Policy):
    """Writes and reads a state of its own shape."""

    def __init__(self) -> None:
        self.phase = {"name": "up", "since": 0}

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.phase = {"name": "up", "since": 0}
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch == 4:
            self.phase = {"name": "down", "since": 5}
        super().step(epoch)

    def get_lr(self) -> Any:
        factor = 1.1 if self.phase["name"] == "up" else 0.9
        return [lr * factor**self.last_epoch for lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        state = self.prepare_state_dict("phase")
        return {**state, "phase": [self.phase["name"], self.phase["since"]]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        name, since = state.pop("phase")
        super().load_state_dict(state)
        self.phase = {"name": name, "since": since}


class Cosine(Policy):
    """Ends at 0, and stays there."""

    def __init__(self, period: int = 8) -> None:
        self.period = period

    def get_lr(self) -> Any:
        phase = min(self.last_epoch, self.period) / self.period
        return [lr * (1 + math.cos(math.pi * phase)) / 2 for lr in self.base_lrs]


class Memoised(Policy):
    """Remembers on its class what it has worked out."""

    known: dict[int, float] = {}  # noqa: RUF012

    def get_lr(self) -> Any:
        factor = self.known.setdefault(self.last_epoch, 0.9**self.last_epoch)
        return [lr * factor for lr in self.base_lrs]


class Share(MappingPolicy[Mapping[int, float]]):
    """A MappingPolicy of one's own."""

    def get_lr(self) -> Any:
        mappings, starts = self.current_mapping or [], self.current_lr_init or []
        return [lr * m.get(self.last_epoch, 1.0) for m, lr in zip(mappings, starts)]


class Tensors(Policy):
    """Answers in tensors, of the default dtype where its lrs are floats."""

    def get_lr(self) -> Any:
        return [torch.as_tensor(lr) * 0.9**self.last_epoch for lr in self.base_lrs]


class Depth(Policy):
    """Layer-wise, with the number of groups of the binding."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.depth = len(optimizer.param_groups)
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [
            lr * 0.8 ** (self.depth - i) / (1 + self.last_epoch)
            for i, lr in enumerate(self.base_lrs)
        ]


class Highest(Policy):
    """Notes at its binding, once, which lrs there were."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.highest = max(float(group["lr"]) for group in optimizer.param_groups)

    def get_lr(self) -> Any:
        return [lr / (1 + self.last_epoch) for lr in self.base_lrs]


class Momentum(Policy):
    """Is about another option than lr."""

    def __init__(self) -> None:
        super().__init__(option="momentum")

    def get_lr(self) -> Any:
        return [momentum * (1 - 0.5**self.last_epoch / 2) for momentum in self.base_lrs]


def reciprocal(epoch: int) -> float:
    """Return a lr."""
    return 0.1 / (1 + epoch)


def made_locally() -> Policy:
    """Make a policy whose class no import finds."""

    class Local(Policy):
        def get_lr(self) -> Any:
            return [lr * 0.9**self.last_epoch for lr in self.base_lrs]

    return Local()


SOUND: dict[str, Subject | Callable[[], Any]] = {
    "switch": lambda: Switch({0: 0.5, 3: 0.1}),
    "switch, one list a group": lambda: Switch([{0: 0.5, 3: 0.1}, {2: 0.1}]),
    "multiply": lambda: Multiply({0: 0.5, 3: 0.1}),
    "multiply from the group's lr": lambda: Multiply({1: 0.5, 3: 0.1}, lr_init=None),
    "multiply, one lr_init a group": lambda: Multiply({2: 0.5}, lr_init=[0.1, 0.2, 0.3]),
    "schedule": lambda: Schedule(reciprocal),
    "schedule of a lambda": Subject(lambda: Schedule(lambda epoch: math.cos(epoch)), negative=True),
    "schedule, one a group": Subject(
        lambda: Schedule([reciprocal, math.cos]), groups=2, negative=True
    ),
    "scale": lambda: Scale(reciprocal),
    "scale of a lr_init": Subject(lambda: Scale(math.cos, lr_init=0.5), negative=True),
    "scale, one a group": Subject(lambda: Scale([reciprocal, math.cos]), groups=2, negative=True),
    "switch that overrides": lambda: Switch({0: 0.5, 3: 0.1}, on_load="override"),
    "multiply that overrides": lambda: Multiply({2: 0.5}, lr_init=0.25, on_load="override"),
    "schedule that overrides": lambda: Schedule(reciprocal, on_load="override"),
    "scale that overrides": lambda: Scale(reciprocal, lr_init=0.5, on_load="override"),
    "switch of weight decay": lambda: Switch({0: 0.5, 3: 0.1}, option="weight_decay"),
    "multiply of momentum": lambda: Multiply({1: 0.5, 3: 0.1}, option="momentum"),
    "schedule of momentum": lambda: Schedule(reciprocal, option="momentum"),
    "scale of weight decay": lambda: Scale(reciprocal, option="weight_decay"),
    "momentum of a policy of one's own": Momentum,
    "counter": Counter,
    "counter after the step": CounterAfter,
    "tensor in the state": Table,
    "tensor that changes": Average,
    "warm-up by closed form": lambda: Warmup(Switch({0: 0.5, 8: 0.1})),
    "warm-up, bound": lambda: BoundWarmup(Multiply({8: 0.1}, lr_init=None)),
    "warm-up, bound, of a policy with its own start": lambda: BoundWarmup(Switch({0: 0.5, 8: 0.1})),
    "warm-up, bound, of a schedule": lambda: BoundWarmup(Schedule(reciprocal)),
    "table as long as the run": Subject(lambda: Table(7), epochs=6),
    "answers in tensors": Tensors,
    "depth at the binding": Depth,
    "reads a lr at the binding": Highest,
    "policies in a list": lambda: Parts(Switch({0: 0.5, 8: 0.1}), Schedule(reciprocal)),
    "from the last lr": FromLast,
    "from an own record": FromOwnLast,
    "list only": Subject(lambda: ListOnly([0.3, 0.2]), groups=2),
    "slots": Slots,
    "dataclass": Data,
    "dataclass with a counter": CountingData,
    "layer-wise": LayerWise,
    "layer-wise from the top": LayerWiseOfTop,
    "budget": Budget,
    "outside change": Outside,
    "another option": WeightDecay,
    "a state of its own shape": OwnState,
    "cosine": Cosine,
    "memo on the class": Memoised,
    "mapping policy of one's own": lambda: Share({1: 0.5, 4: 0.1}),
    "class in a function": made_locally,
}
