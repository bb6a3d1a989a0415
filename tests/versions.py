"""What differs between the versions of torch and Python that the tests run with, all of it here.

Where torch does something else in another version, the tests ask the torch in use. Each name says
what a newer version does; where it is false, the comment says what an older one does instead.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler, SequentialLR, StepLR

# The version that the extra `dev` pins and of which the README speaks.
PYPROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
(README_TORCH,) = re.findall(r'"torch==(.+)"', PYPROJECT)
IS_README_TORCH = torch.__version__.partition("+")[0] == README_TORCH

# Python 3.10 has no notes, so what somebody else's exception says is all that is said.
NOTES = hasattr(BaseException, "add_note")


def said(error: str, note: str) -> str:
    """Return the pattern of somebody else's exception and of our note on it."""
    return f"(?s){error}.*{note}" if NOTES else error


def _sgd() -> SGD:
    return SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def _warns_at_the_caller() -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        StepLR(_sgd(), 1).step()
    return caught[0].filename == __file__


def _fills_any_shape() -> bool:
    optimizer = _sgd()
    optimizer.param_groups[0]["lr"] = torch.ones(1)
    try:
        StepLR(optimizer, 1)
    except RuntimeError:
        return False
    return True


def _begins_with_the_second() -> bool:
    optimizer = _sgd()
    parts: list[LRScheduler] = [StepLR(optimizer, 1, gamma=gamma) for gamma in (0.5, 0.25)]
    sequence = SequentialLR(optimizer, parts, milestones=[0])
    return sequence.get_last_lr() == parts[1].get_last_lr() and parts[1].last_epoch == 0


# torch 2.6 warns at a line of its own.
WARNS_AT_THE_CALLER = _warns_at_the_caller()

# torch 2.6 raises where a lr is a tensor of shape [1].
FILLS_ANY_SHAPE = _fills_any_shape()

# torch 2.6 begins with the first scheduler of SequentialLR, and loses the first value of the second
# (pytorch#185872).
BEGINS_WITH_THE_SECOND = _begins_with_the_second()

# torch 2.6 has SequentialLR call step(0), which warns, and make lr and initial_lr one tensor, which
# spoils the lrs of torch's own schedulers in it (pytorch#162359).
SEQUENCE_IS_CLEAN = hasattr(LRScheduler, "_update_lr")

# torch 2.6 has MultiplicativeLR and SWALR begin at another lr after epoch 2 of another scheduler.
SECOND_OF_A_SEQUENCE = {
    "MultiplicativeLR": [0.5, 0.5, *([0.05, 0.005] if SEQUENCE_IS_CLEAN else [0.5, 0.05])],
    "SWALR": [1.0, 0.5, *([0.5, 0.25, 0.0] if SEQUENCE_IS_CLEAN else [0.25, 0.0, 0.0])],
}

# For pytest: what torch warns of in calls of its own.
FILTERS = []
if torch.cuda.is_available():
    # A capturable optimizer that is copied, and steps outside of a graph.
    FILTERS += ["ignore:This instance was constructed with capturable=True:UserWarning"]
if not SEQUENCE_IS_CLEAN:
    FILTERS += [
        "ignore:The epoch parameter in `scheduler.step:UserWarning:torch.optim.lr_scheduler",
        "ignore:TypedStorage is deprecated:UserWarning",  # Distributed Checkpoint
    ]
