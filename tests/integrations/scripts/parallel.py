"""Train in parallel in these processes, and report what each of them saw.

It takes what to do, each after a strategy (DDP, FSDP2, ZeRO), and a folder for checkpoints.
``resume`` trains without an interruption, then in two parts. ``save`` leaves the first part in a
Distributed Checkpoint, and ``load`` trains the rest, in as many processes as there are. ``rescale``
trains on what is there, or leaves something, with as many examples in each process.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from runs import (
    BATCHES,
    LR,
    STEPS,
    WITH_LR,
    Run,
    lrs,
    make_batches,
    make_data,
    make_model,
    make_optimizer,
    param_groups,
    report,
)
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save
from torch.distributed.checkpoint.stateful import Stateful
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam, Optimizer

from thunder_policy import Multiply, Policy, Schedule
from thunder_policy.schedules import Cosine

STOP = 5
PROCESSES = 2  # whose halves of a batch one process trains on one after the other


class Job(Stateful):
    """A model, its optimizer and the policy, in parallel."""

    def __init__(
        self, strategy: str, make: Callable[[], Policy], lr: float | Tensor, seed: int = 0
    ) -> None:
        self.strategy = strategy
        model = make_model(seed)
        self.model: nn.Module = model
        if strategy == "FSDP2":
            for layer in (model[0], model[2], model):
                fully_shard(layer)
        else:
            self.model = DistributedDataParallel(model)
        self.optimizer: Optimizer = make_optimizer(model, lr)
        if strategy == "ZeRO":
            self.optimizer = ZeroRedundancyOptimizer(param_groups(model, lr), Adam)
        self.policy = make()(self.optimizer)
        self.run = Run()

    def train(self, steps: range) -> Run:
        """Train some of the steps, on this process's share of each batch."""
        batches = make_batches()
        rank, processes = dist.get_rank(), dist.get_world_size()
        for step in steps:
            halves = [half.chunk(PROCESSES) for half in batches[step % BATCHES]]
            self.optimizer.zero_grad()
            for inputs, targets in [*zip(*halves, strict=True)][rank::processes]:
                loss = (self.model(inputs) - targets).square().mean()
                (loss * processes / PROCESSES).backward()
            self.run.lrs.append(lrs(self.optimizer))
            self.optimizer.step()
            self.policy.step()
        self.run.weights = self.weights()
        return self.run

    def weights(self) -> dict[str, Tensor]:
        """Return all weights, wherever they are."""
        whole = StateDictOptions(full_state_dict=True)
        weights: dict[str, Any] = get_model_state_dict(self.model, options=whole)
        return {name: value.clone() for name, value in weights.items()}

    # What Distributed Checkpoint asks for

    def state_dict(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer, "policy": self.policy.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state_dict["model"],
            optim_state_dict=state_dict["optimizer"],
        )
        self.policy.load_state_dict(state_dict["policy"])


# A checkpoint as one writes it oneself


def save(job: Job, path: Path) -> None:
    """Save from one process."""
    if isinstance(job.optimizer, ZeroRedundancyOptimizer):
        job.optimizer.consolidate_state_dict(to=0)
    if dist.get_rank() == 0:
        parts: dict[str, Any] = {
            "model": job.model,
            "optimizer": job.optimizer,
            "policy": job.policy,
        }
        torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    dist.barrier()


def load(job: Job, path: Path) -> None:
    """Load what `save` has saved."""
    state = torch.load(path, weights_only=True)
    job.model.load_state_dict(state["model"])
    job.optimizer.load_state_dict(state["optimizer"])
    job.policy.load_state_dict(state["policy"])


def resume(strategy: str, folder: Path) -> dict[Any, Any]:
    """Run without an interruption and with one; new objects resume."""
    results: dict[Any, Any] = {}
    for name, (make, lr) in WITH_LR.items():
        whole = Job(strategy, make, lr)
        whole.train(range(STEPS))
        first = Job(strategy, make, lr)
        first.train(range(STOP))
        save(first, folder / name)
        rest = Job(strategy, make, lr, seed=1)
        load(rest, folder / name)
        rest.train(range(STOP, STEPS))
        results[name] = [vars(job.run) for job in (whole, first, rest)]
    return results


