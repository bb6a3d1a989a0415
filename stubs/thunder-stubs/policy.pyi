# Stubs of thunder.policy, the module of the package that thunder_policy re-implements, with what
# thunder_policy has beside it: Scale, option, on_load and last_epoch.
#
# `set_optimizer` has no last_epoch here: subclasses written for the original override it without.
# `current_mapping` and `current_lr_init` are None until the policy is bound. They are declared as
# they are in get_lr, where code reads them, as torch does with `optimizer`.

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat, TypeAlias

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer
from typing_extensions import Self

_EpochMapping: TypeAlias = Mapping[int, SupportsFloat]
_ScheduleFn: TypeAlias = Callable[[int], SupportsFloat]
_EpochMappings: TypeAlias = _EpochMapping | Sequence[_EpochMapping]
_ScheduleFns: TypeAlias = _ScheduleFn | Sequence[_ScheduleFn | None]
_LrInit: TypeAlias = SupportsFloat | Sequence[SupportsFloat] | None

class Policy(LRScheduler, metaclass=ABCMeta):
    option: str
    def __init__(self, *, option: str = "lr") -> None: ...
    def __call__(self, optimizer: Optimizer, last_epoch: int = -1) -> Self: ...
    def set_optimizer(self, optimizer: Optimizer) -> None: ...
    @abstractmethod
    def get_lr(self) -> Sequence[float | Tensor]: ...
    def prepare_state_dict(self, *keys: str) -> dict[str, Any]: ...

class MappingPolicy(Policy, metaclass=ABCMeta):
    # A mapping or a callable, as the subclass has it.
    mapping: Any
    current_mapping: Any
    lr_init: float | list[float] | None
    current_lr_init: list[float]
    on_load: str
    def __init__(
        self,
        mapping: _EpochMappings | _ScheduleFns,
        lr_init: _LrInit = 1e-3,
        *,
        option: str = "lr",
        on_load: str = "restore",
    ) -> None: ...

class Multiply(MappingPolicy):
    mapping: dict[int, float] | list[dict[int, float]]
    current_mapping: list[dict[int, float]]
    def __init__(
        self,
        mapping: _EpochMappings,
        lr_init: _LrInit = 1e-3,
        *,
        option: str = "lr",
        on_load: str = "restore",
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class Scale(MappingPolicy):
    mapping: Callable[[int], float] | list[Callable[[int], float] | None]
    current_mapping: list[Callable[[int], float] | None]
    def __init__(
        self,
        mapping: _ScheduleFns,
        lr_init: _LrInit = None,
        *,
        option: str = "lr",
        on_load: str = "restore",
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class Schedule(MappingPolicy):
    mapping: Callable[[int], float] | list[Callable[[int], float] | None]
    current_mapping: list[Callable[[int], float] | None]
    def __init__(
        self,
        mapping: _ScheduleFns,
        lr_init: _LrInit = 1e-3,
        *,
        option: str = "lr",
        on_load: str = "restore",
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class Switch(MappingPolicy):
    mapping: dict[int, float] | list[dict[int, float]]
    current_mapping: list[dict[int, float]]
    def __init__(
        self,
        mapping: _EpochMappings,
        lr_init: _LrInit = 1e-3,
        *,
        option: str = "lr",
        on_load: str = "restore",
    ) -> None: ...
    def get_lr(self) -> list[float]: ...
