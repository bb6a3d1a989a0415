# Stubs of torch.optim.lr_scheduler, torch 2.13.
#
# A method that a subclass inherits unchanged is written once, in LRScheduler. Parameters that torch
# declares as a list, and reads as a list or tuple, are a Sequence here: a list is invariant, and a
# variable of type list[int] or list[StepLR] is a correct argument.

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, SupportsFloat, TypeAlias, TypedDict, TypeVar

from torch import Tensor
from torch.optim.optimizer import Optimizer
from typing_extensions import Self

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_T = TypeVar("_T")
_Factors: TypeAlias = Callable[[int], float] | Sequence[Callable[[int], float]]
_LrPerGroup: TypeAlias = float | Tensor | Sequence[float | Tensor]
_FloatPerGroup: TypeAlias = float | Sequence[float]
_CyclicMode: TypeAlias = Literal["triangular", "triangular2", "exp_range"]
_ScaleMode: TypeAlias = Literal["cycle", "iterations"]
_AnnealStrategy: TypeAlias = Literal["cos", "linear"]
_PlateauMode: TypeAlias = Literal["min", "max"]
_ThresholdMode: TypeAlias = Literal["rel", "abs"]

EPOCH_DEPRECATION_WARNING: Final[str]

def _format_param(
    name: str, optimizer: Optimizer, param: _T | list[_T] | tuple[_T, ...]
) -> list[_T]: ...
def _param_groups_val_list(optimizer: Optimizer, key: str) -> list[Any]: ...
def _update_param_group_val(param_group: dict[str, Any], key: str, val: float | Tensor) -> None: ...
def _warn_get_lr_called_within_step(lr_scheduler: LRScheduler) -> None: ...

class LRScheduler:
    optimizer: Optimizer
    base_lrs: list[float | Tensor]
    last_epoch: int
    _step_count: int
    _last_lr: list[float | Tensor]
    _get_lr_called_within_step: bool
    _is_initial: bool
    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None: ...
    def _initial_step(self) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...
    def get_last_lr(self) -> list[float | Tensor]: ...
    # torch declares a list, and reads the values once, in order. With a list no subclass could
    # return list[float].
    def get_lr(self) -> Sequence[float | Tensor]: ...
    def step(self, epoch: int | None = None) -> None: ...
    def _update_lr(self, epoch: int | None = None) -> None: ...

class _LRScheduler(LRScheduler): ...

class _enable_get_lr_call:
    o: LRScheduler
    def __init__(self, o: LRScheduler) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

class _initial_mode:
    o: LRScheduler
    def __init__(self, o: LRScheduler) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

class LambdaLR(LRScheduler):
    lr_lambdas: list[Callable[[int], float]]
    def __init__(self, optimizer: Optimizer, lr_lambda: _Factors, last_epoch: int = -1) -> None: ...

class MultiplicativeLR(LRScheduler):
    lr_lambdas: list[Callable[[int], float]]
    def __init__(self, optimizer: Optimizer, lr_lambda: _Factors, last_epoch: int = -1) -> None: ...

class StepLR(LRScheduler):
    step_size: int
    gamma: float
    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class MultiStepLR(LRScheduler):
    milestones: Counter[int]
    gamma: float
    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class ConstantLR(LRScheduler):
    factor: float
    total_iters: int
    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.3333333333333333,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class LinearLR(LRScheduler):
    start_factor: float
    end_factor: float
    total_iters: int
    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 0.3333333333333333,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class ExponentialLR(LRScheduler):
    gamma: float
    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class SequentialLR(LRScheduler):
    _schedulers: Sequence[LRScheduler]
    _milestones: Sequence[int]
    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None: ...
    def recursive_undo(self, sched: LRScheduler | None = None) -> None: ...
    def step(self) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]

class PolynomialLR(LRScheduler):
    total_iters: int
    power: float
    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class CosineAnnealingLR(LRScheduler):
    T_max: int
    eta_min: float
    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None: ...
    def _get_closed_form_lr(self) -> Sequence[float | Tensor]: ...

class ChainedScheduler(LRScheduler):
    _schedulers: Sequence[LRScheduler]
    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None: ...
    def step(self) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]

class ReduceLROnPlateau(LRScheduler):
    factor: float
    default_min_lr: float | None
    min_lrs: list[float]
    patience: int
    cooldown: int
    cooldown_counter: int
    eps: float
    best: float
    num_bad_epochs: int
    mode: _PlateauMode
    mode_worse: float
    threshold: float
    threshold_mode: _ThresholdMode
    def __init__(
        self,
        optimizer: Optimizer,
        mode: _PlateauMode = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 0.0001,
        threshold_mode: _ThresholdMode = "rel",
        cooldown: int = 0,
        min_lr: _FloatPerGroup = 0,
        eps: float = 1e-08,
    ) -> None: ...
    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
    @property
    def in_cooldown(self) -> bool: ...
    def _reset(self) -> None: ...
    def _reduce_lr(self, epoch: int) -> None: ...
    def _is_better(self, a: float, best: float) -> bool: ...
    def _init_is_better(
        self, mode: _PlateauMode, threshold: float, threshold_mode: _ThresholdMode
    ) -> None: ...

class CyclicLR(LRScheduler):
    max_lrs: list[float | Tensor]
    total_size: float
    step_ratio: float
    mode: _CyclicMode
    gamma: float
    scale_mode: _ScaleMode
    cycle_momentum: bool
    # The three below exist only with cycle_momentum.
    use_beta1: bool
    base_momentums: list[float]
    max_momentums: list[float]
    _scale_fn_ref: Callable[[float], float]
    _scale_fn_custom: Callable[[float], float] | None
    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: _LrPerGroup,
        max_lr: _LrPerGroup,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: _CyclicMode = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: _ScaleMode = "cycle",
        cycle_momentum: bool = True,
        base_momentum: _FloatPerGroup = 0.8,
        max_momentum: _FloatPerGroup = 0.9,
        last_epoch: int = -1,
    ) -> None: ...
    def scale_fn(self, x: float) -> float: ...
    def _init_scale_fn(self) -> None: ...
    @staticmethod
    def _triangular_scale_fn(x: float) -> float: ...
    @staticmethod
    def _triangular2_scale_fn(x: float) -> float: ...
    @staticmethod
    def _exp_range_scale_fn(gamma: float, x: float) -> float: ...

class CosineAnnealingWarmRestarts(LRScheduler):
    T_0: int
    T_i: int
    T_mult: int
    T_cur: float
    eta_min: float
    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None: ...
    # A fraction of an epoch is meant: torch's own example steps to epoch + i / iters.
    def step(self, epoch: float | None = None) -> None: ...

class _SchedulePhase(TypedDict):
    end_step: float
    start_lr: str
    end_lr: str
    start_momentum: str
    end_momentum: str

class OneCycleLR(LRScheduler):
    total_steps: int
    cycle_momentum: bool
    use_beta1: bool  # exists only with cycle_momentum
    _schedule_phases: list[_SchedulePhase]
    _anneal_func_type: _AnnealStrategy
    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: _LrPerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: _AnnealStrategy = "cos",
        cycle_momentum: bool = True,
        base_momentum: _FloatPerGroup = 0.85,
        max_momentum: _FloatPerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 10000.0,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None: ...
    def _anneal_func(self, start: float, end: float, pct: float) -> float: ...
    @staticmethod
    def _annealing_cos(start: float, end: float, pct: float) -> float: ...
    @staticmethod
    def _annealing_linear(start: float, end: float, pct: float) -> float: ...
