"""parametrize_checks: one pytest item a law."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .checks import Check, check_excuses
from .laws import LAWS
from .runs import Broken, NotApplicable
from .subject import Factory, Subject, as_subject

if TYPE_CHECKING:
    import pytest


class _PytestCheck(Check):
    """A check that tells pytest where it says nothing."""

    def __call__(self, subject: Subject | Factory) -> None:
        import pytest

        try:
            super().__call__(subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))


def parametrize_checks(
    subjects: Mapping[str, Subject | Factory],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    strict: bool = True,
) -> pytest.MarkDecorator:
    """Parametrize a test with each law on each subject.

    Args:
        subjects: By name, a `Subject` or what would be its ``factory``.
        expected_failures: By subject, the names of the laws that it breaks, each with the reason.
        strict: Whether a law that was expected to be broken, and is not, fails.

    Returns:
        The mark to put on the test, whose arguments are ``subject`` and ``check``.

    Raises:
        ImportError: Where there is no pytest.
        ValueError: If an expected failure is no subject or no law, or has no reason.

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
        for law in LAWS.values():
            reason = excused.get(name, {}).get(law.name, "")
            # A factory that raises is no broken law.
            mark = pytest.mark.xfail(reason=reason, strict=strict, raises=Broken)
            marks = (mark,) if reason else ()
            check = _PytestCheck(law)
            items.append(pytest.param(subject, check, id=f"{name}-{law.name}", marks=marks))
    return pytest.mark.parametrize(("subject", "check"), items)
