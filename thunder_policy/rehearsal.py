"""A copy of a policy, stepped beside a stand-in for its optimizer: what has no closed form."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from . import state as states
from .mapping import MappingPolicy
from .policy import Policy, is_bound


def optimizer_for(policy: Policy, groups: int | None, lr: float) -> Optimizer:
    """Make an optimizer like that of a bound policy, or one of new groups, to step beside."""
    options: list[dict[str, Any]]
    if groups is None and is_bound(policy):
        held = policy.optimizer.param_groups
        bases = policy._lr_groups.aligned(policy.base_lrs, held)
        options = [{**group, "lr": float(base)} for group, base in zip(held, bases)]
        for option in options:
            option.pop("initial_lr", None)
    else:
        default = len(policy._start_lrs()) if isinstance(policy, MappingPolicy) else 1
        options = [{"lr": lr} for _ in range(groups or default)]
    optimizer = SGD(
        [{**option, "params": [nn.Parameter(torch.zeros(1, device="cpu"))]} for option in options]
    )
    vars(optimizer)["_opt_called"] = True  # no warning that nobody calls its step
    return optimizer


def stepped(policy: Policy, epochs: int, optimizer: Optimizer) -> Tensor:
    """Step a copy of a policy beside an optimizer."""
    fresh = copy.copy(policy)
    held = states.attributes(fresh)
    # Schedulers in the policy hold its optimizer, or one of their own: swap those, not copy.
    memo: dict[int, Any] = {}
    new = optimizer.param_groups
    for scheduler in [policy, *states.schedulers([*held.values()])]:
        if not states.is_unbound(scheduler):
            old = scheduler.optimizer.param_groups
            memo |= {id(scheduler.optimizer): optimizer, id(old): new}
            memo |= {id(group): new[i % len(new)] for i, group in enumerate(old)}
    for name, value in held.items():
        with suppress(Exception):  # what cannot be copied, like a lock, is shared
            setattr(fresh, name, copy.deepcopy(value, memo))
    fresh(optimizer)
    rows = torch.empty(epochs, len(optimizer.param_groups), dtype=torch.float64, device="cpu")
    for epoch in range(epochs):
        if epoch:
            fresh.step()
        rows[epoch] = torch.tensor(
            [float(group["lr"]) for group in optimizer.param_groups],
            dtype=torch.float64,
            device="cpu",
        )
    return rows
