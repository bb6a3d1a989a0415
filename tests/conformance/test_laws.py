"""What laws say of a subject that they are not meant for, and of an odd one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from broken import Decay
from broken_around import Ends
from once_failed import ONCE_FAILED, RefusesLate, WantsPositive
from sound import Table
from torch.optim import SGD, Adam, Optimizer

from thunder_policy import Switch
from thunder_policy.conformance import LAWS, Subject
from thunder_policy.conformance.laws import surroundings
from thunder_policy.conformance.suite import examine


class WantsSGD(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, SGD):
            raise ValueError("it is for SGD alone")
        super().set_optimizer(optimizer, last_epoch)


class ReadsDampening(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.dampening = optimizer.defaults["dampening"]
        super().set_optimizer(optimizer, last_epoch)


class BlowsUpFrom0(Decay):
    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group, start in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = group["lr"] if start else float("inf")


class TripsOver0(Decay):
    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.rates = [1 / float(group["lr"]) for group in optimizer.param_groups]
        super().set_optimizer(optimizer, last_epoch)


@pytest.mark.parametrize(
    ("law", "factory", "status", "says"),
    [
        ("any_start", WantsPositive, "passed", ""),
        ("any_start", BlowsUpFrom0, "failed", "held a lr of 0: expected a finite number, saw inf"),
        ("any_start", TripsOver0, "failed", "saw ZeroDivisionError"),
        ("any_optimizer", WantsSGD, "skipped", "it refuses another optimizer than SGD"),
        ("any_optimizer", ReadsDampening, "failed", "saw KeyError: 'dampening'"),
        ("long_run", Ends, "skipped", "it ends after 50 epochs"),
        ("long_run", lambda: Table(3000), "passed", ""),
        ("late_group", RefusesLate, "passed", ""),
        ("late_group_resume", RefusesLate, "skipped", "it takes no group in"),
        (
            "late_group_resume",
            lambda: Switch({0: 0.5}, on_load="override"),
            "skipped",
            "its starts are those that are written",
        ),
        ("lr_at_loaded", ONCE_FAILED["no initial_lr"], "skipped", "OwnStarts has no lr_at"),
    ],
)
def test_a_law_says_where_it_says_nothing(
    law: str, factory: Callable[[], Any], status: str, says: str
) -> None:
    result = examine(LAWS[law], Subject(factory, epochs=6))
    assert result.status == status, result.reason
    assert says in result.reason


def test_a_long_run_may_not_end_before_its_epochs() -> None:
    result = examine(LAWS["long_run"], Subject(Ends, epochs=60))
    assert result.reason == (
        "a step of a long run: expected no error, saw RuntimeError: the run is over, at epoch 51"
    )


def test_what_is_for_another_optimizer_is_not_tried_with_adam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def adam(held: list[float], policy: object) -> Optimizer:
        return Adam(SGD([{"params": [], "lr": lr} for lr in held]).param_groups)

    monkeypatch.setattr(surroundings, "sgd", adam)
    result = examine(LAWS["any_optimizer"], Subject(Decay, epochs=2))
    assert (result.status, result.reason) == ("skipped", "it is for an optimizer of its own")


@pytest.mark.parametrize("epochs", [2, 3, 6, 12, 20])
def test_what_goes_round_is_not_where_it_began_at_all_epochs_that_are_tried(epochs: int) -> None:
    cases = LAWS["resume_alone"].cases({"make": Decay}, [[0.1]], epochs)
    tried = {case["at"] for case in cases}
    assert {0, epochs} < tried
    for period in range(2, epochs + 1):
        assert any(at % period for at in tried)
