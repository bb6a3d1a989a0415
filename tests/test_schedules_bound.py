"""Schedules inside of `Schedule`, bound to an optimizer and stepped."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers import advance, lrs, sgd, tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_helpers import anything, stepped, trajectory
from test_schedules_parity import PAIRS, Pair

from thunder_policy import Schedule
from thunder_policy.schedules import Cosine, ScheduleFunction, warmup


@pytest.mark.spec("V3", "V19")
@settings(deadline=None)
@given(schedule=anything, epochs=st.integers(1, 50))
def test_a_bound_schedule_writes_its_values(schedule: ScheduleFunction, epochs: int) -> None:
    assert stepped(Schedule(schedule), 0.1, epochs) == trajectory(schedule, epochs)


@pytest.mark.spec("V8")
def test_each_group_can_have_its_own() -> None:
    s = warmup(3, Cosine(0.1, 0.0, epochs=10))
    optimizer = sgd(0.1, 0.1)
    policy = Schedule([s, 0.1 * s])(optimizer)
    for t in range(15):
        assert lrs(optimizer) == [s(t), s(t) * 0.1]
        advance(policy)


@pytest.mark.spec("V3", "B18")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_tensor_lr_agrees_with_torch_within_its_dtype(
    name: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    pair: Pair = data.draw(PAIRS[name])
    epochs = min(60, pair.last + 1)
    theirs = stepped(pair.make, 0.1, epochs)
    ours = stepped(Schedule(pair.schedule(0.1)), tensor(0.1, dtype), epochs)
    limits = torch.finfo(dtype)
    noise = max(1e-12 * max(theirs), limits.tiny)  # below it nothing has the dtype's precision
    assert ours == pytest.approx(theirs, rel=max(1e-9, limits.eps), abs=noise)


@pytest.mark.spec("K1")
def test_a_policy_of_a_schedule_is_copied_and_pickled() -> None:
    policy = Schedule(warmup(3, Cosine(0.1, 0.0, epochs=10)))
    for twin in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert [twin.lr_at(t) for t in range(15)] == [policy.lr_at(t) for t in range(15)]
