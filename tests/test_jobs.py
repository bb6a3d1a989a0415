"""What people ask of a policy: one test a job, with the threads that asked for it."""

from __future__ import annotations

import copy
import csv
import io
import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import advance, lrs, parameter, reciprocal, sgd, tensor, through_disk, unchanged
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS, change, resume, save
from torch import nn
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

from thunder_policy import (
    MappingPolicy,
    Multiply,
    Plateau,
    Policy,
    Scale,
    Schedule,
    Switch,
    plot,
    simulate,
)
from thunder_policy.cli import main
from thunder_policy.schedules import Constant, Cosine, Linear, warmup

PAGE = Path(__file__).parents[1] / "thunder_policy" / "RECIPES.md"
RECIPES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)

DTYPES = (None, torch.float64, torch.float32, torch.bfloat16)


def held(value: float, dtype: torch.dtype | None) -> Any:
    return value if dtype is None else tensor(value, dtype)


# The page


def test_each_recipe_has_at_most_ten_lines() -> None:
    """That they run is seen with those of the other pages."""
    assert len(RECIPES) > 10
    for block in RECIPES:
        lines = [line for line in block.splitlines() if line.strip()]
        assert len(lines) <= 10, lines[0]


# Groups that have lrs of their own: DeepSpeed#7713, torchtitan#2859


@pytest.mark.spec("V4", "V11", "V17", "V19", "B18", "T11", "T17")
@given(
    starts=st.lists(st.sampled_from([0.1, 0.001, 0.02, 3.0]), min_size=2, max_size=4),
    dtype=st.sampled_from(DTYPES),
    stop=st.integers(0, 30),
    order=st.sampled_from(ORDERS),
    k=st.integers(1, 3),
)
def test_scale_keeps_the_ratio_of_the_groups_at_every_epoch(
    starts: list[float], dtype: torch.dtype | None, stop: int, order: Sequence[str], k: int
) -> None:
    """Float and tensor lrs, lr_at, simulate, in_steps, resume."""
    curve = warmup(3, Cosine(1.0, 0.0, epochs=27))
    close = 1e-12 if dtype is None else 2 * torch.finfo(dtype).eps

    def keeps(values: Sequence[Any], epoch: float) -> None:
        factor = curve(epoch)
        own = [float(held(start, dtype)) for start in starts]
        expected = [start * factor for start in own]
        assert [*map(float, values)] == pytest.approx(expected, rel=close, abs=1e-15)

    def begin() -> tuple[SGD, Scale]:
        return sgd(*(held(start, dtype) for start in starts)), Scale(curve).in_steps(k)

    optimizer, policy = begin()
    policy(optimizer)
    rows = simulate(policy, 31 * k).tolist()
    for epoch in range(stop):
        keeps(lrs(optimizer), epoch)
        keeps(policy.lr_at(k * epoch), epoch)
        keeps(rows[k * epoch], epoch)
        advance(policy, k)
    saved = save(optimizer, policy)
    optimizer, policy = begin()
    resume(saved, optimizer, policy, order)
    for epoch in range(stop, 31):
        keeps(policy.get_last_lr(), epoch)
        keeps(policy.lr_at(k * epoch), epoch)
        advance(policy, k)


@pytest.mark.spec("V4", "T6")
def test_plot_preview_and_distributed_checkpoint_keep_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = Cosine(1.0, 0.0, epochs=9)
    policy = Scale(curve, lr_init=[0.1, 0.001])
    lines = plot(policy, epochs=9).lines
    columns = [np.asarray(line.get_ydata())[:9] for line in lines]
    assert columns[0] == pytest.approx(100 * columns[1])

    text = "Scale(Cosine(1.0, 0.0, epochs=9), lr_init=[0.1, 0.001])"
    assert main(["preview", text, "--epochs", "9", "--csv"]) == 0
    _, *table = csv.reader(io.StringIO(capsys.readouterr().out))
    assert len(table) == 9
    for at, one, other in table:
        assert [float(one), float(other)] == policy.lr_at(int(at))

    saved = Scale(curve)(sgd(0.1, 0.001))
    advance(saved, 4)
    fresh = Scale(curve)(sgd(0.1, 0.001))
    state = fresh.state_dict()
    with pytest.warns(UserWarning, match="single process"):
        dcp_save({"policy": saved.state_dict()}, checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="single process"):
        dcp_load({"policy": state}, checkpoint_id=tmp_path)
    fresh.load_state_dict(state)
    for epoch in range(4, 10):
        assert lrs(fresh.optimizer) == [0.1 * curve(epoch), 0.001 * curve(epoch)]
        advance(fresh)


