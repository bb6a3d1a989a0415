"""The world as it was: a law leaves no trace, whatever the policy under it does."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import functools
import gc
import inspect
import random
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from ..policy import Policy
from .kit import plain

_OURS = (Policy.__module__.partition(".")[0] + ".", "torch.")
_CONTAINERS = (list, dict, set)

SEED = 0x5EED
"""A seed that nobody sets: a policy that set the same one would go unnoticed."""


@contextmanager
def isolated(factory: object) -> Generator[None, None, None]:
    """Put back, at the end, what a law or the policy under it may have changed.

    That is: the states of the random generators, the warnings filters, the default dtype, grad
    mode, the number of threads, gc, and what the factory, its containers and its classes hold.

    In the block the generators start from `SEED`, so that a report does not depend on what was
    drawn.
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
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            (gc.enable if collecting else gc.disable)()
            for target, copied in kept:
                _put_back(target, copied)


def arguments(factory: object) -> dict[str, Any]:
    """Return the containers, tensors and arrays that a factory makes policies of."""
    return {name: value for name, value in _sources(factory) if isinstance(value, _writable())}


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
    """Return what a policy of this factory may write into, and its classes."""
    own = getattr(factory, "__dict__", None)  # of a class it is no dict
    found: list[Any] = [own] if isinstance(own, dict) else []
    written: list[type] = []
    classes = [factory] if isinstance(factory, type) else []
    for _, value in _sources(factory):
        if isinstance(value, _writable()):
            found.append(value)
        elif isinstance(value, type):
            classes.append(value)
    owners = [owner for cls in classes if issubclass(cls, LRScheduler) for owner in cls.__mro__]
    for owner in owners:
        if not f"{owner.__module__}.".startswith(_OURS) and owner not in written:
            written.append(owner)
            found.extend(value for value in vars(owner).values() if isinstance(value, _CONTAINERS))
            methods = [value for value in vars(owner).values() if isinstance(value, FunctionType)]
            found.extend(_reached(methods))
    return [*written, *_and_within(found)]


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


def _and_within(targets: Sequence[Any]) -> list[Any]:
    """Return values that can be written into, and those in them, each once."""
    found: dict[int, Any] = {}
    looked_at, kinds = [*targets], (*_writable(), tuple)
    for value in looked_at:  # it grows
        if id(value) not in found:
            found[id(value)] = value
            if isinstance(value, (*_CONTAINERS, tuple)):
                items = value.values() if isinstance(value, dict) else value
                looked_at += [item for item in items if isinstance(item, kinds)]
    return [value for value in found.values() if not isinstance(value, tuple)]


def _writable() -> tuple[type, ...]:
    """Return the types of what may be written into; NumPy need not be there."""
    numpy = sys.modules.get("numpy")
    return (*_CONTAINERS, Tensor, *((numpy.ndarray,) if numpy else ()))


def _copied(target: Any) -> Any:
    """Copy what a target holds; what that holds in turn is a target of its own."""
    if isinstance(target, type):
        own = vars(target).items()
        return {name: value for name, value in own if not name.startswith("__")}
    for kind in _CONTAINERS:
        if isinstance(target, kind):
            return kind(target)
    return target.detach().clone() if isinstance(target, Tensor) else target.copy()


def _put_back(target: Any, copied: Any) -> None:
    """Write into a target what it held, the same objects, where it holds something else now."""
    if isinstance(target, type):
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
