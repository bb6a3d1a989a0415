"""DeepSpeed in one process: a policy handed over unbound, saved and resumed; one that was bound."""

from __future__ import annotations

import copy
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}

import deepspeed
import page
import torch
from torch import distributed

from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, simulate
from thunder_policy.schedules import Cosine

STEPS = 6
# One for each stage of ZeRO.
POLICIES: list[Policy] = [
    Switch({0: 0.1, 2: 0.05, 4: 0.02}),
    Multiply({1: 0.5, 4: 0.5}, lr_init=0.1),
    Schedule(Cosine(0.1, 0.0, 9)),
    Scale(Cosine(1.0, 0.0, 9)),
]


def train(engine: Any, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(engine.optimizer.param_groups[0]["lr"])
        engine.backward(engine(torch.ones(4, 2)).square().mean())
        engine.step()
    return seen


def check_that_one_that_is_further_on_warns() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    policy = Switch({0: 0.1, 2: 0.05})(optimizer, last_epoch=2)
    config = {"train_batch_size": 4, "train_micro_batch_size_per_gpu": 4}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deepspeed.initialize(model=model, optimizer=optimizer, lr_scheduler=policy, config=config)
    said = [str(one.message) for one in caught]
    assert sum("Switch is at epoch 3 of this optimizer" in text for text in said) == 1, said


def main(folder: str) -> None:
    # Nothing is compiled for one process.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    file = Path(folder) / "store"
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    deepspeed.init_distributed("gloo", dist_init_required=False)
    initialize = page.run("deepspeed")["initialize"]
    for stage, policy in enumerate(POLICIES):
        expected = simulate(policy, STEPS, lr=0.1)[:, 0].tolist()
        engine, _, _, scheduler = initialize(policy, stage)
        assert scheduler is policy
        first = train(engine, 3)
        engine.save_checkpoint(folder, tag=str(stage))
        engine, _, _, scheduler = initialize(copy.copy(policy), stage)
        engine.load_checkpoint(folder, tag=str(stage))
        assert first + train(engine, STEPS - 3) == expected, (policy, first)
    check_that_one_that_is_further_on_warns()
    print("deepspeed: the same lrs")


if __name__ == "__main__":
    main(sys.argv[1])
