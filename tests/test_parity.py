"""Parity with torch: a policy and the scheduler that says the same thing, side by side."""

from __future__ import annotations

import io
import itertools
import linecache
import math
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import lrs
from strategies import AnyPolicy, Groups, groups, parameter
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)
from versions import (
    BEGINS_WITH_THE_SECOND,
    FILLS_ANY_SHAPE,
    SEQUENCE_IS_CLEAN,
    WARNS_AT_THE_CALLER,
)

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch

LENGTH = 12
# Far enough from zero that no product below is subnormal in float16.
base_lrs = st.floats(0.1, 1)
gammas = st.floats(0.5, 1.25)
milestone_lists = st.lists(st.integers(1, LENGTH), max_size=5)
any_groups = groups(values=base_lrs)
lengths = st.integers(0, LENGTH)

Bind = Callable[[Optimizer], LRScheduler]


def advance(optimizer: Optimizer, scheduler: LRScheduler) -> None:
    """One turn of a correct loop."""
    optimizer.step()
    scheduler.step()


def close(dtype: torch.dtype | None, ours: float, theirs: float, changes: int) -> bool:
    """To 1e-12 relative in double precision, within 2 eps a change in a narrower dtype."""
    if dtype in (None, torch.float64):
        return math.isclose(ours, theirs, rel_tol=1e-12)
    return math.isclose(ours, theirs, rel_tol=2 * torch.finfo(dtype).eps * max(changes, 1))


def split(held: Groups) -> Groups:
    """The same groups with a tensor of its own each: torch writes twice into a shared one."""
    # An older torch's get_last_lr gives the live parameter out, a newer one's a tensor like it.
    forms = {"one tensor": "0-dim", "views of one element": "shape [1]", "parameter": "0-dim"}
    form = forms.get(held.form, held.form)
    if form == "shape [1]" and not FILLS_ANY_SHAPE:
        form = "0-dim"
    return replace(held, form=form)


def pairs(
    held: Groups, policy: Policy, bind: Bind, length: int
) -> Sequence[tuple[list[float], list[float]]]:
    """The lrs of both at every epoch; everything else that a scheduler shows is compared here."""
    our_optimizer, optimizer = held.build(), split(held).build()
    scheduler = bind(optimizer)
    policy(our_optimizer)
    rows = []
    for epoch in range(length + 1):
        if epoch:
            advance(our_optimizer, policy)
            advance(optimizer, scheduler)
        rows.append((lrs(our_optimizer), lrs(optimizer)))
        assert policy.last_epoch == scheduler.last_epoch == epoch
        assert policy._step_count == scheduler._step_count
        assert [float(lr) for lr in policy.base_lrs] == [float(lr) for lr in scheduler.base_lrs]
        assert [float(lr) for lr in policy.get_last_lr()] == lrs(our_optimizer)
        for ours, theirs in zip(policy.get_last_lr(), scheduler.get_last_lr(), strict=True):
            assert type(ours) is type(theirs)
    return rows


def assert_same_bits(held: Groups, policy: Policy, bind: Bind, length: int) -> None:
    for ours, theirs in pairs(held, policy, bind, length):
        assert ours == theirs


def assert_close(held: Groups, policy: Policy, bind: Bind, length: int) -> None:
    for epoch, (row, torch_row) in enumerate(pairs(held, policy, bind, length)):
        for i, (ours, theirs) in enumerate(zip(row, torch_row, strict=True)):
            assert close(held.dtype(i), ours, theirs, changes=epoch)


def own_lrs(held: Groups) -> list[float]:
    """What the groups hold before anybody binds."""
    return lrs(held.build())


def scaled(held: Groups, factor: Callable[[int], float]) -> Schedule:
    """The schedule that multiplies each group's own lr by a factor of the epoch."""

    def of(lr: float) -> Callable[[int], float]:
        return lambda epoch: lr * factor(epoch)

    return Schedule([of(lr) for lr in own_lrs(held)], lr_init=None)


