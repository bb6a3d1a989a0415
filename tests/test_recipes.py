"""Each recipe of the README gives who trains with it the lrs that it says."""

from __future__ import annotations

import re
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import before_the_recipes, blocks_of, run

from thunder_policy import Scale, Schedule
from thunder_policy.schedules import Cosine


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def followed(job: str) -> dict[str, Any]:
    """Return the names that somebody has who ran the code above the recipes, and one recipe."""
    namespace: dict[str, Any] = {"__name__": "recipe"}
    run("README.md", before_the_recipes() + blocks_of(job), namespace)
    return namespace


def variants(job: str) -> list[Any]:
    """Return each policy that a recipe offers, the second in the place of the first."""
    code = "\n".join(block[1] for block in blocks_of(job))
    written = re.findall(r"^policy = (.+?)(?:  #.*)?$", code, re.MULTILINE)
    assert len(written) > 1
    return [eval(policy, followed(job)) for policy in written]


def trained(
    optimizer: torch.optim.Optimizer, epochs: int, *schedulers: Any, option: str = "lr"
) -> list[list[float]]:
    """Train, and return what the groups hold in each epoch."""
    held = []
    for _ in range(epochs):
        held.append([group[option] for group in optimizer.param_groups])
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return held


def half_cosine(epoch: float, epochs: int) -> float:
    return (1 + cos(pi * epoch / epochs)) / 2


def sgd(*lrs: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    )


def test_step_decay() -> None:
    for policy in variants("Step decay"):
        optimizer = sgd(0.5)
        lrs = trained(optimizer, 90, policy(optimizer))
        assert [lr for (lr,) in lrs] == pytest.approx([0.1] * 30 + [0.01] * 30 + [0.001] * 30)


def test_warmup_and_cosine_by_batch() -> None:
    names = followed("Warm-up and cosine, by batch")
    lrs = [lr for (lr,) in trained(names["optimizer"], 3000, names["scheduler"])]
    assert lrs[:2501] == pytest.approx([0.1 * batch / 2500 for batch in range(2501)])
    later = [0.1 * half_cosine(batch, 85 * 500) for batch in range(85 * 500 + 1)]
    assert lrs[2500:] == pytest.approx(later[:500])
    at = names["policy"].lr_at
    assert [at(2500 + batch)[0] for batch in range(0, 42501, 50)] == pytest.approx(later[::50])


def test_one_lr_for_the_head_and_one_for_the_body() -> None:
    schedules, mappings, scaled = (
        trained(optimizer := sgd(0.1, 0.01), 90, policy(optimizer))
        for policy in variants("One lr for the head and one for the body")
    )
    curve = [half_cosine(epoch, 90) for epoch in range(90)]
    assert [lrs[0] for lrs in schedules] == pytest.approx([0.1 * factor for factor in curve])
    assert [lrs[1] for lrs in schedules] == [0.01] * 90
    assert mappings == [[0.1, 0.01]] * 30 + [[0.01, 0.01]] * 60
    assert [lrs[0] for lrs in scaled] == pytest.approx([0.1 * factor for factor in curve])
    assert [lrs[1] for lrs in scaled] == pytest.approx([0.01 * factor for factor in curve])


def test_resume() -> None:
    (block,) = blocks_of("Resume")
    until_saving, in_a_new_process = block[1].split("torch.save", 1)
    names: dict[str, Any] = {}
    run("README.md", before_the_recipes(), names)
    exec(until_saving, names)
    trained(names["parts"]["optimizer"], 35, names["parts"]["scheduler"])
    weight = names["parts"]["model"].weight.detach().clone()
    exec("torch.save" + in_a_new_process, names)
    assert names["remaining"] == range(35, 90)
    assert torch.equal(names["parts"]["model"].weight, weight)
    lrs = trained(names["parts"]["optimizer"], 55, names["parts"]["scheduler"])
    assert lrs == [[1e-4]] * 55


def test_change_the_schedule_in_the_middle_of_a_run() -> None:
    (block,) = blocks_of("Change the schedule in the middle of a run")
    overriding, stateless = block[1].split("longer.load_state_dict(state)\n")
    for code in (overriding + "longer.load_state_dict(state)", stateless):
        names: dict[str, Any] = {}
        run("README.md", before_the_recipes(), names)
        assert names["scheduler"].get_last_lr() == [1e-4]  # of the old plan, at epoch 40
        exec(code, names)
        lrs = trained(names["optimizer"], 20, names["longer"])
        assert lrs == [[1e-3]] * 10 + [[1e-4]] * 10


