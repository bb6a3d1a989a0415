"""The table of torch's schedulers in benchmarks/README.md is what the command says of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch.optim import lr_scheduler
from versions import IS_README_TORCH, README_TORCH

from benchmarks.torch_laws import SCHEDULERS, results_of, row
from thunder_policy.conformance import Broken

ROOT = Path(__file__).parents[2]
README = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")


def test_each_scheduler_of_torch_is_in_the_table() -> None:
    # The first is what they are made of; the last is told the loss.
    assert {*SCHEDULERS} == {*lr_scheduler.__all__} - {"LRScheduler", "ReduceLROnPlateau"}
    assert re.findall(r"^\| (\w+) \| \d+ \| \d+ \|", README, re.MULTILINE) == [*SCHEDULERS]


def test_the_page_says_of_which_torch_it_speaks() -> None:
    assert f"Of torch {README_TORCH}, by" in README


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # what torch warns of is in the table
def test_the_row_is_what_the_command_says_and_each_reproduction_shows_it(name: str) -> None:
    results = results_of(name)
    if IS_README_TORCH:
        assert row(name, results) in README.splitlines()
    for result in results:
        if result.reproduction:
            with pytest.raises(Broken):
                exec(result.reproduction, {})
