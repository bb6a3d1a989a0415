"""Stepping, the closed form, simulation and resumption, against an independent oracle."""

from __future__ import annotations

import pickle
import random
import warnings
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import Rule, lr_after, lr_at, lrs, stored
from strategies import (
    HORIZON,
    ORDERS,
    AnyPolicy,
    Case,
    Groups,
    cases,
    change,
    coarse,
    exact_groups,
    lr_values,
    parameter,
    plain,
    resume,
    save,
)
from torch.optim import SGD, Optimizer

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, simulate

epochs = st.integers(0, HORIZON + 2)


def advance(optimizer: Optimizer, policy: Policy, times: int = 1) -> None:
    """Some turns of a correct loop."""
    for _ in range(times):
        optimizer.step()
        policy.step()


def run(optimizer: Optimizer, policy: Policy, length: int) -> list[list[float]]:
    """The lrs now and after each of `length` steps."""
    rows = [held(policy)]
    for _ in range(length):
        advance(optimizer, policy)
        rows.append(held(policy))
    return rows


def held(policy: Policy) -> list[float]:
    """What the groups hold now, of what the policy schedules."""
    return lrs(policy.optimizer, policy.option)


def closed_form(case: Case, epoch: int, own: list[float] | None = None) -> list[float]:
    """What the oracle says of an epoch, from the arguments alone."""
    return [lr_at(case.name, case.rule(i), lr, epoch) for i, lr in enumerate(case.starts(own))]


def one_step(case: Case, before: list[float], epoch: int) -> list[float]:
    """What the oracle says of a step to `epoch`, from the lrs as they stand."""
    return [
        lr_after(case.name, case.rule(i), lr, epoch, case.groups.dtype(i), start)
        for i, (lr, start) in enumerate(zip(before, case.starts(), strict=True))
    ]


