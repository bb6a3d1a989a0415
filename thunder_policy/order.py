"""The order of ``optimizer.step`` and ``scheduler.step``, which torch watches and warns about."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING, LRScheduler


class _Watcher(LRScheduler):
    """A scheduler of torch without lrs. Texts and rules are those of the torch in use."""

    last_epoch = 0  # torch 2.6 counts it in step itself
    _step_count = 1

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def _initial_step(self) -> None:
        pass

    def _update_lr(self, epoch: int | None = None) -> None:
        pass

    def get_lr(self) -> list[float | Tensor]:
        return []  # pragma: no cover - torch 2.6 asks for it


def watch(optimizer: Optimizer) -> None:
    """Have torch note the calls of ``optimizer.step``."""
    bare = [group for group in optimizer.param_groups if "initial_lr" not in group]
    LRScheduler.__init__(_Watcher(optimizer), optimizer)
    for group in bare:
        del group["initial_lr"]


def warn_of_order(optimizer: Optimizer) -> None:
    """Warn at the first step of a scheduler, where ``optimizer.step`` was not called before it."""
    called = getattr(optimizer, "_opt_called", False)
    if called and hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return  # entering catch_warnings makes Python show again each warning that it shows once
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _Watcher(optimizer).step()
    for warning in caught:
        warnings.warn(warning.message, stacklevel=_caller())


def warn_of_epoch() -> None:
    """Warn of ``step(epoch)``."""
    warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=_caller())


def _caller() -> int:
    """Return the stacklevel of who called a policy: the first frame that is none of its modules."""
    level, frame = 1, sys._getframe(1)
    while Path(frame.f_code.co_filename).parent == Path(__file__).parent and frame.f_back:
        level, frame = level + 1, frame.f_back
    return level
