"""What subclasses, frameworks and other code do that few think of: each once went wrong."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from helpers import advance, lrs, tensor, unchanged
from strategies import Far
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
    Scale,
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
    seen = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def held(optimizer: Optimizer) -> list[Any]:
    return [group["lr"] for group in optimizer.param_groups]


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


class TestInSequentialLR:
    @pytest.mark.spec("B7", "X1")
    def test_a_mapping_policy_of_one_s_own_starts_from_lr_init(self) -> None:
        optimizer = sgd(0.3)
        first = ConstantLR(optimizer, 0.1, 100)
        policy = AsDocumented({1: 0.5, 2: 0.5}, lr_init=0.8)(optimizer)
        sequence = SequentialLR(optimizer, [first, policy], [2])
        assert step(optimizer, sequence, 4) == pytest.approx([0.03, 0.8, 0.4, 0.2])

    @pytest.mark.spec("B5", "B20", "X1")
    def test_base_lrs_stay_apart_from_a_lr_that_was_a_tensor(self) -> None:
        optimizer = sgd(tensor(0.5))
        policy = AsDocumented({1: 0.5}, lr_init=None)(optimizer)
        first = ConstantLR(optimizer, 1.0, 1)
        sequence = SequentialLR(optimizer, [first, policy], [2])
        step(optimizer, sequence)
        optimizer.param_groups[0]["lr"] = 0.4
        assert step(optimizer, sequence, 2) == [0.5, 0.25]
        assert policy.base_lrs == [0.5]

    @pytest.mark.spec("X2")
    def test_a_step_to_an_epoch_below_0_writes_nothing(self) -> None:
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
        assert held(optimizer) == pytest.approx([0.15])
        assert policy.last_epoch == -1

    @pytest.mark.spec("X1", "V22")
    def test_a_ported_closed_form_starts_again(self) -> None:
        optimizer = sgd(1.0)
        first = ConstantLR(optimizer, 0.1, 100)
        sequence = SequentialLR(optimizer, [first, Ported()(optimizer)], [2])
        assert step(optimizer, sequence, 3) == [0.1, 1.0, 0.5]

    @pytest.mark.spec("S9", "X1")
    @pytest.mark.parametrize(
        "policy",
        [Switch({9: 0.5}, None), Schedule([lambda _: 0.5]), Scale(lambda _: 1.0), Ported()],
        ids=lambda policy: type(policy).__name__,
    )
    def test_torch_warns_of_the_first_step_of_a_policy_that_was_stepped_before(
        self, policy: Policy
    ) -> None:
        optimizer = sgd(0.5)
        step(optimizer, policy(optimizer), 2)
        sequence = SequentialLR(optimizer, [policy], [])
        vars(optimizer)["step"] = lambda: None
        with pytest.warns(UserWarning, match="has been overridden"):
            sequence.step()

    @pytest.mark.spec("X1")
    def test_a_policy_that_is_stepped_to_epoch_0_takes_lr_init(self) -> None:
        optimizer = sgd(1.0)
        ConstantLR(optimizer, 1.0, 1)
        policy = Switch({3: 0.2}, lr_init=0.1)(optimizer)
        step(optimizer, policy)
        policy.load_state_dict({**policy.state_dict(), "last_epoch": 0})
        SequentialLR(optimizer, [ChainedScheduler([policy]), ExponentialLR(optimizer, 0.5)], [4])
        assert held(optimizer) == [0.1]

    @pytest.mark.spec("B7", "S10", "X1")
    def test_a_document_like_policy_restarts_from_lr_init_after_a_step_to_0(self) -> None:
        optimizer = sgd(9.0)
        policy = AsDocumented({0: 0.5, 2: 0.5}, lr_init=1.0)(optimizer)
        step(optimizer, policy, 3)
        with pytest.warns(UserWarning, match="epoch parameter"):
            policy.step(0)
        SequentialLR(optimizer, [policy], [])
        assert held(optimizer) == [0.5]

    @pytest.mark.spec("T4", "X1")
    def test_what_torch_sets_in_a_sequence_is_no_attribute_of_a_policy(self) -> None:
        optimizer = sgd(0.1)
        policy = Ported()(optimizer)
        SequentialLR(optimizer, [policy], [])
        assert policy.state_dict().keys() == {"last_epoch", "_step_count", "base_lrs", "_last_lr"}
        assert "_is_initial" not in vars(copy.copy(policy))


class TestSubclasses:
    @pytest.mark.spec("V14", "S7")
    def test_a_get_lr_that_wraps_ours_is_asked(self) -> None:
        class Half(Switch):
            @functools.wraps(Switch.get_lr)
            def get_lr(self) -> Any:  # type: ignore[override]
                return [lr / 2 for lr in super().get_lr()]

        optimizer = sgd(1.0)
        policy = Half({0: 0.8, 1: 0.4}, lr_init=None)(optimizer)
        assert [*policy.get_last_lr(), *step(optimizer, policy)] == [0.4, 0.2]
        with pytest.warns(UserWarning, match="lr_init was not given"):
            Half({0: 0.8})(sgd(1.0))

    @pytest.mark.spec("V14", "V21")
    def test_a_get_lr_of_one_instance_is_asked_and_simulated(self) -> None:
        policy = Switch({0: 0.1}, lr_init=None)
        policy.get_lr = lambda: [0.5]  # type: ignore[method-assign]
        assert simulate(policy, 2, lr=1.0).tolist() == [[0.5], [0.5]]
        assert policy(sgd(0.1)).get_last_lr() == [0.5]

    @pytest.mark.spec("K1", "K2")
    def test_a_policy_pickles_as_the_manual_says(self) -> None:
        class Manual(Ported):
            def __getstate__(self) -> dict[str, Any]:
                return self.__dict__.copy()

        assert copy.deepcopy(Manual()).last_epoch == -1
        assert copy.deepcopy(Manual()(sgd(0.1))).last_epoch == 0

    @pytest.mark.spec("S6")
    @pytest.mark.parametrize("answer", [(0.1, 0.2), np.array([0.1, 0.2]).tolist()])
    def test_any_sequence_will_do(self, answer: Sequence[float]) -> None:
        class Answering(Policy):
            def get_lr(self) -> Any:
                return answer

        optimizer = sgd(1.0, 1.0)
        policy = Answering()(optimizer)
        step(optimizer, policy, 3)
        assert policy.get_last_lr() == [0.1, 0.2]

    @pytest.mark.spec("S6")
    def test_get_lr_is_asked_once_a_step_whatever_it_answers(self) -> None:
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

    @pytest.mark.spec("V8")
    def test_a_mapping_policy_takes_mappings_and_callables_alone(self) -> None:
        assert AsDocumented([abs, {1: 2}]).mapping == [abs, {1: 2.0}]
        with pytest.raises(
            TypeError, match=r"AsDocumented: mapping\[1\] must be a mapping .* not 3"
        ):
            AsDocumented([{}, 3])

    @pytest.mark.spec("T7")
    def test_a_mapping_may_stand_beside_a_callable(self) -> None:
        class Mixed(MappingPolicy[Any]):
            def get_lr(self) -> list[Any]:
                return [0.1, 0.2]

        for mapping in ([{0: 0.5}, math.cos], [math.cos, {0: 0.5}]):
            state = Mixed(mapping, lr_init=1e-3)(sgd(0.1, 0.1)).state_dict()
            assert "mapping" not in state
            assert state["lr_init"] == 1e-3

    @pytest.mark.spec("T7", "T12", "T13")
    def test_a_mapping_is_loaded_into_a_policy_with_its_own_get_lr(self) -> None:
        optimizer = sgd(1.0)
        policy = AsDocumented({1: 0.5}, lr_init=1.0)(optimizer)
        step(optimizer, policy)
        fresh_optimizer = sgd(1.0)
        fresh = AsDocumented({2: 0.1}, lr_init=1.0)(fresh_optimizer)
        with pytest.warns(UserWarning, match=r"mapping was {1: 0.5} and is {2: 0.1}"):
            fresh.load_state_dict(policy.state_dict())
        assert fresh.mapping == {1: 0.5}
        assert step(fresh_optimizer, fresh) == [0.5]

    @pytest.mark.spec("B5")
    def test_a_subclass_may_set_its_current_mapping_as_the_document_does(self) -> None:
        class Doubled(MappingPolicy[Any]):
            def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
                self.current_mapping = [self.mapping] * 2 * len(optimizer.param_groups)
                self.current_lr_init = [7.0]
                super().set_optimizer(optimizer, last_epoch)

            def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
                assert self.current_mapping is not None
                return [float(len(self.current_mapping))]

        policy = Doubled({0: 0.5}, lr_init=None)(sgd(0.1))
        assert policy.get_last_lr() == [2.0]
        assert policy.current_lr_init == [7.0]
        assert "current_mapping" not in policy.state_dict()

    @pytest.mark.spec("B5")
    def test_what_needs_an_instance_can_be_asked_of_the_class(self) -> None:
        assert getattr(Switch, "current_mapping") is None  # noqa: B009  for mypy there is none
        assert {"current_mapping", "get_lr"} <= {name for name, _ in inspect.getmembers(Switch)}

    @pytest.mark.spec("S10")
    def test_a_switch_with_a_get_lr_of_its_own_steps_to_an_epoch(self) -> None:
        class Own(Switch):
            def get_lr(self) -> list[Any]:
                return [1.0 + self.last_epoch]

        policy = Own({3: 0.5}, lr_init=None)(sgd(0.1))
        policy.optimizer.step()
        with pytest.warns(UserWarning, match="epoch parameter"):
            policy.step(7)
        assert policy.last_epoch == 7
        assert policy.get_last_lr() == [8.0]

    @pytest.mark.spec("S4", "B7")
    @pytest.mark.parametrize("form", [float, tensor])
    def test_while_it_is_bound_the_last_lrs_are_those_of_the_groups(self, form: Any) -> None:
        class Asking(Policy):
            def get_lr(self) -> list[Any]:
                return [lr * 0.5 for lr in self.get_last_lr()]

        optimizer = sgd(form(0.5), form(0.25))
        assert Asking()(optimizer).get_last_lr() == [0.25, 0.125]

    @pytest.mark.spec("B14")
    @pytest.mark.parametrize("make", [Switch, Multiply, Schedule, Scale])
    def test_an_unbound_policy_says_so_whatever_torch_asks_of_it(self, make: Any) -> None:
        policy = make(math.cos if make in (Schedule, Scale) else {})
        with pytest.raises(UnboundPolicyError):
            policy._update_lr(0)
        with pytest.raises(UnboundPolicyError):
            policy._initial_step()


class Holding(Policy):
    """Holds schedulers, one of them with schedulers in it, and one that is not bound."""

    def set_optimizer(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        parts: list[LRScheduler] = [Switch({0: 0.1})(optimizer), Multiply({1: 0.5})(optimizer)]
        self.sequence = SequentialLR(optimizer, parts, [3])
        self.last = Switch({0: 0.3})(optimizer)
        self.unbound = Switch({})
        super().set_optimizer(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        return [0.4]


class TestNested:
    @pytest.mark.spec("T10")
    @pytest.mark.parametrize("last", [{"last_epoch": "no"}, {}, 1, None])
    def test_a_load_that_fails_late_takes_back_all_of_them(self, last: object) -> None:
        optimizer = sgd(1e-3)
        policy = Holding()(optimizer)
        early = policy.state_dict()
        for _ in range(5):
            step(optimizer, policy.sequence)
            step(optimizer, policy)
        optimizer.param_groups[0]["lr"] = 0.7
        early["last"] = last
        with (
            unchanged(policy, policy.last, *policy.sequence._schedulers, optimizer),
            pytest.raises((TypeError, ValueError), match="Switch"),
        ):
            policy.load_state_dict(early)
        assert [inner.last_epoch for inner in policy.sequence._schedulers] == [2, 2]
        assert policy.sequence.last_epoch == 5

    @pytest.mark.spec("T8")
    def test_what_was_unbound_when_saved_stays_as_it_is(self) -> None:
        policy = Holding()(sgd(1e-3))
        state = policy.state_dict()
        assert state.keys() >= {"sequence", "last"}
        assert "unbound" not in state
        fresh = Holding()(sgd(1e-3))
        unbound = fresh.unbound
        fresh.load_state_dict(state)
        assert fresh.unbound is unbound

    @pytest.mark.spec("T8")
    def test_what_was_bound_when_saved_has_to_be_bound(self) -> None:
        state = Holding()(sgd(1e-3)).state_dict()
        fresh = Holding()(sgd(1e-3))
        fresh.last = Switch({0: 0.3})
        with pytest.raises(ValueError, match=r"Holding: 'last' .* not bound: bind it first"):
            fresh.load_state_dict(state)


class TestGroups:
    @pytest.mark.spec("S12")
    @pytest.mark.parametrize("policy", [Multiply({4: 0.5}, None), Scale(float)], ids=repr)
    def test_as_many_groups_as_before_are_the_same_by_place(self, policy: Policy) -> None:
        optimizer = sgd(0.25, 0.5)
        step(optimizer, policy(optimizer), 2)
        optimizer.param_groups.reverse()
        step(optimizer, policy, 2)
        assert policy.base_lrs == [0.25, 0.5]

    @pytest.mark.spec("S12")
    def test_groups_without_params_are_known_by_their_place(self) -> None:
        optimizer = sgd(0.3)
        for lr in (0.1, 0.2):
            optimizer.add_param_group({"params": [], "lr": lr})
        policy = Multiply({9: 0.5}, lr_init=None)(optimizer)
        optimizer.load_state_dict(optimizer.state_dict())
        step(optimizer, policy)
        assert policy.base_lrs == [0.3, 0.1, 0.2]

    @pytest.mark.spec("S13")
    def test_a_group_without_params_that_comes_later_is_a_new_one(self) -> None:
        optimizer = sgd(0.1)
        optimizer.add_param_group({"params": [], "lr": 0.2})
        policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
        step(optimizer, policy)
        optimizer.add_param_group({"params": [], "lr": 0.7})
        step(optimizer, policy)
        assert policy.base_lrs == [0.1, 0.2, 0.7]

    @pytest.mark.spec("S11")
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

    @pytest.mark.spec("S15", "T24", "K4")
    def test_with_one_mapping_a_group_neither_save_nor_load_takes_another_in(self) -> None:
        optimizer = sgd(1.0, 1.0)
        policy = Switch([{0: 0.1}, {0: 0.2, 6: 0.3}])(optimizer)
        state = policy.state_dict()
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.5})
        for call in (policy.state_dict, lambda: policy.load_state_dict(state)):
            with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups"):
                call()
        assert repr(policy).startswith("Switch(mapping=[{0: 0.1}, {0: 0.2, 6: 0.3}]")

    @pytest.mark.spec("V21", "S16")
    def test_what_is_stepped_beside_a_policy_has_the_groups_that_are_left(self) -> None:
        policy = Ported()(sgd(0.25, 0.5))
        del policy.optimizer.param_groups[0]
        assert simulate(policy, 2).tolist() == [[0.5], [0.25]]
        assert policy.lr_at(1) == [0.25]

    @pytest.mark.spec("V9", "S1")
    @pytest.mark.parametrize("cls", [Schedule, Scale])
    def test_a_group_that_is_left_alone_may_hold_anything(self, cls: type[Schedule]) -> None:
        optimizer = sgd(0.5, 0.25)
        policy = cls([lambda epoch: 1 / (1 + epoch), None])(optimizer)
        for odd in (math.nan, 7, torch.tensor(0.25, requires_grad=True)):
            optimizer.param_groups[1]["lr"] = odd
            step(optimizer, policy)
            assert optimizer.param_groups[1]["lr"] is odd
        assert policy.base_lrs[1] == 0.25

    @pytest.mark.spec("B17", "K2")
    def test_a_policy_whose_optimizer_is_wrapped_by_no_optimizer_is_copied_too(self) -> None:
        class Wrapper:
            def __init__(self, optimizer: Optimizer) -> None:
                self.wrapped = optimizer

            @property
            def param_groups(self) -> list[dict[str, Any]]:
                return self.wrapped.param_groups

            def step(self) -> None:
                self.wrapped.step()

        policy = Switch({2: 0.5}, lr_init=None)(sgd(0.1))
        step(policy.optimizer, policy)
        policy.optimizer = Wrapper(policy.optimizer)  # type: ignore[assignment]
        for other in (copy.deepcopy(policy), policy):
            assert step(other.optimizer, other, 2) == [0.5, 0.5]
        assert policy.last_epoch == 3


class TestTensors:
    @pytest.mark.spec("B20", "V10")
    def test_an_initial_lr_that_is_the_lr_itself_becomes_a_copy(self) -> None:
        optimizer = sgd(tensor(0.5), tensor(0.25))
        for group in optimizer.param_groups:
            group["initial_lr"] = optimizer.param_groups[0]["lr"]
        policy = Multiply({1: 0.5}, lr_init=None)(optimizer)
        step(optimizer, policy)
        assert [group["initial_lr"] for group in optimizer.param_groups] == [tensor(0.5)] * 2

    @pytest.mark.spec("V10")
    def test_an_initial_lr_of_any_shape_is_multiplied(self) -> None:
        optimizer = sgd(0.1)
        optimizer.param_groups[0]["initial_lr"] = torch.tensor([0.5], dtype=torch.float64)
        assert Multiply({0: 0.5}, lr_init=None)(optimizer).get_last_lr() == [0.25]

    @pytest.mark.spec("B21")
    def test_tensors_of_inference_mode_are_written_within_it(self) -> None:
        with torch.inference_mode():
            optimizer = sgd(tensor(1.0), tensor(0.5))
            policy = Multiply({2: 0.5}, lr_init=None)(optimizer)
            step(optimizer, policy)
            optimizer.param_groups[1]["lr"].fill_(0.25)
            step(optimizer, policy)
            assert policy.get_last_lr() == [tensor(0.5), tensor(0.125)]

    @pytest.mark.spec("B2", "S1")
    def test_a_tensor_of_inference_mode_is_taken_back_too(self) -> None:
        class Fails(AsDocumented):
            def get_lr(self) -> list[float | Tensor]:
                raise OSError("no file")

        with torch.inference_mode():
            optimizer = sgd(torch.tensor(0.1))
            with pytest.raises(OSError, match="no file"):
                Fails({}, lr_init=0.5)(optimizer)
            assert held(optimizer) == [torch.tensor(0.1)]

    @pytest.mark.spec("B19", "B21")
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

    @pytest.mark.spec("B2", "B21", "B22", "S2")
    @pytest.mark.parametrize(
        "bad", ["requires grad", "inference", "two elements", "integers"], ids=str
    )
    @pytest.mark.parametrize(
        "policy",
        [Switch({0: 0.25}), Multiply({}, 0.5), Schedule(float), Scale(float)],
        ids=lambda policy: type(policy).__name__,
    )
    def test_a_tensor_that_cannot_be_written_is_refused_before_any_write(
        self, policy: Policy, bad: str
    ) -> None:
        with torch.inference_mode():
            inference = torch.tensor(0.5)
        lr = {
            "requires grad": torch.tensor(0.5, requires_grad=True),
            "inference": inference,
            "two elements": torch.tensor([0.5, 0.5]),
            "integers": torch.tensor(1),
        }[bad]
        optimizer = sgd(0.5, lr)
        name = type(policy).__name__
        with (
            unchanged(optimizer, policy),
            pytest.raises(ValueError, match=rf"^{name}.*, group 1: the lr"),
        ):
            policy(optimizer)

    @pytest.mark.spec("B21", "S1", "S10")
    @pytest.mark.parametrize("epoch", [None, 7])
    def test_a_lr_that_has_come_to_require_grad_is_refused_before_the_step(
        self, epoch: int | None
    ) -> None:
        policy = Schedule(lambda epoch: 0.5 / (1 + epoch))(sgd(0.25, tensor(0.5)))
        step(policy.optimizer, policy, 2)
        policy.optimizer.param_groups[1]["lr"].requires_grad_()
        before = [policy.last_epoch, policy._step_count, *held(policy.optimizer)]
        policy.optimizer.step()
        text = rf"Schedule at epoch {epoch or 3}, group 1: .* require grad"
        deprecated = pytest.warns(UserWarning, match="epoch parameter") if epoch else nullcontext()
        with deprecated, pytest.raises(ValueError, match=text):
            policy.step(epoch)
        assert [policy.last_epoch, policy._step_count, *held(policy.optimizer)] == before

    @pytest.mark.spec("S6", "B18")
    @pytest.mark.parametrize(
        "form",
        [lambda lr: lr, Tensor.detach, lambda lr: lr.view(1), lambda lr: lr * 1],
        ids=["the lr", "a view", "another shape", "a copy"],
    )
    @pytest.mark.parametrize("parameter", [False, True], ids=["tensor", "parameter"])
    def test_lrs_that_change_places_are_read_before_any_is_written(
        self, form: Any, parameter: bool
    ) -> None:
        class Swapping(Policy):
            def get_lr(self) -> list[Any]:
                lrs = [form(group["lr"]) for group in self.optimizer.param_groups]
                return lrs[::-1] if self.last_epoch else lrs

        lrs = [tensor(0.25), tensor(0.5)]
        if parameter:  # which nobody reads, as it may be anywhere
            lrs = [nn.Parameter(lr, requires_grad=False) for lr in lrs]
        optimizer = sgd(*lrs)
        policy = Swapping()(optimizer)
        step(optimizer, policy)
        assert [*map(float, held(optimizer))] == [0.5, 0.25]
        assert [*map(id, held(optimizer))] == [*map(id, lrs)]

    @pytest.mark.spec("B18")
    def test_a_lr_that_is_computed_from_a_parameter_brings_no_graph(self) -> None:
        weight = nn.Parameter(tensor(2.0))

        class Learned(Policy):
            def get_lr(self) -> list[Any]:
                return [weight * 0.25]

        lr = nn.Parameter(tensor(0.1), requires_grad=False)
        Learned()(sgd(lr))
        assert float(lr) == 0.5
        assert not lr.requires_grad
        assert lr.grad_fn is None

    @pytest.mark.spec("V3", "C11")
    @pytest.mark.parametrize("form", [float, tensor])
    def test_zeros_keep_their_signs(self, form: Any) -> None:
        optimizer = sgd(form(0.1), form(0.1))
        policy = Schedule([lambda epoch: 0.0, lambda epoch: -0.0])(optimizer)
        step(optimizer, policy, 2)
        signs = [math.copysign(1, group["lr"]) for group in optimizer.param_groups]
        assert signs == [1, -1]


class TestNumbersThatDoNotFit:
    @pytest.mark.spec("S1", "S3")
    @pytest.mark.parametrize("lr", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("form", [float, tensor])
    @pytest.mark.parametrize("steps", [1, 4])
    @pytest.mark.parametrize("policy_of", ["get_lr", "one callable", "a list", "factors"])
    def test_what_is_not_finite_is_never_written(
        self, policy_of: str, steps: int, form: Any, lr: float
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
            "factors": Scale([lambda _: 0.5, bad_at_last], lr_init=1),
        }
        policy = policies[policy_of](sgd(form(0.1), form(0.1)))
        step(policy.optimizer, policy, steps - 1)
        policy.optimizer.step()
        text = rf"at epoch {steps}, .*: the lr must be finite, not {lr}"
        with (
            unchanged(policy, policy.optimizer),
            pytest.raises(ValueError, match=text),
        ):
            policy.step()
        assert policy.last_epoch == steps - 1
        bad = False
        policy.step()
        assert float(policy.optimizer.param_groups[1]["lr"]) == 0.5 + steps

    @pytest.mark.spec("S1", "S3")
    def test_a_step_that_a_tensor_put_there_cannot_hold_is_taken_again(self) -> None:
        lrs = {4: 1e39}
        optimizer = sgd(0.1, 0.1)
        policy = Schedule(lambda epoch: lrs.get(epoch, 0.5))(optimizer)
        step(optimizer, policy, 3)
        optimizer.param_groups[1]["lr"] = torch.tensor(0.25)
        with pytest.raises(ValueError, match=r"Schedule at epoch 4, group 1: .* does not fit"):
            policy.step()
        assert held(optimizer) == [0.5, torch.tensor(0.25)]
        lrs.clear()
        step(optimizer, policy)
        assert held(optimizer) == [0.5, 0.5]

    @pytest.mark.spec("V2", "S2", "S3")
    @pytest.mark.parametrize("cls", [AsDocumented, Multiply])
    def test_a_start_that_the_group_cannot_hold_is_named(self, cls: Any) -> None:
        text = (
            rf"^{cls.__name__} at epoch 0, group 1: the lr 1e\+39 does not fit the group's tensor"
        )
        with pytest.raises(ValueError, match=text):
            cls({}, lr_init=[0.1, 1e39])(sgd(0.1, torch.tensor(0.1)))

    @pytest.mark.spec("V1", "V2", "S3")
    @pytest.mark.parametrize("policy", [Switch({0: 0.5}, 1e39), Multiply({0: 5e-40}, 1e39)])
    def test_one_that_it_cannot_hold_does_not_matter_where_the_lr_at_0_fits(
        self, policy: Policy
    ) -> None:
        assert policy(sgd(torch.tensor(0.1))).get_last_lr() == [0.5]

    @pytest.mark.spec("S3", "T10")
    def test_a_state_whose_last_lr_no_group_can_hold_is_refused(self) -> None:
        policy = Switch({}, lr_init=None)(sgd(tensor(0.5, dtype=torch.float16)))
        state = {**policy.state_dict(), "_last_lr": [1e6], "last_epoch": 7}
        with (
            unchanged(policy, policy.optimizer),
            pytest.raises(ValueError, match=r"Switch .*, group 0: the lr 1000000.0 does not fit"),
        ):
            policy.load_state_dict(state)

    @pytest.mark.spec("S2", "S3")
    @pytest.mark.parametrize(
        "policy",
        [Multiply([{}, {1: 1e300, 2: 1e300}]), Scale([float, lambda _: 1e300], 1e300)],
        ids=["Multiply", "Scale"],
    )
    def test_an_overflow_in_closed_form_names_epoch_and_group(self, policy: Policy) -> None:
        text = f"^{type(policy).__name__} at epoch 2, group 1: the lr must be finite, not inf$"
        with pytest.raises(ValueError, match=text):
            policy.lr_at(2)

    @pytest.mark.spec("C4", "C5")
    def test_odd_numbers_are_refused_in_words(self) -> None:
        with pytest.raises(ValueError, match="must fit a float, not Decimal"):
            Switch({0: Decimal("sNaN")})
        with pytest.raises(ValueError, match="<int that cannot be printed> must be finite"):
            Switch({10**5000: np.float32("nan")})

    @pytest.mark.spec("V10", "S2")
    def test_an_initial_lr_that_is_not_finite_is_refused(self) -> None:
        optimizer = sgd(tensor(0.5), tensor(0.5))
        optimizer.param_groups[1]["initial_lr"] = math.nan
        with (
            unchanged(optimizer),
            pytest.raises(ValueError, match=r"^Multiply, group 1: the lr must be finite, not nan$"),
        ):
            Multiply({0: 0.5}, lr_init=None)(optimizer)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("there is no text for this")


class Unnoted(Exception):
    __notes__ = None  # type: ignore[assignment, unused-ignore]

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes here")


class Noted(Exception):
    def __init__(self, notes: object) -> None:
        vars(self)["__notes__"] = notes

    def __str__(self) -> str:
        raise RuntimeError


NOTES: list[object] = [[], None, "mine", ("mine",)]
ERRORS = [ValueError(Unprintable()), Unnoted(), KeyboardInterrupt(), *map(Noted, NOTES)]


class TestErrors:
    @pytest.mark.spec("S1", "S2")
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("policy_of", ["get_lr", "one callable", "a list"])
    def test_whatever_is_raised_comes_through_and_the_step_can_be_taken_again(
        self, error: BaseException, policy_of: str
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
        policy.optimizer.step()
        for _ in range(2):
            with unchanged(policy, policy.optimizer), pytest.raises(type(error)) as raised:
                policy.step()
            assert raised.value is error
        fails = False
        policy.step()
        assert policy.get_last_lr()[1] == 3.5

    @pytest.mark.spec("S2")
    def test_an_interrupted_callable_is_named(self) -> None:
        def interrupted(_: int) -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as raised:
            Schedule([lambda _: 0.1, interrupted])(sgd(0.1, 0.1))
        notes = ["Schedule at epoch 0, group 1"] if hasattr(raised.value, "add_note") else []
        assert getattr(raised.value, "__notes__", []) == notes

    @pytest.mark.spec("S1", "S2")
    @pytest.mark.parametrize(
        "policy",
        [
            Switch(dict.fromkeys(range(9), 0.5)),
            Multiply(dict.fromkeys(range(9), 0.5), lr_init=0.5),
            Schedule(lambda epoch: 1 / (1 + epoch)),
            Schedule([lambda epoch: 1 / (1 + epoch)] * 2),
            Scale(lambda epoch: 1 / (1 + epoch)),
        ],
        ids=["Switch", "Multiply", "Schedule", "a list", "Scale"],
    )
    @pytest.mark.parametrize("steps", [0, 3])
    def test_a_group_that_has_lost_its_lr_is_an_error_before_any_write(
        self, policy: Policy, steps: int
    ) -> None:
        optimizer = sgd(0.1, 0.1)
        step(optimizer, policy(optimizer), steps)
        optimizer.step()
        lr = optimizer.param_groups[1].pop("lr")
        text = rf"at epoch {steps + 1}, group 1: the param group has no lr"
        with unchanged(policy, optimizer), pytest.raises(ValueError, match=text) as raised:
            policy.step()
        assert not hasattr(raised.value, "__notes__")  # it says all
        optimizer.param_groups[1]["lr"] = lr
        policy.step()
        assert policy.last_epoch == steps + 1

    @pytest.mark.spec("S2")
    def test_a_restart_names_the_group_that_has_lost_its_lr(self) -> None:
        policy = AsDocumented({}, lr_init=None)(sgd(0.1))
        step(policy.optimizer, policy)
        del policy.optimizer.param_groups[0]["lr"]
        text = r"AsDocumented at epoch 0, group 0: the param group has no lr"
        with pytest.raises(ValueError, match=text):
            policy._update_lr(0)

    @pytest.mark.spec("O1")
    def test_a_group_without_lr_is_refused_with_what_it_has(self) -> None:
        optimizer = sgd(0.1, 0.1)
        del optimizer.param_groups[1]["lr"]
        text = r"^Switch.*, group 1: the param group has no lr; it has momentum, .*weight_decay"
        with pytest.raises(ValueError, match=text):
            Switch({})(optimizer)

    @pytest.mark.spec("B16")
    @pytest.mark.parametrize("thing", [None, 3, nn.Linear(1, 1)], ids=["None", "3", "a model"])
    def test_what_is_no_optimizer_is_refused(self, thing: Any) -> None:
        kind = type(thing).__name__
        text = (
            f"Switch binds to a torch.optim.Optimizer, not to {thing!r} ({kind}): "
            "call policy(optimizer)"
        )
        with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
            Switch({})(thing)

    @pytest.mark.spec("S10")
    @pytest.mark.parametrize(
        ("epoch", "error", "end"),
        [
            (-1, ValueError, "at least 0, not -1"),
            (1.5, TypeError, "an integer, not 1.5 (float)"),
            (True, TypeError, "an integer, not True (bool)"),
        ],
    )
    def test_an_epoch_to_step_to_is_checked(
        self, epoch: Any, error: type[Exception], end: str
    ) -> None:
        policy = Switch({}, lr_init=None)(sgd(0.1))
        step(policy.optimizer, policy)
        text = f"Switch: the epoch to step to must be {end}"
        with (
            unchanged(policy, policy.optimizer),
            pytest.raises(error, match=f"^{re.escape(text)}$"),
        ):
            policy.step(epoch)

    @pytest.mark.spec("V8")
    def test_what_cannot_be_printed_is_refused_all_the_same(self) -> None:
        with pytest.raises(
            TypeError, match=r"Switch: mapping must be .* not <Unprintable that cannot"
        ):
            Switch(Unprintable())  # type: ignore[arg-type, unused-ignore]


class TestWarnings:
    @pytest.mark.spec("S9")
    def test_a_step_in_the_right_order_leaves_the_warnings_of_others_alone(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                warnings.warn("once", stacklevel=1)
                optimizer = sgd(0.1)
                step(optimizer, Switch({}, lr_init=None)(optimizer))
        assert len(caught) == 1

    @pytest.mark.spec("S10")
    def test_the_deprecation_of_an_epoch_is_shown_once_a_place_as_torch_shows_it(self) -> None:
        policy = Switch({}, lr_init=None)(sgd(0.1))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for epoch in (1, 2, 3):
                policy.optimizer.step()
                policy.step(epoch)
        assert [str(warning.message)[:19] for warning in caught] == ["The epoch parameter"]


class Forwarding(Optimizer):
    """Wraps another one, and forwards all that is asked and set."""

    def __init__(self, inner: Optimizer) -> None:
        object.__setattr__(self, "inner", inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "inner"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)


@pytest.mark.spec("B2", "S2")
def test_where_binding_fails_what_an_optimizer_wraps_is_as_before() -> None:
    inner = sgd(0.1)
    with unchanged(inner), pytest.raises(ZeroDivisionError):
        Schedule(lambda epoch: 1 / 0)(Forwarding(inner))


@pytest.mark.spec("S16")
@pytest.mark.parametrize("make", [Schedule, Scale])
def test_no_group_may_be_left(make: Any) -> None:
    optimizer = sgd(0.5)
    policy = make(lambda epoch: 0.25)(optimizer)
    optimizer.param_groups.clear()
    advance(policy)
    assert (policy.last_epoch, policy.lr_at(3)) == (1, [])


class Answering(Policy):
    """Answers what it is given, from epoch 1 on."""

    def __init__(self, answer: Callable[[list[Any]], list[Any]]) -> None:
        self.answer = answer

    def get_lr(self) -> list[Any]:
        held = [group["lr"] for group in self.optimizer.param_groups]
        return self.answer(held) if self.last_epoch else held


@pytest.mark.spec("S1", "S6")
def test_a_tensor_of_another_class_fills_a_lr_of_any_shape_on_the_host() -> None:
    optimizer = sgd(0.5, tensor(0.5).reshape(1))
    policy = Answering(lambda _: [0.25, tensor(0.125).as_subclass(Far)])(optimizer)
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.125]


@pytest.mark.spec("S6", "X4")
@pytest.mark.parametrize("view", [Tensor.detach, lambda lr: lr.view(())])
def test_views_of_live_lrs_are_read_before_any_is_written(view: Any) -> None:
    optimizer = sgd(*(tensor(lr).as_subclass(Far) for lr in (0.5, 0.25)))
    policy = Answering(lambda held: [view(held[1]), view(held[0])])(optimizer)
    advance(policy)
    assert lrs(optimizer) == [0.25, 0.5]


@pytest.mark.spec("B20", "V9")
def test_an_initial_lr_is_apart_from_a_lr_that_is_left_alone() -> None:
    lr = tensor(0.5)
    optimizer = sgd(lr, 0.5)
    optimizer.param_groups[0]["initial_lr"] = lr
    Schedule([None, lambda epoch: 0.25])(optimizer)
    lr.fill_(0.75)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5


class Sub(torch.Tensor):
    """A tensor that nobody knows how to read."""


@pytest.mark.spec("B19", "B20")
def test_memory_is_shared_with_a_tensor_of_another_class_too() -> None:
    shared = tensor(0.125)
    optimizer = sgd(shared, shared.as_subclass(Sub))
    policy = Schedule([lambda _: 0.5, lambda _: 0.25])(optimizer)
    assert [float(lr) for lr in policy.get_last_lr()] == [0.5, 0.25]
    optimizer = sgd(tensor(0.125).as_subclass(Sub))
    [group] = optimizer.param_groups
    group["initial_lr"] = group["lr"].as_subclass(torch.Tensor)
    Schedule(lambda _: 0.5)(optimizer)
    assert (float(group["lr"]), float(group["initial_lr"])) == (0.5, 0.125)


@pytest.mark.spec("B20", "B22", "V9")
def test_a_start_without_data_is_apart_from_the_initial_lr_that_is_written() -> None:
    optimizer = sgd(0.5, torch.tensor(0.5, device="meta"))
    policy = Scale([lambda _: 0.5, None], lr_init=0.25)(optimizer)
    assert optimizer.param_groups[1]["initial_lr"] is not policy.base_lrs[1]


@pytest.mark.spec("S2", "S15")
@pytest.mark.skipif(not hasattr(BaseException, "add_note"), reason="Python 3.10 has no notes")
def test_groups_that_cannot_be_taken_in_are_an_error_that_says_when() -> None:
    optimizer = sgd(0.5, 0.5)
    policy = Switch([{0: 0.5}, {0: 0.5}])(optimizer)
    optimizer.step()
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.5})
    with pytest.raises(ValueError, match="Got 2 mappings and 3 param groups") as raised:
        policy.step()
    assert getattr(raised.value, "__notes__", None) == ["Switch at epoch 1"]


@pytest.mark.spec("S2", "S3")
def test_the_first_group_that_cannot_hold_its_lr_is_named() -> None:
    class Ends(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [math.nan if self.last_epoch else 0.5] * 2

    optimizer = sgd(tensor(0.5), 0.5)
    policy = Ends()(optimizer)
    optimizer.step()
    with pytest.raises(ValueError, match="group 0: the lr must be finite"):
        policy.step()
    with pytest.raises(ValueError, match="group 1: the lr cannot be written"):
        Switch({2: 0.5}, lr_init=0.5)(sgd(0.5, torch.tensor([0.5, 0.25])))


@pytest.mark.spec("V21")
def test_a_custom_policy_of_no_groups_has_no_lr_at() -> None:
    class Same(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [0.5 for _ in self.optimizer.param_groups]

    policy = Same()(sgd(0.5))
    policy.optimizer.param_groups.clear()
    with pytest.raises(ValueError, match="empty parameter list"):
        policy.lr_at(2)


@pytest.mark.spec("S1")
def test_get_lr_sees_the_step_counted_as_in_torch() -> None:
    class Counts(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            counts.append(self._step_count)
            return [0.5]

    counts: list[int] = []
    optimizer = sgd(0.5)
    policy = Counts()(optimizer)
    step(optimizer, policy, 2)
    assert counts == [1, 2, 3]


@pytest.mark.spec("B8", "B20")
def test_an_initial_lr_that_nobody_gave_is_a_copy_of_the_tensor() -> None:
    class Half(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [start / 2 for start in self.base_lrs]

    for policy in (Half(), Scale(lambda _: 0.5)):
        optimizer = sgd(tensor(0.5))
        policy(optimizer)
        [group] = optimizer.param_groups
        assert torch.equal(group["initial_lr"], tensor(0.5))
        assert group["initial_lr"].data_ptr() != group["lr"].data_ptr()


@pytest.mark.spec("V12")
def test_the_default_device_does_not_matter() -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = sgd(torch.tensor(1e-3, device="cpu"))
        Multiply({1: 0.5})(optimizer)
        assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(1e-3)


@pytest.mark.spec("T21")
def test_override_needs_the_epoch_alone_and_says_whose_it_misses() -> None:
    policy = Scale(lambda epoch: 1 / (1 + epoch), on_load="override")(sgd(0.5))
    policy.load_state_dict({"last_epoch": 4, "base_lrs": None, "_last_lr": "?"})
    assert policy.get_last_lr() == [0.1]
    assert policy.state_dict()["_step_count"] == 5
    with pytest.raises(ValueError, match="Scale: the state has no last_epoch"):
        policy.load_state_dict({"_last_lr": [0.5]})


@pytest.mark.spec("V20", "V21")
def test_what_a_custom_policy_needs_to_be_asked_is_said() -> None:
    class Half(Policy):
        def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
            return [start / 2 for start in self.base_lrs]

    text = (
        r"^Half: the lr depends on where the param groups start: call policy\(optimizer\) first, "
        r"or simulate\(policy, ...\) for made-up groups$"
    )
    with pytest.raises(ValueError, match=text):
        Half().lr_at(0)
    with pytest.raises(TypeError, match=r"^Half: the epoch must be an integer, not 0\.5"):
        Half().lr_at(0.5)  # type: ignore[arg-type]
    text = "^Scale at epoch 3, group 0: the lr depends .* or give lr_init$"
    with pytest.raises(ValueError, match=text):
        Scale(lambda _: 0.5).lr_at(3)