# Distributed Checkpoint, from some processes into others


def save_all(strategy: str, folder: Path) -> dict[Any, Any]:
    """Save by the functions, and by the protocol."""
    results: dict[Any, Any] = {}
    for name, (make, lr) in WITH_LR.items():
        whole = Job(strategy, make, lr)
        whole.train(range(STEPS))
        first = Job(strategy, make, lr)
        first.train(range(STOP))
        dcp_save(first.state_dict(), checkpoint_id=folder / f"{name} functions")
        dcp_save({"job": first}, checkpoint_id=folder / f"{name} protocol")
        dcp_save({"policy": first.policy}, checkpoint_id=folder / f"{name} policy")
        results[name] = [vars(job.run) for job in (whole, first)]
    return results


def load_all(strategy: str, folder: Path) -> dict[Any, Any]:
    """Load what `save_all` has saved, and train the rest."""
    results: dict[Any, Any] = {}
    for name, (make, lr) in WITH_LR.items():
        rest = Job(strategy, make, lr, seed=1)
        state = rest.state_dict()
        dcp_load(state, checkpoint_id=folder / f"{name} functions")
        rest.load_state_dict(state)
        results[name, "functions"] = vars(rest.train(range(STOP, STEPS)))

        rest = Job(strategy, make, lr, seed=1)
        dcp_load({"job": rest}, checkpoint_id=folder / f"{name} protocol")
        results[name, "protocol"] = vars(rest.train(range(STOP, STEPS)))

        rest = Job(strategy, make, lr, seed=1)
        dcp_load({"policy": rest.policy}, checkpoint_id=folder / f"{name} policy")
        rest.train(range(STOP, STEPS))
        results[name, "policy alone"] = {"lrs": rest.run.lrs}

    lr = WITH_LR["Multiply"][1]
    rest = Job(strategy, lambda: Multiply({2: 0.5}, lr_init=0.7), lr, seed=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dcp_load({"job": rest}, checkpoint_id=folder / "Multiply protocol")
    results["another mapping"] = vars(rest.train(range(STOP, STEPS)))
    results["warnings"] = [str(one.message) for one in caught if "mapping" in str(one.message)]

    rest = Job(strategy, lambda: Multiply({2: 0.5}, 0.7, on_load="override"), lr, seed=1)
    dcp_load({"job": rest}, checkpoint_id=folder / "Multiply protocol")
    results["override"] = rest.train(range(STOP, STEPS)).lrs
    return results


# From two processes to one, which takes twice as many steps an epoch


def rescale(strategy: str, folder: Path) -> dict[Any, Any]:
    """Train for two epochs and save, or scale the epoch of what was saved and train for four."""
    rank, processes, examples = dist.get_rank(), dist.get_world_size(), make_data()
    k = len(examples) // processes
    curve = Cosine(LR, 0.0, epochs=6)
    job = Job(strategy, lambda: Schedule(curve, on_load="override").in_steps(k), LR, seed=processes)
    path = folder / "rescaled"
    steps = range(2 * k)
    if path.exists():
        state = job.state_dict()
        dcp_load(state, checkpoint_id=path)
        state["policy"]["last_epoch"] *= 2
        job.load_state_dict(state)
        steps = range(2 * k, 6 * k)
    loaded = job.weights()
    for step in steps:
        inputs, target = examples[(step * processes + rank) % len(examples)]
        job.optimizer.zero_grad()
        (job.model(inputs[None]) - target).square().mean().backward()
        job.run.lrs.append(lrs(job.optimizer))
        job.optimizer.step()
        job.policy.step()
    if processes == 2:
        dcp_save(job.state_dict(), checkpoint_id=path)
    return {"lrs": job.run.lrs, "loaded": loaded, "weights": job.weights()}


def main() -> None:
    """Do what the command line says."""
    *tasks, folder, _ = sys.argv[1:]
    dist.init_process_group("gloo")
    actions = {"resume": resume, "save": save_all, "load": load_all, "rescale": rescale}
    results: dict[Any, Any] = {}
    for task in tasks:
        strategy, action = task.split()
        place = Path(folder) / strategy
        place.mkdir(exist_ok=True)
        results[task] = actions[action](strategy, place)
    report(results)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
