"""Laws on steps: what they write, what they leave alone, and what they say."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ConstantLR

from ...policy import Policy
from ..declared import Told
from ..isolation import arguments, held_in
from ..process_settings import defined, left_running, patched, process
from ..runs import (
    Broken,
    Make,
    ask,
    begin,
    bind,
    expect,
    flat,
    floats,
    held_by,
    lrs,
    no_warnings,
    option_of,
    other_lrs,
    others,
    own_schedulers,
    parameter,
    plain,
    public,
    rng_states,
    run,
    same_filters,
    same_rng,
    same_run,
    save_and_load,
    sgd,
    skip,
    starts,
    state_of,
    train,
)
from ..undisturbed import by_position, undisturbed
from . import law

# Whether a cut is worth while, by an eps of 1e-8 as a rule, all groups may decide together.
SMALL = 1e-6


@law("pytorch#68820, #69794: a get_last_lr that does not follow the groups")
def last_lr(make: Make, held: list[float], epochs: int) -> None:
    """get_last_lr() is what the param groups hold when it is asked, and asking changes nothing."""
    scheduler = begin(make, held)
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        expect(floats(scheduler.get_last_lr()), lrs(scheduler), "get_last_lr()", epoch)
    for group in scheduler.optimizer.param_groups:
        group[option_of(scheduler)] = 0.75
    outside = [0.75 for _ in held]
    last = floats(scheduler.get_last_lr())
    expect(lrs(scheduler), outside, "a lr that somebody set, after get_last_lr()", epochs)
    if isinstance(scheduler, Policy):  # torch's own say what they wrote last
        expect(last, outside, "get_last_lr(), after somebody set the lr", epochs)


@law("pytorch#163103, #163120: a history of references to one live lr")
def last_lr_history(make: Make, held: list[float], epochs: int) -> None:
    """What get_last_lr() returned does not change later."""
    scheduler = begin(make, [torch.tensor(lr, dtype=torch.float64) for lr in held])
    history, copies = [], []
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        history.append(scheduler.get_last_lr())
        copies.append(floats(scheduler.get_last_lr()))
    same_run([*map(floats, history)], copies, "what get_last_lr() returned, in the end", within=0.0)


@law("pytorch#22107, #49885: a get_lr that multiplies, or counts, each time it is asked")
def pure(make: Make, held: list[float], epochs: int) -> None:
    """get_lr() writes nothing, and answers the same twice in a row."""
    for kind in (float, torch.tensor):
        scheduler = begin(make, [kind(lr) for lr in held])
        answers = []
        for epoch in range(epochs + 1):
            if epoch:
                train(scheduler)
            attributes, before = copy.deepcopy(held_by(scheduler)), public(scheduler)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # torch has none of get_lr outside a step
                    answer = scheduler.get_lr()
                    first = floats(answer)
                    second = floats(scheduler.get_lr())
            except NotImplementedError:
                skip(f"{type(scheduler).__name__} has no get_lr")
            expect(second, first, "get_lr(), the second time", epoch)
            expect(public(scheduler), before, "after get_lr()", epoch)
            expect(held_by(scheduler), attributes, "after get_lr()", epoch)
            answers.append((answer, first))
        for epoch, (answer, first) in enumerate(answers):
            if kind is float:  # a live tensor may be handed out
                expect(floats(answer), first, "what get_lr() returned, in the end", epoch)


@law("an error at epoch 7, caught, and epoch 7 is lost", how=("an error", "a lr too many", "nan"))
def step_atomic(make: Make, held: list[float], at: int, how: str) -> None:
    """A step that fails changes nothing that anybody can see from outside."""
    scheduler = begin(make, held)
    if own_schedulers(scheduler):
        skip("it holds schedulers, and may step them")
    train(scheduler, at)

    asked = list[bool]()

    class Trouble(RuntimeError, ValueError, ZeroDivisionError, IndexError, KeyError):
        """What somebody may want to catch, whatever that is."""

    def get_lr() -> list[float]:
        asked.append(True)
        if how == "an error":
            raise Trouble(how)
        return [0.5, *held] if how == "a lr too many" else [*held[:-1], float("nan")]

    before = public(scheduler)
    vars(scheduler)["get_lr"] = get_lr
    try:
        scheduler.step()
    except Exception:
        del vars(scheduler)["get_lr"]
        expect(public(scheduler), before, f"after a step that failed ({how} in get_lr)", at)
    else:
        if asked and how == "an error":
            raise Broken("a step whose get_lr raises an error", "that error", "no error", at)
        skip("its step does not fail")


@law("a scheduler that writes momentum, betas or max_lr", kind=("SGD", "Adam"))
def only_lr(make: Make, held: list[float], epochs: int, kind: str) -> None:
    """Only the lr is written: no other option, no param or gradient, no state of the optimizer."""
    policy = make()
    option = option_of(policy)
    optimizer: Optimizer = sgd(held, policy)
    if kind == "Adam":
        if not isinstance(optimizer, SGD):
            skip("it is for an optimizer of its own")
        optimizer = Adam(optimizer.param_groups)
    for group in optimizer.param_groups:
        # What is 0 would hide what is multiplied.
        zeros = [key for key, value in group.items() if type(value) in (int, float) and not value]
        group |= {**dict.fromkeys(zeros, 0.25), "note": [1, 2], option: group[option]}
        group["params"][0].grad = torch.ones(1)
    optimizer.step()
    before = others(optimizer, option)
    scheduler = bind(policy, optimizer)
    expect(others(optimizer, option), before, "after binding", 0)
    recorded, groups = starts(optimizer), [*optimizer.param_groups]
    for epoch in range(1, epochs + 1):
        optimizer.step()
        before = others(optimizer, option)
        scheduler.step()
        expect(others(optimizer, option), before, "after a step", epoch)
        expect(starts(optimizer), recorded, "initial_lr after a step", epoch)
        for i, (group, old) in enumerate(zip(optimizer.param_groups, groups)):
            if group is not old:
                raise Broken("the param group after a step", "the same dict", "another", epoch, i)
    before = others(optimizer, option)
    save_and_load(scheduler)
    expect(others(optimizer, option), before, "after saving and loading", epochs)
    ask(scheduler)
    expect(others(optimizer, option), before, "after its lrs were asked for", epochs)


@law("NumPy scalars: no safe load reads a checkpoint that has one")
def plain_numbers(make: Make, held: list[float], epochs: int) -> None:
    """What is written into the groups, and saved, is no scalar of NumPy."""
    scheduler = begin(make, held)
    option = option_of(scheduler)
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        if epoch == epochs // 2:
            save_and_load(scheduler)
        groups = scheduler.optimizer.param_groups
        written: dict[str, object] = {
            "the lr in the groups": [group[option] for group in groups],
            "initial_lr": [group.get("initial_lr") for group in groups],
            **{f"the state's {key}": value for key, value in state_of(scheduler).items()},
        }
        for what, values in written.items():
            for value in flat(values):
                if type(value).__module__ == "numpy":
                    raise Broken(what, "plain numbers", f"{value!r}", epoch)


@law("a jitter from the global generator changes every dropout mask after it")
def rng(make: Make, held: list[float], epochs: int) -> None:
    """No global generator of random numbers is used."""
    before = rng_states()
    scheduler = begin(make, held)
    run(scheduler, epochs)
    same_rng(before)
    save_and_load(scheduler)
    ask(scheduler)
    same_rng(before)


@law("a filter that hides everybody's warnings; a default dtype that changes everybody's tensors")
def settings(make: Make, held: list[float], epochs: int) -> None:
    """What is set for the process stays: dtype, environment, modules, filters, streams, threads."""
    # Torch sets what it needs at its first step, and wraps the step of each kind of optimizer.
    run(ConstantLR(sgd(held)), 1)
    Optimizer([parameter()], {})
    before, definitions, filters = process(), defined(), [*warnings.filters]
    threads = threading.enumerate()
    policy = make()
    # Not bind(), which puts the filters back.
    scheduler = policy(sgd(held, policy))
    for when in ("a run", "saving and loading", "asking for lrs"):
        if when == "a run":
            run(scheduler, epochs)
        elif when == "saving and loading":
            save_and_load(scheduler)
        else:
            ask(scheduler)
        same_filters(filters)
        expect(process(), before, f"after {when}")
        expect(patched(definitions), [], f"what is patched after {when}")
        expect(left_running(threads), [], f"the threads that are left after {when}")


@law("two runs of one configuration that differ")
def deterministic(make: Make, held: list[float], epochs: int) -> None:
    """Equal policies give equal lrs, run after run."""
    right = undisturbed(make, held, epochs)
    for _ in range(3):
        same_run(run(begin(make, held), epochs), right, "the lrs of a later run", within=0.0)


@law("mapping.pop(epoch) on the caller's own dict")
def keeps_arguments(make: Make, held: list[float], epochs: int) -> None:
    """What a policy is made of belongs to the caller, and is not written."""
    before = plain(arguments(make))
    policy = make()
    if getattr(make, "__name__", "<lambda>") == "<lambda>":  # a function may write what is its own
        expect(plain(arguments(make)), before, "the arguments, when the policy is made")
    scheduler = bind(policy, sgd(held, policy))
    train(scheduler, epochs)
    own = held_in(scheduler)
    for name, value in arguments(make).items():
        if own & held_in(value):  # else only a callback of the caller's own can write it
            expect(plain(value), before[name], f"the arguments, after a run, {name}")


@law("state on the class, in a global, or in a mutable default argument", widest=True, times=(1, 3))
def independent(make: Make, held: list[float], epochs: int, at: int, times: int) -> None:
    """Two policies on two optimizers, stepped in turn, do not know of each other."""
    other = [times * lr for lr in held]
    right, other_right = (undisturbed(make, numbers, epochs) for numbers in (held, other))
    first = begin(make, held)
    train(first, at)
    second = begin(make, other)
    same_run(run(second, epochs), other_right, "the lrs of a policy bound while another is in use")
    what = "the lrs of a policy after another one was used"
    same_run(run(first, epochs - at), right[at:], what, since=at)


@law("param_groups[0]['lr'] for all groups")
def group_alone(make: Make, held: list[float], epochs: int) -> None:
    """The lr of a group does not depend on the lrs of the other groups."""
    if len(held) == 1 or by_position(make, len(held), epochs):
        skip("there is one param group, or each is given a lr by its position")
    before = undisturbed(make, held, epochs)
    for other in range(len(held)):
        changed = [5 * lr if group == other else lr for group, lr in enumerate(held)]
        after = run(begin(make, changed), epochs)
        for row, kept in zip(after, before):
            row[other] = kept[other]
        what = f"the lrs where that of group {other} is {changed[other]}"
        same_run(after, before, what, least=SMALL)


@law("pytorch#44511: an order warning where the order is right")
def quiet(make: Make, held: list[float], epochs: int) -> None:
    """A correct loop, saving and loading are without warnings; a binding may warn of lrs."""
    scheduler, fresh = begin(make, held), begin(make, held)
    with no_warnings("a correct loop"):
        run(scheduler, epochs)
    state = state_of(scheduler)
    with no_warnings("saving and loading"):
        scheduler.state_dict()
        fresh.load_state_dict(copy.deepcopy(state))


@law("pytorch#20124: the first lr skipped in silence")
def order_warning(make: Make, held: list[float]) -> None:
    """A step before any step of the optimizer has torch's warning."""
    scheduler = begin(make, held)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.step()
    if not any("before `optimizer.step()`" in str(warning.message) for warning in caught):
        raise Broken("a step before optimizer.step()", "torch's warning", "no warning of it", 1)


