"""Fake CUDA tensors, and the count of what is done with them: no GPU is needed."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..messages import said
from .isolation import once
from .runs import Broken, Make, flat, sgd, skip

# What hands a value to the host: item(), float(), bool(), ==, tolist(), cpu(), nonzero().
_READS = ("_local_scalar_dense", "equal", "is_nonzero", "nonzero")
_TO_HOST = ("__float__", "__int__", "__index__", "__repr__", "__format__")


class Read(Exception):
    """A value was read from the fake GPU."""


class OnGPU(FakeTensor):  # type: ignore[no-untyped-call, unused-ignore]
    """A fake tensor that has a real twin on the host, on which the same is done.

    It is no plain fake tensor, whose value nobody can have: a binding may read this one.
    """

    twin: Tensor

    def data_ptr(self) -> int:
        """Return where its twin is."""
        return self.twin.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy it as a tensor without a storage is copied."""
        return memo.setdefault(id(self), self.detach().clone())


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Counts the operations on CUDA tensors, and raises where one copies to the host.

    A binding may wait for the device, and the optimizer may; a step may not.
    """

    def __init__(self) -> None:
        cast("Any", super()).__init__()  # torch has no type for it
        self.count = 0
        self.may_read = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        tensors = [item for item in flat(args) if isinstance(item, Tensor)]
        to = (kwargs or {}).get("device")
        on_gpu = to is not None and torch.device(to).type == "cuda"
        if not on_gpu and not any(isinstance(item, FakeTensor) for item in tensors):
            # A tensor of the policy's own, on the host, is real, and may be read.
            with unset_fake_temporarily():
                return func(*args, **(kwargs or {}))
        self.count += not name.startswith(("device", "detach", "view", "alias", "lift"))
        to_host = name == "_to_copy" and to is not None and not on_gpu
        into_host = name == "copy_" and tensors[0].device.type != "cuda"
        reads = name in _READS or to_host or into_host
        if reads and not self.may_read:
            raise Read(name)
        on_host = {**(kwargs or {}), **({"device": "cpu"} if on_gpu else {})}
        with unset_fake_temporarily():
            real = func(*tree_map(twin_of, args), **tree_map(twin_of, on_host))
        if reads:
            return real
        fake = func(*args, **(kwargs or {}))
        for tensor, twin in zip(tree_leaves(fake), tree_leaves(real)):
            if isinstance(tensor, FakeTensor):
                tensor.__class__ = OnGPU
                vars(tensor)["twin"] = twin
        return fake


class _WithoutDriver(TorchFunctionMode):
    """Answers what torch asks the CUDA driver before it comes to the dispatch that is counted."""

    def __init__(self, counter: _Counter) -> None:
        cast("Any", super()).__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and isinstance(args[0], FakeTensor) and args[0].device.type == "cuda":
            name = getattr(func, "__name__", "")
            if name in _TO_HOST:
                if not self.counter.may_read:
                    raise Read(name)
                with unset_fake_temporarily():
                    return getattr(twin_of(args[0]), name)(*args[1:])
            if name == "copy_":
                return torch.ops.aten.copy_(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def twin_of(value: Any) -> Any:
    """Return the real twin of a fake tensor, and anything else as it is."""
    return vars(value)["twin"] if isinstance(value, FakeTensor) else value


def fake_cuda(held: Sequence[float]) -> list[Tensor]:
    """Make lrs on a GPU that is not there: any operation runs on them, but for reading one."""
    with FakeTensorMode(allow_non_fake_inputs=True), _Counter():
        return [torch.full((), lr, device="cuda") for lr in held]


@once
def launches(make: Make, held: Sequence[float], epochs: int) -> list[int]:
    """Return how many operations each step takes with lrs on a GPU; epoch 0 is the binding.

    Raises:
        Broken: If a lr is read.
    """
    counts = []
    policy = make()
    optimizer = sgd(fake_cuda(held), policy)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, _Counter() as counter, _WithoutDriver(counter):
        scheduler: Any = None
        for epoch in range(epochs + 1):
            before = counter.count
            try:
                counter.may_read = True
                if scheduler is None:
                    scheduler = policy(optimizer)
                else:
                    optimizer.step()  # SGD reads its momentum
                    counter.may_read = False
                    scheduler.step()
            except Exception as error:
                seen = said(error)
                if "support for cuda" in seen or "NVIDIA" in seen:
                    skip(f"without a GPU torch cannot show it: {seen}")
                if isinstance(error, Read):
                    seen = f"it is read, by {error}"
                what = "a step with lrs on a GPU" if epoch else "binding to lrs on a GPU"
                raise Broken(what, "no wait for the device", seen, epoch) from error
            counts.append(counter.count - before)
    return counts
