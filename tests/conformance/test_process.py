"""The suite leaves the process as it found it, whatever the subject did, and asks little of it."""

from __future__ import annotations

import contextlib
import decimal
import gc
import io
import itertools
import json
import locale
import logging
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import broken
import numpy as np
import pytest
import torch
import torch.distributed as dist
from test_programs import HERE

from thunder_policy.conformance import LAWS, Subject, check_policy
from thunder_policy.conformance.clocks import racing_clock
from thunder_policy.conformance.isolation import held_in, isolated
from thunder_policy.conformance.process_settings import (
    SETTINGS,
    defined,
    patched,
    process,
    put_back,
    unpatch,
)
from thunder_policy.conformance.processes import (
    _packed,
    files_written,
    in_a_process,
    one_of_many,
)
from thunder_policy.conformance.runs import Broken, NotApplicable, refuses, rng_states
from thunder_policy.conformance.suite import examine


class Shared:
    """An object of the caller's own that a factory names, with a class that keeps a count."""

    made = 0

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.inner = {"last": [0]}


class Registry:
    counts: ClassVar[list[int]] = []


registry = types.ModuleType("registry_of_a_test")
registry.counts = [1]  # type: ignore[attr-defined]
shared = Shared()

CHANGES: dict[str, Callable[[], object]] = {
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the default device": lambda: torch.set_default_device("cpu"),  # where none was
    "grad mode": lambda: torch.set_grad_enabled(False),
    "the number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "the precision of matrix products": lambda: torch.set_float32_matmul_precision("medium"),
    "torch's debug mode of what is deterministic": lambda: torch.set_deterministic_debug_mode(1),
    "torch.backends": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "the kernels of attention": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "the dtypes of torch.autocast": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "whether numbers near 0 are flushed to it": lambda: torch.set_flush_denormal(True),
    "torch's print options": lambda: torch.set_printoptions(precision=2),
    "whether torch looks for anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "whether torch always warns": lambda: torch.set_warn_always(True),
    "NumPy's handling of errors": lambda: np.seterr(divide="ignore"),
    "NumPy's print options": lambda: np.set_printoptions(precision=2),
    "the environment": lambda: os.environ.update(THUNDER_TEST="1", HOME="/nowhere"),
    "the working directory": lambda: os.chdir("/"),
    "the mask of new files": lambda: os.umask(0o077),
    "the standard streams": lambda: setattr(sys, "stdin", io.StringIO()),
    "what traces and profiles": lambda: sys.setprofile(lambda *_: None),
    "the recursion limit": lambda: sys.setrecursionlimit(5000),
    "the module search path": lambda: sys.path.append("/nowhere"),
    "the locale": lambda: locale.setlocale(locale.LC_NUMERIC, "C.UTF-8"),
    "the root logger": lambda: logging.root.addHandler(logging.NullHandler()),
    "the levels of loggers": lambda: logging.getLogger("torch").setLevel(logging.CRITICAL),
    "what answers to a signal": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "the context of decimal": lambda: setattr(decimal.getcontext(), "prec", 5),
    "when threads take turns": lambda: sys.setswitchinterval(0.5),
    "the garbage collector": gc.disable,
    "when the garbage collector runs": lambda: gc.set_threshold(1000, 11, 11),
}


def test_each_setting_is_seen_and_put_back() -> None:
    assert [*CHANGES] == [*SETTINGS]
    before = process()
    for name, change in CHANGES.items():
        change()
        now = process()
        assert now[name] != before[name], name
        put_back(before)
        assert process() == before, name


class Vandal(broken.Decay):
    def factor(self) -> float:
        if self.last_epoch == 1:
            random.seed(3)
            np.random.seed(3)
            torch.manual_seed(3)
            for change in CHANGES.values():
                change()
            warnings.simplefilter("error")
            print("here")
        shared.seen.append(1)
        shared.inner.setdefault("last", []).append(2)
        shared.inner = {}
        Shared.made += 1
        Registry.counts.append(1)
        registry.counts.append(2)
        return 0.9**self.last_epoch


def vandal() -> Any:
    assert shared is not None
    return Vandal()


