"""Plateau in the frameworks: Lightning feeds it by itself, the Trainer by a callback."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import test_lightning
import test_transformers
import torch
from runs import BATCHES, EPOCHS, Run, check_same, make_optimizer
from test_transformers import BATCH_SIZE, Recorder, make_data, make_model
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import Trainer, TrainerCallback, TrainingArguments

from thunder_policy import Plateau, Scale, Schedule, simulate
from thunder_policy.schedules import Constant, Cosine, warmup

pytestmark = [pytest.mark.spec("P2", "P7", "X1"), *test_lightning.pytestmark[1:]]

STEPS = test_transformers.STEPS


def scale() -> Plateau:
    return Plateau(Scale(warmup(1, Constant(1.0), start=0.25)), factor=0.5, patience=0)


def schedule() -> Plateau:
    return Plateau(Schedule(Cosine(0.1, 0.01, epochs=12)), factor=0.5, patience=0)


each_plateau = pytest.mark.parametrize("make", [scale, schedule])


# Lightning


LOSSES = (3.0, 2.0, 2.5, 2.5)  # of each epoch: the third is no improvement


class Monitored(test_lightning.Module):
    """Logs a loss that is written down, so that each run is cut at the same epochs."""

    timing: ClassVar[dict[str, Any]] = {"interval": "step", "frequency": BATCHES}

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", LOSSES[self.current_epoch])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def val_dataloader(self) -> Any:
        return test_lightning.loader()

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model, self.lr)
        scheduler = {
            "scheduler": self.make()(optimizer),
            "reduce_on_plateau": True,
            "monitor": "val_loss",
            **self.timing,
        }
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class EachEpoch(Monitored):
    """What Lightning does by default."""

    timing: ClassVar[dict[str, Any]] = {}


def fit_in_parts(
    form: type[Monitored], make: Any, folder: Path, stop: int, lr: float | Tensor = 0.1
) -> tuple[Run, Run, Run]:
    """Train in one go, and with a stop after some epochs."""
    options: dict[str, Any] = {"num_sanity_val_steps": 0}
    whole = test_lightning.fit(form(make, 0, lr), folder / "whole", **options)
    first = test_lightning.fit(form(make, 0, lr), folder / "run", epochs=stop, **options)
    path = str(folder / "run" / f"epoch={stop - 1}.ckpt")
    rest = test_lightning.fit(form(make, 1, lr), folder / "run", resume=path, **options)
    return whole, first, rest


@each_plateau
@pytest.mark.parametrize(("tensors", "stop"), [(False, 1), (True, 3)], ids=["float", "tensor"])
def test_lightning_gives_it_the_metric_that_it_monitors(
    make: Callable[[], Plateau], tensors: bool, stop: int, tmp_path: Path
) -> None:
    lr = torch.tensor(0.1, dtype=torch.float64) if tensors else 0.1
    whole, first, rest = fit_in_parts(Monitored, make, tmp_path, stop, lr)

    check_same(whole, first, rest)
    rows = simulate(make(), EPOCHS, groups=2, lr=0.1, metrics=LOSSES).tolist()
    assert whole.lrs == [row for row in rows for _ in range(BATCHES)]


def test_by_default_lightning_saves_before_that_step_as_it_does_for_torch(tmp_path: Path) -> None:
    """So a run that is resumed at an epoch's end lacks its metric, in Lightning 2.6."""

    def plateau() -> Plateau:
        return Plateau(Scale(Constant(1.0)), factor=0.5, patience=0)

    def torch_s() -> Any:
        return partial(ReduceLROnPlateau, factor=0.5, patience=0)

    ours = fit_in_parts(EachEpoch, plateau, tmp_path / "ours", 3)
    theirs = fit_in_parts(EachEpoch, torch_s, tmp_path / "theirs", 3)

    assert [part.lrs for part in ours] == [part.lrs for part in theirs]
    whole, _, rest = ours
    rows = simulate(plateau(), EPOCHS, groups=2, lr=0.1, metrics=LOSSES).tolist()
    assert whole.lrs == [row for row in rows for _ in range(BATCHES)]
    assert rest.lrs[0] == [0.1, 0.1] != whole.lrs[-1] == [0.05, 0.05]


# Transformers


PAGE = Path(__file__).parents[2] / "thunder_policy" / "RECIPES.md"
[CALLBACK] = re.findall(
    r"^class FeedPlateau.*?(?=^```$)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def feed_plateau() -> Any:
    """Make the callback that stands in RECIPES.md."""
    names: dict[str, Any] = {"TrainerCallback": TrainerCallback}
    exec(CALLBACK, names)
    return names["FeedPlateau"]()


class Worse(TrainerCallback):
    """Makes each loss worse than the one before, whatever the model does."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["metrics"]["eval_loss"] = float(state.global_step)


def train(
    make: Callable[[], Plateau],
    folder: Path,
    stop: int | None = None,
    resume: bool = False,
    lr: float | Tensor = 0.1,
) -> Run:
    model = make_model(seed=int(resume))
    optimizer = make_optimizer(model, lr)
    run = Run()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH_SIZE,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=3,
        eval_on_start=True,  # which is no metric, neither of a new run nor of one that is resumed
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
        eval_dataset=make_data()[:2],
        optimizers=(optimizer, make()(optimizer)),
        callbacks=[Recorder(run, stop), Worse(), feed_plateau()],
    )
    trainer.train(resume_from_checkpoint=resume)
    return run.finish(model)


@each_plateau
@pytest.mark.parametrize(("tensors", "stop"), [(False, 4), (True, 6)], ids=["float", "tensor"])
def test_the_trainer_gives_it_a_metric_by_a_callback(
    make: Callable[[], Plateau], tensors: bool, stop: int, tmp_path: Path
) -> None:
    lr = torch.tensor(0.1, dtype=torch.float64) if tensors else 0.1
    whole = train(make, tmp_path / "whole", lr=lr)
    first = train(make, tmp_path, stop=stop, lr=lr)
    rest = train(make, tmp_path, resume=True, lr=lr)

    check_same(whole, first, rest)
    metrics = [float(step) if step % 3 == 0 else None for step in range(1, STEPS + 1)]
    assert whole.lrs == simulate(make(), STEPS, groups=2, lr=0.1, metrics=metrics).tolist()
