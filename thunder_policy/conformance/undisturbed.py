"""What a run gives that nothing disturbs: laws compare with it, so it is made once for all of them.

A law asks for it before it makes anything of its own.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypedDict

import torch
from torch import Tensor

from .isolation import once
from .runs import CLOSE, Make, Trace, begin, other_lrs, run, state_of, train


@once
def undisturbed(make: Make, held: Sequence[float], epochs: int) -> Trace:
    """Return the lrs of a run, one row an epoch."""
    return run(begin(make, held), epochs)


class Saved(NamedTuple):
    """What a run saves, and other lrs for the groups of the fresh objects that load it."""

    optimizer: dict[str, Any]
    policy: dict[str, Any]
    other_lrs: list[float]


@once
def saved_at(make: Make, held: Sequence[float], epoch: int) -> Saved:
    """Return what a run saves at an epoch."""
    policy = begin(make, held)
    train(policy, epoch)
    states = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))
    return Saved(*states, other_lrs(held, policy))


class Tolerance(TypedDict):
    """How far one run may be from another, for `same_run`."""

    within: float
    least: float


@once
def tolerance(
    make: Make, held: Sequence[float], epochs: int, dtype: torch.dtype = torch.float64
) -> Tolerance:
    """Return how far a run in tensors of a dtype may be from one in floats, for `same_run`.

    It may be coarser, where ``get_lr`` answers in tensors of another dtype.
    """
    dtypes = {dtype}
    with suppress(NotImplementedError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = begin(make, held).get_lr()
        dtypes |= {lr.dtype for lr in answer if isinstance(lr, Tensor) and lr.is_floating_point()}
    coarsest = max(map(torch.finfo, dtypes), key=lambda of: of.eps)
    return {
        "within": max(CLOSE, 4 * (epochs + 1) * coarsest.eps),
        "least": max(torch.finfo(dtype).tiny for dtype in dtypes),
    }


def by_position(make: Make, groups: int, epochs: int) -> bool:
    """Tell whether groups that hold equal lrs are given different ones, as layer by layer."""
    return any(len({*row}) > 1 for row in undisturbed(make, [0.1] * groups, epochs))


def by_company(make: Make, groups: int, epochs: int) -> bool:
    """Tell whether one group more changes the lr of another, or has another where it is alike."""
    few, more = (undisturbed(make, [0.1] * n, epochs) for n in (groups, groups + 1))
    return any({*row, *other} != {row[0]} for row, other in zip(few, more))
