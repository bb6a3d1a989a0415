"""Groups by name: what a list would hold, for groups that have a "name"."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import advance, lrs, parameter, reciprocal, tensor, through_disk, unchanged
from hypothesis import given
from hypothesis import strategies as st
from oracle import lr_at
from strategies import ORDERS, resume, save
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.optim import SGD

import thunder_policy
from thunder_policy import (
    MappingPolicy,
    Multiply,
    Plateau,
    Scale,
    Schedule,
    Switch,
    bound,
    parse,
    plot,
    simulate,
)
from thunder_policy.conformance import Subject, check_policy
from thunder_policy.schedules import Constant, Cosine

NAMES = ("body", "head", "neck")


def named(*names: str | None, lr: Any = 0.1, **options: Any) -> SGD:
    """An optimizer with a group for each name; None is a group without one."""
    groups = [{"params": [parameter()], "lr": lr, **options} for _ in names]
    for group, name in zip(groups, names):
        group |= {} if name is None else {"name": name}
    return SGD(groups, lr=0.1)


def late(name: str | None, lr: Any = 0.05) -> dict[str, Any]:
    return {"params": [parameter()], "lr": lr} | ({} if name is None else {"name": name})


def two_thirds(epoch: int) -> float:
    return (2 / 3) ** epoch


class Shares(MappingPolicy[dict[int, float]]):
    """A custom one: a share of the start at each epoch."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        mappings, starts = self.current_mapping or [], self.current_lr_init or []
        return [start * one.get(self.last_epoch, 1.0) for one, start in zip(mappings, starts)]


# Of each kind one mapping a name.
RULES: dict[str, dict[str, Any]] = {
    "Switch": {"head": {0: 0.5, 2: 0.25}, "body": {1: 0.2}, "neck": {3: 0.1}},
    "Multiply": {"head": {1: 0.5, 2: 0.5}, "body": {0: 0.25}, "neck": {3: 0.1}},
    "Schedule": {"head": reciprocal, "body": None, "neck": two_thirds},
    "Scale": {"head": reciprocal, "body": None, "neck": two_thirds},
}
KINDS: dict[str, Any] = {"Switch": Switch, "Multiply": Multiply, "Schedule": Schedule}
KINDS["Scale"] = Scale
each_kind = pytest.mark.parametrize("kind", RULES)


def make(kind: str, **rest: Any) -> Any:
    return KINDS[kind].by_name(RULES[kind], **{"lr_init": None, **rest})


@pytest.mark.spec("N1", "N2", "N6")
@given(
    kind=st.sampled_from([*RULES]),
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
    tensors=st.booleans(),
    option=st.sampled_from(["lr", "weight_decay"]),
)
def test_a_group_gets_what_its_name_has(
    kind: str, names: list[str], tensors: bool, option: str
) -> None:
    optimizer = named(*names, weight_decay=0.1)
    if tensors:
        for group in optimizer.param_groups:
            group[option] = tensor(0.1)
    policy = make(kind, option=option)(optimizer)
    rows = simulate(policy, 6).tolist()
    for epoch in range(6):
        expected = [lr_at(kind, RULES[kind][name], 0.1, epoch) for name in names]
        assert lrs(optimizer, option) == policy.lr_at(epoch) == rows[epoch] == expected
        advance(policy)
    assert policy.current_mapping == [RULES[kind][name] for name in names]


@pytest.mark.spec("N3", "N2", "S13", "S14")
@each_kind
@pytest.mark.parametrize("first", [("head",), ("neck", "head")], ids=str)
def test_a_late_group_is_found_by_its_name(kind: str, first: Sequence[str]) -> None:
    optimizer = named(*first)
    policy = make(kind)(optimizer)
    advance(policy)
    optimizer.add_param_group(late("body"))
    optimizer.add_param_group(late("head"))
    assert len(policy.lr_at(1)) == len(first) + 2
    advance(policy, 4)
    names = [*first, "body", "head"]
    by_call = kind in ("Schedule", "Scale")
    for i, name in enumerate(names):
        rule = RULES[kind][name]
        if i < len(first):
            expected = lr_at(kind, rule, 0.1, 5)
        elif by_call:
            expected = lr_at(kind, rule, 0.05, 5)
        else:  # what comes up after it came
            rest = {epoch: value for epoch, value in rule.items() if epoch > 1}
            expected = lr_at(kind, rest, 0.05, 5)
        assert lrs(optimizer)[i] == pytest.approx(expected, rel=1e-15)
    assert policy.base_lrs == [0.1] * len(first) + [0.05] * 2


