"""A run that people interfere with in every allowed way, against a model that is only numbers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from oracle import lr_after, lr_at, lrs, stored
from strategies import (
    DISTANT,
    ORDERS,
    Case,
    cases,
    change,
    coarse,
    distant,
    parameter,
    resume,
    save,
)
from torch.optim import Optimizer


@dataclass(frozen=True)
class Model:
    """A run as numbers: one entry a group in each tuple.

    `seen` is the number of groups that a step (or binding) has seen; `last` are their lrs then.
    """

    epoch: int
    count: int
    lrs: tuple[float, ...]
    last: tuple[float, ...]
    initial: tuple[float | None, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A file, and what the run was when it was written."""

    file: bytes
    model: Model

    def seen(self) -> Model:
        """The run once the file is loaded, which sees groups that no step had seen when saving."""
        return replace(self.model, last=self.model.last + self.model.lrs[len(self.model.last) :])


class Runs(RuleBasedStateMachine):
    checkpoints = Bundle("checkpoints")

    @initialize(case=cases())
    def start(self, case: Case) -> None:
        self.case = case
        self.left_behind: list[tuple[Optimizer, list[float]]] = []
        self.optimizer = case.groups.build()
        self.policy = case.policy()
        n = len(case.groups.lrs)
        own = tuple(lrs(self.optimizer))
        self.model = Model(-1, 0, own, (), (None,) * n)
        self.bind_again()

    # What the model says

    def bound(self, model: Model) -> Model:
        """The model of a run that has just been bound."""
        n = len(model.lrs)
        given = self.case.lr_init.values
        if given is None:
            pairs = zip(model.initial, model.lrs, strict=True)
            starts = [lr if initial is None else initial for initial, lr in pairs]
        else:
            starts = list(given[:1]) * n if self.case.broadcast else list(given)
        at_0 = tuple(
            stored(lr_at(self.case.name, self.case.rule(i), lr, 0), self.case.groups.dtype(i))
            for i, lr in enumerate(starts)
        )
        initial = tuple(
            stored(start, self.case.groups.dtype(i)) if known is None else known
            for i, (start, known) in enumerate(zip(starts, model.initial, strict=True))
        )
        return Model(0, 1, at_0, at_0, initial)

    def stepped(self, model: Model) -> Model:
        epoch = model.epoch + 1
        after = tuple(
            lr_after(self.case.name, self.case.rule(i), lr, epoch, self.case.groups.dtype(i))
            for i, lr in enumerate(model.lrs)
        )
        return replace(model, epoch=epoch, count=model.count + 1, lrs=after, last=after)

    # What people do

    @rule(times=st.integers(1, 3))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.optimizer.step()
            with self.tensors_stay():
                self.policy.step()
            self.model = self.stepped(self.model)

    @rule(target=checkpoints)
    def write_checkpoint(self) -> Checkpoint:
        return Checkpoint(save(self.optimizer, self.policy), self.model)

    @rule(checkpoint=checkpoints, order=st.sampled_from(ORDERS))
    def load_into_fresh_objects(self, checkpoint: Checkpoint, order: tuple[str, ...]) -> None:
        self.leave()
        n = len(checkpoint.model.lrs)
        self.optimizer, self.policy = self.fresh_optimizer(n), self.case.policy()
        fresh = Model(-1, 0, tuple(lrs(self.optimizer)), (), (None,) * n)
        resume(checkpoint.file, self.optimizer, self.policy, order)
        initial = {
            ("bind", "policy"): self.bound(fresh).initial,
            ("optimizer", "bind", "policy"): self.bound(
                replace(fresh, lrs=checkpoint.model.lrs, initial=checkpoint.model.initial)
            ).initial,
        }.get(order, checkpoint.model.initial)
        self.model = replace(checkpoint.seen(), initial=initial)

    @rule(checkpoint=checkpoints)
    def load_in_place(self, checkpoint: Checkpoint) -> None:
        """Going back to an earlier point of the same run; the optimizer keeps its groups."""
        if len(checkpoint.model.lrs) != len(self.model.lrs):
            return
        with self.tensors_stay():
            resume(checkpoint.file, self.optimizer, self.policy, ["policy"])
        self.model = replace(checkpoint.seen(), initial=self.model.initial)

    @rule()
    def bind_again(self) -> None:
        with self.tensors_stay():
            assert self.policy(self.optimizer) is self.policy
        self.model = self.bound(self.model)

    @rule()
    def bind_to_another_optimizer(self) -> None:
        self.leave()
        self.optimizer = self.fresh_optimizer(len(self.case.groups.lrs))
        n = len(self.case.groups.lrs)
        self.model = Model(-1, 0, tuple(lrs(self.optimizer)), (), (None,) * n)
        self.bind_again()

    @precondition(lambda self: self.case.broadcast and len(self.model.lrs) < 7)
    @rule(lr=st.none() | coarse)
    def add_a_group(self, lr: float | None) -> None:
        """With the optimizer's default lr, which may be the live tensor of group 0, or its own."""
        self.optimizer.add_param_group(self.new_group(lr))
        added = float(self.optimizer.param_groups[-1]["lr"])
        self.model = replace(
            self.model, lrs=(*self.model.lrs, added), initial=(*self.model.initial, None)
        )

    @rule(data=st.data(), lr=coarse)
    def change_a_lr_from_outside(self, data: st.DataObject, lr: float) -> None:
        groups = self.optimizer.param_groups
        group = groups[data.draw(st.integers(0, len(groups) - 1), label="group")]
        held = group["lr"]
        shared = [other["lr"] is held and isinstance(held, torch.Tensor) for other in groups]
        change(group, lr)
        self.model = replace(
            self.model,
            lrs=tuple(
                lr if other is group or alike else old
                for other, alike, old in zip(groups, shared, self.model.lrs, strict=True)
            ),
        )

    @rule(how=st.sampled_from(["deepcopy", "pickle"]))
    def copy_both(self, how: str) -> None:
        self.leave()
        both = (self.optimizer, self.policy)
        self.optimizer, self.policy = (
            copy.deepcopy(both) if how == "deepcopy" else pickle.loads(pickle.dumps(both))
        )
        assert self.policy.optimizer is self.optimizer

    @rule()
    def copy_the_value_alone(self) -> None:
        unbound = copy.copy(self.policy)
        assert unbound.last_epoch == -1
        assert type(unbound) is type(self.policy)

    # What holds at any time

    @invariant()
    def the_run_is_where_the_model_says(self) -> None:
        assert lrs(self.optimizer) == list(self.model.lrs)
        assert self.policy.last_epoch == self.model.epoch
        assert self.policy._step_count == self.model.count
        assert self.policy.optimizer is self.optimizer

    @invariant()
    def the_last_lrs_are_those_of_the_last_step(self) -> None:
        last = [float(lr) for lr in self.policy.get_last_lr()]
        if self.case.groups.form in DISTANT:
            # What others have filled on a GPU since may show: to have read it would wait.
            seen = zip(last, self.model.last, self.model.lrs[: len(last)], strict=True)
            assert all(lr in (then, now) for lr, then, now in seen)
        else:
            assert last == list(self.model.last)

    @invariant()
    def initial_lr_is_written_at_binding_alone(self) -> None:
        initial = [group.get("initial_lr") for group in self.optimizer.param_groups]
        assert [None if lr is None else float(lr) for lr in initial] == list(self.model.initial)

    @invariant()
    def each_group_holds_a_lr_of_the_kind_it_had(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            if self.case.groups.dtype(i) is None:
                assert type(group["lr"]) is float
            else:
                assert group["lr"].dtype == self.case.groups.dtype(i)

    @invariant()
    def nothing_handed_out_overlaps_a_live_lr(self) -> None:
        live = {address(group["lr"]) for group in self.optimizer.param_groups}
        kept: list[object] = [
            *self.policy.base_lrs,
            *self.policy.get_last_lr(),
            *self.policy.get_lr(),
        ]
        kept += [group.get("initial_lr") for group in self.optimizer.param_groups]
        state = self.policy.state_dict()
        kept += [*state["base_lrs"], *state["_last_lr"], *state["_group_lrs"]]
        assert not live & {address(lr) for lr in kept} - {None}

    @invariant()
    def the_runs_left_behind_stand_still(self) -> None:
        for optimizer, expected in self.left_behind:
            assert lrs(optimizer) == expected

    # Helpers

    def leave(self) -> None:
        self.left_behind.append((self.optimizer, lrs(self.optimizer)))

    @contextmanager
    def tensors_stay(self) -> Iterator[None]:
        """Each group keeps its tensor, but for those that hold an element of an earlier group's."""
        before = [group["lr"] for group in self.optimizer.param_groups]
        places = [address(lr) for lr in before]
        yield
        for i, (group, lr) in enumerate(zip(self.optimizer.param_groups, before, strict=True)):
            if places[i] is not None and places[i] not in places[:i]:
                assert group["lr"] is lr

    def new_group(self, lr: float | None) -> dict[str, object]:
        group: dict[str, object] = {"params": [parameter()]}
        dtype = self.case.groups.dtypes[0]
        if dtype is not None and self.case.groups.form != "one tensor" and lr is None:
            lr = 0.5
        if lr is not None:
            group["lr"] = lr if dtype is None else torch.tensor(lr, dtype=dtype)
            if self.case.groups.form in DISTANT:
                group["lr"] = distant(self.case.groups.form, torch.tensor(lr, dtype=dtype))
        return group

    def fresh_optimizer(self, n: int) -> Optimizer:
        optimizer = self.case.groups.build()
        for _ in range(n - len(optimizer.param_groups)):
            optimizer.add_param_group(self.new_group(0.25))
        return optimizer


def address(lr: object) -> int | None:
    """Where a tensor lr lies in memory."""
    return lr.data_ptr() if isinstance(lr, torch.Tensor) else None


TestRuns = Runs.TestCase