@pytest.mark.spec("V11", "S13", "S14", "T24")
@given(
    k=st.integers(0, 20),
    dtype=st.sampled_from(DTYPES),
    stop=st.integers(0, 10),
    order=st.sampled_from(ORDERS),
)
def test_a_group_unfrozen_with_a_tenth_of_the_lr_follows_a_tenth_of_the_curve(
    k: int, dtype: torch.dtype | None, stop: int, order: Sequence[str]
) -> None:
    curve = Cosine(1.0, 0.0, epochs=30)
    close = 1e-12 if dtype is None else 2 * torch.finfo(dtype).eps
    optimizer = sgd(held(0.1, dtype))
    policy = Scale(curve)(optimizer)
    advance(policy, k)
    optimizer.add_param_group({"params": [parameter()], "lr": held(0.01, dtype)})
    advance(policy, stop)
    saved = save(optimizer, policy)
    optimizer, policy = sgd(held(0.1, dtype), held(0.01, dtype)), Scale(curve)
    resume(saved, optimizer, policy, order)
    for epoch in range(k + stop + 1, 31):
        advance(policy)
        head, body = lrs(optimizer)
        assert head == pytest.approx(0.1 * curve(epoch), rel=close, abs=1e-12)
        assert body == pytest.approx(0.01 * curve(epoch), rel=close, abs=1e-12)
        assert policy.lr_at(epoch) == pytest.approx([head, body], rel=close, abs=1e-12)


# Other options: pytorch#22343, optax#1426, Lightning#18117


@pytest.mark.spec("O1", "O2", "T4", "T25")
@pytest.mark.parametrize("order", ORDERS)
def test_weight_decay_is_scheduled_beside_the_lr_and_both_are_resumed(order: Any) -> None:
    up, down = Cosine(0.04, 0.4, epochs=20), warmup(5, Cosine(0.1, 0.0, epochs=15))

    def begin() -> tuple[Optimizer, Policy, Policy]:
        optimizer = AdamW([parameter()], lr=0.1, weight_decay=0.04)
        return optimizer, Schedule(down), Schedule(up, option="weight_decay")

    optimizer, lr, decay = begin()
    lr(optimizer), decay(optimizer)
    for epoch in range(12):
        [group] = optimizer.param_groups
        assert (group["lr"], group["weight_decay"]) == (down(epoch), up(epoch))
        optimizer.step()
        lr.step()
        decay.step()
    states = through_disk([one.state_dict() for one in (optimizer, lr, decay)])

    optimizer, lr, decay = begin()
    for what in order:
        if what == "bind":
            lr(optimizer), decay(optimizer)
        elif what == "optimizer":
            optimizer.load_state_dict(states[0])
        else:
            decay.load_state_dict(states[2])
            lr.load_state_dict(states[1])
    for epoch in range(12, 25):
        [group] = optimizer.param_groups
        assert (group["lr"], group["weight_decay"]) == (down(epoch), up(epoch))
        optimizer.step()
        lr.step()
        decay.step()
    with pytest.raises(ValueError, match="option"):
        lr.load_state_dict(decay.state_dict())


