"""torch.distributed with gloo, started by torchrun: DDP, FSDP2, ZeRO, Distributed Checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.parametrize("strategy", ["DDP", "FSDP2", "ZeRO"])
def test_a_resumed_run_is_the_uninterrupted_one_on_every_rank(
    strategy: str, tmp_path: Path
) -> None:
    reports = torchrun("parallel.py", tmp_path, 2, strategy, "resume", str(tmp_path))
    for name, (make, lr) in WITH_LR.items():
        alone = train_alone(make, lr)
        for report in reports:
            whole, first, rest = (Run(**run) for run in report[name])
            check_same(whole, first, rest)
            assert whole.lrs == alone.lrs == expected(make())
            assert [*differences(whole.weights, alone.weights)] == []


@pytest.mark.spec("T6", "T13", "T18", "T19")
@pytest.mark.parametrize("strategy", ["DDP", "FSDP2"])
def test_a_distributed_checkpoint_of_two_processes_is_loaded_by_one_and_by_two(
    strategy: str, tmp_path: Path
) -> None:
    """By functions, by the Stateful protocol, and the policy alone, which is Stateful too."""
    saved = torchrun("parallel.py", tmp_path, 2, strategy, "save", str(tmp_path))
    assert {name: saved[1][name][0]["lrs"] for name in saved[1]} == {
        name: expected(make()) for name, make in POLICIES.items()
    }
    for processes in (1, 2):
        for report in torchrun("parallel.py", tmp_path, processes, strategy, "load", str(tmp_path)):
            for name, make in POLICIES.items():
                whole, first = (Run(**run) for run in saved[0][name])
                assert whole.lrs == expected(make())
                for form in ("functions", "protocol"):
                    check_same(whole, first, Run(**report[name, form]))
                alone = Run(**report[name, "policy alone"])
                assert first.lrs + alone.lrs == whole.lrs

            # The fresh policy has another mapping: the saved one is used, with a warning.
            whole, first = (Run(**run) for run in saved[0]["Multiply"])
            check_same(whole, first, Run(**report["another mapping"]))
            (warning,) = report["warnings"]
            assert "mapping was {1: 0.5, 3: 0.5, 6: 3.0, 9: 0.1} and is {2: 0.5}" in warning

            # One that overrides uses its own, from the epoch that was saved.
            planned = Multiply({2: 0.5}, lr_init=0.7)
            assert report["override"] == expected(planned)[-len(alone.lrs) :]


@pytest.mark.spec("T18", "T19")
def test_from_four_processes_to_two(tmp_path: Path) -> None:
    """Each process has as many examples a step, so half of them take twice the steps an epoch."""
    four = torchrun("parallel.py", tmp_path, 4, "FSDP2", "rescale", str(tmp_path))
    two = torchrun("parallel.py", tmp_path, 2, "FSDP2", "rescale", str(tmp_path))
    policy = Schedule(Cosine(LR, 0.0, epochs=6))
    assert all(one["lrs"] == expected(policy.in_steps(3), 6) for one in four)
    assert all(one["lrs"] == expected(policy.in_steps(6), 36)[12:] for one in two)
    for one in four:
        assert [*differences(one["weights"], four[0]["weights"])] == []
    for one in two:
        assert [*differences(one["loaded"], four[0]["weights"])] == []
        assert [*differences(one["weights"], two[0]["weights"])] == []
