"""Hypothesis strategies: how groups hold their lr, how policies are written, how runs resume."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, SupportsFloat, TypeAlias

import numpy as np
import torch
from hypothesis import strategies as st
from oracle import Rule, stored
from torch.optim import SGD, Adam, AdamW, Optimizer

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch

HORIZON = 10
NARROW = (torch.float32, torch.float16, torch.bfloat16)
AnyPolicy: TypeAlias = Switch | Multiply | Schedule | Scale
POLICIES: dict[str, type[AnyPolicy]] = {
    "Switch": Switch,
    "Multiply": Multiply,
    "Schedule": Schedule,
    "Scale": Scale,
}
OPTIONS = ("lr", "weight_decay")
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "SGD": SGD,
    "Adam": Adam,
    "AdamW": AdamW,
    # Its groups hold no gradients: on a CPU torch refuses to update a parameter with it.
    "capturable Adam": partial(Adam, capturable=True),
}
SHARED = ("one tensor", "views of one element")
# What the package must not read: a stand-in for a lr on a GPU and, where there is one, a real one.
ACCELERATOR = ("accelerator", *["cuda"] * torch.cuda.is_available())
HOST = ("0-dim", "shape [1]", "views of one buffer", "parameter")
FORMS = ("float", "mixed", *HOST, *ACCELERATOR, *SHARED)

# Coarse numbers have at most four significant bits, so that a product of two of them is exact in
# every dtype: the lr at 0 does not depend on where Multiply's first product is rounded.
coarse = st.builds(math.ldexp, st.integers(0, 15).map(float), st.integers(-6, -2))
lr_values = {
    "coarse": coarse,
    "any": coarse | st.floats(0, 4),
}


def parameter() -> torch.nn.Parameter:
    """A parameter for a group of its own."""
    return torch.nn.Parameter(torch.zeros(1))


class OnAccelerator(torch.Tensor):
    """A lr that the package takes for one on a GPU, which it must not read; a test may."""

    def __deepcopy__(self, memo: dict[int, object]) -> OnAccelerator:
        return self.detach().clone().as_subclass(OnAccelerator)


torch.serialization.add_safe_globals([OnAccelerator])


def on_accelerator(form: str, lr: torch.Tensor) -> torch.Tensor:
    """Return a copy of a lr that the package must not read."""
    return lr.clone().as_subclass(OnAccelerator) if form == "accelerator" else lr.to("cuda")


@dataclass(frozen=True)
class Groups:
    """An optimizer's groups and the form in which they hold their lrs, or another option."""

    optimizer: str
    form: str
    dtypes: tuple[torch.dtype | None, ...]
    lrs: tuple[float, ...]
    option: str = "lr"

    def build(self) -> Optimizer:
        """A fresh optimizer."""
        groups: list[dict[str, object]] = [{"params": [parameter()]} for _ in self.lrs]
        buffer = torch.tensor(self.lrs, dtype=self.dtypes[0])
        if self.form == "one tensor":
            # The usual way to get there: Adam(params, lr=tensor), which is the default lr as well.
            return OPTIMIZERS[self.optimizer](groups, **{"lr": 1.0, self.option: buffer[0]})
        own = [
            lr if dtype is None else torch.tensor(lr, dtype=dtype)
            for lr, dtype in zip(self.lrs, self.dtypes, strict=True)
        ]
        held: Sequence[object] = {
            "float": own,
            "mixed": own,
            "0-dim": own,
            "shape [1]": [lr.clone() for lr in buffer.split(1)],
            "views of one buffer": buffer.unbind(),
            "parameter": [torch.nn.Parameter(lr.clone(), requires_grad=False) for lr in buffer],
            **{kind: [on_accelerator(kind, lr) for lr in buffer] for kind in ACCELERATOR},
            "views of one element": [
                buffer[0] if i % 2 else buffer[:1] for i in range(len(groups))
            ],
        }[self.form]
        for group, lr in zip(groups, held, strict=True):
            group[self.option] = lr
        return OPTIMIZERS[self.optimizer](groups, lr=1.0)

    @property
    def exact(self) -> bool:
        """Whether the groups hold what Python computes with."""
        return set(self.dtypes) <= {None, torch.float64}

    def dtype(self, group: int) -> torch.dtype | None:
        """The dtype of a group's lr, None for a float; of the first for a group added later."""
        return self.dtypes[group if group < len(self.dtypes) else 0]


