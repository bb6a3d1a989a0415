"""accelerate: prepare, accumulation, save_state, skipped steps, and its factor of num_processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration
from runs import (
    BATCH_SIZE,
    BATCHES,
    LR,
    POLICIES,
    STEPS,
    Run,
    check_same,
    every_policy,
    every_policy_and_a_lr,
    expected,
    lrs,
    make_data,
    make_model,
    make_optimizer,
    torchrun,
)
from torch import Tensor
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from thunder_policy import Policy, Switch, UnboundPolicyError

pytestmark = pytest.mark.spec("T11", "T17", "X1")

MakePolicy = Callable[[], Policy]
MakeBind = Callable[[], Callable[[Any], Policy]]


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    """Each accelerator of a test starts as in a process of its own."""
    yield
    fresh_process()


def fresh_process() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


class Job:
    """All that is prepared, in float16 where there is a scaler."""

    def __init__(
        self,
        make: MakeBind,
        seed: int = 0,
        lr: float | Tensor = LR,
        accumulate: int = 1,
        scaler: GradScaler | None = None,
        split: bool = False,
        with_optimizer: bool = True,
    ) -> None:
        fresh_process()
        self.accumulate, self.half = accumulate, scaler is not None
        self.accelerator = Accelerator(
            cpu=True,
            gradient_accumulation_steps=accumulate,
            mixed_precision="fp16" if self.half else "no",
            step_scheduler_with_optimizer=with_optimizer,
            dataloader_config=DataLoaderConfiguration(split_batches=split),
        )
        self.accelerator.scaler = scaler  # on a CPU it makes none of its own
        model = make_model(seed)
        optimizer = make_optimizer(model, lr)
        share = 1 if split else self.accelerator.num_processes
        batch_size = BATCH_SIZE // accumulate // share
        loader: DataLoader[Any] = DataLoader(make_data(), batch_size)  # type: ignore[arg-type]
        self.model, self.optimizer, self.loader, self.scheduler = self.accelerator.prepare(
            model, optimizer, loader, make()(optimizer)
        )
        self.run, self.skipped = Run(), list[bool]()

    def train(self, steps: range) -> Run:
        """Train some of the steps, each of which takes `accumulate` batches."""
        done = steps.start
        while done < steps.stop:
            skip = done % BATCHES * self.accumulate
            for batch in self.accelerator.skip_first_batches(self.loader, skip):
                done += self.step(batch)
                if done == steps.stop:
                    break
        return self.run.finish(self.accelerator.unwrap_model(self.model))

    def step(self, batch: Any) -> bool:
        """Train on a batch, and tell whether that was a step of the optimizer."""
        inputs, targets = batch
        with self.accelerator.accumulate(self.model):
            with torch.autocast("cpu", dtype=torch.float16, enabled=self.half):
                outputs = self.model(inputs)
            self.accelerator.backward((outputs.float() - targets).square().mean())
            stepped: bool = self.accelerator.sync_gradients
            if stepped:
                self.run.lrs.append(lrs(self.optimizer))
            self.optimizer.step()
            if stepped:
                self.skipped.append(self.optimizer.step_was_skipped)
            self.scheduler.step()
            self.optimizer.zero_grad()
        return stepped


def resumed(stop: int, folder: Path, make: MakeBind, **options: Any) -> tuple[Job, Job, Job]:
    """Return an uninterrupted run, and the two parts of one that stopped."""
    scaler = options.pop("scaler", lambda: None)
    whole = Job(make, scaler=scaler(), **options)
    whole.train(range(STEPS))
    first = Job(make, scaler=scaler(), **options)
    first.train(range(stop))
    first.accelerator.save_state(str(folder))
    rest = Job(make, seed=1, scaler=scaler(), **options)
    rest.accelerator.load_state(str(folder))
    rest.train(range(stop, STEPS))
    check_same(whole.run, first.run, rest.run)
    return whole, first, rest


@every_policy_and_a_lr
@pytest.mark.parametrize("stop", [1, 6])
def test_a_resumed_run_is_the_uninterrupted_one(
    make: MakePolicy, lr: float | Tensor, stop: int, tmp_path: Path
) -> None:
    whole, _, _ = resumed(stop, tmp_path, make, lr=lr)
    assert whole.run.lrs == expected(make())


@every_policy
def test_gradients_can_be_accumulated(make: MakePolicy, tmp_path: Path) -> None:
    """A step of the policy goes with a step of the optimizer, and not with a batch."""
    whole, _, _ = resumed(4, tmp_path, make, accumulate=2)
    assert whole.run.lrs == expected(make())


@every_policy
@pytest.mark.parametrize("stop", [1, 5])
def test_a_policy_waits_where_the_scaler_skips_a_step(
    make: MakePolicy, stop: int, tmp_path: Path
) -> None:
    """The first two are skipped; torch has no reason for a warning, and gives none."""
    whole, first, rest = resumed(
        stop, tmp_path, make, scaler=lambda: GradScaler("cpu", init_scale=2.0**17)
    )
    assert whole.skipped == [True, True] + [False] * (STEPS - 2) == first.skipped + rest.skipped
    rows = expected(make())
    assert whole.run.lrs == [rows[0]] * 2 + rows[: STEPS - 2]


# A policy that is not bound


def test_prepare_takes_a_policy_that_is_not_bound_and_its_first_step_is_refused() -> None:
    job = Job(lambda: lambda optimizer: Switch({0: 0.1, 3: 0.01}))
    with pytest.raises(UnboundPolicyError, match=r"call policy\(optimizer\) first"):
        job.train(range(1))


def test_a_policy_can_be_bound_to_the_prepared_optimizer() -> None:
    policy = Switch({0: 0.1, 3: 0.01})
    job = Job(lambda: lambda optimizer: policy)
    policy(job.optimizer)
    assert job.train(range(STEPS)).lrs == expected(policy)


# Several processes


@pytest.mark.slow
def test_in_two_processes_a_step_takes_two_of_the_policy(tmp_path: Path) -> None:
    for report in torchrun("accelerate_twice.py", tmp_path, 2, str(tmp_path)):
        for name, make in POLICIES.items():
            once, twice = expected(make()), expected(make(), 2 * STEPS)[::2]
            assert report["as it is"][name] == twice
            assert report["split batches"][name] == once
            assert report["not with the optimizer"][name] == once
            if name != "custom":
                assert report["in steps"][name] == once
