"""Laws on checkpoints: what goes in, what comes out, and in which order."""

from __future__ import annotations

import copy
from typing import Any, cast

from ...messages import said
from ...policy import Policy
from ..isolation import isolated
from ..processes import files_written, in_a_process, one_of_many, set_aside
from ..runs import (
    Broken,
    Make,
    MakePolicy,
    begin,
    bind,
    expect,
    floats,
    held_by,
    in_order,
    lrs,
    other_lrs,
    own_schedulers,
    plain,
    public,
    run,
    same_run,
    sgd,
    skip,
    spoil,
    state_of,
    through_disk,
    train,
)
from ..undisturbed import saved_at, undisturbed
from . import law

ORDERS = ("policy", "policy, optimizer", "optimizer, bind, policy")


@law("pytorch#119168: a scheduler made before or after its optimizer is loaded", widest=True)
def resume(make: Make, held: list[float], epochs: int) -> None:
    """A run saved at any epoch goes on in fresh objects that were made with other lrs."""
    right = undisturbed(make, held, epochs)
    policy = begin(make, held)
    for epoch in range(epochs + 1):
        if epoch:
            train(policy)
        saved = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))
        fresh = begin(make, other_lrs(held, policy))
        fresh.optimizer.load_state_dict(saved[0])
        fresh.load_state_dict(saved[1])
        expect(lrs(fresh), lrs(policy), "the lr in the group after loading", epoch)
        expect(public(fresh), public(policy), "after loading", epoch)
        seen, what = run(fresh, epochs - epoch), f"the lr of a run resumed at epoch {epoch}"
        same_run(seen, right[epoch:], what, since=epoch, within=0.0)


@law(
    "pytorch#119168, #65342: what is done last overwrites the lr",
    order=("policy, optimizer", "optimizer, bind, policy"),
)
def resume_any_order(make: Make, held: list[float], epochs: int, at: int, order: str) -> None:
    """A run goes on in whichever order policy and optimizer are bound and loaded."""
    right, saved = undisturbed(make, held, epochs), saved_at(make, held, at)
    policy = make()
    optimizer = sgd(saved.other_lrs, policy)
    if order == "policy, optimizer":
        fresh = bind(policy, optimizer)
        fresh.load_state_dict(saved.policy)
        optimizer.load_state_dict(saved.optimizer)
    else:
        optimizer.load_state_dict(saved.optimizer)
        fresh = bind(policy, optimizer)
        fresh.load_state_dict(saved.policy)
    seen, what = run(fresh, epochs - at), f"the lr of a run loaded in the order {order}"
    same_run(seen, right[at:], what, since=at, within=0.0)


@law("pytorch#29697: the lr is in the optimizer's state alone")
def resume_alone(make: Make, held: list[float], epochs: int, at: int) -> None:
    """A run goes on where the optimizer's state was never loaded."""
    right, saved = undisturbed(make, held, epochs), saved_at(make, held, at)
    fresh = begin(make, saved.other_lrs)
    fresh.load_state_dict(saved.policy)
    seen, what = run(fresh, epochs - at), "the lr of a run resumed without the optimizer's state"
    same_run(seen, right[at:], what, since=at, within=0.0)


@law("a registry on the class, which a new process does not have", widest=True)
def resume_elsewhere(make: Make, held: list[float], epochs: int, at: int) -> None:
    """A run goes on in a process that knows nothing of the one that saved it, nor has its files."""

    def resumed(saved: Any, lrs: list[float]) -> Any:
        fresh = begin(make, lrs)
        fresh.optimizer.load_state_dict(copy.deepcopy(saved[0]))
        fresh.load_state_dict(copy.deepcopy(saved[1]))
        return run(fresh, epochs - at)

    def save() -> Any:  # pragma: no cover  it is another process
        files = files_written()
        policy = begin(make, held)
        train(policy, at)
        saved = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))
        lrs = other_lrs(held, policy)
        return saved, lrs, files, resumed(saved, lrs)  # whether that is right, other laws say

    with isolated(make):  # where no process can be had, what its modules hold is put back
        saved, lrs, files, right = in_a_process(save)
    with set_aside(files):
        seen = resumed(saved, lrs)
    same_run(seen, right, "the lr of a run resumed in a new process", since=at, within=0.0)


