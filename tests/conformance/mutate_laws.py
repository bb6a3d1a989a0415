"""Mutants of the laws: ``python tests/conformance/mutate_laws.py [LAW ...]`` lists those that live.

mutmut leaves alone what is decorated, as each law is. Here a law is changed in one small place at a
time, and tried on the broken policies that it must catch and on the near misses that must pass: a
mutant lives if it says of each what the law itself says.
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import broken
import broken_around  # noqa: F401  it adds its pairs
import broken_in_one_way  # noqa: F401  it adds its pairs
import sound
from broken import PAIRS
from once_failed import ONCE_FAILED

from thunder_policy.conformance import LAWS, Law, Subject
from thunder_policy.conformance.subject import as_subject
from thunder_policy.conformance.suite import examine

_OPERATORS = (
    "Eq NotEq, NotEq Eq, Lt LtE, LtE Lt, Gt GtE, GtE Gt, Is IsNot, IsNot Is, In NotIn, NotIn In, "
    "And Or, Or And, Add Sub, Sub Add, Mult Div, FloorDiv Mult"
)
OTHER: dict[type[ast.AST], Any] = {
    getattr(ast, one): getattr(ast, other)
    for one, other in (pair.split() for pair in _OPERATORS.split(", "))
}
"""What stands in the place of an operator."""

MORE: dict[str, Any] = {
    **{name: sound.SOUND[name] for name in ("counter", "tensor that changes", "layer-wise")},
    **{name: ONCE_FAILED[name] for name in ("no initial_lr", "refuses late groups")},
}
"""Subjects on which each law is tried besides."""


def mutants(definition: ast.FunctionDef) -> Iterator[tuple[int, ast.FunctionDef]]:
    """Yield a function with one small change each, and the line of the change."""
    for i, node in enumerate(ast.walk(definition)):
        for line, name, value in changes(node):
            mutant = copy.deepcopy(definition)
            setattr([*ast.walk(mutant)][i], name, value)
            yield line, ast.fix_missing_locations(mutant)


def changes(node: Any) -> Iterator[tuple[int, str, object]]:
    """Yield what may be changed in a node, with its line: an operator, a number, a statement."""
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        yield line, "ops", [OTHER[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in OTHER:
        yield line, "op", OTHER[type(node.op)]()
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield line, "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield line, "value", node.value + 1
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield line, "test", ast.UnaryOp(ast.Not(), node.test)
    for name in ("body", "orelse", "finalbody"):
        block: Any = getattr(node, name, None)
        for i, statement in enumerate(block if isinstance(block, list) else []):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, (ast.Expr, ast.Raise)) and not is_text:
                yield statement.lineno, name, [*block[:i], ast.Pass(), *block[i + 1 :]]


def verdicts(law: Law, subjects: list[Subject]) -> Iterator[tuple[str, str]]:
    """Yield what a law says of some subjects."""
    for subject in subjects:
        result = examine(law, subject)
        yield result.status, result.reason


def subjects_of(name: str) -> list[Subject]:
    """Return what a law is tried on: its own pairs first."""
    pairs = [pair for pair in PAIRS.values() if pair.law == name]
    own = [pair.subject(factory) for pair in pairs for factory in (pair.broken, pair.sound)]
    more = [Subject(broken.Decay, expected=broken.base), *map(as_subject, MORE.values())]
    return [*own, *(replace(subject, epochs=12) for subject in more)]


def main() -> None:
    """Try the mutants of some laws, or of all."""
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    total = alive = 0
    for name in sys.argv[1:] or LAWS:
        law, subjects = LAWS[name], subjects_of(name)
        lines, first = inspect.getsourcelines(law.function)
        definition = ast.parse(textwrap.dedent("".join(lines))).body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list = []
        right = [*verdicts(law, subjects)]
        for line, mutant in mutants(definition):
            scope = dict(law.function.__globals__)
            exec(compile(ast.Module([mutant], []), "<mutant>", "exec", dont_inherit=True), scope)
            changed = replace(law, function=scope[name])
            total += 1
            if all(map(tuple.__eq__, right, verdicts(changed, subjects))):
                alive += 1
                old, new = (ast.unparse(one).splitlines() for one in (definition, mutant))
                shown = next(f"{a.strip()}  ->  {b.strip()}" for a, b in zip(old, new) if a != b)
                print(f"{name}, line {first + line - 1}: {shown}", flush=True)
    seconds = time.perf_counter() - began
    print(f"{total} mutants, {total - alive} killed, {alive} alive, {seconds:.0f} s")


if __name__ == "__main__":
    main()
