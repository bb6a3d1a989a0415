"""What the param groups hold: seen without synchronising a GPU, written in place."""

# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter, is_, itemgetter
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

ParamGroup = dict[str, Any]
LR = itemgetter("lr")
NO_FACTORS: Mapping[int, float] = MappingProxyType({})

_VERSION = attrgetter("_version")


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


def version(lr: Tensor) -> int | None:
    """Return how often a tensor was written; None for an inference tensor, which does not count."""
    return None if lr.is_inference() else lr._version


def on_host(lr: object) -> bool:
    """Tell whether a lr can be read without waiting: fake tensors and subclasses cannot."""
    return type(lr) is Tensor and lr.device.type == "cpu"


@cache
def limit(dtype: torch.dtype) -> float:
    """Return the largest lr that fill_ takes; an integer tensor can hold none at all."""
    return torch.finfo(dtype).max if dtype.is_floating_point else -1.0


def _name(i: int, group: ParamGroup) -> tuple[object, ...]:
    """Name a group by its params or, if it has none, by its place."""
    return (*map(id, group["params"]),) or ("place", i)


class Undo:
    """Takes back what happens to attributes, and to ``lr`` and ``initial_lr`` in param groups."""

    def __init__(self, instances: Iterable[object], groups: Iterable[ParamGroup]) -> None:
        self.attributes: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (vars(instance), vars(instance).copy()) for instance in instances
        ]
        self.lrs: list[tuple[ParamGroup, Any, Any]] = [
            (group, group["lr"], copy_of(group["lr"])) for group in groups
        ]
        self.bare: list[ParamGroup] = [group for group, *_ in self.lrs if "initial_lr" not in group]

    def __call__(self) -> None:
        """Put everything back."""
        for attributes, before in self.attributes:
            attributes.clear()
            attributes.update(before)
        for group, lr, value in self.lrs:
            group["lr"] = lr
            if isinstance(lr, Tensor):
                lr.detach().copy_(value)
        for group in self.bare:
            group.pop("initial_lr", None)