@pytest.mark.spec("V2", "V5", "V6")
class TestMultiply:
    """To the bit in every dtype: torch's chainable schedulers do the same arithmetic."""

    @given(any_groups, st.lists(gammas, min_size=LENGTH, max_size=LENGTH), lengths)
    def test_multiplicative_lr(self, held: Groups, factors: list[float], length: int) -> None:
        mapping = dict(enumerate(factors, start=1))
        assert_same_bits(
            held,
            Multiply(mapping, lr_init=None),
            lambda optimizer: MultiplicativeLR(optimizer, mapping.__getitem__),
            length,
        )

    @given(
        groups(values=base_lrs),
        st.data(),
        lengths,
    )
    def test_multiplicative_lr_with_a_function_a_group(
        self, held: Groups, data: st.DataObject, length: int
    ) -> None:
        mappings = data.draw(
            st.lists(
                st.dictionaries(st.integers(1, LENGTH), gammas),
                min_size=len(held.lrs),
                max_size=len(held.lrs),
            )
        )
        factors = [defaultdict(lambda: 1.0, mapping) for mapping in mappings]
        assert_same_bits(
            held,
            Multiply(mappings, lr_init=None),
            lambda optimizer: MultiplicativeLR(optimizer, [each.__getitem__ for each in factors]),
            length,
        )

    @given(any_groups, milestone_lists, gammas, lengths)
    def test_multi_step_lr(
        self, held: Groups, milestones: list[int], gamma: float, length: int
    ) -> None:
        mapping = {epoch: gamma ** milestones.count(epoch) for epoch in milestones}
        assert_same_bits(
            held,
            Multiply(mapping, lr_init=None),
            lambda optimizer: MultiStepLR(optimizer, milestones, gamma),
            length,
        )

    @given(any_groups, st.integers(1, LENGTH), gammas, lengths)
    def test_step_lr(self, held: Groups, size: int, gamma: float, length: int) -> None:
        assert_same_bits(
            held,
            Multiply(dict.fromkeys(range(size, LENGTH + 1, size), gamma), lr_init=None),
            lambda optimizer: StepLR(optimizer, size, gamma),
            length,
        )

    @given(any_groups, gammas, lengths)
    def test_exponential_lr(self, held: Groups, gamma: float, length: int) -> None:
        assert_same_bits(
            held,
            Multiply(dict.fromkeys(range(1, LENGTH + 1), gamma), lr_init=None),
            lambda optimizer: ExponentialLR(optimizer, gamma),
            length,
        )

    @given(any_groups, st.floats(0.5, 1), st.integers(1, LENGTH), lengths)
    def test_constant_lr(self, held: Groups, factor: float, total: int, length: int) -> None:
        # A narrow tensor times a factor is rounded otherwise than the start, a float, times it.
        check = assert_same_bits if held.exact else assert_close
        check(
            held,
            Multiply({0: factor, total: 1 / factor}, lr_init=None),
            lambda optimizer: ConstantLR(optimizer, factor, total),
            length,
        )


@pytest.mark.spec("V3", "V4", "V11")
class TestScheduleAndScale:
    """The closed form beside torch's recursion."""

    @given(any_groups, st.lists(gammas, min_size=LENGTH + 1, max_size=LENGTH + 1), lengths)
    def test_lambda_lr(self, held: Groups, factors: list[float], length: int) -> None:
        factor = factors.__getitem__
        check = assert_same_bits if held.exact else assert_close
        for policy in (scaled(held, factor), Scale(factor), Scale([factor] * len(held.lrs))):
            check(held, policy, lambda opt: LambdaLR(opt, factor), length)

    @given(any_groups, st.floats(0.25, 1), st.integers(1, LENGTH), lengths)
    def test_constant_lr(self, held: Groups, factor: float, total: int, length: int) -> None:
        assert_close(
            held,
            Scale(lambda t: factor if t < total else 1.0),
            lambda optimizer: ConstantLR(optimizer, factor, total),
            length,
        )

    @given(any_groups, st.floats(0.1, 1), st.floats(0.1, 1), st.integers(1, LENGTH), lengths)
    def test_linear_lr(
        self, held: Groups, start: float, end: float, total: int, length: int
    ) -> None:
        assert_close(
            held,
            Scale(lambda t: start + (end - start) * min(t, total) / total),
            lambda optimizer: LinearLR(optimizer, start, end, total),
            length,
        )

    @given(any_groups, st.integers(1, 10), st.floats(0.5, 2), lengths)
    def test_polynomial_lr(self, held: Groups, total: int, power: float, length: int) -> None:
        assert_close(
            held,
            Scale(lambda t: (1 - min(t, total) / total) ** power),
            lambda optimizer: PolynomialLR(optimizer, total, power),
            length,
        )

    @given(any_groups, st.integers(1, 10), st.floats(0, 0.05), lengths)
    def test_cosine_annealing_lr(
        self, held: Groups, period: int, eta_min: float, length: int
    ) -> None:
        # On the way up torch's recursion multiplies the rounding errors of a narrow dtype.
        assume(held.exact or length <= period)

        def cosine(lr: float) -> Callable[[int], float]:
            half = (lr - eta_min) / 2
            return lambda t: eta_min + half * (1 + math.cos(math.pi * t / period))

        assert_close(
            held,
            Schedule([cosine(lr) for lr in own_lrs(held)], lr_init=None),
            lambda optimizer: CosineAnnealingLR(optimizer, period, eta_min),
            length,
        )


