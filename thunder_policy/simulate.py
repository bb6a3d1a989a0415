"""The lrs that a policy gives, before training with it."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from .by_name import ByName
from .call_order import warn, watch
from .checks import add_note, count, epoch_number, non_negative, per_group, real, short
from .drawing import draw, finish
from .dry_run import stand_in, stepped
from .mapping import MappingPolicy, Scale, Schedule
from .plateau import Plateau
from .policy import Policy, is_bound
from .state import bound_schedulers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .schedules import ScheduleFunction

    # What is one policy, or stands for one: a list is of schedules, one a group.
    Metrics = Sequence[SupportsFloat | None]
    One = LRScheduler | ScheduleFunction | Sequence[ScheduleFunction | None]


@overload
def simulate(
    policy: Mapping[str, One],
    epochs: SupportsIndex,
    groups: SupportsIndex | None = None,
    lr: float | None = None,
    *,
    metrics: Metrics = ...,
) -> dict[str, Tensor]: ...


@overload
def simulate(
    policy: One,
    epochs: SupportsIndex,
    groups: SupportsIndex | None = None,
    lr: float | None = None,
    *,
    metrics: Metrics = ...,
) -> Tensor: ...


@overload
def simulate(
    policy: Sequence[LRScheduler],
    epochs: SupportsIndex,
    groups: SupportsIndex | None = None,
    lr: float | None = None,
    *,
    metrics: Metrics = ...,
) -> list[Tensor]: ...


def simulate(
    policy: Any,
    epochs: SupportsIndex,
    groups: SupportsIndex | None = None,
    lr: float | None = None,
    *,
    metrics: Metrics = (),
) -> Tensor | list[Tensor] | dict[str, Tensor]:
    """Return the lrs of the first epochs, from a fresh start and without touching an optimizer.

    Args:
        policy: A policy, where it is bound with the param groups and ``base_lrs`` that it has; a
            schedule of `thunder_policy.schedules`, or a list of these, one a group, ``None`` for a
            group to leave alone; a scheduler of torch that was not stepped yet, to compare with. Or
            several of these: a mapping from names to them, or a list with a policy in it.
        epochs: How many, at least 0.
        groups: How many param groups to take a policy with, as if it were not bound; by default
            those of its optimizer, else as many as it was given lists for, else one.
        lr: What each new group holds, where that counts. By default it is 1, and a warning says
            that the lrs are relative to it.
        metrics: For a `Plateau` or torch's ReduceLROnPlateau: the metric of each epoch, None where
            there is none, up to an epoch of your choice; a list, a tuple, or an array.

    Returns:
        A float64 tensor of shape (epochs, groups); row t has the lrs at epoch t. For a mapping a
        dict of them, for a list with a policy in it a list.

    Raises:
        TypeError: If ``policy`` is nothing of the kind, or what should be a number is not one, or
            metrics are given, and nothing takes them, or they are no list.
        ValueError: If ``epochs`` or ``lr`` is negative, ``groups`` is below 1, the policy cannot be
            bound to so many groups, or the scheduler of torch was stepped.

    Example:
        >>> from thunder_policy import Switch
        >>> simulate(Switch({0: 0.5, 2: 0.25}), epochs=4).tolist()
        [[0.5], [0.5], [0.25], [0.25]]
    """
    epochs = epoch_number(epochs, "simulate: epochs")
    if groups is not None:
        groups = count(groups, "simulate: groups")
    for what, n in (("epochs", epochs), ("groups", groups or 1)):
        if n > sys.maxsize:
            raise ValueError(f"simulate: {what} must fit a tensor, not {short(n)}")
    if lr is not None:
        lr = non_negative(lr, "simulate: lr")
    metrics = _listed(metrics)
    named = schedulers("simulate", policy)
    fed = (Plateau, ReduceLROnPlateau)
    if metrics and not any(isinstance(one, fed) for one in named.values()):
        raise TypeError(f"simulate: metrics are for a Plateau, not for {short(policy)}")
    if lr is None and (unknown := relative(named, groups)):
        warn(f"simulate: {unknown}; give it lr=, or bind the policy first")
    lrs = {
        name: trajectory(one, epochs, groups, 1.0 if lr is None else lr, metrics)
        for name, one in named.items()
    }
    if isinstance(policy, Mapping):
        return lrs
    return [*lrs.values()] if is_several(policy) else next(iter(lrs.values()))


def _listed(metrics: Any) -> Metrics:
    """Return metrics as a sequence, and refuse what is none, and text."""
    listed = metrics.tolist() if hasattr(metrics, "tolist") else metrics
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
        raise TypeError(f"simulate: metrics must be a list, one an epoch, not {short(metrics)}")
    return listed


def schedulers(who: str, *policies: Any) -> dict[str, LRScheduler]:
    """Return what `simulate` takes by name, schedules in a `Schedule`.

    Args:
        who: Whose arguments they are, for an error.
        policies: What is simulated; one may be several, in a list or mapping.

    Returns:
        One entry for each policy, schedule, scheduler of torch, and list of schedules, one a group.
        What has no name in a mapping is called by its class, or by its repr where another has that
        name.
    """
    for one in policies:
        if not is_simulated(one) or (len(policies) > 1 and is_several(one)):
            raise TypeError(
                f"{who} takes a policy, a schedule, a scheduler of torch, or a list or mapping of "
                f"these, not {short(one)}: use Schedule for functions"
            )
    if len(policies) == 1 and is_several(policies[0]):
        (policies,) = policies
        if isinstance(policies, Mapping):
            return {name: _scheduler(one) for name, one in policies.items()}
    names = [
        "Schedule" if isinstance(one, (list, tuple)) else type(one).__name__ for one in policies
    ]
    if len({*names}) < len(names):
        names = [short(one) for one in policies]
    if len({*names}) < len(names):
        names = [f"{i}: {name}" for i, name in enumerate(names)]
    return {name: _scheduler(one) for name, one in zip(names, policies)}


def is_simulated(policy: Any) -> bool:
    """Tell whether something is what `simulate` takes."""
    if isinstance(policy, Mapping):
        named = bool(policy) and all(isinstance(name, str) for name in policy)
        return named and all(map(_is_one, policy.values()))
    return _is_one(policy) or (is_several(policy) and all(map(_is_one, policy)))


def is_several(policy: Any) -> bool:
    """Tell whether something is several to compare; a list of schedules is one, a part a group."""
    return isinstance(policy, Mapping) or (
        isinstance(policy, (list, tuple))
        and any(isinstance(one, (LRScheduler, list, tuple)) for one in policy)
    )


def _is_one(policy: Any) -> bool:
    """Tell whether something is a policy, a scheduler, a schedule, or schedules, one a group."""
    from .schedules import ScheduleFunction  # here, as to import every schedule takes long

    several = policy if isinstance(policy, (list, tuple)) else [policy]
    there = [one for one in several if one is not None]
    return isinstance(policy, LRScheduler) or (
        bool(there) and all(isinstance(one, ScheduleFunction) for one in there)
    )


def _scheduler(policy: Any) -> LRScheduler:
    return policy if isinstance(policy, LRScheduler) else Schedule(policy)


def relative(named: Mapping[str, LRScheduler], groups: int | None = None) -> str:
    """Say which policies are relative to a start of 1, as nobody knows it yet; "" if none is."""
    unknown = [name for name, one in named.items() if _has_unknown_start(one, groups)]
    return f"{', '.join(unknown)}: relative to a start of 1, as none is known" if unknown else ""


def _has_unknown_start(policy: LRScheduler, groups: int | None) -> bool:
    if not isinstance(policy, Policy) or (groups is None and is_bound(policy)):
        return False
    if not isinstance(policy, MappingPolicy):
        return True
    return any(
        one is None or (start is None and policy._depends_on_start(one, 0))
        for one, start in _plans(policy, groups)
    )


def _plans(policy: MappingPolicy[Any], groups: int | None) -> list[tuple[Any, float | None]]:
    """Return the mapping and the lr_init of each new group."""
    n = groups or [*policy._counts(), 1][0]
    mappings = per_group(policy.mapping, n, "mappings")
    return [*zip(mappings, per_group(policy.lr_init, n, "lr_init"))]


def trajectory(
    policy: LRScheduler,
    epochs: int,
    groups: int | None = None,
    lr: float = 1.0,
    metrics: Metrics = (),
) -> Tensor:
    """Return what `simulate` does of one policy or scheduler, of arguments that were checked."""
    if not isinstance(policy, Policy):
        rows, n = _stepped_by_torch(policy, epochs, groups, metrics)
        return torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(epochs, n)
    if groups is None and is_bound(policy):
        starts = policy._starts_now()
    elif isinstance(policy, MappingPolicy):
        plans = _plans(policy, groups)
        starts = [lr if start is None or one is None else start for one, start in plans]
    else:
        starts = [lr] * (groups or 1)
    # The closed form of a Plateau does not know the metrics to come.
    by_steps = isinstance(policy, Plateau)
    if isinstance(policy, MappingPolicy) and policy._is_closed() and not by_steps:
        return _closed_form(policy, epochs, starts)
    rows = stepped(policy, epochs, stand_in(policy, starts), metrics if by_steps else ())
    return torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(epochs, len(starts))


def _stepped_by_torch(
    scheduler: LRScheduler, epochs: int, groups: int | None, metrics: Metrics
) -> tuple[list[list[float]], int]:
    """Step a copy of a scheduler of torch beside a stand-in for its optimizer."""
    who = type(scheduler).__name__
    if groups is not None:
        raise ValueError(f"simulate: {who} has the groups of its optimizer, not {groups}")
    stepped_to = max(getattr(one, "last_epoch", 0) for one in bound_schedulers(scheduler))
    if stepped_to > 0:
        raise ValueError(f"simulate: {who} is at epoch {stepped_to}: give it one that is at 0")
    old = scheduler.optimizer.param_groups
    options = [{key: group[key] for key in group if key != "params"} for group in old]
    memo: dict[int, Any] = {}  # one, as torch 2.6 has a scheduler share lrs that are tensors
    optimizer = Optimizer([{**group, "params": []} for group in copy.deepcopy(options, memo)], {})
    watch(optimizer)
    vars(optimizer)["_opt_called"] = True  # no warning that nobody calls its step
    fresh = copy.deepcopy(scheduler, memo | {id(scheduler.optimizer): optimizer})
    rows: list[list[float]] = []
    known = dict(enumerate(metrics, 1))
    for epoch in range(epochs):
        if not isinstance(fresh, ReduceLROnPlateau):
            if epoch:
                fresh.step()
        elif (metric := known.get(epoch)) is not None:
            fresh.step(metric)
        rows.append([float(group["lr"]) for group in optimizer.param_groups])
    return rows, len(old)


def _closed_form(policy: MappingPolicy[Any], epochs: int, starts: Sequence[float]) -> Tensor:
    """Return what ``policy.lr_at`` gives at each of the first epochs."""
    unbound: Any = copy.copy(policy)
    if isinstance(policy.mapping, list):
        unbound.mapping = [*policy._mappings(len(starts))]
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
    """Call some callables at each of the first epochs.

    Args:
        policy: Whose callables they are, for an error.
        called: The callables, by the places of their groups.
        epochs: How many.

    Returns:
        A tensor of shape (epochs, callables).
    """
    numbers: list[float] = []
    several = [*called.items()]
    for epoch in range(epochs):
        for group, schedule in several:
            try:
                number = schedule(epoch)
                if type(number) is not float or number - number != 0.0:  # nan or inf
                    what = f"{policy._where(epoch, group)}: the {policy.option}"
                    number = real(number, what, any_shape=True)
            except BaseException as error:
                add_note(error, policy._where(epoch, group))
                raise
            numbers.append(number)
    return torch.tensor(numbers, dtype=torch.float64, device="cpu").reshape(epochs, len(called))


@overload
def plot(
    policy: One | Sequence[LRScheduler] | Mapping[str, One],
    epochs: SupportsIndex,
    /,
    *,
    ax: Axes | None = ...,
    per_group: bool = ...,
) -> Axes: ...


@overload
def plot(
    *policies: One | Sequence[LRScheduler] | Mapping[str, One],
    epochs: SupportsIndex,
    ax: Axes | None = ...,
    per_group: bool = ...,
) -> Axes: ...


def plot(
    *policies: Any,
    epochs: SupportsIndex | None = None,
    ax: Axes | None = None,
    per_group: bool = True,
) -> Axes:
    """Draw the lrs of the first epochs, as `simulate` gives them, with the milestones marked.

    A milestone is an epoch at which the lr jumps, turns, or begins or ends to move. Groups with the
    same lrs share a line. The axis of the lrs is logarithmic where small ones could not be read. It
    says so where lrs are relative to a start that is not known.

    Args:
        policies: What `simulate` takes, one or several to compare; several in a mapping have the
            names that the legend is to have for them.
        epochs: How many, at least 1.
        ax: Where to draw, beside what is there; a new figure by default.
        per_group: Whether to draw all groups, and not the first one alone.

    Returns:
        The axes, which Matplotlib can go on with.

    Raises:
        ImportError: If Matplotlib is not installed.
        TypeError: If there is something that `simulate` does not take, or ``epochs`` is no integer.
        ValueError: If ``epochs`` is below 1, or there is no policy.

    Example:
        >>> from thunder_policy import Switch
        >>> ax = plot(Switch([{0: 0.5, 2: 0.25}, {0: 0.1}]), 4)
        >>> [line.get_label() for line in ax.lines]
        ['Switch, group 0', 'Switch, group 1']
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plot needs Matplotlib: pip install matplotlib") from error
    if epochs is None and len(policies) == 2:
        (*policies, epochs) = policies  # type: ignore[assignment]  # plot(policy, 90)
    if not policies:
        raise TypeError("plot: give it a policy, and how many epochs")
    epochs = count(epochs, "plot: epochs")
    named = schedulers("plot", *policies)
    trajectories = {name: trajectory(one, epochs) for name, one in named.items()}
    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    for name, lrs in trajectories.items():
        draw(ax, name, lrs if per_group else lrs[:, :1], labels(named[name]))
    finish(ax, quantity(named))
    return ax


def labels(policy: LRScheduler) -> Sequence[object]:
    """Return the names of the groups, where a policy goes by them."""
    if not isinstance(policy, MappingPolicy) or not isinstance(policy.mapping, ByName):
        return ()
    return policy._names_now() if is_bound(policy) else policy.mapping.names


def quantity(named: Mapping[str, LRScheduler]) -> str:
    """Name what is drawn: the options, and what is relative to a start that nobody knows."""
    unknown = relative(named)
    return f"{option(named)} ({unknown})" if unknown else option(named)


def option(named: Mapping[str, LRScheduler]) -> str:
    """Name the options that are scheduled."""
    return ", ".join(dict.fromkeys(getattr(one, "option", "lr") for one in named.values()))
