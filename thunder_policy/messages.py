"""Texts of errors, in one line and not too long."""

from __future__ import annotations


def cut(text: str, length: int) -> str:
    """Return a text, or as much of it as fits."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def said(error: BaseException) -> str:
    """Return the type of an exception and its message, in one line."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # somebody else's has a message that raises
        text = type(error).__name__
    return " ".join(text.split())
