"""What the laws are written with, and their reproductions: optimizers, a training loop, traces."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnnecessaryComparison=false

from __future__ import annotations

import dis
import gc
import io
import math
import pickle
import random
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType
from typing import Any, NoReturn, TypeGuard

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..by_name import ByName
from ..mapping import MappingPolicy
from ..messages import said
from ..policy import Policy
from ..state import attributes
from .declared import assumed

Make = Callable[[], Any]
"""Makes a new policy, or anything else that takes an optimizer and gives a scheduler."""

MakePolicy = Callable[[], Policy]

Trace = list[list[float]]
"""The lrs of a run: one row an epoch, one column a param group."""

NOTHING = "nothing"
"""Stands for a key that is not there."""

CLOSE = 1e-9
"""The relative difference that two ways to compute one lr may have."""


class Broken(AssertionError):
    """A law does not hold.

    Attributes:
        what: What was looked at.
        expected: What it should have been.
        seen: What it was.
        epoch: Where, if that is known.
        group: In which param group, if that is known.
        reproduction: A program of a few lines that raises this error.
    """

    def __init__(
        self,
        what: str,
        expected: object,
        seen: object,
        epoch: int | None = None,
        group: int | None = None,
    ) -> None:
        self.what: str = what
        self.expected: object = expected
        self.seen: object = seen
        self.epoch: int | None = epoch
        self.group: int | None = group
        self.reproduction = ""
        where = "" if epoch is None else f", at epoch {epoch}"
        where += "" if group is None else f", group {group}"
        super().__init__(f"{what}: expected {_short(expected)}, saw {_short(seen)}{where}")

    @property
    def reason(self) -> str:
        """What was expected and seen, and where, in one line."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.reason}\n\n{self.reproduction}" if self.reproduction else self.reason

    def __reduce__(self) -> tuple[object, ...]:
        arguments = self.what, self.expected, self.seen, self.epoch, self.group
        return type(self), arguments, {"reproduction": self.reproduction}


class NotApplicable(Exception):
    """A law says nothing about this subject, for the reason given."""


def skip(reason: str) -> NoReturn:
    """Say that a law does not apply."""
    raise NotApplicable(reason)


def expect(seen: object, expected: object, what: str, epoch: int | None = None) -> None:
    """Compare two values; of two dicts, name the first key that differs.

    Raises:
        Broken: If they differ.

    Example:
        >>> expect([0.1, 0.3], [0.1, 0.2], "the lrs", epoch=4)
        Traceback (most recent call last):
        ...
        thunder_policy.conformance.runs.Broken: the lrs: expected 0.2, saw 0.3, at epoch 4, group 1
    """
    if seen is expected or (seen == expected and type(seen) is type(expected)):
        return
    if isinstance(seen, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in seen if key not in expected)]:
            expect(seen.get(key, NOTHING), expected.get(key, NOTHING), f"{what}, {key}", epoch)
    if _are_lrs(seen) and _are_lrs(expected) and len(seen) == len(expected):
        group = [lr == right for lr, right in zip(seen, expected)].index(False)
        raise Broken(what, expected[group], seen[group], epoch, group)
    raise Broken(what, expected, seen, epoch)


def same_run(
    seen: Trace,
    expected: Trace,
    what: str,
    since: int = 0,
    within: float = CLOSE,
    least: float = sys.float_info.min,
) -> None:
    """Compare two traces that begin at epoch ``since``, with a relative tolerance.

    With one of 0 they are equal; else what is below ``least`` has no digits to compare.

    Raises:
        Broken: If they differ, with the first epoch and group where they do.
    """
    for epoch, (row, right) in enumerate(zip(seen, expected), since):
        if len(row) != len(right):
            raise Broken(f"{what}, how many", len(right), len(row), epoch)
        scale = max(map(abs, right), default=0.0)
        for group, (lr, value) in enumerate(zip(row, right)):
            # Near 0 it is the rounding of the largest lr that counts: cos(pi / 2) is 6e-17.
            near = max(within * scale, least) if within else 0.0
            both_nan = lr != lr and value != value  # lr_per_group says what is wrong with it
            if not both_nan and not math.isclose(lr, value, rel_tol=within, abs_tol=near):
                raise Broken(what, value, lr, epoch, group)
    if len(seen) != len(expected):
        raise Broken(f"{what}, how many epochs", len(expected), len(seen))