@pytest.mark.spec("N3", "V9")
def test_an_unfreeze_has_a_curve_of_its_own() -> None:
    optimizer = named("head", lr=0.5)
    body = Cosine(0.1, 0.0, epochs=20)
    policy = Schedule.by_name({"head": None, "body": body})(optimizer)
    advance(policy, 5)
    optimizer.add_param_group(late("body"))
    advance(policy)
    assert lrs(optimizer) == [0.5, body(6)]


@pytest.mark.spec("N3", "S12", "S6")
def test_get_lr_knows_late_groups_before_the_step() -> None:
    optimizer = named("head")
    policy = Schedule.by_name({"body": Constant(0.2), "head": Constant(0.3)})(optimizer)
    optimizer.add_param_group(late("body"))
    assert policy.get_lr() == policy.get_lr() == policy.lr_at(0) == [0.3, 0.2]
    assert lrs(optimizer) == [0.3, 0.05]


@pytest.mark.spec("S6", "S16", "V9")
def test_get_lr_knows_which_group_is_left_alone_when_another_went() -> None:
    optimizer = named("neck", "body", "head")
    rules = {"neck": Constant(0.2), "body": Constant(0.3), "head": None}
    policy = Schedule.by_name(rules)(optimizer)
    del optimizer.param_groups[0]
    optimizer.param_groups[1]["lr"] = 0.7  # somebody else's schedule
    assert policy.get_lr() == [0.3, 0.7]
    advance(policy)
    assert lrs(optimizer) == [0.3, 0.7]


@pytest.mark.spec("N3", "S16")
@each_kind
def test_groups_that_go_leave_the_others_what_is_theirs(kind: str) -> None:
    optimizer = named("neck", "body", "head")
    policy = make(kind)(optimizer)
    advance(policy)
    del optimizer.param_groups[0]
    advance(policy, 3)
    assert lrs(optimizer) == [lr_at(kind, RULES[kind][name], 0.1, 4) for name in ("body", "head")]


@pytest.mark.spec("N4", "B2")
@each_kind
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("head", None), r"^\w+: group 1 has no name.*'head', 'body', 'neck'"),
        (
            ("haed", "body"),
            r"^\w+: by_name has nothing for group 0, 'haed'.*'head', 'body', 'neck'",
        ),
    ],
    ids=["missing", "unknown"],
)
def test_unknown_and_missing_names_are_errors_that_list_the_names(
    kind: str, names: tuple[str | None, ...], message: str
) -> None:
    policy, optimizer = make(kind), named(*names)
    with unchanged(policy, optimizer), pytest.raises(ValueError, match=message):
        policy(optimizer)
    policy(named("head"))
    policy.optimizer.step()
    policy.optimizer.add_param_group(late(names[0] if names[0] == "haed" else None))
    with (
        unchanged(policy, policy.optimizer),
        pytest.raises(ValueError, match=r"has no name|by_name has nothing"),
    ):
        policy.step()


@pytest.mark.spec("N1", "C1")
def test_the_mapping_is_copied_and_the_rest_is_that_of_the_class() -> None:
    rules: dict[str, Any] = {"head": {0: 0.5}}
    policy = Switch.by_name(rules, 0.25, on_load="override", option="weight_decay")
    rules["head"][0] = rules["body"] = 7.0
    assert policy == Switch.by_name(
        {"head": {0: 0.5}}, lr_init=0.25, on_load="override", option="weight_decay"
    )
    assert Scale.by_name({"head": reciprocal}).lr_init is None
    assert Schedule.by_name({"head": reciprocal}).lr_init == 1e-3