@law("a lr that is scaled by the number of processes, at each load again", widest=True)
def resume_distributed(make: Make, held: list[float], epochs: int, at: int) -> None:
    """A run of several processes goes on the same, however often its state is loaded."""
    right, one = undisturbed(make, held, epochs), saved_at(make, held, at)
    fresh = begin(make, one.other_lrs)
    fresh.optimizer.load_state_dict(one.optimizer)
    fresh.load_state_dict(one.policy)
    if run(fresh, epochs - at) != right[at:]:
        skip("it does not go on in one process either: see resume")
    with one_of_many(4):
        policy = begin(make, held)
        train(policy, at)
        saved = copy.deepcopy((policy.optimizer.state_dict(), state_of(policy)))

        fresh = begin(make, other_lrs(held, policy))
        for _ in range(2):
            fresh.optimizer.load_state_dict(copy.deepcopy(saved[0]))
            fresh.load_state_dict(copy.deepcopy(saved[1]))
        seen, right = run(fresh, epochs - at), run(policy, epochs - at)
    same_run(seen, right, "the lr of a run of 4 processes, resumed", since=at, within=0.0)


@law("pytorch#60265, #156846: a plan that is loaded in part", widest=True, order=ORDERS)
def lr_at_loaded(make: MakePolicy, held: list[float], epochs: int, at: int, order: str) -> None:
    """After a load the lrs in use are lr_at(last_epoch), in each order, and so they go on."""
    saved = saved_at(make, held, at)
    policy = make()
    optimizer = sgd(saved.other_lrs, policy)
    if order == "optimizer, bind, policy":
        optimizer.load_state_dict(saved.optimizer)
    fresh = bind(policy, optimizer)
    if not isinstance(fresh, Policy):
        skip(f"{type(fresh).__name__} has no lr_at")
    fresh.load_state_dict(saved.policy)
    if order == "policy, optimizer":
        optimizer.load_state_dict(saved.optimizer)
    for epoch in range(at, min(at + 1, epochs) + 1):
        if epoch > at:
            train(fresh)
        seen, right = floats(fresh.get_last_lr()), fresh.lr_at(fresh.last_epoch)
        what = f"get_last_lr(), beside lr_at(last_epoch), loaded in the order {order}"
        same_run([seen], [right], what, since=epoch)


@law("Distributed Checkpoint and JSON sort the keys", widest=True, order=("sorted", "reversed"))
def load_key_order(make: Make, held: list[float], epochs: int, at: int, order: str) -> None:
    """A state is the same whatever the order of its keys."""
    saved = saved_at(make, held, at)
    runs: list[Any] = []
    for state in (saved.policy, in_order(saved.policy, backwards=order == "reversed")):
        fresh = begin(make, saved.other_lrs)
        fresh.optimizer.load_state_dict(copy.deepcopy(saved.optimizer))
        fresh.load_state_dict(copy.deepcopy(state))
        runs.append(run(fresh, epochs - at))
    right, seen = runs
    what = f"the lr of a run whose state had its keys {order}"
    same_run(seen, right, what, since=at, within=0.0)


@law("a counter of checkpoints that the lr depends on", widest=True)
def save_often(make: Make, held: list[float], epochs: int) -> None:
    """To save a policy a hundred times changes neither it nor its state."""
    half = epochs // 2
    right = undisturbed(make, held, epochs)
    policy = begin(make, held)
    train(policy, half)
    first = copy.deepcopy(plain(state_of(policy)))
    for _ in range(98):
        state_of(policy)
    expect(plain(state_of(policy)), first, "the state, saved for the 100th time", half)
    seen, what = run(policy, epochs - half), "the lr of a run that was saved 100 times"
    same_run(seen, right[half:], what, since=half, within=0.0)


@law("pytorch#98921, #163105, #94450: a checkpoint that only an unsafe load reads")
def state_weights_only(make: Make, held: list[float], at: int) -> None:
    """The state passes torch.save and torch.load(weights_only=True) unchanged."""
    policy = begin(make, held)
    train(policy, at)
    try:
        state = policy.state_dict()
        loaded = through_disk(state)
    except Exception as error:
        what = "the state with weights_only=True"
        raise Broken(what, "no error", said(error), at) from error
    expect(plain(loaded), plain(state), "the state after a round trip", at)


