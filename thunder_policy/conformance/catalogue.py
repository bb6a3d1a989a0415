"""What is said of each law beside its sentence: its weight, its set, a broken example, a remedy.

The section of each law in ``README.md``, in this folder, is written from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Weight = Literal["hurts a run", "misleads", "pedantic"]

WEIGHTS: dict[Weight, str] = {
    "hurts a run": "a run fails, or takes another course than what was written",
    "misleads": "the run is right, and what is said of it is not, or a mistake passes unseen",
    "pedantic": "few will ever notice",
}
"""How much it matters that a law is broken, the worst first, and what that means."""

LAW_SETS = ("2026.11", "2026.12")
"""The sets of laws, the oldest first. Each has all laws of those before it."""


@dataclass(frozen=True)
class Entry:
    """What is said of one law.

    Attributes:
        weight: How much it matters that it is broken.
        broken: A policy that breaks it, as Python text after `PRELUDE`. What is checked is the last
            name that it defines, or ``make`` where it defines that.
        mend: How to mend what breaks it.
        since: The first set that has it.
    """

    weight: Weight = "misleads"
    broken: str = ""
    mend: str = ""
    since: str = LAW_SETS[0]


PRELUDE = '''\
import itertools
import math
import random
import threading
import time
import warnings
from pathlib import Path

import numpy
import torch
import torch.distributed
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy import Policy


class Decay(Policy):
    """The sound policy that the broken ones vary."""

    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]
'''
"""What the examples build on."""

ENTRIES: dict[str, Entry] = {
    "construct": Entry(
        "pedantic",
        """\
class BornAtZero(Decay):
    def __init__(self):
        self.last_epoch = 0
""",
        "Keep what belongs to a run out of `__init__`: binding sets it.",
    ),
    "bound": Entry(
        "hurts a run",
        """\
class ReturnsNothing(Decay):
    def __call__(self, optimizer, last_epoch=-1):
        self.set_optimizer(optimizer, last_epoch)
""",
        "Return `self`; or override `set_optimizer` alone, and call the one of `super()`. A policy "
        "for an exact number of groups says so: `Subject(..., groups=2)`.",
    ),
    "lr_per_group": Entry(
        "hurts a run",
        """\
class EndsInNan(Decay):
    def get_lr(self):
        return [lr if self.last_epoch < 10 else math.nan for lr in self.base_lrs]
""",
        "Return one finite number for each group, at every epoch; past its end a schedule holds "
        "its last lr.",
    ),
    "step": Entry(
        "hurts a run",
        """\
class Skips(Decay):
    def step(self, epoch=None):
        super().step()
        self.last_epoch += 1
""",
        "Leave `last_epoch` to `step` of `super()`, and call that once. What is as long as its run "
        "says so: `Subject(..., epochs=10)`.",
    ),
    "bind_type": Entry(
        "pedantic",
        """\
