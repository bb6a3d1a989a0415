"""What the suite offers, as it is used: checks, schedules, the machine and the command."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import broken
import numpy as np
import pytest
import sound
import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from pace import seconds
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, StepLR

from thunder_policy import Switch
from thunder_policy.conformance import (
    LAWS,
    SCHEDULE_LAWS,
    Broken,
    ConformanceError,
    PolicyMachine,
    Result,
    Subject,
    check_policy,
    check_schedule,
    checks,
)
from thunder_policy.conformance.command import check_command
from thunder_policy.conformance.suite import examine


def by_law(results: list[Result]) -> dict[str, Result]:
    return {result.law: result for result in results}


def few(factory: Callable[[], Any]) -> Subject:
    """Ask for short runs, where it is not the policy that is tested."""
    return Subject(factory, epochs=4)


# check_policy


def test_the_error_has_one_line_a_broken_law() -> None:
    subject = Subject(broken.OneLate, expected=broken.base, epochs=4)
    with pytest.raises(ConformanceError) as raised:
        check_policy(subject)
    reason = "values: the lr: expected 0.09000000000000001, saw 0.1, at epoch 1, group 0"
    said, _, program = str(raised.value).partition("\n\n")
    first, line = said.splitlines()
    assert first.startswith(f"OneLate breaks 1 law of {len(LAWS)}: ")
    assert line == f"  {reason.replace(': ', ': [hurts a run] ', 1)}"
    broken_law = by_law(raised.value.results)["values"]
    see = "# See thunder_policy/conformance/README.md#values"
    assert program == f"# {reason}\n{see}\n{broken_law.reproduction}".rstrip()
    assert str(broken_law.error) == f"{broken_law.reason}\n\n{broken_law.reproduction}"


def test_a_binding_that_fails_asks_for_how_many_groups_it_is() -> None:
    def zips() -> Any:
        return type("Zips", (broken.Decay,), {"get_lr": lambda self: [][len(self.base_lrs)]})()

    hint = "expected no error, or that groups= (--groups) says for how many it is, saw IndexError"
    assert hint in by_law(check_policy(zips, on_fail="collect"))["runs"].reason
    known = by_law(check_policy(Subject(zips, groups=1), on_fail="collect"))["runs"]
    assert "expected no error, saw IndexError" in known.reason


def test_an_error_says_what_was_expected_and_seen_at_which_epoch_and_group() -> None:
    subject = Subject(broken.Swaps, groups=2, expected=broken.base)
    error = by_law(check_policy(subject, on_fail="collect"))["values"].error
    assert isinstance(error, Broken)
    assert (error.what, error.expected, error.seen) == ("the lr", 0.1, 0.2)
    assert (error.epoch, error.group) == (0, 0)


def test_the_run_of_a_failure_is_as_short_as_can_be() -> None:
    result = by_law(check_policy(broken.EndsInNan, on_fail="collect"))["runs"]
    assert "epochs = 10" in (result.reproduction or "")
    assert "held = [0.1]" in (result.reproduction or "")


def test_without_an_oracle_values_is_skipped_and_never_passes() -> None:
    assert by_law(check_policy(few(broken.Decay)))["values"].status == "skipped"
    checked = check_policy(Subject(broken.Decay, expected=broken.base, epochs=4))
    assert by_law(checked)["values"].status == "passed"


def test_where_nothing_can_be_said_the_other_laws_are_skipped() -> None:
    results = by_law(check_policy(broken.EndsInNan, on_fail="collect"))
    assert results["resume"].status == "skipped"
    assert results["resume"].reason == "nothing can be said before runs holds"


class StartsWrong(broken.ForgetsCount):
    """Is at epoch 1 when it is bound, and does not resume: two faults, each to be seen."""

    def set_optimizer(self, optimizer: Any, last_epoch: int = -1) -> None:
        super().set_optimizer(optimizer, last_epoch)
        optimizer.step()
        self.step()


class NanFromTen(broken.WritesInfinity):
    """Writes nan from epoch 10 on, and forgets its base_lrs where it is loaded."""

    def step(self, epoch: int | None = None) -> None:
        broken.Decay.step(self, epoch)
        if self.last_epoch > 9:
            self.optimizer.param_groups[0]["lr"] = float("nan")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        mine = [*self.base_lrs]
        super().load_state_dict(state_dict)
        self.base_lrs = mine


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (StartsWrong, {"bound", "rebind", "resume", "resume_any_order", "resume_alone"}),
        (NanFromTen, {"lr_per_group", "resume", "resume_alone"}),
    ],
)
def test_one_fault_hides_no_other(factory: Callable[[], Any], expected: set[str]) -> None:
    results = check_policy(factory, on_fail="collect")
    assert {result.law for result in results if result.status == "failed"} >= expected
    assert not any("nothing can be said" in result.reason for result in results)


def test_an_expected_failure_is_xfailed_with_its_reason() -> None:
    reasons = {"pickle": "holds a lock", "deepcopy": "holds a lock"}
    results = by_law(check_policy(few(broken.Locked), expected_failures=reasons))
    assert (results["pickle"].status, results["pickle"].reason) == ("xfailed", "holds a lock")


def test_an_expected_failure_that_passes_is_an_error_when_strict() -> None:
    reasons = {"pickle": "holds a lock"}
    with pytest.raises(ConformanceError, match=r"pickle: it was expected to fail \(holds a lock\)"):
        check_policy(few(broken.Decay), expected_failures=reasons)
    results = check_policy(few(broken.Decay), expected_failures=reasons, strict=False)
    assert by_law(results)["pickle"].status == "xpassed"


@pytest.mark.parametrize(
    ("reasons", "says"),
    [({"pickles": "typo"}, "there is no law 'pickles'"), ({"pickle": " "}, "give the reason")],
)
def test_an_expected_failure_names_a_law_and_has_a_reason(
    reasons: dict[str, str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        check_policy(broken.Decay, expected_failures=reasons)


shared = broken.Decay()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Subject(broken.Decay()), "takes a factory, not the policy"),  # type: ignore[arg-type]
        (lambda: Subject(3), "takes a factory or a strategy, not 3"),  # type: ignore[arg-type]
        (lambda: check_policy(StepLR), r"give partial\(StepLR, step_size=\.\.\.\)"),
        (lambda: check_policy(lambda: shared), "must make a new policy each time"),
        (lambda: check_policy(lambda: 3), "must make a policy"),
        (lambda: Subject(broken.Decay, groups=True), "groups must be an integer"),
        (lambda: Subject(broken.Decay, epochs=None), "epochs must be an integer"),  # type: ignore[arg-type]
        (lambda: Subject(broken.Decay, expected=0.1), "expected must be a function"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_subject_is_a_type_error(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        wrong()


def test_numbers_below_1_and_an_unknown_on_fail_are_value_errors() -> None:
    with pytest.raises(ValueError, match="groups must be at least 1, not 0"):
        Subject(broken.Decay, groups=0)
    with pytest.raises(ValueError, match="on_fail must be"):
        check_policy(broken.Decay, on_fail="explode")  # type: ignore[arg-type]


def test_a_strategy_is_tried_on_what_it_draws_and_the_smallest_failure_is_shown() -> None:
    strategy = st.builds(Switch, st.dictionaries(st.integers(0, 3), st.floats(0.5, 1), max_size=2))
    subject = Subject(strategy, groups=1, expected=lambda epoch, group: 1e-3, epochs=1)
    result = by_law(check_policy(subject, on_fail="collect"))["values"]
    assert result.status == "failed"
    assert "make = lambda: Switch({0: 1.0})" in (result.reproduction or "")


def test_a_scheduler_of_torch_is_tried_where_it_need_not_be_bound_late() -> None:
    results = by_law(check_policy(few(lambda: partial(StepLR, step_size=3)), on_fail="collect"))
    assert results["rebind"].status == "skipped"
    assert "binding late" in results["rebind"].reason
    assert results["resume"].status == "passed"
    assert results["resume_alone"].status == "failed"


def test_a_chained_scheduler_which_counts_no_epochs_can_be_checked() -> None:
    def make() -> Callable[[Any], ChainedScheduler]:
        return lambda optimizer: ChainedScheduler([ConstantLR(optimizer), StepLR(optimizer, 2)])

    results = by_law(check_policy(few(make), on_fail="collect"))
    assert results["runs"].status == "passed"
    assert (results["step"].status, results["pure"].status) == ("skipped", "skipped")


def test_a_factory_that_no_import_finds_is_named_in_the_reproduction() -> None:
    class Local(broken.OneLate):
        pass

    subject = Subject(lambda: Local(), expected=broken.base, epochs=3)
    result = by_law(check_policy(subject, on_fail="collect"))["values"]
    assert "# make = " in (result.reproduction or "")
    with pytest.raises(Broken):
        exec(result.reproduction or "", {"make": Local, "expected": broken.base})


# What a check leaves behind


def row(result: Result) -> tuple[object, ...]:
    return result.law, result.status, result.reason, result.reproduction


@pytest.mark.parametrize("factory", [broken.Jitters, broken.SharedClock])
def test_a_law_says_among_all_what_it_says_alone(factory: Callable[[], Any]) -> None:
    """Though lrs are drawn from a generator that goes on, or come of what the class has counted."""
    results = check_policy(few(factory), on_fail="collect")
    alone = [examine(LAWS[result.law], few(factory)) for result in results]
    assert [*map(row, results)] == [*map(row, alone)]


def test_a_full_report_takes_less_than_three_seconds() -> None:
    # With coverage each line takes longer.
    assert seconds(partial(check_policy, broken.Decay), times=2) < (
        3 if sys.gettrace() is None else 12
    )


def test_the_package_needs_neither_hypothesis_nor_pytest() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None; import thunder_policy\n"
        "assert 'pytest' not in sys.modules\n"
        "try: import thunder_policy.conformance\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    needs = "thunder_policy.conformance needs Hypothesis: pip install hypothesis"
    assert done.stdout.strip() == needs


def test_the_suite_needs_no_pytest_but_for_its_decorator() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from thunder_policy.conformance import parametrize_checks\n"
        "try: parametrize_checks({})\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "parametrize_checks needs pytest: pip install pytest"


def test_every_law_has_a_sentence_and_a_trap_and_is_one_check() -> None:
    assert [check.law.name for check in checks()] == [*LAWS]
    for law in LAWS.values():
        assert law.sentence.endswith(".")
        assert law.trap


# check_schedule


def unsteady() -> Callable[[int], float]:
    calls = []

    def schedule(epoch: int) -> float:
        calls.append(epoch)
        return 1.0 / len(calls)

    return schedule


def monotone() -> Callable[[int], float]:
    latest = [0]

    def schedule(epoch: int) -> float:
        latest[0] = max(latest[0], epoch)
        return 1.0 / (1 + latest[0])

    return schedule


class Latch:
    """Is at its end for ever, once it was there."""

    ended = False

    def __call__(self, epoch: int) -> float:
        self.ended = self.ended or epoch >= 5
        return 0.01 if self.ended else 0.1


def reused() -> Callable[[int], torch.Tensor]:
    lr = torch.zeros(())
    return lambda epoch: lr.fill_(1 / (1 + epoch))


def noisy(epoch: int) -> float:
    warnings.warn("noise", stacklevel=2)
    return 0.1


def drawn(epoch: int) -> float:
    random.seed(epoch)
    return random.random()


BAD_SCHEDULES: dict[str, tuple[Callable[[int], Any], str, str]] = {
    "ends": (lambda t: [0.1, 0.2][t], "real_lr", "IndexError: list index out of range, at epoch 2"),
    "nan": (lambda t: float("nan") if t == 3 else 0.1, "real_lr", "saw nan, at epoch 3"),
    "no number": (lambda t: None, "real_lr", "expected one finite real number, saw None"),
    "unsteady": (unsteady(), "same_twice", "asked again"),
    "monotone": (monotone(), "any_order", "another order"),
    "one tensor": (reused(), "own_value", "what was returned before"),
    "drawn": (drawn, "no_rng", "the global generator of random"),
    "noisy": (noisy, "no_warning", "UserWarning: noise"),
}


@pytest.mark.parametrize("name", BAD_SCHEDULES)
def test_a_bad_schedule_breaks_the_law_that_names_its_fault(name: str) -> None:
    schedule, law, says = BAD_SCHEDULES[name]
    result = by_law(check_schedule(schedule, epochs=8, on_fail="collect"))[law]
    assert result.status == "failed"
    assert says in result.reason
    with pytest.raises(ConformanceError, match=law):
        check_schedule(schedule, epochs=8)
    if name in ("ends", "nan", "no number", "drawn"):
        with pytest.raises(Broken):
            exec(result.reproduction or "", {})


def test_a_schedule_that_fills_a_table_as_it_goes_passes() -> None:
    """Though the table is emptied after each law, and the generator behind it goes on."""
    draw, table = random.Random(3), list[float]()

    def tabled(epoch: int) -> float:
        while len(table) <= epoch:
            table.append(draw.random())
        return table[epoch]

    assert {result.status for result in check_schedule(tabled, epochs=8)} == {"passed"}


def test_a_schedule_that_latches_is_begun_anew_for_each_law() -> None:
    result = by_law(check_schedule(Latch(), epochs=8, on_fail="collect"))["any_order"]
    assert result.status == "failed"
    assert "expected 0.1, saw 0.01" in result.reason
    with pytest.raises(Broken, match=r"expected 0\.1, saw 0\.01"):
        exec(result.reproduction or "", {"schedule": Latch()})


@pytest.mark.parametrize(
    "schedule",
    [
        sound.reciprocal,
        np.cos,
        lambda t: torch.tensor(0.1 / (1 + t)),
        lambda t: np.array([0.1 / (1 + t)]),
        lambda t: 1,
    ],
    ids=["reciprocal", "np.cos", "tensor", "array", "int"],
)
def test_a_good_schedule_passes(schedule: Callable[[int], Any]) -> None:
    results = check_schedule(schedule, epochs=100)
    assert [(r.law, r.status) for r in results] == [(law, "passed") for law in SCHEDULE_LAWS]


def test_check_schedule_refuses_what_is_none() -> None:
    with pytest.raises(TypeError, match="takes a callable"):
        check_schedule({0: 0.1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        check_schedule(np.cos, epochs=0)
    with pytest.raises(ValueError, match="on_fail"):
        check_schedule(np.cos, on_fail="")  # type: ignore[arg-type]


# PolicyMachine


class TestCounter(PolicyMachine):
    subject = sound.Counter


class TestLayerWise(PolicyMachine):
    subject = Subject(sound.LayerWise)


class TestOracle(PolicyMachine):
    subject = Subject(broken.Decay, expected=broken.base)


@pytest.mark.parametrize("factory", [broken.ForgetsCount, broken.CopyForgets])
def test_the_machine_finds_what_is_broken(factory: Callable[[], Any]) -> None:
    class Machine(PolicyMachine):
        subject = factory
        # What Hypothesis draws depends on the modules that are loaded: give it room to find it.
        settings = settings(PolicyMachine.settings, phases=[Phase.generate], max_examples=500)

    with pytest.raises(Broken, match="the lr"):
        Machine().test_any_order()


class CachesById(broken.Decay):
    """Remembers on its class what each optimizer started from, by an id that another one gets."""

    known: ClassVar[dict[int, list[Any]]] = {}

    def get_lr(self) -> Any:
        starts = self.known.setdefault(id(self.optimizer), [*self.base_lrs])
        starts.extend(self.base_lrs[len(starts) :])
        return [lr * self.factor() for lr in starts]


def test_the_machine_says_what_is_broken_now_and_then() -> None:
    class Machine(PolicyMachine):
        subject = CachesById

    with pytest.raises(Broken):
        Machine().test_any_order()
    assert CachesById.known == {}


def test_what_was_broken_once_is_said_where_it_is_not_broken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Machine(PolicyMachine):
        subject = broken.Decay

    def run(make: Any, settings: object) -> None:
        make.args[1].append(Broken("the lr", 0.5, 0.7))
        raise Flaky("it passes now")

    monkeypatch.setattr("thunder_policy.conformance.state_machine.run_state_machine_as_test", run)
    with pytest.raises(Broken, match=r"the lr: expected 0\.5, saw 0\.7"):
        Machine().test_any_order()


def test_the_machine_leaves_an_error_of_a_strategy_alone() -> None:
    calls = count()

    def make(gamma: float) -> broken.Decay:
        if next(calls) == 3:
            raise OSError("not this time")
        return broken.Decay()

    class Machine(PolicyMachine):
        subject = Subject(st.floats(0.1, 1.0).map(make))

    with pytest.raises(Flaky):
        Machine().test_any_order()


def test_the_machine_asks_no_epoch_of_what_counts_none() -> None:
    def chained() -> Callable[[Any], ChainedScheduler]:
        return lambda optimizer: ChainedScheduler([ConstantLR(optimizer)])

    class Machine(PolicyMachine):
        subject = few(chained)
        settings = settings(PolicyMachine.settings, phases=[Phase.generate])

    with pytest.raises(Broken) as raised:  # it does not resume in any order
        Machine().test_any_order()
    assert "last_epoch" not in str(raised.value)


def test_the_machine_holds_a_policy_to_its_oracle() -> None:
    class Machine(PolicyMachine):
        subject = Subject(broken.OneLate, expected=broken.base)
        settings = settings(PolicyMachine.settings, phases=[Phase.generate])

    with pytest.raises(Broken, match=r"the lr: expected 0\.09"):
        Machine().test_any_order()


# The command

TARGETS = """
from functools import partial
from torch.optim.lr_scheduler import ExponentialLR, StepLR
from thunder_policy import Policy, Switch

