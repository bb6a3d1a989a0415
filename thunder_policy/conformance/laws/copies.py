"""Laws on copies, and on what keeps what alive."""

from __future__ import annotations

import copy
import gc
import weakref

from torch.optim.lr_scheduler import LRScheduler

from ..runs import (
    Broken,
    Make,
    begin,
    bind,
    expect,
    linked,
    no_warnings,
    public,
    run,
    same_run,
    sgd,
    skip,
    through_pickle,
    train,
    without_gc,
)
from ..undisturbed import undisturbed
from . import law


@law("a copy that steps the optimizer of the original", of=("a new policy", "one in use"))
def deepcopy(make: Make, held: list[float], epochs: int, at: int, of: str) -> None:
    """A deep copy is a policy of the same value, and with its optimizer a second run."""
    right = undisturbed(make, held, epochs)
    if of == "a new policy":
        policy = make()
        try:
            twin = copy.deepcopy(policy)
        except Exception as error:
            raise Broken(f"copy.deepcopy of {of}", "no error", f"{error!r}") from error
        if not isinstance(policy, LRScheduler):
            skip("it is made with its optimizer")
        expect(twin is policy, False, "the copy is the policy itself")
        same_run(run(bind(twin, sgd(held, twin)), epochs), right, "the lrs of a copy")
        same_run(
            run(bind(policy, sgd(held, policy)), epochs),
            right,
            "the lrs of what was copied",
        )
    else:
        scheduler = begin(make, held)
        train(scheduler, at)
        try:
            optimizer, other = copy.deepcopy((scheduler.optimizer, scheduler))
        except Exception as error:
            raise Broken(f"copy.deepcopy of {of}", "no error", f"{error!r}", at) from error
        linked(other, optimizer, "a copy of optimizer and policy", at)
        before = public(scheduler)
        with no_warnings(f"stepping a copy that was made at epoch {at}"):
            seen = run(other, epochs - at)
        same_run(seen, right[at:], f"the lrs of a copy made at epoch {at}", since=at)
        expect(public(scheduler), before, "the original, after its copy was stepped", at)
        seen = run(scheduler, epochs - at)
        same_run(seen, right[at:], "the lrs of the original beside a copy", since=at)


@law("an attribute that cannot be sent to another process", of=("a new policy", "one in use"))
def pickle(make: Make, held: list[float], epochs: int, at: int, of: str) -> None:
    """A policy can be pickled, new and in use, and goes on the same."""
    right = undisturbed(make, held, epochs)
    policy = make()
    if of == "a new policy":
        if not isinstance(policy, LRScheduler):
            skip("it is made with its optimizer")
        try:
            twin, left_out = through_pickle(policy, type(policy).__mro__)
        except Exception as error:
            raise Broken(f"pickling {of}", "no error", f"{error!r}") from error
        same_run(
            run(bind(twin, sgd(held, twin)), epochs),
            right,
            "the lrs of an unpickled policy",
        )
    else:
        scheduler = bind(policy, sgd(held, policy))
        train(scheduler, at)
        pair = (scheduler.optimizer, scheduler)
        try:
            (optimizer, other), left_out = through_pickle(pair, type(scheduler).__mro__)
        except Exception as error:
            raise Broken(f"pickling {of}", "no error", f"{error!r}", at) from error
        linked(other, optimizer, "optimizer and policy, pickled", at)
        with no_warnings(f"stepping what was pickled at epoch {at}"):
            seen = run(other, epochs - at)
        same_run(seen, right[at:], f"the lrs of a policy pickled at epoch {at}", since=at)
    if left_out:
        skip(f"pickle finds no function by the name {left_out[0]}; all else is pickled")


@law("pytorch#25605: a scheduler and an optimizer that keep each other alive")
def no_cycle(make: Make, held: list[float], epochs: int) -> None:
    """A run is freed with its last name, without the garbage collector."""
    scheduler = begin(make, held)
    optimizer = scheduler.optimizer
    train(scheduler, epochs)
    freed = list[str]()
    for name, held_object in (("optimizer", optimizer), ("policy", scheduler)):
        weakref.finalize(held_object, freed.append, name)
    with without_gc():
        del optimizer, scheduler, held_object
        for name in ("policy", "optimizer"):
            if name not in freed:
                gc.collect()
                seen = "a reference cycle" if name in freed else "something outside"
                what = f"the {name}, when its last name is gone"
                raise Broken(what, "freed", f"kept alive by {seen}")
