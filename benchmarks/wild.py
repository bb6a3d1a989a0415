"""Schedulers of torch, transformers, timm, pytorch-optimizer and ignite, each as a line of Python.

It needs torch alone until one is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.optim import SGD

EPOCHS = 12
METRICS = (1.0, 0.9, 0.9, 0.9, 0.8, 0.8, 0.85, 0.85, 0.7, 0.7, 0.7, 0.6)

CYCLIC = ("momentum", "base_momentum", "max_momentum")


@dataclass(frozen=True)
class Case:
    """One scheduler.

    Attributes:
        package: Of the distribution, for its version.
        name: Of the scheduler.
        text: An expression that makes it of ``optimizer``.
        imports: The lines before that.
        metrics: Whether its step is told a metric.
        optimizer: An expression for what makes its optimizer, if that is not SGD.
        writes: What it writes besides the lr.
        adapted: Whether it has an interface of its own, and an adapter.
    """

    package: str
    name: str
    text: str
    imports: str
    metrics: bool = False
    optimizer: str | None = None
    writes: tuple[str, ...] = ()

    @property
    def adapted(self) -> bool:
        """Whether it has an interface of its own: nothing can be said of torch's."""
        return "benchmarks.adapters import decay" not in self.imports and (
            "benchmarks.adapters" in self.imports
        )

    def program(self) -> str:
        """Return Python text that defines ``build``."""
        return f"{self.imports}\n\n\ndef build(optimizer):\n    return {self.text}\n"

    def build(self) -> Any:
        """Return what makes it of an optimizer."""
        namespace: dict[str, Any] = {"__name__": f"wild_{self.name}"}
        exec(self.program(), namespace)
        return namespace["build"]

    def make_optimizer(self) -> Callable[[list[dict[str, Any]]], Any]:
        """Return what makes its optimizer of param groups."""
        if self.optimizer is None:
            return partial(SGD, lr=0.1)
        namespace: dict[str, Any] = {}
        exec(self.imports, namespace)
        make: Callable[[list[dict[str, Any]]], Any] = eval(self.optimizer, namespace)
        return make


def of_torch(name: str, arguments: str, **more: Any) -> Case:
    """Return one of torch's."""
    imports = f"from torch.optim.lr_scheduler import {name}"
    if "decay" in arguments:
        imports = f"from benchmarks.adapters import decay\n{imports}"
    return Case("torch", name, f"{name}(optimizer, {arguments})", imports, **more)


def of_transformers(name: str, arguments: str = "") -> Case:
    """Return one of transformers'."""
    text = f"{name}(optimizer{arguments and ', '}{arguments})"
    imports = f"from transformers.optimization import {name}"
    return Case("transformers", name, text, imports)


def of_timm(name: str, arguments: str, **more: Any) -> Case:
    """Return one of timm's."""
    imports = f"from timm.scheduler import {name}\n\nfrom benchmarks.adapters import OfTimm"
    return Case("timm", name, f"OfTimm({name}(optimizer, {arguments}))", imports, **more)


def of_pytorch_optimizer(name: str, arguments: str, adapter: str = "") -> Case:
    """Return one of pytorch-optimizer's."""
    text = f"{name}(optimizer, {arguments})"
    imports = f"from pytorch_optimizer.lr_scheduler import {name}"
    if adapter:
        text = f"{adapter}({text})"
        imports = f"{imports}\n\nfrom benchmarks.adapters import {adapter}"
    return Case("pytorch_optimizer", name, text, imports)


def of_ignite(name: str, text: str, imports: str = "") -> Case:
    """Return one of ignite's."""
    lines = [imports, f"from ignite.handlers import {name}", ""]
    lines.append("from benchmarks.adapters import OfIgnite")
    text = f"OfIgnite({name}({text}), optimizer)"
    return Case("pytorch-ignite", name, text, "\n".join(lines).lstrip())


TORCH = "from torch.optim.lr_scheduler import"