def dtypes_of(
    form: str, dtypes: Sequence[torch.dtype], n: int
) -> st.SearchStrategy[Sequence[torch.dtype | None]]:
    """The dtypes of n groups: all the same, unless the form is mixed."""
    if form == "float":
        return st.just([None] * n)
    if form == "mixed":
        return st.lists(st.sampled_from([None, *dtypes]), min_size=n, max_size=n)
    if form == "accelerator":
        # On a CPU, torch._foreach_mul_ rounds a factor to a narrow dtype before it multiplies.
        dtypes = [dtype for dtype in dtypes if dtype not in (torch.float16, torch.bfloat16)]
    return st.sampled_from(dtypes).map(lambda dtype: [dtype] * n)


@st.composite
def groups(
    draw: st.DrawFn,
    forms: Sequence[str] = FORMS,
    dtypes: Sequence[torch.dtype] = (torch.float64, *NARROW),
    values: st.SearchStrategy[float] = coarse,
) -> Groups:
    """One to five groups."""
    form = draw(st.sampled_from(forms))
    held = draw(st.lists(values, min_size=1, max_size=5))
    return Groups(
        optimizer=draw(st.sampled_from(sorted(OPTIMIZERS))),
        form=form,
        dtypes=tuple(draw(dtypes_of(form, dtypes, len(held)))),
        lrs=tuple(held[:1] * len(held) if form in SHARED else held),
    )


@dataclass(frozen=True)
class Wave:
    """A function of the epoch that can be pickled; `result` is the type of what it returns."""

    offset: float
    amplitude: float
    result: Callable[[float], SupportsFloat] = float

    def __call__(self, epoch: int) -> SupportsFloat:
        return self.result(self.offset + self.amplitude * math.cos(epoch))


@dataclass(frozen=True)
class LrInit:
    """An `lr_init` as it is given, and the numbers that it stands for (None: the groups' own)."""

    given: object
    values: tuple[float, ...] | None


@dataclass(frozen=True)
class Case:
    """A policy as it is written down, with groups to bind it to."""

    name: str
    mapping: object
    rules: tuple[Rule, ...]
    lr_init: LrInit
    groups: Groups

    def policy(self) -> AnyPolicy:
        """A fresh, unbound policy."""
        make: type[Any] = POLICIES[self.name]
        policy: AnyPolicy = make(self.mapping, self.lr_init.given, option=self.groups.option)
        return policy

    @property
    def broadcast(self) -> bool:
        """Whether one mapping and one lr_init stand for all groups."""
        return not isinstance(self.mapping, (list, tuple)) and not isinstance(
            self.lr_init.given, (list, tuple)
        )

    def rule(self, group: int) -> Rule:
        """The rule that a group follows."""
        return self.rules[group % len(self.rules)]

    def left_alone(self, group: int) -> bool:
        """Whether a group has no callable, and is never written."""
        return self.rule(group) is None

    def depends_on_starts(self) -> bool:
        """Whether any lr depends on what a group starts from."""
        return any(
            0 not in rule if self.name == "Switch" and isinstance(rule, dict) else rule is not None
            for rule in self.rules
            if self.name != "Schedule"
        )

    def starts(self, own: Iterable[float] | None = None) -> list[float]:
        """The lr that each group starts from; `own` is what the groups hold, if not the usual."""
        lrs = self.groups.lrs if own is None else own
        held = [stored(lr, self.groups.dtype(i)) for i, lr in enumerate(lrs)]
        given = self.lr_init.values
        if given is None:
            return held
        return [held[i] if self.left_alone(i) else given[i] for i in range(len(given))]


Number: TypeAlias = Callable[[float], object]
# Forms in which a user may write a number; each keeps the value exactly.
WRITTEN: tuple[Number, ...] = (
    float,
    np.float64,
    Fraction,
    np.array,
    lambda value: torch.tensor(value, dtype=torch.float64, requires_grad=True),
    lambda value: int(value) if value.is_integer() else value,
)
RESULTS: tuple[Callable[[float], SupportsFloat], ...] = (float, np.float64, Fraction, torch.tensor)