@pytest.mark.spec("N6", "K1", "K4", "K5", "K6", "V20")
@each_kind
def test_it_is_a_value(kind: str) -> None:
    policy = make(kind, lr_init=0.5)
    assert policy == make(kind, lr_init=0.5) == copy.deepcopy(policy)
    turned = KINDS[kind].by_name(dict(reversed(RULES[kind].items())), lr_init=0.5)
    assert policy == turned == pickle.loads(pickle.dumps(policy)) == copy.copy(policy)
    assert policy != KINDS[kind]([*RULES[kind].values()], lr_init=0.5)
    assert policy != KINDS[kind].by_name({**RULES[kind], "more": RULES[kind]["head"]}, lr_init=0.5)
    if kind in ("Switch", "Multiply"):
        assert repr(policy) == f"{kind}.by_name(mapping={RULES[kind]}, lr_init=0.5)"
        again = eval(repr(policy))
        assert again == policy
        assert again.lr_at(3) == policy.lr_at(3)
    expected = [0.5 if rule is None else lr_at(kind, rule, 0.5, 3) for rule in RULES[kind].values()]
    if None not in RULES[kind].values():
        assert policy.lr_at(3) == expected
    assert simulate(policy, 4, lr=0.5)[3].tolist() == expected
    labels = [line.get_label() for line in plot(policy, 4).lines]
    assert labels == [f"{kind}, group {name}" for name in RULES[kind]]

    bound = copy.copy(policy)(named("neck", "head", lr=0.5))
    assert bound.lr_at(3) == [expected[2], expected[0]]
    assert ".by_name(" not in repr(bound)
    assert copy.copy(bound) == policy
    assert simulate(bound, 4)[3].tolist() == bound.lr_at(3)
    labels = [line.get_label() for line in plot(bound, 4).lines]
    assert labels == [f"{kind}, group neck", f"{kind}, group head"]


@pytest.mark.spec("N6", "V17")
@each_kind
def test_in_steps(kind: str) -> None:
    steps = make(kind).in_steps(10)(named("neck", "head"))
    epochs = make(kind)(named("neck", "head"))
    assert [steps.lr_at(10 * t) for t in range(5)] == [epochs.lr_at(t) for t in range(5)]
    assert steps.lr_at(19) == epochs.lr_at(1)


@pytest.mark.spec("N6", "K2")
@each_kind
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deep", "pickle"]
)
def test_a_bound_copy_goes_on(kind: str, copied: Any) -> None:
    policy = make(kind)(named("neck", "head"))
    advance(policy)
    _, other = copied((policy.optimizer, policy))
    for one in (policy, other):
        one.optimizer.add_param_group(late("body"))
        advance(one, 3)
    assert lrs(other.optimizer) == lrs(policy.optimizer)


@pytest.mark.spec("N5", "N6", "T6", "T11", "T17")
@given(
    kind=st.sampled_from([*RULES]),
    stop=st.integers(0, 4),
    order=st.sampled_from(ORDERS),
    comes=st.integers(0, 4),
)
def test_resume_in_every_order_is_silent_and_exact(
    kind: str, stop: int, order: Sequence[str], comes: int
) -> None:
    def start() -> tuple[SGD, Any]:
        return named("neck", "head"), make(kind)

    def go(optimizer: SGD, policy: Any, since: int, until: int) -> list[list[float]]:
        rows = []
        for epoch in range(since, until):
            if epoch == comes:
                optimizer.add_param_group(late("body"))
            advance(policy)
            rows.append(lrs(optimizer))
        return rows

    optimizer, policy = start()
    whole = go(optimizer, policy(optimizer), 0, 6)
    optimizer, policy = start()
    go(optimizer, policy(optimizer), 0, stop)
    saved = save(optimizer, policy)
    optimizer, policy = start()
    if stop > comes:
        optimizer.add_param_group(late("body"))
    resume(saved, optimizer, policy, order)
    assert go(optimizer, policy, stop, 6) == whole[stop:]


