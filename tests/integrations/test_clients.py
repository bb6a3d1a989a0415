"""Clients that are handed a policy late, by class, or by its lrs: trained, stopped and resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import page
import pytest
import torch
from runs import BATCHES, EPOCHS, environment, lrs, make_batches, make_model, make_optimizer
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thunder_policy import MappingPolicy, Policy, Scale, Schedule, Switch, bound
from thunder_policy.schedules import Cosine

pytestmark = [pytest.mark.slow, pytest.mark.spec("P1", "B1", "T11")]

MAPPING = {0: 0.1, 1: 0.05, 3: 0.02}
EACH_EPOCH = [0.1, 0.05, 0.05, 0.02]
HERE = Path(__file__).parent


def sgd(model: nn.Module | None = None) -> SGD:
    return SGD((model or nn.Linear(2, 1)).parameters(), lr=0.1)


def test_fabric_saves_and_resumes(tmp_path: Path) -> None:
    names = page.run("lightning")
    fabric = names["fabric"]
    assert names["policy"].get_last_lr() == [0.1]

    def make(seed: int) -> dict[str, Any]:
        model = make_model(seed)
        wrapped, optimizer = fabric.setup(model, make_optimizer(model))
        return {"model": wrapped, "optimizer": optimizer, "policy": Switch(MAPPING)(optimizer)}

    def train(state: dict[str, Any], epochs: int) -> list[float]:
        seen = []
        for _ in range(epochs):
            for inputs, targets in make_batches():
                loss = (state["model"](inputs) - targets).square().mean()
                state["optimizer"].zero_grad()
                fabric.backward(loss)
                state["optimizer"].step()
                seen.append(state["optimizer"].param_groups[0]["lr"])
            state["policy"].step()
        return seen

    whole, stopped, resumed = make(0), make(0), make(1)
    expected = train(whole, EPOCHS)
    first = train(stopped, 2)
    fabric.save(tmp_path / "checkpoint", stopped)
    fabric.load(tmp_path / "checkpoint", resumed)
    assert first + train(resumed, EPOCHS - 2) == expected
    assert expected == [lr for lr in EACH_EPOCH for _ in range(BATCHES)]
    for name, value in whole["model"].state_dict().items():
        assert torch.equal(value, resumed["model"].state_dict()[name])


def test_skorch_takes_a_class_a_policy_and_goes_on_after_a_stop() -> None:
    names = page.run("skorch")
    net_class, scheduler_class = names["NeuralNetRegressor"], names["LRScheduler"]
    inputs, targets = torch.ones(8, 2).numpy(), torch.ones(8, 1).numpy()

    def net(epochs: int = 4, **given: Any) -> Any:
        made = net_class(
            nn.Linear,
            module__in_features=2,
            module__out_features=1,
            max_epochs=epochs,
            optimizer__lr=0.1,
            train_split=None,
            verbose=0,
            callbacks=[("lr", scheduler_class(**given))],
        )
        return made.fit(inputs, targets)

    names["net"].fit(inputs, targets)
    assert names["net"].history[:, "event_lr"] == [0.1, 0.1, 0.01, 0.01]
    for given in (
        {"policy": bound.Switch, "mapping": MAPPING},
        {"policy": Switch(MAPPING)},
        {"policy": bound.Switch, "mapping": [MAPPING], "lr_init": [0.7]},
    ):
        assert net(**given).history[:, "event_lr"] == EACH_EPOCH
    # Trained for two epochs, and for two more: the schedule goes on where it was.
    decay = Cosine(0.1, 0.0, 4)
    for given in (
        {"policy": bound.Schedule, "mapping": decay},
        {"policy": bound.Scale, "mapping": Cosine(1.0, 0.0, 4)},
    ):
        stopped = net(2, **given)
        stopped.partial_fit(inputs, targets)
        assert stopped.history[:, "event_lr"] == pytest.approx([decay(t) for t in range(4)])
    with pytest.raises(TypeError, match=r"write Switch\(\{\.\.\.\}\)\(optimizer\)"):
        net(policy=Switch, mapping=MAPPING)


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_tabnet_takes_a_class_and_its_arguments() -> None:
    model = page.run("pytorch_tabnet")["tabnet"]
    inputs, targets = torch.rand(8, 2).numpy(), torch.rand(8, 1).numpy()
    fit = {"eval_set": [(inputs, targets)], "batch_size": 8, "virtual_batch_size": 8}
    model.fit(inputs, targets, max_epochs=4, drop_last=False, **fit)
    assert model.history["lr"] == [0.1, 0.1, 0.01, 0.01]


def test_monai_makes_one_of_a_bundle() -> None:
    names = page.run("monai")
    scheduler = names["scheduler"]
    assert type(scheduler) is bound.Switch
    assert scheduler.mapping == {0: 0.1, 30: 0.01}
    assert isinstance(scheduler.optimizer, SGD)

    parsed = names["bundle"]
    parsed["scheduler"] = {
        "_target_": "thunder_policy.bound.Schedule",
        "optimizer": "@optimizer",
        "mapping": {
            "_target_": "thunder_policy.schedules.Cosine",
            "start": 0.1,
            "end": 0,
            "epochs": 9,
        },
    }
    parsed = json.loads(json.dumps(parsed))
    made = names["ConfigParser"](parsed).get_parsed_content("scheduler")
    assert made.mapping == Cosine(0.1, 0.0, 9)
    parsed["scheduler"] |= {"_target_": "thunder_policy.bound.Switch", "mapping": {"0": 0.1}}
    with pytest.raises(RuntimeError, match="Failed to instantiate") as caught:
        names["ConfigParser"](parsed).get_parsed_content("scheduler")
    assert "JSON has no keys but text" in str(caught.value.__cause__)


def test_monai_s_handler_steps_it() -> None:
    pytest.importorskip("monai")
    engine = pytest.importorskip("ignite.engine")
    from monai.handlers import LrScheduleHandler

    optimizer = sgd()
    seen: list[float] = []

    def update(_: Any, batch: Any) -> None:
        optimizer.step()
        seen.append(lrs(optimizer)[0])

    trainer = engine.Engine(update)
    LrScheduleHandler(Switch(MAPPING)(optimizer), print_lr=False).attach(trainer)
    trainer.run([0], max_epochs=EPOCHS)
    assert seen == EACH_EPOCH


@pytest.mark.filterwarnings("ignore")  # DeepSpeed's own; the script has its warnings as errors
def test_deepspeed_saves_and_resumes_and_a_bound_one_warns(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    script = HERE / "scripts" / "deepspeed_alone.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment() | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deepspeed: the same lrs" in done.stdout


def test_torchtitan_s_container_is_saved_and_resumed() -> None:
    names = page.run("torchtitan")
    policy = Scale(Cosine(1.0, 0.0, 9))

    def make() -> tuple[list[Optimizer], Any]:
        optimizers: list[Optimizer] = [SGD([torch.ones(1)], lr=0.1), SGD([torch.ones(1)], lr=0.4)]
        return optimizers, names["Policies"](optimizers, policy)

    def train(optimizers: list[Optimizer], container: Any, steps: int) -> list[list[float]]:
        rows = []
        for _ in range(steps):
            rows.append([lrs(optimizer)[0] for optimizer in optimizers])
            assert [*container.get_metrics().values()] == rows[-1][-1:]  # both are named SGD
            for optimizer in optimizers:
                optimizer.step()
            container.step()
        return rows

    whole = train(*make(), 6)
    assert whole == [[0.1 * Cosine(1, 0, 9)(t), 0.4 * Cosine(1, 0, 9)(t)] for t in range(6)]
    optimizers, container = make()
    first = train(optimizers, container, 3)
    states = [optimizer.state_dict() for optimizer in optimizers], container.state_dict()
    optimizers, container = make()
    for optimizer, state in zip(optimizers, states[0], strict=True):
        optimizer.load_state_dict(state)
    container.load_state_dict(states[1])
    assert first + train(optimizers, container, 3) == whole


@pytest.mark.filterwarnings("ignore")  # of the package itself
def test_thunder_binds_it_and_lightning_resumes_it(tmp_path: Path) -> None:
    pytest.importorskip("thunder.torch", exc_type=ImportError, reason="no thunder of neuro-ml")
    names = page.run("thunder")
    assert names["module"].configure_optimizers()[1][0].get_last_lr() == [0.1]
    pytorch = pytest.importorskip("lightning.pytorch")

    def fit(epochs: int, resume: Path | None = None) -> list[float]:
        model, seen = nn.Linear(2, 1), list[float]()
        seeing = pytorch.callbacks.LambdaCallback(
            on_train_batch_start=lambda trainer, *_: seen.extend(lrs(trainer.optimizers[0]))
        )
        policy = Switch(MAPPING)
        module = names["ThunderModule"](
            model, nn.MSELoss(), optimizer=sgd(model), lr_scheduler=policy
        )
        trainer = pytorch.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            callbacks=[seeing],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = torch.utils.data.TensorDataset(torch.ones(4, 2), torch.ones(4, 1))
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=4), ckpt_path=resume)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return seen

    first = fit(2)
    rest = fit(EPOCHS, tmp_path / "2.ckpt")
    assert first + rest == EACH_EPOCH


@pytest.mark.filterwarnings("ignore")  # of the package itself
@pytest.mark.parametrize(
    "policy", [Switch(MAPPING), Schedule(Cosine(0.1, 0.0, 4))], ids=["Switch", "Schedule"]
)
def test_fastai_sets_the_lr_of_each_epoch(policy: MappingPolicy[Any]) -> None:
    names = page.run("fastai")
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner

    seen: list[float] = []

    def before_step(self: Any) -> None:
        seen.append(self.opt.hypers[0]["lr"])

    see = type("See", (names["Callback"],), {"before_step": before_step})
    data = torch.utils.data.TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    learner = Learner(
        DataLoaders(loader, loader),
        nn.Linear(2, 1),
        loss_func=nn.MSELoss(),
        cbs=[names["LRAt"](policy), see()],
    )
    with learner.no_logging():
        learner.fit(4)
        learner.fit(4, start_epoch=2)  # what its resume is
    expected = [policy.lr_at(epoch)[0] for epoch in range(4)]
    assert seen == expected + expected[2:]


@pytest.mark.parametrize("policy", [Switch(MAPPING), Schedule(Cosine(0.1, 0.0, 4))], ids=repr)
def test_a_loop_as_timm_s_gives_the_epoch_to_go_to(policy: Policy) -> None:
    """Its scripts call step(epoch + 1, metric), and step(start_epoch) where they resume."""
    scheduler_class = page.run()["AtEpoch"]

    def train(start: int, end: int) -> list[float]:
        optimizer = sgd()
        scheduler = scheduler_class(optimizer, policy)
        if start:
            scheduler.step(start)
        seen = []
        for epoch in range(start, end):
            seen += lrs(optimizer)
            optimizer.step()
            scheduler.step(epoch + 1, metric=0.5)
        return seen

    assert train(0, 2) + train(2, 4) == [policy.lr_at(epoch)[0] for epoch in range(4)]


def test_a_tensor_lr_is_a_number_to_them() -> None:
    """What a client writes into a log or JSON is what the group holds."""
    optimizer = SGD([torch.ones(1)], lr=torch.tensor(0.5))
    policy = Switch(MAPPING)(optimizer)
    (lr,) = policy.get_last_lr()
    assert isinstance(lr, Tensor)
    assert f"{float(lr):g}" == "0.1"
    assert json.loads(json.dumps(policy.state_dict()))["_last_lr"] == [float(lr)]
