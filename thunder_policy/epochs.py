"""A mapping from epoch to number: checked, counted in steps, in closed form, and in a state."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, SupportsFloat

from torch.optim.lr_scheduler import LRScheduler

from .by_name import ByName
from .checks import cure_of_text, epoch_key, non_negative, short


def mapping_or_callable(value: Any, what: str) -> Any:
    """Copy a mapping from epoch to number, sorted by epoch; or let a callable through."""
    if isinstance(value, Mapping):
        return _sorted(value, what)
    if _is_schedule(value):
        return value
    raise _refusal(value, what, "a mapping from epoch to number or a callable", cure_of_text(value))


def epoch_mapping(value: Any, what: str) -> dict[int, float]:
    """Copy a mapping from epoch to number, sorted by epoch."""
    if isinstance(value, Mapping):
        return _sorted(value, what)
    cure = ": use Schedule or Scale for a callable" if _is_schedule(value) else cure_of_text(value)
    raise _refusal(value, what, "a mapping from epoch to number", cure)


def schedule_or_none(value: Any, what: str) -> Any:
    """Let a callable from epoch to number through; and None in a list, to leave a group alone."""
    if _is_schedule(value) or (value is None and what.endswith("]")):
        return value
    cure = cure_of_text(value)
    if isinstance(value, Mapping):
        cure = ": use Switch or Multiply for a mapping"
        if any(isinstance(key, str) for key in value):  # Hydra has made one of a schedule
            cure = ": beside a list of _target_ in Hydra write _convert_: all"
    raise _refusal(value, what, "a callable from epoch to number", cure)


def _is_schedule(value: object) -> bool:
    return callable(value) and not isinstance(value, (LRScheduler, Mapping))


def _refusal(value: object, what: str, wanted: str, cure: str) -> TypeError:
    several = "" if what.endswith("]") else ", or a sequence with one a param group"
    kind = type(value).__name__
    return TypeError(f"{what} must be {wanted}{several}, not {short(value)} ({kind}){cure}")


def _sorted(mapping: Mapping[Any, Any], what: str) -> dict[int, float]:
    values = mapping.values()
    plain = {*map(type, mapping)} == {int} and {*map(type, values)} == {float}
    if plain and min(mapping) >= 0 and all(0 <= value < math.inf for value in values):
        return {epoch: mapping[epoch] for epoch in sorted(mapping)}  # a million in a blink
    numbers = {
        epoch_key(epoch, f"{what}: the epoch"): non_negative(
            number, f"{what}: the value at epoch {short(epoch)}"
        )
        for epoch, number in mapping.items()
    }
    return dict(sorted(numbers.items()))


@dataclass(frozen=True)
class InSteps:
    """A schedule that is called with steps, and calls another with the epoch that each is in."""

    schedule: Callable[[int], SupportsFloat]
    steps_per_epoch: int

    def __call__(self, step: int) -> SupportsFloat:
        """Return the lr at a step."""
        return self.schedule(step // self.steps_per_epoch)


def in_steps(mapping: Any, k: int) -> Any:
    """Count in steps what is counted in epochs, k steps each: a mapping, a callable, or several."""
    if isinstance(mapping, ByName):
        return ByName({name: in_steps(each, k) for name, each in zip(mapping.names, mapping)})
    if isinstance(mapping, list):
        return [in_steps(each, k) for each in mapping]
    if mapping is None:
        return None
    if isinstance(mapping, Mapping):
        return {k * epoch: value for epoch, value in mapping.items()}
    return mapping.in_steps(k) if hasattr(mapping, "in_steps") else InSteps(mapping, k)


def path(
    mapping: Mapping[int, float],
    start: Any,
    until: int,
    apply: Callable[[Any, float], Any],
) -> tuple[list[int], list[Any]]:
    """Return 0 and the epochs at which the lr changes, up to one, and the lr from each of them on.

    Args:
        mapping: Epoch to what changes the lr there.
        start: The lr before the first change.
        until: The last epoch.
        apply: What makes a lr of the one before, and of a value.
    """
    epochs = [epoch for epoch in sorted(mapping) if epoch <= until]
    values: list[Any] = [start, *(mapping[epoch] for epoch in epochs)]
    return [0, *epochs], [*accumulate(values, apply)]


def is_callable(mapping: object) -> bool:
    """Tell whether what a policy maps by is code, which no state holds, or partly."""
    several = mapping if isinstance(mapping, list) else [mapping]
    return any(one is None or callable(one) for one in several)


def pairs(mapping: Any) -> list[Any]:
    """Return a mapping as pairs of epoch and value; of several, each, with its name if any."""
    if isinstance(mapping, ByName):
        return [[name, pairs(one)] for name, one in zip(mapping.names, mapping)]
    if isinstance(mapping, list):
        return [*map(pairs, mapping)]
    return [[epoch, value] for epoch, value in sorted(mapping.items())]


def unpaired(saved: Any, what: str) -> dict[int, float] | list[dict[int, float]]:
    """Return a mapping from a state: pairs, or a dict as the original package has; or a list."""

    def checked(saved: Any, what: str) -> dict[int, float]:
        return epoch_mapping(dict(saved) if _are_pairs(saved) else saved, what)

    if _are_pairs(saved) and saved and all(isinstance(name, str) for name, _ in saved):
        return ByName({name: checked(each, f"{what}[{name!r}]") for name, each in saved})
    if isinstance(saved, (list, tuple)) and not _are_pairs(saved):
        return [checked(each, f"{what}[{i}]") for i, each in enumerate(saved)]
    return checked(saved, what)


def _are_pairs(saved: object) -> bool:
    return isinstance(saved, (list, tuple)) and all(
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and not isinstance(pair[0], (list, tuple, Mapping))
        for pair in saved
    )
