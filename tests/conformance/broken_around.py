"""Broken policies, beside near misses, whose fault shows only in other surroundings than a test's.

They go into the pairs of `broken`.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import logging
import math
import os
import sys
import threading
import time
from collections import deque
from datetime import datetime as moment
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from broken import (
    Counts,
    Decay,
    Form,
    Loads,
    Notes,
    OwnStep,
    ReadsMomentum,
    Restores,
    pair,
)
from torch.optim import Optimizer

from thunder_policy import Policy, Schedule

_NOW = np.datetime64("now")

# What is written besides, and set for the process


class ScalesWeights(Decay):
    """Lets the decay of the weights follow the lr."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            group["weight_decay"] *= 0.9


class SetsPrecision(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        torch.set_float32_matmul_precision("high")


class SetsVariable(Decay):
    def __init__(self) -> None:
        os.environ["OMP_NUM_THREADS_OF_DECAY"] = "1"


class ReadsVariable(Decay):
    def __init__(self) -> None:
        self.home = os.environ.get("HOME", "")


class RaisesLimit(Decay):
    def step(self, epoch: int | None = None) -> None:
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        super().step(epoch)


class IgnoresOverflow(Decay):
    def factor(self) -> float:
        np.seterr(over="ignore")
        return float(np.exp(-0.1 * self.last_epoch))


class IgnoresOverflowHere(Decay):
    def factor(self) -> float:
        with np.errstate(over="ignore"):
            return float(np.exp(-0.1 * self.last_epoch))


class Benchmarks(Decay):
    def __init__(self) -> None:
        torch.backends.cudnn.benchmark = True


class SetsOnLoading(Loads):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        torch.set_float32_matmul_precision("medium")


class Patches(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        math.tau = 6.28  # type: ignore[misc]


class PatchesWithin(Decay):
    """Patches what is not public."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        inner = Optimizer.__repr__
        Optimizer.__repr__ = lambda self: inner(self)  # type: ignore[method-assign]


class CountsInFive(Decay):
    def factor(self) -> float:
        decimal.getcontext().prec = 5
        return float(decimal.Decimal("0.9") ** self.last_epoch)


class CountsInFiveHere(Decay):
    def factor(self) -> float:
        with decimal.localcontext(decimal.Context(prec=5)):
            return float(decimal.Decimal("0.9") ** self.last_epoch)


class SilencesTorch(Decay):
    def __init__(self) -> None:
        logging.getLogger("torch").setLevel(logging.CRITICAL)


class NamesALogger(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        logging.getLogger("broken_around.decay").debug("epoch %d", self.last_epoch)


class MasksFiles(Decay):
    def __init__(self) -> None:
        os.umask(0o077)


class SwapsStreams(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        sys.stdout = sys.stderr


class LeavesAThread(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.watch = threading.Thread(target=time.sleep, args=(5,), name="watch", daemon=True)
        self.watch.start()


class EndsItsThread(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch < 3:  # coverage keeps something of each thread, as a leak would
            thread = threading.Thread(target=time.sleep, args=(0,))
            thread.start()
            thread.join()


class AnswersByWriting(Decay):
    """Says what an epoch has, and writes what goes with it."""

    def lr_at(self, epoch: Any) -> list[float]:
        for group in self.optimizer.param_groups if hasattr(self, "optimizer") else ():
            group["dampening"] = 0.5
        return super().lr_at(epoch)


class PrintsBelow(Decay):
    """Writes past Python, as C does."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        os.write(1, b"epoch 1")


class PrintsLR(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        print(f"epoch {self.last_epoch}: {self.get_last_lr()}")


class PrintsIfAsked(Decay):
    verbose = False

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.verbose:
            print(f"epoch {self.last_epoch}: {self.get_last_lr()}")


class PrintsOnLoading(Loads):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        print("loaded", file=sys.stderr)


pair("only_lr", "weight_decay: expected 0.25, saw 0.225", ScalesWeights, ReadsMomentum)
pair("settings", "the precision of matrix products: expected highest", SetsPrecision, Notes)
pair("settings", "the environment, OMP_NUM_THREADS_OF_DECAY", SetsVariable, ReadsVariable)
pair("settings", "the recursion limit: expected", RaisesLimit, OwnStep)
pair("settings", "NumPy's handling of errors, over", IgnoresOverflow, IgnoresOverflowHere)
pair("settings", "torch.backends, benchmark", Benchmarks, Notes)
pair("settings", "after saving and loading, the precision of matrix products", SetsOnLoading, Loads)
pair("settings", "what is patched after a run: expected [], saw ['math.tau']", Patches, Notes)
pair("settings", "a run: expected [], saw ['Optimizer.__repr__']", PatchesWithin, Notes)
pair("settings", "the context of decimal, prec: expected", CountsInFive, CountsInFiveHere)
pair("settings", "the levels of loggers, torch: expected", SilencesTorch, NamesALogger)
pair("settings", "the mask of new files: expected", MasksFiles, Notes)
pair("settings", "the standard streams: expected", SwapsStreams, Notes)
pair("settings", "the threads that are left after a run", LeavesAThread, EndsItsThread)
pair("only_lr", "after its lrs were asked for, group 0, dampening", AnswersByWriting, ReadsMomentum)
pair("silent", "what is printed: expected , saw epoch 1: [0.09", PrintsLR, PrintsIfAsked)
pair("silent", "what is printed: expected , saw loaded", PrintsOnLoading, Loads)
pair("silent", "what is printed: expected , saw epoch 1", PrintsBelow, PrintsIfAsked)


# What a step does with an error, and numbers


class Swallows(Decay):
    """Leaves the lrs as they are where they cannot be had."""

    def step(self, epoch: int | None = None) -> None:
        try:
            super().step(epoch)
        except RuntimeError:
            self.last_epoch += 1


class SwallowsItsOwn(Decay):
    """Knows of one kind of error alone."""

    def step(self, epoch: int | None = None) -> None:
        with contextlib.suppress(ZeroDivisionError):
            super().step(epoch)


class Translates(Decay):
    def step(self, epoch: int | None = None) -> None:
        try:
            super().step(epoch)
        except RuntimeError as error:
            raise RuntimeError("no lr") from error


class WritesNumPy(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], float):
                group["lr"] = np.float64(group["lr"])


class AnswersInNumPy(Decay):
    """Leaves it to the package to write a number of Python's."""

    def get_lr(self) -> Any:
        return [lr * np.float64(self.factor()) for lr in self.base_lrs]


class NotesInNumPy(Decay):
    """Leaves a scalar in a dict of its state."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "notes": {"factor": np.float64(self.factor())}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "notes"})


class NotesInPython(NotesInNumPy):
    def state_dict(self) -> dict[str, Any]:
        return {**Policy.state_dict(self), "notes": {"factor": self.factor()}}


class LoadsNumPy(Loads):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.optimizer.param_groups:
            group["initial_lr"] = np.float64(group["initial_lr"])


class KeysInNumPy(NotesInNumPy):
    def state_dict(self) -> dict[str, Any]:
        return {**Policy.state_dict(self), "notes": {np.int64(3): 0.5}}


class BadStr(Decay):
    def __str__(self) -> str:
        return f"until {self.until}"  # type: ignore[attr-defined]


class BadRepr(Decay):
    def __repr__(self) -> str:
        return f"BadRepr(until={self.until})"  # type: ignore[attr-defined]


class BadReprOnceBound(Decay):
    def __repr__(self) -> str:
        return f"BadReprOnceBound(lr={self.base_lrs[7]})" if self.last_epoch > 0 else "BadRepr()"


class OwnRepr(Decay):
    def __repr__(self) -> str:
        return f"OwnRepr(until={getattr(self, 'until', None)})"


class Divides(Decay):
    """Falls to a hundredth of where it starts, by a factor that is found from the lr."""

    def get_lr(self) -> Any:
        return [lr * (0.01 * lr / lr) ** (self.last_epoch / 20) for lr in map(float, self.base_lrs)]


class DividesByTheLast(Decay):
    def get_lr(self) -> Any:
        last = self.base_lrs[-1]
        return [lr / last * last * self.factor() for lr in map(float, self.base_lrs)]


class TakesLogarithms(Decay):
    def get_lr(self) -> Any:
        return [math.exp(math.log(lr) - self.last_epoch) for lr in map(float, self.base_lrs)]


class InIntegers(Decay):
    """Computes in an array, which holds integers where the groups did."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.array = np.array([group["lr"] for group in optimizer.param_groups])
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        lrs = self.array.copy()
        lrs[:] = lrs * self.factor()
        return lrs.tolist()


class InFloats(Decay):
    def get_lr(self) -> Any:
        factors = np.array([1.0])
        factors[:] = factors * self.factor()
        return [lr * factors.item() for lr in self.base_lrs]


class Negative(Decay):
    def factor(self) -> float:
        return math.cos(self.last_epoch)


class Positive(Decay):
    def factor(self) -> float:
        return abs(math.cos(self.last_epoch))


pair(
    "step_atomic", "a step whose get_lr raises an error: expected that error", Swallows, Translates
)
pair("step_atomic", "raises an error: expected that error", SwallowsItsOwn, Translates)
pair("plain_numbers", "the lr in the groups: expected plain numbers", WritesNumPy, AnswersInNumPy)
pair("plain_numbers", "initial_lr: expected plain numbers", LoadsNumPy, Loads)
pair("plain_numbers", "the state's notes: expected plain", KeysInNumPy, NotesInPython)
pair("printable", "str() of a policy that is new: expected a text, saw Attr", BadStr, OwnRepr)
pair("any_start", "saw ZeroDivisionError", DividesByTheLast, Decay)
pair("plain_numbers", "the state's notes: expected plain", NotesInNumPy, NotesInPython)
pair("printable", "repr() of a policy that is new: expected a text, saw Attr", BadRepr, OwnRepr)
pair("printable", "repr() of a policy that is in use: expected", BadReprOnceBound, OwnRepr)
pair("any_start", "saw ZeroDivisionError", Divides, Decay)
pair("any_start", "saw ValueError: math domain error", TakesLogarithms, Decay)
pair("any_start", "the lr where the groups held an int", InIntegers, InFloats)
pair("lr_per_group", "the lr: expected at least 0, or that negative=", Negative, Positive)


# Where and when it runs


class OffWithoutGradients(Decay):
    def factor(self) -> float:
        return super().factor() if torch.is_grad_enabled() else 1.0


class OffInInference(Decay):
    def factor(self) -> float:
        return super().factor() if not torch.is_inference_mode_enabled() else 1.0


class RoundsByDefault(Decay):
    """Counts in steps of what the default dtype resolves."""

    def factor(self) -> float:
        return math.pow(
            0.9, float(self.last_epoch + 1e4 * torch.finfo(torch.get_default_dtype()).eps)
        )


class TensorsByDefault(Decay):
    def factor(self) -> float:
        return float(torch.tensor(0.9) ** self.last_epoch)


class MainThreadOnly(Decay):
    def factor(self) -> float:
        here = threading.current_thread() is threading.main_thread()
        return super().factor() if here else 1.0


class Locks(Decay):
    lock = threading.Lock()

    def factor(self) -> float:
        with self.lock:
            return super().factor()


class KeptForAThread(Decay):
    kept = threading.local()

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.kept.base = 0.9
        super().set_optimizer(optimizer, last_epoch)

    def factor(self) -> float:
        return math.pow(self.kept.base, self.last_epoch)


class AtNight(Decay):
    def factor(self) -> float:
        return super().factor() * (0.5 if moment.now().hour < 6 else 1.0)


class OnSundays(Decay):
    def factor(self) -> float:
        return super().factor() * (0.5 if datetime.date.today().weekday() == 6 else 1.0)


class ByTheHour(Decay):
    def __init__(self) -> None:
        self.began = time.monotonic()

    def factor(self) -> float:
        return math.pow(0.9, float((time.monotonic() - self.began) // 3600))


class HasAClock(Decay):
    clock = staticmethod(time.time)

    def factor(self) -> float:
        return super().factor() * (0.5 if self.clock() % 86400 < 21600 else 1.0)


class IsGivenAClock(Decay):
    def factor(self, clock: Any = time.clock_gettime) -> float:
        early = clock(time.CLOCK_REALTIME) % 86400 < 21600
        return super().factor() * (0.5 if early else 1.0)


class ByTheDigits(Decay):
    def factor(self) -> float:
        return super().factor() * (0.5 if time.strftime("%H") < "06" else 1.0)


class HasAPartialClock(HasAClock):
    clock: Any = functools.partial(time.time)


class Holder:
    """Holds a clock, in a closure and in a dict."""

    def __init__(self) -> None:
        now = time.time
        self.clocks = {"wall": lambda: now()}


_holder = Holder()
_holds_itself: dict[str, Any] = {}
_holds_itself["self"] = _holds_itself


class AsksAHolder(HasAClock):
    def factor(self) -> float:
        self.clock: Any = _holder.clocks["wall"]
        return super().factor()

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("clock")


class AsksNumPy(Decay):
    def factor(self) -> float:
        seconds = np.datetime64("now").astype(int)
        return super().factor() * (0.5 if seconds % 86400 < 21600 else 1.0)


class NotesTheTime(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.seconds = time.perf_counter() - time.perf_counter()
        self.day = time.localtime().tm_yday + time.localtime(0).tm_yday + moment.utcnow().day
        self.ns = time.time_ns() + moment.today().day
        assert isinstance(moment.now(), moment)
        assert np.datetime64("today", "ns") < np.datetime64("now") + np.timedelta64(2, "D")
        assert np.datetime64("2026-11-28") == np.datetime64("2026-11-28T00", "D")
        assert isinstance(_NOW, np.datetime64)


class LosesLoss(Decay):
    """Counts the steps of the optimizer."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        inner = optimizer.step

        def step(closure: Any = None) -> None:
            inner(closure)

        step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
        optimizer.step = step  # type: ignore[method-assign, assignment]


class LosesLossLater(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch == 2:
            inner = self.optimizer.step
            self.optimizer.step = lambda closure=None: (inner(closure), None)[1]  # type: ignore[method-assign, assignment]


class LosesClosure(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        inner = optimizer.step
        optimizer.step = lambda closure=None: inner()  # type: ignore[method-assign, assignment]


class KeepsLoss(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        optimizer.register_step_post_hook(lambda *_: None)


class ByAdam(Decay):
    """Goes by how many steps Adam has taken, where it is Adam."""

    def factor(self) -> float:
        params = self.optimizer.param_groups[0]["params"]
        steps = self.optimizer.state.get(params[0], {}).get("step", self.last_epoch)
        return math.pow(0.9, float(steps))


class AsksAdam(Decay):
    def factor(self) -> float:
        self.known = len(self.optimizer.state)
        return super().factor()


pair("same_everywhere", "the lr of a run in no_grad", OffWithoutGradients, Decay)
pair("same_everywhere", "the lr of a run in inference_mode", OffInInference, Decay)
pair("same_everywhere", "in a default dtype of float64", RoundsByDefault, TensorsByDefault)
pair("same_everywhere", "the lr of a run in another thread", MainThreadOnly, Locks)
pair("same_everywhere", "saw AttributeError", KeptForAThread, Locks)
pair("clock", "the lr of a run that takes days", AtNight, NotesTheTime)
pair("clock", "the lr of a run that takes days", OnSundays, NotesTheTime)
pair("clock", "the lr of a run that takes days", ByTheHour, NotesTheTime)
pair("clock", "the lr of a run that takes days", HasAClock, NotesTheTime)
pair("clock", "the lr of a run that takes days", HasAPartialClock, NotesTheTime)
pair("clock", "the lr of a run that takes days", AsksAHolder, NotesTheTime)
pair("clock", "the lr of a run that takes days", AsksNumPy, NotesTheTime)
pair("clock", "the lr of a run that takes days", IsGivenAClock, NotesTheTime)
pair("clock", "the lr of a run that takes days", ByTheDigits, NotesTheTime)
pair("optimizer_step", "expected (0.25, 1), saw (None, 1)", LosesLoss, KeepsLoss)
pair("optimizer_step", "expected (0.25, 1), saw (None, 0)", LosesClosure, KeepsLoss)
pair("optimizer_step", "expected (0.25, 1), saw (None, 1)", LosesLossLater, KeepsLoss)
pair("any_optimizer", "the lr with Adam", ByAdam, AsksAdam)


# How long it runs


class Wraps(Policy):
    """Wraps what there is in one more function, at each step."""

    def __init__(self) -> None:
        self.rule: Any = float

    def step(self, epoch: int | None = None) -> None:
        inner = self.rule
        self.rule = lambda lr: inner(lr) * 0.999
        super().step(epoch)

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.rule = float
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> Any:
        return [self.rule(lr) for lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("rule")


class ReplaysAll(Decay):
    """Goes through all epochs so far at each step, with little to do in each."""

    def factor(self) -> float:
        factor = 1.0
        for _ in range(self.last_epoch):
            factor *= 0.9
        return factor


class SearchesMilestones(Decay):
    def factor(self) -> float:
        return 0.9 ** sum(milestone <= self.last_epoch for milestone in range(0, 3000, 30))


class Hooks(Decay):
    """Has one more hook of the optimizer called at each step."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.optimizer.register_step_post_hook(lambda *_: None)


class Writes(Decay):
    """Writes a text that its state has."""

    def __init__(self) -> None:
        self.log = ""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.log += "."


class WritesAside(Writes):
    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("log")


class MultipliesAll(Decay):
    """Goes through all epochs so far at each step, in one line."""

    def factor(self) -> float:
        return math.prod([0.999] * self.last_epoch)


class CountsInC(Decay):
    """Goes through all epochs so far at each step, within one call and without memory."""

    def factor(self) -> float:
        return math.pow(0.999, math.fsum(repeat(1.0, 2 * self.last_epoch)))


class CountsALittleInC(Decay):
    def factor(self) -> float:
        return math.pow(0.999, math.fsum(repeat(1.0, 500)))


class KeepsAll(Decay):
    """Keeps each lr, in its state."""

    def __init__(self) -> None:
        self.all: list[float] = []

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.all.append(self.factor())


class KeepsAllAside(KeepsAll):
    """Keeps each lr, and leaves them out of its state."""

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("all")


class KeepsSome(KeepsAllAside):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        del self.all[:-500]


class Stacks(KeepsAllAside):
    """Keeps each lr in one tensor."""

    def __init__(self) -> None:
        self.all: Any = torch.zeros(0)

    def step(self, epoch: int | None = None) -> None:
        Policy.step(self, epoch)
        self.all = torch.cat([self.all, torch.ones(1)])


class StacksInNumPy(Stacks):
    def __init__(self) -> None:
        self.all = np.zeros(0)

    def step(self, epoch: int | None = None) -> None:
        Policy.step(self, epoch)
        self.all = np.append(self.all, 1.0)


class LogsForEver(Decay):
    """Keeps each epoch of each run, with what was then."""

    log: ClassVar[list[Any]] = []

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.log.append({"epoch": self.last_epoch, "factor": self.factor()})


class LogsTheLast(LogsForEver):
    log: ClassVar[Any] = deque(maxlen=100)


@functools.cache
def _factor(epoch: int) -> float:
    return float(0.9**epoch)


class CachesForAll(Decay):
    """Remembers for all runs what it has worked out: that grows in the first one alone."""

    def factor(self) -> float:
        return _factor(self.last_epoch)


class Ends(Decay):
    """Ends after more epochs than anybody said that it is for."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch == 50:
            raise RuntimeError("the run is over")
        super().step(epoch)


pair("long_run", "the calls within a step: expected no growth, saw Recurs", Wraps, OwnStep)
pair("long_run", "the lines of code that a step runs", ReplaysAll, SearchesMilestones)
pair("long_run", "the lines of code that a step runs", Hooks, KeepsLoss)
pair("long_run", "the memory that a step takes: expected no growth", MultipliesAll, KeepsSome)
pair("long_run", "the time that a step takes: expected no growth", CountsInC, CountsALittleInC)
pair("long_run", "the numbers in the state: expected no growth", Writes, KeepsSome)
pair("long_run", "the objects kept: expected no growth", WritesAside, KeepsSome)
pair("long_run", "the numbers in the state: expected no growth", KeepsAll, KeepsSome)
pair("long_run", "the objects kept: expected no growth", KeepsAllAside, KeepsSome)
pair("long_run", "the objects kept: expected no growth", Stacks, KeepsSome)
pair("long_run", "the objects kept: expected no growth", StacksInNumPy, KeepsSome)
pair("long_run", "the memory of a run that is over", LogsForEver, LogsTheLast)
pair("long_run", "the memory of a run that is over", LogsForEver, CachesForAll)


# How it is saved and loaded


class ByTheOrder(Counts):
    """Takes the values of its state as they come."""

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, **self.prepare_state_dict("count")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        first = next(iter(rest.values()))
        del rest["count"]
        super().load_state_dict(rest)
        self.count = first if isinstance(first, int) else 0


class ByTheName(ByTheOrder):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        Counts.load_state_dict(self, state_dict)


_counts: dict[int, int] = {}
_count = 0


class Registers(Decay):
    """Saves by what number its counter is known in this process."""

    def __init__(self) -> None:
        self.count = 0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.count = 0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None) -> None:
        self.count += 1
        super().step(epoch)

    def factor(self) -> float:
        return float(0.9**self.count)

    def state_dict(self) -> dict[str, Any]:
        number = len(_counts)
        _counts[number] = self.count
        return {**self.prepare_state_dict("count"), "number": number}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        number = rest.pop("number")
        super().load_state_dict(rest)
        self.count = _counts.get(number, 0)


class _Registry:
    counts: ClassVar[list[int]] = []


class RegistersOnAClass(Registers):
    def state_dict(self) -> dict[str, Any]:
        _Registry.counts.append(self.count)
        return {**self.prepare_state_dict("count"), "number": len(_Registry.counts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        known = dict(enumerate(_Registry.counts, 1))
        number = rest.pop("number")
        Policy.load_state_dict(self, rest)
        self.count = known.get(number, 0)


class RegistersInAGlobal(Registers):
    def state_dict(self) -> dict[str, Any]:
        global _count
        _count = self.count
        return {**self.prepare_state_dict("count"), "number": 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        Policy.load_state_dict(self, {k: v for k, v in state_dict.items() if k != "number"})
        self.count = _count


_kept = threading.local()


class RegistersInAThread(RegistersInAGlobal):
    """Saves what no snapshot of modules and classes sees."""

    def state_dict(self) -> dict[str, Any]:
        _kept.count = self.count
        return {**self.prepare_state_dict("count"), "number": 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.count = getattr(_kept, "count", 0)


_FILES = TemporaryDirectory()
_FILE = Path(_FILES.name, "count")


class RegistersInAFile(RegistersInAGlobal):
    def state_dict(self) -> dict[str, Any]:
        _FILE.write_text(f"{self.count}")
        return {**self.prepare_state_dict("count"), "number": 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.count = int(_FILE.read_text()) if _FILE.exists() else 0


class RemembersInAFile(Decay):
    """Works out what no file has yet."""

    def factor(self) -> float:
        file = _FILE.with_suffix(".base")
        if not file.exists():
            file.write_text("0.9")
        return math.pow(float(file.read_text()), self.last_epoch)


class ByTheOrderWithin(Counts):
    """Takes the values of a dict in its state as they come."""

    def state_dict(self) -> dict[str, Any]:
        return {**self.prepare_state_dict("count"), "counts": {"of steps": self.count, "all": 99}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        self.count, _ = rest.pop("counts").values()
        count = self.count
        super().load_state_dict(rest)
        self.count = count


class ScalesAtEachLoad(Decay):
    """Has a lr for each process, and forgets that the saved one is it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        processes = dist.get_world_size() if dist.is_initialized() else 1
        self.base_lrs = [lr * processes for lr in self.base_lrs]


class ScalesByVariable(Decay):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.base_lrs = [lr * int(os.environ.get("SLURM_NTASKS", "1")) for lr in self.base_lrs]


class ScalesOnce(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.processes = dist.get_world_size() if dist.is_initialized() else 1
        super().set_optimizer(optimizer, last_epoch)

    def factor(self) -> float:
        return self.processes * super().factor()


class WearsOut(Counts):
    """Counts the checkpoints, and has a lower lr from the 50th on."""

    def __init__(self) -> None:
        super().__init__()
        self.saves = 0

    def factor(self) -> float:
        return super().factor() * (0.5 if self.saves > 50 else 1.0)

    def state_dict(self) -> dict[str, Any]:
        self.saves += 1
        return self.prepare_state_dict("saves")


class CountsSaves(Counts):
    def __init__(self) -> None:
        super().__init__()
        self.saves = 0

    def state_dict(self) -> dict[str, Any]:
        self.saves += 1
        return self.prepare_state_dict("saves")


class CountsSavesInState(CountsSaves):
    def state_dict(self) -> dict[str, Any]:
        self.saves += 1
        return self.prepare_state_dict()


class LosesLate(Decay):
    """Loads what the groups of its binding start from."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        fresh = [*self.base_lrs]
        super().load_state_dict(state_dict)
        n = getattr(self, "n", 0)
        self.base_lrs = [*self.base_lrs[:n], *fresh[n:]]

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.n = len(optimizer.param_groups)


class LoadsOldPlan(Form):
    """Has a closed form of what it was bound with, whatever it loads."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.starts = [*map(float, self.base_lrs)]

    def lr_at(self, epoch: Any) -> list[float]:
        return [lr * 0.9**epoch for lr in self.starts]

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("starts")


class OverridesAll(Schedule):
    """Says by lr_at what another schedule would give, once a state was loaded."""

    loaded = False

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.loaded = True

    def lr_at(self, epoch: Any) -> list[float]:
        return [lr * (2.0 if self.loaded else 1.0) for lr in super().lr_at(epoch)]


def halved(epoch: int) -> float:
    """Return a lr."""
    return float(0.5**epoch)


pair("load_key_order", "the lr of a run whose state had its keys", ByTheOrder, ByTheName)
pair("resume_elsewhere", "the lr of a run resumed in a new process", Registers, Restores)
pair("load_key_order", "the lr of a run whose state had its keys", ByTheOrderWithin, ByTheName)
pair("resume_elsewhere", "the lr of a run resumed in a new process", RegistersOnAClass, Restores)
pair("resume_elsewhere", "the lr of a run resumed in a new process", RegistersInAGlobal, Restores)
pair("resume_elsewhere", "the lr of a run resumed in a new process", RegistersInAThread, Restores)
pair(
    "resume_elsewhere",
    "the lr of a run resumed in a new process",
    RegistersInAFile,
    RemembersInAFile,
)
pair("resume_distributed", "the lr of a run of 4 processes", ScalesAtEachLoad, ScalesOnce)
pair("resume_distributed", "the lr of a run of 4 processes", ScalesByVariable, ScalesOnce)
pair("save_often", "the lr of a run that was saved 100 times", WearsOut, CountsSaves)
pair("save_often", "the state, saved for the 100th time, saves", CountsSavesInState, CountsSaves)
pair("late_group_resume", "after a group was added at epoch", LosesLate, Notes)
pair("lr_at_loaded", "get_last_lr(), beside lr_at(last_epoch)", LoadsOldPlan, Form)
pair(
    "lr_at_loaded",
    "get_last_lr(), beside lr_at(last_epoch)",
    lambda: OverridesAll(halved),
    lambda: Schedule(halved, on_load="override"),
)
