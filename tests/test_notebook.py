"""What a notebook shows of a policy: what is drawn is read back, and compared with the lrs."""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thunder_policy import Multiply, Policy, Schedule, Switch, notebook, simulate
from thunder_policy.schedules import Cosine

SVG = "{http://www.w3.org/2000/svg}"


def shown(policy: Policy) -> ElementTree.Element:
    """Return what a notebook shows, which is XML as well as HTML."""
    return ElementTree.fromstring(policy._repr_html_())


def lines(html: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Return the corners of each line: the distance from the left, and the height."""
    drawn = []
    for path in html.iter(f"{SVG}path"):
        x = y = 0.0
        corners = []
        for command, number, other in re.findall(
            r"([MLHV])([-\d.]+)(?:,([-\d.]+))?", path.attrib["d"]
        ):
            x = x if command == "V" else float(number)
            y = float(other or number) if command != "H" else y
            corners.append((x - notebook.MARGIN, notebook.HEIGHT - notebook.MARGIN - y))
        drawn.append(corners)
    return drawn


WIDTH = notebook.WIDTH - 2 * notebook.MARGIN
HEIGHT = notebook.HEIGHT - 2 * notebook.MARGIN


@pytest.mark.spec("K4")
@given(st.dictionaries(st.integers(0, 45).map(lambda k: 2 * k), st.floats(0.25, 1.0), min_size=2))
def test_a_mapping_is_drawn_in_steps_at_its_epochs(mapping: dict[int, float]) -> None:
    policy = Switch(mapping, lr_init=0.25)
    html = shown(policy)
    assert html.findtext("code") == repr(policy)
    (corners,) = lines(html)
    epochs = max(mapping) * 6 // 5 + 1
    lrs = simulate(policy, epochs)[:, 0]
    low, high = float(lrs.min()), float(lrs.max())
    for t, lr in enumerate(lrs.tolist()):
        # The last corner that is not right of an epoch has its height.
        at = t / (epochs - 1) * WIDTH
        height = [y for x, y in corners if x <= at + 0.01][-1]
        assert height == pytest.approx((lr - low) / ((high - low) or 1) * HEIGHT, abs=0.02)
    # Never aslant.
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in zip(corners[1:], corners))
    caption = html.findtext("small")
    assert caption == f"lr of the first {epochs} epochs, from {low:g} to {high:g}"


def test_a_curve_is_drawn_through_the_lrs_of_each_group() -> None:
    cosine = Cosine(0.4, 0.0, epochs=99)
    first, second = lines(shown(Schedule([cosine, 0.5 * cosine, cosine], option="momentum")))
    assert [first[0], first[-1], second[-1]] == [(0, HEIGHT), (WIDTH, 0), (WIDTH, 0)]
    for share, corners in ((1.0, first), (0.5, second)):
        assert len(corners) == 100
        for t, (x, y) in enumerate(corners):
            assert x == pytest.approx(t / 99 * WIDTH, abs=0.01)
            assert y == pytest.approx(share * cosine(t) / 0.4 * HEIGHT, abs=0.01)


def test_small_lrs_are_drawn_on_a_logarithmic_axis() -> None:
    html = shown(Schedule(lambda epoch: 10.0**-epoch / 10))
    (corners,) = lines(html)
    assert [round(y / HEIGHT * 99, 1) for _, y in corners] == [*range(99, -1, -1)]
    assert str(html.findtext("small")).endswith("to 0.1 (logarithmic)")


def test_very_many_epochs_are_few_points() -> None:
    for policy in (Switch({0: 0.1, 10**12: 1}), Multiply(dict.fromkeys(range(9_000), 0.999))):
        html = shown(policy)
        assert "10,000 epochs" in str(html.findtext("small"))
        assert len(policy._repr_html_()) < 500_000
        assert all(len(corners) <= 5 * notebook.MAX_POINTS for corners in lines(html))


class Stranger(Policy):
    """A policy of somebody else's."""

    def __init__(self, note: str, lr: Callable[[], float]) -> None:
        self.note, self.lr = note, lr

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [self.lr() for _ in self.base_lrs]

    def __repr__(self) -> str:
        return self.note


def test_whatever_a_policy_says_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # it needs none
    html = shown(Stranger("<script>&", lambda: 0.5))
    assert html.findtext("code") == "<script>&"
    assert (html.findtext("small") or "").endswith(", relative to a start of 1")
    ((first, *_),) = lines(html)
    assert first == (0, 0)


@pytest.mark.parametrize("error", [RuntimeError("not training"), SystemExit(3), None], ids=repr)
def test_where_lrs_cannot_be_computed_there_is_no_drawing(error: BaseException | None) -> None:
    def training() -> float:
        if error:
            raise error
        return math.nan

    html = shown(Stranger("mine", training))
    assert [element.tag for element in html] == ["code"]


@pytest.mark.parametrize("largest", [1.7e308, 5e-324])
def test_numbers_of_any_size_are_drawn(largest: float) -> None:
    html = shown(Schedule(lambda epoch: largest * (1, -1)[epoch % 2]))
    (corners,) = lines(html)
    assert {y for _, y in corners} == {0, HEIGHT}
    assert str(html.findtext("small")).endswith(f"from {-largest:g} to {largest:g}")


@pytest.mark.parametrize("numpy", [np, None], ids=["NumPy", "no NumPy"])
def test_to_look_at_a_policy_changes_no_random_numbers(
    numpy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    noise = Stranger("noise", lambda: random.random() + float(torch.rand(())) + np.random.rand())

    def states() -> Any:
        drawn = repr(np.random.get_state()) if numpy else None
        return random.getstate(), torch.get_rng_state().tolist(), drawn

    before = states()
    assert len(lines(shown(noise))) == 1
    assert states() == before


@pytest.mark.parametrize(
    "make", [lambda: Switch({0: 0.1, 3: 0.2}), lambda: Stranger("", lambda: 1)]
)
def test_a_bound_policy_is_left_alone(make: Any) -> None:
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in (0.1, 0.2)]
    optimizer = torch.optim.SGD(groups)
    policy = make()(optimizer)
    before = {**vars(policy)}, [{**group} for group in optimizer.param_groups]
    assert len(lines(shown(policy))) == 1
    assert ({**vars(policy)}, optimizer.param_groups) == before
