"""Type checkers, run as a user runs them: in a virtual environment with the stubs or without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
STUBS = ROOT / "stubs"
TYPING = ROOT / "tests" / "typing"
SCHEDULER = "lr_scheduler.pyi"
STUB_PACKAGES = {"toolz-stubs", "thunder-stubs"}
FOLDER = "thunder_policy_stubs"  # of those of torch

Checker = Callable[..., str]
"""Takes an environment, paths and a working directory; returns the complaints, or ``""``."""


def environment(
    where: Path, *, stubs: bool, beside: bool = False, package: bool = True, without: str = ""
) -> Path:
    """Make a virtual environment of links to what the running one has.

    Args:
        where: Its folder.
        stubs: Whether it has them, each file where the wheel of stubs/ puts it.
        beside: Whether those of torch are beside torch, as pyright needs them.
        package: Whether it has thunder_policy, by its sources.
        without: Names of other packages that it has not.
    """
    venv.create(where, symlinks=True)
    (site,) = where.glob("lib/python*/site-packages")
    running = Path(torch.__file__).parents[1]
    left_out = {"torch", "thunder_policy", *STUB_PACKAGES, FOLDER, *without.split()}
    link(others(running, *left_out), site)
    link(others(running / "torch", "optim"), site / "torch")
    link(others(running / "torch" / "optim", SCHEDULER), site / "torch" / "optim")
    if stubs:
        link((STUBS / name for name in STUB_PACKAGES), site)
        link([STUBS / "torch-stubs"], site / FOLDER)
        link([STUBS / f"{FOLDER}.pth"], site)
    if beside:
        link([STUBS / "torch-stubs" / "optim" / SCHEDULER], site / "torch" / "optim")
    if package:
        link([ROOT / "thunder_policy"], site)
    return where


def others(folder: Path, *names: str) -> list[Path]:
    """Return what is in a folder, but for some names and what an installation of ours has left."""
    return [
        path
        for path in folder.iterdir()
        if path.name not in names and "thunder_policy" not in path.name
    ]


def python(
    environment: Path, *arguments: str, cwd: Path, stdin: bytes = b"", path: str = ""
) -> bytes:
    """Run the Python of an environment, which must succeed, and return what it prints."""
    done = subprocess.run(
        [environment / "bin" / "python", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def link(targets: Iterable[Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for target in targets:
        (folder / target.name).symlink_to(target)


def mypy(environment: Path, *paths: Path, cwd: Path) -> str:
    python = f"--python-executable={environment / 'bin' / 'python'}"
    return complaints("mypy", "--strict", "--config-file=", python, *paths, cwd=cwd)


def pyright(environment: Path, *paths: Path, cwd: Path) -> str:
    python = f"--pythonpath={environment / 'bin' / 'python'}"
    return complaints("pyright", f"--project={TYPING}", python, *paths, cwd=cwd)


def pyrefly(environment: Path, *paths: Path, cwd: Path) -> str:
    python = f"--python-interpreter-path={environment / 'bin' / 'python'}"
    options = f"--config={TYPING / 'pyrefly.toml'}", python
    return complaints("pyrefly", "check", *options, *paths, cwd=cwd)


def ty(environment: Path, *paths: Path, cwd: Path) -> str:
    options = f"--config-file={TYPING / 'ty.toml'}", f"--python={environment}"
    return complaints("ty", "check", *options, *paths, cwd=cwd)


CHECKERS: dict[str, Checker] = {"mypy": mypy, "pyright": pyright, "pyrefly": pyrefly, "ty": ty}


def completeness(environment: Path, package: str, cwd: Path) -> float:
    """Return the share of the public names that pyright knows the type of, from 0 to 1."""
    # Here it takes the Python that it finds first, and no option for another one.
    path = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    options = "--verifytypes", package, "--ignoreexternal", "--outputjson"
    done = run("pyright", *options, cwd=cwd, PATH=path)
    report = json.loads(done.stdout)["typeCompleteness"]
    assert report["exportedSymbolCounts"]["withKnownType"] > 100, done.stdout
    return float(report["completenessScore"])


def run(
    tool: str, *arguments: str | Path, cwd: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=cwd,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def complaints(tool: str, *arguments: str | Path, cwd: Path) -> str:
    done = run(tool, *arguments, cwd=cwd)
    return "" if done.returncode == 0 else done.stdout + done.stderr
