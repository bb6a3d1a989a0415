"""A run that is killed again and again, also while it saves, and that finds damaged checkpoints."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import HERE, Run, differences, environment

sys.path.append(str(HERE / "scripts"))
import killed

STEPS = 400
PAUSE = 0.003  # so that the run is not over before it has been killed that often


def read(folder: Path) -> Run:
    """Read what a run has left; a step that was taken twice must have had the same lrs."""
    rows: dict[int, list[float]] = {}
    for line in (folder / "lrs.txt").read_text().splitlines():
        step, *lrs = line.split()
        row = [float.fromhex(lr) for lr in lrs]
        assert rows.setdefault(int(step), row) == row
    assert sorted(rows) == [*range(len(rows))]
    newest = max(folder.glob("*.pt"))
    assert int(newest.stem) == len(rows)
    weights = torch.load(newest, weights_only=True)["model"]
    return Run([rows[step] for step in sorted(rows)], weights)


class Server:
    """Starts the run in a new process, again and again."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, killed.__file__, *map(str, arguments)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self, folder: Path) -> list[int]:
        """Start the run of a folder, and return the ids of its processes."""
        assert self.process.stdin
        self.process.stdin.write(f"{folder}\n")
        return self.wait_for("started")

    def wait_for(self, event: str) -> list[int]:
        """Wait until the run tells of an event, and return its numbers."""
        assert self.process.stdout
        for line in self.process.stdout:
            told, *numbers = line.split()
            if told == event:
                return [*map(int, numbers)]
        raise AssertionError(f"the run has not {event}")

    def stop(self) -> None:
        self.process.communicate(timeout=60)


def check_equal(run: Run, whole: Run) -> None:
    assert run.lrs == whole.lrs
    assert len({str(row) for row in whole.lrs}) > 5
    assert [*differences(run.weights, whole.weights)] == []


@pytest.mark.slow
@pytest.mark.spec("T11")
@pytest.mark.parametrize(
    ("name", "tensor_lr", "processes", "kills"),
    [("Multiply", False, 1, 15), ("Schedule", True, 1, 15), ("Multiply", True, 2, 30)],
    ids=["Multiply", "Schedule, a tensor", "Multiply, a tensor, in two processes with DDP"],
)
def test_a_run_that_is_killed_again_and_again_is_the_one_that_never_was(
    name: str, tensor_lr: bool, processes: int, kills: int, tmp_path: Path
) -> None:
    """Two of three times at a random moment, and once with a half of a checkpoint written."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    whole.mkdir()
    run.mkdir()
    server = Server(name, STEPS, tensor_lr, PAUSE, processes)
    server.start(whole)
    assert server.wait_for("ended") == [0]
    moments = random.Random(0)
    while_saving = moments.sample(range(kills), kills // 3)
    torn = 0
    for kill in range(kills):
        pids = server.start(run)
        if kill in while_saving:
            server.wait_for("half-way")
        else:
            time.sleep(moments.uniform(0, 0.1 * processes))
        os.kill(moments.choice(pids), signal.SIGKILL)
        assert server.wait_for("ended") != [0]
        torn += any(run.glob("*.tmp"))
    server.start(run)
    assert server.wait_for("ended") == [0]
    server.stop()

    assert torn > 0
    assert not (run / "refused.txt").exists()
    check_equal(read(run), read(whole))


# Damaged checkpoints


def other_groups(state: dict[str, Any]) -> None:
    state["policy"]["_last_lr"] = [0.1, 0.1, 0.1]


def no_number(state: dict[str, Any]) -> None:
    state["policy"]["_last_lr"] = [0.1, float("nan")]


def other_part(state: dict[str, Any]) -> None:
    state["policy"] = state["optimizer"]


def other_policy(state: dict[str, Any]) -> None:
    state["policy"]["_policy"] = "Switch"


def no_policy(state: dict[str, Any]) -> None:
    del state["policy"]


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Return what does damage to the state in a file."""

    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)

    return damage


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "Error"),
    "empty": (lambda path: path.write_bytes(b""), "EOFError"),
    "no checkpoint": (lambda path: path.write_bytes(b"# README"), "UnpicklingError"),
    "without a policy": (changed(no_policy), "KeyError: 'policy'"),
    "of another part": (
        changed(other_part),
        "ValueError: Multiply: the state has no last_epoch: is it that of a scheduler?",
    ),
    "of another policy": (changed(other_policy), "ValueError: Multiply: the state is that of"),
    "of another optimizer": (changed(other_groups), "got 3 lrs and 2 param groups"),
    "with nan": (changed(no_number), "group 1: the lr must be finite, not nan"),
}


@pytest.mark.spec("T10", "T25", "T27")
@pytest.mark.parametrize(("damage", "error"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(
    damage: Callable[[Path], object], error: str, tmp_path: Path
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    whole.mkdir()
    run.mkdir()
    killed.train(whole, "Multiply", 60)
    killed.train(run, "Multiply", 33)
    before, newest = sorted(run.glob("*.pt"))
    assert (before.name, newest.name) == ("000030.pt", "000033.pt")
    damage(newest)
    killed.train(run, "Multiply", 60)

    refused = (run / "refused.txt").read_text()
    assert refused.startswith("000033.pt: ")
    assert error in refused
    assert "000030.pt" not in refused
    check_equal(read(run), read(whole))
