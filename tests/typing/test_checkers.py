"""Four checkers accept each accepts*.py, and find exactly the marked lines of each rejects*.py.

accepts.py and rejects.py hold with torch's own types, too; the others need the stubs.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from checkers import CHECKERS, completeness, environment

import thunder_policy

pytestmark = pytest.mark.spec("B1")

HERE = Path(__file__).parent
ACCEPTS = HERE / "accepts.py"
REJECTS = HERE / "rejects.py"
WITH_STUBS = HERE / "accepts_with_stubs.py"
ALL = [*HERE.glob("accepts*.py"), *HERE.glob("rejects*.py")]

WRONG = 'Switch({"0": 1e-3})'
MARKED = next(line for line in REJECTS.read_text().splitlines() if line.startswith(WRONG))


@pytest.fixture(scope="module")
def with_stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("with_stubs"), stubs=True)


@pytest.fixture(scope="module")
def beside_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("beside_torch"), stubs=True, beside=True)


@pytest.fixture(scope="module")
def without_stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("without_stubs"), stubs=False)


@pytest.mark.parametrize("name", CHECKERS)
def test_with_the_stubs_all_is_as_marked_and_a_lost_error_is_found_and_so_is_a_new_one(
    name: str, with_stubs: Path, beside_torch: Path, tmp_path: Path
) -> None:
    used = beside_torch if name == "pyright" else with_stubs
    assert len(ALL) == 9
    assert CHECKERS[name](used, *ALL, cwd=tmp_path) == ""
    lost, new = tmp_path / "lost.py", tmp_path / "new.py"
    lost.write_text(f"from thunder_policy import Switch\n\n{MARKED.replace(WRONG, 'Switch({})')}\n")
    new.write_text(f"from thunder_policy import Switch\n\n{WRONG}\n")
    found = CHECKERS[name](used, lost, new, cwd=tmp_path)
    assert "lost.py:3" in found
    assert "new.py:3" in found


# To pyright it is as if the stubs of torch were not there, so that it keeps all that torch has.
@pytest.mark.parametrize(
    ("name", "stubs"), [("mypy", False), ("pyright", False), ("pyright", True)]
)
def test_without_the_stubs_of_torch(
    name: str, stubs: bool, with_stubs: Path, without_stubs: Path, tmp_path: Path
) -> None:
    used = with_stubs if stubs else without_stubs
    assert CHECKERS[name](used, ACCEPTS, REJECTS, cwd=tmp_path) == ""


def test_the_stubs_are_what_makes_the_difference(without_stubs: Path, tmp_path: Path) -> None:
    for name, check in CHECKERS.items():
        if name != "mypy":  # slow, and the first to refuse it
            assert "get_lr" in check(without_stubs, WITH_STUBS, cwd=tmp_path)


def test_everything_public_is_fully_typed(without_stubs: Path, tmp_path: Path) -> None:
    assert completeness(without_stubs, "thunder_policy", cwd=tmp_path) == 1


@pytest.mark.spec("V9", "C6", "O1")
@pytest.mark.filterwarnings(r"ignore:Detected call of .lr_scheduler\.step:UserWarning")  # torch's
@pytest.mark.parametrize("path", [*HERE.glob("accepts*.py")], ids=lambda path: path.stem)
def test_what_is_accepted_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The stubs of thunder.policy are those of what takes its place.
    monkeypatch.setitem(sys.modules, "thunder", thunder_policy)
    monkeypatch.setitem(sys.modules, "thunder.policy", thunder_policy)
    runpy.run_path(str(path))
