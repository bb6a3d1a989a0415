"""The programs that confirm verdicts show what is broken, and nothing where all is well."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler
from versions import IS_README_TORCH

from benchmarks.confirm import PROOFS
from benchmarks.laws import (
    LAW_SET,
    OF_THE_INTERFACE,
    PAGE,
    TITLE,
    confirmed,
    results_of,
    row,
    subject_of,
)
from benchmarks.wild import CASES, EPOCHS, METRICS, Case
from thunder_policy import Policy
from thunder_policy.conformance import INHERITED_FROM_TORCH, LAWS, Broken, Result
from thunder_policy.conformance.catalogue import ENTRIES, PRELUDE, laws_of

ROOT = Path(__file__).parents[2]
# What is about binding late, or about a factory, an oracle or a process.
OF_POLICIES = {"construct", "bind_atomic", "rebind", "rebind_frees", "lr_at_loaded"}
OF_MORE = {"keeps_arguments", "values", "settings", "same_everywhere", "clock", "long_run"}
OF_MORE |= {"resume_elsewhere", "resume_distributed", "save_often", "any_optimizer", "printable"}


@dataclass(frozen=True)
class Given(Case):
    """A scheduler of the test."""

    of: Any = None

    def build(self) -> Callable[[Any], Any]:
        if issubclass(self.of, Policy):
            return lambda optimizer: self.of()(optimizer)
        return lambda optimizer: self.of(optimizer)


class Decay(Policy):
    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


class OnTorchsBase(LRScheduler):
    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


def test_there_is_a_program_for_each_law_that_a_scheduler_of_torch_can_break() -> None:
    assert PROOFS.keys() <= LAWS.keys()
    assert {*laws_of(LAW_SET, LAWS)} - PROOFS.keys() == OF_POLICIES | OF_MORE


@pytest.mark.parametrize("law", PROOFS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_program_shows_the_example_of_its_law_and_nothing_of_a_sound_one(law: str) -> None:
    namespace: dict[str, Any] = {"__name__": "catalogue_example"}
    exec(PRELUDE + "\n\n" + ENTRIES[law].broken, namespace)
    (*_, broken) = (value for value in namespace.values() if isinstance(value, type))
    if law != "closed_form":  # that of a scheduler of torch has another name
        assert PROOFS[law](Given("torch", "broken", "", "", of=broken))
    assert not PROOFS[law](Given("torch", "sound", "", "", of=Decay))
    if law in INHERITED_FROM_TORCH:
        assert PROOFS[law](Given("torch", "inherited", "", "", of=OnTorchsBase))


def test_the_cases_are_long_enough_and_of_distinct_names() -> None:
    assert len({(case.package, case.name) for case in CASES}) == len(CASES)
    assert len(METRICS) >= EPOCHS
    for case in CASES:
        compile(case.program(), case.name, "exec")


@pytest.mark.slow
def test_a_verdict_that_no_program_shows_is_left_out() -> None:
    (case,) = [case for case in CASES if case.name == "StepLR"]
    results = [
        Result("resume", "failed", "it is not broken"),
        Result("resume_alone", "failed", inherited=True),
        Result("deepcopy", "failed"),
        Result("quiet", "passed"),
    ]
    shown = confirmed({case: results})
    assert shown == {("torch", "StepLR", law) for law in ("resume_alone", "deepcopy")}
    assert row(case, results, shown) == "| torch: StepLR | 1 | 1 | **deepcopy** |"
    assert subject_of(case).epochs == EPOCHS


@pytest.mark.slow
def test_the_programs_need_nothing_of_the_package() -> None:
    code = "import sys; import benchmarks.confirm; sys.exit('thunder_policy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


OF_TORCH = {case.name: case for case in CASES if case.package == "torch"}


def test_each_scheduler_of_torch_is_among_them() -> None:
    # The first is what they are made of.
    assert {*OF_TORCH} == {*lr_scheduler.__all__} - {"LRScheduler"}


@pytest.mark.parametrize("name", OF_TORCH)
@pytest.mark.filterwarnings("ignore::UserWarning")  # what torch warns of is in the table
def test_the_row_of_torch_is_what_the_suite_says_and_each_program_shows_it(name: str) -> None:
    results = results_of(OF_TORCH[name])
    broken = [result for result in results if result.status == "failed"]
    shown = {("torch", name, result.law) for result in broken}
    if IS_README_TORCH:
        assert row(OF_TORCH[name], results, shown) in PAGE.read_text(encoding="utf-8").splitlines()
    for result in broken:
        with pytest.raises(Broken):
            exec(result.reproduction or "", {"make": subject_of(OF_TORCH[name]).factory})


def test_the_table_has_each_case_and_the_laws_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8").partition(TITLE)[2]
    rows = re.findall(r"^\| ([\w-]+): (\w+) \| (\d+) \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    named = [(package, name) for package, name, *_ in rows]
    assert named == [(case.package.replace("_", "-"), case.name) for case in CASES]
    for (*_, own), case in zip(rows, CASES, strict=True):
        laws = own.replace("*", "").split(", ") if own else []
        assert {*laws} <= LAWS.keys()
        assert not case.adapted or not {*laws} & {*OF_THE_INTERFACE}
    assert f"torch {torch.__version__.partition('+')[0]}" in text
