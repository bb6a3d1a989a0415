"""Whether a resumed run has the lrs of the uninterrupted one: ``python -m benchmarks.resume``.

Each scheduler is stepped, saved with its optimizer, and resumed by new objects in four orders. What
is printed is a Markdown table: "same", or the largest factor between a lr and what it should be.
With ``--plot`` the picture of the README is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import torch
from matplotlib.figure import Figure
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

import thunder_policy
from thunder_policy import schedules

PICTURE = Path(__file__).parent / "pictures" / "resume.png"
LRS = [0.1, 0.03]  # of the param groups
SAVED, EPOCHS = 4, 12

TORCHS = [
    "LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))",
    "MultiplicativeLR(optimizer, lambda epoch: 1 / (1 + epoch))",
    "StepLR(optimizer, step_size=3)",
    "MultiStepLR(optimizer, milestones=[3, 6])",
    "ConstantLR(optimizer, factor=0.5, total_iters=6)",
    "LinearLR(optimizer, start_factor=0.25, total_iters=6)",
    "ExponentialLR(optimizer, gamma=0.9)",
    "SequentialLR(optimizer, [LinearLR(optimizer), CosineAnnealingLR(optimizer, 8)], [5])",
    "PolynomialLR(optimizer, total_iters=5)",
    "CosineAnnealingLR(optimizer, T_max=8)",
    "ChainedScheduler([LinearLR(optimizer), ExponentialLR(optimizer, gamma=0.9)])",
    "CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=4)",
    "OneCycleLR(optimizer, max_lr=0.1, total_steps=40)",
    "CosineAnnealingWarmRestarts(optimizer, T_0=5)",
]
OURS = [
    "Switch({0: 0.1, 3: 0.01, 6: 0.001})(optimizer)",
    "Multiply({3: 0.1, 6: 0.1}, lr_init=None)(optimizer)",
    "Schedule(warmup(5, Cosine(0.1, 0.0, epochs=8)))(optimizer)",
    "Scale(warmup(5, Cosine(1.0, 0.0, epochs=8)))(optimizer)",
]
NAMES = {**vars(lr_scheduler), **vars(thunder_policy), **vars(schedules)}

State: TypeAlias = dict[str, Any]
Build: TypeAlias = Callable[[SGD], LRScheduler]
Run: TypeAlias = tuple[SGD, LRScheduler]


def built_by(code: str) -> Build:
    """Return what makes the scheduler that is written down here."""
    build: Build = eval(f"lambda optimizer: {code}", NAMES)
    return build


def new_optimizer() -> SGD:
    """Return an optimizer of two groups, as it is in a new process."""
    return SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in LRS])


def lrs_of(optimizer: SGD, scheduler: LRScheduler, epochs: int) -> list[list[float]]:
    """Train for some epochs and return the lrs that each had."""
    lrs = []
    for _ in range(epochs):
        lrs.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return lrs


# What is done to a new optimizer, one after the other.
ORDERS = {
    "optimizer's state, then its own": ("build", "load optimizer", "load scheduler"),
    "its own, then the optimizer's": ("build", "load scheduler", "load optimizer"),
    "built after the optimizer's was loaded": ("load optimizer", "build", "load scheduler"),
    "its own alone": ("build", "load scheduler"),
}


def resume(build: Build, of_optimizer: State, of_scheduler: State, order: Sequence[str]) -> Run:
    """Return a new optimizer and scheduler that go on where the saved ones were."""
    optimizer = new_optimizer()
    for action in order:
        if action == "build":
            scheduler = build(optimizer)
        elif action == "load optimizer":
            optimizer.load_state_dict(of_optimizer)
        else:
            scheduler.load_state_dict(of_scheduler)
    return optimizer, scheduler


def resumed(code: str, saved: int = SAVED, epochs: int = EPOCHS) -> dict[str, list[list[float]]]:
    """Return the lrs of all epochs, uninterrupted and resumed in each order."""
    build = built_by(code)
    optimizer = new_optimizer()
    scheduler = build(optimizer)
    before = lrs_of(optimizer, scheduler, saved)
    states = deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    lrs = {"uninterrupted": before + lrs_of(optimizer, scheduler, epochs - saved)}
    for name, order in ORDERS.items():
        run = resume(build, *deepcopy(states), order)
        lrs[name] = before + lrs_of(*run, epochs - saved)
    return lrs


def factor(lrs: list[list[float]], expected: list[list[float]]) -> float:
    """Return the largest factor between two runs' lrs, of those that are not 0."""
    pairs = [pair for rows in zip(lrs, expected, strict=True) for pair in zip(*rows, strict=True)]
    return max(max(pair) / min(pair) for pair in pairs if min(pair) > 0)


def row(code: str) -> str:
    """Write one scheduler's row of the table."""
    lrs = resumed(code)
    expected = lrs.pop("uninterrupted")
    cells = [
        "same" if found == expected else f"{factor(found, expected):.3g} times"
        for found in lrs.values()
    ]
    return f"| `{code}` | {' | '.join(cells)} |"


def plot() -> Figure:
    """Draw a warm-up and a cosine that are interrupted at a third, torch's and ours."""
    saved, epochs, after = 30, 90, "built after the optimizer's was loaded"
    panels = {
        "torch: LinearLR, then CosineAnnealingLR": (
            "SequentialLR(optimizer, [LinearLR(optimizer, 0.01, total_iters=10),"
            " CosineAnnealingLR(optimizer, 80)], [10])"
        ),
        "thunder_policy: Scale(warmup(10, Cosine(...)))": (
            "Scale(warmup(10, Cosine(1.0, 0.0, epochs=80), start=0.01))(optimizer)"
        ),
    }
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (title, code) in zip(axes, panels.items(), strict=True):
        lrs = resumed(code, saved, epochs)
        ax.plot([lr for lr, _ in lrs["uninterrupted"]], color="0.7", lw=4, label="uninterrupted")
        ax.plot(range(saved, epochs), [lr for lr, _ in lrs[after]][saved:], "#d62728", lw=1.6)
        ax.lines[-1].set_label(f"resumed at epoch {saved}")
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("lr")
    return figure


def main() -> None:
    """Print the table, or draw the picture."""
    if "--plot" in sys.argv:
        plot().savefig(PICTURE, dpi=80)
        return
    print(f"torch {torch.__version__}\n")
    print("| scheduler |", " | ".join(ORDERS), "|\n| --- |" + " --: |" * len(ORDERS))
    print(*map(row, TORCHS + OURS), sep="\n")


if __name__ == "__main__":
    main()
