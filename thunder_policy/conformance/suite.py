"""check_policy: every law, on one subject; and one law, for whoever runs them one by one."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.control import current_build_context
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy
from hypothesis.vendor.pretty import RepresentationPrinter

from ..messages import said
from ..policy import Policy
from .catalogue import INHERITED_FROM_TORCH, Inherited, laws_of
from .isolation import isolated
from .laws import LAWS, Case, Law
from .range_ends import ENDS
from .report import ConformanceError, Result
from .reproduce import reproduction, source_of
from .runs import Broken, NotApplicable, skip
from .subject import Copies, Factory, Subject, as_subject, check_fresh, layouts_of
from .undeclared import check_needs

# A report is the same each time, and no example database is written.
_SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=3,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
    verbosity=Verbosity.quiet,
)
# First the simplest example is drawn, as always, and then one by the backend.
_AT_THE_ENDS = [settings(_SETTINGS, backend=end, max_examples=2) for end in ENDS]


def check_policy(
    subject: Subject | Factory,
    *,
    on_fail: Literal["raise", "collect"] = "raise",
    expected_failures: Mapping[str, str] | None = None,
    strict: bool = True,
    laws: str | None = None,
) -> list[Result]:
    """Try every law on a policy, or on a scheduler of torch.

    Args:
        subject: A `Subject`, or what would be its ``factory``.
        on_fail: ``"raise"`` an error that names every broken law, or ``"collect"`` the results.
        expected_failures: The names of laws that the subject breaks, each with the reason; or
            `INHERITED_FROM_TORCH`, for who cannot leave torch's base class.
        strict: Whether a law that was expected to be broken, and is not, counts as a failure.
        laws: The set of laws, one of `LAW_SETS`; by default the newest.

    Returns:
        One result a law, in the order of the laws.

    Raises:
        ConformanceError: If a law is broken.
        TypeError: If the subject is none, or its factory gives one policy twice. What the factory
            raises comes through.
        UndeclaredNeed: If the subject needs what it does not declare, such as a metric.
        ValueError: If an expected failure is no law, or has no reason; or there is no such set.

    Example:
        >>> from thunder_policy import Switch
        >>> results = check_policy(lambda: Switch({0: 0.5, 3: 0.1}))
        >>> [result.law for result in results if result.status != "passed"]
        ['step_atomic', 'values']
    """
    if on_fail not in ("raise", "collect"):
        raise ValueError(f"on_fail must be 'raise' or 'collect', not {on_fail!r}")
    subject = as_subject(subject)
    excused = expected_failures or {}
    check_excuses(excused)
    names = laws_of(laws, LAWS)
    check_needs(subject)
    known = look_at(subject)
    done = examine_all([law for law in LAWS.values() if law.root], subject, known)
    failed = [result.law for result in done.values() if result.status == "failed"]
    others = [LAWS[name] for name in names if name not in done]
    if failed:
        reason = f"nothing can be said before {failed[0]} holds"
        done |= {law.name: Result(law.name, "skipped", reason) for law in others}
    else:
        done |= examine_all(others, subject, known)
    results = [_excused(done[name], excused) for name in names]
    if on_fail == "raise" and any(result.bad(strict) for result in results):
        raise ConformanceError(name_of(subject), results, strict)
    return results


@dataclass(frozen=True)
class Check:
    """One law, to be called with a subject.

    Example:
        >>> from thunder_policy import Switch
        >>> Check(LAWS["resume"])(lambda: Switch({0: 0.5, 3: 0.1}))
    """

    law: Law

    def __call__(self, subject: Subject | Factory) -> None:
        """Try the law.

        Raises:
            Broken: If it does not hold.
            NotApplicable: If it says nothing about this subject.
            UndeclaredNeed: If the subject needs what it does not declare.
        """
        subject = as_subject(subject)
        check_needs(subject)
        known = look_at(subject)
        if not self.law.root:
            roots = [law for law in LAWS.values() if law.root]
            for root, result in examine_all(roots, subject, known).items():
                if result.status == "failed":
                    skip(f"nothing can be said before {root} holds")
        result = examine(self.law, subject, known)
        if result.error is not None:
            raise result.error
        if result.status == "skipped":
            skip(result.reason)

    def __repr__(self) -> str:
        return f"<check {self.law.name}>"


def checks() -> Iterator[Check]:
    """Yield one check a law.

    Example:
        >>> next(checks())
        <check construct>
    """
    return map(Check, LAWS.values())


class Known(NamedTuple):
    """What is known of a subject before any law is tried on it, from a first look."""

    late: bool
    given: Case
    layouts: list[list[float]]
    epochs: int


def look_at(subject: Subject) -> Known | None:
    """Make some policies of a subject to see what it is; of a strategy, each that is drawn shows.

    Raises:
        TypeError: If its factory gives one policy twice. What the factory raises comes through.
    """
    if isinstance(subject.factory, SearchStrategy):
        return None
    with subject.assumed(), isolated(subject.factory):
        late = isinstance(check_fresh(subject.make), Policy)
        exact = subject.exact()
        given = {
            "make": subject.factory,
            "exact": exact,
            "expected": subject.expected,
            "negative": subject.negative,
            "late_groups": subject.late_groups,
        }
        return Known(late, given, layouts_of(exact), subject.epochs)


def examine(law: Law, subject: Subject, known: Known | None = None) -> Result:
    """Try one law on one subject, which somebody may have looked at already."""
    return examine_all([law], subject, known)[law.name]


def examine_all(
    laws: Sequence[Law], subject: Subject, known: Known | None = None
) -> dict[str, Result]:
    """Try some laws on one subject, which somebody may have looked at already."""
    with subject.assumed():
        if isinstance(subject.factory, SearchStrategy):
            return _drawn(laws, subject, subject.factory)
        known = known or look_at(subject)
        assert known is not None
        return {law.name: _result(law, known.late, _tried(law, known)) for law in laws}


def _result(law: Law, ours: bool, outcome: Broken | NotApplicable | None) -> Result:
    """Write down what came of a law on one of our policies, or on a scheduler of torch's base."""
    if outcome is None:
        return Result(law.name, "passed")
    if isinstance(outcome, NotApplicable):
        return Result(law.name, "skipped", str(outcome))
    known = INHERITED_FROM_TORCH.get(law.name)
    inherited = not ours and known is not None and known.seen.search(outcome.reason) is not None
    return Result(law.name, "failed", outcome.reason, outcome, outcome.reproduction, inherited)


