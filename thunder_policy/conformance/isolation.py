"""The world as it was: a law leaves no trace, whatever the policy under it does."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import copy
import functools
import gc
import inspect
import random
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from ..policy import Policy

_OURS = (Policy.__module__.partition(".")[0] + ".", "torch.")
_CONTAINERS = (list, dict, set)


@contextmanager
def isolated(factory: object) -> Generator[None, None, None]:
    """Put back the generators of random numbers, the filters, the defaults and the arguments.

    In the block the generators start from 0, so that a report does not depend on what was drawn.
    """
    numpy = sys.modules.get("numpy")
    python_state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    dtype, grad, collecting = torch.get_default_dtype(), torch.is_grad_enabled(), gc.isenabled()
    threads = torch.get_num_threads()
    kept = [(target, _copied(target)) for target in _given(factory)]
    # torch.manual_seed would seed GPUs too, and note the call where CUDA is not in use yet.
    in_use: Callable[[], bool] = torch.cuda.is_initialized  # torch gives it no type
    devices = range(torch.cuda.device_count()) if in_use() else ()
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        random.seed(0)
        torch.default_generator.manual_seed(0)
        if numpy:
            numpy.random.seed(0)
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy:
                numpy.random.set_state(numpy_state)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            if collecting:
                gc.enable()
            for target, copied in kept:
                _put_back(target, copied)


def arguments(factory: object) -> dict[str, object]:
    """Return copies of the lists, dicts, sets and tensors that a factory makes policies of."""
    found = {}
    for name, value in _sources(factory):
        if isinstance(value, _CONTAINERS):
            found[name] = _comparable(copy.deepcopy(value))
        elif isinstance(value, Tensor):
            found[name] = value.detach().tolist()
    return found


def _sources(factory: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a factory refers to, by name: closure, globals, defaults, partial arguments."""
    if isinstance(factory, functools.partial):
        yield from ((f"argument {i}", value) for i, value in enumerate(factory.args))
        yield from factory.keywords.items()
        yield from _sources(factory.func)
    elif isinstance(factory, FunctionType):
        variables = inspect.getclosurevars(factory)
        yield from variables.nonlocals.items()
        yield from variables.globals.items()
        yield from ((f"default {i}", v) for i, v in enumerate(factory.__defaults__ or ()))
        yield from (factory.__kwdefaults__ or {}).items()


def _given(factory: object) -> list[Any]:
    """Return the containers that a policy of this factory may write into, and its classes."""
    found: list[Any] = []
    classes = [factory] if isinstance(factory, type) else []
    for _, value in _sources(factory):
        if isinstance(value, (*_CONTAINERS, Tensor)):
            found.append(value)
        elif isinstance(value, type):
            classes.append(value)
    owners = [owner for cls in classes if issubclass(cls, LRScheduler) for owner in cls.__mro__]
    for owner in owners:
        if not f"{owner.__module__}.".startswith(_OURS) and owner not in found:
            found.append(owner)
            found.extend(value for value in vars(owner).values() if isinstance(value, _CONTAINERS))
            methods = [value for value in vars(owner).values() if isinstance(value, FunctionType)]
            found.extend(_reached(methods))
    return found


def _reached(functions: list[FunctionType]) -> list[Any]:
    """Return the global containers that functions name, and those that are their defaults."""
    found: list[Any] = []
    for function in functions:  # it grows
        values = [function.__globals__.get(name) for name in _names(function.__code__)]
        for value in [*values, *(function.__defaults__ or ())]:
            if isinstance(value, _CONTAINERS):
                found.append(value)
            elif (
                isinstance(value, FunctionType)
                and value.__module__ == function.__module__
                and value not in functions
            ):
                functions.append(value)
    return found


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code and the code inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _copied(target: Any) -> Any:
    if isinstance(target, type):
        plain = (int, float, str, type(None))
        return {
            name: value
            for name, value in vars(target).items()
            if isinstance(value, plain) and not name.startswith("__")
        }
    try:
        return copy.deepcopy(target)
    except Exception:  # a lock in a list, say
        return copy.copy(target)


def _put_back(target: Any, copied: Any) -> None:
    if isinstance(target, type):
        for name, value in copied.items():
            setattr(target, name, value)
    elif isinstance(target, Tensor):
        with torch.no_grad():
            target.copy_(copied)
    elif _comparable(target) != _comparable(copied):
        if isinstance(target, list):
            target[:] = copied
        else:
            target.clear()
            target.update(copied)


def _comparable(value: Any) -> Any:
    """Return a value in which tensors and arrays are lists, so that ``==`` gives a bool."""
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [*map(_comparable, value)]
    tolist: Callable[[], object] | None = getattr(value, "tolist", None)
    try:
        return tolist() if callable(tolist) else value
    except Exception:  # a fake tensor, which has no value
        return id(value)
