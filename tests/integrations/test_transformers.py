"""The Trainer of Transformers with a policy, on a model that is made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import WITH_LR, Run, check_same, expected, lrs, make_optimizer
from torch import Tensor
from torch.optim import Optimizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from thunder_policy import Policy, Switch, UnboundPolicyError

Bind = Callable[[Optimizer], Policy]
pytestmark = pytest.mark.spec("T11", "T17")

STEPS, BATCH_SIZE = 12, 2


def make_model(seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=16,
        n_positions=8,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config)  # with dropout: the generator's state is resumed too


def make_data() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(7)
    rows = torch.randint(2, 16, (STEPS * BATCH_SIZE // 2, 8), generator=generator)  # two epochs
    return [{"input_ids": row, "labels": row} for row in rows]


class Recorder(TrainerCallback):
    """Notes the lrs of each step, and saves and stops where it is told to."""

    def __init__(self, run: Run, stop: int | None) -> None:
        self.run, self.stop = run, stop

    def on_pre_optimizer_step(self, *args: Any, optimizer: Any, **kwargs: Any) -> None:
        self.run.lrs.append(lrs(optimizer))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.stop:
            control.should_save = control.should_training_stop = True


def train(
    make: Callable[[], Bind],
    folder: Path,
    stop: int | None = None,
    resume: bool = False,
    lr: float | Tensor = 0.1,
    accumulate: int = 1,
) -> tuple[Run, list[float]]:
    """Train, and return the run and the lrs that the Trainer has logged."""
    model = make_model(seed=int(resume))
    optimizer = make_optimizer(model, lr)
    policy = make()(optimizer)
    run = Run()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH_SIZE // accumulate,
        gradient_accumulation_steps=accumulate,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=make_data(),
        optimizers=(optimizer, policy),
        callbacks=[Recorder(run, stop)],
    )
    trainer.train(resume_from_checkpoint=resume)
    logged = [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]
    return run.finish(model), logged


@pytest.mark.parametrize(
    ("name", "stop", "accumulate"),
    # Six steps are an epoch. Where gradients are accumulated, a step is one of the optimizer.
    [("Switch", 4, 1), ("Multiply", 1, 1), ("Schedule", 6, 1), ("Scale", 11, 1), ("a list", 4, 1)]
    + [("custom", 4, 2), ("Multiply", 4, 2)],
)
def test_a_resumed_run_is_the_uninterrupted_one(
    name: str, stop: int, accumulate: int, tmp_path: Path
) -> None:
    make, lr = WITH_LR[name]
    whole, logged = train(make, tmp_path / "whole", lr=lr, accumulate=accumulate)
    first, _ = train(make, tmp_path, stop=stop, lr=lr, accumulate=accumulate)
    rest, logged_in_parts = train(make, tmp_path, resume=True, lr=lr, accumulate=accumulate)

    check_same(whole, first, rest)
    assert whole.lrs == expected(make())
    assert logged == logged_in_parts == [row[0] for row in whole.lrs]


def test_a_policy_that_is_not_bound_is_refused_at_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(UnboundPolicyError, match=r"call policy\(optimizer\) first"):
        train(lambda: lambda optimizer: Switch({0: 0.1}), tmp_path)
