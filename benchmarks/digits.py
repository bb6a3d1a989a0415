"""Train on real digits under four policies, interrupt each run, and resume it to the same bits.

The data are the 1,797 handwritten digits that scikit-learn ships, so nothing is downloaded. Every
policy drives two runs from the same seed. One goes straight through. The other stops half-way,
leaves nothing but a file, and is finished by fresh objects that read the file. In the end their
lrs, losses, weights, optimizer states and policy states must be the same, bit for bit.

    python benchmarks/digits.py
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import Adam

from thunder_policy import Multiply, Policy, Schedule, Switch

SEED = 0
BATCH_SIZE = 32
TEST_IMAGES = 360
BODY_LR, HEAD_LR = 1e-3, 3e-3


# The policies


class WarmupInverseSqrt(Policy):
    """Linear warm-up, then inverse square root decay (Vaswani et al. 2017, section 5.3)."""

    def __init__(self, warmup: int) -> None:
        super().__init__()
        self.warmup = warmup

    def get_lr(self) -> list[float | Tensor]:
        """Scale the lrs that the optimizer was built with."""
        t = self.last_epoch + 1
        scale = min(t / self.warmup, math.sqrt(self.warmup / t))
        return [base_lr * scale for base_lr in self.base_lrs]


def half_cosine(lr: float, epochs: int) -> Callable[[int], float]:
    """Go from lr at epoch 0 to zero at the last."""
    return lambda epoch: lr * (1 + math.cos(math.pi * epoch / epochs)) / 2


def make_policies(epochs: int) -> list[Policy]:
    """Write the four policies down; they need no optimizer for that."""
    early, late = epochs // 3, 2 * epochs // 3
    return [
        Switch([{0: BODY_LR, late: 1e-4}, {0: HEAD_LR, early: 1e-3, late: 1e-4}]),
        Multiply({early: 0.5, late: 0.1}, lr_init=[BODY_LR, HEAD_LR]),
        Schedule([half_cosine(BODY_LR, epochs), half_cosine(HEAD_LR, epochs)]),
        WarmupInverseSqrt(warmup=early),
    ]


# The data


class Digits(NamedTuple):
    """Images as rows of 64 numbers from 0 to 1, and the digits that they show."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_data() -> Digits:
    """Read the images and set some aside for the test, the same ones every time."""
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return Digits(images[train], labels[train], images[test], labels[test])


# A run