class Seen:
    """The param groups of an optimizer as a policy last saw them.

    A tensor counts its in-place writes (``_version``), so looking for outside changes costs neither
    a kernel nor a synchronisation (pytorch#133663). What a tensor holds is read on the CPU alone;
    elsewhere it is known while it is what the host wrote.

    Attributes:
        source: The optimizer's own list of groups, and ``groups`` a shallow copy of it.
        held: The tensor lr of each group, None for a number; empty if there are numbers alone.
        versions: The version of each of these when last seen, and ``values`` what it then held;
            None where that is not known, or there is no tensor.
        uniform: The dtype, if all groups hold CPU tensors of that one.
        separate: Whether it is known that no two of ``held`` share an element.
        short_cut: ``groups`` too, while the next step may take the short cut of `Policy.step`.
    """

    __slots__ = (
        "groups",
        "held",
        "separate",
        "short_cut",
        "source",
        "uniform",
        "values",
        "versions",
    )

    def __init__(self, groups: list[ParamGroup]) -> None:
        self.source: list[ParamGroup] = groups
        self.groups: list[ParamGroup] = list(groups)
        self.held: list[Any] = []
        self.versions: list[int | None] = []
        self.values: list[Any] = []
        self.uniform: Any = None
        self.separate: bool = True
        self.short_cut: list[ParamGroup] | None = None

    def again(self) -> Seen:
        """Return the same for another look: if that comes to nothing, this one is as it was."""
        new = Seen(self.source)
        new.held, new.uniform, new.separate = [*self.held], self.uniform, self.separate
        new.versions, new.values = [*self.versions], [*self.values]
        return new

    def same(self, groups: list[ParamGroup]) -> bool:
        """Tell whether these are the groups seen."""
        same = groups is self.source and len(groups) == len(self.groups)
        return same and all(map(is_, groups, self.groups))

    def positions(self, groups: Sequence[ParamGroup]) -> list[int | None]:
        """Tell where each group stood when last seen; ``None`` for a new one.

        A group is known by its dict or, where ``optimizer.load_state_dict`` has replaced that, by
        its params; by its place, where it has none.
        """
        at: dict[Any, int] = {id(group): i for i, group in enumerate(self.groups)}
        at |= {_name(i, group): i for i, group in enumerate(self.groups)}
        return [at.get(id(group), at.get(_name(i, group))) for i, group in enumerate(groups)]

    def forget(self) -> None:
        """Forget what the tensors held: copies of them count their writes anew."""
        self.versions = [None] * len(self.held)

    def unchanged(self, groups: Sequence[ParamGroup]) -> bool:
        """Tell whether each group still holds its tensor lr, and nobody has written into it."""
        versions = self.versions
        i = 0
        for lr in self.held:
            if groups[i]["lr"] is not lr or lr._version != versions[i]:
                return False
            i += 1  # noqa: SIM113  enumerate takes as long as one group
        return True

    def look(self) -> list[Any]:
        """Return the lrs as they stand: a number where the value is known, else the live tensor."""
        if self.uniform is not None and self.unchanged(self.source):
            return [*self.values]
        lrs = [*map(LR, self.source)]
        if {*map(type, lrs)} <= {float} or not any(isinstance(lr, Tensor) for lr in lrs):
            self.held, self.uniform = [], None
            return lrs
        tensors = [lr if isinstance(lr, Tensor) else None for lr in lrs]
        if len(self.held) != len(tensors) or not all(map(is_, tensors, self.held)):
            self.held = tensors
            self.versions = [None] * len(tensors)
            self.values = [None] * len(tensors)
            self.separate = False
            simple = [on_host(lr) and not (lr.requires_grad or lr.is_inference()) for lr in lrs]
            dtypes = {lr.dtype if one else None for lr, one in zip(lrs, simple)}
            self.uniform = dtypes.pop() if len(dtypes) == 1 else None
        for i, lr in enumerate(tensors):
            if lr is not None:
                if version(lr) is None or version(lr) != self.versions[i]:
                    self._hold(i, lr.item() if on_host(lr) else None)
                if self.values[i] is not None:
                    lrs[i] = self.values[i]
        return lrs

    def _hold(self, i: int, value: float | None) -> None:
        self.versions[i], self.values[i] = version(self.held[i]), value

    def tensor(self, i: int) -> Tensor | None:
        """Return the tensor lr of a group, if it holds one."""
        return self.held[i] if self.held else None

    def like(self, i: int, lr: float | Tensor) -> float | Tensor:
        """Return a lr of a group, seen earlier, in the form in which it holds lrs; a copy."""
        held = self.held[i] if i < len(self.held) else None
        if held is None or isinstance(lr, Tensor):
            return copy_of(lr)
        # Writes through .data or NumPy are not counted. Nothing that is was written since: ask it.
        current = lr == self.values[i] and version(held) == self.versions[i]
        return copy_of(held) if current else torch.full_like(held, lr)

    def takes(self, i: int, lr: object) -> bool:
        """Tell whether a lr can be copied on its device: to read it would wait for the GPU."""
        held = self.tensor(i)
        return (
            held is not None
            and not on_host(held)
            and isinstance(lr, Tensor)
            and lr.device == held.device
            and lr.numel() == 1
            and lr.is_floating_point()
        )

    def check(self, i: int, lr: float, what: str) -> float:
        """Return a lr that the group can hold, or refuse it."""
        held = self.tensor(i)
        if held is not None and held.requires_grad:
            raise ValueError(f"{what} cannot be written: the group's tensor lr requires grad")
        if held is not None and held.is_inference() and not torch.is_inference_mode_enabled():
            raise ValueError(f"{what} cannot be written: the group's tensor is of inference mode")
        if held is not None and abs(lr) > limit(held.dtype):
            raise ValueError(f"{what} {lr} does not fit the group's tensor, of {held.dtype}")
        return lr

    def can_hold(self, lrs: Sequence[Any]) -> bool:
        """Tell, without a look at each group, whether they can hold these numbers."""
        if self.uniform is None or any(held.requires_grad for held in self.held):
            return False
        most = limit(self.uniform)
        return bool(-most <= min(lrs) and max(lrs) <= most)

    def write(self, lrs: Sequence[Any], factors: Mapping[int, float] = NO_FACTORS) -> None:
        """Write one lr a group, ``None`` to leave a tensor, after a look at the groups.

        Floats go into float groups and are filled into tensor lrs in place (pytorch#107076,
        #120934); tensors are copied on their device. ``factors`` scales tensor lrs by position,
        which costs no read. Off the CPU that is two ``_foreach_`` ops a device and dtype at most,
        however many groups there are.
        """
        if not self.held:
            for group, lr in zip(self.source, lrs):
                group["lr"] = lr
            return
        self._separate()
        if self.uniform is None:
            self._write_mixed(lrs, factors)
            return
        if lrs.count(lrs[0]) == len(lrs):
            self.fill(lrs[0])
            return
        for held, lr in zip(self.held, lrs):
            if lr is not None:
                held.fill_(lr)
        self.versions = [*map(_VERSION, self.held)]
        self.values = [old if lr is None else lr for old, lr in zip(self.values, lrs)]

    def fill(self, lr: float) -> bool:
        """Write one lr into uniform tensor lrs, if they are still those seen and can hold it."""
        held = self.held
        if abs(lr) > limit(self.uniform) or not all(map(is_, map(LR, self.source), held)):
            return False
        if len(held) == 1:
            held[0].fill_(lr)
        else:
            # Copies of one tensor take a third of the time of as many fills.
            source = torch.full((), lr, dtype=self.uniform, device=held[0].device)
            torch._foreach_copy_(held, [source] * len(held))
        self.versions = [*map(_VERSION, held)]
        self.values = [lr] * len(held)
        return True

    def _write_mixed(self, lrs: Sequence[Any], factors: Mapping[int, float]) -> None:
        batches: dict[Any, list[int]] = defaultdict(list)
        for i, (held, lr) in enumerate(zip(self.held, lrs)):
            if held is None:
                self.source[i]["lr"] = lr
            elif on_host(held):
                if lr is not None:
                    held.fill_(lr)
                    self._hold(i, lr)
            elif lr is not None or i in factors:
                batches[type(lr) is float, i in factors, held.device, held.dtype].append(i)
        for (fills, scales, *_), batch in batches.items():
            held = [self.held[i] for i in batch]
            if fills:
                # A CPU tensor as the source would be n copies to the device; numbers are arguments.
                torch._foreach_zero_(held)
                torch._foreach_add_(held, [lrs[i] for i in batch])
            elif scales:
                torch._foreach_mul_(held, [factors[i] for i in batch])
            else:
                live = {*map(id, held)}
                new = []
                for i, lr in zip(batch, held):
                    value = lrs[i] if lrs[i].shape == lr.shape else lrs[i].reshape(lr.shape)
                    # One group's lr may be another's answer: none is read after it was written.
                    new.append(value.clone() if id(value) in live else value)
                torch._foreach_copy_(held, new)
            for i in batch:
                self._hold(i, lrs[i] if fills else None)

    def _separate(self) -> None:
        """Give each group that shares its tensor lr with an earlier one a clone of its own."""
        if self.separate:
            return
        taken = set()
        for i, held in enumerate(self.held):
            if held is not None:
                if (memory := element(held)) in taken:
                    self.held[i] = self.source[i]["lr"] = held.detach().clone()
                    self._hold(i, self.values[i])
                else:
                    taken.add(memory)
        self.separate = True

    def separate_initial_lrs(self) -> None:
        """Give each group whose initial_lr shares memory with a lr a clone of it."""
        taken = {element(held) for held in self.held if held is not None}
        for group in self.source:
            initial = group["initial_lr"]
            if isinstance(initial, Tensor) and element(initial) in taken:
                group["initial_lr"] = initial.detach().clone()
