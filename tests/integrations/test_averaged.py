"""AveragedModel: EMA beside a policy, and SWA with SWALR after one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import (
    BATCHES,
    STEPS,
    Run,
    check_same,
    differences,
    every_policy_and_a_lr,
    expected,
    lrs,
    make_batches,
    make_model,
    make_optimizer,
)
from torch import Tensor
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn

from thunder_policy import Policy

pytestmark = pytest.mark.spec("T11", "X1")

MakePolicy = Callable[[], Policy]

SWA_START, SWA_LR, ANNEAL = 6, 0.02, 3


class Job:
    """A model with an average of it, a policy, and, for SWA, the scheduler that comes after it."""

    def __init__(self, make: MakePolicy, swa: bool, lr: float | Tensor, seed: int = 0) -> None:
        self.model = make_model(seed)
        self.optimizer = make_optimizer(self.model, lr)
        average = None if swa else get_ema_multi_avg_fn(0.9)
        self.averaged = AveragedModel(self.model, multi_avg_fn=average)
        self.policy = make()(self.optimizer)
        self.parts: dict[str, Any] = {
            "model": self.model,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
            "policy": self.policy,
        }
        self.swalr = None
        if swa:
            self.swalr = SWALR(self.optimizer, SWA_LR, anneal_epochs=ANNEAL)
            self.parts["swalr"] = self.swalr
        self.run = Run()

    def train(self, steps: range) -> Run:
        batches = make_batches()
        for step in steps:
            inputs, targets = batches[step % BATCHES]
            self.optimizer.zero_grad()
            (self.model(inputs) - targets).square().mean().backward()
            self.run.lrs.append(lrs(self.optimizer))
            self.optimizer.step()
            if self.swalr is None or step < SWA_START:
                self.policy.step()
            else:
                self.swalr.step()
            if self.swalr is None or step >= SWA_START:
                self.averaged.update_parameters(self.model)
        return self.run.finish(self.averaged)


def resumed(stop: int, path: Path, make: MakePolicy, swa: bool, lr: float | Tensor) -> Run:
    """Return an uninterrupted run that is the same as one that was resumed."""
    whole = Job(make, swa, lr).train(range(STEPS))
    job = Job(make, swa, lr)
    first = job.train(range(stop))
    torch.save({name: part.state_dict() for name, part in job.parts.items()}, path)
    job = Job(make, swa, lr, seed=1)
    checkpoint = torch.load(path, weights_only=True)
    for name, part in job.parts.items():
        part.load_state_dict(checkpoint[name])
    check_same(whole, first, job.train(range(stop, STEPS)))
    return whole


@every_policy_and_a_lr
def test_an_average_is_kept_beside_a_policy(
    make: MakePolicy, lr: float | Tensor, tmp_path: Path
) -> None:
    whole = resumed(5, tmp_path / "checkpoint.pt", make, False, lr)
    assert whole.lrs == expected(make())
    weights = {name.removeprefix("module."): value for name, value in whole.weights.items()}
    assert {*differences(weights, make_model().state_dict())} > {"0.weight", "2.weight"}


@every_policy_and_a_lr
@pytest.mark.parametrize("stop", [3, 6, 8])
def test_swalr_goes_on_from_where_the_policy_has_come_to(
    make: MakePolicy, lr: float | Tensor, stop: int, tmp_path: Path
) -> None:
    whole = resumed(stop, tmp_path / "checkpoint.pt", make, True, lr)
    assert whole.lrs[: SWA_START + 1] == expected(make())[: SWA_START + 1]
    annealed = whole.lrs[SWA_START + ANNEAL :]
    assert annealed == [pytest.approx([SWA_LR] * 2)] * len(annealed)
