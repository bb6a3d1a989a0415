"""A policy of another option than the lr: the same meaning, on another key of the param groups."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from helpers import advance, parameter, sgd, tensor, through_disk, unchanged
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, SequentialLR

from thunder_policy import MappingPolicy, Multiply, Policy, Scale, Schedule, Switch, simulate
from thunder_policy.conformance import check_policy
from thunder_policy.schedules import Constant, Cosine, Linear


def half(epoch: int) -> float:
    return 0.5**epoch


def held(optimizer: Optimizer, key: str = "weight_decay") -> list[float]:
    """What the groups hold under a key, the first of a tuple."""
    values = [group[key] for group in optimizer.param_groups]
    return [float(value[0] if isinstance(value, tuple) else value) for value in values]


def optimizer_with(kind: Callable[..., Any] = AdamW, **options: Any) -> Optimizer:
    """An optimizer with a group for each of the values of an option."""
    [(key, values)] = options.items()
    optimizer: Optimizer = kind([{"params": [parameter()], key: value} for value in values], lr=0.1)
    return optimizer


class Halving(Policy):
    """A custom policy that halves whatever it schedules."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        scale = 0.5 if self.last_epoch else 1.0
        return [group[self.option] * scale for group in self.optimizer.param_groups]


class Shares(MappingPolicy[dict[int, float]]):
    """A custom MappingPolicy: a share of the start at each epoch."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        mappings, starts = self.current_mapping or [], self.current_lr_init or []
        return [start * one.get(self.last_epoch, 1.0) for one, start in zip(mappings, starts)]


# Of each kind a policy of weight_decay, and what it gives a group that starts from 0.5.
OF_WEIGHT_DECAY: dict[str, tuple[Callable[..., Policy], list[float]]] = {
    "Switch": (lambda **given_: Switch({1: 0.25, 3: 0.0}, **given_), [0.5, 0.25, 0.25, 0.0]),
    "Multiply": (lambda **given_: Multiply({0: 0.5, 2: 0.5}, **given_), [0.25, 0.25, 0.125, 0.125]),
    "Schedule": (lambda **given_: Schedule(half, **given_), [1.0, 0.5, 0.25, 0.125]),
    "Scale": (lambda **given_: Scale(half, **given_), [0.5, 0.25, 0.125, 0.0625]),
    "custom": (lambda **given_: Halving(**given_), [0.5, 0.25, 0.125, 0.0625]),
    "custom mapping": (lambda **given_: Shares({2: 0.25}, **given_), [0.5, 0.5, 0.125, 0.5]),
}
of_each_kind = pytest.mark.parametrize(
    ("make", "values"), OF_WEIGHT_DECAY.values(), ids=OF_WEIGHT_DECAY
)
WHICH: dict[str, Any] = {"option": "weight_decay"}


@pytest.mark.spec("O1", "O2", "O5", "S8")
@of_each_kind
@pytest.mark.parametrize("initial_lr", [None, 0.75], ids=["without", "with initial_lr"])
def test_a_policy_of_weight_decay_writes_that_and_nothing_else(
    make: Callable[..., Policy], values: list[float], initial_lr: float | None
) -> None:
    optimizer = optimizer_with(weight_decay=[0.5])
    [group] = optimizer.param_groups
    if initial_lr is not None:
        group["initial_lr"] = initial_lr
    rest = {key: group[key] for key in group if key != "weight_decay"}
    policy = make(option="weight_decay")(optimizer)
    for epoch, value in enumerate(values):
        assert held(optimizer) == [value] == policy.get_last_lr() == policy.lr_at(epoch)
        advance(policy)
        assert {key: group[key] for key in group if key != "weight_decay"} == rest
    assert policy.base_lrs == [0.5]


@pytest.mark.spec("O1")
@pytest.mark.parametrize("kind", [Switch, Multiply, Schedule, Scale, Shares])
def test_option_is_given_by_keyword(kind: Any) -> None:
    mapping: Any = half if kind in (Schedule, Scale) else {}
    with pytest.raises(TypeError, match="positional"):
        kind(mapping, None, "weight_decay")
    assert kind(mapping).option == "lr"
    assert kind(mapping, option="weight_decay").option == "weight_decay"


@pytest.mark.spec("O1", "B2")
@of_each_kind
@pytest.mark.parametrize("lr_init", [{}, {"lr_init": 0.5}], ids=["own start", "given start"])
@pytest.mark.parametrize("option", ["dropout", "betas", "amsgrad", "foreach", "params"])
def test_an_option_that_holds_no_number_is_a_value_error(
    make: Callable[..., Policy], values: list[float], lr_init: dict[str, Any], option: str
) -> None:
    optimizer = optimizer_with(weight_decay=[0.5, 0.25])
    policy = (
        Halving(option=option) if make().__class__ is Halving else make(option=option, **lr_init)
    )
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=f"group 0.*{option}"):
        policy(optimizer)


@pytest.mark.spec("O1")
def test_where_groups_lack_an_option_the_error_says_which_they_have() -> None:
    optimizer = optimizer_with(SGD, momentum=[0.9, 0.8])
    del optimizer.param_groups[1]["dampening"]
    with pytest.raises(ValueError, match=r"group 1.*no dampening.*momentum, .*lr\b"):
        Schedule(half, option="dampening")(optimizer)


@pytest.mark.spec("O1")
def test_a_group_without_lr_is_refused_with_what_it_has() -> None:
    optimizer = sgd(0.1, 0.1)
    del optimizer.param_groups[1]["lr"]
    text = r"^Switch.*, group 1: the param group has no lr; it has momentum, .*weight_decay"
    with pytest.raises(ValueError, match=text):
        Switch({})(optimizer)


@pytest.mark.spec("O2", "V12", "V10")
def test_lr_init_is_none_by_default_for_another_option() -> None:
    for policy in (Switch({1: 0.5}, **WHICH), Multiply({1: 0.5}, **WHICH), Shares({}, **WHICH)):
        assert policy.lr_init is None
        assert policy(optimizer_with(weight_decay=[0.5, 0.0])).base_lrs == [0.5, 0.0]
    policy = Multiply({1: 0.5}, lr_init=[0.25, 1e-3], **WHICH)
    assert policy(optimizer_with(weight_decay=[0.5, 0.0])).base_lrs == [0.25, 1e-3]


values = st.floats(0, 0.9)
epochs = st.dictionaries(st.integers(0, 6), values, max_size=4)


def with_another(name: str, mapping: dict[int, float], **given_: Any) -> Policy:
    """A policy of a kind, of a mapping."""
    if name in ("Schedule", "Scale"):
        kind = Schedule if name == "Schedule" else Scale
        return kind(lambda epoch: mapping.get(epoch, epoch / 8), **given_)
    return (Switch if name == "Switch" else Multiply)(mapping, **given_)


@pytest.mark.spec("O2", "O3")
@given(
    name=st.sampled_from(["Switch", "Multiply", "Schedule", "Scale"]),
    mapping=epochs,
    starts=st.lists(values, min_size=1, max_size=3),
    lr_init=st.none() | values,
    kind_and_key=st.sampled_from(
        [(SGD, "weight_decay", "weight_decay"), (AdamW, "weight_decay", "weight_decay")]
        + [(SGD, "momentum", "momentum"), (Adam, "momentum", "betas"), (Adam, "eps", "eps")]
    ),
    change=st.tuples(st.integers(0, 5), values),
    at=st.integers(-1, 3),
)
def test_what_is_said_of_lrs_holds_for_any_option(
    name: str,
    mapping: dict[int, float],
    starts: list[float],
    lr_init: float | None,
    kind_and_key: tuple[Any, str, str],
    change: tuple[int, float],
    at: int,
) -> None:
    kind, option, key = kind_and_key
    theirs = optimizer_with(SGD, lr=starts)
    ours = optimizer_with(kind, **{key: [(s, 0.9) if key == "betas" else s for s in starts]})
    by_lr = with_another(name, mapping, lr_init=lr_init)(theirs, at)
    policy = with_another(name, mapping, lr_init=lr_init, option=option)(ours, at)
    for epoch in range(6):
        assert held(ours, key) == held(theirs, "lr") == policy.get_last_lr()
        assert policy.lr_at(epoch) == by_lr.lr_at(epoch)
        if epoch == change[0]:
            theirs.param_groups[0]["lr"] = change[1]
            ours.param_groups[0][key] = (change[1], 0.9) if key == "betas" else change[1]
        if epoch == 2:
            theirs.add_param_group({"params": [parameter()], "lr": 0.25})
            late: Any = (0.25, 0.9) if key == "betas" else 0.25
            ours.add_param_group({"params": [parameter()], key: late})
        advance(by_lr)
        advance(policy)
    assert policy.base_lrs == by_lr.base_lrs
    assert held(ours, "lr") == [0.1] * (len(starts) + 1)


@pytest.mark.spec("O3")
@pytest.mark.parametrize("kind", [Adam, AdamW, NAdam])
def test_momentum_is_the_first_of_betas(kind: Any) -> None:
    optimizer = kind([parameter()], lr=0.1, betas=(0.5, 0.75))
    policy = Multiply({1: 0.5}, option="momentum")(optimizer)
    advance(policy)
    assert optimizer.param_groups[0]["betas"] == (0.25, 0.75)
    assert (policy.base_lrs, policy.get_last_lr()) == ([0.5], [0.25])
    assert "momentum" not in optimizer.param_groups[0]


@pytest.mark.spec("O3")
@pytest.mark.parametrize("kind", [SGD, RMSprop])
def test_momentum_is_momentum_where_groups_have_it(kind: Any) -> None:
    optimizer = kind([parameter()], lr=0.1, momentum=0.5)
    optimizer.param_groups[0]["betas"] = (0.75, 0.75)
    advance(Multiply({1: 0.5}, option="momentum")(optimizer))
    assert optimizer.param_groups[0]["momentum"] == 0.25
    assert optimizer.param_groups[0]["betas"] == (0.75, 0.75)


@pytest.mark.spec("O3", "S1", "B2")
def test_what_fails_on_betas_leaves_them_as_they_were() -> None:
    def until_1(epoch: int) -> float:
        return [0.5, 0.25][epoch]

    optimizer = Adam([parameter()], lr=0.1, betas=(0.5, 0.75))
    policy = Schedule(until_1, option="momentum")
    with unchanged(policy, optimizer), pytest.raises(IndexError):
        policy(optimizer, last_epoch=1)
    advance(policy(optimizer))
    with unchanged(policy, optimizer), pytest.raises(IndexError):
        policy.step()
    with unchanged(policy, optimizer), pytest.raises(ValueError, match="_last_lr"):
        policy.load_state_dict({**policy.state_dict(), "_last_lr": [math.nan]})
    optimizer = Adam([parameter()], lr=0.1, betas=(tensor(0.5), tensor(0.75)))
    unbound = Shares({0: 1e300}, 1e300, option="momentum")  # it has its start before it fails
    with unchanged(unbound, optimizer), pytest.raises(ValueError, match="inf"):
        unbound(optimizer)


@pytest.mark.spec("O1", "O3", "O4")
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_lr_is_a_schedule_of_the_lr_and_one_of_the_momentum(
    kind: str, strategy: str
) -> None:
    def build() -> Optimizer:
        if kind == "SGD":
            return SGD([parameter()], lr=0.1, momentum=0.9)
        return Adam([parameter()], lr=0.1, betas=(0.9, 0.99))

    theirs, ours = build(), build()
    scheduler = OneCycleLR(
        theirs,
        max_lr=0.8,
        total_steps=40,
        pct_start=0.3,
        anneal_strategy=strategy,  # type: ignore[arg-type, unused-ignore]
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25,
        final_div_factor=1e4,
    )
    anneal: Any = Cosine if strategy == "cos" else Linear
    # It rises in 0.3 * 40 - 1 steps, and falls in the 28 that are left of 39.
    lr = anneal(0.8 / 25, 0.8, epochs=11).then(anneal(0.8, 0.8 / 25 / 1e4, epochs=28), at=11)
    momentum = anneal(0.95, 0.85, epochs=11).then(anneal(0.85, 0.95, epochs=28), at=11)
    both = [Schedule(lr)(ours), Schedule(momentum, option="momentum")(ours)]
    key = "momentum" if kind == "SGD" else "betas"
    for step in range(40):
        assert held(ours, "lr") == pytest.approx(held(theirs, "lr"), rel=1e-9), step
        assert held(ours, key) == pytest.approx(held(theirs, key), rel=1e-9), step
        assert both[1].get_last_lr() == held(ours, key)
        if kind == "Adam":
            assert ours.param_groups[0]["betas"][1] == 0.99
        if step < 39:
            theirs.step()
            scheduler.step()
            ours.step()
            for policy in both:
                policy.step()


# Several policies on one optimizer.


def three(optimizer: Optimizer) -> Iterator[Policy]:
    """Policies of the lr, the weight decay and the momentum, not bound."""
    yield Multiply({2: 0.5, 5: 0.1}, lr_init=0.4)
    yield Schedule(half, **WHICH)
    yield Scale(half, option="momentum")


def build(kind: str) -> Optimizer:
    groups = [{"params": [parameter()], "weight_decay": decay} for decay in (0.5, 0.0)]
    if kind == "SGD":
        return SGD(groups, lr=0.1, momentum=0.9)
    return AdamW(groups, lr=0.1, betas=(0.9, 0.99))


@pytest.mark.spec("O1", "O5", "T11")
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_policies_of_several_options_share_an_optimizer_and_its_checkpoints(
    kind: str, order: tuple[str, ...]
) -> None:
    def groups(optimizer: Optimizer) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]

    def on(optimizer: Optimizer, policies: list[Policy]) -> None:
        optimizer.step()
        for policy in policies:
            policy.step()

    whole = build(kind)
    running = [policy(whole) for policy in three(whole)]
    for _ in range(3):
        on(whole, running)
    states = through_disk([whole.state_dict(), *(policy.state_dict() for policy in running)])
    optimizer = build(kind)
    fresh = [*three(optimizer)]
    for what in order:
        if what == "optimizer":
            optimizer.load_state_dict(states[0])
        for policy, state in zip(fresh, states[1:]):
            if what == "bind":
                policy(optimizer)
            elif what == "policy":
                policy.load_state_dict(state)
    for _ in range(4):
        assert groups(optimizer) == groups(whole)
        assert [one.state_dict() for one in fresh] == [one.state_dict() for one in running]
        on(whole, running)
        on(optimizer, fresh)


@pytest.mark.spec("O4", "X1")
def test_beside_a_sequential_lr_one_policy_holds_it_all_with_then() -> None:
    optimizer = optimizer_with(weight_decay=[0.5, 0.25])
    sequence = SequentialLR(
        optimizer, [Scale(half)(optimizer), ExponentialLR(optimizer, 0.1)], milestones=[2]
    )
    decay = Constant(0.25).then(Linear(0.5, 0.0, epochs=2), at=2)
    policy = Schedule(decay, **WHICH)(optimizer)
    seen = []
    for _ in range(5):
        seen.append((*held(optimizer, "lr"), *held(optimizer)))
        optimizer.step()
        sequence.step()
        policy.step()
    assert seen == [
        pytest.approx((lr, lr, decay, decay))
        for lr, decay in [(0.1, 0.25), (0.05, 0.25), (0.1, 0.5), (0.01, 0.25), (0.001, 0.0)]
    ]


# What else knows the option.


@pytest.mark.spec("O5")
@of_each_kind
def test_simulate_knows_the_option(make: Callable[..., Policy], values: list[float]) -> None:
    policy = make(option="weight_decay")
    assert simulate(policy, len(values), lr=0.5).flatten().tolist() == values
    policy(optimizer_with(weight_decay=[0.5, 0.5]))
    assert simulate(policy, len(values)).tolist() == [[value, value] for value in values]
    of_betas = make(option="momentum")
    if not isinstance(of_betas, Halving):  # that looks for momentum in the group
        of_betas(Adam([parameter()], betas=(0.5, 0.9)))
        assert simulate(of_betas, len(values)).flatten().tolist() == values


@pytest.mark.spec("O5")
@of_each_kind
def test_plot_knows_the_option(make: Callable[..., Policy], values: list[float]) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from thunder_policy import plot

    policy = make(option="weight_decay")(optimizer_with(weight_decay=[0.5]))
    [line] = plot(policy, epochs=len(values)).lines
    assert torch.as_tensor(line.get_ydata()).tolist() == values


@pytest.mark.spec("O5", "T4", "T25")
@of_each_kind
def test_a_state_says_the_option_and_is_loaded_for_that_alone(
    make: Callable[..., Policy], values: list[float]
) -> None:
    policy = make(option="weight_decay")(optimizer_with(weight_decay=[0.5]))
    advance(policy)
    state = through_disk(policy.state_dict())
    assert (state["option"], state["_last_lr"]) == ("weight_decay", [values[1]])
    again = make(option="weight_decay")(optimizer_with(weight_decay=[0.5]))
    again.load_state_dict(state)
    assert held(again.optimizer) == [values[1]]
    assert again.state_dict() == state
    of_the_lr = make()(optimizer_with(lr=[1e-3]))
    assert "option" not in of_the_lr.state_dict()
    for one, another in [(of_the_lr, state), (again, of_the_lr.state_dict())]:
        with unchanged(one, one.optimizer), pytest.raises(ValueError, match="option"):
            one.load_state_dict(another)


@pytest.mark.spec("O5", "K1", "K2")
@of_each_kind
def test_copies_know_the_option(make: Callable[..., Policy], values: list[float]) -> None:
    policy = make(option="weight_decay")
    bound = copy.copy(policy)(optimizer_with(weight_decay=[0.5]))
    for again in (copy.copy(policy), pickle.loads(pickle.dumps(policy)), copy.copy(bound)):
        assert held(again(optimizer_with(weight_decay=[0.5])).optimizer) == values[:1]
    linked = copy.deepcopy(bound)
    advance(linked)
    assert (held(linked.optimizer), held(bound.optimizer)) == (values[1:2], values[:1])


@pytest.mark.spec("O5")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Switch", "Multiply", "Schedule", "Scale", "custom"])
def test_the_conformance_suite_knows_the_option(name: str) -> None:
    make, _ = OF_WEIGHT_DECAY[name]
    check_policy(lambda: make(option="weight_decay"))
