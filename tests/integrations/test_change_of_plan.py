"""A run that is resumed by another plan, in frameworks that load the states themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_lightning
import test_transformers
import torch
from runs import LR, expected

from thunder_policy import Multiply, Policy, Scale, Schedule
from thunder_policy.schedules import Cosine

pytestmark = [pytest.mark.spec("T13", "T18", "T19"), *test_lightning.pytestmark[1:]]

MakePlan = Callable[..., Policy]

PLANS: dict[str, tuple[MakePlan, MakePlan]] = {
    "a longer cosine": (
        lambda **rest: Schedule(Cosine(0.1, 0.0, epochs=8), **rest),
        lambda **rest: Schedule(Cosine(0.1, 0.0, epochs=16), **rest),
    ),
    "a longer scale": (
        lambda **rest: Scale(Cosine(1.0, 0.0, epochs=8), **rest),
        lambda **rest: Scale(Cosine(1.0, 0.0, epochs=16), **rest),
    ),
    "other milestones": (
        lambda **rest: Multiply({2: 0.5, 4: 0.5}, lr_init=LR, **rest),
        lambda **rest: Multiply({3: 0.5, 8: 0.5}, lr_init=LR, **rest),
    ),
    "a lower lr": (
        lambda **rest: Multiply({2: 0.5, 8: 0.5}, lr_init=LR, **rest),
        lambda **rest: Multiply({2: 0.5, 8: 0.5}, lr_init=LR / 2, **rest),
    ),
}
each_plan = pytest.mark.parametrize(("old", "new"), PLANS.values(), ids=PLANS)
by_lr = pytest.mark.parametrize(
    "lr", [LR, torch.tensor(LR, dtype=torch.float64)], ids=["float", "tensor"]
)


@each_plan
@by_lr
def test_in_lightning(old: MakePlan, new: MakePlan, lr: Any, tmp_path: Path) -> None:
    form, fit = test_lightning.EachStep, test_lightning.fit
    first = fit(form(old, 0, lr), tmp_path, epochs=2)
    path = str(tmp_path / "epoch=1.ckpt")
    rest = fit(form(lambda: new(on_load="override"), 1, lr), tmp_path, resume=path)
    assert first.lrs == expected(old())[:6]
    assert rest.lrs == expected(new())[6:]
    with pytest.warns(UserWarning, match=r'on_load="override"') as caught:
        fit(form(new, 1, lr), tmp_path, resume=path)
    assert sum("on_load" in str(one.message) for one in caught) == 1


@each_plan
@by_lr
def test_in_the_trainer(old: MakePlan, new: MakePlan, lr: Any, tmp_path: Path) -> None:
    train: Any = test_transformers.train
    first, _ = train(lambda: old(), tmp_path, stop=6, lr=lr)
    rest, _ = train(lambda: new(on_load="override"), tmp_path, resume=True, lr=lr)
    assert first.lrs == expected(old())[:6]
    assert rest.lrs == expected(new())[6:]
