"""The types of what people write, for type checkers and for tools that read them as they run.

A checker allows any number that `float` takes, and any integer, NumPy's too. jsonargparse, pydantic
and tyro, which build arguments from text, are told `float` and `int`: `SupportsFloat` would be a
class of its own to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import ItemsView
    from typing import Any, Protocol, SupportsFloat, SupportsIndex

    Number = SupportsFloat
    Integer = SupportsIndex

    class _AnyIntegersAsKeys(Protocol):
        """A mapping with NumPy's integers as keys, say: that of a Mapping has keys of one type."""

        def __len__(self) -> int: ...
        def __getitem__(self, epoch: Any, /) -> Number: ...
        def items(self) -> ItemsView[SupportsIndex, Number]: ...

    EpochMapping = Mapping[int, Number] | _AnyIntegersAsKeys
else:
    Number = float
    Integer = int
    EpochMapping = Mapping[int, Number]
"""Epoch to lr (Switch) or factor (Multiply)."""

ScheduleFn = Callable[[int], Number]
"""Epoch to lr (Schedule) or factor (Scale)."""

InitialLR = Number | Sequence[Number] | None
"""One lr for all groups, one a group, or None: see `MappingPolicy`."""