@law("pytorch#40971: step(epoch) and as many steps come to different lrs")
def closed_form(make: Make, held: list[float], epochs: int) -> None:
    """lr_at(epoch), or torch's closed form, says what stepping arrives at, after a load too."""
    right = undisturbed(make, held, epochs)
    scheduler: Any = begin(make, held)
    has_lr_at = isinstance(scheduler, Policy)  # that of another class may mean anything
    has_form = hasattr(scheduler, "_get_closed_form_lr")
    if not has_lr_at and not has_form:
        skip(f"{type(scheduler).__name__} has neither lr_at nor _get_closed_form_lr")
    is_told = isinstance(scheduler, Told)  # of the metrics to come it cannot know
    for epoch in range(epochs + 1):
        if epoch:
            train(scheduler)
        same_run([lrs(scheduler)], [right[epoch]], "the lr of a run that was asked", since=epoch)
        runs = {"asked": scheduler}
        if epoch in (0, 1, epochs // 2, epochs):
            fresh: Any = begin(make, other_lrs(held, scheduler))
            fresh.load_state_dict(copy.deepcopy(state_of(scheduler)))
            runs["loaded"] = fresh
        for when, asked in runs.items():
            answers: dict[str, tuple[Any, int]] = {"get_last_lr()": (asked.get_last_lr(), epoch)}
            if has_form:
                answers["_get_closed_form_lr()"] = asked._get_closed_form_lr(), epoch
            if has_lr_at:
                ats = (epoch,) if is_told else (0, epoch, epochs)
                answers |= {f"lr_at({at})": (asked.lr_at(at), at) for at in ats}
            for what, (answer, at) in answers.items():
                what = f"{what}, {when} at epoch {epoch}"
                if not isinstance(answer, (list, tuple)):
                    raise Broken(what, "a list with one lr a group", answer)
                same_run([floats(answer)], [right[at]], what, since=at)


@law("a schedule that is one epoch late")
def values(
    make: Make, held: list[float], epochs: int, expected: Callable[[int, int], float] | None
) -> None:
    """The lrs are those of your own oracle."""
    if expected is None:
        skip("no oracle was given: Subject(..., expected=...)")
    right = [[float(expected(t, i)) for i in range(len(held))] for t in range(epochs + 1)]
    same_run(undisturbed(make, held, epochs), right, "the lr")
