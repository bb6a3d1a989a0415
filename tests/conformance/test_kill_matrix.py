"""Each broken policy is caught by the law that names its fault; the near miss beside it passes."""

from __future__ import annotations

import broken_around  # noqa: F401  it adds its pairs
import broken_in_one_way  # noqa: F401  it adds its pairs
import pytest
from broken import PAIRS

from thunder_policy.conformance import LAWS, Broken
from thunder_policy.conformance.isolation import isolated
from thunder_policy.conformance.suite import examine

# Beside each that is broken stands one that is sound, of lrs and of another option.
pytestmark = pytest.mark.spec("O5", "S4", "S6", "S8", "T9")

NAMES = [*PAIRS]
# Some near misses stand beside several that are broken.
NEAR_MISSES = {(pair.law, pair.sound, pair.groups): name for name, pair in PAIRS.items()}
# Two of these are never the same twice: only what was looked at can be compared.
RANDOM = {"Ages", "Jitters", "Jitters_"}
# A lambda that was given to a policy is the caller's: pickle is not held against the policy.
# Beside the others there are layers, whose lrs are by position: no group can be looked at alone.
LEFT_ALONE = {"OwnLambda", "First", "Swaps", "Mean"}


def test_there_are_at_least_sixty_and_no_law_is_left_out() -> None:
    assert len(PAIRS) >= 60
    untried = {*LAWS} - {pair.law for pair in PAIRS.values()}
    # Nothing that is built on Policy can break it: the core gives each group a tensor of its own.
    assert untried == {"tensor_shared"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # the reproduction is run as anybody would
def test_a_broken_policy_is_caught_with_a_reproduction_that_shows_it(name: str) -> None:
    pair = PAIRS[name]
    result = examine(LAWS[pair.law], pair.subject(pair.broken))
    assert result.status == "failed"
    assert pair.says in result.reason
    assert result.reproduction
    assert result.reproduction.startswith(("import", "from"))
    assert "# make =" not in result.reproduction
    # An oracle is the user's own, and no import finds it.
    given = {"expected": pair.expected} if "# expected =" in result.reproduction else {}
    with isolated(pair.broken), pytest.raises(Exception) as raised:  # noqa: PT011  its text
        exec(compile(result.reproduction, "program", "exec", dont_inherit=True), given)
    assert isinstance(result.error, Broken)
    said = str(raised.value)
    if name in RANDOM:
        assert said.startswith(result.error.what)
    else:
        assert said == result.reason or said in result.reason


@pytest.mark.parametrize("name", NEAR_MISSES.values())
def test_the_near_miss_passes_that_law(name: str) -> None:
    pair = PAIRS[name]
    result = examine(LAWS[pair.law], pair.subject(pair.sound))
    assert result.status == ("skipped" if name in LEFT_ALONE else "passed"), result.reason
