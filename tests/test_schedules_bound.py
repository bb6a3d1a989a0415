"""Schedules inside of `Schedule`, bound to an optimizer and stepped."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers import advance, lrs, sgd
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_helpers import anything, grows, stepped, trajectory

from thunder_policy import Schedule
from thunder_policy.schedules import Cosine, ScheduleFunction, warmup


@pytest.mark.spec("V3", "V19", "B18")
@settings(deadline=None)
@given(
    schedule=anything.filter(lambda schedule: not grows(schedule)),
    epochs=st.integers(1, 50),
    dtype=st.sampled_from([None, torch.float64, torch.float32, torch.bfloat16]),
)
def test_a_bound_schedule_writes_its_values(
    schedule: ScheduleFunction, epochs: int, dtype: torch.dtype | None
) -> None:
    """Into a float as they are, into a tensor in its dtype."""
    lr = torch.tensor(0.1, dtype=dtype) if dtype else 0.1
    values = torch.tensor(trajectory(schedule, epochs), dtype=torch.float64)
    assert stepped(Schedule(schedule), lr, epochs) == values.to(dtype or torch.float64).tolist()


@pytest.mark.spec("V8")
def test_each_group_can_have_its_own() -> None:
    s = warmup(3, Cosine(0.1, 0.0, epochs=10))
    optimizer = sgd(0.1, 0.1)
    policy = Schedule([s, 0.1 * s])(optimizer)
    for t in range(15):
        assert lrs(optimizer) == [s(t), s(t) * 0.1]
        advance(policy)


@pytest.mark.spec("K1")
def test_a_policy_of_a_schedule_is_copied_and_pickled() -> None:
    policy = Schedule(warmup(3, Cosine(0.1, 0.0, epochs=10)))
    for twin in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert [twin.lr_at(t) for t in range(15)] == [policy.lr_at(t) for t in range(15)]
