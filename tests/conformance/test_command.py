"""The command in CI: many targets, expected failures with reasons, and reports that others read."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import thunder_policy
from thunder_policy.cli import main
from thunder_policy.conformance import LAWS, Result
from thunder_policy.conformance.catalogue import LAW_SETS, laws_of
from thunder_policy.conformance.report import in_order, to_junit, to_markdown, verdict

SCHEDULERS = """
import torch
from torch.optim import Adagrad
from torch.optim.lr_scheduler import LRScheduler, StepLR
from thunder_policy import Policy, Switch
from thunder_policy.conformance import Subject

class Good(Policy):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]

class _Base(Good):
    pass

class Nags(Good):
    def step(self, epoch=None):
        import warnings
        warnings.warn("buy more", stacklevel=2)
        super().step(epoch)

class OnTorchsBase(LRScheduler):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]

class Asks(OnTorchsBase):
    def __init__(self, optimizer):
        if not isinstance(optimizer, Adagrad):
            raise TypeError("optimizer must be Adagrad")
        super().__init__(optimizer)

def build(optimizer):
    return StepLR(optimizer, 3)
"""

PART = """
from ci_schedulers import Good, OnTorchsBase, Nags
from thunder_policy import Switch
from thunder_policy.conformance import Subject

policy = Switch({0: 0.5})
two = Subject(Good, groups=2, epochs=2)
number = 3
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "ci_schedulers.py").write_text(SCHEDULERS)
    (tmp_path / "ci_package").mkdir()
    (tmp_path / "ci_package" / "__init__.py").write_text("")
    (tmp_path / "ci_package" / "__main__.py").write_text("raise SystemExit(3)")
    (tmp_path / "ci_package" / "part.py").write_text(PART)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("ci_schedulers", "ci_package", "ci_package.part"):
        sys.modules.pop(name, None)


def check(*arguments: str) -> int:
    return main(["check", *arguments, "--epochs", "2", "--groups", "1"])


def test_a_star_stands_for_what_a_module_or_package_defines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "ci_package:*", "--json"]) == 0
    subjects = json.loads(capsys.readouterr().out)["subjects"]
    assert [one["subject"] for one in subjects] == [
        "ci_package.part:policy",
        "ci_package.part:two",
    ]
    assert check("ci_schedulers.py:*", "--markdown") == 2
    said = capsys.readouterr()
    names = [line[3:] for line in said.out.splitlines() if line.startswith("## ")]
    assert names == [f"ci_schedulers.py:{name}" for name in ("Good", "Nags", "OnTorchsBase")]
    assert "check ci_schedulers.py:Asks: UndeclaredNeed: binding asks for another" in said.err


def test_one_bad_target_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ci_schedulers:Good", "ci_schedulers:No", "no_module:*", "json:*") == 2
    said = capsys.readouterr()
    assert "\nci_schedulers:Good\n" in said.out
    assert said.out.startswith(
        f"thunder_policy {thunder_policy.__version__}, laws {LAW_SETS[-1]}, torch "
        f"{torch.__version__}, Python {platform.python_version()}\n"
    )
    errors = said.err.splitlines()
    assert len(errors) == 3
    assert "cannot import no_module" in errors[0]
    assert errors[1] == "check json:*: it defines no scheduler and no Subject"
    assert "there is no No in ci_schedulers" in errors[2]


def test_the_optimizer_and_the_oracle_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = ["--optimizer", "torch.optim:Adagrad"]
    inherited = ["--expected-failures", "INHERITED_FROM_TORCH"]
    assert check("ci_schedulers:Asks", *optimizer, *inherited) == 0
    assert check("ci_schedulers:Asks", "--optimizer", "torch.optim:No") == 2
    assert "there is no No in torch.optim" in capsys.readouterr().err