def test_start_at_epoch_k() -> None:
    names = followed("Start at epoch k")
    assert trained(names["optimizer"], 55, names["scheduler"]) == [[1e-4]] * 55
    assert names["scheduler"].last_epoch == 90


def test_start_at_epoch_k_after_the_optimizer_has_brought_a_lr_of_another_curve() -> None:
    before, after = sgd(0.01), sgd(0.01)
    trained(before, 6, Scale(Cosine(1.0, 0.0, epochs=8))(before))
    after.load_state_dict(before.state_dict())
    scheduler = Scale(Cosine(1.0, 0.0, epochs=16), lr_init=0.01)(after, last_epoch=5)
    lrs = [lr for (lr,) in trained(after, 10, scheduler)]
    assert lrs == pytest.approx([0.01 * half_cosine(epoch, 16) for epoch in range(6, 16)])


def test_change_the_number_of_batches_in_the_middle_of_a_run() -> None:
    curve, optimizer = Cosine(0.1, 0.0, epochs=9), sgd(0.1)
    ten = Schedule(curve).in_steps(10)(optimizer)
    trained(optimizer, 40, ten)
    five = Schedule(curve, on_load="override").in_steps(5)(sgd(0.1))
    five.load_state_dict({**ten.state_dict(), "last_epoch": 20})
    assert five.get_last_lr() == pytest.approx(ten.get_last_lr())
    lrs = [lr for (lr,) in trained(five.optimizer, 25, five)]
    assert lrs == pytest.approx([0.1 * half_cosine(step, 45) for step in range(20, 45)])


def test_a_policy_of_your_own() -> None:
    names = followed("A policy of your own")
    lrs = [lr for (lr,) in trained(names["optimizer"], 20, names["scheduler"])]
    assert lrs == pytest.approx([1e-3 / (epoch + 1) ** 0.5 for epoch in range(20)])


def test_unfreeze_a_group_that_is_added() -> None:
    (block, _) = blocks_of("Unfreeze")
    binding, adding = block[1].split("body =")
    names: dict[str, Any] = {}
    run("README.md", before_the_recipes(), names)
    exec(binding, names)
    trained(names["optimizer"], 10, names["scheduler"])
    exec("body =" + adding, names)
    lrs = trained(names["optimizer"], 30, names["scheduler"])
    curve = [half_cosine(epoch, 90) for epoch in range(10, 40)]
    assert [lr for lr, _ in lrs] == pytest.approx([1e-3 * factor for factor in curve])
    assert [lr for _, lr in lrs] == pytest.approx([1e-4, *(1e-4 * factor for factor in curve[1:])])


def test_unfreeze_with_one_schedule_a_group() -> None:
    names = followed("Unfreeze")
    body, before = names["body"], names["body"].weight.clone()
    optimizer, scheduler = names["optimizer"], names["scheduler"]
    lrs = trained(optimizer, 10, scheduler)
    assert torch.equal(body.weight, before)
    body.requires_grad_(True)
    lrs += trained(optimizer, 80, scheduler)
    assert not torch.equal(body.weight, before)
    assert [lr for lr, _ in lrs] == pytest.approx([0.1 * half_cosine(t, 90) for t in range(90)])
    late = [0.01 * half_cosine(t, 80) for t in range(80)]
    assert [lr for _, lr in lrs] == pytest.approx([0.0] * 10 + late)


@pytest.mark.parametrize(
    ("option", "start", "end"), [("lr", 1e-3, 0.0), ("weight_decay", 0.04, 0.4)]
)
def test_weight_decay(option: str, start: float, end: float) -> None:
    names = followed("Weight decay, momentum")
    both = names["scheduler"], names["decay"]
    held = trained(names["optimizer"], 100, *both, option=option)
    expected = [end + (start - end) * half_cosine(epoch, 100) for epoch in range(100)]
    assert [value for (value,) in held] == pytest.approx(expected)


def test_look_before_training(tmp_path: Path) -> None:
    followed("Look before training")
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_lightning_trainer_accelerate() -> None:
    names = followed("Lightning, Trainer, accelerate")
    assert names["trainer"].lr_scheduler.lr_at(15_000) == [1e-4]
    names["optimizer"].step()
    names["scheduler"].step()
    assert names["policy"].last_epoch == names["accelerator"].num_processes == 1
    assert names["policy"].lr_at(14_999) == [1e-3]
    assert names["policy"].lr_at(15_000) == [1e-4]

    names["policy"] = names["Switch"]({0: 0.5})
    configured = names["configure_optimizers"](torch.nn.Linear(4, 1))
    assert configured["lr_scheduler"]["scheduler"].optimizer is configured["optimizer"]
    assert configured["optimizer"].param_groups[0]["lr"] == 0.5
