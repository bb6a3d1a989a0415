"""Hand-computed sequences: what each policy does, shown on lists that a reader can check."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from strategies import AnyPolicy
from torch.optim import SGD

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch


def optimizer_with(*lrs: float | torch.Tensor) -> SGD:
    """An optimizer with one group for each lr."""
    return SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs],
        lr=1.0,
    )


def sequence(
    policy: Policy, *groups: float | torch.Tensor, epochs: int
) -> list[float] | list[list[float]]:
    """The lrs that a training loop sees: one number an epoch, or for several groups one list."""
    optimizer = optimizer_with(*(groups or (0.5,)))
    policy(optimizer)
    rows = []
    for _ in range(epochs):
        rows.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        policy.step()
    return rows if len(groups) > 1 else [lr for (lr,) in rows]


@pytest.mark.spec("V7")
class TestTheDocument:
    """The examples of the document that the package implements."""

    def test_multiply(self) -> None:
        lrs = sequence(Multiply({1: 0.1, 4: 0.3}), 1e-3, epochs=7)
        assert lrs == pytest.approx([1e-3, 1e-4, 1e-4, 1e-4, 3e-5, 3e-5, 3e-5], rel=1e-15)

    def test_switch(self) -> None:
        assert sequence(Switch({0: 1e-4, 2: 1e-10}), epochs=5) == [
            1e-4,
            1e-4,
            1e-10,
            1e-10,
            1e-10,
        ]

    def test_schedule(self) -> None:
        lrs = sequence(Schedule(np.cos), epochs=4)
        assert lrs == [1.0, float(np.cos(1)), float(np.cos(2)), float(np.cos(3))]
        assert lrs == pytest.approx([1.0, 0.5403023, -0.4161468, -0.9899925], abs=1e-7)

    def test_switch_keeps_lr_init_until_its_first_key(self) -> None:
        switch = Switch({10: 0.001, 20: 0.001 / 10})
        assert sequence(switch, 1e-3, epochs=22) == [1e-3] * 20 + [1e-4] * 2

    @pytest.mark.spec("B1")
    def test_the_call_binds_and_returns_the_same_object(self) -> None:
        scheduler, optimizer = Switch({0: 0.25}), optimizer_with(0.5)
        assert scheduler(optimizer) is scheduler
        assert scheduler.optimizer is optimizer

    @pytest.mark.spec("S7")
    def test_a_custom_policy_needs_get_lr_alone(self) -> None:
        class NewPolicy(Policy):
            # mypy compares with torch's invariant list[float | Tensor] as well.
            def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
                return [1 / (1 + self.last_epoch) for _ in self.optimizer.param_groups]

        assert sequence(NewPolicy(), epochs=4) == [1.0, 1 / 2, 1 / 3, 1 / 4]


@pytest.mark.spec("V1", "V8")
class TestSwitch:
    def test_key_0_is_the_first_lr(self) -> None:
        assert sequence(Switch({0: 0.5, 2: 0.25}, lr_init=8), epochs=4) == [
            0.5,
            0.5,
            0.25,
            0.25,
        ]

    def test_without_key_0_the_first_lr_is_lr_init(self) -> None:
        assert sequence(Switch({2: 0.25}, lr_init=8), epochs=4) == [
            8.0,
            8.0,
            0.25,
            0.25,
        ]

    def test_the_order_of_the_keys_does_not_matter(self) -> None:
        switch = Switch({3: 0.125, 0: 0.5, 1: 0.25})
        assert sequence(switch, epochs=5) == [0.5, 0.25, 0.25, 0.125, 0.125]

    def test_an_lr_may_rise_and_may_be_zero(self) -> None:
        assert sequence(Switch({0: 0, 1: 2, 3: 0.5}), epochs=5) == [
            0.0,
            2.0,
            2.0,
            0.5,
            0.5,
        ]

    def test_an_empty_mapping_keeps_lr_init(self) -> None:
        assert sequence(Switch({}), 1e-3, epochs=3) == [1e-3, 1e-3, 1e-3]
        assert sequence(Switch({}, lr_init=None), 0.5, epochs=3) == [0.5, 0.5, 0.5]

    def test_one_mapping_serves_all_groups(self) -> None:
        assert sequence(Switch({1: 0.25}, lr_init=1e-3), 1.0, 2.0, epochs=3) == [
            [1e-3, 1e-3],
            [0.25, 0.25],
            [0.25, 0.25],
        ]

    def test_a_list_holds_one_mapping_a_group(self) -> None:
        switch = Switch([{0: 1.0, 2: 0.5}, {1: 4.0}, {}], lr_init=[9, 8, 7])
        assert sequence(switch, 1.0, 1.0, 1.0, epochs=4) == [
            [1.0, 8.0, 7.0],
            [1.0, 4.0, 7.0],
            [0.5, 4.0, 7.0],
            [0.5, 4.0, 7.0],
        ]


@pytest.mark.spec("V2", "V6", "V8")
class TestMultiply:
    def test_key_0_multiplies_lr_init(self) -> None:
        multiply = Multiply({0: 0.5, 2: 0.5}, lr_init=8)
        assert sequence(multiply, epochs=4) == [4.0, 4.0, 2.0, 2.0]

    def test_without_key_0_the_first_lr_is_lr_init(self) -> None:
        assert sequence(Multiply({2: 0.5}, lr_init=8), epochs=4) == [8.0, 8.0, 4.0, 4.0]

    def test_factors_are_applied_in_the_order_of_their_epochs(self) -> None:
        multiply = Multiply({3: 0.3, 1: 0.1, 2: 0.7}, lr_init=1.0)
        assert sequence(multiply, epochs=4) == [
            1.0,
            1.0 * 0.1,
            1.0 * 0.1 * 0.7,
            1.0 * 0.1 * 0.7 * 0.3,
        ]

    def test_factors_above_one_warm_up(self) -> None:
        multiply = Multiply({1: 2, 2: 2, 3: 2, 4: 0.5}, lr_init=0.25)
        assert sequence(multiply, epochs=6) == [0.25, 0.5, 1.0, 2.0, 1.0, 1.0]

    def test_a_factor_of_zero_is_for_ever(self) -> None:
        assert sequence(Multiply({1: 0, 2: 8}, lr_init=1), epochs=3) == [1.0, 0.0, 0.0]

    def test_an_empty_mapping_keeps_lr_init(self) -> None:
        assert sequence(Multiply({}, lr_init=2), epochs=3) == [2.0, 2.0, 2.0]

    def test_a_list_holds_one_mapping_a_group(self) -> None:
        multiply = Multiply([{1: 0.5}, {0: 2, 2: 0.25}], lr_init=(4, 1))
        assert sequence(multiply, 1.0, 1.0, epochs=4) == [
            [4.0, 2.0],
            [2.0, 2.0],
            [2.0, 0.5],
            [2.0, 0.5],
        ]


@pytest.mark.spec("V3", "V8")
class TestSchedule:
    def test_the_value_does_not_depend_on_lr_init(self) -> None:
        assert sequence(Schedule(lambda t: 2.0**-t, lr_init=7), epochs=4) == [
            1.0,
            0.5,
            0.25,
            0.125,
        ]

    def test_one_function_serves_all_groups(self) -> None:
        assert sequence(Schedule(float), 1.0, 2.0, epochs=3) == [[0, 0], [1, 1], [2, 2]]

    def test_a_list_holds_one_function_a_group(self) -> None:
        schedule = Schedule([lambda t: 10 - t, lambda t: t / 2, math.exp])
        assert sequence(schedule, 1.0, 1.0, 1.0, epochs=3) == [
            [10.0, 0.0, 1.0],
            [9.0, 0.5, math.exp(1)],
            [8.0, 1.0, math.exp(2)],
        ]


@pytest.mark.spec("V4")
class TestScale:
    def test_the_start_of_each_group_is_multiplied(self) -> None:
        scale = Scale(lambda t: 1 / (1 + t))
        assert sequence(scale, 3.0, 0.3, epochs=4) == [
            [3.0, 0.3],
            [1.5, 0.15],
            [3.0 * (1 / 3), 0.3 * (1 / 3)],
            [0.75, 0.075],
        ]

    def test_it_multiplies_lr_init_where_that_is_given(self) -> None:
        assert sequence(Scale(float, lr_init=8), 1.0, 2.0, epochs=3) == [[0, 0], [8, 8], [16, 16]]
        assert sequence(Scale(float, lr_init=[8, 4]), 1.0, 2.0, epochs=2) == [[0, 0], [8, 4]]

    def test_a_factor_does_not_build_on_the_one_before(self) -> None:
        scale = Scale([1.0, 0.0, 2.0, 0.5].__getitem__)
        assert sequence(scale, 0.25, epochs=3) == [0.25, 0.0, 0.5]

    @pytest.mark.spec("V8", "V9")
    def test_a_list_holds_one_function_a_group_and_none_leaves_one_alone(self) -> None:
        scale = Scale([lambda t: 2.0**-t, lambda t: 1 + t, None])
        assert sequence(scale, 4.0, 1.0, 0.5, epochs=3) == [
            [4.0, 1.0, 0.5],
            [2.0, 2.0, 0.5],
            [1.0, 3.0, 0.5],
        ]


@pytest.mark.spec("V10", "V11")
class TestLrInit:
    """`lr_init` is one number, a sequence with one a group, or None."""

    def test_the_default_is_1e_3(self) -> None:
        assert sequence(Multiply({1: 0.5}), 1e-3, 1e-3, epochs=2) == [
            [1e-3, 1e-3],
            [5e-4, 5e-4],
        ]

    def test_that_of_scale_is_none(self) -> None:
        assert Scale(float).lr_init is None

    @pytest.mark.parametrize(
        "lr_init", [[0.5, 0.25], (0.5, 0.25), [Fraction(1, 2), np.float32(0.25)]]
    )
    def test_a_sequence_gives_one_a_group(self, lr_init: Sequence[float]) -> None:
        multiply = Multiply({1: 0.5}, lr_init=lr_init)
        assert sequence(multiply, 3.0, 3.0, epochs=2) == [[0.5, 0.25], [0.25, 0.125]]

    def test_none_starts_from_each_groups_own_lr(self) -> None:
        multiply = Multiply({1: 0.5}, lr_init=None)
        assert sequence(multiply, 4.0, 1.0, epochs=2) == [[4.0, 1.0], [2.0, 0.5]]

    def test_none_starts_from_the_initial_lr_that_another_scheduler_recorded(
        self,
    ) -> None:
        optimizer = optimizer_with(1.0, 2.0)
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5)
        assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]
        assert Switch({}, lr_init=None)(optimizer).get_last_lr() == [1.0, 2.0]

    def test_with_an_lr_init_what_another_scheduler_left_does_not_matter(self) -> None:
        optimizer = optimizer_with(1.0)
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5)
        policy = Multiply({0: 0.5}, lr_init=8)(optimizer)
        assert policy.get_last_lr() == [4.0]
        assert policy.base_lrs == [8.0]

    @pytest.mark.spec("B18")
    def test_tensor_lrs_take_the_values_in_place(self) -> None:
        lr = torch.tensor(1.0, dtype=torch.float64)
        assert sequence(Switch({0: 0.5, 1: 0.1}), lr, epochs=2) == [0.5, 0.1]
        assert lr.item() == 0.1


@pytest.mark.spec("C2", "C4", "C6")
class TestForms:
    """Numbers, keys and mappings may be written in any form that means the same."""

    @pytest.mark.parametrize(
        "mapping",
        [
            {1: 0.5},
            {np.int64(1): 0.5},
            {1: np.float32(0.5)},
            {1: Fraction(1, 2)},
            {1: torch.tensor(0.5)},
            MappingProxyType({1: 0.5}),
            deque([{1: 0.5}]),
        ],
    )
    @pytest.mark.parametrize("cls", [Switch, Multiply])
    def test_the_sequence_is_the_same(self, cls: type[Switch | Multiply], mapping: Any) -> None:
        lrs = sequence(cls(mapping, lr_init=1), epochs=3)
        assert lrs == [1.0, 0.5, 0.5]
        assert all(type(lr) is float for lr in lrs)


@pytest.mark.spec("V18", "V19", "V20")
class TestClosedForm:
    """`lr_at` is the same thing without an optimizer."""

    @pytest.mark.parametrize(
        ("policy", "epoch", "lrs"),
        [
            (Switch({0: 1e-3, 30: 1e-4}), 45, [1e-4]),
            (Switch({30: 1e-4}), 29, [1e-3]),
            (Switch([{0: 1.0}, {2: 0.5}], lr_init=4), 1, [1.0, 4.0]),
            (Multiply({1: 0.5, 4: 0.5}, lr_init=8), 10**6, [2.0]),
            (Multiply({1: 0.5}, lr_init=[8, 4]), 0, [8.0, 4.0]),
            (Schedule(math.sqrt), 16, [4.0]),
            (Schedule([math.sqrt, float], lr_init=None), 16, [4.0, 16.0]),
            (Scale(math.sqrt, lr_init=[0.5, 2]), 16, [2.0, 8.0]),
        ],
    )
    def test_unbound(self, policy: AnyPolicy, epoch: int, lrs: list[float]) -> None:
        assert policy.lr_at(epoch) == lrs

    def test_bound_it_has_one_value_a_group_and_goes_back_in_time(self) -> None:
        optimizer = optimizer_with(1.0, 2.0)
        multiply = Multiply({1: 0.5, 2: 0.5}, lr_init=None)(optimizer)
        for _ in range(3):
            optimizer.step()
            multiply.step()
        assert [multiply.lr_at(epoch) for epoch in (2, 0, 1)] == [
            [0.25, 0.5],
            [1.0, 2.0],
            [0.5, 1.0],
        ]
