"""The types of what people write, for type checkers and for tools that read them as they run.

A checker allows any number that `float` takes. jsonargparse, pydantic and tyro, which build
arguments from text, are told `float`: `SupportsFloat` would be a class of its own to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import SupportsFloat as Number
else:
    Number = float

EpochMapping = Mapping[int, Number]
"""Epoch to lr (Switch) or factor (Multiply)."""

ScheduleFn = Callable[[int], Number]
"""Epoch to lr (Schedule) or factor (Scale)."""

InitialLR = Number | Sequence[Number] | None
"""One lr for all groups, one a group, or None: see `MappingPolicy`."""
