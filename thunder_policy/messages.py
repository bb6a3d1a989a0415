"""What an exception says, in one line."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """Return the type of an exception and its message, in one line."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # somebody else's has a message that raises
        text = type(error).__name__
    return " ".join(text.split())
