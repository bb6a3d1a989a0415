"""Show what breaks a law, with torch and the scheduler's package alone: no law is used, no suite.

``python -m benchmarks.confirm transformers`` reads lines of ``scheduler law`` and prints those that
it confirms.
"""

from __future__ import annotations

import copy
import gc
import io
import pickle
import random
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import pairwise
from typing import Any

import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, SequentialLR
from torch.utils._python_dispatch import TorchDispatchMode

from .wild import CASES, EPOCHS, METRICS, Case

FEW = (0.1, 0.2)


def groups(lrs: Sequence[Any]) -> list[dict[str, Any]]:
    """Make a param group for each of these lrs."""
    return [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]


def start(case: Case, lrs: Sequence[Any] = FEW) -> Any:
    """Make the scheduler, of a new optimizer."""
    return case.build()(case.make_optimizer()(groups(lrs)))


def step(case: Case, scheduler: Any) -> None:
    """Step the scheduler, with the metric of its epoch if it is told one."""
    if case.metrics:
        scheduler.step(METRICS[scheduler.last_epoch])
    else:
        scheduler.step()


def train(case: Case, scheduler: Any, steps: int = 1) -> Any:
    """Take steps of a correct loop."""
    for _ in range(steps):
        scheduler.optimizer.step()
        step(case, scheduler)
    return scheduler


def lrs_of(scheduler: Any) -> list[float]:
    """Return what the groups hold."""
    return [float(group["lr"]) for group in scheduler.optimizer.param_groups]


def trace(case: Case, scheduler: Any, steps: int) -> list[list[float]]:
    """Return the lrs now and after each of some steps."""
    after = (lrs_of(train(case, scheduler)) for _ in range(steps))
    return [lrs_of(scheduler), *after]


def far(first: Any, second: Any, within: float = 1e-6) -> bool:
    """Tell whether two traces differ by more than rounding."""
    a, b = torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)
    return a.shape != b.shape or not torch.allclose(a, b, rtol=within, atol=within / 100)


def plain(value: Any) -> Any:
    """Copy a state, with lists for tensors."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value


def spoil(value: Any) -> None:
    """Overwrite the lists in a state, and empty its dicts."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
    elif isinstance(value, list):
        value[:] = [77.0] * len(value)


