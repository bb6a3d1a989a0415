"""The parts of the suite: one check, the decorator, isolation, reproductions, traces."""

from __future__ import annotations

import ast
import copy
import gc
import inspect
import pickle
import runpy
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import broken
import broken_around
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from thunder_policy import Multiply, Switch, conformance
from thunder_policy.conformance import (
    INHERITED_FROM_TORCH,
    LAWS,
    Broken,
    ConformanceError,
    Law,
    NotApplicable,
    Result,
    Subject,
    check_policy,
    checks,
    parametrize_checks,
)
from thunder_policy.conformance.command import check_command
from thunder_policy.conformance.decorator import expecting
from thunder_policy.conformance.isolation import arguments, isolated
from thunder_policy.conformance.reproduce import reproduction, source_of
from thunder_policy.conformance.runs import expect, plain, same_run, spoil, through_pickle
from thunder_policy.conformance.suite import examine, name_of

CHECKS = {check.law.name: check for check in checks()}


# One law at a time


def test_a_check_raises_what_is_broken_and_says_where_it_does_not_apply() -> None:
    CHECKS["resume"](broken.Decay)
    CHECKS["step"](broken.Decay)
    CHECKS["runs"](broken.Decay)
    with pytest.raises(Broken, match="a run resumed at epoch 1"):
        CHECKS["resume"](Subject(broken.ForgetsCount, epochs=2))
    with pytest.raises(NotApplicable, match="no oracle"):
        CHECKS["values"](broken.Decay)
    with pytest.raises(NotApplicable, match="nothing can be said before runs holds"):
        CHECKS["values"](broken.ReturnsNothing)
    assert repr(CHECKS["values"]) == "<check values>"


def test_the_decorator_makes_one_item_a_law() -> None:
    reasons = {"decay": {"pickle": "a reason"}}
    mark = parametrize_checks(
        {"decay": Subject(broken.Decay, epochs=2), "locked": broken.Locked},
        expected_failures=reasons,
    ).mark
    names, items = mark.args
    assert names == ("subject", "check")
    assert [item.id for item in items] == [
        f"{n}-{law}" for n in ("decay", "locked") for law in LAWS
    ]
    marked = [(item.id, item.marks[0].kwargs) for item in items if item.marks]
    expected = {"reason": "a reason", "strict": True, "raises": Broken}
    assert marked == [("decay-pickle", expected)]
    subject, check = items[0].values
    check(subject)
    skipped = next(item for item in items if item.id == "decay-values")
    with pytest.raises(pytest.skip.Exception, match="no oracle"):
        skipped.values[1](skipped.values[0])


def test_the_decorator_refuses_an_unknown_subject() -> None:
    with pytest.raises(ValueError, match="there is no subject 'decoy'"):
        parametrize_checks({"decay": broken.Decay}, expected_failures={"decoy": {}})


def test_without_pytest_the_decorator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ImportError, match="parametrize_checks needs pytest"):
        parametrize_checks({})


def test_without_hypothesis_the_suite_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match="needs Hypothesis: pip install hypothesis"):
        runpy.run_path(str(conformance.__file__))


def test_what_torch_s_base_breaks_is_excused_and_no_other_fault_of_the_law() -> None:
    check, marks = expecting("resume_alone", INHERITED_FROM_TORCH["resume_alone"], strict=True)
    assert marks == []
    with pytest.raises(pytest.xfail.Exception, match="torch's load_state_dict writes no lr"):
        check(Subject(partial(StepLR, step_size=3), epochs=4))
    with pytest.raises(pytest.skip.Exception, match="nothing can be said before runs holds"):
        check(broken.ReturnsNothing)
    check, _ = expecting("step_atomic", INHERITED_FROM_TORCH["step_atomic"], strict=True)
    with pytest.raises(Broken, match="a step whose get_lr raises an error"):
        check(Subject(broken_around.Swallows, epochs=4))


def test_an_error_that_no_law_foresaw_is_a_broken_law() -> None:
    def trips(make: Callable[[], Any]) -> None:
        """It does not trip."""
        raise KeyError("lr")

    result = examine(Law("trips", "It does not trip.", "a stone", trips), Subject(broken.Decay))
    assert result.reason == "law trips: expected no error, saw KeyError: 'lr'"


def test_what_a_strategy_draws_must_be_copied() -> None:
    result = examine(LAWS["resume"], Subject(st.builds(broken.Locked)))
    assert result.status == "skipped"
    assert "give a factory" in result.reason
    with pytest.raises(TypeError, match="draw one"):
        Subject(st.builds(broken.Locked)).make()


def test_without_a_state_only_the_law_on_states_is_broken() -> None:
    subject = Subject(broken.SavesTuple, epochs=2)
    assert examine(LAWS["resume"], subject).reason == "it gives no state: see state_weights_only"
    assert examine(LAWS["state_weights_only"], subject).status == "failed"


def test_subjects_have_names() -> None:
    assert name_of(Subject(st.builds(broken.Decay))) == "a strategy"
    assert name_of(Subject(lambda: Switch({0: 0.5}))) == "Switch({0: 0.5})"
    assert name_of(Subject(type("Local", (broken.Decay,), {}))) == "Local"


