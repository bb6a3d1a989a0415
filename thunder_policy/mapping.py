"""The policies of a mapping: Switch and Multiply by epoch, Schedule by a callable."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Any, Generic, SupportsFloat, TypeVar

import torch
from toolz import merge  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor
from torch.optim import Optimizer

from . import state as states
from .checks import (
    add_note,
    all_finite_floats,
    each,
    epoch_mapping,
    epoch_number,
    mapping_or_callable,
    non_negative,
    real,
    schedule_fn,
    short,
)
from .groups import LR, NO_FACTORS, copy_of, on_host
from .policy import Plan, Policy, ScheduleFn, group_name, is_bound, param_groups

EpochMapping = Mapping[int, SupportsFloat]
"""Epoch to lr (Switch) or factor (Multiply)."""

InitialLR = SupportsFloat | Sequence[SupportsFloat] | None
"""One lr for all groups, one a group, or None for what each group has."""

M = TypeVar("M")
AnyMappingPolicy = TypeVar("AnyMappingPolicy", bound="MappingPolicy[Any]")


class MappingPolicy(Policy, Generic[M]):
    """Base of the policies of a mapping, for all groups or one a group.

    Args:
        mapping: A mapping from epoch to number, or a callable; or a list or tuple with one a group.
        lr_init: What epoch 0 starts from: one number for all groups, or a list or tuple with one a
            group. ``None``: each group's ``initial_lr``, where another scheduler left one, else its
            own lr.

    Attributes:
        mapping: The mapping, copied: sorted by epoch, with ``int`` keys and ``float`` values.
        lr_init: What was given, as ``float``.

    Raises:
        TypeError: For an epoch that is no integer, or a value that is no real number.
        ValueError: For a negative epoch, a value that is negative, nan or inf, an empty list, or
            lists of different lengths.

    Example:
        >>> from torch import nn, optim
        >>> class Share(MappingPolicy[dict[int, float]]):
        ...     def get_lr(self) -> list[float]:
        ...         pairs = zip(self.current_mapping, self.current_lr_init)
        ...         return [lr * shares.get(self.last_epoch, 0.0) for shares, lr in pairs]
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
        >>> Share({0: 0.25, 1: 1}, lr_init=0.8)(optimizer).get_last_lr()
        [0.2]
    """

    mapping: M | list[M]
    lr_init: float | list[float] | None

    def __init__(self, mapping: M | Sequence[M], lr_init: InitialLR = 1e-3) -> None:
        who = type(self).__name__
        self.mapping = each(mapping, f"{who}: mapping", mapping_or_callable)
        self.lr_init = None if lr_init is None else each(lr_init, f"{who}: lr_init", non_negative)
        counts = [len(given) for given in (self.mapping, self.lr_init) if isinstance(given, list)]
        if len({*counts}) > 1:
            raise ValueError(f"{who}: got {counts[0]} mappings and {counts[1]} lr_init")

    def __repr__(self) -> str:
        bound = is_bound(self)
        mapping = self.current_mapping if bound else self.mapping
        lr_init = [*map(float, self.base_lrs)] if bound else self.lr_init
        return f"{type(self).__name__}({mapping=}, {lr_init=})"

    @property
    def current_mapping(self) -> list[M] | None:
        """The mapping of each group; ``None`` before the policy is bound."""
        if not is_bound(self):
            return None
        one = self.mapping
        return [*one] if isinstance(one, list) else [one] * len(self.base_lrs)

    @property
    def current_lr_init(self) -> list[float | Tensor] | None:
        """What each group started from; ``None`` before the policy is bound."""
        return [*map(copy_of, self.base_lrs)] if is_bound(self) else None

    # Declared as Policy.get_lr is, and for its reason.
    @abstractmethod
    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as if nobody else changed any.

        Args:
            epoch: An integer of at least 0; any, in any order.

        Returns:
            One lr a param group. Before the policy is bound: one, if nothing was given a group.

        Raises:
            TypeError: If the epoch is no integer.
            ValueError: If it is negative, or the lr depends on a group that is not known yet:
                ``lr_init=None`` before the policy is bound.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed form: define lr_at")

    def in_steps(self: AnyMappingPolicy, steps_per_epoch: int) -> AnyMappingPolicy:
        """Return the same policy counted in steps: written in epochs, stepped in batches.

        Step ``k * steps_per_epoch`` has the lr of epoch k. The epochs of a mapping are multiplied;
        a callable that has an ``in_steps`` of its own is asked for it, and any other is called
        with the epoch that a step is in.

        Args:
            steps_per_epoch: How often `step` is called in an epoch, at least 1.

        Returns:
            A policy of the same class, not bound.

        Raises:
            TypeError: If that is no integer.
            ValueError: If it is less than 1.

        Example:
            >>> from thunder_policy import Switch
            >>> Switch({0: 0.1, 30: 0.01}).in_steps(500)
            Switch(mapping={0: 0.1, 15000: 0.01}, lr_init=0.001)
        """
        what = f"{type(self).__name__}: steps_per_epoch"
        k = epoch_number(steps_per_epoch, what)
        if k == 0:
            raise ValueError(f"{what} must be at least 1, not 0")
        new = copy.copy(self)
        new.mapping = each(self.mapping, what, lambda one, _: _counted_in_steps(one, k))
        return new

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Bind the policy to an optimizer, as `Policy.set_optimizer` does.

        Raises:
            TypeError: If that is no ``torch.optim.Optimizer``.
            ValueError: If there is a list with another number of entries than param groups.
        """
        n = len(param_groups(self, optimizer))
        self._mappings(n)
        lr_init = None if self.lr_init is None else _per_group(self.lr_init, n, "lr_init")
        if self._own_get_lr():
            self._bind(optimizer, lr_init, _lr_restart=False, _lr_rule=self._rule(self.mapping))
        else:
            # A get_lr that multiplies what the groups hold finds lr_init there, as in the document.
            self._bind(optimizer, lr_init, _lr_restart=True, _lr_rule=None)

    def _rule(self, mapping: Any) -> object:
        """Return what a step goes by instead of get_lr, if that is the package's own."""
        return mapping

    def _mappings(self, n: int) -> list[M]:
        """Return one mapping for each of n groups: the same one n times, or the list."""
        return _per_group(self.mapping, n, "mappings")

    def _update_lr(self, epoch: int | None = None) -> None:
        self._check_counts(self.mapping, self.lr_init)
        super()._update_lr(epoch)

    def _check_counts(self, mapping: object, lr_init: object) -> None:
        """Refuse groups that came or went, where something was given a group."""
        n = len(self.optimizer.param_groups)
        for given, what in ((mapping, "mappings"), (lr_init, "lr_init")):
            if isinstance(given, list):
                _per_group(given, n, what)

    def _starts(self, groups: int | None = None) -> list[float | None]:
        """Return what each group starts from, ``None`` where that is not known."""
        if groups is None:
            if is_bound(self):
                return [*map(float, self.base_lrs)]
            given = [len(one) for one in (self.mapping, self.lr_init) if isinstance(one, list)]
            groups = given[0] if given else 1
        if self.lr_init is None:
            return [None] * groups
        return [*_per_group(self.lr_init, groups, "lr_init")]

    def _own_get_lr(self) -> bool:
        """Tell whether nobody has overridden get_lr, so that a step may do without it."""
        own = any(type(self).get_lr is policy.get_lr for policy in _POLICIES)
        return own and "get_lr" not in vars(self)

    def _closed_state(self) -> bool:
        return type(self) in _POLICIES

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return a state without some of its keys, as `Policy.prepare_state_dict` does.

        Returns:
            Beside what is there, ``lr_init`` and ``mapping``: pairs of epoch and value sorted by
            epoch, or a list of such lists. A dict would not outlive Distributed Checkpoint, which
            makes its keys strings. Callables are left out.
        """
        state = super().prepare_state_dict("mapping", "lr_init", *keys)
        if "mapping" not in keys and not _is_callable(self.mapping):
            state["mapping"] = states.pairs(self.mapping)
        if "lr_init" not in keys:
            state["lr_init"] = [*self.lr_init] if isinstance(self.lr_init, list) else self.lr_init
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a `state_dict`, as `Policy.load_state_dict` does.

        The mapping in the state replaces that of this policy; leave it out to keep this one's.

        Warns:
            UserWarning: If the two differ.
        """
        who = type(self).__name__
        warning = ""
        rest, attributes = state_dict, dict[str, object]()
        mapping, lr_init = self.mapping, self.lr_init
        if isinstance(state_dict, dict):
            # The original package saved what a binding makes of them, too.
            ours = {"mapping", "lr_init", "current_mapping", "current_lr_init"}
            rest = {key: value for key, value in state_dict.items() if key not in ours}
            if "lr_init" in state_dict:
                lr_init = state_dict["lr_init"]
                if lr_init is not None:
                    lr_init = each(lr_init, f"{who}: lr_init in the state", non_negative)
                attributes["lr_init"] = lr_init
            if "mapping" in state_dict and not _is_callable(mapping):
                saved: Any = states.unpaired(state_dict["mapping"], f"{who}: mapping in the state")
                if saved != mapping:
                    warning = (
                        f"{who}: the state has the mapping {short(saved)}, which replaces "
                        f"{short(mapping)}; to keep that, leave 'mapping' out of the state"
                    )
                attributes["mapping"] = mapping = saved
                if self._own_get_lr():
                    attributes["_lr_rule"] = self._rule(saved)
        self._check_counts(mapping, lr_init)
        self._load(rest, attributes, warning)


