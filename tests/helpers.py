"""What several test files share: optimizers, a correct training step, and "nothing changed"."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch

Value: TypeAlias = float | Tensor
MakePolicy: TypeAlias = Callable[[], Policy]


def parameter() -> torch.nn.Parameter:
    """Make a parameter for a group of its own."""
    return torch.nn.Parameter(torch.zeros(1))


def sgd(*lrs: Value) -> SGD:
    """Make an optimizer with one group for each lr; without any, one group at 0.1."""
    groups = [{"params": [parameter()], "lr": lr} for lr in lrs or (0.1,)]
    return SGD(groups, lr=0.1)


def tensor(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Make a 0-dim tensor; float64 unless said otherwise."""
    return torch.tensor(value, dtype=dtype)


def lrs(optimizer: Optimizer, option: str = "lr") -> list[float]:
    """Return what the groups hold now, as floats."""
    return [float(group[option]) for group in optimizer.param_groups]


def advance(policy: LRScheduler, steps: int = 1) -> list[Any]:
    """Take steps of a correct loop, and return what the first group holds after each."""
    held: list[Any] = []
    for _ in range(steps):
        policy.optimizer.step()
        policy.step()
        held += [group["lr"] for group in policy.optimizer.param_groups[:1]]
    return held


def through_disk(state: Any) -> Any:
    """Save and load as a careful user does: `weights_only=True`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def named(value: object) -> str:
    """Name a test case by the type of its value and the value, in short.

    Without backslashes: pytest escapes them again each time that it collects, and mutmut finds the
    test no more.
    """
    if isinstance(value, type | str):
        return getattr(value, "__name__", str(value)).replace("\\", "") or "''"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an int of {value.bit_length()} bits"
    text = re.sub(r"\s+|0x\w+|\\", " ", repr(value))
    return f"{type(value).__name__} {text}"[:60]


def line_of_call(function: Callable[..., object], call: str) -> int:
    """Return the line number at which `function` first says `call`."""
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if call in line)


class Halving(Policy):
    """The smallest custom policy: it has `get_lr` alone, and halves every group's lr."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        scale = 0.5 if self.last_epoch else 1.0
        return [float(group["lr"]) * scale for group in self.optimizer.param_groups]


class AsDocumented(MappingPolicy[Any]):
    """Multiply as the document has it: it multiplies what the groups hold."""

    fails = False

    def get_lr(self) -> list[Any]:
        if self.fails:
            raise OSError("disk")
        assert self.current_mapping is not None
        pairs = zip(self.optimizer.param_groups, self.current_mapping, strict=True)
        return [group["lr"] * mapping.get(self.last_epoch, 1) for group, mapping in pairs]


class WithAttribute(Halving):
    """A custom policy with an attribute of its own."""

    def __init__(self, note: Any = "mine") -> None:
        self.note = note


class WithSlots(Halving):
    """A custom policy whose own attributes are slots."""

    __slots__ = ("__hidden", "left", "note")

    def __init__(self, note: Any = "mine", hidden: Any = 1) -> None:
        self.note = note
        self.__hidden = hidden

    def hidden(self) -> Any:
        """Return the private attribute."""
        return self.__hidden


class WithMoreSlots(WithSlots):
    """It adds one slot, named by a string alone."""

    __slots__ = "more"

    def __init__(self, note: Any = "mine", more: Any = 2) -> None:
        super().__init__(note)
        self.more = more


class CountingSwitch(Switch):
    """A Switch with state of its own."""

    def __init__(self, mapping: Any, lr_init: Any = 1e-3) -> None:
        super().__init__(mapping, lr_init)
        self.calls = 0


# One maker for each kind of policy; the first step of each changes the lr.
POLICIES: dict[str, MakePolicy] = {
    "Switch": lambda: Switch({1: 0.01, 3: 0.002}, lr_init=1e-3),
    "Multiply": lambda: Multiply({1: 0.5, 3: 0.1}, lr_init=1e-3),
    "Schedule": lambda: Schedule(reciprocal),
    "Scale": lambda: Scale(reciprocal),
    "custom": Halving,
}


def reciprocal(epoch: int) -> float:
    """Return 1 / (1 + epoch): a schedule that pickles."""
    return 1 / (1 + epoch)


def a_mapping(cls: type[MappingPolicy[Any]]) -> Any:
    """Return a mapping that the class takes."""
    return reciprocal if cls in (Schedule, Scale) else {1: 0.5}


def a_policy(cls: type[MappingPolicy[Any]]) -> MappingPolicy[Any]:
    """Make a policy of the class that starts from a number."""
    return cls(a_mapping(cls), lr_init=0.5)


def mixed() -> Optimizer:
    """Make an optimizer whose three groups hold a float and tensors of two dtypes."""
    return sgd(0.5, tensor(0.25), tensor(0.125, torch.float32))


def run(make: MakePolicy, optimizer: Optimizer, steps: int) -> Policy:
    """Bind a new policy and take some steps."""
    policy = make()(optimizer)
    advance(policy, steps)
    return policy


def add_group(policy: Policy, lr: float) -> None:
    """Add a group to the policy's optimizer."""
    policy.optimizer.add_param_group({"params": [parameter()], "lr": lr})


def drop_group(policy: Policy) -> None:
    """Drop the first group of the policy's optimizer, as DeepSpeed drops an empty one."""
    del policy.optimizer.param_groups[0]


