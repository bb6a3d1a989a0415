"""What the param groups hold: seen without synchronising a GPU, written in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

ParamGroup = dict[str, Any]
LR = itemgetter("lr")
NO_FACTORS: Mapping[int, float] = MappingProxyType({})


def copy_of(lr: float | Tensor) -> float | Tensor:
    """Return the value of a lr, sharing no memory with it (pytorch#126854, #162359)."""
    return lr.detach().clone() if isinstance(lr, Tensor) else lr


def element(lr: Tensor) -> tuple[object, ...]:
    """Name the memory of a one-element tensor: equal for two tensors that share it."""
    storage = lr.untyped_storage()
    # Fake and meta tensors have no address; their storage object still tells them apart.
    fake = storage.device.type == "meta"
    start = storage._cdata if fake else storage.data_ptr()
    return storage.device, start, lr.storage_offset() * lr.element_size()


class TensorLR:
    """A group's tensor lr: the object, its version when last seen, and its value where known.

    A tensor counts its in-place writes (``_version``), so looking for outside changes costs neither
    a kernel nor a synchronisation (pytorch#133663). The value itself is read on plain CPU tensors
    alone; elsewhere it is known only while it is what the host wrote.
    """

    __slots__ = ("limit", "lr", "on_host", "value", "version")

    def __init__(self, lr: Tensor) -> None:
        self.on_host = type(lr) is Tensor and lr.device.type == "cpu"
        # The largest lr that fill_ takes; an integer tensor can hold no lr at all.
        self.limit = torch.finfo(lr.dtype).max if lr.is_floating_point() else -1.0
        self.hold(lr, lr.item() if self.on_host else None)

    def hold(self, lr: Tensor, value: float | None) -> None:
        """Remember the tensor as it stands now, and what it holds."""
        self.lr = lr
        self.value = value
        self.version = lr._version

    def like(self, value: float | Tensor) -> Tensor:
        """Return a lr as a new tensor of this one's shape, dtype and device."""
        return torch.full_like(self.lr, value) if isinstance(value, float) else value.clone()

    def takes(self, lr: Tensor) -> bool:
        """Tell whether a lr can be copied on its device: to read it would wait for the GPU."""
        same = not self.on_host and lr.device == self.lr.device and lr.numel() == 1
        return same and lr.is_floating_point()

    def checked(self, lr: float, what: str) -> float:
        """Return a lr that the dtype can hold, or refuse it."""
        if abs(lr) > self.limit:
            raise ValueError(f"{what} {lr} does not fit the group's tensor, of {self.lr.dtype}")
        return lr


class Seen:
    """The param groups of an optimizer as a policy last saw them.

    ``source`` is the optimizer's list and ``groups`` a shallow copy of it; ``tensors`` tells which
    groups hold a tensor lr, by position; ``separate`` says that no two of these share an element.
    """

    __slots__ = ("groups", "separate", "source", "tensors")

    def __init__(self, groups: list[ParamGroup]) -> None:
        self.source = groups
        self.groups = list(groups)
        self.tensors: dict[int, TensorLR] = {}
        self.separate = True

    def positions(self, groups: Sequence[ParamGroup]) -> list[int | None]:
        """Tell where each group stood when last seen; ``None`` for a new one.

        A group is known by its dict or, where ``optimizer.load_state_dict`` has replaced that, by
        its params.
        """
        by_dict = {id(group): i for i, group in enumerate(self.groups)}
        by_params = {(*map(id, group["params"]),): i for i, group in enumerate(self.groups)}
        return [
            by_dict.get(id(group), by_params.get((*map(id, group["params"]),))) for group in groups
        ]

    def same(self, groups: list[ParamGroup]) -> bool:
        """Tell whether these are the groups seen."""
        return groups is self.source and [*map(id, groups)] == [*map(id, self.groups)]

    def look(self, groups: Sequence[ParamGroup]) -> list[Any]:
        """Return the lrs as they stand: a number where the value is known, else the live tensor."""
        lrs = [*map(LR, groups)]
        tensors = self.tensors
        if not tensors and {*map(type, lrs)} == {float}:
            return lrs
        for i, lr in enumerate(lrs):
            seen = tensors.get(i)
            if not isinstance(lr, Tensor):
                if seen is not None:
                    del tensors[i]
                continue
            if seen is None or seen.lr is not lr:
                seen = tensors[i] = TensorLR(lr)
                self.separate = False
            elif seen.version != lr._version:
                seen.hold(lr, lr.item() if seen.on_host else None)
            if seen.value is not None:
                lrs[i] = seen.value
        return lrs

    def write(self, lrs: Sequence[Any], factors: Mapping[int, float] = NO_FACTORS) -> None:
        """Write one lr a group, ``None`` to leave a tensor, after a look at the groups.

        Floats go into float groups and are filled into tensor lrs in place (pytorch#107076,
        #120934); tensors are copied on their device. ``factors`` scales tensor lrs by position,
        which costs no read. Off the CPU that is two ``_foreach_`` ops a device and dtype at most,
        however many groups there are.
        """
        groups = self.source
        tensors = self.tensors
        if not tensors:
            for group, lr in zip(groups, lrs):
                group["lr"] = lr
            return
        self._separate()
        fills: dict[Any, list[int]] = defaultdict(list)
        copies: dict[Any, list[int]] = defaultdict(list)
        scales: dict[Any, list[int]] = defaultdict(list)
        for i, lr in enumerate(lrs):
            if i not in tensors:
                groups[i]["lr"] = lr
                continue
            kind = tensors[i].lr.device, tensors[i].lr.dtype
            if isinstance(lr, float):
                # On the CPU one value for many is a batch: copying one tensor beats n fills.
                fills[(*kind, lr if tensors[i].on_host else None)].append(i)
            elif lr is not None:
                copies[kind].append(i)
            elif i in factors:
                scales[kind].append(i)
        for (device, dtype, value), batch in fills.items():
            held = [tensors[i].lr for i in batch]
            if value is None:
                # A CPU tensor as the source would be n copies to the device; numbers are arguments.
                torch._foreach_zero_(held)
                torch._foreach_add_(held, [lrs[i] for i in batch])
            elif len(held) == 1:
                held[0].fill_(value)
            else:
                source = torch.full((), value, dtype=dtype, device=device)
                torch._foreach_copy_(held, [source] * len(held))
        for batch in copies.values():
            torch._foreach_copy_([tensors[i].lr for i in batch], [lrs[i] for i in batch])
        for batch in scales.values():
            torch._foreach_mul_([tensors[i].lr for i in batch], [factors[i] for i in batch])
        for i, seen in tensors.items():
            lr = lrs[i]
            if lr is not None or i in factors:
                seen.hold(seen.lr, lr if isinstance(lr, float) else None)

    def _separate(self) -> None:
        """Give each group that shares its tensor lr with an earlier one a clone of its own."""
        if self.separate:
            return
        taken = set()
        for i, seen in sorted(self.tensors.items()):
            if (memory := element(seen.lr)) in taken:
                seen.hold(seen.lr.detach().clone(), seen.value)
                self.source[i]["lr"] = seen.lr
            else:
                taken.add(memory)
        self.separate = True

    def separate_initial_lrs(self) -> None:
        """Give each group whose initial_lr shares memory with a lr a clone of it."""
        taken = {element(seen.lr) for seen in self.tensors.values()}
        for group in self.source:
            initial = group["initial_lr"]
            if isinstance(initial, Tensor) and element(initial) in taken:
                group["initial_lr"] = initial.detach().clone()
