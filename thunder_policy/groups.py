"""What the param groups hold: seen without synchronising a GPU, written in place."""

# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import repeat
from operator import attrgetter, is_, itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from .checks import all_finite_floats, real, short

ParamGroup = dict[str, Any]
LR = itemgetter("lr")

_VERSION = attrgetter("_version")
_GRAD = attrgetter("requires_grad")

KEEP = object()
"""Stands for a lr that is left as it is."""


class Times(NamedTuple):
    """Stands for a tensor lr that is multiplied where it is: reading it would wait for a GPU."""

    factor: float


def copy_of(lr: float | Tensor) -> float | Tensor:
    """Return the value of a lr, sharing no memory with it (pytorch#126854, #162359)."""
    return lr.detach().clone() if isinstance(lr, Tensor) else lr


def as_one(lrs: list[Any]) -> list[Any]:
    """Return equal floats as one object, by which Switch and Multiply see soonest that all stand.

    Not zeros, as 0.0 equals -0.0.
    """
    same = {*map(type, lrs)} == {float} and lrs[0] and lrs.count(lrs[0]) == len(lrs)
    return lrs[:1] * len(lrs) if same else lrs


def like(form: object, lr: float | Tensor) -> float | Tensor:
    """Return a copy of a lr, as a tensor or a number as the form is, where a tensor can hold it."""
    if not isinstance(form, Tensor):
        return float(lr)
    if isinstance(lr, Tensor) or abs(lr) > limit(form.dtype):
        return copy_of(lr)
    return torch.full_like(form, lr)


def lrs_of(groups: Sequence[ParamGroup], at: str) -> list[Any]:
    """Return the lr of each group, or refuse a group that has none."""
    try:
        return [*map(LR, groups)]
    except KeyError:
        i = ["lr" in group for group in groups].index(False)
        raise ValueError(f"{at}, group {i}: the param group has no lr") from None


def plain(lr: object, what: str) -> None:
    """Refuse a tensor that is not dense, or not of one element."""
    if isinstance(lr, Tensor) and (
        lr.is_nested or lr.layout is not torch.strided or lr.is_quantized or lr.numel() != 1
    ):
        raise ValueError(f"{what} must be a dense tensor of one element, not {short(lr)}")


def element(lr: Tensor) -> tuple[object, ...]:
    """Name the memory of a one-element tensor: equal for two tensors that share it."""
    storage = lr.untyped_storage()
    offset = lr.storage_offset() * lr.element_size()
    if storage.device.type == "meta":
        # Fake and meta tensors have no address; their storage object still tells them apart.
        return storage.device, storage._cdata, offset
    return storage.device, storage.data_ptr() + offset


def version(lr: object) -> int | None:
    """Return how often a tensor was written; None for one of inference mode, and for a number."""
    return lr._version if isinstance(lr, Tensor) and not lr.is_inference() else None


def on_host(lr: object) -> bool:
    """Tell whether a lr can be read without waiting: fake tensors and subclasses cannot."""
    return (type(lr) is Tensor or type(lr) is Parameter) and lr.is_cpu


def set_far(held: list[Tensor], lrs: float | list[float]) -> None:
    """Set tensors on a GPU to one number, or to one each."""
    # A CPU tensor as the source would be n copies to the device; numbers are arguments.
    torch._foreach_zero_(held)
    torch._foreach_add_(held, lrs)


@cache
def limit(dtype: torch.dtype) -> float:
    """Return the largest lr that fill_ takes; an integer tensor can hold none at all."""
    return torch.finfo(dtype).max if dtype.is_floating_point else -1.0


def _name(i: int, group: ParamGroup) -> tuple[object, ...]:
    """Name a group by its params or, if it has none, by its place."""
    return (*map(id, group["params"]),) or ("place", i)


def separate_initial_lrs(groups: Sequence[ParamGroup]) -> None:
    """Give each group whose initial_lr shares memory with a lr a clone of it."""
    taken = {element(lr) for lr in map(LR, groups) if isinstance(lr, Tensor)}
    for group in groups:
        initial = group["initial_lr"]
        if isinstance(initial, Tensor) and element(initial) in taken:
            group["initial_lr"] = initial.detach().clone()


class Undo:
    """Takes back what happens to attributes, and to ``lr`` and ``initial_lr`` in param groups."""

    def __init__(self, instances: Iterable[object], groups: Iterable[ParamGroup]) -> None:
        self.attributes: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (vars(instance), vars(instance).copy()) for instance in instances
        ]
        self.groups: list[tuple[ParamGroup, ParamGroup, float | Tensor, int | None]] = [
            (group, group.copy(), copy_of(group["lr"]), version(group["lr"])) for group in groups
        ]

    def __call__(self) -> None:
        """Put everything back."""
        for attributes, before in self.attributes:
            attributes.clear()
            attributes.update(before)
        for group, before, value, writes in self.groups:
            lr = group["lr"] = before["lr"]
            # A tensor of inference mode counts no writes, and there are none outside that mode.
            counts = writes is not None or not torch.is_inference_mode_enabled()
            if isinstance(value, Tensor) and not (counts and version(lr) == writes):
                lr.detach().copy_(value)
            if "initial_lr" in before:
                group["initial_lr"] = before["initial_lr"]
            else:
                group.pop("initial_lr", None)


