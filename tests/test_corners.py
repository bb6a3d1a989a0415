"""What subclasses, frameworks and other code do that few think of: each once went wrong."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import pickle
import re
import warnings
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tensor
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    ExponentialLR,
    LRScheduler,
    SequentialLR,
)

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Policy,
    Schedule,
    Switch,
    UnboundPolicyError,
    simulate,
)


def sgd(*lrs: float | Tensor) -> SGD:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return SGD(groups, lr=1.0)


def step(optimizer: Optimizer, scheduler: LRScheduler, steps: int = 1) -> list[Any]:
    """Step both, and return what the first group holds after each."""
    lrs = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        lrs.append(optimizer.param_groups[0]["lr"])
    return lrs


class AsDocumented(MappingPolicy[Any]):
    """The document's own Multiply."""

    def get_lr(self) -> list[Any]:
        assert self.current_mapping is not None
        groups = self.optimizer.param_groups
        factors = [mapping.get(self.last_epoch, 1) for mapping in self.current_mapping]
        return [group["lr"] * factor for group, factor in zip(groups, factors, strict=True)]


class Ported(Policy):
    """torch's ExponentialLR: chained, with a closed form."""

    def get_lr(self) -> list[Any]:
        factor = 0.5 if self.last_epoch else 1
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Any]:
        return [lr * 0.5**self.last_epoch for lr in self.base_lrs]


LR = 0.1  # as one object: a lr that is different is looked at anyway