def parameter() -> torch.nn.Parameter:
    """Make a parameter, for a group of its own."""
    return torch.nn.Parameter(torch.zeros(1))


def option_of(policy: object) -> str:
    """Return the key of the param groups that a policy is about, or that was declared."""
    return policy.option if isinstance(policy, Policy) else assumed("option")


def sgd(held: Sequence[float | Tensor], policy: object = None) -> Optimizer:
    """Make an optimizer with one param group for each of these lrs, for a policy to be bound to.

    It is SGD, unless another was declared. The numbers are of the policy's option, and the groups
    have the names that it goes by.
    """
    option, mapping = option_of(policy), getattr(policy, "mapping", None)
    groups: list[dict[str, Any]] = [{"params": [parameter()], option: lr} for lr in held]
    for group, name in zip(groups, mapping.names if isinstance(mapping, ByName) else []):
        group["name"] = name
    make = assumed("optimizer") or partial(SGD, lr=0.1)
    return make(groups)


def other_lrs(held: Sequence[float], policy: object) -> list[float]:
    """Return other lrs, for the groups of fresh objects: a load has to put back those of the run.

    But not where a load is meant to leave them: in a group that a policy leaves alone, or where it
    overrides the saved starts by those of the groups.
    """
    if not isinstance(policy, MappingPolicy):
        return [7 * lr for lr in held]
    if policy.on_load == "override" and policy.lr_init is None:
        return [*held]
    mapping: Any = policy.mapping
    written = mapping if isinstance(mapping, list) else held
    return [lr if one is None else 7 * lr for lr, one in zip(held, written)]


def numbers(optimizer: Optimizer, option: str = "lr") -> list[float]:
    """Return the lrs that the param groups hold, or what they hold of another option."""
    return [float(group[option]) for group in optimizer.param_groups]


def lrs(scheduler: LRScheduler) -> list[float]:
    """Return the lrs that the param groups of a scheduler hold; of a policy, its option."""
    return numbers(scheduler.optimizer, option_of(scheduler))


def floats(values: Sequence[float | Tensor]) -> list[float]:
    """Return lrs as Python floats."""
    return [float(value) for value in values]


def epoch_of(scheduler: LRScheduler) -> int | None:
    """Return the epoch of a scheduler, if it counts them: ChainedScheduler does not."""
    return getattr(scheduler, "last_epoch", None)


def train(scheduler: LRScheduler, steps: int = 1) -> None:
    """Take steps of a correct loop: the optimizer first, then the scheduler."""
    for _ in range(steps):
        epoch = epoch_of(scheduler)
        scheduler.optimizer.step()
        try:
            scheduler.step()
        except Exception as error:
            to = None if epoch is None else epoch + 1
            raise Broken("step()", "no error", said(error), to) from error


def bind(policy: Any, optimizer: Optimizer, wanted: str = "no error") -> LRScheduler:
    """Bind a policy, or make a scheduler; where that is an error, say so."""
    n = len(optimizer.param_groups)
    what = f"binding to {n} param group{'s' if n > 1 else ''}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lrs that it was not told of, or of starting over
            scheduler = policy(optimizer)
    except Exception as error:
        raise Broken(what, wanted, said(error), 0) from error
    if not isinstance(scheduler, LRScheduler):
        raise Broken(what, "an LRScheduler", type(scheduler).__name__, 0)
    return scheduler


def begin(make: Make, held: Sequence[float | Tensor]) -> LRScheduler:
    """Bind a new policy to a new optimizer, whose groups hold these lrs, or its option."""
    policy = make()
    return bind(policy, sgd(held, policy))


def refuses(error: Broken) -> bool:
    """Tell whether code of the policy itself refused something, by an error that it raises.

    What Python or torch find out, or the package of what ``get_lr`` returned, is no refusal.
    """
    cause = error.__cause__
    if cause is None or cause.__traceback__ is None:
        return False
    last = cause.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    frame = last.tb_frame
    owner = frame.f_globals.get("__name__", "").partition(".")[0]
    raises = frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raises and owner not in ("torch", __name__.partition(".")[0])


def linked(scheduler: LRScheduler, optimizer: Optimizer, what: str, epoch: int) -> None:
    """Check that a copied scheduler has the optimizer that was copied with it."""
    own = getattr(scheduler, "optimizer", None)
    if own is not optimizer:
        seen = "no optimizer" if own is None else "another optimizer"
        raise Broken(f"{what}: the policy has", "its copied optimizer", seen, epoch)


