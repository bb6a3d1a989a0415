"""Every clause of SPEC.md has a test that names it, and every test of the core names a clause."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from conftest import is_slow

TESTS = Path(__file__).parent
SPEC = TESTS.parent / "thunder_policy" / "SPEC.md"
CLAUSES = re.findall(r"^\*\*([A-Z]\d+)\*\*", SPEC.read_text(encoding="utf-8"), re.MULTILINE)

# The files that check the policies themselves, one example or property at a time: a test in them
# that no clause asks for holds the code to nothing. Not in this list are those of which the spec
# does not speak: the callables of schedules, the command line, the drawing, the conformance
# suite, the README, releases, speed, types; those that compare with other code at large (torch, the
# frameworks, fuzzing), where one test touches all clauses; and simulate, which says lr_at again.
CORE = (
    "test_binding.py",
    "test_by_name.py",
    "test_compatibility.py",
    "test_construction.py",
    "test_copies.py",
    "test_devices.py",
    "test_hand_computed.py",
    "test_messages.py",
    "test_on_load.py",
    "test_option.py",
    "test_plateau.py",
    "test_starts.py",
    "test_state.py",
    "test_step.py",
    "test_values.py",
)


def named(node: ast.AST) -> Iterator[str]:
    """The clauses that the calls of pytest.mark.spec within a node name."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.spec":
            assert call.args, f"line {call.lineno} names no clause"
            for argument in call.args:
                if isinstance(argument, ast.Starred):
                    yield from ast.literal_eval(argument.value)
                else:
                    yield ast.literal_eval(argument)


def without_clause(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """The tests in a module or class that name no clause, nor does what they are in."""
    marks = [
        node
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    if any(clause for mark in marks for clause in named(mark)):
        return
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        if any(clause for decorator in node.decorator_list for clause in named(decorator)):
            continue
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from without_clause(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield prefix + node.name


@cache
def tree(file: Path) -> ast.Module:
    """The source of a file, parsed."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def without_slow(body: list[ast.stmt]) -> list[ast.AST]:
    """What a module or class has without the tests that a plain run leaves out."""
    kept: list[ast.AST] = []
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if any("pytest.mark.slow" in ast.unparse(mark) for mark in node.decorator_list):
                continue
            inside = without_slow(node.body) if isinstance(node, ast.ClassDef) else []
            kept += [*node.decorator_list, *inside]
        elif "pytest.mark.slow" in ast.unparse(node):
            return []  # pytestmark, of all
        else:
            kept.append(node)
    return kept


def clauses_in_tests(slow: bool = True) -> dict[str, str]:
    """Each clause that a test names, and the file of one that does."""
    found: dict[str, str] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        if file != Path(__file__) and (slow or not is_slow(file)):
            for node in [tree(file)] if slow else without_slow(tree(file).body):
                found |= dict.fromkeys(named(node), str(file.relative_to(TESTS)))
    return found


def test_the_clauses_of_each_letter_are_numbered_from_1_in_order() -> None:
    assert CLAUSES
    for letter, group in groupby(CLAUSES, lambda clause: clause[0]):
        ids = [*group]
        assert ids == [f"{letter}{i}" for i in range(1, len(ids) + 1)]
    assert len({*CLAUSES}) == len(CLAUSES)


def test_each_clause_has_a_test() -> None:
    assert sorted({*CLAUSES} - {*clauses_in_tests()}) == []


def test_each_clause_has_a_test_that_a_plain_run_does_not_leave_out() -> None:
    assert sorted({*CLAUSES} - {*clauses_in_tests(slow=False)}) == []


def test_tests_name_clauses_that_are_there() -> None:
    in_tests = clauses_in_tests()
    assert {clause: in_tests[clause] for clause in in_tests if clause not in CLAUSES} == {}


@pytest.mark.parametrize("file", CORE)
def test_each_test_of_the_core_names_a_clause(file: str) -> None:
    assert [*without_clause(tree(TESTS / file).body)] == []


def test_marks_are_found_where_pytest_has_them() -> None:
    module = ast.parse(
        """
@pytest.mark.spec("A1", "A2")
def test_marked(): ...
def test_bare(): ...
def helper(): ...
@pytest.mark.spec("A3")
class TestMarked:
    def test_inside(self): ...
class TestPartly:
    @pytest.mark.slow
    @pytest.mark.spec("A4")
    def test_marked(self): ...
    @pytest.mark.slow
    def test_bare(self): ...
class TestByAttribute:
    pytestmark = [pytest.mark.slow, pytest.mark.spec("A5")]
    def test_inside(self): ...
"""
    )
    assert {*named(module)} == {"A1", "A2", "A3", "A4", "A5"}
    assert [*without_clause(module.body)] == ["test_bare", "TestPartly::test_bare"]
    assert {clause for node in without_slow(module.body) for clause in named(node)} == {
        *("A1", "A2", "A3")
    }
    whole = ast.parse('pytestmark = pytest.mark.spec("A1", *("A2", "A3"))\ndef test_bare(): ...')
    assert [*named(whole)] == ["A1", "A2", "A3"]
    assert [*without_clause(whole.body)] == []
