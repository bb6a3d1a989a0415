"""The lrs that a policy gives, before training with it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from .checks import epoch_number, non_negative, short
from .mapping import MappingPolicy, Multiply, Schedule, Switch
from .policy import Policy, is_bound


def simulate(policy: Policy, epochs: int, groups: int | None = None, lr: float = 1e-3) -> Tensor:
    """Return the lrs of the first epochs, from a fresh start and without touching an optimizer.

    Args:
        policy: Any policy. A bound one is taken with the param groups and ``base_lrs`` that it has.
        epochs: How many, at least 0.
        groups: How many param groups, for a policy that is not bound; by default one, or as many
            as the policy has been given lists for.
        lr: What each of these groups holds.

    Returns:
        A float64 tensor of shape (epochs, groups); row t has the lrs at epoch t.

    Raises:
        TypeError: If ``policy`` is none, or a number is none.
        ValueError: If a number is negative, or the policy cannot be bound to so many groups.

    Example:
        >>> from thunder_policy import Switch
        >>> simulate(Switch({0: 0.5, 2: 0.25}), epochs=4).tolist()
        [[0.5], [0.5], [0.25], [0.25]]
    """
    if not isinstance(policy, Policy):
        raise TypeError(f"simulate takes a policy, not {short(policy)} ({type(policy).__name__})")
    epochs = epoch_number(epochs, "simulate: epochs")
    if groups is not None and epoch_number(groups, "simulate: groups") == 0:
        raise ValueError("simulate: groups must be at least 1, not 0")
    lr = non_negative(lr, "simulate: lr")
    # Exactly these have a closed form for sure: a subclass may override anything.
    ours = Switch, Multiply, Schedule
    if isinstance(policy, ours) and type(policy) in ours:
        starts = [lr if start is None else start for start in policy._starts(groups)]
        return policy._trajectory(epochs, starts)
    return _stepped(policy, epochs, _optimizer_for(policy, groups, lr))


def _optimizer_for(policy: Policy, groups: int | None, lr: float) -> Optimizer:
    """Make an optimizer like that of a bound policy, or one of new groups, to step beside."""
    options: list[dict[str, Any]]
    if groups is None and is_bound(policy):
        options = [
            {**group, "lr": float(base)}
            for group, base in zip(policy.optimizer.param_groups, policy.base_lrs)
        ]
        for option in options:
            option.pop("initial_lr", None)
    else:
        default = len(policy._starts()) if isinstance(policy, MappingPolicy) else 1
        options = [{"lr": lr} for _ in range(groups or default)]
    optimizer = SGD([{**option, "params": [nn.Parameter(torch.zeros(1))]} for option in options])
    vars(optimizer)["_opt_called"] = True  # no warning that nobody calls its step
    return optimizer


def _stepped(policy: Policy, epochs: int, optimizer: Optimizer) -> Tensor:
    """Step a copy of a policy beside an optimizer."""
    memo: dict[int, Any] = {}
    if is_bound(policy):
        # Schedulers inside the policy hold the old optimizer and its groups: swap, not copy.
        new = optimizer.param_groups
        old = policy.optimizer.param_groups
        memo = {id(group): new[i % len(new)] for i, group in enumerate(old)}
        memo |= {id(policy.optimizer): optimizer, id(old): new}
    fresh = copy.deepcopy(copy.copy(policy), memo)(optimizer)
    rows = torch.empty(epochs, len(optimizer.param_groups), dtype=torch.float64)
    for epoch in range(epochs):
        if epoch:
            fresh.step()
        rows[epoch] = torch.tensor(
            [float(group["lr"]) for group in optimizer.param_groups], dtype=torch.float64
        )
    return rows
