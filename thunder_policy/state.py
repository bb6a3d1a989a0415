"""What goes into a state, what comes back out of it, and how what failed is taken back."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import inspect
import io
import math
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Sequence
from types import MemberDescriptorType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .checks import epoch_number, real, short
from .groups import ParamGroup, copy_of, is_fillable

# What a state holds beside attributes; `_group_lrs` is of 0.1.0, and the last two are of torch.
KNOWN_KEYS = frozenset(
    {"last_epoch", "_step_count", "base_lrs", "_last_lr", "option", "_policy", "_planned"}
    | {"_group_lrs", "_is_initial", "_get_lr_called_within_step"}
)


def slots(instance: object) -> list[str]:
    """Return the names of the ``__slots__`` that an instance has filled."""
    return [
        name
        for owner in type(instance).__mro__
        if "__slots__" in vars(owner)
        for name, member in vars(owner).items()
        if isinstance(member, MemberDescriptorType) and hasattr(instance, name)
    ]


def attributes(instance: object) -> dict[str, Any]:
    """Return the attributes of an instance, from ``__dict__`` and from ``__slots__``."""
    return {name: getattr(instance, name) for name in slots(instance)} | vars(instance)


def is_unbound(value: object) -> bool:
    """Tell whether a value is a scheduler without an optimizer: configuration, no state."""
    return isinstance(value, LRScheduler) and not hasattr(value, "optimizer")


def bound_schedulers(value: object, known: set[int] | None = None) -> Iterator[LRScheduler]:
    """Find the bound schedulers: a value, and those in it, in lists and in each other."""
    known = set() if known is None else known
    if id(value) not in known:
        known.add(id(value))
        if isinstance(value, LRScheduler):
            if not is_unbound(value):
                yield value
            value = [*attributes(value).values()]
        for item in value if isinstance(value, (list, tuple)) else ():
            yield from bound_schedulers(item, known)


class AllOrNothing:
    """Puts objects, and what the groups of optimizers hold, back where what is done raises."""

    def __init__(self, objects: Sequence[Any], optimizers: Sequence[Optimizer]) -> None:
        self.attributes: list[tuple[Any, dict[str, Any]]] = [
            (one, vars(one).copy()) for one in objects
        ]
        self.slots: list[tuple[Any, str, Any]] = [
            (one, name, getattr(one, name)) for one in objects for name in slots(one)
        ]
        groups: list[ParamGroup] = [group for one in optimizers for group in one.param_groups]
        self.groups: list[tuple[ParamGroup, ParamGroup]] = [(one, one.copy()) for one in groups]
        held = [value for group in groups for value in group.values()]
        held += [beta for group in groups for beta in group.get("betas", ())]
        lrs = [value for value in held if isinstance(value, Tensor) and is_fillable(value)]
        self.tensors: list[tuple[Tensor, Tensor]] = [(lr, copy_of(lr)) for lr in lrs]

    def __enter__(self) -> None:
        pass

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            return
        for group, before in self.groups:
            _put_back(group, before)
        for tensor, value in self.tensors:
            tensor.copy_(value)
        for one, name, value in self.slots:
            setattr(one, name, value)
        for one, attributes in self.attributes:
            _put_back(vars(one), attributes)  # a wrapper may forward what is set, and share it


def _put_back(now: dict[str, Any], before: dict[str, Any]) -> None:
    now.update(before)
    for key in now.keys() - before.keys():
        del now[key]


def read_epoch(state: Any, option: str, who: str) -> int:
    """Return the ``last_epoch`` of a state, or refuse the state."""
    if not isinstance(state, dict):
        raise TypeError(f"{who}: a state must be a dict, not {short(state)}")
    if "last_epoch" not in state:
        raise ValueError(f"{who}: the state has no last_epoch: is it that of a scheduler?")
    saved_option = state.get("option", "lr")
    if saved_option != option:
        raise ValueError(f"{who}: the state is of the option {short(saved_option)}, not {option!r}")
    # Below 0 is a policy that has not begun: SequentialLR takes it there.
    what = f"{who}: last_epoch in the state"
    epoch = epoch_number(state["last_epoch"], what, least=-math.inf)
    if epoch.bit_length() > 64:
        raise ValueError(f"{what} must fit 64 bits, not {short(epoch)}")
    return epoch


def read_lrs(state: dict[str, Any], key: str, n: int, who: str) -> list[float]:
    """Return one number a group from a state, or refuse what is there."""
    what = f"{who}: {key} in the state"
    if key not in state:
        raise ValueError(f"{who}: the state has no {key}: is it that of a scheduler?")
    lrs = state[key]
    is_tensor = isinstance(lrs, Tensor) and lrs.ndim == 1  # of 0.1.0
    if not is_tensor and type(lrs) not in (list, tuple):  # another class may be without end
        raise TypeError(f"{what} must be a list of lrs, not {short(lrs)}")
    if len(lrs) != n:
        raise ValueError(f"{what}: got {len(lrs)} lrs and {n} param groups")
    return [real(lr, f"{what}, group {i}: the lr", any_shape=True) for i, lr in enumerate(lrs)]


def saved(value: Any, who: str, name: str) -> object:
    """Copy an attribute for a state.

    Raises:
        TypeError: If ``torch.load(..., weights_only=True)`` would refuse it (pytorch#98921,
            #163105, #94450).
    """
    if isinstance(value, LRScheduler):
        return value.state_dict()
    buffer = io.BytesIO()
    try:
        torch.save(_rebuilt(value, _without_numpy, {}), buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)
    except Exception as error:
        raise TypeError(
            f"{who}.{name} is {short(value)} ({type(value).__name__}), which torch.load(..., "
            f"weights_only=True) refuses: leave it out, by prepare_state_dict({name!r}) in a "
            "state_dict() of your own"
        ) from error


def _without_numpy(value: Any) -> Any:
    """Return a Python number for a NumPy scalar; an array can be written into."""
    scalar = type(value).__module__ == "numpy" and not hasattr(value, "__setitem__")
    return value.item() if scalar else value


def _rebuilt(value: Any, leaf: Callable[[Any], Any], known: dict[int, Any]) -> Any:
    """Copy lists and dicts, and what is in them by a function, each but once.

    Lists that share lists, ten each, can stand for 10**40 numbers; ``deepcopy`` visits those of
    tuples one by one.
    """
    if id(value) not in known:
        kind = type(value)
        if kind in (list, tuple):
            new = kind([_rebuilt(one, leaf, known) for one in value])
        elif kind in (dict, OrderedDict):
            pairs = ([_rebuilt(one, leaf, known) for one in pair] for pair in value.items())
            new = kind(pairs)
        else:
            new = leaf(value)
        known[id(value)] = new
    return known[id(value)]


def save_each(instance: object, leave_out: Container[str]) -> dict[str, object]:
    """Copy the attributes of an instance for a state, but for some."""
    owner = type(instance)
    return {
        name: saved(value, owner.__name__, name)
        for name, value in attributes(instance).items()
        if name not in leave_out and _is_attribute(owner, name) and not is_unbound(value)
    }


def read_each(instance: object, state: dict[Any, Any], taken: Container[object]) -> dict[str, Any]:
    """Copy what a state has for the attributes of an instance.

    Args:
        instance: Whose attributes they are.
        state: The state, without what is known of it.
        taken: Keys that are refused.

    Raises:
        ValueError: If a key is taken, or names no attribute, or what it has cannot be copied; or
            the attribute is a scheduler that is not bound, as it was when it was saved.
    """
    found: dict[str, Any] = {}
    for key, value in state.items():
        what = f"{type(instance).__name__}: {short(key)} in the state"
        if key in taken or not _is_attribute(type(instance), key) or _is_code(instance, key):
            raise ValueError(f"{what} is no attribute that can be loaded")
        if is_unbound(getattr(instance, key, None)):
            raise ValueError(f"{what} is that of a scheduler which is not bound: bind it first")
        try:
            found[key] = _rebuilt(value, copy.deepcopy, {})
        except Exception as error:
            raise ValueError(f"{what} cannot be copied: {short(value)}") from error
    return found


def _is_attribute(owner: type, name: object) -> bool:
    """Tell whether a name can be an attribute of an instance, and is no method or property."""
    if not isinstance(name, str) or name.startswith("__"):
        return False
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, MemberDescriptorType):
        return True
    return not callable(found) and not hasattr(found, "__get__")


def _is_code(instance: object, name: str) -> bool:
    """Tell whether a class of the package has an attribute that no instance has: a constant."""
    classes = [
        one for one in type(instance).__mro__ if one.__module__.startswith(f"{__package__}.")
    ]
    return name not in vars(instance) and any(name in vars(one) for one in classes)
