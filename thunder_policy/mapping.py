"""The policies of a mapping: Switch and Multiply by epoch, Schedule by a callable."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Generic, SupportsFloat, TypeVar

import torch
from toolz import merge  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor

from . import epochs
from . import state as states
from .checks import add_note, count, each, epoch_number, non_negative, per_group, real, schedule_fn
from .groups import KEEP, LR, Times, copy_of, like, on_host
from .policy import Policy, ScheduleFn, is_bound
from .stepping import AtMilestones, Called, Plan, which_group

EpochMapping = Mapping[int, SupportsFloat]
"""Epoch to lr (Switch) or factor (Multiply)."""

InitialLR = SupportsFloat | Sequence[SupportsFloat] | None
"""One lr for all groups, one a group, or None: see `MappingPolicy`."""

M = TypeVar("M")
AnyMappingPolicy = TypeVar("AnyMappingPolicy", bound="MappingPolicy[Any]")


class _PerGroup:
    """An attribute with one value a group: None unbound. Code of the document may set it."""

    def __init__(self, values: Callable[[Any], list[Any]]) -> None:
        self.values = values

    def __get__(self, policy: Any, owner: type) -> list[Any] | None:
        return self.values(policy) if policy is not None and is_bound(policy) else None


class MappingPolicy(Policy, Generic[M]):
    """Base of the policies of a mapping, for all groups or one a group.

    Args:
        mapping: A mapping from epoch to number, or a callable; or a list or tuple with one a group.
        lr_init: What epoch 0 starts from: one number for all groups, or a list or tuple with one a
            group. ``None``: each group's ``initial_lr``, where another scheduler left one, else its
            own lr.

    Attributes:
        mapping: The mapping, copied: sorted by epoch, with ``int`` keys and ``float`` values. A
            bound policy goes by the one that it was bound with, which nobody may edit in place.
        lr_init: What was given, as ``float``.
        current_mapping: The mapping of each group; ``None`` before the policy is bound.
        current_lr_init: What each group started from; ``None`` before the policy is bound.

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
    _lr_mapping: Any  # the one that it is bound with
    _checked: Callable[[Any, str], Any] = staticmethod(epochs.mapping_or_callable)
    if TYPE_CHECKING:
        current_mapping: list[M] | None
        current_lr_init: list[float | Tensor] | None
    else:
        current_mapping = _PerGroup(lambda self: [*self._mappings(len(self.base_lrs))])
        current_lr_init = _PerGroup(lambda self: [*map(copy_of, self.base_lrs)])

    def __init__(self, mapping: M | Sequence[M], lr_init: InitialLR = 1e-3) -> None:
        who = type(self).__name__
        self.mapping = each(mapping, f"{who}: mapping", self._checked)
        self.lr_init = None if lr_init is None else each(lr_init, f"{who}: lr_init", non_negative)
        counts = self._counts()
        if len({*counts}) > 1:
            raise ValueError(f"{who}: got {counts[0]} mappings and {counts[1]} lr_init")

    def _counts(self) -> list[int]:
        """Return how many mappings and how many lr_init there are, if they are lists."""
        return [len(given) for given in (self.mapping, self.lr_init) if isinstance(given, list)]

    def __repr__(self) -> str:
        bound = is_bound(self)
        mapping = self.current_mapping if bound else self.mapping
        lr_init = [*map(float, self.base_lrs)] if bound else self.lr_init
        return f"{type(self).__name__}({mapping=}, {lr_init=})"

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as if nobody else changed any.

        Args:
            epoch: An integer of at least 0; any, in any order.

        Returns:
            One lr a param group. Before the policy is bound: one, if nothing was given a group.

        Raises:
            TypeError: If the epoch is no integer, or a callable returns no number.
            ValueError: If the epoch is negative, a lr is not finite, or it depends on a group that
                is not known yet: ``lr_init=None`` before the policy is bound.
            NotImplementedError: If a subclass has no closed form.
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
            TypeError, ValueError: If that is no integer of at least 1.

        Example:
            >>> from thunder_policy import Switch
            >>> Switch({0: 0.1, 30: 0.01}).in_steps(500)
            Switch(mapping={0: 0.1, 15000: 0.01}, lr_init=0.001)
        """
        k = count(steps_per_epoch, f"{type(self).__name__}: steps_per_epoch")
        new = copy.copy(self)
        new.mapping = epochs.in_steps(self.mapping, k)
        return new

    def _to_bind(self, n: int) -> tuple[list[float] | None, dict[str, object]]:
        lr_init = per_group(self.lr_init, n, "lr_init")
        return None if self.lr_init is None else lr_init, self._goes_by(self.mapping)

    def _goes_by(self, mapping: Any) -> dict[str, object]:
        """Return the attributes of a policy that is bound with a mapping."""
        own = type(self).get_lr in (_EpochPolicy.get_lr, Schedule.get_lr)
        own = own and "get_lr" not in vars(self)
        rule = self._rule(mapping)
        return {
            "_lr_mapping": mapping,
            "_lr_rule": rule if own else None,
            # A get_lr that multiplies what the groups hold finds lr_init there, as in the document.
            "_lr_restart": not own,
        }

    def _rule(self, mapping: Any) -> Any:
        """Return what a step looks at instead of asking get_lr: its milestones, or one callable."""
        return None

    def _current(self) -> Any:
        """Return the mapping to go by, for all groups or a list with one a group."""
        return self._lr_mapping if is_bound(self) else self.mapping

    def _mappings(self, n: int) -> list[M]:
        """Return one mapping for each of n groups: the same one n times, or the list."""
        return per_group(self._current(), n, "mappings")

    def _start_lrs(self, groups: int | None = None) -> list[Any]:
        """Return what each group starts from, ``None`` where that is not known."""
        if groups is None and is_bound(self):
            return [*map(float, self.base_lrs)]
        return per_group(self.lr_init, groups or [*self._counts(), 1][0], "lr_init")

    def _advance(self, epoch: int, plan: Plan) -> None:
        self._check_counts(self._lr_mapping, self.lr_init)
        super()._advance(epoch, plan)

    def _check_counts(self, mapping: object, lr_init: object) -> None:
        """Refuse groups that came or went, where something was given a group."""
        n = len(self.optimizer.param_groups)
        per_group(mapping, n, "mappings")
        per_group(lr_init, n, "lr_init")

    def _closed_state(self) -> bool:
        return type(self) in (Switch, Multiply, Schedule)

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return a state without some of its keys, as `Policy.prepare_state_dict` does.

        Returns:
            Beside what is there, ``lr_init`` and ``mapping``: pairs of epoch and value sorted by
            epoch, or a list of such lists. A dict would not outlive Distributed Checkpoint, which
            makes its keys strings. Callables are left out.
        """
        state = super().prepare_state_dict("mapping", *keys)
        if "mapping" not in keys and not states.is_callable(self._lr_mapping):
            state["mapping"] = epochs.pairs(self._lr_mapping)
        if "lr_init" not in keys:
            state["lr_init"] = copy.copy(self.lr_init)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a `state_dict`, as `Policy.load_state_dict` does.

        The mapping in the state replaces that of this policy; leave it out to keep this one's.

        Warns:
            UserWarning: If the two differ.
        """
        self.optimizer  # noqa: B018  an unbound policy raises here
        read = states.read_mapping(state_dict, self._lr_mapping, self.lr_init, type(self).__name__)
        self._check_counts(read.mapping, read.lr_init)
        new = {"mapping": read.mapping, **self._goes_by(read.mapping)}
        same = read.mapping is self._lr_mapping
        self._load(read.rest, {"lr_init": read.lr_init, **({} if same else new)}, read.warning)


def _closed_form(policy: MappingPolicy[Any]) -> Sequence[float | Tensor]:
    """Return the lrs at ``last_epoch``; at 0, from SequentialLR, without waiting for a GPU."""
    return policy.lr_at(policy.last_epoch) if policy.last_epoch else policy.get_lr()


class _EpochPolicy(AtMilestones, MappingPolicy[dict[int, float]]):
    """What Switch and Multiply share: lrs that change at the epochs of a mapping alone."""

    _checked = staticmethod(epochs.epoch_mapping)
    _get_closed_form_lr = _closed_form

    def __init__(
        self, mapping: EpochMapping | Sequence[EpochMapping], lr_init: InitialLR = 1e-3
    ) -> None:
        numbers: Any = mapping
        super().__init__(numbers, lr_init)

    def _rule(self, mapping: Any) -> Any:
        return merge(*mapping) if isinstance(mapping, list) else mapping

    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        now, groups = self.last_epoch, self.optimizer.param_groups
        if now:
            lrs = [*map(LR, groups)]
        else:
            base = self._lr_groups.aligned(self.base_lrs, groups)
            lrs = [like(group["lr"], lr) for group, lr in zip(groups, base)]
        return [
            self._changed(lr, mapping[now]) if now in mapping else copy_of(lr)
            for lr, mapping in zip(lrs, self._mappings(len(lrs)))
        ]

    def _plan(self, standing: list[Any]) -> Sequence[Any]:
        now, rule = self.last_epoch, self._lr_rule
        if rule is None:
            return self.get_lr()
        if now and now not in rule:
            return standing
        lrs = standing if now else self.base_lrs
        others = [KEEP] * len(lrs) if now else lrs
        return [
            self._to_write(i, lr, mapping[now]) if now in mapping else other
            for i, (lr, other, mapping) in enumerate(zip(lrs, others, self._mappings(len(lrs))))
        ]

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as `MappingPolicy.lr_at` does."""
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        lrs = [lrs[-1] for _, lrs in self._paths(self._start_lrs(), epoch)]
        if None in lrs:
            raise ValueError(
                f"{self._at(epoch)}, group {lrs.index(None)}: with lr_init=None the lr is the "
                "optimizer's: call policy(optimizer) first, or give an lr_init"
            )
        return lrs

    def _trajectory(self, length: int, starts: Sequence[float]) -> Tensor:
        """Return the lrs of the first epochs, as `simulate` does."""
        columns = []
        for since, lrs in self._paths(starts, length - 1):
            lengths = torch.tensor([*since, length], device="cpu").diff()
            column = torch.tensor(lrs, dtype=torch.float64, device="cpu")
            columns.append(column.repeat_interleave(lengths))
        return torch.stack(columns, dim=1)

    def _paths(self, starts: Sequence[Any], until: int) -> list[tuple[list[int], list[Any]]]:
        """Return the `epochs.path` of each group up to an epoch, or refuse a lr that overflows."""
        paths = []
        for i, (mapping, start) in enumerate(zip(self._mappings(len(starts)), starts)):
            since, lrs = epochs.path(mapping, start, until, self._changed)
            if inf in lrs:
                real(inf, f"{self._at(since[lrs.index(inf)])}, group {i}: the lr")
            paths.append((since, lrs))
        return paths

    @staticmethod
    @abstractmethod
    def _changed(lr: Any, value: float) -> Any:
        """Return what the value of an epoch makes of a lr; ``None`` is a lr that is not known."""

    def _to_write(self, i: int, lr: Any, value: float) -> Any:
        """Return what the value of an epoch writes into group i, whose lr is ``lr``."""
        return self._changed(lr, value)