@pytest.mark.spec("O1", "O3")
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_the_momentum_of_one_cycle_is_a_second_policy(
    kind: str, strategy: Any, three_phase: bool
) -> None:
    def begin() -> Optimizer:
        params = [{"params": [parameter()], "lr": lr} for lr in (0.1, 0.2)]
        return Adam(params) if kind == "Adam" else SGD(params, momentum=0.9)

    theirs, ours = begin(), begin()
    cycle = OneCycleLR(
        theirs, 0.8, total_steps=40, anneal_strategy=strategy, three_phase=three_phase
    )
    anneal: Any = Cosine if strategy == "cos" else Linear
    n, low = 11, 0.8 / 25  # 0.3 * 40 - 1
    if three_phase:
        lr = anneal(low, 0.8, n).then(anneal(0.8, low, n), at=n)
        lr = lr.then(anneal(low, low / 1e4, 39 - 2 * n), at=2 * n)
        momentum = anneal(0.95, 0.85, n).then(anneal(0.85, 0.95, n), at=n)
    else:
        lr = anneal(low, 0.8, n).then(anneal(0.8, low / 1e4, 39 - n), at=n)
        momentum = anneal(0.95, 0.85, n).then(anneal(0.85, 0.95, 39 - n), at=n)
    policies = Schedule(lr)(ours), Schedule(momentum, option="momentum")(ours)
    for step in range(40):
        for one, other in zip(ours.param_groups, theirs.param_groups):
            for key in ("lr", "momentum" if kind == "SGD" else "betas"):
                assert one[key] == pytest.approx(other[key], rel=1e-9), step
        if step < 39:
            theirs.step()
            cycle.step()
            ours.step()
            for policy in policies:
                policy.step()


@pytest.mark.spec("O1", "B2")
def test_an_option_that_the_groups_lack_is_an_error_that_names_those_they_have() -> None:
    policy, optimizer = Schedule(reciprocal, option="dropout"), sgd()
    with (
        unchanged(policy, optimizer),
        pytest.raises(ValueError, match=r"has no dropout; it has lr, momentum, .*weight_decay"),
    ):
        policy(optimizer)


# One group only: pytorch#67761


@pytest.mark.spec("V9", "T16", "T17", "T20")
@pytest.mark.parametrize("on_load", ["restore", "override"])
@pytest.mark.parametrize("name", ["Schedule", "Scale", "Plateau"])
def test_one_group_only(name: str, on_load: Any) -> None:
    curve = Cosine(1.0, 0.0, epochs=9)

    def begin(own: float) -> tuple[SGD, MappingPolicy[Any]]:
        policy = (Schedule if name == "Schedule" else Scale)([curve, None], on_load=on_load)
        optimizer = sgd(held(1.0, dtype), held(own, dtype))
        return optimizer, Plateau(policy) if name == "Plateau" else policy

    for dtype, order in product(DTYPES, ORDERS):
        optimizer, policy = begin(0.3)
        policy(optimizer)
        change(optimizer.param_groups[1], 0.75)  # nobody's business
        assert policy.lr_at(4)[1] == float(held(0.3, dtype))
        for epoch in range(9):
            advance(policy)
            assert lrs(optimizer) == pytest.approx([curve(epoch + 1), 0.75], rel=1e-2)
            policy.load_state_dict(through_disk(policy.state_dict()))
            assert policy.lr_at(4)[1] == 0.75

        saved = save(optimizer, policy)
        optimizer, policy = begin(0.5)
        resume(saved, optimizer, policy, order)
        holds = 0.75 if "optimizer" in order else 0.5
        assert lrs(optimizer) == [0.0, holds]
        if on_load == "override":
            advance(policy)
        if on_load == "override" or order[-1] == "policy":
            assert lrs(optimizer) == policy.lr_at(policy.last_epoch) == [0.0, holds]


# A change of plan: Megatron#1138, composer#3154, open_clip#413, ultralytics/yolov3#626,
# pytorch#60265, #156846


