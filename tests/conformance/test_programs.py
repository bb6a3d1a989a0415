"""The programs that a report prints run in a fresh process, and show what the report claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import broken
import numpy as np
import pytest
from hypothesis import strategies as st

from thunder_policy import Schedule
from thunder_policy.conformance import LAWS, Subject
from thunder_policy.conformance.suite import examine

HERE = Path(__file__)


class Wave:
    """A schedule without a repr, which goes wrong after epoch 1."""

    def __init__(self, lr: float, *, late: float = 1.0) -> None:
        self.lr, self.late = lr, late

    def __call__(self, epoch: int) -> float:
        return self.lr if epoch < 2 else -self.late


class Makes:
    """Makes policies, in each way that a method can."""

    class Inner(broken.EndsInNan):
        pass

    def make(self) -> Any:
        return Schedule(Wave(0.5))

    @staticmethod
    def static() -> Any:
        return Schedule(Wave(0.25))

    def __call__(self) -> Any:
        return Schedule(Wave(0.125))


class ToBelow(broken.Decay):
    """Falls by some step an epoch, without an end."""

    def __init__(self, by: Any, how: Any = None) -> None:
        self.by, self.how = by, how

    def factor(self) -> float:
        return float(1 - self.by * self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.prepare_state_dict("how")


WAVE = Wave(0.5)
MAKES = Makes()

FACTORIES: dict[str, Any] = {
    "an object of the module": lambda: Schedule(WAVE),
    "a method": MAKES.make,
    "a static method": Makes.static,
    "an object that makes them": MAKES,
    "a class in a class": Makes.Inner,
    "a module within a package": lambda: os.path and ToBelow(0.5),
    "an object of another module": lambda: broken.EndsInNan(),
    "a number of NumPy": partial(ToBelow, np.float64(0.5)),
    "a list of functions": partial(ToBelow, 0.5, how=WAVE),
    "a drawn class": st.floats(0.5, 1.0).map(ToBelow),
    "a drawn object": st.builds(Schedule, st.builds(Wave, st.floats(0.5, 1.0))),
    "a drawn object, by keyword": st.builds(
        Schedule, st.builds(Wave, st.just(0.1), late=st.floats(0.5, 1.0))
    ),
}

RUNNER = """
import json, sys
for program, reason in json.load(sys.stdin):
    try:
        exec(program, {})
    except Exception as error:
        if str(error) not in reason:
            print(repr(error), "and not", reason, "in", program)
    else:
        print("no error", program)
"""


def run_afresh(programs: Sequence[tuple[str, str]]) -> str:
    """Run programs in a process that knows nothing of this one; return what they do not show."""
    path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1]), str(HERE.parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(programs),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_programs_run_in_a_fresh_process() -> None:
    programs = []
    for name, factory in FACTORIES.items():
        result = examine(LAWS["lr_per_group"], Subject(factory, groups=1, epochs=12))
        assert result.status == "failed", name
        assert result.reproduction
        assert "# make =" not in result.reproduction, f"{name}: {result.reproduction}"
        assert " at 0x" not in result.reproduction
        programs.append((result.reproduction, result.reason))
    assert run_afresh(programs) == ""


def test_what_is_drawn_is_written_out() -> None:
    strategy = FACTORIES["a drawn object"]
    result = examine(LAWS["lr_per_group"], Subject(strategy, groups=1, epochs=3))
    assert "make = lambda: Schedule(Wave(" in (result.reproduction or "")


@pytest.mark.parametrize(
    ("strategy", "ends"),
    [
        (st.floats(0.25, 0.75), {0.25, 0.75}),
        (st.floats(0.25), {0.25}),
        (st.floats(allow_nan=False), {0.0}),
        (st.integers(-3, 7), {-3, 7}),
        (st.integers(max_value=7), {7}),
        (st.integers(), {0}),
        (st.sampled_from("abc"), {"a", "c"}),
        (st.booleans(), {False, True}),
        (st.text("xy", min_size=2), {"xx"}),
        (st.binary(min_size=2), {b"\0\0"}),
        (st.lists(st.integers(0, 9), max_size=3).map(tuple), {(), (9, 9, 9)}),
        (st.lists(st.integers(0, 9)).map(tuple), {(), (9, 9, 9, 9, 9)}),
    ],
)
def test_the_ends_of_what_a_strategy_draws_are_tried(strategy: Any, ends: set[Any]) -> None:
    seen = set()

    def note(drawn: Any) -> Any:
        seen.add(drawn)
        return broken.Decay()

    examine(LAWS["construct"], Subject(strategy.map(note), groups=1, epochs=1))
    assert seen >= ends


@pytest.mark.parametrize("make", [lambda lr: broken.EndsInNan(), lambda lr: Schedule(Wave(lr))])
def test_what_cannot_be_written_has_no_address(make: Callable[[float], Any]) -> None:
    class Local(Wave):
        pass

    def local(lr: float) -> Any:
        return Schedule(Local(lr))

    for drawn in (make, local):
        subject = Subject(st.floats(0.5, 1.0).map(drawn), groups=1, epochs=12)
        result = examine(LAWS["lr_per_group"], subject)
        assert result.status == "failed"
        assert " at 0x" not in (result.reproduction or "")