@pytest.mark.spec("N5")
@each_kind
def test_the_optimizer_s_state_may_have_no_names(kind: str) -> None:
    old = named(None, None)
    policy = make(kind)(named("neck", "head"))
    policy.optimizer.load_state_dict(old.state_dict())
    assert "name" not in policy.optimizer.param_groups[0]
    advance(policy, 3)
    expected = [lr_at(kind, RULES[kind][name], 0.1, 3) for name in ("neck", "head")]
    assert lrs(policy.optimizer) == pytest.approx(expected)


@pytest.mark.spec("N6", "T4", "T6", "T12", "T13", "T18")
@pytest.mark.parametrize("kind", ["Switch", "Multiply"])
def test_a_state_has_the_names_and_what_counts_is_as_ever(kind: str) -> None:
    policy = make(kind)(named("neck", "head"))
    advance(policy, 2)
    state = through_disk(policy.state_dict())
    assert state["mapping"] == [
        [name, [[epoch, value] for epoch, value in rule.items()]]
        for name, rule in RULES[kind].items()
    ]
    # The same as a list is the same plan, and the other way round.
    listed = KINDS[kind]([RULES[kind]["neck"], RULES[kind]["head"]], lr_init=None)
    listed(named(None, None)).load_state_dict(
        policy.state_dict()
        | {"mapping": None}
        | {"mapping": [[[e, v] for e, v in RULES[kind][name].items()] for name in ("neck", "head")]}
    )
    make(kind)(named("neck", "head")).load_state_dict(listed.state_dict())
    copy.copy(listed)(named("neck", "head")).load_state_dict(state)

    new: dict[str, Any] = {"neck": {3: 0.7}, "head": {}, "body": {}}
    other = KINDS[kind].by_name(new, lr_init=None)(named("neck", "head"))
    with pytest.warns(UserWarning, match="mapping was {'head': .* and is {'neck'"):
        other.load_state_dict(state)
    other.optimizer.add_param_group(late("body"))
    advance(other, 2)
    policy.optimizer.add_param_group(late("body"))
    advance(policy, 2)
    assert lrs(other.optimizer) == lrs(policy.optimizer)

    over = KINDS[kind].by_name(new, lr_init=None, on_load="override")(named("neck", "head"))
    over.load_state_dict(state)
    advance(over)
    assert lrs(over.optimizer) == over.lr_at(3)
    assert over.lr_at(3)[0] == lr_at(kind, new["neck"], 0.1, 3)


@pytest.mark.spec("N1", "N3", "V21")
def test_a_custom_policy_and_a_plateau_know_names() -> None:
    policy = Shares.by_name({"head": {1: 0.5}, "body": {1: 0.25}}, lr_init=0.8)
    assert simulate(policy, 2)[1].tolist() == [0.4, 0.2]
    assert policy(named("body", "head")).lr_at(1) == [0.2, 0.4]
    plateau = Plateau(Scale.by_name({"head": Constant(1.0), "body": None}), 0.5, patience=0)
    assert simulate(plateau, 3, lr=0.8, metrics=[1, 1])[2].tolist() == [0.4, 0.8]
    assert repr(plateau).startswith("Plateau(policy=Scale.by_name(mapping={'head'")
    assert eval(repr(plateau)) == plateau == pickle.loads(pickle.dumps(plateau))
    plateau(named("head", lr=0.8))
    plateau.optimizer.add_param_group(late("body"))
    for _ in range(2):
        plateau.optimizer.step()
        plateau.step(1.0)
    assert lrs(plateau.optimizer) == [0.4, 0.05]
    with pytest.raises(TypeError, match="Plateau takes a policy"):
        Plateau.by_name({"head": reciprocal})


@pytest.mark.spec("N1", "N6")
@pytest.mark.parametrize(
    "kind",
    ["Scale", *(pytest.param(one, marks=pytest.mark.slow) for one in RULES if one != "Scale")],
)
def test_the_laws_of_the_conformance_suite(kind: str) -> None:
    """By a scheduler that names the groups which the suite makes."""

    def bind(optimizer: torch.optim.Optimizer) -> Any:
        for group, name in zip(optimizer.param_groups, ("head", "neck")):
            group["name"] = name
        return make(kind)(optimizer)

    results = check_policy(Subject(lambda: bind, groups=2, epochs=5), on_fail="collect")
    # The first binding adds the names, which a law takes for a change by the policy.
    assert {one.law for one in results if one.status == "failed"} <= {"only_lr"}


