"""Corners of the suite's parts: what it looks at, what it leaves alone, and what it says then."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import broken
import numpy as np
import pytest
import torch
from torch import Tensor

from thunder_policy import Multiply, Switch
from thunder_policy.conformance import LAWS, Broken, Subject, check_schedule
from thunder_policy.conformance.isolation import arguments, isolated
from thunder_policy.conformance.laws import tensors
from thunder_policy.conformance.runs import bind, own_schedulers, plain, sgd, train, without_gc
from thunder_policy.conformance.suite import examine


class Part:
    """Has no equality of its own."""


class Uses(broken.Decay):
    def __init__(self, parts: object) -> None:
        self.parts = parts


# Isolation


@pytest.mark.parametrize(
    "parts",
    [[Part()], {"lock": threading.Lock()}, [(Part(), [Part()])]],
    ids=["list", "dict", "in"],
)
def test_what_a_factory_is_given_stays_the_same_object(parts: Any) -> None:
    first = [*(parts.values() if isinstance(parts, dict) else parts)]
    result = examine(LAWS["keeps_arguments"], Subject(lambda: Uses(parts), groups=1, epochs=2))
    assert (result.status, result.reason) == ("passed", "")
    now = [*(parts.values() if isinstance(parts, dict) else parts)]
    assert [*map(id, now)] == [*map(id, first)]


def test_the_objects_in_a_container_come_back_and_not_copies_of_them() -> None:
    part, tensor, array = Part(), torch.ones(2), np.ones(2)
    inner: list[Any] = [part, tensor]
    outer: dict[str, Any] = {"inner": inner, "pair": (array, {1})}
    alone = np.zeros(1)
    before = plain(arguments(lambda: (outer, alone)))
    with isolated(lambda: (outer, alone)):
        inner.clear()
        tensor.fill_(7)
        array[:] = 7
        alone[:] = 7
        outer["pair"][1].add(2)
        del outer["inner"]
        assert plain(arguments(lambda: (outer, alone))) != before
    assert outer["inner"] is inner
    assert inner[0] is part
    assert inner[1] is tensor
    assert outer["pair"][0] is array
    assert (tensor.tolist(), array.tolist(), alone.tolist()) == ([1, 1], [1, 1], [0])
    assert plain(arguments(lambda: (outer, alone))) == before


def test_a_tensor_without_a_list_form_is_put_back() -> None:
    sparse = torch.eye(2).to_sparse()
    untouched, twice = np.ones(1), [torch.ones(1)] * 2
    untouched.flags.writeable = False
    with isolated(lambda: (sparse, untouched, twice)):
        sparse.zero_()
    assert sparse.to_dense().tolist() == [[1, 0], [0, 1]]


def test_plain_copies_containers_and_nothing_else() -> None:
    part, names = Part(), {"a"}
    seen = plain({"parts": (part, names), "arrays": [np.ones(2), np.float64(3)]})
    names.add("b")
    assert seen == {"parts": [part, {"a"}], "arrays": [[1.0, 1.0], 3.0]}
    meta = torch.zeros(1, device="meta")
    assert plain(meta) == id(meta)


class Patched(broken.Decay):
    known: tuple[int, ...] = ()


def test_a_class_gets_back_what_it_had_and_nothing_new() -> None:
    had = dict(vars(Patched))
    with isolated(Patched):
        Patched.known = (1,)
        Patched.added = 7  # type: ignore[attr-defined]
    assert dict(vars(Patched)) == had
    with isolated(Patched):
        del Patched.known
    assert vars(Patched)["known"] == ()


def test_the_collector_is_left_off_where_it_was() -> None:
    gc.disable()
    try:
        with isolated(broken.Decay):
            gc.enable()
        assert not gc.isenabled()
        with without_gc():
            gc.enable()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with without_gc():
        assert not gc.isenabled()
    assert gc.isenabled()


# Schedules


def test_a_schedule_that_fails_when_it_is_asked_again_is_reported() -> None:
    left: Iterator[float] = iter([0.1] * 5)
    results = check_schedule(lambda epoch: next(left), 5, on_fail="collect")
    assert results[0].status == "passed"
    assert results[1].reason == "law same_twice: expected no error, saw StopIteration:"
    assert "epochs = 5" in (results[1].reproduction or "")


def test_a_number_of_epochs_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, not -1"):
        check_schedule(lambda epoch: 0.1, -1)


# The fake GPU


class ReadsAtBinding(broken.Decay):
    how: Callable[[Tensor], Any]

    def set_optimizer(self, optimizer: Any, last_epoch: int = -1) -> Any:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                assert type(self).how(group["lr"]) == pytest.approx(0.1)
        return super().set_optimizer(optimizer, last_epoch)


READS: dict[str, Callable[[Tensor], Any]] = {
    "float": float,
    "tolist": lambda lr: lr.tolist(),
    "cpu": lambda lr: float(lr.cpu()),
    "double": lambda lr: float(lr.to("cpu", torch.float64)),
    "copy_": lambda lr: float(torch.zeros(()).copy_(lr)),
}


@pytest.mark.parametrize("how", READS.values(), ids=[*READS])
def test_a_binding_may_read_a_lr_in_any_way(how: Callable[[Tensor], Any]) -> None:
    policy = type("Reading", (ReadsAtBinding,), {"how": staticmethod(how)})
    result = examine(LAWS["gpu_sync"], Subject(policy, groups=1, epochs=2))
    assert (result.status, result.reason) == ("passed", "")


class RefusesTensors(broken.Decay):
    def set_optimizer(self, optimizer: Any, last_epoch: int = -1) -> Any:
        if any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups):
            raise ValueError("no tensors")
        return super().set_optimizer(optimizer, last_epoch)


def test_a_binding_that_fails_is_no_step() -> None:
    result = examine(LAWS["gpu_sync"], Subject(RefusesTensors, groups=1, epochs=2))
    assert result.reason.startswith("binding to lrs on a GPU")


# Laws that have nothing to look at


def test_one_group_is_not_compared_with_others() -> None:
    result = examine(LAWS["group_alone"], Subject(broken.Decay, groups=1, epochs=2))
    assert (result.status, "one param group" in result.reason) == ("skipped", True)


class BindsAnything(Switch):
    """Takes None for an optimizer, and computes its lrs without get_lr."""

    def set_optimizer(self, optimizer: Any, last_epoch: int = -1) -> Any:
        return self if optimizer is None else super().set_optimizer(optimizer, last_epoch)

    def __call__(self, optimizer: Any, last_epoch: Any = -1) -> Any:
        vars(self).pop("get_lr", None)
        return self if optimizer is None else super().__call__(optimizer, last_epoch)


def test_a_binding_that_does_not_fail_is_not_held_to_be_atomic() -> None:
    result = examine(LAWS["bind_atomic"], Subject(lambda: BindsAnything({0: 0.5}), epochs=2))
    assert (result.status, result.reason) == ("skipped", "it can be bound to None")
    law = LAWS["bind_atomic"].function
    with pytest.raises(Exception, match=r"its binding does not fail \(an error in get_lr\)"):
        law(lambda: BindsAnything({0: 0.5}), [0.1], None, "an error in get_lr")


# Runs


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class FailsMutely(broken.Decay):
    def get_lr(self) -> Any:
        if self.last_epoch > 0:
            raise Mute
        return super().get_lr()


def test_an_error_without_a_text_keeps_its_type() -> None:
    scheduler = bind(FailsMutely(), sgd([0.1]))
    with pytest.raises(Broken, match="saw Mute, at epoch 1"):
        train(scheduler)


@pytest.mark.spec("V12", "B11")
def test_what_a_binding_warns_of_is_not_held_against_a_policy() -> None:
    unsure, sure, optimizer = Multiply({1: 0.5}), Multiply({1: 0.5}, lr_init=0.1), sgd([0.1])
    with pytest.warns(UserWarning, match="lr_init was not given"):
        unsure(optimizer)
    train(sure(optimizer))
    with pytest.warns(UserWarning, match="takes it back to 0"):
        sure(optimizer)
    train(sure)
    bind(sure, optimizer)
    bind(unsure, sgd([0.1]))
    assert examine(LAWS["quiet"], Subject(lambda: Multiply({1: 0.5}), epochs=2)).status == "passed"


def test_schedulers_in_a_dict_are_found() -> None:
    scheduler = bind(broken.Decay(), sgd([0.1]))
    assert not own_schedulers(scheduler)
    scheduler.parts = {"first": [scheduler]}  # type: ignore[attr-defined]
    assert own_schedulers(scheduler)


# Laws


@pytest.mark.parametrize(
    ("counts", "epoch"),
    [
        ([9, 1, 2, 3, 4, 5, 6], 6),
        ([9, 1, 1, 2, 3, 4, 5, 6], 7),
        ([1, 2, 3, 4, 5, 6, 6], None),
        ([1, 2, 3, 4, 5, 6, 1], None),
    ],
    ids=["from the first step", "to the last", "with the binding", "and back"],
)
def test_growth_is_that_of_six_steps(
    counts: list[int], epoch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "launches", lambda *_: counts)
    result = examine(LAWS["gpu_launches"], Subject(broken.Decay, epochs=len(counts) - 1))
    assert (result.status == "failed") == (epoch is not None)
    assert getattr(result.error, "epoch", None) == epoch
