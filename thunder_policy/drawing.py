"""A trajectory of lrs on an axis: what stands out in it, and how it is drawn to be read."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# How many lines, how many of their names below each other, and how many milestones on one of them,
# a person can still tell apart.
MANY_LINES = 10
MANY_LABELS = 6
MANY_MILESTONES = 20
# How many times larger than those beside it the change of an epoch is that is called a jump.
JUMP = 5


def draw(ax: Axes, name: str, lrs: Tensor, names: Sequence[object] = ()) -> None:
    """Draw what `simulate` returns: a line for the groups with the same lrs, milestones marked.

    Args:
        ax: Where to draw.
        name: What is drawn, for the legend.
        lrs: One column a param group.
        names: Those of the groups, where they have any.
    """
    from matplotlib import colormaps

    epochs = len(lrs)
    lines = distinct(lrs)
    many = len(lines) > MANY_LINES
    for i, (groups, line) in enumerate(lines.items()):
        points = milestones(line[:, None])
        marked = [t for t in points if epochs == 1 or t > 0]
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
            else name.lstrip("_") + (f", {group_names(groups, names)}" if len(lines) > 1 else ""),
        )


def finish(ax: Axes, what: str = "lr") -> None:
    """Scale and label the axes for all that is drawn on them."""
    from matplotlib import ticker

    # Not the line of axvline, whose y are shares of the axis.
    lines = [
        line
        for line in ax.lines
        if line.get_transform().contains_branch_seperately(ax.transData)[1]
    ]
    drawn = torch.cat([torch.as_tensor(line.get_ydata()).flatten() for line in lines])
    if wants_log(drawn):
        ax.set_yscale("log")
    elif drawn.min() > 0 and ax.get_yscale() == "linear":
        # From 0; still automatic, for what is drawn beside it later.
        ax.set_ylim(0, 1.05 * float(drawn.max()), auto=None)
    ax.xaxis.set_major_locator(ticker.MaxNLocator("auto", integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel=what)
    ax.grid(alpha=0.3)
    ax.legend(ncols=2 if len(ax.get_legend_handles_labels()[1]) > MANY_LABELS else 1)


def milestones(lrs: Tensor) -> list[int]:
    """Return the epochs at which a lr jumps, turns, or begins or ends to move.

    The first epoch always counts, and the last of several never does: what it begins may go on.

    Args:
        lrs: What `simulate` returns, of at least one epoch.

    Example:
        >>> from thunder_policy import Switch, simulate
        >>> milestones(simulate(Switch({0: 0.5, 2: 0.25, 3: 0.25}), epochs=9))
        [0, 2]
    """
    change, single = _changes(lrs)
    padded = _padded(change.abs(), torch.inf)
    jumps = single | (change.abs() > JUMP * torch.maximum(padded[:-2], padded[2:]))
    # The end of a stretch is no event of its own where the lr jumps in the next epoch.
    following = _padded(change.sign(), torch.nan)[2:]
    ends = (following != change.sign()) & ~_padded(jumps, False)[2:]
    return [0, *((jumps | ends)[:-1].any(dim=1).nonzero()[:, 0] + 1).tolist()]


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


def group_names(groups: tuple[int, ...], names: Sequence[object] = ()) -> str:
    """Name the groups of a line: ``group 0``, ``groups head, body``, ``5 groups from 3``."""
    shown = [*dict.fromkeys(str(names[i] if names else i) for i in groups)]
    if len(shown) == 1:
        return f"group {shown[0]}"
    if len(shown) > 3:
        return f"{len(shown)} groups from {shown[0]}"
    return f"groups {', '.join(shown)}"


def _changes(lrs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the change of each epoch after the first, and whether it stands alone.

    A change within rounding counts as 0. One stands alone if neither neighbour has its sign.
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
