"""TensorBoard, MLflow and wandb log the lrs that the optimizer steps with, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from runs import lrs
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from thunder_policy import Policy, Schedule, Switch
from thunder_policy.schedules import Cosine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spec("S4", "S13", "B18"),
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:To copy construct from a tensor"),  # the monitor does
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
]

EPOCHS = 4
Rows = dict[str, list[float]]


def tensorboard(folder: Path) -> tuple[Any, Callable[[], Rows]]:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from lightning.pytorch.loggers import TensorBoardLogger

    logger = TensorBoardLogger(folder)

    def read() -> Rows:
        found = events.EventAccumulator(logger.log_dir).Reload()
        tags = [tag for tag in found.Tags()["scalars"] if tag.startswith("lr-")]
        return {tag: [event.value for event in found.Scalars(tag)] for tag in tags}

    return logger, read


def mlflow(folder: Path) -> tuple[Any, Callable[[], Rows]]:
    tracking = pytest.importorskip("mlflow.tracking")
    from lightning.pytorch.loggers import MLFlowLogger

    uri = f"file:{folder}"
    logger = MLFlowLogger(tracking_uri=uri)

    def read() -> Rows:
        client = tracking.MlflowClient(uri)
        tags = [tag for tag in client.get_run(logger.run_id).data.metrics if tag.startswith("lr-")]
        return {
            tag: [one.value for one in client.get_metric_history(logger.run_id, tag)]
            for tag in tags
        }

    return logger, read


def wandb(folder: Path) -> tuple[Any, Callable[[], Rows]]:
    pytest.importorskip("wandb")
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(save_dir=folder, offline=True)
    rows: Rows = {}
    log = logger.experiment.log

    def log_and_keep(metrics: dict[str, Any], **rest: Any) -> None:
        for tag in metrics:
            if tag.startswith("lr-"):
                rows.setdefault(tag, []).append(float(metrics[tag]))
        log(metrics, **rest)

    logger.experiment.log = log_and_keep

    def read() -> Rows:
        last = {tag: logger.experiment.summary[tag] for tag in rows}
        assert last == {tag: values[-1] for tag, values in rows.items()}
        logger.experiment.finish()
        return rows

    return logger, read


class Net(LightningModule):
    def __init__(self, policy: Policy, lr: float | Tensor) -> None:
        super().__init__()
        self.policy, self.lr = policy, lr
        self.layer, self.late = nn.Linear(2, 1), nn.Linear(2, 1)

    def configure_optimizers(self) -> Any:
        # Two groups, as the monitor would rename a single one where another comes.
        groups = [{"params": [parameter]} for parameter in self.layer.parameters()]
        optimizer = SGD(groups, lr=self.lr)
        return [optimizer], [self.policy(optimizer)]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = (self.layer(batch) + self.late(batch)).square().mean()
        return loss


class LateGroup(Callback):
    """Adds a param group after two epochs, and keeps what each step finds."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            (optimizer,) = trainer.optimizers
            optimizer.add_param_group({"params": pl_module.late.parameters(), "lr": 0.03})

    def on_before_optimizer_step(self, *arguments: Any) -> None:
        *_, optimizer = arguments
        assert isinstance(optimizer, Optimizer)
        self.seen.append(lrs(optimizer))


@pytest.mark.parametrize(
    "make", [lambda: Switch({0: 0.5, 1: 0.25, 3: 0.125}), lambda: Schedule(Cosine(0.5, 0.0, 8))],
    ids=["Switch", "Schedule"],
)  # fmt: skip
@pytest.mark.parametrize(
    "lr", [0.5, torch.tensor(0.5, dtype=torch.float64)], ids=["float", "tensor"]
)
@pytest.mark.parametrize("log", [tensorboard, mlflow, wandb], ids=lambda log: log.__name__)
def test_the_right_lrs_are_logged(
    log: Callable[[Path], Any],
    lr: float | Tensor,
    make: Callable[[], Policy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger, read = log(tmp_path)
    late = LateGroup()
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=logger,
        callbacks=[late, LearningRateMonitor(logging_interval="epoch")],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        log_every_n_steps=1,
    )
    rows: Any = DataLoader(torch.ones(4, 2), batch_size=4)  # type: ignore[arg-type]
    trainer.fit(Net(make(), lr), rows)
    logged = read()
    assert [len(row) for row in late.seen] == [2, 2, 3, 3]
    for i in range(3):
        expected = [row[i] for row in late.seen if i < len(row)]
        assert logged.pop(f"lr-SGD/pg{i + 1}") == pytest.approx(expected)
    assert logged == {}
    assert late.seen[2][2] == 0.03
    assert late.seen[3] == [late.seen[3][0]] * 3
    assert late.seen[3][0] != late.seen[2][0]
