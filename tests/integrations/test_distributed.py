"""torch.distributed with gloo, started by torchrun: DDP, FSDP2, ZeRO, Distributed Checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import (
    BATCHES,
    LR,
    POLICIES,
    STEPS,
    WITH_LR,
    Run,
    check_same,
    differences,
    expected,
    lrs,
    make_batches,
    make_model,
    make_optimizer,
    torchrun,
)
from torch import Tensor

from thunder_policy import Multiply, Policy, Schedule
from thunder_policy.schedules import Cosine

pytestmark = [pytest.mark.slow, pytest.mark.spec("T1", "T11")]


def train_alone(make: Callable[[], Policy], lr: float | Tensor) -> Run:
    """Train in one process on what two processes share."""
    model = make_model()
    optimizer = make_optimizer(model, lr)
    policy = make()(optimizer)
    batches, run = make_batches(), Run()
    for step in range(STEPS):
        optimizer.zero_grad()
        for inputs, targets in zip(*[half.chunk(2) for half in batches[step % BATCHES]]):
            ((model(inputs) - targets).square().mean() / 2).backward()
        run.lrs.append(lrs(optimizer))
        optimizer.step()
        policy.step()
    return run.finish(model)


# FSDP2 has Distributed Checkpoint as its own.
RESUMED = ["DDP resume", "ZeRO resume"]
CHECKPOINTS = ["DDP", "FSDP2"]


@pytest.mark.spec("T6", "T13", "T18", "T19")
def test_a_run_of_two_processes_is_resumed_by_two_and_by_one(tmp_path: Path) -> None:
    saving = [f"{strategy} save" for strategy in CHECKPOINTS]
    loading = [f"{strategy} load" for strategy in CHECKPOINTS]
    both = [*loading, "FSDP2 rescale", str(tmp_path)]
    two = torchrun("parallel.py", tmp_path, 2, *RESUMED, *saving, *both)
    one = torchrun("parallel.py", tmp_path, 1, *both)
    for name, (make, lr) in WITH_LR.items():
        alone = train_alone(make, lr)
        for report in two:
            for task in RESUMED:
                check_same(*(Run(**run) for run in report[task][name]))
            for task in (*RESUMED, *saving):
                whole = Run(**report[task][name][0])
                assert whole.lrs == alone.lrs == expected(make()), task
                assert [*differences(whole.weights, alone.weights)] == [], task
    for strategy in CHECKPOINTS:
        for report in (*two, *one):
            check_loaded(two[0][f"{strategy} save"], report[f"{strategy} load"])
    check_rescaled([report["FSDP2 rescale"] for report in two], one[0]["FSDP2 rescale"])


def check_loaded(saved: dict[Any, Any], loaded: dict[Any, Any]) -> None:
    """Check what went on from a Distributed Checkpoint.

    It is loaded by functions, by the Stateful protocol, and, Stateful too, the policy alone.
    """
    for name in POLICIES:
        whole, first = (Run(**run) for run in saved[name])
        for form in ("functions", "protocol"):
            check_same(whole, first, Run(**loaded[name, form]))
        alone = Run(**loaded[name, "policy alone"])
        assert first.lrs + alone.lrs == whole.lrs

    # The fresh policy has another mapping: the saved one is used, with a warning.
    whole, first = (Run(**run) for run in saved["Multiply"])
    check_same(whole, first, Run(**loaded["another mapping"]))
    (warning,) = loaded["warnings"]
    assert "mapping was {1: 0.5, 3: 0.5, 6: 3.0, 9: 0.1} and is {2: 0.5}" in warning

    # One that overrides uses its own, from the epoch that was saved.
    planned = Multiply({2: 0.5}, lr_init=0.7)
    assert loaded["override"] == expected(planned)[len(first.lrs) :]


def check_rescaled(two: list[dict[str, Any]], one: dict[str, Any]) -> None:
    """Check a run of two processes that goes on in one.

    Each process has as many examples a step, so half of them take twice the steps an epoch.
    """
    policy = Schedule(Cosine(LR, 0.0, epochs=6))
    for report in two:
        assert report["lrs"] == expected(policy.in_steps(6), 12)
        assert [*differences(report["weights"], one["loaded"])] == []
    assert one["lrs"] == expected(policy.in_steps(12), 72)[24:]
