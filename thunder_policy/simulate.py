"""The lrs that a policy gives, before training with it."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from . import state as states
from .checks import epoch_number, non_negative, short
from .mapping import MappingPolicy, Multiply, Schedule, Switch
from .policy import Policy, is_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# How many lines, how many of their names below each other, and how many milestones on one of them,
# a person can still tell apart.
MANY_LINES = 10
MANY_LABELS = 6
MANY_MILESTONES = 20
# How many times larger than those beside it the change of an epoch is that is called a jump.
JUMP = 5


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
        TypeError: If ``policy`` is not a policy, or what should be a number is not one.
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
    optimizer = SGD(
        [{**option, "params": [nn.Parameter(torch.zeros(1, device="cpu"))]} for option in options]
    )
    vars(optimizer)["_opt_called"] = True  # no warning that nobody calls its step
    return optimizer


def _stepped(policy: Policy, epochs: int, optimizer: Optimizer) -> Tensor:
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


def plot(
    policy: Policy | Mapping[str, Policy],
    epochs: int,
    *,
    ax: Axes | None = None,
    per_group: bool = True,
) -> Axes:
    """Draw the lrs of the first epochs, as `simulate` gives them, with the milestones marked.

    A milestone is an epoch at which the lr jumps, turns, or begins or ends to move. Groups with the
    same lrs share a line. The axis of the lrs is logarithmic where small ones could not be read.

    Args:
        policy: A policy; or several to compare, by the names that the legend has for them.
        epochs: How many, at least 1.
        ax: Where to draw, beside what is there; a new figure by default.
        per_group: Whether to draw all groups, and not the first one alone.

    Returns:
        The axes, which Matplotlib can go on with: ``plot(policy, 90).figure.savefig("lr.png")``.

    Raises:
        ImportError: If Matplotlib is not installed.
        TypeError: If ``policy`` is not a policy, or ``epochs`` not an integer.
        ValueError: If ``epochs`` is below 1.

    Example:
        >>> ax = plot(Switch([{0: 0.5, 2: 0.25}, {0: 0.1}]), epochs=4)
        >>> [line.get_label() for line in ax.lines]
        ['Switch, group 0', 'Switch, group 1']
    """
    try:
        from matplotlib import colormaps, pyplot, ticker
    except ImportError as error:
        raise ImportError(
            "plot needs Matplotlib: pip install 'thunder_policy[plot]', or matplotlib"
        ) from error
    if epoch_number(epochs, "plot: epochs") == 0:
        raise ValueError("plot: epochs must be at least 1, not 0")
    policies = policy if isinstance(policy, Mapping) else {type(policy).__name__: policy}
    trajectories = {name: simulate(one, epochs) for name, one in policies.items()}
    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    for name, lrs in trajectories.items():
        lines = distinct(lrs) if per_group else {(0,): lrs[:, 0]}
        for i, (groups, line) in enumerate(lines.items()):
            points = milestones(line[:, None])
            marked = [t for t in points if epochs == 1 or 0 < t < epochs - 1]
            many = len(lines) > MANY_LINES
            ax.plot(
                range(epochs),
                line.tolist(),
                drawstyle="steps-post" if is_stepwise(line[:, None]) else "default",
                marker="o",
                markersize=4,
                markevery=marked if len(marked) <= MANY_MILESTONES else [],
                color=colormaps["viridis"](i / len(lines)) if many else None,
                # Matplotlib leaves what begins with _ out of the legend.
                label=None
                if many and 0 < i < len(lines) - 1
                else name.lstrip("_") + (f", {group_names(groups)}" if len(lines) > 1 else ""),
            )
    drawn = torch.cat([torch.as_tensor(line.get_ydata()).flatten() for line in ax.lines])
    if wants_log(drawn):
        ax.set_yscale("log")
    elif drawn.min() > 0 and ax.get_yscale() == "linear":
        # From 0; still automatic, for what is drawn beside it later.
        ax.set_ylim(0, 1.05 * float(drawn.max()), auto=None)
    ax.xaxis.set_major_locator(ticker.MaxNLocator("auto", integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel="lr")
    ax.grid(alpha=0.3)
    ax.legend(ncols=2 if len(ax.get_legend_handles_labels()[1]) > MANY_LABELS else 1)
    return ax


def milestones(lrs: Tensor) -> list[int]:
    """Return the epochs at which a lr jumps, turns, or begins or ends to move; the ends are two.

    Args:
        lrs: What `simulate` returns, of at least one epoch.

    Example:
        >>> milestones(simulate(Switch({0: 0.5, 2: 0.25, 3: 0.25}), epochs=9))
        [0, 2, 8]
    """
    change, single = _changes(lrs)
    padded = _padded(change.abs(), torch.inf)
    jumps = single | (change.abs() > JUMP * torch.maximum(padded[:-2], padded[2:]))
    # The end of a stretch is no event of its own where the lr jumps in the next epoch.
    following = _padded(change.sign(), torch.nan)[2:]
    ends = (following != change.sign()) & ~_padded(jumps, False)[2:]
    return [0, *((jumps | ends).any(dim=1).nonzero()[:, 0] + 1).tolist()]


def is_stepwise(lrs: Tensor) -> bool:
    """Tell whether the lrs move in single steps alone, and stay where they are in between."""
    change, single = _changes(lrs)
    return bool((single | (change == 0)).all())


def wants_log(lrs: Tensor) -> bool:
    """Tell whether many lrs are at the foot of a linear axis, and spread over a logarithmic one."""
    low, high = float(lrs.min()), float(lrs.max())
    if low <= 0:
        return False
    foot, lower_half = lrs < high / 20, lrs < (low * high) ** 0.5
    return float(foot.double().mean()) > 0.25 and float(lower_half.double().mean()) > 0.15


def distinct(lrs: Tensor) -> dict[tuple[int, ...], Tensor]:
    """Return the columns that differ, by the groups that have them."""
    columns: list[tuple[list[int], Tensor]] = []
    for group, column in enumerate(lrs.unbind(dim=1)):
        for groups, known in columns:
            if torch.equal(column, known):
                groups.append(group)
                break
        else:
            columns.append(([group], column))
    return {tuple(groups): column for groups, column in columns}


def group_names(groups: tuple[int, ...]) -> str:
    """Name the groups of a line: ``group 0``, ``groups 0, 2``, ``5 groups from 3``."""
    if len(groups) == 1:
        return f"group {groups[0]}"
    if len(groups) > 3:
        return f"{len(groups)} groups from {groups[0]}"
    return f"groups {', '.join(map(str, groups))}"


def _changes(lrs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change of each epoch after the first, and whether it stands alone.

    What no more than rounding changes is 0; a change stands alone between others of another sign.
    """
    change = lrs.diff(dim=0)
    rounding = 4 * torch.finfo(lrs.dtype).eps * torch.maximum(lrs[1:].abs(), lrs[:-1].abs())
    change = torch.where(change.abs() > rounding, change, 0.0)
    sign = change.sign()
    padded = _padded(sign, torch.nan)
    return change, (sign != 0) & (padded[:-2] != sign) & (padded[2:] != sign)


def _padded(values: Tensor, value: float) -> Tensor:
    edge = values.new_full((1, values.shape[1]), value)
    return torch.cat([edge, values, edge])