@pytest.mark.spec("V1")
@given(any_groups, milestone_lists, gammas, lengths)
def test_switch_takes_multi_step_lrs_values(
    held: Groups, milestones: list[int], gamma: float, length: int
) -> None:
    mappings = []
    for lr in own_lrs(held):
        values = {}
        for epoch in sorted(set(milestones)):
            lr *= gamma ** milestones.count(epoch)
            values[epoch] = lr
        mappings.append(values)
    check = assert_same_bits if held.exact else assert_close
    check(
        held,
        Switch(mappings, lr_init=None),
        lambda optimizer: MultiStepLR(optimizer, milestones, gamma),
        length,
    )


# Warnings

Seen = list[tuple[object, ...]]
actions = st.lists(
    st.sampled_from(["optimizer.step()", "step()", "step(epoch)", "override optimizer.step"])
    | st.integers(0, LENGTH),
    max_size=8,
)


def drive(
    optimizer: Optimizer, scheduler: LRScheduler, what: Sequence[str | int]
) -> tuple[Seen, list[list[float]]]:
    """Call in any order, right or wrong; every warning with its place, and the lrs."""
    rows = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for action in what:
            if action == "optimizer.step()":
                optimizer.step()
            elif action == "step()":
                scheduler.step()
            elif isinstance(action, int):
                scheduler.step(action)
            else:
                step = type(optimizer).step
                optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]
            rows.append(lrs(optimizer))
    places = [(w.filename, w.lineno) if WARNS_AT_THE_CALLER else () for w in caught]
    said = [(str(w.message), w.category) for w in caught]
    return list(zip(said, places, strict=True)), rows


@pytest.mark.spec("S9", "S10")
@given(base_lrs, milestone_lists, gammas, actions)
def test_warnings_and_values_are_torchs_in_any_loop_right_or_wrong(
    lr: float, milestones: list[int], gamma: float, what: list[str | int]
) -> None:
    held = Groups("SGD", "float", (None,), (lr,))
    ours, theirs = held.build(), held.build()
    mapping = {epoch: gamma ** milestones.count(epoch) for epoch in milestones}
    seen, rows = drive(ours, Multiply(mapping, lr_init=None)(ours), what)
    torch_seen, torch_rows = drive(theirs, MultiStepLR(theirs, milestones, gamma), what)
    assert seen == torch_seen
    assert list(itertools.chain(*rows)) == pytest.approx(
        list(itertools.chain(*torch_rows)), rel=1e-12
    )


def place(warning: warnings.WarningMessage) -> tuple[str, str]:
    """The file and the text of the line that a warning points at."""
    return warning.filename, linecache.getline(warning.filename, warning.lineno).strip()


POLICIES = [Switch({}, None), Multiply({1: 0.5}, None), Schedule(float), Scale(float)]


