"""Loops of one's own, per step and per epoch, and timm's way."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import (
    BATCHES,
    EPOCHS,
    LR,
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
from torch import Tensor, nn
from torch.optim import Adam

from thunder_policy import Policy, Schedule
from thunder_policy.schedules import Cosine

pytestmark = pytest.mark.spec("T1", "T11", "T17")

MakePolicy = Callable[[], Policy]


def backward(model: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    inputs, targets = batch
    (model(inputs) - targets).square().mean().backward()


# Plain loops

FLOAT, TENSOR = LR, torch.tensor(LR, dtype=torch.float64)


def train(
    make: MakePolicy,
    steps: range,
    path: Path,
    resume: bool = False,
    lr: float | Tensor = LR,
    per_epoch: bool = False,
) -> Run:
    """Train some of the steps and leave a checkpoint; objects are new and unlike the saved ones."""
    model = make_model(seed=int(resume))
    optimizer = make_optimizer(model, lr)
    policy = make()(optimizer)
    if resume:
        checkpoint = torch.load(path, weights_only=True)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        policy.load_state_dict(checkpoint["policy"])
    batches, run = make_batches(), Run()
    for step in steps:
        optimizer.zero_grad()
        backward(model, batches[step % BATCHES])
        run.lrs.append(lrs(optimizer))
        optimizer.step()
        if not per_epoch or step % BATCHES == BATCHES - 1:
            policy.step()
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "policy": policy}
    torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    return run.finish(model)


@every_policy
@pytest.mark.parametrize("lr", [FLOAT, TENSOR], ids=["float", "tensor"])
@pytest.mark.parametrize("per_epoch", [False, True], ids=["per step", "per epoch"])
def test_a_run_resumed_at_any_step_is_the_uninterrupted_one(
    make: MakePolicy, lr: float | Tensor, per_epoch: bool, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    whole = train(make, range(STEPS), path, lr=lr, per_epoch=per_epoch)
    for stop in range(1, STEPS):
        first = train(make, range(stop), path, lr=lr, per_epoch=per_epoch)
        rest = train(make, range(stop, STEPS), path, True, lr, per_epoch)
        check_same(whole, first, rest)
    rows = expected(make())
    if per_epoch:
        rows = [rows[step // BATCHES] for step in range(STEPS)]
    assert whole.lrs == rows


# timm's loop: updates are counted through, groups have a scale of their own, and what is resumed is
# an epoch number, as its checkpoints hold no scheduler. torch warns of both: of a step before the
# optimizer's, and of the argument.


def layer_decay(model: nn.Sequential, decay: float = 0.75) -> list[dict[str, Any]]:
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    return [
        {"params": [*layer.parameters()], "lr_scale": decay ** (len(layers) - 1 - i)}
        for i, layer in enumerate(layers)
    ]


def train_like_timm(
    epochs: range, path: Path, resume: bool = False, on_updates: bool = True
) -> Run:
    model = make_model(seed=int(resume))
    optimizer = Adam(layer_decay(model), lr=LR)
    schedules = [group["lr_scale"] * Cosine(LR, 0.0, EPOCHS) for group in optimizer.param_groups]
    policy = Schedule(schedules)
    if on_updates:
        policy = policy.in_steps(BATCHES)
    policy(optimizer)
    if resume:
        checkpoint = torch.load(path, weights_only=True)
        model.load_state_dict(checkpoint["state_dict"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        with (
            pytest.warns(UserWarning, match=r"before `optimizer\.step\(\)"),
            pytest.warns(UserWarning, match="epoch parameter in `scheduler"),
        ):
            policy.step(epochs.start * (BATCHES if on_updates else 1))
    run = Run()
    for _ in epochs:
        for batch in make_batches():
            optimizer.zero_grad()
            backward(model, batch)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            run.lrs.append(lrs(optimizer))
            optimizer.step()
            if on_updates:
                policy.step()
        if not on_updates:
            policy.step()
    torch.save({"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return run.finish(model)


@pytest.mark.parametrize("on_updates", [False, True])
@pytest.mark.parametrize("stop", range(1, EPOCHS))
def test_a_loop_like_timms_resumes_by_the_number_of_the_epoch(
    stop: int, on_updates: bool, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    whole = train_like_timm(range(EPOCHS), path, on_updates=on_updates)
    first = train_like_timm(range(stop), path, on_updates=on_updates)
    rest = train_like_timm(range(stop, EPOCHS), path, resume=True, on_updates=on_updates)

    check_same(whole, first, rest)
    epochs = [step / BATCHES if on_updates else step // BATCHES for step in range(STEPS)]
    head = [LR * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2 for epoch in epochs]
    assert [row[1] for row in whole.lrs] == pytest.approx(head)
    assert [row[0] for row in whole.lrs] == pytest.approx([0.75 * lr for lr in head])
