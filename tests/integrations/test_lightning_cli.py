"""LightningCLI: the scheduler from flags and from files, and policies among the hyperparameters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import page
import pytest
import torch
from runs import lrs
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thunder_policy import Policy, Schedule, Switch, safe_globals, simulate
from thunder_policy.schedules import Cosine, warmup

pytest.importorskip("jsonargparse")

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningCLI

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spec("P1", "F4"),
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:Experiment logs directory .* exists"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Lightning's use of jsonargparse
]


@pytest.fixture(autouse=True)
def no_arguments_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])


SEEN: list[float] = []
EPOCHS = 4
SCHEDULERS: dict[str, tuple[list[str], Policy]] = {
    "Switch": (
        ["--lr_scheduler=thunder_policy.bound.Switch", "--lr_scheduler.mapping={0: 0.1, 2: 0.01}"],
        Switch({0: 0.1, 2: 0.01}),
    ),
    "a list": (
        ["--lr_scheduler=thunder_policy.bound.Multiply", "--lr_scheduler.mapping=[{1: 0.5, 3: 0}]"]
        + ["--lr_scheduler.lr_init=null"],
        Schedule(lambda epoch: [0.5, 0.25, 0.25, 0.0][epoch]),
    ),
    "Schedule": (
        ["--lr_scheduler=thunder_policy.bound.Schedule"]
        + ["--lr_scheduler.mapping=thunder_policy.schedules.Cosine"]
        + ["--lr_scheduler.mapping.start=0.1", "--lr_scheduler.mapping.end=0"]
        + ["--lr_scheduler.mapping.epochs=4"],
        Schedule(Cosine(0.1, 0.0, 4)),
    ),
}
OPTIMIZER = ["--optimizer=SGD", "--optimizer.lr=0.5"]


class Net(LightningModule):
    """A regression without a configure_optimizers, as the command line makes that."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def train_dataloader(self) -> Any:
        return DataLoader(torch.ones(4, 2), batch_size=4)  # type: ignore[arg-type]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        SEEN.extend(lrs(self.trainer.optimizers[0]))
        loss: Tensor = self.layer(batch).square().mean()
        return loss


def fit(arguments: Sequence[str], folder: Path, epochs: int = EPOCHS) -> list[float]:
    """Run the command, and return the lr of each epoch."""
    SEEN.clear()
    LightningCLI(
        Net,
        args=["fit", *arguments],
        seed_everything_default=1,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "max_epochs": epochs,
            "accelerator": "cpu",
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": str(folder), "version": 0},
            },
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
        },
    )
    return [*SEEN]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_flags_a_stop_and_the_saved_config(name: str, tmp_path: Path) -> None:
    flags, policy = SCHEDULERS[name]
    expected = simulate(policy, EPOCHS)[:, 0].tolist()
    assert fit([*OPTIMIZER, *flags], tmp_path) == expected

    folder = tmp_path / "lightning_logs" / "version_0"
    assert fit([f"--config={folder / 'config.yaml'}"], tmp_path) == expected

    first = fit([*OPTIMIZER, *flags], tmp_path / "run", epochs=2)
    run = tmp_path / "run" / "lightning_logs" / "version_0"
    (checkpoint,) = (run / "checkpoints").iterdir()
    again = ["--config", str(run / "config.yaml"), f"--trainer.max_epochs={EPOCHS}"]
    rest = fit([*again, f"--ckpt_path={checkpoint}"], tmp_path / "run")
    assert first + rest == expected


def test_a_printed_config_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, policy = SCHEDULERS["Schedule"]
    with pytest.raises(SystemExit):
        fit([*OPTIMIZER, *flags, "--print_config"], tmp_path)
    printed = capsys.readouterr().out
    assert "class_path: thunder_policy.bound.Schedule" in printed
    (tmp_path / "printed.yaml").write_text(printed)
    lrs = fit([f"--config={tmp_path / 'printed.yaml'}"], tmp_path)
    assert lrs == simulate(policy, EPOCHS)[:, 0].tolist()


def test_a_file_that_a_person_wrote(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        """
optimizer: {class_path: SGD, init_args: {lr: 0.5}}
lr_scheduler:
  class_path: thunder_policy.bound.Switch
  init_args: {mapping: {0: 1e-1, 2: 1e-2}}
"""
    )
    assert fit([f"--config={tmp_path / 'config.yaml'}"], tmp_path) == [0.1, 0.1, 0.01, 0.01]


@pytest.mark.spec("K8")
def test_a_policy_among_the_hyperparameters_is_a_value(tmp_path: Path) -> None:
    net_class: Any = page.run("lightning")["Net"]

    made: Any = type("Trained", (net_class, Net), {})
    policy = Schedule(warmup(1, Cosine(0.1, 0.0, 4)))
    before = copy.copy(policy)

    def trainer(epochs: int) -> Trainer:
        return Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            default_root_dir=tmp_path,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )

    SEEN.clear()
    stopped = trainer(2)
    stopped.fit(made(policy))
    assert policy == before  # bound was a copy
    stopped.save_checkpoint(tmp_path / "checkpoint")
    bound_by_mistake = made(policy)
    stopped.strategy._lightning_module = bound_by_mistake
    bound_by_mistake.hparams["policy"] = before(torch.optim.SGD([torch.ones(1)], lr=0.1))
    with pytest.warns(UserWarning, match="Schedule is bound, so it is saved with its optimizer"):
        stopped.save_checkpoint(tmp_path / "mistaken")
    with torch.serialization.safe_globals(safe_globals()):
        checkpoint = torch.load(tmp_path / "checkpoint", weights_only=True)
        assert checkpoint["hyper_parameters"] == {"policy": policy}
        again = made.load_from_checkpoint(tmp_path / "checkpoint", weights_only=True)
        assert again.hparams.policy == policy
        trainer(EPOCHS).fit(again, ckpt_path=tmp_path / "checkpoint", weights_only=True)
    assert [policy.lr_at(epoch)[0] for epoch in range(EPOCHS)] == SEEN
    text = next(tmp_path.rglob("hparams.yaml")).read_text()
    assert "thunder_policy.mapping.Schedule" in text
    assert "_by_default" not in text
    assert "optimizer" not in text