@dataclass
class Run:
    """All that a training run consists of."""

    model: nn.Module
    optimizer: Adam
    policy: Policy
    lrs: list[list[float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the run needs to go on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "policy": self.policy.state_dict(),
            "lrs": self.lrs,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where the state was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.policy.load_state_dict(state["policy"])
        self.lrs = state["lrs"]
        self.losses = state["losses"]
        self.accuracies = state["accuracies"]


def start(policy: Policy, seed: int) -> Run:
    """Build a network, its optimizer with two param groups, and bind the policy to it."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    head = nn.Linear(64, 10)
    optimizer = Adam(
        [
            {"params": body.parameters(), "lr": BODY_LR},
            {"params": head.parameters(), "lr": HEAD_LR},
        ]
    )
    return Run(nn.Sequential(body, head), optimizer, policy(optimizer))


def train(run: Run, data: Digits, until: int, tick: Callable[[], None]) -> None:
    """Train from the epoch at which the run stands up to the epoch ``until``."""
    for epoch in range(run.policy.last_epoch, until):
        # The order depends on the epoch alone, so a resumed run sees the same batches.
        order = torch.randperm(
            len(data.train_images), generator=torch.Generator().manual_seed(epoch)
        )
        run.lrs.append([group["lr"] for group in run.optimizer.param_groups])
        total = 0.0
        for batch in order.split(BATCH_SIZE):
            logits = run.model(data.train_images[batch])
            loss = nn.functional.cross_entropy(logits, data.train_labels[batch])
            run.optimizer.zero_grad()
            loss.backward()
            run.optimizer.step()
            total += loss.item() * len(batch)
        run.policy.step()
        run.losses.append(total / len(order))
        run.accuracies.append(accuracy(run.model, data))
        tick()


@torch.no_grad()
def accuracy(model: nn.Module, data: Digits) -> float:
    """Return the share of the test images that the network names correctly."""
    guesses = model(data.test_images).argmax(dim=1)
    return float((guesses == data.test_labels).float().mean())


# Interrupted and resumed


def train_and_save(
    policy: Policy, data: Digits, until: int, file: Path, tick: Callable[[], None]
) -> None:
    """Train and save; when this returns, the file is all that is left of the run."""
    run = start(policy, SEED)
    train(run, data, until, tick)
    torch.save(run.state_dict(), file)


def resume(policy: Policy, data: Digits, epochs: int, file: Path, tick: Callable[[], None]) -> Run:
    """Finish with fresh objects the run that the file holds."""
    # With another seed the network starts from other weights: the right ones are in the file alone.
    run = start(policy, SEED + 1)
    run.load_state_dict(torch.load(file, weights_only=True))
    train(run, data, epochs, tick)
    return run


def bits(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield each leaf of a state with its path, floats and tensors as the bits that they hold."""
    match value:
        case dict():
            for key, item in value.items():
                yield from bits(item, f"{path}[{key!r}]")
        case list() | tuple():
            yield path, len(value)
            for i, item in enumerate(value):
                yield from bits(item, f"{path}[{i}]")
        case Tensor():
            yield path, (value.dtype, value.shape, value.numpy().tobytes())
        case float():
            yield path, value.hex()
        case _:
            yield path, value


def differences(straight: Run, resumed: Run) -> list[str]:
    """Name each part in which two runs are not the same to the bit."""
    expected = dict(bits(straight.state_dict(), ""))
    actual = dict(bits(resumed.state_dict(), ""))
    missing = object()
    return [
        path
        for path in {**expected, **actual}
        if expected.get(path, missing) != actual.get(path, missing)
    ]


# What is printed


def new_table(title: str, *columns: str) -> Table:
    """Start a table whose first column is read as text and the others as numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def history(run: Run, name: str, interrupted_after: int) -> Table:
    """Tabulate a run, one row an epoch, with a gap where it was interrupted."""
    title = f"{name}, resumed from the file after epoch {interrupted_after - 1}"
    table = new_table(title, "epoch", "lr body", "lr head", "loss", "test accuracy")
    rows = zip(run.lrs, run.losses, run.accuracies, strict=True)
    for epoch, ((body, head), loss, correct) in enumerate(rows):
        table.add_row(
            str(epoch),
            f"{body:.3e}",
            f"{head:.3e}",
            f"{loss:.4f}",
            f"{correct:.1%}",
            end_section=epoch + 1 == interrupted_after,
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the runs and return the exit status: 0 where every resumed run is the same."""
    parser = argparse.ArgumentParser(description="Train, interrupt, resume and compare.")
    parser.add_argument("--epochs", type=int, default=12, help="of each run, at least 4")
    epochs: int = parser.parse_args(arguments).epochs
    if epochs < 4:
        parser.error("--epochs must be at least 4: the policies need room to change the lr")

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the matrices are too small to be shared out
    data = load_data()
    policies = make_policies(epochs)
    half = epochs // 2
    summary = new_table("Summary", "policy", "loss", "test accuracy", "resumed run")
    complaints: list[str] = []

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        TemporaryDirectory() as folder,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        file = Path(folder) / "checkpoint.pt"
        task = bar.add_task("", total=2 * epochs * len(policies))

        def tick() -> None:
            bar.advance(task)

        for policy in policies:
            name = type(policy).__name__
            bar.update(task, description=name)
            # Unbound, a policy is a value: each run binds a copy of its own.
            straight = start(copy(policy), SEED)
            train(straight, data, epochs, tick)
            train_and_save(copy(policy), data, half, file, tick)
            resumed = resume(copy(policy), data, epochs, file, tick)

            different = differences(straight, resumed)
            if different:
                more = f" and {len(different) - 3} more" if len(different) > 3 else ""
                shown = ", ".join(different[:3]) + more
                complaints.append(
                    f"{name}: the resumed run differs from the uninterrupted one in {shown}"
                )
            console.print(history(resumed, name, half))
            summary.add_row(
                name,
                f"{resumed.losses[-1]:.4f}",
                f"{resumed.accuracies[-1]:.1%}",
                "[red]different[/]" if different else "[green]the same bits[/]",
            )
    console.print(summary)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
