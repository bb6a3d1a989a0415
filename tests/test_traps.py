"""Traps that schedulers fell into, in torch and around it: one test each, with its issue."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from oracle import lrs
from strategies import ORDERS, AnyPolicy, Groups, parameter, plain, resume, save
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LinearLR, SequentialLR
from versions import BEGINS_WITH_THE_SECOND, SEQUENCE_IS_CLEAN

from thunder_policy import (
    Multiply,
    Policy,
    Scale,
    Schedule,
    Switch,
    UnboundPolicyError,
    simulate,
)


class Halve(Policy):
    """A custom policy: half the lr as it stands, once an epoch."""

    def get_lr(self) -> list[float | torch.Tensor]:
        factor = 0.5 if self.last_epoch else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]


MAKERS: dict[str, Callable[[], Policy]] = {
    "Switch": lambda: Switch({0: 0.5, 2: 0.25, 4: 0.125}),
    "Multiply": lambda: Multiply({0: 0.5, 2: 0.5, 4: 0.5}, lr_init=1),
    "Schedule": lambda: Schedule(lambda t: 2.0**-t),
    "Scale": lambda: Scale(lambda t: 2.0**-t, lr_init=1),
    "custom": Halve,
}
every_policy = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
every_order = pytest.mark.parametrize("order", ORDERS, ids=" ".join)


def sgd(*own: object) -> SGD:
    """An optimizer with one group for each lr."""
    return SGD([{"params": [parameter()], "lr": lr} for lr in own or (1.0,)], lr=1.0)


def advance(optimizer: Optimizer, scheduler: Policy | SequentialLR, times: int = 1) -> None:
    for _ in range(times):
        optimizer.step()
        scheduler.step()


def half_way(make: Callable[[], Policy], *own: object) -> tuple[SGD, Policy]:
    """A run after three of six steps."""
    optimizer, policy = sgd(*own), make()
    policy(optimizer)
    advance(optimizer, policy, 3)
    return optimizer, policy


# Resuming


@every_policy
@every_order
@pytest.mark.spec("T11")
def test_constructing_after_loading_does_not_overwrite_the_run(
    make: Callable[[], Policy], order: tuple[str, ...]
) -> None:
    """pytorch#119168, #65342: a scheduler built after optimizer.load_state_dict resets its lr."""
    optimizer, policy = half_way(make, 0.75, 0.25)
    fresh_optimizer, fresh = sgd(0.75, 0.25), make()
    resume(save(optimizer, policy), fresh_optimizer, fresh, order)
    assert lrs(fresh_optimizer) == lrs(optimizer)
    advance(optimizer, policy, 3)
    advance(fresh_optimizer, fresh, 3)
    assert lrs(fresh_optimizer) == lrs(optimizer)


@pytest.mark.spec("C1")
def test_constructing_a_policy_touches_no_optimizer() -> None:
    """pytorch#65342: what is only written down is not applied."""
    optimizer = sgd(0.75)
    before = optimizer.state_dict()
    Switch({0: 0.5})
    Multiply({0: 0.5})
    Schedule(float)
    Scale(float)
    assert optimizer.state_dict() == before


@every_policy
@pytest.mark.spec("T11")
def test_the_optimizers_state_is_not_needed(make: Callable[[], Policy]) -> None:
    """pytorch#29697: resuming with the scheduler's state alone starts from a wrong lr."""
    optimizer, policy = half_way(make)
    state = policy.state_dict()
    fresh_optimizer, fresh = sgd(99.0), make()
    fresh(fresh_optimizer)
    fresh.load_state_dict(state)
    assert lrs(fresh_optimizer) == lrs(optimizer)


