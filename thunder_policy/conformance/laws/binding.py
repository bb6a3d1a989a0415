"""Laws on what happens before there is an optimizer, and when one comes."""

# pyright: reportUnnecessaryIsInstance=false

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from ...messages import said
from ..runs import (
    Broken,
    Make,
    MakePolicy,
    begin,
    bind,
    epoch_of,
    expect,
    floats,
    lrs,
    numbers,
    option_of,
    others,
    own_schedulers,
    public,
    refuses,
    run,
    same_run,
    sgd,
    skip,
    train,
    without_gc,
)
from ..undisturbed import undisturbed
from . import law


@law("pytorch#72874: construction writes into an optimizer", late=True)
def construct(make: MakePolicy) -> None:
    """A new policy has no optimizer, and says so to whoever needs one."""
    policy = make()
    expect(policy.last_epoch, -1, "last_epoch of a new policy")
    expect(hasattr(policy, "optimizer"), False, "a new policy has an optimizer")
    for ask in (policy.step, policy.get_last_lr):
        try:
            ask()
        except (RuntimeError, AttributeError):  # UnboundPolicyError is both
            continue
        except Exception as error:
            raise Broken(
                f"{ask.__name__}() of a new policy", "UnboundPolicyError", error
            ) from error
        raise Broken(f"{ask.__name__}() of a new policy", "UnboundPolicyError", "no error")


@law("pytorch#104361: a policy for another number of groups", root=True)
def runs(make: Make, held: list[float], epochs: int, exact: int | None) -> None:
    """Binding and stepping raise no error, and there is one lr for each param group."""
    policy = make()
    counted = "" if exact else ", or that groups= (--groups) says for how many it is"
    scheduler = bind(policy, sgd(held, policy), f"no error{counted}")
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch has none of get_lr outside a step
                answer = [*scheduler.get_lr()]
        except NotImplementedError:
            continue  # SequentialLR and ChainedScheduler have none
        expect(len(answer), len(held), "the number of lrs that get_lr() returns", epoch)


@law("late binding")
def bound(make: Make, held: list[float]) -> None:
    """Binding returns the policy itself, at epoch 0, with the optimizer it was given."""
    policy = make()
    optimizer = sgd(held, policy)
    scheduler = bind(policy, optimizer)
    if isinstance(policy, LRScheduler):
        expect(scheduler is policy, True, "policy(optimizer) is policy")
    expect(scheduler.optimizer is optimizer, True, "policy.optimizer is optimizer")
    if hasattr(scheduler, "last_epoch"):
        expect(scheduler.last_epoch, 0, "last_epoch after binding")


@law("a schedule that ends in nan, or goes on below 0")
def lr_per_group(make: Make, held: list[float], epochs: int, negative: bool) -> None:
    """At every epoch each lr is a finite number of at least 0, and get_lr() returns a Sequence."""
    scheduler = begin(make, held)
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        for group, lr in enumerate(lrs(scheduler)):
            if not math.isfinite(lr):
                raise Broken("the lr", "a finite number", lr, epoch, group)
            if lr < 0 and not negative:
                right = "at least 0, or that negative= says that it may be below"
                raise Broken("the lr", right, lr, epoch, group)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch has none of get_lr outside a step
                answer = scheduler.get_lr()
        except NotImplementedError:
            continue
        expect(isinstance(answer, Sequence), True, "get_lr() returns a Sequence", epoch)


@law("a scheduler that skips or repeats epochs")
def step(make: Make, held: list[float], epochs: int) -> None:
    """A step advances the policy by one epoch."""
    scheduler = begin(make, held)
    first = epoch_of(scheduler)
    if first is None:
        skip(f"{type(scheduler).__name__} counts no epochs")
    for epoch in range(1, epochs + 1):
        train(scheduler)
        expect(epoch_of(scheduler), first + epoch, "last_epoch after a step", epoch)


@law(
    "a division by the lr of a frozen group; a lr written as 1",
    widest=True,
    kind=("0 first", "0 last", "int"),
)
def any_start(make: Make, held: list[float], epochs: int, kind: str) -> None:
    """A group may hold a lr of 0, where that is not refused at binding, or an int."""
    if kind == "int":
        whole = [*range(1, len(held) + 1)]
        right = undisturbed(make, [*map(float, whole)], epochs)
        same_run(run(begin(make, whole), epochs), right, "the lr where the groups held an int")
    else:
        try:
            scheduler = begin(make, [0.0, *held[1:]] if kind == "0 first" else [*held[:-1], 0.0])
        except Broken as error:
            if refuses(error):
                skip("it refuses a lr of 0")
            raise
        for epoch, row in enumerate(run(scheduler, epochs)):
            for group, lr in enumerate(row):
                if not math.isfinite(lr):
                    what = "the lr where a group held a lr of 0"
                    raise Broken(what, "a finite number", lr, epoch, group)


