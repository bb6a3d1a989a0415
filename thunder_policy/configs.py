"""Policies and schedules in configurations and in checkpoints: read back, and nothing run."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .by_name import ByName
from .checks import short
from .epochs import InSteps
from .mapping import Multiply, Scale, Schedule, Switch
from .plateau import Plateau

# What imports every schedule is imported where it is used, as that takes long.


def parse(text: str) -> Any:
    """Make the policy or the schedule that a text describes, such as its ``repr``.

    The text is parsed, and never run; nothing is imported. It is made of the policies and the
    schedules of this package, numbers, strings, lists and dicts, ``+ - * / // % **`` between
    numbers, ``*`` between schedules, and the methods ``then`` and ``in_steps``.

    Args:
        text: An expression of up to 100,000 characters.

    Returns:
        What is written there, a `Policy` or a ``ScheduleFunction``.

    Raises:
        ExpressionError: If it is neither: a ``ValueError`` that says where.
        TypeError: If it is no text.

    Example:
        >>> parse("Switch({0: 1e-3, 30: 1e-3 / 10})")
        Switch(mapping={0: 0.001, 30: 0.0001}, lr_init=0.001)
        >>> parse("Cosine(0.1, 0, epochs=90)")
        Cosine(start=0.1, end=0.0, epochs=90)
    """
    from .expression import read

    return read(text)


def safe_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return the classes of which an unbound policy is made, when it is saved.

    ``torch.load(..., weights_only=True)`` reads it, once these are allowed; a callable of your own
    needs to be allowed beside them.

    Returns:
        The policies of this package, and its schedules.

    Example:
        >>> import io, torch
        >>> file = io.BytesIO()
        >>> torch.save(Switch({0: 0.1}), file)
        >>> _ = file.seek(0)
        >>> with torch.serialization.safe_globals(safe_globals()):
        ...     torch.load(file, weights_only=True)
        Switch(mapping={0: 0.1}, lr_init=0.001)
    """
    from . import schedules

    every = [getattr(schedules, name) for name in schedules.__all__]
    classes = [one for one in every if isinstance(one, type)]
    return [Switch, Multiply, Schedule, Scale, Plateau, ByName, InSteps, *classes]


def pydantic_schema(cls: type) -> Any:
    """Tell pydantic how to read and write a policy or a schedule: as text, as `parse` reads it.

    Args:
        cls: What a field holds one of.

    Returns:
        A schema that takes one, or its text, and dumps its text.
    """
    from pydantic_core import core_schema

    def read(value: object) -> object:
        one = parse(value) if isinstance(value, str) else value
        if not isinstance(one, cls):
            kind = type(one).__name__
            raise ValueError(f"must be a {cls.__name__} or its text, not {short(one)} ({kind})")
        return one

    return core_schema.no_info_plain_validator_function(
        read,
        json_schema_input_schema=core_schema.str_schema(),
        serialization=core_schema.plain_serializer_function_ser_schema(
            as_text, return_schema=core_schema.str_schema()
        ),
    )


def as_text(value: object) -> str:
    """Return the text of a policy or a schedule, which `parse` makes the same of.

    Raises:
        ValueError: If there is none: it is bound, or has code of somebody's own.
    """
    text = repr(value)
    try:
        same = parse(text) == value
    except ValueError as error:
        raise ValueError(f"{short(value)} has no text that parse reads: {error}") from None
    if not same:
        raise ValueError(f"{short(value)} has no text that parse reads as the same: is it bound?")
    return text