# What is no epoch, the error, and what that says.
NOT_EPOCHS: list[tuple[Any, type[Exception], str]] = [
    (True, TypeError, "True"),
    (np.bool_(True), TypeError, "True"),
    (10.0, TypeError, r"10\.0"),
    (np.float64(10), TypeError, r"10\.0"),
    (Fraction(3), TypeError, "3"),
    ("10", TypeError, "'10'"),
    (None, TypeError, "None"),
    ((1,), TypeError, r"\(1,\)"),
    (-1, ValueError, "-1"),
    (np.int64(-5), ValueError, "-5"),
]


# "Nothing changed": a picture of everything that can be seen of a policy or an optimizer.


def picture(thing: Any, depth: int = 0) -> Any:
    """Freeze a value so that two pictures are equal only where nothing changed, to the bit.

    Nothing is asked of an object that is not known here: it may be one that misbehaves.
    """
    kind = type(thing)

    def inside(things: Iterable[Any]) -> list[Any]:
        return [picture(one, depth + 1) for one in things]

    if depth > 20:  # in what contains itself, of which the items of a dict are new each time
        return id(thing) if kind is not tuple else kind
    if issubclass(kind, LRScheduler):
        return kind.__name__, inside(attributes(thing).items())
    if issubclass(kind, Optimizer):
        # An attribute more is a change too: torch hangs a wrapped `step` on the instance.
        groups = [*map(id, thing.param_groups)]
        return id(thing), id(thing.param_groups), groups, inside(vars(thing).items())
    if issubclass(kind, Tensor):
        return id(thing), str(thing.dtype), str(thing.device), thing.requires_grad, bits(thing)
    if issubclass(kind, dict):
        return kind, inside(dict.items(thing))
    if issubclass(kind, list):
        return kind, inside(list.__iter__(thing))
    if issubclass(kind, tuple):
        return kind, inside(tuple.__iter__(thing))
    if kind in (int, bool, float, complex, str, bytes, type(None)):
        return kind, thing if kind is int else repr(thing)
    return id(thing)


def bits(value: Tensor) -> object:
    """Return the shape of a tensor and its elements as bytes, which tell -0.0 from 0.0."""
    if value.is_nested or value.is_meta or value.layout is not torch.strided:
        return repr(value)
    flat = value.detach().clone().contiguous()
    data = flat.int_repr() if flat.is_quantized else flat
    return list(value.shape), data.reshape(-1).view(torch.uint8).tolist()


def attributes(policy: object) -> dict[str, Any]:
    """Return what a policy holds, in its dict and in the slots of its classes."""
    slots = (getattr(cls, "__slots__", ()) for cls in type(policy).__mro__)
    names = [name for group in slots for name in ([group] if isinstance(group, str) else group)]
    slotted = {name: getattr(policy, name) for name in names if hasattr(policy, name)}
    held = {**vars(policy), **slotted}
    # The optimizer has a picture of its own; here only which one it is.
    return {key: id(value) if key == "optimizer" else value for key, value in held.items()}


@contextmanager
def unchanged(*things: object) -> Iterator[None]:
    """Check that the block changes nothing of these policies and optimizers."""
    before = [picture(thing) for thing in things]
    states = [state_of(thing) for thing in things]
    yield
    assert [picture(thing) for thing in things] == before
    assert [state_of(thing) for thing in things] == states


def state_of(thing: object) -> Any:
    """Return what a bound scheduler saves, tensors as numbers; or why it cannot be saved."""
    if not isinstance(thing, LRScheduler) or not hasattr(thing, "optimizer"):
        return None
    try:
        return repr(thing), repr(numbers(thing.state_dict()))
    except Exception as error:
        return repr(error)


def numbers(value: Any) -> Any:
    """Return a copy of a state in which tensors are lists of numbers, for comparison by `==`."""
    match value:
        case Tensor():
            if value.is_meta:
                return str(value.dtype), value.shape
            exact = value.dequantize() if value.is_quantized else value.detach()
            wide = torch.complex128 if exact.is_complex() else torch.float64
            return str(value.dtype), exact.to(wide).tolist()
        case dict():
            return {key: numbers(entry) for key, entry in value.items()}
        case list() | tuple():
            return [numbers(entry) for entry in value]
        case _:
            return value


class Phase(IntEnum):
    """An integral type of the user's own."""

    FINE_TUNING = 10


def number(value: Any) -> float:
    """Return a value as a float; torch warns where a tensor with a gradient is not detached."""
    return float(value.detach()) if isinstance(value, Tensor) else float(value)


def overlap(first: object, second: object) -> bool:
    """Say whether two values are tensors that share memory."""
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return False
    return spans(first) & spans(second) != set()


def spans(value: Tensor) -> set[int]:
    """Return the addresses of a tensor's elements."""
    index = torch.arange(value.untyped_storage().size() // value.element_size())
    view = index.as_strided(value.size(), value.stride(), value.storage_offset())
    start = value.untyped_storage().data_ptr()
    return {start + i * value.element_size() for i in view.flatten().tolist()}


def tensors_in(value: object) -> list[Tensor]:
    """Return every tensor inside a state or a list."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [found for entry in value.values() for found in tensors_in(entry)]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [found for entry in value for found in tensors_in(entry)]
    return []
