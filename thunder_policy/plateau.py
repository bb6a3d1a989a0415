"""Plateau: a Schedule or a Scale whose lrs are also cut where a metric stops improving."""

# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeVar

from torch import Tensor

from .aliases import Integer, Number, ScheduleFn
from .by_name import ByName
from .call_order import warn
from .checks import cure_of_text, each, epoch_number, non_negative, one_of, per_group, real, short
from .groups import Known
from .mapping import Scale, Schedule, _ByCall
from .policy import LRs, Policy, is_bound

AnyPlateau = TypeVar("AnyPlateau", bound="Plateau")


class Plateau(_ByCall):
    """Cut what a policy gives each time that a metric has stopped improving.

    ``lr(t) = lr of the policy at t * factor**cuts``, which is a warm-up and a decay with torch's
    ``ReduceLROnPlateau`` on top; over a constant it is ``ReduceLROnPlateau``.

    Args:
        policy: An unbound `Schedule` or `Scale`; a callable stands for ``Schedule(callable)``. Its
            option and ``on_load`` are those of the whole.
        factor: What a cut multiplies lrs by, at least 0 and below 1.
        patience: How many metrics in a row without improvement pass before the next one cuts.
        threshold: By how much a metric has to be better than the best one before it.
        threshold_mode: ``"rel"``: by that share of the best one. ``"abs"``: by that difference.
        cooldown: How many metrics after a cut are no reason for another.
        min_lr: What no cut goes below: one lr for all groups, or a sequence with one a group. A lr
            that the policy itself has below it stays.
        eps: A cut that would lower no lr by more than this is not made, unless it would lower none
            at all: where all are 0, say, from where the policy may come back.
        mode: ``"min"``: less is better, as of a loss. ``"max"``: more is better.

    Attributes:
        best: The best metric so far; inf or -inf before the first.
        num_bad_epochs: How many metrics in a row were no improvement, outside of the cooldown.
        cooldown_counter: How many more metrics are no reason for a cut.
        cuts: How often the lrs have been cut.

    Raises:
        TypeError: If the policy is none of these, or what should be a number is not one.
        ValueError: If the policy is bound, or a number or a mode is not one of those above.

    Example:
        >>> from torch import nn, optim
        >>> from thunder_policy.schedules import Constant, warmup
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
        >>> policy = Plateau(warmup(2, Constant(0.5)), factor=0.5, patience=0)(optimizer)
        >>> for loss in (3.0, 2.0, 2.5):  # the third is no improvement
        ...     optimizer.step()
        ...     policy.step(loss)
        ...     print(policy.get_last_lr())
        [0.25]
        [0.5]
        [0.25]
    """

    mapping: ScheduleFn | list[ScheduleFn | None]
    policy: Schedule | Scale
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    min_lr: float | list[float] = 0.0
    eps: float
    mode: str
    best: float
    num_bad_epochs: int
    cooldown_counter: int
    cuts: int

    _policy = "Plateau"
    _arguments = ("policy",)
    _nan_was_said = False

    def __init__(
        self,
        policy: Schedule | Scale | ScheduleFn,
        factor: float = 0.1,
        patience: Integer = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: Integer = 0,
        min_lr: Number | Sequence[Number] = 0.0,
        eps: float = 1e-8,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        who = type(self).__name__
        self.policy = _schedule_or_scale(policy, who)
        mapping: Any = self.policy.mapping
        super().__init__(
            mapping, self.policy.lr_init, option=self.policy.option, on_load=self.policy.on_load
        )
        self.mapping, self._by_default = mapping, self.policy._by_default
        self.factor = non_negative(factor, f"{who}: factor")
        if self.factor >= 1:
            raise ValueError(f"{who}: factor must be below 1, not {short(factor)}")
        self.patience = epoch_number(patience, f"{who}: patience")
        self.threshold = non_negative(threshold, f"{who}: threshold")
        self.threshold_mode = one_of(threshold_mode, ("rel", "abs"), f"{who}: threshold_mode")
        self.cooldown = epoch_number(cooldown, f"{who}: cooldown")
        self.min_lr = each(min_lr, f"{who}: min_lr", non_negative)
        if isinstance(mapping, ByName) and isinstance(self.min_lr, list):
            raise ValueError(f"{who}: beside by_name min_lr must be one for all groups")
        self.eps = non_negative(eps, f"{who}: eps")
        self.mode = one_of(mode, ("min", "max"), f"{who}: mode")
        self._start_over()
        counts = [len(given) for given in (mapping, self.min_lr) if isinstance(given, list)]
        if len({*counts}) > 1:
            raise ValueError(f"Got {counts[0]} mappings and {counts[1]} min_lr")

    @classmethod
    def by_name(cls: type[AnyPlateau], mapping: Any, *args: Any, **kwargs: Any) -> AnyPlateau:
        """Refuse it: a Plateau is made of a policy, which may be by name."""
        raise TypeError(
            f"{cls.__name__} takes a policy: write {cls.__name__}(Schedule.by_name(...))"
        )

    def _start_over(self) -> None:
        """Forget all metrics."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.cuts = 0
        self._nan_was_said = False

    def _starts_at_binding(self, before: Sequence[Known], epoch: int) -> list[float]:
        self._start_over()  # no metric is known; a binding that fails puts all back
        return super()._starts_at_binding(before, epoch)

    def step(self, metric: SupportsFloat | None = None) -> None:  # type: ignore[override, unused-ignore]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Go on to the next epoch, and look at a metric of the one that ends, if there is one.

        Of k batches between two metrics, k - 1 are ``step()`` and one is ``step(metric)``.

        Args:
            metric: A real number; to read a tensor on an accelerator waits for it. ``nan`` is no
                improvement.

        Raises:
            TypeError: If the metric is no real number. As for all errors, nothing has changed.
            UnboundPolicyError, TypeError, ValueError: As `Policy.step` does.

        Warns:
            UserWarning: At the first ``nan``.
        """
        epoch, before = self.last_epoch, {**self._counters(), "_nan_was_said": self._nan_was_said}
        try:
            if metric is not None:
                self._look_at(_metric(metric, f"{self._at()}: the metric"))
            super().step()
        except BaseException:
            if self.last_epoch == epoch:  # else the step is taken
                vars(self).update(before)
            raise

    def _look_at(self, metric: float) -> None:
        """Count what a metric says, and cut where that is to be."""
        if math.isnan(metric) and not self._nan_was_said:
            self._nan_was_said = True
            warn(f"{self._at()}: the metric is nan, which is no improvement; this is said once")
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            self.cuts += self._is_worth_it()

    def _is_worth_it(self) -> bool:
        """Tell whether another cut lowers the lrs of the coming epoch by more than eps."""
        lrs = super()._values_at(self.last_epoch + 1, self._starts_now())
        pairs = zip(self._cut(lrs, self.cuts), self._cut(lrs, self.cuts + 1))
        lowered = [now - lower for now, lower in pairs if not isinstance(now, Tensor)]
        # It counts where all are at 0 or at min_lr: the policy may come back from there.
        return not 0 < max(lowered, default=0) <= self.eps

    def _is_better(self, metric: float) -> bool:
        # In the operations of torch, so that the rounding is the same.
        by = self.threshold if self.mode == "max" else -self.threshold
        bound = self.best * (1 + by) if self.threshold_mode == "rel" else self.best + by
        return metric > bound if self.mode == "max" else metric < bound

    # That of Schedule and Scale; a closed form counts as that of the get_lr beside it.
    def get_lr(self) -> LRs:  # type: ignore[override, unused-ignore]
        """Compute the lrs to be written at ``last_epoch``: one a param group."""
        return super().get_lr()

    @property
    def _multiplies(self) -> bool:  # type: ignore[override]
        return isinstance(self.policy, Scale)

    def _values_at(self, epoch: int, starts: Sequence[Any]) -> list[Any]:
        return self._cut(super()._values_at(epoch, starts), self.cuts)

    def _cut(self, lrs: list[Any], cuts: int) -> list[Any]:
        """Cut what the policy gives each group: down to min_lr, and never up to it."""
        groups = zip(lrs, self._mappings(len(lrs)), per_group(self.min_lr, len(lrs), "min_lr"))
        new: list[Any] = []
        for lr, mapping, least in groups:
            if mapping is None or isinstance(lr, Tensor):  # a start that has no data
                new.append(lr)
            else:
                lower = lr
                for _ in range(cuts):  # one multiplication each, as torch rounds it
                    if lower <= least:
                        break
                    lower *= self.factor
                new.append(min(lr, max(lower, least)))
        return new

    def _depends_on_start(self, mapping: Any, epoch: int) -> bool:
        return self._multiplies or not self._is_closed()

    def _check_counts(self, n: int) -> None:
        super()._check_counts(n)
        per_group(self.min_lr, n, "min_lr")

    def _counts(self) -> list[int]:
        return super()._counts() + ([len(self.min_lr)] if isinstance(self.min_lr, list) else [])

    def in_steps(self: AnyPlateau, steps_per_epoch: SupportsIndex) -> AnyPlateau:
        """Return the same policy counted in steps, as `MappingPolicy.in_steps` does.

        Metrics are counted as before: ``patience`` and ``cooldown`` stay.
        """
        new = super().in_steps(steps_per_epoch)
        new.policy = self.policy.in_steps(steps_per_epoch)
        return new

    def _counters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COUNTERS}

    def prepare_state_dict(self, *keys: str) -> dict[str, Any]:
        """Return a state without some of its keys, as `MappingPolicy.prepare_state_dict` does.

        Returns:
            Beside what is there, ``best``, ``num_bad_epochs``, ``cooldown_counter`` and ``cuts``.
        """
        state = super().prepare_state_dict("_nan_was_said", *keys) | self._counters()
        return {key: value for key, value in state.items() if key not in keys}

    def _read(self, state: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], LRs]]:
        # The counters come first, as what the plan gives depends on the cuts. Where the state is
        # refused after all, they are put back with the rest.
        who = type(self).__name__
        for name, checked in _COUNTERS.items() if isinstance(state, dict) else ():
            if name in state:
                setattr(self, name, checked(state[name], f"{who}: {name} in the state"))
            elif self.on_load == "restore":
                whose = state.get("_policy", self._policy)
                of = "" if whose == self._policy else f" of a {short(whose)}"
                raise ValueError(
                    f"{who}: the state{of} has no {name}: is it that of a Plateau? Metrics are "
                    'counted from here on where policy is given on_load="override"'
                )
        return super()._read(state)

    def _value(self) -> dict[str, Any]:
        parameters = inspect.signature(Plateau.__init__).parameters
        hidden = {"mapping", "lr_init", "option", "on_load", "_nan_was_said", *_COUNTERS}
        return {
            name: value
            for name, value in super()._value().items()
            if name not in hidden and (name not in parameters or value != parameters[name].default)
        }

    def __copy__(self: AnyPlateau) -> AnyPlateau:
        """Return an unbound policy of the same value, without what it knows of metrics."""
        new = super().__copy__()
        new._start_over()
        return new

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not is_bound(self):
            self._start_over()


