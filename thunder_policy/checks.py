"""What people write, turned into ``float``, ``int`` and ``dict`` of these, or refused."""

# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from reprlib import Repr
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def real(value: Any, what: str, *, any_shape: bool = False) -> float:
    """Turn one real number into a finite ``float``.

    Args:
        value: An ``int``, ``float``, ``Fraction``, NumPy scalar, or 0-dim tensor or array.
        what: What the number is, for the error: ``"Switch: lr at epoch 3"``.
        any_shape: Whether a tensor or array of one element may have any shape.

    Raises:
        TypeError: For anything that is not one real number; ``bool`` is not.
        ValueError: For nan, inf and what overflows a ``float``.
    """
    number = value
    # A nested tensor raises where it is asked for its shape, a meta tensor where for its number.
    blank = isinstance(value, Tensor) and (value.is_nested or value.is_meta)
    shape = None if blank else getattr(value, "shape", None)
    single = isinstance(shape, tuple) and (shape == () or (any_shape and math.prod(shape) == 1))
    if single and hasattr(value, "item"):  # a memoryview has a shape alone
        # NumPy scalars have a shape too, and may be a bool or a complex underneath.
        number = value.item()
    if isinstance(number, bool) or not isinstance(number, (Real, Decimal)):
        kind = "a tensor" if isinstance(value, Tensor) else type(value).__name__
        cure = ""
        if isinstance(value, str):
            with suppress(ValueError):
                float(value)
                cure = (
                    ": write it without quotes, and in YAML as 1.0e-3, as 1e-3 is text there; in "
                    "JSON each key is, and thunder_policy.parse reads the whole as text"
                )
        raise TypeError(f"{what} must be one real number, not {short(value)} ({kind}){cure}")
    try:
        result = float(number)
    except (OverflowError, ValueError):  # 10**400, Decimal("sNaN")
        raise ValueError(f"{what} must fit a float, not {short(value)}") from None
    if not math.isfinite(result):
        raise ValueError(f"{what} must be finite, not {short(value)}")
    return result


def non_negative(value: Any, what: str) -> float:
    """Like `real`, and refuse what is below zero."""
    result = real(value, what)
    if result < 0:
        raise ValueError(f"{what} must be at least 0, not {short(value)}")
    return result


def epoch_number(value: Any, what: str, *, least: float = 0) -> int:
    """Turn an integral number into an ``int``; 10.0 and ``True`` are no epochs.

    Raises:
        TypeError: For anything that is not integral.
        ValueError: For less than the least.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{what} must be an integer, not {short(value)} ({type(value).__name__})")
    if value < least:
        raise ValueError(f"{what} must be at least {least}, not {short(value)}")
    return int(value)


def epoch_key(value: Any, what: str) -> int:
    """Like `epoch_number`, for the key of a mapping, and say what to do where it is text."""
    if isinstance(value, str) and value.isdigit():
        raise TypeError(
            f"{what} must be an integer, not {short(value)} (str): JSON has no keys but text; "
            "write the whole policy as text there, for thunder_policy.parse"
        )
    return epoch_number(value, what)


def cure_of_text(value: object) -> str:
    """Say, at the end of an error, what makes a policy of it, where it is text."""
    return ": thunder_policy.parse makes a policy of text" if isinstance(value, str) else ""


def count(value: Any, what: str) -> int:
    """Like `epoch_number`, and refuse 0."""
    return epoch_number(value, what, least=1)


def each(values: Any, what: str, check: Callable[[Any, str], T]) -> Any:
    """Apply a check to a value, or to each of a sequence of them; text is no sequence here.

    Raises:
        TypeError: For an array or a tensor in the place of a sequence.
        ValueError: For an empty sequence.
    """
    nested = isinstance(values, Tensor) and values.is_nested  # it has no shape
    if nested or (hasattr(values, "tolist") and getattr(values, "shape", ()) != ()):
        raise TypeError(f"{what} must be a list, not {short(values)}: write .tolist()")
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes, bytearray)):
        return check(values, what)
    if not values:
        raise ValueError(f"{what} is an empty {type(values).__name__}: give one a param group")
    return [check(value, f"{what}[{i}]") for i, value in enumerate(values)]


def per_group(values: Any, n: int, what: str) -> list[Any]:
    """Return one value for each of n groups: the same one n times, or the list."""
    if not isinstance(values, list):
        return [values] * n
    if len(values) != n:
        raise ValueError(f"Got {len(values)} {what} and {n} param groups")
    return values


def one_of(value: str, choices: tuple[str, ...], what: str) -> str:
    """Let one of a few words through."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{what} must be {' or '.join(map(repr, choices))}, not {short(value)}")
    return value


# Looks at few of many: lists that share lists, ten each, can stand for 10**40 numbers.
_REPR = Repr()
_REPR.maxlevel = 3
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 40
_REPR.maxstring = _REPR.maxlong = sys.maxsize
vars(_REPR).update(repr_OrderedDict=_REPR.repr_dict, repr_instance=lambda value, level: repr(value))


def cut(text: str, length: int) -> str:
    """Return a text, or as much of it as fits."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def short(value: object) -> str:
    """Repr for an error message, cut where it is long."""
    try:
        text = " ".join(_REPR.repr(value).split())
    except Exception:  # an int of over 4,300 digits, a bad __repr__
        return f"<{type(value).__name__} that cannot be printed>"
    return cut(text, 80)


def add_note(error: BaseException, where: str) -> None:
    """Note on somebody else's exception where it was raised, unless it says that already."""
    with suppress(Exception):  # Python 3.10 has no notes; an exception may have its own ideas
        texts = [f"{text}," for text in (*error.args, *getattr(error, "__notes__", []))]
        starts = f"{where},", f"{where}:"  # with what follows: epoch 11 begins as epoch 1 does
        if not any(text.startswith(starts) for text in texts):
            error.add_note(where)  # type: ignore[attr-defined, unused-ignore]
