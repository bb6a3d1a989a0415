"""Inside the composites of torch, and with code that touches schedulers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from helpers import POLICIES, AsDocumented, MakePolicy, advance, lrs, sgd, tensor
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    ExponentialLR,
    LinearLR,
    SequentialLR,
)
from versions import BEGINS_WITH_THE_SECOND, SEQUENCE_IS_CLEAN

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, simulate

EVERY_POLICY = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)


class Ported(Policy):
    """torch's ExponentialLR: chained, with a closed form."""

    def get_lr(self) -> list[Any]:
        factor = 0.5 if self.last_epoch else 1
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Any]:
        return [lr * 0.5**self.last_epoch for lr in self.base_lrs]


@pytest.mark.spec("B7", "X1")
def test_a_mapping_policy_of_one_s_own_starts_from_lr_init() -> None:
    optimizer = sgd(0.3)
    first = ConstantLR(optimizer, 0.1, 100)
    policy = AsDocumented({1: 0.5, 2: 0.5}, lr_init=0.8)(optimizer)
    sequence = SequentialLR(optimizer, [first, policy], [2])
    assert advance(sequence, 4) == pytest.approx([0.03, 0.8, 0.4, 0.2])


@pytest.mark.spec("B5", "B20", "X1")
def test_base_lrs_stay_apart_from_a_lr_that_was_a_tensor() -> None:
    optimizer = sgd(tensor(0.5))
    policy = AsDocumented({1: 0.5}, lr_init=None)(optimizer)
    first = ConstantLR(optimizer, 1.0, 1)
    sequence = SequentialLR(optimizer, [first, policy], [2])
    advance(sequence)
    optimizer.param_groups[0]["lr"] = 0.4
    assert advance(sequence, 2) == [0.5, 0.25]
    assert policy.base_lrs == [0.5]


@pytest.mark.spec("B20")
def test_an_initial_lr_that_torch_makes_the_lr_is_not_written() -> None:
    """A SequentialLR puts the tensor itself into a group whose lr somebody made a float."""
    optimizer = sgd(torch.tensor(1.0))
    policy = Switch({0: 0.5, 2: 0.25}, lr_init=None)(optimizer)
    (group,) = optimizer.param_groups
    group["lr"] = 0.3
    sequence = SequentialLR(optimizer, [policy], milestones=[])
    for lr in (0.5, 0.5, 0.25):
        assert lrs(optimizer) == [lr]
        assert group["initial_lr"].item() == 1.0
        assert group["initial_lr"] is not group["lr"]
        advance(sequence)


@pytest.mark.spec("B20", "X1")
def test_a_sequence_of_schedulers_leaves_the_base_alone() -> None:
    """pytorch#162359, #195984: SequentialLR made lr and initial_lr one tensor."""
    buffer = torch.tensor([1.0])
    optimizer = sgd(buffer.view(-1))
    parts = [Multiply({0: 0.5, 1: 0.5}, lr_init=None), Multiply({1: 0.25}, lr_init=None)]
    for part in parts:
        part(optimizer)
    sequence = SequentialLR(optimizer, list(parts), milestones=[3])
    rows = []
    for _ in range(6):
        rows += lrs(optimizer)
        advance(sequence)
    assert rows == [0.5, 0.25, 0.25, 1.0, 0.25, 0.25]
    assert lrs(optimizer) == [0.25]
    assert buffer.item() == 0.25 or not SEQUENCE_IS_CLEAN
    assert [part.base_lrs for part in parts] == [[1.0], [1.0]]


@pytest.mark.spec("X1")
def test_the_first_of_a_sequence_sets_the_lr_of_epoch_0() -> None:
    """pytorch#72874: building the parts left the lr that the last one of them had written."""
    optimizer = sgd(1.0)
    parts = [Switch({0: 0.5})(optimizer), Switch({0: 0.25})(optimizer)]
    SequentialLR(optimizer, list(parts), milestones=[10])
    assert lrs(optimizer) == [0.5]


@pytest.mark.spec("X1")
def test_a_milestone_at_0_starts_with_the_second() -> None:
    """pytorch#185872: the second scheduler of milestones=[0] lost its first value."""
    optimizer = sgd(1.0)
    parts = [Switch({0: 8.0})(optimizer), Switch({0: 0.5, 1: 0.25, 2: 0.125})(optimizer)]
    sequence = SequentialLR(optimizer, list(parts), milestones=[0])
    rows = []
    for _ in range(4):
        rows += lrs(optimizer)
        advance(sequence)
    first = [] if BEGINS_WITH_THE_SECOND else [8.0]
    assert rows == [*first, 0.5, 0.25, 0.125, 0.125][:4]


@EVERY_POLICY
@pytest.mark.spec("X1")
def test_a_sequence_of_one_changes_nothing(make: MakePolicy) -> None:
    """pytorch#196243: an outer SequentialLR took one step too many."""
    optimizer = sgd(1.0)
    policy = make()
    sequence = SequentialLR(optimizer, [policy(optimizer)], milestones=[])
    rows = []
    for _ in range(6):
        rows.append(lrs(optimizer))
        advance(sequence)
    assert rows == simulate(make(), 6, groups=1, lr=1.0).tolist()


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.spec("X1")
def test_each_of_a_sequence_begins_with_its_own_epoch_0(at: int) -> None:
    """pytorch#196243, #185872: neither the milestone nor the epoch after it is off by one."""
    optimizer = sgd(1.0)
    warmup = LinearLR(optimizer, start_factor=0.25, total_iters=3)
    switch = Switch({0: 4.0, 1: 3.0, 2: 2.0})(optimizer)
    sequence = SequentialLR(optimizer, [warmup, switch], milestones=[at])
    rows = []
    for _ in range(at + 4):
        rows += lrs(optimizer)
        advance(sequence)
    assert rows == [*[0.25, 0.5, 0.75][:at], 4.0, 3.0, 2.0, 2.0]