PLANS: dict[str, tuple[Callable[..., MappingPolicy[Any]], Callable[..., MappingPolicy[Any]]]] = {
    "a longer cosine": (
        lambda **rest: Schedule(Cosine(0.1, 0.0, epochs=10), **rest),
        lambda **rest: Schedule(Cosine(0.1, 0.0, epochs=20), **rest),
    ),
    "a longer scale": (
        lambda **rest: Scale(Cosine(1.0, 0.0, epochs=10), **rest),
        lambda **rest: Scale(Cosine(1.0, 0.0, epochs=20), **rest),
    ),
    "other milestones": (
        lambda **rest: Multiply({3: 0.1, 6: 0.1}, lr_init=0.1, **rest),
        lambda **rest: Multiply({7: 0.1, 15: 0.1}, lr_init=0.1, **rest),
    ),
    "a lower lr": (
        lambda **rest: Multiply({3: 0.1, 6: 0.1}, lr_init=0.1, **rest),
        lambda **rest: Multiply({3: 0.1, 6: 0.1}, lr_init=0.01, **rest),
    ),
    "other lrs": (
        lambda **rest: Switch({0: 0.1, 5: 0.01}, **rest),
        lambda **rest: Switch({0: 0.2, 5: 0.02, 8: 0.03}, **rest),
    ),
    "a later first switch": (
        lambda **rest: Switch({5: 0.01}, lr_init=0.1, **rest),
        lambda **rest: Switch({9: 0.01}, lr_init=0.1, **rest),
    ),
}
each_plan = pytest.mark.parametrize(("old", "new"), PLANS.values(), ids=PLANS)


@pytest.mark.spec("T12", "T13", "T14", "T16", "T18", "T19", "T20")
@each_plan
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_change_of_plan_is_said_once_or_holds_at_once(
    old: Any, new: Any, order: Any, dtype: torch.dtype | None
) -> None:
    optimizer = sgd(held(0.1, dtype))
    policy = old()(optimizer)
    advance(policy, 8)
    saved, before = save(optimizer, policy), lrs(optimizer)

    optimizer, policy = sgd(held(0.1, dtype)), new()
    with pytest.warns(UserWarning, match=r'is not what was saved.*on_load="override"') as caught:
        resume(saved, optimizer, policy, order)
    assert len(caught) == 1
    assert lrs(optimizer) == before

    optimizer, policy = sgd(held(0.1, dtype)), new(on_load="override")
    resume(saved, optimizer, policy, order)
    if order[-1] == "policy":
        assert lrs(optimizer) == stored(policy.lr_at(8), dtype)
    for epoch in range(9, 22):
        advance(policy)
        assert lrs(optimizer) == pytest.approx(stored(policy.lr_at(epoch), dtype), rel=1e-6)
    fresh = new()(sgd(held(0.1, dtype)))
    assert policy.lr_at(8) == fresh.lr_at(8)


def stored(values: list[float], dtype: torch.dtype | None) -> list[float]:
    return [float(held(value, dtype)) for value in values]


@pytest.mark.spec("T18", "T19")
def test_from_two_processes_to_one() -> None:
    """Where steps are counted a batch, half the processes take twice the steps."""
    curve = Cosine(0.1, 0.0, epochs=10)
    policy = Schedule(curve).in_steps(250)(sgd())
    advance(policy, 8 * 250)
    state = policy.state_dict()
    fewer = Schedule(curve, on_load="override").in_steps(500)(sgd())
    fewer.load_state_dict({**state, "last_epoch": 2 * state["last_epoch"]})
    assert fewer.get_last_lr() == fewer.lr_at(4000) == [curve(8)]


# The numbers that a policy says and those in use


LR_INIT: list[dict[str, Any]] = [{}, {"lr_init": None}, {"lr_init": 0.2}, {"lr_init": [0.2, 0.3]}]
number = st.sampled_from([0.0, 0.1, 0.25, 1.0, 3.0])
by_epoch = st.dictionaries(st.integers(0, 8), number, max_size=4)
plans = st.one_of(
    st.builds(
        lambda kind, mapping, rest: (kind, mapping, rest),
        st.sampled_from([Switch, Multiply]),
        by_epoch | st.tuples(by_epoch, by_epoch),
        st.sampled_from(LR_INIT),
    ),
    st.builds(
        lambda kind, mapping, rest: (kind, mapping, rest),
        st.sampled_from([Schedule, Scale]),
        st.sampled_from([reciprocal, Constant(0.1), [reciprocal, None], [Constant(0.5)] * 2]),
        st.sampled_from(LR_INIT),
    ),
)