def test_errors_can_be_sent_to_another_process() -> None:
    error = Broken("the lr", 0.1, 0.2, 3, 1)
    error.reproduction = "raise"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reproduction) == (str(error), "raise")
    whole = ConformanceError("Warmup", [Result("values", "failed", "late", error)])
    assert str(pickle.loads(pickle.dumps(whole))) == (
        "Warmup breaks 1 law of 1: 0 kept, 0 inherited from torch, 1 of its own\n"
        "  values: [hurts a run] late"
    )


# Comparisons


def test_a_dict_that_differs_is_named_by_its_key() -> None:
    expect({"lr": 0.1}, {"lr": 0.1}, "after a step")
    with pytest.raises(Broken, match="after a step, max_lr: expected nothing, saw 1"):
        expect({"lr": 0.1, "max_lr": 1}, {"lr": 0.1}, "after a step")
    with pytest.raises(Broken, match=r"the kind: expected \{.*\}, saw OrderedDict"):
        expect(OrderedDict(lr=0.1), {"lr": 0.1}, "the kind")
    with pytest.raises(Broken, match="the count: expected 1, saw True"):
        expect(True, 1, "the count")
    with pytest.raises(Broken, match=r"the text: expected b+\.\.\., saw a"):
        expect("a", "b" * 400, "the text")


def test_traces_differ_in_values_groups_or_epochs() -> None:
    same_run([[0.1], [6e-17]], [[0.1], [6e-17]], "the lr")
    same_run([[0.1, 6e-17]], [[0.1, 0.0]], "the lr")
    with pytest.raises(Broken, match="how many: expected 2, saw 1, at epoch 4"):
        same_run([[0.1]], [[0.1, 0.1]], "the lr", since=4)
    with pytest.raises(Broken, match="how many epochs: expected 2, saw 1"):
        same_run([[0.1]], [[0.1], [0.1]], "the lr")


def test_spoil_overwrites_all_but_what_needs_a_gradient() -> None:
    kept = torch.ones(1, requires_grad=True)
    state = {"lrs": [0.1, torch.ones(1)], "kept": (kept,)}
    tensor, lrs = state["lrs"][1], state["lrs"]
    spoil(state)
    spoil(kept)
    assert (state, lrs, plain(tensor), plain(kept)) == ({}, [77.0, 77.0], [77.0], [1.0])


# Isolation


class Marked(broken.Decay):
    count = 0
    seen: list[int] = []  # noqa: RUF012


def test_what_a_factory_refers_to_is_put_back() -> None:
    numbers, table, names = [1, 2], torch.ones(2), {"a"}
    locks = [threading.Lock()]
    options = {"lr": 0.1}

    def factory(first: list[int] = numbers, *, second: dict[str, float] = options) -> Any:
        return Marked, table, names, locks

    given = partial(factory, [3], second={"lr": 0.2})
    before = plain(arguments(lambda: (numbers, table)))
    with isolated(given):
        numbers.append(3)
        table.fill_(7)
        names.add("b")
        options["lr"] = 7.0
        given.args[0].clear()
        locks.clear()
        Marked.count = 7
        Marked.seen.append(7)
        gc.disable()
        gc.enable()
    assert plain(arguments(lambda: (numbers, table))) == before
    assert (names, options, given.args[0], len(locks)) == ({"a"}, {"lr": 0.1}, [3], 1)
    assert (Marked.count, Marked.seen) == (0, [])


def test_the_class_that_is_the_factory_is_put_back() -> None:
    with isolated(Marked):
        Marked.count = 7
        gc.disable()
    assert Marked.count == 0
    assert gc.isenabled()


def test_what_methods_write_into_globals_is_put_back() -> None:
    with isolated(broken.GlobalStarts):
        broken._starts[0] = 0.1
    assert broken._starts == {}


def test_a_cache_on_the_class_is_put_back_whatever_it_holds() -> None:
    results = check_policy(Subject(broken.ClassCache, epochs=3), on_fail="collect")
    assert "independent" in [result.law for result in results if result.status == "failed"]
    assert broken.ClassCache.known == {}


def test_isolation_needs_no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy")
    assert examine(LAWS["rng"], Subject(broken.Decay, groups=1, epochs=1)).status == "passed"


# The fake GPU


class CopiesInPlace(broken.FromLive):
    def made_of(self, lr: Any) -> Any:
        return lr.copy_(lr * 1.0) if isinstance(lr, Tensor) else lr


class OwnTable(broken.Decay):
    """Reads a tensor of its own, on the host."""

    def __init__(self) -> None:
        self.table = torch.tensor([0.9**t for t in range(30)])

    def factor(self) -> float:
        return float(self.table[self.last_epoch])


class CopiesToHost(broken.FromLive):
    def made_of(self, lr: Any) -> Any:
        return torch.zeros(()).copy_(lr) if isinstance(lr, Tensor) else lr


class NeedsDriver(broken.Decay):
    def get_lr(self) -> Any:
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        if any(isinstance(lr, Tensor) and lr.device.type == "cuda" for lr in lrs):
            raise RuntimeError("Found no NVIDIA driver on your system")
        return super().get_lr()


