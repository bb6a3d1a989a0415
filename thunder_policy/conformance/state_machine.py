"""PolicyMachine: any sequence of steps, saves, loads, bindings, copies and new groups."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import copy
import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import SearchStrategy
from torch.optim import Optimizer

from .isolation import isolated
from .runs import (
    Broken,
    Make,
    begin,
    bind,
    epoch_of,
    expect,
    floats,
    lrs,
    option_of,
    parameter,
    same_run,
    sgd,
    through_pickle,
    train,
)
from .subject import Copies, Subject, as_subject

# What a run has been through: a step, or the lr of a group that was added.
History = tuple[float | None, ...]
_MOST_STEPS = 12
_MOST_GROUPS = 4


@dataclass(frozen=True)
class _Saved:
    optimizer: dict[str, Any]
    policy: dict[str, Any]
    history: History


class PolicyMachine:
    """A test class for pytest that tries a policy in any order of what can be done with it.

    A subclass sets ``subject``. Hypothesis steps, saves, loads, binds anew, copies and adds groups,
    and looks for the shortest sequence after which the lrs are not those of a run that was never
    disturbed, or of the subject's own oracle.

    Attributes:
        subject: A `Subject`, or what would be its ``factory``.
        settings: Of Hypothesis; the default is reproducible and takes some seconds.

    Example:
        >>> from thunder_policy import Switch
        >>> class TestSwitch(PolicyMachine):
        ...     subject = Subject(lambda: Switch({0: 0.5, 3: 0.1}))
        ...     settings = settings(max_examples=5, derandomize=True, database=None)
        >>> TestSwitch().test_any_order()
    """

    subject: ClassVar[Any]
    settings: ClassVar[settings] = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=50,
        stateful_step_count=20,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
    )

    def test_any_order(self) -> None:
        """Try sequences of operations.

        Raises:
            Broken: If a sequence leaves the lrs of an undisturbed run.
        """
        subject = as_subject(type(self).subject)
        broken = list[Broken]()
        # Hypothesis calls it anew for each example; its annotation wants a class.
        make: Any = partial(_Machine, subject, broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what was saved and written, where they differ
            try:
                with subject.assumed():
                    run_state_machine_as_test(make, settings=type(self).settings)
            except Flaky:
                if not broken:
                    raise  # it is the strategy that draws something else each time
                # What is broken once and not again, as a cache by id is: that it was, says more.
                raise broken[-1] from broken[-1].__cause__


class _Machine(RuleBasedStateMachine):
    """One run, beside its history; what it should be is a run of that history and nothing else."""

    def __init__(self, subject: Subject, broken: list[Broken]) -> None:
        super().__init__()
        self.subject, self.broken = subject, broken
        self.world = ExitStack()
        self.expected: dict[History, list[float]] = {}
        self.saved: list[_Saved] = []

    @initialize(data=st.data())
    def make_one(self, data: st.DataObject) -> None:
        """Draw a policy, if the subject is a strategy, and the number of groups."""
        subject = self.subject
        if isinstance(subject.factory, SearchStrategy):
            drawn = data.draw(subject.factory, label="policy")
            subject = replace(subject, factory=Copies(drawn))
        self.subject = subject
        self.make: Make = subject.make
        self.world.enter_context(isolated(subject.factory))
        self.exact = subject.exact()
        self.held = data.draw(st.sampled_from(subject.layouts()), label="lrs")
        self.history: History = ()
        self.policy = begin(self.make, self.held)
        self.optimizer: Optimizer = self.policy.optimizer

    def teardown(self) -> None:
        """Leave no trace of the run, so that the next one does not depend on it."""
        error = sys.exc_info()[1]  # Hypothesis calls this while what ended the run is on its way
        if isinstance(error, Broken):
            self.broken.append(error)
        self.world.close()

    @precondition(lambda self: self.history.count(None) < _MOST_STEPS)
    @rule(steps=st.integers(1, 4))
    def step(self, steps: int) -> None:
        train(self.policy, steps)
        self.history += (None,) * steps

    @rule()
    def save(self) -> None:
        state = copy.deepcopy((self.optimizer.state_dict(), self.policy.state_dict()))
        self.saved.append(_Saved(*state, self.history))

    @precondition(lambda self: self.saved)
    @rule(data=st.data(), fresh=st.booleans(), optimizer=st.booleans())
    def load(self, data: st.DataObject, fresh: bool, optimizer: bool) -> None:
        """Load a state, into this run or into fresh objects, with the optimizer's or without."""
        saved = data.draw(st.sampled_from(self.saved))
        groups = len(saved.optimizer["param_groups"])
        if fresh or groups != len(self.optimizer.param_groups):
            self.policy = begin(self.make, [0.7] * groups)
            self.optimizer = self.policy.optimizer
        self.policy.load_state_dict(copy.deepcopy(saved.policy))
        if optimizer:
            self.optimizer.load_state_dict(copy.deepcopy(saved.optimizer))
        self.history = saved.history

    @rule()
    def bind_to_another_optimizer(self) -> None:
        """Bind the same policy again, or, where it is no policy, make another scheduler."""
        self.optimizer, self.history = sgd(self.held, self.policy), ()
        late: Any = self.policy if callable(self.policy) else self.make()
        self.policy = bind(late, self.optimizer)

    @precondition(
        lambda self: (
            self.exact is None
            and self.subject.late_groups
            and len(self.optimizer.param_groups) < _MOST_GROUPS
        )
    )
    @rule(lr=st.sampled_from([0.05, 0.25]))
    def add_a_group(self, lr: float) -> None:
        """Add a group, and take the step from which on it is one of them."""
        self.optimizer.add_param_group({"params": [parameter()], option_of(self.policy): lr})
        train(self.policy)
        self.history += (lr,)

    @rule(how=st.sampled_from(["deepcopy", "pickle"]))
    def go_on_with_a_copy(self, how: str) -> None:
        pair = self.optimizer, self.policy
        if how == "deepcopy":
            self.optimizer, self.policy = copy.deepcopy(pair)
        else:
            self.optimizer, self.policy = through_pickle(pair, type(self.policy).__mro__)[0]

    @invariant()
    def the_lrs_are_those_of_an_undisturbed_run(self) -> None:
        now, epoch = lrs(self.policy), len(self.history)
        same_run([now], [self.undisturbed()], "the lr", since=epoch)
        expect(floats(self.policy.get_last_lr()), now, "get_last_lr()", epoch)
        if epoch_of(self.policy) is not None:  # ChainedScheduler counts none
            expect(epoch_of(self.policy), epoch, "last_epoch", epoch)
        if self.subject.expected is not None:
            right = [float(self.subject.expected(epoch, i)) for i in range(len(self.held))]
            same_run([now[: len(right)]], [right], "the lr", since=epoch)

    def undisturbed(self) -> list[float]:
        """Return the lrs of a run that had this history and nothing else."""
        if self.history not in self.expected:
            with isolated(self.subject.factory):
                policy = begin(self.make, self.held)
                for added in self.history:
                    if added is not None:
                        group = {"params": [parameter()], option_of(policy): added}
                        policy.optimizer.add_param_group(group)
                    train(policy)
                self.expected[self.history] = lrs(policy)
        return self.expected[self.history]