def test_what_torch_s_base_breaks_can_be_expected(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ci_schedulers:build") == 1
    out = capsys.readouterr().out
    assert ", 0 of its own\n" in out
    assert " [inherited from torch] " in out
    assert "# See thunder_policy/conformance/README.md#resume_alone" in out
    assert check("ci_schedulers:build", "--expected-failures", "INHERITED_FROM_TORCH") == 0


EXPECTED = """
# what is known
ci_schedulers:Nags   quiet  it is a shareware, #12
ci_schedulers:On*    INHERITED_FROM_TORCH
ci_schedulers:Good*  pickle it held a lock
"""


def test_a_file_of_expected_failures(capsys: pytest.CaptureFixture[str]) -> None:
    Path("expected.txt").write_text(EXPECTED)
    targets = ["ci_schedulers:Nags", "ci_schedulers:OnTorchsBase", "ci_schedulers:Good"]
    assert check(*targets, "--expected-failures", "expected.txt", "--json") == 1
    subjects = json.loads(capsys.readouterr().out)["subjects"]
    results = [{row["law"]: row for row in one["results"]} for one in subjects]
    nags, torchs, good = results
    assert nags["quiet"]["status"] == "xfailed"
    assert nags["quiet"]["reason"] == "it is a shareware, #12"
    assert torchs["resume_alone"]["status"] == "xfailed"
    assert torchs["resume_alone"]["inherited"]
    assert good["pickle"]["status"] == "xpassed"
    bad = [row for one in results for row in one.values() if row["status"] == "failed"]
    assert [(row["law"], row["inherited"]) for row in bad if not row["inherited"]] == [
        (row["law"], False) for row in nags.values() if row["status"] == "failed"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ci_schedulers:Good pickle\n", "line 1: write a target, a law and the reason"),
        ("\nci_schedulers:Good pickles typo\n", "line 2: expected_failures: there is no law"),
        ("ci_schedulers:Other pickle lock\n", "there is no target ci_schedulers:Other"),
    ],
)
def test_a_file_that_is_wrong_is_code_2(
    capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    Path("expected.txt").write_text(text)
    assert check("ci_schedulers:Good", "--expected-failures", "expected.txt") == 2
    assert says in capsys.readouterr().err
    assert check("ci_schedulers:Good", "--expected-failures", "none.txt") == 2
    assert "FileNotFoundError" in capsys.readouterr().err


def test_junit_has_a_case_a_law_and_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ci_schedulers:Nags", "ci_schedulers:Good", "--junit", "laws.xml") == 1
    root = ElementTree.parse("laws.xml").getroot()
    nags, good = root.findall("testsuite")
    assert (nags.get("name"), good.get("failures")) == ("ci_schedulers:Nags", "0")
    assert [case.get("name") for case in nags.findall("testcase")] == [*LAWS]
    versions = {one.get("name"): one.get("value") for one in good.iter("property")}
    assert versions == {
        "suite": thunder_policy.__version__,
        "laws": LAW_SETS[-1],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    (quiet,) = [case for case in nags.iter("testcase") if case.get("name") == "quiet"]
    (failure,) = quiet.findall("failure")
    assert "buy more" in (failure.get("message") or "")
    assert "from ci_schedulers import Nags" in (failure.text or "")
    capsys.readouterr()


def test_a_set_of_laws_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ci_schedulers:Good", "--laws", LAW_SETS[0], "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["laws"] == LAW_SETS[0]
    assert [row["law"] for row in report["subjects"][0]["results"]] == laws_of(LAW_SETS[0], LAWS)
    assert check("ci_schedulers:Good", "--laws", "1999.12") == 2
    assert "there is no set of laws '1999.12'" in capsys.readouterr().err


# Reports


ODD = [
    Result("quiet", "failed", "a | b\x1b[31m\n]]>"),
    Result("step", "passed"),
    Result("values", "skipped", "no oracle"),
    Result("pickle", "xfailed", "a lock"),
    Result("deepcopy", "xpassed", "mended"),
    Result("resume_alone", "failed", "writes none", inherited=True),
]


def test_any_text_is_whole_in_every_form() -> None:
    root = ElementTree.fromstring(to_junit({"<&>": ODD}))
    (suite,) = root
    assert (suite.get("name"), suite.get("failures"), suite.get("skipped")) == ("<&>", "3", "2")
    rows = [line for line in to_markdown({"x": ODD}).splitlines() if line.startswith("| `")]
    assert len(rows) == 5
    assert "a \\| b" in rows[0]
    assert "| law |" not in to_markdown({"x": ODD[1:2]})
    assert verdict(ODD) == "2 kept, 1 inherited from torch, 2 of its own"


def test_what_is_new_and_hurts_comes_first() -> None:
    assert [result.law for result in in_order(ODD)] == [
        *("quiet", "deepcopy", "resume_alone", "pickle", "values", "step"),
    ]
