"""What takes long, one thread for torch, and the profiles of Hypothesis.

A plain ``pytest`` leaves out what is marked slow; ``pytest -m ""`` runs everything. The variable
HYPOTHESIS_PROFILE chooses a profile.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from types import CodeType, FunctionType

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from versions import FILTERS

# The folders and files of which every test is slow. Others have the mark at the test.
SLOW = (
    "integrations",  # the frameworks one by one, and runs in several processes
    "test_compile.py",
    "test_costs.py",  # times, which what runs beside spoils
    "test_fuzz.py",
    "test_fuzz_command.py",
    "test_long_runs.py",
    "test_release.py",
    "test_sound.py",  # many policies, each under every law; test_package.py has the package's own
    "test_vendoring.py",
    "typing",  # four checkers
)

# The tensors are small, and other tests may run beside: more threads would wait for each other.
torch.set_num_threads(1)

settings.register_profile("default", deadline=None, max_examples=50, stateful_step_count=30)
# Another machine may take longer, and is no failure.
settings.register_profile(
    "ci",
    settings.get_profile("default"),
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# mutmut runs a test more than once in a process. What fails there need not be made small.
settings.register_profile(
    "mutants",
    settings.get_profile("ci"),
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    for line in FILTERS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True, scope="session")
def these_options_are_of_this_run() -> None:
    """Keep a run of pytest that a test starts from taking them, a gate on coverage for one."""
    os.environ.pop("PYTEST_ADDOPTS", None)


def is_slow(file: Path) -> bool:
    """Tell whether all tests of a file are slow."""
    return not {*file.relative_to(Path(__file__).parent).parts}.isdisjoint(SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep a plain run from importing what it leaves out: the frameworks take seconds."""
    plain = config.option.markexpr == "not slow"
    return True if plain and is_slow(collection_path) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if is_slow(item.path):
        item.add_marker("slow")


def pytest_runtest_teardown() -> None:
    """Close what a test has drawn: pyplot keeps it, and warns of more than twenty."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


def as_of_the_package(code: CodeType) -> CodeType:
    """Return code, and what is in it, as if a module of the package had it."""
    constants = [
        as_of_the_package(one) if isinstance(one, CodeType) else one for one in code.co_consts
    ]
    file = str(Path(__file__).parents[1] / "thunder_policy" / "trampoline.py")
    return code.replace(co_filename=file, co_consts=tuple(constants))


if "MUTANT_UNDER_TEST" in os.environ:
    # mutmut calls each function in one of its own. So that a warning, which has the line of the
    # first caller outside of the package, is seen to have it, those count as the package's.
    trampolines = importlib.import_module("mutmut.mutation.trampoline")
    for function in vars(trampolines).values():
        if isinstance(function, FunctionType) and function.__module__ == trampolines.__name__:
            function.__code__ = as_of_the_package(function.__code__)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name an argument without what mutmut cannot find again: a backslash, which bytes have too."""
    if isinstance(val, bytes):
        return "bytes"
    if isinstance(val, str) and ("\\" in val or not val.isprintable() or not val.isascii()):
        return re.sub(r"[^ -\[\]-~]", "", val) or "text"
    return None


@pytest.hookimpl(trylast=True)  # after those are deselected that cannot run there
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is slow, so that at the end no worker waits long for another.

    Under mutmut, refuse names that are others when it collects again: a mutant would count as
    killed where a test of it is not found.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if "MUTANT_UNDER_TEST" in os.environ:
        changing = [item.nodeid for item in items if re.search(r"\\| at 0x", item.nodeid)]
        assert not changing, f"names with a backslash or an address: {changing}"
