"""What param groups hold under an option such as ``lr``: read, and written all or nothing."""

# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import torch
from toolz import groupby  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor
from torch.nn import Parameter

from .checks import real, short

ParamGroup = dict[str, Any]
# The params and the name of a group, by which it is known when others come or go.
Known = tuple[tuple[Tensor, ...], Any]

# Says who asks and when, for an error: of all groups, or of the one at a place.
At = Callable[..., str]


def held(groups: Sequence[ParamGroup], option: str, at: At) -> list[Any]:
    """Return what each group holds: the live objects.

    Args:
        groups: The param groups.
        option: The key.
        at: Who asks, for an error.

    Raises:
        ValueError: If a group lacks the option.
    """
    try:
        return [*map(itemgetter(option), groups)]
    except KeyError:
        return [_held(group, option, at, i) for i, group in enumerate(groups)]


def _held(group: ParamGroup, option: str, at: At, i: int) -> Any:
    if option in group:
        return group[option]
    if option == "momentum" and "betas" in group:
        return group["betas"][0]  # as torch's cyclic schedulers have it
    has = ", ".join(key for key, value in group.items() if type(value) in (int, float))
    raise ValueError(f"{at(i)}: the param group has no {option}; it has {has or 'no numbers'}")


def copy_of(value: Any) -> Any:
    """Return a value that shares no memory with it (pytorch#126854, #162359)."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def has_data(value: Tensor) -> bool:
    """Tell whether there is anything in a tensor: not in a meta tensor, nor in a fake one."""
    return value.device.type != "meta" and type(value).__name__ != "FakeTensor"


def number(value: Any, what: str) -> Any:
    """Return the number that a group holds; reading it from an accelerator waits for that.

    A tensor that has no data stays one.

    Raises:
        ValueError: If the group holds no number.
    """
    if isinstance(value, Tensor) and not has_data(value):
        return copy_of(value)
    try:
        return real(value, what, any_shape=True)
    except TypeError as error:
        raise ValueError(str(error)) from None


def known(groups: Sequence[ParamGroup]) -> list[Known]:
    """Return what each group is known again by."""
    return [(tuple(group["params"]), group.get("name")) for group in groups]


def places(before: Sequence[Known], groups: Sequence[ParamGroup]) -> list[int | None]:
    """Return the place that each group had before; ``None`` for one that came.

    As many as before are the same, each in its place.
    """
    if len(groups) == len(before):
        return [*range(len(groups))]
    filled = [i for i, (params, _) in enumerate(before) if params]
    if len(groups) == len(filled) and all(group["params"] for group in groups):
        return [*filled]  # DeepSpeed drops empty groups, ZeRO replaces params (transformers#43692)
    at = {id(param): i for i, (params, _) in enumerate(before) for param in params}
    return [next((at[id(p)] for p in group["params"] if id(p) in at), None) for group in groups]


# A group, a key of it, and what it is to hold there.
Assignment = tuple[ParamGroup, str, Any]
# What `put` writes: groups with a key and a value each, and tensors with what they are filled with.
# All of it can be gone through twice.
Writes = tuple[Sequence[ParamGroup], Iterable[str], Sequence[Any], Sequence[tuple[Tensor, Any]]]


def fitted(
    groups: Sequence[ParamGroup],
    option: str,
    values: Any,
    at: At,
    left_alone: Container[int] = (),
) -> Writes:
    """Return what `put` is to write for one value a group, or refuse all.

    A number replaces a number. A tensor stays the same object and is filled in place
    (pytorch#107076, #120934).

    Args:
        groups: The param groups.
        option: The key of what is written.
        values: One finite real number a group, in a sequence.
        at: Who writes, for an error.
        left_alone: The places of groups that are not written.

    Raises:
        TypeError: If that is no sequence, or something in it is no real number.
        ValueError: If it is of another length, or a group cannot hold its value.
    """
    if type(values) is not list or len(values) != len(groups):
        _check_sequence(values, len(groups), at)
    # A short cut beside that of `Policy.step`: finite floats for groups that all hold floats. What
    # follows would take four times as long. Left to it is all else: as soon as one group or value
    # is something else, or a group is to be left alone.
    if not left_alone and _all_floats(groups, option, values):
        return groups, repeat(option), values, ()
    return _fitted(groups, option, values, at, left_alone)


def _all_floats(groups: Sequence[ParamGroup], option: str, values: Sequence[Any]) -> bool:
    for value in values:
        if type(value) is not float or value - value != 0.0:  # nan or inf
            return False
    for group in groups:  # noqa: SIM110  a generator takes four times as long for one group
        if type(group.get(option)) is not float:
            return False
    return True


def _fitted(
    groups: Sequence[ParamGroup],
    option: str,
    values: Sequence[Any],
    at: At,
    left_alone: Container[int],
) -> Writes:
    lrs = held(groups, option, at)
    numbers: list[Assignment] = []
    fills: dict[int, Any] = {}
    for i, (lr, value) in enumerate(zip(lrs, values)):
        if i in left_alone:
            continue
        if isinstance(lr, Tensor):
            fills[i] = _filling(value, lr, i, option, at)
        else:
            what = f"{at(i)}: the {option}"
            number(lr, what)
            numbers.append(assignment(groups[i], option, real(value, what, any_shape=True)))
    numbers += _parted(groups, option, lrs)
    far = {i: value for i, value in fills.items() if isinstance(value, Tensor)}
    if far:
        live = {_memory(lr) for lr in lrs if isinstance(lr, Tensor)}
        for i, value in far.items():  # none is read once it is written
            value = value.clone() if _memory(value) in live else value
            fills[i] = value.detach().reshape(() if on_host(lrs[i]) else lrs[i].shape)
    written, keys, new = zip(*numbers) if numbers else ((), (), ())
    return written, keys, new, [(lrs[i], value) for i, value in fills.items()]


def assignment(group: ParamGroup, option: str, value: Any) -> Assignment:
    """Return where a value goes: ``momentum`` may be the first of ``betas``."""
    if option in group:
        return group, option, value
    return group, "betas", (value, *group["betas"][1:])


def _parted(groups: Sequence[ParamGroup], option: str, lrs: list[Any]) -> list[Assignment]:
    """Give tensors that share memory one each: the first keeps it, the others become clones.

    An ``initial_lr`` too, which SequentialLR makes the lr of a group. The clones are put among the
    lrs, and returned with their places in the groups.
    """
    taken: set[object] = set()
    clones: list[Assignment] = []
    for i, (group, lr) in enumerate(zip(groups, lrs)):
        if _is_taken(lr, taken):
            lrs[i] = _writable_clone(lr)
            clones.append(assignment(group, option, lrs[i]))
    clones += [
        (group, "initial_lr", _writable_clone(group["initial_lr"]))
        for group in groups
        if option == "lr" and _is_taken(group.get("initial_lr"), taken)
    ]
    return clones


def _is_taken(value: object, taken: set[object]) -> bool:
    """Tell whether an earlier tensor has the memory of a value, and note that it is taken."""
    if not isinstance(value, Tensor):
        return False
    before = len(taken)
    taken.add(_memory(value))
    return len(taken) == before


def _writable_clone(value: Tensor) -> Tensor:
    with torch.inference_mode(False):  # else it could not be written later
        return value.detach().clone()


def put(
    groups: Sequence[ParamGroup],
    keys: Iterable[str],
    values: Sequence[Any],
    fills: Sequence[tuple[Tensor, Any]],
) -> None:
    """Write what was `fitted`; a second time that changes nothing more."""
    for group, key, value in zip(groups, keys, values):
        group[key] = value
    if fills:
        _fill(fills)


def finished(writes: Writes) -> bool:
    """Finish a `put` that was interrupted, as what a tensor held may be lost; tell if it could."""
    with suppress(Exception):
        put(*writes)
        return True
    return False


def _check_sequence(values: Any, n: int, at: At) -> None:
    if not isinstance(values, Sequence):
        raise TypeError(
            f"{at()}: get_lr() must return a list or another sequence of lrs, "
            f"not {short(values)} ({type(values).__name__})"
        )
    if len(values) != n:
        raise ValueError(f"{at()}: got {len(values)} lrs from get_lr() and {n} param groups")


def _filling(value: Any, lr: Tensor, i: int, option: str, at: At) -> Any:
    """Return what a tensor is filled with for a value, or refuse it.

    It is a float, or a tensor that is not on the host, as to read that would wait (pytorch#133663).
    """
    if not is_fillable(lr):
        raise ValueError(
            f"{at(i)}: the {option} cannot be written: the group's tensor must be floating, have "
            f"one element, not require grad and not be of inference mode, unlike {short(lr)}"
        )
    if on_host(value):
        value = value.item() if value.numel() == 1 else value
    if type(value) is not float or value - value != 0.0:
        if (
            isinstance(value, Tensor)
            and value.is_floating_point()
            and (value.device, value.numel()) == (lr.device, 1)
        ):
            return value
        value = real(value, f"{at(i)}: the {option}", any_shape=True)
    if abs(value) > _limit(lr.dtype):
        what = f"{at(i)}: the {option} {value}"
        raise ValueError(f"{what} does not fit the group's tensor, of {lr.dtype}")
    return value


@cache
def _limit(dtype: torch.dtype) -> float:
    """Return the largest number that a tensor can be filled with."""
    return torch.finfo(dtype).max


def on_host(value: object) -> bool:
    """Tell whether a tensor can be read without waiting: fake tensors and subclasses cannot."""
    return (type(value) is Tensor or type(value) is Parameter) and value.is_cpu


def is_fillable(value: Tensor) -> bool:
    """Tell whether a lr can be written into a tensor, in place."""
    return (
        value.is_floating_point()
        and value.numel() == 1
        and not value.requires_grad
        and not (value.is_inference() and not torch.is_inference_mode_enabled())
    )


def _memory(value: Tensor) -> object:
    """Name the memory of a tensor of one element: equal for two that share it."""
    if not on_host(value) and not has_data(value):
        return id(value)
    return value.data_ptr() if value.is_cpu else (value.device, value.data_ptr())


def _fill(fills: Sequence[tuple[Tensor, Any]]) -> None:
    """Fill tensors; on accelerators by two ops a device and dtype, however many there are."""
    far: list[tuple[Tensor, Any]] = []
    for tensor, value in fills:
        if on_host(tensor):
            tensor.fill_(value)
        else:
            far.append((tensor, value))
    for batch in groupby(lambda pair: (pair[0].device, pair[0].dtype, type(pair[1])), far).values():
        tensors, values = map(list, zip(*batch))
        if isinstance(values[0], Tensor):
            torch._foreach_copy_(tensors, values)
        else:
            # A CPU tensor as the source would be n copies to the device; numbers are arguments.
            torch._foreach_zero_(tensors)
            torch._foreach_add_(tensors, values)