@contextmanager
def heard() -> Iterator[list[Any]]:
    """Collect all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def saved(scheduler: Any) -> Any:
    """Return the states of the optimizer and of the scheduler."""
    return copy.deepcopy((scheduler.optimizer.state_dict(), scheduler.state_dict()))


PROOFS: dict[str, Callable[[Case], bool]] = {}


def proof(function: Callable[[Case], bool]) -> Callable[[Case], bool]:
    """Register what shows that the law of its name is broken, by returning True."""
    PROOFS[function.__name__] = function
    return function


@proof
def step_atomic(case: Case) -> bool:
    """An error in get_lr, caught: the epoch is counted, or a lr written, all the same."""

    def get_lr() -> Any:
        raise OSError("a bad day")

    for at in range(EPOCHS):
        scheduler = train(case, start(case), at)
        before = scheduler.last_epoch, lrs_of(scheduler)
        scheduler.get_lr = get_lr
        try:
            step(case, scheduler)
        except OSError:
            if before != (scheduler.last_epoch, lrs_of(scheduler)):
                return True
    return False


def _resumed(case: Case, how: str) -> bool:
    for at in range(EPOCHS + 1):
        first = train(case, start(case), at)
        of_optimizer, of_scheduler = saved(first)
        optimizer = case.make_optimizer()(groups([7 * lr for lr in FEW]))
        if how == "optimizer, bind, policy":
            optimizer.load_state_dict(of_optimizer)
        second = case.build()(optimizer)
        if how == "bind, optimizer, policy":
            optimizer.load_state_dict(of_optimizer)
        second.load_state_dict(of_scheduler)
        if how == "bind, policy, optimizer":
            optimizer.load_state_dict(of_optimizer)
        left = EPOCHS - at
        if far(trace(case, second, left), trace(case, first, left)):
            return True
    return False


@proof
def resume(case: Case) -> bool:
    """A run that is loaded as torch says takes another course."""
    return _resumed(case, "bind, optimizer, policy")


@proof
def resume_any_order(case: Case) -> bool:
    """A run that is loaded in another order takes another course."""
    return _resumed(case, "bind, policy, optimizer") or _resumed(case, "optimizer, bind, policy")


@proof
def resume_alone(case: Case) -> bool:
    """A run whose optimizer was not loaded takes another course."""
    return _resumed(case, "bind, policy")


@proof
def load_key_order(case: Case) -> bool:
    """Another course where the keys of the state are in another order."""
    for at in range(EPOCHS + 1):
        of_optimizer, of_scheduler = saved(train(case, start(case), at))
        right: Any = None
        for order in (list, sorted, reversed):
            state = {key: of_scheduler[key] for key in order([*of_scheduler])}
            fresh = start(case, [7 * lr for lr in FEW])
            fresh.optimizer.load_state_dict(copy.deepcopy(of_optimizer))
            fresh.load_state_dict(copy.deepcopy(state))
            seen = trace(case, fresh, EPOCHS - at)
            right = seen if right is None else right
            if far(seen, right):
                return True
    return False


@proof
def late_group_resume(case: Case) -> bool:
    """A run to which a group was added is not resumed, though it goes on."""
    for at in range(EPOCHS):
        first = train(case, start(case), at)
        first.optimizer.add_param_group(groups([0.077])[0])
        train(case, first)
        of_optimizer, of_scheduler = saved(first)
        try:
            fresh = start(case, [7 * lr for lr in (*FEW, 0.077)])
            fresh.optimizer.load_state_dict(of_optimizer)
            fresh.load_state_dict(of_scheduler)
        except Exception:
            return True
        if far(trace(case, fresh, EPOCHS - at - 1), trace(case, first, EPOCHS - at - 1)):
            return True
    return False


@proof
def plain_numbers(case: Case) -> bool:
    """A scalar of NumPy in a group."""
    scheduler = start(case)
    for epoch in range(EPOCHS + 1):
        if epoch:
            train(case, scheduler)
        for group in scheduler.optimizer.param_groups:
            numbers = group["lr"], group.get("initial_lr")
            if any(type(number).__module__ == "numpy" for number in numbers):
                return True
    return False


@proof
def any_start(case: Case) -> bool:
    """An error, or no number, where a group starts from 0; another course from an int."""
    for lrs in ([0.0, 0.2], [0.1, 0.0]):
        try:
            found = trace(case, start(case, lrs), EPOCHS)
        except ArithmeticError:
            return True
        if not torch.tensor(found).isfinite().all():
            return True
    whole, right = (trace(case, start(case, lrs), EPOCHS) for lrs in ([1, 2], [1.0, 2.0]))
    return far(whole, right)


@proof
def silent(case: Case) -> bool:
    """Something is printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        train(case, start(case), EPOCHS)
    return printed.getvalue() != ""


@proof
def optimizer_step(case: Case) -> bool:
    """A closure that is not called once, or whose loss is lost."""
    losses: list[float] = []

    def closure() -> float:
        losses.append(0.25)
        return 0.25

    scheduler = train(case, start(case))
    return (scheduler.optimizer.step(closure), losses) != (0.25, [0.25])


