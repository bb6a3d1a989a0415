"""A run that people interfere with in every allowed way, against a model that is only numbers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext as quiet
from dataclasses import dataclass, replace

import pytest
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
    ACCELERATOR,
    ORDERS,
    Case,
    cases,
    change,
    coarse,
    on_accelerator,
    parameter,
    resume,
    save,
)
from torch.optim import Optimizer


@dataclass(frozen=True)
class Model:
    """A run as numbers: one entry a group in each tuple, but that `starts` lacks late groups.

    The policy takes these in when it steps, is bound, saved or loaded.
    """

    epoch: int
    count: int
    lrs: tuple[float, ...]
    starts: tuple[float, ...]
    initial: tuple[float | None, ...]

    def seen(self) -> Model:
        """The run once the policy has taken in the groups that came."""
        return replace(self, starts=self.starts + self.lrs[len(self.starts) :])


@dataclass(frozen=True)
class Checkpoint:
    """A file, and what the run was when it was written."""

    file: bytes
    model: Model


class Runs(RuleBasedStateMachine):
    checkpoints = Bundle("checkpoints")

    @initialize(case=cases())
    def start(self, case: Case) -> None:
        self.case = case
        self.left_behind: list[tuple[Optimizer, list[float]]] = []
        self.optimizer = case.groups.build()
        self.policy = case.policy()
        self.model = self.unbound()
        self.bind_again("set_optimizer")

    # What the model says

    def unbound(self) -> Model:
        """The model of a fresh optimizer."""
        now = tuple(self.lrs())
        return Model(-1, 0, now, (), (None,) * len(now))

    def bound(self, model: Model) -> Model:
        """The model of a run that has just been bound, again where it has starts."""
        n = len(model.lrs)
        given = self.case.lr_init.values
        values = given if given is None or not self.case.broadcast else given[:1] * n
        starts = tuple(
            lr
            if self.case.left_alone(i)
            else values[i]
            if values is not None
            else model.starts[i]
            if i < len(model.starts)
            else lr
            if initial is None
            else initial
            for i, (lr, initial) in enumerate(zip(model.lrs, model.initial, strict=True))
        )
        at_0 = tuple(
            stored(lr_at(self.case.name, self.case.rule(i), lr, 0), self.case.groups.dtype(i))
            for i, lr in enumerate(starts)
        )
        new = model.lrs if values is None else starts
        initial = tuple(
            start if known is None and self.case.groups.option == "lr" else known
            for start, known in zip(new, model.initial, strict=True)
        )
        return Model(0, 1, at_0, starts, initial)

    def stepped(self, model: Model) -> Model:
        epoch, model = model.epoch + 1, model.seen()
        rows = enumerate(zip(model.lrs, model.starts, strict=True))
        after = tuple(
            lr_after(self.case.name, self.case.rule(i), lr, epoch, self.case.groups.dtype(i), start)
            for i, (lr, start) in rows
        )
        return replace(model, epoch=epoch, count=model.count + 1, lrs=after)

    def loaded(self, file: Model, model: Model, held: tuple[float, ...]) -> Model:
        """The model of a run into which the policy's state is loaded, over what groups hold."""
        alone = self.case.left_alone
        lrs, starts = (
            tuple(here if alone(i) else there for i, (there, here) in enumerate(pairs))
            for pairs in (
                zip(file.lrs, model.lrs, strict=True),
                zip(file.starts, held, strict=True),
            )
        )
        return replace(file, lrs=lrs, starts=starts, initial=model.initial)

    def warns(self, file: Model, model: Model) -> bool:
        """Say whether a load warns, as the groups started from neither what they did nor hold."""
        if self.case.lr_init.values is not None or not self.case.depends_on_starts():
            return False
        rows = enumerate(zip(model.seen().starts, file.starts, file.lrs, strict=True))
        return any(
            start not in (saved, lr) and not self.case.left_alone(i)
            for i, (start, saved, lr) in rows
        )

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
        file = save(self.optimizer, self.policy)
        self.model = self.model.seen()
        return Checkpoint(file, self.model)

    @rule(checkpoint=checkpoints, order=st.sampled_from(ORDERS))
    def load_into_fresh_objects(self, checkpoint: Checkpoint, order: tuple[str, ...]) -> None:
        self.leave()
        file = checkpoint.model
        self.optimizer, self.policy = self.fresh_optimizer(len(file.lrs)), self.case.policy()
        fresh = self.unbound()
        if order[0] == "optimizer":
            fresh = replace(fresh, lrs=file.lrs, initial=file.initial)
        fresh = self.bound(fresh)
        with pytest.warns(UserWarning, match="lr_init was") if self.warns(file, fresh) else quiet():
            resume(checkpoint.file, self.optimizer, self.policy, order)
        first = "optimizer" in order and order.index("optimizer") < order.index("policy")
        held = file.lrs if first else fresh.lrs
        if order[0] == "bind" and "optimizer" in order:
            fresh = replace(fresh, lrs=file.lrs, initial=file.initial)
        self.model = self.loaded(file, fresh, held)

    @rule(checkpoint=checkpoints)
    def load_in_place(self, checkpoint: Checkpoint) -> None:
        """Going back to an earlier point of the same run; the optimizer keeps its groups."""
        file = checkpoint.model
        if len(file.lrs) != len(self.model.lrs):
            return
        warns = self.warns(file, self.model)
        said = pytest.warns(UserWarning, match="lr_init was") if warns else quiet()
        with said, self.tensors_stay():
            resume(checkpoint.file, self.optimizer, self.policy, ["policy"])
        self.model = self.loaded(file, self.model, self.model.lrs)

    @rule(how=st.sampled_from(["call", "set_optimizer"]))
    def bind_again(self, how: str) -> None:
        warns = how == "call" and self.model.epoch > 0
        with self.tensors_stay():
            if how == "set_optimizer":
                self.policy.set_optimizer(self.optimizer)
            else:
                with pytest.warns(UserWarning, match="takes it back") if warns else quiet():
                    assert self.policy(self.optimizer) is self.policy
        self.model = self.bound(self.model)

    @rule(how=st.sampled_from(["call", "set_optimizer"]))
    def bind_to_another_optimizer(self, how: str) -> None:
        self.leave()
        self.optimizer = self.fresh_optimizer(len(self.case.groups.lrs))
        self.model = self.unbound()
        self.bind_again(how)

    @precondition(lambda self: self.case.broadcast and len(self.model.lrs) < 7)
    @rule(lr=st.none() | coarse)
    def add_a_group(self, lr: float | None) -> None:
        """With the optimizer's default lr, which may be the live tensor of group 0, or its own."""
        self.optimizer.add_param_group(self.new_group(lr))
        self.model = replace(
            self.model,
            lrs=(*self.model.lrs, self.lrs()[-1]),
            initial=(*self.model.initial, None),
        )

    @rule(data=st.data(), lr=coarse)
    def change_a_lr_from_outside(self, data: st.DataObject, lr: float) -> None:
        groups = self.optimizer.param_groups
        group = groups[data.draw(st.integers(0, len(groups) - 1), label="group")]
        before = self.held()
        held = group[self.policy.option]
        shared = [other is held and isinstance(held, torch.Tensor) for other in before]
        change(group, lr, self.policy.option)
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
        assert self.lrs() == list(self.model.lrs)
        assert self.policy.last_epoch == self.model.epoch
        assert self.policy._step_count == self.model.count
        assert self.policy.optimizer is self.optimizer
        assert self.policy.base_lrs == list(self.model.starts)

    @invariant()
    def the_last_lrs_are_what_the_groups_hold(self) -> None:
        assert [float(lr) for lr in self.policy.get_last_lr()] == list(self.model.lrs)

    @invariant()
    def initial_lr_is_written_at_binding_alone_and_of_lrs_alone(self) -> None:
        initial = [group.get("initial_lr") for group in self.optimizer.param_groups]
        assert [None if lr is None else float(lr) for lr in initial] == list(self.model.initial)

    @invariant()
    def lr_at_describes_the_undisturbed_run(self) -> None:
        starts = self.model.seen().starts
        rows = [(self.case.rule(i), start) for i, start in enumerate(starts)]
        for epoch in (0, self.model.epoch + 1):
            expected = [lr_at(self.case.name, rule, start, epoch) for rule, start in rows]
            assert self.policy.lr_at(epoch) == expected

    @invariant()
    def another_option_stays(self) -> None:
        if self.policy.option != "lr":
            assert {group["lr"] for group in self.optimizer.param_groups} == {1.0}

    @invariant()
    def each_group_holds_a_lr_of_the_kind_it_had(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            if self.case.groups.dtype(i) is None:
                assert type(group[self.policy.option]) is float
            else:
                assert group[self.policy.option].dtype == self.case.groups.dtype(i)

    @invariant()
    def nothing_handed_out_overlaps_a_live_lr(self) -> None:
        live = {*map(address, self.held())}
        kept: list[object] = [
            *self.policy.base_lrs,
            *self.policy.get_last_lr(),
            *self.policy.get_lr(),
        ]
        kept += [group.get("initial_lr") for group in self.optimizer.param_groups]
        assert not live & {address(lr) for lr in kept} - {None}

    @invariant()
    def the_runs_left_behind_stand_still(self) -> None:
        for optimizer, expected in self.left_behind:
            assert lrs(optimizer, self.policy.option) == expected

    # Helpers

    def leave(self) -> None:
        self.left_behind.append((self.optimizer, self.lrs()))

    def held(self) -> list[object]:
        return [group[self.policy.option] for group in self.optimizer.param_groups]

    def lrs(self) -> list[float]:
        return lrs(self.optimizer, self.policy.option)

    @contextmanager
    def tensors_stay(self) -> Iterator[None]:
        """Each group keeps its tensor, but for those that hold an element of an earlier group's."""
        before = self.held()
        places = [address(lr) for lr in before]
        yield
        for i, (lr, now) in enumerate(zip(before, self.held(), strict=True)):
            if places[i] is not None and places[i] not in places[:i]:
                assert now is lr

    def new_group(self, lr: float | None) -> dict[str, object]:
        group: dict[str, object] = {"params": [parameter()]}
        dtype = self.case.groups.dtypes[0]
        by_default = dtype is None and self.policy.option == "lr"
        if lr is None and not by_default and self.case.groups.form != "one tensor":
            lr = 0.5
        if lr is not None:
            group[self.policy.option] = lr if dtype is None else torch.tensor(lr, dtype=dtype)
            if self.case.groups.form in ACCELERATOR:
                group[self.policy.option] = on_accelerator(
                    self.case.groups.form, torch.tensor(lr, dtype=dtype)
                )
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
pytestmark = pytest.mark.spec(
    *("V5", "V9", "V11", "B1", "B3", "B5", "B8", "B9", "B10", "B11", "B13", "B18", "B19", "B20"),
    *("S4", "S8", "S12", "S13", "S14", "O1", "O2", "O5"),
    *("T11", "T12", "T15", "T17", "T24", "K1", "K2"),
)
