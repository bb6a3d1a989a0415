"""An exception at each line that a binding, a step or a load runs: nothing is left half done."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from helpers import advance, lrs, parameter, picture, reciprocal, tensor
from strategies import OnAccelerator
from torch.optim import SGD, Optimizer

import thunder_policy
from thunder_policy import Multiply, Plateau, Policy, Scale, Schedule, Switch, groups

PACKAGE = str(Path(thunder_policy.__file__).parent)


class Own(Policy):
    """Keeps something of its own, and a policy, which is bound beside it."""

    def __init__(self) -> None:
        self.notes = [1, 2]

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return [start * 0.5**self.last_epoch for start in self.base_lrs]


class Nesting(Own):
    """Holds a policy that is bound to another optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Switch({0: 0.5, 2: 0.25})(optimizer("float"))


class Raised(BaseException):
    """What is raised, where nobody expects it."""


POLICIES: dict[str, Callable[..., Any]] = {
    "Switch": lambda **load: Switch({0: 0.5, 2: 0.25, 3: 0.125}, **load),
    "Multiply": lambda **load: Multiply({1: 0.5, 3: 0.5}, lr_init=None, **load),
    "Schedule": lambda **load: Schedule(reciprocal, **load),
    "Scale": lambda **load: Scale(reciprocal, **load),
    "a list": lambda **load: Schedule([reciprocal, None, reciprocal], **load),
    "Plateau": lambda **load: Plateau(Schedule(reciprocal, **load), patience=0),
    "custom": Own,
    "nested": Nesting,
}
# What the groups hold: with each act, all lines that any kind runs are then run by some policy.
KINDS = {
    "Switch": "mixed",
    "Multiply": "mixed",
    "Schedule": "float",
    "Scale": "accelerator",
    "a list": "mixed",
    "Plateau": "float",
    "custom": "accelerator",
    "nested": "float",
}


def lr(kind: str, i: int) -> Any:
    """Return what group i holds."""
    value = 0.5 + i / 8
    if kind == "float" or (kind == "mixed" and i != 1):
        return value
    return tensor(value).as_subclass(OnAccelerator) if kind == "accelerator" else tensor(value)


def optimizer(kind: str) -> SGD:
    return SGD([{"params": [parameter()], "lr": lr(kind, i)} for i in range(3)])


Act = tuple[Any, Optimizer, Callable[[], object]]


def at_epoch(policy: Any, kind: str, epoch: int) -> tuple[Any, Optimizer]:
    on = optimizer(kind)
    policy(on)
    advance(policy, epoch)
    on.step()
    return policy, on


def saved(make: Any, kind: str) -> Any:
    return at_epoch(make(), kind, 3)[0].state_dict()


def bind(make: Any, kind: str) -> Act:
    policy, on = make(), optimizer(kind)
    return policy, on, lambda: policy(on)


def bind_at_five(make: Any, kind: str) -> Act:
    policy, on = make(), optimizer(kind)
    return policy, on, lambda: policy(on, last_epoch=4)


def bind_again(make: Any, kind: str) -> Act:
    policy, _ = at_epoch(make(), kind, 2)
    on = optimizer(kind)
    return policy, on, lambda: policy.set_optimizer(on)


def first_step(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 0)
    return policy, on, policy.step


def third_step(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 2)
    return policy, on, policy.step


def idle_step(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 4)
    return policy, on, policy.step


def step_with_a_late_group(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 2)
    on.add_param_group({"params": [parameter()], "lr": lr(kind, 3)})
    return policy, on, policy.step


def step_with_a_metric(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 2)
    policy.step(1.0)
    return policy, on, lambda: policy.step(2.0)


def load(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(), kind, 0)
    state = saved(make, kind)
    return policy, on, lambda: policy.load_state_dict(state)


def override(make: Any, kind: str) -> Act:
    policy, on = at_epoch(make(on_load="override"), kind, 0)
    state = saved(make, kind)
    return policy, on, lambda: policy.load_state_dict(state)


def step_after_an_override(make: Any, kind: str) -> Act:
    policy, on, act = override(make, kind)
    act()
    return policy, on, policy.step


ACTS = (
    *(bind, bind_at_five, bind_again, first_step, third_step, idle_step, step_with_a_late_group),
    *(step_with_a_metric, load, override, step_after_an_override),
)
NOT_THERE = {
    *((step_with_a_metric, name) for name in POLICIES if name != "Plateau"),
    *((act, name) for act in (override, step_after_an_override) for name in ("custom", "nested")),
    *((act, "nested") for act in ACTS if act is not load),  # as "custom" does
    (step_with_a_late_group, "a list"),  # refused
}


def lines_of(act: Callable[[], object], stop_at: int | None = None) -> list[str]:
    """Act, and return the lines of the package that this ran; raise before one of them."""
    lines: list[str] = []

    def at_line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            if len(lines) - 1 == stop_at:
                sys.settrace(None)
                raise Raised
        return at_line

    def at_call(frame: FrameType, *_: object) -> Any:
        return at_line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        act()
    except Raised:
        pass
    finally:
        sys.settrace(before)
    return lines


def outcome(policy: Any, on: Optimizer) -> object:
    """Return what can be seen of a policy that has acted, now and after one step more."""
    seen = [
        policy.state_dict(),
        lrs(on),
        [float(group.get("initial_lr", 0)) for group in on.param_groups],
    ]
    policy = copy.deepcopy(policy)
    advance(policy)
    return [*seen, policy.state_dict(), lrs(policy.optimizer)]


def case(act: Callable[..., Act], name: str) -> Any:
    """A plain run has those of one policy."""
    return pytest.param(act, name, marks=() if name == "Multiply" else pytest.mark.slow)


@pytest.mark.spec("S18", "S1", "B2", "T10", "P6")
@pytest.mark.parametrize(
    ("act", "name"), [case(*pair) for pair in product(ACTS, POLICIES) if pair not in NOT_THERE]
)
def test_an_exception_at_any_line_leaves_all_as_before_or_as_after(act: Any, name: str) -> None:
    make, kind = POLICIES[name], KINDS[name]
    act(make, kind)[-1]()  # what is kept for the next time is there
    policy, on, do = act(make, kind)
    lines = lines_of(do)
    expected = outcome(policy, on)
    # Of a line in a loop the first time and the last.
    last = {line: i for i, line in enumerate(lines)}
    first = {line: i for i, line in reversed([*enumerate(lines)])}
    for i in sorted({*first.values(), *last.values()}):
        policy, on, do = act(make, kind)
        before = picture((policy, on))
        assert lines_of(do, stop_at=i) == lines[: i + 1]
        if picture((policy, on)) == before:
            do()
        assert outcome(policy, on) == expected, f"raised at {lines[i]}"


@pytest.mark.spec("S18", "P6")
@pytest.mark.parametrize("name", ["Switch", "Schedule", "custom", "Plateau"])
def test_what_is_interrupted_while_it_is_written_is_finished(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, on = at_epoch(POLICIES[name](), "mixed" if name == "custom" else "float", 1)
    twin, twin_on = at_epoch(POLICIES[name](), "mixed" if name == "custom" else "float", 1)
    metric = [1.0] * (name == "Plateau")
    put, interrupts = groups.put, iter([True])

    def interrupted(*writes: Any) -> None:
        put(*writes)
        if next(interrupts, False):
            raise KeyboardInterrupt

    monkeypatch.setattr(groups, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        policy.step(*metric)
    twin.step(*metric)
    assert outcome(policy, on) == outcome(twin, twin_on)
