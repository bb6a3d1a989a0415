"""Policy: a scheduler that is written without an optimizer and bound to one by a call."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false
# pyright: reportIncompatibleVariableOverride=false

from __future__ import annotations

import copy
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Sequence
from typing import Any, NoReturn, SupportsIndex, TypeVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING, LRScheduler

from . import dry_run, groups
from . import state as states
from .aliases import Integer
from .call_order import warn, warn_of_order, was_stepped, watch
from .checks import add_note, epoch_number, short

AnyPolicy = TypeVar("AnyPolicy", bound="Policy")
LRs = Sequence[float | Tensor]


class UnboundPolicyError(RuntimeError, AttributeError):
    """Something was asked of a policy that only a bound one can answer.

    It is an ``AttributeError`` too, because accelerate and torch ask for ``optimizer`` with
    ``getattr`` and ``hasattr``.
    """


class _NeedsOptimizer:
    """Stands in for an attribute until a binding puts the real one into the instance.

    A ``__getattr__`` would do too, but with one Python 3.11 caches no attribute access at all.
    """

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise UnboundPolicyError(
            f"{owner.__name__} is not bound to an optimizer: call policy(optimizer) first"
        )


class Policy(LRScheduler, ABC):
    """A learning-rate scheduler that needs no optimizer until it is called with one.

    A subclass has to define `get_lr` alone; it may have an ``__init__`` of its own, which need
    not call this one.

    Args:
        option: The key of the param groups that is scheduled: ``"lr"``, or another that holds a
            number, such as ``"weight_decay"``; ``"momentum"`` is the first of ``betas`` where
            groups have these. What is said of lrs holds for it then.

    Attributes:
        last_epoch: The epoch that the groups hold the lrs of; -1 before the policy is bound.
        base_lrs: What each param group started from.

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

    last_epoch: int = -1
    option: str = "lr"
    optimizer: Optimizer = _NeedsOptimizer()  # type: ignore[assignment]
    base_lrs: list[float] = _NeedsOptimizer()  # type: ignore[assignment]
    _last_lr = property(lambda self: self.get_last_lr(), lambda self, lrs: None)  # type: ignore[assignment, unused-ignore]
    _step_count: int = 0
    # torch warns where get_lr is called outside a step; here it is pure, and may be.
    _get_lr_called_within_step = True
    # The name in a state of one of the package's own, and the keys there that are no attributes.
    _policy: str | None = None
    _plan_keys: Container[object] = ()

    # What a binding sets beside optimizer and base_lrs.
    # What each group is known again by, its name too, as the state of an optimizer may have none.
    _known: Sequence[groups.Known] = ()
    # The only epochs at which a lr changes, where they are known.
    _milestones: Container[int] | None = None
    # The places of the groups that are never written.
    _left_alone: Collection[int] = ()
    # Whether a state was overridden, so that the next step goes by the plan again.
    _overridden: bool = False
    # The optimizer that a call of the bound policy left before it was used.
    _left: weakref.ref[Optimizer] | None = None

    def __init__(self, *, option: str = "lr") -> None:
        if not isinstance(option, str):
            raise TypeError(f"{type(self).__name__}: option must be a string, not {short(option)}")
        self.option = option

    # torch declares list[float | Tensor]; list is invariant, so no subclass could say list[float].
    @abstractmethod
    def get_lr(self) -> Sequence[float | Tensor]:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``.

        It is pure: it writes nothing, and answers the same until ``last_epoch`` or a group changes.
        Ask `get_last_lr` for the lrs in use.

        Returns:
            One finite lr a param group, in a list or another ``Sequence``.
        """

    def __call__(self: AnyPolicy, optimizer: Optimizer, last_epoch: Integer = -1) -> AnyPolicy:
        """Bind the policy to an optimizer, as `set_optimizer` does, and return it.

        Warns:
            UserWarning: If the policy was at a later epoch of that optimizer already; or, at its
                next step, if it left another one that is trained with none the less.
        """
        who, before = type(self).__name__, vars(self).get("optimizer")
        epoch = epoch_number(last_epoch, f"{who}: last_epoch", least=-1) + 1
        if before is optimizer and epoch < self.last_epoch:
            warn(
                f"{who} is at epoch {self.last_epoch} of this optimizer, and a "
                f"call takes it back to {epoch}: if that is meant, write "
                "policy.set_optimizer(optimizer); else do not call it again"
            )
        unused = self._step_count <= 1
        if epoch == 0:
            self.set_optimizer(optimizer)  # that of a subclass may take nothing else
        else:
            self.set_optimizer(optimizer, epoch - 1)
        if unused and isinstance(before, Optimizer) and _is_another(before, optimizer):
            self._left = weakref.ref(before)
        return self

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        """Bind the policy to an optimizer; a policy that was bound starts over.

        Where that fails, policy and optimizer are as they were. A subclass resets state of its own
        before, as `get_lr` is asked for the first epoch here, and puts it back where this raises.

        Args:
            optimizer: Its groups get the lrs at that epoch.
            last_epoch: The last epoch that was trained, -1 if none was: the policy is at the next.

        Raises:
            TypeError: If that is no ``torch.optim.Optimizer``, or the epoch no integer.
            ValueError: If a group lacks the option or holds no number there, or there is not one
                finite lr a group, or one of anything given a group.
        """
        _check_optimizer(optimizer, type(self).__name__)
        epoch = epoch_number(last_epoch, f"{type(self).__name__}: last_epoch", least=-1) + 1
        before = self._known if optimizer is vars(self).get("optimizer") else ()
        with states.AllOrNothing([self, optimizer], [optimizer]):
            # A new dict: in one that vars() has made of an instance, Python 3.11 looks slowly.
            object.__setattr__(self, "__dict__", {**self.__dict__, "optimizer": optimizer})
            self._known = groups.known(optimizer.param_groups)
            self.base_lrs = self._starts_at_binding(before, epoch)
            self._left = None
            self._prepare_steps()
            if self.option == "lr":
                for group, start in zip(optimizer.param_groups, self.base_lrs):
                    written = groups.copy_of(start if self._was_given() else group["lr"])
                    group.setdefault("initial_lr", written)
            self._go_to_afresh(epoch, 1, self._planned_lrs if epoch else self.get_lr)
            watch(optimizer)

    def _starts_at_binding(self, before: Sequence[groups.Known], epoch: int) -> list[float]:
        """Return what each group is to start from: its ``initial_lr``, or what it holds.

        Of groups that the policy knows from before, what they started from.
        """
        return self._starts(before, "initial_lr" if self.option == "lr" else None)

    def _starts(self, before: Sequence[groups.Known], recorded: Any = None) -> list[float]:
        """Return what each group started from; a new one starts from what is recorded or held."""
        param_groups = self.optimizer.param_groups
        trios = zip(param_groups, self._held(), groups.places(before, param_groups))
        return [
            self._number(group.get(recorded, value), i) if place is None else self.base_lrs[place]
            for i, (group, value, place) in enumerate(trios)
        ]

    def _held(self) -> list[Any]:
        return groups.held(self.optimizer.param_groups, self.option, self._at)

    def _number(self, value: Any, i: int) -> Any:
        return groups.number(value, f"{type(self).__name__}, group {i}: the {self.option}")

    def _prepare_steps(self) -> None:
        """Note what a step looks at, for the mapping that the policy goes by."""

    def _check_counts(self, n: int) -> None:
        """Refuse n param groups, where something was given for another number of them."""

    def _starts_now(self) -> list[Any]:
        """Return what each of the groups that there are started from."""
        n = len(self.optimizer.param_groups)
        if n == len(self.base_lrs):
            return self.base_lrs
        self._check_counts(n)
        return self._starts(self._known)

    def _names_now(self) -> list[Any]:
        """Return the name of each group, or the one it had: an optimizer's state may have none."""
        param_groups = self.optimizer.param_groups
        places = groups.places(self._known, param_groups)
        before = [None if place is None else self._known[place][1] for place in places]
        return [group.get("name", name) for group, name in zip(param_groups, before)]

    def _take_in_groups(self) -> None:
        """Take in the param groups that came, and forget those that went (pytorch#104361)."""
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            self.base_lrs, names = self._starts_now(), self._names_now()
            pairs = zip(groups.known(self.optimizer.param_groups), names)
            self._known = [(params, name) for (params, _), name in pairs]
            self._prepare_steps()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch and write its lrs into the param groups.

        Where `get_lr` raises, or returns something that no group can hold, nothing has changed and
        the step can be taken again.

        Args:
            epoch: Deprecated in torch: go to this epoch, by the closed form where there is one.

        Raises:
            UnboundPolicyError: Before the policy is bound.
            TypeError: If `get_lr` returns something else than real numbers in a sequence.
            ValueError: If a lr is not finite or does not fit its group, or the number of lrs or of
                what was given a group is not that of the groups.
        """
        if self._step_count == 1 or epoch is not None:
            epoch = self._warn(epoch)
        now, count = self.last_epoch + 1, self._step_count + 1
        same = len(self.optimizer.param_groups) == len(self.base_lrs)
        if epoch is not None or now <= 0 or not same or self._overridden:
            self._update_lr(epoch, count)
        elif self._milestones is None or now in self._milestones:
            self._go_to(now, count, self.get_lr)
        else:
            # A short cut: no milestone comes up, so nothing is to be written, and no group is
            # looked into. What may change a lr at such an epoch was taken out above.
            self.last_epoch, self._step_count = now, count

    def _warn(self, epoch: int | None) -> int | None:
        """Warn of what may be wrong with a step; return the epoch to step to, if one is given."""
        who, optimizer = type(self).__name__, self.optimizer
        if self._step_count == 1:
            warn_of_order(optimizer)
            left = self._left and self._left()
            if left and was_stepped(left):
                warn(
                    f"{who} left an optimizer that is trained with all the same, and schedules the "
                    "one that it was bound to after it: bind copy.copy(policy) to the second"
                )
            self._left = None
        if epoch is not None:
            epoch = epoch_number(epoch, f"{who}: the epoch to step to")
            warn(EPOCH_DEPRECATION_WARNING)
        return epoch

    def _update_lr(self, epoch: int | None = None, count: int | None = None) -> None:
        # SequentialLR calls this too, with 0.
        lrs: Callable[[], LRs]
        if epoch is not None:
            lrs = getattr(self, "_get_closed_form_lr", self.get_lr)
        else:
            epoch = self.last_epoch + 1
            lrs = self._planned_lrs if self._overridden else self.get_lr
        count = self._step_count if count is None else count
        if epoch < 0:  # a nested SequentialLR has not begun
            self.last_epoch, self._step_count = epoch, count
        else:
            self._go_to_afresh(epoch, count, lrs)

    def _go_to_afresh(self, epoch: int, count: int, lrs: Callable[[], LRs]) -> None:
        """Go to an epoch where more is done than one write: where that fails, all is taken back."""

        def afresh() -> LRs:
            self._take_in_groups()
            if epoch == 0 and self._restarts():
                self._write(self.base_lrs)
            return lrs()

        with states.AllOrNothing([self], [self.optimizer]):
            self._go_to(epoch, count, afresh)
            if self._overridden:
                self._overridden = False
                self._prepare_steps()  # the optimizer may have been loaded since

    def _go_to(self, epoch: int, count: int, lrs: Callable[[], LRs]) -> None:
        """Go to an epoch and write the lrs there; where that fails, stay."""
        before, writes = (self.last_epoch, self._step_count), None
        try:
            self.last_epoch, self._step_count = epoch, count
            values, param_groups = lrs(), self.optimizer.param_groups
            writes = groups.fitted(param_groups, self.option, values, self._at, self._left_alone)
            groups.put(*writes)
        except BaseException as error:
            if not (writes and groups.finished(writes)):
                add_note(error, self._at())
                self.last_epoch, self._step_count = before
            raise

    def _was_given(self) -> bool:
        """Tell whether somebody wrote what the groups start from."""
        return False

    def _restarts(self) -> bool:
        """Tell whether get_lr finds the starts in the groups at epoch 0: it may multiply those."""
        return False

    def _write(self, lrs: LRs) -> None:
        param_groups = self.optimizer.param_groups
        groups.put(*groups.fitted(param_groups, self.option, lrs, self._at, self._left_alone))

    def _at(self, group: int | None = None) -> str:
        """Say who and when, for an error, and of which group."""
        when = f" at epoch {short(self.last_epoch)}" if self.last_epoch >= 0 else ""
        return f"{type(self).__name__}{when}" + ("" if group is None else f", group {group}")

    def _planned_lrs(self) -> LRs:
        """Return the lrs at ``last_epoch`` as if nobody else changed any."""
        closed = getattr(self, "_get_closed_form_lr", None)
        return closed() if closed else self.lr_at(self.last_epoch)

    def get_last_lr(self) -> list[float | Tensor]:
        """Return what the param groups hold now, whoever put it there.

        Returns:
            A new list with a lr for each group: the number, or a new tensor of the same shape,
            dtype and device where the group holds one (pytorch#163103, #163120).
        """
        return [groups.copy_of(lr) for lr in self._held()]

    def lr_at(self, epoch: SupportsIndex) -> list[float]:
        """Return the lrs at an epoch, as if nobody else changed any.

        In closed form where the policy has one; another steps a copy of itself up to there.

        Args:
            epoch: An integer of at least 0; any, in any order.

        Returns:
            One lr a param group. Before the policy is bound: one, if nothing was given a group.

        Raises:
            TypeError: If the epoch is no integer, or a callable returns no number.
            ValueError: If the epoch is negative, a lr is not finite, or it depends on a start that
                is not known yet: that of a group of the optimizer.
        """
        epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch")
        if not is_bound(self):
            raise ValueError(
                f"{type(self).__name__}: the {self.option} depends on where the param groups "
                "start: call policy(optimizer) first, or simulate(policy, ...) for made-up groups"
            )
        return dry_run.stepped(self, epoch + 1, dry_run.stand_in(self, self._starts_now()))[-1]

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot of the policy that ``torch.load(..., weights_only=True)`` reads.

        Returns:
            ``last_epoch``, ``_step_count``, ``base_lrs`` and ``_last_lr``, which is what the param
            groups hold: floats. Beside these, ``option`` if it is not lr, and a custom policy's
            own attributes; a nested scheduler by its own ``state_dict()``, an unbound policy not at
            all.

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
        self._take_in_groups()
        state: dict[str, Any] = {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "base_lrs": [*map(float, self.base_lrs)],
            "_last_lr": [*map(float, self.get_last_lr())],
        }
        if self.option != "lr":
            state["option"] = self.option
        if self._has_own_attributes():
            state |= states.save_each(self, BINDING | {*keys})
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
                one finite lr a group; or it is the state of another policy or another option.
        """
        self.optimizer  # noqa: B018  an unbound policy raises here
        bound = [*states.bound_schedulers(self)]
        with states.AllOrNothing(bound, [one.optimizer for one in bound]):
            self._take_in_groups()
            attributes, lrs = self._read(state_dict)
            for name, value in attributes.items():
                live = getattr(self, name, None)
                if isinstance(live, LRScheduler):
                    live.load_state_dict(value)
                else:
                    setattr(self, name, value)
            self._prepare_steps()
            if self.last_epoch >= 0:  # below, SequentialLR has not come to it
                self._write(lrs())

    def _read(self, state: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], LRs]]:
        """Read a state, or refuse it: the attributes that it brings, and what gives the lrs."""
        who, n = type(self).__name__, len(self.base_lrs)
        epoch = states.read_epoch(state, self.option, who)
        if state.get("_policy", self._policy) != self._policy:
            raise ValueError(f"{who}: the state is that of a {short(state['_policy'])}")
        lrs = states.read_lrs(state, "_last_lr", n, who)
        if "_group_lrs" in state:  # 0.1.0: what the groups held, where others had changed it
            lrs = states.read_lrs(state, "_group_lrs", n, who)
        count = epoch_number(state.get("_step_count", max(epoch + 1, 1)), f"{who}: _step_count")
        attributes: dict[str, Any] = {"last_epoch": epoch, "_step_count": count}
        if "base_lrs" in state:
            attributes["base_lrs"] = states.read_lrs(state, "base_lrs", n, who)
        own = self._has_own_attributes()
        # Of the package's own, which ignore them, the names alone are looked at.
        others = {key: state[key] if own else None for key in state if not self._is_known(key)}
        found = states.read_each(self, others, taken=BINDING | {"on_load", "_by_default"})
        return attributes | (found if own else {}), lambda: lrs

    def _is_known(self, key: object) -> bool:
        """Tell whether a key of a state is no attribute of a custom policy's own."""
        retired = key == "verbose" and not hasattr(self, "verbose")  # torch had it up to 2.6
        ignored = not isinstance(key, str) and not self._has_own_attributes()
        return key in states.KNOWN_KEYS or key in self._plan_keys or retired or ignored

    def _has_own_attributes(self) -> bool:
        """Tell whether a state has attributes beside those that are known here."""
        return "_policy" not in vars(type(self))

    def _value(self) -> dict[str, Any]:
        """Return the attributes that the policy has without an optimizer."""
        own = states.attributes(self)
        value = {name: own[name] for name in own if name not in BINDING}
        return value if self.option == "lr" else {**value, "option": self.option}

    def __repr__(self) -> str:
        text = ", ".join(f"{name}={value!r}" for name, value in self._value().items())
        text = re.sub(r" at 0x\w+", "", text)
        return f"{type(self).__name__}({text})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        from .configs import pydantic_schema

        return pydantic_schema(cls)

    def _repr_html_(self) -> str:
        from .notebook import as_html

        return as_html(self)

    def __copy__(self: AnyPolicy) -> AnyPolicy:
        """Return an unbound policy of the same value."""
        new = type(self).__new__(type(self))
        for name, value in Policy._value(self).items():
            setattr(new, name, copy.copy(value) if isinstance(value, Policy) else value)
        return new

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if is_bound(self) and protocol == 2:  # that of torch.save and YAML, and of no copy
            who = type(self).__name__
            warn(
                f"{who} is bound, so it is saved with its optimizer, and all that this holds: save "
                "policy.state_dict(), or copy.copy(policy) for what is written in it alone"
            )
        return super().__reduce_ex__(protocol)

    def __getstate__(self) -> dict[str, Any]:
        state = {**states.attributes(self), "_left": None}
        if is_bound(self):
            # An optimizer leaves behind what torch has put into it to watch the order of calls.
            state["_opt_called"] = was_stepped(self.optimizer)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in state.keys() - {"_opt_called"}:
            setattr(self, name, state[name])
        if is_bound(self) and isinstance(self.optimizer, Optimizer):  # a wrapper may be none
            watch(self.optimizer)
            vars(self.optimizer).setdefault("_opt_called", state.get("_opt_called"))


