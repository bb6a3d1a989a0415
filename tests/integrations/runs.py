"""What the integration tests share: a small problem, policies, and what a run leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, simulate
from thunder_policy.schedules import Cosine, warmup

EPOCHS, BATCHES = 4, 3
STEPS = EPOCHS * BATCHES
BATCH_SIZE = 4
LR = 0.1


class InverseSqrt(Policy):
    """A policy of the user's own: base_lr / sqrt(epoch + 1)."""

    def get_lr(self) -> list[Any]:
        return [base_lr / (self.last_epoch + 1) ** 0.5 for base_lr in self.base_lrs]


# Each of them changes lrs in the first steps and in the last ones, so that a change is missed or
# made twice wherever a run is resumed at the wrong epoch.
POLICIES: dict[str, Callable[[], Policy]] = {
    "Switch": lambda: Switch({0: 0.1, 1: 0.05, 3: 0.02, 6: 0.04, 9: 0.01}),
    "Multiply": lambda: Multiply({1: 0.5, 3: 0.5, 6: 3.0, 9: 0.1}, lr_init=0.1),
    "Schedule": lambda: Schedule(warmup(3, Cosine(0.1, 0.01, epochs=9))),
    "Scale": lambda: Scale(warmup(3, Cosine(1.0, 0.1, epochs=9))),
    "a list": lambda: Multiply([{1: 0.5, 3: 0.1}, {2: 3.0, 9: 0.5}], lr_init=[0.1, 0.05]),
    "custom": InverseSqrt,
}

# The same where a run takes seconds: each of them with a float or a tensor for a lr.
WITH_LR: dict[str, tuple[Callable[[], Policy], float | Tensor]] = {
    name: (make, (LR, torch.tensor(LR, dtype=torch.float64))[i % 2])
    for i, (name, make) in enumerate(POLICIES.items())
}

every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
every_policy_and_a_lr = pytest.mark.parametrize(("make", "lr"), WITH_LR.values(), ids=WITH_LR)


def expected(policy: Policy, steps: int = STEPS) -> list[list[float]]:
    """Return the lrs of the two param groups, one row a step."""
    rows: list[list[float]] = simulate(policy, steps, groups=2, lr=LR).tolist()
    return rows


# The problem


def make_model(seed: int = 0) -> nn.Sequential:
    """Make a network with weights of its own for each seed."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    return model


def param_groups(model: nn.Module, lr: float | Tensor = LR) -> list[dict[str, Any]]:
    """Make two param groups: the weights, and the biases."""
    parameters = [*model.parameters()]
    groups = [[p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]]
    # A tensor that is given once is every group's; here each has one of its own.
    lrs = [lr.clone() if isinstance(lr, Tensor) else lr for _ in groups]
    return [{"params": group, "lr": lr} for group, lr in zip(groups, lrs, strict=True)]


def make_optimizer(model: nn.Module, lr: float | Tensor = LR, **options: Any) -> Adam:
    """Make an optimizer with two param groups."""
    return Adam(param_groups(model, lr), **options)


def make_data() -> list[tuple[Tensor, Tensor]]:
    """Make the examples of an epoch."""
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(BATCHES * BATCH_SIZE, 4, generator=generator)
    targets = inputs.sin().sum(1, keepdim=True)
    return [*zip(inputs, targets, strict=True)]


def make_batches() -> list[tuple[Tensor, Tensor]]:
    """Make the batches of an epoch."""
    examples = make_data()
    return [
        (torch.stack(inputs), torch.stack(targets))
        for inputs, targets in (
            zip(*examples[start : start + BATCH_SIZE], strict=True)
            for start in range(0, len(examples), BATCH_SIZE)
        )
    ]


# What a run leaves behind


def lrs(optimizer: Optimizer) -> list[float]:
    """Return what the param groups hold now."""
    return [float(group["lr"]) for group in optimizer.param_groups]


@dataclass
class Run:
    """The lrs that the optimizer stepped with, one row a step, and the weights at the end."""

    lrs: list[list[float]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def finish(self, model: nn.Module) -> Run:
        """Note the weights."""
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return self


def differences(first: dict[str, Tensor], second: dict[str, Tensor]) -> Iterator[str]:
    """Name the weights that are not the same, to the last bit."""
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name), second.get(name)
        if one is None or other is None or one.dtype != other.dtype or not torch.equal(one, other):
            yield name


def check_same(whole: Run, *parts: Run) -> None:
    """Check that parts of a run, one after the other, are the uninterrupted one."""
    assert len(parts) > 1
    assert all(part.lrs for part in parts)
    assert [row for part in parts for row in part.lrs] == whole.lrs
    assert len({str(row) for row in whole.lrs}) > 2, "the lrs hardly change: nothing is tested"
    assert whole.weights
    assert [*differences(whole.weights, parts[-1].weights)] == []


# Scripts in several processes

HERE = Path(__file__).parent
FAILURE = re.compile(r"Root Cause.*?exitcode\s*: (-?\d+)", re.DOTALL)


def environment() -> dict[str, str]:
    """Return the environment for a script: what it imports, one thread, its warnings errors."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error:::__main__",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    }


def torchrun(script: str, folder: Path, processes: int, *arguments: str) -> list[dict[Any, Any]]:
    """Start a script of this folder in several processes, and return what each of them reported.

    Where gloo is torn down, torch 2.13 aborts with signal 6 now and then, or one process waits for
    ever, whatever the script has done; only then is it started again.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", str(HERE / "scripts" / script), *arguments]
    for _ in range(4):
        reports = Path(tempfile.mkdtemp(dir=folder))
        with subprocess.Popen(
            [*command, str(reports)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                continue
        if process.returncode == 0:
            return [torch.load(reports / f"{rank}.pt") for rank in range(processes)]
        failure = FAILURE.search(err)
        if failure is None or int(failure[1]) != -signal.SIGABRT:
            break
    pytest.fail(f"{' '.join(command)} failed:\n{out}\n{err}")


def report(values: dict[Any, Any]) -> None:
    """Leave what this process has to report, from a script."""
    torch.save(values, Path(sys.argv[-1]) / f"{os.environ['RANK']}.pt")