def _tried(law: Law, known: Known, part: slice = slice(None)) -> Broken | NotApplicable | None:
    """Try a law in its cases, or in a part of them; a small one comes first and is shown.

    Returns:
        What the first broken case says; or why nothing was said in any; or nothing.
    """
    if law.late and not known.late:
        return NotApplicable("it has its optimizer from the start: this is about binding late")
    outcomes = list[NotApplicable | None]()
    cases = [*law.cases(known.given, known.layouts, known.epochs)]
    for arguments in cases[part] or [cases[(part.start or 0) % len(cases)]]:
        outcome = _one(law, arguments)
        if isinstance(outcome, Broken):
            return _smallest(law, known, arguments, outcome)
        outcomes.append(outcome)
    return None if None in outcomes else outcomes[0]


def _one(law: Law, arguments: Case) -> Broken | NotApplicable | None:
    """Run a law once; an error that it did not foresee is a broken law too."""
    try:
        with isolated(arguments.get("make")):
            law.function(**arguments)
    except (Broken, NotApplicable) as outcome:
        return outcome
    except Exception as error:
        broken = Broken(f"law {law.name}", "no error", said(error))
        broken.__cause__ = error
        return broken
    return None


def _smallest(law: Law, known: Known, arguments: Case, error: Broken) -> Broken:
    """Return the error of the smallest case that breaks a law, with its reproduction.

    That is: the fewest groups, the first epoch at which something is done, and the shortest run.
    """
    cases = law.cases(known.given, known.layouts, known.epochs, each=True)
    tried = ((case, _one(law, case)) for case in cases)
    broken = ((case, outcome) for case, outcome in tried if isinstance(outcome, Broken))
    arguments, error = next(broken, (arguments, error))
    least = max(arguments.get(name, 1) for name in ("half", "at"))
    for epochs in range(least, arguments.get("epochs", 0)):
        smaller = {**arguments, "epochs": epochs}
        if isinstance(outcome := _one(law, smaller), Broken):
            error, arguments = outcome, smaller
            break
    error.reproduction = reproduction(law.sentence, law.function, arguments)
    return error


