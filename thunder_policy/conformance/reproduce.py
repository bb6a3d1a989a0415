"""Reproductions: a failed law as a program of a few lines that anybody can run."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import torch

from .conditions import assume, declared_now
from .subject import Copies


class Import(NamedTuple):
    """``from module import name as alias``, or ``import module as alias`` without a name."""

    module: str
    name: str
    alias: str


class Expression(NamedTuple):
    """A value as Python text, with the lines that have to come before it."""

    text: str
    imports: tuple[Import, ...] = ()
    lines: tuple[str, ...] = ()


def reproduction(sentence: str, function: Callable[..., None], case: Mapping[str, Any]) -> str:
    """Write a program that raises what a law raised.

    It is the body of the law, with its arguments before it; so what is shown is what was run.

    Args:
        sentence: What the law states.
        function: The law.
        case: The arguments with which it was broken.

    Returns:
        The program. Where an argument cannot be written down, as it refers to something that no
        import finds, a comment stands for it: put that there under its name.
    """
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    body = "\n".join(_taken(definition.body[1:], source.splitlines(), case))
    imports, lines = list[Import](), list[str]()
    if declared := declared_now():
        case = {**case, **declared}
        what = ", ".join(f"{name}={name}" for name in declared)
        body = f"with assume({what}):\n{textwrap.indent(body, '    ')}"
        imports.append(Import(assume.__module__, assume.__name__, "assume"))
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    for name, value in case.items():
        if name in used:
            found = _written(value)
            if found is None:
                shown = getattr(value, "__qualname__", None) or repr(value)
                lines.append(f"# {name} = {shown}: no import finds it, so put it here")
            else:
                imports.extend(found.imports)
                lines.extend([*found.lines, f"{name} = {found.text}"])
    for name in sorted(used & function.__globals__.keys() - case.keys()):
        value = function.__globals__[name]
        if found := _reference(name, value):
            imports.extend(found.imports)
        elif _is_literal(value):
            lines.append(f"{name} = {value!r}")
    parts = [_statements(imports), "\n".join(lines), f"# {sentence}\n{body}"]
    return "\n\n".join(part for part in parts if part) + "\n"


def source_of(value: Any) -> str | None:
    """Return the expression that a factory is, if it can be written down.

    Example:
        >>> source_of(dict)
        'dict'
    """
    found = _written(value)
    return None if found is None else found.text


def _taken(body: list[ast.stmt], lines: list[str], case: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of some statements; of an ``if`` on the case, only what is run."""
    end = body[0].lineno - 1
    for statement in body:
        if isinstance(statement, ast.If) and _constant(statement.test, case):
            test = compile(ast.Expression(statement.test), "<law>", "eval")
            branch = statement.body if eval(test, {}, dict(case)) else statement.orelse
            if branch:
                yield from _taken(branch, lines, case)
        else:
            yield from textwrap.dedent("\n".join(lines[end : statement.end_lineno])).split("\n")
        end = statement.end_lineno or end


