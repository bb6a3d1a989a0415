"""Learning-rate policies for PyTorch: values first, schedulers once bound to an optimizer."""

from .mapping import EpochMapping, InitialLR, MappingPolicy, Multiply, Schedule, Switch
from .policy import Policy, ScheduleFn
from .simulate import plot, simulate
from .stepping import UnboundPolicyError

__version__ = "0.1.0"

__all__ = [
    "EpochMapping",
    "InitialLR",
    "MappingPolicy",
    "Multiply",
    "Policy",
    "Schedule",
    "ScheduleFn",
    "Switch",
    "UnboundPolicyError",
    "plot",
    "simulate",
]
