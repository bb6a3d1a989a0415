"""Reproductions: a failed law as a program of a few lines that anybody can run."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch

from ..checks import short
from .declared import assume, declared_now
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
        import finds, a comment stands for it: put that there under its name. Without the source of
        the law, as in a frozen program, it is "".
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:
        return ""
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
                lines.append(f"# {name} = {_shown(value)}: no import finds it, so put it here")
            else:
                imports.extend(found.imports)
                lines.extend([*found.lines, f"{name} = {found.text}"])
    for name in sorted(used & function.__globals__.keys() - case.keys()):
        value = function.__globals__[name]
        if found := _reference(name, value):
            imports.extend(found.imports)
        elif _is_literal(value):
            lines.append(f"{name} = {value!r}")
    # What a law says of the types of its variables is not looked up.
    typed = any(isinstance(node, ast.AnnAssign) for node in ast.walk(ast.parse(body)))
    future = "from __future__ import annotations" if typed else ""
    parts = [future, _statements(imports), "\n".join(lines), f"# {sentence}\n{body}"]
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
        drawn = _by_text(value.written, value.drawn) or _by_text(short(value.drawn), value.drawn)
        return drawn and drawn._replace(text=f"lambda: {drawn.text}")
    if isinstance(value, functools.partial):
        keys = [""] * (1 + len(value.args)) + [f"{key}=" for key in value.keywords]
        call = _call("partial", keys, [value.func, *value.args, *value.keywords.values()])
        return call and call._replace(
            imports=(*call.imports, Import("functools", "partial", "partial"))
        )
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return _lambda(value)
    if isinstance(value, MethodType) and not isinstance(value.__self__, type):
        owner = _written(value.__self__)
        return owner and owner._replace(text=f"{owner.text}.{value.__name__}")
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        scalar: Any = value
        kind: str = type(scalar).__name__
        return Expression(f"{kind}({scalar.item()!r})", (Import("numpy", kind, kind),))
    return _reference(getattr(value, "__qualname__", ""), value) or _global(value)


def _call(function: str, keys: Sequence[str], values: Sequence[Any]) -> Expression | None:
    """Write a call of a function with these arguments."""
    parts = [_written(value) for value in values]
    written = [part for part in parts if part is not None]
    if len(written) < len(parts):
        return None
    texts = [key + part.text for key, part in zip(keys, written)]
    imports = [one for part in written for one in part.imports]
    lines = [line for part in written for line in part.lines]
    return Expression(f"{function}({', '.join(texts)})", tuple(imports), tuple(lines))


def _shown(value: Any) -> str:
    """Show what cannot be written down, for whoever puts it into a program: without addresses."""
    if isinstance(value, Copies):
        return f"lambda: {_shown(value.drawn)}"
    text = getattr(value, "__qualname__", None) or short(value)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _by_text(text: str, value: Any) -> Expression | None:
    """Write a policy as a text that says how it is made, if that makes an equal one."""
    scope, imports = dict[str, Any](), list[Import]()
    modules = [sys.modules[kind.__module__] for kind in _kinds(value)]
    try:
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        for name in sorted(names):
            for module in modules:
                if name in vars(module) and name not in scope:
                    scope[name] = vars(module)[name]
                    imports.append(Import(module.__name__, name, name))
        same = short(eval(text, scope)) == short(value)
    except Exception:
        return None
    known = [_reference(one.name, scope[one.name]) for one in imports]
    written = [one for found in known if found for one in found.imports]
    importable = len(written) == len(imports) and " at 0x" not in text
    return Expression(" ".join(text.split()), tuple(written)) if importable and same else None


def _kinds(value: Any) -> list[type]:
    """Return the classes of a value and of what is in its attributes and in lists there."""
    kinds, parts = list[type](), [value]
    for part in parts:  # it grows
        kinds.append(type(part))
        inner = (
            part
            if isinstance(part, (list, tuple))
            else vars(part).values()
            if hasattr(part, "__dict__")
            else ()
        )
        parts += [one for one in inner if all(one is not known for known in parts)]
    return kinds


def _global(value: Any) -> Expression | None:
    """Write something that a module holds under some name."""
    for module, found in [*sys.modules.items()]:
        # multiprocessing has the script under another name, too.
        if isinstance(found, ModuleType) and found is not sys.modules["__main__"]:
            for name, one in [*vars(found).items()]:
                if one is value and not name.startswith("_"):
                    return Expression(name, (Import(module, name, name),))
    return None


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
            found = _reference(name, value) or _written(value)
            if not found:
                return None
            imports.extend(found.imports)
            lines.extend(found.lines)
            if found.text != name:
                lines.append(f"{name} = {found.text}")
    imports.extend(_submodules(text, scope))
    return Expression(text, tuple(imports), tuple(sorted(lines)))


def _submodules(text: str, scope: Mapping[str, Any]) -> Iterator[Import]:
    """Yield the imports of modules that a text names with a dot, which somebody has loaded."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            root, *path = ast.unparse(node).split(".")
            found = scope.get(root)
            for name in path:
                found = getattr(found, name, None) if isinstance(found, ModuleType) else None
            if isinstance(found, ModuleType):
                yield Import(found.__name__, "", found.__name__)


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
            if any(_shape(again) == _shape(code) for again in _compiled(text, code, tree)):
                return text
    return None


def _compiled(text: str, code: CodeType, tree: ast.Module) -> Iterator[CodeType]:
    """Compile a lambda again, among names that are variables, and that are imported.

    Python 3.11 and later has other code for a call of what a module imports than of a method.
    """
    free, namespace = ", ".join(code.co_freevars), dict[str, Any]()
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {(one.asname or one.name).partition(".")[0] for node in imports for one in node.names}
    names -= {"*", "annotations"}
    for before in ("", f"if 0: import {', '.join(sorted(names | {'sys'}))}\n"):
        exec(f"{before}def around({free}):\n    return {text}", namespace)
        yield namespace["around"](*code.co_freevars).__code__


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
    if module is None or module == "__main__":
        return None
    outer, *inner = name.split(".")
    if inner:  # a class or a static method in a class
        found: Any = sys.modules.get(module)
        for part in (outer, *inner):
            found = getattr(found, part, None)
        return Expression(name, (Import(module, outer, outer),)) if found is value else None
    found = getattr(sys.modules.get(module), known, None)
    return Expression(name, (Import(module, known, name),)) if found is value else None


def _is_literal(value: Any) -> bool:
    """Tell whether the repr of a value is a literal of it."""
    if type(value) is float:
        return value - value == 0
    if type(value) in (list, tuple):
        return all(map(_is_literal, value))
    if type(value) is dict:
        return all(_is_literal(key) and _is_literal(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str, bytes)