@pytest.mark.filterwarnings("ignore:.*lr_init was not given:UserWarning")
@pytest.mark.spec("V19", "T11", "T17", "T18", "T20", "T21")
@given(old=plans, new=plans, stop=st.integers(0, 9), order=st.sampled_from(ORDERS))
def test_what_is_in_use_is_lr_at_the_epoch_after_every_load(
    old: Any, new: Any, stop: int, order: Sequence[str]
) -> None:
    """Where the plan does not differ, silently; under override whatever was saved."""
    kind, mapping, rest = old
    optimizer = sgd(0.1, 0.5)
    policy = kind(mapping, **rest)(optimizer)
    advance(policy, stop)
    assert policy.get_last_lr() == policy.lr_at(stop)
    saved = save(optimizer, policy)

    same_optimizer, same = sgd(0.1, 0.5), kind(mapping, **rest)
    resume(saved, same_optimizer, same, order)
    other_kind, other_mapping, other_rest = new
    other_optimizer = sgd(0.1, 0.5)
    other = other_kind(other_mapping, **other_rest, on_load="override")
    resume(saved, other_optimizer, other, order)
    for one, its in ((same, mapping), (other, other_mapping)):
        driven = [i for i in range(2) if not isinstance(its, list) or its[i] is not None]
        for epoch in range(stop, stop + 4):
            if epoch > stop:
                advance(one)
            elif order[-1] != "policy" and one is other:
                continue  # the optimizer was loaded last: the next step writes
            assert [one.get_last_lr()[i] for i in driven] == [one.lr_at(epoch)[i] for i in driven]
    assert same.last_epoch == other.last_epoch == stop + 3


# No warning in any correct loop


LOOPS = ("resume", "late group", "fold", "refit", "lr finder", "copy", "in place")
MAKERS: dict[str, Callable[[], Policy]] = {
    "Switch": lambda: Switch({0: 0.5, 3: 0.25, 7: 0.125}),
    "Switch from its start": lambda: Switch({3: 0.25, 7: 0.125}, lr_init=None),
    "Multiply": lambda: Multiply({2: 0.5, 5: 0.3}, lr_init=None),
    "Multiply from 1e-3": lambda: Multiply({2: 0.5, 5: 0.3}, lr_init=1e-3),
    "Schedule": lambda: Schedule(warmup(3, Cosine(0.1, 0.0, epochs=9))),
    "Scale": lambda: Scale(warmup(3, Cosine(1.0, 0.0, epochs=9))),
    "Scale a third": lambda: Scale(lambda epoch: (1 / 3) ** epoch),
    "override": lambda: Scale(reciprocal, on_load="override"),
    "Plateau": lambda: Plateau(Scale(reciprocal), factor=0.3, patience=0),
}