@pytest.mark.spec("S9", "S10")
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
class TestWarnings:
    def test_step_before_the_optimizers_step_warns_with_the_callers_line(
        self, policy: AnyPolicy
    ) -> None:
        policy(SGD([parameter()], lr=1.0))
        with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before") as caught:
            policy.step()
        assert [place(warning) for warning in caught] == [(__file__, "policy.step()")]

    def test_an_overridden_step_warns_with_the_callers_line(self, policy: AnyPolicy) -> None:
        optimizer = SGD([parameter()], lr=1.0)
        policy(optimizer)
        optimizer.step = lambda closure=None: None  # type: ignore[method-assign]
        optimizer.step()
        with pytest.warns(UserWarning, match="has been overridden") as caught:
            policy.step()
        assert [place(warning) for warning in caught] == [(__file__, "policy.step()")]

    def test_step_with_an_epoch_warns_and_takes_the_closed_form(self, policy: AnyPolicy) -> None:
        optimizer = SGD([parameter()], lr=1.0)
        policy(optimizer)
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 7.0
        with pytest.warns(UserWarning, match="epoch parameter in `scheduler.step") as caught:
            policy.step(3)
        assert [place(warning) for warning in caught] == [(__file__, "policy.step(3)")]
        assert policy.last_epoch == 3
        assert lrs(optimizer) == policy.lr_at(3) == policy.get_last_lr()

    def test_a_correct_loop_has_none(self, policy: AnyPolicy) -> None:
        optimizer = SGD([parameter()], lr=1.0)
        policy(optimizer)
        for _ in range(3):
            advance(optimizer, policy)  # an error if it warned
        assert policy.last_epoch == 3


# Inside torch's composites


@dataclass(frozen=True)
class Twin:
    """A policy and the torch scheduler that says the same, for optimizers that hold `lrs`."""

    ours: Callable[[Groups], Bind]
    theirs: Bind


def multiply(mapping: dict[int, float]) -> Callable[[Groups], Bind]:
    return lambda held: Multiply(mapping, lr_init=None)


def every(size: int, gamma: float) -> Twin:
    mapping = dict.fromkeys(range(size, 3 * LENGTH, size), gamma)
    return Twin(multiply(mapping), lambda optimizer: StepLR(optimizer, size, gamma))


def at(milestones: list[int], gamma: float) -> Twin:
    mapping = {epoch: gamma ** milestones.count(epoch) for epoch in milestones}
    return Twin(multiply(mapping), lambda optimizer: MultiStepLR(optimizer, milestones, gamma))


def decay(rate: float) -> Twin:
    def factor(epoch: int) -> float:
        return 1 / (1 + rate * epoch)

    return Twin(lambda held: Scale(factor), lambda optimizer: LambdaLR(optimizer, factor))


def warmup(start: float) -> Twin:
    def bind(optimizer: Optimizer) -> LRScheduler:
        return LinearLR(optimizer, start, total_iters=4)

    return Twin(lambda held: bind, bind)


# None of the policies changes the lr at 0, and torch's warm-up comes last where all run at once:
# with an lr_init, and after a recorded initial_lr, a policy's value at 0 is its own.
policy_twins = (
    st.builds(every, st.integers(1, 4), gammas)
    | st.builds(at, milestone_lists, gammas)
    | st.builds(decay, st.floats(0.1, 1))
)
torch_twins = st.builds(warmup, st.floats(0.25, 1))
exact = groups(dtypes=[torch.float64], values=base_lrs)
# For composites, in which there are torch's own schedulers too.
shared = exact if SEQUENCE_IS_CLEAN else groups(["float"], values=base_lrs)


@dataclass(frozen=True)
class Composite:
    """The same composite of twins twice, and what its parts are."""

    held: Groups
    parts: tuple[Twin, ...]
    milestones: tuple[int, ...] | None

    def build(self, ours: bool) -> tuple[Optimizer, LRScheduler]:
        """A fresh optimizer under a fresh composite: of policies, or of torch's schedulers."""
        held = self.held if ours else split(self.held)
        optimizer = held.build()
        parts = [(part.ours(held) if ours else part.theirs)(optimizer) for part in self.parts]
        if self.milestones is None:
            return optimizer, ChainedScheduler(parts)
        return optimizer, SequentialLR(optimizer, parts, list(self.milestones))