@law("a debugger, or an error that shows the policy, which raises in turn")
def printable(make: Make, held: list[float]) -> None:
    """A policy can be printed: new, bound and in use."""
    policy = make()
    scheduler = None
    for when in ("new", "bound", "in use"):
        if when == "bound":
            scheduler = bind(policy, sgd(held, policy))
        elif scheduler is not None:
            train(scheduler)
        for write in (repr, str):
            what = f"{write.__name__}() of a policy that is {when}"
            try:
                text = write(policy if scheduler is None else scheduler)
            except Exception as error:
                raise Broken(what, "a text", said(error)) from error
            expect(text != "", True, f"{what} has a text")


@law("accelerate and Lightning pass wrappers and lists around", given=(None, [], "SGD"))
def bind_type(make: Make, given: object) -> None:
    """Binding to something that is no optimizer is a TypeError, or Python's own AttributeError."""
    try:
        make()(given)
    except (TypeError, AttributeError):
        pass
    except Exception as error:
        raise Broken(f"binding to {given!r}", "a TypeError", said(error)) from error
    else:
        raise Broken(f"binding to {given!r}", "a TypeError", "no error")


@law(
    "half a binding: some groups written, then an error",
    late=True,
    how=("no optimizer", "an error in get_lr", "wrong number of groups"),
)
def bind_atomic(make: MakePolicy, held: list[float], exact: int | None, how: str) -> None:
    """A binding that fails leaves the policy unbound, or bound as it was, and writes no lr."""
    policy = make()
    option = option_of(policy)
    optimizer = sgd(held, policy)
    if how == "an error in get_lr" and own_schedulers(begin(make, held)):
        skip("it binds schedulers of its own, which write lrs of theirs")
    if how == "no optimizer":
        train(bind(policy, optimizer))
        before = public(policy)
        try:
            none: Any = None
            policy(none)
        except Exception:
            expect(policy.optimizer is optimizer, True, "the policy has its old optimizer")
            expect(public(policy), before, "after a binding that failed")
        else:
            skip("it can be bound to None")
    else:
        if how == "wrong number of groups":
            if exact is None:
                skip("it takes any number of param groups, and its get_lr is its own")
            optimizer = sgd([*held, 0.5], policy)
        else:

            def get_lr() -> list[float]:
                raise RuntimeError("an error in get_lr")

            vars(policy)["get_lr"] = get_lr
        held, options = numbers(optimizer, option), others(optimizer, option)
        try:
            policy(optimizer)
        except Exception:
            now = numbers(optimizer, option)
            expect(now, held, f"the lrs after a binding that failed ({how})")
            expect(others(optimizer, option), options, f"after a binding that failed ({how})")
            expect(hasattr(policy, "optimizer"), False, "the policy has an optimizer")
            expect(policy.last_epoch, -1, "last_epoch after a binding that failed")
        else:
            skip(f"its binding does not fail ({how})")


@law("a second run that goes on where the first one stopped", late=True)
def rebind(make: MakePolicy, held: list[float], epochs: int, at: int) -> None:
    """Binding to another optimizer starts over, and leaves the old one alone."""
    right = undisturbed(make, held, epochs)
    policy = begin(make, held)
    option, first = option_of(policy), policy.optimizer
    train(policy, at)
    second = sgd(held, policy)
    again = bind(policy, second)
    same_run(run(again, epochs), right, "the lrs after rebinding")
    expect(numbers(first, option), right[at], "the lrs of the optimizer left behind")
    bind(again, second)
    expect(again.last_epoch, 0, "last_epoch after binding to the same optimizer again")
    expect(floats(again.get_last_lr()), lrs(again), "get_last_lr() after binding again", 0)


@law("pytorch#126131: an optimizer kept alive by its scheduler", late=True)
def rebind_frees(make: MakePolicy, held: list[float]) -> None:
    """After binding to another optimizer nothing of the old one is kept."""
    policy = begin(make, held)
    first = policy.optimizer
    train(policy, 2)
    old, param = weakref.ref(first), weakref.ref(first.param_groups[0]["params"][0])
    with without_gc():
        bind(policy, sgd(held, policy))
        del first
        if old() is not None:
            raise Broken("the old optimizer", "freed", "something keeps it alive")
        if param() is not None:
            raise Broken("a param of the old optimizer", "freed", "something keeps it alive")
