"""What the README and the docstrings say of numbers, versions and security is true.

That the code of every page runs is in test_pages.py.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from math import cos
from pathlib import Path
from typing import Any, get_origin

import numpy as np
import pytest
import torch
from versions import README_TORCH

import thunder_policy
from benchmarks import digits
from thunder_policy import (
    MappingPolicy,
    Multiply,
    Scale,
    Schedule,
    Switch,
    conformance,
    schedules,
    simulate,
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "thunder_policy" / "CHANGELOG.md").read_text(encoding="utf-8")
OF_THE_TESTS = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

SHELL_BLOCK = re.compile(r"^```bash\n(.*?)\n^```$", re.DOTALL | re.MULTILINE)
POLICY_ROW = re.compile(r"^\| `(.+?)` \| .+ \| (.+), … \|$", re.MULTILINE)


def is_class(value: object) -> bool:
    # For Python 3.10 dict[int, float] is one.
    return inspect.isclass(value) and get_origin(value) is None


MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(thunder_policy.__path__, "thunder_policy.")
    if not name.endswith(".__main__")  # importing it runs it
]

# Errors, types and tables of laws need none.
PUBLIC = {
    f"{module.__name__}.{name}": value
    for module in (thunder_policy, schedules, conformance)
    for name in module.__all__
    if inspect.isfunction(value := getattr(module, name))
    or (is_class(value) and not issubclass(value, BaseException))
}


# The README and the pages beside it


def test_the_first_version_of_the_changelog_is_that_of_the_package() -> None:
    versions = re.findall(r"^## (\S+) - \d{4}-\d{2}-\d{2}$", CHANGELOG, re.MULTILINE)
    assert versions[0] == thunder_policy.__version__


def test_the_versions_begin_with_the_oldest_allowed_and_have_the_one_in_use_by_default() -> None:
    rows = re.findall(r"^\| (2\.[\d.]+) \| (3\.\d+) \|", OF_THE_TESTS, re.MULTILINE)
    torches, pythons = zip(*rows, strict=True)
    assert f'"torch>={torches[0].removesuffix(".0")}"' in PYPROJECT
    assert f'requires-python = ">={pythons[0]}"' in PYPROJECT
    assert README_TORCH in torches
    oldest = torches[0].removesuffix(".0")
    assert f"torch {oldest} or later and toolz, for Python {pythons[0]} or later" in README


# All calls that could run what was data, and where they are.
RUNNING = {
    "cli.py": {"import_module", "load"},  # of plotext, and of an expression
    "state.py": {"torch.load"},
    "targets.py": {"importlib.import_module", "load_module", "loader.exec_module"},
    "conformance/runs.py": {"torch.load", "Unpickler", "Unpickler(buffer).load"},
    "conformance/command.py": {"load_module"},
    "conformance/plugin/pytest_thunder_policy.py": {"importlib.import_module", "tomllib.loads"},
    "conformance/reproduce.py": {"compile", "eval", "exec"},
    "conformance/processes.py": {"os.fork", "pickle.loads"},  # what the copy sends back
}
CAN_RUN = re.compile(
    r"(?!re\.)(.*\.)?(eval|exec|compile|__import__|fork|loads?|Unpickler|\w+_module)"
)
OUTSIDE = {"asyncio", "concurrent", "ctypes", "http", "multiprocessing", "pty", "runpy", "socket"}
OUTSIDE |= {"ssl", "subprocess", "urllib", "webbrowser"}


def test_the_page_on_vendoring_names_all_that_the_package_loads_and_runs() -> None:
    package = Path(thunder_policy.__file__).parent
    running: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=function, keywords=keywords):
                    called = ast.unparse(function)
                    if CAN_RUN.fullmatch(called):
                        running.setdefault(path.relative_to(package).as_posix(), set()).add(called)
                    if called == "torch.load":
                        assert [*map(ast.unparse, keywords)] == ["weights_only=True"]
                    assert not re.match(r"os\.(exec|popen|posix_spawn|spawn|system)", called)
                case ast.Import(names=names):
                    assert not OUTSIDE & {alias.name.partition(".")[0] for alias in names}
                case ast.ImportFrom(module=module):
                    assert (module or "").partition(".")[0] not in OUTSIDE
                case _:
                    pass
    assert running == RUNNING


def policy_rows() -> list[tuple[str, list[float]]]:
    """Read the table of policies: the constructor call and the lrs written beside it."""
    return [
        (call, [eval(cell, {"cos": cos}) for cell in cells.split(", ")])
        for call, cells in POLICY_ROW.findall(README)
    ]


def test_the_table_of_policies_has_them_all() -> None:
    assert {call.partition("(")[0] for call, _ in policy_rows()} == {
        "Switch",
        "Multiply",
        "Schedule",
        "Scale",
    }


@pytest.mark.spec("V1", "V2", "V3", "V4", "V7")
@pytest.mark.parametrize(("call", "lrs"), policy_rows())
def test_a_row_of_the_table_is_what_the_policy_gives(call: str, lrs: list[float]) -> None:
    names = {"Switch": Switch, "Multiply": Multiply, "Schedule": Schedule, "Scale": Scale, "np": np}
    policy: MappingPolicy[Any] = eval(call, names)
    expected = pytest.approx(lrs, rel=1e-12, abs=0)

    assert len(lrs) == 6
    assert simulate(policy, 6, lr=1e-3)[:, 0].tolist() == expected

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    policy(optimizer)
    assert [policy.lr_at(epoch)[0] for epoch in range(6)] == expected
    stepped = []
    for _ in range(6):
        stepped.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        policy.step()
    assert stepped == expected


def test_there_are_two_set_up_commands_and_they_name_what_exists() -> None:
    commands = SHELL_BLOCK.findall(README)
    steps = [command.split(" && ") for command in commands]

    assert [step[-1] for step in steps] == ["python benchmarks/digits.py", "pytest"]
    assert steps[0][0] == steps[1][0]  # the build of torch
    assert steps[0][1] == 'pip install ".[cli]" scikit-learn'  # what digits.py imports
    assert steps[1][1] == 'pip install -e ".[dev]"'
    assert (ROOT / "benchmarks" / "digits.py").is_file()
    assert f'"{steps[0][0].removeprefix("pip install ")}"' in PYPROJECT


# The main job that the README names


@pytest.fixture
def _torch_settings() -> Iterator[None]:
    """Give back the settings that the main job changes for its process."""
    threads, deterministic = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.usefixtures("_torch_settings")
def test_the_main_job_succeeds_where_the_resumed_runs_are_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert digits.main(["--epochs", "4"]) == 0

    printed = capsys.readouterr()
    assert printed.out.count("the same bits") == 4
    assert printed.err == ""
    assert max(map(len, printed.out.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.usefixtures("_torch_settings")
@pytest.mark.parametrize("part", ["model", "optimizer", "policy"])
def test_the_main_job_fails_and_says_so_where_a_part_is_not_resumed(
    part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_all = digits.Run.load_state_dict

    def load_the_others(run: digits.Run, state: dict[str, Any]) -> None:
        load_all(run, state | {part: run.state_dict()[part]})

    monkeypatch.setattr(digits.Run, "load_state_dict", load_the_others)

    assert digits.main(["--epochs", "4"]) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert [complaint.partition(":")[0] for complaint in complaints] == [
        "Switch",
        "Multiply",
        "Schedule",
        "WarmupInverseSqrt",
    ]
    assert all("differs from the uninterrupted one" in complaint for complaint in complaints)


def test_two_states_are_compared_to_the_last_bit() -> None:
    def leaves(value: object) -> dict[str, object]:
        return dict(digits.bits({"value": value}, ""))

    assert leaves(0.0) != leaves(-0.0)
    assert leaves(torch.tensor(0.0)) != leaves(torch.tensor(-0.0))
    assert leaves(torch.ones(2)) != leaves(torch.ones(2, 1))
    assert leaves(torch.zeros(2)) != leaves(torch.zeros(2, dtype=torch.int32))
    assert leaves([1.0]) != leaves([1.0, 1.0])
    assert leaves({"a": [1, torch.ones(2)]}) == leaves({"a": [1, torch.ones(2)]})


# The docstrings


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_class_and_function_has_an_example_that_is_run(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(PUBLIC[name], name)

    assert found.examples
    assert not any(example.options for example in found.examples)
    assert PUBLIC[name].__module__ in MODULES