def run(scheduler: LRScheduler, steps: int, of: LRScheduler | None = None) -> Trace:
    """Return the lrs in the param groups now and after each of some steps.

    Of another scheduler in it, where that may be about another option.
    """
    of = scheduler if of is None else of
    trace = [lrs(of)]
    for _ in range(steps):
        train(scheduler)
        trace.append(lrs(of))
    return trace


def save_and_load(scheduler: LRScheduler) -> None:
    """Load a scheduler's own state, if it has one: what is wrong with that, other laws say."""
    with suppress(Exception):
        scheduler.load_state_dict(scheduler.state_dict())


def ask(scheduler: LRScheduler) -> None:
    """Ask a scheduler for lrs in each way that it has: what is wrong with them, other laws say."""
    questions: dict[str, tuple[int, ...]] = {"get_last_lr": (), "get_lr": ()}
    if isinstance(scheduler, Policy):  # the lr_at of another class may mean anything
        questions["lr_at"] = (1,)
    if hasattr(scheduler, "_get_closed_form_lr"):
        questions["_get_closed_form_lr"] = ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has none of get_lr outside a step
        for name, given in questions.items():
            with suppress(Exception):
                getattr(scheduler, name)(*given)


def public(scheduler: LRScheduler) -> dict[str, object]:
    """Return what anybody can see of a bound scheduler."""
    return {
        "last_epoch": epoch_of(scheduler),
        "get_last_lr()": floats(scheduler.get_last_lr()),
        "the lr in the param groups": lrs(scheduler),
    }


def state_of(scheduler: LRScheduler) -> dict[str, Any]:
    """Return the state of a scheduler; a law that needs one says nothing where there is none."""
    try:
        return scheduler.state_dict()
    except Exception:
        skip("it gives no state: see state_weights_only")


def held_by(scheduler: LRScheduler) -> dict[str, object]:
    """Return the numbers, texts and containers of them that a scheduler has as attributes."""
    return {
        name: plain(value)
        for name, value in attributes(scheduler).items()
        if name != "optimizer" and _is_data(value)
    }


def others(optimizer: Optimizer, option: str = "lr") -> dict[str, object]:
    """Return all that an optimizer holds besides an option, and what is in its params.

    Besides the lr that is the ``initial_lr``, too, and whatever was declared to be written.
    """
    written = {*assumed("writes"), *(["betas"] if "momentum" in assumed("writes") else [])}
    found: dict[str, object] = {}
    for i, group in enumerate(optimizer.param_groups):
        params = group["params"]
        kept = group.keys() - {"params", option} - written
        options = {key: plain(value) for key, value in group.items() if key in kept}
        if option in ("lr", assumed("option")):  # torch's base writes it, whatever it is about
            options.pop("initial_lr", None)
        options["params"] = plain(params)
        options["gradients"] = [plain(param.grad) for param in params]
        options["requires_grad"] = [param.requires_grad for param in params]
        found.update({f"group {i}, {key}": value for key, value in options.items()})
    found["the optimizer's state"] = plain(list(optimizer.state.values()))
    found["the optimizer's defaults"] = plain(optimizer.defaults)
    return found


def starts(optimizer: Optimizer) -> list[object]:
    """Return the ``initial_lr`` of each param group, as far as it has one."""
    return [plain(group.get("initial_lr", NOTHING)) for group in optimizer.param_groups]


def rng_states() -> dict[str, object]:
    """Return the states of the global generators of random numbers."""
    states: dict[str, object] = {
        "random": random.getstate(),
        "torch": torch.get_rng_state().tolist(),
    }
    if numpy := sys.modules.get("numpy"):
        states["numpy"] = plain(numpy.random.get_state(legacy=False))
    return states


def same_rng(before: Mapping[str, object], epoch: int | None = None) -> None:
    """Compare the states of the global generators with what they were.

    Raises:
        Broken: If one is in another state.
    """
    for name, state in rng_states().items():
        if state != before.get(name, state):
            what = f"the global generator of {name}"
            raise Broken(what, "left where it was", "used or seeded", epoch)


def same_filters(before: Sequence[object]) -> None:
    """Compare the warnings filters with what they were.

    Raises:
        Broken: If they have changed.
    """
    if [*warnings.filters] != [*before]:
        new = [entry for entry in warnings.filters if entry not in before]
        seen = f"a new one, {new[0]}" if new else "others"
        raise Broken("the warnings filters, after a run", "as they were", seen)


