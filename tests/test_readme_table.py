"""The README's tables: each row that maps a schedule of torch to one of ours is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from test_schedules_parity import torch_lrs
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

from thunder_policy import schedules
from thunder_policy.schedules import Constant, Cosine, Exponential, ScheduleFunction

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LR, EPOCHS = 0.1, 20
ROW = re.compile(r"^\| `(\w+\(opt.*?\)|ChainedScheduler.*?)` \| `(.+?)`", re.MULTILINE)
OTHER_ROW = re.compile(
    r"^\| `(\"?[a-z_]+\"?(?:\(.*?\))?)`.*? \| `([a-zA-Z]+[(.].+?)`", re.MULTILINE
)

# What the letters of the tables stand for.
NAMES: dict[str, Any] = {
    **{name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__},
    **{name: getattr(schedules, name) for name in schedules.__all__},
    "SWALR": SWALR,
    "lr": LR,
    "f": Cosine(1.0, 0.1, 15),
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
    rows = " ".join(left for left, _ in ROW.findall(README))
    for name in lr_scheduler.__all__:
        if name not in ("LRScheduler", "ReduceLROnPlateau"):  # the second is told the loss
            assert f"{name}(" in rows, name
    assert "SWALR(" in rows


@pytest.mark.parametrize(("left", "right"), ROW.findall(README))
def test_the_row_gives_the_lrs_of_torch(left: str, right: str) -> None:
    ours = eval(right, {**NAMES, **FACTORS})
    theirs = torch_lrs(lambda opt: eval(left, {**NAMES, **FACTORS, "opt": opt}), LR, EPOCHS)
    assert [ours(epoch) for epoch in range(EPOCHS)] == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("left", "right"), OTHER_ROW.findall(README))
def test_the_other_rows_are_schedules(left: str, right: str) -> None:
    whole = {"a": Constant(0.1), "b": Exponential(0.1, 0.9)} if "join" in left else FACTORS
    schedule = eval(right, {**NAMES, **whole})
    assert isinstance(schedule, ScheduleFunction)
    assert torch.tensor([schedule(epoch) for epoch in range(100)]).isfinite().all()


def test_the_other_tables_are_read() -> None:
    assert len(OTHER_ROW.findall(README)) == 20
