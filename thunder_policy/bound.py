"""The policies with the optimizer first, bound where they are made, as torch's schedulers are.

For whoever takes a class and its arguments, and adds an optimizer: LightningCLI, Hydra's
``_partial_``, MONAI's bundles, skorch. The names are those of the plain classes, which they are
subclasses of: states go both ways, and a copy is plain and not bound.

    >>> from torch import nn, optim
    >>> from thunder_policy import bound
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> scheduler = bound.Switch(optimizer, {0: 0.5, 30: 0.05})
    >>> scheduler.get_last_lr()
    [0.5]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch.optim import Optimizer

from . import mapping as plain
from .aliases import EpochMapping, InitialLR, Integer, ScheduleFn
from .checks import short
from .mapping import DEFAULT_LR_INIT, MappingPolicy, OnLoad

__all__ = ["Multiply", "Scale", "Schedule", "Switch"]

AnyBound = TypeVar("AnyBound", bound="_OptimizerFirst")


class _OptimizerFirst(MappingPolicy[Any]):
    """What the classes here share: they are made with an optimizer, and copied without."""

    def __new__(cls: type[AnyBound], *args: Any, **kwargs: Any) -> AnyBound:
        if args and not isinstance(args[0], Optimizer):
            raise TypeError(
                f"bound.{cls.__name__} takes the optimizer first, and not {short(args[0])}: write "
                f"bound.{cls.__name__}(optimizer, ...)"
            )
        return object.__new__(cls)

    @classmethod
    def by_name(cls: type[AnyBound], mapping: Any, *args: Any, **kwargs: Any) -> AnyBound:
        """Refuse it: a policy by name is bound by a call."""
        name = cls.__name__
        raise TypeError(f"bound.{name} has no by_name: write {name}.by_name({{...}})(optimizer)")

    def __copy__(self: AnyBound) -> AnyBound:
        """Return an unbound policy of the same value, of the plain class."""
        new = super().__copy__()
        if type(self) in _PLAIN:  # a subclass of somebody else's has no other class
            object.__setattr__(new, "__class__", _PLAIN[type(self)])
        return new


class Switch(_OptimizerFirst, plain.Switch):
    """A `thunder_policy.Switch` that is bound to an optimizer.

    Args:
        optimizer: What it is bound to.
        mapping, lr_init, option, on_load: As there.
        last_epoch: The last epoch that was trained, -1 if none was.

    Raises:
        TypeError, ValueError: As there, and as binding does.

    Example:
        >>> from torch import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
        >>> Switch(optimizer, {0: 0.1, 30: 0.01}, last_epoch=44).get_last_lr()
        [0.01]
    """

    _policy = "Switch"

    def __init__(
        self,
        optimizer: Optimizer,
        mapping: EpochMapping | Sequence[EpochMapping],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        last_epoch: Integer = -1,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        plain.Switch.__init__(self, mapping, lr_init, option=option, on_load=on_load)
        self(optimizer, last_epoch)


class Multiply(_OptimizerFirst, plain.Multiply):
    """A `thunder_policy.Multiply` that is bound to an optimizer.

    Args:
        optimizer: What it is bound to.
        mapping, lr_init, option, on_load: As there.
        last_epoch: The last epoch that was trained, -1 if none was.

    Raises:
        TypeError, ValueError: As there, and as binding does.

    Example:
        >>> from torch import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
        >>> Multiply(optimizer, {30: 0.5, 60: 0.5}, lr_init=None, last_epoch=59).get_last_lr()
        [0.125]
    """

    _policy = "Multiply"

    def __init__(
        self,
        optimizer: Optimizer,
        mapping: EpochMapping | Sequence[EpochMapping],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        last_epoch: Integer = -1,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        plain.Multiply.__init__(self, mapping, lr_init, option=option, on_load=on_load)
        self(optimizer, last_epoch)


class Schedule(_OptimizerFirst, plain.Schedule):
    """A `thunder_policy.Schedule` that is bound to an optimizer.

    Args:
        optimizer: What it is bound to.
        mapping, lr_init, option, on_load: As there.
        last_epoch: The last epoch that was trained, -1 if none was.

    Raises:
        TypeError, ValueError: As there, and as binding does.

    Example:
        >>> from torch import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
        >>> Schedule(optimizer, lambda epoch: 0.1 / (1 + epoch)).get_last_lr()
        [0.1]
    """

    _policy = "Schedule"

    def __init__(
        self,
        optimizer: Optimizer,
        mapping: ScheduleFn | Sequence[ScheduleFn | None],
        lr_init: InitialLR = DEFAULT_LR_INIT,
        *,
        last_epoch: Integer = -1,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        plain.Schedule.__init__(self, mapping, lr_init, option=option, on_load=on_load)
        self(optimizer, last_epoch)


class Scale(_OptimizerFirst, plain.Scale):
    """A `thunder_policy.Scale` that is bound to an optimizer: ``LambdaLR`` with its arguments.

    Args:
        optimizer: What it is bound to.
        mapping, lr_init, option, on_load: As there.
        last_epoch: The last epoch that was trained, -1 if none was.

    Raises:
        TypeError, ValueError: As there, and as binding does.

    Example:
        >>> from torch import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
        >>> Scale(optimizer, lambda epoch: 0.5**epoch, last_epoch=0).get_last_lr()
        [0.25]
    """

    _policy = "Scale"

    def __init__(
        self,
        optimizer: Optimizer,
        mapping: ScheduleFn | Sequence[ScheduleFn | None],
        lr_init: InitialLR = None,
        *,
        last_epoch: Integer = -1,
        option: str = "lr",
        on_load: OnLoad = "restore",
    ) -> None:
        plain.Scale.__init__(self, mapping, lr_init, option=option, on_load=on_load)
        self(optimizer, last_epoch)


_PLAIN: dict[type, type] = {
    cls: getattr(plain, cls.__name__) for cls in (Switch, Multiply, Schedule, Scale)
}
