"""Learning-rate policies for PyTorch: values first, schedulers once bound to an optimizer."""

from .aliases import EpochMapping, InitialLR, ScheduleFn
from .configs import parse, safe_globals
from .mapping import MappingPolicy, Multiply, Scale, Schedule, Switch
from .plateau import Plateau
from .policy import Policy, UnboundPolicyError
from .simulate import plot, simulate

__version__ = "0.2.0"

__all__ = [
    "EpochMapping",
    "InitialLR",
    "MappingPolicy",
    "Multiply",
    "Plateau",
    "Policy",
    "Scale",
    "Schedule",
    "ScheduleFn",
    "Switch",
    "UnboundPolicyError",
    "parse",
    "plot",
    "safe_globals",
    "simulate",
]
