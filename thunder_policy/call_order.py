"""Warnings with the caller's line, and torch's about ``optimizer.step`` and ``scheduler.step``."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class _Watcher(LRScheduler):
    """A scheduler of torch without lrs. Texts and rules are those of the torch in use."""

    last_epoch = 0  # torch 2.6 counts it in step itself
    _step_count = 1

    def _initial_step(self) -> None:
        pass

    def _update_lr(self, epoch: int | None = None) -> None:
        pass

    def get_lr(self) -> list[float | Tensor]:
        return []  # pragma: no cover - torch 2.6 asks for it


def watch(optimizer: Optimizer) -> None:
    """Have torch note the calls of ``optimizer.step``."""
    bare = [group for group in optimizer.param_groups if "initial_lr" not in group]
    _Watcher(optimizer)
    for group in bare:
        del group["initial_lr"]


def was_stepped(optimizer: Optimizer) -> bool:
    """Tell whether ``optimizer.step`` was called since torch watches it."""
    return bool(getattr(optimizer, "_opt_called", False))


def warn_of_order(optimizer: Optimizer) -> None:
    """Warn at the first step of a scheduler, where ``optimizer.step`` was not called before it."""
    if was_stepped(optimizer) and hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return  # entering catch_warnings makes Python show again each warning that it shows once
    watcher = _Watcher.__new__(_Watcher)  # without the watching
    watcher.optimizer = optimizer
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watcher.step()
    for warning in caught:
        warn(warning.message)


def warn(message: str | Warning) -> None:
    """Warn with the line of the first caller that is none of the package's modules."""
    level, frame = 2, sys._getframe(1)
    while Path(frame.f_code.co_filename).parent == Path(__file__).parent and frame.f_back:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