@pytest.mark.spec("X2")
def test_a_step_to_an_epoch_below_0_writes_nothing() -> None:
    def undefined(epoch: int) -> float:
        raise AssertionError(f"called at {epoch}")

    policies: list[Policy] = [Switch({}, 0.1), Multiply({}, 0.1), Schedule(lambda epoch: 0.1)]
    for policy in policies:
        optimizer = sgd(0.5)
        policy(optimizer)
        policy.last_epoch = -3  # as by containers that each take back a step of what they hold
        optimizer.param_groups[0]["lr"] = 0.75
        vars(policy)["get_lr"] = undefined
        optimizer.step()
        policy.step()
        assert policy.last_epoch == -2
        assert optimizer.param_groups[0]["lr"] == 0.75


@pytest.mark.spec("S1", "B7")
def test_where_a_policy_fails_at_its_start_nothing_has_changed() -> None:
    optimizer = sgd(0.3)
    first = ConstantLR(optimizer, 0.5, 100)
    policy = AsDocumented({}, lr_init=0.8)(optimizer)
    sequence = SequentialLR(optimizer, [first, policy], [1])
    policy.fails = True
    with pytest.raises(OSError, match="disk"):
        advance(sequence)
    assert lrs(optimizer) == pytest.approx([0.15])
    assert policy.last_epoch == -1


@pytest.mark.spec("S2")
def test_a_restart_names_the_group_that_has_lost_its_lr() -> None:
    policy = AsDocumented({}, lr_init=None)(sgd(0.1))
    advance(policy)
    del policy.optimizer.param_groups[0]["lr"]
    text = r"AsDocumented at epoch 0, group 0: the param group has no lr"
    with pytest.raises(ValueError, match=text):
        policy._update_lr(0)


@pytest.mark.spec("X1", "V22")
def test_a_ported_closed_form_starts_again() -> None:
    optimizer = sgd(1.0)
    first = ConstantLR(optimizer, 0.1, 100)
    sequence = SequentialLR(optimizer, [first, Ported()(optimizer)], [2])
    assert advance(sequence, 3) == [0.1, 1.0, 0.5]


@pytest.mark.spec("S9", "X1")
@pytest.mark.parametrize(
    "policy",
    [Switch({9: 0.5}, None), Schedule([lambda _: 0.5]), Scale(lambda _: 1.0), Ported()],
    ids=lambda policy: type(policy).__name__,
)
def test_torch_warns_of_the_first_step_of_a_policy_that_was_stepped_before(policy: Policy) -> None:
    optimizer = sgd(0.5)
    advance(policy(optimizer), 2)
    sequence = SequentialLR(optimizer, [policy], [])
    vars(optimizer)["step"] = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        sequence.step()


@pytest.mark.spec("X1")
def test_a_policy_that_is_stepped_to_epoch_0_takes_lr_init() -> None:
    optimizer = sgd(1.0)
    ConstantLR(optimizer, 1.0, 1)
    policy = Switch({3: 0.2}, lr_init=0.1)(optimizer)
    advance(policy)
    policy.load_state_dict({**policy.state_dict(), "last_epoch": 0})
    SequentialLR(optimizer, [ChainedScheduler([policy]), ExponentialLR(optimizer, 0.5)], [4])
    assert lrs(optimizer) == [0.1]


@pytest.mark.spec("B7", "S10", "X1")
def test_a_document_like_policy_restarts_from_lr_init_after_a_step_to_0() -> None:
    optimizer = sgd(9.0)
    policy = AsDocumented({0: 0.5, 2: 0.5}, lr_init=1.0)(optimizer)
    advance(policy, 3)
    with pytest.warns(UserWarning, match="epoch parameter"):
        policy.step(0)
    SequentialLR(optimizer, [policy], [])
    assert lrs(optimizer) == [0.5]


@pytest.mark.spec("T4", "X1")
def test_what_torch_sets_in_a_sequence_is_no_attribute_of_a_policy() -> None:
    optimizer = sgd(0.1)
    policy = Ported()(optimizer)
    SequentialLR(optimizer, [policy], [])
    assert policy.state_dict().keys() == {"last_epoch", "_step_count", "base_lrs", "_last_lr"}
    assert "_is_initial" not in vars(copy.copy(policy))


@EVERY_POLICY
@pytest.mark.spec("X1")
def test_the_step_count_is_not_the_epoch(make: MakePolicy) -> None:
    """accelerate adds to `_step_count` while it accumulates gradients."""
    optimizer, policy = sgd(1.0), make()
    policy(optimizer)
    rows = [lrs(optimizer)]
    for _ in range(5):
        optimizer.step()
        policy._step_count += 3
        policy.step()
        rows.append(lrs(optimizer))
    assert rows == simulate(make(), 6, lr=1.0).tolist()


@pytest.mark.spec("X3")
@EVERY_POLICY
def test_frameworks_read_no_meaning_into_a_policy(make: MakePolicy) -> None:
    policy = make()
    for thing in (policy, policy(sgd())):
        assert not hasattr(thing, "total_steps")
        assert not hasattr(thing, "milestones")