@pytest.mark.spec("V12", "B13", "T15", "T16", "T17", "S9", "X1")
@given(
    name=st.sampled_from([*MAKERS]),
    dtype=st.sampled_from(DTYPES),
    steps=st.lists(st.sampled_from(LOOPS) | st.integers(0, 3), max_size=8),
    order=st.sampled_from(ORDERS),
    container=st.sampled_from(["none", "first", "second", "twice", "chained"]),
)
def test_no_correct_loop_warns(
    name: str, dtype: torch.dtype | None, steps: list[Any], order: Sequence[str], container: str
) -> None:
    """A warning is an error in these tests."""

    def begin() -> tuple[SGD, Policy]:
        return sgd(held(0.1, dtype), held(0.02, dtype)), MAKERS[name]()

    def inside(optimizer: SGD, policy: Policy) -> LRScheduler:
        def after(*parts: LRScheduler, at: int = 4) -> LRScheduler:
            return SequentialLR(optimizer, [*parts], milestones=[at])

        match container:
            case "first":
                return after(policy(optimizer), ExponentialLR(optimizer, 0.9))
            case "second":
                return after(LinearLR(optimizer, 0.5, total_iters=4), policy(optimizer))
            case "twice":
                return after(policy(optimizer), copy.copy(policy)(optimizer))
            case "chained":
                return ChainedScheduler([policy(optimizer), StepLR(optimizer, 3, 0.5)])
            case _:
                return policy(optimizer)

    optimizer, policy = begin()
    scheduler = inside(optimizer, policy)
    groups = 2
    for step in steps:
        if isinstance(step, int):
            for _ in range(step):
                optimizer.step()
                scheduler.step()
        elif step == "resume":
            states = through_disk([optimizer.state_dict(), scheduler.state_dict()])
            optimizer, policy = begin()
            for _ in range(groups - 2):
                optimizer.add_param_group({"params": [parameter()], "lr": held(0.01, dtype)})
            for what in order:
                if what == "bind":
                    scheduler = inside(optimizer, policy)
                elif what == "optimizer":
                    optimizer.load_state_dict(states[0])
                else:
                    scheduler.load_state_dict(states[1])
        elif step == "late group" and container == "none":
            optimizer.add_param_group({"params": [parameter()], "lr": held(0.01, dtype)})
            groups += 1
        elif step == "fold":
            optimizer, groups = begin()[0], 2
            scheduler = inside(optimizer, policy)
        elif step == "refit":
            policy.set_optimizer(optimizer)
            scheduler = inside(optimizer, policy)
        elif step == "lr finder":
            before = copy.deepcopy(optimizer.state_dict())
            for group in optimizer.param_groups:
                group["lr"] = held(7.0, dtype)
            optimizer.load_state_dict(before)
        elif step == "copy":
            optimizer, scheduler, policy = copy.deepcopy((optimizer, scheduler, policy))
        elif container == "none":
            policy.load_state_dict(policy.state_dict())
    assert all(value >= 0 for value in lrs(optimizer))


# Start at epoch k without a state: pytorch#3026, openpifpaf#363


@pytest.mark.spec("B3", "B4", "V19")
@pytest.mark.parametrize("name", MAKERS)
def test_a_run_is_taken_up_at_epoch_k_without_a_state(name: str) -> None:
    policy = MAKERS[name]()(sgd(0.1, 0.02), last_epoch=34)
    assert policy.last_epoch == 35
    assert policy.get_last_lr() == policy.lr_at(35)
    advance(policy)
    assert policy.get_last_lr() == policy.lr_at(36)


@pytest.mark.spec("B1", "B3")
def test_last_epoch_of_minus_1_goes_through_as_skorch_gives_it() -> None:
    """skorch calls policy(optimizer, last_epoch=-1) or with what is in kwargs."""
    for bound in (Scale(reciprocal)(sgd(), last_epoch=-1), Scale(reciprocal)(sgd(), -1)):
        assert (bound.last_epoch, bound.get_last_lr()) == (0, [0.1])


# Two optimizers, one rule: GANs, DeepSpeed#3492


@pytest.mark.spec("B11", "B12", "B13")
def test_of_two_optimizers_the_second_gets_a_copy() -> None:
    rule = Scale(reciprocal)
    one, two = sgd(), sgd()
    rule(one)
    rule(two)
    one.step()
    two.step()
    with pytest.warns(UserWarning, match=r"copy.copy\(policy\)"):
        rule.step()

    rule = Scale(reciprocal)
    both = rule(sgd()), copy.copy(rule)(sgd())
    for policy in both:
        advance(policy, 3)
    assert [policy.get_last_lr() for policy in both] == [[0.025]] * 2

    advance(policy := Scale(reciprocal)(one := sgd()), 2)
    with pytest.warns(UserWarning, match="takes it back to 0"):
        policy(one)  # as DeepSpeed calls whatever is callable


