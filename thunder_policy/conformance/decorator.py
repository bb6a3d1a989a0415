"""parametrize_checks: one pytest item a law."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .catalogue import Inherited, laws_of
from .laws import LAWS
from .runs import Broken, NotApplicable
from .subject import Factory, Subject, as_subject
from .suite import Check, check_excuses

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, repr=False)
class PytestCheck(Check):
    """A check that tells pytest where it says nothing, and what is inherited from torch."""

    inherited: Inherited | None = None

    def __call__(self, subject: Subject | Factory) -> None:
        """Try the law."""
        import pytest

        try:
            super().__call__(subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))
        except Broken as error:
            if self.inherited is None or not self.inherited.seen.search(error.reason):
                raise
            pytest.xfail(str(self.inherited))  # xdist sends it to another process


def expecting(law: str, reason: str, strict: bool) -> tuple[PytestCheck, list[Any]]:
    """Return the check of a law that may be expected to be broken, and the marks of its item."""
    import pytest

    if isinstance(reason, Inherited):
        return PytestCheck(LAWS[law], reason), []
    # A factory that raises is no broken law.
    mark = pytest.mark.xfail(reason=reason, strict=strict, raises=Broken)
    return PytestCheck(LAWS[law]), [mark] if reason else []


def parametrize_checks(
    subjects: Mapping[str, Subject | Factory],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    strict: bool = True,
    laws: str | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test with each law on each subject.

    Args:
        subjects: By name, a `Subject` or what would be its ``factory``.
        expected_failures: By subject, the names of the laws that it breaks, each with the reason;
            or `INHERITED_FROM_TORCH`.
        strict: Whether a law that was expected to be broken, and is not, fails.
        laws: The set of laws, one of `LAW_SETS`; by default the newest.

    Returns:
        The mark to put on the test, whose arguments are ``subject`` and ``check``.

    Raises:
        ImportError: Where there is no pytest.
        ValueError: If an expected failure is no subject or no law, or has no reason; or there is
            no such set.

    Example:
        >>> import threading
        >>> from thunder_policy import Switch
        >>> class Locked(Switch):
        ...     def __init__(self):
        ...         super().__init__({0: 0.5, 3: 0.1})
        ...         self.lock = threading.Lock()
        ...     def state_dict(self):
        ...         return self.prepare_state_dict("lock")
        >>> reasons = {"deepcopy": "holds a lock", "pickle": "holds a lock"}
        >>> @parametrize_checks(
        ...     {"switch": lambda: Switch({0: 0.5, 3: 0.1}), "locked": Locked},
        ...     expected_failures={"locked": reasons},
        ... )
        ... def test_conformance(subject, check):
        ...     check(subject)
    """
    try:
        import pytest
    except ImportError as error:
        raise ImportError("parametrize_checks needs pytest: pip install pytest") from error
    excused = expected_failures or {}
    for name in excused:
        if name not in subjects:
            raise ValueError(f"expected_failures: there is no subject {name!r} in {[*subjects]}")
        check_excuses(excused[name])
    items = []
    for name, given in subjects.items():
        subject = as_subject(given)
        for law in laws_of(laws, LAWS):
            check, marks = expecting(law, excused.get(name, {}).get(law, ""), strict)
            items.append(pytest.param(subject, check, id=f"{name}-{law}", marks=marks))
    return pytest.mark.parametrize(("subject", "check"), items)