class TakesAnything(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        if hasattr(optimizer, "param_groups"):
            super().set_optimizer(optimizer, last_epoch)
""",
        "Raise a `TypeError` for what is no optimizer; `super().set_optimizer` does.",
    ),
    "bind_atomic": Entry(
        "misleads",
        """\
class WritesFirst(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        for group in optimizer.param_groups:
            group["lr"] = 0.5
        super().set_optimizer(optimizer, last_epoch)
""",
        "Check first, and write last: call `super().set_optimizer` before anything is written.",
    ),
    "rebind": Entry(
        "hurts a run",
        """\
class GoesOn(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        super().set_optimizer(optimizer, max(last_epoch, self.last_epoch - 1))
""",
        "Set counters and records back in `set_optimizer`.",
    ),
    "rebind_frees": Entry(
        "pedantic",
        """\
class KeepsTheFirst(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        super().set_optimizer(optimizer, last_epoch)
        self.first = getattr(self, "first", optimizer)
""",
        "Keep no optimizer, group or param but `self.optimizer`.",
    ),
    "last_lr": Entry(
        "misleads",
        """\
class SaysTheFirst(Decay):
    def get_last_lr(self):
        return self.base_lrs
""",
        "Return what the groups hold when it is asked, in a new list.",
    ),
    "last_lr_history": Entry(
        "misleads",
        """\
class HandsOutLive(Decay):
    def get_last_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]
""",
        "Return copies: `lr.clone()` of a tensor.",
    ),
    "pure": Entry(
        "hurts a run",
        """\
class Counts(Decay):
    asked = 0

    def get_lr(self):
        self.asked += 1
        return [lr * 0.9**self.asked for lr in self.base_lrs]
""",
        "Compute from `last_epoch`, `base_lrs` and the groups; count in `step`, if at all.",
    ),
    "step_atomic": Entry(
        "misleads",
        """\
class WritesFirst(Decay):
    def step(self, epoch=None):
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0
        super().step()
""",
        "Compute all lrs before the first is written, and the epoch with them.",
    ),
    "only_lr": Entry(
        "hurts a run",
        """\
class WritesMomentum(Decay):
    def step(self, epoch=None):
        super().step()
        self.optimizer.param_groups[0]["momentum"] = 0.9**self.last_epoch
""",
        "Write `group['lr']` alone. What is meant to write more says so: "
        '`Subject(..., writes=["momentum"])`.',
    ),
    "rng": Entry(
        "hurts a run",
        """\
class Jitters(Decay):
    def get_lr(self):
        return [lr * random.uniform(0.9, 1.1) for lr in super().get_lr()]
""",
        "Draw from a generator of its own: `random.Random(seed)`.",
    ),
    "settings": Entry(
        "hurts a run",
        """\
class Hides(Decay):
    def step(self, epoch=None):
        warnings.filterwarnings("ignore", message="Detected call of")
        super().step()
""",
        "Change a setting in a `with` block that puts it back, or not at all.",
    ),
    "deterministic": Entry(
        "hurts a run",
        """\
class Ages(Decay):
    made = itertools.count(1)

    def __init__(self):
        self.age = next(self.made)

    def get_lr(self):
        return [lr / self.age for lr in super().get_lr()]
""",
        "Let the lrs depend on the arguments and the epoch alone: no clock, counter, id or hash.",
    ),
    "keeps_arguments": Entry(
        "hurts a run",
        """\
class Pops(Decay):
    def __init__(self, milestones):
        self.milestones = milestones

    def step(self, epoch=None):
        super().step()
        if self.last_epoch in self.milestones:
            self.milestones.remove(self.last_epoch)


milestones = [3, 6]


def make():
    return Pops(milestones)
""",
        "Copy what is given in `__init__`: `self.milestones = [*milestones]`.",
    ),
    "independent": Entry(
        "hurts a run",
        """\
class OnItsClass(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        type(self).first = [group["lr"] for group in optimizer.param_groups]
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.first]
""",
        "Keep state on `self`: not on the class, in a global, or in a default argument.",
    ),
    "group_alone": Entry(
        "hurts a run",
        """\
class FirstForAll(Decay):
    def get_lr(self):
        return [self.base_lrs[0] * 0.9**self.last_epoch for _ in self.base_lrs]
""",
        "Compute the lr of each group from what that group started with.",
    ),
    "quiet": Entry(
        "misleads",
        """\
class Nags(Decay):
    def get_lr(self):
        warnings.warn("consider another schedule", stacklevel=2)
        return super().get_lr()
""",
        "Warn of mistakes alone, once, and at construction or binding where it can be seen then.",
    ),
    "order_warning": Entry(
        "misleads",
        """\
class Silent(Decay):
    def step(self, epoch=None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().step()
""",
        "Step by `super().step()`, which warns.",
    ),
    "closed_form": Entry(
        "misleads",
        """\
class OneLate(Decay):
    def lr_at(self, epoch):
        return [lr * 0.9 ** (epoch + 1) for lr in self.base_lrs]
""",
        "Have `get_lr` and `lr_at` call one function; or leave `lr_at` to `Policy`.",
    ),
    "values": Entry(
        "hurts a run",
        """\
class OneLate(Decay):
    def get_lr(self):
        return [lr * 0.9 ** max(0, self.last_epoch - 1) for lr in self.base_lrs]


def expected(epoch, group):
    return 0.1 * (group + 1) * 0.9**epoch
""",
        "Compare the policy with your oracle: `Subject(..., expected=expected)` says which epoch "
        "and group differ.",
    ),
    "resume": Entry(
        "hurts a run",
        """\
class Forgets(Decay):
    def __init__(self):
        self.count = 0

    def step(self, epoch=None):
        self.count += 1
        super().step()

    def get_lr(self):
        return [lr * 0.9**self.count for lr in self.base_lrs]

    def state_dict(self):
        return self.prepare_state_dict("count")
""",
        "Save all that the next lr depends on, or compute it from `last_epoch`.",
    ),
    "resume_any_order": Entry(
        "hurts a run",
        """\
class OnTorchsBase(LRScheduler):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]
""",
        "Write the saved lrs into the groups in `load_state_dict`; `Policy` does. Of torch's base: "
        "bind, then load the optimizer, then the scheduler.",
    ),
    "resume_alone": Entry(
        "hurts a run",
        """\
class OnTorchsBase(LRScheduler):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]
""",
        "Write the saved lrs into the groups in `load_state_dict`; `Policy` does. Of torch's base: "
        "always load the optimizer too.",
    ),
    "state_weights_only": Entry(
        "hurts a run",
        """\
class SavesAPath(Decay):
    def state_dict(self):
        return super().state_dict() | {"file": Path("lrs.txt")}
""",
        "Save numbers, texts, tensors, and lists and dicts of them.",
    ),
    "state_snapshot": Entry(
        "hurts a run",
        """\
class Lends(Decay):
    def __init__(self):
        self.factors = [0.9**epoch for epoch in range(100)]

    def get_lr(self):
        return [lr * self.factors[self.last_epoch] for lr in self.base_lrs]

    def state_dict(self):
        return super().state_dict() | {"factors": self.factors}
""",
        "Copy what goes into the state: `[*self.factors]`, `tensor.clone()`. Of torch's base: "
        "`copy.deepcopy(scheduler.state_dict())`.",
    ),
    "load_argument": Entry(
        "misleads",
        """\
class KeepsTheState(Decay):
    def __init__(self):
        self.factors = [0.9**epoch for epoch in range(100)]

    def get_lr(self):
        return [lr * self.factors[self.last_epoch] for lr in self.base_lrs]

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.factors = state["factors"]
""",
        "Copy what is loaded. Of torch's base: load `copy.deepcopy(state)`.",
    ),
    "load_repeatable": Entry(
        "hurts a run",
        """\
class CountsLoads(Decay):
    def __init__(self):
        self.loads = 0

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.loads += 1
""",
        "Set attributes to what was saved, and add to none.",
    ),
    "load_rejects": Entry(
        "misleads",
        """\
class LoadsAnything(Decay):
    def load_state_dict(self, state):
        super().load_state_dict(self.state_dict() | dict(state or {}))
""",
        "Look for the keys that are needed, and at their types, before anything is changed.",
    ),
    "tensor_identity": Entry(
        "hurts a run",
        """\
class WritesFloats(Decay):
    def step(self, epoch=None):
        super().step()
        for group in self.optimizer.param_groups:
            group["lr"] = float(group["lr"])
""",
        "Fill a tensor lr in place, or leave the writing to `super().step()`.",
    ),
    "tensor_trace": Entry(
        "hurts a run",
        """\
class RoundsTensors(Decay):
    def get_lr(self):
        rough = torch.is_tensor(self.optimizer.param_groups[0]["lr"])
        return [round(lr, 3) if rough else lr for lr in super().get_lr()]
""",
        "Compute in floats, whatever the groups hold, and round once.",
    ),
    "tensor_storage": Entry(
        "hurts a run",
        """\
class SavesLive(Decay):
    def state_dict(self):
        live = [group["lr"] for group in self.optimizer.param_groups]
        return super().state_dict() | {"live": live}
""",
        "Record floats or clones, never the tensor that a group holds.",
    ),
    "tensor_resume": Entry(
        "hurts a run",
        """\
class LoadsFloats(Decay):
    def load_state_dict(self, state):
        super().load_state_dict(state)
        for group, lr in zip(self.optimizer.param_groups, state["_last_lr"]):
            group["lr"] = lr
""",
        "Fill the tensors that the groups hold, as `super().load_state_dict` does.",
    ),
    "tensor_shared": Entry(
        "hurts a run",
        """\
class LayerWise(LRScheduler):
    def get_lr(self):
        return [0.1 * 0.9 ** (i * self.last_epoch) for i in range(len(self.base_lrs))]
""",
        "Give each group a tensor of its own at binding; `Policy` does.",
    ),
    "tensor_shape": Entry(
        "hurts a run",
        """\
class Flattens(Decay):
    def step(self, epoch=None):
        super().step()
        for group in self.optimizer.param_groups:
            if torch.is_tensor(group["lr"]):
                group["lr"] = group["lr"].sum()
""",
        "Fill a tensor lr in place, whatever its shape.",
    ),
    "gpu_sync": Entry(
        "hurts a run",
        """\
class Reads(Decay):
    def step(self, epoch=None):
        super().step()
        self.highest = max(float(group["lr"]) for group in self.optimizer.param_groups)
""",
        "Compute on the host, from `base_lrs` and `last_epoch`, and ask no live tensor for its "
        "value.",
    ),
    "gpu_launches": Entry(
        "hurts a run",
        """\
class Replays(Decay):
    def get_lr(self):
        lrs = [torch.as_tensor(group["lr"]) for group in self.optimizer.param_groups]
        for _ in range(self.last_epoch):
            lrs = [lr * 1.0 for lr in lrs]
        return lrs
""",
        "Compute the lr of an epoch at once, or from the one before it.",
    ),
    "deepcopy": Entry(
        "hurts a run",
        """\
class CopiesToItself(Decay):
    def __deepcopy__(self, memo):
        return self
""",
        "Leave copying to `Policy`, and hold nothing that cannot be copied. Of torch's base: make "
        "a new scheduler for the copied optimizer, and load the state.",
    ),
    "pickle": Entry(
        "hurts a run",
        """\
class HoldsALambda(Decay):
    def __init__(self):
        self.factor = lambda epoch: 0.9**epoch
""",
        "Hold what pickle finds by name: a method, a function of the module, a class with "
        "`__call__`. Of torch's base: send the state instead.",
    ),
    "no_cycle": Entry(
        "pedantic",
        """\
class HangsOnTheOptimizer(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        super().set_optimizer(optimizer, last_epoch)
        optimizer.policy = self
""",
        "Hang nothing on the optimizer that holds the policy, or only a `weakref`.",
    ),
    "sequential": Entry(
        "hurts a run",
        """\
class CountsItsSteps(LRScheduler):
    count = -1

    def step(self, epoch=None):
        self.count += 1
        super().step()

    def get_lr(self):
        return [lr * 0.9**self.count for lr in self.base_lrs]
""",
        "Compute from `last_epoch`, which `SequentialLR` sets back.",
    ),
    "chained": Entry(
        "hurts a run",
        """\
class WritesWhatItHad(Decay):
    def __init__(self):
        self.alone = True

    def set_optimizer(self, optimizer, last_epoch=-1):
        self.alone = not any("initial_lr" in group for group in optimizer.param_groups)
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self):
        return super().get_lr() if self.alone else self.base_lrs
""",
        "Do not ask whether another scheduler was there.",
    ),
    "late_group": Entry(
        "hurts a run",
        """\
class AsManyAsAtFirst(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        self.groups = len(optimizer.param_groups)
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self):
        return super().get_lr()[: self.groups]
""",
        "Return as many lrs as there are `base_lrs`. What is not meant to take groups in refuses "
        "them before it writes, and says so: `Subject(..., late_groups=False)`.",
    ),
    "runs": Entry(
        "hurts a run",
        """\
class OneForAll(Decay):
    def get_lr(self):
        return super().get_lr()[:1]
""",
        "Return one lr for each group, at every epoch. A policy for an exact number of groups says "
        "so, `Subject(..., groups=2)`, and so does what has an end: `Subject(..., epochs=10)`.",
    ),
    "any_start": Entry(
        "hurts a run",
        """\
class Relative(Decay):
    def get_lr(self):
        return [lr / first * lr for lr, first in zip(super().get_lr(), self.base_lrs)]
""",
        "Multiply by a factor, and divide by no lr: that of a frozen group is 0.",
        since=LAW_SETS[1],
    ),
    "printable": Entry(
        "misleads",
        """\
class ShowsItsOptimizer(Decay):
    def __repr__(self):
        return f"ShowsItsOptimizer({self.optimizer})"
""",
        "Leave `__repr__` to `Policy`, or let it ask for nothing that a new policy has not.",
        since=LAW_SETS[1],
    ),
    "plain_numbers": Entry(
        "hurts a run",
        """\
class WritesNumPy(Decay):
    def step(self, epoch=None):
        super().step()
        for group in self.optimizer.param_groups:
            group["lr"] = numpy.float64(group["lr"])
""",
        "Write and save `float(lr)`.",
        since=LAW_SETS[1],
    ),
    "resume_elsewhere": Entry(
        "hurts a run",
        """\
class KeepsARegister(Decay):
    scales = {}

    def set_optimizer(self, optimizer, last_epoch=-1):
        super().set_optimizer(optimizer, last_epoch)
        for group in optimizer.param_groups:
            self.scales.setdefault("first", group["lr"])

    def get_lr(self):
        return [self.scales.get("first", lr) * 0.9**self.last_epoch for lr in self.base_lrs]
""",
        "Save what the lrs depend on: a new process has nothing that was noted on a class, in a "
        "module or on disk.",
        since=LAW_SETS[1],
    ),
    "resume_distributed": Entry(
        "hurts a run",
        """\
class ScalesAtEachLoad(Decay):
    scale = 1.0

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.scale = self.scale / torch.distributed.get_world_size()

    def get_lr(self):
        return [lr * self.scale for lr in super().get_lr()]
""",
        "Scale once, at binding, and save what came of it.",
        since=LAW_SETS[1],
    ),
    "lr_at_loaded": Entry(
        "misleads",
        """\
class LoadsHalf(Decay):
    def __init__(self):
        self.factor = 0.9

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.factor = 0.8

    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]

    def lr_at(self, epoch):
        return [lr * self.factor**epoch for lr in self.base_lrs]
""",
        "Have `get_lr` and `lr_at` read the same attributes, and load all of them.",
        since=LAW_SETS[1],
    ),
    "load_key_order": Entry(
        "hurts a run",
        """\
class LastKeyWins(Decay):
    def __init__(self):
        self.a, self.b = 1.0, 2.0

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.a = [value for key, value in state.items() if key in "ab"][0]

    def get_lr(self):
        return [lr * self.a for lr in super().get_lr()]
""",
        "Ask a state for its keys by name.",
        since=LAW_SETS[1],
    ),
    "save_often": Entry(
        "hurts a run",
        """\
class CountsSaves(Decay):
    def __init__(self):
        self.saves = 0

    def state_dict(self):
        self.saves += 1
        return super().state_dict()
""",
        "Let `state_dict` change nothing.",
        since=LAW_SETS[1],
    ),
    "late_group_resume": Entry(
        "hurts a run",
        """\
class ForgetsLateOnes(Decay):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "base_lrs": [state["base_lrs"][0]] * len(self.base_lrs)})
""",
        "Save one start for each group that there is by then, and load as many.",
        since=LAW_SETS[1],
    ),
    "silent": Entry(
        "pedantic",
        """\
