"""Backends of Hypothesis that draw the ends of ranges, where a random draw seldom comes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from typing import Any, ClassVar

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, PrimitiveProvider

_MOST_ITEMS = 5


class _Least(PrimitiveProvider):
    """Draws the least of each range, and 0 where it has no end; containers are short."""

    lifetime = "test_case"
    least: ClassVar[bool] = True

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.more = 0 if self.least else _MOST_ITEMS

    def draw_boolean(self, p: float = 0.5) -> bool:
        """Draw whether there is one more item, as a rule: a list need not have an end."""
        self.more -= 1
        return self.more >= 0

    def draw_integer(
        self, min_value: int | None = None, max_value: int | None = None, **_: Any
    ) -> int:
        """Draw an end of a range of integers."""
        ends = (min_value, max_value) if self.least else (max_value, min_value)
        return next((end for end in ends if end is not None), 0)

    def draw_float(
        self, *, min_value: float = -math.inf, max_value: float = math.inf, **_: Any
    ) -> float:
        """Draw an end of a range of floats."""
        ends = (min_value, max_value) if self.least else (max_value, min_value)
        return next(filter(math.isfinite, ends), 0.0)

    def draw_string(self, intervals: Any, *, min_size: int = 0, **_: Any) -> str:
        """Draw the shortest text, of the first character."""
        return chr(intervals[0]) * min_size if min_size else ""

    def draw_bytes(self, min_size: int = 0, max_size: int = 0) -> bytes:
        """Draw the fewest bytes."""
        return bytes(min_size)


class _Greatest(_Least):
    """Draws the greatest of each range; containers are long."""

    least = False


ENDS = ("thunder-policy-least", "thunder-policy-greatest")
"""The names of the two backends."""

for _name, _provider in zip(ENDS, (_Least, _Greatest)):
    AVAILABLE_PROVIDERS[_name] = f"{__name__}.{_provider.__name__}"
