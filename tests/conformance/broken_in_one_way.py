"""Broken policies, beside near misses, that one statement of a law alone tells apart.

They go into the pairs of `broken`.
"""

from __future__ import annotations

import copy
import math
import random
import warnings
from typing import Any

import torch
from broken import Decay, Notes, OwnLoop, OwnStep, Tuples, pair
from torch.optim import Optimizer


class BornWithNone(Decay):
    optimizer: Any = None


class OneTooMany(OwnLoop):
    def get_lr(self) -> Any:
        return super().get_lr() + [0.5] * (self.last_epoch > 0)


class BindsACopy(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        self.optimizer = copy.copy(optimizer)  # of the same groups


class GivesAnIterator(OwnLoop):
    def get_lr(self) -> Any:
        lrs = super().get_lr()
        return iter(lrs) if self.last_epoch > 0 else lrs


class NoText(Decay):
    def __repr__(self) -> str:
        return ""


class OwnText(Decay):
    def __repr__(self) -> str:
        return "-"


class TakesWhatIsNone(Decay):
    """Has what it was given, where that is no optimizer."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        try:
            super().set_optimizer(optimizer, last_epoch)
        except TypeError:
            self.optimizer = optimizer
            raise


class TakesAnyOptimizer(Decay):
    """Has the new optimizer, if it is one, whatever comes of the binding."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        try:
            super().set_optimizer(optimizer, last_epoch)
        except Exception:
            if isinstance(optimizer, Optimizer):
                self.optimizer = optimizer
            raise


class Begins(Decay):
    """Is at epoch 0 after any binding, also after one that failed."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        try:
            super().set_optimizer(optimizer, last_epoch)
        finally:
            self.last_epoch = max(self.last_epoch, 0)


class SaysTheOld(Decay):
    """Says the lrs of the last step, also once it is bound again."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.said = super().get_last_lr()

    def get_last_lr(self) -> Any:
        return getattr(self, "said", None) or super().get_last_lr()


class KeepsWhatItSaid(Decay):
    """Keeps the lrs of the last step, and says those of the groups."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        self.said = self.get_last_lr()


class WarnsOnSaving(Decay):
    def state_dict(self) -> dict[str, Any]:
        warnings.warn("this is slow", stacklevel=1)
        return super().state_dict()


class DrawsWhenAsked(Decay):
    def lr_at(self, epoch: Any) -> list[float]:
        random.random()
        return super().lr_at(epoch)


class DrawsItsOwnWhenAsked(Decay):
    def lr_at(self, epoch: Any) -> list[float]:
        random.Random(3).random()
        return super().lr_at(epoch)


class SetsWhenAsked(Decay):
    def lr_at(self, epoch: Any) -> list[float]:
        torch.set_float32_matmul_precision("high")
        return super().lr_at(epoch)


class NanFromZero(OwnLoop):
    def get_lr(self) -> Any:
        return [lr if lr or not self.last_epoch else math.nan for lr in super().get_lr()]


pair("construct", "a new policy has an optimizer: expected False", BornWithNone, Decay)
pair("runs", "the number of lrs that get_lr() returns", OneTooMany, OwnStep)
pair("bound", "policy.optimizer is optimizer: expected True", BindsACopy, Notes)
pair("lr_per_group", "get_lr() returns a Sequence: expected True", GivesAnIterator, Tuples)
pair("printable", "repr() of a policy that is new has a text", NoText, OwnText)
pair("bind_atomic", "the policy has its old optimizer: expected True", TakesWhatIsNone, OwnStep)
pair("bind_atomic", "the policy has an optimizer: expected False", TakesAnyOptimizer, OwnStep)
pair("bind_atomic", "last_epoch after a binding that failed: expected -1", Begins, OwnStep)
pair("rebind", "get_last_lr() after binding again", SaysTheOld, KeepsWhatItSaid)
pair("quiet", "saving and loading: expected no warning", WarnsOnSaving, Decay)
pair("rng", "the global generator of random", DrawsWhenAsked, DrawsItsOwnWhenAsked)
pair("settings", "after asking for lrs, the precision", SetsWhenAsked, DrawsItsOwnWhenAsked)
pair("any_start", "the lr where a group held a lr of 0", NanFromZero, OwnStep)
