"""Pictures: what is drawn is what `simulate` gives, and a person can read it."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from schedule_helpers import anything, grows
from torch.optim import SGD, lr_scheduler

from benchmarks import gallery
from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, schedules, simulate
from thunder_policy.drawing import group_names, milestones
from thunder_policy.expression import load
from thunder_policy.schedules import (
    WSD,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    MultiStep,
    OneCycle,
    ScheduleFunction,
    Step,
    Triangular,
    warmup,
)
from thunder_policy.simulate import plot

mpl.use("Agg")

TWO_GROUPS = Switch([{0: 1e-3, 30: 5e-4}, {0: 2e-3, 60: 1e-3}])


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def heights(ax: Axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata()).tolist() for line in ax.lines]


# What is drawn


@pytest.mark.parametrize(
    "policy",
    [
        Switch({0: 1e-3, 30: 1e-4}),
        Multiply({1: 0.5, 7: 0.1}),
        Schedule(Cosine(0.1, 0, 50)),
        Scale(Cosine(1, 0, 50), lr_init=0.1),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_a_line_has_the_lr_of_every_epoch(policy: Policy, ax: Axes) -> None:
    assert plot(policy, 90, ax=ax) is ax
    assert heights(ax) == [simulate(policy, 90)[:, 0].tolist()]
    assert np.asarray(ax.lines[0].get_xdata()).tolist() == [*range(90)]
    assert labels(ax) == [type(policy).__name__]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "lr")


def test_every_group_has_a_line_and_the_legend_says_which(ax: Axes) -> None:
    plot(TWO_GROUPS, 90, ax=ax)
    assert heights(ax) == simulate(TWO_GROUPS, 90).T.tolist()
    assert labels(ax) == ["Switch, group 0", "Switch, group 1"]


def test_groups_with_the_same_lrs_share_a_line(ax: Axes) -> None:
    plot(Switch([{0: 0.1}, {0: 0.2}, {0: 0.1}, *[{0: 0.3}] * 4]), 5, ax=ax)
    assert labels(ax) == ["Switch, groups 0, 2", "Switch, group 1", "Switch, 4 groups from 3"]
    assert group_names((4, 5, 6)) == "groups 4, 5, 6"


def test_the_first_group_stands_for_all_where_that_is_wanted(ax: Axes) -> None:
    plot(TWO_GROUPS, 90, ax=ax, per_group=False)
    assert heights(ax) == [simulate(TWO_GROUPS, 90)[:, 0].tolist()]
    assert labels(ax) == ["Switch"]


def test_several_policies_are_compared_by_name_or_one_after_the_other(ax: Axes) -> None:
    cosine, steps = Schedule(Cosine(0.1, 0, 90)), Switch({0: 0.1, 45: 0.01})
    plot({"cosine": cosine, "steps": steps, "two": TWO_GROUPS}, 90, ax=ax)
    assert labels(ax) == ["cosine", "steps", "two, group 0", "two, group 1"]

    again = Figure().subplots()
    for policy in (cosine, steps):
        plot(policy, 90, ax=again)
    assert labels(again) == ["Schedule", "Switch"]
    assert heights(again) == heights(ax)[:2]


def test_several_without_names_have_those_of_their_classes_or_else_their_reprs(ax: Axes) -> None:
    torch_s = lr_scheduler.StepLR(SGD([torch.zeros(1)], lr=0.1), 30)
    cosine, two = Cosine(0.1, 0, 90), [Constant(0.2), None, Constant(0.2)]
    given_names: list[tuple[Any, list[str]]] = [
        ((cosine, Switch({0: 0.1}), torch_s), ["Cosine", "Switch", "StepLR"]),
        (
            (cosine, [Cosine(0.1, 0, 9), cosine]),
            ["Cosine", "Schedule, group 0", "Schedule, group 1"],
        ),
        ((Constant(0.1), Constant(0.2)), ["Constant(value=0.1)", "Constant(value=0.2)"]),
        ((cosine, cosine), [f"{i}: {cosine!r}" for i in range(2)]),
        (([Switch({0: 0.1}), Switch({0: 0.2})],), ["Switch(mapping={0: 0.1}, lr_init=0.001)"] * 1),
    ]
    for given_ones, names in given_names:
        axes = Figure().subplots()
        assert plot(*given_ones, epochs=9, ax=axes) is axes
        assert labels(axes)[: len(names)] == names
    assert labels(plot(two, 9, ax=ax)) == ["Schedule, groups 0, 2", "Schedule, group 1"]
    assert ax.get_ylabel() == "lr (Schedule: relative to a start of 1, as none is known)"
    assert plot(torch_s, 9).get_ylabel() == "lr"


def test_what_starts_nobody_knows_where_is_drawn_relative_to_1_and_the_axis_says_so(
    ax: Axes,
) -> None:
    plot({"mine": Scale(Cosine(1, 0, 9)), "other": Switch({0: 0.1})}, 9, ax=ax)
    assert heights(ax)[0][0] == 1.0
    assert ax.get_ylabel() == "lr (mine: relative to a start of 1, as none is known)"


def test_what_is_drawn_later_is_in_view_too(ax: Axes) -> None:
    for lr in (0.1, 1.0, 0.5):
        plot(Switch({0: lr}), 9, ax=ax)
    assert ax.get_ylim() == pytest.approx((0, 1.05))


def test_a_name_may_begin_with_an_underscore(ax: Axes) -> None:
    plot({"_mine": Switch({0: 0.1})}, 9, ax=ax)
    assert labels(ax) == ["mine"]


def test_without_axes_there_is_a_new_figure() -> None:
    first, second = plot(Switch({0: 0.1}), 5), plot(Switch({0: 0.1}), 5)
    assert first.figure is not second.figure
    pyplot.close("all")


def test_a_bound_policy_is_drawn_with_the_groups_that_it_has(ax: Axes) -> None:
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for lr in (0.1, 0.2)])
    plot(Multiply({2: 0.5}, lr_init=None)(optimizer), 4, ax=ax)
    assert heights(ax) == [[0.1, 0.1, 0.05, 0.05], [0.2, 0.2, 0.1, 0.1]]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]


@pytest.mark.spec("O5")
def test_another_option_is_what_the_axis_is_called(ax: Axes) -> None:
    decay = Switch({0: 0.1, 2: 0.5}, option="weight_decay")
    plot(decay, 4, ax=ax)
    assert heights(ax) == [[0.1, 0.1, 0.5, 0.5]]
    assert ax.get_ylabel() == "weight_decay"
    both = plot({"lr": Switch({0: 0.1}), "decay": decay, "more": decay}, 4)
    assert both.get_ylabel() == "lr, weight_decay"
    pyplot.close("all")


@pytest.mark.spec("V9", "V11", "O5")
def test_a_bound_policy_is_drawn_with_the_option_that_its_groups_hold(ax: Axes) -> None:
    groups = [{"params": [torch.zeros(1)], "weight_decay": value} for value in (0.4, 0.2)]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    plot(Scale([lambda t: 0.5**t, None], option="weight_decay")(optimizer), 3, ax=ax)
    assert heights(ax) == [[0.4, 0.2, 0.1], [0.2, 0.2, 0.2]]
    assert labels(ax) == ["Scale, group 0", "Scale, group 1"]
    assert ax.get_ylabel() == "weight_decay"


# How it is drawn


def test_milestones_are_marked_unless_they_are_too_many_to_see(ax: Axes) -> None:
    plot(Switch({0: 1e-3, 30: 1e-4, 60: 2e-4}), 90, ax=ax)
    plot(Schedule(Triangular(0.1, 0.2, 3, 4)), 500, ax=ax)
    assert [line.get_markevery() for line in ax.lines] == [[30, 60], []]


def test_a_single_epoch_is_a_mark(ax: Axes) -> None:
    plot(Switch({0: 0.1}), 1, ax=ax)
    assert ax.lines[0].get_markevery() == [0]


@pytest.mark.parametrize(
    ("policy", "style"),
    [
        (Switch({0: 0.1, 5: 0.01}), "steps-post"),
        (Schedule(MultiStep(0.1, [3, 5])), "steps-post"),
        (Schedule(Constant(0.1)), "steps-post"),
        (Schedule(Cosine(0.1, 0, 5)), "default"),
        (Schedule(warmup(3, Step(0.1, 2))), "default"),
    ],
)
def test_steps_are_drawn_as_steps(policy: Policy, style: str, ax: Axes) -> None:
    plot(policy, 9, ax=ax)
    assert ax.lines[0].get_drawstyle() == style


@pytest.mark.parametrize(
    ("policy", "scale"),
    [
        (Multiply({30: 0.1, 60: 0.1}), "log"),
        (Schedule(Exponential(0.1, 0.9)), "log"),
        (Switch({0: 1e-3, 30: 1e-4}), "linear"),
        (Schedule(Cosine(0.1, 1e-6, 90)), "linear"),
        (Schedule(Cosine(0.1, 0, 30)), "linear"),  # a logarithmic axis has no 0
        (Schedule(OneCycle(0.1, 80, anneal="linear", three_phase=True)), "linear"),
        (Schedule(np.cos), "linear"),
    ],
    ids=str,
)
def test_the_axis_is_logarithmic_where_that_helps(policy: Policy, scale: str, ax: Axes) -> None:
    plot(policy, 90, ax=ax)
    assert ax.get_yscale() == scale
    if scale == "linear" and float(simulate(policy, 90).min()) > 0:
        assert ax.get_ylim()[0] == 0


def test_a_line_across_the_axes_has_no_say_in_their_scale(ax: Axes) -> None:
    ax.axvline(5)
    plot(Switch({0: 1.0, 5: 1e-2, 10: 1e-4, 15: 1e-6}), 40, ax=ax)
    assert ax.get_yscale() == "log"


def test_many_groups_share_two_entries_of_the_legend(ax: Axes) -> None:
    plot(Switch([{0: 0.1 * (i + 1)} for i in range(30)]), 5, ax=ax)
    assert len(ax.lines) == 30
    assert labels(ax) == ["Switch, group 0", "Switch, group 29"]
    assert len({str(line.get_color()) for line in ax.lines}) == 30


@pytest.mark.parametrize("epochs", [1, 2, 20, 90])
def test_epochs_on_the_axis_are_whole(epochs: int, ax: Axes) -> None:
    plot(Switch({0: 0.1}), epochs, ax=ax)
    assert all(tick == int(tick) for tick in ax.get_xticks())


# What is refused


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = "plot needs Matplotlib: pip install matplotlib"
    with pytest.raises(ImportError, match=f"^{re.escape(text)}$"):
        plot(Switch({0: 0.1}), 5)


@pytest.mark.parametrize(
    ("policy", "epochs", "error", "message"),
    [
        (Switch({0: 0.1}), 0, ValueError, "plot: epochs must be at least 1, not 0"),
        (Switch({0: 0.1}), -1, ValueError, "plot: epochs must be at least 1, not -1"),
        (Switch({0: 0.1}), 9.0, TypeError, "plot: epochs must be an integer, not 9.0"),
        (np.cos, 9, TypeError, "plot takes a policy, a schedule, a scheduler of torch, or a list"),
        ({}, 9, TypeError, "plot takes a policy, a schedule, a scheduler of torch, or a list"),
        (True, 9, TypeError, "plot takes a policy, a schedule, a scheduler of torch, or a list"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    policy: Any, epochs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        plot(policy, epochs)


def test_a_call_that_lacks_something_or_has_several_beside_another_is_refused() -> None:
    one: Any = Switch({0: 0.1})
    calls: list[tuple[Any, dict[str, Any], str]] = [
        ((), {"epochs": 9}, "plot: give it a policy, and how many epochs$"),
        ((one,), {}, r"plot: epochs must be an integer, not None \(NoneType\)$"),
        ((one, [one, one]), {"epochs": 9}, "plot takes a policy, a schedule, a scheduler of torch"),
        (({"a": one}, one), {"epochs": 9}, "plot takes a policy, a schedule, a scheduler of torch"),
    ]
    for args, kwargs, message in calls:
        with pytest.raises(TypeError, match=f"^{message}"):
            plot(*args, **kwargs)


# Milestones


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(0.1), [0]),
        (Step(0.1, 30), [0, 30, 60, 90]),
        (MultiStep(0.1, [1, 2, 99]), [0, 2]),  # two steps in a row are one stretch
        (Cosine(0.1, 0, 90), [0, 90]),
        (WSD(0.1, 10, 50, 30), [0, 10, 60, 90]),
        (warmup(10, Cosine(0.1, 0, 90)), [0, 10]),
        (CosineRestarts(0.1, 0, 14, 2), [0, 14, 42, 98]),
        (Triangular(0.1, 0.2, 40, 30), [0, 40, 70]),
        (Cosine(0.1, 0, 90) * Step(1, 30, 0.5), [0, 30, 60, 90]),
        (Exponential(0.1, 0.9), [0]),
        (Cosine(0.3, 0.3, 7), [0]),  # nothing but rounding
    ],
    ids=str,
)
def test_milestones_are_where_the_lr_jumps_turns_begins_or_ends_to_move(
    schedule: ScheduleFunction, expected: list[int]
) -> None:
    assert milestones(simulate(Schedule(schedule), 100)) == expected


def test_milestones_are_those_of_all_groups() -> None:
    assert milestones(simulate(TWO_GROUPS, 90)) == [0, 30, 60]
    assert milestones(simulate(TWO_GROUPS, 1)) == [0]


LRS = [n / 1000 for n in range(1, 1001)]


@given(
    st.dictionaries(st.integers(1, 60).map(lambda t: 2 * t), st.sampled_from(LRS), max_size=9),
    st.integers(2, 140),
)
def test_the_milestones_of_a_switch_are_its_changes(mapping: dict[int, float], epochs: int) -> None:
    lrs = [0.5, *(lr for _, lr in sorted(mapping.items()))]
    changes = {t for t, (a, b) in zip(sorted(mapping), pairwise(lrs), strict=True) if a != b}
    expected = {0} | {t for t in changes if t < epochs - 1}
    assert milestones(simulate(Switch({0: 0.5, **mapping}), epochs)) == sorted(expected)


@given(schedule=anything.filter(lambda schedule: not grows(schedule)))
def test_between_two_milestones_the_lr_goes_one_way(schedule: ScheduleFunction) -> None:
    lrs = simulate(Schedule(schedule), 200)
    for begin, end in pairwise([*milestones(lrs), 199]):  # the last epoch is none
        part = lrs[begin:end, 0].tolist()
        moves = {(b > a) - (b < a) for a, b in pairwise(part) if abs(b - a) > 1e-12 * max(a, b)}
        assert len(moves) <= 1, (begin, end)


# The gallery


def test_the_gallery_draws_what_its_titles_say_and_has_every_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for panels in gallery.GALLERY.values():
        for expression in panels:
            assert simulate(load(expression), gallery.EPOCHS).max() > 0
    expressions = " ".join(gallery.GALLERY["schedules"])
    results_of_methods = {"ScheduleFunction", "Then", "Product", "InSteps", "warmup"}
    assert all(name in expressions for name in set(schedules.__all__) - results_of_methods)
    # To draw them all takes long.
    monkeypatch.setattr(gallery, "GALLERY", {"policies": gallery.GALLERY["policies"]})
    assert gallery.main(tmp_path) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["policies.png"]


def test_the_pictures_of_the_pages_are_there_and_small() -> None:
    for name in gallery.GALLERY:
        assert 5_000 < (gallery.PICTURES / f"{name}.png").stat().st_size < 250_000


def test_each_row_of_which_to_take_can_be_looked_at_and_has_a_source() -> None:
    page = Path(schedules.__file__).with_name("SCHEDULES.md").read_text(encoding="utf-8")
    table = page.split("## Which to take")[1].split("##")[0]
    rows = re.findall(r"^\| [^|-][^|]+ \| [^|]*`(.+?)` \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 2 == 10
    for expression, source in rows:
        assert simulate(load(expression), 100).max() > 0
        assert "https://arxiv.org/abs/" in source or source == "its own"


def test_a_new_figure_makes_room_for_its_labels() -> None:
    figure = plot(Switch({0: 0.5}), 3).figure
    assert type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