CASES = [
    of_torch("LambdaLR", "decay"),
    of_torch("MultiplicativeLR", "decay"),
    of_torch("StepLR", "step_size=3"),
    of_torch("MultiStepLR", "milestones=[3, 6]"),
    of_torch("ConstantLR", "factor=0.5, total_iters=4"),
    of_torch("LinearLR", "start_factor=0.25, total_iters=5"),
    of_torch("ExponentialLR", "gamma=0.9"),
    of_torch("PolynomialLR", "total_iters=5"),
    of_torch("CosineAnnealingLR", "T_max=8"),
    of_torch("CosineAnnealingWarmRestarts", "T_0=5"),
    of_torch("CyclicLR", "base_lr=0.01, max_lr=0.1, step_size_up=4", writes=CYCLIC),
    of_torch("OneCycleLR", "max_lr=0.1, total_steps=12", writes=(*CYCLIC, "max_lr", "min_lr")),
    of_torch("ReduceLROnPlateau", "patience=1", metrics=True),
    Case(
        "torch",
        "SequentialLR",
        "SequentialLR(optimizer, [LinearLR(optimizer, total_iters=3), "
        "ExponentialLR(optimizer, gamma=0.9)], milestones=[3])",
        f"{TORCH} ExponentialLR, LinearLR, SequentialLR",
    ),
    Case(
        "torch",
        "ChainedScheduler",
        "ChainedScheduler([LinearLR(optimizer), ExponentialLR(optimizer, gamma=0.9)])",
        f"{TORCH} ChainedScheduler, ExponentialLR, LinearLR",
    ),
    of_transformers("get_constant_schedule"),
    of_transformers("get_constant_schedule_with_warmup", "3"),
    of_transformers("get_linear_schedule_with_warmup", "3, 12"),
    of_transformers("get_cosine_schedule_with_warmup", "3, 12"),
    of_transformers("get_cosine_with_hard_restarts_schedule_with_warmup", "3, 12, 2"),
    of_transformers("get_polynomial_decay_schedule_with_warmup", "3, 12"),
    of_transformers("get_inverse_sqrt_schedule", "3"),
    of_transformers("get_cosine_with_min_lr_schedule_with_warmup", "3, 12, min_lr=0.01"),
    of_transformers("get_cosine_with_min_lr_schedule_with_warmup_lr_rate", "3, 12, min_lr=0.01"),
    of_transformers("get_wsd_schedule", "3, 3, 12"),
    Case(
        "transformers",
        "AdafactorSchedule",
        "AdafactorSchedule(optimizer, initial_lr=0.1)",
        "from transformers.optimization import Adafactor, AdafactorSchedule",
        optimizer="Adafactor",
    ),
    Case(
        "transformers",
        "GreedyLR",
        "Adapter(GreedyLR(optimizer, patience=1))",
        "from transformers.optimization import GreedyLR\n\nfrom benchmarks.adapters import Adapter",
        metrics=True,
    ),
    of_timm("CosineLRScheduler", "t_initial=12, warmup_t=3"),
    of_timm("MultiStepLRScheduler", "decay_t=[3, 6], decay_rate=0.1"),
    of_timm("PlateauLRScheduler", "patience_t=1, mode='min'", metrics=True),
    of_timm("PolyLRScheduler", "t_initial=12"),
    of_timm("StepLRScheduler", "decay_t=3, decay_rate=0.1"),
    of_timm("TanhLRScheduler", "t_initial=12"),
    of_timm("WSDLRScheduler", "t_initial=12, decay_t=3, warmup_t=3"),
    of_pytorch_optimizer(
        "CosineAnnealingWarmupRestarts", "first_cycle_steps=6, max_lr=0.1, warmup_steps=2"
    ),
    of_pytorch_optimizer("REXScheduler", "total_steps=12, max_lr=0.1"),
    of_pytorch_optimizer("get_chebyshev_schedule", "num_epochs=16"),
    of_pytorch_optimizer("get_wsd_schedule", "3, 3, 3"),
    of_pytorch_optimizer("LinearScheduler", "t_max=12, max_lr=0.1, warmup_steps=3", "Stateless"),
    of_pytorch_optimizer("CosineScheduler", "t_max=12, max_lr=0.1, warmup_steps=3", "Stateless"),
    of_pytorch_optimizer("PolyScheduler", "t_max=12, max_lr=0.1, warmup_steps=3", "Stateless"),
    of_ignite("LinearCyclicalScheduler", "optimizer, 'lr', 0.1, 0.01, 6"),
    of_ignite("CosineAnnealingScheduler", "optimizer, 'lr', 0.1, 0.01, 6"),
    of_ignite("PiecewiseLinear", "optimizer, 'lr', [(2, 0.5), (6, 0.4), (9, 0.1)]"),
    of_ignite("LRScheduler", "StepLR(optimizer, 3)", f"{TORCH} StepLR"),
    of_ignite(
        "create_lr_scheduler_with_warmup",
        "ExponentialLR(optimizer, 0.9), 0.01, 3",
        f"{TORCH} ExponentialLR",
    ),
]