class Prints(Decay):
    def step(self, epoch=None):
        super().step()
        print(f"epoch {self.last_epoch}")
""",
        "Print nothing, or `logging.getLogger(__name__).debug(...)`.",
        since=LAW_SETS[1],
    ),
    "same_everywhere": Entry(
        "hurts a run",
        """\
class RoundsByDefault(Decay):
    def get_lr(self):
        half = torch.get_default_dtype() == torch.float64
        return [lr / 2 if half else lr for lr in super().get_lr()]
""",
        "Compute in Python's floats, or name the dtype; keep nothing in a `threading.local`.",
        since=LAW_SETS[1],
    ),
    "clock": Entry(
        "hurts a run",
        """\
class AtNight(Decay):
    def get_lr(self):
        late = time.time() % 86400 > 43200
        return [lr / 2 if late else lr for lr in super().get_lr()]
""",
        "Count epochs or steps, and ask no clock.",
        since=LAW_SETS[1],
    ),
    "optimizer_step": Entry(
        "hurts a run",
        """\
class LosesTheLoss(Decay):
    def set_optimizer(self, optimizer, last_epoch=-1):
        super().set_optimizer(optimizer, last_epoch)
        step = optimizer.step
        optimizer.step = lambda closure=None: step(closure) and None
""",
        "Leave `optimizer.step` alone: `register_step_post_hook` is there for this.",
        since=LAW_SETS[1],
    ),
    "any_optimizer": Entry(
        "hurts a run",
        """\
