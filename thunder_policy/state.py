"""What goes into a state, and what comes back out of it."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Container, Iterable, Iterator, Sequence
from types import MemberDescriptorType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from .checks import each, epoch_number, non_negative, real, short
from .epochs import unpaired
from .groups import Groups, Undo, copy_of, plain

# What a state holds beside attributes, and what torch has had there too.
_NUMBERS = frozenset({"last_epoch", "_step_count", "base_lrs", "_last_lr", "_group_lrs"})
_TORCH = frozenset({"_is_initial", "_get_lr_called_within_step"})

# What is in it for a mapping; the original package saved what a binding makes of that, too.
_MAPPING = frozenset({"mapping", "lr_init", "current_mapping", "current_lr_init"})


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
    numbers: list[float] = []
    for i, lr in enumerate(packed):
        plain(lr, f"{what}, group {i}: the lr")
        numbers.append(real(lr, f"{what}, group {i}: the lr", any_shape=True))
    return [
        lr.detach().reshape(()).clone() if isinstance(lr, Tensor) else number
        for lr, number in zip(packed, numbers)
    ]


class Numbers(NamedTuple):
    """What a state says of the lrs: the epoch, and one number a group of each kind."""

    epoch: int
    step_count: int
    base: list[float | Tensor]
    last: list[float]
    held: list[float]


def read(state: Any, groups: Groups, base: list[float | Tensor], who: str) -> Numbers:
    """Read the numbers of a state, for groups that can hold them, or refuse them.

    Args:
        state: What `state_dict` returned: of a Policy, of torch's or of the original package.
        groups: Where the lrs are to go.
        base: The ``base_lrs``, where the state has none.
        who: The policy, for an error.
    """
    if not isinstance(state, dict):
        raise TypeError(f"{who}: a state must be a dict, not {short(state)}")
    held_key = "_group_lrs" if "_group_lrs" in state else "_last_lr"
    for key in ("last_epoch", held_key):
        if key not in state:
            raise ValueError(f"{who}: the state has no {key}: is it that of a scheduler?")
    epoch = epoch_number(state["last_epoch"], f"{who}: last_epoch in the state")
    count = epoch_number(state.get("_step_count", epoch + 1), f"{who}: _step_count in the state")

    def lrs(key: str, default: object = None) -> list[float | Tensor]:
        return unpack(state.get(key, default), len(groups.seen), f"{who}: {key} in the state")

    held = [*map(float, lrs(held_key))]
    last = [*map(float, lrs("_last_lr", held))]
    base = lrs("base_lrs", base)
    for i, tensor in enumerate(groups.held):
        if tensor is not None:
            groups.check(i, held[i], f"{who}: {held_key} in the state, group {i}: the lr")
            groups.check(i, last[i], f"{who}: _last_lr in the state, group {i}: the lr")
            if isinstance(lr := base[i], Tensor):
                base[i] = lr.to(tensor.device)
    return Numbers(epoch, count, base, last, held)


class Mapped(NamedTuple):
    """What a state says of a mapping, and the rest of it."""

    mapping: Any
    lr_init: Any
    warning: str
    rest: Any


def read_mapping(state: Any, mapping: Any, lr_init: Any, who: str) -> Mapped:
    """Read mapping and ``lr_init`` from a state; where it has none, those of the policy stay."""
    if not isinstance(state, dict):
        return Mapped(mapping, lr_init, "", state)
    rest = {key: value for key, value in state.items() if key not in _MAPPING}
    lr_init = state.get("lr_init", lr_init)
    if lr_init is not None:
        lr_init = each(lr_init, f"{who}: lr_init in the state", non_negative)
    if "mapping" not in state or is_callable(mapping):
        return Mapped(mapping, lr_init, "", rest)
    saved = unpaired(state["mapping"], f"{who}: mapping in the state")
    if saved == mapping:
        return Mapped(saved, lr_init, "", rest)
    replaces = (
        f"{who}: the state has the mapping {short(saved)}, which replaces {short(mapping)}; "
        "to keep that, leave 'mapping' out of the state"
    )
    return Mapped(saved, lr_init, replaces, rest)


def is_callable(mapping: object) -> bool:
    """Tell whether any of what a policy maps by is code, which no state holds."""
    return any(map(callable, mapping if isinstance(mapping, list) else [mapping]))


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


def save_each(instance: object, leave_out: Container[str]) -> dict[str, object]:
    """Copy the attributes of an instance for a state, but for some."""
    owner = type(instance)
    return {
        name: saved(value, f"{owner.__name__}.{name}")
        for name, value in attributes(instance).items()
        if name not in leave_out and is_attribute(owner, name) and not is_unbound(value)
    }


def others(instance: object, state: dict[Any, Any], taken: Container[object]) -> dict[str, Any]:
    """Return what a state has beside its numbers: the attributes of a custom policy.

    Raises:
        ValueError: If a key is taken, or no attribute.
    """
    owner = type(instance)
    found = {key: value for key, value in state.items() if key not in _NUMBERS | _TORCH}
    for key in found:
        if key in taken or not is_attribute(owner, key):
            raise ValueError(
                f"{owner.__name__}: the state has the key {key!r}, which is no attribute"
            )
    if not hasattr(instance, "verbose"):
        found.pop("verbose", None)  # of torch, up to 2.6
    return found


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
            "weights_only=True) refuses: leave it out, by "
            f"prepare_state_dict({what.rpartition('.')[2]!r}) in a state_dict() of your own"
        ) from error


def _with_states(value: Any) -> object:
    if isinstance(value, LRScheduler):
        return None if is_unbound(value) else value.state_dict()
    if type(value) in (list, tuple):
        return type(value)(map(_with_states, value))
    if type(value) is dict:
        return {key: _with_states(item) for key, item in value.items()}
    return value


def load_each(instance: object, values: dict[str, Any]) -> dict[str, object]:
    """Return attributes of an instance from a state, as `loaded` does."""
    who = type(instance).__name__
    return {
        str(name): loaded(getattr(instance, name, None), value, f"{who}.{name}")
        for name, value in values.items()
    }


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
        try:
            return copy.deepcopy(value)
        except Exception as error:
            raise ValueError(f"{what} in the state cannot be copied: {short(value)}") from error
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