@every_policy
@pytest.mark.spec("T10")
def test_loading_leaves_its_argument_alone(make: Callable[[], Policy]) -> None:
    """pytorch#32756: load_state_dict popped keys out of the caller's dict."""
    _, policy = half_way(make, torch.tensor(1.0))
    state = policy.state_dict()
    before = plain(state)
    fresh_optimizer, fresh = sgd(torch.tensor(1.0)), make()
    fresh(fresh_optimizer)
    for _ in range(2):  # loading can be repeated
        fresh.load_state_dict(state)
        assert plain(state) == before
    advance(fresh_optimizer, fresh, 3)
    assert plain(state) == before  # and a live run does not write into it


@every_policy
@pytest.mark.spec("T1")
def test_a_state_is_a_snapshot(make: Callable[[], Policy]) -> None:
    """pytorch#32756, the other direction: neither the run nor the dict changes the other."""
    optimizer, policy = half_way(make, torch.tensor(1.0))
    state = policy.state_dict()
    before = plain(state)
    advance(optimizer, policy, 3)
    assert plain(state) == before
    held = lrs(optimizer), policy.get_last_lr(), policy.base_lrs
    held = copy.deepcopy(held)
    fill(state, 77.0)
    assert (lrs(optimizer), policy.get_last_lr(), policy.base_lrs) == held


def fill(value: object, number: float) -> None:
    """Overwrite all that can be written in a state dict."""
    if isinstance(value, torch.Tensor):
        value.fill_(number)
    elif isinstance(value, dict):
        for inner in value.values():
            fill(inner, number)
        value.clear()
    elif isinstance(value, list):
        for inner in value:
            fill(inner, number)
        value.clear()


@pytest.mark.parametrize(
    "policy",
    [
        Switch({np.int64(2): np.float32(0.5)}, lr_init=np.float64(0.25)),
        Multiply([{2: torch.tensor(0.5)}, {}], lr_init=(np.float16(0.25), 1)),
        Schedule([lambda t: np.float32(t), np.cos]),
        Scale(np.cos),
        Halve(),
    ],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.spec("T1", "T2")
def test_a_state_passes_weights_only(policy: Policy) -> None:
    """pytorch#98921 (a Counter), #163105 (a function), #94450: refused by torch.load."""
    optimizer = sgd(torch.tensor(1.0), 1.0)
    policy(optimizer)
    advance(optimizer, policy, 2)
    file = io.BytesIO()
    torch.save(policy.state_dict(), file)
    file.seek(0)
    assert plain(torch.load(file, weights_only=True)) == plain(policy.state_dict())


@pytest.mark.spec("T9")
def test_an_attribute_that_weights_only_refuses_is_named_when_saving() -> None:
    """pytorch#163105: the error comes at saving, not after the run, and says what to do."""
    policy = Halve()(sgd())
    policy.anneal = lambda epoch: epoch  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="anneal") as error:
        policy.state_dict()
    assert "prepare_state_dict" in str(error.value)


@every_order
@pytest.mark.spec("T11", "T15")
def test_a_checkpoint_without_initial_lr_is_enough(order: tuple[str, ...]) -> None:
    """pytorch#140900: Distributed Checkpoint drops `initial_lr` from the param groups."""
    optimizer, policy = half_way(lambda: Multiply({2: 0.5, 4: 0.5}, lr_init=None), 0.75)
    for group in optimizer.param_groups:
        del group["initial_lr"]
    fresh_optimizer, fresh = sgd(0.75), Multiply({2: 0.5, 4: 0.5}, lr_init=None)
    resume(save(optimizer, policy), fresh_optimizer, fresh, order)
    advance(fresh_optimizer, fresh, 3)
    assert lrs(fresh_optimizer) == [0.75 * 0.5 * 0.5]
    assert fresh.base_lrs == [0.75]
    assert fresh.lr_at(0) == [0.75]


