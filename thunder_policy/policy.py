"""Policy: a scheduler that is written without an optimizer and bound to one by a call."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat, TypeVar

from torch import Tensor
from torch.optim import Optimizer

from . import state as states
from .checks import short
from .groups import LR, Groups, ParamGroup, Undo, copy_of, lrs_of, plain, separate_initial_lrs
from .order import watch
from .stepping import BINDING, Stepper, allow_short_cut

AnyPolicy = TypeVar("AnyPolicy", bound="Policy")

ScheduleFn = Callable[[int], SupportsFloat]
"""Epoch to lr."""


class Policy(Stepper):
    """A learning-rate scheduler that needs no optimizer until it is called with one.

    A subclass has to define `get_lr` alone; it may have an ``__init__`` of its own, which need
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

    base_lrs: list[float | Tensor]

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

    def __call__(self: AnyPolicy, optimizer: Optimizer) -> AnyPolicy:
        """Bind the policy to an optimizer, as `set_optimizer` does, and return it."""
        self.set_optimizer(optimizer)
        return self

    def set_optimizer(self, optimizer: Optimizer) -> None:
        """Bind the policy to an optimizer, at epoch 0; a policy that was bound starts over.

        Where that fails, policy and optimizer are as they were. A subclass resets state of its own
        before, as `get_lr` is asked for epoch 0 here, and puts it back where this raises.

        Args:
            optimizer: Its groups get the lrs at epoch 0.

        Raises:
            TypeError: If that is no ``torch.optim.Optimizer``, or a lr is no number.
            ValueError: If there is not one finite lr a group, or one of anything given a group.
        """
        groups = param_groups(self, optimizer)
        undo = Undo([self], groups)
        try:
            lr_init, attributes = self._to_bind(len(groups))
            initial: list[Any] = [group.get("initial_lr", group["lr"]) for group in groups]
            self.base_lrs = [copy_of(lr) for lr in lr_init or initial]
            for group, lr in zip(groups, self.base_lrs):
                group.setdefault("initial_lr", copy_of(lr))
            separate_initial_lrs(groups)
            self.optimizer = optimizer
            self._step_count = 1
            self._lr_groups = Groups(groups)
            # For a get_lr that asks get_last_lr while it is bound.
            self._lr_groups.last = [copy_of(group["lr"]) for group in groups]
            vars(self).update(attributes)
            self._advance(0, self._plan)
            watch(optimizer)
        except BaseException:
            undo()
            raise

    def _to_bind(self, n: int) -> tuple[list[float] | None, dict[str, object]]:
        """Return what n groups start from, None for their initial_lr, and attributes to set."""
        return None, {}

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
            "base_lrs": states.pack(self._lr_groups.aligned(self.base_lrs, groups)),
            "_last_lr": states.pack(self._lr_groups.aligned(self.get_last_lr(), groups)),
            "_group_lrs": states.pack([*map(LR, groups)]),
        }
        if not self._closed_state():
            state |= states.save_each(self, {*BINDING, *keys})
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
        attributes: Mapping[str, object] | None = None,
        warning: str = "",
    ) -> None:
        """Load a state, with attributes that a subclass has made of it; a warning may be raised."""
        groups = Groups(self.optimizer.param_groups)
        groups.look(type(self).__name__)
        base = self._lr_groups.aligned(self.base_lrs, groups.seen)
        new = states.read(state, groups, base, type(self).__name__)
        others = states.others(self, state, BINDING)
        own = {} if self._closed_state() else others
        allow_short_cut(groups, new.base, new.step_count)
        undo = states.undo_load(getattr(self, key, None) for key in own)
        try:
            loaded = states.load_each(self, own)
            if warning:
                warnings.warn(warning, UserWarning, stacklevel=3)
        except BaseException:
            undo()
            raise
        for key, value in {**loaded, **(attributes or {})}.items():
            setattr(self, key, value)
        vars(self).update(last_epoch=new.epoch, _step_count=new.step_count, base_lrs=new.base)
        self._lr_groups = groups
        groups.record(groups.write(new.held))
        if new.last != new.held:
            groups.last, groups.one, groups.alike = new.last, None, None

    def _closed_state(self) -> bool:
        """Tell whether there is no state but the package's: other attributes are left alone."""
        return False

    def __copy__(self: AnyPolicy) -> AnyPolicy:
        """Return an unbound policy of the same value."""
        new = type(self).__new__(type(self))
        for name, value in states.attributes(self).items():
            if name not in BINDING:
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
        self._lr_groups.forget()
        if is_bound(self) and isinstance(self.optimizer, Optimizer):  # a wrapper may be none
            watch(self.optimizer)
            vars(self.optimizer).setdefault("_opt_called", called)


def is_bound(policy: Policy) -> bool:
    """Tell whether a policy has an optimizer."""
    return "optimizer" in vars(policy)


def param_groups(policy: Policy, optimizer: Optimizer) -> list[ParamGroup]:
    """Return the param groups of an optimizer, or refuse what is none."""
    who = type(policy).__name__
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{who} binds to a torch.optim.Optimizer, "
            f"not to {short(optimizer)} ({type(optimizer).__name__}): call policy(optimizer)"
        )
    for i, lr in enumerate(lrs_of(optimizer.param_groups, who)):
        plain(lr, f"{who}, group {i}: the lr")
        plain(optimizer.param_groups[i].get("initial_lr"), f"{who}, group {i}: the initial_lr")
    return optimizer.param_groups