def test_a_check_leaves_the_process_and_the_objects_as_they_were() -> None:
    before, inner, printed = process(), shared.inner, io.StringIO()
    drawn, filters = rng_states(), [*warnings.filters]
    with contextlib.redirect_stdout(printed):
        results = check_policy(Subject(vandal, groups=1, epochs=2), on_fail="collect")
    assert {"settings", "rng", "silent"} <= {r.law for r in results if r.status == "failed"}
    assert (process(), rng_states(), [*warnings.filters]) == (before, drawn, filters)
    assert (shared.seen, shared.inner, Shared.made) == ([], {"last": [0]}, 0)
    assert shared.inner is inner
    assert (Registry.counts, registry.counts) == ([], [1])
    assert printed.getvalue() == ""


def test_another_process_sends_back_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    def keep() -> int:
        kept.append(1)
        return len(kept)

    assert (in_a_process(keep), kept) == (1, [])
    with pytest.raises(ZeroDivisionError):
        in_a_process(lambda: 1 / 0)
    with pytest.raises(NotApplicable, match="cannot be sent to another process"):
        in_a_process(lambda: types.ModuleType("here"))
    with pytest.raises(NotApplicable, match="no answer"):
        in_a_process(lambda: time.sleep(60), seconds=0.1)
    # What is run there is seen here alone.
    assert pickle.loads(_packed(lambda: 3)) == (3, None)
    for work in (lambda: 1 / 0, lambda: types.ModuleType("here")):
        assert isinstance(pickle.loads(_packed(work))[1], (ZeroDivisionError, NotApplicable))
    monkeypatch.setattr(sys, "platform", "another")
    assert (in_a_process(keep), kept) == (1, [1])
    assert files_written() == []


def test_a_failure_without_an_error_of_a_policy_is_no_refusal() -> None:
    assert not refuses(Broken("the lr", 1.0, 2.0))


def test_what_is_patched_is_named_and_put_back() -> None:
    before = defined()
    setattr(math, "answer", 42)  # noqa: B010  a checker knows that it has none
    assert patched(before) == ["math.answer"]
    unpatch(before)
    assert not hasattr(math, "answer")
    assert patched(before) == []


def test_a_model_that_a_factory_names_is_not_copied() -> None:
    model = torch.nn.Linear(2, 1)
    with isolated(lambda: model):
        torch.nn.init.zeros_(model.weight)
    assert model.weight.tolist() == [[0, 0]]


def test_what_a_callback_holds_is_not_the_policys() -> None:
    kept, told = [1], [2]
    part = types.SimpleNamespace(kept=kept, again=[kept], module=types)
    owner = types.SimpleNamespace(part=part, call=told.append)
    assert id(kept) in held_in(owner)
    assert id(told) not in held_in(owner)


@pytest.mark.parametrize("state", ["available", "unavailable", "in use"])
def test_one_of_many_is_so_for_a_while(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    if state == "unavailable":
        monkeypatch.setattr(dist, "is_available", lambda: False)
    if state == "in use":
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
    with one_of_many(4):
        assert os.environ["WORLD_SIZE"] == "4"
        if state == "available":
            assert dist.get_world_size() == 4
    assert os.environ["WORLD_SIZE"] == "2"
    monkeypatch.undo()
    assert not dist.is_initialized()


def test_the_clock_races_for_a_while() -> None:
    clock = time.time
    with racing_clock():
        first, second = time.localtime(), time.localtime()
        assert time.mktime(second) - time.mktime(first) > 86_400
    assert time.time is clock


@pytest.mark.parametrize("groups", [None, 2])
def test_a_subject_is_made_some_hundred_times(groups: int | None) -> None:
    made = itertools.count()  # a list would be put back

    def make() -> Any:
        next(made)
        return broken.Decay()

    check_policy(Subject(make, groups))
    assert 100 < next(made) <= (400 if groups is None else 350)


@pytest.mark.slow
def test_no_law_needs_what_only_this_process_has() -> None:
    """A report is the same in a process that has nothing but torch and the suite."""
    code = (
        "import json, sys; from thunder_policy import Switch\n"
        "from thunder_policy.conformance import check_policy\n"
        "results = check_policy(lambda: Switch({0: 0.5, 3: 0.1}))\n"
        "assert 'pytest' not in sys.modules\n"
        "print(json.dumps([[r.law, r.status] for r in results]))"
    )
    path = os.pathsep.join([str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    assert [law for law, _ in results] == [*LAWS]
    assert [law for law, status in results if status != "passed"] == ["step_atomic", "values"]


def test_without_numpy_its_settings_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    before = process()
    assert before["NumPy's handling of errors"] is None
    put_back({**before, "NumPy's print options": 0})
    with racing_clock():
        assert "numpy" not in sys.modules
    assert examine(LAWS["settings"], Subject(broken.Decay, epochs=1)).status == "passed"