class Groups:
    """The param groups of an optimizer as a policy last saw them, to look again and to write.

    A tensor counts its in-place writes (``_version``), so looking for outside changes costs neither
    a kernel nor a synchronisation (pytorch#133663). What a tensor holds is read on the CPU alone;
    elsewhere it is known while it is what the host wrote.

    Attributes:
        source: The optimizer's own list of groups, and ``seen`` a shallow copy of it.
        held: The tensor lr of each group, None for a number; empty if there are numbers alone.
        versions: The version of each of these when last seen, and ``values`` what it then held;
            None where that is not known, or there is no tensor.
        uniform: The dtype, if all groups hold tensors of one dtype on one device.
        far: Whether these are off the CPU, where to read one is to wait.
        separate: Whether it is known that no two of ``held`` share an element, nor one of them
            with an ``initial_lr``.
        one: The float that all groups held after the last step, if it was one object.
        last: What each of them held then; it counts only where ``one`` is None.
        alike: What the groups have to equal for the next step to take the short cut, if it may.
    """

    __slots__ = (
        "alike",
        "far",
        "held",
        "last",
        "one",
        "seen",
        "separate",
        "source",
        "uniform",
        "values",
        "versions",
    )

    def __init__(self, groups: list[ParamGroup]) -> None:
        self.source: list[ParamGroup] = groups
        self.seen: list[ParamGroup] = list(groups)
        self.held: list[Any] = []
        self.versions: list[int | None] = []
        self.values: list[Any] = []
        self.uniform: Any = None
        self.far: bool = False
        self.separate: bool = True
        self.one: float | None = None
        self.last: list[Any] = []
        self.alike: list[ParamGroup] | None = None

    def again(self, groups: list[ParamGroup]) -> Groups:
        """Return new records for another look, so that a step that fails keeps these."""
        new = Groups(groups)
        if groups is self.source and self.same(groups):
            new.held, new.separate = [*self.held], self.separate
            new.uniform, new.far = self.uniform, self.far
            new.versions, new.values = [*self.versions], [*self.values]
        new.last = self.aligned(self.lasts(), groups)
        return new

    def lasts(self) -> list[Any]:
        """Return what each group held after the last step."""
        return self.last if self.one is None else [self.one] * len(self.seen)

    def record(self, lrs: list[Any]) -> None:
        """Note what each group holds after a step."""
        self.last = lrs
        floats = bool(lrs) and not self.held
        self.one = lrs[0] if floats and all(map(is_, lrs, repeat(lrs[0]))) else None

    def same(self, groups: Sequence[ParamGroup]) -> bool:
        """Tell whether these are the groups seen, each in its place."""
        return len(groups) == len(self.seen) and all(map(is_, groups, self.seen))

    def aligned(
        self, records: Sequence[float | Tensor], groups: Sequence[ParamGroup]
    ) -> list[float | Tensor]:
        """Return the record of each of these groups, from those seen; that of a new one is its lr.

        A group is known by its dict or, where ``optimizer.load_state_dict`` has replaced that, by
        its params; by its place, where it has none.
        """
        if self.same(groups):
            return [*records]
        at: dict[Any, int] = {id(group): i for i, group in enumerate(self.seen)}
        at |= {_name(i, group): i for i, group in enumerate(self.seen)}
        known = [at.get(id(group), at.get(_name(i, group))) for i, group in enumerate(groups)]
        return [
            copy_of(group.get("lr", 0.0)) if i is None else records[i]
            for group, i in zip(groups, known)
        ]

    def forget(self) -> None:
        """Forget what the tensors held: copies of them count their writes anew."""
        self.versions = [None] * len(self.held)

    def unchanged(self, groups: Sequence[ParamGroup]) -> bool:
        """Tell whether each group still holds its tensor lr, and nobody has written into it."""
        if len(groups) != len(self.held):
            return False
        held, versions = self.held, self.versions
        i = 0
        for group in self.seen:
            lr = held[i]
            if groups[i] is not group or group["lr"] is not lr or lr._version != versions[i]:
                return False
            i += 1  # noqa: SIM113  enumerate takes as long as one group
        return True

    def _stand(self, groups: Sequence[ParamGroup]) -> bool:
        """Tell whether each group still holds its tensor lr, and it can be written."""
        if len(groups) != len(self.held):
            return False
        held = self.held
        i = 0
        for group in self.seen:
            lr = held[i]
            if groups[i] is not group or group["lr"] is not lr or lr.requires_grad:
                return False
            i += 1  # noqa: SIM113
        return True

    def look(self, at: str) -> list[Any]:
        """Return the lrs as they stand: a number where the value is known, else the live tensor."""
        lrs = lrs_of(self.source, at)
        # No generator: that makes another error of a StopIteration of somebody's number.
        if {*map(type, lrs)} <= {float} or True not in [isinstance(lr, Tensor) for lr in lrs]:
            self.held, self.uniform, self.far = [], None, False
            return lrs
        if self.uniform is not None and self.unchanged(self.source):
            return self._known(self.held)
        tensors = [lr if isinstance(lr, Tensor) else None for lr in lrs]
        if len(self.held) != len(tensors) or not all(map(is_, tensors, self.held)):
            for i, lr in enumerate(tensors):
                plain(lr, f"{at}, group {i}: the lr")
            self.held = tensors
            self.versions = [None] * len(tensors)
            self.values = [None] * len(tensors)
            self.separate = False
            self._compare()
        for i, lr in enumerate(tensors):
            if lr is not None and (version(lr) is None or version(lr) != self.versions[i]):
                self._hold(i, lr.item() if on_host(lr) else None)
        return self._known(lrs)

    def _compare(self) -> None:
        """Note what all tensor lrs have in common."""
        kinds = {
            None
            if lr is None or lr.requires_grad or lr.is_inference()
            else (lr.dtype, lr.device, not on_host(lr))
            for lr in self.held
        }
        kind = kinds.pop() if len(kinds) == 1 else None
        self.uniform, _, self.far = kind or (None, None, False)

    def _known(self, lrs: list[Any]) -> list[Any]:
        return [lr if value is None else value for lr, value in zip(lrs, self.values)]

    def _hold(self, i: int, value: float | None) -> None:
        self.versions[i], self.values[i] = version(self.held[i]), value

    def tensor(self, i: int) -> Tensor | None:
        """Return the tensor lr of a group, if it holds one."""
        return self.held[i] if i < len(self.held) else None

    def last_lr(self, i: int, lr: float | Tensor) -> float | Tensor:
        """Return a copy of a lr that group i held after the last step, in the form that it did."""
        held = self.tensor(i)
        # Writes through .data or NumPy are not counted: where no other came since, ask the tensor.
        if held is None or isinstance(lr, Tensor):
            return copy_of(lr)
        current = lr == self.values[i] and version(held) == self.versions[i]
        return copy_of(held) if current else like(held, lr)

    def writable(self, lrs: Any, at: str) -> list[Any]:
        """Return a new list of what `write` can write, one a group, or refuse it.

        Args:
            lrs: Real numbers, finite and within the range of the group's dtype, in any sequence;
                `KEEP` and `Times` go through.
            at: Who gave them and when, for an error.
        """
        if not isinstance(lrs, Sequence):
            raise TypeError(
                f"{at}: get_lr() must return a list or another sequence of lrs, "
                f"not {short(lrs)} ({type(lrs).__name__})"
            )
        new: list[Any] = [*lrs]
        if len(new) != len(self.seen):
            raise ValueError(
                f"{at}: got {len(new)} lrs from get_lr() and {len(self.seen)} param groups"
            )
        can_hold = self._can_hold if self.held else all_finite_floats
        if can_hold(new):
            return new
        return [self._writable(i, lr, f"{at}, group {i}: the lr") for i, lr in enumerate(new)]

    @staticmethod
    def _there(lr: object, held: Tensor) -> bool:
        """Tell whether a lr can be copied to a tensor that is far, without a look at it."""
        return (
            isinstance(lr, Tensor)
            and not on_host(lr)
            and lr.numel() == 1
            and lr.is_floating_point()
            and lr.device == held.device
        )

    def _writable(self, i: int, lr: Any, what: str) -> Any:
        held = self.tensor(i)
        if lr is KEEP:
            return lr
        there = held is not None and not on_host(held) and self._there(lr, held)
        if type(lr) is Times or there:
            self.check(i, 0.0, what)
            return lr  # written on its device: to read it would wait for the GPU
        return self.check(i, real(lr, what, any_shape=True), what)

    def _can_hold(self, lrs: Sequence[Any]) -> bool:
        """Tell at once whether uniform lrs can hold these; if not, `check` says why."""
        if self.uniform is None or True in map(_GRAD, self.held):
            return False
        if all_finite_floats(lrs):
            largest: float = max(map(abs, lrs))
            return largest <= limit(self.uniform)
        return self.far and limit(self.uniform) > 0 and all(map(self._there, lrs, self.held))

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

    def write(self, lrs: list[Any]) -> list[Any]:
        """Write lrs that are `writable`, after a look at the groups; return them as `look` does.

        Floats go into float groups and are filled into tensor lrs in place (pytorch#107076,
        #120934); tensors are copied on their device. Off the CPU that is two ``_foreach_`` ops at
        most for lrs of one kind, device and dtype, however many groups there are.
        """
        if not self.held:
            for group, lr in zip(self.source, as_one(lrs)):
                if lr is not KEEP:
                    group["lr"] = lr
            return [*map(LR, self.source)]
        self._write_tensors(lrs)
        return self._known([*map(LR, self.source)])

    def _write_tensors(self, lrs: list[Any]) -> None:
        self._separate()
        if self.uniform is not None and all_finite_floats(lrs):
            if lrs[0] and lrs.count(lrs[0]) == len(lrs):
                self._fill(lrs[0])
                return
            if self.far:
                set_far(self.held, lrs)
            else:
                for held, lr in zip(self.held, lrs):
                    held.fill_(lr)
            self.versions, self.values = [*map(_VERSION, self.held)], lrs
            return
        if True in [isinstance(lr, Tensor) for lr in lrs]:
            # One group's lr may be another's answer: none is read after it was written.
            live = {element(held) for held in self.held if held is not None}
            own = [isinstance(lr, Tensor) and element(lr) in live for lr in lrs]
            lrs = [lr.clone() if one else lr for lr, one in zip(lrs, own)]
        batches: dict[Any, list[int]] = defaultdict(list)
        for i, (held, lr) in enumerate(zip(self.held, lrs)):
            if lr is KEEP:
                continue
            if held is None:
                self.source[i]["lr"] = lr
            elif on_host(held):
                held.fill_(lr)
                self._hold(i, lr)
            else:
                kind = Tensor if isinstance(lr, Tensor) else type(lr)
                batches[kind, held.device, held.dtype].append(i)
        for (kind, *_), batch in batches.items():
            self._write_batch(kind, batch, lrs)

    def _write_batch(self, kind: type, batch: Sequence[int], lrs: Sequence[Any]) -> None:
        """Write the lrs of the groups in a batch, of one kind, device and dtype."""
        held = [self.held[i] for i in batch]
        new = [lrs[i] for i in batch]
        if kind is float:
            set_far(held, new)
        elif kind is Times:
            torch._foreach_mul_(held, [times.factor for times in new])
        else:
            new = [
                lr if lr.shape == to.shape else lr.reshape(to.shape) for lr, to in zip(new, held)
            ]
            with torch.no_grad():  # else a lr that was computed from a parameter keeps its graph
                torch._foreach_copy_(held, new)
        for i in batch:
            self._hold(i, lrs[i] if kind is float else None)

    def fill_each(self, groups: Sequence[ParamGroup], lrs: Sequence[Any]) -> bool:
        """Write lrs into uniform tensor lrs, if they are still those seen and can hold them."""
        try:
            new: list[Any] = [lr.item() if on_host(lr) else lr for lr in lrs]
            if not (self._stand(groups) and self._can_hold(new)):
                return False
        except Exception:  # a tensor of several elements, say
            return False
        self._write_tensors(new)
        self.last, self.one = self._known(self.held), None
        return True

    def fill(self, groups: Sequence[ParamGroup], lr: float) -> bool:
        """Write one lr into uniform tensor lrs, if they are still those seen and can hold it."""
        if abs(lr) > limit(self.uniform) or not self._stand(groups):
            return False
        self._fill(lr)
        return True

    def _fill(self, lr: float) -> None:
        held = self.held
        if self.far:
            set_far(held, lr)
        elif len(held) == 1:
            held[0].fill_(lr)
        else:
            # Copies of one tensor take a third of the time of as many fills.
            source = torch.full((), lr, dtype=self.uniform, device=held[0].device)
            torch._foreach_copy_(held, [source] * len(held))
        self.versions = [*map(_VERSION, held)]
        self.values = [lr] * len(held)

    def _separate(self) -> None:
        """Give each group that shares its tensor lr with an earlier one a clone of its own.

        Also where the lr is the ``initial_lr``: of a group whose lr somebody has made a float, a
        SequentialLR makes that very tensor the lr.
        """
        if self.separate:
            return
        initial = [group.get("initial_lr") for group in self.source]
        taken = {element(lr) for lr in initial if isinstance(lr, Tensor)}
        for i, held in enumerate(self.held):
            if held is not None:
                if (memory := element(held)) in taken:
                    with torch.inference_mode(False):  # else it could not be written later
                        self.held[i] = self.source[i]["lr"] = held.detach().clone()
                    self._hold(i, self.values[i])
                else:
                    taken.add(memory)
        self.separate = True
        self._compare()  # a clone may be of another class
