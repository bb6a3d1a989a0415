"""What param groups hold under an option such as ``lr``: read, and written all or nothing."""

# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from operator import itemgetter
from typing import Any

import torch
from toolz import groupby  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor
from torch.nn import Parameter

from .checks import real, short

ParamGroup = dict[str, Any]
Params = tuple[Tensor, ...]


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


def read(value: Any) -> Any:
    """Return the number in a tensor, or a copy of that where to read it would wait."""
    return value.item() if on_host(value) else copy_of(value)


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


def params_of(groups: Sequence[ParamGroup]) -> list[Params]:
    """Return the params of each group, by which it is known again."""
    return [tuple(group["params"]) for group in groups]


def places(before: Sequence[Params], groups: Sequence[ParamGroup]) -> list[int | None]:
    """Return the place that each group had before; ``None`` for one that came.

    Args:
        before: The params that each group had.
        groups: The groups that there are now. As many as before are the same, each in its place.
    """
    if len(groups) == len(before):
        return [*range(len(groups))]
    filled = [i for i, params in enumerate(before) if params]
    if len(groups) == len(filled) < len(before) and all(group["params"] for group in groups):
        return [*filled]  # DeepSpeed drops empty groups, ZeRO replaces params (transformers#43692)
    at = {id(param): i for i, params in enumerate(before) for param in params}
    return [next((at[id(p)] for p in group["params"] if id(p) in at), None) for group in groups]


# The arguments of `put`.
Writes = tuple[Sequence[ParamGroup], str, Sequence[Any], Sequence[Any], Sequence[Any]]


def write(
    groups: Sequence[ParamGroup],
    option: str,
    values: Any,
    at: At,
    left_alone: Collection[int] = (),
) -> None:
    """Write one value into each group, as `fitted` has it."""
    put(*fitted(groups, option, values, at, left_alone))


def fitted(
    groups: Sequence[ParamGroup],
    option: str,
    values: Any,
    at: At,
    left_alone: Collection[int] = (),
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
    # The rule: finite floats for groups that all hold floats. As soon as one is something else, or
    # a group is to be left alone, each is looked at: that takes several times as long.
    if not left_alone:
        for group, value in zip(groups, values):
            if type(value) is not float or type(group.get(option)) is not float or value - value:
                break
        else:
            return groups, option, values, (), ()
    return _fitted(groups, option, values, at, left_alone)


def _fitted(
    groups: Sequence[ParamGroup],
    option: str,
    values: Sequence[Any],
    at: At,
    left_alone: Collection[int],
) -> Writes:
    lrs = held(groups, option, at)
    fills: dict[int, Any] = {}
    for i, (lr, value) in enumerate(zip(lrs, values)):
        if i in left_alone:
            continue
        if isinstance(lr, Tensor):
            fills[i] = _filling(value, lr, i, option, at)
        else:
            what = f"{at(i)}: the {option}"
            number(lr, what)
            lrs[i] = real(value, what, any_shape=True)
    live = {_memory(lr) for lr in lrs if isinstance(lr, Tensor)}
    initial_lrs = _parted(groups, option, lrs)
    for i, value in fills.items():
        if isinstance(value, Tensor):  # none is read once it is written
            value = value.clone() if _memory(value) in live else value
            fills[i] = value.detach().reshape(() if on_host(lrs[i]) else lrs[i].shape)
    return groups, option, lrs, initial_lrs, [(lrs[i], value) for i, value in fills.items()]


def put(
    groups: Sequence[ParamGroup],
    option: str,
    lrs: Sequence[Any],
    initial_lrs: Sequence[tuple[ParamGroup, Tensor]] = (),
    fills: Sequence[tuple[Tensor, Any]] = (),
) -> None:
    """Write what was `fitted`; a second time that changes nothing more."""
    for group, lr in zip(groups, lrs):
        if option in group:
            group[option] = lr
        else:
            group["betas"] = (lr, *group["betas"][1:])
    for group, initial_lr in initial_lrs:
        group["initial_lr"] = initial_lr
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


def _parted(
    groups: Sequence[ParamGroup], option: str, lrs: list[Any]
) -> list[tuple[ParamGroup, Tensor]]:
    """Give tensors that share memory one each: the first keeps it, the others become clones.

    An ``initial_lr`` too, which SequentialLR makes the lr of a group: those clones are returned.
    """
    initial: list[Any] = [group.get("initial_lr") for group in groups] if option == "lr" else []
    tensors: list[Any] = [one for one in (*lrs, *initial) if isinstance(one, Tensor)]
    if len(tensors) < 2 or (
        {*map(type, tensors)} == {Tensor} and len({*map(Tensor.data_ptr, tensors)}) == len(tensors)
    ):
        return []
    taken: set[object] = set()
    clones: list[dict[int, Tensor]] = []
    for values in (lrs, initial):
        clones.append({})
        for i, value in enumerate(values):
            if isinstance(value, Tensor):
                if _memory(value) in taken:
                    with torch.inference_mode(False):  # else it could not be written later
                        clones[-1][i] = copy_of(value)
                taken.add(_memory(value))
    for i, clone in clones[0].items():
        lrs[i] = clone
    return [(groups[i], clone) for i, clone in clones[1].items()]


def _memory(value: Tensor) -> object:
    """Name the memory of a tensor of one element: equal for two that share it."""
    return (value.device, value.data_ptr()) if has_data(value) else id(value)


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
