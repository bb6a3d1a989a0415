"""What people's policies, factories and targets do that few think of: each once went wrong."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from thunder_policy import Policy
from thunder_policy.conformance import Law, Subject, check_policy, parametrize_checks
from thunder_policy.conformance.command import check_command
from thunder_policy.conformance.reproduce import source_of
from thunder_policy.conformance.runs import Broken
from thunder_policy.conformance.suite import examine


class Constant(Policy):
    """A policy that is drawn; one of its lrs is wrong."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [self.lr for _ in self.base_lrs]


class TwoWays(Constant):
    """A policy that is broken in two places, one for each half of what is drawn."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        if self.last_epoch and self.lr > 0.5:
            raise OSError("one way")
        if self.last_epoch:
            raise LookupError("the other")
        return super().get_lr()


class Once(Constant):
    """A policy of which the second that is bound fails, and no other."""

    bound = 0
    lr_of_this_time = 0.25

    def set_optimizer(self, optimizer: Any, last_epoch: int = -1) -> None:
        type(self).bound += 1
        if type(self).bound == 2:
            raise OSError("not this time")
        super().set_optimizer(optimizer, last_epoch)


@pytest.mark.parametrize("cls", [TwoWays, Once])
def test_what_a_strategy_draws_is_reported_however_it_is_broken(cls: Any) -> None:
    Once.bound = 0
    subject = Subject(st.floats(0.1, 1.0).map(cls))
    results = check_policy(subject, on_fail="collect")
    broken = [result.law for result in results if result.status == "failed"]
    assert broken
    assert all(isinstance(result.error, Broken) for result in results if result.law in broken)


def test_what_is_broken_once_keeps_its_cause() -> None:
    calls = count()

    def trips(make: Any) -> None:
        """It does not trip."""
        if next(calls) == 1:
            raise OSError("not this time")

    law = Law("trips", "It does not trip.", "a stone", trips)
    error = examine(law, Subject(st.floats(0.1, 1.0).map(Constant))).error
    assert isinstance(error, Broken)
    assert isinstance(error.__cause__, OSError)


def test_a_strategy_that_is_not_the_same_twice_is_an_error_of_its_own() -> None:
    calls = count()

    def make(lr: float) -> Constant:
        if next(calls) == 3:
            raise OSError("not this time")
        return Constant(lr)

    with pytest.raises(Flaky):
        check_policy(Subject(st.floats(0.1, 1.0).map(make)))


NONE = None


def reproductions(factory: Any) -> list[str]:
    results = check_policy(Subject(factory), on_fail="collect")
    return [result.reproduction for result in results if result.reproduction]


def test_what_is_none_is_written_as_none() -> None:
    texts = reproductions(lambda: TwoWays(NONE or 0.25))
    assert texts
    assert all("\nNONE = None\n" in text for text in texts)


class Drawn(Constant):
    """A factory that has an attribute of this name is no copy of what a strategy drew."""

    drawn = 3


def test_a_factory_is_written_as_itself_whatever_attributes_it_has() -> None:
    assert source_of(Drawn) == "Drawn"


def test_a_default_of_a_lambda_is_left_to_whoever_wrote_it() -> None:
    texts = reproductions(lambda lr=Once.lr_of_this_time: TwoWays(lr))
    assert texts
    assert all("no import finds it" in text for text in texts)


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    groups: Any = np.uint8(2)
    epochs: Any = np.int64(3)
    subject = Subject(lambda: TwoWays(0.25), groups=groups, epochs=epochs)
    results = check_policy(subject, on_fail="collect")
    texts = [result.reproduction for result in results if result.reproduction]
    assert texts
    assert not any("np." in text for text in texts)
    assert (type(subject.groups), type(subject.epochs)) == (int, int)


def test_a_factory_that_raises_is_no_expected_failure() -> None:
    def raises() -> Policy:
        raise OSError("no such policy")

    mark = parametrize_checks(
        {"raises": raises}, expected_failures={"raises": {"deepcopy": "holds a lock"}}
    )
    marks = {item.id: item.marks for item in mark.args[1]}
    (expected,) = marks["raises-deepcopy"]
    assert expected.kwargs["raises"] is Broken
    assert not marks["raises-pickle"]


def test_a_factory_of_one_policy_is_a_bad_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "from thunder_policy import Switch\none = Switch({})\ndef same():\n    return one\n"
    (tmp_path / "only_one.py").write_text(text)
    assert check_command(["only_one.py:same"]) == 2
    assert capsys.readouterr().err.startswith("check only_one.py:same: it cannot be made: TypeErr")


def test_a_policy_by_name_is_written_into_its_reproductions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "from thunder_policy import Switch\nclass Bad(Switch):\n    def get_lr(self):\n"
        "        return [*map(float, range(self.last_epoch + 1))]\none = Bad({0: 0.5})\n"
    )
    (tmp_path / "bad_one.py").write_text(text)
    assert check_command(["bad_one.py:one"]) == 1
    printed = capsys.readouterr().out
    assert "lambda: Bad(mapping={0: 0.5}, lr_init=0.001)" in printed
    assert "no import finds it" not in printed


def test_a_factory_may_import_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from thunder_policy import Switch\n")
    (tmp_path / "made.py").write_text(
        "def one():\n    import beside\n    return beside.Switch({})\n"
    )
    # As the console script does, whose folder is not the working one.
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if p]; from thunder_policy.cli import main"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(main(['check', 'made:one']))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