@every_policy
@pytest.mark.spec("T6")
def test_distributed_checkpoint_round_trip(make: Callable[[], Policy], tmp_path: Path) -> None:
    """pytorch#140900, its neighbour: DCP makes keys strings and refuses what a fresh one lacks."""
    optimizer, policy = half_way(make, torch.tensor(1.0))
    fresh_optimizer, fresh = sgd(torch.tensor(1.0)), make()
    state = fresh(fresh_optimizer).state_dict()
    with pytest.warns(UserWarning, match="single process"):
        dcp_save({"policy": policy.state_dict()}, checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="single process"):
        dcp_load({"policy": state}, checkpoint_id=tmp_path)
    fresh.load_state_dict(state)
    assert lrs(fresh_optimizer) == lrs(optimizer)
    assert fresh.last_epoch == 3


@pytest.mark.spec("T6", "T13")
def test_distributed_checkpoint_into_a_policy_with_another_mapping(tmp_path: Path) -> None:
    """pytorch#140900, its neighbour: a mapping as a dict would mix the keys of both."""
    optimizer = sgd()
    policy = Multiply({2: 0.5, 4: 0.5}, lr_init=1)(optimizer)
    advance(optimizer, policy, 3)
    fresh_optimizer = sgd()
    fresh = Multiply({3: 0.25, 5: 0.25}, lr_init=1)(fresh_optimizer)
    state = fresh.state_dict()
    with pytest.warns(UserWarning, match="single process"):
        dcp_save({"policy": policy.state_dict()}, checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="single process"):
        dcp_load({"policy": state}, checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="mapping"):
        fresh.load_state_dict(state)
    assert fresh.mapping == {2: 0.5, 4: 0.5}


# Tensor lrs


@every_policy
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.spec("B18")
def test_a_tensor_lr_stays_the_same_object(make: Callable[[], Policy], dtype: torch.dtype) -> None:
    """pytorch#107076, #120934: a new or a float lr makes torch.compile compile again."""

    def check_same() -> None:
        for group, tensor in zip(optimizer.param_groups, tensors, strict=True):
            assert group["lr"] is tensor
            assert tensor.dtype == dtype

    for form in ("0-dim", "shape [1]", "views of one buffer"):
        optimizer = Groups("Adam", form, (dtype,) * 2, (1.0, 0.5)).build()
        tensors = [group["lr"] for group in optimizer.param_groups]
        policy = make()
        policy(optimizer)
        check_same()
        advance(optimizer, policy, 5)
        check_same()
        policy.load_state_dict(policy.state_dict())
        check_same()
        policy.set_optimizer(optimizer)
        check_same()


@every_policy
@pytest.mark.parametrize("form", ["one tensor", "views of one element"])
@pytest.mark.spec("B19")
def test_groups_that_share_a_lr_are_parted(make: Callable[[], Policy], form: str) -> None:
    """pytorch#107076, its neighbour: Adam(params, lr=tensor) gives every group that tensor."""
    optimizer = Groups("Adam", form, (torch.float64,) * 3, (1.0, 1.0, 1.0)).build()
    first = optimizer.param_groups[0]["lr"]
    policy = make()
    policy(optimizer)
    advance(optimizer, policy, 2)
    alone = sgd(1.0)
    advance(alone, make()(alone), 2)
    assert lrs(optimizer) == lrs(alone) * 3  # a factor is not applied once a group
    assert optimizer.param_groups[0]["lr"] is first
    assert len({group["lr"].data_ptr() for group in optimizer.param_groups}) == 3


@every_policy
@pytest.mark.spec("B19", "S11")
def test_groups_that_share_a_lr_after_loading_are_parted_again(make: Callable[[], Policy]) -> None:
    """pytorch#107076, its neighbour: optimizer.load_state_dict can share a tensor again."""
    shared = Groups("SGD", "one tensor", (torch.float64,) * 2, (0.5, 0.5)).build().state_dict()
    optimizer = Groups("SGD", "0-dim", (torch.float64,) * 2, (1.0, 1.0)).build()
    policy = make()
    policy(optimizer)
    optimizer.load_state_dict(shared)
    live = optimizer.param_groups[0]["lr"]
    assert optimizer.param_groups[1]["lr"] is live
    advance(optimizer, policy, 2)
    first, second = lrs(optimizer)
    assert first == second
    assert optimizer.param_groups[0]["lr"] is live
    assert optimizer.param_groups[1]["lr"] is not live


