"""The policies of a mapping: Switch and Multiply by epoch, Schedule and Scale by a callable."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, SupportsIndex

import torch
from toolz import merge  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor
from torch.optim import Optimizer

from . import epochs, groups
from . import state as states
from .aliases import EpochMapping, InitialLR, ScheduleFn
from .by_name import ByName
from .call_order import warn
from .checks import (
    add_note,
    count,
    each,
    epoch_number,
    non_negative,
    one_of,
    per_group,
    real,
    short,
)
from .policy import LRs, Policy, is_bound

OnLoad = Literal["restore", "override"]

# The default of lr_init, as in the document. This very object tells that nothing was given.
DEFAULT_LR_INIT: float = float("1e-3")

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    M = TypeVar("M", default=Any)
else:  # Python before 3.13 has no defaults
    from typing import TypeVar

    M = TypeVar("M")
AnyMappingPolicy = TypeVar("AnyMappingPolicy", bound="MappingPolicy[Any]")


class _PerGroup:
    """An attribute with one value a group: None unbound. Code of the document may set it."""

    def __init__(self, values: Callable[[Any], list[Any]]) -> None:
        self.values = values

    def __get__(self, policy: Any, owner: type) -> list[Any] | None:
        return self.values(policy) if policy is not None and is_bound(policy) else None


class _SignatureOfInit:
    """What tools are shown of a class: the arguments of ``__init__``, with types for their text."""

    def __get__(self, policy: object, owner: Any) -> inspect.Signature:
        if policy is not None:
            raise AttributeError  # so that of a policy the arguments of a call are shown
        # Python before 3.12 would take those of __new__.
        init = inspect.signature(owner.__init__)
        with suppress(NameError):  # a subclass may import its types for a checker alone
            init = inspect.signature(owner.__init__, eval_str=True)
        return init.replace(parameters=[*init.parameters.values()][1:], return_annotation=owner)


class MappingPolicy(Policy, Generic[M]):
    """Base of the policies of a mapping, for all groups or one a group.

    Args:
        mapping: A mapping from epoch to number, or a callable; or a sequence with one a group.
        lr_init: What a group starts from: one number for all groups, or a sequence with one a
            group. ``None``: each group's ``initial_lr``, where another scheduler left one, else its
            own lr. Where it is not given and the optimizer has another lr, binding warns.
        option: The key of the param groups that is scheduled, as in `Policy`. Another one than
            ``"lr"`` starts from what the groups hold, unless ``lr_init`` is given.
        on_load: What counts after `load_state_dict`. ``"restore"``: the saved lrs, starts, mapping
            and ``lr_init``, with a ``UserWarning`` where what is written here is another; those
            callables, which no state holds, go on from the next step. ``"override"``: what is
            written here, from the saved epoch on, at once and again at the next step.

    Attributes:
        mapping: The mapping, copied: sorted by epoch, with ``int`` keys and ``float`` values. A
            bound policy goes by the one that it was bound with.
        lr_init: What was given, as ``float``.
        current_mapping: The mapping of each group; ``None`` before the policy is bound.
        current_lr_init: What each group started from; ``None`` before the policy is bound.

    Raises:
        TypeError: For an epoch that is no integer, or a value that is no real number.
        ValueError: For a negative epoch, a value that is negative, nan or inf, an empty sequence,
            or sequences of different lengths.

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

    base_lrs: list[float]
    mapping: M | list[M]
    lr_init: float | list[float] | None
    on_load: OnLoad
    current_mapping: list[M] | None = _PerGroup(  # type: ignore[assignment]
        lambda self: [*self._mappings(len(self.base_lrs))]
    )
    current_lr_init: list[float] | None = _PerGroup(lambda self: [*self.base_lrs])  # type: ignore[assignment]
    _checked: Callable[[Any, str], Any] = staticmethod(epochs.mapping_or_callable)
    # The positional ones of __init__.
    _arguments: tuple[str, ...] = ("mapping", "lr_init")
    # The original package saved what a binding makes of a mapping, too.
    _plan_keys = ("mapping", "lr_init", "current_mapping", "current_lr_init")

    __signature__: Any = _SignatureOfInit()

    # Editors would show the signature and docstring of this in the place of the class's own.
    if not TYPE_CHECKING:

        def __new__(cls: type[AnyMappingPolicy], *args: Any, **kwargs: Any) -> AnyMappingPolicy:
            """Refuse an optimizer, even where ``mapping=`` is given beside it (skorch#348)."""
            given = [isinstance(value, Optimizer) for value in (*args, *kwargs.values())]
            if any(given):
                what = "{...}" if cls._arguments[0] == "mapping" else cls._arguments[0]
                raise TypeError(
                    f"{cls.__name__} is made without an optimizer: write {cls.__name__}({what})"
                    "(optimizer); thunder_policy.bound has classes that are given it first"
                )
            return object.__new__(cls)

    def __init__(
        self,
        mapping: M | Sequence[M],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        super().__init__(option=option)
        who = type(self).__name__
        self._by_default = lr_init is DEFAULT_LR_INIT and option == "lr"
        if lr_init is DEFAULT_LR_INIT and not self._by_default:
            lr_init = None
        if isinstance(mapping, ByName):
            self.mapping = mapping.checked(self._checked, f"{who}.by_name: mapping")
        else:
            self.mapping = each(mapping, f"{who}: mapping", self._checked)
        self.lr_init = None if lr_init is None else each(lr_init, f"{who}: lr_init", non_negative)
        one_of(on_load, ("restore", "override"), f"{who}: on_load")
        self.on_load = on_load
        counts = self._counts()
        if len({*counts}) > 1:
            raise ValueError(f"Got {counts[0]} mappings and {counts[1]} lr_init")

    @classmethod
    def by_name(
        cls: type[AnyMappingPolicy], mapping: Mapping[str, M | None], *args: Any, **kwargs: Any
    ) -> AnyMappingPolicy:
        """Make a policy for groups that have a ``"name"``, with what a list would hold for each.

        Groups of the same name share it, and one that comes later is found by its name too.

        Args:
            mapping: Name to mapping or callable; ``None`` leaves a group alone, as in a list.
            *args: As of the class.
            **kwargs: As of the class. ``lr_init`` is one number for all groups or ``None``.

        Raises:
            TypeError, ValueError: As the class does; if a name is no string, or lr_init a sequence.
                When groups are bound, or come, and one has no name or another one: `ValueError`.

        Example:
            >>> from torch import nn, optim
            >>> from thunder_policy import Scale
            >>> head, body = ({"params": nn.Linear(2, 1).parameters()} for _ in range(2))
            >>> groups = [{**body, "name": "body"}, {**head, "name": "head"}]
            >>> policy = Scale.by_name({"head": lambda epoch: 1 / (1 + epoch), "body": None})
            >>> policy(optim.SGD(groups, lr=0.5)).lr_at(4)
            [0.5, 0.1]
        """
        who = f"{cls.__name__}.by_name"
        if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
            raise TypeError(f"{who} takes a mapping from the names of groups, not {short(mapping)}")
        policy = cls(ByName(mapping), *args, **kwargs)
        if isinstance(policy.lr_init, list):
            raise ValueError(f"{who}: lr_init must be one for all groups, or None")
        return policy

    def _counts(self) -> list[int]:
        """Return how many mappings and how many lr_init there are, if they are lists."""
        return [len(given) for given in (self.mapping, self.lr_init) if isinstance(given, list)]

    def _mappings(self, n: int) -> list[Any]:
        """Return one mapping for each of n groups: the same one n times, the list, or by name."""
        mapping: Any = self.mapping
        if not isinstance(mapping, list):
            return [mapping] * n
        if isinstance(mapping, ByName) and is_bound(self):
            mapping = mapping.of(self._names_now(), type(self).__name__)
        return per_group(mapping, n, "mappings")

    def _lr_inits(self, n: int) -> list[Any]:
        """Return one lr_init for each of n groups."""
        return per_group(self.lr_init, n, "lr_init")

    def _value(self) -> dict[str, Any]:
        value = super()._value()
        if is_bound(self):
            value |= {"mapping": self.current_mapping, "lr_init": self.current_lr_init}
        hidden = {"_by_default"} | ({"on_load"} if self.on_load == "restore" else set())
        return {name: value[name] for name in value if name not in hidden}

    def __repr__(self) -> str:
        by_name = isinstance(self._value().get("mapping"), ByName)
        return super().__repr__().replace("(", ".by_name(" if by_name else "(", 1)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or is_bound(self) or is_bound(other):
            return self is other
        try:
            return self._value() == other._value()
        except Exception:  # somebody's callable that compares as an array does, say
            return False

    def __hash__(self) -> int:
        return hash(type(self))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if is_bound(self) or self._has_own_attributes():
            return super().__reduce_ex__(protocol)
        # As class and arguments, which torch.load(..., weights_only=True) and YAML can read.
        value = self._value()
        arguments = [value.pop(name) for name in self._arguments]
        return type(self), tuple(arguments[: 1 if self._by_default else None]), value or None

    def in_steps(self: AnyMappingPolicy, steps_per_epoch: SupportsIndex) -> AnyMappingPolicy:
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

    def _is_closed(self) -> bool:
        """Tell whether get_lr is the one that `_values_at` is the closed form of."""
        owner = next(owner for owner in type(self).__mro__ if "get_lr" in vars(owner))
        return "_values_at" in vars(owner) and "get_lr" not in self.__dict__

    def _depends_on_start(self, mapping: Any, epoch: int) -> bool:
        """Tell whether any lr of a group from an epoch on depends on what it starts from."""
        return True

    def _depend(self, n: int, epoch: int) -> list[bool]:
        """Tell of each of n groups whether any lr of it from an epoch on depends on its start."""
        each_one = self._mappings(n)
        return [one is not None and self._depends_on_start(one, epoch) for one in each_one]

    def _check_counts(self, n: int) -> None:
        self._mappings(n)
        self._lr_inits(n)

    def _starts_at_binding(self, before: Sequence[groups.Known], epoch: int) -> list[float]:
        lrs = self._held()
        self._check_counts(len(lrs))
        starts = [*self._lr_inits(len(lrs))]
        depend = self._depend(len(lrs), epoch)
        if self.lr_init is None:
            starts = super()._starts_at_binding(before, epoch)
        elif self._by_default:
            rows = enumerate(zip(starts, lrs, depend))
            starts = [start if one else self._number(lr, i) for i, (start, lr, one) in rows]
        doubts = (self._doubt(lrs[i], i, epoch) for i, one in enumerate(depend) if one)
        doubt = next(filter(None, doubts), None)
        if doubt:
            warn(f"{type(self).__name__}, {doubt}")
        return starts

    def _doubt(self, lr: Any, i: int, epoch: int) -> str | None:
        """Say what may be wrong with what a group starts from, and how to say what is meant."""
        recorded = self.optimizer.param_groups[i].get("initial_lr")
        if self._by_default:
            if any(self._is_default(one, i) for one in (lr, recorded) if one is not None):
                return None
            return (
                f"group {i}: lr_init was not given, so it starts from {DEFAULT_LR_INIT}, and not "
                f"from the group's lr, {float(lr)!r}: give lr_init=None to start from that, or "
                "lr_init=1e-3"
            )
        trained = epoch > 0 and self.optimizer.state
        if self.lr_init is None and self.option == "lr" and recorded is None and trained:
            return (
                f"group {i}: epoch {epoch} is computed from the group's lr, "
                f"{self._number(lr, i)!r}, as it has no initial_lr; and as the optimizer was "
                "trained, that may be a lr of a schedule: give lr_init, or bind before the state "
                "of the optimizer is loaded"
            )
        return None

    def _is_default(self, lr: Any, i: int) -> bool:
        """Tell whether a lr is the default of lr_init, as its dtype holds that, or has no data."""
        value, dtype = self._number(lr, i), lr.dtype if isinstance(lr, Tensor) else torch.float64
        default = torch.tensor(DEFAULT_LR_INIT, dtype=dtype, device="cpu").item()
        return isinstance(value, Tensor) or bool(value == default)

    def _was_given(self) -> bool:
        return not (self.lr_init is None or self._by_default)

    def _restarts(self) -> bool:
        return not self._is_closed()

    def _prepare_steps(self) -> None:
        mapping: Any = self.mapping
        several: list[Any] = mapping if isinstance(mapping, list) else []
        self._left_alone = ()
        if None in several:
            each_one = self._mappings(len(self.base_lrs))
            self._left_alone = frozenset(i for i, one in enumerate(each_one) if one is None)
            lrs, starts = self._held(), [*self.base_lrs]
            for i in self._left_alone:
                starts[i] = self._number(lrs[i], i)
            self.base_lrs = starts
        by_epoch = self._is_closed() and not epochs.is_callable(mapping)
        self._milestones = (merge(*several) if several else mapping) if by_epoch else None

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return a state without some of its keys, as `Policy.prepare_state_dict` does.

        Returns:
            Beside what is there, ``lr_init``, and ``mapping`` as pairs of epoch and value sorted by
            epoch, or a list of such lists: a dict would not outlive Distributed Checkpoint, which
            makes its keys strings. Callables are left out; for Schedule and Scale there is
            ``_planned``, what they give at ``last_epoch``, to see later whether they are others.
        """
        state = super().prepare_state_dict("mapping", "on_load", "_by_default", *keys)
        state["lr_init"] = copy.copy(self.lr_init)
        if self._policy is not None:
            state["_policy"] = self._policy
        if not epochs.is_callable(self.mapping):
            state["mapping"] = epochs.pairs(self.mapping)
        elif self._is_closed() and self.last_epoch >= 0:
            with suppress(Exception):  # a checkpoint is never lost to it
                state["_planned"] = self.lr_at(self.last_epoch)
        return {key: value for key, value in state.items() if key not in keys}

    def _read(self, state: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], LRs]]:
        if self.on_load == "override":
            return self._read_epoch(state), self._planned_lrs
        attributes, lrs = super()._read(state)
        plan = self._read_plan(state)
        differ = [
            f"{name} was {short(was)} and is {short(now)}"
            for name, was, now in self._differences(attributes | plan, lrs(), state)
        ]
        if differ:
            warn(
                f"{type(self).__name__}: what is written here is not what was saved: "
                f"{'; '.join(differ)}. What was saved counts{self._but}; to have what is written "
                'here count from now on, give it on_load="override"'
            )
        if plan.get("lr_init", self.lr_init) != self.lr_init:
            attributes["_by_default"] = False
        return attributes | plan, lrs

    # What a warning adds to "What was saved counts".
    _but: str = ""

    def _read_plan(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the mapping and lr_init of a state, as they are written in a policy."""
        what, n = f"{type(self).__name__}: the state's {{}}", len(self.base_lrs)
        plan: dict[str, Any] = {}
        if "mapping" in state and not epochs.is_callable(self.mapping):
            saved: Any = epochs.unpaired(state["mapping"], what.format("mapping"))
            one_each = saved
            if isinstance(saved, ByName):
                one_each = saved.of(self._names_now(), type(self).__name__)
            each_saved = per_group(one_each, n, "mappings")
            both_by_name = isinstance(saved, ByName) and isinstance(self.mapping, ByName)
            same = saved == self.mapping or (not both_by_name and each_saved == self._mappings(n))
            plan["mapping"] = self.mapping if same else saved
        if "lr_init" in state:
            lr_init = state["lr_init"]
            if lr_init is not None:
                lr_init = each(lr_init, what.format("lr_init"), non_negative)
            per_group(lr_init, n, "lr_init")
            plan["lr_init"] = lr_init
        return plan

    def _differences(
        self, saved: dict[str, Any], lrs: Sequence[Any], state: dict[str, Any]
    ) -> Iterator[tuple[str, Any, Any]]:
        """Say where the plan of a state is not what is written here: its name, and both."""
        epoch, n = saved["last_epoch"], len(self.base_lrs)
        starts = saved.get("base_lrs", self.base_lrs)
        if saved.get("mapping", self.mapping) != self.mapping:
            yield "mapping", saved["mapping"], self.mapping
        was, now = starts, self.base_lrs
        if saved.get("lr_init") is not None and self.lr_init is not None:
            was, now = (per_group(one, n, "") for one in (saved["lr_init"], self.lr_init))
            lrs = was
        # A group that was bound after the optimizer was loaded starts from the saved lr.
        close = map(any, zip(self._are_close(now, was), self._are_close(now, lrs)))
        if any(depends and not same for depends, same in zip(self._depend(n, 0), close)):
            yield "lr_init", was, now
        if "_planned" in state and self._is_closed():
            was = now = states.read_lrs(state, "_planned", n, type(self).__name__)
            with suppress(Exception):  # the next step says so
                now = self._values_at(epoch, starts)
            if not all(self._are_close(now, was)):
                yield f"the {self.option} at epoch {epoch}", was, now

    def _are_close(self, some: Sequence[float], others: Sequence[float]) -> list[bool]:
        """Tell whether numbers are the same but for rounding, their own and that of the group."""
        kinds = [lr.dtype if isinstance(lr, Tensor) else torch.float64 for lr in self._held()]
        limits = [max(torch.finfo(kind).eps / 2, 4 * sys.float_info.epsilon) for kind in kinds]
        return [math.isclose(*pair, rel_tol=limit) for *pair, limit in zip(some, others, limits)]

    def _read_epoch(self, state: dict[str, Any]) -> dict[str, Any]:
        """Take the epoch from a state, for a policy that overrides the rest."""
        epoch = states.read_epoch(state, self.option, type(self).__name__)
        starts = self.base_lrs
        if self.lr_init is None:
            # Where the optimizer was loaded before the binding, that took the lr for a start.
            with suppress(TypeError, ValueError):
                saved = states.read_lrs(state, "base_lrs", len(starts), "")
                lrs = states.read_lrs(state, "_last_lr", len(starts), "")
                starts = [old if now == lr else now for now, old, lr in zip(starts, saved, lrs)]
        return {
            "last_epoch": epoch,
            "_step_count": max(epoch + 1, 1),
            "base_lrs": starts,
            "_overridden": epoch >= 0,
        }

    # What the lrs at an epoch are from some starts.
    _values_at: Callable[[int, Sequence[Any]], list[Any]]

    def lr_at(self, epoch: SupportsIndex) -> list[float]:
        """Return the lrs at an epoch, as `Policy.lr_at` does, in closed form."""
        if not self._is_closed():
            return super().lr_at(epoch)
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        where = f"{type(self).__name__} at epoch {epoch}, group %d: the {self.option}"
        starts = self._starts_now() if is_bound(self) else self._starts_given(epoch, where)
        return [real(value, where % i) for i, value in enumerate(self._values_at(epoch, starts))]

    def _starts_given(self, epoch: int, where: str) -> list[Any]:
        """Return what each group starts from, as far as the lrs at an epoch depend on that."""
        n = [*self._counts(), 1][0]
        starts = self._lr_inits(n)
        trios = zip(starts, self._mappings(n), self._depend(n, epoch))
        for i, (start, mapping, depends) in enumerate(trios):
            if mapping is None or (start is None and depends):
                raise ValueError(
                    f"{where % i} depends on the optimizer: call policy(optimizer) first, or give "
                    "lr_init"
                )
        return starts

    @property
    def _get_closed_form_lr(self) -> Callable[[], LRs]:
        """What torch calls a closed form; a subclass with a get_lr of its own has none."""
        if self._is_closed():
            return lambda: self._values_at(self.last_epoch, self._starts_now())
        if type(self).lr_at is MappingPolicy.lr_at:
            raise AttributeError(f"{type(self).__name__} has a get_lr of its own")
        return lambda: self.lr_at(self.last_epoch)


class _ByEpoch(MappingPolicy[EpochMapping]):
    """What Switch and Multiply share: lrs that change at the epochs of a mapping alone."""

    mapping: dict[int, float] | list[dict[int, float]]  # type: ignore[assignment]
    current_mapping: list[dict[int, float]] | None  # type: ignore[assignment]
    _checked = staticmethod(epochs.epoch_mapping)
    # What a number of the mapping makes of a lr.
    _apply: Callable[[Any, float], Any]

    def get_lr(self) -> LRs:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        now, param_groups = self.last_epoch, self.optimizer.param_groups
        lrs = groups.held(param_groups, self.option, self._at) if now else self._starts_now()
        pairs = zip(lrs, self._mappings(len(lrs)))
        # A tensor stays one, also where it is multiplied: it rounds as torch's do.
        return [
            self._apply(lr, one[now]) if now in one else groups.copy_of(lr) for lr, one in pairs
        ]

    def _values_at(self, epoch: int, starts: Sequence[Any]) -> list[Any]:
        return [lrs[-1] for _, lrs in self._paths(epoch, starts)]

    def _paths(self, until: int, starts: Sequence[Any]) -> list[tuple[list[int], list[Any]]]:
        """Return the `epochs.path` of each group up to an epoch."""
        pairs = zip(self._mappings(len(starts)), starts)
        return [epochs.path(mapping, start, until, self._apply) for mapping, start in pairs]


class Switch(_ByEpoch):
    """Switch to the given lr at each epoch of a mapping, and keep it until the next.

    ``lr(t) = mapping[t]`` where t is a key, else the lr as it stands; ``lr(0) = lr_init`` where 0
    is no key.

    Args:
        mapping: Epoch to lr, for all groups, or a sequence with one a group.
        lr_init: The lr at epoch 0: one for all groups, a sequence with one a group, or ``None``, as
            in `MappingPolicy`.
        option, on_load: As in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> policy = Switch({0: 1e-4, 2: 1e-10})
        >>> [policy.lr_at(epoch) for epoch in range(4)]
        [[0.0001], [0.0001], [1e-10], [1e-10]]
    """

    _policy = "Switch"

    @staticmethod
    def _apply(lr: Any, number: float) -> float:
        return number

    def __init__(
        self,
        mapping: EpochMapping | Sequence[EpochMapping],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        super().__init__(mapping, lr_init, option=option, on_load=on_load)

    def _depends_on_start(self, mapping: Any, epoch: int) -> bool:
        first = next(iter(mapping), math.inf)  # it is sorted
        return not self._is_closed() or first > epoch


class Multiply(_ByEpoch):
    """Multiply the lr by the given factor at each epoch of a mapping, and keep it until the next.

    ``lr(t) = lr * mapping.get(t, 1)`` for the lr as it stands; at 0 that is ``lr_init``.

    Args:
        mapping: Epoch to factor, for all groups, or a sequence with one a group.
        lr_init: The lr before the first factor: one for all groups, a sequence with one a group, or
            ``None``, as in `MappingPolicy`.
        option, on_load: As in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> policy = Multiply({1: 0.5, 3: 0.1}, lr_init=1.0)
        >>> [policy.lr_at(epoch) for epoch in range(5)]
        [[1.0], [0.5], [0.5], [0.05], [0.05]]
    """

    _policy = "Multiply"
    _apply = staticmethod(operator.mul)

    def __init__(
        self,
        mapping: EpochMapping | Sequence[EpochMapping],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        super().__init__(mapping, lr_init, option=option, on_load=on_load)


class _ByCall(MappingPolicy[ScheduleFn]):
    """What Schedule and Scale share: a callable is asked at every epoch."""

    last_epoch: int
    mapping: ScheduleFn | list[ScheduleFn | None]  # type: ignore[assignment]
    _checked = staticmethod(epochs.schedule_or_none)
    # Whether what a callable gives is a factor, and no lr.
    _multiplies: bool = False
    _but = ", but for the callables, which are those written here from the next step on"

    def get_lr(self) -> LRs:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        lrs = self._values_at(self.last_epoch, self._starts_now())
        if self._left_alone:
            trios = zip(lrs, self._held(), self._mappings(len(lrs)))
            lrs = [groups.copy_of(held) if one is None else lr for lr, held, one in trios]
        return lrs

    def _values_at(self, epoch: int, starts: Sequence[Any]) -> list[Any]:
        if not isinstance(self.mapping, list):
            number = self._number_of(self.mapping, epoch, 0)
            if self._multiplies:
                return [start * number for start in starts]
            return [number] * len(starts)
        lrs = [*starts]
        for i, schedule in enumerate(self._mappings(len(lrs))):
            if schedule is not None:
                number = self._number_of(schedule, epoch, i)
                lrs[i] = lrs[i] * number if self._multiplies else number
        return lrs

    def _number_of(self, schedule: ScheduleFn, epoch: int, i: int) -> float:
        try:
            # No juxt: that hides which one raised, and turns StopIteration into RuntimeError.
            number = schedule(epoch)
            if type(number) is float and number - number == 0.0:
                return number
            return real(number, f"{self._where(epoch, i)}: the {self.option}", any_shape=True)
        except BaseException as error:
            add_note(error, self._where(epoch, i))
            raise

    def _where(self, epoch: int, i: int) -> str:
        which = f"group {i}" if isinstance(self.mapping, list) else "all param groups"
        return f"{type(self).__name__} at epoch {short(epoch)}, {which}"


class Schedule(_ByCall):
    """Take the lr of each epoch from a callable: ``lr(t) = mapping(t)``.

    Args:
        mapping: Epoch to lr, for all groups and then called once a step, or a sequence with one a
            group, ``None`` for a group to leave alone. It returns a finite real number: ``int``,
            ``float``, a NumPy scalar, a tensor of one element. The thunder_policy module
            ``schedules`` has some to use here.
        lr_init: ``base_lrs`` of the bound policy. The lrs do not depend on it.
        option, on_load: As in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> policy = Schedule(lambda epoch: 0.1 / (1 + epoch))
        >>> [policy.lr_at(epoch) for epoch in (0, 1, 9)]
        [[0.1], [0.05], [0.01]]
    """

    _policy = "Schedule"

    def __init__(
        self,
        mapping: ScheduleFn | Sequence[ScheduleFn | None],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        callables: Any = mapping
        super().__init__(callables, lr_init, option=option, on_load=on_load)

    def _depends_on_start(self, mapping: Any, epoch: int) -> bool:
        return not self._is_closed()


class Scale(_ByCall):
    """Multiply what each group started from by a factor: ``lr(t) = start * mapping(t)``.

    The groups may start from lrs of their own, which is why ``lr_init`` is ``None`` by default: it
    is ``torch.optim.lr_scheduler.LambdaLR``, bound late.

    Args:
        mapping: Epoch to factor, for all groups and then called once a step, or a sequence with one
            a group, as in `Schedule`.
        lr_init: What is multiplied: ``None`` for the lr of each group, one number for all groups,
            or a sequence with one a group.
        option, on_load: As in `MappingPolicy`.

    Raises:
        TypeError, ValueError: As `MappingPolicy` does.

    Example:
        >>> from torch import nn, optim
        >>> groups = [{"params": nn.Linear(2, 1).parameters(), "lr": lr} for lr in (0.1, 0.001)]
        >>> policy = Scale(lambda epoch: 1 / (1 + epoch))(optim.SGD(groups))
        >>> policy.lr_at(1)
        [0.05, 0.0005]
    """

    _policy = "Scale"
    _multiplies = True

    def __init__(
        self,
        mapping: ScheduleFn | Sequence[ScheduleFn | None],
        lr_init: InitialLR = None,
        *,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        callables: Any = mapping
        super().__init__(callables, lr_init, option=option, on_load=on_load)
