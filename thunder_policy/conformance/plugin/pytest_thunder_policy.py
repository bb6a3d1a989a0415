"""The plugin of pytest: each law is an item, of what ``pyproject.toml`` or a class names.

    [tool.thunder_policy.check]
    targets = ["mypackage.schedulers:*"]

or a class with the mark ``conformance`` and a ``subject``. pytest loads this at every start, so it
imports the package only where there is something to check.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportMissingParameterType=false, reportUntypedBaseClass=false

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]  # pytest brings it

INHERITED = "INHERITED_FROM_TORCH"


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; and where ``testpaths`` leave the table out, add it."""
    config.addinivalue_line(
        "markers", "conformance: a class whose `subject` is tried with each law of thunder_policy"
    )
    if table(config) and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args.append(str(pyproject(config)))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the table."""
    if file_path == pyproject(parent.config) and table(parent.config):
        collector: pytest.Collector = Table.from_parent(parent, path=file_path)
        return collector
    return None


def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> pytest.Collector | None:
    """Collect a class that is marked."""
    marks = getattr(obj, "pytestmark", []) if isinstance(obj, type) else []
    marks = marks if isinstance(marks, list) else [marks]
    if not any(mark.name == "conformance" for mark in marks):
        return None
    own: Any = obj
    laws: pytest.Collector = Laws.from_parent(
        collector,
        name=name,
        subject=own.subject,
        expected=getattr(own, "expected_failures", {}),
        laws=getattr(own, "laws", None),
    )
    return laws


def suite(module: str = "") -> Any:
    """Import the suite, or a module of it; by name, as a copy of this is in no package."""
    return importlib.import_module(f"thunder_policy.conformance{module}")


def pyproject(config: pytest.Config) -> Path:
    """Return the file that has the table, if there is one."""
    return config.rootpath / "pyproject.toml"


def table(config: pytest.Config) -> dict[str, Any]:
    """Return the table, or nothing."""
    if not pyproject(config).is_file():
        return {}
    tools = tomllib.loads(pyproject(config).read_text(encoding="utf-8")).get("tool", {})
    found: dict[str, Any] = tools.get("thunder_policy", {}).get("check", {})
    return found


class Table(pytest.File):
    """The targets of the table."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield one collector a target."""
        command = suite(".command")

        given = table(self.config)
        unknown = given.keys() - {"targets", "expected_failures", "laws"}
        if unknown or not isinstance(given.get("targets"), list):
            raise self.CollectError(
                "[tool.thunder_policy.check] takes a list of targets, and may take "
                f"expected_failures and laws; it has {', '.join(given)}"
            )
        expected = given.get("expected_failures")
        if expected not in (None, INHERITED):
            expected = str(self.config.rootpath / expected)
        excuses = command.read_expected(expected)
        for target in given["targets"]:
            for name in command.names_of(target):
                yield Laws.from_parent(
                    self,
                    name=name,
                    subject=command.subject_of(name, {}),
                    expected=command.expected_of(name, excuses),
                    laws=given.get("laws"),
                )


class Laws(pytest.Collector):
    """One subject; all laws are tried on it once the first is asked for."""

    def __init__(
        self, subject: Any, expected: Mapping[str, str], laws: str | None, **of_pytest: Any
    ) -> None:
        super().__init__(**of_pytest)
        self.subject: Any = subject
        self.expected: Mapping[str, str] = expected
        self.laws: str | None = laws

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one item a law."""
        catalogue, known = suite(".catalogue"), suite().LAWS

        for law in catalogue.laws_of(self.laws, known):
            yield LawItem.from_parent(self, name=law)

    @cached_property
    def results(self) -> dict[str, Any]:
        """The result of each law."""
        results = suite().check_policy(
            self.subject, on_fail="collect", expected_failures=self.expected, laws=self.laws
        )
        return {result.law: result for result in results}


class LawItem(pytest.Item):
    """One law on one subject."""

    def runtest(self) -> None:
        """Say what came of it."""
        assert isinstance(self.parent, Laws)
        result = self.parent.results[self.name]
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "xfailed":
            pytest.xfail(result.reason)
        if result.bad():
            report = suite(".report")
            text = "\n".join([report.said_of(result), *report.programs([result])])
            pytest.fail(text, pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the item in a report."""
        assert self.parent is not None
        return self.path, None, f"{self.parent.name}: {self.name}"