class TestStepping:
    @given(cases())
    @pytest.mark.spec("B1", "B3", "B4", "B5", "O1", "V9")
    def test_binding_writes_the_value_at_0(self, case: Case) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        assert policy(optimizer) is policy
        at_0 = [stored(lr, case.groups.dtype(i)) for i, lr in enumerate(closed_form(case, 0))]
        assert held(policy) == at_0
        assert [float(lr) for lr in policy.get_last_lr()] == at_0
        assert [float(lr) for lr in policy.base_lrs] == case.starts()
        assert policy.last_epoch == 0

    @given(cases(), epochs)
    @pytest.mark.spec("V1", "V2", "V3", "V4", "V9", "V10", "O2")
    def test_each_step_writes_the_oracles_value(self, case: Case, length: int) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        for epoch in range(1, length + 1):
            before = held(policy)
            advance(optimizer, policy)
            assert policy.last_epoch == epoch
            assert held(policy) == one_step(case, before, epoch)
            assert [float(lr) for lr in policy.get_last_lr()] == held(policy)

    @given(cases(held=exact_groups), st.permutations(range(HORIZON + 3)))
    @pytest.mark.spec("V6", "V18", "V19", "O5")
    def test_stepping_the_closed_form_and_simulation_agree_to_the_bit(
        self, case: Case, any_order: list[int]
    ) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        rows = run(optimizer, policy, length=HORIZON + 2)
        assert rows == [closed_form(case, epoch) for epoch in range(HORIZON + 3)]
        assert [policy.lr_at(epoch) for epoch in any_order] == [rows[epoch] for epoch in any_order]
        assert simulate(policy, HORIZON + 3).tolist() == rows

    @given(cases(), st.data())
    @pytest.mark.spec("V5")
    def test_a_change_from_outside_is_respected(self, case: Case, data: st.DataObject) -> None:
        """Switch and Multiply go on from the lr as it stands; Schedule and Scale have their own."""
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        for epoch in range(1, HORIZON + 1):
            for group in optimizer.param_groups:
                if data.draw(st.booleans(), label=f"change before epoch {epoch}"):
                    change(group, data.draw(coarse), policy.option)
            before = held(policy)
            advance(optimizer, policy)
            assert held(policy) == one_step(case, before, epoch)

    @pytest.mark.spec("V5", "S4")
    @pytest.mark.parametrize("how", ["fill_", "data.fill_", "numpy", "another tensor"])
    @pytest.mark.parametrize(
        ("policy", "rule"),
        [
            (Switch({4: 0.5}, 0.25), {4: 0.5}),
            (Multiply({4: 0.5}, 0.25), {4: 0.5}),
            (Schedule(float), float),
            (Scale(float, 0.25), float),
        ],
        ids=["Switch", "Multiply", "Schedule", "Scale"],
    )
    def test_a_change_from_outside_is_respected_however_it_was_made(
        self, policy: AnyPolicy, rule: Rule, how: str
    ) -> None:
        """Torch counts only some of the writes into a tensor."""
        optimizer = SGD([{"params": [parameter()], "lr": torch.tensor(1.0)}], lr=1.0)
        (group,) = optimizer.param_groups
        policy(optimizer)
        for epoch in range(1, 6):
            lr = group["lr"]
            if how == "fill_":
                lr.fill_(epoch / 8)
            elif how == "data.fill_":
                lr.data.fill_(epoch / 8)
            elif how == "numpy":
                lr.numpy()[...] = epoch / 8
            else:
                group["lr"] = torch.tensor(epoch / 8)
            advance(optimizer, policy)
            name = type(policy).__name__
            assert held(policy) == [lr_after(name, rule, epoch / 8, epoch, start=0.25)]
            assert policy.get_last_lr() == held(policy)

    @given(cases(names=["Switch", "Multiply"]))
    @pytest.mark.spec("S5")
    def test_between_two_milestones_nothing_is_written(self, case: Case) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        milestones = {epoch for rule in case.rules if isinstance(rule, dict) for epoch in rule}
        for epoch in range(1, HORIZON + 2):
            before = [written(group[policy.option]) for group in optimizer.param_groups]
            advance(optimizer, policy)
            if epoch not in milestones:
                assert [written(group[policy.option]) for group in optimizer.param_groups] == before

    @given(cases(), epochs)
    @pytest.mark.spec("S6")
    def test_get_lr_is_pure(self, case: Case, length: int) -> None:
        """It writes nothing, and answers the same until last_epoch or a group changes."""
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        advance(optimizer, policy, length)
        before, last = held(policy), policy.get_last_lr()
        first, second = policy.get_lr(), policy.get_lr()
        assert [float(lr) for lr in first] == [float(lr) for lr in second]
        assert first is not second
        to_write = [stored(float(lr), case.groups.dtype(i)) for i, lr in enumerate(first)]
        assert to_write == (one_step(case, before, length) if length else before)
        assert (held(policy), policy.get_last_lr()) == (before, last)

    @given(st.sampled_from([Schedule, Scale]), exact_groups, epochs)
    @pytest.mark.spec("V16")
    def test_one_callable_for_all_groups_is_called_once_a_step(
        self, make: type[Schedule | Scale], several: Groups, length: int
    ) -> None:
        calls: list[int] = []

        def log(epoch: int) -> float:
            calls.append(epoch)
            return 0.5

        optimizer = several.build()
        policy = make(log)(optimizer)
        advance(optimizer, policy, length)
        assert calls == list(range(length + 1))

    @given(st.sampled_from([Schedule, Scale]), st.integers(1, 5), epochs)
    @pytest.mark.spec("V16")
    def test_a_list_of_callables_is_called_once_a_group(
        self, make: type[Schedule | Scale], n: int, length: int
    ) -> None:
        calls: list[tuple[int, int]] = []

        def log(group: int, epoch: int) -> float:
            calls.append((epoch, group))
            return 0.5

        optimizer = SGD([{"params": [parameter()]} for _ in range(n)], lr=1.0)
        policy = make([partial(log, group) for group in range(n)])(optimizer)
        advance(optimizer, policy, length)
        assert calls == list(product(range(length + 1), range(n)))