class Same(Policy):
    """A lr that never changes."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [LR] * len(self.optimizer.param_groups)


class TestInSequentialLR:
    def test_a_mapping_policy_of_one_s_own_starts_from_lr_init(self) -> None:
        optimizer = sgd(0.3)
        first = ConstantLR(optimizer, 0.1, 100)
        policy = AsDocumented({1: 0.5, 2: 0.5}, lr_init=0.8)(optimizer)
        sequence = SequentialLR(optimizer, [first, policy], [2])
        assert step(optimizer, sequence, 4) == pytest.approx([0.03, 0.8, 0.4, 0.2])

    def test_base_lrs_stay_apart_from_a_lr_that_was_a_tensor(self) -> None:
        optimizer = sgd(tensor(0.5))
        policy = AsDocumented({1: 0.5}, lr_init=None)(optimizer)
        first = ConstantLR(optimizer, 1.0, 1)
        sequence = SequentialLR(optimizer, [first, policy], [2])
        step(optimizer, sequence)
        optimizer.param_groups[0]["lr"] = 0.4
        assert step(optimizer, sequence, 2) == [0.5, 0.25]
        assert policy.base_lrs == [tensor(0.5)]

    def test_where_a_policy_fails_at_its_start_nothing_has_changed(self) -> None:
        class Failing(AsDocumented):
            fail = False

            def get_lr(self) -> list[Any]:
                if self.fail:
                    raise TimeoutError
                return super().get_lr()

        optimizer = sgd(0.3)
        first = ConstantLR(optimizer, 0.5, 100)
        policy = Failing({}, lr_init=0.8)(optimizer)
        sequence = SequentialLR(optimizer, [first, policy], [1])
        policy.fail = True
        with pytest.raises(TimeoutError):
            step(optimizer, sequence)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.15)
        assert policy.last_epoch == -1

    def test_a_ported_closed_form_starts_again(self) -> None:
        optimizer = sgd(1.0)
        first = ConstantLR(optimizer, 0.1, 100)
        sequence = SequentialLR(optimizer, [first, Ported()(optimizer)], [2])
        assert step(optimizer, sequence, 3) == [0.1, 1.0, 0.5]

    @pytest.mark.parametrize(
        "policy",
        [Switch({9: 0.5}, None), Schedule(lambda epoch: LR), Schedule([lambda epoch: LR]), Same()],
        ids=lambda policy: type(policy).__name__,
    )
    def test_torch_warns_of_the_first_step_of_a_policy_that_was_stepped_before(
        self, policy: Policy
    ) -> None:
        optimizer = sgd(LR)
        optimizer.param_groups[0]["initial_lr"] = LR
        step(optimizer, policy(optimizer), 2)
        sequence = SequentialLR(optimizer, [policy], [])
        vars(optimizer)["step"] = lambda: None
        with pytest.warns(UserWarning, match="has been overridden"):
            sequence.step()

    def test_a_policy_that_is_stepped_to_epoch_0_takes_lr_init(self) -> None:
        optimizer = sgd(1.0)
        ConstantLR(optimizer, 1.0, 1)
        policy = Switch({3: 0.2}, lr_init=0.1)(optimizer)
        step(optimizer, policy)
        policy.load_state_dict({**policy.state_dict(), "last_epoch": 0})
        SequentialLR(optimizer, [ChainedScheduler([policy]), ExponentialLR(optimizer, 0.5)], [4])
        assert optimizer.param_groups[0]["lr"] == 0.1


class TestSubclasses:
    def test_a_get_lr_that_wraps_ours_is_asked(self) -> None:
        class Half(Switch):
            @functools.wraps(Switch.get_lr)
            def get_lr(self) -> Any:  # type: ignore[override]
                return [lr / 2 for lr in super().get_lr()]

        optimizer = sgd(1.0)
        policy = Half({0: 0.8, 1: 0.4})(optimizer)
        assert [*policy.get_last_lr(), *step(optimizer, policy)] == [0.4, 0.2]

    def test_a_policy_pickles_as_the_manual_says(self) -> None:
        class Manual(Ported):
            def __getstate__(self) -> dict[str, Any]:
                return self.__dict__.copy()

        assert copy.deepcopy(Manual()).last_epoch == -1
        assert copy.deepcopy(Manual()(sgd(0.1))).last_epoch == 0

    @pytest.mark.parametrize("answer", [(0.1, 0.2), np.array([0.1, 0.2]).tolist()])
    def test_any_sequence_will_do(self, answer: Sequence[float]) -> None:
        class Answering(Policy):
            def get_lr(self) -> Any:
                return answer

        optimizer = sgd(1.0, 1.0)
        policy = Answering()(optimizer)
        step(optimizer, policy, 3)
        assert policy.get_last_lr() == [0.1, 0.2]

    @pytest.mark.parametrize("policy", [Switch({1: 0.5}), Schedule(float)], ids=repr)
    def test_a_step_is_a_method_by_its_own_name(self, policy: Policy) -> None:
        step = pickle.loads(pickle.dumps(policy(sgd(0.1)).step))
        step.__self__.optimizer.step()
        step()
        assert step.__self__.last_epoch == 1
        assert step.__qualname__.endswith(".step")

    def test_two_groups_may_swap_their_tensor_lrs(self) -> None:
        class Swapping(Policy):
            def get_lr(self) -> list[Any]:
                first, second = self.optimizer.param_groups
                return [second["lr"], first["lr"]]

        optimizer = sgd(tensor(0.1), tensor(0.2))
        policy = Swapping()(optimizer)
        assert policy.get_last_lr() == [tensor(0.2), tensor(0.1)]
        step(optimizer, policy)
        assert policy.get_last_lr() == [tensor(0.1), tensor(0.2)]

    def test_a_mapping_policy_without_closed_form_says_what_to_define(self) -> None:
        with pytest.raises(NotImplementedError, match="AsDocumented has no closed form: define"):
            AsDocumented({}).lr_at(1)

    def test_a_mapping_policy_takes_mappings_and_callables_alone(self) -> None:
        assert AsDocumented([abs, {1: 2}]).mapping == [abs, {1: 2.0}]
        with pytest.raises(
            TypeError, match=r"AsDocumented: mapping\[1\] must be a mapping .* not 3"
        ):
            AsDocumented([{}, 3])

    def test_a_mapping_is_loaded_into_a_policy_with_its_own_get_lr(self) -> None:
        optimizer = sgd(1.0)
        policy = AsDocumented({1: 0.5}, lr_init=1.0)(optimizer)
        step(optimizer, policy)
        fresh_optimizer = sgd(1.0)
        fresh = AsDocumented({2: 0.1}, lr_init=1.0)(fresh_optimizer)
        with pytest.warns(UserWarning, match="leave 'mapping' out"):
            fresh.load_state_dict(policy.state_dict())
        assert fresh.mapping == {1: 0.5}
        assert step(fresh_optimizer, fresh) == [0.5]

    def test_an_initial_lr_that_is_the_lr_itself_becomes_a_copy(self) -> None:
        optimizer = sgd(tensor(0.5), tensor(0.25))
        for group in optimizer.param_groups:
            group["initial_lr"] = optimizer.param_groups[0]["lr"]
        policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
        step(optimizer, policy)
        assert [group["initial_lr"] for group in optimizer.param_groups] == [tensor(0.5)] * 2


class Holding(Policy):
    """Holds schedulers, and schedulers that hold schedulers."""

    def set_optimizer(self, optimizer: Optimizer) -> None:
        parts: list[LRScheduler] = [Switch({0: 0.1})(optimizer), Multiply({1: 0.5})(optimizer)]
        self.sequence = SequentialLR(optimizer, parts, [3])
        self.parts = {"last": [Switch({0: 0.3})(optimizer)], "unbound": (Switch({}),)}
        super().set_optimizer(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        return [0.4]


class TestNested:
    def test_a_load_that_fails_late_takes_back_all_of_them(self) -> None:
        optimizer = sgd(0.1)
        policy = Holding()(optimizer)
        early = policy.state_dict()
        for _ in range(5):
            step(optimizer, policy.sequence)
            step(optimizer, policy)
        optimizer.param_groups[0]["lr"] = 0.7
        early["parts"]["last"][0] = {"last_epoch": "no"}
        with pytest.raises(ValueError, match="Switch"):
            policy.load_state_dict(early)
        assert [inner.last_epoch for inner in policy.sequence._schedulers] == [2, 2]
        assert optimizer.param_groups[0]["lr"] == 0.7

    def test_what_was_unbound_when_saved_stays_as_it_is(self) -> None:
        policy = Holding()(sgd(0.1))
        state = policy.state_dict()
        assert state["parts"]["unbound"] == (None,)
        fresh = Holding()(sgd(0.1))
        unbound = fresh.parts["unbound"][0]
        fresh.load_state_dict(state)
        assert fresh.parts["unbound"][0] is unbound

    def test_what_was_bound_when_saved_has_to_be_bound(self) -> None:
        state = Holding()(sgd(0.1)).state_dict()
        fresh = Holding()(sgd(0.1))
        fresh.parts["last"] = [Switch({0: 0.3})]
        with pytest.raises(ValueError, match=r"Holding.parts is not bound, .*: bind it first"):
            fresh.load_state_dict(state)

    @pytest.mark.parametrize("parts", [{}, {"last": [], "unbound": (None,)}, [1], None])
    def test_schedulers_are_never_overwritten_by_numbers(self, parts: object) -> None:
        policy = Holding()(sgd(0.1))
        with pytest.raises(ValueError, match=r"Holding.parts holds other schedulers"):
            policy.load_state_dict({**policy.state_dict(), "parts": parts})

    def test_one_that_holds_itself_is_no_endless_search(self) -> None:
        policy = Holding()(sgd(0.1))
        state = policy.state_dict()
        policy.loop = [policy]  # type: ignore[attr-defined]
        policy.load_state_dict(state)
        assert policy.last_epoch == 0


class TestGroups:
    def test_groups_without_params_are_known_by_their_place(self) -> None:
        optimizer = sgd(0.3)
        for lr in (0.1, 0.2):
            optimizer.add_param_group({"params": [], "lr": lr})
        policy = Multiply({9: 0.5}, lr_init=None)(optimizer)
        optimizer.load_state_dict(optimizer.state_dict())
        step(optimizer, policy)
        assert policy.base_lrs == [0.3, 0.1, 0.2]

    def test_a_group_without_params_that_comes_later_is_a_new_one(self) -> None:
        optimizer = sgd(0.1)
        optimizer.add_param_group({"params": [], "lr": 0.2})
        policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
        step(optimizer, policy)
        optimizer.add_param_group({"params": [], "lr": 0.7})
        step(optimizer, policy)
        assert policy.base_lrs == [0.1, 0.2, 0.7]

    @pytest.mark.parametrize("option", [np.arange(3), torch.arange(3)], ids=["array", "tensor"])
    def test_a_dict_may_take_the_place_of_another_whatever_it_holds(self, option: Any) -> None:
        optimizer = sgd(0.1)
        optimizer.param_groups[0]["option"] = option
        policy = Switch({0: 0.1, 3: 0.2})(optimizer)
        step(optimizer, policy)
        replaced = {**optimizer.param_groups[0], "option": copy.copy(option)}
        optimizer.param_groups[0] = replaced
        assert step(optimizer, policy, 2) == [0.1, 0.2]
        assert optimizer.param_groups[0] is replaced

    def test_a_state_does_not_hide_groups_that_came_too_many(self) -> None:
        optimizer = sgd(1.0, 1.0)
        policy = Switch([{0: 0.1}, {0: 0.2, 6: 0.3}])(optimizer)
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.5})
        state = {key: value for key, value in policy.state_dict().items() if key != "mapping"}
        with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups"):
            policy.load_state_dict(state)
        assert repr(policy).startswith("Switch(mapping=[{0: 0.1}, {0: 0.2, 6: 0.3}]")

    def test_a_tensor_of_inference_mode_counts_no_writes_and_is_read(self) -> None:
        with torch.inference_mode():
            optimizer = sgd(tensor(1.0), tensor(0.5))
            policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
            step(optimizer, policy)
            optimizer.param_groups[1]["lr"].fill_(0.25)
            step(optimizer, policy)
            assert policy.get_last_lr() == [tensor(0.5), tensor(0.125)]
            optimizer.param_groups[1]["lr"].fill_(0.75)
            step(optimizer, policy)
            assert policy.get_last_lr() == [tensor(0.5), tensor(0.75)]

    @pytest.mark.parametrize("odd", [np.ones(2), torch.ones(2)], ids=["array", "tensor"])
    def test_an_initial_lr_that_becomes_something_else_stops_no_step(self, odd: Any) -> None:
        optimizer = sgd(0.1, 0.2)
        policy = Multiply({3: 0.5}, lr_init=None)(optimizer)
        for group in optimizer.param_groups:
            group["initial_lr"] = odd
        step(optimizer, policy, 4)
        assert policy.get_last_lr() == [0.05, 0.1]
        assert (policy.last_epoch, policy._step_count) == (4, 5)

    @pytest.mark.parametrize("policy", [Switch({0: 0.5, 2: 0.25}), Multiply({2: 0.5}, 0.5)])
    def test_tensors_that_are_separated_in_inference_mode_are_written_outside_it(
        self, policy: Policy
    ) -> None:
        shared = tensor(0.1)
        optimizer = sgd(shared, shared)
        with torch.inference_mode():
            policy(optimizer)
        assert step(optimizer, policy, 3)[-1] is shared
        assert policy.get_last_lr() == [tensor(0.25)] * 2

    @pytest.mark.parametrize("make", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_a_copied_tensor_counts_its_writes_anew(self, make: Any) -> None:
        optimizer = sgd(tensor(0.5))
        policy = Multiply({9: 0.5}, lr_init=0.5)(optimizer)
        step(optimizer, policy)
        optimizer.param_groups[0]["lr"].fill_(0.25)
        optimizer, policy = make((optimizer, policy))
        step(optimizer, policy)
        assert policy.get_last_lr() == [tensor(0.25)]


class TestErrors:
    @pytest.mark.parametrize("notes", [[], None, "mine", ("mine",)], ids=repr)
    def test_an_exception_with_its_own_ideas_comes_through(self, notes: object) -> None:
        class Odd(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        error = Odd()
        vars(error)["__notes__"] = notes

        def schedule(epoch: int) -> float:
            if epoch:
                raise error
            return 0.1

        optimizer = sgd(1.0)
        policy = Schedule(schedule)(optimizer)
        with pytest.raises(Odd) as caught:
            step(optimizer, policy)
        assert caught.value is error

    @pytest.mark.parametrize("policy", [Switch({0: 0.25}), Multiply({}), Schedule(float)], ids=repr)
    def test_a_lr_that_requires_grad_is_refused_before_any_write(self, policy: Any) -> None:
        optimizer = sgd(0.5, torch.tensor(0.5, requires_grad=True))
        with pytest.raises(ValueError, match=r"at epoch 0, group 1: the lr .* requires grad"):
            policy(optimizer)
        assert optimizer.param_groups[0]["lr"] == 0.5
        assert not hasattr(policy, "optimizer")

    def test_a_start_that_the_dtype_cannot_hold_is_named(self) -> None:
        optimizer = sgd(tensor(0.5, dtype=torch.float32))
        with pytest.raises(ValueError, match="Multiply at epoch 0, group 0: the lr 1e\\+39"):
            Multiply({0: 1e-7}, lr_init=1e39)(optimizer)
        assert optimizer.param_groups[0]["lr"] == 0.5

    def test_an_overflow_in_closed_form_names_epoch_and_group(self) -> None:
        policy = Multiply([{}, {1: 1e300, 2: 1e300}])
        with pytest.raises(ValueError, match="Multiply at epoch 2, group 1"):
            policy.lr_at(3)

    def test_odd_numbers_are_refused_in_words(self) -> None:
        with pytest.raises(ValueError, match="must fit a float, not Decimal"):
            Switch({0: Decimal("sNaN")})
        with pytest.raises(ValueError, match="<int that cannot be printed> must be finite"):
            Switch({10**5000: np.float32("nan")})

    def test_a_state_whose_last_lr_no_group_can_hold_is_refused(self) -> None:
        policy = Switch({})(sgd(tensor(0.5, dtype=torch.float16)))
        with pytest.raises(ValueError, match="_last_lr"):
            policy.load_state_dict({**policy.state_dict(), "_last_lr": [1e6]})

    def test_a_shared_schedule_that_a_new_tensor_cannot_hold_is_refused(self) -> None:
        optimizer = sgd(1.0, 1.0)
        policy = Schedule(lambda epoch: 1e6)(optimizer)
        step(optimizer, policy)
        optimizer.param_groups[1]["lr"] = tensor(1.0, dtype=torch.float16)
        with pytest.raises(ValueError, match="Schedule at epoch 2, group 1"):
            step(optimizer, policy)
        assert [group["lr"] for group in optimizer.param_groups] == [1e6, tensor(1.0)]
        assert policy.last_epoch == 1


class TestATensorInAFloatGroup:
    """Somebody puts a tensor where the last step has seen a float."""

    def test_a_step_that_it_cannot_hold_is_taken_again(self) -> None:
        lrs = {4: 1e39}
        optimizer = sgd(0.1, 0.1)
        policy = Schedule(lambda epoch: lrs.get(epoch, 0.5))(optimizer)
        step(optimizer, policy, 3)
        optimizer.param_groups[1]["lr"] = torch.tensor(0.25)
        with pytest.raises(ValueError, match=r"Schedule at epoch 4, group 1: .* does not fit"):
            policy.step()
        lrs.clear()
        step(optimizer, policy)
        assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5]

    @pytest.mark.parametrize("policy", [Switch({3: 1e5}), Schedule(lambda t: 1e5 if t == 3 else 1)])
    def test_a_step_that_fails_does_not_change_what_the_last_lrs_were(self, policy: Any) -> None:
        optimizer = sgd(0.1)
        policy(optimizer)
        step(optimizer, policy, 2)
        optimizer.param_groups[0]["lr"] = tensor(0.5, torch.float16)
        before = policy.get_last_lr(), policy.state_dict()["_last_lr"]
        with pytest.raises(ValueError, match="does not fit"):
            policy.step()
        assert (policy.get_last_lr(), policy.state_dict()["_last_lr"]) == before
        assert type(policy.get_last_lr()[0]) is float

    @pytest.mark.parametrize("policy", [Switch({9: 0.5}), Multiply({9: 0.5})])
    def test_the_last_lrs_never_alias_it(self, policy: Any) -> None:
        optimizer = sgd(0.1)
        policy(optimizer)
        step(optimizer, policy, 2)
        live = optimizer.param_groups[0]["lr"] = tensor(0.5)
        step(optimizer, policy)
        live.fill_(0.25)
        assert policy.get_last_lr() == [0.5]


def test_a_document_like_policy_restarts_from_lr_init_after_a_step_to_0() -> None:
    optimizer = sgd(9.0)
    policy = AsDocumented({0: 0.5, 2: 0.5}, lr_init=1.0)(optimizer)
    step(optimizer, policy, 3)
    with pytest.warns(UserWarning, match="epoch parameter"):
        policy.step(0)
    SequentialLR(optimizer, [policy], [])
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_tensor_that_cannot_be_written_is_refused_before_any_write() -> None:
    with torch.inference_mode():
        inference = torch.tensor(0.1)
    optimizer = sgd(0.3, inference)
    with pytest.raises(ValueError, match=r"Switch at epoch 0, group 1: .* of inference mode"):
        Switch({0: 0.5})(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.3

    optimizer = sgd(tensor(0.1))
    policy = Schedule(lambda epoch: 0.5 / (1 + epoch))(optimizer)
    step(optimizer, policy, 2)
    optimizer.param_groups[0]["lr"].requires_grad_()
    with (
        pytest.warns(UserWarning, match="epoch parameter"),
        pytest.raises(ValueError, match="requires grad"),
    ):
        policy.step(7)
    assert policy.last_epoch == 2


def test_a_step_in_the_right_order_leaves_the_warnings_of_others_alone() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("once", stacklevel=1)
            optimizer = sgd(0.1)
            step(optimizer, Switch({})(optimizer))
    assert len(caught) == 1


def test_the_deprecation_of_an_epoch_is_shown_once_a_place_as_torch_shows_it() -> None:
    policy = Switch({})(sgd(0.1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for epoch in (1, 2, 3):
            policy.optimizer.step()
            policy.step(epoch)
    assert [str(warning.message)[:19] for warning in caught] == ["The epoch parameter"]


class TestGroupsThatChangePlaces:
    """Groups are told apart by their params, also where everything else of them is equal."""

    @staticmethod
    def bound(policy: Policy) -> Policy:
        optimizer = sgd(0.1, 0.1)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.7  # another scheduler was here: it is not base_lrs
        return policy(optimizer)

    @pytest.mark.parametrize("steps", [1, 3])
    @pytest.mark.parametrize("policy", [Multiply({0: 0}, [0.25, 0.5]), Switch({0: 1}, [0.25, 0.5])])
    def test_their_base_lrs_go_with_them(self, policy: Policy, steps: int) -> None:
        optimizer = self.bound(policy).optimizer
        step(optimizer, policy, steps)
        optimizer.param_groups.reverse()
        step(optimizer, policy)
        assert policy.base_lrs == [0.5, 0.25]

    def test_base_lrs_that_cannot_be_compared_do_too(self) -> None:
        policy = self.bound(Switch({0: 1}))
        policy.base_lrs = [torch.tensor([0.25, 1.0]), torch.tensor([0.5, 2.0])]
        step(policy.optimizer, policy, 3)
        policy.optimizer.param_groups.reverse()
        step(policy.optimizer, policy)
        assert [float(lr[0]) for lr in policy.base_lrs] == [0.5, 0.25]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("lr_init", "initial_lr", "elements"),
        [(0.5, 0.7, 1), ([0.5], 0.7, 1), ([0.25, 0.5], 0.7, 2), (None, 0.7, 1)],
        ids=["equal base_lrs", "one group", "large params", "base_lrs are initial_lr"],
    )
    def test_where_that_makes_no_difference_the_short_cut_is_taken(
        self, lr_init: Any, initial_lr: float, elements: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        n = len(lr_init) if isinstance(lr_init, list) else 2
        groups = [
            {"params": [nn.Parameter(torch.zeros(elements))], "initial_lr": initial_lr + i}
            for i in range(n)
        ]
        policy = Switch({0: 1}, lr_init)(SGD(groups, lr=0.1))
        step(policy.optimizer, policy)
        monkeypatch.setattr(Policy, "_step_long", None)
        step(policy.optimizer, policy)
        assert policy.last_epoch == 2

    def test_get_lr_finds_them_there(self) -> None:
        class ByBase(Policy):
            def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
                seen.append([*self.base_lrs])
                return [0.5 for _ in self.base_lrs]

        seen: list[list[Any]] = []
        policy = ByBase()
        optimizer = sgd(0.1, 0.2)
        step(optimizer, policy(optimizer), 3)
        optimizer.param_groups.reverse()
        step(optimizer, policy)
        assert seen[-2:] == [[0.1, 0.2], [0.2, 0.1]]


class TestWhatAScheduleDoesToTheGroups:
    """A callable that changes the optimizer while it is asked."""

    @pytest.mark.parametrize("steps", [0, 3])
    def test_a_group_that_it_adds_is_taken_in(self, steps: int) -> None:
        def adds(epoch: int) -> float:
            if epoch == steps + 1 and len(optimizer.param_groups) == 1:
                optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0})
            return 0.5 / (1 + epoch)

        optimizer = sgd(0.1)
        policy = Schedule(adds)(optimizer)
        step(optimizer, policy, steps + 1)
        assert [group["lr"] for group in optimizer.param_groups] == [adds(steps + 1)] * 2
        assert policy.base_lrs == [1e-3, 9.0]

    @pytest.mark.parametrize("steps", [0, 3])
    def test_with_a_list_that_is_an_error_before_any_write(self, steps: int) -> None:
        def adds(epoch: int) -> float:
            if epoch == steps + 1 and len(optimizer.param_groups) == 2:
                optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0})
            return 0.5

        optimizer = sgd(0.1, 0.1)
        policy = Schedule([lambda epoch: 1 / (1 + epoch), adds])(optimizer)
        step(optimizer, policy, steps)
        before = [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups"):
            policy.step()
        assert [group["lr"] for group in optimizer.param_groups] == [*before, 9.0]
        assert policy.last_epoch == steps

    @pytest.mark.parametrize(
        "policy",
        [
            Switch({1: 0.5, 4: 0.25}),
            Multiply({4: 0.5}),
            Schedule(lambda epoch: 1 / (1 + epoch)),
            Schedule([lambda epoch: 1 / (1 + epoch)] * 2),
        ],
        ids=lambda policy: type(policy).__name__,
    )
    @pytest.mark.parametrize("steps", [0, 2, 3])
    def test_a_group_that_has_lost_its_lr_is_an_error_before_any_write(
        self, policy: Any, steps: int
    ) -> None:
        optimizer = sgd(0.1, 0.1)
        step(optimizer, policy(optimizer), steps)
        optimizer.step()
        first, lr = optimizer.param_groups[0]["lr"], optimizer.param_groups[1].pop("lr")
        with pytest.raises(ValueError, match=rf"at epoch {steps + 1}, group 1: .* lr") as raised:
            policy.step()
        assert not hasattr(raised.value, "__notes__")  # it says all
        assert optimizer.param_groups[0]["lr"] == first
        assert policy.last_epoch == steps
        optimizer.param_groups[1]["lr"] = lr
        policy.step()
        assert policy.last_epoch == steps + 1


def test_a_subclass_may_set_its_current_mapping_as_the_document_does() -> None:
    class Doubled(MappingPolicy[Any]):
        def set_optimizer(self, optimizer: Optimizer) -> None:
            self.current_mapping = [self.mapping] * 2 * len(optimizer.param_groups)
            self.current_lr_init = [7.0]
            super().set_optimizer(optimizer)

        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            assert self.current_mapping is not None
            return [float(len(self.current_mapping))]

    optimizer = sgd(0.1)
    policy = Doubled({0: 0.5})(optimizer)
    assert policy.get_last_lr() == [2.0]
    assert policy.current_lr_init == [7.0]
    assert "current_mapping" not in policy.state_dict()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_bound_policy_goes_by_the_mapping_that_it_was_bound_with(steps: int) -> None:
    optimizer = sgd(0.1)
    policy = Switch({0: 1.0, 3: 0.5})(optimizer)
    step(optimizer, policy, steps)
    policy.mapping = {3: 9.0, 4: 8.0}
    assert policy.lr_at(4) == [0.5]
    assert policy.state_dict()["mapping"] == [[0, 1.0], [3, 0.5]]
    assert step(optimizer, policy, 5 - steps) == [1.0] * (2 - steps) + [0.5] * 3
    step(optimizer, policy(optimizer), 4)
    assert policy.get_last_lr() == [8.0]


def test_a_policy_whose_optimizer_is_wrapped_by_no_optimizer_is_copied_too() -> None:
    class Wrapper:
        def __init__(self, optimizer: Optimizer) -> None:
            self.wrapped = optimizer

        @property
        def param_groups(self) -> list[dict[str, Any]]:
            return self.wrapped.param_groups

        def step(self) -> None:
            self.wrapped.step()

    policy = Switch({2: 0.5})(sgd(0.1))
    step(policy.optimizer, policy)
    policy.optimizer = Wrapper(policy.optimizer)  # type: ignore[assignment]
    for other in (copy.deepcopy(policy), policy):
        assert step(other.optimizer, other, 2) == [0.5, 0.5]
    assert policy.last_epoch == 3


def test_what_needs_an_instance_can_be_asked_of_the_class() -> None:
    assert getattr(Switch, "current_mapping") is None  # noqa: B009  mypy has it that there is none
    assert {"current_mapping", "get_lr"} <= {name for name, _ in inspect.getmembers(Switch)}


def test_what_torch_sets_in_a_sequence_is_no_attribute_of_a_policy() -> None:
    class Own(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5]

    optimizer = sgd(0.1)
    policy = Own()(optimizer)
    SequentialLR(optimizer, [policy], [])
    known = {"last_epoch", "_step_count", "base_lrs", "_last_lr", "_group_lrs"}
    assert policy.state_dict().keys() == known
    assert "_is_initial" not in vars(copy.copy(policy))


def test_an_initial_lr_of_any_shape_is_multiplied() -> None:
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["initial_lr"] = torch.tensor([0.5], dtype=torch.float64)
    assert Multiply({0: 0.5}, lr_init=None)(optimizer).get_last_lr() == [0.25]


def test_a_tensor_of_inference_mode_is_taken_back_too() -> None:
    class Fails(AsDocumented):
        def get_lr(self) -> list[float | Tensor]:
            raise OSError("no file")

    with torch.inference_mode():
        optimizer = sgd(torch.tensor(0.1))
        with pytest.raises(OSError, match="no file"):
            Fails({}, lr_init=0.5)(optimizer)
        assert optimizer.param_groups[0]["lr"] == torch.tensor(0.1)


def test_a_lr_init_that_does_not_fit_a_tensor_does_not_matter_where_0_is_a_key() -> None:
    optimizer = sgd(torch.tensor(0.1))
    policy = Switch({0: 0.5}, lr_init=1e39)(optimizer)
    assert policy.get_lr() == [0.5]
    with pytest.raises(ValueError, match="does not fit"):
        Switch({1: 0.5}, lr_init=1e39)(optimizer)


@pytest.mark.parametrize("odd", [float("nan"), np.float64(0.5), 1])
def test_a_group_that_no_milestone_is_for_keeps_whatever_it_holds(odd: Any) -> None:
    optimizer = sgd(0.1, 0.1)
    policy = Switch([{0: 1.0, 2: 0.5}, {0: 1.0}])(optimizer)
    step(optimizer, policy)
    optimizer.param_groups[1]["lr"] = odd
    step(optimizer, policy, 2)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[1]["lr"] is odd


@pytest.mark.parametrize("per_group", [False, True])
def test_a_schedule_is_at_the_epoch_that_it_is_called_for(per_group: bool) -> None:
    def seen(epoch: int) -> float:
        counts.append((epoch, policy.last_epoch, policy._step_count))
        return 0.5

    counts: list[tuple[int, int, int]] = []
    optimizer = sgd(0.1)
    policy = Schedule([seen] if per_group else seen)
    step(optimizer, policy(optimizer), 3)
    assert counts == [(0, 0, 1), (1, 1, 2), (2, 2, 3), (3, 3, 4)]


def test_a_bound_schedule_goes_by_the_callables_that_it_was_bound_with() -> None:
    policy = Schedule(lambda epoch: 0.5)(sgd(0.1))
    policy.mapping = lambda epoch: 9.0
    assert [*policy.lr_at(3), *policy.get_lr(), simulate(policy, 1).item()] == [0.5] * 3


@pytest.mark.parametrize("form", [float, tensor])
def test_zeros_keep_their_signs(form: Any) -> None:
    optimizer = sgd(form(0.1), form(0.1))
    policy = Schedule([lambda epoch: 0.0, lambda epoch: -0.0])(optimizer)
    step(optimizer, policy, 2)
    signs = [math.copysign(1, group["lr"]) for group in optimizer.param_groups]
    assert signs == [1, -1]


def test_a_restart_names_the_group_that_has_lost_its_lr() -> None:
    policy = AsDocumented({})(sgd(0.1))
    step(policy.optimizer, policy)
    del policy.optimizer.param_groups[0]["lr"]
    with pytest.raises(ValueError, match=r"AsDocumented at epoch 0, group 0: .* has no lr"):
        policy._update_lr(0)


def test_a_start_that_the_group_cannot_hold_is_named() -> None:
    text = r"^AsDocumented at epoch 0, group 1: the lr 1e\+39 does not fit the group's tensor"
    with pytest.raises(ValueError, match=text):
        AsDocumented({}, lr_init=[0.1, 1e39])(sgd(0.1, tensor(0.1, dtype=torch.float32)))


@pytest.mark.parametrize("form", [float, tensor])
def test_while_it_is_bound_the_last_lrs_are_those_of_the_groups(form: Any) -> None:
    class Asking(Policy):
        def get_lr(self) -> list[Any]:
            return [lr * 0.5 for lr in self.get_last_lr()]

    optimizer = sgd(form(0.5), form(0.25))
    assert Asking()(optimizer).get_last_lr() == [0.25, 0.125]


@pytest.mark.parametrize("make", [Switch, Multiply, Schedule])
def test_an_unbound_policy_says_so_whatever_torch_asks_of_it(make: Any) -> None:
    policy = make(math.cos if make is Schedule else {})
    with pytest.raises(UnboundPolicyError):
        policy._update_lr(0)
    with pytest.raises(UnboundPolicyError):
        policy._initial_step()


def test_a_number_that_equals_the_others_lr_stays_what_it_is() -> None:
    optimizer = sgd(0.1, 0.1)
    policy = Switch([{0: 0.5, 3: 1.0}, {0: 0.5}])(optimizer)
    step(optimizer, policy)
    optimizer.param_groups[1]["lr"] = 1
    step(optimizer, policy, 3)
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float, int]


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("there is no text for this")


class Unnoted(Exception):
    __notes__ = None  # type: ignore[assignment, unused-ignore]

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes here")


@pytest.mark.parametrize("error", [ValueError(Unprintable()), Unnoted(), KeyboardInterrupt()])
@pytest.mark.parametrize("policy_of", ["get_lr", "one callable", "a list"])
def test_whatever_is_raised_comes_through_and_the_step_can_be_taken_again(
    error: BaseException, policy_of: str
) -> None:
    fails = True

    def lr(epoch: int) -> float:
        if epoch == 3 and fails:
            raise error
        return 0.5 + epoch

    class Custom(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5, lr(self.last_epoch)]

    policies = {
        "get_lr": Custom(),
        "one callable": Schedule(lr),
        "a list": Schedule([lambda _: 0.5, lr]),
    }
    policy = policies[policy_of](sgd(0.1, 0.1))
    step(policy.optimizer, policy, 2)
    before = copy.deepcopy(policy.state_dict())
    for _ in range(2):
        with pytest.raises(type(error)) as raised:
            step(policy.optimizer, policy)
        assert raised.value is error
        assert policy.state_dict() == before
    fails = False
    step(policy.optimizer, policy)
    assert policy.get_last_lr()[1] == 3.5


class Interrupting(float):
    """A number that the user interrupts while it is compared."""

    fails = False
    __hash__ = float.__hash__

    def __eq__(self, other: object) -> bool:
        if self.fails:
            raise KeyboardInterrupt
        return float(self) == other


@pytest.mark.parametrize(
    ("way", "initial"),
    [("step", "base_lrs"), ("step", "initial_lr"), ("load_state_dict", "initial_lr")],
)
def test_an_interrupted_comparison_leaves_all_as_it_was(
    way: str, initial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [1.0 + self.last_epoch, 2.0 + self.last_epoch]

    def now() -> str:
        return repr((policy.state_dict(), optimizer.param_groups, policy.get_last_lr()))

    optimizer = SGD([{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)], lr=0.5)
    for group in optimizer.param_groups:
        group["initial_lr"] = Interrupting(0.5)
    policy = Counting()(optimizer)
    if initial == "initial_lr":
        policy.base_lrs = [0.25, 0.5]
    optimizer.step()
    before = now()
    state = {**policy.state_dict(), "last_epoch": 7, "_step_count": 8, "_group_lrs": [0.1, 0.2]}
    monkeypatch.setattr(Interrupting, "fails", True)
    with pytest.raises(KeyboardInterrupt):
        policy.step() if way == "step" else policy.load_state_dict(state)
    assert now() == before
    monkeypatch.undo()
    policy.step()
    assert policy.get_last_lr() == [2.0, 3.0]


def test_what_cannot_be_printed_is_refused_all_the_same() -> None:
    with pytest.raises(TypeError, match=r"Switch: mapping must be .* not <Unprintable that cannot"):
        Switch(Unprintable())  # type: ignore[arg-type, unused-ignore]


def held_by(*values: float, requires_grad: bool = False) -> SGD:
    """Make an optimizer whose lrs are parameters, which nobody reads as they may be anywhere."""
    return sgd(*(nn.Parameter(tensor(lr), requires_grad=requires_grad) for lr in values))


class Swapping(Policy):
    """Gives each of two groups what the other one holds, in memory of its own or not."""

    def __init__(self, form: Any) -> None:
        self.form = form

    def get_lr(self) -> list[Any]:
        lrs = [self.form(group["lr"]) for group in self.optimizer.param_groups]
        return lrs[::-1] if self.last_epoch else lrs


@pytest.mark.parametrize(
    "form",
    [lambda lr: lr, Tensor.detach, lambda lr: lr.view(1), lambda lr: lr * 1],
    ids=["the lr", "a view", "another shape", "a copy"],
)
def test_lrs_that_change_places_are_read_before_any_is_written(form: Any) -> None:
    optimizer = held_by(0.25, 0.5)
    policy = Swapping(form)(optimizer)
    step(optimizer, policy)
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.5, 0.25]


def test_a_lr_that_is_computed_from_a_parameter_brings_no_graph() -> None:
    weight = nn.Parameter(tensor(2.0))

    class Learned(Policy):
        def get_lr(self) -> list[Any]:
            return [weight * 0.25]

    policy = Learned()(held_by(0.1))
    lr = policy.optimizer.param_groups[0]["lr"]
    assert float(lr) == 0.5
    assert not lr.requires_grad
    assert lr.grad_fn is None


def test_a_lr_that_has_come_to_require_grad_is_refused_before_the_step() -> None:
    policy = Swapping(Tensor.detach)(held_by(0.25, 0.5))
    step(policy.optimizer, policy)
    policy.optimizer.param_groups[1]["lr"].requires_grad_()
    before = [policy.last_epoch, policy._step_count]
    with pytest.raises(ValueError, match=r"Swapping at epoch 2, group 1: .* requires grad"):
        step(policy.optimizer, policy)
    assert [policy.last_epoch, policy._step_count] == before
    assert [float(group["lr"].detach()) for group in policy.optimizer.param_groups] == [0.5, 0.25]


def test_a_mapping_may_stand_beside_a_callable() -> None:
    class Mixed(MappingPolicy[Any]):
        def get_lr(self) -> list[Any]:
            return [0.1, 0.2]

    for mapping in ([{0: 0.5}, math.cos], [math.cos, {0: 0.5}]):
        state = Mixed(mapping)(sgd(0.1, 0.1)).state_dict()
        assert "mapping" not in state
        assert state["lr_init"] == 1e-3


def test_a_rehearsal_is_of_the_groups_that_are_left() -> None:
    policy = Ported()(sgd(0.25, 0.5))
    del policy.optimizer.param_groups[0]
    assert simulate(policy, 2).tolist() == [[0.5], [0.25]]
    policy.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 4.0})
    assert simulate(policy, 2).tolist() == [[0.5, 4.0], [0.25, 2.0]]


def test_a_get_lr_of_one_instance_is_simulated() -> None:
    policy = Switch({0: 0.1})
    policy.get_lr = lambda: [0.5]  # type: ignore[method-assign]
    assert simulate(policy, 2).tolist() == [[0.5], [0.5]]
    assert policy(sgd(0.1)).get_last_lr() == [0.5]


def test_an_interrupted_callable_is_named() -> None:
    def interrupted(_: int) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        Schedule([lambda _: 0.1, interrupted])(sgd(0.1, 0.1))
    notes = ["Schedule at epoch 0, group 1"] if hasattr(raised.value, "add_note") else []
    assert getattr(raised.value, "__notes__", []) == notes


def test_get_lr_is_asked_once_a_step_whatever_it_answers() -> None:
    class Asked(Policy):
        answer: Any = 0.5
        asked = 0

        def get_lr(self) -> list[Any]:
            self.asked += 1
            return [self.answer]

    policy = Asked()(sgd(0.1))
    step(policy.optimizer, policy, 2)
    for policy.answer in (0.25, 1, np.float64(2.0), tensor(4.0)):
        before = policy.asked
        assert step(policy.optimizer, policy) == [float(policy.answer)]
        assert policy.asked == before + 1


@pytest.mark.parametrize("dtypes", [[torch.float64] * 2, [torch.float64, torch.float32]])
def test_a_factor_applies_to_what_a_tensor_holds_whoever_wrote_that(
    dtypes: list[torch.dtype],
) -> None:
    optimizer = sgd(*(tensor(0.5, dtype=dtype) for dtype in dtypes))
    policy = Multiply({3: 0.5}, lr_init=0.5)(optimizer)
    step(optimizer, policy, 2)
    optimizer.param_groups[0]["lr"].data.fill_(4.0)  # which no tensor counts
    step(optimizer, policy)
    assert [float(group["lr"]) for group in optimizer.param_groups] == [2.0, 0.25]


@pytest.mark.parametrize("lrs", [(0.25, 0.5), (0.5, 0.5)], ids=["different", "one"])
def test_what_is_changed_between_two_milestones_is_the_last_lr(lrs: tuple[float, ...]) -> None:
    optimizer = sgd(*lrs)
    policy = Switch({9: 0.1}, lr_init=None)(optimizer)
    step(optimizer, policy, 2)
    for i, lr in ((1, 4.0), (0, 8.0)):
        optimizer.param_groups[i]["lr"] = lr
        step(optimizer, policy)
        assert policy.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
    state = policy.state_dict()
    # The groups are others, and hold the very same objects.
    optimizer.param_groups[:] = [{**group} for group in optimizer.param_groups]
    step(optimizer, policy)
    optimizer.param_groups[0]["lr"] = 2.0
    step(optimizer, policy)
    assert policy.get_last_lr() == [2.0, 4.0]
    assert policy.state_dict()["base_lrs"] == state["base_lrs"] == [*lrs]


def test_a_switch_with_a_get_lr_of_its_own_steps_to_an_epoch() -> None:
    class Own(Switch):
        def get_lr(self) -> list[Any]:
            return [1.0 + self.last_epoch]

    policy = Own({3: 0.5})(sgd(0.1))
    policy.optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        policy.step(7)
    assert policy.last_epoch == 7


class TestErrorsInFull:
    @pytest.mark.parametrize("thing", [None, 3, nn.Linear(1, 1)], ids=["None", "3", "a model"])
    def test_of_what_is_no_optimizer(self, thing: Any) -> None:
        kind = type(thing).__name__
        text = (
            f"Switch binds to a torch.optim.Optimizer, not to {thing!r} ({kind}): "
            "call policy(optimizer)"
        )
        with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
            Switch({})(thing)

    def test_of_an_initial_lr_that_is_not_finite(self) -> None:
        optimizer = sgd(tensor(0.5), tensor(0.5))
        optimizer.param_groups[1]["initial_lr"] = math.nan
        text = "Multiply at epoch 0, group 1: the lr must be finite, not nan"
        with pytest.raises(ValueError, match=f"^{text}$"):
            Multiply({0: 0.5}, lr_init=None)(optimizer)
        assert math.isnan(optimizer.param_groups[1]["initial_lr"])

    @pytest.mark.parametrize("key", ["lr", "initial_lr"])
    def test_of_a_tensor_that_is_no_lr(self, key: str) -> None:
        optimizer = sgd(0.1, 0.1)
        optimizer.param_groups[1][key] = torch.tensor([0.5, 0.25])
        text = (
            f"Switch, group 1: the {key} must be a dense tensor of one element, not "
            "tensor([0.5000, 0.2500])"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            Switch({})(optimizer)

    def test_of_a_group_without_lr(self) -> None:
        optimizer = sgd(0.1, 0.1)
        del optimizer.param_groups[1]["lr"]
        with pytest.raises(ValueError, match=r"^Switch, group 1: the param group has no lr$"):
            Switch({})(optimizer)

    @pytest.mark.parametrize(
        ("epoch", "end"), [(-1, "at least 0, not -1"), (1.5, "an integer, not 1.5 (float)")]
    )
    def test_of_an_epoch_to_step_to(self, epoch: Any, end: str) -> None:
        policy = Switch({})(sgd(0.1))
        text = f"Switch: the epoch to step to must be {end}"
        with pytest.raises((TypeError, ValueError), match=f"^{re.escape(text)}$"):
            policy.step(epoch)


@pytest.mark.parametrize("form", [float, tensor])
@pytest.mark.parametrize("lr", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("policy_of", ["get_lr", "one callable", "a list"])
def test_what_is_not_finite_is_never_written(
    policy_of: str, steps: int, lr: float, form: Any
) -> None:
    def bad_at_last(epoch: int) -> float:
        return lr if epoch == steps and bad else 0.5 + epoch

    class Custom(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5, bad_at_last(self.last_epoch)]

    bad = True
    policies = {
        "get_lr": Custom(),
        "one callable": Schedule(bad_at_last),
        "a list": Schedule([lambda _: 0.5, bad_at_last]),
    }
    policy = policies[policy_of](sgd(form(0.1), form(0.1)))
    step(policy.optimizer, policy, steps - 1)
    before = policy.state_dict()
    with pytest.raises(ValueError, match=rf"at epoch {steps}, .*: the lr must be finite, not {lr}"):
        step(policy.optimizer, policy)
    assert [*map(float, policy.state_dict()["_group_lrs"])] == [*map(float, before["_group_lrs"])]
    assert policy.last_epoch == steps - 1
    bad = False
    step(policy.optimizer, policy)
    assert float(policy.optimizer.param_groups[1]["lr"]) == 0.5 + steps
