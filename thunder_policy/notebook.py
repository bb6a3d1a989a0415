"""A policy as the last line of a cell in a notebook: its repr, and a small drawing of its lrs."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from html import escape
from typing import Any

import torch
from torch import Tensor

from .drawing import distinct, is_stepwise, milestones, wants_log
from .policy import Policy
from .simulate import relative, trajectory

EPOCHS, MAX_EPOCHS = 100, 10_000
MAX_POINTS = 300  # of a line: a notebook keeps what a cell has shown
WIDTH, HEIGHT, MARGIN = 300, 80, 4


def as_html(policy: Policy) -> str:
    """Return the repr of a policy and, where its lrs can be computed, a drawing of them.

    It shows the first 100 epochs; of a mapping all that are written, and a few after.

    Args:
        policy: Any policy, bound or not.

    Returns:
        HTML with an inline SVG, which has a line for the groups with the same lrs.

    Example:
        >>> from thunder_policy import Switch
        >>> as_html(Switch({0: 0.5, 2: 0.25}))[:67]
        '<div><code>Switch(mapping={0: 0.5, 2: 0.25}, lr_init=0.001)</code><'
    """
    html = f"<code>{escape(repr(policy))}</code>"
    # Somebody's get_lr may want what only training has.
    with suppress(Exception, SystemExit), _random_states_kept():
        html += _drawing(policy)
    return f"<div>{html}</div>"


@contextmanager
def _random_states_kept() -> Generator[None, None, None]:
    """Put the global generators of random numbers back: to look at a policy changes no run."""
    numpy = sys.modules.get("numpy")
    python_state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        random.setstate(python_state)
        if numpy:
            numpy.random.set_state(numpy_state)


def _drawing(policy: Policy) -> str:
    lrs = trajectory(policy, _epochs(policy))
    what = f"{policy.option} of the first {len(lrs):,} epochs, "
    what += f"from {float(lrs.min()):g} to {float(lrs.max()):g}"
    what += ", relative to a start of 1" if relative({"": policy}) else ""
    if wants_log(lrs):
        lrs, what = lrs.log10(), f"{what} (logarithmic)"
    lrs = lrs / (float(lrs.abs().max()) or 1.0)  # the largest floats are further apart than inf
    low, height = float(lrs.min()), float(lrs.max() - lrs.min())
    # From the bottom up, and a constant at the bottom.
    lrs = HEIGHT - MARGIN - (lrs - low) / (height or 1.0) * (HEIGHT - 2 * MARGIN)
    columns = distinct(lrs).values()
    lines = "".join(
        f'<path stroke="hsl({210 + 360 * i // len(columns)} 60% 50%)" d="{_path(line)}"/>'
        for i, line in enumerate(columns)
    )
    return (
        f'<br/><svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img"'
        f' fill="none" stroke-width="1.5">{lines}</svg><br/><small>{escape(what)}</small>'
    )


def _epochs(policy: Policy) -> int:
    """Return how many epochs to draw."""
    mapping: Any = getattr(policy, "mapping", None)
    several = mapping if isinstance(mapping, list) else [mapping]
    written = [max(epochs) for epochs in several if isinstance(epochs, Mapping) and epochs]
    last = max(written, default=0)
    return min(last + last // 5 + 1, MAX_EPOCHS) if last else EPOCHS


def _path(line: Tensor) -> str:
    """Return the path of a line, in steps where the lrs move in steps alone."""
    n = len(line)
    stride = -(-n // MAX_POINTS)
    shown = sorted({*range(0, n, stride), *milestones(line[:, None])[:MAX_POINTS], n - 1})
    points = [(MARGIN + t / max(n - 1, 1) * (WIDTH - 2 * MARGIN), float(line[t])) for t in shown]
    template = "H{:.2f}V{:.2f}" if is_stepwise(line[:, None]) else "L{:.2f},{:.2f}"
    first, *others = points
    return "M{:.2f},{:.2f}".format(*first) + "".join(template.format(*point) for point in others)