class RefusesCuda(NeedsDriver):
    def get_lr(self) -> Any:
        try:
            return super().get_lr()
        except RuntimeError as error:
            raise ValueError("no lr on a GPU") from error


@pytest.mark.parametrize(
    ("factory", "status"),
    [
        (RefusesCuda, "failed"),
        (CopiesInPlace, "passed"),
        (OwnTable, "passed"),
        (CopiesToHost, "failed"),
        (NeedsDriver, "skipped"),
    ],
)
def test_only_what_waits_for_the_gpu_is_held_against_a_policy(
    factory: Callable[[], Any], status: str
) -> None:
    assert examine(LAWS["gpu_sync"], Subject(factory, epochs=2)).status == status


def test_launches_are_not_counted_where_a_lr_is_read() -> None:
    result = examine(LAWS["gpu_launches"], Subject(broken.Reads, epochs=2))
    assert (result.status, result.reason[:12]) == ("skipped", "see gpu_sync")


def test_laws_on_references_leave_the_collector_off_where_it_was() -> None:
    gc.disable()
    try:
        for law in ("no_cycle", "rebind_frees"):
            assert examine(LAWS[law], Subject(broken.Decay, epochs=1)).status == "passed"
            assert not gc.isenabled()
    finally:
        gc.enable()


# Reproductions

SCALE = 0.5


def odd(value: object) -> object:
    return value


class Unprintable(broken.Decay):
    def __init__(self) -> None:
        self.part = object()


def test_factories_are_written_as_they_stand() -> None:
    inner = 0.25
    given = [threading.Lock()]
    assert source_of(broken.Decay) == "Decay"
    assert source_of(partial(StepLR, step_size=3)) == "partial(StepLR, step_size=3)"
    assert source_of(partial(odd, value=given)) is None
    assert source_of(lambda: Multiply({1: SCALE}, inner)) == "lambda: Multiply({1: SCALE}, inner)"
    assert source_of(lambda: odd(given)) is None
    assert source_of(eval("lambda: 1")) is None
    assert source_of(eval("lambda: 1", {"__name__": "sys"})) is None
    assert source_of(lambda: [*range(3)]) == "lambda: [*range(3)]"
    assert source_of(lambda: broken.Decay()) == "lambda: broken.Decay()"
    loose = type("Loose", (), {"__module__": "__main__"})
    assert source_of(loose) is None
    two = [lambda: 1, lambda: 2]
    assert [*map(source_of, two)] == ["lambda: 1", "lambda: 2"]
    assert source_of([1, {2: (3.0, "a")}]) == "[1, {2: (3.0, 'a')}]"
    assert source_of(float("nan")) is None


def test_a_script_is_no_module_by_either_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    loose = type("Loose", (), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Loose", loose, raising=False)
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])  # multiprocessing does
    assert source_of(loose) is None


def test_what_has_no_repr_of_its_own_is_left_to_the_reader() -> None:
    subject = Subject(st.just(Unprintable()), 1, lambda t, i: 7.0, 1)
    assert "# make = " in (examine(LAWS["values"], subject).reproduction or "")


def test_where_a_freezer_left_no_sources_a_broken_law_has_its_reason_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getsource(of: object) -> str:
        raise OSError("could not get source code")

    subject = Subject(broken.Decay, 1, lambda epoch, group: 7.0, 1)
    known = examine(LAWS["values"], subject)
    monkeypatch.setattr(inspect, "getsource", getsource)
    result = examine(LAWS["values"], subject)
    assert known.reproduction
    assert (result.status, result.reason, result.reproduction) == ("failed", known.reason, "")


@pytest.mark.parametrize("law", LAWS.values(), ids=[*LAWS])
def test_all_that_a_law_refers_to_can_be_imported_in_its_reproduction(law: Law) -> None:
    names = inspect.getclosurevars(law.function).globals
    case = dict.fromkeys(inspect.signature(law.function).parameters, 1)
    program = reproduction(law.sentence, law.function, {**case, "make": broken.Decay})
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(program))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    nodes = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)]
    written = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    assert {node.id for node in nodes} & {*names} <= imported | written


def test_a_dtype_and_modules_are_imported() -> None:
    def law(make: object, dtype: torch.dtype) -> None:
        """It is a law."""
        copy.copy((make, dtype))

    text = reproduction("It is a law.", law, {"make": broken.Decay, "dtype": torch.float64})
    assert text.splitlines() == [
        "import copy",
        "import torch",
        "from broken import Decay",
        "",
        "make = Decay",
        "dtype = torch.float64",
        "",
        "# It is a law.",
        "copy.copy((make, dtype))",
    ]


# The command


def test_the_command_refuses_a_bound_policy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    monkeypatch.setattr(broken, "in_use", broken.Decay()(optimizer), raising=False)
    assert check_command(["broken:in_use"]) == 2
    assert "it is bound to an optimizer" in capsys.readouterr().err


def test_a_pickle_takes_a_function_that_is_there_twice_by_one_reference() -> None:
    def local() -> None: ...

    assert through_pickle([local, local]) == ([local, local], [local.__qualname__])