@proof
def state_weights_only(case: Case) -> bool:
    """A state that torch.load refuses, unless it may run code."""
    for at in (0, 1, EPOCHS // 2, EPOCHS):
        buffer = io.BytesIO()
        state = train(case, start(case), at).state_dict()
        try:
            torch.save(state, buffer)
            buffer.seek(0)
            if plain(torch.load(buffer, weights_only=True)) != plain(state):
                return True
        except Exception:
            return True
    return False


@proof
def state_snapshot(case: Case) -> bool:
    """A state that changes with the run, or the run with the state."""
    for at in range(EPOCHS):
        one, twin = (train(case, start(case), at) for _ in range(2))
        state = one.state_dict()
        before = copy.deepcopy(plain(state))
        train(case, one)
        if plain(state) != before:
            return True
        train(case, twin)
        spoil(one.state_dict())
        try:
            said = [float(lr) for lr in one.get_last_lr()] != lrs_of(twin)
            left = EPOCHS - at - 1
            if said or far(trace(case, one, left), trace(case, twin, left)):
                return True
        except Exception:
            return True
    return False


@proof
def load_argument(case: Case) -> bool:
    """A loaded state that the run changes, or that changes the run."""
    for at in range(EPOCHS):
        state = copy.deepcopy(train(case, start(case), at).state_dict())
        before = copy.deepcopy(plain(state))
        one, twin = start(case), start(case)
        one.load_state_dict(state)
        if plain(state) != before:
            return True
        twin.load_state_dict(copy.deepcopy(state))
        train(case, one)
        train(case, twin)
        if plain(state) != before:
            return True
        spoil(state)
        left = EPOCHS - at - 1
        try:
            if far(trace(case, one, left), trace(case, twin, left)):
                return True
        except Exception:
            return True
    return False


@proof
def load_repeatable(case: Case) -> bool:
    """A state that is loaded back, twice: another course, or another state."""
    for at in range(EPOCHS + 1):
        one = train(case, start(case), at)
        of_optimizer, of_scheduler = saved(one)
        right = trace(case, one, EPOCHS - at)
        for _ in range(2):
            one.optimizer.load_state_dict(copy.deepcopy(of_optimizer))
            one.load_state_dict(copy.deepcopy(of_scheduler))
            one.load_state_dict(copy.deepcopy(of_scheduler))
            now = one.state_dict()
            if {key: plain(now.get(key)) for key in of_scheduler} != plain(of_scheduler):
                return True
            if far(trace(case, one, EPOCHS - at), right):
                return True
    return False


@proof
def load_rejects(case: Case) -> bool:
    """Something that is no state, loaded without an error, or with a change."""
    for at in (0, 3):
        other = copy.deepcopy(train(case, start(case), at + 1).state_dict())
        without = {key: value for key, value in other.items() if key != "last_epoch"}
        for garbage in (None, [1, 2], {}, without, {**other, "last_epoch": "three"}):
            one = train(case, start(case), at)
            before = one.last_epoch, lrs_of(one), plain(one.state_dict())
            try:
                one.load_state_dict(garbage)
            except Exception:
                if before != (one.last_epoch, lrs_of(one), plain(one.state_dict())):
                    return True
                continue
            return True
    return False


def _copied(case: Case, duplicate: Callable[[Any], Any]) -> bool:
    right = trace(case, start(case), EPOCHS)
    for at in range(EPOCHS + 1):
        one = train(case, start(case), at)
        try:
            optimizer, other = duplicate((one.optimizer, one))
            with heard() as caught:
                seen = trace(case, other, EPOCHS - at)
        except Exception:
            return True
        if caught or other.optimizer is not optimizer or far(seen, right[at:]):
            return True
        if lrs_of(one) != right[at] or far(trace(case, one, EPOCHS - at), right[at:]):
            return True
    return False


@proof
def deepcopy(case: Case) -> bool:
    """A deep copy that raises, warns, or steps another way, or takes the original along."""
    return _copied(case, copy.deepcopy)


@proof
def pickle_(case: Case) -> bool:
    """The same by pickle."""
    return _copied(case, lambda pair: pickle.loads(pickle.dumps(pair)))


PROOFS["pickle"] = PROOFS.pop("pickle_")


@proof
def no_cycle(case: Case) -> bool:
    """A run that stays when its last name is gone."""
    gc.collect()
    gc.disable()
    try:
        scheduler = train(case, start(case), 3)
        freed: list[str] = []
        weakref.finalize(scheduler, freed.append, "scheduler")
        weakref.finalize(scheduler.optimizer, freed.append, "optimizer")
        del scheduler
        return len(freed) < 2
    finally:
        gc.enable()


@proof
def late_group(case: Case) -> bool:
    """A group that was added later: an error that leaves half a step, or a lr that never moves."""
    alone = trace(case, start(case), EPOCHS)
    for at in (0, 1, 6):
        scheduler = train(case, start(case), at)
        (new,) = groups([0.077])
        scheduler.optimizer.add_param_group(new)
        try:
            train(case, scheduler)
            rows = trace(case, scheduler, EPOCHS - at - 1)
            if len(scheduler.get_last_lr()) != len(FEW) + 1:
                return True
        except Exception:
            return True
        if far([row[:-1] for row in rows], alone[at + 1 :]):
            return True
        if at < 2 and len({row[0] for row in rows}) > 1 and len({row[-1] for row in rows}) == 1:
            return True
    return False


@proof
def only_lr(case: Case) -> bool:
    """Something else in the groups or in the params that is another after a binding or a step."""
    written = {"params", "lr", "initial_lr", *case.writes}
    written |= {"betas"} if "momentum" in case.writes else set()

    def others(optimizer: Any) -> Any:
        return [
            (
                {key: plain(value) for key, value in group.items() if key not in written},
                [(param.tolist(), plain(param.grad)) for param in group["params"]],
            )
            for group in optimizer.param_groups
        ]

    for kind in (SGD, Adam):
        own = case.optimizer is not None
        optimizer = case.make_optimizer()(groups(FEW)) if own else kind(groups(FEW), lr=0.1)
        for group in optimizer.param_groups:
            group |= {"momentum": 0.5, "note": [1, 2]}
            group["params"][0].grad = torch.ones(1)
        optimizer.step()
        before = others(optimizer)
        scheduler = case.build()(optimizer)
        if others(optimizer) != before:
            return True
        starts = [plain(group.get("initial_lr")) for group in optimizer.param_groups]
        for _ in range(EPOCHS):
            optimizer.step()
            before = others(optimizer)
            step(case, scheduler)
            now = [plain(group.get("initial_lr")) for group in optimizer.param_groups]
            if others(optimizer) != before or now != starts:
                return True
    return False


@proof
def order_warning(case: Case) -> bool:
    """The scheduler is stepped first, and nobody says so."""
    scheduler = start(case)
    with heard() as caught:
        step(case, scheduler)
    return not any("before `optimizer.step()`" in str(warning.message) for warning in caught)


@proof
def quiet(case: Case) -> bool:
    """A warning where all is right."""
    scheduler, fresh = start(case), start(case)
    with heard() as caught:
        train(case, scheduler, EPOCHS)
        fresh.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    return len(caught) > 0


@proof
def chained(case: Case) -> bool:
    """Other lrs inside ChainedScheduler, or an error."""
    right = trace(case, start(case), EPOCHS)
    for first in (True, False):
        optimizer = case.make_optimizer()(groups(FEW))
        rest = ConstantLR(optimizer, factor=1.0)
        own = case.build()(optimizer)
        try:
            chain = ChainedScheduler([own, rest] if first else [rest, own])
            rows = [lrs_of(own)]
            for _ in range(EPOCHS):
                optimizer.step()
                chain.step()
                rows.append(lrs_of(own))
        except Exception:
            return True
        if far(rows, right) or [float(lr) for lr in chain.get_last_lr()] != lrs_of(own):
            return True
    return False


@proof
def sequential(case: Case) -> bool:
    """Other lrs inside SequentialLR, or an error."""
    right = trace(case, start(case), EPOCHS)
    for first in (True, False):
        optimizer = case.make_optimizer()(groups(FEW))
        rest = ConstantLR(optimizer, factor=1.0)
        own = case.build()(optimizer)
        try:
            parts, milestone = ([own, rest], EPOCHS + 1) if first else ([rest, own], 3)
            sequence = SequentialLR(optimizer, parts, milestones=[milestone])
            rows = [] if not first else [lrs_of(own)]
            for epoch in range(1, EPOCHS + (1 if first else 4)):
                optimizer.step()
                sequence.step()
                rows += [lrs_of(own)] if first or epoch >= 3 else []
        except Exception:
            return True
        if far(rows, right) or [float(lr) for lr in sequence.get_last_lr()] != lrs_of(own):
            return True
    return False


@proof
def last_lr(case: Case) -> bool:
    """get_last_lr() is not what the groups hold."""
    scheduler = start(case)
    for _ in range(EPOCHS):
        if [float(lr) for lr in scheduler.get_last_lr()] != lrs_of(scheduler):
            return True
        train(case, scheduler)
    return False


@proof
def last_lr_history(case: Case) -> bool:
    """What get_last_lr() returned is another by the end."""
    scheduler = start(case, [torch.tensor(lr, dtype=torch.float64) for lr in FEW])
    history, copies = [], []
    for _ in range(EPOCHS):
        history.append(scheduler.get_last_lr())
        copies.append([float(lr) for lr in history[-1]])
        train(case, scheduler)
    return [[float(lr) for lr in row] for row in history] != copies


@proof
def pure(case: Case) -> bool:
    """get_lr() says something else when it is asked again, or changes something."""
    for kind in (float, torch.tensor):
        scheduler = start(case, [kind(lr) for lr in FEW])
        for _ in range(EPOCHS):
            before = copy.deepcopy((plain(scheduler.state_dict()), lrs_of(scheduler)))
            with heard():
                answers = [[float(lr) for lr in scheduler.get_lr()] for _ in range(2)]
            if answers[0] != answers[1]:
                return True
            if (plain(scheduler.state_dict()), lrs_of(scheduler)) != before:
                return True
            train(case, scheduler)
    return False


@proof
def lr_per_group(case: Case) -> bool:
    """An lr that is no finite number, or get_lr() without one for each group."""
    scheduler = start(case)
    for _ in range(EPOCHS):
        with heard():
            answer = scheduler.get_lr()
        if not isinstance(answer, Sequence) or len(answer) != len(FEW):
            return True
        if not all(map(torch.isfinite, torch.tensor(lrs_of(scheduler)))):
            return True
        try:
            train(case, scheduler)
        except Exception:
            return True
    return False


@proof
def bound(case: Case) -> bool:
    """After it is made, the optimizer is another, or the epoch is not 0."""
    for n in (1, 2, 3):
        optimizer = case.make_optimizer()(groups([0.1 * (i + 1) for i in range(n)]))
        try:
            scheduler = case.build()(optimizer)
            if scheduler.optimizer is not optimizer or scheduler.last_epoch != 0:
                return True
        except Exception:
            return True
    return False


@proof
def runs(case: Case) -> bool:
    """A binding or a step that raises, or get_lr() without one lr for each group."""
    return bound(case) or lr_per_group(case)


@proof
def step_(case: Case) -> bool:
    """A step raises, or counts no epoch, or more than one."""
    scheduler = start(case)
    for epoch in range(1, EPOCHS + 1):
        try:
            train(case, scheduler)
        except Exception:
            return True
        if scheduler.last_epoch != epoch:
            return True
    return False


PROOFS["step"] = PROOFS.pop("step_")


@proof
def bind_type(case: Case) -> bool:
    """None, a list or a text for an optimizer: no error, or an odd one."""
    none: tuple[Any, ...] = (None, [], "SGD")
    for given in none:
        try:
            case.build()(given)
        except (TypeError, AttributeError):
            continue
        except Exception:
            return True
        return True
    return False


@proof
def closed_form(case: Case) -> bool:
    """_get_closed_form_lr() says something else than stepping comes to."""
    scheduler = start(case)
    right = trace(case, start(case), EPOCHS)
    for epoch in range(EPOCHS + 1):
        fresh = start(case, [7 * lr for lr in FEW])
        fresh.load_state_dict(copy.deepcopy(scheduler.state_dict()))
        for asked in (scheduler, fresh):
            answers = [asked.get_last_lr()]
            if hasattr(asked, "_get_closed_form_lr"):
                answers.append(asked._get_closed_form_lr())
            if any(far([float(lr) for lr in answer], right[epoch]) for answer in answers):
                return True
        if epoch < EPOCHS:
            train(case, scheduler)
    return False


@proof
def deterministic(case: Case) -> bool:
    """Another course the second time."""
    return trace(case, start(case), EPOCHS) != trace(case, start(case), EPOCHS)


@proof
def independent(case: Case) -> bool:
    """A run that takes another course where a second one is under way."""
    other = [3 * lr for lr in FEW]
    alone = trace(case, start(case), EPOCHS)
    other_alone = trace(case, start(case, other), EPOCHS)
    first = train(case, start(case), 6)
    second = trace(case, start(case, other), EPOCHS)
    return far(second, other_alone) or far(trace(case, first, EPOCHS - 6), alone[6:])


@proof
def group_alone(case: Case) -> bool:
    """Group 1 takes another course where group 0 starts from another lr."""
    rows = [trace(case, start(case, lrs), EPOCHS) for lrs in (FEW, (0.5, 0.2))]
    return far([row[1] for row in rows[0]], [row[1] for row in rows[1]])


@proof
def rng(case: Case) -> bool:
    """A global generator that is used or seeded."""
    before = random.getstate(), torch.get_rng_state().tolist()
    scheduler = start(case)
    before = random.getstate(), torch.get_rng_state().tolist()
    train(case, scheduler, EPOCHS)
    return before != (random.getstate(), torch.get_rng_state().tolist())


@proof
def tensor_identity(case: Case) -> bool:
    """Another tensor, or a float, where a tensor lr was."""
    for dtype in (torch.float64, torch.float32):
        live = [torch.tensor(lr, dtype=dtype) for lr in FEW]
        scheduler = start(case, live)
        for epoch in range(EPOCHS + 1):
            if epoch:
                train(case, scheduler)
            for group, lr in zip(scheduler.optimizer.param_groups, live):
                if group["lr"] is not lr or lr.dtype != dtype or lr.shape != ():
                    return True
    return False


@proof
def tensor_trace(case: Case) -> bool:
    """Another course where the lrs are tensors."""
    right = trace(case, start(case), EPOCHS)
    for dtype, within in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        seen = start(case, [torch.tensor(lr, dtype=dtype) for lr in FEW])
        if far(trace(case, seen, EPOCHS), right, within):
            return True
    return False


@proof
def tensor_storage(case: Case) -> bool:
    """A record that has the memory of a live lr."""
    scheduler = start(case, [torch.tensor(lr, dtype=torch.float64) for lr in FEW])

    def tensors(value: Any) -> Iterator[torch.Tensor]:
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, torch.Tensor):
                yield item
            elif isinstance(item, (list, tuple, dict)):
                yield from tensors(item)

    for _ in range(3):
        held = scheduler.optimizer.param_groups
        live = {group["lr"].data_ptr() for group in held if torch.is_tensor(group["lr"])}
        records = [scheduler.get_last_lr(), getattr(scheduler, "base_lrs", [])]
        records += [[group.get("initial_lr") for group in held], scheduler.state_dict()]
        if any(one.data_ptr() in live for record in records for one in tensors(record)):
            return True
        train(case, scheduler)
    return False