class Switch(_EpochPolicy):
    """Switch to the given lr at each epoch of a mapping, and keep it until the next.

    ``lr(t) = mapping[t]`` where t is a key, else the lr as it stands; ``lr(0) = lr_init`` where 0
    is no key.

    Args:
        mapping: Epoch to lr, for all groups, or a list or tuple with one a group.
        lr_init: The lr at epoch 0: one for all groups, a list or tuple with one a group, or
            ``None``, as in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

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
            group, or ``None``, as in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> policy = Multiply({1: 0.5, 3: 0.1}, lr_init=1.0)
        >>> [policy.lr_at(epoch) for epoch in range(5)]
        [[1.0], [0.5], [0.5], [0.05], [0.05]]
    """

    @staticmethod
    def _changed(lr: Any, value: float) -> Any:
        return None if lr is None else lr * value

    def _to_write(self, i: int, lr: Any, value: float) -> Any:
        held = self._lr_groups.tensor(i)
        where = f"{self._at()}, group {i}: the lr"
        if held is None:
            return real(lr, where, any_shape=True) * value
        if self.last_epoch and not on_host(held):
            return Times(value)
        if isinstance(lr, Tensor):
            return lr * value
        # A write through .data or NumPy is not known of: the tensor is asked.
        lr = real(held.item() if self.last_epoch else lr, where)
        lr = self._lr_groups.check(i, lr, where)
        # In the dtype of the tensor, as torch's schedulers multiply.
        return (torch.full((), lr, dtype=held.dtype, device="cpu") * value).item()