class ByAdam(Decay):
    def get_lr(self):
        states = [*self.optimizer.state.values()]
        steps = int(states[0]["step"]) if states and "step" in states[0] else self.last_epoch
        return [lr * 0.9**steps for lr in self.base_lrs]
""",
        "Count with `last_epoch`, and leave the optimizer's state to the optimizer.",
        since=LAW_SETS[1],
    ),
    "long_run": Entry(
        "hurts a run",
        """\
class KeepsAll(Decay):
    def __init__(self):
        self.history = []

    def step(self, epoch=None):
        super().step()
        self.history = [*self.history, self.last_epoch]
""",
        "Keep no more than the last few values, and wrap nothing at each step.",
        since=LAW_SETS[1],
    ),
}
"""By the name of the law."""

_NEW = Entry(since=LAW_SETS[-1])


def entry_of(law: str) -> Entry:
    """Return what is said of a law; one that is not listed yet is of the newest set."""
    return ENTRIES.get(law, _NEW)


def laws_of(laws: str | None, names: Mapping[str, object]) -> list[str]:
    """Return the names of the laws of a set, in the order that they stand in.

    Args:
        laws: The set, or ``None`` for the newest.
        names: All laws.

    Raises:
        ValueError: If there is no such set.
    """
    if laws is None:
        return [*names]
    if laws not in LAW_SETS:
        raise ValueError(f"there is no set of laws {laws!r}; there are {', '.join(LAW_SETS)}")
    known = LAW_SETS[: LAW_SETS.index(laws) + 1]
    return [name for name in names if entry_of(name).since in known]


def section_of(law: str) -> str:
    """Return the place in ``README.md`` that says how to mend what breaks a law."""
    return f"thunder_policy/conformance/README.md#{law}"


class Inherited(str):
    """The reason for a law that torch's base class breaks, and what is then seen.

    As the reason of an expected failure it excuses what it describes alone: another fault of the
    same law is one of the subject's own, and a law that holds all the same is no mistake.
    """

    seen: re.Pattern[str]

    def __new__(cls, reason: str, seen: str) -> Inherited:
        """Make one of the reason, and of a pattern of what is seen."""
        made = super().__new__(cls, reason)
        made.seen = re.compile(seen)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return Inherited, (str(self), self.seen.pattern)


_REPLACED = "has been overridden after learning rate scheduler"

INHERITED_FROM_TORCH: Mapping[str, Inherited] = MappingProxyType(
    {
        "step_atomic": Inherited(
            "torch's step counts the epoch before it has the lrs",
            r"after a step that failed .*, last_epoch",
        ),
        "resume_any_order": Inherited(
            "torch's binding writes lrs, and its load_state_dict none",
            "in the order optimizer, bind, policy",
        ),
        "resume_alone": Inherited(
            "torch's load_state_dict writes no lr", "resumed without the optimizer's state"
        ),
        "state_snapshot": Inherited(
            "torch's state_dict shares its lists with the run",
            "after the returned state was overwritten",
        ),
        "load_argument": Inherited(
            "torch's load_state_dict keeps the lists of the state",
            "after the loaded state was overwritten",
        ),
        "load_rejects": Inherited(
            "torch's load_state_dict takes any dict",
            r"\((an empty dict|no last_epoch|last_epoch='three')\): expected an error",
        ),
        "deepcopy": Inherited("torch's step warns after a copy", _REPLACED),
        "pickle": Inherited("torch's step warns after pickling", _REPLACED),
        "late_group": Inherited(
            "torch's step does not know of groups that came later",
            r"zip\(\)|group was added|group added|was refused",
        ),
    }
)
"""What torch's `LRScheduler` breaks, whatever is built on it, each with the reason."""
