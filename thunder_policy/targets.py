"""Things that are named on the command line: ``module:name`` and ``path/to/file.py:name``."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from .messages import said


class TargetError(ValueError):
    """What a target names is not there, or is not of the kind that is asked for."""


def load_target(target: str) -> Any:
    """Import what a target names, from the working directory too.

    Args:
        target: ``module:name``, or ``path/to/file.py:name``; the name may have dots.

    Returns:
        The object.

    Raises:
        TargetError: If it is not written like that, or there is nothing of that name.

    Example:
        >>> load_target("math:cos")
        <built-in function cos>
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise TargetError("write it as module:name or path/to/file.py:name")
    value: Any = load_module(place)
    try:
        for part in name.split("."):
            if not hasattr(value, part):
                raise TargetError(f"there is no {name} in {place}")
            value = getattr(value, part)
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        # Somebody else's code runs here, and can raise anything.
        raise TargetError(f"cannot import {place}: {said(error)}") from error
    return value


def load_module(place: str) -> ModuleType:
    """Import a module, or a file, from the working directory too.

    Raises:
        TargetError: If it cannot be imported.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as with python -m, for a factory that imports, too
    try:
        if place.endswith(".py"):
            return _from_file(Path(place))
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import {place}: {said(error)}") from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    loader = SourceFileLoader(path.stem, str(path))
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    # Pickle finds the classes of a module by its name here.
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module