class _EpochPolicy(MappingPolicy[dict[int, float]]):
    """What Switch and Multiply share: lrs that change at the epochs of a mapping alone."""

    def __init__(
        self, mapping: EpochMapping | Sequence[EpochMapping], lr_init: InitialLR = 1e-3
    ) -> None:
        who = type(self).__name__
        super().__init__(each(mapping, f"{who}: mapping", epoch_mapping), lr_init)

    def _rule(self, mapping: Any) -> object:
        return merge(*mapping) if isinstance(mapping, list) else mapping

    def get_lr(self) -> list[float | Tensor]:
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        now, groups = self.last_epoch, self.optimizer.param_groups
        standing = [*map(LR, groups)] if now else self._aligned(self.base_lrs, groups)
        lrs = [*map(copy_of, standing)]
        for i, mapping in enumerate(self._mappings(len(lrs))):
            if now in mapping:
                held, lr = groups[i]["lr"], lrs[i]
                if self._scales and isinstance(held, Tensor) and isinstance(lr, float):
                    # In the dtype of a tensor, as torch's schedulers multiply.
                    where = f"{self._at()}, group {i}: the lr"
                    lr = torch.full_like(held, self._lr_seen.check(i, lr, where))
                lrs[i] = self._changed(lr, mapping[now])
        return lrs

    def _planned(self, lrs: list[Any]) -> Plan | None:
        """Plan what get_lr says, leaving alone the tensor lrs that do not change.

        Nor does it read those that are not on the CPU.
        """
        now, seen = self.last_epoch, self._lr_seen
        if not isinstance(self._lr_rule, dict) or now == 0:
            return super()._planned(lrs)
        if now not in self._lr_rule:
            return None
        changes = [mapping.get(now) for mapping in self._mappings(len(lrs))]
        if not seen.held:
            new = [
                lr if value is None else self._changed(lr, value) for lr, value in zip(lrs, changes)
            ]
            if all_finite_floats(new):
                return new, NO_FACTORS
        plan: list[Any] = []
        factors: dict[int, float] = {}
        for i, (lr, value) in enumerate(zip(lrs, changes)):
            tensor = seen.tensor(i)
            if value is None:
                plan.append(lr if tensor is None else None)
            elif self._scales and tensor is not None and not on_host(tensor):
                plan.append(None)
                factors[i] = value
            else:
                changed = self._changed(lr if tensor is None else tensor, value)
                plan.append(self._writable_lr(i, changed))
        return plan, factors

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as `MappingPolicy.lr_at` does."""
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        starts = self._starts()
        lrs = []
        for i, (mapping, start) in enumerate(zip(self._mappings(len(starts)), starts)):
            lr = self._path(mapping, start, epoch, i)[1][-1]
            if lr is None:
                raise ValueError(
                    f"{type(self).__name__}: with lr_init=None the lr at epoch {epoch}, group {i}, "
                    "is the optimizer's: call policy(optimizer) first, or give an lr_init"
                )
            lrs.append(lr)
        return lrs

    def _get_closed_form_lr(self) -> Sequence[float | Tensor]:
        # At 0, from SequentialLR, get_lr is the closed form too, and waits for no GPU.
        return self.lr_at(self.last_epoch) if self.last_epoch else self.get_lr()

    def _trajectory(self, epochs: int, starts: Sequence[float]) -> Tensor:
        """Return the lrs of the first epochs, as `simulate` does."""
        columns = []
        for i, (mapping, start) in enumerate(zip(self._mappings(len(starts)), starts)):
            since, lrs = self._path(mapping, start, epochs - 1, i)
            lengths = torch.tensor([*since, epochs], device="cpu").diff()
            column = torch.tensor(lrs, dtype=torch.float64, device="cpu")
            columns.append(column.repeat_interleave(lengths))
        return torch.stack(columns, dim=1)

    def _path(
        self, mapping: dict[int, float], start: float | None, until: int, group: int
    ) -> tuple[list[int], list[float | None]]:
        """Return the epochs at which a group changes, from 0, and its lr from each on, if known."""
        epochs = [epoch for epoch in sorted(mapping) if epoch <= until]
        values: list[Any] = [start, *(mapping[epoch] for epoch in epochs)]
        lrs: list[float | None] = [*accumulate(values, self._changed)]
        if inf in lrs:
            where = f"{self._at(epochs[lrs.index(inf) - 1])}, group {group}: the lr"
            real(inf, where)
        return [0, *epochs], lrs

    _scales = False
    """Whether the values are factors, so that a change of a tensor need not read it."""

    @staticmethod
    @abstractmethod
    def _changed(lr: Any, value: float) -> Any:
        """Return what the value of an epoch makes of a lr; ``None`` is a lr that is not known."""


class Switch(_EpochPolicy):
    """Switch to the given lr at each epoch of a mapping, and keep it until the next.

    ``lr(t) = mapping[t]`` where t is a key, else the lr as it stands; ``lr(0) = lr_init`` where 0
    is none.

    Args:
        mapping: Epoch to lr, for all groups, or a list or tuple with one a group.
        lr_init: The lr at epoch 0: one for all groups, a list or tuple with one a group, or
            ``None`` for what each group has.

    Raises:
        TypeError: For an epoch that is no integer, or a lr that is no real number.
        ValueError: For a negative epoch, a lr that is negative, nan or inf, an empty list, or
            lists of different lengths.

    Example:
        >>> policy = Switch({0: 1e-4, 2: 1e-10})
        >>> [policy.lr_at(epoch) for epoch in range(4)]
        [[0.0001], [0.0001], [1e-10], [1e-10]]
    """

    @staticmethod
    def _changed(lr: Any, value: float) -> Any:
        return value


class Multiply(_EpochPolicy):
    """Multiply the lr by the given factor at each epoch of a mapping, and keep it until the next.

    ``lr(t) = lr * mapping.get(t, 1)`` for the lr as it stands; at 0 that is ``lr_init``.

    Args:
        mapping: Epoch to factor, for all groups, or a list or tuple with one a group.
        lr_init: The lr before the first factor: one for all groups, a list or tuple with one a
            group, or ``None`` for what each group has.

    Raises:
        TypeError: For an epoch that is no integer, or a factor that is no real number.
        ValueError: For a negative epoch, a factor that is negative, nan or inf, an empty list, or
            lists of different lengths.

    Example:
        >>> policy = Multiply({1: 0.5, 3: 0.1}, lr_init=1.0)
        >>> [policy.lr_at(epoch) for epoch in range(5)]
        [[1.0], [0.5], [0.5], [0.05], [0.05]]
    """

    _scales = True

    @staticmethod
    def _changed(lr: Any, value: float) -> Any:
        return None if lr is None else lr * value


class Schedule(MappingPolicy[ScheduleFn]):
    """Take the lr of each epoch from a callable: ``lr(t) = mapping(t)``.

    Args:
        mapping: Epoch to lr, for all groups and then called once a step, or a list or tuple with
            one a group. It returns a finite real number: ``int``, ``float``, a NumPy scalar, a
            tensor of one element. The thunder_policy module ``schedules`` has some to use here.
        lr_init: Not used for the lrs, and ``base_lrs`` of the bound policy.

    Raises:
        TypeError: If something else than a callable is given.
        ValueError: For an empty list, or lists of different lengths.

    Example:
        >>> policy = Schedule(lambda epoch: 0.1 / (1 + epoch))
        >>> [policy.lr_at(epoch) for epoch in (0, 1, 9)]
        [[0.1], [0.05], [0.01]]
    """

    def __init__(
        self, mapping: ScheduleFn | Sequence[ScheduleFn], lr_init: InitialLR = 1e-3
    ) -> None:
        who = type(self).__name__
        super().__init__(each(mapping, f"{who}: mapping", schedule_fn), lr_init)

    def get_lr(self) -> list[float | Tensor]:
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        n = len(self.optimizer.param_groups)
        lrs = self._called(self._distinct(), [self.last_epoch])
        return lrs if isinstance(self.mapping, list) else lrs * n

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as `MappingPolicy.lr_at` does.

        Raises:
            TypeError: If the epoch is no integer, or a callable returns no number.
            ValueError: If the epoch is negative, or a callable returns nan or inf.
        """
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        lrs = self._called(self._distinct(), [epoch])
        return lrs if isinstance(self.mapping, list) else lrs * len(self._starts())

    def _get_closed_form_lr(self) -> Sequence[float | Tensor]:
        # At 0, from SequentialLR, get_lr is the closed form too, and waits for no GPU.
        return self.lr_at(self.last_epoch) if self.last_epoch else self.get_lr()

    def _trajectory(self, epochs: int, starts: Sequence[float]) -> Tensor:
        """Return the lrs of the first epochs, as `simulate` does."""
        from .tables import tabled  # here, as to import every schedule takes long

        n = len(starts)
        self._mappings(n)
        schedules = [tabled(schedule, epochs) for schedule in self._distinct()]
        called = self._called(schedules, range(epochs))
        shape = epochs, len(schedules)
        lrs = torch.tensor(called, dtype=torch.float64, device="cpu").reshape(shape)
        return lrs if len(schedules) == n else lrs.repeat(1, n)

    def _called(self, schedules: Sequence[ScheduleFn], epochs: Iterable[int]) -> list[Any]:
        """Call the callable of each group, or the one for all of them, at each of the epochs."""
        lrs: list[float] = []
        n, epoch = len(schedules), 0
        try:
            # No juxt: that hides which one raised, and turns StopIteration into RuntimeError.
            for epoch in epochs:
                for schedule in schedules:
                    lr: Any = schedule(epoch)
                    if type(lr) is not float or lr - lr != 0.0:  # nan or inf
                        what = f"{self._at(epoch)}{group_name(len(lrs) % n, schedules)}: the lr"
                        lr = real(lr, what, any_shape=True)
                    lrs.append(lr)
        except Exception as error:
            add_note(error, self._at(epoch), group_name(len(lrs) % n, schedules))
            raise
        return lrs

    def _distinct(self) -> list[ScheduleFn]:
        """Return the callables to call: one for all groups is called once."""
        return self.mapping if isinstance(self.mapping, list) else [self.mapping]

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot, as `Policy.state_dict` does; without the callables."""
        return self.prepare_state_dict("mapping", "lr_init")


_POLICIES: tuple[type[MappingPolicy[Any]], ...] = (Switch, Multiply, Schedule)


@dataclass(frozen=True)
class InSteps:
    """A schedule that is called with steps, and calls another with the epoch that each is in."""

    schedule: ScheduleFn
    steps_per_epoch: int

    def __call__(self, step: int) -> SupportsFloat:
        """Return the lr at a step."""
        return self.schedule(step // self.steps_per_epoch)


def _counted_in_steps(one: Any, k: int) -> Any:
    if isinstance(one, Mapping):
        return {k * epoch: value for epoch, value in one.items()}
    return one.in_steps(k) if hasattr(one, "in_steps") else InSteps(one, k)


def _per_group(values: Any, n: int, what: str) -> list[Any]:
    """Return one value for each of n groups: the same one n times, or the list."""
    if not isinstance(values, list):
        return [values] * n
    if len(values) != n:
        raise ValueError(f"Got {len(values)} {what} and {n} param groups")
    return values


def _is_callable(mapping: object) -> bool:
    return callable(mapping[0] if isinstance(mapping, list) else mapping)
