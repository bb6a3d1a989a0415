"""Lightning: policies from configure_optimizers, its callbacks, checkpoints and crashes."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from runs import (
    BATCH_SIZE,
    BATCHES,
    EPOCHS,
    STEPS,
    Run,
    check_same,
    every_policy,
    expected,
    lrs,
    make_data,
    make_model,
    make_optimizer,
)
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader, default_collate

from thunder_policy import Multiply, Policy, Schedule, Switch, UnboundPolicyError
from thunder_policy.schedules import Cosine

pytestmark = [
    pytest.mark.spec("S13", "T11", "T17"),
    # Workers would serve a data set of twelve rows no faster.
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    # A resumed run goes on in the folder of the one that stopped.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    # Lightning makes a class of torch that 2.13 deprecates.
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
]

MakePolicy = Callable[[], Policy]


class Crash(Exception):
    """The end of a run before its time."""


class Module(LightningModule):
    """A regression; each form of configure_optimizers is a subclass."""

    def __init__(self, make: MakePolicy, seed: int, lr: float | Tensor = 0.1) -> None:
        super().__init__()
        self.make, self.lr = make, lr
        self.model = make_model(seed)
        self.run = Run()
        self.crash_at = math.inf

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if self.global_step >= self.crash_at:
            raise Crash
        inputs, targets = batch
        loss: Tensor = (self.model(inputs) - targets).square().mean()
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.run.lrs.append(lrs(optimizer))


class Bare(Module):
    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.lr)
        return [optimizer], [self.make()(optimizer)]


class Direct(Module):
    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.lr)
        return {"optimizer": optimizer, "lr_scheduler": self.make()(optimizer)}


class EachEpoch(Module):
    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.lr)
        scheduler = {"scheduler": self.make()(optimizer), "interval": "epoch"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class EachStep(Module):
    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.lr)
        scheduler = {"scheduler": self.make()(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def make_trainer(
    folder: Path, *callbacks: Callback, epochs: int = EPOCHS, **options: Any
) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[*callbacks],
        logger=options.pop("logger", False),
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        log_every_n_steps=1,
        **options,
    )


def loader() -> DataLoader[Any]:
    return DataLoader(make_data(), batch_size=BATCH_SIZE)  # type: ignore[arg-type]


def fit(
    module: Module,
    folder: Path,
    *callbacks: Callback,
    resume: str | None = None,
    **options: Any,
) -> Run:
    """Train, with a checkpoint at the end of each epoch."""
    checkpoint = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    trainer = make_trainer(folder, checkpoint, *callbacks, **options)
    trainer.fit(module, loader(), ckpt_path=resume)
    return module.run.finish(module.model)


# The forms of configure_optimizers


@every_policy
@pytest.mark.parametrize("form", [Bare, Direct, EachEpoch, EachStep])
def test_a_resumed_run_is_the_uninterrupted_one(
    form: type[Module], make: MakePolicy, tmp_path: Path
) -> None:
    whole = fit(form(make, seed=0), tmp_path / "whole")
    first = fit(form(make, seed=0), tmp_path / "run", epochs=2)
    rest = fit(form(make, seed=1), tmp_path / "run", resume=str(tmp_path / "run" / "epoch=1.ckpt"))

    check_same(whole, first, rest)
    rows = expected(make())
    if form is not EachStep:
        rows = [rows[step // BATCHES] for step in range(STEPS)]
    assert whole.lrs == rows


@every_policy
def test_a_tensor_lr_is_resumed(make: MakePolicy, tmp_path: Path) -> None:
    lr = torch.tensor(0.1, dtype=torch.float64)
    whole = fit(EachStep(make, 0, lr), tmp_path / "whole")
    first = fit(EachStep(make, 0, lr), tmp_path / "run", epochs=2)
    rest = fit(
        EachStep(make, 1, lr), tmp_path / "run", resume=str(tmp_path / "run" / "epoch=1.ckpt")
    )

    check_same(whole, first, rest)
    assert whole.lrs == expected(make())


def test_a_policy_that_is_not_bound_is_refused_before_training(tmp_path: Path) -> None:
    class Forgetful(Module):
        def configure_optimizers(self) -> Any:
            return [make_optimizer(self.model)], [self.make()]

    with pytest.raises(UnboundPolicyError, match=r"call policy\(optimizer\) first"):
        fit(Forgetful(lambda: Switch({0: 0.1}), 0), tmp_path)


# A crash in the middle of an epoch, with a loader that can say where it was


class Shuffled:
    """A loader of shuffled batches that goes on where its state says."""

    def __init__(self) -> None:
        self.served = 0

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[Any]:
        examples = make_data()
        generator = torch.Generator().manual_seed(self.served // BATCHES)
        batches = torch.randperm(len(examples), generator=generator).chunk(BATCHES)
        for rows in batches[self.served % BATCHES :]:
            self.served += 1
            yield default_collate([examples[row] for row in rows.tolist()])

    def state_dict(self) -> dict[str, int]:
        return {"served": self.served}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.served = state_dict["served"]


def fit_with_crashes(
    module: Module, folder: Path, crash_at: float = math.inf, resume: str | None = None
) -> Run:
    """Train on shuffled data, with a checkpoint every two steps."""
    module.crash_at = crash_at
    checkpoint = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer = make_trainer(folder, checkpoint)
    trainer.fit(module, Shuffled(), ckpt_path=resume)
    return module.run.finish(module.model)


@every_policy
@pytest.mark.parametrize("crash_at", [2, 5, 9])
@pytest.mark.parametrize("form", [EachEpoch, EachStep])
def test_a_run_that_crashed_in_the_middle_of_an_epoch_is_resumed_there(
    form: type[Module], make: MakePolicy, crash_at: int, tmp_path: Path
) -> None:
    whole = fit_with_crashes(form(make, 0), tmp_path / "whole")
    crashed = form(make, 0)
    with pytest.raises(Crash):
        fit_with_crashes(crashed, tmp_path / "run", crash_at)
    saved = crash_at // 2 * 2
    rest = fit_with_crashes(
        form(make, 1), tmp_path / "run", resume=str(tmp_path / "run" / f"step={saved}.ckpt")
    )

    check_same(whole, Run(crashed.run.lrs[:saved]), rest)
    rows = expected(make())
    if form is EachEpoch:
        rows = [rows[step // BATCHES] for step in range(STEPS)]
    assert whole.lrs == rows


@every_policy
def test_gradients_can_be_accumulated(make: MakePolicy, tmp_path: Path) -> None:
    """A step of the policy goes with a step of the optimizer, and not with a batch."""
    options: dict[str, Any] = {"accumulate_grad_batches": 2}
    whole = fit(EachStep(make, 0), tmp_path / "whole", **options)
    first = fit(EachStep(make, 0), tmp_path / "run", epochs=2, **options)
    path = str(tmp_path / "run" / "epoch=1.ckpt")
    rest = fit(EachStep(make, 1), tmp_path / "run", resume=path, **options)

    check_same(whole, first, rest)
    assert whole.lrs == expected(make(), steps=2 * EPOCHS)  # of three batches an epoch, 2 and 1


class Manual(Module):
    """A policy for each of two optimizers, stepped by hand: one a step, one an epoch."""

    def __init__(self, make: MakePolicy, seed: int) -> None:
        super().__init__(make, seed)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        optimizers = [Adam(self.model[0].parameters()), SGD(self.model[2].parameters())]
        policies = [Multiply({1: 0.5, 4: 0.5, 8: 0.1}), Switch({0: 0.1, 2: 0.01, 3: 0.02})]
        return optimizers, [p(optimizer) for p, optimizer in zip(policies, optimizers)]

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        self.run.lrs.append([lrs(optimizer)[0] for optimizer in optimizers])
        for optimizer in optimizers:
            optimizer.step()
        schedulers: Any = self.lr_schedulers()
        schedulers[0].step()
        if self.trainer.is_last_batch:
            schedulers[1].step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        pass


def test_several_optimizers_are_optimised_by_hand(tmp_path: Path) -> None:
    def unused() -> Policy:
        raise NotImplementedError

    whole = fit(Manual(unused, 0), tmp_path / "whole")
    first = fit(Manual(unused, 0), tmp_path / "run", epochs=2)
    rest = fit(Manual(unused, 1), tmp_path / "run", resume=str(tmp_path / "run" / "epoch=1.ckpt"))

    check_same(whole, first, rest)
    assert [row[0] for row in whole.lrs] == [1e-3] + [5e-4] * 3 + [2.5e-4] * 4 + [2.5e-5] * 4
    assert [row[1] for row in whole.lrs] == [0.1] * 6 + [0.01] * 3 + [0.02] * 3


# Callbacks


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_the_monitor_logs_what_the_optimizer_steps_with(interval: str, tmp_path: Path) -> None:
    module = EachStep(lambda: Schedule([Cosine(0.1, 0.0, 10), Cosine(0.2, 0.0, 10)]), 0)
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    monitor = LearningRateMonitor(logging_interval=interval)
    fit(module, tmp_path / "run", monitor, logger=logger)

    with open(Path(logger.log_dir) / "metrics.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    logged = [[float(row[f"lr-Adam/pg{i}"]) for i in (1, 2)] for row in rows]
    assert logged == module.run.lrs[:: 1 if interval == "step" else BATCHES]
    assert len(logged) == (STEPS if interval == "step" else EPOCHS)


class Finetuned(Module):
    """A head that is trained alone at first, and a backbone that joins it."""

    def __init__(self, make: MakePolicy, seed: int) -> None:
        super().__init__(make, seed)
        self.backbone, self.head = self.model[0], self.model[2]

    def configure_optimizers(self) -> Any:
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = Adam(trainable)
        scheduler = {"scheduler": self.make()(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class Unfreeze(BaseFinetuning):
    """The callback of the README."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Optimizer) -> None:
        if epoch >= 1:
            self.make_trainable(pl_module.backbone)
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer, lr=0.05)


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(
    ("make", "added"),
    [
        # At steps 3, 4 and 5 the new group has its own lr; a change takes it in.
        (lambda: Switch({0: 0.1, 6: 0.02, 9: 0.01}), [0.05] * 3 + [0.02] * 3 + [0.01] * 3),
        (lambda: Multiply({2: 0.5, 6: 0.5, 9: 0.5}), [0.05] * 3 + [0.025] * 3 + [0.0125] * 3),
        (lambda: Schedule(Cosine(0.1, 0.0, 12)), [0.05, *map(Cosine(0.1, 0.0, 12), range(4, 12))]),
    ],
    ids=["Switch", "Multiply", "Schedule"],
)
def test_base_finetuning_adds_a_param_group_in_the_middle(
    make: MakePolicy, added: list[float], stop: int, tmp_path: Path
) -> None:
    whole = fit(Finetuned(make, 0), tmp_path / "whole", Unfreeze())
    first = fit(Finetuned(make, 0), tmp_path / "run", Unfreeze(), epochs=stop)
    path = str(tmp_path / "run" / f"epoch={stop - 1}.ckpt")
    rest = fit(Finetuned(make, 1), tmp_path / "run", Unfreeze(), resume=path)

    check_same(whole, first, rest)
    assert [len(row) for row in whole.lrs] == [1] * 3 + [2] * 9
    assert [row[1] for row in whole.lrs[3:]] == added
