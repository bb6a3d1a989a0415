"""Policies written as text: parsed, never evaluated."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import ast
import operator
import re
import sys
import warnings
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from . import schedules
from .checks import cut, short
from .mapping import Multiply, Scale, Schedule, Switch
from .messages import said
from .plateau import Plateau
from .policy import Policy
from .schedules import ScheduleFunction
from .simulate import is_several, is_simulated, schedulers
from .targets import TargetError, load_target

MAX_LENGTH = 100_000
MAX_MESSAGE = 300
MAX_DEPTH = 100
MAX_INT = 10**18
MAX_BITS = 1_000  # of a power, before it is computed

_NAMES: dict[str, Callable[..., Any]] = {
    **{policy.__name__: policy for policy in (Switch, Multiply, Schedule, Scale, Plateau)},
    **{name: getattr(schedules, name) for name in schedules.__all__ if name != "ScheduleFunction"},
}
_BY_NAME: dict[str, Any] = {
    policy.__name__: policy for policy in (Switch, Multiply, Schedule, Scale)
}
_METHODS = ("then", "in_steps")
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_TARGET = re.compile(rf"({_NAME}|.+\.py):{_NAME}", re.ASCII)


class ExpressionError(ValueError, ArgumentTypeError):
    """What was written is no policy; the message is one line, which argparse shows whole."""


def read(text: Any) -> Any:
    """Make the policy or the schedule that a text describes, as `thunder_policy.parse` does."""
    if not isinstance(text, str):
        kind = type(text).__name__
        raise TypeError(f"parse takes a text, not {short(text)} ({kind}): in YAML put it in quotes")
    value = _Parser(text).value()
    if isinstance(value, (Policy, ScheduleFunction)):
        return value
    raise _is_none(text, value)


def _is_none(text: str, value: object) -> ExpressionError:
    return ExpressionError(
        f"{short(text.strip())} is no policy and no schedule, but of type {type(value).__name__}; "
        "write Switch({0: 1e-3, 30: 1e-4}), for example"
    )


def load(text: str) -> Any:
    """Make the policy that a text describes.

    Args:
        text: An expression; or, for something to import, ``mypackage.train:policy`` or
            ``path/to/train.py:policy``.

    Returns:
        The policy, or the scheduler of torch. A schedule, or a list with one a group, ``None`` for
        a group to leave alone, is put into a `Schedule`. Several are a dict by name, as a mapping
        of them or a list with a policy in it has them.

    Raises:
        ExpressionError: If it is neither, or what it names is no policy.

    Example:
        >>> load("Switch({0: 1e-3, 30: 1e-3 / 10})")
        Switch(mapping={0: 0.001, 30: 0.0001}, lr_init=0.001)
        >>> load("warmup(5, Cosine(0.1, 0, epochs=85))").lr_at(5)
        [0.1]
    """
    name = text.strip()
    value = _import(name) if _TARGET.fullmatch(name) else _Parser(text).value()
    try:
        if is_simulated(value):
            named = schedulers("load", value)
            return named if is_several(value) else next(iter(named.values()))
    except (Exception, SystemExit) as error:  # somebody else's object, asked what it is
        raise ExpressionError(cut(f"{name} cannot be used: {said(error)}", MAX_MESSAGE)) from error
    raise _is_none(text, value)


def _import(target: str) -> Any:
    try:
        return load_target(target)
    except TargetError as error:
        raise ExpressionError(cut(f"{target}: {error}", MAX_MESSAGE)) from error


class _Parser:
    """Walks the syntax tree of an expression, and knows few kinds of nodes."""

    def __init__(self, text: str) -> None:
        # One line, as errors name columns alone.
        self.text = re.sub(r"\s", " ", text, flags=re.ASCII)
        self.indent = len(self.text) - len(self.text.lstrip())

    def value(self) -> Any:
        text = self.text.strip()
        if not text:
            raise self.error(0, "there is no policy")
        if len(self.text) > MAX_LENGTH:
            raise self.error(MAX_LENGTH, f"the expression is longer than {MAX_LENGTH:,} characters")
        for i, character in enumerate(self.text):
            if not character.isprintable():
                raise self.error(i, f"{character!a} is no printable character")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text, mode="eval")
        except SyntaxError as error:
            offset = error.offset - 1 if error.offset else len(text)  # none: at the end
            raise self.error(self.indent + offset, error.msg) from error
        except (RecursionError, MemoryError) as error:
            raise self.error(self.indent, "the expression is nested too deeply") from error
        return self.visit(tree.body, 0)

    def error(self, at: int | ast.expr, message: str) -> ExpressionError:
        column = at if isinstance(at, int) else self.column(at)
        return ExpressionError(f"column {column + 1}: {cut(message, MAX_MESSAGE)}")

    def column(self, node: ast.expr) -> int:
        # ast counts bytes.
        before = self.text[self.indent :].encode()[: node.col_offset]
        return self.indent + len(before.decode())

    def visit(self, node: ast.expr, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.error(node, "the expression is nested too deeply")
        depth += 1
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as value):
                return self.bounded(node, value)
            case ast.List(elts=elements):
                return [self.visit(element, depth) for element in elements]
            case ast.Tuple(elts=elements):
                return tuple(self.visit(element, depth) for element in elements)
            case ast.Dict(keys=keys, values=values):
                return self.dict(keys, values, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                number = self.number(operand, self.visit(operand, depth))
                return -number if isinstance(node.op, ast.USub) else number
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return self.operation(node, depth)
            case ast.Call():
                return self.call(node, depth)
            case ast.Name(id=name):
                if name in _NAMES:
                    raise self.error(node, f"{name} needs its arguments: {name}(...)")
                raise self.error(
                    node, f"unknown name {name}; known are {', '.join(sorted(_NAMES))}"
                )
            case _:
                allowed = "only policies, schedules, numbers, strings, lists and dicts are allowed"
                source = self.text[self.column(node) :]
                raise self.error(node, f"{allowed}; see {source[:40].rstrip()!r}")

    def dict(
        self, keys: list[ast.expr | None], values: list[ast.expr], depth: int
    ) -> dict[Any, Any]:
        result = {}
        for key, value in zip(keys, values):
            if key is None:
                raise self.error(value, "** is not allowed")
            name, one = self.visit(key, depth), self.visit(value, depth)
            named = isinstance(one, Mapping) or one is None or is_simulated(one)
            if not (isinstance(name, str) and named):
                name = self.number(key, name)
            if name in result:
                raise self.error(key, f"epoch {name!r} is given twice")
            result[name] = one
        return result

    def operation(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.visit(node.left, depth), self.visit(node.right, depth)
        for where, side in ((node.left, left), (node.right, right)):
            if not (isinstance(node.op, ast.Mult) and isinstance(side, ScheduleFunction)):
                self.number(where, side)
        whole = isinstance(left, int) and isinstance(right, int)
        if isinstance(node.op, ast.Pow) and whole and left.bit_length() * right > MAX_BITS:
            raise self.error(node, "a number here is too large")
        result = self.tried(node, lambda: _OPERATORS[type(node.op)](left, right))
        if isinstance(result, ScheduleFunction):
            return result
        return self.bounded(node, self.number(node, result))

    def call(self, node: ast.Call, depth: int) -> Any:
        match node.func:
            case ast.Name(id=name) if name in _NAMES:
                function = _NAMES[name]
            case ast.Attribute(value=ast.Name(id=owner), attr="by_name") if owner in _BY_NAME:
                name, function = f"{owner}.by_name", _BY_NAME[owner].by_name
            case ast.Attribute(value=owner, attr=name) if name in _METHODS:
                value = self.visit(owner, depth)
                if not (isinstance(value, (ScheduleFunction, Policy)) and hasattr(value, name)):
                    raise self.error(node, f"{type(value).__name__} has no {name}")
                function = getattr(value, name)
            case ast.Attribute(attr=name):
                raise self.error(node, f"unknown method {name}; known are {', '.join(_METHODS)}")
            case _:
                self.visit(node.func, depth)
                raise self.error(node, "only policies and schedules can be called")
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self.error(argument, "* is not allowed")
        arguments = [self.visit(argument, depth) for argument in node.args]
        keywords = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error(keyword.value, "** is not allowed")
            keywords[keyword.arg] = self.visit(keyword.value, depth)
        # The signature of a class would have types for their text, which is evaluated for that.
        is_class = isinstance(function, type)
        called: Any = function.__init__ if is_class else function
        try:
            signature(called).bind(*([None] * is_class), *arguments, **keywords)
        except TypeError as error:
            raise self.error(node, f"{name}: {error}") from error
        return self.tried(node, lambda: function(*arguments, **keywords))

    def tried(self, node: ast.expr, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except OverflowError as error:
            raise self.error(node, "a number here is too large") from error
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise self.error(node, " ".join(str(error).split())) from error

    def number(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(node, f"this must be a real number, not {short(value)}")
        return value

    def bounded(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, (int, float)) and not abs(value) <= (
            MAX_INT if isinstance(value, int) else sys.float_info.max
        ):
            raise self.error(node, "a number here is too large")
        return value
