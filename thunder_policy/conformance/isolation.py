"""The world as it was: a law leaves no trace, whatever the policy under it does."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import copy
import functools
import inspect
import io
import random
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim.lr_scheduler import LRScheduler

from ..policy import Policy
from .declared import assumed
from .process_settings import defined, process, put_back, unpatch
from .runs import plain

Function = TypeVar("Function", bound=Callable[..., Any])

_KNOWN = {"numpy", "torch", "sympy", "mpmath"}  # torch brings the last two, which are large
OTHERS = {*sys.stdlib_module_names, *_KNOWN, Policy.__module__.partition(".")[0]}
_CONTAINERS = (list, dict, set)


class _ToErrors(io.TextIOBase):
    """Writes where errors go, and is not that stream itself: who sets one as the other is seen."""

    def write(self, text: str) -> int:
        print(text, end="", file=sys.stderr)  # which need not be there
        return len(text)


SEED = 0x5EED
"""A seed that nobody sets: a policy that set the same one would go unnoticed."""


@contextmanager
def isolated(factory: object) -> Generator[None, None, None]:
    """Put back, at the end, what a law or the policy under it may have changed.

    That is: the states of the random generators, the warnings filters, what is set for the process,
    and what the objects and classes hold that the factory names, and the methods of its classes.

    In the block the generators start from `SEED`, so that a report does not depend on what was
    drawn; and what is printed goes where errors do, so that a report holds nothing else.
    """
    numpy = sys.modules.get("numpy")
    python_state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    before = process()
    kept = [(target, _copied(target)) for target in _given(factory)]
    # torch.manual_seed would seed GPUs too, and note the call where CUDA is not in use yet.
    in_use: Callable[[], bool] = torch.cuda.is_initialized  # torch gives it no type
    devices = range(torch.cuda.device_count()) if in_use() else ()
    with torch.random.fork_rng(devices), warnings.catch_warnings(), redirect_stdout(_ToErrors()):
        warnings.simplefilter("ignore")
        definitions = defined()
        random.seed(SEED)
        torch.default_generator.manual_seed(SEED)
        if numpy:
            numpy.random.seed(SEED)
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy:
                numpy.random.set_state(numpy_state)
            unpatch(definitions)
            put_back(before)
            for target, copied in kept:
                _put_back(target, copied)


def once(function: Function) -> Function:
    """Let a function of a factory be computed in isolation, and once in a check of one subject.

    What it returns is copied each time, so that nobody writes into what another is given.

    Example:
        >>> from thunder_policy.conformance.declared import assume
        >>> @once
        ... def drawn(make):
        ...     return make()
        >>> with assume():
        ...     drawn(random.random) == drawn(random.random)
        True
    """

    @functools.wraps(function)
    def answer(make: Any, *given: Any) -> Any:
        answers, key = assumed("answers"), (function.__name__, id(make), repr(given))
        if answers is None:
            answers = {}  # nothing is checked now, as in a reproduction
        if key not in answers:
            with isolated(make):
                # Beside the factory, so that no other one gets its id.
                answers[key] = make, function(make, *given)
        return copy.deepcopy(answers[key][1])

    return cast("Function", answer)


def arguments(factory: object) -> dict[str, Any]:
    """Return the containers, tensors and arrays that a factory makes policies of."""
    return {name: value for name, value in _sources(factory) if isinstance(value, _writable())}


@contextmanager
def keeping_arguments(factory: object) -> Generator[None, None, None]:
    """Put back, at the end, what the containers hold that a factory makes policies of."""
    kept = [(target, _copied(target)) for target in _and_within([*arguments(factory).values()])]
    yield
    for target, copied in kept:
        _put_back(target, copied)


def held_in(value: object) -> set[int]:
    """Return the ids of the containers, tensors and arrays that are in a value or in its parts.

    What can be called is no part, but for a scheduler: a callback is the caller's own.
    """
    found: dict[int, Any] = {}
    parts = [value]
    for part in parts:  # it grows
        if id(part) in found:
            continue
        found[id(part)] = part
        if isinstance(part, (*_CONTAINERS, tuple)):
            parts += part.values() if isinstance(part, dict) else part
        elif isinstance(part, LRScheduler) or not (callable(part) or isinstance(part, ModuleType)):
            parts += getattr(part, "__dict__", {}).values()
    return {key for key, part in found.items() if isinstance(part, _writable())}


def _sources(factory: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a factory refers to, by name: closure, globals, defaults, partial arguments."""
    if isinstance(factory, functools.partial):
        yield from ((f"argument {i}", value) for i, value in enumerate(factory.args))
        yield from factory.keywords.items()
        for part in (factory.func, *factory.args):
            yield from _sources(part)
    elif isinstance(factory, FunctionType):
        variables = inspect.getclosurevars(factory)
        yield from variables.nonlocals.items()
        yield from variables.globals.items()
        yield from ((f"default {i}", v) for i, v in enumerate(factory.__defaults__ or ()))
        yield from (factory.__kwdefaults__ or {}).items()


