"""Ignite: a policy as a handler of an event, in its wrapper, and in its checkpoints."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import (
    BATCH_SIZE,
    BATCHES,
    EPOCHS,
    LR,
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
)
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thunder_policy import Multiply, Policy, Switch, UnboundPolicyError

with warnings.catch_warnings():
    # torch.distributed.optim, which it imports, uses torch.jit.
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
    from ignite.engine import Events, create_supervised_trainer
    from ignite.handlers import Checkpoint, DiskSaver, create_lr_scheduler_with_warmup
    from ignite.handlers.param_scheduler import LRScheduler

pytestmark = pytest.mark.spec("B4", "T11", "T17")

MakePolicy = Callable[[], Policy]


class Job:
    """A trainer and what its checkpoints hold."""

    def __init__(
        self,
        make: MakePolicy,
        event: Events,
        seed: int = 0,
        lr: float | Tensor = LR,
        wrap: Callable[[Policy], Any] | None = None,
    ) -> None:
        self.model = make_model(seed)
        self.optimizer = make_optimizer(self.model, lr)
        self.policy = make()(self.optimizer)
        self.run = Run()
        self.trainer = create_supervised_trainer(
            self.model, self.optimizer, nn.MSELoss(), deterministic=True
        )
        self.parts: dict[str, Any] = {
            "trainer": self.trainer,
            "model": self.model,
            "optimizer": self.optimizer,
            "policy": self.policy,
        }
        if wrap is None:
            self.trainer.add_event_handler(event, lambda: self.policy.step())
        else:
            self.parts["policy"] = wrapper = wrap(self.policy)
            self.trainer.add_event_handler(event, wrapper)
        self.trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda: self.run.lrs.append(lrs(self.optimizer))
        )

    def train(self, folder: Path, stop: int | None = None) -> Run:
        """Train to the end, or save and stop after an iteration."""
        if stop is not None:
            # At the end of an epoch, the policy has to have its turn before the checkpoint is made.
            event = Events.ITERATION_COMPLETED(once=stop)
            if stop % BATCHES == 0:
                event = Events.EPOCH_COMPLETED(once=stop // BATCHES)
            saver = DiskSaver(str(folder), require_empty=False)
            checkpoint = Checkpoint(self.parts, saver, filename_pattern="checkpoint.pt")
            self.trainer.add_event_handler(event, checkpoint)
            self.trainer.add_event_handler(event, self.trainer.terminate)
        loader: DataLoader[Any] = DataLoader(make_data(), BATCH_SIZE)  # type: ignore[arg-type]
        self.trainer.run(loader, max_epochs=EPOCHS)
        return self.run.finish(self.model)

    def resume(self, folder: Path) -> Run:
        """Load a checkpoint, and train to the end."""
        # Ignite's own part has the state of NumPy's generator in it.
        checkpoint = torch.load(folder / "checkpoint.pt", weights_only=False)
        Checkpoint.load_objects(self.parts, checkpoint)
        return self.train(folder)


@every_policy_and_a_lr
@pytest.mark.parametrize("stop", [2, 6])
@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED])
def test_a_resumed_run_is_the_uninterrupted_one(
    make: MakePolicy, lr: float | Tensor, stop: int, event: Events, tmp_path: Path
) -> None:
    whole = Job(make, event, lr=lr).train(tmp_path)
    first = Job(make, event, lr=lr).train(tmp_path, stop)
    rest = Job(make, event, seed=1, lr=lr).resume(tmp_path)

    check_same(whole, first, rest)
    rows = expected(make())
    if event is Events.EPOCH_COMPLETED:
        rows = [rows[step // BATCHES] for step in range(STEPS)]
    assert whole.lrs == rows


# Ignite's wrapper asks get_lr and writes the lrs itself, at the start of an iteration


@every_policy
@pytest.mark.parametrize("stop", [2, 6])
def test_a_resumed_run_with_the_wrapper_is_the_uninterrupted_one(
    make: MakePolicy, stop: int, tmp_path: Path
) -> None:
    event = Events.ITERATION_STARTED
    whole = Job(make, event, wrap=LRScheduler).train(tmp_path)
    first = Job(make, event, wrap=LRScheduler).train(tmp_path, stop)
    rest = Job(make, event, seed=1, wrap=LRScheduler).resume(tmp_path)

    check_same(whole, first, rest)
    assert whole.lrs == expected(make())


@pytest.mark.parametrize("stop", [2, 6])
def test_ignite_puts_a_warm_up_before_a_policy(stop: int, tmp_path: Path) -> None:
    def wrap(policy: Policy) -> Any:
        return create_lr_scheduler_with_warmup(policy, warmup_start_value=0.0, warmup_duration=5)

    def make() -> Policy:
        return Multiply({4: 0.5, 6: 0.5}, lr_init=0.1)

    event = Events.ITERATION_STARTED
    whole = Job(make, event, wrap=wrap).train(tmp_path)
    first = Job(make, event, wrap=wrap).train(tmp_path, stop)
    rest = Job(make, event, seed=1, wrap=wrap).resume(tmp_path)

    check_same(whole, first, rest)
    # Its last step of warm-up is the policy's epoch 0.
    lrs_of_a_group = [0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    assert [row[0] for row in whole.lrs] == pytest.approx(lrs_of_a_group)


@every_policy
def test_simulating_with_the_wrapper_leaves_policy_and_optimizer_as_they_were(
    make: MakePolicy,
) -> None:
    optimizer = make_optimizer(make_model())
    policy = make()(optimizer)
    before = lrs(optimizer), policy.last_epoch, policy.get_last_lr()

    rows = LRScheduler.simulate_values(STEPS, policy)

    assert [row[1:] for row in rows] == expected(make())
    assert (lrs(optimizer), policy.last_epoch, policy.get_last_lr()) == before


def test_a_policy_that_is_not_bound_is_refused_by_the_wrapper() -> None:
    with pytest.raises(UnboundPolicyError, match=r"call policy\(optimizer\) first"):
        LRScheduler(Switch({0: 0.1}))
