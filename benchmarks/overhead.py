"""What a step of a scheduler costs: ours and torch's, measured side by side.

Each case pairs a policy with the scheduler of torch that does the same on the same kind of
optimizer. The two are timed in turn, block by block, so that whatever else the machine does falls
on both; a case reports medians and interquartile ranges over the blocks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import truediv
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR
from torch.utils.benchmark import Measurement, Timer

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch

Bind = Callable[[Optimizer], LRScheduler]

GROUPS = (1, 10, 100, 1000)
MILESTONES = (1000, 1_000_000)  # instead of two
SHAPE = (64, 64)  # of the one parameter that each group holds
LR = 0.1

# A block starts at epoch 1 and takes at most so many steps: it meets a milestone with each of them
# where these are every epoch, and none where they are far.
BLOCK_SECONDS, MOST_STEPS, LEAST_BLOCKS = 2e-4, 500, 3
EVERY, FAR = range(2 * MOST_STEPS), 10**9
GAMMA = 1 - 1e-6  # so many changes that any other would leave nothing of the lr


def schedule(epoch: int) -> float:
    """Return the lr, or the factor, that every schedule measured here gives."""
    return 0.5 + 1e-6 * epoch


class _Halved:
    base_lrs: Any  # floats in a policy; torch has tensors too

    def get_lr(self) -> list[float | Tensor]:
        return [lr * 0.5 for lr in self.base_lrs]


class HalvedPolicy(_Halved, Policy):
    """A policy with a `get_lr` of its own."""


class HalvedLR(_Halved, LRScheduler):
    """The same `get_lr` on torch's base class."""


class Pair(NamedTuple):
    """A policy and its counterpart, each made for a number of groups and of milestones."""

    against: str
    ours: Callable[[int, int], Bind]
    torchs: Callable[[int, int], Bind]


def far(count: int) -> list[int]:
    """Return milestones of which one is past and the others never come."""
    return [1, *range(FAR, FAR + count - 1)]


BETWEEN = {
    "Switch, between milestones": Pair(
        "MultiStepLR",
        lambda n, count: Switch(dict.fromkeys(far(count), 0.01), lr_init=None),
        lambda n, count: partial(MultiStepLR, milestones=far(count)),
    ),
    "Multiply, between milestones": Pair(
        "MultiStepLR",
        lambda n, count: Multiply(dict.fromkeys(far(count), 0.1), lr_init=None),
        lambda n, count: partial(MultiStepLR, milestones=far(count)),
    ),
}
AT = {
    "Switch, at a milestone": Pair(
        "MultiStepLR",
        lambda n, count: Switch({epoch: schedule(epoch) for epoch in EVERY}, lr_init=None),
        lambda n, count: partial(MultiStepLR, milestones=EVERY, gamma=GAMMA),
    ),
    "Multiply, at a milestone": Pair(
        "MultiStepLR",
        lambda n, count: Multiply(dict.fromkeys(EVERY, GAMMA), lr_init=None),
        lambda n, count: partial(MultiStepLR, milestones=EVERY, gamma=GAMMA),
    ),
}
CALLED = {
    "Schedule, one function": Pair(
        "LambdaLR",
        lambda n, count: Schedule(schedule),
        lambda n, count: partial(LambdaLR, lr_lambda=schedule),
    ),
    "Scale, one function": Pair(
        "LambdaLR",
        lambda n, count: Scale(schedule),
        lambda n, count: partial(LambdaLR, lr_lambda=schedule),
    ),
    "Schedule, a list": Pair(
        "LambdaLR",
        lambda n, count: Schedule([schedule] * n),
        lambda n, count: partial(LambdaLR, lr_lambda=[schedule] * n),
    ),
    "Policy, own get_lr": Pair(
        "LRScheduler",
        lambda n, count: HalvedPolicy(),
        lambda n, count: HalvedLR,
    ),
}
PAIRS = {**BETWEEN, **CALLED, **AT}

# What the ratio is meant to stay below, with 1, 10 and 100 groups.
GOALS = {
    ("Switch, between milestones", "float"): (0.10, 0.04, 0.01),
    ("Multiply, between milestones", "float"): (0.10, 0.04, 0.01),
    ("Schedule, one function", "float"): (0.20, 0.20, 0.20),
    ("Scale, one function", "float"): (0.20, 0.20, 0.20),
    ("Schedule, a list", "float"): (0.60, 0.60, 0.60),
    ("Policy, own get_lr", "float"): (0.70, 0.60, 0.50),
    ("Switch, at a milestone", "float"): (1.50, 1.00, 1.00),
    ("Multiply, at a milestone", "float"): (1.50, 1.00, 1.00),
    ("Switch, between milestones", "tensor"): (0.03, 0.005, 0.001),
    ("Multiply, between milestones", "tensor"): (0.03, 0.005, 0.001),
    ("Schedule, one function", "tensor"): (0.45, 0.25, 0.20),
    ("Scale, one function", "tensor"): (0.45, 0.25, 0.20),
    ("Policy, own get_lr", "tensor"): (1.40, 1.00, 0.90),
}

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "SGD": SGD,
    "Adam": Adam,
    "AdamW": AdamW,
    "AdamW(fused)": partial(AdamW, fused=True),
    "Adam(capturable)": partial(Adam, capturable=True),
}


