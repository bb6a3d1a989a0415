"""Laws on lrs held as tensors, as ``torch.compile`` and CUDA graphs want them."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor

from ..gpu import launches
from ..runs import (
    Broken,
    Make,
    begin,
    expect,
    flat,
    lrs,
    option_of,
    other_lrs,
    overlap,
    run,
    same_run,
    skip,
    state_of,
    train,
)
from ..undisturbed import tolerance, undisturbed
from . import law

DTYPES = (torch.float64, torch.float32)


@law("pytorch#107076, #120934: a tensor replaced by a float recompiles the step", dtype=DTYPES)
def tensor_identity(make: Make, held: list[float], epochs: int, dtype: torch.dtype) -> None:
    """A tensor lr stays the same object, of the same dtype, shape and device."""
    live = [torch.tensor(lr, dtype=dtype) for lr in held]
    scheduler = begin(make, live)
    option = option_of(scheduler)
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        for i, (group, lr) in enumerate(zip(scheduler.optimizer.param_groups, live)):
            if group[option] is not lr:
                what = "the lr in the group"
                raise Broken(what, "the tensor that it held", repr(group[option]), epoch, i)
            expect((lr.dtype, lr.shape), (dtype, torch.Size([])), "dtype and shape", epoch)


@law("a lr rounded twice, or replaced by its first value", dtype=DTYPES)
def tensor_trace(make: Make, held: list[float], epochs: int, dtype: torch.dtype) -> None:
    """With tensor lrs a run is that with floats, within the rounding of their dtype."""
    right = undisturbed(make, held, epochs)
    within = tolerance(make, held, epochs, dtype)
    seen = run(begin(make, [torch.tensor(lr, dtype=dtype) for lr in held]), epochs)
    same_run(seen, right, f"the lr as a tensor of {dtype}", **within)


@law("pytorch#126854, #162359: a fill in place that reaches base_lrs")
def tensor_storage(make: Make, held: list[float], epochs: int) -> None:
    """No record shares memory with a live lr: not base_lrs, initial_lr, state or get_last_lr()."""
    scheduler = begin(make, [torch.tensor(lr, dtype=torch.float64) for lr in held])
    option, optimizer = option_of(scheduler), scheduler.optimizer
    for epoch in range(min(epochs, 3) + 1):
        if epoch:
            train(scheduler)
        records: dict[str, object] = {
            "get_last_lr()": scheduler.get_last_lr(),
            "base_lrs": getattr(scheduler, "base_lrs", []),
            "initial_lr": [group.get("initial_lr") for group in optimizer.param_groups],
            **{f"the state's {key}": value for key, value in state_of(scheduler).items()},
        }
        for what, record in records.items():
            for i, group in enumerate(optimizer.param_groups):
                for record_lr in flat(record):
                    if overlap(record_lr, group[option]):
                        seen = "the memory of the live lr"
                        raise Broken(what, "memory of its own", seen, epoch, i)


@law("load_state_dict of a scheduler that writes floats, or the tensors of the state")
def tensor_resume(make: Make, held: list[float], epochs: int, at: int) -> None:
    """A run with tensor lrs goes on in fresh objects, in the tensors that their groups hold."""
    policy = begin(make, [torch.tensor(lr, dtype=torch.float64) for lr in held])
    train(policy, at)
    saved = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))

    live = [torch.tensor(lr, dtype=torch.float64) for lr in other_lrs(held, policy)]
    fresh = begin(make, live)
    option = option_of(fresh)
    fresh.optimizer.load_state_dict(saved[0])
    live = [group[option] for group in fresh.optimizer.param_groups]
    fresh.load_state_dict(saved[1])
    seen, right = run(fresh, epochs - at), run(policy, epochs - at)
    same_run(seen, right, f"the tensor lr of a run resumed at epoch {at}", since=at)
    for i, (group, lr) in enumerate(zip(fresh.optimizer.param_groups, live)):
        if group[option] is not lr:
            what = "the lr in the group, after loading"
            raise Broken(what, "the tensor that it held", repr(group[option]), at, i)


@law("Adam(params, lr=tensor): each group holds that one tensor")
def tensor_shared(make: Make, held: list[float], epochs: int) -> None:
    """Groups that were given one tensor for all follow the lrs that floats would."""
    right = undisturbed(make, [0.1 for _ in held], epochs)
    within = tolerance(make, held, epochs)
    shared = torch.tensor(0.1, dtype=torch.float64)
    seen = run(begin(make, [shared for _ in held]), epochs)
    same_run(seen, right, "the lr where all groups hold one tensor", **within)


@law("SGD(params, lr=torch.tensor([0.1])), and the elements of a buffer", form=("[1]", "views"))
def tensor_shape(make: Make, held: list[float], epochs: int, form: str) -> None:
    """Lrs of shape [1], and views of one buffer, are written in place."""
    right, within = undisturbed(make, held, epochs), tolerance(make, held, epochs)
    live: list[Tensor]
    if form == "[1]":
        live = [torch.tensor([lr], dtype=torch.float64) for lr in held]
    else:
        live = [*torch.tensor(held, dtype=torch.float64).unbind()]
    shapes = [lr.shape for lr in live]
    policy = begin(make, live)
    same_run(run(policy, epochs), right, f"the lr as a tensor ({form})", **within)
    for lr, shape in zip(live, shapes):
        expect(lr.shape, shape, "the shape of the lr")
    expect([float(lr) for lr in live], lrs(policy), "what the tensors hold", epochs)


@law("pytorch#133663: a step that waits for the GPU", widest=True)
def gpu_sync(make: Make, held: list[float], epochs: int) -> None:
    """With lrs on a GPU no step reads one: nothing waits for the device."""
    launches(make, held, epochs)


@law("a lr computed from the first epoch on, at each epoch", widest=True)
def gpu_launches(make: Make, held: list[float], epochs: int) -> None:
    """With lrs on a GPU a step does not launch more and more kernels."""
    try:
        counts = launches(make, held, epochs)
    except Broken as error:
        skip(f"see gpu_sync: {error}")
    for epoch in range(6, epochs + 1):
        last = counts[epoch - 5 : epoch + 1]
        if all(more > less for less, more in pairwise(last)):
            raise Broken("kernels a step", "no growth", f"{last}", epoch)
