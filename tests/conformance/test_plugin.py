"""The plugin of pytest, in a project that is not this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import thunder_policy
from thunder_policy.conformance import LAWS
from thunder_policy.conformance.catalogue import LAW_SETS, laws_of

ROOT = Path(thunder_policy.__file__).parents[1]
PLUGIN = ROOT / "thunder_policy" / "conformance" / "plugin"

SCHEDULERS = """
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy import Policy
from thunder_policy.conformance import Subject


class Good(Policy):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


class Counts(Good):
    asked = 0

    def get_lr(self):
        self.asked += 1
        return [lr * 0.9**self.asked for lr in self.base_lrs]


class OnTorchsBase(LRScheduler):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


good, counts = Subject(Good, epochs=3), Subject(Counts, epochs=3)
"""

TESTS = """
import pytest

from schedulers import Good, OnTorchsBase
from thunder_policy.conformance import INHERITED_FROM_TORCH, Subject


@pytest.mark.conformance
class TestOnTorchsBase:
    subject = Subject(OnTorchsBase, epochs=3)
    expected_failures = INHERITED_FROM_TORCH
    laws = "{first}"


class TestNoneOfOurs:
    def test_is_a_test(self):
        pass
"""

TABLE = """
[tool.pytest.ini_options]
testpaths = {testpaths}
addopts = "--strict-markers"

[tool.thunder_policy.check]
targets = ["schedulers:good", "schedulers:counts"]
expected_failures = "expected.txt"
"""

EXPECTED = "schedulers:counts  pure  it counts\nschedulers:good pickle holds a lock\n"


def project(folder: Path, table: str = TABLE, testpaths: str = '["tests"]') -> Path:
    (folder / "tests").mkdir()
    (folder / "schedulers.py").write_text(SCHEDULERS)
    (folder / "tests" / "test_marked.py").write_text(TESTS.format(first=LAW_SETS[0]))
    (folder / "expected.txt").write_text(EXPECTED)
    (folder / "pyproject.toml").write_text(table.replace("{testpaths}", testpaths))
    return folder


def outcomes(folder: Path, *arguments: str) -> tuple[dict[str, str], str]:
    """Run pytest there; return the outcome of each item, and what was printed."""
    command = [sys.executable, "-m", "pytest", "-p", "pytest_thunder_policy", "-p"]
    done = subprocess.run(
        [*command, "no:cacheprovider", "--junitxml=report.xml", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, PLUGIN, folder)))},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        assert name not in found, "an item that is collected twice"
        children = [(child.tag, child.get("message") or child.text or "") for child in case]
        found[name] = ": ".join(children[0]) if children else "passed"
    return found, done.stdout + done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    return outcomes(project(tmp_path_factory.mktemp("project")))


def of(found: dict[str, str], target: str) -> dict[str, str]:
    return {name.rpartition(".")[2]: outcome for name, outcome in found.items() if target in name}


@pytest.mark.slow
def test_the_table_and_the_marked_class_have_an_item_a_law(run: tuple[dict[str, str], str]) -> None:
    found, printed = run
    for name in ("good", "counts"):
        assert [*of(found, f"schedulers:{name}")] == [*LAWS], printed
    assert [*of(found, "TestOnTorchsBase")] == laws_of(LAW_SETS[0], LAWS)
    assert [*of(found, "TestNoneOfOurs")] == ["test_is_a_test"]


@pytest.mark.slow
def test_what_is_broken_fails_and_what_is_expected_does_not(
    run: tuple[dict[str, str], str],
) -> None:
    found, printed = run
    counts, good = of(found, "schedulers:counts"), of(found, "schedulers:good")
    assert counts["pure"] == "skipped: it counts"
    assert counts["sequential"].startswith("failure: Failed: [hurts a run] the lr inside Seq")
    assert [law for law, outcome in good.items() if outcome.startswith("failure")] == ["pickle"]
    assert "it was expected to fail (holds a lock) and passed" in good["pickle"]
    inherited = of(found, "TestOnTorchsBase")
    assert not any(outcome.startswith("failure") for outcome in inherited.values())
    assert inherited["resume_alone"] == "skipped: torch's load_state_dict writes no lr"
    assert "# See thunder_policy/conformance/README.md#sequential" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("testpaths", "arguments"), [('["."]', ()), ("[]", ()), ('["tests"]', ("pyproject.toml",))]
)
def test_the_table_is_collected_once_however_pytest_is_called(
    tmp_path: Path, testpaths: str, arguments: tuple[str, ...]
) -> None:
    folder = project(tmp_path, testpaths=testpaths)
    found, printed = outcomes(folder, "-k", "schedulers and quiet", *arguments)
    assert len(found) == 2, printed
    assert ("test_marked" in printed) == (not arguments) or "deselected" in printed


@pytest.mark.slow
def test_a_table_that_is_wrong_says_what_it_takes(tmp_path: Path) -> None:
    table = '[tool.thunder_policy.check]\ntarget = "schedulers:Good"\n'
    _, printed = outcomes(project(tmp_path, table), "pyproject.toml")
    assert re.search("takes a list of targets, .* it has target", printed)


@pytest.mark.slow
def test_a_project_without_a_table_imports_nothing_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it():\n    assert 'thunder_policy' not in sys.modules\n"
    )
    found, printed = outcomes(tmp_path)
    assert [*found.values()] == ["passed"], printed