@pytest.mark.spec("N6", "T6", "P7")
def test_a_distributed_checkpoint_keeps_the_names_and_the_cuts(tmp_path: Path) -> None:
    def begin() -> tuple[Switch, Plateau]:
        scale = Scale.by_name({"head": Constant(1.0), "body": None})
        return make("Switch")(named("neck", "head")), Plateau(scale, 0.5, 0)(named("body", "head"))

    def states(switch: Switch, plateau: Plateau) -> dict[str, Any]:
        return {"switch": switch.state_dict(), "plateau": plateau.state_dict()}

    switch, plateau = begin()
    advance(switch, 2)
    for metric in (1.0, 2.0, 2.0):
        plateau.optimizer.step()
        plateau.step(metric)
    fresh = begin()
    loaded = states(*fresh)
    with pytest.warns(UserWarning, match="single process"):
        dcp_save(states(switch, plateau), checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="single process"):
        dcp_load(loaded, checkpoint_id=tmp_path)
    assert loaded == states(switch, plateau)
    policies: list[tuple[Any, Any]] = [*zip(fresh, (switch, plateau))]
    for (one, other), state in zip(policies, loaded.values()):
        one.load_state_dict(state)
        assert lrs(one.optimizer) == lrs(other.optimizer)
    assert (fresh[1].cuts, fresh[1].best) == (2, 1.0)


@pytest.mark.spec("N2", "N4")
def test_a_group_in_the_place_of_another_is_found_by_its_own_name() -> None:
    policy = Schedule.by_name({"head": Constant(0.5), "body": Constant(0.25)})(named("head"))
    policy.optimizer.param_groups.pop()
    policy.optimizer.add_param_group(late("body"))
    policy.optimizer.step()
    policy.step()
    assert lrs(policy.optimizer) == [0.25]
    policy.optimizer.param_groups[0]["name"] = "tail"
    with pytest.raises(ValueError, match="nothing for group 0, 'tail'"):
        policy.step()


@pytest.mark.spec("N5", "N3")
def test_names_outlive_a_state_without_them_when_a_group_comes() -> None:
    policy = Schedule.by_name({"head": Constant(0.5), "body": Constant(0.25)})(named("head"))
    for group in policy.optimizer.param_groups:
        del group["name"]
    policy.optimizer.add_param_group(late("body"))
    policy.optimizer.step()
    policy.step()
    assert lrs(policy.optimizer) == [0.5, 0.25]


@pytest.mark.spec("T13", "N6")
def test_a_plan_for_a_group_that_is_not_there_yet_differs_too() -> None:
    saved = Switch.by_name({"head": {0: 0.5}, "body": {0: 0.25}})(named("head")).state_dict()
    other = Switch.by_name({"head": {0: 0.5}, "body": {0: 0.125}})(named("head"))
    with pytest.warns(UserWarning, match="mapping was"):
        other.load_state_dict(saved)


@pytest.mark.spec("F1", "N6")
@each_kind
def test_parse_reads_what_repr_writes(kind: str) -> None:
    by_call = kind in ("Schedule", "Scale")
    value: Any = Constant(0.5) if by_call else {1: 0.5}
    policy = getattr(thunder_policy, kind).by_name(
        {"head": value, "body": None if by_call else value}
    )
    assert parse(repr(policy)) == policy


@pytest.mark.spec("N1")
def test_what_has_no_names_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Schedule\.by_name\(\{\.\.\.\}\)\(optimizer\)"):
        bound.Schedule.by_name({"head": Constant(0.5)})
    with pytest.raises(TypeError, match=r"Plateau\(Schedule\.by_name"):
        Plateau.by_name({"head": Constant(0.5)})
    with pytest.raises(ValueError, match="min_lr must be one for all groups"):
        Plateau(Schedule.by_name({"head": Constant(0.5)}), min_lr=[0.1])
    with pytest.raises(TypeError, match=r"bound\.Switch takes the optimizer first"):
        bound.Switch({0: 0.1}, named("head"))  # type: ignore[arg-type]
