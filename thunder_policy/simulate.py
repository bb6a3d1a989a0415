"""The lrs that a policy gives, before training with it."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .checks import add_note, count, epoch_number, non_negative, per_group, real, short
from .drawing import draw, finish
from .dry_run import stand_in, stepped
from .mapping import MappingPolicy, Scale, Schedule
from .policy import Policy, is_bound

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
    if groups is None and is_bound(policy):
        starts = policy._starts_now()
    else:
        starts = _made_up_starts(policy, groups, lr)
    if isinstance(policy, MappingPolicy) and policy._is_closed():
        return _closed_form(policy, epochs, starts)
    rows = stepped(policy, epochs, stand_in(policy, starts))
    return torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(epochs, len(starts))


def _made_up_starts(policy: Policy, groups: int | None, lr: float) -> list[float]:
    """Return what each new group starts from: a number for all that the policy leaves open."""
    if not isinstance(policy, MappingPolicy):
        return [lr] * (groups or 1)
    n = groups or [*policy._counts(), 1][0]
    mappings = per_group(policy.mapping, n, "mappings")
    starts = per_group(policy.lr_init, n, "lr_init")
    return [lr if start is None or one is None else start for start, one in zip(starts, mappings)]


def _closed_form(policy: MappingPolicy[Any], epochs: int, starts: Sequence[float]) -> Tensor:
    """Return what ``policy.lr_at`` gives at each of the first epochs."""
    unbound: Any = copy.copy(policy)
    if isinstance(unbound, (Schedule, Scale)):
        lrs = _called(unbound, epochs, starts)
    else:
        columns = []
        for since, values in unbound._paths(epochs - 1, starts):
            lengths = torch.tensor([*since, epochs], device="cpu").diff()
            column = torch.tensor(values, dtype=torch.float64, device="cpu")
            columns.append(column.repeat_interleave(lengths))
        lrs = torch.stack(columns, dim=1)
    for epoch, group in (~lrs.isfinite()).nonzero()[:1].tolist():
        where = f"{type(policy).__name__} at epoch {epoch}, group {group}: the {policy.option}"
        real(float(lrs[epoch, group]), where)  # an overflow
    return lrs


def _called(policy: Schedule | Scale, epochs: int, starts: Sequence[float]) -> Tensor:
    """Return what the callables give at each of the first epochs, for each group."""
    mapping: Any = policy.mapping
    several: list[Any] = mapping if isinstance(mapping, list) else [mapping]
    called = {i: one for i, one in enumerate(several) if one is not None}
    numbers = dict(zip(called, _numbers(policy, called, epochs).unbind(dim=1)))
    scale = starts if isinstance(policy, Scale) else [1.0] * len(starts)
    columns = []
    for i, start in enumerate(starts):
        column = numbers.get(i if several is mapping else 0)
        alone = torch.full((epochs,), start, dtype=torch.float64, device="cpu")
        columns.append(alone if column is None else column * scale[i])
    return torch.stack(columns, dim=1)


def _numbers(policy: Schedule | Scale, called: Mapping[int, Any], epochs: int) -> Tensor:
    """Call some callables at each of the first epochs, by a table where one has it.

    Args:
        policy: Whose callables they are, for an error.
        called: The callables, by the places of their groups.
        epochs: How many.

    Returns:
        A tensor of shape (epochs, callables).
    """
    from .tables import tabled  # here, as to import every schedule takes long

    tables = {i: tabled(one, epochs) for i, one in called.items()}
    numbers: list[float] = []
    epoch, group = 0, 0
    try:
        for epoch in range(epochs):
            for group, table in tables.items():
                number = table(epoch)
                if type(number) is not float or number - number != 0.0:  # nan or inf
                    what = f"{policy._where(epoch, group)}: the {policy.option}"
                    number = real(number, what, any_shape=True)
                numbers.append(number)
    except BaseException as error:
        add_note(error, policy._where(epoch, group))
        raise
    return torch.tensor(numbers, dtype=torch.float64, device="cpu").reshape(epochs, len(called))


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
        >>> from thunder_policy import Switch
        >>> ax = plot(Switch([{0: 0.5, 2: 0.25}, {0: 0.1}]), epochs=4)
        >>> [line.get_label() for line in ax.lines]
        ['Switch, group 0', 'Switch, group 1']
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plot needs Matplotlib: pip install matplotlib") from error
    count(epochs, "plot: epochs")
    policies = policy if isinstance(policy, Mapping) else {type(policy).__name__: policy}
    if not policies:
        raise ValueError("plot: give it at least one policy")
    trajectories = {name: simulate(one, epochs) for name, one in policies.items()}
    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    for name, lrs in trajectories.items():
        draw(ax, name, lrs if per_group else lrs[:, :1])
    finish(ax, ", ".join(dict.fromkeys(one.option for one in policies.values())))
    return ax
