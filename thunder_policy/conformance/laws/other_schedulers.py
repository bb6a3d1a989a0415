"""Laws on other schedulers around a policy, and on groups that come later."""

from __future__ import annotations

import copy
import math

from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, SequentialLR

from ...policy import Policy
from ..declared import Told
from ..runs import (
    Broken,
    Make,
    begin,
    bind,
    epoch_of,
    expect,
    floats,
    lrs,
    option_of,
    parameter,
    refuses,
    run,
    same_run,
    sgd,
    skip,
    state_of,
    train,
)
from ..undisturbed import by_company, undisturbed
from . import law


@law(
    "pytorch#185872, #196243: off by one at the first epoch or at a milestone",
    place=(0, 1),
)
def sequential(make: Make, held: list[float], epochs: int, place: int) -> None:
    """Inside SequentialLR, first or second, a policy gives the lrs that it gives alone."""
    right = undisturbed(make, held, epochs)
    policy = make()
    if option_of(policy) != "lr":
        skip("SequentialLR is for lrs alone")
    optimizer = sgd(held, policy)
    rest = ConstantLR(optimizer, factor=1.0)
    policy = bind(policy, optimizer)
    if isinstance(policy, Told):
        skip("its step is told a metric, and SequentialLR has none")
    owner = type(policy).step.__module__.partition(".")[0]
    if isinstance(policy, Policy) and owner != Policy.__module__.partition(".")[0]:
        skip("it overrides step(), and SequentialLR steps once more to come to epoch 0")
    if place == 0:
        sequence = SequentialLR(optimizer, [policy, rest], milestones=[epochs + 1])
        seen = run(sequence, epochs)
    else:
        sequence = SequentialLR(optimizer, [rest, policy], milestones=[3])
        train(sequence, 3)
        seen = run(sequence, epochs)
    expect(floats(sequence.get_last_lr()), lrs(sequence), "get_last_lr() of SequentialLR")
    same_run(seen, right, f"the lr inside SequentialLR, as number {place}, epochs since its start")


@law("ChainedScheduler reads _last_lr and steps each in turn", place=(0, 1))
def chained(make: Make, held: list[float], epochs: int, place: int) -> None:
    """Inside ChainedScheduler, beside one that changes nothing, a policy gives its own lrs."""
    right = undisturbed(make, held, epochs)
    policy = make()
    option = option_of(policy)
    optimizer = sgd(held, policy)
    rest = ConstantLR(optimizer, factor=1.0)
    policy = bind(policy, optimizer)
    if isinstance(policy, Told):
        skip("its step is told a metric, and ChainedScheduler has none")
    chain = ChainedScheduler([policy, rest] if place == 0 else [rest, policy])
    same_run(run(chain, epochs, policy), right, "the lr inside ChainedScheduler")
    if option == "lr":
        expect(floats(chain.get_last_lr()), lrs(chain), "get_last_lr() of ChainedScheduler")


@law("pytorch#20997, #104361: add_param_group after the scheduler was made")
def late_group(
    make: Make, held: list[float], epochs: int, exact: int | None, late_groups: bool, at: int
) -> None:
    """A group added later is taken in, or refused as a whole, by an error that is meant."""
    at, n = min(at, epochs - 1), len(held)
    alone = undisturbed(make, held, epochs)
    policy = begin(make, held)
    option, optimizer = option_of(policy), policy.optimizer
    train(policy, at)
    optimizer.add_param_group({"params": [parameter()], option: 0.077})
    before = epoch_of(policy), lrs(policy)
    try:
        train(policy)
    except Broken as error:
        if exact is None and late_groups and not refuses(error):
            raise
        expect((epoch_of(policy), lrs(policy)), before, "after a step that was refused", at)
    else:
        seen = run(policy, epochs - at - 1)
        for epoch, row in enumerate(seen, at + 1):
            for group, lr in enumerate(row):
                if not math.isfinite(lr):
                    raise Broken("the lr after a group was added", "a number", lr, epoch, group)
        last = floats(policy.get_last_lr())
        expect(last, lrs(policy), "get_last_lr() after a group was added", at + 1)
        if not by_company(make, n, epochs):
            rows = [row[:-1] for row in seen]
            what = "the lr of an older group after one was added"
            same_run(rows, alone[at + 1 :], what, since=at + 1)
            first, new = {row[0] for row in seen}, {row[-1] for row in seen}
            # Later few epochs are left, in which a floor may hold one group and not another.
            if len(first) > 1 and len(new) == 1 and at < 2:
                what = f"the lr of a group added at epoch {at}, after that"
                raise Broken(what, "new ones, as in group 0", f"{new.pop()}, always", group=n)


@law("pytorch#20997, #104361: a group that is not there when a run is resumed", widest=True)
def late_group_resume(
    make: Make, held: list[float], epochs: int, exact: int | None, at: int
) -> None:
    """A run to which a group was added goes on in fresh objects that had it from the start."""
    if exact is not None:
        skip("it is for an exact number of param groups")
    at = min(at, epochs - 1)
    policy = begin(make, held)
    train(policy, at)
    policy.optimizer.add_param_group({"params": [parameter()], option_of(policy): 0.077})
    if getattr(policy, "on_load", "restore") == "override":
        skip("its starts are those that are written, and none is for the group that came")
    try:
        train(policy)
        saved = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))
        right = run(policy, epochs - at - 1)
    except Broken:
        skip("it takes no group in: see late_group")

    fresh = begin(make, [7 * lr for lr in (*held, 0.077)])
    fresh.optimizer.load_state_dict(saved[0])
    fresh.load_state_dict(saved[1])
    seen = run(fresh, epochs - at - 1)
    what = f"the lr of a run that was resumed after a group was added at epoch {at}"
    same_run(seen, right, what, since=at + 1, within=0.0)