def _given(factory: object) -> list[Any]:
    """Return what a policy of this factory may write into, and the classes that it may."""
    own = getattr(factory, "__dict__", None)  # of a class it is no dict
    found: list[Any] = [own] if isinstance(own, dict) else []
    named = [factory, *(value for _, value in _sources(factory))]
    known = {*map(id, named)}
    for value in named:  # it grows
        if isinstance(value, type) and _is_own(value):
            found += [value, *_modules_of(value)]
            more = [*value.__mro__, *vars(value).values()]
        elif isinstance(value, FunctionType) and value is not factory:
            found += [vars(value), *_modules_of(value)]
            scope, names = value.__globals__, [*_names(value.__code__)]
            more = [scope[name] for name in names if name in scope]
            more += [scope[name] for scope in _modules(more) for name in names if name in scope]
            more += value.__defaults__ or ()
            # Of another module it is that module's affair what its functions name.
            more = [one for one in more if _is_beside(one, value)]
        else:
            found += [value] if isinstance(value, _writable()) else [*_parts(value)]
            more = [type(value)]
        named += [one for one in more if id(one) not in known]
        known |= {*map(id, more)}
    return _and_within(found)


def _is_beside(value: object, function: FunctionType) -> bool:
    """Tell whether a value is data, or else code of the module that a function is in."""
    is_code = isinstance(value, (type, FunctionType))
    return not is_code or getattr(value, "__module__", None) == function.__module__


def _modules_of(code: Any) -> list[ModuleType]:
    """Return the modules whose names a class or a function may set: its own, and others it names.

    Of these only the names are put back, and not what is in the things that they stand for.
    """
    methods = [*vars(code).values()] if isinstance(code, type) else [code]
    functions = [one for one in methods if isinstance(one, FunctionType)]
    named = [one.__globals__.get(name) for one in functions for name in _names(one.__code__)]
    own = [sys.modules.get(code.__module__), *named]
    modules = [one for one in own if isinstance(one, ModuleType)]
    return [one for one in modules if one.__name__.partition(".")[0] not in OTHERS]


def _is_own(kind: type) -> bool:
    """Tell whether a class is of whoever is checked: not of Python, NumPy, torch or this package.

    A model is too large to be copied, and no policy writes it.
    """
    return kind.__module__.partition(".")[0] not in OTHERS and not issubclass(kind, Module)


def _modules(values: Sequence[object]) -> list[dict[str, Any]]:
    """Return what is in the modules among some values, but for those of Python and its like."""
    modules = [value for value in values if isinstance(value, ModuleType)]
    return [vars(one) for one in modules if one.__name__.partition(".")[0] not in OTHERS]


def _parts(value: object) -> list[Any]:
    """Return what an object of somebody's own class holds in its attributes, as one dict."""
    return [vars(value)] if _is_own(type(value)) and hasattr(value, "__dict__") else []


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code and the code inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _and_within(targets: Sequence[Any]) -> list[Any]:
    """Return values that can be written into, and those in them, each once."""
    found: dict[int, Any] = {}
    looked_at, kinds = [*targets], (*_writable(), tuple)
    for value in looked_at:  # it grows
        if id(value) not in found:
            found[id(value)] = value
            items: Any = ()
            if isinstance(value, (*_CONTAINERS, tuple)):
                items = value.values() if isinstance(value, dict) else value
            elif isinstance(value, type):
                items = vars(value).values()
            looked_at += [item for item in items if isinstance(item, kinds)]
            looked_at += [part for item in items for part in _parts(item)]
    return [value for value in found.values() if not isinstance(value, tuple)]


def _writable() -> tuple[type, ...]:
    """Return the types of what may be written into; NumPy need not be there."""
    numpy = sys.modules.get("numpy")
    return (*_CONTAINERS, Tensor, *((numpy.ndarray,) if numpy else ()))


def _copied(target: Any) -> Any:
    """Copy what a target holds; what that holds in turn is a target of its own."""
    if isinstance(target, (type, ModuleType)):
        own = vars(target).items()
        return {name: value for name, value in own if not name.startswith("__")}
    for kind in _CONTAINERS:
        if isinstance(target, kind):
            return kind(target)
    return target.detach().clone() if isinstance(target, Tensor) else target.copy()


def _put_back(target: Any, copied: Any) -> None:
    """Write into a target what it held, the same objects, where it holds something else now."""
    if isinstance(target, (type, ModuleType)):
        now = _copied(target)
        for name in now.keys() - copied.keys():
            delattr(target, name)
        for name, value in copied.items():
            if now.get(name, now) is not value:
                setattr(target, name, value)
    elif isinstance(target, _CONTAINERS):
        if _identities(target) != _identities(copied):
            target.clear()
            (target.extend if isinstance(target, list) else target.update)(copied)
    elif plain(target) != plain(copied):
        if isinstance(target, Tensor):
            with torch.no_grad():
                target.copy_(copied)
        else:
            target[...] = copied


def _identities(container: Any) -> list[int]:
    values = container.values() if isinstance(container, dict) else ()
    return [id(item) for item in (*container, *values)]