# After a warm-up another scheduler goes on: pytorch#33416, #21965


@pytest.mark.spec("X1", "B8")
@given(
    name=st.sampled_from([name for name in MAKERS if name != "override"]),
    milestone=st.integers(1, 4),
    before=st.sampled_from([None, "Switch", "Multiply", "Schedule", "Scale"]),
    dtype=st.sampled_from(DTYPES[:2]),
)
def test_torch_s_scheduler_starts_from_the_right_lr_after_a_policy(
    name: str, milestone: int, before: str | None, dtype: torch.dtype | None
) -> None:
    """That is what the optimizer was made with, whatever was bound before and made up its own."""
    optimizer = sgd(held(0.1, dtype), held(0.02, dtype))
    if before is not None:
        MAKERS[before]()(optimizer)
    policy = MAKERS[name]()
    own = [1e-3, 1e-3] if name == "Multiply from 1e-3" and before is None else [0.1, 0.02]
    scheduler = SequentialLR(
        optimizer, [policy(optimizer), ExponentialLR(optimizer, 0.5)], milestones=[milestone]
    )
    for _ in range(milestone):
        optimizer.step()
        scheduler.step()
    assert lrs(optimizer) == pytest.approx(own)
    optimizer.step()
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([value / 2 for value in own])


@pytest.mark.spec("B8", "B10", "V10")
def test_a_cell_of_a_notebook_that_is_run_again() -> None:
    """First without lr_init, then with None: from the lr that the optimizer was made with."""
    for first in (Multiply({1: 0.5}), Switch({0: 0.3}), Schedule(reciprocal), Scale(reciprocal)):
        optimizer = sgd(0.4, 0.04)
        if isinstance(first, Multiply):
            with pytest.warns(UserWarning, match="lr_init was not given"):
                first(optimizer)
        else:
            first(optimizer)
        assert [group["initial_lr"] for group in optimizer.param_groups] == [0.4, 0.04]
        again = Multiply({1: 0.5}, lr_init=None)(optimizer)
        assert again.base_lrs == lrs(optimizer) == [0.4, 0.04]


@pytest.mark.spec("X1")
def test_a_warm_up_of_torch_first_and_a_policy_after_it() -> None:
    optimizer = sgd(0.4, 0.04)
    parts = [LinearLR(optimizer, 0.25, total_iters=3), Scale(reciprocal)(optimizer)]
    scheduler = SequentialLR(optimizer, parts, milestones=[3])
    seen = [lrs(optimizer)]
    for _ in range(4):
        optimizer.step()
        scheduler.step()
        seen.append(lrs(optimizer))
    shares = [0.25, 0.5, 0.75, 1.0, 0.5]
    assert seen == [pytest.approx([0.4 * share, 0.04 * share]) for share in shares]


# A metric: pytorch#68978, #2478; transformers#29417


@pytest.mark.spec("P1", "P2", "P7")
def test_warm_up_cosine_and_plateau_compose_over_batches_and_a_resume() -> None:
    model = nn.Linear(2, 1)
    losses = [3.0, 2.0, 2.0, 1.0, 1.0]
    curve = warmup(2, Cosine(0.1, 0.0, epochs=8))

    def begin() -> Plateau:
        policy = Plateau(Schedule(curve), factor=0.5, patience=0).in_steps(10)
        return policy(SGD(model.parameters(), lr=0.1))

    policy = begin()
    for epoch, loss in enumerate(losses):
        for batch in range(10):
            policy.optimizer.step()
            policy.step(loss if batch == 9 else None)
        state = through_disk(policy.state_dict())
        policy = begin()
        policy.load_state_dict(state)
        cuts = sum(losses[i] >= losses[i - 1] for i in range(1, epoch + 1))
        assert policy.get_last_lr() == pytest.approx([curve(epoch + 1) * 0.5**cuts])
