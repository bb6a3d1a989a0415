"""What a subject says of itself is what it is tried with; what it needs besides, it is told."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from test_programs import run_afresh
from torch.optim import SGD, Adagrad, Optimizer
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from thunder_policy import Policy, Switch
from thunder_policy.conformance import (
    INHERITED_FROM_TORCH,
    LAWS,
    NotApplicable,
    PolicyMachine,
    Subject,
    UndeclaredNeed,
    check_policy,
)
from thunder_policy.conformance.declared import assumed, declared_now
from thunder_policy.conformance.suite import Check, examine

EPOCHS = 6


def own(subject: Subject) -> dict[str, str]:
    """Return what a subject breaks that torch's base class does not."""
    results = check_policy(subject, on_fail="collect", expected_failures=INHERITED_FROM_TORCH)
    return {result.law: result.reason for result in results if result.bad()}


# What makes a scheduler of an optimizer


def build(optimizer: Optimizer) -> LRScheduler:
    return StepLR(optimizer, step_size=3)


def build_policy(optimizer: Optimizer, first: float = 0.5) -> Policy:
    return Switch({0: first, 3: 0.1})(optimizer)


@pytest.mark.parametrize(
    "factory",
    [
        build,
        lambda optimizer: StepLR(optimizer, 3),
        partial(StepLR, step_size=3),
        partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
        build_policy,
    ],
)
def test_what_makes_a_scheduler_of_an_optimizer_is_taken_as_what_it_is(factory: Any) -> None:
    for law in ("bound", "step", "resume", "quiet"):
        assert examine(LAWS[law], Subject(factory, epochs=EPOCHS)).status == "passed"
    assert examine(LAWS["rebind"], Subject(factory)).status == "skipped"


