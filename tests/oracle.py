"""What the policies mean, said a second time: plain functions that import nothing of the package.

A *rule* is what one group follows: a dict from epoch to lr (Switch), a dict from epoch to factor
(Multiply), a function of the epoch (Schedule, Scale), or None, by which it is left alone. `dtype`
is that of the group's lr tensor; None stands for a Python float.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import mul
from typing import TypeAlias

import torch
from torch.optim import Optimizer

Rule: TypeAlias = dict[int, float] | Callable[[int], float] | None


def lr_at(name: str, rule: Rule, start: float, epoch: int) -> float:
    """The lr of a group at an epoch of a run that nobody disturbs, from the arguments alone."""
    if rule is None:
        return start
    if callable(rule):
        return float(rule(epoch)) * (start if name == "Scale" else 1)
    reached = sorted(milestone for milestone in rule if milestone <= epoch)
    if name == "Switch":
        return rule[reached[-1]] if reached else start
    return reduce(mul, (rule[milestone] for milestone in reached), start)


def lr_after(
    name: str,
    rule: Rule,
    lr: float,
    epoch: int,
    dtype: torch.dtype | None = None,
    start: float = math.nan,
) -> float:
    """The lr of a group once a step has reached `epoch`, from the lr as it stands before."""
    if rule is None:
        return lr
    if callable(rule):
        return stored(lr_at(name, rule, start, epoch), dtype)
    if name == "Switch":
        return stored(rule.get(epoch, lr), dtype)
    factor = rule.get(epoch, 1.0)
    return lr * factor if dtype is None else float(torch.tensor(lr, dtype=dtype) * factor)


def stored(value: float, dtype: torch.dtype | None) -> float:
    """What a group holds after `value` has been written into it."""
    return float(value) if dtype is None else float(torch.tensor(float(value), dtype=dtype))


def lrs(optimizer: Optimizer, option: str = "lr") -> list[float]:
    """What the groups hold now."""
    return [float(group[option]) for group in optimizer.param_groups]
