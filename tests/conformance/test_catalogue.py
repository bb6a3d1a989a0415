"""What the catalogue says of each law: a weight, a set, an example that breaks it, a remedy."""

from __future__ import annotations

import pickle
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from torch.optim.lr_scheduler import LRScheduler
from versions import IS_README_TORCH

from thunder_policy.conformance import (
    INHERITED_FROM_TORCH,
    LAW_SETS,
    LAWS,
    Subject,
    check_policy,
)
from thunder_policy.conformance.catalogue import ENTRIES, PRELUDE, WEIGHTS, laws_of
from thunder_policy.conformance.suite import examine


def test_every_law_is_in_the_catalogue_and_nothing_else_is() -> None:
    assert [*LAWS.keys() - ENTRIES.keys()] == [], "give these an entry in catalogue.py"
    assert [*ENTRIES.keys() - LAWS.keys()] == [], "there are no such laws"


def test_every_entry_has_a_weight_a_set_and_a_remedy() -> None:
    for entry in ENTRIES.values():
        assert entry.weight in WEIGHTS
        assert entry.since in LAW_SETS
        assert entry.mend[-1] in ".`"


def example(law: str) -> tuple[Any, Any]:
    """Return the factory of an example, and its oracle."""
    text = PRELUDE + "\n\n" + ENTRIES[law].broken
    namespace: dict[str, Any] = {"__name__": "catalogue_example"}
    # With a name a file of its own: the law shows the source of what it is about.
    exec(text, namespace)
    classes = [value for value in namespace.values() if isinstance(value, type)]
    expected = namespace.get("expected")
    return namespace.get("make", classes[-1]), expected


@pytest.mark.parametrize("law", ENTRIES)
def test_the_example_breaks_its_law(law: str) -> None:
    factory, expected = example(law)
    result = examine(LAWS[law], Subject(factory, expected=expected, epochs=12))
    assert result.status == "failed"


class OnTorchsBase(LRScheduler):
    """The least that a scheduler on torch's base can be."""

    def get_lr(self) -> Any:
        return [lr * 0.9**self.last_epoch for lr in self.base_lrs]


class Chainable(LRScheduler):
    """The same from the lr as it stands, as most of torch's are written."""

    def get_lr(self) -> Any:
        return [g["lr"] * (0.9 if self.last_epoch else 1.0) for g in self.optimizer.param_groups]


@pytest.mark.parametrize("cls", [OnTorchsBase, Chainable])
def test_what_the_least_scheduler_on_torch_s_base_breaks_is_inherited(cls: Any) -> None:
    results = check_policy(Subject(partial(cls), epochs=6), on_fail="collect")
    own = {r.law: r.reason for r in results if r.status == "failed" and not r.inherited}
    assert own == {}, "describe these in INHERITED_FROM_TORCH"
    broken = {result.law for result in results if result.status == "failed"}
    if cls is OnTorchsBase and IS_README_TORCH:
        assert broken == {*INHERITED_FROM_TORCH}


def test_a_set_has_the_laws_of_those_before_it() -> None:
    sets = [laws_of(name, LAWS) for name in LAW_SETS]
    assert sets[-1] == laws_of(None, LAWS) == [*LAWS]
    for earlier, later in pairwise(sets):
        assert [law for law in later if law in earlier] == earlier
    assert len(sets[0]) == 46, "what is released stays as it is"
    with pytest.raises(ValueError, match=r"no set of laws '2026\.13'; there are 2026\.11"):
        laws_of("2026.13", LAWS)


def test_a_reason_survives_another_process() -> None:
    reason = INHERITED_FROM_TORCH["pickle"]
    again = pickle.loads(pickle.dumps(reason))
    assert again == reason
    assert again.seen.pattern == reason.seen.pattern
