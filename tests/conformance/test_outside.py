"""The suite is run from outside, in a project that is not this one."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
from torch.optim.lr_scheduler import StepLR

import thunder_policy
from thunder_policy.conformance import INHERITED_FROM_TORCH, LAWS, Subject, check_policy
from thunder_policy.conformance.decorator import expecting

POLICIES = '''
from thunder_policy import Policy


class Warmup(Policy):
    def __init__(self, epochs):
        self.epochs = epochs

    def get_lr(self):
        scale = min(1.0, (self.last_epoch + 1) / self.epochs)
        return [lr * scale for lr in self.base_lrs]


class Forgetful(Warmup):
    """Counts its steps, and leaves the count out of its state."""

    def set_optimizer(self, optimizer):
        self.count = 0
        super().set_optimizer(optimizer)

    def step(self, epoch=None):
        self.count += 1
        super().step(epoch)

    def get_lr(self):
        scale = min(1.0, (self.count + 1) / self.epochs)
        return [lr * scale for lr in self.base_lrs]

    def state_dict(self):
        return self.prepare_state_dict("count")
'''

TESTS = """
from policies import Forgetful, Warmup
from thunder_policy.conformance import PolicyMachine, Subject, parametrize_checks


def oracle(epoch, group):
    return (group + 1) / 10 * min(1.0, (epoch + 1) / 5)


@parametrize_checks(
    {
        "warmup": Subject(lambda: Warmup(5), groups=2, expected=oracle),
        "forgetful": lambda: Forgetful(5),
    },
    expected_failures={
        "forgetful": {"resume_alone": "the count is not saved", "pickle": "it is not broken"}
    },
)
def test_conformance(subject, check):
    check(subject)


class TestWarmup(PolicyMachine):
    subject = Subject(lambda: Warmup(5))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the outcome of each item of the project's own run of pytest."""
    project = tmp_path_factory.mktemp("project")
    (project / "policies.py").write_text(POLICIES)
    (project / "test_policies.py").write_text(TESTS)
    root = Path(thunder_policy.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(project / "report.xml").iter("testcase"):
        children = [(child.tag, child.get("message") or child.text or "") for child in case]
        found[case.get("name", "")] = ": ".join(children[0]) if children else "passed"
    return found


def item(name: str, law: str) -> str:
    return f"test_conformance[{name}-{law}]"


@pytest.mark.slow
def test_there_is_one_item_a_law_and_subject(outcomes: dict[str, str]) -> None:
    items = {item(name, law) for name in ("warmup", "forgetful") for law in LAWS}
    assert {*outcomes} == items | {"test_any_order"}


@pytest.mark.slow
def test_the_good_policy_passes(outcomes: dict[str, str]) -> None:
    of_warmup = {law: outcomes[item("warmup", law)] for law in LAWS}
    left = {law: outcome for law, outcome in of_warmup.items() if outcome != "passed"}
    assert left == {"late_group_resume": "skipped: it is for an exact number of param groups"}
    assert outcomes["test_any_order"] == "passed"


@pytest.mark.slow
def test_the_bad_policy_fails_where_it_is_broken(outcomes: dict[str, str]) -> None:
    failed = outcomes[item("forgetful", "resume")]
    assert failed.startswith("failure")
    assert "the lr of a run resumed at epoch 1" in failed
    assert outcomes[item("forgetful", "rebind")] == "passed"


@pytest.mark.slow
def test_an_expected_failure_is_xfailed_and_one_that_passes_fails(outcomes: dict[str, str]) -> None:
    assert outcomes[item("forgetful", "resume_alone")] == "skipped: the count is not saved"
    assert outcomes[item("forgetful", "pickle")] == "failure: [XPASS(strict)] it is not broken"


def test_the_reason_of_an_inherited_failure_can_be_sent_to_another_process() -> None:
    subject = Subject(partial(StepLR, step_size=3))
    results = check_policy(subject, expected_failures=INHERITED_FROM_TORCH)
    law = next(result.law for result in results if result.status == "xfailed")
    check, marks = expecting(law, INHERITED_FROM_TORCH[law], strict=True)
    assert marks == []
    with pytest.raises(pytest.xfail.Exception) as caught:
        check(subject)
    assert type(caught.value.msg) is str  # xdist refuses any class of its own