@st.composite
def rules(draw: st.DrawFn, name: str, values: st.SearchStrategy[float]) -> tuple[object, Rule]:
    """One mapping as it is given, and the rule that it stands for."""
    if name in ("Schedule", "Scale"):
        wave = Wave(draw(st.floats(-2, 2)), draw(st.floats(-2, 2)), draw(st.sampled_from(RESULTS)))
        return wave, lambda epoch: float(wave(epoch))
    rule = draw(st.dictionaries(st.integers(0, HORIZON), values, max_size=5))
    key = draw(st.sampled_from([int, np.int64]))
    write = draw(st.sampled_from(WRITTEN))
    order = draw(st.permutations(sorted(rule)))
    return {key(epoch): write(rule[epoch]) for epoch in order}, rule


@st.composite
def lr_inits(draw: st.DrawFn, n: int, values: st.SearchStrategy[float]) -> LrInit:
    """An lr_init for n groups: one number, a sequence with one a group, or None."""
    form = draw(st.sampled_from(["number", "list", "tuple", "none"]))
    write = draw(st.sampled_from(WRITTEN))
    if form == "none":
        return LrInit(None, None)
    if form == "number":
        value = draw(values)
        return LrInit(write(value), (value,) * n)
    several = draw(st.lists(values, min_size=n, max_size=n))
    sequence = [write(value) for value in several]
    return LrInit(sequence if form == "list" else tuple(sequence), tuple(several))


@st.composite
def cases(
    draw: st.DrawFn,
    names: Sequence[str] = tuple(POLICIES),
    held: st.SearchStrategy[Groups] | None = None,
    left_alone: bool = True,
) -> Case:
    """A policy and the groups it will be bound to; any numbers at all where groups are exact."""
    name = draw(st.sampled_from(names))
    some = draw(groups() if held is None else held)
    some = replace(some, option=draw(st.sampled_from(OPTIONS)))
    values = lr_values["any" if some.exact else "coarse"]
    n = len(some.lrs)
    lr_init = draw(lr_inits(n, values))
    if draw(st.booleans()):
        mapping, rule = draw(rules(name, values))
        return Case(name, mapping, (rule,), lr_init, some)
    one = rules(name, values)
    if left_alone and name in ("Schedule", "Scale"):
        one |= st.just((None, None))
    pairs = draw(st.lists(one, min_size=n, max_size=n))
    sequence = draw(st.sampled_from([list, tuple]))
    mappings = sequence(mapping for mapping, _ in pairs)
    return Case(name, mappings, tuple(rule for _, rule in pairs), lr_init, some)


exact_groups = groups(dtypes=[torch.float64], values=lr_values["any"])


def change(group: dict[str, object], lr: float, option: str = "lr") -> None:
    """Change a group's lr from outside, as its kind wants it."""
    held = group[option]
    if isinstance(held, torch.Tensor):
        held.fill_(lr)
    else:
        group[option] = lr


# Every order that binds before it loads the policy, and the one that never loads the optimizer.
ORDERS = (
    ("bind", "optimizer", "policy"),
    ("bind", "policy", "optimizer"),
    ("optimizer", "bind", "policy"),
    ("bind", "policy"),
)


def save(optimizer: Optimizer, policy: Policy) -> bytes:
    """A checkpoint file."""
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "policy": policy.state_dict()}, file)
    return file.getvalue()


def resume(saved: bytes, optimizer: Optimizer, policy: Policy, order: Sequence[str]) -> None:
    """Load a checkpoint into fresh objects, in the given order."""
    states = torch.load(io.BytesIO(saved), weights_only=True)
    for what in order:
        if what == "bind":
            policy(optimizer)
        elif what == "optimizer":
            optimizer.load_state_dict(states["optimizer"])
        else:
            policy.load_state_dict(states["policy"])


def plain(state: object) -> object:
    """A state with lists in place of tensors, so that two of them can be compared."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [plain(value) for value in state]
    return state.tolist() if isinstance(state, torch.Tensor) else state