# What torch or a binding sets, which is no attribute of a custom policy's own.
BINDING = frozenset(
    {"optimizer", "base_lrs", "last_epoch", "option", "_step_count", "_known", "_milestones"}
    | {"_left_alone", "_overridden", "_left", "_is_initial", "_get_lr_called_within_step"}
)


def is_bound(policy: Policy) -> bool:
    """Tell whether a policy has an optimizer."""
    return hasattr(policy, "optimizer")


def _check_optimizer(optimizer: object, who: str) -> None:
    if not isinstance(optimizer, Optimizer):
        parts = getattr(optimizer, "__dict__", {}).items()
        inside = [name for name, value in parts if isinstance(value, Optimizer)]
        bind = f"policy(wrapper.{inside[0]}), the one inside" if inside else "policy(optimizer)"
        raise TypeError(
            f"{who} binds to a torch.optim.Optimizer, "
            f"not to {short(optimizer)} ({type(optimizer).__name__}): call {bind}"
        )


def _is_another(left: Optimizer, optimizer: Optimizer) -> bool:
    """Tell whether an optimizer that was left unused has no param of the one that came after."""
    params = {id(param) for group in left.param_groups for param in group["params"]}
    shared = any(id(p) in params for group in optimizer.param_groups for p in group["params"])
    return not shared and not was_stepped(left)
