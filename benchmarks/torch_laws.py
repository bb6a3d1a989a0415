"""Which laws of the conformance suite torch's own schedulers keep, as a Markdown table.

Run ``python -m benchmarks.torch_laws``; with ``--reproduce`` it prints the program that shows each
broken law, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from thunder_policy.conformance import LAWS, Result, Subject, check_policy

EPOCHS = 12


SCHEDULERS: dict[str, Callable[[], Any]] = {
    "LambdaLR": lambda: partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "MultiplicativeLR": lambda: partial(MultiplicativeLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "StepLR": lambda: partial(StepLR, step_size=3),
    "MultiStepLR": lambda: partial(MultiStepLR, milestones=[3, 6]),
    "ConstantLR": lambda: partial(ConstantLR, factor=0.5, total_iters=4),
    "LinearLR": lambda: partial(LinearLR, start_factor=0.25, total_iters=5),
    "ExponentialLR": lambda: partial(ExponentialLR, gamma=0.9),
    "SequentialLR": lambda: (
        lambda optimizer: SequentialLR(
            optimizer,
            [LinearLR(optimizer, total_iters=3), ExponentialLR(optimizer, gamma=0.9)],
            milestones=[3],
        )
    ),
    "PolynomialLR": lambda: partial(PolynomialLR, total_iters=5),
    "CosineAnnealingLR": lambda: partial(CosineAnnealingLR, T_max=8),
    "ChainedScheduler": lambda: (
        lambda optimizer: ChainedScheduler(
            [LinearLR(optimizer), ExponentialLR(optimizer, gamma=0.9)]
        )
    ),
    "CyclicLR": lambda: partial(CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=4),
    "OneCycleLR": lambda: partial(OneCycleLR, max_lr=0.1, total_steps=40),
    "CosineAnnealingWarmRestarts": lambda: partial(CosineAnnealingWarmRestarts, T_0=5),
}


def results_of(name: str) -> list[Result]:
    """Return the results of one scheduler."""
    return check_policy(Subject(SCHEDULERS[name], epochs=EPOCHS), on_fail="collect")


def row(name: str, results: list[Result]) -> str:
    """Write the results of one scheduler as a row of the table."""
    broken = [f"`{result.law}`" for result in results if result.status == "failed"]
    kept = sum(result.status == "passed" for result in results)
    return f"| {name} | {kept} | {len(results) - kept - len(broken)} | {', '.join(broken)} |"


def main() -> None:
    """Print the table."""
    results = {name: results_of(name) for name in SCHEDULERS}
    broken = [(name, r) for name in results for r in results[name] if r.status == "failed"]
    print(f"torch {torch.__version__}, {len(LAWS)} laws\n")
    print("| scheduler | kept | says nothing | broken |\n| --- | ---: | ---: | --- |")
    print(*(row(name, of_one) for name, of_one in results.items()), "", sep="\n")
    for law in LAWS.values():
        if any(result.law == law.name for _, result in broken):
            print(f"- `{law.name}`: {law.sentence} Trap: {law.trap}.")
    if "--reproduce" in sys.argv:
        for name, r in broken:
            print(f"\n## {name}, {r.law}\n\n{r.reason}\n\n```python\n{r.reproduction}```")


if __name__ == "__main__":
    main()