@proof
def tensor_resume(case: Case) -> bool:
    """A run with tensor lrs that is resumed: another course, or another object."""
    for at in range(EPOCHS + 1):
        one = train(case, start(case, [torch.tensor(lr, dtype=torch.float64) for lr in FEW]), at)
        of_optimizer, of_scheduler = saved(one)
        fresh = start(case, [torch.tensor(7 * lr, dtype=torch.float64) for lr in FEW])
        fresh.optimizer.load_state_dict(of_optimizer)
        live = [group["lr"] for group in fresh.optimizer.param_groups]
        fresh.load_state_dict(of_scheduler)
        if far(trace(case, fresh, EPOCHS - at), trace(case, one, EPOCHS - at)):
            return True
        if any(g["lr"] is not lr for g, lr in zip(fresh.optimizer.param_groups, live)):
            return True
    return False


@proof
def tensor_shared(case: Case) -> bool:
    """Another course where all groups hold one tensor."""
    right = trace(case, start(case, [0.1, 0.1, 0.1]), EPOCHS)
    one = torch.tensor(0.1, dtype=torch.float64)
    return far(trace(case, start(case, [one, one, one]), EPOCHS), right)


@proof
def tensor_shape(case: Case) -> bool:
    """Lrs of shape [1], or views of a buffer, that are not written in place."""
    right = trace(case, start(case), EPOCHS)
    for live in (
        [torch.tensor([lr], dtype=torch.float64) for lr in FEW],
        [*torch.tensor(FEW, dtype=torch.float64).unbind()],
    ):
        shapes = [lr.shape for lr in live]
        try:
            seen = trace(case, start(case, live), EPOCHS)
        except Exception:
            return True
        if far(seen, right) or [lr.shape for lr in live] != shapes:
            return True
        if far([float(lr) for lr in live], right[-1]):
            return True
    return False


