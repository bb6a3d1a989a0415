"""What param groups hold under an option such as ``lr``: read, and written all or nothing."""

# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import torch
from toolz import groupby  # type: ignore[import-untyped, unused-ignore]  # toolz has no types
from torch import Tensor
from torch.nn import Parameter

from .checks import real, short

ParamGroup = dict[str, Any]
Params = tuple[Tensor, ...]


def held(
    groups: Sequence[ParamGroup], option: str, at: Callable[[], str] = lambda: "optimizer"
) -> list[Any]:
    """Return what each group holds: the live objects.

    Args:
        groups: The param groups.
        option: The key.
        at: Says who asks and when, for an error.

    Raises:
        ValueError: If a group lacks the option.
    """
    values: list[Any] = []
    for i, group in enumerate(groups):
        if option in group:
            values.append(group[option])
        elif option == "momentum" and "betas" in group:
            values.append(group["betas"][0])  # as torch's cyclic schedulers have it
        else:
            numbers = [key for key, value in group.items() if type(value) in (int, float)]
            has = ", ".join(numbers) or "no numbers"
            raise ValueError(f"{at()}, group {i}: the param group has no {option}; it has {has}")
    return values


def hold(group: ParamGroup, option: str, value: object) -> None:
    """Put a value into a group, in the place of what it holds."""
    if option in group:
        group[option] = value
    else:
        group["betas"] = (value, *group["betas"][1:])


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


def write(
    groups: Sequence[ParamGroup],
    option: str,
    values: Any,
    at: Callable[[], str],
    left_alone: Collection[int] = (),
) -> None:
    """Write one value into each group: into all of them, or none.

    A number replaces a number. A tensor stays the same object and is filled in place
    (pytorch#107076, #120934).

    Args:
        groups: The param groups.
        option: The key of what is written.
        values: One finite real number a group, in a sequence.
        at: Says who writes and when, for an error.
        left_alone: The places of groups that are not written.

    Raises:
        TypeError: If that is no sequence, or something in it is no real number.
        ValueError: If it is of another length, or a group cannot hold its value.
    """
    if type(values) is not list or len(values) != len(groups):
        _check_sequence(values, len(groups), at)
    # The second short cut: finite floats for groups that all hold a float. Other numbers, tensors,
    # and groups to leave alone are left to _write_each.
    for value in values:
        if type(value) is not float or value - value != 0.0 or left_alone:
            break
    else:
        for group in groups:
            if type(group.get(option)) is not float:
                break
        else:
            for group, value in zip(groups, values):
                group[option] = value
            return
    _write_each(groups, option, values, at, left_alone)


def _write_each(
    groups: Sequence[ParamGroup],
    option: str,
    values: Sequence[Any],
    at: Callable[[], str],
    left_alone: Collection[int],
) -> None:
    """Write any values; on accelerators by two ops a device and dtype, however many there are."""
    lrs = held(groups, option, at)

    def what(i: int) -> str:
        return f"{at()}, group {i}: the {option}"

    chosen = [i for i in range(len(lrs)) if i not in left_alone]
    new = {i: _fitting(values[i], lrs[i], i, what) for i in chosen}
    _part(groups, option, lrs)
    live = {*map(id, lrs)}
    far: list[tuple[Tensor, Any]] = []
    for i, value in new.items():
        lr = lrs[i]
        if not isinstance(lr, Tensor):
            hold(groups[i], option, value)
        elif on_host(lr):
            lr.fill_(value)
        elif isinstance(value, Tensor):
            kept = value.clone() if id(value) in live else value  # none is read once written
            far.append((lr, kept.detach().reshape(lr.shape)))
        else:
            far.append((lr, value))
    _fill_far(far)


def _check_sequence(values: Any, n: int, at: Callable[[], str]) -> None:
    if not isinstance(values, Sequence):
        raise TypeError(
            f"{at()}: get_lr() must return a list or another sequence of lrs, "
            f"not {short(values)} ({type(values).__name__})"
        )
    if len(values) != n:
        raise ValueError(f"{at()}: got {len(values)} lrs from get_lr() and {n} param groups")


def _fitting(value: Any, old: Any, i: int, what: Callable[[int], str]) -> Any:
    """Return what can be written in the place of an old value, or refuse it.

    It is a float, or a tensor that is not on the host, as to read that would wait (pytorch#133663).
    """
    if not isinstance(old, Tensor):
        number(old, what(i))
        return real(value, what(i), any_shape=True)
    if not is_fillable(old):
        raise ValueError(
            f"{what(i)} cannot be written: the group's tensor must be floating, have one element, "
            f"not require grad and not be of inference mode, unlike {short(old)}"
        )
    if type(value) is not float or value - value != 0.0:
        if (
            isinstance(value, Tensor)
            and not on_host(value)
            and value.is_floating_point()
            and (value.device, value.numel()) == (old.device, 1)
        ):
            return value
        value = real(value, what(i), any_shape=True)
    if abs(value) > _limit(old.dtype):
        raise ValueError(f"{what(i)} {value} does not fit the group's tensor, of {old.dtype}")
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
    inference = value.is_inference() and not torch.is_inference_mode_enabled()
    one = value.is_floating_point() and not value.is_nested and value.numel() == 1
    return one and not (value.requires_grad or inference)


def _part(groups: Sequence[ParamGroup], option: str, lrs: list[Any]) -> None:
    """Give tensors that share memory one each: the first keeps it, the others become clones.

    An ``initial_lr`` too, which SequentialLR makes the lr of a group.
    """
    initial: list[Any] = [group.get("initial_lr") for group in groups] if option == "lr" else []
    tensors: list[Any] = [one for one in (*lrs, *initial) if isinstance(one, Tensor)]
    if {*map(type, tensors)} <= {Tensor} and len({*map(Tensor.data_ptr, tensors)}) == len(tensors):
        return
    taken: set[object] = set()
    for key, each in ((option, lrs), ("initial_lr", initial)):
        for i, value in enumerate(each):
            if isinstance(value, Tensor):
                if _memory(value) in taken:
                    with torch.inference_mode(False):  # else it could not be written later
                        each[i] = copy_of(value)
                    hold(groups[i], key, each[i])
                taken.add(_memory(each[i]))


def _memory(value: Tensor) -> object:
    """Name the memory of a tensor of one element: equal for two tensors that share it."""
    if has_data(value):
        return value.device, value.data_ptr()
    return value.untyped_storage()._cdata, value.storage_offset()


def _fill_far(far: list[tuple[Tensor, Any]]) -> None:
    for batch in groupby(lambda pair: (pair[0].device, pair[0].dtype, type(pair[1])), far).values():
        tensors, values = map(list, zip(*batch))
        if isinstance(values[0], Tensor):
            torch._foreach_copy_(tensors, values)
        else:
            # A CPU tensor as the source would be n copies to the device; numbers are arguments.
            torch._foreach_zero_(tensors)
            torch._foreach_add_(tensors, values)
