"""A copy of a policy, stepped beside a stand-in for its optimizer: what has no closed form."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from .by_name import ByName
from .groups import assignment
from .state import attributes, bound_schedulers

if TYPE_CHECKING:
    from .policy import Policy


def stand_in(policy: Policy, starts: Sequence[float]) -> Optimizer:
    """Make an optimizer with a param group for each start, with the options that a policy's has."""
    groups = policy.optimizer.param_groups if hasattr(policy, "optimizer") else []
    if len(groups) != len(starts):
        groups = [{"lr": start, policy.option: start} for start in starts]
        mapping = getattr(policy, "mapping", None)
        if isinstance(mapping, ByName):
            groups = [{**group, "name": name} for group, name in zip(groups, mapping.names)]
    new: list[dict[str, Any]] = []
    for group, start in zip(groups, starts):
        options = {key: group[key] for key in group if key != "initial_lr"}
        _, key, value = assignment(options, policy.option, start)
        new.append({**options, key: value, "params": [torch.zeros((), device="cpu")]})
    optimizer = Optimizer(new, {})
    vars(optimizer)["_opt_called"] = True  # no warning that nobody calls its step
    return optimizer


def stepped(
    policy: Policy, epochs: int, optimizer: Optimizer, metrics: Sequence[Any] = ()
) -> list[list[float]]:
    """Step a copy of a policy beside an optimizer, and return the values of each epoch.

    The metric of an epoch, if there is one, is given to the step that ends it.
    """
    # Schedulers in the policy hold its optimizer, or one of their own: swap those, not copy.
    memo: dict[int, Any] = {}
    new = optimizer.param_groups
    for scheduler in bound_schedulers(policy):
        old = scheduler.optimizer.param_groups
        memo |= {id(scheduler.optimizer): optimizer, id(old): new}
        memo |= {id(group): new[i % len(new)] for i, group in enumerate(old)}
    fresh = copy.copy(policy)
    for name in attributes(fresh):
        with suppress(Exception):  # what cannot be copied, like a lock, is shared
            setattr(fresh, name, copy.deepcopy(getattr(policy, name), memo))
    fresh.set_optimizer(optimizer)
    rows: list[list[float]] = []
    for epoch in range(epochs):
        if epoch:
            fresh.step(*metrics[epoch - 1 : epoch])
        rows.append([*map(float, fresh._held())])
    return rows