@law("a state that is a view of the live scheduler")
def state_snapshot(make: Make, held: list[float], epochs: int, at: int) -> None:
    """A state does not change with the run, nor the run with the state."""
    policy, twin = begin(make, held), begin(make, held)
    at = min(at, epochs - 1)
    train(policy, at)
    train(twin, at)
    state = state_of(policy)
    before = copy.deepcopy(plain(state))
    train(policy)
    expect(plain(state), before, "a state, after the next step", at)
    train(twin)
    spoil(state_of(policy))
    expect(public(policy), public(twin), "after the returned state was overwritten", at + 1)
    left = epochs - at - 1
    seen, right = run(policy, left), run(twin, left)
    same_run(seen, right, "the lr after the returned state was overwritten", since=at + 1)


@law("pytorch#32756: load_state_dict pops from the caller's dict")
def load_argument(make: Make, held: list[float], epochs: int, at: int) -> None:
    """Loading neither changes the state that it is given nor keeps anything of it."""
    at = min(at, epochs - 1)
    state = saved_at(make, held, at).policy
    before = copy.deepcopy(plain(state))
    fresh, twin = begin(make, held), begin(make, held)
    fresh.load_state_dict(state)
    expect(plain(state), before, "the state that was loaded", at)
    twin.load_state_dict(copy.deepcopy(state))
    train(fresh)
    train(twin)
    expect(plain(state), before, "the state that was loaded, after a step", at)
    spoil(state)
    left = epochs - at - 1
    seen, right = run(fresh, left), run(twin, left)
    same_run(seen, right, "the lr after the loaded state was overwritten", since=at + 1)


@law("a load that adds to what is there")
def load_repeatable(make: Make, held: list[float], epochs: int, at: int) -> None:
    """One state can be loaded twice, and back into the policy that it came from."""
    policy = begin(make, held)
    optimizer = policy.optimizer
    train(policy, at)
    saved = copy.deepcopy((optimizer.state_dict(), state_of(policy)))
    right = run(policy, epochs - at)
    for again in ("back", "again"):
        optimizer.load_state_dict(copy.deepcopy(saved[0]))
        policy.load_state_dict(copy.deepcopy(saved[1]))
        policy.load_state_dict(copy.deepcopy(saved[1]))
        # What was first noted later is not in the state, and stays.
        loaded = {key: value for key, value in state_of(policy).items() if key in saved[1]}
        loaded = copy.deepcopy(plain(loaded))
        seen = run(policy, epochs - at)
        same_run(seen, right, f"the lr of a run taken {again}", since=at, within=0.0)
        expect(loaded, plain(saved[1]), "the state of a policy that has loaded it", at)


@law(
    "the checkpoint of something else, loaded without a word",
    widest=True,
    garbage=("None", "a list", "an empty dict", "no last_epoch", "last_epoch='three'"),
)
def load_rejects(make: Make, held: list[float], epochs: int, at: int, garbage: str) -> None:
    """Garbage is an error, and changes nothing."""
    at = min(at, epochs - 1)
    policy = begin(make, held)
    train(policy, at)
    state: object = None
    if garbage == "a list":
        state = [1, 2]
    elif garbage == "an empty dict":
        state = {}
    elif garbage != "None":
        ahead = begin(make, held)
        # What a nested scheduler has loaded by then is its own affair.
        train(ahead, at if own_schedulers(ahead) else at + 1)
        state = copy.deepcopy(state_of(ahead))
        if "last_epoch" not in state:
            skip("its state has no last_epoch")
        if garbage == "no last_epoch":
            del state["last_epoch"]
        else:
            state["last_epoch"] = "three"
    before, attributes = public(policy), copy.deepcopy(held_by(policy))
    try:
        policy.load_state_dict(cast("Any", state))
    except Exception:
        expect(public(policy), before, f"after loading garbage ({garbage})", at)
        expect(held_by(policy), attributes, f"after loading garbage ({garbage})", at)
    else:
        raise Broken(f"loading garbage ({garbage})", "an error", "no error", at)
