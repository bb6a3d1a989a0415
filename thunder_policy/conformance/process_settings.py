"""What is set for the whole process: how each is asked for, put back, and otherwise for a while."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

import builtins
import decimal
import gc
import locale
import logging
import math
import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import torch
import torch.utils.deterministic
from torch._tensor_str import PRINT_OPTS
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

Ask = Callable[[], Any]
Put = Callable[[Any], object]
Result = TypeVar("Result")

_KERNELS = ("flash", "mem_efficient", "math", "cudnn")
_SUMS = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
_BACKENDS: dict[str, Any] = {
    **dict.fromkeys(("enabled", "benchmark", "deterministic", "allow_tf32"), torch.backends.cudnn),
    **dict.fromkeys(_SUMS, torch.backends.cuda.matmul),
    "fill_uninitialized_memory": torch.utils.deterministic,
}


def _default_device() -> torch.device | None:
    # torch.get_default_device says that it is the CPU where none was set, and to set that is more:
    # torch.as_tensor then copies to it what is on a GPU.
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _backends() -> dict[str, bool]:
    return {name: getattr(backend, name) for name, backend in _BACKENDS.items()}


def _put_backends(before: Mapping[str, bool]) -> None:
    for name, value in before.items():
        setattr(_BACKENDS[name], name, value)


def _put_environment(before: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _put_search_path(before: list[str]) -> None:
    sys.path[:] = before


def _logging() -> tuple[int, int, list[logging.Handler]]:
    return logging.root.level, logging.root.manager.disable, [*logging.root.handlers]


def _put_logging(before: tuple[int, int, list[logging.Handler]]) -> None:
    logging.root.setLevel(before[0])
    logging.disable(before[1])
    logging.root.handlers[:] = before[2]


def _loggers() -> dict[str, int]:
    """Return the levels of those that have one: to ask for a logger is to make it."""
    known = [*logging.root.manager.loggerDict.items()]
    loggers = {name: one for name, one in known if isinstance(one, logging.Logger)}
    return {name: logger.level for name, logger in loggers.items() if logger.level}


def _put_loggers(before: dict[str, int]) -> None:
    for name in {**_loggers(), **before}:
        logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))


def _signals() -> dict[str, Any]:
    return {one.name: signal.getsignal(one) for one in signal.Signals}


def _put_signals(before: dict[str, Any]) -> None:
    for name, handler in _signals().items():
        if handler is not before[name]:
            signal.signal(signal.Signals[name], before[name])


_DECIMAL = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _decimal() -> dict[str, Any]:
    return {name: getattr(decimal.getcontext(), name) for name in _DECIMAL}


def _put_decimal(before: dict[str, Any]) -> None:
    for name, value in before.items():
        setattr(decimal.getcontext(), name, value)


def _umask() -> int:
    before = os.umask(0o077)  # there is no way but to set it
    os.umask(before)
    return before


def _streams() -> tuple[Any, Any, Any]:
    return sys.stdin, sys.stdout, sys.stderr


def _put_streams(before: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


def _attention() -> dict[str, bool]:
    return {name: getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in _KERNELS}


def _put_attention(before: dict[str, bool]) -> None:
    for name, value in before.items():
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(value)


def _autocast() -> dict[str, Any]:
    return {device: torch.get_autocast_dtype(device) for device in ("cpu", "cuda")}


def _put_autocast(before: dict[str, Any]) -> None:
    for device, dtype in before.items():
        torch.set_autocast_dtype(device, dtype)


def _tracers() -> tuple[Any, Any]:
    return sys.gettrace(), sys.getprofile()


def _put_tracers(before: tuple[Any, Any]) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])


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
    "torch.backends": (_backends, _put_backends),
    "the kernels of attention": (_attention, _put_attention),
    "the dtypes of torch.autocast": (_autocast, _put_autocast),
    "whether numbers near 0 are flushed to it": (
        lambda: sys.float_info.min / 2 == 0.0,
        torch.set_flush_denormal,
    ),
    "torch's print options": (
        lambda: {**vars(PRINT_OPTS)},
        vars(PRINT_OPTS).update,
    ),
    "whether torch looks for anomalies": (
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
    ),
    "whether torch always warns": (torch.is_warn_always_enabled, torch.set_warn_always),
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
    "the mask of new files": (_umask, os.umask),
    "the standard streams": (_streams, _put_streams),
    "what traces and profiles": (_tracers, _put_tracers),
    "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "the module search path": (lambda: [*sys.path], _put_search_path),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
    ),
    "the root logger": (_logging, _put_logging),
    "the levels of loggers": (_loggers, _put_loggers),
    "what answers to a signal": (_signals, _put_signals),
    "the context of decimal": (_decimal, _put_decimal),
    "when threads take turns": (sys.getswitchinterval, sys.setswitchinterval),
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


SURROUNDINGS = ("no_grad", "inference_mode", "a default dtype of float64", "another thread")


def elsewhere(where: str, work: Callable[[], Result]) -> Result:
    """Do some work in other surroundings, one of `SURROUNDINGS`.

    Example:
        >>> elsewhere("no_grad", torch.is_grad_enabled)
        False
    """
    if where == "another thread":
        return _in_a_thread(work)
    before = process()
    try:
        if where == "a default dtype of float64":
            torch.set_default_dtype(torch.float64)
        with torch.inference_mode(where == "inference_mode"):
            torch.set_grad_enabled(where == "a default dtype of float64")
            return work()
    finally:
        put_back(before)


def _in_a_thread(work: Callable[[], Result]) -> Result:
    done, failed = list[Result](), list[BaseException]()

    def do() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    for error in failed:
        raise error
    return done[0]


def left_running(before: Sequence[threading.Thread], seconds: float = 1.0) -> list[str]:
    """Return the names of the threads that were started since, and do not end in a while.

    Example:
        >>> before = threading.enumerate()
        >>> threading.Thread(target=str).start()
        >>> left_running(before)
        []
    """
    started = [thread for thread in threading.enumerate() if thread not in before]
    until = time.monotonic() + seconds
    for thread in started:
        thread.join(max(0.0, until - time.monotonic()))
    # Python numbers them, and a report is the same each time.
    return [re.sub(r"-\d+", "", thread.name) for thread in started if thread.is_alive()]


Definitions = list[tuple[Any, dict[str, Any]]]
"""Modules and classes that all code uses, each with what it defined."""

_SHARED: tuple[Any, ...] = (
    *(builtins, logging, math, os, random, sys, threading, time, warnings),
    *(torch, torch.optim, torch.optim.lr_scheduler, torch.Tensor),
    *(LRScheduler, Optimizer, SGD, Adam),
)


def defined() -> Definitions:
    """Return what modules and classes of Python, NumPy and torch define."""
    return [(owner, {**vars(owner)}) for owner in (*_SHARED, *filter(None, [_numpy()]))]


def patched(before: Definitions) -> list[str]:
    """Name what is defined otherwise than it was: modules that were loaded since are left out.

    Example:
        >>> before = defined()
        >>> math.answer = 42
        >>> patched(before), unpatch(before), patched(before)
        (['math.answer'], None, [])
    """
    return [f"{owner.__name__}.{name}" for owner, name in _patches(before)]


def unpatch(before: Definitions) -> None:
    """Let modules and classes define what they did."""
    known = {id(owner): names for owner, names in before}
    for owner, name in _patches(before):
        if name in known[id(owner)]:
            setattr(owner, name, known[id(owner)][name])
        else:
            delattr(owner, name)


def _patches(before: Definitions) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    for owner, names in before:
        now: dict[str, Any] = {**vars(owner)}
        if [*map(id, now.values())] != [*map(id, names.values())]:
            for name in {**names, **now}:
                other = now.get(name, _patches) is not names.get(name, _patches)
                # What is not public torch itself may set; but no function of its own.
                is_code = not name.startswith("_") or isinstance(names.get(name), FunctionType)
                if other and is_code and not isinstance(now.get(name), ModuleType):
                    found.append((owner, name))
    return found
