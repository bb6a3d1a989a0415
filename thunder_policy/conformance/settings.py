"""What is set for the whole process: how each is asked for, and put back."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

import gc
import locale
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch

Ask = Callable[[], Any]
Put = Callable[[Any], object]

_CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")


def _default_device() -> torch.device | None:
    # torch.get_default_device says that it is the CPU where none was set, and to set that is more:
    # torch.as_tensor then copies to it what is on a GPU.
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _cudnn() -> list[bool]:
    return [getattr(torch.backends.cudnn, name) for name in _CUDNN]


def _put_cudnn(values: list[bool]) -> None:
    for name, value in zip(_CUDNN, values):
        setattr(torch.backends.cudnn, name, value)


def _put_environment(before: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _put_search_path(before: list[str]) -> None:
    sys.path[:] = before


def _logging() -> tuple[int, list[logging.Handler]]:
    return logging.root.level, [*logging.root.handlers]


def _put_logging(before: tuple[int, list[logging.Handler]]) -> None:
    logging.root.setLevel(before[0])
    logging.root.handlers[:] = before[1]


def _numpy() -> Any:
    return sys.modules.get("numpy")  # it need not be there


SETTINGS: dict[str, tuple[Ask, Put]] = {
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (_default_device, torch.set_default_device),
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "the precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch's debug mode of what is deterministic": (
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    "torch.backends.cudnn": (_cudnn, _put_cudnn),
    "NumPy's handling of errors": (
        lambda: _numpy() and _numpy().geterr(),
        lambda before: before and _numpy().seterr(**before),
    ),
    "NumPy's print options": (
        lambda: _numpy() and _numpy().get_printoptions(),
        lambda before: before and _numpy().set_printoptions(**before),
    ),
    "the environment": (lambda: {**os.environ}, _put_environment),
    "the working directory": (os.getcwd, os.chdir),
    "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "the module search path": (lambda: [*sys.path], _put_search_path),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
    ),
    "the root logger": (_logging, _put_logging),
    "the garbage collector": (
        gc.isenabled,
        lambda before: (gc.enable if before else gc.disable)(),
    ),
    "when the garbage collector runs": (
        gc.get_threshold,
        lambda before: gc.set_threshold(*before),
    ),
}
"""By name: what asks for a setting, and what puts it."""


def process() -> dict[str, Any]:
    """Return what is set for the whole process.

    Example:
        >>> process()["the default dtype"]
        torch.float32
    """
    return {name: ask() for name, (ask, _) in SETTINGS.items()}


def put_back(before: Mapping[str, Any]) -> None:
    """Set what is no longer as it was."""
    for name, (ask, put) in SETTINGS.items():
        if ask() != before[name]:
            put(before[name])
