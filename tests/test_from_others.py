"""FROM_OTHERS.md: each row that gives a policy for another library's schedule is true."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from schedule_helpers import trajectory
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

from thunder_policy import MappingPolicy, Multiply, Scale, Schedule, schedules
from thunder_policy.schedules import Constant, Cosine, Exponential, ScheduleFunction

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "thunder_policy" / "FROM_OTHERS.md").read_text(encoding="utf-8")
LR, EPOCHS = 0.1, 20
LRS = [LR, 0.03]  # of the groups
ROW = re.compile(
    r"^\| `(\w+\(opt.*?\)|ChainedScheduler.*?)`(?:, `(\w+\(opt.*?\))`)?"
    r" \| `(.+?)`(?:, `(.+?)`)?(?: \[\^\w+\])? \|$",
    re.MULTILINE,
)
ROWS = [pair for a, b, c, d in ROW.findall(PAGE) for pair in [(a, c), (b, d)] if pair[0]]
OTHER_ROW = re.compile(
    r"^\| `(\"?[a-z_]+\"?(?:\(.*?\))?)`.*? \| `([a-zA-Z]+[(.].+?)`", re.MULTILINE
)
RECORDED = json.loads((ROOT / "tests" / "data" / "reference.json").read_text("utf-8"))["cases"]

# What the letters of the tables stand for.
NAMES: dict[str, Any] = {
    **{name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__},
    **{name: getattr(schedules, name) for name in schedules.__all__},
    "SWALR": SWALR,
    "Multiply": Multiply,
    "Scale": Scale,
    "Schedule": Schedule,
    "lr": LR,
    "lrs": LRS,
    "f": Cosine(1.0, 0.1, 15),
    "h": Exponential(1.0, 0.8),
    "g": 0.9,
    "p": 2.0,
    "e": 1e-3,
    "r": 0.2,
    "m": 5,
    "n": EPOCHS,
    "peak": 0.5,
    "T": 50,
    "c": 3,
    "d": 10,
}
FACTORS = {"a": 0.3, "b": 0.8}


def test_every_scheduler_of_torch_has_a_row() -> None:
    rows = " ".join(left for left, _ in ROWS)
    for name in lr_scheduler.__all__:
        if name not in ("LRScheduler", "ReduceLROnPlateau"):  # the second is told the loss
            assert f"{name}(" in rows, name
    assert "SWALR(" in rows
    assert len(ROWS) == 18


def run_of(code: str) -> tuple[torch.optim.SGD, Any]:
    """Return a new optimizer of two groups with what one side of a row makes of it."""
    optimizer = torch.optim.SGD(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in LRS]
    )
    made = eval(code, {**NAMES, **FACTORS, "opt": optimizer})
    return optimizer, made(optimizer) if isinstance(made, MappingPolicy) else made


def step(*runs: tuple[torch.optim.SGD, Any]) -> None:
    for optimizer, scheduler in runs:
        optimizer.step()
        scheduler.step()


def lrs_of(run: tuple[torch.optim.SGD, Any]) -> list[float]:
    return [group["lr"] for group in run[0].param_groups]


@pytest.mark.spec("V4", "V11")
@pytest.mark.parametrize(("left", "right"), ROWS)
def test_the_row_gives_the_lrs_of_torch(left: str, right: str) -> None:
    ours, theirs = run_of(right), run_of(left)
    for epoch in range(EPOCHS):
        expected = pytest.approx(lrs_of(theirs), rel=1e-9, abs=1e-12)
        assert lrs_of(ours) == expected
        assert ours[1].lr_at(epoch) == expected
        step(ours, theirs)


@pytest.mark.spec("T11", "T25")
@pytest.mark.parametrize("saved", [0, 3, 7])
@pytest.mark.parametrize(("left", "right"), ROWS)
def test_a_run_of_torch_goes_on_under_the_policy_of_its_row(
    left: str, right: str, saved: int
) -> None:
    theirs, ours = run_of(left), run_of(right)
    for _ in range(saved):
        step(theirs)
    state = theirs[1].state_dict()
    if left.startswith(("SequentialLR", "ChainedScheduler")):
        with pytest.raises(ValueError, match="the state"):
            ours[1].load_state_dict(state)
        return
    ours[1].load_state_dict(state)
    for _ in range(saved, EPOCHS):
        assert lrs_of(ours) == pytest.approx(lrs_of(theirs), rel=1e-9, abs=1e-12)
        step(theirs, ours)


KEYWORDS = {
    "num_warmup_steps": "n",
    "num_training_steps": "T",
    "num_decay_steps": "d",
    "num_cycles": "c",
    "timescale": "m",
    "power": "p",
    "lr_end": "e",
    "min_lr": "e",
    "min_lr_ratio": "r",
}


def letters_of(left: str, case: dict[str, Any]) -> dict[str, Any]:
    """Give the letters of a row the values of a recorded call; nothing if it is of another row."""
    row, given = ast.parse(left, mode="eval").body, case["arguments"]
    if isinstance(row, ast.Constant) and row.value == case["name"] and {*given} <= {*KEYWORDS}:
        defaults = {"m": given["num_warmup_steps"] or 10_000, "r": 0.0}
        return defaults | {KEYWORDS[name]: value for name, value in given.items()}
    if isinstance(row, ast.Call) and ast.unparse(row.func) == case["name"]:
        written = [*map(ast.unparse, [*row.args, *(keyword.value for keyword in row.keywords)])]
        letters = dict(zip(written, given.values(), strict=False))
        if len(written) == len(given) and letters.pop("True", True) is True:
            return letters
    return {}


# What is recorded of these has no letters; test_schedules_parity compares it.
NO_LETTERS = ("piecewise_interpolate_schedule", "linear_onecycle_schedule", "join_schedules")


@pytest.mark.parametrize(("left", "right"), OTHER_ROW.findall(PAGE))
def test_the_other_rows_give_the_recorded_lrs(left: str, right: str) -> None:
    if left.startswith(NO_LETTERS):
        whole = {"a": Constant(0.1), "b": Exponential(0.1, 0.9)} if "join" in left else FACTORS
        assert isinstance(eval(right, {**NAMES, **whole}), ScheduleFunction)
        return
    found = [(case["lrs"], letters) for case in RECORDED if (letters := letters_of(left, case))]
    assert found
    for theirs, letters in found:
        climbs = "restarts" not in left and "T" in letters  # cosine, past its end
        theirs = theirs[: letters["T"] + 1] if climbs else theirs
        schedule = eval(right, {**NAMES, **letters})
        schedule = LR * schedule if "T" in letters or left.startswith('"') else schedule
        ours = trajectory(schedule, len(theirs))
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_the_other_tables_are_read() -> None:
    assert len(OTHER_ROW.findall(PAGE)) == 20
