"""check_policy: every law, on one subject; and one law, for whoever runs them one by one."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.control import current_build_context
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy
from hypothesis.vendor.pretty import RepresentationPrinter

from ..messages import said
from ..policy import Policy
from .catalogue import INHERITED_FROM_TORCH, Inherited, laws_of
from .ends import ENDS
from .isolation import isolated
from .laws import LAWS, Case, Law
from .needs import check_needs
from .report import ConformanceError, Result
from .reproduce import reproduction, source_of
from .runs import Broken, NotApplicable, skip
from .subject import Copies, Factory, Subject, as_subject, check_fresh

# A report is the same each time, and no example database is written.
_SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=6,
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
    roots = [examine(law, subject, known) for law in LAWS.values() if law.root]
    failed = [result.law for result in roots if result.status == "failed"]
    done = {result.law: result for result in roots}
    results = []
    for name in names:
        law = LAWS[name]
        if name in done:
            result = done[name]
        elif failed:
            result = Result(name, "skipped", f"nothing can be said before {failed[0]} holds")
        else:
            result = examine(law, subject, known)
        results.append(_excused(result, excused))
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
            for root in LAWS.values():
                if root.root and examine(root, subject, known).status == "failed":
                    skip(f"nothing can be said before {root.name} holds")
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
    with isolated(subject.factory):
        check_fresh(subject.make)
        late = isinstance(subject.make(), Policy)
        given = {
            "make": subject.factory,
            "exact": subject.exact(),
            "expected": subject.expected,
            "negative": subject.negative,
            "late_groups": subject.late_groups,
        }
        return Known(late, given, subject.layouts(), subject.epochs)


def examine(law: Law, subject: Subject, known: Known | None = None) -> Result:
    """Try one law on one subject, which somebody may have looked at already."""
    try:
        with subject.assumed():
            if isinstance(subject.factory, SearchStrategy):
                _drawn(law, subject, subject.factory)
            else:
                _tried(law, known or look_at(subject))
    except NotApplicable as reason:
        return Result(law.name, "skipped", str(reason))
    except Broken as error:
        inherited = _is_inherited(law, subject, error)
        return Result(law.name, "failed", error.reason, error, error.reproduction, inherited)
    return Result(law.name, "passed")


def _is_inherited(law: Law, subject: Subject, error: Broken) -> bool:
    """Tell whether it is torch's base class that breaks a law, in the way that it does."""
    known = INHERITED_FROM_TORCH.get(law.name)
    if known is None or isinstance(subject.factory, SearchStrategy):
        return False
    with isolated(subject.factory):
        on_ours = isinstance(subject.make(), Policy)
    return not on_ours and known.seen.search(error.reason) is not None


def _tried(law: Law, known: Known | None) -> None:
    """Try a law in each of its cases; a small one comes first, so the first broken one is shown."""
    assert known is not None
    if law.late and not known.late:
        skip("it has its optimizer from the start: this is about binding late")
    skipped = list[NotApplicable]()
    tried = 0
    for arguments in law.cases(known.given, known.layouts, known.epochs):
        outcome = _one(law, arguments)
        if isinstance(outcome, Broken):
            raise _smallest(law, arguments, outcome) from outcome.__cause__
        if outcome is not None:
            skipped.append(outcome)
        tried += outcome is None
    if not tried:
        raise skipped[0]


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


def _smallest(law: Law, arguments: Case, error: Broken) -> Broken:
    """Return the error of the shortest run that breaks a law, with its reproduction."""
    least = max(arguments.get(name, 1) for name in ("epoch", "at"))
    for epochs in range(least, arguments.get("epochs", 0)):
        smaller = {**arguments, "epochs": epochs}
        if isinstance(outcome := _one(law, smaller), Broken):
            error, arguments = outcome, smaller
            break
    error.reproduction = reproduction(law.sentence, law.function, arguments)
    return error


def _drawn(law: Law, subject: Subject, strategy: SearchStrategy[Any]) -> None:
    """Try a law on what a strategy draws; Hypothesis looks for the smallest that breaks it."""
    reasons, tried, broken = list[NotApplicable](), list[bool](), list[Broken]()

    def on_each(drawn: Any) -> None:
        try:
            _tried(law, look_at(replace(subject, factory=Copies(drawn, call_of(drawn)))))
            tried.append(True)
        except NotApplicable as reason:
            reasons.append(reason)
        except Broken as error:
            broken.append(error)
            raise

    with isolated(None):
        try:
            for each in (_SETTINGS, *_AT_THE_ENDS):
                each(given(drawn=strategy)(on_each))()
        except Flaky:
            if not broken:
                raise  # it is the strategy that draws something else each time
            # What is broken once and not again: that it was, says more.
            raise broken[-1] from broken[-1].__cause__
    if not tried:
        raise reasons[0]


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
