"""Stepping: how a policy goes from epoch to epoch, at once where it can and never by half.

A step that has nothing to do is most of what a policy does, so each `step`, here and in Switch,
Multiply and Schedule, begins with a short cut. A call costs as much as writing three lrs, and zip
as much as eight, so the short cuts are written out, as loops over the groups. Even where no lr
changes, a step has to notice that param groups were replaced (load_state_dict) or added
(add_param_group): it compares two lists in C, which looks into a dict only where it is not the same
object. And it has to notice what somebody else has put into a group: a lr to go
on from, or a tensor, which is filled and never replaced. So each lr is compared with the last one,
by identity, before it is written. Whatever is different, or raises as the comparison of tensors
does, goes the long way with nothing written.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .checks import add_note, epoch_number, real, short
from .groups import LR, Groups, ParamGroup, Undo, as_one
from .order import warn_of_epoch, warn_of_order

AnyStepper = TypeVar("AnyStepper", bound="Stepper")

Plan = Callable[[list[Any]], Sequence[Any]]
"""From the lrs that stand to those to write, or to the same list where none is to be written."""

# Whose lr it is, for an error.
ALL_GROUPS = ", all param groups"

# What a step moves, and takes back where it fails; and all else that a binding sets, or torch.
_MOVED = ("last_epoch", "base_lrs", "_lr_groups")
_SET = ("_step_count", "optimizer", "_lr_mapping", "_lr_rule", "_lr_restart")
BINDING = frozenset({*_MOVED, *_SET, "_is_initial", "_get_lr_called_within_step"})


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


class Stepper(LRScheduler, ABC):
    """What a policy is while it steps: its epoch, its records of the groups, and the way on."""

    # torch warns where get_lr is called outside a step; here it is pure, and may be.
    _get_lr_called_within_step = True

    last_epoch: int
    if TYPE_CHECKING:
        optimizer: Optimizer
        base_lrs: list[float | Tensor]
        _last_lr: list[Any]
    else:
        _last_lr = property(
            lambda self: self._lr_groups.lasts(), lambda self, lrs: self._lr_groups.record(lrs)
        )
        optimizer = _NeedsOptimizer()
        base_lrs = _NeedsOptimizer()

    _lr_groups: Groups
    # What MappingPolicy binds with.
    _lr_mapping: Any
    _lr_rule: Any
    # Whether the groups hold base_lrs when get_lr is asked for epoch 0.
    _lr_restart: bool

    def __new__(cls: type[AnyStepper], *args: Any, **kwargs: Any) -> AnyStepper:
        """Set what each policy has, as a subclass need not call ``Policy.__init__``."""
        # CPython caches no access to an attribute that the class has too, nor one to a dict that
        # vars() has had to make of an instance: together a fifth of a step.
        self = super().__new__(cls)  # pyright: ignore[reportArgumentType]
        self.__dict__ = {  # pyright: ignore[reportAttributeAccessIssue]
            "last_epoch": -1,
            "_step_count": 0,
            "_lr_groups": Groups([]),
            "_lr_mapping": None,
            "_lr_rule": None,
            "_lr_restart": False,
        }
        return self

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
        groups = self.optimizer.param_groups
        if epoch is not None or self.last_epoch < 0 or not self._alike(groups):
            self._step_long(epoch)
            return
        self.last_epoch += 1
        self._step_count += 1
        try:
            lrs: Any = self.get_lr()
            done = self._put(self.optimizer.param_groups, lrs)
        except BaseException as error:
            add_note(error, self._at(), ALL_GROUPS)
            self._step_back()
            raise
        if not done:
            self._step_back()
            self._step_long(None, lambda _: lrs)

    def _step_back(self) -> None:
        self.last_epoch -= 1
        self._step_count -= 1

    def _alike(self, groups: list[ParamGroup]) -> bool:
        """Tell whether the groups are those seen. `_put` asks again: get_lr is anybody's code."""
        seen = self._lr_groups
        try:
            if not seen.held:
                return groups == seen.alike
            # To compare what two dicts hold may read a lr, which waits for a GPU.
            return seen.alike is not None and seen.same(groups)
        except Exception:
            return False

    def _put(self, groups: list[ParamGroup], lrs: Any) -> bool:
        """Write lrs, one a group, by the short cut, or nothing, and tell which."""
        seen = self._lr_groups
        last_lr = seen.last
        if type(lrs) is not list or len(lrs) != len(last_lr):
            return False
        if seen.held:
            return seen.alike is not None and seen.fill_each(groups, lrs)
        i = 0
        try:
            if groups == seen.alike:
                for group in groups:
                    lr = lrs[i]
                    if type(lr) is not float or lr - lr != 0.0 or group["lr"] is not last_lr[i]:
                        break
                    group["lr"] = lr
                    i += 1
                else:
                    seen.last, seen.one = [*lrs], None
                    return True
        except Exception:
            pass
        for group, last in zip(groups[:i], last_lr):
            group["lr"] = last
        return False

    def _step_long(self, epoch: int | None, plan: Plan | None = None) -> None:
        """Step with all looks and checks; with a plan, if there is one for it."""
        if epoch is not None:
            epoch = epoch_number(epoch, f"{type(self).__name__}: the epoch to step to")
        if self._step_count == 1:
            warn_of_order(self.optimizer)
        if epoch is not None:
            warn_of_epoch()
        self._step_count += 1
        try:
            if plan is None:
                self._update_lr(epoch)
            else:
                self._advance(self.last_epoch + 1, plan)
        except BaseException:
            self._step_count -= 1
            raise

    def _initial_step(self) -> None:
        # SequentialLR starts over; the step after this is a first one, of which torch may warn.
        self._lr_groups.alike = None
        super()._initial_step()

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self._advance(self.last_epoch + 1, self._plan)
        else:
            get_lr = getattr(self, "_get_closed_form_lr", self.get_lr)
            self._advance(epoch, lambda _: get_lr())

    def _plan(self, standing: list[Any]) -> Sequence[Any]:
        """Return the lrs to write for those that stand, or these where none is to be written."""
        return self.get_lr()

    def _advance(self, epoch: int, plan: Plan) -> None:
        """Go to an epoch, and write what is planned for the lrs there; where that fails, stay."""
        groups = self.optimizer.param_groups
        restart = epoch == 0 and self._lr_restart
        before = {name: vars(self)[name] for name in _MOVED}
        undo = Undo([], [])
        try:
            self.base_lrs = self._lr_groups.aligned(self.base_lrs, groups)
            self._lr_groups = seen = self._lr_groups.again(groups)
            lrs = seen.look(self._at(epoch))
            self.last_epoch = epoch
            if restart:
                undo = Undo([], groups)
                seen.write(seen.writable(self.base_lrs, self._at()))
            planned = plan(lrs)
            loaded = self.optimizer.param_groups
            if loaded is not groups and not seen.same(loaded):
                # Whoever was asked has loaded the optimizer: these lrs are for what that brought.
                self._advance(epoch, lambda _: planned)
                return
            new = None if planned is lrs else seen.writable(planned, self._at())
            allow_short_cut(seen, self.base_lrs, self._step_count)
            written = lrs if new is None else seen.write(new)
        except BaseException as error:
            add_note(error, self._at(epoch), ALL_GROUPS)
            vars(self).update(before)
            undo()
            raise
        seen.record(written)

    def _at(self, epoch: int | None = None) -> str:
        """Say who and when, for an error."""
        return (
            f"{type(self).__name__} at epoch {short(self.last_epoch if epoch is None else epoch)}"
        )

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the lrs as the last step left them, or the binding or loading since.

        Returns:
            A new list with a lr for each group that the step saw: a ``float``, or a new tensor of
            the same shape, dtype and device where the group holds one (pytorch#163103, #163120).
            Where somebody else has filled a tensor that is not on the CPU, it shows that.
        """
        self.optimizer  # noqa: B018  an unbound policy raises here
        return [self._lr_groups.last_lr(i, lr) for i, lr in enumerate(self._last_lr)]


class AtMilestones(Stepper):
    """The step of Switch and Multiply, whose lrs change at the keys of ``_lr_rule`` alone."""

    last_epoch: int  # again, for pyright --verifytypes

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, as `Policy.step` does."""
        groups = self.optimizer.param_groups
        milestones = self._lr_rule
        now = self.last_epoch + 1
        try:
            # At 0, to which SequentialLR takes a policy back, each group starts over.
            if milestones is None or epoch is not None or not now:
                same = False
            elif now in milestones:
                same = self._changed_all(groups)
            else:
                # Between two milestones it is enough to see that no lr has changed.
                seen = self._lr_groups
                one = seen.one
                if one is not None:
                    same = groups == seen.alike
                    for group in groups:
                        if group["lr"] is not one:
                            same = False
                            break
                elif seen.held:
                    same = seen.alike is not None and seen.unchanged(groups)
                else:
                    same = groups == seen.alike and all(map(is_, map(LR, groups), seen.last))
            if same:
                self.last_epoch = now
                self._step_count += 1
                return
        except Exception:
            pass
        if milestones is None:
            super().step(epoch)
        else:
            self._step_long(epoch)

    def _changed_all(self, groups: list[ParamGroup]) -> bool:
        """Write the lrs of a milestone by the short cut, or nothing, and tell which."""
        seen = self._lr_groups
        if seen.alike is None or seen.far:
            return False
        self.last_epoch += 1
        try:
            lrs: Any = self.get_lr()
            done = self._put(groups, as_one(lrs))
        finally:
            self.last_epoch -= 1
        if done:
            seen.record(seen.last)
        return done


class Called(Stepper):
    """The step of Schedule: ``_lr_rule`` is its callable, or ``_lr_mapping`` has one a group."""

    last_epoch: int  # again, for pyright --verifytypes

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, as `Policy.step` does."""
        schedule = self._lr_rule
        if epoch is not None or schedule is None:
            self._step_each(epoch)
            return
        now = self.last_epoch = self.last_epoch + 1
        self._step_count += 1
        try:
            lr = schedule(now)
            if type(lr) is not float or lr - lr != 0.0:  # nan or inf
                lr = real(lr, f"{self._at()}{ALL_GROUPS}: the lr", any_shape=True)
            groups = self.optimizer.param_groups  # not before: the callable may bring others
        except BaseException as error:
            add_note(error, self._at(), ALL_GROUPS)
            self._step_back()
            raise
        seen = self._lr_groups
        last = seen.one
        group = None
        try:
            if seen.held:
                if seen.alike is not None and seen.fill(groups, lr):
                    seen.one = lr
                    return
            elif groups == seen.alike:
                for group in groups:
                    if group["lr"] is not last:
                        break
                    group["lr"] = lr
                else:
                    seen.one = lr
                    return
        except Exception:
            pass
        for written in groups if group is not None else []:
            if written is group:
                break
            written["lr"] = last
        self._step_back()
        self._step_long(None, lambda _: [lr] * len(groups))

    def _step_each(self, epoch: int | None) -> None:
        """Step where there is a callable a group, or a subclass has a get_lr of its own."""
        self.optimizer  # noqa: B018  an unbound policy raises here
        if epoch is not None or self._lr_restart:
            super().step(epoch)
            return
        now = self.last_epoch = self.last_epoch + 1
        self._step_count += 1
        lrs: list[Any] = []
        try:
            for schedule in self._lr_mapping:
                lrs.append(schedule(now))  # noqa: PERF401  an error is that of the next group
            done = self._put(self.optimizer.param_groups, lrs)
        except BaseException as error:
            add_note(error, self._at(), which_group(len(lrs), self._lr_mapping))
            self._step_back()
            raise
        if not done:
            self._step_back()
            self._step_long(None, lambda _: lrs)


def allow_short_cut(seen: Groups, base_lrs: Sequence[object], step_count: int) -> None:
    """Let the next step take the short cut, if it would miss nothing.

    Before anything is written: the lrs that are compared here are anybody's, and may raise.
    """
    plain = seen.uniform is not None or (seen.seen and not seen.held)
    # Where there are tensors, the short cuts ask for the same dicts.
    quick = step_count > 1 and plain and (seen.held or _interchangeable(seen.seen, base_lrs))
    seen.alike = seen.seen if quick else None


def _interchangeable(groups: Sequence[ParamGroup], base_lrs: Sequence[object]) -> bool:
    """Tell whether param groups that compare equal have equal records, whichever is which."""
    initial = [group.get("initial_lr") for group in groups]
    try:
        return (
            base_lrs.count(base_lrs[0]) == len(groups)
            # Params of several elements are equal to themselves alone: else torch raises.
            or all(any(param.numel() > 1 for param in group["params"]) for group in groups)
            or initial == base_lrs
        )
    except Exception:
        return False


def which_group(i: int, of: Sequence[object]) -> str:
    """Say for an error whose lr it is: of group i, if there is one callable a group, or of all."""
    return f", group {i}" if len(of) > 1 and i < len(of) else ALL_GROUPS
