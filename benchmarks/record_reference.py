"""Record the trajectories of transformers', optax's and timm's schedules for reference.json.

None of these is a dependency of the package or of its tests, so this is run by hand, in an
environment of its own:

    pip install torch transformers optax timm
    python benchmarks/record_reference.py tests/data/reference.json
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax  # type: ignore[import-not-found]
import optax  # type: ignore[import-not-found]
import torch
from timm.scheduler import CosineLRScheduler  # type: ignore[import-not-found]
from transformers import get_scheduler

LR = 0.1
EPOCHS = 48

TRANSFORMERS: list[tuple[str, int, int, dict[str, Any]]] = [
    # name, num_warmup_steps, num_training_steps, scheduler_specific_kwargs
    ("constant", 0, 40, {}),
    ("constant_with_warmup", 8, 40, {}),
    ("constant_with_warmup", 0, 40, {}),
    ("linear", 8, 40, {}),
    ("linear", 0, 40, {}),
    ("cosine", 8, 40, {}),
    ("cosine", 0, 37, {}),
    ("cosine_with_min_lr", 8, 40, {"min_lr": 0.01}),
    ("cosine_with_restarts", 8, 40, {"num_cycles": 1}),
    ("cosine_with_restarts", 8, 40, {"num_cycles": 4}),
    ("polynomial", 8, 40, {"lr_end": 1e-3, "power": 2.0}),
    ("polynomial", 0, 40, {"lr_end": 1e-7, "power": 0.5}),
    ("inverse_sqrt", 8, 40, {}),
    ("inverse_sqrt", 8, 40, {"timescale": 20}),
    ("inverse_sqrt", 0, 40, {}),
    ("warmup_stable_decay", 8, 40, {"num_decay_steps": 12}),
    ("warmup_stable_decay", 8, 40, {"num_decay_steps": 12, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 8, 40, {"num_decay_steps": 12, "decay_type": "linear"}),
    (
        "warmup_stable_decay",
        8,
        40,
        {"num_decay_steps": 12, "decay_type": "1-sqrt", "min_lr_ratio": 0.1},
    ),
    ("warmup_stable_decay", 0, 40, {"num_decay_steps": 40}),
]

OPTAX: list[tuple[str, dict[str, Any]]] = [
    ("linear_schedule", {"init_value": 0.1, "end_value": 0.0, "transition_steps": 30}),
    (
        "linear_schedule",
        {
            "init_value": 0.01,
            "end_value": 0.1,
            "transition_steps": 30,
            "transition_begin": 7,
        },
    ),
    (
        "polynomial_schedule",
        {"init_value": 0.1, "end_value": 0.01, "power": 2.5, "transition_steps": 30},
    ),
    (
        "exponential_decay",
        {"init_value": 0.1, "transition_steps": 7, "decay_rate": 0.5},
    ),
    (
        "exponential_decay",
        {"init_value": 0.1, "transition_steps": 7, "decay_rate": 0.5, "staircase": True},
    ),
    ("cosine_decay_schedule", {"init_value": 0.1, "decay_steps": 30}),
    ("cosine_decay_schedule", {"init_value": 0.1, "decay_steps": 30, "alpha": 0.05}),
    (
        "warmup_cosine_decay_schedule",
        {
            "init_value": 0.0,
            "peak_value": 0.1,
            "warmup_steps": 8,
            "decay_steps": 40,
            "end_value": 1e-3,
        },
    ),
    (
        "warmup_cosine_decay_schedule",
        {"init_value": 0.02, "peak_value": 0.1, "warmup_steps": 5, "decay_steps": 30},
    ),
    (
        "piecewise_interpolate_schedule",
        {
            "interpolate_type": "linear",
            "init_value": 0.1,
            "boundaries_and_scales": {"5": 4.0, "20": 0.1, "35": 0.5},
        },
    ),
    (
        "piecewise_interpolate_schedule",
        {
            "interpolate_type": "cosine",
            "init_value": 0.1,
            "boundaries_and_scales": {"5": 4.0, "20": 0.1},
        },
    ),
    (
        "linear_onecycle_schedule",
        {"transition_steps": 40, "peak_value": 0.1, "pct_final": 0.6},
    ),
    ("cosine_onecycle_schedule", {"transition_steps": 40, "peak_value": 0.1}),
]


TIMM: list[dict[str, Any]] = [  # of CosineLRScheduler
    {"t_initial": 10, "cycle_limit": 5, "cycle_decay": 0.5},
    {"t_initial": 7, "cycle_limit": 3, "cycle_decay": 0.8, "lr_min": 0.01},
    {"t_initial": 3, "cycle_limit": 3, "cycle_mul": 2, "cycle_decay": 0.5, "lr_min": 1e-3},
    {"t_initial": 40, "warmup_t": 5, "warmup_lr_init": 1e-3, "warmup_prefix": True},
]


def transformers_lrs(name: str, warmup: int, training: int, kwargs: dict[str, Any]) -> list[float]:
    """Step an optimizer under a scheduler of transformers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = get_scheduler(name, optimizer, warmup, training, scheduler_specific_kwargs=kwargs)
    lrs = []
    for _ in range(EPOCHS):
        lrs += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    return lrs


def optax_lrs(name: str, kwargs: dict[str, Any]) -> list[float]:
    """Call a schedule of optax, whose boundaries JSON has as strings."""
    if boundaries := kwargs.get("boundaries_and_scales"):
        kwargs = {**kwargs, "boundaries_and_scales": {int(k): v for k, v in boundaries.items()}}
    schedule = getattr(optax, name)(**kwargs)
    return [float(schedule(t)) for t in range(EPOCHS)]


def joined_lrs() -> list[float]:
    """Call three schedules of optax that follow each other."""
    parts = [
        optax.linear_schedule(0.0, 0.1, 10),
        optax.constant_schedule(0.1),
        optax.exponential_decay(0.1, 1, 0.9),
    ]
    schedule = optax.join_schedules(parts, [10, 25])
    return [float(schedule(t)) for t in range(EPOCHS)]


def timm_lrs(kwargs: dict[str, Any]) -> list[float]:
    """Have a scheduler of timm set the lr of each epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = CosineLRScheduler(optimizer, **kwargs)
    lrs = []
    for epoch in range(EPOCHS):
        scheduler.step(epoch)
        lrs.append(float(optimizer.param_groups[0]["lr"]))
    return lrs


def main() -> None:
    """Write every trajectory and the versions of what made it."""
    jax.config.update("jax_enable_x64", True)
    cases: list[dict[str, Any]] = [
        {
            "name": name,
            "arguments": {**kwargs, "num_warmup_steps": warmup, "num_training_steps": training},
            "lrs": transformers_lrs(name, warmup, training, kwargs),
        }
        for name, warmup, training, kwargs in TRANSFORMERS
    ]
    cases += [
        {"name": name, "arguments": kwargs, "lrs": optax_lrs(name, kwargs)}
        for name, kwargs in OPTAX
    ]
    cases.append({"name": "join_schedules", "arguments": {}, "lrs": joined_lrs()})
    cases += [
        {"name": "CosineLRScheduler", "arguments": kwargs, "lrs": timm_lrs(kwargs)}
        for kwargs in TIMM
    ]
    packages = ("transformers", "optax", "timm", "torch")
    versions = {package: version(package) for package in packages}
    head = {
        "command": "python benchmarks/record_reference.py tests/data/reference.json",
        "versions": versions,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    text = json.dumps(head)[:-1] + f', "cases": [\n{lines}\n]}}\n'
    Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
