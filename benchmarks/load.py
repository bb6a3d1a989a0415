"""Very much of everything: what it takes, whether it grows, and whether a lr drifts.

    python -m benchmarks.load

A load does an eighth of its work at a time, and is right where each lr is what a reckoning of its
own says. Memory is that of the process, from the end of the second eighth to that of the last.
"""

from __future__ import annotations

import ctypes
import gc
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, TypeAlias

import torch

from thunder_policy import Multiply, Scale, Schedule, Switch

EIGHTHS = 8
# Yields, after each eighth, the lrs there and what they should be.
Load: TypeAlias = Callable[[int], Iterator[tuple[list[float], list[float]]]]


def sgd(n: int = 1) -> torch.optim.SGD:
    """Make an optimizer of n groups, at lrs of their own."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": 1 + i} for i in range(n)]
    return torch.optim.SGD(groups, lr=1.0)


def lrs(policy: Any) -> list[float]:
    """Return what the groups hold."""
    return [group["lr"] for group in policy.optimizer.param_groups]


def eighth(n: int) -> range:
    """Return an eighth of n, to count through."""
    return range(n // EIGHTHS)


def steps(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Step a Schedule and a Multiply with a thousand milestones."""
    every = max(n // 1000, 1)
    factors = {epoch: (1.1, 1 / 1.1)[epoch // every % 2] for epoch in range(every, n + 1, every)}
    policies = Schedule(lambda t: 1 / (1 + t))(sgd()), Multiply(factors, lr_init=1)(sgd())
    product, epoch = 1.0, 0
    for policy in policies:
        policy.optimizer.step()
    for _ in range(EIGHTHS):
        for _ in eighth(n):
            epoch += 1
            product *= factors.get(epoch, 1.0)
            for policy in policies:
                policy.step()
        yield [lrs(policy)[0] for policy in policies], [1 / (1 + epoch), product]


def groups(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Step n groups a thousand times, with one callable and with one milestone a step."""
    scale, multiply = Scale(lambda t: 1 / (1 + t)), Multiply(dict.fromkeys(range(1000), 1.0), None)
    policies = scale(sgd(n)), multiply(sgd(n))
    for policy in policies:
        policy.optimizer.step()
    for i in range(1, EIGHTHS + 1):
        for _ in eighth(1000):
            for policy in policies:
                policy.step()
        epoch = i * 1000 // EIGHTHS
        expected = [*((1 + i) * (1 / (1 + epoch)) for i in range(n)), *(1.0 + i for i in range(n))]
        yield lrs(scale) + lrs(multiply), expected


def milestones(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Make and bind a Switch of n milestones, eight times, and step over a thousand of them."""
    mapping = {epoch: 1 / epoch for epoch in range(1, n + 1)}
    for i in range(EIGHTHS):
        policy = Switch(mapping, lr_init=1)(sgd())
        policy.optimizer.step()
        policy.set_optimizer(policy.optimizer, last_epoch=i * n // EIGHTHS)
        for _ in range(min(1000, n // EIGHTHS)):
            policy.step()
        yield lrs(policy), [1 / policy.last_epoch]


def state(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Save a state of n milestones to a file and load it, eight times."""
    policy = Switch({epoch: 1 / epoch for epoch in range(1, n + 1)}, lr_init=1)(sgd())
    policy.optimizer.step()
    for epoch in range(1, EIGHTHS + 1):
        policy.step()
        policy.load_state_dict(through_file(policy.state_dict()))
        yield lrs(policy), [1 / epoch]


def policies(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Step n policies of one optimizer, of which each multiplies at an epoch of its own."""
    optimizer = sgd()
    epochs = range(1, n + 1)
    several = [Multiply({epoch: (1.1, 1 / 1.1)[epoch % 2]}, lr_init=None) for epoch in epochs]
    for policy in several:
        policy.set_optimizer(optimizer)
    optimizer.step()
    product, epoch = 1.0, 0
    for _ in range(EIGHTHS):
        for _ in eighth(n):
            epoch += 1
            product *= (1.1, 1 / 1.1)[epoch % 2]
            for policy in several:
                policy.step()
        yield lrs(several[0]), [product]


def rounds(n: int) -> Iterator[tuple[list[float], list[float]]]:
    """Save to a file, load and step n times, by a hundred milestones."""
    factors = {i * n // 100: (1.1, 1 / 1.1)[i % 2] for i in range(1, 101)}
    policy = Multiply(factors, lr_init=1)(sgd())
    product, epoch = 1.0, 0
    policy.optimizer.step()
    for _ in range(EIGHTHS):
        for _ in eighth(n):
            policy.load_state_dict(through_file(policy.state_dict()))
            policy.step()
            epoch += 1
            product *= factors.get(epoch, 1.0)
        yield lrs(policy), [product]


def through_file(saved: Any) -> Any:
    """Save and load as a careful user does."""
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# What there is very much of, how much, and what is done with it.
LOADS: dict[str, tuple[int, Load]] = {
    "steps of a Schedule and a Multiply": (10_000_000, steps),
    "groups, 1,000 steps of a Scale and a Multiply": (1_000, groups),
    "milestones: 8 Switches made, bound, stepped 1,000 times": (1_000_000, milestones),
    "milestones in a state: 8 files written and loaded": (1_000_000, state),
    "policies on one optimizer, a step of each for each": (1_000, policies),
    "files written and loaded, a step after each": (10_000, rounds),
}


def resident() -> int:
    """Return how many bytes the process has in memory, without what malloc keeps for later."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measured(load: Load, n: int) -> tuple[float, int, float]:
    """Return the seconds of a CPU that a load takes, by how many bytes it grows, and the drift."""
    gc.collect()
    gc.freeze()  # what torch has loaded is not looked at again and again
    sizes, drift, began = [], 0.0, process_time()
    for found, expected in load(n):
        sizes.append(resident())
        errors = [abs(a - b) / b for a, b in zip(found, expected, strict=True)]
        drift = max(drift, *errors)
    gc.unfreeze()
    assert len(sizes) == EIGHTHS
    return process_time() - began, sizes[-1] - sizes[1], drift


def row(name: str, n: int, load: Load) -> str:
    """Write the row of a load."""
    seconds, grown, drift = measured(load, n)
    off = "none" if drift == 0 else f"{drift:.1g}"
    return f"| {n:,} {name} | {seconds:.1f} s | {max(grown, 0) / 2**20:.1f} MiB | {off} |"


def main(share: int = 1) -> None:
    """Print the table, of a share of each load."""
    sgd().step()  # torch imports its compiler at the first one
    print("| load | CPU | grows by | drift |\n| --- | --: | --: | --: |")
    for name, (n, load) in LOADS.items():
        print(row(name, n // share, load), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