def _drawn(
    laws: Sequence[Law], subject: Subject, strategy: SearchStrategy[Any]
) -> dict[str, Result]:
    """Try laws on what a strategy draws: first the simplest, then others, then the ends.

    Each that is drawn is tried in its share of the cases of a law, so that all together take as
    long as one policy does. Of what breaks a law Hypothesis then looks for the smallest.
    """
    outcomes = {law.name: list[Broken | NotApplicable | None]() for law in laws}
    draws = _Draws(strategy)
    shares, ours = 0, False

    def note(turn: int, drawn: Any) -> None:
        nonlocal shares, ours
        shares, ours = turn + 1, ours or isinstance(drawn, Policy)

    def try_share(turn: int, drawn: Any) -> None:
        try:
            known = _looked_at(subject, drawn)
        except NotApplicable as reason:
            for law in laws:
                outcomes[law.name].append(reason)
            return
        for law in laws:
            if not any(isinstance(one, Broken) for one in outcomes[law.name]):
                outcomes[law.name].append(_tried(law, known, slice(turn, None, shares)))

    with isolated(None):
        draws.each(note)
        draws.each(try_share)
        return {
            law.name: _result(law, ours, _of_all(law, subject, draws, outcomes[law.name]))
            for law in laws
        }


def _of_all(
    law: Law, subject: Subject, draws: _Draws, outcomes: Sequence[Broken | NotApplicable | None]
) -> Broken | NotApplicable | None:
    """Return what came of a law on all that was drawn; the smallest, where it is broken."""
    broken = [one for one in outcomes if isinstance(one, Broken)]
    if not broken:
        return None if None in outcomes else outcomes[0]

    def show(turn: int, drawn: Any) -> None:
        if isinstance(outcome := _tried(law, _looked_at(subject, drawn)), Broken):
            broken.append(outcome)
            raise outcome

    # What is broken once and not again is Flaky: that it was, says more.
    with suppress(Broken, Flaky):
        draws.each(show)
    return broken[-1]


class _Draws:
    """Draws from a strategy, and the same each time: Hypothesis goes by the code that it calls."""

    def __init__(self, strategy: SearchStrategy[Any]) -> None:
        self.strategy = strategy

    def each(self, work: Callable[[int, Any], None]) -> None:
        """Do some work with each that is drawn, and what number it is."""
        turn = count()
        simplest = False

        def on_each(drawn: Any) -> None:
            nonlocal simplest
            if simplest:  # it was drawn before
                simplest = False
            else:
                work(next(turn), drawn)

        for each in (_SETTINGS, *_AT_THE_ENDS):
            simplest = each is not _SETTINGS
            each(given(drawn=self.strategy)(on_each))()


def _looked_at(subject: Subject, drawn: Any) -> Known:
    """Look at something that was drawn just now."""
    known = look_at(replace(subject, factory=Copies(drawn, call_of(drawn))))
    assert known is not None
    return known


def call_of(drawn: object) -> str:
    """Write down the call by which Hypothesis drew something just now."""
    printer = RepresentationPrinter(context=current_build_context())
    printer.pretty(drawn)
    return printer.getvalue()


def check_excuses(expected_failures: Mapping[str, str]) -> None:
    """Check that expected failures name laws and have reasons.

    Raises:
        ValueError: If one does not.
    """
    for name, reason in expected_failures.items():
        if name not in LAWS:
            raise ValueError(f"expected_failures: there is no law {name!r}; there are {[*LAWS]}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures: give the reason why {name!r} is broken")


def _excused(result: Result, excused: Mapping[str, str]) -> Result:
    if result.law not in excused or result.status == "skipped":
        return result
    reason = excused[result.law]
    if isinstance(reason, Inherited) and not result.inherited:
        return result
    if result.status == "failed":
        return replace(result, status="xfailed", reason=reason)
    passed = f"it was expected to fail ({reason}) and passed: take it out of expected_failures"
    return replace(result, status="xpassed", reason=passed)


def name_of(subject: Subject) -> str:
    """Name a subject in a report."""
    if isinstance(subject.factory, SearchStrategy):
        return "a strategy"
    written = source_of(subject.factory)
    if written is not None:
        return written.removeprefix("lambda: ")
    return type(subject.make()).__name__