class Needs(Policy):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def get_lr(self) -> Any:
        return self.base_lrs


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (StepLR, r"StepLR wants step_size: give partial\(StepLR, step_size=\.\.\.\)"),
        (Needs, r"Needs wants epochs: give lambda: Needs\(epochs=\.\.\.\)"),
        (lambda optimizer, steps: None, "wants steps: give partial"),
    ],
)
def test_what_wants_more_is_told_how_to_be_given(factory: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Subject(factory)


def test_what_says_nothing_of_its_arguments_is_called_without_any() -> None:
    assert Subject(dict, epochs=3).factory is dict  # its signature is not known


# What is declared


class Relative(LRScheduler):
    """Asks its optimizer, as Adafactor's does, which has a name for it."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Adagrad):
            raise TypeError(f"optimizer must be Adagrad, not {type(optimizer).__name__}")
        super().__init__(optimizer)

    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


class Decays(LRScheduler):
    """Schedules the weight decay alone; its lr stays."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.first = [group["weight_decay"] for group in optimizer.param_groups]
        super().__init__(optimizer)

    def step(self, epoch: int | None = None) -> None:
        super().step()
        for group, first in zip(self.optimizer.param_groups, self.first, strict=True):
            group["weight_decay"] = first * 0.9**self.last_epoch

    def get_lr(self) -> Any:
        return [group["lr"] for group in self.optimizer.param_groups]


class Refuses(Policy):
    """Takes no groups in that come later, and says so before it writes."""

    def step(self, epoch: int | None = None) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            raise ValueError("no groups can be added")
        super().step(epoch)

    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


CYCLES = ["momentum", "base_momentum", "max_momentum"]
falling = [1.0, 0.9, 0.9, 0.9, 0.8, 0.8]


def test_an_optimizer_that_is_declared_is_what_it_is_bound_to() -> None:
    assert own(Subject(Relative, optimizer=Adagrad, epochs=EPOCHS)) == {}
    with pytest.raises(UndeclaredNeed, match=r"asks for another optimizer than SGD.*--optimizer"):
        check_policy(Relative)
    with pytest.raises(UndeclaredNeed):
        Check(LAWS["resume"])(Relative)


def test_the_metric_of_each_step_is_told_by_the_suite() -> None:
    plateau = partial(ReduceLROnPlateau, patience=0)
    subject = Subject(plateau, metrics=falling, epochs=EPOCHS, expected=after_two)
    for law in ("values", "resume", "independent", "load_repeatable"):
        assert examine(LAWS[law], subject).status == "passed"
    for metrics in (falling, lambda epoch: falling[epoch - 1]):
        assert own(Subject(plateau, metrics=metrics, epochs=EPOCHS)).keys() <= {
            *("only_lr", "order_warning", "tensor_shared", "gpu_sync"),  # its own affair
        }
        for law in ("sequential", "chained"):
            inside = examine(LAWS[law], Subject(plateau, metrics=metrics, epochs=EPOCHS))
            assert "is told a metric" in inside.reason
    with pytest.raises(UndeclaredNeed, match=r"give Subject\(..., metrics=...\), one for each"):
        check_policy(plateau)
    with pytest.raises(ValueError, match=r"got 2 metrics for 20 steps: .* or epochs=2"):
        Subject(plateau, metrics=[1.0, 0.9])


def after_two(epoch: int, group: int) -> float:
    """The lr falls by 10 at the first step after which the metric is no better, and each later."""
    worse = [3, 4, 6]
    return (group + 1) / 10 * 0.1 ** sum(epoch >= when for when in worse)


class Plateau(Policy):
    """A policy whose step is told a metric, too, by its name."""

    def __init__(self) -> None:
        self.scale = 1.0

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.scale = 1.0
        super().set_optimizer(optimizer, last_epoch)

    def step(self, epoch: int | None = None, *, val_loss: Any) -> None:  # type: ignore[override]
        self.scale *= val_loss
        super().step()

    def get_lr(self) -> Any:
        return [lr * self.scale for lr in self.base_lrs]


class PassesOn(Plateau):
    """Has no name for a metric."""

    def step(self, *metrics: Any) -> None:  # type: ignore[override]
        super().step(val_loss=metrics[0])


def test_a_policy_may_be_told_metrics_and_a_strategy_may_draw_it() -> None:
    for factory in (Plateau, PassesOn, st.builds(Plateau)):
        subject = Subject(factory, metrics=falling, epochs=EPOCHS)
        assert examine(LAWS["resume"], subject).status == "passed"
    with pytest.raises(UndeclaredNeed, match=r"val_loss.*give Subject\(..., metrics=...\)"):
        check_policy(Plateau)
    assert examine(LAWS["pickle"], subject).status == "passed"
    assert examine(LAWS["late_group"], subject).status == "passed"


def test_another_option_of_a_scheduler_that_has_no_word_for_it() -> None:
    subject = Subject(Decays, option="weight_decay", epochs=EPOCHS, expected=decayed)
    for law in ("values", "only_lr", "lr_per_group", "resume", "group_alone"):
        assert examine(LAWS[law], subject).status == "passed", law
    assert examine(LAWS["sequential"], subject).status == "skipped"


def decayed(epoch: int, group: int) -> float:
    return (group + 1) / 10 * 0.9**epoch


@pytest.mark.parametrize(
    ("factory", "writes"),
    [
        (partial(OneCycleLR, max_lr=0.1, total_steps=40), [*CYCLES, "max_lr", "min_lr"]),
        (partial(CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=4), CYCLES),
    ],
)
def test_momentum_may_be_written_where_that_is_declared(factory: Any, writes: list[str]) -> None:
    assert examine(LAWS["only_lr"], Subject(factory, epochs=EPOCHS)).status == "failed"
    subject = Subject(factory, writes=writes, epochs=EPOCHS)
    assert examine(LAWS["only_lr"], subject).status == "passed"
    assert Subject(factory, writes="momentum").writes == ("momentum",)


def test_groups_may_be_refused_where_that_is_declared() -> None:
    subject = Subject(Refuses, late_groups=False, epochs=EPOCHS)
    assert examine(LAWS["late_group"], subject).status == "passed"

    class Machine(PolicyMachine):
        subject = Subject(Refuses, late_groups=False)
        settings = settings(PolicyMachine.settings, max_examples=10)

    Machine().test_any_order()


def test_what_has_an_end_is_told_so() -> None:
    cycle = partial(OneCycleLR, max_lr=0.1, total_steps=10)
    with pytest.raises(UndeclaredNeed, match=r"ends after 10 steps.*Subject\(..., epochs=10\)"):
        check_policy(cycle)
    results = check_policy(Subject(cycle, epochs=10), on_fail="collect")
    assert {r.law: r.status for r in results}["step"] == "passed"


def table_of_three(optimizer: Optimizer) -> LRScheduler:
    return LambdaLR(optimizer, lambda epoch: [1.0, 0.5, 0.25][epoch])


def test_the_end_of_a_table_is_an_end() -> None:
    with pytest.raises(UndeclaredNeed, match="ends after 2 steps"):
        check_policy(table_of_three)


class Breaks(Policy):
    def step(self, epoch: int | None = None) -> None:
        raise OSError("no")

    def get_lr(self) -> Any:
        return self.base_lrs


def test_any_other_error_is_a_broken_law() -> None:
    def raises(optimizer: Optimizer) -> LRScheduler:
        raise OSError("no")

    for factory in (Breaks, raises):
        results = check_policy(factory, on_fail="collect")
        assert any(result.status == "failed" and "OSError" in result.reason for result in results)


@pytest.mark.parametrize("wrong", [3, "Adam"])
def test_an_optimizer_is_something_that_makes_one(wrong: Any) -> None:
    with pytest.raises(TypeError, match="optimizer must make one of param groups"):
        Subject(Switch, optimizer=wrong)


# What is left of it


class Skips(LRScheduler):
    def step(self, epoch: int | None = None) -> None:
        super().step()
        self.last_epoch += 1

    def get_lr(self) -> Any:
        return self.base_lrs


def test_nothing_is_assumed_after_a_check() -> None:
    check_policy(
        Subject(Decays, option="weight_decay", epochs=2, writes="momentum"), on_fail="collect"
    )
    assert declared_now() == {}
    assert assumed("optimizer") is None


momentum = partial(SGD, lr=0.1, momentum=0.9)

DECLARED: dict[str, tuple[str, Subject]] = {
    "optimizer": ("step", Subject(Skips, optimizer=momentum, epochs=3)),
    "metrics": (
        "tensor_shared",
        Subject(partial(ReduceLROnPlateau, patience=0), metrics=falling, epochs=EPOCHS),
    ),
    "writes": ("step", Subject(Skips, writes=["nesterov"], epochs=3)),
    "option": ("step", Subject(Skips, option="weight_decay", epochs=3)),
}


@pytest.mark.slow
def test_a_reproduction_says_what_was_declared() -> None:
    programs = []
    for name, (law, subject) in DECLARED.items():
        result = examine(LAWS[law], subject)
        text = result.reproduction or ""
        assert ("told" if name == "metrics" else f"with assume({name}={name}):") in text
        programs.append((text, result.reason))
    assert run_afresh(programs) == ""


def test_a_law_may_ask_what_the_subject_is() -> None:
    def asks(make: Any, negative: bool) -> None:
        """It is told whether lrs may be below 0."""
        raise NotApplicable(str(negative))

    law = type(LAWS["step"])("asks", "It is told.", "a trap", asks)
    for negative in (True, False):
        assert examine(law, Subject(lambda: Switch({}), negative=negative)).reason == str(negative)
