"""Laws on what is around a run: the process, the clock, the optimizer, and how long it takes."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import torch
from torch.optim import SGD, Adam

from ...messages import said
from ..clocks import racing_clock
from ..growth import bytes_at_once, keeps, least_seconds, lines_run, numbers_in, objects_in
from ..isolation import keeping_arguments
from ..process_settings import SURROUNDINGS, elsewhere
from ..processes import printed
from ..runs import (
    Broken,
    Make,
    Trace,
    ask,
    begin,
    bind,
    expect,
    lrs,
    refuses,
    run,
    same_run,
    save_and_load,
    sgd,
    skip,
    train,
)
from ..undisturbed import tolerance, undisturbed
from . import law

EARLY, HALF, LONG, ROUNDS = 100, 1000, 2000, 60


@law("a progress line a step, in everybody's log and in the output of a report", widest=True)
def silent(make: Make, held: list[float], epochs: int) -> None:
    """Nothing is printed."""
    with printed() as lines:
        scheduler = begin(make, held)
        run(scheduler, epochs)
        save_and_load(scheduler)
        ask(scheduler)
    expect("".join(lines), "", "what is printed")


@law("a tensor of the default dtype; a threading.local", widest=True, where=SURROUNDINGS)
def same_everywhere(make: Make, held: list[float], epochs: int, where: str) -> None:
    """The lrs are the same without gradients, with another default dtype and in another thread."""
    right = undisturbed(make, held, epochs)
    within = tolerance(make, held, epochs, torch.float32)
    scheduler = begin(make, held)
    whole = elsewhere(where, lambda: run(begin(make, held), epochs))
    steps = elsewhere(where, lambda: run(scheduler, epochs))
    same_run(whole, right, f"the lr of a run in {where}", **within)
    same_run(steps, right, f"the lr of a run that goes on in {where}", **within)


@law("a lr that is another at night", widest=True)
def clock(make: Make, held: list[float], epochs: int) -> None:
    """The lrs do not depend on the time of day, nor on how long a run takes."""
    right = undisturbed(make, held, epochs)
    with racing_clock():
        seen = run(begin(make, held), epochs)
    same_run(seen, right, "the lr of a run that takes days")


@law("optimizer.step wrapped by a function that takes no closure, or returns nothing", widest=True)
def optimizer_step(make: Make, held: list[float], epochs: int) -> None:
    """A step of the optimizer takes a closure and returns the loss, as it does by itself."""
    scheduler = begin(make, held)
    train(scheduler, epochs)
    losses = list[float]()

    def closure() -> float:
        losses.append(0.25)
        return losses[-1]

    right = sgd(held, scheduler).step(closure), len(losses)
    seen = scheduler.optimizer.step(closure), len(losses) - right[1]
    expect(seen, right, "what optimizer.step(closure) returned, and how often it called")


@law("the step of Adam's state taken for the epoch", widest=True)
def any_optimizer(make: Make, held: list[float], epochs: int) -> None:
    """The lrs depend neither on the kind of the optimizer nor on how often it steps."""
    right = undisturbed(make, held, epochs)
    policy = make()
    alike = sgd(held, policy)
    if not isinstance(alike, SGD):
        skip("it is for an optimizer of its own")
    optimizer = Adam(alike.param_groups, lr=alike.defaults["lr"])
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.ones(1)
    try:
        scheduler = bind(policy, optimizer)
    except Broken as error:
        if refuses(error):
            skip("it refuses another optimizer than SGD")
        raise
    seen: Trace = [lrs(scheduler)]
    for _ in range(epochs):
        optimizer.step()
        optimizer.step()
        train(scheduler)
        seen.append(lrs(scheduler))
    same_run(seen, right, "the lr with Adam, of which three steps are taken an epoch")


def slows_down(make: Make, held: list[float]) -> bool:
    """Tell whether a step takes longer after some hundred steps than early, and then longer yet."""
    schedulers = [begin(make, held) for _ in range(3)]
    for scheduler, epochs in zip(schedulers, (EARLY, HALF // 2, HALF)):
        train(scheduler, epochs)
    early, later, late = least_seconds([scheduler.step for scheduler in schedulers], ROUNDS)
    more = max(2e-6, early / 5)
    return later - early > more and late - later > more


@law("a history that is copied, or a function that is wrapped, at each step", widest=True)
def long_run(make: Make, held: list[float], epochs: int) -> None:
    """In 2,000 steps nothing grows: not the cost of a step, the stack, the state or the memory."""
    costs, peaks = list[int](), list[int]()
    states, sizes = list[int](), list[int]()
    scheduler = begin(make, held)

    def both() -> None:
        scheduler.optimizer.step()
        scheduler.step()

    for epoch in range(1, LONG + 1):
        try:
            if epoch in (EARLY, HALF, LONG):
                costs.append(lines_run(both))
                sizes.append(objects_in(scheduler))
                states.append(numbers_in(scheduler.state_dict()))
            elif epoch in (EARLY - 1, LONG - 1):
                peaks.append(bytes_at_once(both))
            else:
                both()
        except RecursionError as error:  # noqa: PERF203  an error says at which step
            raise Broken("the calls within a step", "no growth", "RecursionError") from error
        except Exception as error:
            if epoch > epochs:
                skip(f"it ends after {epoch - 1} epochs")
            raise Broken("a step of a long run", "no error", said(error), epoch) from error
    if costs[-1] - costs[0] >= LONG - EARLY:  # one for each step in between
        raise Broken("the lines of code that a step runs", "no growth", f"{costs}", LONG)
    for what, counts in {"the numbers in the state": states, "the objects kept": sizes}.items():
        # One for every other step, from the middle on: a history that is kept may have a bound.
        if counts[-1] - counts[1] >= (LONG - HALF) // 2:
            raise Broken(what, "no growth", f"{counts}", LONG)

    if peaks[-1] - peaks[0] >= 4 * (LONG - EARLY):  # half a number each
        more = round((peaks[-1] - peaks[0]) / (LONG - EARLY))
        raise Broken("the memory that a step takes", "no growth", f"{more} bytes a step", LONG)

    # Lines are those of Python: within C a step may still go through all that was. That a machine
    # seems to slow down, where others use it, may be once, but not three times.
    if all(slows_down(make, held) for _ in range(3)):
        seen = "more from hundred to hundred"
        raise Broken("the time that a step takes", "no growth", seen, HALF)

    def again() -> None:
        with keeping_arguments(make):  # a callback of the caller's own may write what is its own
            train(begin(make, held), HALF)

    if keeps(again, HALF // 2):
        raise Broken("the memory of a run that is over", "freed", "something of each step", HALF)