def written(lr: object) -> tuple[int, int]:
    """Which object a group holds, and how often it was written in place."""
    return id(lr), lr._version if isinstance(lr, torch.Tensor) else 0


def needs_a_start(case: Case, rule: Rule, epoch: int) -> bool:
    """Whether the lr at an epoch depends on a start that only a group can tell."""
    if rule is None:
        return True
    if case.lr_init.values is not None or case.name == "Schedule":
        return False
    return not (case.name == "Switch" and isinstance(rule, dict) and min(rule, default=99) <= epoch)


class TestClosedForm:
    @given(cases(held=exact_groups), epochs)
    @pytest.mark.spec("V18", "V20")
    def test_unbound_it_needs_no_optimizer(self, case: Case, epoch: int) -> None:
        """One value where all is broadcast, else one a group; None is no lr to start from."""
        policy = case.policy()
        at_epoch = closed_form(case, epoch)
        if any(needs_a_start(case, rule, epoch) for rule in case.rules):
            with pytest.raises(ValueError, match="lr_init"):
                policy.lr_at(epoch)
        else:
            assert policy.lr_at(epoch) == (at_epoch[:1] if case.broadcast else at_epoch)

    @given(cases(held=exact_groups), epochs)
    @pytest.mark.spec("V18")
    def test_bound_it_describes_the_policy_with_no_outside_change(
        self, case: Case, epoch: int
    ) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        for group in optimizer.param_groups:
            change(group, 0.125, policy.option)
        assert policy.lr_at(epoch) == closed_form(case, epoch)
        assert held(policy) == [0.125] * len(case.groups.lrs)


def random_state() -> tuple[object, ...]:
    """Where the generators of torch, Python and numpy are."""
    return torch.get_rng_state().tolist(), random.getstate(), pickle.dumps(np.random.get_state())


class TestSimulate:
    @given(cases(held=exact_groups), epochs, lr_values["any"])
    @pytest.mark.spec("B15", "O5")
    def test_unbound(self, case: Case, length: int, lr: float) -> None:
        n = len(case.groups.lrs)
        rows = simulate(case.policy(), length, groups=n, lr=lr)
        assert rows.shape == (length, n)
        assert rows.dtype == torch.float64
        assert rows.tolist() == [closed_form(case, epoch, own=[lr] * n) for epoch in range(length)]

    @given(cases(held=exact_groups))
    @pytest.mark.spec("B15")
    def test_unbound_it_has_as_many_groups_as_the_policy_asks_for(self, case: Case) -> None:
        assert simulate(case.policy(), 2, lr=0.5).shape == (
            2,
            1 if case.broadcast else len(case.groups.lrs),
        )

    @given(cases(), epochs, coarse)
    @pytest.mark.spec("S8", "V18")
    def test_bound_it_starts_afresh_and_touches_nothing(
        self, case: Case, length: int, lr: float
    ) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        advance(optimizer, policy, length)
        for group in optimizer.param_groups:
            change(group, lr, policy.option)
        groups_before = [dict(group) for group in optimizer.param_groups]
        versions = [written(group[policy.option]) for group in optimizer.param_groups]
        state = plain(policy.state_dict())
        rng = random_state()

        rows = simulate(policy, HORIZON)

        if case.groups.exact:
            assert rows.tolist() == [closed_form(case, epoch) for epoch in range(HORIZON)]
        assert rows.shape == (HORIZON, len(case.groups.lrs))
        assert [written(group[policy.option]) for group in optimizer.param_groups] == versions
        for before, after in zip(groups_before, optimizer.param_groups, strict=True):
            assert before.keys() == after.keys()
            assert all(before[key] is after[key] for key in before)
        assert plain(policy.state_dict()) == state
        assert random_state() == rng

    @given(st.lists(lr_values["any"], min_size=1, max_size=5), epochs)
    @pytest.mark.spec("S7", "V21")
    def test_a_custom_policy_sees_groups_and_base_lrs(self, own: list[float], length: int) -> None:
        class Triangle(Policy):
            """Add a tenth of the base to the lr as it stands, once an epoch."""

            # mypy compares with torch's invariant list[float | Tensor] as well.
            def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
                return [
                    group["lr"] + self.last_epoch / 10 * base
                    for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True)
                ]

        optimizer = SGD([{"params": [parameter()], "lr": lr} for lr in own], lr=1.0)
        policy = Triangle()(optimizer)
        rows = run(optimizer, policy, length)
        assert rows[0] == own
        assert simulate(policy, length + 1).tolist() == rows
        assert simulate(Triangle(), length + 1, groups=2, lr=own[0]).tolist() == [
            [row[0]] * 2 for row in rows
        ]


