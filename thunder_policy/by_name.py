"""Groups by name: what a list would hold for each group, found by the name that the group has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .checks import short


class ByName(list[Any]):
    """What each name has: a list in the order of the names, until `of` puts it in that of groups.

    So code that takes a list takes it too.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values.values())
        self.names: list[str] = [*values]

    def checked(self, check: Callable[[Any, str], Any], what: str) -> ByName:
        """Return the same names with what a check makes of the value of each."""
        if not self:
            raise ValueError(f"{what} is empty: give one a name")
        pairs = zip(self.names, self)
        return ByName({name: check(value, f"{what}[{name!r}]") for name, value in pairs})

    def of(self, names: Sequence[Any], who: str) -> list[Any]:
        """Return what the groups of these names have, which may share one.

        Args:
            names: The name of each group.
            who: The policy that asks, for an error.

        Raises:
            ValueError: If a group has no name, or one that there is nothing for.
        """
        values = dict(zip(self.names, self))
        there = ", ".join(map(repr, values))
        for i, name in enumerate(names):
            if name is None:
                raise ValueError(
                    f"{who}: group {i} has no name: write {{'params': ..., 'name': ...}}, with "
                    f"one of {there}"
                )
            if not isinstance(name, str) or name not in values:
                raise ValueError(
                    f"{who}: by_name has nothing for group {i}, {short(name)}, but for {there}"
                )
        return [values[name] for name in names]

    def __eq__(self, other: object) -> bool:
        pairs = [dict(zip(one.names, one)) for one in (self, other) if isinstance(one, ByName)]
        return len(pairs) == 2 and pairs[0] == pairs[1]

    __hash__ = None

    def __reduce__(self) -> Any:
        return ByName, (dict(zip(self.names, self)),)

    def __repr__(self) -> str:
        return repr(dict(zip(self.names, self)))