class Good(Policy):
    def get_lr(self):
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]

class Bad(Good):
    def get_lr(self):
        return super().get_lr()[:1] * len(self.base_lrs)

def factory():
    return Switch([{0: 0.5}, {0: 0.1}])

policy = Switch({0: 0.5, 3: 0.1})
number = 3

class Needs(Good):
    def __init__(self, epochs):
        self.epochs = epochs

class OfTorch(ExponentialLR):
    def __init__(self, optimizer, gamma=0.9):
        super().__init__(optimizer, gamma)

steps = partial(StepLR, step_size=3)

def oracle(epoch, group):
    return (group + 1) / 10 * 0.9**epoch
"""


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "command_targets.py").write_text(TARGETS)
    monkeypatch.chdir(tmp_path)
    yield "command_targets"
    sys.modules.pop("command_targets", None)


@pytest.mark.parametrize(
    ("suffix", "name", "groups", "code"),
    [
        ("", "Good", None, 0),
        (".py", "Bad", None, 1),
        ("", "factory", 2, 0),
        (".py", "policy", 2, 0),
    ],
)
def test_the_command_checks_a_class_a_factory_or_a_policy(
    targets: str,
    capsys: pytest.CaptureFixture[str],
    name: str,
    groups: int | None,
    code: int,
    suffix: str,
) -> None:
    assert check_command([f"{targets}{suffix}:{name}"], groups=groups) == code
    out = capsys.readouterr().out
    assert bool(re.search(r"^group_alone +failed", out, re.MULTILINE)) == (code == 1)
    assert re.search(r"^\d+ passed, .*\d+ skipped$", out, re.MULTILINE)


@pytest.mark.parametrize("name", ["OfTorch", "steps"])
def test_the_command_checks_a_scheduler_of_torch(
    targets: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert check_command([f"{targets}:{name}"], groups=1) == 1
    out = capsys.readouterr().out
    assert re.search(r"^resume +passed$", out, re.MULTILINE)
    assert re.search(r"^rebind +skipped +.*binding late$", out, re.MULTILINE)
    assert "make = partial(partial, " in out


def test_the_command_takes_an_oracle_and_prints_json(
    targets: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_command([f"{targets}:Good"], expected=f"{targets}:oracle", form="json") == 0
    (report,) = json.loads(capsys.readouterr().out)["subjects"]
    assert report["subject"] == "command_targets:Good"
    assert report["counts"] == {"passed": len(LAWS)}
    assert {"law": "values", "status": "passed"}.items() <= next(
        row.items() for row in report["results"] if row["law"] == "values"
    )


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("command_targets", "write it as module:name"),
        ("no_such_module:Good", "cannot import no_such_module"),
        ("no/such/file.py:Good", "no file no/such/file.py"),
        ("command_targets:Nothing", "there is no Nothing in command_targets"),
        ("command_targets:number", "it is 3: give a policy"),
        ("command_targets:Needs", "it cannot be made: TypeError"),
        (
            "torch.optim.lr_scheduler:StepLR",
            "StepLR wants step_size: give partial(StepLR, step_size=...)",
        ),
        ("json:JSONDecoder", "which is no scheduler"),
    ],
)
def test_a_bad_target_gets_one_line_and_code_2(
    targets: str, capsys: pytest.CaptureFixture[str], target: str, says: str
) -> None:
    assert check_command([target]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1