class TestResuming:
    @given(cases(left_alone=False), epochs, epochs, st.sampled_from(ORDERS), st.data())
    @pytest.mark.spec("T1", "T2", "T11", "T17")
    def test_a_run_cut_anywhere_and_resumed_in_any_order_is_the_same_run(
        self,
        case: Case,
        cut: int,
        rest: int,
        order: tuple[str, ...],
        data: st.DataObject,
    ) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        advance(optimizer, policy, cut)
        if data.draw(st.booleans(), label="change from outside before saving"):
            change(optimizer.param_groups[0], 0.375, policy.option)
        saved = save(optimizer, policy)

        fresh_optimizer, fresh_policy = case.groups.build(), case.policy()
        resume(saved, fresh_optimizer, fresh_policy, order)

        assert fresh_policy.last_epoch == policy.last_epoch == cut
        assert fresh_policy._step_count == policy._step_count
        assert fresh_policy.get_last_lr() == policy.get_last_lr()
        assert fresh_policy.base_lrs == policy.base_lrs
        assert run(fresh_optimizer, fresh_policy, rest) == run(optimizer, policy, rest)
        assert fresh_policy.get_last_lr() == policy.get_last_lr()

    @given(cases(left_alone=False), epochs, st.sampled_from(ORDERS))
    @pytest.mark.spec("T12", "T13", "T14", "T15")
    def test_where_the_fresh_groups_start_elsewhere_the_saved_starts_count_with_a_warning(
        self, case: Case, cut: int, order: tuple[str, ...]
    ) -> None:
        """None where `lr_init` is given, nothing depends on it, or the optimizer was loaded."""
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer)
        advance(optimizer, policy, cut)

        other, fresh_policy = case.groups.build(), case.policy()
        for group in other.param_groups:
            change(group, 5000, policy.option)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            resume(save(optimizer, policy), other, fresh_policy, order)

        differs = case.lr_init.values is None and order[0] == "bind" and case.depends_on_starts()
        assert len(caught) == differs
        assert all("lr_init was" in str(warning.message) for warning in caught)
        assert [fresh_policy.lr_at(epoch) for epoch in range(HORIZON)] == [
            policy.lr_at(epoch) for epoch in range(HORIZON)
        ]
        assert run(other, fresh_policy, HORIZON) == run(optimizer, policy, HORIZON)

    @given(cases(), epochs)
    @pytest.mark.spec("B3", "B4", "V9")
    def test_a_run_taken_up_at_an_epoch_has_its_lrs_without_any_state(
        self, case: Case, epoch: int
    ) -> None:
        optimizer, policy = case.groups.build(), case.policy()
        policy(optimizer, last_epoch=epoch - 1)
        assert (policy.last_epoch, policy._step_count) == (epoch, 1)
        at_epoch = enumerate(closed_form(case, epoch))
        assert held(policy) == [stored(lr, case.groups.dtype(i)) for i, lr in at_epoch]
        assert policy.base_lrs == case.starts()
