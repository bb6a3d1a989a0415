"""Whatever is given: documented errors or somebody else's own, nothing changed, and no hang."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import pytest
import torch
from helpers import (
    POLICIES,
    Halving,
    advance,
    lrs,
    numbers,
    parameter,
    picture,
    reciprocal,
    sgd,
    tensor,
    through_disk,
    unchanged,
)
from hostile import (
    RAISED,
    anything,
    audited,
    effort,
    epochs,
    is_finite,
    lr_inits,
    mappings,
    outcome,
    value,
)
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.swa_utils import SWALR

import thunder_policy
from benchmarks.wild import CASES
from thunder_policy import (
    Multiply,
    Policy,
    Scale,
    Schedule,
    Switch,
    UnboundPolicyError,
    schedules,
)

CALLED: dict[str, Any] = {"Schedule": Schedule, "Scale": Scale}
CLASSES: dict[str, Any] = {"Switch": Switch, "Multiply": Multiply, **CALLED}
# What torch or Python raise for odd tensors and ints that somebody puts into a group.
THEIRS = (RuntimeError, OverflowError)
names = st.sampled_from(sorted(CLASSES))
kinds = st.sampled_from(sorted(POLICIES))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What torch says of odd tensors, and the package of another mapping, is no error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Answering(Policy):
    """A custom policy that returns, or raises, what it is given for an epoch."""

    def __init__(self) -> None:
        self.answers: dict[int, Callable[[], Any]] = {}

    def get_lr(self) -> Any:
        answer = self.answers.get(self.last_epoch)
        return [0.5] * len(self.optimizer.param_groups) if answer is None else answer()


class Restarting(Multiply):
    """A policy with a get_lr of its own: epoch 0 is written twice, and the second may fail."""

    failing = False

    def get_lr(self) -> Any:
        return [math.nan] if self.failing else super().get_lr()


# Constructors


@pytest.mark.spec("C1", "C2", "C3", "C4", "C5", "C6", "C9", "V8")
@effort(6)
@given(name=names, mapping=mappings, lr_init=lr_inits)
@example("Switch", "{1: torch.tensor(0.5, device='meta')}", "1")
@example("Switch", "{1: torch.nested.nested_tensor([torch.ones(1)])}", "1")
@example("Switch", "torch.nested.nested_tensor([torch.ones(1)])", "1")
@example("Multiply", "{}", "torch.nested.nested_tensor([torch.ones(1)])")
@example("Multiply", "deep()", "1")
@example("Schedule", "deep(tuple)", "1")
@example("Switch", "{}", "deep()")
@example("Switch", "{1: '0.5'}", "1")
@example("Switch", "{1: True}", "1")
@example("Switch", "{1: 10**5000}", "1")
@example("Switch", "{10**5000: 0.5}", "1")
@example("Switch", "{1: Decimal('sNaN')}", "1")
@example("Switch", "{1: np.longdouble('1e4000')}", "1")
@example("Multiply", "[endless(list)]", "endless(list)")
@example("Switch", "hostile(dict, 'items', raises=StopIteration)", "1")
@example("Switch", "{1: hostile(float, '__float__', raises=StopIteration)}", "1")
def test_a_constructor_takes_what_is_right_and_refuses_all_else(
    name: str, mapping: str, lr_init: str
) -> None:
    arguments = value(mapping), value(lr_init)
    with unchanged(optimizer := sgd(0.5)):
        error, policy = outcome(CLASSES[name], *arguments)
    if error is None:
        starts = policy.lr_init if isinstance(policy.lr_init, list) else [policy.lr_init]
        assert all(start is None or is_a_rate(start) for start in starts)
        if name not in CALLED:
            several = policy.mapping if isinstance(policy.mapping, list) else [policy.mapping]
            assert all(type(epoch) is int and epoch >= 0 for one in several for epoch in one)
            assert all(is_a_rate(lr) for one in several for lr in one.values())
            assert several == [dict(sorted(one.items())) for one in several]
            given_several = (
                [*arguments[0]] if isinstance(arguments[0], Sequence) else [arguments[0]]
            )
            if not re.search(r"hostile|lying|Pairs", mapping):
                for one, given_one in zip(several, given_several, strict=True):
                    assert one == {int(epoch): float(lr) for epoch, lr in given_one.items()}
                    assert not any(map(is_no_number, chain(given_one, given_one.values())))
    policy = CLASSES[name](reciprocal if name in CALLED else {1: 0.5}, lr_init=1)
    advance(policy(optimizer))
    assert lrs(optimizer) == [0.5]


def is_no_number(given: object) -> bool:
    return isinstance(given, bool | str | bytes | bytearray | complex | None)


def is_a_rate(lr: object) -> bool:
    return type(lr) is float and math.isfinite(lr) and lr >= 0


SCHEDULES = sorted({*schedules.__all__} - {"ScheduleFunction"})


@pytest.mark.spec("C11")
@effort(3)
@given(
    name=st.sampled_from(SCHEDULES),
    arguments=st.lists(st.sampled_from(["1", "2", "0.5", "Constant(0.5)", "'cos'"]) | anything),
    epoch=epochs,
    then=st.sampled_from(
        ["{0} * ({1})", "({1}) * {0}", "{0}.in_steps({1})", "{0}.then({1}, at=1)"]
    ),
    other=anything,
)
@example("Constant", ["torch.tensor(0.5, device='meta')"], "0", "{0} * ({1})", "deep()")
@example("Exponential", ["0.5", "2", "1"], "10**400", "{0}.in_steps({1})", "10**400")
@example("MultiStep", ["1", "hostile(list, '__iter__')"], "0", "({1}) * {0}", "Decimal(1)")
def test_a_schedule_takes_what_is_right_and_refuses_all_else(
    name: str, arguments: list[str], epoch: str, then: str, other: str
) -> None:
    if any("count()" in argument for argument in arguments):
        return  # whoever gives endless milestones waits for them
    error, made = outcome(getattr(schedules, name), *map(value, arguments))
    if error is not None:
        return
    values = value(f"({other}, {epoch})")
    _, more = outcome(lambda: value(then.format("made", "other"), made=made, other=values[0]))
    for schedule in (made, more):
        if isinstance(schedule, schedules.ScheduleFunction):
            error, lr = outcome(schedule, values[1])
            assert error is not None or (type(lr) is float and lr >= 0)


# Other arguments


@pytest.mark.spec("V17", "V18", "S10")
@effort(3)
@given(
    name=kinds,
    call=st.sampled_from(["lr_at", "step", "in_steps", "simulate groups", "simulate lr"]),
    bound=st.booleans(),
    argument=epochs | anything,
)
@example("Switch", "lr_at", True, "deep()")
@example("Multiply", "step", True, "10**400")
@example("Multiply", "step", True, "10**5000")
@example("Schedule", "simulate lr", False, "torch.tensor(0.5, device='meta')")
def test_an_argument_of_a_method_is_right_or_refused(
    name: str, call: str, bound: bool, argument: str
) -> None:
    policy, given_argument = POLICIES[name](), value(argument)
    twin = POLICIES[name]()(sgd(0.5, 0.25))
    optimizer = sgd(0.5, 0.25)
    if bound:
        policy(optimizer)
    calls: dict[str, Callable[[], object]] = {
        "lr_at": lambda: policy.lr_at(given_argument),
        "step": lambda: policy.step(given_argument),
        "in_steps": lambda: policy.in_steps(given_argument),  # type: ignore[attr-defined]
        "simulate groups": lambda: thunder_policy.simulate(
            policy,
            3,
            min(given_argument, 1000) if isinstance(given_argument, int) else given_argument,
            lr=0.5,
        ),
        "simulate lr": lambda: thunder_policy.simulate(policy, 3, lr=given_argument),
    }
    if name == "custom" and call == "in_steps":
        return
    before = picture(policy), picture(optimizer)
    error, found = outcome(calls[call])
    if call == "lr_at" and error is None:
        assert is_finite(found)
    if call != "step" or error is not None:
        assert (picture(policy), picture(optimizer)) == before
    if bound and call == "step" and error is None:
        assert is_finite(lrs(optimizer))
        policy.load_state_dict(twin.state_dict())
    if bound:
        advance(policy)
        advance(twin)
        assert (lrs(optimizer), policy.last_epoch) == (lrs(twin.optimizer), 1)


# Binding


groups = st.lists(
    st.fixed_dictionaries(
        {"lr": st.sampled_from(["0.5", "0.25", "tensor", "shared", "shared"]) | anything},
        optional={"initial_lr": st.sampled_from(["0.5", "shared"]) | anything},
    ),
    max_size=4,
)
written = st.sampled_from(
    [
        "Switch({1: 0.5})",
        "Switch({0: 0.5, 1: 0.25}, None)",
        "Switch([{1: 0.5}, {}], [0.5, 0.25])",
        "Multiply({1: 0.5})",
        "Multiply({0: 0.5, 1: 0.5}, None)",
        "Multiply([{1: 0.5}, {1: 0.25}], 1)",
        "Schedule(reciprocal)",
        "Schedule([reciprocal, np.cos], None)",
        "Scale(reciprocal)",
        "Scale([reciprocal, None], 1)",
        "Answering()",
        "Restarting({1: 0.5}, 0.25)",
    ]
)
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


OWN = {"Answering": Answering, "Restarting": Restarting}


@pytest.mark.spec("B2", "B9", "B19", "B22", "S1")
@effort(6)
@given(
    policy=written,
    groups=groups,
    empty=st.booleans(),
    missing=st.sampled_from([None] * 9 + [0, 1]),
    elsewhere=st.booleans(),
    failing=st.booleans(),
)
@example("Restarting({1: 0.5}, 0.25)", [{"lr": "tensor"}], False, None, True, True)
@example(
    policy="Multiply({0: 0.5}, None)",
    groups=[{"lr": "tensor", "initial_lr": "-(2**63) - 1"}],
    empty=False,
    missing=None,
    elsewhere=False,
    failing=False,
)
@example(
    policy="Schedule([reciprocal, np.cos], None)",
    groups=[{"lr": "0.5", "initial_lr": "hostile(float, '__eq__', raises=Leaving)"}] * 2,
    empty=False,
    missing=None,
    elsewhere=False,
    failing=False,
)
def test_binding_is_done_or_refused(
    policy: str,
    groups: list[dict[str, str]],
    empty: bool,
    missing: int | None,
    elsewhere: bool,
    failing: bool,
) -> None:
    optimizer = odd_optimizer(groups, empty, missing)
    bound: Policy = value(policy, **OWN)
    n = len(bound.mapping) if isinstance(getattr(bound, "mapping", None), list) else 2  # type: ignore[attr-defined]
    first = sgd(*[0.5] * n)
    if elsewhere:
        advance(bound(first), 2)
    if isinstance(bound, Restarting):
        bound.failing = failing
    before = picture(bound), picture(optimizer)
    with unchanged(first):
        error, _ = outcome(bound, optimizer, also=THEIRS)
    if error is not None:
        assert (picture(bound), picture(optimizer)) == before
        vars(bound).pop("failing", None)
        if elsewhere:
            advance(bound)
            assert bound.last_epoch == 3
    elif all(plain(group["lr"]) for group in optimizer.param_groups):
        assert bound.last_epoch == 0
        assert is_finite(lrs(optimizer))
        assert repr(lrs(optimizer)) == repr([*map(float, bound.get_last_lr())])
        shared = [
            id(group["lr"]) for group in optimizer.param_groups if torch.is_tensor(group["lr"])
        ]
        assert len(shared) == len({*shared})
        optimizer.step()
        before = picture(bound), picture(optimizer)
        bound.step()
        assert is_finite(lrs(optimizer))
    fresh, twin = sgd(*[0.5] * n), value(policy, **OWN)(sgd(*[0.5] * n))
    advance(bound(fresh))
    advance(twin)
    assert lrs(fresh) == lrs(twin.optimizer)


def odd_optimizer(groups: list[dict[str, str]], empty: bool, missing: int | None) -> SGD:
    """Make an optimizer, and put into its groups what its constructor would refuse."""
    optimizer = sgd(*[0.1] * len(groups)) if groups else sgd()
    shared = tensor(0.5, torch.float32)
    for group, changes in zip(optimizer.param_groups, groups, strict=False):
        for key, text in changes.items():
            group[key] = value(text, shared=shared, tensor=tensor(0.25))
    if empty:
        optimizer.param_groups[0]["params"] = []
    if missing is not None:
        optimizer.param_groups[min(missing, len(groups) - 1)].pop("lr")
    return optimizer


def plain(lr: object) -> bool:
    """Tell whether it is a lr of the usual kind, which every policy can go on with."""
    if isinstance(lr, torch.Tensor):
        return lr.device.type == "cpu" and lr.numel() == 1 and lr.dtype in FLOATING
    return type(lr) is float


@pytest.mark.spec("B14", "B16")
@effort(1)
@given(name=kinds, thing=anything)
def test_only_an_optimizer_can_be_bound_to(name: str, thing: str) -> None:
    policy, given_thing = POLICIES[name](), value(thing)
    if issubclass(type(given_thing), Optimizer):
        return
    with unchanged(policy):
        error, _ = outcome(policy, given_thing)
    assert error is not None
    for call in (policy.state_dict, policy.get_last_lr, policy.step, policy.get_lr):
        with pytest.raises(UnboundPolicyError):
            call()
    with unchanged(policy):
        error, _ = outcome(policy.load_state_dict, given_thing)
    assert error is not None


# Steps


FORMS: dict[str, Callable[[], SGD]] = {
    "floats": lambda: sgd(0.5, 0.25),
    "tensors": lambda: sgd(tensor(0.5), tensor(0.25)),
    "float16 and a float": lambda: sgd(tensor(0.5, torch.float16), 0.25),
    "one group": lambda: sgd(0.5),
    "one tensor": lambda: sgd(tensor(0.5, torch.float32)),
}
forms = st.sampled_from(sorted(FORMS))


@pytest.mark.spec("C12", "S1", "S3")
@effort(4)
@given(
    kind=st.sampled_from(["one", "each", "get_lr", "in a list"]),
    form=forms,
    answer=anything,
    epoch=st.integers(1, 3),
)
@example("one", "one tensor", "torch.tensor(0.5, device='meta')", 1)
@example("each", "tensors", "torch.nested.nested_tensor([torch.ones(1)])", 1)
@example("one", "floats", "deep()", 2)
@example("one", "floats", "memoryview(b'1')", 1)
@example("in a list", "tensors", "hostile(float, '__float__', raises=Leaving)", 1)
def test_a_step_writes_finite_lrs_or_nothing(kind: str, form: str, answer: str, epoch: int) -> None:
    assume(kind != "get_lr" or not re.match(r"(lying|hostile)\((list|tuple)", answer))
    optimizer = FORMS[form]()
    n = len(optimizer.param_groups)
    odd = value(answer)

    def schedule(at: int) -> Any:
        return odd if at == epoch and bad else 0.5

    bad = True
    policy: Policy = {
        "one": lambda: Schedule(schedule),
        "each": lambda: Schedule([reciprocal, schedule][-n:]),
    }.get(kind, Answering)()
    if isinstance(policy, Answering):
        policy.answers[epoch] = lambda: odd if kind == "get_lr" else [*[0.5] * (n - 1), odd]
    advance(policy(optimizer), epoch - 1)
    optimizer.step()
    before = picture(policy), picture(optimizer)
    error, _ = outcome(policy.step)
    if error is not None:
        assert (picture(policy), picture(optimizer)) == before
        bad = False
        if isinstance(policy, Answering):
            policy.answers.clear()
        policy.step()
        assert lrs(optimizer)[-1] == 0.5
    assert is_finite(lrs(optimizer))
    assert repr(lrs(optimizer)) == repr([*map(float, policy.get_last_lr())])
    assert policy.last_epoch == epoch


@pytest.mark.spec("S1")
@effort(3)
@given(name=kinds, form=forms, lr=anything, key=st.sampled_from(["lr", "initial_lr"]))
@example(
    "Multiply",
    "float16 and a float",
    "hostile({}, {}, raises={})".format("Fraction", "'__getattribute__'", "StopIteration"),
    "lr",
)
def test_what_somebody_puts_into_a_group_is_stepped_over_or_refused(
    name: str, form: str, lr: str, key: str
) -> None:
    optimizer = FORMS[form]()
    policy = POLICIES[name]()(optimizer)
    optimizer.step()
    own = optimizer.param_groups[0][key]
    optimizer.param_groups[0][key] = odd = value(lr)
    before = picture(policy), picture(optimizer)
    error, _ = (None, None) if name == "custom" else outcome(policy.step, also=THEIRS)
    if error is not None:
        assert (picture(policy), picture(optimizer)) == before
    optimizer.param_groups[0][key] = own
    advance(policy)
    assert is_finite(lrs(optimizer))
    assert policy.last_epoch == (1 if error is not None or name == "custom" else 2)
    del odd


# States


def saved(policy: Policy, optimizer: SGD) -> dict[str, Any]:
    """Return the state of a policy after three steps."""
    advance(policy(optimizer), 3)
    return policy.state_dict()


ORIGINAL = {
    "mapping": {1: 0.5, 4: 0.25},
    "current_mapping": [{1: 0.5, 4: 0.25}] * 2,
    "lr_init": 1e-3,
    "current_lr_init": [1e-3] * 2,
    "base_lrs": [1e-3] * 2,
    "last_epoch": 3,
    "_step_count": 4,
    "_is_initial": False,
    "_get_lr_called_within_step": False,
    "_last_lr": [0.5, 0.5],
}
SCHEDULERS_TOO: dict[str, Callable[[], Any]] = {
    **{case.name: case.build for case in CASES if case.package == "torch"},
    "SWALR": lambda: partial(SWALR, swa_lr=0.1),
}
STATES: dict[str, dict[str, Any]] = {
    **{
        f"{name}, {form}": saved(make(), FORMS[form]())
        for name, make in POLICIES.items()
        for form in FORMS
    },
    "Switch, a list": saved(Switch([{1: 0.5}, {2: 0.25}], [0.5, 0.25]), sgd(0.5, 0.25)),
    **{
        name: make()(SGD([parameter()], lr=0.5, momentum=0.9)).state_dict()
        for name, make in SCHEDULERS_TOO.items()
    },
    "the original package": ORIGINAL,
}
KEYS = sorted(
    {
        *chain.from_iterable(STATES.values()),
        *("optimizer", "step", "get_lr", "__class__", "__dict__", "current_mapping", "verbose"),
        *("is_bound", "_abc_impl", "_initial_step", "note", "", "lr_at", "__slots__", "\ud800"),
    }
)
CHANGES = [
    *("MISSING", "MISSING", "MISSING", "old[:-1]", "[*old, old[0]]", "[old]", "(old,)", "{0: old}"),
    *("str(old)", "repr(old).encode()", "old * 2", "-old", "old + 1", "float(old)", "tuple(old)"),
    *("torch.tensor(old)", "np.array(old)", "dict(old)", "iter(old)", "[*reversed(old)]", "state"),
    *("old + 10**400", "[old[0], old]", "[*map(str, old)]", "[{**dict(one)} for one in old]"),
    *("[*map(list, old.items())]", "Fraction(old)", "True", "None", "other", "other", "other"),
    *("10**400", "2**63", "-1", "nan", "[nan] * len(old)", "[[*pair, 1] for pair in old]"),
    *("[[str(epoch), lr] for epoch, lr in old]", "[[epoch, -lr] for epoch, lr in old]", "deep()"),
    *("torch.tensor(old).half()", "torch.tensor(old).to('meta')", "torch.tensor(old).to_sparse()"),
    *("[torch.tensor(lr) for lr in old]", "[torch.tensor([lr]) for lr in old]", "old"),
]
mutated = st.lists(
    st.tuples(
        st.sampled_from([repr(key) for key in KEYS]) | anything,
        st.sampled_from(CHANGES)
        | anything
        | st.builds("[{}, *old[1:]]".format, anything)
        | st.builds("old + [[{}, {}]]".format, epochs, anything),
    ),
    max_size=4,
)
WRAPPED = [
    *(["state"] * 20),
    *("OrderedDict(state)", "UserDict(state)", "MappingProxyType(state)", "[*state.items()]"),
    *("{'scheduler': state}", "[state]", "Pairs(*state.items())", "state.keys()", "str(state)"),
    *("behind(hostile(dict, '__iter__'))", "behind(hostile(dict, 'items', 'keys'))"),
    *("behind(hostile(dict, '__contains__'))", "behind(hostile(dict, '__getitem__', 'get'))"),
    *("behind(lying(dict, 'values', ()))", "behind(lying(dict, 'get', None))"),
    *("behind(lying(dict, '__iter__', iter(())))", "behind(lying(OrderedDict, 'items', None))"),
]


def mutate(state: dict[Any, Any], changes: list[tuple[str, str]]) -> Any:
    """Change a state as the texts say; what cannot be done to an entry makes it None."""
    missing = object()
    for key_text, text in changes:
        key = value(key_text)
        try:
            old = state.get(key)
            others = [one[key] for one in STATES.values() if key in one]
        except BaseException:  # not hashable, or hostile
            continue
        other = copy.deepcopy(others[len(text) % len(others)]) if others else None
        try:
            new = value(text, old=old, other=other, state=dict(state), MISSING=missing)
        except BaseException:
            new = None
        if new is missing:
            state.pop(key, None)
        else:
            state[key] = new
    return state


def put_behind(state: Any) -> Callable[[Any], Any]:
    """Return what puts a state into a dict that misbehaves, behind its back."""

    def put(misbehaving: dict[Any, Any]) -> Any:
        dict.clear(misbehaving)
        for key in state:
            dict.__setitem__(misbehaving, key, state[key])
        return misbehaving

    return put


RUNNING = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename"),
    *("subprocess.", "socket.", "shutil.", "webbrowser."),
)
RANGE = r"does not fit|must be finite|must fit a float"


@pytest.mark.spec("T10", "T12", "T25", "T27", "T28", "T29", "T30")
@effort(16)
@given(
    name=kinds,
    form=forms,
    source=st.sampled_from(sorted(STATES)),
    changes=mutated,
    wrapped=st.sampled_from(WRAPPED) | st.just("state") | anything,
)
@example("Switch", "floats", "Switch, floats", [("'_group_lrs'", "deep()")], "state")
@example("Multiply", "floats", "Multiply, floats", [("'last_epoch'", "10**400")], "state")
@example("Switch", "floats", "the original package", [], "state")
@example("Schedule", "floats", "SequentialLR", [], "state")
@example("custom", "floats", "OneCycleLR", [], "state")
@example("custom", "one group", "LambdaLR", [], "state")
@example("custom", "floats", "ConstantLR", [("''", "torch.tensor(0.5, device='meta')")], "state")
@example("custom", "floats", "ConstantLR", [("''", "torch.tensor(1j)")], "state")
@example("custom", "floats", "ConstantLR", [("''", "hostile(OrderedDict, '__class__')")], "state")
def test_a_state_is_loaded_wholly_or_refused(
    name: str, form: str, source: str, changes: list[tuple[str, str]], wrapped: str
) -> None:
    assume(not re.search(r"to_sparse|deep|nested_tensor|hostile\(str", str((changes, wrapped))))
    optimizer = FORMS[form]()
    policy = POLICIES[name]()(optimizer)
    advance(policy)
    own, held = policy.state_dict(), {*vars(policy)}
    state = mutate(copy.deepcopy(STATES[source]), changes)
    error, given_state = outcome(lambda: value(wrapped, state=state, behind=put_behind(state)))
    assume(error is None)  # not a text of what cannot be printed
    before = picture(policy), picture(optimizer)
    groups = [id(group) for group in optimizer.param_groups]
    with audited() as events:
        error, _ = outcome(policy.load_state_dict, given_state)
    assert not [event for event, _ in events if event.startswith(RUNNING)]
    if error is not None:
        assert (picture(policy), picture(optimizer)) == before
    else:
        goes_on(policy, optimizer)
        for key in {*vars(policy)} - held:
            delattr(policy, key)  # what a custom policy was given, and may not be able to save
    policy.load_state_dict(own)
    assert [id(group) for group in optimizer.param_groups] == groups
    twin = POLICIES[name]()(FORMS[form]())
    twin.load_state_dict(own)
    for _ in range(3):
        advance(policy)
        advance(twin)
        assert lrs(optimizer) == lrs(twin.optimizer)
    assert repr(numbers(policy.state_dict())) == repr(numbers(twin.state_dict()))


def goes_on(policy: Policy, optimizer: SGD) -> None:
    """Check that a policy which has loaded something odd steps, saves and loads."""
    assert type(policy.last_epoch) is int
    assert is_finite(lrs(optimizer))
    for _ in range(2):
        optimizer.step()
        at = policy.last_epoch
        error, _ = outcome(policy.step)
        assert error is None or re.search(RANGE, str(error))
        assert policy.last_epoch == at + (error is None)
        assert is_finite(lrs(optimizer))
    error, state = outcome(lambda: through_disk(policy.state_dict()))
    if error is not None:
        assert isinstance(policy, Halving)
        assert error in RAISED or "weights_only" in str(error)
        return
    seen = lrs(optimizer)
    policy.load_state_dict(state)
    assert lrs(optimizer) == seen
    assert repr(numbers(policy.state_dict())) == repr(numbers(state))


# What was found, once each.


def in_group(key: str, text: str, policy: str = "Switch({1: 0.5})") -> tuple[Any, ...]:
    """Bind to a group that holds an odd value."""
    optimizer, policy = sgd(0.5), value(policy)
    optimizer.param_groups[0][key] = value(text)
    return policy, optimizer, lambda: policy(optimizer)  # type: ignore[operator]


def later(text: str) -> tuple[Any, ...]:
    """Step to a milestone from a group that somebody has put an odd value into."""
    policy = Multiply({1: 0.5})(sgd(0.5))
    policy.optimizer.step()
    policy.optimizer.param_groups[0]["lr"] = value(text)
    return policy, policy.optimizer, policy.step


def loaded(text: str, key: Any = "_group_lrs", name: str = "custom") -> tuple[Any, ...]:
    """Load a state with an odd value."""
    policy = POLICIES[name]()(sgd(0.5))
    state = {**policy.state_dict(), key: value(text)}
    return policy, policy.optimizer, lambda: policy.load_state_dict(state)


def without_lr() -> tuple[Any, ...]:
    """Bind to a group that has no lr."""
    policy, optimizer = Switch({1: 0.5}), sgd(0.5)
    del optimizer.param_groups[0]["lr"]
    return policy, optimizer, lambda: policy(optimizer)


def answered(text: str) -> tuple[Any, ...]:
    """Step where get_lr returns something odd."""
    policy = Answering()(sgd(0.5))
    policy.optimizer.step()
    policy.answers[1] = lambda: value(text)
    return policy, policy.optimizer, policy.step


EXPANDED = "torch.ones(1).expand(3)"
QUANTIZED = "torch.quantize_per_tensor(torch.tensor(0.5), 0.1, 0, torch.quint8)"
NESTED = "torch.nested.nested_tensor([torch.ones(1)])"
FINDS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "bind, no element": lambda: in_group("lr", "torch.ones(0)"),
    "bind, two elements": lambda: in_group("lr", "torch.ones(2)"),
    "bind, one for three": lambda: in_group("lr", EXPANDED),
    "bind, an initial_lr of two": lambda: in_group("initial_lr", "torch.ones(2)"),
    "bind, no lr": without_lr,
    "step, two elements": lambda: later("torch.ones(2)"),
    "step, a parameter": lambda: later("torch.nn.Parameter(torch.tensor(0.5))"),
    "step, an answer of two elements": lambda: answered("[torch.ones(2)]"),
    "step, a sparse answer": lambda: answered("[torch.ones(2).to_sparse()]"),
    "load, nested deeply": lambda: loaded("deep()", "note"),
}
ODD_TENSORS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "bind, sparse": lambda: in_group("lr", "torch.tensor(0.5).to_sparse()"),
    "bind, nested": lambda: in_group("lr", NESTED),
    "bind, quantized": lambda: in_group("lr", QUANTIZED, "Multiply({0: 0.5}, None)"),
    "bind, sparse initial_lr": lambda: in_group("initial_lr", "torch.ones(2).to_sparse()"),
    "step, sparse": lambda: later("torch.tensor(0.5).to_sparse()"),
    "step, quantized": lambda: later(QUANTIZED),
    "step, a huge int": lambda: later("10**400"),
    "load, a nested tensor": lambda: loaded(NESTED, "note"),
}


@pytest.mark.spec("B2", "B22", "S1", "T10")
@pytest.mark.parametrize("find", FINDS.values(), ids=FINDS.keys())
def test_what_no_group_can_hold_is_refused_and_changes_nothing(
    find: Callable[[], tuple[Any, ...]],
) -> None:
    policy, optimizer, call = find()
    before = picture(policy), picture(optimizer)
    with pytest.raises((TypeError, ValueError)):
        call()
    assert (picture(policy), picture(optimizer)) == before


@pytest.mark.spec("S1", "T10", "B2")
@pytest.mark.parametrize("find", ODD_TENSORS.values(), ids=ODD_TENSORS.keys())
def test_what_torch_fails_at_changes_nothing_either(find: Callable[[], tuple[Any, ...]]) -> None:
    policy, optimizer, call = find()
    before = picture(policy), picture(optimizer)
    with pytest.raises((TypeError, ValueError, *THEIRS)):
        call()
    assert (picture(policy), picture(optimizer)) == before


@pytest.mark.spec("B2", "S2")
def test_somebody_s_stop_iteration_ends_the_binding_and_no_loop_in_it() -> None:
    policy, optimizer, call = in_group(
        "initial_lr", "hostile(int, '__getattribute__', raises=StopIteration)", "Switch({}, None)"
    )
    before = picture(policy), picture(optimizer)
    error, _ = outcome(call)
    assert error is not None
    assert (picture(policy), picture(optimizer)) == before


@pytest.mark.spec("B14")
def test_before_it_is_bound_a_policy_looks_at_no_state() -> None:
    for state in ({"mapping": 3}, {"lr_init": "x"}, {}, None, 3):
        with pytest.raises(UnboundPolicyError):
            Switch({}).load_state_dict(state)  # type: ignore[arg-type]


@pytest.mark.spec("B15")
def test_simulate_refuses_more_groups_than_there_is_memory_for() -> None:
    with pytest.raises(ValueError, match="groups"):
        thunder_policy.simulate(Switch({}), 2, groups=10**400)