class Schedule(Called, MappingPolicy[ScheduleFn]):
    """Take the lr of each epoch from a callable: ``lr(t) = mapping(t)``.

    Args:
        mapping: Epoch to lr, for all groups and then called once a step, or a list or tuple with
            one a group. It returns a finite real number: ``int``, ``float``, a NumPy scalar, a
            tensor of one element. The thunder_policy module ``schedules`` has some to use here.
        lr_init: ``base_lrs`` of the bound policy. The lrs do not depend on it.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> policy = Schedule(lambda epoch: 0.1 / (1 + epoch))
        >>> [policy.lr_at(epoch) for epoch in (0, 1, 9)]
        [[0.1], [0.05], [0.01]]
    """

    _checked = staticmethod(schedule_fn)
    _get_closed_form_lr = _closed_form

    def __init__(
        self, mapping: ScheduleFn | Sequence[ScheduleFn], lr_init: InitialLR = 1e-3
    ) -> None:
        super().__init__(mapping, lr_init)

    def _rule(self, mapping: Any) -> Any:
        return mapping if callable(mapping) else None

    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        return self._lrs(self.last_epoch, len(self.optimizer.param_groups))

    def lr_at(self, epoch: int) -> list[float]:
        """Return the lrs at an epoch in closed form, as `MappingPolicy.lr_at` does."""
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        return self._lrs(epoch, len(self._start_lrs()))

    def _lrs(self, epoch: int, n: int) -> list[Any]:
        one = self._current()
        return (
            self._called(one, [epoch])
            if isinstance(one, list)
            else self._called([one], [epoch]) * n
        )

    def _trajectory(self, length: int, starts: Sequence[float]) -> Tensor:
        """Return the lrs of the first epochs, as `simulate` does."""
        from .tables import tabled  # here, as to import every schedule takes long

        mappings = self._mappings(len(starts))
        once = mappings if isinstance(self._current(), list) else mappings[:1]
        schedules = [tabled(schedule, length) for schedule in once]
        called = self._called(schedules, range(length))
        lrs = torch.tensor(called, dtype=torch.float64, device="cpu")
        return lrs.reshape(length, len(schedules)).expand(length, len(starts)).clone()

    def _called(self, schedules: Sequence[ScheduleFn], at: Iterable[int]) -> list[Any]:
        """Call the callable of each group, or the one for all of them, at each of the epochs."""
        lrs: list[float] = []
        n, epoch = len(schedules), 0
        try:
            # No juxt: that hides which one raised, and turns StopIteration into RuntimeError.
            for epoch in at:
                for schedule in schedules:
                    lr: Any = schedule(epoch)
                    if type(lr) is not float or lr - lr != 0.0:  # nan or inf
                        what = f"{self._at(epoch)}{which_group(len(lrs) % n, schedules)}: the lr"
                        lr = real(lr, what, any_shape=True)
                    lrs.append(lr)
        except BaseException as error:
            add_note(error, self._at(epoch), which_group(len(lrs) % n, schedules))
            raise
        return lrs

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return a state without some of its keys; it has neither ``mapping`` nor ``lr_init``."""
        return super().prepare_state_dict("lr_init", *keys)