@pytest.mark.spec("B19")
def test_lrs_that_share_a_number_of_numpy_are_parted() -> None:
    """Tensors made of views of one array begin at other addresses, and share their elements."""
    array = np.array([0.5, 0.5])
    optimizer = sgd(torch.from_numpy(array)[1], torch.from_numpy(array[1:])[0])
    Schedule([lambda epoch: 0.5, lambda epoch: 0.25])(optimizer)
    assert lrs(optimizer) == [0.5, 0.25]


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
        advance(optimizer, sequence)


@pytest.mark.spec("B20")
def test_writing_in_place_leaves_the_base_alone() -> None:
    """pytorch#126854: with a tensor lr, LambdaLR's factor was applied to its own last result."""
    optimizer = sgd(torch.ones(1), torch.tensor(1.0))
    schedule = Schedule(lambda epoch: 0.5, lr_init=None)(optimizer)
    advance(optimizer, schedule, 5)
    assert lrs(optimizer) == [0.5, 0.5]
    assert schedule.base_lrs == [1.0, 1.0]
    assert [group["initial_lr"].item() for group in optimizer.param_groups] == [1.0, 1.0]


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
        advance(optimizer, sequence)
    assert rows == [0.5, 0.25, 0.25, 1.0, 0.25, 0.25]
    assert lrs(optimizer) == [0.25]
    assert buffer.item() == 0.25 or not SEQUENCE_IS_CLEAN
    assert [part.base_lrs for part in parts] == [[1.0], [1.0]]


@every_policy
@pytest.mark.spec("S4", "B20")
def test_what_get_last_lr_returns_is_the_callers(make: Callable[[], Policy]) -> None:
    """pytorch#163103, #163120: it returned the live lr, to be corrupted or to change later."""
    optimizer, policy = half_way(make, torch.tensor(1.0), torch.ones(1))
    before = lrs(optimizer)
    answer = policy.get_last_lr()
    kept = [float(lr) for lr in answer]
    for lr in answer:
        assert isinstance(lr, torch.Tensor)
        lr.fill_(77.0)
    answer.clear()
    assert lrs(optimizer) == before
    earlier = policy.get_last_lr()
    assert [float(lr) for lr in earlier] == kept == before
    advance(optimizer, policy, 3)
    assert [float(lr) for lr in earlier] == kept


