"""The lrs that a policy gives, before training with it."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from .checks import count, epoch_number, non_negative, short
from .drawing import draw, finish
from .mapping import Multiply, Schedule, Switch
from .policy import Policy
from .rehearsal import optimizer_for, stepped

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def simulate(policy: Policy, epochs: int, groups: int | None = None, lr: float = 1e-3) -> Tensor:
    """Return the lrs of the first epochs, from a fresh start and without touching an optimizer.

    Args:
        policy: Any policy. A bound one is taken with the param groups and ``base_lrs`` that it has.
        epochs: How many, at least 0.
        groups: How many param groups to take the policy with, as if it were not bound; by default
            those of its optimizer, else as many as it was given lists for, else one.
        lr: What each new group holds; it counts where the policy has no ``lr_init``.

    Returns:
        A float64 tensor of shape (epochs, groups); row t has the lrs at epoch t.

    Raises:
        TypeError: If ``policy`` is not a policy, or what should be a number is not one.
        ValueError: If ``epochs`` or ``lr`` is negative, ``groups`` is below 1, or the policy cannot
            be bound to so many groups.

    Example:
        >>> from thunder_policy import Switch
        >>> simulate(Switch({0: 0.5, 2: 0.25}), epochs=4).tolist()
        [[0.5], [0.5], [0.25], [0.25]]
    """
    if not isinstance(policy, Policy):
        raise TypeError(f"simulate takes a policy, not {short(policy)}: use Schedule for functions")
    epochs = epoch_number(epochs, "simulate: epochs")
    if groups is not None:
        groups = count(groups, "simulate: groups")
    for what, n in (("epochs", epochs), ("groups", groups or 1)):
        if n > sys.maxsize:
            raise ValueError(f"simulate: {what} must fit a tensor, not {short(n)}")
    lr = non_negative(lr, "simulate: lr")
    # These have a closed form for sure: a subclass, or an instance, may override anything.
    ours = Switch, Multiply, Schedule
    if isinstance(policy, ours) and type(policy) in ours and "get_lr" not in vars(policy):
        starts = [lr if start is None else start for start in policy._start_lrs(groups)]
        return policy._trajectory(epochs, starts)
    return stepped(policy, epochs, optimizer_for(policy, groups, lr))


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
        The axes, which Matplotlib can go on with.

    Raises:
        ImportError: If Matplotlib is not installed.
        TypeError: If ``policy`` is not a policy, or ``epochs`` not an integer.
        ValueError: If ``epochs`` is below 1, or there is no policy.

    Example:
        >>> ax = plot(Switch([{0: 0.5, 2: 0.25}, {0: 0.1}]), epochs=4)
        >>> [line.get_label() for line in ax.lines]
        ['Switch, group 0', 'Switch, group 1']
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "plot needs Matplotlib: pip install 'thunder_policy[plot]', or matplotlib"
        ) from error
    count(epochs, "plot: epochs")
    policies = policy if isinstance(policy, Mapping) else {type(policy).__name__: policy}
    if not policies:
        raise ValueError("plot: give it at least one policy")
    trajectories = {name: simulate(one, epochs) for name, one in policies.items()}
    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    for name, lrs in trajectories.items():
        draw(ax, name, lrs if per_group else lrs[:, :1])
    finish(ax)
    return ax