def _metric(value: Any, what: str) -> float:
    """Turn a metric into a ``float``, which may be nan or inf."""
    try:
        return real(value, what, any_shape=True)
    except ValueError:
        number = value.item() if hasattr(value, "item") else value
        if isinstance(number, float):
            return float(number)
        raise


def _best(value: Any, what: str) -> float:
    """Let a metric through that can be the best one."""
    best = _metric(value, what)
    if math.isnan(best):
        raise ValueError(f"{what} must be a number, not nan")
    return best


# What a state has of the metrics, and how each of it is checked.
_COUNTERS: dict[str, Callable[[Any, str], Any]] = {
    "best": _best,
    "num_bad_epochs": epoch_number,
    "cooldown_counter": epoch_number,
    "cuts": epoch_number,
}


def _schedule_or_scale(policy: Any, who: str) -> Any:
    """Return an unbound Schedule or Scale, from one or from a callable."""
    if not isinstance(policy, Policy) and callable(policy):
        function: Any = policy
        return Schedule(function)
    if not isinstance(policy, (Schedule, Scale)) or not policy._is_closed():
        raise TypeError(
            f"{who}: policy must be a Schedule, a Scale or a callable from epoch to lr, not "
            f"{short(policy)} ({type(policy).__name__}){cure_of_text(policy)}"
        )
    if is_bound(policy):
        raise ValueError(f"{who}: policy is bound to an optimizer: give copy.copy(policy)")
    return copy.copy(policy)
