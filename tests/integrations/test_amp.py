"""Mixed precision: autocast, and a scaler that skips steps, the first one too."""

from __future__ import annotations

import warnings
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
    every_policy,
    expected,
    lrs,
    make_batches,
    make_model,
    make_optimizer,
)
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from thunder_policy import Policy, Switch

pytestmark = pytest.mark.spec("S9", "T11")

MakePolicy = Callable[[], Policy]

ORDER = r"lr_scheduler\.step\(\)` before `optimizer\.step\(\)"

# Gradients in float16 overflow here from a scale of 2^16 on.
TOO_HIGH: dict[str, Any] = {"init_scale": 2.0**17}
GROWING: dict[str, Any] = {"init_scale": 2.0**14, "growth_interval": 2}


class Scaled:
    """A run in float16, with a scaler."""

    def __init__(self, make: MakePolicy, options: dict[str, Any], seed: int = 0) -> None:
        self.model = make_model(seed)
        self.optimizer: Optimizer = make_optimizer(self.model)
        self.scaler = GradScaler("cpu", **options)
        self.policy = make()(self.optimizer)
        self.run, self.skipped = Run(), list[bool]()

    def parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
            "policy": self.policy,
        }

    def save(self, path: Path) -> None:
        torch.save({name: part.state_dict() for name, part in self.parts().items()}, path)

    def load(self, path: Path) -> None:
        checkpoint = torch.load(path, weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(checkpoint[name])

    def train(self, steps: range, always: bool) -> Run:
        batches = make_batches()
        for step in steps:
            self.step(batches[step % BATCHES], always)
        return self.run.finish(self.model)

    def step(self, batch: tuple[Tensor, Tensor], always: bool) -> None:
        """Train a step; the policy steps always, or where the optimizer did."""
        inputs, targets = batch
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            output = self.model(inputs)
        loss = (output.float() - targets).square().mean()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call, unused-ignore]
        self.run.lrs.append(lrs(self.optimizer))
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.skipped.append(self.scaler.get_scale() < scale)
        if always or not self.skipped[-1]:
            self.policy.step()


@every_policy
@pytest.mark.parametrize("always", [False, True], ids=["with the optimizer", "always"])
@pytest.mark.parametrize(
    ("options", "at_first"),
    [(TOO_HIGH, True), (GROWING, False)],
    ids=["skips at first", "skips now and then"],
)
def test_a_run_with_skipped_steps_is_resumed(
    make: MakePolicy,
    always: bool,
    options: dict[str, Any],
    at_first: bool,
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint.pt"
    with warnings.catch_warnings():
        # Where the first step is skipped; two tests are about it.
        warnings.filterwarnings("ignore", f".*{ORDER}", UserWarning)
        whole = Scaled(make, options)
        whole.train(range(STEPS), always)
        for stop in (1, 2, 6, 7):
            first = Scaled(make, options)
            first.train(range(stop), always)
            first.save(path)
            rest = Scaled(make, options, seed=1)
            rest.load(path)
            rest.train(range(stop, STEPS), always)
            check_same(whole.run, first.run, rest.run)
            assert first.skipped + rest.skipped == whole.skipped

    assert whole.skipped[0] is at_first
    assert sum(whole.skipped) > 1
    rows = expected(make())
    taken = [step if always else step - sum(whole.skipped[:step]) for step in range(STEPS)]
    assert whole.run.lrs == [rows[epoch] for epoch in taken]


def test_torch_warns_where_the_skipped_step_was_the_first() -> None:
    """The optimizer has not stepped, so torch is right; it cannot see that this was meant."""
    skips = Scaled(lambda: Switch({0: 0.1, 2: 0.01}), TOO_HIGH)
    with pytest.warns(UserWarning, match=ORDER) as caught:
        skips.train(range(STEPS), always=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_nobody_warns_where_the_policy_steps_with_the_optimizer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Scaled(lambda: Switch({0: 0.1, 2: 0.01}), TOO_HIGH).train(range(STEPS), always=False)
