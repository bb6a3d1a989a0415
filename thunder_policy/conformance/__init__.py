"""A conformance suite for learning-rate policies and schedulers.

    check_policy(lambda: Warmup(5))

tries every law on it, and names those that it breaks. Needs the extra ``conformance``.
"""

try:
    import hypothesis  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError as _error:
    raise ImportError(
        "thunder_policy.conformance needs Hypothesis: pip install hypothesis"
    ) from _error

from .catalogue import INHERITED_FROM_TORCH, LAW_SETS
from .decorator import parametrize_checks
from .laws import LAWS, Law
from .report import ConformanceError, Result
from .runs import Broken, NotApplicable
from .schedule import SCHEDULE_LAWS, check_schedule
from .state_machine import PolicyMachine
from .subject import Factory, Oracle, Subject
from .suite import Check, check_policy, checks
from .undeclared import UndeclaredNeed

__all__ = [
    "INHERITED_FROM_TORCH",
    "LAWS",
    "LAW_SETS",
    "SCHEDULE_LAWS",
    "Broken",
    "Check",
    "ConformanceError",
    "Factory",
    "Law",
    "NotApplicable",
    "Oracle",
    "PolicyMachine",
    "Result",
    "Subject",
    "UndeclaredNeed",
    "check_policy",
    "check_schedule",
    "checks",
    "parametrize_checks",
]
