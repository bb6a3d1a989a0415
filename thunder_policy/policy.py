"""Policy: a scheduler that is written without an optimizer and bound to one by a call."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, SupportsFloat, TypeVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from . import state as states
from .checks import add_note, all_finite_floats, epoch_number, real, short
from .groups import LR, NO_FACTORS, ParamGroup, Seen, Undo, copy_of

AnyPolicy = TypeVar("AnyPolicy", bound="Policy")

ScheduleFn = Callable[[int], SupportsFloat]
"""Epoch to lr."""

# What a state holds of a binding; what torch has had there too; and all that a binding sets.
_STATE = frozenset({"last_epoch", "_step_count", "base_lrs", "_last_lr", "_group_lrs"})
_TORCH = frozenset({"_is_initial", "_get_lr_called_within_step"})
_BINDING = _STATE | _TORCH | {"optimizer", "_lr_seen", "_lr_rule", "_lr_restart"}

# What to write, by group, and the factors of `Seen.write`.
Plan = tuple[list[Any], Mapping[int, float]]


class UnboundPolicyError(RuntimeError, AttributeError):
    """Something was asked of a policy that only a bound one can answer.

    It is an ``AttributeError`` too, because accelerate and torch ask for ``optimizer`` with
    ``getattr`` and ``hasattr``.
    """


class _NeedsOptimizer:
    """Stands in for an attribute until a binding puts the real one into the instance.

    A ``__getattr__`` would do too, but with one Python 3.11 caches no attribute access at all.
    """

    def __get__(self, policy: Policy | None, owner: type[Policy]) -> NoReturn:
        raise UnboundPolicyError(
            f"{owner.__name__} is not bound to an optimizer: call policy(optimizer) first"
        )


class _Watcher(LRScheduler):
    """A torch scheduler without lrs: it watches the order of the two calls of ``step``.

    Making one has torch note the calls of ``optimizer.step``, and its own ``step`` warns where
    torch does; texts and rules are those of the torch in use.
    """

    last_epoch = 0  # torch 2.6 counts it in step itself

    def __init__(self, optimizer: Optimizer) -> None:
        bare = [group for group in optimizer.param_groups if "initial_lr" not in group]
        super().__init__(optimizer)
        for group in bare:
            del group["initial_lr"]

    def _initial_step(self) -> None:
        pass

    def _update_lr(self, epoch: int | None = None) -> None:
        pass

    def get_lr(self) -> list[float | Tensor]:
        return []  # pragma: no cover - torch 2.6 asks for it


class Policy(LRScheduler, ABC):
    """A learning-rate scheduler that needs no optimizer until it is called with one.

    A subclass defines `get_lr` and nothing else; it may have an ``__init__`` of its own, which need
    not call this one.

    Example:
        >>> from torch import nn, optim
        >>> class Halve(Policy):
        ...     def get_lr(self) -> list[float]:
        ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.8)
        >>> policy = Halve()(optimizer)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     policy.step()
        >>> policy.get_last_lr()
        [0.2]
    """

    # torch warns where get_lr is called outside a step; here it is pure, and may be.
    _get_lr_called_within_step = True

    _lr_seen: Seen
    # What a step goes by instead of get_lr, if that is the package's own: a dict whose keys are the
    # epochs at which a lr may change, or what gives the lrs, of all groups or each.
    _lr_rule: dict[int, float] | ScheduleFn | list[ScheduleFn] | None
    # Whether the groups hold base_lrs when get_lr is asked for epoch 0.
    _lr_restart: bool

    last_epoch: int
    if TYPE_CHECKING:
        optimizer: Optimizer
        base_lrs: list[float | Tensor]
    else:
        optimizer = _NeedsOptimizer()
        base_lrs = _NeedsOptimizer()

    def __new__(cls: type[AnyPolicy], *args: Any, **kwargs: Any) -> AnyPolicy:
        """Set what each policy has, as a subclass need not call ``Policy.__init__``."""
        # CPython caches no access to an attribute that the class has too, nor one to a dict that
        # vars() has had to make of an instance: together a fifth of a step.
        self = super().__new__(cls)  # pyright: ignore[reportArgumentType]
        self.__dict__ = {  # pyright: ignore[reportAttributeAccessIssue]
            "last_epoch": -1,
            "_step_count": 0,
            "_lr_seen": Seen([]),
            "_lr_rule": None,
            "_lr_restart": False,
        }
        return self

    def __init__(self) -> None:
        """Make an unbound policy."""

    # torch declares list[float | Tensor]; list is invariant, so no subclass could say list[float].
    @abstractmethod
    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``.

        It is pure: it writes nothing, and answers the same until ``last_epoch`` or a group changes.
        Ask `get_last_lr` for the lrs in use.

        Returns:
            One finite lr a param group, in a list or another ``Sequence``.
        """

    # ------------------------------------------------------------------------------------ binding

    def __call__(self: AnyPolicy, optimizer: Optimizer) -> AnyPolicy:
        """Bind the policy to an optimizer, as `set_optimizer` does, and return it."""
        self.set_optimizer(optimizer)
        return self

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Bind the policy to an optimizer, at epoch 0; a policy that was bound starts over.

        A subclass with state of its own resets it here. Where the binding fails, policy and
        optimizer are as they were.

        Args:
            optimizer: Its groups get the lrs at epoch 0.

        Raises:
            TypeError: If that is no ``torch.optim.Optimizer``.
            ValueError: If `get_lr` returns anything but one finite lr a group.
        """
        self._bind(optimizer)

    def _bind(
        self,
        optimizer: Optimizer,
        lr_init: Sequence[float] | None = None,
        **attributes: object,
    ) -> None:
        """Bind with what a subclass starts from, and with attributes to set before `get_lr`."""
        groups = param_groups(self, optimizer)
        undo = Undo([self], groups)
        try:
            self.__dict__.update(attributes)  # pyright: ignore[reportAttributeAccessIssue]
            self.optimizer = optimizer
            if lr_init is None:
                lrs = [group["initial_lr" if "initial_lr" in group else "lr"] for group in groups]
                self.base_lrs = [*map(copy_of, lrs)]
            else:
                self.base_lrs = list(lr_init)
            for group, lr in zip(groups, self.base_lrs):
                group.setdefault("initial_lr", copy_of(lr))
            self.last_epoch = 0
            self._step_count = 1
            self._lr_seen = Seen(groups)
            self._lr_seen.look()
            if self._lr_restart:
                self._write(self._writable(self.base_lrs))
            lrs = self._writable(self._asked(self.get_lr))
            _Watcher(optimizer)
        except BaseException:
            undo()
            raise
        self._lr_seen.separate_initial_lrs()
        self._write(lrs)

    # ----------------------------------------------------------------------------------- stepping

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch and write its lrs into the param groups.

        Where `get_lr` raises, or returns something that no group can hold, nothing has changed and
        the step can be taken again.

        Args:
            epoch: Deprecated in torch: go to this epoch, by the closed form where there is one.

        Raises:
            UnboundPolicyError: Before the policy is bound.
            ValueError: If there is not one finite lr a group, which its dtype can hold.
            TypeError: If a lr is no number, or `get_lr` returns no sequence.
        """
        # The short cut, for groups that are all floats or all CPU tensors. A call costs as much as
        # writing three lrs, and zip as much as two, so it is one function without either. Even
        # where no lr changes, a step has to notice that the param groups were replaced
        # (load_state_dict) or have become more (add_param_group): two lists are compared in C, by
        # identity first, which reads no dict unless one took the place of another. It has to record
        # lrs that somebody else has changed, but no tensor that somebody has put there; nor is one
        # overwritten. So each lr is compared with the last one, by identity. All that is different
        # goes the long way.
        groups = self.optimizer.param_groups
        seen = self._lr_seen
        try:
            alike = epoch is None and groups is seen.source and groups == seen.short_cut
        except Exception:  # where one dict took the place of another, that compares tensors
            alike = False
        rule: Any = self._lr_rule
        kind = type(rule)
        now = self.last_epoch + 1
        last_lr = self._last_lr if alike else []
        lrs: Any = []
        lr: Any
        if not alike or not now or (kind is dict and now in rule):
            self._step_long(epoch)
        elif kind is dict:
            if seen.held:
                if not seen.unchanged(groups):
                    self._step_long(epoch)
                    return
                self._last_lr = [*seen.values]
            else:
                i = 0
                for group in groups:
                    if group["lr"] is not last_lr[i]:
                        lrs = [*map(LR, groups)]
                        if not all_finite_floats(lrs):
                            self._step_long(epoch)
                            return
                        self._last_lr = lrs
                        break
                    i += 1  # noqa: SIM113
            self.last_epoch = now
            self._step_count += 1
        else:
            self.last_epoch = now
            self._step_count += 1
            try:
                if kind is list:
                    for schedule in rule:
                        lrs.append(schedule(now))
                elif rule is None:
                    lrs = self.get_lr()
                    if type(lrs) is not list or len(lrs) != len(groups):
                        self._step_changed(groups, groups[0], lrs)
                        return
                    lrs = lrs.copy()
                else:
                    lr = rule(now)
                    if type(lr) is not float or lr - lr != 0.0:  # nan or inf
                        lr = real(lr, f"{self._at()}{group_name()}: the lr", any_shape=True)
                    lrs = [lr] * len(groups)
                    if not seen.held:
                        last = last_lr[0]
                        for group in groups:
                            if group["lr"] is not last:
                                self._step_changed(groups, group, lrs)
                                return
                            group["lr"] = lr
                    elif not seen.fill(lr):
                        self._step_changed(groups, groups[0], lrs)
                        return
                    self._last_lr = lrs
                    return
                i = 0
                for group in groups:
                    lr = lrs[i]
                    if type(lr) is not float or lr - lr != 0.0 or group["lr"] is not last_lr[i]:
                        self._step_changed(groups, group, lrs)
                        return
                    group["lr"] = lr
                    i += 1  # noqa: SIM113
                self._last_lr = lrs
            except BaseException as error:
                add_note(error, self._at(), group_name(len(lrs) if kind is list else 0, rule))
                self._lr_seen = seen
                self.last_epoch -= 1
                self._step_count -= 1
                raise

    def _step_long(self, epoch: int | None) -> None:
        """Step with all looks and checks."""
        if epoch is not None:
            epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch to step to")
        if self._step_count == 1 or epoch is not None:
            self._warn(epoch)
        self._step_count += 1
        try:
            self._update_lr(epoch)
        except BaseException:
            self._step_count -= 1
            raise

    def _step_changed(
        self, groups: list[ParamGroup], until: ParamGroup, lrs: Sequence[float | Tensor]
    ) -> None:
        """Write lrs the long way; the groups before the one that is different take back theirs."""
        for group, last in takewhile(lambda pair: pair[0] is not until, zip(groups, self._last_lr)):
            group["lr"] = last
        self._lr_seen = self._lr_seen.again()
        self._lr_seen.look()
        self._write(self._writable(lrs))

    def _warn(self, epoch: int | None) -> None:
        """Give torch's warnings on the order of calls and on the epoch, at the caller's line."""
        step = self.optimizer.step
        called = getattr(self.optimizer, "_opt_called", False)
        if epoch is None and called and hasattr(step, "_wrapped_by_lr_sched"):
            return  # catch_warnings makes every warning that was shown once be shown again
        watcher = _Watcher.__new__(_Watcher)
        watcher.optimizer, watcher._step_count = self.optimizer, self._step_count
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watcher.step(epoch)
        for warning in caught:
            warnings.warn(warning.message, stacklevel=4)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self._advance(self.last_epoch + 1, self._planned)
        else:
            get_lr = getattr(self, "_get_closed_form_lr", self.get_lr)
            self._advance(epoch, lambda _: self._plan(get_lr))

    def _advance(self, epoch: int, planned: Callable[[list[Any]], Plan | None]) -> None:
        """Go to an epoch, and write what is planned for the lrs there; where that fails, stay."""
        groups = self.optimizer.param_groups
        restart = epoch == 0 and self._lr_restart
        before = self.last_epoch, self.base_lrs, self._last_lr, self._lr_seen
        undo = Undo([], groups if restart else [])
        try:
            if not self._lr_seen.same(groups):
                self.base_lrs = self._aligned(self.base_lrs, groups)
                self._last_lr = self._aligned(self._last_lr, groups)
                self._lr_seen = Seen(groups)
            else:
                self._lr_seen = self._lr_seen.again()
            lrs = self._lr_seen.look()
            self.last_epoch = epoch
            if restart:
                self._lr_seen.write(self._writable(self.base_lrs))
            plan = planned(lrs)
        except BaseException:
            self.last_epoch, self.base_lrs, self._last_lr, self._lr_seen = before
            undo()
            raise
        if plan is None:
            self._record(lrs)
        else:
            self._write(*plan)

    def _planned(self, lrs: list[Any]) -> Plan | None:
        """Plan a step for the lrs as they stand; ``None`` leaves them alone."""
        return self._plan(self.get_lr)

    def _plan(self, get_lr: Callable[[], Sequence[float | Tensor]]) -> Plan:
        return self._writable(self._asked(get_lr)), NO_FACTORS

    def _aligned(
        self, records: Sequence[float | Tensor], groups: Sequence[ParamGroup]
    ) -> list[float | Tensor]:
        """Return the record of each of these groups; that of a new one is its lr."""
        return [
            copy_of(group["lr"]) if at is None else records[at]
            for group, at in zip(groups, self._lr_seen.positions(groups))
        ]

    def _asked(self, get_lr: Callable[[], Sequence[float | Tensor]]) -> Sequence[float | Tensor]:
        try:
            return get_lr()
        except Exception as error:
            add_note(error, self._at(), group_name())
            raise

    def _at(self, epoch: int | None = None) -> str:
        """Say who and when, for an error."""
        return f"{type(self).__name__} at epoch {self.last_epoch if epoch is None else epoch}"

    def _writable(self, lrs: Sequence[float | Tensor]) -> list[Any]:
        """Return lrs as a new list of what can be written into the groups, or refuse them."""
        seen = self._lr_seen
        if type(lrs) is not list and not isinstance(lrs, Sequence):
            raise TypeError(
                f"{self._at()}: get_lr() must return a list or another sequence of lrs, "
                f"not {short(lrs)} ({type(lrs).__name__})"
            )
        if len(lrs) != len(seen.groups):
            raise ValueError(
                f"{self._at()}: got {len(lrs)} lrs from get_lr() "
                f"and {len(seen.groups)} param groups"
            )
        if all_finite_floats(lrs) and (not seen.held or seen.can_hold(lrs)):
            return [*lrs]
        return [self._writable_lr(i, lr) for i, lr in enumerate(lrs)]

    def _writable_lr(self, i: int, lr: object) -> float | Tensor:
        """Return a lr as it can be written into group i, or refuse it."""
        if isinstance(lr, Tensor) and self._lr_seen.takes(i, lr):
            return lr
        where = f"{self._at()}, group {i}: the lr"
        return self._lr_seen.check(i, real(lr, where, any_shape=True), where)

    def _write(self, lrs: list[Any], factors: Mapping[int, float] = NO_FACTORS) -> None:
        """Write lrs that `_writable` has let through, and record them."""
        self._lr_seen.write(lrs, factors)
        self._record(self._lr_seen.look() if self._lr_seen.held else lrs)

    def _record(self, lrs: list[Any]) -> None:
        """Note what the groups hold after a step, and whether the next may take the short cut."""
        seen = self._lr_seen
        self._last_lr = lrs
        # Tensors take the short cut where a step writes none of them, or one lr into all.
        one = seen.uniform is not None and (type(self._lr_rule) is dict or callable(self._lr_rule))
        if lrs and self._step_count > 1 and (one or not seen.held):
            seen.short_cut = seen.groups
        else:
            seen.short_cut = None

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the lrs as the last step left them, or the binding or loading since.

        Returns:
            A new list with a lr for each group that the step saw: a ``float``, or a new tensor of
            the same shape, dtype and device where the group holds one (pytorch#163103, #163120).
            Where somebody else has filled a tensor that is not on the CPU, it shows that.
        """
        self.optimizer  # noqa: B018  an unbound policy raises here
        return [self._lr_seen.like(i, lr) for i, lr in enumerate(self._last_lr)]

    # -------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot of the policy that ``torch.load(..., weights_only=True)`` reads.

        Returns:
            ``last_epoch``, ``_step_count``, ``base_lrs``, ``_last_lr`` and ``_group_lrs``, which is
            what the param groups hold now: one number a group, or a 1-D tensor where all groups
            hold tensors of one dtype and device. Beside these, a custom policy's own attributes; a
            nested scheduler by its own ``state_dict()``, an unbound policy not at all.

        Raises:
            UnboundPolicyError: Before the policy is bound.
            TypeError: For an attribute that ``weights_only=True`` would refuse.
        """
        return self.prepare_state_dict()

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return the `state_dict` without some of its keys, for a subclass that overrides it.

        Args:
            keys: Names of attributes to leave out.
        """
        groups = self.optimizer.param_groups
        state: dict[str, Any] = {
            # SequentialLR takes the policies that it has not come to below 0; they start at 0.
            "last_epoch": max(self.last_epoch, 0),
            "_step_count": self._step_count,
            "base_lrs": states.pack(self._aligned(self.base_lrs, groups)),
            "_last_lr": states.pack(self._aligned(self.get_last_lr(), groups)),
            "_group_lrs": states.pack([*map(LR, groups)]),
        }
        if not self._closed_state():
            for name, value in states.attributes(self).items():
                if name in _BINDING or name in keys or not states.is_attribute(type(self), name):
                    continue
                if not states.is_unbound(value):
                    state[name] = states.saved(value, f"{type(self).__name__}.{name}")
        return {key: value for key, value in state.items() if key not in keys}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a `state_dict`, and write its lrs into the param groups.

        So it does not matter whether the optimizer's state is loaded before, after or never
        (pytorch#119168, #65342, #29697). Where anything is wrong, nothing has changed.

        Args:
            state_dict: What `state_dict` returned; it is neither changed nor kept (pytorch#32756).

        Raises:
            UnboundPolicyError: Before the policy is bound.
            TypeError: If that is no dict, or a value is of the wrong type.
            ValueError: If a key is missing or names something that is no attribute, or there is not
                one finite lr a group.
        """
        self._load(state_dict)

    def _load(
        self,
        state: dict[str, Any],
        attributes: Mapping[str, object] = MappingProxyType({}),
        warning: str = "",
    ) -> None:
        """Load a state with attributes that a subclass has made of it; the warning comes first."""
        groups = self.optimizer.param_groups
        who = type(self).__name__
        if not isinstance(state, dict):
            raise TypeError(f"{who}: a state must be a dict, not {short(state)}")
        held_key = "_group_lrs" if "_group_lrs" in state else "_last_lr"
        for key in ("last_epoch", held_key):
            if key not in state:
                raise ValueError(f"{who}: the state has no {key}: is it that of a scheduler?")
        epoch = epoch_number(state["last_epoch"], f"{who}: last_epoch in the state")
        count = epoch_number(
            state.get("_step_count", epoch + 1), f"{who}: _step_count in the state"
        )

        def unpacked(key: str, default: object) -> list[float | Tensor]:
            return states.unpack(state.get(key, default), len(groups), f"{who}: {key} in the state")

        held = [float(lr) for lr in unpacked(held_key, None)]
        last = [float(lr) for lr in unpacked("_last_lr", held)]
        base = unpacked("base_lrs", self._aligned(self.base_lrs, groups))
        seen = Seen(groups)
        seen.look()
        for i, tensor in enumerate(seen.held):
            if tensor is not None:
                seen.check(i, held[i], f"{who}: {held_key} in the state, group {i}: the lr")
                seen.check(i, last[i], f"{who}: _last_lr in the state, group {i}: the lr")
                if isinstance(lr := base[i], Tensor):
                    base[i] = lr.to(tensor.device)
        own = {}
        for key in [key for key in state if key not in {*_STATE, *_TORCH, *attributes}]:
            if key in _BINDING or not states.is_attribute(type(self), key):
                raise ValueError(f"{who}: the state has the key {key!r}, which is no attribute")
            retired = key == "verbose" and not hasattr(self, key)  # of torch, up to 2.6
            if not self._closed_state() and not retired:
                own[key] = state[key]
        undo = states.undo_load(getattr(self, key, None) for key in own)
        try:
            loaded = {
                key: states.loaded(getattr(self, key, None), own[key], f"{who}.{key}")
                for key in own
            }
            if warning:
                warnings.warn(warning, UserWarning, stacklevel=3)
        except BaseException:
            undo()
            raise
        for key, value in {**loaded, **attributes}.items():
            setattr(self, key, value)
        self.base_lrs = base
        self.last_epoch = epoch
        self._step_count = count
        self._lr_seen = seen
        self._write(held)
        self._last_lr = [*last]

    def _closed_state(self) -> bool:
        """Tell whether there is no state but the package's: other attributes are left alone."""
        return False

    def __copy__(self: AnyPolicy) -> AnyPolicy:
        """Return an unbound policy of the same value."""
        new = type(self).__new__(type(self))
        for name, value in states.attributes(self).items():
            if name not in _BINDING:
                setattr(new, name, value)
        return new

    def __getstate__(self) -> dict[str, Any]:
        state = states.attributes(self)
        if is_bound(self):
            # An optimizer leaves behind what torch has put into it to watch the order of calls.
            state["_opt_called"] = getattr(self.optimizer, "_opt_called", False)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        called = state.pop("_opt_called", False)
        for name, value in state.items():
            setattr(self, name, value)
        self._lr_seen.forget()
        if is_bound(self):
            _Watcher(self.optimizer)
            vars(self.optimizer).setdefault("_opt_called", called)


def group_name(i: int = 0, of: object = None) -> str:
    """Say for an error which of several callables, one a group, it is, or that there is one."""
    return f", group {i}" if isinstance(of, list) and len(of) > 1 else ", all param groups"


def is_bound(policy: Policy) -> bool:
    """Tell whether a policy has an optimizer."""
    return "optimizer" in vars(policy)


def param_groups(policy: Policy, optimizer: Optimizer) -> list[ParamGroup]:
    """Return the param groups of an optimizer, or refuse what is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(policy).__name__} binds to a torch.optim.Optimizer, "
            f"not to {short(optimizer)} ({type(optimizer).__name__}): call policy(optimizer)"
        )
    return optimizer.param_groups
