"""No false alarm: what is sound passes every law, and is not skipped without need."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

import broken
import broken_around  # noqa: F401  it adds its pairs
import broken_in_one_way  # noqa: F401  it adds its pairs
import pytest
from once_failed import EXCUSED, ONCE_FAILED
from sound import SOUND

from thunder_policy import Policy
from thunder_policy.conformance import LAWS, Subject, check_policy
from thunder_policy.conformance.subject import as_subject

# What the laws state of custom policies.
pytestmark = pytest.mark.spec(
    *("V21", "O5", "B2", "B9", "B18", "S1", "S4", "S6", "S7", "S8", "S13"),
    *("T1", "T7", "T8", "T10", "T11", "K1", "K2", "K3", "X1"),
)

# Laws that may say nothing of a policy on its own merits.
MAY_SKIP = {
    "values": "no oracle",
    "step_atomic": "",
    "bind_atomic": "it binds schedulers of its own",
    "group_alone": "by its position",
    "sequential": "overrides step|for lrs alone",
    "late_group_resume": "exact number|its starts are those that are written",
    "long_run": "it ends after",
    "pickle": "pickle finds no function",
}


def short(subject: Any) -> Subject:
    return replace(as_subject(subject), epochs=6)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_policy_passes_every_law(name: str) -> None:
    results = check_policy(short(SOUND[name]))
    assert [result.law for result in results] == [*LAWS]
    for result in results:
        if result.status != "passed":
            assert result.status == "skipped"
            assert re.search(MAY_SKIP[result.law], result.reason)


# It is made some hundred times, and waits each time.
WAITS = pytest.param("slow to make", marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name", [name if name != "slow to make" else WAITS for name in ONCE_FAILED]
)
def test_what_was_once_taken_for_broken_passes(name: str) -> None:
    results = check_policy(ONCE_FAILED[name], expected_failures=EXCUSED.get(name))
    assert [f"{result.law}: {result.reason}" for result in results if result.bad()] == []


NEAR_MISSES = {
    pair.sound.__name__: pair
    for pair in broken.PAIRS.values()
    if inspect.isclass(pair.sound) and issubclass(pair.sound, Policy)
}


@pytest.mark.slow  # a plain run holds each to the law that it nearly breaks: test_kill_matrix.py
@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_passes_every_law(name: str) -> None:
    pair = NEAR_MISSES[name]
    subject = Subject(pair.sound, pair.groups or 2, epochs=2)
    results = check_policy(subject, on_fail="collect")
    assert [f"{r.law}: {r.reason}" for r in results if r.bad()] == []