@pytest.mark.parametrize(
    "policy",
    [Switch({2: 0.5}), Multiply({2: 0.5}), Schedule(float), Scale(float), Halve()],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.spec("X4")
def test_a_step_does_not_wait_for_the_device(policy: Policy) -> None:
    """pytorch#133663: .item() in a step. A fake CUDA tensor raises wherever the host would wait."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        optimizer = sgd(1.0, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = torch.full((), 1.0, device="cuda")
        policy(optimizer)
        advance(optimizer, policy, 4)
        assert policy.last_epoch == 4
        assert all(lr.device.type == "cuda" for lr in policy.get_last_lr())  # type: ignore[union-attr]


# Composites


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
        advance(optimizer, sequence)
    first = [] if BEGINS_WITH_THE_SECOND else [8.0]
    assert rows == [*first, 0.5, 0.25, 0.125, 0.125][:4]


@every_policy
@pytest.mark.spec("X1")
def test_a_sequence_of_one_changes_nothing(make: Callable[[], Policy]) -> None:
    """pytorch#196243: an outer SequentialLR took one step too many."""
    optimizer = sgd(1.0)
    policy = make()
    sequence = SequentialLR(optimizer, [policy(optimizer)], milestones=[])
    rows = []
    for _ in range(6):
        rows.append(lrs(optimizer))
        advance(optimizer, sequence)
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
        advance(optimizer, sequence)
    assert rows == [*[0.25, 0.5, 0.75][:at], 4.0, 3.0, 2.0, 2.0]


# Groups that come and go


@pytest.mark.parametrize(
    ("policy", "taken_in", "value"),
    [
        (Switch({1: 0.5, 3: 0.25}, lr_init=1), 3, 0.25),
        (Multiply({1: 0.5, 3: 0.5}, lr_init=1), 3, 3.0),
        (Schedule(lambda t: 1.0 + t), 2, 3.0),
        (Scale(lambda t: 1.0 + t), 2, 18.0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Policy) else str(value),
)
@pytest.mark.spec("S13", "S14")
def test_a_group_added_later_is_taken_in(policy: AnyPolicy, taken_in: int, value: float) -> None:
    """pytorch#20997, #104361, #53712, #79888: an IndexError, or a group that nobody schedules."""
    optimizer = sgd(1.0)
    policy(optimizer)
    advance(optimizer, policy)
    optimizer.add_param_group({"params": [parameter()], "lr": 6.0})
    while policy.last_epoch + 1 < taken_in:
        advance(optimizer, policy)
        assert lrs(optimizer)[1] == 6.0
    advance(optimizer, policy)
    assert lrs(optimizer)[1] == value
    assert policy.get_last_lr() == lrs(optimizer)
    assert policy.base_lrs[1] == 6.0
    assert policy.current_lr_init is not None
    assert policy.current_lr_init[1] == 6.0
    assert "initial_lr" not in optimizer.param_groups[1]


@pytest.mark.parametrize(
    "policy",
    [
        Switch([{1: 0.5}, {2: 0.5}], lr_init=1),
        Multiply({1: 0.5}, lr_init=[1, 1]),
        Schedule([float, float]),
        Scale([float, None]),
    ],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.spec("S12", "S15")
def test_another_number_of_groups_than_mappings_is_an_error_before_any_write(
    policy: AnyPolicy, n: int
) -> None:
    """pytorch#104361, transformers#43692: with one mapping a group nobody knows which is whose."""
    optimizer = sgd(1.0, 1.0)
    policy(optimizer)
    advance(optimizer, policy)
    if n == 1:
        del optimizer.param_groups[0]
    else:
        optimizer.add_param_group({"params": [parameter()], "lr": 6.0})
    before = lrs(optimizer)
    optimizer.step()
    with pytest.raises(ValueError, match=rf"2\D+{n}\b"):
        policy.step()
    assert lrs(optimizer) == before
    assert policy.last_epoch == 1


@pytest.mark.spec("B19", "S13")
def test_a_group_added_with_the_live_tensor_of_another() -> None:
    """pytorch#20997, its neighbour: optimizer.defaults holds the lr tensor of group 0."""
    optimizer = Adam([parameter()], lr=torch.tensor(1.0))
    policy = Multiply({1: 0.5, 2: 0.5}, lr_init=None)(optimizer)
    advance(optimizer, policy)
    optimizer.add_param_group({"params": [parameter()]})
    live = optimizer.param_groups[0]["lr"]
    assert optimizer.param_groups[1]["lr"] is live
    advance(optimizer, policy)
    assert lrs(optimizer) == [0.25, 0.25]
    assert optimizer.param_groups[0]["lr"] is live
    assert optimizer.param_groups[1]["lr"] is not live


@pytest.mark.parametrize(
    "policy",
    [
        Switch({0: 0.5, 2: 0.25}),
        Multiply({2: 0.5}, lr_init=None),
        Schedule(lambda t: 2.0**-t),
        Scale(lambda t: 1 / (1 + t / 2)),
    ],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.spec("S16")
def test_an_empty_group_that_is_dropped(policy: AnyPolicy) -> None:
    """transformers#43692: DeepSpeed drops empty groups after the scheduler is built."""
    optimizer = SGD(
        [{"params": [], "lr": 8.0}, {"params": [parameter()], "lr": 0.5}],
        lr=1.0,
    )
    policy(optimizer)
    advance(optimizer, policy)
    kept = policy.base_lrs[1]
    groups = optimizer.param_groups
    groups[:] = [group for group in groups if group["params"]]
    advance(optimizer, policy)
    assert lrs(optimizer) == [0.25]
    assert policy.get_last_lr() == [0.25]
    assert policy.base_lrs == [kept]


@pytest.mark.spec("S11")
def test_replaced_param_groups_are_noticed() -> None:
    """optimizer.load_state_dict replaces param_groups, their dicts and the tensors in them."""
    optimizer = sgd(torch.tensor(1.0))
    policy = Multiply({1: 0.5, 2: 0.5}, lr_init=None)(optimizer)
    advance(optimizer, policy)
    stale = optimizer.param_groups[0]["lr"]
    optimizer.load_state_dict(sgd(torch.tensor(8.0)).state_dict())
    advance(optimizer, policy)
    assert lrs(optimizer) == [4.0]
    assert stale.item() == 0.5


# Warnings, memory and other people's code


@every_policy
@pytest.mark.parametrize(
    "interruption", ["bind again", "bind a second", "deepcopy", "pickle", "resume"]
)
@pytest.mark.spec("S9", "K2", "B13")
def test_a_correct_loop_is_not_warned(make: Callable[[], Policy], interruption: str) -> None:
    """pytorch#44511: the order of calls was right, and the warning came. (Warnings are errors.)"""
    if interruption == "pickle":
        make = {MAKERS["Schedule"]: picklable, MAKERS["Scale"]: picklable}.get(make, make)
    optimizer, policy = sgd(), make()
    policy(optimizer)
    advance(optimizer, policy, 2)
    if interruption == "bind again":
        policy.set_optimizer(optimizer)
    elif interruption == "bind a second":
        policy = make()
        policy(optimizer)
    elif interruption == "deepcopy":
        optimizer, policy = copy.deepcopy((optimizer, policy))
    elif interruption == "pickle":
        optimizer, policy = pickle.loads(pickle.dumps((optimizer, policy)))
    else:
        saved = save(optimizer, policy)
        optimizer, policy = sgd(), make()
        resume(saved, optimizer, policy, ORDERS[0])
    epoch = policy.last_epoch
    advance(optimizer, policy, 2)
    assert policy.last_epoch == epoch + 2


def picklable() -> Schedule:
    return Schedule(np.cos)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.spec("K2")
def test_a_copy_remembers_that_the_optimizer_has_stepped(steps: int) -> None:
    """pytorch#44511: a copied optimizer is not wrapped, and has forgotten its steps."""
    optimizer = sgd()
    policy = Switch({1: 0.5}, lr_init=1)(optimizer)
    advance(optimizer, policy, steps)
    optimizer.step()
    twin_optimizer, twin = copy.deepcopy((optimizer, policy))
    twin.step()
    assert lrs(twin_optimizer) == [0.5]
    assert twin.last_epoch == steps + 1


@pytest.fixture
def no_gc() -> Iterator[None]:
    """The cycle collector off, so that only reference counts free anything."""
    sgd(torch.tensor(1.0)).step()  # the first step of a process imports modules, and leaves cycles
    gc.disable()
    yield
    gc.enable()


@every_policy
@pytest.mark.usefixtures("no_gc")
@pytest.mark.spec("K3")
def test_dropping_the_last_names_frees_policy_and_optimizer(make: Callable[[], Policy]) -> None:
    """pytorch#25605, #85410: reference cycles kept the optimizer, and the GPU memory of it."""
    optimizer, policy = sgd(torch.tensor(1.0)), make()
    policy(optimizer)
    advance(optimizer, policy, 3)
    policy.load_state_dict(policy.state_dict())
    simulate(policy, 3)
    repr(policy), policy.get_last_lr()
    dead: list[weakref.ref[object]] = [
        weakref.ref(policy),
        weakref.ref(optimizer),
        weakref.ref(optimizer.param_groups[0]["lr"]),
    ]
    del policy, optimizer
    assert [reference() for reference in dead] == [None, None, None]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.spec("K3")
def test_dropping_a_composite_frees_what_is_in_it() -> None:
    """pytorch#126131: a leak seen with SequentialLR and ChainedScheduler."""
    optimizer = sgd()
    parts = [make({1: 0.5}, lr_init=None)(optimizer) for make in (Switch, Multiply)]
    sequence = SequentialLR(optimizer, list(parts), milestones=[2])
    advance(optimizer, sequence, 4)
    dead: list[weakref.ref[object]] = [weakref.ref(each) for each in (optimizer, *parts)]
    del sequence, parts, optimizer
    assert [reference() for reference in dead] == [None, None, None]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.spec("K3", "B9")
def test_rebinding_frees_the_optimizer_left_behind() -> None:
    """pytorch#25605, its neighbour: nothing of the former optimizer is kept."""
    optimizer = sgd()
    policy = Switch({1: 0.5}, lr_init=1)(optimizer)
    advance(optimizer, policy)
    dead = weakref.ref(optimizer)
    optimizer = sgd()
    policy(optimizer)
    assert dead() is None


@every_policy
@pytest.mark.spec("B14")
def test_an_unbound_policy_has_no_optimizer_to_ask_for(make: Callable[[], Policy]) -> None:
    """accelerate attaches a scheduler without an optimizer to every optimizer it prepares."""
    policy = make()
    assert getattr(policy, "optimizer", None) is None
    assert not hasattr(policy, "optimizer")
    with pytest.raises(UnboundPolicyError, match=r"call policy\(optimizer\) first"):
        policy.step()
    with pytest.raises(TypeError, match="optimizer"):
        SequentialLR(sgd(), [policy], milestones=[])


@pytest.mark.spec("B17")
def test_a_wrapper_may_put_itself_in_the_optimizers_place() -> None:
    """accelerate and others assign to `scheduler.optimizer`."""

    class Wrapper(Optimizer):
        def __init__(self, inner: Optimizer) -> None:
            self.inner = inner

        def __getattribute__(self, name: str) -> object:
            inner = object.__getattribute__(self, "inner")
            return inner if name == "inner" else getattr(inner, name)

    optimizer = sgd()
    policy = Switch({1: 0.5, 2: 0.25}, lr_init=1)(optimizer)
    policy.optimizer = Wrapper.__new__(Wrapper)
    object.__setattr__(policy.optimizer, "inner", optimizer)
    advance(optimizer, policy, 2)
    assert lrs(optimizer) == [0.25]
    assert "optimizer" not in policy.state_dict()


@every_policy
@pytest.mark.spec("X1")
def test_the_step_count_is_not_the_epoch(make: Callable[[], Policy]) -> None:
    """accelerate adds to `_step_count` while it accumulates gradients."""
    optimizer, policy = sgd(), make()
    policy(optimizer)
    rows = [lrs(optimizer)]
    for _ in range(5):
        optimizer.step()
        policy._step_count += 3
        policy.step()
        rows.append(lrs(optimizer))
    assert rows == simulate(make(), 6, lr=1.0).tolist()


@every_policy
@pytest.mark.spec("X3")
def test_no_attribute_that_frameworks_read_meaning_into(make: Callable[[], Policy]) -> None:
    """Lightning and others look for OneCycleLR's and MultiStepLR's attributes."""
    policy = make()
    for _ in range(2):
        assert not hasattr(policy, "total_steps")
        assert not hasattr(policy, "milestones")
        policy(sgd())