def _constant(test: ast.expr, case: Mapping[str, Any]) -> bool:
    """Tell whether a condition only compares arguments of a law with constants."""
    nodes = [*ast.walk(test)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return (
        isinstance(test, ast.Compare)
        and names <= case.keys()
        and not any(isinstance(node, ast.Call) for node in nodes)
    )


def _statements(imports: Iterable[Import]) -> str:
    """Write imports, one line a module."""
    modules: dict[str, set[str]] = {}
    whole = set()
    for module, name, alias in imports:
        shown = "" if alias in (name or module, "") else f" as {alias}"
        if name:
            modules.setdefault(module, set()).add(name + shown)
        else:
            whole.add(f"import {module}{shown}")
    parts = [
        f"from {module} import {', '.join(sorted(names))}" for module, names in modules.items()
    ]
    return "\n".join([*sorted(whole), *sorted(parts)])


def _written(value: Any) -> Expression | None:
    """Write a value down, if that can be done."""
    if _is_literal(value):
        return Expression(repr(value))
    if isinstance(value, torch.dtype):
        return Expression(repr(value), (Import("torch", "", "torch"),))
    if isinstance(value, Copies):
        drawn = _by_repr(value.drawn)
        return drawn and drawn._replace(text=f"lambda: {drawn.text}")
    if isinstance(value, functools.partial):
        return _partial(value)
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return _lambda(value)
    return _reference(getattr(value, "__qualname__", ""), value)


def _partial(value: functools.partial[Any]) -> Expression | None:
    parts = [_written(part) for part in (value.func, *value.args, *value.keywords.values())]
    keys = [""] * (1 + len(value.args)) + [f"{key}=" for key in value.keywords]
    texts = [key + part.text for key, part in zip(keys, parts) if part is not None]
    if len(texts) < len(parts):
        return None
    imports = [one for part in parts if part is not None for one in part.imports]
    imports.append(Import("functools", "partial", "partial"))
    return Expression(f"partial({', '.join(texts)})", tuple(imports))


def _by_repr(value: Any) -> Expression | None:
    """Write a policy as its repr, if that makes an equal one."""
    text, kind = repr(value), type(value)
    try:
        same = repr(eval(text, {kind.__name__: kind})) == text
    except Exception:
        return None
    found = _reference(kind.__name__, kind)
    return Expression(text, found.imports) if found and same else None


def _lambda(function: FunctionType) -> Expression | None:
    """Write a lambda as it stands in its file, after what it refers to."""
    text = _source_of_lambda(function)
    if text is None:
        return None
    variables = inspect.getclosurevars(function)
    imports, lines = list[Import](), list[str]()
    # What an inner lambda refers to is not among these.
    scope = {**function.__globals__, **variables.nonlocals}
    for name in {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}:
        if name in scope:
            value = scope[name]
            found = _reference(name, value) or (_is_literal(value) and Expression(repr(value)))
            if not found:
                return None
            imports.extend(found.imports)
            if not found.imports:
                lines.append(f"{name} = {found.text}")
    return Expression(text, tuple(imports), tuple(sorted(lines)))


def _source_of_lambda(function: FunctionType) -> str | None:
    """Find a lambda in its file by what it compiles to."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[function.__module__]))
    except (OSError, TypeError, KeyError, SyntaxError):
        return None
    line, code = function.__code__.co_firstlineno, function.__code__
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno <= line <= (node.end_lineno or 0):
            if node.args.defaults or any(node.args.kw_defaults):
                continue  # a default has the value of its time, which the text does not say
            # Python 3.10 writes "lambda :".
            text = re.sub("^lambda :", "lambda:", ast.unparse(node))
            free = ", ".join(code.co_freevars)
            namespace: dict[str, Any] = {}
            exec(f"def around({free}):\n    return {text}", namespace)
            again = namespace["around"](*code.co_freevars).__code__
            if _shape(again) == _shape(code):
                return text
    return None


def _shape(code: Any) -> object:
    constants = [_shape(one) if inspect.iscode(one) else repr(one) for one in code.co_consts]
    # Names of nested code hold the name of what is around it.
    constants = [one for one in constants if "<lambda>" not in str(one)]
    return code.co_code, code.co_names, constants


_NOTHING = object()


def _reference(name: str, value: Any) -> Expression | None:
    """Write something that has a name in a module, by that name."""
    if isinstance(value, ModuleType):
        return Expression(name, (Import(value.__name__, "", name),))
    module, known = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if module == "builtins" or not isinstance(known, str):
        return Expression(name) if vars(builtins).get(name, _NOTHING) is value else None
    if module is None or module == "__main__" or "." in name:
        return None
    found = getattr(sys.modules.get(module), known, None)
    return Expression(name, (Import(module, known, name),)) if found is value else None


def _is_literal(value: Any) -> bool:
    """Tell whether the repr of a value is a literal of it."""
    if isinstance(value, float):
        return value - value == 0
    if type(value) in (list, tuple):
        return all(map(_is_literal, value))
    if type(value) is dict:
        return all(_is_literal(key) and _is_literal(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str, bytes)