def plain(value: Any) -> Any:
    """Copy the containers in a value, with lists for tensors, so that ``==`` compares it.

    Each nan is one and the same, which ``==`` takes for equal in a container. Whatever else is in
    it stays the same object.
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [*map(plain, value)]
    if isinstance(value, set):
        return {*value}
    if isinstance(value, Tensor) or type(value).__module__ == "numpy":
        try:
            return plain(value.tolist())
        except Exception:  # a fake tensor, which has no value
            return id(value)
    return math.nan if isinstance(value, float) and value != value else value


def spoil(value: object) -> None:
    """Overwrite all in a value that can be, so that what shares memory with it changes too."""
    if isinstance(value, Tensor):
        if not value.requires_grad:
            value.fill_(77)
    elif isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value[:] = [77.0] * len(value)


def overlap(first: object, second: object) -> bool:
    """Tell whether two values are tensors of one element that share it."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return False
    return first.data_ptr() == second.data_ptr()


def in_order(value: Any, *, backwards: bool) -> Any:
    """Copy a state with the keys of its dicts sorted, or in the opposite order.

    Example:
        >>> in_order({"b": {2: 3.0, 1: 4.0}, "a": 0}, backwards=False)
        {'a': 0, 'b': {1: 4.0, 2: 3.0}}
    """
    if isinstance(value, list):
        return [in_order(item, backwards=backwards) for item in value]
    if type(value) is not dict:
        return value
    keys = [*value][::-1] if backwards else sorted(value, key=str)
    return {key: in_order(value[key], backwards=backwards) for key in keys}


def flat(value: object) -> Iterator[object]:
    """Yield what is in a value made of containers, keys too."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from flat(item)
    else:
        yield value


def own_schedulers(scheduler: LRScheduler) -> bool:
    """Tell whether a scheduler holds others, which it may bind and step."""
    return any(isinstance(value, LRScheduler) for value in flat(vars(scheduler)))


def through_disk(state: Any) -> Any:
    """Save and load as a careful user does, with ``weights_only=True``.

    Raises:
        TypeError: If it cannot be loaded so; torch's own text has a page of advice around that.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        return torch.load(buffer, weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = refused[1] if refused else str(error)
        raise TypeError(f"torch.load(..., weights_only=True) refuses {what}") from error


def through_pickle(value: Any, owners: Sequence[type] = ()) -> tuple[Any, list[str]]:
    """Pickle and unpickle; what was defined where pickle cannot find it is taken by reference.

    A class inside a function, or a lambda that was given to a policy, says nothing about the
    policy. A function made by a class of ``owners`` does.

    Returns:
        The copy, and the names of what was taken by reference.
    """
    kept: list[Any] = []
    own = tuple(f"{owner.__qualname__}." for owner in owners)

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> int | None:
            if not isinstance(item, (type, FunctionType)) or _importable(item):
                return None
            if not isinstance(item, type) and item.__qualname__.startswith(own):
                return None
            if not any(item is one for one in kept):
                kept.append(item)
            return next(i for i, one in enumerate(kept) if one is item)

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, index: Any) -> Any:
            return kept[index]

    buffer = io.BytesIO()
    Pickler(buffer).dump(value)
    buffer.seek(0)
    copied = Unpickler(buffer).load()
    return copied, [item.__qualname__ for item in kept if not isinstance(item, type)]


@contextmanager
def no_warnings(what: str) -> Generator[None, None, None]:
    """Allow no warning in the block.

    Raises:
        Broken: If there is one.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        raise Broken(what, "no warning", f"{warning.category.__name__}: {warning.message}")


@contextmanager
def without_gc() -> Generator[None, None, None]:
    """Let the garbage collector not run by itself in the block."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        (gc.enable if collecting else gc.disable)()


def _importable(item: Any) -> bool:
    found: Any = sys.modules.get(item.__module__)
    for part in item.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is item


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_data, value))
    if isinstance(value, dict):
        return all(map(_is_data, value.values())) and "params" not in value
    return value is None or isinstance(value, (bool, int, float, str, Tensor))


def _are_lrs(value: object) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) > 0 and {*map(type, value)} == {float}


def _short(value: object) -> str:
    """Write a value on one line; a report is the same each time, so without addresses."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(re.sub(r" at 0x[0-9a-f]+", "", text).split())
    return text if len(text) <= 300 else f"{text[:297]}..."
