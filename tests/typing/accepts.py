"""Correct code: no checker may complain about it, and it runs.

It holds with and without the stubs; what needs them is in accepts_with_stubs.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from operator import index
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

import numpy as np
import torch
from hypothesis import strategies as st
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler, SequentialLR, StepLR
from typing_extensions import assert_type

from thunder_policy import (
    EpochMapping,
    InitialLR,
    MappingPolicy,
    Multiply,
    Plateau,
    Policy,
    Scale,
    Schedule,
    ScheduleFn,
    Switch,
    UnboundPolicyError,
    bound,
    parse,
    plot,
    safe_globals,
    simulate,
)
from thunder_policy.conformance import (
    INHERITED_FROM_TORCH,
    LAW_SETS,
    Broken,
    Factory,
    Oracle,
    PolicyMachine,
    Result,
    Subject,
    check_policy,
    check_schedule,
    parametrize_checks,
)
from thunder_policy.schedules import (
    REX,
    WSD,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Geometric,
    InverseSqrt,
    InverseTime,
    Linear,
    MultiStep,
    OneCycle,
    OneMinusPower,
    Piecewise,
    Polynomial,
    Power,
    Product,
    ScheduleFunction,
    Step,
    Then,
    Triangular,
    warmup,
)

P = TypeVar("P", bound=Policy)

model = nn.Linear(2, 1)
two_groups: list[dict[str, Any]] = [{"params": [model.weight]}, {"params": [model.bias]}]


def sgd(params: Any) -> Optimizer:  # torch types Optimizer.step, and SGD.step not
    return SGD(params, lr=1e-3)


optimizer = sgd(model.parameters())
optimizer_of_two = sgd(two_groups)

# Switch and Multiply: mappings, for all groups or one a group

ints: dict[int, int] = {0: 1, 30: 0}
floats: Mapping[int, float] = {0: 1e-3}
arrays: dict[np.int64, np.float64] = {np.int64(3): np.float64(0.1)}
list_of_dicts: list[dict[int, float]] = [{0: 0.1}, {0: 0.2}]

Switch({0: 1e-3, 30: 1e-4})
Switch({10: 0.001, 20: 0.001 / 10}, 1e-2)
Switch(mapping={0: 1}, lr_init=1)
Switch(ints)
Switch(arrays)
Switch([arrays, ints])
Switch({np.int64(3): 0.1, np.int64(30): 0.01})
Switch(floats, lr_init=None)
Switch([{0: 1e-3}, {0: 1e-2, 5: 1e-3}])
Switch(({0: 1e-3}, ints), lr_init=(1e-3, 1))
Switch([floats, ints], lr_init=[1e-3, 1])
Switch(list_of_dicts, [0.1, 0.2])
Switch({0: Fraction(1, 2), 1: Fraction(1, 4)})
Switch({0: np.float32(0.5), 1: np.float32(0.25)})
Switch({0: torch.tensor(0.1)})
several: dict[int, SupportsFloat] = {0: Fraction(1, 2), 1: np.float32(0.5), 2: torch.tensor(0.1)}
Switch(several)
Switch({epoch: 0.1 * 0.5**epoch for epoch in range(10)})
Multiply({1: 0.1, 4: 0.3})
Multiply(ints, lr_init=2)
Multiply([{1: 0.1}, {}], lr_init=1e-3)
Multiply(dict.fromkeys(range(1, 9), 0.5), lr_init=None)
Multiply({30: 0.1}, lr_init=np.float64(0.1))


# Schedule: callables


def decay(epoch: int) -> float:
    return 0.95**epoch


def whole(epoch: int) -> int:
    return 1 if epoch < 3 else 0


def scalar(epoch: int) -> np.float64:
    value: np.float64 = np.float64(0.1)  # Any for Python 3.10, which NumPy's types have left behind
    return value


def tensor(epoch: int) -> Tensor:
    return torch.tensor(0.1)


def any_real(epoch: float) -> float:
    return 1.0 / (1.0 + epoch)


def with_default(epoch: int, base: float = 0.1) -> float:
    return base


class Decay:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, epoch: int) -> float:
        return self.rate**epoch

    def method(self, epoch: int) -> float:
        return self.rate**epoch

    @staticmethod
    def constant(epoch: int) -> float:
        return 0.1


def power(base: float, epoch: int) -> float:
    return float(base**epoch)


Schedule(lambda epoch: 0.95**epoch)
Schedule(lambda epoch: 0.1 if epoch < 30 else 0.01)
Schedule(decay)
Schedule(decay, lr_init=None)
Schedule(whole)
Schedule(scalar)
Schedule(tensor)
Schedule(any_real)
Schedule(with_default)
Schedule(Decay(0.9))
Schedule(Decay(0.9).method)
Schedule(Decay.constant)
Schedule(partial(power, 0.9))
Schedule(math.cos)
Schedule(np.cos)
Schedule({0: 0.1, 1: 0.2}.__getitem__)
Schedule([decay, whole, Decay(0.9), math.cos, lambda epoch: 0.1])
Schedule((decay, decay), lr_init=[0.1, 0.2])
integral_schedules = [whole, whole]
Schedule(integral_schedules)
Schedule([lambda epoch: 0.1, lambda epoch: epoch // 30])

# Scale, None in a list, option, on_load

Scale(decay)
Scale(decay, None)
Scale(mapping=whole, lr_init=0.1)
Scale([decay, math.cos, Decay(0.9)], lr_init=(0.1, 1, np.float64(0.2)))
Scale(deque([decay, decay]))
Scale([decay, None])
Plateau(decay)
Plateau(
    Scale([decay, None]), 0.5, 3, mode="max", threshold_mode="abs", min_lr=[0.1, Fraction(1, 3)]
)
Plateau(decay, patience=np.int64(3), cooldown=np.int64(1))
Schedule.by_name({"head": decay, "body": None}, lr_init=None)
Switch.by_name({"head": {0: 0.1}}, option="weight_decay")
Schedule([None, lambda epoch: 0.1, cosine_of := partial(power, 0.9)])
Schedule((whole, None), on_load="override")
optional: list[ScheduleFn | None] = [decay, None]
Scale(optional, option="weight_decay")
Switch(deque([{0: 0.1}, ints]), option="momentum")
Multiply({1: 0.1}, None, option="lr", on_load="restore")
Schedule(cosine_of, option="weight_decay", on_load="override")

# The names for annotations


def switch_from(mapping: EpochMapping, lr_init: InitialLR = None) -> Switch:
    return Switch(mapping, lr_init)


def schedule_from(function: ScheduleFn) -> Schedule:
    return Schedule(function)


switch_from({0: 0.1})
switch_from(ints, lr_init=[0.1])
schedule_from(decay)
schedule_from(Cosine(0.1, 0.0, epochs=90))
milestones: EpochMapping = {30: 0.1, 60: 0.01}
float(milestones[30])
[(int(epoch), float(value)) for epoch, value in milestones.items()]
len(milestones)
functions: list[ScheduleFn] = [decay, whole, lambda epoch: 0.1]
Schedule(functions)

# Values

assert_type(Switch({0: 0.1}).lr_at(3), list[float])
assert_type(Schedule(decay).lr_at(epoch=3), list[float])
for epoch in np.arange(3):
    assert_type(Switch({epoch: 0.1}, lr_init=0.1).lr_at(epoch), list[float])
steps: np.int64 = np.int64(500)
Switch(arrays).in_steps(steps)
assert_type(Switch({0: 0.1}).in_steps(500), Switch)
assert_type(Schedule(decay).in_steps(steps_per_epoch=500), Schedule)
assert_type(Switch({0: 0.1}).mapping, dict[int, float] | list[dict[int, float]])
assert_type(Scale(decay).in_steps(500), Scale)
assert_type(Plateau(decay).in_steps(500), Plateau)
assert_type(Plateau(decay).best, float)
assert_type(Scale.by_name({"head": decay}), Scale)
assert_type(simulate(Plateau(decay), 3, metrics=[1, None, np.float32(2)]), Tensor)
assert_type(Scale(decay, 0.1).lr_at(3), list[float])
assert_type(Schedule(decay).mapping, ScheduleFn | list[ScheduleFn | None])
assert_type(Scale([decay, None]).mapping, ScheduleFn | list[ScheduleFn | None])
assert_type(Multiply({0: 0.1}).lr_init, float | list[float] | None)
assert_type(Multiply({0: 0.1}).option, str)
on_load: str = Scale(decay).on_load
same: bool = Scale(decay) == Scale(decay)
by_policy: dict[Policy, str] = {Scale(decay): "scale"}
assert_type(Multiply({0: 0.1}).last_epoch, int)
assert_type(repr(Multiply({0: 0.1})), str)

# Binding gives the same class back

assert_type(Switch({0: 1e-3})(optimizer), Switch)
assert_type(Multiply({0: 1e-3})(optimizer), Multiply)
assert_type(Schedule(decay)(optimizer), Schedule)
assert_type(Scale(decay)(optimizer), Scale)
assert_type(Switch({0: 1e-3})(optimizer, 3), Switch)
assert_type(Scale(decay)(optimizer, last_epoch=3), Scale)
assert_type(Scale(decay)(optimizer, steps), Scale)
scheduler = Switch({0: 1e-3})(optimizer)
scheduler.set_optimizer(optimizer)
scheduler.set_optimizer(optimizer, last_epoch=-1)
assert_type(scheduler.optimizer, Optimizer)
assert_type(scheduler.get_last_lr(), list[float | Tensor])
assert_type(scheduler.get_lr(), Sequence[float | Tensor])
assert_type(scheduler.base_lrs, list[float])
assert_type(scheduler.current_mapping, list[dict[int, float]] | None)
assert_type(scheduler.current_lr_init, list[float] | None)
assert_type(Scale(decay)(optimizer).current_lr_init, list[float] | None)
assert_type(scheduler.state_dict(), dict[str, Any])
assert_type(scheduler.prepare_state_dict("mapping"), dict[str, Any])
scheduler.load_state_dict(scheduler.state_dict())
optimizer.step()
scheduler.step()
scheduler.optimizer = optimizer

try:
    Switch({0: 0.1}).step()
except UnboundPolicyError as unbound:
    as_runtime_error: RuntimeError = unbound
    as_attribute_error: AttributeError = unbound

# The optimizer first


def scheduler_of(make: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
    return make(optimizer)


assert_type(bound.Switch(optimizer, {0: 0.1}, 0.2, last_epoch=3), bound.Switch)
assert_type(bound.Multiply(optimizer, [ints], [0.1], last_epoch=steps), bound.Multiply)
assert_type(bound.Schedule(optimizer, [decay], option="weight_decay"), bound.Schedule)
assert_type(bound.Scale(optimizer, cosine_of, on_load="override"), bound.Scale)
a_switch: Switch = bound.Switch(optimizer, mapping=arrays, lr_init=None)
scheduler_of(partial(bound.Switch, mapping={0: 0.1}))

# Text

assert_type(parse("Switch({0: 0.1})"), Any)
from_text: Policy = parse("Scale(Cosine(1, 0, epochs=90))")
decay_from_text: ScheduleFunction = parse("Cosine(1, 0, epochs=90)")
with torch.serialization.safe_globals(safe_globals()):
    pass

# simulate and plot

assert_type(simulate(Switch({0: 0.1}), 3), Tensor)
assert_type(simulate(Switch({0: 0.1}), epochs=3, groups=2, lr=0.1), Tensor)
simulate(Switch({0: 0.1}), np.int64(3), groups=np.int64(2))
simulate(scheduler, epochs=3)
assert_type(plot(Switch({0: 0.1}), 3), Axes)
axes = plot({"steps": Switch({0: 0.1}), "cosine": Schedule(decay)}, epochs=3)
assert_type(plot(Schedule(decay), 3, ax=axes, per_group=False), Axes)
by_name: dict[str, Switch] = {"a": Switch({0: 0.1})}
plot(by_name, 3)

# Schedules as values

cosine = Cosine(0.1, 0.0, epochs=90)
assert_type(cosine(45), float)
assert_type(cosine(np.int64(45)), float)
assert_type(cosine.in_steps(np.int64(500)), ScheduleFunction)
assert_type(cosine.start, float)
assert_type(cosine.then(Constant(0.0), at=90), Then)
assert_type(cosine * Step(1.0, step_size=30, gamma=0.5), Product)
assert_type(cosine * 2, Product)
assert_type(0.1 * cosine, Product)
assert_type(cosine(0.5), float)
assert_type(cosine.in_steps(500), ScheduleFunction)
assert_type(warmup(0.03, Cosine(0.1, 0.0, epochs=0.97)).in_steps(500), ScheduleFunction)
assert_type(warmup(5, cosine), ScheduleFunction)
assert_type(warmup(5, cosine, start=1e-3).then(cosine, at=95), Then)

Constant(1)
Step(0.1, 30)
Step(start=0.1, step_size=30, gamma=0.5)
MultiStep(0.1, [30, 60])
MultiStep(0.1, milestones=(30, 60), gamma=0.1)
Exponential(0.1, 0.95)
Exponential(0.1, gamma=0.5, step_size=10)
InverseSqrt(0.1, timescale=4000)
InverseTime(0.1, timescale=10)
Power(0.1, timescale=100, power=0.51)
Linear(0, 1, epochs=5)
Linear(0, 1, epochs=0.5)
OneMinusPower(0.1, 0.0, epochs=90, power=0.5)
Geometric(0.1, 0.01, epochs=90)
REX(0.1, 0.0, epochs=90)
Polynomial(0.1, 0.0, epochs=90, power=2)
CosineRestarts(0.1, 0.0, T_0=10, T_mult=2)
CosineRestarts(0.1, 0.0, T_0=2.5, cycle_decay=0.5, cycle_limit=4)
Piecewise({0: 0.0, 5: 0.1, 90: 0.0})
Piecewise({0: 0.0, 2.5: 0.1, 90: 0.0})
Piecewise([(0, 0.0), (5, 0.1)])
OneCycle(0.1, epochs=90)
OneCycle(0.1, 90, pct_start=0.2, div_factor=10, anneal="linear", three_phase=True)
Triangular(0.01, 0.1, up=10, down=20, mode="exp_range", gamma=0.9)
WSD(0.1, warmup=5, stable=80, decay=15, anneal="1-sqrt")

Schedule(cosine)
Schedule([cosine, 0.1 * cosine])
Schedule(warmup(5, cosine).in_steps(500))
Schedule([cosine, decay])
list_of_schedules: list[ScheduleFunction] = [cosine, Constant(0.1)]
Schedule(list_of_schedules)


@dataclass(frozen=True)
class Sawtooth(ScheduleFunction):
    peak: float
    period: float

    def _at(self, t: float) -> float:
        return self.peak * (t % self.period) / self.period


assert_type(Sawtooth(1.0, period=4).in_steps(10), ScheduleFunction)
Schedule(0.5 * Sawtooth(peak=1.0, period=4))
assert_type(simulate([cosine, None], 3, lr=0.1), Tensor)
assert_type(simulate(cosine, 3), Tensor)
assert_type(simulate(StepLR(sgd(model.parameters()), 3), 3), Tensor)
assert_type(simulate({"cosine": cosine, "switch": Switch({0: 0.1})}, 3), dict[str, Tensor])
assert_type(simulate([Switch({0: 0.1}), Schedule(cosine)], 3), list[Tensor])
assert_type(plot(cosine, Switch({0: 0.1}), [cosine, None], epochs=3, ax=axes), Axes)
plot({"cosine": cosine, "switch": Switch({0: 0.1})}, 3, ax=axes)
plot([Switch({0: 0.1}), Switch({0: 0.2})], 3, ax=axes)

# Policies of one's own


class Warmup(Policy):
    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def get_lr(self) -> list[float | Tensor]:
        scale = min(1.0, (self.last_epoch + 1) / self.epochs)
        return [lr * scale for lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {**self.prepare_state_dict("epochs"), "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)


class Delayed(Switch):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)

    def lr_at(self, epoch: SupportsIndex) -> list[float]:
        return super().lr_at(max(index(epoch) - 1, 0))


class WeightDecay(Policy):
    def __init__(self) -> None:
        super().__init__(option="weight_decay")

    def get_lr(self) -> list[float | Tensor]:
        return [0.1 * start for start in self.base_lrs]


class Untold(MappingPolicy):  # of what, only its get_lr needs to know
    def get_lr(self) -> list[float | Tensor]:
        mappings = self.current_mapping
        assert mappings is not None
        return [mapping[self.last_epoch] for mapping in mappings]


def bound_to(optimizer: Optimizer, policy: P) -> P:
    """Bind a policy of any class, and return it: a call has the type of P for some checkers."""
    policy.set_optimizer(optimizer)
    return policy


class Share(MappingPolicy[dict[int, float]]):
    def get_lr(self) -> list[float | Tensor]:
        mappings, lrs = self.current_mapping, self.current_lr_init
        assert mappings is not None
        assert lrs is not None
        return [lr * share.get(self.last_epoch, 0.0) for share, lr in zip(mappings, lrs)]


assert_type(Warmup(5)(optimizer), Warmup)
assert_type(Warmup(5)(optimizer).epochs, int)
assert_type(bound_to(optimizer, Warmup(5)), Warmup)
assert_type(bound_to(optimizer, Switch({0: 0.1})), Switch)
assert_type(Untold({0: 0.1})(optimizer), Untold)
any_policy: MappingPolicy = Untold({0: 0.1})
assert_type(WeightDecay()(optimizer).lr_at(3), list[float])
assert_type(Delayed({0: 0.1})(optimizer), Delayed)
assert_type(Delayed({0: 0.1}).in_steps(10), Delayed)
assert_type(Share({0: 0.25})(optimizer).mapping, dict[int, float] | list[dict[int, float]])
Share([{0: 0.25}, {0: 0.5}], lr_init=[0.1, 0.2])(optimizer_of_two)

# With the schedulers of torch


def train(scheduler: LRScheduler) -> float | Tensor:
    scheduler.step()
    return scheduler.get_last_lr()[0]


def build(make: Callable[[Optimizer], LRScheduler]) -> LRScheduler:
    return make(optimizer)


def pick(policies: Sequence[Policy]) -> Policy:
    return policies[0]


train(Switch({0: 0.1})(optimizer))
train(Warmup(5)(optimizer))
build(Switch({0: 1e-3}))
build(Warmup(5))
build(lambda optimizer: Schedule(decay)(optimizer))
pick([Switch({0: 0.1}), Warmup(5)])
SequentialLR(optimizer, [Warmup(5)(optimizer), Switch({0: 0.1})(optimizer)], [3])
SequentialLR(optimizer, [StepLR(optimizer, 3), Schedule(decay)(optimizer)], milestones=[3])
ChainedScheduler([Multiply({3: 0.1})(optimizer), StepLR(optimizer, 3)])

# The conformance suite


def expected(epoch: int, group: int) -> float:
    return (group + 1) / 10 * min(1.0, (epoch + 1) / 5)


def halving(optimizer: Optimizer) -> LRScheduler:
    return StepLR(optimizer, 1, 0.5)


oracle: Oracle = expected
factory: Factory = partial(Warmup, 5)
subject = Subject(lambda: Warmup(5), groups=2, expected=oracle, epochs=3)
assert_type(subject.layouts(), list[list[float]])
results = check_policy(subject, on_fail="collect", expected_failures={"resume": "a reason"})
assert_type(results, list[Result])
assert_type(results[0].law, str)
assert_type(results[0].error, Broken | None)
statuses: set[str] = {result.status for result in results}
Subject(factory)
Subject(partial(Switch, {0: 0.1}), epochs=3)
Subject(lambda: partial(StepLR, step_size=3))
Subject(partial(StepLR, step_size=3), option="weight_decay", writes=["momentum"])
Subject(halving, optimizer=Adagrad, metrics=[0.1, 0.2], epochs=2, negative=True)
Subject(halving, metrics=decay, late_groups=False)
check_policy(halving, expected_failures=INHERITED_FROM_TORCH, laws=LAW_SETS[0])
Subject(st.builds(Switch, st.dictionaries(st.integers(0, 3), st.floats(0, 1))))
assert_type(check_schedule(cosine, epochs=3), list[Result])
check_schedule(decay, 3, on_fail="collect")


@parametrize_checks(
    {"warmup": lambda: Warmup(5), "switch": Subject(lambda: Switch({0: 0.1}))},
    expected_failures={"warmup": {"resume": "a reason"}},
    strict=False,
)
def test_conformance(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)


class TestWarmup(PolicyMachine):
    subject = Subject(lambda: Warmup(5))