class Operations(TorchDispatchMode):
    """Counts operations, and those that hand a value to the host."""

    count = reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one."""
        name = func.overloadpacket.__name__
        self.count += not name.startswith(("detach", "view", "alias", "lift"))
        self.reads += name in ("_local_scalar_dense", "equal", "is_nonzero", "nonzero")
        return func(*args, **(kwargs or {}))


def _operations(case: Case) -> list[tuple[int, int]]:
    scheduler = start(case, [torch.tensor(lr) for lr in FEW])
    found = []
    for _ in range(EPOCHS):
        scheduler.optimizer.step()
        make: Any = Operations  # torch gives it no type
        with make() as seen:
            step(case, scheduler)
        found.append((seen.count, seen.reads))
    return found


@proof
def gpu_sync(case: Case) -> bool:
    """A step reads a tensor lr: on a GPU it would wait for that."""
    return any(reads for _, reads in _operations(case))


@proof
def gpu_launches(case: Case) -> bool:
    """A step does more and more with a tensor lr."""
    counts = [count for count, _ in _operations(case)]
    return any(
        all(more > less for less, more in pairwise(counts[at : at + 6]))
        for at in range(len(counts) - 5)
    )


def main() -> None:
    """Try to confirm what standard input lists."""
    warnings.simplefilter("ignore")
    cases = {case.name: case for case in CASES if case.package == sys.argv[1]}
    for line in sys.stdin:
        name, law = line.split()
        if law in PROOFS:
            try:
                shown = PROOFS[law](cases[name])
            except Exception as error:  # then it shows nothing
                print(f"{name} {law}: {error!r}", file=sys.stderr)
                continue
            if shown:
                print(name, law, flush=True)
    assert "thunder_policy" not in sys.modules


if __name__ == "__main__":
    main()