@dataclass(frozen=True)
class Case:
    """One row of the table: which two schedulers, on which optimizer."""

    policy: str
    lr: str
    groups: int
    optimizer: str = "SGD"
    milestones: int = 2
    device: str = "cpu"

    @property
    def pair(self) -> Pair:
        """The two makers of schedulers."""
        return PAIRS[self.policy]

    @property
    def is_standard(self) -> bool:
        """Whether it is one of those that the table of ratios is made of."""
        return (self.optimizer, self.milestones, self.device) == ("SGD", 2, "cpu")

    @property
    def goal(self) -> float | None:
        """What the ratio is meant to stay below, where something is said of the case."""
        if (
            not self.is_standard
            or self.groups not in GROUPS[:3]
            or (self.policy, self.lr) not in GOALS
        ):
            return None
        return GOALS[self.policy, self.lr][GROUPS.index(self.groups)]

    def make_optimizer(self) -> Optimizer:
        """Make an optimizer whose parameters have gradients."""
        params = [nn.Parameter(torch.zeros(SHAPE, device=self.device)) for _ in range(self.groups)]
        for param in params:
            param.grad = torch.full_like(param, 1e-3)
        optimizer = OPTIMIZERS[self.optimizer]([{"params": [param]} for param in params], lr=LR)
        if self.lr == "tensor":
            # Afterwards: given one tensor, the constructor has all groups share it.
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(LR, device=self.device)
        return optimizer


@dataclass(frozen=True)
class Result:
    """What a case took. ``step`` is `optimizer.step()`, or why it cannot be taken."""

    case: Case
    ours: Measurement
    torchs: Measurement
    step: Measurement | str

    @property
    def ratio(self) -> float:
        """Our time, of torch's."""
        return _of(self.ours, self.torchs)

    @property
    def shares(self) -> tuple[float, float] | None:
        """Both times, of that of `optimizer.step()`."""
        if isinstance(self.step, str):
            return None
        return _of(self.ours, self.step), _of(self.torchs, self.step)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers; times are in seconds."""
        step = self.step
        return {
            **vars(self.case),
            "against": self.case.pair.against,
            "ours": _numbers(self.ours),
            "torchs": _numbers(self.torchs),
            "optimizer_step": step if isinstance(step, str) else _numbers(step),
            "ratio": self.ratio,
            "goal": self.case.goal,
            "shares": self.shares,
        }


def _of(part: Measurement, whole: Measurement) -> float:
    """Divide times: the median over pairs of blocks, which met the same noise."""
    return float(median(map(truediv, part.times, whole.times)))


def _numbers(measurement: Measurement) -> dict[str, float]:
    return {
        "median": measurement.median,
        "iqr": measurement.iqr,
        "blocks": len(measurement.times),
    }


def cases(quick: bool = False) -> Iterator[Case]:
    """Yield every case that this machine can measure; a few of each kind where it is to be quick.

    Each part varies one thing: the policy, the number of milestones, the optimizer, the device.
    """
    groups = GROUPS[:2] if quick else GROUPS
    for policy in PAIRS:
        for lr in ("float", "tensor"):
            for n in groups:
                yield Case(policy, lr, n)
    for policy in BETWEEN:
        for count in MILESTONES[:1] if quick else MILESTONES:
            yield Case(policy, "float", 1, milestones=count)
    for optimizer in OPTIMIZERS:
        for lr in ("float", "tensor"):
            for n in groups[:1] if quick else groups[:3:2]:
                if optimizer != "SGD":
                    yield Case("Switch, between milestones", lr, n, optimizer)
    if torch.cuda.is_available():
        for policy in PAIRS:
            for n in groups:
                yield Case(policy, "tensor", n, "Adam(capturable)", device="cuda")


def measure(case: Case, seconds: float) -> Result:
    """Time a case for about so long, in blocks that take turns."""
    optimizers = [case.make_optimizer() for _ in range(2)]
    makers = case.pair.ours, case.pair.torchs
    schedulers = [
        make(case.groups, case.milestones)(optimizer) for make, optimizer in zip(makers, optimizers)
    ]
    refusal = _warm_up(optimizers, schedulers)
    # Each block runs the setup first, untimed.
    timers = [
        Timer("step()", "at.last_epoch = 1", globals={"step": at.step, "at": at})
        for at in schedulers
    ]
    if refusal is None:
        timers.append(Timer("step()", globals={"step": optimizers[0].step}))
    ours, torchs, *steps = in_turns(timers, seconds)
    return Result(case, ours, torchs, refusal or steps[0])


def _warm_up(optimizers: Sequence[Optimizer], schedulers: Sequence[LRScheduler]) -> str | None:
    """Go past epoch 1, where torch checks the order of calls; tell if an optimizer refuses."""
    refusal = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the order, where an optimizer refuses
        for optimizer, scheduler in zip(optimizers, schedulers):
            try:
                optimizer.step()
            except AssertionError as error:
                refusal = str(error)
            for _ in range(3):
                scheduler.step()
    return refusal


def in_turns(timers: Sequence[Timer], seconds: float) -> list[Measurement]:
    """Time some statements in turn, a block each, for about so many seconds.

    A block is long enough for the clock, and short enough for noise to fall on all of them.
    """
    sizes = [_block_size(timer) for timer in timers]
    blocks: list[list[Measurement]] = [[] for _ in timers]
    end = perf_counter() + seconds
    while perf_counter() < end or len(blocks[0]) < LEAST_BLOCKS:
        for timer, size, done in zip(timers, sizes, blocks):
            done.append(timer.timeit(size))
    return [Measurement.merge(done)[0] for done in blocks]


def _block_size(timer: Timer) -> int:
    once = timer.timeit(10).median
    return max(1, min(MOST_STEPS, int(BLOCK_SECONDS / once)))