@st.composite
def composites(draw: st.DrawFn) -> Composite:
    """Alone, several, and mixed with torch's own."""
    held = draw(shared)
    if draw(st.booleans()):
        chain = (
            *draw(st.lists(policy_twins, min_size=1, max_size=3)),
            *draw(st.lists(torch_twins, max_size=1)),
        )
        return Composite(held, chain, None)
    parts = tuple(draw(st.lists(policy_twins | torch_twins, min_size=1, max_size=4)))
    n = len(parts) - 1
    earliest = 0 if BEGINS_WITH_THE_SECOND else 1
    milestones = draw(st.lists(st.integers(earliest, LENGTH), min_size=n, max_size=n, unique=True))
    return Composite(held, parts, tuple(sorted(milestones)))


def trace(optimizer: Optimizer, scheduler: LRScheduler, length: int) -> list[list[float]]:
    """The lrs at every epoch, which are also what the composite says they are."""
    rows = [lrs(optimizer)]
    for _ in range(length):
        advance(optimizer, scheduler)
        rows.append(lrs(optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == rows[-1]
    return rows


@pytest.mark.spec("X1", "X2", "T11", "T17", "T23")
class TestComposites:
    @given(composites())
    def test_policies_inside_do_what_torchs_schedulers_do(self, composite: Composite) -> None:
        assert trace(*composite.build(ours=True), 2 * LENGTH) == trace(
            *composite.build(ours=False), 2 * LENGTH
        )

    @given(composites(), policy_twins | torch_twins)
    def test_and_in_a_sequence_that_begins_with_a_composite(
        self, composite: Composite, then: Twin
    ) -> None:
        def nested(ours: bool) -> tuple[Optimizer, LRScheduler]:
            optimizer, inner = composite.build(ours)
            second = (then.ours(composite.held) if ours else then.theirs)(optimizer)
            with warnings.catch_warnings():
                # pytorch#196243: building the outer one takes a step of the inner one, and warns.
                warnings.simplefilter("ignore")
                return optimizer, SequentialLR(optimizer, [inner, second], [LENGTH])

        assert trace(*nested(ours=True), LENGTH + 4) == trace(*nested(ours=False), LENGTH + 4)

    @given(composites(), st.integers(0, 2 * LENGTH), st.booleans())
    def test_resumed_in_the_middle_they_go_on_the_same(
        self, composite: Composite, cut: int, optimizer_first: bool
    ) -> None:
        """Cut before a milestone too, where a policy that has not begun is at epoch -1."""
        optimizer, scheduler = composite.build(ours=True)
        trace(optimizer, scheduler, cut)
        file = io.BytesIO()
        torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
        file.seek(0)
        optimizer_state, scheduler_state = torch.load(file, weights_only=True)

        fresh_optimizer, fresh = composite.build(ours=True)
        if optimizer_first:
            fresh_optimizer.load_state_dict(optimizer_state)
            fresh.load_state_dict(scheduler_state)
        else:
            fresh.load_state_dict(scheduler_state)
            fresh_optimizer.load_state_dict(optimizer_state)

        assert fresh.get_last_lr() == scheduler.get_last_lr()
        rest = 2 * LENGTH + 2 - cut
        assert trace(fresh_optimizer, fresh, rest) == trace(optimizer, scheduler, rest)

    @given(st.lists(policy_twins, min_size=1, max_size=3), exact, st.integers(0, 2 * LENGTH))
    def test_resumed_without_the_optimizers_state_where_all_are_policies(
        self, parts: list[Twin], held: Groups, cut: int
    ) -> None:
        composite = Composite(held, tuple(parts), tuple(range(4, 4 * len(parts), 4)))
        optimizer, scheduler = composite.build(ours=True)
        trace(optimizer, scheduler, cut)
        fresh_optimizer, fresh = composite.build(ours=True)
        fresh.load_state_dict(scheduler.state_dict())
        assert trace(fresh_optimizer, fresh, LENGTH) == trace(optimizer, scheduler, LENGTH)

    @given(composites(), st.lists(st.sampled_from(["optimizer.step()", "step()"]), max_size=6))
    def test_warnings_inside_are_torchs_too(self, composite: Composite, what: list[str]) -> None:
        assert drive(*composite.build(ours=True), what) == drive(*composite.build(ours=False), what)
