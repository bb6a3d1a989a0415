"""What goes into a state, and what comes back out of it."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MemberDescriptorType
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from .checks import epoch_mapping, real, short
from .groups import Undo, copy_of


def pack(lrs: Sequence[float | Tensor]) -> list[float | Tensor] | Tensor:
    """Copy lrs for a state: one 1-D tensor for tensors of one dtype and device, else a list.

    A pickled tensor takes 800 bytes, whatever it holds; one for all of them keeps a state small.
    """
    tensors = [lr.detach() for lr in lrs if isinstance(lr, Tensor)]
    if tensors and len(tensors) == len(lrs) and len({(t.dtype, t.device) for t in tensors}) == 1:
        return torch.stack([tensor.reshape(()) for tensor in tensors])
    return [copy_of(lr) if isinstance(lr, Tensor) else float(lr) for lr in lrs]


def unpack(packed: object, count: int, what: str) -> list[float | Tensor]:
    """Return lrs that were packed, as new numbers and 0-dim tensors, or refuse them."""
    if isinstance(packed, Tensor) and packed.ndim == 1:
        packed = [*packed]
    if not isinstance(packed, (list, tuple)):
        raise TypeError(f"{what} must be a list of lrs, not {short(packed)}")
    if len(packed) != count:
        raise ValueError(f"{what}: got {len(packed)} lrs and {count} param groups")
    numbers = [
        real(lr, f"{what}, group {i}: the lr", any_shape=True) for i, lr in enumerate(packed)
    ]
    return [
        lr.detach().reshape(()).clone() if isinstance(lr, Tensor) else number
        for lr, number in zip(packed, numbers)
    ]


def pairs(mapping: Any) -> list[Any]:
    """Return a mapping, or each of a list of them, as pairs of epoch and value."""
    if isinstance(mapping, list):
        return [*map(pairs, mapping)]
    return [[epoch, mapping[epoch]] for epoch in sorted(mapping)]


def unpaired(saved: Any, what: str) -> dict[int, float] | list[dict[int, float]]:
    """Return a mapping from a state: pairs, or a dict as the original package has; or a list."""

    def one(saved: Any, what: str) -> dict[int, float]:
        return epoch_mapping(dict(saved) if _are_pairs(saved) else saved, what)

    if isinstance(saved, (list, tuple)) and not _are_pairs(saved):
        return [one(each, f"{what}[{i}]") for i, each in enumerate(saved)]
    return one(saved, what)


def _are_pairs(saved: object) -> bool:
    return isinstance(saved, (list, tuple)) and all(
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and not isinstance(pair[0], (list, tuple, Mapping))
        for pair in saved
    )


def attributes(instance: object) -> dict[str, Any]:
    """Return the attributes of an instance, from ``__dict__`` and from ``__slots__``."""
    slots = [
        name
        for owner in type(instance).__mro__
        for name, member in vars(owner).items()
        if isinstance(member, MemberDescriptorType)
    ]
    return {
        **{name: getattr(instance, name) for name in slots if hasattr(instance, name)},
        **vars(instance),
    }


def is_attribute(owner: type, name: object) -> bool:
    """Tell whether a name can be an attribute of an instance, and is no method or property."""
    if not isinstance(name, str) or name.startswith("__"):
        return False
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, MemberDescriptorType):
        return True
    return not callable(found) and not hasattr(found, "__get__")


def is_unbound(value: object) -> bool:
    """Tell whether a value is a scheduler without an optimizer: configuration, no state."""
    return isinstance(value, LRScheduler) and not hasattr(value, "optimizer")


def saved(value: object, what: str) -> object:
    """Copy an attribute for a state, with the states of the schedulers in it.

    Raises:
        TypeError: If ``torch.load(..., weights_only=True)`` would refuse it (pytorch#98921,
            #163105, #94450).
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    buffer = io.BytesIO()
    try:
        torch.save(_with_states(value), buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)
    except Exception as error:
        raise TypeError(
            f"{what} is {short(value)} ({type(value).__name__}), which torch.load(..., "
            "weights_only=True) refuses: leave it out by prepare_state_dict in state_dict()"
        ) from error


def _with_states(value: Any) -> object:
    if isinstance(value, LRScheduler):
        return None if is_unbound(value) else value.state_dict()
    if type(value) in (list, tuple):
        return type(value)(map(_with_states, value))
    if type(value) is dict:
        return {key: _with_states(item) for key, item in value.items()}
    return value


def loaded(live: Any, value: Any, what: str) -> object:
    """Return an attribute from a state; schedulers in the live one load what is theirs.

    Raises:
        ValueError: If there are other schedulers in the live one than in the state, or not bound.
    """
    if isinstance(live, LRScheduler):
        if is_unbound(live):
            raise ValueError(f"{what} is not bound, as it was when it was saved: bind it first")
        live.load_state_dict(value)
        return live
    if not any(True for _ in schedulers(live)):
        return copy.deepcopy(value)
    if isinstance(live, dict) and isinstance(value, dict) and live.keys() == value.keys():
        return {key: _item(live[key], value[key], what) for key in live}
    if isinstance(live, (list, tuple)) and type(value) is type(live) and len(value) == len(live):
        return type(live)(_item(*pair, what) for pair in zip(live, value))
    raise ValueError(f"{what} holds other schedulers than the state: {short(value)}")


def _item(live: Any, value: Any, what: str) -> object:
    # What was not bound when it was saved has left None in its place.
    return live if value is None and isinstance(live, LRScheduler) else loaded(live, value, what)


def undo_load(values: Iterable[object]) -> Undo:
    """Return what takes back the loading of the schedulers in some attributes."""
    every = [scheduler for value in values for scheduler in schedulers(value)]
    found = [scheduler for scheduler in every if not is_unbound(scheduler)]
    groups = [group for scheduler in found for group in scheduler.optimizer.param_groups]
    return Undo(found, groups)


def schedulers(value: object, known: set[int] | None = None) -> Iterator[LRScheduler]:
    """Find the schedulers in an attribute, in lists, tuples and dicts and in each other."""
    known = set() if known is None else known
    if id(value) in known:
        return
    if isinstance(value, LRScheduler):
        known.add(id(value))
        yield value
        yield from schedulers([*attributes(value).values()], known)
    elif isinstance(value, (list, tuple, dict)):
        known.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from schedulers(item, known)
