"""A training run that may be killed at any moment: what it does again is what it has done.

Each line of input starts the run of a folder, in new processes, one or several with DDP; output
says which, when a save is half-way, and how the first that ended did. Where it was killed, so are
the others.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from runs import LR, lrs, make_batches, make_model, make_optimizer
from torch.nn.parallel import DistributedDataParallel

from thunder_policy import Multiply, Policy, Schedule
from thunder_policy.schedules import CosineRestarts

EVERY = 5  # steps from checkpoint to checkpoint


def make_policy(name: str) -> Policy:
    """Make a policy that has changes between most of the checkpoints."""
    if name == "Multiply":
        return Multiply({step: 0.5 if step % 2 else 1.9 for step in range(7, 2000, 7)}, lr_init=LR)
    return Schedule(CosineRestarts(LR, 0.01, T_0=30))


def nothing() -> None:
    """Do not mind."""


def save(state: dict[str, Any], path: Path, half_way: Callable[[], None]) -> None:
    """Write a file whole or not at all, if the machine goes on; half-way, somebody is told."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        half_way()
        file.write(data[len(data) // 2 :])
    temporary.replace(path)


def restore(folder: Path, parts: dict[str, Any]) -> int:
    """Load the newest checkpoint that can be loaded, and return the number of steps in it."""
    for path in sorted(folder.glob("*.pt"), reverse=True):
        error = load(path, parts)
        if error is None:
            return int(path.stem)
        with open(folder / "refused.txt", "a") as file:
            file.write(f"{path.name}: {type(error).__name__}: {error}\n")
    return 0


def load(path: Path, parts: dict[str, Any]) -> Exception | None:
    """Load a checkpoint, or return why it cannot be loaded."""
    try:
        state = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except Exception as error:
        return error
    return None


def train(
    folder: Path,
    name: str,
    steps: int,
    tensor_lr: bool = False,
    pause: float = 0.0,
    half_way: Callable[[], None] = nothing,
) -> None:
    """Train, from the newest checkpoint on; log the lrs of each step, and keep two checkpoints.

    Of several processes each trains on a share of each batch, and the first writes.
    """
    torch.set_num_threads(1)
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    model = make_model(seed=0)
    optimizer = make_optimizer(model, torch.tensor(LR, dtype=torch.float64) if tensor_lr else LR)
    policy = make_policy(name)(optimizer)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "policy": policy}
    done = restore(folder, parts)
    batches = make_batches()
    train_on = DistributedDataParallel(model) if processes > 1 else model
    log = os.open(folder / "lrs.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while done < steps:
        inputs, targets = (part.chunk(processes)[rank] for part in batches[done % len(batches)])
        optimizer.zero_grad()
        (train_on(inputs) - targets).square().mean().backward()
        row = " ".join(lr.hex() for lr in lrs(optimizer))
        if rank == 0:
            os.write(log, f"{done} {row}\n".encode())  # one write: no line is torn
        optimizer.step()
        policy.step()
        done += 1
        if rank == 0 and (done % EVERY == 0 or done == steps):
            state = {key: part.state_dict() for key, part in parts.items()}
            save(state, folder / f"{done:06}.pt", half_way)
            for old in sorted(folder.glob("*.pt"))[:-2]:
                old.unlink()
        time.sleep(pause)
    os.close(log)


def tell(what: str) -> None:
    """Say something to whoever kills."""
    os.write(1, f"{what}\n".encode())


def half_way_on_a_slow_disk() -> None:
    """Leave time for a kill."""
    tell("half-way")
    time.sleep(0.01)


def start(rank: int, processes: int, store: str, arguments: tuple[Any, ...]) -> int:
    """Train in a new process; a fork has no need to import torch again."""
    pid = os.fork()
    if pid == 0:
        try:
            if processes > 1:
                url = f"file://{store}"
                dist.init_process_group("gloo", url, rank=rank, world_size=processes)
            train(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def main() -> None:
    """Train in new processes for each line of input, and end all with the first that fails."""
    import_module("torch._dynamo")  # as the first step of an optimizer does
    name, steps, tensor_lr, pause, processes = sys.argv[1:]
    rest = name, int(steps), tensor_lr == "True", float(pause), half_way_on_a_slow_disk
    for count, line in enumerate(sys.stdin):
        folder, n = Path(line.strip()), int(processes)
        store = str(folder / f"store{count}")
        pids = [start(rank, n, store, (folder, *rest)) for rank in range(n)]
        tell(f"started {' '.join(map(str, pids))}")
        ended = 0
        while pids:
            pid, status = os.wait()
            pids.remove(pid)
            ended = ended or os.waitstatus_to_exitcode(status)
            for other in pids if ended else ():
                with suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
        tell(f"ended {ended}")


if __name__ == "__main__":
    main()
